/* SPDX-License-Identifier: MIT
 *
 * Writes events as NDJSON lines, by hand into one buffer, because a bench needs them faster than a JSON
 * library makes them. Decides which lines go to this partition, which are sent twice, and where a malformed
 * one comes between; all by the event's number, so that each partition is the same whether the others are
 * written or not. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_model.h"

#define BUFFER_SIZE (1 << 20)

char *gen_put(char *p, const char *text)
{
    size_t len = strlen(text);
    memcpy(p, text, len);
    return p + len;
}

char *gen_put_number(char *p, uint64_t n)
{
    char digits[20];
    int len = 0;
    do
        digits[len++] = (char)('0' + n % 10);
    while (n /= 10);
    while (len > 0)
        *p++ = digits[--len];
    return p;
}

/* A text is at most 512 bytes (contract); longer ones are cut at a character. */
char *gen_put_json(char *p, const char *text)
{
    if (!text)
        return gen_put(p, "null");
    *p++ = '"';
    for (size_t i = 0; text[i]; i++) {
        unsigned char c = (unsigned char)text[i];
        if (i >= 500 && (c & 0xc0) != 0x80)
            break;
        if (c == '"' || c == '\\')
            *p++ = '\\';
        *p++ = c < 0x20 ? ' ' : (char)c;
    }
    *p++ = '"';
    return p;
}

static char *put_padded(char *p, unsigned n, int digits)
{
    for (int i = digits - 1; i >= 0; i--, n /= 10)
        p[i] = (char)('0' + n % 10);
    return p + digits;
}

/* Days since 1970 to year-month-day, without quotes. */
static char *put_day(char *p, int32_t days)
{
    int z = days + 719468, era = z / 146097, of_era = z - era * 146097;
    int year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int m = (5 * day_of_year + 2) / 153, month = m < 10 ? m + 3 : m - 9;
    p = put_padded(p, (unsigned)(year_of_era + era * 400 + (month <= 2)), 4);
    *p++ = '-';
    p = put_padded(p, (unsigned)month, 2);
    *p++ = '-';
    return put_padded(p, (unsigned)(day_of_year - (153 * m + 2) / 5 + 1), 2);
}

char *gen_put_date(char *p, int32_t days)
{
    *p++ = '"';
    p = put_day(p, days);
    *p++ = '"';
    return p;
}

char *gen_put_year(char *p, int year)
{
    *p++ = '"';
    p = put_padded(p, (unsigned)year, 4);
    *p++ = '-';
    p = put_padded(p, (unsigned)year + 1, 4);
    *p++ = '"';
    return p;
}

char *gen_put_pupil(char *p, uint32_t seed, uint32_t owner, uint32_t number)
{
    static const char hex[] = "0123456789abcdef";
    const uint64_t parts[2] = {gen_draw(seed, GEN_P_PUPIL_A, owner, number),
                               gen_draw(seed, GEN_P_PUPIL_B, owner, number)};
    *p++ = '"';
    for (int part = 0; part < 2; part++)
        for (int shift = 60; shift >= 0; shift -= 4)
            *p++ = hex[parts[part] >> shift & 15];
    *p++ = '"';
    return p;
}

int gen_output_init(struct gen_output *out, FILE *file, const struct gen_options *options)
{
    memset(out, 0, sizeof *out);
    out->file = file;
    out->options = options;
    out->stamped_s = -1;
    snprintf(out->source, sizeof out->source, "urn:teldag:generate:%lu", (unsigned long)options->seed);
    out->buffer = malloc(BUFFER_SIZE);
    out->late = calloc(GEN_LATE_MAX, sizeof *out->late);
    return out->buffer && out->late ? ERR_OK : ERR_NOMEM;
}

static void flush_buffer(struct gen_output *out)
{
    if (out->len && fwrite(out->buffer, 1, out->len, out->file) != out->len)
        out->failed = true;
    out->len = 0;
}

int gen_output_finish(struct gen_output *out)
{
    if (out->buffer)
        flush_buffer(out);
    if (fflush(out->file) != 0)
        out->failed = true;
    free(out->buffer);
    free(out->late);
    out->buffer = NULL;
    out->late = NULL;
    return out->failed ? ERR_IO : ERR_OK;
}

void gen_output_write(struct gen_output *out, const char *bytes, size_t len)
{
    if (len > BUFFER_SIZE - out->len)
        flush_buffer(out);
    if (len > BUFFER_SIZE) {
        out->failed |= fwrite(bytes, 1, len, out->file) != len;
        return;
    }
    memcpy(out->buffer + out->len, bytes, len);
    out->len += len;
}

void gen_output_feed(struct gen_output *out, char letter)
{
    out->feed = letter;
    out->head_len = snprintf(out->head, sizeof out->head, "{\"specversion\":\"1.0\",\"id\":\"g%lu.%c.",
                             (unsigned long)out->options->seed, letter);
}

static char *put_stamp(struct gen_output *out, char *p)
{
    if (out->now_s != out->stamped_s) {
        unsigned of_day = (unsigned)(out->now_s % 86400);
        char *q = put_day(out->stamp, (int32_t)(out->now_s / 86400));
        *q++ = 'T';
        q = put_padded(q, of_day / 3600, 2);
        *q++ = ':';
        q = put_padded(q, of_day / 60 % 60, 2);
        *q++ = ':';
        put_padded(q, of_day % 60, 2);
        out->stamp[19] = 'Z';
        out->stamped_s = out->now_s;
    }
    memcpy(p, out->stamp, 20);
    return p + 20;
}

char *gen_event_begin_for(struct gen_output *out, const char *type, uint64_t key, uint32_t subject)
{
    out->number++;
    if ((int)(key % (unsigned)out->options->partitions) != out->options->partition)
        return NULL;
    if (BUFFER_SIZE - out->len < GEN_EVENT_MAX)
        flush_buffer(out);
    char *p = out->buffer + out->len;
    memcpy(p, out->head, (size_t)out->head_len);
    p = gen_put_number(p + out->head_len, out->number);
    p = gen_put(p, "\",\"source\":\"");
    p = gen_put(p, out->source);
    p = gen_put(p, "\",\"type\":\"");
    p = gen_put(p, type);
    p = gen_put(p, "\",\"time\":\"");
    p = put_stamp(out, p);
    if (subject) {
        p = gen_put(p, "\",\"subject\":\"");
        p = gen_put_number(p, subject);
    }
    return gen_put(p, "\",\"data\":{");
}

/* Half of the publishers name the subject; it is optional. */
char *gen_event_begin(struct gen_output *out, const char *type, uint32_t school_id)
{
    return gen_event_begin_for(out, type, school_id, school_id & 1 ? school_id : 0);
}

static void send_due(struct gen_output *out, bool all)
{
    for (int i = 0; i < out->late_count; i++) {
        struct gen_late *late = &out->late[i];
        if (!all && late->due > out->number)
            continue;
        gen_output_write(out, late->line, (size_t)late->len);
        out->lines++;
        out->duplicates++;
        out->late[i--] = out->late[--out->late_count];
    }
}

void gen_output_late(struct gen_output *out)
{
    send_due(out, true);
}

static void repeat_line(struct gen_output *out, size_t start, uint64_t r)
{
    size_t len = out->len - start;
    if (out->may_repeat_late && r & 1 && out->late_count < GEN_LATE_MAX) {
        struct gen_late *late = &out->late[out->late_count++];
        late->due = out->number + 1 + (r >> 8) % 500;
        late->len = (int)len;
        memcpy(late->line, out->buffer + start, len);
        return;
    }
    char copy[GEN_EVENT_MAX]; /* the buffer may have to be flushed */
    memcpy(copy, out->buffer + start, len);
    gen_output_write(out, copy, len);
    out->lines++;
    out->duplicates++;
}

void gen_event_end(struct gen_output *out, char *p, uint32_t school_id)
{
    size_t start = out->len;
    p = gen_put(p, "}}\n");
    out->len = (size_t)(p - out->buffer);
    out->events++;
    out->lines++;
    const struct gen_options *o = out->options;
    if (o->duplicates) {
        uint64_t r = gen_draw(o->seed, GEN_P_DUPLICATE, (unsigned char)out->feed, out->number);
        if ((int)(r % 10000) < o->duplicates)
            repeat_line(out, start, r >> 16);
        send_due(out, false);
    }
    if (o->bad && (int)(gen_draw(o->seed, GEN_P_BAD, (unsigned char)out->feed, out->number) % 10000) < o->bad)
        gen_bad_write(out, school_id);
}
