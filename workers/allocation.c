/* SPDX-License-Identifier: MIT
 *
 * From one school's counts to hours (regulation 2), each staffing stream as numbered steps. Decides what a
 * group gets, whether it holds its threshold and minimum, and what the year before makes of a failure. Knows
 * no files, no clock and no other school; the numbers of the law come in as struct rules.
 *
 * Triggers of re-evaluation for a year of use y: counts of y-1; status of y-1 (so counts of y-2 and y-3);
 * the school's level, region, closing and successor; entitlement.known of y-1; another rules set; a sanction.
 */
#include "workers/allocation.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- dates ---- */

/* Days since 1970 of a proleptic Gregorian date; years start in March so that the leap day comes last. */
int32_t date_from_ymd(int y, int m, int d)
{
    y -= m <= 2;
    int era = (y >= 0 ? y : y - 399) / 400;
    int year_of_era = y - era * 400;
    int day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void date_to_ymd(int32_t days, int *y, int *m, int *d)
{
    int64_t shifted = (int64_t)days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int day_of_era = (int)(shifted - era * 146097);
    int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month = (5 * day_of_year + 2) / 153; /* 0 = March */
    *d = day_of_year - (153 * month + 2) / 5 + 1;
    *m = month < 10 ? month + 3 : month - 9;
    *y = (int)(year_of_era + era * 400) + (*m <= 2);
}

int32_t school_year_start(int year)
{
    return date_from_ymd(year, 9, 1);
}

void year_format(int year, char out[YEAR_TEXT_MAX])
{
    unsigned first = (unsigned)year % 10000u, second = (unsigned)(year + 1) % 10000u;
    snprintf(out, YEAR_TEXT_MAX, "%04u-%04u", first, second);
}

/* ---- counting ---- */

#define BIT(indicator) (1u << (indicator))
/* Staffing never counts buurt (regulation 1). */
#define GOK_MASK                                                                                             \
    (BIT(IND_THUISTAAL) | BIT(IND_SCHOOLTOELAGE) | BIT(IND_OPLEIDING_MOEDER) | BIT(IND_THUISLOOS) |          \
     BIT(IND_TREKKEND))

void group_count(const struct group_cells *cells, struct group_counts *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned mask = 0; mask < IND_CELLS; mask++) {
        int32_t halves = cells->halves[mask];
        out->pupils += halves;
        if (mask & GOK_MASK)
            out->gok += halves;
        for (int i = 0; i < IND_COUNT; i++)
            if (mask & BIT(i))
                out->indicator[i] += halves;
    }
}

struct group_cells allocation_cells(const struct group_cells cells[GROUP_COUNT], enum group group)
{
    if (group != GROUP_AANBOD)
        return cells[group];
    struct group_cells sum = cells[GROUP_BASISAANBOD];
    for (int mask = 0; mask < IND_CELLS; mask++)
        sum.halves[mask] += cells[GROUP_TYPE3].halves[mask];
    return sum;
}

bool allocation_reaches(int32_t part_halves, struct exact share, int32_t whole_halves)
{
    return exact_cmp(exact_from_int(part_halves), exact_mul(share, exact_from_int(whole_halves))) >= 0;
}

struct exact allocation_ratio(int64_t part, int64_t whole, int decimals)
{
    assert(whole > 0 && part >= 0 && decimals >= 0 && decimals <= 6);
    exact_int scaled = part;
    for (int i = 0; i < decimals; i++)
        scaled *= 10;
    return (struct exact){.units = (2 * scaled + whole) / (2 * (exact_int)whole), .scale = decimals};
}

/* OKI (regulation 5, [GO fn 1]): the counts of buurt, opleiding_moeder, schooltoelage and thuistaal over the
 * pupils. Rounded once, at the end. */
bool oki_from_counts(const struct group_counts *counts, int decimals, struct exact *out)
{
    if (counts->pupils <= 0)
        return false;
    int64_t sum = (int64_t)counts->indicator[IND_BUURT] + counts->indicator[IND_OPLEIDING_MOEDER] +
                  counts->indicator[IND_SCHOOLTOELAGE] + counts->indicator[IND_THUISTAAL];
    *out = allocation_ratio(sum, counts->pupils, decimals);
    return true;
}

/* ---- points and hours ---- */

static int32_t round_hours(struct exact hours, enum rounding rounding)
{
    int64_t rounded = exact_round(hours, rounding);
    return rounded > INT32_MAX ? INT32_MAX : (int32_t)rounded;
}

/* ses_lestijden, one group ([GO 3.1]); groups are rounded each, then added:
 * (1) each pupil on moeder, thuistaal, schooltoelage brings that indicator's hours; indicators add up;
 * (2) round the group's hours. No threshold, no minimum, so no gedoogjaar. */
static void compute_ses(const struct rules *rules, const struct group_counts *counts, struct allocation *row)
{
    const struct {
        struct exact hours;
        enum indicator indicator;
    } terms[] = {{rules->ses_moeder, IND_OPLEIDING_MOEDER},
                 {rules->ses_thuistaal, IND_THUISTAAL},
                 {rules->ses_toelage, IND_SCHOOLTOELAGE}};
    struct exact sum = exact_from_int(0);
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) /* (1) */
        sum = exact_add(sum,
                        exact_mul(terms[i].hours, exact_from_halves(counts->indicator[terms[i].indicator])));
    row->hours_exact = sum;
    row->hours = round_hours(sum, rules->rounding); /* (2) */
}

struct exact allocation_weight(const struct rules *rules, unsigned indicators, struct exact *capped)
{
    struct exact weight = exact_from_int(0);
    for (int i = 0; i < IND_COUNT; i++) {
        if (!(indicators & GOK_MASK & BIT(i)))
            continue;
        if (i == IND_THUISTAAL && rules->so_combination && !(indicators & GOK_MASK & ~BIT(IND_THUISTAAL)))
            continue; /* thuistaal alone weighs nothing */
        weight = exact_add(weight, rules->so_weight[i]);
    }
    *capped = exact_cmp(weight, rules->so_cap) > 0 ? rules->so_cap : weight;
    return weight;
}

/* Brussels or concentration, once: when both hold the larger counts, so that with one of them set to 1 the
 * other still works. [?] */
static struct exact choose_factor(const struct rules *rules, bool brussels, const struct group_counts *counts)
{
    struct exact factor = exact_from_int(1);
    bool concentrated =
        allocation_reaches(counts->indicator[IND_SCHOOLTOELAGE], rules->so_concentration_share,
                           counts->pupils) ||
        allocation_reaches(counts->indicator[IND_THUISTAAL], rules->so_concentration_share, counts->pupils);
    if (concentrated)
        factor = rules->so_concentration_factor;
    if (brussels && exact_cmp(rules->so_brussels_factor, factor) > 0)
        factor = rules->so_brussels_factor;
    return factor;
}

static void points_to_hours(struct allocation *row, bool round_points, enum rounding rounding)
{
    row->has_points = true;
    row->points = round_points ? exact_from_int(exact_round(row->points_exact, rounding)) : row->points_exact;
    row->hours_exact = exact_mul(row->points, row->value);
    row->hours = round_hours(row->hours_exact, rounding);
}

/* gok_uren_leraar, one group ([GO 3.2]; weights, cap and factors [?]):
 * (1) N = regular pupils, G = those on at least one of the five (group_count);
 * (2) weight per pupil: sum over the five, thuistaal only together with another, capped;
 * (3) points = sum of weight x registration weight;
 * (4) x factor; (5) round the points; (6) x hours per point; (7) round the hours.
 * Steps (8) to (10) are settle_row(). */
static void compute_so(const struct rules *rules, bool brussels, const struct group_cells *cells,
                       const struct group_counts *counts, struct allocation *row)
{
    struct exact points = exact_from_int(0);
    for (unsigned mask = 1; mask < IND_CELLS; mask++) {
        if (cells->halves[mask] == 0)
            continue;
        struct exact weight;
        allocation_weight(rules, mask, &weight);                                               /* (2) */
        points = exact_add(points, exact_mul(weight, exact_from_halves(cells->halves[mask]))); /* (3) */
    }
    row->gok = counts->gok; /* (1) */
    row->has_threshold = true;
    row->threshold = rules->so_threshold[row->group];
    row->has_minimum = true;
    row->minimum = rules->so_minimum;
    row->factor = choose_factor(rules, brussels, counts);
    row->points_exact = exact_mul(points, row->factor); /* (4) */
    row->value = rules->so_value[row->group];
    points_to_hours(row, rules->round_points_so, rules->rounding); /* (5) (6) (7) */
}

/* gok_aanvullende_lestijden ([GO 3.3]) and gok_extra_lesuren ([GO 3.4]), pupils in basisaanbod and type3
 * together: (1) points = moeder x pupils on moeder + thuistaal x pupils on both moeder and thuistaal; (2)
 * round the points (buso); (3) x hours per point; (4) round the hours; (5) the threshold is tested on the
 * pupils on moeder (or, by switch, on any of the five). */
static void compute_bu(const struct rules *rules, const struct group_cells *cells,
                       const struct group_counts *counts, struct allocation *row)
{
    int kind = row->staffing == STAFFING_GOK_EXTRA_LESUREN;
    int32_t both = 0;
    for (unsigned mask = 0; mask < IND_CELLS; mask++)
        if ((mask & BIT(IND_OPLEIDING_MOEDER)) && (mask & BIT(IND_THUISTAAL)))
            both += cells->halves[mask];
    row->points_exact = exact_add(
        exact_mul(rules->bu_moeder[kind], exact_from_halves(counts->indicator[IND_OPLEIDING_MOEDER])),
        exact_mul(rules->bu_thuistaal[kind], exact_from_halves(both))); /* (1) */
    row->factor = exact_from_int(1);
    row->value = rules->bu_value[kind];
    points_to_hours(row, kind ? rules->round_points_buso : rules->round_points_bubao,
                    rules->rounding);                                                       /* (2) (3) (4) */
    row->gok = rules->bu_share_any ? counts->gok : counts->indicator[IND_OPLEIDING_MOEDER]; /* (5) */
    row->has_threshold = true;
    row->threshold = rules->bu_threshold[kind];
    row->has_minimum = true;
    row->minimum = rules->bu_minimum[kind];
}

/* ---- threshold, minimum, gedoogjaar, sanction ---- */

/* Largest k with (gok - k) >= t x (n - k): floor((gok - t n) / (1 - t)), in whole pupils of weight 1. */
static int32_t margin_in_pupils(const struct allocation *row)
{
    exact_int one = 1;
    for (int i = 0; i < row->threshold.scale; i++)
        one *= 10;
    assert(row->threshold.units < one);
    exact_int above = row->gok * one - row->threshold.units * row->pupils;
    exact_int step = 2 * (one - row->threshold.units); /* counts are in halves */
    exact_int k = above / step;
    if (above % step < 0)
        k--;
    return (int32_t)k;
}

/* Regulation 2, step (9): a group that fails in y and was granted in the ordinary way in y-1 is granted in y:
 * grace. Not after a grace year, not without a known y-1, and for a failed threshold only where the switch
 * says so. */
static bool grace_applies(const struct rules *rules, const struct allocation *row)
{
    if (!row->previous_known || row->previous != STATUS_GRANTED)
        return false;
    return rules->gedoog_covers_threshold || row->threshold_holds;
}

int32_t allocation_half(int32_t hours, enum rounding rounding)
{
    return round_hours(exact_from_halves(hours), rounding);
}

/* Steps (8) to (10), for every stream:
 * (8) threshold on gok / pupils, then the minimum on rounded (or exact) hours; in the bu streams the switch
 *     bu.eligibility may ask for one of the two only;
 * (9) gedoogjaar; (10) sanction: half, rounded again by the same rule (regulation 3). */
static void settle_row(const struct rules *rules, struct allocation *row)
{
    row->threshold_holds =
        !row->has_threshold || allocation_reaches(row->gok, row->threshold, row->pupils); /* (8) */
    row->minimum_holds =
        !row->has_minimum ||
        (rules->minimum_on_rounded ? row->hours >= row->minimum
                                   : exact_cmp(row->hours_exact, exact_from_int(row->minimum)) >= 0);
    bool bu = row->group == GROUP_AANBOD;
    bool holds = bu && rules->bu_eligibility_or ? row->threshold_holds || row->minimum_holds
                                                : row->threshold_holds && row->minimum_holds;
    if (holds)
        row->status = STATUS_GRANTED;
    else if (grace_applies(rules, row)) /* (9) */
        row->status = STATUS_GRACE;
    else
        row->status = row->threshold_holds ? STATUS_BELOW_MINIMUM : STATUS_BELOW_THRESHOLD;
    if (row->status == STATUS_GRANTED || row->status == STATUS_GRACE) /* (10) */
        row->granted = row->sanction_halves == 2 ? row->hours : allocation_half(row->hours, rules->rounding);
    row->has_margin_pupils = row->has_threshold;
    if (row->has_threshold)
        row->margin_pupils = margin_in_pupils(row);
    row->has_margin_hours = row->has_minimum;
    if (row->has_minimum)
        row->margin_hours = row->hours - row->minimum;
}

static void ask_history(const struct allocation_history *history, struct allocation *row)
{
    if (!history || !history->previous || !row->has_threshold)
        return;
    row->previous_known = history->previous(history->context, row->staffing, row->group, &row->previous,
                                            &row->previous_official, &row->previous_school);
}

static const struct staffing_plan {
    enum staffing staffing;
    int groups;
    enum group group[3];
} plans[LEVEL_COUNT] = {
    [LEVEL_BAO] = {STAFFING_SES_LESTIJDEN, 2, {GROUP_KLEUTER, GROUP_LAGER}},
    [LEVEL_SO] = {STAFFING_GOK_UREN_LERAAR, 3, {GROUP_GRAAD1, GROUP_OKAN, GROUP_GRAAD23}},
    [LEVEL_BUBAO] = {STAFFING_GOK_AANVULLENDE_LESTIJDEN, 1, {GROUP_AANBOD}},
    [LEVEL_BUSO] = {STAFFING_GOK_EXTRA_LESUREN, 1, {GROUP_AANBOD}},
};

int allocation_compute(const struct rules *rules, const struct allocation_school *school, int year,
                       const struct group_cells cells[GROUP_COUNT], const struct allocation_history *history,
                       int sanction_halves, struct allocation rows[3])
{
    assert(sanction_halves == 1 || sanction_halves == 2);
    if (school->closed_on <= school_year_start(year))
        return 0;
    const struct staffing_plan *plan = &plans[school->level];
    int filled = 0;
    for (int i = 0; i < plan->groups; i++) {
        struct group_cells own = allocation_cells(cells, plan->group[i]);
        struct group_counts counts;
        group_count(&own, &counts);
        if (counts.pupils <= 0)
            continue;
        struct allocation *row = &rows[filled++];
        *row = (struct allocation){.year = year,
                                   .school_id = school->school_id,
                                   .staffing = plan->staffing,
                                   .group = plan->group[i],
                                   .pupils = counts.pupils,
                                   .gok = counts.gok,
                                   .factor = {.units = 1},
                                   .sanction_halves = sanction_halves};
        if (plan->staffing == STAFFING_SES_LESTIJDEN)
            compute_ses(rules, &counts, row);
        else if (plan->staffing == STAFFING_GOK_UREN_LERAAR)
            compute_so(rules, school->brussels, &own, &counts, row);
        else
            compute_bu(rules, &own, &counts, row);
        ask_history(history, row);
        settle_row(rules, row);
    }
    return filled;
}

/* ---- comparing, and what a figure rests on ---- */

static bool equal_exact(bool has_a, struct exact a, bool has_b, struct exact b)
{
    return has_a == has_b && (!has_a || exact_cmp(a, b) == 0);
}

static bool equal_int(bool has_a, int32_t a, bool has_b, int32_t b)
{
    return has_a == has_b && (!has_a || a == b);
}

bool allocation_equal(const struct allocation *a, const struct allocation *b)
{
    return a->year == b->year && a->school_id == b->school_id && a->staffing == b->staffing &&
           a->group == b->group && a->pupils == b->pupils && a->gok == b->gok && a->hours == b->hours &&
           a->status == b->status && a->sanction_halves == b->sanction_halves && a->granted == b->granted &&
           equal_exact(a->has_threshold, a->threshold, b->has_threshold, b->threshold) &&
           equal_exact(a->has_points, a->points, b->has_points, b->points) &&
           exact_cmp(a->hours_exact, b->hours_exact) == 0 &&
           equal_int(a->has_minimum, a->minimum, b->has_minimum, b->minimum) &&
           equal_int(a->has_margin_pupils, a->margin_pupils, b->has_margin_pupils, b->margin_pupils) &&
           equal_int(a->has_margin_hours, a->margin_hours, b->has_margin_hours, b->margin_hours);
}

static int append_names(const char *names[ALLOCATION_RULES_MAX], int count, const char *const *more)
{
    for (; *more; more++) {
        assert(count < ALLOCATION_RULES_MAX);
        names[count++] = *more;
    }
    return count;
}

int allocation_rests_on(const struct allocation *row, const char *names[ALLOCATION_RULES_MAX])
{
    static const char *const all[] = {"teldag", "rounding", NULL};
    static const char *const ses[] = {"ses.moeder", "ses.thuistaal", "ses.schooltoelage", NULL};
    static const char *const so[] = {"gok.weight.trekkend",
                                     "gok.weight.thuisloos",
                                     "gok.weight.moeder",
                                     "gok.weight.schooltoelage",
                                     "gok.weight.thuistaal",
                                     "gok.combination",
                                     "gok.cap",
                                     "gok.brussels_factor",
                                     "gok.concentration_share",
                                     "gok.concentration_factor",
                                     "gok.round_points",
                                     "gok.minimum",
                                     "gok.minimum_on",
                                     NULL};
    static const char *const so_group[][3] = {{"gok.value.graad1", "gok.threshold.graad1", NULL},
                                              {"gok.value.okan", "gok.threshold.okan", NULL},
                                              {"gok.value.graad23", "gok.threshold.graad23", NULL}};
    static const char *const bubao[] = {
        "bubao.moeder",    "bubao.thuistaal", "bubao.round_points", "bubao.value",    "bubao.threshold",
        "bu.share_counts", "bubao.minimum",   "gok.minimum_on",     "bu.eligibility", NULL};
    static const char *const buso[] = {
        "buso.moeder",     "buso.thuistaal", "buso.round_points", "buso.value",     "buso.threshold",
        "bu.share_counts", "buso.minimum",   "gok.minimum_on",    "bu.eligibility", NULL};
    static const char *const grace[] = {"gedoog.covers", NULL};

    int count = append_names(names, 0, all);
    if (row->staffing == STAFFING_SES_LESTIJDEN)
        return append_names(names, count, ses);
    if (row->staffing == STAFFING_GOK_UREN_LERAAR) {
        count = append_names(names, count, so);
        count = append_names(names, count, so_group[row->group - GROUP_GRAAD1]);
    } else {
        count = append_names(names, count, row->staffing == STAFFING_GOK_EXTRA_LESUREN ? buso : bubao);
    }
    return row->status == STATUS_GRANTED ? count : append_names(names, count, grace);
}
