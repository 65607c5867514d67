/* SPDX-License-Identifier: MIT
 *
 * What an operator can ask or order. Orders that change figures go to the writer, which records them as
 * events of its own; nothing here touches state. A reload is all or nothing for what it can apply while
 * running: rules and near. */
#include "workers/operator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/failpoint.h"
#include "daemon/log.h"
#include "workers/allocation.h"
#include "workers/report.h"

#define REQUEST_MS 30000  /* how long a command waits for its turn */
#define RETAIN_MS  900000 /* and one that takes millions of rows away */

static int exit_code(int err)
{
    switch (err) {
    case ERR_INVALID:
    case ERR_RANGE:
    case ERR_MISSING:
    case ERR_EXISTS:
        return EX_DATAERR;
    case ERR_DB_CONFIG:
        return EX_CONFIG;
    case ERR_AGAIN:
    case ERR_CLOSED:
    case ERR_DB_RETRY:
    case ERR_DB_UNKNOWN:
    case ERR_FENCE:
        return EX_UNAVAILABLE;
    default:
        return EX_SOFTWARE;
    }
}

/* 1. Questions. */

static void answer_status(void *context, const struct json_value *request, struct json_writer *answer)
{
    (void)request;
    struct report r;
    if (report_take(context, &r) != 0) {
        control_refuse(answer, EX_OSERR, "out of memory");
        return;
    }
    report_write_status(&r, answer);
    report_free(&r);
}

static void answer_streams(void *context, const struct json_value *request, struct json_writer *answer)
{
    (void)request;
    struct report r;
    if (report_take(context, &r) != 0) {
        control_refuse(answer, EX_OSERR, "out of memory");
        return;
    }
    report_write_streams(&r, answer);
    report_free(&r);
}

/* Every receiver of a journalled stream sends a HELLO of this generation; `streams` shows when it was
 * answered, and the head it brought. That is what "caught up" can be measured by. */
static void ask_hello(void *context, const struct json_value *request, struct json_writer *answer)
{
    (void)request;
    struct service *s = context;
    uint64_t generation = atomic_fetch_add(&s->hello_generation, 1) + 1;
    for (size_t i = 0; s->streams[i]; i++) {
        struct stream_status *status = s->streams[i];
        pthread_mutex_lock(&status->mutex);
        if (!status->best_effort && generation > status->hello_wanted)
            status->hello_wanted = generation;
        pthread_mutex_unlock(&status->mutex);
    }
    json_write_uint(answer, "generation", generation);
}

/* 2. Orders to the writer. */

static void send_order(struct service *s, struct writer_request *order, struct json_writer *answer)
{
    int err = writer_request(s->writer, order, REQUEST_MS);
    if (err)
        control_refuse(answer, exit_code(err), "%s", order->answer[0] ? order->answer : err_text(err));
    else
        json_write_string(answer, "answer", order->answer);
}

static bool take_stream(const struct json_value *request, struct writer_request *order,
                        struct json_writer *answer)
{
    const char *name = json_string(json_get(request, "stream"), NULL);
    if (!name || !wire_name_is_valid(name, strlen(name))) {
        control_refuse(answer, EX_USAGE, "\"stream\" must be a stream's name, such as \"registration.0\"");
        return false;
    }
    snprintf(order->stream, sizeof order->stream, "%s", name);
    return true;
}

static void order_accept(void *context, const struct json_value *request, struct json_writer *answer)
{
    struct writer_request order = {0};
    const char *mode = json_string(json_get(request, "mode"), "");
    bool resend = strcmp(mode, "resend") == 0;
    if (!resend && strcmp(mode, "continue") != 0) {
        control_refuse(answer, EX_USAGE, "\"mode\" must be \"resend\" or \"continue\"");
        return;
    }
    order.act = resend ? ACT_ACCEPT_RESEND : ACT_ACCEPT_CONTINUE;
    if (take_stream(request, &order, answer))
        send_order(context, &order, answer);
}

static void order_pause(void *context, const struct json_value *request, struct json_writer *answer)
{
    struct writer_request order = {.act = ACT_PAUSE};
    if (take_stream(request, &order, answer))
        send_order(context, &order, answer);
}

static void order_resume(void *context, const struct json_value *request, struct json_writer *answer)
{
    struct writer_request order = {.act = ACT_RESUME};
    if (take_stream(request, &order, answer))
        send_order(context, &order, answer);
}

static void order_dead_letter(void *context, const struct json_value *request, struct json_writer *answer)
{
    struct writer_request order = {0};
    const char *act = json_string(json_get(request, "act"), "");
    bool retry = strcmp(act, "retry") == 0;
    if (!retry && strcmp(act, "drop") != 0) {
        control_refuse(answer, EX_USAGE, "\"act\" must be \"retry\" or \"drop\"");
        return;
    }
    order.act = retry ? ACT_DEAD_RETRY : ACT_DEAD_DROP;
    /* Absent: of the stream's current epoch, all open ones. A value that is no such number is not "absent".
     */
    int64_t epoch = json_int(json_get(request, "epoch"), json_get(request, "epoch") ? -1 : 0);
    int64_t seq = json_int(json_get(request, "seq"), json_get(request, "seq") ? -1 : 0);
    if (epoch < 0 || seq < 0) {
        control_refuse(answer, EX_USAGE, "\"epoch\" and \"seq\" must be positive integers");
        return;
    }
    if (!retry && seq == 0) {
        control_refuse(answer, EX_USAGE, "\"drop\" takes the \"seq\" of one dead letter");
        return;
    }
    order.epoch = (uint64_t)epoch;
    order.seq = (uint64_t)seq;
    if (take_stream(request, &order, answer))
        send_order(context, &order, answer);
}

/* "2025-2026" -> 2025; 0 when it is no school year. */
static int school_year(const char *text)
{
    char again[YEAR_TEXT_MAX];
    int year = atoi(text);
    if (year < 1990 || year > 2098)
        return 0;
    year_format(year, again);
    return strcmp(text, again) == 0 ? year : 0;
}

static void order_fix(void *context, const struct json_value *request, struct json_writer *answer)
{
    struct writer_request order = {0};
    const char *what = json_string(json_get(request, "what"), "");
    bool budget = strcmp(what, "budget") == 0;
    if (!budget && strcmp(what, "reference") != 0) {
        control_refuse(answer, EX_USAGE, "\"what\" must be \"budget\" or \"reference\"");
        return;
    }
    order.act = budget ? ACT_FIX_BUDGET : ACT_FIX_REFERENCE;
    order.year = school_year(json_string(json_get(request, "school_year"), ""));
    if (order.year)
        send_order(context, &order, answer);
    else
        control_refuse(answer, EX_USAGE, "\"school_year\" must be a school year, such as \"2025-2026\"");
}

static void order_retain(void *context, const struct json_value *request, struct json_writer *answer)
{
    struct service *s = context;
    struct writer_request order = {.act = ACT_RETAIN};
    order.year = school_year(json_string(json_get(request, "before"), ""));
    order.as_they_are = json_bool(json_get(request, "as_they_are"), false);
    if (!order.year) {
        control_refuse(answer, EX_USAGE, "\"before\" must be a school year, such as \"2019-2020\"");
        return;
    }
    int err = writer_request(s->writer, &order, RETAIN_MS);
    if (err)
        control_refuse(answer, exit_code(err), "%s", order.answer[0] ? order.answer : err_text(err));
    else
        json_write_string(answer, "answer", order.answer);
}

/* 3. Reload. */

/* Puts a rules set in force unless it already is. 0, or an exit code with the reason in text. */
static int apply_rules(struct service *s, struct rules_set **rules, char *text, size_t len)
{
    struct writer_status status;
    writer_read_status(s->writer, &status);
    if (strcmp(status.rules_hash, rules_hash(*rules)) == 0) {
        snprintf(text, len, "rules unchanged");
        return 0;
    }
    struct writer_request order = {.act = ACT_RULES, .rules = *rules};
    *rules = NULL;
    int err = writer_request(s->writer, &order, REQUEST_MS);
    bool taken = order.rules == NULL;
    rules_free(&order.rules);
    snprintf(text, len, "%s", order.answer[0] ? order.answer : err_text(err));
    return err && !taken ? exit_code(err) : 0;
}

/* What a reload can change has changed: the running configuration says so. */
static void take_over(struct config *running, struct config *wanted)
{
    char *rules = running->rules;
    running->rules = wanted->rules;
    wanted->rules = rules;
    running->near_pupils = wanted->near_pupils;
    running->near_hours = wanted->near_hours;
}

/* The list in the file that is in force; another file waits for the restart, as its key says. */
static void apply_allow(struct service *s, const struct config *wanted, struct allow **list)
{
    if (!*list || !s->config->curve_allow || strcmp(s->config->curve_allow, wanted->curve_allow) != 0)
        return;
    size_t keys = allow_count(*list);
    unsigned ended = bus_gate_allow(s->gate, list);
    log_notice("allow-list read: %zu keys; %u connections ended whose rights changed", keys, ended);
}

struct reload {
    int code; /* 0: done */
    char text[1024], live[256], restart[512];
};

static void reload(struct service *s, struct reload *out)
{
    struct rules_set *rules = NULL;
    struct pseudonym_keys *keys = NULL;
    *out = (struct reload){.code = EX_CONFIG};
    pthread_mutex_lock(&s->reload_mutex);
    notify_reloading(s->notify);
    FAILPOINT(reload, begun);
    struct config *wanted = config_load(s->config->path, out->text, sizeof out->text);
    if (wanted)
        out->code = service_load_files(wanted, &rules, &keys, out->text, sizeof out->text);
    struct service_curve curve = {0};
    if (wanted && out->code == 0)
        out->code = service_curve_load(wanted, &curve, out->text, sizeof out->text);
    if (wanted && out->code == 0) {
        FAILPOINT(reload, files_read);
        config_compare(s->config, wanted, out->live, sizeof out->live, out->restart, sizeof out->restart);
        out->code = apply_rules(s, &rules, out->text, sizeof out->text);
        FAILPOINT(reload, rules_applied);
        if (out->code == 0) {
            take_over(s->config, wanted);
            apply_allow(s, wanted, &curve.allow);
        }
        FAILPOINT(reload, taken_over);
    }
    rules_free(&rules);
    pseudonym_keys_free(&keys);
    service_curve_free(&curve);
    config_free(&wanted);
    notify_ready(s->notify);
    pthread_mutex_unlock(&s->reload_mutex);

    if (out->code)
        log_error("reload refused, the old configuration stays in force: %s", out->text);
    else
        log_notice("reloaded: %s%s%s%s%s", out->text, out->live[0] ? "; applied: " : "", out->live,
                   out->restart[0] ? "; changed, but needs a restart: " : "", out->restart);
}

static void order_reload(void *context, const struct json_value *request, struct json_writer *answer)
{
    (void)request;
    struct reload result;
    reload(context, &result);
    if (result.code) {
        control_refuse(answer, result.code, "the old configuration stays in force: %s", result.text);
        return;
    }
    json_write_string(answer, "answer", result.text);
    json_write_string(answer, "applied", result.live);
    json_write_string(answer, "restart", result.restart);
}

static void *reload_thread(void *context)
{
    struct reload result;
    reload(context, &result);
    return NULL;
}

void operator_reload_later(void *service)
{
    struct service *s = service;
    if (s->reload_thread_used)
        pthread_join(s->reload_thread, NULL);
    s->reload_thread_used = pthread_create(&s->reload_thread, NULL, reload_thread, s) == 0;
    if (!s->reload_thread_used)
        log_error("reload refused: no thread left");
}

const struct control_command operator_commands[] = {
    {"status", answer_status, false},
    {"streams", answer_streams, false},
    {"hello", ask_hello, false},
    {"accept", order_accept, true},
    {"pause", order_pause, true},
    {"resume", order_resume, true},
    {"dead-letter", order_dead_letter, true},
    {"fix", order_fix, true},
    {"retain", order_retain, true},
    {"reload", order_reload, true},
    {NULL},
};
