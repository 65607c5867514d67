/* SPDX-License-Identifier: MIT
 *
 * Reads the published counts (conf/data/README.md): one secondary school a line, shares of pupils per
 * indicator. A share becomes the nearest multiple of half a pupil, exactly; an empty share or place is
 * unpublished, not zero. Decides nothing about events. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tools/feed_generate_model.h"

enum counts_column {
    CSV_ID,
    CSV_NAME,
    CSV_MUNICIPALITY,
    CSV_POSTCODE,
    CSV_PROVINCE,
    CSV_NETWORK,
    CSV_DATE,
    CSV_PUPILS,
    CSV_MOEDER,
    CSV_TOELAGE,
    CSV_THUISTAAL,
    CSV_BUURT,
    CSV_COLUMNS
};
static const char csv_header[] =
    "school_number,name,municipality,postcode,province,network,count_date,pupils,share_opleiding_moeder,"
    "share_schooltoelage,share_thuistaal,share_buurt";
#define CSV_COUNT_DATE "2024-02-01"

static const char *const provinces[] = {"antwerpen",       "brussel",        "limburg",
                                        "oost-vlaanderen", "vlaams-brabant", "west-vlaanderen"};
static const char *const brussels_region[] = {"Anderlecht",
                                              "Brussel",
                                              "Elsene",
                                              "Etterbeek",
                                              "Evere",
                                              "Ganshoren",
                                              "Haren",
                                              "Jette",
                                              "Koekelberg",
                                              "Laken",
                                              "Neder-Over-Heembeek",
                                              "Oudergem",
                                              "Schaarbeek",
                                              "Sint-Agatha-Berchem",
                                              "Sint-Gillis",
                                              "Sint-Jans-Molenbeek",
                                              "Sint-Joost-ten-Node",
                                              "Sint-Lambrechts-Woluwe",
                                              "Sint-Pieters-Woluwe",
                                              "Ukkel",
                                              "Vorst",
                                              "Watermaal-Bosvoorde"};

/* Cuts a line at its commas, in place; a field may stand in double quotes. Returns the number of fields. */
static int split_fields(char *line, char *fields[CSV_COLUMNS])
{
    int n = 0;
    for (char *p = line;; p++) {
        bool quoted = *p == '"';
        char *start = quoted ? ++p : p, *to = start;
        for (; *p && (quoted || *p != ','); p++) {
            if (quoted && *p == '"' && p[1] != '"') {
                quoted = false;
                continue;
            }
            p += quoted && *p == '"';
            *to++ = *p;
        }
        bool more = *p == ',';
        *to = '\0';
        if (n < CSV_COLUMNS)
            fields[n] = start;
        n++;
        if (!more)
            return n;
    }
}

/* "733.5" with at most `digits` decimals, times 10^digits; -1 when it is not such a number. */
static int64_t parse_decimal(const char *text, int digits)
{
    int64_t value = 0;
    int seen = 0, after = -1;
    for (; *text; text++) {
        if (*text == '.' && after < 0) {
            after = 0;
            continue;
        }
        if (!isdigit((unsigned char)*text) || seen++ > 9 || (after >= 0 && after++ >= digits))
            return -1;
        value = value * 10 + (*text - '0');
    }
    for (after = after < 0 ? 0 : after; after < digits; after++)
        value *= 10;
    return seen ? value : -1;
}

/* Nearest number of half pupils to share x pupils; -1 unpublished, -2 malformed. */
static int parse_share(const char *text, int pupils_halves)
{
    if (!*text)
        return -1;
    int64_t share = parse_decimal(text, 4);
    if (share < 0 || share > 10000)
        return -2;
    return (int)((share * pupils_halves * 2 + 10000) / 20000);
}

static const char *parse_province(const char *text)
{
    for (size_t i = 0; i < sizeof provinces / sizeof provinces[0]; i++)
        if (strcasecmp(text, provinces[i]) == 0)
            return provinces[i];
    return NULL;
}

static const char *parse_network(const char *text)
{
    if (strcmp(text, "GO!") == 0)
        return "go";
    if (strncmp(text, "Vrij", 4) == 0)
        return "vrij";
    if (strncmp(text, "Gemeentelijk", 12) == 0 || strncmp(text, "Provinciaal", 11) == 0 ||
        strncmp(text, "Officieel", 9) == 0)
        return "officieel";
    return NULL;
}

/* The grades are not published. The name often tells them; otherwise about a third is in the first. */
static int guess_graad1(const char *name, uint64_t r)
{
    if (strcasestr(name, "middenschool") || strcasestr(name, "middelbare school") ||
        strcasestr(name, "eerste graad") || strcasestr(name, "eerstegraad"))
        return 1000;
    if (strcasestr(name, "bovenbouw") || strcasestr(name, "3de graad") || strcasestr(name, "verpleegkunde"))
        return 0;
    return 280 + (int)(r % 100);
}

static const char *take_fields(struct gen_school *school, char *fields[CSV_COLUMNS], uint32_t seed)
{
    int64_t id = parse_decimal(fields[CSV_ID], 0), pupils = parse_decimal(fields[CSV_PUPILS], 1);
    if (id <= 0 || id >= GEN_FIRST_ID)
        return "school_number";
    if (pupils <= 0 || pupils % 5 != 0 || pupils > 1000000)
        return "pupils";
    if (strcmp(fields[CSV_DATE], CSV_COUNT_DATE) != 0)
        return "count_date";
    school->id = (uint32_t)id;
    school->size = (int)(pupils / 5);
    school->network = parse_network(fields[CSV_NETWORK]);
    school->province = parse_province(fields[CSV_PROVINCE]);
    if (!school->network || !*fields[CSV_NAME])
        return school->network ? "name" : "network";
    if (*fields[CSV_PROVINCE] && !school->province)
        return "province";
    static const int columns[GEN_INDICATORS] = {CSV_THUISTAAL, CSV_TOELAGE, CSV_MOEDER, -1, -1, CSV_BUURT};
    for (int i = 0; i < GEN_INDICATORS; i++) {
        school->target[i] = columns[i] < 0 ? 0 : parse_share(fields[columns[i]], school->size);
        if (school->target[i] < -1)
            return "share";
        school->share[i] =
            school->target[i] < 0 ? 0 : (int)((int64_t)school->target[i] * 10000 / school->size);
    }
    uint64_t r = gen_draw(seed, GEN_P_SCHOOL, school->id, 0);
    school->level = GEN_SO;
    school->published = true;
    school->graad1 = guess_graad1(fields[CSV_NAME], r);
    school->okan = (r >> 32) % 6 == 0 && school->size > 600 ? 60 + (int)((r >> 40) % 50) : 0;
    school->brussels = school->province && strcmp(school->province, "brussel") == 0;
    for (size_t i = 0; i < sizeof brussels_region / sizeof brussels_region[0]; i++)
        school->brussels |= strcmp(fields[CSV_MUNICIPALITY], brussels_region[i]) == 0;
    return NULL;
}

static int read_line(struct gen_world *world, char *line, const char *path, int line_no)
{
    char *fields[CSV_COLUMNS];
    int n = split_fields(line, fields);
    if (n != CSV_COLUMNS) {
        fprintf(stderr, "%s:%d: %d fields, expected %d\n", path, line_no, n, CSV_COLUMNS);
        return ERR_INVALID;
    }
    struct gen_school *school = gen_world_append(world);
    if (!school)
        return ERR_NOMEM;
    const char *wrong = take_fields(school, fields, world->options->seed);
    if (wrong) {
        fprintf(stderr, "%s:%d: %s is not as described in conf/data/README.md\n", path, line_no, wrong);
        return ERR_INVALID;
    }
    for (int i = 0; i + 1 < world->school_count; i++)
        if (world->schools[i].id == school->id) {
            fprintf(stderr, "%s:%d: school %u is there twice\n", path, line_no, (unsigned)school->id);
            return ERR_INVALID;
        }
    school->name = strdup(fields[CSV_NAME]);
    bool placed = *fields[CSV_MUNICIPALITY];
    school->municipality = placed ? strdup(fields[CSV_MUNICIPALITY]) : NULL;
    return school->name && (!placed || school->municipality) ? ERR_OK : ERR_NOMEM;
}

int gen_counts_read(struct gen_world *world, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    int err = ERR_IO, line_no = 0;
    if (!file) {
        fprintf(stderr, "%s: %m\n", path);
        goto out;
    }
    err = ERR_OK;
    while (!err && getline(&line, &room, file) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (++line_no == 1) {
            if (strcmp(line, csv_header) != 0) {
                fprintf(stderr, "%s:1: expected the header %s\n", path, csv_header);
                err = ERR_INVALID;
            }
        } else if (*line)
            err = read_line(world, line, path, line_no);
    }
    if (!err && (ferror(file) || line_no == 0)) {
        fprintf(stderr, "%s: cannot be read, or is empty\n", path);
        err = ERR_INVALID;
    }
out:
    free(line);
    if (file)
        fclose(file);
    return err;
}
