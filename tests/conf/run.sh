#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Golden configuration tests. Each NAME.conf begins with "// exit: CODE" and "// says: TEXT": teldagd --check-config must
# end with that code and print that line (part of a line when the message comes from a named file). A good file is also
# printed, compared with NAME.golden, and what was printed must parse back to itself.
# Usage: run.sh BUILD_DIR [--update]   (--update writes the .golden files anew)
set -u
build=$(realpath "${1:?usage: run.sh BUILD_DIR}")
update=${2:-}
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 70

# What the files name: the rules as shipped, a rules directory with a mistake, keys good and bad.
ln -s "$here/../../conf/rules" rules
mkdir bad-rules
cp rules/*.conf bad-rules/
echo 'surprise = { value = "1"; source = "none"; verified = true; };' >>bad-rules/2024-2025.conf
printf '2024-2025 %064d\n' 7 >pseudonym.key
chmod 600 pseudonym.key
cp pseudonym.key open.key && chmod 644 open.key
printf '2024-2025 0123\n' >short.key && chmod 600 short.key
"$build/teldagctl" keys generate --out curve.secret >/dev/null
"$build/teldag-feed" keygen --out control.secret >/dev/null
cp curve.secret open.secret && chmod 644 open.secret
echo "keys = ( { name = \"control\"; key = \"$(cat control.secret.pub)\"; streams = (\"alert.*\"); } );" >allow.conf
sed 's|"alert|"alert.0"); kinds = ("treshold|; s|streams = ("treshold|kinds = (|' allow.conf >bad-allow.conf
chmod 644 allow.conf bad-allow.conf

passed=0 failed=0
fail() {
    echo "FAIL $name: $1"
    good=no
}

# Runs teldagd; sets code and leaves what was said in said.
ask() {
    "$build/teldagd" "$@" >said 2>&1 </dev/null
    code=$?
}

check_print() {
    "$build/teldagd" -c case.conf --print-config >printed.conf 2>err || fail "--print-config ends with $?: $(cat err)"
    "$build/teldagd" -c printed.conf --print-config >again.conf 2>err || fail "printed file is refused: $(cat err)"
    cmp -s printed.conf again.conf || fail "what --print-config printed does not parse back to itself"
    [ "$update" = --update ] && cp printed.conf "$here/$name.golden"
    diff -u "$here/$name.golden" printed.conf || fail "differs from $name.golden"
}

for file in "$here"/*.conf; do
    name=$(basename "$file" .conf) good=yes
    cp "$file" case.conf
    want=$(sed -n '1s/^.. exit: //p' case.conf)
    says=$(sed -n '2s/^.. says: //p' case.conf)
    ask -c case.conf --check-config
    [ "$code" = "$want" ] || fail "exit code $code, not $want: $(cat said)"
    case $says in
    case.conf*) line="teldagd: $says" match=-Fxq ;;
    "configuration OK") line=$says match=-Fxq ;;
    *) line=$says match=-Fq ;;
    esac
    grep $match -e "$line" said || fail "does not say \"$says\" but: $(cat said)"
    [ "$(wc -l <said)" = 1 ] || fail "says more than one line"
    [ "$want" != 0 ] || check_print
    if [ $good = yes ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done

# The command line.
expect() {
    name="teldagd $*" good=yes
    ask "${@:3}"
    [ "$code" = "$1" ] || fail "exit code $code, not $1"
    grep -Fq -e "$2" said || fail "does not say \"$2\" but: $(cat said)"
    if [ $good = yes ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
cp "$here/good-full.conf" case.conf
expect 0 'teldagd ' --version
expect 0 'usage: teldagd -c FILE' --help
expect 64 '-c FILE is missing'
expect 64 'usage: teldagd -c FILE' --frobnicate
expect 64 'unexpected argument' -c case.conf extra
expect 64 'not a date' -c case.conf --today 2025-02-30
expect 64 'not a date' -c case.conf --today 25-02-03
expect 0 'configuration OK' -c case.conf --check-config --today 2025-02-03
expect 0 'configuration OK' -c case.conf --check-config --print-config
expect 78 'no-such.conf: cannot be read: No such file or directory' -c no-such.conf --check-config
expect 78 'is a directory' -c bad-rules --check-config

# The shipped example is a test input too (its paths are those of an installation).
sed -e 's,"/etc/teldagd/rules","rules",' -e 's,^pseudonym_key.*,,' "$here/../../conf/teldagd.conf" >case.conf
expect 0 'configuration OK' -c case.conf --check-config

echo "$passed passed, $failed failed"
[ $failed = 0 ]
