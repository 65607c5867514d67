/* SPDX-License-Identifier: MIT
 *
 * How the alerts of reports, controls and meldingen read: keys exactly as they came, whole sentences and whole JSON also with the
 * longest names and keys, and what an inspector needs to know in them.
 * links: workers/alert_subject.o workers/alert.o workers/melding.o workers/allocation.o workers/exact.o
 * links: daemon/config_text.o workers/event_table.o workers/rules.o workers/rules_table.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <yajl/yajl_tree.h>

#include "workers/alert.h"

#define LONG_KEY "k\xc3\xa9y-0123456789-0123456789-0123456789-0123456789-0123456789-0123"

static struct rules_set *set;
static struct alert alert;
static yajl_val detail;
static char long_name[513];

static int load(void **state)
{
    char error[512] = "";
    (void)state;
    set = rules_load("conf/rules", (struct rules_near){3, 1}, error, sizeof error);
    for (size_t i = 0; i + 2 < sizeof long_name; i += 2)
        memcpy(long_name + i, "\xc3\xab", 2);
    return set ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    rules_free(&set);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    yajl_tree_free(detail);
    detail = NULL;
    return 0;
}

static struct alert_school school(const char *name, int32_t today)
{
    return (struct alert_school){999999999, name, set, today};
}

static struct inspection_report report(const char *id, enum gok_verdict gok, int advice)
{
    return (struct inspection_report){.report_id = id,
                                      .date = date_from_ymd(2025, 1, 15),
                                      .year = 2024,
                                      .doorlichting = true,
                                      .advice = advice,
                                      .gok = gok,
                                      .followup_due = EVALUATION_NO_DATE};
}

/* Whole: the sentence ends, the JSON parses, the key is what it was. */
static void check_whole(enum alert_kind kind, enum severity severity, const char *subject)
{
    char error[200];
    size_t len = strlen(alert.summary);
    assert_int_equal(alert.key.kind, kind);
    assert_int_equal(alert.severity, severity);
    assert_true(alert.firing);
    assert_string_equal(alert.key.subject, subject);
    assert_string_equal(alert.key.stream, "");
    assert_int_equal(alert.key.group, -1);
    assert_true(len > 40 && len < ALERT_SUMMARY_MAX - 1);
    assert_int_equal(alert.summary[len - 1], '.');
    yajl_tree_free(detail);
    detail = yajl_tree_parse(alert.detail, error, sizeof error);
    assert_true(detail && YAJL_IS_OBJECT(detail));
    assert_non_null(yajl_tree_get(detail, (const char *[]){"rule", NULL}, yajl_t_string));
    assert_non_null(yajl_tree_get(detail, (const char *[]){"rests_on_unverified", NULL}, yajl_t_any));
}

static void expect(const char *said)
{
    if (!strstr(alert.summary, said))
        fail_msg("'%s' is not in: %s", said, alert.summary);
}

static long long number(const char *name)
{
    yajl_val v = yajl_tree_get(detail, (const char *[]){name, NULL}, yajl_t_number);
    assert_non_null(v);
    return YAJL_GET_INTEGER(v);
}

static const char *text(const char *name)
{
    yajl_val v = yajl_tree_get(detail, (const char *[]){name, NULL}, yajl_t_string);
    return v ? YAJL_GET_STRING(v) : "";
}

static void test_evaluations(void **state)
{
    (void)state;
    struct inspection_report r[3] = {report("R1", GOK_NEGATIEF, -1), report("R2", GOK_NEGATIEF, -1),
                                     report("R3", GOK_POSITIEF, -1)};
    struct alert_stake stake = {
        .year = 2025, .rows = 2, .hours = 16, .half = 9, .has_cents = true, .cents = 123405};
    struct alert_school s = school("De Wilg", date_from_ymd(2025, 3, 1));
    alert_first_negative(&s, r, &stake, &alert);
    check_whole(ALERT_EVALUATION_FIRST_NEGATIVE, SEVERITY_WARNING, "R1");
    expect("School 999999999 (De Wilg): first negative evaluation");
    expect("7 of its 16 hours in 2025-2026 and 1234.05 euro of working budget");
    assert_int_equal(number("hours_at_stake"), 7);
    assert_int_equal(number("cents_at_stake"), 123405);
    assert_int_equal(alert.key.year, 2024);
    stake = (struct alert_stake){0};
    alert_first_negative(&s, r, &stake, &alert);
    check_whole(ALERT_EVALUATION_FIRST_NEGATIVE, SEVERITY_WARNING, "R1");
    expect("nothing is counted yet");
    assert_non_null(yajl_tree_get(detail, (const char *[]){"hours_at_stake", NULL}, yajl_t_null));

    alert_followup_due(&s, r, s.today + 14, 2, &alert);
    check_whole(ALERT_EVALUATION_FOLLOWUP_DUE, SEVERITY_CRITICAL, "R1");
    expect("is due by 2025-03-15, in 14 days.");
    assert_int_equal(number("days_left"), 14);
    r[0].followup_due = s.today - 2;
    alert_followup_due(&s, r, s.today - 2, 1, &alert);
    check_whole(ALERT_EVALUATION_FOLLOWUP_DUE, SEVERITY_WARNING, "R1");
    expect("is due on 2025-02-27, 2 days ago.");

    struct sanction_span span = {2025, EVALUATION_NO_YEAR, 1, 1};
    alert_second_negative(&s, r, &span, &stake, &alert);
    check_whole(ALERT_EVALUATION_SECOND_NEGATIVE, SEVERITY_CRITICAL, "R2");
    expect("is lost from 2025-2026 until an evaluation is positive");
    span = (struct sanction_span){2025, 2026, 1, 2};
    alert_second_negative(&s, r, &span, &stake, &alert);
    check_whole(ALERT_EVALUATION_SECOND_NEGATIVE, SEVERITY_CRITICAL, "R2");
    expect("is lost from 2025-2026 up to and including 2026-2027");
    assert_string_equal(text("last_year"), "2026-2027");
    assert_string_equal(text("positive_report_id"), "R3");
}

static void test_erkenning(void **state)
{
    (void)state;
    struct inspection_report r = report("E1", GOK_NONE, ADVICE_ONGUNSTIG_MET_OPSCHORTING);
    struct alert_school s = school("", date_from_ymd(2025, 2, 1));
    alert_ongunstig(&s, &r, &alert);
    check_whole(ALERT_ERKENNING_ONGUNSTIG, SEVERITY_CRITICAL, "E1");
    expect("until 2025-02-14, 13 days left.");
    assert_string_equal(text("deadline"), "2025-02-14");
    s.today = date_from_ymd(2025, 2, 15);
    alert_ongunstig(&s, &r, &alert);
    check_whole(ALERT_ERKENNING_ONGUNSTIG, SEVERITY_CRITICAL, "E1");
    expect("was to be asked by 2025-02-14.");
    r.advice = ADVICE_ONGUNSTIG_ZONDER_OPSCHORTING;
    alert_ongunstig(&s, &r, &alert);
    check_whole(ALERT_ERKENNING_ONGUNSTIG, SEVERITY_CRITICAL, "E1");
    expect("no opschorting can be asked.");
    assert_non_null(yajl_tree_get(detail, (const char *[]){"deadline", NULL}, yajl_t_null));
}

static void test_pupils_and_meldingen(void **state)
{
    (void)state;
    const char *pupil = "00112233445566778899aabbccddeeff";
    struct controle c = {"C1", date_from_ymd(2024, 11, 4), 2024, false};
    alert_control_due(pupil, &c, &alert);
    check_whole(ALERT_HUISONDERWIJS_CONTROL_DUE, SEVERITY_INFO, pupil);
    assert_int_equal(alert.key.school_id, 0);
    alert_second_insufficient(pupil, &c, &alert);
    check_whole(ALERT_HUISONDERWIJS_SECOND_INSUFFICIENT, SEVERITY_CRITICAL, pupil);
    expect("must enrol in a school.");

    struct alert_school s = school("Sint-Jan", date_from_ymd(2025, 2, 10));
    alert_answer_overdue(&s, "M1", date_from_ymd(2025, 1, 10), date_from_ymd(2025, 2, 9), &alert);
    check_whole(ALERT_MELDING_ANSWER_OVERDUE, SEVERITY_WARNING, "M1");
    expect("due by 2025-02-09 (30 calendar days).");
    assert_int_equal(number("days_left"), -1);
    alert_answer_overdue(&s, "M1", date_from_ymd(2024, 7, 1), date_from_ymd(2024, 8, 30), &alert);
    check_whole(ALERT_MELDING_ANSWER_OVERDUE, SEVERITY_WARNING, "M1");
    expect("60 calendar days, for the term touches July or August");
    assert_int_equal(alert.key.year, 2023);
}

static void test_longest_texts(void **state)
{
    (void)state;
    struct inspection_report r[2] = {report(LONG_KEY, GOK_NEGATIEF, ADVICE_ONGUNSTIG_ZONDER_OPSCHORTING),
                                     report(LONG_KEY, GOK_POSITIEF, -1)};
    struct alert_school s = school(long_name, INT32_MIN);
    struct alert_stake stake = {.year = 2025,
                                .hours = INT32_MAX,
                                .half = 1,
                                .has_cents = true,
                                .cents = INT64_MAX,
                                .unverified_count = ALERT_STAKE_RULES_MAX};
    struct sanction_span span = {2025, 2026, 0, 1};
    struct controle c = {LONG_KEY, 20000, 2024, false};
    for (int i = 0; i < ALERT_STAKE_RULES_MAX; i++)
        stake.unverified[i] = "gok.concentration_factor";
    assert_true(strlen(LONG_KEY) == 64);
    alert_first_negative(&s, r, &stake, &alert);
    check_whole(ALERT_EVALUATION_FIRST_NEGATIVE, SEVERITY_WARNING, LONG_KEY);
    alert_followup_due(&s, r, 20000, 1, &alert);
    check_whole(ALERT_EVALUATION_FOLLOWUP_DUE, SEVERITY_WARNING, LONG_KEY);
    alert_second_negative(&s, r, &span, &stake, &alert);
    check_whole(ALERT_EVALUATION_SECOND_NEGATIVE, SEVERITY_CRITICAL, LONG_KEY);
    alert_ongunstig(&s, r, &alert);
    check_whole(ALERT_ERKENNING_ONGUNSTIG, SEVERITY_CRITICAL, LONG_KEY);
    alert_answer_overdue(&s, LONG_KEY, 20000, 20060, &alert);
    check_whole(ALERT_MELDING_ANSWER_OVERDUE, SEVERITY_WARNING, LONG_KEY);
    alert_control_due("00112233445566778899aabbccddeeff", &c, &alert);
    check_whole(ALERT_HUISONDERWIJS_CONTROL_DUE, SEVERITY_INFO, "00112233445566778899aabbccddeeff");
    /* A control character is nothing for a sentence, but the key stays what it was. */
    alert_answer_overdue(&s, "M\n1", 20000, 20060, &alert);
    check_whole(ALERT_MELDING_ANSWER_OVERDUE, SEVERITY_WARNING, "M\n1");
    assert_null(strchr(alert.summary, '\n'));
    alert_resolve(&alert);
    assert_false(alert.firing);
    assert_null(strchr(alert.summary, '\n'));
    assert_string_equal(alert.key.subject, "M\n1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_evaluations, drop),
        cmocka_unit_test_teardown(test_erkenning, drop),
        cmocka_unit_test_teardown(test_pupils_and_meldingen, drop),
        cmocka_unit_test_teardown(test_longest_texts, drop),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
