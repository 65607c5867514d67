/* SPDX-License-Identifier: MIT
 *
 * Two threads: the pump reads standard input into the journal (feed_append.c), the server owns the sockets.
 * They share only the journal and a wake-up, so no subscriber can slow a producer. Lines that another process
 * appends are noticed by inotify, and at the latest by looking every 100 ms. Bounds: an answer is at most the
 * asked number of events and 4 MiB; a socket holds few messages per peer and takes only small ones; a peer
 * that does not read loses live messages and gets short answers, and nothing else changes. */
#include "tools/feed_serve.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/answer.h"
#include "daemon/bus_gate.h"
#include "daemon/clock.h"
#include "daemon/failpoint.h"
#include "daemon/log.h"
#include "daemon/process.h"
#include "daemon/wire.h"
#include "tools/feed_append.h"
#include "tools/feed_journal.h"
#include "tools/feed_options.h"

#define HEAD_PERIOD_US    1000000
#define LOOK_PERIOD_MS    100
#define QUICK_LOOKS       4
#define MESSAGE_BYTES     (256u * 1024) /* payload of one message, unless one line is longer */
#define LIVE_EVENTS       500
#define ANSWER_EVENTS     5000 /* in one message of an answer */
#define ANSWER_BYTES      WIRE_MESSAGE_MAX
#define LIVE_PER_TURN     16 /* messages, before requests are looked at again */
#define REQUESTS_PER_TURN 8
#define PUBLISH_QUEUE     64   /* messages held for a slow subscriber; what does not fit it fetches */
#define ANSWER_QUEUE      64   /* one whole answer fits */
#define DESCRIPTORS       64   /* twenty of its own, and some subscribers */
#define RECEIVE_BYTES     1024 /* the largest thing a peer has to say to us */

struct server {
    struct journal *journal;
    const char *stream;
    struct journal_state state;
    struct bus *bus;
    struct bus_gate *gate;
    const char *allow;       /* the file of the allow-list; NULL: without CURVE */
    struct allow *list;      /* until the gate takes it over */
    struct curve_keys *keys; /* until the sockets have them */
    struct bus_socket *publish, *fetch;
    int signals, watch, wake, stop;
    uint64_t published; /* next sequence to go out live, of published_epoch */
    uint64_t published_epoch;
    uint64_t next_head_us;
    int looks; /* quick looks left after a sign that the journal changes */
    char *payload;
    struct feed_pump pump;
    pthread_t thread;
    bool thread_runs;
    atomic_int pump_exit; /* -1: has not failed */
};

/* --- the pump's thread
 * ----------------------------------------------------------------------------------------- */

static void raise_event(int fd)
{
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one); /* full means already raised */
    (void)ignored;
}

static void wake_server(void *context)
{
    raise_event(((struct server *)context)->wake);
}

static void *run_pump(void *argument)
{
    struct server *s = argument;
    int exit_code = feed_pump_run(&s->pump);
    if (exit_code)
        atomic_store(&s->pump_exit, exit_code);
    raise_event(s->wake);
    return NULL;
}

/* --- messages
 * -------------------------------------------------------------------------------------------------- */

/* Gathers lines from first on into s->payload: at most max_events, and max_bytes unless the first line alone
 * is longer. *line holds the line at first, and afterwards the one that did not fit. 0 events only on an
 * error. */
static uint32_t gather_lines(struct server *s, struct journal_read *read, struct journal_line *line,
                             uint64_t events_left, size_t max_bytes, size_t *bytes, bool *more)
{
    uint32_t count = 0;
    *bytes = 0;
    *more = true;
    while (*more && count < events_left && line->len <= WIRE_EVENT_MAX) {
        if (count > 0 && *bytes + 1 + line->len > max_bytes)
            break;
        if (count > 0)
            s->payload[(*bytes)++] = '\n';
        memcpy(s->payload + *bytes, line->data, line->len);
        *bytes += line->len;
        count++;
        *more = journal_read_next(read, line) == 0;
    }
    return count;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* peer NULL = publish to all. name = the stream or a verb. payload_len 0 = no third frame. */
static int send_message(struct server *s, const struct bus_frame *peer, const char *name, uint8_t kind,
                        uint32_t tag, uint64_t first_seq, uint32_t count, size_t payload_len)
{
    struct wire_header header = {.kind = kind,
                                 .count = (uint16_t)count,
                                 .tag = tag,
                                 .epoch = s->state.epoch,
                                 .first_seq = first_seq,
                                 .sent_us = (uint64_t)clock_realtime_us()};
    uint8_t bytes[WIRE_HEADER_BYTES];
    struct bus_frame frames[4];
    int n = 0;
    wire_encode_header(&header, bytes);
    if (peer)
        frames[n++] = *peer;
    frames[n++] = (struct bus_frame){name, strlen(name)};
    frames[n++] = (struct bus_frame){bytes, sizeof bytes};
    if (payload_len > 0)
        frames[n++] = (struct bus_frame){s->payload, payload_len};
    return bus_send(peer ? s->fetch : s->publish, frames, n);
}

/* --- live
 * ------------------------------------------------------------------------------------------------------ */

static void read_subscriptions(struct server *s)
{
    struct bus_message m;
    bus_message_init(&m);
    while (bus_receive(s->publish, &m) == 0)
        ; /* a guarded XPUB keeps them to itself */
    bus_message_clear(&m);
}

/* Sends what has become durable since; a few messages at a time. An error ends the server. */
static int publish_records(struct server *s)
{
    struct journal_read *read = NULL;
    struct journal_line line;
    bool more = true;
    int err = 0;
    /* Under another epoch all is fetched. */
    if (!bus_has_subscribers(s->publish) || s->published_epoch != s->state.epoch)
        s->published = s->state.next;
    s->published_epoch = s->state.epoch;
    if (s->published >= s->state.next)
        return 0;
    err = journal_read_begin(s->journal, &read, &s->state);
    if (err == 0 && s->published_epoch != s->state.epoch) /* at this very moment: the next turn */
        goto out;
    if (err == 0 && s->published < s->state.first)
        s->published = s->state.first;
    if (err == 0 && s->published < s->state.next)
        err = journal_read_seek(read, s->published, &line);
    for (int i = 0; err == 0 && i < LIVE_PER_TURN && more && s->published < s->state.next; i++) {
        size_t bytes;
        uint32_t count = gather_lines(s, read, &line, smaller(LIVE_EVENTS, s->state.next - s->published),
                                      MESSAGE_BYTES, &bytes, &more);
        if (count == 0)
            err = ERR_MISSING;
        else {
            FAILPOINT(feed, before_publish);
            err = send_message(s, NULL, s->stream, WIRE_RECORDS, 0, s->published, count, bytes);
            FAILPOINT(feed, after_publish);
        }
        if (err == ERR_AGAIN) /* cannot happen on XPUB, which drops; and dropping is what it would mean */
            err = 0;
        s->published += count;
    }
out:
    journal_read_end(&read);
    return err;
}

static int publish_head(struct server *s, uint64_t now_us)
{
    int err;
    if (now_us < s->next_head_us)
        return 0;
    s->next_head_us = now_us + HEAD_PERIOD_US;
    FAILPOINT(feed, before_head);
    err = send_message(s, NULL, s->stream, WIRE_HEAD, 0, s->state.next, 0, 0);
    return err == ERR_AGAIN ? 0 : err;
}

/* --- requests
 * -------------------------------------------------------------------------------------------------- */

/* A peer that is gone or does not read is its own problem. */
static int forgive_peer(int err)
{
    return err == ERR_AGAIN || err == ERR_MISSING ? 0 : err;
}

static int answer_error(struct server *s, const struct bus_frame *peer, const char *text)
{
    struct bus_frame frames[3] = {*peer, {"ERROR", 5}, {text, strlen(text)}};
    return forgive_peer(bus_send(s->fetch, frames, 3));
}

/* Records, then a head. A peer without room ends the answer early. */
static int answer_records(struct server *s, const struct bus_frame *peer, const struct wire_header *q,
                          const struct answer *a, struct journal_read *read)
{
    struct journal_line line;
    uint64_t seq = a->from, end = a->until;
    size_t left = ANSWER_BYTES;
    bool more = true;
    int err = seq < end ? journal_read_seek(read, seq, &line) : 0;
    while (err == 0 && more && seq < end && (left == ANSWER_BYTES || line.len <= left)) {
        size_t bytes;
        uint32_t count = gather_lines(s, read, &line, smaller(ANSWER_EVENTS, end - seq),
                                      smaller(MESSAGE_BYTES, left), &bytes, &more);
        if (count == 0)
            return ERR_MISSING;
        FAILPOINT(feed, before_answer);
        err = send_message(s, peer, s->stream, WIRE_RECORDS, q->tag, seq, count, bytes);
        if (err)
            return forgive_peer(err);
        FAILPOINT(feed, within_answer);
        seq += count;
        left -= bytes < left ? bytes : left;
    }
    if (err)
        return err;
    return forgive_peer(send_message(s, peer, s->stream, WIRE_HEAD, q->tag, a->shown, 0, 0));
}

static struct answer_kept kept_now(const struct server *s)
{
    return (struct answer_kept){s->state.epoch, s->state.first, s->state.next};
}

/* From one snapshot of the journal. */
static int take_fetch(struct server *s, const struct bus_frame *peer, const struct wire_header *q,
                      uint32_t max_events)
{
    struct journal_read *read = NULL;
    struct answer_kept kept;
    struct answer a;
    const char *name = s->stream;
    int err = journal_read_begin(s->journal, &read, &s->state);
    if (err)
        return err;
    FAILPOINT(feed, read_begun);
    kept = kept_now(s);
    a = answer_fetch(&kept, q, max_events);
    if (a.kind == ANSWER_EPOCH || a.kind == ANSWER_GONE)
        name = wire_verb_name(a.kind == ANSWER_GONE ? WIRE_GONE : WIRE_EPOCH);
    if (a.kind == ANSWER_RECORDS)
        err = answer_records(s, peer, q, &a, read);
    else
        err = forgive_peer(send_message(s, peer, name, WIRE_HEAD, q->tag, a.shown, 0, 0));
    FAILPOINT(feed, after_answer);
    journal_read_end(&read);
    return err;
}

/* Frames: peer, verb, stream, header, and for FETCH the most events. */
static int answer_request(struct server *s, const struct bus_message *m)
{
    const struct bus_frame *f = m->frame;
    struct wire_header q;
    uint32_t max_events;
    enum wire_verb verb;
    if (m->count < 1)
        return 0; /* too many frames: nothing is left of it, not even who sent it */
    if (m->count < 4)
        return answer_error(s, &f[0], "a request is verb, stream, header");
    verb = wire_verb_parse(f[1].data, f[1].len);
    if (verb != WIRE_HELLO && verb != WIRE_FETCH)
        return answer_error(s, &f[0], "unknown verb: HELLO and FETCH are served");
    if (f[2].len != strlen(s->stream) || memcmp(f[2].data, s->stream, f[2].len) != 0)
        return answer_error(s, &f[0], "unknown stream");
    if (wire_decode_header(f[3].data, f[3].len, &q) != 0 || q.kind != WIRE_REQUEST)
        return answer_error(s, &f[0], "malformed header");
    if (m->count != (verb == WIRE_HELLO ? 4 : 5))
        return answer_error(s, &f[0], "wrong number of frames");
    if (verb == WIRE_HELLO) {
        struct answer_kept kept;
        FAILPOINT(feed, hello);
        if (journal_read_state(s->journal, &s->state) != 0)
            return ERR_IO;
        kept = kept_now(s);
        return forgive_peer(
            send_message(s, &f[0], s->stream, WIRE_HEAD, q.tag, answer_hello(&kept).shown, 0, 0));
    }
    if (wire_decode_u32(f[4].data, f[4].len, &max_events) != 0 || q.first_seq == 0)
        return answer_error(s, &f[0], "a FETCH names a first sequence and a number of events");
    if (m->behind)
        return 0; /* one answer under way for each peer; it asks again */
    return take_fetch(s, &f[0], &q, max_events);
}

static int read_requests(struct server *s)
{
    struct bus_message m;
    int err = 0;
    bus_message_init(&m);
    for (int i = 0; err == 0 && i < REQUESTS_PER_TURN && bus_receive(s->fetch, &m) == 0; i++)
        err = answer_request(s, &m);
    bus_message_clear(&m);
    return err;
}

/* --- the loop
 * -------------------------------------------------------------------------------------------------- */

static void drain(int fd)
{
    char rest[4096];
    while (read(fd, rest, sizeof rest) > 0)
        ;
}

/* The kernel tells of the write that ends a commit a moment before LMDB shows the commit to readers: hence
 * some more looks, each after twice the time. */
static int poll_timeout(const struct server *s)
{
    if (s->published < s->state.next)
        return 0;
    return s->looks > 0 ? 1 << (QUICK_LOOKS - s->looks) : LOOK_PERIOD_MS;
}

/* Any error keeps the list that is in force. */
static void reload_allow(struct server *s)
{
    char error[512];
    struct allow *list = allow_load(s->allow, NULL, error, sizeof error);
    if (!list) {
        log_error("reload refused, the old allow-list stays in force: %s", error);
        return;
    }
    size_t keys = allow_count(list);
    unsigned ended = bus_gate_allow(s->gate, &list);
    log_notice("allow-list read: %zu keys; %u connections ended whose rights changed", keys, ended);
}

static int read_signal(struct server *s)
{
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof info) != sizeof info)
        return SIGHUP; /* none after all */
    if (info.ssi_signo == SIGHUP)
        reload_allow(s);
    return (int)info.ssi_signo;
}

/* 0 when told to stop, else an exit code. */
static int serve_until_stopped(struct server *s)
{
    for (;;) {
        struct bus_poll items[] = {{.socket = s->publish},
                                   {.socket = s->fetch},
                                   {.fd = s->signals},
                                   {.fd = s->wake},
                                   {.fd = s->watch}};
        int err = bus_poll(items, 5, poll_timeout(s));
        if (err == 0 && items[2].readable && read_signal(s) != SIGHUP)
            return 0;
        if (atomic_load(&s->pump_exit) >= 0)
            return atomic_load(&s->pump_exit);
        if (items[3].readable)
            drain(s->wake);
        s->looks -= s->looks > 0;
        if (items[4].readable) {
            drain(s->watch);
            s->looks = QUICK_LOOKS;
        }
        if (err == 0) {
            read_subscriptions(s);
            err = read_requests(s);
        }
        if (err == 0)
            err = journal_read_state(s->journal, &s->state);
        if (err == 0)
            err = publish_records(s);
        if (err == 0)
            err = publish_head(s, clock_monotonic_us());
        if (err) {
            log_error("serving %s: %s; %s", s->stream, err_text(err), journal_error());
            return EX_UNAVAILABLE;
        }
    }
}

/* --- start and stop, in mirrored order
 * ------------------------------------------------------------------------- */

static int open_descriptors(struct server *s)
{
    char data[4096];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (s->allow)
        sigaddset(&set, SIGHUP);
    /* Blocked before any thread, ZeroMQ's included, is made: then none can lose one. */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (s->signals < 0 || s->wake < 0 || s->stop < 0 || s->watch < 0) {
        log_error("descriptors: %s", strerror(errno));
        return EX_UNAVAILABLE;
    }
    if ((size_t)snprintf(data, sizeof data, "%s/data.mdb", journal_directory(s->journal)) >= sizeof data ||
        inotify_add_watch(s->watch, data, IN_MODIFY) < 0)
        log_warning("cannot watch %s (%s): looking every %d ms", data, strerror(errno), LOOK_PERIOD_MS);
    return 0;
}

static int bind_socket(struct server *s, struct bus_socket **socket, enum bus_type type, int queue,
                       const char *endpoint, char *bound, size_t bound_len)
{
    int err;
    *socket = bus_socket_new(s->bus, type);
    if (!*socket || bus_set_limits(*socket, queue, RECEIVE_BYTES) != 0 ||
        bus_guard(*socket, s->gate, s->stream, s->keys) != 0) {
        log_error("socket: %s", bus_error());
        return EX_UNAVAILABLE;
    }
    err = bus_bind(*socket, endpoint);
    if (err) {
        log_error("cannot bind %s: %s", endpoint, bus_error());
        return err == ERR_INVALID ? EX_CONFIG : EX_UNAVAILABLE;
    }
    return bus_last_endpoint(*socket, bound, bound_len) ? EX_SOFTWARE : 0;
}

static int open_sockets(struct server *s, const struct feed_options *options)
{
    char publish[256], fetch[256];
    int exit_code;
    s->bus = bus_new();
    if (!s->bus) {
        log_error("ZeroMQ: %s", bus_error());
        return EX_UNAVAILABLE;
    }
    s->gate = bus_gate_start(s->bus, NULL); /* before any bind */
    if (!s->gate) {
        log_error("the authenticator does not start: %s", bus_error());
        return EX_UNAVAILABLE;
    }
    bus_gate_allow(s->gate, &s->list);
    exit_code =
        bind_socket(s, &s->publish, BUS_XPUB, PUBLISH_QUEUE, options->publish, publish, sizeof publish);
    if (exit_code == 0)
        exit_code = bind_socket(s, &s->fetch, BUS_ROUTER, ANSWER_QUEUE, options->fetch, fetch, sizeof fetch);
    curve_keys_free(&s->keys);
    if (exit_code == 0)
        log_notice("serving %s: lines %" PRIu64 " to %" PRIu64 ", publish %s, fetch %s", s->stream,
                   s->state.first, s->state.next - 1, publish, fetch);
    return exit_code;
}

static int start_pump(struct server *s, const struct pseudonym_keys *keys)
{
    s->pump = (struct feed_pump){.journal = s->journal,
                                 .keys = keys,
                                 .in = STDIN_FILENO,
                                 .out = STDOUT_FILENO,
                                 .stop = s->stop,
                                 .committed = wake_server,
                                 .context = s};
    if (pthread_create(&s->thread, NULL, run_pump, s) != 0) {
        log_error("cannot start a thread: %s", strerror(errno));
        return EX_UNAVAILABLE;
    }
    s->thread_runs = true;
    return 0;
}

static void stop_server(struct server *s)
{
    if (s->thread_runs) {
        raise_event(s->stop);
        pthread_join(s->thread, NULL);
    }
    bus_socket_free(&s->fetch);
    bus_socket_free(&s->publish);
    bus_gate_stop(&s->gate);
    bus_free(&s->bus);
    int fds[] = {s->signals, s->wake, s->stop, s->watch};
    for (size_t i = 0; i < 4; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(s->payload);
    journal_close(&s->journal);
}

static int run_server(struct server *s, const struct feed_options *options, const struct pseudonym_keys *keys)
{
    char error[1024];
    int exit_code;
    if (!process_has_descriptors(DESCRIPTORS, error, sizeof error)) {
        log_error("%s", error);
        return EX_UNAVAILABLE;
    }
    s->journal = journal_open(options->journal, options->stream, true, 0, error, sizeof error, &exit_code);
    if (!s->journal) {
        log_error("%s", error);
        return exit_code;
    }
    s->stream = journal_stream(s->journal);
    s->payload = malloc(WIRE_EVENT_MAX + MESSAGE_BYTES);
    if (!s->payload || journal_read_state(s->journal, &s->state) != 0) {
        log_error("%s", s->payload ? journal_error() : "out of memory");
        return EX_UNAVAILABLE;
    }
    s->published_epoch = s->state.epoch;
    s->published = s->state.next; /* what was there before is fetched, not pushed */
    exit_code = open_descriptors(s);
    if (exit_code == 0)
        exit_code = open_sockets(s, options);
    if (exit_code == 0)
        exit_code = start_pump(s, keys);
    if (exit_code == 0)
        exit_code = serve_until_stopped(s);
    return exit_code;
}

static int load_curve(struct server *s, const struct feed_options *options)
{
    char error[512];
    if (!options->curve)
        return 0;
    process_forbid_dumps();
    s->allow = options->allow;
    s->keys = curve_keys_load(options->curve, error, sizeof error);
    if (!s->keys) {
        log_error("--curve %s", error);
        return EX_CONFIG;
    }
    s->list = allow_load(options->allow, NULL, error, sizeof error);
    if (!s->list)
        log_error("--allow %s", error);
    return s->list ? 0 : EX_CONFIG;
}

int feed_serve_main(int argc, char **argv)
{
    struct server server = {.signals = -1, .wake = -1, .stop = -1, .watch = -1, .pump_exit = -1};
    struct feed_options options;
    struct pseudonym_keys *keys = NULL;
    int exit_code = feed_options_parse(argc, argv, "sjkpfCA", &options);
    if (exit_code)
        return exit_code < 0 ? 0 : exit_code;
    exit_code = feed_options_load_keys(&options, &keys);
    if (exit_code == 0)
        exit_code = load_curve(&server, &options);
    if (exit_code == 0)
        exit_code = run_server(&server, &options, keys);
    stop_server(&server);
    curve_keys_free(&server.keys);
    allow_free(&server.list);
    pseudonym_keys_free(&keys);
    return exit_code;
}
