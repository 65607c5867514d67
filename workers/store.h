/* SPDX-License-Identifier: MIT
 *
 * The writer's view of the database: its session and lock, the positions it believes, one transaction's statements,
 * and the reading back of logs and results at a rebuild. Owned by the writer thread. Knows tables and columns; knows
 * nothing of queues, retries or rules. Errors: the first one of the connection, in the classes of enum err. */
#pragma once

#include "daemon/db.h"
#include "workers/results.h"
#include "workers/rules.h"

struct store_stream { /* one row of stream + feed_progress, as believed */
    uint32_t id;
    char name[ALERT_STREAM_MAX];
    uint64_t epoch, next;
    bool paused;
};
struct store_shard { /* shard_progress, as believed */
    int shard, shards;
    uint64_t batch, alert_seq, token, alert_epoch, local_seq;
    int32_t today; /* INT32_MIN: not yet */
    char rules_hash[40];
    char system_id[64];    /* of the server we are connected to: system identifier, timeline, table */
    char stored_id[64];    /* the one the alert epoch belongs to */
    uint64_t latest_epoch; /* the largest this process found or gave out */
    bool synchronous;      /* the last transaction was committed under declared synchronous replication */
};

/* One event of a transaction, in stream order per stream. */
struct store_item {
    const struct event_batch *batch;
    const struct event *event;
};

/* Who holds the shard's advisory lock: any login of the server can take one. */
struct store_holder {
    int pid;
    char role[64];
    bool stranger; /* may not write what a daemon writes, so it is none */
};
/* Takes it: 1 taken, 0 held by another session, < 0 error. */
int store_lock(struct db *db, int shard, struct store_holder *holder);
/* Reads (and makes, the first time) the shard's row. */
int store_load_shard(struct db *db, struct store_shard *shard);
/* A new epoch of its alert log under this server's identity, recorded as an act, whatever the rules say. */
int store_renew_epoch(struct db *db, struct store_shard *shard, const char *reason);
/* Its batch number and alert epoch, seen by whoever waits for the lock; 0: none, or an error. */
uint64_t store_read_batch(struct db *db, int shard, uint64_t *alert_epoch);
/* Gives the alert log its first epoch, or a new one where numbers may be given out again (epoch.h), and then reads the
 * row again: *renewal says why, NULL: it goes on. set_back: the log ends before what this process has seen. */
int store_settle_epoch(struct db *db, struct store_shard *shard, bool set_back, const char **renewal);
/* Makes sure of the stream's rows and reads where it stands. */
int store_load_stream(struct db *db, const struct store_shard *shard, struct store_stream *stream,
                      bool best_effort);
/* All streams there ever were, into the ledger. */
int store_add_streams(struct db *db, struct ledger *ledger);
/* Replays the logs of the shard's streams into the ledger, in stream order. events counts rows. tick (NULL: none) is called
 * after each 65 536 rows: it moves because rows come. */
int store_replay(struct db *db, const struct store_shard *shard, struct ledger *ledger, uint64_t *events,
                 const struct db_tick *tick);
/* What the database shows of the shard: all of it when there is one shard; else what is of schools the ledger speaks of. */
int store_load_results(struct db *db, const struct store_shard *shard, const struct ledger *ledger,
                       struct results *results);
/* Whether a stream is the shard's: its partition modulo the number of shards. */
bool store_shard_owns(const struct store_shard *shard, const char *stream);
/* store_retained.c: the fixed rows of school years whose pupils have gone, into the ledger after its logs; what cells are as
 * PostgreSQL sends them; the first school year that is kept (0: all). */
int store_load_retained(struct db *db, const struct store_shard *shard, struct ledger *ledger);
bool store_read_cells(const struct db_copy_field *f, struct group_cells *out);
int store_retained_before(struct db *db, int *before);
/* Why `retain` would be refused ("" when not), and how many rows it would take away. These and store_retain() go through
 * all logs: tick is called while they do. */
int store_retain_refusal(struct db *db, int before, bool as_they_are, char *text, size_t text_len,
                         const struct db_tick *tick);
int store_retain_rows(struct db *db, int before, int64_t *rows, const struct db_tick *tick);
/* What is fixed; *out is NULL when an error is returned. */
int store_load_fixed(struct db *db, struct fixed **out);
/* The rules set of a hash, as stored; NULL and error text when it cannot be had. */
struct rules_set *store_load_rules(struct db *db, const char *hash, char *error, size_t error_len);
/* A new school year's partitions; own transaction. */
int store_ensure_year(struct db *db, int year);

/* Inside a transaction. store_fence is ERR_FENCE when another writer moved the row. */
int store_fence(struct db *db, const struct store_shard *shard, uint64_t alerts, uint64_t token);
int store_advance(struct db *db, const struct store_stream *believed, uint64_t epoch, uint64_t next,
                  uint64_t head);
int store_logs(struct db *db, const struct store_item *items, size_t count, int64_t now_us);
int store_dead_letters(struct db *db, const struct store_item *items, size_t count, int64_t now_us);
int store_changes(struct db *db, const struct store_shard *shard, const struct changes *changes,
                  const char *rules_hash, int64_t now_us);
int store_local(struct db *db, const struct store_shard *shard, const char *act, const char *body_json);
/* From the body of the act that fixes them. */
int store_fixed(struct db *db, bool budget, int year, const char *body_json);
/* Takes the rows away; *body (malloc'ed, replaced) is that of the act. ERR_AGAIN: a long reader is in the way. The alerts after
 * the transaction's own. */
int store_retain(struct db *db, int before, bool as_they_are, char **body, const struct db_tick *tick);
int store_retain_alerts(struct db *db, int before, const struct db_tick *tick);
int store_rules(struct db *db, const struct store_shard *shard, const struct rules_set *set);
int store_clock(struct db *db, const struct store_shard *shard, int32_t day);
