/* SPDX-License-Identifier: MIT
 *
 * Retention in the database: the fixed rows a rebuild starts from, and the two calls of the act. What goes and what is kept is
 * decided by the owner's functions (sql/migrations/0017), since the daemon may not delete from logs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/store.h"

#define LONG_MS (15 * 60 * 1000) /* a statement of the act may take so long and is no standstill */

int store_retained_before(struct db *db, int *before)
{
    struct db_result *r = db_query(db, "SELECT teldag_data.retained_before()", 0, NULL);

    *before = db_rows(r) == 1 ? (int)db_int(r, 0, 0) : 0;
    db_result_free(&r);
    return db_error(db);
}

/* The rows are all shards' together: of several, each takes those of schools its own streams speak of. */
static bool is_ours(const struct store_shard *shard, const struct ledger *l, uint32_t school_id)
{
    return shard->shards <= 1 || ledger_knows_school(l, school_id);
}

bool store_read_cells(const struct db_copy_field *f, struct group_cells *out)
{
    if (f->len != 20 + 8 * IND_CELLS) /* an int[] of that length, without nulls */
        return false;
    for (int k = 0; k < IND_CELLS; k++) {
        struct db_copy_field cell = {(const char *)f->data + 20 + 8 * k + 4, 4};

        out->halves[k] = db_field_int4(&cell);
    }
    return true;
}

static int load_count(struct ledger *l, const struct store_shard *shard, const struct db_copy_field f[4])
{
    uint32_t school_id = (uint32_t)db_field_int4(&f[1]);
    struct group_cells cells;
    char name[32];
    int group;

    snprintf(name, sizeof(name), "%.*s", f[2].len, (const char *)f[2].data);
    group = word_find(group_names, name);
    if (group < 0 || group >= GROUP_COUNT || !store_read_cells(&f[3], &cells))
        return ERR_INVALID;
    return is_ours(shard, l, school_id)
               ? ledger_retain_cells(l, school_id, db_field_int2(&f[0]), (enum group)group, &cells)
               : 0;
}

static int load_closing(struct ledger *l, const struct store_shard *shard, const struct db_copy_field f[5])
{
    uint32_t school_id = (uint32_t)db_field_int4(&f[1]);

    return is_ours(shard, l, school_id)
               ? ledger_retain_closed(l, school_id, db_field_int2(&f[0]), *(const char *)f[2].data != 0,
                                      db_field_int4(&f[3]), db_field_int4(&f[4]))
               : 0;
}

static int load_incidents(struct ledger *l, const struct store_shard *shard, const struct db_copy_field f[4])
{
    uint32_t school_id = (uint32_t)db_field_int4(&f[1]);
    char name[32];
    int indicator;

    snprintf(name, sizeof(name), "%.*s", f[2].len, (const char *)f[2].data);
    indicator = word_find(risk_indicator_names, name);
    if (indicator < 0)
        return ERR_INVALID;
    return is_ours(shard, l, school_id)
               ? ledger_retain_incidents(l, school_id, db_field_int4(&f[0]), (enum risk_indicator)indicator,
                                         (int32_t)db_field_int8(&f[3]))
               : 0;
}

static int load_rows(struct db *db, const struct store_shard *shard, struct ledger *l, const char *sql,
                     int columns,
                     int (*load)(struct ledger *, const struct store_shard *, const struct db_copy_field *))
{
    struct db_copy_field f[5];
    int more, err = 0;

    db_copy_out(db, sql);
    while ((more = db_copy_out_row(db, f, columns)) == 1)
        if (!err) /* else drain */
            err = load(l, shard, f);
    return err ? err : more;
}

int store_load_retained(struct db *db, const struct store_shard *shard, struct ledger *l)
{
    int err = load_rows(db, shard, l,
                        "COPY (SELECT school_year, school_id, grp, cells FROM teldag_data.retained_count)"
                        " TO STDOUT (FORMAT binary)",
                        4, load_count);

    if (!err)
        err = load_rows(db, shard, l,
                        "COPY (SELECT school_year, school_id, closed, held, announced FROM "
                        "teldag_data.retained_closed) TO STDOUT (FORMAT binary)",
                        5, load_closing);
    if (!err)
        err = load_rows(db, shard, l,
                        "COPY (SELECT school_year, school_id, indicator, observed FROM "
                        "teldag_data.retained_incident) TO STDOUT (FORMAT binary)",
                        4, load_incidents);
    return err;
}

int store_retain_refusal(struct db *db, int before, bool as_they_are, char *text, size_t text_len,
                         const struct db_tick *tick)
{
    char year[16];
    const char *values[] = {year, as_they_are ? "t" : "f"};
    struct db_result *r;

    snprintf(year, sizeof(year), "%d", before);
    r = db_query_long(
        db, "SELECT string_agg(r, '; ') FROM teldag_data.retain_refusals($1::smallint, $2::boolean) AS r", 2,
        values, tick, LONG_MS);
    snprintf(text, text_len, "%s", db_rows(r) == 1 ? db_text(r, 0, 0) : "");
    db_result_free(&r);
    return db_error(db);
}

int store_retain_rows(struct db *db, int before, int64_t *rows, const struct db_tick *tick)
{
    char year[16];
    const char *values[] = {year};
    struct db_result *r;

    snprintf(year, sizeof(year), "%d", before);
    r = db_query_long(db, "SELECT coalesce(sum(p.rows), 0) FROM teldag_data.retain_plan($1::smallint) p", 1,
                      values, tick, LONG_MS);
    *rows = db_rows(r) == 1 ? db_int(r, 0, 0) : 0;
    db_result_free(&r);
    return db_error(db);
}

int store_retain(struct db *db, int before, bool as_they_are, char **body, const struct db_tick *tick)
{
    char year[16];
    const char *values[] = {year, as_they_are ? "t" : "f"};
    struct db_result *r;
    bool busy;

    snprintf(year, sizeof(year), "%d", before);
    r = db_query_long(db, "SELECT teldag_data.retain($1::smallint, $2::boolean)", 2, values, tick, LONG_MS);
    busy = db_rows(r) == 1 && db_is_null(r, 0, 0);
    free(*body);
    *body = db_rows(r) == 1 && !busy ? strdup(db_text(r, 0, 0)) : NULL;
    db_result_free(&r);
    if (db_error(db))
        return db_error(db);
    return busy ? ERR_AGAIN : *body ? 0 : ERR_NOMEM;
}

int store_retain_alerts(struct db *db, int before, const struct db_tick *tick)
{
    char year[16];
    const char *values[] = {year};
    struct db_result *r;

    snprintf(year, sizeof(year), "%d", before);
    r = db_query_long(db, "SELECT teldag_data.retain_alerts($1::smallint)", 1, values, tick, LONG_MS);
    db_result_free(&r);
    return db_error(db);
}
