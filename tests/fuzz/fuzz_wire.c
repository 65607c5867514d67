/* SPDX-License-Identifier: MIT
 *
 * Any bytes as each of the frames of TFP/1: what decodes, encodes to the same bytes; lines are counted as a plain reader
 * counts them; names, topics and verbs are what docs/protocol/tfp1.md says, checked by a second reading of it.
 *
 * links: tests/fuzz/fake.o
 */
#include "tests/fuzz/fake.h"

#include <string.h>

#include "daemon/wire.h"

static void check_header(const uint8_t *data, size_t size)
{
    struct wire_header h;
    uint8_t again[WIRE_HEADER_BYTES];

    if (wire_decode_header(data, size, &h) != 0)
        return;
    MUST_HOLD(size == WIRE_HEADER_BYTES);
    wire_encode_header(&h, again);
    MUST_HOLD(memcmp(again, data, size) == 0);
    MUST_HOLD(h.kind == WIRE_RECORDS || h.kind == WIRE_HEAD || h.kind == WIRE_REQUEST);
    MUST_HOLD((h.kind == WIRE_RECORDS) == (h.count > 0));
    MUST_HOLD((int64_t)h.epoch >= 0 && (int64_t)h.sent_us >= 0 && (int64_t)(h.first_seq + h.count) >= 0);
    MUST_HOLD(h.kind == WIRE_REQUEST || (h.epoch > 0 && h.first_seq > 0));
}

static void check_lines(const char *text, size_t size)
{
    int lines = 1;
    bool good = size > 0 && text[0] != '\n' && text[size - 1] != '\n';

    for (size_t i = 0; i < size; i++) {
        lines += text[i] == '\n';
        good = good && !(text[i] == '\n' && i + 1 < size && text[i + 1] == '\n');
    }
    MUST_HOLD(wire_count_lines(text, size) == (good ? lines : -1));
}

static bool name_is_valid(const char *s, size_t len)
{
    size_t dot = 0;

    while (dot < len && s[dot] >= 'a' && s[dot] <= 'z')
        dot++;
    if (dot == 0 || dot == len || s[dot] != '.' || dot + 1 == len || len > WIRE_NAME_MAX)
        return false;
    for (size_t i = dot + 1; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return s[dot + 1] != '0' || dot + 2 == len;
}

static void check_names(const char *s, size_t len)
{
    enum wire_verb verb = wire_verb_parse(s, len);
    size_t topic = 0;
    char name[WIRE_NAME_MAX + 1];

    MUST_HOLD(wire_name_is_valid(s, len) == name_is_valid(s, len));
    MUST_HOLD(verb == WIRE_NO_VERB ||
              (strlen(wire_verb_name(verb)) == len && memcmp(wire_verb_name(verb), s, len) == 0));
    MUST_HOLD(verb == WIRE_NO_VERB || !wire_name_is_valid(s, len));
    while (topic < len && s[topic] != '/')
        topic++;
    if (topic > WIRE_NAME_MAX || memchr(s, '\0', topic))
        return;
    memcpy(name, s, topic);
    name[topic] = '\0';
    MUST_HOLD(wire_topic_is(s, len, name));
    name[topic ? topic - 1 : 0] ^= 1;
    MUST_HOLD(topic == 0 || !wire_topic_is(s, len, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t number;
    uint8_t again[4];
    static const char none[1];

    if (!size) /* libFuzzer gives no pointer for no bytes */
        data = (const uint8_t *)none;
    check_header(data, size);
    check_lines((const char *)data, size);
    check_names((const char *)data, size);
    if (wire_decode_u32(data, size, &number) == 0) {
        wire_encode_u32(number, again);
        MUST_HOLD(size == 4 && memcmp(again, data, 4) == 0);
    }
    return 0;
}
