#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The disk below the server loses its power in the middle of a load: the crash filter forgets,
# tears or garbles what was not flushed. After a restart everything that was promised to be
# durable (FUA, SYNCHRONIZE CACHE, write-through) is there.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

blockcheck=$BUILD/tests/fault/blockcheck
[ -x "$blockcheck" ] || bail "$blockcheck is not built"

lose_power() { # NAME CRASH-OPTIONS LOAD-OPTIONS VERIFY-OPTIONS [serve options...]
    local name=$1 crash=$2 load=$3 verify=$4 round
    shift 4
    rm -f "$WORK/model" "$WORK/disk"
    truncate -s 32M "$WORK/disk"
    for round in 1 2; do
        target_start "$@" "crash($crash,seed=$round)+$WORK/disk"
        # shellcheck disable=SC2086
        check "$name, round $round: a load until the power goes" \
            "$blockcheck" load -k -t 120 -m "$WORK/model" $load "${URLS[0]}"
        check_output "$name, round $round: it went in the middle" \
            '[1-9][0-9]* writes.*went away'
        note <"$WORK/check.out"
        target_kill
        target_start "$WORK/disk"
        # shellcheck disable=SC2086
        check "$name, round $round: what was durable is there" \
            "$blockcheck" verify $verify -m "$WORK/model" "${URLS[0]}"
        check "$name, round $round: the server ends" target_stop
    done
}

for mode in drop keep tear; do
    lose_power "$mode" "mode=$mode,after=3000" "-w 90 -f 30 -s 0.1" ""
done
lose_power "garble" "mode=garble,after=3000" "-w 90 -f 30 -s 0.1" "-g"
lose_power "any of these" "mode=random,after=5000" "-w 90 -f 10 -s 0.05" "-g"
lose_power "every write with FUA" "mode=drop,after=2000" "-w 90 -f 100" "-a"
lose_power "write-through" "mode=drop,after=2000" "-w 90 -f 0" "-a" --write-through

# The filter does lose data, or all of this would mean nothing.
rm -f "$WORK/model" "$WORK/disk"
truncate -s 32M "$WORK/disk"
target_start "crash(mode=drop,after=3000)+$WORK/disk"
check "a load without FUA or flush" \
    "$blockcheck" load -k -t 120 -m "$WORK/model" -w 90 "${URLS[0]}"
target_kill
target_start "$WORK/disk"
check_fails "loses acknowledged writes" "$blockcheck" verify -a -m "$WORK/model" "${URLS[0]}"
finish
