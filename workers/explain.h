/* SPDX-License-Identifier: MIT
 *
 * Why a row of allocation is what it is (P5): the steps of regulation 2 with this group's own numbers, each
 * with the parameters it uses, their value, source and whether they are verified. One list of steps, rendered
 * as text for people and as JSON for programs. Pure. */
#pragma once

#include "workers/allocation.h"
#include "workers/evaluation.h"

struct explain_input {
    const struct rules_set *set;
    const struct allocation *row;    /* as allocation_compute() filled it */
    const struct group_cells *cells; /* [GROUP_COUNT], of the count year */
    const struct allocation_school *school;
    const char *school_name; /* may be "" */
    bool count_closed;
    const struct inspection_report *verdicts; /* the school's reports with a GOK verdict, in order; at most
                                                 EXPLAIN_VERDICTS_MAX, the last ones */
    size_t verdict_count;
};
#define EXPLAIN_VERDICTS_MAX 64

/* malloc'ed, the caller frees; NULL when out of memory. */
char *explain_text(const struct explain_input *in);
/* A JSON object: the row's figures, rests_on_unverified, unverified (names), steps [{title, text, cites,
 * rules}]. */
char *explain_json(const struct explain_input *in);
