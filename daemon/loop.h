/* SPDX-License-Identifier: MIT
 *
 * The main thread's loop: signals, the service manager, the watchdog. It decides nothing about the work; it asks the
 * caller how things stand, once a second. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/notify.h"

struct loop {
    int signal_fd;
    struct notify *notify;
    void *context;
    /* SIGHUP: starts a reload and returns at once. */
    void (*reload)(void *context);
    /* A number that moves while the work goes on, also while it waits in good order. */
    uint64_t (*progress)(void *context);
    /* Whether a standstill is that of the database: not while what it has sent is worked through. */
    bool (*waits)(void *context);
    /* One line for STATUS=. */
    void (*status)(void *context, char *out, size_t len);
    /* Not 0: the work has ended for good, with this exit code. */
    int (*failed)(void *context);
};

/* Returns 0 when SIGTERM or SIGINT ended it, otherwise what failed() said. */
int loop_run(const struct loop *loop);
/* Any thread: has the loop turned, and has progress moved, within the last seconds? The answer of /healthz. */
bool loop_is_alive(uint64_t within_us);
#define LOOP_STALL_US 10000000u /* worth saying */
/* Since the work last moved; 0 before the loop turns. */
uint64_t loop_stalled_us(void);
