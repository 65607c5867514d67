/* SPDX-License-Identifier: MIT
 *
 * ZeroMQ with the settings of design 2. What libzmq leaves to its caller is decided here: no call blocks, a
 * message goes out whole or not at all, a message with too many frames is drained whole. */
#include "daemon/bus.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "daemon/bus_internal.h"
#include "daemon/clock.h"

static _Thread_local int last_errno;

/* Remembers errno for bus_error() and sorts it. */
int bus_sort_errno(void)
{
    last_errno = errno;
    switch (errno) {
    case EAGAIN:
        return ERR_AGAIN;
    case EHOSTUNREACH:
        return ERR_MISSING;
    case ETERM:
    case ENOTSOCK:
        return ERR_CLOSED;
    case ENOMEM:
        return ERR_NOMEM;
    case EINVAL:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

const char *bus_error(void)
{
    return zmq_strerror(last_errno);
}

struct bus *bus_new(void)
{
    struct bus *bus = calloc(1, sizeof *bus);

    if (!bus)
        return NULL;
    bus->context = zmq_ctx_new();
    if (!bus->context) {
        bus_sort_errno();
        free(bus);
        return NULL;
    }
    return bus;
}

void bus_free(struct bus **bus)
{
    if (!*bus)
        return;
    while (zmq_ctx_term((*bus)->context) != 0 && errno == EINTR)
        ;
    free(*bus);
    *bus = NULL;
}

struct setting {
    int option, value;
};

/* Design 2, "Socket settings". RECONNECT backs off from 10 ms to 5 s. */
static const struct setting common_settings[] = {{ZMQ_RECONNECT_IVL, 10},      {ZMQ_RECONNECT_IVL_MAX, 5000},
                                                 {ZMQ_HANDSHAKE_IVL, 5000},    {ZMQ_LINGER, 1000},
                                                 {ZMQ_SNDHWM, 1000},           {ZMQ_RCVHWM, 1000},
                                                 {ZMQ_TCP_KEEPALIVE, 1},       {ZMQ_TCP_KEEPALIVE_IDLE, 10},
                                                 {ZMQ_TCP_KEEPALIVE_INTVL, 5}, {ZMQ_TCP_KEEPALIVE_CNT, 3}};

/* Only who connects sends heartbeats, and asks by their TTL that the other side drops it when they cease; a peer
 * that froze is seen after some 7 s. libzmq (4.3.4, and the newest) aborts when a socket's own heartbeat falls due
 * after its peer has gone while a full receive queue kept the connection from being read ("!_io_error"). A bound
 * socket, whose queue strangers fill, therefore never has one, and a connecting one has a queue that holds more
 * than can be asked for: an answer of small messages is as many as there are events in a FETCH. */
static const struct setting connecting_settings[] = {
    {ZMQ_HEARTBEAT_IVL, 2000}, {ZMQ_HEARTBEAT_TIMEOUT, 5000}, {ZMQ_HEARTBEAT_TTL, 7000}, {ZMQ_RCVHWM, 32768}};

/* What is asked while there is no connection waits for one: a question or two, not an hour of them. Never
 * ZMQ_IMMEDIATE, which would refuse them instead: with it libzmq (4.3.4, and the newest) throws what was received away
 * when its publisher has gone, and aborts where that falls between two frames of a message ("!_more"). */
#define REQUESTS_WAITING 2

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int set_all(void *socket, const struct setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (set_int(socket, settings[i].option, settings[i].value))
            return -1;
    return 0;
}

static int apply_settings(void *socket, enum bus_type type)
{
    const int64_t message_max = 8 << 20;

    if (set_all(socket, common_settings, sizeof common_settings / sizeof *common_settings))
        return -1;
    if ((type == BUS_SUB || type == BUS_DEALER) &&
        set_all(socket, connecting_settings, sizeof connecting_settings / sizeof *connecting_settings))
        return -1;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max))
        return -1;
    if (type == BUS_DEALER)
        return set_int(socket, ZMQ_SNDHWM, REQUESTS_WAITING) || set_int(socket, ZMQ_LINGER, 0);
    if (type == BUS_ROUTER)
        return set_int(socket, ZMQ_ROUTER_MANDATORY, 1);
    return 0;
}

struct bus_socket *bus_socket_new(struct bus *bus, enum bus_type type)
{
    static const int zmq_types[] = {
        [BUS_SUB] = ZMQ_SUB, [BUS_XPUB] = ZMQ_XPUB, [BUS_DEALER] = ZMQ_DEALER, [BUS_ROUTER] = ZMQ_ROUTER};
    struct bus_socket *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->bus = bus;
    s->type = type;
    s->socket = zmq_socket(bus->context, zmq_types[type]);
    if (!s->socket || apply_settings(s->socket, type)) {
        bus_sort_errno();
        bus_socket_free(&s);
        errno = last_errno;
        return NULL;
    }
    return s;
}

void bus_socket_free(struct bus_socket **socket)
{
    struct bus_socket *s = *socket;

    if (!s)
        return;
    if (s->monitor)
        zmq_socket_monitor(s->socket, NULL, 0);
    if (s->listener)
        bus_gate_forget(&s->listener);
    if (s->monitor)
        zmq_close(s->monitor);
    if (s->socket)
        zmq_close(s->socket);
    free(s->connected_to);
    free(s);
    *socket = NULL;
}

int bus_set_limits(struct bus_socket *socket, int send_messages, int64_t receive_bytes)
{
    if (set_int(socket->socket, ZMQ_SNDHWM, send_messages) ||
        zmq_setsockopt(socket->socket, ZMQ_MAXMSGSIZE, &receive_bytes, sizeof receive_bytes))
        return bus_sort_errno();
    return 0;
}

int bus_set_patient(struct bus_socket *socket)
{
    return set_int(socket->socket, ZMQ_HEARTBEAT_IVL, 0) || set_int(socket->socket, ZMQ_RCVHWM, 1000)
               ? bus_sort_errno()
               : 0;
}

int bus_bind(struct bus_socket *socket, const char *endpoint)
{
    return zmq_bind(socket->socket, endpoint) ? bus_sort_errno() : 0;
}

int bus_connect(struct bus_socket *socket, const char *endpoint)
{
    if (zmq_connect(socket->socket, endpoint))
        return bus_sort_errno();
    free(socket->connected_to);
    socket->connected_to = strdup(endpoint);
    return socket->connected_to ? 0 : ERR_NOMEM;
}

int bus_subscribe(struct bus_socket *socket, const char *prefix)
{
    return zmq_setsockopt(socket->socket, ZMQ_SUBSCRIBE, prefix, strlen(prefix)) ? bus_sort_errno() : 0;
}

int bus_last_endpoint(struct bus_socket *socket, char *out, size_t len)
{
    return zmq_getsockopt(socket->socket, ZMQ_LAST_ENDPOINT, out, &len) ? bus_sort_errno() : 0;
}

static int send_frame(void *socket, zmq_msg_t *frame, bool more)
{
    int rc;

    do
        rc = zmq_msg_send(frame, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? bus_sort_errno() : 0;
}

int bus_send(struct bus_socket *socket, const struct bus_frame *frames, int count)
{
    zmq_msg_t messages[BUS_FRAMES_MAX];
    int ready = 0, sent = 0, err = 0;

    assert(count >= 1 && count <= BUS_FRAMES_MAX);
    if (socket->listener && socket->type == BUS_XPUB)
        bus_guard_pump(socket);
    /* All memory before the first frame: running out in the middle would leave half a message in the pipe. */
    for (; ready < count; ready++) {
        if (zmq_msg_init_size(&messages[ready], frames[ready].len)) {
            err = bus_sort_errno();
            goto out;
        }
        if (frames[ready].len)
            memcpy(zmq_msg_data(&messages[ready]), frames[ready].data, frames[ready].len);
    }
    /* Only the first frame can find the pipe full. If the peer vanishes later, libzmq takes back what was
     * written and eats the frames up to the end of the message: they must still be offered, or it would eat
     * the next message. */
    for (; sent < count; sent++) {
        int rc = send_frame(socket->socket, &messages[sent], sent + 1 < count);

        if (rc && !err)
            err = rc;
        if (rc && (sent == 0 || rc == ERR_CLOSED))
            break;
    }
out:
    for (int i = 0; i < ready; i++)
        zmq_msg_close(&messages[i]); /* a sent one is empty by now */
    return err;
}

void bus_message_init(struct bus_message *m)
{
    memset(m, 0, sizeof *m);
}

/* private_frames: an array of BUS_FRAMES_MAX, all initialised as long as it exists. */
static void empty_frames(struct bus_message *m)
{
    zmq_msg_t *frames = m->private_frames;

    for (int i = 0; frames && i < m->count; i++) /* ours alone; a frame may hold what no dump may show */
        explicit_bzero(zmq_msg_data(&frames[i]), zmq_msg_size(&frames[i]));
    for (int i = 0; frames && i < BUS_FRAMES_MAX; i++)
        zmq_msg_close(&frames[i]);
    m->count = 0;
}

void bus_message_clear(struct bus_message *m)
{
    empty_frames(m);
    free(m->private_frames);
    bus_message_init(m);
}

static int prepare_message(struct bus_message *m)
{
    zmq_msg_t *frames;

    empty_frames(m);
    m->limited = m->behind = false;
    if (!m->private_frames)
        m->private_frames = malloc(BUS_FRAMES_MAX * sizeof(zmq_msg_t));
    frames = m->private_frames;
    if (!frames)
        return ERR_NOMEM;
    for (int i = 0; i < BUS_FRAMES_MAX; i++)
        zmq_msg_init(&frames[i]);
    return 0;
}

int bus_receive_frame(void *socket, void *frame)
{
    int rc;

    do
        rc = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? bus_sort_errno() : 0;
}

/* The frames after the last one there is place for. */
static void drain_frames(void *socket)
{
    zmq_msg_t frame;
    int more = 1;

    zmq_msg_init(&frame);
    while (more && bus_receive_frame(socket, &frame) == 0)
        more = zmq_msg_more(&frame);
    zmq_msg_close(&frame);
}

static int receive_message(struct bus_socket *socket, struct bus_message *m)
{
    int err = prepare_message(m), more = 1;
    zmq_msg_t *frames = m->private_frames;

    while (!err && more && m->count < BUS_FRAMES_MAX) {
        zmq_msg_t *frame = &frames[m->count];

        err = bus_receive_frame(socket->socket, frame);
        if (err)
            break;
        m->frame[m->count].data = zmq_msg_data(frame);
        m->frame[m->count].len = zmq_msg_size(frame);
        m->count++;
        more = zmq_msg_more(frame);
    }
    if (err) {
        empty_frames(m);
        free(m->private_frames);
        m->private_frames = NULL;
        return err;
    }
    if (more) {
        drain_frames(socket->socket);
        m->count = -1;
    }
    return 0;
}

#define REFUSED_MAX 256 /* in a row, before the caller gets to do something else */

int bus_receive(struct bus_socket *socket, struct bus_message *m)
{
    if (!socket->listener)
        return receive_message(socket, m);
    if (socket->type == BUS_XPUB) {
        empty_frames(m);
        bus_guard_pump(socket);
        return ERR_AGAIN;
    }
    for (int i = 0; i < REFUSED_MAX; i++) {
        zmq_msg_t *frames;
        int err = receive_message(socket, m);

        if (err)
            return err;
        frames = m->private_frames;
        /* Every frame of a message has the same sender; of a dropped one (count -1) the first is still there. */
        switch (bus_guard_judge(socket, &frames[m->count > 1 ? 1 : 0], &m->behind)) {
        case BUS_REFUSE:
            continue;
        case BUS_PASS_PART:
            m->limited = true;
            break;
        case BUS_PASS:
            break;
        }
        return 0;
    }
    empty_frames(m);
    return ERR_AGAIN;
}

#define POLL_ITEMS_MAX 64

int bus_poll(struct bus_poll *items, int count, int timeout_ms)
{
    zmq_pollitem_t polled[POLL_ITEMS_MAX];
    int rc;

    assert(count >= 0 && count <= POLL_ITEMS_MAX);
    for (int i = 0; i < count; i++) {
        polled[i] = (zmq_pollitem_t){.events = ZMQ_POLLIN, .fd = items[i].fd};
        if (items[i].socket)
            polled[i].socket = items[i].socket->socket;
        items[i].readable = false;
    }
    rc = zmq_poll(polled, count, timeout_ms);
    if (rc < 0 && errno == EINTR)
        return 0; /* the caller looks at its other work and comes back */
    if (rc < 0)
        return bus_sort_errno();
    for (int i = 0; i < count; i++)
        items[i].readable = (polled[i].revents & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0;
    return 0;
}

int bus_watch_events(struct bus_socket *socket, int events)
{
    /* libzmq keeps the address of a monitor for ever, so each gets its own. */
    static atomic_uint_fast64_t number;
    char address[64];

    assert(!socket->monitor);
    snprintf(address, sizeof address, "inproc://bus-watch-%llu",
             (unsigned long long)atomic_fetch_add(&number, 1));
    if (zmq_socket_monitor(socket->socket, address, events))
        return bus_sort_errno();
    socket->monitor = zmq_socket(socket->bus->context, ZMQ_PAIR);
    /* No mark on the reading side: libzmq's own thread must never wait for us to count. */
    if (!socket->monitor || set_int(socket->monitor, ZMQ_RCVHWM, 0) ||
        set_int(socket->monitor, ZMQ_LINGER, 0) || zmq_connect(socket->monitor, address)) {
        int err = bus_sort_errno();

        zmq_socket_monitor(socket->socket, NULL, 0);
        if (socket->monitor)
            zmq_close(socket->monitor);
        socket->monitor = NULL;
        return err;
    }
    return 0;
}

int bus_watch(struct bus_socket *socket)
{
    return bus_watch_events(socket, ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CONNECT_RETRIED |
                                        ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                        ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                        ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL);
}

#define RECONNECT_US 5000000

/* After some failures of the handshake libzmq never tries again; the other side's allow-list may change, so we do. */
static void reconnect(struct bus_socket *s)
{
    uint64_t now = clock_monotonic_us();

    if (!s->reconnect_us || now < s->reconnect_us || !s->connected_to)
        return;
    s->reconnect_us = 0;
    zmq_disconnect(s->socket, s->connected_to);
    if (zmq_connect(s->socket, s->connected_to))
        s->reconnect_us = now + RECONNECT_US;
}

static void count_event(struct bus_socket *s, uint16_t event)
{
    struct bus_counts *counts = &s->counts;

    switch (event) {
    case ZMQ_EVENT_CONNECTED:
        counts->connected++;
        break;
    case ZMQ_EVENT_DISCONNECTED:
        counts->disconnected++;
        break;
    case ZMQ_EVENT_CONNECT_RETRIED:
        counts->retried++;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        counts->auth_failures++;
        s->reconnect_us = clock_monotonic_us() + RECONNECT_US;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        counts->protocol_failures++;
        s->reconnect_us = clock_monotonic_us() + RECONNECT_US;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: /* a server with CURVE says nothing to who is not let in */
        counts->auth_failures += s->curve;
        break;
    default:
        break;
    }
}

void bus_read_counts(struct bus_socket *socket, struct bus_counts *out)
{
    zmq_msg_t frame;

    zmq_msg_init(&frame);
    while (socket->monitor && bus_receive_frame(socket->monitor, &frame) == 0) {
        uint16_t event;

        /* First frame: u16 event, u32 value; second: the endpoint. */
        if (zmq_msg_size(&frame) == 6 && zmq_msg_more(&frame)) {
            memcpy(&event, zmq_msg_data(&frame), sizeof event);
            count_event(socket, event);
        }
    }
    zmq_msg_close(&frame);
    reconnect(socket);
    *out = socket->counts;
}
