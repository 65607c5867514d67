/* SPDX-License-Identifier: MIT
 *
 * Signals arrive through a descriptor in the main loop and nowhere else. They are blocked before the first thread or
 * socket exists, so every later thread inherits that and none interrupts a system call. */
#pragma once

#include "daemon/err.h"

/* Blocks SIGTERM, SIGINT and SIGHUP, ignores SIGPIPE; returns the signalfd, or ERR_IO. */
int signals_open(void) MUST_CHECK;
/* The next pending signal's number, 0 when there is none. */
int signals_next(int fd);
/* From here on a termination signal ends the process at once. Called by the main thread when it begins to stop. */
void signals_let_kill(void);
