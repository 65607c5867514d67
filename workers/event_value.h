/* SPDX-License-Identifier: MIT
 *
 * Texts of events into numbers: dates, times, years, school numbers, pseudonyms, exact decimals. Each says
 * only whether the text is right; the words for what is wrong are event_decode.c's. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1-9 digits without leading zero. */
bool value_parse_school_id(const char *s, size_t len, int64_t *out);
/* "2024-2025" -> 2024; 1990..2099. */
bool value_parse_year(const char *s, size_t len, int64_t *out);
/* "2025-02-03" -> days since 1970; 1900-01-01..2099-12-31. */
bool value_parse_date(const char *s, size_t len, int64_t *out);
/* RFC 3339 with offset -> microseconds since 1970 UTC, of the years 1970..2099. Digits beyond the microsecond
 * are cut; second 60 is the next second. */
bool value_parse_time(const char *s, size_t len, int64_t *out);
/* 32 hex digits of either case. */
bool value_parse_pupil(const char *s, size_t len, uint8_t out[16]);
/* A hex digit 12 times in a row: what pads another number to the length of a pseudonym. One hash in 10^13 has that. */
#define PUPIL_REPEAT_MAX 12
bool value_has_long_repeat(const char *s, size_t len);
/* A JSON number as mantissa x 10^exponent, the mantissa without trailing zeros (0 x 10^0 for zero). False
 * when more than 18 digits would be needed or the exponent is beyond 1,000: no field has such a value. */
struct decimal {
    int64_t mantissa;
    int exponent;
};
bool value_parse_decimal(const char *s, size_t len, struct decimal *out);
/* A JSON number that rounds to a finite double. */
bool value_number_is_finite(const char *s, size_t len);

static inline int value_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What teldag-feed adds to an event whose pupil it looked at: CloudEvents extension attributes. */
#define ATTRIBUTE_PUPIL_KEY     "pupilkey"    /* id of the key behind data.pupil, or data.new: 8 hex digits */
#define ATTRIBUTE_OLD_PUPIL_KEY "pupilkeyold" /* id of the key behind data.old */
#define ATTRIBUTE_PUPIL_FAULT   "pupilfault"  /* why rrn:# stands in its place: a word of pupil_fault_words */
enum pupil_fault {
    PUPIL_NO_FAULT,
    PUPIL_NO_KEY,      /* no keys are configured */
    PUPIL_NO_YEAR,     /* the event names no school year */
    PUPIL_NO_YEAR_KEY, /* no key of its school year */
    PUPIL_CHECK_NUMBER,
    PUPIL_FAULT_COUNT
};
extern const char *const pupil_fault_words[PUPIL_FAULT_COUNT];
