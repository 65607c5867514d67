/* SPDX-License-Identifier: MIT
 *
 * The feed melding: what parents and others report about schools, and when the schools answered. Schools with more
 * pupils on opleiding_moeder get somewhat more. Most answers come in time, some late, some never. Two schools are in
 * trouble on the last day: one has not answered in time, one has had very many. */
#include "tools/feed_generate_small.h"

#define FLANDERS_MELDINGEN 172
#define MANY               7

struct melding {
    uint32_t school_id;
    const char *level;
    int year, number;
    int32_t received, answered; /* 0 = never */
    unsigned categories;
};

/* How often, of 100: the seven of leerlingenbegeleiding first. */
static const struct {
    int until;
    const char *name;
} categories[] = {
    {22, "aanpak_pesten_agressie"},
    {28, "grensoverschrijdend_gedrag"},
    {38, "leerrecht"},
    {50, "orde_tucht"},
    {53, "studiebekrachtiging"},
    {56, "vrijheidsbeperkende_maatregelen"},
    {72, "zorg_welzijn"},
    {77, "curriculum"},
    {83, "evaluatie"},
    {88, "inschrijvingsrecht"},
    {92, "lerarentekort"},
    {96, "personeelskwestie"},
    {100, "veiligheid"},
};

static unsigned draw_category(uint64_t r)
{
    unsigned i = 0;
    while ((int)(r % 100) >= categories[i].until)
        i++;
    return 1u << i;
}

static char *put_key(char *p, const struct melding *m, const char *tail)
{
    p = gen_put_number(gen_put(p, "\"melding_id\":\"M-"), (unsigned)m->year);
    p = gen_put_number(gen_put(p, "-"), (unsigned)m->number);
    return gen_put(gen_put(p, tail), "\"");
}

static char *put_melding(char *p, const struct melding *m, const char *tail)
{
    p = put_key(p, m, tail);
    p = gen_put_number(gen_put(p, ",\"school_id\":\""), m->school_id);
    p = gen_put_json(gen_put(p, "\",\"level\":"), m->level);
    p = gen_put_date(gen_put(p, ",\"received_on\":"), m->received);
    p = gen_put(p, ",\"categories\":[");
    for (size_t i = 0, n = 0; i < sizeof categories / sizeof categories[0]; i++)
        if (m->categories & 1u << i)
            p = gen_put_json(gen_put(p, n++ ? "," : ""), categories[i].name);
    return gen_put(p, "]");
}

static void note_melding(struct gen_agenda *agenda, const struct melding *m)
{
    static const char type[] = "melding.ontvangen.v1";
    char data[GEN_DATA_MAX];
    int32_t again, day = m->received + m->number % 3;
    enum gen_mend mend = gen_mend_of(agenda, 'm', (uint64_t)m->year << 32 | (unsigned)m->number, day, &again);
    if (mend == GEN_WRONG_FIRST) {
        struct melding wrong = *m;
        wrong.categories = draw_category((uint64_t)m->number * 37);
        gen_agenda_note(agenda, day, type, m->school_id, m->school_id, data, put_melding(data, &wrong, ""),
                        false);
    }
    gen_agenda_note(agenda, mend == GEN_WRONG_FIRST ? again : day, type, m->school_id, m->school_id, data,
                    put_melding(data, m, ""), true);
    if (mend == GEN_TAKEN_BACK) {
        gen_agenda_note(agenda, day, type, m->school_id, m->school_id, data, put_melding(data, m, "-twice"),
                        false);
        gen_agenda_note(agenda, again, "melding.withdraw.v1", m->school_id, 0, data,
                        put_key(data, m, "-twice"), true);
    }
    if (!m->answered)
        return;
    char *p = gen_put_date(gen_put(put_key(data, m, ""), ",\"answered_on\":"), m->answered);
    gen_agenda_note(agenda, m->answered, "melding.beantwoord.v1", m->school_id, 0, data, p, true);
}

static void draw_melding(const struct gen_places *places, struct gen_agenda *agenda, int year, int number)
{
    static const struct {
        int until, level;
    } levels[] = {{52, GEN_BAO},  {88, GEN_SO},  {92, GEN_BUBAO},
                  {97, GEN_BUSO}, {99, GEN_DKO}, {100, GEN_CLB}};
    const struct gen_world *world = places->world;
    uint64_t r = gen_draw(world->options->seed, GEN_P_MELDING, (unsigned)year, (unsigned)number);
    int k = 0, place = -1;
    while ((int)(r % 100) >= levels[k].until)
        k++;
    for (uint64_t tries = 0; tries < 50 && (place < 0 || gen_place_in_trouble(world, place)); tries++)
        place = gen_place_pick(places, levels[k].level, GEN_BY_NEED, gen_mix(r ^ tries), NULL);
    if (place < 0)
        return;
    struct melding m = {.school_id = gen_place_id(world, place),
                        .level = gen_place_level_names[levels[k].level],
                        .year = year,
                        .number = number,
                        .received = gen_day_in(year, r >> 8, 9, 4, 296)};
    int delay = (int)(r >> 24 & 0xff);
    m.answered = delay < 10   ? 0                                                    /* never */
                 : delay < 30 ? gen_workday(m.received + 33 + (int)((r >> 32) % 30)) /* late */
                              : gen_workday(m.received + 5 + (int)((r >> 32) % 25));
    m.categories = draw_category(r >> 40);
    if ((r >> 56) % 3 == 0)
        m.categories |= draw_category(gen_mix(r));
    if ((r >> 56) % 9 == 0)
        m.categories |= draw_category(gen_mix(gen_mix(r)));
    note_melding(agenda, &m);
}

/* Received on 22 April and not answered; and seven in a school of some 300 pupils, all answered. */
static int note_trouble(const struct gen_world *world, struct gen_agenda *agenda, int year)
{
    int n = 0;
    struct melding m = {.level = "bao", .year = year, .school_id = GEN_MELDING_OVERDUE, .number = ++n};
    m.received = gen_workday(gen_date(year + 1, 4, 22));
    m.categories = 1u << 3 | 1u << 6;
    note_melding(agenda, &m);
    for (int i = 0; i < MANY; i++) {
        m = (struct melding){.level = "bao", .year = year, .school_id = GEN_MELDING_MANY, .number = ++n};
        m.received = gen_workday(gen_date(year, 9, 25) + 35 * i);
        m.answered = gen_workday(m.received + 12 + i);
        m.categories = 1u | (i % 3 == 0 ? 1u << 12 : i % 3 == 1 ? 1u << 6 : 0);
        note_melding(agenda, &m);
    }
    (void)world;
    return n;
}

static void note_unmatched(const struct gen_world *world, struct gen_agenda *agenda)
{
    char data[GEN_DATA_MAX];
    for (int i = 1; i <= world->options->unmatched; i++) {
        int32_t day = gen_workday(gen_date(world->base_year + 1, 3, 4));
        char *p = gen_put_number(gen_put(data, "\"melding_id\":\"M-unmatched-"), (unsigned)i);
        p = gen_put_date(gen_put(p, "\",\"answered_on\":"), day);
        gen_agenda_note(agenda, day, "melding.beantwoord.v1", (unsigned)i, 0, data, p, true);
    }
}

int gen_feed_melding(struct gen_world *world, struct gen_output *out)
{
    struct gen_agenda agenda;
    struct gen_places places;
    gen_agenda_init(&agenda, world);
    int err = gen_places_init(&places, world);
    for (int i = 0; !err && i < world->options->year_count; i++) {
        int year = world->options->years[i], n = 0;
        int many = gen_scale(FLANDERS_MELDINGEN, world->pupils, GEN_FLANDERS_PUPILS);
        if (year == world->base_year && gen_trouble_told(world))
            n = note_trouble(world, &agenda, year);
        while (n < many)
            draw_melding(&places, &agenda, year, ++n);
    }
    note_unmatched(world, &agenda);
    err = err ? err : gen_agenda_write(&agenda, out);
    gen_places_fini(&places);
    gen_agenda_fini(&agenda);
    return err;
}
