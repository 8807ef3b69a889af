#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usan target run and its file: what --check says, SIGHUP, high LUNs, discovery with and without a
# user; and that an error says how to write it right.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

serve() { # a start that is expected to fail
    timeout 60 "$USAN" serve --address 127.0.0.1 --port 0 "$@"
}

check "help" "$USAN" serve --help
check_output "says where the man page is" 'man usan-serve.*man -l doc/man/usan-serve\.1'
check "help on target run" "$USAN" target run --help
check_output "likewise" 'man -l doc/man/usan-target\.1'

# Sizes.
head -c 100 /dev/zero >"$WORK/small"
check_fails "a file of 100 bytes" serve "$WORK/small"
check_output "is told what is missing" 'small: holds less than one block of 512 bytes'
check_fails "memory without a size" serve ram:
check_output "is told how to write one" 'has no size.* 64M'
check_fails "memory of half a block" serve ram:256
check_output "is told the unit and the largest" 'blocks of 512 bytes, such as .*64M.* 8191P'
check_fails "a limit that is too low" serve --memory 1M ram:1M
check_output "is told the range with units" '\-\-memory 1M: use 16M to 1P'

printf 'a-secret-of-20-bytes\n' >"$WORK/secret"
chmod 600 "$WORK/secret"
cat >"$WORK/c.yaml" <<YAML
portals: [{address: 127.0.0.1, port: 0}]
users: [{name: joe, secret-file: secret}]
discovery: {users: [joe], optional: yes}
limits: {memory: 64M, progress-timeout: 90s}
targets:
  - name: iqn.2025-01.io.usan.test:high
    luns:
      - store: ram:1M
      - {lun: 255, store: ram:2M}
      - {lun: 256, store: ram:3M}
      - {lun: 1023, store: ram:4M}
YAML
check "--check" "$USAN" target run --config "$WORK/c.yaml" --check
check_output "says what there is" 'c\.yaml: targets=1 luns=4 portals=1 users=1$'
check_output "and the limits" \
    '^limits: sessions=256 .* memory=64M .*progress-timeout=90s login-timeout=15s '

target_launch 4 target run --config "$WORK/c.yaml" || bail "usan target run does not start"
# The size of each unit is another one, so an answer tells which unit it is of.
for i in 0 1 2 3; do
    check "the URL with LUN $(url_lun "${URLS[i]}")" iscsi-readcapacity16 -i "$INITIATOR" "${URLS[i]}"
    check_output "is of the right unit" "Total size:$(((i + 1) * 1048576))\$"
done
check_equal "LUN 255 in a URL" "$(url_lun "${URLS[1]}")" 255
check_equal "LUN 256 in a URL, flat addressing" "$(url_lun "${URLS[2]}")" $((16384 + 256))

check "discovery without a user" iscsi-ls -i "$INITIATOR" "$(portal_url)"
check_output "shows the target" 'iqn\.2025-01\.io\.usan\.test:high'
as_joe=$(url_as joe a-secret-of-20-bytes "$(portal_url)")
check "discovery with the user" iscsi-ls -i "$INITIATOR" "$as_joe"
check_output "shows it too" 'iqn\.2025-01\.io\.usan\.test:high'
check_fails "discovery with a wrong secret" \
    iscsi-ls -i "$INITIATOR" "$(url_as joe another-secret-here "$(portal_url)")"

kill -HUP "$TARGET_PID"
check "SIGHUP is told what it does not do" \
    wait_for 60 grep -q 'event=hangup-ignored why="reload is not supported yet; restart' "$TARGET_LOG"
check "and changes nothing" iscsi-inq -i "$INITIATOR" "${URLS[0]}"
check_target_healthy
check "it ends when asked to" target_stop
finish
