/* SPDX-License-Identifier: MIT
 *
 * Any frames, from a publisher that lies, at any time: the receiver's own turn, with the wire codec, the position machine,
 * the decoder and the inbox as they are, on fake sockets and a fake clock. What must hold whatever comes: what reaches
 * the inbox is one sequence without hole or doubling; nothing that was not asked for stops a stream; requests are sound,
 * have a tag of their own and come no faster than the protocol allows.
 *
 * links: tests/fuzz/fake.o
 */
#include "tests/fuzz/fake.h"

#include "workers/receiver_worker.c"

#define STREAM      "registration.0"
#define INBOX_MAX   64
#define TURNS_MAX   200
#define LINE        "{\"a\":1}"
#define LINES_MAX   12
#define ANSWERS_MAX 3 /* messages queued between two turns */

struct world {
    struct receiver r;
    struct bus_socket sub, dealer;
    struct stream_status status;
    struct inbox *inbox;
    /* what reached the inbox */
    uint64_t generation, expected, epoch;
    /* what was asked */
    uint32_t last_tag;
    bool fetched;
    struct wire_header fetch;
    uint64_t fetch_us;
    int answers; /* queued since the last turn */
};

static void see_request(struct bus_socket *socket, const struct bus_frame *f, int count)
{
    struct world *w = socket->context;
    struct wire_header h;
    uint32_t most = 0;
    enum wire_verb verb = wire_verb_parse(f[0].data, f[0].len);

    MUST_HOLD(verb == WIRE_HELLO || verb == WIRE_FETCH);
    MUST_HOLD(count == (verb == WIRE_HELLO ? 3 : 4));
    MUST_HOLD(wire_topic_is(f[1].data, f[1].len, STREAM));
    MUST_HOLD(wire_decode_header(f[2].data, f[2].len, &h) == 0 && h.kind == WIRE_REQUEST);
    MUST_HOLD(h.tag > w->last_tag);
    MUST_HOLD(h.first_seq >= 1);
    w->last_tag = h.tag;
    if (verb == WIRE_HELLO)
        return;
    MUST_HOLD(wire_decode_u32(f[3].data, f[3].len, &most) == 0);
    MUST_HOLD(most >= 1 && most <= position_defaults.fetch_events);
    if (w->fetched && h.first_seq == w->fetch.first_seq && h.epoch == w->fetch.epoch)
        MUST_HOLD(fake_now_us - w->fetch_us >= position_defaults.fetch_period_us);
    w->fetched = true;
    w->fetch = h;
    w->fetch_us = fake_now_us;
}

/* The writer's side: everything that waits, checked for order. */
static void take_inbox(struct world *w)
{
    if (inbox_room(w->inbox) == INBOX_MAX)
        return;
    struct event_batch *list = inbox_take(w->inbox, UINT32_MAX, 0);
    for (const struct event_batch *b = list; b; b = b->next) {
        if (b->order_generation != w->generation) {
            w->generation = b->order_generation;
            w->epoch = b->epoch;
            w->expected = 0;
        }
        MUST_HOLD(b->count >= 1);
        MUST_HOLD(b->epoch >= 1 && b->epoch == w->epoch);
        MUST_HOLD(w->expected == 0 || b->first_seq == w->expected);
        for (uint32_t i = 0; i < b->count; i++)
            MUST_HOLD(b->events[i].seq == b->first_seq + i);
        w->expected = b->first_seq + b->count;
    }
    free_batches(list);
}

static void check_position(const struct world *w, enum position_mode before)
{
    const struct position *p = &w->r.position;

    MUST_HOLD(p->mode != POSITION_STOPPED || p->reason != POSITION_OK);
    MUST_HOLD(p->mode != POSITION_STOPPED || before == POSITION_STOPPED || w->answers > 0);
    MUST_HOLD(p->mode == POSITION_WAITING || p->next >= 1);
    MUST_HOLD(p->next < (uint64_t)1 << 63);
    MUST_HOLD(p->mode != POSITION_LIVE || p->next >= p->head || w->r.best_effort);
    MUST_HOLD(position_sleep(p, fake_now_us) <= 1000000);
}

static void turn(struct world *w)
{
    enum position_mode before = w->r.position.mode;
    MUST_HOLD(take_turn(&w->r));
    check_position(w, before);
    w->answers = w->dealer.count; /* left unread while the inbox is full */
}

/* A message that is right but for what the bytes bend: most of these get through. */
static void push_bent(struct world *w, struct bytes *b, bool live)
{
    static uint8_t headers[FAKE_QUEUE][WIRE_HEADER_BYTES];
    static int used;
    static const char lines[] = LINE "\n" LINE "\n" LINE "\n" LINE "\n" LINE "\n" LINE "\n" LINE "\n" LINE
                                     "\n" LINE "\n" LINE "\n" LINE "\n" LINE "\n";
    const struct position *p = &w->r.position;
    uint8_t shape = take_byte(b), bend = take_byte(b);
    int8_t shift = (int8_t)take_byte(b);
    uint32_t count = 1 + shape % LINES_MAX;
    bool records = shape & 0x80;
    struct wire_header h = {.kind = records ? WIRE_RECORDS : WIRE_HEAD,
                            .count = (uint16_t)(records ? count : 0),
                            .tag = live           ? 0
                                   : shape & 0x40 ? p->hello_tag
                                                  : p->tag,
                            .epoch = p->epoch + (bend & 3 ? 0 : 1 + (bend >> 2 & 1)),
                            .first_seq = p->next + (uint64_t)(int64_t)shift,
                            .sent_us = fake_now_us};
    const char *name = STREAM;
    uint8_t *header = headers[used++ % FAKE_QUEUE];

    if (!live && !records && shape & 0x20)
        name = wire_verb_name(shape & 1 ? WIRE_GONE : WIRE_EPOCH);
    if (bend & 0x80)
        h.tag ^= bend;
    if (bend & 0x40 && records)
        count = count % LINES_MAX + 1; /* lines and count differ */
    wire_encode_header(&h, header);
    struct bus_frame frames[3] = {
        {name, strlen(name)}, {header, WIRE_HEADER_BYTES}, {lines, count * sizeof LINE - 1}};
    w->answers += !live;
    fake_bus_push(live ? &w->sub : &w->dealer, frames, records ? 3 : 2);
}

static void act(struct world *w, struct bytes *b)
{
    uint8_t what = take_byte(b);

    switch (what & 15) {
    case 0:
    case 1:
        fake_bus_push_raw(&w->sub, b);
        break;
    case 2:
        w->answers++;
        fake_bus_push_raw(&w->dealer, b);
        break;
    case 3:
    case 4:
    case 5:
        push_bent(w, b, true);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        push_bent(w, b, false);
        break;
    case 10:
        fake_now_us += (uint64_t)take_byte(b) * 40000;
        break;
    case 11:
        w->status.paused = what & 0x80;
        break;
    case 12:
        w->status.hello_wanted++;
        break;
    case 13:
        take_inbox(w);
        break;
    case 14:
        w->dealer.refuse = what & 0x80 ? ERR_AGAIN : 0;
        break;
    case 15: /* the writer takes everything before it says where to go on */
        take_inbox(w);
        w->fetched = false; /* and it may well be a range that was asked for just now */
        stream_status_order_reset(&w->status, what >> 5 ? (uint64_t)1 + (what >> 6) : 0,
                                  1 + (uint64_t)take_byte(b));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    static struct event_decoder *decoder;
    struct position_settings settings = position_defaults;
    struct bytes b = {data, size};

    if (!decoder)
        decoder = event_decoder_new(NULL, NULL, pseudonym_scrub);
    memset(&w, 0, sizeof w);
    fake_now_us = 1000000;
    settings.best_effort = take_byte(&b) & 1;
    stream_status_init(&w.status, STREAM, settings.best_effort);
    w.inbox = inbox_new(INBOX_MAX);
    MUST_HOLD(decoder && w.inbox);
    w.dealer.sent = see_request;
    w.dealer.context = &w;
    w.r = (struct receiver){.name = STREAM,
                            .sub = &w.sub,
                            .dealer = settings.best_effort ? NULL : &w.dealer,
                            .stop_fd = -1,
                            .inbox = w.inbox,
                            .status = &w.status,
                            .decoder = decoder,
                            .best_effort = settings.best_effort};
    position_init(&w.r.position, &settings, fake_now_us);
    stream_status_order_reset(&w.status, take_byte(&b) & 1, 1);
    for (int i = 0; i < TURNS_MAX && b.left; i++) {
        for (int n = 1 + take_byte(&b) % ANSWERS_MAX; n > 0; n--)
            act(&w, &b);
        turn(&w);
    }
    take_inbox(&w);
    inbox_free(&w.inbox);
    stream_status_fini(&w.status);
    return 0;
}
