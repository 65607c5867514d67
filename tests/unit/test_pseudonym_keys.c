/* SPDX-License-Identifier: MIT
 *
 * The key file: who may read it, each of its errors with file and line, and the adding of a school year.
 * links: workers/pseudonym_keys.o workers/pseudonym.o workers/event_value.o
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <cmocka.h>

#include "workers/pseudonym.h"
#include "workers/pseudonym_keys.h"

#define A "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
#define B "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"
#define C "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff01"
#define Z "0000000000000000000000000000000000000000000000000000000000000000"

static char folder[64], path[80], error[400];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_pseudonym_keys.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/keys", folder);
    return 0;
}

static int drop_folder(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void write_file(const char *text, mode_t mode)
{
    unlink(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void refused(const char *expected)
{
    char text[500];
    error[0] = '\0';
    assert_null(pseudonym_keys_load(path, error, sizeof error));
    snprintf(text, sizeof text, "%s%s", path, expected);
    if (strncmp(error, text, strlen(text)) != 0)
        fail_msg("\"%s\"\nnot\n\"%s\"", error, text);
    if (strstr(error, "0001020304") || strstr(error, "1f1e1d"))
        fail_msg("shows a key: %s", error);
}

static struct pseudonym_keys *loaded(void)
{
    struct pseudonym_keys *keys = pseudonym_keys_load(path, error, sizeof error);
    if (!keys)
        fail_msg("%s", error);
    return keys;
}

static void years_have_their_keys(void **state)
{
    uint8_t first[16], second[16];
    uint32_t id, other;
    (void)state;
    write_file("# keys of pupils\n\n2024-2025 " A "\r\n  \n2023-2024\t \t" B " \n2099-2100 " C, 0600);
    struct pseudonym_keys *keys = loaded();
    assert_int_equal(pseudonym_of_rrn(keys, 2024, "85073003328", first, &id), 0);
    assert_int_equal(first[0], 0x94); /* as in test_pseudonym.c */
    /* Python: hashlib.blake2b(b"teldag pupil key id", key=bytes(range(32)), digest_size=16).digest()[:4] */
    assert_int_equal(id, 0x0857f176);
    assert_int_equal(pseudonym_of_rrn(keys, 2023, "85073003328", second, &other), 0);
    assert_memory_not_equal(first, second, 16);
    assert_int_not_equal(id, other);
    assert_int_equal(pseudonym_of_rrn(keys, 2025, "85073003328", second, &other), ERR_MISSING);
    assert_int_equal(pseudonym_of_rrn(keys, 1989, "85073003328", second, &other), ERR_MISSING);
    assert_int_equal(pseudonym_of_rrn(keys, 2100, "85073003328", second, &other), ERR_MISSING);
    assert_int_equal(pseudonym_of_rrn(keys, 2099, "85073003328", second, &other), 0);
    assert_int_equal(pseudonym_of_rrn(keys, 2024, "85073003329", second, &other), ERR_INVALID);
    assert_true(pseudonym_keys_id(keys, 2024, &other));
    assert_int_equal(other, id);
    assert_false(pseudonym_keys_id(keys, 1990, &other));
    assert_false(pseudonym_keys_id(NULL, 2024, &other));
    pseudonym_keys_free(&keys);
    pseudonym_keys_free(&keys); /* NULL: nothing */
}

static void wrong_texts(void **state)
{
    static const struct {
        const char *text, *expected;
    } wrong[] = {
        {"", ": no key in it; make one with: teldag-feed pseudonym-key"},
        {"# 2024-2025 " A "\n", ": no key in it"},
        {A "\n", ":1: a key without school year; write the school year it belongs to before it"},
        {"\n#\n2024-2025\n", ":3: a key is 64 hex digits, this has 0 characters"},
        {"2024-2025 0001020304\n", ":1: a key is 64 hex digits, this has 10 characters"},
        {"2024-2025 " A "0\n", ":1: a key is 64 hex digits, this has 65 characters"},
        {"2024-2025 " A " " B "\n", ":1: a key is 64 hex digits, this has 129 characters"},
        {"2024-2025 g00102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n",
         ":1: a key is 64 hex digits; make one with: teldag-feed pseudonym-key --year 2024-2025 --out FILE"},
        {"2024-2025 0g0102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n",
         ":1: a key is 64 hex"},
        {"2024-2025:" A "\n", ":1: must be a school year and its key: 2024-2025 <64 hex digits>"},
        {"2024-2026 " A "\n", ":1: must be a school year and its key"},
        {"1989-1990 " A "\n", ":1: must be a school year and its key"},
        {" 2024-2025 " A "\n", ":1: must be a school year and its key"},
        {"2024\n", ":1: must be a school year and its key"},
        {"2024-2025 " A "\n2024-2025 " B "\n", ":2: school year 2024-2025 again (first in line 1)"},
        {"2024-2025 " A "\n2025-2026 " A "\n", ":2: the key of line 1 again; each school year has its own"},
        {"2024-2025 " Z "\n", ":1: a key of nothing but zeros is no key"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_file(wrong[i].text, 0600);
        refused(wrong[i].expected);
    }
    char *much = malloc(40000);
    memset(much, '\n', 39999);
    much[39999] = '\0';
    write_file(much, 0600);
    refused(": longer than 32768 bytes");
    free(much);
}

static void wrong_rights(void **state)
{
    char link[90], expected[200];
    static const unsigned modes[] = {0604, 0640, 0620, 0602, 0610, 0601, 0700, 04600, 01600};
    (void)state;
    refused(": No such file or directory");
    write_file("2024-2025 " A "\n", 0600);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        snprintf(expected, sizeof expected, ": others may use it (mode %04o); run: chmod 600 %s", modes[i],
                 path);
        refused(expected);
    }
    assert_int_equal(chmod(path, 0400), 0);
    struct pseudonym_keys *keys = loaded();
    pseudonym_keys_free(&keys);
    snprintf(link, sizeof link, "%s/real", folder);
    assert_int_equal(rename(path, link), 0);
    assert_int_equal(symlink(link, path), 0);
    refused(": a symbolic link; name the file itself");
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    refused(": not a regular file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(": not a regular file"); /* and does not wait for a writer */
}

static void wrong_owner(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can give files away */
    write_file("2024-2025 " A "\n", 0600);
    assert_int_equal(chown(path, 4242, 4242), 0);
    refused(": belongs to user 4242, who could change the keys; run: chown 0 ");
    assert_int_equal(chown(path, 0, 0), 0);
    struct pseudonym_keys *keys = loaded();
    pseudonym_keys_free(&keys);
}

/* What the service manager gives: root's, with an access list whose mask shows as the group's right. */
static void credentials(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    write_file("2024-2025 " A "\n", 0440);
    refused(": others may use it (mode 0440)");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    struct pseudonym_keys *keys = loaded();
    pseudonym_keys_free(&keys);
    assert_int_equal(chmod(path, 0444), 0);
    refused(": others may use it (mode 0444)");
    assert_int_equal(chmod(path, 0440), 0);
    assert_int_equal(chown(path, 4242, 4242), 0);
    refused(": belongs to user 4242");
    assert_int_equal(chown(path, 0, 0), 0);
    setenv("CREDENTIALS_DIRECTORY", "/tmp", 1); /* further up: not the place itself */
    refused(": others may use it (mode 0440)");
    setenv("CREDENTIALS_DIRECTORY", "/var", 1);
    refused(": others may use it (mode 0440)");
    setenv("CREDENTIALS_DIRECTORY", "", 1);
    refused(": others may use it (mode 0440)");
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void adding_years(void **state)
{
    uint8_t before[16], after[16];
    uint32_t first, second, id;
    struct stat st;
    char text[1000] = "", other[100];
    (void)state;
    assert_int_equal(pseudonym_keys_add(path, 2024, &first, error, sizeof error), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    struct pseudonym_keys *keys = loaded();
    assert_int_equal(pseudonym_of_rrn(keys, 2024, "85073003328", before, &id), 0);
    assert_int_equal(id, first);
    pseudonym_keys_free(&keys);

    assert_int_equal(pseudonym_keys_add(path, 2024, &id, error, sizeof error), EX_DATAERR);
    assert_non_null(strstr(error, "has a key of 2024-2025 already"));
    FILE *f = fopen(path, "a");
    fputs("# a remark without a newline", f);
    fclose(f);
    assert_int_equal(pseudonym_keys_add(path, 2025, &second, error, sizeof error), 0);
    assert_int_not_equal(first, second);
    keys = loaded();
    assert_int_equal(pseudonym_of_rrn(keys, 2024, "85073003328", after, &id), 0);
    assert_memory_equal(before, after, 16);
    assert_int_equal(pseudonym_of_rrn(keys, 2025, "85073003328", after, &id), 0);
    assert_int_equal(id, second);
    assert_memory_not_equal(before, after, 16);
    pseudonym_keys_free(&keys);
    f = fopen(path, "r");
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(text, "\n# a remark without a newline\n2025-2026 "));

    snprintf(other, sizeof other, "%s.new", path);
    f = fopen(other, "w");
    fclose(f);
    assert_int_equal(pseudonym_keys_add(path, 2026, &id, error, sizeof error), EX_TEMPFAIL);
    assert_non_null(strstr(error, "keys.new is there"));
    unlink(other);
    write_file("2024-2025 x\n", 0600);
    assert_int_equal(pseudonym_keys_add(path, 2026, &id, error, sizeof error), EX_CONFIG);
    assert_non_null(strstr(error, ":1: a key is 64"));
    write_file("", 0600); /* made beforehand with its rights */
    assert_int_equal(pseudonym_keys_add(path, 2026, &id, error, sizeof error), 0);
    write_file("", 0644);
    assert_int_equal(pseudonym_keys_add(path, 2026, &id, error, sizeof error), EX_CONFIG);
    snprintf(other, sizeof other, "%s/no/such/keys", folder);
    assert_int_equal(pseudonym_keys_add(other, 2026, &id, error, sizeof error), EX_CANTCREAT);
    snprintf(other, sizeof other, "%s/x", path);
    assert_int_equal(pseudonym_keys_add(other, 2026, &id, error, sizeof error), EX_NOINPUT);
    char much[5000];
    memset(much, '/', sizeof much);
    much[4999] = '\0';
    assert_int_equal(pseudonym_keys_add(much, 2026, &id, error, sizeof error), EX_NOINPUT);
    write_file("2024-2025 " A "\n", 0600);
    if (geteuid() == 0) { /* stays its owner's */
        assert_int_equal(chown(path, 0, 4242), 0);
        assert_int_equal(pseudonym_keys_add(path, 2026, &id, error, sizeof error), 0);
    }
}

/* A disk that is full leaves the old file as it was. */
static void a_cut_leaves_the_old_file(void **state)
{
    struct rlimit was, none;
    char other[100];
    uint32_t id;
    (void)state;
    write_file("2024-2025 " A "\n", 0600);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    none = (struct rlimit){10, was.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
    assert_int_equal(pseudonym_keys_add(path, 2025, &id, error, sizeof error), EX_IOERR);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_non_null(strstr(error, "File too large"));
    struct pseudonym_keys *keys = loaded();
    assert_false(pseudonym_keys_id(keys, 2025, &id));
    pseudonym_keys_free(&keys);
    snprintf(other, sizeof other, "%s.new", path);
    assert_int_equal(access(other, F_OK), -1);
}

/* Keys lie in memory that a dump leaves out and that cannot be written to. */
static void keys_are_not_dumped(void **state)
{
    char line[300];
    bool inside = false, found = false;
    (void)state;
    write_file("2024-2025 " A "\n", 0600);
    struct pseudonym_keys *keys = loaded();
    FILE *f = fopen("/proc/self/smaps", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        unsigned long from, to;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3) {
            inside = (uintptr_t)keys >= from && (uintptr_t)keys < to;
            if (inside)
                assert_string_equal(rights, "r--p");
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            assert_non_null(strstr(line, " dd")); /* do not dump */
            found = true;
        }
    }
    fclose(f);
    assert_true(found);
    pseudonym_keys_free(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(years_have_their_keys, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(wrong_texts, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(wrong_rights, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(wrong_owner, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(credentials, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(adding_years, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_cut_leaves_the_old_file, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(keys_are_not_dumped, make_folder, drop_folder),
    };
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
