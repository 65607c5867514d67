/* SPDX-License-Identifier: MIT
 *
 * Decides the deadline of a melding. Re-evaluated when the melding or its answer changes, and on the day after the
 * deadline. */
#include "workers/melding.h"

#include "workers/allocation.h"

/* Any day of the span, its first and last included, between 1 July and 31 August of some year. */
static bool touches_summer(int32_t from, int32_t to)
{
    int y, m, d;

    date_to_ymd(from, &y, &m, &d);
    if (m > 8)
        y++; /* this summer is over: the next one */
    return to >= date_from_ymd(y, 7, 1);
}

/* Regulation 7: (1) `days` calendar days after receipt; (2) when that span touches 1 July-31 August, summer_days
 * instead. */
int32_t melding_deadline(int32_t received_on, int days, int summer_days)
{
    int32_t deadline = received_on + days;

    return touches_summer(received_on, deadline) ? received_on + summer_days : deadline;
}

bool melding_is_overdue(int32_t deadline, int32_t today)
{
    return today > deadline;
}

int melding_school_year(int32_t received_on)
{
    int y, m, d;

    date_to_ymd(received_on, &y, &m, &d);
    return m >= 9 ? y : y - 1;
}
