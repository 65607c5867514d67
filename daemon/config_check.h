/* SPDX-License-Identifier: MIT
 *
 * Checks on single configuration values: pure functions of a text. Each returns NULL when the value is good, otherwise
 * what is wrong with it, in words that fit behind "file:line: key: ". */
#pragma once

#include <stdbool.h>
#include <stddef.h>

const char *config_check_conninfo(const char *value); /* no password inside; the form libpq takes */
const char *config_check_path(const char *value);
const char *config_check_socket_path(const char *value); /* fits sockaddr_un */
const char *config_check_connect(const char *value);     /* tcp://host:port or ipc://path */
const char *config_check_bind(const char *value);        /* the same; not the name localhost */
const char *config_check_listener(const char *value);    /* "" or loopback address:port */
/* Of a sound endpoint: it cannot be reached from, and does not reach, another machine. */
bool config_endpoint_is_local(const char *value);

/* "127.0.0.1:9464" or "[::1]:9464" into host (without brackets) and port; false when it is neither. */
bool config_split_listener(const char *value, char *host, size_t host_len, int *port);
/* "i/n" with 0 <= i < n <= 1024. */
bool config_split_shard(const char *value, int *shard, int *shards);
