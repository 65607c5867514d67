/* SPDX-License-Identifier: MIT
 *
 * Linked pseudonyms: every graph of four, against a model that follows links with a pencil: which controls in
 * huisonderwijs are one pupil's, and under which pseudonym their alert stands. In whatever order links and controls come, in
 * batches that are kept and batches that are rolled back.
 * links: workers/results.o workers/ledger.o workers/ledger_pupils.o workers/ledger_links.o workers/ledger_schools.o
 * links: workers/ledger_history.o workers/ledger_incidents.o workers/entities.o workers/derive.o workers/evaluation.o
 * links: workers/huisonderwijs.o workers/melding.o workers/alert.o workers/alert_subject.o workers/alert_risk.o workers/risk.o
 * links: workers/fixed.o workers/budget.o workers/allocation.o workers/event_batch.o workers/event_table.o workers/exact.o
 * links: workers/rules.o workers/rules_table.o daemon/err.o daemon/config_text.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/ledger_feed.h"
#include "workers/derive.h"

#define PUPILS 4
#define DAY    20000
#define NOBODY PUPILS

static uint64_t random_state;
static unsigned below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 11) % n;
}

static struct ledger *new_ledger(void)
{
    struct ledger *l = ledger_new();
    assert_non_null(l);
    assert_int_equal(ledger_add_stream(l, 1, "huisonderwijs.0"), 0);
    assert_int_equal(ledger_add_stream(l, 2, "school.0"), 0);
    assert_int_equal(ledger_add_stream(l, 3, "registration.0"), 0);
    return l;
}

static void one_control(struct one *o, unsigned pupil, int32_t date)
{
    one_init(o, 1, 1, 0, EVENT_CONTROLE);
    o->values[0].text = (struct text){0, (uint32_t)snprintf(o->text, sizeof o->text, "c%u", pupil)};
    o->event.nulls &= ~1u;
    one_num(o, CON_PUPIL, 0);
    pupil_bytes(pupil, o->values[CON_PUPIL].pupil);
    one_num(o, CON_YEAR, 2020 + pupil);
    one_num(o, CON_DATE, date);
    one_num(o, CON_ORDINAL, 1);
    one_num(o, CON_VERDICT, CONTROLE_ONVOLDOENDE);
}

struct fired {
    unsigned due[PUPILS], second[PUPILS]; /* alerts by the pupil they stand under */
};

static void take(void *context, const struct alert *alert)
{
    struct fired *f = context;
    for (unsigned p = 0; p < PUPILS; p++) {
        uint8_t bytes[16];
        char hex[33];
        pupil_bytes(p, bytes);
        pupil_format(bytes, hex);
        if (strcmp(hex, alert->key.subject) == 0) {
            f->due[p] += alert->key.kind == ALERT_HUISONDERWIJS_CONTROL_DUE;
            f->second[p] += alert->key.kind == ALERT_HUISONDERWIJS_SECOND_INSUFFICIENT;
        }
    }
}

/* What fires, of the subjects listed. */
static struct fired look(struct ledger *l, struct subject *subjects, size_t count)
{
    struct fired f = {0};
    int32_t changes;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(derive_subject(l, subjects + i, DAY + 1000, take, &f, &changes), 0);
    free(subjects);
    return f;
}

static struct fired look_at_all(struct ledger *l)
{
    struct subject *subjects;
    size_t count;
    assert_int_equal(entities_all(l, &subjects, &count), 0);
    return look(l, subjects, count);
}

/* The model: steps along next[], more of them than there are pupils, end where the pupil is known; a circle by its
 * smallest. Pupil numbers order as their bytes do not: pupil_bytes() puts number * 37 in front. */
static unsigned known_as(const unsigned next[PUPILS], unsigned p)
{
    unsigned least, at = p;
    for (int i = 0; i < 2 * PUPILS && next[at] != NOBODY; i++)
        at = next[at];
    if (next[at] == NOBODY)
        return at;
    least = at;
    for (unsigned q = next[at]; q != at; q = next[q])
        least = (uint8_t)(q * 37) < (uint8_t)(least * 37) ? q : least;
    return least;
}

static struct fired expected(const unsigned next[PUPILS], const bool control[PUPILS])
{
    struct fired f = {0};
    unsigned controls[PUPILS] = {0};
    for (unsigned p = 0; p < PUPILS; p++)
        controls[known_as(next, p)] += control[p];
    for (unsigned p = 0; p < PUPILS; p++) {
        f.due[p] = controls[p] == 1;
        f.second[p] = controls[p] > 1;
    }
    return f;
}

static void assert_fired(struct fired got, const unsigned next[PUPILS], const bool control[PUPILS])
{
    struct fired want = expected(next, control);
    if (memcmp(&got, &want, sizeof got) != 0)
        fail_msg("links %u %u %u %u: due %u%u%u%u not %u%u%u%u, second %u%u%u%u not %u%u%u%u", next[0],
                 next[1], next[2], next[3], got.due[0], got.due[1], got.due[2], got.due[3], want.due[0],
                 want.due[1], want.due[2], want.due[3], got.second[0], got.second[1], got.second[2],
                 got.second[3], want.second[0], want.second[1], want.second[2], want.second[3]);
}

/* All graphs, from all graphs: 625 x 625 would be many, so each is reached from the one before in a random order, its
 * changes spread over streams, with a rolled back batch between. */
static void every_graph(void **state)
{
    const char *given = getenv("TEST_SEED");
    unsigned long seed = given ? strtoul(given, NULL, 0) : (unsigned long)time(NULL);
    unsigned next[PUPILS] = {NOBODY, NOBODY, NOBODY, NOBODY}, graphs = 0;
    bool control[PUPILS] = {false};
    struct ledger *l = new_ledger();
    int64_t now = 0;
    struct one o;
    (void)state;
    printf("TEST_SEED=%lu\n", seed);
    random_state = seed * 2654435761u | 1;
    for (int round = 0; round < 4; round++)
        for (unsigned word = 0; word < 625; word++) {
            unsigned wanted[PUPILS], rest = word, order[PUPILS] = {0, 1, 2, 3};
            uint64_t digest = ledger_digest(l);
            for (unsigned p = 0; p < PUPILS; p++, rest /= 5)
                wanted[p] = rest % 5 == p ? NOBODY : rest % 5;
            for (int attempt = 0; attempt < 2; attempt++) { /* the first is rolled back */
                ledger_begin(l);
                for (unsigned i = PUPILS; i-- > 0;) {
                    unsigned k = below(i + 1), p = order[k];
                    order[k] = order[i];
                    order[i] = p;
                    if (!control[p] && below(20) == 0 && attempt) {
                        one_control(&o, p, DAY + (int32_t)p);
                        assert_int_equal(one_apply(l, &o), 0);
                        control[p] = true;
                    }
                    one_link(&o, 1 + below(3), ++now, p,
                             attempt    ? wanted[p]
                             : below(2) ? (p + 1) % PUPILS
                                        : (p + 3) % PUPILS,
                             attempt && wanted[p] == NOBODY);
                    assert_int_equal(one_apply(l, &o), 0);
                }
                if (!attempt) {
                    one_control(&o, below(PUPILS), DAY);
                    assert_int_equal(one_apply(l, &o), 0);
                    ledger_rollback(l);
                    assert_int_equal(ledger_digest(l), digest);
                    assert_fired(look_at_all(l), next, control);
                }
            }
            /* Whatever fires otherwise now stands under a subject that was touched. */
            struct fired before = expected(next, control), touched;
            struct subject *subjects;
            size_t count;
            memcpy(next, wanted, sizeof next);
            struct fired after = look_at_all(l);
            assert_int_equal(entities_touched(l, &subjects, &count), 0);
            touched = look(l, subjects, count);
            for (unsigned p = 0; p < PUPILS; p++)
                if (before.due[p] != after.due[p] || before.second[p] != after.second[p]) {
                    assert_int_equal(touched.due[p], after.due[p]);
                    assert_int_equal(touched.second[p], after.second[p]);
                }
            assert_fired(after, next, control);
            ledger_commit(l);
            graphs++;
        }
    assert_int_equal(graphs, 2500);
    for (unsigned p = 0; p < PUPILS; p++)
        assert_true(control[p]);
    ledger_free(&l);
}

/* Within a stream the later position stands, between streams the later moment, then the name; whatever came first. */
static void the_last_word(void **state)
{
    static const struct {
        uint32_t stream;
        int64_t time;
        unsigned new;
        bool withdraw;
    } words[] = {{1, 5, 1, false}, {1, 2, 2, false}, {2, 3, 3, false}, {2, 4, 1, true}, {3, 4, 2, false}};
    /* standing: huisonderwijs.0 at 2 -> 2, school.0 at 4 withdrawn, registration.0 at 4 -> 2; school sorts last: withdrawn */
    const unsigned none[PUPILS] = {NOBODY, NOBODY, NOBODY, NOBODY}, to2[PUPILS] = {2, NOBODY, NOBODY, NOBODY};
    const bool control[PUPILS] = {true, true, true, true};
    (void)state;
    for (int backwards = 0; backwards < 2; backwards++) {
        struct ledger *l = new_ledger();
        struct one o;
        for (unsigned p = 0; p < PUPILS; p++) {
            one_control(&o, p, DAY);
            assert_int_equal(one_apply(l, &o), 0);
        }
        for (uint32_t stream = 1; stream <= 3; stream++)
            for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (words[i].stream == (backwards ? 4 - stream : stream)) {
                    one_link(&o, words[i].stream, words[i].time, 0, words[i].new, words[i].withdraw);
                    assert_int_equal(one_apply(l, &o), 0);
                }
        assert_fired(look_at_all(l), none, control);
        one_link(&o, 3, 6, 0, 2, false);
        assert_int_equal(one_apply(l, &o), 0);
        assert_fired(look_at_all(l), to2, control);
        ledger_free(&l);
    }
}

/* Links of many pupils, in chains as years make them: memory and time stay in bounds, and nobody without controls becomes a
 * subject. */
static void many_links(void **state)
{
    struct ledger *l = new_ledger();
    struct one o;
    clock_t began = clock();
    (void)state;
    ledger_begin(l);
    for (unsigned year = 0; year < 3; year++)
        for (unsigned p = 0; p < 100000; p++) {
            one_link(&o, 1, 1, 1000 + year * 100000 + p, 1000 + (year + 1) * 100000 + p, false);
            assert_int_equal(one_apply(l, &o), 0);
            if (p % 5000 == 4999) {
                ledger_commit(l);
                ledger_begin(l);
            }
        }
    ledger_commit(l);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    size_t bytes = ledger_numbers(l).bytes;
    printf("300,000 links in %.2f s, %.1f bytes each\n", seconds, (double)bytes / 300000);
    assert_true(bytes < 300000 * 80);
    struct subject *subjects;
    size_t count;
    assert_int_equal(entities_all(l, &subjects, &count), 0);
    assert_int_equal(count, 0);
    free(subjects);
    ledger_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_graph),
        cmocka_unit_test(the_last_word),
        cmocka_unit_test(many_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
