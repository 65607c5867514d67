/* SPDX-License-Identifier: MIT
 *
 * The journal as its users see it: what is acknowledged is there after reopening, whole batches or nothing,
 * limits, trimming, other streams refused; and the way from bytes to lines, against a slow reference.
 *
 * links: tools/feed_journal.o tools/feed_lines.o workers/pseudonym.o workers/pseudonym_keys.o
 * links: workers/pseudonym_line.o workers/event_json.o workers/event_value.o
 *
 * links: daemon/err.o daemon/clock.o daemon/wire.o
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "daemon/wire.h"
#include "tools/feed_journal.h"
#include "tools/feed_lines.h"

static char folder[64];
static char error[1024];
static int exit_code;

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_journal.XXXXXX");
    return mkdtemp(folder) && rmdir(folder) == 0 ? 0 : -1;
}

static int drop_folder(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", folder);
    unlink(path);
    rmdir(folder);
    return 0;
}

static struct journal *open_ours(size_t map_bytes)
{
    struct journal *j =
        journal_open(folder, "registration.0", true, map_bytes, error, sizeof error, &exit_code);
    if (!j)
        fail_msg("%s", error);
    return j;
}

static uint64_t append_numbers(struct journal *j, uint64_t from, size_t count)
{
    static char text[1000][24];
    struct journal_line lines[1000];
    uint64_t last = 0;
    for (size_t i = 0; i < count; i++)
        lines[i] = (struct journal_line){
            text[i], (size_t)snprintf(text[i], sizeof text[i], "line %llu", (unsigned long long)(from + i))};
    assert_int_equal(journal_append(j, lines, count, &last), 0);
    return last;
}

static void expect_numbers(struct journal *j, uint64_t from, uint64_t to)
{
    struct journal_read *read;
    struct journal_state state;
    struct journal_line line;
    assert_int_equal(journal_read_begin(j, &read, &state), 0);
    for (uint64_t seq = from; seq <= to; seq++) {
        char expected[24];
        int len = snprintf(expected, sizeof expected, "line %llu", (unsigned long long)seq);
        assert_int_equal(seq == from ? journal_read_seek(read, seq, &line) : journal_read_next(read, &line),
                         0);
        assert_int_equal(line.len, len);
        assert_memory_equal(line.data, expected, line.len);
    }
    assert_int_equal(journal_read_next(read, &line), ERR_MISSING);
    journal_read_end(&read);
    assert_null(read);
}

static void kept_when_reopened(void **state)
{
    struct journal *j = open_ours(0);
    struct journal_state first, again;
    struct stat st;
    (void)state;
    assert_int_equal(journal_read_state(j, &first), 0);
    assert_int_equal(first.first, 1);
    assert_int_equal(first.next, 1);
    assert_true(first.epoch > 1600000000000000u);
    assert_int_equal(append_numbers(j, 1, 1000), 1000);
    assert_int_equal(append_numbers(j, 1001, 1), 1001);
    journal_close(&j);
    assert_null(j);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    j = journal_open(folder, NULL, false, 0, error, sizeof error, &exit_code);
    assert_non_null(j);
    assert_string_equal(journal_stream(j), "registration.0");
    assert_int_equal(journal_read_state(j, &again), 0);
    assert_true(again.epoch == first.epoch);
    assert_int_equal(again.next, 1002);
    expect_numbers(j, 1, 1001);
    journal_close(&j);
}

static void refusals(void **state)
{
    char path[128];
    struct journal *j;
    FILE *f;
    (void)state;
    assert_null(journal_open(folder, NULL, false, 0, error, sizeof error, &exit_code));
    assert_int_equal(exit_code, EX_UNAVAILABLE);
    assert_int_equal(access(folder, F_OK), -1); /* looking does not create */
    j = open_ours(0);
    journal_close(&j);
    assert_null(journal_open(folder, "registration.1", true, 0, error, sizeof error, &exit_code));
    assert_int_equal(exit_code, EX_CONFIG);
    assert_non_null(strstr(error, "holds stream registration.0, not registration.1"));
    drop_folder(NULL);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    f = fopen(path, "w");
    for (int i = 0; i < 20000; i++)
        fputs("not lmdb", f);
    fclose(f);
    assert_null(journal_open(folder, "registration.0", true, 0, error, sizeof error, &exit_code));
    assert_int_equal(exit_code, EX_DATAERR);
}

static void full_journal_acknowledges_nothing(void **state)
{
    static char big[100000];
    struct journal_line lines[8];
    struct journal *j = open_ours(4 << 20);
    struct journal_state before, after;
    uint64_t last = 0;
    int err;
    (void)state;
    for (size_t i = 0; i < 8; i++)
        lines[i] = (struct journal_line){big, sizeof big};
    do {
        assert_int_equal(journal_read_state(j, &before), 0);
        err = journal_append(j, lines, 8, &last);
    } while (err == 0);
    assert_int_equal(err, ERR_RANGE);
    assert_int_equal(journal_error_exit(), EX_UNAVAILABLE);
    assert_non_null(strstr(journal_error(), "teldag-feed trim"));
    assert_int_equal(journal_read_state(j, &after), 0);
    assert_true(before.next > 1);
    assert_int_equal(after.next, before.next);
    assert_int_equal(last, before.next - 1);
    /* what the message advises helps */
    assert_int_equal(journal_trim(j, before.next), 0);
    journal_close(&j);
    j = open_ours(4 << 20);
    assert_int_equal(append_numbers(j, before.next, 10), before.next + 9);
    journal_close(&j);
}

static void trimming(void **state)
{
    struct journal *j = open_ours(0);
    struct journal_read *read;
    struct journal_state s;
    struct journal_line line;
    (void)state;
    for (uint64_t i = 0; i < 50; i++)
        append_numbers(j, 1 + i * 1000, 1000);
    assert_int_equal(journal_trim(j, 50002), ERR_INVALID);
    assert_int_equal(journal_trim(j, 49001), 0); /* more than one chunk */
    assert_int_equal(journal_trim(j, 10), 0);    /* never back */
    assert_int_equal(journal_read_begin(j, &read, &s), 0);
    assert_int_equal(s.first, 49001);
    assert_int_equal(s.next, 50001);
    assert_int_equal(journal_read_seek(read, 49000, &line), ERR_MISSING);
    journal_read_end(&read);
    expect_numbers(j, 49001, 50000);
    assert_int_equal(journal_trim(j, 50001), 0); /* all */
    assert_int_equal(append_numbers(j, 50001, 1), 50001);
    expect_numbers(j, 50001, 50001);
    journal_close(&j);
}

static void renewing(void **state)
{
    struct journal *j = open_ours(0);
    struct journal_state before, kept, dropped, read;
    (void)state;
    append_numbers(j, 1, 100);
    assert_int_equal(journal_trim(j, 11), 0);
    assert_int_equal(journal_read_state(j, &before), 0);
    assert_int_equal(journal_renew(j, false, &kept), 0);
    assert_true(kept.epoch > before.epoch);
    assert_int_equal(kept.first, 11);
    assert_int_equal(kept.next, 101);
    expect_numbers(j, 11, 100);
    assert_int_equal(append_numbers(j, 101, 5), 105);
    assert_int_equal(journal_renew(j, true, &dropped), 0);
    assert_true(dropped.epoch > kept.epoch);
    journal_close(&j);
    j = open_ours(0);
    assert_int_equal(journal_read_state(j, &read), 0);
    assert_int_equal(read.epoch, dropped.epoch);
    assert_int_equal(read.first, 1);
    assert_int_equal(read.next, 1);
    assert_int_equal(append_numbers(j, 1, 20), 20);
    expect_numbers(j, 1, 20);
    journal_close(&j);
}

static void snapshot_stands_still(void **state)
{
    struct journal *j = open_ours(0);
    struct journal_read *read;
    struct journal_state s;
    struct journal_line line;
    (void)state;
    append_numbers(j, 1, 10);
    assert_int_equal(journal_read_begin(j, &read, &s), 0);
    append_numbers(j, 11, 10);
    assert_int_equal(journal_trim(j, 15), 0);
    assert_int_equal(s.next, 11);
    assert_int_equal(journal_read_seek(read, 1, &line), 0);
    assert_memory_equal(line.data, "line 1", 6);
    for (int i = 2; i <= 10; i++)
        assert_int_equal(journal_read_next(read, &line), 0);
    assert_int_equal(journal_read_next(read, &line), ERR_MISSING);
    journal_read_end(&read);
    journal_close(&j);
}

/* --- lines
 * ----------------------------------------------------------------------------------------------------- */

static void expect_batch(const struct feed_lines *l, size_t count, const char *const *expected)
{
    size_t got;
    const struct journal_line *batch = feed_lines_batch(l, &got);
    assert_int_equal(got, count);
    for (size_t i = 0; i < count; i++) {
        if (batch[i].len != strlen(expected[i]) || memcmp(batch[i].data, expected[i], batch[i].len) != 0)
            fail_msg("line %zu is %.*s, not %s", i, (int)batch[i].len, batch[i].data, expected[i]);
    }
}

static void bytes_become_lines(void **state)
{
    static const char input[] = "{\"a\":1}\n\n\r\nb\r\nc\rd\n{\"n\":85073003328}\nrest";
    static const char *const expected[] = {"{\"a\":1}", "b", "c\rd", "{\"n\":\"rrn:#\"}"};
    (void)state;
    for (size_t piece = 1; piece <= sizeof input; piece++) {
        struct feed_lines *l = feed_lines_new(NULL);
        for (size_t at = 0; at < sizeof input - 1;) {
            size_t n = sizeof input - 1 - at < piece ? sizeof input - 1 - at : piece;
            assert_int_equal(feed_lines_add(l, input + at, n), n);
            at += n;
        }
        expect_batch(l, 4, expected);
        assert_int_equal(feed_lines_end(l), 4); /* "rest" is torn */
        expect_batch(l, 4, expected);
        feed_lines_free(&l);
    }
}

static void last_line_without_newline(void **state)
{
    static const char *const whole[] = {"{}", "{\"a\":\"}\"}", "{\"a\":[{\"b\":\"\\\"{\"}]} ", "{\"a\":1}\r"};
    static const char *const torn[] = {
        "{", "{\"a\":\"}", "{\"a\":[{\"b\":\"\\\"}]}\"}", "{\"a\":1}}", "85", "[]", "{}{}", "{\"a\":1},"};
    (void)state;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        struct feed_lines *l = feed_lines_new(NULL);
        size_t count;
        feed_lines_add(l, whole[i], strlen(whole[i]));
        assert_int_equal(feed_lines_end(l), 0);
        feed_lines_batch(l, &count);
        if (count != 1)
            fail_msg("%s is whole", whole[i]);
        feed_lines_free(&l);
    }
    for (size_t i = 0; i < sizeof torn / sizeof *torn; i++) {
        struct feed_lines *l = feed_lines_new(NULL);
        feed_lines_add(l, torn[i], strlen(torn[i]));
        if (feed_lines_end(l) != strlen(torn[i]))
            fail_msg("%s is torn", torn[i]);
        expect_batch(l, 0, NULL);
        feed_lines_free(&l);
    }
}

static void batches_are_bounded(void **state)
{
    struct feed_lines *l = feed_lines_new(NULL);
    char *input = malloc(2 * 5000);
    size_t count, took;
    (void)state;
    for (int i = 0; i < 5000; i++)
        memcpy(input + 2 * i, "x\n", 2);
    took = feed_lines_add(l, input, 2 * 5000);
    assert_int_equal(took, 2 * FEED_BATCH_LINES);
    assert_true(feed_lines_full(l));
    feed_lines_clear(l);
    assert_int_equal(feed_lines_add(l, input + took, 10000 - took), 10000 - took);
    feed_lines_batch(l, &count);
    assert_int_equal(count, 5000 - FEED_BATCH_LINES);
    free(input);
    feed_lines_free(&l);
}

/* A line of exactly 1 MiB is an event; one byte more is a notice with length, digest and the scrubbed
 * beginning. */
static void oversize_lines(void **state)
{
    static const size_t pieces[] = {1 << 22, 70000, 4096, 999};
    size_t len = WIRE_EVENT_MAX + 1;
    char *line = malloc(len + 2);
    uint8_t digest[32];
    char hex[65], expected[200];
    (void)state;
    memset(line, 'x', len);
    memcpy(line, "\"85073003328\\\xff\n", 14);
    line[14] = '\t';
    line[15] = 'y';
    /* a number across the first KiB, and one cut by what is looked at */
    memcpy(line + 1018, "85073003328", 11);
    char *copy = malloc(len);
    memcpy(copy, line, len);
    size_t scrubbed = pseudonym_scrub(copy, len); /* the digest tells nothing of the numbers */
    crypto_hash_sha256(digest, (const unsigned char *)copy, scrubbed);
    free(copy);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    snprintf(expected, sizeof expected,
             "{\"teldagd_oversize\":{\"length\":%zu,\"sha256\":\"%s\",\"head\":\"\\u0022rrn:#"
             "\\u005c\xef\xbf\xbd\\u0009yxx",
             len, hex);
    line[len] = '\n';
    line[len + 1] = '\n';
    for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
        struct feed_lines *l = feed_lines_new(NULL);
        const struct journal_line *batch;
        size_t count;
        for (size_t at = 0; at < len + 1;) {
            size_t n = len + 1 - at < pieces[p] ? len + 1 - at : pieces[p];
            assert_int_equal(feed_lines_add(l, line + at, n), n);
            at += n;
        }
        feed_lines_add(l, line + 1, 0);
        batch = feed_lines_batch(l, &count);
        assert_int_equal(count, 1);
        assert_true(batch[0].len < 1200 && batch[0].len > 1024);
        if (memcmp(batch[0].data, expected, strlen(expected)) != 0)
            fail_msg("%.300s\nnot\n%s", batch[0].data, expected);
        assert_null(memmem(batch[0].data + strlen(expected), batch[0].len - strlen(expected), "8507", 4));
        assert_memory_equal(batch[0].data + batch[0].len - 3, "\"}}", 3);
        feed_lines_clear(l);
        feed_lines_add(l, "next\n", 5);
        expect_batch(l, 1, (const char *const[]){"next"});
        feed_lines_free(&l);
    }
    struct feed_lines *l = feed_lines_new(NULL);
    size_t count;
    feed_lines_add(l, line + 20, len - 20); /* without a number or newline */
    memset(line, 'x', len - 1);
    line[len - 1] = '\n';
    feed_lines_end(l);
    feed_lines_add(l, line, len);
    assert_int_equal(feed_lines_batch(l, &count)[0].len, WIRE_EVENT_MAX);
    feed_lines_free(&l);
    free(line);
}

/* A head full of numbers shrinks while it is scrubbed: no half number may come into view at its end. */
static void oversize_head_of_numbers(void **state)
{
    size_t len = WIRE_EVENT_MAX + 5;
    char *line = malloc(len + 1);
    (void)state;
    for (size_t shift = 0; shift < 12; shift++) {
        struct feed_lines *l = feed_lines_new(NULL);
        const struct journal_line *batch;
        const char *head;
        size_t count, head_len;
        for (size_t i = 0; i < len; i++)
            line[i] = "85073003328,"[(i + shift) % 12];
        memset(line, 'x', 12 - shift);
        line[len] = '\n';
        feed_lines_add(l, line, len + 1);
        batch = feed_lines_batch(l, &count);
        assert_int_equal(count, 1);
        head = (const char *)memmem(batch[0].data, batch[0].len, "head", 4) + 4;
        head_len = batch[0].len - (size_t)(head - batch[0].data);
        assert_true(head_len > 500);
        for (size_t i = 0; i < head_len; i++)
            if (head[i] >= '0' && head[i] <= '9')
                fail_msg("shift %zu: a digit is left: %.*s", shift, (int)head_len, head);
        feed_lines_free(&l);
    }
    free(line);
}

/* Random input in random pieces gives the lines a plain split gives. */
static void any_cutting_gives_the_same_lines(void **state)
{
    const char *given = getenv("TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);
    (void)state;
    printf("TEST_SEED=%u\n", seed);
    srand(seed);
    for (int round = 0; round < 300; round++) {
        char input[3000];
        size_t len = (size_t)rand() % sizeof input, at = 0, start = 0, count, n = 0;
        struct feed_lines *l = feed_lines_new(NULL);
        const struct journal_line *batch;
        for (size_t i = 0; i < len; i++)
            input[i] = "ab{}\n\r\"x"[rand() % 8];
        while (at < len) {
            size_t piece = 1 + (size_t)rand() % 50;
            piece = piece < len - at ? piece : len - at;
            assert_int_equal(feed_lines_add(l, input + at, piece), piece);
            at += piece;
        }
        batch = feed_lines_batch(l, &count);
        for (size_t i = 0; i < len; i++) {
            size_t end = i;
            if (input[i] != '\n')
                continue;
            if (end > start && input[end - 1] == '\r')
                end--;
            if (end > start) {
                assert_true(n < count);
                assert_int_equal(batch[n].len, end - start);
                assert_memory_equal(batch[n].data, input + start, end - start);
                n++;
            }
            start = i + 1;
        }
        assert_int_equal(n, count);
        feed_lines_free(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_when_reopened, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(refusals, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(full_journal_acknowledges_nothing, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(trimming, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(renewing, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(snapshot_stands_still, make_folder, drop_folder),
        cmocka_unit_test(bytes_become_lines),
        cmocka_unit_test(last_line_without_newline),
        cmocka_unit_test(batches_are_bounded),
        cmocka_unit_test(oversize_lines),
        cmocka_unit_test(oversize_head_of_numbers),
        cmocka_unit_test(any_cutting_gives_the_same_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
