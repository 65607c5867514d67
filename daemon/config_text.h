/* SPDX-License-Identifier: MIT
 *
 * The text of a file in libconfig's language, before libconfig sees it. libconfig follows @include to any file, and reads
 * large integers wrong: what it must not see is refused here, what it would read wrong is written otherwise. Pure, but
 * for the one function that reads a file. */
#pragma once

#include <stddef.h>

/* The whole file as text; NULL with the reason ("cannot be read: ...") in error when it cannot be read, is a folder, is
 * larger than 1 MiB or has zero bytes. The caller frees it. */
char *config_text_read(const char *path, char *error, size_t error_len);
/* The same of a file that is open already (fd -1: errno says why not), and closes it. */
char *config_text_read_fd(int fd, char *error, size_t error_len);

/* The line of the first directive (@include), 0 when there is none: an error then always has one file and one line. */
unsigned config_text_find_directive(const char *text);

/* A copy in which every integer that may not fit 32 bits has its 64-bit form; NULL: out of memory. */
char *config_text_widen(const char *text);
