#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usan attach --as fuse:DIR, --loop: a store as a file and as a block device of the kernel, beside an
# NBD client of the same store; what is listed, detached and left behind.
# time limit: 600
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

dir=$WORK/mnt fs=$WORK/fs
mkdir "$dir" "$fs"
clear_mounts() {
    umount -q "$fs"
    umount -q -l "$dir"
} 2>/dev/null
at_exit clear_mounts

attach_start() { # COUNT ARGUMENT...
    local count=$1
    shift
    target_launch "$count" attach "$@" || bail "usan attach does not start"
}
attach_fails() { # ARGUMENT...
    timeout 30 "$USAN" attach "$@"
}
listed() { # NAME STATE
    "$USAN" attach list | grep -E "^$1 +$2 "
}
json() { # COMMAND...: its output is JSON
    "$@" >"$WORK/json" && python3 -m json.tool "$WORK/json"
}

if [ "$(id -u)" != 0 ] || [ ! -c /dev/fuse ]; then
    skip "a store as a file" "mounting needs root and /dev/fuse here"
    finish
fi
truncate -s 64M "$WORK/disk"
if ! target_launch 1 attach --as "fuse:$dir" "$WORK/disk"; then
    grep -qE 'built without libfuse3|not permitted|Permission denied' "$TARGET_LOG" ||
        bail "usan attach does not start"
    skip "a store as a file" "$(tail -n 1 "$TARGET_LOG")"
    finish
fi

# ---- a file ----

file=$dir/disk
head -c 3000320 /dev/urandom >"$WORK/image"
same() { # FILE OFFSET: the image is there
    cmp -n 3000320 -i "0:$2" "$WORK/image" "$1"
}
check_equal "its path is told" "${URLS[0]}" "$file"
check_equal "it has the size of the store" "$(stat -c %s "$file")" 67108864
check_equal "it is for its owner only" "$(stat -c '%a %F' "$file")" "600 regular file"
check_equal "there is nothing else" "$(ls -A "$dir")" disk
check "it is written at any place" dd if="$WORK/image" of="$file" bs=100003 seek=7 conv=fsync,notrunc
check "it is there" same "$file" 700021
check "and in the store" same "$WORK/disk" 700021
check "truncating it at opening does nothing" dd if="$WORK/image" of="$file" bs=64k
check_equal "to its size" "$(stat -c %s "$file")" 67108864
check_fails "it cannot be given another one" truncate -s 1M "$file"
check "it is read past the cache" dd if="$file" of="$WORK/out" bs=64k count=8 iflag=direct
check "what came is right" cmp -n 524288 "$WORK/image" "$WORK/out"
check_fails "nothing is written behind its end" dd if="$WORK/image" of="$file" bs=1M seek=64 conv=notrunc
check_output "as on a full disk" 'No space left'
check_fails "parts of blocks past the cache" dd if="$WORK/image" of="$file" bs=100 count=1 \
    oflag=direct conv=notrunc
check_output "are invalid" 'Invalid argument'
check "a hole is punched" fallocate -p -o 1M -l 1M "$file"
check "it reads as zeroes" cmp -n 1048576 -i 1048576:0 "$file" /dev/zero
check "and is known" python3 - "$file" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
assert os.lseek(fd, 0, os.SEEK_HOLE) == 1 << 20, os.lseek(fd, 0, os.SEEK_HOLE)
assert os.lseek(fd, 1 << 20, os.SEEK_DATA) == 2 << 20
PY
check "zeroes are written" fallocate -z -o 512k -l 64k -n "$file"
check "they are there" cmp -n 65536 -i 524288:0 "$file" /dev/zero
check "fio verifies 4 KiB at depth 32" fio --name=v --filename="$file" --rw=randwrite --bs=4k \
    --size=32M --iodepth=32 --ioengine=libaio --direct=1 --verify=crc32c --verify_state_save=0
check "any places and lengths, against a model" python3 - "$file" <<'PY'
import os, random, sys
random.seed(7)
fd = os.open(sys.argv[1], os.O_RDWR)
size = 4 << 20
model = bytearray(random.randbytes(size))
assert os.pwrite(fd, model, 0) == size
for i in range(400):
    at = random.randrange(size)
    n = random.choice((1, 511, 513, 4096, 70000, 1 << 20)) % (size - at) or 1
    if i % 2:
        data = random.randbytes(n)
        assert os.pwrite(fd, data, at) == n
        model[at:at + n] = data
    else:
        assert os.pread(fd, n, at) == model[at:at + n]
end = os.lseek(fd, 0, os.SEEK_END)
assert os.pwrite(fd, b"12345", end - 3) == 3 and os.pread(fd, 9, end - 3) == b"123"
PY
check "what a file of a disk does not do, it refuses" python3 - "$file" <<'PY'
import errno, mmap, os, sys
path = sys.argv[1]
other = os.path.dirname(path) + "/other"
fd = os.open(path, os.O_RDWR)
size = os.fstat(fd).st_size
def refused(code, f, *args, **kw):
    try:
        f(*args, **kw)
    except OSError as e:
        assert e.errno == code, (f.__name__, args, e)
        return
    assert False, (f.__name__, args)
refused(errno.EINVAL, os.ftruncate, fd, size // 2)
refused(errno.EINVAL, os.ftruncate, fd, size * 2)
os.ftruncate(fd, size)
refused(errno.EPERM, os.chmod, path, 0o666)
refused(errno.EPERM, os.unlink, path)
refused(errno.EPERM, os.rename, path, other)
refused(errno.EPERM, os.link, path, other)
refused(errno.EPERM, os.symlink, path, other)
refused(errno.EPERM, os.mkdir, other)
refused(errno.EPERM, os.open, other, os.O_WRONLY | os.O_CREAT)
refused(errno.ENODEV, mmap.mmap, fd, 4096, flags=mmap.MAP_SHARED)
refused(errno.ENXIO, os.lseek, fd, size, os.SEEK_HOLE)
refused(errno.ENXIO, os.lseek, fd, size, os.SEEK_DATA)
assert os.fstat(fd).st_size == size
PY
check "what it does" python3 - "$file" <<'PY'
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
size = os.fstat(fd).st_size
assert os.pwrite(fd, b"mapped", 4096) == 6
os.fsync(fd)
os.fdatasync(fd)
with mmap.mmap(fd, 8192, flags=mmap.MAP_PRIVATE) as m: # a private map takes what is there
    assert m[4096:4102] == b"mapped"
    m[4096] = 0
assert os.pread(fd, 6, 4096) == b"mapped"
st = os.statvfs(sys.argv[1])
assert (st.f_blocks * st.f_frsize, st.f_bavail, st.f_files) == (size, 0, 1), st
direct = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
block = mmap.mmap(-1, 4096)
block[:6] = b"direct"
assert os.pwritev(direct, [block], 8192) == 4096
assert os.pread(fd, 6, 8192) == b"direct"
PY
check_fails "the directory is taken" attach_fails --as "fuse:$dir" ram:1M
check_output "it says by whom" "$dir: something is mounted there"
exec 7<"$file"
check_fails "one that is open is not detached" "$USAN" attach detach disk
check_output "it says so" "$file is in use"
exec 7<&-
check "one that is not is" "$USAN" attach detach disk
check "the program has ended" wait_for 60 process_ended "$TARGET_PID"
check_fails "nothing is mounted any more" mountpoint -q "$dir"
check_equal "nothing is listed" "$("$USAN" attach list --json)" "[]"

attach_start 1 --read-only --name a.img --as "fuse:$dir" "$WORK/disk"
check "a file with a name" test -r "$dir/a.img"
check_fails "that nobody writes to" dd if="$WORK/image" of="$dir/a.img" bs=1M conv=notrunc
check_output "is read-only" 'Read-only file system'
check "somebody unmounts it" umount "$dir"
check "and the program ends" wait_for 60 process_ended "$TARGET_PID"
check_output "it says why" 'event=unmounted' "$TARGET_LOG"

# What a store keeps in memory until it is flushed shows when a write is durable.
attach_start 1 --name sync --as "fuse:$dir" "crash+file:$WORK/disk"
head -c 4096 /dev/urandom >"$WORK/block"
durable() { # NUMBER-OF-BLOCK
    cmp -n 4096 -i "0:$((4096 * $1))" "$WORK/block" "$WORK/disk"
}
into_block() { # NUMBER FLAGS
    dd if="$WORK/block" of="$dir/sync" bs="${3:-4096}" seek=$(($1 * 4096 / ${3:-4096})) conv=notrunc \
        status=none oflag="$2"
}
check "a write" into_block 1 nonblock
check_fails "is not durable by itself" durable 1
check "with O_DSYNC" into_block 2 dsync
check "it is" durable 2
check "with O_SYNC" into_block 3 sync
check "it is, too" durable 3
check "past the cache as well" into_block 4 direct,dsync
check "it is durable" durable 4
check "in parts of blocks" into_block 5 dsync 100
check_equal "those are" "$(cmp -n 4000 -i 0:$((5 * 4096 / 100 * 100)) "$WORK/block" "$WORK/disk" && echo yes)" yes
check "fsync" sync "$dir/sync"
check "makes all of it so" cmp -n 4096 -i 4096:4096 "$dir/sync" "$WORK/disk"
attach_end_now() {
    "$USAN" attach detach sync && wait_for 60 process_ended "$TARGET_PID"
}
check "it ends" attach_end_now

# Detached, and unmounted lazily, while somebody writes.
for how in "$USAN attach detach --force load" "umount -l $dir"; do
    attach_start 1 --name load --as "fuse:$dir" "$WORK/disk"
    fio --name=load --filename="$dir/load" --rw=randrw --bs=16k --iodepth=16 --ioengine=libaio \
        --size=32M --time_based --runtime=600 >"$WORK/fio" 2>&1 &
    load=$!
    check "${how%% *} under load: something is written" wait_for 60 "$USAN" attach show load
    written() {
        "$USAN" attach show load | grep -q 'in_use: yes'
    }
    check "${how%% *} under load: it is in use" wait_for 60 written
    check "${how%% *} under load" eval "$how"
    end_process "$load"
    check "${how%% *} under load: the program ends" wait_for 60 process_ended "$TARGET_PID"
    check "${how%% *} under load: nothing is mounted" wait_for 60 eval "! mountpoint -q $dir"
done

check_fails "a directory that is not there" attach_fails --as "fuse:$WORK/missing" ram:1M
check_output "is named" "$WORK/missing: No such file"
check_fails "a file in its place" attach_fails --as "fuse:$WORK/disk" ram:1M
check_output "is none" 'is no directory'
check_fails "a name that is none" attach_fails --as "fuse:$dir" --name a/b ram:1M
check_output "is named" "'a/b' is no name of a file"
check_fails "an address that is not ours" attach_fails --as iscsi:192.0.2.1:0 ram:1M
check_output "is named" 'iscsi:192.0.2.1:0: .*no such address'
check_fails "ublk" attach_fails --as ublk ram:1M
check_output "is found out by probing" 'ublk: (this kernel does not offer it|the kernel offers it)'
check_fails "--loop without a file" attach_fails --loop --as "nbd:unix:$WORK/s" ram:1M
check_output "is a mistake" 'add --as fuse:DIR'

# ---- who is not root ----

nobody() { # COMMAND...
    setpriv --reuid=65534 --regid=65534 --clear-groups env USAN_RUN_DIR="$WORK/nobody/run" "$@"
}
if ! command -v fusermount3 >/dev/null; then
    skip "who is not root" "there is no fusermount3"
else
    chmod 711 "$WORK"
    mkdir -p "$WORK/nobody/mnt"
    cp "$USAN" "$WORK/nobody/usan" # the build may stand where nobody may look
    truncate -s 16M "$WORK/nobody/disk"
    chown -R 65534:65534 "$WORK/nobody"
    at_exit umount -q -l "$WORK/nobody/mnt"
    check "nobody attaches" nobody "$WORK/nobody/usan" attach -b --log "$WORK/nobody/log" \
        --pid-file "$WORK/nobody/pid" --as "fuse:$WORK/nobody/mnt" "$WORK/nobody/disk"
    check "and writes" nobody dd if=/dev/zero of="$WORK/nobody/mnt/disk" bs=1M count=4 conv=notrunc
    check_fails "others do not even look" ls "$WORK/nobody/mnt"
    check "it is detached" nobody "$WORK/nobody/usan" attach detach disk
    check_fails "and unmounted" mountpoint -q "$WORK/nobody/mnt"
    check "nobody attaches again" nobody "$WORK/nobody/usan" attach -b --log "$WORK/nobody/log" \
        --pid-file "$WORK/nobody/pid" --as "fuse:$WORK/nobody/mnt" "$WORK/nobody/disk"
    pid=$(cat "$WORK/nobody/pid")
    kill -KILL $(pgrep -P "$pid") "$pid"
    check "what a kill leaves" wait_for 60 nobody "$WORK/nobody/usan" attach detach disk
    check_fails "is cleared" mountpoint -q "$WORK/nobody/mnt"
fi

# ---- several event loops, front ends of several kinds ----

attach_start 3 --cores 2 --as "fuse:$dir" --as "nbd:unix:$WORK/s" --as iscsi:127.0.0.1:0 \
    stats+ram:64M
check_equal "the iSCSI target has the name of the store" "$(url_target "${URLS[2]}")" \
    iqn.2025-01.io.usan:stats-ram-64m
check "four writers at once" fio --name=v --directory="$dir" --filename=disk --numjobs=4 \
    --rw=randwrite --bs=4k --size=8M --offset_increment=16M --iodepth=16 --ioengine=libaio \
    --direct=1 --verify=crc32c --verify_state_save=0
check "an image comes in through NBD" nbdcopy "$WORK/image" "${URLS[1]}"
check "and is seen in the file at once" same "$dir/disk" 0
check "and in the LUN" qemu-io -f raw -c 'write -P 9 0 512' -c 'read -P 9 0 512' "${URLS[2]}"
check "which writes to the same" qemu-io -f raw -c 'read -P 9 0 512' "${URLS[1]}"
check "it is shown" "$USAN" attach show stats-ram-64M
check_output "with its size" '^size_bytes: 67108864$'
check_output "its file" "^front: $dir/disk\$"
check_output "and what the store counts" '^stats.stats.write: '
check_output "since when" '^ *since: 20[0-9-]{8} [0-9:]{8} [+-][0-9]{4}$'
check "as JSON too" json "$USAN" attach show --json stats-ram-64M
check "it ends" target_stop
check_fails "and is unmounted" mountpoint -q "$dir"

# ---- a block device ----

if [ ! -c /dev/loop-control ]; then
    skip "a block device" "no loop devices here"
    finish
fi
if ! target_launch 2 attach --loop --as "fuse:$dir" "$WORK/disk"; then
    grep -qE '/dev/loop[-a-z0-9]*: (No such|Operation not|Permission)' "$TARGET_LOG" ||
        bail "usan attach does not start"
    skip "a block device" "$(tail -n 1 "$TARGET_LOG")"
    finish
fi
device=${URLS[1]}
check_equal "its size" "$(blockdev --getsize64 "$device")" 67108864
check "fio verifies" fio --name=v --filename="$device" --rw=randwrite --bs=4k --size=32M \
    --iodepth=32 --ioengine=libaio --direct=1 --verify=crc32c --verify_state_save=0
check "a file system is made" mkfs.ext4 -q -F "$device"
check "and mounted" mount "$device" "$fs"
check "it takes files" cp -r "$ROOT/src" "$fs/"
check "and gives room back" fstrim "$fs"
check_fails "it is not detached" "$USAN" attach detach disk
check_output "because it is in use" "$device is in use"
check "it is listed" listed disk attached
check "it is unmounted" umount "$fs"
check "its files are checked" fsck.ext4 -fn "$device"
dirty() { # what is in the kernel's cache only when the end comes
    dd if="$WORK/image" of="$device" bs=1M seek=10
}
check "something is written" dirty
check "it is detached" "$USAN" attach detach disk
check "what was in the kernel's cache is in the store" same "$WORK/disk" 10485760
check "the device is free" wait_for 60 test ! -e "/sys/block/${device#/dev/}/loop/backing_file"

attach_start 2 --loop --as "fuse:$dir" "$WORK/disk"
device=${URLS[1]}
check "a file system is made" mkfs.ext4 -q -F "$device"
check "and mounted" mount "$device" "$fs"
keeper=$(pgrep -P "$TARGET_PID")
kill -KILL "$keeper"
target_kill
check "after a kill it is listed as dead" listed disk dead
check_fails "its directory is of no use" attach_fails --as "fuse:$dir" "$WORK/disk"
check_output "it says what to do" 'usan attach detach'
check "the file system is unmounted" umount "$fs"
check "the rest is cleared" "$USAN" attach detach disk
check_fails "nothing is mounted" mountpoint -q "$dir"
check "the device is free" wait_for 60 test ! -e "/sys/block/${device#/dev/}/loop/backing_file"
check_equal "nothing is listed" "$("$USAN" attach list --json)" "[]"
check_equal "nor left in the run directory" "$(ls -A "$USAN_RUN_DIR")" ""
attach_start 1 --as "fuse:$dir" "$WORK/disk"
check_equal "it is attached again" "$(stat -c %s "$dir/disk")" 67108864
check_target_healthy
check "it ends" target_stop

# ---- killed ----

gone() { # nothing is mounted or listed
    ! mountpoint -q "$dir" && [ "$("$USAN" attach list --json)" = "[]" ]
}
attach_start 2 --loop --as "fuse:$dir" "$WORK/disk"
device=${URLS[1]}
target_kill
check "what is not in use goes with the program" wait_for 60 gone
check "the device is free" wait_for 60 test ! -e "/sys/block/${device#/dev/}/loop/backing_file"

# A store that answers no more, and data of the kernel's that waits for it.
attach_start 2 --loop --as "fuse:$dir" "delay(time=3000s,op=write)+ram:64M"
device=${URLS[1]}
dd if=/dev/zero of="$device" bs=1M count=1 2>"$WORK/dd" &
sleep 0.5
kill -TERM "$TARGET_PID"
sleep 1
kill -TERM "$TARGET_PID"
check "told twice, it ends whatever waits" wait_for 60 process_ended "$TARGET_PID"
check "nothing is left" wait_for 60 gone
wait "$!"
attach_start 2 --loop --as "fuse:$dir" "delay(time=3000s,op=write)+ram:64M"
device=${URLS[1]}
dd if=/dev/zero of="$device" bs=1M count=1 2>"$WORK/dd" &
sleep 0.5
kill -TERM "$TARGET_PID"
sleep 1
target_kill
check "killed in the middle of that, nothing is left either" wait_for 60 gone
wait "$!"

# ---- in the background ----

check_fails "a log belongs to it" attach_fails --background --as "fuse:$dir" "$WORK/disk"
check_output "it says so" '--background and --log FILE belong together'
check_fails "what cannot be opened is told" attach_fails --background --log "$WORK/log" \
    --as "fuse:$dir" "$WORK/missing"
check_output "in words" "$WORK/missing"
check "it returns when it is ready" "$USAN" attach -v -b --log "$WORK/log" --pid-file "$WORK/pid" \
    --as "fuse:$dir" "$WORK/disk"
check_output "and has told the path" "^$dir/disk\$"
cat "$WORK/pid" >>"$WORK/target.pids"
check "it serves" test -w "$dir/disk"
check "it is detached" "$USAN" attach detach disk
check_output "the log has it" 'event=stopped flushed=yes' "$WORK/log"
finish
