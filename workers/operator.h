/* SPDX-License-Identifier: MIT
 *
 * The operator's commands, as the control socket takes them (docs/operations.md). */
#pragma once

#include "daemon/control.h"
#include "workers/service.h"

extern const struct control_command operator_commands[]; /* context: struct service */

/* SIGHUP: reload in a thread of its own; the result stands in the log. Called by the main thread only. */
void operator_reload_later(void *service);
