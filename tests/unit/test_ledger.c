/* SPDX-License-Identifier: MIT
 *
 * links: workers/ledger.o workers/ledger_pupils.o workers/ledger_links.o workers/ledger_schools.o workers/ledger_history.o
 * links: workers/fixed.o workers/risk.o workers/budget.o
 * links: workers/allocation.o workers/event_batch.o workers/event_table.o workers/exact.o
 * links: workers/entities.o workers/ledger_incidents.o workers/derive.o workers/evaluation.o workers/huisonderwijs.o workers/melding.o
 * links: workers/alert.o workers/alert_subject.o workers/alert_risk.o daemon/err.o
 *
 * The ledger against a model that keeps every last event in plain arrays and counts from scratch, and the
 * properties the ledger promises: undo is exact, order between streams and schools does not matter, withdraw
 * undoes upsert, resends. The rules here are the test's own: one set of numbers for every year and a teldag
 * the test can move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/ledger_feed.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* --- memory that runs out
 * ----------------------------------------------------------------------------------- */

#if !SANITIZED
static long allocations_left = -1; /* -1: no limit */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
static bool refuse(void)
{
    return allocations_left >= 0 && (allocations_left == 0 || allocations_left-- == 0);
}
void *malloc(size_t size)
{
    return refuse() ? NULL : __libc_malloc(size);
}
void *calloc(size_t n, size_t size)
{
    return refuse() ? NULL : __libc_calloc(n, size);
}
void *realloc(void *p, size_t size)
{
    return refuse() ? NULL : __libc_realloc(p, size);
}
#endif

/* --- the test's rules
 * --------------------------------------------------------------------------------------- */

struct rules_set {
    int teldag_month; /* on the first of this month of count year + 1 */
};
static struct rules_set february = {2}, march = {3};

static int32_t teldag_of(const struct rules_set *set, int count_year)
{
    return date_from_ymd(count_year + 1, set->teldag_month, 1);
}

const struct rules *rules_for_year(const struct rules_set *set, int year_of_use)
{
    static struct rules rules[8];
    static int next;
    struct rules *r = rules + next++ % 8;
    *r = (struct rules){
        .year = year_of_use, .teldag = teldag_of(set, year_of_use - 1), .minimum_on_rounded = true};
    for (int i = 0; i < IND_BUURT; i++)
        r->so_weight[i] = exact_from_int(1);
    r->so_cap = exact_from_int(1);
    r->so_brussels_factor = r->so_concentration_factor = exact_from_int(1);
    r->so_concentration_share = exact_from_int(1);
    for (int g = 0; g < GROUP_COUNT; g++) {
        r->so_threshold[g] = (struct exact){.units = 5, .scale = 1};
        r->so_value[g] = exact_from_int(6);
    }
    r->so_minimum = 6;
    r->gedoog_covers_threshold = true;
    return r;
}

/* No text of a rules set is asked of these rules: the ledger's rows need the numbers only. */
const struct parameter *rules_find(const struct rules_set *set, int year_of_use, const char *name)
{
    (void)set, (void)year_of_use, (void)name;
    return NULL;
}
struct rules_near rules_near(const struct rules_set *set)
{
    (void)set;
    return (struct rules_near){3, 1};
}
const char *rules_hash(const struct rules_set *set)
{
    (void)set;
    return "";
}

/* --- the model
 * ---------------------------------------------------------------------------------------------- */

#define STREAMS 3
#define SCHOOLS 4 /* numbered 1.. */
#define YEARS   2
#define YEAR0   2023
#define PUPILS  5
#define LOG_MAX 4096
static const char *const stream_names[STREAMS] = {"registration.1", "registration.0", "registration.10"};

struct model_entry {
    bool there, withdrawn;
    struct registration r;
    int64_t time_us;
    int rank;
};
struct model_slot {
    bool there, closed;
    int32_t announced; /* -1 */
    int rank;
};
struct model_school {
    bool there, withdrawn;
    int64_t time_us;
    enum level level;
};
struct model {
    struct model_entry entries[STREAMS][YEARS][SCHOOLS][PUPILS];
    struct model_slot slots[STREAMS][YEARS][SCHOOLS];
    struct model_school schools[STREAMS][SCHOOLS];
    uint64_t resends[STREAMS][64];
    int resend_count[STREAMS];
    const struct rules_set *rules;
};

static void model_init(struct model *m, const struct rules_set *rules)
{
    memset(m, 0, sizeof *m);
    m->rules = rules;
    for (int s = 0; s < STREAMS; s++)
        for (int y = 0; y < YEARS; y++)
            for (int c = 0; c < SCHOOLS; c++)
                m->slots[s][y][c].announced = -1;
}

static int model_rank(const struct model *m, int stream, uint64_t epoch)
{
    int rank = 0;
    for (int i = 0; i < m->resend_count[stream]; i++)
        rank += m->resends[stream][i] <= epoch;
    return rank;
}

static int model_held(const struct model *m, int s, int y, int c, int rank)
{
    int held = 0;
    for (int p = 0; p < PUPILS; p++) {
        const struct model_entry *e = &m->entries[s][y][c][p];
        held += e->there && !e->withdrawn && e->rank >= rank;
    }
    return held;
}

/* Applies an event to the model. Streams are numbered 100 + index. */
static void model_apply(struct model *m, const struct one *o)
{
    int s = (int)o->batch.stream_id - 100;
    if (o->event.type == EVENT_SCHOOL_UPSERT || o->event.type == EVENT_SCHOOL_WITHDRAW) {
        struct model_school *school = &m->schools[s][o->values[SCHOOL_ID].num - 1];
        *school = (struct model_school){.there = true,
                                        .withdrawn = o->event.type == EVENT_SCHOOL_WITHDRAW,
                                        .time_us = o->event.time_us,
                                        .level = (enum level)o->values[SCHOOL_LEVEL].num};
        return;
    }
    int y = (int)o->values[REG_YEAR].num - YEAR0, c = (int)o->values[REG_SCHOOL_ID].num - 1;
    struct model_slot *slot = &m->slots[s][y][c];
    int rank = model_rank(m, s, o->batch.epoch);
    if (rank > slot->rank) {
        slot->rank = rank;
        slot->announced = -1;
    }
    slot->there = true;
    if (o->event.type == EVENT_REGISTRATION_CLOSED) {
        slot->announced = (int32_t)o->values[REG_PUPILS].num;
        if (slot->announced != model_held(m, s, y, c, slot->rank))
            return;
        slot->closed = true;
        for (int p = 0; p < PUPILS; p++)
            if (m->entries[s][y][c][p].rank < slot->rank)
                m->entries[s][y][c][p].withdrawn = true;
        return;
    }
    int p = o->values[REG_PUPIL].pupil[15];
    struct model_entry *e = &m->entries[s][y][c][p];
    *e = (struct model_entry){.there = true,
                              .withdrawn = o->event.type == EVENT_REGISTRATION_WITHDRAW,
                              .time_us = o->event.time_us,
                              .rank = rank};
    if (e->withdrawn)
        return;
    e->r.group = (enum group)o->values[REG_GROUP].num;
    e->r.irregular = !o->values[REG_REGULAR].num;
    e->r.half = o->values[REG_WEIGHT].num == 1;
    e->r.from = event_is_null(&o->event, REG_FROM) ? INT32_MIN : (int32_t)o->values[REG_FROM].num;
    e->r.until = event_is_null(&o->event, REG_UNTIL) ? INT32_MAX : (int32_t)o->values[REG_UNTIL].num;
    e->r.indicators = (unsigned)o->values[REG_INDICATORS].num;
    if (e->r.indicators & (1u << IND_THUISLOOS | 1u << IND_TREKKEND))
        e->r.indicators |= 1u << IND_BUURT;
}

static bool later(int64_t a_us, int a, int64_t b_us, int b)
{
    return a_us > b_us || (a_us == b_us && strcmp(stream_names[a], stream_names[b]) > 0);
}

static const struct model_entry *model_winner(const struct model *m, int y, int c, int p)
{
    int best = -1;
    for (int s = 0; s < STREAMS; s++) {
        if (!m->entries[s][y][c][p].there)
            continue;
        if (best < 0 || later(m->entries[s][y][c][p].time_us, s, m->entries[best][y][c][p].time_us, best))
            best = s;
    }
    return best < 0 || m->entries[best][y][c][p].withdrawn ? NULL : &m->entries[best][y][c][p];
}

static const struct model_school *model_school(const struct model *m, int c)
{
    int best = -1;
    for (int s = 0; s < STREAMS; s++)
        if (m->schools[s][c].there &&
            (best < 0 || later(m->schools[s][c].time_us, s, m->schools[best][c].time_us, best)))
            best = s;
    return best < 0 || m->schools[best][c].withdrawn ? NULL : &m->schools[best][c];
}

static int model_halves(const struct model *m, int y, int c, int p)
{
    const struct model_entry *e = model_winner(m, y, c, p);
    int32_t teldag = teldag_of(m->rules, YEAR0 + y);
    if (!e || e->r.irregular || e->r.from > teldag || teldag >= e->r.until)
        return 0;
    return e->r.half ? 1 : 2;
}

static bool model_closed(const struct model *m, int y, int c)
{
    bool closed = false;
    for (int s = 0; s < STREAMS; s++)
        closed |= m->slots[s][y][c].closed;
    return closed;
}

struct doubles {
    struct alert_double d[PUPILS + 1];
    int pupil[PUPILS + 1];
    int n;
};

static void take_double(void *context, const struct alert_double *d)
{
    struct doubles *all = context;
    assert_true(all->n < PUPILS);
    all->d[all->n] = *d;
    assert_int_equal(strlen(d->pupil_hex), 32);
    all->pupil[all->n++] = (int)strtol(d->pupil_hex + 30, NULL, 16);
}

static void compare_doubles(const struct model *m, const struct ledger *l, int y, int c)
{
    struct doubles got = {.n = 0};
    ledger_doubles(l, (uint32_t)c + 1, YEAR0 + y, take_double, &got);
    int expected = 0;
    for (int p = 0; p < PUPILS; p++) {
        int schools = 0, halves = 0, other = 0;
        for (int k = 0; k < SCHOOLS; k++) {
            if (!model_halves(m, y, k, p) || !model_closed(m, y, k))
                continue;
            schools++;
            halves += model_halves(m, y, k, p);
            if (k != c && !other)
                other = k + 1;
        }
        if (!model_halves(m, y, c, p) || !model_closed(m, y, c) || schools < 2 || halves <= 2)
            continue;
        expected++;
        int i = 0;
        while (i < got.n && got.pupil[i] != p)
            i++;
        assert_true(i < got.n);
        assert_int_equal(got.d[i].schools, schools);
        assert_int_equal(got.d[i].weight_halves, halves);
        assert_int_equal(got.d[i].other_school_id, other);
        assert_int_equal(got.d[i].school_id, c + 1);
        assert_int_equal(got.d[i].count_year, YEAR0 + y);
    }
    assert_int_equal(got.n, expected);
}

static void compare_closed(const struct model *m, const struct ledger *l, int y, int c)
{
    struct ledger_closed got = ledger_closed(l, (uint32_t)c + 1, YEAR0 + y);
    bool differs = false, announced_any = false;
    for (int s = 0; s < STREAMS; s++) {
        const struct model_slot *slot = &m->slots[s][y][c];
        bool now = slot->announced >= 0 && slot->rank == m->resend_count[s];
        announced_any |= now || slot->closed;
        differs |= now && slot->announced != model_held(m, s, y, c, slot->rank);
    }
    assert_int_equal(got.closed, model_closed(m, y, c));
    assert_int_equal(got.differs, differs);
    assert_int_equal(got.announced_any, announced_any);
    if (differs) {
        bool matches = false;
        for (int s = 0; s < STREAMS; s++)
            matches |= got.announced == m->slots[s][y][c].announced &&
                       got.held == model_held(m, s, y, c, m->slots[s][y][c].rank);
        assert_true(matches);
    }
}

static void compare_model(const struct model *m, const struct ledger *l)
{
    uint64_t live = 0, unmatched = 0, rows = 0, schools = 0;
    for (int c = 0; c < SCHOOLS; c++) {
        const struct model_school *school = model_school(m, c);
        schools += school != NULL;
        assert_int_equal(ledger_school(l, (uint32_t)c + 1).known, school != NULL);
        if (school)
            assert_int_equal(ledger_school(l, (uint32_t)c + 1).level, school->level);
        for (int y = 0; y < YEARS; y++) {
            struct group_cells cells[GROUP_COUNT] = {{{0}}};
            uint32_t here = 0;
            for (int p = 0; p < PUPILS; p++) {
                const struct model_entry *e = model_winner(m, y, c, p);
                if (!e)
                    continue;
                here++;
                unmatched += !school || !group_fits_level(e->r.group, school->level);
                cells[e->r.group].halves[e->r.indicators] += model_halves(m, y, c, p);
            }
            live += here;
            for (int g = 0; g < GROUP_COUNT; g++) {
                struct group_counts counts;
                group_count(cells + g, &counts);
                rows += counts.pupils > 0;
            }
            const struct group_cells *got = ledger_cells(l, (uint32_t)c + 1, YEAR0 + y);
            assert_int_equal(got != NULL, here > 0);
            if (got)
                assert_memory_equal(got, cells, sizeof cells);
            compare_closed(m, l, y, c);
            compare_doubles(m, l, y, c);
        }
    }
    struct ledger_numbers n = ledger_numbers(l);
    assert_int_equal(n.live, live);
    assert_int_equal(n.unmatched, unmatched);
    assert_int_equal(n.counts, rows);
    assert_int_equal(n.schools, schools);
}

/* --- random events
 * ------------------------------------------------------------------------------------------ */

static struct ledger *new_ledger(const struct rules_set *rules)
{
    struct ledger *l = ledger_new();
    assert_non_null(l);
    for (int s = 0; s < STREAMS; s++)
        assert_int_equal(ledger_add_stream(l, 100 + (uint32_t)s, stream_names[s]), 0);
    assert_int_equal(ledger_set_rules(l, rules), 0);
    return l;
}

/* A date around both teldagen, exactly on them at times. */
static int32_t random_date(int year)
{
    if (random_below(2))
        return 0;
    return date_from_ymd(year + 1, 1 + (int)random_below(4), 1) +
           (random_below(2) ? 0 : (int)random_below(30));
}

static void random_registration(struct one *o, uint32_t stream, uint64_t epoch)
{
    struct registration r = {.school = 1 + random_below(SCHOOLS),
                             .year = YEAR0 + (int)random_below(YEARS),
                             .pupil = random_below(PUPILS),
                             .group = random_below(GROUP_COUNT),
                             .irregular = random_below(6) == 0,
                             .half = random_below(3) == 0,
                             .indicators = random_below(IND_CELLS)};
    r.from = random_date(r.year);
    r.until = random_date(r.year);
    int64_t time_us = random_below(40); /* few values: ties between streams are common */
    if (random_below(5) == 0)
        one_withdraw(o, stream, epoch, time_us, r.school, r.year, r.pupil);
    else
        one_upsert(o, stream, epoch, time_us, &r);
}

static void random_event(struct one *o, const struct model *m, const uint64_t epochs[STREAMS])
{
    uint32_t s = random_below(STREAMS);
    uint32_t school = 1 + random_below(SCHOOLS), kind = random_below(20);
    int y = (int)random_below(YEARS);
    uint64_t epoch = epochs[s];
    if (kind < 2) {
        one_school(o, 100 + s, random_below(40), school, random_below(4), 0,
                   random_below(2) ? 1 + random_below(SCHOOLS) : 0);
        if (kind == 1 && random_below(2))
            o->event.type = EVENT_SCHOOL_WITHDRAW;
    } else if (kind < 7) {
        int held = model_held(m, (int)s, y, (int)school - 1, model_rank(m, (int)s, epoch));
        one_closed(o, 100 + s, epoch, school, YEAR0 + y,
                   random_below(3) ? held : (int32_t)random_below(PUPILS));
    } else {
        random_registration(o, 100 + s, epoch);
    }
}

/* Random batches, some rolled back: after each the ledger equals the model, and an undone batch left nothing.
 * Operators accept new epochs, with and without resend; at times another rules set comes. */
static void test_equals_model(void **state)
{
    (void)state;
    uint64_t seed = random_seed("equals model");
    for (int round = 0; round < (SANITIZED ? 40 : 150); round++) {
        random_state = seed + (uint64_t)round * 1000003;
        static struct model m, before;
        model_init(&m, &february);
        struct ledger *l = new_ledger(&february);
        uint64_t epochs[STREAMS] = {1, 1, 1}, epochs_before[STREAMS];
        for (int batch = 0; batch < 25; batch++) {
            uint64_t digest = ledger_digest(l);
            before = m;
            memcpy(epochs_before, epochs, sizeof epochs);
            ledger_begin(l);
            for (uint32_t n = random_below(30); n > 0; n--) {
                struct one o;
                if (random_below(50) == 0) {
                    uint32_t s = random_below(STREAMS);
                    bool resend = random_below(2);
                    assert_int_equal(ledger_accept_epoch(l, 100 + s, ++epochs[s], resend), 0);
                    if (resend)
                        m.resends[s][m.resend_count[s]++] = epochs[s];
                }
                random_event(&o, &m, epochs);
                assert_int_equal(one_apply(l, &o), 0);
                model_apply(&m, &o);
            }
            compare_model(&m, l);
            if (random_below(3) == 0) {
                ledger_rollback(l);
                assert_int_equal(ledger_digest(l), digest);
                m = before;
                memcpy(epochs, epochs_before, sizeof epochs);
                compare_model(&m, l);
            } else {
                ledger_commit(l);
            }
            if (random_below(20) == 0) {
                m.rules = m.rules == &february ? &march : &february;
                assert_int_equal(ledger_set_rules(l, m.rules), 0);
                compare_model(&m, l);
            }
        }
        ledger_free(&l);
        assert_null(l);
    }
}

/* --- order
 * -------------------------------------------------------------------------------------------------- */

static struct one log_events[LOG_MAX];

/* Events of one stream about one school keep their order; all else is shuffled. */
static void test_order_between_streams_and_schools(void **state)
{
    (void)state;
    random_seed("order");
    for (int round = 0; round < 60; round++) {
        static struct model m;
        model_init(&m, &february);
        uint64_t epochs[STREAMS] = {1, 1, 1};
        struct ledger *straight = new_ledger(&february), *mixed = new_ledger(&march);
        int n = 50 + (int)random_below(150);
        static bool done[LOG_MAX];
        memset(done, 0, sizeof done);
        for (int i = 0; i < n; i++) {
            random_event(log_events + i, &m, epochs);
            model_apply(&m, log_events + i);
            assert_int_equal(one_apply(straight, log_events + i), 0);
        }
        for (int left = n; left > 0; left--) {
            uint32_t s = 0;
            int64_t school = 0;
            int i;
            do { /* any stream and school with events left: its oldest */
                i = (int)random_below((uint32_t)n);
                s = log_events[i].batch.stream_id;
                school = log_events[i].values[0].num;
                for (i = 0; i < n; i++)
                    if (!done[i] && log_events[i].batch.stream_id == s &&
                        log_events[i].values[0].num == school)
                        break;
            } while (i == n);
            done[i] = true;
            assert_int_equal(one_apply(mixed, log_events + i), 0);
        }
        assert_int_equal(ledger_set_rules(mixed, &february), 0);
        assert_int_equal(ledger_digest(straight), ledger_digest(mixed));
        compare_model(&m, mixed);
        assert_int_equal(one_apply(mixed, log_events + n - 1), 0); /* the last event again changes nothing */
        assert_int_equal(ledger_digest(straight), ledger_digest(mixed));
        ledger_free(&straight);
        ledger_free(&mixed);
    }
}

/* A rebuild knows all epochs before it reads a log; it ends where the daemon that lived through them stood.
 */
static void test_rebuild_knows_epochs_first(void **state)
{
    (void)state;
    random_seed("epochs");
    for (int round = 0; round < 60; round++) {
        static struct model m;
        model_init(&m, &february);
        uint64_t epochs[STREAMS] = {5, 5, 5};
        struct ledger *lived = new_ledger(&february), *rebuilt = new_ledger(&february);
        int n = 200;
        for (int i = 0; i < n; i++) {
            if (random_below(40) == 0) {
                uint32_t s = random_below(STREAMS);
                bool resend = random_below(2);
                epochs[s] += 7;
                assert_int_equal(ledger_accept_epoch(lived, 100 + s, epochs[s], resend), 0);
                assert_int_equal(ledger_accept_epoch(rebuilt, 100 + s, epochs[s], resend), 0);
                if (resend)
                    m.resends[s][m.resend_count[s]++] = epochs[s];
            }
            random_event(log_events + i, &m, epochs);
            model_apply(&m, log_events + i);
            assert_int_equal(one_apply(lived, log_events + i), 0);
        }
        for (int i = 0; i < n; i++)
            assert_int_equal(one_apply(rebuilt, log_events + i), 0);
        assert_int_equal(ledger_digest(lived), ledger_digest(rebuilt));
        compare_model(&m, rebuilt);
        ledger_free(&lived);
        ledger_free(&rebuilt);
    }
}

static void test_withdraw_undoes_upsert(void **state)
{
    (void)state;
    random_seed("withdraw");
    for (int round = 0; round < 200; round++) {
        struct ledger *l = new_ledger(&february);
        struct one o;
        for (int i = 0; i < 20; i++) {
            do
                random_registration(&o, 100, 1);
            while (o.values[REG_PUPIL].pupil[15] == 0);
            assert_int_equal(one_apply(l, &o), 0);
        }
        static struct group_cells before[SCHOOLS][GROUP_COUNT];
        memset(before, 0, sizeof before);
        for (uint32_t c = 0; c < SCHOOLS; c++)
            if (ledger_cells(l, c + 1, YEAR0))
                memcpy(before[c], ledger_cells(l, c + 1, YEAR0), sizeof before[c]);
        struct ledger_numbers n = ledger_numbers(l);
        struct registration r = {.school = 1 + random_below(SCHOOLS),
                                 .year = YEAR0,
                                 .pupil = 0,
                                 .group = random_below(GROUP_COUNT),
                                 .indicators = random_below(IND_CELLS)};
        one_upsert(&o, 101, 1, 50, &r);
        assert_int_equal(one_apply(l, &o), 0);
        assert_int_equal(ledger_numbers(l).live, n.live + 1);
        assert_non_null(ledger_cells(l, r.school, YEAR0));
        assert_memory_not_equal(ledger_cells(l, r.school, YEAR0), before[r.school - 1], sizeof before[0]);
        one_withdraw(&o, 101, 1, 51, r.school, r.year, r.pupil);
        assert_int_equal(one_apply(l, &o), 0);
        for (uint32_t c = 0; c < SCHOOLS; c++) {
            const struct group_cells *after = ledger_cells(l, c + 1, YEAR0);
            static const struct group_cells none[GROUP_COUNT];
            assert_memory_equal(after ? after : none, before[c], sizeof before[c]);
        }
        assert_int_equal(ledger_numbers(l).live, n.live);
        assert_int_equal(ledger_numbers(l).unmatched, n.unmatched);
        ledger_free(&l);
    }
}

/* --- closed, resend and continue, spelled out
 * --------------------------------------------------------------- */

static void upsert(struct ledger *l, uint64_t epoch, unsigned pupil)
{
    struct one o;
    struct registration r = {.school = 1, .year = YEAR0, .pupil = pupil, .group = GROUP_LAGER};
    one_upsert(&o, 100, epoch, 1, &r);
    assert_int_equal(one_apply(l, &o), 0);
}

static void announce(struct ledger *l, uint64_t epoch, int32_t pupils)
{
    struct one o;
    one_closed(&o, 100, epoch, 1, YEAR0, pupils);
    assert_int_equal(one_apply(l, &o), 0);
}

static void assert_closed(const struct ledger *l, bool closed, int32_t held, int32_t announced, bool differs)
{
    struct ledger_closed got = ledger_closed(l, 1, YEAR0);
    assert_int_equal(got.closed, closed);
    assert_int_equal(got.held, held);
    assert_int_equal(got.announced, announced);
    assert_int_equal(got.differs, differs);
}

static void test_closed(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(&february);
    assert_false(ledger_closed(l, 1, YEAR0).any);
    announce(l, 1, 2);
    assert_closed(l, false, 0, 2, true);
    upsert(l, 1, 1);
    upsert(l, 1, 2);
    assert_closed(l, false, 2, 2, false); /* equal now, but not at the position of the closed */
    announce(l, 1, 2);
    assert_closed(l, true, 2, 2, false);
    upsert(l, 1, 3);
    assert_closed(l, true, 3, 2, true);
    announce(l, 1, 7);
    assert_closed(l, true, 3, 7, true); /* stays closed */
    ledger_free(&l);
}

static void test_resend(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(&february);
    for (unsigned p = 1; p <= 3; p++)
        upsert(l, 1, p);
    announce(l, 1, 4);
    assert_closed(l, false, 3, 4, true);
    ledger_begin(l);
    assert_int_equal(ledger_accept_epoch(l, 100, 9, true), 0);
    const struct ledger_key *keys;
    assert_int_equal(ledger_touched(l, &keys), 1); /* its count.incomplete ends */
    assert_int_equal(keys[0].school_id, 1);
    ledger_commit(l);
    assert_closed(l, false, 3, -1, false);
    upsert(l, 9, 2);
    announce(l, 9, 2);
    assert_closed(l, false, 1, 2, true); /* one sent again: three would not match either */
    assert_int_equal(ledger_numbers(l).live, 3);
    upsert(l, 9, 5);
    announce(l, 9, 2);
    assert_closed(l, true, 2, 2, false);
    assert_int_equal(ledger_numbers(l).live, 2);               /* pupils 1 and 3 were not sent again */
    assert_int_equal(ledger_accept_epoch(l, 100, 9, true), 0); /* told twice */
    assert_int_equal(ledger_accept_epoch(l, 100, 8, true), ERR_INVALID);
    assert_int_equal(ledger_accept_epoch(l, 999, 8, true), ERR_MISSING);
    ledger_free(&l);

    l = new_ledger(&february);
    upsert(l, 1, 1);
    announce(l, 1, 2);
    assert_int_equal(ledger_accept_epoch(l, 100, 9, false), 0);
    assert_closed(l, false, 1, 2, true);
    upsert(l, 9, 2);
    announce(l, 9, 2);
    assert_closed(l, true, 2, 2, false);
    ledger_free(&l);
}

/* --- history
 * ------------------------------------------------------------------------------------------------ */

/* n pupils of whom g on an indicator, in graad1 of an so school. The rules: half of them, and 6 hours each.
 */
static void fill(struct ledger *l, uint32_t school, int count_year, unsigned n, unsigned g)
{
    for (unsigned p = 0; p < n; p++) {
        struct one o;
        struct registration r = {.school = school,
                                 .year = count_year,
                                 .pupil = school * 100 + p,
                                 .group = GROUP_GRAAD1,
                                 .indicators = p < g ? 1u << IND_OPLEIDING_MOEDER : 0};
        one_upsert(&o, 100, 1, 1, &r);
        assert_int_equal(one_apply(l, &o), 0);
    }
}

static void school(struct ledger *l, int64_t time_us, uint32_t id, int32_t closed_on, uint32_t successor)
{
    struct one o;
    one_school(&o, 101, time_us, id, LEVEL_SO, closed_on, successor);
    assert_int_equal(one_apply(l, &o), 0);
}

static void known(struct ledger *l, uint32_t id, int year, enum status status)
{
    struct one o;
    one_entitlement(&o, 101, 1, id, STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1, year, status);
    assert_int_equal(one_apply(l, &o), 0);
}

static void assert_status(const struct ledger *l, uint32_t id, int year, enum status status,
                          uint32_t previous_school, bool official)
{
    struct allocation rows[3];
    assert_int_equal(ledger_allocations(l, id, year, rows), 1);
    assert_int_equal(rows[0].status, status);
    assert_int_equal(rows[0].previous_known, previous_school != 0);
    if (previous_school) {
        assert_int_equal(rows[0].previous_school, previous_school);
        assert_int_equal(rows[0].previous_official, official);
    }
}

static void test_history_computed(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(&february);
    struct allocation rows[3];
    fill(l, 1, 2020, 4, 2);
    assert_int_equal(ledger_allocations(l, 1, 2021, rows), 0); /* unknown school */
    school(l, 1, 1, 0, 0);
    for (int y = 2021; y <= 2023; y++)
        fill(l, 1, y, 4, 1);
    assert_status(l, 1, 2021, STATUS_GRANTED, 0, false);
    assert_status(l, 1, 2022, STATUS_GRACE, 1, false);
    assert_status(l, 1, 2023, STATUS_BELOW_THRESHOLD, 1, false); /* no grace after grace */
    assert_int_equal(ledger_allocations(l, 1, 2023, rows), 1);
    assert_int_equal(rows[0].previous, STATUS_GRACE); /* or threshold.lost would not fire */
    assert_status(l, 1, 2024, STATUS_BELOW_THRESHOLD, 1, false);
    known(l, 1, 2021, STATUS_BELOW_THRESHOLD); /* computed goes before official */
    assert_status(l, 1, 2022, STATUS_GRACE, 1, false);
    ledger_free(&l);

    l = new_ledger(&february);
    school(l, 1, 1, 0, 0);
    fill(l, 1, 2021, 4, 1);
    assert_status(l, 1, 2022, STATUS_BELOW_THRESHOLD, 0, false);
    known(l, 1, 2021, STATUS_GRANTED);
    assert_status(l, 1, 2022, STATUS_GRACE, 1, true);
    known(l, 1, 2021, STATUS_GRACE);
    assert_status(l, 1, 2022, STATUS_BELOW_THRESHOLD, 1, true);
    ledger_free(&l);
}

static void test_history_inherited(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(&february);
    struct allocation rows[3];
    /* 1 -> 2 -> 3 and 4 -> 3; school 2 never had pupils, school 5 inherits nothing. */
    school(l, 1, 1, date_from_ymd(2022, 8, 31), 2);
    school(l, 1, 2, 0, 3);
    school(l, 1, 3, 0, 0);
    school(l, 1, 5, 0, 0);
    fill(l, 1, 2020, 4, 2);
    fill(l, 3, 2021, 4, 1);
    fill(l, 5, 2021, 4, 1);
    assert_status(l, 3, 2022, STATUS_GRACE, 1, false);
    assert_status(l, 5, 2022, STATUS_BELOW_THRESHOLD, 0, false);
    fill(l, 1, 2021, 4, 1);
    fill(l, 3, 2022, 4, 1);
    assert_status(l, 3, 2023, STATUS_BELOW_THRESHOLD, 3, false);
    assert_int_equal(ledger_allocations(l, 3, 2023, rows), 1);
    assert_int_equal(rows[0].previous, STATUS_GRACE);
    fill(l, 4, 2020, 4, 1);
    school(l, 1, 4, 0, 3);
    assert_status(l, 3, 2022, STATUS_GRACE, 1, false); /* a granted predecessor before one that was not */
    fill(l, 2, 2020, 4, 1);
    assert_status(l, 3, 2022, STATUS_BELOW_THRESHOLD, 2,
                  false); /* 2 has a history of its own now: 1 is not asked */
    assert_int_equal(ledger_allocations(l, 1, 2022, rows), 0); /* closed before 1 September */
    school(l, 2, 4, 0, 0);
    school(l, 2, 2, 0, 0);
    assert_status(l, 3, 2022, STATUS_BELOW_THRESHOLD, 0, false);
    ledger_free(&l);
}

/* A predecessor's gedoogjaar is inherited as what it was: no grace after it. */
static void test_history_inherits_grace(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(&february);
    struct allocation rows[3];
    school(l, 1, 1, 0, 2);
    school(l, 1, 2, 0, 0);
    fill(l, 1, 2019, 4, 2);
    fill(l, 1, 2020, 4, 1);
    fill(l, 2, 2021, 4, 1);
    assert_status(l, 1, 2021, STATUS_GRACE, 1, false);
    assert_status(l, 2, 2022, STATUS_BELOW_THRESHOLD, 1, false);
    assert_int_equal(ledger_allocations(l, 2, 2022, rows), 1);
    assert_int_equal(rows[0].previous, STATUS_GRACE);
    ledger_free(&l);
}

static void test_history_circle(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(&february);
    school(l, 1, 1, 0, 2);
    school(l, 1, 2, 0, 3);
    school(l, 1, 3, 0, 1);
    school(l, 1, 4, 0, 4);
    school(l, 1, 5, 0, 1); /* leads into the circle */
    fill(l, 1, 2021, 4, 1);
    fill(l, 4, 2021, 4, 1);
    assert_status(l, 1, 2022, STATUS_BELOW_THRESHOLD, 0, false);
    assert_status(l, 4, 2022, STATUS_BELOW_THRESHOLD, 0, false);
    known(l, 2, 2021, STATUS_GRANTED);
    assert_status(l, 1, 2022, STATUS_GRACE, 2, true);
    known(l, 5, 2021, STATUS_GRANTED);
    assert_status(l, 1, 2022, STATUS_GRACE, 2, true);
    school(l, 2, 2, 0, 0);
    assert_status(l, 1, 2022, STATUS_GRACE, 5, true);
    ledger_free(&l);
}

/* --- touched
 * ------------------------------------------------------------------------------------------------ */

static void assert_touched(struct ledger *l, const char *expected)
{
    const struct ledger_key *keys;
    size_t n = ledger_touched(l, &keys);
    char text[256] = "";
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u/%d", i ? " " : "", keys[i].school_id,
                 keys[i].year);
    assert_string_equal(text, expected);
}

static void test_touched(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(&february);
    struct one o;
    ledger_begin(l);
    fill(l, 2, 2022, 2, 1);
    fill(l, 1, 2021, 2, 1);
    assert_touched(l, "1/2021 2/2022");
    ledger_commit(l);
    assert_touched(l, "");
    ledger_begin(l); /* a school touches its years and those of its successors, of before and after */
    school(l, 1, 1, 0, 2);
    assert_touched(l, "1/2021 2/2022");
    ledger_commit(l);
    ledger_begin(l);
    school(l, 2, 1, 0, 0);
    assert_touched(l, "1/2021 2/2022");
    ledger_rollback(l);
    assert_int_equal(ledger_school(l, 1).successor_id, 2);
    ledger_begin(l);
    known(l, 1, 2020, STATUS_GRANTED);
    assert_touched(l, "1/2019");
    ledger_commit(l);

    /* A double: registering and closing at one school touch the other. */
    struct registration r = {.school = 7, .year = 2021, .pupil = 9, .group = GROUP_LAGER};
    one_upsert(&o, 100, 1, 1, &r);
    assert_int_equal(one_apply(l, &o), 0);
    ledger_begin(l);
    r.school = 8;
    one_upsert(&o, 100, 1, 1, &r);
    assert_int_equal(one_apply(l, &o), 0);
    assert_touched(l, "7/2021 8/2021");
    ledger_commit(l);
    ledger_begin(l);
    one_closed(&o, 100, 1, 7, 2021, 1);
    assert_int_equal(one_apply(l, &o), 0);
    assert_touched(l, "7/2021 8/2021");
    ledger_commit(l);
    ledger_begin(l);
    r.irregular = true;
    one_upsert(&o, 100, 1, 1, &r);
    assert_int_equal(one_apply(l, &o), 0);
    assert_touched(l, "7/2021 8/2021");
    ledger_commit(l);
    struct ledger_key *all;
    assert_int_equal(ledger_all(l, &all), 4);
    assert_int_equal(all[0].school_id, 1);
    assert_int_equal(all[3].school_id, 8);
    free(all);
    ledger_free(&l);
}

/* What no decoder lets through must not hurt either. */
static void test_odd_input(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(&february);
    struct one o;
    struct registration r = {.school = 1, .year = 1066};
    one_upsert(&o, 100, 1, 1, &r);
    assert_int_equal(one_apply(l, &o), ERR_RANGE);
    r = (struct registration){.school = 1, .year = YEAR0, .from = -9999999, .until = 9999999};
    one_upsert(&o, 100, 1, 1, &r);
    assert_int_equal(one_apply(l, &o), 0);
    assert_int_equal(ledger_cells(l, 1, YEAR0)[0].halves[0], 2);
    one_upsert(&o, 555, 1, 1, &r);
    assert_int_equal(one_apply(l, &o), ERR_MISSING);
    one_init(&o, 100, 1, 1, EVENT_DEAD);
    assert_int_equal(one_apply(l, &o), 0);
    assert_int_equal(ledger_add_stream(l, 100, stream_names[0]), 0);
    assert_int_equal(ledger_add_stream(l, 100, "another"), ERR_EXISTS);
    r = (struct registration){
        .school = 2, .year = YEAR0, .from = date_from_ymd(1900, 1, 1), .until = date_from_ymd(2099, 12, 31)};
    one_upsert(&o, 100, 1, 1, &r);
    assert_int_equal(one_apply(l, &o), 0);
    assert_int_equal(ledger_cells(l, 2, YEAR0)[0].halves[0], 2);
    r.from = 1; /* 1970-01-02 */
    r.until = teldag_of(&february, YEAR0);
    one_upsert(&o, 100, 1, 1, &r);
    assert_int_equal(one_apply(l, &o), 0);
    assert_int_equal(ledger_cells(l, 2, YEAR0)[0].halves[0], 0);
    ledger_free(&l);
}

/* --- memory and speed
 * --------------------------------------------------------------------------------------- */

#if !SANITIZED
/* Memory runs out at every possible moment: the batch is undone and nothing of it is left. */
static void test_out_of_memory(void **state)
{
    (void)state;
    random_seed("out of memory");
    static struct model m;
    uint64_t epochs[STREAMS] = {1, 1, 1};
    for (long limit = 0, failed = 1; failed; limit++) {
        struct ledger *l = new_ledger(&february);
        model_init(&m, &february);
        for (int i = 0; i < 30; i++) {
            random_event(log_events + i, &m, epochs);
            assert_int_equal(one_apply(l, log_events + i), 0);
            model_apply(&m, log_events + i);
        }
        uint64_t digest = ledger_digest(l);
        failed = 0;
        ledger_begin(l);
        allocations_left = limit;
        for (uint32_t i = 0; i < 3000 && !failed; i++) {
            struct one o;
            struct registration r = {.school = i / 10, .year = YEAR0, .pupil = i, .group = i % GROUP_COUNT};
            if (i % 7 == 0)
                one_school(&o, 100 + i % 3, i, i / 10, LEVEL_SO, 0, i / 9);
            else if (i % 7 == 1)
                one_entitlement(&o, 100 + i % 3, i, i, STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1, YEAR0,
                                STATUS_GRANTED);
            else if (i % 7 == 2)
                one_closed(&o, 100, 1, i / 10, YEAR0, (int32_t)i % 5);
            else
                one_upsert(&o, 100, 1, 1, &r);
            failed = one_apply(l, &o) == ERR_NOMEM;
        }
        if (!failed)
            failed = ledger_accept_epoch(l, 101, 77, true) == ERR_NOMEM;
        allocations_left = -1;
        ledger_rollback(l);
        assert_int_equal(ledger_digest(l), digest);
        compare_model(&m, l);
        ledger_free(&l);
    }
}
#endif

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* 1.2 M registrations in 4,000 schools, in the order a registry sends them, in batches of 20,000. */
static void test_size_and_speed(void **state)
{
    (void)state;
    const uint32_t pupils = SANITIZED ? 100000 : 1200000, schools = pupils / 300;
    const enum group groups[3] = {GROUP_GRAAD1, GROUP_OKAN, GROUP_GRAAD23};
    struct ledger *l = new_ledger(&february);
    struct one o;
    double start = now_s(), worst = 0, worst_bytes = 0;
    ledger_begin(l);
    for (uint32_t i = 0; i < pupils; i++) {
        struct registration r = {
            .school = 1000 + i / 300, .year = YEAR0, .group = groups[i % 3], .indicators = i % 64};
        one_upsert(&o, 100, 1, i, &r);
        uint64_t random[2] = {i * 0x9e3779b97f4a7c15u, i * 0xd6e8feb86659fd93u};
        memcpy(o.values[REG_PUPIL].pupil, random, 16);
        if (one_apply(l, &o))
            fail();
        if (i % 20000 == 19999) {
            double each = (double)ledger_numbers(l).bytes / (i + 1);
            worst_bytes = i > pupils / 2 && each > worst_bytes ? each : worst_bytes;
            double before = now_s();
            ledger_commit(l);
            ledger_begin(l);
            worst = now_s() - before > worst ? now_s() - before : worst;
        }
    }
    ledger_commit(l);
    double filled = now_s();
    ledger_begin(l);
    for (uint32_t i = 0; i < pupils; i++) { /* every one corrected, schools in order */
        struct registration r = {.school = 1000 + i / 300, .year = YEAR0, .group = groups[(i + 1) % 3]};
        one_upsert(&o, 100, 1, i, &r);
        uint64_t random[2] = {i * 0x9e3779b97f4a7c15u, i * 0xd6e8feb86659fd93u};
        memcpy(o.values[REG_PUPIL].pupil, random, 16);
        if (one_apply(l, &o))
            fail();
        if (i % 20000 == 19999) {
            ledger_commit(l);
            ledger_begin(l);
        }
    }
    double corrected = now_s();
    struct ledger_numbers n = ledger_numbers(l);
    double bytes = (double)n.bytes / (double)n.registrations;
    printf("%u registrations, %u schools: %.1f bytes each (%.1f at most), new %.2f M/s, corrected %.2f M/s\n",
           pupils, schools, bytes, worst_bytes, pupils / (filled - start) / 1e6,
           pupils / (corrected - filled) / 1e6);
    assert_int_equal(n.live, pupils);
    if (!SANITIZED) /* with fewer, the fixed parts are not spread */
        assert_true(bytes <= 64 && worst_bytes <= 64);
    start = now_s();
    ledger_rollback(l);
    assert_int_equal(ledger_set_rules(l, &march), 0);
    printf("recount in %.2f s\n", now_s() - start);
    ledger_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_resend),
        cmocka_unit_test(test_equals_model),
        cmocka_unit_test(test_order_between_streams_and_schools),
        cmocka_unit_test(test_rebuild_knows_epochs_first),
        cmocka_unit_test(test_withdraw_undoes_upsert),
        cmocka_unit_test(test_history_computed),
        cmocka_unit_test(test_history_inherited),
        cmocka_unit_test(test_history_inherits_grace),
        cmocka_unit_test(test_history_circle),
        cmocka_unit_test(test_touched),
        cmocka_unit_test(test_odd_input),
#if !SANITIZED
        cmocka_unit_test(test_out_of_memory),
#endif
        cmocka_unit_test(test_size_and_speed),
    };
    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
