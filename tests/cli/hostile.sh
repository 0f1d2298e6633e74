# Model folders that lie, are cut, or make no sense: bad input (3), one line that names the file, and
# nothing else. Full disks and folders that cannot be written: failed (1), and what was there stays.
. tests/cli/lib/program.sh
encoders=$PWD/tests/golden/encoders
cd "$scratch" || exit 1
unset TERM

sample_table 1 12 > train.tsv
sample_table 13 18 > valid.tsv
tiny='--layers 1 --width 32 --heads 2 --ffn 48 --max-len 24 --vocab 320'
# shellcheck disable=SC2086 # words
split "$fovea" train classify --train train.tsv --valid valid.tsv --out good $tiny --steps 5 --quiet < /dev/null
expect_status "a model to damage" 0
cp -r good bad

# ask: the damaged model for an answer.
ask() {
    split "$fovea" classify bad < valid.tsv
}

# One line on stderr that names the file, nothing on stdout, status 3. Prints what was wrong instead.
refusal_of() {
    ask
    lines=$(printf '%s\n' "$messages" | wc -l | tr -d ' ')
    if [ "$status" -ne 3 ]; then echo "status $status: $messages"
    elif [ "$lines" -ne 1 ]; then echo "$lines lines: $messages"
    elif [ -n "$out" ]; then echo "an answer: $out"
    else case $messages in *"$1"*) ;; *) echo "does not name $1: $messages" ;; esac
    fi
}

# Answered in peace, or refused: prints what was wrong instead.
survival_of() {
    ask
    case $status in
    0) ;;
    3) refusal_of "$1" ;;
    *) echo "status $status: $messages" ;;
    esac
}

# ---- Cut ----

for file in config.json fovea.json tokenizer.json model.safetensors wide.safetensors; do
    size=$(wc -c < good/$file)
    wrong=
    for at in 0 1 7 8 9 100 $((size / 3)) $((size / 2)) $((size - 100)) $((size - 2)); do
        head -c $at good/$file > bad/$file
        wrong=$wrong$(refusal_of bad)
    done
    expect_equal "$file cut" "$wrong" ""
    rm bad/$file
    if [ $file = fovea.json ]; then # as in folders that other programs write
        expect_equal "$file missing" "$(ask; echo "$status")" 0
    else
        expect_equal "$file missing" "$(ask; echo "$status" "$messages" | grep -c "^[13] .*$file")" 1
    fi
    mkdir bad/$file
    expect_equal "$file is a folder" "$(ask; echo "$status" "$messages" | grep -c "^[13] .*$file")" 1
    rmdir bad/$file
    head -c "$size" /dev/zero > bad/$file
    expect_equal "$file of zeros" "$(refusal_of $file)" ""
    cp good/$file bad/$file
done

# ---- Absurd fields ----

# Every field that is a line of its own, set to what it cannot be.
for file in config.json fovea.json; do
    wrong=
    for key in $(sed -n 's/^  "\([a-z_0-9]*\)": [^[{].*/\1/p' good/$file); do
        for value in -1 0 1e308 99999999999999 '"x"' '[{"a": [1]}]' null; do
            sed "s/^  \"$key\": .*[^,]/  \"$key\": $value/" good/$file > bad/$file
            cmp -s good/$file bad/$file && [ "$value" != 0 ] && wrong="$wrong$key was not changed; "
            found=$(survival_of $file)
            [ -z "$found" ] || wrong="$wrong$key = $value: $found; "
        done
    done
    expect_equal "$file with absurd fields" "$wrong" ""
    cp good/$file bad/$file
done

# ---- Lies about weights ----

# A header of our own before the true data.
with_header() {
    length=$(printf '%s' "$1" | wc -c)
    { awk -v n="$length" 'BEGIN { for (i = 0; i < 8; i++) { printf "\\%03o", n % 256; n = int(n / 256) } }' | xargs -0 printf; printf '%s' "$1"; head -c 4096 /dev/zero; } > bad/model.safetensors
}
wrong=
for header in '{}' '[]' '{"x":1}' '{"classifier.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}' \
    '{"classifier.bias":{"dtype":"F32","shape":[3],"data_offsets":[0,99999999999]}}' \
    '{"classifier.bias":{"dtype":"F32","shape":[-3],"data_offsets":[0,12]}}' \
    '{"classifier.bias":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}' \
    '{"classifier.bias":{"dtype":"Q4","shape":[3],"data_offsets":[0,12]}}' \
    '{"a":{"dtype":"F32","shape":[3],"data_offsets":[4,16]},"b":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'; do
    with_header "$header"
    wrong=$wrong$(refusal_of model.safetensors)
done
expect_equal "model.safetensors with false headers" "$wrong" ""
printf '\377\377\377\377\377\377\377\177{}' > bad/model.safetensors
expect_equal "model.safetensors with an endless header" "$(refusal_of model.safetensors)" ""
cp good/model.safetensors bad/model.safetensors
ask
expect_status "the mended model answers" 0

# ---- Folders ----

split "$fovea" classify no-such-model < valid.tsv
expect_match "a model that is not there" "$status $messages" '^[13] .*no-such-model'
split "$fovea" classify train.tsv < valid.tsv
expect_match "a file instead of a folder" "$status $messages" '^[13] .*train\.tsv'
# shellcheck disable=SC2086
split "$fovea" train classify --train train.tsv --valid valid.tsv --out train.tsv/model $tiny --steps 2
expect_match "a folder inside a file" "$status $messages" '^[13] .*train\.tsv'

# Root writes everywhere, so it becomes nobody for this one, where that can be and nobody may run the program.
as_somebody=
if [ "$(id -u)" -eq 0 ]; then
    as_somebody='setpriv --reuid=65534 --regid=65534 --clear-groups'
    chmod 755 "$scratch"
fi
mkdir -m 555 locked
# shellcheck disable=SC2086
if $as_somebody "$fovea" --version > /dev/null 2>&1 && $as_somebody test -r train.tsv; then
    split $as_somebody "$fovea" train classify --train train.tsv --valid valid.tsv --out locked/model $tiny --steps 2
    expect_match "a read-only folder" "$status $messages" '^1 .*locked.*Permission denied'
    cp -r good kept
    chmod -R a+rX kept
    chmod 555 kept
    before=$(cat kept/*.json kept/*.safetensors | cksum)
    split $as_somebody "$fovea" train classify --train train.tsv --valid valid.tsv --out kept $tiny --steps 2 < /dev/null
    expect_match "a model that others own" "$status $messages" '^1 .*kept'
    expect_equal "stays as it was" "$(cat kept/*.json kept/*.safetensors | cksum)" "$before"
    split $as_somebody "$fovea" classify kept < valid.tsv
    expect_status "and answers those who may only read it" 0
    chmod 755 kept
else
    skip "a read-only folder" "root writes everywhere, and nobody cannot run the program here"
fi

# ---- Folders that are no model: what was found, what was expected ----

# folder_says NAME FOLDER MESSAGE: what embed says of it.
folder_says() {
    split "$fovea" embed "$2" < valid.tsv
    expect_match "$1" "$messages" "^fovea: $2$3"
    expect_equal "and nothing else" "$out" ""
}
expected='expected a model folder with config\.json, model\.safetensors and tokenizer\.json$'
mkdir empty lone
echo '[PAD]' > lone/vocab.txt
folder_says "no such folder" nowhere ": no such folder; $expected"
folder_says "a file" train.tsv ": is a file; $expected"
folder_says "an empty folder" empty ": no config\.json in it \(it is empty\); $expected"
folder_says "only vocab.txt" lone ": no config\.json in it \(it holds \"vocab\.txt\"\); $expected"
cp -r "$encoders/cross" lacks
rm lacks/tokenizer.json
folder_says "no tokenizer" lacks ': no tokenizer in it \(it holds "config\.json", .* and [0-9]+ more\); expected tokenizer\.json, vocab\.txt, vocab\.json with merges\.txt, or a SentencePiece model$'
rm lacks/model.safetensors
folder_says "no weights" lacks ': no weights in it \(it holds .*\); expected model\.safetensors, or model\.safetensors\.index\.json and the files that it lists$'
cp -r "$encoders/bert-sharded" sharded
rm sharded/model-00003-of-00004.safetensors
folder_says "a missing shard" sharded '/model-00003-of-00004\.safetensors: is missing; sharded/model\.safetensors\.index\.json lists 4 such files: fetch the folder again$'
cp -r "$encoders/cross" strange
sed 's/"model_type": *"bert"/"model_type": "mamba"/' "$encoders/cross/config.json" > strange/config.json
folder_says "a family that is not known" strange '/config\.json: model_type is "mamba"; supported: "bert", '
cp -r "$encoders/cross" larger
sed 's/"vocab_size": *[0-9]*/"vocab_size": 30522/' "$encoders/cross/config.json" > larger/config.json
folder_says "another vocabulary" larger '/model\.safetensors: bert\.embeddings\.word_embeddings\.weight is \[[0-9]+, 16\]; config\.json says \[30522, 16\]'
if [ "$(id -u)" -ne 0 ]; then
    cp -r "$encoders/cross" shut
    chmod 0 shut
    folder_says "a folder that may not be read" shut ': no config\.json in it \(it cannot be read: Permission denied\)'
    chmod 700 shut
fi

# ---- A full disk ----

mkdir disk
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=512k none disk 2> /dev/null; then
    trap 'umount "$scratch/disk" 2> /dev/null; rm -rf "$scratch"' EXIT
    cp -r good disk/model
    before=$(cat disk/model/*.json disk/model/model.safetensors | cksum)
    # shellcheck disable=SC2086
    split "$fovea" train classify --train train.tsv --valid valid.tsv --out disk/model --layers 4 --width 64 --steps 3 --quiet
    expect_status "a full disk" 1
    expect_match "is said" "$messages" 'disk/model.*No space left'
    expect_equal "the old model is as it was" "$(cat disk/model/*.json disk/model/model.safetensors | cksum)" "$before"
    split "$fovea" classify disk/model < valid.tsv
    expect_status "and answers" 0
    expect_equal "nothing half-written is left" "$(find disk/model -name '*.tmp*' -o -name .new)" ""
else
    skip "a full disk" "mounting a small one takes root"
fi
