# tools/small-texts: the table of texts, what becomes of a line, and what is refused. No network is touched.
# shellcheck shell=sh disable=SC1091,SC2013,SC2016,SC2154 # single quotes are for awk; names come from check.sh
. tests/shell/lib/check.sh

table=models/fovea-small/sources.tsv
tab=$(printf '\t')

# wrong CONDITION: the names of the sources that an awk condition holds for.
wrong() {
    awk -F '\t' "FNR > 1 && ($1) { print \$1 }" $table | tr '\n' ' '
}

expect_equal "the columns" "$(sed -n 1p $table | tr '\t' ' ')" \
    "name origin package file sha256 inside reader licence credit en zh parallel pairs"
expect_equal "each row has all of them" "$(wrong 'NF != 13 || /\t\t|\t$/')" ""
expect_equal "a name stands once" "$(wrong 'seen[$1]++')" ""
expect_equal "a SHA-256 each" "$(wrong 'length($5) != 64 || $5 ~ /[^0-9a-f]/')" ""
expect_equal "texts, data sets or packages" "$(wrong '$2 !~ /^(data|pypi|debian)$/')" ""
expect_equal "packages have a version" "$(wrong '$2 != "data" && $3 !~ /^[^ ]+ [^ ]+$/')" ""
expect_equal "no part that is for judging" "$(wrong '$4 ~ /(^|[\/_.-])(dev|valid|test)[._\/-]/')" ""
expect_equal "no set that is for judging" \
    "$(wrong '$4 ~ /^(cranfield|wikiqa|bank_faq|sst2|fin_phrasebank|zh_hotel|thucnews|afqmc)/')" ""
expect_equal "terms that let a model be shipped" \
    "$(wrong '$8 !~ /^(public domain|CC0|CC BY [0-9]|PDDL|MIT|BSD-|Apache-2.0|WordNet|Unicode)/ || $8 ~ /GPL|SA|NC/')" ""
expect_equal "each source gives lines" "$(wrong '$10 + $11 + $12 + $13 == 0')" ""
for reader in $(awk -F '\t' 'FNR > 1 { sub(/ .*/, "", $7); print $7 }' $table | sort -u); do
    expect_equal "read_$reader is written" "$(grep -c "^read_$reader()" tools/small-texts)" 1
done

# What becomes of a line.
{
    printf 'judge\tthe quick brown fox jumps over the lazy dog\njudge\t这家酒店的房间很大也很干净\n'
    printf 'traditional\t這|們\nsource\tone\t\n'
    printf 'en\tHe said that the quick brown fox jumps over the lazy cat.\n'
    printf 'en\tWe <b>paid</b> for &quot;both&quot; of   them.\nen\twe paid for both of them\n'
    printf 'en\tfoo(bar) { return 1; }\nen\t这是中文\n'
    printf 'zh\t朋友说这家酒店的房间很大也很好\nzh\t我们明天去买苹果。\nzh\t這是誰的書\nzh\tplain English here\n'
    printf 'par\tOpen the door, please.\t请把门打开。\npar\tWait for 3 days.\t请等 5 天。\npar\tNo.\t%s\n' 这一句太长了所以不可能是它的译文
    printf 'pair\tharbour\ta place where ships may stay\n'
    printf 'prose\tOne sentence stands here. Two of them stand here. A third one follows. It ends with Mr. Smith and his dog.\n'
} > "$scratch/stream"
LC_ALL=C awk -v out="$scratch" -f tools/texts/clean.awk "$scratch/stream"
expect_equal "English" "$(sort "$scratch/en.txt")" "$(sort << 'END'
We paid for "both" of them.
Open the door, please.
Wait for 3 days.
a place where ships may stay
One sentence stands here.
Two of them stand here. A third one follows.
It ends with Mr. Smith and his dog.
END
)"
expect_equal "Chinese" "$(sort "$scratch/zh.txt")" "$(printf '%s\n' 我们明天去买苹果。 请把门打开。 '请等 5 天。' 这一句太长了所以不可能是它的译文 | sort)"
expect_equal "couples" "$(cat "$scratch/parallel.tsv")" "Open the door, please.${tab}请把门打开。"
expect_equal "pairs" "$(cat "$scratch/pairs.tsv")" "harbour${tab}a place where ships may stay"
expect_equal "counts, the last for lines shared with what judges" "$(cat "$scratch/counts.tsv")" "one${tab}7${tab}4${tab}1${tab}1${tab}2"

# Readers.
printf '{"a": {"b": "say \\"hi\\"", "c": ["\\u4e00", "x\\\\"]}, "d": "e"}' > "$scratch/a.json"
expect_equal "strings of JSON and where they stand" "$(LC_ALL=C awk -f tools/texts/json.awk "$scratch/a.json" | tr '\037\t' '/=')" \
    "$(printf 'a/b=say "hi"\na/c/=一\na/c/=x\\\nd=e')"
printf '#, fuzzy\nmsgid "No"\nmsgstr "不"\n\nmsgid ""\n"Sign "\n"in"\nmsgstr "登录"\n' > "$scratch/a.po"
expect_equal "messages of a catalogue" "$(LC_ALL=C awk -f tools/texts/po.awk "$scratch/a.po")" "par${tab}Sign in${tab}登录"

# What is refused.
run tools/small-texts
expect_match "no arguments" "$output" '^small-texts: usage: '
mkdir -p "$scratch/copy/tools" "$scratch/copy/models/fovea-small" "$scratch/data/banking77" "$scratch/data/tatoeba_en_zh" "$scratch/data/cad_imdb"
cp tools/small-texts "$scratch/copy/tools/"
cp -R tools/texts "$scratch/copy/tools/"
for set in cranfield wikiqa bank_faq sst2_sentences fin_phrasebank zh_hotel_reviews thucnews_titles afqmc; do mkdir "$scratch/data/$set"; done
printf 'label\ttext\na\tIs my card in the post?\n' > "$scratch/data/banking77/train.tsv"
printf 'label\ttext\na\tWhere is my new card now?\n' > "$scratch/data/banking77/test.tsv"
printf 'en\tzh\n' | gzip > "$scratch/data/tatoeba_en_zh/valid.tsv.gz"
printf 'id\ttext\n' | gzip > "$scratch/data/cad_imdb/dev_paired.tsv.gz"
sum=$(sha256sum "$scratch/data/banking77/train.tsv" | cut -d ' ' -f 1)
row() {
    sed -n 1p $table
    printf 'bank\tdata\tsomewhere\tbanking77/train.tsv\t%s\t-\ttsv en text\tCC BY 4.0\tsomebody\t1\t0\t0\t0\n' "$1"
}
for tool in curl unzip tar xz dpkg-deb sqlite3 awk sha256sum; do
    command -v $tool > /dev/null || { echo "skip a whole run: no $tool"; exit 0; }
done
row "$sum" > "$scratch/copy/$table"
run "$scratch/copy/tools/small-texts" "$scratch/data" "$scratch/out"
expect_match "a whole run" "$output" '^en 1, zh 0, parallel 0, pairs 0$'
expect_equal "leaves the texts and nothing else" "$(find "$scratch/out" -type f | sed 's|.*/||' | sort | tr '\n' ' ')" "counts.tsv en.txt pairs.tsv parallel.tsv zh.txt "
row "$(echo "$sum" | tr '0-9a-f' '1-9a-f0')" > "$scratch/copy/$table"
run "$scratch/copy/tools/small-texts" "$scratch/data" "$scratch/out"
expect_match "another file than the table names" "$output" 'banking77/train.tsv has another SHA-256 than sources.tsv says'
expect_equal "the texts of before stay" "$(cat "$scratch/out/en.txt")" "Is my card in the post?"
