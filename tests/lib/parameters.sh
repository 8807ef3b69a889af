# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Our initiator against one target with the parameters of RFC 7143 at their extremes, so that each
# pair of values occurs. Sourced after target.sh.

# The disk is written with what the last combination did not leave there, and read back.
# OPEN, ONE_WAY, MUTUAL: URLs of it without options, without and with credentials; a login that is
# missing is left out.
check_parameters() { # TARGET OPEN ONE_WAY MUTUAL [FACTOR...]
    local who=$1 logins=none url options chunk word row n=0
    local -A urls=([none]=$2 [one-way]=$3 [mutual]=$4)
    shift 4
    [ -z "${urls[one-way]}" ] || logins+=,one-way
    [ -z "${urls[mutual]}" ] || logins+=,mutual
    while read -r row; do
        url='' options='' chunk=''
        for word in $row; do
            case $word in
            login=*) url=${urls[${word#login=}]} ;;
            chunk=*) chunk=${word#chunk=} ;;
            *) options+="&$word" ;;
            esac
        done
        n=$((n + 1))
        head -c 1M /dev/urandom >"$WORK/parameters"
        case $url in *\?*) ;; *) options="?${options#&}" ;; esac
        check "$who: $row" timeout 120 "$USAN" cp --quiet --in-place --verify --sparse 0 \
            --chunk "$chunk" "$WORK/parameters" "$url$options"
    done < <(python3 tests/lib/pairwise.py "login=$logins" header_digest=none,crc32c \
        data_digest=none,crc32c initial_r2t=no,yes immediate_data=no,yes \
        first_burst=512,64K,16777215 max_burst=512,64K,16777215 max_segment=512,8K,16777215 \
        max_r2t=1,16 data_pdu_in_order=yes,no data_sequence_in_order=yes,no chunk=64K,256K,1M \
        "$@" -- 'first_burst=64K max_burst=512' 'first_burst=16777215 max_burst=512' \
        'first_burst=16777215 max_burst=64K')
    [ $n -ge 9 ] || fail "$who: there are combinations" "only $n"
}
