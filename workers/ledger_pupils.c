/* SPDX-License-Identifier: MIT
 *
 * Registrations in the ledger: what an upsert, a withdraw and a closed do to entries, winners, counts,
 * numbers held and double registrations (regulation 1, design 6). One entry per (stream, school year, school,
 * pupil).
 *
 * Entries are found through an open-addressing table hashed by pupil and year, so that one probe meets
 * everything about a pupil in a year: the same key in other streams (who wins?) and other schools (a
 * double?). A byte of hash per place keeps the probe out of the entries themselves. Entries are never removed
 * but by undo, last one first, so a place can simply be emptied.
 *
 * Every change of an entry goes the same way, forward and back: take what its key gave out of the counts,
 * change it, settle who wins now and put that in. */
#include "workers/ledger_internal.h"

#define DATE_ZERO 25568 /* 1900-01-01 is day -25567 since 1970 and stands as 1 */

/* --- records ----------------------------------------------------------------------------------------------
 */

struct walk { /* over the entries of one pupil and year */
    const uint8_t *pupil;
    int year;
    uint32_t place;
    uint8_t tag;
};

static struct walk walk_start(const struct ledger *l, const uint8_t *pupil, int year)
{
    uint64_t half[2];
    memcpy(half, pupil, sizeof half);
    unsigned __int128 product = (unsigned __int128)(half[0] ^ l->seed[0]) * (half[1] ^ l->seed[1]);
    uint64_t h = ledger_mix((uint64_t)product ^ (uint64_t)(product >> 64), l->seed[2] ^ (uint64_t)year);
    uint8_t tag = h >> 56;
    return (struct walk){.pupil = pupil,
                         .year = year,
                         .place = l->place_count ? h & (l->place_count - 1) : 0,
                         .tag = tag ? tag : 1};
}

static uint32_t walk_next(const struct ledger *l, struct walk *w)
{
    if (!l->place_count)
        return NONE;
    for (;;) {
        uint32_t place = w->place;
        if (!l->tags[place])
            return NONE;
        w->place = (place + 1) & (l->place_count - 1);
        if (l->tags[place] != w->tag)
            continue;
        const struct entry *e = ledger_entry(l, l->index[place]);
        if (memcmp(e->pupil, w->pupil, sizeof e->pupil) == 0 && ledger_entry_count(l, e)->year == w->year)
            return l->index[place];
    }
}

static struct walk walk_of(const struct ledger *l, const struct entry *e)
{
    return walk_start(l, e->pupil, ledger_entry_count(l, e)->year);
}

static void place_entry(struct ledger *l, uint32_t i)
{
    struct walk w = walk_of(l, ledger_entry(l, i));
    while (l->tags[w.place])
        w.place = (w.place + 1) & (l->place_count - 1);
    l->tags[w.place] = w.tag;
    l->index[w.place] = i;
}

/* Places for one entry more: at most four fifths full, so that a probe always ends and the table stays
 * within 12.5 bytes per entry. */
static int reserve_place(struct ledger *l)
{
    if ((uint64_t)(l->entry_count + 1) * 5 <= (uint64_t)l->place_count * 4)
        return 0;
    uint32_t wanted = l->place_count ? l->place_count * 2 : 1024;
    uint8_t *tags = wanted ? calloc(wanted, 1) : NULL;
    uint32_t *index = wanted ? malloc(wanted * sizeof *index) : NULL;
    if (!tags || !index) {
        free(tags);
        free(index);
        return ERR_NOMEM;
    }
    free(l->tags);
    free(l->index);
    l->bytes += (size_t)(wanted - l->place_count) * (1 + sizeof *index);
    l->tags = tags;
    l->index = index;
    l->place_count = wanted;
    for (uint32_t i = 0; i < l->entry_count; i++)
        place_entry(l, i);
    return 0;
}

static int reserve_entry(struct ledger *l)
{
    if (l->entry_count < l->entry_chunk_count * ENTRY_CHUNK)
        return 0;
    struct entry **grown =
        ledger_grow(l, l->entry_chunks, l->entry_chunk_count, &l->entry_chunk_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    l->entry_chunks = grown;
    struct entry *chunk = malloc(ENTRY_CHUNK * sizeof *chunk);
    if (!chunk)
        return ERR_NOMEM;
    l->bytes += ENTRY_CHUNK * sizeof *chunk;
    l->entry_chunks[l->entry_chunk_count++] = chunk;
    return 0;
}

/* Every group a registration ever named has cells, counted or not: putting an old entry back needs no memory.
 */
int pupils_reserve_cells(struct ledger *l, struct count *c, unsigned group)
{
    if (c->cells[group] != NONE)
        return 0;
    if (l->cells_count == l->cells_chunk_count * CELLS_CHUNK) {
        struct group_cells **grown =
            ledger_grow(l, l->cells_chunks, l->cells_chunk_count, &l->cells_chunk_room, sizeof *grown);
        if (!grown)
            return ERR_NOMEM;
        l->cells_chunks = grown;
        struct group_cells *chunk = calloc(CELLS_CHUNK, sizeof *chunk);
        if (!chunk)
            return ERR_NOMEM;
        l->bytes += CELLS_CHUNK * sizeof *chunk;
        l->cells_chunks[l->cells_chunk_count++] = chunk;
    }
    c->cells[group] = l->cells_count++;
    return 0;
}

static int reserve_slot(struct ledger *l, uint32_t stream, uint32_t school_id, int year, uint32_t *slot)
{
    if (l->last_slot != NONE) {
        const struct slot *s = l->slots + l->last_slot;
        const struct count *c = l->counts + s->count;
        if (s->stream == stream && c->year == year && l->schools[c->school].id == school_id) {
            *slot = l->last_slot;
            return 0;
        }
    }
    uint32_t school, count;
    int err = schools_reserve(l, school_id, &school);
    if (!err)
        err = schools_count_reserve(l, school, year, &count);
    if (err)
        return err;
    for (*slot = l->counts[count].first_slot; *slot != NONE; *slot = l->slots[*slot].next) {
        if (l->slots[*slot].stream == stream) {
            l->last_slot = *slot;
            return 0;
        }
    }
    struct slot *grown = ledger_grow(l, l->slots, l->slot_count, &l->slot_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    l->slots = grown;
    *slot = l->last_slot = l->slot_count++;
    l->slots[*slot] = (struct slot){.count = count,
                                    .next = l->counts[count].first_slot,
                                    .first = NONE,
                                    .announced = -1,
                                    .stream = stream};
    l->counts[count].first_slot = *slot;
    return 0;
}

/* --- what an entry gives ----------------------------------------------------------------------------------
 */

/* Regulation 1: regular, and present on the teldag: from <= teldag < until. */
static bool counts_on_teldag(const struct ledger *l, int year, const struct entry_state *s)
{
    if (!l->rules || !s->regular || s->withdrawn)
        return false;
    int32_t teldag = l->teldag[year - YEAR_FIRST] + DATE_ZERO;
    return (!s->from || (int32_t)s->from <= teldag) && (!s->until || teldag < (int32_t)s->until);
}

static int halves_of(const struct entry_state *s)
{
    return s->whole ? 2 : 1;
}

static void add_halves(struct ledger *l, struct count *c, const struct entry_state *s, int sign)
{
    int32_t before = c->halves[s->group];
    ledger_cells_at(l, c->cells[s->group])->halves[s->mask] += sign * halves_of(s);
    c->halves[s->group] += sign * halves_of(s);
    l->count_rows += (c->halves[s->group] != 0) - (before != 0);
}

static void add_live(struct ledger *l, struct count *c, const struct entry_state *s, int sign)
{
    c->live[s->group] += sign;
    l->live += sign;
    if (!schools_fits(l, c->school, s->group))
        l->unmatched += sign;
}

static void take_out(struct ledger *l, struct entry *e)
{
    struct count *c = ledger_entry_count(l, e);
    if (!e->state.winner)
        return;
    if (!e->state.withdrawn)
        add_live(l, c, &e->state, -1);
    if (e->state.counted)
        add_halves(l, c, &e->state, -1);
    e->state.winner = e->state.counted = 0;
}

static void put_in(struct ledger *l, struct entry *e)
{
    struct count *c = ledger_entry_count(l, e);
    e->state.winner = 1;
    if (!e->state.withdrawn)
        add_live(l, c, &e->state, 1);
    if (counts_on_teldag(l, c->year, &e->state)) {
        e->state.counted = 1;
        add_halves(l, c, &e->state, 1);
    }
}

/* Takes out what the key (the walk's pupil and year, at this count's school) gave, and the pupil's double
 * marks. */
static void lift(struct ledger *l, struct walk w, uint32_t count)
{
    for (uint32_t i; (i = walk_next(l, &w)) != NONE;) {
        struct entry *e = ledger_entry(l, i);
        uint32_t of = l->slots[e->slot].count;
        if (e->state.doubled) {
            e->state.doubled = 0;
            l->counts[of].doubles--;
            ledger_touch(l, of);
        }
        if (of == count)
            take_out(l, e);
    }
}

/* (1) Of the streams that speak of a key the event with the later time wins, then the name that sorts last
 * (design 1, P2). (2) Only the winner counts. (3) Counted in two schools or more with weights above 1
 * together: a double (regulation 1). */
static void settle(struct ledger *l, struct walk start, uint32_t count)
{
    struct entry *best = NULL;
    struct walk w = start;
    for (uint32_t i; (i = walk_next(l, &w)) != NONE;) {
        struct entry *e = ledger_entry(l, i);
        if (l->slots[e->slot].count != count)
            continue;
        if (!best || ledger_later(l, e->state.time_us, l->slots[e->slot].stream, best->state.time_us,
                                  l->slots[best->slot].stream))
            best = e;
    }
    if (best)
        put_in(l, best);
    uint32_t schools = 0;
    int32_t halves = 0;
    w = start;
    for (uint32_t i; (i = walk_next(l, &w)) != NONE;) {
        const struct entry_state *s = &ledger_entry(l, i)->state;
        schools += s->counted;
        halves += s->counted ? halves_of(s) : 0;
    }
    if (schools < 2 || halves <= 2)
        return;
    w = start;
    for (uint32_t i; (i = walk_next(l, &w)) != NONE;) {
        struct entry *e = ledger_entry(l, i);
        if (!e->state.counted)
            continue;
        e->state.doubled = 1;
        l->counts[l->slots[e->slot].count].doubles++;
        ledger_touch(l, l->slots[e->slot].count);
    }
}

static void hold(struct ledger *l, const struct entry *e, int sign)
{
    struct slot *s = l->slots + e->slot;
    if (e->state.withdrawn)
        return;
    s->held += sign;
    if (e->state.rank == s->rank)
        s->held_again += sign;
}

/* alone: no other entry has this pupil and year, so nobody else can win or be a double. */
static void change_entry(struct ledger *l, uint32_t i, const struct entry_state *to, bool alone)
{
    struct entry *e = ledger_entry(l, i);
    struct walk start = walk_of(l, e);
    uint32_t count = l->slots[e->slot].count;
    hold(l, e, -1);
    if (alone)
        take_out(l, e);
    else
        lift(l, start, count);
    e->state = *to;
    e->state.winner = e->state.counted = e->state.doubled = 0;
    hold(l, e, 1);
    if (alone)
        put_in(l, e);
    else
        settle(l, start, count);
}

static uint32_t add_entry(struct ledger *l, uint32_t slot, const uint8_t *pupil)
{
    struct slot *s = l->slots + slot;
    uint32_t i = l->entry_count++;
    struct entry *e = ledger_entry(l, i);
    *e = (struct entry){.state = {.time_us = INT64_MIN, .withdrawn = 1}, .slot = slot, .next = s->first};
    memcpy(e->pupil, pupil, sizeof e->pupil);
    s->first = i;
    s->entries++;
    place_entry(l, i);
    return i;
}

static void remove_last_entry(struct ledger *l, uint32_t i)
{
    struct entry *e = ledger_entry(l, i);
    struct slot *s = l->slots + e->slot;
    struct walk start = walk_of(l, e);
    assert(i == l->entry_count - 1 && s->first == i);
    hold(l, e, -1);
    lift(l, start, s->count);
    uint32_t place = start.place;
    while (!l->tags[place] || l->index[place] != i)
        place = (place + 1) & (l->place_count - 1);
    l->tags[place] = 0;
    s->first = e->next;
    s->entries--;
    l->entry_count--;
    settle(l, start, s->count);
}

/* --- events -----------------------------------------------------------------------------------------------
 */

/* A key's state as an event gives it. Dates out of range cannot come out of the decoder; they are clamped,
 * not trusted. */
static uint64_t date_code(const struct event *event, const struct value *v, int column)
{
    if (event_is_null(event, column))
        return 0;
    int64_t code = v[column].num + DATE_ZERO;
    return code < 1 ? 1 : code > 131071 ? 131071 : (uint64_t)code;
}

static struct entry_state state_of(const struct event_batch *batch, const struct event *event, uint16_t rank)
{
    const struct value *v = event_values(batch, event);
    struct entry_state s = {.time_us = event->time_us, .rank = rank};
    if (event->type == EVENT_REGISTRATION_WITHDRAW) {
        s.withdrawn = 1;
        return s;
    }
    bool has_list = !event_is_null(event, REG_INDICATORS),
         has_home = !event_is_null(event, REG_HOME_LANGUAGE);
    s.group = (unsigned)v[REG_GROUP].num % GROUP_COUNT;
    s.regular = v[REG_REGULAR].num != 0;
    s.whole = v[REG_WEIGHT].num != 1;
    s.from = date_code(event, v, REG_FROM);
    s.until = date_code(event, v, REG_UNTIL);
    s.mask = registration_indicators(has_list, has_list ? (unsigned)v[REG_INDICATORS].num : 0, has_home,
                                     has_home ? (int)v[REG_HOME_LANGUAGE].num : 0);
    return s;
}

static void push_slot(struct ledger *l, uint32_t slot)
{
    const struct slot *s = l->slots + slot;
    struct undo *undo = ledger_undo_push(l, UNDO_SLOT, slot);
    if (!undo)
        return;
    undo->slot.held_again = s->held_again;
    undo->slot.announced = s->announced;
    undo->slot.rank = s->rank;
    undo->slot.closed = s->closed;
}

/* The first event after a resend: nothing has been sent again yet, and the number announced before is void.
 */
static void enter_resend(struct ledger *l, uint32_t slot, uint16_t rank)
{
    struct slot *s = l->slots + slot;
    if (rank <= s->rank)
        return;
    push_slot(l, slot);
    s->rank = rank;
    s->held_again = 0;
    s->announced = -1;
}

static int set_registration(struct ledger *l, uint32_t slot, const uint8_t *pupil,
                            const struct entry_state *to)
{
    uint32_t count = l->slots[slot].count;
    if (reserve_entry(l) || reserve_place(l) || ledger_undo_reserve(l, 2))
        return ERR_NOMEM;
    if (!to->withdrawn && pupils_reserve_cells(l, l->counts + count, to->group))
        return ERR_NOMEM;
    enter_resend(l, slot, to->rank);
    struct walk w = walk_start(l, pupil, l->counts[count].year);
    uint32_t found = NONE;
    bool alone = true;
    for (uint32_t i; (i = walk_next(l, &w)) != NONE;) {
        if (ledger_entry(l, i)->slot == slot)
            found = i;
        else
            alone = false;
    }
    if (found == NONE) {
        found = add_entry(l, slot, pupil);
        ledger_undo_push(l, UNDO_ENTRY_NEW, found);
    } else {
        struct undo *undo = ledger_undo_push(l, UNDO_ENTRY, found);
        if (undo)
            undo->state = ledger_entry(l, found)->state;
    }
    change_entry(l, found, to, alone);
    ledger_touch(l, count);
    return 0;
}

/* After a matched resend: rows of this stream, school and year that were not sent again are withdrawn. They
 * keep the time of their own last event: another stream's later word on the key still wins. */
static void withdraw_unsent(struct ledger *l, uint32_t slot)
{
    const struct slot *s = l->slots + slot;
    for (uint32_t i = s->first; i != NONE; i = ledger_entry(l, i)->next) {
        struct entry_state to = ledger_entry(l, i)->state;
        if (to.withdrawn || to.rank >= s->rank)
            continue;
        struct undo *undo = ledger_undo_push(l, UNDO_ENTRY, i);
        if (undo)
            undo->state = to;
        to.withdrawn = 1;
        change_entry(l, i, &to, false);
    }
}

/* Design 6: (1) the number stands as announced; (2) the count is closed from the first number that matches
 * the registrations held at that position, for ever; (3) after a resend only what was sent again is matched,
 * and a match withdraws the rest (design 5). */
static int set_closed(struct ledger *l, uint32_t slot, uint16_t rank, int64_t pupils)
{
    struct slot *s = l->slots + slot;
    if (ledger_undo_reserve(l, s->entries + 2))
        return ERR_NOMEM;
    enter_resend(l, slot, rank);
    push_slot(l, slot);
    s->announced = pupils < 0 ? 0 : pupils > INT32_MAX ? INT32_MAX : (int32_t)pupils;
    if (s->announced == s->held_again) {
        s->closed = 1;
        if (s->held != s->held_again)
            withdraw_unsent(l, slot);
        pupils_touch_doubles(l, s->count);
    }
    ledger_touch(l, s->count);
    return 0;
}

int pupils_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                 const struct event *event)
{
    const struct value *v = event_values(batch, event);
    int64_t year = v[REG_YEAR].num;
    if (year < YEAR_FIRST || year > YEAR_LAST)
        return ERR_RANGE;
    uint32_t slot;
    int err = reserve_slot(l, stream, (uint32_t)v[REG_SCHOOL_ID].num, (int)year, &slot);
    if (err)
        return err;
    const struct stream *s = l->streams + stream;
    uint16_t rank = s->resend_count;
    while (rank > 0 && s->resends[rank - 1] > batch->epoch)
        rank--;
    if (event->type == EVENT_REGISTRATION_CLOSED)
        return set_closed(l, slot, rank, v[REG_PUPILS].num);
    struct entry_state to = state_of(batch, event, rank);
    return set_registration(l, slot, v[REG_PUPIL].pupil, &to);
}

void pupils_undo(struct ledger *l, const struct undo *undo)
{
    struct slot *s;
    switch ((enum undo_kind)undo->kind) {
    case UNDO_ENTRY_NEW:
        remove_last_entry(l, undo->index);
        break;
    case UNDO_ENTRY:
        change_entry(l, undo->index, &undo->state, false);
        break;
    default:
        s = l->slots + undo->index;
        s->held_again = undo->slot.held_again;
        s->announced = undo->slot.announced;
        s->rank = undo->slot.rank;
        s->closed = undo->slot.closed;
    }
}

static void forget_count(struct ledger *l, struct count *c)
{
    for (int g = 0; g < GROUP_COUNT; g++)
        if (c->cells[g] != NONE)
            memset(ledger_cells_at(l, c->cells[g]), 0, sizeof(struct group_cells));
    memset(c->halves, 0, sizeof c->halves);
    memset(c->live, 0, sizeof c->live);
    c->doubles = 0;
}

/* Counts everything again, as another teldag asks; but what is fixed is no sum of entries. */
int pupils_recount(struct ledger *l)
{
    l->live = l->unmatched = l->count_rows = 0;
    for (uint32_t i = 0; i < l->count_count; i++) {
        struct count *c = l->counts + i;
        if (!c->retained)
            forget_count(l, c);
        for (int g = 0; g < GROUP_COUNT; g++)
            l->count_rows += c->halves[g] != 0;
    }
    for (uint32_t i = 0; i < l->entry_count; i++) {
        struct entry_state *s = &ledger_entry(l, i)->state;
        s->winner = s->counted = s->doubled = 0;
    }
    for (uint32_t i = 0; i < l->entry_count; i++) {
        const struct entry *e = ledger_entry(l, i);
        struct walk start = walk_of(l, e);
        lift(l, start, l->slots[e->slot].count);
        settle(l, start, l->slots[e->slot].count);
    }
    return 0;
}

/* --- doubles ----------------------------------------------------------------------------------------------
 */

/* A count that closes makes the doubles of its pupils visible at the other schools too. */
void pupils_touch_doubles(struct ledger *l, uint32_t count)
{
    if (!l->counts[count].doubles)
        return;
    for (uint32_t s = l->counts[count].first_slot; s != NONE; s = l->slots[s].next) {
        for (uint32_t i = l->slots[s].first; i != NONE; i = ledger_entry(l, i)->next) {
            if (!ledger_entry(l, i)->state.doubled)
                continue;
            struct walk w = walk_of(l, ledger_entry(l, i));
            for (uint32_t other; (other = walk_next(l, &w)) != NONE;)
                if (ledger_entry(l, other)->state.doubled)
                    ledger_touch(l, l->slots[ledger_entry(l, other)->slot].count);
        }
    }
}

static bool count_closed(const struct ledger *l, uint32_t count)
{
    for (uint32_t s = l->counts[count].first_slot; s != NONE; s = l->slots[s].next)
        if (l->slots[s].closed)
            return true;
    return false;
}

static void report_double(const struct ledger *l, const struct entry *e, ledger_double_fn fn, void *context)
{
    uint32_t own = l->slots[e->slot].count;
    struct alert_double d = {.school_id = l->schools[l->counts[own].school].id,
                             .count_year = l->counts[own].year};
    struct walk w = walk_of(l, e);
    for (uint32_t i; (i = walk_next(l, &w)) != NONE;) {
        const struct entry *other = ledger_entry(l, i);
        uint32_t count = l->slots[other->slot].count;
        if (!other->state.doubled || !count_closed(l, count))
            continue;
        uint32_t id = l->schools[l->counts[count].school].id;
        d.schools++;
        d.weight_halves += halves_of(&other->state);
        if (count != own && (!d.other_school_id || id < d.other_school_id))
            d.other_school_id = id;
    }
    if (d.schools < 2 || d.weight_halves <= 2)
        return;
    char hex[33];
    for (int i = 0; i < 16; i++) {
        hex[2 * i] = "0123456789abcdef"[e->pupil[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[e->pupil[i] & 15];
    }
    hex[32] = '\0';
    d.pupil_hex = hex;
    fn(context, &d);
}

void ledger_doubles(const struct ledger *l, uint32_t school_id, int year, ledger_double_fn fn, void *context)
{
    uint32_t school = schools_find(l, school_id);
    uint32_t count = school == NONE ? NONE : schools_count_find(l, school, year);
    if (count == NONE || !l->counts[count].doubles || !count_closed(l, count))
        return;
    for (uint32_t s = l->counts[count].first_slot; s != NONE; s = l->slots[s].next)
        for (uint32_t i = l->slots[s].first; i != NONE; i = ledger_entry(l, i)->next)
            if (ledger_entry(l, i)->state.doubled)
                report_double(l, ledger_entry(l, i), fn, context);
}

/* --- whole ------------------------------------------------------------------------------------------------
 */

static uint64_t digest_slot(const struct ledger *l, const struct slot *s)
{
    const struct count *c = l->counts + s->count;
    uint64_t base = ledger_mix(l->schools[c->school].id, (uint64_t)c->year), sum = 0;
    for (const char *p = l->streams[s->stream].name; *p; p++)
        base = ledger_mix(base, (uint8_t)*p);
    for (uint32_t i = s->first; i != NONE; i = ledger_entry(l, i)->next) {
        uint64_t words[4];
        memcpy(words, ledger_entry(l, i)->pupil, 16);
        memcpy(words + 2, &ledger_entry(l, i)->state, 16);
        sum += ledger_mix(ledger_mix(base ^ words[0], words[1]), ledger_mix(words[2], words[3]));
    }
    return sum;
}

uint64_t pupils_digest(const struct ledger *l)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < l->slot_count; i++)
        sum += digest_slot(l, l->slots + i);
    for (uint32_t i = 0; i < l->count_count; i++) {
        const struct count *c = l->counts + i;
        uint64_t base = ledger_mix(l->schools[c->school].id, (uint64_t)c->year + 4096);
        if (c->doubles)
            sum += ledger_mix(base, c->doubles);
        for (int g = 0; g < GROUP_COUNT; g++) {
            if (c->live[g] || c->halves[g])
                sum += ledger_mix(base + 1 + g, (uint64_t)c->live[g] << 32 | (uint32_t)c->halves[g]);
            for (int m = 0; c->cells[g] != NONE && m < IND_CELLS; m++) {
                int32_t halves = ledger_cells_at(l, c->cells[g])->halves[m];
                if (halves)
                    sum += ledger_mix(base + 100 + g * IND_CELLS + m, (uint32_t)halves);
            }
        }
    }
    return sum;
}

void pupils_free(struct ledger *l)
{
    for (uint32_t i = 0; i < l->entry_chunk_count; i++)
        free(l->entry_chunks[i]);
    for (uint32_t i = 0; i < l->cells_chunk_count; i++)
        free(l->cells_chunks[i]);
    free(l->entry_chunks);
    free(l->cells_chunks);
    free(l->tags);
    free(l->index);
    free(l->slots);
}
