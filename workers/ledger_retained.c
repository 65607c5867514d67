/* SPDX-License-Identifier: MIT
 *
 * Counts, closings and incidents of school years whose pupils have gone (teldagctl retain): fixed rows, put in as they were
 * read. No event of such a year is applied any more (retention.c), so nothing here is ever undone. */
#include "workers/ledger_internal.h"

static int reserve_count(struct ledger *l, uint32_t school_id, int year, uint32_t *count)
{
    uint32_t school;
    int err = year < YEAR_FIRST || year > YEAR_LAST ? ERR_RANGE : schools_reserve(l, school_id, &school);
    return err ? err : schools_count_reserve(l, school, year, count);
}

static void mark_retained(struct count *c)
{
    if (!c->retained)
        c->retained_announced = -1;
    c->retained = true;
}

bool ledger_knows_school(const struct ledger *l, uint32_t school_id)
{
    return schools_find(l, school_id) != NONE;
}

int ledger_retain_cells(struct ledger *l, uint32_t school_id, int year, enum group group,
                        const struct group_cells *cells)
{
    uint32_t count;
    int err = reserve_count(l, school_id, year, &count);
    if (!err)
        err = pupils_reserve_cells(l, l->counts + count, group);
    if (err)
        return err;
    struct count *c = l->counts + count;
    int32_t before = c->halves[group], halves = 0;
    *ledger_cells_at(l, c->cells[group]) = *cells;
    for (int m = 0; m < IND_CELLS; m++)
        halves += cells->halves[m];
    c->halves[group] = halves;
    l->count_rows += (halves != 0) - (before != 0);
    mark_retained(c);
    ledger_touch(l, count);
    return 0;
}

int ledger_retain_closed(struct ledger *l, uint32_t school_id, int year, bool closed, int32_t held,
                         int32_t announced)
{
    uint32_t count;
    int err = reserve_count(l, school_id, year, &count);
    if (err)
        return err;
    struct count *c = l->counts + count;
    mark_retained(c);
    c->retained_closed = closed;
    c->retained_held = held;
    c->retained_announced = announced;
    ledger_touch(l, count);
    return 0;
}

int ledger_retain_incidents(struct ledger *l, uint32_t school_id, int year, enum risk_indicator indicator,
                            int32_t observed)
{
    uint32_t count;
    int err = reserve_count(l, school_id, year, &count);
    if (err)
        return err;
    l->counts[count].incidents[indicator] += observed;
    ledger_touch(l, count);
    return 0;
}
