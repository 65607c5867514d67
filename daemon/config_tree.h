/* SPDX-License-Identifier: MIT
 *
 * A file in libconfig's language as a tree, and how its errors read: "path:line: what". For the readers of such files
 * only; libconfig.h stays theirs. */
#pragma once

#include <libconfig.h>
#include <stddef.h>

#include "daemon/err.h"

/* Fills an initialised tree, whose end stays the caller's, from an open file, which it closes; otherwise ERR_INVALID and
 * the reason. */
int config_tree_read(config_t *tree, int fd, const char *path, char *error, size_t error_len) MUST_CHECK;
/* Writes "path:line: ..." (line 0: none) and returns ERR_INVALID. */
int config_tree_fail(char *error, size_t error_len, const char *path, unsigned line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
const char *config_tree_type(const config_setting_t *setting); /* "a string" */
/* Levenshtein distance of two short names; names beyond 63 bytes are compared by their first 63. */
size_t config_tree_distance(const char *a, const char *b);
