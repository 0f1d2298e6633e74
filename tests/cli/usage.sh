# shellcheck shell=sh disable=SC2016 # what is in single quotes is for an inner shell, or a message
# Wrong usage: every command says what is wrong, exits 2, and touches nothing.
. tests/cli/lib/program.sh

# wrong NAME PATTERN ARGUMENTS…: exit status 2, a message that matches, nothing on stdout.
wrong() {
    name=$1 pattern=$2
    shift 2
    split "$fovea" "$@" < /dev/null
    expect_status "$name: exit status" 2
    expect_match "$name: message" "$messages" "$pattern"
    expect_equal "$name: nothing on stdout" "$out" ""
}

t='train classify --train no-such.tsv'
# shellcheck disable=SC2086 # $t is words
{
    wrong "no command" 'expected a command'
    wrong "unknown command" 'unknown command "trian"; did you mean train\?' trian
    wrong "command far from any" 'unknown command "zzzzzz"; `fovea help` lists them' zzzzzz
    wrong "half a command" 'tokenizer needs a second word' tokenizer
    wrong "wrong second word" 'unknown command "encoed" of tokenizer' tokenizer encoed
    wrong "no task" 'TASK is missing' train
    wrong "unknown task" 'TASK is "paint"; expected classify' train paint
    wrong "needed option" '--out MODEL is missing' $t
    wrong "misspelt option" 'unknown option --epohs; did you mean --epochs\?' $t --out m --epohs 3
    wrong "swapped letters" 'did you mean --width\?' $t --out m --wdith 3
    wrong "beginning of an option" 'did you mean --batch-tokens\?' $t --out m --batch 3
    wrong "option of another command" 'unknown option --epochs|unknown option "epochs"' eval m f --epochs 3
    wrong "short option" 'unknown option -e; options start with two dashes' $t --out m -e 3
    wrong "no value" '--epochs needs a value: --epochs N' $t --out m --epochs
    wrong "not a number" '--epochs is "3x"; expected a whole number from 0 to 1000000' $t --out m --epochs 3x
    wrong "empty number" '--epochs is ""; expected a whole number' $t --out m --epochs=
    wrong "too small" '--threads is "-1"; expected a whole number from 0 to 4096' $t --out m --threads=-1
    wrong "too large" '--steps is "99999999999999999999"' $t --out m --steps 99999999999999999999
    wrong "not finite" '--lr is "nan"; expected a number from 0 to 10' $t --out m --lr nan
    wrong "not one of the words" '--pooling is "sum"; expected cls, mean or max' $t --out m --pooling sum
    wrong "flag with a value" '--resume is "maybe"; expected no value, or true or false' $t --out m --resume=maybe
    wrong "excluding options" 'exclude each other' $t --out m --multi-label --regression
    wrong "too many operands" '"extra" is one word too many' eval m f extra
    wrong "operand missing" 'FILE is missing' eval m
    wrong "top of zero" '--top is "0"; expected a whole number from 1' classify m --top 0
    wrong "lines have no columns" 'which have no columns' tokenizer train f --out o --lines --text x
    wrong "unknown benchmark" 'WHAT is "moon"; expected peak, gemm, attention, embed, ops, train, translate or optimiser' bench moon
    wrong "unknown shell" '--completion is "csh"; expected bash, zsh or fish' help --completion csh
    wrong "help for nothing" 'there is no command "moon"' help moon
    wrong "server without a model" '--model MODEL is missing' serve
    wrong "server for other machines" 'that needs --token-file FILE' serve --model m --listen 0.0.0.0:0
    wrong "listening nowhere" '--listen is "8080"; expected ADDRESS:PORT' serve --model m --listen 8080
    wrong "two models of a name" 'two models are called bert-tiny' serve --model tests/golden/bert-tiny --model tests/golden/bert-tiny --listen 127.0.0.1:0
    for command in eval classify embed explain 'tokenizer train' 'tokenizer encode' 'tokenizer decode' inspect runs bench; do
        wrong "$command without operands" 'is missing' $command
        wrong "$command with an unknown option" 'unknown option "nothing-like-it" of' $command --nothing-like-it
    done
}
wrong "a benchmark without such a case" 'no case of peak has "moon" in its name' bench peak --only moon
expect_match "the hint names the command" "$messages" '`fovea bench --help` explains it'

# Files that are not there, or are not what they should be.
cd "$scratch" || exit 1
mkdir folder
printf '\037\213' > packed
split "$fovea" eval no-such-model no-such-file
expect_equal "a missing model is no usage error" "$((status == 1 || status == 3))" 1
expect_match "a missing model is named" "$messages" 'no-such-model'
split "$fovea" runs no-such-folder
expect_status "runs of a missing folder" 3
split "$fovea" tokenizer train folder --out o.json
expect_status "a folder where a file should be" 3
expect_match "and it says so" "$messages" 'folder is a folder; expected a file'
split "$fovea" tokenizer train packed --out o.json
expect_match "gzip is not read as text" "$messages" 'packed is compressed; expected plain lines'
expect_equal "nothing was written" "$(ls)" "folder
messages
packed"

# Streams that are closed or full.
if [ -w /dev/full ]; then
    split sh -c '"$0" help > /dev/full' "$fovea"
    expect_status "a full disk is noticed" 1
    expect_match "and said" "$messages" 'the output could not be written: No space left'
else
    skip "a full disk" "no /dev/full"
fi
split sh -c '"$0" help >&-' "$fovea"
expect_status "a closed stdout is noticed" 1
expect_match "a reader that leaves early gets its line" "$("$fovea" help --man 2> messages | head -n 1)" '^\.TH'
expect_equal "and nothing is said" "$(cat messages)" ""
if command -v env > /dev/null && env --ignore-signal=PIPE true 2> /dev/null; then
    { sleep 0.2; env --ignore-signal=PIPE "$fovea" help --man 2> messages || echo $? > status; } | true
    expect_equal "nor where SIGPIPE is ignored" "$(cat messages status)" "1"
fi

# --config: option names as keys; the command line wins.
echo '{"completion": "fish"}' > good.json
split "$fovea" help --config good.json
expect_match "a config file is read" "$out" '^# fish completion'
split "$fovea" help --config good.json --completion bash
expect_match "the command line wins" "$out" '^# bash completion'
split "$fovea" help --completion=zsh --config=good.json
expect_match "wherever it stands" "$out" '^#compdef'
echo '{"man": true}' > flag.json
split "$fovea" help --config flag.json
expect_match "flags are true or false" "$out" '^\.TH'
split "$fovea" help --config flag.json --man=false
expect_match "and can be taken back" "$out" 'train  *trains'

# config NAME STATUS PATTERN CONTENT [COMMAND…]
config() {
    name=$1 expected=$2 pattern=$3
    printf '%s' "$4" > bad.json
    shift 4
    split "$fovea" "$@" --config bad.json
    expect_status "config, $name: exit status" "$expected"
    expect_match "config, $name: message" "$messages" "$pattern"
}
config "unknown key" 2 'bad.json: unknown option mna; did you mean man\?' '{"mna": true}' help
config "wrong value" 2 'bad.json: --epochs is "x"; expected a whole number' '{"epochs": "x"}' train classify --train a --out b
config "number for text" 2 'bad.json: text is 3; expected text in quotes' '{"text": 3}' classify m
config "a list" 2 'bad.json: man is neither text, a number, true nor false' '{"man": [1]}' help
config "within itself" 2 'bad.json: unknown option' '{"config": "x"}' help
config "not JSON" 3 'bad.json' '{"man"' help
config "no object" 3 'bad.json: expected a JSON object' '[1]' help
split "$fovea" help --config no-such.json
expect_match "a missing config file is named" "$messages" 'no-such.json'

# "--" ends the options.
split "$fovea" runs -- --help
expect_match "after -- everything is an operand" "$messages" '^fovea: --help is no folder'
