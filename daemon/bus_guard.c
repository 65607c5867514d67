/* SPDX-License-Identifier: MIT
 *
 * The side of a guarded socket that its own thread sees: each request and each subscription is judged by who sent it
 * (libzmq's User-Id, which is the key the authenticator let in) before anybody else sees it.
 *
 * Subscriptions are taken by hand (XPUB_MANUAL): what is not allowed is never put into force, so no message can slip
 * out between a subscription and its check. libzmq applies ZMQ_SUBSCRIBE to the connection whose subscription was read
 * last, and keeps connections and subscriptions in two queues. A message that is no subscription has no entry in the
 * first one, so that from there on every subscription would be given to the connection of the next: measured with
 * libzmq 4.3.4, one peer can get another's topics that way. The queues are level again once both are empty. Until then
 * nothing is put into force, and every connection that says something is shut down; it comes back and subscribes
 * again, except the one that started it. For the same reason subscriptions are taken before each message is sent. */
#include <string.h>
#include <zmq.h>

#include "daemon/bus_internal.h"

#define PUMP_MAX 1000 /* subscriptions at a time: a peer that never ends must not hold us for ever */

/* Who sent a frame. false: libzmq does not say, as for the end of a connection's subscriptions. */
static bool read_sender(zmq_msg_t *frame, int *fd, const char **user)
{
    *user = zmq_msg_gets(frame, "User-Id");
    *fd = zmq_msg_gets(frame, "__fd") ? zmq_msg_get(frame, ZMQ_SRCFD) : -1;
    return *fd >= 0;
}

static void take_subscription(struct bus_socket *s, zmq_msg_t *frame)
{
    const char *bytes = zmq_msg_data(frame), *user;
    size_t len = zmq_msg_size(frame);
    int fd;
    bool sent = read_sender(frame, &fd, &user);

    if (len == 0 || (bytes[0] != 0 && bytes[0] != 1)) {
        s->skewed = true;
        if (sent)
            bus_gate_expel(s->listener, fd, user, "sent a message instead of a subscription", true);
        return;
    }
    if (!sent)
        return; /* the connection is gone, and libzmq has forgotten its subscriptions by itself */
    if (s->skewed) {
        bus_gate_expel(s->listener, fd, user, NULL, false);
        return;
    }
    if (bus_gate_judge_topic(s->listener, fd, user, bytes[0] == 1, bytes + 1, len - 1) != BUS_PASS)
        return;
    /* Of the connection whose subscription was read last; it may be gone, and then this does nothing. */
    zmq_setsockopt(s->socket, bytes[0] == 1 ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, bytes + 1, len - 1);
}

void bus_guard_pump(struct bus_socket *s)
{
    zmq_msg_t frame;
    int taken = 0;

    zmq_msg_init(&frame);
    while (taken++ < PUMP_MAX && bus_receive_frame(s->socket, &frame) == 0)
        take_subscription(s, &frame);
    if (taken <= PUMP_MAX)
        s->skewed = false; /* both queues are empty */
    zmq_msg_close(&frame);
}

enum bus_verdict bus_guard_judge(struct bus_socket *s, void *frame, bool *behind)
{
    const char *user;
    int fd;

    read_sender(frame, &fd, &user);
    return bus_gate_judge_request(s->listener, fd, user, behind);
}

bool bus_has_subscribers(struct bus_socket *s)
{
    return bus_gate_has_subscribers(s->listener);
}
