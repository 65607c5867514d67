/* SPDX-License-Identifier: MIT
 *
 * Only a line with a string that begins "rrn:" is parsed, by the daemon's own strict parser, so that both mean the same
 * member by data.school_year: of a line the daemon would refuse nothing is replaced, and all its numbers are gone. The
 * key's id is written behind the last member; a line that names a key itself and leaves the replacing to us then names
 * it twice, and is refused. */
#include "workers/pseudonym_line.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/event_json.h"
#include "workers/event_value.h"
#include "workers/pseudonym_keys.h"

#define STACK_USED 4096
#define DATED_LEN  25 /* rrn:85073003328@2024-2025 */

struct pseudonym_line {
    const struct pseudonym_keys *keys;
    struct json_parser *parser;
};

struct pseudonym_line *pseudonym_line_new(const struct pseudonym_keys *keys)
{
    struct pseudonym_line *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->keys = keys;
    p->parser = event_json_new();
    if (!p->parser)
        pseudonym_line_free(&p);
    return p;
}

void pseudonym_line_free(struct pseudonym_line **lines)
{
    if (!*lines)
        return;
    event_json_free(&(*lines)->parser);
    free(*lines);
    *lines = NULL;
}

/* The member of the object `parent`, or NULL. */
static const struct json_token *find_member(const struct json_token *tokens, uint32_t parent,
                                            const char *name)
{
    for (uint32_t t = parent + 1; t < tokens[parent].next; t = tokens[t].next)
        if (json_span_is(tokens[t].key, name, strlen(name)))
            return tokens + t;
    return NULL;
}

static int year_of(const struct json_token *t)
{
    int64_t year;
    return t && t->type == JSON_STRING && value_parse_year(t->text.at, t->text.len, &year) ? (int)year : 0;
}

/* The school year that "rrn:<11 digits>@2024-2025" names; 0: it is no such text. */
static int dated_year(const struct json_token *t)
{
    int64_t year;
    if (!t || t->type != JSON_STRING || t->text.len != DATED_LEN || memcmp(t->text.at, "rrn:", 4) != 0 ||
        t->text.at[15] != '@' || !value_parse_year(t->text.at + 16, 9, &year))
        return 0;
    return (int)year;
}

struct years { /* of the keys an event's pupils have */
    int pupil, old, new;
};

/* False: the line is nothing the daemon would take. */
static bool read_years(struct pseudonym_line *p, const char *text, size_t len, struct years *out)
{
    struct json_fault fault;
    uint32_t count;
    if (event_json_parse(p->parser, text, len, &fault) != 0)
        return false;
    const struct json_token *tokens = event_json_tokens(p->parser, &count);
    const struct json_token *data = find_member(tokens, 0, "data");
    if (!data || data->type != JSON_OBJECT)
        return false;
    uint32_t at = (uint32_t)(data - tokens);
    *out = (struct years){
        .pupil = year_of(find_member(tokens, at, "school_year")),
        .old = dated_year(find_member(tokens, at, "old")),
        .new = dated_year(find_member(tokens, at, "new")),
    };
    return true;
}

/* Behind the last member of the object that ends at out + len; returns the new length. */
static size_t add_attribute(char *out, size_t len, const char *name, const char *value)
{
    return len + (size_t)sprintf(out + len, ",\"%s\":\"%s\"", name, value);
}

static size_t add_key(const struct pseudonym_line *p, char *out, size_t len, const char *name, int year)
{
    uint32_t id;
    char hex[9];
    if (!pseudonym_keys_id(p->keys, year, &id))
        return len;
    snprintf(hex, sizeof hex, "%08x", id);
    return add_attribute(out, len, name, hex);
}

/* Says in the line under which keys its pupils stand, or why they do not. */
static size_t tell(const struct pseudonym_line *p, const struct pseudonym_choice *choice,
                   const struct years *years, char *out, size_t len)
{
    size_t end = len;
    while (end > 0 && out[end - 1] != '}')
        end--;
    if (end == 0)
        return len;
    end--;
    if (choice->fault)
        end = add_attribute(out, end, ATTRIBUTE_PUPIL_FAULT, pupil_fault_words[choice->fault]);
    if (choice->replaced && years->old)
        end = add_key(p, out, end, ATTRIBUTE_OLD_PUPIL_KEY, years->old);
    if (choice->replaced && (years->new || years->pupil))
        end = add_key(p, out, end, ATTRIBUTE_PUPIL_KEY, years->new ? years->new : years->pupil);
    out[end] = '}';
    return end + 1;
}

size_t pseudonym_line(struct pseudonym_line *p, const char *line, size_t len, char *out,
                      enum pupil_fault *fault, int *fault_year)
{
    const char *in = line;
    char *copy = NULL;
    size_t raw = len, written;
    struct years years = {0};
    bool choice_made = false;
    *fault = PUPIL_NO_FAULT;
    if (memchr(line, '\\', len)) {
        /* Spelled out at out's far end: what is written before it, at most 2 x what is read, never reaches it. */
        in = copy = out + PSEUDONYM_LINE_ROOM(len) - len;
        memcpy(copy, line, len);
        len = pseudonym_spell_out(copy, len);
    }
    if (!memmem(in, len, "\"rrn:", 5) || !read_years(p, in, len, &years)) {
        written = pseudonym_scrub_json(NULL, in, len, out);
    } else {
        struct pseudonym_choice choice = {
            .keys = p->keys, .year = years.pupil, .dated = years.old || years.new};
        written = pseudonym_scrub_json(&choice, in, len, out);
        choice_made = true;
        *fault = choice.fault;
        *fault_year = choice.fault_year;
        if (choice.fault || choice.replaced)
            written = tell(p, &choice, &years, out, written);
    }
    if (copy)
        explicit_bzero(copy, raw);
    event_json_wipe(p->parser);
    if (choice_made)
        sodium_stackzero(STACK_USED); /* the hash and the search have had the digits there */
    return written;
}
