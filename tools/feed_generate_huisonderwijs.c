/* SPDX-License-Identifier: MIT
 *
 * The feed huisonderwijs: the yearly verklaringen and the controls. Most pupils go on from year to year: a window over
 * pupil numbers moves on by two fifths of its length. Who is new may have left a school, and of those two fifths
 * left one school in forty. A second control follows an insufficient first one. Two pupils show trouble. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_small.h"

#define OWNER 990000 /* of the pupils' identities: no school has it */
#define COLLECTIVE                                                                                           \
    520 /* verklaringen of pupils in private schools, besides the individual ones, in Flanders */
#define MARKED_EACH 40 /* one in so many schools sees many leave */

enum { BASIS, SECUNDAIR };
static const char *const level_words[] = {"basis", "secundair"};
enum verdict { VOLDOENDE, ONVOLDOENDE, GEWEIGERD };
static const char *const verdict_words[] = {"voldoende", "onvoldoende", "geweigerd"};

struct controle {
    struct gen_who who;
    int year, number, ordinal, level;
    const char *province;
    int32_t date;
    enum verdict verdict;
};

struct writing {
    const struct gen_world *world;
    struct gen_agenda agenda;
    struct gen_places places;
    int controls; /* numbers given this year */
};

static uint64_t draw(const struct writing *w, unsigned what, int year, uint32_t number)
{
    return gen_draw(w->world->options->seed, GEN_P_HUISONDERWIJS, (uint64_t)what << 16 | (unsigned)year,
                    number);
}

/* ---- verklaringen ---- */

static bool is_marked(const struct writing *w, int place)
{
    return draw(w, 'm', 0, gen_place_id(w->world, place)) % MARKED_EACH == 0;
}

/* The school a new pupil left: none for those who never went to one. */
static uint32_t left_school(const struct writing *w, int level, uint64_t r)
{
    int from = level == BASIS ? ((r >> 8) % 12 ? GEN_BAO : GEN_BUBAO) : ((r >> 8) % 12 ? GEN_SO : GEN_BUSO);
    int place = -1;
    if (r % 100 < (level == BASIS ? 45 : 15))
        return 0;
    bool marked = (r >> 16) % 5 < 2;
    for (uint64_t tries = 0; tries < 300; tries++) {
        place = gen_place_pick(&w->places, from, GEN_BY_SIZE, gen_mix(r ^ tries << 1), NULL);
        if (place < 0 || !marked || is_marked(w, place))
            break;
    }
    return place < 0 ? 0 : gen_place_id(w->world, place);
}

struct verklaring {
    struct gen_who who;
    int year, number, level;
    bool collective;
    const char *province;
    int32_t declared;
    uint32_t last_school_id; /* 0 = null */
};

static char *put_key(char *p, const char *start, int year, int number, const char *tail)
{
    p = gen_put_number(gen_put(p, start), (unsigned)year);
    p = gen_put_number(gen_put(p, "-"), (unsigned)number);
    return gen_put(gen_put(p, tail), "\"");
}

static char *put_verklaring(const struct writing *w, char *p, const struct verklaring *v, const char *tail)
{
    p = put_key(p, "\"verklaring_id\":\"V-", v->year, v->number, tail);
    p = gen_put_who(gen_put(p, ",\"pupil\":"), w->world, v->who);
    p = gen_put_year(gen_put(p, ",\"school_year\":"), v->year);
    p = gen_put_json(gen_put(p, ",\"kind\":"), v->collective ? "collectief" : "individueel");
    p = gen_put_json(gen_put(p, ",\"level\":"), level_words[v->level]);
    p = gen_put_json(gen_put(p, ",\"province\":"), v->province);
    p = gen_put_date(gen_put(p, ",\"declared_on\":"), v->declared);
    if (!v->last_school_id)
        return gen_put(p, ",\"last_school_id\":null");
    return gen_put(gen_put_number(gen_put(p, ",\"last_school_id\":\""), v->last_school_id), "\"");
}

static void note_verklaring(struct writing *w, const struct verklaring *v)
{
    static const char type[] = "huisonderwijs.verklaring.v1";
    char data[GEN_DATA_MAX];
    int32_t again, day = v->declared + v->number % 4;
    uint64_t key = gen_who_key(w->world, v->who);
    enum gen_mend mend =
        gen_mend_of(&w->agenda, 'v', (uint64_t)v->year << 32 | (unsigned)v->number, day, &again);
    if (mend == GEN_WRONG_FIRST) {
        struct verklaring wrong = *v;
        wrong.level = !v->level;
        gen_agenda_note(&w->agenda, day, type, key, 0, data, put_verklaring(w, data, &wrong, ""), false);
    }
    gen_agenda_note(&w->agenda, mend == GEN_WRONG_FIRST ? again : day, type, key, 0, data,
                    put_verklaring(w, data, v, ""), true);
    if (mend == GEN_TAKEN_BACK) {
        gen_agenda_note(&w->agenda, day, type, key, 0, data, put_verklaring(w, data, v, "-twice"), false);
        gen_agenda_note(&w->agenda, again, "verklaring.withdraw.v1", key, 0, data,
                        put_key(data, "\"verklaring_id\":\"V-", v->year, v->number, "-twice"), true);
    }
}

/* The 3rd school day for most; who leaves a school in the course of the year declares then. */
static struct verklaring draw_verklaring(const struct writing *w, int year, uint32_t number, int level,
                                         bool fresh)
{
    uint64_t r = draw(w, 'v', 0, number), of_year = draw(w, 'y', year, number);
    struct verklaring v = {.who = {OWNER, number}, .year = year, .level = level, .province = gen_province(r)};
    v.collective = false;
    v.declared = gen_workday(gen_date(year, 9, 1) + (int)(of_year % 5));
    if (fresh) {
        v.last_school_id = left_school(w, level, gen_mix(r));
        if ((of_year >> 8) % 4 == 0)
            v.declared = gen_day_in(year, of_year >> 16, 9, 12, 200);
    }
    return v;
}

/* ---- controls ---- */

static char *put_criteria(char *p, enum verdict verdict, uint64_t r)
{
    static const char *const names[] = {"leermiddelen", "onderwijsdoelen", "aanbod", "organisatie",
                                        "evaluatie"};
    if (verdict == GEWEIGERD)
        return gen_put(p, "null");
    *p++ = '{';
    for (int i = 0; i < 5; i++) {
        bool weak = verdict == ONVOLDOENDE && (i == (int)(r % 5) || (r >> (8 + 2 * i)) % 4 < 2);
        p = gen_put_json(gen_put(p, i ? "," : ""), names[i]);
        p = gen_put(p, weak ? ":\"onvoldoende\"" : ":\"voldoende\"");
    }
    *p++ = '}';
    return p;
}

static char *put_controle(const struct writing *w, char *p, const struct controle *c, const char *tail)
{
    p = put_key(p, "\"controle_id\":\"C-", c->year, c->number, tail);
    p = gen_put_who(gen_put(p, ",\"pupil\":"), w->world, c->who);
    p = gen_put_year(gen_put(p, ",\"school_year\":"), c->year);
    p = gen_put_json(gen_put(p, ",\"level\":"), level_words[c->level]);
    p = gen_put_json(gen_put(p, ",\"province\":"), c->province);
    p = gen_put_date(gen_put(p, ",\"date\":"), c->date);
    p = gen_put_number(gen_put(p, ",\"ordinal\":"), (unsigned)c->ordinal);
    p = gen_put_json(gen_put(p, ",\"verdict\":"), verdict_words[c->verdict]);
    return put_criteria(gen_put(p, ",\"criteria\":"), c->verdict, draw(w, 'k', c->year, (uint32_t)c->number));
}

static void note_controle(struct writing *w, const struct controle *c)
{
    static const char type[] = "huisonderwijs.controle.v1";
    char data[GEN_DATA_MAX];
    int32_t again, day = c->date + 1 + c->number % 5;
    uint64_t key = gen_who_key(w->world, c->who);
    day = day > w->agenda.last_day ? w->agenda.last_day : day;
    enum gen_mend mend =
        gen_mend_of(&w->agenda, 'c', (uint64_t)c->year << 32 | (unsigned)c->number, day, &again);
    if (mend == GEN_WRONG_FIRST) {
        struct controle wrong = *c;
        wrong.verdict = c->verdict == VOLDOENDE ? ONVOLDOENDE : VOLDOENDE;
        gen_agenda_note(&w->agenda, day, type, key, 0, data, put_controle(w, data, &wrong, ""), false);
    }
    gen_agenda_note(&w->agenda, mend == GEN_WRONG_FIRST ? again : day, type, key, 0, data,
                    put_controle(w, data, c, ""), true);
    if (mend == GEN_TAKEN_BACK) {
        gen_agenda_note(&w->agenda, day, type, key, 0, data, put_controle(w, data, c, "-twice"), false);
        gen_agenda_note(&w->agenda, again, "controle.withdraw.v1", key, 0, data,
                        put_key(data, "\"controle_id\":\"C-", c->year, c->number, "-twice"), true);
    }
}

static enum verdict draw_insufficient(const struct gen_marginals *m, uint64_t r)
{
    return (int)(r % 100) < m->refused ? GEWEIGERD : ONVOLDOENDE;
}

/* How many of the insufficient first controls fall on basis: in proportion, but none too few for the second ones. */
static int share_insufficient(const struct gen_marginals *m)
{
    int basis = gen_scale(m->first_insufficient, m->first[BASIS], m->first[BASIS] + m->first[SECUNDAIR]);
    int most = m->first_insufficient - m->second[SECUNDAIR];
    basis = basis > most ? most : basis;
    basis = basis < m->second[BASIS] ? m->second[BASIS] : basis;
    return basis < m->first[BASIS] ? basis : m->first[BASIS];
}

/* ---- trouble: two pupils whose names are fixed ---- */

/* What they take of the year's totals. */
struct told {
    int first[2], first_insufficient;
};

/* The second insufficient one lies in the year after the first, as a first control of that year. */
static struct told note_trouble(struct writing *w, int year)
{
    static const struct {
        uint32_t pupil;
        int back, month, day;
    } controls[] = {{GEN_CONTROL_DUE, 0, 5, 13},
                    {GEN_SECOND_INSUFFICIENT, 1, 5, 22},
                    {GEN_SECOND_INSUFFICIENT, 0, 2, 26}};
    struct told told = {0};
    if (!gen_trouble_told(w->world))
        return told;
    for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++) {
        int of = w->world->base_year - controls[i].back;
        bool before = of < w->world->options->years[0] && year == w->world->options->years[0];
        if (of != year && !before) /* a year before the first one is history: written with the first */
            continue;
        struct controle c = {
            .who = {GEN_TOLD, controls[i].pupil}, .year = of, .ordinal = 1, .province = "limburg"};
        c.number = 900000 + (int)i;
        c.verdict = ONVOLDOENDE;
        c.date = gen_workday(gen_date(of + 1, controls[i].month, controls[i].day));
        note_controle(w, &c);
        told.first[BASIS] += of == year;
        told.first_insufficient += of == year;
    }
    return told;
}

/* ---- a year ---- */

/* First controls of evenly drawn pupils of the level, in the order of a score; the first of them are the insufficient
 * ones, and the first of those have a second control. */
static int write_controls(struct writing *w, const struct gen_marginals *m, const struct told *told, int year,
                          const struct verklaring *all, int count)
{
    struct gen_order *order = calloc((size_t)count + 1, sizeof *order);
    int insufficient[2], again = m->second_insufficient, seconds = m->second[0] + m->second[1];
    if (!order)
        return ERR_NOMEM;
    insufficient[BASIS] = share_insufficient(m) - told->first_insufficient;
    insufficient[SECUNDAIR] = m->first_insufficient - share_insufficient(m);
    for (int level = BASIS; level <= SECUNDAIR; level++) {
        int n = 0, first = m->first[level] - told->first[level];
        for (int i = 0; i < count; i++)
            if (all[i].level == level)
                order[n++] = (struct gen_order){draw(w, 'o', year, all[i].who.number), i};
        gen_order_sort(order, n);
        for (int i = 0; i < first && i < n; i++) {
            const struct verklaring *v = &all[order[i].index];
            uint64_t r = draw(w, 'c', year, v->who.number);
            struct controle c = {
                .who = v->who, .year = year, .ordinal = 1, .level = level, .province = v->province};
            c.number = ++w->controls;
            c.date = gen_day_in(year, r, 10, 2, 165);
            if (c.date < v->declared + 14)
                c.date = gen_workday(v->declared + 14);
            c.verdict = i < insufficient[level] ? draw_insufficient(m, r >> 32) : VOLDOENDE;
            note_controle(w, &c);
            if (i >= insufficient[level] || i >= m->second[level])
                continue;
            c.ordinal = 2; /* by five to nine weeks later */
            c.number = ++w->controls;
            c.date = gen_workday(c.date + 35 + (int)((r >> 16) % 30));
            bool weak = (int)((r >> 40) % (unsigned)seconds) < again; /* so many of those left */
            c.verdict = weak ? draw_insufficient(m, r >> 48) : VOLDOENDE;
            again -= weak;
            seconds--;
            note_controle(w, &c);
        }
    }
    free(order);
    return ERR_OK;
}

static int write_year(struct writing *w, int year)
{
    struct gen_marginals m;
    gen_marginals_of(&m, w->world, year);
    int collective = gen_scale(COLLECTIVE, w->world->pupils, GEN_FLANDERS_PUPILS), number = 0;
    int step = m.verklaringen * 2 / 5;
    struct verklaring *all = calloc((size_t)(m.verklaringen + 1), sizeof *all);
    if (!all)
        return ERR_NOMEM;
    w->controls = 0;
    uint32_t start = 1000000u + (uint32_t)((year - 1990) * step);
    for (int i = 0; i < m.verklaringen; i++) { /* the older ones first */
        int level = i * 9 < m.verklaringen * 5 ? SECUNDAIR : BASIS;
        all[i] =
            draw_verklaring(w, year, start + (uint32_t)i, level, i >= m.verklaringen - step || i % 9 == 0);
        all[i].number = ++number;
        note_verklaring(w, &all[i]);
    }
    for (int i = 0; i < collective; i++) {
        struct verklaring v =
            draw_verklaring(w, year, 5000000u + (uint32_t)(i + (year - 1990) * (collective / 5)),
                            i * 2 < collective ? SECUNDAIR : BASIS, false);
        v.collective = true;
        v.number = ++number;
        note_verklaring(w, &v);
    }
    struct told told = note_trouble(w, year);
    for (int k = 0; k < 2; k++) { /* in a small world they may come on top */
        m.first[k] = m.first[k] < told.first[k] ? told.first[k] : m.first[k];
    }
    if (share_insufficient(&m) < told.first_insufficient + m.second[BASIS])
        m.first_insufficient += told.first_insufficient;
    int err = write_controls(w, &m, &told, year, all, m.verklaringen);
    free(all);
    return err;
}

/* Second controls without a first one, of the year before all others: so no total of these is touched. */
static void note_unmatched(struct writing *w)
{
    for (int i = 1; i <= w->world->options->unmatched; i++) {
        int year = w->world->options->years[0] - 1;
        struct controle c = {
            .who = {OWNER, 9000000u + (uint32_t)i}, .year = year, .ordinal = 2, .level = SECUNDAIR};
        c.number = 800000 + i;
        c.province = "antwerpen";
        c.date = gen_workday(gen_date(year + 1, 5, 6));
        note_controle(w, &c);
    }
}

int gen_feed_huisonderwijs(struct gen_world *world, struct gen_output *out)
{
    struct writing w = {.world = world};
    gen_agenda_init(&w.agenda, world);
    int err = gen_places_init(&w.places, world);
    for (int i = 0; !err && i < world->options->year_count; i++)
        err = write_year(&w, world->options->years[i]);
    note_unmatched(&w);
    err = err ? err : gen_agenda_write(&w.agenda, out);
    gen_places_fini(&w.places);
    gen_agenda_fini(&w.agenda);
    return err;
}
