/* SPDX-License-Identifier: MIT
 *
 * The four staffing streams (regulation 2): from one school's counts to hours, exactly. Pure: no memory, no
 * clock, no globals. Re-evaluation: a change in count year c can change use years c+1, c+2 and c+3.
 *
 * Counts are in half units (a pupil of weight 1 is 2). cells[g][m] = half units of regular pupils of group g
 * whose indicators are exactly the bit mask m (enum indicator). */
#pragma once

#include "workers/event.h"
#include "workers/exact.h"
#include "workers/rules.h"

struct group_cells {
    int32_t halves[IND_CELLS];
};
struct group_counts { /* derived from cells, half units */
    int32_t pupils, gok /* at least one of the five, not buurt */, indicator[IND_COUNT];
};
void group_count(const struct group_cells *cells, struct group_counts *out);

struct allocation {
    int year; /* of use; the count year is year - 1 */
    uint32_t school_id;
    enum staffing staffing;
    enum group group;    /* GROUP_AANBOD for the two bu streams */
    int32_t pupils, gok; /* half units; gok = what the threshold is tested on (moeder for bu by default) */
    bool has_threshold;
    struct exact threshold;
    bool has_points;           /* false for ses_lestijden (additive hours) */
    struct exact points_exact; /* after weights and factor, before rounding */
    struct exact points;       /* what the value is multiplied with: hours_exact = points x value */
    struct exact factor;       /* 1, Brussels or concentration */
    struct exact value;        /* hours per point */
    struct exact hours_exact;
    int32_t hours;
    bool has_minimum;
    int32_t minimum;
    enum status status;
    bool threshold_holds, minimum_holds;
    enum status previous;     /* status in year - 1, and */
    bool previous_known;      /* whether there is one */
    bool previous_official;   /* it came from entitlement.known */
    uint32_t previous_school; /* whose history: the school itself or a predecessor */
    int sanction_halves;      /* 2 = factor 1, 1 = factor 0.5 */
    int32_t granted;
    bool has_margin_pupils, has_margin_hours;
    int32_t margin_pupils, margin_hours;
};

struct allocation_school { /* what the rules ask of a school */
    uint32_t school_id;
    enum level level;
    bool brussels;
    int32_t closed_on; /* days since 1970; INT32_MAX = open. Nothing is allocated for a year that starts on or
                          after it */
};

/* History of year - 1 for one staffing stream and group: fills status, official, school; false when unknown.
 * Asked for every row that can be lost, so never for ses_lestijden. */
struct allocation_history {
    bool (*previous)(const void *context, enum staffing staffing, enum group group, enum status *status,
                     bool *official, uint32_t *school);
    const void *context;
};

/* Fills at most 3 rows (groups with regular pupils that fit the level) and returns their number.
 * sanction_halves 1 or 2. */
int allocation_compute(const struct rules *rules, const struct allocation_school *school, int year,
                       const struct group_cells cells[GROUP_COUNT], const struct allocation_history *history,
                       int sanction_halves, struct allocation rows[3]);
/* What a sanction leaves of a row's hours: half, rounded again by the same rule (regulation 3). */
int32_t allocation_half(int32_t hours, enum rounding rounding);
/* Same in everything the table allocation_state stores (but the hash of the rules set, which no row carries):
 * what "changed" means for the database. */
bool allocation_equal(const struct allocation *a, const struct allocation *b);
/* 1 September of a start year, days since 1970. */
int32_t school_year_start(int year);
int32_t date_from_ymd(int y, int m, int d); /* days since 1970 */
void date_to_ymd(int32_t days, int *y, int *m, int *d);
#define YEAR_TEXT_MAX 10
void year_format(int year, char out[YEAR_TEXT_MAX]); /* "2024-2025" */

/* The pieces below are what an explanation and an alert are made of. */

/* The cells of a row's group; for GROUP_AANBOD basisaanbod + type3. */
struct group_cells allocation_cells(const struct group_cells cells[GROUP_COUNT], enum group group);
/* Weight of one pupil with exactly these indicators in gok_uren_leraar, before the cap (combination applied)
 * and after. */
struct exact allocation_weight(const struct rules *rules, unsigned indicators, struct exact *capped);
/* Part of whole reaches share, exactly: part >= share x whole. */
bool allocation_reaches(int32_t part_halves, struct exact share, int32_t whole_halves);
/* part / whole rounded half up to decimals (0..6), for showing only; whole > 0. */
struct exact allocation_ratio(int64_t part, int64_t whole, int decimals);
/* OKI (regulation 5) of the counts of a whole school, rounded half up; false without pupils. */
bool oki_from_counts(const struct group_counts *counts, int decimals, struct exact *out);

#define ALLOCATION_RULES_MAX 24
/* Names of the parameters a row's figures rest on, in the order of the steps; returns their number. */
int allocation_rests_on(const struct allocation *row, const char *names[ALLOCATION_RULES_MAX]);
