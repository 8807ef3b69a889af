#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command line tools of libiscsi: discovery, INQUIRY, capacity, mode pages, a short load.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

truncate -s 64M "$WORK/disk"
truncate -s 32M "$WORK/other"
target_start -n 2 --one-target "$WORK/disk" "$WORK/other"
url=${URLS[0]}

check "the portal is discovered" iscsi-ls -i "$INITIATOR" "$(portal_url)"
check_output "discovery tells the target" "Target:$(url_target "$url") "
check_output "discovery tells the portal" "Portal:$(url_portal "$url"),[0-9]+"
check "the units are listed" iscsi-ls -s -i "$INITIATOR" "$(portal_url)"
check_output "the first unit and its size" "Lun:$(url_lun "$url") .*DIRECT_ACCESS \\(Size:6[34]M"
check_output "the second unit and its size" "Lun:$(url_lun "${URLS[1]}") .*DIRECT_ACCESS \\(Size:3[12]M"

check "standard INQUIRY data" iscsi-inq -i "$INITIATOR" "$url"
check_output "it is a connected disk" "Peripheral Device Type:DIRECT_ACCESS"
check_output "it conforms to SPC-4 or later" "Version:(6|7|13) "
check_output "a vendor is named" "Vendor:[A-Za-z]"
for page in 0x00 0x80 0x83 0xb0 0xb1; do
    # the tool reads decimal numbers only
    check "vital product data page $page" iscsi-inq -i "$INITIATOR" -e 1 -c $((page)) "$url"
done
check_fails "an unknown page is refused" iscsi-inq -i "$INITIATOR" -e 1 -c $((0xcc)) "$url"
check_output "with the sense of an invalid field" "INVALID_FIELD_IN_CDB"

check "READ CAPACITY(16)" iscsi-readcapacity16 -i "$INITIATOR" "$url"
check_output "the size in bytes" "Total size:67108864"
check "software write protect is readable" iscsi-swp -i "$INITIATOR" "$url"
check_output "it is off" "SWP:0"
check "it can be set" iscsi-swp -i "$INITIATOR" -s on "$url"
check "it can be read again" iscsi-swp -i "$INITIATOR" "$url"
check_output "it is on" "SWP:1"
check_fails "a write is refused now" qemu-io -f raw -c 'write 0 4k' "$url"
check "it can be cleared" iscsi-swp -i "$INITIATOR" -s off "$url"
check "a write is taken again" qemu-io -f raw -c 'write -P 7 0 4k' "$url"

# A few seconds at most until a second in which something was read.
short_load() { # [OPTION]
    local i
    for i in 1 2 3 4 5; do
        iscsi-perf -i "$INITIATOR" -b 8 -m 32 -t 1 "$@" "$url" >"$WORK/perf" || return 1
        ! grep -q 'iops average [1-9]' "$WORK/perf" || return 0
    done
    cat "$WORK/perf"
    return 1
}
check "a load of one second" short_load
check "a load of one second, random" short_load --random
check_fails "a unit that does not exist" iscsi-inq -i "$INITIATOR" "${url%/*}/77"
check_fails "a target that does not exist" iscsi-inq -i "$INITIATOR" "${url%/*/*}/iqn.2025-01.x:no/0"
check_target_healthy
check "it ends when asked to" target_stop
finish
