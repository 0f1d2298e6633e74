# Texts found by meaning, by words and by both; ranked again; tables and lines; odd input; what a terminal shows.
# shellcheck shell=sh disable=SC2154 # names come from the file that is read
. tests/cli/lib/program.sh
model=$PWD/tests/golden/encoders/sentence
cross=$PWD/tests/golden/encoders/cross
translator=$PWD/tests/golden/marian-tiny
cd "$scratch" || exit 1
unset TERM

search() { split "$fovea" search "$@"; }
ids() { echo "$out" | cut -f 1,2 | tr '\t\n' ': '; }

cat > docs.tsv << 'END'
name	body	text
p	Where is my parcel?	a cat sat.
r	I want to return the jacket	the dog, and cafe
d	The parcel arrived late and damaged	x y z
z	我的包裹在哪里？	日 q?
t	我想退货	z z z
END
printf 'parcel\n包裹\nnobody knows this\n' > asked

# ---- By words ----

search - docs.tsv asked --words --doc-text body
expect_status "--words needs no model" 0
expect_equal "finds whole words, in both languages" "$(ids)" "1:1 1:3 2:4 "
expect_match "a line has query, id, score and text" "$out" "$(printf '^1\t1\t0?\\.?[0-9.]+\tWhere is my parcel\\?$')"
search - docs.tsv asked --words --doc-text body --doc-id name --top 1 --json
expect_match "--json" "$(echo "$out" | sed -n 1p)" '^\{"hits":\[\{"id":"p","score":[0-9.]+,"text":"Where is my parcel\?"\}\]\}$'
expect_equal "a query that nothing answers has an empty list" "$(echo "$out" | sed -n 3p)" '{"hits":[]}'
expect_match "without names a number is a number" "$("$fovea" search - docs.tsv asked --words --doc-text body --json | sed -n 2p)" '\{"id":4,"score"'
expect_equal "queries come from stdin" "$(echo parcel | "$fovea" search - docs.tsv --words --doc-text body | cut -f 2 | tr '\n' ' ')" "1 3 "
cut -f 2 docs.tsv | sed 1d > lines
expect_equal "documents may be lines" "$("$fovea" search - lines asked --words)" "$("$fovea" search - docs.tsv asked --words --doc-text body)"
expect_equal "and come from stdin" "$("$fovea" search - - asked --words < lines)" "$("$fovea" search - lines asked --words)"
gzip -c docs.tsv > docs.tsv.gz
expect_equal "or be compressed" "$("$fovea" search - docs.tsv.gz asked --words --doc-text body)" "$("$fovea" search - docs.tsv asked --words --doc-text body)"
printf '{"id":"a","text":"late PARCEL"}\n{"id":"b","text":"tea"}\n' > docs.jsonl
expect_equal "JSON lines" "$("$fovea" search - docs.jsonl asked --words --doc-id id | cut -f 2)" a

# ---- By meaning ----

# cosine TEXT QUERY: of the vectors that embed makes, with the prompts that search uses.
cosine() {
    { printf '%s\n' "$1" | "$fovea" embed "$model" --prompt document --unit yes; printf '%s\n' "$2" | "$fovea" embed "$model" --prompt query --unit yes; } |
        awk 'NR == 1 { split($0, a, " ") } NR == 2 { for (i = 1; i <= NF; i++) s += a[i] * $i; printf "%.4f\n", s }'
}
echo 'the cat' > cat
search "$model" docs.tsv cat --top 5
expect_status "by meaning" 0
expect_equal "every document has a place" "$(echo "$out" | cut -f 2 | sort | tr '\n' ' ')" "1 2 3 4 5 "
expect_equal "the best first" "$(echo "$out" | cut -f 3 | sort -rn)" "$(echo "$out" | cut -f 3)"
for i in 1 4; do
    text=$(sed -n "$((i + 1))p" docs.tsv | cut -f 3)
    expect_equal "document $i has the cosine of its vector" "$(echo "$out" | awk -F '\t' -v id="$i" '$2 == id { printf "%.4f", $3 }')" "$(cosine "$text" 'the cat')"
done
by_meaning=$out
expect_equal "threads change nothing" "$("$fovea" search "$model" docs.tsv cat --top 5 --threads 1)" "$("$fovea" search "$model" docs.tsv cat --top 5 --threads 4)"
search "$model" docs.tsv cat --top 2
expect_equal "--top" "$out" "$(echo "$by_meaning" | head -n 2)"

# ---- Both ----

search "$model" docs.tsv cat --top 5 --hybrid --json
expect_match "--hybrid says both" "$out" '"meaning":-?[0-9.]+,"words":[0-9.]+\}'
expect_match "and the one with the word is first" "$out" '^\{"hits":\[\{"id":1,'
echo 'unheard' > unheard
expect_equal "without a known word meaning decides" "$("$fovea" search "$model" docs.tsv unheard --hybrid | cut -f 2)" "$("$fovea" search "$model" docs.tsv unheard | cut -f 2)"

# ---- Chance: this model's weights are random, so its meaning is too; words are not ----

printf 'x y z\nnobody\n' > chance
search "$model" docs.tsv chance --top 1 --json
expect_equal "--json says what is no better than chance" "$(echo "$out" | grep -c '"better_than_chance":false}$')" 2
search "$model" docs.tsv chance --top 1 --json --hybrid
expect_equal "and what is" "$(echo "$out" | sed 's/.*"better/better/' | tr '\n' ' ')" 'better_than_chance":true} better_than_chance":false} '
search "$model" docs.tsv chance --top 1
expect_equal "lines are as they were" "$(echo "$out" | awk -F '\t' '{ print NF }' | tr '\n' ' ')" "4 4 "
expect_equal "it is counted, and nothing else is" "$messages" "fovea: the best hit is no better than chance for 2 of 2 queries; --json says for which"
search "$model" docs.tsv chance --top 1 --quiet
expect_equal "--quiet" "$messages" ""
search "$model" docs.tsv chance --top 2 --rerank "$cross" --json --hybrid
expect_equal "another's scores do not change it" "$(echo "$out" | sed 's/.*"better/better/' | tr '\n' ' ')" 'better_than_chance":true} better_than_chance":false} '

# ---- Ranked again ----

search "$model" docs.tsv cat --top 5 --rerank "$cross"
expect_status "--rerank" 0
expect_equal "all are there" "$(echo "$out" | cut -f 2 | sort | tr '\n' ' ')" "1 2 3 4 5 "
expect_equal "the best first" "$(echo "$out" | cut -f 3 | sort -rn)" "$(echo "$out" | cut -f 3)"
{ printf 'query\tpassage\n'; cut -f 3 docs.tsv | sed 1d | sed 's/^/the cat\t/'; } > pairs.tsv
expect_equal "by the scores of classify" "$(echo "$out" | sort -k 2 | cut -f 3 | awk '{ printf "%.5f ", $1 }')" "$("$fovea" classify "$cross" pairs.tsv --text query --text2 passage | awk '{ printf "%.5f ", $1 }')"
search "$model" docs.tsv cat --rerank "$cross" --candidates 2 --top 1
expect_match "only candidates are" "$(echo "$by_meaning" | head -n 2 | cut -f 2 | tr '\n' ' ')" "$(echo "$out" | cut -f 2) "
search "$model" docs.tsv cat --rerank "$model"
expect_status "what scores no pairs is refused" 2

# ---- Odd input ----

printf 'good parcel\nbad \377 parcel\nlast parcel\n' > odd
search - odd asked --words
expect_status "a document that is no text is bad input" 3
expect_match "and named" "$messages" 'odd:2: byte 5'
search - odd asked --words --skip-bad
expect_status "--skip-bad" 0
expect_equal "numbers hold" "$(ids)" "1:1 1:3 "
expect_match "it is counted" "$messages" '1 bad rows were left out, the first: .*odd:2'
search - docs.tsv odd --words --doc-text body --skip-bad --json
expect_equal "a bad query has its line" "$(echo "$out" | cut -c 1-9 | tr '\n' ' ')" '{"hits":[ {"error": {"hits":[ '
expect_equal "the column text is the usual one" "$("$fovea" search - docs.tsv cat --words | cut -f 2 | tr "\n" " ")" "1 2 "
search - docs.tsv asked --words --doc-text nothing
expect_match "a missing column" "$messages" 'no column "nothing"; .*name one with --doc-text$'
search - docs.tsv asked --words --doc-text body --doc-id nothing
expect_match "a missing name" "$messages" 'no column "nothing"; .*name one with --doc-id$'
: > empty
search - empty asked --words
expect_status "no documents" 3
expect_match "is said" "$messages" 'empty has no texts to be found'
search - - --words < lines
expect_status "two from stdin are wrong usage" 2
search - lines asked --words --hybrid
expect_status "two ways too" 2
search "$translator" lines asked
expect_match "a translator makes no vectors" "$messages" 'makes no vectors of texts'
search nowhere lines asked
expect_match "a model is needed otherwise" "$messages" 'nowhere'
awk 'BEGIN { for (i = 0; i < 60; i++) printf "word "; print "parcel" }' > long
search "$model" long cat
expect_match "what is cut is counted" "$messages" '1 of the texts were longer than the model takes, and only their beginnings'
expect_equal "words are looked for in all of it" "$("$fovea" search - long asked --words | wc -l | tr -d ' ')" 1

# ---- A terminal ----

if script -qec true /dev/null > /dev/null 2>&1; then
    terminal() { SHELL=/bin/sh TERM=xterm script -qec "stty cols 60 rows 24; $1" /dev/null < /dev/null | tr -d '\000\r'; }
    bold=$(printf '\033\\[1m') plain=$(printf '\033\\[0m')
    expect_match "words are bold" "$(terminal "'$fovea' search - docs.tsv asked --words --doc-text body")" "^  1 .*Where is my ${bold}parcel${plain}\?$"
    expect_match "Chinese too" "$(terminal "'$fovea' search - docs.tsv asked --words --doc-text body")" "我的${bold}包裹${plain}在哪里"
    expect_match "chance is said" "$(terminal "'$fovea' search '$model' docs.tsv chance")" '^    The best of these is no better than chance\.$'
    expect_match "nothing found is said" "$(terminal "'$fovea' search - docs.tsv asked --words --doc-text body")" '^nothing found$'
    expect_match "a long text shows where the word stands" "$(terminal "'$fovea' search - long asked --words")" "….*${bold}parcel${plain}"
    expect_equal "within the width" "$(terminal "NO_COLOR=1 '$fovea' search - long asked --words" | awk '{ gsub(/…/, "."); if (length > 59) print }')" ""
else
    skip "terminal" "no script(1) that runs a command"
fi
