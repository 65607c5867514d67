/* SPDX-License-Identifier: MIT
 *
 * The daemon's computation of a whole database, without the daemon: reads the logs of a database back into a ledger, as a
 * rebuild does, and stores counts, closings, allocations and alerts. tests/sql/agree.sh compares them with the SQL's.
 * Prints "live UNMATCHED" numbers of the ledger. Argument: connection string. */
#include <stdio.h>
#include <stdlib.h>

#include "workers/store.h"

static int compute(struct db *db, struct ledger *ledger, struct results *results, struct rules_set *set)
{
    struct store_shard shard = {.shard = 0, .shards = 1};
    struct ledger_key *keys = NULL;
    struct subject *subjects = NULL;
    struct changes changes;
    struct fixed *fixed = NULL;
    uint64_t events;
    size_t count, subject_count;
    int err = store_load_shard(db, &shard);

    changes_init(&changes);
    if (!err)
        err = store_add_streams(db, ledger);
    if (!err)
        err = ledger_set_rules(ledger, set);
    if (!err)
        err = store_load_fixed(db, &fixed);
    ledger_set_fixed(ledger, fixed);
    if (!err)
        err = store_replay(db, &shard, ledger, &events, NULL);
    if (err)
        goto out;
    count = ledger_all(ledger, &keys);
    err = keys ? results_diff(results, ledger, keys, count, &changes) : ERR_NOMEM;
    if (!err)
        err = results_subjects(results, ledger, &subjects, &subject_count);
    if (!err)
        err = results_diff_subjects(results, ledger, shard.today, subjects, subject_count, &changes);
    if (!err)
        err = db_begin(db);
    if (!err)
        err = store_fence(db, &shard, changes.alert_count, 1);
    if (!err)
        err = store_changes(db, &shard, &changes, "test", 1700000000000000);
    if (!err)
        err = db_commit(db);
out:
    free(keys);
    free(subjects);
    ledger_set_fixed(ledger, NULL);
    fixed_free(&fixed);
    changes_fini(&changes);
    return err;
}

int main(int argc, char **argv)
{
    char error[500] = "";
    struct db *db = argc == 2 ? db_open(argv[1], "agree") : NULL;
    struct ledger *ledger = ledger_new();
    struct results *results = results_new();
    struct rules_set *set = db ? store_load_rules(db, "test", error, sizeof(error)) : NULL;
    int err = set && ledger && results ? compute(db, ledger, results, set) : ERR_INVALID;

    if (err)
        fprintf(stderr, "agree: %s: %s %s\n", err_text(err), error,
                db ? db_error_text(db) : "usage: agree CONNINFO");
    else
        printf("%llu %llu\n", (unsigned long long)ledger_numbers(ledger).live,
               (unsigned long long)ledger_numbers(ledger).unmatched);
    ledger_free(&ledger);
    results_free(&results);
    rules_free(&set);
    db_close(&db);
    return err ? 1 : 0;
}
