/* SPDX-License-Identifier: MIT
 *
 * The rules of design 5 for a subscriber, in this order of authority:
 * 1. The writer's word (position_reset) is where we stand.
 * 2. An answer to a request of our own, sent since then, may say that the stream cannot go on.
 * 3. Live messages may be late, early, doubled or damaged: they deliver what fits exactly at `next`, and
 * otherwise are only a reason to ask. So no live head, however odd, ever stops a stream. Records of the right
 * epoch that fit at `next` are taken from wherever they come: (epoch, seq) is immutable. */
#include "workers/position.h"

#include <string.h>

#define DAMAGES_MAX      3 /* design 5: "three times the same range" */
#define BACK_OFF_SHIFT   3 /* at most 8 periods between requests that get no useful answer */
#define STARVED_SLEEP_US 20000
#define IDLE_SLEEP_US    1000000

const struct position_settings position_defaults = {
    .silence_us = 3000000, .stale_us = 60000000, .fetch_period_us = 1000000, .fetch_events = 8192};

const char *const position_mode_names[POSITION_STOPPED + 1] = {"waiting", "fetching", "live", "stopped"};
const char *const position_reason_names[POSITION_REWOUND + 1] = {"ok",      "gone",   "new_epoch",
                                                                 "damaged", "paused", "rewound"};

static void fall_back(struct position *p)
{
    if (p->mode == POSITION_LIVE && !p->settings.best_effort)
        p->mode = POSITION_FETCHING;
}

void position_init(struct position *p, const struct position_settings *settings, uint64_t now_us)
{
    memset(p, 0, sizeof *p);
    p->settings = *settings;
    p->heard_us = now_us;
}

void position_reset(struct position *p, uint64_t epoch, uint64_t next, uint64_t now_us)
{
    (void)now_us;
    if (p->settings.best_effort && p->mode == POSITION_LIVE && next < p->next)
        p->gaps++; /* what was taken back cannot be fetched */
    p->mode = p->settings.best_effort ? POSITION_LIVE : POSITION_FETCHING;
    p->reason = p->paused ? POSITION_PAUSED : POSITION_OK;
    p->epoch = epoch;
    p->next = next ? next : 1;
    p->head = p->settings.best_effort ? p->next : 0;
    p->other_epoch = p->first_kept = 0;
    p->tag = p->hello_tag = 0;
    p->hello_sent = p->hello_answered;
    p->hello_due = true;
    p->hello_doubt = p->starved = false;
    p->damages = p->failures = 0;
}

void position_pause(struct position *p, bool paused, uint64_t now_us)
{
    (void)now_us;
    if (p->paused == paused)
        return;
    p->paused = paused;
    if (p->mode == POSITION_STOPPED)
        return;
    p->reason = paused ? POSITION_PAUSED : POSITION_OK;
    p->tag = 0;
    p->hello_due = !paused;
    fall_back(p);
}

void position_want_hello(struct position *p, uint64_t generation)
{
    if (generation > p->hello_wanted)
        p->hello_wanted = generation;
}

static void hear(struct position *p, uint64_t now_us)
{
    p->heard_us = now_us;
    p->stale = false;
}

static void stop(struct position *p, enum position_reason reason)
{
    p->mode = POSITION_STOPPED;
    p->reason = reason;
    p->tag = 0;
    p->hello_due = p->hello_doubt = false;
}

/* The writer knows no epoch yet: the publisher's own answer gives it. */
static void adopt_epoch(struct position *p, uint64_t epoch)
{
    if (p->epoch == 0)
        p->epoch = p->asked_epoch = epoch;
}

/* LIVE exactly while nothing is known to be missing. */
static void compare_with_head(struct position *p)
{
    if (p->mode == POSITION_FETCHING && p->next >= p->head && !p->paused)
        p->mode = POSITION_LIVE;
    else if (p->next < p->head)
        fall_back(p);
}

static void raise_head(struct position *p, uint64_t head)
{
    if (head > p->head)
        p->head = head;
}

/* A damaged answer ends its request; the third without progress, so for the same range, stops the stream. */
static void count_answer_damage(struct position *p)
{
    p->tag = 0;
    p->failures++;
    p->damage_from = p->next;
    if (++p->damages >= DAMAGES_MAX)
        stop(p, POSITION_DAMAGED);
}

void position_damage(struct position *p, bool live, uint64_t now_us)
{
    (void)now_us;
    p->damaged++;
    if (p->mode != POSITION_FETCHING && p->mode != POSITION_LIVE)
        return;
    if (live) {
        fall_back(p);
    } else if (p->tag || p->hello_tag) {
        if (!p->tag)
            p->hello_tag = 0;
        count_answer_damage(p);
    }
}

/* 1. Only what is whole counts.
 * 2. Another epoch: an answer to us stops the stream, a live message makes us ask.
 * 3. seq < next: seen before, dropped (from the front of a message that reaches further: skipped).
 * 4. first_seq > next: live, a gap, fetched; in an answer, the rest of one that had a hole.
 * 5. No room: dropped and fetched when there is. */
struct position_delivery position_records(struct position *p, const struct wire_header *h, int lines,
                                          bool live, uint32_t room, uint64_t now_us)
{
    const struct position_delivery drop = {POSITION_DROP, 0};
    const bool ours = !live && p->tag && h->tag == p->tag;
    const uint64_t end = h->first_seq + h->count;
    uint32_t skip;

    if (lines != h->count) {
        p->damaged++;
        if (live)
            fall_back(p);
        else if (ours)
            count_answer_damage(p);
        return drop;
    }
    hear(p, now_us);
    if (p->mode == POSITION_WAITING || p->mode == POSITION_STOPPED || p->paused)
        return drop;
    if (ours) {
        p->answered_us = now_us;
        adopt_epoch(p, h->epoch);
    }
    if (h->epoch != p->epoch) {
        if (ours) {
            p->other_epoch = h->epoch;
            stop(p, POSITION_NEW_EPOCH);
        } else if (p->epoch) {
            p->hello_doubt = true;
        }
        return drop;
    }
    if (end <= p->next) {
        p->duplicates += h->count;
        return drop;
    }
    if (live)
        raise_head(p, end);
    if (h->first_seq > p->next) {
        if (live && p->mode == POSITION_LIVE) {
            p->gaps++;
            fall_back(p);
        }
        return drop;
    }
    skip = (uint32_t)(p->next - h->first_seq);
    if (h->count - skip > room) {
        if (live)
            p->dropped_live += h->count - skip;
        fall_back(p);
        return drop;
    }
    p->duplicates += skip;
    p->next = end;
    p->damages = 0;
    raise_head(p, end);
    if (live)
        compare_with_head(p);
    else
        p->failures = 0;
    return (struct position_delivery){POSITION_DELIVER, skip};
}

static void take_live_head(struct position *p, const struct wire_header *h)
{
    if (p->epoch == 0)
        return;
    if (h->epoch != p->epoch || h->first_seq < p->next) {
        p->hello_doubt = true; /* overtaken on its way, or a journal set back: ask */
        return;
    }
    raise_head(p, h->first_seq);
    if (p->mode == POSITION_LIVE && p->next < p->head)
        p->gaps++; /* the tail was lost */
    compare_with_head(p);
}

/* from: our next when we asked. Whoever answers has had everything before it, unless its journal was set
 * back. */
static void take_answered_head(struct position *p, const struct wire_header *h, uint64_t from)
{
    adopt_epoch(p, h->epoch);
    if (h->epoch != p->epoch) {
        p->other_epoch = h->epoch;
        stop(p, POSITION_NEW_EPOCH);
        return;
    }
    /* The answer is the truth about the head, so that a wild live one is forgotten here. */
    p->head = h->first_seq;
    if (h->first_seq < from) {
        p->other_epoch = h->epoch;
        stop(p, POSITION_REWOUND);
        return;
    }
    raise_head(p, p->next); /* records overtook the answer */
    compare_with_head(p);
}

/* A later journal than the one we stopped at is what an operator will accept now, also after GONE or REWOUND:
 * the registry can only send everything again from a new one. A live head is not believed: it makes us ask. */
static void take_head_stopped(struct position *p, const struct wire_header *h, bool to_hello)
{
    uint64_t known = p->reason == POSITION_NEW_EPOCH && p->other_epoch > p->epoch ? p->other_epoch : p->epoch;

    if (h->epoch <= known)
        return;
    if (!to_hello) {
        p->hello_doubt = true;
        return;
    }
    p->other_epoch = h->epoch;
    p->reason = POSITION_NEW_EPOCH;
}

void position_head(struct position *p, const struct wire_header *h, bool live, uint64_t now_us)
{
    const bool to_hello = !live && p->hello_tag && h->tag == p->hello_tag;
    const bool to_fetch = !live && p->tag && h->tag == p->tag;

    hear(p, now_us);
    if (p->mode == POSITION_WAITING)
        return;
    if (to_hello) {
        p->hello_tag = 0;
        p->hello_due = p->hello_doubt = false;
        p->hello_answered = p->hello_sent;
        p->hello_head = p->epoch == 0 || h->epoch == p->epoch ? h->first_seq : 0;
    }
    if (to_fetch)
        p->tag = 0;
    if (p->mode == POSITION_STOPPED) {
        take_head_stopped(p, h, to_hello);
        return;
    }
    if (to_hello || to_fetch) {
        p->failures = 0;
        take_answered_head(p, h, to_hello ? p->hello_from : p->asked_from);
    } else if (live) {
        take_live_head(p, h);
    }
}

/* An answer that contradicts what it answers is no use: ask again later. */
static void end_without_use(struct position *p)
{
    p->tag = 0;
    p->failures++;
}

void position_gone(struct position *p, const struct wire_header *h, uint64_t now_us)
{
    if (!p->tag || h->tag != p->tag)
        return;
    hear(p, now_us);
    adopt_epoch(p, h->epoch);
    if (h->epoch == p->epoch && h->first_seq <= p->next) {
        end_without_use(p);
        return;
    }
    p->other_epoch = h->epoch;
    p->first_kept = h->first_seq;
    stop(p, h->epoch == p->epoch ? POSITION_GONE : POSITION_NEW_EPOCH);
}

void position_other_epoch(struct position *p, const struct wire_header *h, uint64_t now_us)
{
    if (!p->tag || h->tag != p->tag)
        return;
    hear(p, now_us);
    if (p->epoch == 0 || h->epoch == p->epoch) {
        adopt_epoch(p, h->epoch);
        end_without_use(p);
        return;
    }
    p->other_epoch = h->epoch;
    stop(p, POSITION_NEW_EPOCH);
}

/* An ERROR carries no tag, so it ends whatever is outstanding. */
void position_error(struct position *p, uint64_t now_us)
{
    (void)now_us;
    if (!p->tag && !p->hello_tag)
        return;
    p->hello_tag = 0;
    p->hello_sent = p->hello_answered;
    end_without_use(p);
}

void position_unsent(struct position *p, enum position_request request, uint64_t now_us)
{
    (void)now_us;
    if (request == POSITION_ASK_FETCH && p->tag) {
        p->tag = 0;
        p->fetches--;
    } else if (request == POSITION_ASK_HELLO && p->hello_tag) {
        p->hello_tag = 0;
        p->hello_sent = p->hello_answered;
    }
}

void position_undeliver(struct position *p, uint64_t from)
{
    if (from >= p->next)
        return;
    if (p->settings.best_effort) {
        p->gaps++;
        p->dropped_live += p->next - from;
        p->head = from;
    }
    p->next = from;
    fall_back(p);
}

struct position_delivery position_number(struct position *p, uint32_t lines, uint32_t room, uint64_t now_us)
{
    hear(p, now_us);
    if (p->mode != POSITION_LIVE || lines > room || p->paused) {
        p->gaps++;
        p->dropped_live += lines;
        return (struct position_delivery){POSITION_DROP, 0};
    }
    p->next += lines;
    p->head = p->next;
    return (struct position_delivery){POSITION_DELIVER, 0};
}

static uint64_t back_off_us(const struct position *p)
{
    return p->settings.fetch_period_us << (p->failures < BACK_OFF_SHIFT ? p->failures : BACK_OFF_SHIFT);
}

static bool is_hello_wanted(const struct position *p)
{
    if (p->mode == POSITION_WAITING || p->settings.best_effort || p->hello_tag)
        return false;
    if (p->hello_wanted > p->hello_sent)
        return true;
    if (p->mode == POSITION_STOPPED)
        return p->hello_doubt && !p->paused;
    return (p->hello_due || p->hello_doubt) && !p->paused;
}

/* At once after a reset or for an operator who waits (ten a second at most); once a second in doubt. */
static uint64_t hello_due_us(const struct position *p)
{
    if (!p->asked_hello)
        return 0;
    if (p->failures)
        return p->hello_us + back_off_us(p);
    if (p->hello_due || p->hello_wanted > p->hello_sent)
        return p->hello_us + p->settings.fetch_period_us / 10;
    return p->hello_us + p->settings.fetch_period_us;
}

static bool is_fetch_wanted(const struct position *p)
{
    return p->mode == POSITION_FETCHING && !p->paused && !p->tag;
}

/* A range is asked for at most once a period; another range at once, unless we are backing off. */
static uint64_t fetch_due_us(const struct position *p)
{
    /* Epoch 0 is whichever the publisher has, so it may be the same range. */
    const bool same_epoch = p->asked_epoch == p->epoch || p->asked_epoch == 0 || p->epoch == 0;

    if (!p->asked_fetch)
        return 0;
    if (p->failures == 0 && (p->asked_from != p->next || !same_epoch))
        return 0;
    return p->asked_us + back_off_us(p);
}

static uint32_t next_tag(struct position *p)
{
    if (++p->last_tag == 0)
        p->last_tag = 1;
    return p->last_tag;
}

static struct position_ask ask_hello(struct position *p, uint64_t now_us)
{
    p->hello_tag = next_tag(p);
    p->hello_us = now_us;
    p->hello_from = p->next;
    p->hello_sent = p->hello_wanted;
    p->asked_hello = true;
    return (struct position_ask){
        .request = POSITION_ASK_HELLO,
        .header = {.kind = WIRE_REQUEST, .tag = p->hello_tag, .epoch = p->epoch, .first_seq = p->next}};
}

static struct position_ask ask_fetch(struct position *p, uint32_t room, uint64_t now_us)
{
    p->tag = next_tag(p);
    p->asked_us = p->answered_us = now_us;
    p->asked_epoch = p->epoch;
    p->asked_from = p->next;
    p->asked_fetch = true;
    p->fetches++;
    return (struct position_ask){
        .request = POSITION_ASK_FETCH,
        .header = {.kind = WIRE_REQUEST, .tag = p->tag, .epoch = p->epoch, .first_seq = p->next},
        .max_events = room < p->settings.fetch_events ? room : p->settings.fetch_events};
}

/* What time alone decides: stale, silent, unanswered. */
static void pass_time(struct position *p, uint64_t now_us)
{
    const struct position_settings *s = &p->settings;

    if (now_us - p->heard_us >= s->stale_us)
        p->stale = true;
    if (s->best_effort)
        return;
    if (p->tag && now_us - p->answered_us >= s->silence_us)
        end_without_use(p);
    if (p->hello_tag && now_us - p->hello_us >= s->silence_us) {
        p->hello_tag = 0;
        p->hello_sent = p->hello_answered;
        p->failures++;
    }
    if (now_us - p->heard_us >= s->silence_us)
        fall_back(p);
}

struct position_ask position_tick(struct position *p, uint32_t room, uint64_t now_us)
{
    pass_time(p, now_us);
    p->starved = false;
    if (is_hello_wanted(p) && now_us >= hello_due_us(p))
        return ask_hello(p, now_us);
    if (is_fetch_wanted(p) && now_us >= fetch_due_us(p)) {
        if (room > 0)
            return ask_fetch(p, room, now_us);
        p->starved = true;
    }
    return (struct position_ask){.request = POSITION_ASK_NOTHING};
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t position_sleep(const struct position *p, uint64_t now_us)
{
    const struct position_settings *s = &p->settings;
    uint64_t due = now_us + IDLE_SLEEP_US;

    if (!p->stale)
        due = earlier(due, p->heard_us + s->stale_us);
    if (s->best_effort || p->mode == POSITION_WAITING)
        return due > now_us ? due - now_us : 0;
    if (p->tag)
        due = earlier(due, p->answered_us + s->silence_us);
    if (p->hello_tag)
        due = earlier(due, p->hello_us + s->silence_us);
    if (p->mode == POSITION_LIVE)
        due = earlier(due, p->heard_us + s->silence_us);
    if (is_hello_wanted(p))
        due = earlier(due, hello_due_us(p));
    if (is_fetch_wanted(p))
        due = earlier(due, p->starved ? now_us + STARVED_SLEEP_US : fetch_due_us(p));
    return due > now_us ? due - now_us : 0;
}
