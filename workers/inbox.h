/* SPDX-License-Identifier: MIT
 *
 * The bounded queue of decoded batches between receivers and the writer: our own mutex and condition, so that
 * ThreadSanitizer checks the hand-over. Put never blocks; the writer waits. */
#pragma once

#include "workers/event.h"

struct inbox;

struct inbox *inbox_new(uint32_t events_max); /* 65,536 in the daemon */
void inbox_free(struct inbox **inbox);
uint32_t inbox_room(struct inbox *inbox); /* events that can be put now */
/* Takes ownership. ERR_AGAIN when full (the batch stays the caller's), ERR_CLOSED. A batch is taken when the queue holds
 * fewer than events_max before it. A list linked by ->next is put as a whole: all or none. */
int inbox_put(struct inbox *inbox, struct event_batch *batch) MUST_CHECK;
/* Everything that waits, up to about events_max events, as a list linked by ->next in order; NULL on time-out, on
 * inbox_wake() or when closed. */
struct event_batch *inbox_take(struct inbox *inbox, uint32_t events_max, int timeout_ms);
void inbox_wake(struct inbox *inbox);       /* the writer looks at its other work */
void inbox_close(struct inbox *inbox);      /* put fails; take empties, then NULL */
bool inbox_is_drained(struct inbox *inbox); /* closed, and nothing waits any more */
