#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The program is killed under load, started again and checked: every write it acknowledged is
# there, whole, in its place. The machine does not crash here, so the page cache survives: what
# shows is whether an acknowledgement ever overtakes its write.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

blockcheck=$BUILD/tests/fault/blockcheck
[ -x "$blockcheck" ] || bail "$blockcheck is not built"

# A load that ends with the death of the target, a while after it is under way that differs each
# time.
load_and_kill() { # MODEL OPTION...
    local model=$1 rc=0 pid
    shift
    "$blockcheck" load -k -t 300 -m "$model" "$@" "${URLS[0]}" >"$WORK/load.out" 2>&1 &
    pid=$!
    wait_for 120 grep -q '^under way' "$WORK/load.out"
    sleep "0.$((RANDOM % 6))"
    target_kill
    wait "$pid" || rc=$?
    cat "$WORK/load.out"
    return "$rc"
}

rounds() { # NAME STORE [serve options...]
    local name=$1 store=$2 round
    shift 2
    truncate -s 0 "$WORK/disk"
    truncate -s 64M "$WORK/disk"
    rm -f "$WORK/model"
    for round in 1 2 3; do
        target_start "$@" "$store"
        check "$name, round $round: the load is answered right until the kill" \
            load_and_kill "$WORK/model" -q 64 -w 80 -f 30
        check_output "$name, round $round: it was killed under load" \
            '[1-9][0-9]* writes.*went away'
        note <"$WORK/check.out"
        target_start "$@" "$store"
        check "$name, round $round: all acknowledged writes are there" \
            "$blockcheck" verify -a -m "$WORK/model" "${URLS[0]}"
        check "$name, round $round: it ends when asked to" target_stop
    done
}

if engine_works io_uring; then
    rounds "io_uring" "$WORK/disk" --engine io_uring
else
    skip "io_uring: all acknowledged writes are there" "io_uring is closed on this machine"
fi
rounds "epoll" "$WORK/disk" --engine epoll
rounds "two reactors" "$WORK/disk" --cores 2
rounds "write-through" "$WORK/disk" --write-through
rounds "4 KiB blocks, thin" "$WORK/disk" --block-size 4096 --thin

# The checker itself: what is lost, stale or in the wrong place must not pass.
rm -f "$WORK/model"
truncate -s 0 "$WORK/disk"
truncate -s 64M "$WORK/disk"
target_start "$WORK/disk"
check "a load without a kill" "$blockcheck" load -t 1 -w 100 -m "$WORK/model" "${URLS[0]}"
check "verifies" "$blockcheck" verify -m "$WORK/model" -a "${URLS[0]}"
check "and ends" target_stop
cp "$WORK/disk" "$WORK/good"
# a cell that was written
cell=0
while cmp -s -n 4096 -i $((cell * 4096)):0 "$WORK/good" /dev/zero; do
    cell=$((cell + 1))
done
dd if="$WORK/good" of="$WORK/disk" bs=4096 skip=$cell seek=$((cell + 1)) count=1 conv=notrunc \
    status=none
target_start "$WORK/disk"
check_fails "a block in the wrong place is found" \
    "$blockcheck" verify -a -m "$WORK/model" "${URLS[0]}"
check "and ends again" target_stop
cp "$WORK/good" "$WORK/disk"
printf 'x' | dd of="$WORK/disk" bs=1 seek=1234567 conv=notrunc status=none
target_start "$WORK/disk"
check_fails "a byte that changed is found" "$blockcheck" verify -a -m "$WORK/model" "${URLS[0]}"
finish
