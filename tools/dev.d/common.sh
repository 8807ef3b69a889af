# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What the commands of ./dev share: messages, packages, builds. Sourced at the root of the tree.

say() {
    printf '==> %s\n' "$*"
}

die() {
    printf 'dev: %s\n' "$*" >&2
    exit 1
}

# What is wrong with the command line ends with 2.
misuse() { # MESSAGE...
    printf 'dev: %s\n' "$*" >&2
    exit 2
}

# For commands that take none.
no_options() { # COMMAND [ARGUMENT...]
    [ $# = 1 ] || misuse "$1: unknown argument '$2' (./dev $1 --help)"
}

# Run a command, or a function in a subshell, as a process group that ends with this shell: one
# that waits for a command in the foreground would hear of a signal only after it.
interruptible() { # COMMAND...
    local rc=0 child
    set -m
    "$@" &
    child=$!
    set +m
    trap 'trap - TERM INT HUP; kill -TERM -- -$child 2>/dev/null; wait $child; exit 143' \
        TERM INT HUP
    wait $child || rc=$?
    trap - TERM INT HUP
    return $rc
}

# Counts of test cases: a file with lines "PASSED FAILED SKIPPED".
print_counts() { # FILE
    awk '{ p += $1; f += $2; s += $3 }
         END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$1"
}

counted_failures() { # FILE
    awk '{ f += $2 } END { print f + 0 }' "$1"
}

# Run a command with its output in a file; show the end of it only when the command fails.
quietly() { # LOG COMMAND...
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! interruptible "$@" >"$log" 2>&1 </dev/null; then
        tail -n 60 "$log" >&2
        die "failed: $* (whole output: $log)"
    fi
}

# Packages of the groups that are not installed, one a line.
missing_packages() { # GROUP...
    local group package rest
    while read -r group package rest; do
        case " $* " in
        *" $group "*) ;;
        *) continue ;;
        esac
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            echo "$package"
    done <tools/packages | sort -u
}

# Packages must not start their services on a developer's machine (tgt would take port 3260).
without_services() { # COMMAND...
    local policy=/usr/sbin/policy-rc.d made='' rc=0
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
        made=1
    fi
    "$@" || rc=$?
    [ -z "$made" ] || rm -f $policy
    return $rc
}

install_packages() { # GROUP...
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} = 0 ] && return 0
    [ "$(id -u)" = 0 ] || die "not installed: ${missing[*]}; install them, or run as root"
    say "install ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local get=(apt-get -qq install -y --no-install-recommends "${missing[@]}")
    # Lists may be missing or old: fetch them only then.
    without_services "${get[@]}" >build/apt.log 2>&1 </dev/null || {
        quietly build/apt.log apt-get -qq update
        without_services quietly build/apt.log "${get[@]}"
    }
}

# Configure (once) and build. Further arguments are meson options, then -- and ninja targets.
build_in() { # DIR [MESON_OPTION...] [-- TARGET...]
    local dir=$1 options=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# = 0 ] || shift
    if [ ! -f "$dir/build.ninja" ]; then
        say "configure $dir"
        quietly "$dir/configure.log" meson setup "$dir" "${options[@]}"
    fi
    say "build $dir"
    if [ -t 1 ]; then
        ninja -C "$dir" --quiet "$@"
    else
        quietly "$dir/build.log" ninja -C "$dir" -k 0 "$@"
    fi
}

# The program exists as soon as its folder builds something; from then on its tests must run.
have_program() {
    grep -q executable src/cli/meson.build
}

# Files of the tree that are the project's, new ones included, by shell patterns.
project_files() { # PATTERN...
    git ls-files -co --exclude-standard -- "$@" | while read -r f; do
        [ -f "$f" ] && echo "$f"
    done | sort -u
}

mkdir -p build
