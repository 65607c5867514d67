/* SPDX-License-Identifier: MIT
 *
 * The feed aanhuis: requests for permanent onderwijs aan huis (POAH) and the decisions on them, requests for
 * vrijstelling leerplicht (VLP), and notifications of temporary onderwijs aan huis (TOAH). A decision comes weeks
 * after its request, some after a postponement; extensions follow on what was granted the year before; some pupils
 * had TOAH before. All events about one pupil, and the decision on its request, are of that pupil's partition. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_small.h"

#define FLANDERS_TOAH 3200
#define FLANDERS_VLP  45
#define POAH_OWNER    990001 /* of the pupils' identities: no school has it */

struct poah {
    struct gen_who who;
    int year, number, kind; /* kind 0 eerste, 1 verlenging */
    int32_t received;
    int type, form, age, level; /* form 0 = null; level GEN_BUBAO or GEN_BUSO */
    const char *province, *mfc_province;
    bool mfc, at_home, prior_toah, newcomer;
    uint32_t school_id; /* 0 = null */
};
enum outcome { GRANTED, REJECTED, OPEN };

struct granted { /* may ask for an extension */
    struct poah *list;
    int count;
};

struct writing {
    const struct gen_world *world;
    struct gen_agenda agenda;
    struct gen_places places;
    struct granted before, now;
    int toah; /* numbers given this year */
};

static uint64_t draw(const struct writing *w, unsigned what, int year, int number)
{
    return gen_draw(w->world->options->seed, GEN_P_AANHUIS, (uint64_t)what << 16 | (unsigned)year,
                    (unsigned)number);
}

/* "request_id":"P-2023-17", tail within the quotes. */
static char *put_id(char *p, char letter, int year, int number, const char *tail)
{
    p = gen_put(p, "\"request_id\":\"");
    *p++ = letter;
    p = gen_put_number(gen_put(p, "-"), (unsigned)year);
    p = gen_put_number(gen_put(p, "-"), (unsigned)number);
    return gen_put(gen_put(p, tail), "\"");
}

static char *put_school(char *p, uint32_t school_id)
{
    if (!school_id)
        return gen_put(p, ",\"school_id\":null");
    return gen_put(gen_put_number(gen_put(p, ",\"school_id\":\""), school_id), "\"");
}

static char *put_bool(char *p, const char *name, bool value)
{
    return gen_put(gen_put(p, name), value ? "true" : "false");
}

/* ---- TOAH ---- */

struct toah {
    struct gen_who who;
    uint32_t school_id;
    int year, number;
    const char *reason;
    int32_t start, end; /* end 0 = null */
};

static char *put_toah(const struct writing *w, char *p, const struct toah *t, const char *tail)
{
    p = put_id(p, 'T', t->year, t->number, tail);
    p = gen_put_who(gen_put(p, ",\"pupil\":"), w->world, t->who);
    p = put_school(p, t->school_id);
    p = gen_put_year(gen_put(p, ",\"school_year\":"), t->year);
    p = gen_put_json(gen_put(p, ",\"reason\":"), t->reason);
    p = gen_put_date(gen_put(p, ",\"start\":"), t->start);
    p = gen_put(p, ",\"end\":");
    return t->end ? gen_put_date(p, t->end) : gen_put(p, "null");
}

static void note_toah(struct writing *w, const struct toah *t)
{
    static const char type[] = "toah.melding.v1";
    char data[GEN_DATA_MAX];
    int32_t again, day = t->start + 3 + t->number % 9;
    uint64_t key = gen_who_key(w->world, t->who);
    enum gen_mend mend =
        gen_mend_of(&w->agenda, 't', (uint64_t)t->year << 32 | (unsigned)t->number, day, &again);
    if (mend == GEN_WRONG_FIRST) {
        struct toah wrong = *t;
        wrong.reason = strcmp(t->reason, "chronisch_ziek") ? "chronisch_ziek" : "langdurig_ziek";
        gen_agenda_note(&w->agenda, day, type, key, t->school_id, data, put_toah(w, data, &wrong, ""), false);
    }
    gen_agenda_note(&w->agenda, mend == GEN_WRONG_FIRST ? again : day, type, key, t->school_id, data,
                    put_toah(w, data, t, ""), true);
    if (mend == GEN_TAKEN_BACK) {
        gen_agenda_note(&w->agenda, day, type, key, t->school_id, data, put_toah(w, data, t, "-twice"),
                        false);
        gen_agenda_note(&w->agenda, again, "toah.withdraw.v1", key, 0, data,
                        put_id(data, 'T', t->year, t->number, "-twice"), true);
    }
}

/* A pupil of the school's roster of that year. */
static struct gen_who draw_pupil(const struct gen_school *school, int year, uint64_t r)
{
    int n = gen_school_pupils(school);
    return (struct gen_who){school->id,
                            gen_roster_first(school, year) + (uint32_t)(r % (unsigned)(n > 0 ? n : 1))};
}

static void draw_toah(struct writing *w, int year)
{
    static const struct {
        int until, level;
    } levels[] = {{36, GEN_BAO}, {90, GEN_SO}, {95, GEN_BUBAO}, {100, GEN_BUSO}};
    int number = ++w->toah, k = 0;
    uint64_t r = draw(w, 't', year, number);
    while ((int)(r % 100) >= levels[k].until)
        k++;
    int place = gen_place_pick(&w->places, levels[k].level, GEN_BY_SIZE, r, NULL);
    if (place < 0)
        return;
    const struct gen_school *school = &w->world->schools[place];
    int reason = (int)((r >> 8) % 100);
    struct toah t = {.who = draw_pupil(school, year, r >> 16),
                     .school_id = school->id,
                     .year = year,
                     .number = number,
                     .start = gen_day_in(year, r >> 40, 9, 4, 270)};
    bool secondary = school->level == GEN_SO || school->level == GEN_BUSO;
    t.reason = reason < 68                 ? "langdurig_ziek"
               : reason < 98 || !secondary ? "chronisch_ziek"
                                           : "moederschapsverlof";
    if ((r >> 56) % 4)
        t.end = gen_workday(t.start + 24 + (int)((r >> 48) % 120));
    note_toah(w, &t);
}

/* ---- POAH ---- */

static char *put_poah(const struct writing *w, char *p, const struct poah *a, const char *tail)
{
    p = put_id(p, 'P', a->year, a->number, tail);
    p = gen_put_who(gen_put(p, ",\"pupil\":"), w->world, a->who);
    p = gen_put_year(gen_put(p, ",\"school_year\":"), a->year);
    p = gen_put_json(gen_put(p, ",\"kind\":"), a->kind ? "verlenging" : "eerste");
    p = gen_put_date(gen_put(p, ",\"received_on\":"), a->received);
    p = gen_put_number(gen_put(p, ",\"type\":"), (unsigned)a->type);
    p = gen_put(p, ",\"opleidingsvorm\":");
    p = a->form ? gen_put_number(p, (unsigned)a->form) : gen_put(p, "null");
    p = gen_put_number(gen_put(p, ",\"age\":"), (unsigned)a->age);
    p = gen_put_json(gen_put(p, ",\"level\":"), gen_level_names[a->level]);
    p = gen_put_json(gen_put(p, ",\"province\":"), a->province);
    p = put_bool(p, ",\"mfc\":", a->mfc);
    p = gen_put_json(gen_put(p, ",\"mfc_province\":"), a->mfc ? a->mfc_province : NULL);
    p = put_bool(p, ",\"at_home\":", a->at_home);
    p = put_bool(p, ",\"prior_toah\":", a->prior_toah);
    p = put_bool(p, ",\"newcomer\":", a->newcomer);
    return put_school(p, a->school_id);
}

static void note_poah(struct writing *w, const struct poah *a)
{
    static const char type[] = "poah.aanvraag.v1";
    char data[GEN_DATA_MAX];
    int32_t again;
    uint64_t key = gen_who_key(w->world, a->who);
    enum gen_mend mend =
        gen_mend_of(&w->agenda, 'p', (uint64_t)a->year << 32 | (unsigned)a->number, a->received, &again);
    if (mend == GEN_WRONG_FIRST) {
        struct poah wrong = *a;
        wrong.type = a->type % 9 + 1;
        gen_agenda_note(&w->agenda, a->received, type, key, a->school_id, data, put_poah(w, data, &wrong, ""),
                        false);
    }
    gen_agenda_note(&w->agenda, mend == GEN_WRONG_FIRST ? again : a->received, type, key, a->school_id, data,
                    put_poah(w, data, a, ""), true);
    if (mend == GEN_TAKEN_BACK) {
        gen_agenda_note(&w->agenda, a->received, type, key, a->school_id, data,
                        put_poah(w, data, a, "-twice"), false);
        gen_agenda_note(&w->agenda, again, "poah.withdraw.v1", key, 0, data,
                        put_id(data, 'P', a->year, a->number, "-twice"), true);
    }
}

static void note_decision(struct writing *w, const struct poah *a, enum outcome outcome, int32_t day,
                          uint32_t school_id, bool final)
{
    static const char *const words[] = {"goedgekeurd", "afgewezen", "uitgesteld"};
    char data[GEN_DATA_MAX];
    char *p = put_id(data, 'P', a->year, a->number, "");
    p = gen_put_json(gen_put(p, ",\"decision\":"), words[outcome]);
    p = gen_put_date(gen_put(p, ",\"decided_on\":"), day);
    if (outcome == GRANTED) {
        p = gen_put_date(gen_put(p, ",\"valid_from\":"), gen_workday(day + 7));
        p = gen_put_date(gen_put(p, ",\"valid_to\":"), gen_date(a->year + 1, 8, 31));
    } else
        p = gen_put(p, ",\"valid_from\":null,\"valid_to\":null");
    p = put_school(p, outcome == GRANTED ? school_id : 0);
    gen_agenda_note(&w->agenda, day, "poah.beslissing.v1", gen_who_key(w->world, a->who),
                    outcome == GRANTED ? school_id : 0, data, p, final);
}

/* Two to six weeks; one in eight is postponed first. What stays open was postponed too. Some decisions name another
 * school than the request did; every one that grants names one, where there is any. */
static void decide(struct writing *w, const struct poah *a, enum outcome outcome)
{
    uint64_t r = draw(w, 'd', a->year, a->number);
    int32_t day = gen_workday(a->received + 14 + (int)(r % 28));
    uint32_t school_id = a->school_id;
    if (!school_id || (r >> 32) % 8 == 0) {
        int place = gen_place_pick(&w->places, a->level, GEN_BY_SIZE, r, NULL);
        school_id = place < 0 ? a->school_id : gen_place_id(w->world, place);
    }
    bool postponed = outcome == OPEN || (r >> 8) % 8 == 0;
    if (postponed)
        note_decision(w, a, OPEN, day, 0, outcome == OPEN);
    if (outcome == OPEN)
        return;
    note_decision(w, a, outcome, postponed ? gen_workday(day + 15 + (int)((r >> 16) % 20)) : day, school_id,
                  true);
}

/* A first request: who the pupil is stays with it when it is extended. */
static void draw_first(struct writing *w, struct poah *a, uint64_t r)
{
    static const int types[] = {4, 4, 4, 2, 2, 9, 9, 3, 5, 7, 6, 1, 8};
    a->who = (struct gen_who){POAH_OWNER + (unsigned)a->year, (unsigned)a->number};
    a->level = r % 100 < 55 ? GEN_BUBAO : GEN_BUSO;
    a->type = types[(r >> 8) % (sizeof types / sizeof types[0])];
    a->form = a->level == GEN_BUSO ? 1 + (int)((r >> 16) % 8 ? (r >> 16) % 2 : (r >> 19) % 4) : 0;
    a->age = a->level == GEN_BUBAO ? 3 + (int)((r >> 20) % 10) : 13 + (int)((r >> 20) % 9);
    a->province = gen_province(r >> 24);
    a->mfc = (r >> 32) % 4 == 0;
    a->at_home = !a->mfc || (r >> 34) % 4 == 0;
    a->mfc_province = (r >> 36) % 5 ? a->province : gen_province(r >> 40);
    a->newcomer = (r >> 44) % 16 == 0;
    if ((r >> 48) % 8) {
        int place = gen_place_pick(&w->places, a->level, GEN_BY_SIZE, r, NULL);
        a->school_id = place < 0 ? 0 : gen_place_id(w->world, place);
        a->prior_toah = a->school_id && (r >> 52) % 10 < 3;
    }
}

static void note_prior_toah(struct writing *w, const struct poah *a)
{
    struct toah t = {.who = a->who,
                     .school_id = a->school_id,
                     .year = a->year,
                     .number = ++w->toah,
                     .reason = "langdurig_ziek"};
    t.start = gen_workday(a->received - 30 - a->number % 40);
    if (t.start < gen_date(a->year, 9, 1))
        t.start = gen_workday(gen_date(a->year, 9, 4));
    note_toah(w, &t);
}

/* The k-th extension: of what was granted last year, or, before there is anything, of what was granted earlier. */
static void draw_extension(struct writing *w, struct poah *a, int k, uint64_t r)
{
    int year = a->year, number = a->number;
    if (k < w->before.count) {
        *a = w->before.list[k];
        a->age += a->age < 21;
    } else {
        a->year--; /* the identity of an earlier request */
        a->number += 500000;
        draw_first(w, a, r);
        a->prior_toah = false;
    }
    a->year = year;
    a->number = number;
    a->kind = 1;
    a->newcomer = false;
}

static int write_poah(struct writing *w, int year)
{
    struct gen_marginals m;
    gen_marginals_of(&m, w->world, year);
    int firsts = m.poah_first + (m.poah_rejected * 5 + 4) / 9 + (m.poah_open + 1) / 2;
    int all = m.poah_first + m.poah_extended + m.poah_rejected + m.poah_open;
    free(w->before.list);
    w->before = w->now;
    w->now = (struct granted){calloc((size_t)all + 1, sizeof(struct poah)), 0};
    if (!w->now.list)
        return ERR_NOMEM;
    for (int i = 0; i < all; i++) {
        struct poah a = {.year = year, .number = i + 1};
        uint64_t r = draw(w, 'p', year, a.number);
        int nth = i < firsts ? i : i - firsts;
        if (i < firsts)
            draw_first(w, &a, r);
        else
            draw_extension(w, &a, nth, r);
        a.received =
            a.kind ? gen_day_in(year, gen_mix(r), 9, 4, 40) : gen_day_in(year, gen_mix(r), 9, 7, 195);
        /* Rejected and open ones lie behind the granted ones of their kind. */
        int granted = a.kind ? m.poah_extended : m.poah_first,
            open = a.kind ? m.poah_open / 2 : (m.poah_open + 1) / 2;
        int rest = (a.kind ? all - firsts : firsts) - granted - open;
        enum outcome outcome = nth < granted ? GRANTED : nth < granted + rest ? REJECTED : OPEN;
        note_poah(w, &a);
        decide(w, &a, outcome);
        if (a.prior_toah && !a.kind)
            note_prior_toah(w, &a);
        if (outcome == GRANTED)
            w->now.list[w->now.count++] = a;
    }
    return ERR_OK;
}

/* ---- VLP ---- */

static char *put_vlp(const struct writing *w, char *p, int year, int number, uint64_t r, int32_t decided)
{
    static const char *const kinds[] = {"tijdelijk", "definitief"};
    int asked = r % 5 < 2, decision = (int)((r >> 8) % 10);
    p = put_id(p, 'V', year, number, "");
    p = gen_put_who(gen_put(p, ",\"pupil\":"), w->world,
                    (struct gen_who){POAH_OWNER + 1000, (unsigned)(year * 10000 + number)});
    p = gen_put_year(gen_put(p, ",\"school_year\":"), year);
    p = gen_put_json(gen_put(p, ",\"kind\":"), kinds[asked]);
    if (!decided)
        return gen_put(p, ",\"decision\":null,\"granted_kind\":null,\"decided_on\":null");
    p = gen_put_json(gen_put(p, ",\"decision\":"), decision < 8   ? "goedgekeurd"
                                                   : decision < 9 ? "afgewezen"
                                                                  : "uitgesteld");
    p = gen_put_json(gen_put(p, ",\"granted_kind\":"), decision >= 8 ? NULL : kinds[asked && (r >> 16) % 4]);
    return gen_put_date(gen_put(p, ",\"decided_on\":"), decided);
}

/* Sent when it is asked and again when it is decided. */
static void write_vlp(struct writing *w, int year)
{
    int all = gen_scale(FLANDERS_VLP, w->world->pupils, GEN_FLANDERS_PUPILS);
    for (int number = 1; number <= all; number++) {
        char data[GEN_DATA_MAX];
        uint64_t r = draw(w, 'v', year, number);
        uint64_t key =
            gen_who_key(w->world, (struct gen_who){POAH_OWNER + 1000, (unsigned)(year * 10000 + number)});
        int32_t asked = gen_day_in(year, r >> 32, 9, 4, 230),
                decided = gen_workday(asked + 14 + (int)((r >> 24) % 40));
        gen_agenda_note(&w->agenda, asked, "vlp.aanvraag.v1", key, 0, data,
                        put_vlp(w, data, year, number, r, 0), false);
        gen_agenda_note(&w->agenda, decided, "vlp.aanvraag.v1", key, 0, data,
                        put_vlp(w, data, year, number, r, decided), true);
    }
}

/* Decisions on requests that nobody made. */
static void note_unmatched(struct writing *w)
{
    char data[GEN_DATA_MAX];
    for (int i = 1; i <= w->world->options->unmatched; i++) {
        int32_t day = gen_workday(gen_date(w->world->base_year + 1, 3, 4));
        char *p = gen_put_number(gen_put(data, "\"request_id\":\"P-unmatched-"), (unsigned)i);
        p = gen_put_date(gen_put(p, "\",\"decision\":\"afgewezen\",\"decided_on\":"), day);
        gen_agenda_note(&w->agenda, day, "poah.beslissing.v1", (unsigned)i, 0, data, p, true);
    }
}

int gen_feed_aanhuis(struct gen_world *world, struct gen_output *out)
{
    struct writing w = {.world = world};
    gen_agenda_init(&w.agenda, world);
    int err = gen_places_init(&w.places, world);
    for (int i = 0; !err && i < world->options->year_count; i++) {
        int year = world->options->years[i],
            toah = gen_scale(FLANDERS_TOAH, world->pupils, GEN_FLANDERS_PUPILS);
        w.toah = 0;
        err = write_poah(&w, year);
        write_vlp(&w, year);
        while (!err && w.toah < toah)
            draw_toah(&w, year);
    }
    note_unmatched(&w);
    err = err ? err : gen_agenda_write(&w.agenda, out);
    free(w.before.list);
    free(w.now.list);
    gen_places_fini(&w.places);
    gen_agenda_fini(&w.agenda);
    return err;
}
