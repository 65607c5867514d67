/* SPDX-License-Identifier: MIT
 *
 * What the feeds inspection, huisonderwijs, aanhuis and melding share in the generator: how many events of what
 * kind a school year has, which place an event is about, and the agenda, on which events of several years are noted
 * in any order and from which they are written day by day. Integers only, as everywhere in the generator. */
#pragma once

#include "tools/feed_generate_model.h"

/* ---- how many (feed_generate_marginals.c) ---- */
enum gen_advice { GEN_GUNSTIG, GEN_TEKORTEN, GEN_MET, GEN_ZONDER, GEN_ADVICES };
#define GEN_NOTHING (-1) /* no advice, no verdict */

/* Indices 0 and 1 of pairs: bao and so, or huisonderwijs of level basis and secundair. */
struct gen_marginals {
    int doorlichting[GEN_PLACE_LEVELS], without[GEN_PLACE_LEVELS]; /* of these: without legal consequence */
    int bezoek[GEN_PLACE_LEVELS], after_ongunstig;
    int advice_bao[GEN_ADVICES], advice_rest[GEN_ADVICES];
    int gok_negative[2], gok_assessed[2], gok_none; /* none: so without GOK means */
    int help_negative[2], help_weak[2],
        help_assessed[2]; /* leerlingenbegeleiding; weak: negatief or werkpunten */
    int first[2], second[2], first_insufficient, second_insufficient, verklaringen;
    int poah_first, poah_extended, poah_rejected, poah_open; /* granted, granted, rejected, postponed */
    int refused; /* of the insufficient controls, percent that were refused; the publication names none */
};
/* Reads the file, or says on standard error what is wrong with it. */
int gen_marginals_read(struct gen_marginals *m, const char *path) MUST_CHECK;
/* Those of one school year: the file's for 2023-2024, otherwise the published proportions at the world's scale. */
void gen_marginals_of(struct gen_marginals *m, const struct gen_world *world, int year);
int gen_scale(int64_t n, int64_t part, int64_t whole); /* n x part / whole, half up */
#define GEN_FLANDERS_SCHOOLS 3850
#define GEN_FLANDERS_PUPILS  1200000

/* ---- whom (feed_generate_agenda.c) ---- */
enum gen_trouble { /* the generated schools that show something, by id; told from 20 schools on */
                   GEN_FIRST_NEGATIVE = GEN_FIRST_ID,
                   GEN_SECOND_NEGATIVE = GEN_FIRST_ID + 1,
                   GEN_SANCTION_ENDED = GEN_FIRST_ID + 4,
                   GEN_ONGUNSTIG_MET = GEN_FIRST_ID + 6,
                   GEN_ONGUNSTIG_ZONDER = GEN_FIRST_ID + 9,
                   GEN_MELDING_OVERDUE = GEN_FIRST_ID + 11,
                   GEN_MELDING_MANY = GEN_FIRST_ID + 12
};
#define GEN_TROUBLE_SCHOOLS 20
bool gen_trouble_told(const struct gen_world *world);
bool gen_place_in_trouble(const struct gen_world *world, int place);

struct gen_places { /* the places by level */
    const struct gen_world *world;
    int *list[GEN_PLACE_LEVELS], count[GEN_PLACE_LEVELS];
};
enum gen_weight { GEN_EQUAL, GEN_BY_SIZE, GEN_BY_NEED }; /* need: by size, more with opleiding_moeder */
int gen_places_init(struct gen_places *places, const struct gen_world *world) MUST_CHECK;
void gen_places_fini(struct gen_places *places);
/* A place of the level that is not taken (may be NULL), or -1 when there seems to be none. */
int gen_place_pick(const struct gen_places *places, int level, enum gen_weight weight, uint64_t r,
                   const uint8_t *taken);
uint32_t gen_place_id(const struct gen_world *world, int place);
int gen_place_of(const struct gen_world *world, uint32_t school_id); /* a generated school's place */
int gen_place_count(const struct gen_world *world);
int gen_place_level(const struct gen_world *world, int place);
const char *gen_place_province(const struct gen_world *world, int place);
int gen_school_pupils(const struct gen_school *school); /* base year */
const char *gen_province(uint64_t r);                   /* about as Flanders' pupils are spread */

/* A pupil's name; owner GEN_TOLD gives a fixed one, so that a told pupil can be found. */
#define GEN_TOLD 0
struct gen_who {
    uint32_t owner, number;
};
#define GEN_CONTROL_DUE         90001 /* numbers of told pupils */
#define GEN_SECOND_INSUFFICIENT 90002
char *gen_put_who(char *p, const struct gen_world *world, struct gen_who who); /* quoted */
uint64_t gen_who_key(const struct gen_world *world, struct gen_who who);       /* its first 16 hex digits */

/* ---- when (feed_generate_agenda.c) ---- */
struct gen_agenda {
    const struct gen_world *world;
    struct gen_entry *entries;
    size_t count, capacity;
    char *text;
    size_t text_len, text_capacity;
    int32_t last_day; /* the feeds stand as of this day: what comes later is not known yet */
    bool failed;      /* no memory; whoever notes on goes on in vain */
};
#define GEN_DATA_MAX 2048
void gen_agenda_init(struct gen_agenda *agenda, const struct gen_world *world);
void gen_agenda_fini(struct gen_agenda *agenda);
/* Notes an event with the data from `data` up to `end`; `final`: no later event has its key. */
void gen_agenda_note(struct gen_agenda *agenda, int32_t day, const char *type, uint64_t key, uint32_t subject,
                     const char *data, const char *end, bool final);
/* Writes all of them in the order of their days, and within a day as they were noted. */
int gen_agenda_write(struct gen_agenda *agenda, struct gen_output *out) MUST_CHECK;
int32_t gen_last_day(const struct gen_world *world);
int32_t gen_workday(int32_t day); /* that day, or the Friday before */
int32_t gen_day_in(int year, uint64_t r, int month, int day,
                   int days); /* a workday of that stretch of a school year */

/* What --corrections does to an event: nothing, a wrong version first, or one that is taken back later. */
enum gen_mend { GEN_RIGHT, GEN_WRONG_FIRST, GEN_TAKEN_BACK };
enum gen_mend gen_mend_of(const struct gen_agenda *agenda, char feed, uint64_t what, int32_t day,
                          int32_t *mended_on);

struct gen_order { /* for sorting by a score */
    uint64_t key;
    int index;
};
void gen_order_sort(struct gen_order *order, int n); /* highest first */
