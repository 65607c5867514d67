/* SPDX-License-Identifier: MIT
 *
 * teldag-feed generate: the options, the table of feeds and the order in which they are written. A new feed
 * is one file feed_generate_<feed>.c and one row in generate_feeds. */
#include "tools/feed_generate.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/feed_generate_model.h"

/* Schools before what is said about them; what makes up the stream school has three rows, so that each can be had
 * alone. The letter stands in the events' ids. */
static const struct gen_feed generate_feeds[] = {
    {"school", 's', gen_feed_school},           {"institution", 'o', gen_feed_institution},
    {"entitlement", 'e', gen_feed_entitlement}, {"registration", 'r', gen_feed_registration},
    {"inspection", 'i', gen_feed_inspection},   {"huisonderwijs", 'h', gen_feed_huisonderwijs},
    {"aanhuis", 'a', gen_feed_aanhuis},         {"melding", 'm', gen_feed_melding},
};
#define FEED_COUNT (sizeof generate_feeds / sizeof generate_feeds[0])

enum option_code {
    OPT_HELP = 1,
    OPT_PUPILS,
    OPT_SCHOOLS,
    OPT_SEED,
    OPT_COUNTS,
    OPT_MARGINALS,
    OPT_FEED,
    OPT_YEARS,
    OPT_CORRECTIONS,
    OPT_DUPLICATES,
    OPT_BAD,
    OPT_TOO_LARGE,
    OPT_UNMATCHED,
    OPT_PARTITION,
    OPT_SUMMARY
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, OPT_HELP},
    {"pupils", required_argument, NULL, OPT_PUPILS},
    {"schools", required_argument, NULL, OPT_SCHOOLS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"counts", required_argument, NULL, OPT_COUNTS},
    {"marginals", required_argument, NULL, OPT_MARGINALS},
    {"feed", required_argument, NULL, OPT_FEED},
    {"years", required_argument, NULL, OPT_YEARS},
    {"corrections", required_argument, NULL, OPT_CORRECTIONS},
    {"duplicates", required_argument, NULL, OPT_DUPLICATES},
    {"bad", required_argument, NULL, OPT_BAD},
    {"too-large", required_argument, NULL, OPT_TOO_LARGE},
    {"unmatched", required_argument, NULL, OPT_UNMATCHED},
    {"partition", required_argument, NULL, OPT_PARTITION},
    {"summary", required_argument, NULL, OPT_SUMMARY},
    {NULL, 0, NULL, 0},
};

static const char help_text[] =
    "Usage: teldag-feed generate --pupils N --schools N --seed S [option...]\n"
    "Writes a repeatable set of events (CloudEvents, one a line) to standard output. Same options, same "
    "bytes.\n"
    "  --pupils N          registrations of the generated schools together in the base school year\n"
    "  --schools N         generated schools (ids from 900001), besides those of --counts\n"
    "  --seed S            0..4294967295\n"
    "  --counts CSV        secondary schools whose indicator counts in 2023-2024 match this file exactly;\n"
    "                      how their pupils divide over graad1, okan and graad23 is generated, not "
    "published\n"
    "  --marginals JSON    reports and controls of 2023-2024 have exactly these published totals; POAH has "
    "248\n"
    "                      requests of which 115 + 104 granted and 27 rejected: the two others stay "
    "postponed,\n"
    "                      because the published parts are 246 of 248 pupils; needs 800 schools or more\n"
    "  --feed F[,F]        only school, institution, entitlement (these three make the stream school),\n"
    "                      registration, inspection, huisonderwijs, aanhuis or melding; may be repeated\n"
    "  --years Y[,Y]       school years, ascending (2022-2023,2023-2024)\n"
    "  --corrections P     percent of events sent wrong first and put right afterwards (0)\n"
    "  --duplicates P      percent of events sent twice (0)\n"
    "  --bad P             malformed lines, as a percent of the events (0)\n"
    "  --too-large N       lines of 2 MiB at the end of the registrations (0)\n"
    "  --unmatched N       registrations in the base year of N unknown schools (ids from 995001), and of a "
    "group\n"
    "                      that does not fit in the first N generated schools; N decisions without request,\n"
    "                      second controls without a first, answers before their melding (0)\n"
    "  --partition I/P     only schools whose id modulo P is I, in feeds without school only pupils (0/1)\n"
    "  --summary FILE      what must stand in the end, as JSON\n";

static bool parse_number(const char *text, long low, long high, long *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *out = strtol(text, &end, 10);
    return *end == '\0' && *out >= low && *out <= high;
}

/* "10" or "2.5" percent, per 10,000. */
static bool parse_percent(const char *text, int *out)
{
    unsigned whole, part = 0;
    char digits[3] = "", rest;
    int n = sscanf(text, "%3u.%2[0-9]%c", &whole, digits, &rest);
    if (*text < '0' || *text > '9' || n < 1 || n > 2 ||
        (n == 1 && strspn(text, "0123456789") != strlen(text)))
        return false;
    for (int i = 0; i < 2; i++)
        part = part * 10 + (digits[0] && digits[i] ? (unsigned)(digits[i] - '0') : 0);
    *out = (int)(whole * 100 + part);
    return *out <= 10000;
}

static bool parse_years(const char *text, struct gen_options *o)
{
    for (o->year_count = 0;; text++) {
        unsigned year, next;
        int used = 0;
        if (sscanf(text, "%4u-%4u%n", &year, &next, &used) != 2 || used != 9 || next != year + 1 ||
            year < 1992 || year > 2097 || o->year_count == GEN_YEARS_MAX ||
            (o->year_count && (int)year <= o->years[o->year_count - 1]))
            return false;
        o->years[o->year_count++] = (int)year;
        text += used;
        if (*text != ',')
            return *text == '\0';
    }
}

static bool parse_feeds(const char *text, struct gen_options *o)
{
    for (;; text++) {
        size_t len = strcspn(text, ","), i = 0;
        while (i < FEED_COUNT &&
               (strlen(generate_feeds[i].name) != len || memcmp(generate_feeds[i].name, text, len)))
            i++;
        if (i == FEED_COUNT)
            return false;
        o->feeds |= 1u << i;
        text += len;
        if (!*text)
            return true;
    }
}

static bool parse_partition(const char *text, struct gen_options *o)
{
    int used = 0;
    return sscanf(text, "%5d/%5d%n", &o->partition, &o->partitions, &used) == 2 && !text[used] &&
           o->partition >= 0 && o->partition < o->partitions;
}

static bool parse_option(int option, const char *text, struct gen_options *o)
{
    long n = 0;
    bool good = true;
    switch (option) {
    case OPT_PUPILS:
        good = parse_number(text, 0, 100000000, &o->pupils);
        break;
    case OPT_SCHOOLS:
        good = parse_number(text, 0, 90000, &o->schools);
        break;
    case OPT_SEED:
        good = parse_number(text, 0, UINT32_MAX, &n);
        o->seed = (uint32_t)n;
        break;
    case OPT_COUNTS:
        o->counts = text;
        break;
    case OPT_MARGINALS:
        o->marginals = text;
        break;
    case OPT_FEED:
        good = parse_feeds(text, o);
        break;
    case OPT_YEARS:
        good = parse_years(text, o);
        break;
    case OPT_CORRECTIONS:
        good = parse_percent(text, &o->corrections);
        break;
    case OPT_DUPLICATES:
        good = parse_percent(text, &o->duplicates);
        break;
    case OPT_BAD:
        good = parse_percent(text, &o->bad);
        break;
    case OPT_TOO_LARGE:
        good = parse_number(text, 0, 1000, &n);
        o->too_large = (int)n;
        break;
    case OPT_UNMATCHED:
        good = parse_number(text, 0, 1000, &n);
        o->unmatched = (int)n;
        break;
    case OPT_PARTITION:
        good = parse_partition(text, o);
        break;
    default:
        o->summary = text;
    }
    return good;
}

/* EX_OK and go on, or the exit code; help sets *done. */
static int read_options(int argc, char **argv, struct gen_options *o, bool *done)
{
    bool pupils = false, schools = false, seed = false;
    int option, index = 0;
    optind = 0; /* start afresh: the caller may have read options too */
    while ((option = getopt_long(argc, argv, "+", long_options, &index)) != -1) {
        if (option == '?')
            return EX_USAGE;
        if (option == OPT_HELP) {
            fputs(help_text, stdout);
            *done = true;
            return EX_OK;
        }
        if (!parse_option(option, optarg, o)) {
            fprintf(stderr, "teldag-feed generate: --%s %s: not what it takes (see --help)\n",
                    long_options[index].name, optarg);
            return EX_USAGE;
        }
        pupils |= option == OPT_PUPILS;
        schools |= option == OPT_SCHOOLS;
        seed |= option == OPT_SEED;
    }
    if (optind < argc) {
        fprintf(stderr, "teldag-feed generate: unexpected argument %s\n", argv[optind]);
        return EX_USAGE;
    }
    if (!pupils || !schools || !seed) {
        fputs("teldag-feed generate: --pupils, --schools and --seed are needed (see --help)\n", stderr);
        return EX_USAGE;
    }
    if (o->pupils < o->schools) {
        fputs("teldag-feed generate: fewer pupils than schools\n", stderr);
        return EX_USAGE;
    }
    if (!o->feeds)
        o->feeds = (1u << FEED_COUNT) - 1;
    return EX_OK;
}

static int write_feeds(struct gen_world *world, struct gen_output *out)
{
    int err = gen_output_init(out, stdout, world->options);
    for (size_t i = 0; !err && i < FEED_COUNT; i++) {
        if (!(world->options->feeds & 1u << i))
            continue;
        gen_output_feed(out, generate_feeds[i].letter);
        err = generate_feeds[i].write(world, out);
    }
    int written = gen_output_finish(out);
    return err ? err : written;
}

int feed_generate_main(int argc, char **argv)
{
    struct gen_options options = {.years = {2022, 2023}, .year_count = 2, .partitions = 1};
    struct gen_output out = {0};
    struct gen_world world = {0};
    bool done = false;
    int code = read_options(argc, argv, &options, &done);
    if (code || done)
        return code;
    int err = gen_world_init(&world, &options);
    if (err) {
        code = err == ERR_NOMEM ? EX_UNAVAILABLE : EX_DATAERR;
        goto out;
    }
    err = write_feeds(&world, &out);
    if (!err && options.summary && (err = gen_summary_write(&world, &out, options.summary)))
        fprintf(stderr, "teldag-feed generate: %s: %m\n", options.summary);
    else if (err)
        fprintf(stderr, "teldag-feed generate: %s\n", err_text(err));
    code = err ? EX_UNAVAILABLE : EX_OK;
out:
    gen_world_fini(&world);
    return code;
}
