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

check "all scenarios are well formed" "$USAN" sim check examples/sim/*.yaml
for scenario in examples/sim/*.yaml; do
    name=$(basename "$scenario" .yaml)
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
