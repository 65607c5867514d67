/* SPDX-License-Identifier: MIT
 *
 * Rules files: the shipped ones as a test input, strictness (each wrong file is refused with file, line and
 * key), carry-over between years, the hash, and the way back from stored rows.
 *
 * links: daemon/config_text.o workers/exact.o workers/rules.o workers/rules_table.o workers/allocation.o workers/event_table.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "workers/allocation.h"
#include "workers/rules.h"

static const struct rules_near near_default = {3, 1};
static char folder[] = "/tmp/test_rules_XXXXXX";
static char error[400];
static struct rules_set *shipped;

static int prepare(void **state)
{
    (void)state;
    shipped = rules_load("conf/rules", near_default, error, sizeof error);
    if (!shipped)
        print_error("%s\n", error);
    return shipped && mkdtemp(folder) ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    rules_free(&shipped);
    return rmdir(folder);
}

static char *read_all(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

/* The shipped 2024-2025 with the first `from` replaced by `to`, loaded under another name. */
static struct rules_set *load_changed(const char *from, const char *to, const char *name)
{
    char *text = read_all("conf/rules/2024-2025.conf"), path[200];
    char *at = strstr(text, from);
    if (!at)
        fail_msg("'%s' stands nowhere in the shipped file", from);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    fclose(file);
    error[0] = '\0';
    struct rules_set *set = rules_load(folder, near_default, error, sizeof error);
    unlink(path);
    return set;
}

static void expect_refusal(const char *from, const char *to, const char *line, const char *said,
                           const char *nearest)
{
    struct rules_set *set = load_changed(from, to, "2024-2025.conf");
    if (set)
        fail_msg("'%s' was accepted for '%s'", to, from);
    if (!strstr(error, "/2024-2025.conf") || !strstr(error, line) || !strstr(error, said) ||
        !strstr(error, nearest))
        fail_msg("for '%s' the error reads: %s", to, error);
}

static void table_is_in_order(void **state)
{
    (void)state;
    for (int i = 1; i < RULES_SPEC_COUNT; i++)
        assert_true(strcmp(rules_specs[i - 1].name, rules_specs[i].name) < 0);
}

static void shipped_years(void **state)
{
    (void)state;
    static const char *const teldag[] = {"2020-02-03", "2021-02-01", "2022-02-01", "2023-02-01",
                                         "2024-02-01", "2025-02-03", "2026-02-02"};
    assert_int_equal(rules_count(shipped), 7 * RULES_SPEC_COUNT);
    for (int year = 2020; year <= 2026; year++) {
        const struct rules *rules = rules_for_year(shipped, year);
        assert_int_equal(rules->year, year);
        assert_int_equal(rules->file_year, year);
        const struct parameter *row = rules_find(shipped, year, "teldag");
        assert_string_equal(row->value, teldag[year - 2020]);
        assert_int_equal(row->verified, year == 2024 || year == 2025);
        assert_int_equal(rules->teldag, rules_derived_teldag(year - 1)); /* also where it is sourced */
    }
    for (size_t i = 0; i < rules_count(shipped); i++) {
        const struct parameter *row = rules_parameter(shipped, i);
        assert_ptr_equal(rules_find(shipped, row->year, row->name), row);
        if (strstr(row->source, "[?]"))
            assert_false(row->verified);
    }
    assert_null(rules_parameter(shipped, rules_count(shipped)));
    assert_null(rules_find(shipped, 2024, "gok.kap"));
}

static void expect_exact(struct exact value, const char *text)
{
    char out[EXACT_TEXT_MAX];
    exact_format(value, out);
    assert_string_equal(out, text);
}

/* Every number of regulation 2, so that a slip in a file cannot hide. */
static void shipped_values(void **state)
{
    (void)state;
    for (int year = 2020; year <= 2026; year++) {
        const struct rules *r = rules_for_year(shipped, year);
        expect_exact(r->ses_moeder, "0.2671");
        expect_exact(r->ses_thuistaal, "0.29116");
        expect_exact(r->ses_toelage, "0.11917");
        expect_exact(r->so_weight[IND_TREKKEND], "0.8");
        expect_exact(r->so_weight[IND_THUISLOOS], "0.8");
        expect_exact(r->so_weight[IND_OPLEIDING_MOEDER], "0.6");
        expect_exact(r->so_weight[IND_SCHOOLTOELAGE], "0.4");
        expect_exact(r->so_weight[IND_THUISTAAL], "0.2");
        expect_exact(r->so_weight[IND_BUURT], "0");
        expect_exact(r->so_cap, "1.2");
        expect_exact(r->so_brussels_factor, "1.5");
        expect_exact(r->so_concentration_factor, "1.5");
        expect_exact(r->so_concentration_share, "0.55");
        expect_exact(r->so_threshold[GROUP_GRAAD1], "0.1");
        expect_exact(r->so_threshold[GROUP_OKAN], "0.1");
        expect_exact(r->so_threshold[GROUP_GRAAD23], "0.25");
        expect_exact(r->so_value[GROUP_GRAAD1], "0.2916");
        expect_exact(r->so_value[GROUP_OKAN], "0.2916");
        expect_exact(r->so_value[GROUP_GRAAD23], "0.1225");
        expect_exact(r->bu_value[0], "0.252220818");
        expect_exact(r->bu_value[1], "0.227197");
        for (int kind = 0; kind < 2; kind++) {
            expect_exact(r->bu_moeder[kind], "0.8");
            expect_exact(r->bu_thuistaal[kind], "0.4");
            expect_exact(r->bu_threshold[kind], "0.4");
            assert_int_equal(r->bu_minimum[kind], 6);
        }
        assert_int_equal(r->so_minimum, 6);
        assert_int_equal(r->rounding, ROUND_GT4);
        assert_true(r->so_combination && r->round_points_so && r->round_points_buso &&
                    !r->round_points_bubao);
        assert_true(r->minimum_on_rounded && r->gedoog_covers_threshold);
        assert_false(r->bu_eligibility_or || r->bu_share_any);
        assert_true(r->budget_envelope[0] == RULES_NO_EURO && r->budget_envelope[1] == RULES_NO_EURO);
        expect_exact(r->budget_split[IND_OPLEIDING_MOEDER], "0.3");
        expect_exact(r->budget_split[IND_SCHOOLTOELAGE], "0.3");
        expect_exact(r->budget_split[IND_THUISTAAL], "0.2");
        expect_exact(r->budget_split[IND_BUURT], "0.2");
        expect_exact(r->budget_split[IND_TREKKEND], "0");
    }
}

static void switches_reach_their_fields(void **state)
{
    (void)state;
    struct rules_set *set;
#define SWITCHED(from, to, condition)                                                                        \
    do {                                                                                                     \
        set = load_changed(from, to, "2024-2025.conf");                                                      \
        if (!set)                                                                                            \
            fail_msg("%s", error);                                                                           \
        const struct rules *r = rules_for_year(set, 2024);                                                   \
        assert_true(condition);                                                                              \
        assert_string_not_equal(rules_hash(set), rules_hash(shipped));                                       \
        rules_free(&set);                                                                                    \
    } while (0)
    SWITCHED("\"gt4\"", "\"ge4\"", r->rounding == ROUND_GE4);
    SWITCHED("combination = { value = true", "combination = { value = false", !r->so_combination);
    SWITCHED("combination = { value = true", "combination = { value = \"false\"", !r->so_combination);
    SWITCHED("\"rounded\"", "\"exact\"", !r->minimum_on_rounded);
    SWITCHED("\"and\"", "\"or\"", r->bu_eligibility_or);
    SWITCHED("share_counts = { value = \"moeder\"", "share_counts = { value = \"any\"", r->bu_share_any);
    SWITCHED("\"threshold and minimum\"", "\"minimum\"", !r->gedoog_covers_threshold);
    SWITCHED("round_points = { value = true", "round_points = { value = false", !r->round_points_so);
    SWITCHED("minimum = { value = \"6\"", "minimum = { value = \"12\"", r->so_minimum == 12);
    SWITCHED("\"2024-02-01\"", "\"2024-02-02\"", r->teldag == date_from_ymd(2024, 2, 2));
    SWITCHED("envelope_bao = { value = \"\"", "envelope_bao = { value = \"64500000\"",
             r->budget_envelope[0] == 6450000000 && r->budget_envelope[1] == RULES_NO_EURO);
    SWITCHED("envelope_so = { value = \"\"", "envelope_so = { value = \"43000000.5\"",
             r->budget_envelope[1] == 4300000050);
}

static void strictness(void **state)
{
    (void)state;
    expect_refusal("    cap = {", "    kap = {", ":24: gok.kap", "unknown parameter", "did you mean gok.cap");
    expect_refusal("teldag = {", "teldagg = {", ":4: teldagg", "unknown parameter", "teldag");
    expect_refusal("bu = {", "bo = {", ": bo", "unknown parameter", "did you mean");
    expect_refusal("        okan = {", "        okn = {", "gok.threshold.okn", "unknown",
                   "gok.threshold.okan");
    expect_refusal("cap = { value", "cap = { valeu", ":24: gok.cap.valeu", "unknown key", "value");
    expect_refusal("cap = { value = \"1.2\"; source = \"[?]\"; verified = false; };", "", "gok.cap",
                   "missing", "");
    expect_refusal("cap = { value = \"1.2\"; source = \"[?]\"; verified = false; };",
                   "cap = { value = \"1.2\"; source = \"[?]\"; };", ":24: gok.cap", "lacks verified", "");
    expect_refusal("cap = { value = \"1.2\"; source = \"[?]\"; verified = false; };", "cap = \"1.2\";",
                   ":24: gok.cap", "must be a group", "");
    expect_refusal("    combination = {", "    cap = {", ":24", "duplicate", "");
    expect_refusal("    cap = {", "@include \"/etc/passwd\"\n    cap = {", ":24: @include", "not supported",
                   "");
    expect_refusal("\"1.2\"", "1.2", ":24: gok.cap", "quoted decimal", "");
    expect_refusal("\"1.2\"", "\"1,2\"", ":24: gok.cap", "quoted decimal", "");
    expect_refusal("\"1.2\"", "\"-1.2\"", ":24: gok.cap", "from 0 to 4", "");
    expect_refusal("\"1.2\"", "\"4.1\"", ":24: gok.cap", "from 0 to 4", "");
    expect_refusal("\"1.2\"", "\"1.0123456789\"", ":24: gok.cap", "9 digits", "");
    expect_refusal("brussels_factor = { value = \"1.5\"", "brussels_factor = { value = \"0.9\"",
                   "gok.brussels_factor", "from 1 to 4", "");
    expect_refusal("\"0.25\"", "\"1\"", "gok.threshold.graad23", "from 0 to 0.999999999", "");
    expect_refusal("minimum = { value = \"6\"", "minimum = { value = 6", "gok.minimum", "quoted whole number",
                   "");
    expect_refusal("minimum = { value = \"6\"", "minimum = { value = \"6.5\"", "gok.minimum", "whole number",
                   "");
    expect_refusal("minimum = { value = \"6\"", "minimum = { value = 4294967302", "gok.minimum",
                   "whole number", "");
    expect_refusal("\"gt4\"", "\"gt5\"", ":5: rounding", "\"gt4\" or \"ge4\"", "");
    expect_refusal("combination = { value = true", "combination = { value = \"yes\"", "gok.combination",
                   "true or false", "");
    expect_refusal("\"2024-02-01\"", "\"2024-02-30\"", ":4: teldag", "date", "");
    expect_refusal("\"2024-02-01\"", "\"2025-02-03\"", ":4: teldag", "within the school year that is counted",
                   "");
    expect_refusal("\"2024-02-01\"", "\"2024-2-1\"", ":4: teldag", "date", "");
    expect_refusal("source = \"[?]\"", "source = \"\"", "gok.weight.trekkend", "source must be", "");
    expect_refusal("source = \"[?]\"", "source = \"\xff\"", "gok.weight.trekkend", "UTF-8", "");
    expect_refusal("source = \"[?]\"", "source = 7", "gok.weight.trekkend", "source must be", "");
    expect_refusal("verified = false", "verified = \"false\"", ":5: rounding", "verified must be", "");
    expect_refusal("envelope_bao = { value = \"\"", "envelope_bao = { value = \"1.005\"",
                   "budget.envelope_bao", "at most 2 digits", "");
    expect_refusal("envelope_so = { value = \"\"", "envelope_so = { value = \"-1\"", "budget.envelope_so",
                   "amount in euro from 0", "");
    expect_refusal("envelope_so = { value = \"\"", "envelope_so = { value = 64500000", "budget.envelope_so",
                   "amount in euro", "");
    expect_refusal("ses = {", "ses = ", ":", "syntax error", "");
}

static void an_envelope_is_split_whole(void **state)
{
    (void)state;
    struct rules_set *set =
        load_changed("thuistaal = { value = \"0.20\"", "thuistaal = { value = \"0.2\"",
                     "2024-2025.conf"); /* of budget.split: gok.weight.thuistaal has 0.2 */
    assert_non_null(set);
    rules_free(&set);
    assert_null(load_changed("thuistaal = { value = \"0.20\"", "thuistaal = { value = \"0.200000001\"",
                             "2024-2025.conf"));
    assert_non_null(strstr(error, "2024-2025: budget.split: the parts add up to 1.000000001 instead of 1"));
}

static void file_names_are_school_years(void **state)
{
    (void)state;
    static const char *const wrong[] = {"2024-2026.conf", "2024.conf", "x024-2025.conf", "2024-2025.old.conf",
                                        "1980-1981.conf"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct rules_set *set = load_changed("\"gt4\"", "\"gt4\"", wrong[i]);
        assert_null(set);
        assert_non_null(strstr(error, wrong[i]));
    }
    assert_null(
        load_changed("\"gt4\"", "\"gt4\"", "2024-2025.conf~")); /* not a rules file, so there is none */
    assert_non_null(strstr(error, "no rules file"));
    assert_null(rules_load("/nonexistent/rules", near_default, error, sizeof error));
    assert_non_null(strstr(error, "/nonexistent/rules"));
}

static void other_years_are_carried_over(void **state)
{
    (void)state;
    static const struct {
        int year, from;
        const char *teldag;
    } cases[] = {{2031, 2026, "2031-02-03"}, {2015, 2020, "2015-02-02"}, {2027, 2026, "2027-02-01"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct rules *rules = rules_for_year(shipped, cases[i].year);
        assert_int_equal(rules->year, cases[i].year);
        assert_int_equal(rules->file_year, cases[i].from);
        int y, m, d;
        date_to_ymd(rules->teldag, &y, &m, &d);
        char text[48];
        snprintf(text, sizeof text, "%04d-%02d-%02d", y, m, d);
        assert_string_equal(text,
                            cases[i].teldag); /* within the year that is counted, not within the file's */
        const struct parameter *teldag = rules_find(shipped, cases[i].year, "teldag");
        assert_string_equal(teldag->value, cases[i].teldag);
        assert_false(teldag->verified);
        for (int spec = 0; spec < RULES_SPEC_COUNT; spec++) {
            const struct parameter *row = rules_find(shipped, cases[i].year, rules_specs[spec].name);
            assert_non_null(row);
            assert_false(row->verified);
            assert_int_equal(row->year, cases[i].from);
        }
        assert_non_null(strstr(rules_find(shipped, cases[i].year, "gok.cap")->source, "carried over from"));
    }
    assert_non_null(rules_for_year(shipped, -5));
    assert_non_null(rules_for_year(shipped, 9999));
}

static void gaps_take_the_earlier_file(void **state)
{
    (void)state;
    struct parameter rows[2 * RULES_SPEC_COUNT];
    for (size_t i = 0; i < RULES_SPEC_COUNT; i++) {
        rows[i] = *rules_parameter(shipped, i + 5 * RULES_SPEC_COUNT); /* 2025-2026, then 2020-2021 */
        rows[RULES_SPEC_COUNT + i] = *rules_parameter(shipped, i);
    }
    struct rules_set *set =
        rules_from_parameters(rows, 2 * RULES_SPEC_COUNT, near_default, error, sizeof error);
    assert_non_null(set);
    assert_int_equal(rules_for_year(set, 2024)->file_year, 2020);
    assert_int_equal(rules_for_year(set, 2025)->file_year, 2025);
    rules_free(&set);
}

static void stored_rows_give_the_same_set(void **state)
{
    (void)state;
    size_t count = rules_count(shipped);
    struct parameter *rows = calloc(count, sizeof *rows);
    for (size_t i = 0; i < count; i++)
        rows[i] = *rules_parameter(shipped, count - 1 - i); /* any order */
    struct rules_set *set = rules_from_parameters(rows, count, near_default, error, sizeof error);
    assert_non_null(set);
    assert_string_equal(rules_hash(set), rules_hash(shipped));
    assert_int_equal(strlen(rules_hash(set)), 32);
    rules_free(&set);

    set = rules_from_parameters(rows, count, (struct rules_near){4, 1}, error, sizeof error);
    assert_string_not_equal(rules_hash(set), rules_hash(shipped)); /* near settings are part of it */
    assert_int_equal(rules_near(set).pupils, 4);
    rules_free(&set);

    assert_null(rules_from_parameters(rows, count - 1, near_default, error, sizeof error));
    assert_non_null(strstr(error, "bu.eligibility is missing"));
    assert_null(rules_from_parameters(rows + 1, count - 1, near_default, error, sizeof error));
    assert_non_null(strstr(error, "teldag is missing"));
    struct parameter saved = rows[3];
    rows[3] = rows[4];
    assert_null(rules_from_parameters(rows, count, near_default, error, sizeof error));
    assert_non_null(strstr(error, "stands there twice"));
    rows[3] = saved;
    rows[3].name = (char *)"gok.kapp";
    assert_null(rules_from_parameters(rows, count, near_default, error, sizeof error));
    assert_non_null(strstr(error, "did you mean gok.cap"));
    rows[3] = saved;
    rows[0].value = (char *)"3 February";
    assert_null(rules_from_parameters(rows, count, near_default, error, sizeof error));
    assert_non_null(strstr(error, "teldag"));
    assert_null(rules_from_parameters(rows, 0, near_default, error, sizeof error));
    free(rows);
}

static void every_parameter_is_documented(void **state)
{
    (void)state;
    const char *text = read_all("docs/rules.md");
    for (int i = 0; i < RULES_SPEC_COUNT; i++) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "`%s`", rules_specs[i].name);
        if (!strstr(text, quoted))
            fail_msg("docs/rules.md says nothing of %s", quoted);
    }
}

static void every_field_is_in_the_hash(void **state)
{
    (void)state;
    struct rules_set *set = load_changed("\"1.2\"", "\"1.2\"", "2024-2025.conf");
    assert_non_null(set);
    char before[40];
    strcpy(before, rules_hash(set));
    rules_free(&set);
    static const char *const changes[][2] = {
        {"\"1.2\"", "\"1.20\""},
        {"cap = { value = \"1.2\"; source = \"[?]\"", "cap = { value = \"1.2\"; source = \"x\""},
        {"verified = false", "verified = true"}};
    for (size_t i = 0; i < 3; i++) {
        set = load_changed(changes[i][0], changes[i][1], "2024-2025.conf");
        assert_non_null(set);
        assert_string_not_equal(rules_hash(set), before);
        rules_free(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_in_order),
        cmocka_unit_test(shipped_years),
        cmocka_unit_test(shipped_values),
        cmocka_unit_test(switches_reach_their_fields),
        cmocka_unit_test(strictness),
        cmocka_unit_test(an_envelope_is_split_whole),
        cmocka_unit_test(file_names_are_school_years),
        cmocka_unit_test(other_years_are_carried_over),
        cmocka_unit_test(gaps_take_the_earlier_file),
        cmocka_unit_test(stored_rows_give_the_same_set),
        cmocka_unit_test(every_field_is_in_the_hash),
        cmocka_unit_test(every_parameter_is_documented),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
