/* SPDX-License-Identifier: MIT
 *
 * Exact decimal arithmetic for the trade (regulation 0): a decimal is an integer over a power of ten, wide
 * enough for points x factor x value without rounding. Never double. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

typedef __int128 exact_int;
struct exact { /* value = units / 10^scale */
    exact_int units;
    int scale; /* 0..36 */
};
enum rounding { ROUND_GT4 /* half up */, ROUND_GE4 /* up from first decimal digit 4 */ };

#define EXACT_TEXT_MAX 64
/* "1.2", "-0.25", ".8": at most 9 digits after the point and 9 before; ERR_INVALID otherwise (no exponent).
 */
int exact_parse(const char *text, struct exact *out) MUST_CHECK;
/* Shortest plain decimal ("58", "14.6288"); out holds EXACT_TEXT_MAX bytes. */
void exact_format(struct exact a, char *out);
struct exact exact_from_int(int64_t v);
struct exact exact_from_halves(int64_t halves);
struct exact exact_add(struct exact a, struct exact b);
struct exact exact_mul(struct exact a, struct exact b); /* asserts that scales add to <= 36 */
int exact_cmp(struct exact a, struct exact b);
int64_t
exact_round(struct exact a,
            enum rounding mode); /* non-negative values; up when the first decimal digit exceeds 4 (3) */
