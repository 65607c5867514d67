/* SPDX-License-Identifier: MIT
 *
 * How the alerts of inspections, huisonderwijs and meldingen read (design 8). Which of them fire is decided in
 * derive.c; here only their keys, severities, sentences and figures. Days left are those of the day on which the
 * alert changed. */
#include "workers/alert_internal.h"
#include "workers/melding.h"

/* Entities have keys of their own, exactly as they came. */
static void open_subject(struct alert *out, enum alert_kind kind, enum severity severity, uint32_t school_id,
                         int year, const char *subject)
{
    out->key.kind = kind;
    out->severity = severity;
    open_alert(out, school_id, year, -1, "", "");
    snprintf(out->key.subject, sizeof out->key.subject, "%s", subject);
}

struct day_text {
    char text[16];
};
static struct day_text day_text(int32_t day)
{
    struct day_text t = {""};
    int y, m, d;
    date_to_ymd(day, &y, &m, &d);
    snprintf(t.text, sizeof t.text, "%04d-%02d-%02d", (int)(uint16_t)y % 10000, (int)(uint8_t)m % 100,
             (int)(uint8_t)d % 100);
    return t;
}
#define DAY(day) day_text(day).text

struct key_text {
    char text[ALERT_SUBJECT_MAX];
};
static struct key_text key_text(const char *key)
{
    struct key_text t = {""};
    clean_text(key, t.text, sizeof t.text);
    return t;
}
#define KEY(key) key_text(key).text

struct year_text {
    char text[YEAR_TEXT_MAX];
};
static struct year_text year_text(int year)
{
    struct year_text t = {""};
    year_format(year, t.text);
    return t;
}
#define YEAR(year) year_text(year).text

static void put_day(yajl_gen g, const char *name, int32_t day)
{
    put_field(g, name, DAY(day));
}

static void put_days_left(yajl_gen g, const struct alert_school *school, int32_t deadline)
{
    put_text(g, "days_left");
    if (school->today == INT32_MIN)
        yajl_gen_null(g);
    else
        yajl_gen_integer(g, deadline - school->today);
}

static void put_school_and_name(yajl_gen g, const struct alert_school *school)
{
    char name[NAME_ROOM];
    put_school(g, "school_id", school->school_id);
    put_field(g, "school_name", clean_text(school->name ? school->name : "", name, sizeof name));
}

static void put_report(yajl_gen g, const struct inspection_report *report)
{
    put_field(g, "report_id", KEY(report->report_id));
    put_year(g, "school_year", report->year);
    put_day(g, "report_date", report->date);
}

/* The parameters an alert rests on, by name; what is not verified is named again (P5). */
static void put_parameters(yajl_gen g, struct sentence *s, const struct rules_set *set, int year,
                           const char *const *names, int count)
{
    int unverified = 0;
    put_text(g, "rules");
    yajl_gen_array_open(g);
    for (int i = 0; i < count; i++) {
        const struct parameter *p = set ? rules_find(set, year, names[i]) : NULL;
        if (!p)
            continue;
        alert_json_parameter(g, p, SOURCE_ROOM);
        unverified += !p->verified;
    }
    yajl_gen_array_close(g);
    put_bool(g, "rests_on_unverified", unverified > 0);
    if (unverified > 0)
        say(s, " Rests on %d unverified parameter%s.", unverified, unverified == 1 ? "" : "s");
}

/* ---- evaluations ---- */

static void put_stake(yajl_gen g, const struct alert_stake *stake, const char *hours_name,
                      const char *cents_name)
{
    if (stake->year)
        put_year(g, "stake_year", stake->year);
    put_text(g, hours_name);
    if (stake->year)
        yajl_gen_integer(g, stake->hours - stake->half);
    else
        yajl_gen_null(g);
    put_maybe_int(g, "hours_without_sanction", stake->year != 0, stake->hours);
    put_maybe_int(g, "hours_with_sanction", stake->year != 0, stake->half);
    put_text(g, cents_name);
    if (stake->has_cents)
        yajl_gen_integer(g, stake->cents);
    else
        yajl_gen_null(g);
    put_bool(g, "rests_on_unverified", stake->unverified_count > 0);
    put_text(g, "unverified");
    yajl_gen_array_open(g);
    for (int i = 0; i < stake->unverified_count; i++)
        put_text(g, stake->unverified[i]);
    yajl_gen_array_close(g);
}

/* "5 of 11 hours and 1234.56 euro in 2025-2026" */
static void say_stake(struct sentence *s, const struct alert_stake *stake)
{
    if (!stake->year) {
        say(s, "hours that are not known, for nothing is counted yet");
        return;
    }
    say(s, "%d of its %d hours in %s", stake->hours - stake->half, stake->hours, YEAR(stake->year));
    if (stake->has_cents)
        say(s, " and %lld.%02d euro of working budget", (long long)(stake->cents / 100),
            (int)(stake->cents % 100));
}

static void say_stake_ground(struct sentence *s, const struct alert_stake *stake)
{
    if (stake->unverified_count > 0)
        say(s, " The hours rest on %d unverified parameter%s.", stake->unverified_count,
            stake->unverified_count == 1 ? "" : "s");
}

void alert_first_negative(const struct alert_school *school, const struct inspection_report *report,
                          const struct alert_stake *stake, struct alert *out)
{
    open_subject(out, ALERT_EVALUATION_FIRST_NEGATIVE, SEVERITY_WARNING, school->school_id, report->year,
                 report->report_id);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say_school(&s, school->school_id, school->name);
    say(&s, ": first negative evaluation of the use of GOK means (report %s of %s); a second one would cost ",
        KEY(report->report_id), DAY(report->date));
    say_stake(&s, stake);
    say(&s, ".");
    say_stake_ground(&s, stake);
    strcpy(out->detail, "{}");
    yajl_gen g = begin_detail();
    if (!g)
        return;
    put_school_and_name(g, school);
    put_report(g, report);
    put_stake(g, stake, "hours_at_stake", "cents_at_stake");
    put_field(
        g, "rule",
        "a second negative evaluation in a row halves hours and working budget (regulation 3, [GO 5.3, OS])");
    finish_detail(g, out->detail);
}

void alert_followup_due(const struct alert_school *school, const struct inspection_report *report,
                        int32_t due, int urgency, struct alert *out)
{
    static const char *const names[] = {"evaluation.followup_months"};
    bool given = report->followup_due != EVALUATION_NO_DATE;
    open_subject(out, ALERT_EVALUATION_FOLLOWUP_DUE, urgency > 1 ? SEVERITY_CRITICAL : SEVERITY_WARNING,
                 school->school_id, report->year, report->report_id);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say_school(&s, school->school_id, school->name);
    say(&s, ": the evaluation after the negative one of %s (report %s) is due ", DAY(report->date),
        KEY(report->report_id));
    say(&s, given ? "on %s" : "by %s", DAY(due));
    if (school->today == INT32_MIN)
        say(&s, ".");
    else if (due >= school->today)
        say(&s, ", in %d days.", due - school->today);
    else
        say(&s, ", %d days ago.", school->today - due);
    strcpy(out->detail, "{}");
    yajl_gen g = begin_detail();
    if (!g)
        return;
    put_school_and_name(g, school);
    put_report(g, report);
    put_day(g, "followup_due", due);
    put_bool(g, "date_in_report", given);
    put_days_left(g, school, due);
    put_field(g, "rule",
              "the next evaluation follows on the date given, else within a year (regulation 3, [OFF])");
    put_parameters(g, &s, school->set, report->year, names, given ? 0 : 1);
    finish_detail(g, out->detail);
}

void alert_second_negative(const struct alert_school *school, const struct inspection_report *reports,
                           const struct sanction_span *span, const struct alert_stake *stake,
                           struct alert *out)
{
    const struct inspection_report *second = reports + span->second;
    bool ends = span->last_year != EVALUATION_NO_YEAR;
    open_subject(out, ALERT_EVALUATION_SECOND_NEGATIVE, SEVERITY_CRITICAL, school->school_id, second->year,
                 second->report_id);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say_school(&s, school->school_id, school->name);
    say(&s,
        ": second negative evaluation in a row (report %s of %s): half of the hours and of the working "
        "budget ",
        KEY(second->report_id), DAY(second->date));
    if (ends)
        say(&s, "is lost from %s up to and including %s: ", YEAR(span->first_year), YEAR(span->last_year));
    else
        say(&s, "is lost from %s until an evaluation is positive: ", YEAR(span->first_year));
    say_stake(&s, stake);
    say(&s, ".");
    say_stake_ground(&s, stake);
    strcpy(out->detail, "{}");
    yajl_gen g = begin_detail();
    if (!g)
        return;
    put_school_and_name(g, school);
    put_report(g, second);
    put_year(g, "first_year", span->first_year);
    put_text(g, "last_year");
    if (ends)
        put_text(g, YEAR(span->last_year));
    else
        yajl_gen_null(g);
    if (ends)
        put_field(g, "positive_report_id", KEY(reports[span->positive].report_id));
    put_exact(g, "sanction_factor", true, exact_from_halves(1));
    put_stake(g, stake, "hours_lost", "cents_lost");
    put_field(
        g, "rule",
        "half from the school year after the second negative up to and including that of a positive one "
        "(regulation 3, [GO 5.3, OS])");
    finish_detail(g, out->detail);
}

/* ---- erkenning ---- */

void alert_ongunstig(const struct alert_school *school, const struct inspection_report *report,
                     struct alert *out)
{
    static const char *const names[] = {"erkenning.opschorting_days"};
    bool may_ask = report->advice == ADVICE_ONGUNSTIG_MET_OPSCHORTING;
    int32_t deadline =
        report->date + (school->set ? rules_for_year(school->set, report->year)->opschorting_days : 0);
    open_subject(out, ALERT_ERKENNING_ONGUNSTIG, SEVERITY_CRITICAL, school->school_id, report->year,
                 report->report_id);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say_school(&s, school->school_id, school->name);
    say(&s, ": unfavourable advice on its erkenning (%s, report %s of %s)",
        report->advice >= 0 ? advice_names[report->advice] : "", KEY(report->report_id), DAY(report->date));
    if (!may_ask)
        say(&s, ", for which no opschorting can be asked.");
    else if (school->today == INT32_MIN || school->today <= deadline)
        say(&s, ": the board can ask for opschorting until %s", DAY(deadline));
    else
        say(&s, ": opschorting was to be asked by %s", DAY(deadline));
    if (may_ask && school->today != INT32_MIN && school->today <= deadline)
        say(&s, ", %d days left", deadline - school->today);
    if (may_ask)
        say(&s, ".");
    strcpy(out->detail, "{}");
    yajl_gen g = begin_detail();
    if (!g)
        return;
    put_school_and_name(g, school);
    put_report(g, report);
    put_field(g, "advice", report->advice >= 0 ? advice_names[report->advice] : "");
    put_text(g, "deadline");
    if (may_ask)
        put_text(g, DAY(deadline));
    else
        yajl_gen_null(g);
    if (may_ask)
        put_days_left(g, school, deadline);
    put_field(g, "rule",
              "after unfavourable advice the board asks for opschorting within calendar days; a new "
              "doorlichting "
              "follows (regulation 6, [OFF, SV])");
    put_parameters(g, &s, school->set, report->year, names, may_ask ? 1 : 0);
    finish_detail(g, out->detail);
}

/* ---- huisonderwijs ---- */

static void write_controle_detail(const struct controle *controle, const char *rule, struct alert *out)
{
    strcpy(out->detail, "{}");
    yajl_gen g = begin_detail();
    if (!g)
        return;
    put_field(g, "pupil", out->key.subject);
    put_field(g, "controle_id", KEY(controle->controle_id));
    put_year(g, "school_year", controle->year);
    put_day(g, "date", controle->date);
    put_field(g, "rule", rule);
    put_bool(g, "rests_on_unverified", false);
    finish_detail(g, out->detail);
}

void alert_control_due(const char *pupil_hex, const struct controle *controle, struct alert *out)
{
    open_subject(out, ALERT_HUISONDERWIJS_CONTROL_DUE, SEVERITY_INFO, 0, controle->year, pupil_hex);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say(&s,
        "Huisonderwijs of pupil %s: the controle of %s (%s) was onvoldoende or geweigerd; a second controle "
        "must follow.",
        out->key.subject, DAY(controle->date), KEY(controle->controle_id));
    write_controle_detail(
        controle, "a second control follows an insufficient first one (regulation 7, [OS, OFF])", out);
}

void alert_second_insufficient(const char *pupil_hex, const struct controle *controle, struct alert *out)
{
    open_subject(out, ALERT_HUISONDERWIJS_SECOND_INSUFFICIENT, SEVERITY_CRITICAL, 0, controle->year,
                 pupil_hex);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say(&s,
        "Huisonderwijs of pupil %s: the second controle in a row that was onvoldoende or geweigerd (%s, %s): "
        "the pupil "
        "must enrol in a school.",
        out->key.subject, DAY(controle->date), KEY(controle->controle_id));
    write_controle_detail(
        controle,
        "two consecutive insufficient or refused controls, across school years: the pupil must enrol in "
        "a school (regulation 7, [OS, OFF])",
        out);
}

/* ---- meldingen ---- */

void alert_answer_overdue(const struct alert_school *school, const char *melding_id, int32_t received_on,
                          int32_t deadline, struct alert *out)
{
    int year = melding_school_year(received_on);
    const struct rules *rules = school->set ? rules_for_year(school->set, year) : NULL;
    bool summer = rules && deadline != received_on + rules->answer_days;
    const char *const names[] = {summer ? "melding.answer_days_summer" : "melding.answer_days"};
    open_subject(out, ALERT_MELDING_ANSWER_OVERDUE, SEVERITY_WARNING, school->school_id, year, melding_id);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say_school(&s, school->school_id, school->name);
    say(&s, " has not answered melding %s, received on %s; the answer was due by %s (%d calendar days%s).",
        KEY(melding_id), DAY(received_on), DAY(deadline), deadline - received_on,
        summer ? ", for the term touches July or August" : "");
    strcpy(out->detail, "{}");
    yajl_gen g = begin_detail();
    if (!g)
        return;
    put_school_and_name(g, school);
    put_field(g, "melding_id", KEY(melding_id));
    put_year(g, "school_year", year);
    put_day(g, "received_on", received_on);
    put_day(g, "deadline", deadline);
    put_days_left(g, school, deadline);
    put_field(g, "rule",
              "a school answers within calendar days, longer when that span touches 1 July-31 August "
              "(regulation 7, "
              "[OS, OFF])");
    put_parameters(g, &s, school->set, year, names, 1);
    finish_detail(g, out->detail);
}
