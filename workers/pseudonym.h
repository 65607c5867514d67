/* SPDX-License-Identifier: MIT
 *
 * National register numbers never reach disk or log (P6): check digits, and the scrubbing of whatever is kept raw. Pure.
 * Keys are pseudonym_keys.h, whole lines for the journal pseudonym_line.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/event_value.h"

struct pseudonym_keys;

/* 97 - (first nine digits mod 97), 2 in front for births from 2000; bis numbers valid (regulation 1). */
bool rrn_is_valid(const char digits[11]);

/* Each maximal run of exactly 11 digits (separators . - / space allowed between digits; not glued to a letter or digit)
 * becomes rrn:# ("rrn:" directly before it is absorbed). So does a number with a plausible date and check number in a wider
 * spelling: up to three separators of more kinds, digits of other scripts, within a longer run of digits. In place; returns the new length, and wipes what lies behind. */
size_t pseudonym_scrub(char *bytes, size_t len);
/* No number is spelled in more bytes: 11 digits and 3 separators between two of them, each an escape. */
#define PSEUDONYM_WIDEST 256

/* Which keys the strings of one line get. */
struct pseudonym_choice {
    const struct pseudonym_keys *keys; /* NULL: none */
    int year;                          /* of "rrn:<11 digits>"; 0: not known */
    bool dated;                        /* "rrn:<11 digits>@2024-2025" is replaced too, by that year's key */
    unsigned replaced;                 /* out: strings that became pseudonyms */
    enum pupil_fault fault;            /* out: of the first that did not */
    int fault_year;
};
/* Spells escaped plain characters of a JSON text out, so that they hide no number; the same JSON. In place; returns the
 * new length. */
size_t pseudonym_spell_out(char *bytes, size_t len);
/* A spelled-out JSON text: strings by the choice (NULL: all become rrn:#), the rest scrubbed. out must hold 2 x len + 32
 * bytes and not overlap in. */
size_t pseudonym_scrub_json(struct pseudonym_choice *choice, const char *in, size_t len, char *out);
