# shellcheck shell=sh
# fovea runs: finds records, sorts them, forgives what is missing, and lines up its table.
. tests/cli/lib/program.sh

# record FOLDER CONTENT
record() {
    mkdir -p "$scratch/$1"
    printf '%s' "$2" > "$scratch/$1/fovea.json"
}

record m/good '{"format":1,"task":"classify","labels_kind":"single","labels":["a","b"],"recipe":{"preset":"tiny","layers":2,"width":128},
    "steps":1200,"seconds":75.2,"valid":{"accuracy":0.9},"test":{"accuracy":{"value":0.881,"low":0.87,"high":0.89}},"finished":"2026-11-23T10:00:00Z"}'
record m/客服意图 '{"task":"classify","recipe":{"layers":4,"width":256},"steps":10,"seconds":3.3,"valid":{"accuracy":0.95}}'
record m/deep/er/still '{"task":"classify","valid":{"accuracy":0.5}}'
record m/one/two/three/four '{"valid":{"accuracy":1}}'
record m/nothing '{}'
record m/tags '{"labels_kind":"multi","valid":{"micro_f1":0.7}}'
record m/odd '{"steps":"many","valid":[1],"test":{"accuracy":{"value":"x"}},"recipe":7,"finished":5}'
record m/damaged '{"task":'
record m/escape "$(printf '{"task":"\\u001b[31mred","valid":{"accuracy":0.1}}')"
ln -s .. "$scratch/m/loop"

split "$fovea" runs "$scratch/m"
expect_status "records are compared" 0
expect_equal "the table" "$out" "run            task      size        steps    time  metric     valid    test  finished
客服意图       classify  4×256          10    3.3s  accuracy  95.0 %
good           classify  tiny 2×128  1,200  1m 15s  accuracy  90.0 %  88.1 %  2026-11-23 10:00
deep/er/still  classify                             accuracy  50.0 %
escape         �[31mred                             accuracy  10.0 %
nothing                                             accuracy
odd                                                 accuracy
tags                                                micro_f1  70.0 %"
expect_match "a damaged record is named" "$messages" 'left out: .*/m/damaged/fovea.json'
expect_equal "and nothing else is said" "$(echo "$messages" | wc -l | tr -d ' ')" 1

split "$fovea" runs "$scratch/m" --quiet
expect_equal "--quiet says nothing" "$messages" ""

split "$fovea" runs "$scratch/m" --json
expect_equal "one object a run" "$(echo "$out" | grep -c '^{"run":".*","metric":".*","record":{.*}}$')" 7
expect_match "names stay as they are" "$out" '^\{"run":"客服意图","metric":"accuracy"'
expect_equal "labels are left out" "$(echo "$out" | grep -c '"labels":')" 0

split "$fovea" runs "$scratch/m/good"
expect_match "the folder itself may be the run" "$out" '^\.  *classify'

mkdir "$scratch/empty"
split "$fovea" runs "$scratch/empty"
expect_status "no runs are no error" 0
expect_match "but are said" "$messages" 'no training runs below'
