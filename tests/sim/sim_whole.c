/* SPDX-License-Identifier: MIT
 * links: tests/sim/whole_core.o tests/sim/whole_feed.o tests/sim/whole_database.o tests/sim/whole_daemon.o
 * links: tests/sim/whole_writer.o tests/sim/whole_alerts.o
 * links: workers/position.o workers/commitment.o workers/epoch.o daemon/answer.o daemon/wire.o
 *
 * Runs the whole protocol (whole.h) under every fault, then without, and looks whether the promises held:
 * 1. What a feed acknowledged is in the log once, in order; nothing else is.
 * 2. What is stored, and what a daemon has in memory after each settle, is the function of the log.
 * 3. Each transaction has a batch number of its own; progress and clock.today never go back.
 * 4. The alert log has no hole, and the subscriber takes each alert once and in order.
 * 5. When the faults stop, everything catches up within QUIET_US.
 * TEST_SEED=N plays one seed and prints each act; SIM_FIRST=N, SIM_SEEDS=N and SIM_STEPS=N set from which seed, how
 * many, and steps with faults in each; SIM_STOP=1 ends at the first failure and says how many seeds it took. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/whole.h"

#define QUIET_US      90000000u
#define OPERATE_US    2000000
#define TAKEOVERS_MAX 3 /* one that lost its lock, and one that lingered */

static const char *const actor_names[ACTORS] = {"feed 0",   "feed 1",   "feed 2",
                                                "daemon 0", "daemon 1", "subscriber"};

/* ---- faults that come by themselves ---- */

static void freeze(struct world *w, uint8_t actor, uint64_t longest_us)
{
    w->actors[actor].frozen_until_us = w->now_us + 1 + below(w, longest_us);
    SAY(w, "%s frozen until %.4f", actor_names[actor], (double)w->actors[actor].frozen_until_us / 1e6);
}

static void kill_actor(struct world *w, uint8_t actor)
{
    w->actors[actor].frozen_until_us = 0;
    SAY(w, "kill of %s", actor_names[actor]);
    if (actor == SUBSCRIBER)
        subscriber_kill(w);
    else if (actor >= DAEMON)
        daemon_kill(w, actor - DAEMON);
    else
        feed_kill(w, actor - FEED);
}

static void pause_stream(struct world *w)
{
    for (int d = 0; d < DAEMONS; d++) {
        struct writer *x = &w->daemons[d].writer;

        if (!writer_runs(w, d) || x->order != TX_NONE)
            continue;
        x->order = TX_PAUSE;
        x->order_stream = (int)below(w, STREAMS);
        x->order_flag = below(w, 2);
    }
}

static void step_clock(struct world *w)
{
    w->clock_us += (int64_t)below(w, 60000000) - 25000000;
    if (w->clock_us < 0)
        w->clock_us = 0;
}

/* Whom it would strike; NOBODY: there is nothing to strike now, and nothing is counted. */
static uint8_t choose_actor(struct world *w, enum fault fault)
{
    uint8_t actor;

    switch (fault) {
    case FAULT_KILL_FEED:
    case FAULT_NEW_JOURNAL:
        actor = (uint8_t)(FEED + below(w, STREAMS));
        break;
    case FAULT_KILL_DAEMON:
    case FAULT_INBOX_FULL:
        actor = (uint8_t)(DAEMON + below(w, DAEMONS));
        break;
    case FAULT_KILL_SUBSCRIBER:
        actor = SUBSCRIBER;
        break;
    case FAULT_FREEZE:
        actor = (uint8_t)below(w, ACTORS);
        break;
    default:
        return 0;
    }
    return w->actors[actor].up ? actor : NOBODY;
}

/* A promotion may bring the alert log a new epoch, of which the model has room for some. */
static bool database_can(const struct world *w, enum fault fault)
{
    const struct database *db = &w->database;

    if (fault == FAULT_LAGGING && db->synchronous)
        return false;
    return db->up && (fault == FAULT_DATABASE_CRASH || db->synchronous || w->renewals + 3 <= EPOCHS_MAX);
}

/* The database comes back, or a standby at another place. */
static void fail_power(struct world *w)
{
    static const enum fault ends[] = {FAULT_DATABASE_CRASH, FAULT_FAILOVER, FAULT_LAGGING};
    enum fault end = ends[below(w, 3)];

    for (uint8_t actor = 0; actor < SUBSCRIBER; actor++)
        if (w->actors[actor].up)
            kill_actor(w, actor);
    if (database_can(w, end)) {
        struck(w, end);
        database_crash(w, end);
    }
}

static void cause(struct world *w, enum fault fault)
{
    int stream = (int)below(w, STREAMS), link = (int)below(w, LINKS);
    uint8_t actor = choose_actor(w, fault);

    if (actor == NOBODY ||
        ((fault == FAULT_DATABASE_CRASH || fault == FAULT_FAILOVER || fault == FAULT_LAGGING) &&
         !database_can(w, fault)))
        return;
    struck(w, fault);
    switch (fault) {
    case FAULT_KILL_FEED:
    case FAULT_KILL_DAEMON:
    case FAULT_KILL_SUBSCRIBER:
        kill_actor(w, actor);
        break;
    case FAULT_POWER:
        fail_power(w);
        break;
    case FAULT_FREEZE:
        freeze(w, actor, 4000000);
        break;
    case FAULT_NEW_JOURNAL:
        feed_new_journal(w, actor - FEED);
        break;
    case FAULT_TRIM:
    case FAULT_GONE:
        feed_trim(w, stream, fault == FAULT_GONE);
        break;
    case FAULT_CUT:
        cut_link(w, link, w->now_us + below(w, 3000000));
        if (link == ALERT_LINK)
            subscriber_connect(w);
        break;
    case FAULT_HALF_OPEN:
        w->links[link].deaf_until_us = w->now_us + below(w, 5000000);
        break;
    case FAULT_INBOX_FULL:
        w->daemons[actor - DAEMON].inbox_full_until_us = w->now_us + below(w, 1000000);
        break;
    case FAULT_DATABASE_CRASH:
    case FAULT_FAILOVER:
    case FAULT_LAGGING:
        database_crash(w, fault);
        break;
    case FAULT_LOCK_LOST:
        w->database.lock_holder = -1;
        break;
    case FAULT_CLOCK:
        step_clock(w);
        break;
    case FAULT_PAUSE:
        pause_stream(w);
        break;
    default:
        break;
    }
}

/* The others strike where their opportunity is (strikes()). */
static const struct {
    enum fault fault;
    uint32_t weight;
} causes[] = {{FAULT_KILL_FEED, 6}, {FAULT_KILL_DAEMON, 8}, {FAULT_KILL_SUBSCRIBER, 4}, {FAULT_FREEZE, 8},
              {FAULT_TRIM, 3},      {FAULT_GONE, 1},        {FAULT_NEW_JOURNAL, 1},     {FAULT_CUT, 8},
              {FAULT_HALF_OPEN, 5}, {FAULT_INBOX_FULL, 6},  {FAULT_DATABASE_CRASH, 4},  {FAULT_FAILOVER, 3},
              {FAULT_LOCK_LOST, 4}, {FAULT_LAGGING, 2},     {FAULT_POWER, 1},           {FAULT_CLOCK, 2},
              {FAULT_PAUSE, 3}};
#define CAUSES (sizeof causes / sizeof *causes)

static void chaos(struct world *w)
{
    size_t pick = below(w, CAUSES);

    if (w->quiet)
        return;
    if (w->rate[causes[pick].fault] && below(w, 8) < causes[pick].weight)
        cause(w, causes[pick].fault);
    plan(w, ACT_CHAOS, NOBODY, 0, 1 + below(w, 2 * w->rate[FAULT_KILL_DAEMON] + 100000));
}

/* ---- operator ---- */

static void operate(struct world *w)
{
    for (int d = 0; d < DAEMONS; d++) {
        struct writer *x = &w->daemons[d].writer;
        int stream = (int)below(w, STREAMS);

        if (!writer_runs(w, d) || x->order != TX_NONE)
            continue;
        for (int i = 0; i < STREAMS; i++) {
            int s = (stream + i) % STREAMS;
            const struct position *p = &w->daemons[d].receivers[s].shown;

            if (p->mode != POSITION_STOPPED && !(x->paused[s] && (w->quiet || below(w, 4) == 0)))
                continue;
            x->order = p->mode != POSITION_STOPPED || p->reason == POSITION_DAMAGED ? TX_PAUSE : TX_ACCEPT;
            x->order_stream = s;
            x->order_flag = x->order == TX_ACCEPT && p->reason == POSITION_NEW_EPOCH && below(w, 2);
            break;
        }
    }
    plan(w, ACT_OPERATE, NOBODY, 0, w->operate_gap_us / 2 + below(w, w->operate_gap_us));
}

/* ---- the run ---- */

static void arrive(struct world *w, uint32_t arg)
{
    struct message *m = &w->messages[arg];
    int receiver = m->link == ALERT_LINK ? SUBSCRIBER : DAEMON + m->link / STREAMS;
    int sender = m->link == ALERT_LINK ? DAEMON + w->subscriber.daemon : FEED + m->link % STREAMS;
    int target = m->what == MESSAGE_REQUEST ? sender : receiver;
    const struct actor *a = &w->actors[target];

    if (m->link_life != w->links[m->link].life || !a->up) {
        message_free(w, m);
        return;
    }
    if (a->frozen_until_us > w->now_us) { /* waits in its socket */
        plan(w, ACT_ARRIVE, NOBODY, arg, a->frozen_until_us - w->now_us);
        return;
    }
    if (m->what != MESSAGE_REQUEST && !m->live && m->link != ALERT_LINK &&
        receiver_is_full(w, m->link / STREAMS)) {
        plan(w, ACT_ARRIVE, NOBODY, arg, 20000); /* left unread */
        return;
    }
    if (m->what != MESSAGE_REQUEST && m->link == ALERT_LINK)
        subscriber_take(w, m);
    else if (m->what != MESSAGE_REQUEST)
        receiver_take(w, m);
    else if (!m->damage && m->link == ALERT_LINK) /* a damaged one gets no useful answer */
        publisher_request(w, m);
    else if (!m->damage)
        feed_request(w, m);
    message_free(w, m);
}

static void start_actor(struct world *w, uint32_t actor)
{
    if (w->actors[actor].up)
        return;
    if (actor == SUBSCRIBER)
        subscriber_start(w);
    else if (actor >= DAEMON)
        daemon_start(w, (int)actor - DAEMON);
    else
        feed_start(w, (int)actor - FEED);
}

static void do_act(struct world *w, const struct act *a)
{
    int stream = a->actor - FEED, d = a->actor - DAEMON;

    switch ((enum act_kind)a->kind) {
    case ACT_MAKE:
        feed_make(w, (int)a->arg);
        break;
    case ACT_PUMP:
        feed_pump(w, stream);
        break;
    case ACT_SYNC:
        feed_sync(w, stream);
        break;
    case ACT_ACK:
        feed_ack(w, stream, a->arg);
        break;
    case ACT_SERVE:
        feed_serve(w, stream);
        break;
    case ACT_ARRIVE:
        arrive(w, a->arg);
        break;
    case ACT_TICK:
        if (w->daemons[d].receivers[a->arg & 15].tick == a->arg >> 4)
            receiver_tick(w, d, (int)(a->arg & 15));
        break;
    case ACT_WRITER:
        if (w->daemons[d].writer.tick == a->arg)
            writer_step(w, d);
        break;
    case ACT_PUBLISH:
        publisher_turn(w, d, true);
        break;
    case ACT_FOLLOW:
        if (w->subscriber.tick == a->arg)
            subscriber_tick(w);
        break;
    case ACT_SETTLE:
        database_settle(w, (int)a->arg);
        break;
    case ACT_OPERATE:
        operate(w);
        break;
    case ACT_CHAOS:
        chaos(w);
        break;
    case ACT_START:
        start_actor(w, a->arg);
        break;
    case ACT_DATABASE_UP:
        w->database.up = true;
        break;
    }
}

static const char *const message_names[] = {"records", "head", "GONE", "EPOCH", "ERROR", "request"};
static const char *const act_names[] = {"make",   "pump",    "sync",   "ack",     "serve",
                                        "arrive", "tick",    "writer", "publish", "follow",
                                        "settle", "operate", "chaos",  "start",   "database up"};

static bool step(struct world *w)
{
    struct act a;

    if (!take_act(w, &a))
        return false;
    w->steps++;
    if (a.kind == ACT_ARRIVE && w->verbose) {
        const struct message *m = &w->messages[a.arg];

        SAY(w, "%" PRIu64 " arrive: link %d %s%s %c %" PRIu64 "/%" PRIu64 " +%d%s", w->steps, m->link,
            m->live ? "live " : "", message_names[m->what], m->h.kind, m->h.epoch, m->h.first_seq, m->h.count,
            m->damage ? " damaged" : "");
    } else {
        SAY(w, "%" PRIu64 " %s: %s %" PRIu32, w->steps, act_names[a.kind],
            a.actor == NOBODY ? "world" : actor_names[a.actor], a.arg);
    }
    do_act(w, &a);
    return !w->failed;
}

static void start_world(struct world *w, uint64_t seed, bool verbose)
{
    memset(w, 0, offsetof(struct world, acts));
    w->seed = seed;
    w->random = seed * 0xd1342543de82ef95u; /* neighbours share nothing */
    w->verbose = verbose;
    w->now_us = 1000000;
    w->last_writer = -1;
    for (int i = 0; i < MESSAGES; i++)
        w->messages[i].next_free = i + 1 < MESSAGES ? i + 1 : -1;
    /* Not every fault in every run: what two of them do together shows better without the rest. */
    for (int f = 0; f < FAULTS; f++)
        w->rate[f] = below(w, 3) ? 1 + (uint32_t)below(w, 1500) : 0;
    w->make_gap_us = 10000 + (uint32_t)below(w, 90000);
    w->operate_gap_us = below(w, 2) ? OPERATE_US : 20000; /* a script is hastier than a man */
    database_init(w);
    for (int s = 0; s < STREAMS; s++) {
        w->feeds[s].epoch = 100 + below(w, 100);
        w->feeds[s].first = w->feeds[s].next = 1;
        feed_start(w, s);
        plan(w, ACT_MAKE, NOBODY, (uint32_t)s, 1 + below(w, 100000));
    }
    for (int d = 0; d < DAEMONS; d++)
        plan(w, ACT_START, NOBODY, (uint32_t)(DAEMON + d), 1 + below(w, 200000));
    plan(w, ACT_START, NOBODY, SUBSCRIBER, 1 + below(w, 200000));
    plan(w, ACT_OPERATE, NOBODY, 0, OPERATE_US);
    plan(w, ACT_CHAOS, NOBODY, 0, 300000);
}

static void end_faults(struct world *w)
{
    SAY(w, "the faults stop");
    w->quiet = true;
    for (int i = 0; i < LINKS; i++)
        w->links[i].cut_until_us = w->links[i].deaf_until_us = 0;
    for (int i = 0; i < ACTORS; i++)
        w->actors[i].frozen_until_us = 0;
    for (int d = 0; d < DAEMONS; d++)
        w->daemons[d].inbox_full_until_us = 0;
}

static const char *what_is_missing(const struct world *w)
{
    const struct database *db = &w->database;

    for (int s = 0; s < STREAMS; s++) {
        const struct feed *f = &w->feeds[s];

        if (f->next != f->made + 1 || f->acked != f->made)
            return "a producer's lines are not acknowledged";
        if (db->now.places[s].epoch != f->epoch || db->now.places[s].next != f->next)
            return "a stream is not committed to its end";
        if (db->now.firing[KEYS + s])
            return "a stream.gap alert still fires";
    }
    if (db->now.day < wall_day(w) - 1)
        return "clock.today lags behind";
    if (w->subscriber.durable != db->now.shard.alert_seq ||
        (w->subscriber.durable && w->subscriber.epoch != db->now.alert_epoch))
        return "the subscriber lacks alerts";
    return NULL;
}

static void check_end(struct world *w)
{
    const struct database *db = &w->database;

    for (int k = 0; k < KEYS; k++)
        if (db->now.rows[k].last != db->now.truth[k].last ||
            db->now.rows[k].times != db->now.truth[k].times ||
            db->now.firing[k] != key_fires(&db->now.truth[k], db->now.day))
            fail(w, "key %d is not the function of the log at the end", k);
}

static uint64_t play(struct world *w, uint64_t steps)
{
    uint64_t stopped_us;

    while (w->steps < steps && step(w))
        continue;
    if (w->failed)
        return 0;
    end_faults(w);
    stopped_us = w->now_us;
    while (!w->failed && what_is_missing(w) && w->now_us < stopped_us + QUIET_US)
        step(w);
    if (!w->failed && what_is_missing(w))
        fail(w, "%s %u s after the last fault", what_is_missing(w), QUIET_US / 1000000);
    if (!w->failed && w->quiet_takeovers > TAKEOVERS_MAX)
        fail(w, "the writers took over from each other %" PRIu64 " times after the last fault",
             w->quiet_takeovers);
    if (!w->failed)
        check_end(w);
    return w->now_us - stopped_us;
}

/* ---- many runs ---- */

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct totals {
    uint64_t steps, virtual_us, longest_us, delivered, events, dead, commits, alerts, rebuilds, unknown,
        fences, stops, accepts, takeovers, faults[FAULTS];
};

static void add_run(struct totals *t, const struct world *w, uint64_t quiet_us)
{
    t->steps += w->steps;
    t->virtual_us += w->now_us;
    t->longest_us = quiet_us > t->longest_us ? quiet_us : t->longest_us;
    t->delivered += w->delivered;
    t->events += w->committed_events;
    t->dead += w->dead_events;
    t->commits += w->commits;
    t->alerts += w->subscriber.durable;
    t->rebuilds += w->rebuilds;
    t->unknown += w->unknown;
    t->fences += w->fences;
    t->stops += w->stops;
    t->accepts += w->accepts;
    t->takeovers += w->takeovers;
    for (int f = 0; f < FAULTS; f++)
        t->faults[f] += w->struck[f];
}

static void print_totals(const struct totals *t, uint64_t first, uint64_t ran, uint64_t failures, double took)
{
    printf("sim_whole: seeds %" PRIu64 "..%" PRIu64 ", %" PRIu64 " failed; %" PRIu64
           " steps in %.1f s (%.2f M/s), %.1f "
           "virtual hours\n",
           first, first + ran - 1, failures, t->steps, took, (double)t->steps / took / 1e6,
           (double)t->virtual_us / 3.6e9);
    printf("sim_whole: %" PRIu64 " events delivered, %" PRIu64 " committed (%" PRIu64
           " dead-lettered) in %" PRIu64 " batches; %" PRIu64 " alerts received; %" PRIu64
           " rebuilds, %" PRIu64 " COMMITs without answer, %" PRIu64 " fences met, %" PRIu64
           " changes of writer, %" PRIu64 " stops, %" PRIu64 " accepts; longest recovery %.1f virtual s\n",
           t->delivered, t->events, t->dead, t->commits, t->alerts, t->rebuilds, t->unknown, t->fences,
           t->takeovers, t->stops, t->accepts, (double)t->longest_us / 1e6);
    printf("sim_whole: faults:");
    for (int f = 0; f < FAULTS; f++)
        printf(" %s %" PRIu64 "%s", fault_names[f], t->faults[f], f + 1 < FAULTS ? "," : "\n");
}

int main(void)
{
    static struct world world;
    static struct totals totals;
    bool one = getenv("TEST_SEED") != NULL, stop = setting("SIM_STOP", 0) != 0;
    uint64_t first = setting("TEST_SEED", setting("SIM_FIRST", 1)),
             seeds = one ? 1 : setting("SIM_SEEDS", 2000), failures = 0, ran = 0;
    uint64_t steps = setting("SIM_STEPS", 10000);
    double started = seconds();

    for (uint64_t seed = first; seed < first + seeds && failures < (stop ? 1 : 5); seed++) {
        uint64_t quiet_us;

        start_world(&world, seed, one);
        quiet_us = play(&world, steps);
        add_run(&totals, &world, quiet_us);
        failures += world.failed;
        ran++;
    }
    print_totals(&totals, first, ran, failures, seconds() - started);
    return failures ? 1 : 0;
}
