/* SPDX-License-Identifier: MIT
 *
 * The only door to ZeroMQ (daemon/bus*.c alone include zmq.h). Sockets carry the settings of
 * design 2 from birth. A socket belongs to the thread that made it; bus_context is shared by all threads.
 * Nothing here knows what a stream is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

struct bus; /* one ZeroMQ context */
struct bus_socket;

enum bus_type { BUS_SUB, BUS_XPUB, BUS_DEALER, BUS_ROUTER };

/* One received frame; data lives until bus_message_clear(). */
struct bus_frame {
    const void *data;
    size_t len;
};
#define BUS_FRAMES_MAX 8
struct bus_message { /* opaque beyond frames and count; init with bus_message_init */
    struct bus_frame frame[BUS_FRAMES_MAX];
    int count; /* frames; a message with more frames is dropped whole and counts as damaged: count = -1 */
    bool
        limited; /* from a guarded ROUTER: the sender may see only a part of the stream (daemon/bus_gate.h) */
    bool behind; /* from a guarded ROUTER: the sender has not yet taken most of what was sent to it before */
    void *private_frames; /* kept from one receive to the next, given back by bus_message_clear() */
};

struct bus *bus_new(void);       /* NULL: out of descriptors or memory; errno says which */
void bus_free(struct bus **bus); /* waits at most LINGER (1 s) */

/* NULL with errno set. The error text for a bind: bus_error(). */
struct bus_socket *bus_socket_new(struct bus *bus, enum bus_type type);
void bus_socket_free(struct bus_socket **socket);
/* Tighter than design 2, before bind or connect: messages held for each peer, bytes of a frame taken from one. */
int bus_set_limits(struct bus_socket *socket, int send_messages, int64_t receive_bytes) MUST_CHECK;
/* Before connect, for a reader that may be blocked for long by somebody else: no heartbeats (only TCP notices a dead peer,
 * after 25 s), and no more than a thousand messages wait for it. */
int bus_set_patient(struct bus_socket *socket) MUST_CHECK;
int bus_bind(struct bus_socket *socket, const char *endpoint) MUST_CHECK;
int bus_connect(struct bus_socket *socket, const char *endpoint) MUST_CHECK;
/* Before connect: CURVE with the server's public key and our own pair. */
struct curve_keys;
int bus_use_server_key(struct bus_socket *socket, const char *server_key,
                       const struct curve_keys *keys) MUST_CHECK;
int bus_subscribe(struct bus_socket *socket, const char *prefix) MUST_CHECK;
/* The endpoint really bound ("tcp://127.0.0.1:*" resolved). */
int bus_last_endpoint(struct bus_socket *socket, char *out, size_t len) MUST_CHECK;
const char *bus_error(void); /* text of the calling thread's last failure */

/* All frames or none, never blocks: ERR_AGAIN (no room; a DEALER keeps two messages for a peer that is away), ERR_MISSING (no such ROUTER peer),
 * ERR_CLOSED, ERR_NOMEM. Data is copied. */
int bus_send(struct bus_socket *socket, const struct bus_frame *frames, int count) MUST_CHECK;
/* Never blocks: ERR_AGAIN, ERR_CLOSED. Clears m first. A guarded ROUTER gives only requests that were let through; a guarded
 * XPUB gives none, but takes its subscriptions: call it when it is readable. */
int bus_receive(struct bus_socket *socket, struct bus_message *m) MUST_CHECK;
void bus_message_init(struct bus_message *m);
void bus_message_clear(struct bus_message *m);

/* Waits at most timeout_ms for input on any socket or descriptor; sets ready. ERR_CLOSED when the context ends. */
struct bus_poll {
    struct bus_socket *socket; /* or NULL and */
    int fd;
    bool readable; /* out */
};
int bus_poll(struct bus_poll *items, int count, int timeout_ms) MUST_CHECK;

/* What happened to a socket's connections since bus_watch(), for counters. Call from the socket's own thread. */
struct bus_counts {
    uint64_t connected, disconnected, retried, auth_failures, protocol_failures;
};
int bus_watch(struct bus_socket *socket) MUST_CHECK;
/* All zero when not watched. Also what makes a client try again whose handshake was refused: call it now and then. */
void bus_read_counts(struct bus_socket *socket, struct bus_counts *out);

/* Keys as 40 characters of Z85. */
int bus_curve_pair(char public_key[41], char secret_key[41]) MUST_CHECK;
int bus_curve_public(const char *secret_key, char public_key[41]) MUST_CHECK;
bool bus_curve_is_key(const char *text);
