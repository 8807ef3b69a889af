#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh TAP SCRIPT OUT [NAME=VALUE...]: boot the guest, its network on the TAP device as
# 10.0.2.15/24, and run a script of this folder in it. The script's output goes to OUT as it
# comes, the kernel's to OUT.console. Exits with the script's code; 124: out of time (LIMIT, 1000
# seconds); 125: the guest never reported.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
tap=$1 script=$2 out=$3
shift 3
cache=${XDG_CACHE_HOME:-$HOME/.cache}/usan/guest
work=$(mktemp -d "${TMPDIR:-/tmp}/usan-guest.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The script travels in a second archive behind the first; the kernel unpacks both.
mkdir -p "$work/root/guest"
{
    cat "$here/lib.sh"
    for v in "$@"; do
        printf '%s=%q\n' "${v%%=*}" "${v#*=}"
    done
    cat "$here/$script"
} >"$work/root/guest/script"
{
    cat "$cache/initrd.cpio"
    (cd "$work/root" && find . | "$cache/busybox" cpio -o -H newc 2>/dev/null)
} >"$work/initrd"

rc=0
timeout -k 5 "${LIMIT:-1000}" qemu-system-x86_64 -nodefaults -no-user-config -display none \
    -no-reboot -M pc -accel tcg,thread=multi -cpu max -m 512 \
    -kernel "$cache/vmlinuz" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr \
random.trust_cpu=1 cryptomgr.notests net.ifnames=0 audit=0 guest.ip=10.0.2.15/24" \
    -serial "file:$out.console" -serial "file:$out" \
    -netdev "tap,id=n0,ifname=$tap,script=no,downscript=no" \
    -device virtio-net-pci,netdev=n0,romfile= -device virtio-rng-pci \
    </dev/null >"$work/qemu.log" 2>&1 || rc=$?
code=$(tr -d '\r' <"$out" | sed -n 's/^guest exit code \([0-9]*\)$/\1/p' | tail -n 1)
[ -z "$code" ] || exit "$code"
cat "$work/qemu.log"
tail -n 15 "$out.console"
[ $rc != 124 ] || exit 124
exit 125
