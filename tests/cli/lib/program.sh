# shellcheck shell=sh disable=SC2034,SC2154 # names are shared with the file that reads this one
# Read by the tests of this folder: the program as $fovea, its two streams apart, and sample data.
# The scratch folder, the expectations and `run` are those of the other shell tests.
. tests/shell/lib/check.sh

fovea=${FOVEA:?names the program to test}
if [ ! -x "$fovea" ]; then
    not_ok "the program" "$fovea cannot be run"
    exit 1
fi
export LC_ALL=C.UTF-8
unset COLUMNS NO_COLOR

# split COMMAND…: sets out, messages (stderr) and status; stdin is the caller's.
split() {
    status=0
    out=$("$@" 2> "$scratch/messages") || status=$?
    messages=$(cat "$scratch/messages")
}

# expect_status NAME EXPECTED: of the last run or split, with what was said if it differs.
expect_status() {
    if [ "$status" -eq "$2" ]; then ok "$1"; else not_ok "$1" "exit status $status, expected $2: ${messages:-${output:-}}"; fi
}

skip() {
    echo "skip $1: $2"
}

# Rows of three labels that a small model tells apart: sample_rows FIRST LAST, up to 36. Neighbours
# differ in both words (17 and 36 share no divisor), so any twenty show every word.
sample_rows() {
    awk -v first="$1" -v last="$2" 'BEGIN {
        split("parcel box courier late delivery tracking", a, " ")
        split("money refund card charged invoice price", b, " ")
        split("退货 尺码 换货 衣服 颜色 质量", c, " ")
        for (i = first; i <= last; i++) {
            p = i * 17 % 36; j = p % 6 + 1; k = int(p / 6) + 1
            print "where is my " a[j] " and the " a[k] "\tdelivery"
            print "about the " b[j] " of my " b[k] "\tmoney back"
            print "我的" c[j] "还有" c[k] "\t退换"
        }
    }'
}

# sample_table FIRST LAST: the same with the header of a .tsv.
sample_table() {
    printf 'text\tlabel\n'
    sample_rows "$1" "$2"
}
