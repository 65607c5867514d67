/* SPDX-License-Identifier: MIT
 *
 * Who else could read a file, or put another in its place. It is opened first and looked at then; O_NONBLOCK: a FIFO must
 * not hold us. */
#include "daemon/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directly in the service manager's folder: "FOLDER/../x" is not. */
static bool is_credential(const char *path, const struct stat *info)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    size_t len = directory ? strlen(directory) : 0;
    return len > 1 && strncmp(path, directory, len) == 0 && path[len] == '/' &&
           !strchr(path + len + 1, '/') && info->st_uid == 0 && (info->st_mode & 07777 & ~0640u) == 0;
}

__attribute__((format(printf, 3, 4))) static bool fail(char *error, size_t len, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(error, len, format, list);
    va_end(list);
    return false;
}

static bool check_file(const char *path, const struct stat *info, enum secret_file_use use, char *error,
                       size_t error_len)
{
    unsigned mode = info->st_mode & 07777;
    if (!S_ISREG(info->st_mode))
        return fail(error, error_len, "not a regular file");
    if (info->st_uid != geteuid() && info->st_uid != 0)
        return fail(error, error_len, "belongs to user %ld, who could change it; run: chown %ld %s",
                    (long)info->st_uid, (long)geteuid(), path);
    if (use == SECRET_FILE_CHANGE && (mode & 022))
        return fail(error, error_len, "others may change it (mode %04o); run: chmod go-w %s", mode, path);
    if (use == SECRET_FILE_READ && (mode & 077) && !is_credential(path, info))
        return fail(error, error_len, "others may read it (mode %04o); run: chmod 600 %s", mode, path);
    return true;
}

int secret_file_open(const char *path, enum secret_file_use use, char *error, size_t error_len)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ELOOP)
            fail(error, error_len, "a symbolic link; name the file itself");
        else
            fail(error, error_len, "%s%s", use == SECRET_FILE_CHANGE ? "cannot be read: " : "",
                 strerror(errno));
        return -1;
    }
    if (fstat(fd, &info) != 0)
        fail(error, error_len, "cannot be read: %s", strerror(errno));
    else if (check_file(path, &info, use, error, error_len))
        return fd;
    close(fd);
    return -1;
}
