/* SPDX-License-Identifier: MIT
 * links: workers/commitment.o workers/position.o daemon/answer.o daemon/wire.o
 *
 * The writer's decisions and the publishers' answers, rule by rule; all of them together, with chance, are the
 * simulator's (tests/sim/sim_whole.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/answer.h"
#include "workers/commitment.h"

#define EPOCH   77
#define ORDERED 5

static void expect_taken(uint64_t epoch, uint64_t first_seq, uint64_t count, uint64_t generation,
                         bool best_effort, enum commitment_fit fit, uint64_t skip, uint64_t next)
{
    struct commitment_place place = {EPOCH, 10};
    const struct commitment_batch b = {epoch, first_seq, count, generation};
    struct commitment_taken taken = commitment_take(&place, &b, ORDERED, best_effort);

    assert_int_equal(taken.fit, fit);
    assert_int_equal(taken.skip, skip);
    assert_int_equal(place.epoch, EPOCH);
    assert_int_equal(place.next, next);
}

static void test_waiting_events(void **state)
{
    (void)state;
    expect_taken(EPOCH, 10, 3, ORDERED, false, COMMITMENT_TAKE, 0, 13);
    expect_taken(EPOCH, 8, 3, ORDERED, false, COMMITMENT_TAKE, 2, 11);
    expect_taken(EPOCH, 8, 2, ORDERED, false, COMMITMENT_LEAVE, 0, 10);
    expect_taken(EPOCH, 10, 0, ORDERED, false, COMMITMENT_LEAVE, 0, 10);
    expect_taken(EPOCH, 11, 3, ORDERED, false, COMMITMENT_RESET, 0, 10);
    expect_taken(EPOCH + 1, 10, 3, ORDERED, false, COMMITMENT_RESET, 0, 10);
    expect_taken(EPOCH, 10, 3, ORDERED - 1, false, COMMITMENT_LEAVE, 0, 10);
    expect_taken(EPOCH, 10, 3, ORDERED - 1, true, COMMITMENT_TAKE, 0, 13);
}

static void test_first_epoch_is_taken(void **state)
{
    struct commitment_place place = {0, 1};
    const struct commitment_batch hole = {EPOCH, 2, 3, ORDERED}, first = {EPOCH, 1, 3, ORDERED};

    (void)state;
    assert_int_equal(commitment_take(&place, &hole, ORDERED, false).fit, COMMITMENT_RESET);
    assert_int_equal(place.epoch, 0);
    assert_int_equal(commitment_take(&place, &first, ORDERED, false).fit, COMMITMENT_TAKE);
    assert_int_equal(place.epoch, EPOCH);
    assert_int_equal(place.next, 4);
}

static void test_outcomes(void **state)
{
    (void)state;
    assert_int_equal(commitment_fence(1), 0);
    assert_int_equal(commitment_fence(0), ERR_FENCE);
    assert_int_equal(commitment_fence(2), ERR_FENCE);
    assert_int_equal(commitment_overlay_after(0), COMMITMENT_FOLD);
    assert_int_equal(commitment_overlay_after(ERR_DB_UNKNOWN), COMMITMENT_HOLD);
    assert_int_equal(commitment_overlay_after(ERR_FENCE), COMMITMENT_DROP);
    assert_int_equal(commitment_overlay_after(ERR_DB_DATA), COMMITMENT_DROP);
    assert_int_equal(commitment_remedy_after(ERR_DB_DATA), COMMITMENT_BISECT);
    assert_int_equal(commitment_remedy_after(ERR_DB_CONFIG), COMMITMENT_REFUSE);
    assert_int_equal(commitment_remedy_after(ERR_FENCE), COMMITMENT_REBUILD);
    assert_int_equal(commitment_remedy_after(ERR_DB_UNKNOWN), COMMITMENT_RECONNECT);
    assert_int_equal(commitment_remedy_after(ERR_DB_RETRY), COMMITMENT_BACK_OFF);
    assert_int_equal(commitment_turn_of(3, 3, 1, 1), COMMITMENT_TRY);
    assert_int_equal(commitment_turn_of(3, 4, 1, 1), COMMITMENT_DONE);
    assert_int_equal(commitment_turn_of(3, 4, 1, 2), COMMITMENT_DONE);
    assert_int_equal(commitment_turn_of(3, 3, 1, 2), COMMITMENT_LOOK_AGAIN);
}

static void test_follow(void **state)
{
    const struct commitment_place at = {EPOCH, 10}, nothing = {0, 1};

    (void)state;
    assert_int_equal(commitment_follow(&at, EPOCH, 10), 0);
    assert_int_equal(commitment_follow(&at, EPOCH, 9), ERR_FENCE);
    assert_int_equal(commitment_follow(&at, EPOCH, 11), ERR_FENCE);
    assert_int_equal(commitment_follow(&at, EPOCH + 1, 10), ERR_FENCE);
    assert_int_equal(commitment_follow(&nothing, EPOCH, 1), 0);
    assert_int_equal(commitment_follow(&nothing, EPOCH, 2), ERR_FENCE);
}

static enum commitment_belief believe(bool known, bool unresolved, bool same_server, uint64_t batch,
                                      uint64_t token)
{
    const struct commitment_memory m = {.believed = {8, 800, 3},
                                        .known = known,
                                        .unresolved = unresolved,
                                        .token = 900,
                                        .same_server = same_server};
    const struct commitment_shard found = {batch, token, 3};

    return commitment_believe(&m, &found);
}

static void test_belief(void **state)
{
    (void)state;
    assert_int_equal(believe(true, true, true, 9, 900), COMMITMENT_COMMITTED);
    assert_int_equal(believe(true, true, false, 9, 900), COMMITMENT_COMMITTED);
    assert_int_equal(believe(true, true, true, 8, 800), COMMITMENT_ROLLED_BACK);
    assert_int_equal(believe(true, true, true, 9, 901), COMMITMENT_REBUILT);
    assert_int_equal(believe(true, true, true, 10, 900), COMMITMENT_REBUILT);
    assert_int_equal(believe(true, false, true, 8, 800), COMMITMENT_ROLLED_BACK);
    assert_int_equal(believe(true, false, true, 9, 900), COMMITMENT_REBUILT);
    assert_int_equal(believe(true, false, false, 8, 800), COMMITMENT_REBUILT);
    assert_int_equal(believe(true, false, true, 8, 801), COMMITMENT_REBUILT);
    assert_int_equal(believe(false, true, true, 9, 900), COMMITMENT_REBUILT);
    assert_int_equal(believe(false, false, true, 8, 800), COMMITMENT_REBUILT);
}

static void test_set_back(void **state)
{
    const struct commitment_shard believed = {8, 800, 3}, same = {8, 800, 3}, other = {8, 801, 3},
                                  less = {7, 700, 2}, more = {9, 900, 3};

    (void)state;
    assert_false(commitment_is_set_back(8, &believed, &same));
    assert_false(commitment_is_set_back(8, &believed, &more));
    assert_true(commitment_is_set_back(8, &believed, &other));
    assert_true(commitment_is_set_back(8, &believed, &less));
    assert_true(commitment_is_set_back(10, &believed, &more)); /* seen while another wrote */
    assert_int_equal(commitment_snapshot(&believed, 8), 0);
    assert_int_equal(commitment_snapshot(&believed, 9), ERR_FENCE);
    assert_int_equal(commitment_snapshot(&believed, 7), ERR_FENCE);
}

static void test_advance(void **state)
{
    const struct commitment_shard believed = {8, 800, 3};
    struct commitment_shard next = commitment_advance(&believed, 900, 2);

    (void)state;
    assert_int_equal(next.batch, 9);
    assert_int_equal(next.token, 900);
    assert_int_equal(next.alert_seq, 5);
}

static void expect_accept(enum position_reason reason, uint64_t other_epoch, bool resend,
                          enum commitment_accept verdict, uint64_t epoch, uint64_t next)
{
    const struct commitment_place at = {EPOCH, 10};
    const struct position shown = {.mode = POSITION_STOPPED,
                                   .reason = reason,
                                   .epoch = EPOCH,
                                   .other_epoch = other_epoch,
                                   .first_kept = 50};
    struct commitment_place to = {0, 0};

    assert_int_equal(commitment_accept(&at, &shown, resend, &to), verdict);
    assert_int_equal(to.epoch, epoch);
    assert_int_equal(to.next, next);
}

static void test_accept(void **state)
{
    const struct commitment_place nothing = {0, 1}, at = {EPOCH, 10};
    struct position shown = {
        .mode = POSITION_STOPPED, .reason = POSITION_GONE, .epoch = EPOCH, .first_kept = 50};
    struct commitment_place to = {0, 0};

    (void)state;
    expect_accept(POSITION_NEW_EPOCH, EPOCH + 1, false, COMMITMENT_ACCEPTED, EPOCH + 1, 1);
    expect_accept(POSITION_NEW_EPOCH, EPOCH + 1, true, COMMITMENT_ACCEPTED, EPOCH + 1, 1);
    expect_accept(POSITION_NEW_EPOCH, EPOCH - 1, false, COMMITMENT_JOURNAL_OLDER, EPOCH - 1, 1);
    expect_accept(POSITION_GONE, 0, false, COMMITMENT_ACCEPTED, EPOCH, 50);
    expect_accept(POSITION_GONE, 0, true, COMMITMENT_JOURNAL_SAME, EPOCH, 50);
    expect_accept(POSITION_DAMAGED, 0, false, COMMITMENT_ACCEPTED, EPOCH, 10);
    expect_accept(POSITION_REWOUND, 0, false, COMMITMENT_JOURNAL_SHORT, 0, 0);
    assert_int_equal(commitment_accept(&nothing, &shown, false, &to), COMMITMENT_ACCEPTED);
    assert_int_equal(to.epoch, EPOCH); /* of a stream without epoch: the publisher's */
    assert_int_equal(to.next, 50);
    assert_int_equal(commitment_accept(&nothing, &shown, true, &to), COMMITMENT_JOURNAL_SAME);
    /* A receiver that has not yet followed the last order may show a stop that is over: never back. */
    shown.first_kept = 6;
    assert_int_equal(commitment_accept(&at, &shown, false, &to), COMMITMENT_NOT_STOPPED);
    shown.reason = POSITION_NEW_EPOCH;
    shown.other_epoch = EPOCH;
    assert_int_equal(commitment_accept(&at, &shown, false, &to), COMMITMENT_NOT_STOPPED);
    shown.mode = POSITION_LIVE;
    assert_int_equal(commitment_accept(&at, &shown, false, &to), COMMITMENT_NOT_STOPPED);
}

static void expect_answer(uint64_t epoch, uint64_t first_seq, uint32_t most, enum answer_kind kind,
                          uint64_t from, uint64_t until, uint64_t shown)
{
    const struct answer_kept kept = {EPOCH, 5, 10};
    const struct wire_header q = {.kind = WIRE_REQUEST, .epoch = epoch, .first_seq = first_seq};
    struct answer a = answer_fetch(&kept, &q, most);

    assert_int_equal(a.kind, kind);
    assert_int_equal(a.from, from);
    assert_int_equal(a.until, until);
    assert_int_equal(a.shown, shown);
}

static void test_answers(void **state)
{
    const struct answer_kept kept = {EPOCH, 5, 10};
    struct answer a = answer_hello(&kept);

    (void)state;
    assert_int_equal(a.kind, ANSWER_HEAD);
    assert_int_equal(a.shown, 10);
    expect_answer(EPOCH, 5, 100, ANSWER_RECORDS, 5, 10, 10);
    expect_answer(EPOCH, 7, 2, ANSWER_RECORDS, 7, 9, 10);
    expect_answer(0, 9, UINT32_MAX, ANSWER_RECORDS, 9, 10, 10);
    expect_answer(EPOCH, 10, 100, ANSWER_HEAD, 0, 0, 10);
    expect_answer(EPOCH, 99, 100, ANSWER_HEAD, 0, 0, 10);
    expect_answer(EPOCH, 4, 100, ANSWER_GONE, 0, 0, 5);
    expect_answer(EPOCH + 1, 4, 100, ANSWER_EPOCH, 0, 0, 10);
    expect_answer(EPOCH - 1, 7, 100, ANSWER_EPOCH, 0, 0, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waiting_events), cmocka_unit_test(test_first_epoch_is_taken),
        cmocka_unit_test(test_outcomes),       cmocka_unit_test(test_follow),
        cmocka_unit_test(test_belief),         cmocka_unit_test(test_set_back),
        cmocka_unit_test(test_advance),        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_answers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
