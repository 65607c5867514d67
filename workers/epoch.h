/* SPDX-License-Identifier: MIT
 *
 * Whether the alert log may go on under its epoch, or needs a new one because numbers that were given out may be given
 * out again with other content. Pure: what is known of the server and of the log is a parameter. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct epoch_facts {
    const char *stored,
        *now; /* server identity: "system identifier/timeline/table"; stored "" = never, without table = of
                                 a version that did not record it */
    bool
        synchronous; /* the last transaction of the log was committed under declared synchronous replication */
    bool set_back;   /* the log ends before what this process has seen of it */
};
/* The same database, whatever the timeline. */
bool epoch_database_is_same(const char *now, const char *known);
/* The same database on an earlier timeline than the one known ("" = none). */
bool epoch_server_is_older(const char *now, const char *known);
/* A new epoch at this time (us since 1970): later = larger, also when the clock was set back, than the one found and than any that
 * this process knew before, of whichever copy of the log. */
uint64_t epoch_next(uint64_t now_us, uint64_t found, uint64_t known);
/* NULL: it goes on; otherwise why it needs a new epoch (static text). */
const char *epoch_renewal(const struct epoch_facts *facts);
