/* SPDX-License-Identifier: MIT
 * links: daemon/wire.o
 *
 * The codec against the byte tables of docs/protocol/tfp1.md, round trips of random headers, and every
 * reject. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "daemon/wire.h"

#define LIMIT ((uint64_t)1 << 63)

/* The example of docs/protocol/tfp1.md, section 3. */
static const uint8_t example[WIRE_HEADER_BYTES] = {
    0x01, 'R',  0x00, 0x02, 0xde, 0xad, 0xbe, 0xef, 0x00, 0x06, 0x16, 0xcf, 0x03, 0x7e, 0x60, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xa1, 0x00, 0x06, 0x16, 0xcf, 0x12, 0x53, 0xa8, 0xc0};
static const struct wire_header example_header = {.kind = 'R',
                                                  .count = 2,
                                                  .tag = 0xdeadbeef,
                                                  .epoch = 0x000616cf037e6000,
                                                  .first_seq = 100001,
                                                  .sent_us = 0x000616cf1253a8c0};

static void assert_same(const struct wire_header *a, const struct wire_header *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->tag, b->tag);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->first_seq, b->first_seq);
    assert_int_equal(a->sent_us, b->sent_us);
}

static void test_header_bytes(void **state)
{
    uint8_t bytes[WIRE_HEADER_BYTES];
    struct wire_header h;

    (void)state;
    wire_encode_header(&example_header, bytes);
    assert_memory_equal(bytes, example, sizeof bytes);
    assert_int_equal(wire_decode_header(example, sizeof example, &h), 0);
    assert_same(&h, &example_header);
}

static int decode_changed(struct wire_header h)
{
    uint8_t bytes[WIRE_HEADER_BYTES];
    struct wire_header out;

    wire_encode_header(&h, bytes);
    return wire_decode_header(bytes, sizeof bytes, &out);
}

static void test_header_rejects(void **state)
{
    struct wire_header h;
    uint8_t bytes[WIRE_HEADER_BYTES + 1] = {0};

    (void)state;
    memcpy(bytes, example, sizeof example);
    for (size_t len = 0; len <= sizeof bytes; len++)
        assert_int_equal(wire_decode_header(bytes, len, &h), len == WIRE_HEADER_BYTES ? 0 : ERR_INVALID);
    for (int version = 0; version < 256; version++) {
        bytes[0] = (uint8_t)version;
        assert_int_equal(wire_decode_header(bytes, WIRE_HEADER_BYTES, &h), version == 1 ? 0 : ERR_INVALID);
    }
    for (int kind = 0; kind < 256; kind++) {
        h = example_header;
        h.kind = (uint8_t)kind;
        assert_int_equal(decode_changed(h), kind == 'R' ? 0 : ERR_INVALID);
        h.count = 0;
        assert_int_equal(decode_changed(h), kind == 'H' || kind == 'Q' ? 0 : ERR_INVALID);
    }
}

static void test_header_bounds(void **state)
{
    const struct {
        char kind;
        uint16_t count;
        uint64_t epoch, first_seq, sent_us;
        int err;
    } rows[] = {
        {'R', 1, 1, 1, 0, 0},
        {'R', 65535, LIMIT - 1, 1, LIMIT - 1, 0},
        {'R', 1, LIMIT - 1, LIMIT - 2, 0, 0},
        {'R', 1, 1, LIMIT - 1, 0, ERR_INVALID}, /* the next sequence would be 2^63 */
        {'R', 65535, 1, LIMIT - 65535, 0, ERR_INVALID},
        {'R', 65535, 1, LIMIT - 65536, 0, 0},
        {'R', 1, 0, 1, 0, ERR_INVALID},
        {'R', 1, 1, 0, 0, ERR_INVALID},
        {'R', 1, LIMIT, 1, 0, ERR_INVALID},
        {'R', 1, 1, 1, LIMIT, ERR_INVALID},
        {'R', 1, UINT64_MAX, 1, 0, ERR_INVALID},
        {'R', 65535, 1, UINT64_MAX, 0, ERR_INVALID}, /* would wrap */
        {'H', 0, 1, 1, 0, 0},
        {'H', 0, 1, LIMIT - 1, 0, 0},
        {'H', 0, 1, LIMIT, 0, ERR_INVALID},
        {'H', 0, 0, 1, 0, ERR_INVALID},
        {'H', 0, 1, 0, 0, ERR_INVALID},
        {'Q', 0, 0, 0, 0, 0},
        {'Q', 0, LIMIT, 1, 0, ERR_INVALID},
        {'Q', 1, 1, 1, 0, ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wire_header h = {.kind = (uint8_t)rows[i].kind,
                                .count = rows[i].count,
                                .epoch = rows[i].epoch,
                                .first_seq = rows[i].first_seq,
                                .sent_us = rows[i].sent_us};

        if (decode_changed(h) != rows[i].err)
            fail_msg("row %zu", i);
    }
}

/* Random bytes never crash the decoder, and what it accepts encodes to the same bytes. */
static void test_header_property(void **state)
{
    const char *given = getenv("TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    int accepted = 0;

    (void)state;
    print_message("TEST_SEED=%u\n", seed);
    srandom(seed);
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[WIRE_HEADER_BYTES], again[WIRE_HEADER_BYTES];
        struct wire_header h;

        for (size_t b = 0; b < sizeof bytes; b++)
            bytes[b] = (uint8_t)random();
        bytes[0] = 1;
        bytes[1] = (uint8_t) "RHQ"[random() % 3];
        if (bytes[1] != 'R')
            bytes[2] = bytes[3] = 0;
        if (wire_decode_header(bytes, sizeof bytes, &h))
            continue;
        accepted++;
        wire_encode_header(&h, again);
        assert_memory_equal(bytes, again, sizeof bytes);
    }
    assert_true(accepted > 10000);
}

static void test_lines(void **state)
{
    static char big[WIRE_MESSAGE_MAX + 2];

    (void)state;
    assert_int_equal(wire_count_lines("{}", 2), 1);
    assert_int_equal(wire_count_lines("{}\n{}", 5), 2);
    assert_int_equal(wire_count_lines("a\nb\nc", 5), 3);
    assert_int_equal(wire_count_lines("", 0), -1);
    assert_int_equal(wire_count_lines("\n", 1), -1);
    assert_int_equal(wire_count_lines("{}\n", 3), -1);
    assert_int_equal(wire_count_lines("\n{}", 3), -1);
    assert_int_equal(wire_count_lines("{}\n\n{}", 6), -1);
    memset(big, 'x', sizeof big);
    assert_int_equal(wire_count_lines(big, WIRE_EVENT_MAX), 1);
    assert_int_equal(wire_count_lines(big, WIRE_EVENT_MAX + 1), -1);
    for (size_t at = WIRE_EVENT_MAX; at < WIRE_MESSAGE_MAX; at += WIRE_EVENT_MAX)
        big[at - 1] = '\n';
    assert_int_equal(wire_count_lines(big, WIRE_MESSAGE_MAX), 4);
    big[WIRE_MESSAGE_MAX - 1] = '\n';
    assert_int_equal(wire_count_lines(big, WIRE_MESSAGE_MAX + 1), -1);
}

static void test_u32(void **state)
{
    uint8_t bytes[4];
    uint32_t v;

    (void)state;
    wire_encode_u32(0x00002000, bytes);
    assert_memory_equal(bytes, "\x00\x00\x20\x00", 4);
    assert_int_equal(wire_decode_u32(bytes, 4, &v), 0);
    assert_int_equal(v, 8192);
    assert_int_equal(wire_decode_u32(bytes, 3, &v), ERR_INVALID);
    assert_int_equal(wire_decode_u32(bytes, 5, &v), ERR_INVALID);
}

static void test_names(void **state)
{
    static const char *const good[] = {"registration.0", "a.10", "school.4294967295"};
    static const char *const bad[] = {"",          "school", "school.", ".0",      "School.0",
                                      "school.01", "s.-1",   "s.0x",    "s.0.1",   "s1.0",
                                      "s .0",      "s.0/",   "s.00",    "local/0", "s.1 "};
    char longest[WIRE_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(wire_name_is_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (wire_name_is_valid(bad[i], strlen(bad[i])))
            fail_msg("%s", bad[i]);
    memset(longest, 'a', sizeof longest);
    memcpy(longest + WIRE_NAME_MAX - 2, ".7", 2);
    assert_true(wire_name_is_valid(longest, WIRE_NAME_MAX));
    memcpy(longest + WIRE_NAME_MAX - 2, "a.7", 3);
    assert_false(wire_name_is_valid(longest, WIRE_NAME_MAX + 1));
    assert_false(wire_name_is_valid("s.1\0", 4));
}

static void test_topics(void **state)
{
    (void)state;
    assert_true(wire_topic_is("registration.1", 14, "registration.1"));
    assert_true(wire_topic_is("registration.1/x/y", 18, "registration.1"));
    assert_true(wire_topic_is("registration.1/", 15, "registration.1"));
    assert_false(wire_topic_is("registration.10", 15, "registration.1"));
    assert_false(wire_topic_is("registration.1", 13, "registration.1"));
    assert_false(wire_topic_is("registration", 12, "registration.1"));
    assert_false(wire_topic_is("", 0, "registration.1"));
    assert_false(wire_topic_is("/registration.1", 15, "registration.1"));
}

static void test_verbs(void **state)
{
    static const char *const names[] = {"HELLO", "FETCH", "GONE", "EPOCH", "ERROR"};

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(wire_verb_parse(names[i], strlen(names[i])), i);
        assert_string_equal(wire_verb_name(i), names[i]);
    }
    assert_int_equal(wire_verb_parse("hello", 5), WIRE_NO_VERB);
    assert_int_equal(wire_verb_parse("HELL", 4), WIRE_NO_VERB);
    assert_int_equal(wire_verb_parse("HELLO2", 6), WIRE_NO_VERB);
    assert_int_equal(wire_verb_parse("", 0), WIRE_NO_VERB);
    assert_string_equal(wire_verb_name(WIRE_NO_VERB), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_bytes),  cmocka_unit_test(test_header_rejects),
        cmocka_unit_test(test_header_bounds), cmocka_unit_test(test_header_property),
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_u32),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_topics),
        cmocka_unit_test(test_verbs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
