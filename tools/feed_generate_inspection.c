/* SPDX-License-Identifier: MIT
 *
 * The feed inspection: doorlichtingen with advice and verdicts, the evaluations that follow a negative GOK verdict,
 * tussentijdse bezoeken, and opschortingen. A year is made of slots, one a doorlichting of a level; advice and
 * verdicts are given out over them by a common weakness, exactly as many as the marginals say; then the schools in
 * trouble take the slots that suit them and the others are drawn. An evaluation takes its verdict from a slot, so
 * that the year's totals stay what they are. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_small.h"

enum kind { DOORLICHTING, OPVOLGING, BEZOEK };
static const char *const kind_words[] = {"doorlichting", "opvolging", "tussentijds_bezoek"};
static const char *const advice_words[] = {"gunstig", "gunstig_met_tekorten", "ongunstig_met_opschorting",
                                           "ongunstig_zonder_opschorting"};
enum gok { POSITIEF, NEGATIEF, NO_MEANS };
static const char *const gok_words[] = {"positief", "negatief", "none"};
enum help { GOOD, WERKPUNTEN, BAD };
static const char *const help_words[] = {"positief", "werkpunten", "negatief"};

struct report {
    int year, number, level, place; /* place -1: not decided yet */
    enum kind kind;
    int advice, gok, help; /* GEN_NOTHING = null */
    int32_t date, followup;
    bool told, asked_never;
    uint64_t weakness;
};

struct writing {
    const struct gen_world *world;
    struct gen_agenda agenda;
    struct gen_places places;
    struct report *slots; /* of the year */
    int slot_count, slot_capacity;
    struct report *pending; /* negative GOK verdicts not followed up yet */
    int pending_count, numbers[3];
    uint8_t *taken;          /* by place, this year */
    int32_t *unfavourable;   /* by place: the day of its unfavourable advice, 0 = none */
    struct gen_order *order; /* room to sort slots in */
    int year;
};

static uint64_t draw(const struct writing *w, unsigned what, uint64_t number)
{
    return gen_draw(w->world->options->seed, GEN_P_INSPECTION, (uint64_t)what << 16 | (unsigned)w->year,
                    number);
}

/* ---- events ---- */

static char *put_key(char *p, const struct report *r, const char *tail)
{
    static const char letters[] = "DOB";
    p = gen_put(p, "\"report_id\":\"");
    *p++ = letters[r->kind];
    p = gen_put_number(gen_put(p, "-"), (unsigned)r->year);
    p = gen_put_number(gen_put(p, "-"), (unsigned)r->number);
    return gen_put(gen_put(p, tail), "\"");
}

static char *put_scales(char *p, const struct report *r, uint64_t bits)
{
    static const char *const names[] = {"K1", "K2", "K3", "K4", "O1", "O2", "O3", "O4", "O5", "BVH"};
    static const char *const words[] = {"overstijgt", "volgens", "benadert", "beneden"};
    int weak = r->advice > 0 ? r->advice : 0, n = 0;
    *p++ = '{';
    for (int i = 0; i < 10 && r->kind == DOORLICHTING; i++, bits >>= 5) {
        int value = 1 + (int)(bits & 7) * (weak + 1) / 10 - ((bits & 31) == 0);
        if ((bits >> 3 & 3) == 0 && i > 1)
            continue; /* not looked at */
        p = gen_put_json(gen_put(p, n++ ? "," : ""), names[i]);
        p = gen_put_json(gen_put(p, ":"), words[value > 3 ? 3 : value]);
    }
    *p++ = '}';
    return p;
}

static const char *word(const char *const *words, int i)
{
    return i == GEN_NOTHING ? NULL : words[i];
}

static char *put_report(const struct writing *w, char *p, const struct report *r, const char *tail)
{
    uint32_t id = gen_place_id(w->world, r->place);
    p = put_key(p, r, tail);
    p = gen_put_number(gen_put(p, ",\"school_id\":\""), id);
    p = gen_put_year(gen_put(p, "\",\"school_year\":"), r->year);
    p = gen_put_date(gen_put(p, ",\"date\":"), r->date);
    p = gen_put_json(gen_put(p, ",\"kind\":"), kind_words[r->kind]);
    p = gen_put_json(gen_put(p, ",\"advice\":"), word(advice_words, r->advice));
    p = gen_put_json(gen_put(p, ",\"leerlingenbegeleiding\":"), word(help_words, r->help));
    p = gen_put_json(gen_put(p, ",\"gok\":"), word(gok_words, r->gok));
    p = gen_put(p, ",\"followup_due\":");
    p = r->followup ? gen_put_date(p, r->followup) : gen_put(p, "null");
    return put_scales(gen_put(p, ",\"scales\":"), r, gen_mix(id * 31 + (unsigned)r->year));
}

/* 30 calendar days to ask (regulation 6); about one board in twelve does not. */
static void note_opschorting(struct writing *w, const struct report *r)
{
    char data[GEN_DATA_MAX];
    uint32_t id = gen_place_id(w->world, r->place);
    uint64_t chance = draw(w, 'a', id);
    if (r->advice != GEN_MET || r->asked_never || chance % 12 == 0)
        return;
    int32_t day = gen_workday(r->date + 6 + (int)((chance >> 8) % 24));
    char *p = gen_put_number(gen_put(put_key(data, r, ""), ",\"school_id\":\""), id);
    p = gen_put_date(gen_put(p, "\",\"asked_on\":"), day);
    gen_agenda_note(&w->agenda, day, "inspection.opschorting.v1", id, id, data, p, true);
}

static void note_report(struct writing *w, const struct report *r)
{
    static const char type[] = "inspection.report.v1";
    char data[GEN_DATA_MAX];
    int32_t again, day = r->date + r->number % 4;
    uint32_t id = gen_place_id(w->world, r->place);
    day = day > w->agenda.last_day ? w->agenda.last_day : day;
    uint64_t what = (uint64_t)r->kind << 48 | (uint64_t)r->year << 32 | (unsigned)r->number;
    enum gen_mend mend = gen_mend_of(&w->agenda, 'i', what, day, &again);
    if (mend == GEN_WRONG_FIRST) {
        struct report wrong = *r;
        wrong.gok = r->gok == NEGATIEF ? POSITIEF : r->gok;
        wrong.help = r->help == BAD ? WERKPUNTEN : r->help;
        wrong.advice = r->advice > 0 ? r->advice - 1 : r->advice;
        wrong.date = r->date - 1;
        gen_agenda_note(&w->agenda, day, type, id, id, data, put_report(w, data, &wrong, ""), false);
    }
    gen_agenda_note(&w->agenda, mend == GEN_WRONG_FIRST ? again : day, type, id, id, data,
                    put_report(w, data, r, ""), true);
    if (mend == GEN_TAKEN_BACK) {
        gen_agenda_note(&w->agenda, day, type, id, id, data, put_report(w, data, r, "-twice"), false);
        gen_agenda_note(&w->agenda, again, "inspection.withdraw.v1", id, 0, data, put_key(data, r, "-twice"),
                        true);
    }
    note_opschorting(w, r);
}

/* ---- slots ---- */

static bool make_room(struct writing *w)
{
    int room = 2 * w->slot_capacity + 64;
    struct report *slots = realloc(w->slots, (size_t)room * sizeof *slots);
    if (!slots)
        return false;
    w->slots = slots;
    struct gen_order *order = realloc(w->order, (size_t)room * sizeof *order);
    if (!order)
        return false;
    w->order = order;
    w->slot_capacity = room;
    return true;
}

/* NULL when there is no memory left. */
static struct report *add_slot(struct writing *w, int level)
{
    if (w->slot_count == w->slot_capacity && !make_room(w)) {
        w->agenda.failed = true;
        return NULL;
    }
    struct report *slot = &w->slots[w->slot_count++];
    *slot = (struct report){.year = w->year,
                            .level = level,
                            .place = -1,
                            .advice = GEN_NOTHING,
                            .gok = GEN_NOTHING,
                            .help = GEN_NOTHING};
    uint64_t r = draw(w, 'w', (unsigned)w->slot_count);
    slot->weakness = (r & 0xffff) + (r >> 16 & 0xffff);
    return slot;
}

/* The slots of the levels in the mask that suit, ordered by weakness and as much chance again, weakest first;
 * chance alone when `even`. */
static int order_slots(struct writing *w, unsigned levels, unsigned what, bool even,
                       bool (*suits)(const struct report *))
{
    int n = 0;
    for (int i = 0; i < w->slot_count; i++) {
        const struct report *s = &w->slots[i];
        if (!(levels & 1u << s->level) || !suits(s))
            continue;
        uint64_t r = draw(w, what, (unsigned)i);
        w->order[n++] = (struct gen_order){(even ? 0 : s->weakness) + (r & 0xffff), i};
    }
    gen_order_sort(w->order, n);
    return n;
}

static bool suits_all(const struct report *s)
{
    (void)s;
    return true;
}
static bool suits_advice(const struct report *s) /* weakness UINT64_MAX marks what has no legal consequence */
{
    return s->weakness != UINT64_MAX;
}
static bool suits_gok(const struct report *s)
{
    return s->gok == GEN_NOTHING;
}

static void give_advice(struct writing *w, unsigned levels, const int *parts)
{
    int n = order_slots(w, levels, 'x', false, suits_advice), i = 0;
    for (int advice = GEN_ADVICES - 1; advice >= 0; advice--)
        for (int k = 0; k < parts[advice] && i < n; k++)
            w->slots[w->order[i++].index].advice = advice;
}

/* Who is assessed is chance; among these the weakest are negative. */
static void give_gok(struct writing *w, int level, int assessed, int negative, int no_means)
{
    int n = order_slots(w, 1u << level, 'g', true, suits_gok);
    for (int i = 0; i < n; i++) {
        int index = w->order[i].index;
        w->slots[index].gok = i < assessed ? POSITIEF : i < assessed + no_means ? NO_MEANS : GEN_NOTHING;
        w->order[i].key =
            i < assessed ? w->slots[index].weakness % 0x20000 + (draw(w, 'n', (unsigned)index) & 0x1ffff) + 1
                         : 0;
    }
    gen_order_sort(w->order, n);
    for (int i = 0; i < negative && i < assessed && i < n; i++)
        w->slots[w->order[i].index].gok = NEGATIEF;
}

static void give_help(struct writing *w, int level, int assessed, int weak, int bad)
{
    int n = order_slots(w, 1u << level, 'h', true, suits_all);
    for (int i = 0; i < n; i++) {
        int index = w->order[i].index;
        w->slots[index].help = i < assessed ? GOOD : GEN_NOTHING;
        w->order[i].key =
            i < assessed ? w->slots[index].weakness % 0x20000 + (draw(w, 'l', (unsigned)index) & 0x1ffff) + 1
                         : 0;
    }
    gen_order_sort(w->order, n);
    for (int i = 0; i < weak && i < assessed && i < n; i++)
        w->slots[w->order[i].index].help = i < bad ? BAD : WERKPUNTEN;
}

static void make_slots(struct writing *w, const struct gen_marginals *m)
{
    const unsigned bao = 1u << GEN_BAO, all = (1u << GEN_PLACE_LEVELS) - 1;
    w->slot_count = 0;
    for (int level = 0; level < GEN_PLACE_LEVELS; level++)
        for (int i = 0; i < m->doorlichting[level]; i++)
            if (!add_slot(w, level))
                return;
    for (int k = 0; k < 2; k++) {
        give_gok(w, k, m->gok_assessed[k], m->gok_negative[k], k ? m->gok_none : 0);
        give_help(w, k, m->help_assessed[k], m->help_weak[k], m->help_negative[k]);
    }
    for (int level = 0; level < GEN_PLACE_LEVELS; level++) {
        int n = order_slots(w, 1u << level, 'z', true, suits_all);
        for (int i = 0; i < m->without[level] && i < n; i++)
            w->slots[w->order[i].index].weakness = UINT64_MAX;
    }
    give_advice(w, bao, m->advice_bao);
    give_advice(w, all & ~bao, m->advice_rest);
}

/* A free slot of the level with that advice (GEN_NOTHING: any) or NULL. */
static struct report *find_slot(struct writing *w, int level, int advice, int gok)
{
    for (int i = 0; i < w->slot_count; i++) {
        struct report *s = &w->slots[i];
        if (s->level == level && s->place < 0 && !s->told && (advice == GEN_NOTHING || s->advice == advice) &&
            (gok == GEN_NOTHING || s->gok == gok))
            return s;
    }
    return NULL;
}

/* A slot for a told doorlichting: one that suits; else one with the advice, its verdict changed for another's; else,
 * in a small world, one more. */
static struct report *claim_slot(struct writing *w, int level, int advice, int gok)
{
    struct report *s = find_slot(w, level, advice, gok);
    if (s)
        return s;
    s = find_slot(w, level, advice, GEN_NOTHING);
    struct report *other = s ? find_slot(w, level, GEN_NOTHING, gok) : NULL;
    if (other) {
        other->gok = s->gok;
        s->gok = gok;
        return s;
    }
    if ((s = add_slot(w, level))) {
        s->advice = advice;
        s->gok = gok;
    }
    return s;
}

/* ---- the schools in trouble ---- */

static const struct told {
    uint32_t school;
    int back; /* school years before the base year */
    enum kind kind;
    int advice, gok, month, day;
    int followup_back, followup_month, followup_day; /* month 0 = none */
} told[] = {
    {GEN_FIRST_NEGATIVE, 0, DOORLICHTING, GEN_TEKORTEN, NEGATIEF, 10, 12, 0, 8, 23},
    {GEN_SECOND_NEGATIVE, 2, DOORLICHTING, GEN_TEKORTEN, NEGATIEF, 11, 17, 1, 11, 17},
    {GEN_SECOND_NEGATIVE, 1, OPVOLGING, GEN_NOTHING, NEGATIEF, 2, 7, 0, 0, 0},
    {GEN_SANCTION_ENDED, 3, DOORLICHTING, GEN_TEKORTEN, NEGATIEF, 1, 14, 2, 1, 14},
    {GEN_SANCTION_ENDED, 2, OPVOLGING, GEN_NOTHING, NEGATIEF, 3, 10, 0, 0, 0},
    {GEN_SANCTION_ENDED, 1, OPVOLGING, GEN_NOTHING, POSITIEF, 5, 9, 0, 0, 0},
    {GEN_ONGUNSTIG_MET, 0, DOORLICHTING, GEN_MET, POSITIEF, 6, 11, 0, 0, 0},
    {GEN_ONGUNSTIG_ZONDER, 0, DOORLICHTING, GEN_ZONDER, POSITIEF, 3, 5, 0, 0, 0},
};

static int32_t day_of(int year, int month, int day)
{
    return gen_workday(gen_date(month < 9 ? year + 1 : year, month, day));
}

/* Takes a verdict for an evaluation out of a doorlichting; false when there is none to take. */
static bool take_verdict(struct writing *w, int level, int gok)
{
    struct report *s = find_slot(w, level, GEN_NOTHING, gok);
    if (s)
        s->gok = GEN_NOTHING;
    return s != NULL;
}

static void tell(struct writing *w, const struct told *t, int number)
{
    int year = w->world->base_year - t->back;
    struct report r = {
        .year = year, .number = 900000 + number, .level = GEN_BAO, .kind = t->kind, .help = GEN_NOTHING};
    if (year == w->year && t->kind == DOORLICHTING) {
        struct report *slot = claim_slot(w, GEN_BAO, t->advice, t->gok);
        if (!slot)
            return;
        r.help = slot->help;
        slot->told = true; /* written here, not with the others */
    } else if (year == w->year)
        (void)take_verdict(w, GEN_BAO, t->gok);
    r.advice = t->advice;
    r.gok = t->gok;
    r.place = gen_place_of(w->world, t->school);
    r.date = day_of(year, t->month, t->day);
    if (t->followup_month)
        r.followup = day_of(w->world->base_year - t->followup_back, t->followup_month, t->followup_day);
    r.asked_never = true;
    if (r.advice == GEN_MET || r.advice == GEN_ZONDER)
        w->unfavourable[r.place] = r.date;
    note_report(w, &r);
}

/* What lies before the first year is history: written with the first. */
static void tell_year(struct writing *w)
{
    int first = w->world->options->years[0];
    for (int i = 0; gen_trouble_told(w->world) && i < (int)(sizeof told / sizeof told[0]); i++) {
        int year = w->world->base_year - told[i].back;
        if (year == w->year || (year < first && w->year == first))
            tell(w, &told[i], i);
    }
}

/* ---- the others ---- */

static void remember(struct writing *w, const struct report *r)
{
    if (r->gok == NEGATIEF && !r->told)
        w->pending[w->pending_count++] = *r;
}

static int32_t draw_followup(const struct report *r, uint64_t chance)
{
    return chance % 5 < 3 ? gen_workday(r->date + 300 + (int)((chance >> 8) % 60)) : 0;
}

/* The evaluations of last year's negative verdicts: two thirds now, three in four positive. */
static void write_evaluations(struct writing *w)
{
    int count = w->pending_count, kept = 0;
    for (int i = 0; i < count; i++) {
        struct report before = w->pending[i];
        uint64_t r = draw(w, 'e', gen_place_id(w->world, before.place));
        int verdict = (r >> 8) % 4 ? POSITIEF : NEGATIEF;
        w->taken[before.place] = 1; /* no doorlichting of its own this year */
        if (r % 3 == 0 || !take_verdict(w, before.level, verdict)) {
            w->pending[kept++] = before;
            continue;
        }
        struct report e = {.year = w->year, .level = before.level, .place = before.place, .kind = OPVOLGING};
        e.number = ++w->numbers[OPVOLGING];
        e.advice = e.help = GEN_NOTHING;
        e.gok = verdict;
        e.date = gen_day_in(w->year, r >> 16, 10, 2, 240);
        note_report(w, &e);
        if (verdict == NEGATIEF)
            w->pending[kept++] = e;
    }
    w->pending_count = kept;
}

static void write_inspections(struct writing *w)
{
    for (int i = 0; i < w->slot_count; i++) {
        struct report *s = &w->slots[i];
        uint64_t r = draw(w, 'd', (unsigned)i);
        if (s->told)
            continue;
        s->place = gen_place_pick(&w->places, s->level, GEN_EQUAL, r, w->taken);
        if (s->place < 0) /* every place of the level has had its turn: only in a small world */
            continue;
        w->taken[s->place] = 1;
        s->number = ++w->numbers[DOORLICHTING];
        s->date = gen_day_in(w->year, r >> 16, 9, 18, 262);
        if (s->gok == NEGATIEF)
            s->followup = draw_followup(s, r >> 40);
        if (s->advice == GEN_MET || s->advice == GEN_ZONDER)
            w->unfavourable[s->place] = s->date;
        note_report(w, s);
        remember(w, s);
    }
}

static void write_visit(struct writing *w, int place, int32_t date)
{
    struct report v = {.year = w->year, .place = place, .kind = BEZOEK, .date = date};
    v.number = ++w->numbers[BEZOEK];
    v.advice = v.gok = v.help = GEN_NOTHING;
    note_report(w, &v);
}

static bool may_be_visited(const struct writing *w, int place)
{
    return !w->unfavourable[place] && !gen_place_in_trouble(w->world, place);
}

/* Visits after unfavourable advice of this year, the earliest advice first; all others to places that never had any. */
static void write_visits(struct writing *w, const struct gen_marginals *m)
{
    int left[GEN_PLACE_LEVELS], n = 0, after = m->after_ongunstig;
    int32_t last = gen_date(w->year + 1, 6, 20);
    memcpy(left, m->bezoek, sizeof left);
    for (int i = 0; i < w->slot_count; i++) {
        const struct report *s = &w->slots[i];
        if (!s->told && s->place >= 0 && (s->advice == GEN_MET || s->advice == GEN_ZONDER))
            w->order[n++] = (struct gen_order){(uint64_t)(100000 - s->date), i};
    }
    gen_order_sort(w->order, n);
    for (int i = 0; i < n && after > 0; i++) {
        const struct report *s = &w->slots[w->order[i].index];
        int32_t date = gen_workday(s->date + 95 + (int)(draw(w, 'v', (unsigned)i) % 30));
        date = date > last ? last : date;
        if (left[s->level] == 0 || date <= s->date)
            continue;
        write_visit(w, s->place, gen_workday(date) > s->date ? gen_workday(date) : date);
        left[s->level]--;
        after--;
    }
    for (int level = 0; level < GEN_PLACE_LEVELS; level++)
        for (int i = 0; i < left[level]; i++) {
            uint64_t r = draw(w, 'b', (unsigned)(level * 10000 + i));
            int place = -1;
            for (uint64_t tries = 0; tries < 400; tries++) {
                place = gen_place_pick(&w->places, level, GEN_EQUAL, gen_mix(r ^ tries << 20), NULL);
                if (place < 0 || may_be_visited(w, place))
                    break;
            }
            if (place >= 0 && may_be_visited(w, place))
                write_visit(w, place, gen_day_in(w->year, r >> 8, 9, 20, 270));
        }
}

static void write_year(struct writing *w)
{
    struct gen_marginals m;
    gen_marginals_of(&m, w->world, w->year);
    memset(w->taken, 0, (size_t)gen_place_count(w->world));
    memset(w->numbers, 0, sizeof w->numbers);
    for (int i = 0; i < w->world->school_count; i++)
        w->taken[i] = gen_place_in_trouble(w->world, i);
    make_slots(w, &m);
    tell_year(w);
    write_evaluations(w);
    write_inspections(w);
    write_visits(w, &m);
}

int gen_feed_inspection(struct gen_world *world, struct gen_output *out)
{
    struct writing w = {.world = world};
    size_t places = (size_t)gen_place_count(world);
    gen_agenda_init(&w.agenda, world);
    int err = gen_places_init(&w.places, world);
    w.taken = calloc(places + 1, sizeof *w.taken);
    w.unfavourable = calloc(places + 1, sizeof *w.unfavourable);
    w.pending = calloc(places * (size_t)world->options->year_count + 1, sizeof *w.pending);
    if (!err && (!w.taken || !w.unfavourable || !w.pending))
        err = ERR_NOMEM;
    for (int i = 0; !err && i < world->options->year_count; i++) {
        w.year = world->options->years[i];
        write_year(&w);
    }
    err = err ? err : gen_agenda_write(&w.agenda, out);
    free(w.slots);
    free(w.order);
    free(w.taken);
    free(w.unfavourable);
    free(w.pending);
    gen_places_fini(&w.places);
    gen_agenda_fini(&w.agenda);
    return err;
}
