/* SPDX-License-Identifier: MIT
 *
 * The deadline of a melding against a model that looks at every single day of the span, for every day of
 * a dozen years.
 * links: workers/melding.o workers/allocation.o workers/exact.o workers/event_table.o
 */
#include "workers/melding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/allocation.h"

static int32_t model_deadline(int32_t received, int days, int summer_days)
{
    for (int32_t day = received; day <= received + days; day++) {
        int y, m, d;
        date_to_ymd(day, &y, &m, &d);
        if (m == 7 || m == 8)
            return received + summer_days;
    }
    return received + days;
}

static void test_every_day(void **state)
{
    (void)state;
    for (int32_t day = date_from_ymd(2018, 1, 1); day < date_from_ymd(2031, 1, 1); day++) {
        int y, m, d;
        date_to_ymd(day, &y, &m, &d);
        assert_int_equal(melding_deadline(day, 30, 60), model_deadline(day, 30, 60));
        assert_int_equal(melding_deadline(day, 5, 9), model_deadline(day, 5, 9));
        assert_int_equal(melding_school_year(day), day >= school_year_start(y) ? y : y - 1);
    }
}

static void test_edges(void **state)
{
    (void)state;
    int32_t may31 = date_from_ymd(2024, 5, 31), june1 = date_from_ymd(2024, 6, 1);
    int32_t aug31 = date_from_ymd(2024, 8, 31), sep1 = date_from_ymd(2024, 9, 1);
    assert_int_equal(melding_deadline(may31, 30, 60), date_from_ymd(2024, 6, 30));
    assert_int_equal(melding_deadline(june1, 30, 60), date_from_ymd(2024, 7, 31));
    assert_int_equal(melding_deadline(aug31, 30, 60), date_from_ymd(2024, 10, 30));
    assert_int_equal(melding_deadline(sep1, 30, 60), date_from_ymd(2024, 10, 1));
    assert_false(melding_is_overdue(20000, 20000));
    assert_true(melding_is_overdue(20000, 20001));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_day), cmocka_unit_test(test_edges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
