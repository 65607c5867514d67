/* SPDX-License-Identifier: MIT
 *
 * The command that makes keys of pupils' pseudonyms. Prints the school year and the id of the new key, which events and
 * rows carry; what stands in the file is pseudonym_keys.c's. */
#include "tools/feed_key.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/log.h"
#include "tools/feed_options.h"
#include "workers/event_value.h"
#include "workers/pseudonym_keys.h"

static const struct option table[] = {
    {"year", required_argument, NULL, 'y'},
    {"out", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int feed_key_main(int argc, char **argv)
{
    const char *year_text = NULL, *path = NULL;
    char error[1024];
    int option;
    int64_t year;
    uint32_t id;
    optind = 1;
    while ((option = getopt_long(argc, argv, "+h", table, NULL)) != -1) {
        if (option == 'y')
            year_text = optarg;
        else if (option == 'o')
            path = optarg;
        else {
            feed_usage(option != 'h');
            return option == 'h' ? 0 : EX_USAGE;
        }
    }
    if (optind < argc || !year_text || !path || !*path) {
        log_error("pseudonym-key needs --year and --out, and nothing else");
        return EX_USAGE;
    }
    if (!value_parse_year(year_text, strlen(year_text), &year)) {
        log_error("--year: must be a school year like 2024-2025");
        return EX_USAGE;
    }
    int exit_code = pseudonym_keys_add(path, (int)year, &id, error, sizeof error);
    if (exit_code)
        log_error("%s", error);
    else
        printf("%s key %08x\n", year_text, id);
    return exit_code;
}
