/* SPDX-License-Identifier: MIT
 *
 * The running daemon's parts, and the functions that start and stop each of them: the rows of main's table. What a part
 * does is its own affair; here stands only who needs whom. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/bus.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"
#include "workers/inbox.h"
#include "workers/pseudonym_keys.h"
#include "workers/publisher_worker.h"
#include "workers/receiver_worker.h"
#include "workers/rules.h"
#include "workers/service_curve.h"
#include "workers/stream_status.h"
#include "workers/writer_worker.h"

struct service {
    struct config *config;
    int32_t fixed_today; /* --today, or INT32_MIN */
    struct notify *notify;
    struct rules_set *rules; /* until the writer takes it over */
    struct pseudonym_keys *keys;
    struct service_curve curve;
    struct bus *bus;
    struct bus_gate *gate;
    struct inbox *inbox;
    struct stream_status *status;   /* one a stream, in the order of the configuration */
    struct stream_status **streams; /* pointers to them, NULL at the end */
    struct receiver **receivers;
    struct publisher *publisher;
    struct writer *writer;
    struct control *control;
    struct metrics *metrics;
    uint64_t started_us;
    _Atomic uint64_t hello_generation;
    /* Reloads: one at a time; guards config->rules and config->near_*. */
    pthread_mutex_t reload_mutex;
    pthread_t reload_thread;
    bool reload_thread_used;
};

/* Rules and keys of a configuration, read and checked. 0, or an exit code with the reason in error. */
int service_load_files(const struct config *config, struct rules_set **rules, struct pseudonym_keys **keys,
                       char *error, size_t error_len);

/* Steps of daemon/lifecycle.h; context is the struct service. */
int service_start_bus(void *context);
void service_stop_bus(void *context);
int service_start_streams(void *context); /* inbox and stream statuses */
void service_stop_streams(void *context);
int service_start_publisher(void *context);
void service_stop_publisher(void *context);
int service_start_writer(void *context);
void service_stop_writer(void *context);
int service_start_control(void *context);
void service_stop_control(void *context);
int service_start_metrics(void *context);
void service_stop_metrics(void *context);
void service_stop_intake(void *context); /* asks the writer to drain, commit and end */
int service_start_receivers(void *context);
void service_stop_receivers(void *context);

/* What the main loop asks. */
/* What the parts together may need at most, with room for subscribers. */
unsigned service_descriptors(const struct service *s);

uint64_t service_progress(void *context);
bool service_waits(void *context);
void service_status_line(void *context, char *out, size_t len);
int service_failed(void *context); /* 0, or the exit code when the writer has ended for good */
