/* SPDX-License-Identifier: MIT
 *
 * Two LMDB databases in one environment: "records" (sequence, u64 big endian -> line) and "meta" (format,
 * stream, epoch, first, next). A batch and the new `next` are one LMDB transaction: after kill -9 either both
 * are there or neither. Decides what a failed write means for the operator; LMDB's default durability
 * (fdatasync, then the meta page through O_DSYNC) is left as it is. */
#include "tools/feed_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/failpoint.h"
#include "daemon/wire.h"

#define FORMAT_VERSION  1
#define TRIM_CHUNK      20000                /* records forgotten in one transaction */
#define FULL_BYTES      ((uint64_t)16 << 20) /* no room for the largest transaction */
#define LOCK_FILE_BYTES 8192                 /* what LMDB makes for its default of 126 readers */

struct journal {
    MDB_env *env;
    MDB_dbi records, meta;
    char *directory;
    char stream[WIRE_NAME_MAX + 1];
};
struct journal_read {
    MDB_txn *txn;
    MDB_cursor *cursor;
};

static char stream_key[6] = {'s', 't', 'r', 'e', 'a', 'm'}; /* LMDB wants it writable, and leaves it alone */

static _Thread_local char last_error[512];
static _Thread_local int last_exit;

const char *journal_error(void)
{
    return last_error;
}

int journal_error_exit(void)
{
    return last_exit;
}

/* Sorts an LMDB or system error: text for a human, an exit code, and one of ours. */
static int fail(const char *directory, const char *act, int rc)
{
    const char *advice = "";
    int err = ERR_IO;
    last_exit = EX_UNAVAILABLE;
    switch (rc) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        advice = "; nothing was acknowledged for it: make room on that disk (teldag-feed trim frees room for "
                 "reuse), start again, and "
                 "continue after the last ack";
        err = ERR_RANGE;
        break;
    case EIO:
        advice = "; nothing was acknowledged for it: look at the disk (full, failing?), start again, and "
                 "continue after "
                 "the last ack";
        break;
    case MDB_MAP_FULL:
        advice = "; the journal has reached its largest size; nothing was acknowledged for it: forget what "
                 "every subscriber has, with "
                 "teldag-feed trim --keep-from SEQ, start again, and continue after the last ack";
        err = ERR_RANGE;
        break;
    case MDB_READERS_FULL:
        advice = "; too many processes have it open";
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        last_exit = EX_NOPERM;
        break;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
        advice = "; this is not a sound journal: restore it from a copy, or move it away and let the "
                 "registry send everything again "
                 "in a new one";
        last_exit = EX_DATAERR;
        break;
    case ENOMEM:
        err = ERR_NOMEM;
        break;
    default:
        break;
    }
    snprintf(last_error, sizeof last_error, "journal %s: %s: %s%s", directory, act, mdb_strerror(rc), advice);
    return err;
}

static int refuse(int exit_code, const char *directory, const char *text)
{
    last_exit = exit_code;
    snprintf(last_error, sizeof last_error, "journal %s: %s", directory, text);
    return ERR_INVALID;
}

static void put_u64(uint64_t v, uint8_t out[8])
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        out[i] = (uint8_t)v;
}

static uint64_t get_u64(const void *in)
{
    const uint8_t *p = in;
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static int put_number(struct journal *j, MDB_txn *txn, const char *name, uint64_t v)
{
    uint8_t bytes[8];
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value = {8, bytes};
    put_u64(v, bytes);
    return mdb_put(txn, j->meta, &key, &value, 0);
}

static int get_number(struct journal *j, MDB_txn *txn, const char *name, uint64_t *out)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name}, value;
    int rc = mdb_get(txn, j->meta, &key, &value);
    if (rc == 0 && value.mv_size != 8)
        rc = MDB_CORRUPTED;
    if (rc == 0)
        *out = get_u64(value.mv_data);
    return rc;
}

static int get_state(struct journal *j, MDB_txn *txn, struct journal_state *out)
{
    int rc = get_number(j, txn, "epoch", &out->epoch);
    if (rc == 0)
        rc = get_number(j, txn, "first", &out->first);
    if (rc == 0)
        rc = get_number(j, txn, "next", &out->next);
    if (rc == MDB_NOTFOUND || (rc == 0 && (out->first < 1 || out->first > out->next)))
        rc = MDB_CORRUPTED;
    return rc;
}

/* LMDB maps its lock file: on a full disk the first touch of an unwritten page would be a SIGBUS, so write it
 * first. */
static int reserve_lock_file(const char *directory)
{
    char path[4096];
    int fd, rc;
    if ((size_t)snprintf(path, sizeof path, "%s/lock.mdb", directory) >= sizeof path)
        return ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    rc = posix_fallocate(fd, 0, LOCK_FILE_BYTES);
    close(fd);
    return rc == EOPNOTSUPP || rc == EINVAL ? 0 : rc;
}

static bool is_there(const char *directory)
{
    char path[4096];
    struct stat st;
    return (size_t)snprintf(path, sizeof path, "%s/data.mdb", directory) < sizeof path &&
           stat(path, &st) == 0 && st.st_size > 0;
}

static int open_environment(struct journal *j, bool create, size_t map_bytes)
{
    int rc, dead = 0;
    if (create && mkdir(j->directory, 0700) != 0 && errno != EEXIST)
        return fail(j->directory, "create folder", errno);
    FAILPOINT(journal, create_folder);
    if (!create && !is_there(j->directory))
        return refuse(EX_UNAVAILABLE, j->directory,
                      "there is no journal here; teldag-feed append or serve makes one");
    rc = reserve_lock_file(j->directory);
    if (rc == 0)
        rc = mdb_env_create(&j->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(j->env, map_bytes);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(j->env, 2);
    FAILPOINT(journal, open_environment);
    /* NOTLS: a snapshot belongs to its object, not to the thread.
     */
    if (rc == 0)
        rc = mdb_env_open(j->env, j->directory, MDB_NOTLS, 0600);
    if (rc == 0)
        rc = mdb_reader_check(j->env, &dead); /* slots of killed readers would keep trimmed room from reuse */
    return rc ? fail(j->directory, "open", rc) : 0;
}

/* Writes what a new journal needs; a journal that another process has just made is left as it is. */
static int create_meta(struct journal *j, MDB_txn *txn, const char *stream)
{
    MDB_val key = {sizeof stream_key, stream_key}, value;
    int rc = mdb_get(txn, j->meta, &key, &value);
    if (rc != MDB_NOTFOUND)
        return rc;
    value.mv_size = strlen(stream);
    value.mv_data = (void *)(uintptr_t)stream;
    rc = mdb_put(txn, j->meta, &key, &value, 0);
    if (rc == 0)
        rc = put_number(j, txn, "format", FORMAT_VERSION);
    if (rc == 0)
        rc = put_number(j, txn, "epoch", (uint64_t)clock_realtime_us());
    if (rc == 0)
        rc = put_number(j, txn, "first", 1);
    return rc ? rc : put_number(j, txn, "next", 1);
}

static int open_databases(struct journal *j, const char *stream, bool create)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(j->env, NULL, create ? 0 : MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "meta", create ? MDB_CREATE : 0, &j->meta);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "records", create ? MDB_CREATE : 0, &j->records);
    if (rc == 0 && create)
        rc = create_meta(j, txn, stream);
    if (create)
        FAILPOINT(journal, create_before_commit);
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        txn = NULL;
    }
    if (create)
        FAILPOINT(journal, create_after_commit);
    mdb_txn_abort(txn);
    return rc;
}

/* Is it ours: format, stream name, sane numbers. */
static int check_meta(struct journal *j, const char *stream)
{
    MDB_val key = {sizeof stream_key, stream_key}, value;
    MDB_txn *txn = NULL;
    struct journal_state state;
    uint64_t format = 0;
    char text[256];
    int rc = mdb_txn_begin(j->env, NULL, MDB_RDONLY, &txn), err = 0;
    if (rc == 0)
        rc = get_number(j, txn, "format", &format);
    if (rc == 0 && format != FORMAT_VERSION) {
        snprintf(text, sizeof text, "its format is %" PRIu64 ", this version reads %d", format,
                 FORMAT_VERSION);
        err = refuse(EX_CONFIG, j->directory, text);
        goto out;
    }
    if (rc == 0)
        rc = mdb_get(txn, j->meta, &key, &value);
    if (rc == 0)
        rc = get_state(j, txn, &state);
    if (rc == 0 && !wire_name_is_valid(value.mv_data, value.mv_size))
        rc = MDB_CORRUPTED;
    if (rc) {
        err = fail(j->directory, "read", rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc);
        goto out;
    }
    memcpy(j->stream, value.mv_data, value.mv_size);
    if (stream && strcmp(stream, j->stream) != 0) {
        snprintf(text, sizeof text, "it holds stream %s, not %s; give each stream a folder of its own",
                 j->stream, stream);
        err = refuse(EX_CONFIG, j->directory, text);
    }
out:
    mdb_txn_abort(txn);
    return err;
}

/* A journal that is there is opened without writing, so that it can be served from a full disk. */
static int open_journal(struct journal *j, const char *stream, bool create, size_t map_bytes)
{
    int rc, err = open_environment(j, create, map_bytes);
    if (err)
        return err;
    rc = open_databases(j, stream, false);
    if (rc == MDB_NOTFOUND && create)
        rc = open_databases(j, stream, true);
    if (rc == MDB_NOTFOUND)
        return refuse(EX_DATAERR, j->directory,
                      "this is an LMDB environment, but not a journal of teldag-feed");
    if (rc)
        return fail(j->directory, "open", rc);
    return check_meta(j, stream);
}

struct journal *journal_open(const char *directory, const char *stream, bool create, size_t map_bytes,
                             char *error, size_t error_len, int *exit_code)
{
    struct journal *j = calloc(1, sizeof *j);
    if (j)
        j->directory = strdup(directory);
    if (!j || !j->directory) {
        fail(directory, "open", ENOMEM);
        goto failed;
    }
    if (open_journal(j, stream, create, map_bytes ? map_bytes : JOURNAL_MAP_BYTES) == 0)
        return j;
failed:
    snprintf(error, error_len, "%s", last_error);
    *exit_code = last_exit;
    journal_close(&j);
    return NULL;
}

void journal_close(struct journal **journal)
{
    struct journal *j = *journal;
    if (!j)
        return;
    if (j->env)
        mdb_env_close(j->env);
    free(j->directory);
    free(j);
    *journal = NULL;
}

const char *journal_stream(const struct journal *journal)
{
    return journal->stream;
}

const char *journal_directory(const struct journal *journal)
{
    return journal->directory;
}

int journal_read_state(struct journal *j, struct journal_state *out)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(j->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = get_state(j, txn, out);
    mdb_txn_abort(txn);
    return rc ? fail(j->directory, "read", rc) : 0;
}

static int put_lines(struct journal *j, MDB_txn *txn, const struct journal_line *lines, size_t count,
                     uint64_t *next)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, j->records, &cursor);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        uint8_t bytes[8];
        MDB_val key = {8, bytes}, value = {lines[i].len, (void *)(uintptr_t)lines[i].data};
        put_u64((*next)++, bytes);
        rc = mdb_cursor_put(cursor, &key, &value, MDB_APPEND);
        FAILPOINT(journal, append_put);
    }
    if (cursor)
        mdb_cursor_close(cursor);
    return rc;
}

/* LMDB says EIO when a write ends short, which is what a disk that fills does first. */
static int write_error(const struct journal *j, int rc)
{
    struct statvfs fs;
    if (rc == EIO && statvfs(j->directory, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < FULL_BYTES)
        rc = ENOSPC;
    return fail(j->directory, "write", rc);
}

int journal_append(struct journal *j, const struct journal_line *lines, size_t count, uint64_t *last)
{
    MDB_txn *txn = NULL;
    struct journal_state state;
    int rc = mdb_txn_begin(j->env, NULL, 0, &txn);
    FAILPOINT(journal, append_begin);
    if (rc == 0)
        rc = get_state(j, txn, &state);
    if (rc == 0)
        rc = put_lines(j, txn, lines, count, &state.next);
    if (rc == 0)
        rc = put_number(j, txn, "next", state.next);
    if (FAILPOINT_ERROR(journal, append_before_commit))
        rc = EIO;
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        txn = NULL;
    }
    FAILPOINT(journal, append_after_commit);
    mdb_txn_abort(txn);
    if (rc)
        return write_error(j, rc);
    *last = state.next - 1;
    return 0;
}

/* One transaction of trimming. `first` moves before anything is deleted, so a kill leaves at most rubbish
 * below first, which the next trim takes along. */
static int trim_chunk(struct journal *j, uint64_t keep_from, bool *done)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    struct journal_state state;
    int rc = mdb_txn_begin(j->env, NULL, 0, &txn), removed = 0;
    if (rc == 0)
        rc = get_state(j, txn, &state);
    if (rc == 0 && keep_from > state.next) {
        mdb_txn_abort(txn);
        return refuse(EX_DATAERR, j->directory, "--keep-from lies beyond the last line");
    }
    if (rc == 0 && keep_from > state.first)
        rc = put_number(j, txn, "first", keep_from);
    FAILPOINT(journal, trim_first);
    if (rc == 0)
        rc = mdb_cursor_open(txn, j->records, &cursor);
    while (rc == 0 && removed < TRIM_CHUNK) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        if (rc == 0 && get_u64(key.mv_data) >= keep_from)
            rc = MDB_NOTFOUND;
        if (rc == 0)
            rc = mdb_cursor_del(cursor, 0);
        FAILPOINT(journal, trim_delete);
        removed += rc == 0;
    }
    *done = rc == MDB_NOTFOUND;
    if (cursor)
        mdb_cursor_close(cursor);
    FAILPOINT(journal, trim_before_commit);
    if (rc == 0 || rc == MDB_NOTFOUND) {
        rc = mdb_txn_commit(txn);
        txn = NULL;
    }
    FAILPOINT(journal, trim_after_commit);
    mdb_txn_abort(txn);
    return rc ? fail(j->directory, "trim", rc) : 0;
}

int journal_trim(struct journal *j, uint64_t keep_from)
{
    bool done = false;
    int err = 0;
    while (!done && err == 0)
        err = trim_chunk(j, keep_from, &done);
    return err;
}

int journal_renew(struct journal *j, bool drop, struct journal_state *out)
{
    MDB_txn *txn = NULL;
    uint64_t now = (uint64_t)clock_realtime_us();
    int rc = mdb_txn_begin(j->env, NULL, 0, &txn);
    if (rc == 0)
        rc = get_state(j, txn, out);
    if (rc == 0) {
        out->epoch =
            now > out->epoch ? now : out->epoch + 1; /* later = larger, also when the clock was set back */
        rc = put_number(j, txn, "epoch", out->epoch);
    }
    if (rc == 0 && drop) {
        out->first = out->next = 1;
        rc = mdb_drop(txn, j->records, 0);
        if (rc == 0)
            rc = put_number(j, txn, "first", out->first);
        if (rc == 0)
            rc = put_number(j, txn, "next", out->next);
    }
    if (rc == 0) {
        rc = mdb_txn_commit(txn);
        txn = NULL;
    }
    mdb_txn_abort(txn);
    return rc ? write_error(j, rc) : 0;
}

int journal_read_begin(struct journal *j, struct journal_read **out, struct journal_state *state)
{
    struct journal_read *read = calloc(1, sizeof *read);
    int rc = read ? mdb_txn_begin(j->env, NULL, MDB_RDONLY, &read->txn) : ENOMEM;
    if (rc == 0)
        rc = get_state(j, read->txn, state);
    if (rc == 0)
        rc = mdb_cursor_open(read->txn, j->records, &read->cursor);
    if (rc) {
        journal_read_end(&read);
        return fail(j->directory, "read", rc);
    }
    *out = read;
    return 0;
}

static int take_line(int rc, const MDB_val *value, struct journal_line *out)
{
    if (rc == MDB_NOTFOUND)
        return ERR_MISSING;
    if (rc)
        return fail("", "read", rc);
    out->data = value->mv_data;
    out->len = value->mv_size;
    return 0;
}

int journal_read_seek(struct journal_read *read, uint64_t seq, struct journal_line *out)
{
    uint8_t bytes[8];
    MDB_val key = {8, bytes}, value;
    put_u64(seq, bytes);
    return take_line(mdb_cursor_get(read->cursor, &key, &value, MDB_SET_KEY), &value, out);
}

int journal_read_next(struct journal_read *read, struct journal_line *out)
{
    MDB_val key, value;
    return take_line(mdb_cursor_get(read->cursor, &key, &value, MDB_NEXT), &value, out);
}

void journal_read_end(struct journal_read **read)
{
    if (!*read)
        return;
    if ((*read)->cursor)
        mdb_cursor_close((*read)->cursor);
    mdb_txn_abort((*read)->txn);
    free(*read);
    *read = NULL;
}
