/* SPDX-License-Identifier: MIT
 *
 * Decides what a school's inspection reports mean, from the whole list each time: a late, corrected or withdrawn
 * report needs no special case, for there is nothing to undo. Re-evaluated with every change of one of the
 * school's reports, and on the days named by *changes. */
#include "workers/evaluation.h"

#include <string.h>

#include "workers/allocation.h"

#define FOLLOWUP_NEAR_DAYS   60 /* design 8 */
#define FOLLOWUP_URGENT_DAYS 14

int inspection_report_compare(const void *a, const void *b)
{
    const struct inspection_report *x = a, *y = b;

    if (x->date != y->date)
        return x->date < y->date ? -1 : 1;
    return strcmp(x->report_id, y->report_id);
}

/* Regulation 3, verdict by verdict:
 * (1) a report without a GOK verdict changes nothing;
 * (2) a first negative: the school must remedy, nothing is lost yet;
 * (3) the next verdict negative again: from the school year after the second one's the sanction holds; further
 *     negatives change nothing;
 * (4) a positive: the sanction holds up to and including its school year, and the count begins anew. */
void evaluation_judge(const struct inspection_report *reports, size_t count, struct evaluation *out,
                      struct sanction_span *spans)
{
    *out = (struct evaluation){0};
    for (size_t i = 0; i < count; i++) {
        if (reports[i].gok == GOK_NONE) /* (1) */
            continue;
        out->any = true;
        out->last = i;
        if (reports[i].gok == GOK_NEGATIEF) {
            out->negatives++;        /* (2) */
            if (out->negatives == 2) /* (3) */
                spans[out->span_count++] =
                    (struct sanction_span){reports[i].year + 1, EVALUATION_NO_YEAR, i, i};
            continue;
        }
        if (out->negatives >= 2) { /* (4) */
            spans[out->span_count - 1].last_year = reports[i].year;
            spans[out->span_count - 1].positive = i;
        }
        out->negatives = 0;
    }
}

bool sanction_covers(const struct sanction_span *spans, size_t count, int year)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i].first_year <= year && year <= spans[i].last_year)
            return true;
    return false;
}

bool sanction_runs(const struct sanction_span *span, int32_t today, int32_t *changes)
{
    int32_t over;

    *changes = EVALUATION_NEVER;
    if (span->last_year == EVALUATION_NO_YEAR)
        return true;
    over = school_year_start(span->last_year + 1);
    if (span->last_year < span->first_year || today >= over)
        return false;
    *changes = over;
    return true;
}

int32_t evaluation_followup_due(const struct evaluation *e, const struct inspection_report *reports,
                                int months)
{
    if (!e->any || e->negatives == 0)
        return EVALUATION_NO_DATE;
    if (reports[e->last].followup_due != EVALUATION_NO_DATE)
        return reports[e->last].followup_due;
    return e->negatives == 1 ? date_add_months(reports[e->last].date, months) : EVALUATION_NO_DATE;
}

int evaluation_followup_urgency(int32_t due, int32_t today, int32_t *changes)
{
    *changes = EVALUATION_NEVER;
    if (due == EVALUATION_NO_DATE)
        return 0;
    if (today >= due - FOLLOWUP_URGENT_DAYS)
        return 2;
    *changes = today >= due - FOLLOWUP_NEAR_DAYS ? due - FOLLOWUP_URGENT_DAYS : due - FOLLOWUP_NEAR_DAYS;
    return today >= due - FOLLOWUP_NEAR_DAYS;
}

bool erkenning_is_threatened(const struct inspection_report *reports, size_t count, size_t i)
{
    if (reports[i].advice != ADVICE_ONGUNSTIG_MET_OPSCHORTING &&
        reports[i].advice != ADVICE_ONGUNSTIG_ZONDER_OPSCHORTING)
        return false;
    if (reports[i].opschorting_asked)
        return false;
    for (size_t k = i + 1; k < count; k++)
        if (reports[k].doorlichting)
            return false;
    return true;
}

int32_t date_add_months(int32_t day, int months)
{
    int y, m, d, back_y, back_m, back_d;

    date_to_ymd(day, &y, &m, &d);
    m += months - 1;
    y += m / 12;
    m = m % 12 + 1;
    for (;; d--) { /* at most three steps: every month has 28 days */
        int32_t moved = date_from_ymd(y, m, d);

        date_to_ymd(moved, &back_y, &back_m, &back_d);
        if (back_m == m)
            return moved;
    }
}
