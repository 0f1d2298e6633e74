# Equal seed, equal bits: whatever the number of threads, and wherever a training was cut off.
. tests/cli/lib/program.sh
cd "$scratch" || exit 1
unset TERM

sample_table 1 24 > train.tsv
sample_table 25 36 > valid.tsv

# learn OUT ARGUMENTS…
learn() {
    to=$1
    shift
    "$fovea" train classify --train train.tsv --valid valid.tsv --out "$to" --layers 2 --width 32 --heads 2 --ffn 64 \
        --max-len 32 --vocab 400 --batch-tokens 300 --lr 0.003 "$@" > said 2>&1 < /dev/null
}

weights() {
    cat "$1"/*.safetensors | cksum
}

for accumulate in 1 4; do
    for threads in 1 2 4; do
        learn "threads-$accumulate-$threads" --steps 20 --accumulate $accumulate --threads $threads
    done
    one=$(weights threads-$accumulate-1)
    expect_equal "2 threads, $accumulate shards" "$(weights threads-$accumulate-2)" "$one"
    expect_equal "4 threads, $accumulate shards" "$(weights threads-$accumulate-4)" "$one"
done
expect_equal "shards count, though" "$([ "$(weights threads-1-1)" != "$(weights threads-4-1)" ] && echo differ)" differ
learn seed-2 --steps 20 --seed 2
expect_equal "so does the seed" "$([ "$(weights threads-1-1)" != "$(weights seed-2)" ] && echo differ)" differ

if ! command -v timeout > /dev/null; then
    skip "cut off and resumed" "no timeout"
    exit 0
fi

# cut_off SIGNAL: ends trainings by it after ever longer times until one comes through.
cut_off() {
    cuts=0
    for tenths in 05 06 08 10 05 13 07 16 20 30 50 80 99; do
        status=0
        timeout -s "$1" 0.$tenths "$fovea" train classify --train train.tsv --valid valid.tsv --out "cut-$1" --layers 2 --width 32 \
            --heads 2 --ffn 64 --max-len 32 --vocab 400 --batch-tokens 300 --lr 0.003 --steps 150 --threads 2 --resume > said 2>&1 < /dev/null || status=$?
        [ $status -ne 0 ] || break
        cuts=$((cuts + 1))
    done
    [ $status -eq 0 ] || learn "cut-$1" --steps 150 --resume
}

learn whole --steps 150
whole=$(weights whole)
for signal in INT KILL; do
    cut_off $signal
    if [ $cuts -gt 0 ]; then ok "SIG$signal: cut off"; else skip "SIG$signal" "training was over before the first signal"; fi
    expect_equal "SIG$signal: the same bits at the end" "$(weights cut-$signal)" "$whole"
    expect_equal "SIG$signal: no step is told twice" "$(grep -c '"lr"' cut-$signal/log.jsonl)" 150
done
