# SPDX-License-Identifier: LGPL-2.1-or-later
# The rules of the C style that no other tool checks: sizes of functions and files, functions
# that are not to be used, and markers of unfinished work. A file may carry a line
# "lint: long file: REASON" or, in front of a function, "lint: long function: REASON".
BEGIN {
    max_function = 120
    max_file = 1500
    # unbounded, locale dependent, not thread-safe or without error report
    banned = "strcpy strcat sprintf vsprintf gets strtok strncpy strncat alloca rand srand " \
             "atoi atol atoll atof scanf sscanf fscanf system popen tmpnam tempnam mktemp " \
             "gmtime localtime ctime asctime gethostbyname inet_ntoa inet_addr bzero bcopy"
    n = split(banned, list, " ")
    for (i = 1; i <= n; i++)
        is_banned[list[i]] = 1
}
function report(line, text) {
    printf "%s:%d: %s\n", FILENAME, line, text
    bad = 1
}
function close_file() {
    if (file != "" && lines > max_file && !file_excused) {
        printf "%s: %d lines, more than %d\n", file, lines, max_file
        bad = 1
    }
}
FNR == 1 {
    close_file()
    file = FILENAME
    file_excused = function_excused = in_comment = 0
}
{ lines = FNR }
/lint: long file: ./ { file_excused = 1 }
/lint: long function: ./ { function_excused = 1 }
/^\{$/ { start = FNR }
/^\}/ {
    if (start && FNR - start - 1 > max_function && !function_excused)
        report(start, "function of " FNR - start - 1 " lines, more than " max_function)
    if (start)
        function_excused = 0
    start = 0
}
{
    text = $0
    # comments and strings hold no calls
    gsub(/"([^"\\]|\\.)*"/, "\"\"", text)
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", text)
    if (in_comment) {
        if (text !~ /\*\//)
            next
        sub(/.*\*\//, "", text)
        in_comment = 0
    }
    if (text ~ /\/\*/) {
        sub(/\/\*.*/, "", text)
        in_comment = 1
    }
    sub(/\/\/.*/, "", text)
    while (match(text, /[A-Za-z_][A-Za-z_0-9]*[ ]*\(/)) {
        name = substr(text, RSTART, RLENGTH - 1)
        sub(/ +$/, "", name)
        before = RSTART > 1 ? substr(text, RSTART - 1, 1) : ""
        if (name in is_banned && before != "." && before != ">")
            report(FNR, name "() is not to be used")
        text = substr(text, RSTART + RLENGTH)
    }
}
/(TODO|FIXME|XXX)/ && !/-XXXXXX/ { report(FNR, "unfinished work is not kept in the tree") }
END {
    close_file()
    exit bad
}
