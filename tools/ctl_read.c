/* SPDX-License-Identifier: MIT
 *
 * teldagctl's readers of the views: one school, alerts, dead letters. They work with the daemon down. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/ctl.h"
#include "workers/alert.h"

struct section {
    const char *name, *title, *sql; /* $1 = school id */
};

static const struct section school_sections[] = {
    {"school", "School",
     "SELECT school_id, name, level, network, province, municipality, brussels, board_id, closed_on, "
     "successor_id"
     " FROM teldag.school WHERE school_id = $1"},
    {"counts", "\nCounts (pupils of weight 1 or 0.5, regular, there on the teldag)",
     "SELECT school_year, \"group\", pupils, gok_pupils, thuistaal, schooltoelage, opleiding_moeder, "
     "thuisloos, trekkend, buurt,"
     " closed FROM teldag.count WHERE school_id = $1 ORDER BY 1, 2"},
    {"oki", "\nOKI",
     "SELECT school_year, pupils, buurt, opleiding_moeder, schooltoelage, thuistaal, oki FROM teldag.oki "
     "WHERE school_id = $1 ORDER BY 1"},
    {"allocations", "\nAllocations (school year of use)",
     "SELECT school_year, stream, \"group\", count_year, pupils, gok_pupils, round(share, 4) AS share, "
     "threshold, points, hours_exact,"
     " hours, minimum, status, sanction_factor, granted, margin_pupils, margin_hours FROM teldag.allocation "
     "WHERE school_id = "
     "$1 ORDER BY 1, 2, 3"},
    {"inspections", "\nInspections",
     "SELECT report_id, date, school_year, kind, advice, gok, leerlingenbegeleiding, followup_due, "
     "opschorting_asked_on"
     " FROM teldag.inspection WHERE school_id = $1 ORDER BY date, report_id COLLATE \"C\""},
    {"evaluation", "\nEvaluation of the use of GOK means (negatives in a row since the last positive)",
     "SELECT negatives, followup_due FROM teldag.evaluation WHERE school_id = $1"},
    {"sanctions", "\nSanctions (school years of use at half)",
     "SELECT first_year, last_year FROM teldag.sanction WHERE school_id = $1 ORDER BY 1"},
    {"working_budget", "\nWorking budget (school year of use, cents)",
     "SELECT school_year, indicator, pupils, value_cents, amount_cents, sanction_factor, granted_cents"
     " FROM teldag.working_budget WHERE school_id = $1 ORDER BY 1, 2"},
    {"risk", "\nRisk indicators (events a year against what is expected of its pupils)",
     "SELECT school_year, indicator, observed, pupils, expected, probability, band FROM teldag.risk_indicator"
     " WHERE school_id = $1 AND observed > 0 ORDER BY 1, 2"},
    {"alerts", "\nAlerts firing",
     "SELECT seq, severity, kind, school_year, \"group\", summary FROM teldag.alert WHERE school_id = $1 AND "
     "state = 'firing' ORDER BY seq"},
    {"best_effort", "\nCounts that came by a best-effort stream: what it lost is not in these figures",
     "SELECT school_year, stream FROM teldag.best_effort WHERE school_id = $1 ORDER BY 1, 2"},
    {NULL, NULL, NULL},
};

/* What did not count, or counts without allocating, and why. */
static const struct section registration_section = {
    "registrations", "\nRegistrations that did not count, or count without allocating",
    "SELECT x.school_year, x.pupil, x.\"group\", x.seq, x.why, k.pupil_key FROM ("
    " SELECT teldag_data.year_name(r.school_year) AS school_year, replace(r.pupil::text, '-', '') AS pupil, "
    "r.grp AS \"group\", r.seq,"
    "  concat_ws('; ',"
    "   CASE WHEN NOT r.regular THEN 'not a regular pupil' END,"
    "   CASE WHEN r.valid_from > u.teldag THEN 'came on ' || r.valid_from || ', after the teldag ' || "
    "u.teldag END,"
    "   CASE WHEN r.valid_until <= u.teldag THEN 'left on ' || r.valid_until || ', not there on the teldag ' "
    "|| u.teldag END,"
    "   CASE WHEN s.school_id IS NULL THEN 'the school is unknown: counted, but allocates nothing' END,"
    "   CASE WHEN NOT teldag_data.group_fits_level(r.grp, s.level)"
    "    THEN 'group ' || r.grp || ' does not fit level ' || s.level || ': counted, but allocates nothing' "
    "END) AS why"
    " FROM teldag_check.registration r"
    " LEFT JOIN teldag_check.rules u ON u.school_year = r.school_year + 1"
    " LEFT JOIN teldag.school s ON s.school_id = r.school_id::text"
    " WHERE r.school_id = $1::int) x"
    " LEFT JOIN (SELECT school_year, pupil, pupil_key FROM teldag.registration WHERE school_id = "
    "$1::int::text) k"
    " USING (school_year, pupil)"
    " WHERE x.why <> '' ORDER BY x.school_year, x.why, x.seq"};

/* A member of the object that --json prints; nothing at all when the first question already fails. */
static int print_section(struct ctl *ctl, struct db *db, const struct section *s, const char *const *values)
{
    char member[40];

    snprintf(member, sizeof(member), "%s\"%s\": ", s == school_sections ? "{" : ", ", s->name);
    return ctl_print_query(ctl, db, ctl->json ? member : s->title, s->sql, 1, values);
}

int ctl_school(struct ctl *ctl)
{
    bool registrations = ctl_flag(ctl, "--registrations");
    const char *values[1];
    struct db *db;
    int code, rows = 0;

    if (ctl->argc != 1 || !ctl_is_school(ctl->argv[0]))
        return ctl_usage("school takes one school id (1-9 digits)");
    values[0] = ctl->argv[0];
    db = ctl_connect(ctl, NULL, &code);
    if (!db)
        return code;
    for (const struct section *s = school_sections; s->name && !db_error(db); s++) {
        int n = print_section(ctl, db, s, values);

        rows += n > 0 ? n : 0;
    }
    if (registrations && !db_error(db)) {
        int n = print_section(ctl, db, &registration_section, values);

        rows += n > 0 ? n : 0;
    }
    if (ctl->json && !db_error(db))
        printf("}\n");
    if (db_error(db))
        code = ctl_database_error(db);
    else if (!rows)
        code = ctl_fail(EX_DATAERR, "nothing is known of school %s", values[0]);
    db_close(&db);
    return code;
}

/* A slip in a kind must not read as "no alerts". */
static bool is_alert_kind(const char *text)
{
    for (int i = 0; alert_kind_names[i]; i++)
        if (strcmp(alert_kind_names[i], text) == 0)
            return true;
    return false;
}

/* $1 = kind, $2 = school id, both '' = any; $3 = resolved ones too. The gravest first. */
#define ALERTS_WANTED                                                                                        \
    " WHERE (state = 'firing' OR $3::boolean) AND ($1 = '' OR kind = $1) AND ($2 = '' OR school_id = $2)"    \
    " ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, seq"

int ctl_alerts(struct ctl *ctl)
{
    bool follow = ctl_flag(ctl, "--follow"), accept = ctl_flag(ctl, "--accept"), all = ctl_flag(ctl, "--all");
    const char *after = ctl_option(ctl, "--after"), *kind = ctl_option(ctl, "--kind"),
               *school = ctl_option(ctl, "--school");
    struct ctl_follow how = {after, kind, school, ctl_option(ctl, "--curve"), ctl_option(ctl, "--server-key"),
                             accept};
    const char *values[] = {kind ? kind : "", school ? school : "", all ? "t" : "f"};
    struct db *db;
    int code;

    if (ctl->argc > 0 || ((after || accept || how.curve || how.server_key) && !follow) ||
        (school && !ctl_is_school(school)))
        return ctl_usage("alerts takes --follow [--after [EPOCH-]SEQ] [--accept] [--curve FILE] "
                         "[--server-key KEY], --kind K, --school ID, --all (resolved ones too)");
    if (kind && !is_alert_kind(kind))
        return ctl_usage("no alert is of kind \"%s\"", kind);
    if (follow)
        return ctl_follow(ctl, &how);
    db = ctl_connect(ctl, NULL, &code);
    if (!db)
        return code;
    if (ctl_print_query(ctl, db, NULL,
                        ctl->json
                            ? "SELECT * FROM teldag.alert" ALERTS_WANTED
                            : "SELECT seq, severity, kind, state, school_id, school_year, \"group\", stream, "
                              "summary FROM teldag.alert" ALERTS_WANTED,
                        3, values) < 0)
        code = ctl_database_error(db);
    db_close(&db);
    return code;
}

/* ---- dead letters ---- */

static int list_dead_letters(struct ctl *ctl)
{
    const char *values[] = {ctl->argc > 1 ? ctl->argv[1] : ""};
    struct db *db;
    int code;

    db = ctl_connect(ctl, NULL, &code);
    if (!db)
        return code;
    if (ctl_print_query(ctl, db, NULL,
                        "SELECT stream, epoch, seq, recorded_at, reason FROM teldag.dead_letter"
                        " WHERE state = 'open' AND ($1 = '' OR stream = $1) ORDER BY stream, epoch, seq",
                        1, values) < 0)
        code = ctl_database_error(db);
    db_close(&db);
    return code;
}

/* A positive decimal number and nothing else: "12x" must not become "all". */
static bool read_number(const char *text, uint64_t *number)
{
    *number = 0;
    if (!*text || strlen(text) > 18 || strspn(text, "0123456789") != strlen(text))
        return false;
    *number = strtoull(text, NULL, 10);
    return *number > 0;
}

static int show_dead_letter(struct ctl *ctl)
{
    struct db_result *r;
    struct db *db;
    uint64_t seq;
    int code;

    if (ctl->argc != 3 || !read_number(ctl->argv[2], &seq))
        return ctl_usage("dead-letter show takes a stream and a sequence");
    db = ctl_connect(ctl, NULL, &code);
    if (!db)
        return code;
    r = db_query(db,
                 "SELECT stream, epoch, seq, state, recorded_at, reason, event, coalesce(json_agg(d)::text, "
                 "'[]') FROM teldag.dead_letter d"
                 " WHERE stream = $1 AND seq = $2::bigint GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY epoch",
                 2, (const char *const *)ctl->argv + 1);
    for (int i = 0; i < db_rows(r); i++) {
        char *event = strdup(db_text(r, i, 6));

        if (event)
            ctl_disarm(event); /* whatever bytes it had */
        if (ctl->json)
            printf("%s\n", db_text(r, i, 7));
        else
            printf("stream %s, epoch %s, sequence %s, %s, recorded %s\nreason: %s\n%s\n", db_text(r, i, 0),
                   db_text(r, i, 1), db_text(r, i, 2), db_text(r, i, 3), db_text(r, i, 4), db_text(r, i, 5),
                   event ? event : "");
        free(event);
    }
    if (db_error(db))
        code = ctl_database_error(db);
    else if (db_rows(r) == 0)
        code = ctl_fail(EX_DATAERR, "no dead letter of %s at sequence %s", ctl->argv[1], ctl->argv[2]);
    db_result_free(&r);
    db_close(&db);
    return code;
}

/* Retry and drop are the writer's work: it does them in a transaction with their consequences. */
static int change_dead_letter(struct ctl *ctl, const char *verb)
{
    const char *epoch = ctl_option(ctl, "--epoch");
    struct json_writer q;
    struct json_value *answer;
    uint64_t seq = 0, epoch_number = 0;
    int code;

    if (ctl->argc < 2 || ctl->argc > 3 || (strcmp(verb, "drop") == 0 && ctl->argc != 3))
        return ctl_usage("dead-letter %s takes a stream%s", verb,
                         strcmp(verb, "drop") == 0 ? " and a sequence" : " and perhaps a sequence");
    if ((ctl->argc > 2 && !read_number(ctl->argv[2], &seq)) || (epoch && !read_number(epoch, &epoch_number)))
        return ctl_usage("a sequence, and an epoch, is a positive number");
    json_writer_init(&q);
    json_open_object(&q, NULL);
    json_write_string(&q, "command", "dead-letter");
    json_write_string(&q, "act", verb);
    json_write_string(&q, "stream", ctl->argv[1]);
    json_write_uint(&q, "seq", seq);
    json_write_uint(&q, "epoch", epoch_number);
    json_close_object(&q);
    answer = ctl_ask(ctl, q.text, &code, false);
    json_writer_fini(&q);
    json_free(&answer);
    return code;
}

int ctl_dead_letter(struct ctl *ctl)
{
    const char *verb = ctl->argc > 0 ? ctl->argv[0] : "";

    if (strcmp(verb, "list") == 0 && ctl->argc <= 2)
        return list_dead_letters(ctl);
    if (strcmp(verb, "show") == 0)
        return show_dead_letter(ctl);
    if (strcmp(verb, "retry") == 0 || strcmp(verb, "drop") == 0)
        return change_dead_letter(ctl, verb);
    return ctl_usage("dead-letter takes list, show, retry or drop");
}
