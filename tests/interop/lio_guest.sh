#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# time limit: 600
# Our initiator against the Linux kernel's target, LIO, which serves three disks in a guest
# (tests/guest/lio.sh): discovery, units, parameters at their extremes, several connections,
# recovery levels. In a network namespace of its own; the guest is 10.0.2.15.
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
. "$ROOT/tests/lib/parameters.sh"

ip link set lo up
if ! ip tuntap add dev usan1 mode tap 2>"$WORK/tap"; then
    echo "1..0 # SKIP this kernel has no TAP devices: $(cat "$WORK/tap")"
    exit 0
fi
ip addr add 10.0.2.2/24 dev usan1
ip link set usan1 up

name=iqn.2003-01.org.linux-iscsi.guest:disk
secret=a-secret-of-20-bytes target_secret=another-of-20-bytes
: >"$WORK/out"
LIMIT=550 tests/guest/run.sh usan1 lio.sh "$WORK/out" NAME=$name USER=alice SECRET=$secret \
    TARGET_USER=bob TARGET_SECRET=$target_secret >"$WORK/run.log" 2>&1 &
guest=$!
at_exit end_process $guest
ready() { grep -q '^lio is ready' "$WORK/out" || ! kill -0 "$guest" 2>/dev/null; }
wait_for 300 ready
if ! grep -q '^lio is ready' "$WORK/out"; then
    note <"$WORK/run.log"
    note <"$WORK/out"
    bail "LIO does not start in the guest"
fi

open=iscsi://10.0.2.15/$name-open/0
user=iscsi://alice%$secret@10.0.2.15/$name
check "discovery" "$USAN" discover iscsi://10.0.2.15
check_output "it tells the targets" "$name-mutual"
check "units" "$USAN" ls "$open"
check_output "one of 16 MiB" '16M'
check "INQUIRY" "$USAN" inq "$open"
check_output "it is LIO's" 'LIO-ORG'
check_parameters LIO "$open" "$user-chap/0" \
    "$user-mutual/0?target_user=bob&target_password=$target_secret" \
    chap_hashes=md5,sha1,sha256,sha3-256 connections=1,4

# The target goes away for a second while a session reads and writes, which waits for it.
knock() { (exec 3<>/dev/tcp/10.0.2.15/7777) 2>/dev/null; }
was_away() { grep -q '^it was away' "$WORK/out"; }
knock_soon() {
    sleep 1.5
    knock
}
knock_soon &
at_exit end_process $!
check "nothing fails while the target is away" timeout 60 "$USAN" bench --quiet --json --op mix \
    --write --seconds 5s "$open"
check_output "I/O waited for it" '"max": *[0-9]{9,}'
check "it was away" was_away
head -c 8M /dev/urandom >"$WORK/random"
check "it holds data afterwards" timeout 60 "$USAN" cp --quiet --in-place --verify \
    "$WORK/random" "$open"

knock
rc=0
wait $guest || rc=$?
check_equal "the guest's script ran to its end" "$rc" 0
tr -d '\r' <"$WORK/out" | tail -n 20 | note
finish
