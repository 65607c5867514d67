/* SPDX-License-Identifier: MIT
 *
 * The ledger's frame: streams and their resends, the batch with its undo journal and touched marks, and the
 * questions others ask. What a registration does is decided in ledger_pupils.c, what a school or an
 * entitlement does in ledger_schools.c, what history an allocation has in ledger_history.c.
 *
 * Undo is exact because counts, winners and doubles are functions of the entries: putting the old entries
 * back in reverse order, through the same code that applies events, puts everything back. */
#include "workers/ledger_internal.h"

#include <sys/random.h>

#define UNDO_KEEP 65536 /* a journal longer than this is given back after its batch */

void *ledger_grow(struct ledger *l, void *items, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return items;
    uint32_t wanted = count < 16 ? 16 : count + count / 4;
    void *grown = wanted <= count ? NULL : realloc(items, wanted * size);
    if (grown) {
        l->bytes += (wanted - *room) * size;
        *room = wanted;
    }
    return grown;
}

uint64_t ledger_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd1b54a32d192ed03u);
    uint64_t x = (uint64_t)product ^ (uint64_t)(product >> 64);
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

struct ledger *ledger_new(void)
{
    struct ledger *l = calloc(1, sizeof *l);
    struct group_cells *scratch = calloc(GROUP_COUNT, sizeof *scratch);
    if (!l || !scratch || entities_new(l) || links_new(l)) {
        if (l) {
            links_free(l);
            entities_free(l);
        }
        free(l);
        free(scratch);
        return NULL;
    }
    l->scratch = scratch;
    l->bytes += sizeof *l + GROUP_COUNT * sizeof *scratch;
    l->last_slot = NONE;
    l->batch = 1;
    /* The seed only spreads keys over places, so that no feed can choose pupils that collide: no answer
     * depends on it, and without entropy the zero seed is merely guessable. */
    if (getrandom(l->seed, sizeof l->seed, GRND_NONBLOCK) != sizeof l->seed)
        l->seed[0] = (uint64_t)(uintptr_t)l;
    return l;
}

void ledger_free(struct ledger **ledger)
{
    struct ledger *l = *ledger;
    if (!l)
        return;
    ledger_commit(l);
    pupils_free(l);
    schools_free(l);
    entities_free(l);
    links_free(l);
    for (uint32_t i = 0; i < l->stream_count; i++) {
        free(l->streams[i].name);
        free(l->streams[i].resends);
    }
    free(l->streams);
    free(l->undo);
    free(l->touched);
    free(l->scratch);
    free(l);
    *ledger = NULL;
}

static uint32_t find_stream(const struct ledger *l, uint32_t stream_id)
{
    for (uint32_t i = 0; i < l->stream_count; i++)
        if (l->streams[i].id == stream_id)
            return i;
    return NONE;
}

int ledger_add_stream(struct ledger *l, uint32_t stream_id, const char *name)
{
    uint32_t i = find_stream(l, stream_id);
    if (i != NONE)
        return strcmp(l->streams[i].name, name) == 0 ? 0 : ERR_EXISTS;
    if (l->stream_count >= UINT16_MAX)
        return ERR_RANGE;
    struct stream *grown = ledger_grow(l, l->streams, l->stream_count, &l->stream_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    l->streams = grown;
    char *copy = strdup(name);
    if (!copy)
        return ERR_NOMEM;
    l->bytes += strlen(copy) + 1;
    l->streams[l->stream_count++] = (struct stream){.id = stream_id, .name = copy};
    return 0;
}

uint32_t ledger_stream_rank(const struct ledger *l, uint32_t stream)
{
    return l->streams[stream].resend_count;
}

int ledger_accept_epoch(struct ledger *l, uint32_t stream_id, uint64_t epoch, bool resend)
{
    uint32_t stream = find_stream(l, stream_id);
    if (stream == NONE)
        return ERR_MISSING;
    if (!resend)
        return 0; /* --continue: nothing changes, and an event's epoch matters only against resends */
    struct stream *s = l->streams + stream;
    uint64_t last = s->resend_count ? s->resends[s->resend_count - 1] : 0;
    if (s->resend_count && epoch <= last)
        return epoch == last ? 0 : ERR_INVALID;
    if (s->resend_count >= RANK_MAX)
        return ERR_RANGE;
    uint64_t *grown = ledger_grow(l, s->resends, s->resend_count, &s->resend_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    s->resends = grown;
    if (ledger_undo_reserve(l, 1))
        return ERR_NOMEM;
    ledger_undo_push(l, UNDO_RESEND, stream);
    s->resends[s->resend_count++] = epoch;
    /* The numbers announced before are forgotten until the school's next closed: what stood on them is
     * touched. */
    for (uint32_t i = 0; i < l->slot_count; i++)
        if (l->slots[i].stream == stream && l->slots[i].announced >= 0)
            ledger_touch(l, l->slots[i].count);
    return 0;
}

bool ledger_later(const struct ledger *l, int64_t a_us, uint32_t a, int64_t b_us, uint32_t b)
{
    if (a_us != b_us)
        return a_us > b_us;
    return strcmp(l->streams[a].name, l->streams[b].name) > 0;
}

int ledger_set_rules(struct ledger *l, const struct rules_set *set)
{
    l->rules = set;
    for (int i = 0; set && i < YEAR_COUNT; i++)
        l->teldag[i] = rules_for_year(set, YEAR_FIRST + i + 1)->teldag;
    int err = pupils_recount(l);
    for (uint32_t i = 0; i < l->count_count; i++)
        ledger_touch(l, i);
    entities_forget_deadlines(l);
    return err;
}

void ledger_set_fixed(struct ledger *l, const struct fixed *fixed)
{
    l->fixed = fixed;
}

const struct fixed *ledger_fixed(const struct ledger *l)
{
    return l->fixed;
}

const struct rules_set *ledger_rules(const struct ledger *l)
{
    return l->rules;
}

/* --- batch ------------------------------------------------------------------------------------------------
 */

int ledger_undo_reserve(struct ledger *l, uint32_t more)
{
    if (!l->in_batch || l->undo_room - l->undo_count >= more)
        return 0;
    uint32_t room = l->undo_count + more + l->undo_count / 2 + 64;
    struct undo *grown = realloc(l->undo, room * sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    l->bytes += (room - l->undo_room) * sizeof *grown;
    l->undo = grown;
    l->undo_room = room;
    return 0;
}

struct undo *ledger_undo_push(struct ledger *l, enum undo_kind kind, uint32_t index)
{
    if (!l->in_batch)
        return NULL;
    assert(l->undo_count < l->undo_room);
    struct undo *undo = l->undo + l->undo_count++;
    undo->kind = kind;
    undo->index = index;
    return undo;
}

void ledger_touch(struct ledger *l, uint32_t count)
{
    struct count *c = l->counts + count;
    if (c->touched == l->batch)
        return;
    c->touched = l->batch;
    l->touched[l->touched_count++] =
        (struct ledger_key){.school_id = l->schools[c->school].id, .year = c->year};
}

static void forget_touched(struct ledger *l)
{
    l->batch++;
    l->touched_count = 0;
    entities_forget_touched(l);
}

void ledger_begin(struct ledger *l)
{
    assert(!l->in_batch);
    forget_touched(l);
    l->in_batch = true;
}

static void end_batch(struct ledger *l)
{
    l->in_batch = false;
    l->undo_count = 0;
    if (l->undo_room > UNDO_KEEP) {
        l->bytes -= l->undo_room * sizeof *l->undo;
        free(l->undo);
        l->undo = NULL;
        l->undo_room = 0;
    }
    forget_touched(l);
}

void ledger_commit(struct ledger *l)
{
    for (uint32_t i = 0; i < l->undo_count; i++)
        schools_forget(l->undo + i);
    entities_commit(l);
    links_commit(l);
    end_batch(l);
}

void ledger_rollback(struct ledger *l)
{
    l->last_slot = NONE;
    entities_rollback(l);
    links_rollback(l);
    for (uint32_t i = l->undo_count; i-- > 0;) {
        const struct undo *undo = l->undo + i;
        switch ((enum undo_kind)undo->kind) {
        case UNDO_ENTRY_NEW:
        case UNDO_ENTRY:
        case UNDO_SLOT:
            pupils_undo(l, undo);
            break;
        case UNDO_RESEND:
            l->streams[undo->index].resend_count--;
            break;
        default:
            schools_undo(l, undo);
        }
    }
    end_batch(l);
}

/* The entities of the small feeds; where one moves a sanction, every year of the school is looked at. */
static int apply_entity(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                        const struct event *event)
{
    uint32_t schools[2];
    int err = entities_apply(l, stream, batch, event, schools);
    for (int i = 0; i < 2 && !err; i++) {
        uint32_t school = schools[i] ? schools_find(l, schools[i]) : NONE;
        uint32_t count = school == NONE ? NONE : l->schools[school].first_count;
        for (; count != NONE; count = l->counts[count].next)
            ledger_touch(l, count);
    }
    return err;
}

int ledger_apply(struct ledger *l, const struct event_batch *batch, const struct event *event)
{
    if (event->type == EVENT_DEAD)
        return 0;
    uint32_t stream = find_stream(l, batch->stream_id);
    if (stream == NONE)
        return ERR_MISSING;
    switch ((enum event_type)event->type) {
    case EVENT_SCHOOL_UPSERT:
    case EVENT_SCHOOL_WITHDRAW:
        return schools_apply(l, stream, batch, event);
    case EVENT_ENTITLEMENT_KNOWN:
    case EVENT_ENTITLEMENT_WITHDRAW:
        return entitlements_apply(l, stream, batch, event);
    case EVENT_REGISTRATION_UPSERT:
    case EVENT_REGISTRATION_WITHDRAW:
    case EVENT_REGISTRATION_CLOSED:
        return pupils_apply(l, stream, batch, event);
    case EVENT_PUPIL_LINK:
    case EVENT_PUPIL_LINK_WITHDRAW:
        return links_apply(l, stream, batch, event);
    default:
        return event->type < EVENT_TYPE_COUNT ? apply_entity(l, stream, batch, event) : ERR_INVALID;
    }
}

static int compare_keys(const void *a, const void *b)
{
    const struct ledger_key *x = a, *y = b;
    if (x->school_id != y->school_id)
        return x->school_id < y->school_id ? -1 : 1;
    return (x->year > y->year) - (x->year < y->year);
}

size_t ledger_touched(struct ledger *l, const struct ledger_key **keys)
{
    if (l->touched_count)
        qsort(l->touched, l->touched_count, sizeof *l->touched, compare_keys);
    *keys = l->touched;
    return l->touched_count;
}

/* Has anything ever been said about this school and year? Records without are left by a rollback or made for
 * a mark. */
static bool count_stands(const struct ledger *l, const struct count *c)
{
    if (c->retained)
        return true;
    for (uint32_t i = c->first_slot; i != NONE; i = l->slots[i].next)
        if (l->slots[i].entries || l->slots[i].announced >= 0 || l->slots[i].closed)
            return true;
    return false;
}

size_t ledger_all(const struct ledger *l, struct ledger_key **keys)
{
    size_t n = 0;
    *keys = malloc((l->count_count + 1) * sizeof **keys);
    if (!*keys)
        return 0;
    for (uint32_t i = 0; i < l->count_count; i++)
        if (count_stands(l, l->counts + i))
            (*keys)[n++] = (struct ledger_key){.school_id = l->schools[l->counts[i].school].id,
                                               .year = l->counts[i].year};
    qsort(*keys, n, sizeof **keys, compare_keys);
    return n;
}

/* --- questions --------------------------------------------------------------------------------------------
 */

struct ledger_school ledger_school(const struct ledger *l, uint32_t school_id)
{
    struct ledger_school answer = {.school_id = school_id, .closed_on = INT32_MAX, .name = ""};
    uint32_t i = schools_find(l, school_id);
    if (i == NONE || l->schools[i].fact == NONE)
        return answer;
    const struct fact *f = l->facts + l->schools[i].fact;
    answer.known = true;
    answer.level = f->level;
    answer.brussels = f->brussels;
    answer.closed_on = f->closed_on;
    answer.successor_id = f->successor_id;
    answer.name = f->name;
    return answer;
}

void ledger_gather(const struct ledger *l, uint32_t count, struct group_cells cells[GROUP_COUNT])
{
    const struct count *c = l->counts + count;
    for (int g = 0; g < GROUP_COUNT; g++) {
        if (c->halves[g])
            cells[g] = *ledger_cells_at(l, c->cells[g]);
        else
            memset(cells + g, 0, sizeof cells[g]);
    }
}

static uint32_t find_count(const struct ledger *l, uint32_t school_id, int year)
{
    uint32_t school = schools_find(l, school_id);
    return school == NONE ? NONE : schools_count_find(l, school, year);
}

const struct group_cells *ledger_cells(const struct ledger *l, uint32_t school_id, int year)
{
    uint32_t count = find_count(l, school_id, year);
    if (count == NONE)
        return NULL;
    uint32_t live = 0;
    for (int g = 0; g < GROUP_COUNT; g++)
        live += l->counts[count].live[g];
    if (!live && !l->counts[count].retained)
        return NULL;
    ledger_gather(l, count, l->scratch);
    return l->scratch;
}

/* One slot as a reader sees it: a number announced before the stream's last resend is forgotten; one
 * announced after it is about what was sent again. */
static struct ledger_closed slot_closed(const struct ledger *l, const struct slot *s)
{
    struct ledger_closed answer = {.closed = s->closed, .held = s->held, .announced = -1};
    if (s->announced >= 0 && s->rank == ledger_stream_rank(l, s->stream)) {
        answer.held = s->held_again;
        answer.announced = s->announced;
    }
    answer.announced_any = s->closed || answer.announced >= 0;
    answer.differs = answer.announced >= 0 && answer.held != answer.announced;
    answer.any = s->entries || answer.announced_any;
    return answer;
}

struct ledger_closed ledger_closed(const struct ledger *l, uint32_t school_id, int year)
{
    struct ledger_closed all = {.announced = -1};
    uint32_t count = find_count(l, school_id, year);
    uint32_t chosen = NONE;
    int chosen_weight = -1;
    if (count != NONE && l->counts[count].retained) { /* as it was; nothing can differ any more */
        const struct count *c = l->counts + count;
        return (struct ledger_closed){.closed = c->retained_closed,
                                      .announced_any = c->retained_closed || c->retained_announced >= 0,
                                      .held = c->retained_held,
                                      .announced = c->retained_announced,
                                      .any = true};
    }
    for (uint32_t i = count == NONE ? NONE : l->counts[count].first_slot; i != NONE; i = l->slots[i].next) {
        const struct slot *s = l->slots + i;
        struct ledger_closed one = slot_closed(l, s);
        all.closed |= one.closed;
        all.announced_any |= one.announced_any;
        all.differs |= one.differs;
        all.any |= one.any;
        /* Shown: a stream that differs before one that announced before one that did not; then by name. */
        int weight = one.differs ? 3 : one.announced >= 0 ? 2 : one.any;
        if (weight > chosen_weight ||
            (weight == chosen_weight && strcmp(l->streams[s->stream].name, l->streams[chosen].name) < 0)) {
            chosen_weight = weight;
            chosen = s->stream;
            all.held = one.held;
            all.announced = one.announced;
        }
    }
    return all;
}

struct ledger_numbers ledger_numbers(const struct ledger *l)
{
    return (struct ledger_numbers){.registrations = l->entry_count,
                                   .live = l->live,
                                   .unmatched = l->unmatched,
                                   .schools = l->known_schools,
                                   .counts = l->count_rows,
                                   .bytes = l->bytes};
}

uint64_t ledger_digest(const struct ledger *l)
{
    uint64_t sum = ledger_mix(l->live, l->unmatched) + ledger_mix(l->known_schools, l->count_rows);
    for (uint32_t i = 0; i < l->slot_count; i++) {
        const struct slot *s = l->slots + i;
        const struct count *c = l->counts + s->count;
        struct ledger_closed one = slot_closed(l, s);
        if (!one.any)
            continue;
        uint64_t h = 0;
        for (const char *p = l->streams[s->stream].name; *p; p++)
            h = ledger_mix(h, (uint8_t)*p);
        h = ledger_mix(h, l->schools[c->school].id);
        h = ledger_mix(h, (uint64_t)c->year << 1 | one.closed);
        h = ledger_mix(h, (uint64_t)(uint32_t)one.held << 32 | (uint32_t)one.announced);
        sum += ledger_mix(h, (uint32_t)s->held);
    }
    return sum + pupils_digest(l) + schools_digest(l) + entities_digest(l) + links_digest(l);
}
