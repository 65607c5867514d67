/* SPDX-License-Identifier: MIT
 *
 * The whole protocol in virtual time, under one seed: producers and feeds with journals, a hostile bus, two daemons
 * (receivers, writer, publisher) on one shard, PostgreSQL with a standby, and a subscriber of alerts. The decisions are
 * the product's own (position, commitment, answer); what stands around them here is a model of threads, disks, sockets
 * and statements, cut where another process could act or die in between. A step is one act of the scheduler. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/answer.h"
#include "workers/commitment.h"
#include "workers/position.h"

#define STREAMS     3
#define DAEMONS     2
#define STREAM_KEYS 8
#define KEYS        (STREAMS * STREAM_KEYS)
#define ALERT_KEYS  (KEYS + STREAMS) /* one a key; and stream.gap, one a stream */
#define LINES_MAX   8                /* in a message */
#define INBOX_MAX   24               /* batches */
#define ITEMS_MAX   (INBOX_MAX * LINES_MAX)
#define SESSIONS    8
#define MESSAGES    4096
#define PIPE_MAX    400 /* messages under way between two: a high-water mark */
#define ACTS        8192
#define ALERTS_MAX  30000
#define EPOCHS_MAX  16 /* of the alert log, in a run */
#define EPOCH_FIRST 7
#define LINKS       (DAEMONS * STREAMS + 1)
#define ALERT_LINK  (DAEMONS * STREAMS)
#define NOBODY      255

enum fault {
    FAULT_KILL_FEED,
    FAULT_KILL_DAEMON,
    FAULT_KILL_SUBSCRIBER,
    FAULT_POWER, /* all but the subscriber at once */
    FAULT_FREEZE,
    FAULT_NEW_JOURNAL,
    FAULT_TRIM,
    FAULT_GONE,
    FAULT_LOST,
    FAULT_DOUBLED,
    FAULT_OVERTAKEN,
    FAULT_DAMAGED,
    FAULT_CUT,
    FAULT_HALF_OPEN,
    FAULT_ERROR_ANSWER,
    FAULT_INBOX_FULL,
    FAULT_DATABASE_CRASH,
    FAULT_FAILOVER,
    FAULT_LAGGING, /* promotion of a standby that lacks the last commits */
    FAULT_CONNECTION,
    FAULT_STATEMENT,
    FAULT_COMMIT_LOST,  /* no answer, never done */
    FAULT_COMMIT_DONE,  /* no answer, done */
    FAULT_COMMIT_LATER, /* no answer, decided when nobody listens any more */
    FAULT_LOCK_LOST,
    FAULT_CLOCK,
    FAULT_PAUSE,
    FAULTS
};
extern const char *const fault_names[FAULTS];

enum act_kind {
    ACT_MAKE,
    ACT_PUMP,
    ACT_SYNC,
    ACT_ACK,
    ACT_SERVE,
    ACT_ARRIVE,
    ACT_TICK,
    ACT_WRITER,
    ACT_PUBLISH,
    ACT_FOLLOW,
    ACT_SETTLE,
    ACT_OPERATE,
    ACT_CHAOS,
    ACT_START,
    ACT_DATABASE_UP
};
struct act {
    uint64_t due_us;
    uint32_t order, life, arg;
    uint8_t kind, actor;
};

enum { FEED, DAEMON = FEED + STREAMS, SUBSCRIBER = DAEMON + DAEMONS, ACTORS };
struct actor { /* a process */
    bool up;
    uint32_t life; /* acts and messages of an earlier life are void */
    uint64_t frozen_until_us;
};

enum what { MESSAGE_RECORDS, MESSAGE_HEAD, MESSAGE_GONE, MESSAGE_EPOCH, MESSAGE_ERROR, MESSAGE_REQUEST };
struct message {
    enum what what;
    bool live, fetch;
    uint8_t link;
    int8_t damage; /* 1: no header; 2: a line too few */
    uint32_t link_life, max_events, target_life;
    struct wire_header h;
    uint32_t lines[LINES_MAX];
    int next_free;
};
struct link { /* between a publisher and one subscriber: SUB and DEALER */
    uint32_t life;
    int under_way;
    uint64_t cut_until_us, deaf_until_us; /* deaf: half open, answers are lost */
    uint64_t last_due_us[3]; /* live, answers, requests arrive in order unless a fault says otherwise */
};

struct feed {                     /* producer and teldag-feed of one stream */
    uint64_t epoch, first, next;  /* the journal on disk */
    uint32_t made;                /* lines the producer has */
    uint32_t sent;                /* lines given to this life of the feed */
    uint32_t acked;               /* highest ack heard: the producer has forgotten these */
    uint32_t staged_from, staged; /* being written */
    uint32_t last_line;           /* of the last record; sequence and line agree unless something was lost */
    uint64_t published, head_us;
    bool syncing;
};

struct item {
    uint8_t stream;
    bool dead;
    uint32_t line;
    uint64_t epoch, seq;
};
struct batch {
    uint8_t stream, count;
    uint64_t epoch, first_seq, generation;
    uint32_t lines[LINES_MAX];
};
struct alert_row {
    uint64_t seq;
    uint8_t key;
    bool firing;
};
struct key_row {
    uint32_t last, times;
};

/* ---- PostgreSQL ---- */

enum session_state { SESSION_FREE, SESSION_IDLE, SESSION_OPEN, SESSION_FAILED, SESSION_COMMITTING };
struct session {
    enum session_state state;
    int handle, waits_for;
    uint64_t waits_since_us;
    bool client_gone, answered, committed, will_commit;
    uint8_t daemon;
    bool moves[STREAMS], shard_moves, day_moves, pauses[STREAMS], accepts[STREAMS];
    bool pause_to;
    struct commitment_place places[STREAMS];
    struct commitment_shard shard;
    int32_t day;
    int item_count, row_count, alert_count;
    struct item items[ITEMS_MAX];
    uint8_t row_keys[KEYS];
    struct key_row rows[KEYS];
    struct alert_row alerts[ALERT_KEYS];
};
struct stored { /* what is committed */
    struct commitment_shard shard;
    struct commitment_place places[STREAMS];
    bool paused[STREAMS];
    int32_t day;
    uint64_t alert_epoch;
    uint32_t timeline;          /* of the server, as the shard's row has it */
    struct key_row rows[KEYS];  /* as daemons wrote them */
    struct key_row truth[KEYS]; /* the function of the log: kept by the model alone */
    bool firing[ALERT_KEYS];
};
struct database {
    bool up;
    bool synchronous; /* declared: a standby has all that was answered; else it may lack the last commits */
    uint32_t timeline;
    int lock_holder;                      /* session, -1 */
    int stream_lock[STREAMS], shard_lock; /* rows: session, -1 */
    struct stored now, standby;
    struct session sessions[SESSIONS];
};

/* ---- daemon ---- */

struct receiver {
    struct position position, shown; /* shown: the copy others read */
    uint64_t followed;               /* generation of the order followed */
    uint64_t ordered, order_epoch, order_next;
    bool paused;
    uint32_t tick;
    uint64_t tick_due_us;
};
enum phase {
    PHASE_CONNECT,
    PHASE_LOCK,
    PHASE_SHARD,
    PHASE_STREAMS,
    PHASE_REBUILD,
    PHASE_TURN,
    PHASE_BEGIN,
    PHASE_ADVANCE,
    PHASE_LOGS,
    PHASE_FENCE,
    PHASE_CHANGES,
    PHASE_COMMIT,
    PHASE_ANSWER
};
enum tx_kind { TX_NONE, TX_ITEMS, TX_ALERTS, TX_DAY, TX_PAUSE, TX_ACCEPT };
struct undo {
    uint8_t key;
    struct key_row before;
};
struct writer {
    enum phase phase;
    int session;
    bool locked, session_read;
    uint64_t backoff_us;
    uint32_t tick;
    /* what is believed */
    struct commitment_shard shard;
    struct commitment_place places[STREAMS];
    bool placed, paused[STREAMS];
    int32_t day;
    bool known, unresolved;
    uint64_t token, seen, settled, rebuilds, tx_settled, tx_rebuilds;
    /* ledger, its undo journal, and what the database shows */
    struct key_row ledger[KEYS], shown[KEYS];
    bool firing[ALERT_KEYS];
    struct undo undo[ITEMS_MAX];
    int undo_count;
    /* the open transaction */
    enum tx_kind tx;
    int stream, from, count;
    bool resend, pause_to;
    struct commitment_place accept_to;
    int segments[16][2], segment_count;
    int32_t tx_day;
    int item_count, row_count, alert_count, advanced;
    struct item items[ITEMS_MAX];
    uint8_t row_keys[KEYS];
    struct key_row rows[KEYS];
    struct alert_row alerts[ALERT_KEYS];
    /* an operator's order */
    enum tx_kind order;
    int order_stream;
    bool order_flag;
    uint64_t operational_us;
};
struct publisher {
    bool positioned;
    uint64_t epoch, next, head_us;
};
struct daemon {
    struct receiver receivers[STREAMS];
    struct batch inbox[INBOX_MAX];
    int inbox_count;
    uint64_t inbox_full_until_us;
    struct batch pending[INBOX_MAX];
    int pending_count;
    struct writer writer;
    struct publisher publisher;
};

struct subscriber {
    struct position position;
    uint64_t epoch, durable; /* last alert taken, with its effect, in one step */
    int daemon;              /* connected to */
    uint32_t tick;
    uint64_t tick_due_us;
};

struct world {
    uint64_t seed, random, now_us, steps;
    bool verbose, quiet, failed;
    uint32_t rate[FAULTS]; /* of 65,536 opportunities */
    uint64_t struck[FAULTS];
    uint32_t make_gap_us, operate_gap_us;
    uint64_t quiet_takeovers, renewals;
    uint64_t alert_ends[EPOCHS_MAX]; /* last sequence ever given out under an epoch */
    int64_t clock_us;                /* wall clock minus virtual time */
    uint32_t order;
    int act_count, free_message;
    struct actor actors[ACTORS];
    struct link links[LINKS];
    struct feed feeds[STREAMS];
    struct daemon daemons[DAEMONS];
    struct database database;
    struct subscriber subscriber;
    uint64_t delivered, committed_events, dead_events, commits, rebuilds, unknown, fences, stops, accepts,
        takeovers;
    int last_writer;
    /* behind here nothing is cleared between runs */
    struct act acts[ACTS];
    struct message messages[MESSAGES];
    uint32_t alerts[EPOCHS_MAX]
                   [ALERTS_MAX]; /* by epoch and sequence: key, state, and whose batch it came with */
};

/* ---- whole_core.c ---- */
static inline uint64_t rnd(struct world *w)
{
    uint64_t z = (w->random += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static inline uint64_t below(struct world *w, uint64_t limit)
{
    return ((rnd(w) >> 32) * limit) >> 32;
}
bool strikes(struct world *w, enum fault fault); /* chance says so, and it is counted */
void struck(struct world *w, enum fault fault);
void say(const struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define SAY(w, ...)                                                                                          \
    do {                                                                                                     \
        if ((w)->verbose)                                                                                    \
            say((w), __VA_ARGS__);                                                                           \
    } while (0)
/* Does act after delay, in the actor's present life. */
void plan(struct world *w, enum act_kind kind, uint8_t actor, uint32_t arg, uint64_t delay_us);
bool take_act(struct world *w, struct act *out);
void transmit(struct world *w, struct message *m, uint64_t delay_us);
struct message *message_new(struct world *w, int link, enum what what, uint32_t tag, uint64_t epoch,
                            uint64_t seq);
void message_free(struct world *w, struct message *m);
void cut_link(struct world *w, int link, uint64_t until_us);
bool link_is_up(const struct world *w, int link);
int line_key(int stream, uint64_t epoch, uint32_t line);
uint32_t line_value(int stream, uint64_t epoch, uint32_t line);
bool line_is_poison(int stream, uint64_t epoch, uint32_t line);
bool line_is_malformed(int stream, uint64_t epoch, uint32_t line);
bool key_fires(const struct key_row *row, int32_t day);
int32_t wall_day(const struct world *w);

/* ---- whole_feed.c ---- */
void feed_start(struct world *w, int stream);
void feed_kill(struct world *w, int stream);
void feed_make(struct world *w, int stream);
void feed_pump(struct world *w, int stream);
void feed_sync(struct world *w, int stream);
void feed_ack(struct world *w, int stream, uint32_t line);
void feed_serve(struct world *w, int stream);
void feed_request(struct world *w, const struct message *m);
void feed_new_journal(struct world *w, int stream);
void feed_trim(struct world *w, int stream, bool too_far);

/* ---- whole_database.c ---- */
void database_init(struct world *w);
int database_connect(struct world *w, int daemon);                     /* session, or -1 */
void database_leave(struct world *w, int session, uint64_t linger_us); /* the client is gone */
bool database_lives(const struct world *w, int session);
bool database_lock(struct world *w, int session);
void database_begin(struct world *w, int session);
/* The statements give 0, an error of the product's classes, or WAIT: another transaction holds the row. */
#define WAIT 1
int database_advance(struct world *w, int session, int stream, const struct commitment_place *believed,
                     const struct commitment_place *to, uint64_t *rows);
int database_fence(struct world *w, int session, const struct commitment_shard *believed,
                   const struct commitment_shard *to, uint64_t *rows);
int database_log(struct world *w, int session, const struct item *items, int count);
void database_rollback(struct world *w, int session);
void database_commit(struct world *w, int session); /* begins; ACT_SETTLE ends it */
void database_settle(struct world *w, int session);
void database_crash(struct world *w, enum fault fault);
int database_settle_epoch(struct world *w, int session, bool set_back);

/* ---- whole_daemon.c, whole_writer.c ---- */
void daemon_start(struct world *w, int d);
void daemon_kill(struct world *w, int d);
void receiver_tick(struct world *w, int d, int s);
void receiver_take(struct world *w, const struct message *m);
bool receiver_is_full(const struct world *w, int d);
void receiver_poke(struct world *w, int d, int s, uint64_t delay_us);
void writer_start(struct world *w, int d);
void writer_step(struct world *w, int d);
void writer_wake(struct world *w, int d, uint64_t delay_us);
bool writer_runs(const struct world *w, int d);
void order_reset(struct world *w, int d, int s);

/* ---- whole_alerts.c ---- */
void publisher_turn(struct world *w, int d, bool due);
void publisher_request(struct world *w, const struct message *m);
void subscriber_start(struct world *w);
void subscriber_kill(struct world *w);
void subscriber_connect(struct world *w);
void subscriber_take(struct world *w, const struct message *m);
void subscriber_tick(struct world *w);
