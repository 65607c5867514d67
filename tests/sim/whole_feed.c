/* SPDX-License-Identifier: MIT
 *
 * A producer and its teldag-feed: lines are staged, synced to the journal, then acknowledged and served. A kill loses
 * what is staged, unless the disk had it already. The producer forgets what is acknowledged and resumes where the feed's
 * first ack says. What is answered is decided by the product (daemon/answer.c). */
#include "tests/sim/whole.h"

#include <inttypes.h>

#define STAGE_MAX  16
#define ANSWER_MAX 64 /* events in an answer */
#define HEAD_US    1000000

void feed_start(struct world *w, int stream)
{
    struct feed *f = &w->feeds[stream];

    w->actors[FEED + stream].up = true;
    f->staged = 0;
    f->syncing = false;
    f->published = f->next; /* what was there before is fetched, not pushed */
    f->head_us = w->now_us;
    f->sent = (uint32_t)(f->next - 1);
    SAY(w, "feed %d starts: epoch %" PRIu64 ", ack %" PRIu32, stream, f->epoch, f->sent);
    if (f->sent < f->acked)
        fail(w, "stream %d: event %" PRIu32 " was acknowledged, the journal ends at %" PRIu32, stream,
             f->acked, f->sent);
    f->acked = f->sent;
    plan(w, ACT_PUMP, (uint8_t)(FEED + stream), 0, 1000);
    plan(w, ACT_SERVE, (uint8_t)(FEED + stream), 0, 1000);
}

void feed_kill(struct world *w, int stream)
{
    struct feed *f = &w->feeds[stream];

    w->actors[FEED + stream].up = false;
    w->actors[FEED + stream].life++;
    if (f->syncing && below(w, 2))
        f->next = f->staged_from + f->staged; /* on disk, not acknowledged */
    f->syncing = false;
    f->staged = 0;
    for (int d = 0; d < DAEMONS; d++)
        cut_link(w, d * STREAMS + stream, 0);
    plan(w, ACT_START, NOBODY, (uint32_t)(FEED + stream), 1000 + below(w, w->quiet ? 100000 : 2000000));
}

void feed_make(struct world *w, int stream)
{
    struct feed *f = &w->feeds[stream];

    if (w->quiet)
        return;
    f->made += 1 + (uint32_t)below(w, below(w, 8) ? 4 : 40);
    if (w->actors[FEED + stream].up)
        plan(w, ACT_PUMP, (uint8_t)(FEED + stream), 0, 50);
    plan(w, ACT_MAKE, NOBODY, (uint32_t)stream, 1 + below(w, w->make_gap_us));
}

/* Everything that is there, or a full batch. */
void feed_pump(struct world *w, int stream)
{
    struct feed *f = &w->feeds[stream];
    uint32_t room = f->made - f->sent;

    if (f->syncing || room == 0)
        return;
    f->staged = room < STAGE_MAX ? room : STAGE_MAX;
    f->staged_from = f->sent + 1;
    f->sent += f->staged;
    f->syncing = true;
    plan(w, ACT_SYNC, (uint8_t)(FEED + stream), 0, 200 + below(w, 3000));
}

void feed_sync(struct world *w, int stream)
{
    struct feed *f = &w->feeds[stream];

    f->syncing = false;
    if (f->staged_from != f->next)
        fail(w, "stream %d: line %" PRIu32 " under sequence %" PRIu64, stream, f->staged_from, f->next);
    f->next = f->staged_from + f->staged;
    f->staged = 0;
    plan(w, ACT_ACK, (uint8_t)(FEED + stream), (uint32_t)(f->next - 1), 50 + below(w, 500));
    plan(w, ACT_PUMP, (uint8_t)(FEED + stream), 0, 1 + below(w, 5000));
    feed_serve(w, stream);
}

void feed_ack(struct world *w, int stream, uint32_t line)
{
    struct feed *f = &w->feeds[stream];

    if (line > f->acked && line <= f->sent)
        f->acked = line;
}

static void send_records(struct world *w, int stream, int link, uint32_t tag, uint64_t seq, uint64_t until,
                         bool live)
{
    const struct feed *f = &w->feeds[stream];

    while (seq < until) {
        struct message *m = message_new(w, link, MESSAGE_RECORDS, tag, f->epoch, seq);

        m->live = live;
        m->h.count = (uint16_t)(until - seq < LINES_MAX ? until - seq : LINES_MAX);
        for (uint16_t i = 0; i < m->h.count; i++)
            m->lines[i] = (uint32_t)(seq + i);
        seq += m->h.count;
        transmit(w, m, 100 + below(w, 400));
    }
}

static void send_head(struct world *w, int stream, int link, enum what what, uint32_t tag, uint64_t seq,
                      bool live)
{
    struct message *m = message_new(w, link, what, tag, w->feeds[stream].epoch, seq);

    m->live = live;
    transmit(w, m, 100 + below(w, 400));
}

/* What has become durable since, and each second a head. */
void feed_serve(struct world *w, int stream)
{
    struct feed *f = &w->feeds[stream];
    bool head = w->now_us >= f->head_us;

    if (f->published < f->first)
        f->published = f->first;
    for (int d = 0; d < DAEMONS; d++) {
        if (!w->actors[DAEMON + d].up)
            continue;
        send_records(w, stream, d * STREAMS + stream, 0, f->published, f->next, true);
        if (head)
            send_head(w, stream, d * STREAMS + stream, MESSAGE_HEAD, 0, f->next, true);
    }
    f->published = f->next;
    if (head) {
        f->head_us = w->now_us + HEAD_US;
        plan(w, ACT_SERVE, (uint8_t)(FEED + stream), 0, HEAD_US);
    }
}

void feed_request(struct world *w, const struct message *m)
{
    int stream = m->link % STREAMS;
    const struct feed *f = &w->feeds[stream];
    const struct answer_kept kept = {f->epoch, f->first, f->next};
    struct answer a;

    if (strikes(w, FAULT_ERROR_ANSWER)) {
        send_head(w, stream, m->link, MESSAGE_ERROR, 0, f->next, false);
        return;
    }
    a = m->fetch ? answer_fetch(&kept, &m->h, m->max_events) : answer_hello(&kept);
    if (a.kind == ANSWER_EPOCH || a.kind == ANSWER_GONE) {
        send_head(w, stream, m->link, a.kind == ANSWER_GONE ? MESSAGE_GONE : MESSAGE_EPOCH, m->h.tag, a.shown,
                  false);
        return;
    }
    if (a.kind == ANSWER_RECORDS)
        send_records(w, stream, m->link, m->h.tag, a.from,
                     a.until < a.from + ANSWER_MAX ? a.until : a.from + ANSWER_MAX, false);
    send_head(w, stream, m->link, MESSAGE_HEAD, m->h.tag, a.shown, false);
}

/* The registry sends everything again from a new journal. */
void feed_new_journal(struct world *w, int stream)
{
    struct feed *f = &w->feeds[stream];

    feed_kill(w, stream);
    f->epoch += 1 + below(w, 3);
    f->first = f->next = 1;
    f->acked = 0;
    f->made = f->made / 4 + 1;
}

/* too_far: also what nobody has yet. */
void feed_trim(struct world *w, int stream, bool too_far)
{
    struct feed *f = &w->feeds[stream];
    const struct commitment_place *at = &w->database.now.places[stream];
    uint64_t keep = too_far ? f->next : at->epoch == f->epoch ? at->next : f->first;

    if (keep > f->next)
        keep = f->next;
    if (keep > f->first)
        f->first += 1 + below(w, keep - f->first);
    SAY(w, "feed %d: first kept %" PRIu64 " of %" PRIu64 ", committed %" PRIu64, stream, f->first, f->next,
        at->next);
}
