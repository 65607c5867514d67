/* SPDX-License-Identifier: MIT
 *
 * The ledger's records, shared by its own files only: ledger.c (batch, undo, questions), ledger_pupils.c
 * (registrations, winners, counts, doubles), ledger_schools.c (schools, entitlements), ledger_history.c
 * (allocations). Records refer to each other by index, never by pointer: arrays move when they grow.
 *
 * Everything that can fail happens before anything changes: the functions named reserve make room, those that
 * change state return void. So ERR_NOMEM leaves at most empty records behind, which nothing shows. */
#pragma once

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "workers/ledger.h"

struct subject;

#define NONE       UINT32_MAX
#define YEAR_FIRST 1990
#define YEAR_LAST  2099
#define YEAR_COUNT (YEAR_LAST - YEAR_FIRST + 1)
#define RANK_MAX   32767

/* What the last event of a key said (and, in the last three bits, what follows from all streams together).
 * Dates are days since 1900-01-01 plus one, 0 = null. rank = resends of the stream accepted up to that event.
 */
struct entry_state {
    int64_t time_us;
    uint64_t from : 17, until : 17, group : 3, regular : 1, whole : 1,
        mask : IND_COUNT, withdrawn : 1, rank : 15;
    uint64_t winner : 1, counted : 1, doubled : 1;
};
struct entry {
    uint8_t pupil[16];
    struct entry_state state;
    uint32_t slot;
    uint32_t next; /* of the same slot */
};
_Static_assert(sizeof(struct entry_state) == 16 && sizeof(struct entry) == 40, "64 bytes per registration");

struct stream {
    uint32_t id;
    uint32_t resend_count, resend_room;
    uint64_t *resends; /* epochs accepted with resend, ascending */
    char *name;
};

/* One stream's registrations of one school and count year. */
struct slot {
    uint32_t count, next;     /* the count record; its next slot */
    uint32_t first, entries;  /* chain of entries, newest first */
    int32_t held, held_again; /* standing; of these, (re)sent since resend `rank` */
    int32_t announced;        /* by the last closed since resend `rank`; -1 none */
    uint16_t stream;          /* index */
    uint16_t rank : 15, closed : 1;
};

/* One school and count year. Cells are made per group when first needed. */
struct count {
    uint32_t school, next, first_slot;
    uint32_t doubles; /* entries marked doubled */
    uint64_t touched; /* number of the batch that touched it */
    uint32_t cells[GROUP_COUNT];
    int32_t halves[GROUP_COUNT]; /* sum of the group's cells */
    uint32_t live[GROUP_COUNT];  /* winners that stand */
    int32_t incidents[RISK_INDICATOR_COUNT];
    int32_t retained_held, retained_announced;
    int16_t year;
    bool retained, retained_closed; /* fixed: its cells are no sum of entries */
};

struct fact { /* a stream's last event on a school */
    int64_t time_us;
    char *name;
    uint32_t next, school, successor_id;
    int32_t closed_on;
    uint16_t stream;
    uint8_t level, brussels, withdrawn;
};

struct school {
    uint32_t id;
    uint32_t first_count, first_fact, first_entitlement;
    uint32_t fact;      /* the winner among facts, when it stands; else NONE */
    uint32_t successor; /* index, NONE */
    uint32_t first_predecessor, next_predecessor, previous_predecessor;
};

struct entitlement { /* a stream's last event on what was granted */
    int64_t time_us;
    uint32_t next, school;
    int16_t year; /* of use */
    uint16_t stream;
    uint8_t staffing, group, status, withdrawn;
};

enum undo_kind {
    UNDO_ENTRY_NEW,
    UNDO_ENTRY,
    UNDO_SLOT,
    UNDO_FACT_NEW,
    UNDO_FACT,
    UNDO_ENTITLEMENT_NEW,
    UNDO_ENTITLEMENT,
    UNDO_RESEND
};
struct undo {
    union {
        struct entry_state state;
        struct {
            int32_t held_again, announced;
            uint16_t rank, closed;
        } slot;
        struct fact *fact; /* heap copy; owns its name */
        struct {
            int64_t time_us;
            uint8_t status, withdrawn;
        } entitlement;
    };
    uint32_t index;
    uint32_t kind;
};

#define ENTRY_CHUNK 16384
#define CELLS_CHUNK 256

struct ledger {
    uint64_t seed[3];
    const struct rules_set *rules;
    const struct fixed *fixed;
    int32_t teldag[YEAR_COUNT];
    size_t bytes;

    struct entry **entry_chunks;
    uint32_t entry_count, entry_chunk_count, entry_chunk_room;
    uint8_t *tags;   /* 0 = empty */
    uint32_t *index; /* entry per place */
    uint32_t place_count;

    struct group_cells **cells_chunks;
    uint32_t cells_count, cells_chunk_count, cells_chunk_room;
    struct group_cells *scratch; /* [GROUP_COUNT], answer of ledger_cells() */

    struct stream *streams;
    uint32_t stream_count, stream_room;
    struct slot *slots;
    uint32_t slot_count, slot_room;
    struct count *counts;
    uint32_t count_count, count_room;
    struct school *schools;
    uint32_t school_count, school_room;
    uint32_t *school_places; /* open addressing, NONE = empty */
    uint32_t school_place_count;
    struct fact *facts;
    uint32_t fact_count, fact_room;
    struct entitlement *entitlements;
    uint32_t entitlement_count, entitlement_room;

    struct undo *undo;
    uint32_t undo_count, undo_room;
    bool in_batch;
    uint64_t batch;
    struct ledger_key *touched; /* room for every count record */
    uint32_t touched_count, touched_room;
    uint32_t last_slot; /* of the last registration event: events of a school come together */

    uint64_t live, unmatched, known_schools, count_rows;
    struct entities *entities; /* entities.c */
    struct links *links;       /* ledger_links.c */
};

static inline struct entry *ledger_entry(const struct ledger *l, uint32_t i)
{
    return l->entry_chunks[i / ENTRY_CHUNK] + i % ENTRY_CHUNK;
}
static inline struct group_cells *ledger_cells_at(const struct ledger *l, uint32_t i)
{
    return l->cells_chunks[i / CELLS_CHUNK] + i % CELLS_CHUNK;
}
static inline struct count *ledger_entry_count(const struct ledger *l, const struct entry *e)
{
    return l->counts + l->slots[e->slot].count;
}

/* ledger.c */
void *ledger_grow(struct ledger *l, void *items, uint32_t count, uint32_t *room,
                  size_t size); /* room for one more */
int ledger_undo_reserve(struct ledger *l, uint32_t more) MUST_CHECK;
struct undo *ledger_undo_push(struct ledger *l, enum undo_kind kind,
                              uint32_t index); /* NULL outside a batch */
void ledger_touch(struct ledger *l, uint32_t count);
/* Is an event of stream a at time a_us later than one of stream b? (time, then the name that sorts last) */
bool ledger_later(const struct ledger *l, int64_t a_us, uint32_t a, int64_t b_us, uint32_t b);
uint64_t ledger_mix(uint64_t a, uint64_t b);
uint32_t ledger_stream_rank(const struct ledger *l, uint32_t stream);

/* ledger_pupils.c */
int pupils_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                 const struct event *event) MUST_CHECK;
void pupils_undo(struct ledger *l, const struct undo *undo);
int pupils_recount(struct ledger *l) MUST_CHECK;
int pupils_reserve_cells(struct ledger *l, struct count *c, unsigned group) MUST_CHECK;
void pupils_touch_doubles(struct ledger *l, uint32_t count);
uint64_t pupils_digest(const struct ledger *l);
void pupils_free(struct ledger *l);

/* ledger_schools.c */
uint32_t schools_find(const struct ledger *l, uint32_t school_id); /* NONE when never heard of */
int schools_reserve(struct ledger *l, uint32_t school_id, uint32_t *school) MUST_CHECK;
uint32_t schools_count_find(const struct ledger *l, uint32_t school, int year);
int schools_count_reserve(struct ledger *l, uint32_t school, int year, uint32_t *count) MUST_CHECK;
bool schools_fits(const struct ledger *l, uint32_t school,
                  unsigned group); /* known, and the group fits its level */
int schools_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                  const struct event *event) MUST_CHECK;
int entitlements_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                       const struct event *event) MUST_CHECK;
/* The entitlement that stands, or NULL. */
const struct entitlement *entitlements_find(const struct ledger *l, uint32_t school, int year,
                                            enum staffing staffing, enum group group);
void schools_undo(struct ledger *l, const struct undo *undo);
void schools_forget(struct undo *undo); /* frees what a committed undo record owns */
uint64_t schools_digest(const struct ledger *l);
void schools_free(struct ledger *l);

/* ledger_history.c fills ledger_allocations(). */
void ledger_gather(const struct ledger *l, uint32_t count, struct group_cells cells[GROUP_COUNT]);

/* ledger_incidents.c: before and after a change of what stands of a key; the room is made between. */
void incidents_drop(struct ledger *l, const struct subject *subject);
int incidents_reserve(struct ledger *l, const struct subject *subject) MUST_CHECK;
void incidents_add(struct ledger *l, const struct subject *subject);

/* ledger_links.c */
int links_new(struct ledger *l) MUST_CHECK;
void links_free(struct ledger *l);
int links_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                const struct event *event) MUST_CHECK;
void links_commit(struct ledger *l);
void links_rollback(struct ledger *l);
/* The pseudonym a pupil is known by, of all that links say are one. out may be pupil. */
void links_canonical(const struct ledger *l, const uint8_t pupil[16], uint8_t out[16]);
uint64_t links_digest(const struct ledger *l);

/* entities.c */
int entities_new(struct ledger *l) MUST_CHECK;
void entities_free(struct ledger *l);
/* schools: whose allocations may move by it, 0 = none. */
int entities_apply(struct ledger *l, uint32_t stream, const struct event_batch *batch,
                   const struct event *event, uint32_t schools[2]) MUST_CHECK;
void entities_commit(struct ledger *l);
void entities_rollback(struct ledger *l);
/* A link from `old` has changed, and what `old` is known by was `before`: pupils that are known otherwise now are moved.
 * ERR_NOMEM: nothing was. */
int entities_relink(struct ledger *l, const uint8_t before[16], const uint8_t old[16]) MUST_CHECK;
/* Room for so many subjects more until the batch ends: undoing links must not fail. */
int entities_reserve_spare(struct ledger *l, uint32_t spare) MUST_CHECK;
void entities_forget_touched(struct ledger *l);   /* with the number of the batch */
void entities_forget_deadlines(struct ledger *l); /* another rules set */
uint64_t entities_digest(const struct ledger *l);
