/* SPDX-License-Identifier: MIT
 *
 * entitlement.known.v1: what an agency would say it granted. For the school year before the first one
 * computed (the history that a gedoogjaar needs) and for the years after, except the coming one. Computed
 * from the final rosters by this file's own integer arithmetic with the default parameters of regulation 2,
 * on purpose not by the daemon's rules: a comparison means something only between two computations. About one
 * row in fifty says an hour more or less. */
#include <string.h>

#include "tools/feed_generate_model.h"

enum known_status { KNOWN_NONE, KNOWN_GRANTED, KNOWN_GRACE, KNOWN_BELOW_THRESHOLD, KNOWN_BELOW_MINIMUM };
static const char *const status_words[] = {NULL, "granted", "grace", "below_threshold", "below_minimum"};
static const char *const staffing_words[GEN_LEVELS] = {"ses_lestijden", "gok_uren_leraar",
                                                       "gok_aanvullende_lestijden", "gok_extra_lesuren"};
struct known {
    const char *group;
    enum known_status status;
    int64_t hours;
};
#define KNOWN_MAX 3
struct cells { /* half units by group and by exact set of indicators */
    int32_t halves[GEN_GROUPS][GEN_CELLS];
};

static int64_t half_up(__int128 value, int64_t unit)
{
    return (int64_t)((value * 2 + unit) / ((__int128)unit * 2));
}

static int64_t count_cells(const int32_t *cells, unsigned any_of)
{
    int64_t sum = 0;
    for (unsigned m = 0; m < GEN_CELLS; m++)
        if (!any_of || m & any_of)
            sum += cells[m];
    return sum;
}

/* regulation 2, ses_lestijden: hours per pupil, additive, rounded per group. */
static struct known know_bao(const int32_t *cells, const char *group)
{
    __int128 hours = (__int128)count_cells(cells, GEN_BIT(GEN_MOEDER)) * 26710 +
                     (__int128)count_cells(cells, GEN_BIT(GEN_THUISTAAL)) * 29116 +
                     (__int128)count_cells(cells, GEN_BIT(GEN_TOELAGE)) * 11917;
    return (struct known){group, KNOWN_GRANTED, half_up(hours, 200000)};
}

static enum known_status judge(bool threshold, int64_t hours)
{
    return !threshold ? KNOWN_BELOW_THRESHOLD : hours < 6 ? KNOWN_BELOW_MINIMUM : KNOWN_GRANTED;
}

/* regulation 2, gok_uren_leraar, steps 1-8. Weights in tenths, so points come in twentieths. */
static struct known know_so(const int32_t *cells, const char *group, bool brussels, int64_t percent,
                            int64_t value)
{
    static const int tenths[GEN_BUURT] = {2, 4, 6, 8, 8}; /* in the order of enum gen_indicator */
    const unsigned five = GEN_BIT(GEN_BUURT) - 1;
    int64_t pupils = count_cells(cells, 0), gok = count_cells(cells, five), points = 0;
    for (unsigned m = 0; m < GEN_CELLS; m++) {
        unsigned others = m & five & ~GEN_BIT(GEN_THUISTAAL);
        int weight = 0;
        for (int k = 0; k < GEN_BUURT; k++)
            if (m & GEN_BIT(k) && (k != GEN_THUISTAAL || others))
                weight += tenths[k];
        points += (int64_t)(weight > 12 ? 12 : weight) * cells[m];
    }
    bool concentrated = count_cells(cells, GEN_BIT(GEN_TOELAGE)) * 100 >= pupils * 55 ||
                        count_cells(cells, GEN_BIT(GEN_THUISTAAL)) * 100 >= pupils * 55;
    int64_t rounded = half_up((__int128)points * (brussels || concentrated ? 3 : 2), 40);
    int64_t hours = half_up((__int128)rounded * value, 10000);
    return (struct known){group, judge(gok * 100 >= pupils * percent, hours), hours};
}

/* regulation 2, the two bu streams: points on opleiding_moeder, thuistaal only together with it. */
static struct known know_bu(const int32_t *offer, bool round_points, int64_t value)
{
    int64_t pupils = count_cells(offer, 0), moeder = count_cells(offer, GEN_BIT(GEN_MOEDER)), both = 0;
    for (unsigned m = 0; m < GEN_CELLS; m++)
        if (m & GEN_BIT(GEN_MOEDER) && m & GEN_BIT(GEN_THUISTAAL))
            both += offer[m];
    int64_t points = moeder * 8 + both * 4; /* twentieths */
    int64_t hours = round_points ? half_up((__int128)half_up(points, 20) * value, 1000000000)
                                 : half_up((__int128)points * value, 20000000000);
    return (struct known){"aanbod", judge(moeder * 100 >= pupils * 40, hours), hours};
}

static int know_school(const struct gen_school *school, const struct cells *c, struct known rows[KNOWN_MAX])
{
    static const struct {
        enum gen_group group;
        int64_t percent, value;
    } so[] = {{GEN_GRAAD1, 10, 2916}, {GEN_OKAN, 10, 2916}, {GEN_GRAAD23, 25, 1225}};
    int32_t offer[GEN_CELLS];
    memset(rows, 0, KNOWN_MAX * sizeof *rows);
    switch (school->level) {
    case GEN_BAO:
        for (int g = GEN_KLEUTER; g <= GEN_LAGER; g++)
            if (count_cells(c->halves[g], 0))
                rows[g] = know_bao(c->halves[g], gen_group_names[g]);
        break;
    case GEN_SO:
        for (int i = 0; i < 3; i++)
            if (count_cells(c->halves[so[i].group], 0))
                rows[i] = know_so(c->halves[so[i].group], gen_group_names[so[i].group], school->brussels,
                                  so[i].percent, so[i].value);
        break;
    default:
        for (int m = 0; m < GEN_CELLS; m++)
            offer[m] = c->halves[GEN_BASISAANBOD][m] + c->halves[GEN_TYPE3][m];
        if (count_cells(offer, 0))
            rows[0] =
                know_bu(offer, school->level == GEN_BUSO, school->level == GEN_BUBAO ? 252220818 : 227197000);
    }
    return KNOWN_MAX;
}

static int know_year(struct gen_roster *roster, const struct gen_world *world, int school, int count_year,
                     struct known rows[KNOWN_MAX])
{
    struct cells c;
    memset(&c, 0, sizeof c);
    int err = gen_roster_build(roster, world, school, count_year);
    for (int i = 0; !err && i < roster->count; i++)
        if (roster->pupils[i].presence == GEN_PRESENT)
            c.halves[roster->pupils[i].group][roster->pupils[i].indicators] += roster->pupils[i].halves;
    if (!err)
        know_school(&world->schools[school], &c, rows);
    return err;
}

/* Gedoogjaar: granted in the ordinary way the year before. */
static void forgive(struct known rows[KNOWN_MAX], const struct known before[KNOWN_MAX])
{
    for (int i = 0; i < KNOWN_MAX; i++)
        if (rows[i].status >= KNOWN_BELOW_THRESHOLD && before[i].status == KNOWN_GRANTED)
            rows[i].status = KNOWN_GRACE;
}

static void write_rows(struct gen_world *world, struct gen_output *out, const struct gen_school *school,
                       int year, const struct known rows[KNOWN_MAX])
{
    for (int i = 0; i < KNOWN_MAX; i++) {
        if (rows[i].status == KNOWN_NONE)
            continue;
        int64_t hours = rows[i].status <= KNOWN_GRACE ? rows[i].hours : 0;
        uint64_t r =
            gen_draw(world->options->seed, GEN_P_KNOWN, school->id, (uint64_t)year * 8 + (unsigned)i);
        if (r % 50 == 0 && hours > 6)
            hours += r >> 32 & 1 ? 1 : -1;
        out->now_s += 3;
        char *p = gen_event_begin(out, "entitlement.known.v1", school->id);
        if (!p)
            continue;
        p = gen_put_number(gen_put(p, "\"school_id\":\""), school->id);
        p = gen_put_json(gen_put(p, "\",\"stream\":"), staffing_words[school->level]);
        p = gen_put_json(gen_put(p, ",\"group\":"), rows[i].group);
        p = gen_put_year(gen_put(p, ",\"school_year\":"), year);
        p = gen_put_json(gen_put(p, ",\"status\":"), status_words[rows[i].status]);
        p = gen_put_number(gen_put(p, ",\"hours\":"), (uint64_t)hours);
        gen_event_end(out, p, school->id);
    }
}

/* The count of year c funds c + 1. History starts two counts earlier, so that a grace year can stand in it.
 */
static int write_school(struct gen_world *world, struct gen_output *out, struct gen_roster *roster,
                        int school)
{
    const struct gen_options *o = world->options;
    int first = o->years[0], last = o->years[o->year_count - 1];
    struct known before[KNOWN_MAX], rows[KNOWN_MAX];
    int err = know_year(roster, world, school, first - 2, before);
    for (int count_year = first - 1; !err && count_year < last; count_year++) {
        if ((err = know_year(roster, world, school, count_year, rows)))
            break;
        forgive(rows, before);
        write_rows(world, out, &world->schools[school], count_year + 1, rows);
        memcpy(before, rows, sizeof rows);
    }
    return err;
}

int gen_feed_entitlement(struct gen_world *world, struct gen_output *out)
{
    struct gen_roster roster = {0};
    int err = ERR_OK;
    out->may_repeat_late = true;
    out->now_s = (int64_t)gen_date(world->options->years[0], 8, 25) * 86400 + 7 * 3600;
    for (int i = 0; !err && i < world->school_count; i++)
        err = write_school(world, out, &roster, i);
    gen_output_late(out);
    gen_roster_fini(&roster);
    return err;
}
