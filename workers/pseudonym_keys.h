/* SPDX-License-Identifier: MIT
 *
 * The keys of pupils' pseudonyms, one a school year, out of a credential file: who may read it, what stands in it, and
 * how a year is added. A key never leaves this file: others ask for the pseudonym of a number in a year, or for the
 * key's id, which tells keys apart and nothing else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

struct pseudonym_keys; /* in memory that is locked, kept out of dumps, read-only, and wiped when freed */

/* Lines "2024-2025 <64 hex digits>", empty lines and lines that begin with #. Refused unless it is a regular file of our
 * own or root's with mode 0400 or 0600. NULL + "FILE:LINE: what, and what to do" on failure; never a byte of a key. */
struct pseudonym_keys *pseudonym_keys_load(const char *path, char *error, size_t error_len);
void pseudonym_keys_free(struct pseudonym_keys **keys);

/* The id of the year's key; false: there is none (keys may be NULL). */
bool pseudonym_keys_id(const struct pseudonym_keys *keys, int year, uint32_t *key_id);
/* Keyed BLAKE2b-128 of the eleven digits under the key of the school year that begins in `year`, and that key's id.
 * ERR_INVALID: wrong check number. ERR_MISSING: no key of that year. Signature fits pupil_pseudonym_fn (context = keys). */
int pseudonym_of_rrn(const void *keys, int year, const char digits[11], uint8_t out[16],
                     uint32_t *key_id) MUST_CHECK;

/* Adds a random key for the year to the file, which is made (0600) when it is not there; the file is replaced whole or
 * not at all. *key_id: of the new key. 0, or a sysexits code with the reason in error. */
int pseudonym_keys_add(const char *path, int year, uint32_t *key_id, char *error, size_t error_len);
