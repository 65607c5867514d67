/* SPDX-License-Identifier: MIT
 *
 * Error codes shared by every module. A function that can fail returns 0 or one of these negative
 * codes and is marked MUST_CHECK. Input never asserts; our own bugs do, also in release builds. */
#pragma once

#define MUST_CHECK __attribute__((warn_unused_result))

enum err {
    ERR_OK = 0,
    ERR_NOMEM = -1,       /* out of memory at run time */
    ERR_INVALID = -2,     /* the input is wrong; the caller says how */
    ERR_AGAIN = -3,       /* nothing there now, or no room now; try again later */
    ERR_CLOSED = -4,      /* the other side, or this object, is shut down */
    ERR_IO = -5,          /* a system call failed; errno is kept */
    ERR_RANGE = -6,       /* a number outside its bounds */
    ERR_MISSING = -7,     /* what was asked for does not exist */
    ERR_EXISTS = -8,      /* already there */
    ERR_DB_RETRY = -9,    /* database: transient, retry with back-off (SQLSTATE 08 57P0 40001 40P01 53) */
    ERR_DB_DATA = -10,    /* database: the data was refused (22, 23): bisect */
    ERR_DB_CONFIG = -11,  /* database: configuration (42, 28, 3D): stop loudly */
    ERR_DB_UNKNOWN = -12, /* database: a COMMIT got no answer */
    ERR_FENCE = -13       /* another daemon moved the progress row: rebuild */
};

/* A short English word for a code ("out of memory"), never NULL. */
const char *err_text(int err);
