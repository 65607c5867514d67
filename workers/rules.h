/* SPDX-License-Identifier: MIT
 *
 * Rules sets: the parameters of the law, a file per school year of USE (conf/rules/2024-2025.conf), each
 * with value, source and verified (regulation.md). rules_load*() are the only functions that read files;
 * everything else is pure. A set also carries the near settings, and has a hash that names it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"
#include "workers/event.h"
#include "workers/exact.h"

struct parameter { /* as the view rules shows it */
    int year;      /* start of the school year of use whose file it stands in */
    char *name;    /* dotted path, "gok.cap" */
    char *value;   /* text as written */
    char *source;
    bool verified;
};

/* One school year's parameters, parsed. */
struct rules {
    int year;       /* of use */
    int file_year;  /* of the file it comes from; != year when carried over (then every verified shows false)
                     */
    int32_t teldag; /* of count year = year - 1; days since 1970. Parameter "teldag" ("2025-02-03") */
    enum rounding rounding;
    bool round_points_so, round_points_bubao, round_points_buso;
    bool minimum_on_rounded;
    /* ses_lestijden: hours per pupil */
    struct exact ses_moeder, ses_thuistaal, ses_toelage;
    /* gok_uren_leraar */
    struct exact so_weight[IND_COUNT]; /* buurt is 0 */
    bool so_combination;               /* thuistaal counts only with another of the five */
    struct exact so_cap, so_brussels_factor, so_concentration_factor, so_concentration_share;
    struct exact so_threshold[GROUP_COUNT], so_value[GROUP_COUNT]; /* graad1 okan graad23 */
    int so_minimum;
    /* gok_aanvullende_lestijden, gok_extra_lesuren: [0] bubao, [1] buso */
    struct exact bu_moeder[2], bu_thuistaal[2], bu_threshold[2], bu_value[2];
    int bu_minimum[2];
    bool bu_eligibility_or;       /* bu.eligibility = "or" */
    bool bu_share_any;            /* bu.share_counts = "any" */
    bool gedoog_covers_threshold; /* gedoog.covers = "threshold and minimum" */
    /* inspection and meldingen, of the school year in which the report or the melding falls */
    int opschorting_days;                /* erkenning: within which opschorting is asked */
    int followup_months;                 /* evaluation: within which the next one follows a first negative */
    int answer_days, answer_days_summer; /* melding; summer: when the first span touches 1 July-31 August */
    /* working budget on pupil characteristics (regulation 4) */
    int64_t budget_envelope[2];           /* bao, so: euro cents; RULES_NO_EURO: no amount is known */
    struct exact budget_split[IND_COUNT]; /* opleiding_moeder schooltoelage thuistaal buurt; together 1 */
};
#define RULES_NO_EURO (-1)

struct rules_set; /* all years + near settings; immutable once built */

struct rules_near {
    int pupils, hours;
};

/* Reads every <year>.conf of directory. On error returns NULL and fills error (file, line, key, and what to
 * do). */
struct rules_set *rules_load(const char *directory, struct rules_near near, char *error, size_t error_len);
/* The same of texts in memory; a path ends in the file's name ("2024-2025.conf"), which gives the year. */
struct rules_file {
    const char *path, *text;
};
struct rules_set *rules_parse(const struct rules_file *files, size_t count, struct rules_near near,
                              char *error, size_t error_len);
/* From stored rows (what rules_parameter() listed), as teldagctl and a restart without files do. */
struct rules_set *rules_from_parameters(const struct parameter *rows, size_t count, struct rules_near near,
                                        char *error, size_t error_len);
/* Another set: base with the file of one school year of use replaced, or added, by that of path; a folder replaces all.
 * year 0: the file's name says it (2026-2027.conf). near stays base's. */
struct rules_set *rules_load_variant(const struct rules_set *base, const char *path, int year, char *error,
                                     size_t error_len);
void rules_free(struct rules_set **set);

/* The parameters of one school year of use: of its own file, else the nearest earlier file, else the first.
 * Never NULL. */
const struct rules *rules_for_year(const struct rules_set *set, int year_of_use);
struct rules_near rules_near(const struct rules_set *set);
const char *rules_hash(const struct rules_set *set); /* 32 hex digits over all parameters and near settings */
/* All rows as written, ordered by year and name. */
size_t rules_count(const struct rules_set *set);
const struct parameter *rules_parameter(const struct rules_set *set, size_t i);
/* The row behind a figure for a year of use; NULL when there is no such name. A year without a file gets the
 * row of the file it is carried over from (row->year is that file's), with verified false and a source that
 * says so; its teldag is derived: a teldag of another year would count nobody. */
const struct parameter *rules_find(const struct rules_set *set, int year_of_use, const char *name);

/* The teldag of a count year without a source: the first school day of February, that is 1 February or the
 * Monday after when that is a weekend [C7]. Days since 1970. */
int32_t rules_derived_teldag(int count_year);

/* The one table of parameters (rules_table.c), in the order of their names. */
enum rules_type { RULES_DECIMAL, RULES_INT, RULES_BOOL, RULES_WORD, RULES_DATE, RULES_EURO };
struct rules_spec {
    const char *name;
    enum rules_type type;
    size_t offset;         /* in struct rules: struct exact, int, bool, bool or int (words), int32_t (date),
                              int64_t (euro: cents) */
    const char *min, *max; /* RULES_DECIMAL, RULES_INT: inclusive */
    const char *const
        *words; /* RULES_WORD: NULL-terminated; the index is stored, in a bool unless word_is_int */
    bool word_is_int;
};
#define RULES_SPEC_COUNT 49
extern const struct rules_spec rules_specs[RULES_SPEC_COUNT];
