/* SPDX-License-Identifier: MIT
 *
 * JSON for the control protocol and teldagctl: reading a small document as a tree, and writing one into a growing
 * buffer. Over yajl; not meant for events, which have their own decoder. Pure but for memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

/* Reading. A value belongs to the tree it was parsed into; NULL stands for "not there", and every accessor takes it. */
struct json_value; /* opaque */

/* NULL with the reason in error. Numbers keep their text; an object with a name twice is refused. */
struct json_value *json_parse(const char *text, char *error, size_t error_len);
void json_free(struct json_value **root);

const struct json_value *json_get(const struct json_value *object,
                                  const char *name); /* NULL: no such name, or null */
const char *json_string(const struct json_value *v,
                        const char *otherwise); /* otherwise when it is not a string */
int64_t json_int(const struct json_value *v, int64_t otherwise);
double json_double(const struct json_value *v, double otherwise);
bool json_bool(const struct json_value *v, bool otherwise);
bool json_is_object(const struct json_value *v);
bool json_is_array(const struct json_value *v);
/* Calls change() with every string and every name of the tree; it must not make one longer. v may be NULL. */
void json_change_strings(struct json_value *v, void (*change)(char *text));
/* Elements of an array, members of an object; 0 for anything else. */
size_t json_count(const struct json_value *v);
const struct json_value *json_at(const struct json_value *v, size_t i);
const char *json_name_at(const struct json_value *object,
                         size_t i); /* NULL: not an object, or past its end */

/* Writing. The first failure (memory) is remembered: write straight through, ask once at the end. The caller opens and
 * closes in order; commas are set here. A name of NULL is for elements of an array and for the outermost value. */
struct json_writer {
    char *text; /* NUL-terminated */
    size_t len, room;
    bool needs_comma, failed;
};
void json_writer_init(struct json_writer *w);
void json_writer_fini(struct json_writer *w);
void json_open_object(struct json_writer *w, const char *name);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w, const char *name);
void json_close_array(struct json_writer *w);
void json_write_string(struct json_writer *w, const char *name, const char *value); /* NULL: null */
void json_write_int(struct json_writer *w, const char *name, int64_t value);
void json_write_uint(struct json_writer *w, const char *name, uint64_t value);
void json_write_double(struct json_writer *w, const char *name, double value); /* not finite: null */
void json_write_bool(struct json_writer *w, const char *name, bool value);
void json_write_null(struct json_writer *w, const char *name);
void json_write_raw(struct json_writer *w, const char *name, const char *json); /* already JSON */
/* Text outside JSON (a newline, a whole line of another format): appended as it is. */
void json_write_text(struct json_writer *w, const char *text);
/* The text, the caller's to free; NULL when memory ran out. The writer is empty afterwards. */
char *json_writer_take(struct json_writer *w) MUST_CHECK;
