/* SPDX-License-Identifier: MIT
 *
 * Any bytes as an event line, with and without a pseudonym key (a key replaces numbers; without one they die). One line is
 * one event. A dead letter says why, keeps no national register number, and decodes again, to a dead letter too
 * unless scrubbing mended it (as `dead-letter retry` would); what decodes, renders to a line that decodes to the same.
 *
 * links: tests/fuzz/fake.o
 */
#include "tests/fuzz/fake.h"

#include <stdlib.h>
#include <string.h>

#include "workers/event.h"
#include "workers/event_render.h"
#include "workers/pseudonym.h"

static int check_only(const void *context, int year, const char digits[11], uint8_t out[16], uint32_t *key_id)
{
    (void)context;
    *key_id = (uint32_t)year;
    memset(out, 0x5a, 16);
    return rrn_is_valid(digits) ? 0 : ERR_INVALID;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Does a number of exactly 11 digits start at i: digits with at most one of . - / space between two of them, and on
 * neither side a letter, a digit or (the seconds of a time) a colon? A second, slower reading of P6. */
static bool number_at(const char *s, size_t len, size_t i)
{
    int digits = 0;
    if (!is_digit(s[i]) || (i > 0 && (is_word(s[i - 1]) || s[i - 1] == ':')))
        return false;
    for (;;) {
        digits++;
        if (digits == 11)
            return i + 1 == len || !is_word(s[i + 1]);
        i++;
        if (i < len && strchr(".-/ ", s[i]) && s[i])
            i++;
        if (i >= len || !is_digit(s[i]))
            return false;
    }
}

static void check_scrubbed(const struct event_batch *b, struct text text)
{
    const char *s = batch_text(b, text);
    for (size_t i = 0; i + 11 <= text.len; i++)
        MUST_HOLD(!number_at(s, text.len, i));
}

static void reset(struct event_batch *b)
{
    b->count = b->value_count = 0;
    b->arena_len = 0;
}

static void check_dead(struct event_decoder *d, struct event_batch *b, bool again)
{
    const struct event *e = b->events;
    MUST_HOLD(e->reason.len > 0 && e->reason.len < 1024);
    const char *reason = batch_text(b, e->reason);
    for (uint32_t i = 0; i < e->reason.len; i++)
        MUST_HOLD((unsigned char)reason[i] >= ' ' && reason[i] != 0x7f);
    check_scrubbed(b, e->reason);
    check_scrubbed(b, e->raw);
    if (!again)
        return;
    size_t len = e->raw.len;
    char *raw = malloc(len + 1);
    MUST_HOLD(raw);
    memcpy(raw, batch_text(b, e->raw), len);
    reset(b);
    MUST_HOLD(event_decode(d, b, raw, len) == 0 && b->count == 1);
    if (b->events->type == EVENT_DEAD)
        check_dead(d, b, false);
    free(raw);
}

static bool same_text(const struct event_batch *a, struct text x, const struct event_batch *b, struct text y)
{
    return x.len == y.len && memcmp(batch_text(a, x), batch_text(b, y), x.len) == 0;
}

/* The event of a line, rendered and decoded again. */
static void check_round(struct event_decoder *d, const struct event_batch *b, struct event_batch *other)
{
    const struct event *e = b->events, *f;
    const struct log_table *table = log_tables + event_kinds[e->type].table;
    char *line = event_render(b, e);
    MUST_HOLD(line);
    reset(other);
    MUST_HOLD(event_decode(d, other, line, strlen(line)) == 0 && other->count == 1);
    f = other->events;
    MUST_HOLD(f->type == e->type && f->time_us == e->time_us && f->nulls == e->nulls);
    MUST_HOLD(same_text(b, e->id, other, f->id) && same_text(b, e->source, other, f->source));
    check_scrubbed(b, e->id);
    check_scrubbed(b, e->source);
    for (int c = 0; c < table->count; c++) {
        const struct value *x = event_values(b, e) + c, *y = event_values(other, f) + c;
        if (event_is_null(e, c))
            continue;
        switch (table->columns[c].kind) {
        case COLUMN_TEXT:
        case COLUMN_KEY:
            check_scrubbed(b, x->text);
            MUST_HOLD(same_text(b, x->text, other, y->text));
            break;
        case COLUMN_JSON: /* escapes may be written otherwise, the text is a JSON object either way */
            check_scrubbed(b, x->text);
            MUST_HOLD(y->text.len >= 2 && batch_text(other, y->text)[0] == '{');
            break;
        case COLUMN_PUPIL:
            MUST_HOLD(memcmp(x->pupil, y->pupil, 16) == 0);
            break;
        default:
            MUST_HOLD(x->num == y->num);
        }
    }
    free(line);
}

static void run(struct event_decoder *d, const uint8_t *data, size_t size)
{
    static struct event_batch *batch, *other;
    if (!batch) {
        batch = event_batch_new();
        other = event_batch_new();
        MUST_HOLD(batch && other);
    }
    reset(batch);
    MUST_HOLD(event_decode(d, batch, (const char *)data, size) == 0);
    MUST_HOLD(batch->count == 1);
    if (batch->events->type == EVENT_DEAD)
        check_dead(d, batch, true);
    else
        check_round(d, batch, other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_decoder *with_key, *without;
    static const uint8_t none[1];
    if (!with_key) {
        with_key = event_decoder_new(check_only, NULL, pseudonym_scrub);
        without = event_decoder_new(NULL, NULL, pseudonym_scrub);
        MUST_HOLD(with_key && without);
    }
    run(with_key, size ? data : none, size);
    if (size >= 4 && memmem(data, size, "rrn:", 4))
        run(without, data, size);
    return 0;
}
