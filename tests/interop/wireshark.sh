#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What our initiator and our target say to each other, as Wireshark reads it: no PDU is malformed,
# and what a capture is about is in it. In a network namespace of its own.
set -u
if [ -z "${USAN_IN_NS:-}" ]; then
    if ! why=$(unshare --net -- true 2>&1); then
        echo "1..0 # SKIP this process may make no network namespace: $why"
        exit 0
    fi
    USAN_IN_NS=1 exec unshare --net -- "$0"
fi
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"
ip link set lo up

secret=a-secret-of-20-bytes target_secret=another-of-20-bytes
printf '%s\n' $secret >"$WORK/secret"
printf '%s\n' $target_secret >"$WORK/target-secret"
truncate -s 64M "$WORK/disk" "$WORK/closed"
target_start --cores 2 "$WORK/disk"
open=${URLS[0]}
target_start --chap-user alice --chap-secret-file "$WORK/secret" --mutual-user bob \
    --mutual-secret-file "$WORK/target-secret" "$WORK/closed"
closed=iscsi://alice%$secret@${URLS[0]#iscsi://}
port_of() { # URL
    local p=${1#iscsi://}
    p=${p##*@} p=${p%%/*}
    echo "${p##*:}"
}

# ---- captures ----

capture_pid=''
capture_start() { # NAME PORT
    pcap=$WORK/$1.pcap
    dumpcap -q -i lo -f "tcp port $2" -B 64 -w "$pcap" 2>"$pcap.log" &
    capture_pid=$!
    wait_for 60 grep -q '^File:' "$pcap.log" || bail "dumpcap does not start"
}
capture_stop() { # PORT: Wireshark does not know which it is
    local size=-1 now
    now=$(stat -c %s "$pcap")
    while [ "$now" != "$size" ]; do # all that was sent is on disk
        sleep 0.3
        size=$now now=$(stat -c %s "$pcap")
    done
    kill -INT $capture_pid
    wait $capture_pid
    shark=(tshark -r "$pcap" -d "tcp.port==$1,iscsi")
}
frames() { # FILTER: how many there are
    "${shark[@]}" -Y "$1" 2>/dev/null | wc -l
}
check_frames() { # NAME FILTER
    local n
    n=$(frames "$2")
    if [ "$n" -gt 0 ]; then
        pass "$1 ($n frames)"
    else
        fail "$1" "no frame: $2"
    fi
}
check_well_formed() { # NAME
    check_frames "$1: it is iSCSI" iscsi
    check_equal "$1: nothing is malformed" "$(frames '_ws.malformed || _ws.expert.group == 117440512')" 0
}

copy() { # URL
    timeout 60 "$USAN" cp --quiet --in-place --verify --sparse 0 "$WORK/random" "$1"
}
head -c 2M /dev/urandom >"$WORK/random"

capture_start login "$(port_of "$closed")"
check "discovery, units and data with mutual CHAP" copy \
    "$closed?target_user=bob&target_password=$target_secret"
"$USAN" discover "${closed%/*/*}?target_user=bob&target_password=$target_secret" >/dev/null
capture_stop "$(port_of "$closed")"
check_well_formed "login"
check_frames "login: requests" 'iscsi.opcode == 0x03'
check_frames "login: CHAP" 'iscsi.keyvalue contains "CHAP_R="'
check_frames "login: SendTargets" 'iscsi.keyvalue contains "SendTargets=All"'
check_frames "login: R2T" 'iscsi.opcode == 0x31'
check_frames "login: Data-Out" 'iscsi.opcode == 0x05'
check_frames "login: logout" 'iscsi.opcode == 0x06'

capture_start digests "$(port_of "$open")"
check "data with digests" copy "$open?header_digest=crc32c&data_digest=crc32c&initial_r2t=yes"
capture_stop "$(port_of "$open")"
check_well_formed "digests"
check_frames "digests: CRC32C" 'iscsi.keyvalue == "HeaderDigest=CRC32C"'
check_frames "digests: Data-In" 'iscsi.opcode == 0x25'

capture_start connections "$(port_of "$open")"
check "I/O over four connections" timeout 60 "$USAN" bench --quiet --op mix --write --seconds 200ms \
    "$open?connections=4&data_digest=crc32c"
capture_stop "$(port_of "$open")"
check_well_formed "connections"
check_frames "connections: a login with the session's handle" \
    'iscsi.opcode == 0x03 && iscsi.tsih != 0'
streams=$("${shark[@]}" -Y 'iscsi.opcode == 0x01' -T fields -e tcp.stream 2>/dev/null | sort -u | wc -l)
check "connections: commands on all of them" test "$streams" -ge 4

# A bad network: the capture is of what the target sees and says.
through_proxy() { # URL PROXY-OPTION...
    local url=$1
    shift
    python3 tests/lib/tcp_proxy.py "$@" "$(port_of "$url")" >"$WORK/port" &
    at_exit end_process $!
    wait_for 60 test -s "$WORK/port" || bail "the proxy does not start"
    bad=${url/:$(port_of "$url")/:$(cat "$WORK/port")}
    rm "$WORK/port"
}

head -c 16M /dev/urandom >"$WORK/random"
level1='header_digest=crc32c&data_digest=crc32c&error_recovery=1'
through_proxy "$open" --flip-every 1900009
capture_start damage "$(port_of "$open")"
check "data over a line that damages it, level 1" copy \
    "$bad?$level1"
capture_stop "$(port_of "$open")"
check_frames "damage: SNACK" 'iscsi.opcode == 0x10'
check_frames "damage: level 1" 'iscsi.keyvalue == "ErrorRecoveryLevel=1"'

# Damaged behind the capture, which sees what the two have said: all of it is well formed.
through_proxy "$open" --flip-every 1900009 --answers
capture_start answers "$(port_of "$open")"
check "data over a line that damages the answers" timeout 60 "$USAN" cp --quiet "$bad?$level1" \
    "$WORK/back"
capture_stop "$(port_of "$open")"
check "is what was written" cmp -n 16777216 "$WORK/random" "$WORK/back"
check_well_formed "answers"
check_frames "answers: SNACK of data" 'iscsi.opcode == 0x10 && iscsi.snack.type == 0'

through_proxy "$open" --cut-every 0.15
capture_start cut "$(port_of "$open")"
check "I/O over a line that is cut, level 2" timeout 60 "$USAN" bench --quiet --seconds 1s \
    --queue-depth 8 --block-size 64K "$bad?error_recovery=2"
capture_stop "$(port_of "$open")"
check_well_formed "cut"
check_frames "cut: TASK REASSIGN" 'iscsi.opcode == 0x02 && iscsi.taskmanfun.function == 8'
finish
