/* SPDX-License-Identifier: MIT
 *
 * The schools the generator writes about: those of the counts file first, then made-up ones of Flanders-like
 * levels, sizes and pupil characteristics. Decides which generated school has a story to show. Knows
 * nothing of pupils or events. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_small.h"

const char *const gen_level_names[GEN_LEVELS] = {"bao", "so", "bubao", "buso"};
const char *const gen_group_names[GEN_GROUPS] = {"kleuter", "lager",       "graad1", "okan",
                                                 "graad23", "basisaanbod", "type3",  "ander"};
const char *const gen_indicator_names[GEN_INDICATORS] = {"thuistaal", "schooltoelage", "opleiding_moeder",
                                                         "thuisloos", "trekkend",      "buurt"};

static const char *const networks[] = {"vrij", "vrij", "vrij", "officieel", "go"};
static const struct {
    const char *province, *municipality;
} places[] = {
    {"antwerpen", "Antwerpen"},       {"oost-vlaanderen", "Gent"},
    {"west-vlaanderen", "Kortrijk"},  {"limburg", "Genk"},
    {"vlaams-brabant", "Leuven"},     {"antwerpen", "Mechelen"},
    {"oost-vlaanderen", "Aalst"},     {"west-vlaanderen", "Brugge"},
    {"limburg", "Hasselt"},           {"vlaams-brabant", "Vilvoorde"},
    {"antwerpen", "Turnhout"},        {"oost-vlaanderen", "Ronse"},
    {"west-vlaanderen", "Roeselare"}, {"limburg", "Maasmechelen"},
    {"vlaams-brabant", "Halle"},
};
static const char *const brussels_places[] = {"Anderlecht", "Brussel", "Etterbeek", "Sint-Jans-Molenbeek"};
static const int mean_size[GEN_LEVELS] = {285, 460, 180, 190};

struct gen_school *gen_world_append(struct gen_world *world)
{
    if ((world->school_count & (world->school_count - 1)) == 0) { /* grows at powers of two */
        size_t room = world->school_count ? 2 * (size_t)world->school_count : 1;
        struct gen_school *more = realloc(world->schools, room * sizeof *more);
        if (!more)
            return NULL;
        world->schools = more;
    }
    struct gen_school *school = &world->schools[world->school_count++];
    memset(school, 0, sizeof *school);
    return school;
}

/* 60 % bao, 25 % so, 8 % bubao, 7 % buso, mixed so that 20 schools already hold all four. */
static enum gen_level level_of(long i)
{
    int turn = (int)(i % 100 * 37 % 100);
    return turn < 60 ? GEN_BAO : turn < 85 ? GEN_SO : turn < 93 ? GEN_BUBAO : GEN_BUSO;
}

/* The k-th generated school of its level: a few tell a story, the ordinary majority does not. */
static enum gen_story story_of(enum gen_level level, int k)
{
    if (level == GEN_BUBAO || level == GEN_BUSO) /* their one threshold can be aimed at exactly */
        return k % 16 == 0   ? (level == GEN_BUBAO ? GEN_GRACE : GEN_LOST)
               : k % 16 == 1 ? GEN_NEAR
                             : GEN_ORDINARY;
    if (level == GEN_BAO)
        return k % 40 == 2   ? GEN_DOUBLE
               : k % 40 == 5 ? GEN_INCOMPLETE
               : k % 40 == 9 ? GEN_REOPENED
                             : GEN_ORDINARY;
    return GEN_ORDINARY;
}

static int within(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

/* Shares that hang together: deprivation is rare and skewed, and higher in Brussels and in special education.
 */
static void draw_shares(struct gen_school *school, uint64_t r)
{
    int u = (int)(r & 0x3ff), v = (int)(r >> 10 & 0x3ff), w = (int)(r >> 20 & 0x3ff),
        x = (int)(r >> 30 & 0x3ff);
    int depth = u * u / 1024; /* 0..1022, most of them low */
    bool special = school->level == GEN_BUBAO || school->level == GEN_BUSO;
    int moeder = 400 + depth * 6 + (special ? 2600 : 0) + (school->brussels ? 1200 : 0);
    school->share[GEN_MOEDER] = within(moeder, 200, 8500);
    school->share[GEN_TOELAGE] = within(moeder + 1000 + v, 500, 9200);
    school->share[GEN_THUISTAAL] =
        within(moeder * 3 / 4 + w - 300 + (school->brussels ? 2500 : 0), 150, 9300);
    school->share[GEN_BUURT] = within(moeder + (x - 512) * 2 + (school->brussels ? 1500 : 0), 100, 9500);
}

static int make_school(struct gen_world *world, long i, int k)
{
    struct gen_school *school = gen_world_append(world);
    if (!school)
        return ERR_NOMEM;
    school->id = (uint32_t)(GEN_FIRST_ID + i);
    uint64_t r = gen_draw(world->options->seed, GEN_P_SCHOOL, school->id, 0);
    school->level = level_of(i);
    school->story = story_of(school->level, k);
    school->brussels = r % 20 == 0; /* about 5 % */
    school->network = networks[(r >> 8) % 5];
    size_t place = (r >> 16) % (sizeof places / sizeof places[0]);
    school->province = school->brussels ? "brussel" : places[place].province;
    school->municipality = strdup(school->brussels ? brussels_places[place % 4] : places[place].municipality);
    char name[64];
    snprintf(name, sizeof name, "Generated %s %u", gen_level_names[school->level], (unsigned)school->id);
    school->name = strdup(name);
    if (!school->municipality || !school->name)
        return ERR_NOMEM;
    draw_shares(school, gen_draw(world->options->seed, GEN_P_SCHOOL, school->id, 1));
    int shape = (int)((r >> 32) % 100); /* both grades, or one of them in a school of its own */
    school->graad1 = shape < 70 ? 300 + shape : shape < 85 ? 1000 : 0;
    school->okan = (r >> 40) % 8 == 0 ? 60 + (int)((r >> 48) % 60) : 0;
    return ERR_OK;
}

/* Sizes in proportion to a drawn weight, so that they add up to the number asked for exactly. */
static void share_out_pupils(struct gen_world *world)
{
    const struct gen_options *o = world->options;
    uint64_t total = 0, so_far = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t given = 0;
        for (int i = world->published_count; i < world->school_count; i++) {
            struct gen_school *school = &world->schools[i];
            uint64_t r = gen_draw(o->seed, GEN_P_SIZE, school->id, 0);
            uint64_t spread =
                school->story == GEN_ORDINARY ? 40 + (r % 81) + (r >> 32) % 41 : 100; /* 40..160 % */
            uint64_t weight = (uint64_t)mean_size[school->level] * spread;
            if (pass == 0) {
                total += weight;
                continue;
            }
            so_far += weight;
            uint64_t until = so_far * (uint64_t)o->pupils / total;
            school->size = (int)(until - given);
            given = until;
        }
    }
}

static void link_neighbours(struct gen_world *world)
{
    int last[GEN_LEVELS] = {-1, -1, -1, -1};
    for (int i = 0; i < world->school_count; i++) {
        struct gen_school *school = &world->schools[i];
        school->before = last[school->level];
        school->after = -1;
        if (school->before >= 0)
            world->schools[school->before].after = i;
        last[school->level] = i;
    }
}

/* Institutions without pupils, at least two of each level; with exact marginals as many as Flanders has. */
static void count_others(struct gen_world *world)
{
    static const struct {
        int level, flanders;
    } others[] = {{GEN_DKO, 168}, {GEN_VWO, 3}, {GEN_CLB, 71}, {GEN_NAFT, 20}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        int n = gen_scale(others[i].flanders, world->school_count, GEN_FLANDERS_SCHOOLS);
        world->others[others[i].level] = world->exact ? others[i].flanders : n > 2 ? n : 2;
    }
    world->others[GEN_VWO] = world->others[GEN_VWO] > 3 ? 3 : world->others[GEN_VWO];
    for (int i = 0; i < world->school_count; i++)
        world->pupils += gen_school_pupils(&world->schools[i]);
}

/* Every doorlichting of a year is another school's; those in trouble and those evaluated again have none. */
static int read_marginals(struct gen_world *world)
{
    int schools[GEN_LEVELS] = {0};
    bool in_years = false;
    world->exact = malloc(sizeof *world->exact);
    if (!world->exact)
        return ERR_NOMEM;
    int err = gen_marginals_read(world->exact, world->options->marginals);
    if (err)
        return err;
    for (int i = 0; i < world->options->year_count; i++)
        in_years |= world->options->years[i] == 2023;
    if (!in_years) {
        fputs("teldag-feed generate: --marginals are of 2023-2024, which is not among --years\n", stderr);
        return ERR_INVALID;
    }
    for (int i = 0; i < world->school_count; i++)
        schools[world->schools[i].level]++;
    for (int l = 0; l < GEN_LEVELS; l++) {
        int needed = world->exact->doorlichting[l] + world->exact->doorlichting[l] / 10 + 8;
        if (needed > schools[l]) {
            fprintf(stderr,
                    "teldag-feed generate: --marginals: %d doorlichtingen of %s need %d such schools, there "
                    "are %d "
                    "(800 generated schools are enough for the published totals)\n",
                    world->exact->doorlichting[l], gen_level_names[l], needed, schools[l]);
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

int gen_world_init(struct gen_world *world, const struct gen_options *options)
{
    memset(world, 0, sizeof *world);
    world->options = options;
    world->base_year = options->counts ? 2023 : options->years[options->year_count - 1];
    int err = options->counts ? gen_counts_read(world, options->counts) : ERR_OK;
    if (err)
        return err;
    world->published_count = world->school_count;
    int of_level[GEN_LEVELS] = {0};
    for (long i = 0; i < options->schools; i++)
        if ((err = make_school(world, i, of_level[level_of(i)]++)))
            return err;
    share_out_pupils(world);
    link_neighbours(world);
    if (options->marginals && (err = read_marginals(world)))
        return err;
    count_others(world);
    size_t tallies = (size_t)world->school_count * (size_t)options->year_count;
    world->tallies = calloc(tallies ? tallies : 1, sizeof *world->tallies);
    return world->tallies ? ERR_OK : ERR_NOMEM;
}

void gen_world_fini(struct gen_world *world)
{
    for (int i = 0; i < world->school_count; i++) {
        free(world->schools[i].name);
        free(world->schools[i].municipality);
    }
    free(world->schools);
    free(world->exact);
    free(world->tallies);
    memset(world, 0, sizeof *world);
}
