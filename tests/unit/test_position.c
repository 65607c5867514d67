/* SPDX-License-Identifier: MIT
 * links: workers/position.o daemon/wire.o
 *
 * Each rule of the position machine by itself, with a clock that only the test moves; all of them together,
 * with chance, are the simulator's (tests/sim/sim_position.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "workers/position.h"

#define EPOCH  77
#define SECOND 1000000u
#define ROOM   100000u

static struct position p;
static uint64_t now_us;

static struct wire_header header(uint8_t kind, uint32_t tag, uint64_t epoch, uint64_t first_seq,
                                 uint16_t count)
{
    return (struct wire_header){
        .kind = kind, .count = count, .tag = tag, .epoch = epoch, .first_seq = first_seq};
}

static struct position_delivery live(uint64_t first_seq, uint16_t count)
{
    struct wire_header h = header('R', 0, EPOCH, first_seq, count);

    return position_records(&p, &h, count, true, ROOM, now_us);
}

static struct position_delivery answered(uint32_t tag, uint64_t first_seq, uint16_t count)
{
    struct wire_header h = header('R', tag, EPOCH, first_seq, count);

    return position_records(&p, &h, count, false, ROOM, now_us);
}

static void head(bool is_live, uint32_t tag, uint64_t epoch, uint64_t first_seq)
{
    struct wire_header h = header('H', tag, epoch, first_seq, 0);

    position_head(&p, &h, is_live, now_us);
}

static struct position_ask tick(void)
{
    return position_tick(&p, ROOM, now_us);
}

static uint32_t expect_ask(enum position_request request, uint64_t epoch, uint64_t from)
{
    struct position_ask ask = tick();

    assert_int_equal(ask.request, request);
    assert_int_equal(ask.header.kind, 'Q');
    assert_int_equal(ask.header.count, 0);
    assert_int_equal(ask.header.epoch, epoch);
    assert_int_equal(ask.header.first_seq, from);
    assert_int_not_equal(ask.header.tag, 0);
    return ask.header.tag;
}

static void expect_nothing(void)
{
    assert_int_equal(tick().request, POSITION_ASK_NOTHING);
    assert_true(position_sleep(&p, now_us) > 0);
}

static void expect_stopped(enum position_reason reason)
{
    assert_int_equal(p.mode, POSITION_STOPPED);
    assert_int_equal(p.reason, reason);
    assert_int_equal(live(p.next, 1).action, POSITION_DROP);
    now_us += 20 * SECOND;
    expect_nothing();
}

static int start(void **state)
{
    (void)state;
    now_us = 5000 * (uint64_t)SECOND;
    position_init(&p, &position_defaults, now_us);
    return 0;
}

/* At sequence 100 of EPOCH, live. */
static void go_live(void)
{
    position_reset(&p, EPOCH, 100, now_us);
    head(false, expect_ask(POSITION_ASK_HELLO, EPOCH, 100), EPOCH, 100);
    assert_int_equal(p.mode, POSITION_LIVE);
    expect_nothing();
}

static void test_waiting(void **state)
{
    (void)state;
    position_want_hello(&p, 1);
    assert_int_equal(live(1, 5).action, POSITION_DROP);
    head(true, 0, EPOCH, 6);
    expect_nothing();
    assert_int_equal(p.mode, POSITION_WAITING);
    now_us += 59 * SECOND; /* a database that is away does not make the publisher stale */
    head(true, 0, EPOCH, 6);
    now_us += 2 * SECOND;
    expect_nothing();
    assert_false(p.stale);
}

static void test_hello_and_fetch_at_once(void **state)
{
    uint32_t hello, fetch;

    (void)state;
    position_reset(&p, EPOCH, 10, now_us);
    hello = expect_ask(POSITION_ASK_HELLO, EPOCH, 10);
    fetch = expect_ask(POSITION_ASK_FETCH, EPOCH, 10);
    assert_int_not_equal(hello, fetch);
    expect_nothing();
    head(false, hello, EPOCH, 21);
    assert_int_equal(p.mode, POSITION_FETCHING);
    assert_int_equal(answered(fetch, 10, 6).action, POSITION_DELIVER);
    assert_int_equal(answered(fetch, 16, 2).action, POSITION_DELIVER);
    head(false, fetch, EPOCH, 21);
    /* The answer was short: the rest is another range, asked for at once. */
    fetch = expect_ask(POSITION_ASK_FETCH, EPOCH, 18);
    assert_int_equal(answered(fetch, 18, 3).action, POSITION_DELIVER);
    head(false, fetch, EPOCH, 21);
    assert_int_equal(p.mode, POSITION_LIVE);
    assert_int_equal(p.next, 21);
    expect_nothing();
}

static void test_epoch_adopted_from_answers_only(void **state)
{
    uint32_t hello;

    (void)state;
    position_reset(&p, 0, 1, now_us);
    head(true, 0, 66, 5);
    assert_int_equal(p.epoch, 0);
    assert_int_equal(live(1, 1).action, POSITION_DROP);
    hello = expect_ask(POSITION_ASK_HELLO, 0, 1);
    (void)expect_ask(POSITION_ASK_FETCH, 0, 1);
    head(false, hello, EPOCH, 5);
    assert_int_equal(p.epoch, EPOCH);
    assert_int_equal(live(1, 4).action, POSITION_DELIVER);
    assert_int_equal(p.mode, POSITION_LIVE);
}

static void test_live_duplicates_and_overlap(void **state)
{
    struct position_delivery d;

    (void)state;
    go_live();
    assert_int_equal(live(100, 5).action, POSITION_DELIVER);
    assert_int_equal(live(100, 5).action, POSITION_DROP);
    assert_int_equal(p.duplicates, 5);
    d = live(103, 4);
    assert_int_equal(d.action, POSITION_DELIVER);
    assert_int_equal(d.skip, 2);
    assert_int_equal(p.next, 107);
    assert_int_equal(p.duplicates, 7);
    assert_int_equal(p.mode, POSITION_LIVE);
}

static void test_gap(void **state)
{
    uint32_t tag;

    (void)state;
    go_live();
    assert_int_equal(live(101, 1).action, POSITION_DROP);
    assert_int_equal(p.gaps, 1);
    tag = expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    assert_int_equal(live(102, 1).action, POSITION_DROP);
    assert_int_equal(p.gaps, 1);
    assert_int_equal(answered(tag, 100, 3).action, POSITION_DELIVER);
    head(false, tag, EPOCH, 103);
    assert_int_equal(p.mode, POSITION_LIVE);
}

static void test_tail_loss(void **state)
{
    (void)state;
    go_live();
    head(true, 0, EPOCH, 100);
    assert_int_equal(p.mode, POSITION_LIVE);
    head(true, 0, EPOCH, 101);
    assert_int_equal(p.gaps, 1);
    expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
}

static void test_silence_and_stale(void **state)
{
    uint32_t tag;

    (void)state;
    go_live();
    now_us += 3 * SECOND - 1;
    expect_nothing();
    now_us += 1;
    tag = expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    head(false, tag, EPOCH, 100);
    assert_int_equal(p.mode, POSITION_LIVE);
    assert_int_equal(p.gaps, 0);
    now_us += 60 * SECOND - 1;
    (void)tick();
    assert_false(p.stale);
    now_us += 1;
    (void)tick();
    assert_true(p.stale);
    head(true, 0, EPOCH, 100);
    assert_false(p.stale);
}

static void test_same_range_once_a_second(void **state)
{
    uint32_t tag;

    (void)state;
    go_live();
    (void)live(105, 1);
    tag = expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    head(false, tag, EPOCH, 106); /* an answer without records */
    expect_nothing();
    now_us += SECOND - 1;
    expect_nothing();
    assert_int_equal(position_sleep(&p, now_us), 1);
    now_us += 1;
    expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    /* A reset to the same place is no way around it. */
    position_reset(&p, EPOCH, 100, now_us);
    expect_ask(POSITION_ASK_HELLO, EPOCH, 100);
    expect_nothing();
}

static uint64_t wait_for_fetch(void)
{
    uint64_t start_us = now_us;

    while (tick().request != POSITION_ASK_FETCH) {
        uint64_t sleep_us = position_sleep(&p, now_us);

        assert_true(sleep_us > 0);
        now_us += sleep_us;
        assert_true(now_us - start_us < 60 * SECOND);
    }
    return now_us - start_us;
}

static void test_back_off(void **state)
{
    static const unsigned after_error[] = {2, 4, 8, 8, 8};

    (void)state;
    go_live();
    (void)live(105, 1);
    expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    for (size_t i = 0; i < sizeof after_error / sizeof *after_error; i++) {
        position_error(&p, now_us);
        assert_int_equal(wait_for_fetch(), after_error[i] * SECOND);
    }
    /* No answer at all: given up after 3 s, then the back-off counted from the question. */
    assert_int_equal(wait_for_fetch(), 8 * SECOND);
    assert_int_equal(answered(p.tag, 100, 2).action, POSITION_DELIVER);
    assert_int_equal(p.failures, 0);
}

static void test_error_without_question(void **state)
{
    (void)state;
    go_live();
    position_error(&p, now_us);
    assert_int_equal(p.failures, 0);
}

static void test_unsent(void **state)
{
    (void)state;
    go_live();
    (void)live(105, 1);
    expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    position_unsent(&p, POSITION_ASK_FETCH, now_us);
    assert_int_equal(p.fetches, 0);
    expect_nothing();
    now_us += SECOND;
    expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    assert_int_equal(p.failures, 0);
}

static void test_no_room(void **state)
{
    struct wire_header h = header('R', 0, EPOCH, 100, 10);
    struct position_ask ask;

    (void)state;
    go_live();
    assert_int_equal(position_records(&p, &h, 10, true, 9, now_us).action, POSITION_DROP);
    assert_int_equal(p.dropped_live, 10);
    assert_int_equal(p.gaps, 0);
    assert_int_equal(p.mode, POSITION_FETCHING);
    assert_int_equal(position_tick(&p, 0, now_us).request, POSITION_ASK_NOTHING);
    assert_in_range(position_sleep(&p, now_us), 1, 20000);
    ask = position_tick(&p, 7, now_us);
    assert_int_equal(ask.request, POSITION_ASK_FETCH);
    assert_int_equal(ask.max_events, 7);
    h.tag = ask.header.tag;
    assert_int_equal(position_records(&p, &h, 10, false, 9, now_us).action, POSITION_DROP);
    assert_int_equal(position_records(&p, &h, 10, false, 10, now_us).action, POSITION_DELIVER);
    assert_int_equal(p.dropped_live, 10);
}

static void test_damage(void **state)
{
    struct wire_header h = header('R', 0, EPOCH, 100, 3);

    (void)state;
    go_live();
    for (int i = 0; i < 10; i++) /* live damage alone never stops a stream */
        assert_int_equal(position_records(&p, &h, 2, true, ROOM, now_us).action, POSITION_DROP);
    position_damage(&p, true, now_us);
    assert_int_equal(p.damaged, 11);
    for (int i = 0; i < 2; i++) {
        (void)wait_for_fetch();
        h.tag = p.tag;
        (void)position_records(&p, &h, -1, false, ROOM, now_us);
        (void)position_records(&p, &h, -1, false, ROOM, now_us); /* the same answer: counts once */
        assert_int_equal(p.damages, i + 1);
        assert_int_equal(p.mode, POSITION_FETCHING);
    }
    (void)wait_for_fetch();
    position_damage(&p, false, now_us);
    expect_stopped(POSITION_DAMAGED);
    position_reset(&p, EPOCH, 100, now_us);
    assert_int_equal(p.mode, POSITION_FETCHING);
    assert_int_equal(p.reason, POSITION_OK);
}

static void test_damage_with_progress(void **state)
{
    (void)state;
    go_live();
    (void)live(150, 1);
    for (int i = 0; i < 10; i++) {
        (void)wait_for_fetch();
        assert_int_equal(answered(p.tag, p.next, 1).action, POSITION_DELIVER);
        position_damage(&p, false, now_us);
    }
    assert_int_equal(p.mode, POSITION_FETCHING);
}

static void test_gone(void **state)
{
    struct wire_header h;
    uint32_t tag;

    (void)state;
    go_live();
    (void)live(150, 1);
    tag = expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    h = header('H', tag + 7, EPOCH, 120, 0);
    position_gone(&p, &h, now_us); /* not an answer to us */
    assert_int_equal(p.mode, POSITION_FETCHING);
    h.tag = tag;
    h.first_seq = 100;
    position_gone(&p, &h, now_us); /* contradicts itself: 100 is kept */
    assert_int_equal(p.mode, POSITION_FETCHING);
    (void)wait_for_fetch();
    h.tag = p.tag;
    h.first_seq = 120;
    position_gone(&p, &h, now_us);
    assert_int_equal(p.first_kept, 120);
    expect_stopped(POSITION_GONE);
}

static void test_other_epoch(void **state)
{
    static const uint64_t others[] = {EPOCH + 1, EPOCH - 1}; /* later, and a restored journal */

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct wire_header h;

        start(NULL);
        go_live();
        (void)live(150, 1);
        h = header('H', expect_ask(POSITION_ASK_FETCH, EPOCH, 100), others[i], 9, 0);
        position_other_epoch(&p, &h, now_us);
        assert_int_equal(p.other_epoch, others[i]);
        expect_stopped(POSITION_NEW_EPOCH);
    }
}

static void test_live_head_of_other_epoch_asks(void **state)
{
    uint32_t tag;

    (void)state;
    go_live();
    now_us += SECOND;
    head(true, 0, EPOCH + 1, 3);
    assert_int_equal(p.mode, POSITION_LIVE);
    tag = expect_ask(POSITION_ASK_HELLO, EPOCH, 100);
    head(false, tag, EPOCH, 100); /* a false alarm */
    assert_int_equal(p.mode, POSITION_LIVE);
    head(true, 0, EPOCH + 1, 3);
    expect_nothing(); /* once a second */
    now_us += SECOND;
    tag = expect_ask(POSITION_ASK_HELLO, EPOCH, 100);
    head(false, tag, EPOCH + 1, 3);
    assert_int_equal(p.other_epoch, EPOCH + 1);
    expect_stopped(POSITION_NEW_EPOCH);
}

static void test_rewound(void **state)
{
    uint32_t tag;

    (void)state;
    go_live();
    now_us += SECOND;
    head(true, 0, EPOCH, 40);
    assert_int_equal(p.mode, POSITION_LIVE);
    tag = expect_ask(POSITION_ASK_HELLO, EPOCH, 100);
    assert_int_equal(live(100, 9).action, POSITION_DELIVER);
    head(false, tag, EPOCH, 100); /* sent before those nine: we asked at 100 */
    assert_int_equal(p.mode, POSITION_LIVE);
    assert_int_equal(p.head, 109);
    head(true, 0, EPOCH, 40);
    now_us += SECOND;
    tag = expect_ask(POSITION_ASK_HELLO, EPOCH, 109);
    head(false, tag, EPOCH, 108);
    assert_int_equal(p.head, 108);
    expect_stopped(POSITION_REWOUND);
}

/* Answers to what was asked before a reset decide nothing after it, but right records are right records. */
static void test_answers_from_before_a_reset(void **state)
{
    struct wire_header h;
    uint32_t hello, fetch;

    (void)state;
    position_reset(&p, EPOCH, 100, now_us);
    hello = expect_ask(POSITION_ASK_HELLO, EPOCH, 100);
    fetch = expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    position_reset(&p, EPOCH, 90, now_us + 1);
    now_us += SECOND;
    (void)tick();
    (void)tick();
    h = header('H', fetch, EPOCH + 1, 50, 0);
    position_other_epoch(&p, &h, now_us);
    h.epoch = EPOCH;
    h.first_seq = 500;
    position_gone(&p, &h, now_us);
    head(false, hello, EPOCH + 1, 3);
    head(false, fetch, EPOCH, 20);
    assert_int_equal(p.mode, POSITION_FETCHING);
    assert_int_equal(answered(fetch, 95, 5).action, POSITION_DROP);
    assert_int_equal(answered(fetch, 90, 5).action, POSITION_DELIVER);
}

static void test_wild_head_is_forgotten(void **state)
{
    uint32_t tag;

    (void)state;
    go_live();
    head(true, 0, EPOCH, 1u << 30);
    tag = expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    head(false, tag, EPOCH, 100);
    assert_int_equal(p.mode, POSITION_LIVE);
    assert_int_equal(p.head, 100);
}

static void test_pause(void **state)
{
    (void)state;
    go_live();
    position_pause(&p, true, now_us);
    assert_int_equal(p.reason, POSITION_PAUSED);
    assert_int_equal(live(100, 1).action, POSITION_DROP);
    now_us += 30 * SECOND;
    expect_nothing();
    position_reset(&p, EPOCH, 100, now_us); /* the pause is the operator's: a reset does not end it */
    expect_nothing();
    assert_int_equal(p.reason, POSITION_PAUSED);
    position_pause(&p, false, now_us);
    assert_int_equal(p.reason, POSITION_OK);
    expect_ask(POSITION_ASK_HELLO, EPOCH, 100);
    expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
}

static void test_wanted_hello(void **state)
{
    uint32_t tag;

    (void)state;
    go_live();
    now_us += SECOND;
    position_want_hello(&p, 4);
    tag = expect_ask(POSITION_ASK_HELLO, EPOCH, 100);
    position_want_hello(&p, 5); /* while the first is under way: asked again after it */
    head(false, tag, EPOCH, 100);
    assert_int_equal(p.hello_answered, 4);
    assert_int_equal(p.hello_head, 100);
    now_us += SECOND;
    tag = expect_ask(POSITION_ASK_HELLO, EPOCH, 100);
    now_us += 3 * SECOND - 1;
    head(true, 0, EPOCH, 100);
    expect_nothing();
    now_us += 1; /* lost: asked again */
    assert_int_not_equal(expect_ask(POSITION_ASK_HELLO, EPOCH, 100), tag);
    head(false, p.hello_tag, EPOCH, 100);
    assert_int_equal(p.hello_answered, 5);
}

static void test_undeliver(void **state)
{
    uint32_t tag;

    (void)state;
    go_live();
    assert_int_equal(live(100, 5).action, POSITION_DELIVER);
    position_undeliver(&p, 100);
    assert_int_equal(p.next, 100);
    assert_int_equal(p.mode, POSITION_FETCHING);
    tag = expect_ask(POSITION_ASK_FETCH, EPOCH, 100);
    assert_int_equal(answered(tag, 100, 5).action, POSITION_DELIVER);
}

static void test_best_effort(void **state)
{
    struct position_settings settings = position_defaults;

    (void)state;
    settings.best_effort = true;
    position_init(&p, &settings, now_us);
    assert_int_equal(position_number(&p, 1, ROOM, now_us).action, POSITION_DROP); /* waiting: lost */
    assert_int_equal(p.gaps, 1);
    position_reset(&p, 9000, 7, now_us);
    assert_int_equal(position_number(&p, 3, ROOM, now_us).action, POSITION_DELIVER);
    assert_int_equal(p.next, 10);
    assert_int_equal(position_number(&p, 3, 2, now_us).action, POSITION_DROP);
    assert_int_equal(p.next, 10);
    assert_int_equal(p.gaps, 2);
    assert_int_equal(p.dropped_live, 4);
    position_damage(&p, true, now_us);
    assert_int_equal(p.mode, POSITION_LIVE);
    now_us += 61 * SECOND;
    expect_nothing();
    assert_true(p.stale);
    position_reset(&p, 9000, 7, now_us); /* what was taken back is lost */
    assert_int_equal(p.gaps, 3);
    position_undeliver(&p, 5);
    assert_int_equal(p.gaps, 4);
}

#define TEST(f) cmocka_unit_test_setup(f, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_waiting),
        TEST(test_hello_and_fetch_at_once),
        TEST(test_epoch_adopted_from_answers_only),
        TEST(test_live_duplicates_and_overlap),
        TEST(test_gap),
        TEST(test_tail_loss),
        TEST(test_silence_and_stale),
        TEST(test_same_range_once_a_second),
        TEST(test_back_off),
        TEST(test_error_without_question),
        TEST(test_unsent),
        TEST(test_no_room),
        TEST(test_damage),
        TEST(test_damage_with_progress),
        TEST(test_gone),
        TEST(test_other_epoch),
        TEST(test_live_head_of_other_epoch_asks),
        TEST(test_rewound),
        TEST(test_answers_from_before_a_reset),
        TEST(test_wild_head_is_forgotten),
        TEST(test_pause),
        TEST(test_wanted_hello),
        TEST(test_undeliver),
        TEST(test_best_effort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
