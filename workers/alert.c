/* SPDX-License-Identifier: MIT
 *
 * Which alerts a state of affairs implies (design 8), their severity, and how they read. Pure: severity and
 * state depend on the arguments only. A text that does not fit is shortened at a character, never at a byte;
 * detail is always a whole JSON object. An alert that rests on an unverified parameter says so in summary and
 * detail (P5). */
#include "workers/alert_internal.h"

const char *const alert_kind_names[ALERT_KIND_COUNT + 1] = {
    "threshold.near",
    "threshold.grace",
    "threshold.lost",
    "count.incomplete",
    "registration.double",
    "evaluation.first_negative",
    "evaluation.followup_due",
    "evaluation.second_negative",
    "erkenning.ongunstig",
    "huisonderwijs.control_due",
    "huisonderwijs.second_insufficient",
    "melding.answer_overdue",
    "risk.high",
    "stream.gap",
    "stream.stale",
    "dead_letter",
    NULL,
};
const char *const severity_names[4] = {"info", "warning", "critical", NULL};

enum alert_scope alert_kind_scope(enum alert_kind kind)
{
    static const enum alert_scope scopes[ALERT_KIND_COUNT] = {
        [ALERT_THRESHOLD_NEAR] = SCOPE_USE_YEAR,
        [ALERT_THRESHOLD_GRACE] = SCOPE_USE_YEAR,
        [ALERT_THRESHOLD_LOST] = SCOPE_USE_YEAR,
        [ALERT_COUNT_INCOMPLETE] = SCOPE_COUNT_YEAR,
        [ALERT_REGISTRATION_DOUBLE] = SCOPE_COUNT_YEAR,
        [ALERT_EVALUATION_FIRST_NEGATIVE] = SCOPE_SCHOOL,
        [ALERT_EVALUATION_FOLLOWUP_DUE] = SCOPE_SCHOOL,
        [ALERT_EVALUATION_SECOND_NEGATIVE] = SCOPE_SCHOOL,
        [ALERT_ERKENNING_ONGUNSTIG] = SCOPE_SCHOOL,
        [ALERT_HUISONDERWIJS_CONTROL_DUE] = SCOPE_PUPIL,
        [ALERT_HUISONDERWIJS_SECOND_INSUFFICIENT] = SCOPE_PUPIL,
        [ALERT_MELDING_ANSWER_OVERDUE] = SCOPE_MELDING,
        [ALERT_RISK_HIGH] = SCOPE_COUNT_YEAR,
        [ALERT_STREAM_GAP] = SCOPE_OPERATIONAL,
        [ALERT_STREAM_STALE] = SCOPE_OPERATIONAL,
        [ALERT_DEAD_LETTER] = SCOPE_OPERATIONAL,
    };
    return scopes[kind];
}

bool alert_kind_is_operational(enum alert_kind kind)
{
    return alert_kind_scope(kind) == SCOPE_OPERATIONAL;
}

/* ---- keys ---- */

bool alert_key_equal(const struct alert_key *a, const struct alert_key *b)
{
    return alert_key_compare(a, b) == 0;
}

int alert_key_compare(const struct alert_key *a, const struct alert_key *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->school_id != b->school_id)
        return a->school_id < b->school_id ? -1 : 1;
    if (a->year != b->year)
        return a->year < b->year ? -1 : 1;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    int order = strcmp(a->stream, b->stream);
    return order ? order : strcmp(a->subject, b->subject);
}

/* ---- threshold alerts ---- */

struct ground { /* the parameters a row rests on */
    const struct parameter *rows[ALLOCATION_RULES_MAX];
    int count, unverified;
};

static void find_ground(const struct rules_set *set, const struct allocation *row, struct ground *ground)
{
    const char *names[ALLOCATION_RULES_MAX];
    int count = allocation_rests_on(row, names);
    ground->count = ground->unverified = 0;
    for (int i = 0; i < count; i++) {
        const struct parameter *p = rules_find(set, row->year, names[i]);
        if (!p)
            continue;
        ground->rows[ground->count++] = p;
        ground->unverified += !p->verified;
    }
}

void alert_json_parameter(yajl_gen g, const struct parameter *p, size_t source_room)
{
    char source[SOURCE_ROOM];
    yajl_gen_map_open(g);
    put_field(g, "name", p->name);
    put_field(g, "value", p->value);
    put_field(g, "source",
              clean_text(p->source, source, source_room < SOURCE_ROOM ? source_room : SOURCE_ROOM));
    put_bool(g, "verified", p->verified);
    yajl_gen_map_close(g);
}

static void put_ground(yajl_gen g, const struct ground *ground, size_t source_room)
{
    put_bool(g, "rests_on_unverified", ground->unverified > 0);
    put_text(g, "unverified");
    yajl_gen_array_open(g);
    for (int i = 0; i < ground->count; i++)
        if (!ground->rows[i]->verified)
            put_text(g, ground->rows[i]->name);
    yajl_gen_array_close(g);
    put_text(g, "rules");
    yajl_gen_array_open(g);
    for (int i = 0; i < ground->count; i++)
        alert_json_parameter(g, ground->rows[i], source_room);
    yajl_gen_array_close(g);
}

void alert_json_row(yajl_gen g, const struct allocation *row, const char *school_name)
{
    char name[NAME_ROOM];
    put_school(g, "school_id", row->school_id);
    put_field(g, "school_name", clean_text(school_name ? school_name : "", name, sizeof name));
    put_year(g, "school_year", row->year);
    put_year(g, "count_year", row->year - 1);
    put_field(g, "stream", staffing_names[row->staffing]);
    put_field(g, "group", group_names[row->group]);
    put_field(g, "status", status_names[row->status]);
    put_exact(g, "pupils", true, exact_from_halves(row->pupils));
    put_exact(g, "gok_pupils", true, exact_from_halves(row->gok));
    put_exact(g, "threshold", row->has_threshold, row->threshold);
    put_exact(g, "points", row->has_points, row->points);
    put_exact(g, "hours_exact", true, row->hours_exact);
    put_int(g, "hours", row->hours);
    put_maybe_int(g, "minimum", row->has_minimum, row->minimum);
    put_exact(g, "sanction_factor", true, exact_from_halves(row->sanction_halves));
    put_int(g, "granted", row->granted);
    put_maybe_int(g, "margin_pupils", row->has_margin_pupils, row->margin_pupils);
    put_maybe_int(g, "margin_hours", row->has_margin_hours, row->margin_hours);
    put_text(g, "previous");
    if (!row->previous_known) {
        yajl_gen_null(g);
        return;
    }
    yajl_gen_map_open(g);
    put_year(g, "school_year", row->year - 1);
    put_field(g, "status", status_names[row->previous]);
    put_bool(g, "official", row->previous_official);
    put_school(g, "school_id", row->previous_school);
    yajl_gen_map_close(g);
}

/* Sources are shortened until the object fits: every parameter stays named with its value and verified. */
static void write_row_detail(const struct allocation *row, const struct rules_set *set,
                             const struct ground *ground, const char *school_name, char out[ALERT_DETAIL_MAX])
{
    static const size_t source_rooms[] = {SOURCE_ROOM, 120, 40, 4};
    for (size_t i = 0; i < sizeof source_rooms / sizeof *source_rooms; i++) {
        yajl_gen g = begin_detail();
        strcpy(out, "{}");
        if (!g)
            return;
        alert_json_row(g, row, school_name);
        put_text(g, "near");
        yajl_gen_map_open(g);
        put_int(g, "pupils", rules_near(set).pupils);
        put_int(g, "hours", rules_near(set).hours);
        yajl_gen_map_close(g);
        put_field(g, "rules_set", rules_hash(set));
        put_ground(g, ground, source_rooms[i]);
        if (finish_detail(g, out))
            return;
    }
}

/* "64 of 250 pupils (25.6 %) are GOK-leerlingen, threshold 25 %, margin 2; 6 hours, minimum 6, margin 0" */
static void say_numbers(struct sentence *s, const struct allocation *row, const struct rules_set *set)
{
    char gok[EXACT_TEXT_MAX], pupils[EXACT_TEXT_MAX], share[EXACT_TEXT_MAX], threshold[EXACT_TEXT_MAX];
    bool moeder = row->group == GROUP_AANBOD && !rules_for_year(set, row->year)->bu_share_any;
    exact_format(allocation_ratio(100 * (int64_t)row->gok, row->pupils, 2), share);
    say(s, "%s of %s pupils (%s %%) %s, threshold %s %%, margin %d; %d hours, minimum %d, margin %d",
        halves_text(row->gok, gok), halves_text(row->pupils, pupils), share,
        moeder ? "are on opleiding_moeder" : "are GOK-leerlingen", percent_text(row->threshold, threshold),
        row->margin_pupils, row->hours, row->minimum, row->margin_hours);
}

static void say_previous(struct sentence *s, const struct allocation *row)
{
    char year[YEAR_TEXT_MAX];
    year_format(row->year - 1, year);
    if (row->previous_known)
        say(s, "%s was %s", year,
            row->previous == STATUS_GRACE ? "a gedoogjaar" : status_names[row->previous]);
    else
        say(s, "%s is not known", year);
}

static bool margin_is(const struct allocation *row, int pupils, int hours)
{
    return (row->has_margin_pupils && row->margin_pupils <= pupils) ||
           (row->has_margin_hours && row->margin_hours <= hours);
}

static bool margin_is_zero(const struct allocation *row)
{
    return (row->has_margin_pupils && row->margin_pupils == 0) ||
           (row->has_margin_hours && row->margin_hours == 0);
}

/* Design 8, for a closed count; re-evaluated with every change of the row, of the closing or of the rules
 * set: (1) near: granted, and a margin within the near settings; critical when a margin is 0 and y-1 was no
 * ordinary grant, so that no gedoogjaar would catch the loss; (2) grace: the gedoogjaar itself; (3) lost: not
 * granted, and y-1 was granted or grace. */
static bool choose_threshold_alert(const struct allocation *row, struct rules_near near, struct alert *out)
{
    bool ordinary = row->previous_known && row->previous == STATUS_GRANTED;
    switch (row->status) {
    case STATUS_GRANTED: /* (1) */
        out->key.kind = ALERT_THRESHOLD_NEAR;
        out->severity = margin_is_zero(row) && !ordinary ? SEVERITY_CRITICAL : SEVERITY_WARNING;
        return margin_is(row, near.pupils, near.hours);
    case STATUS_GRACE: /* (2) */
        out->key.kind = ALERT_THRESHOLD_GRACE;
        out->severity = SEVERITY_WARNING;
        return true;
    default: /* (3) */
        out->key.kind = ALERT_THRESHOLD_LOST;
        out->severity = SEVERITY_CRITICAL;
        return row->previous_known && (row->previous == STATUS_GRANTED || row->previous == STATUS_GRACE);
    }
}

static void say_verdict(struct sentence *s, const struct alert *alert, const struct allocation *row)
{
    const char *fails = !row->threshold_holds && !row->minimum_holds ? "threshold and minimum"
                        : !row->threshold_holds                      ? "threshold"
                                                                     : "minimum";
    switch (alert->key.kind) {
    case ALERT_THRESHOLD_NEAR:
        say(s, "is near the loss of its %d hours", row->granted);
        if (alert->severity == SEVERITY_CRITICAL) {
            say(s, " and no gedoogjaar would catch it (");
            say_previous(s, row);
            say(s, ")");
        }
        break;
    case ALERT_THRESHOLD_GRACE:
        say(s, "fails its %s and keeps %d hours in a gedoogjaar that cannot be repeated", fails,
            row->granted);
        break;
    default:
        say(s, "fails its %s and loses its hours (", fails);
        say_previous(s, row);
        say(s, ")");
    }
}

bool alert_from_allocation(const struct allocation *row, bool count_closed, const struct rules_set *set,
                           const char *school_name, struct alert *out)
{
    if (!count_closed || !row->has_threshold || !choose_threshold_alert(row, rules_near(set), out))
        return false;
    open_alert(out, row->school_id, row->year, (int)row->group, staffing_names[row->staffing], "");
    struct ground ground;
    find_ground(set, row, &ground);
    write_row_detail(row, set, &ground, school_name, out->detail);

    struct sentence s = {out->summary, sizeof out->summary, 0};
    char year[YEAR_TEXT_MAX];
    year_format(row->year, year);
    say_school(&s, row->school_id, school_name);
    say(&s, ", %s %s in %s, ", staffing_names[row->staffing], group_names[row->group], year);
    say_verdict(&s, out, row);
    say(&s, ": ");
    say_numbers(&s, row, set);
    if (ground.unverified > 0)
        say(&s, ". Rests on %d unverified parameter%s.", ground.unverified,
            ground.unverified == 1 ? "" : "s");
    else
        say(&s, ".");
    return true;
}

/* ---- counts ---- */

void alert_count_incomplete(uint32_t school_id, const char *school_name, int count_year, int32_t held,
                            int32_t announced, struct alert *out)
{
    out->key.kind = ALERT_COUNT_INCOMPLETE;
    out->severity = SEVERITY_WARNING;
    open_alert(out, school_id, count_year, -1, "", "");
    struct sentence s = {out->summary, sizeof out->summary, 0};
    char year[YEAR_TEXT_MAX];
    year_format(count_year, year);
    say_school(&s, school_id, school_name);
    say(&s, ": the count of %s is incomplete: %d registrations are held, the registry announced %d.", year,
        held, announced);
    yajl_gen g = begin_detail();
    strcpy(out->detail, "{}");
    if (!g)
        return;
    char name[NAME_ROOM];
    put_school(g, "school_id", school_id);
    put_field(g, "school_name", clean_text(school_name ? school_name : "", name, sizeof name));
    put_year(g, "count_year", count_year);
    put_int(g, "held", held);
    put_int(g, "announced", announced);
    put_field(g, "rule", "registration.closed.v1: the number announced equals the number held (design 6)");
    put_bool(g, "rests_on_unverified", false);
    finish_detail(g, out->detail);
}

/* With the rules set the alert also says what the teldag rests on (P5); set may be NULL. */
void alert_registration_double_on(const struct alert_double *d, const struct rules_set *set,
                                  struct alert *out)
{
    out->key.kind = ALERT_REGISTRATION_DOUBLE;
    out->severity = SEVERITY_WARNING;
    open_alert(out, d->school_id, d->count_year, -1, "", d->pupil_hex);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    char year[YEAR_TEXT_MAX], weight[EXACT_TEXT_MAX];
    year_format(d->count_year, year);
    halves_text(d->weight_halves, weight);
    say(&s,
        "School %u: pupil %s is counted in %d schools on the teldag of %s, weights %s together; another is "
        "school %u.",
        d->school_id, out->key.subject, d->schools, year, weight, d->other_school_id);
    struct ground ground = {0};
    const struct parameter *teldag = set ? rules_find(set, d->count_year + 1, "teldag") : NULL;
    if (teldag) {
        ground = (struct ground){{teldag}, 1, !teldag->verified};
        if (ground.unverified)
            say(&s, " The teldag %s is an unverified parameter.", teldag->value);
    }
    yajl_gen g = begin_detail();
    strcpy(out->detail, "{}");
    if (!g)
        return;
    put_school(g, "school_id", d->school_id);
    put_school(g, "other_school_id", d->other_school_id);
    put_year(g, "count_year", d->count_year);
    put_field(g, "pupil", out->key.subject);
    put_int(g, "schools", d->schools);
    put_exact(g, "weight", true, exact_from_halves(d->weight_halves));
    put_field(g, "rule", "a pupil counts in one school (regulation 1)");
    if (teldag)
        put_ground(g, &ground, SOURCE_ROOM);
    finish_detail(g, out->detail);
}

void alert_registration_double(const struct alert_double *d, struct alert *out)
{
    alert_registration_double_on(d, NULL, out);
}

/* ---- operational ---- */

void alert_stream_gap(const char *stream, const char *reason, uint64_t epoch, uint64_t from, uint64_t to,
                      struct alert *out)
{
    out->key.kind = ALERT_STREAM_GAP;
    out->severity = SEVERITY_CRITICAL;
    open_alert(out, 0, 0, -1, stream, "");
    struct sentence s = {out->summary, sizeof out->summary, 0};
    char clean[160];
    clean_text(reason, clean, sizeof clean);
    say(&s, "Stream %s stands still: %s (epoch %llu); teldagctl status says what to do.", out->key.stream,
        clean, (unsigned long long)epoch);
    yajl_gen g = begin_detail();
    strcpy(out->detail, "{}");
    if (!g)
        return;
    put_field(g, "stream", out->key.stream);
    put_field(g, "reason", clean);
    put_int(g, "epoch", (int64_t)epoch);
    put_int(g, "from_seq", (int64_t)from);
    put_int(g, "to_seq", (int64_t)to);
    finish_detail(g, out->detail);
}

void alert_stream_stale(const char *stream, int silent_s, struct alert *out)
{
    out->key.kind = ALERT_STREAM_STALE;
    out->severity = SEVERITY_WARNING;
    open_alert(out, 0, 0, -1, stream, "");
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say(&s, "Stream %s has been silent for %d seconds.", out->key.stream, silent_s);
    yajl_gen g = begin_detail();
    strcpy(out->detail, "{}");
    if (!g)
        return;
    put_field(g, "stream", out->key.stream);
    put_int(g, "silent_s", silent_s);
    finish_detail(g, out->detail);
}

void alert_dead_letter(const char *stream, int32_t day, uint64_t number, const char *last_reason,
                       struct alert *out)
{
    int y, m, d;
    char date[48], clean[160];
    date_to_ymd(day, &y, &m, &d);
    snprintf(date, sizeof date, "%04d-%02d-%02d", y, m, d);
    out->key.kind = ALERT_DEAD_LETTER;
    out->severity = SEVERITY_WARNING;
    open_alert(out, 0, 0, -1, stream, date);
    clean_text(last_reason ? last_reason : "", clean, sizeof clean);
    struct sentence s = {out->summary, sizeof out->summary, 0};
    say(&s, "Stream %s: %llu event%s refused on %s; the last: %s.", out->key.stream,
        (unsigned long long)number, number == 1 ? " was" : "s were", date, clean);
    yajl_gen g = begin_detail();
    strcpy(out->detail, "{}");
    if (!g)
        return;
    put_field(g, "stream", out->key.stream);
    put_field(g, "date", date);
    put_int(g, "number", (int64_t)number);
    put_field(g, "last_reason", clean);
    finish_detail(g, out->detail);
}

/* From the key alone, so that a rebuilt daemon, which knows no more, writes the same sentence. */
void alert_resolve(struct alert *alert)
{
    struct sentence s = {alert->summary, sizeof alert->summary, 0};
    const struct alert_key *key = &alert->key;
    char year[YEAR_TEXT_MAX];
    alert->firing = false;
    say(&s, "Resolved: %s", alert_kind_names[key->kind]);
    if (key->school_id)
        say(&s, ", school %u", key->school_id);
    if (*key->stream)
        say(&s, ", %s", key->stream);
    if (key->group >= 0)
        say(&s, " %s", group_names[key->group]);
    if (key->year) {
        year_format(key->year, year);
        say(&s, ", %s", year);
    }
    if (*key->subject) {
        char clean[ALERT_SUBJECT_MAX];
        say(&s, ", %s", clean_text(key->subject, clean, sizeof clean));
    }
    say(&s, ".");
    if (!*alert->detail)
        strcpy(alert->detail, "{}");
}
