/* SPDX-License-Identifier: MIT
 *
 * From a file to libconfig's tree, by way of config_text.c, and the words of errors about it. */
#include "daemon/config_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_text.h"

int config_tree_fail(char *error, size_t error_len, const char *path, unsigned line, const char *format, ...)
{
    int n =
        line ? snprintf(error, error_len, "%s:%u: ", path, line) : snprintf(error, error_len, "%s: ", path);
    if (n > 0 && (size_t)n < error_len) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error + n, error_len - (size_t)n, format, arguments);
        va_end(arguments);
    }
    return ERR_INVALID;
}

const char *config_tree_type(const config_setting_t *s)
{
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_GROUP:
        return "a group";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "an integer";
    case CONFIG_TYPE_FLOAT:
        return "a decimal number";
    case CONFIG_TYPE_STRING:
        return "a string";
    case CONFIG_TYPE_BOOL:
        return "a boolean";
    case CONFIG_TYPE_ARRAY:
        return "an array";
    case CONFIG_TYPE_LIST:
        return "a list";
    default:
        return "nothing";
    }
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein distance of two short names; names beyond 63 bytes are compared by their first 63. */
size_t config_tree_distance(const char *a, const char *b)
{
    size_t row[64], la = min_size(strlen(a), 63), lb = min_size(strlen(b), 63);
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t above = row[j];
            row[j] = min_size(min_size(row[j] + 1, row[j - 1] + 1), diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[lb];
}

int config_tree_read(config_t *tree, int fd, const char *path, char *error, size_t error_len)
{
    char reason[256], *wide = NULL, *text = config_text_read_fd(fd, reason, sizeof reason);
    int err = ERR_INVALID;
    unsigned directive = text ? config_text_find_directive(text) : 0;
    if (!text)
        config_tree_fail(error, error_len, path, 0, "%s", reason);
    else if (directive)
        config_tree_fail(error, error_len, path, directive,
                         "@include is not supported; write all keys in this file");
    else if (!(wide = config_text_widen(text)))
        config_tree_fail(error, error_len, path, 0, "out of memory");
    else if (!config_read_string(tree, wide))
        config_tree_fail(error, error_len, path, (unsigned)config_error_line(tree), "%s",
                         config_error_text(tree));
    else
        err = 0;
    free(text);
    free(wide);
    return err;
}
