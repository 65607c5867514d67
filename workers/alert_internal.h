/* SPDX-License-Identifier: MIT
 *
 * How an alert's summary and detail are written, shared by alert.c (allocations, counts, streams) and
 * alert_subject.c (inspections, huisonderwijs, meldingen): clean text, one growing sentence, one JSON object. */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "workers/alert.h"

/* ---- text ---- */

/* Length of the whole UTF-8 character at p, 0 when there is none. */
static inline size_t character_length(const unsigned char *p)
{
    size_t len = *p < 0x80                 ? 1
                 : *p >= 0xc2 && *p < 0xe0 ? 2
                 : (*p & 0xf0) == 0xe0     ? 3
                 : *p >= 0xf0 && *p < 0xf5 ? 4
                                           : 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

/* Copies printable UTF-8 up to room - 1 bytes; anything else becomes '?', what does not fit "...". */
static inline const char *clean_text(const char *text, char *out, size_t room)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t used = 0, fits = 0; /* fits: where "..." still has room */
    while (*p) {
        size_t len = character_length(p), width = len ? len : 1;
        if (used + width + 1 > room) {
            memcpy(out + fits, "...", 4);
            return out;
        }
        if (len == 0 || *p < 0x20 || *p == 0x7f)
            memset(out + used, '?', width);
        else
            memcpy(out + used, p, width);
        used += width;
        p += width;
        if (used + 4 <= room)
            fits = used;
    }
    out[used] = '\0';
    return out;
}

struct sentence {
    char *out;
    size_t room, used;
};

static inline void __attribute__((format(printf, 2, 3))) say(struct sentence *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(s->out + s->used, s->room - s->used, format, arguments);
    va_end(arguments);
    if (n > 0)
        s->used = s->used + (size_t)n < s->room ? s->used + (size_t)n : s->room - 1;
}

#define NAME_ROOM   84  /* of a school's name in an alert */
#define SOURCE_ROOM 400 /* the longest source: 300 bytes, and what carrying over adds */

static inline void say_school(struct sentence *s, uint32_t school_id, const char *name)
{
    char clean[NAME_ROOM];
    say(s, "School %u", school_id);
    if (name && *name)
        say(s, " (%s)", clean_text(name, clean, sizeof clean));
}

static inline const char *halves_text(int64_t halves, char out[EXACT_TEXT_MAX])
{
    exact_format(exact_from_halves(halves), out);
    return out;
}

static inline const char *percent_text(struct exact share, char out[EXACT_TEXT_MAX])
{
    exact_format(exact_mul(share, exact_from_int(100)), out);
    return out;
}

/* ---- JSON ---- */

static inline void put_text(yajl_gen g, const char *text)
{
    yajl_gen_string(g, (const unsigned char *)text, strlen(text));
}

static inline void put_field(yajl_gen g, const char *name, const char *text)
{
    put_text(g, name);
    put_text(g, text);
}

static inline void put_bool(yajl_gen g, const char *name, bool value)
{
    put_text(g, name);
    yajl_gen_bool(g, value);
}

static inline void put_int(yajl_gen g, const char *name, int64_t value)
{
    put_text(g, name);
    yajl_gen_integer(g, value);
}

static inline void put_exact(yajl_gen g, const char *name, bool has, struct exact value)
{
    char text[EXACT_TEXT_MAX];
    put_text(g, name);
    exact_format(value, text);
    if (has)
        yajl_gen_number(g, text, strlen(text));
    else
        yajl_gen_null(g);
}

static inline void put_maybe_int(yajl_gen g, const char *name, bool has, int32_t value)
{
    put_exact(g, name, has, exact_from_int(value));
}

static inline void put_school(yajl_gen g, const char *name, uint32_t school_id)
{
    char text[16];
    snprintf(text, sizeof text, "%u", school_id);
    put_field(g, name, text);
}

static inline void put_year(yajl_gen g, const char *name, int year)
{
    char text[YEAR_TEXT_MAX];
    year_format(year, text);
    put_field(g, name, text);
}

/* Whether the object fitted into out. */
static inline bool finish_detail(yajl_gen g, char out[ALERT_DETAIL_MAX])
{
    const unsigned char *text;
    size_t len;
    yajl_gen_map_close(g);
    bool fits = yajl_gen_get_buf(g, &text, &len) == yajl_gen_status_ok && len < ALERT_DETAIL_MAX;
    if (fits) {
        memcpy(out, text, len);
        out[len] = '\0';
    } else {
        strcpy(out, "{}");
    }
    yajl_gen_free(g);
    return fits;
}

static inline yajl_gen begin_detail(void)
{
    yajl_gen g = yajl_gen_alloc(NULL);
    if (g)
        yajl_gen_map_open(g);
    return g;
}

/* ---- keys ---- */

static inline void open_alert(struct alert *out, uint32_t school_id, int year, int group, const char *stream,
                              const char *subject)
{
    enum alert_kind kind = out->key.kind;
    enum severity severity = out->severity;
    memset(out, 0, sizeof *out); /* keys are compared as text, but stored and hashed as bytes by others */
    out->key.kind = kind;
    out->severity = severity;
    out->firing = true;
    out->key.school_id = school_id;
    out->key.year = year;
    out->key.group = group;
    clean_text(stream, out->key.stream, sizeof out->key.stream);
    clean_text(subject, out->key.subject, sizeof out->key.subject);
}
