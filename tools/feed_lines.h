/* SPDX-License-Identifier: MIT
 *
 * Bytes in, lines for the journal out: splits at newlines, drops a CR before one and empty lines, makes
 * national numbers harmless (workers/pseudonym.h), and puts a notice in the place of a line over 1 MiB, of
 * which never more than its beginning is held. Lines collect in a batch until it is taken. Pure: does no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/feed_journal.h"
#include "workers/pseudonym_line.h"

#define FEED_BATCH_LINES 4096
#define FEED_BATCH_BYTES ((size_t)4 << 20)

struct feed_lines;
/* keys may be NULL, and must outlive the object. NULL: out of memory. */
struct feed_lines *feed_lines_new(const struct pseudonym_keys *keys);
void feed_lines_free(struct feed_lines **lines);

/* Takes bytes until they are used up or the batch is full; returns how many it took. */
size_t feed_lines_add(struct feed_lines *lines, const char *bytes, size_t len);
bool feed_lines_full(const struct feed_lines *lines);
/* The batch so far, and its number of lines; valid until the next add, end or clear. */
const struct journal_line *feed_lines_batch(const struct feed_lines *lines, size_t *count);
void feed_lines_clear(struct feed_lines *lines); /* the batch; a line begun is kept */

/* Why pupils could not be replaced since it was asked last, each reason and school year once; false: no more. */
bool feed_lines_take_fault(struct feed_lines *lines, enum pupil_fault *fault, int *year);

/* The input has ended. A last line without newline joins the batch only when it is a whole JSON object, which
 * the beginning of a longer line never is. Returns the bytes that were not taken: the torn rest of a killed
 * producer's line. Make sure the batch is not full. */
uint64_t feed_lines_end(struct feed_lines *lines);
