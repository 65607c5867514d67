/* SPDX-License-Identifier: MIT
 *
 * One question to the running daemon over its control socket: a JSON object a line, and a JSON object back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "tools/ctl.h"

#define ANSWER_MAX    (16u << 20)
#define ANSWER_S      45 /* an order waits up to 30 s for its turn at the writer */
#define POLL_ANSWER_S 1  /* of a question that is asked again and again */

/* A daemon that hangs (or is stopped by a debugger) accepts and never answers: nobody waits for it for ever. */
static int connect_control(const char *path, int answer_s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = answer_s};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), kept;

    if (fd < 0)
        return -1;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

static int send_line(int fd, const char *line)
{
    size_t len = strlen(line), sent = 0;
    ssize_t n = 0;

    while (sent < len && (n = send(fd, line + sent, len - sent, MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    return sent == len && send(fd, "\n", 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* Up to the newline; NULL when the daemon hung up. */
static char *read_line(int fd)
{
    size_t len = 0, room = 65536;
    char *text = malloc(room), *grown;
    ssize_t n;

    while (text && (n = read(fd, text + len, room - len - 1)) > 0) {
        len += (size_t)n;
        text[len] = '\0';
        if (text[len - 1] == '\n') {
            text[len - 1] = '\0';
            return text;
        }
        if (room - len < 2) {
            if (room >= ANSWER_MAX || !(grown = realloc(text, room * 2)))
                break;
            text = grown;
            room *= 2;
        }
    }
    free(text);
    return NULL;
}

static int say_no_daemon(struct ctl *ctl, bool quiet)
{
    int code = errno == EACCES || errno == EPERM ? EX_NOPERM : EX_UNAVAILABLE;

    if (quiet)
        return code;
    return ctl_fail(code, "no daemon answers at %s: %s", ctl->config->control, strerror(errno));
}

struct json_value *ctl_ask(struct ctl *ctl, const char *request, int *code, bool quiet)
{
    struct json_value *answer = NULL;
    char error[600] = "";
    char *line = NULL;
    bool silent;
    int fd;

    if (!ctl->config && !(ctl->config = config_load(ctl->config_path, error, sizeof(error)))) {
        *code = ctl_fail(EX_CONFIG, "%s", error);
        return NULL;
    }
    fd = connect_control(ctl->config->control, quiet           ? POLL_ANSWER_S
                                               : ctl->answer_s ? ctl->answer_s
                                                               : ANSWER_S);
    if (fd < 0) {
        *code = say_no_daemon(ctl, quiet);
        return NULL;
    }
    errno = 0;
    if (send_line(fd, request) == 0)
        line = read_line(fd);
    silent = !line && (errno == EAGAIN || errno == EWOULDBLOCK);
    close(fd);
    if (line)
        answer = ctl_parse(line, error, sizeof(error));
    if (!answer) {
        *code = EX_UNAVAILABLE;
        if (!quiet && silent)
            ctl_fail(*code, "the daemon at %s did not answer within %d s: is it stopped, or hanging?",
                     ctl->config->control, ctl->answer_s ? ctl->answer_s : ANSWER_S);
        else if (!quiet)
            ctl_fail(*code, "the daemon hung up before it answered%s%s", *error ? ": " : "", error);
        goto out;
    }
    *code = EX_OK;
    if (json_get(answer, "error")) {
        *code = (int)json_int(json_get(answer, "code"), EX_UNAVAILABLE);
        if (!quiet)
            ctl_fail(*code, "%s", json_string(json_get(answer, "error"), "refused"));
    } else if (ctl->json && !quiet) {
        printf("%s\n", line);
    } else if (json_get(answer, "answer") && !quiet) {
        printf("%s\n", json_string(json_get(answer, "answer"), ""));
    }
out:
    free(line);
    return answer;
}
