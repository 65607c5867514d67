/* SPDX-License-Identifier: MIT
 *
 * The Poisson tail against values computed otherwise and against printed tables; bands; rates and expectations.
 * links: workers/risk.o workers/exact.o
 */
#include "workers/risk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/poisson_values.h"

#define TOLERANCE 1e-12

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

static void expect_close(double lambda, int64_t k, double wanted, double tolerance)
{
    double got = risk_poisson_tail(lambda, k);
    if (!(fabs(got - wanted) <= tolerance * wanted))
        fail_msg("P(X >= %lld | %g) = %.17g, not %.17g: off by %g", (long long)k, lambda, got, wanted,
                 fabs(got / wanted - 1));
}

static void computed_values(void **state)
{
    (void)state;
    size_t count = sizeof poisson_values / sizeof *poisson_values;
    assert_true(count > 200);
    for (size_t i = 0; i < count; i++)
        expect_close(poisson_values[i].lambda, poisson_values[i].k, poisson_values[i].tail, TOLERANCE);
}

/* Cumulative Poisson tables as printed in textbooks, P(X <= k) to 4 decimals. */
static void printed_values(void **state)
{
    (void)state;
    static const struct {
        double lambda;
        int k;
        double most;
    } table[] = {{0.1, 0, 0.9048}, {0.2, 0, 0.8187}, {0.2, 1, 0.9825}, {0.5, 0, 0.6065}, {0.5, 2, 0.9856},
                 {1, 0, 0.3679},   {1, 1, 0.7358},   {1, 2, 0.9197},   {1, 3, 0.9810},   {2, 0, 0.1353},
                 {2, 2, 0.6767},   {2, 4, 0.9473},   {3, 0, 0.0498},   {3, 3, 0.6472},   {4, 4, 0.6288},
                 {5, 0, 0.0067},   {5, 5, 0.6160},   {5, 9, 0.9682},   {10, 5, 0.0671},  {10, 10, 0.5830},
                 {10, 15, 0.9513}, {15, 15, 0.5681}, {20, 20, 0.5591}, {20, 25, 0.8878}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_true(fabs(1 - risk_poisson_tail(table[i].lambda, table[i].k + 1) - table[i].most) <= 0.00005);
}

static void closed_forms(void **state)
{
    (void)state;
    static const double lambdas[] = {1e-6, 1e-3, 0.2, 1, 2.5, 30};
    for (size_t i = 0; i < sizeof lambdas / sizeof *lambdas; i++) {
        double lambda = lambdas[i];
        expect_close(lambda, 1, -expm1(-lambda), TOLERANCE);
        assert_true(risk_poisson_tail(lambda, 0) >= 1 && risk_poisson_tail(lambda, -1) >= 1);
    }
    assert_true(risk_poisson_tail(0, 1) <= 0);
    assert_true(risk_poisson_tail(0, 0) >= 1);
    for (int64_t k = 0; k <= 100000; k += 9973) { /* the corners: bounded, finite, and done in a moment */
        assert_true(risk_poisson_tail(1e-6, k) >= 0 && risk_poisson_tail(1e-6, k) <= 1);
        assert_true(risk_poisson_tail(1e4, k) >= 0 && risk_poisson_tail(1e4, k) <= 1);
    }
}

/* P(X >= k) falls with k and grows with lambda, and over all k adds up to the mean. */
static void properties(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        double lambda = exp((double)(next_random() % 1000) / 1000 * log(1e4 / 1e-6)) * 1e-6, sum = 0;
        int64_t end = (int64_t)(lambda + 40 * sqrt(lambda) + 60), k;
        if (lambda > 2000)
            continue;
        double before = 1;
        for (k = 1; k <= end; k++) {
            double p = risk_poisson_tail(lambda, k);
            assert_true(p <= before);
            assert_true(risk_poisson_tail(lambda * 1.01, k) >= p);
            before = p;
            sum += p;
        }
        assert_true(fabs(sum - lambda) <= 1e-11 * lambda);
    }
}

static void bands(void **state)
{
    (void)state;
    assert_int_equal(risk_band(3, 0.025), RISK_HIGH);
    assert_int_equal(risk_band(3, nextafter(0.025, 1)), RISK_NORMAL);
    assert_int_equal(risk_band(3, 0.001), RISK_VERY_HIGH);
    assert_int_equal(risk_band(3, nextafter(0.001, 1)), RISK_HIGH);
    assert_int_equal(risk_band(2, 0), RISK_NORMAL);
    assert_int_equal(risk_band(0, 1), RISK_NORMAL);
    assert_int_equal(RISK_BAND_COUNT, 3);
    assert_null(risk_band_names[RISK_BAND_COUNT]);
    assert_null(risk_indicator_names[RISK_INDICATOR_COUNT]);
}

static void expect_exact(struct exact value, const char *text)
{
    char out[EXACT_TEXT_MAX];
    exact_format(value, out);
    assert_string_equal(out, text);
}

static void rates(void **state)
{
    (void)state;
    expect_exact(risk_rate(172, 2400000), "0.143333333"); /* 172 meldingen, 1.2 M pupils */
    expect_exact(risk_rate(1, 6000), "0.333333333");
    expect_exact(risk_rate(2, 6000), "0.666666667");
    expect_exact(risk_rate(1, 4000000000), "0.0000005");
    expect_exact(risk_rate(1, 800000000000), "0.000000003"); /* 2.5: half up */
    expect_exact(risk_rate(0, 2), "0");
    expect_exact(risk_rate(100000, 1), "200000000");
    expect_exact(risk_expected(risk_rate(172, 2400000), 801), "0.0574049998665");
    expect_exact(risk_expected(risk_rate(1, 2000), 401), "0.2005");
}

static void judgement(void **state)
{
    (void)state;
    struct risk r;
    risk_judge(5, false, exact_from_int(1), 2000, &r);
    assert_false(r.judged);
    risk_judge(5, true, exact_from_int(0), 2000, &r);
    assert_false(r.judged);
    risk_judge(5, true, exact_from_int(1), 0, &r);
    assert_false(r.judged);
    risk_judge(5, true, exact_from_int(1), 2000, &r); /* 1,000 pupils, 1 a 1,000 */
    assert_true(r.judged);
    expect_exact(r.expected, "1");
    expect_close(1, 5, r.probability, 0);
    assert_int_equal(r.band, RISK_HIGH); /* .00366 */
    risk_judge(6, true, exact_from_int(1), 2000, &r);
    assert_int_equal(r.band, RISK_VERY_HIGH); /* .00059 */
    risk_judge(3, true, exact_from_int(1), 2000, &r);
    assert_int_equal(r.band, RISK_NORMAL); /* .0803 */
    risk_judge(0, true, exact_from_int(1), 2000, &r);
    assert_true(r.judged && r.probability >= 1);
}

/* A school of which .2 events are expected and that has one never fires; nor does any school with two. */
static void few_events_never_fire(void **state)
{
    (void)state;
    for (int round = 0; round < 100000; round++) {
        struct risk r;
        int64_t halves = 1 + (int64_t)(next_random() % 10000);
        struct exact rate = {.units = 400000000000 / halves, .scale = RISK_RATE_SCALE}; /* expected .2 */
        risk_judge(1, true, rate, halves, &r);
        assert_true(r.judged && r.probability > 0.1812 && r.probability < 0.1814);
        assert_int_equal(r.band, RISK_NORMAL);
        rate.units = 1 + (exact_int)(next_random() % 1000000000000);
        risk_judge((int32_t)(next_random() % 3), true, rate, halves, &r);
        assert_true(r.judged && r.band == RISK_NORMAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computed_values), cmocka_unit_test(printed_values),
        cmocka_unit_test(closed_forms),    cmocka_unit_test(properties),
        cmocka_unit_test(bands),           cmocka_unit_test(rates),
        cmocka_unit_test(judgement),       cmocka_unit_test(few_events_never_fire),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
