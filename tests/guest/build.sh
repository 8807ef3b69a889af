#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes what run.sh boots from Debian packages: CACHE/vmlinuz and CACHE/initrd.cpio. Nothing is
# installed: packages are downloaded (about 60 MB, once) and unpacked below CACHE. Does nothing
# when the outputs are newer than the scripts they are made from. Needs root (chroot).
# Prints the cache directory.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/usan/guest
mkdir -p "$cache/debs"
exec 9>"$cache/lock"
flock 9
echo "$cache"

up_to_date() {
    local f
    [ -e "$cache/vmlinuz" ] && [ -e "$cache/initrd.cpio" ] || return 1
    for f in "$here/build.sh" "$here/init"; do
        [ "$cache/initrd.cpio" -nt "$f" ] || return 1
    done
}
up_to_date && exit 0

packages=(busybox-static open-iscsi e2fsprogs sg3-utils util-linux util-linux-extra kmod)
programs=(/usr/sbin/iscsid /usr/sbin/iscsiadm /usr/sbin/mke2fs /usr/sbin/e2fsck
    /usr/bin/lsblk /usr/sbin/blkdiscard /usr/sbin/fstrim /usr/bin/kmod)
# virtio network; disks; the iSCSI initiator and target; ext4; the checksums all of these use
modules="configfs iscsi_target_mod target_core_mod target_core_file sha3_generic
    virtio_pci virtio_net failover qemu_fw_cfg scsi_mod sd_mod sg iscsi_tcp libiscsi
    libiscsi_tcp scsi_transport_iscsi ext4 crc32c_generic crc32c_intel libcrc32c
    crct10dif_pclmul crct10dif_generic crct10dif_common crc_t10dif crc64_rocksoft
    crc64_rocksoft_generic md5 sha1_generic sha256_generic"

apt() {
    apt-get -qq -o APT::Sandbox::User=root "$@" >&2
}

deb_of() { # PACKAGE
    find "$cache/debs" -name "$1_*.deb" | tail -n 1
}

download() { # PACKAGE...
    local p missing=()
    for p in "$@"; do
        [ -n "$(deb_of "$p")" ] || missing+=("$p")
    done
    [ ${#missing[@]} != 0 ] || return 0
    (cd "$cache/debs" && apt download "${missing[@]}") || {
        apt update
        (cd "$cache/debs" && apt download "${missing[@]}")
    }
}

# The shared libraries that packages depend on, directly or not.
libraries_of() { # PACKAGE...
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances "$@" | grep -E '^(lib|zlib1g)' |
        grep -vE '^lib(perl|pam|newt|slang|semanage|sepol|audit|debconf|text|klibc)' | sort -u
}

# A root with /bin, /sbin and /lib merged into /usr, as Debian has it.
merged_root() { # DIRECTORY
    local d
    mkdir -p "$1"/usr/{bin,sbin,lib,lib64}
    for d in bin sbin lib lib64; do
        [ -e "$1/$d" ] || ln -s "usr/$d" "$1/$d"
    done
}

unpack() { # DEB DIRECTORY
    dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"
}

ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt update
kernel=$(apt-cache depends linux-image-cloud-amd64 |
    awk '/Depends: linux-image-[0-9]/ { print $2; exit }')-unsigned
mapfile -t libraries < <(libraries_of "${packages[@]}")
download "$kernel" "${packages[@]}" "${libraries[@]}"

work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
stage=$work/stage root=$work/root kdir=$work/kernel
for d in "$stage" "$root" "$kdir"; do
    merged_root "$d"
done
unpack "$(deb_of "$kernel")" "$kdir"
for p in "${packages[@]}" "${libraries[@]}"; do
    unpack "$(deb_of "$p")" "$stage"
done
version=$(ls "$kdir/usr/lib/modules")

copy() { # FILE...: from the stage, links followed
    local f
    for f in "$@"; do
        mkdir -p "$root$(dirname "$f")"
        cp -aL "$stage$f" "$root$f"
    done
}

mkdir -p "$root"/{proc,sys,dev,run,tmp,mnt,root,guest,etc/iscsi,var/lib/iscsi}
ln -s ../run "$root/var/run"
while read -r f; do
    programs+=("${f#"$stage"}")
done < <(find "$stage/usr/bin" -name 'sg_*')
copy "${programs[@]}" /etc/iscsi/iscsid.conf /etc/mke2fs.conf /usr/bin/busybox
# The staged loader says which libraries the programs need.
needed=$(for f in "${programs[@]}"; do
    chroot "$stage" /lib64/ld-linux-x86-64.so.2 --list "$f" 2>/dev/null |
        awk '/not found/ { print "missing:" $1 } $2 == "=>" { print $3 } $1 ~ /^\// { print $1 }'
done | sort -u)
case $needed in
*missing:*)
    echo "libraries not found: $needed" >&2
    exit 1
    ;;
esac
# shellcheck disable=SC2086
copy $needed
ln -s mke2fs "$root/usr/sbin/mkfs.ext4"
for f in modprobe insmod rmmod depmod; do
    ln -s ../bin/kmod "$root/usr/sbin/$f"
done

# Modules and what they depend on, by the list that depmod makes.
mdir=usr/lib/modules/$version
mkdir -p "$root/$mdir"
"$stage/usr/bin/busybox" depmod -b "$kdir" "$version"
awk -v wanted="$modules" '
    function name(path) { sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub(/-/, "_", path)
        return path }
    BEGIN { n = split(wanted, list); for (i = 1; i <= n; i++) want[list[i]] = 1 }
    { file = $1; sub(/:$/, "", file)
      if (name(file) in want) { print file; for (i = 2; i <= NF; i++) print $i } }
' "$kdir/$mdir/modules.dep" | sort -u | while read -r f; do
    mkdir -p "$root/$mdir/$(dirname "$f")"
    cp "$kdir/$mdir/$f" "$root/$mdir/$f"
done
cp "$kdir/$mdir"/modules.{order,builtin,builtin.modinfo} "$root/$mdir/"
chroot "$root" /usr/sbin/depmod "$version"

chroot "$root" /usr/bin/busybox --install -s /usr/bin 2>/dev/null
# The real tools win over busybox's.
for f in "$root"/usr/sbin/*; do
    rm -f "$root/usr/bin/$(basename "$f")"
done
copy "${programs[@]}"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
printf 'hosts: files\npasswd: files\ngroup: files\n' >"$root/etc/nsswitch.conf"
ln -s /proc/mounts "$root/etc/mtab"
echo 'InitiatorName=iqn.2025-01.io.usan.test:linux-guest' >"$root/etc/iscsi/initiatorname.iscsi"
install -m 755 "$here/init" "$root/init"
cp "$stage/usr/bin/busybox" "$cache/busybox"
(cd "$root" && find . | "$cache/busybox" cpio -o -H newc 2>/dev/null) >"$cache/initrd.new"
cp "$kdir"/boot/vmlinuz-* "$cache/vmlinuz"
mv "$cache/initrd.new" "$cache/initrd.cpio"
