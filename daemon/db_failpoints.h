/* SPDX-License-Identifier: MIT
 *
 * The failpoints of db.c, and of nothing else: every call and every statement may lose its connection or be answered by
 * an error. Apart only because db.c is long; it stands in the middle of it, and knows its struct db. */
#pragma once

#ifdef TELDAGD_FAILPOINTS

#include <sys/socket.h>

static void cut_connection(struct db *db)
{
    if (PQsocket(db->conn) >= 0)
        shutdown(PQsocket(db->conn), SHUT_RDWR);
}

/* An error from the server itself, so that an open transaction has failed there too. */
static void fail_for_real(struct db *db, const char *sqlstate)
{
    char sql[160];
    PGresult *result;

    snprintf(sql, sizeof(sql), "DO $$BEGIN RAISE EXCEPTION 'failpoint' USING ERRCODE = '%s'; END$$",
             *sqlstate ? sqlstate : "53200");
    result = PQexec(db->conn, sql);
    remember_result(db, result);
    PQclear(result);
}

/* true: the call has failed, and why is remembered. */
static bool fault_call(struct db *db)
{
    char sqlstate[6] = "";
    enum failpoint_act act = failpoint_reach_call(db->who, sqlstate);

    if (act == FAILPOINT_ACT_CUT)
        cut_connection(db);
    if (act == FAILPOINT_ACT_ERROR) {
        if (PQstatus(db->conn) == CONNECTION_OK && PQtransactionStatus(db->conn) != PQTRANS_ACTIVE)
            fail_for_real(db, sqlstate);
        else
            remember(db, class_of(*sqlstate ? sqlstate : "53200"), sqlstate, "failpoint");
    }
    return act == FAILPOINT_ACT_ERROR;
}

static bool fault_at(struct db *db, const char *label, const char *when)
{
    char sqlstate[6] = "";
    enum failpoint_act act;

    if (strcmp(db->who, "writer") != 0 && strcmp(db->who, "publisher") != 0 && strcmp(label, "commit") != 0)
        return false; /* teldagctl's questions change nothing */
    act = failpoint_reach_sql(db->who, label, when, sqlstate);
    if (act == FAILPOINT_ACT_CUT)
        cut_connection(db);
    if (act == FAILPOINT_ACT_ERROR && strcmp(when, "before") == 0)
        fail_for_real(db, sqlstate);
    else if (act == FAILPOINT_ACT_ERROR)
        remember(db, class_of(*sqlstate ? sqlstate : "53200"), sqlstate, "failpoint");
    return act == FAILPOINT_ACT_ERROR;
}

static bool fault_before(struct db *db, const char *sql)
{
    char label[64];

    failpoint_label(sql, label, sizeof(label));
    return fault_call(db) || fault_at(db, label, "before");
}

static void fault_after(struct db *db, const char *sql)
{
    char label[64];

    failpoint_label(sql, label, sizeof(label));
    fault_at(db, label, "after");
}

static PGresult *commit_for_faults(struct db *db)
{
    PGresult *result, *last = NULL;

    if (fault_call(db) || fault_at(db, "commit", "before"))
        db_clear_error(db); /* the transaction has failed: COMMIT will be answered ROLLBACK */
    if (PQsendQuery(db->conn, "COMMIT") == 1)
        PQflush(db->conn);
    fault_at(db, "commit", "sent");
    while ((result = PQgetResult(db->conn))) {
        PQclear(last);
        last = result;
    }
    fault_at(db, "commit", "answered");
    return last;
}
#else
#define fault_call(db)        false
#define fault_at(db, l, w)    false
#define fault_before(db, sql) false
#define fault_after(db, sql)  ((void)0)
#endif
