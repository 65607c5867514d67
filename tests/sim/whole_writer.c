/* SPDX-License-Identifier: MIT
 *
 * A daemon's writer, statement by statement, as workers/writer_session.c, writer_batch.c and writer_acts.c run it: each
 * decision is theirs too (workers/commitment.c). The ledger holds the last event per key and how many there were, with
 * an undo journal for the overlay: so what is rolled back, forgotten or applied twice shows. */
#include "tests/sim/whole.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define IDLE_US        250000
#define LOCK_US        200000
#define BACK_OFF_US    100000
#define BACK_OFF_MAX   5000000
#define OPERATIONAL_US 1000000

static struct writer *writer_of(struct world *w, int d)
{
    return &w->daemons[d].writer;
}

void writer_wake(struct world *w, int d, uint64_t delay_us)
{
    if (w->actors[DAEMON + d].up)
        plan(w, ACT_WRITER, (uint8_t)(DAEMON + d), ++writer_of(w, d)->tick, delay_us);
}

static void go(struct world *w, int d, enum phase phase, uint64_t delay_us)
{
    writer_of(w, d)->phase = phase;
    writer_wake(w, d, delay_us);
}

/* A round trip to the database. */
static void go_on(struct world *w, int d, enum phase phase)
{
    go(w, d, phase, 50 + below(w, 400));
}

void writer_start(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    x->session = -1;
    x->day = INT32_MIN;
    go(w, d, PHASE_CONNECT, 1000 + below(w, 20000));
}

bool writer_runs(const struct world *w, int d)
{
    const struct writer *x = &w->daemons[d].writer;

    return w->actors[DAEMON + d].up && x->phase >= PHASE_TURN;
}

/* ---- ledger ---- */

static void apply_event(struct writer *x, const struct item *i)
{
    int key = line_key(i->stream, i->epoch, i->line);

    x->undo[x->undo_count++] = (struct undo){(uint8_t)key, x->ledger[key]};
    x->ledger[key].last = line_value(i->stream, i->epoch, i->line);
    x->ledger[key].times++;
}

static void roll_back_ledger(struct writer *x)
{
    while (x->undo_count > 0) {
        const struct undo *u = &x->undo[--x->undo_count];

        x->ledger[u->key] = u->before;
    }
}

/* The number an alert gets is part of the transaction: the shard's row is fenced where it was believed. */
static uint64_t alert_number(const struct writer *x, int n)
{
    return x->shard.alert_seq + (uint64_t)n;
}

static void change_alert(struct writer *x, int key, bool firing)
{
    if (x->firing[key] == firing)
        return;
    x->alert_count++;
    x->alerts[x->alert_count - 1] = (struct alert_row){alert_number(x, x->alert_count), (uint8_t)key, firing};
}

static void compute_changes(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    int32_t day = x->tx == TX_DAY ? x->tx_day : x->day;
    bool touched[KEYS];

    memset(touched, x->tx == TX_DAY, sizeof touched);
    for (int i = 0; i < x->count && x->tx == TX_ITEMS; i++) {
        const struct item *item = &x->items[x->from + i];

        if (!item->dead)
            touched[line_key(item->stream, item->epoch, item->line)] = true;
    }
    x->row_count = x->alert_count = 0;
    for (int k = 0; k < KEYS; k++) {
        if (!touched[k])
            continue;
        if (x->ledger[k].last != x->shown[k].last || x->ledger[k].times != x->shown[k].times) {
            x->row_keys[x->row_count] = (uint8_t)k;
            x->rows[x->row_count++] = x->ledger[k];
        }
        change_alert(x, k, key_fires(&x->ledger[k], day));
    }
    for (int s = 0; s < STREAMS; s++)
        change_alert(x, KEYS + s, w->daemons[d].receivers[s].shown.mode == POSITION_STOPPED);
}

/* ---- outcome ---- */

static void check_memory(struct world *w, int d)
{
    const struct writer *x = writer_of(w, d);
    const struct database *db = &w->database;

    if (db->now.shard.batch != x->shard.batch || db->now.shard.token != x->shard.token)
        return; /* another has written since */
    for (int k = 0; k < KEYS; k++)
        if (x->ledger[k].last != db->now.truth[k].last || x->ledger[k].times != db->now.truth[k].times)
            fail(w,
                 "daemon %d: key %d is %" PRIu32 " after %" PRIu32 " events in memory, %" PRIu32
                 " after %" PRIu32 " in the database",
                 d, k, x->ledger[k].last, x->ledger[k].times, db->now.truth[k].last, db->now.truth[k].times);
    if (memcmp(x->firing, db->now.firing, sizeof x->firing) != 0)
        fail(w, "daemon %d: its alerts are not the database's", d);
    if (x->shard.alert_seq != db->now.shard.alert_seq || x->day != db->now.day)
        fail(w, "daemon %d: alert_seq or day is not the database's", d);
    for (int s = 0; s < STREAMS; s++)
        if (x->places[s].epoch != db->now.places[s].epoch || x->places[s].next != db->now.places[s].next)
            fail(w, "daemon %d: stream %d is believed at %" PRIu64 ", it is at %" PRIu64, d, s,
                 x->places[s].next, db->now.places[s].next);
}

static void settle(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    uint64_t alerts = (uint64_t)x->alert_count;

    x->undo_count = 0;
    for (int i = 0; i < x->row_count; i++)
        x->shown[x->row_keys[i]] = x->rows[i];
    for (int i = 0; i < x->alert_count; i++)
        x->firing[x->alerts[i].key] = x->alerts[i].firing;
    x->settled++;
    x->shard = commitment_advance(&x->shard, x->token, alerts);
    if (x->tx == TX_DAY)
        x->day = x->tx_day;
    for (int i = 0; i < x->count && x->tx == TX_ITEMS; i++) {
        const struct item *item = &x->items[x->from + i];

        x->places[item->stream] = (struct commitment_place){item->epoch, item->seq + 1};
    }
    if (x->tx == TX_ACCEPT) {
        x->places[x->stream] = x->accept_to;
        order_reset(w, d, x->stream);
    }
    x->unresolved = false;
    x->row_count = x->alert_count = 0;
    check_memory(w, d);
    if (alerts)
        publisher_turn(w, d, false);
}

static void abandon(struct writer *x)
{
    if (x->known)
        roll_back_ledger(x);
    x->undo_count = 0;
    x->unresolved = false;
    x->row_count = x->alert_count = 0;
}

static void disconnect(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    if (x->session >= 0)
        database_leave(w, x->session, 0);
    x->session = -1;
    x->locked = x->session_read = false;
}

/* ---- the session ---- */

static void finish_tx(struct world *w, int d, int err);

static void make_ready(struct world *w, int d, uint64_t delay_us)
{
    const struct writer *x = writer_of(w, d);

    if (!database_lives(w, x->session))
        disconnect(w, d);
    go(w, d, x->session < 0 ? PHASE_CONNECT : !x->locked ? PHASE_LOCK : PHASE_SHARD, delay_us);
}

static bool is_ready(const struct world *w, const struct writer *x)
{
    return database_lives(w, x->session) && x->session_read && x->known;
}

static void back_off(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    uint64_t us = x->backoff_us ? x->backoff_us : BACK_OFF_US;

    x->backoff_us = us * 2 > BACK_OFF_MAX ? BACK_OFF_MAX : us * 2;
    us = us / 2 + below(w, us / 2);
    if (is_ready(w, x))
        go(w, d, x->tx == TX_NONE ? PHASE_TURN : PHASE_BEGIN, us);
    else
        make_ready(w, d, us);
}

/* What a statement may meet before it is done: 0, or transient. */
static int meet_faults(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    if (database_lives(w, x->session) && strikes(w, FAULT_CONNECTION))
        database_leave(w, x->session, below(w, 3) ? 0 : 1 + below(w, 2000000));
    if (!database_lives(w, x->session)) {
        x->session = -1;
        x->locked = x->session_read = false;
        return ERR_DB_RETRY;
    }
    return strikes(w, FAULT_STATEMENT) ? ERR_DB_RETRY : 0;
}

static void connect(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    x->session = database_connect(w, d);
    if (x->session < 0)
        back_off(w, d);
    else
        go_on(w, d, PHASE_LOCK);
}

static void lock(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    if (meet_faults(w, d)) {
        back_off(w, d);
        return;
    }
    x->locked = database_lock(w, x->session);
    if (w->database.now.shard.batch > x->seen)
        x->seen = w->database.now.shard.batch; /* who waits looks on */
    if (x->locked)
        go_on(w, d, PHASE_SHARD);
    else
        go(w, d, PHASE_LOCK, LOCK_US);
}

/* A session that could not be read to its end: what it did say of the open transaction is known all the same. */
static void back_off_known(struct world *w, int d)
{
    const struct writer *x = writer_of(w, d);

    if (x->tx != TX_NONE &&
        commitment_turn_of(x->tx_settled, x->settled, x->tx_rebuilds, x->rebuilds) == COMMITMENT_DONE)
        finish_tx(w, d, 0);
    else
        back_off(w, d);
}

static void read_shard(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    const struct database *db = &w->database;
    const struct commitment_memory memory = {.believed = x->shard,
                                             .known = x->known,
                                             .unresolved = x->unresolved,
                                             .token = x->token,
                                             .same_server =
                                                 true}; /* the same database, whatever the timeline */
    enum commitment_belief belief;

    if (meet_faults(w, d)) {
        back_off(w, d);
        return;
    }
    belief = commitment_believe(&memory, &db->now.shard);
    w->unknown += x->unresolved;
    SAY(w, "daemon %d: the database is at batch %" PRIu64 ": %s", d, db->now.shard.batch,
        belief == COMMITMENT_COMMITTED     ? "committed"
        : belief == COMMITMENT_ROLLED_BACK ? "rolled back"
                                           : "rebuild");
    if (belief == COMMITMENT_COMMITTED)
        settle(w, d);
    else if (x->unresolved)
        abandon(x);
    if (belief == COMMITMENT_REBUILT)
        x->known = false;
    if (database_settle_epoch(w, x->session, commitment_is_set_back(x->seen, &x->shard, &db->now.shard))) {
        back_off_known(w, d);
        return;
    }
    x->shard = db->now.shard;
    x->seen = db->now.shard.batch;
    x->day = db->now.day;
    go_on(w, d, PHASE_STREAMS);
}

/* Ready: go on with the transaction that was open, or with the next turn. */
static void resume(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    x->session_read = true;
    x->backoff_us = 0;
    if (x->tx == TX_NONE) {
        go(w, d, PHASE_TURN, 1);
        return;
    }
    switch (commitment_turn_of(x->tx_settled, x->settled, x->tx_rebuilds, x->rebuilds)) {
    case COMMITMENT_DONE:
        finish_tx(w, d, 0);
        break;
    case COMMITMENT_LOOK_AGAIN:
        finish_tx(w, d, ERR_FENCE);
        break;
    case COMMITMENT_TRY:
        go_on(w, d, PHASE_BEGIN);
        break;
    }
}

static void read_streams(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    const struct database *db = &w->database;

    if (meet_faults(w, d)) {
        back_off_known(w, d);
        return;
    }
    for (int s = 0; s < STREAMS; s++) {
        struct commitment_place before = x->places[s];

        x->places[s] = db->now.places[s];
        x->paused[s] = w->daemons[d].receivers[s].paused = db->now.paused[s];
        if (!x->placed || before.epoch != x->places[s].epoch || before.next != x->places[s].next)
            order_reset(w, d, s);
    }
    x->placed = true;
    if (x->known)
        resume(w, d);
    else
        go(w, d, PHASE_REBUILD, 1000 + below(w, 20000));
}

static void rebuild(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    const struct database *db = &w->database;

    if (meet_faults(w, d)) {
        back_off(w, d);
        return;
    }
    if (commitment_snapshot(&x->shard, db->now.shard.batch)) {
        w->fences++;
        x->locked = false;
        make_ready(w, d, 1);
        return;
    }
    memcpy(x->ledger, db->now.truth, sizeof x->ledger);
    memcpy(x->shown, db->now.rows, sizeof x->shown);
    memcpy(x->firing, db->now.firing, sizeof x->firing);
    x->undo_count = 0;
    x->known = true;
    x->rebuilds++;
    w->rebuilds++;
    resume(w, d);
}

/* ---- one transaction ---- */

static void begin_tx(struct world *w, int d, enum tx_kind kind)
{
    struct writer *x = writer_of(w, d);

    x->tx = kind;
    x->tx_settled = x->settled;
    x->tx_rebuilds = x->rebuilds;
    if (is_ready(w, x))
        go_on(w, d, PHASE_BEGIN);
    else
        make_ready(w, d, 1);
}

static void end_attempt(struct world *w, int d, int err)
{
    struct writer *x = writer_of(w, d);

    switch (commitment_overlay_after(err)) {
    case COMMITMENT_FOLD:
        settle(w, d);
        break;
    case COMMITMENT_HOLD:
        x->unresolved = true;
        break;
    case COMMITMENT_DROP:
        if (database_lives(w, x->session))
            database_rollback(w, x->session);
        abandon(x);
        break;
    }
    if (!err) {
        finish_tx(w, d, 0);
        return;
    }
    SAY(w, "daemon %d: attempt failed: %s", d,
        err == ERR_DB_DATA      ? "data"
        : err == ERR_FENCE      ? "fence"
        : err == ERR_DB_UNKNOWN ? "no answer"
                                : "transient");
    switch (commitment_remedy_after(err)) {
    case COMMITMENT_BISECT:
        finish_tx(w, d, err);
        break;
    case COMMITMENT_REBUILD:
        w->fences++;
        x->known = x->locked = false;
        make_ready(w, d, 1);
        break;
    case COMMITMENT_RECONNECT:
        disconnect(w, d);
        make_ready(w, d, 1);
        break;
    case COMMITMENT_BACK_OFF:
        back_off(w, d);
        break;
    case COMMITMENT_REFUSE:
        fail(w, "the writer stopped for good");
        break;
    }
}

static void begin(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    x->token = rnd(w) >> 1;
    x->advanced = 0;
    x->undo_count = 0;
    x->row_count = x->alert_count = 0;
    if (meet_faults(w, d)) {
        end_attempt(w, d, ERR_DB_RETRY);
        return;
    }
    database_begin(w, x->session);
    go_on(w, d, PHASE_ADVANCE);
}

static void wait_for_row(struct world *w, int d)
{
    go(w, d, writer_of(w, d)->phase, 2000 + below(w, 8000));
}

/* The streams' positions first: they fence the logs, whose keys are those positions. */
static void advance(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    int err = meet_faults(w, d);

    for (; !err && x->tx == TX_ITEMS && x->advanced < STREAMS; x->advanced++) {
        const struct item *first = NULL, *last = NULL;
        struct commitment_place to;
        uint64_t rows;

        for (int i = x->from; i < x->from + x->count; i++) {
            if (x->items[i].stream != x->advanced)
                continue;
            first = first ? first : &x->items[i];
            last = &x->items[i];
        }
        if (!last)
            continue;
        to = (struct commitment_place){last->epoch, last->seq + 1};
        err = commitment_follow(&x->places[x->advanced], first->epoch, first->seq);
        if (!err)
            err = database_advance(w, x->session, x->advanced, &x->places[x->advanced], &to, &rows);
        if (err == WAIT) {
            wait_for_row(w, d);
            return;
        }
        if (!err)
            err = commitment_fence(rows);
    }
    if (err)
        end_attempt(w, d, err);
    else
        go_on(w, d, PHASE_LOGS);
}

static void write_logs(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    int err = meet_faults(w, d);

    for (int i = 0; i < x->count && !err && x->tx == TX_ITEMS; i++)
        if (!x->items[x->from + i].dead)
            apply_event(x, &x->items[x->from + i]);
    if (!err && x->tx == TX_ITEMS)
        err = database_log(w, x->session, &x->items[x->from], x->count);
    if (!err)
        compute_changes(w, d);
    if (err)
        end_attempt(w, d, err);
    else
        go_on(w, d, PHASE_FENCE);
}

static void fence(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    struct commitment_shard to = commitment_advance(&x->shard, x->token, (uint64_t)x->alert_count);
    int err = meet_faults(w, d);
    uint64_t rows;

    if (!err) {
        err = database_fence(w, x->session, &x->shard, &to, &rows);
        if (err == WAIT) {
            wait_for_row(w, d);
            return;
        }
        if (!err)
            err = commitment_fence(rows);
    }
    if (err)
        end_attempt(w, d, err);
    else
        go_on(w, d, PHASE_CHANGES);
}

static int write_accept(struct world *w, struct writer *x, struct session *s)
{
    uint64_t rows;
    int err = database_advance(w, x->session, x->stream, &x->places[x->stream], &x->accept_to, &rows);

    if (err)
        return err;
    s->accepts[x->stream] = rows == 1;
    return commitment_fence(rows);
}

static void write_changes(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    int err = meet_faults(w, d);
    struct session *s = x->session >= 0 ? &w->database.sessions[x->session % SESSIONS] : NULL;

    if (!err && x->tx == TX_ACCEPT)
        err = write_accept(w, x, s);
    if (err == WAIT) {
        wait_for_row(w, d);
        return;
    }
    if (err) {
        end_attempt(w, d, err);
        return;
    }
    s->day_moves = x->tx == TX_DAY;
    s->day = x->tx_day;
    if (x->tx == TX_PAUSE) {
        s->pauses[x->stream] = true;
        s->pause_to = x->pause_to;
    }
    s->row_count = x->row_count;
    memcpy(s->row_keys, x->row_keys, (size_t)x->row_count);
    memcpy(s->rows, x->rows, (size_t)x->row_count * sizeof *x->rows);
    s->alert_count = x->alert_count;
    memcpy(s->alerts, x->alerts, (size_t)x->alert_count * sizeof *x->alerts);
    go_on(w, d, PHASE_COMMIT);
}

static void commit(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    if (!database_lives(w, x->session)) {
        end_attempt(w, d, ERR_DB_UNKNOWN); /* sent, as far as the client knows */
        return;
    }
    x->phase = PHASE_ANSWER; /* woken when it is decided, or the connection ends */
    x->tick++;
    database_commit(w, x->session);
}

static void take_answer(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    if (!database_lives(w, x->session))
        end_attempt(w, d, ERR_DB_UNKNOWN);
    else if (w->database.sessions[x->session % SESSIONS].answered)
        end_attempt(w, d, 0);
}

/* ---- what a transaction was for ---- */

static void push_segment(struct writer *x, int from, int count)
{
    assert(x->segment_count < 16);
    x->segments[x->segment_count][0] = from;
    x->segments[x->segment_count++][1] = count;
}

static void next_segment(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    x->tx = TX_NONE;
    if (x->segment_count == 0) {
        w->daemons[d].pending_count = 0;
        go(w, d, PHASE_TURN, 1);
        return;
    }
    x->segment_count--;
    x->from = x->segments[x->segment_count][0];
    x->count = x->segments[x->segment_count][1];
    begin_tx(w, d, TX_ITEMS);
}

/* An event that PostgreSQL refuses is found by halving, the rest goes on. */
static void bisect(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    if (x->count > 1) {
        push_segment(x, x->from + x->count / 2, x->count - x->count / 2);
        push_segment(x, x->from, x->count / 2);
    } else if (x->items[x->from].dead) {
        fail(w, "the database refuses a dead letter");
        return;
    } else {
        x->items[x->from].dead = true;
        push_segment(x, x->from, 1);
    }
    next_segment(w, d);
}

static void finish_tx(struct world *w, int d, int err)
{
    struct writer *x = writer_of(w, d);
    enum tx_kind kind = x->tx;

    x->tx = TX_NONE;
    if (kind == TX_ITEMS && err == ERR_FENCE) { /* after a rebuild what waits is looked at again */
        x->segment_count = 0;
        go(w, d, PHASE_TURN, 1);
    } else if (kind == TX_ITEMS && err == ERR_DB_DATA) {
        bisect(w, d);
    } else if (kind == TX_ITEMS) {
        next_segment(w, d);
    } else {
        if (kind == TX_PAUSE && !err) {
            x->paused[x->stream] = w->daemons[d].receivers[x->stream].paused = x->pause_to;
            if (!x->pause_to)
                order_reset(w, d, x->stream);
        }
        go(w, d, PHASE_TURN, 1);
    }
}

/* ---- the turn ---- */

static bool take_order(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);
    enum tx_kind kind = x->order;

    x->order = TX_NONE;
    if (kind == TX_NONE)
        return false;
    x->stream = x->order_stream;
    if (kind == TX_PAUSE) {
        x->pause_to = x->order_flag;
        if (x->paused[x->stream] == x->pause_to &&
            (x->pause_to || w->daemons[d].receivers[x->stream].shown.mode != POSITION_STOPPED))
            return false;
    } else if (commitment_accept(&x->places[x->stream], &w->daemons[d].receivers[x->stream].shown,
                                 x->order_flag, &x->accept_to) != COMMITMENT_ACCEPTED) {
        return false;
    }
    begin_tx(w, d, kind);
    return true;
}

static bool streams_have_news(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    if (w->now_us - x->operational_us < OPERATIONAL_US)
        return false;
    x->operational_us = w->now_us;
    for (int s = 0; s < STREAMS; s++)
        if (x->firing[KEYS + s] != (w->daemons[d].receivers[s].shown.mode == POSITION_STOPPED))
            return true;
    return false;
}

static int take_batch(struct world *w, int d, const struct batch *b, struct commitment_place *places,
                      int count)
{
    struct writer *x = writer_of(w, d);
    const struct commitment_batch received = {b->epoch, b->first_seq, b->count, b->generation};
    struct commitment_taken taken =
        commitment_take(&places[b->stream], &received, w->daemons[d].receivers[b->stream].ordered, false);

    if (taken.fit == COMMITMENT_RESET)
        order_reset(w, d, b->stream);
    if (taken.fit != COMMITMENT_TAKE)
        return 0;
    for (uint64_t i = taken.skip; i < b->count; i++) {
        struct item *item = &x->items[count++];

        *item = (struct item){.stream = b->stream,
                              .line = b->lines[i],
                              .epoch = b->epoch,
                              .seq = b->first_seq + i,
                              .dead = line_is_malformed(b->stream, b->epoch, b->lines[i])};
    }
    return (int)(b->count - taken.skip);
}

static bool take_pending(struct world *w, int d)
{
    struct daemon *m = &w->daemons[d];
    struct writer *x = &m->writer;
    struct commitment_place places[STREAMS];
    int count = 0;

    if (m->pending_count == 0) {
        memcpy(m->pending, m->inbox, (size_t)m->inbox_count * sizeof *m->inbox);
        m->pending_count = m->inbox_count;
        m->inbox_count = 0;
    }
    memcpy(places, x->places, sizeof places);
    for (int i = 0; i < m->pending_count; i++)
        count += take_batch(w, d, &m->pending[i], places, count);
    if (count == 0) {
        m->pending_count = 0;
        return false;
    }
    push_segment(x, 0, count);
    next_segment(w, d);
    return true;
}

static void turn(struct world *w, int d)
{
    struct writer *x = writer_of(w, d);

    if (!is_ready(w, x)) {
        make_ready(w, d, 1);
    } else if (x->day < wall_day(w)) {
        x->tx_day = x->day + 1;
        begin_tx(w, d, TX_DAY);
    } else if (take_order(w, d)) {
        return;
    } else if (streams_have_news(w, d)) {
        begin_tx(w, d, TX_ALERTS);
    } else if (!take_pending(w, d)) {
        go(w, d, PHASE_TURN, IDLE_US);
    }
}

void writer_step(struct world *w, int d)
{
    static void (*const steps[])(struct world *,
                                 int) = {[PHASE_CONNECT] = connect,       [PHASE_LOCK] = lock,
                                         [PHASE_SHARD] = read_shard,      [PHASE_STREAMS] = read_streams,
                                         [PHASE_REBUILD] = rebuild,       [PHASE_TURN] = turn,
                                         [PHASE_BEGIN] = begin,           [PHASE_ADVANCE] = advance,
                                         [PHASE_LOGS] = write_logs,       [PHASE_FENCE] = fence,
                                         [PHASE_CHANGES] = write_changes, [PHASE_COMMIT] = commit,
                                         [PHASE_ANSWER] = take_answer};

    steps[writer_of(w, d)->phase](w, d);
}
