#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Writes the C file that embeds the SQL: migrations in order, checks, named statements. Run from the top of the tree.
set -eu
cat <<'C'
/* Written by sql/embed.sh. */
#include "daemon/db.h"
C
emit() { # array name, files...
    local array=$1 file
    shift
    printf 'const struct db_embedded %s[] = {\n' "$array"
    for file in "$@"; do
        [ -e "$file" ] || continue
        printf '    {"%s",\n' "$(basename "$file" .sql)"
        sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/     "&\\n"/' "$file"
        printf '    },\n'
    done
    printf '    {0, 0}};\n'
}
emit db_migrations sql/migrations/*.sql
emit db_checks sql/checks/*.sql
emit db_statements sql/statements/*.sql
