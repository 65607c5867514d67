/* SPDX-License-Identifier: MIT
 *
 * Descriptors and limits. A closed standard descriptor would be given to a socket, which would then receive
 * the log; libzmq aborts when descriptors run out. */
#include "daemon/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

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

void process_forbid_dumps(void)
{
    prctl(PR_SET_DUMPABLE, 0);
}
