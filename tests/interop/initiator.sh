#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Our initiator against our own target and against tgt: discovery, units, INQUIRY, data through a
# store that is exported again, CHAP, digests, restarts under load, and what is said when it fails.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

blockcheck=$BUILD/tests/fault/blockcheck
[ -x "$blockcheck" ] || bail "$blockcheck is not built"
secret=a-secret-of-20-bytes target_secret=another-of-20-bytes
printf '%s\n' $secret >"$WORK/secret"
printf '%s\n' $target_secret >"$WORK/target-secret"
printf 'not-the-right-secret\n' >"$WORK/wrong"

# The store of one URL, exported again by a second process. Sets FRONT, its URL, and FRONT_PID.
FRONT='' FRONT_PID=''
front_start() { # STORE [serve options...]
    local store=$1 pid=$TARGET_PID log=$TARGET_LOG urls=("${URLS[@]}")
    shift
    PORT='' target_start "$@" "$store"
    FRONT=${URLS[0]} FRONT_PID=$TARGET_PID
    TARGET_PID=$pid TARGET_LOG=$log URLS=("${urls[@]}")
}
front_stop() {
    local pid=$TARGET_PID rc=0
    TARGET_PID=$FRONT_PID
    target_stop || rc=$?
    TARGET_PID=$pid
    return "$rc"
}

json() { # COMMAND...: its output is JSON
    "$@" >"$WORK/json" && python3 -m json.tool "$WORK/json"
}

# It fails with exit code 1 and one line that matches.
check_complaint() { # NAME PATTERN COMMAND...
    local name=$1 pattern=$2 rc=0
    shift 2
    timeout 60 "$@" >"$WORK/complaint.out" 2>"$WORK/complaint" </dev/null || rc=$?
    if [ $rc = 1 ] && [ "$(wc -l <"$WORK/complaint")" = 1 ] &&
        grep -qE -- "$pattern" "$WORK/complaint"; then
        pass "$name"
    else
        fail "$name" "exit code $rc, wanted 1 and one line that matches: $pattern"
        note <"$WORK/complaint"
    fi
}

# Data through a store that is exported again, against the original file.
check_data() { # NAME URL FILE
    local name=$1 url=$2 file=$3
    front_start "$url"
    check "$name: an image is copied in" \
        qemu-img convert -n -f raw -O raw -W -m 8 "$WORK/image" "$FRONT"
    check "$name: it compares equal" qemu-img compare -f raw -F raw "$WORK/image" "$FRONT"
    check "$name: patterns, zeroes, discard, flush" qemu-io -d unmap -f raw \
        -c 'write -P 1 512 512' -c 'write -f -P 2 1M 3M' -c 'write -z 2M 64k' \
        -c 'discard 8M 1M' -c 'flush' -c 'read -P 1 512 512' -c 'read -P 2 1M 1M' \
        -c 'read -P 0 2M 64k' "$FRONT"
    check "$name: it ends when asked to" front_stop
    check "$name: what was written stands in the original" qemu-io -f raw \
        -c 'read -P 1 512 512' -c 'read -P 2 1M 1M' -c 'read -P 0 2M 64k' "$file"
}

load_start() { # MODEL
    "$blockcheck" load -t 12 -q 32 -w 70 -s 1 -m "$1" "$FRONT" >"$WORK/load.out" 2>&1 &
    load_pid=$!
    wait_for 60 grep -q '^under way' "$WORK/load.out"
}
load_end() {
    local rc=0
    wait "$load_pid" || rc=$?
    cat "$WORK/load.out"
    return "$rc"
}

head -c 25165824 /dev/urandom >"$WORK/image"
truncate -s 64M "$WORK/image" "$WORK/disk" "$WORK/second"

# ---- our own target ----

target_start -n 2 --thin --one-target --name iqn.2025-01.io.usan.test:own "$WORK/disk" \
    "$WORK/second"
url=${URLS[0]} portal=$(portal_url) address=$(url_portal "${URLS[0]}")

check "discover" "$USAN" discover "$portal"
check_equal "shows target and address" "$(cat "$WORK/check.out")" \
    "iqn.2025-01.io.usan.test:own $address,1"
check "discover as JSON" json "$USAN" discover --json "$portal"
check_output "names the target" '"name": "iqn.2025-01.io.usan.test:own"'
check "ls of a portal" "$USAN" ls "$portal"
check_output "shows the first unit" "^$url  64M  512  USAN VIRTUAL-DISK  [0-9A-Za-z]+\$"
check_output "and the second" "^${URLS[1]}  64M  512 "
check "ls of one unit as JSON" json "$USAN" ls --json "${URLS[1]}"
check_output "with its size" '"size_bytes": 67108864'
check_output "and that it is thin" '"thin": true'
check "inq" "$USAN" inq "$url"
check_output "standard data" '^  vendor: USAN$'
check_output "the serial number" '^  serial number: '
check_output "block limits in words" 'longest COMPARE AND WRITE: 255 blocks'
check_output "provisioning in words" 'provisioning: thin provisioned'
check "inq of one page as JSON" json "$USAN" inq --json --page b2 "$url"
check_output "has its name" '"name": "Logical Block Provisioning"'
check_fails "a page there is not" "$USAN" inq --page d0 "$url"
check_output "says so" '^usan inq: .*/0: the unit has no page d0h; page 00h has those there are$'
check_fails "a page that is none" "$USAN" inq --page zz "$url"
check_output "says which" '^usan inq: --page zz: '

check_data "our own target" "$url" "$WORK/disk"
for options in header_digest=crc32c 'header_digest=crc32c&data_digest=crc32c' connections=4 \
    'error_recovery=2&connections=2&header_digest=crc32c&data_digest=crc32c'; do
    check_data "$options" "$url?$options" "$WORK/disk"
done
front_start "$url" --read-only
check_fails "a read-only store is not written" qemu-io -f raw -c 'write 0 512' "$FRONT"
check "but read" qemu-io -r -f raw -c 'read -P 1 512 512' "$FRONT"
check "it ends as well" front_stop

attach_start() {
    local pid=$TARGET_PID log=$TARGET_LOG urls=("${URLS[@]}") rc=0
    target_launch 1 attach "$url" --as "nbd:unix:$WORK/nbd.sock" || rc=1
    FRONT=${URLS[0]} FRONT_PID=$TARGET_PID
    TARGET_PID=$pid TARGET_LOG=$log URLS=("${urls[@]}")
    return "$rc"
}
check "a unit is attached as a network block device" attach_start
check "it is written there" qemu-io -f raw -c 'write -P 9 5M 1M' "$FRONT"
check "and read" qemu-io -f raw -c 'read -P 9 5M 1M' -c 'read -P 1 512 512' "$FRONT"
check "it is detached" front_stop
check "the original has it" qemu-io -f raw -c 'read -P 9 5M 1M' "$WORK/disk"

check_complaint "no such unit" "$address/.*/9: LUN 9: the target has no such unit" "$USAN" inq "${url%/*}/9"
check_complaint "no such target" 'no such target' "$USAN" inq "${url%:own*}:other/0"
check_complaint "nobody listens" 'cannot connect: Connection refused' \
    "$USAN" discover iscsi://127.0.0.1:1
check_complaint "no such host" 'host "nobody.invalid": ' "$USAN" ls iscsi://nobody.invalid
check_complaint "a store that is not there" 'iscsi: 127.0.0.1:1, .*Connection refused' \
    "$USAN" serve --address 127.0.0.1 --port 0 "iscsi://127.0.0.1:1/iqn.2025-01.io.usan.test:own/0"
check_complaint "a store of a unit that is not there" 'LUN 9' \
    "$USAN" serve --address 127.0.0.1 --port 0 "${url%/*}/9"
check_target_healthy

# ---- restarts under load ----

front_start "${URLS[1]}"
port=$(url_port "$url")
check "a load is under way" load_start "$WORK/model"
for round in 1 2; do
    sleep 1
    target_kill
    sleep 1
    PORT=$port target_start -n 2 --thin --one-target --name iqn.2025-01.io.usan.test:own \
        "$WORK/disk" "$WORK/second"
    check "restart $round: the target is back" "$USAN" ls "$portal"
    sleep 2
done
check "the load has seen no error" load_end
note <"$WORK/load.out"
check "all data is there, through the store" "$blockcheck" verify -a -m "$WORK/model" "$FRONT"
check "and in the original" "$blockcheck" verify -a -m "$WORK/model" "${URLS[1]}"
check "the front ends when asked to" front_stop

front_start "$url?reconnect_timeout=1s"
target_kill
check_fails "a target that stays away is an error in time" \
    timeout 60 qemu-io -f raw -c 'read 0 512' "$FRONT"
PORT=$port target_start -n 2 --thin --one-target --name iqn.2025-01.io.usan.test:own \
    "$WORK/disk" "$WORK/second"
check "and used again when it is back" \
    wait_for 30 qemu-io -f raw -c 'read 0 512' "$FRONT"
check "it ends" front_stop
check_target_healthy
check "the target ends" target_stop

# ---- CHAP ----

target_start --chap-user alice --chap-secret-file "$WORK/secret" \
    --mutual-user bob --mutual-secret-file "$WORK/target-secret" "$WORK/disk"
url=${URLS[0]}
check "CHAP, secret in the URL" "$USAN" inq "$(url_as alice $secret "$url")"
for hash in md5 sha1 sha256 sha3-256; do
    check "CHAP with $hash" "$USAN" ls "$(url_as alice $secret "$url")?chap_hashes=$hash"
done
check "CHAP, secret in a file" "$USAN" ls --chap-user alice --chap-secret-file "$WORK/secret" "$url"
both=(--chap-user alice --chap-secret-file "$WORK/secret")
check "mutual CHAP" "$USAN" inq "${both[@]}" --mutual-user bob \
    --mutual-secret-file "$WORK/target-secret" "$url"
check_complaint "the target does not know its secret" 'CHAP|authentic' "$USAN" inq "${both[@]}" \
    --mutual-user bob --mutual-secret-file "$WORK/wrong" "$url"
check_complaint "a wrong secret" 'authentication failed' "$USAN" inq --chap-user alice \
    --chap-secret-file "$WORK/wrong" "$url"
check_complaint "a wrong user" 'authentication failed' "$USAN" inq --chap-user mallory \
    --chap-secret-file "$WORK/secret" "$url"
check_complaint "no credentials" 'authenticat' "$USAN" inq "$url"
check_fails "a user without a secret" "$USAN" inq --chap-user alice "$url"
check_output "says what is missing" '^usan inq: --chap-user needs --chap-secret-file$'
check_complaint "a secret that is not there" '^usan inq: --chap-secret-file: file .*No such file' \
    "$USAN" inq --chap-user alice --chap-secret-file "$WORK/none" "$url"
check_data "mutual CHAP" "iscsi://alice@${url#iscsi://}?password_file=$WORK/secret&target_user=bob\
&target_password_file=$WORK/target-secret" "$WORK/disk"
check_target_healthy
check "it ends when asked to" target_stop

# ---- tgt ----

tgt_pid='' tgt_port='' tgt_name=iqn.2025-01.io.usan.test:tgt
admin=(tgtadm -C $$ --lld iscsi)
mkdir -p /run/tgtd
tgt_up() { # [PORT]
    tgt_port=${1:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')}
    tgtd -f -C $$ --iscsi "portal=127.0.0.1:$tgt_port" >"$WORK/tgt.log" 2>&1 </dev/null &
    tgt_pid=$!
    wait_for 60 "${admin[@]}" --op show --mode target &&
        "${admin[@]}" --op new --mode target --tid 1 -T "$tgt_name" &&
        "${admin[@]}" --op new --mode logicalunit --tid 1 --lun 1 -b "$WORK/tgt" &&
        "${admin[@]}" --op bind --mode target --tid 1 -I ALL
}
tgt_down() {
    [ -z "$tgt_pid" ] || {
        kill -KILL "$tgt_pid"
        wait "$tgt_pid"
    } 2>/dev/null
    tgt_pid=''
    rm -f "/run/tgtd/socket.$$" "/run/tgtd/socket.$$.lock"
}
at_exit tgt_down

truncate -s 64M "$WORK/tgt"
check "tgt starts" tgt_up
portal=iscsi://127.0.0.1:$tgt_port url=iscsi://127.0.0.1:$tgt_port/$tgt_name/1
check "tgt: discover" "$USAN" discover "$portal"
check_output "tgt: finds the target" "^$tgt_name 127.0.0.1:$tgt_port,1\$"
check "tgt: ls" "$USAN" ls "$portal"
check_output "tgt: shows the controller" "$tgt_name/0  array controller"
check_output "tgt: and the disk" "$tgt_name/1  64M  512  IET VIRTUAL-DISK"
check "tgt: inq" "$USAN" inq "$url"
check_output "tgt: in words" '^  vendor: IET$'
check_data "tgt" "$url" "$WORK/tgt"
tgt_digests() {
    local name
    for name in HeaderDigest DataDigest; do
        "${admin[@]}" --op update --mode target --tid 1 -n "$name" -v CRC32C || return
    done
}
check_complaint "tgt: digests that it does not do" 'HeaderDigest' \
    "$USAN" inq "$url?header_digest=crc32c"
check "tgt: digests" tgt_digests
check_data "tgt, digests" "$url?header_digest=crc32c&data_digest=crc32c" "$WORK/tgt"
check_data "tgt, which has one connection and level 0" "$url?connections=4&error_recovery=2" \
    "$WORK/tgt"
check_complaint "tgt: no such target" 'no such target' "$USAN" inq "${portal}/$tgt_name-2/1"
check_complaint "tgt: no such unit" 'LUN 7' "$USAN" inq "${portal}/$tgt_name/7"
check_complaint "tgt: what is no disk is no store" 'is no disk' \
    "$USAN" serve --address 127.0.0.1 --port 0 "${url%1}0"

tgt_down
truncate -s 0 "$WORK/tgt"
truncate -s 64M "$WORK/tgt"
check "tgt starts again" tgt_up "$tgt_port"
front_start "$url"
rm "$WORK/model"
check "tgt: a load is under way" load_start "$WORK/model"
sleep 1
tgt_down
sleep 1
check "tgt: killed and started again" tgt_up "$tgt_port"
check "tgt: the load has seen no error" load_end
note <"$WORK/load.out"
check "tgt: all data is there" "$blockcheck" verify -a -m "$WORK/model" "$FRONT"
check "tgt: the front ends when asked to" front_stop

tgt_users() {
    "${admin[@]}" --op new --mode account --user alice --password "$secret" &&
        "${admin[@]}" --op bind --mode account --tid 1 --user alice &&
        "${admin[@]}" --op new --mode account --user bob --password "$target_secret" &&
        "${admin[@]}" --op bind --mode account --tid 1 --user bob --outgoing
}
check "tgt: users" tgt_users
# It picks SHA-256 if that is offered, and has no room for the answer.
url="$url?chap_hashes=md5,sha1"
check "tgt: CHAP" "$USAN" inq "${both[@]}" "$url"
check "tgt: mutual CHAP" "$USAN" inq "${both[@]}" --mutual-user bob \
    --mutual-secret-file "$WORK/target-secret" "$url"
check_complaint "tgt: a wrong secret" 'authentication failed' "$USAN" inq --chap-user alice \
    --chap-secret-file "$WORK/wrong" "$url"
check_complaint "tgt: it does not know its secret" 'CHAP|authentic' "$USAN" inq "${both[@]}" \
    --mutual-user bob --mutual-secret-file "$WORK/wrong" "$url"
finish
