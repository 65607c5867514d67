/* SPDX-License-Identifier: MIT
 *
 * teldagctl's readers of the views: one school, alerts, dead letters. They work with the daemon down. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/ctl.h"

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
    {"alerts", "\nAlerts firing",
     "SELECT seq, severity, kind, school_year, \"group\", summary FROM teldag.alert WHERE school_id = $1 AND "
     "state = 'firing' ORDER BY seq"},
    {NULL, NULL, NULL},
};

/* What did not count, or counts without allocating, and why. */
static const struct section registration_section = {
    "registrations", "\nRegistrations that did not count, or count without allocating",
    "SELECT x.school_year, x.pupil, x.\"group\", x.seq, x.why FROM ("
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
    " WHERE r.school_id = $1::int) x WHERE x.why <> '' ORDER BY x.school_year, x.why, x.seq"};

static int print_section(struct ctl *ctl, struct db *db, const struct section *s, const char *const *values,
                         bool more)
{
    int rows;

    if (ctl->json)
        printf("\"%s\": ", s->name);
    rows = ctl_print_query(ctl, db, s->title, s->sql, 1, values);
    if (ctl->json && more)
        printf(", ");
    return rows;
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
    if (ctl->json)
        printf("{");
    for (const struct section *s = school_sections; s->name && !db_error(db); s++) {
        int n = print_section(ctl, db, s, values, s[1].name || registrations);

        rows += n > 0 ? n : 0;
    }
    if (registrations && !db_error(db))
        print_section(ctl, db, &registration_section, values, false);
    if (ctl->json)
        printf("}\n");
    if (db_error(db))
        code = ctl_database_error(db);
    else if (!rows && !ctl->json)
        code = ctl_fail(EX_DATAERR, "nothing is known of school %s", values[0]);
    db_close(&db);
    return code;
}

int ctl_alerts(struct ctl *ctl)
{
    bool follow = ctl_flag(ctl, "--follow"), all = ctl_flag(ctl, "--all");
    const char *after = ctl_option(ctl, "--after"), *kind = ctl_option(ctl, "--kind"),
               *school = ctl_option(ctl, "--school");
    const char *values[] = {kind ? kind : "", school ? school : "", all ? "t" : "f"};
    struct db *db;
    int code;

    if (ctl->argc > 0 || (after && !follow) || (school && !ctl_is_school(school)))
        return ctl_usage(
            "alerts takes --follow [--after SEQ], --kind K, --school ID, --all (resolved ones too)");
    if (follow)
        return ctl_follow(ctl, after, kind, school);
    db = ctl_connect(ctl, NULL, &code);
    if (!db)
        return code;
    if (ctl_print_query(
            ctl, db, NULL,
            "SELECT seq, severity, kind, state, school_id, school_year, \"group\", stream, summary FROM "
            "teldag.alert"
            " WHERE (state = 'firing' OR $3::boolean) AND ($1 = '' OR kind = $1) AND ($2 = '' OR school_id = "
            "$2)"
            " ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, seq",
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

static int show_dead_letter(struct ctl *ctl)
{
    struct db_result *r;
    struct db *db;
    int code;

    if (ctl->argc != 3)
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
        if (ctl->json)
            printf("%s\n", db_text(r, i, 7));
        else
            printf("stream %s, epoch %s, sequence %s, %s, recorded %s\nreason: %s\n%s\n", db_text(r, i, 0),
                   db_text(r, i, 1), db_text(r, i, 2), db_text(r, i, 3), db_text(r, i, 4), db_text(r, i, 5),
                   db_text(r, i, 6));
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
    int code;

    if (ctl->argc < 2 || ctl->argc > 3 || (strcmp(verb, "drop") == 0 && ctl->argc != 3))
        return ctl_usage("dead-letter %s takes a stream%s", verb,
                         strcmp(verb, "drop") == 0 ? " and a sequence" : " and perhaps a sequence");
    json_writer_init(&q);
    json_open_object(&q, NULL);
    json_write_string(&q, "command", "dead-letter");
    json_write_string(&q, "act", verb);
    json_write_string(&q, "stream", ctl->argv[1]);
    json_write_uint(&q, "seq", ctl->argc > 2 ? strtoull(ctl->argv[2], NULL, 10) : 0);
    json_write_uint(&q, "epoch", epoch ? strtoull(epoch, NULL, 10) : 0);
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
