/* SPDX-License-Identifier: MIT
 *
 * links: libteldag.a
 *
 * The branches of ledger and allocation that the tests of what they are for do not reach: keys outside their bounds, what
 * several streams say of one key, batches beyond every usual size, numbers beyond every school (tests/coverage). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/ledger_feed.h"
#include "workers/ledger_internal.h"
#include "workers/rules.h"

static struct rules_set *rules;

static int load(void **state)
{
    char error[400] = "";
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

static struct ledger *new_ledger(const struct rules_set *set)
{
    struct ledger *l = ledger_new();
    assert_non_null(l);
    assert_int_equal(ledger_add_stream(l, 1, "registration.0"), 0);
    assert_int_equal(ledger_add_stream(l, 2, "school.0"), 0);
    assert_int_equal(ledger_set_rules(l, set), 0);
    return l;
}

static int upsert(struct ledger *l, int64_t time_us, uint32_t school, int year, unsigned pupil,
                  enum group group)
{
    struct one o;
    one_upsert(&o, 1, 1, time_us,
               &(struct registration){
                   .school = school, .year = year, .pupil = pupil, .group = group, .indicators = 63});
    return one_apply(l, &o);
}

static void keys_out_of_bounds(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(rules);
    struct one o;
    uint64_t empty = ledger_digest(l);
    static const int years[] = {1989, 2100};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(upsert(l, 1, 1, years[i], 1, GROUP_LAGER), ERR_RANGE);
        one_entitlement(&o, 2, 1, 1, STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1, years[i], STATUS_GRANTED);
        assert_int_equal(one_apply(l, &o), ERR_RANGE);
    }
    one_init(&o, 1, 1, 1, EVENT_TYPE_COUNT);
    o.event.type = EVENT_TYPE_COUNT + 1;
    assert_int_equal(one_apply(l, &o), ERR_INVALID);
    o.event.type = EVENT_DEAD;
    assert_int_equal(one_apply(l, &o), 0);
    assert_true(ledger_digest(l) == empty);
    ledger_free(&l);
}

/* A number that no school announces is held to what a number can be. */
static void announced_numbers_are_bounded(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(rules);
    struct one o;
    one_closed(&o, 1, 1, 7, 2020, 0);
    o.values[REG_PUPILS].num = (int64_t)1 << 40;
    assert_int_equal(one_apply(l, &o), 0);
    assert_int_equal(ledger_closed(l, 7, 2020).announced, INT32_MAX);
    o.values[REG_PUPILS].num = -3;
    assert_int_equal(one_apply(l, &o), 0);
    assert_int_equal(ledger_closed(l, 7, 2020).announced, 0);
    ledger_free(&l);
}

static void a_home_language_alone(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(rules);
    struct one o;
    one_upsert(&o, 1, 1, 1,
               &(struct registration){.school = 7, .year = 2020, .pupil = 1, .group = GROUP_LAGER});
    o.event.nulls |= 1u << REG_INDICATORS;
    one_num(&o, REG_HOME_LANGUAGE, 9 + 3 + 1); /* nobody at home speaks Dutch */
    assert_int_equal(one_apply(l, &o), 0);
    struct group_counts counts;
    group_count(ledger_cells(l, 7, 2020) + GROUP_LAGER, &counts);
    assert_int_equal(counts.indicator[IND_THUISTAAL], 2);
    ledger_free(&l);
}

static void without_rules_nothing_is_allocated(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(NULL);
    struct allocation rows[3];
    struct one o;
    one_school(&o, 2, 1, 7, LEVEL_SO, 0, 0);
    assert_int_equal(one_apply(l, &o), 0);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(upsert(l, 1, 7, 2022, i, GROUP_GRAAD1), 0);
    assert_int_equal(ledger_allocations(l, 7, 2023, rows), 0);
    assert_int_equal(ledger_set_rules(l, rules), 0);
    assert_int_equal(ledger_allocations(l, 7, 2023, rows), 1);
    ledger_free(&l);
}

static void too_many_resends(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(rules);
    for (uint64_t epoch = 2; epoch < 2 + 32767; epoch++)
        assert_int_equal(ledger_accept_epoch(l, 1, epoch, true), 0);
    assert_int_equal(ledger_accept_epoch(l, 1, 50000, true), ERR_RANGE);
    assert_int_equal(ledger_accept_epoch(l, 1, 50000, false), 0);
    ledger_free(&l);
}

/* More than the undo journal keeps from batch to batch. */
static void a_batch_beyond_the_usual(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(rules);
    uint64_t empty = ledger_digest(l);
    size_t bytes = ledger_numbers(l).bytes;
    ledger_begin(l);
    for (unsigned i = 0; i < 70000; i++)
        assert_int_equal(upsert(l, 1, 1 + i % 100, 2022, i, GROUP_LAGER), 0);
    size_t within = ledger_numbers(l).bytes;
    ledger_rollback(l);
    assert_true(ledger_digest(l) == empty);
    assert_true(ledger_numbers(l).bytes > bytes && ledger_numbers(l).bytes < within - 65536 * 16);
    ledger_free(&l);
}

/* Two streams on one entitlement: the later event stands, whichever came first; another key is another entitlement. */
static void entitlements_of_two_streams(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct ledger *l = new_ledger(rules);
        struct allocation rows[3];
        struct one o;
        one_school(&o, 2, 1, 7, LEVEL_SO, 0, 0);
        assert_int_equal(one_apply(l, &o), 0);
        for (int i = 0; i < 2; i++) {
            uint32_t stream = 1 + (uint32_t)((i + order) % 2);
            one_entitlement(&o, stream, stream, 7, STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1, 2022,
                            stream == 2 ? STATUS_GRACE : STATUS_GRANTED);
            assert_int_equal(one_apply(l, &o), 0);
            one_entitlement(&o, stream, 1, 7, STAFFING_GOK_UREN_LERAAR, GROUP_OKAN, 2022, STATUS_GRANTED);
            assert_int_equal(one_apply(l, &o), 0);
        }
        for (unsigned i = 0; i < 30; i++)
            assert_int_equal(upsert(l, 1, 7, 2022, i, GROUP_GRAAD1), 0);
        assert_int_equal(ledger_allocations(l, 7, 2023, rows), 1);
        assert_true(rows[0].previous_known && rows[0].previous_official);
        assert_int_equal(rows[0].previous, STATUS_GRACE);
        ledger_free(&l);
    }
}

/* Of two predecessors with one status, what was computed counts before what the agency said, as for one school. */
static void what_was_computed_before_what_was_said(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct ledger *l = new_ledger(rules);
        struct allocation rows[3];
        uint32_t said = order ? 10 : 11, computed = order ? 11 : 10;
        struct one o;
        one_school(&o, 2, 1, 7, LEVEL_SO, 0, 0);
        assert_int_equal(one_apply(l, &o), 0);
        for (uint32_t i = 10; i < 12; i++) {
            one_school(&o, 2, 1, i, LEVEL_SO, 0, 7);
            assert_int_equal(one_apply(l, &o), 0);
        }
        one_entitlement(&o, 2, 1, said, STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1, 2023, STATUS_GRANTED);
        assert_int_equal(one_apply(l, &o), 0);
        for (unsigned i = 0; i < 60; i++) {
            assert_int_equal(upsert(l, 1, computed, 2022, i, GROUP_GRAAD1), 0);
            assert_int_equal(upsert(l, 1, 7, 2023, i, GROUP_GRAAD1), 0);
        }
        assert_int_equal(ledger_allocations(l, computed, 2023, rows), 1);
        assert_int_equal(rows[0].status, STATUS_GRANTED);
        assert_int_equal(ledger_allocations(l, 7, 2024, rows), 1);
        assert_true(rows[0].previous_known && !rows[0].previous_official);
        assert_int_equal(rows[0].previous_school, computed);
        assert_int_equal(rows[0].previous, STATUS_GRANTED);
        ledger_free(&l);
    }
}

static void incidents_have_years(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(rules);
    static const struct {
        int32_t day;
        int year;
        int32_t count;
    } rows[] = {{20000, 2024, 1}, {-25000, 1901, 0}, {60000, 2134, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct one o;
        int32_t found[RISK_INDICATOR_COUNT];
        one_init(&o, 2, 1, 1, EVENT_MELDING_ONTVANGEN);
        o.values[MEL_ID].text = (struct text){0, 1};
        o.text[0] = (char)('a' + i);
        o.event.nulls &= ~(1u << MEL_ID);
        one_num(&o, MEL_SCHOOL_ID, 7);
        one_num(&o, MEL_LEVEL, LEVEL_SO);
        one_num(&o, MEL_RECEIVED_ON, rows[i].day);
        one_num(&o, MEL_CATEGORIES, 1);
        assert_int_equal(one_apply(l, &o), 0);
        ledger_incidents(l, 7, rows[i].year, found);
        assert_int_equal(found[RISK_MELDINGEN], rows[i].count);
    }
    ledger_free(&l);
}

/* What is left of a year whose pupils have gone: fixed numbers, each row for itself. */
static void retained_years(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(rules);
    struct group_cells cells = {.halves = {[3] = 40}}, none = {.halves = {0}};
    struct ledger_key *keys = NULL;
    int32_t found[RISK_INDICATOR_COUNT];
    assert_int_equal(ledger_retain_cells(l, 7, 1989, GROUP_LAGER, &cells), ERR_RANGE);
    assert_int_equal(ledger_retain_closed(l, 7, 2100, true, 20, 20), ERR_RANGE);
    assert_int_equal(ledger_retain_incidents(l, 7, 2100, RISK_TOAH, 2), ERR_RANGE);
    assert_int_equal(ledger_retain_cells(l, 7, 2001, GROUP_LAGER, &cells), 0);
    assert_int_equal(ledger_retain_cells(l, 7, 2001, GROUP_KLEUTER, &none), 0);
    assert_true(ledger_closed(l, 7, 2001).any && !ledger_closed(l, 7, 2001).announced_any);
    assert_int_equal(ledger_retain_closed(l, 7, 2001, false, 19, 20), 0);
    assert_true(ledger_closed(l, 7, 2001).announced_any && !ledger_closed(l, 7, 2001).closed);
    assert_int_equal(ledger_retain_closed(l, 7, 2001, true, 20, 20), 0);
    assert_true(ledger_closed(l, 7, 2001).closed && !ledger_closed(l, 7, 2001).differs);
    assert_int_equal(ledger_retain_incidents(l, 7, 2001, RISK_TOAH, 2), 0);
    assert_int_equal(ledger_set_rules(l, rules), 0); /* a recount has nothing to count them from */
    assert_int_equal(ledger_cells(l, 7, 2001)[GROUP_LAGER].halves[3], 40);
    assert_int_equal(ledger_halves(l, 7, 2001), 40);
    ledger_incidents(l, 7, 2001, found);
    assert_int_equal(found[RISK_TOAH], 2);
    assert_int_equal(ledger_all(l, &keys), 1);
    assert_true(keys[0].school_id == 7 && keys[0].year == 2001);
    assert_true(ledger_knows_school(l, 7) && !ledger_knows_school(l, 8));
    /* taken back: a row of nothing */
    assert_int_equal(ledger_retain_cells(l, 7, 2001, GROUP_LAGER, &none), 0);
    assert_int_equal(ledger_numbers(l).counts, 0);
    free(keys);
    ledger_free(&l);
}

/* More links than the first table of places holds, there and back. */
static void many_links(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(rules);
    uint64_t empty = ledger_digest(l);
    uint8_t first[16], last[16];
    ledger_begin(l);
    for (unsigned i = 0; i < 200; i++) {
        struct one o;
        one_init(&o, 2, 1, i, EVENT_PUPIL_LINK);
        one_num(&o, LINK_OLD, 0);
        one_num(&o, LINK_NEW, 0);
        pupil_bytes(i, o.values[LINK_OLD].pupil);
        pupil_bytes(i + 1, o.values[LINK_NEW].pupil);
        assert_int_equal(one_apply(l, &o), 0);
    }
    pupil_bytes(0, first);
    links_canonical(l, first, first);
    pupil_bytes(200, last);
    assert_memory_equal(first, last, 16);
    ledger_rollback(l);
    assert_true(ledger_digest(l) == empty);
    ledger_free(&l);
}

/* --- allocation ---------------------------------------------------------------------------------------------------- */

static void days_before_christ(void **state)
{
    (void)state;
    static const int years[] = {-401, -1, 0, 1969, 1970, 2400};
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        int y, m, d;
        date_to_ymd(date_from_ymd(years[i], 3, 1), &y, &m, &d);
        assert_true(y == years[i] && m == 3 && d == 1);
        date_to_ymd(date_from_ymd(years[i], 3, 1) - 1, &y, &m, &d);
        assert_true(y == years[i] && m == 2 && d >= 28);
    }
}

static void hours_beyond_every_school(void **state)
{
    (void)state;
    struct group_cells cells[GROUP_COUNT] = {0};
    struct allocation rows[3];
    const struct allocation_school school = {.school_id = 7, .level = LEVEL_BAO, .closed_on = INT32_MAX};
    const struct allocation_history nobody = {NULL, NULL};
    struct rules much = *rules_for_year(rules, 2025);
    much.ses_moeder = exact_from_int(100);
    cells[GROUP_LAGER].halves[1 << IND_OPLEIDING_MOEDER] = 1000000000;
    assert_int_equal(allocation_compute(&much, &school, 2025, cells, NULL, 2, rows), 1);
    assert_int_equal(rows[0].hours, INT32_MAX);
    cells[GROUP_LAGER].halves[1 << IND_OPLEIDING_MOEDER] = 2;
    assert_int_equal(allocation_compute(&much, &school, 2025, cells, &nobody, 2, rows), 1);
    assert_int_equal(rows[0].hours, 100);
    assert_false(rows[0].previous_known);
}

/* Equal is equal in everything that is stored: a change of any of it is a change. */
static void every_field_makes_a_difference(void **state)
{
    (void)state;
    const struct exact one = exact_from_int(1), two = exact_from_int(2);
    const struct allocation a = {.year = 2024,
                                 .school_id = 7,
                                 .has_threshold = true,
                                 .threshold = one,
                                 .has_points = true,
                                 .points = one,
                                 .hours_exact = one,
                                 .has_minimum = true,
                                 .minimum = 6,
                                 .sanction_halves = 2,
                                 .has_margin_pupils = true,
                                 .has_margin_hours = true};
    assert_true(allocation_equal(&a, &a));
#define DIFFERS(change)                                                                                      \
    do {                                                                                                     \
        struct allocation b = a;                                                                             \
        b.change;                                                                                            \
        assert_false(allocation_equal(&a, &b));                                                              \
        assert_false(allocation_equal(&b, &a));                                                              \
    } while (0)
    DIFFERS(year = 2025);
    DIFFERS(school_id = 8);
    DIFFERS(staffing = STAFFING_GOK_EXTRA_LESUREN);
    DIFFERS(group = GROUP_OKAN);
    DIFFERS(pupils = 1);
    DIFFERS(gok = 1);
    DIFFERS(hours = 1);
    DIFFERS(status = STATUS_GRACE);
    DIFFERS(sanction_halves = 1);
    DIFFERS(granted = 1);
    DIFFERS(has_threshold = false);
    DIFFERS(threshold = two);
    DIFFERS(has_points = false);
    DIFFERS(points = two);
    DIFFERS(hours_exact = two);
    DIFFERS(has_minimum = false);
    DIFFERS(minimum = 7);
    DIFFERS(has_margin_pupils = false);
    DIFFERS(margin_pupils = 1);
    DIFFERS(has_margin_hours = false);
    DIFFERS(margin_hours = 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_out_of_bounds),
        cmocka_unit_test(announced_numbers_are_bounded),
        cmocka_unit_test(a_home_language_alone),
        cmocka_unit_test(without_rules_nothing_is_allocated),
        cmocka_unit_test(too_many_resends),
        cmocka_unit_test(a_batch_beyond_the_usual),
        cmocka_unit_test(entitlements_of_two_streams),
        cmocka_unit_test(what_was_computed_before_what_was_said),
        cmocka_unit_test(incidents_have_years),
        cmocka_unit_test(retained_years),
        cmocka_unit_test(many_links),
        cmocka_unit_test(days_before_christ),
        cmocka_unit_test(hours_beyond_every_school),
        cmocka_unit_test(every_field_makes_a_difference),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
