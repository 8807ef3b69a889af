#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Our initiator against our own target and against tgt: digests, kinds of login and the parameters
# of data transfer at their extremes, each pair of values at least once.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"
. "$ROOT/tests/lib/parameters.sh"

secret=a-secret-of-20-bytes target_secret=another-of-20-bytes
printf '%s\n' $secret >"$WORK/secret"
printf '%s\n' $target_secret >"$WORK/target-secret"
with_user() { echo "iscsi://alice%$secret@${1#iscsi://}"; }
with_both() { echo "$(with_user "$1")?target_user=bob&target_password=$target_secret"; }

# ---- our own target ----

truncate -s 16M "$WORK/own" "$WORK/own-chap"
target_start "$WORK/own"
open=${URLS[0]}
target_start --chap-user alice --chap-secret-file "$WORK/secret" --mutual-user bob \
    --mutual-secret-file "$WORK/target-secret" "$WORK/own-chap"
check_parameters usan "$open" "$(with_user "${URLS[0]}")" "$(with_both "${URLS[0]}")" \
    chap_hashes=md5,sha1,sha256,sha3-256

# ---- tgt ----

tgt_pid='' name=iqn.2025-01.io.usan.test:tgt
tgt_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
admin=(tgtadm -C $$ --lld iscsi)
tgt_down() {
    kill -KILL "$tgt_pid" 2>/dev/null # it does not end otherwise while it has targets
    rm -f "/run/tgtd/socket.$$" "/run/tgtd/socket.$$.lock"
}
mkdir -p /run/tgtd
truncate -s 16M "$WORK/tgt" "$WORK/tgt-chap" "$WORK/tgt-mutual"
tgtd -f -C $$ --iscsi "portal=127.0.0.1:$tgt_port" >"$WORK/tgt.log" 2>&1 </dev/null &
tgt_pid=$!
at_exit tgt_down
wait_for 60 "${admin[@]}" --op show --mode target || bail "tgt does not start"
tgt_disk() { # TID KIND; digests are refused otherwise
    "${admin[@]}" --op new --mode target --tid "$1" -T "$name-$2" &&
        "${admin[@]}" --op new --mode logicalunit --tid "$1" --lun 1 -b "$WORK/$2" &&
        "${admin[@]}" --op bind --mode target --tid "$1" -I ALL &&
        "${admin[@]}" --op update --mode target --tid "$1" -n HeaderDigest -v None,CRC32C &&
        "${admin[@]}" --op update --mode target --tid "$1" -n DataDigest -v None,CRC32C
}
tgt_users() {
    "${admin[@]}" --op new --mode account --user alice --password $secret &&
        "${admin[@]}" --op new --mode account --user bob --password $target_secret &&
        "${admin[@]}" --op bind --mode account --tid 2 --user alice &&
        "${admin[@]}" --op bind --mode account --tid 3 --user alice &&
        "${admin[@]}" --op bind --mode account --tid 3 --user bob --outgoing
}
tgt_disk 1 tgt || bail "tgt has no disk"
tgt_disk 2 tgt-chap || bail "tgt has no second disk"
tgt_disk 3 tgt-mutual || bail "tgt has no third disk"
tgt_users || bail "tgt has no users"
at=iscsi://127.0.0.1:$tgt_port/$name
# It takes the first hash that is offered, and then knows MD5 only: the second try offers only that.
check_parameters tgt "$at-tgt/1" "$(with_user "$at-tgt-chap/1")" "$(with_both "$at-tgt-mutual/1")"
finish
