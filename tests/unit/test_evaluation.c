/* SPDX-License-Identifier: MIT
 *
 * Evaluations and sanctions against a slow model that states the regulation year by year and report by report,
 * over every short history: verdicts, school years, and orders of arrival.
 * links: workers/evaluation.o workers/allocation.o workers/exact.o workers/event_table.o
 */
#include "workers/evaluation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "workers/allocation.h"

#define LENGTH_MAX 6
#define BASE       2020

/* ---- the model: nothing but quantifiers over the list ---- */

static bool is_verdict(const struct inspection_report *r)
{
    return r->gok != GOK_NONE;
}

/* Negatives among reports [0, i], not counting what stands before the last positive. */
static int model_negatives(const struct inspection_report *r, size_t end)
{
    int negatives = 0;
    for (size_t k = 0; k < end; k++) {
        bool positive_later = false;
        for (size_t m = k + 1; m < end; m++)
            positive_later |= r[m].gok == GOK_POSITIEF;
        negatives += r[k].gok == GOK_NEGATIEF && !positive_later;
    }
    return negatives;
}

/* Is the report the second negative of its series? */
static bool model_is_second(const struct inspection_report *r, size_t i)
{
    return r[i].gok == GOK_NEGATIEF && model_negatives(r, i + 1) == 2;
}

/* The first positive after i, or n. */
static size_t model_release(const struct inspection_report *r, size_t n, size_t i)
{
    size_t k = i + 1;
    while (k < n && r[k].gok != GOK_POSITIEF)
        k++;
    return k;
}

static bool model_covers(const struct inspection_report *r, size_t n, int year)
{
    for (size_t i = 0; i < n; i++) {
        size_t p = model_release(r, n, i);
        if (model_is_second(r, i) && year > r[i].year && (p == n || year <= r[p].year))
            return true;
    }
    return false;
}

static const struct inspection_report *model_last(const struct inspection_report *r, size_t n)
{
    const struct inspection_report *last = NULL;
    for (size_t i = 0; i < n; i++)
        if (is_verdict(r + i))
            last = r + i;
    return last;
}

/* ---- comparing ---- */

static const char *const ids[LENGTH_MAX] = {"r1", "r2", "r3", "r4", "r5", "r6"};

static void check_history(const struct inspection_report *sorted, size_t n)
{
    struct evaluation e;
    struct sanction_span spans[LENGTH_MAX / 2 + 1];
    evaluation_judge(sorted, n, &e, spans);
    const struct inspection_report *last = model_last(sorted, n);
    assert_int_equal(e.negatives, model_negatives(sorted, n));
    assert_int_equal(e.any, last != NULL);
    if (last)
        assert_ptr_equal(sorted + e.last, last);
    assert_true(e.span_count <= n / 2);
    for (int year = BASE - 2; year < BASE + LENGTH_MAX + 4; year++)
        assert_int_equal(sanction_covers(spans, e.span_count, year), model_covers(sorted, n, year));
    for (size_t k = 0; k < e.span_count; k++) {
        size_t release = model_release(sorted, n, spans[k].second);
        assert_true(model_is_second(sorted, spans[k].second));
        assert_int_equal(spans[k].last_year == EVALUATION_NO_YEAR, release == n);
        if (release < n)
            assert_int_equal(spans[k].positive, release);
    }
    int32_t due = evaluation_followup_due(&e, sorted, 12);
    if (!last || last->gok == GOK_POSITIEF)
        assert_int_equal(due, EVALUATION_NO_DATE);
    else if (last->followup_due != EVALUATION_NO_DATE)
        assert_int_equal(due, last->followup_due);
    else if (model_negatives(sorted, n) == 1)
        assert_int_equal(due, date_add_months(last->date, 12));
    else
        assert_int_equal(due, EVALUATION_NO_DATE);
}

static void permute(struct inspection_report *r, size_t n, size_t at, const struct inspection_report *sorted)
{
    if (at == n) {
        struct inspection_report arrived[LENGTH_MAX];
        memcpy(arrived, r, n * sizeof *r);
        qsort(arrived, n, sizeof *arrived, inspection_report_compare);
        for (size_t i = 0; i < n; i++)
            assert_ptr_equal(arrived[i].report_id, sorted[i].report_id);
        return;
    }
    for (size_t i = at; i < n; i++) {
        struct inspection_report swap = r[at];
        r[at] = r[i], r[i] = swap;
        permute(r, n, at + 1, sorted);
        swap = r[at], r[at] = r[i], r[i] = swap;
    }
}

/* One report: verdict x step of the school year x same day as the one before or not. */
static struct inspection_report make_report(size_t i, unsigned digit, const struct inspection_report *before)
{
    struct inspection_report r;
    memset(&r, 0, sizeof r);
    r.report_id = ids[i];
    r.gok = (enum gok_verdict)(digit % 3);
    r.year =
        (before ? before->year : BASE) + (int)(digit / 3) - 1; /* also a year back: never guessed right */
    r.date = school_year_start(r.year) + 100;
    if (before && r.date < before->date)
        r.date = before->date; /* the id decides */
    r.advice = -1;
    r.followup_due = i % 2 ? r.date + 200 : EVALUATION_NO_DATE;
    return r;
}

static void enumerate(struct inspection_report *r, size_t n, size_t length, unsigned digits, bool permuted)
{
    if (n == length) {
        struct inspection_report copy[LENGTH_MAX];
        check_history(r, n);
        memcpy(copy, r, n * sizeof *r);
        if (permuted)
            permute(copy, n, 0, r);
        return;
    }
    for (unsigned digit = 0; digit < digits; digit++) {
        r[n] = make_report(n, digit, n ? r + n - 1 : NULL);
        enumerate(r, n + 1, length, digits, permuted);
    }
}

static void test_every_short_history(void **state)
{
    (void)state;
    struct inspection_report r[LENGTH_MAX];
    for (size_t length = 0; length <= 4; length++)
        enumerate(r, 0, length, 9, true); /* years back, same and on; every order of arrival */
    enumerate(r, 0, 5, 9, false);
    enumerate(r, 0, 6, 9, false);
}

/* The regulation's own examples, so that model and machine are not wrong together. */
static void judge_word(const char *verdicts, const int *years, struct evaluation *e,
                       struct sanction_span *spans)
{
    struct inspection_report r[LENGTH_MAX];
    size_t n = strlen(verdicts);
    for (size_t i = 0; i < n; i++) {
        r[i] = (struct inspection_report){.report_id = ids[i],
                                          .date = school_year_start(years[i]) + 50 + (int)i,
                                          .year = years[i],
                                          .advice = -1,
                                          .gok = verdicts[i] == '+'   ? GOK_POSITIEF
                                                 : verdicts[i] == '-' ? GOK_NEGATIEF
                                                                      : GOK_NONE,
                                          .followup_due = EVALUATION_NO_DATE};
    }
    evaluation_judge(r, n, e, spans);
}

static void test_worked_examples(void **state)
{
    (void)state;
    struct evaluation e;
    struct sanction_span s[3];
    judge_word("-", (int[]){2021}, &e, s);
    assert_int_equal(e.negatives, 1);
    assert_int_equal(e.span_count, 0);
    judge_word("--", (int[]){2021, 2022}, &e, s);
    assert_int_equal(e.span_count, 1);
    assert_int_equal(s[0].first_year, 2023);
    assert_int_equal(s[0].last_year, EVALUATION_NO_YEAR);
    judge_word("--+", (int[]){2021, 2022, 2024}, &e, s);
    assert_int_equal(s[0].last_year, 2024);
    assert_false(sanction_covers(s, 1, 2022));
    assert_true(sanction_covers(s, 1, 2023));
    assert_true(sanction_covers(s, 1, 2024));
    assert_false(sanction_covers(s, 1, 2025));
    judge_word("--+", (int[]){2021, 2022, 2022}, &e, s); /* positive in the year of the second negative */
    for (int year = 2019; year < 2030; year++)
        assert_false(sanction_covers(s, e.span_count, year));
    judge_word("-0-", (int[]){2021, 2022, 2023}, &e, s); /* none changes nothing */
    assert_int_equal(s[0].first_year, 2024);
    judge_word("-+-", (int[]){2021, 2022, 2023}, &e, s);
    assert_int_equal(e.span_count, 0);
    assert_int_equal(e.negatives, 1);
    judge_word("--+--+", (int[]){2015, 2016, 2018, 2019, 2020, 2022}, &e, s); /* several spans */
    assert_int_equal(e.span_count, 2);
    assert_int_equal(s[1].first_year, 2021);
    assert_int_equal(s[1].last_year, 2022);
    judge_word("----", (int[]){2015, 2016, 2018, 2019}, &e, s); /* further negatives change nothing */
    assert_int_equal(e.span_count, 1);
    assert_int_equal(s[0].first_year, 2017);
}

/* ---- days ---- */

/* What `changes` promises: the first day after today on which the answer is another one. */
static void test_sanction_runs_until_the_year_is_over(void **state)
{
    (void)state;
    struct sanction_span spans[] = {
        {2023, 2024, 0, 0}, {2023, 2023, 0, 0}, {2023, 2022, 0, 0}, {2023, EVALUATION_NO_YEAR, 0, 0}};
    for (size_t i = 0; i < 4; i++) {
        int32_t promised = EVALUATION_NEVER;
        bool before = false;
        for (int32_t day = school_year_start(2021); day < school_year_start(2027); day++) {
            int32_t changes;
            bool runs = sanction_runs(spans + i, day, &changes);
            bool expected =
                spans[i].last_year == EVALUATION_NO_YEAR || (spans[i].last_year >= spans[i].first_year &&
                                                             day < school_year_start(spans[i].last_year + 1));
            assert_int_equal(runs, expected);
            if (day > school_year_start(2021))
                assert_int_equal(runs != before, day == promised);
            before = runs;
            promised = changes;
        }
    }
}

static void test_followup_urgency(void **state)
{
    (void)state;
    int32_t due = date_from_ymd(2025, 3, 1), promised = EVALUATION_NEVER, changes;
    int before = 0;
    for (int32_t day = due - 400; day < due + 400; day++) {
        int urgency = evaluation_followup_urgency(due, day, &changes);
        int32_t left = due - day;
        assert_int_equal(urgency, left <= 14 ? 2 : left <= 60 ? 1 : 0);
        if (day > due - 400)
            assert_int_equal(urgency != before, day == promised);
        before = urgency;
        promised = changes;
    }
    assert_int_equal(evaluation_followup_urgency(EVALUATION_NO_DATE, due, &changes), 0);
    assert_int_equal(changes, EVALUATION_NEVER);
}

static void test_months(void **state)
{
    (void)state;
    assert_int_equal(date_add_months(date_from_ymd(2024, 2, 29), 12), date_from_ymd(2025, 2, 28));
    assert_int_equal(date_add_months(date_from_ymd(2023, 3, 15), 12), date_from_ymd(2024, 3, 15));
    assert_int_equal(date_add_months(date_from_ymd(2023, 10, 31), 1), date_from_ymd(2023, 11, 30));
    assert_int_equal(date_add_months(date_from_ymd(2023, 12, 31), 2), date_from_ymd(2024, 2, 29));
    assert_int_equal(date_add_months(date_from_ymd(2023, 11, 5), 24), date_from_ymd(2025, 11, 5));
}

/* ---- erkenning ---- */

static bool model_threatened(const struct inspection_report *r, size_t n, size_t i)
{
    bool later = false;
    for (size_t k = 0; k < n; k++)
        later |=
            r[k].doorlichting &&
            (r[k].date > r[i].date || (r[k].date == r[i].date && strcmp(r[k].report_id, r[i].report_id) > 0));
    return !later && !r[i].opschorting_asked &&
           strncmp(r[i].advice < 0 ? "" : advice_names[r[i].advice], "ongunstig", 9) == 0;
}

/* Every history of up to four reports over advice, kind, opschorting and day. */
static void test_every_short_history_of_advice(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 3; n++) {
        size_t words = 1;
        for (size_t i = 0; i < n; i++)
            words *= 40;
        for (size_t word = 0; word < words; word++) {
            struct inspection_report r[3];
            size_t rest = word;
            for (size_t i = 0; i < n; i++, rest /= 40)
                r[i] = (struct inspection_report){.report_id = ids[i],
                                                  .date = (i ? r[i - 1].date : 19000) + (int)(rest % 2),
                                                  .doorlichting = rest / 2 % 2,
                                                  .opschorting_asked = rest / 4 % 2,
                                                  .advice = (int)(rest / 8 % 5) - 1,
                                                  .gok = GOK_NONE};
            for (size_t i = 0; i < n; i++)
                assert_int_equal(erkenning_is_threatened(r, n, i), model_threatened(r, n, i));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_short_history),
        cmocka_unit_test(test_worked_examples),
        cmocka_unit_test(test_sanction_runs_until_the_year_is_over),
        cmocka_unit_test(test_followup_urgency),
        cmocka_unit_test(test_months),
        cmocka_unit_test(test_every_short_history_of_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
