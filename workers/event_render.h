/* SPDX-License-Identifier: MIT
 *
 * A decoded event as the JSON line it could have come from: for dead letters of events that were decoded, and for
 * reading an event back. Pure. */
#pragma once

#include "workers/event.h"

/* malloc'ed, NULL when out of memory. */
char *event_render(const struct event_batch *batch, const struct event *event);
