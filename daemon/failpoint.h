/* SPDX-License-Identifier: MIT
 *
 * Failpoints: named places where a test makes the program die, stop, sleep or meet an error. They are there only in the
 * build with -DTELDAGD_FAILPOINTS (build-fault); in what ships the macros are nothing and no name of one is in the
 * binaries. All names stand in one table, tests/faults/points.h: a name that is not there does not compile.
 *
 * TELDAGD_FAIL       what happens where: "name=act[@n]", several with ";". Acts: kill, stop, sleep:MS, error[:SQLSTATE], cut.
 *                    The n-th time the point is reached (1), and then no more.
 * TELDAGD_FAIL_FILE  the same from a file that may change while the program runs: 8 bytes generation, then the text
 * TELDAGD_FAIL_LOG   each point reached for the first time is appended as "hit NAME", each act as "act NAME ACT"
 * TELDAGD_FAIL_LIST  prints all names and ends */
#pragma once

#include <stdbool.h>

#ifdef TELDAGD_FAILPOINTS

#include "tests/faults/points.h"

enum failpoint {
#define FAILPOINT_ID(group, name) FAILPOINT_##group##_##name,
    FAILPOINTS(FAILPOINT_ID)
#undef FAILPOINT_ID
        FAILPOINT_COUNT
};

/* What the place has to do itself; the other acts are done when these return. */
enum failpoint_act { FAILPOINT_GO_ON, FAILPOINT_ACT_ERROR, FAILPOINT_ACT_CUT };

enum failpoint_act failpoint_reach(enum failpoint point, char sqlstate[6]);
/* Names made of parts, of statements: group, name, when. One that is not in the table is our own bug. */
enum failpoint_act failpoint_reach_sql(const char *who, const char *label, const char *when,
                                       char sqlstate[6]);
/* The n-th call of any kind on a connection: not a place, and not in the list. */
enum failpoint_act failpoint_reach_call(const char *who, char sqlstate[6]);
/* A statement's own word: verb and table. */
void failpoint_label(const char *sql, char *out, int len);

#define FAILPOINT(group, name) ((void)failpoint_reach(FAILPOINT_##group##_##name, (char[6]){0}))
/* true: behave as if what comes here had failed */
#define FAILPOINT_ERROR(group, name)                                                                         \
    (failpoint_reach(FAILPOINT_##group##_##name, (char[6]){0}) == FAILPOINT_ACT_ERROR)

#else

#define FAILPOINT(group, name)       ((void)0)
#define FAILPOINT_ERROR(group, name) false

#endif
