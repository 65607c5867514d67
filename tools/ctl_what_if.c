/* SPDX-License-Identifier: MIT
 *
 * teldagctl what-if --rules FILE: what another rules file would make of the registrations there are. The logs are
 * replayed in memory under the rules in force with that file in the place of its year's, by the daemon's own code,
 * and compared with the rows that stand. Reads one snapshot; writes nothing, asks no daemon. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/migrate.h"
#include "tools/ctl.h"
#include "workers/store.h"

#define YEARS 200 /* 1900 + i */

struct outcome { /* of a row: as it stands, or as it would be */
    int32_t hours, granted;
    enum status status;
    bool there;
};
struct total {
    int64_t granted_before, granted;
    int rows, lose, gain;
};
struct what_if {
    struct ctl *ctl;
    struct db *db;
    uint32_t school; /* 0: all */
    struct rules_set *base, *variant;
    struct fixed *fixed;
    struct ledger *ledger;
    struct results *results;
    struct changes changes;
    struct allocation *stand; /* rows that stand, in the order of compare_rows() */
    size_t stand_count;
    struct total totals[YEARS][STAFFING_COUNT];
    struct json_writer json;
    int rows;
};

static int compare_rows(const void *a, const void *b)
{
    const struct allocation *x = a, *y = b;

    if (x->school_id != y->school_id)
        return x->school_id < y->school_id ? -1 : 1;
    if (x->year != y->year)
        return x->year < y->year ? -1 : 1;
    if (x->staffing != y->staffing)
        return x->staffing < y->staffing ? -1 : 1;
    return (x->group > y->group) - (x->group < y->group);
}

static int compare_changed(const void *a, const void *b)
{
    return compare_rows(&((const struct allocation_row *)a)->a, &((const struct allocation_row *)b)->a);
}

/* ---- computing ---- */

/* The set in force is the stored one: what the figures that stand were computed under. */
static int load_rules(struct what_if *x, const char *path, int year)
{
    struct db_result *r = db_query(
        x->db,
        "SELECT rules_hash FROM teldag_data.shard_progress WHERE rules_hash <> '' ORDER BY shard LIMIT 1", 0,
        NULL);
    char hash[40] = "", error[600] = "";

    if (db_rows(r) == 1)
        snprintf(hash, sizeof(hash), "%s", db_text(r, 0, 0));
    db_result_free(&r);
    if (db_error(x->db))
        return ctl_database_error(x->db);
    if (!*hash)
        return ctl_fail(EX_DATAERR,
                        "no rules are in force yet: nothing to compare with; start the daemon once");
    x->base = store_load_rules(x->db, hash, error, sizeof(error));
    if (!x->base)
        return db_error(x->db) ? ctl_database_error(x->db) : ctl_fail(EX_CONFIG, "%s", error);
    x->variant = rules_load_variant(x->base, path, year, error, sizeof(error));
    return x->variant ? 0 : ctl_fail(EX_CONFIG, "%s", error);
}

/* The rows that stand, for the figures before: the results keep them for comparing only. */
static int load_standing(struct what_if *x)
{
    struct db_result *r = db_query(x->db,
                                   "SELECT school_id, school_year, staffing, grp, hours, granted, status "
                                   "FROM teldag_data.allocation_state",
                                   0, NULL);

    x->stand_count = (size_t)db_rows(r);
    x->stand = calloc(x->stand_count + 1, sizeof(*x->stand));
    for (size_t i = 0; x->stand && i < x->stand_count; i++)
        x->stand[i] =
            (struct allocation){.school_id = (uint32_t)db_int(r, (int)i, 0),
                                .year = (int)db_int(r, (int)i, 1),
                                .staffing = (enum staffing)word_find(staffing_names, db_text(r, (int)i, 2)),
                                .group = (enum group)word_find(group_names, db_text(r, (int)i, 3)),
                                .hours = (int32_t)db_int(r, (int)i, 4),
                                .granted = (int32_t)db_int(r, (int)i, 5),
                                .status = (enum status)word_find(status_names, db_text(r, (int)i, 6))};
    db_result_free(&r);
    if (x->stand)
        qsort(x->stand, x->stand_count, sizeof(*x->stand), compare_rows);
    return db_error(x->db) ? db_error(x->db) : x->stand ? 0 : ERR_NOMEM;
}

static int compute(struct what_if *x)
{
    const struct store_shard all = {.shard = 0, .shards = 1};
    struct ledger_key *keys = NULL;
    size_t count = 0;
    uint64_t events;
    int err = store_load_fixed(x->db, &x->fixed);

    x->ledger = ledger_new();
    x->results = results_new();
    if (!err && (!x->ledger || !x->results))
        err = ERR_NOMEM;
    if (!err)
        err = store_add_streams(x->db, x->ledger);
    if (!err)
        err = ledger_set_rules(x->ledger, x->variant);
    if (!err)
        ledger_set_fixed(x->ledger, x->fixed);
    if (!err)
        err = store_replay(x->db, &all, x->ledger, &events, NULL);
    if (!err)
        err = store_load_results(x->db, &all, x->ledger, x->results);
    if (!err)
        err = load_standing(x);
    if (!err)
        err = results_keys(x->results, x->ledger, &keys, &count);
    if (!err)
        err = results_diff(x->results, x->ledger, keys, count, &x->changes);
    free(keys);
    if (!err)
        return 0;
    return db_error(x->db) ? ctl_database_error(x->db) : ctl_fail(EX_SOFTWARE, "what-if: %s", err_text(err));
}

/* ---- showing ---- */

static void print_pair(const char *before, const char *after, int width)
{
    char text[80];

    snprintf(text, sizeof(text), "%s%s%s", before, strcmp(before, after) ? " -> " : "",
             strcmp(before, after) ? after : "");
    printf("  %-*s", width, text);
}

static void print_numbers(struct outcome before, struct outcome after, int32_t a, int32_t b)
{
    char from[16] = "-", to[16] = "-";

    if (before.there)
        snprintf(from, sizeof(from), "%" PRId32, a);
    if (after.there)
        snprintf(to, sizeof(to), "%" PRId32, b);
    print_pair(from, to, 14);
}

static void print_row(struct what_if *x, const struct allocation *a, struct outcome before,
                      struct outcome after)
{
    char year[YEAR_TEXT_MAX];

    year_format(a->year, year);
    if (x->rows == 0)
        printf("%-9s  %-9s  %-26s  %-8s  %-14s  %-14s  %s\n", "school", "year", "stream", "group", "hours",
               "granted", "status");
    printf("%-9" PRIu32 "  %-9s  %-26s  %-8s", a->school_id, year, staffing_names[a->staffing],
           group_names[a->group]);
    print_numbers(before, after, before.hours, after.hours);
    print_numbers(before, after, before.granted, after.granted);
    print_pair(before.there ? status_names[before.status] : "no row",
               after.there ? status_names[after.status] : "no row", 0);
    printf("\n");
}

static void write_outcome(struct json_writer *j, const char *name, struct outcome o)
{
    if (!o.there) {
        json_write_null(j, name);
        return;
    }
    json_open_object(j, name);
    json_write_int(j, "hours", o.hours);
    json_write_int(j, "granted", o.granted);
    json_write_string(j, "status", status_names[o.status]);
    json_close_object(j);
}

static void write_row(struct json_writer *j, const struct allocation *a, struct outcome before,
                      struct outcome after)
{
    char id[16], year[YEAR_TEXT_MAX];

    snprintf(id, sizeof(id), "%" PRIu32, a->school_id);
    year_format(a->year, year);
    json_open_object(j, NULL);
    json_write_string(j, "school_id", id);
    json_write_string(j, "school_year", year);
    json_write_string(j, "stream", staffing_names[a->staffing]);
    json_write_string(j, "group", group_names[a->group]);
    write_outcome(j, "before", before);
    write_outcome(j, "after", after);
    json_close_object(j);
}

/* A row may differ in what is shown nowhere here (a margin, points): it counts as changed when a figure shown does. */
static void show_row(struct what_if *x, const struct allocation_row *row)
{
    const struct allocation *a = &row->a,
                            *s = bsearch(a, x->stand, x->stand_count, sizeof(*x->stand), compare_rows);
    struct outcome before = {0}, after = {a->hours, a->granted, a->status, !row->gone};
    struct total *total = &x->totals[a->year - 1900][a->staffing];

    if (x->school && a->school_id != x->school)
        return;
    if (s)
        before = (struct outcome){s->hours, s->granted, s->status, true};
    if (before.there == after.there && before.hours == after.hours && before.granted == after.granted &&
        before.status == after.status)
        return;
    if (x->ctl->json)
        write_row(&x->json, a, before, after);
    else
        print_row(x, a, before, after);
    x->rows++;
    total->rows++;
    total->granted_before += before.there ? before.granted : 0;
    total->granted += after.there ? after.granted : 0;
    total->lose += after.granted * after.there < before.granted;
    total->gain += after.granted * after.there > before.granted;
}

static void show_total(struct what_if *x, int year, enum staffing staffing, const struct total *t)
{
    char text[YEAR_TEXT_MAX];

    year_format(year, text);
    if (!x->ctl->json) {
        printf("%s %s: %d rows differ; granted %" PRId64 " -> %" PRId64 " (%+" PRId64 "); %d lose, %d gain\n",
               text, staffing_names[staffing], t->rows, t->granted_before, t->granted,
               t->granted - t->granted_before, t->lose, t->gain);
        return;
    }
    json_open_object(&x->json, NULL);
    json_write_string(&x->json, "school_year", text);
    json_write_string(&x->json, "stream", staffing_names[staffing]);
    json_write_int(&x->json, "rows", t->rows);
    json_write_int(&x->json, "granted_before", t->granted_before);
    json_write_int(&x->json, "granted", t->granted);
    json_write_int(&x->json, "lose", t->lose);
    json_write_int(&x->json, "gain", t->gain);
    json_close_object(&x->json);
}

static void show_totals(struct what_if *x)
{
    if (!x->ctl->json && x->rows)
        printf("\n");
    for (int y = 0; y < YEARS; y++)
        for (int s = 0; s < STAFFING_COUNT; s++)
            if (x->totals[y][s].rows)
                show_total(x, 1900 + y, (enum staffing)s, &x->totals[y][s]);
}

static void show_alert(struct what_if *x, const struct alert *a)
{
    char id[16], year[YEAR_TEXT_MAX];

    if (x->school && a->key.school_id != x->school)
        return;
    snprintf(id, sizeof(id), "%" PRIu32, a->key.school_id);
    year_format(a->key.year, year);
    if (!x->ctl->json) {
        printf("%s %s: school %s, %s%s%s\n", alert_kind_names[a->key.kind],
               a->firing ? "would fire" : "would resolve", id, year, a->firing ? ", " : "",
               a->firing ? severity_names[a->severity] : "");
        return;
    }
    json_open_object(&x->json, NULL);
    json_write_string(&x->json, "kind", alert_kind_names[a->key.kind]);
    json_write_string(&x->json, "state", a->firing ? "firing" : "resolved");
    json_write_string(&x->json, "severity", severity_names[a->severity]);
    json_write_string(&x->json, "school_id", id);
    json_write_string(&x->json, "school_year", year);
    json_close_object(&x->json);
}

static void show(struct what_if *x)
{
    struct json_writer *j = &x->json;
    bool json = x->ctl->json;

    qsort(x->changes.allocations, x->changes.allocation_count, sizeof(*x->changes.allocations),
          compare_changed);
    json_writer_init(j);
    json_open_object(j, NULL);
    json_write_string(j, "rules_in_force", rules_hash(x->base));
    json_write_string(j, "rules", rules_hash(x->variant));
    json_open_array(j, "rows");
    if (!json)
        printf(
            "What would be with rules set %s in the place of %s, which is in force. Nothing is changed.\n\n",
            rules_hash(x->variant), rules_hash(x->base));
    for (size_t i = 0; i < x->changes.allocation_count; i++)
        show_row(x, &x->changes.allocations[i]);
    json_close_array(j);
    json_open_array(j, "totals");
    show_totals(x);
    json_close_array(j);
    json_open_array(j, "alerts");
    if (!json && x->changes.alert_count)
        printf("\n");
    for (size_t i = 0; i < x->changes.alert_count; i++)
        show_alert(x, &x->changes.alerts[i]);
    json_close_array(j);
    json_close_object(j);
    if (json)
        printf("%s\n", j->text);
    else if (!x->rows)
        printf("no hour and no status would change\n");
    json_writer_fini(j);
}

/* ---- the command ---- */

static int run(struct what_if *x, const char *path, int year)
{
    char text[600];
    int code;

    x->db = ctl_connect(x->ctl, NULL, &code);
    if (!x->db)
        return code;
    if (migrate_check(x->db, text, sizeof(text)))
        return ctl_fail(EX_CONFIG, "%s", text);
    db_run(x->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    code = load_rules(x, path, year);
    if (!code)
        code = compute(x);
    db_rollback(x->db);
    if (!code)
        show(x);
    return code;
}

int ctl_what_if(struct ctl *ctl)
{
    const char *path = ctl_option(ctl, "--rules"), *year = ctl_option(ctl, "--year"),
               *school = ctl_option(ctl, "--school");
    struct what_if *x;
    char again[YEAR_TEXT_MAX] = "";
    int start = year ? atoi(year) : 0, code;

    if (year && start >= 1990 && start <= 2098)
        year_format(start, again);
    if (ctl->argc > 0 || !path || !*path || (school && !ctl_is_school(school)) ||
        (year && strcmp(year, again) != 0))
        return ctl_usage("what-if takes --rules FILE, and may take --year 2026-2027 and --school ID");
    x = calloc(1, sizeof(*x));
    if (!x)
        return ctl_fail(EX_OSERR, "out of memory");
    x->ctl = ctl;
    x->school = school ? (uint32_t)strtoul(school, NULL, 10) : 0;
    changes_init(&x->changes);
    code = run(x, path, start);
    changes_fini(&x->changes);
    results_free(&x->results);
    ledger_free(&x->ledger);
    fixed_free(&x->fixed);
    rules_free(&x->variant);
    rules_free(&x->base);
    free(x->stand);
    db_close(&x->db);
    free(x);
    return code;
}
