/* SPDX-License-Identifier: MIT
 *
 * How risk.high reads (design 8, 9): how many events, how many were to be expected and why, and how likely that is. That
 * it fires is decided by risk.c. */
#include "workers/alert_internal.h"

static const char *const event_words[RISK_INDICATOR_COUNT] = {
    [RISK_MELDINGEN] = "meldingen",
    [RISK_TOAH] = "TOAH notifications",
    [RISK_POAH] = "POAH requests",
    [RISK_HUISONDERWIJS] = "departures to huisonderwijs",
};

static void put_probability(yajl_gen g, double p)
{
    char text[40];
    int n = snprintf(text, sizeof text, "%.6g", p);
    put_text(g, "probability");
    yajl_gen_number(g, text, (size_t)n);
}

static const struct parameter *find_teldag(const struct alert_risk *r)
{
    return r->school->set ? rules_find(r->school->set, r->reference->year + 1, "teldag") : NULL;
}

/* To 4 decimals: a sentence is no place for thirteen. */
static const char *rounded_text(struct exact e, char out[EXACT_TEXT_MAX])
{
    int64_t units = exact_round(exact_mul(e, exact_from_int(10000)), ROUND_GT4);
    exact_format((struct exact){.units = units, .scale = 4}, out);
    return out;
}

static void say_risk(const struct alert_risk *r, const struct parameter *teldag, struct alert *out)
{
    struct sentence s = {out->summary, sizeof out->summary, 0};
    char year[YEAR_TEXT_MAX], expected[EXACT_TEXT_MAX], pupils[EXACT_TEXT_MAX], rate[EXACT_TEXT_MAX];
    year_format(r->reference->year, year);
    say_school(&s, r->school->school_id, r->school->name);
    say(&s, ": %d %s in %s, where %s would be expected", r->observed, event_words[r->reference->indicator],
        year, rounded_text(r->risk->expected, expected));
    say(&s,
        " of %s pupils at the rate of level %s, %s per 1,000; by chance so many or more come with "
        "probability %.2g.",
        halves_text(r->halves, pupils), level_names[r->reference->level],
        rounded_text(r->reference->rate, rate), r->risk->probability);
    if (teldag && !teldag->verified)
        say(&s, " Rests on 1 unverified parameter.");
}

void alert_risk_high(const struct alert_risk *r, struct alert *out)
{
    const struct risk_reference *reference = r->reference;
    const struct parameter *teldag = find_teldag(r);
    char name[NAME_ROOM];
    out->key.kind = ALERT_RISK_HIGH;
    out->severity = SEVERITY_WARNING;
    open_alert(out, r->school->school_id, reference->year, -1, "",
               risk_indicator_names[reference->indicator]);
    say_risk(r, teldag, out);
    strcpy(out->detail, "{}");
    yajl_gen g = begin_detail();
    if (!g)
        return;
    put_school(g, "school_id", r->school->school_id);
    put_field(g, "school_name", clean_text(r->school->name ? r->school->name : "", name, sizeof name));
    put_year(g, "school_year", reference->year);
    put_field(g, "indicator", risk_indicator_names[reference->indicator]);
    put_int(g, "observed", r->observed);
    put_exact(g, "pupils", true, exact_from_halves(r->halves));
    put_exact(g, "expected", true, r->risk->expected);
    put_probability(g, r->risk->probability);
    put_field(g, "band", risk_band_names[r->risk->band]);
    put_field(g, "level", level_names[reference->level]);
    put_exact(g, "reference_rate", true, reference->rate);
    put_int(g, "reference_events", reference->events);
    put_exact(g, "reference_pupils", true, exact_from_halves(reference->halves));
    put_field(g, "rule",
              "at least 3 events, of which so many or more have a Poisson probability of at most .001 at the "
              "reference rate of the level (design 9)");
    put_bool(g, "rests_on_unverified", teldag && !teldag->verified);
    put_text(g, "rules");
    yajl_gen_array_open(g);
    if (teldag)
        alert_json_parameter(g, teldag, SOURCE_ROOM);
    yajl_gen_array_close(g);
    finish_detail(g, out->detail);
}
