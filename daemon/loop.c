/* SPDX-License-Identifier: MIT
 *
 * Main loop. The watchdog is fed by progress: a turn of this loop alone proves only that this loop turns. */
#include "daemon/loop.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>

#include "daemon/clock.h"
#include "daemon/log.h"
#include "daemon/signals.h"

#define TURN_MS 1000

/* When the loop last turned and when progress last moved; read by other threads. */
static _Atomic uint64_t turned_us, moved_us;

bool loop_is_alive(uint64_t within_us)
{
    uint64_t now = clock_monotonic_us(), turned = atomic_load(&turned_us), moved = atomic_load(&moved_us);
    return turned + within_us >= now && moved + within_us >= now;
}

uint64_t loop_stalled_us(void)
{
    uint64_t now = clock_monotonic_us(), moved = atomic_load(&moved_us);
    return moved && now > moved ? now - moved : 0;
}

/* Said once when it begins, and once when it is over. */
static void log_stall(const struct loop *l)
{
    static bool stalled; /* main thread only */
    bool now = loop_stalled_us() >= LOOP_STALL_US && l->waits(l->context);

    if (now && !stalled)
        log_warning("no answer of the database for %u s: the writer waits for it",
                    (unsigned)(LOOP_STALL_US / 1000000));
    else if (!now && stalled)
        log_notice("the database answers again");
    stalled = now;
}

static void take_stock(const struct loop *l, uint64_t *last_progress)
{
    char status[256];
    l->status(l->context, status, sizeof status);
    notify_status(l->notify, status);

    uint64_t progress = l->progress(l->context);
    atomic_store(&turned_us, clock_monotonic_us());
    if (progress != *last_progress)
        atomic_store(&moved_us, clock_monotonic_us());
    log_stall(l);
    if (progress == *last_progress)
        return;
    *last_progress = progress;
    if (l->notify->watchdog_us)
        notify_watchdog(l->notify);
}

/* Often enough for the watchdog: three times within its period. */
static int turn_length(const struct loop *l)
{
    uint64_t third = l->notify->watchdog_us / 3000;
    return third && third < TURN_MS ? (int)third : TURN_MS;
}

int loop_run(const struct loop *l)
{
    uint64_t last_progress = UINT64_MAX;
    struct pollfd item = {.fd = l->signal_fd, .events = POLLIN};
    for (;;) {
        take_stock(l, &last_progress);
        int code = l->failed(l->context);
        if (code)
            return code;
        poll(&item, 1, turn_length(l));
        for (int number; (number = signals_next(l->signal_fd)) != 0;) {
            if (number != SIGHUP) {
                log_notice("%s: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
                return 0;
            }
            log_notice("SIGHUP: reading the configuration again");
            l->reload(l->context);
        }
    }
}
