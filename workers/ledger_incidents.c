/* SPDX-License-Identifier: MIT
 *
 * Incidents: the events that risk indicators count at a school (design 9): meldingen by the school year of received_on,
 * TOAH notifications, POAH requests, and departures to huisonderwijs by last_school_id. A request counts at the school its
 * decision makes responsible, before that at its own, as in the view toah_poah_per_school. Kept beside the counts of school
 * and year, so that whatever moves either makes the same pair be looked at. */
#include "workers/derive.h"
#include "workers/ledger_internal.h"
#include "workers/melding.h"

#define INCIDENTS_MAX 4 /* of one key: each table that has it, once */

struct incident {
    uint32_t school_id;
    int year;
    enum risk_indicator indicator;
};
struct incidents {
    struct incident list[INCIDENTS_MAX];
    int count;
};

static void push(struct incidents *out, const struct value *school, int64_t year,
                 enum risk_indicator indicator)
{
    if (!school || year < YEAR_FIRST || year > YEAR_LAST)
        return;
    assert(out->count < INCIDENTS_MAX);
    out->list[out->count++] = (struct incident){(uint32_t)school->num, (int)year, indicator};
}

static const struct value *school_in(const struct entity_view *e, int column)
{
    return entity_is_null(e, column) ? NULL : e->values + column;
}

/* What the entities of one key that stand make of incidents. */
static struct incidents incidents_of(const struct ledger *l, const struct subject *subject)
{
    struct incidents found = {.count = 0};
    struct entity_walk walk = entities_of(l, subject);
    const struct value *asked = NULL, *responsible = NULL;
    int64_t request_year = -1;
    for (struct entity_view e; entity_next(&walk, &e);) {
        switch ((int)e.table) {
        case LOG_MELDING:
            push(&found, school_in(&e, MEL_SCHOOL_ID),
                 melding_school_year((int32_t)e.values[MEL_RECEIVED_ON].num), RISK_MELDINGEN);
            break;
        case LOG_TOAH:
            push(&found, school_in(&e, TOAH_SCHOOL_ID), e.values[TOAH_YEAR].num, RISK_TOAH);
            break;
        case LOG_VERKLARING:
            push(&found, school_in(&e, VER_LAST_SCHOOL_ID), e.values[VER_YEAR].num, RISK_HUISONDERWIJS);
            break;
        case LOG_POAH:
            asked = school_in(&e, POAH_SCHOOL_ID);
            request_year = e.values[POAH_YEAR].num;
            break;
        case LOG_BESLISSING:
            responsible = school_in(&e, BES_SCHOOL_ID);
            break;
        }
    }
    push(&found, responsible ? responsible : asked, request_year, RISK_POAH);
    return found;
}

static int reserve_count(struct ledger *l, const struct incident *i, uint32_t *count)
{
    uint32_t school;
    int err = schools_reserve(l, i->school_id, &school);
    return err ? err : schools_count_reserve(l, school, i->year, count);
}

int incidents_reserve(struct ledger *l, const struct subject *subject)
{
    struct incidents found = incidents_of(l, subject);
    uint32_t count;
    int err = 0;
    for (int i = 0; i < found.count && !err; i++)
        err = reserve_count(l, found.list + i, &count);
    return err;
}

static void move(struct ledger *l, const struct subject *subject, int by)
{
    struct incidents found = incidents_of(l, subject);
    for (int i = 0; i < found.count; i++) {
        uint32_t school = schools_find(l, found.list[i].school_id);
        uint32_t count = schools_count_find(l, school, found.list[i].year);
        assert(school != NONE && count != NONE);
        l->counts[count].incidents[found.list[i].indicator] += by;
        ledger_touch(l, count);
    }
}

void incidents_add(struct ledger *l, const struct subject *subject)
{
    move(l, subject, 1);
}

void incidents_drop(struct ledger *l, const struct subject *subject)
{
    move(l, subject, -1);
}

void ledger_incidents(const struct ledger *l, uint32_t school_id, int year, int32_t out[RISK_INDICATOR_COUNT])
{
    uint32_t school = schools_find(l, school_id);
    uint32_t count = school == NONE ? NONE : schools_count_find(l, school, year);
    for (int i = 0; i < RISK_INDICATOR_COUNT; i++)
        out[i] = count == NONE ? 0 : l->counts[count].incidents[i];
}

int64_t ledger_halves(const struct ledger *l, uint32_t school_id, int year)
{
    uint32_t school = schools_find(l, school_id);
    uint32_t count = school == NONE ? NONE : schools_count_find(l, school, year);
    int64_t halves = 0;
    for (int g = 0; count != NONE && g < GROUP_COUNT; g++)
        halves += l->counts[count].halves[g];
    return halves;
}
