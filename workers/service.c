/* SPDX-License-Identifier: MIT
 *
 * Starting and stopping the parts. The order is main's table; the reasons stand here, at each part. */
#include "workers/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/log.h"
#include "workers/operator.h"
#include "workers/report.h"

#define INBOX_EVENTS 65536

/* A stream's two watched sockets take nine; all else together some twenty, subscribers and callers come on top. */
#define STREAM_DESCRIPTORS 10
#define OTHER_DESCRIPTORS  128

unsigned service_descriptors(const struct service *s)
{
    return OTHER_DESCRIPTORS + STREAM_DESCRIPTORS * (unsigned)s->config->stream_count;
}

int service_load_files(const struct config *config, struct rules_set **rules, struct pseudonym_keys **keys,
                       char *error, size_t error_len)
{
    *keys = NULL;
    struct rules_near near = {.pupils = config->near_pupils, .hours = config->near_hours};
    *rules = rules_load(config->rules, near, error, error_len);
    if (!*rules)
        return EX_CONFIG;
    if (config->pseudonym_key && !(*keys = pseudonym_keys_load(config->pseudonym_key, error, error_len))) {
        rules_free(rules);
        return EX_CONFIG;
    }
    return 0;
}

int service_start_bus(void *context)
{
    struct service *s = context;
    s->bus = bus_new();
    if (!s->bus) {
        log_error("cannot open the message bus: %s", strerror(errno));
        return EX_OSERR;
    }
    /* Before any socket is bound: a key nobody can be asked about is refused. */
    s->gate = bus_gate_start(s->bus, NULL);
    if (!s->gate) {
        log_error("cannot start the authenticator: %s", bus_error());
        bus_free(&s->bus);
        return EX_OSERR;
    }
    bus_gate_allow(s->gate, &s->curve.allow);
    return 0;
}

void service_stop_bus(void *context)
{
    struct service *s = context;
    bus_gate_stop(&s->gate);
    bus_free(&s->bus);
}

int service_start_streams(void *context)
{
    struct service *s = context;
    size_t count = s->config->stream_count;
    s->inbox = inbox_new(INBOX_EVENTS);
    s->status = calloc(count + 1, sizeof *s->status);
    s->streams = calloc(count + 1, sizeof *s->streams);
    s->receivers = calloc(count + 1, sizeof *s->receivers);
    if (!s->inbox || !s->status || !s->streams || !s->receivers) {
        log_error("out of memory");
        inbox_free(&s->inbox);
        free(s->status);
        free(s->streams);
        free(s->receivers);
        return EX_OSERR;
    }
    for (size_t i = 0; i < count; i++) {
        stream_status_init(&s->status[i], s->config->streams[i].name, s->config->streams[i].best_effort);
        s->streams[i] = &s->status[i];
    }
    return 0;
}

void service_stop_streams(void *context)
{
    struct service *s = context;
    for (size_t i = 0; s->streams[i]; i++)
        stream_status_fini(s->streams[i]);
    free(s->receivers);
    free(s->streams);
    free(s->status);
    inbox_free(&s->inbox);
}

/* The publisher outlives the writer, so that the alerts of the last commit still go out. */
int service_start_publisher(void *context)
{
    struct service *s = context;
    char error[512];
    struct publisher_config config = {.conninfo = s->config->database,
                                      .publish = s->config->alerts_publish,
                                      .fetch = s->config->alerts_fetch,
                                      .shard = s->config->shard,
                                      .bus = s->bus,
                                      .gate = s->gate,
                                      .keys = s->config->curve_allow ? s->curve.keys : NULL};
    s->publisher = publisher_start(&config, error, sizeof error);
    if (!s->publisher)
        log_error("%s", error);
    return s->publisher ? 0 : EX_UNAVAILABLE;
}

void service_stop_publisher(void *context)
{
    struct service *s = context;
    publisher_stop(s->publisher);
    publisher_join(&s->publisher);
}

int service_start_writer(void *context)
{
    struct service *s = context;
    struct writer_config config = {.conninfo = s->config->database,
                                   .inbox = s->inbox,
                                   .streams = s->streams,
                                   .rules = s->rules,
                                   .shard = s->config->shard,
                                   .shards = s->config->shards,
                                   .fixed_today = s->fixed_today,
                                   .committed = publisher_wake,
                                   .placed = publisher_expect,
                                   .committed_context = s->publisher};
    s->writer = writer_start(&config);
    if (!s->writer) {
        log_error("cannot start the writer: %s", strerror(errno));
        return EX_OSERR;
    }
    s->rules = NULL;
    return 0;
}

void service_stop_writer(void *context)
{
    struct service *s = context;
    writer_stop(s->writer);
    writer_join(&s->writer);
}

int service_start_control(void *context)
{
    struct service *s = context;
    char error[512];
    int code;
    s->control = control_start(s->config->control, operator_commands, s, &code, error, sizeof error);
    if (!s->control)
        log_error("%s", error);
    return s->control ? 0 : code;
}

void service_stop_control(void *context)
{
    struct service *s = context;
    if (s->reload_thread_used)
        pthread_join(s->reload_thread, NULL);
    control_stop(&s->control);
}

/* A listener that was asked for must be there; the default one may find its port taken by another daemon. */
int service_start_metrics(void *context)
{
    struct service *s = context;
    char error[256];
    if (!s->config->metrics[0])
        return 0;
    s->metrics = metrics_start(s->config->metrics, report_pages, s, error, sizeof error);
    if (s->metrics)
        return 0;
    if (!s->config->metrics_is_default) {
        log_error("%s", error);
        return EX_UNAVAILABLE;
    }
    log_warning("%s; going on without metrics (choose an address, or metrics = \"\" for off)", error);
    return 0;
}

void service_stop_metrics(void *context)
{
    struct service *s = context;
    metrics_stop(&s->metrics);
}

/* Asked before control ends: a command that waits for the writer is answered by its end. */
void service_stop_intake(void *context)
{
    struct service *s = context;
    writer_stop(s->writer);
}

int service_start_receivers(void *context)
{
    struct service *s = context;
    for (size_t i = 0; i < s->config->stream_count; i++) {
        const struct config_stream *stream = &s->config->streams[i];
        struct receiver_config config = {.name = stream->name,
                                         .subscribe = stream->subscribe,
                                         .fetch = stream->fetch,
                                         .best_effort = stream->best_effort,
                                         .bus = s->bus,
                                         .curve = s->curve.keys,
                                         .server_key = s->curve.server_keys[i],
                                         .inbox = s->inbox,
                                         .status = s->streams[i],
                                         .keys = s->keys};
        s->receivers[i] = receiver_start(&config);
        if (!s->receivers[i]) {
            log_error("cannot start the receiver of %s: %s", stream->name, strerror(errno));
            service_stop_receivers(s);
            return EX_OSERR;
        }
    }
    curve_keys_free(&s->curve.keys); /* the last socket has it now */
    return 0;
}

/* All are asked before the first is waited for. */
void service_stop_receivers(void *context)
{
    struct service *s = context;
    for (size_t i = 0; i < s->config->stream_count; i++)
        if (s->receivers[i])
            receiver_stop(s->receivers[i]);
    for (size_t i = 0; i < s->config->stream_count; i++)
        if (s->receivers[i])
            receiver_join(&s->receivers[i]);
}

uint64_t service_progress(void *context)
{
    struct service *s = context;
    struct writer_status status;
    writer_read_status(s->writer, &status);
    return status.progress;
}

bool service_waits(void *context)
{
    struct service *s = context;
    struct writer_status status;
    writer_read_status(s->writer, &status);
    return status.phase != WRITER_REBUILDING;
}

void service_status_line(void *context, char *out, size_t len)
{
    struct service *s = context;
    struct writer_status status;
    writer_read_status(s->writer, &status);
    if (status.phase == WRITER_RUNNING)
        snprintf(out, len, "running: %llu events in %llu batches", (unsigned long long)status.events,
                 (unsigned long long)status.batches);
    else
        snprintf(out, len, "%s%s%.200s", writer_phase_names[status.phase], status.message[0] ? ": " : "",
                 status.message);
}

int service_failed(void *context)
{
    struct service *s = context;
    struct writer_status status;
    writer_read_status(s->writer, &status);
    if (status.phase == WRITER_REFUSED)
        log_error("the writer cannot go on: %s", status.message);
    return status.phase == WRITER_REFUSED ? EX_CONFIG : 0;
}
