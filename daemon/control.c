/* SPDX-License-Identifier: MIT
 *
 * The control socket's server. One thread accepts; each connection has a thread of its own, because a command
 * may wait for the work (a reload recomputes everything) and a question about the state must not wait behind
 * it. Who may connect, and ask, is decided by the socket's mode and group; orders are taken from root and from the
 * daemon's own user only, by what the kernel says of the peer. At most CONNECTIONS_MAX at a time, of which who may
 * only ask gets a few: he must not be able to lock the operator out. */
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/log.h"

#define CONNECTIONS_MAX   16
#define PLACES_OF_ORDERS  4 /* only for who may order */
#define PLACES_OF_USER    4 /* of one user who may only ask */
#define REQUEST_BYTES_MAX 65536
#define IDLE_S            10 /* for a whole request, from the connection or the answer before it */
#define IDLE_US           (IDLE_S * 1000000ULL)
#define SHORT_OF_MS       100
#define STACK_USED        32768
#define OVERFLOW_UID      65534 /* what a user of another namespace looks like */

struct connection {
    struct control *control;
    pthread_t thread;
    int fd;
    struct ucred peer;
    bool used;         /* thread exists; accepting thread only */
    _Atomic bool done; /* thread has ended but for being joined */
};

struct control {
    const struct control_command *commands;
    void *context;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct stat bound; /* of the socket file: at the end only our own is removed */
    int listener, wake, lock;
    pthread_t thread;
    struct connection connections[CONNECTIONS_MAX];
};

void control_refuse(struct json_writer *answer, int code, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_write_string(answer, "error", text);
    json_write_int(answer, "code", code);
}

/* 1. One request. */

/* In a user namespace (PrivateUsers=) every unmapped user shows as 65534: that is nobody's word, also when the daemon
 * itself runs as nobody. */
static bool may_change(const struct ucred *peer)
{
    return peer->uid == 0 || (peer->uid == geteuid() && peer->uid != OVERFLOW_UID);
}

static void run_command(const struct control_command *command, void *context, const struct ucred *peer,
                        const struct json_value *request, struct json_writer *answer)
{
    if (command->changes && !may_change(peer)) {
        log_warning("control: %s refused to uid %u, pid %d", command->name, (unsigned)peer->uid,
                    (int)peer->pid);
        control_refuse(
            answer, EX_NOPERM,
            "%s changes something, which only root and the daemon's own user may do; this is uid %u: "
            "ask with sudo",
            command->name, (unsigned)peer->uid);
        return;
    }
    if (command->changes)
        log_notice("control: %s by uid %u, pid %d", command->name, (unsigned)peer->uid, (int)peer->pid);
    command->run(context, request, answer);
}

static void run_request(const struct control_command *commands, void *context, const struct ucred *peer,
                        const char *line, struct json_writer *answer)
{
    char reason[256];
    struct json_value *request = json_parse(line, reason, sizeof reason);
    const char *name = json_string(json_get(request, "command"), NULL);
    if (!request) {
        control_refuse(answer, EX_USAGE, "not a JSON object: %s", reason);
        return;
    }
    const struct control_command *command = commands;
    while (name && command->name && strcmp(command->name, name) != 0)
        command++;
    if (!name || !command->name) {
        /* Shown only when it can be a slip of the pen: no command has a digit, and what has some may be anything. */
        bool shown = name && !strpbrk(name, "0123456789");
        control_refuse(answer, EX_USAGE,
                       shown  ? "unknown command \"%.64s\""
                       : name ? "unknown command%s"
                              : "\"command\" is missing%s",
                       shown ? name : "");
    } else {
        run_command(command, context, peer, request, answer);
    }
    json_free(&request);
}

char *control_answer(const struct control_command *commands, void *context, const struct ucred *peer,
                     const char *line, size_t len)
{
    struct json_writer answer;
    json_writer_init(&answer);
    json_open_object(&answer, NULL);
    if (strlen(line) == len)
        run_request(commands, context, peer, line, &answer);
    else
        control_refuse(&answer, EX_USAGE, "not a JSON object: it has a zero byte");
    json_close_object(&answer);
    json_write_text(&answer, "\n");
    return json_writer_take(&answer);
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static bool answer_line(struct connection *c, const char *line, size_t len)
{
    char *text = control_answer(c->control->commands, c->control->context, &c->peer, line, len);
    sodium_stackzero(STACK_USED); /* numbers of the request have been there */
    bool sent = text && send_all(c->fd, text, strlen(text));
    free(text);
    return sent;
}

/* 2. One connection. Ends at end of input, when a request is not complete in time, on a line that is too long, or when
 * the server shuts it. */

/* Like recv(), until the deadline: a blank now and then must not hold a place. */
static ssize_t receive_until(int fd, char *buffer, size_t len, uint64_t deadline_us)
{
    for (;;) {
        uint64_t now = clock_monotonic_us();
        struct pollfd item = {.fd = fd, .events = POLLIN};
        if (now >= deadline_us)
            return -1;
        int n = poll(&item, 1, (int)((deadline_us - now) / 1000) + 1);
        ssize_t got = n > 0 ? recv(fd, buffer, len, MSG_DONTWAIT) : -1;
        if (got >= 0 || (n < 0 && errno != EINTR) || (n > 0 && errno != EINTR && errno != EAGAIN))
            return got;
    }
}

static void *serve_connection(void *argument)
{
    struct connection *c = argument;
    char *buffer = malloc(REQUEST_BYTES_MAX + 1);
    size_t len = 0;
    uint64_t deadline_us = clock_monotonic_us() + IDLE_US;
    while (buffer) {
        ssize_t n = receive_until(c->fd, buffer + len, REQUEST_BYTES_MAX - len, deadline_us);
        if (n <= 0)
            break;
        len += (size_t)n;
        char *start = buffer, *end;
        bool good = true;
        while (good && (end = memchr(start, '\n', len)) != NULL) {
            *end = '\0';
            good = answer_line(c, start, (size_t)(end - start));
            len -= (size_t)(end + 1 - start);
            start = end + 1;
            deadline_us = clock_monotonic_us() + IDLE_US;
        }
        memmove(buffer, start, len);
        explicit_bzero(buffer + len, REQUEST_BYTES_MAX + 1 - len); /* whatever was asked, it is not kept */
        if (!good)
            break;
        if (len == REQUEST_BYTES_MAX) {
            static const char refusal[] = "{\"error\":\"the request is longer than 64 KiB\",\"code\":64}\n";
            (void)!send_all(c->fd, refusal, sizeof refusal - 1);
            break;
        }
    }
    if (buffer)
        explicit_bzero(buffer, REQUEST_BYTES_MAX + 1);
    free(buffer);
    shutdown(c->fd,
             SHUT_RDWR); /* the descriptor is closed by who joins: its number must not be reused before */
    atomic_store(&c->done, true);
    return NULL;
}

static void join_connection(struct connection *c)
{
    pthread_join(c->thread, NULL);
    close(c->fd);
    c->used = false;
}

/* 3. Accepting. */

static struct connection *free_connection(struct control *control)
{
    struct connection *found = NULL;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &control->connections[i];
        if (c->used && atomic_load(&c->done))
            join_connection(c);
        if (!c->used && !found)
            found = c;
    }
    return found;
}

/* Users of another namespace all look like one, and share what one gets. */
static struct connection *place_for(struct control *control, const struct ucred *peer)
{
    struct connection *found = free_connection(control);
    int asking = 0, same = 0;
    if (may_change(peer))
        return found;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *c = &control->connections[i];
        asking += c->used && !may_change(&c->peer);
        same += c->used && c->peer.uid == peer->uid;
    }
    return asking < CONNECTIONS_MAX - PLACES_OF_ORDERS && same < PLACES_OF_USER ? found : NULL;
}

/* false: no descriptor or memory is left; who asks waits in the backlog. */
static bool accept_connection(struct control *control)
{
    int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    /* A peer that does not read its answer gives its place back. */
    struct timeval idle = {.tv_sec = IDLE_S};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &idle, sizeof idle);
    struct ucred peer;
    socklen_t size = sizeof peer;
    bool named = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    struct connection *c = named ? place_for(control, &peer) : NULL;
    if (c) {
        c->control = control;
        c->fd = fd;
        c->peer = peer;
        atomic_store(&c->done, false);
        if (pthread_create(&c->thread, NULL, serve_connection, c) == 0) {
            c->used = true;
            return true;
        }
    }
    static const char refusal[] = "{\"error\":\"too many connections; try again\",\"code\":69}\n";
    (void)!send_all(fd, refusal, sizeof refusal - 1);
    close(fd);
    return true;
}

static void *serve(void *argument)
{
    struct control *control = argument;
    struct pollfd items[2] = {{.fd = control->wake, .events = POLLIN},
                              {.fd = control->listener, .events = POLLIN}};
    bool short_of = false;
    for (;;) {
        /* The time-out only gives descriptors of ended connections back. Short of them, the listener is left
         * alone for a while: it would be readable all the time. */
        int n = poll(items, short_of ? 1 : 2, short_of ? SHORT_OF_MS : 5000);
        if (n < 0 && errno != EINTR)
            log_error("control: poll: %s", strerror(errno));
        if (n > 0 && items[0].revents)
            return NULL;
        if (!short_of && n > 0 && items[1].revents) {
            short_of = !accept_connection(control);
        } else {
            short_of = false;
            (void)free_connection(control);
        }
    }
}

/* 4. The socket file. A lock beside it keeps two starting daemons from replacing each other's socket. */

/* What is full may have room again: the service manager shall try again, which it does not after 77 and 78. */
static int exit_code_of(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
        return EX_NOPERM;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return EX_OSERR;
    default:
        return EX_CONFIG;
    }
}

static int take_lock(struct control *control, char *error, size_t error_len)
{
    char path[sizeof control->path + 8];
    snprintf(path, sizeof path, "%s.lock", control->path);
    control->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (control->lock < 0) {
        snprintf(error, error_len, "%s: %s", path, strerror(errno));
        return exit_code_of(errno);
    }
    if (flock(control->lock, LOCK_EX | LOCK_NB) != 0) {
        snprintf(error, error_len, "%s: another daemon uses this control socket", control->path);
        return EX_UNAVAILABLE;
    }
    return 0;
}

/* 0: the path is free now. */
static int clear_stale(const struct sockaddr_un *address, char *error, size_t error_len)
{
    struct stat info;
    if (lstat(address->sun_path, &info) != 0)
        return 0; /* bind() says what else is wrong */
    if (!S_ISSOCK(info.st_mode)) {
        snprintf(error, error_len, "%s: exists and is not a socket", address->sun_path);
        return EX_CONFIG;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int refused = fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    if (refused != ECONNREFUSED) {
        /* Connected, or a full backlog: somebody listens. */
        snprintf(error, error_len, "%s: %s", address->sun_path,
                 refused && refused != EAGAIN ? strerror(refused) : "another daemon answers here");
        return refused == EACCES ? EX_NOPERM : EX_UNAVAILABLE;
    }
    log_notice("control: replacing the stale socket %s", address->sun_path);
    if (unlink(address->sun_path) != 0 && errno != ENOENT) {
        snprintf(error, error_len, "%s: cannot be replaced: %s", address->sun_path, strerror(errno));
        return EX_NOPERM;
    }
    return 0;
}

static int open_listener(struct control *control, char *error, size_t error_len)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, control->path, sizeof control->path);
    int code = take_lock(control, error, error_len);
    if (!code)
        code = clear_stale(&address, error, error_len);
    if (code)
        return code;

    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* fchmod() on the unbound socket: the file is never there with a wider mode, whatever the umask. */
    if (control->listener < 0 || fchmod(control->listener, 0660) != 0 ||
        bind(control->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(control->path, 0660) != 0 || stat(control->path, &control->bound) != 0 ||
        listen(control->listener, CONNECTIONS_MAX) != 0) {
        snprintf(error, error_len, "%s: %s", control->path, strerror(errno));
        return exit_code_of(errno);
    }
    return 0;
}

static void close_descriptor(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void release(struct control *control)
{
    struct stat now;
    if (control->bound.st_ino && stat(control->path, &now) == 0 && now.st_ino == control->bound.st_ino &&
        now.st_dev == control->bound.st_dev)
        unlink(control->path);
    close_descriptor(&control->listener);
    close_descriptor(&control->wake);
    close_descriptor(&control->lock); /* the lock file stays: removing it would let two hold "the" lock */
    free(control);
}

struct control *control_start(const char *path, const struct control_command *commands, void *context,
                              int *code, char *error, size_t error_len)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control || strlen(path) >= sizeof control->path) {
        snprintf(error, error_len, "%s: %s", path, control ? "path is too long" : "out of memory");
        *code = control ? EX_CONFIG : EX_OSERR;
        free(control);
        return NULL;
    }
    control->commands = commands;
    control->context = context;
    control->listener = control->wake = control->lock = -1;
    snprintf(control->path, sizeof control->path, "%s", path);
    *code = open_listener(control, error, error_len);
    if (*code)
        goto out;
    control->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control->wake < 0 || pthread_create(&control->thread, NULL, serve, control) != 0) {
        snprintf(error, error_len, "control: no descriptor or thread left");
        *code = EX_OSERR;
    }
out:
    if (*code) {
        release(control);
        return NULL;
    }
    return control;
}

void control_stop(struct control **control)
{
    struct control *c = *control;
    if (!c)
        return;
    uint64_t one = 1;
    (void)!write(c->wake, &one, sizeof one);
    pthread_join(c->thread, NULL);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (c->connections[i].used)
            shutdown(c->connections[i].fd, SHUT_RD); /* an answer under way is still sent */
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        if (c->connections[i].used)
            join_connection(&c->connections[i]);
    release(c);
    *control = NULL;
}
