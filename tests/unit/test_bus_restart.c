/* SPDX-License-Identifier: MIT
 *
 * links: daemon/bus.o daemon/bus_gate.o daemon/bus_guard.o daemon/bus_curve.o daemon/allow.o daemon/curve_keys.o
 * links: daemon/config_text.o daemon/config_tree.o daemon/secret_file.o daemon/wire.o daemon/clock.o daemon/log.o daemon/err.o
 *
 * A publisher that dies while its answers wait unread. libzmq looks at what happened to a connection after each hundred
 * frames read, and with ZMQ_IMMEDIATE threw the rest away there, in the middle of a message: it aborted ("!_more"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/bus.h"

#define ANSWERS 500

static void nap(int ms)
{
    struct bus_poll nothing = {.fd = -1};

    (void)!bus_poll(&nothing, 0, ms);
}

/* The publisher: says where it is, waits for a request, answers with many messages of so many frames, and hangs. */
static void publish(int where, int frames_each)
{
    struct bus *bus = bus_new();
    struct bus_socket *router = bus_socket_new(bus, BUS_ROUTER);
    struct bus_poll item = {.socket = router};
    struct bus_message request;
    struct bus_frame frames[4] = {{0}, {"name", 4}, {"header", 6}, {"payload", 7}};
    char endpoint[128] = "";

    bus_message_init(&request);
    if (bus_bind(router, "tcp://127.0.0.1:*") || bus_last_endpoint(router, endpoint, sizeof endpoint) ||
        write(where, endpoint, sizeof endpoint) != sizeof endpoint || bus_poll(&item, 1, 20000) ||
        bus_receive(router, &request) || request.count < 1)
        _exit(1);
    frames[0] = request.frame[0];
    for (int i = 0; i < ANSWERS; i++)
        while (bus_send(router, frames, 1 + frames_each) == ERR_AGAIN)
            nap(1);
    for (;;)
        pause();
}

static void read_after_death(int frames_each)
{
    const struct bus_frame ask = {"go", 2};
    char endpoint[128];
    int pipes[2], received = 0;
    struct bus_message m;
    struct bus_socket *dealer;
    struct bus *bus;
    pid_t child;

    assert_int_equal(pipe(pipes), 0);
    child = fork(); /* before there is a context here */
    if (child == 0)
        publish(pipes[1], frames_each);
    assert_int_equal(read(pipes[0], endpoint, sizeof endpoint), sizeof endpoint);
    bus = bus_new();
    dealer = bus_socket_new(bus, BUS_DEALER);
    assert_int_equal(bus_connect(dealer, endpoint), 0);
    while (bus_send(dealer, &ask, 1) == ERR_AGAIN)
        nap(10);
    nap(1000); /* all of it has come, none of it was read */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    nap(300);
    bus_message_init(&m);
    while (bus_receive(dealer, &m) == 0) {
        assert_int_equal(m.count, frames_each);
        received++;
    }
    assert_int_equal(received, ANSWERS); /* what had come is still worth reading */
    bus_message_clear(&m);
    bus_socket_free(&dealer);
    bus_free(&bus);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_answers_outlive_their_publisher(void **state)
{
    (void)state;
    for (int frames = 1; frames <= 3; frames++)
        read_after_death(frames);
}

/* What is asked while nobody answers waits, but not more than a little: a publisher that comes back after an hour must
 * not find an hour of requests. */
static void test_few_requests_wait_for_a_publisher(void **state)
{
    const struct bus_frame ask = {"go", 2};
    struct bus *bus = bus_new();
    struct bus_socket *dealer = bus_socket_new(bus, BUS_DEALER);
    int sent = 0;

    (void)state;
    assert_int_equal(bus_connect(dealer, "tcp://127.0.0.1:9"), 0);
    while (sent < 100 && bus_send(dealer, &ask, 1) == 0)
        sent++;
    assert_in_range(sent, 1, 2);
    bus_socket_free(&dealer);
    bus_free(&bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_outlive_their_publisher),
        cmocka_unit_test(test_few_requests_wait_for_a_publisher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
