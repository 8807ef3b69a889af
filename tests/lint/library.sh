#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# libusan and what is said of it agree: the headers compile alone as C99, C11 and C++17; the
# libraries export what they declare and nothing else; each function has its man page; the codes have
# theirs; a program is built from an installed tree with what pkg-config says.
. "$(dirname "$0")/../lib/tap.sh"

shared=$BUILD/src/lib/libusan.so.0 static=$BUILD/src/lib/libusan.a
for file in "$shared" "$static"; do
    [ -f "$file" ] || bail "$file is not built"
done
cc=${CC:-cc}

# ---- headers ----

for header in include/usan/*.h; do
    name=${header#include/}
    for std in c99 c11; do
        check "$name is $std by itself" "$cc" -std=$std -pedantic -Wall -Wextra -Werror -Iinclude \
            -x c -fsyntax-only "$header"
    done
    if command -v c++ >/dev/null; then
        check "$name is C++17 by itself" c++ -std=c++17 -pedantic -Wall -Wextra -Werror -Iinclude \
            -x c++ -fsyntax-only "$header"
    else
        skip "$name is C++17 by itself" "no C++ compiler"
    fi
    check "$name is installed" grep -q "/$name'" src/lib/meson.build
done

# The functions, without what stands in comments.
cat include/usan/*.h | "$cc" -fpreprocessed -dD -E -P -x c - 2>/dev/null | tr '\n' ' ' |
    grep -oE 'USAN_API(_CHECK)? [^;(]*[* ]usan_[a-z_]+\(' | sed -E 's/.*[* ](usan_[a-z_]+)\($/\1/' |
    sort >"$WORK/declared"
check "functions are declared" test "$(wc -l <"$WORK/declared")" -ge 30
check_equal "each once" "$(uniq -d "$WORK/declared")" ""

# ---- symbols ----

nm -D --defined-only "$shared" | awk '$2 != "A" { print $3 }' | sort >"$WORK/versioned"
sed 's/@@.*//' "$WORK/versioned" | sort >"$WORK/exported"
check_equal "the shared library exports what the headers declare" \
    "$(diff "$WORK/declared" "$WORK/exported")" ""
check_equal "every symbol has a version" "$(grep -v '@@USAN_[0-9]*$' "$WORK/versioned")" ""
nm -g --defined-only "$static" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort >"$WORK/exported"
check_equal "the static library as well" "$(diff "$WORK/declared" "$WORK/exported")" ""

# ---- man pages ----

for page in doc/man/usan*.3; do
    sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z_]*\).*/\1/p' "$page" >"$WORK/names"
    grep -E '^\.F[no] ' "$page" | sed -E 's/^\.F[no] ([a-z_]+).*/\1/' >>"$WORK/prototypes"
    cat "$WORK/names" >>"$WORK/named"
    base=$(basename "$page" .3)
    check "$page is named after its first function" grep -qx "$base" "$WORK/names"
    check "$page is installed" grep -q "'$base.3'" doc/man/meson.build
    while read -r name; do
        [ "$name" = "$base" ] || check "$name(3) leads to $base(3)" \
            sh -c "tr '\n' ' ' <doc/man/meson.build | grep -qE \"'$base': \\[[^]]*'$name'\""
    done <"$WORK/names"
done
check_equal "every function is named by one man page" \
    "$(grep -vx usan "$WORK/named" | sort | diff "$WORK/declared" -)" ""
check_equal "and has its prototype there" \
    "$(sort -u "$WORK/prototypes" | comm -23 "$WORK/declared" -)" ""
grep -ohE '\b(USAN_ERR|USAN_EVENT|USAN_TMF|USAN_SCSI|USAN_DISK)_[A-Z_]+' include/usan/*.h |
    grep -v '_H$' | sort -u >"$WORK/words"
while read -r word; do
    check "$word stands in a man page" grep -qE "$word( |\$)" doc/man/usan*.3
done <"$WORK/words"

# ---- an installed tree ----

check "it is installed" env DESTDIR="$WORK/root" meson install -C "$BUILD" --no-rebuild --quiet
pc=$(find "$WORK/root" -name usan.pc)
check "with a file for pkg-config" test -n "$pc"
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$WORK/root
sanitize=()
if nm -D "$shared" | grep -q ' U __asan_init'; then sanitize=(-fsanitize=address); fi
if nm -D "$shared" | grep -q ' U __tsan_init'; then sanitize=(-fsanitize=thread); fi
for example in examples/*.c; do
    name=$(basename "$example" .c)
    # shellcheck disable=SC2046
    check "example $name is built from it" "$cc" -Wall -Wextra -Werror "${sanitize[@]}" \
        -o "$WORK/$name" "$example" $(pkg-config --cflags --libs usan) -pthread \
        "-Wl,-rpath,$(dirname "${pc%/*}")"
done
check "it runs" "$WORK/1-read" ram:1M 7
check_output "and reads" '^1048576 bytes in blocks of 512$'
check_equal "it needs the library by its version" \
    "$(objdump -p "$WORK/1-read" | awk '$1 == "NEEDED" && /usan/ { print $2 }')" "libusan.so.0"
unset PKG_CONFIG_SYSROOT_DIR
check_equal "pkg-config has the version of the project" "$(pkg-config --modversion usan)" \
    "$(sed -n "s/^  version: '\(.*\)',/\1/p" meson.build)"
finish
