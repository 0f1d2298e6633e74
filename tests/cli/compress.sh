# shellcheck shell=sh disable=SC2154 # names come from the file that is read
# fovea compress: a folder becomes a smaller one, which answers nearly the same; refused in words; all or nothing.
. tests/cli/lib/program.sh
model=$PWD/tests/golden/encoders/sentence
labels=$PWD/tests/golden/bert-tiny
translator=$PWD/tests/golden/marian-tiny
cd "$scratch" || exit 1
unset TERM

# cosine FILE FILE: the least of all lines
cosine() {
    paste -d ' ' "$1" "$2" | awk '
        { n = NF / 2; ab = aa = bb = 0; for (i = 1; i <= n; i++) { ab += $i * $(i + n); aa += $i * $i; bb += $(i + n) * $(i + n) }
          c = ab / sqrt(aa * bb); if (NR == 1 || c < least) least = c }
        END { print (least > 0.99 && least < 0.9999999) ? "close" : least }'
}
printf 'a cat sat.\nThe Dog, and café\nhello, is anybody there at this hour?\n' > texts

# ---- Refused ----

split "$fovea" compress "$model" --int8
expect_status "--out is needed" 2
split "$fovea" compress "$model" --out small
expect_status "something has to be asked for" 2
expect_match "is said" "$messages" 'nothing is asked for; expected --int8'
split "$fovea" compress nowhere --out small --int8
expect_status "no such folder" 1
expect_equal "nothing is left behind" "$(ls)" "messages
texts"

# ---- Made ----

split "$fovea" compress "$model" --out small --int8
expect_status "compress" 0
expect_match "says how to go on" "$messages" '^small: done; `fovea eval` of both says what it costs$'
split "$fovea" compress "$model" --out small --int8
expect_status "it is not overwritten" 2
expect_match "and that is said" "$messages" '^fovea: small: is there already'
split "$fovea" compress small --out smaller --int8
expect_status "nor compressed again" 2
expect_match "which is said too" "$messages" 'its weights are integers already'
split "$fovea" compress "$labels" --out labels --int8 --json
expect_equal "--json" "$out" '{"model":"labels"}'
split "$fovea" inspect small
expect_match "inspect shows it" "$out" 'weights +int8'
split "$fovea" inspect labels --json
expect_match "with what it was made from" "$out" '"compressed":\{"to":"int8","from_sha256":"[0-9a-f]{64}"\}'

# ---- Used ----

"$fovea" embed "$model" texts > exact
"$fovea" embed small texts > rounded
expect_equal "vectors stay close" "$(cosine exact rounded)" close
"$fovea" embed "$model" texts --precision int8 > asked
expect_equal "as they do when asked to" "$(cosine exact asked)" close
"$fovea" embed small texts --precision int8 > named
expect_equal "int8 is what such a folder has anyway" "$(cat named)" "$(cat rounded)"
"$fovea" embed small texts --precision float32 > loose
expect_equal "--precision float32 keeps the weights alone" "$(cosine exact loose)" close
expect_equal "threads change nothing" "$("$fovea" embed small texts --threads 3)" "$(cat rounded)"
split "$fovea" embed small texts --precision int4
expect_status "there is no int4" 2
split "$fovea" classify labels texts
expect_status "a head answers" 0
split "$fovea" explain labels --input "hello there" --method gradient --orders 0
expect_status "and is explained" 0

# ---- Trained from ----

{ printf 'text\tlabel\n'; sample_rows 1 6; } > rows.tsv
split "$fovea" train classify --train rows.tsv --from small --out again --steps 2 --quiet
expect_status "training goes on from it" 0
split "$fovea" inspect again --json
expect_match "in float32" "$out" '"name":"bert.encoder.layer.0.output.dense.weight","dtype":"F32"'

# ---- A translator ----

split "$fovea" compress "$translator" --out pair --int8
expect_status "a translator is compressed" 0
split "$fovea" translate pair texts
expect_status "and translates" 0
