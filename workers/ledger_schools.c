/* SPDX-License-Identifier: MIT
 *
 * Schools and entitlements in the ledger: the last event per key of every stream, which of them wins (later
 * time, then the stream's name that sorts last), who names whom as successor, and which counts a change
 * touches: those of the school and of every school its history passes to. */
#include "workers/ledger_internal.h"

/* --- finding and making records ---------------------------------------------------------------------------
 */

static uint32_t school_place(const struct ledger *l, uint32_t school_id)
{
    return (uint32_t)ledger_mix(l->seed[0] ^ school_id, l->seed[1]) & (l->school_place_count - 1);
}

uint32_t schools_find(const struct ledger *l, uint32_t school_id)
{
    if (!l->school_place_count)
        return NONE;
    uint32_t place = school_place(l, school_id);
    for (; l->school_places[place] != NONE; place = (place + 1) & (l->school_place_count - 1))
        if (l->schools[l->school_places[place]].id == school_id)
            return l->school_places[place];
    return NONE;
}

static void place_school(struct ledger *l, uint32_t school)
{
    uint32_t place = school_place(l, l->schools[school].id);
    while (l->school_places[place] != NONE)
        place = (place + 1) & (l->school_place_count - 1);
    l->school_places[place] = school;
}

static int reserve_school_place(struct ledger *l)
{
    if (l->school_count + 1 <= l->school_place_count / 2)
        return 0;
    uint32_t wanted = l->school_place_count ? l->school_place_count * 2 : 64;
    uint32_t *places = wanted ? malloc(wanted * sizeof *places) : NULL;
    if (!places)
        return ERR_NOMEM;
    free(l->school_places);
    l->bytes += (size_t)(wanted - l->school_place_count) * sizeof *places;
    memset(places, 0xff, wanted * sizeof *places);
    l->school_places = places;
    l->school_place_count = wanted;
    for (uint32_t i = 0; i < l->school_count; i++)
        place_school(l, i);
    return 0;
}

int schools_reserve(struct ledger *l, uint32_t school_id, uint32_t *school)
{
    *school = schools_find(l, school_id);
    if (*school != NONE)
        return 0;
    struct school *grown = ledger_grow(l, l->schools, l->school_count, &l->school_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    l->schools = grown;
    if (reserve_school_place(l))
        return ERR_NOMEM;
    *school = l->school_count++;
    l->schools[*school] = (struct school){.id = school_id,
                                          .first_count = NONE,
                                          .first_fact = NONE,
                                          .first_entitlement = NONE,
                                          .fact = NONE,
                                          .successor = NONE,
                                          .first_predecessor = NONE,
                                          .next_predecessor = NONE,
                                          .previous_predecessor = NONE};
    place_school(l, *school);
    return 0;
}

uint32_t schools_count_find(const struct ledger *l, uint32_t school, int year)
{
    uint32_t i = l->schools[school].first_count;
    while (i != NONE && l->counts[i].year != year)
        i = l->counts[i].next;
    return i;
}

int schools_count_reserve(struct ledger *l, uint32_t school, int year, uint32_t *count)
{
    *count = schools_count_find(l, school, year);
    if (*count != NONE)
        return 0;
    struct count *grown = ledger_grow(l, l->counts, l->count_count, &l->count_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    l->counts = grown;
    struct ledger_key *keys = ledger_grow(l, l->touched, l->count_count, &l->touched_room, sizeof *keys);
    if (!keys)
        return ERR_NOMEM;
    l->touched = keys;
    *count = l->count_count++;
    struct count *c = l->counts + *count;
    *c = (struct count){
        .school = school, .next = l->schools[school].first_count, .first_slot = NONE, .year = (int16_t)year};
    memset(c->cells, 0xff, sizeof c->cells);
    l->schools[school].first_count = *count;
    return 0;
}

/* --- facts of a school ------------------------------------------------------------------------------------
 */

bool schools_fits(const struct ledger *l, uint32_t school, unsigned group)
{
    uint32_t fact = l->schools[school].fact;
    return fact != NONE && group_fits_level(group, l->facts[fact].level);
}

static void touch_school(struct ledger *l, uint32_t school)
{
    for (uint32_t i = l->schools[school].first_count; i != NONE; i = l->counts[i].next)
        ledger_touch(l, i);
}

/* The school and all its successors. A circle of successors is met by the slow walker and ends the walk. */
static void touch_chain(struct ledger *l, uint32_t school)
{
    uint32_t slow = school;
    bool step = false;
    for (uint32_t i = school; i != NONE; step = !step) {
        touch_school(l, i);
        i = l->schools[i].successor;
        if (step)
            slow = l->schools[slow].successor;
        if (i == slow)
            return;
    }
}

static uint64_t unmatched_of(const struct ledger *l, uint32_t school)
{
    uint64_t n = 0;
    for (uint32_t i = l->schools[school].first_count; i != NONE; i = l->counts[i].next)
        for (unsigned g = 0; g < GROUP_COUNT; g++)
            n += schools_fits(l, school, g) ? 0 : l->counts[i].live[g];
    return n;
}

static void unlink_successor(struct ledger *l, uint32_t school)
{
    struct school *s = l->schools + school;
    if (s->successor == NONE)
        return;
    if (s->previous_predecessor == NONE)
        l->schools[s->successor].first_predecessor = s->next_predecessor;
    else
        l->schools[s->previous_predecessor].next_predecessor = s->next_predecessor;
    if (s->next_predecessor != NONE)
        l->schools[s->next_predecessor].previous_predecessor = s->previous_predecessor;
    s->successor = s->next_predecessor = s->previous_predecessor = NONE;
}

static void link_successor(struct ledger *l, uint32_t school, uint32_t successor)
{
    struct school *s = l->schools + school;
    s->successor = successor;
    s->next_predecessor = l->schools[successor].first_predecessor;
    if (s->next_predecessor != NONE)
        l->schools[s->next_predecessor].previous_predecessor = school;
    l->schools[successor].first_predecessor = school;
}

/* Takes the school's facts out of everything that follows from them; settle_school() puts them back in. */
static void lift_school(struct ledger *l, uint32_t school)
{
    touch_chain(l, school);
    l->unmatched -= unmatched_of(l, school);
    l->known_schools -= l->schools[school].fact != NONE;
    unlink_successor(l, school);
    l->schools[school].fact = NONE;
}

static void settle_school(struct ledger *l, uint32_t school)
{
    struct school *s = l->schools + school;
    uint32_t best = NONE;
    for (uint32_t i = s->first_fact; i != NONE; i = l->facts[i].next)
        if (best == NONE || ledger_later(l, l->facts[i].time_us, l->facts[i].stream, l->facts[best].time_us,
                                         l->facts[best].stream))
            best = i;
    s->fact = best != NONE && !l->facts[best].withdrawn ? best : NONE;
    if (s->fact != NONE && l->facts[best].successor_id) {
        uint32_t successor = schools_find(l, l->facts[best].successor_id);
        assert(successor != NONE); /* made before its fact */
        link_successor(l, school, successor);
    }
    l->known_schools += s->fact != NONE;
    l->unmatched += unmatched_of(l, school);
    touch_chain(l, school);
}

static int fact_of(const struct event_batch *batch, const struct event *event, struct fact *fact)
{
    const struct value *v = event_values(batch, event);
    *fact = (struct fact){.time_us = event->time_us, .closed_on = INT32_MAX};
    if (event->type == EVENT_SCHOOL_WITHDRAW) {
        fact->withdrawn = 1;
        return 0;
    }
    fact->level = (uint8_t)v[SCHOOL_LEVEL].num;
    fact->brussels = v[SCHOOL_BRUSSELS].num != 0;
    if (!event_is_null(event, SCHOOL_CLOSED_ON))
        fact->closed_on = (int32_t)v[SCHOOL_CLOSED_ON].num;
    if (!event_is_null(event, SCHOOL_SUCCESSOR_ID))
        fact->successor_id = (uint32_t)v[SCHOOL_SUCCESSOR_ID].num;
    struct text name = v[SCHOOL_NAME].text;
    fact->name = malloc(name.len + 1);
    if (!fact->name)
        return ERR_NOMEM;
    memcpy(fact->name, batch_text(batch, name), name.len);
    fact->name[name.len] = '\0';
    return 0;
}

/* How much memory a name takes, in the ledger or waiting in the undo journal. */
static size_t name_bytes(const struct fact *fact)
{
    return fact->name ? strlen(fact->name) + 1 : 0;
}

static int reserve_facts(struct ledger *l)
{
    struct fact *grown = ledger_grow(l, l->facts, l->fact_count, &l->fact_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    l->facts = grown;
    return ledger_undo_reserve(l, 1);
}

static void set_fact(struct ledger *l, uint32_t school, uint32_t stream, struct fact *fact, struct fact *old)
{
    struct school *s = l->schools + school;
    uint32_t i = s->first_fact;
    while (i != NONE && l->facts[i].stream != stream)
        i = l->facts[i].next;
    fact->school = school;
    fact->stream = (uint16_t)stream;
    lift_school(l, school);
    l->bytes += name_bytes(fact);
    if (i == NONE) {
        i = l->fact_count++;
        fact->next = s->first_fact;
        s->first_fact = i;
        ledger_undo_push(l, UNDO_FACT_NEW, i);
        free(old);
    } else {
        *old = l->facts[i];
        fact->next = old->next;
        l->bytes -= name_bytes(old);
        struct undo *undo = ledger_undo_push(l, UNDO_FACT, i);
        if (undo) {
            undo->fact = old;
        } else {
            free(old->name);
            free(old);
        }
    }
    l->facts[i] = *fact;
    settle_school(l, school);
}

int schools_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                  const struct event *event)
{
    uint32_t school, successor;
    struct fact fact;
    int err = fact_of(batch, event, &fact);
    if (err)
        return err;
    err = schools_reserve(l, (uint32_t)event_values(batch, event)[SCHOOL_ID].num, &school);
    if (!err && fact.successor_id)
        err = schools_reserve(l, fact.successor_id, &successor);
    if (!err)
        err = reserve_facts(l);
    struct fact *old = err ? NULL : malloc(sizeof *old);
    if (!old) {
        free(fact.name);
        return err ? err : ERR_NOMEM;
    }
    set_fact(l, school, stream, &fact, old);
    return 0;
}

/* --- entitlements -----------------------------------------------------------------------------------------
 */

static bool same_entitlement(const struct entitlement *a, const struct entitlement *b)
{
    return a->year == b->year && a->staffing == b->staffing && a->group == b->group;
}

const struct entitlement *entitlements_find(const struct ledger *l, uint32_t school, int year,
                                            enum staffing staffing, enum group group)
{
    struct entitlement key = {.year = (int16_t)year, .staffing = staffing, .group = group};
    const struct entitlement *best = NULL;
    for (uint32_t i = l->schools[school].first_entitlement; i != NONE; i = l->entitlements[i].next) {
        const struct entitlement *e = l->entitlements + i;
        if (same_entitlement(e, &key) &&
            (!best || ledger_later(l, e->time_us, e->stream, best->time_us, best->stream)))
            best = e;
    }
    return best && !best->withdrawn ? best : NULL;
}

/* An entitlement of use year y is history for y + 1, and so for what may be grace in y + 2: the reach of
 * count year y - 1. That count is marked at the school and its successors, and made where there is none, to
 * carry the mark. */
static int reserve_entitlement(struct ledger *l, const struct value *v, uint32_t *school, uint32_t *count)
{
    struct entitlement *grown =
        ledger_grow(l, l->entitlements, l->entitlement_count, &l->entitlement_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    l->entitlements = grown;
    int err = ledger_undo_reserve(l, 1);
    if (!err)
        err = schools_reserve(l, (uint32_t)v[ENT_SCHOOL_ID].num, school);
    if (!err)
        err = schools_count_reserve(l, *school, (int)v[ENT_YEAR].num - 1, count);
    return err;
}

int entitlements_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                       const struct event *event)
{
    const struct value *v = event_values(batch, event);
    uint32_t school, count;
    if (v[ENT_YEAR].num < YEAR_FIRST || v[ENT_YEAR].num > YEAR_LAST)
        return ERR_RANGE;
    int err = reserve_entitlement(l, v, &school, &count);
    if (err)
        return err;
    struct entitlement to = {.time_us = event->time_us,
                             .school = school,
                             .year = (int16_t)v[ENT_YEAR].num,
                             .stream = (uint16_t)stream,
                             .staffing = (uint8_t)v[ENT_STREAM].num,
                             .group = (uint8_t)v[ENT_GROUP].num,
                             .withdrawn = event->type == EVENT_ENTITLEMENT_WITHDRAW};
    if (!to.withdrawn)
        to.status = (uint8_t)v[ENT_STATUS].num;
    uint32_t i = l->schools[school].first_entitlement;
    while (i != NONE && !(l->entitlements[i].stream == stream && same_entitlement(l->entitlements + i, &to)))
        i = l->entitlements[i].next;
    if (i == NONE) {
        i = l->entitlement_count++;
        to.next = l->schools[school].first_entitlement;
        l->schools[school].first_entitlement = i;
        ledger_undo_push(l, UNDO_ENTITLEMENT_NEW, i);
    } else {
        struct undo *undo = ledger_undo_push(l, UNDO_ENTITLEMENT, i);
        const struct entitlement *old = l->entitlements + i;
        to.next = old->next;
        if (undo) {
            undo->entitlement.time_us = old->time_us;
            undo->entitlement.status = old->status;
            undo->entitlement.withdrawn = old->withdrawn;
        }
    }
    l->entitlements[i] = to;
    ledger_touch(l, count);
    return 0;
}

/* --- undo and whole ---------------------------------------------------------------------------------------
 */

static void undo_fact(struct ledger *l, const struct undo *undo)
{
    struct fact *now = l->facts + undo->index;
    uint32_t school = now->school;
    lift_school(l, school);
    l->bytes -= name_bytes(now);
    free(now->name);
    if (undo->kind == UNDO_FACT) {
        *now = *undo->fact;
        l->bytes += name_bytes(now);
        free(undo->fact);
    } else {
        assert(undo->index == l->fact_count - 1 && l->schools[school].first_fact == undo->index);
        l->schools[school].first_fact = now->next;
        l->fact_count--;
    }
    settle_school(l, school);
}

void schools_undo(struct ledger *l, const struct undo *undo)
{
    struct entitlement *e;
    switch ((enum undo_kind)undo->kind) {
    case UNDO_FACT_NEW:
    case UNDO_FACT:
        undo_fact(l, undo);
        break;
    case UNDO_ENTITLEMENT:
        e = l->entitlements + undo->index;
        e->time_us = undo->entitlement.time_us;
        e->status = undo->entitlement.status;
        e->withdrawn = undo->entitlement.withdrawn;
        break;
    default:
        assert(undo->kind == UNDO_ENTITLEMENT_NEW && undo->index == l->entitlement_count - 1);
        e = l->entitlements + undo->index;
        l->schools[e->school].first_entitlement = e->next;
        l->entitlement_count--;
    }
}

void schools_forget(struct undo *undo)
{
    if (undo->kind != UNDO_FACT)
        return;
    free(undo->fact->name);
    free(undo->fact);
}

static uint64_t stream_digest(const struct ledger *l, uint32_t stream, uint64_t salt)
{
    for (const char *p = l->streams[stream].name; *p; p++)
        salt = ledger_mix(salt, (uint8_t)*p);
    return salt;
}

uint64_t schools_digest(const struct ledger *l)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < l->fact_count; i++) {
        const struct fact *f = l->facts + i;
        uint64_t h = ledger_mix(stream_digest(l, f->stream, 7), l->schools[f->school].id);
        h = ledger_mix(h, (uint64_t)f->time_us);
        h = ledger_mix(h, (uint64_t)f->level << 16 | f->brussels << 8 | f->withdrawn);
        h = ledger_mix(h, (uint64_t)(uint32_t)f->closed_on << 32 | f->successor_id);
        for (const char *p = f->name; p && *p; p++)
            h = ledger_mix(h, (uint8_t)*p);
        sum += ledger_mix(h, l->schools[f->school].fact == i);
    }
    for (uint32_t i = 0; i < l->entitlement_count; i++) {
        const struct entitlement *e = l->entitlements + i;
        uint64_t h = ledger_mix(stream_digest(l, e->stream, 8), l->schools[e->school].id);
        h = ledger_mix(h, (uint64_t)e->time_us);
        sum += ledger_mix(h, (uint64_t)e->year << 32 | e->staffing << 24 | e->group << 16 | e->status << 8 |
                                 e->withdrawn);
    }
    for (uint32_t i = 0; i < l->school_count; i++)
        for (uint32_t p = l->schools[i].first_predecessor; p != NONE; p = l->schools[p].next_predecessor)
            sum += ledger_mix(l->schools[i].id, (uint64_t)l->schools[p].id << 8);
    return sum;
}

void schools_free(struct ledger *l)
{
    for (uint32_t i = 0; i < l->fact_count; i++)
        free(l->facts[i].name);
    free(l->facts);
    free(l->entitlements);
    free(l->schools);
    free(l->school_places);
    free(l->counts);
}
