# shellcheck shell=sh
# Masked pre-training: plain texts in, a folder out that eval scores and other tasks start from; compared, refused.
. tests/cli/lib/program.sh
cd "$scratch" || exit 1
unset TERM

tiny='--layers 1 --width 32 --heads 2 --ffn 64 --max-len 32 --vocab 400 --threads 2'
sample_table 1 20 > train.tsv
sample_table 21 28 > valid.tsv
cut -f 1 train.tsv | sed 1d > texts.txt

# learn ARGUMENTS…: from texts.txt
learn() {
    # shellcheck disable=SC2086 # words
    split "$fovea" train mlm --train texts.txt $tiny --quiet "$@" < /dev/null
}

learn --out models/body --steps 60 --lr 0.004
expect_status "train mlm" 0
expect_match "the summary has the perplexity" "$out" '^valid perplexity  *[0-9.]+  [0-9.]+ to [0-9.]+$'
learn --out models/begun --steps 2
expect_match "runs: the smaller perplexity comes first" "$("$fovea" runs models | sed -n 2p)" '^body  *mlm .* perplexity '

split "$fovea" eval models/body texts.txt
expect_status "eval" 0
expect_match "eval: loss" "$out" '^loss  *[0-9.]+  [0-9.]+ to [0-9.]+$'
split "$fovea" eval models/body train.tsv --json --quiet
expect_match "eval: a table's texts, as JSON" "$out" '^\{"rows":[0-9]+,.*"perplexity":\{"value":[0-9.]+,'

# shellcheck disable=SC2086 # words
split "$fovea" train classify --train train.tsv --valid valid.tsv --from models/body --out models/shop --steps 5 --quiet
expect_status "another task starts from it" 0
expect_match "its record says so" "$(cat models/shop/fovea.json)" '"from": "models/body"'

split "$fovea" classify models/body texts.txt
expect_status "no labels are had from it" 2
expect_match "and why" "$messages" 'models/body gives texts no labels: it guesses missing words; '
learn --out models/bad --text body
expect_status "a column that is not there" 3
expect_match "is named" "$messages" 'no column "body"'

# A folder of texts, files of it that are none, and a model that would lie among them.
mkdir -p letters/below
cut -f 1 train.tsv | sed '1d;a\\' > letters/below/words.md
cp train.tsv letters/rows.tsv
printf 'ELF\000\001\n' > letters/program.txt
split "$fovea" train mlm --train letters $tiny --out models/letters --steps 2 < /dev/null
expect_status "a file that is no text" 3
expect_match "is named" "$messages" 'letters/program.txt:1: byte 4 \(0x00\) is a NUL byte: .*; expected UTF-8 text'
split "$fovea" train mlm --train letters $tiny --out models/letters --steps 2 --skip-bad --mask-share 0.2 < /dev/null
expect_status "a folder, bad files left out" 0
expect_match "which is said" "$messages" 'letters: 1 bad files left out; the first: letters/program.txt:1: '
expect_match "the record counts the files" "$(cat models/letters/fovea.json)" '"files": 2'
expect_match "the recipe has the share" "$(cat models/letters/fovea.json)" '"mask_share": 0.2'
split "$fovea" eval models/letters letters --skip-bad
expect_status "eval on a folder" 0
split "$fovea" train mlm --train letters $tiny --out letters/model --steps 2 --skip-bad < /dev/null
expect_status "a model among its texts" 2
expect_match "is refused" "$messages" 'letters/model lies in letters, whose texts are learnt from; write the model to another place'
split "$fovea" train classify --train letters --out models/bad < /dev/null
expect_match "rows with labels come in files" "$messages" 'letters: is a folder; expected a file'
