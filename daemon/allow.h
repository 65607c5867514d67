/* SPDX-License-Identifier: MIT
 *
 * The allow-list: which key may see what. A file in libconfig's syntax, walked strictly, so that a misspelt word never
 * gives or takes a right in silence. Pure once it is loaded; who asks locks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/err.h"

struct allow;

/* Whether a kind or pattern of kinds ("threshold.*") can match anything; NULL: not asked. */
typedef bool allow_known_kind(const char *pattern);

/* NULL and the reason with file and line. A file that others than its owner may change is refused. */
struct allow *allow_load(const char *path, allow_known_kind *known, char *error, size_t error_len);
void allow_free(struct allow **list);
size_t allow_count(const struct allow *list);

enum allow_extent { ALLOW_NOTHING, ALLOW_PART, ALLOW_WHOLE };
/* What a key (Z85) may see of a stream. PART: only some kinds of an alert stream. A list of NULL allows nothing. */
enum allow_extent allow_stream(const struct allow *list, const char *key, const char *stream);
/* Whether a subscription to this prefix shows the key nothing but what it may see. A prefix that can match no topic of the
 * stream is not allowed either. */
bool allow_topic(const struct allow *list, const char *key, const char *stream, const char *prefix,
                 size_t len);
/* A topic of the stream, or a prefix of one. */
bool allow_prefix_matches(const char *stream, const char *prefix, size_t len);
bool allow_same_rights(const struct allow *a, const struct allow *b, const char *key, const char *stream);
const char *allow_name(const struct allow *list, const char *key); /* NULL: unknown key */
