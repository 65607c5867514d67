/* SPDX-License-Identifier: MIT
 *
 * Writes a decoded event as JSON by the same tables that decode it: no event type is known here. */
#include "workers/event_render.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "workers/allocation.h"
#include "workers/event_value.h"

static void put_text(yajl_gen g, const char *text, size_t len)
{
    yajl_gen_string(g, (const unsigned char *)text, len);
}

static void put(yajl_gen g, const char *text)
{
    put_text(g, text, strlen(text));
}

static void put_words(yajl_gen g, const char *const *words, int64_t bits, int count)
{
    yajl_gen_array_open(g);
    for (int i = 0; i < count && words[i]; i++)
        if (bits >> i & 1)
            put(g, words[i]);
    yajl_gen_array_close(g);
}

static void put_home_language(yajl_gen g, int64_t v)
{
    static const char *const members[] = {"mother", "father", "siblings"};
    const int64_t digits[] = {v / 9, v / 3 % 3, v % 3};

    yajl_gen_map_open(g);
    for (int i = 0; i < 3; i++) {
        put(g, members[i]);
        if (digits[i])
            yajl_gen_bool(g, digits[i] == 2);
        else
            yajl_gen_null(g);
    }
    yajl_gen_map_close(g);
}

static void put_value(yajl_gen g, const struct event_batch *b, const struct column *c, const struct value *v)
{
    char text[40];
    int y, m, d, n = 0;

    switch (c->kind) {
    case COLUMN_SCHOOL_ID:
        snprintf(text, sizeof(text), "%" PRId64, v->num);
        put(g, text);
        break;
    case COLUMN_YEAR:
        year_format((int)v->num, text);
        put(g, text);
        break;
    case COLUMN_PUPIL:
        for (int i = 0; i < 16; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", v->pupil[i]);
        put(g, text);
        break;
    case COLUMN_PUPIL_KEY:
        snprintf(text, sizeof(text), "%08x", (unsigned)v->num);
        put(g, text);
        break;
    case COLUMN_WORD:
        put(g, c->words[v->num]);
        break;
    case COLUMN_BOOL:
        yajl_gen_bool(g, v->num != 0);
        break;
    case COLUMN_DATE:
        date_to_ymd((int32_t)v->num, &y, &m, &d);
        snprintf(text, sizeof(text), "%04d-%02d-%02d", y, m, d);
        put(g, text);
        break;
    case COLUMN_TEXT:
    case COLUMN_KEY:
        put_text(g, batch_text(b, v->text), v->text.len);
        break;
    case COLUMN_INT:
        yajl_gen_integer(g, v->num);
        break;
    case COLUMN_HALVES:
        yajl_gen_number(g, v->num == 2 ? "1" : "0.5", v->num == 2 ? 1 : 3);
        break;
    case COLUMN_INDICATORS:
        put_words(g, indicator_names, v->num, IND_COUNT);
        break;
    case COLUMN_HOME_LANGUAGE:
        put_home_language(g, v->num);
        break;
    case COLUMN_WORDS:
        put_words(g, c->words, v->num, 63);
        break;
    case COLUMN_JSON:
        yajl_gen_number(g, batch_text(b, v->text), v->text.len); /* as it stands */
        break;
    }
}

static void put_data(yajl_gen g, const struct event_batch *b, const struct event *e)
{
    const struct event_kind *kind = &event_kinds[e->type];
    const struct column *columns = log_tables[kind->table].columns;

    yajl_gen_map_open(g);
    for (int i = 0; i < kind->field_count; i++) {
        const struct field *f = &kind->fields[i];

        if (event_is_null(e, f->column))
            continue;
        put(g, f->json_name ? f->json_name : columns[f->column].name);
        put_value(g, b, &columns[f->column], &event_values(b, e)[f->column]);
    }
    yajl_gen_map_close(g);
}

/* Which keys its pupils stand under. */
static void put_keys(yajl_gen g, const struct event_batch *b, const struct event *e)
{
    const struct log_table *t = &log_tables[event_kinds[e->type].table];

    for (int i = 0; i < t->count; i++) {
        if (t->columns[i].kind != COLUMN_PUPIL_KEY || event_is_null(e, i))
            continue;
        put(g, t->columns[i].old ? ATTRIBUTE_OLD_PUPIL_KEY : ATTRIBUTE_PUPIL_KEY);
        put_value(g, b, &t->columns[i], &event_values(b, e)[i]);
    }
}

static void put_time(yajl_gen g, int64_t us)
{
    int64_t seconds = us / 1000000;
    char text[48];
    int y, m, d;

    date_to_ymd((int32_t)(seconds / 86400), &y, &m, &d);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", y, m, d, (int)(seconds / 3600 % 24),
             (int)(seconds / 60 % 60), (int)(seconds % 60), (int)(us % 1000000));
    put(g, text);
}

char *event_render(const struct event_batch *b, const struct event *e)
{
    yajl_gen g = yajl_gen_alloc(NULL);
    const unsigned char *text;
    size_t len;
    char *out = NULL;

    if (!g)
        return NULL;
    yajl_gen_map_open(g);
    put(g, "specversion");
    put(g, "1.0");
    put(g, "type");
    put(g, event_kinds[e->type].type);
    put(g, "id");
    put_text(g, batch_text(b, e->id), e->id.len);
    put(g, "source");
    put_text(g, batch_text(b, e->source), e->source.len);
    put(g, "time");
    put_time(g, e->time_us);
    put_keys(g, b, e);
    put(g, "data");
    put_data(g, b, e);
    yajl_gen_map_close(g);
    if (yajl_gen_get_buf(g, &text, &len) == yajl_gen_status_ok)
        out = strndup((const char *)text, len);
    yajl_gen_free(g);
    return out;
}
