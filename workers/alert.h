/* SPDX-License-Identifier: MIT
 *
 * Alerts (design 8): which alerts a state of affairs implies (pure functions of rows), and how one reads.
 * A key is (kind, school, school year, group, stream, subject); severity and state are functions of P2's
 * inputs. */
#pragma once

#include "workers/allocation.h"
#include "workers/evaluation.h"
#include "workers/fixed.h"
#include "workers/huisonderwijs.h"

enum alert_kind {
    ALERT_THRESHOLD_NEAR,
    ALERT_THRESHOLD_GRACE,
    ALERT_THRESHOLD_LOST,
    ALERT_COUNT_INCOMPLETE,
    ALERT_REGISTRATION_DOUBLE,
    ALERT_EVALUATION_FIRST_NEGATIVE,
    ALERT_EVALUATION_FOLLOWUP_DUE,
    ALERT_EVALUATION_SECOND_NEGATIVE,
    ALERT_ERKENNING_ONGUNSTIG,
    ALERT_HUISONDERWIJS_CONTROL_DUE,
    ALERT_HUISONDERWIJS_SECOND_INSUFFICIENT,
    ALERT_MELDING_ANSWER_OVERDUE,
    ALERT_RISK_HIGH,
    ALERT_STREAM_GAP,
    ALERT_STREAM_STALE,
    ALERT_DEAD_LETTER,
    ALERT_KIND_COUNT
};
enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL };
extern const char *const alert_kind_names[ALERT_KIND_COUNT + 1]; /* "threshold.near" */
extern const char *const severity_names[4];
/* What a kind's alerts are diffed by: who must be looked at to know which of them fire. */
enum alert_scope {
    SCOPE_COUNT_YEAR, /* a school and the school year of its count */
    SCOPE_USE_YEAR,   /* a school and a school year of use */
    SCOPE_SCHOOL,     /* a school's reports: key.school_id */
    SCOPE_PUPIL,      /* a pupil's controls: key.subject */
    SCOPE_MELDING,    /* a melding: key.subject */
    SCOPE_OPERATIONAL
};
enum alert_scope alert_kind_scope(enum alert_kind kind);
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

#define ALERT_SUMMARY_MAX 560
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
/* ---- of inspections, huisonderwijs and meldingen (alert_subject.c). subject = the report, the pupil, the melding. ---- */
#define ALERT_STAKE_RULES_MAX 48
struct alert_stake { /* what the sanction of a second negative takes in one school year of use */
    int year;        /* 0: nothing is counted for the school */
    int rows;
    int32_t hours,
        half; /* without and with the sanction, over the rows that are granted, each row rounded by itself */
    bool has_cents;                                /* the working budget's values of that year are fixed */
    int64_t cents;                                 /* that it takes of the working budget */
    const char *unverified[ALERT_STAKE_RULES_MAX]; /* parameters the hours rest on */
    int unverified_count;
};
struct alert_school {
    uint32_t school_id;
    const char *name; /* may be "" */
    const struct rules_set *set;
    int32_t today; /* INT32_MIN: not yet */
};
void alert_first_negative(const struct alert_school *school, const struct inspection_report *report,
                          const struct alert_stake *stake, struct alert *out);
/* report: of the last verdict; urgency 1 or 2 as evaluation_followup_urgency() says. */
void alert_followup_due(const struct alert_school *school, const struct inspection_report *report,
                        int32_t due, int urgency, struct alert *out);
void alert_second_negative(const struct alert_school *school, const struct inspection_report *reports,
                           const struct sanction_span *span, const struct alert_stake *stake,
                           struct alert *out);
void alert_ongunstig(const struct alert_school *school, const struct inspection_report *report,
                     struct alert *out);
void alert_control_due(const char *pupil_hex, const struct controle *controle, struct alert *out);
void alert_second_insufficient(const char *pupil_hex, const struct controle *controle, struct alert *out);
void alert_answer_overdue(const struct alert_school *school, const char *melding_id, int32_t received_on,
                          int32_t deadline, struct alert *out);

/* ---- of risk indicators (alert_risk.c). subject = the indicator. ---- */
struct alert_risk {
    const struct alert_school *school;
    const struct risk_reference *reference; /* of the school's level */
    const struct risk *risk;
    int32_t observed;
    int64_t halves;
};
void alert_risk_high(const struct alert_risk *risk, struct alert *out);

/* Turns a firing alert into its resolution (state, summary; detail keeps the numbers given). */
void alert_resolve(struct alert *alert);

/* A row's figures as members of an open JSON map, and a parameter as a map: shared with explain.c. A source
 * longer than source_room - 1 bytes is shortened. */
struct yajl_gen_t;
void alert_json_row(struct yajl_gen_t *g, const struct allocation *row, const char *school_name);
void alert_json_parameter(struct yajl_gen_t *g, const struct parameter *p, size_t source_room);
