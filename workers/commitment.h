/* SPDX-License-Identifier: MIT
 *
 * The writer's protocol as decisions (design 3): which waiting events follow on, whether a fence held, what becomes of
 * the overlay after a COMMIT, what to do before the next attempt, what to believe of a database that was lost and
 * found again, and where an operator's accept puts a stream. Pure: no database, no clock, no memory of its own; the
 * writer keeps the values, the simulator (tests/sim) drives the same functions with virtual time and every fault. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/err.h"
#include "workers/position.h"

struct commitment_place { /* where a stream stands; epoch 0 and next 1: nothing yet */
    uint64_t epoch, next;
};
struct commitment_shard { /* the shard's row: its three numbers move together, in each transaction */
    uint64_t batch, token, alert_seq;
};

/* ---- what waits ---- */

struct commitment_batch { /* of one stream, sequences first_seq to first_seq + count - 1 */
    uint64_t epoch, first_seq, count;
    uint64_t generation; /* of the order its receiver followed */
};
enum commitment_fit {
    COMMITMENT_TAKE,  /* events from `skip` on follow on */
    COMMITMENT_LEAVE, /* stale, empty or already in: nothing of it is taken */
    COMMITMENT_RESET  /* a hole, or another epoch: the receiver is told where the stream stands */
};
struct commitment_taken {
    enum commitment_fit fit;
    uint64_t skip; /* leading events that are in already */
};
/* place moves behind what is taken. ordered: generation of the last order to the stream's receiver; what was received
 * before it is fetched again, unless the stream keeps nothing to be fetched (best effort). */
struct commitment_taken commitment_take(struct commitment_place *place, const struct commitment_batch *batch,
                                        uint64_t ordered, bool best_effort);

/* ---- one transaction ---- */

/* A fence is an UPDATE of one row where it stands at the believed values: 0, or ERR_FENCE when it moved none. */
int commitment_fence(uint64_t rows) MUST_CHECK;
/* What was chosen to be written must still follow on from where its stream is believed to stand when it is written: 0,
 * or ERR_FENCE. Positions are read anew with each session. */
int commitment_follow(const struct commitment_place *believed, uint64_t epoch, uint64_t first_seq) MUST_CHECK;
/* The shard's row after a transaction with so many alerts under this token. */
struct commitment_shard commitment_advance(const struct commitment_shard *believed, uint64_t token,
                                           uint64_t alerts);

enum commitment_overlay {
    COMMITMENT_FOLD, /* committed */
    COMMITMENT_DROP, /* rolled back */
    COMMITMENT_HOLD  /* a COMMIT without answer: neither, until the database says which */
};
enum commitment_overlay commitment_overlay_after(int err);

enum commitment_remedy {
    COMMITMENT_BACK_OFF,  /* transient: later again */
    COMMITMENT_RECONNECT, /* unknown outcome: only the database knows */
    COMMITMENT_REBUILD,   /* somebody else wrote: nothing we hold is believed */
    COMMITMENT_BISECT,    /* the data was refused: find the event */
    COMMITMENT_REFUSE     /* configuration: stop, and say it */
};
enum commitment_remedy commitment_remedy_after(int err);

/* ---- after a session was lost ---- */

struct commitment_memory {
    struct commitment_shard believed;
    bool known;      /* the ledger is valid */
    bool unresolved; /* a COMMIT got no answer; token is its own */
    uint64_t token;
    bool
        same_server; /* the same database as in the last session, also on a standby that was promoted meanwhile */
};
enum commitment_belief {
    COMMITMENT_COMMITTED,   /* the unresolved transaction is in: fold it */
    COMMITMENT_ROLLED_BACK, /* all is as it was before the open transaction, if there was one */
    COMMITMENT_REBUILT      /* the database is not where it was left: rebuild */
};
/* found: the shard's row, read while the lock is held, so that no old transaction can still come. */
enum commitment_belief commitment_believe(const struct commitment_memory *memory,
                                          const struct commitment_shard *found);

/* The shard's log ends before what was seen of it, or another batch stands where ours stood: a copy was restored, or a
 * standby was promoted that had not received everything. seen: the highest batch read or written. */
bool commitment_is_set_back(uint64_t seen, const struct commitment_shard *believed,
                            const struct commitment_shard *found);

/* The snapshot a ledger is rebuilt from must be the one the shard's row was believed in, or the two are of different
 * moments: 0, or ERR_FENCE. batch: the row's, read in that snapshot. */
int commitment_snapshot(const struct commitment_shard *believed, uint64_t batch) MUST_CHECK;

enum commitment_turn {
    COMMITMENT_TRY,
    COMMITMENT_DONE,      /* it was committed after all: a second time would double it */
    COMMITMENT_LOOK_AGAIN /* the ledger was rebuilt: what was to be written is decided anew */
};
/* Of a transaction that began at `settled` transactions and `rebuilds`, with the numbers of now. */
enum commitment_turn commitment_turn_of(uint64_t settled, uint64_t settled_now, uint64_t rebuilds,
                                        uint64_t rebuilds_now);

/* ---- accept ---- */

enum commitment_accept {
    COMMITMENT_ACCEPTED,
    COMMITMENT_NOT_STOPPED,
    COMMITMENT_JOURNAL_SHORT, /* same journal, but it ends before what is committed: its numbers would be used twice */
    COMMITMENT_JOURNAL_SAME, /* a resend needs a new journal */
    COMMITMENT_JOURNAL_OLDER
};
/* Where an operator's accept puts the stream (to is set unless NOT_STOPPED or JOURNAL_SHORT). */
enum commitment_accept commitment_accept(const struct commitment_place *at, const struct position *shown,
                                         bool resend, struct commitment_place *to);
