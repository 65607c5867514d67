/* SPDX-License-Identifier: MIT
 *
 * Alerts (design 8): which alerts a state of affairs implies (pure functions of rows), and how one reads.
 * A key is (kind, school, school year, group, stream, subject); severity and state are functions of P2's
 * inputs. */
#pragma once

#include "workers/allocation.h"

enum alert_kind {
    ALERT_THRESHOLD_NEAR,
    ALERT_THRESHOLD_GRACE,
    ALERT_THRESHOLD_LOST,
    ALERT_COUNT_INCOMPLETE,
    ALERT_REGISTRATION_DOUBLE,
    ALERT_STREAM_GAP,
    ALERT_STREAM_STALE,
    ALERT_DEAD_LETTER,
    ALERT_KIND_COUNT
};
enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL };
extern const char *const alert_kind_names[ALERT_KIND_COUNT + 1]; /* "threshold.near" */
extern const char *const severity_names[4];
bool alert_kind_is_operational(enum alert_kind kind); /* stream.*, dead_letter */

#define ALERT_SUBJECT_MAX 72 /* a key of an entity has at most 64 bytes */
#define ALERT_STREAM_MAX  72
struct alert_key {
    enum alert_kind kind;
    uint32_t school_id;              /* 0 = '' */
    int year;                        /* 0 = '' */
    int group;                       /* enum group, -1 = '' */
    char stream[ALERT_STREAM_MAX];   /* staffing stream or feed stream; '' */
    char subject[ALERT_SUBJECT_MAX]; /* pupil, date; '' */
};
bool alert_key_equal(const struct alert_key *a, const struct alert_key *b);
int alert_key_compare(const struct alert_key *a,
                      const struct alert_key *b); /* total order, for stable sequences */

#define ALERT_SUMMARY_MAX 400
#define ALERT_DETAIL_MAX  4000
struct alert {
    struct alert_key key;
    enum severity severity;
    bool firing;                     /* false: resolved */
    char summary[ALERT_SUMMARY_MAX]; /* one English sentence with the Dutch terms, for an inspector */
    char detail[ALERT_DETAIL_MAX];   /* JSON object: numbers, rule, source, verified */
};

/* At most one threshold alert for a row whose count is closed; false = none fires. school_name may be "". */
bool alert_from_allocation(const struct allocation *row, bool count_closed, const struct rules_set *set,
                           const char *school_name, struct alert *out);
void alert_count_incomplete(uint32_t school_id, const char *school_name, int count_year, int32_t held,
                            int32_t announced, struct alert *out);
struct alert_double {
    uint32_t school_id, other_school_id; /* other: the lowest other school */
    int count_year, schools;
    const char *pupil_hex;
    int32_t weight_halves; /* sum over the closed schools */
};
void alert_registration_double(const struct alert_double *d, struct alert *out);
/* The same with what the teldag rests on (P5), in summary and detail; set may be NULL. */
void alert_registration_double_on(const struct alert_double *d, const struct rules_set *set,
                                  struct alert *out);
void alert_stream_gap(const char *stream, const char *reason, uint64_t epoch, uint64_t from, uint64_t to,
                      struct alert *out);
void alert_stream_stale(const char *stream, int silent_s, struct alert *out);
void alert_dead_letter(const char *stream, int32_t day, uint64_t number, const char *last_reason,
                       struct alert *out);
/* Turns a firing alert into its resolution (state, summary; detail keeps the numbers given). */
void alert_resolve(struct alert *alert);

/* A row's figures as members of an open JSON map, and a parameter as a map: shared with explain.c. A source
 * longer than source_room - 1 bytes is shortened. */
struct yajl_gen_t;
void alert_json_row(struct yajl_gen_t *g, const struct allocation *row, const char *school_name);
void alert_json_parameter(struct yajl_gen_t *g, const struct parameter *p, size_t source_room);
