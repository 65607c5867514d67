/* SPDX-License-Identifier: MIT
 *
 * Every allocation of a scenario fails in turn: first it alone, then it and all that follow. After each failure an error
 * was returned (nothing crashes, nothing goes on with half of what it needs), what was there before is there still, and
 * the same work, done again, gives what it gives undisturbed. The sanitizer suite also sees that nothing is lost. Only our
 * own allocations fail: the linker puts the functions below in their place, the libraries keep theirs
 * (docs/reliability.md says what those do).
 *
 * wraps: malloc calloc realloc strdup
 * links: libteldag.a
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/control.h"
#include "tests/unit/ledger_feed.h"
#include "workers/entities.h"
#include "workers/pseudonym.h"
#include "workers/results.h"

/* --- the allocator ---------------------------------------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static struct {
    long fail_at; /* 0: none fails */
    bool go_on;   /* all that follow fail too */
    long calls;
    bool failed;
} memory;

static bool fails(void)
{
    if (!memory.fail_at)
        return false;
    memory.calls++;
    if (memory.calls != memory.fail_at && !(memory.go_on && memory.calls > memory.fail_at))
        return false;
    memory.failed = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

static void arm(long n, bool go_on)
{
    memory.fail_at = n;
    memory.go_on = go_on;
    memory.calls = 0;
    memory.failed = false;
}

static void disarm(void)
{
    memory.fail_at = 0;
}

/* One attempt: prepares, runs with memory failing between arm() and disarm(), checks, cleans up. */
typedef void (*attempt_fn)(long n, bool go_on);

/* Until nothing was left to fail. Says how many allocations there are; a scenario without any proves nothing. */
static void every_allocation(const char *name, attempt_fn attempt)
{
    long n = 0;
    for (int go_on = 0; go_on < 2; go_on++) {
        n = 0;
        do
            attempt(++n, go_on);
        while (memory.failed);
    }
    print_message("%s: each of %ld allocations failed\n", name, n - 1);
    assert_true(n > 1);
}

/* --- events ------------------------------------------------------------------------------------------------------ */

#define LINES_MAX 128
#define LINE_MAX  4096
static struct line {
    char bytes[LINE_MAX];
    size_t len;
} lines[LINES_MAX];
static size_t line_count;

/* The inputs of the fuzz target that have a name: lines of every type, and some that die. What the fuzzer found has a
 * number only. */
static int read_lines(void **state)
{
    (void)state;
    static const char folder[] = "tests/fuzz/corpus/event";
    struct dirent **names = NULL;
    int count = scandir(folder, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        FILE *file = names[i]->d_name[0] == '.' || !strpbrk(names[i]->d_name, "-.") || line_count == LINES_MAX
                         ? NULL
                         : fopen(path, "rb");
        if (file) {
            lines[line_count].len = fread(lines[line_count].bytes, 1, LINE_MAX, file);
            line_count++;
            fclose(file);
        }
        free(names[i]);
    }
    free(names);
    return line_count > 20 ? 0 : -1;
}

static struct event_decoder *new_decoder(void)
{
    return event_decoder_new(NULL, NULL, pseudonym_scrub);
}

static int decode_all(struct event_decoder *d, struct event_batch *b, size_t from, size_t until)
{
    int err = 0;
    for (size_t i = from; i < until && !err; i++)
        err = event_decode(d, b, lines[i % line_count].bytes, lines[i % line_count].len);
    return err;
}

/* A line for which the parser's own memory must grow. */
static int decode_long(struct event_decoder *d, struct event_batch *b)
{
    static char text[60000];
    memset(text, '[', sizeof text);
    return event_decode(d, b, text, sizeof text);
}

static bool same_batch(const struct event_batch *a, const struct event_batch *b)
{
    if (a->count != b->count || a->value_count != b->value_count || a->arena_len != b->arena_len)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->events[i].type != b->events[i].type || a->events[i].time_us != b->events[i].time_us ||
            a->events[i].nulls != b->events[i].nulls)
            return false;
    return memcmp(a->arena, b->arena, a->arena_len) == 0;
}

/* A line that found no memory leaves the batch as it was; the next attempt goes on with that line. */
static void attempt_decoding(long n, bool go_on)
{
    static struct event_batch *undisturbed;
    const size_t all = 8 * line_count;
    if (!undisturbed) {
        struct event_decoder *d = new_decoder();
        undisturbed = event_batch_new();
        assert_int_equal(decode_all(d, undisturbed, 0, all), 0);
        assert_int_equal(decode_long(d, undisturbed), 0);
        event_decoder_free(&d);
    }
    arm(n, go_on);
    struct event_decoder *d = new_decoder();
    struct event_batch *b = d ? event_batch_new() : NULL;
    int err = b ? decode_all(d, b, 0, all) : ERR_NOMEM;
    if (!err)
        err = decode_long(d, b);
    disarm();
    assert_int_equal(err, memory.failed ? ERR_NOMEM : 0);
    if (b) {
        assert_int_equal(decode_all(d, b, b->count, all), 0);
        if (b->count == all)
            assert_int_equal(decode_long(d, b), 0);
        assert_true(same_batch(b, undisturbed));
    }
    event_batch_free(&b);
    event_decoder_free(&d);
    if (!memory.failed && go_on)
        event_batch_free(&undisturbed);
}

/* The arena grows wherever it happens to be full: here at each byte of an event in turn. */
static void attempt_at_each_byte(const struct line *line)
{
    struct event_decoder *d = new_decoder();
    struct event_batch *b = event_batch_new();
    struct text padding;
    char room[4096] = "";
    assert_int_equal(event_decode(d, b, line->bytes, line->len), 0); /* other memory is there now */
    size_t used = b->arena_len;
    assert_true(used < sizeof room / 2);
    int err = ERR_NOMEM;
    for (size_t left = 0; err; left++) { /* what is scrubbed away in the end had its room, too */
        assert_true(left <= used + 2 * line->len);
        b->count = b->value_count = 0;
        b->arena_len = 0;
        assert_int_equal(batch_add_text(b, room, b->arena_capacity - left, &padding), 0);
        arm(1, true);
        err = event_decode(d, b, line->bytes, line->len);
        disarm();
        assert_true(err == ERR_NOMEM || (!err && left >= used));
        assert_int_equal(b->count, err ? 0 : 1);
        assert_int_equal(b->arena_len, b->arena_capacity - left + (err ? 0 : used));
    }
    event_batch_free(&b);
    event_decoder_free(&d);
}

static void decoding(void **state)
{
    (void)state;
    every_allocation("decoder", attempt_decoding);
    for (size_t i = 0; i < line_count; i++)
        attempt_at_each_byte(lines + i);
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

static const char config_text[] =
    "database = \"host=/run/postgresql\"; rules = \"/etc/rules\"; control = \"c.sock\";\n"
    "streams = ( { name = \"registration.0\"; subscribe = \"tcp://127.0.0.1:1\";\n"
    "  fetch = \"tcp://127.0.0.1:2\"; }, { name = \"school.0\"; subscribe = \"ipc:///x\";\n"
    "  reliability = \"best-effort\"; } );\n"
    "alerts = { publish = \"tcp://127.0.0.1:3\"; fetch = \"tcp://127.0.0.1:4\"; };\n";

static void attempt_config(long n, bool go_on)
{
    char error[300] = "";
    arm(n, go_on);
    struct config *c = config_parse("x.conf", config_text, error, sizeof error);
    disarm();
    assert_true(memory.failed ? c == NULL : c != NULL);
    if (!c)
        assert_non_null(strstr(error, "out of memory"));
    config_free(&c);
}

static void attempt_config_file(long n, bool go_on)
{
    char error[300] = "";
    arm(n, go_on);
    struct config *c = config_load("tests/conf/good-minimal.conf", error, sizeof error);
    disarm();
    assert_true(memory.failed ? c == NULL : c != NULL);
    if (!c)
        assert_non_null(strstr(error, "out of memory"));
    config_free(&c);
}

static void configuration(void **state)
{
    (void)state;
    every_allocation("configuration", attempt_config);
    every_allocation("configuration file", attempt_config_file);
}

/* --- rules --------------------------------------------------------------------------------------------------------- */

static struct rules_set
    *rules; /* a folder with one of the shipped files: each allocation costs a whole reading */
static char rules_folder[] = "/tmp/test_oom_XXXXXX", rules_path[64];

static void attempt_rules(long n, bool go_on)
{
    char error[300] = "";
    arm(n, go_on);
    struct rules_set *set = rules_load(rules_folder, (struct rules_near){3, 1}, error, sizeof error);
    disarm();
    assert_true(memory.failed ? set == NULL : set != NULL);
    if (!set)
        assert_non_null(strstr(error, "out of memory"));
    else
        assert_string_equal(rules_hash(set), rules_hash(rules));
    rules_free(&set);
}

static void attempt_stored_rules(long n, bool go_on)
{
    struct parameter rows[RULES_SPEC_COUNT];
    char error[300] = "";
    size_t count = rules_count(rules);
    assert_int_equal(count, RULES_SPEC_COUNT);
    for (size_t i = 0; i < count; i++)
        rows[i] = *rules_parameter(rules, i);
    arm(n, go_on);
    struct rules_set *set = rules_from_parameters(rows, count, rules_near(rules), error, sizeof error);
    disarm();
    assert_true(memory.failed ? set == NULL : set != NULL);
    if (!set)
        assert_non_null(strstr(error, "out of memory"));
    rules_free(&set);
}

static int load_rules(void **state)
{
    char error[300] = "";
    char target[4096], here[3072];
    if (!mkdtemp(rules_folder) || !getcwd(here, sizeof here))
        return -1;
    snprintf(rules_path, sizeof rules_path, "%s/2024-2025.conf", rules_folder);
    snprintf(target, sizeof target, "%s/conf/rules/2024-2025.conf", here);
    if (symlink(target, rules_path) != 0)
        return -1;
    rules = rules_load(rules_folder, (struct rules_near){3, 1}, error, sizeof error);
    return rules ? read_lines(state) : -1;
}

static int free_rules(void **state)
{
    (void)state;
    rules_free(&rules);
    return unlink(rules_path) || rmdir(rules_folder);
}

static void rules_files(void **state)
{
    (void)state;
    every_allocation("rules files", attempt_rules);
    every_allocation("stored rules", attempt_stored_rules);
}

/* --- the ledger ----------------------------------------------------------------------------------------------------- */

#define STREAM_REGISTRATION 1
#define STREAM_OTHER        2

static int add_streams(struct ledger *l)
{
    int err = ledger_add_stream(l, STREAM_REGISTRATION, "registration.0");
    return err ? err : ledger_add_stream(l, STREAM_OTHER, "melding.0");
}

static int upsert(struct ledger *l, uint64_t epoch, int64_t time_us, uint32_t school, int year,
                  unsigned pupil)
{
    struct one o;
    one_upsert(&o, STREAM_REGISTRATION, epoch, time_us,
               &(struct registration){.school = school,
                                      .year = year,
                                      .pupil = pupil,
                                      .group = pupil % GROUP_COUNT,
                                      .indicators = pupil % 64});
    return one_apply(l, &o);
}

/* What stands before the batch: a few schools and pupils. */
static int apply_first(struct ledger *l)
{
    struct one o;
    int err = add_streams(l);
    for (unsigned i = 0; i < 40 && !err; i++)
        err = upsert(l, 1, i, 100 + i % 3, 2023 + (int)i % 2, i);
    for (unsigned i = 0; i < 3 && !err; i++) {
        one_school(&o, STREAM_OTHER, 1, 100 + i, i ? LEVEL_SO : LEVEL_BAO, 0, 0);
        err = one_apply(l, &o);
    }
    return err;
}

/* Pupils with a control each who get another pseudonym, and then another one: all of them are found anew. */
static int apply_links(struct ledger *l)
{
    int err = 0;
    struct one o;
    for (unsigned i = 0; i < 60 && !err; i++) {
        one_init(&o, STREAM_OTHER, 1, 1, EVENT_CONTROLE);
        o.values[CON_ID].text = (struct text){0, (uint32_t)snprintf(o.text, sizeof o.text, "c%u", i)};
        o.event.nulls &= ~(1u << CON_ID);
        one_num(&o, CON_PUPIL, 0);
        pupil_bytes(i, o.values[CON_PUPIL].pupil);
        one_num(&o, CON_YEAR, 2024);
        one_num(&o, CON_LEVEL, 0);
        one_num(&o, CON_DATE, 20000);
        one_num(&o, CON_ORDINAL, 1);
        one_num(&o, CON_VERDICT, CONTROLE_ONVOLDOENDE);
        err = one_apply(l, &o);
    }
    for (unsigned i = 0; i < 120 && !err; i++) {
        one_init(&o, STREAM_OTHER, 1, i, EVENT_PUPIL_LINK);
        one_num(&o, LINK_OLD, 0);
        one_num(&o, LINK_NEW, 0);
        pupil_bytes(i % 60, o.values[LINK_OLD].pupil);
        pupil_bytes(1000 + i, o.values[LINK_NEW].pupil);
        err = one_apply(l, &o);
    }
    return err;
}

/* Everything a batch may hold: what is there changes, and so much is new that every array and table grows. */
static int apply_batch(struct ledger *l, const struct event_batch *others)
{
    struct one o;
    int err = ledger_accept_epoch(l, STREAM_REGISTRATION, 2, true);
    for (unsigned i = 0; i < 1200 && !err; i++)
        err = upsert(l, 2, 100 + i, 100 + i % 40, 2020 + (int)i % 4, i);
    for (unsigned i = 0; i < 10 && !err; i++) {
        one_withdraw(&o, STREAM_REGISTRATION, 2, 5000, 100 + i % 40, 2020 + (int)i % 4, i);
        err = one_apply(l, &o);
    }
    for (unsigned i = 0; i < 60 && !err; i++) {
        one_school(&o, STREAM_OTHER, 10 + i, 100 + i % 50, i % 2 ? LEVEL_SO : LEVEL_BUSO, i % 7 ? 0 : 19000,
                   i % 5 ? 0 : 101 + i);
        err = one_apply(l, &o);
    }
    for (unsigned i = 0; i < 50 && !err; i++) {
        one_entitlement(&o, STREAM_OTHER, 10, 100 + i, STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1, 2022,
                        STATUS_GRANTED);
        err = one_apply(l, &o);
    }
    for (unsigned i = 0; i < 40 && !err; i++) {
        one_closed(&o, STREAM_REGISTRATION, 2, 100 + i, 2020, (int)i);
        err = one_apply(l, &o);
    }
    for (uint32_t i = 0; i < others->count && !err; i++)
        err = ledger_apply(l, others, others->events + i);
    return err ? err : apply_links(l);
}

static struct event_batch *others;
static uint64_t digest_first, digest_after;

static struct ledger *first_ledger(void)
{
    struct ledger *l = ledger_new();
    assert_non_null(l);
    assert_int_equal(apply_first(l), 0);
    assert_int_equal(ledger_set_rules(l, rules), 0);
    ledger_commit(l);
    return l;
}

static int decode_others(void **state)
{
    struct event_decoder *d = new_decoder();
    (void)state;
    others = event_batch_new();
    others->stream_id = STREAM_OTHER;
    others->epoch = 1;
    assert_int_equal(decode_all(d, others, 0, line_count), 0);
    event_decoder_free(&d);
    struct ledger *l = first_ledger();
    digest_first = ledger_digest(l);
    ledger_begin(l);
    assert_int_equal(apply_batch(l, others), 0);
    ledger_commit(l);
    digest_after = ledger_digest(l);
    assert_true(digest_first != digest_after);
    ledger_free(&l);
    return 0;
}

static int free_others(void **state)
{
    (void)state;
    event_batch_free(&others);
    return 0;
}

/* After a failed batch the ledger is what it was before, and takes the whole batch when there is memory again. */
static void attempt_batch(long n, bool go_on)
{
    struct ledger *l = first_ledger();
    struct ledger_numbers before = ledger_numbers(l), after;
    ledger_begin(l);
    arm(n, go_on);
    int err = apply_batch(l, others);
    if (err)
        ledger_rollback(l); /* with no more memory than before */
    disarm();
    assert_int_equal(err, memory.failed ? ERR_NOMEM : 0);
    if (err) {
        after = ledger_numbers(l);
        assert_true(ledger_digest(l) == digest_first);
        assert_true(before.live == after.live && before.unmatched == after.unmatched &&
                    before.schools == after.schools && before.counts == after.counts);
        ledger_begin(l);
        assert_int_equal(apply_batch(l, others), 0);
    }
    ledger_commit(l);
    assert_true(ledger_digest(l) == digest_after);
    ledger_free(&l);
}

/* One event as a whole batch, on a ledger that knows what it speaks of: in a long batch most of them find room that others
 * made, here each makes its own. */
enum {
    SINGLE_CHANGED,
    SINGLE_NEW,
    SINGLE_WITHDRAWN,
    SINGLE_SCHOOL,
    SINGLE_ENTITLEMENT,
    SINGLE_CLOSED,
    SINGLE_EPOCH,
    SINGLE_OTHER
};
static uint32_t single;

static int apply_single(struct ledger *l)
{
    struct one o;
    switch (single) {
    case SINGLE_CHANGED:
        return upsert(l, 2, 90000, 101, 2021, 1);
    case SINGLE_NEW:
        return upsert(l, 2, 90000, 7777, 2031, 77777);
    case SINGLE_WITHDRAWN:
        one_withdraw(&o, STREAM_REGISTRATION, 2, 90000, 125, 2021, 25);
        return one_apply(l, &o);
    case SINGLE_SCHOOL:
        one_school(&o, STREAM_OTHER, 90000, 7777, LEVEL_SO, 0, 8888);
        return one_apply(l, &o);
    case SINGLE_ENTITLEMENT:
        one_entitlement(&o, STREAM_OTHER, 90000, 7777, STAFFING_GOK_UREN_LERAAR, GROUP_GRAAD1, 2023,
                        STATUS_GRACE);
        return one_apply(l, &o);
    case SINGLE_CLOSED:
        one_closed(&o, STREAM_REGISTRATION, 2, 7777, 2021, 5);
        return one_apply(l, &o);
    case SINGLE_EPOCH:
        return ledger_accept_epoch(l, STREAM_REGISTRATION, 3, true);
    }
    struct event event = others->events[single - SINGLE_OTHER];
    event.time_us += 1000000; /* later than the same event before it */
    return ledger_apply(l, others, &event);
}

static void attempt_single(long n, bool go_on)
{
    struct ledger *l = first_ledger();
    assert_int_equal(apply_batch(l, others), 0);
    ledger_commit(l);
    uint64_t before = ledger_digest(l);
    ledger_begin(l);
    arm(n, go_on);
    int err = apply_single(l);
    bool failed = memory.failed;
    ledger_rollback(l); /* with no more memory than before */
    disarm();
    assert_int_equal(err, failed ? ERR_NOMEM : 0);
    assert_true(failed == memory.failed);
    assert_true(ledger_digest(l) == before);
    ledger_begin(l);
    assert_int_equal(apply_single(l), 0);
    ledger_rollback(l);
    assert_true(ledger_digest(l) == before);
    ledger_free(&l);
}

static int apply_retained(struct ledger *l)
{
    struct group_cells cells = {.halves = {[3] = 40}};
    int err = 0;
    for (uint32_t i = 0; i < 600 && !err; i++)
        err = ledger_retain_cells(l, 20000 + i, 2001, GROUP_LAGER, &cells);
    for (uint32_t i = 0; i < 600 && !err; i++)
        err = ledger_retain_closed(l, 30000 + i, 2001, true, 20, 20);
    return err;
}

/* A rebuild: no batch, nothing to undo; an error throws the ledger away. */
static void attempt_rebuild(long n, bool go_on)
{
    arm(n, go_on);
    struct ledger *l = ledger_new();
    int err = l ? apply_first(l) : ERR_NOMEM;
    if (!err)
        err = apply_batch(l, others);
    if (!err)
        err = apply_retained(l);
    if (!err)
        err = ledger_set_rules(l, rules);
    disarm();
    assert_int_equal(err, memory.failed ? ERR_NOMEM : 0);
    ledger_free(&l);
}

static void ledger(void **state)
{
    (void)state;
    every_allocation("ledger, a batch", attempt_batch);
    every_allocation("ledger, a rebuild", attempt_rebuild);
}

static void ledger_event_by_event(void **state)
{
    long all = 0, most = 0;
    (void)state;
    for (single = 0; single < SINGLE_OTHER + others->count; single++)
        for (int go_on = 0; go_on < 2; go_on++) {
            long n = 0;
            do
                attempt_single(++n, go_on);
            while (memory.failed);
            assert_true(n > 1 ||
                        (single >= SINGLE_OTHER && others->events[single - SINGLE_OTHER].type == EVENT_DEAD));
            all += n - 1;
            most = n > most ? n : most;
        }
    print_message("%u kinds of batches of one event, %ld failures, at most %ld in one\n", single, all,
                  most - 1);
}

/* --- results: what the ledger shows ---------------------------------------------------------------------------------- */

struct shown {
    size_t counts, closed, allocations, risks, alerts;
};

static int show_all(struct results *r, struct ledger *l, struct changes *c)
{
    struct ledger_key *keys = NULL;
    struct subject *subjects = NULL;
    size_t key_count = 0, subject_count = 0;
    int err = results_keys(r, l, &keys, &key_count);
    if (!err)
        err = results_diff(r, l, keys, key_count, c);
    if (!err)
        err = results_subjects(r, l, &subjects, &subject_count);
    if (!err)
        err = results_diff_subjects(r, l, 20123, subjects, subject_count, c);
    free(keys);
    free(subjects);
    return err;
}

static struct shown count_changes(const struct changes *c)
{
    return (struct shown){c->count_count, c->closed_count, c->allocation_count, c->risk_count,
                          c->alert_count};
}

static struct shown show_undisturbed(struct ledger *l)
{
    struct results *r = results_new();
    struct changes c;
    changes_init(&c);
    assert_int_equal(show_all(r, l, &c), 0);
    struct shown all = count_changes(&c);
    changes_fini(&c);
    results_free(&r);
    return all;
}

/* What a failed diff left can be dropped; the next one is whole, and nothing is left to show after it was taken over. */
static void attempt_results(long n, bool go_on)
{
    struct ledger *l = first_ledger();
    struct changes c;
    ledger_begin(l);
    assert_int_equal(apply_batch(l, others), 0);
    struct shown wanted = show_undisturbed(l), got;
    changes_init(&c);
    arm(n, go_on);
    struct results *r = results_new();
    int err = r ? show_all(r, l, &c) : ERR_NOMEM;
    disarm();
    assert_int_equal(err, memory.failed ? ERR_NOMEM : 0);
    if (err) {
        changes_fini(&c);
        changes_init(&c);
        if (!r)
            r = results_new();
        assert_int_equal(show_all(r, l, &c), 0);
    }
    got = count_changes(&c);
    assert_memory_equal(&got, &wanted, sizeof got);
    results_fold(r, &c);
    ledger_commit(l);
    changes_fini(&c);
    changes_init(&c);
    assert_int_equal(show_all(r, l, &c), 0);
    got = count_changes(&c);
    assert_memory_equal(&got, &(struct shown){0}, sizeof got);
    changes_fini(&c);
    results_free(&r);
    ledger_free(&l);
}

static void results_of_a_batch(void **state)
{
    (void)state;
    every_allocation("results", attempt_results);
}

/* --- the control socket ------------------------------------------------------------------------------------------------ */

static void run_long(void *context, const struct json_value *request, struct json_writer *answer)
{
    (void)context;
    (void)request;
    for (int i = 0; i < 100; i++)
        json_write_string(answer, "text",
                          "some text that makes the answer long enough to grow more than once");
}

static void attempt_answer(long n, bool go_on)
{
    static const struct control_command commands[] = {{"long", run_long, false}, {NULL, NULL, false}};
    static const char request[] = "{\"command\": \"long\"}";
    const struct ucred peer = {0};
    arm(n, go_on);
    char *answer = control_answer(commands, NULL, &peer, request, sizeof request - 1);
    disarm();
    assert_true(memory.failed ? answer == NULL : answer != NULL);
    free(answer);
}

static void control(void **state)
{
    (void)state;
    every_allocation("control answer", attempt_answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding),
        cmocka_unit_test(configuration),
        cmocka_unit_test(rules_files),
        cmocka_unit_test_setup_teardown(ledger, decode_others, free_others),
        cmocka_unit_test_setup_teardown(ledger_event_by_event, decode_others, free_others),
        cmocka_unit_test_setup_teardown(results_of_a_batch, decode_others, free_others),
        cmocka_unit_test(control),
    };
    return cmocka_run_group_tests(tests, load_rules, free_rules);
}
