/* SPDX-License-Identifier: MIT
 *
 * The control socket: a unix stream socket (mode 0660) that takes one JSON object a line, {"command": "...", ...}, and
 * answers each with one JSON object on one line. The caller brings the table of commands; {"error": "..."} and
 * exit codes in "code" are the convention for refusals. Commands that change something are taken from root and the
 * daemon's own user only (77 otherwise). docs/operations.md is the protocol's text. */
#pragma once

#include <stddef.h>

#include "daemon/json.h"

struct control;
struct ucred;
struct control_command {
    const char *name;
    /* Any thread, several at a time. Writes the members of the answer (the object is open). */
    void (*run)(void *context, const struct json_value *request, struct json_writer *answer);
    bool changes; /* something: for root and the daemon's user, and logged */
};

/* commands ends with name NULL and must outlive the server. A socket nobody answers is replaced; a living one is left
 * alone. NULL with the reason in error and the exit code of sysexits.h in *code. */
struct control *control_start(const char *path, const struct control_command *commands, void *context,
                              int *code, char *error, size_t error_len);
/* Ends all connections, waits for the commands that run, removes the socket. */
void control_stop(struct control **control);

/* The answer of a command that was refused: {"error": text, "code": exit code}. */
void control_refuse(struct json_writer *answer, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One request line (len bytes, and a NUL behind them) into its answer, which ends with a newline; the caller frees it.
 * NULL: out of memory. */
char *control_answer(const struct control_command *commands, void *context, const struct ucred *peer,
                     const char *line, size_t len);
