# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh disable=SC2153
# In the guest: PORTAL, OPEN (target of the plain disk, thin), WIDE (target with 4 KiB blocks),
# CHAP_PORTAL, CLOSED (target that asks for USER and SECRET), ROWS (combinations of parameters, with
# semicolons between them).

start_iscsid
check "discovery" iscsiadm -m discovery -t sendtargets -p "$PORTAL"
check_output "discovery tells the first target" "^$PORTAL,[0-9]+ $OPEN\$"
check_output "discovery tells the second target" "^$PORTAL,[0-9]+ $WIDE\$"

for d in HeaderDigest DataDigest; do
    iscsiadm -m node -T "$OPEN" -o update -n "node.conn[0].iscsi.$d" -v CRC32C
done
check "login with header and data digests" iscsiadm -m node -T "$OPEN" --login
disk=$(disk_of "$OPEN" 0) || give_up "the disk appears"
ok "the disk appears"
check "the session" iscsiadm -m session -P 3
check_output "has header digests" 'HeaderDigest: CRC32C'
check_output "has data digests" 'DataDigest: CRC32C'
check_output "is logged in" 'LOGGED IN'

check "the size the kernel sees" lsblk -bno SIZE "$disk"
check_output "is right" '^ *134217728$'
check "sg_inq" sg_inq "$disk"
check_output "sg_inq: a disk" 'PDT=0|Peripheral device type: disk'
for page in sv sn di bl bdc lbpv; do
    check "sg_vpd -p $page" sg_vpd -p $page "$disk"
done
check "sg_readcap" sg_readcap -l "$disk"
check_output "sg_readcap: blocks of 512 bytes" 'Logical block length=512'
check_output "sg_readcap: thin" 'lbpme=1'
check "sg_opcodes" sg_opcodes "$disk"
check_output "sg_opcodes: COMPARE AND WRITE" 'Compare and write'
check_output "sg_opcodes: UNMAP" 'Unmap'
check "sg_luns" sg_luns "$disk"
check "sg_modes" sg_modes -a "$disk"
check_output "sg_modes: caching" 'Caching'
check "sg_turs" sg_turs "$disk"
check "sg_sync" sg_sync "$disk"
check "sg_verify" sg_verify --lba=0 --count=128 "$disk"
check "sg_get_lba_status" sg_get_lba_status --lba=0 "$disk"
check "sg_rtpg or a clean refusal" sh -c "sg_rtpg $disk || [ \$? = 5 ] || [ \$? = 9 ]"
dd if=/dev/zero of=/tmp/caw bs=512 count=2 2>/dev/null
check "sg_compare_and_write on equal data" \
    sg_compare_and_write --in=/tmp/caw --lba=0 --num=1 --xferlen=1024 "$disk"
check "sg_write_same unmaps" sg_write_same --unmap --lba=0 --num=2048 "$disk"

check "mkfs.ext4" mkfs.ext4 -q -F "$disk"
modprobe ext4
check "mount" mount -t ext4 "$disk" /mnt
dd if=/dev/urandom of=/tmp/random bs=1M count=8 2>/dev/null
sum=$(md5sum </tmp/random)
for i in 1 2 3; do
    cp /tmp/random /mnt/file$i || not_ok "copy $i"
done
sync
check "unmount" umount /mnt
echo 3 >/proc/sys/vm/drop_caches
check "mount again" mount -t ext4 "$disk" /mnt
for i in 1 2 3; do
    check "file $i is what was written" test "$(md5sum </mnt/file$i)" = "$sum"
done
rm /mnt/file1 /mnt/file2
sync
check "fstrim" fstrim -v /mnt
check_output "fstrim gave blocks back" '[1-9][0-9]+ bytes'
check "the file that stayed is untouched" test "$(md5sum </mnt/file3)" = "$sum"
umount /mnt
check "e2fsck" e2fsck -fn "$disk"

check "PR: register" sg_persist --out --register --param-sark=0xabc "$disk"
check "PR: reserve, exclusive access" \
    sg_persist --out --reserve --param-rk=0xabc --prout-type=3 "$disk"
check "PR: read keys" sg_persist --in -k "$disk"
check_output "PR: the key is there" '0xabc'
check "PR: read reservation" sg_persist --in -r "$disk"
check_output "PR: exclusive access" 'Exclusive Access'
check "PR: the holder writes" dd if=/tmp/random of="$disk" bs=4k count=16 oflag=direct
check "PR: report capabilities" sg_persist --in -c "$disk"
check "PR: release" sg_persist --out --release --param-rk=0xabc --prout-type=3 "$disk"
check "PR: unregister" sg_persist --out --register --param-rk=0xabc --param-sark=0 "$disk"

check "blkdiscard" blkdiscard "$disk"
echo 3 >/proc/sys/vm/drop_caches
check "what was discarded reads as zeroes" \
    sh -c "dd if=$disk bs=1M count=8 2>/dev/null | tr -d '\\000' | wc -c | grep -qx 0"

# The host kills the server when it sees the next line and starts it again: the kernel logs in
# anew by itself and repeats what was not acknowledged.
echo "please restart"
n=0 failed=0
while [ $n -lt 60 ]; do
    dd if=/tmp/random of="$disk" bs=64k count=16 seek=$((n * 16)) oflag=direct 2>/tmp/out ||
        failed=1
    n=$((n + 1))
done
check "no write fails while the server is restarted" test $failed = 0
dd if=/tmp/random bs=1M count=1 2>/dev/null | md5sum >/tmp/want
echo 3 >/proc/sys/vm/drop_caches
dd if="$disk" bs=1M skip=59 count=1 2>/dev/null | md5sum >/tmp/got
check "what was written then is there" cmp /tmp/want /tmp/got
check "logout" iscsiadm -m node -T "$OPEN" --logout

check "login to the disk with 4 KiB blocks" iscsiadm -m node -T "$WIDE" --login
wide=$(disk_of "$WIDE" 0) || give_up "the disk with 4 KiB blocks appears"
check "its block size" lsblk -no LOG-SEC "$wide"
check_output "is 4096" '^ *4096$'
check "mkfs.ext4 on it" mkfs.ext4 -q -F "$wide"
check "mount it" mount -t ext4 "$wide" /mnt
cp /tmp/random /mnt/file
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
check "mount it again" mount -t ext4 "$wide" /mnt
check "its file is what was written" test "$(md5sum </mnt/file)" = "$sum"
umount /mnt
check "logout from it" iscsiadm -m node -T "$WIDE" --logout

check "discovery of the target with CHAP" \
    iscsiadm -m discovery -t sendtargets -p "$CHAP_PORTAL"
node() {
    iscsiadm -m node -T "$CLOSED" "$@"
}
check_fails "login without credentials" node --login
node -o update -n node.session.auth.authmethod -v CHAP
node -o update -n node.session.auth.username -v "$USER"
node -o update -n node.session.auth.password -v not-the-secret-at-all
check_fails "login with a wrong secret" node --login
node -o update -n node.session.auth.password -v "$SECRET"
check "login with the right secret" node --login
closed=$(disk_of "$CLOSED" 0) || give_up "the disk behind CHAP appears"
check "its data is readable" dd if="$closed" of=/dev/null bs=64k count=16
check "logout from it" node --logout
check_fails "no session is left" iscsiadm -m session

# Parameters at their extremes: what is written in one piece comes back in others.
set_parameter() { # NAME=VALUE
    case $1 in
    login=none) wanted=$WIDE ;;
    login=one-way) wanted=$CLOSED ;;
    HeaderDigest=* | DataDigest=* | MaxRecv*)
        iscsiadm -m node -T "$wanted" -o update -n "node.conn[0].iscsi.${1%%=*}" -v "${1#*=}"
        ;;
    *) iscsiadm -m node -T "$wanted" -o update -n "node.session.iscsi.${1%%=*}" -v "${1#*=}" ;;
    esac
}
round_trip() { # DISK
    dd if=/dev/urandom of=/tmp/piece bs=64k count=16 2>/dev/null
    dd if=/tmp/piece of="$1" bs=1M count=1 oflag=direct && dd if=/tmp/piece of="$1" bs=8k \
        seek=128 count=128 oflag=direct || return 1
    dd if="$1" of=/tmp/got bs=16k count=64 iflag=direct && cmp /tmp/piece /tmp/got || return 1
    dd if="$1" of=/tmp/got bs=512k skip=2 count=2 iflag=direct && cmp /tmp/piece /tmp/got
}
old_ifs=$IFS
IFS=';'
for row in $ROWS; do
    IFS=$old_ifs
    for word in $row; do
        set_parameter "$word"
    done
    check "login with $row" iscsiadm -m node -T "$wanted" --login
    found=$(disk_of "$wanted" 0) || give_up "a disk appears with $row"
    check "data with $row" round_trip "$found"
    check "logout with $row" iscsiadm -m node -T "$wanted" --logout
    IFS=';'
done
IFS=$old_ifs
exit 0
