/* SPDX-License-Identifier: MIT
 *
 * The worked vectors of regulation 2 and 5, every switch, gedoogjaar, sanction, and margins against brute
 * force. The parameters are the shipped ones (conf/rules), so that the vectors test what is used.
 *
 * links: daemon/config_text.o workers/exact.o workers/rules.o workers/rules_table.o workers/allocation.o workers/event_table.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "workers/allocation.h"

#define MOEDER    (1u << IND_OPLEIDING_MOEDER)
#define THUISTAAL (1u << IND_THUISTAAL)
#define TOELAGE   (1u << IND_SCHOOLTOELAGE)
#define THUISLOOS (1u << IND_THUISLOOS)
#define TREKKEND  (1u << IND_TREKKEND)
#define BUURT     (1u << IND_BUURT)
#define USE_YEAR  2025

static uint64_t seed;
static struct rules_set *set;
static struct rules rules; /* a copy each test may change */
static struct group_cells cells[GROUP_COUNT];
static struct allocation rows[3];
static struct allocation_school school;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

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

static int fresh(void **state)
{
    (void)state;
    rules = *rules_for_year(set, USE_YEAR);
    memset(cells, 0, sizeof cells);
    school = (struct allocation_school){.school_id = 7, .level = LEVEL_SO, .closed_on = INT32_MAX};
    return 0;
}

static struct exact decimal(const char *text)
{
    struct exact value;
    if (exact_parse(text, &value) != 0)
        fail_msg("bad decimal %s", text);
    return value;
}

static void expect_exact(struct exact value, const char *text)
{
    char out[EXACT_TEXT_MAX];
    exact_format(value, out);
    assert_string_equal(out, text);
}

/* A history that answers the same for every row. */
struct answer {
    bool known, official;
    enum status status;
};
static bool answer_previous(const void *context, enum staffing staffing, enum group group,
                            enum status *status, bool *official, uint32_t *school_id)
{
    const struct answer *a = context;
    (void)staffing, (void)group;
    *status = a->status;
    *official = a->official;
    *school_id = 7;
    return a->known;
}

static int compute_with(const struct answer *answer, int sanction_halves)
{
    struct allocation_history history = {answer_previous, answer};
    return allocation_compute(&rules, &school, USE_YEAR, cells, answer ? &history : NULL, sanction_halves,
                              rows);
}

static int compute(void)
{
    return compute_with(NULL, 2);
}

/* pupils of weight 1 with these indicators */
static void add(enum group group, unsigned indicators, int pupils)
{
    cells[group].halves[indicators] += 2 * pupils;
}

/* Indicators overlap at will in the additive stream: each pupil gets one. */
static void ses_vectors(void **state)
{
    (void)state;
    static const struct {
        int moeder, thuistaal, toelage;
        const char *exact;
        int hours;
    } vectors[] = {{31, 44, 52, "27.28798", 27}, {12, 9, 30, "9.40074", 9}, {40, 55, 90, "37.4231", 37},
                   {20, 20, 20, "13.5486", 14},  {2, 0, 0, "0.5342", 1},    {1, 0, 0, "0.2671", 0}};
    school.level = LEVEL_BAO;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        memset(cells, 0, sizeof cells);
        add(GROUP_KLEUTER, MOEDER, vectors[i].moeder);
        add(GROUP_KLEUTER, THUISTAAL | BUURT, vectors[i].thuistaal);
        add(GROUP_LAGER, MOEDER | THUISTAAL | TOELAGE, vectors[i].moeder);
        add(GROUP_KLEUTER, TOELAGE, vectors[i].toelage);
        add(GROUP_KLEUTER, 0, 5);
        assert_int_equal(compute(), 2);
        assert_int_equal(rows[0].group, GROUP_KLEUTER);
        expect_exact(rows[0].hours_exact, vectors[i].exact);
        assert_int_equal(rows[0].hours, vectors[i].hours);
        assert_int_equal(rows[0].granted, vectors[i].hours);
        assert_int_equal(rows[0].status, STATUS_GRANTED);
        assert_false(rows[0].has_points || rows[0].has_threshold || rows[0].has_minimum);
        assert_false(rows[0].has_margin_pupils || rows[0].has_margin_hours);
        assert_int_equal(rows[1].pupils, 2 * vectors[i].moeder);
    }
}

static void ses_switch_ge4(void **state)
{
    (void)state;
    school.level = LEVEL_BAO;
    add(GROUP_LAGER, MOEDER, 12);
    add(GROUP_LAGER, THUISTAAL, 9);
    add(GROUP_LAGER, TOELAGE, 30);
    rules.rounding = ROUND_GE4;
    assert_int_equal(compute(), 1);
    expect_exact(rows[0].hours_exact, "9.40074");
    assert_int_equal(rows[0].hours, 10);
}

static void ses_row_stands_at_zero_hours(void **state)
{
    (void)state;
    school.level = LEVEL_BAO;
    add(GROUP_LAGER, BUURT, 12); /* staffing never counts buurt */
    assert_int_equal(compute(), 1);
    assert_int_equal(rows[0].hours, 0);
    assert_int_equal(rows[0].gok, 0);
    assert_int_equal(rows[0].status, STATUS_GRANTED);
}

static void bu_school(enum level level, int moeder, int both, int others)
{
    memset(cells, 0, sizeof cells);
    school.level = level;
    add(GROUP_BASISAANBOD, MOEDER, moeder - both);
    add(GROUP_TYPE3, MOEDER | THUISTAAL, both);
    add(GROUP_TYPE3, THUISTAAL, others);
    add(GROUP_ANDER, MOEDER, 99); /* outside the offer: allocates nothing */
}

static void bubao_vectors(void **state)
{
    (void)state;
    static const struct {
        int moeder, both;
        const char *points, *exact;
        int hours;
    } vectors[] = {{60, 25, "58", "14.628807444", 15},
                   {28, 3, "23.6", "5.9524113048", 6},
                   {30, 0, "24", "6.053299632", 6}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        bu_school(LEVEL_BUBAO, vectors[i].moeder, vectors[i].both, 10);
        assert_int_equal(compute(), 1);
        assert_int_equal(rows[0].staffing, STAFFING_GOK_AANVULLENDE_LESTIJDEN);
        assert_int_equal(rows[0].group, GROUP_AANBOD);
        assert_int_equal(rows[0].pupils, 2 * (vectors[i].moeder + 10));
        assert_int_equal(rows[0].gok, 2 * vectors[i].moeder);
        expect_exact(rows[0].points, vectors[i].points);
        expect_exact(rows[0].hours_exact, vectors[i].exact);
        assert_int_equal(rows[0].hours, vectors[i].hours);
        assert_int_equal(rows[0].status, STATUS_GRANTED);
    }
}

static void buso_vectors(void **state)
{
    (void)state;
    bu_school(LEVEL_BUSO, 33, 14, 0);
    assert_int_equal(compute(), 1);
    assert_int_equal(rows[0].staffing, STAFFING_GOK_EXTRA_LESUREN);
    expect_exact(rows[0].points_exact, "32");
    expect_exact(rows[0].hours_exact, "7.270304");
    assert_int_equal(rows[0].hours, 7);
    bu_school(LEVEL_BUSO, 37, 9, 0);
    compute();
    expect_exact(rows[0].points_exact, "33.2");
    expect_exact(rows[0].points, "33");
    expect_exact(rows[0].hours_exact, "7.497501");
    assert_int_equal(rows[0].hours, 7);
    rules.round_points_buso = false;
    compute();
    expect_exact(rows[0].points, "33.2");
    assert_int_equal(rows[0].hours, 8);
}

/* 48.6 points: 81 pupils on moeder; 20.4 points: 34. */
static void so_point_vectors(void **state)
{
    (void)state;
    add(GROUP_GRAAD23, MOEDER, 81);
    add(GROUP_GRAAD1, MOEDER, 34);
    add(GROUP_OKAN, 0, 3);
    assert_int_equal(compute(), 3);
    const struct allocation *graad1 = &rows[0], *okan = &rows[1], *graad23 = &rows[2];
    assert_int_equal(okan->group, GROUP_OKAN);
    expect_exact(graad23->points_exact, "48.6");
    expect_exact(graad23->points, "49");
    expect_exact(graad23->hours_exact, "6.0025");
    assert_int_equal(graad23->hours, 6);
    expect_exact(graad1->points_exact, "20.4");
    expect_exact(graad1->hours_exact, "5.832");
    assert_int_equal(graad1->hours, 6);
    assert_int_equal(graad1->status, STATUS_GRANTED);
    assert_int_equal(okan->status, STATUS_BELOW_THRESHOLD);
    rules.round_points_so = false;
    compute();
    expect_exact(rows[2].hours_exact, "5.9535");
    expect_exact(rows[0].hours_exact, "5.94864");
}

static void so_weights_combination_and_cap(void **state)
{
    (void)state;
    static const struct {
        unsigned indicators;
        const char *weight, *capped;
    } pupils[] = {{THUISTAAL, "0", "0"},
                  {THUISTAAL | BUURT, "0", "0"}, /* buurt is not another of the five */
                  {BUURT, "0", "0"},
                  {THUISTAAL | TOELAGE, "0.6", "0.6"},
                  {MOEDER | TOELAGE, "1", "1"},
                  {MOEDER | TOELAGE | THUISTAAL, "1.2", "1.2"},
                  {TREKKEND | BUURT, "0.8", "0.8"},
                  {THUISLOOS | TREKKEND, "1.6", "1.2"},
                  {MOEDER | TOELAGE | THUISTAAL | THUISLOOS | TREKKEND | BUURT, "2.8", "1.2"}};
    for (size_t i = 0; i < sizeof pupils / sizeof *pupils; i++) {
        struct exact capped, weight = allocation_weight(&rules, pupils[i].indicators, &capped);
        expect_exact(weight, pupils[i].weight);
        expect_exact(capped, pupils[i].capped);
    }
    rules.so_combination = false;
    struct exact capped;
    expect_exact(allocation_weight(&rules, THUISTAAL, &capped), "0.2");
    expect_exact(capped, "0.2");
}

/* A pupil on thuistaal alone weighs nothing but is a GOK pupil; halves count half. */
static void so_counts_in_halves(void **state)
{
    (void)state;
    add(GROUP_GRAAD1, THUISTAAL, 4);
    cells[GROUP_GRAAD1].halves[TREKKEND | BUURT] = 3; /* 1.5 pupils */
    add(GROUP_GRAAD1, BUURT, 10);
    compute();
    assert_int_equal(rows[0].pupils, 31);
    assert_int_equal(rows[0].gok, 11);
    expect_exact(rows[0].points_exact, "1.2");
    assert_int_equal(rows[0].status, STATUS_BELOW_MINIMUM);
    assert_int_equal(rows[0].granted, 0);
}

static void so_factor_counts_once(void **state)
{
    (void)state;
    add(GROUP_GRAAD1, TOELAGE, 55);
    add(GROUP_GRAAD1, 0, 45); /* exactly 55 % */
    compute();
    expect_exact(rows[0].factor, "1.5");
    expect_exact(rows[0].points_exact, "33");
    school.brussels = true;
    compute();
    expect_exact(rows[0].points_exact, "33");
    add(GROUP_GRAAD1, 0, 1); /* below 55 %: Brussels still holds */
    compute();
    expect_exact(rows[0].factor, "1.5");
    school.brussels = false;
    compute();
    expect_exact(rows[0].factor, "1");
    expect_exact(rows[0].points_exact, "22");
    memset(cells, 0, sizeof cells);
    add(GROUP_GRAAD1, THUISTAAL | MOEDER, 60);
    add(GROUP_GRAAD1, 0, 40);
    rules.so_concentration_factor = decimal("1.25");
    compute();
    expect_exact(rows[0].factor, "1.25");
    school.brussels = true; /* both hold: the larger, once */
    compute();
    expect_exact(rows[0].factor, "1.5");
    rules.so_brussels_factor = decimal("1");
    compute();
    expect_exact(rows[0].factor, "1.25");
    rules.so_concentration_share = decimal("0.601");
    compute();
    expect_exact(rows[0].factor, "1");
}

static void threshold_compares_exactly(void **state)
{
    (void)state;
    add(GROUP_GRAAD23, MOEDER, 250);
    add(GROUP_GRAAD23, 0, 750);
    compute();
    assert_int_equal(rows[0].status, STATUS_GRANTED);
    assert_int_equal(rows[0].margin_pupils, 0);
    cells[GROUP_GRAAD23].halves[0] += 1; /* half a pupil more: 24.99 % */
    compute();
    assert_int_equal(rows[0].status, STATUS_BELOW_THRESHOLD);
    assert_int_equal(rows[0].margin_pupils, -1);
    assert_int_equal(rows[0].granted, 0);
    assert_true(rows[0].hours >= 6);
}

static void minimum_on_exact_hours(void **state)
{
    (void)state;
    add(GROUP_GRAAD1, MOEDER, 34); /* 5.832 hours, rounded 6 */
    rules.minimum_on_rounded = false;
    compute();
    assert_int_equal(rows[0].status, STATUS_BELOW_MINIMUM);
    assert_int_equal(rows[0].margin_hours, 0);
    add(GROUP_GRAAD1, MOEDER, 2); /* 21.6 -> 22 -> 6.4152 */
    compute();
    assert_int_equal(rows[0].status, STATUS_GRANTED);
}

static void bu_eligibility_and_or(void **state)
{
    (void)state;
    bu_school(LEVEL_BUBAO, 60, 25, 100); /* 37.5 %, 15 hours */
    compute();
    assert_int_equal(rows[0].status, STATUS_BELOW_THRESHOLD);
    rules.bu_eligibility_or = true;
    compute();
    assert_int_equal(rows[0].status, STATUS_GRANTED);
    assert_int_equal(rows[0].granted, 15);
    assert_true(rows[0].margin_pupils < 0);
    bu_school(LEVEL_BUBAO, 10, 0, 0); /* 100 %, 2 hours */
    compute();
    assert_int_equal(rows[0].status, STATUS_GRANTED);
    rules.bu_eligibility_or = false;
    compute();
    assert_int_equal(rows[0].status, STATUS_BELOW_MINIMUM);
    bu_school(LEVEL_BUBAO, 10, 0, 90); /* both fail */
    rules.bu_eligibility_or = true;
    compute();
    assert_int_equal(rows[0].status, STATUS_BELOW_THRESHOLD);
}

static void bu_share_any(void **state)
{
    (void)state;
    bu_school(LEVEL_BUSO, 60, 25, 100);
    rules.bu_share_any = true;
    compute();
    assert_int_equal(rows[0].gok, 2 * 160);
    assert_int_equal(rows[0].status, STATUS_GRANTED);
}

static void gedoogjaar(void **state)
{
    (void)state;
    static const struct {
        struct answer answer;
        enum status expected;
    } cases[] = {{{true, false, STATUS_GRANTED}, STATUS_GRACE},
                 {{true, true, STATUS_GRANTED}, STATUS_GRACE},
                 {{true, false, STATUS_GRACE}, STATUS_BELOW_THRESHOLD},
                 {{true, false, STATUS_BELOW_MINIMUM}, STATUS_BELOW_THRESHOLD},
                 {{false, false, STATUS_GRANTED}, STATUS_BELOW_THRESHOLD}};
    add(GROUP_GRAAD23, MOEDER, 100);
    add(GROUP_GRAAD23, 0, 400); /* 20 %, 60 points, 7.35 -> 7 hours */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        compute_with(&cases[i].answer, 2);
        assert_int_equal(rows[0].status, cases[i].expected);
        assert_int_equal(rows[0].granted, cases[i].expected == STATUS_GRACE ? 7 : 0);
        assert_int_equal(rows[0].previous_known, cases[i].answer.known);
        assert_int_equal(rows[0].previous_official, cases[i].answer.official);
    }
    rules.gedoog_covers_threshold = false;
    compute_with(&cases[0].answer, 2);
    assert_int_equal(rows[0].status, STATUS_BELOW_THRESHOLD);
    memset(cells, 0, sizeof cells);
    add(GROUP_GRAAD23, MOEDER, 10); /* 100 %, 1 hour: only the minimum fails */
    compute_with(&cases[0].answer, 2);
    assert_int_equal(rows[0].status, STATUS_GRACE);
    assert_int_equal(rows[0].granted, 1);
}

static void gedoogjaar_does_nothing_in_bao(void **state)
{
    (void)state;
    struct answer lost = {true, false, STATUS_BELOW_THRESHOLD};
    school.level = LEVEL_BAO;
    add(GROUP_LAGER, MOEDER, 10);
    compute_with(&lost, 2);
    assert_int_equal(rows[0].status, STATUS_GRANTED);
    assert_false(rows[0].previous_known);
}

static void sanction_halves_and_rounds(void **state)
{
    (void)state;
    add(GROUP_GRAAD1, MOEDER, 40); /* 24 points, 6.9984 -> 7 hours */
    compute_with(NULL, 1);
    assert_int_equal(rows[0].hours, 7);
    assert_int_equal(rows[0].granted, 4);
    memset(cells, 0, sizeof cells);
    add(GROUP_GRAAD1, MOEDER, 34);
    compute_with(NULL, 1);
    assert_int_equal(rows[0].granted, 3);
    add(GROUP_GRAAD1, 0, 900);
    compute_with(NULL, 1);
    assert_int_equal(rows[0].granted, 0);
}

static void rows_only_where_rules_apply(void **state)
{
    (void)state;
    add(GROUP_GRAAD1, MOEDER, 40);
    add(GROUP_KLEUTER, MOEDER, 40);
    add(GROUP_BASISAANBOD, MOEDER, 40);
    assert_int_equal(compute(), 1);
    school.closed_on = school_year_start(USE_YEAR) + 1;
    assert_int_equal(compute(), 1);
    school.closed_on = school_year_start(USE_YEAR);
    assert_int_equal(compute(), 0);
    school.closed_on = INT32_MAX;
    static const enum level without[] = {LEVEL_DKO, LEVEL_VWO, LEVEL_CLB, LEVEL_NAFT};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        school.level = without[i];
        assert_int_equal(compute(), 0);
    }
    school.level = LEVEL_BUSO;
    cells[GROUP_BASISAANBOD] = (struct group_cells){{0}};
    add(GROUP_ANDER, MOEDER, 50);
    assert_int_equal(compute(), 0);
}

/* margin_pupils is the largest k for which the threshold still holds after k GOK pupils of weight 1 have
 * gone; below zero, -k must come. Tried one by one, with the threshold as a fraction of integers. */
static void margins_by_brute_force(void **state)
{
    (void)state;
    uint64_t random = seed;
    for (int round = 0; round < 20000; round++) {
        int64_t t = (int64_t)(next_random(&random) % 1000), gok = (int64_t)(next_random(&random) % 120),
                rest = (int64_t)(next_random(&random) % 240);
        if (round % 3 == 0)
            t = round % 2 ? 250 : 100;
        memset(cells, 0, sizeof cells);
        cells[GROUP_GRAAD23].halves[MOEDER] = (int32_t)gok;
        cells[GROUP_GRAAD23].halves[0] = (int32_t)rest;
        rules.so_threshold[GROUP_GRAAD23] = (struct exact){t, 3};
        if (compute() == 0)
            continue;
        int64_t k = 500; /* more than there are */
        while ((gok - 2 * k) * 1000 < t * (gok + rest - 2 * k))
            k--;
        assert_int_equal(rows[0].margin_pupils, k);
        assert_int_equal(rows[0].threshold_holds, k >= 0);
    }
}

/* Points are additive over pupils, so a group's points are the sum over its pupils one by one. */
static void points_are_the_sum_over_pupils(void **state)
{
    (void)state;
    uint64_t random = seed ^ 0x9e3779b97f4a7c15u;
    rules.so_concentration_share = decimal("1");
    for (int round = 0; round < 500; round++) {
        memset(cells, 0, sizeof cells);
        struct exact sum = exact_from_int(0);
        int pupils = 1 + (int)(next_random(&random) % 60), gok = 0;
        cells[GROUP_OKAN].halves[0] = 2; /* keeps the concentration below 100 % */
        for (int i = 0; i < pupils; i++) {
            unsigned mask = (unsigned)(next_random(&random) % IND_CELLS);
            int halves = 1 + (int)(next_random(&random) % 2);
            struct exact capped;
            allocation_weight(&rules, mask, &capped);
            sum = exact_add(sum, exact_mul(capped, exact_from_halves(halves)));
            cells[GROUP_OKAN].halves[mask] += halves;
            gok += (mask & ~BUURT) ? halves : 0;
        }
        assert_int_equal(compute(), 1);
        assert_int_equal(exact_cmp(rows[0].points_exact, sum), 0);
        assert_int_equal(rows[0].gok, gok);
    }
}

static void oki_vectors(void **state)
{
    (void)state;
    static const struct {
        int a, b, c, d;
        const char *oki;
    } vectors[] = {{322, 329, 554, 323, "1.53"}, {333, 325, 570, 363, "1.59"}, {291, 332, 529, 389, "1.54"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct group_counts counts = {.pupils = 1000};
        counts.indicator[IND_BUURT] = vectors[i].a;
        counts.indicator[IND_OPLEIDING_MOEDER] = vectors[i].b;
        counts.indicator[IND_SCHOOLTOELAGE] = vectors[i].c;
        counts.indicator[IND_THUISTAAL] = vectors[i].d;
        counts.indicator[IND_TREKKEND] = 777; /* not in the OKI */
        struct exact oki;
        assert_true(oki_from_counts(&counts, 2, &oki));
        expect_exact(oki, vectors[i].oki);
    }
    struct group_counts none = {0};
    struct exact oki;
    assert_false(oki_from_counts(&none, 2, &oki));
    expect_exact(allocation_ratio(1, 3, 4), "0.3333");
    expect_exact(allocation_ratio(5, 8, 2), "0.63");
}

static void dates(void **state)
{
    (void)state;
    assert_int_equal(date_from_ymd(1970, 1, 1), 0);
    assert_int_equal(date_from_ymd(2000, 3, 1), 11017);
    assert_int_equal(date_from_ymd(2025, 2, 3), 20122);
    for (int32_t day = -30000; day < 60000; day++) {
        int y, m, d;
        date_to_ymd(day, &y, &m, &d);
        assert_true(m >= 1 && m <= 12 && d >= 1 && d <= 31);
        assert_int_equal(date_from_ymd(y, m, d), day);
    }
    char text[YEAR_TEXT_MAX];
    year_format(2024, text);
    assert_string_equal(text, "2024-2025");
    assert_int_equal(school_year_start(2025), date_from_ymd(2025, 9, 1));
}

static void equality_sees_what_is_stored(void **state)
{
    (void)state;
    add(GROUP_GRAAD1, MOEDER, 40);
    compute();
    struct allocation a = rows[0], b = a;
    b.hours_exact = exact_mul(a.hours_exact, (struct exact){1000, 3}); /* the same number */
    b.previous_known = true;                                           /* not stored */
    assert_true(allocation_equal(&a, &b));
#define DIFFERS(change)                                                                                      \
    do {                                                                                                     \
        b = a;                                                                                               \
        change;                                                                                              \
        if (allocation_equal(&a, &b))                                                                        \
            fail_msg("%s went unseen", #change);                                                             \
    } while (0)
    DIFFERS(b.pupils++);
    DIFFERS(b.gok++);
    DIFFERS(b.threshold = decimal("0.11"));
    DIFFERS(b.has_threshold = false);
    DIFFERS(b.points = decimal("23"));
    DIFFERS(b.hours_exact = decimal("6"));
    DIFFERS(b.hours++);
    DIFFERS(b.minimum++);
    DIFFERS(b.has_minimum = false);
    DIFFERS(b.status = STATUS_GRACE);
    DIFFERS(b.sanction_halves = 1);
    DIFFERS(b.granted--);
    DIFFERS(b.margin_pupils++);
    DIFFERS(b.has_margin_hours = false);
    DIFFERS(b.year++);
    DIFFERS(b.school_id++);
    DIFFERS(b.group = GROUP_OKAN);
}

static void every_name_a_row_rests_on_is_a_parameter(void **state)
{
    (void)state;
    static const enum level levels[] = {LEVEL_BAO, LEVEL_SO, LEVEL_BUBAO, LEVEL_BUSO};
    for (int group = 0; group < GROUP_COUNT; group++)
        add((enum group)group, MOEDER, 1);
    for (size_t i = 0; i < 4; i++) {
        school.level = levels[i];
        int count = compute();
        assert_true(count > 0);
        for (int r = 0; r < count; r++) {
            const char *names[ALLOCATION_RULES_MAX];
            int n = allocation_rests_on(&rows[r], names);
            assert_true(n >= 5);
            for (int k = 0; k < n; k++)
                if (!rules_find(set, USE_YEAR, names[k]))
                    fail_msg("%s is no parameter", names[k]);
        }
    }
}

int main(void)
{
    const char *given = getenv("TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    if (seed == 0)
        seed = 1;
    printf("TEST_SEED=%llu\n", (unsigned long long)seed);
#define TEST(name) cmocka_unit_test_setup(name, fresh)
    const struct CMUnitTest tests[] = {
        TEST(ses_vectors),
        TEST(ses_switch_ge4),
        TEST(ses_row_stands_at_zero_hours),
        TEST(bubao_vectors),
        TEST(buso_vectors),
        TEST(so_point_vectors),
        TEST(so_weights_combination_and_cap),
        TEST(so_counts_in_halves),
        TEST(so_factor_counts_once),
        TEST(threshold_compares_exactly),
        TEST(minimum_on_exact_hours),
        TEST(bu_eligibility_and_or),
        TEST(bu_share_any),
        TEST(gedoogjaar),
        TEST(gedoogjaar_does_nothing_in_bao),
        TEST(sanction_halves_and_rounds),
        TEST(rows_only_where_rules_apply),
        TEST(margins_by_brute_force),
        TEST(points_are_the_sum_over_pupils),
        TEST(oki_vectors),
        TEST(dates),
        TEST(equality_sees_what_is_stored),
        TEST(every_name_a_row_rests_on_is_a_parameter),
    };
    return cmocka_run_group_tests(tests, load_rules, free_rules);
}
