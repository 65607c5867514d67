/* SPDX-License-Identifier: MIT
 *
 * One transaction of the writer: fences, logs, what changed, COMMIT; its retries until the outcome is known;
 * and the search for an event that PostgreSQL refuses. Whatever fails, the ledger ends as it was before or as
 * it is in the database: there is no third state. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/clock.h"
#include "daemon/failpoint.h"
#include "daemon/log.h"
#include "workers/commitment.h"
#include "workers/event_render.h"
#include "workers/pseudonym.h"
#include "workers/retention.h"
#include "workers/writer_private.h"

#define COPY_BESIDE_EVENTS                                                                                   \
    1000 /* from here on the COPY gets a thread: below, making one costs more than it saves */

struct writer_tx writer_tx_none(void)
{
    return (struct writer_tx){.today = INT32_MIN, .accept = -1, .pause = -1};
}

static struct writer_stream *stream_of(struct writer *w, uint32_t id)
{
    for (size_t i = 0; i < w->stream_count; i++)
        if (w->streams[i].at.id == id)
            return &w->streams[i];
    return NULL;
}

/* ---- what a transaction does ---- */

static int make_years(struct writer *w, const struct writer_tx *tx)
{
    for (size_t i = 0; i < tx->count; i++) {
        const struct event *e = tx->items[i].event;
        int column = e->type == EVENT_DEAD ? -1 : log_tables[event_kinds[e->type].table].year_column, year;

        if (column < 0)
            continue;
        year = (int)event_values(tx->items[i].batch, e)[column].num;
        if (w->years[year - 1900])
            continue;
        if (store_ensure_year(w->db, year))
            return db_error(w->db);
        w->years[year - 1900] = true;
    }
    return 0;
}

static int apply_events(struct writer *w, const struct writer_tx *tx)
{
    int err = 0;

    if (tx->accept >= 0)
        err =
            ledger_accept_epoch(w->ledger, w->streams[tx->accept].at.id, tx->accept_epoch, tx->accept_resend);
    for (size_t i = 0; i < tx->count && !err && !tx->replay; i++)
        if (tx->items[i].event->type != EVENT_DEAD)
            err = ledger_apply(w->ledger, tx->items[i].batch, tx->items[i].event);
    return err;
}

/* dead_letter: per stream and day, with the number so far. */
static int dead_letter_alerts(struct writer *w, const struct writer_tx *tx, struct changes *out)
{
    int err = 0;

    for (size_t k = 0; k < w->stream_count && !err; k++) {
        struct writer_stream *s = &w->streams[k];
        const struct store_item *last = NULL;
        uint64_t number = 0;
        struct alert alert;

        for (size_t i = 0; i < tx->count && !tx->replay; i++) {
            if (tx->items[i].event->type != EVENT_DEAD || tx->items[i].batch->stream_id != s->at.id)
                continue;
            last = &tx->items[i];
            number++;
        }
        if (!last)
            continue;
        snprintf(s->last_reason, sizeof(s->last_reason), "%.*s",
                 (int)(last->event->reason.len < 150 ? last->event->reason.len : 150),
                 batch_text(last->batch, last->event->reason));
        alert_dead_letter(s->at.name, w->shard.today, s->dead_today + number, s->last_reason, &alert);
        err = results_alert(w->results, &alert, out);
    }
    return err;
}

static int stream_alert(struct writer *w, struct writer_stream *s, struct changes *out)
{
    struct stream_status_view v;
    struct alert alert;
    int err;

    stream_status_read(s->status, &v);
    alert_stream_gap(s->at.name,
                     v.position.reason == POSITION_GONE ? "the publisher no longer keeps the next event"
                     : v.position.reason == POSITION_NEW_EPOCH ? "the publisher has another journal"
                     : v.position.reason == POSITION_REWOUND
                         ? "the publisher's journal is older than what was received"
                         : "three damaged answers for the same range",
                     v.position.reason == POSITION_NEW_EPOCH ? v.position.other_epoch : v.position.epoch,
                     v.position.next, v.position.first_kept, &alert);
    if (v.position.mode != POSITION_STOPPED || v.position.reason == POSITION_OK ||
        v.position.reason == POSITION_PAUSED)
        alert_resolve(&alert);
    err = results_alert(w->results, &alert, out);
    if (err)
        return err;
    alert_stream_stale(s->at.name, (int)((clock_monotonic_us() - v.position.heard_us) / 1000000), &alert);
    if (!v.position.stale || v.paused)
        alert_resolve(&alert);
    return results_alert(w->results, &alert, out);
}

int writer_stream_alerts(struct writer *w, struct changes *out)
{
    int err = 0;

    for (size_t i = 0; i < w->stream_count && !err; i++)
        err = stream_alert(w, &w->streams[i], out);
    return err;
}

struct yesterday {
    struct writer *w;
    struct changes *out;
    int32_t today;
    int err;
};

static void resolve_dead_letter(void *context, const struct alert_key *key, enum severity severity)
{
    struct yesterday *y = context;
    struct alert alert;

    (void)severity;
    if (key->kind != ALERT_DEAD_LETTER || y->err)
        return;
    for (size_t i = 0; i < y->w->stream_count; i++) {
        struct writer_stream *s = &y->w->streams[i];

        if (strcmp(s->at.name, key->stream) != 0)
            continue;
        alert_dead_letter(key->stream, y->today - 1, s->dead_today, s->last_reason, &alert);
        alert.key = *key;
        alert_resolve(&alert);
        y->err = results_alert(y->w->results, &alert, y->out);
    }
}

/* Subjects that an event touched, or whose day has come; all of them where all is looked at. */
static int subject_changes(struct writer *w, const struct writer_tx *tx, struct ledger *ledger,
                           struct changes *out)
{
    struct subject *subjects = NULL;
    size_t count = 0;
    int32_t today = tx->today != INT32_MIN ? tx->today : w->shard.today;
    int err;

    if (tx->all || tx->replay || tx->rules)
        err = results_subjects(w->results, ledger, &subjects, &count);
    else if (tx->today != INT32_MIN)
        err = entities_due(ledger, w->shard.today, tx->today, &subjects, &count);
    else
        err = entities_touched(ledger, &subjects, &count);
    if (!err)
        err = results_diff_subjects(w->results, ledger, today, subjects, count, out);
    free(subjects);
    return err;
}

/* Everything that this transaction changes for readers, in the order of its alert sequence. */
static int compute_changes(struct writer *w, const struct writer_tx *tx, struct ledger *ledger)
{
    struct changes *out = &w->open.changes;
    struct ledger_key *all = NULL;
    const struct ledger_key *touched;
    size_t count = 0;
    int err = 0;

    if (tx->all || tx->replay || tx->rules) {
        err = results_keys(w->results, ledger, &all, &count);
        touched = all;
    } else {
        count = ledger_touched(ledger, &touched);
    }
    if (!err && count)
        err = results_diff(w->results, ledger, touched, count, out);
    free(all);
    if (!err)
        err = subject_changes(w, tx, ledger, out);
    if (!err && tx->today != INT32_MIN) {
        struct yesterday y = {w, out, tx->today, 0};

        results_firing(w->results, resolve_dead_letter, &y);
        err = y.err;
    }
    if (!err)
        err = dead_letter_alerts(w, tx, out);
    if (!err)
        err = writer_stream_alerts(w, out);
    return err;
}

/* Where each stream of the items ends. Items of a stream are in order and without a hole
 * (writer_apply_pending). */
static int advance_streams(struct writer *w, const struct writer_tx *tx)
{
    int err = 0;

    for (size_t k = 0; k < w->stream_count && !err; k++) {
        struct writer_stream *s = &w->streams[k];
        const struct commitment_place believed = {s->at.epoch, s->at.next};
        const struct store_item *first = NULL, *last = NULL;
        uint64_t head;

        for (size_t i = 0; i < tx->count && !tx->replay; i++) {
            if (tx->items[i].batch->stream_id != s->at.id)
                continue;
            first = first ? first : &tx->items[i];
            last = &tx->items[i];
        }
        if (!last)
            continue;
        err = commitment_follow(&believed, first->batch->epoch, first->event->seq);
        if (err)
            break;
        pthread_mutex_lock(&s->status->mutex);
        head = s->status->position.head;
        pthread_mutex_unlock(&s->status->mutex);
        err = store_advance(w->db, &s->at, last->batch->epoch, last->event->seq + 1, head);
    }
    return err;
}

static int write_accept(struct writer *w, const struct writer_tx *tx)
{
    struct writer_stream *s = &w->streams[tx->accept];
    char id[24], epoch[24];
    const char *values[] = {id, epoch, tx->accept_resend ? "t" : "f"};
    struct db_result *r;
    int err = store_advance(w->db, &s->at, tx->accept_epoch, tx->accept_next, tx->accept_next);

    if (err || tx->accept_epoch == s->at.epoch || s->at.epoch == 0)
        return err; /* a stream's first epoch store_advance() has recorded */
    snprintf(id, sizeof(id), "%u", s->at.id);
    snprintf(epoch, sizeof(epoch), "%" PRIu64, tx->accept_epoch);
    r = db_named(w->db, "epoch_record", 3, values);
    db_result_free(&r);
    return db_error(w->db);
}

static int write_flags(struct writer *w, const struct writer_tx *tx)
{
    char a[24], b[24], c[24];
    const char *values[] = {a, b, c, tx->dead_state};
    struct db_result *r;

    if (tx->pause >= 0) {
        snprintf(a, sizeof(a), "%u", w->streams[tx->pause].at.id);
        values[1] = tx->paused ? "t" : "f";
        r = db_query(w->db,
                     "UPDATE teldag_data.feed_progress SET paused = $2::boolean WHERE stream_id = $1::int", 2,
                     values);
        db_result_free(&r);
        values[1] = b;
    }
    if (tx->dead_state) {
        snprintf(a, sizeof(a), "%u", tx->dead_stream);
        snprintf(b, sizeof(b), "%" PRIu64, tx->dead_epoch);
        snprintf(c, sizeof(c), "%" PRIu64, tx->dead_seq);
        r = db_query(
            w->db,
            "UPDATE teldag_data.dead_letter SET state = $4, resolved_at = now()"
            " WHERE stream_id = $1::int AND epoch = $2::bigint AND seq = $3::bigint AND state = 'open'",
            4, values);
        db_result_free(&r);
    }
    return db_error(w->db);
}

static int write_act(struct writer *w, const struct writer_tx *tx)
{
    int err = 0;

    if (tx->accept >= 0)
        err = write_accept(w, tx);
    if (!err && tx->rules)
        err = store_rules(w->db, &w->shard, tx->rules);
    if (!err && tx->today != INT32_MIN)
        err = store_clock(w->db, &w->shard, tx->today);
    if (!err && tx->fixed)
        err = store_fixed(w->db, tx->fixed_budget, tx->fixed_year, tx->body);
    if (!err)
        err = write_flags(w, tx);
    if (!err && tx->act)
        err = store_local(w->db, &w->shard, tx->act, tx->retain ? w->open.retain_body : tx->body);
    return err;
}

static uint64_t random_token(void)
{
    uint64_t token = 0;

    if (getrandom(&token, sizeof(token), 0) != sizeof(token))
        token = clock_monotonic_us() * UINT64_C(0x9E3779B97F4A7C15);
    return token >> 1; /* fits a bigint */
}

/* Dead letters that are retried enter their logs at their old positions, pupils of old school years leave them; the ledger is
 * built anew from what then stands. */
static int write_replay(struct writer *w, const struct writer_tx *tx, int64_t now_us)
{
    const struct db_tick tick = {writer_tick, w};
    uint64_t events;
    int err = tx->retain ? store_retain(w->db, tx->retain, tx->as_they_are, &w->open.retain_body, &tick)
                         : store_logs(w->db, tx->items, tx->count, now_us);

    FAILPOINT(writer, replay_logged);
    if (!err)
        err = writer_build_ledger(w, &w->open.ledger, &events);
    FAILPOINT(writer, replay_built);
    if (!err)
        err = compute_changes(w, tx, w->open.ledger);
    return err;
}

/* The logs' COPY, on a thread of its own beside the ledger's work: neither looks at what the other writes. */
struct copying {
    struct db *db;
    const struct writer_tx *tx;
    int64_t now_us;
    int err;
};

static void *copy_logs(void *context)
{
    struct copying *c = context;

    c->err = store_logs(c->db, c->tx->items, c->tx->count, c->now_us);
    return NULL;
}

static int apply_all(struct writer *w, const struct writer_tx *tx)
{
    int err = apply_events(w, tx);

    if (!err && tx->rules)
        err = ledger_set_rules(w->ledger, tx->rules);
    if (tx->fixed)
        ledger_set_fixed(w->ledger, tx->fixed);
    if (!err)
        err = compute_changes(w, tx, w->ledger);
    return err;
}

/* A batch that is worth a thread is applied to the overlay while PostgreSQL takes its rows in. */
static int log_and_apply(struct writer *w, const struct writer_tx *tx, int64_t now_us)
{
    struct copying c = {w->db, tx, now_us, 0};
    pthread_t thread;
    bool beside = tx->count >= COPY_BESIDE_EVENTS && pthread_create(&thread, NULL, copy_logs, &c) == 0;
    int err = 0;

    if (!beside)
        copy_logs(&c);
    if (!c.err || beside)
        err = apply_all(w, tx);
    if (beside)
        pthread_join(thread, NULL);
    return c.err ? c.err : err;
}

/* The streams' positions go first: they fence the logs, whose keys are those positions. A second writer must
 * meet ERR_FENCE there, not a duplicate key in the COPY, which would look like an event's fault. The shard's
 * row comes after the ledger's work, because it carries the number of alerts. */
static int write_transaction(struct writer *w, const struct writer_tx *tx)
{
    const char *hash = tx->rules ? rules_hash(tx->rules) : w->shard.rules_hash;
    int64_t now_us = clock_realtime_us();
    int err;

    w->open.token = random_token();
    err = db_begin(w->db);
    if (!err)
        err = advance_streams(w, tx);
    if (!err)
        err = tx->replay ? write_replay(w, tx, now_us) : log_and_apply(w, tx, now_us);
    FAILPOINT(writer, applied);
    if (!err)
        err = store_fence(w->db, &w->shard, w->open.changes.alert_count, w->open.token);
    if (!err)
        err = write_act(w, tx);
    if (!err)
        err = store_dead_letters(w->db, tx->items, tx->count, now_us);
    if (!err)
        err = store_changes(w->db, &w->shard, &w->open.changes, hash, now_us);
    if (!err && tx->retain)
        err = store_retain_alerts(w->db, tx->retain, &(struct db_tick){writer_tick, w});
    return err;
}

static void time_commit(struct writer *w, uint64_t us, size_t events, size_t rows)
{
    pthread_mutex_lock(&w->mutex);
    w->status.batches++;
    w->status.events += events;
    w->status.rows += rows;
    w->status.commit_us_sum += us;
    w->status.commit_us_max = us > w->status.commit_us_max ? us : w->status.commit_us_max;
    w->status.commit_buckets[writer_commit_bucket(us)]++;
    pthread_mutex_unlock(&w->mutex);
}

/* ---- outcome ---- */

static void move_positions(struct writer *w, const struct writer_tx *tx)
{
    for (size_t i = 0; i < tx->count && !tx->replay; i++) {
        struct writer_stream *s = stream_of(w, tx->items[i].batch->stream_id);

        s->at.epoch = tx->items[i].batch->epoch;
        s->at.next = tx->items[i].event->seq + 1;
        if (tx->items[i].event->type == EVENT_DEAD)
            s->dead_today++;
    }
    if (tx->accept >= 0) {
        w->streams[tx->accept].at.epoch = tx->accept_epoch;
        w->streams[tx->accept].at.next = tx->accept_next;
        writer_order_reset(&w->streams[tx->accept]);
    }
    for (size_t k = 0; k < w->stream_count; k++) {
        struct stream_status *status = w->streams[k].status;

        pthread_mutex_lock(&status->mutex);
        if (status->committed_next != w->streams[k].at.next ||
            status->committed_epoch != w->streams[k].at.epoch)
            status->committed_us = clock_realtime_us();
        status->committed_epoch = w->streams[k].at.epoch;
        status->committed_next = w->streams[k].at.next;
        pthread_mutex_unlock(&status->mutex);
    }
}

static void close_open(struct writer *w)
{
    changes_fini(&w->open.changes);
    changes_init(&w->open.changes);
    ledger_free(&w->open.ledger);
    free(w->open.retain_body);
    w->open.retain_body = NULL;
    w->open.unresolved = false;
}

void writer_settle(struct writer *w)
{
    const struct writer_tx *tx = &w->open.tx;
    struct commitment_shard shard = {w->shard.batch, w->shard.token, w->shard.alert_seq};
    uint64_t dead = 0;

    for (size_t i = 0; i < tx->count; i++)
        dead += tx->items[i].event->type == EVENT_DEAD;
    if (tx->replay) {
        ledger_free(&w->ledger);
        w->ledger = w->open.ledger;
        w->open.ledger = NULL;
    } else {
        ledger_commit(w->ledger);
    }
    results_fold(w->results, &w->open.changes);
    w->settled++;
    w->backoff_ms = 0; /* it works again: the next trouble is another one */
    shard = commitment_advance(&shard, w->open.token, w->open.changes.alert_count);
    w->shard.batch = shard.batch;
    w->shard.token = shard.token;
    w->shard.alert_seq = shard.alert_seq;
    w->shard.local_seq += tx->act != NULL;
    if (tx->today != INT32_MIN) {
        w->shard.today = tx->today;
        for (size_t i = 0; i < w->stream_count; i++)
            w->streams[i].dead_today = 0;
    }
    if (tx->fixed) {
        fixed_free(&w->fixed);
        w->fixed = w->fixed_wanted;
        w->fixed_wanted = NULL;
    }
    if (tx->retain > w->retained_before)
        w->retained_before = tx->retain;
    if (tx->rules) {
        w->in_force = tx->rules;
        snprintf(w->shard.rules_hash, sizeof(w->shard.rules_hash), "%s", rules_hash(tx->rules));
    }
    move_positions(w, tx);
    writer_count(w, &w->status.dead_letters, dead);
    writer_publish_numbers(w);
    writer_tell_place(w);
    if (w->config.committed && (w->open.changes.alert_count || tx->act))
        w->config.committed(w->config.committed_context);
    close_open(w);
}

void writer_abandon(struct writer *w)
{
    if (w->ledger_valid) {
        ledger_rollback(w->ledger);
        ledger_set_fixed(w->ledger, w->fixed);
    }
    if (w->open.tx.rules)
        w->ledger_valid = false; /* recounted under rules that are not in force */
    close_open(w);
}

/* Applies, writes, commits once. The open transaction is settled, abandoned, or left unresolved. */
static int attempt(struct writer *w, const struct writer_tx *tx)
{
    uint64_t started = clock_monotonic_us();
    int err = make_years(w, tx);

    if (err)
        return err;
    FAILPOINT(writer, years_made);
    w->open.tx = *tx;
    ledger_begin(w->ledger);
    err = write_transaction(w, tx);
    FAILPOINT(writer, written);
    if (!err)
        err = db_commit(w->db);
    switch (commitment_overlay_after(err)) {
    case COMMITMENT_FOLD: {
        const struct changes *c = &w->open.changes;

        FAILPOINT(writer, before_settle);
        time_commit(w, clock_monotonic_us() - started, tx->count,
                    tx->count + c->count_count + c->closed_count + c->allocation_count + c->alert_count);
        writer_settle(w);
        FAILPOINT(writer, after_settle);
        break;
    }
    case COMMITMENT_HOLD:
        FAILPOINT(writer, commit_unknown);
        w->open.unresolved = true;
        break;
    case COMMITMENT_DROP:
        FAILPOINT(writer, before_rollback);
        db_rollback(w->db);
        writer_abandon(w);
        FAILPOINT(writer, abandoned);
        break;
    }
    return err;
}

/* A failed attempt: what to do before the next one. 0: try again. */
static int after_failure(struct writer *w, int err)
{
    char text[400];

    snprintf(text, sizeof(text), "%s", w->db && db_error(w->db) ? db_error_text(w->db) : err_text(err));
    switch (commitment_remedy_after(err)) {
    case COMMITMENT_BISECT:
        snprintf(w->refusal, sizeof(w->refusal), "%s", text);
        db_clear_error(w->db);
        return err;
    case COMMITMENT_REFUSE:
        writer_say(w, WRITER_REFUSED, "the database refused a statement: %s", text);
        return err;
    case COMMITMENT_REBUILD:
        log_warning("writer: another daemon wrote shard %d: rebuilding", w->shard.shard);
        w->ledger_valid = false;
        w->locked = false; /* perhaps lost without a word: asked for again, which a session that has it may */
        return 0;
    case COMMITMENT_RECONNECT:
        log_warning("writer: a COMMIT got no answer (%s): asking the database what became of it", text);
        writer_disconnect(w);
        return 0;
    case COMMITMENT_BACK_OFF:
        break;
    }
    if (writer_is_stopping(w))
        return ERR_CLOSED;
    writer_back_off(w, text);
    return 0;
}

int writer_transact(struct writer *w, const struct writer_tx *tx)
{
    uint64_t generation = w->generation, settled = w->settled;

    for (;;) {
        int err = writer_make_ready(w);

        switch (commitment_turn_of(settled, w->settled, generation, w->generation)) {
        case COMMITMENT_DONE:
            return 0; /* a COMMIT without answer turned out to have been one */
        case COMMITMENT_LOOK_AGAIN:
            if (!err)
                return ERR_FENCE;
            break;
        case COMMITMENT_TRY:
            err = err ? err : attempt(w, tx);
            break;
        }
        if (!err)
            return 0;
        if (err == ERR_AGAIN && tx->retain)
            return err; /* not now: who ordered it asks again */
        if (err == ERR_CLOSED || (err = after_failure(w, err)) != 0)
            return err;
        if (w->open.unresolved && writer_is_stopping(w))
            return ERR_CLOSED; /* the next start reads what became of it */
    }
}

/* ---- poison ---- */

/* A cut may leave half a character at the end: PostgreSQL would refuse the dead letter for it. */
static void drop_half_character(char *text)
{
    size_t n = strlen(text), tail = 0;
    unsigned char lead;

    while (tail < n && ((unsigned char)text[n - 1 - tail] & 0xc0) == 0x80)
        tail++;
    lead = tail < n ? (unsigned char)text[n - 1 - tail] : 0;
    if (tail < (lead >= 0xf0 ? 3u : lead >= 0xe0 ? 2u : lead >= 0xc0 ? 1u : 0u))
        text[n - 1 - tail] = '\0';
}

/* The refused event as a dead letter; its bytes are rendered from what was decoded. */
static int bury(struct writer *w, struct store_item *item, const char *why)
{
    struct event_batch *p = w->poison;
    char *raw = event_render(item->batch, item->event);
    int err;

    if (!raw)
        return ERR_NOMEM;
    p->stream_id = item->batch->stream_id;
    p->epoch = item->batch->epoch;
    p->first_seq = item->event->seq;
    p->count = 0;
    p->value_count = 0;
    p->arena_len = 0;
    err = event_append_dead(p, why, raw, strlen(raw), pseudonym_scrub);
    free(raw);
    if (!err)
        *item = (struct store_item){p, &p->events[0]};
    return err;
}

/* items[0..count) in order; an event that PostgreSQL refuses is found by halving, the rest goes on. */
static int transact_items(struct writer *w, struct store_item *items, size_t count)
{
    struct writer_tx tx = writer_tx_none();
    char why[300];
    int err;

    tx.items = items;
    tx.count = count;
    err = writer_transact(w, &tx);
    if (err != ERR_DB_DATA)
        return err;
    FAILPOINT(writer, halving);
    if (count > 1) {
        err = transact_items(w, items, count / 2);
        return err ? err : transact_items(w, items + count / 2, count - count / 2);
    }
    snprintf(why, sizeof(why), "refused by PostgreSQL: %.250s", w->refusal);
    drop_half_character(why);
    if (items[0].event->type == EVENT_DEAD) {
        writer_say(w, WRITER_REFUSED, "the database refuses a dead letter: %s", w->refusal);
        return ERR_DB_CONFIG;
    }
    err = bury(w, &items[0], why);
    if (FAILPOINT_ERROR(writer, buried)) /* as if memory had run out */
        err = ERR_NOMEM;
    return err ? err : transact_items(w, items, 1);
}

/* ---- what waits ---- */

static uint64_t ordered_generation(struct writer_stream *s)
{
    uint64_t generation;

    pthread_mutex_lock(&s->status->mutex);
    generation = s->status->order_generation;
    pthread_mutex_unlock(&s->status->mutex);
    return generation;
}

/* The batch's events that follow on where their stream stands; what is already in is skipped, a hole is
 * fetched again. */
static size_t take_batch(struct writer *w, const struct event_batch *b, struct commitment_place *places,
                         struct store_item *out, size_t room)
{
    const struct commitment_batch received = {b->epoch, b->first_seq, b->count, b->order_generation};
    struct writer_stream *s = stream_of(w, b->stream_id);
    struct commitment_taken taken;
    size_t n = 0;

    if (!s)
        return 0;
    taken = commitment_take(&places[s - w->streams], &received, ordered_generation(s), s->best_effort);
    if (taken.fit == COMMITMENT_RESET)
        writer_order_reset(s);
    if (taken.fit != COMMITMENT_TAKE)
        return 0;
    assert(b->count - taken.skip <= room);
    for (uint32_t i = (uint32_t)taken.skip; i < b->count; i++)
        out[n++] = (struct store_item){b, &b->events[i]};
    return n;
}

static void free_pending(struct writer *w)
{
    for (struct event_batch *next; w->pending; w->pending = next) {
        next = w->pending->next;
        event_batch_free(&w->pending);
    }
}

static bool all_fit(const struct event_batch *b)
{
    uint64_t events = 0;

    for (; b; b = b->next)
        events += b->count;
    return events <= 2 * WRITER_BATCH_EVENTS;
}

int writer_apply_pending(struct writer *w)
{
    struct commitment_place places[WRITER_STREAMS_MAX];
    size_t count = 0;
    int err;

    assert(all_fit(w->pending));
    for (size_t k = 0; k < w->stream_count; k++)
        places[k] = (struct commitment_place){w->streams[k].at.epoch, w->streams[k].at.next};
    for (struct event_batch *b = w->pending; b && w->retained_before; b = b->next)
        if (retention_refuse(b, w->retained_before) < 0)
            return ERR_NOMEM;
    for (struct event_batch *b = w->pending; b; b = b->next)
        count += take_batch(w, b, places, w->items + count, 2 * WRITER_BATCH_EVENTS - count);
    err = count ? transact_items(w, w->items, count) : 0;
    if (err != ERR_FENCE && err != ERR_NOMEM)
        free_pending(w); /* after a rebuild, or when there is memory again, what waits is looked at again */
    return err;
}
