/* SPDX-License-Identifier: MIT
 *
 * The only door to PostgreSQL (db.c is the only file that includes libpq-fe.h). A connection remembers its first error, so
 * that a transaction reads straight through; SQLSTATEs are sorted into the classes of enum err. Statements are named and
 * come from sql/statements/ (embedded); parameters are bound. No domain words. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/err.h"

struct db;
struct db_result;

/* Never NULL but for memory; see db_error(). Several hosts are tried in their order; which of them will do is the
 * conninfo's target_session_attrs, or when it says nothing that of the function: db_open() asks for a primary,
 * db_open_writer() for one that can be written, and refuses a standby whatever the conninfo says. */
struct db *db_open(const char *conninfo, const char *application_name);
struct db *db_open_writer(const char *conninfo, const char *application_name);
void db_close(struct db **db);
int db_error(const struct db *db); /* the first error since db_clear_error(), or 0 */
const char *db_error_text(const struct db *db);
const char *db_error_sqlstate(const struct db *db);
#define DB_READ_ONLY "25006" /* the SQLSTATE of a server that cannot be written (any more) */
void db_clear_error(struct db *db);
/* The caller will not use this server: remembered as an error of class ERR_DB_RETRY with DB_READ_ONLY. */
int db_refuse(struct db *db, const char *why);
bool db_is_connected(const struct db *db);
/* Notices, without asking the server, that it has ended the session: db_error() then says so. */
void db_look(struct db *db);

/* Runs a statement without parameters (may be several commands). */
int db_run(struct db *db, const char *sql);
/* Parameters in text form; NULL = SQL NULL. NULL result on error. */
struct db_result *db_query(struct db *db, const char *sql, int count, const char *const *values);
/* One that may take minutes: while the server works at it, and until the deadline, tick is called some ten times a second.
 * The deadline ends only the ticks, not the statement. */
struct db_tick {
    void (*call)(void *context);
    void *context;
};
struct db_result *db_query_long(struct db *db, const char *sql, int count, const char *const *values,
                                const struct db_tick *tick, int deadline_ms);
struct db_result *db_named(struct db *db, const char *statement, int count,
                           const char *const *values); /* prepared once */
void db_result_free(struct db_result **r);
int db_rows(const struct db_result *r);
int db_columns(const struct db_result *r);
const char *db_column_name(const struct db_result *r, int column);
bool db_is_null(const struct db_result *r, int row, int column);
const char *db_text(const struct db_result *r, int row, int column); /* "" for NULL */
int64_t db_int(const struct db_result *r, int row, int column);
uint64_t db_affected(const struct db_result *r);

/* Many rows in one statement: each parameter is an array literal, column by column (unnest in SQL). */
#define DB_ARRAYS_MAX 24
struct db_arrays {
    struct db_array {
        char *text;
        size_t len, room;
    } column[DB_ARRAYS_MAX];
    int columns;
    bool failed; /* out of memory; db_named_arrays() reports it */
};
void db_arrays_init(struct db_arrays *a, int columns);
void db_arrays_fini(struct db_arrays *a);
void db_arrays_null(struct db_arrays *a, int column);
void db_arrays_int(struct db_arrays *a, int column, int64_t v);
void db_arrays_text(struct db_arrays *a, int column, const char *text);
struct db_result *db_named_arrays(struct db *db, const char *statement, struct db_arrays *a);

int db_begin(struct db *db);
/* 0 committed; ERR_DB_UNKNOWN no answer; other errors: rolled back (a COMMIT answered ROLLBACK is an error). */
int db_commit(struct db *db);
void db_rollback(struct db *db);

/* COPY ... FROM STDIN (FORMAT binary). Rows are built in a buffer that is sent as it fills. */
int db_copy_in(struct db *db, const char *sql);
void db_copy_row(struct db *db, int columns);
void db_copy_null(struct db *db);
void db_copy_int2(struct db *db, int16_t v);
void db_copy_int4(struct db *db, int32_t v);
void db_copy_int8(struct db *db, int64_t v);
void db_copy_bool(struct db *db, bool v);
void db_copy_bytes(struct db *db, const void *p, size_t n); /* text, bytea, uuid, char */
void db_copy_date(struct db *db, int32_t days_since_1970);
void db_copy_timestamp(struct db *db, int64_t us_since_1970);
void db_copy_text_array(struct db *db, const char *const *v, int n);
void db_copy_jsonb(struct db *db, const void *p, size_t n); /* the text of a JSON value */
int db_copy_in_end(struct db *db, uint64_t *rows);
/* COPY (...) TO STDOUT (FORMAT binary): one row at a time. 1 a row, 0 the end, < 0 error. */
struct db_copy_field {
    const void *data; /* NULL = SQL NULL */
    int len;
};
int db_copy_out(struct db *db, const char *sql);
int db_copy_out_row(struct db *db, struct db_copy_field *fields, int max);
int16_t db_field_int2(const struct db_copy_field *f);
int32_t db_field_int4(const struct db_copy_field *f);
int64_t db_field_int8(const struct db_copy_field *f);
int32_t db_field_date(const struct db_copy_field *f);      /* days since 1970 */
int64_t db_field_timestamp(const struct db_copy_field *f); /* us since 1970 */
/* A text[] without nulls: the number of its texts (at most max are filled in), or -1 when it is something else. */
int db_field_text_array(const struct db_copy_field *f, struct db_copy_field *texts, int max);
struct db_copy_field
db_field_jsonb(const struct db_copy_field *f); /* its text; data NULL when it is something else */

/* Embedded SQL (sql/embed.sh writes them into build/gen). */
struct db_embedded {
    const char *name, *text;
};
extern const struct db_embedded db_migrations[]; /* "0001_tables", ... ; name NULL at the end, in order */
extern const struct db_embedded db_checks[];
extern const struct db_embedded db_statements[];
