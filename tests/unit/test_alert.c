/* SPDX-License-Identifier: MIT
 *
 * Threshold alerts against design 8, read literally; how alerts read; detail is always a whole JSON object.
 *
 * links: daemon/config_text.o workers/exact.o workers/rules.o workers/rules_table.o workers/allocation.o workers/event_table.o
 * links: workers/alert.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <yajl/yajl_tree.h>

#include "workers/alert.h"

static struct rules_set *set;
static struct alert alert;

static int load_rules(void **state)
{
    (void)state;
    char error[400] = "";
    set = rules_load("conf/rules", (struct rules_near){3, 1}, error, sizeof error);
    if (!set)
        print_error("%s\n", error);
    return set ? 0 : -1;
}

static int free_rules(void **state)
{
    (void)state;
    rules_free(&set);
    return 0;
}

static struct allocation so_row(enum status status, int margin_pupils, int margin_hours)
{
    return (struct allocation){.year = 2025,
                               .school_id = 46813,
                               .staffing = STAFFING_GOK_UREN_LERAAR,
                               .group = GROUP_GRAAD23,
                               .pupils = 500,
                               .gok = 127,
                               .has_threshold = true,
                               .threshold = {25, 2},
                               .has_points = true,
                               .points = {49, 0},
                               .hours_exact = {60025, 4},
                               .hours = 6,
                               .has_minimum = true,
                               .minimum = 6,
                               .status = status,
                               .threshold_holds = status != STATUS_BELOW_THRESHOLD,
                               .minimum_holds = status != STATUS_BELOW_MINIMUM,
                               .sanction_halves = 2,
                               .granted = 6,
                               .has_margin_pupils = true,
                               .has_margin_hours = true,
                               .margin_pupils = margin_pupils,
                               .margin_hours = margin_hours};
}

static struct allocation with_previous(struct allocation row, enum status previous)
{
    row.previous_known = true;
    row.previous = previous;
    row.previous_school = row.school_id;
    return row;
}

static bool fires(struct allocation row)
{
    return alert_from_allocation(&row, true, set, "Sint-Annacollege", &alert);
}

static void expect_alert(struct allocation row, enum alert_kind kind, enum severity severity)
{
    if (!fires(row))
        fail_msg("no alert at margins %d and %d", row.margin_pupils, row.margin_hours);
    assert_int_equal(alert.key.kind, kind);
    assert_int_equal(alert.severity, severity);
    assert_true(alert.firing);
    assert_int_equal(alert.key.school_id, 46813);
    assert_int_equal(alert.key.year, 2025);
    assert_int_equal(alert.key.group, GROUP_GRAAD23);
    assert_string_equal(alert.key.stream, "gok_uren_leraar");
    assert_string_equal(alert.key.subject, "");
}

static void near_fires_on_either_margin(void **state)
{
    (void)state;
    static const struct {
        int pupils, hours;
        bool near;
    } cases[] = {{3, 50, true}, {4, 50, false}, {50, 1, true}, {50, 2, false},
                 {2, 0, true},  {0, 9, true},   {-4, 9, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(
            fires(with_previous(so_row(STATUS_GRANTED, cases[i].pupils, cases[i].hours), STATUS_GRANTED)),
            cases[i].near);
}

static void near_is_critical_without_a_net(void **state)
{
    (void)state;
    static const int zero[][2] = {{0, 9}, {9, 0}, {0, 0}};
    for (size_t i = 0; i < 3; i++) {
        struct allocation row = so_row(STATUS_GRANTED, zero[i][0], zero[i][1]);
        expect_alert(with_previous(row, STATUS_GRANTED), ALERT_THRESHOLD_NEAR, SEVERITY_WARNING);
        expect_alert(with_previous(row, STATUS_GRACE), ALERT_THRESHOLD_NEAR, SEVERITY_CRITICAL);
        expect_alert(with_previous(row, STATUS_BELOW_MINIMUM), ALERT_THRESHOLD_NEAR, SEVERITY_CRITICAL);
        expect_alert(row, ALERT_THRESHOLD_NEAR, SEVERITY_CRITICAL);
    }
    expect_alert(so_row(STATUS_GRANTED, 1, 1), ALERT_THRESHOLD_NEAR, SEVERITY_WARNING);
}

static void grace_and_lost(void **state)
{
    (void)state;
    expect_alert(with_previous(so_row(STATUS_GRACE, -1, 3), STATUS_GRANTED), ALERT_THRESHOLD_GRACE,
                 SEVERITY_WARNING);
    static const enum status lost[] = {STATUS_BELOW_THRESHOLD, STATUS_BELOW_MINIMUM};
    for (size_t i = 0; i < 2; i++) {
        struct allocation row = so_row(lost[i], -1, -1);
        expect_alert(with_previous(row, STATUS_GRANTED), ALERT_THRESHOLD_LOST, SEVERITY_CRITICAL);
        expect_alert(with_previous(row, STATUS_GRACE), ALERT_THRESHOLD_LOST, SEVERITY_CRITICAL);
        assert_false(fires(with_previous(row, STATUS_BELOW_MINIMUM)));
        assert_false(fires(with_previous(row, STATUS_BELOW_THRESHOLD)));
        assert_false(fires(row));
    }
}

static void nothing_fires_on_an_open_count_or_in_bao(void **state)
{
    (void)state;
    struct allocation row = with_previous(so_row(STATUS_BELOW_THRESHOLD, -1, -1), STATUS_GRANTED);
    assert_false(alert_from_allocation(&row, false, set, "", &alert));
    struct allocation ses = {.year = 2025,
                             .school_id = 1,
                             .staffing = STAFFING_SES_LESTIJDEN,
                             .group = GROUP_LAGER,
                             .pupils = 2,
                             .sanction_halves = 2};
    assert_false(alert_from_allocation(&ses, true, set, "", &alert));
}

static yajl_val get(yajl_val tree, const char *name, yajl_type type)
{
    const char *path[] = {name, NULL};
    yajl_val value = yajl_tree_get(tree, path, type);
    if (!value)
        fail_msg("detail lacks %s: %s", name, alert.detail);
    return value;
}

static yajl_val parse_detail(void)
{
    char error[200];
    yajl_val tree = yajl_tree_parse(alert.detail, error, sizeof error);
    if (!tree)
        fail_msg("%s in %s", error, alert.detail);
    return tree;
}

static void texts_carry_the_numbers_and_what_they_rest_on(void **state)
{
    (void)state;
    expect_alert(so_row(STATUS_GRANTED, 0, 0), ALERT_THRESHOLD_NEAR, SEVERITY_CRITICAL);
    static const char *const said[] = {
        "School 46813 (Sint-Annacollege)",
        "gok_uren_leraar graad23 in 2025-2026, is near the loss of its 6 hours",
        "63.5 of 250 pupils (25.4 %)",
        "threshold 25 %",
        "6 hours, minimum 6, margin 0",
        "no gedoogjaar would catch it (2024-2025 is not known)",
        "unverified parameter"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(alert.summary, said[i]))
            fail_msg("'%s' is not in: %s", said[i], alert.summary);
    assert_true(strlen(alert.summary) < ALERT_SUMMARY_MAX - 1);

    yajl_val tree = parse_detail();
    assert_string_equal(YAJL_GET_STRING(get(tree, "school_id", yajl_t_string)), "46813");
    assert_string_equal(YAJL_GET_STRING(get(tree, "school_year", yajl_t_string)), "2025-2026");
    assert_string_equal(YAJL_GET_NUMBER(get(tree, "gok_pupils", yajl_t_number)), "63.5");
    assert_string_equal(YAJL_GET_NUMBER(get(tree, "threshold", yajl_t_number)), "0.25");
    assert_string_equal(YAJL_GET_NUMBER(get(tree, "hours_exact", yajl_t_number)), "6.0025");
    assert_true(YAJL_IS_TRUE(get(tree, "rests_on_unverified", yajl_t_any)));
    yajl_val rules = get(tree, "rules", yajl_t_array), unverified = get(tree, "unverified", yajl_t_array);
    size_t not_verified = 0;
    bool cap = false;
    for (size_t i = 0; i < rules->u.array.len; i++) {
        yajl_val rule = rules->u.array.values[i];
        const char *name = YAJL_GET_STRING(get(rule, "name", yajl_t_string));
        const struct parameter *p = rules_find(set, 2025, name);
        assert_non_null(p);
        assert_string_equal(YAJL_GET_STRING(get(rule, "value", yajl_t_string)), p->value);
        assert_string_equal(YAJL_GET_STRING(get(rule, "source", yajl_t_string)), p->source);
        assert_int_equal(YAJL_IS_TRUE(get(rule, "verified", yajl_t_any)), p->verified);
        not_verified += !p->verified;
        cap |= strcmp(name, "gok.cap") == 0;
    }
    assert_true(cap);
    assert_int_equal(unverified->u.array.len, not_verified);
    yajl_tree_free(tree);
}

/* A set in which everything is verified: the alert then says nothing of the kind. */
static void verified_rules_are_not_doubted(void **state)
{
    (void)state;
    size_t count = rules_count(set);
    struct parameter *rows = calloc(count, sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        rows[i] = *rules_parameter(set, i);
        rows[i].verified = true;
    }
    char error[200];
    struct rules_set *verified = rules_from_parameters(rows, count, rules_near(set), error, sizeof error);
    assert_non_null(verified);
    struct allocation row = so_row(STATUS_GRANTED, 0, 0);
    assert_true(alert_from_allocation(&row, true, verified, "", &alert));
    assert_null(strstr(alert.summary, "unverified"));
    yajl_val tree = parse_detail();
    assert_true(YAJL_IS_FALSE(get(tree, "rests_on_unverified", yajl_t_any)));
    yajl_tree_free(tree);
    row.year = 2040; /* carried over: unverified again */
    assert_true(alert_from_allocation(&row, true, verified, "", &alert));
    assert_non_null(strstr(alert.summary, "unverified"));
    rules_free(&verified);
    free(rows);
}

/* Long and broken texts: summary and detail stay bounded, whole and UTF-8. */
static void texts_never_break(void **state)
{
    (void)state;
    size_t count = rules_count(set);
    struct parameter *rows = calloc(count, sizeof *rows);
    static char source[301];
    memset(source, 'x', 300);
    for (size_t i = 0; i < count; i++) {
        rows[i] = *rules_parameter(set, i);
        rows[i].source = source;
    }
    char error[200], name[600];
    struct rules_set *wordy = rules_from_parameters(rows, count, rules_near(set), error, sizeof error);
    assert_non_null(wordy);
    for (size_t len = 0; len < 300; len++) {
        for (size_t i = 0; i < len; i++)
            memcpy(name + 2 * i, "\xc3\xab", 2); /* two bytes each */
        strcpy(name + 2 * len, len % 3 == 0 ? "\xff\x01\xc3" : "");
        struct allocation row = with_previous(so_row(STATUS_GRACE, -2000000000, -2000000000), STATUS_GRANTED);
        row.year = 2040;
        assert_true(alert_from_allocation(&row, true, wordy, name, &alert));
        yajl_tree_free(parse_detail()); /* yajl checks the UTF-8 */
        assert_true(strlen(alert.detail) > 1000);
        assert_non_null(strstr(alert.detail, "gok.threshold.graad23"));
        assert_true(alert.summary[strlen(alert.summary) - 1] == '.');
    }
    rules_free(&wordy);
    free(rows);
}

static void other_alerts(void **state)
{
    (void)state;
    alert_count_incomplete(7, "De School", 2024, 99, 100, &alert);
    assert_int_equal(alert.key.kind, ALERT_COUNT_INCOMPLETE);
    assert_int_equal(alert.severity, SEVERITY_WARNING);
    assert_int_equal(alert.key.year, 2024);
    assert_int_equal(alert.key.group, -1);
    assert_non_null(strstr(alert.summary, "99 registrations are held, the registry announced 100"));
    yajl_tree_free(parse_detail());

    struct alert_double d = {.school_id = 7,
                             .other_school_id = 8,
                             .count_year = 2023,
                             .schools = 2,
                             .pupil_hex = "00112233445566778899aabbccddeeff",
                             .weight_halves = 3};
    alert_registration_double(&d, &alert);
    assert_string_equal(alert.key.subject, d.pupil_hex);
    assert_int_equal(alert.key.school_id, 7);
    assert_non_null(strstr(alert.summary, "weights 1.5 together; another is school 8"));
    yajl_val tree = parse_detail();
    assert_string_equal(YAJL_GET_NUMBER(get(tree, "weight", yajl_t_number)), "1.5");
    yajl_tree_free(tree);
    alert_registration_double_on(&d, set, &alert); /* teldag 2024-02-01 is sourced */
    assert_null(strstr(alert.summary, "unverified"));
    d.count_year = 2022;
    alert_registration_double_on(&d, set, &alert);
    assert_non_null(strstr(alert.summary, "2023-02-01 is an unverified"));
    yajl_tree_free(parse_detail());

    alert_stream_gap("registration.0", "ahead of its publisher", 12, 5, 9, &alert);
    assert_int_equal(alert.severity, SEVERITY_CRITICAL);
    assert_string_equal(alert.key.stream, "registration.0");
    assert_string_equal(alert.summary,
                        "Stream registration.0 stands still: ahead of its publisher (epoch 12); "
                        "teldagctl status says what to do.");
    yajl_tree_free(parse_detail());
    alert_stream_stale("school.0", 61, &alert);
    assert_int_equal(alert.severity, SEVERITY_WARNING);
    yajl_tree_free(parse_detail());
    alert_dead_letter("school.0", date_from_ymd(2025, 2, 3), 2, "missing field \"name\"", &alert);
    assert_string_equal(alert.key.subject, "2025-02-03");
    assert_non_null(strstr(alert.summary, "2 events were refused on 2025-02-03"));
    yajl_tree_free(parse_detail());
    assert_true(alert_kind_is_operational(ALERT_DEAD_LETTER) && alert_kind_is_operational(ALERT_STREAM_GAP) &&
                alert_kind_is_operational(ALERT_STREAM_STALE));
    assert_false(alert_kind_is_operational(ALERT_THRESHOLD_LOST) ||
                 alert_kind_is_operational(ALERT_COUNT_INCOMPLETE));
}

static void a_resolution_needs_only_the_key(void **state)
{
    (void)state;
    expect_alert(so_row(STATUS_GRANTED, 0, 0), ALERT_THRESHOLD_NEAR, SEVERITY_CRITICAL);
    struct alert bare = {.key = alert.key, .severity = alert.severity, .firing = true};
    alert_resolve(&alert);
    alert_resolve(&bare);
    assert_false(alert.firing || bare.firing);
    assert_string_equal(alert.summary, bare.summary);
    assert_string_equal(bare.summary,
                        "Resolved: threshold.near, school 46813, gok_uren_leraar graad23, 2025-2026.");
    assert_string_equal(bare.detail, "{}");
    assert_non_null(strstr(alert.detail, "\"gok_pupils\":63.5"));
}

static void keys_have_a_total_order(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("TEST_SEED=%u\n", seed);
    srand(seed);
    struct alert_key keys[40] = {{0}};
    for (size_t i = 0; i < 40; i++) {
        keys[i].kind = (enum alert_kind)(rand() % 2);
        keys[i].school_id = (uint32_t)(rand() % 2);
        keys[i].year = rand() % 2;
        keys[i].group = rand() % 2 - 1;
        keys[i].stream[0] = (char)(rand() % 2 ? 'a' : 0);
        keys[i].subject[0] = (char)(rand() % 2 ? 'b' : 0);
    }
    for (size_t a = 0; a < 40; a++)
        for (size_t b = 0; b < 40; b++) {
            int ab = alert_key_compare(&keys[a], &keys[b]);
            assert_int_equal(ab > 0, alert_key_compare(&keys[b], &keys[a]) < 0);
            assert_int_equal(ab == 0, memcmp(&keys[a], &keys[b], sizeof keys[a]) == 0);
            assert_int_equal(ab == 0, alert_key_equal(&keys[a], &keys[b]));
            for (size_t c = 0; c < 40; c++)
                if (ab < 0 && alert_key_compare(&keys[b], &keys[c]) < 0)
                    assert_true(alert_key_compare(&keys[a], &keys[c]) < 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_fires_on_either_margin),
        cmocka_unit_test(near_is_critical_without_a_net),
        cmocka_unit_test(grace_and_lost),
        cmocka_unit_test(nothing_fires_on_an_open_count_or_in_bao),
        cmocka_unit_test(texts_carry_the_numbers_and_what_they_rest_on),
        cmocka_unit_test(verified_rules_are_not_doubted),
        cmocka_unit_test(texts_never_break),
        cmocka_unit_test(other_alerts),
        cmocka_unit_test(a_resolution_needs_only_the_key),
        cmocka_unit_test(keys_have_a_total_order),
    };
    return cmocka_run_group_tests(tests, load_rules, free_rules);
}
