/* SPDX-License-Identifier: MIT
 *
 * The command line of serve, append, trim and dump: which options each takes, and whether their values make
 * sense. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"
#include "workers/pseudonym_keys.h"

struct feed_options {
    const char *stream, *journal, *publish, *fetch, *pseudonym_key, *curve, *allow,
        *out; /* NULL when not given */
    uint64_t keep_from, from, count;
    bool has_keep_from, drop;
};

/* letters: the options the command takes, of "s:j:p:f:k:K:F:n:DC:A:o:" (stream journal publish fetch
 * pseudonym-key keep-from from count drop curve allow out). 0 and filled, or an exit code with the reason on standard error; -1: help was asked
 * for and printed. */
int feed_options_parse(int argc, char **argv, const char *letters, struct feed_options *out) MUST_CHECK;
/* Without keys and an allow-list nothing may be reached from beyond this machine (P7): tcp on 127.0.0.0/8,
 * ::1 or localhost, ipc and inproc. */
bool feed_endpoint_is_local(const char *endpoint);
/* The keys, or NULL when none are asked for. 0 or an exit code with the reason logged. */
int feed_options_load_keys(const struct feed_options *options, struct pseudonym_keys **out) MUST_CHECK;
void feed_usage(bool error);
