/* SPDX-License-Identifier: MIT
 *
 * The writer thread: its loop, what it tells others, and the operator's requests it takes between batches.
 * Decides only the order of work in a turn; the transactions are in writer_batch.c. */
#include "workers/writer_worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/failpoint.h"
#include "daemon/log.h"
#include "workers/writer_private.h"

#define TURN_MS        250
#define OPERATIONAL_US 1000000

const char *const writer_phase_names[] = {
    "connecting", "waiting for the lock", "rebuilding", "running", "backing off", "refused", "stopped", NULL};

bool writer_is_stopping(struct writer *w)
{
    bool stopping;

    pthread_mutex_lock(&w->mutex);
    stopping = w->stopping;
    w->status.progress++;
    pthread_mutex_unlock(&w->mutex);
    return stopping;
}

void writer_tick(void *writer)
{
    struct writer *w = writer;

    writer_count(w, &w->status.progress, 1);
}

void writer_say(struct writer *w, enum writer_phase phase, const char *format, ...)
{
    char text[sizeof(w->status.message)];
    bool news;
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    pthread_mutex_lock(&w->mutex);
    /* Each attempt of a long absence says the same: the log hears it once, and hears when it is over. */
    news = phase != WRITER_CONNECTING && (w->logged_phase != phase || strcmp(w->logged, text) != 0);
    if (news) {
        w->logged_phase = phase;
        memcpy(w->logged, text, sizeof(w->logged));
    }
    w->status.phase = phase;
    memcpy(w->status.message, text, sizeof(text));
    w->status.progress++;
    pthread_mutex_unlock(&w->mutex);
    if (!news)
        return;
    if (phase == WRITER_REFUSED)
        log_error("writer: %s", text);
    else if (phase == WRITER_BACKING_OFF)
        log_warning("writer: %s", text);
    else
        log_notice("writer: %s%s%s", writer_phase_names[phase], *text ? ": " : "", text);
}

void writer_count(struct writer *w, uint64_t *counter, uint64_t by)
{
    pthread_mutex_lock(&w->mutex);
    *counter += by;
    pthread_mutex_unlock(&w->mutex);
}

void writer_publish_numbers(struct writer *w)
{
    struct ledger_numbers n = w->ledger ? ledger_numbers(w->ledger) : (struct ledger_numbers){0};
    uint64_t alerts[ALERT_KIND_COUNT][3] = {{0}};

    if (w->results)
        results_alert_numbers(w->results, alerts);
    pthread_mutex_lock(&w->mutex);
    w->status.alert_seq = w->shard.alert_seq;
    w->status.alert_epoch = w->shard.alert_epoch;
    w->status.today = w->shard.today;
    snprintf(w->status.rules_hash, sizeof(w->status.rules_hash), "%s", w->shard.rules_hash);
    w->status.registrations = n.registrations;
    w->status.live = n.live;
    w->status.unmatched = n.unmatched;
    w->status.schools = n.schools;
    w->status.ledger_bytes = n.bytes;
    memcpy(w->status.alerts, alerts, sizeof(alerts));
    pthread_mutex_unlock(&w->mutex);
}

void writer_tell_place(struct writer *w)
{
    if (w->config.placed)
        w->config.placed(w->config.committed_context, w->shard.system_id, w->shard.alert_epoch,
                         w->shard.alert_seq);
}

/* The mutex is held. */
static void finish_order(struct writer *w, int result)
{
    w->order_result = result;
    if (w->order_state == ORDER_LEFT) /* nobody waits for the answer any more */
        rules_free(&w->order.rules);
    w->order_state = w->order_state == ORDER_LEFT ? ORDER_FREE : ORDER_DONE;
    pthread_cond_broadcast(&w->changed);
}

static void answer_order(struct writer *w, int result)
{
    pthread_mutex_lock(&w->mutex);
    finish_order(w, result);
    pthread_mutex_unlock(&w->mutex);
}

static bool begin_order(struct writer *w)
{
    bool begun;

    pthread_mutex_lock(&w->mutex);
    begun = w->order_state == ORDER_WAITS;
    if (begun)
        w->order_state = ORDER_BEGUN;
    pthread_mutex_unlock(&w->mutex);
    return begun;
}

/* The mutex is held. */
static void say_phase(const struct writer *w, char *out, size_t len)
{
    snprintf(out, len, "the writer is %s%s%.400s", writer_phase_names[w->status.phase],
             *w->status.message ? ": " : "", w->status.message);
}

/* Orders must not wait for a database that is away, nor for another daemon's end. */
void writer_refuse_order(struct writer *w)
{
    pthread_mutex_lock(&w->mutex);
    if (w->order_state == ORDER_WAITS) {
        say_phase(w, w->order.answer, sizeof(w->order.answer));
        finish_order(w, ERR_AGAIN);
    }
    pthread_mutex_unlock(&w->mutex);
}

/* Streams' own troubles change without any event: looked at each second. */
static int write_stream_alerts(struct writer *w)
{
    struct writer_tx tx = writer_tx_none();
    struct changes c;
    uint64_t now = clock_monotonic_us();
    int err;

    if (now - w->operational_us < OPERATIONAL_US)
        return 0;
    w->operational_us = now;
    changes_init(&c);
    err = writer_stream_alerts(w, &c);
    if (!err && c.alert_count)
        err = writer_transact(w, &tx);
    changes_fini(&c);
    return err;
}

static void append_pending(struct writer *w, struct event_batch *batches)
{
    struct event_batch **end = &w->pending;

    while (*end)
        end = &(*end)->next;
    *end = batches;
}

/* One turn: the clock, the operator, the streams' state, then whatever waits. */
static int turn(struct writer *w)
{
    int err = writer_step_clock(w);

    if (!err && begin_order(w)) {
        FAILPOINT(writer, order_begun);
        err = writer_do_request(w, &w->order);
        FAILPOINT(writer, order_done);
        answer_order(w, err);
        FAILPOINT(writer, order_answered);
        err = err == ERR_FENCE || err == ERR_CLOSED || err == ERR_DB_CONFIG ? err : 0;
    }
    if (!err)
        err = write_stream_alerts(w);
    if (!err && !w->pending)
        append_pending(w, inbox_take(w->config.inbox, WRITER_BATCH_EVENTS, TURN_MS));
    if (!err && w->pending) {
        FAILPOINT(writer, events_taken);
        err = writer_apply_pending(w);
    }
    return err;
}

static bool is_finished(struct writer *w)
{
    return writer_is_stopping(w) && !w->pending && inbox_is_drained(w->config.inbox);
}

/* For good: whatever statement it was, the reason is said before the thread ends. */
static void say_refused(struct writer *w)
{
    struct writer_status status;

    writer_read_status(w, &status);
    if (status.phase != WRITER_REFUSED)
        writer_say(w, WRITER_REFUSED, "the database refused a statement: %s",
                   w->db && db_error(w->db) ? db_error_text(w->db) : err_text(ERR_DB_CONFIG));
}

static void *run(void *context)
{
    struct writer *w = context;

    while (!is_finished(w)) {
        int err;

        if (w->db)
            db_look(w->db); /* a lost database is noticed, and said, also while no event comes */
        err = writer_make_ready(w);
        if (!err && w->first_acts_due) { /* also after a rebuild in the middle of a transaction's retries */
            w->first_acts_due = false;
            err = writer_first_acts(w);
            w->first_acts_due |= err != 0;
        }
        if (!err) {
            writer_say(w, WRITER_RUNNING, "%s", "");
            err = turn(w);
        }
        if (err == ERR_DB_CONFIG)
            say_refused(w);
        if (err == ERR_DB_CONFIG || err == ERR_CLOSED)
            break;
        if (err && err != ERR_FENCE) {
            if (writer_is_stopping(w))
                break; /* nothing is lost: what is not committed is fetched again */
            writer_back_off(w, w->db && db_error(w->db) ? db_error_text(w->db) : err_text(err));
        }
    }
    writer_disconnect(w);
    pthread_mutex_lock(&w->mutex);
    if (w->status.phase != WRITER_REFUSED)
        w->status.phase = WRITER_STOPPED;
    pthread_mutex_unlock(&w->mutex);
    writer_refuse_order(w); /* after the phase: nobody can post another one now */
    return NULL;
}

static int init_streams(struct writer *w)
{
    for (size_t i = 0; w->config.streams[i]; i++) {
        struct writer_stream *s = &w->streams[i];

        if (i == WRITER_STREAMS_MAX)
            return ERR_RANGE;
        s->status = w->config.streams[i];
        s->best_effort = s->status->best_effort;
        snprintf(s->at.name, sizeof(s->at.name), "%s", s->status->name);
        w->stream_count = i + 1;
    }
    return 0;
}

struct writer *writer_start(const struct writer_config *config)
{
    struct writer *w = calloc(1, sizeof(*w));
    pthread_condattr_t monotonic;

    if (!w)
        return NULL;
    w->config = *config;
    snprintf(w->conninfo, sizeof(w->conninfo), "%s", config->conninfo);
    w->config.conninfo = w->conninfo;
    w->wanted = config->rules;
    w->shard = (struct store_shard){.shard = config->shard, .shards = config->shards, .today = INT32_MIN};
    w->items = calloc(2 * WRITER_BATCH_EVENTS, sizeof(*w->items));
    w->poison = event_batch_new();
    changes_init(&w->open.changes);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_init(&monotonic); /* a step of the wall clock must not stretch a wait */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!w->items || !w->poison || init_streams(w) || pthread_create(&w->thread, NULL, run, w)) {
        free(w->items);
        event_batch_free(&w->poison);
        free(w);
        return NULL;
    }
    return w;
}

void writer_stop(struct writer *w)
{
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    inbox_close(w->config.inbox);
}

void writer_join(struct writer **pw)
{
    struct writer *w = *pw;

    if (!w)
        return;
    *pw = NULL;
    pthread_join(w->thread, NULL);
    for (struct event_batch *next; w->pending; w->pending = next) {
        next = w->pending->next;
        event_batch_free(&w->pending);
    }
    ledger_free(&w->open.ledger);
    ledger_free(&w->ledger);
    results_free(&w->results);
    rules_free(&w->stored);
    rules_free(&w->wanted);
    fixed_free(&w->fixed);
    fixed_free(&w->fixed_wanted);
    changes_fini(&w->open.changes);
    event_batch_free(&w->poison);
    free(w->items);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}

void writer_read_status(struct writer *w, struct writer_status *out)
{
    pthread_mutex_lock(&w->mutex);
    *out = w->status;
    pthread_mutex_unlock(&w->mutex);
}

/* The mutex is held: not done in time. What is not begun is taken back; what is begun goes on by itself. */
static int leave_order(struct writer *w, struct writer_request *request)
{
    char phase[480];

    say_phase(w, phase, sizeof(phase));
    if (w->order_state == ORDER_BEGUN) {
        w->order_state = ORDER_LEFT;
        snprintf(request->answer, sizeof(request->answer),
                 "begun, and done when the database answers (%.400s): look again later", phase);
        return ERR_AGAIN;
    }
    request->rules = w->order.rules;
    w->order_state = ORDER_FREE;
    pthread_cond_broadcast(&w->changed);
    snprintf(request->answer, sizeof(request->answer), "not done: %.480s", phase);
    return ERR_AGAIN;
}

int writer_request(struct writer *w, struct writer_request *request, int timeout_ms)
{
    struct timespec until;
    int late = 0, err;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    request->answer[0] = '\0';
    pthread_mutex_lock(&w->mutex);
    while (w->order_state != ORDER_FREE && !late)
        late = pthread_cond_timedwait(&w->changed, &w->mutex, &until);
    if (w->order_state != ORDER_FREE || w->status.phase == WRITER_STOPPED ||
        w->status.phase == WRITER_REFUSED) {
        if (w->order_state != ORDER_FREE)
            snprintf(request->answer, sizeof(request->answer), "the writer is busy with another order");
        else
            say_phase(w, request->answer, sizeof(request->answer));
        pthread_mutex_unlock(&w->mutex);
        return ERR_AGAIN;
    }
    w->order = *request;
    request->rules = NULL;
    w->order_state = ORDER_WAITS;
    inbox_wake(w->config.inbox);
    late = 0;
    while (w->order_state != ORDER_DONE && !late)
        late = pthread_cond_timedwait(&w->changed, &w->mutex, &until);
    if (w->order_state == ORDER_DONE) {
        *request = w->order;
        err = w->order_result;
        w->order_state = ORDER_FREE;
        pthread_cond_broadcast(&w->changed);
    } else {
        err = leave_order(w, request);
    }
    pthread_mutex_unlock(&w->mutex);
    return err;
}
