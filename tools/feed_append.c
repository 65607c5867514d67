/* SPDX-License-Identifier: MIT
 *
 * The pump, and the command `append`. An ack is written only after journal_append() has returned. Acks count
 * up, so one that finds the pipe full is overtaken by the next: a producer that does not read them never
 * stops the journal. */
#include "tools/feed_append.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/failpoint.h"
#include "daemon/log.h"
#include "tools/feed_lines.h"
#include "tools/feed_options.h"

#define READ_BYTES (256 * 1024)

struct pump_state {
    struct feed_pump *pump;
    struct feed_lines *lines;
    char *buffer;
    size_t at, len; /* bytes of buffer not yet taken */
    uint64_t last;  /* sequence of the last durable line */
    bool ack_due, ack_dead, ended;
    int exit_code;
};

/* Writes the ack that is due if it can be written at once. Returns whether one is still due. */
static bool try_ack(struct pump_state *s, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = s->pump->out, .events = POLLOUT}, {.fd = s->pump->stop, .events = POLLIN}};
    char text[40];
    int len;
    if (!s->ack_due || s->ack_dead)
        return false;
    if (poll(fds, 2, timeout_ms) < 0 || !fds[0].revents)
        return true;
    len = snprintf(text, sizeof text, "ack %" PRIu64 "\n", s->last);
    FAILPOINT(feed, before_ack);
    if (write(s->pump->out, text, (size_t)len) ==
        len) { /* POLLOUT on a pipe: at least PIPE_BUF fits, so all or nothing */
        s->ack_due = false;
        FAILPOINT(feed, after_ack);
        return false;
    }
    if (errno == EAGAIN || errno == EINTR)
        return true;
    log_warning("acks can no longer be written (%s); lines are still journalled", strerror(errno));
    s->ack_dead = true;
    return false;
}

/* Once a reason and school year: who feeds us must hear it, and a flood of lines would tell no more. */
static void report_refused(const struct pump_state *s)
{
    enum pupil_fault fault;
    int year;
    while (feed_lines_take_fault(s->lines, &fault, &year))
        switch (fault) {
        case PUPIL_NO_KEY:
            log_warning(
                "a national register number, and no key: such pupils are journalled as rrn:# and the daemon "
                "refuses them; give --pseudonym-key FILE and send them again");
            break;
        case PUPIL_NO_YEAR:
            log_warning(
                "a national register number in an event without school year: no key can be chosen, so it is "
                "journalled as rrn:# and the daemon refuses it; send it again with data.school_year");
            break;
        case PUPIL_NO_YEAR_KEY:
            log_warning(
                "no key of school year %d-%d: its pupils are journalled as rrn:# and the daemon refuses "
                "them; "
                "run: teldag-feed pseudonym-key --year %d-%d --out FILE, start again and send them again",
                year, year + 1, year, year + 1);
            break;
        default:
            log_warning(
                "a national register number with a wrong check number: it is journalled as rrn:# and the "
                "daemon refuses it (said once)");
        }
}

static int commit(struct pump_state *s)
{
    size_t count;
    const struct journal_line *batch = feed_lines_batch(s->lines, &count);
    if (count == 0)
        return 0;
    report_refused(s);
    FAILPOINT(feed, before_append);
    if (journal_append(s->pump->journal, batch, count, &s->last) != 0) {
        log_error("%s", journal_error());
        return journal_error_exit();
    }
    FAILPOINT(feed, after_append);
    feed_lines_clear(s->lines);
    s->ack_due = true;
    try_ack(s, 0);
    if (s->pump->committed)
        s->pump->committed(s->pump->context);
    return 0;
}

/* Waits for input (or only looks, timeout 0), writing a due ack meanwhile. 1 input, 0 none yet, -1 stop. */
static int wait_input(struct pump_state *s, int timeout_ms)
{
    for (;;) {
        struct pollfd fds[3] = {{.fd = s->pump->in, .events = POLLIN},
                                {.fd = s->pump->stop, .events = POLLIN},
                                {.fd = s->ack_due && !s->ack_dead ? s->pump->out : -1, .events = POLLOUT}};
        if (poll(fds, 3, timeout_ms) < 0 && errno != EINTR)
            return -1;
        if (fds[1].revents)
            return -1;
        if (fds[2].revents)
            try_ack(s, 0);
        if (fds[0].revents)
            return 1;
        if (timeout_ms == 0)
            return 0;
    }
}

/* 0, or an exit code. Sets ended at the end of input. */
static int read_input(struct pump_state *s)
{
    ssize_t got = read(s->pump->in, s->buffer, READ_BYTES);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (got < 0 && errno != EBADF) { /* started with standard input closed: as if empty */
        log_error("reading standard input: %s", strerror(errno));
        return EX_UNAVAILABLE;
    }
    s->at = 0;
    s->len = got > 0 ? (size_t)got : 0;
    s->ended = got <= 0;
    FAILPOINT(feed, read_input);
    return 0;
}

/* Everything that is there, or a full batch; then one commit. Returns false when it is over. */
static bool pump_batch(struct pump_state *s)
{
    int ready = 1;
    for (;;) {
        s->at += feed_lines_add(s->lines, s->buffer + s->at, s->len - s->at);
        if (s->at == s->len) /* taken, and it may name pupils */
            sodium_memzero(s->buffer, s->len);
        if (feed_lines_full(s->lines) || s->ended)
            break;
        size_t count;
        feed_lines_batch(s->lines, &count);
        ready = wait_input(s, count > 0 ? 0 : -1);
        if (ready <= 0)
            break;
        s->exit_code = read_input(s);
        if (s->exit_code)
            break;
    }
    if (s->exit_code == 0)
        s->exit_code = commit(s);
    return s->exit_code == 0 && ready >= 0 && (!s->ended || s->at < s->len);
}

static void end_input(struct pump_state *s)
{
    uint64_t left = feed_lines_end(s->lines);
    s->exit_code = commit(s);
    s->pump->torn = left > 0;
    if (left > 0)
        log_warning("the input ended in the middle of a line (%" PRIu64
                    " bytes without newline, not a whole JSON object): it was not "
                    "journalled; continue after the last ack",
                    left);
}

int feed_pump_run(struct feed_pump *pump)
{
    struct pump_state s = {.pump = pump, .exit_code = 0, .ack_due = true};
    struct journal_state state;
    if (journal_read_state(pump->journal, &state) != 0) {
        log_error("%s", journal_error());
        return journal_error_exit();
    }
    s.last = state.next - 1;
    s.lines = feed_lines_new(pump->keys);
    s.buffer = malloc(READ_BYTES);
    if (!s.lines || !s.buffer) {
        log_error("out of memory");
        s.exit_code = EX_UNAVAILABLE;
        goto out;
    }
    fcntl(pump->in, F_SETPIPE_SZ, 1 << 20); /* only a wish: fewer, larger reads */
    try_ack(&s, 0);
    while (pump_batch(&s))
        ;
    if (s.exit_code == 0 && s.ended)
        end_input(&s);
    while (s.exit_code == 0 && s.ended && try_ack(&s, -1)) {
        struct pollfd stop = {.fd = pump->stop, .events = POLLIN};
        if (poll(&stop, 1, 0) > 0)
            break;
    }
out:
    feed_lines_free(&s.lines);
    if (s.buffer)
        sodium_memzero(s.buffer, READ_BYTES);
    free(s.buffer);
    return s.exit_code;
}

int feed_append_main(int argc, char **argv)
{
    struct feed_options options;
    struct pseudonym_keys *keys = NULL;
    struct journal *journal = NULL;
    char error[1024];
    int exit_code = feed_options_parse(argc, argv, "sjk", &options);
    if (exit_code)
        return exit_code < 0 ? 0 : exit_code;
    signal(SIGPIPE, SIG_IGN);
    exit_code = feed_options_load_keys(&options, &keys);
    if (exit_code)
        return exit_code;
    journal = journal_open(options.journal, options.stream, true, 0, error, sizeof error, &exit_code);
    if (journal) {
        struct feed_pump pump = {
            .journal = journal, .keys = keys, .in = STDIN_FILENO, .out = STDOUT_FILENO, .stop = -1};
        exit_code = feed_pump_run(&pump);
        if (exit_code == 0 && pump.torn)
            exit_code = EX_DATAERR;
    } else {
        log_error("%s", error);
    }
    journal_close(&journal);
    pseudonym_keys_free(&keys);
    return exit_code;
}
