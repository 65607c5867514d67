/* SPDX-License-Identifier: MIT
 *
 * Making and reading key files. A secret that others can read is refused: a key only protects who alone has it. */
#include "daemon/curve_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/bus.h"
#include "daemon/secret_file.h"

#define KEY_CHARACTERS (CURVE_KEY_TEXT - 1)

bool curve_key_is_valid(const char *text)
{
    return strlen(text) == KEY_CHARACTERS && bus_curve_is_key(text);
}

/* 1. Making. */

static int write_line(const char *path, mode_t mode, const char *key, char *error, size_t error_len)
{
    char line[CURVE_KEY_TEXT + 1];
    int code = 0, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        code = errno == EEXIST ? EX_USAGE : errno == EACCES || errno == EPERM ? EX_NOPERM : EX_UNAVAILABLE;
        snprintf(error, error_len, "%s: %s", path,
                 errno == EEXIST ? "is there already; a key is never overwritten: name another file"
                                 : strerror(errno));
        return code;
    }
    memcpy(line, key, KEY_CHARACTERS);
    line[KEY_CHARACTERS] = '\n';
    if (fchmod(fd, mode) != 0 || write(fd, line, CURVE_KEY_TEXT) != CURVE_KEY_TEXT || fsync(fd) != 0)
        code = EX_UNAVAILABLE;
    if (close(fd) != 0)
        code = EX_UNAVAILABLE;
    if (code) {
        snprintf(error, error_len, "%s: %s", path, strerror(errno));
        unlink(path);
    }
    sodium_memzero(line, sizeof line);
    return code;
}

int curve_keys_generate(const char *path, char public_key[CURVE_KEY_TEXT], char *error, size_t error_len)
{
    char public_path[4096];
    struct curve_keys *keys = sodium_init() < 0 ? NULL : sodium_malloc(sizeof *keys);
    int code = EX_UNAVAILABLE;
    if (!keys || bus_curve_pair(keys->public_key, keys->secret_key)) {
        snprintf(error, error_len, "no key can be made: out of memory, or the ZeroMQ here has no CURVE");
        goto out;
    }
    if (!path[0] || (size_t)snprintf(public_path, sizeof public_path, "%s.pub", path) >= sizeof public_path) {
        code = EX_USAGE;
        snprintf(error, error_len, "no usable file name");
        goto out;
    }
    code = write_line(path, 0600, keys->secret_key, error, error_len);
    if (code)
        goto out;
    code = write_line(public_path, 0644, keys->public_key, error, error_len);
    if (code)
        unlink(path); /* half a pair is of no use */
    else
        memcpy(public_key, keys->public_key, CURVE_KEY_TEXT);
out:
    curve_keys_free(&keys);
    return code;
}

/* 2. Reading. */

/* One line of 40 characters; a newline may end it. */
static int read_key(const char *path, bool secret, char out[CURVE_KEY_TEXT], char *error, size_t error_len)
{
    char text[CURVE_KEY_TEXT + 4];
    char reason[512] = "";
    int err = ERR_INVALID, fd = secret ? secret_file_open(path, SECRET_FILE_READ, reason, sizeof reason)
                                       : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t got;
    if (fd < 0) {
        snprintf(error, error_len, "%s: %s", path, secret ? reason : strerror(errno));
        return ERR_INVALID;
    }
    got = read(fd, text, sizeof text - 1);
    while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == '\r'))
        got--;
    text[got > 0 ? got : 0] = '\0';
    if (!curve_key_is_valid(text)) {
        snprintf(error, error_len, "%s: not a %s key: one line of 40 characters Z85; make a pair with: %s",
                 path, secret ? "secret" : "public", "teldagctl keys generate --out FILE");
        goto out;
    }
    memcpy(out, text, CURVE_KEY_TEXT);
    err = 0;
out:
    sodium_memzero(text, sizeof text);
    close(fd);
    return err;
}

struct curve_keys *curve_keys_load(const char *path, char *error, size_t error_len)
{
    struct curve_keys *keys = sodium_init() < 0 ? NULL : sodium_malloc(sizeof *keys);
    if (!keys) {
        snprintf(error, error_len, "%s: no locked memory for a secret", path);
        return NULL;
    }
    if (read_key(path, true, keys->secret_key, error, error_len))
        curve_keys_free(&keys);
    else if (bus_curve_public(keys->secret_key, keys->public_key)) {
        snprintf(error, error_len, "%s: not a secret key", path);
        curve_keys_free(&keys);
    }
    return keys;
}

void curve_keys_free(struct curve_keys **keys)
{
    sodium_free(*keys); /* wipes */
    *keys = NULL;
}

int curve_public_load(const char *value, char out[CURVE_KEY_TEXT], char *error, size_t error_len)
{
    if (curve_key_is_valid(value)) {
        memcpy(out, value, CURVE_KEY_TEXT);
        return 0;
    }
    if (strncmp(value, "file:", 5) == 0)
        value += 5;
    else if (!strchr(value, '/') && access(value, F_OK) != 0) { /* a mistyped key is not to be read back */
        snprintf(error, error_len, "neither a public key (40 characters Z85) nor a file that is there");
        return ERR_INVALID;
    }
    return read_key(value, false, out, error, error_len);
}
