/* SPDX-License-Identifier: MIT
 *
 * What else explain tells of a school in a school year of use: its working budget, euro by euro, and how often events
 * happened there against what is expected of its pupils. Each line with the rule, its source and whether it was
 * verified. The figures are the views'; the steps shown are those of regulation 4 and design 9. */
#include <stdio.h>
#include <string.h>

#include "tools/ctl.h"
#include "workers/allocation.h"

/* One parameter as it stood when the values were fixed; a carried-over one is not verified. */
#define PARAMETER(alias, name)                                                                               \
    " LEFT JOIN LATERAL (SELECT r.name, r.value, r.source, r.verified AND r.school_year = v.school_year AS " \
    "verified"                                                                                               \
    " FROM teldag_data.rule r WHERE r.hash = v.rules AND r.name = " name                                     \
    " ORDER BY r.school_year <= v.school_year DESC, abs(r.school_year - v.school_year) LIMIT 1) " alias      \
    " ON true"

static const char *verified(const struct db_result *r, int row, int column)
{
    return strcmp(db_text(r, row, column), "t") == 0 ? "verified" : "NOT VERIFIED";
}

static void tell_budget(struct db *db, const char *const *values)
{
    struct db_result *r =
        db_query(db,
                 "SELECT b.indicator, b.pupils, trim_scale(v.envelope_cents / 100.0), "
                 "trim_scale(v.split), teldag_data.pupils(v.pupils),"
                 " b.value_cents, round(b.amount_cents / 100.0, 2), b.sanction_factor, "
                 "round(b.granted_cents / 100.0, 2), v.level,"
                 " e.name, e.source, e.verified, s.name, s.value, s.source, s.verified"
                 " FROM teldag.working_budget b JOIN teldag.school c USING (school_id)"
                 " JOIN teldag_data.budget_value v ON teldag_data.year_name(v.school_year) "
                 "= b.school_year AND v.level = c.level"
                 " AND v.indicator = b.indicator" PARAMETER("e", "'budget.envelope_' || v.level")
                     PARAMETER("s", "'budget.split.' || replace(v.indicator, 'opleiding_', "
                                    "'')") " WHERE b.school_id = $1 AND b.school_year = $2 "
                                           "ORDER BY b.indicator",
                 2, values);

    if (db_rows(r))
        printf("\nWorking budget on pupil characteristics (SES-werkingsmiddelen), school year of use %s  "
               "[regulation 4]\n",
               values[1]);
    for (int i = 0; i < db_rows(r); i++) {
        printf("    %s: %s pupils x (%s euro of level %s x %s / %s pupils in Flanders = %s cents a pupil) = "
               "%s euro;"
               " sanction factor %s: %s euro\n",
               db_text(r, i, 0), db_text(r, i, 1), db_text(r, i, 2), db_text(r, i, 9), db_text(r, i, 3),
               db_text(r, i, 4), db_text(r, i, 5), db_text(r, i, 6), db_text(r, i, 7), db_text(r, i, 8));
        printf("      rule %s, %s; source: %s\n", db_text(r, i, 10), verified(r, i, 12), db_text(r, i, 11));
        printf("      rule %s = %s, %s; source: %s\n", db_text(r, i, 13), db_text(r, i, 14),
               verified(r, i, 16), db_text(r, i, 15));
    }
    db_result_free(&r);
}

static void tell_risk(struct db *db, const char *const *values)
{
    struct db_result *r =
        db_query(db,
                 "SELECT i.indicator, i.observed, i.pupils, i.expected, i.probability, i.band, f.rate, "
                 "f.events, f.pupils, c.level"
                 " FROM teldag.risk_indicator i JOIN teldag.school c USING (school_id)"
                 " LEFT JOIN teldag.risk_reference f ON f.school_year = i.school_year AND f.level = c.level "
                 "AND f.indicator = i.indicator"
                 " WHERE i.school_id = $1 AND i.school_year = $2 AND i.observed > 0 ORDER BY i.indicator",
                 2, values);

    if (db_rows(r))
        printf("\nRisk indicators, school year %s: events against what is expected of the school's pupils "
               "(Poisson)\n",
               values[1]);
    for (int i = 0; i < db_rows(r); i++) {
        printf("    %s: %s at %s pupils", db_text(r, i, 0), db_text(r, i, 1), db_text(r, i, 2));
        if (db_is_null(r, i, 6))
            printf("; no reference of %s is fixed, so no band (`teldagctl fix reference %s`)\n", values[1],
                   values[1]);
        else
            printf("; expected %s at %s per 1,000 (level %s: %s events, %s pupils); probability of that many "
                   "or more %s: %s\n",
                   db_text(r, i, 3), db_text(r, i, 6), db_text(r, i, 9), db_text(r, i, 7), db_text(r, i, 8),
                   db_is_null(r, i, 4) ? "-" : db_text(r, i, 4),
                   db_is_null(r, i, 5) ? "no band" : db_text(r, i, 5));
    }
    db_result_free(&r);
}

void ctl_explain_more(struct db *db, const char *school_id, int year_of_use)
{
    char use[YEAR_TEXT_MAX], count[YEAR_TEXT_MAX];
    const char *budget[] = {school_id, use}, *risk[] = {school_id, count};

    year_format(year_of_use, use);
    year_format(year_of_use - 1, count);
    tell_budget(db, budget);
    tell_risk(db, risk);
}
