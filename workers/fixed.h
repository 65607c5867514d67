/* SPDX-License-Identifier: MIT
 *
 * What an operator fixed by a recorded step: the values of the working budget (fix budget YEAR, regulation 4) and the
 * reference rates of the risk indicators (fix reference YEAR, design 9). A year that is fixed again is replaced whole.
 * Pure; immutable once made. */
#pragma once

#include <stddef.h>

#include "workers/budget.h"
#include "workers/risk.h"

struct risk_reference {
    int year; /* of the events and of the count */
    enum level level;
    enum risk_indicator indicator;
    int64_t events, halves; /* of all known schools of the level */
    struct exact rate;      /* risk_rate() of these */
};
struct fixed {
    struct budget_value *budget;
    size_t budget_count;
    struct risk_reference *references;
    size_t reference_count;
};

/* A copy of `old` (may be NULL) in which the rows of that year are those given; NULL: out of memory. */
struct fixed *fixed_with_budget(const struct fixed *old, int year, const struct budget_value *rows,
                                size_t count);
struct fixed *fixed_with_references(const struct fixed *old, int year, const struct risk_reference *rows,
                                    size_t count);
void fixed_free(struct fixed **fixed);

/* NULL: not fixed. fixed may be NULL. */
const struct budget_value *fixed_budget(const struct fixed *fixed, int year, enum level level,
                                        enum indicator indicator);
const struct risk_reference *fixed_reference(const struct fixed *fixed, int year, enum level level,
                                             enum risk_indicator indicator);
