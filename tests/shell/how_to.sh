# docs/add-an-op.md and docs/add-a-model.md do what they say: their code is taken out, put into a copy
# of the tree, built by the commands of the page and run; docs/attention.md names what is there. The copy
# begins with the objects that are built here, so that only what a new op touches is compiled.
. tests/shell/lib/check.sh

copy=$scratch/tree
make=${MAKE:-make}
unset MAKEFLAGS MFLAGS # those of a make that runs this test: its jobs are not ours

# block DOCUMENT INFO: the fenced blocks that open with ```INFO, one after the other, a blank line between.
block() {
    awk -v info="\`\`\`$2" '
        inside && $0 == "```" { inside = 0; next }
        inside
        !inside && $0 == info { if (seen++) print ""; inside = 1 }' "docs/$1"
}

# Writes every file that the document holds; prints their names.
write_files() {
    sed -n 's/^```c \(..*\)$/\1/p' "docs/$1" | awk '!seen[$0]++' | while IFS= read -r file; do
        mkdir -p "$copy/$(dirname "$file")"
        block "$1" "c $file" > "$copy/$file"
        echo "$file"
    done
}

# The page's commands, in the copy.
follow() {
    run sh -c "set -e; cd '$copy'; make() { command '$make' -j2 \"\$@\"; }; $(block "$1" sh)"
}

mkdir -p "$copy/tests" "$copy/build/obj"
cp -pR include src tools Makefile "$copy"
cp -pR tests/ops "$copy/tests"
for built in flags gen obj/src obj/gen; do
    [ ! -e "build/$built" ] || cp -pR "build/$built" "$copy/build/$built"
done

# ---- A model ----

files=$(write_files add-a-model.md | tr '\n' ' ')
expect_equal "the model is three files" "$files" "src/models/asker.h src/models/asker.c tests/models/asker_test.c "
lines=$(cat "$copy/src/models/asker.h" "$copy/src/models/asker.c" | grep -Evc '^( *\*| */\*|$)')
if [ "$lines" -le 60 ]; then ok "the model has at most 60 lines"; else not_ok "the model has at most 60 lines" "found $lines"; fi
follow add-a-model.md
expect_equal "the model is built, and learns" "$status" 0
expect_match "its test ran" "$output" '\[  PASSED  \] 1 test'
expect_equal "nothing is warned of: the model" "$(printf '%s\n' "$output" | grep 'warning:')" ""
[ "$status" -eq 0 ] || printf '%s\n' "$output" | tail -n 30

# ---- An op ----

files=$(write_files add-an-op.md | tr '\n' ' ')
expect_equal "the op is one file" "$files" "src/ops/gate.c "
follow add-an-op.md
expect_equal "the op is built, and passes with all others" "$status" 0
expect_match "the test ran" "$output" '\[  PASSED  \] 4 test'
expect_equal "nothing is warned of: the op" "$(printf '%s\n' "$output" | grep 'warning:')" ""
[ "$status" -eq 0 ] || printf '%s\n' "$output" | tail -n 30
expect_match "the build found it" "$(grep gate "$copy/build/gen/op_table.c")" '&fv_op_gate,'
expect_match "its builder is declared" "$(grep gate "$copy/build/gen/ops.h")" '^fv_tensor \*fv_gate\('

# ---- A wrong gradient, as the page suggests ----

sed 's/ \* s \* (1 - s)/ * s/' "$copy/src/ops/gate.c" > "$scratch/wrong.c"
if cmp -s "$scratch/wrong.c" "$copy/src/ops/gate.c"; then not_ok "the page's mistake" "the code has no \"* (1 - s)\""; fi
cp "$scratch/wrong.c" "$copy/src/ops/gate.c"
follow add-an-op.md
expect_match "a wrong gradient is found, and named as the page says" "$output" 'gate, plain, plain, pad 0, set: gradient is .*, expected '

# ---- Rules of the tree, for what the pages teach ----

run "$copy/tools/check-style" "$copy"
expect_equal "the code keeps to the style" "$status $output" "0 "
run "$copy/tools/check-layers" "$copy"
expect_equal "the code keeps to the rooms" "$status $output" "0 "

# ---- Names that docs/attention.md sends its reader to ----

missing=$(awk -F '|' '/^\| .* \| `src\// { gsub(/[` ]/, "", $3); gsub(/[` ]/, "", $4); n = split($4, names, ","); for (i = 1; i <= n; i++) print $3, names[i] }' docs/attention.md |
    while read -r file name; do grep -qw -e "$name" "$file" || echo "$file: $name"; done)
expect_equal "docs/attention.md names what is there" "$missing" ""
expect_equal "its table was read" "$(grep -c '^| .* | `src/' docs/attention.md)" 18
