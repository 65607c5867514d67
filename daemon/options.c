/* SPDX-License-Identifier: MIT
 *
 * The command line: long options, -c and -h; everything else is configuration. */
#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static const char usage[] =
    "usage: teldagd -c FILE [--check-config] [--print-config] [--today DATE] [--version]\n";
static const char help[] =
    "Follows the feeds of education registries into PostgreSQL and publishes alerts.\n\n"
    "  -c, --config FILE  the configuration file (teldagd.conf(5))\n"
    "  --check-config     check the file, the rules and the key it names, and exit (78 when wrong)\n"
    "  --print-config     print the configuration as understood, and exit\n"
    "  --today DATE       fix the date (YYYY-MM-DD) instead of following the clock; for tests\n"
    "  --version          print the version and exit\n";

/* "2025-02-03" into days since 1970; only dates that exist. */
static bool parse_date(const char *text, int32_t *days)
{
    struct tm t = {0};
    int used = 0;
    if (strlen(text) != 10 || text[0] == '-' ||
        sscanf(text, "%4d-%2d-%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &used) != 3 || used != 10 ||
        t.tm_year < 1990 || t.tm_year > 2099)
        return false;
    struct tm given = t;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    time_t seconds = timegm(&t); /* normalises 31 February: then it differs from what was given */
    *days = (int32_t)(seconds / 86400);
    return t.tm_mday == given.tm_mday && t.tm_mon + 1 == given.tm_mon;
}

int options_parse(struct options *options, int argc, char **argv)
{
    enum { CHECK = 256, PRINT, TODAY, VERSION };
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, CHECK},
        {"print-config", no_argument, NULL, PRINT},
        {"today", required_argument, NULL, TODAY},
        {"version", no_argument, NULL, VERSION},
        {"help", no_argument, NULL, 'h'},
        {NULL},
    };
    *options = (struct options){.today = INT32_MIN};
    for (int c; (c = getopt_long(argc, argv, "c:h", known, NULL)) != -1;) {
        switch (c) {
        case 'c':
            options->config_path = optarg;
            break;
        case CHECK:
            options->check_config = true;
            break;
        case PRINT:
            options->print_config = true;
            break;
        case TODAY:
            if (!parse_date(optarg, &options->today)) {
                fprintf(stderr, "teldagd: --today %s: not a date; write YYYY-MM-DD\n", optarg);
                return EX_USAGE;
            }
            break;
        case VERSION:
            puts("teldagd " TELDAGD_VERSION);
            return EX_OK;
        case 'h':
            printf("%s%s", usage, help);
            return EX_OK;
        default: /* getopt has said what is wrong */
            fputs(usage, stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc)
        fprintf(stderr, "teldagd: %s: unexpected argument\n", argv[optind]);
    else if (!options->config_path)
        fputs("teldagd: -c FILE is missing\n", stderr);
    if (optind < argc || !options->config_path) {
        fputs(usage, stderr);
        return EX_USAGE;
    }
    return -1;
}
