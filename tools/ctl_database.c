/* SPDX-License-Identifier: MIT
 *
 * teldagctl and the database: connecting, printing rows, migrating, verifying. What is verified is in
 * sql/checks: each check is a query that must return no row, and computes in SQL what the daemon computed in
 * C. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/clock.h"
#include "daemon/migrate.h"
#include "tools/ctl.h"

#define COLUMNS_MAX       32
#define DIFFERENCES_SHOWN 10

static int exit_code_of(int error)
{
    return error == ERR_DB_CONFIG ? EX_CONFIG : error == ERR_DB_DATA ? EX_DATAERR : EX_UNAVAILABLE;
}

int ctl_database_error(struct db *db)
{
    int code = exit_code_of(db_error(db));
    const char *state = db_error_sqlstate(db), *advice = "";

    if (strcmp(state, "42501") == 0)
        code = EX_NOPERM;
    if (strcmp(state, "42P01") == 0 || strcmp(state, "42703") == 0 || strcmp(state, "3F000") == 0)
        advice = "; another schema than this version's: run `teldagctl migrate` as the owner of the database";
    return ctl_fail(code, "database: %s%s", db_error_text(db), advice);
}

static int load_config(struct ctl *ctl)
{
    char error[600];

    if (ctl->config)
        return 0;
    ctl->config = config_load(ctl->config_path, error, sizeof(error));
    return ctl->config ? 0 : ctl_fail(EX_CONFIG, "%s", error);
}

static struct db *connect_by(struct db *(*open)(const char *, const char *), struct ctl *ctl,
                             const char *conninfo, int *code)
{
    struct db *db;

    if (!conninfo && (*code = load_config(ctl)))
        return NULL;
    db = open(conninfo ? conninfo : ctl->config->database, "teldagctl");
    if (!db) {
        *code = ctl_fail(EX_OSERR, "out of memory");
        return NULL;
    }
    if (db_error(db)) {
        *code = ctl_fail(db_error(db) == ERR_DB_CONFIG ? EX_CONFIG : EX_UNAVAILABLE,
                         "cannot connect to the database: %s", db_error_text(db));
        db_close(&db);
        return NULL;
    }
    db_run(db, "SET search_path = pg_catalog; SET jit = off");
    *code = EX_OK;
    return db;
}

struct db *ctl_connect(struct ctl *ctl, const char *conninfo, int *code)
{
    return connect_by(db_open, ctl, conninfo, code);
}

struct db *ctl_connect_writer(struct ctl *ctl, const char *conninfo, int *code)
{
    return connect_by(db_open_writer, ctl, conninfo, code);
}

bool ctl_is_school(const char *text)
{
    size_t n = strspn(text, "0123456789");

    return n > 0 && n <= 9 && text[n] == '\0';
}

/* ---- printing ---- */

/* How many places a UTF-8 text takes (combining marks aside). */
static int width_of(const char *text)
{
    int width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void print_cell(const char *text, int width, bool last)
{
    char *shown = strdup(text);

    if (shown)
        ctl_disarm(shown);
    printf("%s", shown ? shown : "");
    free(shown);
    for (int pad = last ? 0 : width - width_of(text) + 2; pad > 0; pad--)
        putchar(' ');
}

static void print_rows(const struct db_result *r)
{
    int width[COLUMNS_MAX], columns = db_columns(r) < COLUMNS_MAX ? db_columns(r) : COLUMNS_MAX;

    for (int c = 0; c < columns; c++) {
        width[c] = width_of(db_column_name(r, c));
        for (int i = 0; i < db_rows(r); i++)
            if (width_of(db_text(r, i, c)) > width[c])
                width[c] = width_of(db_text(r, i, c));
    }
    for (int c = 0; c < columns; c++)
        print_cell(db_column_name(r, c), width[c], c + 1 == columns);
    putchar('\n');
    for (int i = 0; i < db_rows(r); i++) {
        for (int c = 0; c < columns; c++)
            print_cell(db_is_null(r, i, c) ? "-" : db_text(r, i, c), width[c], c + 1 == columns);
        putchar('\n');
    }
}

int ctl_print_query(struct ctl *ctl, struct db *db, const char *title, const char *sql, int count,
                    const char *const *values)
{
    char *wrapped = NULL;
    struct db_result *r;
    int rows;

    if (ctl->json &&
        asprintf(&wrapped, "SELECT coalesce(json_agg(t), '[]')::text, count(*) FROM (%s) t", sql) < 0)
        return -1;
    r = db_query(db, wrapped ? wrapped : sql, count, values);
    free(wrapped);
    if (!r)
        return -1;
    rows = ctl->json ? (int)db_int(r, 0, 1) : db_rows(r);
    if (ctl->json) {
        printf("%s%s\n", title ? title : "", db_text(r, 0, 0));
    } else {
        if (title)
            printf("%s\n", title);
        if (rows)
            print_rows(r);
        else
            printf("(none)\n");
    }
    db_result_free(&r);
    return rows;
}

/* ---- migrate ---- */

static void say_applied(const char *name)
{
    printf("applied %s\n", name);
    fflush(stdout);
}

/* The two roles are the server's, and making them needs CREATEROLE, which the owner of a database seldom has: the
 * migration then goes on without, and the operator hears what is left to do, each time until it is done. */
static void say_what_roles_lack(struct db *db)
{
    struct db_result *r =
        db_query(db,
                 "SELECT string_agg(format('CREATE ROLE %I NOLOGIN;', w), ' '), current_user FROM "
                 "unnest(ARRAY['teldag_writer', 'teldag_reader', 'teldag_inspection_reader', "
                 "'teldag_board_reader', 'teldag_school_reader', 'teldag_public_reader']) AS u (w)"
                 " WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = w)",
                 0, NULL);
    const char *missing = db_rows(r) == 1 ? db_text(r, 0, 0) : "";
    struct db_result *rights = NULL;

    if (!*missing)
        rights = db_query(db,
                          "SELECT has_schema_privilege('teldag_reader', 'teldag', 'USAGE')"
                          " AND has_schema_privilege('teldag_writer', 'teldag_data', 'USAGE')"
                          " AND has_schema_privilege('teldag_inspection_reader', 'teldag', 'USAGE')"
                          " AND has_schema_privilege('teldag_board_reader', 'teldag_own', 'USAGE')"
                          " AND has_schema_privilege('teldag_school_reader', 'teldag_own', 'USAGE')"
                          " AND has_schema_privilege('teldag_public_reader', 'teldag_public', 'USAGE')",
                          0, NULL);
    if (*missing || (db_rows(rights) == 1 && strcmp(db_text(rights, 0, 0), "t") != 0))
        printf("the roles for readers and for a daemon that is not the owner lack something. %s%s%s"
               "In this database, as %s: SELECT teldag_data.grant_roles();\n",
               *missing ? "As a superuser: " : "", missing, *missing ? " " : "",
               db_rows(r) == 1 ? db_text(r, 0, 1) : "its owner");
    db_result_free(&rights);
    db_result_free(&r);
}

int ctl_migrate(struct ctl *ctl)
{
    const char *conninfo = ctl_option(ctl, "--database");
    char text[600];
    struct db *db;
    int code, err;

    if (ctl->argc > 0 || (conninfo && !*conninfo))
        return ctl_usage("migrate takes --database CONNINFO or nothing");
    db = ctl_connect_writer(ctl, conninfo, &code);
    if (!db)
        return code;
    err = migrate_run(db, say_applied, text, sizeof(text));
    if (err)
        code = ctl_fail(exit_code_of(err), "%s", text);
    else
        printf("the schema is up to date\n");
    if (!err)
        say_what_roles_lack(db);
    db_close(&db);
    return code;
}

/* ---- verify ---- */

struct verification {
    struct ctl *ctl;
    struct db *db;
    struct json_writer json;
    int checks, failed;
    long differences;
};

static void report_check(struct verification *v, const struct db_embedded *check, const struct db_result *r,
                         uint64_t us)
{
    int rows = db_rows(r);

    v->checks++;
    v->failed += rows > 0;
    v->differences += rows;
    if (v->ctl->json) {
        json_open_object(&v->json, NULL);
        json_write_string(&v->json, "check", check->name);
        json_write_int(&v->json, "differences", rows);
        json_write_double(&v->json, "seconds", (double)us / 1e6);
        json_open_array(&v->json, "rows");
    } else {
        printf("%-34s %s (%.2f s)\n", check->name, rows ? "DIFFERS" : "ok", (double)us / 1e6);
    }
    for (int i = 0; i < rows && i < DIFFERENCES_SHOWN; i++) {
        if (v->ctl->json)
            json_open_object(&v->json, NULL);
        for (int c = 0; c < db_columns(r); c++) {
            if (v->ctl->json)
                json_write_string(&v->json, db_column_name(r, c),
                                  db_is_null(r, i, c) ? NULL : db_text(r, i, c));
            else
                printf("%s%s: %s", c ? "; " : "    ", db_column_name(r, c),
                       db_is_null(r, i, c) ? "-" : db_text(r, i, c));
        }
        if (v->ctl->json)
            json_close_object(&v->json);
        else
            printf("\n");
    }
    if (v->ctl->json) {
        json_close_array(&v->json);
        json_close_object(&v->json);
    } else if (rows > DIFFERENCES_SHOWN) {
        printf("    and %d more\n", rows - DIFFERENCES_SHOWN);
    }
}

/* All checks see one snapshot, also while the daemon writes. They join whole sets whose sizes the planner
 * cannot guess (it takes a recounted set for one row): nested loops over them would be quadratic. */
static void run_checks(struct verification *v)
{
    db_run(v->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL work_mem = '256MB'; SET LOCAL "
                  "enable_nestloop = off");
    for (const struct db_embedded *check = db_checks; check->name && !db_error(v->db); check++) {
        uint64_t started = clock_monotonic_us();
        struct db_result *r = db_query(v->db, check->text, 0, NULL);

        if (r)
            report_check(v, check, r, clock_monotonic_us() - started);
        db_result_free(&r);
    }
    db_rollback(v->db);
}

int ctl_verify(struct ctl *ctl)
{
    struct verification v = {.ctl = ctl};
    char text[600];
    int code;

    if (ctl->argc > 0)
        return ctl_usage("verify takes no arguments");
    v.db = ctl_connect(ctl, NULL, &code);
    if (!v.db)
        return code;
    if (migrate_check(v.db, text, sizeof(text))) {
        code = ctl_fail(EX_CONFIG, "%s", text);
        goto out;
    }
    json_writer_init(&v.json);
    json_open_object(&v.json, NULL);
    json_open_array(&v.json, "checks");
    run_checks(&v);
    if (db_error(v.db)) {
        code = ctl_database_error(v.db);
        goto out_json;
    }
    code = v.failed ? EX_DATAERR : EX_OK;
    json_close_array(&v.json);
    json_write_int(&v.json, "failed", v.failed);
    json_write_int(&v.json, "differences", v.differences);
    json_close_object(&v.json);
    if (ctl->json)
        printf("%s\n", v.json.text);
    else if (v.failed)
        printf("verify: %d of %d checks differ; keep the database as it is and see docs/operations.md\n",
               v.failed, v.checks);
    else
        printf("verify: clean, %d checks\n", v.checks);
out_json:
    json_writer_fini(&v.json);
out:
    db_close(&v.db);
    return code;
}
