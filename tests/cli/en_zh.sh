# shellcheck shell=sh disable=SC2154 # names come from the file that is read
# models/en-zh, the translator that lies in the repository: small, whole, and it says what was recorded. tests/golden/en-zh.tsv has
# the program's own words, made by
#
#     cut -f 1 tests/golden/en-zh.tsv | fovea translate models/en-zh --threads 1
#
# where processors of different kinds agreed (FOVEA_ISA=plain, avx2, avx512).
. tests/cli/lib/program.sh
model=models/en-zh

# ---- The folder ----

bytes=$(cat "$model"/* | wc -c)
if [ "$bytes" -le 3000000 ]; then ok "at most 3 MB"; else not_ok "at most 3 MB" "$bytes bytes"; fi
expect_equal "nothing of its training is left" "$(find "$model" -mindepth 1 -name '.*' -o -name '*log*' -o -name '*checkpoint*' -o -name '*events*')" ''
expect_equal "its record names files and no places" "$(sed -n 's/.*"path": "\([^"]*\)".*/\1/p' "$model/fovea.json" | tr '\n' ' ')" 'train.tsv valid.tsv '

# named_hashes: the files that the record lists, and their hashes; found_hashes: the same of the files that are there.
named_hashes() { sed -n '/"files": {/,/}/s/^ *"\([^"]*\)": "\([0-9a-f]*\)".*/\1 \2/p' "$model/fovea.json" | sort; }
found_hashes() { "$fovea" inspect "$model" --json | grep -o '"[^"]*":{"bytes":[0-9]*,"sha256":"[0-9a-f]*"' | sed 's/"\([^"]*\)".*"sha256":"\([0-9a-f]*\)"/\1 \2/' | grep -v '^fovea\.json ' | sort; }
expect_equal "its files are those of the record" "$(found_hashes)" "$(named_hashes)"
expect_match "whose sentences it learnt from is kept" "$(gzip -dc "$model/ATTRIBUTION.tsv.gz" | sed -n 2p)" '^[0-9]+	[^	]+	[0-9]+	[^	]+$'
expect_equal "for every pair" "$(gzip -dc "$model/ATTRIBUTION.tsv.gz" | awk -F '\t' 'NF == 4 && $2 != "" && $4 != ""' | wc -l | tr -d ' ')" 27724

# ---- What it says ----

cut -f 1 tests/golden/en-zh.tsv > "$scratch/en"
cut -f 2 tests/golden/en-zh.tsv > "$scratch/zh"
split "$fovea" translate "$model" "$scratch/en"
expect_status "it translates" 0
expect_equal "into the recorded words" "$out" "$(cat "$scratch/zh")"
expect_equal "on plain C, too" "$(FOVEA_ISA=plain "$fovea" translate "$model" "$scratch/en")" "$(cat "$scratch/zh")"

# By hand: nine is where 九 came from (word 4 of the text, character 3), opens is where 开门 did, shop 店, tomorrow 明天. The order differs,
# so that a translator that looks straight ahead would not pass.
echo 'The shop opens at nine tomorrow.' > "$scratch/sentence"
aligned() { "$fovea" translate "$model" "$scratch/sentence" --align --json | grep -o '"align":.*\]\]' | grep -o '\[[0-9]*,[0-9]*,' | tr -d '\n'; }
expect_match "each word came from its own" "$(aligned)" '\[5,0,\[5,1,\[1,2,\[4,3,.*\[2,5,\[2,6,'

# What the demo shows: a picture as wide as the text where there is room, links where there is none; no escape codes in either.
sentence=$(sed -n 1p demo/sentences.txt)
split "$fovea" translate "$model" --align < demo/sentences.txt
expect_status "the demo's sentences are aligned" 0
expect_match "with the text across" "$out" "^ +$(printf '%s' "$sentence" | sed 's/[][\.*^$?]/\\&/g')\$"
expect_match "every sentence of the demo ends as one" "$(printf '%s\n' "$out" | grep -c '^[^ ].*[。?！]$')" "^$(wc -l < demo/sentences.txt | tr -d ' ')\$"
if printf '%s' "$out" | grep -q "$(printf '\033')"; then not_ok "no colour in a pipe" "escape codes"; else ok "no colour in a pipe"; fi
