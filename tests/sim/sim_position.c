/* SPDX-License-Identifier: MIT
 * links: tests/sim/model_feed.o workers/position.o daemon/wire.o
 *
 * Drives the position machine with virtual time against a model publisher and a hostile bus, with a slow
 * queue and a writer that rewinds. What must hold in every run:
 * 1. What the machine delivers is the journal in order from where it was reset: no hole, nothing twice, right
 * bytes.
 * 2. What the writer keeps after its own filter is exactly the journal.
 * 3. When the faults stop, all is committed within a bounded virtual time, and the machine is live.
 * 4. A range is asked for at most once a second, a head at most ten times; nothing is asked while paused or
 * stopped.
 * 5. It stops when the stream cannot go on (another epoch, GONE, journal set back or damaged), says why, and
 * goes on when the operator decides; it stops for nothing else. TEST_SEED=N runs one seed and prints every
 * act; SIM_SEEDS=N sets how many. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_feed.h"
#include "workers/position.h"

#define STEPS        600
#define QUIET_US     60000000u /* to reach the head after the last fault */
#define BATCHES_MAX  512
#define FETCH_GAP_US 1000000u
#define HELLO_GAP_US 100000u

enum ending { END_ORDINARY, END_NEW_EPOCH, END_LOWER_EPOCH, END_TRIMMED, END_SET_BACK, END_JOURNAL_DAMAGED };

struct batch { /* what waits between receiver and writer */
    uint64_t generation, epoch, first_seq;
    int count;
    uint32_t values[MODEL_EVENTS_MAX];
};
struct run {
    uint64_t seed, random;
    bool verbose, failed, quiet;
    enum ending ending;
    bool struck;        /* the ending's event has happened */
    bool by_generation; /* how the writer knows what is stale */
    struct model_feed feed;
    struct position position;
    uint64_t generation, due_next; /* what the machine must deliver next, kept apart from it */
    struct batch queue[BATCHES_MAX];
    int queued_batches;
    uint32_t queued_events, queue_max;
    uint64_t committed_epoch, committed_next;
    uint64_t fetch_us, fetch_epoch, fetch_from, hello_us;
    bool fetched, greeted;
    uint64_t delivered, stops;
};

__attribute__((format(printf, 2, 3))) static void say(const struct run *r, const char *format, ...)
{
    va_list args;

    if (!r->verbose)
        return;
    printf("%9.3f ", (double)r->feed.now_us / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

__attribute__((format(printf, 2, 3))) static void fail(struct run *r, const char *format, ...)
{
    va_list args;

    if (r->failed)
        return;
    r->failed = true;
    printf("FAILED seed %" PRIu64 " at %.3f s: ", r->seed, (double)r->feed.now_us / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf(" [mode %s reason %s epoch %" PRIu64 " next %" PRIu64 " head %" PRIu64 "; journal %" PRIu64
           " %" PRIu64 "; committed %" PRIu64 " %" PRIu64 "]\n",
           position_mode_names[r->position.mode], position_reason_names[r->position.reason],
           r->position.epoch, r->position.next, r->position.head, r->feed.journal->epoch,
           r->feed.journal->next, r->committed_epoch, r->committed_next);
}

static const struct model_journal *journal_of(const struct run *r, uint64_t epoch)
{
    for (int i = 0; i < 2; i++)
        if (r->feed.journals[i].epoch == epoch)
            return &r->feed.journals[i];
    return NULL;
}

/* ---- receiver ---- */

static uint32_t queue_room(struct run *r)
{
    if (!r->quiet && model_chance(&r->random, 30)) {
        r->feed.faults[FAULT_QUEUE_FULL]++;
        return (uint32_t)model_below(&r->random, 5);
    }
    return r->queued_events < r->queue_max ? r->queue_max - r->queued_events : 0;
}

static void deliver(struct run *r, const struct wire_header *h, const struct model_message *m, uint32_t skip)
{
    uint64_t first = h->first_seq + skip;
    const struct model_journal *j = journal_of(r, h->epoch);
    struct batch *b = &r->queue[r->queued_batches];

    say(r, "deliver %" PRIu64 "..%" PRIu64, first, h->first_seq + h->count - 1);
    if (first != r->due_next)
        fail(r, "delivered %" PRIu64 ", due %" PRIu64, first, r->due_next);
    if (h->epoch != r->position.epoch || !j)
        fail(r, "delivered epoch %" PRIu64, h->epoch);
    if (r->failed)
        return;
    if (r->queued_batches == BATCHES_MAX || (!r->quiet && model_chance(&r->random, 10))) {
        r->feed.faults[FAULT_UNDELIVERED]++;
        say(r, "undeliver from %" PRIu64, first);
        position_undeliver(&r->position, first);
        return;
    }
    *b = (struct batch){
        .generation = r->generation, .epoch = h->epoch, .first_seq = first, .count = h->count - (int)skip};
    for (int i = 0; i < b->count; i++) {
        b->values[i] = m->values[skip + (uint32_t)i];
        if (b->values[i] != j->values[first + (uint64_t)i])
            fail(r, "wrong bytes at %" PRIu64, first + (uint64_t)i);
    }
    r->queued_batches++;
    r->queued_events += (uint32_t)b->count;
    r->due_next = first + (uint64_t)b->count;
    r->delivered += (uint64_t)b->count;
}

static void take_message(struct run *r, const struct model_message *m, bool live)
{
    struct position *p = &r->position;
    struct wire_header h;
    uint64_t now_us = r->feed.now_us;

    if (m->what == MODEL_ERROR) {
        position_error(p, now_us);
        return;
    }
    if (wire_decode_header(m->header, (size_t)m->header_len, &h)) {
        position_damage(p, live, now_us);
        return;
    }
    if (m->what == MODEL_GONE) {
        position_gone(p, &h, now_us);
    } else if (m->what == MODEL_EPOCH) {
        position_other_epoch(p, &h, now_us);
    } else if (h.kind == WIRE_HEAD) {
        position_head(p, &h, live, now_us);
    } else {
        bool still = p->paused || p->mode == POSITION_STOPPED;
        uint32_t room = queue_room(r);
        struct position_delivery d = position_records(p, &h, m->lines, live, room, now_us);

        if (d.action != POSITION_DELIVER)
            return;
        if (still || h.count - d.skip > room || m->lines != h.count)
            fail(r, "delivered while paused, stopped, full or damaged");
        deliver(r, &h, m, d.skip);
    }
}

static void check_request(struct run *r, const struct position_ask *ask)
{
    uint64_t now_us = r->feed.now_us;

    if (ask->request == POSITION_ASK_HELLO) {
        if (r->greeted && now_us - r->hello_us < HELLO_GAP_US)
            fail(r, "HELLO %" PRIu64 " us after the last", now_us - r->hello_us);
        r->greeted = true;
        r->hello_us = now_us;
        return;
    }
    if (r->position.paused || r->position.mode != POSITION_FETCHING)
        fail(r, "FETCH while paused or not fetching");
    if (ask->max_events == 0 || ask->header.first_seq != r->due_next)
        fail(r, "FETCH of %" PRIu32 " from %" PRIu64, ask->max_events, ask->header.first_seq);
    if (r->fetched && r->fetch_from == ask->header.first_seq && now_us - r->fetch_us < FETCH_GAP_US &&
        (r->fetch_epoch == ask->header.epoch || r->fetch_epoch == 0 || ask->header.epoch == 0))
        fail(r, "FETCH from %" PRIu64 " again after %" PRIu64 " us", r->fetch_from, now_us - r->fetch_us);
    r->fetched = true;
    r->fetch_us = now_us;
    r->fetch_epoch = ask->header.epoch;
    r->fetch_from = ask->header.first_seq;
}

static void send_requests(struct run *r)
{
    for (int i = 0; i < 3; i++) {
        struct position_ask ask = position_tick(&r->position, queue_room(r), r->feed.now_us);
        bool fetch = ask.request == POSITION_ASK_FETCH;

        if (ask.request == POSITION_ASK_NOTHING) {
            if (position_sleep(&r->position, r->feed.now_us) == 0)
                fail(r, "nothing to do, but no sleep either");
            return;
        }
        say(r, "%s from %" PRIu64 " epoch %" PRIu64 " tag %" PRIu32, fetch ? "FETCH" : "HELLO",
            ask.header.first_seq, ask.header.epoch, ask.header.tag);
        check_request(r, &ask);
        if (!model_send(&r->feed, &ask.header, fetch, ask.max_events)) {
            position_unsent(&r->position, ask.request, r->feed.now_us);
            return;
        }
    }
    fail(r, "three requests at once");
}

/* ---- writer ---- */

static void order_reset(struct run *r, const char *why)
{
    say(r, "%s: reset to epoch %" PRIu64 " next %" PRIu64, why, r->committed_epoch, r->committed_next);
    r->generation++;
    r->due_next = r->committed_next;
    position_reset(&r->position, r->committed_epoch, r->committed_next, r->feed.now_us);
}

/* The writer's filter. With the generation of its orders it drops all that is stale. Without it, what is
 * before `next` is cut off and what lies beyond is stale. The current generation never lies beyond. */
static void commit(struct run *r, const struct batch *b)
{
    const struct model_journal *j = journal_of(r, b->epoch);
    uint64_t end = b->first_seq + (uint64_t)b->count;

    if (r->by_generation && b->generation != r->generation)
        return;
    if (r->committed_epoch == 0 && r->committed_next == 1 && b->first_seq == 1)
        r->committed_epoch = b->epoch;
    if (b->epoch != r->committed_epoch) {
        if (r->by_generation)
            fail(r, "batch of epoch %" PRIu64, b->epoch);
        else if (b->generation == r->generation)
            order_reset(r, "batch of another epoch");
        return;
    }
    if (end <= r->committed_next)
        return;
    if (b->first_seq > r->committed_next) {
        if (b->generation == r->generation)
            fail(r, "hole before %" PRIu64, b->first_seq);
        return;
    }
    for (uint64_t seq = r->committed_next; seq < end; seq++)
        if (j->values[seq] != b->values[seq - b->first_seq])
            fail(r, "committed wrong bytes at %" PRIu64, seq);
    r->committed_next = end;
}

static void write_batches(struct run *r)
{
    int batches =
        r->quiet ? r->queued_batches : (int)model_below(&r->random, (uint64_t)r->queued_batches + 1);

    if (!r->quiet && model_chance(&r->random, 300))
        return; /* the database is slow */
    for (int i = 0; i < batches; i++) {
        struct batch b = r->queue[0];

        memmove(r->queue, r->queue + 1, (size_t)--r->queued_batches * sizeof *r->queue);
        r->queued_events -= (uint32_t)b.count;
        if (!r->quiet && model_chance(&r->random, 4)) {
            r->feed.faults[FAULT_REWIND]++; /* the batch in hand is lost with its transaction */
            order_reset(r, "rewind");
            return;
        }
        commit(r, &b);
    }
    if (!r->quiet && model_chance(&r->random, 3)) {
        r->feed.faults[FAULT_REWIND]++; /* an order with the queue still full */
        order_reset(r, "rewind");
    }
}

/* ---- the run ---- */

static void strike_journal(struct run *r)
{
    struct model_feed *f = &r->feed;
    struct model_journal *j = f->journal;

    switch (r->ending) {
    case END_NEW_EPOCH:
        f->faults[FAULT_NEW_EPOCH]++;
        model_change_epoch(f, j->epoch + 1 + model_below(&r->random, 9));
        break;
    case END_LOWER_EPOCH:
        f->faults[FAULT_LOWER_EPOCH]++;
        model_change_epoch(f, j->epoch - 1 - model_below(&r->random, 9));
        break;
    case END_TRIMMED: /* appended and trimmed while we hear nothing */
        f->faults[FAULT_TRIMMED]++;
        model_append(f, 40, false);
        j->first_kept = j->next - 1 - model_below(&r->random, 20);
        f->request_count = f->live.count = f->answers.count = 0;
        break;
    case END_SET_BACK:
        if (r->committed_next < 2)
            return; /* nothing to lose yet */
        f->faults[FAULT_SET_BACK]++;
        model_set_back(f, 1 + model_below(&r->random, r->committed_next - 1));
        break;
    case END_JOURNAL_DAMAGED:
        f->faults[FAULT_JOURNAL_DAMAGED]++;
        model_append(f, 40, false);
        f->damaged_from = j->next - 20;
        f->damaged_until = f->damaged_from + 3;
        f->live.count = f->answers.count = 0;
        break;
    case END_ORDINARY:
        break;
    }
    r->struck = true;
    say(r, "the journal: %s", r->ending == END_ORDINARY ? "nothing" : "struck");
}

static void step(struct run *r)
{
    struct model_message m;
    enum position_mode before = r->position.mode;

    model_step(&r->feed, 1 + model_below(&r->random, r->quiet ? 60000 : 300000));
    if (!r->quiet && model_chance(&r->random, 4)) {
        r->feed.faults[FAULT_PAUSE]++;
        position_pause(&r->position, !r->position.paused, r->feed.now_us);
        say(r, "%s", r->position.paused ? "pause" : "resume");
    }
    while (!r->failed && model_receive(&r->feed, &r->feed.live, &m))
        take_message(r, &m, true);
    while (!r->failed && model_receive(&r->feed, &r->feed.answers, &m))
        take_message(r, &m, false);
    if (!r->failed)
        send_requests(r);
    if (before != r->position.mode)
        say(r, "%s -> %s (%s) next %" PRIu64 " head %" PRIu64, position_mode_names[before],
            position_mode_names[r->position.mode], position_reason_names[r->position.reason],
            r->position.next, r->position.head);
    if (r->position.mode == POSITION_STOPPED && before != POSITION_STOPPED)
        r->stops++;
    if (!r->failed)
        write_batches(r);
}

static void run_quietly(struct run *r, bool (*done)(const struct run *))
{
    uint64_t until_us = r->feed.now_us + QUIET_US;

    while (!r->failed && r->feed.now_us < until_us && !done(r))
        step(r);
}

static bool is_caught_up(const struct run *r)
{
    return r->position.mode == POSITION_LIVE && r->committed_epoch == r->feed.journal->epoch &&
           r->committed_next == r->feed.journal->next && r->queued_batches == 0;
}

static bool is_stopped(const struct run *r)
{
    return r->position.mode == POSITION_STOPPED && r->queued_batches == 0;
}

static bool is_settled(const struct run *r)
{
    return is_stopped(r) || is_caught_up(r);
}

static void end_faults(struct run *r)
{
    r->quiet = true;
    r->feed.trouble = 0;
    r->feed.down_until_us = r->feed.sub_cut_until_us = r->feed.dealer_cut_until_us = 0;
    if (r->position.paused)
        position_pause(&r->position, false, r->feed.now_us);
    r->feed.appending =
        r->feed.appending && model_chance(&r->random, 500); /* if not, heads alone show the tail */
    say(r, "the faults stop");
}

/* The stream cannot go on by itself: it must have stopped, for the right reason; then the operator decides.
 */
static void check_stop(struct run *r)
{
    static const enum position_reason reasons[] = {[END_NEW_EPOCH] = POSITION_NEW_EPOCH,
                                                   [END_LOWER_EPOCH] = POSITION_NEW_EPOCH,
                                                   [END_TRIMMED] = POSITION_GONE,
                                                   [END_SET_BACK] = POSITION_REWOUND,
                                                   [END_JOURNAL_DAMAGED] = POSITION_DAMAGED};
    struct position *p = &r->position;

    if (r->failed)
        return;
    if (p->mode != POSITION_STOPPED || p->reason != reasons[r->ending]) {
        fail(r, "should have stopped as %s", position_reason_names[reasons[r->ending]]);
        return;
    }
    if (r->ending == END_SET_BACK)
        return; /* numbers used twice: nothing but another epoch helps */
    if (r->ending == END_TRIMMED) {
        if (p->first_kept != r->feed.journal->first_kept)
            fail(r, "GONE shows %" PRIu64, p->first_kept);
        r->committed_epoch = r->feed.journal->epoch;
        r->committed_next = p->first_kept;
    } else if (r->ending == END_JOURNAL_DAMAGED) {
        r->feed.damaged_until = 0;
    } else {
        if (p->other_epoch != r->feed.journal->epoch)
            fail(r, "shows epoch %" PRIu64, p->other_epoch);
        r->committed_epoch = p->other_epoch;
        r->committed_next = 1;
    }
    order_reset(r, "accepted");
    run_quietly(r, is_caught_up);
    if (!is_caught_up(r))
        fail(r, "not caught up after the operator's act");
}

/* With nothing committed, a new epoch is adopted, unless the machine itself had adopted the old one before; a
 * damaged or trimmed range may have come by live. */
static bool must_stop(const struct run *r)
{
    const struct model_feed *f = &r->feed;

    switch (r->ending) {
    case END_NEW_EPOCH:
    case END_LOWER_EPOCH:
        return r->committed_epoch ? r->committed_epoch != f->journal->epoch
                                  : r->position.mode == POSITION_STOPPED;
    case END_TRIMMED:
        return r->committed_next < f->journal->first_kept;
    case END_SET_BACK:
        return r->struck;
    case END_JOURNAL_DAMAGED:
        return r->committed_next < f->damaged_until;
    case END_ORDINARY:
        break;
    }
    return false;
}

static enum ending choose_ending(uint64_t *random)
{
    uint64_t n = model_below(random, 100);

    return n < 75   ? END_ORDINARY
           : n < 81 ? END_NEW_EPOCH
           : n < 85 ? END_LOWER_EPOCH
           : n < 90 ? END_TRIMMED
           : n < 95 ? END_SET_BACK
                    : END_JOURNAL_DAMAGED;
}

static void start_run(struct run *r, uint64_t seed, bool verbose)
{
    struct position_settings settings = position_defaults;

    memset(r, 0, sizeof *r);
    r->seed = seed;
    r->random = seed * 2 + 1;
    r->verbose = verbose;
    r->ending = choose_ending(&r->random);
    /* Without it a stale batch may put the writer ahead of the machine, which then cannot see every journal
     * set back. */
    r->by_generation = r->ending == END_SET_BACK || model_chance(&r->random, 500);
    r->queue_max = 20 + (uint32_t)model_below(&r->random, 180);
    model_init(&r->feed, seed, verbose);
    settings.fetch_events = 50 + (uint32_t)model_below(&r->random, 200);
    position_init(&r->position, &settings, r->feed.now_us);
    r->committed_next = 1;
    if (model_chance(&r->random, 500)) { /* a daemon that was here before */
        r->committed_epoch = r->feed.journal->epoch;
        r->committed_next = 1 + model_below(&r->random, r->feed.journal->next);
    }
    say(r, "ending %d, queue %" PRIu32 ", trouble %d, journal epoch %" PRIu64 " next %" PRIu64,
        (int)r->ending, r->queue_max, r->feed.trouble, r->feed.journal->epoch, r->feed.journal->next);
}

static void play(struct run *r)
{
    /* Sometimes it comes when all is quiet, so that nothing but its own signs can show it. */
    int strike_at = (int)model_below(&r->random, STEPS + STEPS / 3);
    bool must;

    for (int i = 0; i < STEPS && !r->failed; i++) {
        if (i == 2)
            order_reset(r, "start"); /* the writer needs a moment to connect */
        if (i >= strike_at && i >= 2 && !r->struck && r->ending != END_ORDINARY)
            strike_journal(r);
        step(r);
        /* Chance may damage three answers for one range; only then may an ordinary stream stop. The operator
         * resumes. */
        if (r->position.mode == POSITION_STOPPED && r->position.reason == POSITION_DAMAGED &&
            (r->ending != END_JOURNAL_DAMAGED || !r->struck)) {
            if (r->position.damages < 3)
                fail(r, "stopped as damaged after %" PRIu32, r->position.damages);
            order_reset(r, "resume after damage");
        }
        if (r->position.mode == POSITION_STOPPED && (r->ending == END_ORDINARY || !r->struck))
            fail(r, "stopped without reason");
    }
    end_faults(r);
    run_quietly(r, is_settled);
    if (!r->failed && !r->struck && r->ending != END_ORDINARY) {
        strike_journal(r);
        run_quietly(r, is_stopped);
    }
    must = must_stop(r);
    if (!r->failed && must && !is_stopped(r))
        run_quietly(r, is_stopped);
    if (must)
        check_stop(r);
    else if (!r->failed && !is_caught_up(r))
        fail(r, "not caught up %u s after the last fault", QUIET_US / 1000000);
}

int main(void)
{
    const char *one = getenv("TEST_SEED"), *many = getenv("SIM_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t seeds = one ? 1 : many ? strtoull(many, NULL, 10) : 3000;
    uint64_t faults[FAULT_COUNT] = {0}, delivered = 0, fetches = 0, gaps = 0, stops = 0, failures = 0,
             ran = 0;
    static struct run run;

    for (uint64_t seed = first; seed < first + seeds && failures < 5; seed++) {
        start_run(&run, seed, one != NULL);
        play(&run);
        ran++;
        failures += run.failed;
        delivered += run.delivered;
        fetches += run.position.fetches;
        gaps += run.position.gaps;
        stops += run.stops;
        for (int i = 0; i < FAULT_COUNT; i++)
            faults[i] += run.feed.faults[i];
    }
    printf("sim_position: seeds %" PRIu64 "..%" PRIu64 ", %" PRIu64 " failed; %" PRIu64 " events, %" PRIu64
           " gaps, %" PRIu64 " fetches, %" PRIu64 " stops; faults:",
           first, first + ran - 1, failures, delivered, gaps, fetches, stops);
    for (int i = 0; i < FAULT_COUNT; i++)
        printf(" %s %" PRIu64 "%s", model_fault_names[i], faults[i], i + 1 < FAULT_COUNT ? "," : "\n");
    return failures ? 1 : 0;
}
