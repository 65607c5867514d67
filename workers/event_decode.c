/* SPDX-License-Identifier: MIT
 *
 * One CloudEvents line into one event of a batch, by the tables: first the envelope, then the fields of its
 * type, then the rules across fields. Whatever one event alone proves wrong becomes a dead letter with a
 * reason that names the field, what was expected and what was found (P4). What depends on other events is not
 * decided here. No national register number leaves this file: pupils become pseudonyms, kept texts and
 * reasons are scrubbed (P6). */
#include "workers/event.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire.h"
#include "workers/event_json.h"
#include "workers/event_value.h"

#define TEXT_MAX   512 /* bytes of id, source and every COLUMN_TEXT */
#define KEY_MAX    64  /* of every COLUMN_KEY */
#define REASON_MAX 512
#define FOUND_MAX  40 /* bytes of what was found that a reason shows */
#define JSON_MAX   65536

enum {
    ATTR_SPECVERSION,
    ATTR_ID,
    ATTR_SOURCE,
    ATTR_TYPE,
    ATTR_TIME,
    ATTR_SUBJECT,
    ATTR_DATA,
    ATTR_OVERSIZE,
    ATTR_PUPIL_KEY, /* these three: written by teldag-feed, see pseudonym_line.h */
    ATTR_OLD_PUPIL_KEY,
    ATTR_PUPIL_FAULT,
    ATTR_COUNT
};

struct event_decoder {
    struct json_parser *parser;
    pupil_pseudonym_fn pseudonym;
    const void *context;
    scrub_fn scrub;
    const struct event_kind *kinds;
    int kind_count;
    const struct log_table *tables;
    struct json_span types[EVENT_TYPE_COUNT];                    /* names of kinds */
    struct json_span also[EVENT_TYPE_COUNT];                     /* their second names */
    struct json_span names[EVENT_TYPE_COUNT][EVENT_COLUMNS_MAX]; /* names of their fields */
    const struct json_token *attributes[ATTR_COUNT];             /* of the line at hand */
    int year; /* its data.school_year; 0: none that can be read */
    char reason[REASON_MAX];
};

#define ATTR(s)                                                                                              \
    {                                                                                                        \
        s, sizeof(s) - 1                                                                                     \
    }
static const struct json_span attribute_names[ATTR_COUNT] = {
    ATTR("specversion"),
    ATTR("id"),
    ATTR("source"),
    ATTR("type"),
    ATTR("time"),
    ATTR("subject"),
    ATTR("data"),
    ATTR("teldagd_oversize"),
    ATTR(ATTRIBUTE_PUPIL_KEY),
    ATTR(ATTRIBUTE_OLD_PUPIL_KEY),
    ATTR(ATTRIBUTE_PUPIL_FAULT),
};

static struct json_span span_of(const char *text)
{
    return (struct json_span){text, (uint32_t)strlen(text)};
}

static bool span_equal(struct json_span a, struct json_span b)
{
    return json_span_is(a, b.at, b.len);
}

struct event_decoder *event_decoder_new(pupil_pseudonym_fn pseudonym, const void *context, scrub_fn scrub)
{
    struct event_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->parser = event_json_new();
    if (!d->parser) {
        free(d);
        return NULL;
    }
    d->pseudonym = pseudonym;
    d->context = context;
    d->scrub = scrub;
    event_decoder_use_tables(d, event_kinds, EVENT_TYPE_COUNT, log_tables);
    return d;
}

void event_decoder_use_tables(struct event_decoder *d, const struct event_kind *kinds, int kind_count,
                              const struct log_table *tables)
{
    d->kinds = kinds;
    d->kind_count = kind_count;
    d->tables = tables;
    for (int k = 0; k < kind_count; k++) {
        const struct log_table *table = tables + kinds[k].table;
        d->types[k] = span_of(kinds[k].type);
        d->also[k] = span_of(kinds[k].also ? kinds[k].also : kinds[k].type);
        for (int i = 0; i < kinds[k].field_count; i++) {
            const struct field *f = kinds[k].fields + i;
            d->names[k][i] = span_of(f->json_name ? f->json_name : table->columns[f->column].name);
        }
    }
}

void event_decoder_free(struct event_decoder **decoder)
{
    if (!*decoder)
        return;
    event_json_free(&(*decoder)->parser);
    free(*decoder);
    *decoder = NULL;
}

/* Reasons. */

static int refuse(struct event_decoder *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(struct event_decoder *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(d->reason, sizeof d->reason, format, args);
    va_end(args);
    return ERR_INVALID;
}

/* A piece of input as a reason may show it: scrubbed first (a cut through a number would hide it), then cut
 * to FOUND_MAX bytes between two characters, on one line. */
struct found {
    char text[FOUND_MAX + 8];
};
static struct found show_text(const struct event_decoder *d, struct json_span s, const char *quote)
{
    char copy[8 * FOUND_MAX]; /* room for a whole number in its widest spelling behind what is shown */
    struct found f;
    size_t len = s.len < sizeof copy ? s.len : sizeof copy;
    if (len)
        memcpy(copy, s.at, len);
    if (d->scrub)
        len = d->scrub(copy, len);
    size_t cut = len < FOUND_MAX ? len : FOUND_MAX;
    while (cut > 0 && cut < len && ((unsigned char)copy[cut] & 0xc0) == 0x80)
        cut--;
    for (size_t i = 0; i < cut; i++)
        if ((unsigned char)copy[i] < ' ' || copy[i] == 0x7f)
            copy[i] = '?';
    snprintf(f.text, sizeof f.text, "%s%.*s%s%s", quote, (int)cut, copy, cut < len ? "..." : "", quote);
    return f;
}

static struct found show_token(const struct event_decoder *d, const struct json_token *t)
{
    static const char *const words[] = {"null", "false", "true", "", "", "an object", "a list"};
    struct found f;
    if (t->type == JSON_STRING)
        return show_text(d, t->text, "\"");
    if (t->type == JSON_NUMBER)
        return show_text(d, t->text, "");
    snprintf(f.text, sizeof f.text, "%s", words[t->type]);
    return f;
}

/* A member being read: its full name for reasons ("data.", "weight"). */
struct member {
    const char *prefix;
    struct json_span name;
    const struct json_token *token;
};

static int refuse_member(struct event_decoder *d, const struct member *m, const char *expected)
{
    struct found f = show_token(d, m->token);
    return refuse(d, "%s%.*s: must be %s, is %s", m->prefix, (int)m->name.len, m->name.at, expected, f.text);
}

/* "... must be one of bao so bubao, is ..." */
static int refuse_word(struct event_decoder *d, const struct member *m, const char *what,
                       const char *const *words, int count, const struct json_token *found)
{
    char list[300] = "";
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? " " : "", words[i]);
    struct found f = show_token(d, found);
    return refuse(d, "%s%.*s: must be %s of %s, %s %s", m->prefix, (int)m->name.len, m->name.at, what, list,
                  found == m->token ? "is" : "has", f.text);
}

/* Texts. */

/* Fewer digits hold no national register number: most texts need no scrubbing. */
static bool has_11_digits(const char *s, size_t len)
{
    int digits = 0;
    for (size_t i = 0; i < len; i++)
        digits += (s[i] >= '0' && s[i] <= '9') ||
                  s[i] < 0; /* a digit of another script has at least one such byte */
    return digits >= 11;
}

static void scrub_last_text(const struct event_decoder *d, struct event_batch *b, struct text *t)
{
    if (!d->scrub || !has_11_digits(b->arena + t->offset, t->len))
        return;
    t->len = (uint32_t)d->scrub(b->arena + t->offset, t->len);
    b->arena_len = t->offset + t->len;
}

static int read_text(struct event_decoder *d, struct event_batch *b, const struct member *m, uint32_t min,
                     struct text *out)
{
    const struct json_token *t = m->token;
    if (t->type != JSON_STRING)
        return refuse_member(d, m, "text");
    if (t->text.len > TEXT_MAX)
        return refuse(d, "%s%.*s: must be text of at most %d bytes, is %" PRIu32 " bytes", m->prefix,
                      (int)m->name.len, m->name.at, TEXT_MAX, t->text.len);
    if (t->text.len < min)
        return refuse_member(d, m, "text that is not empty");
    int err = batch_add_text(b, t->text.at, t->text.len, out);
    if (!err && t->text.len)
        scrub_last_text(d, b, out);
    return err;
}

/* The key of an entity. Scrubbing could make one key of two, so what would be scrubbed is refused. */
static int read_key(struct event_decoder *d, struct event_batch *b, const struct member *m, struct text *out)
{
    const struct json_token *t = m->token;
    char copy[KEY_MAX];
    if (t->type != JSON_STRING || t->text.len < 1 || t->text.len > KEY_MAX)
        return refuse_member(d, m, "text of 1 to 64 bytes");
    memcpy(copy, t->text.at, t->text.len);
    if (memmem(copy, t->text.len, "rrn:#", 5) ||
        (d->scrub && has_11_digits(copy, t->text.len) && d->scrub(copy, t->text.len) != t->text.len))
        return refuse(d, "%s%.*s: has 11 digits like a national register number, which no key may have",
                      m->prefix, (int)m->name.len, m->name.at);
    return batch_add_text(b, t->text.at, t->text.len, out);
}

/* Columns. Each reader takes a token that is not null and refuses it or sets the column. */

struct target {
    struct event_batch *batch;
    struct event *event;
    const struct column *column;
    int index;
    const struct column *key; /* of a pupil: the column behind it that holds its key's id; else NULL */
};

static int word_index(const char *const *words, int count, const struct json_token *t)
{
    if (t->type != JSON_STRING)
        return -1;
    for (int i = 0; i < count; i++)
        if (strncmp(words[i], t->text.at, t->text.len) == 0 && words[i][t->text.len] == '\0')
            return i;
    return -1;
}

static int count_words(const char *const *words)
{
    int n = 0;
    while (words[n])
        n++;
    return n;
}

static int read_word(struct event_decoder *d, const struct target *to, const struct member *m)
{
    int count = count_words(to->column->words), i = word_index(to->column->words, count, m->token);
    if (i < 0)
        return refuse_word(d, m, "one", to->column->words, count, m->token);
    event_set_num(to->batch, to->event, to->index, i);
    return 0;
}

/* A list of distinct known words as bits. */
static int read_words(struct event_decoder *d, const struct target *to, const struct member *m,
                      const char *const *words, int count)
{
    const struct json_token *list = m->token;
    if (list->type != JSON_LIST)
        return refuse_word(d, m, "a list", words, count, list);
    uint32_t token_count;
    const struct json_token *tokens = event_json_tokens(d->parser, &token_count);
    int64_t bits = 0;
    for (uint32_t t = (uint32_t)(list - tokens) + 1; t < list->next; t = tokens[t].next) {
        int i = word_index(words, count, tokens + t);
        if (i < 0)
            return refuse_word(d, m, "a list", words, count, tokens + t);
        if (bits >> i & 1)
            return refuse(d, "%s%.*s: must be distinct, has %s twice", m->prefix, (int)m->name.len,
                          m->name.at, words[i]);
        bits |= (int64_t)1 << i;
    }
    if (!bits && to->column->kind == COLUMN_WORDS)
        return refuse(d, "%s%.*s: must be a list of at least one, is empty", m->prefix, (int)m->name.len,
                      m->name.at);
    event_set_num(to->batch, to->event, to->index, bits);
    return 0;
}

static int read_home_language(struct event_decoder *d, const struct target *to, const struct member *m)
{
    static const struct json_span names[3] = {ATTR("mother"), ATTR("father"), ATTR("siblings")};
    static const int weights[3] = {9, 3, 1};
    const struct json_token *object = m->token;
    if (object->type != JSON_OBJECT)
        return refuse_member(d, m, "an object of mother, father, siblings");
    uint32_t token_count;
    const struct json_token *tokens = event_json_tokens(d->parser, &token_count);
    int declared = 0;
    for (uint32_t t = (uint32_t)(object - tokens) + 1; t < object->next; t = tokens[t].next)
        for (int i = 0; i < 3; i++) {
            if (!span_equal(tokens[t].key, names[i]))
                continue;
            if (tokens[t].type > JSON_TRUE)
                return refuse_member(d, &(struct member){"data.home_language.", names[i], tokens + t},
                                     "true, false or null");
            declared += weights[i] * (int)tokens[t].type; /* null absent 0, false 1, true 2 */
        }
    event_set_num(to->batch, to->event, to->index, declared);
    return 0;
}
_Static_assert(JSON_NULL == 0 && JSON_FALSE == 1 && JSON_TRUE == 2, "the digits of COLUMN_HOME_LANGUAGE");

static int read_int(struct event_decoder *d, const struct target *to, const struct member *m)
{
    struct decimal n;
    bool good = m->token->type == JSON_NUMBER &&
                value_parse_decimal(m->token->text.at, m->token->text.len, &n) && n.exponent >= 0 &&
                n.exponent <= 18;
    for (; good && n.exponent > 0; n.exponent--)
        good = !__builtin_mul_overflow(n.mantissa, 10, &n.mantissa);
    if (!good || n.mantissa < to->column->min || n.mantissa > to->column->max) {
        char expected[80];
        snprintf(expected, sizeof expected, "an integer of %" PRId64 " to %" PRId64, to->column->min,
                 to->column->max);
        return refuse_member(d, m, expected);
    }
    event_set_num(to->batch, to->event, to->index, n.mantissa);
    return 0;
}

static int read_halves(struct event_decoder *d, const struct target *to, const struct member *m)
{
    struct decimal n = {0};
    bool good =
        m->token->type == JSON_NUMBER && value_parse_decimal(m->token->text.at, m->token->text.len, &n);
    bool one = good && n.mantissa == 1 && n.exponent == 0, half = good && n.mantissa == 5 && n.exponent == -1;
    if (!one && !half)
        return refuse_member(d, m, "1 or 0.5");
    event_set_num(to->batch, to->event, to->index, one ? 2 : 1);
    return 0;
}

/* dated: it names the school year of its key itself, "rrn:<11 digits>@2024-2025". */
static bool is_national_number(struct json_span s, bool dated)
{
    if (s.len != (dated ? 25 : 15) || memcmp(s.at, "rrn:", 4) != 0 || (dated && s.at[15] != '@'))
        return false;
    for (int i = 4; i < 15; i++)
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
    return true;
}

/* Why teldag-feed left rrn:# in the place of a number. */
static const char *feeder_fault(const struct json_token *t)
{
    static const char *const texts[PUPIL_FAULT_COUNT] = {
        [PUPIL_NO_FAULT] = "no key, no school year, or wrong check number",
        [PUPIL_NO_KEY] = "it has no pseudonym key",
        [PUPIL_NO_YEAR] = "the event names no school year to choose the key by",
        [PUPIL_NO_YEAR_KEY] = "it has no pseudonym key of that school year",
        [PUPIL_CHECK_NUMBER] = "wrong check number",
    };
    for (int i = 1; t && t->type == JSON_STRING && i < PUPIL_FAULT_COUNT; i++)
        if (span_equal(t->text, span_of(pupil_fault_words[i])))
            return texts[i];
    return texts[PUPIL_NO_FAULT];
}

/* A national register number becomes its pseudonym here, or the event dies; no reason shows what it was. */
static int replace_national_number(struct event_decoder *d, const struct member *m, int year,
                                   const char digits[11], uint8_t pupil[16], uint32_t *key_id)
{
    int err;
    if (!d->pseudonym)
        return refuse(d, "%s%.*s: national register number, and no pseudonym key is configured", m->prefix,
                      (int)m->name.len, m->name.at);
    if (!year)
        return refuse(d,
                      "%s%.*s: national register number, and no school year to choose the pseudonym key by",
                      m->prefix, (int)m->name.len, m->name.at);
    err = d->pseudonym(d->context, year, digits, pupil, key_id);
    if (err == ERR_MISSING)
        return refuse(
            d, "%s%.*s: national register number, and no pseudonym key of school year %d-%d is configured",
            m->prefix, (int)m->name.len, m->name.at, year, year + 1);
    if (err && err != ERR_NOMEM)
        return refuse(d, "%s%.*s: national register number with a wrong check number", m->prefix,
                      (int)m->name.len, m->name.at);
    return err;
}

/* The key id an event brings along for a pupil that is a pseudonym already; null: it says none. */
static int read_key_id(struct event_decoder *d, const struct target *to)
{
    int attribute = to->key->old ? ATTR_OLD_PUPIL_KEY : ATTR_PUPIL_KEY;
    const struct json_token *t = d->attributes[attribute];
    uint32_t id = 0;
    if (!t || t->type == JSON_NULL)
        return 0;
    bool good = t->type == JSON_STRING && t->text.len == 8;
    for (uint32_t i = 0; good && i < 8; i++) {
        int digit = value_hex_digit(t->text.at[i]);
        good = digit >= 0;
        id = id << 4 | (uint32_t)(digit & 15);
    }
    if (!good)
        return refuse_member(d, &(struct member){"", attribute_names[attribute], t},
                             "the id of a key, 8 hex digits");
    event_set_num(to->batch, to->event, to->index + 1, id);
    return 0;
}

static const char plain_pupil[] = "32 hex digits, or rrn: and 11 digits";
static const char dated_pupil[] = "32 hex digits, or rrn:, 11 digits, @ and a school year";

static int read_pupil(struct event_decoder *d, const struct target *to, const struct member *m)
{
    const struct json_token *t = m->token;
    uint8_t *pupil = to->batch->values[to->event->first_value + (uint32_t)to->index].pupil;
    bool dated = to->column->dated;
    int64_t year = d->year;
    uint32_t key_id;
    int err = 0;
    if (t->type != JSON_STRING)
        return refuse_member(d, m, dated ? dated_pupil : plain_pupil);
    if (json_span_is(t->text, "rrn:#", 5) ||
        (dated && t->text.len > 5 && memcmp(t->text.at, "rrn:#", 5) == 0))
        return refuse(d, "%s%.*s: national register number removed by the feeder (%s)", m->prefix,
                      (int)m->name.len, m->name.at, feeder_fault(d->attributes[ATTR_PUPIL_FAULT]));
    if (is_national_number(t->text, dated)) {
        if (dated && !value_parse_year(t->text.at + 16, 9, &year))
            year = 0;
        err = replace_national_number(d, m, (int)year, t->text.at + 4, pupil, &key_id);
        if (!err && to->key)
            event_set_num(to->batch, to->event, to->index + 1, key_id);
    } else if (!value_parse_pupil(t->text.at, t->text.len, pupil)) {
        return refuse(d, "%s%.*s: must be %s, is %" PRIu32 " bytes of other text", m->prefix,
                      (int)m->name.len, m->name.at, dated ? dated_pupil : plain_pupil, t->text.len);
    } else if (value_has_long_repeat(t->text.at, t->text.len)) {
        return refuse(
            d,
            "%s%.*s: must be a pseudonym, has one hex digit %d times in a row like a number that was padded",
            m->prefix, (int)m->name.len, m->name.at, PUPIL_REPEAT_MAX);
    } else if (to->key) {
        err = read_key_id(d, to);
    }
    if (!err)
        to->event->nulls &= ~(1u << to->index);
    return err;
}

/* An object of strings, written again as JSON. */
static int write_json_text(struct event_batch *b, struct json_span s, struct text *out)
{
    static const char hex[] = "0123456789abcdef";
    int err = batch_add_text(b, "\"", 1, out);
    uint32_t from = 0;
    for (uint32_t i = 0; i < s.len && !err; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (c >= ' ' && c != '"' && c != '\\')
            continue;
        char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        err = batch_add_text(b, s.at + from, i - from, out);
        if (!err)
            err = batch_add_text(b, escape, sizeof escape, out);
        from = i + 1;
    }
    if (!err)
        err = batch_add_text(b, s.at + from, s.len - from, out);
    return err ? err : batch_add_text(b, "\"", 1, out);
}

/* One member of a COLUMN_JSON: a key the column knows, and a text it knows. */
static int check_json_member(struct event_decoder *d, const struct column *column, const struct member *m,
                             const struct json_token *t)
{
    struct found key = show_text(d, t->key, "");
    const struct json_token name = {.text = t->key, .type = JSON_STRING};
    if (column->keys && word_index(column->keys, count_words(column->keys), &name) < 0)
        return refuse_word(d, m, "an object", column->keys, count_words(column->keys), &name);
    if (t->type == JSON_NULL && column->null_members)
        return 0;
    if (t->type != JSON_STRING)
        return refuse(d, "%s%.*s.%s: must be text%s, is %s", m->prefix, (int)m->name.len, m->name.at,
                      key.text, column->null_members ? " or null" : "", show_token(d, t).text);
    if (column->words && word_index(column->words, count_words(column->words), t) < 0) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%s%.*s.", m->prefix, (int)m->name.len, m->name.at);
        return refuse_word(d, &(struct member){prefix, t->key, t}, "one", column->words,
                           count_words(column->words), t);
    }
    return 0;
}

static int read_json(struct event_decoder *d, const struct target *to, const struct member *m)
{
    const struct json_token *object = m->token;
    if (object->type != JSON_OBJECT)
        return refuse_member(d, m, "an object of texts");
    uint32_t token_count;
    const struct json_token *tokens = event_json_tokens(d->parser, &token_count);
    struct text whole, piece;
    int err = batch_add_text(to->batch, "{", 1, &whole);
    for (uint32_t t = (uint32_t)(object - tokens) + 1; t < object->next && !err; t = tokens[t].next) {
        err = check_json_member(d, to->column, m, tokens + t);
        if (!err && t > (uint32_t)(object - tokens) + 1)
            err = batch_add_text(to->batch, ",", 1, &piece);
        if (!err)
            err = write_json_text(to->batch, tokens[t].key, &piece);
        if (!err)
            err = batch_add_text(to->batch, ":", 1, &piece);
        if (!err && tokens[t].type == JSON_NULL)
            err = batch_add_text(to->batch, "null", 4, &piece);
        else if (!err)
            err = write_json_text(to->batch, tokens[t].text, &piece);
    }
    if (!err)
        err = batch_add_text(to->batch, "}", 1, &piece);
    if (err)
        return err;
    whole.len = (uint32_t)(to->batch->arena_len - whole.offset);
    if (whole.len > JSON_MAX)
        return refuse(d, "%s%.*s: must be at most %d bytes, is %" PRIu32, m->prefix, (int)m->name.len,
                      m->name.at, JSON_MAX, whole.len);
    scrub_last_text(d, to->batch, &whole);
    event_set_text(to->batch, to->event, to->index, whole);
    return 0;
}

static int read_bool(struct event_decoder *d, const struct target *to, const struct member *m)
{
    if (m->token->type != JSON_TRUE && m->token->type != JSON_FALSE)
        return refuse_member(d, m, "true or false");
    event_set_num(to->batch, to->event, to->index, m->token->type == JSON_TRUE);
    return 0;
}

/* A string that one of value_parse_*() turns into a number. */
static int read_parsed(struct event_decoder *d, const struct target *to, const struct member *m,
                       bool (*parse)(const char *, size_t, int64_t *), const char *expected)
{
    int64_t n;
    if (m->token->type != JSON_STRING || !parse(m->token->text.at, m->token->text.len, &n))
        return refuse_member(d, m, expected);
    event_set_num(to->batch, to->event, to->index, n);
    return 0;
}

static int read_column_text(struct event_decoder *d, const struct target *to, const struct member *m)
{
    struct text text;
    int err = to->column->kind == COLUMN_KEY ? read_key(d, to->batch, m, &text)
                                             : read_text(d, to->batch, m, 0, &text);
    if (!err)
        event_set_text(to->batch, to->event, to->index, text);
    return err;
}

static int read_column(struct event_decoder *d, const struct target *to, const struct member *m)
{
    switch (to->column->kind) {
    case COLUMN_SCHOOL_ID:
        return read_parsed(d, to, m, value_parse_school_id, "text of 1 to 9 digits without leading zero");
    case COLUMN_YEAR:
        return read_parsed(d, to, m, value_parse_year, "a school year like \"2024-2025\"");
    case COLUMN_DATE:
        return read_parsed(d, to, m, value_parse_date, "a date like \"2025-02-03\", 1900 to 2099");
    case COLUMN_PUPIL:
        return read_pupil(d, to, m);
    case COLUMN_PUPIL_KEY:
        break; /* never a field */
    case COLUMN_WORD:
        return read_word(d, to, m);
    case COLUMN_BOOL:
        return read_bool(d, to, m);
    case COLUMN_TEXT:
    case COLUMN_KEY:
        return read_column_text(d, to, m);
    case COLUMN_INT:
        return read_int(d, to, m);
    case COLUMN_HALVES:
        return read_halves(d, to, m);
    case COLUMN_INDICATORS:
        return read_words(d, to, m, indicator_names, IND_COUNT);
    case COLUMN_HOME_LANGUAGE:
        return read_home_language(d, to, m);
    case COLUMN_WORDS:
        return read_words(d, to, m, to->column->words, count_words(to->column->words));
    case COLUMN_JSON:
        return read_json(d, to, m);
    }
    abort(); /* a field of a kind without a reader is our own bug */
}

/* Fields. */

/* Members of an object by name: found[i] for names[i], NULL when absent. Others are ignored. Members mostly
 * come in the order of the table, so the search starts behind the last hit. */
static void find_members(const struct event_decoder *d, const struct json_token *object,
                         const struct json_span *names, int count, const struct json_token **found)
{
    uint32_t token_count;
    const struct json_token *tokens = event_json_tokens(d->parser, &token_count);
    int hint = 0;
    memset(found, 0, (size_t)count * sizeof *found);
    for (uint32_t t = (uint32_t)(object - tokens) + 1; t < object->next; t = tokens[t].next) {
        for (int n = 0, i = hint; n < count; n++, i = i + 1 < count ? i + 1 : 0) {
            if (!span_equal(tokens[t].key, names[i]))
                continue;
            found[i] = tokens + t;
            hint = i + 1 < count ? i + 1 : 0;
            break;
        }
    }
}

static int read_field(struct event_decoder *d, const struct target *to, const struct field *f,
                      const struct member *m)
{
    if (m->token && !(m->token->type == JSON_NULL && f->need == NEED_OR_NULL))
        return read_column(d, to, m);
    if (!m->token && f->need == NEED_REQUIRED)
        return refuse(d, "%s%.*s: missing", m->prefix, (int)m->name.len, m->name.at);
    if (f->need == NEED_OPTIONAL)
        event_set_num(to->batch, to->event, to->index, f->fallback);
    return 0;
}

static const struct column *key_column(const struct log_table *table, int column)
{
    const struct column *next = table->columns + column + 1;
    return column + 1 < table->count && next->kind == COLUMN_PUPIL_KEY ? next : NULL;
}

/* The school year that chooses the key of the event's pupil, which may stand before it; 0: none. */
static int find_year(const struct log_table *table, const struct event_kind *kind,
                     const struct json_token **found)
{
    int64_t year;
    for (int i = 0; i < kind->field_count; i++) {
        const struct json_token *t = found[i];
        if (table->columns[kind->fields[i].column].kind == COLUMN_YEAR && t && t->type == JSON_STRING &&
            value_parse_year(t->text.at, t->text.len, &year))
            return (int)year;
    }
    return 0;
}

static int read_data(struct event_decoder *d, struct event_batch *b, struct event *e,
                     const struct json_token *data)
{
    const struct event_kind *kind = d->kinds + e->type;
    const struct log_table *table = d->tables + kind->table;
    const struct json_token *found[EVENT_COLUMNS_MAX];
    find_members(d, data, d->names[e->type], kind->field_count, found);
    d->year = find_year(table, kind, found);
    for (int i = 0; i < kind->field_count; i++) {
        const struct field *f = kind->fields + i;
        const struct target to = {b, e, table->columns + f->column, f->column, key_column(table, f->column)};
        int err = read_field(d, &to, f, &(struct member){"data.", d->names[e->type][i], found[i]});
        if (err)
            return err;
    }
    const char *wrong = kind->check ? kind->check(b, e) : NULL;
    return wrong ? refuse(d, "%s", wrong) : 0;
}

/* subject, when there is one, equals data.school_id of events that have it; the id has one spelling only. */
static int check_subject(struct event_decoder *d, const struct event_batch *b, const struct event *e,
                         const struct json_token *subject)
{
    const struct event_kind *kind = d->kinds + e->type;
    const struct log_table *table = d->tables + kind->table;
    if (!subject || subject->type == JSON_NULL)
        return 0;
    if (subject->type != JSON_STRING)
        return refuse_member(d, &(struct member){"", attribute_names[ATTR_SUBJECT], subject}, "text");
    for (int i = 0; i < kind->field_count; i++) {
        int column = kind->fields[i].column;
        if (table->columns[column].kind != COLUMN_SCHOOL_ID ||
            strcmp(table->columns[column].name, "school_id") != 0 || event_is_null(e, column))
            continue;
        int64_t n;
        if (!value_parse_school_id(subject->text.at, subject->text.len, &n) ||
            n != event_values(b, e)[column].num)
            return refuse(d, "subject contradicts school_id");
    }
    return 0;
}

/* The envelope. */

/* What the feeder journalled in place of a line that was too large. */
static int refuse_oversize(struct event_decoder *d, const struct json_token *object)
{
    static const struct json_span names[2] = {ATTR("length"), ATTR("sha256")};
    const struct json_token *found[2];
    uint8_t digest[2][16];
    struct decimal bytes;
    if (object->type != JSON_OBJECT)
        return refuse(d, "too large");
    find_members(d, object, names, 2, found);
    bool good = found[0] && found[0]->type == JSON_NUMBER && found[0]->text.len < 20 &&
                value_parse_decimal(found[0]->text.at, found[0]->text.len, &bytes) && found[1] &&
                found[1]->type == JSON_STRING && found[1]->text.len == 64 &&
                value_parse_pupil(found[1]->text.at, 32, digest[0]) &&
                value_parse_pupil(found[1]->text.at + 32, 32, digest[1]);
    if (!good)
        return refuse(d, "too large");
    return refuse(d, "too large: %.*s bytes, sha256 %.64s", (int)found[0]->text.len, found[0]->text.at,
                  found[1]->text.at);
}

static int require_text(struct event_decoder *d, int attribute, const struct json_token *t)
{
    if (!t)
        return refuse(d, "%s: missing", attribute_names[attribute].at);
    if (t->type != JSON_STRING)
        return refuse_member(d, &(struct member){"", attribute_names[attribute], t}, "text");
    return 0;
}

static int find_kind(struct event_decoder *d, const struct json_token *type, uint16_t *out)
{
    int err = require_text(d, ATTR_TYPE, type);
    if (err)
        return err;
    for (int k = 0; k < d->kind_count; k++)
        if (span_equal(type->text, d->types[k]) || span_equal(type->text, d->also[k])) {
            *out = (uint16_t)k;
            return 0;
        }
    return refuse(d, "type: unknown event type %s", show_text(d, type->text, "\"").text);
}

/* Everything but id and source, which need the batch. */
static int check_envelope(struct event_decoder *d, const struct json_token **a, uint16_t *type,
                          int64_t *time_us)
{
    if (a[ATTR_OVERSIZE])
        return refuse_oversize(d, a[ATTR_OVERSIZE]);
    static const int required[] = {ATTR_SPECVERSION, ATTR_ID, ATTR_SOURCE, ATTR_TIME};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        int err = require_text(d, required[i], a[required[i]]);
        if (err)
            return err;
    }
    if (!json_span_is(a[ATTR_SPECVERSION]->text, "1.0", 3))
        return refuse_member(d, &(struct member){"", attribute_names[ATTR_SPECVERSION], a[ATTR_SPECVERSION]},
                             "\"1.0\"");
    int err = find_kind(d, a[ATTR_TYPE], type);
    if (err)
        return err;
    if (!value_parse_time(a[ATTR_TIME]->text.at, a[ATTR_TIME]->text.len, time_us))
        return refuse_member(d, &(struct member){"", attribute_names[ATTR_TIME], a[ATTR_TIME]},
                             "RFC 3339 with offset, 1970 to 2099");
    if (!a[ATTR_DATA])
        return refuse(d, "data: missing");
    if (a[ATTR_DATA]->type != JSON_OBJECT)
        return refuse_member(d, &(struct member){"", attribute_names[ATTR_DATA], a[ATTR_DATA]}, "an object");
    return 0;
}

static int decode_event(struct event_decoder *d, struct event_batch *b, const struct json_token **a)
{
    uint16_t type = 0;
    int64_t time_us = 0;
    int err = check_envelope(d, a, &type, &time_us);
    if (err)
        return err;
    size_t arena_len = b->arena_len;
    int columns = d->tables[d->kinds[type].table].count;
    struct event *e = event_open(b, columns);
    if (!e)
        return ERR_NOMEM;
    e->type = type;
    e->time_us = time_us;
    err = read_text(d, b, &(struct member){"", attribute_names[ATTR_ID], a[ATTR_ID]}, 1, &e->id);
    if (!err)
        err = read_text(d, b, &(struct member){"", attribute_names[ATTR_SOURCE], a[ATTR_SOURCE]}, 1,
                        &e->source);
    if (!err)
        err = read_data(d, b, e, a[ATTR_DATA]);
    if (!err)
        err = check_subject(d, b, e, a[ATTR_SUBJECT]);
    if (err)
        event_drop(b, arena_len);
    else
        event_close(b, columns);
    return err;
}

static int decode_line(struct event_decoder *d, struct event_batch *b, const char *line, size_t len)
{
    struct json_fault fault;
    if (len > WIRE_EVENT_MAX)
        return refuse(d, "too large: %zu bytes", len);
    int err = event_json_parse(d->parser, line, len, &fault);
    if (err == ERR_INVALID && fault.found.len)
        return refuse(d, "%s %s", fault.text, show_text(d, fault.found, "").text);
    if (err == ERR_INVALID)
        return refuse(d, "%s", fault.text);
    if (err)
        return err;
    uint32_t count;
    find_members(d, event_json_tokens(d->parser, &count), attribute_names, ATTR_COUNT, d->attributes);
    return decode_event(d, b, d->attributes);
}

int event_decode(struct event_decoder *decoder, struct event_batch *batch, const char *line, size_t len)
{
    int err = decode_line(decoder, batch, line, len);
    if (err == ERR_INVALID) {
        err = event_append_dead(batch, decoder->reason, line, len, decoder->scrub);
        explicit_bzero(decoder->reason, sizeof decoder->reason); /* it may show what was found */
    }
    event_json_wipe(decoder->parser);
    return err;
}
