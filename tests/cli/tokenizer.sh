# fovea tokenizer: train, encode and decode, from files, tables and pipes.
# shellcheck shell=sh disable=SC2016 # what is in single quotes is for an inner shell
. tests/cli/lib/program.sh
cd "$scratch" || exit 1

sample_table 1 12 > train.tsv
split "$fovea" tokenizer train train.tsv --out t.json --vocab 400
expect_status "train from a table" 0
expect_equal "stdout stays empty" "$out" ""
expect_match "what was made is said" "$messages" '^t\.json: [0-9]+ entries'
expect_equal "fewer entries than asked for never go unsaid" \
    "$(echo "$messages" | grep -c '400 entries\|fewer than --vocab 400')" 1

sample_rows 1 12 | cut -f 1 > lines.txt
split "$fovea" tokenizer train lines.txt --out lines.json --vocab 400 --quiet
expect_equal "plain lines give the same as the table's column" "$(cmp t.json lines.json 2>&1)" ""
split "$fovea" tokenizer train - --out folder/in/folder --vocab 400 --json < lines.txt
expect_match "--json says where it is" "$out" '^\{"path":"folder/in/folder/tokenizer.json","size":[0-9]+\}$'
expect_equal "stdin gives the same, into a folder" "$(cmp t.json folder/in/folder/tokenizer.json 2>&1)" ""

cp t.json before.json
split "$fovea" tokenizer train no-such-file --out t.json
expect_equal "a missing file fails" "$((status != 0))" 1
expect_equal "and leaves the old tokenizer" "$(cmp t.json before.json 2>&1)" ""

# Encoding: a line a text, the empty one too.
printf 'where is my parcel\n\n退货 and box\r\n' > texts
split "$fovea" tokenizer encode t.json texts
expect_status "encode" 0
expect_equal "one object a line" "$(echo "$out" | grep -c '^{"ids":\[.*\],"tokens":\[.*\],"offsets":\[.*\]}$')" 3
expect_equal "an empty line has an empty answer" "$(echo "$out" | sed -n 2p)" '{"ids":[],"tokens":[],"offsets":[]}'
expect_match "offsets count bytes" "$(echo "$out" | sed -n 3p)" ',14\]\]\}$'
expect_equal "stdin is read alike" "$("$fovea" tokenizer encode folder/in/folder < texts)" "$out"
expect_equal "and named -" "$("$fovea" tokenizer encode t.json - < texts)" "$out"
expect_match "--special frames a text" "$(echo hi | "$fovea" tokenizer encode t.json --special)" '"tokens":\["\[CLS\]",.*,"\[SEP\]"\]'
expect_equal "a table's column is encoded" "$("$fovea" tokenizer encode t.json train.tsv | wc -l | tr -d ' ')" 36
expect_equal "a table on stdin needs --text" "$("$fovea" tokenizer encode t.json --text text < train.tsv | wc -l | tr -d ' ')" 36
expect_equal "--lines reads a table as lines" "$("$fovea" tokenizer encode t.json train.tsv --lines | wc -l | tr -d ' ')" 37
expect_equal "a last line without a line break counts" "$(printf 'a\nb' | "$fovea" tokenizer encode t.json | wc -l | tr -d ' ')" 2
expect_equal "no input, no output" "$("$fovea" tokenizer encode t.json < /dev/null)" ""
expect_equal "a byte-order mark is no text" "$(printf '\357\273\277hi\n' | "$fovea" tokenizer encode t.json)" "$(echo hi | "$fovea" tokenizer encode t.json)"

# Decoding gives texts back, from objects and from bare ids.
printf 'where is my parcel\n\n退货 and box 😀 \377é\n' | tr -d '\377' > texts
expect_equal "decode undoes encode" "$("$fovea" tokenizer encode t.json texts | "$fovea" tokenizer decode t.json)" "$(cat texts)"
ids=$(echo 'box, 退货' | "$fovea" tokenizer encode t.json | sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/' | tr , ' ')
expect_equal "ids separated by spaces" "$(echo "$ids" | "$fovea" tokenizer decode t.json)" "box, 退货"
expect_equal "decode --json" "$(echo "$ids" | "$fovea" tokenizer decode t.json --json)" '{"text":"box, 退货"}'

# bad NAME PATTERN LINE: decode refuses it and says where.
bad() {
    printf '1\n%s\n' "$3" > ids
    split "$fovea" tokenizer decode t.json ids
    expect_status "decode $1: exit status" 3
    expect_match "decode $1: message" "$messages" "$2"
}
bad "a word" '^fovea: ids:2: "x" is no token id' '3 x'
bad "an id too large" '^fovea: ids:2: id 999999; expected 0 to [0-9]+$' 999999
bad "a negative id" '^fovea: ids:2: id -4' -4
bad "a huge number" 'ids:2: .* is no token id' 99999999999999999999999999
bad "a broken object" 'ids:2' '{"ids":[1'
bad "an object without ids" 'ids:2: no array "ids"' '{"id":[1]}'
bad "ids that are no numbers" 'ids:2: ids\[1\] is no whole number' '{"ids":[1,"a"]}'

# Bad lines are errors, or left out and counted.
printf 'where is\nbad \377\nmy box\n' > odd
split "$fovea" tokenizer encode t.json odd
expect_status "encode: a line that is no UTF-8" 3
expect_match "encode: is named" "$messages" 'odd:2: byte 5 '
expect_equal "encode: what stood before it is answered" "$out" "$(echo 'where is' | "$fovea" tokenizer encode t.json)"
split "$fovea" tokenizer encode t.json odd --skip-bad
expect_match "encode --skip-bad: the others, each on its line" "$(echo "$out" | tr '\n' '|')" '^\{"ids".*\}\|\{"error":"odd:2: byte 5 .*"\}\|\{"ids".*\}\|$'
expect_match "encode --skip-bad: counts" "$messages" '1 bad rows were left out, the first: odd:2'
split "$fovea" tokenizer train odd --out odd.json
expect_status "train: a line that is no UTF-8" 3
expect_equal "train: and nothing is written" "$(ls odd.json 2> /dev/null)" ""
split "$fovea" tokenizer train odd odd --skip-bad --out odd.json
expect_equal "train --skip-bad: counts, for each file" "$(printf '%s\n' "$messages" | grep -c '1 bad rows were left out, the first: odd:2')" 2

# Each kind learns, encodes and gives texts back; what is too little to learn from is said.
for kind in bpe wordpiece unigram; do
    split "$fovea" tokenizer train train.tsv --kind $kind --vocab 400 --out $kind.json
    expect_status "$kind: train" 0
    expect_equal "$kind: decode undoes encode" "$(echo 'where is my box' | "$fovea" tokenizer encode $kind.json | "$fovea" tokenizer decode $kind.json)" "where is my box"
    split "$fovea" tokenizer train /dev/null --kind $kind --vocab 400 --out $kind.json
    expect_match "$kind: nothing to learn from" "$messages" 'fewer than --vocab 400'
done
split "$fovea" tokenizer train train.tsv --kind unigram --vocab 100000 --out unigram.json
expect_match "unigram: fewer than asked for" "$messages" 'fewer than --vocab 100000: the texts have no more pieces that occur 2 times'

# A unigram tokenizer is also a SentencePiece model, by its name.
split "$fovea" tokenizer train train.tsv --kind unigram --vocab 300 --normalize none --out pieces.spm
expect_status "train into a SentencePiece model" 0
"$fovea" tokenizer train train.tsv --kind unigram --vocab 300 --normalize none --out pieces.json --quiet
echo 'where is my parcel' > text
expect_equal "which encodes as the other file does" "$("$fovea" tokenizer encode pieces.spm text)" "$("$fovea" tokenizer encode pieces.json text)"
expect_equal "and decodes" "$("$fovea" tokenizer encode pieces.spm text | "$fovea" tokenizer decode pieces.spm)" "where is my parcel"
split "$fovea" tokenizer train train.tsv --kind unigram --vocab 300 --normalize nfkc --out nfkc.spm
expect_equal "what the file cannot say is refused" "$((status != 0))" 1
expect_match "with what to do" "$messages" 'nfkc\.spm: .*--normalize none'
expect_equal "and leaves no file" "$(ls nfkc.spm 2>/dev/null)" ""

# A damaged tokenizer is refused.
head -c 200 t.json > cut.json
split "$fovea" tokenizer encode cut.json texts
expect_status "a damaged tokenizer" 3
expect_match "is named" "$messages" 'cut.json'

# A line is answered while the pipe stays open.
mkfifo in
"$fovea" tokenizer encode t.json < in > answers &
exec 3> in
echo 'first' >&3
waited=0
while [ ! -s answers ] && [ $waited -lt 100 ]; do
    sleep 0.1
    waited=$((waited + 1))
done
expect_equal "a line is answered at once" "$(wc -l < answers | tr -d ' ')" 1
exec 3>&-
wait
