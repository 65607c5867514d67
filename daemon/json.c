/* SPDX-License-Identifier: MIT
 *
 * Small helpers over yajl's tree, and a writer. Strings go out as they are but for what JSON must escape and what could
 * steer a terminal;
 * bytes that are not UTF-8 become U+FFFD, so that what we send can always be parsed. */
#include "daemon/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_tree.h>

#define DEPTH_MAX 32

/* struct json_value is yajl's own node under another name. */
static const struct yajl_val_s *node(const struct json_value *v)
{
    return (const struct yajl_val_s *)v;
}

/* yajl's tree builder recurses nowhere, but yajl_tree_free() does. */
static bool is_too_deep(const char *text)
{
    int depth = 0;
    bool in_string = false;
    for (const char *p = text; *p; p++) {
        if (in_string) {
            if (*p == '\\' && p[1])
                p++;
            else if (*p == '"')
                in_string = false;
        } else if (*p == '"') {
            in_string = true;
        } else if (*p == '{' || *p == '[') {
            if (++depth > DEPTH_MAX)
                return true;
        } else if (*p == '}' || *p == ']') {
            depth--;
        }
    }
    return false;
}

static const char *find_duplicate(const struct yajl_val_s *v)
{
    const char *found = NULL;
    if (v->type == yajl_t_array)
        for (size_t i = 0; i < v->u.array.len && !found; i++)
            found = find_duplicate(v->u.array.values[i]);
    if (v->type != yajl_t_object)
        return found;
    for (size_t i = 0; i < v->u.object.len && !found; i++) {
        for (size_t j = 0; j < i && !found; j++)
            if (strcmp(v->u.object.keys[i], v->u.object.keys[j]) == 0)
                found = v->u.object.keys[i];
        if (!found)
            found = find_duplicate(v->u.object.values[i]);
    }
    return found;
}

struct json_value *json_parse(const char *text, char *error, size_t error_len)
{
    if (is_too_deep(text)) {
        snprintf(error, error_len, "nested deeper than %d", DEPTH_MAX);
        return NULL;
    }
    char reason[256] = "";
    yajl_val root = yajl_tree_parse(text, reason, sizeof reason);
    if (!root) {
        reason[strcspn(reason, "\n")] = '\0'; /* yajl adds an excerpt and an arrow below */
        snprintf(error, error_len, "%s", reason[0] ? reason : "not JSON");
        return NULL;
    }
    const char *twice = find_duplicate(root);
    if (twice) {
        snprintf(error, error_len, "\"%s\" stands twice", twice);
        yajl_tree_free(root);
        return NULL;
    }
    return (struct json_value *)root;
}

void json_free(struct json_value **root)
{
    if (*root)
        yajl_tree_free((yajl_val)*root);
    *root = NULL;
}

const struct json_value *json_get(const struct json_value *object, const char *name)
{
    const struct yajl_val_s *v = node(object);
    if (!v || v->type != yajl_t_object)
        return NULL;
    for (size_t i = 0; i < v->u.object.len; i++)
        if (strcmp(v->u.object.keys[i], name) == 0)
            return v->u.object.values[i]->type == yajl_t_null
                       ? NULL
                       : (const struct json_value *)v->u.object.values[i];
    return NULL;
}

const char *json_string(const struct json_value *v, const char *otherwise)
{
    return v && node(v)->type == yajl_t_string ? node(v)->u.string : otherwise;
}

int64_t json_int(const struct json_value *v, int64_t otherwise)
{
    return v && node(v)->type == yajl_t_number && (node(v)->u.number.flags & YAJL_NUMBER_INT_VALID)
               ? node(v)->u.number.i
               : otherwise;
}

double json_double(const struct json_value *v, double otherwise)
{
    return v && node(v)->type == yajl_t_number && (node(v)->u.number.flags & YAJL_NUMBER_DOUBLE_VALID)
               ? node(v)->u.number.d
               : otherwise;
}

bool json_bool(const struct json_value *v, bool otherwise)
{
    if (v && node(v)->type == yajl_t_true)
        return true;
    return v && node(v)->type == yajl_t_false ? false : otherwise;
}

bool json_is_object(const struct json_value *v)
{
    return v && node(v)->type == yajl_t_object;
}

bool json_is_array(const struct json_value *v)
{
    return v && node(v)->type == yajl_t_array;
}

size_t json_count(const struct json_value *v)
{
    if (json_is_array(v))
        return node(v)->u.array.len;
    return json_is_object(v) ? node(v)->u.object.len : 0;
}

const struct json_value *json_at(const struct json_value *v, size_t i)
{
    if (i >= json_count(v))
        return NULL;
    return (const struct json_value *)(json_is_array(v) ? node(v)->u.array.values[i]
                                                        : node(v)->u.object.values[i]);
}

const char *json_name_at(const struct json_value *object, size_t i)
{
    return json_is_object(object) && i < json_count(object) ? node(object)->u.object.keys[i] : NULL;
}

static void change_strings(struct yajl_val_s *v, void (*change)(char *text))
{
    if (v->type == yajl_t_string)
        change(v->u.string);
    for (size_t i = 0; v->type == yajl_t_array && i < v->u.array.len; i++)
        change_strings(v->u.array.values[i], change);
    for (size_t i = 0; v->type == yajl_t_object && i < v->u.object.len; i++) {
        change((char *)(uintptr_t)v->u.object.keys[i]);
        change_strings(v->u.object.values[i], change);
    }
}

void json_change_strings(struct json_value *v, void (*change)(char *text))
{
    if (v)
        change_strings((struct yajl_val_s *)v, change);
}

void json_writer_init(struct json_writer *w)
{
    *w = (struct json_writer){0};
}

void json_writer_fini(struct json_writer *w)
{
    free(w->text);
    json_writer_init(w);
}

static void append(struct json_writer *w, const char *bytes, size_t len)
{
    if (w->failed)
        return;
    if (w->len + len + 1 > w->room) {
        size_t room = w->room ? w->room : 256;
        while (room < w->len + len + 1)
            room *= 2;
        char *grown = realloc(w->text, room);
        if (!grown) {
            w->failed = true;
            return;
        }
        w->text = grown;
        w->room = room;
    }
    memcpy(w->text + w->len, bytes, len);
    w->len += len;
    w->text[w->len] = '\0';
}

void json_write_text(struct json_writer *w, const char *text)
{
    append(w, text, strlen(text));
}

/* Bytes of the well-formed UTF-8 character at p (no surrogates, no overlong forms), or 0. */
static size_t utf8_length(const unsigned char *p)
{
    size_t n;
    unsigned low = 0x80, high = 0xbf;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if ((p[0] & 0xf0) == 0xe0)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    if (p[0] == 0xed)
        high = 0x9f;
    if (p[0] == 0xf0)
        low = 0x90;
    if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static void append_quoted(struct json_writer *w, const char *s)
{
    append(w, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        size_t n = utf8_length(p);
        char escaped[8];
        if (n == 0) {
            append(w, "\xef\xbf\xbd", 3);
            n = 1;
        } else if (*p == '"' || *p == '\\') {
            escaped[0] = '\\';
            escaped[1] = (char)*p;
            append(w, escaped, 2);
        } else if (*p < ' ' || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) {
            snprintf(escaped, sizeof escaped, "\\u%04x", n == 2 ? p[1] : *p);
            append(w, escaped, 6);
        } else {
            append(w, (const char *)p, n);
        }
        p += n;
    }
    append(w, "\"", 1);
}

static void begin_value(struct json_writer *w, const char *name)
{
    if (w->needs_comma)
        append(w, ",", 1);
    if (name) {
        append_quoted(w, name);
        append(w, ":", 1);
    }
    w->needs_comma = true;
}

void json_open_object(struct json_writer *w, const char *name)
{
    begin_value(w, name);
    append(w, "{", 1);
    w->needs_comma = false;
}

void json_close_object(struct json_writer *w)
{
    append(w, "}", 1);
    w->needs_comma = true;
}

void json_open_array(struct json_writer *w, const char *name)
{
    begin_value(w, name);
    append(w, "[", 1);
    w->needs_comma = false;
}

void json_close_array(struct json_writer *w)
{
    append(w, "]", 1);
    w->needs_comma = true;
}

void json_write_raw(struct json_writer *w, const char *name, const char *json)
{
    begin_value(w, name);
    json_write_text(w, json);
}

void json_write_string(struct json_writer *w, const char *name, const char *value)
{
    if (!value) {
        json_write_raw(w, name, "null");
        return;
    }
    begin_value(w, name);
    append_quoted(w, value);
}

void json_write_int(struct json_writer *w, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    json_write_raw(w, name, text);
}

void json_write_uint(struct json_writer *w, const char *name, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_write_raw(w, name, text);
}

void json_write_double(struct json_writer *w, const char *name, double value)
{
    char text[40] = "null";
    if (isfinite(value))
        snprintf(text, sizeof text, "%.12g", value);
    json_write_raw(w, name, text);
}

void json_write_bool(struct json_writer *w, const char *name, bool value)
{
    json_write_raw(w, name, value ? "true" : "false");
}

void json_write_null(struct json_writer *w, const char *name)
{
    json_write_raw(w, name, "null");
}

char *json_writer_take(struct json_writer *w)
{
    if (!w->failed && !w->text)
        append(w, "", 0);
    char *text = w->failed ? NULL : w->text;
    if (w->failed)
        free(w->text);
    json_writer_init(w);
    return text;
}
