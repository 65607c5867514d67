/* SPDX-License-Identifier: MIT
 *
 * The recorded steps fix budget YEAR and fix reference YEAR: what counts and events say at this moment is written into one act
 * of local_log, and the tables are filled from that act alone. So verify can say from the act what must stand there. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/json.h"
#include "daemon/log.h"
#include "workers/writer_private.h"

#define ROWS_MAX     64 /* levels x indicators */
#define ATTEMPTS_MAX 5  /* a rebuild in between: asked again */

struct fixing {
    struct writer *w;
    struct writer_request *q;
    int year;
    struct budget_value budget[ROWS_MAX];
    struct risk_reference references[ROWS_MAX];
    size_t count;
    struct json_writer body;
};

static void say(struct fixing *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct fixing *f, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(f->q->answer, sizeof(f->q->answer), format, ap);
    va_end(ap);
}

static struct db_result *ask(struct fixing *f, const char *statement)
{
    char year[16];
    const char *values[] = {year};

    snprintf(year, sizeof(year), "%d", f->year);
    return db_named(f->w->db, statement, 1, values);
}

static void write_exact(struct json_writer *j, const char *name, struct exact value)
{
    char text[EXACT_TEXT_MAX];

    exact_format(value, text);
    json_write_raw(j, name, text);
}

static void open_body(struct fixing *f)
{
    char year[YEAR_TEXT_MAX];

    year_format(f->year, year);
    json_writer_init(&f->body);
    json_open_object(&f->body, NULL);
    json_write_string(&f->body, "school_year", year);
    json_write_string(&f->body, "rules", f->w->shard.rules_hash);
    json_open_array(&f->body, "values");
}

static int close_body(struct fixing *f)
{
    json_close_array(&f->body);
    json_close_object(&f->body);
    return f->body.failed ? ERR_NOMEM : 0;
}

/* ---- budget (regulation 4) ---- */

static const char *const envelope_names[BUDGET_LEVELS] = {"budget.envelope_bao", "budget.envelope_so"};

/* Pupils of all schools per level and indicator; 0 where nobody is counted. */
static int count_budget(struct fixing *f)
{
    const struct rules *rules = rules_for_year(f->w->in_force, f->year);
    struct db_result *r = ask(f, "budget_count");

    f->count = 0;
    for (int level = 0; level < BUDGET_LEVELS; level++) {
        if (rules->budget_envelope[level] == RULES_NO_EURO)
            continue;
        for (int k = 0; k < BUDGET_INDICATORS; k++) {
            struct budget_value v = {.year = f->year,
                                     .level = budget_levels[level],
                                     .indicator = budget_indicators[k],
                                     .envelope_cents = rules->budget_envelope[level],
                                     .split = rules->budget_split[budget_indicators[k]]};

            for (int i = 0; i < db_rows(r); i++)
                if (strcmp(db_text(r, i, 0), level_names[v.level]) == 0 &&
                    strcmp(db_text(r, i, 1), indicator_names[v.indicator]) == 0)
                    v.halves = db_int(r, i, 2);
            f->budget[f->count++] = v;
        }
    }
    db_result_free(&r);
    return db_error(f->w->db);
}

static int write_budget(struct fixing *f)
{
    open_body(f);
    for (size_t i = 0; i < f->count; i++) {
        const struct budget_value *v = &f->budget[i];
        struct exact value;

        json_open_object(&f->body, NULL);
        json_write_string(&f->body, "level", level_names[v->level]);
        json_write_string(&f->body, "indicator", indicator_names[v->indicator]);
        json_write_int(&f->body, "half_pupils", v->halves);
        json_write_int(&f->body, "envelope_cents", v->envelope_cents);
        write_exact(&f->body, "split", v->split);
        if (budget_pupil_value(v, &value))
            write_exact(&f->body, "value_cents", value);
        else
            json_write_null(&f->body, "value_cents");
        json_close_object(&f->body);
    }
    return close_body(f);
}

static bool anyone_counted(const struct fixing *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->budget[i].halves > 0)
            return true;
    return false;
}

static int prepare_budget(struct fixing *f)
{
    char year[YEAR_TEXT_MAX];
    int err = count_budget(f);

    year_format(f->year, year);
    if (err)
        return err;
    if (f->count == 0) {
        say(f, "no envelope is known for %s: fill in %s or %s in the rules file of %s, reload, and fix again",
            year, envelope_names[0], envelope_names[1], year);
        return ERR_MISSING;
    }
    if (!anyone_counted(f)) {
        char counted[YEAR_TEXT_MAX];

        year_format(f->year - 1, counted);
        say(f,
            "no pupil on an indicator is counted in %s: there is nothing to divide the envelope of %s over",
            counted, year);
        return ERR_MISSING;
    }
    f->w->fixed_wanted = fixed_with_budget(f->w->fixed, f->year, f->budget, f->count);
    return f->w->fixed_wanted ? write_budget(f) : ERR_NOMEM;
}

static void answer_budget(struct fixing *f)
{
    const struct rules *rules = rules_for_year(f->w->in_force, f->year);
    char year[YEAR_TEXT_MAX], counted[YEAR_TEXT_MAX];

    year_format(f->year, year);
    year_format(f->year - 1, counted);
    say(f, "the values of the working budget of %s are fixed from the counts of %s%s%s%s", year, counted,
        rules->budget_envelope[0] == RULES_NO_EURO || rules->budget_envelope[1] == RULES_NO_EURO
            ? "; no envelope is known in "
            : "",
        rules->budget_envelope[0] == RULES_NO_EURO ? envelope_names[0] : "",
        rules->budget_envelope[1] == RULES_NO_EURO ? envelope_names[1] : "");
}

/* ---- reference (design 9) ---- */

static int count_references(struct fixing *f)
{
    struct db_result *r = ask(f, "reference_count");

    f->count = 0;
    for (int i = 0; i < db_rows(r) && f->count < ROWS_MAX; i++) {
        int level = word_find(level_names, db_text(r, i, 0)),
            indicator = word_find(risk_indicator_names, db_text(r, i, 1));
        struct risk_reference ref = {.year = f->year, .events = db_int(r, i, 2), .halves = db_int(r, i, 3)};

        if (level < 0 || indicator < 0 || ref.halves <= 0)
            continue;
        ref.level = (enum level)level;
        ref.indicator = (enum risk_indicator)indicator;
        ref.rate = risk_rate(ref.events, ref.halves);
        f->references[f->count++] = ref;
    }
    db_result_free(&r);
    return db_error(f->w->db);
}

static int write_references(struct fixing *f)
{
    open_body(f);
    for (size_t i = 0; i < f->count; i++) {
        const struct risk_reference *ref = &f->references[i];

        json_open_object(&f->body, NULL);
        json_write_string(&f->body, "level", level_names[ref->level]);
        json_write_string(&f->body, "indicator", risk_indicator_names[ref->indicator]);
        json_write_int(&f->body, "events", ref->events);
        json_write_int(&f->body, "half_pupils", ref->halves);
        write_exact(&f->body, "rate", ref->rate);
        json_close_object(&f->body);
    }
    return close_body(f);
}

static int prepare_reference(struct fixing *f)
{
    char year[YEAR_TEXT_MAX];
    int err = count_references(f);

    year_format(f->year, year);
    if (err)
        return err;
    if (f->count == 0) {
        say(f, "no school is counted in %s: there is nothing to take a reference from", year);
        return ERR_MISSING;
    }
    f->w->fixed_wanted = fixed_with_references(f->w->fixed, f->year, f->references, f->count);
    return f->w->fixed_wanted ? write_references(f) : ERR_NOMEM;
}

static void answer_reference(struct fixing *f)
{
    char year[YEAR_TEXT_MAX];
    int64_t events = 0;

    year_format(f->year, year);
    for (size_t i = 0; i < f->count; i++)
        events += f->references[i].events;
    say(f, "the reference rates of %s are fixed, from %" PRId64 " events", year, events);
}

/* ---- both ---- */

static int commit_fix(struct fixing *f, bool budget)
{
    struct writer_tx tx = writer_tx_none();

    tx.act = budget ? "fix budget" : "fix reference";
    tx.body = f->body.text;
    tx.fixed = f->w->fixed_wanted;
    tx.fixed_year = f->year;
    tx.fixed_budget = budget;
    tx.all = true; /* every school is judged by it */
    return writer_transact(f->w, &tx);
}

int writer_fix(struct writer *w, struct writer_request *q)
{
    struct fixing f = {.w = w, .q = q, .year = q->year};
    bool budget = q->act == ACT_FIX_BUDGET;
    int err = ERR_FENCE;

    for (int i = 0; i < ATTEMPTS_MAX && err == ERR_FENCE; i++) {

        fixed_free(&w->fixed_wanted);
        err = writer_make_ready(w);
        if (!err)
            err = budget ? prepare_budget(&f) : prepare_reference(&f);
        if (!err)
            err = commit_fix(&f, budget);
        json_writer_fini(&f.body);
    }
    if (err)
        return err;
    if (budget)
        answer_budget(&f);
    else
        answer_reference(&f);
    log_notice("writer: %s", q->answer);
    return 0;
}
