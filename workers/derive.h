/* SPDX-License-Identifier: MIT
 *
 * What follows from the entities that stand of one subject (design 8, regulation 3, 6 and 7): its alerts on a day, the
 * next day on which they differ, and the sanction of a school. A pure function of the ledger and the day. A further feed
 * is a row in the tables of derive.c and a function there. */
#pragma once

#include "workers/entities.h"

/* NULL: nothing is derived from this log. */
const struct entity_kind *derive_entity_kind(enum log_table_no table);

typedef void (*derive_alert_fn)(void *context, const struct alert *alert);
/* take (may be NULL) gets every alert of the subject that fires on `today`, each key once, in no order. *changes: the
 * first day after today on which, without any event, they are others; INT32_MAX: none. */
int derive_subject(const struct ledger *l, const struct subject *subject, int32_t today, derive_alert_fn take,
                   void *context, int32_t *changes) MUST_CHECK;
/* Whose alert it is; false for kinds that are of no subject. */
bool derive_subject_of(const struct alert_key *key, struct subject *out);
/* The factor on a school's hours in a school year of use, in halves: 2, or 1 under a sanction. */
int derive_sanction_halves(const struct ledger *l, uint32_t school_id, int year_of_use);
