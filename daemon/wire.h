/* SPDX-License-Identifier: MIT
 *
 * TFP/1 codec (docs/protocol/tfp1.md): headers and frame checks. Pure: no sockets, no clock, no memory.
 * Every length and number is checked here; whatever passes may be trusted by the position machine. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

#define WIRE_VERSION      1
#define WIRE_HEADER_BYTES 32
#define WIRE_EVENT_MAX    (1u << 20) /* one event, bytes */
#define WIRE_MESSAGE_MAX  (4u << 20) /* one message's payload, bytes */
#define WIRE_NAME_MAX     64         /* a stream name, bytes */

enum wire_kind { WIRE_RECORDS = 'R', WIRE_HEAD = 'H', WIRE_REQUEST = 'Q' };

struct wire_header {
    uint8_t kind; /* enum wire_kind */
    uint16_t count;
    uint32_t tag;
    uint64_t epoch;     /* 1 to 2^63 - 1; 0 only in a request */
    uint64_t first_seq; /* 1 to 2^63 - 1, as is first_seq + count; 0 only in a request */
    uint64_t sent_us;   /* since 1970-01-01 UTC */
};

enum wire_verb { WIRE_HELLO, WIRE_FETCH, WIRE_GONE, WIRE_EPOCH, WIRE_ERROR, WIRE_NO_VERB };

void wire_encode_header(const struct wire_header *h, uint8_t out[WIRE_HEADER_BYTES]);

/* ERR_INVALID when length, version or kind is wrong, a count does not fit the kind (R: 1..65535; H, Q: 0),
 * or a number is outside its bounds. */
int wire_decode_header(const void *frame, size_t len, struct wire_header *out) MUST_CHECK;

/* Number of NDJSON lines in a records payload; -1 (ERR_INVALID) when empty, over WIRE_MESSAGE_MAX, with an empty line, a
 * newline at the end, or a line over WIRE_EVENT_MAX. */
int wire_count_lines(const char *payload, size_t len);

/* u32 big endian, the fourth frame of FETCH. */
void wire_encode_u32(uint32_t v, uint8_t out[4]);
int wire_decode_u32(const void *frame, size_t len, uint32_t *out) MUST_CHECK;

/* "<feed>.<partition>": feed a-z, partition decimal without leading zero, at most WIRE_NAME_MAX bytes. */
bool wire_name_is_valid(const char *name, size_t len);
/* Frame 0 up to '/' equals the stream's name. */
bool wire_topic_is(const void *frame, size_t len, const char *stream);

enum wire_verb wire_verb_parse(const void *frame, size_t len);
const char *wire_verb_name(enum wire_verb verb);
