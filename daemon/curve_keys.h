/* SPDX-License-Identifier: MIT
 *
 * CURVE keys in files: a secret one (mode 0600) and beside it FILE.pub, each one line of 40 characters Z85. Read secrets lie
 * in locked memory that is wiped when given back. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/err.h"

#define CURVE_KEY_TEXT 41 /* 40 characters and the end */

struct curve_keys {
    char public_key[CURVE_KEY_TEXT], secret_key[CURVE_KEY_TEXT];
};

/* Writes a new pair; never over a file that is there. 0, or an exit code with the reason in error. */
int curve_keys_generate(const char *path, char public_key[CURVE_KEY_TEXT], char *error,
                        size_t error_len) MUST_CHECK;
/* NULL with the reason, which never holds a byte of the file. */
struct curve_keys *curve_keys_load(const char *path, char *error, size_t error_len);
void curve_keys_free(struct curve_keys **keys);
/* A public key as it is written in a configuration: 40 characters of Z85, or the path of a .pub file ("file:" before a path
 * that itself has 40 such characters). */
int curve_public_load(const char *value, char out[CURVE_KEY_TEXT], char *error, size_t error_len) MUST_CHECK;
bool curve_key_is_valid(const char *text);
