# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev bench target [--rounds N] [--seconds S] [--write] [--only CONTENDER,...]
# what: ours, tgt and the echo limit, interleaved; --write makes doc/performance.md

cmd_bench() {
    [ "${1:-}" = target ] || misuse "usage: ./dev bench target [OPTIONS]"
    shift
    [ "$(id -u)" = 0 ] || die "network namespaces and pinning need root"
    install_packages build test bench
    build_in build
    say "bench target (a private network namespace; leave the machine alone meanwhile)"
    tools/bench/target.sh "$@"
}
