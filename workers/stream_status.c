/* SPDX-License-Identifier: MIT
 *
 * Copies under one mutex, and the one order there is. */
#include "workers/stream_status.h"

#include <stdio.h>
#include <string.h>

void stream_status_init(struct stream_status *s, const char *name, bool best_effort)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
    snprintf(s->name, sizeof s->name, "%s", name);
    s->best_effort = best_effort;
}

void stream_status_fini(struct stream_status *s)
{
    pthread_mutex_destroy(&s->mutex);
}

void stream_status_read(struct stream_status *s, struct stream_status_view *out)
{
    pthread_mutex_lock(&s->mutex);
    memcpy(out->name, s->name, sizeof out->name);
    out->stream_id = s->stream_id;
    out->best_effort = s->best_effort;
    out->paused = s->paused;
    out->position = s->position;
    out->queued_events = s->queued_events;
    out->received_events = s->received_events;
    out->dead_events = s->dead_events;
    out->auth_failures = s->auth_failures;
    out->reconnects = s->reconnects;
    out->order_generation = s->order_generation;
    out->order_epoch = s->order_epoch;
    out->order_next = s->order_next;
    out->hello_wanted = s->hello_wanted;
    out->committed_epoch = s->committed_epoch;
    out->committed_next = s->committed_next;
    out->committed_us = s->committed_us;
    pthread_mutex_unlock(&s->mutex);
}

void stream_status_order_reset(struct stream_status *s, uint64_t epoch, uint64_t next)
{
    pthread_mutex_lock(&s->mutex);
    s->order = ORDER_RESET;
    s->order_epoch = epoch;
    s->order_next = next;
    s->order_generation++;
    pthread_mutex_unlock(&s->mutex);
}
