#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# CHAP (RFC 7143 section 12.1): the right secret, wrong ones, none at all.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

truncate -s 16M "$WORK/disk"
secret=a-secret-of-20-bytes
printf '%s\n' $secret >"$WORK/secret"
chmod 600 "$WORK/secret"
target_start --chap-user alice --chap-secret-file "$WORK/secret" "$WORK/disk"
url=${URLS[0]}

check "the right secret" iscsi-inq -i "$INITIATOR" "$(url_as alice $secret "$url")"
check "data with the right secret" qemu-io -f raw -c 'write -P 1 0 64k' -c 'read -P 1 0 64k' \
    "$(url_as alice $secret "$url")"
check_fails "a wrong secret" iscsi-inq -i "$INITIATOR" "$(url_as alice wrong-secret-here "$url")"
check_output "is told as an authentication failure" 'Authentication failure|\(513\)'
check_fails "a wrong user" iscsi-inq -i "$INITIATOR" "$(url_as mallory $secret "$url")"
check_output "gets the same answer" 'Authentication failure|\(513\)'
check_fails "no credentials" iscsi-inq -i "$INITIATOR" "$url"
check_fails "a secret cut short" iscsi-inq -i "$INITIATOR" "$(url_as alice ${secret%?} "$url")"
check "the right one still works after that" \
    iscsi-inq -i "$INITIATOR" "$(url_as alice $secret "$url")"
logged() { # PATTERN
    wait_for 60 grep -qE "level=warn event=login-refused .*$1" "$TARGET_LOG"
}
check "the log tells of the wrong secret" logged 'user=alice .*wrong secret'
check "of the wrong user" logged 'user=mallory .*no such user'
check "of no credentials" logged 'user=- .*no user and secret'
check "and of who it was" logged "initiator=$INITIATOR target=iqn"

portal=iscsi://$(url_portal "$url")
check "discovery without credentials" iscsi-ls -i "$INITIATOR" "$portal"
check "discovery with the right ones" iscsi-ls -i "$INITIATOR" "$(url_as alice $secret "$portal")"
check_output "shows the target" 'Target:iqn'
check_fails "discovery with wrong ones" \
    iscsi-ls -i "$INITIATOR" "$(url_as alice wrong-secret-here "$portal")"
check "the secret is not in the log" test "$(grep -c "$secret" "$TARGET_LOG")" = 0
check "nor among the arguments of the process" \
    test "$(tr '\0' '\n' <"/proc/$TARGET_PID/cmdline" | grep -c "$secret")" = 0
check_target_healthy
check "it ends when asked to" target_stop

printf 'short\n' >"$WORK/short"
check_fails "a secret of less than 12 bytes is not accepted" timeout 60 "$USAN" serve \
    --address 127.0.0.1 --port 0 --chap-user alice --chap-secret-file "$WORK/short" "$WORK/disk"
check_output "and the message says so" '12|too short'
# An initiator with credentials at a target that asks for none: libiscsi then says its names again.
target_start "$WORK/disk"
url=${URLS[0]}
check "credentials nobody asked for" iscsi-inq -i "$INITIATOR" "$(url_as alice $secret "$url")"
check "discovery with them" \
    iscsi-ls -i "$INITIATOR" "$(url_as alice $secret "iscsi://$(url_portal "$url")")"
check "data with them" qemu-io -f raw -c 'write -P 1 0 64k' "$(url_as alice $secret "$url")"
finish
