# shellcheck shell=sh disable=SC2001
# What is made from the table of commands: help, the man page, completions. Their examples work.
. tests/cli/lib/program.sh

commands='train
eval
classify
embed
tag
explain
tokenizer train
tokenizer encode
tokenizer decode
inspect
runs
serve
bench
help'

split "$fovea" --version
expect_match "--version" "$out" '^fovea [0-9]+\.[0-9]+\.[0-9]+ '
split "$fovea" help
expect_status "help" 0
expect_equal "--help is help" "$("$fovea" --help)" "$out"
all=$out
split "$fovea" help tokenizer
expect_match "a family lists its commands" "$out" '^  tokenizer decode'

man=$("$fovea" help --man)
bash=$("$fovea" help --completion bash)
zsh=$("$fovea" help --completion zsh)
fish=$("$fovea" help --completion fish)

# Options as help shows them: --name at the start of a line.
options_of() {
    sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p'
}

# contains NAME TEXT WORD: the word stands in the text, as it is
contains() {
    case $2 in
    *"$3"*) ;;
    *) missing="$missing $3" ;;
    esac
}

echo "$commands" > "$scratch/commands"
while read -r command; do
    expect_match "help lists $command" "$all" "^  $command  *[a-z]"
    # shellcheck disable=SC2086 # a command may be two words
    split "$fovea" $command --help < /dev/null
    expect_status "$command --help" 0
    expect_equal "$command --help says nothing else" "$messages" ""
    expect_match "$command --help: synopsis" "$(echo "$out" | tr '\n' ' ')" "  fovea $command.* \[OPTION…\]" # which may take two lines
    expect_match "$command --help: an example" "$out" "^  .*fovea $command"
    expect_equal "$command --help fits 80 columns but for examples" \
        "$(echo "$out" | grep -v '^  .*fovea' | awk '{ gsub(/[\200-\277]/, "") } length > 80')" ""
    # shellcheck disable=SC2086
    expect_equal "help $command is the same" "$("$fovea" help $command)" "$out"
    missing=
    for option in $(echo "$out" | options_of); do
        contains man "$man" "$(echo "$option" | sed 's/-/\\-/g')"
        contains bash "$bash" "$option"
        contains zsh "$zsh" "'$option"
        contains fish "$fish" "-l ${option#--} "
    done
    expect_equal "$command: each option is in the man page and the completions" "$missing" ""
    # An example is read as far as its last word before --help stops it, so a wrong option shows.
    echo "$out" | sed -n '/^Examples/,/^$/s/^  //p' > "$scratch/examples"
    while read -r example; do
        tail=${example##*fovea }
        words=$(echo "$tail" | sed 's/ [>|].*//')
        split sh -c "\"\$0\" $words --help" "$fovea" < /dev/null
        expect_status "example: $example" 0
    done < "$scratch/examples"
done < "$scratch/commands"

# The man page is roff that a formatter takes without a warning.
echo "$man" > "$scratch/fovea.1"
if command -v groff > /dev/null; then
    run groff -man -Tutf8 -ww -z "$scratch/fovea.1"
    expect_equal "groff has nothing to say about the man page" "$output" ""
elif command -v mandoc > /dev/null; then
    run mandoc -T lint -W warning "$scratch/fovea.1"
    expect_equal "mandoc has nothing to say about the man page" "$output" ""
else
    skip "the man page" "no groff, no mandoc"
fi

# Completions: the shells take them, and bash completes.
for shell in bash zsh fish; do
    if ! command -v $shell > /dev/null; then
        skip "$shell takes its completions" "no $shell"
        continue
    fi
    "$fovea" help --completion $shell > "$scratch/completion"
    run $shell -n "$scratch/completion"
    expect_equal "$shell takes its completions" "$output" ""
done

# offered WORDS…: what bash offers for the last of them.
offered() {
    # shellcheck disable=SC2016 # the inner shell expands
    echo "$bash" | bash -c '. /dev/stdin; COMP_WORDS=(fovea "$@"); COMP_CWORD=$#; _fovea; echo "${COMPREPLY[*]}"' offered "$@"
}
if command -v bash > /dev/null; then
    expect_equal "bash completes commands" "$(offered tok)" "tokenizer"
    expect_equal "bash completes second words" "$(offered tokenizer en)" "encode"
    expect_equal "bash completes options" "$(offered train --epo)" "--epochs"
    expect_equal "bash completes options of two-word commands" "$(offered tokenizer train --vo)" "--vocab"
    expect_equal "bash completes words of an option" "$(offered train --pooling m)" "mean max"
    expect_equal "bash completes words of an operand" "$(offered bench g)" "gemm"
    (cd "$scratch" && expect_equal "bash completes files" "$(offered eval foveax fove)" "fovea.1")
else
    skip "bash completes" "no bash"
fi
