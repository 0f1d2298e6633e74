# bench/: the scripts' own logic, with a program that makes figures up. Nothing is measured.
. tests/shell/lib/check.sh

mkdir -p "$scratch/docs"
cp -r bench "$scratch/"
rm -rf "$scratch/bench/kept"
cd "$scratch"
sed -n '/^#/p; /^date/p' "$root/bench/history.tsv" > bench/history.tsv
MAKE=true # bench/report would build what compares predictions; there are none here
export MAKE

cat > program << 'END'
#!/bin/sh
[ "$2" = gemm ] || { echo "no case" >&2; exit 2; }
echo '{"bench":"gemm","case":"float32 8x8x8 bias","isa":"plain","threads":2,"value":12.5,"unit":"GFLOP/s","share_of_peak":'"$SHARE"',"median_of":7,"min":10,"max":13}'
END
chmod +x program

# ---- Reading JSON ----

line='{"a":{"b":[1,{"c":"x \"y\" \\n"}],"d":null},"e" : -1.5e-3 , "f":"中文"}'
read_paths() { printf '%s\n' "$line" | awk -f bench/json.awk -v paths="$1"; }
expect_equal "a path into objects and arrays" "$(read_paths a.b.1.c)" 'x "y" \n'
expect_equal "numbers and words of other scripts" "$(read_paths 'e f')" "$(printf '%s\t%s' -1.5e-3 中文)"
expect_equal "null and what is not there" "$(read_paths 'a.d x')" "$(printf '%s\t%s' - -)"
expect_equal "an array as it was written" "$(read_paths a.b)" '[1,{"c":"x \"y\" \\n"}]'

fields_of() { awk -f bench/json.awk -v paths="$*"; }

# ---- bench/run ----

measure() {
    export SHARE="$1"
    shift
    run bench/run ./program "$@" gemm
}
measure 0.9
expect_match "a table" "$output" '^float32 8x8x8 bias +12.5  GFLOP/s +90 %  10 to 13, 7 runs'
expect_equal "no record unless asked" "$(sed '/^#/d; /^date/d' bench/history.tsv)" ""
measure 0.9 --csv
expect_match "as CSV" "$output" '^[0-9TZ:-]*,[^,]*,[^,]*,plain,2,gemm,float32 8x8x8 bias,12.5,GFLOP/s,0.900$'
for share in 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.8 0.8 0.8 0.8 0.8; do measure "$share" --record; done
expect_equal "the last ten are kept" "$(grep -c float32 bench/history.tsv)" 10
measure 0.7
expect_equal "12 % below the last five is no news" "$(printf '%s\n' "$output" | grep -c slower)" 0
measure 0.6
expect_match "25 % below them is" "$output" '^slower: gemm float32 8x8x8 bias reaches 60 % of peak; .* 5 .* 80 %$'
run bench/run ./program peak
expect_equal "a bench that fails fails the whole" "$status" 1
run bench/run ./program --only nothing peak
expect_equal "a filter that fits nothing is wrong usage" "$status" 2

# ---- bench/peers, bench/quality, bench/floors ----

run env FOVEA_PEERS=./nowhere bench/peers --program ./program
expect_equal "without peers nothing fails" "$status" 0
expect_match "and it says so" "$output" 'no peers here'
run env PEERS_VENV=./nowhere bench/tokenizers --program ./program
expect_equal "nor without the other tokenizers" "$status" 0
expect_match "which is said too" "$output" 'nothing was compared: ./nowhere'
run env FOVEA_PEERS=./nowhere bench/translate-peers --program ./program
expect_equal "nor without the other translator" "$status" 0
expect_match "as it says" "$output" 'nothing was compared: ./nowhere/translate.py'
run bench/translate-peers --program ./program beam-5-int8
expect_match "a case that there is not" "$output" 'unknown option or case beam-5-int8'
cat > line << 'END'
. bench/lib.sh
isa=plain threads=2
printf '1.5\n1.25\n2\n' | ratio_line "a case"
END
run sh ./line
expect_equal "the median of ratios, the lowest, the highest" "$(printf '%s\n' "$output" | fields_of case value min max median_of)" "$(printf 'a case\t1.500\t1.250\t2.000\t3')"
run bench/floors --data . nosuchset
expect_match "sets are named when one is not known" "$output" 'nosuchset: no such set; .*banking77'
run bench/floors --data ./nowhere
expect_match "the data folder is asked for" "$output" 'nowhere: no such folder; name the data folder with --data or FOVEA_DATA'
run bench/quality --data . --program ./program -- --lr 1
expect_match "another recipe needs a name" "$output" 'a name of its own'

# ---- bench/report ----

run bench/report
page=$(cat docs/results.md)
expect_match "the page says what made it" "$page" 'Made by bench/report'
expect_match "a case below its goal" "$page" '^\| float32 8x8x8 bias \| 12.5 GFLOP/s \| 10–13 \| 60 % \| 85 % \| 25 points short \|'
expect_match "a goal without a figure" "$page" '^- attention forward with dropout \(at least 60 %\)$'
expect_match "sets without a model" "$page" '^Not measured: models of banking77, '
echo '{"set":"banking77","recipe":"default","seed":1,"cpu":"x","isa":"plain","threads":2,"max_seconds":600,"steps":9,"seconds":5.5,"test":{"accuracy":{"value":0.9,"low":0.88,"high":0.92},"macro_f1":{"value":0.8,"low":0.7,"high":0.9}},"date":"2026-01-02T03:04:05Z","commit":"abc"}' > build/bench/quality.jsonl
run bench/report
expect_match "a model that cannot be compared" "$(cat docs/results.md)" '^\| banking77 \| default \| 1 \| 90.0 \[88.0, 92.0\] \| 80.0 \[70.0, 90.0\] \| – \| 9 \| '
head='"seed":1,"cpu":"x","isa":"plain","threads":2,"max_seconds":600,"steps":9,"seconds":5.5,"date":"2026-01-02T03:04:05Z","commit":"abc"'
for mixing in full:0.9 uniform:0.8 none:0.75; do
    echo "{\"set\":\"banking77\",\"recipe\":\"attention-${mixing%:*}\",\"test\":{\"accuracy\":{\"value\":${mixing#*:}}},$head}" >> build/bench/quality.jsonl
done
echo "{\"set\":\"ag_news\",\"recipe\":\"alone\",\"test\":{\"accuracy\":{\"value\":0.7,\"low\":0.6,\"high\":0.8}},$head}" >> build/bench/quality.jsonl
echo '{"set":"ag_news","with":"banking77","seed":1,"alone":{"valid":0.8,"test":0.9},"together":{"valid":0.79,"test":0.91},"date":"2026-01-02T03:04:05Z","commit":"abc"}' > build/bench/multi.jsonl
run bench/report
page=$(cat docs/results.md)
expect_match "what attention adds" "$page" '^\| banking77 \| 90.0 \| 80.0 \| 75.0 \| \+10.0 \| \+15.0 \| 2026-01-02 \| abc \|$'
expect_match "a recipe of its own is no default" "$page" '^\| ag_news \| alone \| 1 \| 70.0 \[60.0, 80.0\] \|'
expect_match "only the default is counted" "$page" '^Of 1 models '
expect_match "a task beside another" "$page" '^\| ag_news \| banking77 \| 1 \| 80.0 \| 79.0 \| -1.0 \| 90.0 \| 91.0 \| \+1.0 \|'
mkdir away && mv build/bench/*.jsonl away
run bench/report
expect_equal "what was reported once stays, on a machine that has not measured it" "$(sed '/^Written by/d' docs/results.md)" "$(printf '%s\n' "$page" | sed '/^Written by/d')"
cp -r bench/kept away
sed 's/12.5/13.5/' away/speed.jsonl > build/bench/speed.jsonl
run bench/report --out other.md
expect_match "newer figures take the place of kept ones" "$(cat other.md)" '^\| float32 8x8x8 bias \| 13.5 GFLOP/s '
expect_equal "a report elsewhere keeps nothing" "$(cat bench/kept/*)" "$(cat away/kept/*)"
mv away/*.jsonl build/bench
run bench/multi --data . --program ./program banking77
expect_match "a pair is two sets" "$output" 'found banking77, expected two sets with a plus'
