#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# time limit: 1200
# The Linux kernel's initiator in a guest (tests/guest/disk.sh): discovery, digests, file system,
# discard, reservations, a restart of the server under I/O, CHAP. Runs in a network namespace of
# its own, in which the guest is 10.0.2.15 and the server 10.0.2.2.
set -u
if [ -z "${USAN_IN_NS:-}" ]; then
    # What needs the network comes first: the namespace has none.
    if ! why=$(unshare --net --mount -- true 2>&1); then
        echo "1..0 # SKIP this process may make no network namespace: $why"
        exit 0
    fi
    if ! built=$("$(dirname "$0")/../guest/build.sh" 2>&1); then
        printf '%s\n' "$built" | sed 's/^/# /'
        echo "Bail out! the guest can not be built"
        exit 1
    fi
    USAN_IN_NS=1 exec unshare --net --mount -- "$0"
fi
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

ip link set lo up
if ! ip tuntap add dev usan0 mode tap 2>"$WORK/tap"; then
    echo "1..0 # SKIP this kernel has no TAP devices: $(cat "$WORK/tap")"
    exit 0
fi
ip addr add 10.0.2.2/24 dev usan0
ip link set usan0 up

truncate -s 128M "$WORK/disk"
truncate -s 64M "$WORK/wide"
truncate -s 16M "$WORK/closed"
echo "a-secret-for-the-guest" >"$WORK/secret"
chmod 600 "$WORK/secret"
base=iqn.2025-01.io.usan.test
cat >"$WORK/usan.yaml" <<YAML
portals:
  - address: 10.0.2.2
    port: 3260
targets:
  - name: $base:open
    luns:
      - lun: 0
        store: $WORK/disk
        thin: true
  - name: $base:wide
    luns:
      - lun: 0
        store: $WORK/wide
        block-size: 4096
YAML
target_launch 1 serve --address 10.0.2.2 --port 3261 --name $base:closed --chap-user carol \
    --chap-secret-file "$WORK/secret" "$WORK/closed" || bail "usan serve does not start"
target_launch 2 target run -c "$WORK/usan.yaml" || bail "usan target run does not start"

# When the guest asks for it, while it writes.
restart_when_asked() {
    local old=$1
    wait_for 900 grep -q '^please restart' "$WORK/out" || return
    sleep 1
    kill -KILL "$old"
    sleep 1
    "$USAN" target run -c "$WORK/usan.yaml" >"$WORK/second.out" 2>"$WORK/second.log" </dev/null &
    echo $! | tee "$WORK/second.pid" >>"$WORK/target.pids"
    wait
}
: >"$WORK/out"
restart_when_asked "$TARGET_PID" &
restarter=$!
at_exit end_process $restarter
rows=$(python3 tests/lib/pairwise.py login=none,one-way HeaderDigest=None,CRC32C \
    DataDigest=None,CRC32C InitialR2T=No,Yes ImmediateData=No,Yes \
    FirstBurstLength=512,65536,16777215 MaxBurstLength=512,65536,16777215 \
    MaxRecvDataSegmentLength=512,8192,16777215 MaxOutstandingR2T=1,16 -- \
    'FirstBurstLength=65536 MaxBurstLength=512' 'FirstBurstLength=16777215 MaxBurstLength=512' \
    'FirstBurstLength=16777215 MaxBurstLength=65536')
rc=0
LIMIT=1000 tests/guest/run.sh usan0 disk.sh "$WORK/out" PORTAL=10.0.2.2:3260 \
    OPEN=$base:open WIDE=$base:wide CHAP_PORTAL=10.0.2.2:3261 CLOSED=$base:closed USER=carol \
    SECRET=a-secret-for-the-guest ROWS="${rows//$'\n'/;}" >"$WORK/run.log" 2>&1 || rc=$?

while IFS= read -r line; do
    case $line in
    "case ok "*) pass "${line#case ok }" ;;
    "case not ok "*) fail "${line#case not ok }" ;;
    *) note "$line" ;;
    esac
done < <(tr -d '\r' <"$WORK/out")
if [ $rc != 0 ]; then
    fail "the guest's script ran to its end" "exit code $rc"
    note <"$WORK/run.log"
    tail -n 20 "$WORK/out.console" | note
else
    pass "the guest's script ran to its end"
fi
if [ -s "$WORK/second.pid" ]; then
    TARGET_PID=$(cat "$WORK/second.pid")
    kill -TERM "$TARGET_PID"
    check "the server started anew ends when asked to" wait_for 60 process_ended "$TARGET_PID"
else
    fail "the server was restarted"
fi
check_equal "the servers report no defect of their own" \
    "$(grep -hE 'Assertion|runtime error|ERROR: ' "$WORK"/*.log)" ""
finish
