# shellcheck shell=sh
# Vectors of one's own: a few pairs in two languages in, a folder out that embed and eval read; a teacher; what is refused.
. tests/cli/lib/program.sh
cd "$scratch" || exit 1
unset TERM

tiny='--layers 1 --width 32 --heads 2 --ffn 64 --max-len 24 --vocab 400 --threads 2 --dropout 0'

# pairs FIRST LAST: English and Chinese, told by two words each
pairs() {
    awk -v first="$1" -v last="$2" 'BEGIN {
        split("one two three four five six", n, " "); split("一 二 三 四 五 六", m, " ")
        split("birds rivers stones houses books trees", a, " "); split("鸟 河 石 房 书 树", b, " ")
        print "en\tzh"
        for (i = first; i <= last; i++) { p = i * 17 % 36; j = p % 6 + 1; k = int(p / 6) + 1; print "I saw " n[j] " " a[k] "\t我看见" m[j] b[k] }
    }'
}
pairs 1 28 > train.tsv
pairs 29 36 > valid.tsv

# learn ARGUMENTS…
learn() {
    # shellcheck disable=SC2086 # words
    split "$fovea" train embed --train train.tsv --valid valid.tsv --text en --text2 zh $tiny --quiet "$@" < /dev/null
}

learn --out models/pairs --steps 80 --lr 0.004 --dims 16
expect_status "train embed" 0
expect_match "the summary has the ranks" "$out" '^valid mrr  *[01]\.[0-9]+  [0-9.]+ to [0-9.]+$'
expect_match "and shares in per cent" "$out" '^valid recall1  *[0-9.]+ %  [0-9.]+ to [0-9.]+ %$'
expect_equal "it is a folder of sentence-transformers" "$(find models/pairs -name '*.json' | sed 's|models/pairs/||' | LC_ALL=C sort | tr '\n' ' ')" \
    "1_Pooling/config.json 2_Normalize/config.json config.json config_sentence_transformers.json fovea.json modules.json sentence_bert_config.json tokenizer.json tokenizer_config.json "
expect_equal "embed reads it" "$("$fovea" embed models/pairs valid.tsv --text zh --quiet | awk '{ s = 0; for (i = 1; i <= NF; i++) s += $i * $i; print NF, (s > 0.9999 && s < 1.0001) }' | sort -u)" "32 1"

split "$fovea" eval models/pairs valid.tsv --text en --text2 zh --quiet
expect_status "eval" 0
expect_match "eval: the same ranks" "$out" '^mrr  *[01]\.[0-9]+  '
split "$fovea" eval models/pairs valid.tsv --text en --text2 zh --dims 16 --json --quiet
expect_match "eval: the first numbers, as JSON" "$out" '"metrics":\{"mrr":\{"value":[0-9.]+,.*"ndcg10":.*"recall1":.*"recall10":'
printf 'text\ttext2\tlabel\nI saw one birds\t我看见一鸟\t1\nI saw one birds\t我看见六书\t0\n' > labels.tsv
split "$fovea" eval models/pairs labels.tsv --quiet
expect_match "eval: labels" "$out" '^spearman .*'
expect_match "eval: of 0 and 1" "$out" '^auc .*'
printf 'text\ttext2\tgrade\nI saw one birds\t我看见一鸟\t2\nI saw one birds\t我看见六书\t0\n\t我看见三树\t\n' > grades.tsv
split "$fovea" eval models/pairs grades.tsv --own --quiet
expect_match "eval: grades" "$out" '^ndcg10 .*'

learn --out models/pupil --teacher models/pairs --steps 5
expect_status "a teacher" 0
expect_match "its cosine is what counts" "$out" '^valid cosine .*'
expect_match "runs: pupils by their cosine" "$("$fovea" runs models | grep '^pupil')" '^pupil  *embed .* cosine '
split "$fovea" train embed --train train.tsv --text en --text2 none --teacher models/pairs --out models/x --quiet < /dev/null
expect_status "a column that is asked for has to be there" 3
expect_match "and is named" "$messages" 'no column "none"; the header has "en", "zh"; name one with --text2'
split "$fovea" train embed --train train.tsv --text en --out models/x --quiet < /dev/null
expect_match "texts alone teach nothing" "$messages" 'rows of a text alone teach nothing without a teacher \(--teacher\)'
learn --out models/x --dims 16,x
expect_status "dims are numbers" 2
expect_match "and are shown" "$messages" '--dims is "16,x"; expected numbers'
learn --out models/x --dims 64
expect_match "no more than the model has" "$messages" "vectors of 64 numbers asked; the model's have 32"
split "$fovea" eval models/pairs train.tsv --text en --quiet
expect_match "eval: what is missing" "$messages" 'rows have a text alone; expected a text2'
