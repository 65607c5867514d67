/* SPDX-License-Identifier: MIT
 *
 * The recorded step retain --before YEAR: the owner's function takes away what names pupils of earlier school years and leaves fixed
 * rows; the ledger is built anew from what then stands, and what it gives differently (alerts that end) is written with it.
 * One transaction: a crash leaves everything or nothing. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "daemon/log.h"
#include "workers/writer_private.h"

#define ATTEMPTS_MAX 5 /* a rebuild in between: looked at again */

static void say(struct writer_request *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct writer_request *q, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(q->answer, sizeof(q->answer), format, ap);
    va_end(ap);
}

/* 0: go on; ERR_EXISTS: there is nothing to do; ERR_INVALID: refused, and why. */
static int look(struct writer *w, struct writer_request *q, const char *year, int64_t *rows)
{
    const struct db_tick tick = {writer_tick, w};
    char why[400];
    int err = writer_make_ready(w);

    if (!err)
        err = store_retain_rows(w->db, q->year, rows, &tick);
    if (!err && q->year <= w->retained_before && *rows == 0) {
        say(q, "nothing of pupils of school years before %s is left", year);
        return ERR_EXISTS;
    }
    if (!err)
        err = store_retain_refusal(w->db, q->year, q->as_they_are, why, sizeof(why), &tick);
    if (!err && why[0]) {
        say(q, "not retained: %s%s", why,
            q->as_they_are ? "" : " (--as-they-are fixes, ends and drops what is open)");
        return ERR_INVALID;
    }
    return err;
}

static int commit_retain(struct writer *w, const struct writer_request *q)
{
    struct writer_tx tx = writer_tx_none();

    tx.act = "retain";
    tx.retain = q->year;
    tx.as_they_are = q->as_they_are;
    tx.replay = true;
    return writer_transact(w, &tx);
}

int writer_retain(struct writer *w, struct writer_request *q)
{
    char year[YEAR_TEXT_MAX];
    int64_t rows = 0;
    int err = ERR_FENCE;

    year_format(q->year, year);
    for (int i = 0; i < ATTEMPTS_MAX && err == ERR_FENCE; i++) {
        err = look(w, q, year, &rows);
        if (!err)
            err = commit_retain(w, q);
    }
    if (err == ERR_EXISTS)
        return 0;
    if (err == ERR_AGAIN)
        say(q, "not retained: another session has read registrations for more than 5 s; end it, or try again "
               "later");
    if (err)
        return err;
    say(q, "pupils of school years before %s are gone: %" PRId64 " rows; their counts are fixed rows now",
        year, rows);
    log_notice("writer: %s", q->answer);
    return 0;
}
