/* SPDX-License-Identifier: MIT
 *
 * links: daemon/bus.o daemon/bus_gate.o daemon/bus_guard.o daemon/bus_curve.o daemon/allow.o daemon/curve_keys.o
 * links: daemon/config_text.o daemon/config_tree.o daemon/secret_file.o daemon/wire.o daemon/clock.o daemon/log.o daemon/err.o
 *
 * Guarded sockets against real peers in this process: what the system tests cannot time, such as an authenticator that
 * is gone and the order of subscriptions within libzmq. Peers use ZeroMQ as any stranger would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "daemon/bus_gate.h"
#include "daemon/log.h"

#define QUIET_MS 1500 /* how long nothing must come: longer than a handshake takes */

static char folder[] = "/tmp/teldag-gate-XXXXXX";
static struct curve_keys *server_keys;
static struct peer_keys {
    char public_key[41], secret_key[41];
} whole, kinds, stranger;

struct server {
    struct bus *bus;
    struct bus_gate *gate;
    struct bus_socket *xpub, *router;
    char publish[128], fetch[128];
};

static struct allow *make_list(const char *text)
{
    char path[256], error[512];
    struct allow *list;
    FILE *file;

    snprintf(path, sizeof path, "%s/allow", folder);
    file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    chmod(path, 0600);
    list = allow_load(path, NULL, error, sizeof error);
    if (!list)
        print_error("%s\n", error);
    assert_non_null(list);
    return list;
}

static struct allow *both(void)
{
    char text[1024];

    snprintf(text, sizeof text,
             "keys = ( { name = \"whole\"; key = \"%s\"; streams = (\"alert.*\"); },\n"
             "         { name = \"kinds\"; key = \"%s\"; streams = (\"alert.0\"); kinds = (\"threshold.*\"); "
             "} );\n",
             whole.public_key, kinds.public_key);
    return make_list(text);
}

static void start(struct server *s, const char *stream, const struct curve_keys *keys, struct allow *list,
                  const struct bus_gate_limits *limits)
{
    s->bus = bus_new();
    s->gate = bus_gate_start(s->bus, limits);
    assert_non_null(s->gate);
    if (list)
        bus_gate_allow(s->gate, &list);
    s->xpub = bus_socket_new(s->bus, BUS_XPUB);
    s->router = bus_socket_new(s->bus, BUS_ROUTER);
    assert_int_equal(bus_guard(s->xpub, s->gate, stream, keys), 0);
    assert_int_equal(bus_guard(s->router, s->gate, stream, keys), 0);
    assert_int_equal(bus_bind(s->xpub, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(bus_bind(s->router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(bus_last_endpoint(s->xpub, s->publish, sizeof s->publish), 0);
    assert_int_equal(bus_last_endpoint(s->router, s->fetch, sizeof s->fetch), 0);
}

static void stop(struct server *s)
{
    bus_socket_free(&s->xpub);
    bus_socket_free(&s->router);
    bus_gate_stop(&s->gate);
    bus_free(&s->bus);
}

static void *connect_peer(void *context, int type, const char *endpoint, const struct peer_keys *keys,
                          const char *server)
{
    const int linger = 0;
    void *s = zmq_socket(context, type);

    zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof linger);
    if (keys) {
        zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, server, 41);
        zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, keys->public_key, 41);
        zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, keys->secret_key, 41);
    }
    assert_int_equal(zmq_connect(s, endpoint), 0);
    return s;
}

/* The server's turn: subscriptions, requests (each answered), one live message of each topic. */
static void turn(struct server *s, int times)
{
    static const char *const topics[] = {"alert.0", "alert.0/threshold.near/7", "alert.0/count.incomplete/7"};
    struct bus_message m;

    bus_message_init(&m);
    for (int i = 0; i < times; i++) {
        struct bus_poll items[] = {{.socket = s->xpub}, {.socket = s->router}};

        assert_int_equal(bus_poll(items, 2, 20), 0);
        while (bus_receive(s->xpub, &m) == 0)
            fail();
        while (bus_receive(s->router, &m) == 0) {
            struct bus_frame answer[] = {m.frame[0], {m.limited ? "ERROR" : "answer", m.limited ? 5 : 6}};
            if (bus_send(s->router, answer, 2))
                continue;
        }
        for (int k = 0; k < 3; k++) {
            struct bus_frame frame = {topics[k], strlen(topics[k])};
            assert_int_equal(bus_send(s->xpub, &frame, 1), 0);
        }
    }
    bus_message_clear(&m);
}

/* What a peer has received; the last frame in text. */
static int count_frames(void *peer, char *text, size_t len)
{
    int frames = 0, n;

    while ((n = zmq_recv(peer, text, len - 1, ZMQ_DONTWAIT)) >= 0) {
        text[(size_t)n < len ? (size_t)n : len - 1] = '\0';
        frames++;
    }
    return frames;
}

/* Frames that a peer with these keys gets of both sockets, whatever it says, while the server goes on. */
static int attack(struct server *s, const struct peer_keys *keys, const char *server_key)
{
    void *context = zmq_ctx_new();
    void *sub = connect_peer(context, ZMQ_SUB, s->publish, keys, server_key);
    void *dealer = connect_peer(context, ZMQ_DEALER, s->fetch, keys, server_key);
    char text[64];
    int frames;

    zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "", 0);
    zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "alert.0", 7);
    zmq_send(dealer, "FETCH", 5, ZMQ_DONTWAIT);
    turn(s, QUIET_MS / 20);
    frames = count_frames(sub, text, sizeof text) + count_frames(dealer, text, sizeof text);
    zmq_close(sub);
    zmq_close(dealer);
    zmq_ctx_term(context);
    return frames;
}

/* ---- who is let in ---- */

static void test_only_listed_keys_get_frames(void **state)
{
    (void)state;
    struct server s;

    start(&s, "alert.0", server_keys, both(), NULL);
    assert_true(attack(&s, &whole, server_keys->public_key) > 10);
    assert_int_equal(attack(&s, NULL, NULL), 0);
    assert_int_equal(attack(&s, &stranger, server_keys->public_key), 0);
    assert_int_equal(attack(&s, &whole, stranger.public_key), 0);
    stop(&s);
}

static void test_no_list_lets_nobody_in(void **state)
{
    (void)state;
    struct server s;

    start(&s, "alert.0", server_keys, NULL, NULL);
    assert_int_equal(attack(&s, &whole, server_keys->public_key), 0);
    stop(&s);
}

static void test_another_stream(void **state)
{
    (void)state;
    struct server s;

    start(&s, "alert.1", server_keys, both(), NULL);
    assert_int_equal(attack(&s, &kinds, server_keys->public_key), 0);
    stop(&s);
}

/* Whether the handshake itself succeeds, which is before anything a socket's own thread could refuse. */
static bool shakes_hands(struct server *s, const struct peer_keys *keys)
{
    void *context = zmq_ctx_new(), *dealer = zmq_socket(context, ZMQ_DEALER), *events;
    const int linger = 0;
    char text[64];
    int seen;

    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, server_keys->public_key, 41);
    zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, keys->public_key, 41);
    zmq_setsockopt(dealer, ZMQ_CURVE_SECRETKEY, keys->secret_key, 41);
    assert_int_equal(zmq_socket_monitor(dealer, "inproc://events", ZMQ_EVENT_HANDSHAKE_SUCCEEDED), 0);
    events = zmq_socket(context, ZMQ_PAIR);
    assert_int_equal(zmq_connect(events, "inproc://events"), 0);
    assert_int_equal(zmq_connect(dealer, s->fetch), 0);
    turn(s, QUIET_MS / 20);
    seen = count_frames(events, text, sizeof text);
    zmq_socket_monitor(dealer, NULL, 0);
    zmq_close(events);
    zmq_close(dealer);
    zmq_ctx_term(context);
    return seen > 0;
}

/* The authenticator is gone: with the domain enforced nobody comes in, and who is in stays. */
static void test_dead_authenticator(void **state)
{
    (void)state;
    struct server s;
    void *context = zmq_ctx_new(), *sub;
    char text[64];

    start(&s, "alert.0", server_keys, both(), NULL);
    sub = connect_peer(context, ZMQ_SUB, s.publish, &whole, server_keys->public_key);
    zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "alert.0", 7);
    turn(&s, 30);
    assert_true(count_frames(sub, text, sizeof text) > 3);
    assert_true(shakes_hands(&s, &whole));
    assert_false(shakes_hands(&s, &stranger));
    bus_gate_stop(&s.gate);
    assert_false(shakes_hands(&s, &whole));
    assert_int_equal(attack(&s, &whole, server_keys->public_key), 0);
    assert_int_equal(attack(&s, &stranger, server_keys->public_key), 0);
    turn(&s, 3);
    assert_true(count_frames(sub, text, sizeof text) > 3);
    zmq_close(sub);
    zmq_ctx_term(context);
    stop(&s);
}

/* ---- a key for some kinds ---- */

static void test_kinds(void **state)
{
    (void)state;
    struct server s;
    void *context = zmq_ctx_new(), *sub, *dealer;
    char text[64];
    int frames;

    start(&s, "alert.0", server_keys, both(), NULL);
    sub = connect_peer(context, ZMQ_SUB, s.publish, &kinds, server_keys->public_key);
    dealer = connect_peer(context, ZMQ_DEALER, s.fetch, &kinds, server_keys->public_key);
    static const char *const forbidden[] = {"", "alert.0", "alert.0/", "alert.0/thresh",
                                            "alert.0/count.incomplete/"};
    for (int i = 0; i < 5; i++)
        zmq_setsockopt(sub, ZMQ_SUBSCRIBE, forbidden[i], strlen(forbidden[i]));
    zmq_send(dealer, "FETCH", 5, 0);
    turn(&s, 40);
    assert_int_equal(count_frames(sub, text, sizeof text), 0);
    assert_int_equal(count_frames(dealer, text, sizeof text), 1);
    assert_string_equal(text, "ERROR");
    zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "alert.0/threshold.", 18);
    turn(&s, 20);
    frames = count_frames(sub, text, sizeof text);
    assert_true(frames > 3 && frames <= 20); /* one of the three topics */
    assert_string_equal(text, "alert.0/threshold.near/7");
    zmq_close(sub);
    zmq_close(dealer);
    zmq_ctx_term(context);
    stop(&s);
}

/* One peer's message that is no subscription makes libzmq give the next peer's subscription to it (bus_guard.c). */
static void test_skewed_queues_give_nothing_away(void **state)
{
    (void)state;
    struct server s;
    struct bus_poll item;
    void *context = zmq_ctx_new(), *bad, *good;
    char text[64];

    start(&s, "alert.0", server_keys, both(), NULL);
    bad = connect_peer(context, ZMQ_XSUB, s.publish, &kinds, server_keys->public_key);
    good = connect_peer(context, ZMQ_XSUB, s.publish, &whole, server_keys->public_key);
    turn(&s, 20);
    item = (struct bus_poll){.socket = s.xpub};
    zmq_send(bad, "message", 7, 0);
    usleep(200000);
    assert_int_equal(bus_poll(&item, 1, 0), 0); /* libzmq reads it; we do not yet */
    zmq_send(good, "\001alert.0", 8, 0);
    usleep(200000);
    assert_int_equal(bus_poll(&item, 1, 0), 0);
    zmq_send(bad, "\001alert.0/threshold.", 19, 0);
    usleep(200000);
    assert_int_equal(bus_poll(&item, 1, 0), 0);
    for (int i = 0; i < 30; i++) { /* a peer subscribes again only while it makes calls */
        turn(&s, 5);
        assert_int_equal(count_frames(bad, text, sizeof text), 0);
        if (count_frames(good, text, sizeof text) > 0)
            break;
    }
    turn(&s, 5);
    assert_true(count_frames(good, text, sizeof text) > 3); /* it came back by itself */
    assert_memory_equal(text, "alert.0", 7);                /* whichever topic was the last to come */
    zmq_close(bad);
    zmq_close(good);
    zmq_ctx_term(context);
    stop(&s);
}

/* ---- revocation ---- */

static void test_revoked_connections_end(void **state)
{
    (void)state;
    struct server s;
    void *context = zmq_ctx_new(), *sub, *dealer, *other;
    struct allow *list;
    char text[64], only_kinds[512];

    start(&s, "alert.0", server_keys, both(), NULL);
    sub = connect_peer(context, ZMQ_SUB, s.publish, &whole, server_keys->public_key);
    dealer = connect_peer(context, ZMQ_DEALER, s.fetch, &whole, server_keys->public_key);
    other = connect_peer(context, ZMQ_SUB, s.publish, &kinds, server_keys->public_key);
    zmq_setsockopt(sub, ZMQ_SUBSCRIBE, "alert.0", 7);
    zmq_setsockopt(other, ZMQ_SUBSCRIBE, "alert.0/threshold.", 18);
    zmq_send(dealer, "HELLO", 5, 0);
    turn(&s, 40);
    assert_true(count_frames(sub, text, sizeof text) > 3);
    assert_int_equal(count_frames(dealer, text, sizeof text), 1);
    snprintf(
        only_kinds, sizeof only_kinds,
        "keys = ( { name = \"kinds\"; key = \"%s\"; streams = (\"alert.0\"); kinds = (\"threshold.*\"); } );",
        kinds.public_key);
    list = make_list(only_kinds);
    count_frames(sub, text, sizeof text);
    count_frames(other, text, sizeof text);
    assert_int_equal(bus_gate_allow(s.gate, &list), 2);
    usleep(50000);
    count_frames(sub, text, sizeof text); /* what was on its way before */
    zmq_send(dealer, "HELLO", 5, ZMQ_DONTWAIT);
    turn(&s, QUIET_MS / 20);
    assert_int_equal(count_frames(sub, text, sizeof text), 0);
    assert_int_equal(count_frames(dealer, text, sizeof text), 0);
    assert_true(count_frames(other, text, sizeof text) > 3);
    list = both(); /* and let in again: it comes back by itself */
    assert_int_equal(bus_gate_allow(s.gate, &list), 0);
    for (int i = 0; i < 20 && count_frames(sub, text, sizeof text) == 0; i++)
        turn(&s, 30);
    turn(&s, 5);
    assert_true(count_frames(sub, text, sizeof text) > 3);
    zmq_close(sub);
    zmq_close(dealer);
    zmq_close(other);
    zmq_ctx_term(context);
    stop(&s);
}

/* ---- limits ---- */

static void test_limits(void **state)
{
    (void)state;
    const struct bus_gate_limits few = {.connections = 20, .same_key = 4, .subscriptions = 10, .requests = 2};
    struct server s;
    struct bus_gate_counts counts;
    void *context = zmq_ctx_new(), *dealers[6], *greedy, *strangers[40];
    char text[64];
    int answers = 0;

    start(&s, "alert.0", server_keys, both(), &few);
    for (int i = 0; i < 6; i++) {
        dealers[i] = connect_peer(context, ZMQ_DEALER, s.fetch, &whole, server_keys->public_key);
        zmq_send(dealers[i], "HELLO", 5, 0);
    }
    turn(&s, 40);
    for (int i = 0; i < 6; i++)
        answers += count_frames(dealers[i], text, sizeof text) > 0;
    assert_in_range(answers, 4, 5); /* those over the limit take turns to come back */
    for (int i = 0; i < 6; i++)
        zmq_close(dealers[i]);
    greedy = connect_peer(context, ZMQ_DEALER, s.fetch, &whole, server_keys->public_key);
    for (int i = 0; i < 200; i++)
        zmq_send(greedy, "HELLO", 5, 0);
    turn(&s, 100);
    assert_in_range(count_frames(greedy, text, sizeof text), 20, 60);
    zmq_close(greedy);
    greedy = connect_peer(context, ZMQ_SUB, s.publish, &whole, server_keys->public_key);
    for (int i = 0; i < 11; i++) {
        snprintf(text, sizeof text, "alert.0/threshold.near/%d", i);
        zmq_setsockopt(greedy, ZMQ_SUBSCRIBE, text, strlen(text));
    }
    turn(&s, 40);
    zmq_close(greedy);
    bus_gate_read_counts(s.gate, &counts);
    assert_true(counts.dropped_requests > 100);
    assert_true(counts.refused_subscriptions > 0);
    assert_true(counts.refused_connections > 0);
    /* Forty that never say a word, and one that does. */
    greedy = connect_peer(context, ZMQ_DEALER, s.fetch, &whole, server_keys->public_key);
    zmq_send(greedy, "HELLO", 5, 0);
    turn(&s, 30);
    assert_int_equal(count_frames(greedy, text, sizeof text), 1);
    for (int i = 0; i < 40; i++)
        strangers[i] = connect_peer(context, ZMQ_DEALER, s.fetch, &stranger, server_keys->public_key);
    turn(&s, 20);
    bus_gate_read_counts(s.gate, &counts);
    assert_true(counts.connections <= 2 * few.connections);
    zmq_send(greedy, "HELLO", 5, 0);
    turn(&s, 10);
    assert_int_equal(count_frames(greedy, text, sizeof text), 1);
    for (int i = 0; i < 40; i++)
        zmq_close(strangers[i]);
    zmq_close(greedy);
    zmq_ctx_term(context);
    stop(&s);
}

/* Without CURVE everybody sees the whole stream, and nothing that is not of it is kept. */
static void test_plain(void **state)
{
    (void)state;
    struct server s;

    start(&s, "alert.0", NULL, NULL, NULL);
    assert_true(attack(&s, NULL, NULL) > 10);
    stop(&s);
}

static void make_pair(struct peer_keys *k)
{
    assert_int_equal(zmq_curve_keypair(k->public_key, k->secret_key), 0);
}

static int set_up(void **state)
{
    char path[256], public_key[41], error[256];

    (void)state;
    log_init("test", getenv("GATE_LOG") ? LOG_LEVEL_DEBUG : 0);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/server", folder);
    assert_int_equal(curve_keys_generate(path, public_key, error, sizeof error), 0);
    server_keys = curve_keys_load(path, error, sizeof error);
    assert_non_null(server_keys);
    assert_string_equal(server_keys->public_key, public_key);
    make_pair(&whole);
    make_pair(&kinds);
    make_pair(&stranger);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"server", "server.pub", "allow"};
    char path[256];

    (void)state;
    curve_keys_free(&server_keys);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_listed_keys_get_frames),
        cmocka_unit_test(test_no_list_lets_nobody_in),
        cmocka_unit_test(test_another_stream),
        cmocka_unit_test(test_dead_authenticator),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_skewed_queues_give_nothing_away),
        cmocka_unit_test(test_revoked_connections_end),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_plain),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
