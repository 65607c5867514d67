/* SPDX-License-Identifier: MIT
 * links: workers/receiver_worker.o workers/position.o workers/inbox.o workers/stream_status.o
 * links: daemon/bus.o daemon/bus_gate.o daemon/bus_guard.o daemon/bus_curve.o daemon/allow.o daemon/curve_keys.o
 * links: daemon/config_text.o daemon/config_tree.o daemon/secret_file.o
 * links: daemon/wire.o daemon/clock.o daemon/log.o daemon/err.o workers/pseudonym.o workers/pseudonym_keys.o
 * links: workers/event_decode.o workers/event_json.o workers/event_value.o workers/event_batch.o
 * links: workers/event_table.o
 *
 * The receiver thread over real sockets: a publisher in a thread of its own that "forgets" to send every
 * seventh live message, a queue smaller than the backlog, a rewind, a stop, and a best-effort publisher. The
 * events are no CloudEvents, so each arrives as a dead letter whose raw bytes tell which one it is. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/bus.h"
#include "daemon/clock.h"
#include "workers/receiver_worker.h"

#define STREAM  "school.1"
#define BACKLOG 5000
#define EPOCH   42

struct feed {
    struct bus *bus;
    struct bus_socket *xpub, *router;
    char publish[128], fetch[128];
    pthread_t thread;
    atomic_bool stop;
    atomic_uint_fast64_t epoch, next;
};

static int write_payload(char *out, uint64_t first_seq, int count)
{
    int len = 0;

    for (int i = 0; i < count; i++)
        len += sprintf(out + len, "%s{\"n\":%llu}", i ? "\n" : "",
                       (unsigned long long)(first_seq + (uint64_t)i));
    return len;
}

/* peer NULL: on the XPUB under the topic given. */
static void send_message(struct feed *f, const struct bus_frame *peer, const char *topic, uint8_t kind,
                         uint32_t tag, uint64_t first_seq, int count)
{
    struct wire_header h = {
        .kind = kind, .count = (uint16_t)count, .tag = tag, .epoch = f->epoch, .first_seq = first_seq};
    static _Thread_local char payload[64 * 1024];
    uint8_t header[WIRE_HEADER_BYTES];
    struct bus_frame frames[4];
    int n = 0;

    wire_encode_header(&h, header);
    if (peer)
        frames[n++] = *peer;
    frames[n++] = (struct bus_frame){topic, strlen(topic)};
    frames[n++] = (struct bus_frame){header, sizeof header};
    if (kind == WIRE_RECORDS) {
        frames[n].len = (size_t)write_payload(payload, first_seq, count);
        frames[n++].data = payload;
    }
    (void)!bus_send(peer ? f->router : f->xpub, frames, n);
}

static void answer_request(struct feed *f, const struct bus_message *m)
{
    struct wire_header h;
    uint32_t max_events = 0;
    uint64_t seq, until;

    assert_true(m->count == 4 || m->count == 5);
    assert_true(wire_topic_is(m->frame[2].data, m->frame[2].len, STREAM));
    assert_int_equal(wire_decode_header(m->frame[3].data, m->frame[3].len, &h), 0);
    assert_int_equal(h.kind, WIRE_REQUEST);
    if (wire_verb_parse(m->frame[1].data, m->frame[1].len) == WIRE_FETCH) {
        assert_int_equal(wire_decode_u32(m->frame[4].data, m->frame[4].len, &max_events), 0);
        if (h.epoch != 0 && h.epoch != f->epoch) {
            send_message(f, &m->frame[0], "EPOCH", WIRE_HEAD, h.tag, f->next, 0);
            return;
        }
        until = h.first_seq + max_events < f->next ? h.first_seq + max_events : f->next;
        for (seq = h.first_seq; seq < until; seq += 300)
            send_message(f, &m->frame[0], STREAM, WIRE_RECORDS, h.tag, seq,
                         (int)(until - seq < 300 ? until - seq : 300));
    }
    send_message(f, &m->frame[0], STREAM, WIRE_HEAD, h.tag, f->next, 0);
}

static void *serve(void *arg)
{
    struct feed *f = arg;
    struct bus_poll items[2] = {{.socket = f->router}, {.socket = f->xpub}};
    struct bus_message m;

    bus_message_init(&m);
    for (int turn = 0; !f->stop; turn++) {
        assert_int_equal(bus_poll(items, 2, 5), 0);
        while (bus_receive(f->router, &m) == 0)
            answer_request(f, &m);
        while (bus_receive(f->xpub, &m) == 0)
            ;
        if (turn % 3 == 0) {
            uint64_t next = atomic_fetch_add(&f->next, 2);

            if (turn % 7)
                send_message(f, NULL, STREAM "/x/y", WIRE_RECORDS, 0, next, 2);
            send_message(f, NULL, "school.10", WIRE_RECORDS, 0, next, 2); /* same prefix, not ours */
        }
        if (turn % 50 == 0)
            send_message(f, NULL, STREAM, WIRE_HEAD, 0, f->next, 0);
    }
    bus_message_clear(&m);
    return NULL;
}

static void start_feed(struct feed *f)
{
    f->bus = bus_new();
    f->xpub = bus_socket_new(f->bus, BUS_XPUB);
    f->router = bus_socket_new(f->bus, BUS_ROUTER);
    assert_int_equal(bus_bind(f->xpub, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(bus_bind(f->router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(bus_last_endpoint(f->xpub, f->publish, sizeof f->publish), 0);
    assert_int_equal(bus_last_endpoint(f->router, f->fetch, sizeof f->fetch), 0);
    f->epoch = EPOCH;
    f->next = BACKLOG + 1;
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

static void stop_feed(struct feed *f)
{
    f->stop = true;
    pthread_join(f->thread, NULL);
    bus_socket_free(&f->xpub);
    bus_socket_free(&f->router);
    bus_free(&f->bus);
}

/* Takes until `until`; every event must be the next one, with its own bytes. Stale batches are the writer's
 * to drop. */
static void expect_events(struct inbox *inbox, uint64_t generation, uint64_t epoch, uint64_t next,
                          uint64_t until)
{
    uint64_t deadline_us = clock_monotonic_us() + 20000000;

    while (next < until) {
        struct event_batch *b = inbox_take(inbox, 400, 1000);

        assert_true(clock_monotonic_us() < deadline_us);
        while (b) {
            struct event_batch *done = b;

            assert_true(b->count <= 1000);
            for (uint32_t i = 0; i < b->count && b->order_generation == generation; i++, next++) {
                char wanted[64];

                assert_int_equal(b->epoch, epoch);
                assert_int_equal(b->first_seq + i, next);
                assert_int_equal(b->events[i].seq, next);
                assert_int_equal(b->events[i].type, EVENT_DEAD);
                snprintf(wanted, sizeof wanted, "{\"n\":%llu}", (unsigned long long)next);
                assert_int_equal(b->events[i].raw.len, strlen(wanted));
                assert_memory_equal(batch_text(b, b->events[i].raw), wanted, strlen(wanted));
            }
            b = b->next;
            event_batch_free(&done);
        }
    }
}

static struct stream_status_view wait_for_mode(struct stream_status *status, enum position_mode mode)
{
    uint64_t deadline_us = clock_monotonic_us() + 10000000;
    struct stream_status_view v;

    for (;;) {
        stream_status_read(status, &v);
        if (v.position.mode == mode)
            return v;
        assert_true(clock_monotonic_us() < deadline_us);
        usleep(5000);
    }
}

static void test_journal(void **state)
{
    static struct feed f;
    struct stream_status status;
    struct stream_status_view v;
    struct bus *bus = bus_new();
    struct inbox *inbox = inbox_new(500);
    struct receiver *r;

    (void)state;
    start_feed(&f);
    stream_status_init(&status, STREAM, false);
    status.stream_id = 7;
    r = receiver_start(&(struct receiver_config){.name = STREAM,
                                                 .subscribe = f.publish,
                                                 .fetch = f.fetch,
                                                 .bus = bus,
                                                 .inbox = inbox,
                                                 .status = &status});
    assert_non_null(r);
    assert_null(inbox_take(inbox, 1, 200)); /* nothing before the writer has spoken */
    stream_status_order_reset(&status, 0, 1);
    expect_events(inbox, 1, EPOCH, 1, BACKLOG + 200);
    v = wait_for_mode(&status, POSITION_LIVE);
    assert_true(v.position.gaps > 0); /* every seventh */
    assert_true(v.received_events >= BACKLOG);
    assert_int_equal(v.received_events, v.dead_events);
    stream_status_order_reset(&status, EPOCH, 4000);
    expect_events(inbox, 2, EPOCH, 4000, BACKLOG + 500);

    f.epoch = EPOCH + 1;
    v = wait_for_mode(&status, POSITION_STOPPED);
    assert_int_equal(v.position.reason, POSITION_NEW_EPOCH);
    assert_int_equal(v.position.other_epoch, EPOCH + 1);
    stream_status_order_reset(&status, EPOCH + 1, 1);
    expect_events(inbox, 3, EPOCH + 1, 1, BACKLOG + 500);
    receiver_stop(r);
    receiver_join(&r);
    assert_null(r);
    stop_feed(&f);
    stream_status_fini(&status);
    inbox_free(&inbox);
    bus_free(&bus);
}

static void test_best_effort(void **state)
{
    struct stream_status status;
    struct bus *bus = bus_new();
    struct bus_socket *xpub = bus_socket_new(bus, BUS_XPUB);
    struct inbox *inbox = inbox_new(500);
    const char *bodies[] = {"{\"n\":31}", "{\"n\":32}\n{\"n\":33}\n", "\n{\"n\":34}\n\n{\"n\":35}"};
    struct bus_message m;
    struct receiver *r;
    char endpoint[128];

    (void)state;
    bus_message_init(&m);
    assert_int_equal(bus_bind(xpub, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(bus_last_endpoint(xpub, endpoint, sizeof endpoint), 0);
    stream_status_init(&status, STREAM, true);
    r = receiver_start(&(struct receiver_config){.name = STREAM,
                                                 .subscribe = endpoint,
                                                 .best_effort = true,
                                                 .bus = bus,
                                                 .inbox = inbox,
                                                 .status = &status});
    assert_non_null(r);
    stream_status_order_reset(&status, EPOCH, 31);
    (void)wait_for_mode(&status, POSITION_LIVE);
    while (bus_receive(xpub, &m) == ERR_AGAIN) /* its subscription */
        usleep(5000);
    for (int i = 0; i < 3; i++) {
        struct bus_frame frames[2] = {{STREAM "/x", strlen(STREAM "/x")}, {bodies[i], strlen(bodies[i])}};

        assert_int_equal(bus_send(xpub, frames, 2), 0);
    }
    expect_events(inbox, 1, EPOCH, 31, 36);
    receiver_stop(r);
    receiver_join(&r);
    bus_message_clear(&m);
    bus_socket_free(&xpub);
    stream_status_fini(&status);
    inbox_free(&inbox);
    bus_free(&bus);
}

static void test_bad_endpoint(void **state)
{
    struct bus *bus = bus_new();

    (void)state;
    assert_null(receiver_start(&(struct receiver_config){
        .name = STREAM, .subscribe = "nonsense", .fetch = "tcp://127.0.0.1:1", .bus = bus}));
    assert_true(strlen(bus_error()) > 0);
    bus_free(&bus);
}

/* A message of nine frames is drained whole; the next one is whole too. A DEALER without peer has no room. */
static void test_bus_frames(void **state)
{
    struct bus *bus = bus_new();
    struct bus_socket *router = bus_socket_new(bus, BUS_ROUTER), *dealer = bus_socket_new(bus, BUS_DEALER);
    struct bus_frame frames[8] = {{"1", 1}, {"22", 2}, {"", 0},  {"4", 1},
                                  {"5", 1}, {"6", 1},  {"7", 1}, {"8", 1}};
    struct bus_poll item = {.socket = router};
    struct bus_message m;
    char endpoint[128];

    (void)state;
    bus_message_init(&m);
    assert_int_equal(bus_send(dealer, frames, 2), ERR_AGAIN);
    assert_int_equal(bus_receive(router, &m), ERR_AGAIN);
    assert_int_equal(bus_bind(router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(bus_last_endpoint(router, endpoint, sizeof endpoint), 0);
    assert_int_equal(bus_connect(dealer, endpoint), 0);
    while (bus_send(dealer, frames, 8) == ERR_AGAIN)
        usleep(1000);
    assert_int_equal(bus_send(dealer, frames, 3), 0);
    assert_int_equal(bus_poll(&item, 1, 5000), 0);
    assert_true(item.readable);
    assert_int_equal(bus_receive(router, &m), 0); /* eight and the identity */
    assert_int_equal(m.count, -1);
    while (bus_receive(router, &m) == ERR_AGAIN)
        usleep(1000);
    assert_int_equal(m.count, 4);
    assert_int_equal(m.frame[2].len, 2);
    assert_memory_equal(m.frame[2].data, "22", 2);
    assert_int_equal(m.frame[3].len, 0);
    frames[0] = (struct bus_frame){"nobody", 6};
    assert_int_equal(bus_send(router, frames, 2), ERR_MISSING);
    bus_message_clear(&m);
    bus_socket_free(&dealer);
    bus_socket_free(&router);
    bus_free(&bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bus_frames),
        cmocka_unit_test(test_bad_endpoint),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_best_effort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
