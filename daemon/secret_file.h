/* SPDX-License-Identifier: MIT
 *
 * Opening a file that is secret, or that says who is let in: what was looked at is what is read. */
#pragma once

#include <stddef.h>

enum secret_file_use {
    SECRET_FILE_READ, /* nobody else may read it; a credential of root's may show the group the service runs in */
    SECRET_FILE_CHANGE /* nobody else may change it */
};

/* The descriptor of a regular file that is ours or root's and no link; -1 with the reason, without the path, in error. */
int secret_file_open(const char *path, enum secret_file_use use, char *error, size_t error_len);
