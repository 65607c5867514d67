/* SPDX-License-Identifier: MIT
 *
 * The rules, in this order (design 5, alerts):
 * 1. A log that is set back gives numbers out twice, whatever else is known.
 * 2. The same server, timeline and table: the same log.
 * 3. Another system identifier: a dump, or another database altogether. Another table under the same one: a dump that was
 *    restored there. Physical replication keeps both.
 * 4. An earlier timeline: a copy from before a promotion.
 * 5. A later timeline is a promotion (or a recovery, which looks the same: that is why `teldagctl restored` exists). What
 *    was committed synchronously is on the promoted standby; the rest may be lost after it was published. */
#include "workers/epoch.h"

#include <stdlib.h>
#include <string.h>

struct identity {
    const char *system, *table;
    size_t system_len;
    unsigned long timeline;
};

static struct identity split(const char *text)
{
    struct identity id = {.system = text, .system_len = strcspn(text, "/")};
    const char *p = text + id.system_len;
    char *end;

    id.timeline = *p == '/' ? strtoul(p + 1, &end, 10) : 0;
    id.table = *p == '/' && *end == '/' ? end + 1 : "";
    return id;
}

static bool same_system(const struct identity *a, const struct identity *b)
{
    return a->system_len == b->system_len && strncmp(a->system, b->system, a->system_len) == 0;
}

bool epoch_database_is_same(const char *now, const char *known)
{
    struct identity n = split(now), k = split(known);

    return same_system(&n, &k) && strcmp(n.table, k.table) == 0;
}

bool epoch_server_is_older(const char *now, const char *known)
{
    return epoch_database_is_same(now, known) && split(now).timeline < split(known).timeline;
}

uint64_t epoch_next(uint64_t now_us, uint64_t found, uint64_t known)
{
    uint64_t floor = found > known ? found : known;

    return now_us > floor ? now_us : floor + 1;
}

const char *epoch_renewal(const struct epoch_facts *f)
{
    struct identity stored = split(f->stored), now = split(f->now);

    if (!f->stored[0])
        return "the first epoch of this log";
    if (f->set_back)
        return "the database was set back: its log ends before what was seen of it";
    if (!same_system(&stored, &now))
        return "another database server: its system identifier differs";
    if (stored.table[0] && strcmp(stored.table, now.table) != 0)
        return "the tables were made anew: restored from a dump";
    if (now.timeline < stored.timeline)
        return "the server is on an earlier timeline: restored from a copy";
    if (now.timeline > stored.timeline && !f->synchronous)
        return "another timeline, without declared synchronous replication: a promotion may have lost what "
               "was published";
    return NULL;
}
