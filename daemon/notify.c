/* SPDX-License-Identifier: MIT
 *
 * sd_notify in a page: the protocol is a datagram of NAME=value lines, so no library is needed. A message
 * that cannot be sent is dropped: the service manager draws its own conclusions from silence. */
#include "daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/clock.h"

/* A path, or @name for the abstract namespace. */
static int connect_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* The watchdog is ours only when WATCHDOG_PID names us (or nobody). */
static uint64_t read_watchdog(void)
{
    const char *period = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!period || (pid && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    char *end;
    errno = 0;
    unsigned long long us = strtoull(period, &end, 10);
    return errno || end == period || *end || period[0] == '-' ? 0 : us;
}

int notify_init(struct notify *n)
{
    *n = (struct notify){.fd = -1, .watchdog_us = read_watchdog()};
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !path[0])
        return 0;
    n->fd = connect_socket(path);
    return n->fd < 0 ? ERR_INVALID : 0;
}

void notify_fini(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

static void send_text(const struct notify *n, const char *text)
{
    if (n->fd >= 0)
        (void)!send(n->fd, text, strlen(text), MSG_NOSIGNAL);
}

void notify_ready(struct notify *n)
{
    send_text(n, "READY=1");
}

void notify_status(struct notify *n, const char *status)
{
    char text[sizeof n->status + 16], clean[sizeof n->status];
    snprintf(clean, sizeof clean, "%s", status);
    for (char *p = clean; *p; p++)
        if (*p == '\n')
            *p = ' '; /* a newline would begin another assignment */
    if (strcmp(clean, n->status) == 0)
        return;
    memcpy(n->status, clean, sizeof clean);
    snprintf(text, sizeof text, "STATUS=%s", clean);
    send_text(n, text);
}

void notify_reloading(struct notify *n)
{
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_monotonic_us());
    send_text(n, text);
}

void notify_stopping(struct notify *n)
{
    send_text(n, "STOPPING=1");
}

void notify_watchdog(struct notify *n)
{
    send_text(n, "WATCHDOG=1");
}
