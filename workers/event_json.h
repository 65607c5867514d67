/* SPDX-License-Identifier: MIT
 *
 * One JSON line into a flat list of tokens (yajl, one pass), strictly: what readers of JSON disagree about is
 * refused here (duplicate keys, NUL, lone surrogates, numbers beyond a double), so that no two of them see
 * different events. Knows JSON only; what the members mean is event_decode.c's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

#define JSON_DEPTH_MAX   16   /* objects and lists within each other, the outermost included */
#define JSON_MEMBERS_MAX 4096 /* members of all objects and items of all lists together */

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_OBJECT, JSON_LIST };

struct json_span { /* points into the line, or into the parser when the text had escapes; no NUL at the end */
    const char *at;
    uint32_t len;
};
struct json_token {
    struct json_span key;  /* member of an object; {NULL, 0} otherwise */
    struct json_span text; /* JSON_STRING unescaped, JSON_NUMBER as written */
    uint32_t parent;
    uint32_t next; /* index of the first token that is not within this one: the next sibling, if it has the
                      same parent */
    uint8_t type;  /* enum json_type */
    uint8_t depth; /* of the values within it; the outermost object has 1 */
};

struct json_parser; /* memory reused from line to line; one per thread */
struct json_parser *event_json_new(void);
void event_json_free(struct json_parser **parser);

/* Why a line was refused: a short English text, to be followed by `found` when that is not empty. */
struct json_fault {
    char text[120];
    struct json_span found;
};
/* Exactly one object and nothing after it. Token 0 is that object; the children of token i are i + 1, its
 * next, ... up to tokens[i].next. Everything lives until the next call. ERR_INVALID fills fault; ERR_NOMEM.
 */
int event_json_parse(struct json_parser *parser, const char *line, size_t len,
                     struct json_fault *fault) MUST_CHECK;
const struct json_token *event_json_tokens(const struct json_parser *parser, uint32_t *count);

/* Forgets the texts of the last line that are kept here; its tokens are void. */
void event_json_wipe(struct json_parser *parser);

static inline bool json_span_is(struct json_span s, const char *word, size_t len)
{
    return s.len == len && __builtin_memcmp(s.at, word, len) == 0;
}
