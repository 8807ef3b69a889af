# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# usage: ./dev lint
# what: files, layout, short clang-tidy list, second compiler, shell scripts, spelling, sizes

c_files() {
    project_files '*.c' '*.h' '*.cc'
}

shell_files() {
    project_files '*.sh' dev .ci/run tools/tap-run tools/cmocka-tap
}

# A file that .gitignore names is one that a build has made, and a symbolic link leads somewhere
# on one machine only.
lint_tree() {
    local bad
    bad=$(git ls-files -ci --exclude-standard && git ls-files -s | sed -n 's/^120000 .*\t//p')
    [ -z "$bad" ] || { printf '%s: is not to be in the repository\n' "$bad" && return 1; }
}

lint_layout() {
    c_files | xargs -r clang-format-14 --dry-run --Werror
}

lint_rules() {
    c_files | xargs -r awk -f tools/lint/rules.awk
}

lint_licence() {
    local bad=0 f
    while read -r f; do
        if ! head -n 2 "$f" | grep -q 'SPDX-License-Identifier: LGPL-2.1-or-later'; then
            echo "$f:1: no SPDX line"
            bad=1
        fi
    done < <(c_files && shell_files && project_files '*.awk' '*.py' '*meson.build')
    return $bad
}

lint_shell() {
    shell_files | xargs -r shellcheck -x
}

lint_spelling() {
    project_files | xargs -r codespell
}

# Warnings are errors with this compiler too.
lint_clang() {
    if [ ! -f build-clang/build.ninja ]; then
        CC=clang meson setup build-clang >build/clang-setup.log 2>&1 ||
            { tail -n 20 build/clang-setup.log && return 1; }
    fi
    ninja -C build-clang >build/clang.log 2>&1 ||
        { grep -E -A 6 'error|FAILED' build/clang.log | head -n 80 && return 1; }
}

# A file is checked again only when it, a header of it or the list of checks has changed: the
# key of a clean check is the hash of the preprocessed text.
lint_tidy() {
    mkdir -p build/tidy
    compiled_sources | xargs -r -P "$(nproc)" -n 1 tools/lint/tidy
}

# The sources of the programs that the compile commands know; tests are left to the compilers.
compiled_sources() {
    sed -n 's/^ *"file": "\.\.\/\(src\/.*\)",*$/\1/p' build-clang/compile_commands.json | sort -u
}

cmd_lint() {
    no_options lint "$@"
    install_packages build test lint
    local failed=0 passed=0 step started
    say "lint"
    for step in tree layout rules licence shell spelling clang tidy; do
        started=$SECONDS
        if interruptible "lint_$step" >"build/lint-$step.log" 2>&1 </dev/null; then
            passed=$((passed + 1))
            printf '  %-10s ok   %4d s\n' $step $((SECONDS - started))
        else
            printf '  %-10s FAIL %4d s\n' $step $((SECONDS - started))
            head -n 60 "build/lint-$step.log" | sed 's/^/    /'
            failed=$((failed + 1))
        fi
    done
    [ -z "${COUNTS:-}" ] || echo "$passed $failed 0" >>"$COUNTS"
    [ $failed = 0 ] || die "lint found something"
}
