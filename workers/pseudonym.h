/* SPDX-License-Identifier: MIT
 *
 * National register numbers never reach disk or log (P6): check digits, keyed BLAKE2b-128 pseudonyms (libsodium), and
 * the scrubbing of whatever is kept raw. Pure but for reading the key file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

struct pseudonym_key; /* in memory that is locked and wiped */

/* The key file holds 64 hex digits; refused when others may read it. NULL + error text on failure. */
struct pseudonym_key *pseudonym_key_load(const char *path, char *error, size_t error_len);
void pseudonym_key_free(struct pseudonym_key **key);

/* 97 - (first nine digits mod 97), 2 in front for births from 2000; bis numbers valid (regulation 1). */
bool rrn_is_valid(const char digits[11]);
/* ERR_INVALID: wrong check number. Signature fits pupil_pseudonym_fn (context = the key). */
int pseudonym_of_rrn(void *key, const char digits[11], uint8_t out[16]) MUST_CHECK;

/* Each maximal run of exactly 11 digits (separators . - / space allowed between digits; not glued to a letter or digit)
 * becomes rrn:# ("rrn:" directly before it is absorbed). In place; returns the new length. */
size_t pseudonym_scrub(char *bytes, size_t len);
/* One NDJSON line for the journal: every "rrn:<11 digits>" string value is replaced by its pseudonym when a key is given
 * and the check number holds; then the rest of the line is scrubbed. out must hold 3 x len + 64 bytes. Never fails. */
size_t pseudonym_line(const struct pseudonym_key *key, const char *line, size_t len, char *out);
