/* SPDX-License-Identifier: MIT
 *
 * The publisher thread: XPUB + ROUTER over the alert log, by the same protocol as the feeds (design 5). Reads only what
 * is committed, so a crash loses nothing and repeats nothing a subscriber keeps; and only of the log that the writer writes. */
#pragma once

#include "daemon/bus_gate.h"

struct publisher;
struct publisher_config {
    const char *conninfo, *publish, *fetch;
    int shard;
    struct bus *bus;
    struct bus_gate *gate;
    const struct curve_keys *keys; /* NULL: without CURVE; only needed until publisher_start() returns */
};
struct publisher_status {
    uint64_t epoch, next_seq, sent, fetches, errors;
    bool connected;
    bool elsewhere;     /* the server that answers is not where the writer is */
    uint64_t behind_us; /* how long nothing moves although the writer has committed more; 0: level */
};
/* Binds before it returns; NULL with the message in error. */
struct publisher *publisher_start(const struct publisher_config *config, char *error, size_t error_len);
void publisher_wake(void *publisher); /* any thread */
/* Any thread: the writer is on this server, and has committed alerts up to seq under this epoch. Before the first time, and
 * anywhere else, the publisher says nothing. */
void publisher_expect(void *publisher, const char *system_id, uint64_t epoch, uint64_t seq);
void publisher_stop(struct publisher *publisher);
void publisher_join(struct publisher **publisher);
void publisher_read_status(struct publisher *publisher, struct publisher_status *out);
