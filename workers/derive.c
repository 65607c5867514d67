/* SPDX-License-Identifier: MIT
 *
 * The table of derivations: which logs are kept as entities, of whom they speak, and which pure function turns a
 * subject's entities into alerts. The rules themselves are evaluation.c, huisonderwijs.c and melding.c; how an alert reads
 * is alert_subject.c. Re-evaluated: with every event that changes one of the subject's entities, and on the day that
 * *changes names. What an alert says besides its key and severity (hours at stake, days left) is that of the moment. */
#include "workers/derive.h"

#include <stdlib.h>
#include <string.h>

#include "workers/melding.h"

#define FEW           32
#define STAKE_BACK    2  /* school years looked back for counted hours when the coming year has none yet */
#define STAKE_FORWARD 20 /* and forward, when the verdicts are older than the counts */

/* What is asked of a derivation, and where its answer goes. */
struct ask {
    const struct ledger *l;
    const struct subject *subject;
    int32_t today;
    derive_alert_fn take; /* NULL: only the day is wanted */
    void *context;
    int32_t changes;
    struct alert alert;
};

static void give(struct ask *q)
{
    q->take(q->context, &q->alert);
}

static void change_on(struct ask *q, int32_t day)
{
    if (day > q->today && day < q->changes)
        q->changes = day;
}

static struct alert_school school_of(const struct ask *q, uint32_t school_id)
{
    return (struct alert_school){school_id, ledger_school(q->l, school_id).name, ledger_rules(q->l),
                                 q->today};
}

/* ---- a school: its inspections ---- */

struct reports {
    struct inspection_report *list, few[FEW];
    struct sanction_span *spans, few_spans[FEW / 2];
    size_t count;
};

static void free_reports(struct reports *r)
{
    if (r->list != r->few) {
        free(r->list);
        free(r->spans);
    }
}

static int reserve_reports(const struct ledger *l, const struct subject *subject, struct reports *r)
{
    struct entity_walk walk = entities_of(l, subject);
    struct entity_view e;
    size_t n = 0;
    while (entity_next(&walk, &e))
        n += e.table == LOG_INSPECTION;
    r->count = 0;
    r->list = r->few;
    r->spans = r->few_spans;
    if (n <= FEW)
        return 0;
    r->list = malloc(n * sizeof *r->list);
    r->spans = malloc(n * sizeof *r->spans);
    if (r->list && r->spans)
        return 0;
    free_reports(r);
    r->list = r->few;
    return ERR_NOMEM;
}

static struct inspection_report report_of(const struct entity_view *e)
{
    const struct value *v = e->values;
    return (struct inspection_report){
        .report_id = e->key,
        .date = (int32_t)v[INS_DATE].num,
        .year = (int)v[INS_YEAR].num,
        .doorlichting = v[INS_KIND].num == INSPECTION_DOORLICHTING,
        .advice = entity_is_null(e, INS_ADVICE) ? -1 : (int)v[INS_ADVICE].num,
        .gok = entity_is_null(e, INS_GOK) ? GOK_NONE : (enum gok_verdict)v[INS_GOK].num,
        .followup_due =
            entity_is_null(e, INS_FOLLOWUP_DUE) ? EVALUATION_NO_DATE : (int32_t)v[INS_FOLLOWUP_DUE].num,
    };
}

/* An opschorting counts for the report it names, when that is a report on the school it names. */
static void mark_opschorting(const struct entity_view *e, struct reports *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->list[i].report_id, e->key) == 0)
            r->list[i].opschorting_asked = true;
}

/* The school's reports, in order. */
static int collect_reports(const struct ledger *l, uint32_t school_id, struct reports *r)
{
    struct subject subject = {.kind = SUBJECT_SCHOOL, .school_id = school_id};
    struct entity_walk walk = entities_of(l, &subject);
    struct entity_view e;
    int err = reserve_reports(l, &subject, r);
    if (err)
        return err;
    while (entity_next(&walk, &e))
        if (e.table == LOG_INSPECTION)
            r->list[r->count++] = report_of(&e);
    walk = entities_of(l, &subject);
    while (entity_next(&walk, &e))
        if (e.table == LOG_OPSCHORTING)
            mark_opschorting(&e, r);
    if (r->count)
        qsort(r->list, r->count, sizeof *r->list, inspection_report_compare);
    return 0;
}

static void note_unverified(struct alert_stake *stake, const struct parameter *p)
{
    if (!p || p->verified)
        return;
    for (int i = 0; i < stake->unverified_count; i++)
        if (strcmp(stake->unverified[i], p->name) == 0)
            return;
    if (stake->unverified_count < ALERT_STAKE_RULES_MAX)
        stake->unverified[stake->unverified_count++] = p->name;
}

static void add_row(const struct rules_set *set, const struct allocation *row, struct alert_stake *stake)
{
    const char *names[ALLOCATION_RULES_MAX];
    int count = allocation_rests_on(row, names);
    stake->rows++;
    if (row->status != STATUS_GRANTED && row->status != STATUS_GRACE)
        return;
    stake->hours += row->hours;
    stake->half += allocation_half(row->hours, rules_for_year(set, row->year)->rounding);
    for (int i = 0; i < count; i++)
        note_unverified(stake, rules_find(set, row->year, names[i]));
    note_unverified(stake, rules_find(set, row->year, "rounding"));
}

/* Of the working budget (regulation 4), where its values of that year are fixed: an amount an indicator, each halved and
 * rounded by itself. */
static void add_budget(const struct ledger *l, uint32_t school_id, struct alert_stake *stake)
{
    struct ledger_school school = ledger_school(l, school_id);
    const struct group_cells *cells = ledger_cells(l, school_id, stake->year - 1);
    if (!cells || !school.known || school.closed_on <= school_year_start(stake->year))
        return;
    for (int i = 0; i < BUDGET_INDICATORS; i++) {
        const struct budget_value *v =
            fixed_budget(ledger_fixed(l), stake->year, school.level, budget_indicators[i]);
        int64_t halves = 0, amount;
        if (!v)
            continue;
        for (int g = 0; g < GROUP_COUNT; g++) {
            struct group_counts counts;
            group_count(cells + g, &counts);
            halves +=
                group_fits_level((enum group)g, school.level) ? counts.indicator[budget_indicators[i]] : 0;
        }
        amount = budget_amount(v, halves);
        stake->has_cents = true;
        stake->cents += amount - budget_granted(amount, 1);
    }
}

/* Whether anything is allocated in school year `year`; then that is what the stake is taken from. */
static bool take_stake(const struct ledger *l, uint32_t school_id, int year, struct alert_stake *stake)
{
    struct allocation rows[3];
    int n = ledger_allocations(l, school_id, year, rows);
    for (int i = 0; i < n; i++)
        add_row(ledger_rules(l), rows + i, stake);
    if (n > 0)
        stake->year = year;
    return n > 0;
}

/* What a sanction takes in school year `year`: each row halved and rounded by itself (regulation 3). Before that year is
 * counted, the last year that is; of verdicts from before the first count, the first counted year up to `last`. */
static struct alert_stake find_stake(const struct ledger *l, uint32_t school_id, int year, int last)
{
    struct alert_stake stake = {0};
    for (int y = year; y >= year - STAKE_BACK && !stake.year; y--)
        take_stake(l, school_id, y, &stake);
    for (int y = year + 1; y <= last && y <= year + STAKE_FORWARD && !stake.year; y++)
        take_stake(l, school_id, y, &stake);
    if (stake.year)
        add_budget(l, school_id, &stake);
    return stake;
}

/* The last verdict is a first negative; the follow-up of the last negative comes near. */
static void derive_evaluation(struct ask *q, const struct reports *r, const struct evaluation *e)
{
    struct alert_school school = school_of(q, q->subject->school_id);
    const struct inspection_report *last = r->list + e->last;
    if (e->negatives == 1 && q->take) {
        struct alert_stake stake =
            find_stake(q->l, q->subject->school_id, last->year + 1, EVALUATION_NO_YEAR);
        alert_first_negative(&school, last, &stake, &q->alert);
        give(q);
    }
    if (e->negatives == 0)
        return;
    int months = school.set ? rules_for_year(school.set, last->year)->followup_months : 0;
    int32_t day, due = evaluation_followup_due(e, r->list, months);
    int urgency = evaluation_followup_urgency(due, q->today, &day);
    change_on(q, day);
    if (urgency > 0 && q->take) {
        alert_followup_due(&school, last, due, urgency, &q->alert);
        give(q);
    }
}

static int derive_school(struct ask *q)
{
    struct reports r;
    struct evaluation e;
    int err = collect_reports(q->l, q->subject->school_id, &r);
    if (err)
        return err;
    struct alert_school school = school_of(q, q->subject->school_id);
    evaluation_judge(r.list, r.count, &e, r.spans);
    derive_evaluation(q, &r, &e);
    for (size_t i = 0; i < e.span_count; i++) {
        int32_t day;
        bool runs = sanction_runs(r.spans + i, q->today, &day);
        change_on(q, day);
        if (!runs || !q->take)
            continue;
        struct alert_stake stake =
            find_stake(q->l, q->subject->school_id, r.spans[i].first_year, r.spans[i].last_year);
        alert_second_negative(&school, r.list, r.spans + i, &stake, &q->alert);
        give(q);
    }
    for (size_t i = 0; i < r.count && q->take; i++)
        if (erkenning_is_threatened(r.list, r.count, i)) {
            alert_ongunstig(&school, r.list + i, &q->alert);
            give(q);
        }
    free_reports(&r);
    return 0;
}

int derive_sanction_halves(const struct ledger *l, uint32_t school_id, int year_of_use)
{
    struct reports r;
    struct evaluation e;
    if (collect_reports(l, school_id, &r))
        abort(); /* out of memory for some kilobytes: nothing wrong is shown instead */
    evaluation_judge(r.list, r.count, &e, r.spans);
    bool covered = sanction_covers(r.spans, e.span_count, year_of_use);
    free_reports(&r);
    return covered ? 1 : 2;
}

/* ---- a pupil: controls in huisonderwijs ---- */

static int derive_pupil(struct ask *q)
{
    struct controle few[FEW], *list = few;
    struct entity_walk walk = entities_of(q->l, q->subject);
    struct entity_view e;
    size_t count = 0, room = FEW, cause;
    while (entity_next(&walk, &e)) {
        if (e.table != LOG_CONTROLE)
            continue;
        if (count == room) {
            struct controle *grown = malloc(2 * room * sizeof *grown);
            if (grown)
                memcpy(grown, list, count * sizeof *list);
            if (list != few)
                free(list);
            if (!grown)
                return ERR_NOMEM;
            list = grown;
            room *= 2;
        }
        list[count++] = (struct controle){e.key, (int32_t)e.values[CON_DATE].num, (int)e.values[CON_YEAR].num,
                                          e.values[CON_VERDICT].num == CONTROLE_VOLDOENDE};
    }
    qsort(list, count, sizeof *list, controle_compare);
    enum huisonderwijs_state state = huisonderwijs_judge(list, count, &cause);
    if (state != HUISONDERWIJS_CALM && q->take) {
        if (state == HUISONDERWIJS_DUE)
            alert_control_due(q->subject->id, list + cause, &q->alert);
        else
            alert_second_insufficient(q->subject->id, list + cause, &q->alert);
        give(q);
    }
    if (list != few)
        free(list);
    return 0;
}

/* ---- a melding and its answer ---- */

static int derive_melding(struct ask *q)
{
    struct entity_walk walk = entities_of(q->l, q->subject);
    struct entity_view e;
    bool received = false, answered = false;
    int32_t received_on = 0;
    uint32_t school_id = 0;
    while (entity_next(&walk, &e)) {
        answered |= e.table == LOG_BEANTWOORD;
        if (e.table != LOG_MELDING)
            continue;
        received = true;
        received_on = (int32_t)e.values[MEL_RECEIVED_ON].num;
        school_id = (uint32_t)e.values[MEL_SCHOOL_ID].num;
    }
    const struct rules_set *set = ledger_rules(q->l);
    if (!received || answered || !set)
        return 0;
    const struct rules *rules = rules_for_year(set, melding_school_year(received_on));
    int32_t deadline = melding_deadline(received_on, rules->answer_days, rules->answer_days_summer);
    change_on(q, deadline + 1);
    if (melding_is_overdue(deadline, q->today) && q->take) {
        struct alert_school school = school_of(q, school_id);
        alert_answer_overdue(&school, q->subject->id, received_on, deadline, &q->alert);
        give(q);
    }
    return 0;
}

static int derive_nothing(struct ask *q)
{
    (void)q;
    return 0;
}

/* ---- tables ---- */

static const struct entity_kind entity_kinds[] = {
    {LOG_INSPECTION, SUBJECT_SCHOOL, INS_SCHOOL_ID, true, false},
    {LOG_OPSCHORTING, SUBJECT_SCHOOL, OPS_SCHOOL_ID, false, false},
    {LOG_CONTROLE, SUBJECT_PUPIL, CON_PUPIL, false, false},
    {LOG_MELDING, SUBJECT_MELDING, MEL_ID, false, true},
    {LOG_BEANTWOORD, SUBJECT_MELDING, BEA_MELDING_ID, false, false},
    {LOG_TOAH, SUBJECT_REQUEST, TOAH_REQUEST_ID, false, true},
    {LOG_POAH, SUBJECT_REQUEST, POAH_REQUEST_ID, false, true},
    {LOG_BESLISSING, SUBJECT_REQUEST, BES_REQUEST_ID, false, true},
    {LOG_VERKLARING, SUBJECT_REQUEST, VER_ID, false, true},
};
static int (*const derivations[SUBJECT_KIND_COUNT])(struct ask *) = {
    [SUBJECT_SCHOOL] = derive_school,
    [SUBJECT_PUPIL] = derive_pupil,
    [SUBJECT_MELDING] = derive_melding,
    [SUBJECT_REQUEST] = derive_nothing, /* but incidents */
};

const struct entity_kind *derive_entity_kind(enum log_table_no table)
{
    for (size_t i = 0; i < sizeof entity_kinds / sizeof *entity_kinds; i++)
        if (entity_kinds[i].table == table)
            return entity_kinds + i;
    return NULL;
}

int derive_subject(const struct ledger *l, const struct subject *subject, int32_t today, derive_alert_fn take,
                   void *context, int32_t *changes)
{
    struct ask q = {
        .l = l, .subject = subject, .today = today, .take = take, .context = context, .changes = INT32_MAX};
    int err = derivations[subject->kind](&q);
    *changes = q.changes;
    return err;
}

bool derive_subject_of(const struct alert_key *key, struct subject *out)
{
    memset(out, 0, sizeof *out);
    switch (alert_kind_scope(key->kind)) {
    case SCOPE_SCHOOL:
        out->kind = SUBJECT_SCHOOL;
        out->school_id = key->school_id;
        return true;
    case SCOPE_PUPIL:
        out->kind = SUBJECT_PUPIL;
        break;
    case SCOPE_MELDING:
        out->kind = SUBJECT_MELDING;
        break;
    default:
        return false;
    }
    memcpy(out->id, key->subject, sizeof out->id);
    return true;
}
