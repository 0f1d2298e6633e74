# tools/check-style: each thing that it refuses.
. tests/shell/lib/check.sh

mkdir -p "$scratch/src/base"

# try LINE: checks a tree whose one file is a comment and LINE.
try() {
    printf '/* A file. */\n%s\n' "$1" > "$scratch/src/base/a.c"
    run tools/check-style "$scratch"
}

try 'int x;'
expect_equal "a plain file passes" "$status" 0
try 'fv_strcpy(a, b); snprintf(a, 1, "strcpy(");'
expect_equal "names that only look like banned calls pass" "$status" 0
for call in 'strcpy(a, b)' 'x = sprintf(a, b)' 'strtok (a, b)'; do
    try "$call;"
    expect_match "\"$call\" is refused" "$output" '^src/base/a.c:2: uses a banned call'
done
try "/* TO""DO later */"
expect_match "work left for later is refused" "$output" '^src/base/a.c:2: leaves work'
try 'int x; '
expect_match "a blank at the end is refused" "$output" '^src/base/a.c:2: ends in a blank'
echo 'int x;' > "$scratch/src/base/a.c"
run tools/check-style "$scratch"
expect_match "a file without an opening comment is refused" "$output" '^src/base/a.c:1: opens without a comment'
awk 'BEGIN { print "/* A file. */"; for (i = 0; i < 900; i++) print "int x;" }' > "$scratch/src/base/a.c"
run tools/check-style "$scratch"
expect_match "more than 900 lines are refused" "$output" '^src/base/a.c:901: goes past 900 lines'
