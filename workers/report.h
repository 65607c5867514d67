/* SPDX-License-Identifier: MIT
 *
 * How things stand, for the outside: one snapshot, one table of metrics (report_table.c), and its two renderings, the JSON
 * of `status` and `streams` and the text of /metrics. docs/operations.md lists the names. */
#pragma once

#include "daemon/json.h"
#include "daemon/metrics.h"
#include "workers/service.h"

/* One stream, as the table's rows see it. */
struct report_stream {
    struct stream_status_view view;
    uint64_t lag;     /* events published and not yet committed */
    bool lag_known;   /* false until a head was heard */
    double silence_s; /* since the last sign of life */
    bool live, stopped, stale;
    const char *state, *reason;
    const char *subscribe;
};
struct report {
    double uptime_s;
    uint64_t rss_bytes;
    bool ready, degraded;
    uint64_t stalled_us; /* since the writer last moved */
    struct writer_status writer;
    struct publisher_status publisher;
    struct bus_gate_counts gate;
    struct report_stream *streams;
    size_t stream_count;
};

/* ERR_NOMEM. */
int report_take(struct service *s, struct report *out) MUST_CHECK;
void report_free(struct report *r);

void report_write_status(const struct report *r, struct json_writer *w);  /* members of the open object */
void report_write_streams(const struct report *r, struct json_writer *w); /* "streams": [...] */
void report_write_metrics(const struct report *r, struct json_writer *w); /* Prometheus text */
/* What stands between this daemon and READY; "" when nothing. */
void report_unready(const struct report *r, char *out, size_t len);

extern const struct metrics_page report_pages[]; /* /metrics /healthz /readyz; context: struct service */

/* The table. */
enum report_scope { REPORT_PROCESS, REPORT_WRITER, REPORT_PUBLISHER, REPORT_STREAM, REPORT_SCOPES };
enum report_form {
    REPORT_U64,
    REPORT_BOOL,
    REPORT_DOUBLE,
    REPORT_MICROSECONDS, /* uint64_t, shown in seconds */
    REPORT_LAG,          /* uint64_t, absent until known */
    REPORT_HISTOGRAM,    /* commit times */
    REPORT_ALERTS        /* by kind and severity */
};
struct report_metric {
    enum report_scope scope;
    enum report_form form;
    bool counter;       /* otherwise a gauge */
    size_t offset;      /* in struct report, or in struct report_stream */
    const char *json;   /* member of its scope's object */
    const char *metric; /* Prometheus name; NULL: JSON only */
    const char *help;
};
extern const struct report_metric report_metrics[]; /* metric and json NULL at the end */
