/* SPDX-License-Identifier: MIT
 *
 * The snapshot and its renderings. What counts as degraded is decided here (find_reasons); each reason is a
 * sentence that says what happened and what to do. */
#include "workers/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/loop.h"
#include "workers/alert.h"

#define ALIVE_US            (30u * 1000000u)
#define PUBLISHER_BEHIND_US (5u * 1000000u)

/* 1. The snapshot. */

static uint64_t read_rss(void)
{
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static const char *mode_word(enum position_mode mode)
{
    static const char *const words[] = {"waiting", "fetching", "live", "stopped"};
    return words[mode];
}

static const char *reason_word(enum position_reason reason)
{
    static const char *const words[] = {"", "gone", "new epoch", "damaged", "paused", "rewound"};
    return words[reason];
}

static void read_stream(struct stream_status *status, uint64_t now_us, struct report_stream *out)
{
    stream_status_read(status, &out->view);
    const struct position *p = &out->view.position;
    out->lag_known = out->view.best_effort ? p->next > 0 : p->head > 0;
    uint64_t head = out->view.best_effort ? p->next : p->head;
    out->lag = head > out->view.committed_next ? head - out->view.committed_next : 0;
    out->silence_s = p->heard_us && now_us > p->heard_us ? (double)(now_us - p->heard_us) / 1e6 : 0;
    out->live = p->mode == POSITION_LIVE;
    out->stopped = p->mode == POSITION_STOPPED && p->reason != POSITION_PAUSED;
    out->stale = p->stale;
    out->state = out->view.paused ? "paused" : mode_word(p->mode);
    out->reason = reason_word(p->reason);
}

/* Calls say() for each reason; returns their number. */
static int find_reasons(const struct report *r, void (*say)(void *context, const char *sentence),
                        void *context);

int report_take(struct service *s, struct report *out)
{
    uint64_t now_us = clock_monotonic_us();
    *out = (struct report){.stream_count = s->config->stream_count};
    out->streams = calloc(out->stream_count + 1, sizeof *out->streams);
    if (!out->streams)
        return ERR_NOMEM;
    for (size_t i = 0; i < out->stream_count; i++) {
        out->streams[i].subscribe = s->config->streams[i].subscribe;
        read_stream(s->streams[i], now_us, &out->streams[i]);
    }
    writer_read_status(s->writer, &out->writer);
    publisher_read_status(s->publisher, &out->publisher);
    bus_gate_read_counts(s->gate, &out->gate);
    out->uptime_s = (double)(now_us - s->started_us) / 1e6;
    out->rss_bytes = read_rss();
    out->ready = out->writer.phase == WRITER_RUNNING;
    out->stalled_us = loop_stalled_us();
    out->degraded = find_reasons(out, NULL, NULL) > 0;
    return 0;
}

void report_free(struct report *r)
{
    free(r->streams);
    r->streams = NULL;
}

/* 2. What needs attention. */

static void describe_stopped(const struct report_stream *s, char *out, size_t len)
{
    const struct position *p = &s->view.position;
    const char *name = s->view.name;
    switch (p->reason) {
    case POSITION_GONE:
        snprintf(out, len,
                 "stream %s stopped: the publisher no longer keeps event %" PRIu64 ", its first is %" PRIu64
                 "; have everything sent again under a new epoch of its journal (teldag-feed new-epoch "
                 "--drop) and run "
                 "\"teldagctl stream accept %s --resend\", or go on from there with --continue",
                 name, p->next, p->first_kept, name);
        return;
    case POSITION_NEW_EPOCH:
        if (p->other_epoch < p->epoch) {
            snprintf(
                out, len,
                "stream %s stopped: the publisher has an older journal (epoch %" PRIu64 ", %" PRIu64
                " was accepted): is it a restored copy, is the clock of its machine right? "
                "Have the registry give it a new epoch (teldag-feed new-epoch) and send again what it lacks, "
                "then "
                "run \"teldagctl stream accept %s --continue\", or --resend when it sends everything again",
                name, p->other_epoch, p->epoch, name);
            return;
        }
        snprintf(
            out, len,
            "stream %s stopped: the publisher has a new journal (epoch %" PRIu64 " instead of %" PRIu64
            "); run \"teldagctl stream accept %s --resend\" when it sends everything again, or --continue to "
            "keep all that was received",
            name, p->other_epoch, p->epoch, name);
        return;
    case POSITION_DAMAGED:
        snprintf(out, len,
                 "stream %s stopped: event %" PRIu64
                 " arrived damaged three times; check the publisher at %s, then "
                 "run \"teldagctl stream resume %s\"",
                 name, p->next, s->subscribe, name);
        return;
    case POSITION_REWOUND:
        snprintf(out, len,
                 "stream %s stopped: the publisher's journal ends before event %" PRIu64
                 ", which was received from it (was it restored from an older copy?); have the registry give "
                 "it a new epoch (teldag-feed new-epoch) and send again what it lacks, then run \"teldagctl "
                 "stream accept "
                 "%s --continue\", or --resend when it sends everything again",
                 name, p->next, name);
        return;
    default:
        snprintf(out, len, "stream %s stopped; run \"teldagctl stream resume %s\"", name, name);
    }
}

void report_unready(const struct report *r, char *out, size_t len)
{
    out[0] = '\0';
    if (!r->ready)
        snprintf(out, len, "the writer is %s%s%s", writer_phase_names[r->writer.phase],
                 r->writer.message[0] ? ": " : "", r->writer.message);
}

static int find_reasons(const struct report *r, void (*say)(void *context, const char *sentence),
                        void *context)
{
    char sentence[700];
    int count = 0;
#define SAY()                                                                                                \
    do {                                                                                                     \
        count++;                                                                                             \
        if (say)                                                                                             \
            say(context, sentence);                                                                          \
    } while (0)
    report_unready(r, sentence, sizeof sentence);
    if (sentence[0])
        SAY();
    if (r->ready && r->stalled_us >= LOOP_STALL_US) {
        snprintf(sentence, sizeof sentence,
                 "no answer of the database for %.0f s: the writer waits for it; look at the server and the "
                 "way to it; nothing is lost, feeds keep what is not committed",
                 (double)r->stalled_us / 1e6);
        SAY();
    }
    for (size_t i = 0; i < r->stream_count; i++) {
        const struct report_stream *s = &r->streams[i];
        if (s->stopped) {
            describe_stopped(s, sentence, sizeof sentence);
            SAY();
        } else if (s->stale) {
            snprintf(sentence, sizeof sentence,
                     "stream %s is stale: nothing heard for %.0f s; check the publisher at %s", s->view.name,
                     s->silence_s, s->subscribe);
            SAY();
        }
    }
    if (r->publisher.elsewhere) {
        snprintf(sentence, sizeof sentence,
                 "the publisher of alerts finds another server, or another alert log, than the writer's; "
                 "stop an old "
                 "primary that is up beside the new one; alerts go out when it finds the writer's, nothing "
                 "is lost");
        SAY();
    } else if (r->publisher.connected && r->publisher.behind_us >= PUBLISHER_BEHIND_US) {
        snprintf(sentence, sizeof sentence,
                 "the publisher of alerts has stood still for %.0f s before alert %" PRIu64 ", %" PRIu64
                 " is committed; look at its database session; nothing is lost",
                 (double)r->publisher.behind_us / 1e6, r->publisher.next_seq, r->writer.alert_seq);
        SAY();
    } else if (!r->publisher.connected) {
        snprintf(sentence, sizeof sentence,
                 "the publisher of alerts has no database; alerts go out when it is back, nothing is lost");
        SAY();
    }
    if (r->writer.rebuild_differences) {
        snprintf(sentence, sizeof sentence,
                 "a rebuild found %" PRIu64
                 " rows that differed from the logs and corrected them; run \"teldagctl "
                 "verify\" and report it",
                 r->writer.rebuild_differences);
        SAY();
    }
#undef SAY
    return count;
}

static void write_reason(void *context, const char *sentence)
{
    json_write_string(context, NULL, sentence);
}

/* 3. Histogram of commit times: buckets are kept apart, both renderings want them added up. */

struct histogram {
    uint64_t below[16]; /* cumulative; [15] = all */
    double bound_s[15];
};

static void add_up(const struct writer_status *w, struct histogram *h)
{
    uint64_t sum = 0;
    for (int i = 0; i < 16; i++) {
        sum += w->commit_buckets[i];
        h->below[i] = sum;
        if (i < 15)
            h->bound_s[i] = (double)((uint64_t)WRITER_COMMIT_LEAST_US << i) / 1e6;
    }
}

/* Upper bound of the bucket that holds the share; the longest commit for the last bucket. */
static double quantile(const struct writer_status *w, const struct histogram *h, double share)
{
    double wanted = share * (double)h->below[15];
    for (int i = 0; i < 15; i++)
        if ((double)h->below[i] >= wanted)
            return h->bound_s[i];
    return (double)w->commit_us_max / 1e6;
}

/* 4. JSON. */

static const void *field_of(const struct report *r, const struct report_stream *s,
                            const struct report_metric *m)
{
    return (const char *)(m->scope == REPORT_STREAM ? (const void *)s : (const void *)r) + m->offset;
}

static void write_commit(const struct writer_status *status, const char *name, struct json_writer *w)
{
    struct histogram h;
    add_up(status, &h);
    json_open_object(w, name);
    json_write_uint(w, "count", h.below[15]);
    json_write_double(w, "sum_s", (double)status->commit_us_sum / 1e6);
    json_write_double(w, "p50_s_at_most", h.below[15] ? quantile(status, &h, 0.5) : 0);
    json_write_double(w, "p99_s_at_most", h.below[15] ? quantile(status, &h, 0.99) : 0);
    json_close_object(w);
}

static void write_alerts(const struct writer_status *status, const char *name, struct json_writer *w)
{
    json_open_object(w, name);
    for (int kind = 0; kind < ALERT_KIND_COUNT; kind++) {
        json_open_object(w, alert_kind_names[kind]);
        for (int severity = 0; severity < 3; severity++)
            json_write_uint(w, severity_names[severity], status->alerts[kind][severity]);
        json_close_object(w);
    }
    json_close_object(w);
}

static void write_member(const struct report *r, const struct report_stream *s, const struct report_metric *m,
                         struct json_writer *w)
{
    const void *field = field_of(r, s, m);
    switch (m->form) {
    case REPORT_U64:
        json_write_uint(w, m->json, *(const uint64_t *)field);
        return;
    case REPORT_BOOL:
        json_write_bool(w, m->json, *(const bool *)field);
        return;
    case REPORT_DOUBLE:
        json_write_double(w, m->json, *(const double *)field);
        return;
    case REPORT_MICROSECONDS:
        json_write_double(w, m->json, (double)*(const uint64_t *)field / 1e6);
        return;
    case REPORT_LAG:
        if (s->lag_known)
            json_write_uint(w, m->json, s->lag);
        else
            json_write_null(w, m->json);
        return;
    case REPORT_HISTOGRAM:
        write_commit(&r->writer, m->json, w);
        return;
    case REPORT_ALERTS:
        write_alerts(&r->writer, m->json, w);
        return;
    }
}

static void write_scope(const struct report *r, const struct report_stream *s, enum report_scope scope,
                        struct json_writer *w)
{
    for (const struct report_metric *m = report_metrics; m->json; m++)
        if (m->scope == scope)
            write_member(r, s, m, w);
}

void report_write_streams(const struct report *r, struct json_writer *w)
{
    json_open_array(w, "streams");
    for (size_t i = 0; i < r->stream_count; i++) {
        const struct report_stream *s = &r->streams[i];
        json_open_object(w, NULL);
        json_write_string(w, "name", s->view.name);
        json_write_string(w, "state", s->state);
        json_write_string(w, "reason", s->reason);
        json_write_string(w, "reliability", s->view.best_effort ? "best-effort" : "journal");
        write_scope(r, s, REPORT_STREAM, w);
        json_close_object(w);
    }
    json_close_array(w);
}

static void write_today(int32_t today, struct json_writer *w)
{
    char text[16];
    time_t seconds = (time_t)today * 86400;
    struct tm utc;
    if (today <= 0) { /* not yet read from the database */
        json_write_null(w, "today");
        return;
    }
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%Y-%m-%d", &utc);
    json_write_string(w, "today", text);
}

void report_write_status(const struct report *r, struct json_writer *w)
{
    json_write_string(w, "version", TELDAGD_VERSION);
    json_write_int(w, "pid", getpid());
    write_scope(r, NULL, REPORT_PROCESS, w);
    json_open_array(w, "reasons");
    find_reasons(r, write_reason, w);
    json_close_array(w);
    write_today(r->writer.today, w);
    json_write_string(w, "rules_hash", r->writer.rules_hash);
    json_open_object(w, "writer");
    json_write_string(w, "phase", writer_phase_names[r->writer.phase]);
    json_write_string(w, "message", r->writer.message);
    write_scope(r, NULL, REPORT_WRITER, w);
    json_close_object(w);
    json_open_object(w, "publisher");
    write_scope(r, NULL, REPORT_PUBLISHER, w);
    json_close_object(w);
    report_write_streams(r, w);
}

/* 5. Prometheus text. Stream names need no escaping: a-z, digits and dots. */

static void write_line(struct json_writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void write_line(struct json_writer *w, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    json_write_text(w, line);
    json_write_text(w, "\n");
}

static void write_histogram(const struct report *r, const char *name, struct json_writer *w)
{
    struct histogram h;
    add_up(&r->writer, &h);
    for (int i = 0; i < 15; i++)
        write_line(w, "%s_bucket{le=\"%g\"} %" PRIu64, name, h.bound_s[i], h.below[i]);
    write_line(w, "%s_bucket{le=\"+Inf\"} %" PRIu64, name, h.below[15]);
    write_line(w, "%s_sum %.6f", name, (double)r->writer.commit_us_sum / 1e6);
    write_line(w, "%s_count %" PRIu64, name, h.below[15]);
}

static void write_sample(const struct report *r, const struct report_stream *s, const struct report_metric *m,
                         struct json_writer *w)
{
    const void *field = field_of(r, s, m);
    char label[WIRE_NAME_MAX + 16] = "";
    if (s)
        snprintf(label, sizeof label, "{stream=\"%s\"}", s->view.name);
    switch (m->form) {
    case REPORT_U64:
        write_line(w, "%s%s %" PRIu64, m->metric, label, *(const uint64_t *)field);
        return;
    case REPORT_BOOL:
        write_line(w, "%s%s %d", m->metric, label, *(const bool *)field);
        return;
    case REPORT_DOUBLE:
        write_line(w, "%s%s %.6f", m->metric, label, *(const double *)field);
        return;
    case REPORT_MICROSECONDS:
        write_line(w, "%s%s %.6f", m->metric, label, (double)*(const uint64_t *)field / 1e6);
        return;
    case REPORT_LAG:
        if (s->lag_known)
            write_line(w, "%s%s %" PRIu64, m->metric, label, s->lag);
        return;
    case REPORT_HISTOGRAM:
        write_histogram(r, m->metric, w);
        return;
    case REPORT_ALERTS:
        for (int kind = 0; kind < ALERT_KIND_COUNT; kind++)
            for (int severity = 0; severity < 3; severity++)
                write_line(w, "%s{kind=\"%s\",severity=\"%s\"} %" PRIu64, m->metric, alert_kind_names[kind],
                           severity_names[severity], r->writer.alerts[kind][severity]);
        return;
    }
}

void report_write_metrics(const struct report *r, struct json_writer *w)
{
    write_line(w, "# HELP teldagd_build_info The version of this daemon.");
    write_line(w, "# TYPE teldagd_build_info gauge");
    write_line(w, "teldagd_build_info{version=\"%s\"} 1", TELDAGD_VERSION);
    for (const struct report_metric *m = report_metrics; m->json; m++) {
        if (!m->metric)
            continue;
        write_line(w, "# HELP %s %s", m->metric, m->help);
        write_line(w, "# TYPE %s %s", m->metric,
                   m->form == REPORT_HISTOGRAM ? "histogram" : (m->counter ? "counter" : "gauge"));
        if (m->scope != REPORT_STREAM)
            write_sample(r, NULL, m, w);
        for (size_t i = 0; m->scope == REPORT_STREAM && i < r->stream_count; i++)
            write_sample(r, &r->streams[i], m, w);
    }
}

/* 6. The pages. */

static int render_metrics(void *context, struct json_writer *body)
{
    struct report r;
    if (report_take(context, &r) != 0)
        return 503;
    report_write_metrics(&r, body);
    report_free(&r);
    return 200;
}

static int render_health(void *context, struct json_writer *body)
{
    (void)context;
    bool alive = loop_is_alive(ALIVE_US);
    json_write_text(body, alive ? "ok\n" : "no progress for 30 s\n");
    return alive ? 200 : 503;
}

static int render_readiness(void *context, struct json_writer *body)
{
    struct report r;
    char sentence[700];
    if (report_take(context, &r) != 0)
        return 503;
    report_unready(&r, sentence, sizeof sentence);
    json_write_text(body, sentence[0] ? sentence : "ready");
    json_write_text(body, "\n");
    report_free(&r);
    return sentence[0] ? 503 : 200;
}

const struct metrics_page report_pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", render_metrics},
    {"/healthz", "text/plain; charset=utf-8", render_health},
    {"/readyz", "text/plain; charset=utf-8", render_readiness},
    {NULL},
};
