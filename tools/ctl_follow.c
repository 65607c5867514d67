/* SPDX-License-Identifier: MIT
 *
 * teldagctl alerts --follow: a subscriber of the alert stream that drops what it has seen and fetches what it
 * missed, so that each alert is printed once and in order, whichever side crashes. The same position machine
 * as the daemon's receivers decides; here are only its sockets and the printing. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "daemon/bus.h"
#include "daemon/clock.h"
#include "daemon/curve_keys.h"
#include "tools/ctl.h"
#include "workers/position.h"

#define ROOM 100000 /* events: printing is the only queue */

struct follower {
    struct ctl *ctl;
    const char *kind, *school;
    char stream[WIRE_NAME_MAX + 1];
    struct bus *bus;
    struct bus_socket *sub, *dealer;
    struct position position;
    bool from_now; /* no --after: begin at the head of the first answer */
    bool accept;   /* another log is followed from where it parts from ours */
    bool output_closed;
    int output_error;
    uint64_t unwritten; /* sequence of the first alert that could not be written */
    bool said_refused;  /* said once what keeps us out */
    char said_error[200];
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static void print_alert(struct follower *f, const char *line, size_t len)
{
    char error[100], *copy = strndup(line, len);
    struct json_value *event = copy ? ctl_parse(copy, error, sizeof(error)) : NULL;
    const struct json_value *a = event ? json_get(event, "data") : NULL;
    const char *kind = json_string(json_get(a, "kind"), ""),
               *school = json_string(json_get(a, "school_id"), "");

    if (a && (!f->kind || strcmp(kind, f->kind) == 0) && (!f->school || strcmp(school, f->school) == 0)) {
        if (f->ctl->json)
            printf("%s\n", copy);
        else
            printf("%" PRId64 " %.19s %s %s %s: %s\n", json_int(json_get(a, "seq"), 0),
                   json_string(json_get(event, "time"), ""), json_string(json_get(a, "severity"), ""),
                   json_string(json_get(a, "state"), ""), kind, json_string(json_get(a, "summary"), ""));
    }
    if (fflush(stdout) != 0 && !f->output_closed) {
        f->output_closed = true;
        f->output_error = errno;
        f->unwritten = (uint64_t)json_int(json_get(a, "seq"), 0);
    }
    json_free(&event);
    free(copy);
}

static void print_records(struct follower *f, const struct bus_frame *payload, uint32_t skip)
{
    const char *p = payload->data, *end = p + payload->len;

    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t len = newline ? (size_t)(newline - p) : (size_t)(end - p);

        if (skip)
            skip--;
        else
            print_alert(f, p, len);
        p += len + 1;
    }
}

static void take_records(struct follower *f, const struct wire_header *h, const struct bus_frame *payload,
                         bool live)
{
    int lines = wire_count_lines(payload->data, payload->len);
    struct position_delivery d = position_records(&f->position, h, lines, live, ROOM, clock_monotonic_us());

    if (d.action == POSITION_DELIVER)
        print_records(f, payload, d.skip);
}

static void take_head(struct follower *f, const struct wire_header *h, bool live)
{
    if (f->from_now) { /* what was before is not asked for */
        f->from_now = false;
        position_reset(&f->position, h->epoch, h->first_seq, clock_monotonic_us());
    }
    position_head(&f->position, h, live, clock_monotonic_us());
}

/* What the daemon refuses is said once; asking goes on, because most reasons pass. */
static void say_error(struct follower *f, const struct bus_frame *text)
{
    char line[sizeof f->said_error];
    size_t len = text->len < sizeof line ? text->len : sizeof line - 1;

    memcpy(line, text->data, len);
    line[len] = '\0';
    ctl_disarm(line);
    if (strcmp(line, f->said_error) == 0)
        return;
    memcpy(f->said_error, line, sizeof line);
    fprintf(stderr, "teldagctl: the daemon answers: %s\n", line);
}

/* Also what makes the sockets try again after they were refused. */
static void watch_connections(struct follower *f)
{
    struct bus_counts sub, dealer;

    bus_read_counts(f->sub, &sub);
    bus_read_counts(f->dealer, &dealer);
    if (f->said_refused ||
        sub.auth_failures + dealer.auth_failures + sub.protocol_failures + dealer.protocol_failures == 0)
        return;
    f->said_refused = true;
    fprintf(
        stderr,
        "teldagctl: the alert sockets do not let us in: is the server key the daemon's, and our key on its "
        "allow-list? (docs/operations.md, Keys); trying again\n");
}

static void take(struct follower *f, const struct bus_message *m, bool live)
{
    uint64_t now = clock_monotonic_us();
    struct wire_header h;
    bool ours;

    if (m->count < 2 || m->count > 3) {
        position_damage(&f->position, live, now);
        return;
    }
    ours = wire_topic_is(m->frame[0].data, m->frame[0].len, f->stream);
    if (!live && !ours && wire_verb_parse(m->frame[0].data, m->frame[0].len) == WIRE_ERROR) {
        say_error(f, &m->frame[1]);
        position_error(&f->position, now);
        return;
    }
    if (live && !ours)
        return;
    if (wire_decode_header(m->frame[1].data, m->frame[1].len, &h)) {
        position_damage(&f->position, live, now);
        return;
    }
    if (!ours && wire_verb_parse(m->frame[0].data, m->frame[0].len) == WIRE_GONE)
        position_gone(&f->position, &h, now);
    else if (!ours)
        position_other_epoch(&f->position, &h, now);
    else if (h.kind == WIRE_RECORDS && m->count == 3 && !f->from_now)
        take_records(f, &h, &m->frame[2], live);
    else if (h.kind == WIRE_HEAD)
        take_head(f, &h, live);
}

static void drain(struct follower *f, struct bus_socket *s, bool live)
{
    struct bus_message m;

    bus_message_init(&m);
    while (!stopped && bus_receive(s, &m) == 0)
        take(f, &m, live);
    bus_message_clear(&m);
}

static void ask(struct follower *f)
{
    struct position_ask a = position_tick(&f->position, ROOM, clock_monotonic_us());
    uint8_t header[WIRE_HEADER_BYTES], most[4];
    const char *verb = wire_verb_name(a.request == POSITION_ASK_HELLO ? WIRE_HELLO : WIRE_FETCH);
    struct bus_frame frames[] = {
        {verb, strlen(verb)}, {f->stream, strlen(f->stream)}, {header, sizeof(header)}, {most, sizeof(most)}};

    if (a.request == POSITION_ASK_NOTHING)
        return;
    wire_encode_header(&a.header, header);
    wire_encode_u32(a.max_events, most);
    if (bus_send(f->dealer, frames, a.request == POSITION_ASK_HELLO ? 3 : 4)) /* no peer now */
        position_unsent(&f->position, a.request, clock_monotonic_us());
}

/* Where the log that is now published parts from ours: the last alert that both have. ERR_MISSING: it cannot be known, because
 * our epoch, or the one that is published, is not in the history of the database that answers (a copy from before it was
 * restored once more: what parted us from its epochs is recorded in the database that is gone). */
static int read_parting(struct follower *f, struct db *db, uint64_t *after)
{
    char shard[16], ours[24], other[24];
    const char *values[] = {shard, ours, other};
    struct db_result *r;
    int err;

    snprintf(shard, sizeof(shard), "%d", f->ctl->config->shard);
    snprintf(ours, sizeof(ours), "%" PRIu64, f->position.epoch);
    snprintf(other, sizeof(other), "%" PRIu64, f->position.other_epoch);
    r = db_query(
        db,
        "SELECT min(after_seq) FILTER (WHERE epoch > $2::bigint), coalesce(bool_or($2::bigint IN (epoch, "
        "from_epoch)) AND bool_or(epoch = $3::bigint), false) FROM teldag.alert_epoch WHERE shard = $1::int",
        3, values);
    err = db_error(db);
    if (!err && (db_is_null(r, 0, 0) || strcmp(db_text(r, 0, 1), "t") != 0))
        err = ERR_MISSING;
    if (!err)
        *after = (uint64_t)db_int(r, 0, 0);
    db_result_free(&r);
    return err;
}

/* A database that is away does not mean that it was replaced: who goes on by itself asks until it answers. Otherwise why not. */
static int find_parting(struct follower *f, uint64_t *after, char *why, size_t why_len)
{
    struct timespec nap = {1, 0};
    bool said = false;

    for (;;) {
        struct db *db = db_open(f->ctl->config->database, "teldagctl");
        int err = db ? db_error(db) : ERR_NOMEM;

        if (!err)
            err = read_parting(f, db, after);
        snprintf(why, why_len, "%s", db ? db_error_text(db) : "out of memory");
        db_close(&db);
        if (!err || err == ERR_MISSING || err == ERR_DB_CONFIG || !f->accept || stopped)
            return err;
        if (!said)
            fprintf(
                stderr,
                "teldagctl: the alert log is another one now; the database, which knows where it parts from "
                "ours, does not answer: %s; trying again each second\n",
                why);
        said = true;
        nanosleep(&nap, NULL);
    }
}

/* The publisher has another log. EX_OK: going on in it, as the operator said beforehand. */
static int meet_another_log(struct follower *f)
{
    struct position *p = &f->position;
    uint64_t after = 0, from;
    char why[400] = "";
    int err =
        p->reason == POSITION_NEW_EPOCH && p->epoch ? find_parting(f, &after, why, sizeof(why)) : ERR_MISSING;

    if (err && stopped)
        return EX_OK;
    if (err && err != ERR_MISSING)
        return ctl_fail(
            EX_DATAERR,
            "the alert log is another one now; the database, which knows where it parts from ours, does "
            "not answer: %s; follow again when it does, with --after %" PRIu64 "-%" PRIu64,
            why, p->epoch, p->next - 1);
    if (err)
        return ctl_fail(
            EX_DATAERR,
            "the alert log is another one now (the database was replaced), and where it parts from ours "
            "is not known: read `teldagctl alerts`, then follow again (stopped before sequence %" PRIu64 ")",
            p->next);
    from = after + 1 < p->next ? after + 1 : p->next;
    fprintf(stderr,
            "teldagctl: the alert log is another one now: what it said after sequence %" PRIu64
            " under epoch %" PRIu64 " no longer stands\n",
            from - 1, p->epoch);
    if (!f->accept)
        return ctl_fail(EX_DATAERR,
                        "read `teldagctl alerts`, then follow again with --after %" PRIu64 "-%" PRIu64,
                        p->other_epoch, from - 1);
    position_reset(p, p->other_epoch, from, clock_monotonic_us());
    return EX_OK;
}

/* What to give --after: the end of an alert's id, or of an epoch not known yet its sequence alone. */
static const char *after_text(const struct follower *f, uint64_t seq, char out[48])
{
    if (f->position.epoch)
        snprintf(out, 48, "%" PRIu64 "-%" PRIu64, f->position.epoch, seq);
    else
        snprintf(out, 48, "%" PRIu64, seq);
    return out;
}

static int loop(struct follower *f)
{
    char after[48];

    while (!stopped && !f->output_closed) {
        struct bus_poll items[] = {{.socket = f->sub}, {.socket = f->dealer}};
        uint64_t sleep_us = position_sleep(&f->position, clock_monotonic_us());
        int err;

        ask(f);
        err = bus_poll(items, 2, sleep_us > 500000 ? 500 : (int)(sleep_us / 1000) + 1);
        if (err && err != ERR_AGAIN)
            return ctl_fail(EX_SOFTWARE, "%s", bus_error());
        drain(f, f->dealer, false);
        drain(f, f->sub, true);
        watch_connections(f);
        if (f->position.mode != POSITION_STOPPED)
            continue;
        if (f->position.reason == POSITION_GONE)
            return ctl_fail(EX_DATAERR,
                            "the alert log begins after the asked sequence: follow again with --after %s",
                            after_text(f, f->position.first_kept - 1, after));
        if (f->position.reason == POSITION_DAMAGED)
            return ctl_fail(EX_DATAERR,
                            "three answers arrived damaged: look at the way to the daemon, then follow again "
                            "with --after %s",
                            after_text(f, f->position.next - 1, after));
        err = meet_another_log(f);
        if (err)
            return err;
    }
    if (f->output_closed && f->output_error != EPIPE) /* who reads has gone on purpose */
        return ctl_fail(EX_IOERR,
                        "cannot write alert %" PRIu64 ": %s; make room, and follow again with --after %s",
                        f->unwritten, strerror(f->output_error), after_text(f, f->unwritten - 1, after));
    return EX_OK;
}

/* Ours and the daemon's key, from the options or the configuration; "" in server: the alert sockets are without CURVE.
 * 0, or an exit code after a message. */
static int load_keys(const struct config *c, const struct ctl_follow *options, struct curve_keys **keys,
                     char server[CURVE_KEY_TEXT])
{
    const char *secret = options->curve ? options->curve : c->curve_control;
    const char *value = options->server_key ? options->server_key : c->curve_public;
    char error[600], beside[4200] = "";

    server[0] = '\0';
    if (!options->curve && !options->server_key && !c->curve_allow)
        return EX_OK;
    if (!value && c->curve_secret) {
        snprintf(beside, sizeof(beside), "%s.pub", c->curve_secret);
        value = beside;
    }
    if (!secret || !value)
        return ctl_fail(
            EX_CONFIG,
            "the alert sockets want a key: give --curve FILE and --server-key KEY, or curve.control and "
            "curve.public in the configuration");
    if (curve_public_load(value, server, error, sizeof(error)))
        return ctl_fail(EX_CONFIG, "the daemon's public key: %s", error);
    *keys = curve_keys_load(secret, error, sizeof(error));
    return *keys ? EX_OK : ctl_fail(EX_CONFIG, "our secret key: %s", error);
}

static struct bus_socket *open_socket(struct follower *f, enum bus_type type, const struct curve_keys *keys,
                                      const char *server)
{
    struct bus_socket *s = bus_socket_new(f->bus, type);

    if (s && (bus_watch(s) || (keys && bus_use_server_key(s, server, keys))))
        bus_socket_free(&s);
    return s;
}

static int open_sockets(struct follower *f, const struct curve_keys *keys, const char *server)
{
    int err;

    f->bus = bus_new();
    f->sub = f->bus ? open_socket(f, BUS_SUB, keys, server) : NULL;
    f->dealer = f->bus ? open_socket(f, BUS_DEALER, keys, server) : NULL;
    if (!f->sub || !f->dealer)
        return ERR_IO;
    if (bus_set_patient(f->sub) || bus_set_patient(f->dealer)) /* who reads what we print may sleep */
        return ERR_IO;
    err = bus_connect(f->sub, f->ctl->config->alerts_publish);
    if (!err)
        err = bus_subscribe(f->sub, f->stream);
    return err ? err : bus_connect(f->dealer, f->ctl->config->alerts_fetch);
}

/* "SEQ" or "EPOCH-SEQ", the end of an alert's id. */
static bool parse_after(const char *text, uint64_t *epoch, uint64_t *seq)
{
    char *end;

    *epoch = 0;
    if (*text < '0' || *text > '9')
        return false;
    *seq = strtoull(text, &end, 10);
    if (*end == '-' && end[1] >= '0' && end[1] <= '9') {
        *epoch = *seq;
        *seq = strtoull(end + 1, &end, 10);
    }
    return *end == '\0';
}

int ctl_follow(struct ctl *ctl, const struct ctl_follow *options)
{
    const char *after = options->after;
    struct follower f = {.ctl = ctl,
                         .kind = options->kind,
                         .school = options->school,
                         .accept = options->accept,
                         .from_now = !after};
    struct curve_keys *keys = NULL;
    char server[CURVE_KEY_TEXT];
    struct sigaction action = {.sa_handler = stop};
    uint64_t epoch = 0, seq = 0;
    char error[600];
    int code;

    if (!ctl->config && !(ctl->config = config_load(ctl->config_path, error, sizeof(error))))
        return ctl_fail(EX_CONFIG, "%s", error);
    if (after && !parse_after(after, &epoch, &seq))
        return ctl_usage("--after takes a sequence number, or EPOCH-SEQUENCE");
    if (!ctl->config->alerts_publish)
        return ctl_fail(EX_CONFIG, "the configuration has no alerts endpoints");
    code = load_keys(ctl->config, options, &keys, server);
    if (code)
        return code;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    snprintf(f.stream, sizeof(f.stream), "alert.%d", ctl->config->shard);
    position_init(&f.position, &position_defaults, clock_monotonic_us());
    position_reset(&f.position, epoch, seq + 1, clock_monotonic_us());
    code = open_sockets(&f, keys, server) ? ctl_fail(EX_UNAVAILABLE, "%s", bus_error()) : EX_OK;
    curve_keys_free(&keys); /* the sockets have them */
    if (!code)
        code = loop(&f);
    bus_socket_free(&f.sub);
    bus_socket_free(&f.dealer);
    bus_free(&f.bus);
    return code;
}
