/* SPDX-License-Identifier: MIT
 *
 * teldagctl restored: the operator's word that this database was put back to an earlier state. Alert numbers that were given
 * out after it will be given out again with other content, so every shard's alert log goes on under a new epoch, before any
 * daemon writes. Most restores the daemon sees by itself (workers/epoch.c); a copy of the files, or a recovery that ends on a
 * later timeline, looks like a promoted standby, and only who did it knows. */
#include <sysexits.h>

#include "daemon/migrate.h"
#include "tools/ctl.h"
#include "workers/store.h"

/* Under the shard's lock, so that no daemon writes meanwhile. */
static int renew(struct db *db, int number)
{
    struct store_shard shard = {.shard = number, .shards = 1};
    struct store_holder holder;
    int got = store_lock(db, number, &holder);

    if (got < 0)
        return ctl_database_error(db);
    if (got == 0 && holder.stranger)
        return ctl_fail(
            EX_UNAVAILABLE,
            "role \"%s\" (backend pid %d) holds the lock of shard %d and is no daemon: end it with "
            "SELECT pg_terminate_backend(%d)",
            holder.role, holder.pid, number, holder.pid);
    if (got == 0)
        return ctl_fail(
            EX_UNAVAILABLE,
            "a daemon (backend pid %d) writes shard %d: stop every teldagd on this database, then say "
            "`teldagctl restored` again, and start them",
            holder.pid, number);
    if (store_load_shard(db, &shard) ||
        (shard.alert_epoch && store_renew_epoch(db, &shard, "restored, says the operator")))
        return ctl_database_error(db);
    return EX_OK;
}

static int renew_all(struct db *db)
{
    struct db_result *r =
        db_query(db, "SELECT shard FROM teldag_data.shard_progress ORDER BY shard", 0, NULL);
    int code = db_error(db) ? ctl_database_error(db) : EX_OK;

    if (!code && db_rows(r) == 0)
        code = ctl_fail(EX_DATAERR, "no daemon has ever written to this database: there is nothing to renew");
    for (int i = 0; i < db_rows(r) && !code; i++)
        code = renew(db, (int)db_int(r, i, 0));
    db_result_free(&r);
    return code;
}

int ctl_restored(struct ctl *ctl)
{
    const char *conninfo = ctl_option(ctl, "--database");
    char text[600];
    struct db *db;
    int code;

    if (ctl->argc > 0 || (conninfo && !*conninfo))
        return ctl_usage("restored takes --database CONNINFO or nothing");
    db = ctl_connect_writer(ctl, conninfo, &code);
    if (!db)
        return code;
    if (migrate_check(db, text, sizeof(text)))
        code = ctl_fail(EX_CONFIG, "%s", text);
    if (!code)
        code = renew_all(db);
    if (!code && ctl_print_query(ctl, db, ctl->json ? NULL : "alerts go on under a new epoch:",
                                 "SELECT DISTINCT ON (shard) shard, epoch, after_seq FROM teldag.alert_epoch "
                                 "ORDER BY shard, epoch DESC",
                                 0, NULL) < 0)
        code = ctl_database_error(db);
    if (!code && !ctl->json &&
        ctl_print_query(
            ctl, db,
            "events are fetched again from here; each journal must still have them (teldag-feed dump):",
            "SELECT stream, epoch, next_seq FROM teldag.feed_progress ORDER BY stream", 0, NULL) < 0)
        code = ctl_database_error(db);
    db_close(&db);
    return code;
}
