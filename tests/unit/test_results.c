/* SPDX-License-Identifier: MIT
 *
 * links: workers/results.o workers/ledger.o workers/ledger_pupils.o workers/ledger_links.o workers/ledger_schools.o
 * links: workers/fixed.o workers/risk.o workers/budget.o
 * links: workers/ledger_history.o workers/allocation.o workers/alert.o workers/event_batch.o
 * links: daemon/config_text.o workers/event_table.o workers/exact.o workers/rules.o workers/rules_table.o daemon/err.o
 * links: workers/entities.o workers/ledger_incidents.o workers/derive.o workers/evaluation.o workers/huisonderwijs.o workers/melding.o
 * links: workers/alert_subject.o workers/alert_risk.o
 *
 * Results against a table of rows kept by hand: after every batch the rows that were sent, laid over those
 * that stood, are what a first diff of the whole ledger gives (P2); nothing is sent that did not change; a
 * dropped batch leaves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/ledger_feed.h"
#include "workers/results.h"

#define STREAMS 2
#define SCHOOLS 6
#define YEAR0   2021
#define YEARS   4
#define PUPILS  60

static struct rules_set *rules, *stricter;

static struct rules_set *load_rules(struct rules_near near)
{
    char error[512] = "";
    struct rules_set *set = rules_load("conf/rules", near, error, sizeof error);
    if (!set)
        fail_msg("%s", error);
    return set;
}

static int load(void **state)
{
    (void)state;
    rules = load_rules((struct rules_near){3, 1});
    stricter = load_rules((struct rules_near){6, 3});
    return 0;
}

static int unload(void **state)
{
    (void)state;
    rules_free(&rules);
    rules_free(&stricter);
    return 0;
}

static struct ledger *new_ledger(void)
{
    struct ledger *l = ledger_new();
    assert_non_null(l);
    assert_int_equal(ledger_add_stream(l, 1, "registration.0"), 0);
    assert_int_equal(ledger_add_stream(l, 2, "school.0"), 0);
    assert_int_equal(ledger_set_rules(l, rules), 0);
    return l;
}

/* --- the table
 * ---------------------------------------------------------------------------------------------- */

#define ROWS_MAX 4096
struct table {
    struct count_row counts[ROWS_MAX];
    struct closed_row closed[ROWS_MAX];
    struct allocation allocations[ROWS_MAX];
    struct alert_key alerts[ROWS_MAX];
    enum severity severities[ROWS_MAX];
    size_t count_count, closed_count, allocation_count, alert_count;
};

static size_t find_count(const struct table *t, const struct count_row *row)
{
    size_t i = 0;
    while (i < t->count_count && (t->counts[i].school_id != row->school_id ||
                                  t->counts[i].year != row->year || t->counts[i].group != row->group))
        i++;
    return i;
}

static size_t find_closed(const struct table *t, const struct closed_row *row)
{
    size_t i = 0;
    while (i < t->closed_count &&
           (t->closed[i].school_id != row->school_id || t->closed[i].year != row->year))
        i++;
    return i;
}

static size_t find_allocation(const struct table *t, const struct allocation *a)
{
    size_t i = 0;
    while (i < t->allocation_count &&
           (t->allocations[i].school_id != a->school_id || t->allocations[i].year != a->year ||
            t->allocations[i].staffing != a->staffing || t->allocations[i].group != a->group))
        i++;
    return i;
}

static size_t find_alert(const struct table *t, const struct alert_key *key)
{
    size_t i = 0;
    while (i < t->alert_count && !alert_key_equal(t->alerts + i, key))
        i++;
    return i;
}

static void lay_counts(struct table *t, const struct changes *c)
{
    for (size_t i = 0; i < c->count_count; i++) {
        size_t at = find_count(t, c->counts + i);
        assert_true(at < ROWS_MAX);
        if (c->counts[i].gone) {
            assert_true(at < t->count_count);
            t->counts[at] = t->counts[--t->count_count];
            continue;
        }
        assert_true(at == t->count_count ||
                    memcmp(&t->counts[at].cells, &c->counts[i].cells, sizeof(struct group_cells)) != 0);
        t->counts[at] = c->counts[i];
        t->count_count += at == t->count_count;
    }
}

static void lay_closed(struct table *t, const struct changes *c)
{
    for (size_t i = 0; i < c->closed_count; i++) {
        const struct closed_row *row = c->closed + i;
        size_t at = find_closed(t, row);
        assert_true(at == t->closed_count || t->closed[at].closed != row->closed ||
                    t->closed[at].held != row->held || t->closed[at].announced != row->announced);
        t->closed[at] = *row;
        t->closed_count += at == t->closed_count;
    }
}

static void lay_allocations(struct table *t, const struct changes *c, bool other_rules)
{
    for (size_t i = 0; i < c->allocation_count; i++) {
        const struct allocation *a = &c->allocations[i].a;
        size_t at = find_allocation(t, a);
        if (c->allocations[i].gone) {
            assert_true(at < t->allocation_count);
            t->allocations[at] = t->allocations[--t->allocation_count];
            continue;
        }
        assert_true(other_rules || at == t->allocation_count || !allocation_equal(t->allocations + at, a));
        t->allocations[at] = *a;
        t->allocation_count += at == t->allocation_count;
    }
}

static void lay_alerts(struct table *t, const struct changes *c)
{
    for (size_t i = 0; i < c->alert_count; i++) {
        const struct alert *a = c->alerts + i;
        size_t at = find_alert(t, &a->key);
        if (i)
            assert_true(alert_key_compare(&c->alerts[i - 1].key, &a->key) < 0);
        assert_true(*a->summary && *a->detail == '{');
        if (!a->firing) {
            assert_true(at < t->alert_count);
            t->alerts[at] = t->alerts[--t->alert_count];
            t->severities[at] = t->severities[t->alert_count];
            continue;
        }
        assert_true(at == t->alert_count || t->severities[at] != a->severity);
        t->alerts[at] = a->key;
        t->severities[at] = a->severity;
        t->alert_count += at == t->alert_count;
    }
}

static void lay(struct table *t, const struct changes *c, bool other_rules)
{
    lay_counts(t, c);
    lay_closed(t, c);
    lay_allocations(t, c, other_rules);
    lay_alerts(t, c);
}

static void assert_same_tables(const struct table *a, const struct table *b)
{
    assert_int_equal(a->count_count, b->count_count);
    for (size_t i = 0; i < a->count_count; i++) {
        size_t at = find_count(b, a->counts + i);
        assert_true(at < b->count_count);
        assert_memory_equal(&a->counts[i].counts, &b->counts[at].counts, sizeof a->counts->counts);
        assert_memory_equal(&a->counts[i].cells, &b->counts[at].cells, sizeof a->counts->cells);
    }
    assert_int_equal(a->closed_count, b->closed_count);
    for (size_t i = 0; i < a->closed_count; i++) {
        size_t at = find_closed(b, a->closed + i);
        assert_true(at < b->closed_count);
        assert_int_equal(a->closed[i].closed, b->closed[at].closed);
        assert_int_equal(a->closed[i].held, b->closed[at].held);
        assert_int_equal(a->closed[i].announced, b->closed[at].announced);
    }
    assert_int_equal(a->allocation_count, b->allocation_count);
    for (size_t i = 0; i < a->allocation_count; i++) {
        size_t at = find_allocation(b, a->allocations + i);
        assert_true(at < b->allocation_count);
        assert_true(allocation_equal(a->allocations + i, b->allocations + at));
    }
    assert_int_equal(a->alert_count, b->alert_count);
    for (size_t i = 0; i < a->alert_count; i++) {
        size_t at = find_alert(b, a->alerts + i);
        assert_true(at < b->alert_count);
        assert_int_equal(a->severities[i], b->severities[at]);
    }
}

/* Everything, from nothing: what the ledger means. */
static void whole(const struct ledger *l, struct table *t)
{
    struct results *fresh = results_new();
    struct ledger_key *keys;
    size_t n = ledger_all(l, &keys);
    struct changes c;
    changes_init(&c);
    assert_int_equal(results_diff(fresh, l, keys, n, &c), 0);
    memset(t, 0, sizeof *t);
    lay(t, &c, false);
    changes_fini(&c);
    free(keys);
    results_free(&fresh);
    assert_null(fresh);
}

static void assert_no_changes(const struct changes *c)
{
    assert_int_equal(c->count_count + c->closed_count + c->allocation_count + c->alert_count, 0);
}

/* --- random batches
 * ----------------------------------------------------------------------------------------- */

static void random_event(struct one *o, const struct ledger *l)
{
    static const enum group groups[] = {GROUP_GRAAD1,  GROUP_GRAAD1, GROUP_GRAAD1,
                                        GROUP_GRAAD23, GROUP_LAGER,  GROUP_TYPE3};
    static const enum level levels[] = {LEVEL_SO, LEVEL_SO, LEVEL_SO, LEVEL_BAO, LEVEL_BUSO, LEVEL_BUBAO};
    uint32_t school = 1 + random_below(SCHOOLS), kind = random_below(100);
    int year = YEAR0 + (int)random_below(YEARS);
    if (kind < 2) {
        one_school(o, 2, 1, school, levels[random_below(6)],
                   random_below(4) ? 0 : date_from_ymd(year, 8 + (int)random_below(2), 1),
                   random_below(2) ? 1 + random_below(SCHOOLS) : 0);
        one_num(o, SCHOOL_BRUSSELS, random_below(4) == 0);
        if (random_below(10) == 0)
            o->event.type = EVENT_SCHOOL_WITHDRAW;
    } else if (kind < 4) {
        one_entitlement(o, 2, 1, school, STAFFING_GOK_UREN_LERAAR, groups[random_below(4)], year,
                        random_below(STATUS_COUNT));
        if (random_below(4) == 0)
            o->event.type = EVENT_ENTITLEMENT_WITHDRAW;
    } else if (kind < 10) {
        int32_t held = ledger_closed(l, school, year).held;
        one_closed(o, 1, 1, school, year, random_below(3) ? held : held + 1);
    } else {
        /* Pupils of their own, and a few who turn up in other schools. */
        unsigned pupil = random_below(30) ? school * 100 + random_below(PUPILS) : 9000 + random_below(5);
        struct registration r = {.school = school,
                                 .year = year,
                                 .pupil = pupil,
                                 .group = groups[random_below(6)],
                                 .irregular = random_below(20) == 0,
                                 .half = random_below(10) == 0,
                                 .indicators = random_below(3) ? random_below(IND_CELLS) : 0};
        if (kind < 25)
            one_withdraw(o, 1, 1, 1, school, year, pupil);
        else
            one_upsert(o, 1, 1, 1, &r);
    }
}

static struct table table, expected;

static void assert_kinds_seen(const uint64_t seen[ALERT_KIND_COUNT])
{
    for (int k = 0; k <= ALERT_REGISTRATION_DOUBLE; k++)
        if (!seen[k])
            fail_msg("no %s in the whole test: it proves nothing of it", alert_kind_names[k]);
}

static void assert_numbers(const struct results *r, const struct table *t)
{
    uint64_t numbers[ALERT_KIND_COUNT][3], counted[ALERT_KIND_COUNT][3] = {{0}};
    results_alert_numbers(r, numbers);
    for (size_t i = 0; i < t->alert_count; i++)
        counted[t->alerts[i].kind][t->severities[i]]++;
    assert_memory_equal(numbers, counted, sizeof numbers);
}

/* First a school's worth, then mostly an event or two: what they reach is then nobody else's doing. */
static uint32_t batch_size(int batch)
{
    return batch < 5 ? 400 : random_below(4) ? 1 + random_below(2) : random_below(60);
}

static void test_changes_add_up(void **state)
{
    (void)state;
    uint64_t seed = random_seed("changes add up");
    uint64_t seen[ALERT_KIND_COUNT] = {0};
    for (int round = 0; round < 8; round++) {
        random_state = seed + (uint64_t)round * 7919;
        struct ledger *l = new_ledger();
        struct results *r = results_new();
        memset(&table, 0, sizeof table);
        for (int batch = 0; batch < 150; batch++) {
            struct changes c;
            const struct ledger_key *keys;
            bool other_rules = random_below(15) == 0;
            ledger_begin(l);
            if (other_rules)
                assert_int_equal(ledger_set_rules(l, ledger_rules(l) == rules ? stricter : rules), 0);
            for (uint32_t n = batch_size(batch); n > 0; n--) {
                struct one o;
                random_event(&o, l);
                assert_int_equal(one_apply(l, &o), 0);
            }
            size_t n = ledger_touched(l, &keys);
            changes_init(&c);
            assert_int_equal(results_diff(r, l, keys, n, &c), 0);
            if (!other_rules && random_below(4) == 0) {
                ledger_rollback(l); /* the transaction failed: dropping costs nothing */
            } else {
                lay(&table, &c, other_rules);
                results_fold(r, &c);
                ledger_commit(l);
            }
            for (size_t i = 0; i < c.alert_count; i++)
                seen[c.alerts[i].key.kind] += c.alerts[i].firing;
            changes_fini(&c);
            whole(l, &expected);
            assert_same_tables(&expected, &table);
            assert_numbers(r, &table);
            struct ledger_key *all;
            n = ledger_all(l, &all);
            assert_int_equal(results_diff(r, l, all, n, &c), 0); /* nothing is left to say */
            assert_no_changes(&c);
            changes_fini(&c);
            free(all);
        }
        assert_true(results_bytes(r) > 1000);
        results_free(&r);
        ledger_free(&l);
    }
    assert_kinds_seen(seen);
}

/* What is loaded at a rebuild stands as if it had been folded; rows that no event explains go. */
static void test_rebuild(void **state)
{
    (void)state;
    random_seed("rebuild");
    struct ledger *l = new_ledger();
    struct results *r = results_new();
    struct changes c;
    struct ledger_key *keys;
    size_t n;
    do {
        for (int i = 0; i < 1000; i++) {
            struct one o;
            random_event(&o, l);
            assert_int_equal(one_apply(l, &o), 0);
        }
        whole(l, &table);
    } while (table.count_count < 10 || table.allocation_count < 10 || table.alert_count == 0);
    for (size_t i = 0; i < table.count_count; i++)
        assert_int_equal(results_load_count(r, table.counts + i), 0);
    for (size_t i = 0; i < table.closed_count; i++)
        assert_int_equal(results_load_closed(r, table.closed + i), 0);
    for (size_t i = 0; i < table.allocation_count; i++) {
        struct allocation a = table.allocations[i];
        a.hours_exact.units *= 100; /* as another computation may write it */
        a.hours_exact.scale += 2;
        assert_int_equal(results_load_allocation(r, &a), 0);
    }
    for (size_t i = 0; i < table.alert_count; i++)
        assert_int_equal(results_load_alert(r, table.alerts + i, table.severities[i]), 0);
    changes_init(&c);
    assert_int_equal(results_keys(r, l, &keys, &n), 0);
    assert_int_equal(results_diff(r, l, keys, n, &c), 0);
    assert_no_changes(&c);
    free(keys);

    struct count_row stale_count = {
        .school_id = 777, .year = 2022, .group = GROUP_OKAN, .counts = {.pupils = 2}};
    struct allocation stale = {
        .school_id = 777, .year = 2023, .staffing = STAFFING_GOK_UREN_LERAAR, .group = GROUP_OKAN};
    struct alert_key key = {
        .kind = ALERT_THRESHOLD_LOST, .school_id = 778, .year = 2024, .group = GROUP_OKAN};
    strcpy(key.stream, "gok_uren_leraar");
    assert_int_equal(results_load_count(r, &stale_count), 0);
    assert_int_equal(results_load_allocation(r, &stale), 0);
    assert_int_equal(results_load_alert(r, &key, SEVERITY_CRITICAL), 0);
    stale.group = GROUP_TYPE3;
    assert_int_equal(results_load_allocation(r, &stale), ERR_INVALID);
    assert_int_equal(results_keys(r, l, &keys, &n), 0);
    assert_int_equal(results_diff(r, l, keys, n, &c), 0);
    assert_int_equal(c.count_count, 1);
    assert_true(c.counts[0].gone && c.counts[0].school_id == 777 && c.counts[0].group == GROUP_OKAN);
    assert_int_equal(c.allocation_count, 1);
    assert_true(c.allocations[0].gone && c.allocations[0].a.year == 2023);
    assert_int_equal(c.alert_count, 1);
    assert_true(!c.alerts[0].firing && c.alerts[0].key.school_id == 778);
    results_fold(r, &c);
    changes_fini(&c);
    assert_int_equal(results_diff(r, l, keys, n, &c), 0);
    assert_no_changes(&c);
    changes_fini(&c);
    free(keys);
    results_free(&r);
    ledger_free(&l);
}

/* Another rules set rewrites every allocation row, for the table names the set; the same set does not. */
static void test_rules_rewrite_rows(void **state)
{
    (void)state;
    random_seed("rules");
    struct ledger *l = new_ledger();
    struct results *r = results_new();
    struct changes c;
    struct ledger_key *keys;
    for (int i = 0; i < 2000; i++) {
        struct one o;
        random_event(&o, l);
        assert_int_equal(one_apply(l, &o), 0);
    }
    size_t n = ledger_all(l, &keys);
    changes_init(&c);
    assert_int_equal(results_diff(r, l, keys, n, &c), 0);
    size_t rows = c.allocation_count;
    assert_true(rows > 5);
    results_fold(r, &c);
    changes_fini(&c);
    assert_int_equal(ledger_set_rules(l, stricter), 0);
    for (int again = 0; again < 2; again++) { /* dropped once: the next says it again */
        assert_int_equal(results_diff(r, l, keys, n, &c), 0);
        assert_int_equal(c.allocation_count, rows);
        assert_int_equal(c.count_count, 0);
        if (again)
            results_fold(r, &c);
        changes_fini(&c);
    }
    assert_int_equal(results_diff(r, l, keys, n, &c), 0);
    assert_no_changes(&c);
    changes_fini(&c);
    free(keys);
    results_free(&r);
    ledger_free(&l);
}

/* --- what reaches how far, spelled out ---------------------------------------------------------------------
 */

static void put_pupils(struct ledger *l, uint32_t school, int year, unsigned n, bool withdraw)
{
    for (unsigned p = 0; p < n; p++) {
        struct one o;
        struct registration r = {.school = school,
                                 .year = year,
                                 .pupil = school * 100 + p,
                                 .group = GROUP_GRAAD1,
                                 .indicators = 1u << IND_TREKKEND | 1u << IND_THUISLOOS};
        if (withdraw)
            one_withdraw(&o, 1, 1, 1, school, year, r.pupil);
        else
            one_upsert(&o, 1, 1, 1, &r);
        assert_int_equal(one_apply(l, &o), 0);
    }
    struct one o;
    one_closed(&o, 1, 1, school, year, withdraw ? 0 : (int32_t)n);
    assert_int_equal(one_apply(l, &o), 0);
}

static void put_school(struct ledger *l, uint32_t school, uint32_t successor)
{
    struct one o;
    one_school(&o, 2, 1, school, LEVEL_SO, 0, successor);
    assert_int_equal(one_apply(l, &o), 0);
}

static void diff_touched(struct ledger *l, struct results *r, struct changes *c)
{
    const struct ledger_key *keys;
    size_t n = ledger_touched(l, &keys);
    changes_fini(c);
    assert_int_equal(results_diff(r, l, keys, n, c), 0);
    results_fold(r, c);
    ledger_commit(l);
}

/* A count of 2020 at one school decides the gedoogjaar of 2022 at its successor, and whether 2023 is a loss
 * there. */
static void test_three_years_and_successors(void **state)
{
    (void)state;
    struct ledger *l = new_ledger();
    struct results *r = results_new();
    struct changes c;
    changes_init(&c);
    ledger_begin(l);
    put_school(l, 1, 2);
    put_school(l, 2, 0);
    put_pupils(l, 1, 2020, 40, false);
    put_pupils(l, 2, 2021, 5, false);
    put_pupils(l, 2, 2022, 5, false);
    diff_touched(l, r, &c);
    assert_int_equal(c.allocation_count, 3);
    assert_int_equal(c.allocations[0].a.status, STATUS_GRANTED);
    assert_int_equal(c.allocations[1].a.status, STATUS_GRACE);
    assert_int_equal(c.allocations[2].a.status, STATUS_BELOW_MINIMUM);
    assert_int_equal(c.alert_count, 2);
    assert_int_equal(c.alerts[0].key.kind, ALERT_THRESHOLD_GRACE);
    assert_int_equal(c.alerts[1].key.kind, ALERT_THRESHOLD_LOST);
    assert_int_equal(c.alerts[1].key.year, 2023);
    ledger_begin(l);
    put_pupils(l, 1, 2020, 40, true);
    diff_touched(l, r, &c);
    assert_int_equal(c.count_count, 1);
    assert_true(c.counts[0].gone);
    assert_int_equal(c.allocation_count, 2);
    assert_true(c.allocations[0].gone && c.allocations[0].a.school_id == 1 &&
                c.allocations[0].a.year == 2021);
    assert_true(c.allocations[1].a.school_id == 2 && c.allocations[1].a.year == 2022);
    assert_int_equal(c.allocations[1].a.status, STATUS_BELOW_MINIMUM);
    assert_int_equal(c.alert_count, 2);
    assert_true(!c.alerts[0].firing && c.alerts[0].key.year == 2022 &&
                c.alerts[0].key.kind == ALERT_THRESHOLD_GRACE);
    assert_true(!c.alerts[1].firing && c.alerts[1].key.year == 2023 &&
                c.alerts[1].key.kind == ALERT_THRESHOLD_LOST);
    changes_fini(&c);
    results_free(&r);
    ledger_free(&l);
}

/* The same alert with another severity is a change: what the year before was decides it. */
static void test_severity(void **state)
{
    (void)state;
    struct ledger *l = new_ledger();
    struct results *r = results_new();
    struct changes c;
    struct allocation rows[3];
    struct one o;
    unsigned n = 0;
    changes_init(&c);
    ledger_begin(l);
    put_school(l, 1, 0);
    do
        put_pupils(l, 1, 2021, ++n, false);
    while (ledger_allocations(l, 1, 2022, rows) != 1 || rows[0].hours < 6);
    assert_int_equal(rows[0].margin_hours, 0);
    diff_touched(l, r, &c);
    assert_int_equal(c.alert_count, 1);
    assert_int_equal(c.alerts[0].key.kind, ALERT_THRESHOLD_NEAR);
    assert_int_equal(c.alerts[0].severity, SEVERITY_CRITICAL);
    ledger_begin(l);
    one_entitlement(&o, 2, 1, 1, STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1, 2021, STATUS_GRANTED);
    assert_int_equal(one_apply(l, &o), 0);
    diff_touched(l, r, &c);
    assert_int_equal(c.allocation_count, 0);
    assert_int_equal(c.alert_count, 1);
    assert_true(c.alerts[0].firing);
    assert_int_equal(c.alerts[0].severity, SEVERITY_WARNING);
    changes_fini(&c);
    results_free(&r);
    ledger_free(&l);
}

/* --- operational alerts
 * ------------------------------------------------------------------------------------- */

struct fired {
    int n;
    struct alert_key last;
    struct results *r;
    struct changes *out;
};

static void resolve_each(void *context, const struct alert_key *key, enum severity severity)
{
    struct fired *f = context;
    struct alert a = {.key = *key, .severity = severity, .firing = true};
    f->n++;
    f->last = *key;
    alert_resolve(&a);
    assert_int_equal(results_alert(f->r, &a, f->out), 0);
}

static void test_operational_alerts(void **state)
{
    (void)state;
    struct results *r = results_new();
    struct changes c;
    struct alert a;
    changes_init(&c);
    alert_stream_stale("registration.0", 61, &a);
    assert_int_equal(results_alert(r, &a, &c), 0);
    assert_int_equal(results_alert(r, &a, &c), 0); /* the same again says nothing */
    alert_stream_gap("registration.0", "gone", 1, 2, 3, &a);
    assert_int_equal(results_alert(r, &a, &c), 0);
    assert_int_equal(c.alert_count, 2);
    results_fold(r, &c);
    changes_fini(&c);
    alert_stream_stale("registration.0", 99, &a);
    assert_int_equal(results_alert(r, &a, &c), 0);
    assert_int_equal(c.alert_count, 0); /* fires already */
    alert_resolve(&a);
    assert_int_equal(results_alert(r, &a, &c), 0);
    assert_int_equal(results_alert(r, &a, &c), 0);
    assert_int_equal(c.alert_count, 1);
    alert_stream_stale("registration.0", 61, &a); /* resolved and fired in one transaction: both are said */
    assert_int_equal(results_alert(r, &a, &c), 0);
    assert_int_equal(c.alert_count, 2);
    results_fold(r, &c);
    changes_fini(&c);
    for (int i = 0; i < 100; i++) { /* enough to make the memory move while it is walked */
        char name[32];
        snprintf(name, sizeof name, "registration.%d", i + 1);
        alert_stream_stale(name, 61, &a);
        assert_int_equal(results_alert(r, &a, &c), 0);
    }
    results_fold(r, &c);
    changes_fini(&c);
    struct fired f = {.r = r, .out = &c};
    results_firing(r, resolve_each, &f);
    assert_int_equal(f.n, 102);
    assert_int_equal(c.alert_count, 102);
    results_fold(r, &c);
    changes_fini(&c);
    f.n = 0;
    results_firing(r, resolve_each, &f);
    assert_int_equal(f.n, 0);
    alert_stream_stale("another", 61, &a);
    alert_resolve(&a);
    assert_int_equal(results_alert(r, &a, &c), 0); /* never fired */
    assert_int_equal(c.alert_count, 0);
    changes_fini(&c);
    results_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_add_up),     cmocka_unit_test(test_rebuild),
        cmocka_unit_test(test_rules_rewrite_rows), cmocka_unit_test(test_three_years_and_successors),
        cmocka_unit_test(test_severity),           cmocka_unit_test(test_operational_alerts),
    };
    return cmocka_run_group_tests_name("results", tests, load, unload);
}
