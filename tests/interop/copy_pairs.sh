#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usan cp from every kind of store to every other: what arrives is compared by qemu-img, holes stay
# holes, a destination that is too small is not touched, and an image that QEMU or nbdcopy wrote is
# copied as well as one of our own.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

export USAN_RUN_DIR=$WORK/run

size=$((24 << 20))
# Data, a hole, zeroes that are written, data, a hole up to the end.
make_image() { # FILE
    head -c 3145728 /dev/urandom >"$1"
    truncate -s 9M "$1"
    head -c 2097152 /dev/zero >>"$1"
    head -c 1052672 /dev/urandom >>"$1"
    truncate -s $size "$1"
}
make_image "$WORK/image"
head -c $size /dev/urandom >"$WORK/garbage"
truncate -s $size "$WORK/disk512" "$WORK/disk4k" "$WORK/disk-mp"

declare -A url
target_start --thin "$WORK/disk512"
url[iscsi]=${URLS[0]}
PORT='' target_start --thin --block-size 4096 "$WORK/disk4k"
url[4k]=${URLS[0]}
PORT='' target_start --thin "$WORK/disk-mp"
url[multipath]="multipath:${URLS[0]},127.0.0.1:1"
declare -A file=([iscsi]=$WORK/disk512 [4k]=$WORK/disk4k [multipath]=$WORK/disk-mp
    [file]=$WORK/file [in-place]=$WORK/inplace [pipe]=$WORK/pipe)

kib() { # FILE: what it takes on the disk
    du -k "$1" | cut -f 1
}
# The store has the content of FILE, with its holes; in the file that is served.
fill() { # KIND FILE
    cp --sparse=always "$2" "${file[$1]}"
}
put() { # KIND OPTION...: from standard input or the source that is given last
    local to=$1
    shift
    case $to in
    file) "$USAN" cp -q "$@" "${file[file]}" ;;
    in-place) "$USAN" cp -q -n "$@" "${file[in-place]}" ;;
    pipe) "$USAN" cp -q "$@" - >"${file[pipe]}" ;;
    *) "$USAN" cp -q "$@" "${url[$to]}" ;;
    esac
}
copy() { # FROM TO OPTION...
    local from=$1 to=$2
    shift 2
    case $from in
    pipe) put "$to" "$@" - <"${file[pipe]}" ;;
    file | in-place) put "$to" "$@" "${file[$from]}" ;;
    *) put "$to" "$@" "${url[$from]}" ;;
    esac
}
equal() { # FILE
    cmp "$WORK/image" "$1" && qemu-img compare -q -f raw -F raw "$WORK/image" "$1"
}

for from in file pipe iscsi 4k multipath; do
    for to in file in-place pipe iscsi 4k multipath; do
        [ $from != $to ] || continue
        fill $from "$WORK/image"
        fill $to "$WORK/garbage"
        verify=(--verify)
        [ $to != pipe ] || verify=()
        check "$from to $to" copy $from $to "${verify[@]}"
        check "$from to $to: as others read it" equal "${file[$to]}"
        [ $to = pipe ] || check "$from to $to: what is zero takes no room" \
            test "$(kib "${file[$to]}")" -lt 6000
    done
done

# ---- not in blocks of the other, and in other pieces ----

fill iscsi "$WORK/garbage"
for options in "--chunk 64K" "--chunk 64K --sparse 512 -c 3" "--chunk 4M -d 1" "--sparse 0" \
    "--engine epoll -c 2"; do
    read -ra argv <<<"$options"
    fill 4k "$WORK/garbage"
    fill file "$WORK/image"
    check "$options" copy file 4k --verify "${argv[@]}"
    check "$options: as others read it" equal "${file[4k]}"
done

# ---- what is too small is left alone ----

head -c 1M /dev/urandom >"$WORK/small"
cp "$WORK/small" "$WORK/small.before"
check_fails "into a file that is too small" "$USAN" cp -n "$WORK/image" "$WORK/small"
check_output "says so" 'has room for 1048576 bytes'
check "which is not touched" cmp "$WORK/small" "$WORK/small.before"

# ---- images of others ----

fill iscsi "$WORK/garbage"
check "an image that qemu-img wrote" qemu-img convert -n -f raw -O raw "$WORK/image" "${url[iscsi]}"
check "is copied" "$USAN" cp -q --verify "${url[iscsi]}" "$WORK/from-qemu"
check "byte by byte" equal "$WORK/from-qemu"
"$USAN" attach --background --log "$WORK/attach.log" --name pairs --as "nbd:unix:$WORK/nbd" \
    "${url[4k]}" >/dev/null
fill 4k "$WORK/garbage"
check "nbdcopy writes to a unit" nbdcopy --flush "$WORK/image" "nbd+unix:///?socket=$WORK/nbd"
check "it is copied" "$USAN" cp -q --verify "${url[4k]}" "${url[multipath]}"
check "byte by byte" equal "$WORK/disk-mp"
check "and read by nbdcopy" nbdcopy "nbd+unix:///?socket=$WORK/nbd" "$WORK/from-nbd"
check "the same" equal "$WORK/from-nbd"
check "it is detached" "$USAN" attach detach pairs
finish
