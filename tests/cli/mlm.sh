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
