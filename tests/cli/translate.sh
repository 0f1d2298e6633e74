# A translator's life: train, inspect, eval, translate; texts from files and pipes of every kind; refused where it has no answer.
# shellcheck shell=sh disable=SC2154 # names come from the file that is read
. tests/cli/lib/program.sh
cd "$scratch" || exit 1
unset TERM

# pairs N: number words, English to Chinese; a language that a small model learns in seconds.
pairs() {
    awk -v n="$1" 'BEGIN {
        split("one two three four five six", en, " ")
        split("一 二 三 四 五 六", zh, " ")
        print "src\ttgt"
        x = 12345
        for (i = 0; i < n; i++) {
            a = b = ""
            x = x * 16807 % 2147483647
            for (k = 1 + int(x / 64) % 4; k > 0; k--) {
                x = x * 16807 % 2147483647
                j = int(x / 64) % 6 + 1
                a = a (a == "" ? "" : " ") en[j]
                b = b zh[j]
            }
            print a "\t" b
        }
    }'
}

pairs 1500 > pairs.tsv
split "$fovea" train translate --train pairs.tsv --out numbers --layers 1 --width 64 --heads 2 --ffn 128 --vocab 300 --max-len 32 \
    --epochs 25 --lr 0.003 --batch-tokens 512 --seed 1 --quiet
expect_status "a translator is trained" 0

# ---- Lines ----

printf 'one two\n\nthree\n' > lines
split "$fovea" translate numbers lines
expect_status "a file is translated" 0
expect_equal "an empty line gives an empty line" "$(printf '%s\n' "$out" | sed -n 2p)" ''
expect_equal "a line for each" "$("$fovea" translate numbers lines | wc -l | tr -d ' ')" 3
from_file=$out
expect_equal "a pipe gives what a file gives" "$("$fovea" translate numbers < lines)" "$from_file"
expect_equal "one thread gives the same" "$("$fovea" translate numbers lines --threads 1 --json)" "$("$fovea" translate numbers lines --threads 2 --json)"
expect_equal "neighbours change nothing" "$(echo three | "$fovea" translate numbers)" "$(printf '%s\n' "$from_file" | sed -n 3p)"

# More lines than a chunk has stay in order.
awk 'BEGIN { for (i = 0; i < 600; i++) print i % 3 ? (i % 3 == 1 ? "" : "three") : "one two" }' > many
expect_equal "long input stays in order" "$("$fovea" translate numbers many | cksum)" \
    "$(awk -v a="$(echo 'one two' | "$fovea" translate numbers)" -v c="$(echo three | "$fovea" translate numbers)" 'BEGIN { for (i = 0; i < 600; i++) print i % 3 ? (i % 3 == 1 ? "" : c) : a }' | cksum)"

expect_equal "a shortlist has the words that are needed" "$("$fovea" translate numbers lines --shortlist)" "$from_file"

# ---- In half the bytes ----

split "$fovea" convert numbers small --bf16
expect_status "a model is stored in two bytes a weight" 0
expect_match "and the program says so" "$messages" '^small: done; its weights take two bytes each$'
expect_equal "it translates as before" "$("$fovea" translate small lines)" "$from_file"
size() { wc -c < "$1/model.safetensors" | tr -d ' '; }
header=20000 # at most; it lists the same tensors in both
if [ $(($(size small) * 2)) -lt $(($(size numbers) + header)) ]; then ok "and is half as large"; else not_ok "and is half as large" "$(size numbers), then $(size small)"; fi
split "$fovea" convert small again --bf16
expect_status "once is enough" 2
split "$fovea" convert numbers again
expect_match "without --bf16 there is nothing to do" "$messages" 'numbers: no model\.bin; .* needs no conversion; --bf16'

# ---- Tables, n-best, prefixes ----

printf 'id\tsrc\tstart\n7\tone two\t六\n' > table.tsv
expect_equal "a table's src column" "$("$fovea" translate numbers table.tsv)" "$(echo 'one two' | "$fovea" translate numbers)"
expect_match "a prefix from a column" "$("$fovea" translate numbers table.tsv --prefix start)" '^六'
expect_match "a prefix for all" "$(echo one | "$fovea" translate numbers --prefix-text 五)" '^五'
expect_match "n-best lines have number and score" "$(echo one | "$fovea" translate numbers --nbest 2 | tail -n 1)" '^1	-[0-9]+\.[0-9]{4}	'
split "$fovea" translate numbers lines --nbest 5
expect_status "more than are searched for" 2

# ---- Alignment ----

split "$fovea" translate numbers lines --align
expect_match "a picture has the source across" "$out" '^ +one two$'
expect_match "and shades" "$out" '[░▒▓█]'
expect_match "json has links" "$(echo one | "$fovea" translate numbers --align --json)" '"align":\[\[0,0,1\.0\]'
expect_match "json without" "$(echo one | "$fovea" translate numbers --json)" '^\{"text":"[^"]+","score":-[0-9.]+\}$'

# ---- Bad input ----

printf 'one\n\377\nthree\n' > bad
split "$fovea" translate numbers bad
expect_status "bytes that are no text" 3
expect_match "are named by line" "$messages" 'bad:2: byte 1 \(0xff\) is not UTF-8'
expect_equal "after the answers to what stood before them" "$out" "$(echo one | "$fovea" translate numbers)"
{ echo one; awk 'BEGIN { for (i = 0; i < 60; i++) printf "two " }'; echo; echo three; } > long
split "$fovea" translate numbers long
expect_status "a text longer than the model" 3
expect_match "is named by line" "$messages" 'long:2: [0-9]+ tokens.*--long split'
expect_equal "what stood before it was answered" "$out" "$(echo one | "$fovea" translate numbers)"
split "$fovea" translate numbers long --long split
expect_status "and is split if wished" 0

# Left out, a text keeps its line, so that texts and translations stay side by side.
one=$(echo one | "$fovea" translate numbers) three=$(echo three | "$fovea" translate numbers)
for file in bad long; do
    split "$fovea" translate numbers $file --skip-bad
    expect_status "$file --skip-bad" 0
    expect_equal "$file --skip-bad: an empty line" "$out" "$(printf '%s\n\n%s\n' "$one" "$three")"
    expect_match "$file --skip-bad: counted" "$messages" "^fovea: 1 bad rows were left out, the first: $file:2: "
    expect_match "$file --skip-bad --json: why" "$("$fovea" translate numbers $file --skip-bad --json 2> /dev/null | sed -n 2p)" "^\{\"error\":\"$file:2: "
done
cat many long many > buried
split "$fovea" translate numbers buried
expect_status "a long text among hundreds" 3
expect_equal "all before it are answered" "$(printf '%s\n' "$out" | cksum)" "$(sed -n 1,601p buried | "$fovea" translate numbers | cksum)"
expect_match "and it is named" "$messages" '^fovea: buried:602: [0-9]+ tokens'
expect_equal "with --skip-bad all others are" "$("$fovea" translate numbers buried --skip-bad 2> /dev/null | cksum)" "$(sed '602s/.*//' buried | "$fovea" translate numbers | cksum)"
split "$fovea" translate numbers lines --max-len 2 --prefix-text abcdefgh
expect_equal "a prefix that leaves no room is told of once, by line" "$(printf '%s\n' "$messages" | grep -c '^fovea: lines:1: ')" 1
split "$fovea" translate numbers lines --max-len 2 --prefix-text abcdefgh --skip-bad
expect_equal "or of every text" "$out" ''

# ---- What else is told of it ----

split "$fovea" eval numbers pairs.tsv
expect_match "eval gives BLEU" "$out" 'bleu +[0-9.]+ '
expect_match "and its signature" "$out" 'nrefs:1\|case:mixed\|eff:no\|tok:zh\|smooth:exp'
expect_match "inspect knows both sides" "$("$fovea" inspect numbers)" 'target vocab +[0-9]+'

# ---- For a model the command is another ----

for command in classify tag 'explain --input one' 'explain --input one --label x'; do
    # shellcheck disable=SC2086 # words
    split "$fovea" $command numbers < /dev/null
    expect_status "$command: a translator is wrong usage, before any text" 2
    expect_match "$command says what to do instead" "$messages" '^fovea: numbers .* no .*: it is a translator; use `fovea translate`'
done
split "$fovea" tokenizer encode numbers < lines
expect_match "tokenizer: a translator has two" "$messages" 'numbers is a translator, which has two tokenizers; name one: source.spm or target.spm'
split "$fovea" tokenizer encode numbers/source.spm lines
expect_status "tokenizer: one of them encodes" 0
sample_table 1 10 > labels.tsv
"$fovea" train classify --train labels.tsv --out shop --layers 1 --width 32 --heads 2 --ffn 64 --vocab 300 --steps 2 --quiet > /dev/null
split "$fovea" translate shop < /dev/null
expect_status "translate: a classifier is, too" 2
expect_match "translate says what to do instead" "$messages" '^fovea: shop does not translate: it labels texts; use `fovea classify`'
