/* SPDX-License-Identifier: MIT
 *
 * What the process is given before anything else happens. */
#pragma once

/* Descriptors 0-2 lead somewhere; the limit of descriptors is as high as it goes. */
void process_prepare(void);
/* No core dump may hold what this process keeps in memory. */
void process_forbid_dumps(void);
/* $CREDENTIALS_DIRECTORY/pgpass (LoadCredential= of the unit), when it is there and PGPASSFILE does not name another, is
 * libpq's password file. Before the first thread. */
void process_take_credentials(void);
