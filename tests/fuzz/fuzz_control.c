/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a line on the control socket, and as what teldagctl gets back. Every request has an answer of one line, a
 * JSON object with either an error and a code or what the command wrote; what a request holds can be written and read
 * again as the same; and whatever an answer holds, teldagctl prints it without a character that steers a terminal.
 *
 * links: tests/fuzz/fake.o tools/ctl_text.o
 */
#include "tests/fuzz/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/control.h"
#include "tools/ctl.h"

static FILE *out;
static int say(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define printf say
#include "tools/ctl_control.c"
#undef printf

#include <stdarg.h>

static int say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vfprintf(out, format, arguments);
    va_end(arguments);
    return n;
}

static const char *answer_text; /* what the daemon is made to have said */

struct json_value *ctl_ask(struct ctl *ctl, const char *request, int *code, bool quiet)
{
    char error[300];
    (void)ctl, (void)request, (void)quiet;
    *code = EX_OK;
    return ctl_parse(answer_text, error, sizeof error);
}
bool ctl_flag(struct ctl *ctl, const char *name)
{
    (void)ctl, (void)name;
    return false;
}
const char *ctl_option(struct ctl *ctl, const char *name)
{
    (void)ctl, (void)name;
    return NULL;
}
int ctl_usage(const char *format, ...)
{
    (void)format;
    return EX_USAGE;
}
int ctl_fail(int code, const char *format, ...)
{
    (void)format;
    return code;
}

static void write_again(struct json_writer *w, const char *name, const struct json_value *v)
{
    if (json_is_object(v) || json_is_array(v)) {
        bool object = json_is_object(v);
        object ? json_open_object(w, name) : json_open_array(w, name);
        for (size_t i = 0; i < json_count(v); i++)
            write_again(w, json_name_at(v, i), json_at(v, i));
        object ? json_close_object(w) : json_close_array(w);
    } else if (json_string(v, NULL)) {
        json_write_string(w, name, json_string(v, NULL));
    } else if (json_int(v, 1) == json_int(v, 2)) {
        json_write_int(w, name, json_int(v, 1));
    } else if (json_bool(v, true) == json_bool(v, false)) {
        json_write_bool(w, name, json_bool(v, true));
    } else {
        json_write_null(w, name); /* null, and numbers beyond 64 bits or with a fraction */
    }
}

static void check_again(const struct json_value *v)
{
    char error[300] = "";
    struct json_writer first, second;
    json_writer_init(&first);
    json_writer_init(&second);
    write_again(&first, NULL, v);
    MUST_HOLD(!first.failed);
    struct json_value *again = json_parse(first.text, error, sizeof error);
    MUST_HOLD(again);
    write_again(&second, NULL, again);
    MUST_HOLD(!second.failed && strcmp(first.text, second.text) == 0);
    json_free(&again);
    json_writer_fini(&first);
    json_writer_fini(&second);
}

static void run_echo(void *context, const struct json_value *request, struct json_writer *answer)
{
    ++*(int *)context;
    check_again(request);
    json_write_string(answer, "answer", json_string(json_get(request, "text"), ""));
    write_again(answer, "request", request);
}

static void run_refuse(void *context, const struct json_value *request, struct json_writer *answer)
{
    ++*(int *)context;
    control_refuse(answer, 64, "refused %s", json_string(json_get(request, "text"), "it"));
}

/* line has size bytes and a NUL behind them, and no newline, as the connection cuts it. */
static void check_request(const char *line, size_t size)
{
    static const struct control_command commands[] = {
        {"echo", run_echo, false}, {"refuse", run_refuse, true}, {NULL, NULL, false}};
    const struct ucred peer = {.pid = 1, .uid = 0, .gid = 0};
    char error[300] = "";
    int ran = 0;
    char *answer = control_answer(commands, &ran, &peer, line, size);
    MUST_HOLD(answer);
    size_t len = strlen(answer);
    MUST_HOLD(len >= 3 && answer[len - 1] == '\n' && !memchr(answer, '\n', len - 1));
    struct json_value *v = json_parse(answer, error, sizeof error);
    MUST_HOLD(json_is_object(v) && ran <= 1);
    if (!ran || json_get(v, "error"))
        MUST_HOLD(*json_string(json_get(v, "error"), "") && json_int(json_get(v, "code"), 0) == 64);
    else
        MUST_HOLD(json_get(v, "request"));
    json_free(&v);
    free(answer);
}

static void check_print(const char *text)
{
    static char printed[1 << 18];
    struct ctl ctl = {0};
    answer_text = text;
    if (!out)
        out = fmemopen(printed, sizeof printed, "w");
    MUST_HOLD(out);
    rewind(out);
    (void)ctl_status(&ctl);
    (void)ctl_reload(&ctl);
    MUST_HOLD(fflush(out) == 0);
    const char *end = printed + ftell(out);
    for (const char *p = printed; p < end; p++)
        MUST_HOLD(*p == '\n' || ((unsigned char)*p >= ' ' && *p != 0x7f &&
                                 !((unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = malloc(size + 1);
    MUST_HOLD(line);
    memcpy(line, data, size);
    line[size] = '\0';
    check_request(line, memchr(line, '\n', size) ? strcspn(line, "\n") : size);
    if (memchr(line, '\n', size))
        line[strcspn(line, "\n")] = '\0';
    check_print(line);
    free(line);
    return 0;
}
