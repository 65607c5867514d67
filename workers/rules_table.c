/* SPDX-License-Identifier: MIT
 *
 * The one table of the parameters of the law (regulation.md): name, type, bounds and where each stands in
 * struct rules. A new parameter is a row here, a field there, a line in every conf/rules file and a row in
 * docs/rules.md.
 *
 * Rows stand in the order of their names: a file's parameters are stored in this order. The bounds are wide
 * enough for any plausible law and small enough that points x factor x value stays exact in 127 bits. */
#include "workers/rules.h"

#define FIELD(f) offsetof(struct rules, f)
#define DECIMAL(name, f, most)                                                                               \
    {                                                                                                        \
        name, RULES_DECIMAL, FIELD(f), "0", most, NULL, false                                                \
    }
#define FACTOR(name, f)                                                                                      \
    {                                                                                                        \
        name, RULES_DECIMAL, FIELD(f), "1", MOST_COEFFICIENT, NULL, false                                    \
    }
#define WHOLE(name, f)                                                                                       \
    {                                                                                                        \
        name, RULES_INT, FIELD(f), "0", "999", NULL, false                                                   \
    }
#define MONTHS(name, f)                                                                                      \
    {                                                                                                        \
        name, RULES_INT, FIELD(f), "0", "120", NULL, false                                                   \
    }
#define BOOL(name, f)                                                                                        \
    {                                                                                                        \
        name, RULES_BOOL, FIELD(f), NULL, NULL, NULL, false                                                  \
    }
#define WORD(name, f, words)                                                                                 \
    {                                                                                                        \
        name, RULES_WORD, FIELD(f), NULL, NULL, words, false                                                 \
    }

#define EURO(name, f)                                                                                        \
    {                                                                                                        \
        name, RULES_EURO, FIELD(f), "0", "999999999", NULL, false                                            \
    }

#define MOST_COEFFICIENT "4"
#define MOST_SHARE       "1"
#define MOST_THRESHOLD   "0.999999999" /* at 1 a margin would divide by zero */

static const char *const rounding_words[] = {[ROUND_GT4] = "gt4", [ROUND_GE4] = "ge4", NULL};
static const char *const minimum_on_words[] = {"exact", "rounded", NULL};
static const char *const eligibility_words[] = {"and", "or", NULL};
static const char *const share_words[] = {"moeder", "any", NULL};
static const char *const covers_words[] = {"minimum", "threshold and minimum", NULL};

const struct rules_spec rules_specs[RULES_SPEC_COUNT] = {
    WORD("bu.eligibility", bu_eligibility_or, eligibility_words),
    WORD("bu.share_counts", bu_share_any, share_words),
    WHOLE("bubao.minimum", bu_minimum[0]),
    DECIMAL("bubao.moeder", bu_moeder[0], MOST_COEFFICIENT),
    BOOL("bubao.round_points", round_points_bubao),
    DECIMAL("bubao.threshold", bu_threshold[0], MOST_THRESHOLD),
    DECIMAL("bubao.thuistaal", bu_thuistaal[0], MOST_COEFFICIENT),
    DECIMAL("bubao.value", bu_value[0], MOST_COEFFICIENT),
    EURO("budget.envelope_bao", budget_envelope[0]),
    EURO("budget.envelope_so", budget_envelope[1]),
    DECIMAL("budget.split.buurt", budget_split[IND_BUURT], MOST_SHARE),
    DECIMAL("budget.split.moeder", budget_split[IND_OPLEIDING_MOEDER], MOST_SHARE),
    DECIMAL("budget.split.schooltoelage", budget_split[IND_SCHOOLTOELAGE], MOST_SHARE),
    DECIMAL("budget.split.thuistaal", budget_split[IND_THUISTAAL], MOST_SHARE),
    WHOLE("buso.minimum", bu_minimum[1]),
    DECIMAL("buso.moeder", bu_moeder[1], MOST_COEFFICIENT),
    BOOL("buso.round_points", round_points_buso),
    DECIMAL("buso.threshold", bu_threshold[1], MOST_THRESHOLD),
    DECIMAL("buso.thuistaal", bu_thuistaal[1], MOST_COEFFICIENT),
    DECIMAL("buso.value", bu_value[1], MOST_COEFFICIENT),
    WHOLE("erkenning.opschorting_days", opschorting_days),
    MONTHS("evaluation.followup_months", followup_months),
    WORD("gedoog.covers", gedoog_covers_threshold, covers_words),
    FACTOR("gok.brussels_factor", so_brussels_factor),
    DECIMAL("gok.cap", so_cap, MOST_COEFFICIENT),
    BOOL("gok.combination", so_combination),
    FACTOR("gok.concentration_factor", so_concentration_factor),
    DECIMAL("gok.concentration_share", so_concentration_share, MOST_SHARE),
    WHOLE("gok.minimum", so_minimum),
    WORD("gok.minimum_on", minimum_on_rounded, minimum_on_words),
    BOOL("gok.round_points", round_points_so),
    DECIMAL("gok.threshold.graad1", so_threshold[GROUP_GRAAD1], MOST_THRESHOLD),
    DECIMAL("gok.threshold.graad23", so_threshold[GROUP_GRAAD23], MOST_THRESHOLD),
    DECIMAL("gok.threshold.okan", so_threshold[GROUP_OKAN], MOST_THRESHOLD),
    DECIMAL("gok.value.graad1", so_value[GROUP_GRAAD1], MOST_COEFFICIENT),
    DECIMAL("gok.value.graad23", so_value[GROUP_GRAAD23], MOST_COEFFICIENT),
    DECIMAL("gok.value.okan", so_value[GROUP_OKAN], MOST_COEFFICIENT),
    DECIMAL("gok.weight.moeder", so_weight[IND_OPLEIDING_MOEDER], MOST_COEFFICIENT),
    DECIMAL("gok.weight.schooltoelage", so_weight[IND_SCHOOLTOELAGE], MOST_COEFFICIENT),
    DECIMAL("gok.weight.thuisloos", so_weight[IND_THUISLOOS], MOST_COEFFICIENT),
    DECIMAL("gok.weight.thuistaal", so_weight[IND_THUISTAAL], MOST_COEFFICIENT),
    DECIMAL("gok.weight.trekkend", so_weight[IND_TREKKEND], MOST_COEFFICIENT),
    WHOLE("melding.answer_days", answer_days),
    WHOLE("melding.answer_days_summer", answer_days_summer),
    {"rounding", RULES_WORD, FIELD(rounding), NULL, NULL, rounding_words, true},
    DECIMAL("ses.moeder", ses_moeder, MOST_COEFFICIENT),
    DECIMAL("ses.schooltoelage", ses_toelage, MOST_COEFFICIENT),
    DECIMAL("ses.thuistaal", ses_thuistaal, MOST_COEFFICIENT),
    {"teldag", RULES_DATE, FIELD(teldag), NULL, NULL, NULL, false},
};
