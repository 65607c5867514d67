/* SPDX-License-Identifier: MIT
 *
 * Allocation rows out of the ledger, with the history a gedoogjaar asks for (regulation 2): what a school was
 * in the year before for one staffing stream and group. In order: (1) what is computed for that school and
 * year; (2) what entitlement.known says of it; (3) what (1) or (2) gives for a school whose history it
 * inherits (the successor's predecessors, and theirs): granted before grace before the rest, computed before
 * official, then the lowest school number; (4) else nothing is known and there is no grace. Whether year y is
 * grace asks the status of y-1, and whether that was grace asks whether y-2 was granted in the ordinary way,
 * which asks nothing: three years bound the recursion. */
#include "workers/derive.h"
#include "workers/ledger_internal.h"

struct history { /* of a school, seen from `year` */
    const struct ledger *l;
    uint32_t school;
    int year;
    int depth; /* years further back that still matter */
    int count; /* rows of the school's own year - 1; -1 not computed yet */
    struct allocation rows[3];
};

static bool previous_status(const void *context, enum staffing staffing, enum group group,
                            enum status *status, bool *official, uint32_t *school);

static int compute_rows(const struct ledger *l, uint32_t school, int year, int depth,
                        struct allocation rows[3])
{
    uint32_t fact = l->schools[school].fact;
    uint32_t count = schools_count_find(l, school, year - 1);
    if (!l->rules || fact == NONE || count == NONE)
        return 0;
    struct group_cells cells[GROUP_COUNT];
    ledger_gather(l, count, cells);
    struct allocation_school facts = {.school_id = l->schools[school].id,
                                      .level = l->facts[fact].level,
                                      .brussels = l->facts[fact].brussels,
                                      .closed_on = l->facts[fact].closed_on};
    struct history before = {.l = l, .school = school, .year = year, .depth = depth, .count = -1};
    struct allocation_history history = {.previous = previous_status, .context = &before};
    return allocation_compute(rules_for_year(l->rules, year), &facts, year, cells, &history,
                              derive_sanction_halves(l, facts.school_id, year), rows);
}

struct known {
    enum status status;
    bool official;
    uint32_t school_id;
};

static bool own_status(const struct ledger *l, uint32_t school, int year, const struct allocation *rows,
                       int count, enum staffing staffing, enum group group, struct known *known)
{
    known->school_id = l->schools[school].id;
    for (int i = 0; i < count; i++) {
        if (rows[i].staffing != staffing || rows[i].group != group)
            continue;
        known->status = rows[i].status;
        known->official = false;
        return true;
    }
    const struct entitlement *e = entitlements_find(l, school, year, staffing, group);
    if (!e)
        return false;
    known->status = e->status;
    known->official = true;
    return true;
}

static bool preferred(const struct known *a, const struct known *b)
{
    if (a->status != b->status)
        return a->status < b->status; /* enum status runs from granted to below */
    if (a->official != b->official)
        return b->official;
    return a->school_id < b->school_id;
}

/* Every school names at most one successor, so those who lead to `school` form a tree (no circle can lead
 * into it but through itself): walked without recursion, and not below a school that is known itself. */
static bool inherited_status(const struct history *h, enum staffing staffing, enum group group,
                             struct known *best)
{
    const struct ledger *l = h->l;
    bool found = false;
    uint32_t i = l->schools[h->school].first_predecessor;
    while (i != NONE) {
        struct allocation rows[3];
        struct known known;
        bool descend = false;
        if (i != h->school) {
            int count = compute_rows(l, i, h->year - 1, h->depth - 1, rows);
            bool own = own_status(l, i, h->year - 1, rows, count, staffing, group, &known);
            if (own && (!found || preferred(&known, best))) {
                *best = known;
                found = true;
            }
            descend = !own && l->schools[i].first_predecessor != NONE;
        }
        if (descend) {
            i = l->schools[i].first_predecessor;
            continue;
        }
        while (i != NONE && l->schools[i].next_predecessor == NONE)
            i = l->schools[i].successor == h->school ? NONE : l->schools[i].successor;
        if (i != NONE)
            i = l->schools[i].next_predecessor;
    }
    return found;
}

static bool previous_status(const void *context, enum staffing staffing, enum group group,
                            enum status *status, bool *official, uint32_t *school)
{
    struct history *h = (struct history *)context; /* ours: its rows are computed when first asked */
    struct known known;
    if (h->depth <= 0)
        return false;
    if (h->count < 0)
        h->count = compute_rows(h->l, h->school, h->year - 1, h->depth - 1, h->rows);
    if (!own_status(h->l, h->school, h->year - 1, h->rows, h->count, staffing, group, &known) &&
        !inherited_status(h, staffing, group, &known))
        return false;
    *status = known.status;
    *official = known.official;
    *school = known.school_id;
    return true;
}

int ledger_allocations(const struct ledger *l, uint32_t school_id, int year_of_use, struct allocation rows[3])
{
    uint32_t school = schools_find(l, school_id);
    return school == NONE ? 0 : compute_rows(l, school, year_of_use, 2, rows);
}
