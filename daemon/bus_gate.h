/* SPDX-License-Identifier: MIT
 *
 * The gate before server sockets: a thread that answers libzmq's question "may this key in?" from the allow-list, counts
 * connections, and shuts down what goes too far. It holds no secret and no message. Start it before the first bind, stop it
 * after the last server socket is freed. */
#pragma once

#include "daemon/allow.h"
#include "daemon/bus.h"
#include "daemon/curve_keys.h"

struct bus_gate;

struct bus_gate_limits {
    unsigned connections;   /* to one socket, at a time */
    unsigned same_key;      /* of them with one key */
    unsigned subscriptions; /* of one connection to an XPUB */
    unsigned requests;      /* a second and connection, over any longer time; ten times that at once */
};
extern const struct bus_gate_limits bus_gate_defaults;

struct bus_gate_counts {
    uint64_t auth_failures; /* keys refused by the authenticator */
    uint64_t
        handshake_failures; /* connections that ended before they showed a key: plain, garbage, too slow */
    uint64_t refused_connections;   /* over a limit */
    uint64_t refused_subscriptions; /* to what the key may not see, or over a limit */
    uint64_t dropped_requests;      /* over the rate */
    uint64_t revoked_connections;   /* ended because the allow-list changed */
    uint64_t connections;           /* now */
};

/* NULL with errno set. Until bus_gate_allow() every key is refused. limits NULL: the defaults. */
struct bus_gate *bus_gate_start(struct bus *bus, const struct bus_gate_limits *limits);
void bus_gate_stop(struct bus_gate **gate);
/* Any thread. Takes the list over. When it returns, connections whose key lost rights are shut down. Their number. */
unsigned bus_gate_allow(struct bus_gate *gate, struct allow **list);
void bus_gate_read_counts(struct bus_gate *gate, struct bus_gate_counts *out); /* any thread */

/* Puts an XPUB or ROUTER behind the gate, before it is bound; the socket's own thread. keys NULL: no CURVE, every peer sees
 * the whole stream, and only the limits hold. The socket serves one stream, which is what allow-lists name. */
int bus_guard(struct bus_socket *socket, struct bus_gate *gate, const char *stream,
              const struct curve_keys *keys) MUST_CHECK;
/* Whether anyone subscribes to a guarded XPUB. */
bool bus_has_subscribers(struct bus_socket *socket);
