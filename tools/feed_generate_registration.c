/* SPDX-License-Identifier: MIT
 *
 * The feed registration: per school year first every school's registrations together and its closed event,
 * then the corrections. The roster is the final truth; what is sent first may differ from it, so corrections
 * never disturb what stands in the end. Steps, per school year:
 *   1. Every pupil as first sent: some with a wrong field, some in another group, some still at the
 * neighbour.
 *   2. closed: the number held by then.
 *   3. The corrections, and closed again where the number changed. */
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_model.h"

enum correction { CORRECT_NOTHING, CORRECT_FIELD, CORRECT_GROUP, CORRECT_SCHOOL };

struct moves { /* pupils first registered at the next school of their level */
    struct gen_pupil *pupils;
    int count, capacity;
};

struct writing {
    struct gen_world *world;
    struct gen_output *out;
    struct gen_roster roster;
    struct moves moves[GEN_LEVELS];
    int *held; /* per school, as sent so far this year */
    int year, year_index;
};

static enum correction correction_of(const struct writing *w, const struct gen_school *school,
                                     const struct gen_pupil *pupil)
{
    const struct gen_options *o = w->world->options;
    if (!o->corrections || pupil->owner != school->id)
        return CORRECT_NOTHING;
    uint64_t r = gen_draw(o->seed, GEN_P_CORRECT, pupil->owner, (uint64_t)w->year << 32 | pupil->number);
    if ((int)(r % 10000) >= o->corrections)
        return CORRECT_NOTHING;
    switch (r >> 32 & 3) {
    case 0:
        return CORRECT_GROUP;
    case 1:
        /* Never at a school that shares a pupil with this one: taking the mistake back would take that away. */
        return school->after >= 0 && w->world->schools[school->after].story != GEN_DOUBLE ? CORRECT_SCHOOL
                                                                                          : CORRECT_FIELD;
    default:
        return CORRECT_FIELD;
    }
}

/* As it was first sent: one field wrong. */
static struct gen_pupil first_version(const struct writing *w, struct gen_pupil pupil,
                                      enum correction correction)
{
    static const uint8_t other_group[GEN_GROUPS] = {GEN_LAGER,  GEN_KLEUTER, GEN_GRAAD23,     GEN_GRAAD1,
                                                    GEN_GRAAD1, GEN_ANDER,   GEN_BASISAANBOD, GEN_TYPE3};
    static const uint8_t flipped[] = {GEN_THUISTAAL, GEN_TOELAGE, GEN_MOEDER};
    uint64_t r =
        gen_draw(w->world->options->seed, GEN_P_CHANGE, pupil.owner, (uint64_t)w->year << 32 | pupil.number);
    if (correction == CORRECT_GROUP)
        pupil.group = other_group[pupil.group];
    if (correction != CORRECT_FIELD)
        return pupil;
    if (r % 8 == 0)
        pupil.presence = pupil.presence == GEN_NOT_REGULAR ? GEN_PRESENT : GEN_NOT_REGULAR;
    else if (r % 8 == 1)
        pupil.halves = pupil.halves == 2 ? 1 : 2;
    else
        pupil.indicators ^= (uint8_t)GEN_BIT(flipped[(r >> 8) % 3]);
    return pupil;
}

/* regulation 1: F = the members that are not null; thuistaal when k = 0, or |F| = 3 and k <= 1. */
static char *put_home_language(char *p, bool thuistaal, uint64_t r)
{
    static const char *const yes[] = {"\"mother\":false,\"father\":false,\"siblings\":null",
                                      "\"mother\":false,\"father\":true,\"siblings\":false",
                                      "\"mother\":false,\"father\":false,\"siblings\":false",
                                      "\"mother\":false,\"father\":null,\"siblings\":null",
                                      "\"mother\":true,\"father\":false,\"siblings\":false"};
    static const char *const no[] = {"\"mother\":true,\"father\":true,\"siblings\":true",
                                     "\"mother\":true,\"father\":true,\"siblings\":null",
                                     "\"mother\":true,\"father\":false,\"siblings\":null",
                                     "\"mother\":true,\"father\":false,\"siblings\":true",
                                     "\"mother\":false,\"father\":null,\"siblings\":true"};
    p = gen_put(p, ",\"home_language\":{");
    p = gen_put(p, thuistaal ? yes[r % 5] : no[r % 5]);
    *p++ = '}';
    return p;
}

static char *put_indicators(char *p, unsigned bits)
{
    p = gen_put(p, ",\"indicators\":[");
    for (int i = 0; i < GEN_INDICATORS; i++)
        if (bits & GEN_BIT(i)) {
            *p++ = '"';
            p = gen_put(p, gen_indicator_names[i]);
            *p++ = '"';
            *p++ = ',';
        }
    p -= p[-1] == ',';
    *p++ = ']';
    return p;
}

static char *put_key(const struct writing *w, char *p, uint32_t school_id, const struct gen_pupil *pupil)
{
    p = gen_put_number(gen_put(p, "\"school_id\":\""), school_id);
    p = gen_put_year(gen_put(p, "\",\"school_year\":"), w->year);
    return gen_put_pupil(gen_put(p, ",\"pupil\":"), w->world->options->seed, pupil->owner, pupil->number);
}

/* False when it belongs to another partition. */
static bool write_registration(struct writing *w, uint32_t id, const struct gen_pupil *pupil)
{
    w->out->now_s += w->out->number & 1;
    char *p = gen_event_begin(w->out, "registration.upsert.v1", id);
    if (!p)
        return false;
    p = put_key(w, p, id, pupil);
    p = gen_put(gen_put(p, ",\"group\":\""), gen_group_names[pupil->group]);
    p = gen_put(p, pupil->presence == GEN_NOT_REGULAR ? "\",\"regular\":false" : "\",\"regular\":true");
    if (pupil->halves == 1)
        p = gen_put(p, ",\"weight\":0.5");
    else if (pupil->number % 16 == 0)
        p = gen_put(p, ",\"weight\":1");
    if (pupil->from)
        p = gen_put_date(gen_put(p, ",\"from\":"), pupil->from);
    if (pupil->until)
        p = gen_put_date(gen_put(p, ",\"until\":"), pupil->until);
    unsigned listed = pupil->indicators;
    if (pupil->implied && listed & (GEN_BIT(GEN_THUISLOOS) | GEN_BIT(GEN_TREKKEND)))
        listed &= ~GEN_BIT(GEN_BUURT);
    if (pupil->home)
        listed &= ~GEN_BIT(GEN_THUISTAAL);
    if (listed || !pupil->home || pupil->number & 1)
        p = put_indicators(p, listed);
    if (pupil->home)
        p = put_home_language(p, pupil->indicators & GEN_BIT(GEN_THUISTAAL), pupil->number);
    gen_event_end(w->out, p, id);
    return true;
}

static void write_upsert(struct writing *w, int school, const struct gen_pupil *pupil)
{
    w->held[school]++;
    (void)write_registration(w, w->world->schools[school].id, pupil);
}

static void write_withdraw(struct writing *w, int school, const struct gen_pupil *pupil)
{
    uint32_t id = w->world->schools[school].id;
    w->held[school]--;
    w->out->now_s++;
    char *p = gen_event_begin(w->out, "registration.withdraw.v1", id);
    if (p)
        gen_event_end(w->out, put_key(w, p, id, pupil), id);
}

static void write_closed(struct writing *w, int school, int pupils)
{
    uint32_t id = w->world->schools[school].id;
    struct gen_tally *tally = &w->world->tallies[school * w->world->options->year_count + w->year_index];
    if (tally->closed_count < GEN_CLOSED_MAX)
        tally->closed[tally->closed_count++] = pupils;
    w->out->now_s += 60;
    char *p = gen_event_begin(w->out, "registration.closed.v1", id);
    if (!p)
        return;
    p = gen_put_number(gen_put(p, "\"school_id\":\""), id);
    p = gen_put_year(gen_put(p, "\",\"school_year\":"), w->year);
    p = gen_put_number(gen_put(p, ",\"pupils\":"), (uint64_t)pupils);
    gen_event_end(w->out, p, id);
}

static int note_move(struct moves *moves, const struct gen_pupil *pupil)
{
    if (moves->count == moves->capacity) {
        int room = moves->capacity ? 2 * moves->capacity : 64;
        struct gen_pupil *more = realloc(moves->pupils, (size_t)room * sizeof *more);
        if (!more)
            return ERR_NOMEM;
        moves->pupils = more;
        moves->capacity = room;
    }
    moves->pupils[moves->count++] = *pupil;
    return ERR_OK;
}

/* A school that tells of an incomplete count announces three more than it sent. */
static int announced(const struct writing *w, int school)
{
    bool short_count = w->world->schools[school].story == GEN_INCOMPLETE && w->year == w->world->base_year;
    return w->held[school] + (short_count ? 3 : 0);
}

/* A registration of a group that the school's level does not have: it stands, and fits nothing. */
static void write_misfit(struct writing *w, int school, struct gen_tally *tally)
{
    static const uint8_t misfit[GEN_LEVELS] = {GEN_GRAAD1, GEN_LAGER, GEN_OKAN, GEN_OKAN};
    const struct gen_school *s = &w->world->schools[school];
    int turn = school - w->world->published_count;
    if (w->year != w->world->base_year || turn < 0 || turn >= w->world->options->unmatched)
        return;
    struct gen_pupil pupil = {.owner = s->id, .group = misfit[s->level], .halves = 2};
    gen_tally_pupil(tally, &pupil);
    write_upsert(w, school, &pupil);
}

/* Registrations of schools that no school event names. */
static void write_unknown_schools(struct writing *w)
{
    if (w->year != w->world->base_year)
        return;
    for (int i = 0; i < w->world->options->unmatched; i++) {
        struct gen_pupil pupil = {.owner = GEN_UNKNOWN_ID + (uint32_t)i, .group = GEN_LAGER, .halves = 2};
        w->out->unknown_school += write_registration(w, pupil.owner, &pupil);
    }
}

static int write_first(struct writing *w, int school)
{
    const struct gen_school *s = &w->world->schools[school];
    struct gen_tally *tally = &w->world->tallies[school * w->world->options->year_count + w->year_index];
    struct moves *moves = &w->moves[s->level];
    int err = gen_roster_build(&w->roster, w->world, school, w->year);
    if (err)
        return err;
    w->held[school] = 0;
    for (int i = 0; i < moves->count; i++) /* of the school before */
        write_upsert(w, school, &moves->pupils[i]);
    moves->count = 0;
    for (int i = 0; i < w->roster.count; i++) {
        const struct gen_pupil *pupil = &w->roster.pupils[i];
        gen_tally_pupil(tally, pupil);
        enum correction correction = correction_of(w, s, pupil);
        if (correction == CORRECT_SCHOOL) {
            if ((err = note_move(moves, pupil)))
                return err;
            continue;
        }
        struct gen_pupil first = first_version(w, *pupil, correction);
        write_upsert(w, school, &first);
    }
    write_misfit(w, school, tally);
    write_closed(w, school, announced(w, school));
    return ERR_OK;
}

/* The neighbour's turn comes later, so its number is final when it is closed again. */
static int write_corrections(struct writing *w, int school)
{
    const struct gen_school *s = &w->world->schools[school];
    const struct gen_tally *tally =
        &w->world->tallies[school * w->world->options->year_count + w->year_index];
    int err =
        w->world->options->corrections ? gen_roster_build(&w->roster, w->world, school, w->year) : ERR_OK;
    if (err)
        return err;
    for (int i = 0; w->world->options->corrections && i < w->roster.count; i++) {
        const struct gen_pupil *pupil = &w->roster.pupils[i];
        switch (correction_of(w, s, pupil)) {
        case CORRECT_NOTHING:
            continue;
        case CORRECT_FIELD:
            w->held[school]--; /* replaced, not added */
            break;
        case CORRECT_GROUP:
            write_withdraw(w, school, pupil);
            break;
        case CORRECT_SCHOOL:
            write_withdraw(w, s->after, pupil);
        }
        write_upsert(w, school, pupil);
    }
    if (announced(w, school) != tally->closed[tally->closed_count - 1])
        write_closed(w, school, announced(w, school));
    if (s->story == GEN_REOPENED && w->year == w->world->base_year)
        write_closed(w, school, w->held[school] + 2);
    return ERR_OK;
}

/* About five months for all schools, then a month for the corrections. */
static void set_time(struct writing *w, int school, int month, int days)
{
    int32_t day = gen_date(month < 9 ? w->year + 1 : w->year, month, 2) +
                  (int)((int64_t)school * days / w->world->school_count);
    w->out->now_s = (int64_t)day * 86400 + 7 * 3600 + school % 97 * 60;
}

static int write_year(struct writing *w)
{
    int err = ERR_OK;
    w->out->may_repeat_late = true;
    for (int i = 0; !err && i < w->world->school_count; i++) {
        set_time(w, i, 9, 140);
        err = write_first(w, i);
    }
    write_unknown_schools(w);
    gen_output_late(w->out);
    w->out->may_repeat_late = false; /* a later event has the same key */
    for (int i = 0; !err && i < w->world->school_count; i++) {
        set_time(w, i, 2, 25);
        err = write_corrections(w, i);
    }
    return err;
}

int gen_feed_registration(struct gen_world *world, struct gen_output *out)
{
    struct writing w = {.world = world, .out = out};
    int err = ERR_NOMEM;
    w.held = calloc((size_t)world->school_count + 1, sizeof *w.held);
    if (!w.held)
        goto out;
    err = ERR_OK;
    for (int i = 0; !err && i < world->options->year_count; i++) {
        w.year_index = i;
        w.year = world->options->years[i];
        err = write_year(&w);
    }
    for (int n = 1; !err && world->school_count && n <= world->options->too_large; n++)
        gen_bad_too_large(out, world->schools[0].id, n);
out:
    for (int i = 0; i < GEN_LEVELS; i++)
        free(w.moves[i].pupils);
    free(w.held);
    gen_roster_fini(&w.roster);
    return err;
}
