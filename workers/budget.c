/* SPDX-License-Identifier: MIT
 *
 * Value per pupil and amounts of the working budget (regulation 4). Quotients are kept as a pair of integers and
 * rounded once. The bounds of the parameters (rules_table.c) keep envelope x split x pupils below 2^127. */
#include "workers/budget.h"

#include <assert.h>

const enum indicator budget_indicators[BUDGET_INDICATORS] = {IND_OPLEIDING_MOEDER, IND_SCHOOLTOELAGE,
                                                             IND_THUISTAAL, IND_BUURT};
const enum level budget_levels[BUDGET_LEVELS] = {LEVEL_BAO, LEVEL_SO};

int budget_level(enum level level)
{
    for (int i = 0; i < BUDGET_LEVELS; i++)
        if (budget_levels[i] == level)
            return i;
    return -1;
}

static exact_int power_of_ten(int n)
{
    exact_int p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

/* Half up; both positive. */
static exact_int divide(exact_int a, exact_int b)
{
    return (2 * a + b) / (2 * b);
}

bool budget_pupil_value(const struct budget_value *v, struct exact *out)
{
    assert(v->envelope_cents >= 0 && v->halves >= 0);
    if (v->halves == 0)
        return false;
    exact_int whole = (exact_int)v->envelope_cents * v->split.units * 2 * 10000;
    *out = (struct exact){.units = divide(whole, v->halves * power_of_ten(v->split.scale)), .scale = 4};
    return true;
}

/* (1) the indicator's part of the envelope, (2) by pupils of all, (3) times pupils of the school, (4) one rounding. */
int64_t budget_amount(const struct budget_value *v, int64_t halves)
{
    assert(halves >= 0);
    if (v->halves == 0)
        return 0;
    exact_int share = (exact_int)v->envelope_cents * v->split.units * halves;
    return (int64_t)divide(share, v->halves * power_of_ten(v->split.scale));
}

int64_t budget_granted(int64_t amount_cents, int sanction_halves)
{
    assert(sanction_halves == 1 || sanction_halves == 2);
    return sanction_halves == 2 ? amount_cents : (amount_cents + 1) / 2;
}
