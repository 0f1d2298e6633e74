# Vectors of texts: as lines, as JSON and as a file of NumPy; prompts, sizes, odd input.
# shellcheck shell=sh disable=SC2154 # names come from the file that is read
. tests/cli/lib/program.sh
model=$PWD/tests/golden/encoders/sentence
translator=$PWD/tests/golden/marian-tiny
cd "$scratch" || exit 1
unset TERM

embed() { split "$fovea" embed "$model" "$@"; }

# near NUMBERS EXPECTED: how far the two lists of numbers lie apart at most, as "near" or a figure
near() {
    printf '%s\n%s\n' "$1" "$2" | tr ',' ' ' | awk '
        NR == 1 { n = split($0, a, " ") }
        NR == 2 { if (split($0, b, " ") != n) { print "other length"; exit } for (i = 1; i <= n; i++) { d = a[i] - b[i]; if (d < 0) d = -d; if (d > most) most = d } }
        END { print most < 2e-6 ? "near" : most }'
}
# The vector that was recorded for a text, the first time that it stands there: with no prompt.
recorded() { grep -F "\"text\": \"$1\"" "$model/expected.json" | head -n 1 | sed 's/.*"vector": \[//; s/\].*//'; }

printf 'a cat sat.\n\nThe Dog, and café\n' > texts
embed texts
expect_status "embed" 0
expect_equal "a line for each text, the empty one too" "$(echo "$out" | wc -l | tr -d ' ')" 3
expect_equal "the first is as recorded" "$(near "$(echo "$out" | sed -n 1p)" "$(recorded 'a cat sat.')")" near
expect_equal "the last too" "$(near "$(echo "$out" | sed -n 3p)" "$(recorded 'The Dog, and café')")" near
lines=$out
embed texts --json
expect_match "--json" "$out" '^\{"embedding":\[-?0\.[0-9]+(,-?0\.[0-9]+){9}\]\}$'
expect_equal "has the same numbers" "$(echo "$out" | sed 's/.*\[//; s/\].*//; s/,/ /g')" "$lines"
expect_equal "stdin is read" "$("$fovea" embed "$model" < texts)" "$lines"
printf 'id\tquestion\n1\ta cat sat.\n' > table.tsv
expect_equal "a column of a table" "$("$fovea" embed "$model" table.tsv --text question)" "$(echo "$lines" | sed -n 1p)"

# ---- Options ----

expect_equal "--prompt NAME is its text in front" "$(echo 'a cat' | "$fovea" embed "$model" --prompt query)" "$(echo 'find: a cat' | "$fovea" embed "$model")"
expect_equal "--prompt-text too" "$(echo 'a cat' | "$fovea" embed "$model" --prompt-text 'find: ')" "$(echo 'find: a cat' | "$fovea" embed "$model")"
expect_equal "--dims keeps the first numbers" "$(echo 'a cat sat.' | "$fovea" embed "$model" --dims 3 --unit no)" "$(echo 'a cat sat.' | "$fovea" embed "$model" --unit no | cut -d ' ' -f 1-3)"
expect_equal "and gives them length 1" "$(echo 'a cat sat.' | "$fovea" embed "$model" --dims 3 | awk '{ d = $1 * $1 + $2 * $2 + $3 * $3 - 1; print (d < 1e-5 && d > -1e-5) ? "one" : d }')" one
embed --prompt question < texts
expect_status "an unknown prompt is wrong usage" 2
expect_match "and those there are, are named" "$messages" 'no prompt is called "question"; it has: .*query'
embed --dims 11 < texts
expect_match "too many dims" "$messages" 'vectors of 11 numbers asked; .*sentence gives 10'

# ---- NumPy ----

embed texts --npy v.npy
expect_status "--npy" 0
expect_equal "leaves stdout alone" "$out" ""
expect_equal "the header says what follows" "$(head -c 128 v.npy | tail -c 118 | tr -s ' ')" "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 10), } "
expect_equal "and begins as NumPy's do" "$(head -c 10 v.npy | od -An -tx1 | tr -d " ")" 934e554d505901007600
expect_equal "the numbers are those of the lines" "$(near "$(tail -c +129 v.npy | od -An -v -tf4 | tr -s ' \n' ' ')" "$(echo "$lines" | tr '\n' ' ')")" near
embed texts --npy v.npy --json
expect_status "two forms are wrong usage" 2
printf 'a\n\377\nb\n' > odd
cp v.npy old.npy
embed odd --npy v.npy
expect_status "a line that is no text is bad input" 3
expect_equal "and the file stays as it was" "$(cmp v.npy old.npy 2>&1)" ""
expect_equal "nothing else is left" "$(ls)" "$(printf 'messages\nodd\nold.npy\ntable.tsv\ntexts\nv.npy')"
embed odd --npy v.npy --skip-bad
expect_status "--skip-bad" 0
expect_match "NaNs keep its place" "$(tail -c +129 v.npy | od -An -v -tf4 -w40 | sed -n 2p)" '^( *-?nan){10}$'
expect_match "the row is counted" "$messages" '1 bad rows were left out, the first: .*odd:2'
embed odd --skip-bad
expect_equal "an empty line among lines" "$(echo "$out" | awk '{ printf "%d ", NF }')" "10 0 10 "

# ---- Other models, other texts ----

split "$fovea" embed "$translator" < texts
expect_match "a translator makes none" "$messages" 'marian-tiny makes no vectors of texts: it is a translator; use `fovea translate`'

awk 'BEGIN { for (i = 0; i < 60; i++) printf "word "; print "" }' > long
embed long --quiet
expect_equal "--quiet is quiet" "$messages" ""
embed long
expect_match "cut texts are counted" "$messages" '1 of the texts were longer than the model takes, and were cut'
expect_equal "threads change nothing" "$("$fovea" embed "$model" texts --threads 1)" "$("$fovea" embed "$model" texts --threads 4)"
