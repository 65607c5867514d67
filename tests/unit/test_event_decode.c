/* SPDX-License-Identifier: MIT
 * links: workers/event_decode.o workers/event_json.o workers/event_value.o workers/event_batch.o
 * links: workers/event_table.o workers/pseudonym.o workers/pseudonym_keys.o
 *
 * Decoding of event lines: every field of every type, every bad input with its reason (one named test each),
 * P6 for all that is kept, and random mutations. BENCH=1 prints events per second. Runs from the project's
 * top folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/wire.h"
#include "workers/event.h"
#include "workers/event_json.h"
#include "workers/event_value.h"
#include "workers/pseudonym.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

#define HEAD(type)                                                                                           \
    "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"urn:test\",\"type\":\"" type                        \
    "\",\"time\":\"2025-02-03T10:00:00Z\","
#define EVENT(type, data)   HEAD(type) "\"data\":{" data "}}"
#define PUPIL               "0123456789abcdef0123456789ABCDEF"
#define REG_KEY             "\"school_id\":\"1234\",\"school_year\":\"2024-2025\""
#define REG_HEAD            REG_KEY ",\"pupil\":\"" PUPIL "\""
#define REG(rest)           EVENT("registration.upsert.v1", REG_HEAD ",\"group\":\"lager\",\"regular\":true" rest)
#define REG_INDICATED(rest) REG(",\"indicators\":[]" rest)
#define REG_PUPIL(p)        EVENT("registration.withdraw.v1", REG_KEY ",\"pupil\":" p)
#define CLOSED(pupils)      EVENT("registration.closed.v1", REG_KEY ",\"pupils\":" pupils)
#define SCHOOL_BODY(level, rest)                                                                             \
    "\"school_id\":\"1234\",\"name\":\"De Wegwijzer\",\"level\":" level                                      \
    ",\"network\":\"go\",\"brussels\":false" rest
#define SCHOOL(level, rest) EVENT("school.upsert.v1", SCHOOL_BODY(level, rest))
#define ENT(stream, group, hours)                                                                            \
    EVENT("entitlement.known.v1", REG_KEY ",\"stream\":\"" stream "\",\"group\":\"" group                    \
                                          "\",\"status\":\"granted\",\"hours\":" hours)
#define NATIONAL     "85073003328" /* right check number */
#define NATIONAL_BAD "85073003329"

/* Stands for the keyed hash: recognisable bytes. */
static int pseudonym_calls, pseudonym_year;
static int fake_pseudonym(const void *context, int year, const char digits[11], uint8_t out[16],
                          uint32_t *key_id)
{
    assert_ptr_equal(context, &pseudonym_calls);
    ++pseudonym_calls;
    pseudonym_year = year;
    *key_id = 0xfedcba98u;
    if (year == 1999)
        return ERR_MISSING;
    if (!rrn_is_valid(digits))
        return ERR_INVALID;
    memset(out, 0xa5, 16);
    return 0;
}

static struct event_decoder *decoder, *keyless;
static struct event_batch *batch;

static int setup(void **state)
{
    (void)state;
    decoder = event_decoder_new(fake_pseudonym, &pseudonym_calls, pseudonym_scrub);
    keyless = event_decoder_new(NULL, NULL, pseudonym_scrub);
    batch = event_batch_new();
    return decoder && keyless && batch ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    event_decoder_free(&decoder);
    event_decoder_free(&keyless);
    event_batch_free(&batch);
    return 0;
}

static const struct event *decode_by(struct event_decoder *d, const char *line, size_t len)
{
    uint32_t before = batch->count;
    assert_int_equal(event_decode(d, batch, line, len), 0);
    assert_int_equal(batch->count, before + 1);
    assert_int_equal(batch->events[before].seq, batch->first_seq + before);
    return batch->events + before;
}

static const char *reason_of(const struct event *e)
{
    static char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)e->reason.len, batch_text(batch, e->reason));
    return text;
}

static const struct event *good(const char *line)
{
    const struct event *e = decode_by(decoder, line, strlen(line));
    if (e->type == EVENT_DEAD)
        fail_msg("%s\n  is dead: %s", line, reason_of(e));
    return e;
}

static const char *dead(struct event_decoder *d, const char *line, size_t len)
{
    const struct event *e = decode_by(d, line, len);
    if (e->type != EVENT_DEAD)
        fail_msg("%.200s\n  is not dead", line);
    return reason_of(e);
}

static int64_t num(const struct event *e, int column)
{
    assert_false(event_is_null(e, column));
    return event_values(batch, e)[column].num;
}

static void assert_text(struct text t, const char *expected)
{
    assert_int_equal(t.len, strlen(expected));
    assert_memory_equal(batch_text(batch, t), expected, t.len);
}

/* Bad input: each entry is one test. The reason must be exactly `reason`, or begin with it when that ends in
 * "...". */
struct bad {
    const char *name, *line, *reason;
    bool keyless;
};
#define NEST8   "[[[[[[[["
#define UNNEST8 "]]]]]]]]"
static const struct bad bads[] = {
    {"not JSON", "hello", "not JSON..."},
    {"empty line", "", "not JSON..."},
    {"cut off", "{\"specversion\":\"1.0\"", "not JSON..."},
    {"two objects", CLOSED("1") CLOSED("1"), "not JSON: parse error: trailing garbage..."},
    {"something after the object", CLOSED("1") " x", "not JSON..."},
    {"a list", "[1]", "not a JSON object"},
    {"a number", "12", "not a JSON object"},
    {"not UTF-8", SCHOOL("\"bao\"", ",\"municipality\":\"Li\xe8ge\""), "not UTF-8 at byte..."},
    {"UTF-8 overlong", SCHOOL("\"bao\"", ",\"municipality\":\"\xc0\xaf\""), "not UTF-8 at byte..."},
    {"UTF-8 surrogate", SCHOOL("\"bao\"", ",\"municipality\":\"\xed\xa0\x80\""), "not UTF-8 at byte..."},
    {"UTF-8 beyond U+10FFFF", SCHOOL("\"bao\"", ",\"municipality\":\"\xf4\x90\x80\x80\""),
     "not UTF-8 at byte..."},
    {"control character in text", SCHOOL("\"bao\"", ",\"municipality\":\"a\tb\""), "not JSON..."},
    {"missing field", EVENT("registration.upsert.v1", REG_HEAD ",\"group\":\"lager\",\"indicators\":[]"),
     "data.regular: missing"},
    {"missing data", HEAD("school.withdraw.v1") "\"x\":1}", "data: missing"},
    {"missing specversion", "{\"id\":\"1\"}", "specversion: missing"},
    {"missing id", "{\"specversion\":\"1.0\"}", "id: missing"},
    {"missing source", "{\"specversion\":\"1.0\",\"id\":\"1\"}", "source: missing"},
    {"missing time", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\"}", "time: missing"},
    {"missing type", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"time\":\"t\"}",
     "type: missing"},
    {"missing both indicators", REG(""), "data.indicators: missing, and data.home_language too"},
    {"null both indicators", REG(",\"indicators\":null,\"home_language\":null"),
     "data.indicators: missing, and data.home_language too"},
    {"wrong type of regular",
     EVENT("registration.upsert.v1", REG_HEAD ",\"group\":\"lager\",\"regular\":\"yes\",\"indicators\":[]"),
     "data.regular: must be true or false, is \"yes\""},
    {"null where required", SCHOOL("null", ""),
     "data.level: must be one of bao so bubao buso dko vwo clb naft, is null"},
    {"wrong type of data", HEAD("school.withdraw.v1") "\"data\":[]}", "data: must be an object, is a list"},
    {"wrong type of id", "{\"specversion\":\"1.0\",\"id\":1}", "id: must be text, is 1"},
    {"empty id",
     "{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"s\",\"type\":\"school.withdraw.v1\",\"time\":\"2025-"
     "02-03T10:00:00Z\",\"data\":{}}",
     "id: must be text that is not empty, is \"\""},
    {"empty source",
     "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"\",\"type\":\"school.withdraw.v1\",\"time\":\"2025-"
     "02-03T10:00:00Z\",\"data\":{}}",
     "source: must be text that is not empty, is \"\""},
    {"specversion 0.3", "{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"s\",\"time\":\"t\"}",
     "specversion: must be \"1.0\", is \"0.3\""},
    {"duplicate key in data", REG_INDICATED(",\"regular\":false"), "duplicate key regular"},
    {"duplicate key in the envelope",
     HEAD("school.withdraw.v1") "\"id\":\"e2\",\"data\":{\"school_id\":\"1\"}}", "duplicate key id"},
    {"duplicate key deep inside", REG_INDICATED(",\"x\":{\"y\":[{\"a\":1,\"b\":2,\"a\":1}]}"),
     "duplicate key a"},
    {"duplicate key spelled otherwise", REG_INDICATED(",\"\\u0072egular\":false"), "duplicate key regular"},
    {"duplicate empty key", REG_INDICATED(",\"\":1,\"\":2"), "duplicate key"},
    {"NUL in a value", SCHOOL("\"bao\"", ",\"municipality\":\"a\\u0000b\""), "text with \\u0000"},
    {"NUL in a key", SCHOOL("\"bao\"", ",\"a\\u0000\":1"), "text with \\u0000"},
    {"lone high surrogate", SCHOOL("\"bao\"", ",\"municipality\":\"\\ud800\""), "text with a lone surrogate"},
    {"lone low surrogate", SCHOOL("\"bao\"", ",\"municipality\":\"\\uDC00\""), "text with a lone surrogate"},
    {"high surrogate and a letter", SCHOOL("\"bao\"", ",\"municipality\":\"\\ud800\\u0041\""),
     "text with a lone surrogate"},
    {"two high surrogates", SCHOOL("\"bao\"", ",\"municipality\":\"\\ud800\\ud800\\udc00\""),
     "text with a lone surrogate"},
    {"lone surrogate in an ignored key", SCHOOL("\"bao\"", ",\"\\udfff\":1"), "text with a lone surrogate"},
    {"1e400", CLOSED("1e400"), "number out of range 1e400"},
    {"-1e400 in an ignored field", REG_INDICATED(",\"x\":[-1e400]"), "number out of range -1e400"},
    {"1.8e308", REG_INDICATED(",\"x\":1.8e308"), "number out of range 1.8e308"},
    {"unknown level", SCHOOL("\"basis\"", ""),
     "data.level: must be one of bao so bubao buso dko vwo clb naft, is \"basis\""},
    {"level cut short", SCHOOL("\"ba\"", ""), "data.level: must be one of..."},
    {"unknown province", SCHOOL("\"so\"", ",\"province\":\"luik\""),
     "data.province: must be one of antwerpen brussel..."},
    {"unknown group",
     EVENT("registration.upsert.v1", REG_HEAD ",\"group\":\"graad2\",\"regular\":true,\"indicators\":[]"),
     "data.group: must be one of kleuter lager graad1 okan graad23 basisaanbod type3 ander, is \"graad2\""},
    {"group aanbod of a pupil",
     EVENT("registration.upsert.v1", REG_HEAD ",\"group\":\"aanbod\",\"regular\":true,\"indicators\":[]"),
     "data.group: must be one of..."},
    {"bad school year",
     EVENT("registration.closed.v1", "\"school_id\":\"1\",\"school_year\":\"2024-2026\",\"pupils\":1"),
     "data.school_year: must be a school year like \"2024-2025\", is \"2024-2026\""},
    {"school year as number",
     EVENT("registration.closed.v1", "\"school_id\":\"1\",\"school_year\":2024,\"pupils\":1"),
     "data.school_year: must be..."},
    {"school year 1989",
     EVENT("registration.closed.v1", "\"school_id\":\"1\",\"school_year\":\"1989-1990\",\"pupils\":1"),
     "data.school_year: must be..."},
    {"school_id as number", EVENT("school.withdraw.v1", "\"school_id\":1234"),
     "data.school_id: must be text of 1 to 9 digits without leading zero, is 1234"},
    {"school_id with leading zero", EVENT("school.withdraw.v1", "\"school_id\":\"0123\""),
     "data.school_id: must be text..."},
    {"school_id of ten digits", EVENT("school.withdraw.v1", "\"school_id\":\"1234567890\""),
     "data.school_id: must be text..."},
    {"school_id empty", EVENT("school.withdraw.v1", "\"school_id\":\"\""), "data.school_id: must be text..."},
    {"33 hex digits", REG_PUPIL("\"" PUPIL "0\""),
     "data.pupil: must be 32 hex digits, or rrn: and 11 digits, is 33 bytes of other text"},
    {"31 hex digits and a g", REG_PUPIL("\"g123456789abcdef0123456789abcdef\""),
     "data.pupil: must be 32 hex digits..."},
    {"a number padded to a pseudonym", REG_PUPIL("\"000000000000000000000" NATIONAL_BAD "\""),
     "data.pupil: must be a pseudonym, has one hex digit 12 times in a row like a number that was padded"},
    {"padded behind", REG_PUPIL("\"" NATIONAL "AaaaaaaaAAAAAAAAAAAAA\""),
     "data.pupil: must be a pseudonym..."},
    {"padded in the middle",
     REG_PUPIL("\"0123456789"
               "ffffffffffff"
               "0123456789\""),
     "data.pupil: must be a pseudonym..."},
    {"pupil as number", REG_PUPIL("12"), "data.pupil: must be 32 hex digits, or rrn: and 11 digits, is 12"},
    {"rrn with a wrong check number", REG_PUPIL("\"rrn:" NATIONAL_BAD "\""),
     "data.pupil: national register number with a wrong check number"},
    {"rrn of twelve digits", REG_PUPIL("\"rrn:" NATIONAL "1\""), "data.pupil: must be 32 hex digits..."},
    {"rrn without a key", REG_PUPIL("\"rrn:" NATIONAL "\""),
     "data.pupil: national register number, and no pseudonym key is configured", true},
    {"rrn removed by the feeder", REG_PUPIL("\"rrn:#\""),
     "data.pupil: national register number removed by the feeder (no key, no school year, or wrong check "
     "number)"},
    {"weight 0.7", REG_INDICATED(",\"weight\":0.7"), "data.weight: must be 1 or 0.5, is 0.7"},
    {"weight 2", REG_INDICATED(",\"weight\":2"), "data.weight: must be 1 or 0.5, is 2"},
    {"weight 5", REG_INDICATED(",\"weight\":5"), "data.weight: must be 1 or 0.5, is 5"},
    {"weight 0.05", REG_INDICATED(",\"weight\":0.05"), "data.weight: must be 1 or 0.5, is 0.05"},
    {"weight 10", REG_INDICATED(",\"weight\":10"), "data.weight: must be 1 or 0.5, is 10"},
    {"weight nearly a half", REG_INDICATED(",\"weight\":0.50000000000000000001"),
     "data.weight: must be 1 or 0.5, is 0.50..."},
    {"weight null", REG_INDICATED(",\"weight\":null"), "data.weight: must be 1 or 0.5, is null"},
    {"weight as text", REG_INDICATED(",\"weight\":\"1\""), "data.weight: must be 1 or 0.5, is \"1\""},
    {"subject that contradicts",
     HEAD("school.withdraw.v1") "\"subject\":\"1235\",\"data\":{\"school_id\":\"1234\"}}",
     "subject contradicts school_id"},
    {"subject with leading zero",
     HEAD("school.withdraw.v1") "\"subject\":\"01234\",\"data\":{\"school_id\":\"1234\"}}",
     "subject contradicts school_id"},
    {"subject as number", HEAD("school.withdraw.v1") "\"subject\":1234,\"data\":{\"school_id\":\"1234\"}}",
     "subject: must be text, is 1234"},
    {"oversize stand-in",
     "{\"teldagd_oversize\":{\"length\":2097152,\"sha256\":\"" PUPIL PUPIL "\",\"head\":\"x\"}}",
     "too large: 2097152 bytes, sha256 " PUPIL PUPIL},
    {"oversize stand-in without its numbers", "{\"teldagd_oversize\":{}}", "too large"},
    {"nested 17 deep", "{\"a\":" NEST8 NEST8 UNNEST8 UNNEST8 "}", "nested deeper than 16"},
    {"unknown event type", EVENT("school.upsert.v9", "\"school_id\":\"1\""),
     "type: unknown event type \"school.upsert.v9\""},
    {"event type cut short", EVENT("school.upsert.v", "\"school_id\":\"1\""), "type: unknown event type..."},
    {"time without offset",
     "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"school.withdraw.v1\",\"time\":\"2025-"
     "02-03T10:00:00\"}",
     "time: must be RFC 3339 with offset, 1970 to 2099, is \"2025-02-03T10:00:00\""},
    {"until before from", REG_INDICATED(",\"from\":\"2025-01-02\",\"until\":\"2025-01-01\""),
     "data.until: before from"},
    {"30 February", REG_INDICATED(",\"from\":\"2025-02-30\""),
     "data.from: must be a date like \"2025-02-03\", 1900 to 2099, is \"2025-02-30\""},
    {"unknown indicator", REG(",\"indicators\":[\"buurt\",\"armoede\"]"),
     "data.indicators: must be a list of thuistaal schooltoelage opleiding_moeder thuisloos trekkend buurt, "
     "has \"armoede\""},
    {"indicator twice", REG(",\"indicators\":[\"buurt\",\"buurt\"]"),
     "data.indicators: must be distinct, has buurt twice"},
    {"indicators as object", REG(",\"indicators\":{}"), "data.indicators: must be a list of..."},
    {"indicator as list", REG(",\"indicators\":[[\"buurt\"]]"), "data.indicators: must be a list of..."},
    {"home_language as text", REG(",\"home_language\":\"nl\""),
     "data.home_language: must be an object of mother, father, siblings, is \"nl\""},
    {"home_language of mother as text", REG(",\"home_language\":{\"mother\":\"nl\"}"),
     "data.home_language.mother: must be true, false or null, is \"nl\""},
    {"own successor", SCHOOL("\"so\"", ",\"successor_id\":\"1234\""),
     "data.successor_id: is the school itself"},
    {"group outside its stream", ENT("ses_lestijden", "graad1", "3"),
     "data.group: not a group of data.stream"},
    {"basisaanbod granted", ENT("gok_extra_lesuren", "basisaanbod", "3"),
     "data.group: not a group of data.stream"},
    {"hours 100001", ENT("ses_lestijden", "lager", "100001"),
     "data.hours: must be an integer of 0 to 100000, is 100001"},
    {"hours 1.5", ENT("ses_lestijden", "lager", "1.5"),
     "data.hours: must be an integer of 0 to 100000, is 1.5"},
    {"hours negative", ENT("ses_lestijden", "lager", "-1"),
     "data.hours: must be an integer of 0 to 100000, is -1"},
    {"pupils 1000001", CLOSED("1000001"), "data.pupils: must be an integer of 0 to 1000000, is 1000001"},
    {"pupils 1e18", CLOSED("1e18"), "data.pupils: must be an integer of 0 to 1000000, is 1e18"},
    {"pupils 1e300", CLOSED("1e300"), "data.pupils: must be an integer of 0 to 1000000, is 1e300"},
};

static void test_bad(void **state)
{
    const struct bad *b = *state;
    const char *got = dead(b->keyless ? keyless : decoder, b->line, strlen(b->line));
    size_t len = strlen(b->reason);
    bool open = len > 3 && strcmp(b->reason + len - 3, "...") == 0;
    if (open ? strncmp(got, b->reason, len - 3) != 0 : strcmp(got, b->reason) != 0)
        fail_msg("%s:\n  got      %s\n  expected %s", b->name, got, b->reason);
    assert_null(strstr(got, NATIONAL));
    assert_null(strstr(got, NATIONAL_BAD));
}

/* Large input. */

static void test_bad_two_mebibytes(void **state)
{
    (void)state;
    size_t len = 2u << 20;
    char *line = malloc(len);
    memset(line, ' ', len);
    assert_string_equal(dead(decoder, line, len), "too large: 2097152 bytes");
    assert_int_equal(batch->events[batch->count - 1].raw.len, WIRE_EVENT_MAX);
    free(line);
}

/* A line of exactly the largest size whose text is all escapes: what yajl needs most memory for. */
static void test_largest_line(void **state)
{
    (void)state;
    static const char start[] = HEAD("school.withdraw.v1") "\"data\":{\"school_id\":\"77\"},\"x\":\"";
    char *line = malloc(WIRE_EVENT_MAX + 1);
    size_t len = sizeof start - 1;
    memcpy(line, start, len);
    for (; len + 8 <= WIRE_EVENT_MAX; len += 6)
        memcpy(line + len, "\\u20ac", 6);
    memset(line + len, 'a', WIRE_EVENT_MAX - 2 - len);
    memcpy(line + WIRE_EVENT_MAX - 2, "\"}", 2);
    const struct event *e = decode_by(decoder, line, WIRE_EVENT_MAX);
    assert_int_equal(e->type, EVENT_SCHOOL_WITHDRAW);
    /* ... and the same without its end: yajl buffers what it could not finish. */
    assert_int_equal(strncmp(dead(decoder, line, WIRE_EVENT_MAX - 2), "not JSON", 8), 0);
    free(line);
}

static void test_members(void **state)
{
    (void)state;
    /* the root's own members: 7 of the envelope and "l", then the items: 4,096 together pass, 4,097 do not */
    for (int items = JSON_MEMBERS_MAX - 8; items <= JSON_MEMBERS_MAX - 7; items++) {
        char *line = malloc(20000), *at = line;
        at += sprintf(at, HEAD("school.withdraw.v1") "\"data\":{\"school_id\":\"1\"},\"l\":[1");
        for (int i = 1; i < items; i++)
            at += sprintf(at, ",1");
        at += sprintf(at, "]}");
        const struct event *e = decode_by(decoder, line, (size_t)(at - line));
        if (items == JSON_MEMBERS_MAX - 8) {
            assert_int_equal(e->type, EVENT_SCHOOL_WITHDRAW);
        } else {
            assert_int_equal(e->type, EVENT_DEAD);
            assert_string_equal(reason_of(e), "more than 4096 members");
        }
        free(line);
    }
}

static void test_many_keys_are_told_apart(void **state)
{
    (void)state;
    char *line = malloc(200000), *at = line;
    at += sprintf(at, HEAD("school.withdraw.v1") "\"data\":{\"school_id\":\"1\"}");
    for (int i = 0; i < 4000; i++)
        at += sprintf(at, ",\"key number %d\":%d", i, i);
    size_t len = (size_t)(at - line);
    strcpy(at, "}");
    assert_int_equal(decode_by(decoder, line, len + 1)->type, EVENT_SCHOOL_WITHDRAW);
    strcpy(at, ",\"key number 1234\":0}");
    assert_string_equal(dead(decoder, line, strlen(line)), "duplicate key key number 1234");
    free(line);
}

/* The same key in many objects is no duplicate, however their places in the set of keys collide. */
static void test_same_key_in_many_objects(void **state)
{
    (void)state;
    char *line = malloc(100000), *at = line;
    at += sprintf(at, HEAD("school.withdraw.v1") "\"data\":{\"school_id\":\"1\"},\"l\":[{\"id\":0}");
    for (int i = 1; i < 2000; i++)
        at += sprintf(at, ",{\"id\":%d}", i);
    at += sprintf(at, "]}");
    good(line);
    free(line);
}

static void test_nested_16_deep(void **state)
{
    (void)state;
    good(HEAD("school.withdraw.v1") "\"data\":{\"school_id\":\"1\"},\"x\":" NEST8 "[[[[[[["
                                    "]]]]]]]" UNNEST8 "}");
}

/* Good input, field by field. */

static void test_school(void **state)
{
    (void)state;
    const struct event *e = good("{\"data\":{\"school_id\":\"999999999\",\"name\":\"Sint-Jozef "
                                 "\\u00e9\\ud83d\\ude00\",\"level\":\"buso\",\"network\":\"officieel\","
                                 "\"province\":\"west-vlaanderen\",\"municipality\":\"Brugge\",\"brussels\":"
                                 "true,\"board_id\":\"B7\",\"closed_on\":\"2024-02-29\","
                                 "\"successor_id\":\"1\",\"extra\":{\"deep\":[1,2,{}]}},\"datacontenttype\":"
                                 "\"application/json\",\"time\":\"2025-02-03T10:00:00.25+01:00\","
                                 "\"type\":\"school.upsert.v1\",\"source\":\"urn:agodi\",\"id\":\"s-1\","
                                 "\"subject\":\"999999999\",\"specversion\":\"1.0\"}");
    const struct value *v = event_values(batch, e);
    assert_int_equal(e->type, EVENT_SCHOOL_UPSERT);
    assert_int_equal(e->nulls, 0);
    assert_int_equal(num(e, SCHOOL_ID), 999999999);
    assert_text(v[SCHOOL_NAME].text, "Sint-Jozef \xc3\xa9\xf0\x9f\x98\x80");
    assert_int_equal(num(e, SCHOOL_LEVEL), LEVEL_BUSO);
    assert_int_equal(num(e, SCHOOL_NETWORK), 2);
    assert_int_equal(num(e, SCHOOL_PROVINCE), 5);
    assert_text(v[SCHOOL_MUNICIPALITY].text, "Brugge");
    assert_int_equal(num(e, SCHOOL_BRUSSELS), 1);
    assert_text(v[SCHOOL_BOARD_ID].text, "B7");
    assert_int_equal(num(e, SCHOOL_CLOSED_ON), 19782);
    assert_int_equal(num(e, SCHOOL_SUCCESSOR_ID), 1);
    assert_int_equal(e->time_us, 1738573200250000);
    assert_text(e->id, "s-1");
    assert_text(e->source, "urn:agodi");
}

static void test_school_nulls(void **state)
{
    (void)state;
    const uint32_t nulls = 1u << SCHOOL_PROVINCE | 1u << SCHOOL_MUNICIPALITY | 1u << SCHOOL_BOARD_ID |
                           1u << SCHOOL_CLOSED_ON | 1u << SCHOOL_SUCCESSOR_ID;
    assert_int_equal(good(SCHOOL("\"bao\"", ""))->nulls, nulls);
    assert_int_equal(good(SCHOOL("\"bao\"", ",\"province\":null,\"municipality\":null,\"board_id\":null,"
                                            "\"closed_on\":null,\"successor_id\":null"))
                         ->nulls,
                     nulls);
    const struct event *e = good(EVENT("school.withdraw.v1", "\"school_id\":\"5\""));
    assert_int_equal(e->nulls, ((1u << SCHOOL_COLUMNS) - 1) & ~1u);
    assert_int_equal(num(e, SCHOOL_ID), 5);
}

static void test_entitlement(void **state)
{
    (void)state;
    const struct event *e = good(ENT("gok_extra_lesuren", "aanbod", "12"));
    assert_int_equal(e->type, EVENT_ENTITLEMENT_KNOWN);
    assert_int_equal(num(e, ENT_STREAM), STAFFING_GOK_EXTRA_LESUREN);
    assert_int_equal(num(e, ENT_GROUP), GROUP_AANBOD);
    assert_int_equal(num(e, ENT_YEAR), 2024);
    assert_int_equal(num(e, ENT_STATUS), STATUS_GRANTED);
    assert_int_equal(num(e, ENT_HOURS), 12);
    e = good(EVENT("entitlement.withdraw.v1", REG_KEY ",\"stream\":\"gok_uren_leraar\",\"group\":\"okan\""));
    assert_int_equal(e->nulls, 1u << ENT_STATUS | 1u << ENT_HOURS);
    assert_int_equal(num(e, ENT_GROUP), GROUP_OKAN);
}

static void test_registration(void **state)
{
    (void)state;
    static const uint8_t pupil[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                      0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    const struct event *e =
        good(REG(",\"weight\":0.5,\"from\":\"2024-09-01\",\"until\":\"2024-09-01\",\"indicators\":[\"buurt\","
                 "\"thuistaal\"],"
                 "\"home_language\":{\"mother\":true,\"father\":false,\"siblings\":null,\"dog\":7}"));
    assert_int_equal(e->type, EVENT_REGISTRATION_UPSERT);
    assert_int_equal(e->nulls, 1u << REG_PUPILS | 1u << REG_PUPIL_KEY);
    assert_int_equal(num(e, REG_SCHOOL_ID), 1234);
    assert_int_equal(num(e, REG_YEAR), 2024);
    assert_memory_equal(event_values(batch, e)[REG_PUPIL].pupil, pupil, 16);
    assert_int_equal(num(e, REG_GROUP), GROUP_LAGER);
    assert_int_equal(num(e, REG_REGULAR), 1);
    assert_int_equal(num(e, REG_WEIGHT), 1);
    assert_int_equal(num(e, REG_FROM), 19967);
    assert_int_equal(num(e, REG_UNTIL), 19967);
    assert_int_equal(num(e, REG_INDICATORS), 1u << IND_BUURT | 1u << IND_THUISTAAL);
    assert_int_equal(num(e, REG_HOME_LANGUAGE), 2 * 9 + 1 * 3);
}

static void test_registration_defaults(void **state)
{
    (void)state;
    const struct event *e = good(REG_INDICATED(""));
    assert_int_equal(num(e, REG_WEIGHT), 2);
    assert_int_equal(num(e, REG_INDICATORS), 0);
    assert_int_equal(e->nulls, 1u << REG_FROM | 1u << REG_UNTIL | 1u << REG_HOME_LANGUAGE | 1u << REG_PUPILS |
                                   1u << REG_PUPIL_KEY);
    e = good(REG(",\"home_language\":{},\"indicators\":null,\"from\":null,\"until\":null"));
    assert_int_equal(num(e, REG_HOME_LANGUAGE), 0);
    assert_int_equal(e->nulls, 1u << REG_FROM | 1u << REG_UNTIL | 1u << REG_INDICATORS | 1u << REG_PUPILS |
                                   1u << REG_PUPIL_KEY);
}

static void test_weights(void **state)
{
    (void)state;
    static const char *const ones[] = {"1", "1.0", "1.00e0", "10e-1", "0.1e1"}, *const halves[] = {
                                                                                    "0.5", "0.50", "5e-1",
                                                                                    "0.05E+1"};
    char line[1000];
    for (size_t i = 0; i < LENGTH(ones); i++) {
        snprintf(line, sizeof line, REG_INDICATED(",\"weight\":%s"), ones[i]);
        assert_int_equal(num(good(line), REG_WEIGHT), 2);
    }
    for (size_t i = 0; i < LENGTH(halves); i++) {
        snprintf(line, sizeof line, REG_INDICATED(",\"weight\":%s"), halves[i]);
        assert_int_equal(num(good(line), REG_WEIGHT), 1);
    }
}

static void test_closed_and_withdraw(void **state)
{
    (void)state;
    const struct event *e = good(CLOSED("1000000"));
    assert_int_equal(e->type, EVENT_REGISTRATION_CLOSED);
    assert_int_equal(num(e, REG_PUPILS), 1000000);
    assert_true(event_is_null(e, REG_PUPIL));
    assert_int_equal(num(good(CLOSED("0")), REG_PUPILS), 0);
    assert_int_equal(num(good(CLOSED("-0")), REG_PUPILS), 0);
    assert_int_equal(num(good(CLOSED("2.4e1")), REG_PUPILS), 24);
    e = good(REG_PUPIL("\"" PUPIL "\""));
    assert_int_equal(e->type, EVENT_REGISTRATION_WITHDRAW);
    assert_false(event_is_null(e, REG_PUPIL));
    assert_true(event_is_null(e, REG_GROUP));
}

static void test_national_number_becomes_pseudonym(void **state)
{
    (void)state;
    pseudonym_calls = 0;
    const struct event *e = good(REG_PUPIL("\"rrn:" NATIONAL "\""));
    assert_int_equal(pseudonym_calls, 1);
    for (int i = 0; i < 16; i++)
        assert_int_equal(event_values(batch, e)[REG_PUPIL].pupil[i], 0xa5);
    good(REG_PUPIL("\"rr\\u006e:8507\\u003300\\u0033328\"")); /* the same, spelled otherwise */
    assert_int_equal(pseudonym_calls, 2);
}

/* P6: nothing that stays in the batch holds a national number. */
static void test_no_national_number_is_kept(void **state)
{
    (void)state;
    static const char *const lines[] = {
        REG_PUPIL("\"rrn:" NATIONAL_BAD "\""),
        REG_PUPIL("\"rrn:" NATIONAL "x\""),
        REG_PUPIL("\"850730\\u003033\\u0032\\u0038\""),
        SCHOOL("\"" NATIONAL "\"", ""),
        SCHOOL("\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx " NATIONAL " y\"", ""),
        SCHOOL("\"bao\"", ",\"municipality\":\"van 85.07.30-033.28 te Gent\""),
        EVENT("no.such.type " NATIONAL, ""),
        REG_INDICATED(",\"" NATIONAL "\":1,\"" NATIONAL "\":2"),
        "{\"specversion\":\"1.0\",\"id\":\"" NATIONAL "\",\"source\":\"urn:" NATIONAL
        "\",\"type\":\"school.withdraw.v1\",\"time\":\"2025-02-03T10:00:00Z\",\"data\":{\"school_id\":\"1\"}"
        "}",
        "no JSON " NATIONAL,
    };
    for (size_t i = 0; i < LENGTH(lines); i++) {
        struct event_batch *b = event_batch_new();
        assert_int_equal(event_decode(decoder, b, lines[i], strlen(lines[i])), 0);
        static const char *const traces[] = {NATIONAL, NATIONAL_BAD, "85.07.30", "8507300", "85073003"};
        for (size_t t = 0; t < LENGTH(traces); t++)
            if (memmem(b->arena, b->arena_len, traces[t], strlen(traces[t])))
                fail_msg("%s leaves %s: %.*s", lines[i], traces[t], (int)b->arena_len, b->arena);
        event_batch_free(&b);
    }
}

static void test_dead_keeps_raw(void **state)
{
    (void)state;
    static const char line[] = "{\"oops\": \"van 85.07.30-033.28\" ";
    const struct event *e = decode_by(decoder, line, strlen(line));
    assert_int_equal(e->type, EVENT_DEAD);
    assert_text(e->raw, "{\"oops\": \"van rrn:#\" ");
}

static void test_long_texts(void **state)
{
    (void)state;
    char text[520], line[2000];
    memset(text, 'n', 513);
    text[513] = '\0';
    snprintf(line, sizeof line, SCHOOL("\"bao\"", ",\"municipality\":\"%s\""), text);
    assert_string_equal(dead(decoder, line, strlen(line)),
                        "data.municipality: must be text of at most 512 bytes, is 513 bytes");
    text[512] = '\0';
    snprintf(line, sizeof line, SCHOOL("\"bao\"", ",\"municipality\":\"%s\""), text);
    good(line);
    /* A long found text is cut between two characters: 39 letters, then two-byte ones. */
    memset(text, 'n', 39);
    strcpy(text + 39, "\xc3\xa9\xc3\xa9\xc3\xa9");
    snprintf(line, sizeof line, SCHOOL("\"%s\"", ""), text);
    const char *reason = dead(decoder, line, strlen(line));
    assert_non_null(strstr(reason, "is \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn...\""));
}

static void test_subject(void **state)
{
    (void)state;
    good(HEAD("school.withdraw.v1") "\"subject\":\"1234\",\"data\":{\"school_id\":\"1234\"}}");
    good(HEAD("school.withdraw.v1") "\"data\":{\"school_id\":\"1234\"},\"subject\":\"1234\"}");
    good(HEAD("school.withdraw.v1") "\"subject\":null,\"data\":{\"school_id\":\"1234\"}}");
}

/* Values by themselves. */

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us; /* -1: refused */
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.0000019Z", 1},
        {"2025-02-03t10:00:00.123456789z", 1738576800123456},
        {"2025-02-03T10:00:00-05:30", 1738596600000000},
        {"2016-12-31T23:59:60Z", 1483228800000000},
        {"2099-12-31T23:59:59.999999Z", 4102444799999999},
        {"2100-01-01T00:30:00+01:00", 4102443000000000},
        {"2100-01-01T00:00:00Z", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"1970-01-01T00:30:00+01:00", -1},
        {"2025-02-29T10:00:00Z", -1},
        {"2024-02-29T10:00:00Z", 1709200800000000},
        {"2025-02-03T24:00:00Z", -1},
        {"2025-02-03T10:60:00Z", -1},
        {"2025-02-03T10:00:61Z", -1},
        {"2025-02-03 10:00:00Z", -1},
        {"2025-02-03T10:00:00.Z", -1},
        {"2025-02-03T10:00:00+0100", -1},
        {"2025-02-03T10:00:00+24:00", -1},
        {"2025-02-03T10:00:00Zx", -1},
        {"2025-02-03T10:00:00", -1},
        {"", -1},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int64_t us = -1;
        bool ok = value_parse_time(cases[i].text, strlen(cases[i].text), &us);
        if (ok != (cases[i].us >= 0) || (ok && us != cases[i].us))
            fail_msg("%s: %s %lld", cases[i].text, ok ? "read as" : "refused", (long long)us);
    }
}

/* Every day from 1900 to 2099 in order, against the C library. */
static void test_dates(void **state)
{
    (void)state;
    char text[32];
    int64_t days, expected = -25567;
    for (time_t t = (time_t)expected * 86400; expected < 47482; expected++, t += 86400) {
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(text, sizeof text, "%Y-%m-%d", &tm);
        assert_true(value_parse_date(text, 10, &days));
        assert_int_equal(days, expected);
    }
    assert_string_equal(text, "2099-12-31");
    assert_false(value_parse_date("2100-01-01", 10, &days));
    assert_false(value_parse_date("1899-12-31", 10, &days));
    assert_false(value_parse_date("2025-13-01", 10, &days));
    assert_false(value_parse_date("2025-00-01", 10, &days));
    assert_false(value_parse_date("2025-04-31", 10, &days));
    assert_false(value_parse_date("2025-4-01x", 10, &days));
    assert_false(value_parse_date("2025-04-011", 11, &days));
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool finite, exact;
        int64_t mantissa;
        int exponent;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"-0.000e99999999999999999999", true, true, 0, 0},
        {"1200", true, true, 12, 2},
        {"-1.20500", true, true, -1205, -3},
        {"0.00120", true, true, 12, -4},
        {"1000000000000000000000000", true, true, 1, 24},
        {"123456789012345678", true, true, 123456789012345678, 0},
        {"1234567890123456789", true, false, 0, 0},
        {"1.7976931348623157e308", true, true, 17976931348623157, 292},
        {"1.7976931348623159e308", false, true, 17976931348623159, 292},
        {"1e308", true, true, 1, 308},
        {"1e309", false, true, 1, 309},
        {"1e99999999999999999999", false, false, 0, 0},
        {"1e-99999999999999999999", true, false, 0, 0},
        {"0.00001e313", true, true, 1, 308},
        {"0.00001e314", false, true, 1, 309},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct decimal d;
        size_t len = strlen(cases[i].text);
        if (value_number_is_finite(cases[i].text, len) != cases[i].finite)
            fail_msg("%s: finite wrong", cases[i].text);
        bool exact = value_parse_decimal(cases[i].text, len, &d);
        if (exact != cases[i].exact ||
            (exact && (d.mantissa != cases[i].mantissa || d.exponent != cases[i].exponent)))
            fail_msg("%s: %lld x 10^%d", cases[i].text, (long long)d.mantissa, d.exponent);
    }
}

/* Column kinds that further feeds need, through a table of its own. */

static const char *const test_words[] = {"pesten", "orde_tucht", "veiligheid", NULL};
static const struct column test_columns[] = {
    {"school_id", COLUMN_SCHOOL_ID},
    {"categories", COLUMN_WORDS, test_words},
    {"scales", COLUMN_JSON},
};
static const struct log_table test_table = {"test_log", test_columns, 3, -1};
static const struct field test_fields[] = {{0}, {1}, {2, NULL, NEED_OR_NULL}};
static const struct event_kind test_kind = {"test.v1",   "test", 'u', (enum log_table_no)0,
                                            test_fields, 3,      NULL};
#define TEST_EVENT(rest) EVENT("test.v1", "\"school_id\":\"9\"," rest)

static void test_words_and_json(void **state)
{
    (void)state;
    static const struct bad wrong[] = {
        {"no list", TEST_EVENT("\"categories\":\"pesten\""),
         "data.categories: must be a list of pesten orde_tucht veiligheid, is \"pesten\""},
        {"empty", TEST_EVENT("\"categories\":[]"),
         "data.categories: must be a list of at least one, is empty"},
        {"unknown", TEST_EVENT("\"categories\":[\"pest\"]"),
         "data.categories: must be a list of pesten orde_tucht veiligheid, has \"pest\""},
        {"twice", TEST_EVENT("\"categories\":[\"pesten\",\"pesten\"]"),
         "data.categories: must be distinct, has pesten twice"},
        {"list", TEST_EVENT("\"categories\":[\"pesten\"],\"scales\":[]"),
         "data.scales: must be an object of texts, is a list"},
        {"number within", TEST_EVENT("\"categories\":[\"pesten\"],\"scales\":{\"K1\":\"volgens\",\"K2\":3}"),
         "data.scales.K2: must be text, is 3"},
    };
    struct event_decoder *own = event_decoder_new(NULL, NULL, pseudonym_scrub), *usual = decoder;
    event_decoder_use_tables(own, &test_kind, 1, &test_table);
    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_string_equal(dead(own, wrong[i].line, strlen(wrong[i].line)), wrong[i].reason);
    decoder = own;
    const struct event *e = good(TEST_EVENT("\"categories\":[\"veiligheid\",\"pesten\"],\"scales\":{\"K1\":"
                                            "\"vol\\\"gens\",\"K\\\\\":\"a\\nb\",\"\":\"\"}"));
    const struct event *hidden =
        good(TEST_EVENT("\"categories\":[\"pesten\"],\"scales\":{\"K1\":\"" NATIONAL "\"}"));
    assert_text(event_values(batch, hidden)[2].text, "{\"K1\":\"rrn:#\"}");
    e = batch->events + batch->count - 2;
    decoder = usual;
    assert_int_equal(num(e, 1), 5);
    assert_text(event_values(batch, e)[2].text,
                "{\"K1\":\"vol\\u0022gens\",\"K\\u005c\":\"a\\u000ab\",\"\":\"\"}");
    event_decoder_free(&own);
}

/* Memory that runs out at any byte leaves the batch as it was. */
static void test_no_memory(void **state)
{
    (void)state;
    size_t room = (size_t)UINT32_MAX + 1;
    struct event_batch *b = event_batch_new();
    assert_int_equal(event_decode(decoder, b, CLOSED("1"), strlen(CLOSED("1"))), 0);
    char *arena = b->arena, *large = mmap(NULL, room, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t capacity = b->arena_capacity;
    static const char *const lines[] = {SCHOOL("\"bao\"", ",\"municipality\":\"Gent\""),
                                        SCHOOL("\"basis\"", "")};
    assert_ptr_not_equal(large, MAP_FAILED);
    b->arena = large;
    int failures = 0, successes = 0;
    for (size_t left = 0; left < 400; left++)
        for (size_t i = 0; i < 2; i++) {
            b->arena_len = b->arena_capacity = UINT32_MAX;
            b->arena_len -= left;
            struct event_batch before = *b;
            int err = event_decode(decoder, b, lines[i], strlen(lines[i]));
            assert_true(err == 0 || err == ERR_NOMEM);
            assert_int_equal(b->count, before.count + (err ? 0 : 1));
            if (err) {
                assert_int_equal(b->arena_len, before.arena_len);
                assert_int_equal(b->value_count, before.value_count);
            }
            *(err ? &failures : &successes) += 1;
            b->count = before.count;
            b->value_count = before.value_count;
        }
    assert_true(failures > 50 && successes > 50);
    munmap(large, room);
    b->arena = arena;
    b->arena_capacity = capacity;
    b->arena_len = 0;
    event_batch_free(&b);
}

/* Mutations. */

static uint64_t random_state;
static uint64_t random_next(void) /* splitmix64 */
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t mutate(char *s, size_t len, size_t room)
{
    static const char *const bits[] = {"null", "\"",  "{",       "}",       "[",         "]",
                                       ",",    ":",   "\\u0000", "\\ud800", "1e400",     "\xff",
                                       "-",    "0.7", "\\",      "true",    "\"data\":", "rrn:" NATIONAL,
                                       " ",    "\xc3"};
    size_t at = random_next() % (len + 1), n = random_next() % 8;
    switch (random_next() % 5) {
    case 0: /* another byte */
        if (at < len)
            s[at] = (char)random_next();
        return len;
    case 1: /* a piece less */
        n = n < len - at ? n : len - at;
        memmove(s + at, s + at + n, len - at - n);
        return len - n;
    case 2: { /* a piece of JSON more */
        const char *bit = bits[random_next() % LENGTH(bits)];
        n = strlen(bit);
        if (len + n > room)
            return len;
        memmove(s + at + n, s + at, len - at);
        memcpy(s + at, bit, n);
        return len + n;
    }
    case 3: { /* a piece twice */
        size_t from = random_next() % (len + 1);
        n = random_next() % 60;
        n = n < len - from ? n : len - from;
        if (len + n > room)
            return len;
        char piece[60];
        memcpy(piece, s + from, n);
        memmove(s + at + n, s + at, len - at);
        memcpy(s + at, piece, n);
        return len + n;
    }
    default: /* cut */
        return random_next() % 8 ? len : at;
    }
}

static void check_event(const struct event_batch *b, const struct event *e)
{
    assert_true(e->type <= EVENT_DEAD);
    assert_true((size_t)e->id.offset + e->id.len <= b->arena_len &&
                (size_t)e->raw.offset + e->raw.len <= b->arena_len);
    if (e->type == EVENT_DEAD) {
        assert_true(e->reason.len > 0 && (size_t)e->reason.offset + e->reason.len <= b->arena_len);
        return;
    }
    const struct event_kind *kind = event_kinds + e->type;
    const struct log_table *table = log_tables + kind->table;
    assert_true(e->id.len && e->source.len && e->time_us >= 0);
    assert_true(e->first_value + (uint32_t)table->count <= b->value_count);
    for (int i = 0; i < kind->field_count; i++)
        assert_true(kind->fields[i].need == NEED_OR_NULL || !event_is_null(e, kind->fields[i].column));
}

static void test_mutations(void **state)
{
    (void)state;
    static const char *const lines[] = {
        REG(",\"weight\":0.5,\"from\":\"2024-09-01\",\"indicators\":[\"buurt\",\"thuistaal\"],\"home_"
            "language\":{\"mother\":true}"),
        SCHOOL("\"bao\"", ",\"municipality\":\"Li\xc3\xa8ge \\u00e9\""),
        ENT("ses_lestijden", "lager", "12"),
        CLOSED("12"),
        REG_PUPIL("\"rrn:" NATIONAL "\""),
    };
    const char *seed = getenv("TEST_SEED"), *runs = getenv("TEST_RUNS");
    random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    printf("TEST_SEED=%llu\n", (unsigned long long)random_state);
    struct event_batch *b = event_batch_new();
    long events = 0, deaths = 0;
    for (long i = 0, n = runs ? atol(runs) : 200000; i < n; i++) {
        char line[2048];
        const char *from = lines[random_next() % LENGTH(lines)];
        size_t len = strlen(from);
        memcpy(line, from, len);
        for (uint64_t m = random_next() % 3; m < 3; m++)
            len = mutate(line, len, sizeof line);
        char *exact = malloc(len ? len : 1); /* so that a sanitizer sees a read beyond it */
        memcpy(exact, line, len);
        b->count = b->value_count = 0;
        b->arena_len = 0;
        assert_int_equal(event_decode(decoder, b, exact, len), 0);
        assert_int_equal(b->count, 1);
        check_event(b, b->events);
        *(b->events->type == EVENT_DEAD ? &deaths : &events) += 1;
        free(exact);
    }
    event_batch_free(&b);
    printf("%ld events, %ld dead\n", events, deaths);
    assert_true(deaths > 0 && events > 0);
}

/* docs/events.md: each line of JSON in it is a valid event, and every type is shown. */
static void test_documented_examples(void **state)
{
    (void)state;
    static char line[4096];
    unsigned seen = 0;
    FILE *f = fopen("docs/events.md", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "{\"specversion\"", 14) == 0)
            seen |= 1u << good(line)->type;
    }
    fclose(f);
    assert_int_equal(seen, (1u << EVENT_TYPE_COUNT) - 1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Prints, asserts nothing about speed. */
static void test_speed(void **state)
{
    (void)state;
    if (!getenv("BENCH"))
        skip();
    char lines[256][600];
    size_t len[256], bytes = 0;
    for (int i = 0; i < 256; i++) {
        len[i] = (size_t)snprintf(
            lines[i], sizeof lines[i],
            "{\"specversion\":\"1.0\",\"id\":\"reg-%d\",\"source\":\"urn:registry:discimus\",\"type\":"
            "\"registration.upsert.v1\",\"time\":\"2025-02-03T10:%02d:00.%06d+01:00\",\"subject\":\"%d\","
            "\"data\":{\"school_id\":\"%d\",\"school_year\":\"2024-2025\",\"pupil\":"
            "\"0123456789abcdef01234567%08x\",\"group\":"
            "\"graad23\",\"regular\":true,\"weight\":1,\"from\":\"2024-09-01\",\"until\":null,"
            "\"indicators\":[\"schooltoelage\",\"opleiding_moeder\"]}}",
            i, i % 60, i, 1000 + i, 1000 + i, i * 7919);
        bytes += len[i];
    }
    struct event_batch *b = event_batch_new();
    double best = 1e9;
    for (int round = 0; round < 10; round++) {
        double start = seconds();
        for (int i = 0; i < 51200; i++) {
            if (b->count == 5120) {
                b->count = b->value_count = 0;
                b->arena_len = 0;
            }
            assert_int_equal(event_decode(decoder, b, lines[i % 256], len[i % 256]), 0);
        }
        double took = seconds() - start;
        best = took < best ? took : best;
    }
    for (uint32_t i = 0; i < b->count; i++)
        assert_int_equal(b->events[i].type, EVENT_REGISTRATION_UPSERT);
    printf("%.0f registration events/s of CPU, %.0f bytes each\n", 51200 / best, (double)bytes / 256);
    event_batch_free(&b);
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_bad_two_mebibytes),
        cmocka_unit_test(test_largest_line),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_many_keys_are_told_apart),
        cmocka_unit_test(test_same_key_in_many_objects),
        cmocka_unit_test(test_nested_16_deep),
        cmocka_unit_test(test_school),
        cmocka_unit_test(test_school_nulls),
        cmocka_unit_test(test_entitlement),
        cmocka_unit_test(test_registration),
        cmocka_unit_test(test_registration_defaults),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_closed_and_withdraw),
        cmocka_unit_test(test_national_number_becomes_pseudonym),
        cmocka_unit_test(test_no_national_number_is_kept),
        cmocka_unit_test(test_dead_keeps_raw),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_subject),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_words_and_json),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_documented_examples),
        cmocka_unit_test(test_speed),
    };
    struct CMUnitTest tests[LENGTH(bads) + LENGTH(others)];
    for (size_t i = 0; i < LENGTH(bads); i++)
        tests[i] = (struct CMUnitTest){bads[i].name, test_bad, NULL, NULL, (void *)(uintptr_t)(bads + i)};
    memcpy(tests + LENGTH(bads), others, sizeof others);
    return cmocka_run_group_tests(tests, setup, teardown);
}
