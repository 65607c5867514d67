/* SPDX-License-Identifier: MIT
 * links: daemon/json.o
 *
 * JSON helpers: what is written can be read back, bad input is refused with a reason, and nothing is read
 * past its end. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/json.h"

static struct json_value *parse(const char *text)
{
    char error[256] = "";
    struct json_value *v = json_parse(text, error, sizeof error);
    if (!v)
        fail_msg("%s: %s", text, error);
    return v;
}

static void refuse(const char *text, const char *reason)
{
    char error[256] = "";
    struct json_value *v = json_parse(text, error, sizeof error);
    assert_null(v);
    if (!strstr(error, reason))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, error, reason);
}

static void test_reads_a_document(void **state)
{
    (void)state;
    struct json_value *v =
        parse("{\"a\":\"x\",\"b\":12,\"c\":[true,false,null,1.5],\"d\":null,\"e\":{\"f\":-7}}");
    assert_string_equal(json_string(json_get(v, "a"), "?"), "x");
    assert_int_equal(json_int(json_get(v, "b"), -1), 12);
    assert_int_equal(json_count(json_get(v, "c")), 4);
    assert_true(json_bool(json_at(json_get(v, "c"), 0), false));
    assert_false(json_bool(json_at(json_get(v, "c"), 1), true));
    assert_true(json_double(json_at(json_get(v, "c"), 3), 0) == 1.5);
    assert_null(json_get(v, "d"));
    assert_int_equal(json_int(json_get(json_get(v, "e"), "f"), 0), -7);
    assert_string_equal(json_name_at(v, 4), "e");
    json_free(&v);
    assert_null(v);
}

static void test_wrong_types_give_the_alternative(void **state)
{
    (void)state;
    struct json_value *v = parse("{\"a\":\"x\",\"b\":1.5,\"c\":99999999999999999999}");
    assert_int_equal(json_int(json_get(v, "a"), 5), 5);
    assert_int_equal(json_int(json_get(v, "b"), 5), 5);
    assert_int_equal(json_int(json_get(v, "c"), 5), 5); /* does not fit 64 bits */
    assert_string_equal(json_string(json_get(v, "b"), "other"), "other");
    assert_null(json_string(json_get(v, "nothing"), NULL));
    assert_null(json_at(json_get(v, "a"), 0));
    assert_null(json_at(v, 3));
    assert_null(json_name_at(v, 3));
    assert_int_equal(json_count(NULL), 0);
    json_free(&v);
}

static void test_bad_input_is_refused(void **state)
{
    (void)state;
    refuse("", "");
    refuse("{", "");
    refuse("{\"a\":1,\"a\":2}", "\"a\" stands twice");
    refuse("[{\"b\":1,\"b\":2}]", "\"b\" stands twice");
    refuse("{\"a\":\"\xff\"}", "");
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 99);
    deep[199] = '\0';
    refuse(deep, "nested deeper");
}

static void test_writes_what_it_reads(void **state)
{
    (void)state;
    struct json_writer w;
    json_writer_init(&w);
    json_open_object(&w, NULL);
    json_write_string(&w, "text", "a\"b\\c\n\x01\xc3\xa9");
    json_write_string(&w, "broken", "x\xffy\xed\xa0\x80");
    json_write_int(&w, "low", -INT64_MAX);
    json_write_uint(&w, "high", UINT64_MAX);
    json_write_double(&w, "half", 0.5);
    json_write_double(&w, "none", (double)NAN);
    json_open_array(&w, "list");
    json_write_bool(&w, NULL, true);
    json_open_object(&w, NULL);
    json_close_object(&w);
    json_write_null(&w, NULL);
    json_close_array(&w);
    json_write_raw(&w, "raw", "[1,2]");
    json_close_object(&w);
    char *text = json_writer_take(&w);
    assert_non_null(text);
    assert_non_null(strstr(text, "\"high\":18446744073709551615"));
    assert_non_null(strstr(text, "\"none\":null"));
    assert_non_null(strstr(text, "\"list\":[true,{},null],\"raw\":[1,2]}"));
    assert_null(strchr(text, '\n'));

    struct json_value *v = parse(text);
    assert_string_equal(json_string(json_get(v, "text"), ""), "a\"b\\c\n\x01\xc3\xa9");
    assert_string_equal(json_string(json_get(v, "broken"), ""),
                        "x\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_true(json_int(json_get(v, "low"), 0) == -INT64_MAX);
    json_free(&v);
    free(text);
}

static void test_empty_writer_gives_an_empty_text(void **state)
{
    (void)state;
    struct json_writer w;
    json_writer_init(&w);
    char *text = json_writer_take(&w);
    assert_string_equal(text, "");
    free(text);
}

/* Property: any string without NUL, valid UTF-8 or not, comes back: unchanged when it was valid. */
static void test_any_string_survives(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("TEST_SEED=%u\n", seed);
    srand(seed);
    for (int round = 0; round < 2000; round++) {
        char s[40];
        int n = rand() % 39;
        bool ascii = rand() % 2;
        for (int i = 0; i < n; i++)
            s[i] = (char)(1 + rand() % (ascii ? 127 : 255));
        s[n] = '\0';
        struct json_writer w;
        json_writer_init(&w);
        json_open_object(&w, NULL);
        json_write_string(&w, s, s);
        json_close_object(&w);
        char *text = json_writer_take(&w);
        struct json_value *v = parse(text);
        assert_int_equal(json_count(v), 1);
        if (ascii)
            assert_string_equal(json_string(json_get(v, s), ""), s);
        json_free(&v);
        free(text);
    }
}

static void test_nothing_written_steers_a_terminal(void **state)
{
    (void)state;
    struct json_writer w;
    json_writer_init(&w);
    json_write_string(&w, NULL, "a\x1b[m\xc2\x9bm\x7f\xc2\xa0");
    char *text = json_writer_take(&w);
    assert_string_equal(text, "\"a\\u001b[m\\u009bm\\u007f\xc2\xa0\"");
    struct json_value *v = parse(text);
    assert_string_equal(json_string(v, ""), "a\x1b[m\xc2\x9bm\x7f\xc2\xa0");
    json_free(&v);
    free(text);
}

static void stars(char *text)
{
    memset(text, '*', strlen(text));
}

static void test_every_string_can_be_changed(void **state)
{
    (void)state;
    struct json_value *v = parse("{\"ab\": [\"c\", {\"d\": \"ef\"}, 3], \"g\": null}");
    json_change_strings(v, stars);
    assert_string_equal(json_name_at(v, 0), "**");
    assert_string_equal(json_name_at(v, 1), "*");
    const struct json_value *list = json_at(v, 0);
    assert_string_equal(json_string(json_at(list, 0), ""), "*");
    assert_string_equal(json_string(json_at(json_at(list, 1), 0), ""), "**");
    assert_true(json_int(json_at(list, 2), 0) == 3);
    json_change_strings(NULL, stars);
    json_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_a_document),
        cmocka_unit_test(test_wrong_types_give_the_alternative),
        cmocka_unit_test(test_bad_input_is_refused),
        cmocka_unit_test(test_writes_what_it_reads),
        cmocka_unit_test(test_empty_writer_gives_an_empty_text),
        cmocka_unit_test(test_any_string_survives),
        cmocka_unit_test(test_nothing_written_steers_a_terminal),
        cmocka_unit_test(test_every_string_can_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
