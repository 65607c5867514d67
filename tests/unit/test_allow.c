/* SPDX-License-Identifier: MIT
 *
 * links: daemon/allow.o daemon/config_text.o daemon/config_tree.o daemon/secret_file.o daemon/wire.o daemon/curve_keys.o daemon/err.o daemon/clock.o daemon/log.o
 * links: daemon/bus.o daemon/bus_gate.o daemon/bus_guard.o daemon/bus_curve.o
 *
 * The allow-list as a text and as answers, and the files of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/allow.h"
#include "daemon/curve_keys.h"

#define A "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define B "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define C "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"

static char path[] = "/tmp/teldag-allow-XXXXXX", error[512];

static bool known(const char *pattern)
{
    return strcmp(pattern, "threshold.*") == 0 || strcmp(pattern, "count.incomplete") == 0;
}

static struct allow *load(const char *text)
{
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
    return allow_load(path, known, error, sizeof error);
}

static void test_reads(void **state)
{
    (void)state;
    struct allow *list = load(
        "// who may come\nkeys = (\n"
        "  { name = \"inspectie\"; key = \"" A "\"; streams = (\"alert.0\"); kinds = (\"threshold.*\"); },\n"
        "  { name = \"daemon\"; key = \"" B "\"; streams = [\"registration.*\", \"school.0\"]; } );\n");
    if (!list)
        print_error("%s\n", error);
    assert_non_null(list);
    assert_int_equal(allow_count(list), 2);
    assert_string_equal(allow_name(list, A), "inspectie");
    assert_null(allow_name(list, C));
    assert_int_equal(allow_stream(list, A, "alert.0"), ALLOW_PART);
    assert_int_equal(allow_stream(list, A, "alert.1"), ALLOW_NOTHING);
    assert_int_equal(allow_stream(list, A, "alert.01"), ALLOW_NOTHING);
    assert_int_equal(allow_stream(list, B, "registration.17"), ALLOW_WHOLE);
    assert_int_equal(allow_stream(list, B, "registrations.1"), ALLOW_NOTHING);
    assert_int_equal(allow_stream(list, B, "school.1"), ALLOW_NOTHING);
    assert_int_equal(allow_stream(list, C, "school.0"), ALLOW_NOTHING);
    assert_int_equal(allow_stream(list, "", "school.0"), ALLOW_NOTHING);
    assert_int_equal(allow_stream(list, NULL, "school.0"), ALLOW_NOTHING);
    assert_int_equal(allow_stream(NULL, A, "alert.0"), ALLOW_NOTHING);
    allow_free(&list);
}

static void expect_topic(const struct allow *list, const char *key, const char *stream, const char *prefix,
                         bool wanted)
{
    if (allow_topic(list, key, stream, prefix, strlen(prefix)) != wanted)
        fail_msg("%s of %s: not %d", prefix, stream, wanted);
}

static void test_topics(void **state)
{
    (void)state;
    struct allow *list =
        load("keys = ( { name = \"some\"; key = \"" A
             "\"; streams = (\"alert.0\"); kinds = (\"threshold.*\", \"count.incomplete\"); },"
             " { name = \"all\"; key = \"" B "\"; streams = (\"alert.0\"); } );");
    static const char *const allowed[] = {"alert.0/threshold.", "alert.0/threshold.n",
                                          "alert.0/threshold.near/7", "alert.0/count.incomplete/",
                                          "alert.0/count.incomplete/12"};
    static const char *const refused[] = {"",
                                          "a",
                                          "alert.0",
                                          "alert.0/",
                                          "alert.0/t",
                                          "alert.0/threshold",
                                          "alert.0/thresholds.",
                                          "alert.0/count.incomplete",
                                          "alert.0/count.incomplete_too/",
                                          "alert.0/count.",
                                          "alert.1/threshold.",
                                          "alert.00/threshold.",
                                          "alert.0.threshold."};
    assert_non_null(list);
    for (size_t i = 0; i < 5; i++)
        expect_topic(list, A, "alert.0", allowed[i], true);
    for (size_t i = 0; i < 13; i++)
        expect_topic(list, A, "alert.0", refused[i], false);
    for (size_t i = 0; i < 5; i++)
        expect_topic(list, B, "alert.0", allowed[i], true);
    for (size_t i = 0; i < 4; i++) /* all that it can match is its own stream */
        expect_topic(list, B, "alert.0", refused[i], true);
    expect_topic(list, B, "alert.0", "alert.00", false);
    expect_topic(list, B, "alert.0", "b", false);
    expect_topic(list, C, "alert.0", "alert.0/threshold.", false);
    allow_free(&list);
}

static void test_rights_compared(void **state)
{
    (void)state;
    struct allow *a = load("keys = ( { name = \"x\"; key = \"" A
                           "\"; streams = (\"alert.0\"); kinds = (\"threshold.*\"); } );");
    struct allow *b = load("keys = ( { name = \"y\"; key = \"" A
                           "\"; streams = (\"alert.*\"); kinds = (\"threshold.*\"); } );");
    struct allow *c = load("keys = ( { name = \"x\"; key = \"" A
                           "\"; streams = (\"alert.0\"); kinds = (\"count.incomplete\"); } );");

    assert_true(allow_same_rights(a, b, A, "alert.0"));
    assert_false(allow_same_rights(a, b, A, "alert.1"));
    assert_false(allow_same_rights(a, c, A, "alert.0"));
    assert_false(allow_same_rights(a, NULL, A, "alert.0"));
    assert_true(allow_same_rights(a, c, B, "alert.0"));
    allow_free(&a);
    allow_free(&b);
    allow_free(&c);
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", ": keys: a list is wanted"},
        {"keys = 3;", ":1: keys: a list is wanted"},
        {"key = ();", ":1: key: unknown key; did you mean keys?"},
        {"keys = ( 1 );", ":1: keys.[0]: an integer, but a group"},
        {"keys = (\n{ nam = \"x\"; } );", ":2: keys.[0].nam: unknown key; did you mean name?"},
        {"keys = (\n{ name = 1; } );", ":2: keys.[0].name: an integer, but a string"},
        {"keys = ( { name = \"\"; } );", ":1: keys.[0].name: a name has"},
        {"keys = ( { name = \"x\"; } );", ":1: keys.[0].key: missing"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; } );", ":1: keys.[0].streams: missing"},
        {"keys = ( { name = \"x\"; key = \"short\"; } );", ":1: keys.[0].key: not a public key"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = \"alert.0\"; } );",
         "streams: a string, but a list"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = (); } );", "streams: 1 to 64 are wanted"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = (\"*\"); } );", "\"*\" is no stream"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = (\"Alert.0\"); } );",
         "\"Alert.0\" is no stream"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = (\"alert.0\", 1); } );",
         "streams.[1]: an integer"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = (\"alert.0\"); kinds = (\"treshold.*\"); } );",
         "no kind of alert"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = (\"alert.0\"); kinds = (\"*\"); } );",
         "no kind of alert"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = (\"alert.0\"); },\n{ name = \"x\"; key = \"" B
         "\"; streams = (\"alert.0\"); } );",
         ":2: the name x is listed twice"},
        {"keys = ( { name = \"x\"; key = \"" A "\"; streams = (\"alert.0\"); },\n{ name = \"y\"; key = \"" A
         "\"; streams = (\"alert.0\"); } );",
         ":2: y has the key of x"},
        {"@include \"other\"\nkeys = ();", ":1: @include is not supported"},
        {"keys = (", "syntax error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct allow *list = load(cases[i].text);
        if (list || !strstr(error, cases[i].says) || strncmp(error, path, strlen(path)) != 0)
            fail_msg("%s -> %s, not \"%s\"", cases[i].text, list ? "taken" : error, cases[i].says);
        assert_null(strstr(error, A));
    }
}

static void test_file_others_may_change(void **state)
{
    (void)state;
    struct allow *list = load("keys = ();");
    assert_non_null(list);
    allow_free(&list);
    chmod(path, 0664);
    assert_null(allow_load(path, known, error, sizeof error));
    assert_non_null(strstr(error, "others may change it (mode 0664)"));
    chmod(path, 0600);
    assert_null(allow_load("/nonexistent/list", known, error, sizeof error));
}

static void expect_refused(const char *name, const char *says)
{
    struct allow *list = allow_load(name, known, error, sizeof error);
    if (list || !strstr(error, says))
        fail_msg("%s: %s, not \"%s\"", name, list ? "taken" : error, says);
}

/* What is no file of ours: another's, a link to one that is, a pipe, a folder. */
static void test_file_of_somebody_else(void **state)
{
    (void)state;
    char link[300];
    struct allow *list = load("keys = ();");
    assert_non_null(list);
    allow_free(&list);
    snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(symlink(path, link), 0);
    expect_refused(link, "a symbolic link; name the file itself");
    unlink(link);
    assert_int_equal(mkfifo(link, 0600), 0);
    expect_refused(link, "not a regular file"); /* and does not wait for a writer */
    unlink(link);
    expect_refused("/tmp", "not a regular file");
    if (geteuid() != 0)
        skip(); /* only root can give files away */
    assert_int_equal(chown(path, 4242, 4242), 0);
    expect_refused(path, "belongs to user 4242, who could change it; run: chown 0 ");
    assert_int_equal(chown(path, 0, 0), 0);
}

static void write_text(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(name, "w");
    fputs(text, file);
    fclose(file);
    chmod(name, mode);
}

static void test_key_files(void **state)
{
    (void)state;
    char secret[300], other[300], folder[300], deeper[300], climbing[700], public_key[CURVE_KEY_TEXT],
        again[CURVE_KEY_TEXT];
    struct stat info;
    struct curve_keys *keys;

    snprintf(secret, sizeof secret, "%s.secret", path);
    snprintf(other, sizeof other, "%s.secret.pub", path);
    snprintf(deeper, sizeof deeper, "%s.deeper", path);
    assert_int_equal(curve_keys_generate(secret, public_key, error, sizeof error), 0);
    assert_int_equal(stat(secret, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(curve_public_load(other, again, error, sizeof error), 0);
    assert_string_equal(again, public_key);
    assert_int_equal(curve_public_load(public_key, again, error, sizeof error), 0);
    assert_string_equal(again, public_key);
    assert_int_equal(curve_keys_generate(secret, again, error, sizeof error),
                     EX_USAGE); /* never overwritten */
    keys = curve_keys_load(secret, error, sizeof error);
    assert_non_null(keys);
    assert_string_equal(keys->public_key, public_key);
    assert_string_not_equal(keys->secret_key, public_key);
    curve_keys_free(&keys);
    chmod(secret, 0640);
    assert_null(curve_keys_load(secret, error, sizeof error));
    assert_non_null(strstr(error, "others may read it (mode 0640)"));
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(secret, '/') - secret), secret);
    if (geteuid() == 0) { /* a credential of root's may show the service's group */
        setenv("CREDENTIALS_DIRECTORY", folder, 1);
        keys = curve_keys_load(secret, error, sizeof error);
        assert_non_null(keys);
        curve_keys_free(&keys);
    }
    assert_int_equal(mkdir(deeper, 0700), 0);
    setenv("CREDENTIALS_DIRECTORY", deeper, 1); /* and not a file beside them, reached through them */
    snprintf(climbing, sizeof climbing, "%s/../%s", deeper, strrchr(secret, '/') + 1);
    assert_null(curve_keys_load(climbing, error, sizeof error));
    assert_non_null(strstr(error, "others may read it (mode 0640)"));
    rmdir(deeper);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    chmod(secret, 0644);
    assert_null(curve_keys_load(secret, error, sizeof error));
    unsetenv("CREDENTIALS_DIRECTORY");
    chmod(secret, 0600);
    assert_int_equal(symlink(secret, deeper), 0);
    assert_null(curve_keys_load(deeper, error, sizeof error));
    assert_non_null(strstr(error, "a symbolic link"));
    unlink(deeper);
    write_text(secret, A "x\n", 0600);
    assert_null(curve_keys_load(secret, error, sizeof error));
    assert_null(strstr(error, A));
    write_text(secret, "", 0600);
    assert_null(curve_keys_load(secret, error, sizeof error));
    assert_int_not_equal(curve_public_load("not-a-key-and-not-a-path", again, error, sizeof error), 0);
    assert_null(strstr(error, "not-a-key"));
    assert_null(curve_keys_load("/nonexistent/secret", error, sizeof error));
    unlink(secret);
    unlink(other);
}

static int set_up(void **state)
{
    int fd = mkstemp(path);
    (void)state;
    close(fd);
    return fd < 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_rights_compared),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_file_others_may_change),
        cmocka_unit_test(test_file_of_somebody_else),
        cmocka_unit_test(test_key_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
