/* SPDX-License-Identifier: MIT
 *
 * Controls in huisonderwijs against a slow model, over every short history and every order of arrival.
 * links: workers/huisonderwijs.o
 */
#include "workers/huisonderwijs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH_MAX 6

static const char *const ids[LENGTH_MAX] = {"c1", "c2", "c3", "c4", "c5", "c6"};

/* Insufficient controls at the end of the list, none sufficient among them. */
static size_t model_tail(const struct controle *c, size_t n)
{
    size_t tail = 0;
    while (tail < n && !c[n - 1 - tail].sufficient)
        tail++;
    return tail;
}

static void check_history(const struct controle *c, size_t n)
{
    size_t cause, tail = model_tail(c, n);
    enum huisonderwijs_state s = huisonderwijs_judge(c, n, &cause);
    assert_int_equal(s, tail == 0   ? HUISONDERWIJS_CALM
                        : tail == 1 ? HUISONDERWIJS_DUE
                                    : HUISONDERWIJS_MUST_ENROL);
    if (tail == 1)
        assert_int_equal(cause, n - 1);
    if (tail > 1)
        assert_int_equal(cause,
                         n - tail + 1); /* the second of the series: it does not move when more follow */
}

static void permute(struct controle *c, size_t n, size_t at, const struct controle *sorted)
{
    if (at == n) {
        struct controle arrived[LENGTH_MAX];
        memcpy(arrived, c, n * sizeof *c);
        qsort(arrived, n, sizeof *arrived, controle_compare);
        for (size_t i = 0; i < n; i++)
            assert_ptr_equal(arrived[i].controle_id, sorted[i].controle_id);
        return;
    }
    for (size_t i = at; i < n; i++) {
        struct controle swap = c[at];
        c[at] = c[i], c[i] = swap;
        permute(c, n, at + 1, sorted);
        swap = c[at], c[at] = c[i], c[i] = swap;
    }
}

/* Sufficient or not, same day as the one before or a later one (perhaps of another school year). */
static void enumerate(struct controle *c, size_t n, size_t length)
{
    if (n == length) {
        struct controle copy[LENGTH_MAX];
        check_history(c, n);
        memcpy(copy, c, n * sizeof *c);
        if (n <= 5)
            permute(copy, n, 0, c);
        return;
    }
    for (int digit = 0; digit < 6; digit++) {
        memset(c + n, 0, sizeof *c);
        c[n].controle_id = ids[n];
        c[n].sufficient = digit % 2;
        c[n].date = (n ? c[n - 1].date : 20000) + digit / 2 * 200;
        c[n].year = 2024 + (c[n].date - 20000) / 365;
        enumerate(c, n + 1, length);
    }
}

static void test_every_short_history(void **state)
{
    (void)state;
    struct controle c[LENGTH_MAX];
    for (size_t length = 0; length <= LENGTH_MAX; length++)
        enumerate(c, 0, length);
}

static void test_worked_examples(void **state)
{
    (void)state;
    const struct controle across[] = {{"a", 19800, 2023, false}, {"b", 20100, 2024, false}};
    const struct controle ended[] = {
        {"a", 19800, 2023, false}, {"b", 20100, 2024, false}, {"c", 20200, 2024, true}};
    const struct controle apart[] = {
        {"a", 19800, 2023, false}, {"b", 20100, 2024, true}, {"c", 20200, 2024, false}};
    size_t cause;
    assert_int_equal(huisonderwijs_judge(across, 2, &cause), HUISONDERWIJS_MUST_ENROL);
    assert_int_equal(cause, 1);
    assert_int_equal(huisonderwijs_judge(ended, 3, &cause), HUISONDERWIJS_CALM);
    assert_int_equal(huisonderwijs_judge(apart, 3, &cause), HUISONDERWIJS_DUE);
    assert_int_equal(cause, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_short_history),
                                       cmocka_unit_test(test_worked_examples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
