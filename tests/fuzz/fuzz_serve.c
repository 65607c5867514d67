/* SPDX-License-Identifier: MIT
 *
 * Any frames as requests to teldag-feed's answering side, on a journal in memory. Every request that says who sent it is
 * answered, to that peer only and with its tag; records come in order from the asked sequence and never more than was
 * asked or than one answer may hold; the answer ends with a head, a verb, or an ERROR with a text.
 *
 * links: tests/fuzz/fake.o tools/feed_append.o tools/feed_options.o tools/feed_lines.o
 */
#include "tests/fuzz/fake.h"

#include "tools/feed_serve.c"

#define STREAM "school.0"
#define EPOCH  7

struct journal {
    struct journal_state state;
    bool broken;
};
struct journal_read {
    const struct journal *journal;
    uint64_t seq;
};

static char lines[4][300000];
static const size_t small[4] = {1, 9, 40, 700}, large[4] = {9, 40, 290000, 300000};
static const size_t *lengths;

int journal_read_state(struct journal *journal, struct journal_state *out)
{
    *out = journal->state;
    return 0;
}

int journal_read_begin(struct journal *journal, struct journal_read **out, struct journal_state *state)
{
    static struct journal_read read;
    read = (struct journal_read){journal, 0};
    *out = &read;
    *state = journal->state;
    return 0;
}

int journal_read_seek(struct journal_read *read, uint64_t seq, struct journal_line *out)
{
    if (seq < read->journal->state.first || seq >= read->journal->state.next)
        return ERR_MISSING;
    read->seq = seq;
    *out = (struct journal_line){lines[seq % 4], lengths[seq % 4]};
    return 0;
}

int journal_read_next(struct journal_read *read, struct journal_line *out)
{
    return journal_read_seek(read, read->seq + 1, out);
}

void journal_read_end(struct journal_read **read)
{
    *read = NULL;
}

/* Never called here. */
struct journal *journal_open(const char *directory, const char *stream, bool create, size_t map_bytes,
                             char *error, size_t error_len, int *exit_code)
{
    (void)directory, (void)stream, (void)create, (void)map_bytes, (void)error, (void)error_len;
    *exit_code = EX_SOFTWARE;
    return NULL;
}
void journal_close(struct journal **journal)
{
    *journal = NULL;
}
const char *journal_stream(const struct journal *journal)
{
    (void)journal;
    return STREAM;
}
const char *journal_directory(const struct journal *journal)
{
    (void)journal;
    return "";
}
int journal_append(struct journal *journal, const struct journal_line *from, size_t count, uint64_t *last)
{
    (void)journal, (void)from, (void)count, (void)last;
    return ERR_IO;
}
const char *journal_error(void)
{
    return "";
}
int journal_error_exit(void)
{
    return 70;
}

struct seen { /* to the request under way */
    struct bus_frame peer;
    struct wire_header asked;
    bool fetch, sound, ended;
    uint32_t most;
    uint64_t next; /* of the records expected */
    size_t bytes, messages, accept;
};

static void see_records(struct seen *a, const struct wire_header *h, const struct bus_frame *payload)
{
    MUST_HOLD(wire_count_lines(payload->data, payload->len) == h->count);
    MUST_HOLD(a->fetch && h->first_seq == a->next && h->epoch == EPOCH);
    a->next += h->count;
    a->bytes += payload->len;
    MUST_HOLD(a->next - a->asked.first_seq <= a->most);
    MUST_HOLD(a->bytes <= WIRE_MESSAGE_MAX);
}

static void see_answer(struct bus_socket *socket, const struct bus_frame *f, int count)
{
    struct seen *a = socket->context;
    struct wire_header h;
    MUST_HOLD(count >= 3 && f[0].data == a->peer.data && f[0].len == a->peer.len);
    MUST_HOLD(!a->ended);
    enum wire_verb verb = wire_verb_parse(f[1].data, f[1].len);
    a->messages++;
    if (a->messages >= a->accept)
        socket->refuse = ERR_AGAIN; /* from here on the peer does not read */
    if (verb == WIRE_ERROR) {
        MUST_HOLD(count == 3 && f[2].len > 0 && a->messages == 1);
        a->ended = true;
        return;
    }
    MUST_HOLD(a->sound && wire_decode_header(f[2].data, f[2].len, &h) == 0 && h.tag == a->asked.tag);
    if (h.kind == WIRE_RECORDS) {
        MUST_HOLD(count == 4 && verb == WIRE_NO_VERB);
        see_records(a, &h, &f[3]);
        return;
    }
    MUST_HOLD(count == 3 && h.kind == WIRE_HEAD && h.epoch == EPOCH);
    MUST_HOLD(verb == WIRE_NO_VERB || verb == WIRE_GONE || verb == WIRE_EPOCH);
    MUST_HOLD(verb == WIRE_NO_VERB || a->messages == 1);
    a->ended = true;
}

/* What the request is, read a second time. */
static void read_request(struct seen *a, const struct bus_message *m)
{
    if (m->count < 4 || wire_decode_header(m->frame[3].data, m->frame[3].len, &a->asked) != 0)
        return;
    a->sound = a->asked.kind == WIRE_REQUEST;
    a->fetch = m->frame[1].len == 5 && memcmp(m->frame[1].data, "FETCH", 5) == 0 && m->count == 5 &&
               m->frame[4].len == 4;
    a->next = a->asked.first_seq;
    if (a->fetch)
        for (int i = 0; i < 4; i++)
            a->most = a->most << 8 | ((const uint8_t *)m->frame[4].data)[i];
}

static void push_bent(struct bus_socket *socket, struct bytes *b)
{
    static uint8_t header[WIRE_HEADER_BYTES], most[4];
    uint8_t bend = take_byte(b);
    struct wire_header h = {.kind = WIRE_REQUEST,
                            .tag = take_byte(b),
                            .epoch = bend & 1   ? EPOCH
                                     : bend & 2 ? 0
                                                : take_byte(b),
                            .first_seq = take_byte(b)};
    const char *verb = wire_verb_name(bend & 4 ? WIRE_HELLO : WIRE_FETCH);
    wire_encode_header(&h, header);
    wire_encode_u32(bend & 8 ? UINT32_MAX : take_byte(b), most);
    struct bus_frame frames[5] = {{"peer", 4},
                                  {verb, strlen(verb)},
                                  {STREAM, sizeof STREAM - 1},
                                  {header, sizeof header},
                                  {most, sizeof most}};
    fake_bus_push(socket, frames, bend & 4 ? 4 : 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bus_socket fetch;
    static struct journal journal;
    static char *payload;
    struct bytes b = {data, size};
    if (!payload) {
        payload = malloc(WIRE_EVENT_MAX + MESSAGE_BYTES);
        MUST_HOLD(payload);
        for (int i = 0; i < 4; i++)
            memset(lines[i], '1' + i, sizeof lines[i]);
    }
    uint8_t first = take_byte(&b), kept = take_byte(&b);
    lengths = first == 0xff && kept == 0xff ? large : small; /* only one in many: they take their time */
    journal.state =
        (struct journal_state){EPOCH, 1 + (uint64_t)first % 32, 1 + (uint64_t)first % 32 + kept % 64};
    struct server s = {
        .journal = &journal, .stream = STREAM, .state = journal.state, .fetch = &fetch, .payload = payload};
    fake_now_us = 1;
    for (int i = 0; i < 16 && b.left; i++) {
        uint8_t what = take_byte(&b);
        struct seen a = {.accept = what & 0x40 ? 1u + (what >> 3 & 7) : SIZE_MAX};
        fetch.sent = see_answer;
        fetch.context = &a;
        fetch.count = fetch.refuse = 0;
        if (what & 1)
            fake_bus_push_raw(&fetch, &b);
        else
            push_bent(&fetch, &b);
        struct bus_message m = {.limited = false, .behind = false};
        MUST_HOLD(bus_receive(&fetch, &m) == 0);
        if (m.count > 0)
            a.peer = m.frame[0];
        read_request(&a, &m);
        MUST_HOLD(answer_request(&s, &m) == 0);
        MUST_HOLD(m.count < 1 ? a.messages == 0 : a.messages >= 1);
        MUST_HOLD(m.count < 1 || a.ended || fetch.refuse);
    }
    return 0;
}
