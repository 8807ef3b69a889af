# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev sim [--seeds N] [--from N] [--erl 0|1|2] [--connections 1|2|4] [--replay SEED]
# what: both protocol cores in one process on a virtual clock, under random faults
# more: One world a seed, one process a processor. A seed that fails shows the end of its trace
# more: (events with their virtual time) and the command that runs it again; --replay shows all of
# more: it. It tells how far it is. Without --seeds it runs 20000.

cmd_sim() {
    local seeds='--seeds 20000' value='' word
    for word in "$@"; do
        case $value$word in
        --seeds | --replay) seeds='' value=: ;;
        --from | --erl | --connections) value=: ;;
        :[0-9]*) value='' ;;
        *) misuse "sim: '$word' is not expected there (./dev sim --help)" ;;
        esac
    done
    [ -z "$value" ] || misuse "sim: a number is missing (./dev sim --help)"
    install_packages build test
    build_in build -- tests/sim/sim_random
    # shellcheck disable=SC2086
    interruptible build/tests/sim/sim_random --progress $seeds "$@"
}
