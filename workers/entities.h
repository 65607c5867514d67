/* SPDX-License-Identifier: MIT
 *
 * What stands of the small feeds: the last event per entity (a report, a control, a melding), found by the subject it
 * speaks of (a school, a pupil, a melding). Part of the ledger, with its streams and its batch: the later event wins as
 * it does for registrations, and a rollback puts everything back. Knows no rule of the trade; which tables it keeps and
 * whom they speak of is derive.c's table. */
#pragma once

#include "workers/ledger.h"

enum subject_kind { SUBJECT_SCHOOL, SUBJECT_PUPIL, SUBJECT_MELDING, SUBJECT_REQUEST, SUBJECT_KIND_COUNT };
struct subject {
    enum subject_kind kind;
    uint32_t school_id; /* SUBJECT_SCHOOL */
    char id
        [ALERT_SUBJECT_MAX]; /* SUBJECT_PUPIL: 32 hex digits; SUBJECT_MELDING, SUBJECT_REQUEST: its key; else "" */
};
int subject_compare(const void *a, const void *b); /* total order, for qsort() */
void pupil_format(const uint8_t pupil[16], char out[33]);

struct entity_kind { /* a row for every log that is kept */
    enum log_table_no table;
    enum subject_kind subject;
    int subject_column;     /* COLUMN_SCHOOL_ID, COLUMN_PUPIL, or 0 = the key itself */
    bool moves_allocations; /* a change may move the allocations of the school it speaks of */
    bool makes_incidents;   /* counted at a school by ledger_incidents.c; its subject is its own key */
};
struct entity_view { /* an upsert that stands; texts but the key are not kept */
    enum log_table_no table;
    const char *key;
    const struct value *values;
    uint32_t nulls;
};
static inline bool entity_is_null(const struct entity_view *e, int column)
{
    return (e->nulls >> column) & 1;
}

/* The entities that stand of one subject, in no order. Valid until the next event. A pupil's are those of all pseudonyms
 * that links say are one; they are found by the one the pupil is known by, and by no other. */
struct entity_walk {
    const struct ledger *ledger;
    uint32_t next, member; /* private */
};
struct entity_walk entities_of(const struct ledger *l, const struct subject *subject);
bool entity_next(struct entity_walk *walk, struct entity_view *out);

/* Subjects, ascending, malloc'ed by the callee: touched since ledger_begin(); or all that were ever spoken of. */
int entities_touched(const struct ledger *l, struct subject **out, size_t *count) MUST_CHECK;
int entities_all(const struct ledger *l, struct subject **out, size_t *count) MUST_CHECK;
/* Those whose deadlines lie after the day `from` and not after `to`; a deadline is what derive.c says. from = the
 * committed day, so that a step that is rolled back finds them again. */
int entities_due(struct ledger *l, int32_t from, int32_t to, struct subject **out, size_t *count) MUST_CHECK;
