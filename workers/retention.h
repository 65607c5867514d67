/* SPDX-License-Identifier: MIT
 *
 * Which events are about a pupil of a school year, and what becomes of those that come after that year was retained: dead
 * letters that say so, without the pupil. Pure. */
#pragma once

#include "workers/event.h"

/* First year of the school year whose pupil the event is about; -1: none (other feeds, withdrawals without school year). */
int retention_year(const struct event_batch *batch, const struct event *event);
/* Makes dead letters of the events of school years before `before`; how many, or ERR_NOMEM. */
int retention_refuse(struct event_batch *batch, int before) MUST_CHECK;
#define RETENTION_REASON_MAX 120
void retention_reason(int year, const struct event *event, char out[RETENTION_REASON_MAX]);
