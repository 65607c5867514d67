/* SPDX-License-Identifier: MIT
 *
 * Housekeeping of a journal from the command line. Who still needs a line is the operator's knowledge: a
 * subscriber that asks for one that is gone is told so and stops. */
#include "tools/feed_trim.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "daemon/log.h"
#include "tools/feed_journal.h"
#include "tools/feed_options.h"

static struct journal *open_existing(const struct feed_options *options, int *exit_code)
{
    char error[1024];
    struct journal *journal =
        journal_open(options->journal, options->stream, false, 0, error, sizeof error, exit_code);
    if (!journal)
        log_error("%s", error);
    return journal;
}

int feed_trim_main(int argc, char **argv)
{
    struct feed_options options;
    struct journal *journal;
    struct journal_state state;
    int exit_code = feed_options_parse(argc, argv, "sjK", &options);
    if (exit_code)
        return exit_code < 0 ? 0 : exit_code;
    journal = open_existing(&options, &exit_code);
    if (!journal)
        return exit_code;
    if (journal_trim(journal, options.keep_from) != 0 || journal_read_state(journal, &state) != 0) {
        log_error("%s", journal_error());
        exit_code = journal_error_exit();
    } else {
        printf("kept %" PRIu64 " to %" PRIu64 "\n", state.first, state.next - 1);
    }
    journal_close(&journal);
    return exit_code;
}

int feed_new_epoch_main(int argc, char **argv)
{
    struct feed_options options;
    struct journal *journal;
    struct journal_state state;
    int exit_code = feed_options_parse(argc, argv, "sjD", &options);
    if (exit_code)
        return exit_code < 0 ? 0 : exit_code;
    journal = open_existing(&options, &exit_code);
    if (!journal)
        return exit_code;
    if (journal_renew(journal, options.drop, &state) != 0) {
        log_error("%s", journal_error());
        exit_code = journal_error_exit();
    } else {
        printf("epoch %" PRIu64 ", kept %" PRIu64 " to %" PRIu64 "\n", state.epoch, state.first,
               state.next - 1);
    }
    journal_close(&journal);
    return exit_code;
}

/* One snapshot; lines that are appended meanwhile are not in it. */
static int dump(struct journal *journal, const struct feed_options *options)
{
    struct journal_read *read = NULL;
    struct journal_state state;
    struct journal_line line;
    int err = journal_read_begin(journal, &read, &state);
    uint64_t seq = options->from > state.first ? options->from : state.first;
    if (err == 0 && seq < state.next && options->count > 0)
        err = journal_read_seek(read, seq, &line);
    for (uint64_t n = 0; err == 0 && n < options->count && seq < state.next; n++, seq++) {
        if (n > 0)
            err = journal_read_next(read, &line);
        if (err == 0 && (fwrite(line.data, 1, line.len, stdout) != line.len || putchar('\n') == EOF)) {
            log_error("cannot write to standard output");
            journal_read_end(&read);
            return EX_UNAVAILABLE;
        }
    }
    journal_read_end(&read);
    if (err == ERR_MISSING) {
        log_error("journal %s: line %" PRIu64 " is not there, but should be: the journal is damaged",
                  options->journal, seq);
        return EX_DATAERR;
    }
    if (err)
        log_error("%s", journal_error());
    return err ? journal_error_exit() : 0;
}

int feed_dump_main(int argc, char **argv)
{
    struct feed_options options;
    struct journal *journal;
    int exit_code = feed_options_parse(argc, argv, "sjFn", &options);
    if (exit_code)
        return exit_code < 0 ? 0 : exit_code;
    journal = open_existing(&options, &exit_code);
    if (!journal)
        return exit_code;
    exit_code = dump(journal, &options);
    if (exit_code == 0 && fflush(stdout) != 0)
        exit_code = EX_UNAVAILABLE;
    journal_close(&journal);
    return exit_code;
}
