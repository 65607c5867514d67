/* SPDX-License-Identifier: MIT
 *
 * National numbers: check digits, pseudonyms, and that no spelling of a number survives a line (P6).
 * links: workers/pseudonym.o workers/pseudonym_keys.o workers/event_value.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "workers/pseudonym.h"
#include "workers/pseudonym_keys.h"

#define YEAR 2024

static struct pseudonym_keys *key;

static int make_key(void **state)
{
    char path[] = "/tmp/test_pseudonym.XXXXXX", error[200] = "";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    dprintf(fd, "2024-2025 ");
    for (int i = 0; i < 32; i++)
        dprintf(fd, "%02X", (unsigned)i);
    close(fd);
    key = pseudonym_keys_load(path, error, sizeof error);
    if (key == NULL)
        fail_msg("%s", error);
    unlink(path);
    return 0;
}

static int drop_key(void **state)
{
    (void)state;
    pseudonym_keys_free(&key);
    assert_null(key);
    return 0;
}

/* As pseudonym_line() does, with every "rrn:" string under the key of one year; out may hold 2 x len + 32. */
static size_t scrub_line(const struct pseudonym_keys *keys, const char *line, size_t len, char *out)
{
    struct pseudonym_choice choice = {.keys = keys, .year = YEAR};
    char *in = malloc(len + 1);
    memcpy(in, line, len);
    len = pseudonym_spell_out(in, len);
    size_t left = pseudonym_scrub_json(keys ? &choice : NULL, in, len, out);
    free(in);
    return left;
}

static void expect_line(const struct pseudonym_keys *k, const char *in, const char *expected)
{
    size_t len = strlen(in), got;
    char *out =
        malloc(2 * len + 32); /* exactly the promised room, so that a sanitizer sees one byte too many */
    got = scrub_line(k, in, len, out);
    if (got != strlen(expected) || memcmp(out, expected, got) != 0)
        fail_msg("%s\n became %.*s\n not    %s", in, (int)got, out, expected);
    free(out);
}

static void expect_same(const char *in)
{
    expect_line(key, in, in);
    expect_line(NULL, in, in);
}

static void check_number(void **state)
{
    (void)state;
    assert_true(rrn_is_valid("85073003328"));
    assert_true(rrn_is_valid("00012556777")); /* born in 2000: 2 before it */
    assert_true(rrn_is_valid("00012556748")); /* born in 1900 */
    assert_false(rrn_is_valid("85073003329"));
    assert_false(rrn_is_valid("8507300332a"));
    assert_true(rrn_is_valid("00000000097")); /* 0 mod 97: the check is 97, not 0 */
    assert_false(rrn_is_valid("00000000000"));
}

static void pseudonym_is_keyed_blake2b(void **state)
{
    uint8_t out[16];
    uint32_t id;
    (void)state;
    /* computed with Python's hashlib.blake2b(b"85073003328", key=bytes(range(32)), digest_size=16) */
    expect_line(key, "{\"pupil\":\"rrn:85073003328\"}", "{\"pupil\":\"945bf1048fbc6fa7204061ee2b56874a\"}");
    expect_line(
        key, "{\"pupil\": \"rrn:00012556777\", \"a\":\"rrn:85073003328\"}",
        "{\"pupil\": \"18e4725c88e618d1c326ddda1d829167\", \"a\":\"945bf1048fbc6fa7204061ee2b56874a\"}");
    assert_int_equal(pseudonym_of_rrn(key, YEAR, "85073003328", out, &id), 0);
    assert_int_equal(out[0], 0x94);
    assert_int_equal(pseudonym_of_rrn(key, YEAR, "85073003329", out, &id), ERR_INVALID);
}

static void refused_numbers(void **state)
{
    (void)state;
    expect_line(NULL, "{\"pupil\":\"rrn:85073003328\"}", "{\"pupil\":\"rrn:#\"}");
    expect_line(key, "{\"pupil\":\"rrn:85073003329\"}", "{\"pupil\":\"rrn:#\"}");
    expect_line(key, "{\"pupil\":\"rrn:85.07.30-033.28\"}", "{\"pupil\":\"rrn:#\"}");
    expect_line(key, "{\"pupil\":\"rrn:85073003328x\"}", "{\"pupil\":\"rrn:#x\"}");
    expect_line(key, "{\"pupil\":\"xrrn:85073003328\"}", "{\"pupil\":\"xrrn:#\"}");
    expect_line(key, "{\"pupil\":\"85073003328\"}", "{\"pupil\":\"rrn:#\"}");
}

static void scrubbed_text(void **state)
{
    (void)state;
    expect_line(key, "{\"n\":\"Jan 85.07.30-033.28 x\"}", "{\"n\":\"Jan rrn:# x\"}");
    expect_line(key, "{\"n\":\"85.07.30-033.28 1000 Brussel\"}", "{\"n\":\"rrn:# 1000 Brussel\"}");
    expect_line(key, "{\"n\":\"12 85073003328 85 07 30 033 28\"}", "{\"n\":\"12 rrn:# rrn:#\"}");
    expect_line(key, "{\"n\":\"8 5 0 7 3 0 0 3 3 2 8\"}", "{\"n\":\"rrn:#\"}");
    expect_line(key, "{\"n\":\"85/07/30/033/28\"}", "{\"n\":\"rrn:#\"}");
    expect_line(key, "{\"n\":\"INSZ85073003328.\"}",
                "{\"n\":\"INSZrrn:#.\"}"); /* glued, but plainly a number */
    expect_line(key, "85073003328", "\"rrn:#\"");
    expect_line(key, "", "");
}

static void bare_numbers_become_strings(void **state)
{
    (void)state;
    expect_line(key, "{\"n\":85073003328}", "{\"n\":\"rrn:#\"}");
    expect_line(key, "{\"n\":[1,-85073003328,2]}", "{\"n\":[1,\"rrn:#\",2]}");
    expect_line(key, "{\"n\": 8507300332.8e0 }", "{\"n\": \"rrn:#\" }");
    expect_line(key, "{\"n\":12345678901e5}", "{\"n\":\"rrn:#\"}");
    expect_line(key, "{\"a\":\"x \\\" y\",\"n\":85073003328}", "{\"a\":\"x \\\" y\",\"n\":\"rrn:#\"}");
    expect_line(key, "{\"a\":\"x, 85073003328, y\"}", "{\"a\":\"x, rrn:#, y\"}");
}

static void escapes_hide_nothing(void **state)
{
    (void)state;
    expect_line(key, "{\"pupil\":\"rrn:8507300332\\u0038\"}",
                "{\"pupil\":\"945bf1048fbc6fa7204061ee2b56874a\"}");
    expect_line(key, "{\"pupil\":\"\\u0072r\\u006E\\u003a85073003328\"}",
                "{\"pupil\":\"945bf1048fbc6fa7204061ee2b56874a\"}");
    expect_line(NULL, "{\"n\":\"85\\u002e07\\/30\\u0020033-2\\u0038\"}", "{\"n\":\"rrn:#\"}");
    /* what must stay escaped stays: quotes, backslashes, controls, an escaped backslash before u, other
     * scripts */
    expect_same("{\"n\":\"\\u0022\\u005c\\u0000\\u000a\\\\u0038\\ud800\\u00e9\\n\"}");
    expect_same("\\");
    expect_same("\\u003");
    expect_same("\"\\");
    expect_line(key, "{\"n\":\"\\\\85073003328\"}", "{\"n\":\"\\\\rrn:#\"}");
}

static void what_is_left_alone(void **state)
{
    (void)state;
    expect_same("{\"pupil\":\"12345678901abcdef12345678901abcd\"}"); /* 32 hex digits */
    expect_same("{\"pupil\":\"a85073003328bcdefa85073003328bcd\"}"); /* even with a valid number inside */
    expect_same("{\"pupil\":\"00000000000000000000000000000001\"}");
    expect_same("{\"time\":\"2025-02-03T08:15:30.123456Z\",\"from\":\"2024-09-01\"}");
    expect_same("{\"time\":\"2025-02-03T08:15:30.123456789+01:00\"}");
    expect_same("{\"time\":\"2025-02-03 08:15:30\"}");
    expect_same("{\"id\":\"evt12345678901\",\"school_year\":\"2024-2025\"}");
    expect_same("{\"id\":\"registration.0/000000000123456789\"}");
    expect_same("{\"sent_us\":1700000000000000,\"weight\":0.5,\"n\":1234567890}");
    expect_same("{\"pupil\":\"rrn:#\"}");
    expect_same("{\"a\":\"85..07.30-033.29\"}"); /* two separators in a row, and the wrong check number */
    expect_same("{\"a\":\"85....07.30-033.28\"}");
    expect_same("{\"a\":[85,07,30,033,28],\"b\":[8,5,0,7,3,0,0,3,3,2,8]}"); /* several values */
    expect_same("{\"n\":1700000000000,\"us\":1733850730033280,\"at\":\"20240901123045\"}");
    expect_same("{\"id\":\"000000000123456789\"}");
    expect_same("{\"id\":\"85073003-3280-4000-8000-085073003328\"}"); /* a uuid */
    expect_same("{\"x\":0.850730033280,\"y\":\"1.850730033280\"}");
    expect_same("{\"t\":\"2024-09-01, 12:30:45.123\"}");
}

/* Whatever somebody may put between the digits, or write them with; the date and the check number tell. */
static void wide_spellings(void **state)
{
    static const char *const spellings[] = {
        "85.07.30 - 033.28",
        "85  07  30  033  28",
        "85. 07. 30 - 033. 28",
        "85.07.30\xe2\x80\x93"
        "033.28",
        "85.07.30\xe2\x80\x91"
        "033.28",
        "85\xc2\xa0"
        "07\xc2\xa0"
        "30\xc2\xa0"
        "033\xc2\xa0"
        "28",
        "85\xe2\x80\xaf"
        "0730\xe2\x80\xaf"
        "03328",
        "850730\xe2\x80\x8b"
        "03328",
        "850730\xc2\xad"
        "03328",
        "85\t07\t30\t033\t28",
        "850730\n03328",
        "850730\\n03328",
        "85\\t07\\t30\\t033\\t28",
        "850730\\r\\n03328",
        "85_07_30_033_28",
        "85,07,30,033,28",
        "85:07:30:033:28",
        "85+07+30+033+28",
        "850730\\u201103328",
        "85\\u00a007\\u00A030\\u202f033\\u200b28",
        "850730\\u200b\\u200c\\ufeff03328",
        "\xef\xbc\x98\xef\xbc\x95\xef\xbc\x90\xef\xbc\x97\xef\xbc\x93\xef\xbc\x90\xef\xbc\x90\xef\xbc\x93\xef"
        "\xbc\x93\xef\xbc\x92\xef\xbc\x98",
        "\xd9\xa8\xd9\xa5\xd9\xa0\xd9\xa7\xd9\xa3\xd9\xa0\xd9\xa0\xd9\xa3\xd9\xa3\xd9\xa2\xd9\xa8",
        "\\uff18\\uff15\\uff10\\uFF17\\uff13\\uff10\\uff10\\uff13\\uff13\\uff12\\uff18",
        "\\u0668\\u0665.\\u0660\\u0667.\\u0663\\u0660-\\u0660\\u0663\\u0663.\\u0662\\u0668",
        "8507300332\xef\xbc\x98"};
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        char line[400], place[400];
        snprintf(line, sizeof line, "{\"n\":\"Jan %s, x\"}", spellings[i]);
        expect_line(key, line, "{\"n\":\"Jan rrn:#, x\"}");
        snprintf(line, sizeof line, "Jan %s", spellings[i]); /* no JSON */
        expect_line(NULL, line, "Jan \"rrn:#\"");
        snprintf(place, sizeof place, "%s", line);
        size_t left = pseudonym_scrub(place, strlen(line));
        assert_int_equal(left, 9);
        assert_memory_equal(place, "Jan rrn:#", 9);
    }
    expect_line(key, "{\"n\":\"(85) 07.30 - 033.28\"}", "{\"n\":\"(rrn:#\"}");
    expect_line(key, "{\"n\":\"rrn:85.07.30 - 033.28\"}", "{\"n\":\"rrn:#\"}");
    expect_line(key, "{\"n\":\"12 85.07.30 - 033.28 1000\"}", "{\"n\":\"12 rrn:# 1000\"}");
    expect_line(key, "{\"n\":\"2024-09-01, 85.07.30 - 033.28\"}", "{\"n\":\"2024-09-01, rrn:#\"}");
}

/* Every window of a longer run, and pseudonyms that are none. */
static void longer_runs(void **state)
{
    (void)state;
    expect_line(key, "{\"n\":\"085073003328\"}", "{\"n\":\"0rrn:#\"}");
    expect_line(key, "{\"n\":\"850730033280\"}", "{\"n\":\"rrn:#0\"}");
    expect_line(key, "{\"n\":850730033280}", "{\"n\":\"rrn:#\"}");
    expect_line(key, "{\"n\":\"8507300332885073003328\"}", "{\"n\":\"rrn:#rrn:#\"}");
    expect_line(key, "{\"n\":\"85.07.30-033.2885.07.30-033.28\"}", "{\"n\":\"rrn:#rrn:#\"}");
    expect_line(key, "{\"n\":\"1985.07.30-033.28\"}", "{\"n\":\"19rrn:#\"}");
    expect_line(key, "{\"pupil\":\"00000000000000000000085073003328\"}",
                "{\"pupil\":\"000000000000000000000rrn:#\"}");
    expect_line(key, "{\"pupil\":\"85073003328000000000000000000000\"}",
                "{\"pupil\":\"rrn:#000000000000000000000\"}");
    expect_line(key, "{\"pupil\":\"85073003328aaaaaaaaaaaaaaaaaaaaa\"}",
                "{\"pupil\":\"rrn:#aaaaaaaaaaaaaaaaaaaaa\"}");
}

/* --- properties
 * ------------------------------------------------------------------------------------------------ */

static uint64_t seed;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void take_seed(void)
{
    const char *given = getenv("TEST_SEED");
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid();
    seed |= 1;
    printf("TEST_SEED=%llu\n", (unsigned long long)seed);
}

/* Independent and slow: is there, at any place, a whole-group window of 11 digits that no letter touches? */
static bool naive_has_number(const char *s, size_t len)
{
    for (size_t start = 0; start < len; start++) {
        int digits = 0, separators = 1; /* in a row; a number begins with a digit */
        if (start > 0 &&
            strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", s[start - 1]) &&
            s[start - 1])
            continue;
        for (size_t i = start; i < len && digits <= 11; i++) {
            bool digit = s[i] >= '0' && s[i] <= '9';
            if (digit) {
                digits++;
                separators = 0;
            } else if (!strchr(".-/ ", s[i]) || !s[i] || separators++) {
                break;
            }
            if (digit && digits == 11) {
                char after = i + 1 < len ? s[i + 1] : 0;
                if (after == 0 ||
                    !strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", after))
                    return true;
            }
        }
    }
    return false;
}

static void nothing_survives(void **state)
{
    static const char alphabet[] = "0123456789012345678901234567890123456789. -/:ax\"{,\\u003";
    char line[200], out[700], again[700], place[200];
    (void)state;
    take_seed();
    for (int round = 0; round < 200000; round++) {
        size_t len = next_random() % sizeof line, got, twice;
        for (size_t i = 0; i < len; i++)
            line[i] = alphabet[next_random() % (sizeof alphabet - 1)];
        got = scrub_line(NULL, line, len, out);
        assert_true(got <= len);
        if (naive_has_number(out, got) && !memchr(line, ':', len))
            fail_msg("%.*s\n keeps a number: %.*s", (int)len, line, (int)got, out);
        memcpy(place, line, len);
        twice = pseudonym_scrub(place, len);
        assert_true(twice <= len);
        if (naive_has_number(place, twice) && !memchr(line, ':', len))
            fail_msg("%.*s\n keeps a number: %.*s", (int)len, line, (int)twice, place);
        twice = scrub_line(NULL, out, got, again);
        if (!memchr(line, '\\', len)) {
            /* what stood beside a number may have saved a longer run from being one */
            if (twice > got || (twice == got && memcmp(again, out, got) != 0))
                fail_msg("%.*s\n became %.*s\n then %.*s", (int)len, line, (int)got, out, (int)twice, again);
        }
    }
}

/* A number put anywhere in text without digits is the only thing that changes. */
static void only_the_number_changes(void **state)
{
    static const char *const spellings[] = {"85073003328", "85.07.30-033.28", "85 07 30 033 28",
                                            "rrn:85073003328", "850730/03328"};
    (void)state;
    take_seed();
    for (int round = 0; round < 100000; round++) {
        char line[300], expected[300], out[1000];
        size_t before = next_random() % 60, after = next_random() % 60, len = 0, want = 0, got;
        const char *number = spellings[next_random() % 5];
        line[len++] = expected[want++] = '"';
        for (size_t i = 0; i < before + after; i++) {
            if (i == before) {
                len += (size_t)sprintf(line + len, "_%s_", number);
                want += (size_t)sprintf(expected + want, "_rrn:#_");
            }
            line[len++] = expected[want++] = "abcxyz ._,;e'"[next_random() % 13];
        }
        if (after == 0) {
            len += (size_t)sprintf(line + len, "_%s", number);
            want += (size_t)sprintf(expected + want, "_rrn:#");
        }
        line[len++] = expected[want++] = '"';
        got = scrub_line(key, line, len, out);
        if (got != want || memcmp(out, expected, got) != 0)
            fail_msg("%.*s\n became %.*s\n not %.*s", (int)len, line, (int)got, out, (int)want, expected);
    }
}

/* Times, ids and counters stay as they are, whatever their digits; and every number is found between them. */
static void moments_stay_and_numbers_go(void **state)
{
    (void)state;
    take_seed();
    for (int round = 0; round < 100000; round++) {
        char line[700], start[400], expected[700], out[2000], number[80], digits[40];
        static const char *const gaps[] = {"", ".", " - ", "\xe2\x80\x91", "  ", "_", "\\t", "\\u00a0"};
        const char *a = gaps[next_random() % 8], *b = gaps[1 + next_random() % 7],
                   *c = gaps[next_random() % 8];
        unsigned y = next_random() % 100, m = 1 + next_random() % 12, d = 1 + next_random() % 28,
                 n = 1 + next_random() % 998;
        uint64_t nine = ((y * 100 + m) * 100 + d) * 1000ull + n + (next_random() % 2 ? 2000000000ull : 0);
        unsigned check = 97 - (unsigned)(nine % 97);
        snprintf(digits, sizeof digits, "%02u%02u%02u%03u%02u", y, m, d, n, check);
        assert_true(rrn_is_valid(digits));
        snprintf(number, sizeof number, "%02u%s%02u%s%02u%s%03u%s%02u", y, a, m, a, d, b, n, c, check);
        snprintf(start, sizeof start,
                 "{\"t\":\"20%02u-%02u-%02u, "
                 "%02u:%02u:%02u.%03u\",\"u\":\"20%02u-%02u-%02uT%02u:%02u:%02u.%06uZ\","
                 "\"id\":\"%08x-%04u-4%03u-8%03u-%012llu\",\"school\":%u,\"us\":%llu,\"n\":\"Jan ",
                 y, m, d, n % 24, n % 60, d, n, y, m, d, n % 24, n % 60, d, n * 1000 + n,
                 (unsigned)next_random(), n, n, n, (unsigned long long)(next_random() % 1000000000000),
                 100 + n * 100, 1600000000000000ull + next_random() % 200000000000000);
        snprintf(expected, sizeof expected, "%srrn:#, x\"}", start);
        snprintf(line, sizeof line, "%s%s, x\"}", start, number);
        size_t got = scrub_line(key, line, strlen(line), out);
        if (got != strlen(expected) || memcmp(out, expected, got) != 0)
            fail_msg("%s\n became %.*s\n not %s", line, (int)got, out, expected);
    }
}

/* A mebibyte of nothing but numbers, or of near misses, takes milliseconds. */
static void long_lines_are_quick(void **state)
{
    static const char *const patterns[] = {"85073003328 ",
                                           "1 ",
                                           "8507300332 ",
                                           "a85073003328",
                                           "1",
                                           "rrn:85073003328\",\"",
                                           "\\u0038",
                                           "85.07.30 - 033.28 ",
                                           "8507300332885073003329",
                                           "1, ",
                                           "\\u2011850730",
                                           "\xe2\x80\x91\x38"};
    size_t len = 1u << 20;
    char *line = malloc(len), *out = malloc(2 * len + 32);
    (void)state;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        size_t n = strlen(patterns[p]);
        clock_t before = clock();
        for (size_t i = 0; i < len; i++)
            line[i] = patterns[p][i % n];
        assert_true(scrub_line(key, line, len, out) <= 2 * len + 32);
        assert_true(pseudonym_scrub(line, len) <= len);
        if (clock() - before > CLOCKS_PER_SEC)
            fail_msg("\"%s\" repeated takes %.1f s", patterns[p],
                     (double)(clock() - before) / CLOCKS_PER_SEC);
    }
    free(line);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_number),
        cmocka_unit_test(pseudonym_is_keyed_blake2b),
        cmocka_unit_test(refused_numbers),
        cmocka_unit_test(scrubbed_text),
        cmocka_unit_test(bare_numbers_become_strings),
        cmocka_unit_test(escapes_hide_nothing),
        cmocka_unit_test(what_is_left_alone),
        cmocka_unit_test(wide_spellings),
        cmocka_unit_test(longer_runs),
        cmocka_unit_test(nothing_survives),
        cmocka_unit_test(only_the_number_changes),
        cmocka_unit_test(moments_stay_and_numbers_go),
        cmocka_unit_test(long_lines_are_quick),
    };
    return cmocka_run_group_tests(tests, make_key, drop_key);
}
