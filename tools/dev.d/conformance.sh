# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev conformance [--write] [KIND...]
# what: iscsi-test-cu on every kind of disk; --write makes doc/conformance.md of the results

cmd_conformance() {
    local write='' dir=build/conformance rc=0
    if [ "${1:-}" = --write ]; then
        write=1
        shift
    fi
    [[ ${1:-} != -* ]] || misuse "conformance: unknown option '$1' (./dev conformance --help)"
    install_packages build test
    build_in build
    rm -rf $dir
    mkdir -p $dir
    say "conformance (about three minutes)"
    RESULTS=$PWD/$dir KINDS="$*" tests/conformance/libiscsi.sh >build/conformance.log 2>&1 || rc=$?
    grep -A 3 '^not ok' build/conformance.log || true
    conformance_counts $dir
    if [ -n "$write" ]; then
        [ $# = 0 ] || die "the page needs all kinds"
        conformance_page $dir >doc/conformance.md
        say "wrote doc/conformance.md"
    fi
    return $rc
}

# KIND PASSED FAILED SKIPPED
conformance_counts() { # DIRECTORY
    local f
    for f in "$1"/*; do
        awk -v kind="${f##*/}" '{ n[$1]++ }
            END { printf "  %-14s %3d passed %3d failed %3d skipped\n", kind, n["PASS"],
                  n["FAIL"], n["SKIP"] }' "$f"
    done
}

conformance_page() { # DIRECTORY
    (
        # shellcheck source=../../tests/lib/conformance.sh
        . tests/lib/conformance.sh
        cat <<'PAGE'
# Conformance

All tests of `iscsi-test-cu` (Debian's libiscsi-bin) on every kind of disk, data-loss tests and
SANITIZE included (its disk is a slow one, so that the tests see it at work). Made by
`./dev conformance --write`; `tests/conformance/libiscsi.sh` checks the same in every test run. A
test that skips a part of itself counts as skipped. A test is skipped where the kind of disk has
not got what it is about.

| disk | what | passed | failed | skipped |
|---|---|---|---|---|
PAGE
        local kind files=()
        for kind in "${CONFORMANCE_KINDS[@]}"; do
            files+=("$1/$kind")
            awk -v kind="$kind" -v about="$(conformance_about "$kind")" '{ n[$1]++ }
                END { printf "| %s | %s | %d | %d | %d |\n", kind, about, n["PASS"], n["FAIL"],
                      n["SKIP"] }' "$1/$kind"
        done
        awk -f tools/conformance-where.awk tests/conformance/exceptions "${files[@]}"
        for kind in "${CONFORMANCE_KINDS[@]}"; do
            conformance_details "$kind" "$1/$kind"
        done
    )
}

conformance_details() { # KIND FILE
    grep -qE '^(FAIL|SKIP)' "$2" || return 0
    printf '\n## What does not pass on: %s\n\n| result | reason | tests |\n|---|---|---|\n' "$1"
    grep -E '^(FAIL|SKIP)' "$2" | sort -t "$(printf '\t')" -k 1,1 -k 3,3 -s | awk -F '\t' '
        function row() { if (key != "") printf "| %s | %s | %s |\n", status, reason, tests }
        $1 $3 != key { row(); key = $1 $3; status = tolower($1); reason = $3; tests = "" }
        { gsub(/\|/, "/", reason); tests = tests (tests == "" ? "" : ", ") $2 }
        END { row() }'
}
