#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Shows that the simulator finds what it is for: known bugs are planted, one at a time, in a copy of the sources, and
# sim_whole must find each. Prints after how many seeds, what it said, and how many runs of the sound code found
# nothing. A bug is planted in the product's own modules where the decision stands there, else in the model (marked).
# Usage: planted.sh; PLANTED_SEEDS=N the most seeds for one bug.
set -u
cd "$(dirname "$0")/../.." || exit 70
most=${PLANTED_SEEDS:-6000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=(workers/position.c workers/commitment.c workers/epoch.c daemon/answer.c daemon/wire.c tests/sim/whole_core.c tests/sim/whole_feed.c
    tests/sim/whole_database.c tests/sim/whole_daemon.c tests/sim/whole_writer.c tests/sim/whole_alerts.c
    tests/sim/sim_whole.c)
passed=0
failed=0

compile() { # source, folder of the tree, object
    # shellcheck disable=SC2086 # CC may be "ccache gcc"
    (cd "$2" && ${CC:-gcc} -std=gnu11 -O2 -w -I. -D_GNU_SOURCE -c -o "$3" "$1")
}

# The sound objects, once.
mkdir -p "$work/sound" "$work/tree/workers" "$work/tree/daemon" "$work/tree/tests/sim"
cp workers/*.[ch] "$work/tree/workers/"
cp daemon/*.[ch] "$work/tree/daemon/"
cp tests/sim/*.[ch] "$work/tree/tests/sim/"
for source in "${sources[@]}"; do
    compile "$source" "$work/tree" "$work/sound/$(basename "$source" .c).o" || exit 70
done

# A bug: its name, the file, what is replaced (once, or it is an error), and by what.
plant() {
    local name=$1 file=$2 old=$3 new=$4 object out seeds said where=product
    object=$(basename "$file" .c).o
    case $file in tests/*) where=model ;; esac
    rm -rf "$work/planted"
    mkdir "$work/planted"
    cp "$work"/sound/*.o "$work/planted/"
    if ! OLD=$old NEW=$new /usr/bin/python3 - "$file" "$work/tree/$file" <<'PY'
import os, sys
text = open(sys.argv[1]).read()
old = os.environ["OLD"]
if text.count(old) != 1:
    sys.exit(f"{sys.argv[1]}: found {text.count(old)} times, wanted once: {old}")
open(sys.argv[2], "w").write(text.replace(old, os.environ["NEW"]))
PY
    then
        failed=$((failed + 1))
        return
    fi
    # shellcheck disable=SC2086
    if ! compile "$file" "$work/tree" "$work/planted/$object" || ! ${CC:-gcc} -o "$work/planted/sim" "$work/planted"/*.o; then
        failed=$((failed + 1))
        return
    fi
    cp "$file" "$work/tree/$file"
    out=$(SIM_STOP=1 SIM_SEEDS=$most "$work/planted/sim" 2>&1)
    seeds=$(sed -n 's/^sim_whole: seeds 1\.\.\([0-9]*\), 1 failed.*/\1/p' <<<"$out")
    said=$(sed -n 's/^FAILED seed [0-9]* step [0-9]* at [0-9.]* s: //p' <<<"$out" | head -1)
    if [ -n "$seeds" ]; then
        passed=$((passed + 1))
        printf '| %-58s | %-7s | %5s | %s |\n' "$name" "$where" "$seeds" "$said"
    else
        failed=$((failed + 1))
        printf '| %-58s | %-7s | not in %s | NOT FOUND |\n' "$name" "$where" "$most"
        tail -3 <<<"$out"
    fi
}

printf '| %-58s | %-7s | %5s | %s |\n|---|---|---|---|\n' 'planted bug' 'in' 'seeds' 'what the simulator said'
# shellcheck disable=SC2016
{
    plant 'a fence that moved no row is passed' workers/commitment.c \
        'return rows == 1 ? 0 : ERR_FENCE;' 'return rows <= 1 ? 0 : ERR_FENCE;'
    plant 'a sequence beyond the next is accepted, without gap check' workers/position.c \
        '    if (h->first_seq > p->next) {' \
        '    if (h->first_seq > p->next)
        p->next = h->first_seq;
    if (false) {'
    plant 'ack before fsync' tests/sim/whole_feed.c \
        '    f->syncing = true;' \
        '    f->syncing = true;
    plan(w, ACT_ACK, (uint8_t)(FEED + stream), f->sent, 50);'
    plant 'the overlay is kept after a rollback' workers/commitment.c \
        'COMMITMENT_HOLD : COMMITMENT_DROP;' 'COMMITMENT_HOLD : COMMITMENT_HOLD;'
    plant 'the alert sequence is drawn outside the transaction' tests/sim/whole_writer.c \
        '    return x->shard.alert_seq + (uint64_t)n;' \
        '    static uint64_t drawn;
    uint64_t due = x->shard.alert_seq + (uint64_t)n;
    drawn = due == 1 || due > drawn ? due : drawn + 1;
    return drawn;'
    plant 'a COMMIT without answer that was done is tried again' workers/commitment.c \
        'return COMMITMENT_DONE;' 'return COMMITMENT_TRY;'
    plant 'a COMMIT without answer is taken for done' workers/commitment.c \
        'if (m->unresolved && found->batch == m->believed.batch + 1 && found->token == m->token)' 'if (m->unresolved)'
    plant 'another writer'"'"'s batch is taken for ours: no token' workers/commitment.c \
        ' && found->token == m->token)' ')'
    plant 'what was lost with the session is believed' workers/commitment.c \
        'if (found->batch == m->believed.batch && found->token == m->believed.token && m->same_server)' 'if (true)'
    plant 'GONE goes on silently from what is kept' workers/position.c \
        '    p->other_epoch = h->epoch;
    p->first_kept = h->first_seq;' \
        '    p->next = p->first_kept = h->first_seq;
    if (true)
        return;'
    plant 'an accept goes by a stop that is over' workers/commitment.c \
        'if (to->epoch == at->epoch && to->next < at->next)' 'if (false)'
    plant 'the ledger is used again though another daemon wrote' workers/commitment.c \
        'return rebuilds_now != rebuilds ? COMMITMENT_LOOK_AGAIN : COMMITMENT_TRY;' 'return COMMITMENT_TRY;'
    plant 'what the receiver had before the last order is taken' workers/commitment.c \
        '(!best_effort && b->generation != ordered)' '(false)'
}
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
