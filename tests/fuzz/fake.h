/* SPDX-License-Identifier: MIT
 *
 * What the fuzz targets have in place of sockets, clock and log: a queue of messages for each direction, a clock that
 * only the target moves, and a log that is dropped. Everything a run does follows from its bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/bus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that does not hold ends the run, whatever the build. */
#define MUST_HOLD(condition)                                                                                 \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fake_broken(#condition, __FILE__, __LINE__);                                                     \
    } while (0)
void fake_broken(const char *condition, const char *file, int line) __attribute__((noreturn));

/* The bytes of one run, read from the front; zero when there are no more. */
struct bytes {
    const uint8_t *at;
    size_t left;
};
static inline uint8_t take_byte(struct bytes *b)
{
    if (b->left == 0)
        return 0;
    b->left--;
    return *b->at++;
}
static inline const void *take_bytes(struct bytes *b, size_t wanted, size_t *len)
{
    const void *from = b->at;
    *len = wanted < b->left ? wanted : b->left;
    b->at += *len;
    b->left -= *len;
    return from;
}

#define FAKE_QUEUE 64
struct fake_message {
    struct bus_frame frame[BUS_FRAMES_MAX];
    int count;
};
struct bus_socket { /* frames point to memory that outlives the run */
    struct fake_message queue[FAKE_QUEUE];
    int first, count;
    int refuse; /* what bus_send() answers, 0 = taken */
    void (*sent)(struct bus_socket *socket, const struct bus_frame *frames, int count);
    void *context;
};
void fake_bus_push(struct bus_socket *socket, const struct bus_frame *frames, int count);
/* One message read from the bytes: the number of frames, then each with its length. */
void fake_bus_push_raw(struct bus_socket *socket, struct bytes *b);
extern uint64_t fake_now_us;
