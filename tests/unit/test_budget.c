/* SPDX-License-Identifier: MIT
 *
 * The working budget: worked values, and that the sum over schools differs from the envelope by rounding only.
 * links: workers/budget.o workers/exact.o
 */
#include "workers/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int prepare(void **state)
{
    (void)state;
    const char *text = getenv("TEST_SEED");
    seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu (TEST_SEED)\n", (unsigned long long)seed);
    seed = seed * 2 + 1;
    return 0;
}

static struct budget_value value_of(int64_t cents, const char *split, int64_t halves)
{
    struct budget_value v = {
        .year = 2025, .level = LEVEL_BAO, .indicator = IND_OPLEIDING_MOEDER, .envelope_cents = cents};
    assert_int_equal(exact_parse(split, &v.split), 0);
    v.halves = halves;
    return v;
}

static void expect_worth(int64_t cents, const char *split, int64_t halves, const char *text)
{
    struct budget_value v = value_of(cents, split, halves);
    struct exact value;
    char out[EXACT_TEXT_MAX];
    assert_true(budget_pupil_value(&v, &value));
    exact_format(value, out);
    assert_string_equal(out, text);
}

static void worked_values(void **state)
{
    (void)state;
    /* 64.5 M x .30 / 150,000.5 pupils = 128.99957... euro */
    expect_worth(6450000000, "0.30", 300001, "12899.957");
    expect_worth(100, "1", 6, "33.3333");
    expect_worth(200, "1", 6, "66.6667");
    expect_worth(1, "0.5", 20000, "0.0001"); /* .00005 exactly: half up */
    struct budget_value v = value_of(100, "1", 6);
    assert_int_equal(budget_amount(&v, 2), 33);
    assert_int_equal(budget_amount(&v, 4), 67);
    assert_int_equal(budget_amount(&v, 3), 50); /* a pupil and a half */
    assert_int_equal(budget_amount(&v, 6), 100);
    assert_int_equal(budget_amount(&v, 0), 0);
    v = value_of(1, "1", 4);
    assert_int_equal(budget_amount(&v, 2), 1); /* half a cent: up */
    /* one rounding only: from the value shown (.3333) it would be 99,990 */
    v = value_of(100000, "1", 600000);
    assert_int_equal(budget_amount(&v, 600000), 100000);
}

static void nobody_on_the_indicator(void **state)
{
    (void)state;
    struct budget_value v = value_of(100, "1", 0);
    struct exact value;
    assert_false(budget_pupil_value(&v, &value));
    assert_int_equal(budget_amount(&v, 0), 0);
}

static void greatest_parameters(void **state)
{
    (void)state;
    struct budget_value v = value_of(99999999900, "0.999999999", 1 << 28);
    assert_int_equal(budget_amount(&v, 1 << 28), 99999999800);
}

static void sanction(void **state)
{
    (void)state;
    assert_int_equal(budget_granted(101, 2), 101);
    assert_int_equal(budget_granted(101, 1), 51); /* a half is rounded up again */
    assert_int_equal(budget_granted(100, 1), 50);
    assert_int_equal(budget_granted(0, 1), 0);
}

static void levels(void **state)
{
    (void)state;
    for (int level = 0; level < LEVEL_COUNT; level++) {
        int place = budget_level((enum level)level);
        assert_int_equal(place, level == LEVEL_BAO ? 0 : level == LEVEL_SO ? 1 : -1);
    }
}

/* The amounts of all schools differ from the part of the envelope by at most half a cent a school. */
static void sum_is_the_envelope(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        int schools = 1 + (int)(next_random() % 200);
        int64_t halves[200], all = 0, sum = 0, cents = (int64_t)(next_random() % 10000000000);
        for (int i = 0; i < schools; i++)
            all += halves[i] = (int64_t)(next_random() % 3000);
        if (!all)
            continue;
        struct budget_value v = value_of(cents, "0.30", all);
        for (int i = 0; i < schools; i++)
            sum += budget_amount(&v, halves[i]);
        int64_t off = 10 * sum - 3 * cents; /* tenths of a cent */
        assert_true(llabs(off) <= 5 * schools);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_values),
        cmocka_unit_test(nobody_on_the_indicator),
        cmocka_unit_test(greatest_parameters),
        cmocka_unit_test(sanction),
        cmocka_unit_test(levels),
        cmocka_unit_test(sum_is_the_envelope),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
