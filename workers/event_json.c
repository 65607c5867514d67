/* SPDX-License-Identifier: MIT
 *
 * The token pass. yajl splits the line; this file adds what yajl leaves open: strict UTF-8 (it takes overlong
 * forms and surrogates), surrogates in escapes (it writes '?'), duplicate keys, and bounds on depth, members
 * and numbers. yajl does not survive a failed allocation, so its memory is a bump arena that is made large
 * enough before the parse and reset with each line: no malloc per event. */
#include "workers/event_json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "workers/event_value.h"

#define SLOTS    (2 * JSON_MEMBERS_MAX) /* a power of two */
#define KEEP_MAX ((size_t)256 << 10)    /* memory kept from line to line */

struct slot { /* of the set of keys seen in this line */
    uint32_t generation, token;
};
struct buffer {
    char *at;
    size_t used, room;
};
struct json_parser {
    struct json_token tokens[JSON_MEMBERS_MAX + 1];
    uint32_t count;
    uint32_t open[JSON_DEPTH_MAX + 1]; /* tokens of the objects and lists we are in */
    int depth;
    struct json_span key; /* of the value that comes next */
    const char *line, *line_end;
    struct json_fault *fault;
    uint32_t generation;
    struct slot slots[SLOTS];
    struct buffer bump;    /* yajl's memory */
    struct buffer scratch; /* texts that had escapes */
    bool failed;           /* the last line: yajl may hold a piece of it */
    yajl_alloc_funcs memory;
};

/* Bump allocation: the size stands before each block, for realloc. Never NULL: reserve_memory() made room. */
static void *bump_alloc(void *context, size_t size)
{
    struct buffer *b = &((struct json_parser *)context)->bump;
    size_t whole = (size + 15) / 16 * 16 + 16;
    assert(b->room - b->used >= whole);
    char *p = b->at + b->used;
    memcpy(p, &size, sizeof size);
    b->used += whole;
    return p + 16;
}

static void *bump_realloc(void *context, void *old, size_t size)
{
    void *p = bump_alloc(context, size);
    if (old) {
        size_t old_size;
        memcpy(&old_size, (char *)old - 16, sizeof old_size);
        memcpy(p, old, old_size < size ? old_size : size);
    }
    return p;
}

static void bump_free(void *context, void *p)
{
    (void)context;
    (void)p;
}

static int reserve_buffer(struct buffer *b, size_t wanted)
{
    b->used = 0;
    if (b->room >= wanted && (b->room <= KEEP_MAX || wanted > KEEP_MAX))
        return 0;
    free(b->at);
    b->at = NULL;
    b->room = 0;
    size_t room = wanted < KEEP_MAX ? KEEP_MAX : wanted;
    b->at = malloc(room);
    if (!b->at)
        return ERR_NOMEM;
    b->room = room;
    return 0;
}

/* yajl keeps two buffers that double from 2 KiB and hold at most the line: with a bump arena each takes at
 * most the sum of its sizes, 4 x len + 8 KiB. The rest (handle, lexer, stack) is far below 16 KiB. */
static int reserve_memory(struct json_parser *p, size_t len)
{
    int err = reserve_buffer(&p->bump, 8 * len + (32 << 10));
    return err ? err : reserve_buffer(&p->scratch, len + 64);
}

struct json_parser *event_json_new(void)
{
    struct json_parser *p = calloc(1, sizeof *p);
    if (p)
        p->memory = (yajl_alloc_funcs){bump_alloc, bump_realloc, bump_free, p};
    return p;
}

void event_json_free(struct json_parser **parser)
{
    if (!*parser)
        return;
    free((*parser)->bump.at);
    free((*parser)->scratch.at);
    free(*parser);
    *parser = NULL;
}

void event_json_wipe(struct json_parser *p)
{
    if (p->failed || p->scratch.used) { /* otherwise all texts are the line's own */
        explicit_bzero(p->bump.at, p->bump.used);
        explicit_bzero(p->scratch.at, p->scratch.used);
    }
    p->failed = false;
    p->scratch.used = 0;
    p->count = 0;
}

const struct json_token *event_json_tokens(const struct json_parser *parser, uint32_t *count)
{
    *count = parser->count;
    return parser->tokens;
}

static int refuse(struct json_parser *p, const char *text)
{
    snprintf(p->fault->text, sizeof p->fault->text, "%s", text);
    return 0; /* yajl: cancel */
}

/* Texts without escapes stay where they are in the line. */
static struct json_span keep_text(struct json_parser *p, const unsigned char *text, size_t len)
{
    const char *at = (const char *)text;
    if (at < p->line || at >= p->line_end) {
        assert(p->scratch.room - p->scratch.used >= len);
        char *copy = p->scratch.at + p->scratch.used;
        if (len)
            memcpy(copy, text, len);
        p->scratch.used += len;
        at = copy;
    }
    return (struct json_span){at, (uint32_t)len};
}

static struct json_token *add_token(struct json_parser *p, enum json_type type)
{
    if (p->depth == 0 && type != JSON_OBJECT) {
        refuse(p, "not a JSON object");
        return NULL;
    }
    if (p->count > JSON_MEMBERS_MAX) {
        refuse(p, "more than 4096 members");
        return NULL;
    }
    struct json_token *t = p->tokens + p->count;
    *t = (struct json_token){
        .key = p->key,
        .parent = p->depth ? p->open[p->depth - 1] : 0,
        .next = ++p->count,
        .type = (uint8_t)type,
        .depth = (uint8_t)(p->depth + 1),
    };
    p->key = (struct json_span){0};
    return t;
}

static int on_null(void *context)
{
    return add_token(context, JSON_NULL) != NULL;
}

static int on_boolean(void *context, int value)
{
    return add_token(context, value ? JSON_TRUE : JSON_FALSE) != NULL;
}

static int on_number(void *context, const char *text, size_t len)
{
    struct json_parser *p = context;
    struct json_token *t = add_token(p, JSON_NUMBER);
    if (!t)
        return 0;
    t->text = keep_text(p, (const unsigned char *)text, len);
    if (value_number_is_finite(t->text.at, len))
        return 1;
    p->fault->found = t->text;
    return refuse(p, "number out of range");
}

static int on_string(void *context, const unsigned char *text, size_t len)
{
    struct json_token *t = add_token(context, JSON_STRING);
    if (!t)
        return 0;
    t->text = keep_text(context, text, len);
    return 1;
}

static int open_token(struct json_parser *p, enum json_type type)
{
    uint32_t index = p->count;
    if (p->depth == JSON_DEPTH_MAX)
        return refuse(p, "nested deeper than 16");
    if (!add_token(p, type))
        return 0;
    p->open[p->depth++] = index;
    return 1;
}

static int on_object(void *context)
{
    return open_token(context, JSON_OBJECT);
}

static int on_list(void *context)
{
    return open_token(context, JSON_LIST);
}

static int on_end(void *context)
{
    struct json_parser *p = context;
    p->tokens[p->open[--p->depth]].next = p->count;
    return 1;
}

static uint32_t hash_key(uint32_t parent, struct json_span key)
{
    uint64_t h = (parent + 1) * 0x9e3779b97f4a7c15u ^ key.len, word;
    uint32_t i = 0;
    for (; i + 8 <= key.len; i += 8) {
        memcpy(&word, key.at + i, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    word = 0;
    for (uint32_t j = i; j < key.len; j++)
        word = word << 8 | (unsigned char)key.at[j];
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    return (uint32_t)(h >> 40);
}

/* The key belongs to the token that is added next. */
static int on_key(void *context, const unsigned char *text, size_t len)
{
    struct json_parser *p = context;
    if (p->count > JSON_MEMBERS_MAX)
        return refuse(p, "more than 4096 members");
    p->key = keep_text(p, text, len);
    uint32_t parent = p->open[p->depth - 1], i = hash_key(parent, p->key) & (SLOTS - 1);
    for (; p->slots[i].generation == p->generation; i = (i + 1) & (SLOTS - 1)) {
        const struct json_token *t = p->tokens + p->slots[i].token;
        if (t->parent != parent || !json_span_is(t->key, p->key.at, len))
            continue;
        p->fault->found = p->key;
        return refuse(p, "duplicate key");
    }
    p->slots[i] = (struct slot){p->generation, p->count};
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_object,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_list,
    .yajl_end_array = on_end,
};

/* Length of the valid UTF-8 sequence that starts with a byte >= 0x80 (RFC 3629: shortest form, no surrogates,
 * at most U+10FFFF); 0 when there is none. */
static size_t utf8_sequence(const unsigned char *s, size_t left)
{
    unsigned char c = s[0], low = 0x80, high = 0xbf;
    size_t len = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (!len || left < len)
        return 0;
    if (c == 0xe0)
        low = 0xa0;
    else if (c == 0xed)
        high = 0x9f;
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* Offset of the first byte that is not UTF-8; len when all is. */
static size_t check_utf8(const char *line, size_t len)
{
    const unsigned char *s = (const unsigned char *)line;
    size_t i = 0;
    while (i < len) {
        uint64_t word;
        if (len - i >= 8) {
            memcpy(&word, s + i, 8);
            if (!(word & 0x8080808080808080u)) {
                i += 8;
                continue;
            }
        }
        size_t n = s[i] < 0x80 ? 1 : utf8_sequence(s + i, len - i);
        if (!n)
            return i;
        i += n;
    }
    return len;
}

/* The code unit of \uXXXX at s; -1 when there is none. */
static int escaped_unit(const char *s, const char *end)
{
    if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
        return -1;
    int unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = value_hex_digit(s[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* A backslash is valid within strings only, so the escapes can be read without knowing where strings begin.
 * NULL, or what is wrong. */
static const char *check_escapes(const char *line, size_t len)
{
    const char *s = line, *end = line + len;
    while ((s = memchr(s, '\\', (size_t)(end - s)))) {
        int unit = escaped_unit(s, end);
        if (unit == 0)
            return "text with \\u0000";
        bool high = unit >= 0xd800 && unit <= 0xdbff;
        int second = high ? escaped_unit(s + 6, end) : -1;
        if (high ? second < 0xdc00 || second > 0xdfff : unit >= 0xdc00 && unit <= 0xdfff)
            return "text with a lone surrogate";
        int step = high ? 12 : unit >= 0 ? 6 : 2;
        if (end - s <= step)
            break;
        s += step;
    }
    return NULL;
}

/* yajl's own message, without the piece of input it can show and without its line ends. */
static void describe_error(yajl_handle handle, size_t len, struct json_fault *fault)
{
    unsigned char *message = yajl_get_error(handle, 0, NULL, 0);
    size_t at = yajl_get_bytes_consumed(handle);
    snprintf(fault->text, sizeof fault->text, "not JSON: %.*s at byte %zu",
             (int)strcspn((char *)message, "\n"), (char *)message, at < len ? at : len);
    yajl_free_error(handle, message);
}

static int run_yajl(struct json_parser *p, const char *line, size_t len, struct json_fault *fault)
{
    yajl_handle handle = yajl_alloc(&callbacks, &p->memory, p);
    assert(handle);
    yajl_config(handle, yajl_dont_validate_strings, 1); /* check_utf8() has done it */
    yajl_status status = yajl_parse(handle, (const unsigned char *)line, len);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(handle);
    if (status == yajl_status_error)
        describe_error(handle, len, fault);
    yajl_free(handle);
    p->failed = status != yajl_status_ok;
    return p->failed ? ERR_INVALID : 0;
}

int event_json_parse(struct json_parser *p, const char *line, size_t len, struct json_fault *fault)
{
    int err = reserve_memory(p, len);
    if (err)
        return err;
    fault->text[0] = '\0';
    fault->found = (struct json_span){0};
    p->fault = fault;
    p->line = line;
    p->line_end = line + len;
    p->count = 0;
    p->depth = 0;
    p->key = (struct json_span){0};
    if (++p->generation == 0) { /* wrapped: marks of 4 billion lines ago would count again */
        memset(p->slots, 0, sizeof p->slots);
        p->generation = 1;
    }
    size_t good = check_utf8(line, len);
    if (good < len) {
        snprintf(fault->text, sizeof fault->text, "not UTF-8 at byte %zu", good);
        return ERR_INVALID;
    }
    const char *wrong = check_escapes(line, len);
    if (wrong) {
        refuse(p, wrong);
        return ERR_INVALID;
    }
    return run_yajl(p, line, len, fault);
}
