# On a terminal: widths that fit, colour only where it is wanted, one live line. Needs script(1).
# shellcheck shell=sh disable=SC2016 # what is in single quotes is for an inner shell
. tests/cli/lib/program.sh

if ! script -qec true /dev/null > /dev/null 2>&1; then
    skip "terminal" "no script(1) that runs a command"
    exit 0
fi

# terminal COLUMNS COMMAND: what it prints on a terminal so wide, carriage returns and all.
terminal() {
    SHELL=/bin/sh script -qec "stty cols $1 rows 24; $2" /dev/null < /dev/null | tr -d '\000'
}

# widest TEXT: columns of its widest line, Chinese characters counting two, colours none.
widest() {
    printf '%s\n' "$1" | sed 's/\r$//; s/.*\r//; s/\x1b\[[0-9;]*[mK]//g' |
        awk '{ wide = gsub(/[\343-\351][\200-\277][\200-\277]/, "##"); gsub(/[\300-\377][\200-\277]*/, "#"); if (length > w) w = length } END { print w + 0 }'
}
LC_ALL=C
export LC_ALL

export TERM=xterm
mkdir -p "$scratch/m/a-run-with-a-very-long-name-that-nobody-would-type" "$scratch/m/客服意图分类模型第二版本小学习率"
for folder in "$scratch"/m/*; do
    echo '{"task":"classify","steps":5,"seconds":1,"valid":{"accuracy":0.5}}' > "$folder/fovea.json"
done

wide=$(terminal 150 "'$fovea' runs '$scratch/m'")
expect_match "a wide terminal shows whole names" "$wide" 'a-run-with-a-very-long-name-that-nobody-would-type'
narrow=$(terminal 72 "'$fovea' runs '$scratch/m'")
expect_match "a narrow one cuts them" "$narrow" '^a-run-w.*…'
expect_equal "to fit" "$(widest "$narrow" | awk '{ print $1 <= 72 }')" 1
expect_match "Chinese is cut between characters" "$narrow" '^客服.*…  '
expect_equal "its columns line up" "$(printf '%s\n' "$narrow" | sed 's/\r$//' | grep -a -v 'run' | awk '{ sub(/classify.*/, ""); gsub(/[\343-\351][\200-\277][\200-\277]/, "##"); gsub(/[\300-\377][\200-\277]*/, "#"); print length }' | uniq | wc -l | tr -d ' ')" 1
expect_equal "COLUMNS wins" "$(terminal 150 "COLUMNS=72 '$fovea' runs '$scratch/m'")" "$narrow"
expect_match "heads are bold" "$wide" "$(printf '\033')\[1m"
expect_equal "but not with NO_COLOR" "$(terminal 150 "NO_COLOR=1 '$fovea' runs '$scratch/m'" | grep -c "$(printf '\033')")" 0
expect_equal "nor on a dumb terminal" "$(terminal 150 "TERM=dumb '$fovea' runs '$scratch/m'" | grep -c "$(printf '\033')")" 0
expect_equal "nor in a pipe" "$(terminal 150 "'$fovea' runs '$scratch/m' | cat" | grep -c "$(printf '\033')")" 0
expect_equal "a pipe is never cut" "$(terminal 20 "'$fovea' runs '$scratch/m' | cat" | grep -c 'nobody-would-type')" 1
expect_equal "help wraps at 50" "$(widest "$(terminal 50 "'$fovea' runs --help" | sed '/^Examples/,/^$/d')" | awk '{ print $1 <= 50 }')" 1

# Training: one live line that never wraps, and a line for each epoch.
sample_table 1 20 > "$scratch/train.tsv"
train="'$fovea' train classify --train '$scratch/train.tsv' --layers 1 --width 32 --heads 2 --ffn 64 --vocab 400 --epochs 200"
for columns in 20 40 120; do
    shown=$(terminal $columns "$train --out '$scratch/model-$columns' > /dev/null")
    lives=$(printf '%s' "$shown" | tr '\r' '\n' | grep -a "^$(printf '\033')\[K." | sed 's/\x1b\[K//')
    expect_match "$columns columns: epochs stay" "$shown" 'epoch [0-9]+  loss [0-9.]+  accuracy'
    if [ -z "$lives" ]; then
        skip "$columns columns: the live line" "training was over before it was due"
        continue
    fi
    expect_equal "$columns columns: the live line fits" "$(widest "$(printf '%s\n' "$lives" | grep -v '^epoch.*accuracy')" | awk -v c=$columns '{ print $1 < c }')" 1
    expect_match "$columns columns: it shows how far" "$lives" '[0-9]+ %'
done
expect_match "a wide line has it all" "$lives" '^epoch [0-9]+  .*[0-9]+ %  step [0-9]+/[0-9]+  loss [0-9.]+  [0-9.]+k? tokens/s  [0-9.]+m?s? ?[0-9]*s? left'
dumb=$(terminal 80 "TERM=dumb $train --out '$scratch/model-dumb' > /dev/null")
expect_equal "a dumb terminal gets plain lines" "$(printf '%s' "$dumb" | grep -c "$(printf '\033')")" 0

# explain: colour on a terminal, marks without.
shown=$(terminal 80 "'$fovea' explain '$scratch/model-120' --input 'where is my parcel'")
expect_match "explain colours words" "$shown" "$(printf '\033')\[30;48;5;[0-9]+m[a-z]+$(printf '\033')\[0m"
shown=$(terminal 80 "NO_COLOR=1 '$fovea' explain '$scratch/model-120' --input 'where is my parcel'")
expect_match "explain marks them where colour is not wanted" "$shown" '(where|is|my|parcel)[+-]?(▁|▂|▃|▄|▅|▆|▇|█)'
expect_match "and signs what n-grams say" "$shown" '[a-z]\+(▁|▂|▃|▄|▅|▆|▇|█)'
shown=$(terminal 24 "'$fovea' explain '$scratch/model-120' --input '我的质量还有颜色 where is my box and the refund'")
expect_equal "n-grams fit a narrow terminal" "$(widest "$(printf '%s\n' "$shown" | grep '^ *[+-][0-9]')" | awk '{ print $1 <= 24 }')" 1

# Ctrl-C, once: without --foreground timeout signals the program and then its whole group, and the second stops at once.
if timeout --foreground 1 true 2> /dev/null; then
    shown=$(terminal 80 "timeout --foreground -s INT 2 $train --epochs 100000 --out '$scratch/model-stopped'; echo status \$?")
    expect_match "Ctrl-C is answered" "$shown" 'stopping; a checkpoint is being written'
    expect_match "and says how to go on" "$shown" 'the same command with --resume goes on'
fi
