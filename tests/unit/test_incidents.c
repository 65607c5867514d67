/* SPDX-License-Identifier: MIT
 *
 * Events that count at a school, against a slow model: all events that stand, counted anew. Random histories of three
 * streams, with corrections, withdrawals, decisions before their requests, and batches that are rolled back.
 * links: workers/ledger.o workers/ledger_pupils.o workers/ledger_links.o workers/ledger_schools.o workers/ledger_history.o
 * links: daemon/config_text.o workers/fixed.o workers/risk.o workers/budget.o workers/rules.o workers/rules_table.o
 * links: workers/allocation.o workers/alert.o workers/alert_subject.o workers/alert_risk.o workers/event_batch.o
 * links: workers/event_table.o workers/exact.o daemon/err.o workers/entities.o workers/ledger_incidents.o
 * links: workers/derive.o workers/evaluation.o workers/huisonderwijs.o workers/melding.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/ledger_feed.h"

#define STREAMS 3
#define KEYS    4
#define SCHOOLS 4
#define YEARS   3
#define FIRST   2023
#define TABLES  5

static const struct {
    enum event_type upsert, withdraw;
    enum risk_indicator indicator;
    int school_column, year_column; /* year_column -1: a decision */
} tables[TABLES] = {
    {EVENT_MELDING_ONTVANGEN, EVENT_MELDING_WITHDRAW, RISK_MELDINGEN, MEL_SCHOOL_ID, MEL_RECEIVED_ON},
    {EVENT_TOAH_MELDING, EVENT_TOAH_WITHDRAW, RISK_TOAH, TOAH_SCHOOL_ID, TOAH_YEAR},
    {EVENT_VERKLARING, EVENT_VERKLARING_WITHDRAW, RISK_HUISONDERWIJS, VER_LAST_SCHOOL_ID, VER_YEAR},
    {EVENT_POAH_AANVRAAG, EVENT_POAH_WITHDRAW, RISK_POAH, POAH_SCHOOL_ID, POAH_YEAR},
    {EVENT_BESLISSING, EVENT_BESLISSING_WITHDRAW, RISK_POAH, BES_SCHOOL_ID, -1},
};
enum { REQUEST = 3, DECISION = 4 };
static const char *const stream_names[STREAMS] = {"aanhuis.2", "aanhuis.10", "aanhuis.1"};

struct said { /* a stream's last word on a key */
    bool any, withdrawn;
    int time, school, year; /* school 0: null */
};
struct model {
    struct said said[TABLES][KEYS][STREAMS];
};

static const struct said *model_winner(const struct model *m, int table, int key)
{
    const struct said *best = NULL;
    int best_stream = 0;
    for (int s = 0; s < STREAMS; s++) {
        const struct said *one = &m->said[table][key][s];
        if (one->any &&
            (!best || one->time > best->time ||
             (one->time == best->time && strcmp(stream_names[s], stream_names[best_stream]) > 0))) {
            best = one;
            best_stream = s;
        }
    }
    return best && !best->withdrawn ? best : NULL;
}

static int model_count(const struct model *m, int school, int year, enum risk_indicator indicator)
{
    int count = 0;
    for (int table = 0; table < TABLES; table++)
        for (int key = 0; key < KEYS && table != DECISION && tables[table].indicator == indicator; key++) {
            const struct said *w = model_winner(m, table, key);
            const struct said *decision = table == REQUEST ? model_winner(m, DECISION, key) : NULL;
            if (w && w->year == year)
                count += (decision && decision->school ? decision->school : w->school) == school;
        }
    return count;
}

static void expect_model(const struct ledger *l, const struct model *m)
{
    for (int school = 1; school <= SCHOOLS; school++)
        for (int year = FIRST; year < FIRST + YEARS; year++) {
            int32_t got[RISK_INDICATOR_COUNT];
            ledger_incidents(l, (uint32_t)school, year, got);
            for (int i = 0; i < RISK_INDICATOR_COUNT; i++)
                assert_int_equal(got[i], model_count(m, school, year, (enum risk_indicator)i));
        }
}

static void random_event(struct ledger *l, struct model *m)
{
    int table = (int)random_below(TABLES), key = (int)random_below(KEYS), stream = (int)random_below(STREAMS);
    struct said say = {true, random_below(4) == 0, (int)random_below(5), (int)random_below(SCHOOLS + 1),
                       FIRST + (int)random_below(YEARS)};
    struct one o;
    if (table <= 1 && !say.school)
        say.school = 1; /* required there */
    one_init(&o, (uint32_t)stream + 1, 1, say.time,
             say.withdrawn ? tables[table].withdraw : tables[table].upsert);
    int n = snprintf(o.text, sizeof o.text, "k%d", key); /* the same keys in all tables */
    o.values[0].text = (struct text){0, (uint32_t)n};
    o.event.nulls &= ~1u;
    if (!say.withdrawn && say.school)
        one_num(&o, tables[table].school_column, say.school);
    if (!say.withdrawn && table == 0) /* the first or the last day of the school year */
        one_num(&o, MEL_RECEIVED_ON,
                random_below(2) ? date_from_ymd(say.year, 9, 1) : date_from_ymd(say.year + 1, 8, 31));
    else if (!say.withdrawn && tables[table].year_column >= 0)
        one_num(&o, tables[table].year_column, say.year);
    assert_int_equal(one_apply(l, &o), 0);
    m->said[table][key][stream] = say;
}

static void histories(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct model m = {0}, before;
        struct ledger *l = ledger_new();
        assert_non_null(l);
        for (uint32_t s = 0; s < STREAMS; s++)
            assert_int_equal(ledger_add_stream(l, s + 1, stream_names[s]), 0);
        for (int batch = 0; batch < 12; batch++) {
            before = m;
            ledger_begin(l);
            for (uint32_t n = random_below(8); n > 0; n--)
                random_event(l, &m);
            expect_model(l, &m);
            if (random_below(3) == 0) {
                ledger_rollback(l);
                m = before;
            } else {
                ledger_commit(l);
            }
            expect_model(l, &m);
        }
        ledger_free(&l);
    }
}

/* What an event moves is looked at: the school and year it left, and those it came to. */
static void both_ends_are_touched(void **state)
{
    (void)state;
    struct ledger *l = ledger_new();
    struct one o;
    const struct ledger_key *keys;
    assert_int_equal(ledger_add_stream(l, 1, "aanhuis.0"), 0);
    for (int school = 1; school <= 2; school++) {
        ledger_begin(l);
        one_init(&o, 1, 1, school, EVENT_TOAH_MELDING);
        strcpy(o.text, "k");
        o.values[0].text = (struct text){0, 1};
        o.event.nulls &= ~1u;
        one_num(&o, TOAH_SCHOOL_ID, school);
        one_num(&o, TOAH_YEAR, 2023 + school);
        assert_int_equal(one_apply(l, &o), 0);
        assert_int_equal(ledger_touched(l, &keys), school);
        assert_int_equal(keys[0].school_id, 1);
        assert_int_equal(keys[0].year, 2024);
        if (school == 2)
            assert_true(keys[1].school_id == 2 && keys[1].year == 2025);
        ledger_commit(l);
    }
    assert_int_equal(ledger_halves(l, 1, 2024), 0);
    ledger_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories),
        cmocka_unit_test(both_ends_are_touched),
    };
    random_seed("incidents");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
