/* SPDX-License-Identifier: MIT
 * links: workers/inbox.o workers/event_batch.o
 *
 * The queue alone, then with four producers and one consumer (run under ThreadSanitizer too): every batch
 * comes out once, each producer's in order, and neither wake nor close is ever lost. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "workers/inbox.h"

static struct event_batch *make_batch(uint32_t stream_id, uint64_t first_seq, uint32_t count)
{
    struct event_batch *b = event_batch_new();

    assert_non_null(b);
    b->stream_id = stream_id;
    b->first_seq = first_seq;
    b->count = count; /* the queue reads nothing else of it */
    return b;
}

static int free_list(struct event_batch *list)
{
    int n = 0;

    while (list) {
        struct event_batch *b = list;

        list = b->next;
        b->count = 0;
        event_batch_free(&b);
        n++;
    }
    return n;
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_bound(void **state)
{
    struct inbox *q = inbox_new(100);
    struct event_batch *b = make_batch(1, 1, 60), *list;

    (void)state;
    assert_int_equal(inbox_room(q), 100);
    assert_int_equal(inbox_put(q, b), 0);
    assert_int_equal(inbox_room(q), 40);
    assert_int_equal(inbox_put(q, make_batch(1, 61, 70)), 0); /* below the bound before it: taken */
    assert_int_equal(inbox_room(q), 0);
    b = make_batch(1, 131, 1);
    assert_int_equal(inbox_put(q, b), ERR_AGAIN);
    list = inbox_take(q, 60, 0);
    assert_int_equal(list->first_seq, 1);
    assert_null(list->next);
    free_list(list);
    assert_int_equal(inbox_room(q), 30);
    assert_int_equal(inbox_put(q, b), 0);
    list = inbox_take(q, 10, 0); /* at least one batch, whatever its size */
    assert_int_equal(list->first_seq, 61);
    assert_null(list->next);
    free_list(list);
    list = inbox_take(q, 1000, 0);
    assert_int_equal(list->first_seq, 131);
    assert_int_equal(free_list(list), 1);
    assert_int_equal(inbox_room(q), 100);
    inbox_free(&q);
    assert_null(q);
}

static void test_list_is_put_whole(void **state)
{
    struct inbox *q = inbox_new(10);
    struct event_batch *list = make_batch(1, 1, 6), *more = make_batch(1, 13, 1);

    (void)state;
    list->next = make_batch(1, 7, 6);
    assert_int_equal(inbox_put(q, list), 0);
    assert_int_equal(inbox_room(q), 0);
    assert_int_equal(inbox_put(q, more), ERR_AGAIN);
    list = inbox_take(q, 12, 0);
    assert_int_equal(list->first_seq, 1);
    assert_int_equal(list->next->first_seq, 7);
    assert_int_equal(free_list(list), 2);
    assert_int_equal(inbox_put(q, more), 0); /* the tail pointer is sound after emptying */
    inbox_free(&q);
}

static void test_timeout_and_wake(void **state)
{
    struct inbox *q = inbox_new(10);
    double start = now_s();

    (void)state;
    assert_null(inbox_take(q, 10, 30));
    assert_true(now_s() - start >= 0.029);
    inbox_wake(q); /* before the wait: not lost */
    start = now_s();
    assert_null(inbox_take(q, 10, 5000));
    assert_true(now_s() - start < 2);
    start = now_s();
    assert_null(inbox_take(q, 10, 30)); /* and used up */
    assert_true(now_s() - start >= 0.029);
    inbox_free(&q);
}

static void test_close(void **state)
{
    struct inbox *q = inbox_new(10);
    struct event_batch *b = make_batch(1, 2, 1), *list;

    (void)state;
    assert_int_equal(inbox_put(q, make_batch(1, 1, 1)), 0);
    assert_false(inbox_is_drained(q));
    inbox_close(q);
    assert_int_equal(inbox_put(q, b), ERR_CLOSED);
    free_list(b);
    assert_false(inbox_is_drained(q));
    list = inbox_take(q, 10, 5000);
    assert_int_equal(free_list(list), 1);
    assert_true(inbox_is_drained(q));
    assert_null(inbox_take(q, 10, 5000));
    inbox_free(&q);
}

#define PRODUCERS 4
#define BATCHES   3000

struct producer {
    pthread_t thread;
    struct inbox *inbox;
    uint32_t id;
    uint64_t refused;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    uint64_t seq = 1;

    for (int i = 0; i < BATCHES; i++) {
        uint32_t count = 1 + (uint32_t)(i * 7 + (int)p->id) % 40;
        struct event_batch *b = make_batch(p->id, seq, count);

        if (i % 3 == 0) {
            b->next = make_batch(p->id, seq + count, 5);
            seq += 5;
        }
        while (inbox_put(p->inbox, b) == ERR_AGAIN) {
            p->refused++;
            usleep(50);
        }
        seq += count;
    }
    inbox_wake(p->inbox);
    return NULL;
}

static void test_threads(void **state)
{
    struct inbox *q = inbox_new(500);
    struct producer p[PRODUCERS];
    uint64_t next[PRODUCERS] = {0}, batches = 0, refused = 0;
    const uint64_t all = PRODUCERS * (BATCHES + BATCHES / 3);

    (void)state;
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        p[i] = (struct producer){.inbox = q, .id = i};
        next[i] = 1;
        assert_int_equal(pthread_create(&p[i].thread, NULL, produce, &p[i]), 0);
    }
    while (batches < all) {
        struct event_batch *list = inbox_take(q, 300, 10000);

        for (struct event_batch *b = list; b; b = b->next) {
            assert_int_equal(b->first_seq, next[b->stream_id]);
            next[b->stream_id] += b->count;
        }
        batches += (uint64_t)free_list(list);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(p[i].thread, NULL);
        refused += p[i].refused;
    }
    assert_int_equal(batches, all);
    assert_true(refused > 0); /* the bound was really met */
    assert_int_equal(inbox_room(q), 500);
    inbox_free(&q);
}

static void *close_later(void *arg)
{
    usleep(20000);
    inbox_close(arg);
    return NULL;
}

static void test_close_wakes(void **state)
{
    struct inbox *q = inbox_new(10);
    pthread_t thread;
    double start = now_s();

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, close_later, q), 0);
    assert_null(inbox_take(q, 10, 20000));
    assert_true(now_s() - start < 10);
    assert_true(inbox_is_drained(q));
    pthread_join(thread, NULL);
    inbox_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_list_is_put_whole),
        cmocka_unit_test(test_timeout_and_wake),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_close_wakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
