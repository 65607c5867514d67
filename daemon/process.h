/* SPDX-License-Identifier: MIT
 *
 * What the process is given before anything else happens. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Descriptors 0-2 lead somewhere; the limit of descriptors is as high as it goes. */
void process_prepare(void);
/* May this process open so many descriptors? Otherwise a sentence that says what to do: libzmq aborts in the middle of
 * its work when the last one is gone. */
bool process_has_descriptors(unsigned wanted, char *error, size_t error_len);
/* No core dump may hold what this process keeps in memory. */
void process_forbid_dumps(void);
/* $CREDENTIALS_DIRECTORY/pgpass (LoadCredential= of the unit), when it is there and PGPASSFILE does not name another, is
 * libpq's password file. Before the first thread. */
void process_take_credentials(void);
