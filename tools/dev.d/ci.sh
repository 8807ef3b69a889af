# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev ci
# what: what every change has to pass: lint, then all tests, whatever lint found

# A stage in a process of its own, so that its failure does not end the others.
ci_stage() { # NAME COMMAND...
    local name=$1 started=$SECONDS rc=0
    shift
    interruptible "$@" || rc=$?
    printf '==> %s: %s, %d s\n' "$name" "$([ $rc = 0 ] && echo passed || echo FAILED)" \
        $((SECONDS - started))
    return $rc
}

cmd_ci() {
    no_options ci "$@"
    local rc=0
    . tools/dev.d/lint.sh
    . tools/dev.d/test.sh
    rm -f build/counts.ci
    export COUNTS=$PWD/build/counts.ci
    ci_stage lint cmd_lint || rc=1
    ci_stage tests cmd_test || rc=1
    # a stage that broke off has counted nothing
    [ $rc = 0 ] || [ "$(counted_failures "$COUNTS")" != 0 ] || echo "0 1 0" >>"$COUNTS"
    print_counts "$COUNTS"
    return $rc
}
