/* SPDX-License-Identifier: MIT
 *
 * Builds the steps of an explanation from a row and the cells it came from, then renders them. The figures of
 * each step are worked out again from the cells, so an explanation whose steps do not lead to the row's
 * figures says so. */
#include "workers/explain.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "workers/alert.h"

#define STEPS_MAX      24
#define STEP_RULES_MAX 4
#define STEP_TEXT_MAX  640

struct step {
    const char *title;
    const char *cites; /* where the law says so */
    char text[STEP_TEXT_MAX];
    const struct parameter *rules[STEP_RULES_MAX];
    int rule_count;
};
struct explanation {
    const struct explain_input *in;
    const struct rules *rules;
    struct group_cells cells; /* of the row's group */
    struct group_counts counts;
    struct step steps[STEPS_MAX];
    int count;
};

/* ---- pieces ---- */

static struct step *open_step(struct explanation *e, const char *title, const char *cites)
{
    assert(e->count < STEPS_MAX);
    struct step *s = &e->steps[e->count++];
    *s = (struct step){.title = title, .cites = cites};
    return s;
}

static void __attribute__((format(printf, 2, 3))) say(struct step *s, const char *format, ...)
{
    size_t used = strlen(s->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s->text + used, sizeof s->text - used, format, arguments);
    va_end(arguments);
}

static void use_rule(struct explanation *e, struct step *s, const char *name)
{
    const struct parameter *p = rules_find(e->in->set, e->in->row->year, name);
    assert(p && s->rule_count < STEP_RULES_MAX); /* names come from the table */
    s->rules[s->rule_count++] = p;
}

/* A number's text that lives as long as the expression it stands in. */
struct number {
    char text[EXACT_TEXT_MAX];
};
static struct number number_text(struct exact value)
{
    struct number n = {""};
    exact_format(value, n.text);
    return n;
}
#define EXACT(value)   number_text(value).text
#define HALVES(halves) number_text(exact_from_halves(halves)).text
#define PERCENT(share) number_text(exact_mul(share, exact_from_int(100))).text

struct year_name {
    char text[YEAR_TEXT_MAX];
};
static struct year_name year_text(int year)
{
    struct year_name n = {""};
    year_format(year, n.text);
    return n;
}
#define YEAR(year) year_text(year).text

static const char *const short_names[IND_COUNT] = {"thuistaal", "schooltoelage", "moeder",
                                                   "thuisloos", "trekkend",      "buurt"};
static const char *const staffing_titles[STAFFING_COUNT] = {"SES-lestijden", "GOK-uren-leraar",
                                                            "GOK aanvullende lestijden", "GOK extra lesuren"};

static const char *cite_stream(const struct allocation *row)
{
    static const char *const cites[STAFFING_COUNT] = {"regulation 2, [GO 3.1]", "regulation 2, [GO 3.2]",
                                                      "regulation 2, [GO 3.3]", "regulation 2, [GO 3.4]"};
    return cites[row->staffing];
}

/* "gok.value.graad1", "bubao.value": the name of a stream's own parameter. */
static void use_stream_rule(struct explanation *e, struct step *s, const char *what, bool per_group)
{
    const struct allocation *row = e->in->row;
    static const char *const prefixes[STAFFING_COUNT] = {"ses", "gok", "bubao", "buso"};
    char name[64];
    if (per_group && row->staffing == STAFFING_GOK_UREN_LERAAR)
        snprintf(name, sizeof name, "gok.%s.%s", what, group_names[row->group]);
    else
        snprintf(name, sizeof name, "%s.%s", prefixes[row->staffing], what);
    use_rule(e, s, name);
}

static const char *rounding_words(const struct explanation *e)
{
    return e->rules->rounding == ROUND_GE4 ? "up when the first decimal digit is 4 or more, else down"
                                           : "up when the first decimal digit is greater than 4, else down";
}

/* ---- counting ---- */

static void explain_teldag(struct explanation *e)
{
    struct step *s = open_step(e, "Teldag", "regulation 1");
    int y, m, d, year = e->in->row->year;
    date_to_ymd(e->rules->teldag, &y, &m, &d);
    say(s, "The count of school year %s, on the teldag %04d-%02d-%02d, funds school year %s. ",
        YEAR(year - 1), y, m, d, YEAR(year));
    say(s, e->in->count_closed
               ? "The count is closed."
               : "The count is not closed yet: the figures are provisional and raise no alert.");
    if (e->rules->file_year != year)
        say(s, " There is no rules file for %s: its parameters are carried over from %s and unverified.",
            YEAR(year), YEAR(e->rules->file_year));
    use_rule(e, s, "teldag");
}

static void explain_pupils(struct explanation *e)
{
    struct step *s = open_step(e, "Pupils (regelmatige leerlingen)", "regulation 1 and 2, [GO 2.1]");
    say(s, "%s regular pupils%s. On each indicator:", HALVES(e->counts.pupils),
        e->in->row->group == GROUP_AANBOD ? " in basisaanbod and type3 together" : "");
    for (int i = 0; i < IND_COUNT; i++)
        say(s, "%s %s %s", i ? "," : "", indicator_names[i], HALVES(e->counts.indicator[i]));
    say(s,
        ". %s are on at least one of the five that count for staffing (GOK-leerlingen); buurt does not "
        "count.",
        HALVES(e->counts.gok));
    if (e->counts.pupils != e->in->row->pupils)
        say(s, " NOTE: the stored row counts %s pupils.", HALVES(e->in->row->pupils));
}

/* ---- hours of SES-lestijden ---- */

static void explain_ses(struct explanation *e)
{
    const struct {
        struct exact hours;
        enum indicator indicator;
        const char *rule;
    } terms[] = {{e->rules->ses_moeder, IND_OPLEIDING_MOEDER, "ses.moeder"},
                 {e->rules->ses_thuistaal, IND_THUISTAAL, "ses.thuistaal"},
                 {e->rules->ses_toelage, IND_SCHOOLTOELAGE, "ses.schooltoelage"}};
    struct exact sum = exact_from_int(0);
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        struct step *s = open_step(e, indicator_names[terms[i].indicator], cite_stream(e->in->row));
        int32_t count = e->counts.indicator[terms[i].indicator];
        struct exact part = exact_mul(terms[i].hours, exact_from_halves(count));
        sum = exact_add(sum, part);
        say(s, "%s pupils x %s hours = %s hours.", HALVES(count), EXACT(terms[i].hours), EXACT(part));
        use_rule(e, s, terms[i].rule);
    }
    struct step *s = open_step(e, "Hours, exact", cite_stream(e->in->row));
    say(s, "The indicators add up: %s hours exactly.", EXACT(sum));
    if (exact_cmp(sum, e->in->row->hours_exact) != 0)
        say(s, " NOTE: the stored row says %s.", EXACT(e->in->row->hours_exact));
}

/* ---- points of GOK-uren-leraar ---- */

/* Half units of pupils on thuistaal and on no other of the five. */
static int32_t count_thuistaal_alone(const struct explanation *e)
{
    return e->cells.halves[1u << IND_THUISTAAL] + e->cells.halves[(1u << IND_THUISTAAL) | (1u << IND_BUURT)];
}

static struct exact explain_weight(struct explanation *e, enum indicator indicator)
{
    struct step *s = open_step(e, indicator_names[indicator], "regulation 2, [?]");
    int32_t count = e->counts.indicator[indicator];
    char name[64];
    if (indicator == IND_THUISTAAL && e->rules->so_combination) {
        int32_t alone = count_thuistaal_alone(e);
        say(s,
            "%s pupils, %s of them on no other indicator, who weigh nothing: thuistaal counts only together "
            "with another. ",
            HALVES(count), HALVES(alone));
        count -= alone;
    }
    struct exact part = exact_mul(e->rules->so_weight[indicator], exact_from_halves(count));
    say(s, "%s pupils x weight %s = %s points.", HALVES(count), EXACT(e->rules->so_weight[indicator]),
        EXACT(part));
    snprintf(name, sizeof name, "gok.weight.%s", short_names[indicator]);
    use_rule(e, s, name);
    if (indicator == IND_THUISTAAL)
        use_rule(e, s, "gok.combination");
    return part;
}

static struct exact explain_cap(struct explanation *e, struct exact points)
{
    struct step *s = open_step(e, "Cap per pupil", "regulation 2, [?]");
    struct exact after = exact_from_int(0);
    int32_t capped_halves = 0;
    for (unsigned mask = 0; mask < IND_CELLS; mask++) {
        struct exact capped, weight = allocation_weight(e->rules, mask, &capped);
        after = exact_add(after, exact_mul(capped, exact_from_halves(e->cells.halves[mask])));
        if (exact_cmp(capped, weight) < 0)
            capped_halves += e->cells.halves[mask];
    }
    if (capped_halves == 0)
        say(s, "No pupil weighs more than %s: %s points.", EXACT(e->rules->so_cap), EXACT(points));
    else
        say(s, "%s pupils weigh more than %s together and count for %s: from %s to %s points.",
            HALVES(capped_halves), EXACT(e->rules->so_cap), EXACT(e->rules->so_cap), EXACT(points),
            EXACT(after));
    use_rule(e, s, "gok.cap");
    return after;
}

static void explain_factor(struct explanation *e, struct exact points)
{
    const struct allocation *row = e->in->row;
    const struct rules *r = e->rules;
    struct step *s = open_step(e, "Factor", "regulation 2, [?]");
    const enum indicator tested[] = {IND_SCHOOLTOELAGE, IND_THUISTAAL};
    bool concentrated = false;
    say(s, "The school lies %s Brussels. Concentration in the group: ",
        e->in->school->brussels ? "in" : "outside");
    for (int i = 0; i < 2; i++) {
        int32_t count = e->counts.indicator[tested[i]];
        bool reaches = allocation_reaches(count, r->so_concentration_share, e->counts.pupils);
        concentrated |= reaches;
        say(s, "%s%s %s of %s (%s %%, %s %s %%)", i ? ", " : "", indicator_names[tested[i]], HALVES(count),
            HALVES(e->counts.pupils), EXACT(allocation_ratio(100 * (int64_t)count, e->counts.pupils, 2)),
            reaches ? "at least" : "under", PERCENT(r->so_concentration_share));
    }
    say(s, ". ");
    if (e->in->school->brussels && concentrated)
        say(s, "Both reasons hold, the factor is applied once: ");
    else if (!e->in->school->brussels && !concentrated)
        say(s, "No reason for a factor: ");
    say(s, "%s points x %s = %s points.", EXACT(points), EXACT(row->factor),
        EXACT(exact_mul(points, row->factor)));
    if (exact_cmp(exact_mul(points, row->factor), row->points_exact) != 0)
        say(s, " NOTE: the row says %s points.", EXACT(row->points_exact));
    if (e->in->school->brussels)
        use_rule(e, s, "gok.brussels_factor");
    use_rule(e, s, "gok.concentration_share");
    if (concentrated)
        use_rule(e, s, "gok.concentration_factor");
}

static void explain_so(struct explanation *e)
{
    static const enum indicator order[] = {IND_TREKKEND, IND_THUISLOOS, IND_OPLEIDING_MOEDER,
                                           IND_SCHOOLTOELAGE, IND_THUISTAAL};
    struct exact points = exact_from_int(0);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        points = exact_add(points, explain_weight(e, order[i]));
    explain_factor(e, explain_cap(e, points));
}

/* ---- points of the two bu streams ---- */

static void explain_bu(struct explanation *e)
{
    const struct allocation *row = e->in->row;
    int kind = row->staffing == STAFFING_GOK_EXTRA_LESUREN;
    int32_t moeder = e->counts.indicator[IND_OPLEIDING_MOEDER], both = 0;
    for (unsigned mask = 0; mask < IND_CELLS; mask++)
        if ((mask >> IND_OPLEIDING_MOEDER & 1) && (mask >> IND_THUISTAAL & 1))
            both += e->cells.halves[mask];
    struct exact first = exact_mul(e->rules->bu_moeder[kind], exact_from_halves(moeder)),
                 second = exact_mul(e->rules->bu_thuistaal[kind], exact_from_halves(both));
    struct step *s = open_step(e, indicator_names[IND_OPLEIDING_MOEDER], cite_stream(row));
    say(s, "%s pupils x %s = %s points.", HALVES(moeder), EXACT(e->rules->bu_moeder[kind]), EXACT(first));
    use_stream_rule(e, s, "moeder", false);
    s = open_step(e, indicator_names[IND_THUISTAAL], cite_stream(row));
    say(s, "Only together with opleiding_moeder: %s pupils x %s = %s points more, %s points in all.",
        HALVES(both), EXACT(e->rules->bu_thuistaal[kind]), EXACT(second), EXACT(exact_add(first, second)));
    if (exact_cmp(exact_add(first, second), row->points_exact) != 0)
        say(s, " NOTE: the row says %s points.", EXACT(row->points_exact));
    use_stream_rule(e, s, "thuistaal", false);
}

/* ---- rounding ---- */

static void explain_points_to_hours(struct explanation *e)
{
    const struct allocation *row = e->in->row;
    bool rounds = row->staffing == STAFFING_GOK_UREN_LERAAR             ? e->rules->round_points_so
                  : row->staffing == STAFFING_GOK_AANVULLENDE_LESTIJDEN ? e->rules->round_points_bubao
                                                                        : e->rules->round_points_buso;
    struct step *s = open_step(e, "Rounding of the points", cite_stream(row));
    if (rounds)
        say(s, "%s -> %s points (%s; the exact value, never rounded before).", EXACT(row->points_exact),
            EXACT(row->points), rounding_words(e));
    else
        say(s, "None: %s points.", EXACT(row->points));
    use_stream_rule(e, s, "round_points", false);
    if (rounds)
        use_rule(e, s, "rounding");
    s = open_step(e, "Hours, exact", cite_stream(row));
    say(s, "%s points x %s hours per point = %s hours exactly.", EXACT(row->points), EXACT(row->value),
        EXACT(row->hours_exact));
    use_stream_rule(e, s, "value", true);
}

static void explain_rounding(struct explanation *e)
{
    const struct allocation *row = e->in->row;
    struct step *s = open_step(e, "Rounding of the hours", "regulation 0");
    say(s, "%s -> %d hours (%s).", EXACT(row->hours_exact), row->hours, rounding_words(e));
    use_rule(e, s, "rounding");
}

/* ---- threshold, minimum, gedoogjaar, sanction ---- */

static void explain_threshold(struct explanation *e)
{
    const struct allocation *row = e->in->row;
    struct step *s = open_step(e, "Threshold (drempel)", cite_stream(row));
    bool bu = row->group == GROUP_AANBOD;
    const char *who = bu && !e->rules->bu_share_any ? "pupils on opleiding_moeder" : "GOK-leerlingen";
    say(s, "%s %s of %s pupils = %s %%; needed: %s %% of %s = %s. The threshold %s. ", HALVES(row->gok), who,
        HALVES(row->pupils), EXACT(allocation_ratio(100 * (int64_t)row->gok, row->pupils, 2)),
        PERCENT(row->threshold), HALVES(row->pupils),
        EXACT(exact_mul(row->threshold, exact_from_halves(row->pupils))),
        row->threshold_holds ? "holds" : "fails");
    if (row->margin_pupils >= 0)
        say(s,
            "Margin: %d; the threshold still holds when %d such pupils of weight 1 leave, and fails at %d.",
            row->margin_pupils, row->margin_pupils, row->margin_pupils + 1);
    else
        say(s, "Margin: %d; it would hold again with %d more such pupils of weight 1.", row->margin_pupils,
            -row->margin_pupils);
    use_stream_rule(e, s, "threshold", true);
    if (bu)
        use_rule(e, s, "bu.share_counts");
}

static void explain_minimum(struct explanation *e)
{
    const struct allocation *row = e->in->row;
    struct step *s = open_step(e, "Minimum", cite_stream(row));
    bool rounded = e->rules->minimum_on_rounded, bu = row->group == GROUP_AANBOD;
    say(s, "%s hours (%s) against a minimum of %d: the minimum %s. Margin: %d hours.",
        rounded ? EXACT(exact_from_int(row->hours)) : EXACT(row->hours_exact), rounded ? "rounded" : "exact",
        row->minimum, row->minimum_holds ? "holds" : "fails", row->margin_hours);
    if (bu)
        say(s, e->rules->bu_eligibility_or ? " One of threshold and minimum is enough (switch \"or\")."
                                           : " Both threshold and minimum must hold (switch \"and\").");
    use_stream_rule(e, s, "minimum", false);
    use_rule(e, s, "gok.minimum_on");
    if (bu)
        use_rule(e, s, "bu.eligibility");
}

/* "2024-2025 was granted, as computed from the count of 2023-2024." */
static void say_previous(struct explanation *e, struct step *s)
{
    const struct allocation *row = e->in->row;
    static const char *const words[STATUS_COUNT] = {"granted in the ordinary way", "a gedoogjaar itself",
                                                    "below the threshold", "below the minimum"};
    if (!row->previous_known) {
        say(s, "Of %s nothing is known: neither a count nor a figure of the agency (entitlement.known). ",
            YEAR(row->year - 1));
        return;
    }
    say(s, "%s was %s, ", YEAR(row->year - 1), words[row->previous]);
    if (row->previous_official)
        say(s, "as the agency made known (entitlement.known)");
    else
        say(s, "as computed from the count of %s", YEAR(row->year - 2));
    if (row->previous_school != row->school_id)
        say(s, ", in the history inherited from school %u", row->previous_school);
    say(s, ". ");
}

static void explain_gedoogjaar(struct explanation *e)
{
    const struct allocation *row = e->in->row;
    struct step *s = open_step(e, "Gedoogjaar (tolerance year)", "regulation 2");
    say_previous(e, s);
    if (row->status == STATUS_GRANTED)
        say(s, "Not needed: the group is granted in the ordinary way.");
    else if (row->status == STATUS_GRACE)
        say(s,
            "So the group, which now fails, is granted once more on its effective pupils; it cannot be "
            "repeated in %s.",
            YEAR(row->year + 1));
    else if (row->previous_known && row->previous == STATUS_GRANTED)
        say(s, "A gedoogjaar would follow, but it covers the minimum only (switch) and the threshold fails: "
               "no hours.");
    else if (row->previous_known && row->previous == STATUS_GRACE)
        say(s, "A gedoogjaar cannot follow a gedoogjaar: no hours.");
    else
        say(s, "A gedoogjaar follows only an ordinary grant: no hours.");
    if (row->status != STATUS_GRANTED)
        use_rule(e, s, "gedoog.covers");
}

#define VERDICTS_SHOWN 5

/* "S1 of 2022-03-01 (2021-2022) negatief, ...": the last ones. */
static void explain_evaluations(struct explanation *e)
{
    size_t n = e->in->verdict_count;
    if (n == 0)
        return;
    struct step *s = open_step(e, "Evaluations of the use of GOK means", "regulation 3, [GO 5.3, OS]");
    if (n > VERDICTS_SHOWN)
        say(s, "After %zu earlier ones: ", n - VERDICTS_SHOWN);
    for (size_t i = n > VERDICTS_SHOWN ? n - VERDICTS_SHOWN : 0; i < n; i++) {
        const struct inspection_report *r = e->in->verdicts + i;
        int year, month, day;
        date_to_ymd(r->date, &year, &month, &day);
        say(s, "%s of %04d-%02d-%02d (%s) %s%s", r->report_id, year, month, day, YEAR(r->year),
            r->gok == GOK_NEGATIEF ? "negatief" : "positief", i + 1 < n ? "; " : ".");
    }
}

/* Which second negative brought the sanction about, and until when it runs. */
static void say_span(struct explanation *e, struct step *s)
{
    const struct allocation *row = e->in->row;
    const struct inspection_report *verdicts = e->in->verdicts;
    struct sanction_span spans[EXPLAIN_VERDICTS_MAX / 2];
    struct evaluation evaluation;
    assert(e->in->verdict_count <= EXPLAIN_VERDICTS_MAX);
    evaluation_judge(verdicts, e->in->verdict_count, &evaluation, spans);
    bool covered = sanction_covers(spans, evaluation.span_count, row->year);
    for (size_t i = 0; i < evaluation.span_count; i++) {
        if (!sanction_covers(spans + i, 1, row->year))
            continue;
        say(s, " %s was the second negative in a row: half from %s ", verdicts[spans[i].second].report_id,
            YEAR(spans[i].first_year));
        if (spans[i].last_year == EVALUATION_NO_YEAR)
            say(s, "until an evaluation is positive.");
        else
            say(s, "up to and including %s, the year of the positive %s.", YEAR(spans[i].last_year),
                verdicts[spans[i].positive].report_id);
    }
    if (e->in->verdict_count > 0 && covered != (row->sanction_halves != 2))
        say(s, " NOTE: the reports say %s.", covered ? "otherwise: one runs" : "otherwise: none runs");
}

static void explain_sanction(struct explanation *e)
{
    const struct allocation *row = e->in->row;
    struct step *s = open_step(e, "Sanction (second negative evaluation)", "regulation 3, [GO 5.3, OS]");
    bool gets = row->status == STATUS_GRANTED || row->status == STATUS_GRACE;
    if (row->sanction_halves == 2)
        say(s, "None runs in %s: factor 1.", YEAR(row->year));
    else if (gets)
        say(s,
            "One runs in %s: %d hours x 0.5 = %s, rounded again by the same rule to %d. That a half is "
            "rounded so is [?], "
            "unverified.",
            YEAR(row->year), row->hours, HALVES(row->hours), row->granted);
    else
        say(s, "One runs in %s, but there are no hours to halve.", YEAR(row->year));
    say_span(e, s);
    if (row->sanction_halves != 2)
        use_rule(e, s, "rounding");
}

static void explain_result(struct explanation *e)
{
    const struct allocation *row = e->in->row;
    struct step *s = open_step(e, "Granted", "regulation 2");
    static const char *const words[STATUS_COUNT] = {"granted", "granted in a gedoogjaar (grace)",
                                                    "below the threshold", "below the minimum"};
    say(s, "%d hours: %s.", row->granted, words[row->status]);
}

static void build_explanation(struct explanation *e, const struct explain_input *in)
{
    *e = (struct explanation){.in = in, .rules = rules_for_year(in->set, in->row->year)};
    e->cells = allocation_cells(in->cells, in->row->group);
    group_count(&e->cells, &e->counts);
    explain_teldag(e);
    explain_pupils(e);
    if (in->row->staffing == STAFFING_SES_LESTIJDEN)
        explain_ses(e);
    else if (in->row->staffing == STAFFING_GOK_UREN_LERAAR)
        explain_so(e);
    else
        explain_bu(e);
    if (in->row->has_points)
        explain_points_to_hours(e);
    explain_rounding(e);
    if (in->row->has_threshold) {
        explain_threshold(e);
        explain_minimum(e);
        explain_gedoogjaar(e);
    } else {
        say(open_step(e, "Threshold, minimum, gedoogjaar", cite_stream(in->row)),
            "None for this stream: nothing can be lost.");
    }
    explain_evaluations(e);
    explain_sanction(e);
    explain_result(e);
}

/* The unverified parameters of all steps, each once. */
static int list_unverified(const struct explanation *e,
                           const struct parameter *out[STEPS_MAX * STEP_RULES_MAX])
{
    int count = 0;
    for (int i = 0; i < e->count; i++)
        for (int k = 0; k < e->steps[i].rule_count; k++) {
            const struct parameter *p = e->steps[i].rules[k];
            bool seen = p->verified;
            for (int n = 0; n < count && !seen; n++)
                seen = out[n] == p;
            if (!seen)
                out[count++] = p;
        }
    return count;
}

/* ---- rendering ---- */

static void print_steps(FILE *out, const struct explanation *e)
{
    for (int i = 0; i < e->count; i++) {
        const struct step *s = &e->steps[i];
        fprintf(out, "\n%2d. %s  [%s]\n    %s\n", i + 1, s->title, s->cites, s->text);
        for (int k = 0; k < s->rule_count; k++) {
            const struct parameter *p = s->rules[k];
            fprintf(out, "      rule %s = %s, %s; source: %s\n", p->name, p->value,
                    p->verified ? "verified" : "NOT VERIFIED", p->source);
        }
    }
}

char *explain_text(const struct explain_input *in)
{
    const struct allocation *row = in->row;
    const struct parameter *unverified[STEPS_MAX * STEP_RULES_MAX];
    struct explanation *e = malloc(sizeof *e);
    char *text = NULL;
    size_t len = 0;
    FILE *out = e ? open_memstream(&text, &len) : NULL;
    if (!out)
        goto out;
    build_explanation(e, in);
    fprintf(out, "School %u%s%s%s, level %s\n%s (%s), group %s, school year of use %s: %d hours, %s\n",
            row->school_id, *in->school_name ? " (" : "", in->school_name, *in->school_name ? ")" : "",
            level_names[in->school->level], staffing_names[row->staffing], staffing_titles[row->staffing],
            group_names[row->group], YEAR(row->year), row->granted, status_names[row->status]);
    print_steps(out, e);
    int count = list_unverified(e, unverified);
    fprintf(out, "\n%s\n",
            count ? "This result rests on parameters that are not verified:"
                  : "Every parameter used is verified.");
    for (int i = 0; i < count; i++)
        fprintf(out, "  %s\n", unverified[i]->name);
    fprintf(out, "Rules set %s\n", rules_hash(in->set));
    if (fclose(out) != 0) {
        free(text);
        text = NULL;
    }
out:
    free(e);
    return text;
}

static void put_text(yajl_gen g, const char *text)
{
    yajl_gen_string(g, (const unsigned char *)text, strlen(text));
}

static void put_steps(yajl_gen g, const struct explanation *e)
{
    put_text(g, "steps");
    yajl_gen_array_open(g);
    for (int i = 0; i < e->count; i++) {
        const struct step *s = &e->steps[i];
        yajl_gen_map_open(g);
        put_text(g, "title");
        put_text(g, s->title);
        put_text(g, "text");
        put_text(g, s->text);
        put_text(g, "cites");
        put_text(g, s->cites);
        put_text(g, "rules");
        yajl_gen_array_open(g);
        for (int k = 0; k < s->rule_count; k++)
            alert_json_parameter(g, s->rules[k], SIZE_MAX);
        yajl_gen_array_close(g);
        yajl_gen_map_close(g);
    }
    yajl_gen_array_close(g);
}

char *explain_json(const struct explain_input *in)
{
    const struct parameter *unverified[STEPS_MAX * STEP_RULES_MAX];
    struct explanation *e = malloc(sizeof *e);
    yajl_gen g = e ? yajl_gen_alloc(NULL) : NULL;
    const unsigned char *buffer;
    size_t len;
    char *json = NULL;
    if (!g)
        goto out;
    build_explanation(e, in);
    int count = list_unverified(e, unverified);
    yajl_gen_map_open(g);
    alert_json_row(g, in->row, in->school_name);
    put_text(g, "count_closed");
    yajl_gen_bool(g, in->count_closed);
    put_text(g, "rules_set");
    put_text(g, rules_hash(in->set));
    put_text(g, "rests_on_unverified");
    yajl_gen_bool(g, count > 0);
    put_text(g, "unverified");
    yajl_gen_array_open(g);
    for (int i = 0; i < count; i++)
        put_text(g, unverified[i]->name);
    yajl_gen_array_close(g);
    put_steps(g, e);
    yajl_gen_map_close(g);
    if (yajl_gen_get_buf(g, &buffer, &len) == yajl_gen_status_ok)
        json = strndup((const char *)buffer, len);
out:
    if (g)
        yajl_gen_free(g);
    free(e);
    return json;
}
