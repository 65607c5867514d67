/* SPDX-License-Identifier: MIT
 *
 * The writer thread: one PGconn and the ledger. Takes whatever waits in the inbox, applies it, and commits all effects,
 * progress and alerts in one transaction (P2). Absent database: waits with back-off, says so, loses nothing. */
#pragma once

#include "workers/inbox.h"
#include "workers/rules.h"
#include "workers/stream_status.h"

struct writer;
struct writer_config {
    const char *conninfo;
    struct inbox *inbox;
    struct stream_status **streams;   /* by pointer, NULL-terminated */
    struct rules_set *rules;          /* taken over */
    int shard, shards;                /* this daemon is shard of shards */
    int32_t fixed_today;              /* --today, days since 1970; INT32_MIN = the clock of Europe/Brussels */
    void (*committed)(void *context); /* wake-up for the publisher: alerts or an act were committed */
    /* where the writer is, before committed(): server identity, epoch and last sequence of its alerts */
    void (*placed)(void *context, const char *system_id, uint64_t alert_epoch, uint64_t alert_seq);
    void *committed_context; /* of both */
};
enum writer_phase {
    WRITER_CONNECTING,
    WRITER_WAITING_LOCK,
    WRITER_REBUILDING,
    WRITER_RUNNING,
    WRITER_BACKING_OFF,
    WRITER_REFUSED,
    WRITER_STOPPED
};
extern const char *const writer_phase_names[];
struct writer_status { /* a copy */
    enum writer_phase phase;
    char message[512]; /* what happened and what to do; "" when running */
    uint64_t batches, events, rows, dead_letters, rebuilds, retries, rebuild_differences,
        progress; /* progress: fed to the watchdog */
    uint64_t commit_us_sum, commit_us_max, commit_buckets[16];
    uint64_t alert_seq, alert_epoch;
    double rebuild_seconds;
    uint64_t registrations, live, unmatched, schools, ledger_bytes;
    uint64_t alerts[32][3]; /* by kind and severity */
    int32_t today;
    char rules_hash[40];
};
/* commit_buckets[i]: commits that took at most WRITER_COMMIT_LEAST_US << i (not cumulative); the last one takes all longer. */
#define WRITER_COMMIT_LEAST_US 125u
static inline int writer_commit_bucket(uint64_t us)
{
    int i = 0;
    while (i < 15 && us > (uint64_t)WRITER_COMMIT_LEAST_US << i)
        i++;
    return i;
}
struct writer *writer_start(const struct writer_config *config);
void writer_stop(struct writer *writer); /* drain the inbox, commit, end */
void writer_join(struct writer **writer);
void writer_read_status(struct writer *writer, struct writer_status *out);

/* Operator's acts, carried out between batches; block until done or timeout. 0 or an error with text. */
enum writer_act {
    ACT_RULES,
    ACT_ACCEPT_RESEND,
    ACT_ACCEPT_CONTINUE,
    ACT_PAUSE,
    ACT_RESUME,
    ACT_DEAD_RETRY,
    ACT_DEAD_DROP,
    ACT_FIX_BUDGET,
    ACT_FIX_REFERENCE,
    ACT_RETAIN
};
struct writer_request {
    enum writer_act act;
    char stream[WIRE_NAME_MAX + 1];
    uint64_t epoch, seq;     /* dead letters; seq 0 = all open of the stream */
    struct rules_set *rules; /* ACT_RULES: taken over */
    int year;                /* ACT_FIX_*, ACT_RETAIN: start of the school year */
    bool as_they_are;        /* ACT_RETAIN: what is open or fires is fixed so, or ended */
    char answer[512];        /* out */
};
int writer_request(struct writer *writer, struct writer_request *request, int timeout_ms) MUST_CHECK;
