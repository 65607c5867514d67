/* SPDX-License-Identifier: MIT
 *
 * The commands `trim` (forget old lines), `new-epoch` (its numbers are given out anew) and `dump` (print lines). */
#pragma once

int feed_trim_main(int argc, char **argv);
int feed_new_epoch_main(int argc, char **argv);
int feed_dump_main(int argc, char **argv);
