# shellcheck shell=sh
# fovea convert: CTranslate2's folders become models of ours, which say what that tool says; refused in words; all or nothing.
. tests/cli/lib/program.sh

models=$root/../shared/models/ctranslate2_aren-transliteration
golden=$root/tests/golden/transliteration.tsv
cd "$scratch" || exit 1

# ---- Refused ----

split "$fovea" convert
expect_status "IN and OUT are needed" 2
split "$fovea" convert nowhere out
expect_status "no such folder" 1
expect_match "is said" "$messages" '^fovea: nowhere: no such folder; expected a model of CTranslate2'
mkdir empty
split "$fovea" convert empty out
expect_status "no model.bin" 3
expect_match "is said too" "$messages" 'empty: no model\.bin; supported: models of CTranslate2'
mkdir bad
printf '\006\000\000\000' > bad/model.bin
split "$fovea" convert bad out
expect_status "a file cut short" 3
expect_match "names file and place" "$messages" 'bad/model\.bin: the name of the specification at byte 4 has 2 bytes, but 0 are left'
printf '\006\000\000\000\014\000WhisperSpec\000\003\000\000\000\000\000\000\000\000\000\000\000' > bad/model.bin
split "$fovea" convert bad out
expect_status "another architecture" 3
expect_match "is named" "$messages" 'bad/model\.bin: a model of kind "WhisperSpec"; supported: TransformerSpec'
expect_equal "nothing is left behind" "$(ls)" "bad
empty
messages"

# ---- The models of ../shared ----

# golden_words MODEL BEAM; golden_translations MODEL BEAM
golden_words() { awk -F '\t' -v m="$1" -v b="$2" '$1 == m && $2 == b { print $3 }' "$golden"; }
golden_translations() { awk -F '\t' -v m="$1" -v b="$2" '$1 == m && $2 == b { print $4 }' "$golden"; }

# says_the_same MODEL FOLDER
says_the_same() {
    split "$fovea" convert "$2" "$1"
    expect_status "$1: converted" 0
    expect_match "$1: says how to go on" "$messages" "^$1: done; fovea translate reads it\$"
    for beam in 1 2 5; do
        golden_words "$1" "$beam" > words.txt
        split "$fovea" translate "$1" words.txt --beam "$beam"
        expect_status "$1: translates, beam $beam" 0
        expect_equal "$1: the tool's own words, beam $beam" "$out" "$(golden_translations "$1" "$beam")"
    done
}

if [ ! -d "$models" ]; then
    skip "CTranslate2's own models" "../shared/models is not here"
    exit 0
fi
if ! "$fovea" translate --help > /dev/null 2>&1; then
    skip "CTranslate2's own models" "this program does not translate"
    exit 0
fi
says_the_same float32 "$models"
says_the_same int16 "$models-i16"
says_the_same int8 "$models-i8"

split "$fovea" convert "$models" float32
expect_status "a folder that is there already" 2
expect_match "is not overwritten" "$messages" 'float32: is there already, and nothing is overwritten'
split "$fovea" convert "$models" again --json
expect_equal "--json names the model" "$out" '{"model":"again"}'
split "$fovea" inspect again --json
expect_match "it can be inspected" "$out" '"task":"translate"'
