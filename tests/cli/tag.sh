# A tagging model's life: train, eval, tag; read from files of every kind; refused where it has no answer.
# shellcheck shell=sh disable=SC2154 # names come from the file that is read
. tests/cli/lib/program.sh
cd "$scratch" || exit 1
unset TERM

# sentences FIRST LAST: a person and a place in each, one of which has two words.
sentences() {
    awk -v first="$1" -v last="$2" 'BEGIN {
        split("Ada Grace Alan Edsger Barbara", people, " ")
        split("Oslo Bergen Homburg Delft Kiel", places, " ")
        split("flew went drove walked", verbs, " ")
        for (i = first; i <= last; i++) {
            print people[i % 5 + 1] "\tB-person"
            print verbs[int(i / 5) % 4 + 1] "\tO"
            print "to\tO"
            if (int(i / 20) % 2) print "Bad\tB-place\n" places[i % 5 + 1] "\tI-place"
            else print places[i % 5 + 1] "\tB-place"
            print ".\tO\n"
        }
    }'
}
tiny='--layers 1 --width 32 --heads 2 --ffn 64 --max-len 32 --vocab 400 --threads 2 --batch-tokens 256 --lr 0.004'
sentences 1 200 > train.conll
sentences 201 240 > valid.conll
sentences 241 280 > test.conll

# shellcheck disable=SC2086 # words
split "$fovea" train tag --train train.conll --valid valid.conll --test test.conll --out places $tiny --steps 150
expect_status "train tag" 0
expect_match "epochs are judged by the spans" "$messages" '^epoch [0-9]+  loss [0-9.]+  f1 [0-9.]+ %  best$'
expect_match "the summary has the test figure and its interval" "$out" '^test f1  *[0-9.]+ %  [0-9.]+ to [0-9.]+ %$'
expect_match "the record says what it is" "$(cat places/config.json)" 'BertForTokenClassification'

split "$fovea" eval places test.conll --json
expect_status "eval" 0
expect_match "its figures" "$out" '"metrics":\{"accuracy":\{.*"precision":\{.*"recall":\{.*"f1":\{.*"loss":\{'
expect_match "its types" "$out" '"labels":\[\{"label":"person",.*\{"label":"place",'
f1=$(echo "$out" | grep -o '"f1":{"value":[0-9.]*' | head -n 1 | grep -o '[0-9.]*$')
expect_equal "the sample is learned" "$(echo "$f1" | awk '{ print ($1 > 0.95) ? "yes" : $1 }')" yes

split sh -c 'echo "Grace flew to  Bad Oslo ." | "$0" tag places' "$fovea"
expect_status "tag" 0
expect_equal "a word and its tag on a line" "$out" "$(printf 'Grace\tB-person\nflew\tO\nto\tO\nBad\tB-place\nOslo\tI-place\n.\tO\n')"
expect_match "--json" "$(echo 'Grace flew to  Bad Oslo .' | "$fovea" tag places --json)" \
    '^\{"words":\["Grace","flew",.*\],"tags":\["B-person","O",.*\],"scores":\[[01]\.[0-9]+,.*\],"spans":\[\{"type":"person","begin":0,"end":5,"text":"Grace","score":[01]\.[0-9]+\},\{"type":"place","begin":15,"end":23,"text":"Bad Oslo",'
"$fovea" tag places test.conll > told.conll
expect_equal "what tag writes, eval reads" "$("$fovea" eval places told.conll --json | grep -o '"f1":{"value":[0-9.]*' | head -n 1)" '"f1":{"value":1.0'
expect_equal "an empty line is a text without words" "$(printf '\nto\n' | "$fovea" tag places | cut -f 1 | tr '\n' '|')" '|to||'

printf 'to\n\377\nOslo\n' > odd
split "$fovea" tag places odd
expect_status "a line that is no text is bad input" 3
expect_equal "those before it are answered" "$out" "$(echo to | "$fovea" tag places)"
split "$fovea" tag places odd --skip-bad
expect_equal "left out, it is answered as a text without words" "$(printf '%s\n' "$out" | cut -f 1 | tr '\n' '|')" 'to|||Oslo|'

printf 'text\tlabel\nGrace flew\tB-person\n' > short.tsv
split "$fovea" eval places short.tsv
expect_status "too few tags are bad input" 3
expect_match "and named" "$messages" 'short\.tsv:2: 2 words and 1 tag; expected as many'
for command in classify 'explain --input Grace'; do
    # shellcheck disable=SC2086 # words
    split "$fovea" $command places < /dev/null
    expect_match "${command%% *} is told that it is none" "$messages" 'places gives texts no labels: it tags words; use `fovea tag`'
done
sample_table 1 10 > train.tsv
# shellcheck disable=SC2086
split "$fovea" train classify --train train.tsv --out shop $tiny --steps 5 --quiet
split "$fovea" tag shop < /dev/null
expect_match "a classifier tags nothing" "$messages" 'shop tags no words: it labels texts; use `fovea classify`'
