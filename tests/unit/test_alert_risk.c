/* SPDX-License-Identifier: MIT
 *
 * What risk.high says: key, every figure in the detail, and a sentence that is whole with the longest of everything.
 * links: workers/alert.o workers/alert_risk.o workers/risk.o workers/allocation.o workers/exact.o workers/event_table.o
 * links: daemon/config_text.o workers/rules.o workers/rules_table.o daemon/json.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/json.h"
#include "workers/alert.h"

static struct rules_set *rules;

static int load(void **state)
{
    char error[512] = "";
    (void)state;
    rules = rules_load("conf/rules", (struct rules_near){3, 1}, error, sizeof error);
    return rules ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    rules_free(&rules);
    return 0;
}

static void make(const char *name, int year, int64_t events, int64_t all, int32_t observed, int64_t halves,
                 struct alert *out)
{
    struct risk_reference reference = {year,   LEVEL_BUBAO, RISK_HUISONDERWIJS,
                                       events, all,         risk_rate(events, all)};
    struct alert_school school = {999999999, name, rules, INT32_MIN};
    struct risk risk;
    risk_judge(observed, true, reference.rate, halves, &risk);
    assert_true(risk.judged);
    struct alert_risk facts = {&school, &reference, &risk, observed, halves};
    alert_risk_high(&facts, out);
}

static const char *text_of(const struct json_value *v, const char *name)
{
    return json_string(json_get(v, name), "");
}

static void figures(void **state)
{
    (void)state;
    struct alert a;
    char error[200];
    make("De Linde", 2024, 100, 400000, 5, 801, &a); /* .5 per 1,000; 400.5 pupils: .20025 expected */
    assert_int_equal(a.key.kind, ALERT_RISK_HIGH);
    assert_int_equal(a.key.school_id, 999999999);
    assert_int_equal(a.key.year, 2024);
    assert_int_equal(a.key.group, -1);
    assert_string_equal(a.key.subject, "huisonderwijs");
    assert_true(a.firing && a.severity == SEVERITY_WARNING && !a.key.stream[0]);
    assert_string_equal(
        a.summary,
        "School 999999999 (De Linde): 5 departures to huisonderwijs in 2024-2025, where 0.2003 would be "
        "expected of 400.5 pupils at the rate of level bubao, 0.5 per 1,000; by chance so many or more "
        "come with probability 2.3e-06.");
    struct json_value *detail = json_parse(a.detail, error, sizeof error);
    assert_non_null(detail);
    assert_string_equal(text_of(detail, "indicator"), "huisonderwijs");
    assert_string_equal(text_of(detail, "band"), "very_high");
    assert_string_equal(text_of(detail, "school_year"), "2024-2025");
    assert_int_equal(json_int(json_get(detail, "observed"), -1), 5);
    assert_int_equal(json_int(json_get(detail, "reference_events"), -1), 100);
    assert_true(json_double(json_get(detail, "expected"), 0) > 0.200249 &&
                json_double(json_get(detail, "expected"), 0) < 0.200251);
    assert_true(json_double(json_get(detail, "probability"), 1) < 3e-6);
    assert_false(
        json_bool(json_get(detail, "rests_on_unverified"), true)); /* the teldag of 2025-02-03 is verified */
    json_free(&detail);
}

/* The count rests on its teldag; one that is not verified is named. */
static void unverified_teldag(void **state)
{
    (void)state;
    struct alert a;
    make("", 2022, 100, 400000, 5, 801, &a);
    assert_non_null(strstr(a.summary, "School 999999999: "));
    assert_non_null(strstr(a.summary, "Rests on 1 unverified parameter."));
    assert_non_null(strstr(a.detail, "\"rests_on_unverified\":true"));
    assert_non_null(strstr(a.detail, "\"name\":\"teldag\""));
}

static void longest(void **state)
{
    (void)state;
    struct alert a;
    char name[600], error[200];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    name[3] = '"';
    make(name, 2022, 1000000, 1999999, 99999, 19999999, &a);
    assert_int_equal(a.summary[strlen(a.summary) - 1], '.');
    assert_non_null(strstr(a.summary, "parameter."));
    struct json_value *detail = json_parse(a.detail, error, sizeof error);
    assert_non_null(json_get(detail, "rules"));
    json_free(&detail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures),
        cmocka_unit_test(unverified_teldag),
        cmocka_unit_test(longest),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
