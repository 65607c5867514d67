/* SPDX-License-Identifier: MIT
 *
 * A publisher with a durable journal, and the wires between it and one subscriber, in virtual time: live
 * messages and answers are delayed, lost, doubled, overtaken and damaged as the faults say. All chance comes
 * from one seed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire.h"

#define MODEL_JOURNAL_MAX 20000
#define MODEL_EVENTS_MAX  16 /* in one message */
#define MODEL_FLIGHT_MAX  4096

uint64_t model_random(uint64_t *state);
uint64_t model_below(uint64_t *state, uint64_t limit);
bool model_chance(uint64_t *state, int per_mille);

enum model_fault {
    FAULT_LIVE_LOST,
    FAULT_LIVE_DOUBLED,
    FAULT_LIVE_OVERTAKEN,
    FAULT_LIVE_DAMAGED,
    FAULT_WILD_HEAD,
    FAULT_SUB_CUT,
    FAULT_REQUEST_LOST,
    FAULT_ANSWER_LOST,
    FAULT_ANSWER_DOUBLED,
    FAULT_ANSWER_DAMAGED,
    FAULT_ERROR_ANSWER,
    FAULT_SHORT_ANSWER,
    FAULT_RESTART,
    FAULT_DEALER_CUT,
    FAULT_QUEUE_FULL,
    FAULT_UNDELIVERED,
    FAULT_REWIND,
    FAULT_PAUSE,
    FAULT_NEW_EPOCH,
    FAULT_LOWER_EPOCH,
    FAULT_TRIMMED,
    FAULT_SET_BACK,
    FAULT_JOURNAL_DAMAGED,
    FAULT_COUNT
};
extern const char *const model_fault_names[FAULT_COUNT];

enum model_what { MODEL_STREAM, MODEL_GONE, MODEL_EPOCH, MODEL_ERROR };
struct model_message {
    uint64_t due_us;
    enum model_what what;
    uint8_t header[WIRE_HEADER_BYTES];
    int header_len, lines;
    uint32_t values[MODEL_EVENTS_MAX];
};
struct model_request {
    uint64_t due_us;
    struct wire_header header;
    uint32_t max_events;
    bool fetch;
};
struct model_flight { /* what is under way */
    struct model_message messages[MODEL_FLIGHT_MAX];
    int count;
};
struct model_journal {
    uint64_t epoch, first_kept, next;
    uint32_t values[MODEL_JOURNAL_MAX]; /* by sequence */
};

struct model_feed {
    uint64_t random, now_us;
    int trouble; /* per mille scale of the faults; 0 = none */
    bool verbose;
    struct model_journal journals[2], *journal; /* the second after a change of epoch */
    bool appending;
    uint64_t down_until_us, sub_cut_until_us, dealer_cut_until_us, head_due_us;
    uint64_t damaged_from, damaged_until; /* sequences the journal no longer yields whole */
    struct model_flight live, answers;
    struct model_request requests[64];
    int request_count;
    uint64_t faults[FAULT_COUNT];
};

void model_init(struct model_feed *f, uint64_t seed, bool verbose);
/* Time passes; the publisher appends, publishes, answers, dies and comes back. */
void model_step(struct model_feed *f, uint64_t step_us);
/* false: the DEALER has no peer now. */
bool model_send(struct model_feed *f, const struct wire_header *h, bool fetch, uint32_t max_events);
/* The next message that has arrived; false when there is none. */
bool model_receive(struct model_feed *f, struct model_flight *flight, struct model_message *out);
void model_append(struct model_feed *f, int events, bool publish);
void model_change_epoch(struct model_feed *f, uint64_t epoch);
void model_set_back(struct model_feed *f, uint64_t next);
