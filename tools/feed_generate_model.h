/* SPDX-License-Identifier: MIT
 *
 * What the generator's files share: options, the made-up world (schools), one school's roster of one school
 * year, the tally of what stands at the end, and the output. A feed is one file and one row in generate_feeds
 * (feed_generate.c). Everything is a function of the seed: no clock, no floating point, so that the same
 * options give the same bytes on every machine. Weights and counts are in half units. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/err.h"

#define GEN_YEARS_MAX  8
#define GEN_FIRST_ID   900001 /* of the generated schools: far from real ones */
#define GEN_UNKNOWN_ID 995001 /* of schools that no school event names */
#define GEN_OTHER_ID   994001 /* of institutions without pupils that are counted: dko, vwo, clb, naft */

enum gen_level { GEN_BAO, GEN_SO, GEN_BUBAO, GEN_BUSO, GEN_LEVELS };
enum gen_group {
    GEN_KLEUTER,
    GEN_LAGER,
    GEN_GRAAD1,
    GEN_OKAN,
    GEN_GRAAD23,
    GEN_BASISAANBOD,
    GEN_TYPE3,
    GEN_ANDER,
    GEN_GROUPS
};
enum gen_indicator {
    GEN_THUISTAAL,
    GEN_TOELAGE,
    GEN_MOEDER,
    GEN_THUISLOOS,
    GEN_TREKKEND,
    GEN_BUURT,
    GEN_INDICATORS
};
#define GEN_CELLS  (1 << GEN_INDICATORS)
#define GEN_BIT(i) (1u << (i))
extern const char *const gen_level_names[GEN_LEVELS];
extern const char *const gen_group_names[GEN_GROUPS];
extern const char *const gen_indicator_names[GEN_INDICATORS];

/* What a generated school is made to show; all others are ordinary. */
enum gen_story {
    GEN_ORDINARY,
    GEN_NEAR,       /* one pupil above the threshold in the base year */
    GEN_GRACE,      /* above it the year before, below in the base year */
    GEN_LOST,       /* below in both, above before those */
    GEN_INCOMPLETE, /* announces more pupils than it registers */
    GEN_REOPENED,   /* closes rightly, then announces a number that does not match */
    GEN_DOUBLE      /* has a pupil of the school before it in the list as well */
};

struct gen_options {
    uint32_t seed;
    long schools,
        pupils; /* generated, besides those of the counts file; pupils per school year in the base year */
    const char *counts, *summary, *marginals;
    unsigned feeds; /* bit per row of generate_feeds */
    int years[GEN_YEARS_MAX], year_count;
    int corrections, duplicates, bad; /* per 10,000 */
    int too_large;                    /* lines of 2 MiB */
    int unmatched;                    /* registrations of each kind that fit nothing */
    int partition, partitions;
};

struct gen_school {
    uint32_t id;
    char *name, *municipality;      /* owned; municipality NULL = unpublished */
    const char *network, *province; /* words of the contract; province NULL = unpublished */
    enum gen_level level;
    bool brussels, published;
    enum gen_story story;
    int size; /* registrations in the base year (published: those that count, in half units) */
    int target[GEN_INDICATORS]; /* published: half units; -1 = unpublished */
    int share[GEN_INDICATORS];  /* per 10,000 */
    int graad1, okan;           /* so: part of the pupils per 1,000 */
    int before, after;          /* index of the neighbours of the same level, or -1 */
};

/* What stands at the end, by the generator's own bookkeeping. */
#define GEN_CLOSED_MAX 4
struct gen_tally {
    int held, closed[GEN_CLOSED_MAX], closed_count;
    int pupils[GEN_GROUPS], gok[GEN_GROUPS], indicator[GEN_GROUPS][GEN_INDICATORS]; /* half units */
};

/* Institutions of other levels, numbered after the schools: a place is a school or one of these. */
enum gen_place_level { GEN_DKO = GEN_LEVELS, GEN_VWO, GEN_CLB, GEN_NAFT, GEN_PLACE_LEVELS };
extern const char *const gen_place_level_names[GEN_PLACE_LEVELS];

struct gen_marginals; /* feed_generate_small.h */
struct gen_world {
    const struct gen_options *options;
    int base_year;
    struct gen_school *schools;
    int school_count, published_count;
    struct gen_tally *tallies;    /* [school * year_count + year index] */
    int others[GEN_PLACE_LEVELS]; /* institutions by level, 0 for the levels of schools */
    long pupils;                  /* of all schools in the base year */
    struct gen_marginals *exact;  /* owned; of 2023-2024, NULL without --marginals */
};

enum gen_presence { GEN_PRESENT, GEN_NOT_REGULAR, GEN_LEFT, GEN_CAME_AFTER };
struct gen_pupil {
    uint32_t owner, number; /* identity: the school id it first belonged to, and its number there */
    uint8_t indicators;     /* true bits, what follows from others included */
    uint8_t group, halves;  /* enum gen_group; 1 or 2 */
    uint8_t presence;       /* enum gen_presence; only GEN_PRESENT counts */
    bool home;              /* thuistaal declared as home_language */
    bool implied;           /* buurt left out of the list: it follows from thuisloos or trekkend */
    int from, until;        /* days since 1970, 0 = null */
};
struct gen_roster {
    struct gen_pupil *pupils;
    int count, capacity;
    uint64_t *keys; /* room to select in */
    int *full, *half;
};

/* ---- chance (all keyed; a draw never depends on what was drawn before) ---- */
enum gen_purpose {
    GEN_P_PUPIL_A = 1,
    GEN_P_PUPIL_B,
    GEN_P_SCHOOL,
    GEN_P_SIZE,
    GEN_P_DRIFT,
    GEN_P_LATENT,
    GEN_P_NOISE,
    GEN_P_YEAR,
    GEN_P_GROUP,
    GEN_P_DETAIL,
    GEN_P_CORRECT,
    GEN_P_CHANGE,
    GEN_P_DUPLICATE,
    GEN_P_BAD,
    GEN_P_KNOWN,
    GEN_P_INSPECTION,
    GEN_P_HUISONDERWIJS,
    GEN_P_AANHUIS,
    GEN_P_MELDING,
    GEN_P_MEND
};
static inline uint64_t gen_mix(uint64_t x) /* the finalizer of splitmix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static inline uint64_t gen_draw(uint32_t seed, enum gen_purpose purpose, uint64_t a, uint64_t b)
{
    return gen_mix(gen_mix(((uint64_t)seed << 8 | (unsigned)purpose) ^ gen_mix(a)) ^ b);
}

/* ---- world (feed_generate_world.c, feed_generate_counts.c) ---- */
/* Fills the world from the options; says on standard error what is wrong with the counts file. */
int gen_world_init(struct gen_world *world, const struct gen_options *options) MUST_CHECK;
void gen_world_fini(struct gen_world *world);
/* Appends the schools of a counts file to the world. */
int gen_counts_read(struct gen_world *world, const char *path) MUST_CHECK;
struct gen_school *gen_world_append(struct gen_world *world); /* zeroed; NULL = no memory */

/* ---- roster (feed_generate_roster.c) ---- */
/* The final truth about one school in one school year (by its first year), any year. */
int gen_roster_build(struct gen_roster *roster, const struct gen_world *world, int school,
                     int year) MUST_CHECK;
void gen_roster_fini(struct gen_roster *roster);
void gen_tally_pupil(struct gen_tally *tally, const struct gen_pupil *pupil); /* adds one registration */
/* The number of the oldest pupil of that school year: a pupil is its school's id and a number from here on. */
uint32_t gen_roster_first(const struct gen_school *school, int year);
int32_t gen_date(int year, int month, int day); /* days since 1970 */
int32_t gen_teldag(int year);                   /* first school day of February of that school year */

/* ---- output (feed_generate_output.c, feed_generate_bad.c) ---- */
#define GEN_LATE_MAX  64
#define GEN_EVENT_MAX 4096
struct gen_late { /* a line to be sent again later */
    uint64_t due;
    int len;
    char line[GEN_EVENT_MAX];
};
#define GEN_BAD_FIRST 20 /* of the feeds school and registration */
#define GEN_BAD_KINDS 24
struct gen_output {
    FILE *file;
    const struct gen_options *options;
    char *buffer;
    size_t len;
    bool failed;
    int64_t now_s;   /* time of the next event, seconds since 1970 */
    uint64_t number; /* events so far, of all partitions */
    char source[64];
    char head[128]; /* up to the event's number */
    int head_len;
    char feed; /* letter in the ids */
    char stamp[24];
    int64_t stamped_s;
    struct gen_late *late;
    int late_count;
    bool may_repeat_late; /* false where a later event has the same key */
    unsigned bad_turn;
    uint64_t events, lines, duplicates, bad[GEN_BAD_KINDS], too_large, unknown_school;
};
int gen_output_init(struct gen_output *out, FILE *file, const struct gen_options *options) MUST_CHECK;
int gen_output_finish(struct gen_output *out) MUST_CHECK; /* flushes and frees; ERR_IO when anything failed */
void gen_output_feed(struct gen_output *out, char letter);
/* Begins an event about a school and returns where its data goes, after "data":{ ; NULL when the event
 * belongs to another partition (then there is no end). */
char *gen_event_begin(struct gen_output *out, const char *type, uint32_t school_id) MUST_CHECK;
/* The same for any stream: key modulo the number of partitions says whose event it is; subject 0 = none. */
char *gen_event_begin_for(struct gen_output *out, const char *type, uint64_t key,
                          uint32_t subject) MUST_CHECK;
/* Ends the event at p: closes data and the event, and sends it again where chance says so. */
void gen_event_end(struct gen_output *out, char *p, uint32_t school_id);
void gen_output_late(struct gen_output *out); /* sends now what waits to be sent again */
void gen_output_write(struct gen_output *out, const char *bytes, size_t len);

/* Pieces of text; each returns the new end. */
char *gen_put(char *p, const char *text);
char *gen_put_number(char *p, uint64_t n);
char *gen_put_json(char *p, const char *text); /* quoted and escaped; null for NULL */
char *gen_put_date(char *p, int32_t days);     /* quoted */
char *gen_put_year(char *p, int year);         /* quoted */
char *gen_put_pupil(char *p, uint32_t seed, uint32_t owner, uint32_t number); /* quoted */

const char *gen_bad_name(int kind); /* 0..GEN_BAD_KINDS-1 */
/* Writes one malformed line fit for the feed's letter; its kind rotates. */
void gen_bad_write(struct gen_output *out, uint32_t school_id);
void gen_bad_too_large(struct gen_output *out, uint32_t school_id, int n);

/* ---- feeds: one file each ---- */
struct gen_feed {
    const char *name;
    char letter;
    int (*write)(struct gen_world *world, struct gen_output *out); /* 0 or ERR_NOMEM */
};
int gen_feed_school(struct gen_world *world, struct gen_output *out);
int gen_feed_entitlement(struct gen_world *world, struct gen_output *out);
int gen_feed_institution(struct gen_world *world, struct gen_output *out);
int gen_feed_registration(struct gen_world *world, struct gen_output *out);
int gen_feed_inspection(struct gen_world *world, struct gen_output *out);
int gen_feed_huisonderwijs(struct gen_world *world, struct gen_output *out);
int gen_feed_aanhuis(struct gen_world *world, struct gen_output *out);
int gen_feed_melding(struct gen_world *world, struct gen_output *out);

/* ---- summary (feed_generate_summary.c) ---- */
int gen_summary_write(const struct gen_world *world, const struct gen_output *out,
                      const char *path) MUST_CHECK;
