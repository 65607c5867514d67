/* SPDX-License-Identifier: MIT
 *
 * Entities and what is derived from them: order between streams does not matter, a rollback puts everything back, a replay
 * gives the same; a clock that steps through its deadlines shows on every day what a look at everything would show.
 * links: workers/results.o workers/ledger.o workers/ledger_pupils.o workers/ledger_links.o workers/ledger_schools.o
 * links: workers/fixed.o workers/risk.o workers/budget.o
 * links: workers/ledger_history.o workers/allocation.o workers/alert.o workers/event_batch.o
 * links: daemon/config_text.o workers/event_table.o workers/exact.o workers/rules.o workers/rules_table.o daemon/err.o
 * links: workers/entities.o workers/ledger_incidents.o workers/derive.o workers/evaluation.o
 * links: workers/huisonderwijs.o workers/melding.o workers/alert_subject.o workers/alert_risk.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/ledger_feed.h"
#include "workers/results.h"

#define STREAMS 4
#define EVENTS  60
#define DAY0    date_from_ymd(2025, 1, 1)

static struct rules_set *rules;

static int load(void **state)
{
    char error[512] = "";
    (void)state;
    rules = rules_load("conf/rules", (struct rules_near){3, 1}, error, sizeof error);
    if (!rules)
        fail_msg("%s", error);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    rules_free(&rules);
    return 0;
}

static struct ledger *new_ledger(void)
{
    static const char *const names[STREAMS] = {"inspection.1", "inspection.0", "inspection.10",
                                               "inspection.2"};
    struct ledger *l = ledger_new();
    assert_non_null(l);
    for (uint32_t i = 0; i < STREAMS; i++)
        assert_int_equal(ledger_add_stream(l, i + 1, names[i]), 0);
    assert_int_equal(ledger_set_rules(l, rules), 0);
    return l;
}

static void set_key(struct one *o, const char *letter, unsigned n)
{
    int len = snprintf(o->text, sizeof o->text, "%s%u", letter, n);
    o->values[0].text = (struct text){0, (uint32_t)len};
    o->event.nulls &= ~1u;
}

static void one_report(struct one *o, uint32_t stream, int64_t time_us, unsigned key, uint32_t school,
                       int year, int32_t date, enum gok_verdict gok)
{
    one_init(o, stream, 1, time_us, EVENT_INSPECTION_REPORT);
    set_key(o, "r", key);
    one_num(o, INS_SCHOOL_ID, school);
    one_num(o, INS_YEAR, year);
    one_num(o, INS_DATE, date);
    one_num(o, INS_KIND, INSPECTION_DOORLICHTING);
    one_num(o, INS_GOK, gok);
}

static void random_event(struct one *o)
{
    uint32_t stream = 1 + random_below(STREAMS), what = random_below(12);
    int64_t at = random_below(6);
    if (what < 4) {
        one_report(o, stream, at, random_below(6), 1 + random_below(2), 2021 + (int)random_below(5),
                   DAY0 - 900 + (int32_t)random_below(1000), (enum gok_verdict)random_below(3));
        if (random_below(2))
            one_num(o, INS_ADVICE, random_below(4));
        if (random_below(2))
            one_num(o, INS_FOLLOWUP_DUE, DAY0 + random_below(300));
    } else if (what < 5) {
        one_init(o, stream, 1, at, EVENT_INSPECTION_WITHDRAW);
        set_key(o, "r", random_below(6));
    } else if (what < 6) {
        one_init(o, stream, 1, at, random_below(3) ? EVENT_OPSCHORTING : EVENT_OPSCHORTING_WITHDRAW);
        set_key(o, "r", random_below(6));
        one_num(o, OPS_SCHOOL_ID, 1 + random_below(2));
        one_num(o, OPS_ASKED_ON, DAY0);
    } else if (what < 8) {
        one_init(o, stream, 1, at, random_below(5) ? EVENT_CONTROLE : EVENT_CONTROLE_WITHDRAW);
        set_key(o, "c", random_below(5));
        one_num(o, CON_PUPIL, 0);
        pupil_bytes(random_below(4), o->values[CON_PUPIL].pupil);
        one_num(o, CON_YEAR, 2023 + random_below(2));
        one_num(o, CON_DATE, DAY0 - (int32_t)random_below(500));
        one_num(o, CON_ORDINAL, 1);
        one_num(o, CON_VERDICT, random_below(3));
    } else if (what < 9) {
        one_init(o, stream, 1, at, random_below(5) ? EVENT_MELDING_ONTVANGEN : EVENT_MELDING_WITHDRAW);
        set_key(o, "m", random_below(4));
        one_num(o, MEL_SCHOOL_ID, 1 + random_below(2));
        one_num(o, MEL_LEVEL, LEVEL_SO);
        one_num(o, MEL_RECEIVED_ON, DAY0 + (int32_t)random_below(250) - 60);
        one_num(o, MEL_CATEGORIES, 1);
    } else if (what < 11) {
        unsigned old = random_below(6);
        one_link(o, stream, at, old, (old + 1 + random_below(5)) % 6, random_below(4) == 0);
    } else {
        one_init(o, stream, 1, at, random_below(3) ? EVENT_BEANTWOORD : EVENT_BEANTWOORD_WITHDRAW);
        set_key(o, "m", random_below(4));
        one_num(o, BEA_ANSWERED_ON, DAY0);
    }
}

/* ---- what fires ---- */

#define ALERTS_MAX 256
struct firing_list {
    struct alert_key key[ALERTS_MAX];
    enum severity severity[ALERTS_MAX];
    size_t count;
};

/* Everything that fires on a day, as a first look at everything gives it. */
static void look(struct ledger *l, int32_t today, struct firing_list *out)
{
    struct results *r = results_new();
    struct subject *subjects;
    struct changes c;
    size_t n;
    changes_init(&c);
    assert_non_null(r);
    assert_int_equal(entities_all(l, &subjects, &n), 0);
    assert_int_equal(results_diff_subjects(r, l, today, subjects, n, &c), 0);
    out->count = 0;
    for (size_t i = 0; i < c.alert_count; i++) {
        assert_true(c.alerts[i].firing && out->count < ALERTS_MAX);
        assert_true(strlen(c.alerts[i].summary) > 20 && c.alerts[i].detail[0] == '{' &&
                    c.alerts[i].detail[1] != '}');
        out->key[out->count] = c.alerts[i].key;
        out->severity[out->count++] = c.alerts[i].severity;
    }
    free(subjects);
    changes_fini(&c);
    results_free(&r);
}

static void assert_same(const struct firing_list *a, const struct firing_list *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(alert_key_equal(a->key + i, b->key + i));
        assert_int_equal(a->severity[i], b->severity[i]);
    }
}

/* ---- properties ---- */

static void apply_all(struct ledger *l, struct one *events, const size_t *order, size_t n)
{
    ledger_begin(l);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(one_apply(l, events + order[i]), 0);
    ledger_commit(l);
}

/* An order in which each stream's own events keep theirs. */
static void shuffle_between_streams(const struct one *events, size_t n, size_t *order)
{
    size_t next[STREAMS + 1] = {0}, filled = 0;
    while (filled < n) {
        uint32_t stream = 1 + random_below(STREAMS);
        size_t i = next[stream];
        while (i < n && events[i].batch.stream_id != stream)
            i++;
        if (i < n)
            order[filled++] = i;
        next[stream] = i + (i < n);
    }
}

static void test_order_between_streams(void **state)
{
    (void)state;
    random_seed("order between streams");
    static struct firing_list first, other;
    size_t fired = 0, halved = 0;
    for (int round = 0; round < 200; round++) {
        static struct one events[EVENTS];
        size_t order[EVENTS];
        uint64_t digest = 0;
        for (size_t i = 0; i < EVENTS; i++)
            random_event(events + i);
        for (int way = 0; way < 4; way++) {
            struct ledger *l = new_ledger();
            for (size_t i = 0; i < EVENTS; i++)
                order[i] = i;
            if (way)
                shuffle_between_streams(events, EVENTS, order);
            apply_all(l, events, order, EVENTS);
            look(l, DAY0 + 100, way ? &other : &first);
            if (way)
                assert_int_equal(ledger_digest(l), digest);
            digest = ledger_digest(l);
            if (way)
                assert_same(&first, &other);
            for (int y = 2020; y < 2030; y++)
                halved += derive_sanction_halves(l, 1, y) == 1;
            ledger_free(&l);
        }
        fired += first.count;
    }
    assert_true(fired > 200 && halved > 50);
}

/* Every way to fill four moments with an upsert or a withdrawal of two reports, each moment on a stream of its own, in every
 * order of arrival; the same ledger throughout, so each is rolled back exactly. */
static int model_halves(const int *slots, int n, int year)
{
    int verdict[2] = {-1, -1}, negatives = 0, from = 9999, to = -1;
    for (int i = 0; i < n; i++) /* the last word on each report */
        verdict[slots[i] / 3] = slots[i] % 3;
    for (int k = 0; k < 2; k++) { /* report 0 is of 2021-2022, report 1 of 2022-2023 */
        if (verdict[k] == GOK_NEGATIEF && ++negatives == 2)
            from = 2021 + k + 1, to = 9998;
        if (verdict[k] == GOK_POSITIEF)
            negatives = 0;
    }
    return year >= from && year <= to ? 1 : 2;
}

static void try_order(struct ledger *l, struct one *events, const int *slots, size_t n, size_t *order,
                      size_t at)
{
    if (at == n) {
        uint64_t before = ledger_digest(l);
        ledger_begin(l);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(one_apply(l, events + order[i]), 0);
        for (int y = 2020; y < 2026; y++)
            assert_int_equal(derive_sanction_halves(l, 7, y), model_halves(slots, (int)n, y));
        ledger_rollback(l);
        assert_int_equal(ledger_digest(l), before);
        return;
    }
    for (size_t i = at; i < n; i++) {
        size_t swap = order[at];
        order[at] = order[i], order[i] = swap;
        try_order(l, events, slots, n, order, at + 1);
        swap = order[at], order[at] = order[i], order[i] = swap;
    }
}

static void test_every_arrival_of_corrections(void **state)
{
    (void)state;
    struct ledger *l = new_ledger();
    for (size_t n = 1; n <= 4; n++) {
        int words = 1;
        for (size_t i = 0; i < n; i++)
            words *= 6;
        for (int word = 0; word < words; word++) {
            static struct one events[4];
            size_t order[4] = {0, 1, 2, 3};
            int slots[4], rest = word;
            for (size_t i = 0; i < n; i++, rest /= 6) {
                unsigned key = (unsigned)(rest % 6 / 3);
                slots[i] = rest % 6;
                if (slots[i] % 3 == 2) {
                    one_init(events + i, (uint32_t)i + 1, 1, (int64_t)i, EVENT_INSPECTION_WITHDRAW);
                    set_key(events + i, "r", key);
                } else {
                    one_report(events + i, (uint32_t)i + 1, (int64_t)i, key, 7, 2021 + (int)key,
                               school_year_start(2021 + (int)key) + 30, (enum gok_verdict)(slots[i] % 3));
                }
            }
            try_order(l, events, slots, n, order, 0);
        }
    }
    ledger_free(&l);
}

static void test_rollback_and_replay(void **state)
{
    (void)state;
    random_seed("rollback and replay");
    static struct firing_list before, after;
    for (int round = 0; round < 100; round++) {
        static struct one events[EVENTS];
        struct ledger *l = new_ledger(), *replay = new_ledger();
        size_t kept = 0;
        for (size_t i = 0; i < EVENTS; i++)
            random_event(events + i);
        while (kept < EVENTS) {
            size_t n = 1 + random_below(10);
            bool keep = random_below(2);
            uint64_t digest = ledger_digest(l);
            n = kept + n > EVENTS ? EVENTS - kept : n;
            look(l, DAY0, &before);
            ledger_begin(l);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(one_apply(l, events + kept + i), 0);
            if (keep) {
                ledger_commit(l);
                kept += n;
                continue;
            }
            ledger_rollback(l);
            assert_int_equal(ledger_digest(l), digest);
            look(l, DAY0, &after);
            assert_same(&before, &after);
        }
        for (size_t i = 0; i < EVENTS; i++) /* outside a batch, as a rebuild does */
            assert_int_equal(one_apply(replay, events + i), 0);
        assert_int_equal(ledger_digest(replay), ledger_digest(l));
        look(l, DAY0 + 50, &before);
        look(replay, DAY0 + 50, &after);
        assert_same(&before, &after);
        ledger_free(&l);
        ledger_free(&replay);
    }
}

/* ---- the clock ---- */

static void lay(struct firing_list *t, const struct changes *c)
{
    for (size_t i = 0; i < c->alert_count; i++) {
        const struct alert *a = c->alerts + i;
        size_t at = 0;
        while (at < t->count && alert_key_compare(t->key + at, &a->key) < 0)
            at++;
        bool there = at < t->count && alert_key_equal(t->key + at, &a->key);
        if (a->firing) {
            assert_true(!there || t->severity[at] != a->severity); /* a change, never a repetition */
            if (!there) {
                memmove(t->key + at + 1, t->key + at, (t->count - at) * sizeof *t->key);
                memmove(t->severity + at + 1, t->severity + at, (t->count - at) * sizeof *t->severity);
                t->count++;
            }
            t->key[at] = a->key;
            t->severity[at] = a->severity;
        } else {
            assert_true(there);
            t->count--;
            memmove(t->key + at, t->key + at + 1, (t->count - at) * sizeof *t->key);
            memmove(t->severity + at, t->severity + at + 1, (t->count - at) * sizeof *t->severity);
        }
    }
}

/* One day or one event, as the writer does it; now and then the transaction fails and is done again. */
static size_t step(struct ledger *l, struct results *r, struct firing_list *t, int32_t from, int32_t to,
                   struct one *event)
{
    for (bool again = random_below(4) == 0;; again = false) {
        struct subject *subjects;
        struct changes c;
        size_t n;
        changes_init(&c);
        ledger_begin(l);
        if (event) {
            assert_int_equal(one_apply(l, event), 0);
            assert_int_equal(entities_touched(l, &subjects, &n), 0);
        } else {
            assert_int_equal(entities_due(l, from, to, &subjects, &n), 0);
        }
        assert_int_equal(results_diff_subjects(r, l, to, subjects, n, &c), 0);
        free(subjects);
        if (again) {
            ledger_rollback(l);
        } else {
            ledger_commit(l);
            lay(t, &c);
            results_fold(r, &c);
        }
        size_t changed = c.alert_count;
        changes_fini(&c);
        if (!again)
            return changed;
    }
}

static void test_clock(void **state)
{
    (void)state;
    random_seed("clock");
    static struct firing_list table, whole;
    size_t changed = 0;
    for (int round = 0; round < 40; round++) {
        struct ledger *l = new_ledger();
        struct results *r = results_new();
        int32_t today = INT32_MIN, day = DAY0 - 100;
        table.count = 0;
        for (; day < DAY0 + 400; day++) {
            changed += step(l, r, &table, today, day, NULL);
            today = day;
            if (random_below(8) == 0) {
                static struct one event;
                random_event(&event);
                if (random_below(4))
                    event.event.time_us = day; /* the last word, mostly */
                step(l, r, &table, today, today, &event);
            }
            look(l, today, &whole);
            assert_same(&table, &whole);
        }
        ledger_free(&l);
        results_free(&r);
    }
    printf("%zu changes by the clock alone\n", changed);
    assert_true(changed > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_between_streams),
        cmocka_unit_test(test_every_arrival_of_corrections),
        cmocka_unit_test(test_rollback_and_replay),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
