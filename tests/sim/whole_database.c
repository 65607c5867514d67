/* SPDX-License-Identifier: MIT
 *
 * PostgreSQL as the writer meets it: sessions, an advisory lock, row locks, transactions that become visible at once or
 * not at all, and a COMMIT whose outcome may stay open after its client has gone. A standby has all that was answered.
 * Each transaction that becomes visible is checked against what the log says: this is where most invariants stand. */
#include "tests/sim/whole.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "workers/epoch.h"

#define DEADLOCK_US 1000000

void database_init(struct world *w)
{
    struct database *db = &w->database;

    db->up = true;
    db->timeline = 1;
    db->lock_holder = db->shard_lock = -1;
    for (int s = 0; s < STREAMS; s++) {
        db->stream_lock[s] = -1;
        db->now.places[s].next = 1;
    }
    db->now.day = wall_day(w);
    db->synchronous = below(w, 3) != 0;
    db->now.alert_epoch = EPOCH_FIRST;
    db->now.timeline = db->timeline;
    db->standby = db->now;
}

static void clear_staged(struct session *x)
{
    memset(x->moves, 0, sizeof x->moves);
    memset(x->accepts, 0, sizeof x->accepts);
    memset(x->pauses, 0, sizeof x->pauses);
    x->shard_moves = x->day_moves = false;
    x->item_count = x->row_count = x->alert_count = 0;
}

static void release_rows(struct database *db, int session)
{
    if (db->shard_lock == session)
        db->shard_lock = -1;
    for (int s = 0; s < STREAMS; s++)
        if (db->stream_lock[s] == session)
            db->stream_lock[s] = -1;
}

/* A handle names a session for ever: its place, and which one in that place. */
static struct session *session_of(struct world *w, int session)
{
    return &w->database.sessions[session % SESSIONS];
}

static void end_session(struct world *w, int session)
{
    struct database *db = &w->database;

    release_rows(db, session);
    if (db->lock_holder == session)
        db->lock_holder = -1;
    session_of(w, session)->state = SESSION_FREE;
}

int database_connect(struct world *w, int daemon)
{
    struct database *db = &w->database;

    for (int i = 0; db->up && i < SESSIONS; i++) {
        struct session *x = &db->sessions[i];

        if (x->state != SESSION_FREE)
            continue;
        x->state = SESSION_IDLE;
        x->client_gone = x->answered = x->committed = false;
        x->handle = (x->handle / SESSIONS + 1) * SESSIONS + i;
        x->daemon = (uint8_t)daemon;
        x->waits_for = 0;
        clear_staged(x);
        return x->handle;
    }
    return -1;
}

/* A backend in the middle of its COMMIT goes on, and keeps its locks until that is decided; so does one whose client
 * went without a word, until the server notices. */
void database_leave(struct world *w, int session, uint64_t linger_us)
{
    struct session *x = session_of(w, session);

    if (x->handle != session || x->state == SESSION_FREE)
        return;
    x->client_gone = true;
    if (x->state == SESSION_COMMITTING)
        return;
    if (linger_us)
        plan(w, ACT_SETTLE, NOBODY, (uint32_t)session, linger_us);
    else
        end_session(w, session);
}

bool database_lives(const struct world *w, int session)
{
    const struct session *x = &w->database.sessions[session >= 0 ? session % SESSIONS : 0];

    return session >= 0 && w->database.up && x->handle == session && x->state != SESSION_FREE &&
           !x->client_gone;
}

bool database_lock(struct world *w, int session)
{
    struct database *db = &w->database;

    if (db->lock_holder < 0)
        db->lock_holder = session;
    return db->lock_holder == session;
}

void database_begin(struct world *w, int session)
{
    struct session *x = session_of(w, session);

    clear_staged(x);
    x->state = SESSION_OPEN;
}

static bool same_place(const struct commitment_place *a, const struct commitment_place *b)
{
    return a->epoch == b->epoch && a->next == b->next;
}

/* A row another transaction has moved is waited for; of two that wait for each other, one is told so after a second. */
static int take_row(struct world *w, int session, int holder)
{
    struct session *x = session_of(w, session);

    if (holder < 0 || holder == session) {
        x->waits_for = 0;
        return 0;
    }
    if (x->waits_for != holder)
        x->waits_since_us = w->now_us;
    x->waits_for = holder;
    if (w->now_us - x->waits_since_us < DEADLOCK_US || session_of(w, holder)->waits_for != session)
        return WAIT;
    x->waits_for = 0;
    return ERR_DB_RETRY;
}

/* UPDATE ... WHERE epoch = and next_seq =: waits for the row, then looks at it again. */
int database_advance(struct world *w, int session, int stream, const struct commitment_place *believed,
                     const struct commitment_place *to, uint64_t *rows)
{
    struct database *db = &w->database;
    struct session *x = session_of(w, session);
    int err = take_row(w, session, db->stream_lock[stream]);

    if (err)
        return err;
    *rows = same_place(&db->now.places[stream], believed);
    if (*rows == 0)
        return 0;
    db->stream_lock[stream] = session;
    x->moves[stream] = true;
    x->places[stream] = *to;
    return 0;
}

int database_fence(struct world *w, int session, const struct commitment_shard *believed,
                   const struct commitment_shard *to, uint64_t *rows)
{
    struct database *db = &w->database;
    struct session *x = session_of(w, session);
    int err = take_row(w, session, db->shard_lock);

    if (err)
        return err;
    *rows = db->now.shard.batch == believed->batch && db->now.shard.alert_seq == believed->alert_seq;
    if (*rows == 0)
        return 0;
    db->shard_lock = session;
    x->shard_moves = true;
    x->shard = (struct commitment_shard){db->now.shard.batch + 1, to->token, to->alert_seq};
    return 0;
}

/* The logs are keyed by position; poison is what PostgreSQL refuses. */
int database_log(struct world *w, int session, const struct item *items, int count)
{
    struct session *x = session_of(w, session);

    for (int i = 0; i < count; i++) {
        const struct commitment_place *at = &w->database.now.places[items[i].stream];

        if (!items[i].dead && line_is_poison(items[i].stream, items[i].epoch, items[i].line))
            return ERR_DB_DATA;
        if (items[i].epoch == at->epoch && items[i].seq < at->next)
            return ERR_DB_DATA; /* duplicate key */
        x->items[x->item_count++] = items[i];
    }
    return 0;
}

void database_rollback(struct world *w, int session)
{
    struct session *x = session_of(w, session);

    if (x->state != SESSION_OPEN && x->state != SESSION_FAILED)
        return;
    release_rows(&w->database, session);
    clear_staged(x);
    x->state = SESSION_IDLE;
}

/* ---- what must hold of each transaction ---- */

/* An accept may begin another journal, or leave out what is no longer kept; nothing else moves a stream by itself. */
static void check_accept(struct world *w, int s, const struct commitment_place *to)
{
    const struct commitment_place *at = &w->database.now.places[s];
    const struct feed *f = &w->feeds[s];
    bool sound;

    if (at->epoch != 0 && to->epoch != at->epoch)
        sound = to->epoch > at->epoch && to->next == 1;
    else
        sound =
            to->next == at->next || (to->next > at->next && (f->epoch != to->epoch || to->next <= f->first));
    if (!sound)
        fail(w, "stream %d: accepted from %" PRIu64 "/%" PRIu64 " to %" PRIu64 "/%" PRIu64, s, at->epoch,
             at->next, to->epoch, to->next);
    w->accepts++;
}

static void check_item(struct world *w, const struct item *i, struct commitment_place *place)
{
    bool poison =
        line_is_poison(i->stream, i->epoch, i->line) || line_is_malformed(i->stream, i->epoch, i->line);
    struct key_row *row = &w->database.now.truth[line_key(i->stream, i->epoch, i->line)];

    if (place->epoch == 0 && place->next == 1)
        place->epoch = i->epoch;
    if (i->epoch != place->epoch || i->seq != place->next)
        fail(w, "stream %d: event %" PRIu64 "/%" PRIu64 " applied at %" PRIu64 "/%" PRIu64, i->stream,
             i->epoch, i->seq, place->epoch, place->next);
    if (i->line != i->seq)
        fail(w, "stream %d: line %" PRIu32 " applied as event %" PRIu64, i->stream, i->line, i->seq);
    if (i->dead != poison)
        fail(w, "stream %d: event %" PRIu64 " %s", i->stream, i->seq,
             i->dead ? "dead-lettered without fault" : "applied though it is wrong");
    place->next = i->seq + 1;
    w->committed_events++;
    if (i->dead) {
        w->dead_events++;
        return;
    }
    row->last = line_value(i->stream, i->epoch, i->line);
    row->times++;
}

static void check_positions(struct world *w, const struct session *x)
{
    struct database *db = &w->database;
    struct commitment_place places[STREAMS];

    memcpy(places, db->now.places, sizeof places);
    for (int s = 0; s < STREAMS; s++)
        if (x->accepts[s])
            check_accept(w, s, &x->places[s]);
    for (int i = 0; i < x->item_count; i++)
        check_item(w, &x->items[i], &places[x->items[i].stream]);
    for (int s = 0; s < STREAMS; s++) {
        if (x->moves[s] && !x->accepts[s] && !same_place(&places[s], &x->places[s]))
            fail(w, "stream %d: progress %" PRIu64 "/%" PRIu64 ", log ends at %" PRIu64 "/%" PRIu64, s,
                 x->places[s].epoch, x->places[s].next, places[s].epoch, places[s].next);
        if (!x->moves[s] && !same_place(&places[s], &db->now.places[s]))
            fail(w, "stream %d: events without progress", s);
        if (x->moves[s])
            db->now.places[s] = x->places[s];
    }
}

static void check_rows(struct world *w, const struct session *x)
{
    struct database *db = &w->database;
    bool looked[KEYS] = {false};

    for (int i = 0; i < x->row_count; i++)
        db->now.rows[x->row_keys[i]] = x->rows[i];
    for (int i = 0; i < x->item_count; i++)
        looked[line_key(x->items[i].stream, x->items[i].epoch, x->items[i].line)] = true;
    for (int i = 0; i < x->row_count; i++)
        looked[x->row_keys[i]] = true;
    for (int k = 0; k < KEYS; k++) {
        if (looked[k] && (db->now.rows[k].last != db->now.truth[k].last ||
                          db->now.rows[k].times != db->now.truth[k].times))
            fail(w,
                 "key %d: stored %" PRIu32 " after %" PRIu32 " events, the log says %" PRIu32
                 " after %" PRIu32,
                 k, db->now.rows[k].last, db->now.rows[k].times, db->now.truth[k].last,
                 db->now.truth[k].times);
        if ((looked[k] || x->day_moves) && db->now.firing[k] != key_fires(&db->now.truth[k], db->now.day))
            fail(w, "key %d: the alert %s, but it should%s", k, db->now.firing[k] ? "fires" : "does not fire",
                 db->now.firing[k] ? " not" : "");
    }
}

static void check_alerts(struct world *w, const struct session *x)
{
    struct database *db = &w->database;
    uint64_t seq = db->now.shard.alert_seq;

    for (int i = 0; i < x->alert_count; i++) {
        const struct alert_row *a = &x->alerts[i];

        if (a->seq != ++seq)
            fail(w, "alert %" PRIu64 " where %" PRIu64 " was due: a hole in the alert log", a->seq, seq);
        if (a->firing == db->now.firing[a->key])
            fail(w, "alert %" PRIu64 " changes nothing", a->seq);
        if (seq >= ALERTS_MAX) {
            fail(w, "too many alerts for the model");
            return;
        }
        db->now.firing[a->key] = a->firing;
        w->alerts[db->now.alert_epoch - EPOCH_FIRST][seq] =
            (uint32_t)(x->shard.token << 8) | (uint32_t)a->key << 1 | a->firing;
        w->alert_ends[db->now.alert_epoch - EPOCH_FIRST] = seq;
    }
    if (!x->shard_moves || x->shard.alert_seq != seq)
        fail(w, "alert_seq is %" PRIu64 ", the log ends at %" PRIu64, x->shard.alert_seq, seq);
}

static void make_visible(struct world *w, const struct session *x)
{
    struct database *db = &w->database;

    SAY(w, "  commit of daemon %d: batch %" PRIu64 ", %d events, %d alerts", x->daemon, x->shard.batch,
        x->item_count, x->alert_count);
    if (!x->shard_moves || x->shard.batch != db->now.shard.batch + 1)
        fail(w, "daemon %d committed without a batch number of its own", x->daemon);
    if (x->day_moves && x->day != db->now.day + 1)
        fail(w, "clock.today went from %d to %d", db->now.day, x->day);
    if (x->day_moves)
        db->now.day = x->day;
    check_positions(w, x);
    check_alerts(w, x);
    check_rows(w, x);
    db->now.shard = x->shard;
    for (int s = 0; s < STREAMS; s++)
        if (x->pauses[s])
            db->now.paused[s] = x->pause_to;
    if (db->now.timeline != db->timeline)
        fail(w, "daemon %d wrote on timeline %" PRIu32 " before it looked at the alert log's epoch",
             x->daemon, db->timeline);
    w->commits++;
    if (below(w, 4) == 0)
        db->standby = db->now; /* one that lags, by some commits */
    if (w->last_writer != x->daemon) {
        w->takeovers++;
        w->quiet_takeovers += w->quiet;
    }
    w->last_writer = x->daemon;
}

/* ---- COMMIT ---- */

void database_commit(struct world *w, int session)
{
    struct session *x = session_of(w, session);
    uint64_t delay_us = 100 + below(w, 1500);

    x->state = SESSION_COMMITTING;
    x->answered = false;
    x->will_commit = true;
    if (strikes(w, FAULT_COMMIT_LOST)) {
        x->will_commit = false;
        x->client_gone = true;
    } else if (strikes(w, FAULT_COMMIT_DONE)) {
        x->client_gone = true;
    } else if (strikes(w, FAULT_COMMIT_LATER)) {
        x->client_gone = true;
        x->will_commit = below(w, 4) != 0;
        delay_us += below(w, 3000000);
    }
    if (x->client_gone)
        writer_wake(w, x->daemon, 1 + below(w, 100000));
    plan(w, ACT_SETTLE, NOBODY, (uint32_t)session, delay_us);
}

void database_settle(struct world *w, int session)
{
    struct session *x = session_of(w, session);

    if (x->handle != session || x->state == SESSION_FREE)
        return; /* a crash decided it */
    if (x->state != SESSION_COMMITTING) {
        if (x->client_gone)
            end_session(w, session);
        return;
    }
    x->committed = x->will_commit;
    if (x->committed)
        make_visible(w, x);
    release_rows(&w->database, session);
    clear_staged(x);
    x->answered = true;
    x->state = SESSION_IDLE;
    if (x->client_gone)
        end_session(w, session);
    else
        writer_wake(w, x->daemon, 1 + below(w, 200));
}

/* All sessions end; what was being committed is in or not. A standby takes over under another timeline. */
void database_crash(struct world *w, enum fault fault)
{
    struct database *db = &w->database;

    for (int i = 0; i < SESSIONS; i++) {
        struct session *x = &db->sessions[i];

        if (x->state == SESSION_COMMITTING && x->will_commit && below(w, 2))
            make_visible(w, x);
        if (x->state != SESSION_FREE)
            end_session(w, x->handle);
    }
    for (int d = 0; d < DAEMONS; d++)
        writer_wake(w, d, 1 + below(w, 20000));
    if (fault == FAULT_LAGGING) {
        SAY(w, "batch %" PRIu64 " is lost back to %" PRIu64, db->now.shard.batch, db->standby.shard.batch);
        db->now = db->standby;
    }
    db->up = false;
    db->timeline += fault != FAULT_DATABASE_CRASH;
    plan(w, ACT_DATABASE_UP, NOBODY, 0, 1000 + below(w, fault == FAULT_DATABASE_CRASH ? 3000000 : 500000));
}

/* The product's rules (workers/epoch.c) say whether the alert log needs a new epoch; a transaction of its own. */
int database_settle_epoch(struct world *w, int session, bool set_back)
{
    struct database *db = &w->database;
    char stored[32], now[32];
    const struct epoch_facts facts = {
        .stored = stored, .now = now, .synchronous = db->synchronous, .set_back = set_back};
    uint64_t e = db->now.alert_epoch - EPOCH_FIRST, next;

    if (!set_back && db->now.timeline == db->timeline)
        return 0;
    if (db->shard_lock >= 0 && db->shard_lock != session)
        return ERR_DB_RETRY;
    snprintf(stored, sizeof stored, "1/%u/1", db->now.timeline);
    snprintf(now, sizeof now, "1/%u/1", db->timeline);
    db->now.timeline = db->timeline;
    if (!epoch_renewal(&facts))
        return 0;
    next = w->renewals +
           1; /* from the clock in the product: also when a renewal is lost, its number is not used again */
    if (next == EPOCHS_MAX) {
        fail(w, "too many epochs for the model");
        return 0;
    }
    db->now.alert_epoch = EPOCH_FIRST + next;
    w->renewals = next;
    memcpy(w->alerts[next], w->alerts[e], (db->now.shard.alert_seq + 1) * sizeof **w->alerts);
    w->alert_ends[next] = db->now.shard.alert_seq;
    SAY(w, "the alert log goes on after %" PRIu64 " under epoch %" PRIu64 ": %s", db->now.shard.alert_seq,
        db->now.alert_epoch, epoch_renewal(&facts));
    return 0;
}
