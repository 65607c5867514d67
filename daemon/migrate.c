/* SPDX-License-Identifier: MIT
 *
 * Decides which embedded migrations a database lacks, and applies them in order under an advisory lock, so
 * that two operators who migrate at once do it once. */
#include "daemon/migrate.h"

#include <stdio.h>
#include <string.h>

#include "daemon/failpoint.h"

#define MIGRATE_LOCK "7234017283807667300"

static bool table_exists(struct db *db)
{
    struct db_result *r =
        db_query(db, "SELECT to_regclass('teldag_data.schema_migration') IS NOT NULL", 0, NULL);
    bool exists = r && strcmp(db_text(r, 0, 0), "t") == 0;

    db_result_free(&r);
    return exists;
}

/* How many of ours are applied, in order; *unknown gets the first one that is not ours. */
static int applied(struct db *db, char *unknown, size_t unknown_len)
{
    struct db_result *r;
    int count = 0;

    unknown[0] = '\0';
    if (!table_exists(db))
        return 0;
    r = db_query(db, "SELECT version FROM teldag_data.schema_migration ORDER BY version COLLATE \"C\"", 0,
                 NULL);
    for (int i = 0; i < db_rows(r); i++) {
        if (db_migrations[count].name && strcmp(db_text(r, i, 0), db_migrations[count].name) == 0) {
            count++;
        } else {
            snprintf(unknown, unknown_len, "%s", db_text(r, i, 0));
            break;
        }
    }
    db_result_free(&r);
    return count;
}

int migrate_check(struct db *db, char *text, size_t text_len)
{
    char unknown[64];
    int count = applied(db, unknown, sizeof(unknown));

    if (db_error(db)) {
        snprintf(text, text_len, "%s", db_error_text(db));
        return db_error(db);
    }
    if (unknown[0]) {
        snprintf(text, text_len,
                 "the database's schema has %s, which this program (version %s) does not know: install the "
                 "newer teldagd",
                 unknown, TELDAGD_VERSION);
        return ERR_DB_CONFIG;
    }
    if (db_migrations[count].name) {
        snprintf(text, text_len,
                 "the database's schema lacks %s%s: run `teldagctl migrate` as the owner of the database",
                 db_migrations[count].name, count ? "" : " (it has no teldag schema at all)");
        return ERR_DB_CONFIG;
    }
    return 0;
}

static int apply(struct db *db, const struct db_embedded *m)
{
    const char *values[1] = {m->name};
    struct db_result *r;

    FAILPOINT(migrate, before_begin);
    db_begin(db);
    FAILPOINT(migrate, begun);
    db_run(db, m->text);
    FAILPOINT(migrate, applied);
    r = db_query(db, "INSERT INTO teldag_data.schema_migration (version) VALUES ($1)", 1, values);
    db_result_free(&r);
    FAILPOINT(migrate, recorded);
    if (db_commit(db) != 0)
        db_rollback(db);
    FAILPOINT(migrate, committed);
    return db_error(db);
}

int migrate_run(struct db *db, void (*done)(const char *name), char *text, size_t text_len)
{
    char unknown[64];
    int count;

    db_run(db, "SET client_min_messages = warning");
    db_run(db, "SELECT pg_advisory_lock(" MIGRATE_LOCK ")");
    FAILPOINT(migrate, locked);
    count = applied(db, unknown, sizeof(unknown));
    if (unknown[0]) {
        snprintf(
            text, text_len,
            "the database's schema has %s, which this program does not know: install the newer teldagctl",
            unknown);
        return ERR_DB_CONFIG;
    }
    for (const struct db_embedded *m = db_migrations + count; m->name && !db_error(db); m++) {
        if (apply(db, m) != 0) {
            snprintf(text, text_len, "migration %s failed and was rolled back: %s", m->name,
                     db_error_text(db));
            return db_error(db);
        }
        done(m->name);
    }
    FAILPOINT(migrate, before_unlock);
    db_run(db, "SELECT pg_advisory_unlock(" MIGRATE_LOCK ")");
    if (db_error(db))
        snprintf(text, text_len, "%s", db_error_text(db));
    return db_error(db);
}
