/* SPDX-License-Identifier: MIT
 *
 * links: libteldag.a
 *
 * The branches of codec and event decoding that the tests of what they are for do not reach: each bound from both sides,
 * each half of a condition (tests/coverage). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/wire.h"
#include "workers/event.h"
#include "workers/event_json.h"
#include "workers/event_value.h"
#include "workers/pseudonym.h"

#define ENVELOPE(type, extra)                                                                                \
    "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"b\",\"type\":\"" type                                \
    "\",\"time\":\"2025-02-03T10:00:00Z\"" extra ",\"data\":"
#define EVENT(type, data) ENVELOPE(type, "") "{" data "}}"
#define PUPIL             "0123456789abcdef0123456789abcdef"
#define KEY               "\"school_id\":\"1\",\"school_year\":\"2024-2025\""
#define NATIONAL          "85073003328"

static struct event_decoder *decoder, *bare;
static struct event_batch *batch;
static int answer; /* of the pseudonym function */

static int pseudonym(const void *context, int year, const char digits[11], uint8_t out[16], uint32_t *key_id)
{
    (void)context, (void)digits;
    memset(out, 0x11, 16);
    *key_id = (uint32_t)year;
    return answer;
}

static int setup(void **state)
{
    (void)state;
    decoder = event_decoder_new(pseudonym, NULL, pseudonym_scrub);
    bare = event_decoder_new(NULL, NULL, NULL); /* keeps what it gets */
    batch = event_batch_new();
    return decoder && bare && batch ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct event_decoder *none = NULL;
    struct json_parser *no_parser = NULL;
    event_decoder_free(&decoder);
    event_decoder_free(&bare);
    event_decoder_free(&none);
    event_json_free(&no_parser);
    event_batch_free(&batch);
    event_batch_free(&batch);
    return 0;
}

static const struct event *decode(struct event_decoder *d, const char *line)
{
    assert_int_equal(event_decode(d, batch, line, strlen(line)), 0);
    return batch->events + batch->count - 1;
}

static void dies(struct event_decoder *d, const char *line, const char *why)
{
    const struct event *e = decode(d, line);
    if (e->type != EVENT_DEAD)
        fail_msg("%s\n  lives", line);
    char reason[1024];
    snprintf(reason, sizeof reason, "%.*s", (int)e->reason.len, batch_text(batch, e->reason));
    if (!strstr(reason, why))
        fail_msg("%s\n  dies of %s, not of %s", line, reason, why);
}

static const struct event *lives(struct event_decoder *d, const char *line)
{
    const struct event *e = decode(d, line);
    if (e->type == EVENT_DEAD)
        fail_msg("%s\n  dies: %.*s", line, (int)e->reason.len, batch_text(batch, e->reason));
    return e;
}

static void names_of_streams(void **state)
{
    (void)state;
    assert_false(wire_name_is_valid("a.1:", 4));
    assert_false(wire_name_is_valid("a.1/", 4));
    assert_true(wire_name_is_valid("a.19", 4));
}

/* Without a scrubber (nothing in the product decodes so) texts stay as they are, and reasons too. */
static void without_scrubbing(void **state)
{
    (void)state;
    lives(bare,
          EVENT("melding.beantwoord.v1", "\"melding_id\":\"" NATIONAL "\",\"answered_on\":\"2025-01-01\""));
    const struct event *e =
        lives(bare, EVENT("school.upsert.v1", "\"school_id\":\"1\",\"name\":\"" NATIONAL
                                              "\",\"level\":\"so\",\"network\":\"go\",\"brussels\":true"));
    assert_int_equal(event_values(batch, e)[SCHOOL_NAME].text.len, 11);
    dies(bare, EVENT("school.withdraw.v1", "\"school_id\":\"0\""), "is \"0\"");
}

static void texts(void **state)
{
    (void)state;
    const struct event *e =
        lives(decoder, EVENT("school.upsert.v1",
                             "\"school_id\":\"1\",\"name\":\"\",\"level\":\"so\",\"network\":\"go\","
                             "\"brussels\":true"));
    assert_int_equal(event_values(batch, e)[SCHOOL_NAME].text.len, 0);
    dies(decoder, EVENT("school.upsert.v1", "\"school_id\":\"1\",\"name\":3"),
         "data.name: must be text, is 3");
    /* a key with so many digits in groups that are no number stays */
    lives(decoder,
          EVENT("melding.beantwoord.v1", "\"melding_id\":\"123456789012-3\",\"answered_on\":\"2025-01-01\""));
    dies(decoder,
         EVENT("melding.beantwoord.v1", "\"melding_id\":\"" NATIONAL "\",\"answered_on\":\"2025-01-01\""),
         "national register number");
    dies(decoder, EVENT("registration.closed.v1", KEY ",\"pupils\":\"3\""), "must be an integer");
    dies(decoder, EVENT("registration.closed.v1", KEY ",\"pupils\":1234567890123456789"),
         "must be an integer");
    dies(decoder, EVENT("registration.closed.v1", KEY ",\"pupils\":\"\x7f\x01\""), "not JSON");
    dies(decoder, EVENT("registration.closed.v1", KEY ",\"pupils\":\"\x7f\""), "is \"?\"");
    assert_int_equal(word_find(level_names, "nowhere"), -1);
}

static void words_too_long_for_a_reason(void **state)
{
    (void)state;
    static char word[4][200];
    static const char *words[] = {word[0], word[1], word[2], word[3], NULL};
    for (int i = 0; i < 4; i++)
        memset(word[i], 'a' + i, sizeof word[i] - 1);
    const struct column columns[] = {{.name = "word", .kind = COLUMN_WORD, .words = words}};
    const struct log_table table = {"x_log", columns, 1, -1};
    const struct field fields[] = {{0, NULL, NEED_REQUIRED, 0}};
    const struct event_kind kind = {
        .type = "x.v1", .feed = "x", .op = 'u', .fields = fields, .field_count = 1};
    struct event_decoder *d = event_decoder_new(NULL, NULL, pseudonym_scrub);
    assert_non_null(d);
    event_decoder_use_tables(d, &kind, 1, &table);
    dies(d, EVENT("x.v1", "\"word\":\"b\""), "aaaa bbbb");
    event_decoder_free(&d);
}

static void subjects(void **state)
{
    (void)state;
    /* no school_id in this event, or null: nothing to contradict */
    lives(decoder, ENVELOPE("melding.beantwoord.v1",
                            ",\"subject\":\"7\"") "{\"melding_id\":\"m\",\"answered_on\":\"2025-01-01\"}}");
    lives(decoder, ENVELOPE("poah.beslissing.v1",
                            ",\"subject\":\"7\"") "{\"request_id\":\"m\",\"decision\":\"afgewezen\","
                                                  "\"decided_on\":\"2025-01-01\",\"valid_from\":null,\"valid_"
                                                  "to\":null,\"school_id\":null}}");
}

static void oversize(void **state)
{
    (void)state;
#define HEX32 "abababababababababababababababab"
    static const char *const plain[] = {
        "3",
        "{}",
        "{\"length\":\"3\"}",
        "{\"length\":12345678901234567890}",
        "{\"length\":1234567890123456789}",
        "{\"length\":3}",
        "{\"length\":3,\"sha256\":4}",
        "{\"length\":3,\"sha256\":\"ab\"}",
        "{\"length\":3,\"sha256\":\"x" HEX32 "bababababababababababababababab\"}",
        "{\"length\":3,\"sha256\":\"" HEX32 "xbababababababababababababababab\"}"};
    char line[300];
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        snprintf(line, sizeof line, "{\"teldagd_oversize\":%s}", plain[i]);
        dies(decoder, line, "too large");
        assert_int_equal(batch->events[batch->count - 1].reason.len, strlen("too large"));
    }
    dies(decoder, "{\"teldagd_oversize\":{\"length\":3,\"sha256\":\"" HEX32 HEX32 "\"}}",
         "3 bytes, sha256 abab");
}

/* A column that takes any object of texts: the shipped ones know their words, and so an end. */
static void json_objects(void **state)
{
    (void)state;
    static const struct column columns[] = {{.name = "j", .kind = COLUMN_JSON}};
    const struct log_table table = {"x_log", columns, 1, -1};
    const struct field fields[] = {{0, NULL, NEED_REQUIRED, 0}};
    const struct event_kind kind = {
        .type = "x.v1", .feed = "x", .op = 'u', .fields = fields, .field_count = 1};
    struct event_decoder *d = event_decoder_new(NULL, NULL, pseudonym_scrub);
    char *line = malloc(200000);
    assert_true(d && line);
    event_decoder_use_tables(d, &kind, 1, &table);
    char *p = stpcpy(line, ENVELOPE("x.v1", "") "{\"j\":{\"k\":\"");
    memset(p, 'x', 70000);
    strcpy(p + 70000, "\"}}}");
    dies(d, line, "must be at most 65536 bytes");
    const struct event *e = lives(d, EVENT("x.v1", "\"j\":{\"\":\"\",\"a\\n\":\"\\\\b\"}"));
    struct text t = event_values(batch, e)->text;
    static const char expected[] = "{\"\":\"\",\"a\\u000a\":\"\\u005cb\"}";
    assert_int_equal(t.len, sizeof expected - 1);
    assert_memory_equal(batch_text(batch, t), expected, t.len);
    free(line);
    event_decoder_free(&d);
}

static void feeder_says_why(void **state)
{
    (void)state;
#define REMOVED(extra) ENVELOPE("registration.withdraw.v1", extra) "{" KEY ",\"pupil\":\"rrn:#\"}}"
    char line[400];
    dies(decoder, REMOVED(""), "(no key, no school year, or wrong check number)");
    dies(decoder, REMOVED(",\"" ATTRIBUTE_PUPIL_FAULT "\":3"),
         "(no key, no school year, or wrong check number)");
    dies(decoder, REMOVED(",\"" ATTRIBUTE_PUPIL_FAULT "\":\"moon\""),
         "(no key, no school year, or wrong check number)");
    for (int i = 1; i < PUPIL_FAULT_COUNT; i++) {
        snprintf(line, sizeof line, REMOVED(",\"%s\":\"%s\""), ATTRIBUTE_PUPIL_FAULT, pupil_fault_words[i]);
        dies(decoder, line, i == PUPIL_CHECK_NUMBER ? "(wrong check number)" : "key");
    }
}

static void national_numbers(void **state)
{
    (void)state;
    const char *line = EVENT("registration.withdraw.v1", KEY ",\"pupil\":\"rrn:" NATIONAL "\"");
    answer = 0;
    lives(decoder, line);
    answer = ERR_MISSING;
    dies(decoder, line, "no pseudonym key of school year 2024-2025");
    answer = ERR_INVALID;
    dies(decoder, line, "wrong check number");
    answer = ERR_NOMEM;
    uint32_t before = batch->count;
    assert_int_equal(event_decode(decoder, batch, line, strlen(line)), ERR_NOMEM);
    assert_int_equal(batch->count, before);
    answer = 0;
    dies(decoder,
         EVENT("registration.withdraw.v1",
               "\"school_id\":\"1\",\"school_year\":\"2024\",\"pupil\":\"rrn:" NATIONAL "\""),
         "school_year");
}

/* pupil.link.v1 names the school year of its numbers itself. */
static void dated_numbers(void **state)
{
    (void)state;
#define LINKED(old) EVENT("pupil.link.v1", "\"old\":" old ",\"new\":\"" PUPIL "\"")
    answer = 0;
    lives(decoder, LINKED("\"rrn:" NATIONAL "@2024-2025\""));
    dies(decoder, LINKED("\"rrn:" NATIONAL "@2024-2026\""), "no school year to choose the pseudonym key by");
    dies(decoder, LINKED("\"rrn:" NATIONAL "x2024-2025\""), "@ and a school year");
    dies(decoder, LINKED("\"rrn:" NATIONAL "\""), "@ and a school year");
    dies(decoder, LINKED("\"rrn:#@2024-2025\""), "removed by the feeder");
    dies(decoder, LINKED("\"rrn:#\""), "removed by the feeder");
    dies(decoder, LINKED("\"abc\""), "@ and a school year");
    dies(decoder, LINKED("3"), "@ and a school year");
    dies(decoder, EVENT("registration.withdraw.v1", KEY ",\"pupil\":\"rrn:8507300332/\""),
         "15 bytes of other text");
    dies(decoder, EVENT("registration.withdraw.v1", KEY ",\"pupil\":\"rrx:" NATIONAL "\""),
         "15 bytes of other text");
}

/* A pupil whose key no column keeps: no shipped log has one. */
static void pupils_without_a_key(void **state)
{
    (void)state;
    static const struct column columns[] = {{.name = "p", .kind = COLUMN_PUPIL},
                                            {.name = "school_year", .kind = COLUMN_YEAR}};
    const struct log_table table = {"x_log", columns, 2, 1};
    const struct field fields[] = {{1, NULL, NEED_REQUIRED, 0}, {0, NULL, NEED_REQUIRED, 0}};
    const struct event_kind kind = {
        .type = "x.v1", .feed = "x", .op = 'u', .fields = fields, .field_count = 2};
    struct event_decoder *d = event_decoder_new(pseudonym, NULL, pseudonym_scrub);
    assert_non_null(d);
    answer = 0;
    event_decoder_use_tables(d, &kind, 1, &table);
    lives(d, EVENT("x.v1", "\"school_year\":\"2024-2025\",\"p\":\"" PUPIL "\""));
    const struct event *e =
        lives(d, EVENT("x.v1", "\"school_year\":\"2024-2025\",\"p\":\"rrn:" NATIONAL "\""));
    assert_int_equal(event_values(batch, e)[0].pupil[15], 0x11);
    event_decoder_free(&d);
}

static void ids_of_keys(void **state)
{
    (void)state;
#define KEYED(extra) ENVELOPE("registration.withdraw.v1", extra) "{" KEY ",\"pupil\":\"" PUPIL "\"}}"
    lives(decoder, KEYED(",\"" ATTRIBUTE_PUPIL_KEY "\":null"));
    lives(decoder, KEYED(",\"" ATTRIBUTE_PUPIL_KEY "\":\"0a1B2c3d\""));
    dies(decoder, KEYED(",\"" ATTRIBUTE_PUPIL_KEY "\":3"), "8 hex digits");
    dies(decoder, KEYED(",\"" ATTRIBUTE_PUPIL_KEY "\":\"0a1b2c3\""), "8 hex digits");
    dies(decoder, KEYED(",\"" ATTRIBUTE_PUPIL_KEY "\":\"0a1b2c3x\""), "8 hex digits");
}

static void utf8(void **state)
{
    (void)state;
    dies(decoder, "{\"a\":\"\xe2\x82\x41\"}", "not UTF-8 at byte 6");
    dies(decoder, "{\"a\":\"\xe2\x82\xac\xf0\x9f\x98\xc0\"}", "not UTF-8 at byte 9");
    dies(decoder, "{\"a\":\"\\ud83d\\u0041\"}", "lone surrogate");
    dies(decoder, "{\"a\":\"\\ud83d\\ue000\"}", "lone surrogate");
    dies(decoder, "{\"a\":\"\\udc00\"}", "lone surrogate");
    dies(decoder, "{\"a\":\"\\ue000\"}", "specversion: missing");
    dies(decoder, "{\"a\\n\":\"\"}", "specversion: missing");
    dies(decoder, "{\"\\u0041\":\"\",\"\":1}", "specversion: missing");
}

static void many_members(void **state)
{
    (void)state;
    /* the member that is one too many is a key, or an item */
    char *line = malloc(1 << 17);
    assert_non_null(line);
    for (int kind = 0; kind < 2; kind++)
        for (int count = JSON_MEMBERS_MAX - 3; count <= JSON_MEMBERS_MAX + 1; count++) {
            char *p = stpcpy(line, kind ? "{\"a\":[" : "{");
            for (int i = 0; i < count; i++)
                p += kind ? sprintf(p, "%d,", i) : sprintf(p, "\"k%d\":1,", i);
            strcpy(p, kind ? "0]}" : "\"z\":{}}");
            dies(decoder, line,
                 count + 1 + kind > JSON_MEMBERS_MAX ? "more than 4096 members" : "specversion: missing");
        }
    free(line);
}

static void values(void **state)
{
    (void)state;
    int64_t n;
    struct decimal d;
    assert_false(value_parse_year("2100-2101", 9, &n));
    assert_false(value_parse_year("1989-1990", 9, &n));
    assert_true(value_parse_year("1990-1991", 9, &n));
    static const char *const bad_years[] = {"2024/2025", "20x4-2025", "2024-20y5", "2024-2026", "2024-20255"};
    for (size_t i = 0; i < sizeof bad_years / sizeof *bad_years; i++)
        assert_false(value_parse_year(bad_years[i], strlen(bad_years[i]), &n));
    static const char *const bad_dates[] = {"2025/02-03", "2025-02/03", "2o25-02-03", "2025-o2-03",
                                            "2025-02-o3", "1899-12-31", "2100-01-01", "2101-01-01",
                                            "2025-00-01", "2025-13-01", "2025-01-00", "2025-02-29"};
    for (size_t i = 0; i < sizeof bad_dates / sizeof *bad_dates; i++)
        assert_false(value_parse_date(bad_dates[i], 10, &n));
    static const char *const bad_times[] = {
        "2025-02-03T1o:00:00Z", "2025-02-03T10:o0:00Z",  "2025-02-03T10:00:o0Z",  "2025-02-03T24:00:00Z",
        "2025-02-03T10:60:00Z", "2025-02-03T10:00:61Z",  "2o25-02-03T10:00:00Z",  "2025-02-03 10:00:00Z",
        "2025-02-03T10-00:00Z", "2025-02-03T10:00-00Z",  "2025-02-03T10:00:00.Z", "2025-02-03T10:00:00.5",
        "2025-02-03T10:00:00x", "2025-02-03T10:00:00.:", "1969-12-31T23:59:59Z",  "2100-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof bad_times / sizeof *bad_times; i++)
        assert_false(value_parse_time(bad_times[i], strlen(bad_times[i]), &n));
    assert_true(value_parse_time("2025-02-03t10:00:60.123456789z", 30, &n));
    uint8_t pupil[16];
    assert_false(value_parse_pupil("0123456789abcdef0123456789abcdeg", 32, pupil));
    assert_false(value_parse_pupil("0123456789abcdef0123456789abcdgf", 32, pupil));
    assert_false(value_parse_pupil("0", 1, pupil));
    assert_true(value_parse_pupil(PUPIL, 32, pupil));
    static const char *const bad_offsets[] = {"*01:00", "+0a:00", "+01-00", "+01:a0",
                                              "+24:00", "+01:60", "-1"};
    for (size_t i = 0; i < sizeof bad_offsets / sizeof *bad_offsets; i++) {
        char text[40];
        snprintf(text, sizeof text, "2025-02-03T10:00:00%s", bad_offsets[i]);
        assert_false(value_parse_time(text, strlen(text), &n));
    }
    assert_true(value_parse_time("2025-02-03T10:00:00-01:00", 25, &n));
    assert_true(value_parse_decimal("", 0, &d) && d.mantissa == 0);
    assert_true(value_parse_decimal("-0", 2, &d) && d.mantissa == 0);
    assert_true(value_number_is_finite("1.7976931348623157e308", 22));
    assert_true(value_number_is_finite("1.7976931348623157000000000000000000000000000000001e308", 55));
    assert_false(value_number_is_finite("9e308", 5));
}

static void groups_of_streams(void **state)
{
    (void)state;
    static const struct {
        const char *stream, *group;
        bool fits;
    } rows[] = {{"ses_lestijden", "kleuter", true},    {"ses_lestijden", "lager", true},
                {"ses_lestijden", "okan", false},      {"gok_uren_leraar", "graad1", true},
                {"gok_uren_leraar", "okan", true},     {"gok_uren_leraar", "graad23", true},
                {"gok_uren_leraar", "lager", false},   {"gok_aanvullende_lestijden", "aanbod", true},
                {"gok_extra_lesuren", "aanbod", true}, {"gok_extra_lesuren", "type3", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[400];
        snprintf(line, sizeof line,
                 EVENT("entitlement.known.v1",
                       KEY ",\"stream\":\"%s\",\"group\":\"%s\",\"status\":\"granted\",\"hours\":3"),
                 rows[i].stream, rows[i].group);
        if (rows[i].fits)
            lives(decoder, line);
        else
            dies(decoder, line, "not a group of data.stream");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_streams),
        cmocka_unit_test(without_scrubbing),
        cmocka_unit_test(texts),
        cmocka_unit_test(words_too_long_for_a_reason),
        cmocka_unit_test(subjects),
        cmocka_unit_test(oversize),
        cmocka_unit_test(json_objects),
        cmocka_unit_test(feeder_says_why),
        cmocka_unit_test(national_numbers),
        cmocka_unit_test(dated_numbers),
        cmocka_unit_test(pupils_without_a_key),
        cmocka_unit_test(ids_of_keys),
        cmocka_unit_test(utf8),
        cmocka_unit_test(many_members),
        cmocka_unit_test(values),
        cmocka_unit_test(groups_of_streams),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
