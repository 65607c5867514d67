/* SPDX-License-Identifier: MIT
 *
 * The rules: 1. The database is the truth; what is believed counts only while a fence confirms it. 2. An outcome that
 * is not known is asked for, never guessed: a second attempt could double, a forgotten one could lose. 3. Whatever
 * fails, the ledger ends as it was before or as it is in the database: there is no third state. */
#include "workers/commitment.h"

/* 1. Received before the receiver followed our last order: fetched again from there.
 * 2. Another epoch, unless it is the stream's first; or a hole: order it.
 * 3. What is in already is cut off. */
struct commitment_taken commitment_take(struct commitment_place *place, const struct commitment_batch *b,
                                        uint64_t ordered, bool best_effort)
{
    const struct commitment_taken leave = {COMMITMENT_LEAVE, 0}, reset = {COMMITMENT_RESET, 0};
    const bool first_epoch = place->epoch == 0 && place->next == 1;
    const uint64_t end = b->first_seq + b->count;
    struct commitment_taken taken = {COMMITMENT_TAKE, 0};

    if (b->count == 0 || (!best_effort && b->generation != ordered))
        return leave;
    if (b->epoch != place->epoch && !first_epoch)
        return reset;
    if (b->first_seq > place->next)
        return reset;
    place->epoch = b->epoch;
    if (end <= place->next)
        return leave;
    taken.skip = place->next - b->first_seq;
    place->next = end;
    return taken;
}

int commitment_fence(uint64_t rows)
{
    return rows == 1 ? 0 : ERR_FENCE;
}

int commitment_follow(const struct commitment_place *believed, uint64_t epoch, uint64_t first_seq)
{
    const bool first_epoch = believed->epoch == 0 && believed->next == 1;

    return first_seq == believed->next && (epoch == believed->epoch || first_epoch) ? 0 : ERR_FENCE;
}

struct commitment_shard commitment_advance(const struct commitment_shard *believed, uint64_t token,
                                           uint64_t alerts)
{
    return (struct commitment_shard){
        .batch = believed->batch + 1, .token = token, .alert_seq = believed->alert_seq + alerts};
}

enum commitment_overlay commitment_overlay_after(int err)
{
    if (!err)
        return COMMITMENT_FOLD;
    return err == ERR_DB_UNKNOWN ? COMMITMENT_HOLD : COMMITMENT_DROP;
}

enum commitment_remedy commitment_remedy_after(int err)
{
    switch (err) {
    case ERR_DB_DATA:
        return COMMITMENT_BISECT;
    case ERR_DB_CONFIG:
        return COMMITMENT_REFUSE;
    case ERR_FENCE:
        return COMMITMENT_REBUILD;
    case ERR_DB_UNKNOWN:
        return COMMITMENT_RECONNECT;
    default:
        return COMMITMENT_BACK_OFF;
    }
}

/* The batch number and the token, which no other transaction has, say what became of a COMMIT without answer. */
enum commitment_belief commitment_believe(const struct commitment_memory *m,
                                          const struct commitment_shard *found)
{
    if (!m->known)
        return COMMITMENT_REBUILT;
    if (m->unresolved && found->batch == m->believed.batch + 1 && found->token == m->token)
        return COMMITMENT_COMMITTED;
    if (found->batch == m->believed.batch && found->token == m->believed.token && m->same_server)
        return COMMITMENT_ROLLED_BACK;
    return COMMITMENT_REBUILT;
}

bool commitment_is_set_back(uint64_t seen, const struct commitment_shard *believed,
                            const struct commitment_shard *found)
{
    return found->batch < seen || found->batch < believed->batch ||
           (found->batch == believed->batch && found->token != believed->token);
}

int commitment_snapshot(const struct commitment_shard *believed, uint64_t batch)
{
    return batch == believed->batch ? 0 : ERR_FENCE;
}

enum commitment_turn commitment_turn_of(uint64_t settled, uint64_t settled_now, uint64_t rebuilds,
                                        uint64_t rebuilds_now)
{
    if (settled_now != settled)
        return COMMITMENT_DONE;
    return rebuilds_now != rebuilds ? COMMITMENT_LOOK_AGAIN : COMMITMENT_TRY;
}

/* Of a stream of which nothing is committed yet, the epoch is what the publisher says. A receiver may still show the
 * stop of before the last order, which another daemon's writing has made void: a stream never goes back. */
enum commitment_accept commitment_accept(const struct commitment_place *at, const struct position *shown,
                                         bool resend, struct commitment_place *to)
{
    const bool new_epoch = shown->reason == POSITION_NEW_EPOCH;

    if (shown->mode != POSITION_STOPPED)
        return COMMITMENT_NOT_STOPPED;
    if (shown->reason == POSITION_REWOUND)
        return COMMITMENT_JOURNAL_SHORT;
    to->epoch = new_epoch ? shown->other_epoch : at->epoch ? at->epoch : shown->epoch;
    to->next = new_epoch ? 1 : shown->reason == POSITION_GONE ? shown->first_kept : at->next;
    if (to->epoch == at->epoch && to->next < at->next)
        return COMMITMENT_NOT_STOPPED;
    if (resend && (to->epoch == at->epoch || !at->epoch))
        return COMMITMENT_JOURNAL_SAME;
    if (new_epoch && to->epoch < at->epoch)
        return COMMITMENT_JOURNAL_OLDER;
    return COMMITMENT_ACCEPTED;
}
