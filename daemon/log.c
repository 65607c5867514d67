/* SPDX-License-Identifier: MIT
 *
 * The log: each message becomes one line and one write(2), so that lines of several threads never mix and a
 * log reader never sees half a line. Control characters become spaces: what came from outside cannot forge a
 * line. Decides only the look of a line; what may be said is the caller's care. */
#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/clock.h"

#define LINE_MAX_BYTES 2048

/* Written once by log_init(), before there are threads. */
static struct {
    char program[32];
    enum log_level most;
    bool journal; /* systemd reads: it adds the time itself and wants "<6>" */
} settings = {"teldag", LOG_LEVEL_INFO, false};

void log_init(const char *program, enum log_level most)
{
    snprintf(settings.program, sizeof settings.program, "%s", program);
    settings.most = most;
    settings.journal = getenv("JOURNAL_STREAM") != NULL;
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_NOTICE:
        return "notice";
    case LOG_LEVEL_INFO:
        return "info";
    default:
        return "debug";
    }
}

static size_t write_prefix(enum log_level level, char *out, size_t len)
{
    if (settings.journal)
        return (size_t)snprintf(out, len, "<%d>", (int)level);

    int64_t now_us = clock_realtime_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    return (size_t)snprintf(out, len, "%s.%03dZ %s[%d] %s: ", stamp, (int)(now_us / 1000 % 1000),
                            settings.program, (int)getpid(), level_name(level));
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > settings.most)
        return;
    int saved = errno;
    char line[LINE_MAX_BYTES];
    size_t start = write_prefix(level, line, sizeof line - 1);

    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(line + start, sizeof line - 1 - start, format, arguments);
    va_end(arguments);
    if (wanted < 0)
        wanted = 0;
    size_t length = start + (size_t)wanted;
    if (length > sizeof line - 2) {
        length = sizeof line - 2;
        memcpy(line + length - 3, "...", 3);
    }
    for (size_t i = start; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    line[length++] = '\n';

    ssize_t written;
    do
        written = write(STDERR_FILENO, line, length);
    while (written < 0 && errno == EINTR);
    errno = saved; /* a log line must not change what the caller is about to report */
}
