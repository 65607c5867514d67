/* SPDX-License-Identifier: MIT
 *
 * When the alert log goes on under its epoch, and when it needs a new one.
 * links: workers/epoch.o
 */
#include "workers/epoch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HERE "7300000000000000001/3/16400"

static const char *renewal(const char *stored, const char *now, bool synchronous, bool set_back)
{
    struct epoch_facts facts = {stored, now, synchronous, set_back};

    return epoch_renewal(&facts);
}

static void expect(const char *reason, const char *word)
{
    assert_non_null(reason);
    if (!strstr(reason, word))
        fail_msg("%s: does not say %s", reason, word);
}

static void test_goes_on(void **state)
{
    (void)state;
    for (int synchronous = 0; synchronous < 2; synchronous++)
        assert_null(renewal(HERE, HERE, synchronous, false));
    assert_null(
        renewal(HERE, "7300000000000000001/4/16400", true, false)); /* a synchronous standby was promoted */
    assert_null(renewal(HERE, "7300000000000000001/12/16400", true, false));
    /* Written by a version that did not record the table. */
    assert_null(renewal("7300000000000000001/3", HERE, false, false));
    assert_null(renewal("7300000000000000001/3", "7300000000000000001/4/16400", true, false));
}

static void test_first(void **state)
{
    (void)state;
    expect(renewal("", HERE, true, false), "first");
}

static void test_set_back(void **state)
{
    (void)state;
    expect(renewal(HERE, HERE, true, true), "set back");
    expect(renewal(HERE, "7300000000000000001/4/16400", true, true), "set back");
}

static void test_another_database(void **state)
{
    (void)state;
    expect(renewal(HERE, "7300000000000000002/3/16400", true, false), "system identifier");
    expect(renewal(HERE, "730000000000000000/3/16400", true, false), "system identifier");
    expect(renewal(HERE, "73000000000000000011/3/16400", true, false), "system identifier");
    expect(renewal(HERE, "7300000000000000001/3/16999", true, false), "dump");
}

static void test_timelines(void **state)
{
    (void)state;
    expect(renewal(HERE, "7300000000000000001/2/16400", true, false), "earlier timeline");
    expect(renewal(HERE, "7300000000000000001/4/16400", false, false), "without declared synchronous");
    expect(renewal("7300000000000000001/3", "7300000000000000001/4/16400", false, false),
           "without declared synchronous");
}

static void test_older_server(void **state)
{
    (void)state;
    assert_true(epoch_server_is_older("7300000000000000001/2/16400", HERE));
    assert_false(epoch_server_is_older(HERE, HERE));
    assert_false(epoch_server_is_older("7300000000000000001/10/16400", HERE));
    assert_false(epoch_server_is_older("7300000000000000002/2/16400", HERE));
    assert_false(epoch_server_is_older("7300000000000000001/2/16401", HERE));
    assert_false(epoch_server_is_older(HERE, ""));
    assert_true(epoch_database_is_same("7300000000000000001/4/16400", HERE));
    assert_false(epoch_database_is_same("7300000000000000001/3/16401", HERE));
    assert_false(epoch_database_is_same("7300000000000000002/3/16400", HERE));
    assert_false(epoch_database_is_same(HERE, ""));
}

/* A copy that was restored knows an older epoch than the one this process gave out on what was replaced. */
static void test_next_is_later_than_all(void **state)
{
    (void)state;
    assert_int_equal(epoch_next(100, 0, 0), 100);
    assert_int_equal(epoch_next(100, 99, 98), 100);
    assert_int_equal(epoch_next(100, 100, 0), 101);
    assert_int_equal(epoch_next(50, 100, 0), 101);
    assert_int_equal(epoch_next(50, 40, 100), 101);
    assert_int_equal(epoch_next(50, 100, 40), 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goes_on),
                                       cmocka_unit_test(test_first),
                                       cmocka_unit_test(test_set_back),
                                       cmocka_unit_test(test_another_database),
                                       cmocka_unit_test(test_timelines),
                                       cmocka_unit_test(test_older_server),
                                       cmocka_unit_test(test_next_is_later_than_all)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
