/* SPDX-License-Identifier: MIT
 *
 * teldagctl retain --before YEAR: orders the recorded step, or with --dry-run shows what it would take away and why it would be
 * refused, changing nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/ctl.h"
#include "workers/allocation.h"

#define ANSWER_S 930 /* millions of rows may go */

#define PLAN   "SELECT what, school_year, rows FROM teldag_data.retain_plan($1::smallint)"
#define REASON "SELECT r AS refused FROM teldag_data.retain_refusals($1::smallint, $2::boolean) AS r"

/* "2019-2020", or "2019" for it; 0 when it is no school year. */
static int read_year(const char *text, char out[YEAR_TEXT_MAX])
{
    int year = text ? atoi(text) : 0;
    char bare[16];

    if (year < 1990 || year > 2098)
        return 0;
    year_format(year, out);
    snprintf(bare, sizeof(bare), "%d", year);
    return strcmp(text, out) == 0 || strcmp(text, bare) == 0 ? year : 0;
}

static int order(struct ctl *ctl, const char *before, bool as_they_are)
{
    struct json_value *answer;
    struct json_writer q;
    int code;

    json_writer_init(&q);
    json_open_object(&q, NULL);
    json_write_string(&q, "command", "retain");
    json_write_string(&q, "before", before);
    json_write_bool(&q, "as_they_are", as_they_are);
    json_close_object(&q);
    ctl->answer_s = ANSWER_S;
    answer = ctl_ask(ctl, q.text, &code, false);
    json_writer_fini(&q);
    json_free(&answer);
    return code;
}

static int show_plan(struct ctl *ctl, int before, bool as_they_are)
{
    char year[16];
    const char *values[] = {year, as_they_are ? "t" : "f"};
    struct db_result *r;
    struct db *db;
    int code, refused = -1;

    snprintf(year, sizeof(year), "%d", before);
    db = ctl_connect(ctl, NULL, &code);
    if (!db)
        return code;
    if (ctl->json)
        printf("{\"plan\":");
    if (ctl_print_query(ctl, db, NULL, PLAN, 1, values) >= 0) {
        if (ctl->json)
            printf(",\"refused\":");
        r = db_query(db, REASON, 2, values);
        refused = db_rows(r);
        db_result_free(&r);
        if (!db_error(db) && (refused || ctl->json))
            refused = ctl_print_query(ctl, db, NULL, REASON, 2, values);
        if (ctl->json)
            printf("}\n");
    }
    code = db_error(db) || refused < 0 ? ctl_database_error(db) : refused ? EX_DATAERR : EX_OK;
    db_close(&db);
    return code;
}

int ctl_retain(struct ctl *ctl)
{
    const char *text = ctl_option(ctl, "--before");
    bool dry_run = ctl_flag(ctl, "--dry-run"), as_they_are = ctl_flag(ctl, "--as-they-are");
    char year[YEAR_TEXT_MAX];
    int before = read_year(text, year);

    if (ctl->argc > 0 || !before)
        return ctl_usage(
            "retain takes --before and a school year such as 2019-2020, the first one whose pupils stay");
    return dry_run ? show_plan(ctl, before, as_they_are) : order(ctl, year, as_they_are);
}
