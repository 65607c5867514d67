/* SPDX-License-Identifier: MIT
 *
 * What the service manager is told (sd_notify(3)): one datagram per message to NOTIFY_SOCKET; without it nothing
 * happens. init, fini and status belong to the main thread; the other messages may be sent by any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/err.h"

struct notify {
    int fd;               /* -1: no service manager listens */
    uint64_t watchdog_us; /* 0: no watchdog */
    char status[256];     /* last STATUS sent */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. ERR_INVALID: a NOTIFY_SOCKET that is not one. */
int notify_init(struct notify *n) MUST_CHECK;
void notify_fini(struct notify *n);
void notify_ready(struct notify *n);
void notify_status(struct notify *n, const char *status); /* sent only when it differs from the last one */
void notify_reloading(struct notify *n);                  /* with MONOTONIC_USEC */
void notify_stopping(struct notify *n);
void notify_watchdog(struct notify *n);
