/* SPDX-License-Identifier: MIT
 *
 * The statements of one transaction: fences, logs by COPY BINARY, and the rows that changed by unnest. Which
 * rows those are is decided elsewhere (results.c); here only how they stand in the tables of sql/migrations.
 */
#include "workers/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "workers/commitment.h"

#define LOG_FIXED_COLUMNS 8 /* stream_id epoch seq op id source happened_at recorded_at */

static void number_text(char out[24], int64_t v)
{
    snprintf(out, 24, "%" PRId64, v);
}

static void date_text(char out[16], int32_t days)
{
    int y, m, d;

    date_to_ymd(days, &y, &m, &d);
    snprintf(out, 16, "%04d-%02d-%02d", y, m, d);
}

static void timestamp_text(char out[40], int64_t us)
{
    int64_t seconds = us / 1000000, day = seconds / 86400, rest = seconds % 86400;
    char date[16];

    date_text(date, (int32_t)day);
    snprintf(out, 40, "%s %02d:%02d:%02d.%06d+00", date, (int)(rest / 3600), (int)(rest / 60 % 60),
             (int)(rest % 60), (int)(us % 1000000));
}

/* Runs a named statement whose parameters are numbers; how many rows it changed. */
static uint64_t run_numbers(struct db *db, const char *statement, int count, const int64_t *numbers)
{
    char text[8][24];
    const char *values[8];
    struct db_result *r;
    uint64_t rows;

    assert(count <= 8);
    for (int i = 0; i < count; i++) {
        number_text(text[i], numbers[i]);
        values[i] = text[i];
    }
    r = db_named(db, statement, count, values);
    rows = db_affected(r);
    db_result_free(&r);
    return rows;
}

static int run_arrays(struct db *db, const char *statement, struct db_arrays *a)
{
    struct db_result *r = db_named_arrays(db, statement, a);

    db_result_free(&r);
    db_arrays_fini(a);
    return db_error(db);
}

int store_fence(struct db *db, const struct store_shard *s, uint64_t alerts, uint64_t token)
{
    const struct commitment_shard believed = {s->batch, s->token, s->alert_seq},
                                  next = commitment_advance(&believed, token, alerts);
    const int64_t numbers[] = {s->shard, (int64_t)s->batch, (int64_t)s->alert_seq, (int64_t)next.alert_seq,
                               (int64_t)next.token};
    uint64_t rows = run_numbers(db, "shard_fence", 5, numbers);

    return db_error(db) ? db_error(db) : commitment_fence(rows);
}

int store_advance(struct db *db, const struct store_stream *b, uint64_t epoch, uint64_t next, uint64_t head)
{
    const int64_t numbers[] = {b->id,          (int64_t)b->epoch, (int64_t)b->next,
                               (int64_t)epoch, (int64_t)next,     (int64_t)head};
    uint64_t rows = run_numbers(db, "feed_fence", 6, numbers);

    if (!db_error(db) && commitment_fence(rows))
        return ERR_FENCE;
    if (b->epoch == 0 && epoch != 0) { /* the first epoch of a stream needs nobody's word */
        const char *values[3];
        char id[24], e[24];
        struct db_result *r;

        number_text(id, b->id);
        number_text(e, (int64_t)epoch);
        values[0] = id, values[1] = e, values[2] = "f";
        r = db_named(db, "epoch_record", 3, values);
        db_result_free(&r);
    }
    return db_error(db);
}

/* ---- logs ---- */

static void copy_words(struct db *db, const struct column *c, int64_t bits)
{
    const char *words[64];
    int n = 0;

    for (int i = 0; c->words[i]; i++)
        if (bits >> i & 1)
            words[n++] = c->words[i];
    db_copy_text_array(db, words, n);
}

static void copy_value(struct db *db, const struct event_batch *b, const struct column *c,
                       const struct value *v)
{
    switch (c->kind) {
    case COLUMN_SCHOOL_ID:
    case COLUMN_INT:
    case COLUMN_PUPIL_KEY:
        db_copy_int4(db, (int32_t)v->num);
        break;
    case COLUMN_YEAR:
    case COLUMN_HALVES:
    case COLUMN_INDICATORS:
    case COLUMN_HOME_LANGUAGE:
        db_copy_int2(db, (int16_t)v->num);
        break;
    case COLUMN_PUPIL:
        db_copy_bytes(db, v->pupil, 16);
        break;
    case COLUMN_WORD:
        db_copy_bytes(db, c->words[v->num], strlen(c->words[v->num]));
        break;
    case COLUMN_BOOL:
        db_copy_bool(db, v->num != 0);
        break;
    case COLUMN_DATE:
        db_copy_date(db, (int32_t)v->num);
        break;
    case COLUMN_TEXT:
    case COLUMN_KEY:
        db_copy_bytes(db, batch_text(b, v->text), v->text.len);
        break;
    case COLUMN_WORDS:
        copy_words(db, c, v->num);
        break;
    case COLUMN_JSON:
        db_copy_jsonb(db, batch_text(b, v->text), v->text.len);
        break;
    }
}

static void copy_event(struct db *db, const struct log_table *t, const struct event_batch *b,
                       const struct event *e, int64_t now_us)
{
    const struct value *values = event_values(b, e);

    db_copy_row(db, LOG_FIXED_COLUMNS + t->count);
    db_copy_int4(db, (int32_t)b->stream_id);
    db_copy_int8(db, (int64_t)b->epoch);
    db_copy_int8(db, (int64_t)e->seq);
    db_copy_bytes(db, &event_kinds[e->type].op, 1);
    db_copy_bytes(db, batch_text(b, e->id), e->id.len);
    db_copy_bytes(db, batch_text(b, e->source), e->source.len);
    db_copy_timestamp(db, e->time_us);
    db_copy_timestamp(db, now_us);
    for (int i = 0; i < t->count; i++) {
        if (event_is_null(e, i))
            db_copy_null(db);
        else
            copy_value(db, b, &t->columns[i], &values[i]);
    }
}

static void begin_copy(struct db *db, const struct log_table *t)
{
    char sql[1024];
    int n = snprintf(sql, sizeof(sql),
                     "COPY teldag_data.%s (stream_id, epoch, seq, op, id, source, happened_at, recorded_at",
                     t->name);

    for (int i = 0; i < t->count; i++)
        n += snprintf(sql + n, sizeof(sql) - (size_t)n, ", %s", t->columns[i].name);
    snprintf(sql + n, sizeof(sql) - (size_t)n, ") FROM STDIN (FORMAT binary)");
    db_copy_in(db, sql);
}

int store_logs(struct db *db, const struct store_item *items, size_t count, int64_t now_us)
{
    for (int table = 0; table < LOG_TABLE_COUNT; table++) {
        bool begun = false;

        for (size_t i = 0; i < count; i++) {
            const struct event *e = items[i].event;

            if (e->type == EVENT_DEAD || (int)event_kinds[e->type].table != table)
                continue;
            if (!begun)
                begin_copy(db, &log_tables[table]);
            begun = true;
            copy_event(db, &log_tables[table], items[i].batch, e, now_us);
        }
        if (begun)
            db_copy_in_end(db, NULL);
    }
    return db_error(db);
}

int store_dead_letters(struct db *db, const struct store_item *items, size_t count, int64_t now_us)
{
    bool begun = false;

    for (size_t i = 0; i < count; i++) {
        const struct event_batch *b = items[i].batch;
        const struct event *e = items[i].event;

        if (e->type != EVENT_DEAD)
            continue;
        if (!begun)
            db_copy_in(db, "COPY teldag_data.dead_letter (stream_id, epoch, seq, reason, raw, recorded_at)"
                           " FROM STDIN (FORMAT binary)");
        begun = true;
        db_copy_row(db, 6);
        db_copy_int4(db, (int32_t)b->stream_id);
        db_copy_int8(db, (int64_t)b->epoch);
        db_copy_int8(db, (int64_t)e->seq);
        db_copy_bytes(db, batch_text(b, e->reason), e->reason.len);
        db_copy_bytes(db, batch_text(b, e->raw), e->raw.len);
        db_copy_timestamp(db, now_us);
    }
    if (begun)
        db_copy_in_end(db, NULL);
    return db_error(db);
}

/* ---- what changed ---- */

static void write_counts(struct db *db, const struct changes *c)
{
    struct db_arrays up, del;
    size_t ups = 0, dels = 0;

    db_arrays_init(&up, 12);
    db_arrays_init(&del, 3);
    for (size_t i = 0; i < c->count_count; i++) {
        const struct count_row *row = &c->counts[i];
        struct db_arrays *a = row->gone ? &del : &up;
        char cells[IND_CELLS * 12 + 4];
        int n = 0;

        db_arrays_int(a, 0, row->year);
        db_arrays_int(a, 1, row->school_id);
        db_arrays_text(a, 2, group_names[row->group]);
        dels += row->gone;
        ups += !row->gone;
        if (row->gone)
            continue;
        db_arrays_int(a, 3, row->counts.pupils);
        db_arrays_int(a, 4, row->counts.gok);
        for (int k = 0; k < IND_COUNT; k++)
            db_arrays_int(a, 5 + k, row->counts.indicator[k]);
        for (int k = 0; k < IND_CELLS; k++)
            n += snprintf(cells + n, sizeof(cells) - (size_t)n, "%c%d", k ? ',' : '{', row->cells.halves[k]);
        snprintf(cells + n, sizeof(cells) - (size_t)n, "}");
        db_arrays_text(a, 11, cells);
    }
    if (ups)
        run_arrays(db, "count_upsert", &up);
    else
        db_arrays_fini(&up);
    if (dels)
        run_arrays(db, "count_delete", &del);
    else
        db_arrays_fini(&del);
}

static void write_closed(struct db *db, const struct changes *c)
{
    struct db_arrays a;

    if (!c->closed_count)
        return;
    db_arrays_init(&a, 5);
    for (size_t i = 0; i < c->closed_count; i++) {
        db_arrays_int(&a, 0, c->closed[i].year);
        db_arrays_int(&a, 1, c->closed[i].school_id);
        db_arrays_text(&a, 2, c->closed[i].closed ? "t" : "f");
        db_arrays_int(&a, 3, c->closed[i].held);
        db_arrays_int(&a, 4, c->closed[i].announced);
    }
    run_arrays(db, "closed_upsert", &a);
}

static void put_exact(struct db_arrays *a, int column, bool has, struct exact v)
{
    char text[EXACT_TEXT_MAX];

    if (!has) {
        db_arrays_null(a, column);
        return;
    }
    exact_format(v, text);
    db_arrays_text(a, column, text);
}

static void put_int(struct db_arrays *a, int column, bool has, int64_t v)
{
    if (has)
        db_arrays_int(a, column, v);
    else
        db_arrays_null(a, column);
}

static void put_allocation(struct db_arrays *up, const struct allocation *a, const char *rules_hash)
{
    db_arrays_int(up, 4, a->pupils);
    db_arrays_int(up, 5, a->gok);
    put_exact(up, 6, a->has_threshold, a->threshold);
    put_exact(up, 7, a->has_points, a->points);
    put_exact(up, 8, true, a->hours_exact);
    db_arrays_int(up, 9, a->hours);
    put_int(up, 10, a->has_minimum, a->minimum);
    db_arrays_text(up, 11, status_names[a->status]);
    db_arrays_text(up, 12, a->sanction_halves == 2 ? "1" : "0.5");
    db_arrays_int(up, 13, a->granted);
    put_int(up, 14, a->has_margin_pupils, a->margin_pupils);
    put_int(up, 15, a->has_margin_hours, a->margin_hours);
    db_arrays_text(up, 16, rules_hash);
}

static void write_allocations(struct db *db, const struct changes *c, const char *rules_hash)
{
    struct db_arrays up, del;
    size_t ups = 0, dels = 0;

    db_arrays_init(&up, 17);
    db_arrays_init(&del, 4);
    for (size_t i = 0; i < c->allocation_count; i++) {
        const struct allocation_row *row = &c->allocations[i];
        struct db_arrays *a = row->gone ? &del : &up;

        db_arrays_int(a, 0, row->a.year);
        db_arrays_int(a, 1, row->a.school_id);
        db_arrays_text(a, 2, staffing_names[row->a.staffing]);
        db_arrays_text(a, 3, group_names[row->a.group]);
        dels += row->gone;
        ups += !row->gone;
        if (!row->gone)
            put_allocation(a, &row->a, rules_hash);
    }
    if (ups)
        run_arrays(db, "allocation_upsert", &up);
    else
        db_arrays_fini(&up);
    if (dels)
        run_arrays(db, "allocation_delete", &del);
    else
        db_arrays_fini(&del);
}

static void write_alerts(struct db *db, const struct store_shard *shard, const struct changes *c,
                         int64_t now_us)
{
    struct db_arrays a;
    char text[40];

    if (!c->alert_count)
        return;
    db_arrays_init(&a, 13);
    for (size_t i = 0; i < c->alert_count; i++) {
        const struct alert *alert = &c->alerts[i];
        const struct alert_key *k = &alert->key;

        db_arrays_int(&a, 0, shard->shard);
        db_arrays_int(&a, 1, (int64_t)(shard->alert_seq + 1 + i));
        db_arrays_text(&a, 2, alert_kind_names[k->kind]);
        db_arrays_text(&a, 3, severity_names[alert->severity]);
        db_arrays_text(&a, 4, alert->firing ? "firing" : "resolved");
        snprintf(text, sizeof(text), "%u", k->school_id);
        db_arrays_text(&a, 5, k->school_id ? text : "");
        text[0] = '\0';
        if (k->year)
            year_format(k->year, text);
        db_arrays_text(&a, 6, text);
        db_arrays_text(&a, 7, k->group < 0 ? "" : group_names[k->group]);
        db_arrays_text(&a, 8, k->stream);
        db_arrays_text(&a, 9, k->subject);
        db_arrays_text(&a, 10, alert->summary);
        db_arrays_text(&a, 11, alert->detail);
        timestamp_text(text, now_us);
        db_arrays_text(&a, 12, text);
    }
    run_arrays(db, "alert_change", &a);
}

static void write_risks(struct db *db, const struct changes *c)
{
    struct db_arrays up, del;
    size_t ups = 0, dels = 0;

    db_arrays_init(&up, 7);
    db_arrays_init(&del, 3);
    for (size_t i = 0; i < c->risk_count; i++) {
        const struct risk_row *row = &c->risks[i];
        struct db_arrays *a = row->gone ? &del : &up;
        char text[40];

        db_arrays_int(a, 0, row->year);
        db_arrays_int(a, 1, row->school_id);
        db_arrays_text(a, 2, risk_indicator_names[row->indicator]);
        dels += row->gone;
        ups += !row->gone;
        if (row->gone)
            continue;
        db_arrays_int(a, 3, row->observed);
        db_arrays_int(a, 4, row->halves);
        snprintf(text, sizeof(text), "%.17g", row->risk.probability); /* reads back as the same double */
        db_arrays_text(a, 5, text);
        db_arrays_text(a, 6, risk_band_names[row->risk.band]);
    }
    if (ups)
        run_arrays(db, "risk_upsert", &up);
    else
        db_arrays_fini(&up);
    if (dels)
        run_arrays(db, "risk_delete", &del);
    else
        db_arrays_fini(&del);
}

int store_changes(struct db *db, const struct store_shard *shard, const struct changes *c,
                  const char *rules_hash, int64_t now_us)
{
    if (c->count_count)
        write_counts(db, c);
    write_closed(db, c);
    if (c->allocation_count)
        write_allocations(db, c, rules_hash);
    if (c->risk_count)
        write_risks(db, c);
    write_alerts(db, shard, c, now_us);
    return db_error(db);
}

/* ---- operator's acts ---- */

int store_local(struct db *db, const struct store_shard *shard, const char *act, const char *body_json)
{
    char id[24], seq[24];
    const char *values[] = {id, seq, act, body_json};
    struct db_result *r;

    number_text(id, shard->shard);
    number_text(seq, (int64_t)shard->local_seq + 1);
    r = db_named(db, "local_append", 4, values);
    db_result_free(&r);
    return db_error(db);
}

int store_fixed(struct db *db, bool budget, int year, const char *body_json)
{
    char text[24];
    const char *values[] = {text, body_json};
    struct db_result *r;

    number_text(text, year);
    r = db_named(db, budget ? "budget_clear" : "reference_clear", 1, values);
    db_result_free(&r);
    r = db_named(db, budget ? "budget_store" : "reference_store", 2, values);
    db_result_free(&r);
    return db_error(db);
}

int store_rules(struct db *db, const struct store_shard *shard, const struct rules_set *set)
{
    struct rules_near near = rules_near(set);
    char id[24], pupils[24], hours[24];
    const char *head[] = {rules_hash(set), pupils, hours}, *current[] = {id, rules_hash(set)};
    struct db_arrays a;
    struct db_result *r;

    number_text(id, shard->shard);
    number_text(pupils, near.pupils);
    number_text(hours, near.hours);
    r = db_named(db, "rules_set_store", 3, head);
    db_result_free(&r);
    db_arrays_init(&a, 6);
    for (size_t i = 0; i < rules_count(set); i++) {
        const struct parameter *p = rules_parameter(set, i);

        db_arrays_text(&a, 0, rules_hash(set));
        db_arrays_int(&a, 1, p->year);
        db_arrays_text(&a, 2, p->name);
        db_arrays_text(&a, 3, p->value);
        db_arrays_text(&a, 4, p->source);
        db_arrays_text(&a, 5, p->verified ? "t" : "f");
    }
    run_arrays(db, "rules_store", &a);
    r = db_named(db, "rules_current", 2, current);
    db_result_free(&r);
    return db_error(db);
}

int store_clock(struct db *db, const struct store_shard *shard, int32_t day)
{
    char id[24], date[16];
    const char *values[] = {id, date};
    struct db_result *r;
    uint64_t rows;

    number_text(id, shard->shard);
    date_text(date, day);
    r = db_named(db, "clock_step", 2, values);
    rows = db_affected(r);
    db_result_free(&r);
    if (db_error(db))
        return db_error(db);
    return rows == 1 ? 0 : ERR_FENCE;
}
