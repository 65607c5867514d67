/* SPDX-License-Identifier: MIT
 *
 * teldagctl's commands that ask the running daemon: status, streams, orders about streams, reload, and
 * waiting until everything the feeds hold is committed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "daemon/clock.h"
#include "tools/ctl.h"

#define EXIT_DEGRADED 1
#define POLL_MS       20
#define WAIT_MAX_S    1e9

static int64_t number(const struct json_value *v, const char *name)
{
    return json_int(json_get(v, name), 0);
}

static const char *text(const struct json_value *v, const char *name)
{
    return json_string(json_get(v, name), "-");
}

static void print_stream(const struct json_value *s)
{
    char lag[24] = "-";

    if (json_get(s, "lag"))
        snprintf(lag, sizeof(lag), "%" PRId64, number(s, "lag"));
    printf("%-20s %-9s %-11s next %-10" PRId64 " lag %-8s gaps %" PRId64 ", fetches %" PRId64
           ", duplicates %" PRId64 ", damaged %" PRId64 ", silent %.1f s%s%s\n",
           text(s, "name"), text(s, "state"), text(s, "reliability"), number(s, "committed_next"), lag,
           number(s, "gaps"), number(s, "fetches"), number(s, "duplicates"), number(s, "damaged"),
           json_double(json_get(s, "silence_s"), 0), *json_string(json_get(s, "reason"), "") ? ": " : "",
           json_string(json_get(s, "reason"), ""));
}

static void print_streams(const struct json_value *answer)
{
    const struct json_value *streams = json_get(answer, "streams");

    for (size_t i = 0; i < json_count(streams); i++)
        print_stream(json_at(streams, i));
}

static void print_alerts(const struct json_value *writer)
{
    const struct json_value *alerts = json_get(writer, "alerts");
    bool any = false;

    printf("alerts:     ");
    for (size_t i = 0; i < json_count(alerts); i++) {
        const struct json_value *kind = json_at(alerts, i);
        int64_t critical = number(kind, "critical"),
                all = critical + number(kind, "warning") + number(kind, "info");

        if (!all)
            continue;
        printf("%s%s %" PRId64, any ? ", " : "", json_name_at(alerts, i), all);
        if (critical)
            printf(" (%" PRId64 " critical)", critical);
        any = true;
    }
    printf("%s\n", any ? "" : "none");
}

static void print_status(const struct json_value *a)
{
    const struct json_value *writer = json_get(a, "writer"), *reasons = json_get(a, "reasons"),
                            *commit = json_get(writer, "commit");

    printf("teldagd %s, pid %" PRId64 ", up %.0f s, %s\n", text(a, "version"), number(a, "pid"),
           json_double(json_get(a, "uptime_s"), 0),
           json_bool(json_get(a, "degraded"), false) ? "DEGRADED" : "healthy");
    for (size_t i = 0; i < json_count(reasons); i++)
        printf("  ! %s\n", json_string(json_at(reasons, i), ""));
    printf("writer:     %s%s%s\n", text(writer, "phase"),
           *json_string(json_get(writer, "message"), "") ? ": " : "",
           json_string(json_get(writer, "message"), ""));
    printf("committed:  %" PRId64 " events in %" PRId64 " batches; p50 <= %.4f s, p99 <= %.4f s; %" PRId64
           " dead letters, %" PRId64 " retries\n",
           number(writer, "events"), number(writer, "batches"),
           json_double(json_get(commit, "p50_s_at_most"), 0),
           json_double(json_get(commit, "p99_s_at_most"), 0), number(writer, "dead_letters"),
           number(writer, "retries"));
    printf("ledger:     %" PRId64 " registrations stand in %" PRId64 " schools, %" PRId64
           " unmatched; %.1f MB; rebuilt in %.2f s\n",
           number(writer, "live_registrations"), number(writer, "schools"), number(writer, "unmatched"),
           (double)number(writer, "ledger_bytes") / 1e6, json_double(json_get(writer, "rebuild_s"), 0));
    printf("rules:      %s, clock %s\n", text(a, "rules_hash"), text(a, "today"));
    print_alerts(writer);
    printf("memory:     %.1f MB\n", (double)number(a, "rss_bytes") / 1e6);
    print_streams(a);
}

int ctl_status(struct ctl *ctl)
{
    struct json_value *answer;
    int code;

    if (ctl->argc > 0)
        return ctl_usage("status takes no arguments");
    answer = ctl_ask(ctl, "{\"command\": \"status\"}", &code, false);
    if (answer && code == EX_OK) {
        if (!ctl->json)
            print_status(answer);
        code = json_bool(json_get(answer, "degraded"), false) ? EXIT_DEGRADED : EX_OK;
    }
    json_free(&answer);
    return code;
}

int ctl_streams(struct ctl *ctl)
{
    struct json_value *answer;
    int code;

    if (ctl->argc > 0)
        return ctl_usage("streams takes no arguments");
    answer = ctl_ask(ctl, "{\"command\": \"streams\"}", &code, false);
    if (answer && code == EX_OK && !ctl->json)
        print_streams(answer);
    json_free(&answer);
    return code;
}

int ctl_stream(struct ctl *ctl)
{
    bool resend = ctl_flag(ctl, "--resend"), keep = ctl_flag(ctl, "--continue");
    const char *verb = ctl->argc > 0 ? ctl->argv[0] : "";
    bool accept = strcmp(verb, "accept") == 0;
    struct json_value *answer;
    struct json_writer q;
    int code;

    if (ctl->argc != 2 || (!accept && strcmp(verb, "pause") != 0 && strcmp(verb, "resume") != 0) ||
        (accept && resend == keep) || (!accept && (resend || keep)))
        return ctl_usage("stream takes accept NAME with --resend or --continue, pause NAME, or resume NAME");
    json_writer_init(&q);
    json_open_object(&q, NULL);
    json_write_string(&q, "command", verb);
    json_write_string(&q, "stream", ctl->argv[1]);
    if (accept)
        json_write_string(&q, "mode", resend ? "resend" : "continue");
    json_close_object(&q);
    answer = ctl_ask(ctl, q.text, &code, false);
    json_writer_fini(&q);
    json_free(&answer);
    return code;
}

int ctl_reload(struct ctl *ctl)
{
    struct json_value *answer;
    int code;

    if (ctl->argc > 0)
        return ctl_usage("reload takes no arguments");
    answer = ctl_ask(ctl, "{\"command\": \"reload\"}", &code, false);
    if (answer && code == EX_OK && !ctl->json) {
        const char *applied = json_string(json_get(answer, "applied"), ""),
                   *restart = json_string(json_get(answer, "restart"), "");

        if (*applied)
            printf("applied: %s\n", applied);
        if (*restart)
            printf("changed, but needs a restart: %s\n", restart);
    }
    json_free(&answer);
    return code;
}

/* ---- wait ---- */

/* The generation of HELLOs that this call asked for; 0 while no daemon answers. */
static int64_t ask_hello(struct ctl *ctl, int *code)
{
    struct json_value *answer = ctl_ask(ctl, "{\"command\": \"hello\"}", code, true);
    int64_t generation = answer ? number(answer, "generation") : 0;

    json_free(&answer);
    return generation;
}

/* Every journalled stream has answered a HELLO of our generation, and what its head then was is committed. */
static bool is_caught_up(struct ctl *ctl, int64_t generation, char *behind, size_t len, int *code)
{
    struct json_value *answer = ctl_ask(ctl, "{\"command\": \"streams\"}", code, true);
    const struct json_value *streams = answer ? json_get(answer, "streams") : NULL;
    bool done = streams != NULL;

    for (size_t i = 0; i < json_count(streams); i++) {
        const struct json_value *s = json_at(streams, i);
        bool answered = number(s, "hello_answered") >= generation && number(s, "hello_head") > 0;

        const char *lack = json_bool(json_get(s, "stopped"), false)
                               ? "stopped: teldagctl status says what to do"
                           : json_bool(json_get(s, "paused"), false) ? "is paused"
                           : answered                                ? "has events that are not committed yet"
                                                                     : "has not answered yet";

        if (strcmp(text(s, "reliability"), "journal") != 0 ||
            (answered && number(s, "committed_next") >= number(s, "hello_head")))
            continue;
        snprintf(behind, len, "%s %s", text(s, "name"), lack);
        done = false;
    }
    json_free(&answer);
    return done;
}

int ctl_wait(struct ctl *ctl)
{
    bool caught_up = ctl_flag(ctl, "--caught-up");
    const char *timeout = ctl_option(ctl, "--timeout");
    char *rest = NULL;
    double seconds = timeout ? strtod(timeout, &rest) : 60;
    bool good = !timeout || (*timeout && *rest == '\0' && seconds > 0 && seconds <= WAIT_MAX_S);
    uint64_t end = clock_monotonic_us() + (good ? (uint64_t)(seconds * 1e6) : 0);
    struct timespec nap = {0, POLL_MS * 1000000L};
    char behind[200] = "no daemon answers";
    int64_t generation = 0;
    int code = EX_OK;

    if (!caught_up || ctl->argc > 0 || !good)
        return ctl_usage("wait takes --caught-up and perhaps --timeout SECONDS");
    do {
        bool had = generation != 0;

        if (!had)
            generation = ask_hello(ctl, &code);
        if (code == EX_CONFIG || code == EX_NOPERM)
            return ctl_fail(code, "cannot ask the daemon");
        if (generation && is_caught_up(ctl, generation, behind, sizeof(behind), &code))
            return EX_OK;
        if (had && code != EX_OK)
            generation = 0; /* the daemon went away: its next one counts anew */
        nanosleep(&nap, NULL);
    } while (clock_monotonic_us() < end);
    return ctl_fail(EX_UNAVAILABLE, "not caught up after %g s: %s", seconds, behind);
}
