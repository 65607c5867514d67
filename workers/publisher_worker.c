/* SPDX-License-Identifier: MIT
 *
 * The publisher thread. The alert log is its journal: what is committed there is sent, live when it appears
 * and again when it is asked for. It keeps nothing of its own, so a crash loses nothing. Frame 0 of a live
 * message is alert.<partition>/<kind>/<school>; of an answer to FETCH the stream name. */
#include "workers/publisher_worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/answer.h"
#include "daemon/clock.h"
#include "daemon/db.h"
#include "daemon/failpoint.h"
#include "daemon/log.h"
#include "daemon/wire.h"
#include "workers/epoch.h"

#define HEAD_US            1000000
#define RECONNECT_US       1000000
#define STRANGE_US         1000000 /* the writer settles within moments where it is; longer is another place */
#define ANSWER_EVENTS_MAX  1000    /* rows read for one answer */
#define MESSAGE_EVENTS_MAX 50
#define REQUESTS_A_TURN    32
#define LIVE_QUEUE         1000 /* alerts held for a subscriber that reads slowly; what does not fit it fetches */
#define ANSWER_QUEUE       64   /* messages: two whole answers fit */
#define RECEIVE_BYTES      1024 /* the largest thing a peer has to say to us */

struct place { /* of the alert log */
    char system_id[64];
    uint64_t epoch, seq; /* its last */
};

struct publisher {
    struct publisher_config config;
    char conninfo[1024], stream[WIRE_NAME_MAX + 1];
    pthread_t thread;
    pthread_mutex_t mutex;
    struct publisher_status status; /* guarded */
    struct place writer;            /* guarded; where the writer says it is, "" while it has not said so */
    uint64_t behind_us;             /* guarded; since when nothing moves although there is more; 0: level */
    atomic_bool stopping;
    int wake_fd;
    struct bus_socket *xpub, *router;
    struct db *db;
    uint64_t epoch, next, kept; /* next sequence to send live; first one kept */
    bool positioned;
    bool settled;                             /* this session reads the log that the writer writes */
    struct place found;                       /* where this session is */
    bool said_strange;                        /* said once how it differs */
    uint64_t head_us, connect_us, strange_us; /* strange_us: since when it differs; 0: it does not */
};

/* The mutex is held. */
static void time_behind(struct publisher *p, bool moved)
{
    bool behind =
        p->writer.system_id[0] && (p->status.epoch != p->writer.epoch || p->status.next_seq <= p->writer.seq);

    if (!behind)
        p->behind_us = 0;
    else if (!p->behind_us || moved)
        p->behind_us = clock_monotonic_us();
}

static void set_status(struct publisher *p, bool connected)
{
    pthread_mutex_lock(&p->mutex);
    bool moved = p->status.epoch != p->epoch || p->status.next_seq != p->next;

    p->status.connected = connected;
    p->status.epoch = p->epoch;
    p->status.next_seq = p->next;
    if (p->settled)
        p->status.elsewhere = false;
    time_behind(p, moved);
    pthread_mutex_unlock(&p->mutex);
}

static void count(struct publisher *p, uint64_t *counter, uint64_t by)
{
    pthread_mutex_lock(&p->mutex);
    *counter += by;
    pthread_mutex_unlock(&p->mutex);
}

static struct wire_header header_of(const struct publisher *p, enum wire_kind kind, uint16_t n, uint32_t tag,
                                    uint64_t seq)
{
    return (struct wire_header){.kind = kind,
                                .count = n,
                                .tag = tag,
                                .epoch = p->epoch,
                                .first_seq = seq,
                                .sent_us = (uint64_t)clock_realtime_us()};
}

/* ---- database ---- */

static void lose_database(struct publisher *p)
{
    if (p->db && db_error(p->db))
        log_warning("publisher: the alert log cannot be read: %s; trying again each second",
                    db_error_text(p->db));
    db_close(&p->db);
    p->settled = false;
    set_status(p, false);
}

static struct place writer_place(struct publisher *p)
{
    struct place writer;

    pthread_mutex_lock(&p->mutex);
    writer = p->writer;
    pthread_mutex_unlock(&p->mutex);
    return writer;
}

/* writer: read before the log was, so that what it knows of is there. set_back: the log ends before what was sent. */
static bool is_settled(struct publisher *p, const struct place *writer, const char *settled_id)
{
    const struct place *found = &p->found;
    bool set_back = p->positioned && found->epoch == p->epoch && found->seq + 1 < p->next;

    return writer->system_id[0] && strcmp(found->system_id, writer->system_id) == 0 &&
           strcmp(settled_id, writer->system_id) == 0 && found->epoch == writer->epoch &&
           found->seq >= writer->seq && !set_back;
}

static void take_position(struct publisher *p, const struct db_result *r, const struct place *writer)
{
    bool some = db_rows(r) == 1;

    p->found = (struct place){.epoch = some ? (uint64_t)db_int(r, 0, 0) : 0,
                              .seq = some ? (uint64_t)db_int(r, 0, 1) : 0};
    snprintf(p->found.system_id, sizeof(p->found.system_id), "%s", some ? db_text(r, 0, 3) : "");
    p->settled = some && is_settled(p, writer, db_text(r, 0, 4));
    if (!p->settled)
        return;
    p->strange_us = 0;
    p->said_strange = false;
    p->kept = db_is_null(r, 0, 2) ? p->found.seq + 1 : (uint64_t)db_int(r, 0, 2);
    if (!p->positioned || p->found.epoch != p->epoch) {
        p->epoch = p->found.epoch;
        p->next = p->found.seq + 1;
        p->positioned = true;
        FAILPOINT(publisher, positioned);
    }
}

/* The shard's epoch and last sequence; at the first time nothing older is sent live: subscribers fetch it.
 * Missing: the writer has not said where it is, or this is not there: another server (an old primary that came back, one that
 * was promoted and not yet settled), another epoch, or a log that ends before what was sent. Until then nothing is said of it. */
static int read_position(struct publisher *p, uint64_t *last)
{
    const struct place writer = writer_place(p);
    char shard[16];
    const char *values[] = {shard};
    struct db_result *r;

    snprintf(shard, sizeof(shard), "%d", p->config.shard);
    r = db_query(p->db,
                 "SELECT p.alert_epoch, p.alert_seq, (SELECT min(seq) FROM teldag_data.alert_log l WHERE "
                 "l.shard = p.shard), teldag_data.server_id(), p.system_id"
                 " FROM teldag_data.shard_progress p WHERE shard = $1::int AND alert_epoch > 0",
                 1, values);
    p->settled = false;
    if (!db_error(p->db))
        take_position(p, r, &writer);
    db_result_free(&r);
    *last = p->found.seq;
    return db_error(p->db) ? db_error(p->db) : p->settled ? 0 : ERR_MISSING;
}

/* Not where the writer is. A server it has left behind is left at once; anything else may be the writer's own next place, where
 * it has not arrived. */
static void meet_another_place(struct publisher *p)
{
    const struct place writer = writer_place(p);
    uint64_t now = clock_monotonic_us();

    set_status(p, true);
    if (!writer.system_id[0])
        return;
    p->strange_us = p->strange_us ? p->strange_us : now;
    if (!epoch_server_is_older(p->found.system_id, writer.system_id) && now - p->strange_us < STRANGE_US)
        return;
    if (!p->said_strange)
        log_warning("publisher: this server (%s, alert epoch %" PRIu64 ", last alert %" PRIu64
                    ") is not where the writer is (%s, epoch %" PRIu64 ", alert %" PRIu64
                    "): nothing is sent from it; trying again each second. Is an old primary up beside the "
                    "new one? Stop it",
                    p->found.system_id, p->found.epoch, p->found.seq, writer.system_id, writer.epoch,
                    writer.seq);
    p->said_strange = true;
    pthread_mutex_lock(&p->mutex);
    p->status.elsewhere = true;
    pthread_mutex_unlock(&p->mutex);
    lose_database(p);
}

static bool have_database(struct publisher *p)
{
    uint64_t now = clock_monotonic_us();

    if (p->db)
        return true;
    if (p->connect_us && now - p->connect_us < RECONNECT_US)
        return false;
    p->connect_us = now;
    p->db = db_open_writer(p->conninfo, "teldagd publisher");
    if (p->db && db_error(p->db))
        db_close(&p->db); /* the writer says it; here it would only be said twice */
    if (p->db)
        db_run(p->db, "SET search_path = pg_catalog; SET jit = off");
    return p->db != NULL;
}

/* Alerts as their CloudEvent lines, with kind and school for the topic; none when the log has another epoch meanwhile. */
static struct db_result *read_alerts(struct publisher *p, uint64_t from, uint64_t most)
{
    char shard[16], first[24], limit[24], epoch[24];
    const char *values[] = {shard, first, limit, epoch};

    snprintf(shard, sizeof(shard), "%d", p->config.shard);
    snprintf(first, sizeof(first), "%" PRIu64, from);
    snprintf(limit, sizeof(limit), "%" PRIu64, most);
    snprintf(epoch, sizeof(epoch), "%" PRIu64, p->epoch);
    return db_named(p->db, "alert_events", 4, values);
}

/* ---- sending ---- */

static int send_records(struct publisher *p, struct bus_socket *s, const struct bus_frame *peer,
                        const char *topic, uint32_t tag, uint64_t first, uint16_t n, const char *payload,
                        size_t len)
{
    uint8_t header[WIRE_HEADER_BYTES];
    struct wire_header h = header_of(p, WIRE_RECORDS, n, tag, first);
    struct bus_frame frames[4];
    int k = 0;

    wire_encode_header(&h, header);
    if (peer)
        frames[k++] = *peer;
    frames[k++] = (struct bus_frame){topic, strlen(topic)};
    frames[k++] = (struct bus_frame){header, sizeof(header)};
    frames[k++] = (struct bus_frame){payload, len};
    return bus_send(s, frames, k);
}

static int send_header(struct publisher *p, struct bus_socket *s, const struct bus_frame *peer,
                       const char *name, uint32_t tag, uint64_t seq)
{
    uint8_t header[WIRE_HEADER_BYTES];
    struct wire_header h = header_of(p, WIRE_HEAD, 0, tag, seq);
    struct bus_frame frames[3];
    int k = 0;

    wire_encode_header(&h, header);
    if (peer)
        frames[k++] = *peer;
    frames[k++] = (struct bus_frame){name, strlen(name)};
    frames[k++] = (struct bus_frame){header, sizeof(header)};
    return bus_send(s, frames, k);
}

static void send_error(struct publisher *p, const struct bus_frame *peer, const char *text)
{
    struct bus_frame frames[] = {*peer, {"ERROR", 5}, {text, strlen(text)}};

    count(p, &p->status.errors, 1);
    if (bus_send(p->router, frames, 3))
        return; /* a peer that is gone, or does not read: its loss */
}

/* What was committed since the last time, one alert a message. A full pipe loses live messages only: they are
 * fetched. */
static void send_live(struct publisher *p)
{
    struct db_result *r;
    uint64_t last = 0, sent = 0;

    if (!have_database(p))
        return;
    if (read_position(p, &last)) {
        if (db_error(p->db))
            lose_database(p);
        else
            meet_another_place(p);
        return;
    }
    while (p->next <= last) {
        r = read_alerts(p, p->next, ANSWER_EVENTS_MAX);
        if (db_rows(r) == 0) {
            db_result_free(&r);
            break;
        }
        for (int i = 0; i < db_rows(r); i++) {
            char topic[160];

            p->next = (uint64_t)db_int(r, i, 0);
            snprintf(topic, sizeof(topic), "%s/%s/%s", p->stream, db_text(r, i, 2), db_text(r, i, 3));
            FAILPOINT(publisher, before_frame);
            sent += send_records(p, p->xpub, NULL, topic, 0, p->next, 1, db_text(r, i, 1),
                                 strlen(db_text(r, i, 1))) == 0;
            p->next++;
            FAILPOINT(publisher, after_frame);
        }
        db_result_free(&r);
        set_status(p, true); /* a long way to go is not standing still */
        FAILPOINT(publisher, sent);
    }
    if (db_error(p->db)) {
        lose_database(p);
        return;
    }
    count(p, &p->status.sent, sent);
    set_status(p, true);
}

static void send_head(struct publisher *p)
{
    uint64_t now = clock_monotonic_us();

    if (now - p->head_us < HEAD_US)
        return;
    p->head_us = now;
    send_live(p); /* also when a wake-up was missed */
    FAILPOINT(publisher, before_head);
    if (p->settled && send_header(p, p->xpub, NULL, p->stream, 0, p->next))
        return;
}

/* ---- answering ---- */

/* Records of the answer, at most 4 MiB, then a head. A blocked peer ends the answer early. */
static void send_answer(struct publisher *p, const struct bus_frame *peer, const struct wire_header *q,
                        const struct answer *a)
{
    uint64_t most = a->until - a->from;
    struct db_result *r = read_alerts(p, a->from, most < ANSWER_EVENTS_MAX ? most : ANSWER_EVENTS_MAX);
    char *payload = malloc(WIRE_MESSAGE_MAX);
    size_t total = 0;
    int i = 0, rows = db_rows(r), err = payload ? db_error(p->db) : ERR_NOMEM;
    /* Rows committed since the last look: a head before them would look like a log set back. */
    uint64_t head = rows ? (uint64_t)db_int(r, rows - 1, 0) + 1 : 0;

    head = head > a->shown ? head : a->shown;
    if (db_error(p->db))
        send_error(p, peer, "the database is away: ask again later");
    while (i < rows && !err && total < WIRE_MESSAGE_MAX) {
        uint64_t first = (uint64_t)db_int(r, i, 0);
        uint16_t n = 0;
        size_t len = 0;

        for (; i < rows && n < MESSAGE_EVENTS_MAX; i++, n++) {
            size_t line = strlen(db_text(r, i, 1));

            if (total + len + line + 1 > WIRE_MESSAGE_MAX)
                break;
            if (n)
                payload[len++] = '\n';
            memcpy(payload + len, db_text(r, i, 1), line);
            len += line;
        }
        if (!n)
            break;
        total += len;
        FAILPOINT(publisher, before_answer);
        err = send_records(p, p->router, peer, p->stream, q->tag, first, n, payload, len);
        FAILPOINT(publisher, within_answer);
    }
    free(payload);
    db_result_free(&r);
    if (!err && send_header(p, p->router, peer, p->stream, q->tag, head))
        return;
    FAILPOINT(publisher, after_answer);
    count(p, &p->status.fetches, 1);
}

static void send_verb(struct publisher *p, const struct bus_frame *peer, enum wire_verb verb, uint32_t tag,
                      uint64_t seq)
{
    if (send_header(p, p->router, peer, wire_verb_name(verb), tag, seq))
        return;
}

/* A log that cannot be spoken of: why, as far as it matters to who asks. */
static void send_not_now(struct publisher *p, const struct bus_frame *peer)
{
    send_error(p, peer,
               p->db && !db_error(p->db)
                   ? "the daemon does not know yet where the alert log stands: ask again later"
                   : "the database is away: ask again later");
}

/* last: what is committed, read just now, so that a subscriber never has more than we know of. */
static void take_fetch(struct publisher *p, const struct bus_frame *peer, const struct wire_header *q,
                       uint32_t most, uint64_t last)
{
    struct answer_kept kept = {p->epoch, p->kept, last >= p->next ? last + 1 : p->next};
    struct answer a = answer_fetch(&kept, q, most);

    if (a.kind == ANSWER_EPOCH || a.kind == ANSWER_GONE)
        send_verb(p, peer, a.kind == ANSWER_GONE ? WIRE_GONE : WIRE_EPOCH, q->tag, a.shown);
    else
        send_answer(p, peer, q, &a);
}

static void answer(struct publisher *p, const struct bus_message *m)
{
    const struct bus_frame *peer = &m->frame[0];
    enum wire_verb verb;
    struct wire_header q;
    uint64_t last = 0;
    uint32_t most = 0;

    FAILPOINT(publisher, request);
    if (m->count < 4) {
        if (m->count >= 1)
            send_error(p, peer,
                       "a request has the frames verb, stream, header (HELLO) and max events (FETCH)");
        return;
    }
    if (m->limited) {
        send_error(p, peer, "this key may see some kinds of alerts only: subscribe to alert.<n>/<kind>/");
        return;
    }
    verb = wire_verb_parse(m->frame[1].data, m->frame[1].len);
    if (!wire_topic_is(m->frame[2].data, m->frame[2].len, p->stream)) {
        send_error(p, peer, "no such stream here");
    } else if (wire_decode_header(m->frame[3].data, m->frame[3].len, &q) || q.kind != WIRE_REQUEST) {
        send_error(p, peer, "the header is not a TFP/1 request header");
    } else if (!p->positioned || !have_database(p)) {
        send_not_now(p, peer);
    } else if (verb == WIRE_HELLO && m->count == 4) {
        send_live(p); /* the head of an answer is what is committed now */
        if (!p->settled)
            send_not_now(p, peer);
        else if (send_header(p, p->router, peer, p->stream, q.tag, p->next))
            return; /* a peer that is gone, or does not read: its loss */
    } else if (verb != WIRE_FETCH || m->count != 5 ||
               wire_decode_u32(m->frame[4].data, m->frame[4].len, &most) || most == 0) {
        send_error(p, peer, "unknown verb, or a FETCH without its u32 max events");
    } else if (read_position(p, &last)) { /* rows of a new epoch must not go out under the old one's header */
        send_not_now(p, peer);
    } else if (!m->behind) { /* one answer under way for each peer; it asks again */
        take_fetch(p, peer, &q, most, last);
    }
    if (p->db && db_error(p->db))
        lose_database(p);
}

static void take_requests(struct publisher *p)
{
    struct bus_message m;

    bus_message_init(&m);
    for (int i = 0; i < REQUESTS_A_TURN && bus_receive(p->router, &m) == 0; i++)
        answer(p, &m);
    while (bus_receive(p->xpub, &m) == 0)
        continue; /* subscriptions */
    bus_message_clear(&m);
}

static void *run(void *context)
{
    struct publisher *p = context;

    while (!atomic_load(&p->stopping)) {
        struct bus_poll items[] = {{.socket = p->router}, {.socket = p->xpub}, {.fd = p->wake_fd}};
        uint64_t wakes;

        if (bus_poll(items, 3, 200) == ERR_CLOSED)
            break;
        if (items[2].readable && read(p->wake_fd, &wakes, sizeof(wakes)) == sizeof(wakes)) {
            FAILPOINT(publisher, woken);
            send_live(p);
        }
        take_requests(p);
        send_head(p);
    }
    db_close(&p->db);
    bus_socket_free(&p->xpub);
    bus_socket_free(&p->router);
    return NULL;
}

/* Behind the gate from the first moment on. */
static struct bus_socket *open_socket(struct publisher *p, enum bus_type type, int queue)
{
    struct bus_socket *s = bus_socket_new(p->config.bus, type);

    if (s &&
        (bus_set_limits(s, queue, RECEIVE_BYTES) || bus_guard(s, p->config.gate, p->stream, p->config.keys)))
        bus_socket_free(&s);
    return s;
}

static int bind_sockets(struct publisher *p, char *error, size_t error_len)
{
    const char *endpoint = p->config.publish;
    int err;

    p->xpub = open_socket(p, BUS_XPUB, LIVE_QUEUE);
    p->router = open_socket(p, BUS_ROUTER, ANSWER_QUEUE);
    p->config.keys = NULL;
    err = p->xpub && p->router ? bus_bind(p->xpub, p->config.publish) : ERR_IO;
    if (!err) {
        endpoint = p->config.fetch;
        err = bus_bind(p->router, p->config.fetch);
    }
    if (err)
        snprintf(error, error_len, "alerts: cannot bind %s: %s", endpoint, bus_error());
    return err;
}

struct publisher *publisher_start(const struct publisher_config *config, char *error, size_t error_len)
{
    struct publisher *p = calloc(1, sizeof(*p));

    if (!p) {
        snprintf(error, error_len, "out of memory");
        return NULL;
    }
    p->config = *config;
    snprintf(p->conninfo, sizeof(p->conninfo), "%s", config->conninfo);
    snprintf(p->stream, sizeof(p->stream), "alert.%d", config->shard);
    pthread_mutex_init(&p->mutex, NULL);
    p->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->wake_fd < 0)
        snprintf(error, error_len, "alerts: %s", strerror(errno));
    if (p->wake_fd < 0 || bind_sockets(p, error, error_len) || pthread_create(&p->thread, NULL, run, p)) {
        bus_socket_free(&p->xpub);
        bus_socket_free(&p->router);
        if (p->wake_fd >= 0)
            close(p->wake_fd);
        pthread_mutex_destroy(&p->mutex);
        free(p);
        return NULL;
    }
    return p;
}

void publisher_wake(void *publisher)
{
    struct publisher *p = publisher;
    uint64_t one = 1;

    if (write(p->wake_fd, &one, sizeof(one)) != sizeof(one))
        return; /* full: it is awake already */
}

void publisher_expect(void *publisher, const char *system_id, uint64_t epoch, uint64_t seq)
{
    struct publisher *p = publisher;
    bool moved;

    pthread_mutex_lock(&p->mutex);
    moved = p->writer.epoch != epoch || strcmp(p->writer.system_id, system_id) != 0;
    snprintf(p->writer.system_id, sizeof(p->writer.system_id), "%s", system_id);
    p->writer.epoch = epoch;
    p->writer.seq = seq;
    time_behind(p, moved);
    pthread_mutex_unlock(&p->mutex);
    if (moved)
        publisher_wake(p);
}

void publisher_stop(struct publisher *p)
{
    atomic_store(&p->stopping, true);
    publisher_wake(p);
}

void publisher_join(struct publisher **pp)
{
    struct publisher *p = *pp;

    if (!p)
        return;
    *pp = NULL;
    pthread_join(p->thread, NULL);
    close(p->wake_fd);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

void publisher_read_status(struct publisher *p, struct publisher_status *out)
{
    pthread_mutex_lock(&p->mutex);
    *out = p->status;
    out->behind_us = p->behind_us ? clock_monotonic_us() - p->behind_us : 0;
    pthread_mutex_unlock(&p->mutex);
}
