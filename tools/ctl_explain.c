/* SPDX-License-Identifier: MIT
 *
 * teldagctl explain: computes a school's allocations again from the stored counts and the rules set in force,
 * shows every step, and says whether the stored row agrees. The steps themselves are workers/explain.c; here
 * is only the reading. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/migrate.h"
#include "tools/ctl.h"
#include "workers/explain.h"
#include "workers/store.h"

struct known { /* history of year - 1 */
    enum staffing staffing;
    enum group group;
    enum status status;
    bool official;
    uint32_t school;
};
#define KNOWN_MAX 256
#define EDGES_MAX 64
struct edge { /* a school and whom it names as successor */
    uint32_t school, successor;
};
struct explanation {
    struct ctl *ctl;
    struct db *db;
    const char *id;
    int year; /* of use */
    struct rules_set *rules;
    char hash[40], name[600];
    struct allocation_school school;
    bool school_known, closed;
    struct group_cells cells[GROUP_COUNT];
    struct known known[KNOWN_MAX]; /* candidates */
    struct edge edges[EDGES_MAX];
    int known_count, edge_count;
    struct inspection_report verdicts[EXPLAIN_VERDICTS_MAX];
    char report_ids[EXPLAIN_VERDICTS_MAX][72];
    size_t verdict_count;
};

static void read_school(struct explanation *x)
{
    struct db_result *r = db_query(
        x->db,
        "SELECT name, level, brussels, closed_on - DATE '1970-01-01' FROM teldag.school WHERE school_id = $1",
        1, &x->id);

    x->school =
        (struct allocation_school){.school_id = (uint32_t)strtoul(x->id, NULL, 10), .closed_on = INT32_MAX};
    if (db_rows(r) == 1) {
        x->school_known = true;
        snprintf(x->name, sizeof(x->name), "%s", db_text(r, 0, 0));
        if (!x->ctl->json)
            ctl_disarm(x->name);
        x->school.level = (enum level)word_find(level_names, db_text(r, 0, 1));
        x->school.brussels = strcmp(db_text(r, 0, 2), "t") == 0;
        if (!db_is_null(r, 0, 3))
            x->school.closed_on = (int32_t)db_int(r, 0, 3);
    }
    db_result_free(&r);
}

static void read_counts(struct explanation *x)
{
    char year[16];
    const char *values[] = {x->id, year};
    struct db_result *r;

    snprintf(year, sizeof(year), "%d", x->year - 1);
    r = db_query(x->db,
                 "SELECT grp, array_to_string(cells, ' ') FROM teldag_data.count_state WHERE school_id = "
                 "$1::int AND school_year = $2::int",
                 2, values);
    for (int i = 0; i < db_rows(r); i++) {
        int group = word_find(group_names, db_text(r, i, 0));
        char *at = (char *)db_text(r, i, 1);

        for (int k = 0; group >= 0 && group < GROUP_COUNT && k < IND_CELLS; k++)
            x->cells[group].halves[k] = (int32_t)strtol(at, &at, 10);
    }
    db_result_free(&r);
    r = db_query(
        x->db,
        "SELECT closed FROM teldag_data.count_closed WHERE school_id = $1::int AND school_year = $2::int", 2,
        values);
    x->closed = db_rows(r) == 1 && strcmp(db_text(r, 0, 0), "t") == 0;
    db_result_free(&r);
}

/* Year - 1 of the school and of all it succeeds, computed and official, as candidates; find_history() chooses. */
static void read_history(struct explanation *x)
{
    static const char line[] = "WITH RECURSIVE line(school_id, successor_id, depth) AS ("
                               "  SELECT $1::text COLLATE \"C\", NULL::text COLLATE \"C\", 0 UNION"
                               "  SELECT s.school_id, s.successor_id COLLATE \"C\", l.depth + 1 FROM line l"
                               "  JOIN teldag.school s ON s.successor_id = l.school_id WHERE l.depth < 10)";
    char sql[1200], year[YEAR_TEXT_MAX];
    const char *values[] = {x->id, year};
    struct db_result *r;

    year_format(x->year - 1, year);
    snprintf(sql, sizeof(sql),
             "%s SELECT DISTINCT school_id, successor_id FROM line WHERE successor_id IS NOT NULL", line);
    r = db_query(x->db, sql, 1, values);
    for (int i = 0; i < db_rows(r) && x->edge_count < EDGES_MAX; i++)
        x->edges[x->edge_count++] = (struct edge){(uint32_t)db_int(r, i, 0), (uint32_t)db_int(r, i, 1)};
    db_result_free(&r);
    snprintf(
        sql, sizeof(sql),
        "%s SELECT h.stream, h.\"group\", h.status, h.official, h.school_id FROM ("
        "  SELECT a.stream, a.\"group\", a.status, false AS official, a.school_id FROM teldag.allocation a "
        "WHERE a.school_year = $2"
        "  UNION ALL SELECT k.stream, k.\"group\", k.status, true, k.school_id FROM teldag.allocation_known k"
        "  WHERE k.school_year = $2) h WHERE h.school_id IN (SELECT school_id FROM line)",
        line);
    r = db_query(x->db, sql, 2, values);
    for (int i = 0; i < db_rows(r) && x->known_count < KNOWN_MAX; i++)
        x->known[x->known_count++] =
            (struct known){(enum staffing)word_find(staffing_names, db_text(r, i, 0)),
                           (enum group)word_find(group_names, db_text(r, i, 1)),
                           (enum status)word_find(status_names, db_text(r, i, 2)),
                           strcmp(db_text(r, i, 3), "t") == 0, (uint32_t)db_int(r, i, 4)};
    db_result_free(&r);
}

/* Better: granted before grace before the others, then computed before official, then the lowest school. */
static bool is_better(const struct known *a, const struct known *b)
{
    if (!b || a->status != b->status)
        return !b || a->status < b->status;
    if (a->official != b->official)
        return !a->official;
    return a->school < b->school;
}

/* (1) The school's own computed row; (2) else what entitlement.known says; (3) else the best of its predecessors', found
 * the same way. As workers/ledger_history.c has it. */
static const struct known *history_of(const struct explanation *x, uint32_t school, enum staffing staffing,
                                      enum group group, int depth)
{
    const struct known *own = NULL, *best = NULL;

    for (int i = 0; i < x->known_count; i++) {
        const struct known *k = &x->known[i];

        if (k->school == school && k->staffing == staffing && k->group == group && (!own || own->official))
            own = k;
    }
    for (int i = 0; !own && depth < 10 && i < x->edge_count; i++) {
        const struct known *k = x->edges[i].successor == school
                                    ? history_of(x, x->edges[i].school, staffing, group, depth + 1)
                                    : NULL;

        if (k && is_better(k, best))
            best = k;
    }
    return own ? own : best;
}

/* The last reports with a verdict on the use of GOK means, in order. */
static void read_verdicts(struct explanation *x)
{
    struct db_result *r =
        db_query(x->db,
                 "SELECT * FROM (SELECT report_id, date - DATE '1970-01-01' AS day, left(school_year, 4), gok"
                 " FROM teldag.inspection WHERE school_id = $1 AND gok IN ('positief', 'negatief')"
                 " ORDER BY day DESC, report_id COLLATE \"C\" DESC LIMIT 64) v"
                 " ORDER BY day, report_id COLLATE \"C\"",
                 1, &x->id);

    for (int i = 0; i < db_rows(r) && x->verdict_count < EXPLAIN_VERDICTS_MAX; i++) {
        char *id = x->report_ids[x->verdict_count];

        snprintf(id, sizeof(x->report_ids[0]), "%s", db_text(r, i, 0)); /* the order is that of the query */
        if (!x->ctl->json)
            ctl_disarm(id);
        x->verdicts[x->verdict_count++] = (struct inspection_report){
            .report_id = id,
            .date = (int32_t)db_int(r, i, 1),
            .year = (int)db_int(r, i, 2),
            .advice = -1,
            .gok = strcmp(db_text(r, i, 3), "negatief") == 0 ? GOK_NEGATIEF : GOK_POSITIEF,
            .followup_due = EVALUATION_NO_DATE,
        };
    }
    db_result_free(&r);
}

static bool find_history(const void *context, enum staffing staffing, enum group group, enum status *status,
                         bool *official, uint32_t *school)
{
    const struct explanation *x = context;
    const struct known *k = history_of(x, x->school.school_id, staffing, group, 0);

    if (!k)
        return false;
    *status = k->status;
    *official = k->official;
    *school = k->school;
    return true;
}

/* The stored row of the same stream and group: explained and shown figures must be the same. */
static bool agrees(struct explanation *x, const struct allocation *a, int *sanction_halves)
{
    char year[16];
    const char *values[] = {x->id, year, staffing_names[a->staffing], group_names[a->group]};
    struct db_result *r;
    bool same;

    snprintf(year, sizeof(year), "%d", x->year);
    r = db_query(x->db,
                 "SELECT hours, granted, status, sanction_factor FROM teldag_data.allocation_state"
                 " WHERE school_id = $1::int AND school_year = $2::int AND staffing = $3 AND grp = $4",
                 4, values);
    same = db_rows(r) == 1 && db_int(r, 0, 0) == a->hours &&
           strcmp(db_text(r, 0, 2), status_names[a->status]) == 0;
    *sanction_halves = db_rows(r) == 1 && strcmp(db_text(r, 0, 3), "1") != 0 ? 1 : 2;
    same = same && (*sanction_halves != a->sanction_halves || db_int(r, 0, 1) == a->granted);
    db_result_free(&r);
    return same;
}

static void print_row(struct explanation *x, const struct allocation *row, bool first)
{
    struct explain_input in = {x->rules, row,       x->cells,    &x->school,
                               x->name,  x->closed, x->verdicts, x->verdict_count};
    char *text = x->ctl->json ? explain_json(&in) : explain_text(&in);
    int sanction;
    bool same = agrees(x, row, &sanction);

    if (text && x->ctl->json)
        printf("%s%s", first ? "" : ", ", text);
    else if (text)
        printf("%s%s\n", first ? "" : "\n", text);
    if (!same && !x->ctl->json)
        printf("! The stored row differs from this computation: run `teldagctl verify`.\n");
    if (!same && x->ctl->json)
        fprintf(stderr, "teldagctl: the stored row differs from this computation: run `teldagctl verify`\n");
    free(text);
}

/* What rests on a stream without journal says so (design 5): nobody notices what such a stream loses. */
static void say_best_effort(struct explanation *x)
{
    char count_year[12];
    const char *values[] = {x->id, count_year};
    struct db_result *r;

    snprintf(count_year, sizeof(count_year), "%d", x->year - 1);
    r = db_query(x->db,
                 "SELECT string_agg(s.name, ', ' ORDER BY s.name) FROM teldag_data.feed_progress p JOIN "
                 "teldag_data.stream s USING (stream_id) WHERE p.best_effort AND EXISTS (SELECT FROM "
                 "teldag_data.registration_log l WHERE l.stream_id = p.stream_id AND l.school_year = $2::int "
                 "AND l.school_id = $1::int)",
                 2, values);
    if (db_rows(r) == 1 && !db_is_null(r, 0, 0))
        fprintf(
            x->ctl->json ? stderr : stdout,
            "! Registrations of this count came by a best-effort stream (%s): what it lost is not in these "
            "figures, and nobody noticed.\n",
            db_text(r, 0, 0));
    db_result_free(&r);
}

/* The history of a school without figures to explain: its verdicts, and from when half is granted. */
static void tell_evaluations(const struct explanation *x)
{
    struct sanction_span spans[EXPLAIN_VERDICTS_MAX / 2];
    struct evaluation e;
    char from[YEAR_TEXT_MAX], to[YEAR_TEXT_MAX];

    if (x->verdict_count == 0 || x->ctl->json)
        return;
    printf("Evaluations of the use of GOK means  [regulation 3, [GO 5.3, OS]]\n");
    for (size_t i = 0; i < x->verdict_count; i++) {
        int year, month, day;

        date_to_ymd(x->verdicts[i].date, &year, &month, &day);
        year_format(x->verdicts[i].year, from);
        printf("    %s of %04d-%02d-%02d (%s) %s\n", x->verdicts[i].report_id, year, month, day, from,
               x->verdicts[i].gok == GOK_NEGATIEF ? "negatief" : "positief");
    }
    evaluation_judge(x->verdicts, x->verdict_count, &e, spans);
    for (size_t i = 0; i < e.span_count; i++) {
        bool ends = spans[i].last_year != EVALUATION_NO_YEAR;

        if (ends && spans[i].last_year < spans[i].first_year)
            continue; /* a positive in the year of the second negative */
        year_format(spans[i].first_year, from);
        if (ends)
            year_format(spans[i].last_year, to);
        printf("    %s was the second negative in a row: half from %s %s%s\n",
               x->verdicts[spans[i].second].report_id, from,
               ends ? "up to and including " : "until an evaluation is positive", ends ? to : "");
    }
}

static int explain(struct explanation *x)
{
    struct allocation_history history = {find_history, x};
    struct allocation rows[3];
    char year[YEAR_TEXT_MAX];
    int count;

    read_school(x);
    read_counts(x);
    read_history(x);
    read_verdicts(x);
    if (db_error(x->db))
        return ctl_database_error(x->db);
    if (!x->year) {
        tell_evaluations(x);
        return ctl_fail(EX_DATAERR, "nothing is counted for school %s", x->id);
    }
    year_format(x->year, year);
    if (!x->school_known) {
        tell_evaluations(x);
        return ctl_fail(
            EX_DATAERR,
            "school %s is unknown: its registrations are counted, but allocate nothing until the school is",
            x->id);
    }
    count = allocation_compute(rules_for_year(x->rules, x->year), &x->school, x->year, x->cells, &history, 2,
                               rows);
    for (int i = 0, halves; i < count; i++) { /* under a sanction: once more with its factor */
        agrees(x, &rows[i], &halves);
        if (halves != rows[i].sanction_halves) {
            count = allocation_compute(rules_for_year(x->rules, x->year), &x->school, x->year, x->cells,
                                       &history, halves, rows);
            break;
        }
    }
    if (!count) {
        tell_evaluations(x);
        return ctl_fail(EX_DATAERR,
                        "school %s (%s, level %s) has no allocation for %s: no regular pupils in a group "
                        "that a staffing stream funds%s",
                        x->id, x->name, level_names[x->school.level], year,
                        x->school.closed_on <= school_year_start(x->year) ? "; the school is closed by then"
                                                                          : "");
    }
    if (x->ctl->json)
        printf("[");
    for (int i = 0; i < count; i++)
        print_row(x, &rows[i], i == 0);
    if (x->ctl->json)
        printf("]\n");
    else
        ctl_explain_more(x->db, x->id, x->year);
    if (db_error(x->db))
        return ctl_database_error(x->db);
    say_best_effort(x);
    return EX_OK;
}

/* "2024-2025" or "2024"; without: the latest year of use that the school's counts reach, 0 when nothing is counted. */
static int choose_year(struct explanation *x, const char *wanted)
{
    struct db_result *r;

    if (wanted) {
        char text[YEAR_TEXT_MAX];

        x->year = atoi(wanted);
        if (x->year < 1991 || x->year > 2100)
            return ctl_usage("a school year looks like 2024-2025");
        year_format(x->year, text);
        return strcmp(text, wanted) == 0 || strlen(wanted) == 4
                   ? EX_OK
                   : ctl_usage("a school year looks like 2024-2025");
    }
    r = db_query(x->db, "SELECT max(school_year) + 1 FROM teldag_data.count_state WHERE school_id = $1::int",
                 1, &x->id);
    x->year = db_rows(r) == 1 ? (int)db_int(r, 0, 0) : 0;
    db_result_free(&r);
    if (db_error(x->db))
        return ctl_database_error(x->db);
    return EX_OK;
}

static int choose_rules(struct explanation *x)
{
    struct db_result *r =
        db_query(x->db, "SELECT rules_hash FROM teldag_data.shard_progress ORDER BY shard LIMIT 1", 0, NULL);
    char error[300];

    if (db_rows(r) == 1)
        snprintf(x->hash, sizeof(x->hash), "%s", db_text(r, 0, 0));
    db_result_free(&r);
    if (db_error(x->db))
        return ctl_database_error(x->db);
    if (!x->hash[0])
        return ctl_fail(EX_DATAERR, "no rules set is in force yet: start teldagd first");
    x->rules = store_load_rules(x->db, x->hash, error, sizeof(error));
    return x->rules ? EX_OK : ctl_fail(EX_DATAERR, "%s", error);
}

int ctl_explain(struct ctl *ctl)
{
    struct explanation *x;
    char text[600];
    int code;

    if (ctl->argc < 1 || ctl->argc > 2 || !ctl_is_school(ctl->argv[0]))
        return ctl_usage("explain takes a school id and perhaps a school year of use");
    x = calloc(1, sizeof(*x));
    if (!x)
        return ctl_fail(EX_OSERR, "out of memory");
    x->ctl = ctl;
    x->id = ctl->argv[0];
    x->db = ctl_connect(ctl, NULL, &code);
    if (x->db && migrate_check(x->db, text, sizeof(text)))
        code = ctl_fail(EX_CONFIG, "%s", text);
    if (x->db && code == EX_OK) {
        db_run(x->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        code = choose_year(x, ctl->argc > 1 ? ctl->argv[1] : NULL);
        if (code == EX_OK)
            code = choose_rules(x);
        if (code == EX_OK)
            code = explain(x);
    }
    rules_free(&x->rules);
    db_close(&x->db);
    free(x);
    return code;
}
