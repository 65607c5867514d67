/* SPDX-License-Identifier: MIT
 *
 * teldagctl fix budget|reference YEAR: orders the recorded step and shows what it fixed, as the views have it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/ctl.h"
#include "workers/allocation.h"

#define LIST_BUDGET                                                                                          \
    "SELECT level, indicator, pupils, envelope_cents, split, value_cents, amount_cents, difference_cents"    \
    " FROM teldag.working_budget_total WHERE school_year = $1 ORDER BY level, indicator"
#define LIST_REFERENCE                                                                                       \
    "SELECT level, indicator, events, pupils, rate FROM teldag.risk_reference WHERE school_year = $1"        \
    " ORDER BY level, indicator"

/* "2025-2026", or "2025" for it. */
static bool read_year(const char *text, char out[YEAR_TEXT_MAX])
{
    int year = atoi(text);
    char bare[16];

    if (year < 1990 || year > 2098)
        return false;
    year_format(year, out);
    snprintf(bare, sizeof(bare), "%d", year);
    return strcmp(text, out) == 0 || strcmp(text, bare) == 0;
}

static int order(struct ctl *ctl, const char *what, const char *year)
{
    struct json_value *answer;
    struct json_writer q;
    int code;

    json_writer_init(&q);
    json_open_object(&q, NULL);
    json_write_string(&q, "command", "fix");
    json_write_string(&q, "what", what);
    json_write_string(&q, "school_year", year);
    json_close_object(&q);
    answer = ctl_ask(ctl, q.text, &code, false);
    json_writer_fini(&q);
    json_free(&answer);
    return code;
}

static int show(struct ctl *ctl, bool budget, const char *year)
{
    int code;
    struct db *db = ctl_connect(ctl, NULL, &code);

    if (!db)
        return code;
    code = ctl_print_query(ctl, db, NULL, budget ? LIST_BUDGET : LIST_REFERENCE, 1, &year) < 0
               ? ctl_database_error(db)
               : EX_OK;
    db_close(&db);
    return code;
}

int ctl_fix(struct ctl *ctl)
{
    char year[YEAR_TEXT_MAX];
    bool budget = ctl->argc > 0 && strcmp(ctl->argv[0], "budget") == 0;
    int code;

    if (ctl->argc != 2 || (!budget && strcmp(ctl->argv[0], "reference") != 0) ||
        !read_year(ctl->argv[1], year))
        return ctl_usage("fix takes budget or reference, and a school year such as 2025-2026");
    code = order(ctl, ctl->argv[0], year);
    if (code != EX_OK || ctl->json)
        return code;
    return show(ctl, budget, year);
}
