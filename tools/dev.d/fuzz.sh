# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev fuzz SECONDS [TARGET...]
# what: run each target of fuzz/ that long; new inputs go to build-fuzz/corpus

cmd_fuzz() {
    local seconds=${1:-} target name failed=0 targets=()
    [[ $seconds =~ ^[0-9]+$ ]] || misuse "usage: ./dev fuzz SECONDS [TARGET...]"
    shift
    install_packages build test fuzz
    CC=clang build_in build-fuzz -Dfuzz=true -Dtests=false -Db_sanitize=address,undefined \
        -Db_lundef=false
    mapfile -t targets < <(find build-fuzz/fuzz -maxdepth 1 -name 'fuzz_*' -type f -executable -printf '%f\n' |
        sort)
    [ $# = 0 ] || targets=("$@")
    [ ${#targets[@]} != 0 ] || die "fuzz/ builds no target"
    for target in "${targets[@]}"; do
        name=${target#fuzz_}
        mkdir -p "build-fuzz/corpus/$name" "build-fuzz/found/$name"
        say "fuzz $target for $seconds s"
        local seeds=()
        [ ! -d "fuzz/corpus/$name" ] || seeds=("fuzz/corpus/$name")
        if "build-fuzz/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
            -print_final_stats=1 -artifact_prefix="build-fuzz/found/$name/" \
            "build-fuzz/corpus/$name" "${seeds[@]}" >"build-fuzz/$name.log" 2>&1 </dev/null; then
            sed -n 's/^stat::number_of_executed_units: */  inputs run: /p' "build-fuzz/$name.log"
        else
            tail -n 40 "build-fuzz/$name.log"
            failed=$((failed + 1))
        fi
    done
    printf '%d passed, %d failed\n' $((${#targets[@]} - failed)) "$failed"
    [ "$failed" = 0 ]
}
