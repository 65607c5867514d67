/* SPDX-License-Identifier: MIT
 *
 * The words for error codes. */
#include "daemon/err.h"

const char *err_text(int err)
{
    switch (err) {
    case ERR_OK:
        return "no error";
    case ERR_NOMEM:
        return "out of memory";
    case ERR_INVALID:
        return "invalid input";
    case ERR_AGAIN:
        return "not now";
    case ERR_CLOSED:
        return "closed";
    case ERR_IO:
        return "system error";
    case ERR_RANGE:
        return "out of range";
    case ERR_MISSING:
        return "missing";
    case ERR_EXISTS:
        return "already there";
    case ERR_DB_RETRY:
        return "database not available";
    case ERR_DB_DATA:
        return "database refused the data";
    case ERR_DB_CONFIG:
        return "database refused its configuration";
    case ERR_DB_UNKNOWN:
        return "commit without answer";
    case ERR_FENCE:
        return "progress moved by another daemon";
    default:
        return "unknown error";
    }
}
