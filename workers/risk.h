/* SPDX-License-Identifier: MIT
 *
 * Risk indicators (design 9): how many events a school has against how many its pupils would give at the
 * reference rate of its level, and how likely that many or more are under Poisson. Pure. Rates and expectations
 * are exact decimals; the probability alone is a double, accurate to 1e-12 relative. */
#pragma once

#include "workers/exact.h"

enum risk_indicator {
    RISK_MELDINGEN,
    RISK_TOAH,
    RISK_POAH,
    RISK_HUISONDERWIJS, /* departures: verklaringen by last_school_id */
    RISK_INDICATOR_COUNT
};
extern const char *const risk_indicator_names[RISK_INDICATOR_COUNT + 1];

enum risk_band { RISK_NORMAL, RISK_HIGH, RISK_VERY_HIGH, RISK_BAND_COUNT };
extern const char *const risk_band_names[RISK_BAND_COUNT + 1];
#define RISK_P_HIGH      0.025 /* ranks, does not alert: of 3,850 schools x 4 rates some 94 by chance */
#define RISK_P_VERY_HIGH 0.001
#define RISK_LEAST       3 /* fewer events are never more than normal, however unexpected */

/* P(X >= k) of a Poisson variable with mean lambda: within 1e-12 of its value (while that is a normal double)
 * for lambda 1e-6..1e4 and k 0..1e5. k <= 0: 1. lambda 0: 0 for k > 0. */
double risk_poisson_tail(double lambda, int64_t k);
enum risk_band risk_band(int32_t observed, double probability);

/* Events per 1,000 pupils, rounded half up to RISK_RATE_SCALE decimals once: what fix reference records. */
#define RISK_RATE_SCALE 9
struct exact risk_rate(int64_t events, int64_t halves); /* halves > 0 */
/* rate x pupils / 1,000, exactly. */
struct exact risk_expected(struct exact rate, int64_t halves);

struct risk {
    bool
        judged; /* something is expected of the school: its level has a reference with events, it has pupils */
    struct exact expected;
    double probability;
    enum risk_band band;
};
/* rate: of the school's level; has_rate false: no reference is fixed. */
void risk_judge(int32_t observed, bool has_rate, struct exact rate, int64_t halves, struct risk *out);
