/* SPDX-License-Identifier: MIT
 *
 * One school's registrations of one school year as they stand in the end. The roster is a sliding window over
 * the school's pupil numbers, oldest first, so that a pupil stays from year to year. Each pupil has a lasting
 * score per indicator with a common part; the highest scores get the indicator, exactly as many as the
 * target says. So margins are exact, indicators hang together, and pupils keep theirs. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_model.h"

int32_t gen_date(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

int32_t gen_teldag(int year)
{
    int32_t day = gen_date(year + 1, 2, 1);
    int weekday = (int)((day + 3) % 7); /* 0 = Monday; 1970-01-01 was a Thursday */
    return weekday == 5 ? day + 2 : weekday == 6 ? day + 1 : day;
}

struct build { /* what the steps below hand on */
    struct gen_roster *roster;
    const struct gen_world *world;
    const struct gen_school *school;
    int year, counted, extras,
        halves;                 /* registrations that count, that do not; of the former: of weight 0.5 */
    int target[GEN_INDICATORS]; /* half units over all that count */
};

static int reserve(struct gen_roster *roster, int count)
{
    if (count <= roster->capacity)
        return ERR_OK;
    gen_roster_fini(roster);
    size_t n = (size_t)count * 2;
    roster->pupils = calloc(n, sizeof *roster->pupils);
    roster->keys = calloc(n, sizeof *roster->keys);
    roster->full = calloc(n, sizeof *roster->full);
    roster->half = calloc(n, sizeof *roster->half);
    if (!roster->pupils || !roster->keys || !roster->full || !roster->half)
        return ERR_NOMEM;
    roster->capacity = (int)n;
    return ERR_OK;
}

void gen_roster_fini(struct gen_roster *roster)
{
    free(roster->pupils);
    free(roster->keys);
    free(roster->full);
    free(roster->half);
    memset(roster, 0, sizeof *roster);
}

/* Another year than the base year differs a little: per 10,000, -spread..spread, 0 in the base year. */
static int drift(const struct build *b, int what, int spread)
{
    if (b->year == b->world->base_year)
        return 0;
    uint64_t r = gen_draw(b->world->options->seed, GEN_P_DRIFT, b->school->id,
                          (uint64_t)b->year * 16 + (unsigned)what);
    return (int)(r % (unsigned)(2 * spread + 1)) - spread;
}

/* How many registrations, and the number on each indicator. Published schools match the file in the base
 * year. */
static void decide_size(struct build *b)
{
    const struct gen_school *s = b->school;
    bool exact = s->published && b->year == b->world->base_year;
    if (exact) {
        bool odd = s->size % 2, any_odd = false;
        for (int i = 0; i < GEN_INDICATORS; i++)
            any_odd |= s->target[i] > 0 && s->target[i] % 2;
        b->halves = odd ? 1 : any_odd ? 2 : 0;
        b->counted = (s->size - b->halves) / 2 + b->halves;
        b->extras = b->counted / 45;
        memcpy(b->target, s->target, sizeof b->target);
        return;
    }
    int base = s->published ? s->size / 2 : s->size;
    int count = (int)((int64_t)base * (10000 + drift(b, 15, 350)) / 10000);
    b->extras = count / 45;
    b->counted = s->published ? count : count - b->extras; /* the file knows only those that count */
    uint64_t r = gen_draw(b->world->options->seed, GEN_P_SIZE, s->id, (uint64_t)b->year);
    b->halves = b->counted >= 60 ? (int)(r % 4) : 0;
    int halves = 2 * b->counted - b->halves;
    for (int i = 0; i < GEN_INDICATORS; i++)
        b->target[i] = (int)((int64_t)halves * s->share[i] / 10000 * (10000 + drift(b, i, 700)) / 10000);
}

static enum gen_group group_of(const struct build *b, const struct gen_pupil *pupil, int i)
{
    int n = b->counted + b->extras;
    int youth = (int)((int64_t)i * 1000 / n); /* 0 the oldest, 999 the youngest */
    uint64_t r = gen_draw(b->world->options->seed, GEN_P_GROUP, pupil->owner, pupil->number);
    switch (b->school->level) {
    case GEN_BAO:
        return youth >= 620 ? GEN_KLEUTER : GEN_LAGER;
    case GEN_SO: /* newcomers are among the latest third */
        if (youth >= 667 && (int)(r % 1000) < b->school->okan * 3)
            return GEN_OKAN;
        return youth >= 1000 - b->school->graad1 ? GEN_GRAAD1 : GEN_GRAAD23;
    default:
        return r % 100 < 60 ? GEN_BASISAANBOD : r % 100 < 75 ? GEN_TYPE3 : GEN_ANDER;
    }
}

/* True at `part` of `whole` evenly spread places. */
static bool spread_here(int i, int part, int whole)
{
    return part > 0 && (int64_t)(i + 1) * part / whole > (int64_t)i * part / whole;
}

static void place_dates(const struct build *b, struct gen_pupil *pupil, uint64_t r)
{
    int32_t start = gen_date(b->year, 9, 1), teldag = gen_teldag(b->year);
    int days = (int)(r >> 40 & 0x7f); /* 0..127 */
    switch (pupil->presence) {
    case GEN_LEFT:
        pupil->until = start + 7 + days;
        break;
    case GEN_CAME_AFTER:
        pupil->from = teldag + 1 + days / 2;
        break;
    default:
        if (r % 1000 < 20)
            pupil->from = start + 2 + days; /* moved in before the teldag */
        else if (r % 1000 < 30)
            pupil->until = teldag + 1 + days; /* moves out after it */
        else if (r % 1000 < 32)
            pupil->from = teldag; /* the day itself counts */
    }
}

/* Each year's intake moves the window on. */
uint32_t gen_roster_first(const struct gen_school *s, int year)
{
    static const int years_in_school[GEN_LEVELS] = {9, 6, 7, 7};
    int intake = (s->published ? s->size / 2 : s->size) / years_in_school[s->level];
    return 1000000u + (uint32_t)((year - 1990) * intake);
}

static void fill_pupils(struct build *b)
{
    const struct gen_school *s = b->school;
    int n = b->counted + b->extras, counted_so_far = 0;
    uint32_t start = gen_roster_first(s, b->year);
    for (int i = 0; i < n; i++) {
        struct gen_pupil *pupil = &b->roster->pupils[i];
        memset(pupil, 0, sizeof *pupil);
        pupil->owner = s->id;
        pupil->number = start + (uint32_t)i;
        uint64_t r =
            gen_draw(b->world->options->seed, GEN_P_DETAIL, s->id, (uint64_t)b->year << 32 | pupil->number);
        pupil->group = (uint8_t)group_of(b, pupil, i);
        pupil->halves = 2;
        if (spread_here(i, b->extras, n))
            pupil->presence = r >> 8 & 1 ? GEN_NOT_REGULAR : r >> 9 & 1 ? GEN_LEFT : GEN_CAME_AFTER;
        else if (spread_here(counted_so_far++, b->halves, b->counted))
            pupil->halves = 1;
        pupil->home = (r >> 16) % 100 < 15;
        pupil->implied = r >> 32 & 1;
        place_dates(b, pupil, r);
    }
    b->roster->count = n;
    if (s->story == GEN_DOUBLE && b->year == b->world->base_year && s->before >= 0 && n > 1)
        b->roster->pupils[n - 1].presence = GEN_PRESENT; /* its identity follows in share_pupil() */
}

/* Four 16-bit draws added: near enough to a normal distribution. */
static uint64_t bell(uint64_t r)
{
    return (r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48);
}

static uint64_t score_of(const struct build *b, int i, int indicator)
{
    const struct gen_pupil *pupil = &b->roster->pupils[i];
    uint32_t seed = b->world->options->seed;
    uint64_t common = bell(gen_draw(seed, GEN_P_LATENT, pupil->owner, pupil->number));
    uint64_t own =
        gen_draw(seed, GEN_P_NOISE, pupil->owner, (uint64_t)pupil->number << 3 | (unsigned)indicator);
    uint64_t score = common + bell(own) + (pupil->group == GEN_OKAN ? 150000 : 0);
    return score << 24 | (unsigned)i; /* no two are equal */
}

/* Orders keys so that the k largest come first (Hoare's selection). */
static void select_largest(uint64_t *keys, int n, int k)
{
    int low = 0, high = n - 1;
    while (low < high) {
        uint64_t pivot = keys[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (keys[i] > pivot)
                i++;
            while (keys[j] < pivot)
                j--;
            if (i <= j) {
                uint64_t t = keys[i];
                keys[i++] = keys[j];
                keys[j--] = t;
            }
        }
        if (k - 1 <= j)
            high = j;
        else if (k - 1 >= i)
            low = i;
        else
            return;
    }
}

static void give_best(struct build *b, const int *list, int n, int k, int indicator)
{
    uint64_t *keys = b->roster->keys;
    if (k <= 0)
        return;
    for (int i = 0; i < n; i++)
        keys[i] = score_of(b, list[i], indicator);
    if (k < n)
        select_largest(keys, n, k);
    for (int i = 0; i < k && i < n; i++)
        b->roster->pupils[keys[i] & 0xffffff].indicators |= (uint8_t)GEN_BIT(indicator);
}

/* Among the pupils that count and whose groups are in the mask, gives an indicator to exactly `target` half
 * units (one less where it is odd and nobody there weighs a half). */
static void give_indicator(struct build *b, unsigned groups, int indicator, int target)
{
    struct gen_roster *r = b->roster;
    int fulls = 0, halves = 0;
    for (int i = 0; i < r->count; i++) {
        const struct gen_pupil *pupil = &r->pupils[i];
        if (pupil->presence != GEN_PRESENT || !(groups & GEN_BIT(pupil->group)))
            continue;
        if (pupil->halves == 2)
            r->full[fulls++] = i;
        else
            r->half[halves++] = i;
    }
    int all = 2 * fulls + halves;
    target = target > all ? all : target < 0 ? 0 : target;
    int from_halves = halves ? target % 2 : 0;
    while (from_halves + 2 <= halves && (int64_t)(from_halves + 1) * all <= (int64_t)halves * target)
        from_halves += 2;
    while (from_halves + 2 <= halves && (target - from_halves) / 2 > fulls)
        from_halves += 2;
    give_best(b, r->half, halves, from_halves, indicator);
    give_best(b, r->full, fulls, (target - from_halves) / 2, indicator);
}

static int halves_in(const struct build *b, unsigned groups)
{
    int sum = 0;
    for (int i = 0; i < b->roster->count; i++) {
        const struct gen_pupil *pupil = &b->roster->pupils[i];
        if (pupil->presence == GEN_PRESENT && groups & GEN_BIT(pupil->group))
            sum += pupil->halves;
    }
    return sum;
}

/* The number on opleiding_moeder in the offer of a bubao or buso school whose story is told around 40 %. */
static int story_target(const struct build *b, int offer, int ordinary)
{
    int needed = (offer * 2 + 4) / 5, ago = b->world->base_year - b->year;
    needed += needed % 2; /* whole pupils */
    int above = needed + offer / 16 * 2;
    switch (b->school->story) {
    case GEN_NEAR:
        return ago <= 0 ? needed + 2 : above;
    case GEN_GRACE:
        return ago <= 0 ? needed - 4 : above;
    case GEN_LOST:
        return ago <= 0 ? needed - 8 : ago == 1 ? needed - 4 : above;
    default:
        return ordinary;
    }
}

static void give_indicators(struct build *b)
{
    static const int given[] = {GEN_THUISTAAL, GEN_TOELAGE, GEN_MOEDER, GEN_BUURT};
    const unsigned all = (1u << GEN_GROUPS) - 1, offer = GEN_BIT(GEN_BASISAANBOD) | GEN_BIT(GEN_TYPE3);
    bool special = b->school->level == GEN_BUBAO || b->school->level == GEN_BUSO;
    int everybody = halves_in(b, all), offered = special ? halves_in(b, offer) : 0;
    for (size_t k = 0; k < sizeof given / sizeof given[0]; k++) {
        int indicator = given[k], target = b->target[indicator];
        if (special && indicator == GEN_MOEDER && everybody) {
            int part = (int)((int64_t)target * offered / everybody);
            give_indicator(b, offer, indicator, story_target(b, offered, part));
            give_indicator(b, all & ~offer, indicator, target - part);
        } else
            give_indicator(b, all, indicator, target);
    }
}

/* Those that do not count have indicators too; and a few of those on buurt are thuisloos or trekkend (which
 * imply buurt, so nobody else may be). */
static void give_details(struct build *b)
{
    uint32_t seed = b->world->options->seed;
    for (int i = 0; i < b->roster->count; i++) {
        struct gen_pupil *pupil = &b->roster->pupils[i];
        uint64_t r = gen_draw(seed, GEN_P_YEAR, pupil->owner, (uint64_t)b->year << 32 | pupil->number);
        if (pupil->presence != GEN_PRESENT)
            for (int k = 0; k < GEN_INDICATORS; k++)
                if ((int)((r >> (8 * k)) & 0xff) * 10000 / 256 < b->school->share[k])
                    pupil->indicators |= (uint8_t)GEN_BIT(k);
        if (!(pupil->indicators & GEN_BIT(GEN_BUURT)))
            continue;
        uint64_t rare = gen_draw(seed, GEN_P_NOISE, pupil->owner, (uint64_t)pupil->number << 3 | 7) % 1000;
        if (rare < 4)
            pupil->indicators |= (uint8_t)GEN_BIT(GEN_THUISLOOS);
        else if (rare < 9)
            pupil->indicators |= (uint8_t)GEN_BIT(GEN_TREKKEND);
    }
}

/* The last pupil of such a school is the first of its neighbour, regular in both. */
static void share_pupil(struct build *b)
{
    const struct gen_school *s = b->school;
    if (s->story != GEN_DOUBLE || b->year != b->world->base_year || s->before < 0 || b->roster->count < 2)
        return;
    const struct gen_school *other = &b->world->schools[s->before];
    struct gen_pupil *pupil = &b->roster->pupils[b->roster->count - 1];
    *pupil = (struct gen_pupil){.owner = other->id,
                                .number = gen_roster_first(other, b->year),
                                .group = pupil->group,
                                .halves = 2,
                                .indicators = pupil->indicators};
}

int gen_roster_build(struct gen_roster *roster, const struct gen_world *world, int school, int year)
{
    struct build b = {.roster = roster, .world = world, .school = &world->schools[school], .year = year};
    decide_size(&b);
    int err = reserve(roster, b.counted + b.extras);
    if (err)
        return err;
    fill_pupils(&b);
    give_indicators(&b);
    give_details(&b);
    share_pupil(&b);
    return ERR_OK;
}

void gen_tally_pupil(struct gen_tally *tally, const struct gen_pupil *pupil)
{
    tally->held++;
    if (pupil->presence != GEN_PRESENT)
        return;
    unsigned five = pupil->indicators & ~GEN_BIT(GEN_BUURT);
    tally->pupils[pupil->group] += pupil->halves;
    tally->gok[pupil->group] += five ? pupil->halves : 0;
    for (int i = 0; i < GEN_INDICATORS; i++)
        if (pupil->indicators & GEN_BIT(i))
            tally->indicator[pupil->group][i] += pupil->halves;
}
