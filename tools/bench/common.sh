# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the benchmarks share: options, a network namespace of their own, servers, rounds, the page.
# What is compared runs within the same minute, so ratios hold although absolute figures drift.
build=$PWD/build
rounds=3 seconds=2 write='' only=''
while [ $# -gt 0 ]; do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    --seconds) seconds=$2 && shift ;;
    --only) only=,$2, && shift ;;
    --write) write=1 ;;
    *)
        echo "unknown option $1" >&2
        exit 2
        ;;
    esac
    shift
done
if [ -z "${BENCH_IN_NS:-}" ]; then
    BENCH_IN_NS=1 exec unshare --net --mount -- "$0" --rounds "$rounds" --seconds "$seconds" \
        ${write:+--write} ${only:+--only "${only//,/ }"}
fi
only=${only// /,}

iqn=iqn.2025-01.io.usan.bench:disk
out=$build/bench-results
rm -rf "$out"
mkdir -p "$out"
results=$out/results
# Memory for files, and a place for tgt's socket, which vanish with this mount namespace.
mkdir -p "$out/tmpfs"
mount -t tmpfs -o size=2g bench "$out/tmpfs"
mount -t tmpfs bench /run
ip link set lo up
# BBR halves what loopback carries. A namespace may not choose it as its default, a route may.
ip route change table local local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1 \
    congctl cubic

declare -A pid_of port_of # by contender; read by those who include this
export pid_of port_of
wanted() { # CONTENDER
    [ -z "$only" ] || [[ $only == *,$1,* ]]
}

start_usan() { # CONTENDER STORE OPTION...
    local name=$1 store=$2 i url=''
    shift 2
    wanted "$name" || return 0
    "$build/src/cli/usan" serve --address 127.0.0.1 --port 0 --name $iqn "$@" "$store" \
        >"$out/$name.urls" 2>"$out/$name.log" </dev/null &
    pid_of[$name]=$!
    for ((i = 0; i < 1200; i++)); do
        url=$(grep -m 1 '^iscsi://' "$out/$name.urls") && break
        sleep 0.05
    done
    [ -n "$url" ] || {
        cat "$out/$name.log"
        exit 1
    }
    url=${url#iscsi://} url=${url%%/*}
    port_of[$name]=${url##*:}
}

pin() { # CONTENDER CPUS: every thread
    taskset -a -p -c "$2" "${pid_of[$1]}" >/dev/null
}

# One line "ROUND CONTENDER WORKLOAD key=value..." in the results; one short line on the screen.
record() { # ROUND CONTENDER WORKLOAD COMMAND...
    local head="$1 $2 $3" line
    shift 3
    line=$("$@") || {
        echo "failed: $head: $*" >&2
        exit 1
    }
    echo "$head $line" >>"$results"
    local rest=" $line " iops p50
    iops=${rest#* iops=} p50=${rest#* p50_us=}
    printf '  %-32s %10s IOPS  p50 %8s us\n' "$head" "${iops%% *}" "${p50%% *}"
}

# The report on the screen and, with --write, as a page.
report() { # AWK PAGE TITLE OTHER-VERSIONS
    awk -f tools/bench/rounds.awk -f "tools/bench/$1" "$results" >"$out/report.md"
    cat "$out/report.md"
    [ -n "$write" ] || return 0
    {
        cat <<PAGE
# $3

Made by \`./dev bench $(basename "$0" .sh) --write\`: medians of $rounds interleaved rounds of
$seconds s each. [benchmarks.md](benchmarks.md) says how it is measured and what the words mean.

Machine: $(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), Linux
$(uname -r), Debian $(cat /etc/debian_version), $4.
Absolute figures of such a machine drift by a fifth; the ratios are what lasts.

PAGE
        cat "$out/report.md"
    } >"doc/$2"
    echo "==> wrote doc/$2"
}
