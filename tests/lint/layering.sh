#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Which folder of src/ includes which: exactly what the table "Folders" of ARCHITECTURE.md allows.
# The cores (their row says so) include no header of the system but the harmless ones.
. "$(dirname "$0")/../lib/tap.sh"

core_headers='assert.h|inttypes.h|limits.h|openssl/[a-z_]+.h|stdalign.h|stdatomic.h'
core_headers="$core_headers|stdbool.h|stddef.h|stdint.h|string.h|sys/uio.h" # struct iovec, no call

# FOLDER "may use" of each row, e.g. "src/iscsi base" or "src/base -".
awk -F'|' '/^\| `(src\/|sim)/ {
    folder = $2; gsub(/[` ]/, "", folder); sub(/\/$/, "", folder)
    uses = $4; gsub(/[`,]/, " ", uses)
    print folder, uses
}' ARCHITECTURE.md >"$WORK/table"
[ -s "$WORK/table" ] || bail "no table of folders in ARCHITECTURE.md"

for folder in src/*/ sim/; do
    folder=${folder%/}
    name=${folder#src/}
    find "$folder" -name '*.[ch]*' -exec grep -HnE '^ *# *include' {} + >"$WORK/includes"
    [ -s "$WORK/includes" ] || continue
    uses=$(sed -n "s|^$folder ||p" "$WORK/table")
    if [ -z "$uses" ]; then
        fail "$name stands in the table of folders"
        continue
    fi
    pass "$name stands in the table of folders"
    allowed=$name
    core=
    for word in $uses; do
        case $word in
        -) ;;
        all) allowed="$allowed|[a-z_]+" ;;
        core) core=1 ;;
        *) allowed="$allowed|$word" ;;
        esac
    done
    # Includes with quotes are ours and name their folder; a bare name is the folder's own.
    grep -E 'include *"' "$WORK/includes" |
        grep -vE "include *\"(($allowed)/([a-z0-9_]+/)*)?[a-z0-9_.]+\"" >"$WORK/wrong"
    check_equal "$name includes only what it may use" "$(cat "$WORK/wrong")" ""
    if [ -n "$core" ]; then
        grep -E 'include *<' "$WORK/includes" | grep -vE "include *<($core_headers)>" >"$WORK/wrong"
        check_equal "$name does no input or output" "$(cat "$WORK/wrong")" ""
    fi
done
finish
