/* SPDX-License-Identifier: MIT
 *
 * The agenda of the feeds with few events, and whom they are about. Decides the day the feeds stand at, the order
 * in which events are written, and which place a draw falls on. Knows no event type. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_small.h"

const char *const gen_place_level_names[GEN_PLACE_LEVELS] = {"bao", "so",  "bubao", "buso",
                                                             "dko", "vwo", "clb",   "naft"};

/* ---- places ---- */

bool gen_trouble_told(const struct gen_world *world)
{
    return world->options->schools >= GEN_TROUBLE_SCHOOLS;
}

bool gen_place_in_trouble(const struct gen_world *world, int place)
{
    static const uint32_t ids[] = {GEN_FIRST_NEGATIVE, GEN_SECOND_NEGATIVE,  GEN_SANCTION_ENDED,
                                   GEN_ONGUNSTIG_MET,  GEN_ONGUNSTIG_ZONDER, GEN_MELDING_OVERDUE,
                                   GEN_MELDING_MANY};
    uint32_t id = gen_place_id(world, place);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (id == ids[i])
            return gen_trouble_told(world);
    return false;
}

int gen_place_count(const struct gen_world *world)
{
    int n = world->school_count;
    for (int l = GEN_LEVELS; l < GEN_PLACE_LEVELS; l++)
        n += world->others[l];
    return n;
}

uint32_t gen_place_id(const struct gen_world *world, int place)
{
    return place < world->school_count ? world->schools[place].id
                                       : GEN_OTHER_ID + (uint32_t)(place - world->school_count);
}

int gen_place_of(const struct gen_world *world, uint32_t school_id)
{
    return world->published_count + (int)(school_id - GEN_FIRST_ID);
}

int gen_place_level(const struct gen_world *world, int place)
{
    if (place < world->school_count)
        return (int)world->schools[place].level;
    place -= world->school_count;
    int level = GEN_LEVELS;
    while (place >= world->others[level])
        place -= world->others[level++];
    return level;
}

/* About as the pupils of Flanders are spread, in percent. */
const char *gen_province(uint64_t r)
{
    static const struct {
        int until;
        const char *name;
    } part[] = {{28, "antwerpen"},      {50, "oost-vlaanderen"}, {67, "west-vlaanderen"},
                {83, "vlaams-brabant"}, {96, "limburg"},         {100, "brussel"}};
    int i = 0;
    while ((int)(r % 100) >= part[i].until)
        i++;
    return part[i].name;
}

const char *gen_place_province(const struct gen_world *world, int place)
{
    if (place < world->school_count)
        return world->schools[place].province;
    return gen_province(gen_draw(world->options->seed, GEN_P_SCHOOL, gen_place_id(world, place), 0));
}

int gen_school_pupils(const struct gen_school *school)
{
    return school->published ? school->size / 2 : school->size;
}

int gen_places_init(struct gen_places *places, const struct gen_world *world)
{
    int n = gen_place_count(world);
    memset(places, 0, sizeof *places);
    places->world = world;
    for (int l = 0; l < GEN_PLACE_LEVELS; l++)
        if (!(places->list[l] = calloc((size_t)n + 1, sizeof *places->list[l])))
            return ERR_NOMEM;
    for (int i = 0; i < n; i++) {
        int level = gen_place_level(world, i);
        places->list[level][places->count[level]++] = i;
    }
    return ERR_OK;
}

void gen_places_fini(struct gen_places *places)
{
    for (int l = 0; l < GEN_PLACE_LEVELS; l++)
        free(places->list[l]);
}

/* Per 10,000: how readily a draw that falls on the school is accepted. */
static int acceptance(const struct gen_school *school, enum gen_weight weight)
{
    int64_t size = gen_school_pupils(school) < 800 ? gen_school_pupils(school) : 800;
    int64_t need = weight == GEN_BY_NEED ? 2000 + 2 * school->share[GEN_MOEDER] : 10000;
    int accepted = (int)(size * (need < 10000 ? need : 10000) / 800);
    return accepted > 1 ? accepted : 1;
}

int gen_place_pick(const struct gen_places *places, int level, enum gen_weight weight, uint64_t r,
                   const uint8_t *taken)
{
    const struct gen_world *world = places->world;
    int n = places->count[level];
    if (n == 0)
        return -1;
    for (int tries = 0; tries < 200; tries++) {
        r = gen_mix(r);
        int place = places->list[level][(r >> 20) % (unsigned)n];
        if (taken && taken[place])
            continue;
        if (weight == GEN_EQUAL || place >= world->school_count ||
            (int)(gen_mix(r) % 10000) < acceptance(&world->schools[place], weight))
            return place;
    }
    for (int i = 0; i < n; i++) { /* nearly all are taken: the next that is not */
        int place = places->list[level][((r >> 20) + (unsigned)i) % (unsigned)n];
        if (!taken || !taken[place])
            return place;
    }
    return -1;
}

/* ---- pupils ---- */

#define TOLD_NAME "feedfeedfeedfeedfeedfeedfee" /* and five digits */

char *gen_put_who(char *p, const struct gen_world *world, struct gen_who who)
{
    if (who.owner != GEN_TOLD)
        return gen_put_pupil(p, world->options->seed, who.owner, who.number);
    p = gen_put(p, "\"" TOLD_NAME);
    return gen_put(gen_put_number(p, who.number), "\"");
}

uint64_t gen_who_key(const struct gen_world *world, struct gen_who who)
{
    if (who.owner == GEN_TOLD)
        return 0xfeedfeedfeedfeedu;
    return gen_draw(world->options->seed, GEN_P_PUPIL_A, who.owner, who.number);
}

/* ---- agenda ---- */

struct gen_entry {
    int32_t day;
    uint32_t nth, subject;
    bool final;
    const char *type; /* static */
    uint64_t key;
    size_t at, len; /* in the agenda's text */
};

/* 28 June of the last school year: nearly all of it is known, and what happened in June is still open. */
int32_t gen_last_day(const struct gen_world *world)
{
    int last = world->options->years[world->options->year_count - 1];
    return gen_date((last > world->base_year ? last : world->base_year) + 1, 6, 28);
}

int32_t gen_workday(int32_t day)
{
    int weekday = (int)((day + 3) % 7); /* 0 = Monday */
    return weekday < 5 ? day : day - (weekday - 4);
}

int32_t gen_day_in(int year, uint64_t r, int month, int day, int days)
{
    return gen_workday(gen_date(month < 9 ? year + 1 : year, month, day) + (int)(r % (unsigned)days));
}

void gen_agenda_init(struct gen_agenda *agenda, const struct gen_world *world)
{
    memset(agenda, 0, sizeof *agenda);
    agenda->world = world;
    agenda->last_day = gen_last_day(world);
}

void gen_agenda_fini(struct gen_agenda *agenda)
{
    free(agenda->entries);
    free(agenda->text);
}

static void *grow(struct gen_agenda *agenda, void *block, size_t needed, size_t *capacity, size_t unit)
{
    if (needed <= *capacity)
        return block;
    size_t room = needed > 2 * *capacity ? 2 * needed + 64 : 2 * *capacity;
    void *more = realloc(block, room * unit);
    if (!more) {
        agenda->failed = true;
        return block;
    }
    *capacity = room;
    return more;
}

void gen_agenda_note(struct gen_agenda *agenda, int32_t day, const char *type, uint64_t key, uint32_t subject,
                     const char *data, const char *end, bool final)
{
    size_t len = (size_t)(end - data);
    if (day > agenda->last_day)
        return;
    agenda->entries =
        grow(agenda, agenda->entries, agenda->count + 1, &agenda->capacity, sizeof *agenda->entries);
    agenda->text = grow(agenda, agenda->text, agenda->text_len + len, &agenda->text_capacity, 1);
    if (agenda->failed)
        return;
    memcpy(agenda->text + agenda->text_len, data, len);
    agenda->entries[agenda->count] = (struct gen_entry){.day = day,
                                                        .nth = (uint32_t)agenda->count,
                                                        .subject = subject,
                                                        .final = final,
                                                        .type = type,
                                                        .key = key,
                                                        .at = agenda->text_len,
                                                        .len = len};
    agenda->count++;
    agenda->text_len += len;
}

static int compare_entries(const void *a, const void *b)
{
    const struct gen_entry *x = a, *y = b;
    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return x->nth < y->nth ? -1 : x->nth > y->nth;
}

int gen_agenda_write(struct gen_agenda *agenda, struct gen_output *out)
{
    int32_t today = 0;
    if (agenda->failed)
        return ERR_NOMEM;
    if (agenda->count)
        qsort(agenda->entries, agenda->count, sizeof *agenda->entries, compare_entries);
    for (size_t i = 0; i < agenda->count; i++) {
        const struct gen_entry *e = &agenda->entries[i];
        if (e->day != today)
            out->now_s = (int64_t)e->day * 86400 + 7 * 3600;
        today = e->day;
        out->now_s += 1 + (int64_t)(out->number % 7);
        out->may_repeat_late = e->final;
        uint32_t subject = e->subject & 1 ? e->subject : 0; /* half of the publishers name it */
        char *p = gen_event_begin_for(out, e->type, e->key, subject);
        if (!p)
            continue;
        memcpy(p, agenda->text + e->at, e->len);
        gen_event_end(out, p + e->len, e->subject ? e->subject : GEN_FIRST_ID);
    }
    gen_output_late(out);
    return ERR_OK;
}

/* Put right within three weeks, and in any case before the day the feeds stand at. */
enum gen_mend gen_mend_of(const struct gen_agenda *agenda, char feed, uint64_t what, int32_t day,
                          int32_t *mended_on)
{
    const struct gen_options *o = agenda->world->options;
    uint64_t r = gen_draw(o->seed, GEN_P_MEND, (unsigned char)feed, what);
    *mended_on = day + 2 + (int32_t)((r >> 32) % 20);
    if (*mended_on > agenda->last_day)
        *mended_on = agenda->last_day;
    if (!o->corrections || (int)(r % 10000) >= o->corrections || day > agenda->last_day)
        return GEN_RIGHT;
    return (r >> 24 & 3) == 0 ? GEN_TAKEN_BACK : GEN_WRONG_FIRST;
}

static int compare_order(const void *a, const void *b)
{
    const struct gen_order *x = a, *y = b;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void gen_order_sort(struct gen_order *order, int n)
{
    if (n > 1)
        qsort(order, (size_t)n, sizeof *order, compare_order);
}
