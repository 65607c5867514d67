/* SPDX-License-Identifier: MIT
 *
 * The Poisson tail and its bands (design 9). The tail is a sum of positive terms, from one term that is computed
 * without cancellation (saddle point form: Stirling's error and the deviance), in long double, whose 64 bits leave
 * room for the promised 1e-12. */
#include "workers/risk.h"

#include <assert.h>
#include <float.h>
#include <math.h>

_Static_assert(LDBL_MANT_DIG >= 64, "the promised accuracy needs long double of 64 bits");

const char *const risk_indicator_names[RISK_INDICATOR_COUNT + 1] = {"meldingen", "toah", "poah",
                                                                    "huisonderwijs", NULL};
const char *const risk_band_names[RISK_BAND_COUNT + 1] = {"normal", "high", "very_high", NULL};

#define TWO_PI 6.283185307179586476925286766559005768L

/* ln(n!) less Stirling's approximation of it; n > 0. The series is cut where its next term is below 1e-17. */
static long double stirling_error(long double n)
{
    if (n < 20) {
        long double factorial = 1; /* 19! fits 64 bits: exact */
        for (int i = 2; i <= (int)n; i++)
            factorial *= i;
        return logl(factorial) - (n + 0.5L) * logl(n) + n - 0.5L * logl(TWO_PI);
    }
    long double s = 1 / (n * n);
    return (1 / 12.0L -
            s * (1 / 360.0L -
                 s * (1 / 1260.0L - s * (1 / 1680.0L - s * (1 / 1188.0L - s * 691 / 360360.0L))))) /
           n;
}

/* P(X = k). */
static long double poisson_term(long double lambda, int64_t k)
{
    long double n = (long double)k;
    if (k == 0)
        return expl(-lambda);
    long double deviance = n * logl(n / lambda) + lambda - n;
    return expl(-stirling_error(n) - deviance) / sqrtl(TWO_PI * n);
}

/* P(X >= k), k > lambda: each term is lambda / i times the one before, so they fall from the first on. */
static long double upper_sum(long double lambda, int64_t k)
{
    long double term = 1, sum = 1;
    for (int64_t i = k + 1; term > sum * LDBL_EPSILON; i++) {
        term *= lambda / (long double)i;
        sum += term;
    }
    return sum * poisson_term(lambda, k);
}

/* P(X <= k), k < lambda. */
static long double lower_sum(long double lambda, int64_t k)
{
    long double term = 1, sum = 1;
    for (int64_t i = k; i > 0 && term > sum * LDBL_EPSILON; i--) {
        term *= (long double)i / lambda;
        sum += term;
    }
    return sum * poisson_term(lambda, k);
}

/* The smaller of the two tails is summed, or the one near a half: so 1 - sum loses no digits. */
double risk_poisson_tail(double lambda, int64_t k)
{
    assert(lambda >= 0);
    if (k <= 0)
        return 1;
    if (lambda <= 0)
        return 0;
    if ((long double)k > lambda)
        return (double)upper_sum(lambda, k);
    return (double)(1 - lower_sum(lambda, k - 1));
}

enum risk_band risk_band(int32_t observed, double probability)
{
    if (observed < RISK_LEAST || probability > RISK_P_HIGH)
        return RISK_NORMAL;
    return probability > RISK_P_VERY_HIGH ? RISK_HIGH : RISK_VERY_HIGH;
}

struct exact risk_rate(int64_t events, int64_t halves)
{
    exact_int scaled = (exact_int)events * 2 * 1000 * 1000000000; /* 10^RISK_RATE_SCALE */
    assert(events >= 0 && halves > 0);
    return (struct exact){.units = (2 * scaled + halves) / (2 * (exact_int)halves), .scale = RISK_RATE_SCALE};
}

struct exact risk_expected(struct exact rate, int64_t halves)
{
    return exact_mul(exact_mul(rate, exact_from_halves(halves)), (struct exact){.units = 1, .scale = 3});
}

/* As the decimal nearest to it reads: what a reader of the view computes with. */
static double exact_double(struct exact e)
{
    long double value = (long double)e.units;
    for (int i = 0; i < e.scale; i++)
        value /= 10;
    return (double)value;
}

/* (1) Without a reference, pupils or anything to expect nothing can be said; (2) expected; (3) probability of as
 * many or more; (4) band. Re-evaluation: an event of the school, its count, its level, another reference. */
void risk_judge(int32_t observed, bool has_rate, struct exact rate, int64_t halves, struct risk *out)
{
    *out = (struct risk){.judged = has_rate && rate.units > 0 && halves > 0}; /* (1) */
    if (!out->judged)
        return;
    out->expected = risk_expected(rate, halves);                                 /* (2) */
    out->probability = risk_poisson_tail(exact_double(out->expected), observed); /* (3) */
    out->band = risk_band(observed, out->probability);                           /* (4) */
}
