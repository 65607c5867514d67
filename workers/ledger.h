/* SPDX-License-Identifier: MIT
 *
 * The ledger: the in-memory state needed to turn an event into deltas. Per stream the last registration of every
 * (school year, school, pupil); counts per school year, school, group and indicator combination; schools;
 * what is known of entitlements; whether a count is closed. State is a function of the last event per key,
 * whatever the order between streams: within a stream the later position wins; when two streams speak of one key,
 * the event with the later `time` wins, then the stream whose name sorts last.
 *
 * Pure: no I/O, no clock. One owner (the writer). A batch is applied between ledger_begin() and ledger_commit();
 * ledger_rollback() undoes it exactly (undo journal: lookups stay one probe, and RAM may vanish at any instant).
 * At most 64 bytes per registration, everything included (ledger_bytes()). */
#pragma once

#include "workers/alert.h"
#include "workers/allocation.h"
#include "workers/event.h"
#include "workers/fixed.h"

struct ledger;

struct ledger *ledger_new(void);
void ledger_free(struct ledger **ledger);

/* Streams and epochs must be known before their events. Names decide ties. stream_id: small numbers (< 65535). */
int ledger_add_stream(struct ledger *l, uint32_t stream_id, const char *name) MUST_CHECK;
/* A new epoch of a stream: accepted with --resend (rows of older epochs are withdrawn at their school's next matching
 * closed; closed numbers are matched against rows of this epoch only) or --continue (all rows count as before).
 * The first epoch of a stream needs no call. Part of the batch it is called in. */
int ledger_accept_epoch(struct ledger *l, uint32_t stream_id, uint64_t epoch, bool resend) MUST_CHECK;
/* Another rules set: counts depend on the teldag of each year. Recounts everything and touches every school.
 * The set must outlive its use. Not undoable: on failure of the transaction the ledger is rebuilt. */
int ledger_set_rules(struct ledger *l, const struct rules_set *set) MUST_CHECK;
const struct rules_set *ledger_rules(const struct ledger *l);

/* Events applied outside a batch (a rebuild) cannot be undone; on an error the ledger is thrown away. */
void ledger_begin(struct ledger *l);
int ledger_apply(struct ledger *l, const struct event_batch *batch, const struct event *event) MUST_CHECK;
void ledger_commit(struct ledger *l);   /* forgets the undo journal and the touched marks */
void ledger_rollback(struct ledger *l); /* exactly as before ledger_begin() */

/* What the events since ledger_begin() touched; each once, in ascending order. Valid until the next call. */
struct ledger_key {
    uint32_t school_id;
    int year; /* count year */
};
size_t ledger_touched(struct ledger *l, const struct ledger_key **keys);
/* Everything there is (after a rebuild): every (school, count year) known. */
size_t ledger_all(const struct ledger *l, struct ledger_key **keys /* malloc'ed */);

/* Facts. */
struct ledger_school {
    uint32_t school_id;
    bool known; /* an upsert stands */
    enum level level;
    bool brussels;
    int32_t closed_on;     /* INT32_MAX = open */
    uint32_t successor_id; /* 0 = none */
    const char *name;      /* "" when unknown */
};
struct ledger_school ledger_school(const struct ledger *l, uint32_t school_id);
/* NULL when no registration of that school and count year stands. Overwritten by the next call. */
const struct group_cells *ledger_cells(const struct ledger *l, uint32_t school_id,
                                       int year); /* [GROUP_COUNT] */
struct ledger_closed {
    bool closed;        /* once matched, stays so */
    bool announced_any; /* a closed event stands (not yet matched or matched) */
    /* Of the first stream by name that differs, else of the first that announced (-1: none did), else of the
     * first. After a resend held is what was sent again, once a number stands beside it. */
    int32_t held, announced;
    bool differs; /* -> count.incomplete */
    bool any;     /* something was ever said about this school and year */
};
struct ledger_closed ledger_closed(const struct ledger *l, uint32_t school_id, int year);
/* Regular registrations of one pupil in two or more schools whose counts are closed, weights above 1 together. */
typedef void (*ledger_double_fn)(void *context, const struct alert_double *d);
void ledger_doubles(const struct ledger *l, uint32_t school_id, int year, ledger_double_fn fn, void *context);

/* Events of a school and school year that risk indicators count (design 9), and the pupils they are held against: all that the
 * teldag of that year counts, half units. */
void ledger_incidents(const struct ledger *l, uint32_t school_id, int year,
                      int32_t out[RISK_INDICATOR_COUNT]);
int64_t ledger_halves(const struct ledger *l, uint32_t school_id, int year);
/* What the operator fixed; must outlive its use. NULL: nothing. Touches nothing: who sets another looks at everything. */
void ledger_set_fixed(struct ledger *l, const struct fixed *fixed);
const struct fixed *ledger_fixed(const struct ledger *l);

/* Fixed rows of school years whose pupils have gone, in place of their registrations; at a rebuild, after the logs. */
bool ledger_knows_school(const struct ledger *l, uint32_t school_id); /* anything was ever said about it */
int ledger_retain_cells(struct ledger *l, uint32_t school_id, int year, enum group group,
                        const struct group_cells *cells) MUST_CHECK;
int ledger_retain_closed(struct ledger *l, uint32_t school_id, int year, bool closed, int32_t held,
                         int32_t announced) MUST_CHECK;
int ledger_retain_incidents(struct ledger *l, uint32_t school_id, int year, enum risk_indicator indicator,
                            int32_t observed) MUST_CHECK;

/* Allocation rows of one school for one year of use, with history (computed, else entitlement.known, else the
 * predecessors'). At most 3. */
int ledger_allocations(const struct ledger *l, uint32_t school_id, int year_of_use,
                       struct allocation rows[3]);

struct ledger_numbers {
    uint64_t registrations; /* entries, withdrawn ones too */
    uint64_t live;          /* registrations that stand */
    uint64_t unmatched;     /* live ones whose school is unknown or whose group does not fit the level */
    uint64_t schools, counts;
    size_t bytes; /* all memory of the ledger */
};
struct ledger_numbers ledger_numbers(const struct ledger *l);
/* A digest of the whole state, independent of the order in which it came to be (tests, debugging). */
uint64_t ledger_digest(const struct ledger *l);
