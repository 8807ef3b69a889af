#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# One server, two targets from a configuration file: each shows its own units and users only.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

truncate -s 16M "$WORK/one"
truncate -s 32M "$WORK/two"
truncate -s 48M "$WORK/three"
printf 'another-secret-of-mine\n' >"$WORK/secret"
chmod 600 "$WORK/secret"
cat >"$WORK/usan.yaml" <<YAML
portals:
  - address: 127.0.0.1
    port: 0
users:
  - name: bob
    secret-file: $WORK/secret
targets:
  - name: iqn.2025-01.io.usan.test:open
    luns:
      - lun: 0
        store: $WORK/one
      - lun: 1
        store: $WORK/two
  - name: iqn.2025-01.io.usan.test:closed
    users: [bob]
    luns:
      - lun: 5
        store: $WORK/three
YAML
target_launch 3 target run -c "$WORK/usan.yaml" || bail "usan target run does not start"
open=iqn.2025-01.io.usan.test:open closed=iqn.2025-01.io.usan.test:closed
base="iscsi://$(url_portal "${URLS[0]}")"

check "discovery" iscsi-ls -i "$INITIATOR" "$base"
check_output "tells the first target" "Target:$open "
check_output "tells the second target" "Target:$closed "
check "a unit of the first" iscsi-readcapacity16 "$base/$open/1"
check_output "has its size" 'Total size:33554432'
check_fails "a unit of the second is not one of the first" iscsi-readcapacity16 "$base/$open/5"
check_fails "the second asks for a user" iscsi-readcapacity16 "$base/$closed/5"
check "and takes the right one" \
    iscsi-readcapacity16 "$(url_as bob another-secret-of-mine "$base/$closed/5")"
check_output "has its size too" 'Total size:50331648'
check "data to one" qemu-io -f raw -c 'write -P 1 0 1M' "$base/$open/0"
check "do not show in another" qemu-io -f raw -c 'read -P 0 0 1M' "$base/$open/1"
check_target_healthy
check "it ends when asked to" target_stop

sed 's/lun: 1$/lun: 0/' "$WORK/usan.yaml" >"$WORK/twice.yaml"
check_fails "a LUN given twice" timeout 60 "$USAN" target run -c "$WORK/twice.yaml"
sed 's/store:/sture:/' "$WORK/usan.yaml" >"$WORK/typo.yaml"
check_fails "an unknown key" timeout 60 "$USAN" target run -c "$WORK/typo.yaml"
check_output "is named" 'sture'
check_output "with its line" '(:|line )1[0-9]'
check_fails "a file that does not exist" timeout 60 "$USAN" target run -c "$WORK/none.yaml"
check_output "is named" 'none\.yaml'
finish
