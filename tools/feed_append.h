/* SPDX-License-Identifier: MIT
 *
 * From a descriptor into the journal: what is there is taken (at most 4,096 lines or 4 MiB), committed,
 * acknowledged; nothing ever waits for more. `append` does only this; `serve` does it on a thread of its own.
 */
#pragma once

#include "tools/feed_journal.h"
#include "workers/pseudonym_keys.h"

struct feed_pump {
    struct journal *journal;
    const struct pseudonym_keys *keys; /* may be NULL */
    int in, out;                       /* NDJSON; acks */
    int stop;                          /* readable: end in order. -1: none */
    void (*committed)(void *context);  /* after each durable commit; may be NULL */
    void *context;
    bool torn; /* out: the input ended in the middle of a line, which was not journalled */
};
/* Runs until the input ends or stop is readable. 0 or an exit code with the reason logged. */
int feed_pump_run(struct feed_pump *pump) MUST_CHECK;

int feed_append_main(int argc, char **argv);
