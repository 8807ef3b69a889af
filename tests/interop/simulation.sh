#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# usan sim: the scenarios that are shipped run to their end, output repeats to the byte, and what is
# wrong in a scenario is one line that says where.
. "$(dirname "$0")/../lib/tap.sh"

USAN=$BUILD/src/cli/usan
[ -x "$USAN" ] || bail "$USAN is not built"

check_error() { # NAME CODE PATTERN COMMAND...
    local name=$1 code=$2 pattern=$3 rc=0
    shift 3
    timeout 120 "$@" >"$WORK/error.out" 2>"$WORK/error" </dev/null || rc=$?
    if [ $rc = "$code" ] && [ "$(wc -l <"$WORK/error")" = 1 ] && grep -qE -- "$pattern" "$WORK/error"
    then
        pass "$name"
    else
        fail "$name" "exit code $rc, wanted $code and one line that matches: $pattern"
        note <"$WORK/error"
    fi
}
value() { # FILE KEY...: of the JSON
    python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2:]: v = v[k]
print(v)' "$@"
}

ns3=
[ -x "$BUILD/sim/usan-sim-ns3" ] && ns3=1
# What of ns-3 can not be tested, for it is not there.
needs_ns3() { # NAME
    [ -n "$ns3" ] || ! skip "$1" "built without ns-3"
}

check "all scenarios are well formed" "$USAN" sim check examples/sim/*.yaml
for scenario in examples/sim/*.yaml; do
    name=$(basename "$scenario" .yaml)
    ! grep -q '^world: ns3' "$scenario" || needs_ns3 "$name runs" || continue
    check "$name runs" timeout 120 "$USAN" sim run "$scenario"
    check_output "and tells of latencies" '^ +50 %  [0-9.]+ [mu]s$'
    for i in 1 2; do
        timeout 120 "$USAN" sim run --json --cost "$scenario" >"$WORK/$name.$i" 2>"$WORK/cost"
    done
    check "twice the same, to the byte" cmp "$WORK/$name.1" "$WORK/$name.2"
    check "nothing failed" test "$(value "$WORK/$name.1" failed)" = 0
    check "the cost is told apart" grep -qE '^cost   [0-9.]+ s of a processor' "$WORK/cost"
done
timeout 120 "$USAN" sim run --json --seed 2 examples/sim/lan.yaml >"$WORK/other"
check_fails "another seed, other figures" cmp "$WORK/lan.1" "$WORK/other"
check_equal "and told so" "$(value "$WORK/other" seed)" 2

# ---- the time-line ----

check "connections that break" "$USAN" sim run --timeline examples/sim/outage.yaml
check_output "are logged out on another one" \
    'initiator +1 +connection 1 +M2 +S8 CLEANUP_WAIT +-> R2 IN_CLEANUP '
check_output "the session goes on without any" 'target +1 +session +N7 +Q4 FAILED +-> Q5 IN_CONTINUE '
check_output "and is closed in the end" 'initiator +1 +session +N3 +Q3 LOGGED_IN +-> Q1 FREE '
timeout 120 "$USAN" sim run --json --timeline examples/sim/outage.yaml >"$WORK/outage.json"
check_equal "also in JSON" "$(python3 - "$WORK/outage.json" <<'END'
import json, sys
steps = json.load(open(sys.argv[1]))["timeline"]
assert all(a["time_ns"] <= b["time_ns"] for a, b in zip(steps, steps[1:]))
print([s["transition"] for s in steps if s["machine"] == "session" and s["role"] == "initiator"])
END
)" "['N1', 'N5', 'N4', 'N3']"
check_fails "without --timeline there is none" grep -q timeline "$WORK/outage.1"

# ---- the world of ns-3 ----

if needs_ns3 "the world of ns-3"; then
    # One connection without loss: both worlds, the same figures but for a per cent.
    printf '%s\n' 'warm-up: 100ms' 'duration: 100ms' 'network: { rate: 1Gbit, delay: 200us }' \
        'workload: { block-size: 64K, queue-depth: 8, read-percent: 50 }' >"$WORK/pipe.yaml"
    { echo 'world: ns3' && cat "$WORK/pipe.yaml"; } >"$WORK/ns3.yaml"
    "$USAN" sim run --json "$WORK/pipe.yaml" >"$WORK/pipe.json"
    check "without loss" timeout 120 "$USAN" sim run --json --pcap "$WORK/a" "$WORK/ns3.yaml"
    cp "$WORK/check.out" "$WORK/ns3.json"
    check_equal "no packet gets lost" "$(value "$WORK/ns3.json" packets_lost)" 0
    for kind in read write; do
        for figure in iops latency_ns.mean; do
            # shellcheck disable=SC2086
            pair="$(value "$WORK/pipe.json" $kind ${figure/./ })
$(value "$WORK/ns3.json" $kind ${figure/./ })"
            check "$kind: $figure as in the pipe world" awk -v "pair=$pair" \
                'BEGIN { split(pair, v, "\n"); exit !(v[2] > 0.97 * v[1] && v[2] < 1.03 * v[1]) }'
        done
    done
    # The same on nine initiators at a switch, whose link they fill.
    printf '%s\n' 'duration: 50ms' 'initiator: { count: 9 }' \
        'network: { rate: 1Gbit, target-rate: 2Gbit, delay: 200us }' \
        'workload: { block-size: 64K, queue-depth: 4 }' >"$WORK/pipe.yaml"
    { echo 'world: ns3' && cat "$WORK/pipe.yaml"; } >"$WORK/star.yaml"
    "$USAN" sim run --json "$WORK/pipe.yaml" >"$WORK/pipe.json"
    timeout 120 "$USAN" sim run --json "$WORK/star.yaml" >"$WORK/star.json"
    for world in pipe star; do
        check "$world: the target's link is full" \
            test "$(value "$WORK/$world.json" target_link_out busy_ns)" -gt 49000000
    done

    { echo 'world: ns3' && cat examples/sim/outage.yaml; } >"$WORK/outage.yaml"
    timeout 120 "$USAN" sim run --timeline --json "$WORK/outage.yaml" >"$WORK/outage.json"
    check_equal "connections break there as well" \
        "$(grep -cE '"transition": "(N5|N4|N7|N10)"' "$WORK/outage.json")" 5

    timeout 120 "$USAN" sim run --pcap "$WORK/b" "$WORK/ns3.yaml" >"$WORK/out"
    check "packets are the same twice, to the byte" cmp "$WORK/a" "$WORK/b"
    packets() { # FILTER
        tshark -r "$WORK/a" -Y "$1" 2>/dev/null | wc -l
    }
    check "and iSCSI for Wireshark: a login" test "$(packets 'iscsi.opcode == 0x03')" -ge 1
    check "READ" test "$(packets 'scsi_sbc.opcode == 0x88')" -ge 100
    check "Data-In" test "$(packets 'iscsi.opcode == 0x25')" -ge 100
    check "a logout" test "$(packets 'iscsi.opcode == 0x06')" = 1
    check_equal "nothing malformed" "$(packets _ws.malformed)" 0

    check "packets were lost on the lossy line" \
        test "$(value "$WORK/lossy.1" packets_lost)" -gt 10
    check_error "packets that can not be written" 2 '--pcap /nowhere/x: No such file' \
        "$USAN" sim run --pcap /nowhere/x "$WORK/ns3.yaml"
fi
cp "$USAN" "$WORK/usan"
check_error "a world that is not there" 1 'world ns3: this usan was built without it' \
    "$WORK/usan" sim run examples/sim/lossy.yaml
check_error "packets of a world that has none" 2 '--pcap: the pipe world has no packets' \
    "$USAN" sim run --pcap "$WORK/x" examples/sim/lan.yaml

# The scenario of usan-sim.yaml(5).
sed -n '/^\.Bd -literal/,/^\.Ed/p' doc/man/usan-sim.yaml.5 | grep -v '^\.' >"$WORK/page.yaml"
check "the man page's example is one" "$USAN" sim check "$WORK/page.yaml"

printf 'network:\n  rate: 10Gbit\n  speed: 3\n' >"$WORK/bad.yaml"
check_error "an unknown key" 2 "bad.yaml:3:3: there is no key 'speed' in network" \
    "$USAN" sim check "$WORK/bad.yaml"
check_error "is found by run as well" 2 'bad.yaml:3:3' "$USAN" sim run "$WORK/bad.yaml"
check_equal "which writes nothing then" "$(cat "$WORK/error.out")" ""
check_error "of several, the bad one" 2 'bad.yaml:3:3' \
    "$USAN" sim check examples/sim/lan.yaml "$WORK/bad.yaml" examples/sim/wan.yaml
check_error "no file" 2 'nowhere.yaml: No such file' "$USAN" sim run "$WORK/nowhere.yaml"
check_error "no scenario" 2 'needs a scenario' "$USAN" sim run
check_error "a seed that is none" 2 '--seed x: is not a number' \
    "$USAN" sim run --seed x examples/sim/lan.yaml
printf 'network: { delay: 10s }\n' >"$WORK/far.yaml"
check_error "a target that is too far away" 1 'far.yaml: at 15.0+ s: initiator 1 can not log in' \
    "$USAN" sim run "$WORK/far.yaml"
finish
