# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev bench target|initiator [--rounds N] [--seconds S] [--write] [--only CONTENDER,...]
# what: ours and its peers, interleaved; --write makes doc/performance.md, doc/initiator.md

cmd_bench() {
    local what=${1:-}
    case $what in
    target | initiator) shift ;;
    *) misuse "usage: ./dev bench target|initiator [OPTIONS]" ;;
    esac
    [ "$(id -u)" = 0 ] || die "network namespaces and pinning need root"
    install_packages build test bench
    build_in build
    say "bench $what (a private network namespace; leave the machine alone meanwhile)"
    "tools/bench/$what.sh" "$@"
}
