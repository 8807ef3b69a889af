# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev build [TARGET...]
# what: install what is needed and build into build/

cmd_build() {
    install_packages build test
    build_in build -- "$@"
    ! have_program || say "built build/src/cli/usan"
}
