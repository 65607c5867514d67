/* SPDX-License-Identifier: MIT
 *
 * teldag-feed generate: a realistic, repeatable set of events on standard output (man page
 * teldag-feed-generate(1)). */
#pragma once

/* argv[0] is the command's name, the options follow. Returns an exit code of sysexits. */
int feed_generate_main(int argc, char **argv);
