/* SPDX-License-Identifier: MIT
 *
 * What the inspection's reports on one school mean (regulation 3 and 6): how many negative GOK evaluations stand
 * since the last positive one, when the next is due, in which school years the sanction of a second negative
 * holds, and which unfavourable advice still asks for an answer. Pure: no memory, no clock; today is an argument.
 *
 * Reports stand in the order of (date, report_id), whatever the order in which they arrived. */
#pragma once

#include "workers/event.h"

#define EVALUATION_NO_DATE INT32_MIN
#define EVALUATION_NO_YEAR INT32_MAX
#define EVALUATION_NEVER   INT32_MAX /* a day that never comes */

struct inspection_report {
    const char *report_id;
    int32_t date; /* days since 1970 */
    int year;     /* the report's school year */
    bool doorlichting;
    int advice;              /* enum advice; -1: none was given */
    enum gok_verdict gok;    /* GOK_NONE: also when null */
    int32_t followup_due;    /* EVALUATION_NO_DATE: not known */
    bool opschorting_asked;  /* for this report */
    int32_t opschorting_day; /* when asked */
};

/* factor(y) = 0.5 for first_year <= y <= last_year. No year lies in a span whose last year is before its first:
 * the positive evaluation came in the year of the second negative, or before it. */
struct sanction_span {
    int first_year, last_year; /* EVALUATION_NO_YEAR: until a positive evaluation */
    size_t second, positive;   /* the reports; positive only when last_year is a year */
};
struct evaluation {
    int negatives; /* since the last positive */
    bool any;      /* a verdict was given */
    size_t last;   /* the report that gave the last one */
    size_t span_count;
};

int inspection_report_compare(const void *a, const void *b); /* for qsort(): (date, report_id bytewise) */
/* reports in order. spans: room for count / 2. */
void evaluation_judge(const struct inspection_report *reports, size_t count, struct evaluation *out,
                      struct sanction_span *spans);
bool sanction_covers(const struct sanction_span *spans, size_t count, int year);
/* While the sanction runs: from the second negative until the last sanctioned year is over. *changes: the day after
 * today on which the answer differs, EVALUATION_NEVER when no day does it. */
bool sanction_runs(const struct sanction_span *span, int32_t today, int32_t *changes);
/* When the next evaluation is due: after a negative the date that was given, after a first negative without one
 * within `months`. EVALUATION_NO_DATE: none is due. */
int32_t evaluation_followup_due(const struct evaluation *e, const struct inspection_report *reports,
                                int months);
/* 0 not near, 1 within 60 days, 2 within 14 days and after (design 8). */
int evaluation_followup_urgency(int32_t due, int32_t today, int32_t *changes);
/* Unfavourable advice, no opschorting asked for it, no later doorlichting. reports in order. */
bool erkenning_is_threatened(const struct inspection_report *reports, size_t count, size_t i);
/* The same day so many months later; the last of the month where there is no such day. */
int32_t date_add_months(int32_t day, int months);
