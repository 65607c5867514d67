/* SPDX-License-Identifier: MIT
 *
 * What a receiver, the writer and the outside know of one stream. One mutex; every field is copied whole, so a
 * reader never sees half a state. The receiver writes `position`; the writer writes `committed_*` and gives orders. */
#pragma once

#include <pthread.h>

#include "workers/position.h"

struct stream_status {
    pthread_mutex_t mutex;
    char name[WIRE_NAME_MAX + 1];
    uint32_t stream_id; /* 0 until the writer has connected */
    bool best_effort;
    /* receiver -> others */
    struct position position;
    uint64_t queued_events;
    uint64_t received_events, dead_events, auth_failures, reconnects;
    /* writer -> receiver; order_generation is incremented with each order */
    uint64_t order_generation;
    enum { ORDER_NONE, ORDER_RESET } order;
    uint64_t order_epoch, order_next;
    bool paused;
    uint64_t hello_wanted;
    /* writer -> others */
    uint64_t committed_epoch, committed_next;
    int64_t committed_us;
};

void stream_status_init(struct stream_status *s, const char *name, bool best_effort);
void stream_status_fini(struct stream_status *s);
struct stream_status_view { /* a copy without the mutex */
    char name[WIRE_NAME_MAX + 1];
    uint32_t stream_id;
    bool best_effort, paused;
    struct position position;
    uint64_t queued_events, received_events, dead_events, auth_failures, reconnects, order_generation,
        order_epoch, order_next, hello_wanted, committed_epoch, committed_next;
    int64_t committed_us;
};
void stream_status_read(struct stream_status *s, struct stream_status_view *out);
/* Writer: "continue here". */
void stream_status_order_reset(struct stream_status *s, uint64_t epoch, uint64_t next);
