/* SPDX-License-Identifier: MIT
 *
 * What the files of the bus share. A socket belongs to one thread; a gate and its connections to who holds its mutex. */
#pragma once

#include <pthread.h>

#include "daemon/bus.h"
#include "daemon/bus_gate.h"
#include "daemon/wire.h"

#define KEY_TEXT 41 /* a public key in Z85 and its end */

struct bus {
    void *context;
};

struct bus_socket {
    struct bus *bus;
    void *socket;
    void *
        monitor; /* reads this socket's events, NULL when not watched; of a guarded socket the gate reads it */
    struct bus_counts counts;
    enum bus_type type;
    bool curve;                    /* a client with a key */
    struct bus_listener *listener; /* NULL: not guarded */
    bool skewed; /* an XPUB whose waiting subscriptions can no longer be told apart; see bus_guard.c */
    char *connected_to;
    uint64_t reconnect_us; /* 0: no */
};

/* One TCP or Unix connection to a guarded socket. The cookie tells it from another one with the same descriptor. */
struct bus_connection {
    int fd;
    uint64_t cookie, since_us, refilled_us;
    uint64_t finished_us,
        finished_bytes; /* when its last message was judged, and how much had been read then */
    unsigned tokens, subscriptions;
    bool accepted; /* libzmq has told us that it is there */
    bool known;    /* a message came through it: the handshake is done */
    bool dropped;  /* we have shut it down; libzmq has not told us yet that it is gone */
    char address[64], user[KEY_TEXT];
};

#define CONNECTIONS_ROOM 512 /* more than any limit: those over it are shut down, and then told to be gone */

struct bus_listener {
    struct bus_gate *gate;
    void *monitor;
    char stream[WIRE_NAME_MAX + 1];
    bool curve;
    bool failing; /* the next connection told to be gone is one whose handshake failed */
    bool leaving, left;
    struct bus_connection connections[CONNECTIONS_ROOM];
    size_t count;
};

#define LISTENERS_MAX 8

int bus_sort_errno(void); /* remembers errno for bus_error() and sorts it */
int bus_receive_frame(void *socket, void *frame);
int bus_watch_events(struct bus_socket *socket, int events);

/* The gate's side; the calling thread need not be the socket's. */
struct bus_listener *bus_gate_admit(struct bus_gate *gate, void *monitor, const char *stream, bool curve);
void bus_gate_forget(struct bus_listener **listener); /* returns when the gate no longer reads its monitor */

enum bus_verdict { BUS_REFUSE, BUS_PASS_PART, BUS_PASS };
enum bus_verdict bus_gate_judge_request(struct bus_listener *listener, int fd, const char *user,
                                        bool *behind);
/* Of a subscription or its end; topic is a prefix. */
enum bus_verdict bus_gate_judge_topic(struct bus_listener *listener, int fd, const char *user, bool subscribe,
                                      const char *topic, size_t len);
void bus_gate_expel(struct bus_listener *listener, int fd, const char *user, const char *why, bool ban);
bool bus_gate_has_subscribers(struct bus_listener *listener);

/* bus_guard.c: takes every waiting subscription. */
void bus_guard_pump(struct bus_socket *socket);
/* What becomes of a request whose last frame this is. */
enum bus_verdict bus_guard_judge(struct bus_socket *socket, void *frame, bool *behind);
