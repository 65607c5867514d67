/* SPDX-License-Identifier: MIT
 *
 * Which pseudonyms mean one pupil. Keys change with the school year, so a pupil has another pseudonym each year; only an
 * event pupil.link.v1 says that two of them are one (docs/events.md). Each pseudonym has at most one that follows it, of
 * the stream whose event is the last on it; the one a pupil is known by is found by following them to the end, and when
 * they run in a circle it is the smallest of the circle: so it does not depend on the order in which links came.
 *
 * Only what the regulation compares across school years asks for it: a pupil's controls in huisonderwijs (7). A
 * registration is compared with others of its own school year, whose pupils all stand under one key. */
#include "workers/ledger_internal.h"

struct link { /* a stream's last word on what follows a pseudonym */
    uint8_t old[16], new[16];
    int64_t time_us;
    uint16_t stream;
    uint8_t withdrawn;
};
struct link_undo {
    struct link was;
    uint32_t index;
    bool fresh;
};
struct links {
    struct link *list;
    uint32_t count, room;
    uint32_t *places; /* open addressing by old, NONE = empty; records of one old follow each other */
    uint32_t place_count;
    struct link_undo *undo;
    uint32_t undo_count, undo_room;
};

int links_new(struct ledger *l)
{
    l->links = calloc(1, sizeof *l->links);
    if (!l->links)
        return ERR_NOMEM;
    l->bytes += sizeof *l->links;
    return 0;
}

void links_free(struct ledger *l)
{
    if (!l->links)
        return;
    free(l->links->list);
    free(l->links->places);
    free(l->links->undo);
    free(l->links);
    l->links = NULL;
}

/* --- finding -------------------------------------------------------------------------------------------- */

static uint32_t first_place(const struct ledger *l, const uint8_t pupil[16])
{
    uint64_t half[2];
    memcpy(half, pupil, sizeof half);
    return (uint32_t)ledger_mix(half[0] ^ l->seed[0], half[1] ^ l->seed[1]) & (l->links->place_count - 1);
}

static void place_link(struct ledger *l, uint32_t i)
{
    struct links *x = l->links;
    uint32_t at = first_place(l, x->list[i].old);
    while (x->places[at] != NONE)
        at = (at + 1) & (x->place_count - 1);
    x->places[at] = i;
}

/* The next record of `pupil` from *at on; NONE: no more. */
static uint32_t next_record(const struct links *x, const uint8_t pupil[16], uint32_t *at)
{
    for (;;) {
        uint32_t i = x->places[*at];
        if (i == NONE)
            return NONE;
        *at = (*at + 1) & (x->place_count - 1);
        if (memcmp(x->list[i].old, pupil, 16) == 0)
            return i;
    }
}

/* What follows a pseudonym: the last word of the streams that speak of it. NULL: nothing. */
static const uint8_t *follow(const struct ledger *l, const uint8_t pupil[16])
{
    const struct links *x = l->links;
    const struct link *best = NULL;
    if (!x->count)
        return NULL;
    uint32_t at = first_place(l, pupil);
    for (uint32_t i; (i = next_record(x, pupil, &at)) != NONE;) {
        const struct link *k = x->list + i;
        if (!best || ledger_later(l, k->time_us, k->stream, best->time_us, best->stream))
            best = k;
    }
    return best && !best->withdrawn ? best->new : NULL;
}

/* The circle that holds `at`: its smallest. */
static void smallest_of_circle(const struct ledger *l, const uint8_t *at, uint8_t out[16])
{
    const uint8_t *least = at;
    for (const uint8_t *p = follow(l, at); memcmp(p, at, 16) != 0; p = follow(l, p))
        if (memcmp(p, least, 16) < 0)
            least = p;
    memcpy(out, least, 16);
}

/* Brent: the hare runs ahead of a tortoise that is set down again after 1, 2, 4, 8 ... steps; in a circle they meet. */
void links_canonical(const struct ledger *l, const uint8_t pupil[16], uint8_t out[16])
{
    const uint8_t *tortoise = pupil, *hare = pupil;
    uint64_t steps = 0, limit = 1;
    for (const uint8_t *next; (next = follow(l, hare)); steps++) {
        if (steps == limit) {
            tortoise = hare;
            limit *= 2;
            steps = 0;
        }
        hare = next;
        if (memcmp(hare, tortoise, 16) == 0) {
            smallest_of_circle(l, hare, out);
            return;
        }
    }
    memmove(out, hare, 16);
}

/* --- events --------------------------------------------------------------------------------------------- */

static int reserve_places(struct ledger *l)
{
    struct links *x = l->links;
    if ((uint64_t)(x->count + 1) * 3 <= (uint64_t)x->place_count * 2)
        return 0;
    uint32_t wanted = x->place_count ? x->place_count * 2 : 64;
    uint32_t *places = wanted ? malloc(wanted * sizeof *places) : NULL;
    if (!places)
        return ERR_NOMEM;
    memset(places, 0xff, wanted * sizeof *places);
    free(x->places);
    l->bytes += (size_t)(wanted - x->place_count) * sizeof *places;
    x->places = places;
    x->place_count = wanted;
    for (uint32_t i = 0; i < x->count; i++)
        place_link(l, i);
    return 0;
}

/* Room for a record more, for its undo, and for the subjects that undoing may need. */
static int reserve_link(struct ledger *l)
{
    struct links *x = l->links;
    struct link *list = ledger_grow(l, x->list, x->count, &x->room, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    x->list = list;
    if (reserve_places(l))
        return ERR_NOMEM;
    if (!l->in_batch)
        return 0;
    struct link_undo *undo = ledger_grow(l, x->undo, x->undo_count, &x->undo_room, sizeof *undo);
    if (!undo)
        return ERR_NOMEM;
    x->undo = undo;
    return entities_reserve_spare(l, x->undo_count + 1);
}

static uint32_t find_link(const struct ledger *l, const uint8_t old[16], uint32_t stream)
{
    uint32_t at = first_place(l, old);
    for (uint32_t i; (i = next_record(l->links, old, &at)) != NONE;)
        if (l->links->list[i].stream == stream)
            return i;
    return NONE;
}

/* The last record goes: places are filled in the order of records, so nothing was placed behind it. */
static void remove_last(struct ledger *l)
{
    struct links *x = l->links;
    uint32_t i = x->count - 1, at = first_place(l, x->list[i].old);
    while (x->places[at] != i)
        at = (at + 1) & (x->place_count - 1);
    x->places[at] = NONE;
    x->count--;
}

/* Puts a record back; pupils whose controls were found by it are found by what stands then. */
static int undo_link(struct ledger *l, const struct link_undo *undo)
{
    uint8_t old[16], before[16];
    memcpy(old, undo->was.old, 16);
    links_canonical(l, old, before);
    if (undo->fresh)
        remove_last(l);
    else
        l->links->list[undo->index] = undo->was;
    return entities_relink(l, before, old);
}

int links_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch, const struct event *event)
{
    struct links *x = l->links;
    const struct value *v = event_values(batch, event);
    uint8_t before[16];
    int err = reserve_link(l);
    if (err)
        return err;
    struct link to = {.time_us = event->time_us, .stream = (uint16_t)stream};
    memcpy(to.old, v[LINK_OLD].pupil, 16);
    to.withdrawn = event_kinds[event->type].op == 'w';
    if (!to.withdrawn)
        memcpy(to.new, v[LINK_NEW].pupil, 16);
    links_canonical(l, to.old, before);
    uint32_t i = find_link(l, to.old, stream);
    struct link_undo undo = {.was = i == NONE ? to : x->list[i], .index = i, .fresh = i == NONE};
    if (i == NONE) {
        undo.index = i = x->count++;
        x->list[i] = to;
        place_link(l, i);
    } else {
        x->list[i] = to;
    }
    err = entities_relink(l, before, to.old);
    if (err) { /* before anything moved */
        if (undo.fresh)
            remove_last(l);
        else
            x->list[i] = undo.was;
        return err;
    }
    if (l->in_batch)
        x->undo[x->undo_count++] = undo;
    return 0;
}

void links_commit(struct ledger *l)
{
    l->links->undo_count = 0;
}

void links_rollback(struct ledger *l)
{
    struct links *x = l->links;
    while (x->undo_count > 0) {
        int err = undo_link(l, x->undo + --x->undo_count);
        assert(!err); /* entities_reserve_spare() made the room */
        (void)err;
    }
}

uint64_t links_digest(const struct ledger *l)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < l->links->count; i++) {
        const struct link *k = l->links->list + i;
        uint64_t words[4], h = ledger_mix((uint64_t)k->time_us, 9);
        memcpy(words, k->old, 16);
        memcpy(words + 2, k->new, 16);
        for (const char *p = l->streams[k->stream].name; *p; p++)
            h = ledger_mix(h, (uint8_t)*p);
        for (int w = 0; w < 4; w++)
            h = ledger_mix(h, words[w]);
        sum += ledger_mix(h, k->withdrawn);
    }
    return sum;
}
