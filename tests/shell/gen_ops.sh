# tools/gen-ops: what it finds in op files, and that it leaves unchanged output alone.
. tests/shell/lib/check.sh

ops=$scratch/ops
out=$scratch/out
mkdir "$ops"

run tools/gen-ops "$ops" "$out"
expect_equal "an empty folder is fine" "$status" 0
expect_match "no op: the count is 0" "$(cat "$out/op_table.c")" '^const int fv_n_ops = 0;$'

cat > "$ops/twice.c" <<'END'
FV_OP_FN fv_tensor *fv_twice(fv_graph *g, fv_tensor *x) {
    return x;
}
const fv_op fv_op_twice = {
    .name = "twice",
};
END
cat > "$ops/add.c" <<'END'
const fv_op fv_op_add = {
END
run tools/gen-ops "$ops" "$out"
expect_match "an op is declared" "$(cat "$out/ops.h")" '^extern const fv_op fv_op_twice;$'
expect_match "a builder is declared" "$(cat "$out/ops.h")" '^fv_tensor \*fv_twice\(fv_graph \*g, fv_tensor \*x\);$'
expect_equal "ops are listed by name" "$(grep -o 'fv_op_[a-z]*,' "$out/op_table.c" | tr '\n' ' ')" "fv_op_add, fv_op_twice, "
expect_match "they are counted" "$(cat "$out/op_table.c")" '^const int fv_n_ops = 2;$'

touch -d '2001-01-01' "$out/ops.h" "$out/op_table.c"
tools/gen-ops "$ops" "$out"
expect_equal "unchanged output keeps its time" "$(find "$out" -newermt 2002-01-01 -type f)" ""

rm "$ops/add.c"
tools/gen-ops "$ops" "$out"
expect_match "a removed op is gone" "$(cat "$out/op_table.c")" '^const int fv_n_ops = 1;$'

printf 'FV_OP_FN fv_tensor *fv_split(fv_graph *g,\n    fv_tensor *x) {\n' > "$ops/split.c"
run tools/gen-ops "$ops" "$out"
expect_equal "a signature over two lines is refused" "$status" 1
expect_match "and its place is named" "$output" 'split.c:1: found a builder that goes on in the next line'

printf 'const fv_op fv_op_twice = {\n' > "$ops/split.c"
run tools/gen-ops "$ops" "$out"
expect_equal "an op defined in two files is refused" "$status" 1
