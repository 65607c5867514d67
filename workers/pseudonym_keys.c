/* SPDX-License-Identifier: MIT
 *
 * The key file. Whoever can read a key can enumerate all national numbers in seconds, and whoever can write it can
 * choose one: so the file must be ours or root's, nobody else's to read, and no link to a place of somebody else's.
 * All that touches key bytes is locked memory (libsodium), wiped before it is given back. */
#include "workers/pseudonym_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "workers/event_value.h"
#include "workers/pseudonym.h"

#define KEY_BYTES  32
#define HEX_DIGITS (2 * KEY_BYTES)
#define YEAR_TEXT  9
#define YEAR_FIRST 1990
#define YEAR_LAST  2099
#define YEAR_COUNT (YEAR_LAST - YEAR_FIRST + 1)
#define FILE_MAX   32768 /* all years, with room for remarks */
#define LINE_NEW   (YEAR_TEXT + 1 + HEX_DIGITS + 1)

struct year_key {
    uint8_t bytes[KEY_BYTES];
    uint32_t id;
    int line; /* of the file; 0: there is none */
};
struct pseudonym_keys {
    struct year_key of[YEAR_COUNT];
};

struct key_file {
    char *text; /* sodium_malloc'ed, FILE_MAX + LINE_NEW + 2 bytes */
    size_t len;
    struct stat st;
};

__attribute__((format(printf, 3, 4))) static bool fail(char *error, size_t len, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(error, len, format, list);
    va_end(list);
    return false;
}

static bool start_crypto(char *error, size_t error_len)
{
    return sodium_init() >= 0 ||
           fail(error, error_len, "the cryptographic library cannot start (no random numbers?)");
}

/* --- who may read it ------------------------------------------------------------------------------------ */

/* A credential of the service manager may be root's with an access list that names the service's user; the mode then
 * shows that list's mask as the group's rights. */
static bool is_credential(const char *path, const struct stat *st)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    size_t len = directory ? strlen(directory) : 0;
    return len > 0 && strncmp(path, directory, len) == 0 && path[len] == '/' &&
           !strchr(path + len + 1, '/') && st->st_uid == 0 && (st->st_mode & 07777 & ~0640u) == 0;
}

static bool check_file(const char *path, const struct stat *st, char *error, size_t error_len)
{
    if (!S_ISREG(st->st_mode))
        return fail(error, error_len, "%s: not a regular file", path);
    if (is_credential(path, st))
        return true;
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return fail(error, error_len, "%s: belongs to user %ld, who could change the keys; run: chown %ld %s",
                    path, (long)st->st_uid, (long)geteuid(), path);
    if (st->st_mode & 07777 & ~0600u)
        return fail(error, error_len, "%s: others may use it (mode %04o); run: chmod 600 %s", path,
                    (unsigned)(st->st_mode & 07777), path);
    return true;
}

static bool read_whole(int fd, struct key_file *file, const char *path, char *error, size_t error_len)
{
    ssize_t got;
    while (file->len < FILE_MAX) {
        got = read(fd, file->text + file->len, FILE_MAX - file->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(error, error_len, "%s: %s", path, strerror(errno));
        if (got == 0)
            return true;
        file->len += (size_t)got;
    }
    return fail(error, error_len, "%s: longer than %d bytes; a key file has a line a school year", path,
                FILE_MAX);
}

/* Opened first and looked at then, so that what was looked at is what is read; O_NONBLOCK: a FIFO must not hold us. */
static bool read_file(const char *path, struct key_file *file, char *error, size_t error_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    bool good = false;
    if (fd < 0 && errno == ELOOP)
        return fail(error, error_len, "%s: a symbolic link; name the file itself", path);
    if (fd < 0 || fstat(fd, &file->st) != 0) {
        fail(error, error_len, "%s: %s", path, strerror(errno));
        goto out;
    }
    good = check_file(path, &file->st, error, error_len) && read_whole(fd, file, path, error, error_len);
out:
    if (fd >= 0)
        close(fd);
    return good;
}

static bool open_file(struct key_file *file, char *error, size_t error_len)
{
    *file = (struct key_file){.len = 0};
    if (!start_crypto(error, error_len))
        return false;
    file->text = sodium_malloc(FILE_MAX + LINE_NEW + 2);
    return file->text || fail(error, error_len, "no memory that can be locked for keys (see RLIMIT_MEMLOCK)");
}

/* --- what stands in it ---------------------------------------------------------------------------------- */

/* A keyed hash of a text no pupil can have: tells keys apart, says nothing of the key. */
static uint32_t id_of(const uint8_t key[KEY_BYTES])
{
    static const char text[] = "teldag pupil key id";
    uint8_t hash[16];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, sizeof text - 1, key, KEY_BYTES);
    return (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3];
}

static bool parse_hex(const char *text, uint8_t out[KEY_BYTES])
{
    for (int i = 0; i < KEY_BYTES; i++) {
        int high = value_hex_digit(text[2 * i]), low = value_hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct place { /* in a file that is read, for messages */
    const char *path;
    int line;
    char *error;
    size_t error_len;
};

/* Puts a key in its year's place. Two years with one key would make one pseudonym of a pupil in both. */
static bool store_key(struct pseudonym_keys *keys, int year, const char *hex, const struct place *p)
{
    struct year_key *k = keys->of + (year - YEAR_FIRST);
    uint8_t any = 0;
    if (k->line)
        return fail(p->error, p->error_len, "%s:%d: school year %d-%d again (first in line %d)", p->path,
                    p->line, year, year + 1, k->line);
    if (!parse_hex(hex, k->bytes))
        return fail(p->error, p->error_len,
                    "%s:%d: a key is 64 hex digits; make one with: teldag-feed pseudonym-key "
                    "--year %d-%d --out FILE",
                    p->path, p->line, year, year + 1);
    for (int i = 0; i < KEY_BYTES; i++)
        any |= k->bytes[i];
    if (!any)
        return fail(p->error, p->error_len, "%s:%d: a key of nothing but zeros is no key", p->path, p->line);
    for (int y = 0; y < YEAR_COUNT; y++)
        if (keys->of[y].line && sodium_memcmp(keys->of[y].bytes, k->bytes, KEY_BYTES) == 0)
            return fail(p->error, p->error_len,
                        "%s:%d: the key of line %d again; each school year has its own", p->path, p->line,
                        keys->of[y].line);
    k->line = p->line;
    k->id = id_of(k->bytes);
    return true;
}

static bool parse_line(struct pseudonym_keys *keys, const char *text, size_t len, const struct place *p)
{
    int64_t year;
    size_t at = YEAR_TEXT;
    uint8_t old[KEY_BYTES];
    while (len > 0 && (is_blank(text[len - 1]) || text[len - 1] == '\r'))
        len--;
    if (len == 0 || text[0] == '#')
        return true;
    if (len == HEX_DIGITS && parse_hex(text, old)) {
        sodium_memzero(old, sizeof old);
        return fail(
            p->error, p->error_len,
            "%s:%d: a key without school year; write the school year it belongs to before it: 2024-2025 <64 "
            "hex digits>",
            p->path, p->line);
    }
    if (len < YEAR_TEXT || !value_parse_year(text, YEAR_TEXT, &year) || (len > at && !is_blank(text[at])))
        return fail(p->error, p->error_len,
                    "%s:%d: must be a school year and its key: 2024-2025 <64 hex digits>", p->path, p->line);
    while (at < len && is_blank(text[at]))
        at++;
    if (len - at != HEX_DIGITS)
        return fail(p->error, p->error_len, "%s:%d: a key is 64 hex digits, this has %zu characters", p->path,
                    p->line, len - at);
    return store_key(keys, (int)year, text + at, p);
}

static bool parse_file(struct pseudonym_keys *keys, const struct key_file *file, const char *path,
                       char *error, size_t error_len)
{
    struct place p = {path, 0, error, error_len};
    int found = 0;
    for (size_t from = 0; from < file->len;) {
        const char *newline = memchr(file->text + from, '\n', file->len - from);
        size_t end = newline ? (size_t)(newline - file->text) : file->len;
        p.line++;
        if (!parse_line(keys, file->text + from, end - from, &p))
            return false;
        from = end + 1;
    }
    for (int y = 0; y < YEAR_COUNT; y++)
        found += keys->of[y].line != 0;
    return found > 0 || fail(error, error_len,
                             "%s: no key in it; make one with: teldag-feed pseudonym-key --year "
                             "2024-2025 --out %s",
                             path, path);
}

/* `file` is read already; NULL: the keys are wrong. */
static struct pseudonym_keys *keys_of_file(const struct key_file *file, const char *path, char *error,
                                           size_t error_len)
{
    struct pseudonym_keys *keys = sodium_malloc(sizeof *keys);
    if (!keys) {
        fail(error, error_len, "no memory that can be locked for keys (see RLIMIT_MEMLOCK)");
        return NULL;
    }
    memset(keys, 0, sizeof *keys);
    if (!parse_file(keys, file, path, error, error_len)) {
        sodium_free(keys);
        return NULL;
    }
    sodium_mprotect_readonly(keys);
    return keys;
}

struct pseudonym_keys *pseudonym_keys_load(const char *path, char *error, size_t error_len)
{
    struct pseudonym_keys *keys = NULL;
    struct key_file file;
    if (open_file(&file, error, error_len) && read_file(path, &file, error, error_len))
        keys = keys_of_file(&file, path, error, error_len);
    sodium_free(file.text); /* wipes */
    return keys;
}

void pseudonym_keys_free(struct pseudonym_keys **keys)
{
    sodium_free(*keys);
    *keys = NULL;
}

/* --- what it is for ------------------------------------------------------------------------------------- */

static const struct year_key *find_key(const struct pseudonym_keys *keys, int year)
{
    const struct year_key *k =
        year >= YEAR_FIRST && year <= YEAR_LAST ? keys->of + (year - YEAR_FIRST) : NULL;
    return k && k->line ? k : NULL;
}

bool pseudonym_keys_id(const struct pseudonym_keys *keys, int year, uint32_t *key_id)
{
    const struct year_key *k = keys ? find_key(keys, year) : NULL;
    if (k)
        *key_id = k->id;
    return k != NULL;
}

int pseudonym_of_rrn(const void *keys, int year, const char digits[11], uint8_t out[16], uint32_t *key_id)
{
    const struct year_key *k = find_key(keys, year);
    if (!k)
        return ERR_MISSING;
    if (!rrn_is_valid(digits))
        return ERR_INVALID;
    if (crypto_generichash(out, 16, (const unsigned char *)digits, 11, k->bytes, KEY_BYTES) != 0)
        return ERR_INVALID;
    *key_id = k->id;
    return 0;
}

/* --- adding a year -------------------------------------------------------------------------------------- */

static bool write_whole(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, text, len);
        if (put < 0 && errno != EINTR)
            return false;
        text += put > 0 ? put : 0;
        len -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* A line for the year behind what the file holds. */
static void append_key(struct key_file *file, int year, uint32_t *key_id)
{
    char *at = file->text + file->len;
    uint8_t *key = sodium_malloc(KEY_BYTES);
    if (!key)
        abort(); /* 32 bytes, after 32 KiB were locked */
    randombytes_buf(key, KEY_BYTES);
    if (file->len > 0 && at[-1] != '\n')
        *at++ = '\n';
    at += sprintf(at, "%d-%d ", year, year + 1);
    sodium_bin2hex(at, HEX_DIGITS + 1, key, KEY_BYTES);
    at[HEX_DIGITS] = '\n';
    file->len = (size_t)(at + HEX_DIGITS + 1 - file->text);
    *key_id = id_of(key);
    sodium_free(key);
}

static void sync_directory(const char *path)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    snprintf(directory, sizeof directory, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Beside the file first, then in its place: a cut leaves the old keys whole. */
static int replace_file(const char *path, const struct key_file *file, bool existed, char *error,
                        size_t error_len)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) {
        fail(error, error_len, "%s: the path is too long", path);
        return EX_USAGE;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        fail(error, error_len, "%s is there: another run is adding a key, or one was cut off; then remove it",
             temporary);
        return EX_TEMPFAIL;
    }
    if (fd < 0) {
        fail(error, error_len, "%s: %s", temporary, strerror(errno));
        return EX_CANTCREAT;
    }
    bool good =
        fchmod(fd, 0600) == 0 &&
        (!existed || file->st.st_uid == geteuid() || fchown(fd, file->st.st_uid, file->st.st_gid) == 0) &&
        write_whole(fd, file->text, file->len) && fsync(fd) == 0;
    int saved = errno;
    if (close(fd) != 0 && good) {
        saved = errno;
        good = false;
    }
    if (good && rename(temporary, path) != 0) {
        saved = errno;
        good = false;
    }
    if (!good) {
        unlink(temporary);
        fail(error, error_len, "%s: %s", temporary, strerror(saved));
        return EX_IOERR;
    }
    sync_directory(path);
    return 0;
}

static int add_year(const char *path, int year, struct key_file *file, uint32_t *key_id, char *error,
                    size_t error_len)
{
    struct stat st;
    bool existed = lstat(path, &st) == 0;
    if (existed) {
        if (!read_file(path, file, error, error_len))
            return EX_CONFIG;
        struct pseudonym_keys *keys = file->len ? keys_of_file(file, path, error, error_len) : NULL;
        bool again = pseudonym_keys_id(keys, year, key_id);
        if (file->len && !keys)
            return EX_CONFIG;
        pseudonym_keys_free(&keys);
        if (again) {
            fail(error, error_len,
                 "%s has a key of %d-%d already; a second one would make other pupils of that "
                 "year's",
                 path, year, year + 1);
            return EX_DATAERR;
        }
    } else if (errno != ENOENT) {
        fail(error, error_len, "%s: %s", path, strerror(errno));
        return EX_NOINPUT;
    }
    append_key(file, year, key_id);
    return replace_file(path, file, existed, error, error_len);
}

int pseudonym_keys_add(const char *path, int year, uint32_t *key_id, char *error, size_t error_len)
{
    struct key_file file;
    int exit_code = EX_UNAVAILABLE;
    if (open_file(&file, error, error_len))
        exit_code = add_year(path, year, &file, key_id, error, error_len);
    sodium_free(file.text);
    return exit_code;
}
