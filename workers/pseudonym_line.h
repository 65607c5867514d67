/* SPDX-License-Identifier: MIT
 *
 * One NDJSON line as it may stand in a journal (P6): pupils become pseudonyms under the key of the event's school year,
 * the line then says which key that was, and whatever else looks like a national number is gone. Pure. */
#pragma once

#include "workers/pseudonym.h"

struct pseudonym_line; /* memory reused from line to line */
struct pseudonym_line *pseudonym_line_new(const struct pseudonym_keys *keys); /* keys may be NULL */
void pseudonym_line_free(struct pseudonym_line **lines);

#define PSEUDONYM_LINE_ROOM(len) (3 * (len) + 192)
/* `line` into out, which must hold PSEUDONYM_LINE_ROOM(len); returns its length there. The school year is data.school_year;
 * data.old and data.new of a link name theirs themselves ("rrn:<11 digits>@2023-2024"). *fault: of the first pupil that
 * could not be replaced, and *fault_year its school year or 0. Never fails: what cannot be replaced becomes rrn:#. */
size_t pseudonym_line(struct pseudonym_line *lines, const char *line, size_t len, char *out,
                      enum pupil_fault *fault, int *fault_year);
