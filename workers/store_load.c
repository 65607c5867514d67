/* SPDX-License-Identifier: MIT
 *
 * Reading back: the shard's session, the positions, the logs in stream order (a rebuild replays them through
 * the same ledger code as live events), and the results that stand. The order of replay is: stream by stream,
 * epoch by epoch in the order they were accepted, school year by school year, sequence by sequence; within an
 * epoch school years do not touch each other, so this order means the same as the order of arrival. */
#include "workers/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/failpoint.h"
#include "workers/epoch.h"

#define LOCK_CLASS 1952804204 /* "teld": the advisory lock's first half; the second is the shard */

/* A session that has ended meanwhile has no role, and is nobody to warn of. */
static void read_holder(struct db *db, const char *const values[], struct store_holder *holder)
{
    struct db_result *r = db_query(
        db,
        "SELECT l.pid, coalesce(a.usename, ''), NOT w.writes FROM pg_locks l"
        " LEFT JOIN pg_stat_activity a ON a.pid = l.pid CROSS JOIN LATERAL"
        " (SELECT a.usesysid IS NULL OR count(*) > 0 AS writes FROM pg_roles r WHERE pg_has_role(a.usesysid, "
        "r.oid, 'MEMBER') AND (r.rolname IN ('teldag_writer', current_user)"
        " OR r.oid = (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'teldag_data'))) w"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1::int::oid AND l.objid = $2::int::oid"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        2, values);

    if (db_rows(r) > 0) {
        holder->pid = (int)db_int(r, 0, 0);
        snprintf(holder->role, sizeof(holder->role), "%s", db_text(r, 0, 1));
        holder->stranger = strcmp(db_text(r, 0, 2), "t") == 0;
    }
    db_result_free(&r);
}

int store_lock(struct db *db, int shard, struct store_holder *holder)
{
    char class_text[16], shard_text[16];
    const char *values[] = {class_text, shard_text};
    struct db_result *r;
    int got = 0;

    *holder = (struct store_holder){0};
    snprintf(class_text, sizeof(class_text), "%d", LOCK_CLASS);
    snprintf(shard_text, sizeof(shard_text), "%d", shard);
    r = db_query(db, "SELECT pg_try_advisory_lock($1::int, $2::int)", 2, values);
    got = r && strcmp(db_text(r, 0, 0), "t") == 0;
    db_result_free(&r);
    if (!got && !db_error(db))
        read_holder(db, values, holder);
    return db_error(db) ? db_error(db) : got;
}

static void read_system_id(struct db *db, char out[64])
{
    struct db_result *r = db_query(db, "SELECT teldag_data.server_id()", 0, NULL);

    if (db_rows(r) == 1)
        snprintf(out, 64, "%s", db_text(r, 0, 0));
    db_result_free(&r);
}

int store_load_shard(struct db *db, struct store_shard *s)
{
    char shard[16], shards[16];
    const char *values[] = {shard, shards};
    struct db_result *r;

    snprintf(shard, sizeof(shard), "%d", s->shard);
    snprintf(shards, sizeof(shards), "%d", s->shards);
    read_system_id(db, s->system_id);
    r = db_query(db,
                 "INSERT INTO teldag_data.shard_progress (shard, shards) VALUES ($1::int, $2::int) ON "
                 "CONFLICT DO NOTHING",
                 2, values);
    db_result_free(&r);
    r = db_query(db,
                 "SELECT batch, alert_seq, token, alert_epoch, rules_hash, system_id, today - DATE "
                 "'1970-01-01', synchronous,"
                 " (SELECT coalesce(max(seq), 0) FROM teldag_data.local_log l WHERE l.shard = p.shard)"
                 " FROM teldag_data.shard_progress p WHERE shard = $1::int",
                 1, values);
    if (db_rows(r) == 1) {
        s->batch = (uint64_t)db_int(r, 0, 0);
        s->alert_seq = (uint64_t)db_int(r, 0, 1);
        s->token = (uint64_t)db_int(r, 0, 2);
        s->alert_epoch = (uint64_t)db_int(r, 0, 3);
        s->latest_epoch = s->alert_epoch > s->latest_epoch ? s->alert_epoch : s->latest_epoch;
        snprintf(s->rules_hash, sizeof(s->rules_hash), "%s", db_text(r, 0, 4));
        snprintf(s->stored_id, sizeof(s->stored_id), "%s", db_text(r, 0, 5));
        s->today = db_is_null(r, 0, 6) ? INT32_MIN : (int32_t)db_int(r, 0, 6);
        s->synchronous = strcmp(db_text(r, 0, 7), "t") == 0;
        s->local_seq = (uint64_t)db_int(r, 0, 8);
    }
    db_result_free(&r);
    return db_error(db);
}

uint64_t store_read_batch(struct db *db, int shard, uint64_t *alert_epoch)
{
    char text[16];
    const char *values[] = {text};
    struct db_result *r;
    uint64_t batch = 0;

    snprintf(text, sizeof(text), "%d", shard);
    r = db_query(db, "SELECT batch, alert_epoch FROM teldag_data.shard_progress WHERE shard = $1::int", 1,
                 values);
    *alert_epoch = 0;
    if (db_rows(r) == 1) {
        batch = (uint64_t)db_int(r, 0, 0);
        *alert_epoch = (uint64_t)db_int(r, 0, 1);
    }
    db_result_free(&r);
    return batch;
}

/* The first epoch is no renewal, and no act. */
static void write_identity(struct db *db, struct store_shard *s, uint64_t epoch)
{
    char id[16], text[24];
    const char *values[] = {id, text, s->system_id};
    struct db_result *r;

    snprintf(id, sizeof(id), "%d", s->shard);
    snprintf(text, sizeof(text), "%" PRIu64, epoch);
    r = db_query(db,
                 "UPDATE teldag_data.shard_progress SET alert_epoch = $2::bigint, system_id = $3 WHERE shard "
                 "= $1::int",
                 3, values);
    db_result_free(&r);
}

static uint64_t later_epoch(struct store_shard *s)
{
    s->latest_epoch = epoch_next((uint64_t)clock_realtime_us(), s->alert_epoch, s->latest_epoch);
    return s->latest_epoch;
}

int store_renew_epoch(struct db *db, struct store_shard *s, const char *reason)
{
    char id[16], from[24], to[24];
    const char *values[] = {id, from, to, s->system_id, reason};
    struct db_result *r;

    snprintf(id, sizeof(id), "%d", s->shard);
    snprintf(from, sizeof(from), "%" PRIu64, s->alert_epoch);
    snprintf(to, sizeof(to), "%" PRIu64, later_epoch(s));
    r = db_query(db, "SELECT teldag_data.renew_alert_epoch($1::int, $2::bigint, $3::bigint, $4, $5)", 5,
                 values);
    db_result_free(&r);
    return db_error(db) ? db_error(db) : store_load_shard(db, s);
}

int store_settle_epoch(struct db *db, struct store_shard *s, bool set_back, const char **renewal)
{
    const struct epoch_facts facts = {s->stored_id, s->system_id, s->synchronous, set_back};
    const char *reason = epoch_renewal(&facts);

    *renewal = s->alert_epoch ? reason : NULL;
    if (*renewal)
        return store_renew_epoch(db, s, reason);
    if (!s->alert_epoch)
        s->alert_epoch = later_epoch(s);
    if (strcmp(s->stored_id, s->system_id) != 0)
        write_identity(db, s, s->alert_epoch);
    return db_error(db);
}

int store_load_stream(struct db *db, const struct store_shard *shard, struct store_stream *stream,
                      bool best_effort)
{
    char shard_text[16];
    const char *values[] = {stream->name, shard_text, best_effort ? "t" : "f"};
    struct db_result *r;

    snprintf(shard_text, sizeof(shard_text), "%d", shard->shard);
    r = db_query(db,
                 "INSERT INTO teldag_data.stream (name) SELECT $1 WHERE NOT EXISTS"
                 " (SELECT FROM teldag_data.stream WHERE name = $1) ON CONFLICT DO NOTHING",
                 1, values);
    db_result_free(&r);
    r = db_query(
        db,
        "INSERT INTO teldag_data.feed_progress AS p (stream_id, shard, best_effort)"
        " SELECT stream_id, $2::int, $3::boolean FROM teldag_data.stream WHERE name = $1"
        " ON CONFLICT (stream_id) DO UPDATE SET shard = excluded.shard, best_effort = excluded.best_effort"
        " RETURNING stream_id, epoch, next_seq, paused",
        3, values);
    if (db_rows(r) == 1) {
        stream->id = (uint32_t)db_int(r, 0, 0);
        stream->epoch = (uint64_t)db_int(r, 0, 1);
        stream->next = (uint64_t)db_int(r, 0, 2);
        stream->paused = strcmp(db_text(r, 0, 3), "t") == 0;
    }
    db_result_free(&r);
    return db_error(db);
}

bool store_shard_owns(const struct store_shard *shard, const char *stream)
{
    const char *dot = strrchr(stream, '.');

    return shard->shards <= 1 || !dot ||
           strtoull(dot + 1, NULL, 10) % (uint64_t)shard->shards == (uint64_t)shard->shard;
}

int store_add_streams(struct db *db, struct ledger *ledger)
{
    struct db_result *r =
        db_query(db, "SELECT stream_id, name FROM teldag_data.stream ORDER BY stream_id", 0, NULL);
    int err = 0;

    for (int i = 0; i < db_rows(r) && !err; i++)
        err = ledger_add_stream(ledger, (uint32_t)db_int(r, i, 0), db_text(r, i, 1));
    db_result_free(&r);
    return err ? err : db_error(db);
}

int store_ensure_year(struct db *db, int year)
{
    char text[16];
    const char *values[] = {text};
    struct db_result *r;

    snprintf(text, sizeof(text), "%d", year);
    r = db_query(db, "SELECT teldag_data.ensure_year($1::smallint)", 1, values);
    db_result_free(&r);
    return db_error(db);
}

/* ---- replay ---- */

static bool word_index(const struct column *c, const struct db_copy_field *f, int64_t *out)
{
    for (int i = 0; c->words[i]; i++) {
        if (strlen(c->words[i]) == (size_t)f->len && memcmp(c->words[i], f->data, (size_t)f->len) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool read_words(const struct column *c, const struct db_copy_field *f, int64_t *out)
{
    struct db_copy_field texts[64];
    int n = db_field_text_array(f, texts, 64);

    *out = 0;
    for (int i = 0; i < n; i++) {
        int64_t word;

        if (n > 64 || !word_index(c, &texts[i], &word))
            return false;
        *out |= (int64_t)1 << word;
    }
    return n > 0;
}

static bool read_text(struct event_batch *b, struct db_copy_field f, struct text *out)
{
    if (!f.data || b->arena_len + (size_t)f.len > b->arena_capacity)
        return false;
    *out = (struct text){(uint32_t)b->arena_len, (uint32_t)f.len};
    memcpy(b->arena + b->arena_len, f.data, (size_t)f.len);
    b->arena_len += (size_t)f.len;
    return true;
}

/* One column of a log row as the value an event carries; false when the database holds what no event can be.
 */
static bool read_value(struct event_batch *b, const struct column *c, const struct db_copy_field *f,
                       struct value *v)
{
    switch (c->kind) {
    case COLUMN_SCHOOL_ID:
    case COLUMN_INT:
        v->num = db_field_int4(f);
        return true;
    case COLUMN_PUPIL_KEY:
        v->num = (uint32_t)db_field_int4(f);
        return true;
    case COLUMN_YEAR:
    case COLUMN_HALVES:
    case COLUMN_INDICATORS:
    case COLUMN_HOME_LANGUAGE:
        v->num = db_field_int2(f);
        return true;
    case COLUMN_PUPIL:
        memcpy(v->pupil, f->data, 16);
        return f->len == 16;
    case COLUMN_WORD:
        return word_index(c, f, &v->num);
    case COLUMN_BOOL:
        v->num = *(const char *)f->data != 0;
        return true;
    case COLUMN_DATE:
        v->num = db_field_date(f);
        return true;
    case COLUMN_TEXT:
    case COLUMN_KEY:
        return read_text(b, *f, &v->text);
    case COLUMN_WORDS:
        return read_words(c, f, &v->num);
    case COLUMN_JSON:
        return read_text(b, db_field_jsonb(f), &v->text);
    }
    return false;
}

/* fields: op, happened_at, seq, then the table's columns. */
static bool read_event(struct event_batch *b, int table, const struct db_copy_field *fields)
{
    const struct log_table *t = &log_tables[table];
    struct event *e = &b->events[0];
    char op = *(const char *)fields[0].data;

    *e = (struct event){.type = EVENT_DEAD,
                        .time_us = db_field_timestamp(&fields[1]),
                        .seq = (uint64_t)db_field_int8(&fields[2])};
    for (int k = 0; k < EVENT_TYPE_COUNT; k++)
        if ((int)event_kinds[k].table == table && event_kinds[k].op == op)
            e->type = (uint16_t)k;
    b->arena_len = 0;
    for (int i = 0; i < t->count; i++) {
        if (!fields[3 + i].data)
            e->nulls |= 1u << i;
        else if (!read_value(b, &t->columns[i], &fields[3 + i], &b->values[i]))
            return false;
    }
    return e->type != EVENT_DEAD;
}

struct replay {
    struct db *db;
    struct ledger *ledger;
    struct event_batch batch; /* one event, over memory of our own */
    struct event event;
    struct value values[EVENT_COLUMNS_MAX];
    char arena[131072]; /* more than any event: COLUMN_JSON may have 64 KiB */
    uint64_t events;
    const struct db_tick *tick;
};

/* One (stream, epoch, table, school year). year 0: the table has none. */
static int replay_range(struct replay *p, int table, int year)
{
    const struct log_table *t = &log_tables[table];
    struct db_copy_field fields[3 + EVENT_COLUMNS_MAX];
    char sql[1024];
    int n = snprintf(sql, sizeof(sql), "COPY (SELECT op, happened_at, seq"), more, err = 0;

    for (int i = 0; i < t->count; i++)
        n += snprintf(sql + n, sizeof(sql) - (size_t)n, ", %s", t->columns[i].name);
    n += snprintf(sql + n, sizeof(sql) - (size_t)n,
                  " FROM teldag_data.%s WHERE stream_id = %u AND epoch = %" PRIu64, t->name,
                  p->batch.stream_id, p->batch.epoch);
    if (year)
        n += snprintf(sql + n, sizeof(sql) - (size_t)n, " AND school_year = %d", year);
    snprintf(sql + n, sizeof(sql) - (size_t)n, " ORDER BY seq) TO STDOUT (FORMAT binary)");
    db_copy_out(p->db, sql);
    while ((more = db_copy_out_row(p->db, fields, 3 + t->count)) == 1) {
        if (err)
            continue; /* drain */
        if (!read_event(&p->batch, table, fields))
            err = ERR_INVALID;
        else
            err = ledger_apply(p->ledger, &p->batch, &p->event);
        p->events++;
        if (p->events % 65536 == 0) { /* nothing to undo in a rebuild: keep the journal small */
            ledger_commit(p->ledger);
            ledger_begin(p->ledger);
            if (p->tick)
                p->tick->call(p->tick->context);
        }
    }
    return err ? err : more;
}

static int replay_epoch(struct replay *p, const struct db_result *years)
{
    int err = 0;

    for (int table = 0; table < LOG_TABLE_COUNT && !err; table++) {
        if (log_tables[table].year_column < 0)
            err = replay_range(p, table, 0);
        for (int i = 0; log_tables[table].year_column >= 0 && i < db_rows(years) && !err; i++)
            if (strncmp(db_text(years, i, 0), log_tables[table].name, strlen(log_tables[table].name)) == 0)
                err = replay_range(p, table, (int)db_int(years, i, 1));
    }
    return err;
}

int store_replay(struct db *db, const struct store_shard *shard, struct ledger *ledger, uint64_t *events,
                 const struct db_tick *tick)
{
    struct replay *p = calloc(1, sizeof(*p));
    struct db_result *epochs, *years;
    int err = 0;

    if (!p)
        return ERR_NOMEM;
    p->db = db;
    p->ledger = ledger;
    p->tick = tick;
    p->batch = (struct event_batch){.events = &p->event,
                                    .count = 1,
                                    .capacity = 1,
                                    .values = p->values,
                                    .value_count = EVENT_COLUMNS_MAX,
                                    .value_capacity = EVENT_COLUMNS_MAX,
                                    .arena = p->arena,
                                    .arena_capacity = sizeof(p->arena)};
    epochs = db_query(db,
                      "SELECT stream_id, epoch, resend, name FROM teldag_data.stream_epoch JOIN "
                      "teldag_data.stream USING (stream_id)"
                      " ORDER BY stream_id, epoch",
                      0, NULL);
    years = db_query(
        db,
        "SELECT p.relname, substring(c.relname FROM '[0-9]+$')::int FROM pg_inherits i"
        " JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent"
        " WHERE p.relnamespace = 'teldag_data'::regnamespace AND p.relname LIKE '%\\_log' ORDER BY 1, 2",
        0, NULL);
    ledger_begin(ledger);
    for (int i = 0; i < db_rows(epochs) && !err && !db_error(db); i++) {
        if (!store_shard_owns(shard, db_text(epochs, i, 3)))
            continue; /* another daemon's: it moves while we look */
        p->batch.stream_id = (uint32_t)db_int(epochs, i, 0);
        p->batch.epoch = (uint64_t)db_int(epochs, i, 1);
        if (i > 0 && db_int(epochs, i - 1, 0) == db_int(epochs, i, 0))
            err = ledger_accept_epoch(ledger, p->batch.stream_id, p->batch.epoch,
                                      strcmp(db_text(epochs, i, 2), "t") == 0);
        FAILPOINT(rebuild, epoch_begun);
        if (!err)
            err = replay_epoch(p, years);
        FAILPOINT(rebuild, epoch_replayed);
    }
    if (!err && !db_error(db))
        err = store_load_retained(db, shard, ledger);
    ledger_commit(ledger);
    *events = p->events;
    db_result_free(&epochs);
    db_result_free(&years);
    free(p);
    return err ? err : db_error(db);
}

/* ---- results ---- */

/* The tables are shared by all shards, and a row does not name its own. A row is ours when the ledger has a count of its
 * school, since schools, like streams, belong to one shard. Taking another's rows for ours would delete them as rows
 * that nobody can explain. */
struct owned {
    const struct store_shard *shard;
    struct ledger_key *keys; /* NULL: there is one shard */
    size_t count;
    struct results *results;
};

static bool owns_school(const struct owned *o, uint32_t school_id)
{
    size_t low = 0, high = o->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (o->keys[middle].school_id < school_id)
            low = middle + 1;
        else
            high = middle;
    }
    return !o->keys || (low < o->count && o->keys[low].school_id == school_id);
}

static int load_counts(struct db *db, const struct owned *o)
{
    struct db_copy_field f[12];
    int more, err = 0;

    db_copy_out(db,
                "COPY (SELECT school_year, school_id, grp, pupils, gok_pupils, thuistaal, schooltoelage, "
                "opleiding_moeder,"
                " thuisloos, trekkend, buurt, cells FROM teldag_data.count_state) TO STDOUT (FORMAT binary)");
    while ((more = db_copy_out_row(db, f, 12)) == 1) {
        struct count_row row = {.year = db_field_int2(&f[0]), .school_id = (uint32_t)db_field_int4(&f[1])};
        char grp[32];
        int group;

        snprintf(grp, sizeof(grp), "%.*s", f[2].len, (const char *)f[2].data);
        group = word_find(group_names, grp);
        if (err || group < 0 || group >= GROUP_COUNT || !store_read_cells(&f[11], &row.cells)) {
            err = err ? err : ERR_INVALID;
            continue;
        }
        row.group = (enum group)group;
        row.counts.pupils = db_field_int4(&f[3]);
        row.counts.gok = db_field_int4(&f[4]);
        for (int k = 0; k < IND_COUNT; k++)
            row.counts.indicator[k] = db_field_int4(&f[5 + k]);
        if (owns_school(o, row.school_id))
            err = results_load_count(o->results, &row);
    }
    return err ? err : more;
}

static int load_closed(struct db *db, const struct owned *o)
{
    struct db_copy_field f[5];
    int more, err = 0;

    db_copy_out(db,
                "COPY (SELECT school_year, school_id, closed, held, announced FROM teldag_data.count_closed)"
                " TO STDOUT (FORMAT binary)");
    while ((more = db_copy_out_row(db, f, 5)) == 1) {
        struct closed_row row = {.year = db_field_int2(&f[0]),
                                 .school_id = (uint32_t)db_field_int4(&f[1]),
                                 .closed = *(const char *)f[2].data != 0,
                                 .held = db_field_int4(&f[3]),
                                 .announced = db_field_int4(&f[4])};

        if (!err && owns_school(o, row.school_id))
            err = results_load_closed(o->results, &row);
    }
    return err ? err : more;
}

/* A numeric as PostgreSQL prints it, of any scale up to 36, without its trailing zeros. */
static struct exact exact_of(const struct db_result *r, int row, int column)
{
    struct exact e = {0, 0};
    bool fraction = false;

    for (const char *p = db_text(r, row, column); *p; p++) {
        if (*p == '.') {
            fraction = true;
        } else if (*p >= '0' && *p <= '9') {
            e.units = e.units * 10 + (*p - '0');
            e.scale += fraction;
        }
    }
    while (e.scale > 0 && e.units % 10 == 0) {
        e.units /= 10;
        e.scale--;
    }
    return e;
}

static int load_allocation(const struct db_result *r, int i, const struct owned *o)
{
    struct allocation a = {0};
    int staffing = word_find(staffing_names, db_text(r, i, 2)),
        group = word_find(group_names, db_text(r, i, 3)), status = word_find(status_names, db_text(r, i, 11));

    if (staffing < 0 || group < 0 || status < 0)
        return ERR_INVALID;
    a.year = (int)db_int(r, i, 0);
    a.school_id = (uint32_t)db_int(r, i, 1);
    a.staffing = (enum staffing)staffing;
    a.group = (enum group)group;
    a.pupils = (int32_t)db_int(r, i, 4);
    a.gok = (int32_t)db_int(r, i, 5);
    a.has_threshold = !db_is_null(r, i, 6);
    a.threshold = exact_of(r, i, 6);
    a.has_points = !db_is_null(r, i, 7);
    a.points = exact_of(r, i, 7);
    a.hours_exact = exact_of(r, i, 8);
    a.hours = (int32_t)db_int(r, i, 9);
    a.has_minimum = !db_is_null(r, i, 10);
    a.minimum = (int32_t)db_int(r, i, 10);
    a.status = (enum status)status;
    a.sanction_halves = strcmp(db_text(r, i, 12), "1") == 0 ? 2 : 1;
    a.granted = (int32_t)db_int(r, i, 13);
    a.has_margin_pupils = !db_is_null(r, i, 14);
    a.margin_pupils = (int32_t)db_int(r, i, 14);
    a.has_margin_hours = !db_is_null(r, i, 15);
    a.margin_hours = (int32_t)db_int(r, i, 15);
    return owns_school(o, a.school_id) ? results_load_allocation(o->results, &a) : 0;
}

static int load_allocations(struct db *db, const struct owned *o)
{
    struct db_result *r = db_query(
        db,
        "SELECT school_year, school_id, staffing, grp, pupils, gok_pupils, threshold, points, hours_exact,"
        " hours, minimum, status, sanction_factor, granted, margin_pupils, margin_hours"
        " FROM teldag_data.allocation_state",
        0, NULL);
    int err = 0;

    for (int i = 0; i < db_rows(r) && !err; i++)
        err = load_allocation(r, i, o);
    db_result_free(&r);
    return err ? err : db_error(db);
}

static int load_alert(const struct db_result *r, int i, const struct owned *o)
{
    struct alert_key k = {.group = -1};
    int kind = word_find(alert_kind_names, db_text(r, i, 0)),
        severity = word_find(severity_names, db_text(r, i, 1));

    if (kind < 0 || severity < 0)
        return ERR_INVALID;
    k.kind = (enum alert_kind)kind;
    k.school_id = (uint32_t)db_int(r, i, 2);
    k.year = (int)db_int(r, i, 3); /* "2024-2025": digits up to the hyphen */
    if (*db_text(r, i, 4))
        k.group = word_find(group_names, db_text(r, i, 4));
    snprintf(k.stream, sizeof(k.stream), "%s", db_text(r, i, 5));
    snprintf(k.subject, sizeof(k.subject), "%s", db_text(r, i, 6));
    return results_load_alert(o->results, &k, (enum severity)severity);
}

/* Alerts name their shard. Those of one shard alone may come from a time when there were more. */
static int load_alerts(struct db *db, const struct owned *o)
{
    char shard[16], shards[16];
    const char *values[] = {shard, shards};
    struct db_result *r;
    int err = 0;

    snprintf(shard, sizeof(shard), "%d", o->shard->shard);
    snprintf(shards, sizeof(shards), "%d", o->shard->shards);
    r = db_query(
        db,
        "SELECT kind, severity, school_id, school_year, grp, stream, subject FROM teldag_data.alert_state"
        " WHERE state = 'firing' AND ($2::int = 1 OR shard = $1::int)",
        2, values);
    for (int i = 0; i < db_rows(r) && !err; i++)
        err = load_alert(r, i, o);
    db_result_free(&r);
    return err ? err : db_error(db);
}

static int load_risks(struct db *db, const struct owned *o)
{
    struct db_result *r = db_query(db,
                                   "SELECT school_year, school_id, indicator, observed, pupils, probability, "
                                   "band FROM teldag_data.risk_state",
                                   0, NULL);
    int err = 0;

    for (int i = 0; i < db_rows(r) && !err; i++) {
        int indicator = word_find(risk_indicator_names, db_text(r, i, 2)),
            band = word_find(risk_band_names, db_text(r, i, 6));
        struct risk_row row = {.year = (int)db_int(r, i, 0),
                               .school_id = (uint32_t)db_int(r, i, 1),
                               .observed = (int32_t)db_int(r, i, 3),
                               .halves = db_int(r, i, 4),
                               .risk = {.judged = true, .probability = strtod(db_text(r, i, 5), NULL)}};

        if (indicator < 0 || band < 0)
            err = ERR_INVALID;
        row.indicator = (enum risk_indicator)indicator;
        row.risk.band = (enum risk_band)band;
        if (!err)
            err = owns_school(o, row.school_id) ? results_load_risk(o->results, &row) : 0;
    }
    db_result_free(&r);
    return err ? err : db_error(db);
}

int store_load_results(struct db *db, const struct store_shard *shard, const struct ledger *ledger,
                       struct results *results)
{
    struct owned o = {.shard = shard, .results = results};
    int err = 0;

    if (shard->shards > 1) {
        o.count = ledger_all(ledger, &o.keys);
        err = o.keys ? 0 : ERR_NOMEM;
    }
    if (!err)
        err = load_counts(db, &o);
    if (!err)
        err = load_closed(db, &o);
    if (!err)
        err = load_allocations(db, &o);
    if (!err)
        err = load_risks(db, &o);
    if (!err)
        err = load_alerts(db, &o);
    free(o.keys);
    return err;
}

/* ---- what is fixed ---- */

static bool read_budget(const struct db_result *r, int i, struct budget_value *out)
{
    int level = word_find(level_names, db_text(r, i, 1)), indicator = -1;

    for (int k = 0; k < IND_COUNT; k++)
        if (strcmp(indicator_names[k], db_text(r, i, 2)) == 0)
            indicator = k;
    *out = (struct budget_value){.year = (int)db_int(r, i, 0),
                                 .level = (enum level)level,
                                 .indicator = (enum indicator)indicator,
                                 .halves = db_int(r, i, 3),
                                 .envelope_cents = db_int(r, i, 4),
                                 .split = exact_of(r, i, 5)};
    return level >= 0 && indicator >= 0;
}

static bool read_reference(const struct db_result *r, int i, struct risk_reference *out)
{
    int level = word_find(level_names, db_text(r, i, 1)),
        indicator = word_find(risk_indicator_names, db_text(r, i, 2));

    *out = (struct risk_reference){.year = (int)db_int(r, i, 0),
                                   .level = (enum level)level,
                                   .indicator = (enum risk_indicator)indicator,
                                   .events = db_int(r, i, 3),
                                   .halves = db_int(r, i, 4),
                                   .rate = exact_of(r, i, 5)};
    return level >= 0 && indicator >= 0;
}

int store_load_fixed(struct db *db, struct fixed **out)
{
    struct db_result *budget = db_query(
        db,
        "SELECT school_year, level, indicator, pupils, envelope_cents, split FROM teldag_data.budget_value",
        0, NULL);
    struct db_result *references = db_query(
        db, "SELECT school_year, level, indicator, events, pupils, rate FROM teldag_data.risk_reference", 0,
        NULL);
    struct fixed *f = calloc(1, sizeof(*f));
    int err = db_error(db);

    if (f) {
        f->budget = calloc((size_t)db_rows(budget) + 1, sizeof(*f->budget));
        f->references = calloc((size_t)db_rows(references) + 1, sizeof(*f->references));
    }
    if (!err && (!f || !f->budget || !f->references))
        err = ERR_NOMEM;
    for (int i = 0; i < db_rows(budget) && !err; i++)
        if (!read_budget(budget, i, &f->budget[f->budget_count++]))
            err = ERR_INVALID;
    for (int i = 0; i < db_rows(references) && !err; i++)
        if (!read_reference(references, i, &f->references[f->reference_count++]))
            err = ERR_INVALID;
    db_result_free(&budget);
    db_result_free(&references);
    if (err)
        fixed_free(&f);
    *out = f;
    return err;
}

struct rules_set *store_load_rules(struct db *db, const char *hash, char *error, size_t error_len)
{
    const char *values[] = {hash};
    struct db_result *near =
        db_query(db, "SELECT near_pupils, near_hours FROM teldag_data.rules_set WHERE hash = $1", 1, values);
    struct db_result *r = db_query(db,
                                   "SELECT school_year, name, value, source, verified FROM teldag_data.rule "
                                   "WHERE hash = $1 ORDER BY school_year, name COLLATE \"C\"",
                                   1, values);
    size_t count = (size_t)db_rows(r);
    struct parameter *rows = calloc(count ? count : 1, sizeof(*rows));
    struct rules_set *set = NULL;

    if (db_rows(near) != 1 || !count || !rows) {
        snprintf(error, error_len, "rules set %s is not in the database%s%s", hash, db_error(db) ? ": " : "",
                 db_error_text(db));
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct parameter){(int)db_int(r, (int)i, 0), (char *)db_text(r, (int)i, 1),
                                     (char *)db_text(r, (int)i, 2), (char *)db_text(r, (int)i, 3),
                                     strcmp(db_text(r, (int)i, 4), "t") == 0};
    set = rules_from_parameters(
        rows, count, (struct rules_near){(int)db_int(near, 0, 0), (int)db_int(near, 0, 1)}, error, error_len);
out:
    free(rows);
    db_result_free(&near);
    db_result_free(&r);
    return set;
}
