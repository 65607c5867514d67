/* SPDX-License-Identifier: MIT
 *
 * The operator's acts, each a transaction of its own with a row in local_log: a rules set put in force, a day
 * of the clock, a stream accepted, paused or resumed, dead letters retried or dropped. Also what a rebuild
 * finds different. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/failpoint.h"
#include "daemon/log.h"
#include "workers/commitment.h"
#include "workers/event_value.h"
#include "workers/pseudonym.h"
#include "workers/retention.h"
#include "workers/writer_private.h"

static void say(struct writer_request *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct writer_request *q, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(q->answer, sizeof(q->answer), format, ap);
    va_end(ap);
}

/* ---- rules ---- */

static int put_rules_in_force(struct writer *w)
{
    struct writer_tx tx = writer_tx_none();
    char body[200];
    int err;

    snprintf(body, sizeof(body), "{\"hash\": \"%s\", \"near_pupils\": %d, \"near_hours\": %d}",
             rules_hash(w->wanted), rules_near(w->wanted).pupils, rules_near(w->wanted).hours);
    tx.act = "rules";
    tx.body = body;
    tx.rules = w->wanted;
    err = writer_transact(w, &tx);
    if (!err) {
        log_notice("writer: rules set %s is in force", rules_hash(w->wanted));
        rules_free(&w->stored);
    }
    return err;
}

/* What the database shows must be the function of its logs; a difference is mended, counted and said. */
static int mend_differences(struct writer *w)
{
    struct writer_tx tx = writer_tx_none();
    struct ledger_key *keys = NULL;
    struct subject *subjects = NULL;
    struct changes c;
    size_t rows, count = 0, subject_count = 0;
    int err = results_keys(w->results, w->ledger, &keys, &count);

    if (err)
        return err;
    changes_init(&c);
    err = count ? results_diff(w->results, w->ledger, keys, count, &c) : 0;
    writer_tick(w);
    if (!err)
        err = results_subjects(w->results, w->ledger, &subjects, &subject_count);
    if (!err)
        err = results_diff_subjects(w->results, w->ledger, w->shard.today, subjects, subject_count, &c);
    free(subjects);
    rows = c.count_count + c.closed_count + c.allocation_count + c.risk_count + c.alert_count;
    free(keys);
    changes_fini(&c);
    if (err || !rows)
        return err;
    log_warning(
        "writer: %zu rows differ from what the logs say (another version, or somebody's hand): mending them",
        rows);
    writer_count(w, &w->status.rebuild_differences, rows);
    tx.all = true;
    return writer_transact(w, &tx);
}

int writer_first_acts(struct writer *w)
{
    bool comparable = strcmp(w->shard.rules_hash, rules_hash(w->in_force)) == 0;
    int err = comparable ? mend_differences(w) : 0;

    FAILPOINT(rebuild, compared);
    if (!err && strcmp(w->shard.rules_hash, rules_hash(w->wanted)) != 0)
        err = put_rules_in_force(w);
    return err;
}

static int do_rules(struct writer *w, struct writer_request *q)
{
    struct rules_set *old = w->wanted;
    int err;

    if (strcmp(rules_hash(q->rules), w->shard.rules_hash) == 0) {
        rules_free(&q->rules);
        say(q, "rules set %s is in force already", w->shard.rules_hash);
        return 0;
    }
    rules_free(&w->stored);
    w->stored = old; /* in force until the new one is */
    w->wanted = q->rules;
    q->rules = NULL;
    FAILPOINT(reload, rules_taken);
    err = put_rules_in_force(w);
    if (!err)
        say(q, "rules set %s is in force", w->shard.rules_hash);
    else
        say(q, "the new rules set waits for the database and is put in force when it answers");
    return err;
}

/* ---- clock ---- */

int writer_step_clock(struct writer *w)
{
    int32_t now = w->config.fixed_today != INT32_MIN ? w->config.fixed_today : clock_today_brussels();
    int err = 0;

    if (w->shard.today != INT32_MIN && w->config.fixed_today != INT32_MIN && now < w->shard.today) {
        int y, m, d;

        date_to_ymd(w->shard.today, &y, &m, &d);
        writer_say(
            w, WRITER_REFUSED,
            "--today is earlier than the stored clock.today, %04d-%02d-%02d: the clock never goes back; "
            "give that date or a later one",
            y, m, d);
        return ERR_DB_CONFIG;
    }
    while (!err && (w->shard.today == INT32_MIN || w->shard.today < now)) {
        struct writer_tx tx = writer_tx_none();
        char body[64];
        int y, m, d;

        tx.act = "clock";
        tx.body = body;
        tx.today = w->shard.today == INT32_MIN ? now : w->shard.today + 1;
        date_to_ymd(tx.today, &y, &m, &d);
        snprintf(body, sizeof(body), "{\"today\": \"%04d-%02d-%02d\"}", y, m, d);
        err = writer_transact(w, &tx);
        if (!err && writer_is_stopping(w))
            break;
    }
    return err;
}

/* ---- streams ---- */

static int find_stream(struct writer *w, struct writer_request *q)
{
    for (size_t i = 0; i < w->stream_count; i++)
        if (strcmp(w->streams[i].at.name, q->stream) == 0)
            return (int)i;
    say(q, "no stream %s in the configuration of this daemon", q->stream);
    return -1;
}

static int do_accept(struct writer *w, struct writer_request *q)
{
    struct writer_tx tx = writer_tx_none();
    struct commitment_place at, to;
    struct stream_status_view v;
    char body[300];
    int i = find_stream(w, q), err;

    if (i < 0)
        return ERR_MISSING;
    stream_status_read(w->streams[i].status, &v);
    at = (struct commitment_place){w->streams[i].at.epoch, w->streams[i].at.next};
    switch (commitment_accept(&at, &v.position, q->act == ACT_ACCEPT_RESEND, &to)) {
    case COMMITMENT_ACCEPTED:
        break;
    case COMMITMENT_NOT_STOPPED:
        say(q, "stream %s is not stopped: there is nothing to accept", q->stream);
        return ERR_INVALID;
    case COMMITMENT_JOURNAL_SHORT:
        say(q,
            "the publisher of %s still has the journal that ends before event %" PRIu64
            ": it was restored, and its numbers would be used twice: have the registry give it a new epoch "
            "(teldag-feed new-epoch), then accept that",
            q->stream, at.next);
        return ERR_INVALID;
    case COMMITMENT_JOURNAL_SAME:
        say(q,
            "the publisher of %s still has the same journal (epoch %" PRIu64
            "): a resend needs a new epoch of it (teldag-feed new-epoch, then everything is sent again); or "
            "accept "
            "with --continue",
            q->stream, to.epoch);
        return ERR_INVALID;
    case COMMITMENT_JOURNAL_OLDER:
        say(q,
            "the publisher's journal (epoch %" PRIu64 ") is older than the one accepted before (%" PRIu64
            "): a restored journal needs a new epoch (teldag-feed new-epoch)",
            to.epoch, at.epoch);
        return ERR_INVALID;
    }
    tx.accept = i;
    tx.accept_resend = q->act == ACT_ACCEPT_RESEND;
    tx.accept_epoch = to.epoch;
    tx.accept_next = to.next;
    snprintf(body, sizeof(body),
             "{\"stream\": \"%s\", \"mode\": \"%s\", \"from_epoch\": %" PRIu64 ", \"from_seq\": %" PRIu64
             ", \"epoch\": %" PRIu64 ", \"seq\": %" PRIu64 "}",
             q->stream, tx.accept_resend ? "resend" : "continue", w->streams[i].at.epoch,
             w->streams[i].at.next, tx.accept_epoch, tx.accept_next);
    tx.act = "accept";
    tx.body = body;
    err = writer_transact(w, &tx);
    if (!err)
        say(q, "stream %s goes on at epoch %" PRIu64 ", sequence %" PRIu64 " (%s)", q->stream,
            tx.accept_epoch, tx.accept_next,
            tx.accept_resend ? "the registry sends everything again" : "everything is kept");
    return err;
}

static int do_pause(struct writer *w, struct writer_request *q)
{
    struct writer_tx tx = writer_tx_none();
    struct stream_status_view v;
    char body[120];
    int i = find_stream(w, q), err;

    if (i < 0)
        return ERR_MISSING;
    tx.pause = i;
    tx.paused = q->act == ACT_PAUSE;
    stream_status_read(w->streams[i].status, &v);
    if (w->streams[i].at.paused == tx.paused && (tx.paused || v.position.mode != POSITION_STOPPED)) {
        say(q, "stream %s is %s already", q->stream, tx.paused ? "paused" : "running");
        return 0; /* also because a reset would number again what a best-effort stream has sent */
    }
    tx.act = tx.paused ? "pause" : "resume";
    tx.body = body;
    snprintf(body, sizeof(body), "{\"stream\": \"%s\"}", q->stream);
    err = writer_transact(w, &tx);
    if (err)
        return err;
    w->streams[i].at.paused = tx.paused;
    pthread_mutex_lock(&w->streams[i].status->mutex);
    w->streams[i].status->paused = tx.paused;
    pthread_mutex_unlock(&w->streams[i].status->mutex);
    if (!tx.paused)
        writer_order_reset(&w->streams[i]);
    say(q, "stream %s is %s", q->stream, tx.paused ? "paused" : "resumed");
    return 0;
}

/* ---- dead letters ---- */

struct dead_work {
    struct event_decoder *decoder;
    struct event_batch *batch;
    unsigned retried, superseded, dropped, still_dead;
    char why[200];
};

/* A later event of the same key in the letter's own stream: then the letter has nothing left to say. (Positions of two
 * streams have no order.) Same columns, by name. */
static int look_superseded(struct writer *w, const struct event_batch *b, const struct event *e,
                           bool *superseded)
{
    const struct log_table *t = &log_tables[event_kinds[e->type].table];
    char sql[900], text[EVENT_COLUMNS_MAX][80], position[3][24];
    const char *values[EVENT_COLUMNS_MAX];
    const struct event_kind *withdraw = NULL;
    struct db_result *r;
    int n, count = 3;

    *superseded = false;
    if (event_kinds[e->type].op == 'c')
        return 0;
    for (int k = 0; k < EVENT_TYPE_COUNT; k++) /* the fields of the withdrawal are the key */
        if (event_kinds[k].table == event_kinds[e->type].table && event_kinds[k].op == 'w')
            withdraw = &event_kinds[k];
    snprintf(position[0], 24, "%u", b->stream_id);
    snprintf(position[1], 24, "%" PRIu64, b->epoch);
    snprintf(position[2], 24, "%" PRIu64, e->seq);
    for (int i = 0; i < 3; i++)
        values[i] = position[i];
    n = snprintf(sql, sizeof(sql),
                 "SELECT EXISTS (SELECT FROM teldag_data.%s WHERE stream_id = $1::int AND (epoch, seq) > "
                 "($2::bigint, $3::bigint)"
                 " AND op <> 'c'",
                 t->name);
    for (int i = 0; withdraw && i < withdraw->field_count; i++) {
        int column = withdraw->fields[i].column;
        const struct value *v = &event_values(b, e)[column];
        const struct column *c = &t->columns[column];

        if (c->kind == COLUMN_PUPIL) {
            for (int k = 0; k < 16; k++)
                snprintf(text[count] + 2 * k, 3, "%02x", v->pupil[k]);
        } else if (c->kind == COLUMN_WORD) {
            snprintf(text[count], sizeof(text[count]), "%s", c->words[v->num]);
        } else if (c->kind == COLUMN_KEY) {
            snprintf(text[count], sizeof(text[count]), "%.*s", (int)v->text.len, batch_text(b, v->text));
        } else {
            snprintf(text[count], sizeof(text[count]), "%" PRId64, v->num);
        }
        values[count] = text[count];
        n += snprintf(sql + n, sizeof(sql) - (size_t)n, " AND %s = $%d::%s", c->name, count + 1,
                      c->kind == COLUMN_PUPIL                           ? "uuid"
                      : c->kind == COLUMN_WORD || c->kind == COLUMN_KEY ? "text"
                                                                        : "int");
        count++;
    }
    snprintf(sql + n, sizeof(sql) - (size_t)n, ")");
    r = db_query(w->db, sql, count, values);
    *superseded = db_rows(r) == 1 && strcmp(db_text(r, 0, 0), "t") == 0;
    db_result_free(&r);
    return db_error(w->db);
}

static int finish_letter(struct writer *w, struct dead_work *work, const struct db_result *r, int row,
                         const char *state, const struct store_item *item)
{
    struct writer_tx tx = writer_tx_none();
    char body[200];
    int err;

    tx.dead_state = state;
    tx.dead_stream = (uint32_t)db_int(r, row, 0);
    tx.dead_epoch = (uint64_t)db_int(r, row, 1);
    tx.dead_seq = (uint64_t)db_int(r, row, 2);
    tx.items = item;
    tx.count = item ? 1 : 0;
    tx.replay = item != NULL;
    tx.act = strcmp(state, "dropped") == 0 ? "drop" : "retry";
    tx.body = body;
    snprintf(body, sizeof(body),
             "{\"stream\": \"%s\", \"epoch\": %" PRIu64 ", \"seq\": %" PRIu64 ", \"state\": \"%s\"}",
             db_text(r, row, 3), tx.dead_epoch, tx.dead_seq, state);
    err = writer_transact(w, &tx);
    if (err == ERR_DB_DATA)
        snprintf(work->why, sizeof(work->why), "refused by PostgreSQL: %.150s", w->refusal);
    return err;
}

/* In place: a letter may be anything but text (not UTF-8, NUL bytes), so it travels as hex. */
static size_t decode_hex(char *text)
{
    size_t n = 0;

    for (const char *p = text; p[0] && p[1]; p += 2)
        text[n++] = (char)(value_hex_digit(p[0]) << 4 | value_hex_digit(p[1]));
    return n;
}

static int retry_letter(struct writer *w, struct dead_work *work, const struct db_result *r, int row)
{
    struct event_batch *b = work->batch;
    struct store_item item;
    char *raw = strdup(db_text(r, row, 4));
    bool superseded;
    int err;

    if (!raw)
        return ERR_NOMEM;

    b->stream_id = (uint32_t)db_int(r, row, 0);
    b->epoch = (uint64_t)db_int(r, row, 1);
    b->first_seq = (uint64_t)db_int(r, row, 2);
    b->count = 0;
    b->value_count = 0;
    b->arena_len = 0;
    err = event_decode(work->decoder, b, raw, decode_hex(raw));
    free(raw);
    if (err)
        return err;
    if (b->events[0].type == EVENT_DEAD) {
        work->still_dead++;
        snprintf(work->why, sizeof(work->why), "%.*s",
                 (int)(b->events[0].reason.len < 190 ? b->events[0].reason.len : 190),
                 batch_text(b, b->events[0].reason));
        return 0;
    }
    if (retention_year(b, &b->events[0]) >= 0 && retention_year(b, &b->events[0]) < w->retained_before) {
        work->still_dead++;
        retention_reason(retention_year(b, &b->events[0]), &b->events[0], work->why);
        return 0;
    }
    err = look_superseded(w, b, &b->events[0], &superseded);
    if (err)
        return err;
    if (superseded) {
        err = finish_letter(w, work, r, row, "superseded", NULL);
        work->superseded += !err;
        return err;
    }
    item = (struct store_item){b, &b->events[0]};
    err = finish_letter(w, work, r, row, "retried", &item);
    work->retried += !err;
    if (err == ERR_DB_DATA) {
        work->still_dead++;
        err = 0;
    }
    return err;
}

/* Behind the counts of what was done before the error. */
static void say_unfinished(struct writer *w, struct writer_request *q, int err, int left)
{
    size_t n = strlen(q->answer);

    snprintf(q->answer + n, sizeof(q->answer) - n,
             "; ended by: %.160s; the other %d letters remain open: give the command again",
             w->db && db_error(w->db) ? db_error_text(w->db) : err_text(err), left);
}

static int do_dead_letters(struct writer *w, struct writer_request *q)
{
    struct dead_work work = {.decoder = event_decoder_new(NULL, NULL, pseudonym_scrub),
                             .batch = event_batch_new()};
    char epoch[24], seq[24];
    const char *values[] = {q->stream, epoch, seq};
    struct db_result *r = NULL;
    int err = work.decoder && work.batch ? 0 : ERR_NOMEM, done = 0;

    snprintf(epoch, sizeof(epoch), "%" PRIu64, q->epoch);
    snprintf(seq, sizeof(seq), "%" PRIu64, q->seq);
    if (!err)
        r = db_query(w->db,
                     "SELECT d.stream_id, d.epoch, d.seq, s.name, encode(d.raw, 'hex')"
                     " FROM teldag_data.dead_letter d JOIN teldag_data.stream s USING (stream_id)"
                     " WHERE s.name = $1 AND d.state = 'open' AND ($2::bigint = 0 OR d.epoch = $2::bigint)"
                     " AND ($3::bigint = 0 OR d.seq = $3::bigint) ORDER BY d.epoch, d.seq",
                     3, values);
    if (!err)
        err = db_error(w->db);
    for (; done < db_rows(r) && !err; done += !err) {
        if (q->act == ACT_DEAD_RETRY) {
            err = retry_letter(w, &work, r, done);
        } else {
            err = finish_letter(w, &work, r, done, "dropped", NULL);
            work.dropped += !err;
        }
    }
    if (!err && db_rows(r) == 0) {
        say(q, "no open dead letter of stream %s%s%s", q->stream, q->seq ? " at sequence " : "",
            q->seq ? seq : "");
        err = ERR_MISSING;
    } else if (q->act == ACT_DEAD_RETRY) {
        say(q, "%u retried, %u superseded by a later event, %u still refused%s%s", work.retried,
            work.superseded, work.still_dead, work.still_dead ? ": " : "", work.why);
    } else {
        say(q, "%u dropped", work.dropped);
    }
    if (err && err != ERR_MISSING)
        say_unfinished(w, q, err, db_rows(r) - done);
    db_result_free(&r);
    event_decoder_free(&work.decoder);
    event_batch_free(&work.batch);
    return err;
}

int writer_do_request(struct writer *w, struct writer_request *q)
{
    switch (q->act) {
    case ACT_RULES:
        return do_rules(w, q);
    case ACT_ACCEPT_RESEND:
    case ACT_ACCEPT_CONTINUE:
        return do_accept(w, q);
    case ACT_PAUSE:
    case ACT_RESUME:
        return do_pause(w, q);
    case ACT_DEAD_RETRY:
    case ACT_DEAD_DROP:
        return do_dead_letters(w, q);
    case ACT_FIX_BUDGET:
    case ACT_FIX_REFERENCE:
        return writer_fix(w, q);
    case ACT_RETAIN:
        return writer_retain(w, q);
    }
    return ERR_INVALID;
}
