# A model's life: train, eval, classify, explain, inspect, compare; stopped and resumed; refused.
# shellcheck shell=sh disable=SC2016 # what is in single quotes is for an inner shell
. tests/cli/lib/program.sh
encoders=$PWD/tests/golden/encoders
cd "$scratch" || exit 1
unset TERM

tiny='--layers 1 --width 32 --heads 2 --ffn 64 --max-len 32 --vocab 400 --dropout 0.1 --word-dropout 0 --threads 2'
sample_table 1 20 > train.tsv
sample_table 21 28 > valid.tsv
sample_table 29 36 > test.tsv

# learn ARGUMENTS…: a small model of the sample rows
learn() {
    # shellcheck disable=SC2086 # words
    split "$fovea" train classify --train train.tsv --valid valid.tsv $tiny "$@" < /dev/null
}

# accuracy: of the JSON on stdin, where it comes with an interval.
accuracy() {
    grep -o '"accuracy":{"value":[0-9.]*' | grep -o '[0-9.]*$'
}

# ---- train ----

learn --test test.tsv --out models/shop --steps 150 --lr 0.003
expect_status "train" 0
expect_match "each epoch leaves a line" "$messages" '^epoch [0-9]+  loss [0-9.]+  accuracy [0-9.]+ %  best$'
expect_match "the summary has the test figure and its interval" "$out" '^test accuracy  *[0-9.]+ %  [0-9.]+ to [0-9.]+ %$'
expect_match "and the validation figure" "$out" '^valid accuracy  *[0-9.]+ %'
for file in config.json model.safetensors tokenizer.json fovea.json; do
    expect_equal "the model has its $file" "$([ -s models/shop/$file ] && echo there)" there
done

learn --test test.tsv --out models/json --steps 150 --lr 0.003 --json --quiet
expect_equal "--quiet says nothing" "$messages" ""
expect_match "--json: epochs" "$(echo "$out" | head -n 1)" '^\{"event":"epoch","epoch":[0-9]+,"step":[0-9]+,"loss":[0-9.]+,.*"metric":"accuracy","value":[0-9.]+,"best":true'
expect_match "--json: the end" "$(echo "$out" | tail -n 1)" '^\{"event":"done","model":"models/json","steps":150,.*"test":\{"accuracy":\{"value":'
expect_equal "the same seed gives the same weights" "$(cmp models/shop/model.safetensors models/json/model.safetensors 2>&1)" ""
learn --out models/seven --steps 20 --seed 7
expect_status "another seed" 0

echo '{"steps": 20, "lr": 0.003, "out": "models/config", "quiet": true}' > recipe.json
learn --config recipe.json
expect_status "a recipe from a file" 0
expect_match "is followed" "$(cat models/config/fovea.json)" '^ *"steps": 20,?$'

learn --out models/shop2 --steps 3 --epochs 3
expect_status "steps and epochs exclude each other" 2

# ---- eval ----

split "$fovea" eval models/shop test.tsv
expect_status "eval" 0
expect_match "eval counts rows" "$out" '^24 rows'
expect_match "eval: headline with interval" "$out" '^accuracy  *[0-9.]+ %  [0-9.]+ to [0-9.]+ %$'
expect_match "eval: labels" "$out" '^退换  *[0-9.]+ %  *[0-9.]+ %  *[0-9.]+ %  *8  *[0-9]+$'
split "$fovea" eval models/shop test.tsv --json
json=$out
expect_match "eval --json" "$json" '^\{"rows":24,.*"metrics":\{"accuracy":\{"value":[0-9.]+,"low":[0-9.]+,"high":[0-9.]+\},.*"labels":\[\{.*"confusions":\['
expect_equal "the sample is learned" "$(echo "$json" | accuracy | awk '{ print ($1 >= 0.8) ? "yes" : $1 }')" yes
expect_equal "eval agrees with training's own test" "$("$fovea" inspect models/shop --json | grep -o '"test":{.*' | accuracy)" "$(echo "$json" | accuracy)"
expect_equal "eval reads stdin" "$("$fovea" eval models/shop - --json < test.tsv)" "$json"
printf 'text\tlabel\nhello\tnever seen\n' | "$fovea" eval models/shop - > /dev/null 2> strange || true
split "$fovea" eval models/shop test.tsv --label nothing
expect_status "a missing column is bad input" 3
expect_match "and named" "$messages" 'test\.tsv.*nothing'

# ---- classify ----

cut -f 1 test.tsv | sed 1d > lines.txt
split "$fovea" classify models/shop lines.txt
expect_status "classify lines" 0
expect_equal "a line a text" "$(echo "$out" | wc -l | tr -d ' ')" 24
expect_equal "label, tab, score" "$(echo "$out" | grep -vcE '^(delivery|money back|退换)	(0|1)\.[0-9]{4}$')" 0
lines=$out
expect_equal "stdin gives the same" "$("$fovea" classify models/shop < lines.txt)" "$lines"
expect_equal "so does the table" "$("$fovea" classify models/shop test.tsv)" "$lines"
expect_equal "and the table on stdin" "$("$fovea" classify models/shop - --text text < test.tsv)" "$lines"
awk -F '\t' 'NR == 1 { print "label,text"; next } { print $2 ",\"" $1 "\"" }' test.tsv > test.csv
awk -F '\t' 'NR > 1 { print "{\"text\":\"" $1 "\",\"label\":\"" $2 "\"}" }' test.tsv > test.jsonl
expect_equal "csv" "$("$fovea" classify models/shop test.csv)" "$lines"
expect_equal "jsonl" "$("$fovea" classify models/shop test.jsonl)" "$lines"
if command -v gzip > /dev/null; then
    gzip -k test.jsonl
    expect_equal "jsonl.gz" "$("$fovea" classify models/shop test.jsonl.gz)" "$lines"
else
    skip "jsonl.gz" "no gzip"
fi
expect_equal "one thread, the same bits" "$("$fovea" classify models/shop lines.txt --json --threads 1)" "$("$fovea" classify models/shop lines.txt --json --threads 2)"
expect_match "--json" "$(head -n 1 lines.txt | "$fovea" classify models/shop --json)" '^\{"label":"delivery","score":[0-9.e-]+,"scores":\{"delivery":[0-9.e-]+\}\}$'
expect_match "--top" "$(head -n 1 lines.txt | "$fovea" classify models/shop --top 2)" '^delivery	[0-9.]+	[^	]+	[0-9.]+$'
expect_equal "--top over all labels" "$(head -n 1 lines.txt | "$fovea" classify models/shop --top 99 --json | grep -o '":[0-9.]' | wc -l | tr -d ' ')" 4
expect_equal "an empty line has its answer" "$(printf 'a\n\nb\n' | "$fovea" classify models/shop | wc -l | tr -d ' ')" 3
expect_equal "no lines, no answers" "$("$fovea" classify models/shop < /dev/null)" ""
awk 'BEGIN { for (i = 0; i < 600; i++) print i % 2 ? "where is my parcel and the box" : "about the money of my card" }' > many
expect_equal "order holds over many chunks" "$("$fovea" classify models/shop many | cut -f 1 | uniq -c | awk '$1 != 1' | wc -l | tr -d ' ')" 0
awk 'BEGIN { for (i = 0; i < 300; i++) printf "parcel "; print "" }' > long
split "$fovea" classify models/shop long
expect_match "what was cut is said" "$messages" '1 of the texts were longer'
# Plain lines are held to what tables are held to: UTF-8 without NUL.
printf '\357\273\277where is 我的 box\r\n' > odd
split "$fovea" classify models/shop odd
expect_status "a byte-order mark and CRLF are none of it" 0
printf 'a\n\nok \346\210\221 b\377\376\nx\000y\n我\346\210' >> odd
split "$fovea" classify models/shop odd
expect_status "bytes that are no UTF-8 are bad input" 3
expect_match "the line and the byte are named" "$messages" '^fovea: odd:4: byte 9 \(0xff\) is not UTF-8: .*; expected UTF-8 text; or pass --skip-bad'
split sh -c 'printf "a\000b\n" | "$0" classify models/shop' "$fovea"
expect_match "so are NUL bytes" "$messages" 'stdin:1: byte 2 \(0x00\) is a NUL byte'
split "$fovea" classify models/shop odd --skip-bad
expect_status "--skip-bad leaves them out" 0
expect_equal "but keeps their places, with empty lines" "$(printf '%s\n' "$out" | awk '{ print $0 == "" ? "none" : "label" }' | tr '\n' ' ')" "label label label "
expect_equal "with --json it says why" "$("$fovea" classify models/shop odd --skip-bad --json 2> /dev/null | cut -c 1-9 | tr '\n' ' ')" '{"label": {"label": {"label": {"error": {"error": {"error": '
expect_match "it does" "$("$fovea" classify models/shop odd --skip-bad --json 2> /dev/null | sed -n 4p)" '^\{"error":"odd:4: byte 9 \(0xff\) is not UTF-8: .*; expected UTF-8 text"\}$'
expect_match "they are counted" "$messages" '^fovea: 3 bad rows were left out, the first: odd:4: byte 9'
expect_equal "a table says the same of a row" "$(printf 'text\nx\n\nok \346\210\221 b\377\376\n' > odd.tsv; "$fovea" classify models/shop odd.tsv 2>&1 > /dev/null | sed 's/odd.tsv/odd/')" \
    "$("$fovea" classify models/shop odd 2>&1 > /dev/null)"
{ sed -n 1,300p many; printf '\377\n'; sed -n 1,300p many; } > spoilt
split "$fovea" classify models/shop spoilt
expect_status "a bad line after many good ones" 3
expect_equal "those before it are answered" "$out" "$("$fovea" classify models/shop many | sed -n 1,300p)"
expect_match "and it is named" "$messages" '^fovea: spoilt:301: byte 1 '
{ echo text; sed -n 1,300p many; printf '\377\n'; sed -n 1,300p many; } > spoilt.tsv
split "$fovea" classify models/shop spoilt.tsv
expect_equal "of a table, too" "$out" "$("$fovea" classify models/shop many | sed -n 1,300p)"
expect_match "and it is named there" "$messages" '^fovea: spoilt.tsv:302: byte 1 '
split "$fovea" classify models/shop spoilt.tsv --skip-bad
expect_equal "left out of a table it keeps its place" "$(printf '%s\n' "$out" | awk '$0 == "" { print NR, "of" } END { print NR }' | tr '\n' ' ')" "301 of 601 "
expect_match "and is counted" "$messages" '^fovea: 1 bad rows were left out, the first: spoilt.tsv:302: byte 1 '
split sh -c '"$0" classify models/shop many | head -n 1' "$fovea"
expect_equal "a reader that leaves early is no news" "$messages" ""
split "$fovea" classify models/shop test.tsv --text nothing
expect_status "a missing column" 3

# answered_at_once NAME LINE OPTIONS…: one line is answered while the pipe stays open.
answered_at_once() {
    name=$1 line=$2
    shift 2
    rm -f in answers
    mkfifo in
    "$fovea" classify models/shop "$@" < in > answers &
    exec 3> in
    echo "$line" >&3
    waited=0
    while [ ! -s answers ] && [ $waited -lt 100 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    expect_equal "$name" "$(wc -l < answers | tr -d ' ')" 1
    exec 3>&-
    wait
}
answered_at_once "a line is answered at once" 'where is my parcel'
answered_at_once "so is an object" '{"text":"where is my parcel"}' - --text text

# ---- explain, inspect, runs ----

text='where is my parcel and the <box>'
split "$fovea" explain models/shop --input "$text"
expect_status "explain" 0
expect_match "explain: the label first" "$(echo "$out" | head -n 1)" '^delivery	[0-9.]+$'
expect_match "explain: the method that is shown" "$(echo "$out" | sed -n 3p)" '^Why delivery \((attention|gradient|integrated|leave-one-out): .*\):$'
expect_equal "explain: the text itself, marks aside" "$(echo "$out" | sed -n 4p | sed 's/[+-]*[▁▂▃▄▅▆▇█]//g')" "$text"
expect_match "explain: bars" "$out" '^[^ ]+ +[+-][0-9.]+  -?█+'
expect_match "explain: figures of every method" "$out" '^leave-one-out +[+-][0-9.]+ +[+-][0-9.]+'
expect_match "explain: and of chance" "$out" '^random order +[+-][0-9.]+ +[+-][0-9.]+  the mean of 20$'
for method in attention gradient integrated leave-one-out; do
    split "$fovea" explain models/shop --input "$text" --method $method --orders 0
    expect_match "explain --method $method" "$out" "^Why delivery \\($method: "
    expect_equal "explain --method $method: unmeasured" "$(echo "$out" | grep -c 'random order')" 0
done
split "$fovea" explain models/shop --input "$text" --json
expect_match "explain --json" "$out" '^\{"label":"delivery","score":[0-9.]+,"explained":\{"answer":[0-9.]+,.*"label":"delivery"\},"method":"[a-z-]+","words":\[\{"text":"where","begin":0,"end":5,"part":0,"weight":[0-9.e-]+\}'
expect_match "explain --json: methods" "$out" '"methods":\[\{"method":"[a-z-]+","comprehensiveness":[0-9.e-]+,"sufficiency":[0-9.e-]+,.*"weights":\['
expect_match "explain --json: chance" "$out" '"random":\{"orders":20,"comprehensiveness":'
expect_equal "explain --json: maps are asked for" "$(echo "$out" | grep -c '"layers"')" 0
split "$fovea" explain models/shop --input "$text" --json --maps
expect_match "explain --maps" "$out" '"attention":\{"places":\["\[CLS\]",0,1,.*,"\[SEP\]"\],"layers":\[\[\[\['
split "$fovea" explain models/shop --input "$text" --json --method attention --orders 0
expect_equal "attention's weights sum to one" "$(echo "$out" | sed 's/.*"weights":\[//; s/\].*//' | tr , '\n' | awk '{ s += $1 } END { print (s > 0.999 && s < 1.001) ? "yes" : s }')" yes
split "$fovea" explain models/shop --input 退货 --input2 box
expect_status "explain a pair" 0
for odd in '' parcel; do
    split "$fovea" explain models/shop --input "$odd"
    expect_status "explain '$odd'" 0
    expect_match "which has no order" "$out" '^No reasons: fewer than two words have no order\.$'
done
split "$fovea" explain models/shop --input "$(printf '\377 parcel \302')" --json
expect_status "explain broken bytes" 0

# The page: one file, nothing fetched, and nothing of the text is markup.
split "$fovea" explain models/shop --input "$text</script><img src=x onerror=alert(1)> & \"it's\" $(printf '\033\377')" --html page.html
expect_status "explain --html" 0
page=$(cat page.html)
expect_equal "the page begins and ends as one" "$(head -c 15 page.html) $(tail -c 8 page.html)" "<!doctype html> </html>"
expect_equal "no markup of the text's" "$(grep -cE '<img|<box>' page.html)" 0
expect_equal "two scripts end, and no more" "$(grep -o '</script>' page.html | wc -l | tr -d ' ')" 2
expect_match "the text is spelled out" "$page" '&lt;.*box.*&gt;'
expect_match "in the data, too" "$page" '"text":\["","where"," ","is"'
expect_equal "nothing is fetched" "$(grep -cE 'https?:|src=|@import|url\(' page.html | tr -d ' ')" "$(grep -c 'src=x' page.html | tr -d ' ')"
expect_match "maps of every head" "$page" '"layers":1,"heads":2,"maps":\["[A-Za-z0-9+/]+","[A-Za-z0-9+/]+"\]'
expect_equal "no place was left unfilled" "$(grep -cE '@(TITLE|BODY|DATA)@' page.html)" 0
split "$fovea" explain models/shop --input "$text" --html nowhere/page.html
expect_equal "a page that cannot be written is an error" "$status" 1

# The wide part: what n-grams add up to.
split "$fovea" explain models/shop --input "$text"
expect_equal "explain: the text again, by n-grams" "$(echo "$out" | sed -n '/^What its n-grams/{n;p;}' | sed 's/[+-][▁▂▃▄▅▆▇█]//g')" "$text"
expect_match "explain: n-grams" "$out" '^ *[+-][0-9.]+  parcel$'
expect_match "explain: what they make of the lead" "$out" '^delivery is ahead of .* by [0-9.]+: n-grams \+[0-9.]+, Transformer [+-][0-9.]+\.$'
split "$fovea" explain models/shop --input "$text" --label 退换
expect_match "another label can be asked about" "$out" '^退换 is behind delivery by [0-9.]+: n-grams -[0-9.]+'
split "$fovea" explain models/shop --input "$text" --json
# numbers KEY: those of an array behind "wide", which adds up to the logit's share
numbers() {
    echo "$out" | sed "s/.*\"wide\":{//; s/.*\"$1\":\[//; s/\].*//" | grep -o '"weight":[0-9.e-]*' | cut -d : -f 2
}
share=$(echo "$out" | sed 's/.*"logit":{"sum":[0-9.e-]*,"wide":\([0-9.e-]*\).*/\1/')
for key in words ngrams; do
    expect_equal "explain --json: $key add up" "$(numbers $key | awk -v all="$share" '{ s += $1 } END { d = s - all; print (NR > 5 && d < 1e-5 && d > -1e-5) ? "yes" : s " of " all }')" yes
done
split "$fovea" explain models/shop --input "$text" --label nowhere
expect_status "a label that is none" 2
expect_match "is named" "$messages" '"nowhere"'
learn --out narrow --steps 2 --positions rotary
expect_status "positions that only translators have" 2
expect_match "are told of" "$messages" "^fovea: rotary positions are a translator's only; expected learned or sinusoidal"
learn --out narrow --steps 2 --no-wide --positions sinusoidal --attention-dropout 0.25
expect_match "what training decided is in config.json" "$(tr -d '\n ' < narrow/config.json)" '"hidden_dropout_prob":0\.1,"attention_probs_dropout_prob":0\.25,.*"position_embedding_type":"sinusoidal"'
split "$fovea" explain narrow --input "$text"
expect_equal "without a wide part no word of n-grams" "$(echo "$out" | grep -c n-gram)" 0
split "$fovea" explain narrow --input "$text" --json
expect_match "in JSON too" "$out" '"error":[0-9.e-]+\}\}$'
expect_equal "and not a word of the rest" "$(echo "$out" | grep -c wide)" 0
split "$fovea" explain narrow --input "$text" --label 退换 --orders 0
expect_match "any label can be asked about" "$out" '^Why 退换 '

split "$fovea" inspect models/shop
expect_status "inspect" 0
expect_match "inspect: labels" "$out" '^labels  *delivery, money back, 退换$'
expect_match "inspect: figures with intervals" "$out" '^    accuracy  *[0-9.]+ %  \([0-9.]+ to [0-9.]+ %\)$'
expect_match "inspect: tensors in a table" "$out" '^classifier\.bias  *F32  *3$'
expect_match "inspect: a file keeps its name" "$out" '^  files +tokenizer\.json [0-9a-f]+, tokenizer_config\.json [0-9a-f]+, '
expect_match "inspect: layers on one line" "$("$fovea" inspect "$encoders/cross")" '^bert\.encoder\.layer\.0-1\.attention\.self\.key\.bias +F32 +16$'
split "$fovea" inspect models/shop --json
expect_equal "inspect --json is one object" "$(echo "$out" | grep -c '^{.*}$')" 1

split "$fovea" runs models
expect_match "runs: sizes and figures" "$out" '^shop  *classify  1×32  *150 .* accuracy .*[0-9.]+ %  *[0-9.]+ %  20'
expect_equal "runs: all of them" "$(echo "$out" | wc -l | tr -d ' ')" 5

# ---- several labels, numbers, pairs ----

awk -F '\t' 'NR == 1 { print; next } { print $1 "\t" $2 (NR % 2 ? ",odd" : "") }' train.tsv > multi.tsv
# shellcheck disable=SC2086
split "$fovea" train classify --train multi.tsv --out multi --multi-label $tiny --steps 20 --quiet
expect_status "train with several labels" 0
expect_match "classify: several labels" "$("$fovea" classify multi train.tsv --json | head -n 1)" '^\{"labels":\[.*\],"scores":\{'
expect_equal "a line for each, though none may hold" "$("$fovea" classify multi lines.txt | wc -l | tr -d ' ')" 24

# Several heads: a vector is the body's, and asks for none of them.
echo '[{"name": "topic", "train": "train.tsv"}, {"name": "sort", "train": "train.tsv"}]' > tasks.json
# shellcheck disable=SC2086
split "$fovea" train multi --train tasks.json --out heads $tiny --steps 4 --quiet
expect_status "train multi" 0
split "$fovea" embed heads lines.txt
expect_equal "embed: no head is asked for" "$status $(echo "$out" | wc -l | tr -d ' ')" "0 24"
split "$fovea" search heads lines.txt lines.txt --top 1
expect_status "nor by search" 0
split "$fovea" classify heads lines.txt
expect_match "but classify asks" "$status $messages" '^2 .*several heads: topic, sort; say which one \(--head\)'
expect_equal "and has an answer then" "$("$fovea" classify heads lines.txt --head sort | wc -l | tr -d ' ')" 24
awk -F '\t' 'NR == 1 { print; next } { print $1 "\t" length($1) }' train.tsv > number.tsv
# shellcheck disable=SC2086
split "$fovea" train classify --train number.tsv --out number --regression $tiny --steps 20 --quiet
expect_status "train with numbers" 0
expect_match "classify: a number" "$(head -n 1 lines.txt | "$fovea" classify number)" '^-?[0-9.e-]+$'
expect_match "classify: a number as JSON" "$(head -n 1 lines.txt | "$fovea" classify number --json)" '^\{"value":-?[0-9.e-]+\}$'
expect_match "eval: figures for numbers" "$("$fovea" eval number number.tsv)" '^r2 '
awk -F '\t' 'NR == 1 { print "q\ta\tlabel"; next } { print $1 "\t" $1 "\t" $2 }' train.tsv > pair.tsv
# shellcheck disable=SC2086
split "$fovea" train classify --train pair.tsv --text q --text2 a --out pair $tiny --steps 20 --quiet
expect_status "train with pairs" 0
expect_equal "classify pairs" "$("$fovea" classify pair pair.tsv --text q --text2 a | wc -l | tr -d ' ')" 60

# ---- stopped and resumed ----

learn --out models/whole --epochs 120
# shellcheck disable=SC2086
"$fovea" train classify --train train.tsv --valid valid.tsv $tiny --out models/cut --epochs 120 > /dev/null 2> stopped &
pid=$!
waited=0
while ! grep -q '^epoch' stopped && [ $waited -lt 200 ]; do
    sleep 0.05
    waited=$((waited + 1))
done
kill -TERM $pid
status=0
wait $pid || status=$?
if grep -q 'the same command with --resume goes on' stopped; then
    ok "a stop says how to go on"
    expect_equal "and exits 1" "$status" 1
else
    skip "a stop" "training was over before it could be stopped"
fi
learn --out models/cut --epochs 120 --resume
expect_status "--resume" 0
expect_equal "ends in the same bits" "$(cmp models/whole/model.safetensors models/cut/model.safetensors 2>&1)" ""
learn --out models/fresh --steps 5 --resume
expect_status "--resume starts what was never begun" 0

# ---- refused ----

mkdir damaged
cp models/shop/* damaged
head -c 1000 models/shop/model.safetensors > damaged/model.safetensors
split "$fovea" classify damaged lines.txt
expect_status "a cut model is bad input" 3
expect_match "and named" "$messages" 'damaged'
printf 'text\tlabel\n' > empty.tsv
split "$fovea" train classify --train empty.tsv --out models/empty
expect_status "training on nothing" 3
expect_match "names the file" "$messages" 'empty\.tsv'
expect_equal "and leaves nothing" "$([ -e models/empty/model.safetensors ] && echo there)" ""
split "$fovea" train classify --train no-such.tsv --out models/none
expect_equal "training on a missing file" "$((status == 1 || status == 3))" 1
expect_match "names it" "$messages" 'no-such\.tsv'
