/* SPDX-License-Identifier: MIT
 *
 * The alert log on its way out: each daemon's publisher (workers/publisher_worker.c), which keeps nothing and reads
 * what is committed, and a subscriber that keeps the number of the last alert it has taken, together with its effect
 * (tools/ctl_follow.c with --after). A subscriber that falls begins again from that number. */
#include "tests/sim/whole.h"

#include <inttypes.h>
#include <string.h>

#define HEAD_US    1000000
#define ANSWER_MAX 60

static bool follows(const struct world *w, int d)
{
    return w->actors[SUBSCRIBER].up && w->subscriber.daemon == d;
}

static void send_alerts(struct world *w, uint32_t tag, uint64_t from, uint64_t until, bool live)
{
    while (from < until) {
        struct message *m =
            message_new(w, ALERT_LINK, MESSAGE_RECORDS, tag, w->database.now.alert_epoch, from);

        m->live = live;
        m->h.count = live ? 1 : (uint16_t)(until - from < LINES_MAX ? until - from : LINES_MAX);
        for (uint16_t i = 0; i < m->h.count; i++)
            m->lines[i] = w->alerts[w->database.now.alert_epoch - EPOCH_FIRST][from + i];
        from += m->h.count;
        transmit(w, m, 100 + below(w, 400));
    }
}

static void send_head(struct world *w, enum what what, uint32_t tag, uint64_t epoch, uint64_t seq, bool live)
{
    struct message *m = message_new(w, ALERT_LINK, what, tag, epoch, seq);

    m->live = live;
    transmit(w, m, 100 + below(w, 400));
}

static bool read_position(struct world *w, struct publisher *p)
{
    const struct database *db = &w->database;

    if (!db->up)
        return false;
    if (!p->positioned ||
        p->epoch != db->now.alert_epoch) { /* nothing older is sent live: subscribers fetch it */
        p->epoch = db->now.alert_epoch;
        p->next = db->now.shard.alert_seq + 1;
        p->positioned = true;
    }
    return true;
}

static void send_live(struct world *w, int d)
{
    struct publisher *p = &w->daemons[d].publisher;

    if (!read_position(w, p))
        return;
    if (follows(w, d))
        send_alerts(w, 0, p->next, w->database.now.shard.alert_seq + 1, true);
    p->next = w->database.now.shard.alert_seq + 1;
}

/* due: the second's turn; else woken by the writer. */
void publisher_turn(struct world *w, int d, bool due)
{
    struct publisher *p = &w->daemons[d].publisher;

    send_live(w, d);
    if (!due)
        return;
    if (p->positioned && follows(w, d))
        send_head(w, MESSAGE_HEAD, 0, p->epoch, p->next, true);
    plan(w, ACT_PUBLISH, (uint8_t)(DAEMON + d), 0, HEAD_US);
}

void publisher_request(struct world *w, const struct message *m)
{
    struct publisher *p = &w->daemons[w->subscriber.daemon].publisher;
    struct answer_kept kept;
    struct answer a;

    if (!p->positioned || !w->database.up || strikes(w, FAULT_ERROR_ANSWER)) {
        send_head(w, MESSAGE_ERROR, 0, 1, 1, false);
        return;
    }
    if (!m->fetch) {
        send_live(w, w->subscriber.daemon); /* the head of an answer is what is committed now */
        send_head(w, MESSAGE_HEAD, m->h.tag, p->epoch, p->next, false);
        return;
    }
    read_position(w, p);
    kept = (struct answer_kept){
        p->epoch, 1,
        w->database.now.shard.alert_seq >= p->next ? w->database.now.shard.alert_seq + 1 : p->next};
    a = answer_fetch(&kept, &m->h, m->max_events);
    if (a.kind == ANSWER_RECORDS)
        send_alerts(w, m->h.tag, a.from, a.until < a.from + ANSWER_MAX ? a.until : a.from + ANSWER_MAX,
                    false);
    send_head(w,
              a.kind == ANSWER_GONE    ? MESSAGE_GONE
              : a.kind == ANSWER_EPOCH ? MESSAGE_EPOCH
                                       : MESSAGE_HEAD,
              m->h.tag, p->epoch, a.shown, false);
}

/* ---- subscriber ---- */

static void poke(struct world *w, uint64_t delay_us)
{
    struct subscriber *x = &w->subscriber;

    if (x->tick_due_us > w->now_us && x->tick_due_us <= w->now_us + delay_us)
        return;
    x->tick_due_us = w->now_us + delay_us;
    plan(w, ACT_FOLLOW, SUBSCRIBER, ++x->tick, delay_us);
}

void subscriber_start(struct world *w)
{
    struct subscriber *x = &w->subscriber;

    w->actors[SUBSCRIBER].up = true;
    position_init(&x->position, &position_defaults, w->now_us);
    position_reset(&x->position, x->epoch, x->durable + 1, w->now_us);
    x->tick_due_us = 0;
    SAY(w, "subscriber starts after %" PRIu64, x->durable);
    subscriber_connect(w);
    poke(w, 1000);
}

void subscriber_kill(struct world *w)
{
    w->actors[SUBSCRIBER].up = false;
    w->actors[SUBSCRIBER].life++;
    w->actors[SUBSCRIBER].frozen_until_us = 0;
    cut_link(w, ALERT_LINK, 0);
    plan(w, ACT_START, NOBODY, SUBSCRIBER, 1000 + below(w, w->quiet ? 100000 : 3000000));
}

/* To whichever daemon has the address now. */
void subscriber_connect(struct world *w)
{
    w->subscriber.daemon = (int)below(w, DAEMONS);
    cut_link(w, ALERT_LINK, 0);
}

static void send_requests(struct world *w)
{
    struct subscriber *x = &w->subscriber;
    struct position_ask ask = position_tick(&x->position, 100000, w->now_us);
    struct message *m;

    if (ask.request == POSITION_ASK_NOTHING)
        return;
    if (!w->actors[DAEMON + x->daemon].up || !link_is_up(w, ALERT_LINK)) {
        position_unsent(&x->position, ask.request, w->now_us);
        return;
    }
    m = message_new(w, ALERT_LINK, MESSAGE_REQUEST, ask.header.tag, ask.header.epoch, ask.header.first_seq);
    m->fetch = ask.request == POSITION_ASK_FETCH;
    m->max_events = ask.max_events;
    transmit(w, m, 100 + below(w, 400));
}

/* Another epoch, or the log is set back: only after a promotion that may have lost something. Who follows reads what
 * stands (teldagctl alerts) and follows on from there. */
static void begin_anew(struct world *w)
{
    struct subscriber *x = &w->subscriber;

    SAY(w, "the subscriber stopped: %s", position_reason_names[x->position.reason]);
    if (w->database.synchronous || w->struck[FAULT_FAILOVER] + w->struck[FAULT_LAGGING] == 0 ||
        x->position.reason == POSITION_GONE)
        fail(w, "the subscriber stopped: %s", position_reason_names[x->position.reason]);
    x->epoch = w->database.now.alert_epoch;
    x->durable = w->database.now.shard.alert_seq;
}

static void end_turn(struct world *w)
{
    struct subscriber *x = &w->subscriber;

    send_requests(w);
    if (x->position.mode == POSITION_STOPPED) {
        if (x->position.reason != POSITION_DAMAGED)
            begin_anew(w);
        subscriber_kill(w);
        return;
    }
    poke(w, position_sleep(&x->position, w->now_us) + 1);
}

void subscriber_tick(struct world *w)
{
    end_turn(w);
}

static void take_records(struct world *w, const struct message *m)
{
    struct subscriber *x = &w->subscriber;
    uint64_t e = m->h.epoch - EPOCH_FIRST;
    int lines = m->damage ? m->h.count - 1 : m->h.count;
    struct position_delivery delivery =
        position_records(&x->position, &m->h, lines ? lines : -1, m->live, 100000, w->now_us);

    if (delivery.action != POSITION_DELIVER)
        return;
    if (x->epoch && x->epoch != m->h.epoch)
        fail(w, "the subscriber goes on under another epoch");
    x->epoch = m->h.epoch;
    for (uint32_t i = delivery.skip; i < m->h.count; i++) {
        uint64_t seq = m->h.first_seq + i;

        if (seq != x->durable + 1)
            fail(w, "the subscriber takes alert %" PRIu64 " after %" PRIu64, seq, x->durable);
        if (seq > w->alert_ends[e] || m->lines[i] != w->alerts[e][seq])
            fail(w, "alert %" PRIu64 " is not what the log says", seq);
        x->durable = seq;
    }
}

void subscriber_take(struct world *w, const struct message *m)
{
    struct position *p = &w->subscriber.position;

    if (m->damage && (m->damage == 1 || m->what != MESSAGE_RECORDS))
        position_damage(p, m->live, w->now_us);
    else if (m->what == MESSAGE_RECORDS)
        take_records(w, m);
    else if (m->what == MESSAGE_HEAD)
        position_head(p, &m->h, m->live, w->now_us);
    else if (m->what == MESSAGE_GONE)
        position_gone(p, &m->h, w->now_us);
    else if (m->what == MESSAGE_EPOCH)
        position_other_epoch(p, &m->h, w->now_us);
    else
        position_error(p, w->now_us);
    end_turn(w);
}
