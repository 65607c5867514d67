/* SPDX-License-Identifier: MIT
 *
 * The journal of one stream: lines under the sequences 1, 2, 3, ... in an LMDB environment, a folder of its
 * own (0700). What journal_append() has returned 0 for is on disk. Several processes may have a journal open
 * at once, one writes at a time (LMDB's own lock, freed when its holder is killed); a process opens a journal
 * at most once. An object may be shared by threads. Must not know what a line says. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

#define JOURNAL_MAP_BYTES                                                                                    \
    ((size_t)64 << 30) /* most a journal can hold; address space and a sparse file, no memory */

struct journal;
struct journal_line {
    const char *data;
    size_t len;
};
struct journal_state {
    uint64_t epoch; /* microseconds since 1970 at creation */
    uint64_t first; /* first sequence kept */
    uint64_t next;  /* next to be written */
};

/* Opens the journal in directory; creates it when create is set and there is none. stream NULL = whichever it
 * holds. NULL with error text and *exit_code (sysexits): 69 no journal or no room, 77 permission, 78 another
 * stream or format, 65 damaged. map_bytes 0 = JOURNAL_MAP_BYTES. */
struct journal *journal_open(const char *directory, const char *stream, bool create, size_t map_bytes,
                             char *error, size_t error_len, int *exit_code);
void journal_close(struct journal **journal);
const char *journal_stream(const struct journal *journal);
const char *journal_directory(const struct journal *journal);

int journal_read_state(struct journal *journal, struct journal_state *out) MUST_CHECK;
/* All lines or none, durable on return. *last = sequence of the last one. On error the text says what to do.
 */
int journal_append(struct journal *journal, const struct journal_line *lines, size_t count,
                   uint64_t *last) MUST_CHECK;
/* Forgets what stands before keep_from (at most next). */
int journal_trim(struct journal *journal, uint64_t keep_from) MUST_CHECK;
/* A later epoch: the numbers given out so far may be given out again, with other lines. drop: forgets all lines, numbers
 * begin at 1; otherwise what is kept stands under the new epoch with its numbers. *out is what the journal is then. */
int journal_renew(struct journal *journal, bool drop, struct journal_state *out) MUST_CHECK;
/* What the last failed call of this thread met, and what to do about it. */
const char *journal_error(void);
int journal_error_exit(void); /* the exit code that goes with it */

/* Reading: a snapshot. Lines stay where they are until journal_read_end(); keep it short, for it keeps
 * trimmed room from being used again. */
struct journal_read;
int journal_read_begin(struct journal *journal, struct journal_read **out,
                       struct journal_state *state) MUST_CHECK;
/* Goes to seq. ERR_MISSING when it is not there. */
int journal_read_seek(struct journal_read *read, uint64_t seq, struct journal_line *out) MUST_CHECK;
/* The one after. ERR_MISSING at the end. */
int journal_read_next(struct journal_read *read, struct journal_line *out) MUST_CHECK;
void journal_read_end(struct journal_read **read);
