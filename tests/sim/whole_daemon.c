/* SPDX-License-Identifier: MIT
 *
 * A daemon's receivers and inbox, as workers/receiver_worker.c moves bytes around the position machine: orders first,
 * then what came in, then what to ask. While the inbox is full, answers are left unread. */
#include "tests/sim/whole.h"

#include <inttypes.h>
#include <string.h>

#define INBOX_EVENTS 96
#define TURN_US      50000

void daemon_start(struct world *w, int d)
{
    struct daemon *m = &w->daemons[d];
    struct position_settings settings = position_defaults;

    memset(m, 0, sizeof *m);
    w->actors[DAEMON + d].up = true;
    settings.fetch_events = 20 + (uint32_t)below(w, 80);
    for (int s = 0; s < STREAMS; s++) {
        position_init(&m->receivers[s].position, &settings, w->now_us);
        receiver_poke(w, d, s, 1000);
    }
    SAY(w, "daemon %d starts", d);
    writer_start(w, d);
    plan(w, ACT_PUBLISH, (uint8_t)(DAEMON + d), 0, 1000);
}

void daemon_kill(struct world *w, int d)
{
    int session = w->daemons[d].writer.session;

    w->actors[DAEMON + d].up = false;
    w->actors[DAEMON + d].life++;
    w->actors[DAEMON + d].frozen_until_us = 0;
    if (session >= 0)
        database_leave(w, session, below(w, 4) ? 0 : 1 + below(w, 3000000));
    for (int s = 0; s < STREAMS; s++)
        cut_link(w, d * STREAMS + s, 0);
    if (w->subscriber.daemon == d)
        cut_link(w, ALERT_LINK, 0);
    plan(w, ACT_START, NOBODY, (uint32_t)(DAEMON + d), 1000 + below(w, w->quiet ? 100000 : 4000000));
}

static uint32_t count_events(const struct daemon *m)
{
    uint32_t events = 0;

    for (int i = 0; i < m->inbox_count; i++)
        events += m->inbox[i].count;
    return events;
}

/* Soft by one message, as in the product: any room at all takes it whole. */
static uint32_t room(const struct world *w, int d)
{
    const struct daemon *m = &w->daemons[d];

    if (m->inbox_full_until_us > w->now_us || m->inbox_count == INBOX_MAX)
        return 0;
    return count_events(m) < INBOX_EVENTS ? UINT32_MAX : 0;
}

bool receiver_is_full(const struct world *w, int d)
{
    return room(w, d) == 0;
}

void receiver_poke(struct world *w, int d, int s, uint64_t delay_us)
{
    struct receiver *r = &w->daemons[d].receivers[s];

    if (r->tick_due_us > w->now_us && r->tick_due_us <= w->now_us + delay_us)
        return; /* it looks sooner anyway */
    r->tick_due_us = w->now_us + delay_us;
    plan(w, ACT_TICK, (uint8_t)(DAEMON + d), ++r->tick << 4 | (uint32_t)s, delay_us);
}

static void follow_orders(struct world *w, struct receiver *r)
{
    position_pause(&r->position, r->paused, w->now_us);
    if (r->followed == r->ordered)
        return;
    r->followed = r->ordered;
    position_reset(&r->position, r->order_epoch, r->order_next, w->now_us);
}

static void send_requests(struct world *w, int d, int s)
{
    struct receiver *r = &w->daemons[d].receivers[s];
    int link = d * STREAMS + s;

    for (int i = 0; i < 3; i++) {
        struct position_ask ask = position_tick(&r->position, room(w, d), w->now_us);
        struct message *m;

        if (ask.request == POSITION_ASK_NOTHING)
            return;
        if (!w->actors[FEED + s].up || !link_is_up(w, link)) {
            position_unsent(&r->position, ask.request, w->now_us);
            return;
        }
        m = message_new(w, link, MESSAGE_REQUEST, ask.header.tag, ask.header.epoch, ask.header.first_seq);
        m->fetch = ask.request == POSITION_ASK_FETCH;
        m->max_events = ask.max_events;
        SAY(w, "daemon %d stream %d: %s from %" PRIu64 "/%" PRIu64, d, s, m->fetch ? "FETCH" : "HELLO",
            ask.header.epoch, ask.header.first_seq);
        transmit(w, m, 100 + below(w, 400));
    }
    fail(w, "three requests at once");
}

static void end_turn(struct world *w, int d, int s)
{
    struct receiver *r = &w->daemons[d].receivers[s];

    send_requests(w, d, s);
    if (r->position.mode == POSITION_STOPPED && r->shown.mode != POSITION_STOPPED) {
        SAY(w, "daemon %d stream %d: stopped, %s", d, s, position_reason_names[r->position.reason]);
        w->stops++;
        if (r->position.reason == POSITION_REWOUND)
            fail(w, "stream %d: the journal was never set back", s);
    }
    r->shown = r->position;
    receiver_poke(w, d, s, position_sleep(&r->position, w->now_us) + 1);
}

void receiver_tick(struct world *w, int d, int s)
{
    follow_orders(w, &w->daemons[d].receivers[s]);
    end_turn(w, d, s);
}

static void deliver(struct world *w, int d, int s, const struct message *m, uint32_t skip)
{
    struct daemon *daemon = &w->daemons[d];
    struct receiver *r = &daemon->receivers[s];
    struct batch *b = &daemon->inbox[daemon->inbox_count];
    uint64_t first = m->h.first_seq + skip;

    if (daemon->inbox_count == INBOX_MAX || (daemon->inbox_full_until_us > w->now_us)) {
        position_undeliver(&r->position, first);
        return;
    }
    b->stream = (uint8_t)s;
    b->epoch = r->position.epoch;
    b->first_seq = first;
    b->generation = r->followed;
    b->count = (uint8_t)(m->h.count - skip);
    for (uint8_t i = 0; i < b->count; i++)
        b->lines[i] = m->lines[skip + i];
    daemon->inbox_count++;
    w->delivered += b->count;
    if (daemon->writer.phase == PHASE_TURN)
        writer_wake(w, d, 1 + below(w, 100));
}

static void take_records(struct world *w, int d, int s, const struct message *m)
{
    struct receiver *r = &w->daemons[d].receivers[s];
    int lines = m->damage ? m->h.count - 1 : m->h.count;
    struct position_delivery delivery =
        position_records(&r->position, &m->h, lines ? lines : -1, m->live, room(w, d), w->now_us);

    if (delivery.action == POSITION_DELIVER)
        deliver(w, d, s, m, delivery.skip);
}

void receiver_take(struct world *w, const struct message *m)
{
    int d = m->link / STREAMS, s = m->link % STREAMS;
    struct position *p = &w->daemons[d].receivers[s].position;

    follow_orders(w, &w->daemons[d].receivers[s]); /* before what was received: a reset makes it void */
    if (m->damage && (m->damage == 1 || m->what != MESSAGE_RECORDS))
        position_damage(p, m->live, w->now_us);
    else if (m->what == MESSAGE_RECORDS)
        take_records(w, d, s, m);
    else if (m->what == MESSAGE_HEAD)
        position_head(p, &m->h, m->live, w->now_us);
    else if (m->what == MESSAGE_GONE)
        position_gone(p, &m->h, w->now_us);
    else if (m->what == MESSAGE_EPOCH)
        position_other_epoch(p, &m->h, w->now_us);
    else
        position_error(p, w->now_us);
    end_turn(w, d, s);
}

void order_reset(struct world *w, int d, int s)
{
    struct daemon *m = &w->daemons[d];
    struct receiver *r = &m->receivers[s];

    r->ordered++;
    r->order_epoch = m->writer.places[s].epoch;
    r->order_next = m->writer.places[s].next;
    receiver_poke(w, d, s, 1 + below(w, TURN_US));
}
