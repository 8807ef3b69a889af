#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# time limit: 1800
# Every test of iscsi-test-cu on every kind of disk: none fails, the best kind skips few, and each
# test passes on some kind. A case is one test on one kind; what a kind skips is checked at the
# end. With RESULTS=DIRECTORY the results stay there (./dev conformance makes the page of them).
. "$(dirname "$0")/../lib/tap.sh"
. "$ROOT/tests/lib/target.sh"
. "$ROOT/tests/lib/conformance.sh"

skips_allowed=20
results=${RESULTS:-$WORK/results}
mkdir -p "$results"
conformance_tests | sort >"$WORK/all"
test -s "$WORK/all" || bail "iscsi-test-cu lists no tests"

read -r -a kinds <<<"${KINDS:-${CONFORMANCE_KINDS[*]}}"
conformance_run_all "$results" "${kinds[@]}"
for kind in "${kinds[@]}"; do
    while IFS=$'\t' read -r status name why; do
        case $status in
        PASS) pass "$kind: $name" ;;
        FAIL) fail "$kind: $name" "$why" ;;
        esac
    done <"$results/$kind"
    cut -f 2 "$results/$kind" | sort >"$WORK/ran"
    check_equal "$kind: every test ran" "$(comm -3 "$WORK/all" "$WORK/ran" | tr -d '\t')" ""
    check_equal "$kind: the target stayed well and ended in time" \
        "$(cat "$results/$kind.trouble")" ""
    rm -f "$results/$kind.trouble"
done

if [ -z "${KINDS:-}" ]; then
    fewest=$(for kind in "${CONFORMANCE_KINDS[@]}"; do
        grep -c '^SKIP' "$results/$kind"
    done | sort -n | head -n 1)
    check "the best kind skips at most $skips_allowed tests (it skips $fewest)" \
        test "$fewest" -le $skips_allowed
    sed -n 's/^any \([^ ]*\) .*/\1/p' tests/conformance/exceptions | sort >"$WORK/excepted"
    sed -n 's/^PASS\t\([^\t]*\).*/\1/p' "$results"/* | sort -u >"$WORK/passed"
    check_equal "every test passes on some kind" \
        "$(comm -23 "$WORK/all" "$WORK/passed" | comm -3 - "$WORK/excepted")" ""
fi
finish
