/* SPDX-License-Identifier: MIT
 *
 * Exact decimals: parsing, formatting, rounding (regulation 0), and agreement with plain integers on random
 * values.
 *
 * links: workers/exact.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "workers/exact.h"

static uint64_t seed;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct exact parsed(const char *text)
{
    struct exact value = {0};
    if (exact_parse(text, &value) != 0)
        fail_msg("'%s' was refused", text);
    return value;
}

static void expect_text(struct exact value, const char *text)
{
    char out[EXACT_TEXT_MAX];
    exact_format(value, out);
    assert_string_equal(out, text);
}

static void parses_decimals(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"1.2", "1.2"},
                                           {"-0.25", "-0.25"},
                                           {".8", "0.8"},
                                           {"0", "0"},
                                           {"-0", "0"},
                                           {"58.000", "58"},
                                           {"14.6288", "14.6288"},
                                           {"0.252220818", "0.252220818"},
                                           {"999999999.999999999", "999999999.999999999"},
                                           {"100", "100"},
                                           {"-.5", "-0.5"},
                                           {"007.50", "7.5"},
                                           {"0.000000001", "0.000000001"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        expect_text(parsed(pairs[i][0]), pairs[i][1]);
}

static void refuses_what_is_no_decimal(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    "-",     ".",   "1.",  "-.",  "+1",         "1e3",          " 1",         "1 ",
        "1,2", "1.2.3", "--1", "0x1", "nan", "1234567890", "0.1234567890", "0000000001", "1.0000000000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct exact value;
        if (exact_parse(bad[i], &value) != ERR_INVALID)
            fail_msg("'%s' was accepted", bad[i]);
    }
}

static void formats_the_extremes(void **state)
{
    (void)state;
    exact_int most = (exact_int)(~(unsigned __int128)0 >> 1);
    expect_text((struct exact){most, 0}, "170141183460469231731687303715884105727");
    expect_text((struct exact){-most - 1, 36}, "-170.141183460469231731687303715884105728");
    expect_text((struct exact){1, 36}, "0.000000000000000000000000000000000001");
    expect_text(exact_from_halves(1467), "733.5");
    expect_text(exact_from_halves(-3), "-1.5");
    expect_text(exact_from_halves(40), "20");
}

static void rounds_on_the_first_decimal_digit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int gt4, ge4;
    } rows[] = {{"9.40074", 9, 10}, {"0.5", 1, 1},    {"0.49999", 0, 1}, {"0.39999", 0, 0}, {"7", 7, 7},
                {"6.0025", 6, 6},   {"5.9535", 6, 6}, {"3.5", 4, 4},     {"0", 0, 0},       {"0.4", 0, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(exact_round(parsed(rows[i].text), ROUND_GT4), rows[i].gt4);
        assert_int_equal(exact_round(parsed(rows[i].text), ROUND_GE4), rows[i].ge4);
    }
}

/* Sums, products and order agree with integers: both sides scaled to 10^-6. */
static void agrees_with_integers(void **state)
{
    (void)state;
    uint64_t random = seed;
    for (int i = 0; i < 20000; i++) {
        int64_t a = (int64_t)(next_random(&random) % 2000001) - 1000000;
        int64_t b = (int64_t)(next_random(&random) % 2000001) - 1000000;
        struct exact x = {a, 3}, y = {(exact_int)b * 1000, 6}; /* y = b / 1000 with trailing zeros */
        assert_true(exact_add(x, y).units == (exact_int)(a + b) * 1000);
        assert_true(exact_mul(x, y).units == (exact_int)a * b * 1000);
        assert_int_equal(exact_cmp(x, y), a < b ? -1 : a > b);
        char text[EXACT_TEXT_MAX], again[EXACT_TEXT_MAX];
        exact_format(x, text);
        exact_format(parsed(text), again);
        assert_string_equal(text, again);
        assert_int_equal(exact_cmp(parsed(text), x), 0);
        if (a >= 0)
            assert_int_equal(exact_round(x, ROUND_GT4), (a + 500) / 1000);
    }
}

static void compares_far_apart_values(void **state)
{
    (void)state;
    struct exact tiny = {1, 36}, huge = {(exact_int)1 << 100, 0};
    assert_int_equal(exact_cmp(tiny, huge), -1);
    assert_int_equal(exact_cmp(huge, tiny), 1);
    assert_int_equal(exact_cmp((struct exact){-1, 1}, (struct exact){1, 1}), -1);
    assert_int_equal(exact_cmp((struct exact){10, 1}, (struct exact){1, 0}), 0);
}

int main(void)
{
    const char *given = getenv("TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    if (seed == 0)
        seed = 1;
    printf("TEST_SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_decimals),      cmocka_unit_test(refuses_what_is_no_decimal),
        cmocka_unit_test(formats_the_extremes), cmocka_unit_test(rounds_on_the_first_decimal_digit),
        cmocka_unit_test(agrees_with_integers), cmocka_unit_test(compares_far_apart_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
