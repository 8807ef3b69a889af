# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev docs
# what: write the pages of doc/ that are made from tables (commands, iSCSI keys and states)

cmd_docs() {
    local page
    no_options docs "$@"
    install_packages build test
    build_in build -- tests/doc/pages
    for page in commands iscsi; do
        build/tests/doc/pages $page >build/page.md
        mv build/page.md doc/$page.md
        say "wrote doc/$page.md"
    done
}
