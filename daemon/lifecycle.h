/* SPDX-License-Identifier: MIT
 *
 * Starting and stopping as one flat table: steps start from top to bottom and stop from bottom to top, also when a start
 * fails half-way, so that no teardown is written twice. */
#pragma once

#include <stddef.h>

struct lifecycle_step {
    const char *name;
    int (*start)(
        void *context); /* NULL: nothing; 0, or an exit code of sysexits.h with the reason already logged */
    void (*stop)(void *context); /* NULL: nothing to stop */
};

/* Runs all steps. On failure those that had started are stopped and the exit code is returned. */
int lifecycle_start(const struct lifecycle_step *steps, size_t count, void *context);
void lifecycle_stop(const struct lifecycle_step *steps, size_t count, void *context);
