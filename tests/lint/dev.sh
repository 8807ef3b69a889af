#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What ./dev says when it is asked, and when it is used wrongly: one clear answer, 0 and 2.
. "$(dirname "$0")/../lib/tap.sh"

ends_with() { # CODE ARGUMENT...
    local want=$1 rc=0
    shift
    ./dev "$@" || rc=$?
    [ "$rc" = "$want" ]
}

for words in "" help --help -h; do
    # shellcheck disable=SC2086
    check "./dev $words" ends_with 0 $words
    check_output "names the commands" '^  \./dev build '
done
for file in tools/dev.d/*.sh; do
    command=${file##*/}
    command=${command%.sh}
    [ "$command" != common ] || continue
    check "./dev $command --help" ends_with 0 "$command" --help
    check_output "is about it" "^usage: \./dev $command"
done
check "./dev help test" ends_with 0 help test
check_output "is about it" '^usage: \./dev test'
check "an unknown command" ends_with 2 walk
check_output "is named" 'no such command: walk'
check_equal "in one line" "$(wc -l <"$WORK/check.out")" 1
check "what is no command" ends_with 2 ../dev
check "help on an unknown command" ends_with 2 help walk
for wrong in "run --twice" "lint all" "docs all" "fuzz" "fuzz soon" "soak" "bench" "sanitize all" \
    "conformance --no" "build --no" "ci now"; do
    # shellcheck disable=SC2086
    check "./dev $wrong" ends_with 2 $wrong
    check_equal "is answered in one line" "$(wc -l <"$WORK/check.out")" 1
done
finish
