/* SPDX-License-Identifier: MIT
 *
 * A singly linked list of batches under one mutex. The bound is on events, not batches, and is soft by one
 * put: a queue with any room takes the whole message, so a message is never split between "queued" and "to be
 * fetched again". */
#include "workers/inbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct inbox {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    struct event_batch *first, **last;
    uint64_t events; /* in the list */
    uint32_t events_max;
    bool woken, closed;
};

struct inbox *inbox_new(uint32_t events_max)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);
    pthread_condattr_t attributes;

    if (!inbox)
        return NULL;
    inbox->last = &inbox->first;
    inbox->events_max = events_max;
    pthread_mutex_init(&inbox->mutex, NULL);
    /* The monotonic clock: a step of the wall clock must not stretch the writer's waits. */
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&inbox->filled, &attributes);
    pthread_condattr_destroy(&attributes);
    return inbox;
}

void inbox_free(struct inbox **inbox)
{
    struct inbox *q = *inbox;

    if (!q)
        return;
    while (q->first) {
        struct event_batch *batch = q->first;

        q->first = batch->next;
        event_batch_free(&batch);
    }
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->mutex);
    free(q);
    *inbox = NULL;
}

uint32_t inbox_room(struct inbox *inbox)
{
    uint32_t room;

    pthread_mutex_lock(&inbox->mutex);
    room = inbox->events < inbox->events_max ? inbox->events_max - (uint32_t)inbox->events : 0;
    pthread_mutex_unlock(&inbox->mutex);
    return room;
}

static void append_list(struct inbox *inbox, struct event_batch *list)
{
    *inbox->last = list;
    for (; list; list = list->next) {
        inbox->events += list->count;
        inbox->last = &list->next;
    }
}

int inbox_put(struct inbox *inbox, struct event_batch *batch)
{
    int err = 0;

    assert(batch);
    pthread_mutex_lock(&inbox->mutex);
    if (inbox->closed)
        err = ERR_CLOSED;
    else if (inbox->events >= inbox->events_max)
        err = ERR_AGAIN;
    else
        append_list(inbox, batch);
    if (!err)
        pthread_cond_signal(&inbox->filled);
    pthread_mutex_unlock(&inbox->mutex);
    return err;
}

static struct timespec deadline_after_ms(int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* The mutex is held. Whole batches until the number asked for is reached. */
static struct event_batch *cut_list(struct inbox *inbox, uint32_t events_max)
{
    struct event_batch *list = inbox->first, *batch = list, **end = &list;
    uint64_t events = 0;

    while (batch && (events == 0 || events + batch->count <= events_max)) {
        events += batch->count;
        end = &batch->next;
        batch = batch->next;
    }
    *end = NULL;
    inbox->first = batch;
    if (!batch)
        inbox->last = &inbox->first;
    inbox->events -= events;
    return list;
}

struct event_batch *inbox_take(struct inbox *inbox, uint32_t events_max, int timeout_ms)
{
    struct timespec deadline = deadline_after_ms(timeout_ms > 0 ? timeout_ms : 0);
    struct event_batch *list;
    int rc = 0;

    pthread_mutex_lock(&inbox->mutex);
    while (!inbox->first && !inbox->woken && !inbox->closed && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&inbox->filled, &inbox->mutex, &deadline);
    list = cut_list(inbox, events_max);
    inbox->woken = false;
    pthread_mutex_unlock(&inbox->mutex);
    return list;
}

void inbox_wake(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->woken = true;
    pthread_cond_signal(&inbox->filled);
    pthread_mutex_unlock(&inbox->mutex);
}

void inbox_close(struct inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->closed = true;
    pthread_cond_broadcast(&inbox->filled);
    pthread_mutex_unlock(&inbox->mutex);
}

bool inbox_is_drained(struct inbox *inbox)
{
    bool drained;

    pthread_mutex_lock(&inbox->mutex);
    drained = inbox->closed && !inbox->first;
    pthread_mutex_unlock(&inbox->mutex);
    return drained;
}
