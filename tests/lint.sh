#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What must hold of the text of the sources: who may include what, formatting, cppcheck, shellcheck, manual pages. The
# compiler's warnings are errors in every build. Prints what is wrong and "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 70
passed=0
failed=0

check() { # text, command that prints what is wrong
    local text=$1 out
    shift
    out=$("$@" 2>&1)
    if [ -n "$out" ]; then
        failed=$((failed + 1))
        printf 'FAIL %s\n%s\n' "$text" "$out" | head -40
    else
        passed=$((passed + 1))
    fi
}

c_files() { git ls-files -co --exclude-standard '*.c' '*.h'; }

only_in() { # header, allowed files (regular expression)
    c_files | xargs grep -nE "#include [<\"]$1" | grep -vE "^($2):"
}

no_pure_io() { # pure modules: no I/O, no clock, no threads, no database, no sockets
    local pure='event|event_table|event_batch|event_decode|event_json|event_value|event_render|position|commitment|ledger[a-z_]*|results|allocation|alert[a-z_]*|entities|derive|evaluation|huisonderwijs|melding|risk|budget|fixed|explain|exact|retention|rules_table'
    c_files | grep -E "^workers/($pure)\.[ch]$" |
        xargs grep -nE '#include [<"](daemon/(bus|db|clock|log|control|config|notify|metrics)\.h|pthread\.h|unistd\.h|fcntl\.h|time\.h|sys/(socket|stat|time|types)\.h|zmq|libpq|lmdb|sodium|libconfig)'
}

no_domain_words() { # daemon/ knows no trade; main wires and may name the parts
    git ls-files 'daemon/*.[ch]' | xargs grep -niE 'school|pupil|leerling|registration|teldag_?dat|lestijd|gedoog|allocation|indicator' |
        grep -vE 'daemon/main\.c|registration\.0|teldag-feed|teldag_data\.schema_migration|config\.[ch]:[0-9]+:.*(near_pupils|"pupils")'
}

formatted() { c_files | grep -vE 'report_table\.c' | xargs clang-format --dry-run -Werror 2>&1 | grep -E 'error|warning' | cut -d: -f1 | sort | uniq -c; }

spdx() { git ls-files -co --exclude-standard '*.c' '*.h' '*.sh' '*.py' | xargs grep -L 'SPDX-License-Identifier: MIT' | xargs -r -n1 printf 'no SPDX line: %s\n'; }

long_files() { git ls-files '*.c' | xargs wc -l | awk '$2 != "total" && $1 > ($2 ~ /^tests/ ? 1200 : 950) { print $1, $2 }'; }

checked() {
    c_files | grep -E '\.c$' | grep -v '^tests/' |
        xargs cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr --suppress=missingIncludeSystem \
            --suppress=checkersReport -I. -D_GNU_SOURCE -DTELDAGD_VERSION='""' -j 2
}

shell_checked() { git ls-files -co --exclude-standard '*.sh' .ci/run | xargs shellcheck -x -S warning; }

manual_pages() { for page in docs/*.[158]; do LC_ALL=C.UTF-8 man --warnings -l -Tutf8 -Z "$page" 2>&1 >/dev/null | sed "s|^|$page: |"; done; }

check 'zmq.h is included by daemon/bus*.c only' only_in 'zmq' 'daemon/bus[a-z_]*\.c|tests/unit/test_bus_gate\.c'
check 'libpq-fe.h is included by daemon/db.c only' only_in 'libpq' 'daemon/db\.c|tests/fuzz/fuzz_config\.c'
check 'microhttpd.h is included by daemon/metrics.c only' only_in 'microhttpd' 'daemon/metrics\.c'
check 'lmdb.h is included by tools/feed_journal.c only' only_in 'lmdb' 'tools/feed_journal\.c'
check 'libconfig.h is included by the readers of such files only' only_in 'libconfig' 'daemon/config(_tree)?\.[ch]|daemon/allow\.c|workers/rules\.c'
check 'pure modules do no I/O' no_pure_io
check 'daemon/ has no domain words' no_domain_words
check 'sources are formatted (make format)' formatted
check 'every source names its licence' spdx
check 'no source over 950 lines, no test over 1,200' long_files
check 'cppcheck' checked
check 'shellcheck' shell_checked
if command -v man >/dev/null; then check 'manual pages' manual_pages; fi
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
