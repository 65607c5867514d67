/* SPDX-License-Identifier: MIT
 *
 * The command line of teldagd (teldagd(8)). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct options {
    const char *config_path;
    bool check_config, print_config;
    int32_t today; /* --today, days since 1970; INT32_MIN: the clock of Brussels */
};
/* -1: go on. Otherwise the exit code: 0 after --help and --version, 64 when the usage is wrong (said on stderr). */
int options_parse(struct options *options, int argc, char **argv);
