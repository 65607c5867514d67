/* SPDX-License-Identifier: MIT
 *
 * The daemon's keys: what its configuration names, read and checked before anything starts, given to the sockets, and wiped. */
#pragma once

#include "daemon/bus_gate.h"
#include "daemon/config.h"

struct service_curve {
    struct curve_keys *keys; /* our own pair; NULL: no CURVE at all, or given to the sockets and wiped */
    char (*server_keys)[CURVE_KEY_TEXT]; /* a stream's; "" without CURVE */
    struct allow *allow; /* until the gate takes it over; NULL: the alert sockets are without CURVE */
};

/* 0, or an exit code with the reason in error and nothing to free. */
int service_curve_load(const struct config *config, struct service_curve *out, char *error,
                       size_t error_len) MUST_CHECK;
void service_curve_free(struct service_curve *curve);
