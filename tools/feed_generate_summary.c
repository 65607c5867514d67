/* SPDX-License-Identifier: MIT
 *
 * The generator's own bookkeeping as JSON, so that a test can hold a database against numbers that were not
 * computed from the events. Counts in half units, of registrations that count on the teldag. With a
 * partition: its schools only. */
#include <stdlib.h>

#include "tools/feed_generate_model.h"

static void write_group(FILE *file, const struct gen_tally *tally, int g, bool first)
{
    fprintf(file, "%s\"%s\": {\"pupils\": %d, \"gok_pupils\": %d", first ? "" : ", ", gen_group_names[g],
            tally->pupils[g], tally->gok[g]);
    for (int i = 0; i < GEN_INDICATORS; i++)
        fprintf(file, ", \"%s\": %d", gen_indicator_names[i], tally->indicator[g][i]);
    fputc('}', file);
}

static void write_year(FILE *file, const struct gen_tally *tally, int year)
{
    char quoted[16];
    *gen_put_year(quoted, year) = '\0';
    fprintf(file, "   {\"school_year\": %s, \"registrations\": %d, \"closed\": [", quoted, tally->held);
    for (int i = 0; i < tally->closed_count; i++)
        fprintf(file, "%s%d", i ? ", " : "", tally->closed[i]);
    fputs("], \"groups\": {", file);
    bool first = true;
    for (int g = 0; g < GEN_GROUPS; g++)
        if (tally->pupils[g]) {
            write_group(file, tally, g, first);
            first = false;
        }
    fputs("}}", file);
}

static bool is_mine(const struct gen_world *world, int school)
{
    const struct gen_options *o = world->options;
    return (int)(world->schools[school].id % (unsigned)o->partitions) == o->partition;
}

static void write_schools(FILE *file, const struct gen_world *world)
{
    static const char *const stories[] = {"ordinary",   "near",     "grace", "lost",
                                          "incomplete", "reopened", "double"};
    bool first = true;
    fputs(" \"schools\": [", file);
    for (int i = 0; i < world->school_count; i++) {
        const struct gen_school *school = &world->schools[i];
        if (!is_mine(world, i))
            continue;
        fprintf(
            file, "%s\n  {\"school_id\": \"%u\", \"level\": \"%s\", \"story\": \"%s\", \"unpublished\": [",
            first ? "" : ",", (unsigned)school->id, gen_level_names[school->level], stories[school->story]);
        first = false;
        for (int k = 0, n = 0; k < GEN_INDICATORS; k++)
            if (school->target[k] < 0)
                fprintf(file, "%s\"%s\"", n++ ? ", " : "", gen_indicator_names[k]);
        fputs("], \"years\": [\n", file);
        for (int y = 0; y < world->options->year_count; y++) {
            write_year(file, &world->tallies[i * world->options->year_count + y], world->options->years[y]);
            fputs(y + 1 < world->options->year_count ? ",\n" : "\n  ]}", file);
        }
    }
    fputs("\n ]\n", file);
}

int gen_summary_write(const struct gen_world *world, const struct gen_output *out, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return ERR_IO;
    uint64_t standing = out->unknown_school, bad = 0;
    for (int i = 0; i < world->school_count * world->options->year_count; i++)
        standing += is_mine(world, i / world->options->year_count) ? (uint64_t)world->tallies[i].held : 0;
    for (int i = 0; i < GEN_BAD_KINDS; i++)
        bad += out->bad[i];
    fprintf(file,
            "{\"seed\": %lu,\n \"lines\": %llu, \"events\": %llu, \"duplicates\": %llu, \"registrations\": "
            "%llu,\n",
            (unsigned long)world->options->seed, (unsigned long long)out->lines,
            (unsigned long long)out->events, (unsigned long long)out->duplicates,
            (unsigned long long)standing);
    fprintf(file, " \"unknown_school\": %llu,\n", (unsigned long long)out->unknown_school);
    fprintf(file, " \"bad\": %llu, \"too_large\": %llu, \"bad_kinds\": {", (unsigned long long)bad,
            (unsigned long long)out->too_large);
    for (int i = 0; i < GEN_BAD_KINDS; i++)
        fprintf(file, "%s\"%s\": %llu", i ? ", " : "", gen_bad_name(i), (unsigned long long)out->bad[i]);
    fputs("},\n", file);
    write_schools(file, world);
    fputs("}\n", file);
    bool failed = ferror(file);
    return fclose(file) != 0 || failed ? ERR_IO : ERR_OK;
}
