/* SPDX-License-Identifier: MIT
 *
 * What the files of the writer share: writer_worker.c (thread, status, requests), writer_session.c
 * (connection, lock, rebuild), writer_batch.c (one transaction, poison), writer_acts.c (operator's acts,
 * clock, rules). Everything but `mutex` and what it guards belongs to the writer thread. */
#pragma once

#include <pthread.h>

#include "workers/store.h"
#include "workers/writer_worker.h"

#define WRITER_BATCH_EVENTS 20000
#define WRITER_STREAMS_MAX  256

struct writer_stream {
    struct store_stream at; /* committed position */
    struct stream_status *status;
    bool best_effort;
    uint64_t dead_today;
    char last_reason[160];
};

/* One transaction: events, or one of the operator's acts, or both none (alerts only). */
struct writer_tx {
    const struct store_item *items;
    size_t count;
    const char *act, *body;  /* local_log; NULL: none */
    struct rules_set *rules; /* put in force */
    int32_t today;           /* a day of the clock; INT32_MIN: none */
    bool all;                /* every school is diffed (repair, rules) */
    int accept;              /* index of the stream whose new position is taken; -1: none */
    uint64_t accept_epoch, accept_next;
    bool accept_resend;
    int pause; /* index of the stream; -1: none */
    bool paused;
    struct fixed
        *fixed; /* what stands fixed after it; NULL: as before. The year and kind that its act fixes */
    int fixed_year;
    bool fixed_budget;
    const char *dead_state; /* new state of dead letters: retried, superseded, dropped; NULL: none */
    uint32_t dead_stream;
    uint64_t dead_epoch, dead_seq;
    bool replay; /* items are inserted at their old positions: the ledger is built anew inside */
    int retain;  /* pupils of earlier school years go; 0: none */
    bool as_they_are;
};

/* What becomes true with the open transaction's COMMIT. */
struct writer_open {
    struct changes changes;
    struct writer_tx tx;
    uint64_t token;
    struct ledger *ledger; /* tx.replay: the new one */
    bool unresolved;       /* COMMIT sent, no answer */
    char *retain_body;     /* tx.retain: of its act */
};

struct writer {
    struct writer_config config;
    char conninfo[1024];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct writer_status status;    /* guarded */
    enum writer_phase logged_phase; /* guarded; what the log heard last */
    char logged[512];               /* guarded */
    struct writer_request order;    /* the writer's own copy: who asked may stop waiting */
    enum { ORDER_FREE, ORDER_WAITS, ORDER_BEGUN, ORDER_LEFT, ORDER_DONE } order_state; /* guarded */
    int order_result;                                                                  /* guarded */
    bool stopping;                                                                     /* guarded */

    struct db *db;
    bool locked;
    uint64_t seen;       /* the highest batch this process has seen committed, its own or another's */
    uint64_t seen_epoch; /* the alert epoch it was seen under */
    bool session_read;   /* positions were read, and a COMMIT's outcome settled, in this session */
    struct ledger *ledger;
    struct results *results;
    bool ledger_valid;
    bool first_acts_due; /* rebuilt, but differences and rules not yet looked at */
    uint64_t settled;    /* transactions known to be committed */
    char refusal[400];   /* why PostgreSQL refused the last data */
    uint64_t generation; /* rebuilds: items taken before one are looked at again */
    struct rules_set *wanted, *stored;
    const struct rules_set *in_force;
    struct fixed *fixed, *fixed_wanted; /* that the ledger knows; that an open transaction brings */
    struct store_shard shard;
    int retained_before; /* pupils of earlier school years have gone, and their events are refused; 0: none */
    struct writer_stream streams[WRITER_STREAMS_MAX];
    size_t stream_count;
    bool years[200]; /* 1900 + i: partitions made */
    struct writer_open open;
    struct event_batch *pending; /* taken, not yet applied */
    struct event_batch *poison;  /* memory of events that PostgreSQL refused */
    struct store_item *items;    /* WRITER_BATCH_EVENTS * 2 */
    unsigned backoff_ms;
    uint64_t operational_us; /* when alerts of streams were looked at last */
};

/* writer_worker.c */
bool writer_is_stopping(struct writer *w);
/* It goes on: rows come, or the server works at a statement that is known to be long. The watchdog is fed by it. */
void writer_tick(void *writer);
void writer_say(struct writer *w, enum writer_phase phase, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void writer_count(struct writer *w, uint64_t *counter, uint64_t by);
void writer_refuse_order(struct writer *w); /* one that waits and is not begun: not now, and why */
void writer_publish_numbers(struct writer *w);
void writer_tell_place(struct writer *w); /* to the publisher */

/* writer_session.c */
/* Connected, locked, positions believed, ledger valid, an unresolved COMMIT settled or abandoned. */
int writer_make_ready(struct writer *w) MUST_CHECK;
void writer_disconnect(struct writer *w);
void writer_back_off(struct writer *w, const char *why);
int writer_build_ledger(struct writer *w, struct ledger **out, uint64_t *events) MUST_CHECK;
void writer_order_reset(struct writer_stream *s);

/* writer_batch.c */
struct writer_tx writer_tx_none(void);
/* One transaction, retried until its outcome is known. ERR_FENCE: the ledger was rebuilt, look at the input
 * again; ERR_DB_DATA: refused; ERR_CLOSED: stopping; ERR_DB_CONFIG: refused for good. */
int writer_transact(struct writer *w, const struct writer_tx *tx) MUST_CHECK;
void writer_settle(struct writer *w);  /* the open transaction is committed */
void writer_abandon(struct writer *w); /* the open transaction is rolled back */
int writer_apply_pending(struct writer *w) MUST_CHECK;
/* Alerts of streams that the receivers' state implies; appended to out. */
int writer_stream_alerts(struct writer *w, struct changes *out) MUST_CHECK;

/* writer_acts.c */
int writer_first_acts(struct writer *w) MUST_CHECK; /* after a rebuild: differences, rules */
int writer_step_clock(struct writer *w) MUST_CHECK;
int writer_fix(struct writer *w, struct writer_request *request) MUST_CHECK;    /* writer_fix.c */
int writer_retain(struct writer *w, struct writer_request *request) MUST_CHECK; /* writer_retain.c */
int writer_do_request(struct writer *w, struct writer_request *request) MUST_CHECK;
