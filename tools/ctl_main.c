/* SPDX-License-Identifier: MIT
 *
 * teldagctl: the control tool. Reads the command line and hands over to one command; the table below is the
 * list. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/log.h"
#include "tools/ctl.h"
#include "workers/pseudonym.h"

#define DEFAULT_CONFIG "/etc/teldagd/teldagd.conf"

static const struct {
    const char *name;
    int (*run)(struct ctl *ctl);
    const char *help;
} commands[] = {
    {"status", ctl_status, "status                               what the daemon does; exit 1 when degraded"},
    {"streams", ctl_streams, "streams                              where each stream stands"},
    {"school", ctl_school,
     "school ID [--registrations]          a school's counts, allocations, alerts; what did not count, and "
     "why"},
    {"explain", ctl_explain,
     "explain ID [YEAR]                    how each hour of a school comes about, rule by rule"},
    {"alerts", ctl_alerts,
     "alerts [--follow [--after [EPOCH-]SEQ] [--accept] [--curve FILE] [--server-key KEY]] [--kind K] "
     "[--school ID]"},
    {"verify", ctl_verify,
     "verify                               recompute everything from the logs and compare; exit 65 on "
     "differences"},
    {"what-if", ctl_what_if,
     "what-if --rules FILE [--year YEAR] [--school ID]   what other rules would change; changes nothing"},
    {"migrate", ctl_migrate,
     "migrate [--database CONNINFO]        bring the database's schema to this version"},
    {"restored", ctl_restored,
     "restored [--database CONNINFO]       this database was put back to an earlier state: alerts get a new "
     "epoch"},
    {"dead-letter", ctl_dead_letter,
     "dead-letter list [STREAM] | show STREAM SEQ | retry STREAM [SEQ] | drop STREAM SEQ"},
    {"stream", ctl_stream, "stream accept NAME --resend|--continue | pause NAME | resume NAME"},
    {"wait", ctl_wait,
     "wait --caught-up [--timeout S]       until everything the feeds hold is committed; exit 69 on "
     "time-out"},
    {"fix", ctl_fix,
     "fix budget|reference YEAR            record the values of the working budget, or the reference rates "
     "of the risk "
     "indicators"},
    {"keys", ctl_keys, "keys generate --out FILE             a pair of CURVE keys: FILE and FILE.pub"},
    {"retain", ctl_retain,
     "retain --before YEAR [--dry-run] [--as-they-are]   take away what names pupils of earlier school "
     "years; "
     "counts stay"},
    {"reload", ctl_reload, "reload                               read the configuration again"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
    fprintf(out, "usage: teldagctl [-c FILE] [--json] COMMAND\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %s\n", commands[i].help);
    fprintf(out, "\n  -c FILE   configuration (default " DEFAULT_CONFIG ")\n"
                 "  --json    machine-readable output\n  --version, --help\n");
}

int ctl_usage(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    fprintf(stderr, "teldagctl: ");
    vfprintf(stderr, format, ap);
    fprintf(stderr, "; see teldagctl --help\n");
    va_end(ap);
    return EX_USAGE;
}

int ctl_fail(int code, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    fprintf(stderr, "teldagctl: ");
    vfprintf(stderr, format, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    return code;
}

static void take_argument(struct ctl *ctl, int i)
{
    memmove(&ctl->argv[i], &ctl->argv[i + 1], (size_t)(ctl->argc - i) * sizeof(*ctl->argv));
    ctl->argc--;
}

bool ctl_flag(struct ctl *ctl, const char *name)
{
    for (int i = 0; i < ctl->argc; i++) {
        if (strcmp(ctl->argv[i], name) == 0) {
            take_argument(ctl, i);
            return true;
        }
    }
    return false;
}

const char *ctl_option(struct ctl *ctl, const char *name)
{
    size_t n = strlen(name);

    for (int i = 0; i < ctl->argc; i++) {
        const char *value = NULL;

        if (strncmp(ctl->argv[i], name, n) == 0 && ctl->argv[i][n] == '=') {
            value = ctl->argv[i] + n + 1;
        } else if (strcmp(ctl->argv[i], name) == 0) {
            value = i + 1 < ctl->argc ? ctl->argv[i + 1] : "";
            if (i + 1 < ctl->argc)
                take_argument(ctl, i + 1);
        }
        if (value) {
            take_argument(ctl, i);
            return value;
        }
    }
    return NULL;
}

/* What is typed here goes to the daemon, to PostgreSQL and into its log: a national number stops before that. Connection
 * strings and paths may hold as many digits. */
static bool names_pupil(const struct ctl *ctl)
{
    for (int i = 0; i < ctl->argc; i++) {
        char *copy;
        size_t len = strlen(ctl->argv[i]), left;
        bool free_text =
            strncmp(ctl->argv[i], "--database=", 11) == 0 || strncmp(ctl->argv[i], "--rules=", 8) == 0 ||
            (i > 0 &&
             (strcmp(ctl->argv[i - 1], "--database") == 0 || strcmp(ctl->argv[i - 1], "--rules") == 0));
        if (free_text || !(copy = strdup(ctl->argv[i])))
            continue;
        left = pseudonym_scrub(copy, len);
        bool same = left == len && memcmp(copy, ctl->argv[i], len) == 0;
        free(copy);
        if (!same)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct ctl ctl = {.argc = argc - 1, .argv = argv + 1};
    const char *name;
    int code = EX_USAGE;

    log_init("teldagctl", LOG_LEVEL_WARNING);
    if (ctl_flag(&ctl, "--help") || ctl_flag(&ctl, "-h")) {
        print_help(stdout);
        return EX_OK;
    }
    if (ctl_flag(&ctl, "--version")) {
        printf("teldagctl " TELDAGD_VERSION "\n");
        return EX_OK;
    }
    ctl.config_path = ctl_option(&ctl, "-c");
    ctl.json = ctl_flag(&ctl, "--json");
    if (!ctl.config_path)
        ctl.config_path = DEFAULT_CONFIG;
    if (ctl.argc == 0) {
        print_help(stderr);
        return EX_USAGE;
    }
    if (names_pupil(&ctl))
        return ctl_usage("an argument holds eleven digits like a national register number, which is never "
                         "used here; pupils are "
                         "known by pseudonym");
    name = ctl.argv[0];
    ctl.argc--;
    ctl.argv++;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            code = commands[i].run(&ctl);
            config_free(&ctl.config);
            return code;
        }
    }
    return ctl_usage("unknown command %s", name);
}
