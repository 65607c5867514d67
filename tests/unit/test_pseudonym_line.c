/* SPDX-License-Identifier: MIT
 *
 * Lines on their way into a journal: which key a pupil gets, what the line then says of it, and what becomes of a number
 * that can have none. And the daemon's reading of such lines.
 * links: workers/pseudonym_line.o workers/pseudonym_keys.o workers/pseudonym.o workers/event_value.o workers/event_json.o
 * links: workers/event_decode.o workers/event_batch.o workers/event_table.o workers/event_render.o workers/allocation.o
 * links: workers/exact.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "workers/event.h"
#include "workers/event_render.h"
#include "workers/pseudonym_keys.h"
#include "workers/pseudonym_line.h"

/* Python: hashlib.blake2b(b"85073003328", key=..., digest_size=16), and of b"teldag pupil key id" the first 4 bytes;
 * keys bytes(range(32)) for 2024-2025 and bytes(range(31, -1, -1)) for 2023-2024. */
#define P24  "945bf1048fbc6fa7204061ee2b56874a"
#define ID24 "0857f176"
#define P23  "be12f15cad674bb0bbb8d7c9826b9a6a"
#define ID23 "fb42a722"
#define ENVELOPE(type)                                                                                       \
    "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"time\":\"2025-01-01T00:00:00Z\",\"type\":"     \
    "\"" type "\",\"data\":"
#define REG(pupil, year)                                                                                     \
    ENVELOPE("registration.withdraw.v1")                                                                     \
    "{\"school_id\":\"1\",\"pupil\":\"" pupil "\",\"school_year\":\"" year "\"}"

static struct pseudonym_keys *keys;
static struct pseudonym_line *keyed, *keyless;
static struct event_decoder *decoder;
static struct event_batch *batch;

static int make(void **state)
{
    char path[] = "/tmp/test_pseudonym_line.XXXXXX", error[200] = "";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    dprintf(fd, "2024-2025 ");
    for (int i = 0; i < 32; i++)
        dprintf(fd, "%02x", (unsigned)i);
    dprintf(fd, "\n2023-2024 ");
    for (int i = 31; i >= 0; i--)
        dprintf(fd, "%02x", (unsigned)i);
    close(fd);
    keys = pseudonym_keys_load(path, error, sizeof error);
    unlink(path);
    keyed = pseudonym_line_new(keys);
    keyless = pseudonym_line_new(NULL);
    decoder = event_decoder_new(pseudonym_of_rrn, keys, pseudonym_scrub);
    batch = event_batch_new();
    return keys && keyed && keyless && decoder && batch ? 0 : -1;
}

static int drop(void **state)
{
    (void)state;
    pseudonym_line_free(&keyed);
    pseudonym_line_free(&keyed);
    pseudonym_line_free(&keyless);
    event_decoder_free(&decoder);
    event_batch_free(&batch);
    pseudonym_keys_free(&keys);
    return 0;
}

/* In memory of exactly the promised size, so that a sanitizer sees one byte too many. */
static void becomes(struct pseudonym_line *by, const char *in, const char *expected, enum pupil_fault fault,
                    int year)
{
    size_t len = strlen(in), got;
    char *line = malloc(len + 1), *out = malloc(PSEUDONYM_LINE_ROOM(len));
    enum pupil_fault got_fault;
    int got_year = 0;
    memcpy(line, in, len);
    got = pseudonym_line(by, line, len, out, &got_fault, &got_year);
    if (got != strlen(expected) || memcmp(out, expected, got) != 0)
        fail_msg("%s\n became %.*s\n not    %s", in, (int)got, out, expected);
    assert_int_equal(got_fault, fault);
    assert_int_equal(got_year, year);
    free(line);
    free(out);
}

static void the_school_year_chooses(void **state)
{
    (void)state;
    becomes(keyed, REG("rrn:85073003328", "2024-2025") "}",
            REG(P24, "2024-2025") ",\"pupilkey\":\"" ID24 "\"}", 0, 0);
    becomes(keyed, REG("rrn:85073003328", "2023-2024") "} ",
            REG(P23, "2023-2024") ",\"pupilkey\":\"" ID23 "\"}", 0, 0);
    becomes(keyed, REG("rrn:8507300332\\u0038", "2024\\u002d2025") "\t}",
            REG(P24, "2024-2025") "\t,\"pupilkey\":\"" ID24 "\"}", 0, 0);
    becomes(keyed,
            REG("rrn:85073003328", "2024-2025") ",\"x\":\"rrn:85073003328\",\"n\":\"\\n85.07.30-033.28\"}",
            REG(P24, "2024-2025") ",\"x\":\"" P24 "\",\"n\":\"\\nrrn:#\",\"pupilkey\":\"" ID24 "\"}", 0, 0);
    becomes(keyed, REG(P24, "2024-2025") "}", REG(P24, "2024-2025") "}", 0, 0);
}

static void without_a_key(void **state)
{
    (void)state;
    becomes(keyed, REG("rrn:85073003328", "2022-2023") "}",
            REG("rrn:#", "2022-2023") ",\"pupilfault\":\"no_year_key\"}", PUPIL_NO_YEAR_KEY, 2022);
    becomes(keyed, REG("rrn:85073003328", "2022") "}", REG("rrn:#", "2022") ",\"pupilfault\":\"no_year\"}",
            PUPIL_NO_YEAR, 0);
    becomes(keyed, REG("rrn:85073003329", "2024-2025") "}",
            REG("rrn:#", "2024-2025") ",\"pupilfault\":\"check_number\"}", PUPIL_CHECK_NUMBER, 2024);
    becomes(keyless, REG("rrn:85073003328", "2024-2025") "}",
            REG("rrn:#", "2024-2025") ",\"pupilfault\":\"no_key\"}", PUPIL_NO_KEY, 2024);
    becomes(keyed, "{\"data\":{\"pupil\":\"rrn:85073003328\",\"school_year\":null}}",
            "{\"data\":{\"pupil\":\"rrn:#\",\"school_year\":null},\"pupilfault\":\"no_year\"}", PUPIL_NO_YEAR,
            0);
    /* One that is replaced and one that is not: both are said, of the first. */
    becomes(
        keyed,
        "{\"data\":{\"pupil\":\"rrn:85073003328\",\"school_year\":\"2024-2025\",\"x\":\"rrn:85073003329\"}}",
        "{\"data\":{\"pupil\":\"" P24 "\",\"school_year\":\"2024-2025\",\"x\":\"rrn:#\"},\"pupilfault\":"
        "\"check_number\",\"pupilkey\":\"" ID24 "\"}",
        PUPIL_CHECK_NUMBER, 2024);
}

/* What the daemon would refuse, or read otherwise, is not replaced: nobody knows its school year. */
static void what_is_no_event(void **state)
{
    (void)state;
    becomes(keyed, "{\"pupil\":\"rrn:85073003328\",\"school_year\":\"2024-2025\"}",
            "{\"pupil\":\"rrn:#\",\"school_year\":\"2024-2025\"}", 0, 0);
    becomes(keyed, "{\"data\":[\"rrn:85073003328\"],\"school_year\":\"2024-2025\"}",
            "{\"data\":[\"rrn:#\"],\"school_year\":\"2024-2025\"}", 0, 0);
    becomes(keyed,
            "{\"data\":{\"pupil\":\"rrn:85073003328\",\"school_year\":\"2024-2025\",\"school_year\":\"2023-"
            "2024\"}}",
            "{\"data\":{\"pupil\":\"rrn:#\",\"school_year\":\"2024-2025\",\"school_year\":\"2023-2024\"}}", 0,
            0);
    becomes(keyed, "{\"data\":{\"pupil\":\"rrn:85073003328\",\"school_year\":\"2024-2025\"}",
            "{\"data\":{\"pupil\":\"rrn:#\",\"school_year\":\"2024-2025\"}", 0, 0);
    becomes(keyed, "\"rrn:85073003328\"", "\"rrn:#\"", 0, 0);
    becomes(keyed, "", "", 0, 0);
    becomes(keyed, "\\", "\\", 0, 0);
}

/* A link's numbers name their years; nowhere else does such a text mean anything. */
static void dated_numbers(void **state)
{
    (void)state;
    becomes(keyed, "{\"data\":{\"old\":\"rrn:85073003328@2023-2024\",\"new\":\"rrn:85073003328@2024-2025\"}}",
            "{\"data\":{\"old\":\"" P23 "\",\"new\":\"" P24 "\"},\"pupilkeyold\":\"" ID23
            "\",\"pupilkey\":\"" ID24 "\"}",
            0, 0);
    becomes(keyed, "{\"data\":{\"old\":\"" P23 "\",\"new\":\"rrn:85073003328@2024-2025\"}}",
            "{\"data\":{\"old\":\"" P23 "\",\"new\":\"" P24 "\"},\"pupilkey\":\"" ID24 "\"}", 0, 0);
    becomes(keyed, "{\"data\":{\"old\":\"rrn:85073003328@2023-2024\"}}",
            "{\"data\":{\"old\":\"" P23 "\"},\"pupilkeyold\":\"" ID23 "\"}", 0, 0);
    becomes(keyed, "{\"data\":{\"old\":\"rrn:85073003328@2022-2023\",\"new\":\"rrn:85073003328@2024-2025\"}}",
            "{\"data\":{\"old\":\"rrn:#@2022-2023\",\"new\":\"" P24
            "\"},\"pupilfault\":\"no_year_key\",\"pupilkey\":\"" ID24 "\"}",
            PUPIL_NO_YEAR_KEY, 2022);
    becomes(keyed, "{\"data\":{\"old\":\"rrn:85073003328@2023-2025\",\"new\":\"rrn:85073003328@2024-2025\"}}",
            "{\"data\":{\"old\":\"rrn:#@2023-2025\",\"new\":\"" P24 "\"},\"pupilkey\":\"" ID24 "\"}", 0, 0);
    becomes(keyed, "{\"data\":{\"old\":\"rrn:85073003328\",\"new\":\"rrn:85073003328@2024-2025\"}}",
            "{\"data\":{\"old\":\"rrn:#\",\"new\":\"" P24
            "\"},\"pupilfault\":\"no_year\",\"pupilkey\":\"" ID24 "\"}",
            PUPIL_NO_YEAR, 0);
    becomes(keyed, REG("rrn:85073003328@2024-2025", "2024-2025") "}", REG("rrn:#@2024-2025", "2024-2025") "}",
            0, 0);
    becomes(
        keyed,
        "{\"data\":{\"old\":\"rrn:85073003328@2023-2024 \",\"new\":3,\"x\":\"rrn:85073003328@2023-2024\"}}",
        "{\"data\":{\"old\":\"rrn:#@2023-2024 \",\"new\":3,\"x\":\"rrn:#@2023-2024\"}}", 0, 0);
}

/* --- the daemon's reading ------------------------------------------------------------------------------- */

static const struct event *decode(const char *line)
{
    batch->count = batch->value_count = 0;
    batch->arena_len = 0;
    assert_int_equal(event_decode(decoder, batch, line, strlen(line)), 0);
    return batch->events;
}

static void reads_key(const char *line, bool has, uint32_t id)
{
    const struct event *e = decode(line);
    if (e->type == EVENT_DEAD)
        fail_msg("%s\n  is dead: %.*s", line, (int)e->reason.len, batch_text(batch, e->reason));
    assert_int_equal(event_is_null(e, REG_PUPIL_KEY), !has);
    if (has)
        assert_int_equal(event_values(batch, e)[REG_PUPIL_KEY].num, id);
    /* and once more after it was written as a dead letter */
    char *again = event_render(batch, e);
    e = decode(again);
    assert_int_equal(e->type, EVENT_REGISTRATION_WITHDRAW);
    assert_int_equal(event_is_null(e, REG_PUPIL_KEY), !has);
    if (has)
        assert_int_equal(event_values(batch, e)[REG_PUPIL_KEY].num, id);
    free(again);
}

static void refuses(const char *line, const char *reason)
{
    const struct event *e = decode(line);
    assert_int_equal(e->type, EVENT_DEAD);
    if (e->reason.len != strlen(reason) || memcmp(batch_text(batch, e->reason), reason, e->reason.len) != 0)
        fail_msg("\"%.*s\"\nnot\n\"%s\"", (int)e->reason.len, batch_text(batch, e->reason), reason);
}

static void the_daemon_knows_the_key(void **state)
{
    (void)state;
    reads_key(REG("rrn:85073003328", "2024-2025") "}", true, 0x0857f176); /* best-effort: under its own key */
    reads_key(REG(P24, "2024-2025") ",\"pupilkey\":\"" ID24 "\"}", true, 0x0857f176);
    reads_key(REG(P24, "2024-2025") ",\"pupilkey\":\"FEDCBA98\"}", true, 0xfedcba98);
    reads_key(REG(P24, "2024-2025") ",\"pupilkey\":null,\"pupilkeyold\":7}", false, 0);
    reads_key(REG(P24, "2024-2025") "}", false, 0);
    refuses(REG(P24, "2024-2025") ",\"pupilkey\":\"0857f17g\"}",
            "pupilkey: must be the id of a key, 8 hex digits, is \"0857f17g\"");
    refuses(REG(P24, "2024-2025") ",\"pupilkey\":\"0857f17\"}",
            "pupilkey: must be the id of a key, 8 hex digits, is \"0857f17\"");
    refuses(REG(P24, "2024-2025") ",\"pupilkey\":12345678}",
            "pupilkey: must be the id of a key, 8 hex digits, is 12345678");
}

static void the_daemon_says_what_is_missing(void **state)
{
    (void)state;
    refuses(REG("rrn:85073003328", "2022-2023") "}",
            "data.pupil: national register number, and no pseudonym key of school "
            "year 2022-2023 is configured");
    refuses(ENVELOPE("vlp.aanvraag.v1") "{\"request_id\":\"v\",\"pupil\":\"rrn:85073003328\",\"school_year\":"
                                        "\"2022\"}}",
            "data.pupil: national register number, and no school year to choose the pseudonym key by");
    refuses(REG("rrn:#", "2024-2025") ",\"pupilfault\":\"no_key\"}",
            "data.pupil: national register number removed by the feeder (it has no pseudonym key)");
    refuses(REG("rrn:#", "2024-2025") ",\"pupilfault\":\"no_year_key\"}",
            "data.pupil: national register number removed by the feeder (it has no pseudonym key of that "
            "school year)");
    refuses(REG("rrn:#", "2024-2025") ",\"pupilfault\":\"no_year\"}",
            "data.pupil: national register number removed by the feeder (the event names no school year to "
            "choose the key "
            "by)");
    refuses(REG("rrn:#", "2024-2025") ",\"pupilfault\":\"check_number\"}",
            "data.pupil: national register number removed by the feeder (wrong check number)");
    refuses(REG("rrn:#", "2024-2025") ",\"pupilfault\":\"other\"}",
            "data.pupil: national register number removed by the feeder (no key, no school year, or wrong "
            "check number)");
    refuses(REG("rrn:#", "2024-2025") ",\"pupilfault\":1}",
            "data.pupil: national register number removed by the feeder (no key, no school year, or wrong "
            "check number)");
}

#define LINK(old, new) ENVELOPE("pupil.link.v1") "{\"old\":\"" old "\",\"new\":\"" new "\"}"

static void reads_link(const char *line, bool has_keys)
{
    char *written = NULL;
    for (int again = 0; again < 2; again++) { /* the second time as it was written as a dead letter */
        const struct event *e = decode(line);
        if (e->type == EVENT_DEAD)
            fail_msg("%s\n  is dead: %.*s", line, (int)e->reason.len, batch_text(batch, e->reason));
        assert_int_equal(e->type, EVENT_PUPIL_LINK);
        assert_int_equal(event_values(batch, e)[LINK_NEW].pupil[0], 0x94);
        assert_int_equal(event_is_null(e, LINK_OLD_KEY), !has_keys);
        assert_int_equal(event_is_null(e, LINK_NEW_KEY), !has_keys);
        if (has_keys) {
            char hex[9];
            snprintf(hex, sizeof hex, "%08x", (unsigned)event_values(batch, e)[LINK_OLD_KEY].num);
            assert_string_equal(hex, ID23);
            snprintf(hex, sizeof hex, "%08x", (unsigned)event_values(batch, e)[LINK_NEW_KEY].num);
            assert_string_equal(hex, ID24);
        }
        free(written);
        line = written = event_render(batch, e);
    }
    free(written);
}

static void the_daemon_reads_links(void **state)
{
    (void)state;
    reads_link(LINK(P23, P24) "}", false);
    reads_link(LINK(P23, P24) ",\"pupilkeyold\":\"" ID23 "\",\"pupilkey\":\"" ID24 "\"}", true);
    reads_link(LINK("rrn:85073003328@2023-2024", "rrn:85073003328@2024-2025") "}", true);
    const struct event *e = decode(ENVELOPE("pupil.link.withdraw.v1") "{\"old\":\"" P23 "\"}}");
    assert_int_equal(e->type, EVENT_PUPIL_LINK_WITHDRAW);
    refuses(LINK(P23, P23) "}", "data.new: is old itself");
    refuses(LINK("rrn:85073003328", P24) "}", "data.old: must be 32 hex digits, or rrn:, 11 digits, @ and a "
                                              "school year, is 15 bytes of other text");
    refuses(LINK("rrn:85073003328#2023-2024", P24) "}",
            "data.old: must be 32 hex digits, or rrn:, 11 digits, @ and a school year, is 25 bytes of other "
            "text");
    refuses(LINK("rrn:85073003328@2023-2025", P24) "}",
            "data.old: national register number, and no school year to choose the pseudonym key by");
    refuses(
        LINK("rrn:85073003328@2022-2023", P24) "}",
        "data.old: national register number, and no pseudonym key of school year 2022-2023 is configured");
    refuses(LINK("rrn:85073003329@2023-2024", P24) "}",
            "data.old: national register number with a wrong check number");
    refuses(LINK("rrn:#@2022-2023", P24) ",\"pupilfault\":\"no_year_key\"}",
            "data.old: national register number removed by the feeder (it has no pseudonym key of that "
            "school year)");
    refuses(LINK(P23, P24) ",\"pupilkeyold\":\"x\"}",
            "pupilkeyold: must be the id of a key, 8 hex digits, is \"x\"");
    refuses(ENVELOPE("pupil.link.v1") "{\"old\":3,\"new\":\"" P24 "\"}}",
            "data.old: must be 32 hex digits, or rrn:, 11 digits, @ and a school year, is 3");
    refuses(REG("rrn:85073003328@2024-2025", "2024-2025") "}",
            "data.pupil: must be 32 hex digits, or rrn: and 11 digits, is 25 bytes of other text");
    refuses(REG("rrn:#@2024-2025", "2024-2025") "}",
            "data.pupil: must be 32 hex digits, or rrn: and 11 digits, is 15 bytes of other text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_school_year_chooses),  cmocka_unit_test(without_a_key),
        cmocka_unit_test(what_is_no_event),         cmocka_unit_test(dated_numbers),
        cmocka_unit_test(the_daemon_knows_the_key), cmocka_unit_test(the_daemon_says_what_is_missing),
        cmocka_unit_test(the_daemon_reads_links),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
