/* SPDX-License-Identifier: MIT
 *
 * Texts of events into numbers, exactly: no double, no locale, no time zone data. */
#include "workers/event_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *const pupil_fault_words[PUPIL_FAULT_COUNT] = {"", "no_key", "no_year", "no_year_key",
                                                          "check_number"};

/* Exactly `count` digits at s. */
static bool read_digits(const char *s, int count, int *out)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (s[i] - '0');
    }
    *out = n;
    return true;
}

bool value_parse_school_id(const char *s, size_t len, int64_t *out)
{
    int n;
    if (len < 1 || len > 9 || s[0] == '0' || !read_digits(s, (int)len, &n))
        return false;
    *out = n;
    return true;
}

bool value_parse_year(const char *s, size_t len, int64_t *out)
{
    int from, to;
    if (len != 9 || s[4] != '-' || !read_digits(s, 4, &from) || !read_digits(s + 5, 4, &to))
        return false;
    if (to != from + 1 || from < 1990 || from > 2099)
        return false;
    *out = from;
    return true;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days since 1970 of a date from 1900 on. */
static int64_t days_of(int year, int month, int day)
{
    static const short before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int y = year - 1;
    int64_t days = 365 * (int64_t)y + y / 4 - y / 100 + y / 400 - 719162;
    return days + before[month - 1] + (month > 2 && is_leap(year)) + day - 1;
}

/* The first ten bytes of s. */
static bool read_date(const char *s, int *year, int64_t *days)
{
    static const char lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int month, day;
    if (s[4] != '-' || s[7] != '-' || !read_digits(s, 4, year) || !read_digits(s + 5, 2, &month) ||
        !read_digits(s + 8, 2, &day))
        return false;
    if (*year < 1900 || *year > 2100 || month < 1 || month > 12 || day < 1)
        return false;
    if (day > lengths[month - 1] + (month == 2 && is_leap(*year)))
        return false;
    *days = days_of(*year, month, day);
    return true;
}

bool value_parse_date(const char *s, size_t len, int64_t *out)
{
    int year;
    return len == 10 && read_date(s, &year, out) && year <= 2099;
}

/* "Z" or "+01:00" to the end, in minutes. */
static bool read_offset(const char *s, const char *end, int *minutes)
{
    int h, m;
    *minutes = 0;
    if (end - s == 1)
        return *s == 'Z' || *s == 'z';
    if (end - s != 6 || (*s != '+' && *s != '-') || s[3] != ':' || !read_digits(s + 1, 2, &h) ||
        !read_digits(s + 4, 2, &m) || h > 23 || m > 59)
        return false;
    *minutes = (h * 60 + m) * (*s == '-' ? -1 : 1);
    return true;
}

bool value_parse_time(const char *s, size_t len, int64_t *out)
{
    const char *end = s + len;
    int year, hour, minute, second, offset;
    int64_t days, fraction_us = 0;
    if (len < 20 || (s[10] != 'T' && s[10] != 't') || s[13] != ':' || s[16] != ':' ||
        !read_date(s, &year, &days) || !read_digits(s + 11, 2, &hour) || !read_digits(s + 14, 2, &minute) ||
        !read_digits(s + 17, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    s += 19;
    if (*s == '.') {
        const char *first = ++s;
        for (int64_t unit = 100000; s < end && *s >= '0' && *s <= '9'; s++, unit /= 10)
            fraction_us += (*s - '0') * unit;
        if (s == first)
            return false;
    }
    if (!read_offset(s, end, &offset))
        return false;
    int64_t us = (days * 86400 + hour * 3600 + minute * 60 + second - offset * 60) * 1000000 + fraction_us;
    if (us < 0 || us >= days_of(2100, 1, 1) * 86400 * 1000000)
        return false;
    *out = us;
    return true;
}

bool value_parse_pupil(const char *s, size_t len, uint8_t out[16])
{
    if (len != 32)
        return false;
    for (int i = 0; i < 16; i++) {
        int high = value_hex_digit(s[2 * i]), low = value_hex_digit(s[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

bool value_has_long_repeat(const char *s, size_t len)
{
    size_t same = 0;
    for (size_t i = 0; i < len; i++) {
        same = i > 0 && value_hex_digit(s[i]) == value_hex_digit(s[i - 1]) ? same + 1 : 1;
        if (same >= PUPIL_REPEAT_MAX)
            return true;
    }
    return false;
}

/* The parts of a JSON number (its grammar is checked before). The value is 0.<digits> x 10^magnitude, where
 * digits are those of s without sign and leading zeros; exponents saturate far beyond any double. */
struct number {
    bool negative, zero;
    int64_t magnitude;
    const char *first, *end; /* from the first digit that is not 0 up to the exponent */
};

static struct number read_number(const char *s, size_t len)
{
    const char *end = s + len;
    struct number n = {.zero = true};
    int64_t exponent = 0;
    bool fraction = false;
    if (s < end && *s == '-') {
        n.negative = true;
        s++;
    }
    for (; s < end && *s != 'e' && *s != 'E'; s++) {
        if (*s == '.') {
            fraction = true;
            continue;
        }
        if (n.zero && *s != '0') {
            n.zero = false;
            n.first = s;
        }
        if (!n.zero && !fraction)
            n.magnitude++;
        else if (n.zero && fraction)
            n.magnitude--;
    }
    n.end = s;
    if (s < end) {
        bool minus = *++s == '-';
        if (*s == '-' || *s == '+')
            s++;
        for (; s < end; s++)
            exponent = exponent > 100000000 ? exponent : exponent * 10 + (*s - '0');
        n.magnitude += minus ? -exponent : exponent;
    }
    return n;
}

bool value_parse_decimal(const char *s, size_t len, struct decimal *out)
{
    struct number n = read_number(s, len);
    *out = (struct decimal){0};
    if (n.zero)
        return true;
    int64_t digits = 0, kept = 0;
    for (s = n.first; s < n.end; s++) {
        if (*s == '.')
            continue;
        digits++;
        if (*s == '0')
            continue;
        if (digits > 18)
            return false;
        for (; kept < digits; kept++) /* the zeros that turn out not to be trailing, too */
            out->mantissa *= 10;
        out->mantissa += *s - '0';
    }
    int64_t exponent = n.magnitude - kept;
    if (exponent < -1000 || exponent > 1000)
        return false;
    out->exponent = (int)exponent;
    if (n.negative)
        out->mantissa = -out->mantissa;
    return true;
}

bool value_number_is_finite(const char *s, size_t len)
{
    struct number n = read_number(s, len);
    if (n.zero || n.magnitude <= 308)
        return true;
    if (n.magnitude > 309)
        return false;
    /* The largest double is 0.179..e309. Forty digits decide; as an integer they need no locale's decimal
     * point. */
    char text[64];
    int digits = 0;
    for (s = n.first; s < n.end && digits < 40; s++)
        if (*s != '.')
            text[digits++] = *s;
    snprintf(text + digits, sizeof text - (size_t)digits, "e%d", 309 - digits);
    return isfinite(strtod(text, NULL));
}
