/* SPDX-License-Identifier: MIT
 *
 * What the database shows, remembered as one record per school and year: a digest of every count, closed and
 * allocation row, and the keys and severities of the alerts that fire. A diff computes the rows anew and
 * keeps those whose digest differs; a fold puts the new digests in place. Two rows with one 64-bit digest are
 * taken for equal.
 *
 * Decides nothing of the trade: counts and allocations come from the ledger, alerts from alert.c. */
#include "workers/results.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NONE       UINT32_MAX
#define PLACES_MAX 7
#define BUCKETS    4096 /* of firing alerts by subject */

/* The allocation rows a school can have in a year; a row's place is its index here. */
static const struct {
    enum staffing staffing;
    enum group group;
} places[PLACES_MAX] = {
    {STAFFING_SES_LESTIJDEN, GROUP_KLEUTER},    {STAFFING_SES_LESTIJDEN, GROUP_LAGER},
    {STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1},   {STAFFING_GOK_UREN_LERAAR, GROUP_OKAN},
    {STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD23},  {STAFFING_GOK_AANVULLENDE_LESTIJDEN, GROUP_AANBOD},
    {STAFFING_GOK_EXTRA_LESUREN, GROUP_AANBOD},
};

struct standing { /* rows of one school and year; the year of use for allocations, the count year for the rest
                   */
    uint32_t school_id, first_alert;
    int16_t year;
    uint8_t counts, allocations, risks; /* bit per group, place, indicator: the row stands */
    bool has_closed;
    uint64_t closed, count[GROUP_COUNT], allocation[PLACES_MAX], risk[RISK_INDICATOR_COUNT];
};

struct firing {
    struct alert_key key;
    enum severity severity;
    uint32_t next, seen;      /* number of the look that implied it */
    uint32_t next_of_subject; /* of the same bucket; only alerts of a subject are in one */
};

struct results {
    struct standing *standing;
    uint32_t standing_count, standing_room;
    uint32_t *index; /* open addressing, NONE = empty */
    uint32_t index_size;
    struct firing *firing;
    uint32_t firing_room, free_first, free_count;
    uint32_t look;
    uint32_t buckets[BUCKETS];
    uint64_t numbers[ALERT_KIND_COUNT][3];
    char rules[40];
};

/* --- memory
 * ------------------------------------------------------------------------------------------------- */

struct results *results_new(void)
{
    struct results *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->free_first = NONE;
    memset(r->buckets, 0xff, sizeof r->buckets);
    return r;
}

void results_free(struct results **results)
{
    struct results *r = *results;
    if (!r)
        return;
    free(r->standing);
    free(r->index);
    free(r->firing);
    free(r);
    *results = NULL;
}

size_t results_bytes(const struct results *r)
{
    return sizeof *r + r->standing_room * sizeof *r->standing + r->index_size * sizeof *r->index +
           r->firing_room * sizeof *r->firing;
}

void changes_init(struct changes *c)
{
    memset(c, 0, sizeof *c);
}

void changes_fini(struct changes *c)
{
    free(c->counts);
    free(c->closed);
    free(c->allocations);
    free(c->risks);
    free(c->alerts);
    memset(c, 0, sizeof *c);
}

/* Room for one more; NULL when there is none. */
static void *grow(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    size_t wanted = count < 16 ? 16 : count + count / 2;
    void *grown = realloc(items, wanted * size);
    if (grown)
        *room = wanted;
    return grown;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd1b54a32d192ed03u);
    uint64_t x = (uint64_t)product ^ (uint64_t)(product >> 64);
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

static uint32_t index_place(const struct results *r, uint32_t school_id, int year)
{
    return (uint32_t)mix(school_id, (uint64_t)year) & (r->index_size - 1);
}

static uint32_t find_standing(const struct results *r, uint32_t school_id, int year)
{
    if (!r->index_size)
        return NONE;
    for (uint32_t p = index_place(r, school_id, year); r->index[p] != NONE;
         p = (p + 1) & (r->index_size - 1)) {
        const struct standing *s = r->standing + r->index[p];
        if (s->school_id == school_id && s->year == year)
            return r->index[p];
    }
    return NONE;
}

static void index_standing(struct results *r, uint32_t i)
{
    uint32_t p = index_place(r, r->standing[i].school_id, r->standing[i].year);
    while (r->index[p] != NONE)
        p = (p + 1) & (r->index_size - 1);
    r->index[p] = i;
}

static int grow_index(struct results *r)
{
    uint32_t wanted = r->index_size ? r->index_size * 2 : 64;
    uint32_t *index = malloc(wanted * sizeof *index);
    if (!index)
        return ERR_NOMEM;
    memset(index, 0xff, wanted * sizeof *index);
    free(r->index);
    r->index = index;
    r->index_size = wanted;
    for (uint32_t i = 0; i < r->standing_count; i++)
        index_standing(r, i);
    return 0;
}

/* The record of a school and year, made when there is none: an empty one shows nothing. */
static int reserve_standing(struct results *r, uint32_t school_id, int year, uint32_t *i)
{
    *i = find_standing(r, school_id, year);
    if (*i != NONE)
        return 0;
    size_t room = r->standing_room;
    struct standing *grown = grow(r->standing, r->standing_count, &room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    r->standing = grown;
    r->standing_room = (uint32_t)room;
    if (r->standing_count + 1 > r->index_size / 2 && grow_index(r))
        return ERR_NOMEM;
    *i = r->standing_count++;
    r->standing[*i] = (struct standing){.school_id = school_id, .year = (int16_t)year, .first_alert = NONE};
    index_standing(r, *i);
    return 0;
}

static int reserve_firing(struct results *r, size_t wanted)
{
    if (r->free_count >= wanted)
        return 0;
    size_t used = r->firing_room - r->free_count, room = used + wanted + used / 4;
    struct firing *grown = room < NONE ? realloc(r->firing, room * sizeof *grown) : NULL;
    if (!grown)
        return ERR_NOMEM;
    r->firing = grown;
    for (uint32_t i = r->firing_room; i < room; i++) {
        r->firing[i].next = r->free_first;
        r->free_first = i;
        r->free_count++;
    }
    r->firing_room = (uint32_t)room;
    return 0;
}

/* --- digests
 * ------------------------------------------------------------------------------------------------ */

static uint64_t digest_words(const int32_t *words, size_t n, uint64_t h)
{
    for (size_t i = 0; i < n; i++)
        h = mix(h, (uint32_t)words[i]);
    return h;
}

static uint64_t digest_count(const struct group_counts *counts, const struct group_cells *cells)
{
    uint64_t h = mix((uint32_t)counts->pupils, (uint32_t)counts->gok);
    return digest_words(cells->halves, IND_CELLS, digest_words(counts->indicator, IND_COUNT, h));
}

static uint64_t digest_closed(bool closed, int32_t held, int32_t announced)
{
    return mix(mix(closed, (uint32_t)held), (uint32_t)announced);
}

/* By value: 58 and 58.0 are one number to the database. */
static uint64_t digest_exact(bool has, struct exact e, uint64_t h)
{
    if (!has)
        return mix(h, 1);
    while (e.scale > 0 && e.units % 10 == 0) {
        e.units /= 10;
        e.scale--;
    }
    return mix(mix(mix(h, (uint64_t)e.units), (uint64_t)(e.units >> 64)), (uint64_t)e.scale + 2);
}

static uint64_t digest_optional(bool has, int32_t value, uint64_t h)
{
    return has ? mix(h, (uint64_t)(uint32_t)value + 2) : mix(h, 1);
}

/* The columns of the table, no more: what is loaded from it has nothing else. */
static uint64_t digest_allocation(const struct allocation *a)
{
    const int32_t words[] = {a->pupils, a->gok, a->hours, (int32_t)a->status, a->sanction_halves, a->granted};
    uint64_t h = digest_words(words, sizeof words / sizeof *words, 0);
    h = digest_exact(a->has_threshold, a->threshold, h);
    h = digest_exact(a->has_points, a->points, h);
    h = digest_exact(true, a->hours_exact, h);
    h = digest_optional(a->has_minimum, a->minimum, h);
    h = digest_optional(a->has_margin_pupils, a->margin_pupils, h);
    return digest_optional(a->has_margin_hours, a->margin_hours, h);
}

/* Bit for bit: the database keeps a double as it is. */
static uint64_t digest_risk(int32_t observed, int64_t halves, const struct risk *risk)
{
    uint64_t p;
    memcpy(&p, &risk->probability, sizeof p);
    return mix(mix(mix((uint32_t)observed, (uint64_t)halves), p), (uint64_t)risk->band);
}

static int place_of(enum staffing staffing, enum group group)
{
    for (int i = 0; i < PLACES_MAX; i++)
        if (places[i].staffing == staffing && places[i].group == group)
            return i;
    return -1;
}

/* --- loading
 * ------------------------------------------------------------------------------------------------ */

int results_load_count(struct results *r, const struct count_row *row)
{
    uint32_t i;
    if ((unsigned)row->group >= GROUP_COUNT)
        return ERR_INVALID;
    if (reserve_standing(r, row->school_id, row->year, &i))
        return ERR_NOMEM;
    r->standing[i].counts |= (uint8_t)(1u << row->group);
    r->standing[i].count[row->group] = digest_count(&row->counts, &row->cells);
    return 0;
}

int results_load_closed(struct results *r, const struct closed_row *row)
{
    uint32_t i;
    if (reserve_standing(r, row->school_id, row->year, &i))
        return ERR_NOMEM;
    r->standing[i].has_closed = true;
    r->standing[i].closed = digest_closed(row->closed, row->held, row->announced);
    return 0;
}

int results_load_allocation(struct results *r, const struct allocation *row)
{
    uint32_t i;
    int place = place_of(row->staffing, row->group);
    if (place < 0)
        return ERR_INVALID;
    if (reserve_standing(r, row->school_id, row->year, &i))
        return ERR_NOMEM;
    r->standing[i].allocations |= (uint8_t)(1u << place);
    r->standing[i].allocation[place] = digest_allocation(row);
    return 0;
}

int results_load_risk(struct results *r, const struct risk_row *row)
{
    uint32_t i;
    if ((unsigned)row->indicator >= RISK_INDICATOR_COUNT)
        return ERR_INVALID;
    if (reserve_standing(r, row->school_id, row->year, &i))
        return ERR_NOMEM;
    r->standing[i].risks |= (uint8_t)(1u << row->indicator);
    r->standing[i].risk[row->indicator] = digest_risk(row->observed, row->halves, &row->risk);
    return 0;
}

static uint32_t find_firing(const struct results *r, const struct alert_key *key)
{
    uint32_t s = find_standing(r, key->school_id, key->year);
    uint32_t i = s == NONE ? NONE : r->standing[s].first_alert;
    while (i != NONE && !alert_key_equal(&r->firing[i].key, key))
        i = r->firing[i].next;
    return i;
}

static uint32_t *subject_bucket(struct results *r, const struct subject *s)
{
    uint64_t h = mix(s->kind + 1, s->school_id);
    for (const char *p = s->id; *p; p++)
        h = mix(h, (uint8_t)*p);
    return r->buckets + h % BUCKETS;
}

static void enter_bucket(struct results *r, uint32_t i)
{
    struct subject subject;
    if (!derive_subject_of(&r->firing[i].key, &subject))
        return;
    uint32_t *head = subject_bucket(r, &subject);
    r->firing[i].next_of_subject = *head;
    *head = i;
}

static void leave_bucket(struct results *r, uint32_t i)
{
    struct subject subject;
    if (!derive_subject_of(&r->firing[i].key, &subject))
        return;
    uint32_t *link = subject_bucket(r, &subject);
    while (*link != i)
        link = &r->firing[*link].next_of_subject;
    *link = r->firing[i].next_of_subject;
}

/* Its record and room are there: reserved by whoever found the change. */
static void set_firing(struct results *r, const struct alert_key *key, enum severity severity)
{
    uint32_t i = find_firing(r, key);
    if (i == NONE) {
        struct standing *s = r->standing + find_standing(r, key->school_id, key->year);
        assert(r->free_count > 0);
        i = r->free_first;
        r->free_first = r->firing[i].next;
        r->free_count--;
        r->firing[i] = (struct firing){.key = *key, .next = s->first_alert};
        s->first_alert = i;
        enter_bucket(r, i);
    } else {
        r->numbers[key->kind][r->firing[i].severity]--;
    }
    r->firing[i].severity = severity;
    r->numbers[key->kind][severity]++;
}

static void clear_firing(struct results *r, const struct alert_key *key)
{
    uint32_t s = find_standing(r, key->school_id, key->year);
    uint32_t *link = s == NONE ? NULL : &r->standing[s].first_alert;
    while (link && *link != NONE && !alert_key_equal(&r->firing[*link].key, key))
        link = &r->firing[*link].next;
    if (!link || *link == NONE)
        return;
    uint32_t i = *link;
    *link = r->firing[i].next;
    leave_bucket(r, i);
    r->numbers[key->kind][r->firing[i].severity]--;
    r->firing[i].next = r->free_first;
    r->free_first = i;
    r->free_count++;
}

int results_load_alert(struct results *r, const struct alert_key *key, enum severity severity)
{
    uint32_t i;
    if ((unsigned)key->kind >= ALERT_KIND_COUNT || (unsigned)severity > SEVERITY_CRITICAL)
        return ERR_INVALID;
    if (reserve_standing(r, key->school_id, key->year, &i) || reserve_firing(r, 1))
        return ERR_NOMEM;
    set_firing(r, key, severity);
    return 0;
}

/* --- diff
 * --------------------------------------------------------------------------------------------------- */

struct diff {
    struct results *r;
    const struct ledger *l;
    struct changes *out;
    bool other_rules;
    int err; /* the first; what follows is skipped */
    struct alert alert;
};

static void push_count(struct diff *d, uint32_t school_id, int year, enum group group,
                       const struct group_cells *cells, const struct group_counts *counts)
{
    struct changes *out = d->out;
    struct count_row *grown = grow(out->counts, out->count_count, &out->count_room, sizeof *grown);
    if (!grown) {
        d->err = ERR_NOMEM;
        return;
    }
    out->counts = grown;
    struct count_row *row = out->counts + out->count_count++;
    *row = (struct count_row){.school_id = school_id, .year = year, .group = group, .gone = cells == NULL};
    if (cells) {
        row->counts = *counts;
        row->cells = *cells;
    }
}

static void diff_counts(struct diff *d, uint32_t school_id, int year)
{
    const struct group_cells *cells = ledger_cells(d->l, school_id, year);
    uint32_t i;
    d->err = reserve_standing(d->r, school_id, year, &i);
    for (int g = 0; g < GROUP_COUNT && !d->err; g++) {
        const struct standing *s = d->r->standing + i;
        bool stands = s->counts >> g & 1;
        struct group_counts counts = {0};
        if (cells)
            group_count(cells + g, &counts);
        if (counts.pupils > 0 && !(stands && s->count[g] == digest_count(&counts, cells + g)))
            push_count(d, school_id, year, g, cells + g, &counts);
        else if (counts.pupils <= 0 && stands)
            push_count(d, school_id, year, g, NULL, NULL);
    }
}

static void diff_closed(struct diff *d, uint32_t school_id, int year, const struct ledger_closed *closed)
{
    struct changes *out = d->out;
    uint32_t i;
    if (d->err || !closed->any)
        return;
    d->err = reserve_standing(d->r, school_id, year, &i);
    if (d->err ||
        (d->r->standing[i].has_closed &&
         d->r->standing[i].closed == digest_closed(closed->closed, closed->held, closed->announced)))
        return;
    struct closed_row *grown = grow(out->closed, out->closed_count, &out->closed_room, sizeof *grown);
    if (!grown) {
        d->err = ERR_NOMEM;
        return;
    }
    out->closed = grown;
    out->closed[out->closed_count++] = (struct closed_row){.school_id = school_id,
                                                           .year = year,
                                                           .closed = closed->closed,
                                                           .held = closed->held,
                                                           .announced = closed->announced};
}

static int append_alert(struct results *r, const struct alert *alert, struct changes *out)
{
    uint32_t i;
    struct alert *grown = grow(out->alerts, out->alert_count, &out->alert_room, sizeof *grown);
    if (!grown)
        return ERR_NOMEM;
    out->alerts = grown;
    if (reserve_standing(r, alert->key.school_id, alert->key.year, &i) ||
        reserve_firing(r, out->alert_count + 1))
        return ERR_NOMEM;
    out->alerts[out->alert_count++] = *alert;
    return 0;
}

/* d->alert is implied: it is new, or of another severity, or nothing changes. */
static void take_implied(struct diff *d)
{
    uint32_t i = find_firing(d->r, &d->alert.key);
    if (i != NONE) {
        d->r->firing[i].seen = d->r->look;
        if (d->r->firing[i].severity == d->alert.severity)
            return;
    }
    if (!d->err)
        d->err = append_alert(d->r, &d->alert, d->out);
}

static void resolve_unseen_alert(struct diff *d, const struct firing *f)
{
    if (f->seen == d->r->look)
        return;
    memset(&d->alert, 0, sizeof d->alert);
    d->alert.key = f->key;
    d->alert.severity = f->severity;
    alert_resolve(&d->alert);
    d->err = append_alert(d->r, &d->alert, d->out);
}

/* What fires of a school and year but was not implied by this look is resolved. */
static void resolve_unseen(struct diff *d, uint32_t school_id, int year, enum alert_scope scope)
{
    uint32_t s = find_standing(d->r, school_id, year);
    uint32_t i = s == NONE ? NONE : d->r->standing[s].first_alert;
    for (; i != NONE && !d->err; i = d->r->firing[i].next)
        if (alert_kind_scope(d->r->firing[i].key.kind) == scope)
            resolve_unseen_alert(d, d->r->firing + i);
}

static void take_double(void *context, const struct alert_double *found)
{
    struct diff *d = context;
    alert_registration_double(found, &d->alert);
    take_implied(d);
}

static void push_risk(struct diff *d, const struct risk_row *row)
{
    struct changes *out = d->out;
    struct risk_row *grown = grow(out->risks, out->risk_count, &out->risk_room, sizeof *grown);
    if (!grown) {
        d->err = ERR_NOMEM;
        return;
    }
    out->risks = grown;
    out->risks[out->risk_count++] = *row;
}

/* One indicator of a school and count year (design 9): the row that stands against what counts, events and reference
 * say now, and its alert. A school without events has no row: its probability is 1. */
static void diff_risk(struct diff *d, const struct ledger_school *school, struct risk_row *row)
{
    const struct risk_reference *reference =
        school->known ? fixed_reference(ledger_fixed(d->l), row->year, school->level, row->indicator) : NULL;
    risk_judge(row->observed, reference != NULL, reference ? reference->rate : exact_from_int(0), row->halves,
               &row->risk);
    uint32_t i = find_standing(d->r, row->school_id, row->year);
    const struct standing *s = d->r->standing + i;
    bool stands = s->risks >> row->indicator & 1;
    row->gone = !row->risk.judged || row->observed == 0;
    if (row->gone ? stands
                  : !stands || s->risk[row->indicator] != digest_risk(row->observed, row->halves, &row->risk))
        push_risk(d, row);
    if (row->gone || row->risk.band != RISK_VERY_HIGH)
        return;
    struct alert_school who = {school->school_id, school->name, ledger_rules(d->l), INT32_MIN};
    struct alert_risk facts = {&who, reference, &row->risk, row->observed, row->halves};
    alert_risk_high(&facts, &d->alert);
    take_implied(d);
}

static void diff_risks(struct diff *d, uint32_t school_id, int year)
{
    int32_t observed[RISK_INDICATOR_COUNT];
    struct ledger_school school = ledger_school(d->l, school_id);
    int64_t halves = ledger_halves(d->l, school_id, year);
    uint32_t i;
    ledger_incidents(d->l, school_id, year, observed);
    if (!d->err)
        d->err = reserve_standing(d->r, school_id, year, &i);
    for (int k = 0; k < RISK_INDICATOR_COUNT && !d->err; k++) {
        struct risk_row row = {.school_id = school_id,
                               .year = year,
                               .indicator = (enum risk_indicator)k,
                               .observed = observed[k],
                               .halves = halves};
        diff_risk(d, &school, &row);
    }
}

static void diff_count_year(struct diff *d, uint32_t school_id, int year)
{
    struct ledger_closed closed = ledger_closed(d->l, school_id, year);
    diff_counts(d, school_id, year);
    diff_closed(d, school_id, year, &closed);
    d->r->look++;
    if (closed.differs) {
        alert_count_incomplete(school_id, ledger_school(d->l, school_id).name, year, closed.held,
                               closed.announced, &d->alert);
        take_implied(d);
    }
    ledger_doubles(d->l, school_id, year, take_double, d);
    diff_risks(d, school_id, year);
    resolve_unseen(d, school_id, year, SCOPE_COUNT_YEAR);
}

static void push_allocation(struct diff *d, const struct allocation *a, bool gone)
{
    struct changes *out = d->out;
    struct allocation_row *grown =
        grow(out->allocations, out->allocation_count, &out->allocation_room, sizeof *grown);
    if (!grown) {
        d->err = ERR_NOMEM;
        return;
    }
    out->allocations = grown;
    out->allocations[out->allocation_count++] = (struct allocation_row){.a = *a, .gone = gone};
}

static void diff_use_year(struct diff *d, uint32_t school_id, int year)
{
    struct allocation rows[3];
    int n = ledger_allocations(d->l, school_id, year, rows);
    bool closed = ledger_closed(d->l, school_id, year - 1).closed;
    uint32_t i;
    unsigned found = 0;
    d->err = reserve_standing(d->r, school_id, year, &i);
    d->r->look++;
    for (int k = 0; k < n && !d->err; k++) {
        int place = place_of(rows[k].staffing, rows[k].group);
        const struct standing *s = d->r->standing + i;
        assert(place >= 0);
        found |= 1u << place;
        if (d->other_rules || !(s->allocations >> place & 1) ||
            s->allocation[place] != digest_allocation(rows + k))
            push_allocation(d, rows + k, false);
        if (!d->err && alert_from_allocation(rows + k, closed, ledger_rules(d->l),
                                             ledger_school(d->l, school_id).name, &d->alert))
            take_implied(d);
    }
    for (int place = 0; place < PLACES_MAX && !d->err; place++) {
        if (!((d->r->standing[i].allocations & ~found) >> place & 1))
            continue;
        struct allocation a = {.year = year,
                               .school_id = school_id,
                               .staffing = places[place].staffing,
                               .group = places[place].group};
        push_allocation(d, &a, true);
    }
    resolve_unseen(d, school_id, year, SCOPE_USE_YEAR);
}

static int compare_ledger_keys(const void *a, const void *b)
{
    const struct ledger_key *x = a, *y = b;
    if (x->school_id != y->school_id)
        return x->school_id < y->school_id ? -1 : 1;
    return (x->year > y->year) - (x->year < y->year);
}

static size_t sort_unique(struct ledger_key *keys, size_t n)
{
    size_t kept = 0;
    if (n)
        qsort(keys, n, sizeof *keys, compare_ledger_keys);
    for (size_t i = 0; i < n; i++)
        if (!kept || compare_ledger_keys(keys + kept - 1, keys + i) != 0)
            keys[kept++] = keys[i];
    return kept;
}

struct use_years {
    struct ledger_key *keys;
    size_t count, room;
};

/* A count of year c decides the use years c+1, c+2 and c+3 (regulation 2), at the school and at those that
 * inherit its history. The slow walker ends a circle of successors. */
static int reach(const struct ledger *l, const struct ledger_key *key, struct use_years *use)
{
    uint32_t school_id = key->school_id, slow = school_id;
    for (bool step = false; school_id; step = !step) {
        for (int y = 1; y <= 3; y++) {
            struct ledger_key *grown = grow(use->keys, use->count, &use->room, sizeof *grown);
            if (!grown)
                return ERR_NOMEM;
            use->keys = grown;
            use->keys[use->count++] = (struct ledger_key){school_id, key->year + y};
        }
        school_id = ledger_school(l, school_id).successor_id;
        if (step)
            slow = ledger_school(l, slow).successor_id;
        if (school_id == slow)
            break;
    }
    return 0;
}

static int compare_alerts(const void *a, const void *b)
{
    const struct alert *x = a, *y = b;
    return alert_key_compare(&x->key, &y->key);
}

static void note_rules(struct diff *d)
{
    const struct rules_set *set = ledger_rules(d->l);
    if (!set)
        return;
    strncpy(d->out->rules, rules_hash(set), sizeof d->out->rules - 1);
    if (!*d->r->rules)
        memcpy(d->r->rules, d->out->rules, sizeof d->r->rules);
    d->other_rules = strcmp(d->r->rules, d->out->rules) != 0;
}

int results_diff(struct results *r, const struct ledger *l, const struct ledger_key *keys, size_t key_count,
                 struct changes *out)
{
    struct use_years use = {0};
    size_t alerts_before = out->alert_count;
    struct diff d = {.r = r, .l = l, .out = out};
    note_rules(&d);
    for (size_t i = 0; i < key_count && !d.err; i++) {
        diff_count_year(&d, keys[i].school_id, keys[i].year);
        if (!d.err)
            d.err = reach(l, keys + i, &use);
    }
    use.count = d.err ? 0 : sort_unique(use.keys, use.count);
    for (size_t i = 0; i < use.count && !d.err; i++)
        diff_use_year(&d, use.keys[i].school_id, use.keys[i].year);
    free(use.keys);
    if (out->alert_count > alerts_before)
        qsort(out->alerts + alerts_before, out->alert_count - alerts_before, sizeof *out->alerts,
              compare_alerts);
    return d.err;
}

static void take_derived(void *context, const struct alert *alert)
{
    struct diff *d = context;
    d->alert = *alert;
    take_implied(d);
}

static void diff_subject(struct diff *d, const struct subject *subject, int32_t today)
{
    int32_t changes;
    d->r->look++;
    int err = derive_subject(d->l, subject, today, take_derived, d, &changes);
    if (!d->err)
        d->err = err;
    for (uint32_t i = *subject_bucket(d->r, subject); i != NONE && !d->err;
         i = d->r->firing[i].next_of_subject) {
        struct subject other;
        if (derive_subject_of(&d->r->firing[i].key, &other) && subject_compare(&other, subject) == 0)
            resolve_unseen_alert(d, d->r->firing + i);
    }
}

int results_diff_subjects(struct results *r, const struct ledger *l, int32_t today,
                          const struct subject *subjects, size_t count, struct changes *out)
{
    size_t alerts_before = out->alert_count;
    struct diff d = {.r = r, .l = l, .out = out};
    for (size_t i = 0; i < count && !d.err; i++)
        diff_subject(&d, subjects + i, today);
    if (out->alert_count > alerts_before)
        qsort(out->alerts + alerts_before, out->alert_count - alerts_before, sizeof *out->alerts,
              compare_alerts);
    return d.err;
}

int results_subjects(const struct results *r, const struct ledger *l, struct subject **subjects,
                     size_t *count)
{
    size_t firing = r->firing_room - r->free_count, kept = 0;
    int err = entities_all(l, subjects, count);
    struct subject *grown = err ? NULL : realloc(*subjects, (*count + firing + 1) * sizeof *grown);
    if (!grown) {
        if (!err)
            free(*subjects);
        *subjects = NULL;
        return ERR_NOMEM;
    }
    *subjects = grown;
    for (int b = 0; b < BUCKETS; b++)
        for (uint32_t i = r->buckets[b]; i != NONE; i = r->firing[i].next_of_subject)
            *count += derive_subject_of(&r->firing[i].key, grown + *count);
    qsort(grown, *count, sizeof *grown, subject_compare);
    for (size_t i = 0; i < *count; i++)
        if (!kept || subject_compare(grown + kept - 1, grown + i) != 0)
            grown[kept++] = grown[i];
    *count = kept;
    return 0;
}

int results_keys(const struct results *r, const struct ledger *l, struct ledger_key **keys, size_t *key_count)
{
    struct ledger_key *all = NULL;
    size_t n = ledger_all(l, &all);
    struct ledger_key *grown = all ? realloc(all, (n + r->standing_count * 2 + 1) * sizeof *grown) : NULL;
    *keys = NULL;
    *key_count = 0;
    if (!grown) {
        free(all);
        return ERR_NOMEM;
    }
    for (uint32_t i = 0; i < r->standing_count; i++) {
        const struct standing *s = r->standing + i;
        if (!s->school_id)
            continue;
        grown[n++] = (struct ledger_key){s->school_id, s->year};
        if (s->allocations || s->first_alert != NONE) /* a use year is reached from its count year */
            grown[n++] = (struct ledger_key){s->school_id, s->year - 1};
    }
    *keys = grown;
    *key_count = sort_unique(grown, n);
    return 0;
}

/* --- operational alerts, fold
 * ------------------------------------------------------------------------------- */

int results_alert(struct results *r, const struct alert *alert, struct changes *out)
{
    uint32_t i = find_firing(r, &alert->key);
    bool firing = i != NONE;
    enum severity severity = firing ? r->firing[i].severity : alert->severity;
    for (size_t k = out->alert_count; k-- > 0;) {
        if (!alert_key_equal(&out->alerts[k].key, &alert->key))
            continue;
        firing = out->alerts[k].firing;
        severity = out->alerts[k].severity;
        break;
    }
    if (firing == alert->firing && (!firing || severity == alert->severity))
        return 0;
    return append_alert(r, alert, out);
}

static struct standing *must_find(struct results *r, uint32_t school_id, int year)
{
    uint32_t i = find_standing(r, school_id, year);
    assert(i != NONE);
    return r->standing + i;
}

static void fold_count(struct results *r, const struct count_row *row)
{
    struct standing *s = must_find(r, row->school_id, row->year);
    s->counts &= (uint8_t) ~(1u << row->group);
    if (row->gone)
        return;
    s->counts |= (uint8_t)(1u << row->group);
    s->count[row->group] = digest_count(&row->counts, &row->cells);
}

static void fold_allocation(struct results *r, const struct allocation_row *row)
{
    struct standing *s = must_find(r, row->a.school_id, row->a.year);
    int place = place_of(row->a.staffing, row->a.group);
    assert(place >= 0);
    s->allocations &= (uint8_t) ~(1u << place);
    if (row->gone)
        return;
    s->allocations |= (uint8_t)(1u << place);
    s->allocation[place] = digest_allocation(&row->a);
}

static void fold_risk(struct results *r, const struct risk_row *row)
{
    struct standing *s = must_find(r, row->school_id, row->year);
    s->risks &= (uint8_t) ~(1u << row->indicator);
    if (row->gone)
        return;
    s->risks |= (uint8_t)(1u << row->indicator);
    s->risk[row->indicator] = digest_risk(row->observed, row->halves, &row->risk);
}

void results_fold(struct results *r, const struct changes *c)
{
    for (size_t i = 0; i < c->risk_count; i++)
        fold_risk(r, c->risks + i);
    for (size_t i = 0; i < c->count_count; i++)
        fold_count(r, c->counts + i);
    for (size_t i = 0; i < c->closed_count; i++) {
        const struct closed_row *row = c->closed + i;
        struct standing *s = must_find(r, row->school_id, row->year);
        s->has_closed = true;
        s->closed = digest_closed(row->closed, row->held, row->announced);
    }
    for (size_t i = 0; i < c->allocation_count; i++)
        fold_allocation(r, c->allocations + i);
    for (size_t i = 0; i < c->alert_count; i++) {
        if (c->alerts[i].firing)
            set_firing(r, &c->alerts[i].key, c->alerts[i].severity);
        else
            clear_firing(r, &c->alerts[i].key);
    }
    if (*c->rules)
        memcpy(r->rules, c->rules, sizeof r->rules);
}

void results_firing(const struct results *r, results_alert_fn fn, void *context)
{
    uint32_t s = find_standing(r, 0, 0);
    uint32_t i = s == NONE ? NONE : r->standing[s].first_alert;
    while (i != NONE) {
        struct firing f = r->firing[i]; /* a copy: fn may call results_alert(), and that may move the array */
        i = f.next;
        if (alert_kind_is_operational(f.key.kind))
            fn(context, &f.key, f.severity);
    }
}

void results_alert_numbers(const struct results *r, uint64_t out[ALERT_KIND_COUNT][3])
{
    memcpy(out, r->numbers, sizeof r->numbers);
}
