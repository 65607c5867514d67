/* SPDX-License-Identifier: MIT
 *
 * The model's rules: what is appended is durable before it is published; a restart loses what is under way,
 * never the journal; bytes of a message that arrives whole are right (TCP sees to that), damage is always
 * visible. */
#include "tests/sim/model_feed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const model_fault_names[FAULT_COUNT] = {
    "live lost",         "live doubled", "live overtaken", "live damaged",   "wild head",      "sub cut",
    "request lost",      "answer lost",  "answer doubled", "answer damaged", "error answer",   "short answer",
    "publisher restart", "dealer cut",   "queue full",     "undelivered",    "writer rewind",  "pause",
    "new epoch",         "lower epoch",  "trimmed",        "set back",       "journal damaged"};

uint64_t model_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t model_below(uint64_t *state, uint64_t limit)
{
    return model_random(state) % limit;
}

bool model_chance(uint64_t *state, int per_mille)
{
    return (int)model_below(state, 1000) < per_mille;
}

/* A fault happens as often as its own rate and the run's trouble say. */
static bool strikes(struct model_feed *f, enum model_fault fault, int per_mille)
{
    if (!model_chance(&f->random, per_mille * f->trouble / 1000))
        return false;
    f->faults[fault]++;
    if (f->verbose)
        printf("%9.3f   fault: %s\n", (double)f->now_us / 1e6, model_fault_names[fault]);
    return true;
}

void model_init(struct model_feed *f, uint64_t seed, bool verbose)
{
    memset(f, 0, sizeof *f);
    f->random = seed;
    f->verbose = verbose;
    f->appending = true;
    f->now_us = 1 + model_below(&f->random, 1000000);
    f->trouble = 200 + (int)model_below(&f->random, 1300);
    f->journal = &f->journals[0];
    f->journal->epoch = 1000 + model_below(&f->random, 1000);
    f->journal->first_kept = f->journal->next = 1;
    model_append(f, (int)model_below(&f->random, 200), false);
}

static void launch(struct model_feed *f, struct model_flight *flight, const struct model_message *m,
                   uint64_t delay_us)
{
    if (flight->count == MODEL_FLIGHT_MAX)
        return; /* as at a high-water mark */
    flight->messages[flight->count] = *m;
    flight->messages[flight->count++].due_us = f->now_us + delay_us;
}

static struct model_message stream_message(struct model_feed *f, uint8_t kind, uint32_t tag,
                                           uint64_t first_seq, int count)
{
    struct model_message m = {.what = MODEL_STREAM, .header_len = WIRE_HEADER_BYTES, .lines = count};
    struct wire_header h = {.kind = kind,
                            .count = (uint16_t)count,
                            .tag = tag,
                            .epoch = f->journal->epoch,
                            .first_seq = first_seq,
                            .sent_us = f->now_us};

    for (int i = 0; i < count; i++)
        m.values[i] = f->journal->values[first_seq + (uint64_t)i];
    wire_encode_header(&h, m.header);
    return m;
}

static void damage_message(struct model_feed *f, struct model_message *m)
{
    switch (model_below(&f->random, 3)) {
    case 0:
        m->header_len = (int)model_below(&f->random, WIRE_HEADER_BYTES);
        break;
    case 1:
        m->header[0] = 7; /* version */
        break;
    default:
        if (m->lines == 0) /* a head has no lines to lose */
            m->header[1] = 'X';
        m->lines = m->lines > 1 ? m->lines - 1 : -1;
        break;
    }
}

static void push_live(struct model_feed *f, struct model_message *m)
{
    uint64_t delay_us = 1000 + model_below(&f->random, 1000);

    if (f->now_us < f->sub_cut_until_us || strikes(f, FAULT_LIVE_LOST, 60))
        return;
    if (strikes(f, FAULT_LIVE_DAMAGED, 15))
        damage_message(f, m);
    if (strikes(f, FAULT_LIVE_DOUBLED, 30))
        launch(f, &f->live, m, delay_us + model_below(&f->random, 3000000));
    if (strikes(f, FAULT_LIVE_OVERTAKEN, 30))
        delay_us += model_below(&f->random, 3000000);
    launch(f, &f->live, m, delay_us);
}

void model_append(struct model_feed *f, int events, bool publish)
{
    struct model_journal *j = f->journal;

    while (events > 0 && j->next + MODEL_EVENTS_MAX < MODEL_JOURNAL_MAX) {
        int count = 1 + (int)model_below(&f->random, 8);
        struct model_message m;

        if (count > events)
            count = events;
        for (int i = 0; i < count; i++)
            j->values[j->next + (uint64_t)i] = (uint32_t)model_random(&f->random);
        m = stream_message(f, WIRE_RECORDS, 0, j->next, count);
        j->next += (uint64_t)count;
        events -= count;
        if (publish)
            push_live(f, &m);
    }
}

static void push_head(struct model_feed *f)
{
    struct model_message m = stream_message(f, WIRE_HEAD, 0, f->journal->next, 0);

    if (strikes(f, FAULT_WILD_HEAD, 40)) {
        struct wire_header h;

        if (wire_decode_header(m.header, sizeof m.header, &h))
            assert(!"own header");
        if (model_chance(&f->random, 333))
            h.epoch += model_below(&f->random, 5) + 1;
        else if (model_chance(&f->random, 500))
            h.first_seq = 1 + model_below(&f->random, h.first_seq);
        else
            h.first_seq += model_below(&f->random, 100000);
        wire_encode_header(&h, m.header);
    }
    push_live(f, &m);
}

static void push_answer(struct model_feed *f, struct model_message *m)
{
    uint64_t delay_us = 1000 + model_below(&f->random, 20000);

    if (strikes(f, FAULT_ANSWER_LOST, 40))
        return;
    if (strikes(f, FAULT_ANSWER_DAMAGED, 6))
        damage_message(f, m);
    if (strikes(f, FAULT_ANSWER_DOUBLED, 20))
        launch(f, &f->answers, m, delay_us + model_below(&f->random, 2000000));
    launch(f, &f->answers, m, delay_us);
}

static void push_word(struct model_feed *f, enum model_what what, uint32_t tag, uint64_t first_seq)
{
    struct model_message m = stream_message(f, WIRE_HEAD, tag, first_seq, 0);

    m.what = what;
    push_answer(f, &m);
}

static void answer_records(struct model_feed *f, const struct model_request *r)
{
    const struct model_journal *j = f->journal;
    uint64_t seq = r->header.first_seq, until = seq + r->max_events;

    if (until > seq + 200)
        until = seq + 200; /* the model's "4 MiB an answer" */
    if (until > j->next)
        until = j->next;
    if (strikes(f, FAULT_SHORT_ANSWER, 50) && until > seq)
        until = seq + model_below(&f->random, until - seq);
    while (seq < until) {
        int count = 1 + (int)model_below(&f->random, MODEL_EVENTS_MAX);
        struct model_message m;

        if ((uint64_t)count > until - seq)
            count = (int)(until - seq);
        m = stream_message(f, WIRE_RECORDS, r->header.tag, seq, count);
        if (seq < f->damaged_until && seq + (uint64_t)count > f->damaged_from)
            m.lines = -1;
        push_answer(f, &m);
        seq += (uint64_t)count;
    }
}

static void answer(struct model_feed *f, const struct model_request *r)
{
    const struct model_journal *j = f->journal;

    if (strikes(f, FAULT_ERROR_ANSWER, 30)) {
        push_word(f, MODEL_ERROR, 0, j->next);
        return;
    }
    if (r->fetch) {
        if (r->header.epoch != 0 && r->header.epoch != j->epoch) {
            push_word(f, MODEL_EPOCH, r->header.tag, j->next);
            return;
        }
        if (r->header.first_seq < j->first_kept) {
            push_word(f, MODEL_GONE, r->header.tag, j->first_kept);
            return;
        }
        answer_records(f, r);
    }
    push_word(f, MODEL_STREAM, r->header.tag, j->next);
}

static void take_requests(struct model_feed *f)
{
    int kept = 0;

    for (int i = 0; i < f->request_count; i++) {
        struct model_request r = f->requests[i];

        if (r.due_us > f->now_us)
            f->requests[kept++] = r;
        else
            answer(f, &r);
    }
    f->request_count = kept;
}

bool model_send(struct model_feed *f, const struct wire_header *h, bool fetch, uint32_t max_events)
{
    if (f->now_us < f->down_until_us || f->now_us < f->dealer_cut_until_us)
        return false;
    if (strikes(f, FAULT_REQUEST_LOST, 40))
        return true;
    if (f->request_count < 64)
        f->requests[f->request_count++] =
            (struct model_request){.due_us = f->now_us + 1000 + model_below(&f->random, 5000),
                                   .header = *h,
                                   .fetch = fetch,
                                   .max_events = max_events};
    return true;
}

bool model_receive(struct model_feed *f, struct model_flight *flight, struct model_message *out)
{
    int first = -1;

    for (int i = 0; i < flight->count; i++)
        if (flight->messages[i].due_us <= f->now_us &&
            (first < 0 || flight->messages[i].due_us < flight->messages[first].due_us))
            first = i;
    if (first < 0)
        return false;
    *out = flight->messages[first];
    /* Keep the order of sending for equal times. */
    memmove(&flight->messages[first], &flight->messages[first + 1],
            (size_t)(flight->count - first - 1) * sizeof *flight->messages);
    flight->count--;
    return true;
}

static void cause_trouble(struct model_feed *f)
{
    if (strikes(f, FAULT_RESTART, 6)) {
        f->down_until_us = f->now_us + model_below(&f->random, 5000000);
        f->live.count = f->answers.count = f->request_count = 0;
    }
    if (strikes(f, FAULT_SUB_CUT, 6)) {
        f->sub_cut_until_us = f->now_us + model_below(&f->random, 4000000);
        f->live.count = 0;
    }
    if (strikes(f, FAULT_DEALER_CUT, 6)) {
        f->dealer_cut_until_us = f->now_us + model_below(&f->random, 4000000);
        f->answers.count = f->request_count = 0;
    }
}

void model_step(struct model_feed *f, uint64_t step_us)
{
    bool up;

    f->now_us += step_us;
    cause_trouble(f);
    up = f->now_us >= f->down_until_us;
    /* Another process may append while nobody serves. */
    if (f->appending && model_chance(&f->random, f->trouble == 0 || !up ? 100 : 500))
        model_append(f, 1 + (int)model_below(&f->random, 12), up);
    if (!up)
        return;
    take_requests(f);
    if (f->now_us >= f->head_due_us) {
        push_head(f);
        f->head_due_us = f->now_us + 1000000;
    }
}

void model_change_epoch(struct model_feed *f, uint64_t epoch)
{
    assert(f->journal == &f->journals[0]);
    f->journal = &f->journals[1];
    f->journal->epoch = epoch;
    f->journal->first_kept = f->journal->next = 1;
    f->request_count = 0; /* another process answers from now on; what the old one sent still arrives */
    model_append(f, (int)model_below(&f->random, 300), false);
}

void model_set_back(struct model_feed *f, uint64_t next)
{
    f->journal->next = next;
    f->request_count = 0;
    f->appending = false; /* what is written next would pass for what was there before: stop it before that */
}
