#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usan attach of an iSCSI unit: the target is killed and comes back while a client writes and
# verifies. Through NBD, iSCSI, a file and a loop device nobody sees an error.
# time limit: 300
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

blockcheck=$BUILD/tests/fault/blockcheck
[ -x "$blockcheck" ] || bail "$blockcheck is not built"
dir=$WORK/mnt
mkdir "$dir"
at_exit umount -q -l "$dir"
truncate -s 64M "$WORK/disk"

serve() { # with the port of before, if there was one; somebody may have it for a moment
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        target_launch 1 serve --address 127.0.0.1 --port "${port:-0}" "$WORK/disk" && return
        sleep 1
    done
    bail "usan serve does not start"
}
serve
url=${URLS[0]} port=$(url_port "${URLS[0]}") server=$TARGET_PID

# Some seconds of writes, then all of it is verified. What was written and not flushed survives in
# the file: only the process is killed.
load() { # OPTION...
    fio --name=v --rw=randwrite --bs=4k --size=48M --rate=12m --iodepth=16 --verify=crc32c \
        --verify_fatal=1 --verify_state_save=0 --fsync=256 "$@" >"$WORK/load" 2>&1
}
# Sets ATTACH_PID and FRONTS, or is false.
attach_start() { # COUNT ARGUMENT...
    local count=$1 rc=0
    shift
    target_launch "$count" attach "$@" "$url?reconnect_timeout=60s" || rc=1
    ATTACH_PID=$TARGET_PID FRONTS=("${URLS[@]}") TARGET_PID=$server
    return $rc
}
kill_and_start() {
    for _ in 1 2; do
        sleep 0.7
        target_kill
        sleep 0.5
        serve
        server=$TARGET_PID
    done
}
# A load while the target is killed and started. One that is over before that shows nothing: the
# machine stood still, and it is done again.
under_load() { # NAME COMMAND...: sets rc
    local name=$1 load_pid under_way
    shift
    for _ in 1 2 3 4 5; do
        "$@" &
        load_pid=$! rc=0 under_way=0
        kill_and_start
        kill -0 "$load_pid" 2>/dev/null || under_way=1
        wait "$load_pid" || rc=$?
        if [ "$rc" != 0 ] || [ $under_way = 0 ]; then break; fi
    done
    check_equal "$name: the load was under way" $under_way 0
    [ "$rc" = 0 ] || tail -n 20 "$WORK/load" | note
}
through_restarts() { # NAME OPTION...: of fio
    local name=$1 rc
    shift
    under_load "$name" load "$@"
    check_equal "$name: it saw no error and reads what it wrote" "$rc" 0
}
attach_end() { # NAME
    TARGET_PID=$ATTACH_PID
    check "$1: it ends" target_stop
    TARGET_PID=$server
}

# blockcheck begins with a disk of zeroes
attach_start 1 --as iscsi:127.0.0.1:0 || bail "usan attach does not start"
model=$WORK/model
blockcheck_load() {
    rm -f "$model"
    truncate -s 0 "$WORK/disk"
    truncate -s 64M "$WORK/disk"
    "$blockcheck" load -t 5 -m "$model" "${FRONTS[0]}" >"$WORK/load" 2>&1
}
under_load iSCSI blockcheck_load
check_equal "iSCSI: it saw no error" "$rc" 0
check "iSCSI: what it wrote is there" "$blockcheck" verify -a -m "$model" "${FRONTS[0]}"
attach_end "iSCSI"

attach_start 1 --as "nbd:unix:$WORK/s" || bail "usan attach does not start"
through_restarts "NBD" --ioengine=nbd --uri="${FRONTS[0]}"
# The unit is larger when it comes back: new clients see that.
target_kill
truncate -s 96M "$WORK/disk"
serve
server=$TARGET_PID
grown() {
    [ "$(nbdinfo --size "${FRONTS[0]}")" = 100663296 ]
}
check "NBD: the export has grown with the unit" wait_for 60 grown
check "NBD: there is something in the new part" qemu-io -f raw -c 'write -P 5 80M 1M' \
    -c 'read -P 5 80M 1M' "${FRONTS[0]}"
check_equal "NBD: it is in the unit" "$(head -c 83886081 "$WORK/disk" | tail -c 1 | od -An -tu1 | tr -d ' ')" 5
attach_end "NBD"

if [ "$(id -u)" != 0 ] || [ ! -c /dev/fuse ] || [ ! -c /dev/loop-control ]; then
    skip "a file and a loop device" "they need root, /dev/fuse and loop devices"
elif ! attach_start 2 --loop --as "fuse:$dir"; then
    grep -qE 'built without libfuse3|not permitted|Permission denied|/dev/loop.*No such' \
        "$WORK"/target.*.log ||
        bail "usan attach does not start"
    skip "a file and a loop device" "they cannot be made here"
else
    through_restarts "file" --ioengine=libaio --direct=1 --filename="${FRONTS[0]}"
    through_restarts "loop device" --ioengine=libaio --direct=1 --filename="${FRONTS[1]}"
    # The unit is larger when it comes back.
    target_kill
    truncate -s 128M "$WORK/disk"
    serve
    server=$TARGET_PID
    grown() {
        dd if="${FRONTS[1]}" of="$WORK/out" bs=4k count=1 iflag=direct
        [ "$(blockdev --getsize64 "${FRONTS[1]}")" = 134217728 ]
    }
    check "the loop device has grown with the unit" wait_for 30 grown
    check_equal "and so has the file" "$(stat -c %s "${FRONTS[0]}")" 134217728
    check "there is something in the new part" dd if=/dev/urandom of="${FRONTS[1]}" bs=1M count=1 \
        seek=100 oflag=direct
    check "it is in the unit" cmp -n 1048576 -i 104857600 "${FRONTS[0]}" "$WORK/disk"
    attach_end "file and loop device"
fi
check_target_healthy
check "the target ends" target_stop
finish
