# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Debian's tgt as the other target, on a free loopback port. Sourced after tap.sh.

TGT_NAME=iqn.2025-01.io.usan.test:tgt
TGT_PID='' TGT_PORT=''
tgt_admin=(tgtadm -C $$ --lld iscsi)

tgt_stop() {
    [ -z "$TGT_PID" ] || {
        kill -KILL "$TGT_PID"
        wait "$TGT_PID"
    } 2>/dev/null
    TGT_PID=''
    rm -f "/run/tgtd/socket.$$" "/run/tgtd/socket.$$.lock"
}

# One target with FILE as its LUN 1, open to all. Sets TGT_PORT.
tgt_start() { # FILE
    mkdir -p /run/tgtd
    TGT_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
    tgtd -f -C $$ --iscsi "portal=127.0.0.1:$TGT_PORT" >"$WORK/tgt.log" 2>&1 </dev/null &
    TGT_PID=$!
    at_exit tgt_stop
    wait_for 60 "${tgt_admin[@]}" --op show --mode sys &&
        "${tgt_admin[@]}" --op new --mode target --tid 1 -T "$TGT_NAME" &&
        "${tgt_admin[@]}" --op new --mode logicalunit --tid 1 --lun 1 -b "$1" &&
        "${tgt_admin[@]}" --op bind --mode target --tid 1 -I ALL
}
