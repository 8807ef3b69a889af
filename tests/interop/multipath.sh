#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# One file behind two targets, used through both: one after the other is killed under a load that is
# checked while it runs, and comes back; units that are not the same one are refused.
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"

blockcheck=$BUILD/tests/fault/blockcheck
[ -x "$blockcheck" ] || bail "$blockcheck is not built"
truncate -s 64M "$WORK/disk" "$WORK/other"

config() { # NAME NAA FILE
    printf 'portals: [{address: 127.0.0.1, port: %s}]\ntargets:\n' "${PORT:-0}"
    printf '  - {name: "iqn.2025-01.io.usan.test:%s",\n' "$1"
    printf '     luns: [{lun: 0, naa: "%s", thin: yes, store: "%s?lock=no"}]}\n' "$2" "$3"
}
# A target of the file. Sets pids[NAME], urls[NAME] and logs[NAME].
declare -A pids urls logs
up() { # NAME NAA FILE
    config "$@" >"$WORK/$1.yaml"
    target_launch 1 target run --config "$WORK/$1.yaml" || return
    pids[$1]=$TARGET_PID urls[$1]=${URLS[0]} logs[$1]=$TARGET_LOG
}
again() { # NAME NAA FILE: on the port that it had
    PORT=$(url_port "${urls[$1]}") up "$@"
}
killed() { # NAME
    kill -KILL "${pids[$1]}"
    wait "${pids[$1]}" 2>/dev/null
    pids[$1]=''
}
stopped() { # NAME
    TARGET_PID=${pids[$1]} target_stop
}

naa=3001405abcdef012 other=3001405abcdef013
check "the first target" up one $naa "$WORK/disk"
check "the second one" up two $naa "$WORK/disk"
check "one of another unit" up wrong $other "$WORK/other"
[ -n "${urls[wrong]:-}" ] || bail "targets do not start"

# What the front end shows of itself.
report() {
    kill -USR1 "${pids[front]}"
    sleep 0.3
    cat "${logs[front]}"
}
# Was it so in the last report?
shows() { # PATTERN
    report >"$WORK/report"
    grep -E -- "$1" "$WORK/report" | tail -n 1 >"$WORK/line"
    [ -s "$WORK/line" ]
}
front() { # STORE
    target_launch 1 serve --address 127.0.0.1 --port 0 --thin "$1" || return
    pids[front]=$TARGET_PID urls[front]=${URLS[0]} logs[front]=$TARGET_LOG
}
refused() { # PATTERN STORE
    local rc=0
    timeout 60 "$USAN" serve --address 127.0.0.1 --port 0 "$2" >"$WORK/refused" 2>&1 || rc=$?
    cat "$WORK/refused"
    [ "$rc" != 0 ] && grep -qE -- "$1" "$WORK/refused"
}

check "a path to another unit is refused" \
    refused "leads to another unit: naa.$other instead of naa.$naa" \
    "multipath:${urls[one]},${urls[wrong]}"
check "a policy that there is not" refused "policy: 'fast' is not one of" \
    "multipath:${urls[one]},${urls[two]}?policy=fast"
check "the same path twice" refused "path 2: this path is there already" \
    "multipath:${urls[one]},${urls[one]}"

for policy in round-robin least-outstanding service-time; do
    check "$policy: a store of both" front "multipath:${urls[one]},${urls[two]}?policy=$policy"
    rm -f "$WORK/model"
    truncate -s 0 "$WORK/disk"
    truncate -s 64M "$WORK/disk"
    "$blockcheck" load -t 8 -q 32 -w 70 -s 1 -u 5 -m "$WORK/model" "${urls[front]}" \
        >"$WORK/load.out" 2>&1 &
    load_pid=$!
    check "$policy: a load is under way" wait_for 60 grep -q '^under way' "$WORK/load.out"
    sleep 1
    killed one
    sleep 1
    check "$policy: the first target is killed and comes back" again one $naa "$WORK/disk"
    check "$policy: its path is used again" wait_for 60 shows 'path0.*(state=up|state up)'
    sleep 0.5
    killed two
    sleep 1
    check "$policy: the second one as well" again two $naa "$WORK/disk"
    load_rc=0
    wait "$load_pid" || load_rc=$?
    note <"$WORK/load.out"
    check_equal "$policy: the load has seen no error" "$load_rc" 0
    check "$policy: all data is there" "$blockcheck" verify -a -m "$WORK/model" "${urls[front]}"
    check "$policy: and in the file" "$blockcheck" verify -a -m "$WORK/model" "${urls[one]}"
    check "$policy: both paths are up again" wait_for 60 shows 'path1.*(state=up|state up)'
    note <"$WORK/line"
    check "$policy: it ends when asked to" stopped front
done

killed two
check "one path of two is enough to begin with" front "multipath:${urls[one]},${urls[two]}"
check "it is read" qemu-io -r -f raw -c 'read 0 1M' "${urls[front]}"
check "the other one comes" again two $naa "$WORK/disk"
check "and is used" wait_for 60 shows 'path1.*(state=up|state up)'
check "it ends as well" stopped front

# What `usan attach` shows of paths.
export USAN_RUN_DIR=$WORK/run
"$USAN" attach --name mp --as "nbd:unix:$WORK/mp.sock" "multipath:${urls[one]},${urls[two]}" \
    >"$WORK/attach.out" 2>&1 &
listed() { # PATTERN
    "$USAN" attach list >"$WORK/list" && grep -qE -- "$1" "$WORK/list"
}
check "a list shows the first path" wait_for 60 listed "^  path ${urls[one]}  up: optimized\$"
check "and the second" wait_for 60 listed "^  path ${urls[two]}  up: optimized\$"
json() { # EXPRESSION COMMAND...: is it true of what the command writes as JSON?
    local expression=$1
    shift
    "$@" >"$WORK/json" &&
        python3 -c "import json, sys; d = json.load(sys.stdin); sys.exit(not ($expression))" \
            <"$WORK/json"
}
check "as JSON, too" json '[(p["state"], p["alua"]) for p in d[0]["paths"]] == [("up", "optimized")] * 2' \
    "$USAN" attach list --json
killed two
check "a path that is lost" wait_for 60 listed "^  path ${urls[two]}  down: "
check_equal "the store is there" "$(awk '$1 == "mp" { print $2 }' "$WORK/list")" attached
check "all there is to know of it" json 'd["state"] == "attached" and d["paths_up"] == 1 and
    d["paths"][1]["state"] == "down" and d["paths"][1]["sessions"] == 0 and
    d["paths"][1]["losses"] >= 1 and d["paths"][1]["why"] != ""' "$USAN" attach show --json mp
check "in words" "$USAN" attach show mp
check_output "the path" "^path 1\$"
check_output "its state" "^ +state: down\$"
killed one
check "without any path it is lost" wait_for 60 listed '^mp +lost '
check "the first comes" again one $naa "$WORK/disk"
check "and it is back" wait_for 60 listed '^mp +attached '
check "the second comes" again two $naa "$WORK/disk"
check "it ends" "$USAN" attach detach mp
killed one
check "a portal alone is a path of the same target" \
    front "multipath:${urls[two]},127.0.0.1:1"
check "which is written" qemu-io -f raw -c 'write -P 3 0 1M' -c 'read -P 3 0 1M' "${urls[front]}"
check "the last one ends" stopped front
check "the second target ends" stopped two
check "the other one, too" stopped wrong
finish
