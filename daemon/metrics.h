/* SPDX-License-Identifier: MIT
 *
 * A small HTTP listener on loopback, read only: a table of pages that the caller renders. libmicrohttpd does the HTTP. */
#pragma once

#include <stddef.h>

#include "daemon/json.h"

struct metrics;
struct metrics_page {
    const char *path; /* "/metrics" */
    const char *content_type;
    /* Any thread: appends the body and returns the HTTP status. */
    int (*render)(void *context, struct json_writer *body);
};

/* address as in the configuration ("127.0.0.1:9464"); refuses anything beyond loopback. pages ends with path NULL and
 * must outlive the listener. NULL with the reason in error. */
struct metrics *metrics_start(const char *address, const struct metrics_page *pages, void *context,
                              char *error, size_t error_len);
void metrics_stop(struct metrics **metrics);
