/* SPDX-License-Identifier: MIT
 *
 * Decimals as a 128-bit integer over a power of ten (regulation 0). What overflows here is our own bug: the
 * bounds of the parameters (rules_table.c) keep points x factor x value of 2^28 half units below 2^127. */
#include "workers/exact.h"

#include <assert.h>

#define SCALE_MAX  36
#define DIGITS_MAX 9

static exact_int power_of_ten(int n)
{
    assert(n >= 0 && n <= SCALE_MAX);
    exact_int p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

static exact_int multiply_or_die(exact_int a, exact_int b)
{
    exact_int product;
    bool overflow = __builtin_mul_overflow(a, b, &product);
    assert(!overflow);
    (void)overflow;
    return product;
}

static int count_digits(const char **text, exact_int *units)
{
    int digits = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++, digits++)
        if (digits < DIGITS_MAX)
            *units = *units * 10 + (**text - '0');
    return digits;
}

int exact_parse(const char *text, struct exact *out)
{
    bool negative = *text == '-';
    if (negative)
        text++;
    exact_int units = 0;
    int before = count_digits(&text, &units), after = 0;
    bool point = *text == '.';
    if (point) {
        text++;
        after = count_digits(&text, &units);
    }
    if (*text || before > DIGITS_MAX || after > DIGITS_MAX || (point ? after == 0 : before == 0))
        return ERR_INVALID;
    out->units = negative ? -units : units;
    out->scale = after;
    return 0;
}

void exact_format(struct exact a, char *out)
{
    while (a.scale > 0 && a.units % 10 == 0) {
        a.units /= 10;
        a.scale--;
    }
    bool negative = a.units < 0;
    unsigned __int128 rest = negative ? -(unsigned __int128)a.units : (unsigned __int128)a.units;
    char reversed[EXACT_TEXT_MAX];
    int n = 0;
    for (int place = 0; rest || place <= a.scale; place++) { /* at least one digit before the point */
        if (place == a.scale && a.scale > 0)
            reversed[n++] = '.';
        reversed[n++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    }
    if (negative)
        reversed[n++] = '-';
    while (n > 0)
        *out++ = reversed[--n];
    *out = '\0';
}

struct exact exact_from_int(int64_t v)
{
    return (struct exact){.units = v, .scale = 0};
}

struct exact exact_from_halves(int64_t halves)
{
    if (halves % 2 == 0)
        return exact_from_int(halves / 2);
    return (struct exact){.units = (exact_int)halves * 5, .scale = 1};
}

struct exact exact_add(struct exact a, struct exact b)
{
    if (a.scale < b.scale) {
        struct exact swap = a;
        a = b;
        b = swap;
    }
    exact_int sum;
    exact_int aligned = multiply_or_die(b.units, power_of_ten(a.scale - b.scale));
    bool overflow = __builtin_add_overflow(a.units, aligned, &sum);
    assert(!overflow);
    (void)overflow;
    return (struct exact){.units = sum, .scale = a.scale};
}

struct exact exact_mul(struct exact a, struct exact b)
{
    assert(a.scale + b.scale <= SCALE_MAX);
    return (struct exact){.units = multiply_or_die(a.units, b.units), .scale = a.scale + b.scale};
}

static int compare_int(exact_int a, exact_int b)
{
    return a < b ? -1 : a > b;
}

/* Whole parts first, then fractions brought to 36 places: below 10^36, so nothing can overflow. */
int exact_cmp(struct exact a, struct exact b)
{
    exact_int pa = power_of_ten(a.scale), pb = power_of_ten(b.scale);
    int whole = compare_int(a.units / pa, b.units / pb);
    if (whole)
        return whole;
    return compare_int(a.units % pa * power_of_ten(SCALE_MAX - a.scale),
                       b.units % pb * power_of_ten(SCALE_MAX - b.scale));
}

/* Regulation 0: up when the first decimal digit is greater than 4 (gt4; for bao the note reads 4 or more:
 * ge4), else down. The digit is of the exact value: there is no rounding before it. */
int64_t exact_round(struct exact a, enum rounding mode)
{
    assert(a.units >= 0);
    exact_int one = power_of_ten(a.scale);
    exact_int whole = a.units / one, fraction = a.units % one;
    int digit = a.scale == 0 ? 0 : (int)(fraction / (one / 10));
    assert(whole < INT64_MAX);
    return (int64_t)whole + (digit > (mode == ROUND_GE4 ? 3 : 4));
}
