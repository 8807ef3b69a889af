# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev build [TARGET...]
# what: install what is needed and build into build/
# more: TARGET is one of ninja's, for example src/cli/usan; without one everything is built.

cmd_build() {
    local word
    for word in "$@"; do
        [[ $word != -* ]] || misuse "build: unknown option '$word' (./dev build --help)"
    done
    install_packages build test
    build_in build -- "$@"
    ! have_program || say "built build/src/cli/usan"
}
