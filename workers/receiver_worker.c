/* SPDX-License-Identifier: MIT
 *
 * One thread per stream around the position machine, which decides everything; this file moves bytes. The SUB
 * is read in every turn, whatever else waits, because libzmq subscribes again from the thread that reads
 * (design 2). While the inbox is full the DEALER is left unread: what was asked for waits in ZeroMQ, at most
 * one answer of 4 MiB. */
#include "workers/receiver_worker.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/failpoint.h"
#include "daemon/log.h"

#define BATCH_EVENTS_MAX 1000
#define TURN_LIVE_MAX    512 /* messages from SUB in a turn */
#define TURN_ANSWERS_MAX 8   /* from DEALER: each may take milliseconds to decode */
#define TURN_MS_MAX      50  /* orders of the writer are seen within this time */
#define STACK_USED       16384
#define OVERSIZE_KEPT    1024

struct receiver {
    char name[WIRE_NAME_MAX + 1];
    struct bus_socket *sub, *dealer; /* dealer NULL for best-effort */
    int stop_fd;
    pthread_t thread;
    struct inbox *inbox;
    struct stream_status *status;
    struct event_decoder *decoder;
    struct bus_message message;
    struct position position;
    enum position_mode logged_mode;
    bool logged_stale, best_effort;
    uint32_t stream_id;
    uint64_t order_generation, received_events, dead_events;
};

/* The queue is soft by one message: any room at all takes it whole. */
static uint32_t queue_room(struct receiver *r)
{
    return inbox_room(r->inbox) > 0 ? UINT32_MAX : 0;
}

static void free_batches(struct event_batch *list)
{
    while (list) {
        struct event_batch *batch = list;

        list = batch->next;
        event_batch_free(&batch);
    }
}

static struct event_batch *new_batch(struct receiver *r, uint64_t first_seq)
{
    struct event_batch *batch = event_batch_new();

    if (!batch)
        return NULL;
    batch->stream_id = r->stream_id;
    batch->epoch = r->position.epoch;
    batch->first_seq = first_seq;
    batch->order_generation = r->order_generation;
    batch->received_us = clock_realtime_us();
    return batch;
}

/* A best-effort line no feeder has cut: its first KiB. More is scrubbed than is kept, so that no cut halves a
 * number, however wide. */
static int append_oversize(struct event_batch *batch, const char *line)
{
    char head[2 * OVERSIZE_KEPT];
    memcpy(head, line, sizeof head);
    size_t len = pseudonym_scrub(head, sizeof head);
    len -= len < PSEUDONYM_WIDEST ? len : PSEUDONYM_WIDEST;
    int err = event_append_dead(batch, "too large", head, len < OVERSIZE_KEPT ? len : OVERSIZE_KEPT,
                                pseudonym_scrub);
    explicit_bzero(head, sizeof head);
    return err;
}

/* The lines after the first `skip`, as batches of at most BATCH_EVENTS_MAX events; empty lines (best-effort
 * only) are none. NULL: out of memory. */
static struct event_batch *decode_lines(struct receiver *r, const char *payload, size_t len, uint32_t skip,
                                        uint64_t first_seq)
{
    const char *line = payload, *end = payload + len;
    struct event_batch *list = NULL, **last = &list, *batch = NULL;

    for (uint64_t seq = first_seq; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);
        int err;

        if (length > 0 && skip > 0) {
            skip--;
        } else if (length > 0) {
            if (!batch || batch->count >= BATCH_EVENTS_MAX) {
                batch = new_batch(r, seq);
                if (!batch)
                    goto no_memory;
                *last = batch;
                last = &batch->next;
            }
            err = length > WIRE_EVENT_MAX ? append_oversize(batch, line)
                                          : event_decode(r->decoder, batch, line, length);
            if (err)
                goto no_memory;
            seq++;
        }
        line += length + 1;
    }
    return list;
no_memory:
    log_error("stream %s: out of memory while decoding", r->name);
    free_batches(list);
    return NULL;
}

/* Decodes and queues what the machine let through; what does not get that far is taken back. */
static void deliver(struct receiver *r, const struct bus_frame *payload, uint32_t skip, uint64_t first_seq)
{
    struct event_batch *list = decode_lines(r, payload->data, payload->len, skip, first_seq);
    uint64_t events = 0, dead = 0;

    if (FAILPOINT_ERROR(receiver, decoded)) { /* as if memory had run out */
        free_batches(list);
        list = NULL;
    }
    for (const struct event_batch *b = list; b; b = b->next) {
        events += b->count;
        for (uint32_t i = 0; i < b->count; i++)
            dead += b->events[i].type == EVENT_DEAD;
    }
    FAILPOINT(receiver, before_put);
    if (!list || inbox_put(r->inbox, list) != 0) {
        free_batches(list);
        position_undeliver(&r->position, first_seq);
        return;
    }
    FAILPOINT(receiver, after_put);
    r->received_events += events;
    r->dead_events += dead;
}

static void take_records(struct receiver *r, const struct wire_header *h, const struct bus_frame *payload,
                         bool live, uint64_t now_us)
{
    int lines = wire_count_lines(payload->data, payload->len);
    struct position_delivery d = position_records(&r->position, h, lines, live, queue_room(r), now_us);

    FAILPOINT(receiver, received);
    if (d.action == POSITION_DELIVER)
        deliver(r, payload, d.skip, h->first_seq + d.skip);
}

/* Frames [name][header][payload if records]; false: not TFP/1. */
static bool take_stream_message(struct receiver *r, bool live, uint64_t now_us)
{
    const struct bus_message *m = &r->message;
    struct wire_header h;

    if (m->count < 2 || wire_decode_header(m->frame[1].data, m->frame[1].len, &h))
        return false;
    if (h.kind == WIRE_HEAD && m->count == 2)
        position_head(&r->position, &h, live, now_us);
    else if (h.kind == WIRE_RECORDS && m->count == 3)
        take_records(r, &h, &m->frame[2], live, now_us);
    else
        return false;
    return true;
}

static bool take_verb(struct receiver *r, enum wire_verb verb, uint64_t now_us)
{
    const struct bus_message *m = &r->message;
    struct wire_header h;

    if (verb == WIRE_ERROR) {
        position_error(&r->position, now_us);
        return true;
    }
    if (m->count != 2 || wire_decode_header(m->frame[1].data, m->frame[1].len, &h) || h.kind != WIRE_HEAD)
        return false;
    if (verb == WIRE_GONE)
        position_gone(&r->position, &h, now_us);
    else if (verb == WIRE_EPOCH)
        position_other_epoch(&r->position, &h, now_us);
    else
        return false;
    return true;
}

static void take_answer(struct receiver *r, uint64_t now_us)
{
    const struct bus_message *m = &r->message;
    bool sound = false;

    if (m->count >= 1) {
        const struct bus_frame *name = &m->frame[0];
        enum wire_verb verb = wire_verb_parse(name->data, name->len);

        if (verb != WIRE_NO_VERB)
            sound = take_verb(r, verb, now_us);
        else if (wire_topic_is(name->data, name->len, r->name))
            sound = take_stream_message(r, false, now_us);
    }
    if (!sound)
        position_damage(&r->position, false, now_us);
}

static uint32_t count_best_effort_lines(const struct bus_frame *payload)
{
    const char *line = payload->data, *end = line + payload->len;
    uint32_t lines = 0;

    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);

        lines += length > 0;
        line += length + 1;
    }
    return lines;
}

/* [topic][NDJSON] of a plain publisher: numbered as it comes. */
static void take_best_effort(struct receiver *r, uint64_t now_us)
{
    const struct bus_message *m = &r->message;
    uint64_t first_seq = r->position.next;
    uint32_t lines;

    if (m->count != 2) {
        position_damage(&r->position, true, now_us);
        return;
    }
    lines = count_best_effort_lines(&m->frame[1]);
    if (position_number(&r->position, lines, queue_room(r), now_us).action == POSITION_DELIVER && lines > 0)
        deliver(r, &m->frame[1], 0, first_seq);
    sodium_stackzero(STACK_USED); /* no feeder has replaced the national numbers of such lines */
}

static void take_live(struct receiver *r, uint64_t now_us)
{
    const struct bus_message *m = &r->message;

    if (m->count < 1)
        position_damage(&r->position, true, now_us); /* too many frames: the topic is unknown */
    else if (!wire_topic_is(m->frame[0].data, m->frame[0].len, r->name))
        return; /* registration.10 for registration.1 */
    else if (r->best_effort)
        take_best_effort(r, now_us);
    else if (!take_stream_message(r, true, now_us))
        position_damage(&r->position, true, now_us);
}

static void drain_live(struct receiver *r)
{
    for (int i = 0; i < TURN_LIVE_MAX && bus_receive(r->sub, &r->message) == 0; i++)
        take_live(r, clock_monotonic_us());
}

static void drain_answers(struct receiver *r)
{
    for (int i = 0; i < TURN_ANSWERS_MAX && inbox_room(r->inbox) > 0; i++) {
        if (bus_receive(r->dealer, &r->message) != 0)
            return;
        take_answer(r, clock_monotonic_us());
    }
}

static void follow_orders(struct receiver *r)
{
    struct stream_status_view v;
    uint64_t now_us = clock_monotonic_us();

    stream_status_read(r->status, &v);
    position_pause(&r->position, v.paused, now_us);
    position_want_hello(&r->position, v.hello_wanted);
    if (v.order_generation == r->order_generation)
        return;
    r->order_generation = v.order_generation;
    r->stream_id = v.stream_id;
    if (r->best_effort && v.order_epoch == 0)
        v.order_epoch = (uint64_t)clock_realtime_us();
    FAILPOINT(receiver, order_seen);
    position_reset(&r->position, v.order_epoch, v.order_next, now_us);
    FAILPOINT(receiver, order_obeyed);
}

static int send_request(struct receiver *r, const struct position_ask *ask)
{
    const bool fetch = ask->request == POSITION_ASK_FETCH;
    const char *verb = wire_verb_name(fetch ? WIRE_FETCH : WIRE_HELLO);
    struct wire_header h = ask->header;
    uint8_t header[WIRE_HEADER_BYTES], max_events[4];
    struct bus_frame frames[4] = {{verb, strlen(verb)},
                                  {r->name, strlen(r->name)},
                                  {header, sizeof header},
                                  {max_events, sizeof max_events}};

    h.sent_us = (uint64_t)clock_realtime_us();
    wire_encode_header(&h, header);
    wire_encode_u32(ask->max_events, max_events);
    if (fetch)
        FAILPOINT(receiver, before_fetch);
    else
        FAILPOINT(receiver, before_hello);
    return bus_send(r->dealer, frames, fetch ? 4 : 3);
}

static void send_requests(struct receiver *r)
{
    for (;;) {
        uint64_t now_us = clock_monotonic_us();
        struct position_ask ask = position_tick(&r->position, queue_room(r), now_us);

        if (ask.request == POSITION_ASK_NOTHING)
            return;
        if (send_request(r, &ask) != 0) {
            position_unsent(&r->position, ask.request, now_us);
            return;
        }
    }
}

static void log_changes(struct receiver *r)
{
    const struct position *p = &r->position;

    if (p->mode == POSITION_STOPPED && r->logged_mode != POSITION_STOPPED)
        log_error("stream %s: stopped at epoch %llu sequence %llu: %s (the publisher shows epoch %llu, first "
                  "kept %llu, head %llu); \"teldagctl status\" says what to do",
                  r->name, (unsigned long long)p->epoch, (unsigned long long)p->next,
                  position_reason_names[p->reason], (unsigned long long)p->other_epoch,
                  (unsigned long long)p->first_kept, (unsigned long long)p->head);
    else if (p->mode == POSITION_LIVE && r->logged_mode != POSITION_LIVE)
        log_write(LOG_LEVEL_DEBUG, "stream %s: live at sequence %llu", r->name, (unsigned long long)p->next);
    if (p->stale && !r->logged_stale)
        log_warning("stream %s: silent for %llu s", r->name,
                    (unsigned long long)(p->settings.stale_us / 1000000));
    else if (!p->stale && r->logged_stale)
        log_notice("stream %s: heard again", r->name);
    r->logged_mode = p->mode;
    r->logged_stale = p->stale;
}

static uint64_t count_reconnects(const struct bus_counts *c)
{
    return c->connected > 1 ? c->connected - 1 : 0;
}

static void publish_status(struct receiver *r)
{
    struct bus_counts sub, dealer = {0};
    struct stream_status *s = r->status;
    const struct position *p = &r->position;

    bus_read_counts(r->sub, &sub);
    if (r->dealer)
        bus_read_counts(r->dealer, &dealer);
    pthread_mutex_lock(&s->mutex);
    s->position = *p;
    s->queued_events =
        (s->committed_epoch == p->epoch || s->committed_epoch == 0) && p->next > s->committed_next
            ? p->next - s->committed_next
            : 0;
    s->received_events = r->received_events;
    s->dead_events = r->dead_events;
    s->auth_failures = sub.auth_failures + dealer.auth_failures;
    s->reconnects = count_reconnects(&sub) + count_reconnects(&dealer);
    pthread_mutex_unlock(&s->mutex);
}

/* One turn; false: the end. */
static bool take_turn(struct receiver *r)
{
    struct bus_poll items[3] = {{.fd = r->stop_fd}, {.socket = r->sub}, {.socket = r->dealer}};
    bool full = inbox_room(r->inbox) == 0;
    uint64_t sleep_ms = (position_sleep(&r->position, clock_monotonic_us()) + 999) / 1000;

    if (full && sleep_ms > 20)
        sleep_ms = 20; /* nobody tells us when there is room */
    if (sleep_ms > TURN_MS_MAX)
        sleep_ms = TURN_MS_MAX;
    if (bus_poll(items, r->dealer && !full ? 3 : 2, (int)sleep_ms) == ERR_CLOSED || items[0].readable)
        return false;
    follow_orders(r); /* before what was received: a reset makes it void */
    drain_live(r);
    if (r->dealer) {
        drain_answers(r);
        send_requests(r);
    } else {
        (void)position_tick(&r->position, 0, clock_monotonic_us());
    }
    log_changes(r);
    publish_status(r);
    return true;
}

static void *receiver_main(void *arg)
{
    struct receiver *r = arg;

    while (take_turn(r))
        ;
    bus_message_clear(&r->message);
    return NULL;
}

static void free_receiver(struct receiver *r)
{
    bus_socket_free(&r->sub);
    bus_socket_free(&r->dealer);
    event_decoder_free(&r->decoder);
    if (r->stop_fd >= 0)
        close(r->stop_fd);
    free(r);
}

static struct bus_socket *open_socket(const struct receiver_config *c, enum bus_type type)
{
    struct bus_socket *s = bus_socket_new(c->bus, type);

    if (s && c->server_key && c->server_key[0] && bus_use_server_key(s, c->server_key, c->curve))
        bus_socket_free(&s);
    return s;
}

static int open_sockets(struct receiver *r, const struct receiver_config *c)
{
    r->sub = open_socket(c, BUS_SUB);
    if (!r->sub || bus_watch(r->sub) || bus_subscribe(r->sub, c->name) || bus_connect(r->sub, c->subscribe))
        return ERR_IO;
    if (c->best_effort)
        return 0;
    r->dealer = open_socket(c, BUS_DEALER);
    if (!r->dealer || bus_watch(r->dealer) || bus_connect(r->dealer, c->fetch))
        return ERR_IO;
    return 0;
}

/* The sockets are made here, so that a bad endpoint is the caller's error, and handed to the thread before
 * its start. */
struct receiver *receiver_start(const struct receiver_config *config)
{
    struct position_settings settings = position_defaults;
    struct receiver *r = calloc(1, sizeof *r);
    int saved;

    if (!r)
        return NULL;
    snprintf(r->name, sizeof r->name, "%s", config->name);
    r->best_effort = settings.best_effort = config->best_effort;
    r->inbox = config->inbox;
    r->status = config->status;
    bus_message_init(&r->message);
    position_init(&r->position, &settings, clock_monotonic_us());
    r->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->stop_fd < 0)
        goto failed;
    errno = ENOMEM;
    r->decoder = event_decoder_new(config->keys ? pseudonym_of_rrn : NULL, config->keys, pseudonym_scrub);
    if (!r->decoder || open_sockets(r, config))
        goto failed;
    errno = pthread_create(&r->thread, NULL, receiver_main, r);
    if (errno == 0) {
        pthread_setname_np(r->thread, "receiver");
        return r;
    }
failed:
    saved = errno;
    free_receiver(r);
    errno = saved;
    return NULL;
}

void receiver_stop(struct receiver *receiver)
{
    const uint64_t one = 1;

    if (write(receiver->stop_fd, &one, sizeof one) < 0)
        log_error("stream %s: stop: %s", receiver->name, strerror(errno));
}

void receiver_join(struct receiver **receiver)
{
    if (!*receiver)
        return;
    pthread_join((*receiver)->thread, NULL);
    free_receiver(*receiver);
    *receiver = NULL;
}
