/* SPDX-License-Identifier: MIT
 *
 * What the files of teldagctl share: the command line, a connection to the database, a question to the
 * daemon, and printing. Each command is one function that returns an exit code of sysexits.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config.h"
#include "daemon/db.h"
#include "daemon/json.h"

struct ctl {
    const char *config_path;
    struct config *config;
    bool json;
    int answer_s; /* how long an answer may take; 0: as usual */
    int argc;     /* what follows the command's name */
    char **argv;
};

/* Options of a command: "--after" with a value, or a flag. Taken out of argv; what is left are the arguments. */
bool ctl_flag(struct ctl *ctl, const char *name);
const char *ctl_option(struct ctl *ctl, const char *name); /* NULL: not given; "" when the value is missing */
int ctl_usage(const char *format, ...) __attribute__((format(printf, 1, 2))); /* 64 */
int ctl_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ctl_database.c: NULL after a message; *code says 69 or 78. */
struct db *ctl_connect(struct ctl *ctl, const char *conninfo, int *code);
struct db *ctl_connect_writer(struct ctl *ctl, const char *conninfo, int *code); /* refuses a standby */
/* Prints a query's rows: aligned columns, or with --json an array of objects; title (NULL: none) before them, with
 * --json on the same line. Rows, or -1 and then nothing is printed. */
int ctl_print_query(struct ctl *ctl, struct db *db, const char *title, const char *sql, int count,
                    const char *const *values);
/* ctl_text.c: control characters become '?', for a terminal; JSON escapes them itself. The second parses a line of JSON
 * whose every text and name is disarmed. */
void ctl_disarm(char *text);
struct json_value *ctl_parse(const char *line, char *error, size_t error_len);
int ctl_database_error(struct db *db); /* says it; exit code */
bool ctl_is_school(const char *text);  /* 1-9 digits */

/* ctl_ask.c: one request to the daemon; NULL after a message. */
struct json_value *ctl_ask(struct ctl *ctl, const char *request, int *code, bool quiet);

int ctl_status(struct ctl *ctl);
int ctl_streams(struct ctl *ctl);
int ctl_stream(struct ctl *ctl);
int ctl_reload(struct ctl *ctl);
int ctl_keys(struct ctl *ctl);
int ctl_fix(struct ctl *ctl);
int ctl_retain(struct ctl *ctl);
int ctl_wait(struct ctl *ctl);
int ctl_dead_letter(struct ctl *ctl);
int ctl_school(struct ctl *ctl);
int ctl_explain(struct ctl *ctl);
/* ctl_explain_more.c: working budget and risk, as text. */
void ctl_explain_more(struct db *db, const char *school_id, int year_of_use);
int ctl_alerts(struct ctl *ctl);
struct ctl_follow {
    const char *after, *kind, *school, *curve, *server_key; /* NULL: not given */
    bool accept;
};
int ctl_follow(struct ctl *ctl, const struct ctl_follow *options);
int ctl_verify(struct ctl *ctl);
int ctl_what_if(struct ctl *ctl);
int ctl_migrate(struct ctl *ctl);
int ctl_restored(struct ctl *ctl);
