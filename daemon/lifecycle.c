/* SPDX-License-Identifier: MIT
 *
 * Walks the table of steps down at start and up at stop. */
#include "daemon/lifecycle.h"

#include "daemon/log.h"

int lifecycle_start(const struct lifecycle_step *steps, size_t count, void *context)
{
    for (size_t i = 0; i < count; i++) {
        int code = steps[i].start ? steps[i].start(context) : 0;
        if (code != 0) {
            log_error("could not start: %s failed", steps[i].name);
            lifecycle_stop(steps, i, context);
            return code;
        }
    }
    return 0;
}

void lifecycle_stop(const struct lifecycle_step *steps, size_t count, void *context)
{
    while (count-- > 0)
        if (steps[count].stop)
            steps[count].stop(context);
}
