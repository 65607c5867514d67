/* SPDX-License-Identifier: MIT
 *
 * TFP/1 codec: what a header and a payload look like in bytes (docs/protocol/tfp1.md has the same tables).
 * Decides only whether bytes are TFP/1; what a number means for a stream is the position machine's business.
 */
#include "daemon/wire.h"

#include <string.h>

#define NUMBER_LIMIT                                                                                         \
    ((uint64_t)1 << 63) /* numbers stay below it, so that they fit a signed bigint everywhere */

/* Offsets in the header. */
enum {
    AT_VERSION = 0,
    AT_KIND = 1,
    AT_COUNT = 2,
    AT_TAG = 4,
    AT_EPOCH = 8,
    AT_FIRST_SEQ = 16,
    AT_SENT_US = 24
};

static const char *const verb_names[] = {"HELLO", "FETCH", "GONE", "EPOCH", "ERROR"};

static void put_big_endian(uint8_t *out, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        out[i] = (uint8_t)v;
        v >>= 8;
    }
}

static uint64_t get_big_endian(const uint8_t *in, int bytes)
{
    uint64_t v = 0;

    for (int i = 0; i < bytes; i++)
        v = v << 8 | in[i];
    return v;
}

void wire_encode_header(const struct wire_header *h, uint8_t out[WIRE_HEADER_BYTES])
{
    out[AT_VERSION] = WIRE_VERSION;
    out[AT_KIND] = h->kind;
    put_big_endian(out + AT_COUNT, h->count, 2);
    put_big_endian(out + AT_TAG, h->tag, 4);
    put_big_endian(out + AT_EPOCH, h->epoch, 8);
    put_big_endian(out + AT_FIRST_SEQ, h->first_seq, 8);
    put_big_endian(out + AT_SENT_US, h->sent_us, 8);
}

/* 1. Every number is below 2^63, and so is the sequence after the last record.
 * 2. Records have at least one; heads and requests none.
 * 3. Epoch 0 and sequence 0 mean "not said", which only a request may. */
static bool header_is_sound(const struct wire_header *h)
{
    if (h->epoch >= NUMBER_LIMIT || h->first_seq >= NUMBER_LIMIT || h->sent_us >= NUMBER_LIMIT ||
        h->first_seq + h->count >= NUMBER_LIMIT)
        return false;
    switch (h->kind) {
    case WIRE_RECORDS:
        return h->count >= 1 && h->epoch >= 1 && h->first_seq >= 1;
    case WIRE_HEAD:
        return h->count == 0 && h->epoch >= 1 && h->first_seq >= 1;
    case WIRE_REQUEST:
        return h->count == 0;
    default:
        return false;
    }
}

int wire_decode_header(const void *frame, size_t len, struct wire_header *out)
{
    const uint8_t *in = frame;

    if (len != WIRE_HEADER_BYTES || in[AT_VERSION] != WIRE_VERSION)
        return ERR_INVALID;
    out->kind = in[AT_KIND];
    out->count = (uint16_t)get_big_endian(in + AT_COUNT, 2);
    out->tag = (uint32_t)get_big_endian(in + AT_TAG, 4);
    out->epoch = get_big_endian(in + AT_EPOCH, 8);
    out->first_seq = get_big_endian(in + AT_FIRST_SEQ, 8);
    out->sent_us = get_big_endian(in + AT_SENT_US, 8);
    return header_is_sound(out) ? 0 : ERR_INVALID;
}

int wire_count_lines(const char *payload, size_t len)
{
    const char *line = payload, *end = payload + len;
    int lines = 0;

    if (len == 0 || len > WIRE_MESSAGE_MAX)
        return -1;
    for (;;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);

        /* A newline at the end of the payload leaves an empty last line, so one test covers both. */
        if (length == 0 || length > WIRE_EVENT_MAX)
            return -1;
        lines++;
        if (!newline)
            return lines;
        line = newline + 1;
    }
}

void wire_encode_u32(uint32_t v, uint8_t out[4])
{
    put_big_endian(out, v, 4);
}

int wire_decode_u32(const void *frame, size_t len, uint32_t *out)
{
    if (len != 4)
        return ERR_INVALID;
    *out = (uint32_t)get_big_endian(frame, 4);
    return 0;
}

bool wire_name_is_valid(const char *name, size_t len)
{
    size_t feed = 0;

    if (len > WIRE_NAME_MAX)
        return false;
    while (feed < len && name[feed] >= 'a' && name[feed] <= 'z')
        feed++;
    if (feed == 0 || feed + 1 >= len || name[feed] != '.')
        return false;
    if (name[feed + 1] == '0' && feed + 2 < len)
        return false;
    for (size_t i = feed + 1; i < len; i++)
        if (name[i] < '0' || name[i] > '9')
            return false;
    return true;
}

bool wire_topic_is(const void *frame, size_t len, const char *stream)
{
    const char *slash = len ? memchr(frame, '/', len) : NULL;
    size_t topic = slash ? (size_t)(slash - (const char *)frame) : len;

    return topic == strlen(stream) && memcmp(frame, stream, topic) == 0;
}

enum wire_verb wire_verb_parse(const void *frame, size_t len)
{
    for (int i = 0; i < WIRE_NO_VERB; i++)
        if (len == strlen(verb_names[i]) && memcmp(frame, verb_names[i], len) == 0)
            return i;
    return WIRE_NO_VERB;
}

const char *wire_verb_name(enum wire_verb verb)
{
    return verb >= WIRE_HELLO && verb < WIRE_NO_VERB ? verb_names[verb] : "";
}
