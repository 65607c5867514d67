/* SPDX-License-Identifier: MIT
 *
 * The only door to PostgreSQL. Decides which SQLSTATE belongs to which class of error, and keeps the first
 * error of a connection so that callers read straight through and look once. COPY and ordinary statements are
 * never mixed in a pipeline (libpq loops). Nothing here knows what a table means. */
#include "daemon/db.h"

#include <assert.h>
#include <endian.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/failpoint.h"

#define COPY_FLUSH_BYTES (256u << 10)
#define PREPARED_MAX     64
#define LONG_TICK_MS     100
#define UNIX_TO_PG_DAYS  10957 /* 1970-01-01 to 2000-01-01 */
#define UNIX_TO_PG_US    (UNIX_TO_PG_DAYS * INT64_C(86400000000))

struct db {
    PGconn *conn;
    int error;
    char error_text[512];
    char sqlstate[6];
    const struct db_embedded *prepared[PREPARED_MAX];
    int prepared_count;
    char *buffer; /* COPY IN rows not yet sent */
    size_t buffer_len, buffer_room;
    char *row; /* COPY OUT: what libpq gave last */
#ifdef TELDAGD_FAILPOINTS
    char who[16];  /* last word of the application's name */
    char copy[64]; /* label of the COPY that runs */
#endif
};
struct db_result {
    PGresult *result;
};

/* Keeps the first error only: what follows is a consequence. */
static int remember(struct db *db, int error, const char *sqlstate, const char *text)
{
    if (db->error)
        return db->error;
    db->error = error;
    snprintf(db->sqlstate, sizeof(db->sqlstate), "%s", sqlstate ? sqlstate : "");
    snprintf(db->error_text, sizeof(db->error_text), "%s", text && *text ? text : err_text(error));
    for (char *p = db->error_text; *p; p++) /* one line in the log */
        if (*p == '\n')
            *p = p[1] ? ' ' : '\0';
    return error;
}

/* SQLSTATE classes (design 3). No SQLSTATE at all: the connection broke. */
static int class_of(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        int error;
    } classes[] = {
        {"08", ERR_DB_RETRY},  {"57P0", ERR_DB_RETRY}, {"57014", ERR_DB_RETRY}, {"40", ERR_DB_RETRY},
        {"53", ERR_DB_RETRY},  {"55", ERR_DB_RETRY},   {"58", ERR_DB_RETRY},    {"25006", ERR_DB_RETRY},
        {"22", ERR_DB_DATA},   {"23", ERR_DB_DATA},    {"P0001", ERR_DB_DATA},  {"54", ERR_DB_DATA},
        {"42", ERR_DB_CONFIG}, {"28", ERR_DB_CONFIG},  {"3D", ERR_DB_CONFIG},   {"3F", ERR_DB_CONFIG},
        {"0A", ERR_DB_CONFIG},
    };

    if (!sqlstate || !*sqlstate)
        return ERR_DB_RETRY;
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        if (strncmp(sqlstate, classes[i].prefix, strlen(classes[i].prefix)) == 0)
            return classes[i].error;
    return ERR_DB_RETRY;
}

static int remember_result(struct db *db, const PGresult *result)
{
    const char *sqlstate = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    int error = class_of(sqlstate);
    const char *text = result ? PQresultErrorMessage(result) : NULL;

    if (PQstatus(db->conn) == CONNECTION_BAD)
        error = ERR_DB_RETRY;
    return remember(db, error, sqlstate, text && *text ? text : PQerrorMessage(db->conn));
}

#include "daemon/db_failpoints.h"

static bool is_configuration(const char *message, size_t len)
{
    static const char *const configuration[] = {"authentication failed",
                                                "does not exist",
                                                "no pg_hba.conf entry",
                                                "no password supplied",
                                                "permission denied for database",
                                                "invalid connection option",
                                                "invalid port number",
                                                "missing \"=\" after"};

    for (size_t i = 0; i < sizeof(configuration) / sizeof(configuration[0]); i++)
        if (memmem(message, len, configuration[i], strlen(configuration[i])))
            return true;
    return false;
}

/* A refused login is configuration only when the server says so; a server that is not there is a matter of
 * waiting. libpq tells of each host it tried, one after the other: all of them must refuse, for a standby that is set
 * up wrongly must not end a daemon whose primary is only away. */
static int class_of_connect(const char *message)
{
    static const char each[] = "connection to server";

    for (const char *next; message; message = next) {
        next = strstr(message + 1, each);
        if (!is_configuration(message, next ? (size_t)(next - message) : strlen(message)))
            return ERR_DB_RETRY;
    }
    return ERR_DB_CONFIG;
}

static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

/* A dead machine is noticed in some 10 seconds, idle (keepalives 5 + 3 x 2) or in the middle of a statement
 * (tcp_user_timeout). What the conninfo says wins: it is expanded last. */
static struct db *open_with(const char *conninfo, const char *application_name, const char *target)
{
    const char *const keys[] = {"application_name",
                                "connect_timeout",
                                "tcp_user_timeout",
                                "keepalives_idle",
                                "keepalives_interval",
                                "keepalives_count",
                                "client_encoding",
                                "options",
                                "target_session_attrs",
                                "dbname",
                                NULL};
    const char *const values[] = {application_name,
                                  "5",
                                  "10000",
                                  "5",
                                  "2",
                                  "3",
                                  "UTF8",
                                  "-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres",
                                  target,
                                  conninfo,
                                  NULL};
    struct db *db = calloc(1, sizeof(*db));

    if (!db)
        return NULL;
#ifdef TELDAGD_FAILPOINTS
    snprintf(db->who, sizeof(db->who), "%s",
             strrchr(application_name, ' ') ? strrchr(application_name, ' ') + 1 : application_name);
#endif
    db->conn = PQconnectdbParams(keys, values, 1);
    if (PQstatus(db->conn) != CONNECTION_OK)
        remember(db, class_of_connect(PQerrorMessage(db->conn)), "", PQerrorMessage(db->conn));
    else
        PQsetNoticeProcessor(db->conn, ignore_notice, NULL);
    (void)fault_call(db);
    return db;
}

struct db *db_open(const char *conninfo, const char *application_name)
{
    return open_with(conninfo, application_name, "primary");
}

static bool reports(const struct db *db, const char *parameter, const char *value)
{
    const char *reported = PQparameterStatus(db->conn, parameter);

    return reported && strcmp(reported, value) == 0;
}

struct db *db_open_writer(const char *conninfo, const char *application_name)
{
    struct db *db = open_with(conninfo, application_name, "read-write");
    char text[400];

    if (!db || db->error)
        return db;
    if (reports(db, "in_hot_standby", "on") || reports(db, "default_transaction_read_only", "on")) {
        snprintf(text, sizeof(text),
                 "%.200s:%.10s answers as a standby or read-only, and cannot be written: name the primary, "
                 "or all hosts "
                 "with target_session_attrs=read-write",
                 PQhost(db->conn), PQport(db->conn));
        db_refuse(db, text);
    }
    return db;
}

void db_close(struct db **pdb)
{
    struct db *db = *pdb;

    if (!db)
        return;
    *pdb = NULL;
    if (db->row)
        PQfreemem(db->row);
    PQfinish(db->conn);
    free(db->buffer);
    free(db);
}

int db_error(const struct db *db)
{
    return db->error;
}

const char *db_error_text(const struct db *db)
{
    return db->error_text;
}

const char *db_error_sqlstate(const struct db *db)
{
    return db->sqlstate;
}

void db_clear_error(struct db *db)
{
    db->error = 0;
    db->error_text[0] = '\0';
    db->sqlstate[0] = '\0';
}

int db_refuse(struct db *db, const char *why)
{
    return remember(db, ERR_DB_RETRY, DB_READ_ONLY, why);
}

bool db_is_connected(const struct db *db)
{
    return db && PQstatus(db->conn) == CONNECTION_OK;
}

void db_look(struct db *db)
{
    if (!db->error && (!PQconsumeInput(db->conn) || PQstatus(db->conn) != CONNECTION_OK))
        remember(db, ERR_DB_RETRY, "", PQerrorMessage(db->conn));
}

int db_run(struct db *db, const char *sql)
{
    PGresult *result;
    ExecStatusType status;

    if (db->error || fault_before(db, sql))
        return db->error;
    result = PQexec(db->conn, sql);
    status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY)
        remember_result(db, result);
    PQclear(result);
    fault_after(db, sql);
    return db->error;
}

static struct db_result *wrap(struct db *db, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    struct db_result *r = NULL;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        remember_result(db, result);
    else if (!(r = malloc(sizeof(*r))))
        remember(db, ERR_NOMEM, "", NULL);
    if (!r) {
        PQclear(result);
        return NULL;
    }
    r->result = result;
    return r;
}

struct db_result *db_query(struct db *db, const char *sql, int count, const char *const *values)
{
    struct db_result *r;

    if (db->error || fault_before(db, sql))
        return NULL;
    r = wrap(db, PQexecParams(db->conn, sql, count, NULL, values, NULL, NULL, 0));
    fault_after(db, sql);
    return r;
}

/* Waits for the statement that was sent. Past the deadline it waits on without a word: then the watchdog judges. */
static PGresult *await_result(struct db *db, const struct db_tick *tick, int deadline_ms)
{
    uint64_t until = clock_monotonic_us() + (uint64_t)deadline_ms * 1000;
    struct pollfd socket = {.fd = PQsocket(db->conn), .events = POLLIN};
    PGresult *result, *last = NULL;

    while (PQisBusy(db->conn) && clock_monotonic_us() < until) {
        poll(&socket, 1, LONG_TICK_MS);
        tick->call(tick->context);
        if (!PQconsumeInput(db->conn))
            break;
    }
    while ((result = PQgetResult(db->conn))) {
        PQclear(last);
        last = result;
    }
    return last;
}

struct db_result *db_query_long(struct db *db, const char *sql, int count, const char *const *values,
                                const struct db_tick *tick, int deadline_ms)
{
    struct db_result *r;

    if (db->error || fault_before(db, sql))
        return NULL;
    r = wrap(db, PQsendQueryParams(db->conn, sql, count, NULL, values, NULL, NULL, 0) == 1
                     ? await_result(db, tick, deadline_ms)
                     : NULL);
    fault_after(db, sql);
    return r;
}

/* The statement's text; prepared on this connection the first time. Our own bug when there is none. */
static const struct db_embedded *prepare(struct db *db, const char *name, int count)
{
    const struct db_embedded *s = db_statements;
    PGresult *result;

    for (int i = 0; i < db->prepared_count; i++)
        if (strcmp(db->prepared[i]->name, name) == 0)
            return db->prepared[i];
    while (s->name && strcmp(s->name, name) != 0)
        s++;
    assert(s->name && db->prepared_count < PREPARED_MAX);
    if (fault_call(db))
        return NULL;
    result = PQprepare(db->conn, s->name, s->text, count, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        remember_result(db, result);
    else
        db->prepared[db->prepared_count++] = s;
    PQclear(result);
    return db->error ? NULL : s;
}

struct db_result *db_named(struct db *db, const char *statement, int count, const char *const *values)
{
    struct db_result *r;

    if (db->error || !prepare(db, statement, count) || fault_call(db) || fault_at(db, statement, "before"))
        return NULL;
    r = wrap(db, PQexecPrepared(db->conn, statement, count, values, NULL, NULL, 0));
    (void)fault_at(db, statement, "after");
    return r;
}

void db_result_free(struct db_result **r)
{
    if (!*r)
        return;
    PQclear((*r)->result);
    free(*r);
    *r = NULL;
}

int db_rows(const struct db_result *r)
{
    return r ? PQntuples(r->result) : 0;
}

int db_columns(const struct db_result *r)
{
    return r ? PQnfields(r->result) : 0;
}

const char *db_column_name(const struct db_result *r, int column)
{
    return PQfname(r->result, column);
}

bool db_is_null(const struct db_result *r, int row, int column)
{
    return PQgetisnull(r->result, row, column);
}

const char *db_text(const struct db_result *r, int row, int column)
{
    return PQgetvalue(r->result, row, column);
}

int64_t db_int(const struct db_result *r, int row, int column)
{
    return strtoll(PQgetvalue(r->result, row, column), NULL, 10);
}

uint64_t db_affected(const struct db_result *r)
{
    return r ? strtoull(PQcmdTuples(r->result), NULL, 10) : 0;
}

int db_begin(struct db *db)
{
    return db_run(db, "BEGIN");
}

/* The server ended the session instead of answering (57P01, 08006...): nothing is known of what it was doing.
 */
static bool session_ended(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return !sqlstate || strncmp(sqlstate, "57P", 3) == 0 || strncmp(sqlstate, "08", 2) == 0;
}

int db_commit(struct db *db)
{
    PGresult *result;
    int error = 0;

    if (db->error)
        return db->error;
#ifdef TELDAGD_FAILPOINTS
    result = commit_for_faults(db);
#else
    result = PQexec(db->conn, "COMMIT");
#endif
    if (PQresultStatus(result) == PGRES_COMMAND_OK && strcmp(PQcmdStatus(result), "COMMIT") == 0) {
        PQclear(result);
        return 0;
    }
    /* COMMIT of a failed transaction answers ROLLBACK; no answer at all leaves the outcome unknown. */
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        error = remember(db, ERR_DB_RETRY, "", "the transaction had failed: COMMIT was answered ROLLBACK");
    else if (PQstatus(db->conn) == CONNECTION_BAD || session_ended(result))
        error = remember(db, ERR_DB_UNKNOWN, "", PQerrorMessage(db->conn));
    else
        error = remember_result(db, result);
    PQclear(result);
    return error;
}

void db_rollback(struct db *db)
{
    (void)fault_call(db);
    if (PQstatus(db->conn) != CONNECTION_OK)
        return;
    if (PQtransactionStatus(db->conn) == PQTRANS_ACTIVE) { /* a COPY that broke off */
        PGresult *result;

        PQputCopyEnd(db->conn, "given up");
        while ((result = PQgetResult(db->conn)))
            PQclear(result);
    }
    PQclear(PQexec(db->conn, "ROLLBACK"));
}

/* ---- COPY IN ---- */

static bool grow_buffer(struct db *db, size_t n)
{
    size_t room = (db->buffer_len + n) * 2 + COPY_FLUSH_BYTES;
    char *buffer = realloc(db->buffer, room);

    if (!buffer) {
        remember(db, ERR_NOMEM, "", NULL);
        return false;
    }
    db->buffer = buffer;
    db->buffer_room = room;
    return true;
}

/* Inline: every field of every row goes through it, nearly all of them of a size known here. */
static inline void put(struct db *db, const void *bytes, size_t n)
{
    if (db->buffer_len + n > db->buffer_room && !grow_buffer(db, n))
        return; /* remembered */
    memcpy(db->buffer + db->buffer_len, bytes, n);
    db->buffer_len += n;
}

static inline void put_int2(struct db *db, uint16_t v)
{
    const uint16_t be = htobe16(v);

    put(db, &be, sizeof(be));
}

static inline void put_int4(struct db *db, uint32_t v)
{
    const uint32_t be = htobe32(v);

    put(db, &be, sizeof(be));
}

static inline void put_int8(struct db *db, uint64_t v)
{
    const uint64_t be = htobe64(v);

    put(db, &be, sizeof(be));
}

static void flush(struct db *db)
{
    if (!db->error && db->buffer_len && !fault_call(db) &&
        PQputCopyData(db->conn, db->buffer, (int)db->buffer_len) != 1)
        remember(db, ERR_DB_RETRY, "", PQerrorMessage(db->conn));
    db->buffer_len = 0;
}

int db_copy_in(struct db *db, const char *sql)
{
    static const char header[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
    PGresult *result;

#ifdef TELDAGD_FAILPOINTS
    failpoint_label(sql, db->copy, sizeof(db->copy));
#endif
    if (db->error || fault_call(db) || fault_at(db, db->copy, "before"))
        return db->error;
    result = PQexec(db->conn, sql);
    if (PQresultStatus(result) != PGRES_COPY_IN)
        remember_result(db, result);
    PQclear(result);
    (void)fault_at(db, db->copy, "begun");
    db->buffer_len = 0;
    put(db, header, sizeof(header));
    return db->error;
}

void db_copy_row(struct db *db, int columns)
{
    if (db->buffer_len > COPY_FLUSH_BYTES)
        flush(db);
    put_int2(db, (uint16_t)columns);
}

void db_copy_null(struct db *db)
{
    put_int4(db, UINT32_MAX);
}

void db_copy_int2(struct db *db, int16_t v)
{
    put_int4(db, 2);
    put_int2(db, (uint16_t)v);
}

void db_copy_int4(struct db *db, int32_t v)
{
    put_int4(db, 4);
    put_int4(db, (uint32_t)v);
}

void db_copy_int8(struct db *db, int64_t v)
{
    put_int4(db, 8);
    put_int8(db, (uint64_t)v);
}

void db_copy_bool(struct db *db, bool v)
{
    put_int4(db, 1);
    put(db, v ? "\1" : "\0", 1);
}

void db_copy_bytes(struct db *db, const void *p, size_t n)
{
    put_int4(db, (uint32_t)n);
    put(db, p, n);
}

void db_copy_date(struct db *db, int32_t days_since_1970)
{
    db_copy_int4(db, days_since_1970 - UNIX_TO_PG_DAYS);
}

void db_copy_timestamp(struct db *db, int64_t us_since_1970)
{
    db_copy_int8(db, us_since_1970 - UNIX_TO_PG_US);
}

void db_copy_text_array(struct db *db, const char *const *v, int n)
{
    size_t bytes = n ? 20 : 12;

    for (int i = 0; i < n; i++)
        bytes += 4 + strlen(v[i]);
    put_int4(db, (uint32_t)bytes);
    put_int4(db, n > 0); /* dimensions: an empty array has none */
    put_int4(db, 0);     /* no nulls */
    put_int4(db, 25);    /* oid of text */
    if (n) {
        put_int4(db, (uint32_t)n); /* length */
        put_int4(db, 1);           /* lower bound */
    }
    for (int i = 0; i < n; i++)
        db_copy_bytes(db, v[i], strlen(v[i]));
}

void db_copy_jsonb(struct db *db, const void *p, size_t n)
{
    put_int4(db, (uint32_t)(n + 1));
    put(db, "\1", 1); /* version of the format; the text follows */
    put(db, p, n);
}

int db_copy_in_end(struct db *db, uint64_t *rows)
{
    PGresult *result;

    if (rows)
        *rows = 0;
    put_int2(db, UINT16_MAX);
    flush(db);
    (void)fault_at(db, db->copy, "ending");
    (void)fault_call(db);
    if (PQstatus(db->conn) != CONNECTION_OK)
        return remember(db, ERR_DB_RETRY, "", PQerrorMessage(db->conn));
    if (PQtransactionStatus(db->conn) != PQTRANS_ACTIVE)
        return db->error; /* the COPY never began */
    if (PQputCopyEnd(db->conn, db->error ? "given up" : NULL) != 1)
        remember(db, ERR_DB_RETRY, "", PQerrorMessage(db->conn));
    while ((result = PQgetResult(db->conn))) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            remember_result(db, result);
        else if (rows)
            *rows = strtoull(PQcmdTuples(result), NULL, 10);
        PQclear(result);
        if (PQstatus(db->conn) != CONNECTION_OK)
            break;
    }
    (void)fault_at(db, db->copy, "after");
    return db->error;
}

/* ---- COPY OUT ---- */

int db_copy_out(struct db *db, const char *sql)
{
    PGresult *result;

#ifdef TELDAGD_FAILPOINTS
    snprintf(db->copy, sizeof(db->copy), "read_");
    failpoint_label(strchr(sql, '(') + 1, db->copy + 5, sizeof(db->copy) - 5);
#endif
    if (db->error || fault_call(db) || fault_at(db, db->copy, "before"))
        return db->error;
    result = PQexec(db->conn, sql);
    if (PQresultStatus(result) != PGRES_COPY_OUT)
        remember_result(db, result);
    PQclear(result);
    return db->error;
}

static int end_copy_out(struct db *db)
{
    PGresult *result;

    (void)fault_call(db);
    while ((result = PQgetResult(db->conn))) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            remember_result(db, result);
        PQclear(result);
        if (PQstatus(db->conn) != CONNECTION_OK)
            break;
    }
    (void)fault_at(db, db->copy, "after");
    return db->error;
}

static uint32_t get_be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* Splits one row; 0 when the bytes are not a row of at most max fields. */
static int split_row(const char *p, int len, struct db_copy_field *fields, int max)
{
    int count = (unsigned char)p[0] << 8 | (unsigned char)p[1], at = 2;

    if (count > max)
        return 0;
    for (int i = 0; i < count; i++) {
        int32_t n;

        if (at + 4 > len)
            return 0;
        n = (int32_t)get_be32(p + at);
        at += 4;
        fields[i] = (struct db_copy_field){n < 0 ? NULL : p + at, n < 0 ? 0 : n};
        at += n < 0 ? 0 : n;
        if (at > len)
            return 0;
    }
    return count;
}

int db_copy_out_row(struct db *db, struct db_copy_field *fields, int max)
{
    for (;;) {
        const char *p;
        int len;

        if (db->error)
            return db->error;
        if (db->row)
            PQfreemem(db->row);
        db->row = NULL;
        len = PQgetCopyData(db->conn, &db->row, 0);
        if (len == -1)
            return end_copy_out(db);
        if (len < 2)
            return remember(db, ERR_DB_RETRY, "", PQerrorMessage(db->conn));
        p = db->row;
        if (len >= 19 && memcmp(p, "PGCOPY\n\377\r\n", 11) == 0) { /* the header comes with the first row */
            p += 19;
            len -= 19;
            if (len == 0)
                continue;
        }
        if (len == 2 && p[0] == '\377' && p[1] == '\377')
            continue; /* trailer: the end follows */
        if (!split_row(p, len, fields, max))
            return remember(db, ERR_DB_RETRY, "", "a COPY row could not be read");
        return 1;
    }
}

int16_t db_field_int2(const struct db_copy_field *f)
{
    const unsigned char *p = f->data;

    return (int16_t)(p[0] << 8 | p[1]);
}

int32_t db_field_int4(const struct db_copy_field *f)
{
    return (int32_t)get_be32(f->data);
}

int64_t db_field_int8(const struct db_copy_field *f)
{
    const char *p = f->data;

    return (int64_t)((uint64_t)get_be32(p) << 32 | get_be32(p + 4));
}

int32_t db_field_date(const struct db_copy_field *f)
{
    return db_field_int4(f) + UNIX_TO_PG_DAYS;
}

int64_t db_field_timestamp(const struct db_copy_field *f)
{
    return db_field_int8(f) + UNIX_TO_PG_US;
}

int db_field_text_array(const struct db_copy_field *f, struct db_copy_field *texts, int max)
{
    const char *p = f->data, *end = p + f->len;
    int n;

    if (f->len == 12 && get_be32(p) == 0)
        return 0;
    if (f->len < 20 || get_be32(p) != 1 || get_be32(p + 4) != 0 || get_be32(p + 8) != 25)
        return -1;
    n = (int)get_be32(p + 12);
    p += 20;
    for (int i = 0; i < n; i++) {
        int len = end - p < 4 ? -1 : (int)get_be32(p);

        if (len < 0 || len > end - p - 4)
            return -1;
        if (i < max)
            texts[i] = (struct db_copy_field){p + 4, len};
        p += 4 + len;
    }
    return n;
}

struct db_copy_field db_field_jsonb(const struct db_copy_field *f)
{
    const char *p = f->data;

    if (f->len < 1 || *p != 1)
        return (struct db_copy_field){NULL, 0};
    return (struct db_copy_field){p + 1, f->len - 1};
}

/* ---- arrays as parameters ---- */

static void array_put(struct db_arrays *a, int column, const char *text, size_t n)
{
    struct db_array *c = &a->column[column];

    if (c->len + n + 2 > c->room) {
        size_t room = (c->len + n + 2) * 2 + 256;
        char *grown = realloc(c->text, room);

        if (!grown) {
            a->failed = true;
            return;
        }
        c->text = grown;
        c->room = room;
    }
    memcpy(c->text + c->len, text, n);
    c->len += n;
    c->text[c->len] = '\0';
}

void db_arrays_init(struct db_arrays *a, int columns)
{
    assert(columns <= DB_ARRAYS_MAX);
    *a = (struct db_arrays){.columns = columns};
}

void db_arrays_fini(struct db_arrays *a)
{
    for (int i = 0; i < a->columns; i++)
        free(a->column[i].text);
}

static void separate(struct db_arrays *a, int column)
{
    array_put(a, column, a->column[column].len ? "," : "{", 1);
}

void db_arrays_null(struct db_arrays *a, int column)
{
    separate(a, column);
    array_put(a, column, "NULL", 4);
}

void db_arrays_int(struct db_arrays *a, int column, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)v);

    separate(a, column);
    array_put(a, column, text, (size_t)n);
}

void db_arrays_text(struct db_arrays *a, int column, const char *text)
{
    separate(a, column);
    array_put(a, column, "\"", 1);
    for (size_t n; *text; text += n) {
        n = strcspn(text, "\"\\");
        array_put(a, column, text, n);
        if (text[n]) {
            array_put(a, column, "\\", 1);
            array_put(a, column, text + n, 1);
            n++;
        }
    }
    array_put(a, column, "\"", 1);
}

struct db_result *db_named_arrays(struct db *db, const char *statement, struct db_arrays *a)
{
    const char *values[DB_ARRAYS_MAX];

    for (int i = 0; i < a->columns; i++) {
        array_put(a, i, a->column[i].len ? "}" : "{}", a->column[i].len ? 1 : 2);
        values[i] = a->column[i].text;
    }
    if (a->failed) {
        remember(db, ERR_NOMEM, "", NULL);
        return NULL;
    }
    return db_named(db, statement, a->columns, values);
}
