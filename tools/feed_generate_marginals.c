/* SPDX-License-Identifier: MIT
 *
 * How many reports, controls and requests a school year has: the totals published for 2023-2024 in the Onderwijsspiegel
 * 2025 as proportions at the world's scale, or exactly those of a file (--marginals). Decides too whether such a file
 * agrees with itself; what the publication leaves open is decided here and said in the manual. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_small.h"
#include "workers/event_json.h"

#define EXACT_YEAR 2023

/* What the publication does not split: unfavourable advice outside bao is with opschorting; nobody refused.
 * POAH: regulation 8, C9: 248 pupils, of whom 115 + 104 granted and 27 rejected are 246; the two others stay open. */
static const struct gen_marginals published = {
    .doorlichting = {419, 132, 20, 9, 20, 1, 11, 10},
    .without = {42, 19},
    .bezoek = {361, 160, 10, 11, 29},
    .after_ongunstig = 41,
    .advice_bao = {217, 109, 50, 1},
    .advice_rest = {87, 67, 30, 0},
    .gok_negative = {77, 10},
    .gok_assessed = {323, 87},
    .gok_none = 16,
    .help_negative = {49, 6},
    .help_weak = {206, 42},
    .help_assessed = {323, 87},
    .first = {334, 456},
    .second = {24, 34},
    .first_insufficient = 93,
    .second_insufficient = 28,
    .verklaringen = 3471,
    .poah_first = 115,
    .poah_extended = 104,
    .poah_rejected = 27,
    .poah_open = 2,
    .refused = 8,
};

int gen_scale(int64_t n, int64_t part, int64_t whole)
{
    return whole ? (int)((2 * n * part + whole) / (2 * whole)) : 0;
}

static int sum(const int *n, int count)
{
    int total = 0;
    while (count-- > 0)
        total += n[count];
    return total;
}

/* Parts of `total` in the proportions given, cut at rounded running sums, so that they add up. */
static void divide(int *out, const int *parts, int count, int total)
{
    int whole = sum(parts, count), so_far = 0, given = 0;
    for (int i = 0; i < count; i++) {
        so_far += parts[i];
        int until = gen_scale(total, so_far, whole);
        out[i] = until - given;
        given = until;
    }
}

static int at_most(int n, int limit)
{
    return n < limit ? n : limit;
}

static void scale_inspection(struct gen_marginals *m, int schools)
{
    const struct gen_marginals *p = &published;
    for (int l = 0; l < GEN_PLACE_LEVELS; l++) {
        m->doorlichting[l] = gen_scale(p->doorlichting[l], schools, GEN_FLANDERS_SCHOOLS);
        m->without[l] = at_most(gen_scale(p->without[l], schools, GEN_FLANDERS_SCHOOLS), m->doorlichting[l]);
        m->bezoek[l] = gen_scale(p->bezoek[l], schools, GEN_FLANDERS_SCHOOLS);
    }
    m->after_ongunstig = gen_scale(p->after_ongunstig, schools, GEN_FLANDERS_SCHOOLS);
    int bao = m->doorlichting[GEN_BAO] - m->without[GEN_BAO];
    int all = sum(m->doorlichting, GEN_PLACE_LEVELS) - sum(m->without, GEN_PLACE_LEVELS);
    divide(m->advice_bao, p->advice_bao, GEN_ADVICES, bao);
    divide(m->advice_rest, p->advice_rest, GEN_ADVICES, all - bao);
    for (int k = 0; k < 2; k++) {
        int n = m->doorlichting[k], whole = p->doorlichting[k];
        m->gok_assessed[k] = gen_scale(p->gok_assessed[k], n, whole);
        m->gok_negative[k] = gen_scale(p->gok_negative[k], n, whole);
        m->help_assessed[k] = gen_scale(p->help_assessed[k], n, whole);
        m->help_weak[k] = gen_scale(p->help_weak[k], n, whole);
        m->help_negative[k] = gen_scale(p->help_negative[k], n, whole);
    }
    m->gok_none = at_most(gen_scale(p->gok_none, m->doorlichting[GEN_SO], p->doorlichting[GEN_SO]),
                          m->doorlichting[GEN_SO] - m->gok_assessed[GEN_SO]);
}

static void scale_pupils(struct gen_marginals *m, long pupils)
{
    const struct gen_marginals *p = &published;
    for (int k = 0; k < 2; k++) {
        m->first[k] = gen_scale(p->first[k], pupils, GEN_FLANDERS_PUPILS);
        m->second[k] = gen_scale(p->second[k], pupils, GEN_FLANDERS_PUPILS);
    }
    m->first_insufficient = gen_scale(p->first_insufficient, pupils, GEN_FLANDERS_PUPILS);
    for (int k = 0; k < 2; k++)
        m->second[k] = at_most(m->second[k], m->first_insufficient / 2);
    m->second_insufficient =
        at_most(gen_scale(p->second_insufficient, pupils, GEN_FLANDERS_PUPILS), sum(m->second, 2));
    m->verklaringen = gen_scale(p->verklaringen, pupils, GEN_FLANDERS_PUPILS);
    if (m->verklaringen < sum(m->first, 2))
        m->verklaringen = sum(m->first, 2);
    /* About 260 a year; the exact year has 248. */
    m->poah_first = gen_scale(p->poah_first + 6, pupils, GEN_FLANDERS_PUPILS);
    m->poah_extended = gen_scale(p->poah_extended + 5, pupils, GEN_FLANDERS_PUPILS);
    m->poah_rejected = gen_scale(p->poah_rejected + 1, pupils, GEN_FLANDERS_PUPILS);
    m->poah_open = gen_scale(p->poah_open, pupils, GEN_FLANDERS_PUPILS);
}

void gen_marginals_of(struct gen_marginals *m, const struct gen_world *world, int year)
{
    if (world->exact && year == EXACT_YEAR) {
        *m = *world->exact;
        return;
    }
    memset(m, 0, sizeof *m);
    m->refused = published.refused;
    scale_inspection(m, world->school_count);
    scale_pupils(m, world->pupils);
}

/* ---- the file ---- */

struct reading {
    const struct json_token *tokens;
    const char *missing; /* the first member that is not there, or not as it should be */
};

/* The member's token, 0 when there is none. */
static uint32_t member(struct reading *r, uint32_t object, const char *name)
{
    if (r->tokens[object].type == JSON_OBJECT)
        for (uint32_t i = object + 1; i < r->tokens[object].next; i = r->tokens[i].next)
            if (json_span_is(r->tokens[i].key, name, strlen(name)))
                return i;
    if (!r->missing)
        r->missing = name;
    return 0;
}

static int count_of(struct reading *r, uint32_t i, const char *name)
{
    int n = 0;
    if (r->missing)
        return 0;
    const struct json_token *t = &r->tokens[i];
    bool good = t->type == JSON_NUMBER && t->text.len > 0 && t->text.len <= 6;
    for (uint32_t k = 0; good && k < t->text.len; k++) {
        good = t->text.at[k] >= '0' && t->text.at[k] <= '9';
        n = n * 10 + (t->text.at[k] - '0');
    }
    if (!good)
        r->missing = name;
    return n;
}

static int number(struct reading *r, uint32_t object, const char *name)
{
    return count_of(r, member(r, object, name), name);
}

static void read_levels(struct reading *r, uint32_t object, int *out)
{
    for (int l = 0; l < GEN_PLACE_LEVELS; l++)
        out[l] = number(r, object, gen_place_level_names[l]);
}

static void read_pair(struct reading *r, uint32_t object, const char *name, int *first, int *second)
{
    uint32_t list = member(r, object, name);
    if (r->missing)
        return;
    uint32_t one = list + 1, two = one < r->tokens[list].next ? r->tokens[one].next : one;
    if (r->tokens[list].type != JSON_LIST || two >= r->tokens[list].next ||
        r->tokens[two].next != r->tokens[list].next) {
        r->missing = name;
        return;
    }
    *first = count_of(r, one, name);
    *second = count_of(r, two, name);
}

/* Totals that are said besides their parts. */
struct totals {
    int controls, sufficient, insufficient, reports, visits, advice[4];
};

static void read_inspection(struct reading *r, struct gen_marginals *m, struct totals *t)
{
    static const char *const advice[GEN_ADVICES] = {
        "gunstig", "gunstig_met_tekorten", "ongunstig_met_opschorting", "ongunstig_zonder_opschorting"};
    static const char *const all_advice[] = {"gunstig", "gunstig_met_tekorten", "ongunstig", "total"};
    static const char *const bezoek[] = {"bao", "so", "bubao", "buso", "dko"};
    uint32_t part = member(r, 0, "doorlichtingen_per_level");
    read_levels(r, part, m->doorlichting);
    t->reports = number(r, part, "total");
    part = member(r, part, "without_legal_consequence");
    for (int k = 0; k < 2; k++)
        m->without[k] = number(r, part, gen_place_level_names[k]);
    part = member(r, 0, "adviezen_bao");
    for (int k = 0; k < GEN_ADVICES; k++)
        m->advice_bao[k] = number(r, part, advice[k]);
    part = member(r, 0, "adviezen");
    for (int k = 0; k < 4; k++)
        t->advice[k] = number(r, part, all_advice[k]);
    part = member(r, 0, "gok_onvoldoende");
    for (int k = 0; k < 2; k++)
        read_pair(r, part, gen_place_level_names[k], &m->gok_negative[k], &m->gok_assessed[k]);
    m->gok_none = number(r, part, "so_without_verdict_no_gok_means");
    part = member(r, 0, "leerlingenbegeleiding");
    for (int k = 0; k < 2; k++) {
        uint32_t level = member(r, part, gen_place_level_names[k]);
        m->help_assessed[k] = number(r, level, "assessed");
        m->help_weak[k] = number(r, level, "werkpunten_or_negatief");
        m->help_negative[k] = number(r, level, "negatief");
    }
    part = member(r, 0, "tussentijdse_bezoeken");
    for (size_t k = 0; k < sizeof bezoek / sizeof bezoek[0]; k++)
        m->bezoek[k] = number(r, part, bezoek[k]);
    t->visits = number(r, part, "total");
    m->after_ongunstig = number(r, part, "after_ongunstig");
}
_Static_assert(GEN_BAO == 0 && GEN_SO == 1 && GEN_BUBAO == 2 && GEN_BUSO == 3 && GEN_DKO == 4,
               "bezoek[] above");

static void read_controls(struct reading *r, struct gen_marginals *m, struct totals *t)
{
    static const char *const levels[] = {"(bu)bao", "(bu)so"};
    uint32_t part = member(r, 0, "huisonderwijs_controles");
    uint32_t first = member(r, part, "first"), second = member(r, part, "second");
    for (int k = 0; k < 2; k++) {
        m->first[k] = number(r, first, levels[k]);
        m->second[k] = number(r, second, levels[k]);
    }
    m->first_insufficient = number(r, first, "onvoldoende");
    m->second_insufficient = number(r, second, "onvoldoende");
    m->verklaringen = number(r, part, "verklaringen_individueel");
    t->controls = number(r, part, "total");
    t->sufficient = number(r, part, "voldoende");
    t->insufficient = number(r, part, "onvoldoende");
}

/* NULL, or what cannot be true of one set of events. Fills what the file leaves to subtraction. */
static const char *find_contradiction(struct gen_marginals *m, const struct totals *t)
{
    int advised = sum(m->doorlichting, GEN_PLACE_LEVELS) - sum(m->without, GEN_PLACE_LEVELS);
    int unfavourable = m->advice_bao[GEN_MET] + m->advice_bao[GEN_ZONDER];
    m->advice_rest[GEN_GUNSTIG] = t->advice[0] - m->advice_bao[GEN_GUNSTIG];
    m->advice_rest[GEN_TEKORTEN] = t->advice[1] - m->advice_bao[GEN_TEKORTEN];
    m->advice_rest[GEN_MET] = t->advice[2] - unfavourable;
    m->advice_rest[GEN_ZONDER] = 0;
    if (sum(m->doorlichting, GEN_PLACE_LEVELS) != t->reports)
        return "doorlichtingen_per_level: the levels are not the total";
    if (sum(m->advice_bao, GEN_ADVICES) != m->doorlichting[GEN_BAO] - m->without[GEN_BAO])
        return "adviezen_bao: not the doorlichtingen of bao with legal consequence";
    if (t->advice[0] + t->advice[1] + t->advice[2] != t->advice[3] || t->advice[3] != advised)
        return "adviezen: not the doorlichtingen with legal consequence";
    for (int k = 0; k < 3; k++)
        if (m->advice_rest[k] < 0)
            return "adviezen: fewer than adviezen_bao";
    for (int k = 0; k < 2; k++) {
        if (m->gok_negative[k] > m->gok_assessed[k] ||
            m->gok_assessed[k] + (k ? m->gok_none : 0) > m->doorlichting[k])
            return "gok_onvoldoende: more than were assessed, or more assessed than inspected";
        if (m->help_negative[k] > m->help_weak[k] || m->help_weak[k] > m->help_assessed[k] ||
            m->help_assessed[k] > m->doorlichting[k])
            return "leerlingenbegeleiding: more than were assessed, or more assessed than inspected";
    }
    if (sum(m->bezoek, GEN_PLACE_LEVELS) != t->visits || m->after_ongunstig > t->visits ||
        m->after_ongunstig > t->advice[2])
        return "tussentijdse_bezoeken: the levels are not the total, or too many after ongunstig";
    if (sum(m->first, 2) + sum(m->second, 2) != t->controls ||
        t->sufficient + t->insufficient != t->controls ||
        m->first_insufficient + m->second_insufficient != t->insufficient)
        return "huisonderwijs_controles: the parts are not the totals";
    if (sum(m->second, 2) > m->first_insufficient || m->second_insufficient > sum(m->second, 2) ||
        sum(m->first, 2) > m->verklaringen)
        return "huisonderwijs_controles: a control has nothing to follow on";
    return NULL;
}

static char *read_whole(const char *path, size_t *len)
{
    enum { MOST = 1 << 16 };
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(MOST) : NULL;
    if (text) {
        *len = fread(text, 1, MOST, file);
        if (ferror(file) || *len == MOST) {
            errno = *len == MOST ? EFBIG : EIO;
            free(text);
            text = NULL;
        }
    }
    if (file)
        fclose(file);
    return text;
}

int gen_marginals_read(struct gen_marginals *m, const char *path)
{
    struct reading r = {0};
    struct json_fault fault;
    struct totals totals = {0};
    const char *wrong = NULL;
    size_t len = 0;
    uint32_t count = 0;
    int err = ERR_INVALID;
    struct json_parser *parser = event_json_new();
    char *text = read_whole(path, &len);
    *m = (struct gen_marginals){.poah_first = published.poah_first,
                                .poah_extended = published.poah_extended,
                                .poah_rejected = published.poah_rejected,
                                .poah_open = published.poah_open};
    if (!text || !parser) {
        fprintf(stderr, "teldag-feed generate: %s: %m\n", path);
        goto out;
    }
    if (event_json_parse(parser, text, len, &fault)) {
        fprintf(stderr, "teldag-feed generate: %s: %s\n", path, fault.text);
        goto out;
    }
    r.tokens = event_json_tokens(parser, &count);
    read_inspection(&r, m, &totals);
    read_controls(&r, m, &totals);
    if (!r.missing)
        wrong = find_contradiction(m, &totals);
    if (r.missing)
        fprintf(stderr, "teldag-feed generate: %s: %s is missing or is not a count\n", path, r.missing);
    else if (wrong)
        fprintf(stderr, "teldag-feed generate: %s: %s\n", path, wrong);
    else
        err = ERR_OK;
out:
    free(text);
    event_json_free(&parser);
    return err;
}
