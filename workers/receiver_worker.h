/* SPDX-License-Identifier: MIT
 *
 * The receiver thread of one stream: owns its SUB and DEALER, feeds the position machine, decodes what it delivers
 * and puts it into the inbox. Never waits for the database. */
#pragma once

#include "daemon/bus.h"
#include "workers/inbox.h"
#include "workers/pseudonym.h"
#include "workers/pseudonym_keys.h"
#include "workers/stream_status.h"

struct receiver;
struct receiver_config {
    const char *name, *subscribe, *fetch; /* fetch NULL for best-effort */
    bool best_effort;
    struct bus *bus;
    struct inbox *inbox;
    struct stream_status *status;
    const struct pseudonym_keys *keys; /* NULL: none */
    const struct curve_keys *curve;    /* our own; only needed until receiver_start() returns */
    const char *server_key;            /* the feeder's; "" or NULL: without CURVE */
};
struct receiver *receiver_start(const struct receiver_config *config); /* NULL: errno */
void receiver_stop(struct receiver *receiver);                         /* asks; returns at once */
void receiver_join(struct receiver **receiver);                        /* waits and frees */
