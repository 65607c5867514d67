/* SPDX-License-Identifier: MIT
 *
 * Descriptors and limits. A closed standard descriptor would be given to a socket, which would then receive
 * the log; libzmq aborts when descriptors run out. */
#include "daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"

#define PASSFILE_BYTES_MAX 65536

void process_prepare(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* the lowest number that is free */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);

    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

bool process_has_descriptors(unsigned wanted, char *error, size_t error_len)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted)
        return true;
    snprintf(error, error_len,
             "at most %llu descriptors may be open, and %u are needed: raise LimitNOFILE= of the unit, or "
             "ulimit -n of the shell that starts it",
             (unsigned long long)files.rlim_cur, wanted);
    return false;
}

void process_forbid_dumps(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* its leak check must be able to look at us */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

/* libpq refuses a password file that a group may read, which is how systemd shows a credential where the rights
 * are given by an access list: such a one is handed over as a copy in memory that is this process's alone. */
static int copy_private(int from)
{
    char bytes[PASSFILE_BYTES_MAX];
    ssize_t len = read(from, bytes, sizeof bytes), written = -1;
    int copy = memfd_create("pgpass", MFD_CLOEXEC);

    if (copy >= 0 && len >= 0 && fchmod(copy, 0600) == 0)
        written = write(copy, bytes, (size_t)len);
    explicit_bzero(bytes, sizeof bytes);
    if (copy >= 0 && written != len) {
        close(copy);
        copy = -1;
    }
    return copy;
}

void process_take_credentials(void)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    char path[4096];
    struct stat file;
    int fd, copy;

    if (!directory || getenv("PGPASSFILE") ||
        (size_t)snprintf(path, sizeof path, "%s/pgpass", directory) >= sizeof path)
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        if (errno != ENOENT)
            log_error("credential %s: %s", path, strerror(errno));
        return;
    }
    if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
        if (file.st_mode & (S_IRWXG | S_IRWXO)) {
            copy = copy_private(fd);
            if (copy < 0)
                log_error("credential %s: no memory for a copy", path);
            snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
        }
        setenv("PGPASSFILE", path, 1);
    }
    close(fd);
}
