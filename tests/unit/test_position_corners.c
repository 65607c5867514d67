/* SPDX-License-Identifier: MIT
 *
 * links: workers/position.o daemon/wire.o
 *
 * The branches of the position machine that neither its tests nor the simulator take: calls at a moment when they have
 * nothing to do, and numbers at their bounds (tests/coverage). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "workers/position.h"

static struct position p;

static void start(uint64_t next)
{
    position_init(&p, &position_defaults, 1);
    position_reset(&p, 5, next, 1);
}

/* The requests due now; tags of HELLO and FETCH, 0 when not asked. */
static void tick(uint64_t now_us, uint32_t *hello, uint32_t *fetch)
{
    struct position_ask ask;
    *hello = *fetch = 0;
    while ((ask = position_tick(&p, 100, now_us)).request != POSITION_ASK_NOTHING)
        *(ask.request == POSITION_ASK_HELLO ? hello : fetch) = ask.header.tag;
}

static void a_reset_to_nothing_starts_at_one(void **state)
{
    (void)state;
    start(0);
    assert_int_equal(p.next, 1);
    start(7);
    assert_int_equal(p.next, 7);
}

static void an_error_without_a_question_is_no_answer(void **state)
{
    (void)state;
    start(7);
    position_error(&p, 2);
    assert_int_equal(p.failures, 0);
    uint32_t hello, fetch;
    tick(2, &hello, &fetch);
    assert_true(hello && fetch);
    /* answered HELLO, open FETCH: the error ends it */
    position_head(&p, &(struct wire_header){.kind = WIRE_HEAD, .tag = hello, .epoch = 5, .first_seq = 9},
                  false, 3);
    assert_true(p.hello_tag == 0 && p.tag == fetch);
    position_error(&p, 4);
    assert_int_equal(p.failures, 1);
    assert_int_equal(p.tag, 0);
    /* open HELLO, no FETCH */
    start(7);
    assert_int_equal(position_tick(&p, 100, 2).request, POSITION_ASK_HELLO);
    position_error(&p, 3);
    assert_int_equal(p.failures, 1);
    assert_int_equal(p.hello_tag, 0);
}

static void what_was_not_asked_cannot_be_unsent(void **state)
{
    (void)state;
    start(7);
    position_unsent(&p, POSITION_ASK_FETCH, 2);
    position_unsent(&p, POSITION_ASK_HELLO, 2);
    position_unsent(&p, POSITION_ASK_NOTHING, 2);
    assert_int_equal(p.fetches, 0);
    uint32_t hello, fetch;
    tick(2, &hello, &fetch);
    assert_int_equal(p.fetches, 1);
    position_unsent(&p, POSITION_ASK_NOTHING, 3);
    assert_true(p.tag == fetch && p.hello_tag == hello);
    position_unsent(&p, POSITION_ASK_HELLO, 3);
    position_unsent(&p, POSITION_ASK_FETCH, 3);
    assert_true(p.tag == 0 && p.hello_tag == 0 && p.fetches == 0);
}

static void what_was_not_delivered_cannot_be_taken_back(void **state)
{
    (void)state;
    start(7);
    position_undeliver(&p, 7);
    position_undeliver(&p, 9);
    assert_int_equal(p.next, 7);
    position_undeliver(&p, 6);
    assert_int_equal(p.next, 6);
}

/* A stopped stream asks again when a live head makes it doubt, but not while it is paused. */
static void a_paused_and_stopped_stream_asks_nothing(void **state)
{
    (void)state;
    uint32_t hello, fetch;
    start(7);
    tick(2, &hello, &fetch);
    position_other_epoch(
        &p, &(struct wire_header){.kind = WIRE_HEAD, .tag = fetch, .epoch = 6, .first_seq = 1}, 3);
    assert_int_equal(p.mode, POSITION_STOPPED);
    tick(5000000, &hello, &fetch);
    assert_true(!hello && !fetch);
    position_head(&p, &(struct wire_header){.kind = WIRE_HEAD, .epoch = 8, .first_seq = 1}, true, 5000001);
    position_pause(&p, true, 5000002);
    tick(10000000, &hello, &fetch);
    assert_true(!hello && !fetch);
    position_pause(&p, false, 10000001);
    tick(20000000, &hello, &fetch);
    assert_true(hello && !fetch);
}

static void tags_never_are_zero(void **state)
{
    (void)state;
    start(7);
    p.last_tag = UINT32_MAX;
    uint32_t hello, fetch;
    tick(2, &hello, &fetch);
    assert_true(hello == 1 && fetch == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_to_nothing_starts_at_one),
        cmocka_unit_test(an_error_without_a_question_is_no_answer),
        cmocka_unit_test(what_was_not_asked_cannot_be_unsent),
        cmocka_unit_test(what_was_not_delivered_cannot_be_taken_back),
        cmocka_unit_test(a_paused_and_stopped_stream_asks_nothing),
        cmocka_unit_test(tags_never_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
