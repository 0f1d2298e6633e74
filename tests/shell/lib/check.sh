# Read by the tests of this folder (". tests/shell/lib/check.sh"): a scratch folder that goes away by
# itself, and expectations that print the lines tools/run-tests counts.

root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

ok() {
    echo "ok $1"
}

not_ok() {
    echo "not ok $1: $2"
}

# expect_equal NAME FOUND EXPECTED
expect_equal() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "found \"$2\", expected \"$3\""; fi
}

# expect_match NAME FOUND PATTERN: an extended regular expression that some line has to match.
expect_match() {
    if printf '%s\n' "$2" | grep -Eq -e "$3"; then ok "$1"; else not_ok "$1" "found \"$2\", expected a match of \"$3\""; fi
}

# run COMMAND…: sets output (both streams) and status.
run() {
    status=0
    output=$("$@" 2>&1 < /dev/null) || status=$?
}
