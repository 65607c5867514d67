/* SPDX-License-Identifier: MIT
 *
 * What the database shows of the ledger: count rows, allocation rows and firing alerts, and how a batch changes
 * them. results_diff() computes the rows that differ from what was last committed; results_fold() takes the
 * changes over after a known COMMIT; dropping them costs nothing. Pure. */
#pragma once

#include "workers/alert.h"
#include "workers/derive.h"
#include "workers/ledger.h"

struct results;

struct count_row { /* teldag_data.count_state */
    uint32_t school_id;
    int year; /* count year */
    enum group group;
    struct group_counts counts;
    struct group_cells cells;
    bool gone; /* delete the row: no registration of this group is counted any more */
};
struct closed_row { /* teldag_data.count_closed */
    uint32_t school_id;
    int year;
    bool closed;
    int32_t held, announced; /* announced -1: none yet */
};
struct allocation_row {
    struct allocation a;
    bool gone;
};
struct risk_row { /* teldag_data.risk_state: of schools with an event, in years with a reference */
    uint32_t school_id;
    int year; /* count year */
    enum risk_indicator indicator;
    int32_t observed;
    int64_t halves;
    struct risk risk;
    bool gone;
};
struct changes {
    struct count_row *counts;
    size_t count_count;
    struct closed_row *closed;
    size_t closed_count;
    struct allocation_row *allocations;
    size_t allocation_count;
    struct risk_row *risks;
    size_t risk_count;
    struct alert *alerts; /* in the order of their sequence numbers */
    size_t alert_count;
    /* private */
    size_t count_room, closed_room, allocation_room, alert_room, risk_room;
    char rules[40]; /* hash of the rules set the rows rest on */
};

struct results *results_new(void);
void results_free(struct results **results);
void changes_init(struct changes *c);
void changes_fini(struct changes *c);

/* Loading what the database shows, at a rebuild. */
int results_load_count(struct results *r, const struct count_row *row) MUST_CHECK;
int results_load_closed(struct results *r, const struct closed_row *row) MUST_CHECK;
int results_load_allocation(struct results *r, const struct allocation *row) MUST_CHECK;
int results_load_risk(struct results *r, const struct risk_row *row) MUST_CHECK; /* without risk.expected */
int results_load_alert(struct results *r, const struct alert_key *key,
                       enum severity severity) MUST_CHECK; /* firing */

/* Rows of the given (school, count year) keys and of the use years they reach (c+1..c+3, also of successors) that differ
 * from what stands. Threshold, incomplete and double alerts included, ordered by alert_key_compare(). Another rules set
 * than that of the rows that stand makes every allocation row differ, since the table names its rules set; the first
 * diff after loading takes the ledger's set for theirs. One diff per changes; on an error drop them. */
int results_diff(struct results *r, const struct ledger *l, const struct ledger_key *keys, size_t key_count,
                 struct changes *out) MUST_CHECK;
/* The alerts of these subjects on a day against those of theirs that fire; ordered among themselves, after what out holds.
 * Each subject once. */
int results_diff_subjects(struct results *r, const struct ledger *l, int32_t today,
                          const struct subject *subjects, size_t count, struct changes *out) MUST_CHECK;
/* Every subject of the ledger, and those whose alerts fire here; ascending, malloc'ed. */
int results_subjects(const struct results *r, const struct ledger *l, struct subject **subjects,
                     size_t *count) MUST_CHECK;
/* Everything there is in the ledger or stands here, ascending: what a rebuild must diff so that rows nobody can explain
 * any more go too. */
int results_keys(const struct results *r, const struct ledger *l, struct ledger_key **keys /* malloc'ed */,
                 size_t *key_count) MUST_CHECK;
/* One operational alert (stream.*, dead_letter): appended when state or severity changes. */
int results_alert(struct results *r, const struct alert *alert, struct changes *out) MUST_CHECK;
/* After COMMIT. Cannot fail: room was made by results_diff(). */
void results_fold(struct results *r, const struct changes *c);
/* Firing operational alerts of a kind: for resolving yesterday's dead_letter. */
typedef void (*results_alert_fn)(void *context, const struct alert_key *key, enum severity severity);
void results_firing(const struct results *r, results_alert_fn fn, void *context);
size_t results_bytes(const struct results *r); /* all memory */
/* Counts by kind and severity, for metrics. */
void results_alert_numbers(const struct results *r, uint64_t out[ALERT_KIND_COUNT][3]);
