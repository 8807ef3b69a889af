#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Interleaved rounds of the same loads by every initiator on one target of ours: a bare generator,
# libiscsi, programs on top of libiscsi, ours; then disks attached as NBD. Client on processor 0,
# target on 1. doc/benchmarks.md explains the bars.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
. tools/bench/common.sh

mib=256
loads=(read-4k-q32 write-4k-q32 read-512k-q8 write-512k-q8)
usan=$build/src/cli/usan
# Their sockets are in the way of nobody, and go with this mount namespace.
nbd_of() { echo "/run/$1.sock"; }

# qemu-nbd does not end while it looks for a target that is gone.
stop_all() {
    local p
    for p in "${pid_of[@]}"; do
        kill -TERM "$p" 2>/dev/null || true
    done
    sleep 1
    for p in "${pid_of[@]}"; do
        kill -KILL "$p" 2>/dev/null || true
    done
}
trap stop_all EXIT

# ---- what a load is to each contender ----

bytes_of() { case $1 in *-4k-*) echo 4096 ;; *) echo 524288 ;; esac; }
depth_of() { echo "${1##*-q}"; }

run_rawload() { # LOAD
    local options=(-b "$(bytes_of "$1")" -q "$(depth_of "$1")")
    case $1 in write-*) options+=(-w 100) ;; esac
    case $1 in *-512k-*) options+=(-s) ;; esac
    "$build/bench/rawload" -c 0 -t "$seconds" -W 0.3 "${options[@]}" 127.0.0.1 \
        "${port_of[target]}" $iqn 0
}

# Programs on a library, which differ in nothing else.
run_with() { # PROGRAM LOAD
    local options=(-b "$(bytes_of "$2")" -q "$(depth_of "$2")")
    case $2 in write-*) options+=(-w) ;; esac
    case $2 in *-512k-*) options+=(-s) ;; esac
    "$build/bench/$1" -c 0 -t "$seconds" -W 0.3 "${options[@]}" "$url"
}
run_libiscsi() { run_with libiscsi_load "$1"; }
run_libusan() { run_with libusan_load "$1"; }

run_usan() { # LOAD [URL-OPTIONS]
    local options=(--block-size "$(bytes_of "$1")" --queue-depth "$(depth_of "$1")")
    case $1 in write-*) options+=(--op write --write) ;; esac
    case $1 in *-512k-*) options+=(--sequential) ;; esac
    taskset -c 0 "$usan" bench --quiet --json --warm-up 300ms --seconds "${seconds}s" \
        "${options[@]}" "$url${2:-}" >"$out/usan.json" # a pipe would start its reader beside the run
    python3 -c '
import json, sys
run = json.load(open(sys.argv[1]))
part = run.get("read") or run["write"]
us = {p: ns / 1000 for p, ns in part["latency_ns"]["percentiles"].items()}
print("iops=%.0f MBps=%.1f cli_us=%.3f cli_util=%.2f p50_us=%.1f p99_us=%.1f max_us=%.1f" % (
    part["iops"], part["bytes_per_second"] / 1e6, run["cpu_ns_per_io"] / 1000,
    run["cpu_ns"] / run["time_ns"], us["50"], us["99"], part["latency_ns"]["max"] / 1000))' \
        "$out/usan.json"
}

# Runs a command on processor 0; its processor time in seconds goes to $out/cpu.
timed() { # COMMAND...
    local TIMEFORMAT='%U %S'
    { time taskset -c 0 "$@" 2>"$out/timed.log"; } 2>"$out/cpu"
}
figures() { # IOPS BYTES IOS
    awk -v iops="$1" -v bytes="$2" -v ios="$3" '{
        printf "iops=%.0f MBps=%.1f cli_us=%.3f\n", iops, iops * bytes / 1e6, ($1 + $2) * 1e6 / ios
    }' "$out/cpu"
}

run_iscsi-perf() { # LOAD: it only reads
    local bytes whole average random=()
    bytes=$(bytes_of "$1") whole=${seconds%.*}
    [ "${whole:-0}" -ge 1 ] || whole=1
    case $1 in *-4k-*) random=(-r) ;; esac
    average=$(timed iscsi-perf -m "$(depth_of "$1")" -b $((bytes / 512)) -t "$whole" "${random[@]}" \
        "$url" | tr '\r' '\n' | sed -n 's/^iops average \([0-9]*\).*/\1/p' | tail -n 1)
    figures "$average" "$bytes" $((average * whole))
}

# It counts I/Os, not seconds: one short run finds out how many to ask for.
run_qemu-img() { # LOAD: one after the other, with gaps
    local bytes count=2000 took write=()
    bytes=$(bytes_of "$1")
    case $1 in write-*) write=(-w) ;; esac
    for _ in 1 2; do
        took=$(timed qemu-img bench "${write[@]}" -f raw -c "$count" -d "$(depth_of "$1")" \
            -s "$bytes" -S $((bytes * 2)) "$url" | sed -n 's/^Run completed in \([0-9.]*\).*/\1/p')
        last=$count
        count=$(awk -v n="$count" -v t="$took" -v s="$seconds" 'BEGIN { printf "%d", n * s / t + 1 }')
    done
    figures "$(awk -v n="$last" -v t="$took" 'BEGIN { print n / t }')" "$bytes" "$last"
}

# ---- the same disk as NBD ----

busy_ns() { # PID: processor time of all its threads
    cat /proc/"$1"/task/*/schedstat | awk '{ ns += $1 } END { printf "%.0f\n", ns }'
}

run_nbd() { # CONTENDER LOAD; the clients' time is not counted, the server's is
    local rw=rand before after bytes
    bytes=$(bytes_of "$2")
    case $2 in *-512k-*) rw='' ;; esac
    before=$(busy_ns "${pid_of[$1]}")
    fio --name=nbd --ioengine=nbd --uri="nbd+unix:///?socket=$(nbd_of "$1")" --rw=$rw"${2%%-*}" \
        --bs="$bytes" --iodepth="$(depth_of "$2")" --runtime="$seconds" --time_based --size=${mib}M \
        --output-format=json >"$out/fio.json"
    after=$(busy_ns "${pid_of[$1]}")
    python3 - "$out/fio.json" "$2" $((after - before)) <<'PY'
import json, sys
text = open(sys.argv[1]).read()
job = json.loads(text[text.index("{"):])["jobs"][0]["read" if sys.argv[2].startswith("read") else "write"]
ns = job["clat_ns"]["percentile"]
print("iops=%.0f MBps=%.1f srv_us=%.3f p50_us=%.1f p99_us=%.1f" % (
    job["iops"], job["bw_bytes"] / 1e6, int(sys.argv[3]) / 1e3 / job["total_ios"],
    ns["50.000000"] / 1000, ns["99.000000"] / 1000))
PY
}

start_nbd() { # CONTENDER COMMAND...
    local name=$1 i
    shift
    wanted "$name" || return 0
    "$@" >"$out/$name.log" 2>&1 </dev/null &
    pid_of[$name]=$!
    for ((i = 0; i < 200; i++)); do
        [ ! -S "$(nbd_of "$name")" ] || return 0
        sleep 0.05
    done
    cat "$out/$name.log"
    exit 1
}

# ---- connections, recovery ----

# A store of 200 us, one command at a time on each connection.
connection_loads() { # ROUND
    local n url="iscsi://127.0.0.1:${port_of[slow]}/$iqn/0"
    wanted slow || return 0
    for n in 1 2 4; do
        record "$1" "usan-${n}conn" read-4k-delayed run_usan "read-4k-q$n" "?connections=$n"
        record "$1" "usan-${n}conn" read-4k-delayed-digests run_usan "read-4k-q$n" \
            "?connections=$n&header_digest=crc32c&data_digest=crc32c"
    done
}

# The connections are cut in the middle of the run: the slowest I/O is the one that had to wait for
# the session to be whole again.
recovery_loads() { # ROUND
    local level url
    wanted recovery || return 0
    for level in 0 2; do
        python3 tests/lib/tcp_proxy.py --cut-after "$(awk -v s="$seconds" \
            'BEGIN { print s / 2 }')" "${port_of[target]}" >"$out/cut.port" &
        local cutter=$!
        while [ ! -s "$out/cut.port" ]; do sleep 0.02; done
        url="iscsi://127.0.0.1:$(cat "$out/cut.port")/$iqn/0"
        record "$1" "usan-erl$level" read-4k-cut run_usan read-4k-q8 "?error_recovery=$level"
        kill "$cutter" 2>/dev/null || true
        wait "$cutter" 2>/dev/null || true
        rm -f "$out/cut.port"
    done
}

only_kept=$only
only='' # the target is everybody's
start_usan target "null:${mib}M" --cores 1
start_usan slow "delay(time=200us)+ram:${mib}M" --cores 2
only=$only_kept
url=iscsi://127.0.0.1:${port_of[target]}/$iqn/0
run_rawload write-512k-q8 >/dev/null
pin target 1
start_nbd usan-attach "$usan" attach --as "nbd:unix:$(nbd_of usan-attach)" "$url"
start_nbd qemu-nbd qemu-nbd -t -f raw -e 8 -k "$(nbd_of qemu-nbd)" "$url"
for ((round = 1; round <= rounds; round++)); do
    for load in "${loads[@]}"; do
        for name in rawload libiscsi libusan usan iscsi-perf qemu-img; do
            case $name-$load in iscsi-perf-write-*) continue ;; esac
            wanted $name && record $round $name "$load" "run_$name" "$load"
        done
    done
    for load in "${loads[@]}"; do
        for name in usan-attach qemu-nbd; do
            wanted $name && record $round $name "$load" run_nbd $name "$load"
        done
    done
    connection_loads $round
    recovery_loads $round
done
report initiator.awk initiator.md "Performance of the initiator" \
    "libiscsi $(dpkg-query -W -f '${Version}' libiscsi7), qemu $(dpkg-query -W -f '${Version}' qemu-utils)"
