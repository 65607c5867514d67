/* SPDX-License-Identifier: MIT
 *
 * The configuration file (design 10, teldagd.conf(5)): one table of keys; the tree libconfig parsed is walked strictly, so
 * an unknown key, a wrong type or a number out of range is an error with file, line, key and the nearest known key. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "daemon/err.h"

struct config_stream {
    char *name, *subscribe, *fetch; /* fetch NULL when best-effort */
    char *server_key;               /* NULL: without CURVE; otherwise a key or its file */
    bool best_effort;
};
struct config {
    char *path;
    char *database, *rules, *control, *metrics; /* metrics "" = off */
    bool metrics_is_default; /* the key was not written: a taken port is no reason not to start */
    int shard, shards;
    struct config_stream *streams;
    size_t stream_count;
    char *alerts_publish, *alerts_fetch; /* NULL when the group is absent */
    int near_pupils, near_hours;
    char *pseudonym_key;                /* NULL */
    char *curve_secret;                 /* NULL: no group curve, and then no other of it */
    char *curve_allow;                  /* NULL: the alert sockets are without CURVE */
    char *curve_control, *curve_public; /* NULL; for teldagctl */
};
/* NULL and error text ("teldagd.conf:12: streams.[0].subscribee: unknown key; did you mean subscribe?"). */
struct config *config_load(const char *path, char *error, size_t error_len);
/* The same of a text in memory; path only names it. */
struct config *config_parse(const char *path, const char *text, char *error, size_t error_len);
void config_free(struct config **config);
void config_print(const struct config *config, FILE *out); /* parses back to itself */
/* Names of keys that differ and can (or cannot) be applied while running, comma separated, "" when none. */
void config_compare(const struct config *running, const struct config *wanted, char *live, size_t live_len,
                    char *restart, size_t restart_len);
