/* SPDX-License-Identifier: MIT
 *
 * The working budget on pupil characteristics (regulation 4): what a pupil on an indicator is worth, what a school
 * gets for its pupils, and what the sanction leaves. Only bao and so. Pure; cents and pupils exact. */
#pragma once

#include "workers/event.h"
#include "workers/exact.h"

#define BUDGET_INDICATORS 4
extern const enum indicator budget_indicators[BUDGET_INDICATORS]; /* in the order of regulation 4 */
/* Place of a level among those with a working budget: 0 bao, 1 so; -1: none. */
#define BUDGET_LEVELS 2
int budget_level(enum level level);
extern const enum level budget_levels[BUDGET_LEVELS];

/* What fix budget records for a school year of use, a level and an indicator. */
struct budget_value {
    int year;
    enum level level;
    enum indicator indicator;
    int64_t envelope_cents;
    struct exact split;
    int64_t halves; /* pupils of all schools on the indicator, half units; 0: nobody, so no value */
};

/* Cents per pupil, half up to 4 decimals from the exact quotient, for showing; false when there is no value. */
bool budget_pupil_value(const struct budget_value *v, struct exact *out);
/* Half up of pupils x (envelope x split / N), in cents, from the exact quotient; halves: of the school. */
int64_t budget_amount(const struct budget_value *v, int64_t halves);
/* After the sanction (regulation 3): sanction_halves 2 = factor 1, 1 = factor 0.5 and rounded half up again. */
int64_t budget_granted(int64_t amount_cents, int sanction_halves);
