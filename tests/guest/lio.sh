# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh disable=SC2153
# In the guest: the kernel's target, LIO, with three disks in memory: NAME-open, NAME-chap (user
# USER, SECRET) and NAME-mutual (it proves itself as TARGET_USER, TARGET_SECRET). When somebody
# connects to port 7777 the first one goes away for a second; at the second time the guest ends.

# The parameters of a connection are the target's to offer as well: the widest there are, but for the
# two orders. Where data may come out of order LIO closes the connection at the first command, or
# never asks for the rest of a write.
target() { # KIND
    _dir=/sys/kernel/config/target/iscsi/$NAME-$1/tpgt_1
    _disk=/sys/kernel/config/target/core/fileio_$N/$1
    mkdir -p "$_dir/lun/lun_0" "$_disk" || return 1
    truncate -s 16M "/run/$1" 2>/dev/null || dd if=/dev/zero of="/run/$1" bs=1M count=16 2>/dev/null
    echo "fd_dev_name=/run/$1,fd_dev_size=16777216" >"$_disk/control" || return 1
    echo 1 >"$_disk/enable" || return 1
    ln -s "$_disk" "$_dir/lun/lun_0/disk" || return 1
    mkdir -p "$_dir/np/10.0.2.15:3260" || return 1
    echo 1 >"$_dir/attrib/generate_node_acls"
    echo 1 >"$_dir/attrib/cache_dynamic_acls"
    echo 0 >"$_dir/attrib/demo_mode_write_protect"
    echo 128 >"$_dir/attrib/default_cmdsn_depth"
    echo 0 >"$_dir/attrib/authentication"
    for _p in MaxBurstLength=16777215 FirstBurstLength=16777215 \
        MaxRecvDataSegmentLength=262144 MaxXmitDataSegmentLength=262144 InitialR2T=No \
        ImmediateData=Yes MaxOutstandingR2T=16 MaxConnections=8 ErrorRecoveryLevel=2; do
        echo "${_p#*=}" >"$_dir/param/${_p%%=*}"
    done
    if [ "$1" != open ]; then
        echo 1 >"$_dir/attrib/authentication"
        printf %s "$USER" >"$_dir/auth/userid"
        printf %s "$SECRET" >"$_dir/auth/password"
    fi
    if [ "$1" = mutual ]; then
        printf %s "$TARGET_USER" >"$_dir/auth/userid_mutual"
        printf %s "$TARGET_SECRET" >"$_dir/auth/password_mutual"
    fi
    echo 1 >"$_dir/enable"
}

for m in configfs target_core_mod target_core_file iscsi_target_mod; do
    modprobe $m || give_up "module $m"
done
mount -t configfs none /sys/kernel/config
mkdir -p /var/target/pr /sys/kernel/config/target/iscsi || give_up "LIO is there"
N=0
for kind in open chap mutual; do
    target $kind || give_up "LIO serves $kind"
    N=$((N + 1))
done
echo "lio is ready"
nc -l -p 7777 >/dev/null </dev/null
open=/sys/kernel/config/target/iscsi/$NAME-open/tpgt_1/enable
echo 0 >"$open" || not_ok "LIO takes a target away"
sleep 1
echo 1 >"$open" || not_ok "LIO brings a target back"
echo "it was away"
nc -l -p 7777 >/dev/null </dev/null
dmesg | grep -iE 'iscsi|target' | grep -v iSCSIProtocolLevel | tail -n 20
exit 0
