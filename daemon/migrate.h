/* SPDX-License-Identifier: MIT
 *
 * The schema's version: the numbered migrations embedded in the binaries, against what the database has.
 * Forward only; each migration is one transaction. */
#pragma once

#include "daemon/db.h"

/* 0: the database has exactly our migrations. ERR_DB_CONFIG: text says what differs and what to run. Other: db_error(). */
int migrate_check(struct db *db, char *text, size_t text_len) MUST_CHECK;
/* Applies what is missing, one by one; calls done(name) after each. */
int migrate_run(struct db *db, void (*done)(const char *name), char *text, size_t text_len) MUST_CHECK;
