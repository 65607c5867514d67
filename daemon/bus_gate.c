/* SPDX-License-Identifier: MIT
 *
 * Who is let in, and how much of it. The gate's thread answers the authenticator's question (ZAP) and reads what
 * libzmq tells of connections; the sockets' own threads ask it to judge requests and subscriptions. One mutex guards
 * the allow-list and the connections. Fail closed: a key that is not on the list, a list that is not there, a question
 * that cannot be read, and a gate that is gone all end in a refusal.
 *
 * libzmq has no limit on connections and no call that ends one. Its monitor names the descriptor of each, and
 * shutdown(2) on that ends it the way a lost peer does. A descriptor's number is used again, so a connection is known
 * by the kernel's cookie for its socket. */
#include "daemon/bus_gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <unistd.h>
#include <zmq.h>

#include "daemon/bus_internal.h"
#include "daemon/clock.h"
#include "daemon/log.h"

#define ZAP_FRAMES  7
#define ZAP_A_TURN  64
#define LOG_BURST   20
#define LOG_EACH_US 3000000
#define BURST       10 /* seconds of requests at once */
#define BANNED_MAX  64
#define UNSENT_MAX  (128 << 10)

/* What may come through a connection after its last finished message: the start of the next one, what libzmq reads
 * ahead, and heartbeats, of which some 22 bytes a second are usual. Beyond MAX not even slowly: a peer that has said
 * nothing but heartbeats for a day is cut off, and comes back by itself. */
#define UNFINISHED_BYTES    (64 << 10)
#define UNFINISHED_A_SECOND 64
#define UNFINISHED_MAX      (2 << 20)
#define MEASURE_EACH_MS     100

const struct bus_gate_limits bus_gate_defaults = {
    .connections = 128, .same_key = 16, .subscriptions = 256, .requests = 200};

struct bus_gate {
    struct bus *bus;
    struct bus_gate_limits limits;
    void *zap;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below, and the listeners' connections */
    pthread_cond_t forgotten;
    struct allow *allow;
    struct bus_listener *listeners[LISTENERS_MAX];
    bool stopping, stopped;
    struct bus_gate_counts counts;
    char banned[BANNED_MAX][KEY_TEXT]; /* until the next allow-list */
    size_t banned_count;
    unsigned log_tokens, not_logged;
    uint64_t log_refilled_us;
    uint64_t measured_us; /* when connections were last measured; the gate's thread only */
};

/* ---- the log: what a stranger can cause must not fill a disk ---- */

static void complain(struct bus_gate *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct bus_gate *g, const char *format, ...)
{
    uint64_t now = clock_monotonic_us(), periods = (now - g->log_refilled_us) / LOG_EACH_US;
    char text[512], rest[64] = "";
    va_list arguments;

    if (periods > 0) {
        g->log_tokens = periods >= LOG_BURST - g->log_tokens ? LOG_BURST : g->log_tokens + (unsigned)periods;
        g->log_refilled_us += periods * LOG_EACH_US;
    }
    if (g->log_tokens == 0) {
        g->not_logged++;
        return;
    }
    g->log_tokens--;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (g->not_logged)
        snprintf(rest, sizeof rest, " (%u more like this were not logged)", g->not_logged);
    g->not_logged = 0;
    log_warning("%s%s", text, rest);
}

/* ---- connections ---- */

static bool read_cookie(int fd, uint64_t *cookie)
{
    socklen_t len = sizeof *cookie;
    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_COOKIE, cookie, &len) == 0;
}

static void read_address(int fd, char *out, size_t len)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    struct ucred owner;
    char host[INET6_ADDRSTRLEN] = "";

    snprintf(out, len, "an unknown address");
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
        return;
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&peer;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, len, "%s:%u", host, ntohs(v4->sin_port));
    } else if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&peer;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, len, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else if (size = sizeof owner, getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &owner, &size) == 0) {
        snprintf(out, len, "process %d of user %u", (int)owner.pid, (unsigned)owner.uid);
    }
}

static struct bus_connection *find_connection(struct bus_listener *l, int fd)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->connections[i].fd == fd)
            return &l->connections[i];
    return NULL;
}

static void forget_connection(struct bus_listener *l, struct bus_connection *c)
{
    *c = l->connections[--l->count];
    l->gate->counts.connections--;
}

static void drop_connection(struct bus_connection *c)
{
    uint64_t cookie;
    if (!c->dropped && read_cookie(c->fd, &cookie) && cookie == c->cookie)
        shutdown(c->fd, SHUT_RDWR);
    c->dropped = true;
}

/* What libzmq has read of a connection; what waits in the kernel is bounded there. false: not TCP, or closed. */
static bool read_taken(int fd, uint64_t *taken)
{
    struct tcp_info info = {.tcpi_bytes_received = 0};
    socklen_t len = sizeof info;
    int waiting = 0;

    if (ioctl(fd, SIOCINQ, &waiting) != 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    *taken = info.tcpi_bytes_received > (uint64_t)waiting ? info.tcpi_bytes_received - (uint64_t)waiting : 0;
    return true;
}

/* The connection that has this descriptor now; NULL when it is closed already, or there are far too many. */
static struct bus_connection *meet_connection(struct bus_listener *l, int fd)
{
    struct bus_connection *c = find_connection(l, fd);
    uint64_t cookie;

    if (!read_cookie(fd, &cookie))
        return NULL;
    if (c && c->cookie == cookie)
        return c;
    if (c)
        forget_connection(l, c); /* libzmq's word that it is gone is still on its way */
    if (l->count == CONNECTIONS_ROOM) {
        shutdown(fd, SHUT_RDWR);
        return NULL;
    }
    c = &l->connections[l->count++];
    *c = (struct bus_connection){.fd = fd,
                                 .cookie = cookie,
                                 .since_us = clock_monotonic_us(),
                                 .refilled_us = clock_monotonic_us(),
                                 .finished_us = clock_monotonic_us(),
                                 .tokens = l->gate->limits.requests * BURST};
    read_address(fd, c->address, sizeof c->address);
    l->gate->counts.connections++;
    return c;
}

/* Over the limit the oldest one that never said anything goes: a flood of strangers holds no place for long, and who has
 * been let in keeps his. */
static void bound_connections(struct bus_listener *l, struct bus_connection *newest)
{
    struct bus_connection *victim = newest;
    size_t open = 0;

    for (size_t i = 0; i < l->count; i++) {
        struct bus_connection *c = &l->connections[i];

        if (c->dropped)
            continue;
        open++;
        if (!c->known && c->since_us < victim->since_us)
            victim = c;
    }
    if (open <= l->gate->limits.connections)
        return;
    l->gate->counts.refused_connections++;
    complain(l->gate, "%s: more than %u connections; %s is disconnected", l->stream,
             l->gate->limits.connections, victim->address);
    drop_connection(victim);
}

static void take_accepted(struct bus_listener *l, int fd)
{
    struct bus_connection *c = meet_connection(l, fd);
    if (c && !c->accepted) {
        c->accepted = true;
        bound_connections(l, c);
    }
}

/* libzmq closes this descriptor. What we have not been told to be accepted is a later connection with its number. */
static void take_closed(struct bus_listener *l, int fd)
{
    struct bus_connection *c = find_connection(l, fd);
    bool failed = l->failing;

    l->failing = false;
    if (!c || !c->accepted)
        return;
    if (failed && l->curve && !c->dropped) {
        l->gate->counts.handshake_failures++;
        complain(l->gate,
                 "%s: %s was not let in: it speaks without CURVE, with another server key, or not ZeroMQ",
                 l->stream, c->address);
    }
    forget_connection(l, c);
}

/* First frame: u16 event, u32 value; second: our endpoint. */
static void read_monitor(struct bus_listener *l)
{
    zmq_msg_t frame;

    zmq_msg_init(&frame);
    while (bus_receive_frame(l->monitor, &frame) == 0) {
        const uint8_t *bytes = zmq_msg_data(&frame);
        uint16_t event;
        int32_t value;

        if (zmq_msg_size(&frame) != 6 || !zmq_msg_more(&frame))
            continue;
        memcpy(&event, bytes, sizeof event);
        memcpy(&value, bytes + 2, sizeof value);
        if (event == ZMQ_EVENT_ACCEPTED)
            take_accepted(l, value);
        else if (event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_CLOSED)
            take_closed(l, value);
        else
            l->failing = true;
    }
    zmq_msg_close(&frame);
}

static const char *name_of(const struct bus_gate *g, const char *user)
{
    const char *name = user[0] ? allow_name(g->allow, user) : "no key";
    return name ? name : "a key not on the allow-list";
}

static void end_connection(struct bus_listener *l, struct bus_connection *c, const char *why)
{
    if (!c->dropped)
        complain(l->gate, "%s: %s (%s) is disconnected: %s", l->stream, c->address, name_of(l->gate, c->user),
                 why);
    drop_connection(c);
}

/* libzmq's own bounds are of one frame and of finished messages: a message that never ends is in neither. */
static void measure_connection(struct bus_listener *l, struct bus_connection *c, uint64_t now)
{
    uint64_t cookie, taken, most = UNFINISHED_BYTES + (now - c->finished_us) / 1000000 * UNFINISHED_A_SECOND;

    if (c->dropped || !read_cookie(c->fd, &cookie) || cookie != c->cookie || !read_taken(c->fd, &taken))
        return;
    if (taken < c->finished_bytes ||
        taken - c->finished_bytes <= (most < UNFINISHED_MAX ? most : UNFINISHED_MAX))
        return;
    l->gate->counts.refused_connections++;
    end_connection(l, c, "its message is too long, or never ends");
}

static void measure_connections(struct bus_gate *g)
{
    uint64_t now = clock_monotonic_us();

    if (now - g->measured_us < MEASURE_EACH_MS * 1000)
        return;
    g->measured_us = now;
    for (int i = 0; i < LISTENERS_MAX; i++)
        for (size_t k = 0; g->listeners[i] && k < g->listeners[i]->count; k++)
            measure_connection(g->listeners[i], &g->listeners[i]->connections[k], now);
}

/* ---- the authenticator ---- */

static bool is_banned(const struct bus_gate *g, const char *key)
{
    for (size_t i = 0; i < g->banned_count; i++)
        if (strcmp(g->banned[i], key) == 0)
            return true;
    return false;
}

static bool frame_is(zmq_msg_t *frame, const char *text)
{
    return zmq_msg_size(frame) == strlen(text) && memcmp(zmq_msg_data(frame), text, strlen(text)) == 0;
}

static void text_of(zmq_msg_t *frame, char *out, size_t len)
{
    size_t n = zmq_msg_size(frame) < len ? zmq_msg_size(frame) : len - 1;
    memcpy(out, zmq_msg_data(frame), n);
    out[n] = '\0';
}

/* Frames: version, request id, domain, address, routing id, mechanism, key. The domain is the stream. */
static bool judge_key(struct bus_gate *g, zmq_msg_t *frames, int count, char key[KEY_TEXT])
{
    char stream[WIRE_NAME_MAX + 1] = "?", address[64] = "?";
    const char *name = NULL, *reason = "a question that cannot be read";

    if (count == ZAP_FRAMES) {
        text_of(&frames[2], stream, sizeof stream);
        text_of(&frames[3], address, sizeof address);
    }
    if (count == ZAP_FRAMES && frame_is(&frames[0], "1.0") && frame_is(&frames[5], "CURVE") &&
        zmq_msg_size(&frames[6]) == 32 && zmq_z85_encode(key, zmq_msg_data(&frames[6]), 32)) {
        name = allow_name(g->allow, key);
        if (is_banned(g, key))
            reason = "its key broke the protocol; a reload lets it in again";
        else if (allow_stream(g->allow, key, stream) != ALLOW_NOTHING)
            return true;
        else
            reason = name ? "its key may not see this stream" : "its key is not on the allow-list";
    }
    g->counts.auth_failures++;
    complain(g, "%s: %s%s%s%s was not let in: %s", stream, address, name ? " (" : "", name ? name : "",
             name ? ")" : "", reason);
    return false;
}

static void send_text(struct bus_gate *g, const char *text, bool more)
{
    if (zmq_send(g->zap, text, strlen(text), ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) < 0)
        return; /* who asked has gone: nobody is let in */
}

/* One question and its answer. 300 and not 400 for a refusal: libzmq's clients try again by themselves after a 300, so who
 * is put on the list later comes in, and a stranger is told nothing. */
static bool answer_one(struct bus_gate *g)
{
    zmq_msg_t frames[ZAP_FRAMES], rest;
    char id[256] = "1", key[KEY_TEXT] = "";
    int count = 0, more = 1;
    bool admitted;

    while (more && count < ZAP_FRAMES) {
        zmq_msg_init(&frames[count]);
        if (bus_receive_frame(g->zap, &frames[count])) {
            zmq_msg_close(&frames[count]);
            break;
        }
        more = zmq_msg_more(&frames[count++]);
    }
    if (count == 0)
        return false;
    zmq_msg_init(&rest);
    for (int extra = more; extra && bus_receive_frame(g->zap, &rest) == 0; count = ZAP_FRAMES + 1)
        extra = zmq_msg_more(&rest);
    zmq_msg_close(&rest);
    if (count > 1)
        text_of(&frames[1], id, sizeof id);
    admitted = judge_key(g, frames, count, key);
    send_text(g, "1.0", true);
    send_text(g, id, true);
    send_text(g, admitted ? "200" : "300", true);
    send_text(g, admitted ? "OK" : "no", true);
    send_text(g, admitted ? key : "", true);
    send_text(g, "", false);
    for (int i = 0; i < count && i < ZAP_FRAMES; i++)
        zmq_msg_close(&frames[i]);
    return true;
}

static void read_monitors(struct bus_gate *g)
{
    for (int i = 0; i < LISTENERS_MAX; i++)
        if (g->listeners[i])
            read_monitor(g->listeners[i]);
}

/* What is known of connections is brought up to date before each answer: then whoever speaks through a connection was
 * met while it was open. */
static void answer_questions(struct bus_gate *g)
{
    for (int i = 0; i < ZAP_A_TURN; i++) {
        read_monitors(g);
        if (!answer_one(g))
            return;
    }
}

/* ---- the thread ---- */

static int list_items(struct bus_gate *g, zmq_pollitem_t *items, int *timeout_ms)
{
    int n = 0;

    items[n++] = (zmq_pollitem_t){.fd = g->wake_fd, .events = ZMQ_POLLIN};
    items[n++] = (zmq_pollitem_t){.socket = g->zap, .events = ZMQ_POLLIN};
    pthread_mutex_lock(&g->mutex);
    for (int i = 0; i < LISTENERS_MAX; i++) {
        struct bus_listener *l = g->listeners[i];

        if (l && l->leaving) {
            l->left = true;
            g->listeners[i] = NULL;
            pthread_cond_broadcast(&g->forgotten);
        } else if (l) {
            items[n++] = (zmq_pollitem_t){.socket = l->monitor, .events = ZMQ_POLLIN};
        }
    }
    if (g->stopping)
        n = 0;
    *timeout_ms = g->counts.connections ? MEASURE_EACH_MS : -1;
    pthread_mutex_unlock(&g->mutex);
    return n;
}

static void *run(void *context)
{
    struct bus_gate *g = context;
    zmq_pollitem_t items[LISTENERS_MAX + 2];
    int n, timeout_ms;

    while ((n = list_items(g, items, &timeout_ms)) > 0) {
        uint64_t wakes;

        if (zmq_poll(items, n, timeout_ms) < 0 && errno != EINTR)
            break;
        if ((items[0].revents & ZMQ_POLLIN) && read(g->wake_fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN)
            break;
        pthread_mutex_lock(&g->mutex);
        read_monitors(g);
        measure_connections(g);
        answer_questions(g);
        pthread_mutex_unlock(&g->mutex);
    }
    zmq_close(g->zap);
    pthread_mutex_lock(&g->mutex);
    g->stopped = true;
    pthread_cond_broadcast(&g->forgotten);
    pthread_mutex_unlock(&g->mutex);
    return NULL;
}

static void wake(struct bus_gate *g)
{
    const uint64_t one = 1;
    if (write(g->wake_fd, &one, sizeof one) != sizeof one)
        return; /* full: it is awake */
}

struct bus_gate *bus_gate_start(struct bus *bus, const struct bus_gate_limits *limits)
{
    const int no = 0;
    struct bus_gate *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->bus = bus;
    g->limits = limits ? *limits : bus_gate_defaults;
    g->log_tokens = LOG_BURST;
    g->log_refilled_us = clock_monotonic_us();
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->forgotten, NULL);
    g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g->zap = zmq_socket(bus->context, ZMQ_REP);
    if (g->wake_fd >= 0 && g->zap && zmq_setsockopt(g->zap, ZMQ_LINGER, &no, sizeof no) == 0 &&
        zmq_bind(g->zap, "inproc://zeromq.zap.01") == 0 &&
        (errno = pthread_create(&g->thread, NULL, run, g)) == 0) {
        pthread_setname_np(g->thread, "gate");
        return g;
    }
    bus_sort_errno();
    if (g->zap)
        zmq_close(g->zap);
    if (g->wake_fd >= 0)
        close(g->wake_fd);
    free(g);
    return NULL;
}

void bus_gate_stop(struct bus_gate **gate)
{
    struct bus_gate *g = *gate;

    if (!g)
        return;
    pthread_mutex_lock(&g->mutex);
    g->stopping = true;
    pthread_mutex_unlock(&g->mutex);
    wake(g);
    pthread_join(g->thread, NULL);
    for (int i = 0; i < LISTENERS_MAX; i++)
        if (g->listeners[i])
            g->listeners[i]->gate = NULL; /* its socket lives on without anybody to let peers in */
    close(g->wake_fd);
    allow_free(&g->allow);
    pthread_cond_destroy(&g->forgotten);
    pthread_mutex_destroy(&g->mutex);
    free(g);
    *gate = NULL;
}

struct bus_listener *bus_gate_admit(struct bus_gate *g, void *monitor, const char *stream, bool curve)
{
    struct bus_listener *l = calloc(1, sizeof *l);
    int place = 0;

    if (!l)
        return NULL;
    l->gate = g;
    l->monitor = monitor;
    l->curve = curve;
    snprintf(l->stream, sizeof l->stream, "%s", stream);
    pthread_mutex_lock(&g->mutex);
    while (place < LISTENERS_MAX && g->listeners[place])
        place++;
    if (place < LISTENERS_MAX)
        g->listeners[place] = l;
    pthread_mutex_unlock(&g->mutex);
    if (place == LISTENERS_MAX) {
        free(l);
        return NULL;
    }
    wake(g);
    return l;
}

void bus_gate_forget(struct bus_listener **listener)
{
    struct bus_listener *l = *listener;
    struct bus_gate *g = l ? l->gate : NULL;

    if (g) {
        pthread_mutex_lock(&g->mutex);
        l->leaving = true;
        wake(g);
        while (!l->left && !g->stopped)
            pthread_cond_wait(&g->forgotten, &g->mutex);
        for (int i = 0; i < LISTENERS_MAX; i++)
            if (g->listeners[i] == l)
                g->listeners[i] = NULL;
        g->counts.connections -= l->count;
        pthread_mutex_unlock(&g->mutex);
    }
    free(l);
    *listener = NULL;
}

/* ---- judging: called by the sockets' own threads ---- */

static void refill(const struct bus_gate *g, struct bus_connection *c)
{
    uint64_t now = clock_monotonic_us(), most = (uint64_t)g->limits.requests * BURST;
    uint64_t due = (now - c->refilled_us) * g->limits.requests / 1000000;

    if (due == 0)
        return;
    c->tokens = c->tokens + due > most ? (unsigned)most : (unsigned)(c->tokens + due);
    c->refilled_us = now;
}

/* The bytes of a message that is judged are counted no more. */
static void note_finished(struct bus_connection *c)
{
    c->finished_us = clock_monotonic_us();
    read_taken(c->fd, &c->finished_bytes);
}

/* The first message through a connection says whose it is, which never changes: another key means that the message is
 * an earlier connection's, whose descriptor this one has. */
static void introduce(struct bus_listener *l, struct bus_connection *c, const char *user)
{
    unsigned same = 0;

    c->known = true;
    if (!user || strcmp(c->user, user) == 0)
        return;
    if (c->user[0]) {
        drop_connection(c);
        return;
    }
    snprintf(c->user, sizeof c->user, "%s", user);
    for (size_t i = 0; i < l->count; i++)
        same += !l->connections[i].dropped && strcmp(l->connections[i].user, user) == 0;
    if (same > l->gate->limits.same_key) {
        l->gate->counts.refused_connections++;
        end_connection(l, c, "its key has too many connections already");
    }
}

/* What a message's sender may see; *connection is NULL when there is none to keep account of (inproc, in tests). */
static enum allow_extent judge_sender(struct bus_listener *l, int fd, const char *user,
                                      struct bus_connection **connection)
{
    enum allow_extent extent = l->curve ? allow_stream(l->gate->allow, user, l->stream) : ALLOW_WHOLE;
    struct bus_connection *c = meet_connection(l, fd);

    *connection = c;
    if (!c)
        return fd >= 0 || l->curve ? ALLOW_NOTHING : ALLOW_WHOLE;
    note_finished(c);
    introduce(l, c, user);
    if (extent == ALLOW_NOTHING) {
        l->gate->counts.auth_failures++;
        end_connection(l, c, "its key may not see this stream any more");
    }
    return c->dropped ? ALLOW_NOTHING : extent;
}

/* A peer asks for more when it has what it asked for, so then the kernel holds nothing for it any more. One that does
 * not read would have answer after answer queued within libzmq, out of our sight. */
static bool is_behind(const struct bus_connection *c)
{
    int unsent = 0;
    return ioctl(c->fd, SIOCOUTQ, &unsent) == 0 && unsent > UNSENT_MAX;
}

enum bus_verdict bus_gate_judge_request(struct bus_listener *l, int fd, const char *user, bool *behind)
{
    struct bus_gate *g = l->gate;
    struct bus_connection *c;
    enum allow_extent extent;
    bool late = false;

    if (!g)
        return BUS_REFUSE;
    pthread_mutex_lock(&g->mutex);
    extent = judge_sender(l, fd, user, &c);
    if (extent != ALLOW_NOTHING && c) {
        refill(g, c);
        late = c->tokens == 0;
        c->tokens -= !late;
        *behind = is_behind(c);
    }
    if (late) {
        g->counts.dropped_requests++;
        complain(g, "%s: %s (%s) asks more than %u times a second; requests are dropped", l->stream,
                 c->address, name_of(g, c->user), g->limits.requests);
    }
    pthread_mutex_unlock(&g->mutex);
    return late || extent == ALLOW_NOTHING ? BUS_REFUSE : extent == ALLOW_PART ? BUS_PASS_PART : BUS_PASS;
}

/* Whether one more subscription, or the end of one, fits the account of its connection. */
static bool book_subscription(struct bus_listener *l, struct bus_connection *c, bool subscribe)
{
    refill(l->gate, c);
    if (c->tokens == 0 || (subscribe && c->subscriptions == l->gate->limits.subscriptions)) {
        l->gate->counts.refused_subscriptions++;
        end_connection(l, c, "too many subscriptions");
        return false;
    }
    c->tokens--;
    if (subscribe)
        c->subscriptions++;
    else if (c->subscriptions > 0)
        c->subscriptions--;
    return true;
}

enum bus_verdict bus_gate_judge_topic(struct bus_listener *l, int fd, const char *user, bool subscribe,
                                      const char *topic, size_t len)
{
    struct bus_gate *g = l->gate;
    struct bus_connection *c;
    enum allow_extent extent;
    bool pass;

    if (!g)
        return BUS_REFUSE;
    pthread_mutex_lock(&g->mutex);
    extent = judge_sender(l, fd, user, &c);
    pass = extent != ALLOW_NOTHING && (!c || book_subscription(l, c, subscribe));
    if (pass && subscribe) {
        pass = l->curve ? allow_topic(g->allow, user, l->stream, topic, len)
                        : allow_prefix_matches(l->stream, topic, len);
        if (!pass && l->curve && c) {
            g->counts.refused_subscriptions++;
            complain(g, "%s: %s (%s) subscribes to what its key may not see; refused", l->stream, c->address,
                     name_of(g, c->user));
        }
    }
    pthread_mutex_unlock(&g->mutex);
    return pass ? BUS_PASS : BUS_REFUSE;
}

void bus_gate_expel(struct bus_listener *l, int fd, const char *user, const char *why, bool ban)
{
    struct bus_gate *g = l->gate;
    struct bus_connection *c;

    if (!g)
        return;
    pthread_mutex_lock(&g->mutex);
    c = meet_connection(l, fd);
    if (c) {
        introduce(l, c, user);
        if (ban && user && !is_banned(g, user) && g->banned_count < BANNED_MAX)
            snprintf(g->banned[g->banned_count++], KEY_TEXT, "%s", user);
        if (why)
            end_connection(l, c, why);
        else
            drop_connection(c);
    }
    pthread_mutex_unlock(&g->mutex);
}

bool bus_gate_has_subscribers(struct bus_listener *l)
{
    struct bus_gate *g = l->gate;
    bool found = false;

    if (!g)
        return false;
    pthread_mutex_lock(&g->mutex);
    for (size_t i = 0; i < l->count && !found; i++)
        found = !l->connections[i].dropped && l->connections[i].subscriptions > 0;
    pthread_mutex_unlock(&g->mutex);
    return found;
}

/* ---- the allow-list changes ---- */

static unsigned end_revoked(struct bus_listener *l, const struct allow *before)
{
    unsigned ended = 0;

    for (size_t i = 0; i < l->count; i++) {
        struct bus_connection *c = &l->connections[i];

        if (!c->user[0] || c->dropped || allow_same_rights(before, l->gate->allow, c->user, l->stream))
            continue;
        complain(l->gate, "%s: %s is disconnected: its key's rights have changed", l->stream, c->address);
        drop_connection(c);
        ended++;
    }
    return ended;
}

unsigned bus_gate_allow(struct bus_gate *g, struct allow **list)
{
    struct allow *before;
    unsigned ended = 0;

    pthread_mutex_lock(&g->mutex);
    before = g->allow;
    g->allow = *list;
    *list = NULL;
    g->banned_count = 0;
    for (int i = 0; i < LISTENERS_MAX; i++)
        if (g->listeners[i] && g->listeners[i]->curve)
            ended += end_revoked(g->listeners[i], before);
    g->counts.revoked_connections += ended;
    pthread_mutex_unlock(&g->mutex);
    allow_free(&before);
    return ended;
}

void bus_gate_read_counts(struct bus_gate *g, struct bus_gate_counts *out)
{
    pthread_mutex_lock(&g->mutex);
    *out = g->counts;
    pthread_mutex_unlock(&g->mutex);
}
