/* SPDX-License-Identifier: MIT
 *
 * Reads the text of a configuration or rules file and prepares it for libconfig 1.5: knows its strings, comments, names
 * and numbers, and nothing of what they mean. */
#include "daemon/config_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1 << 20)

char *config_text_read(const char *path, char *error, size_t error_len)
{
    return config_text_read_fd(open(path, O_RDONLY | O_CLOEXEC), error, error_len);
}

char *config_text_read_fd(int fd, char *error, size_t error_len)
{
    char *text = NULL;
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    struct stat info;
    size_t len = 0;
    if (!file || fstat(fileno(file), &info) != 0) {
        snprintf(error, error_len, "cannot be read: %s", strerror(errno));
        goto out;
    }
    if (S_ISDIR(info.st_mode)) {
        snprintf(error, error_len, "is a directory");
        goto out;
    }
    text = malloc(FILE_BYTES_MAX + 1);
    if (!text) {
        snprintf(error, error_len, "out of memory");
        goto out;
    }
    len = fread(text, 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file))
        snprintf(error, error_len, "cannot be read: %s", strerror(errno));
    else if (len > FILE_BYTES_MAX || memchr(text, '\0', len))
        snprintf(error, error_len, "not a configuration file: too large or with zero bytes");
    else
        goto out;
    free(text);
    text = NULL;
out:
    if (text)
        text[len] = '\0';
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    return text;
}

/* Length of a string, comment or name at p that must be copied as it is; 0 when there is none. */
static size_t opaque_length(const char *p)
{
    size_t n = 0;
    if (*p == '"') {
        for (n = 1; p[n] && p[n] != '"'; n++)
            if (p[n] == '\\' && p[n + 1])
                n++;
        return n + (p[n] == '"');
    }
    if (*p == '#' || (p[0] == '/' && p[1] == '/'))
        return strcspn(p, "\n");
    if (p[0] == '/' && p[1] == '*') {
        const char *end = strstr(p + 2, "*/");
        return end ? (size_t)(end + 2 - p) : strlen(p);
    }
    if ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '*')
        return strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_*");
    return 0;
}

/* Copies the integer at p (n bytes) and makes it a 64-bit one when it may not fit 32 bits. */
static char *copy_integer(char *o, const char *p, size_t n)
{
    bool hex = n > 2 && (p[1] == 'x' || p[1] == 'X');
    size_t digits = hex ? n - 2 : n, narrow = hex ? 7 : 9, widest = hex ? 15 : 18;
    if (digits > widest) /* also beyond 64 bits: as large as it can be written safely */
        return stpcpy(o, hex ? "0xfffffffffffffffL" : "999999999999999999L");
    o = mempcpy(o, p, n);
    if (digits > narrow && p[n] != 'L')
        *o++ = 'L';
    return o;
}

/* libconfig reads an integer with atoi(), so 3000000000 would become -1294967296 and 4294967299 would
 * become 3. Giving every integer that may not fit 32 bits its 64-bit form (suffix L) lets the walk see its
 * size. */
char *config_text_widen(const char *text)
{
    char *out = malloc(2 * strlen(text) + 32), *o = out;
    if (!out)
        return NULL;
    for (const char *p = text; *p;) {
        size_t n = opaque_length(p);
        if (n == 0 && *p >= '0' && *p <= '9') {
            bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
            n = hex ? 2 + strspn(p + 2, "0123456789abcdefABCDEF") : strspn(p, "0123456789");
            bool decimal_point = !hex && (p[n] == '.' || p[n] == 'e' || p[n] == 'E');
            if (!decimal_point) {
                o = copy_integer(o, p, n);
                p += n;
                p += *p == 'L' && o[-1] == 'L'; /* a suffix that is there already */
                continue;
            }
            n += strspn(p + n, "0123456789.eE");
        }
        if (n == 0)
            n = 1;
        o = mempcpy(o, p, n);
        p += n;
    }
    *o = '\0';
    return out;
}

unsigned config_text_find_directive(const char *text)
{
    unsigned line = 1;
    for (const char *p = text; *p;) {
        if (*p == '@')
            return line;
        size_t n = opaque_length(p);
        for (size_t i = 0, step = n ? n : 1; i < step; i++)
            line += *p++ == '\n';
    }
    return 0;
}
