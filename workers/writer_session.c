/* SPDX-License-Identifier: MIT
 *
 * The writer's session: connecting, the schema's version, the shard's lock, and what to believe of the ledger
 * after a connection was lost. The ledger is rebuilt only when the database is not where it was left: another
 * batch or token stands there (another daemon, a restored backup). Another server with the same ones is a standby
 * that was promoted: batches are a chain, and the last one's random token proves all of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/failpoint.h"
#include "daemon/log.h"
#include "daemon/migrate.h"
#include "workers/commitment.h"
#include "workers/epoch.h"
#include "workers/writer_private.h"

#define BACK_OFF_FIRST_MS 100
#define BACK_OFF_LAST_MS  5000
#define RECONNECT_LAST_MS 800 /* a server that was promoted meanwhile is found within a second */

void writer_disconnect(struct writer *w)
{
    db_close(&w->db);
    w->locked = w->session_read = false;
}

/* Exponential with jitter, in short naps so that a stop is obeyed at once and the watchdog sees orderly
 * waiting. */
void writer_back_off(struct writer *w, const char *why)
{
    bool connected = w->db && db_is_connected(w->db) && strcmp(db_error_sqlstate(w->db), DB_READ_ONLY) != 0;
    unsigned last = connected ? BACK_OFF_LAST_MS : RECONNECT_LAST_MS;
    unsigned ms = w->backoff_ms ? w->backoff_ms : BACK_OFF_FIRST_MS;
    uint64_t until;

    writer_say(w, WRITER_BACKING_OFF,
               "%s; trying again until it works, nothing is lost: feeds keep what is not committed", why);
    writer_count(w, &w->status.retries, 1);
    ms = ms > last ? last : ms;
    w->backoff_ms = ms * 2 > last ? last : ms * 2;
    ms = ms / 2 + (unsigned)rand() % (ms / 2 + 1);
    until = clock_monotonic_us() + ms * UINT64_C(1000);
    if (connected)
        db_clear_error(w->db);
    else
        writer_disconnect(w); /* also from a server that is no primary (any more): another one may be */
    while (clock_monotonic_us() < until && !writer_is_stopping(w)) {
        struct timespec nap = {0, 20000000};

        writer_refuse_order(w);
        nanosleep(&nap, NULL);
    }
}

static int refuse(struct writer *w, const char *text)
{
    writer_say(w, WRITER_REFUSED, "%s", text);
    return ERR_DB_CONFIG;
}

/* The last six decide how soon the server lets go of the shard's lock: when our machine is gone (keepalives, or 10 s without
 * an answer), when we died in the middle of a long statement (looked at twice a second), or when we stand still inside a
 * transaction. */
static const char session_settings[] =
    "SET search_path = pg_catalog; SET jit = off; SET enable_bitmapscan = off;"
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3;"
    "SET tcp_user_timeout = 10000; SET client_connection_check_interval = 500;"
    "SET idle_in_transaction_session_timeout = 60000";

static int open_session(struct writer *w)
{
    char text[400];
    int err;

    if (w->db)
        return db_error(w->db);
    writer_say(w, WRITER_CONNECTING, "%s", "");
    w->db = db_open_writer(w->conninfo, "teldagd writer");
    if (!w->db)
        return ERR_NOMEM;
    err = db_error(w->db);
    if (!err)
        err = migrate_check(w->db, text, sizeof(text));
    else
        snprintf(text, sizeof(text), "cannot connect to the database: %s", db_error_text(w->db));
    if (err == ERR_DB_CONFIG)
        return refuse(w, text);
    if (!err)
        err = db_run(w->db, session_settings);
    return err;
}

static void say_holder(struct writer *w, const struct store_holder *holder, int *warned)
{
    if (!holder->stranger) {
        writer_say(w, WRITER_WAITING_LOCK,
                   "another daemon (backend pid %d) writes shard %d; taking over when it ends", holder->pid,
                   w->shard.shard);
        return;
    }
    writer_say(
        w, WRITER_WAITING_LOCK,
        "role \"%s\" (backend pid %d) holds the lock of shard %d and is no daemon: nothing is written; "
        "end it: SELECT pg_terminate_backend(%d), and see docs/sql.md, Roles",
        holder->role, holder->pid, w->shard.shard, holder->pid);
    if (*warned != holder->pid)
        log_warning(
            "writer: role \"%s\" (backend pid %d) keeps this daemon out: it holds the lock of shard %d "
            "and is no daemon",
            holder->role, holder->pid, w->shard.shard);
    *warned = holder->pid;
}

/* A later epoch's numbers begin where whoever renewed it found the log: what was seen before says nothing of it. An older
 * one is that of a restored copy, and must be found to end before what was seen. */
static void see(struct writer *w, uint64_t batch, uint64_t alert_epoch)
{
    if (batch > w->seen || alert_epoch > w->seen_epoch)
        w->seen = batch;
    if (alert_epoch > w->seen_epoch)
        w->seen_epoch = alert_epoch;
}

/* Held by another session: wait, say who, take over when it falls free. The old session of a connection we
 * lost holds it too, until the server has settled that session's last transaction: so after the lock its
 * outcome is final. */
static int take_lock(struct writer *w)
{
    int warned = 0;

    while (!w->locked) {
        struct timespec nap = {0, 200000000};
        struct store_holder holder;
        int got = store_lock(w->db, w->shard.shard, &holder);
        uint64_t seen, epoch;

        if (got < 0)
            return got;
        w->locked = got == 1;
        if (w->locked)
            break;
        seen = store_read_batch(w->db, w->shard.shard, &epoch);
        see(w, seen, epoch);
        say_holder(w, &holder, &warned);
        writer_refuse_order(w);
        if (writer_is_stopping(w))
            return ERR_CLOSED;
        nanosleep(&nap, NULL);
    }
    return 0;
}

void writer_order_reset(struct writer_stream *s)
{
    stream_status_order_reset(s->status, s->at.epoch, s->at.next);
}

static int load_streams(struct writer *w)
{
    int err = 0;

    for (size_t i = 0; i < w->stream_count && !err; i++) {
        struct writer_stream *s = &w->streams[i];
        struct store_stream before = s->at;

        err = store_load_stream(w->db, &w->shard, &s->at, s->best_effort);
        if (err) {
            s->at = before; /* what was read half is not known: its receiver has had no order yet */
            break;
        }
        pthread_mutex_lock(&s->status->mutex);
        s->status->stream_id = s->at.id;
        s->status->paused = s->at.paused;
        s->status->committed_epoch = s->at.epoch;
        s->status->committed_next = s->at.next;
        pthread_mutex_unlock(&s->status->mutex);
        if (before.id != s->at.id || before.epoch != s->at.epoch || before.next != s->at.next)
            writer_order_reset(s); /* the first time, or the database is not where it was left */
    }
    return err;
}

static int count_dead_letters(struct writer *w)
{
    struct db_result *r = db_query(w->db,
                                   "SELECT stream_id, count(*) FROM teldag_data.dead_letter"
                                   " WHERE (recorded_at AT TIME ZONE 'Europe/Brussels')::date = (now() AT "
                                   "TIME ZONE 'Europe/Brussels')::date"
                                   " GROUP BY 1",
                                   0, NULL);

    for (int i = 0; i < db_rows(r); i++)
        for (size_t k = 0; k < w->stream_count; k++)
            if (w->streams[k].at.id == (uint32_t)db_int(r, i, 0))
                w->streams[k].dead_today = (uint64_t)db_int(r, i, 1);
    db_result_free(&r);
    return db_error(w->db);
}

/* The set the stored figures were computed under: ours when the hashes agree or nothing was computed yet. */
static int choose_rules(struct writer *w)
{
    char error[300];

    if (!w->shard.rules_hash[0] || strcmp(w->shard.rules_hash, rules_hash(w->wanted)) == 0) {
        w->in_force = w->wanted;
        return 0;
    }
    if (!w->stored || strcmp(rules_hash(w->stored), w->shard.rules_hash) != 0) {
        rules_free(&w->stored);
        w->stored = store_load_rules(w->db, w->shard.rules_hash, error, sizeof(error));
        if (!w->stored && !db_error(w->db)) {
            /* Of a version with other parameters: nothing can be compared; the wanted set recomputes everything. */
            log_warning("writer: the rules set in force cannot be read by this version (%s): the configured "
                        "one replaces it",
                        error);
            w->in_force = w->wanted;
            return 0;
        }
    }
    w->in_force = w->stored;
    return w->stored ? 0 : db_error(w->db);
}

int writer_build_ledger(struct writer *w, struct ledger **out, uint64_t *events)
{
    const struct db_tick tick = {writer_tick, w};
    struct ledger *ledger = ledger_new();
    int err = ledger ? 0 : ERR_NOMEM;

    *events = 0;
    if (!err)
        err = store_add_streams(w->db, ledger);
    if (!err)
        err = ledger_set_rules(ledger, w->in_force);
    if (!err)
        ledger_set_fixed(ledger, w->fixed);
    if (!err)
        err = store_replay(w->db, &w->shard, ledger, events, &tick);
    if (err)
        ledger_free(&ledger);
    *out = ledger;
    return err;
}

/* Without the lock, or with one that was lost, another daemon may write between what was read and this snapshot. */
static int check_snapshot(struct writer *w)
{
    const struct commitment_shard believed = {w->shard.batch, w->shard.token, w->shard.alert_seq};
    uint64_t epoch, batch = store_read_batch(w->db, w->shard.shard, &epoch);

    return db_error(w->db) ? db_error(w->db) : commitment_snapshot(&believed, batch);
}

static int rebuild(struct writer *w)
{
    uint64_t started = clock_monotonic_us(), events;
    int err;

    writer_say(w, WRITER_REBUILDING, "%s", "reading the logs back");
    FAILPOINT(rebuild, begun);
    ledger_free(&w->ledger);
    results_free(&w->results);
    err = choose_rules(w);
    if (!err)
        err = db_run(w->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (!err)
        err = check_snapshot(w);
    fixed_free(&w->fixed);
    if (!err)
        err = store_load_fixed(w->db, &w->fixed);
    if (!err)
        err = store_retained_before(w->db, &w->retained_before);
    if (!err)
        err = writer_build_ledger(w, &w->ledger, &events);
    FAILPOINT(rebuild, replayed);
    writer_tick(w);
    if (!err && !(w->results = results_new()))
        err = ERR_NOMEM;
    if (!err)
        err = store_load_results(w->db, &w->shard, w->ledger, w->results);
    if (!err)
        err = count_dead_letters(w);
    FAILPOINT(rebuild, loaded);
    writer_tick(w);
    db_rollback(w->db);
    if (err)
        return err;
    w->ledger_valid = w->first_acts_due = true;
    w->generation++;
    FAILPOINT(rebuild, done);
    memset(w->years, 0, sizeof(w->years)); /* perhaps another database */
    pthread_mutex_lock(&w->mutex);
    w->status.rebuilds++;
    w->status.rebuild_seconds = (double)(clock_monotonic_us() - started) / 1e6;
    pthread_mutex_unlock(&w->mutex);
    log_notice("writer: ledger rebuilt from %" PRIu64 " log rows in %.2f s", events,
               (double)(clock_monotonic_us() - started) / 1e6);
    return 0;
}

/* What to believe of what is in memory, and what becomes of an open transaction. */
static enum commitment_belief resolve(struct writer *w, const struct store_shard *now)
{
    const struct commitment_memory memory = {.believed = {w->shard.batch, w->shard.token, w->shard.alert_seq},
                                             .known = w->ledger_valid,
                                             .unresolved = w->open.unresolved,
                                             .token = w->open.token,
                                             .same_server =
                                                 epoch_database_is_same(now->system_id, w->shard.system_id)};
    const struct commitment_shard found = {now->batch, now->token, now->alert_seq};
    enum commitment_belief belief = commitment_believe(&memory, &found);

    if (belief == COMMITMENT_COMMITTED) {
        writer_settle(w);
        log_notice("writer: the COMMIT without answer was done");
    } else if (w->open.unresolved) {
        writer_abandon(w);
        log_notice("writer: the COMMIT without answer was not done: its batch is applied again");
    }
    return belief;
}

/* A server this daemon has left behind came back as a second primary. Its log may be as long as ours or not: nothing of it
 * is to be believed, and nothing may be written there. After a restore a restart makes us forget what we have seen. */
static int refuse_older_server(struct writer *w, const struct store_shard *now)
{
    char text[400];

    if (!epoch_server_is_older(now->system_id, w->shard.system_id))
        return 0;
    snprintf(text, sizeof(text),
             "the server that answers is an old primary (%s; this daemon has written on %s, a later "
             "timeline): nothing is "
             "written to it. Stop that server, or restart teldagd if the database was restored",
             now->system_id, w->shard.system_id);
    return db_refuse(w->db, text);
}

/* Before anything is written under the old epoch. */
static int settle_epoch(struct writer *w, struct store_shard *now)
{
    const char *renewal;
    const struct commitment_shard believed = {w->shard.batch, w->shard.token, w->shard.alert_seq},
                                  found = {now->batch, now->token, now->alert_seq};
    bool set_back = commitment_is_set_back(w->seen, &believed, &found);
    int err = store_settle_epoch(w->db, now, set_back, &renewal);

    if (!err && renewal)
        log_warning("writer: alerts go on after sequence %" PRIu64 " under a new epoch, %" PRIu64
                    " (%s): subscribers stop, and are told",
                    now->alert_seq, now->alert_epoch, renewal);
    return err;
}

int writer_make_ready(struct writer *w)
{
    struct store_shard now = w->shard;
    enum commitment_belief belief;
    int err;

    if (w->db && w->session_read && w->ledger_valid && !db_error(w->db))
        return 0;
    w->session_read = false;
    err = open_session(w);
    if (!err)
        err = take_lock(w);
    if (!err)
        err = store_load_shard(w->db, &now);
    if (err)
        return err;
    err = refuse_older_server(w, &now);
    if (err)
        return err;
    FAILPOINT(writer, before_resolve);
    belief = resolve(w, &now);
    FAILPOINT(writer, after_resolve);
    if (belief == COMMITMENT_REBUILT)
        w->ledger_valid = false;
    err = settle_epoch(w, &now);
    w->shard.latest_epoch = now.latest_epoch; /* given out, perhaps, also when that failed */
    if (err)
        return err;
    if (strcmp(now.system_id, w->shard.system_id) != 0)
        memset(w->years, 0, sizeof(w->years)); /* a partition may have been lost with the server */
    w->shard = now;
    writer_tell_place(w);
    w->seen = now.batch;
    w->seen_epoch = now.alert_epoch;
    err = load_streams(w);
    if (!err && !w->ledger_valid) /* also after rules whose COMMIT was not done: it is counted under them */
        err = rebuild(w);
    if (err) {
        /* A half-read session is not believed: begin again, and then rebuild if that was due. */
        if (err == ERR_DB_DATA || err == ERR_INVALID)
            return refuse(w, db_error(w->db) ? db_error_text(w->db)
                                             : "the logs hold a row that is no event of this version");
        return err;
    }
    FAILPOINT(writer, session_read);
    w->session_read = true;
    w->backoff_ms = 0;
    writer_publish_numbers(w);
    return 0;
}
