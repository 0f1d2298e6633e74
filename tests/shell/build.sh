# The Makefile: nothing is built twice, a change is noticed, and `make help` hides nothing.
. tests/shell/lib/check.sh

make=${MAKE:-make}

run "$make" all
run "$make" all
expect_equal "a second build compiles nothing" "$(printf '%s\n' "$output" | grep '^\(cc\|ld\|ar\) ')" ""

# A small tree of its own, so that this checkout's files stay as they are.
mkdir -p "$scratch/include" "$scratch/src/base" "$scratch/src/graph" "$scratch/src/ops"
cp -r Makefile tools "$scratch/"
printf '#include <stddef.h>\ntypedef struct fv_op fv_op;\n' > "$scratch/src/graph/op.h"
: > "$scratch/src/graph/graph.h"
echo '#define FV_VERSION "1.2.3"' > "$scratch/include/fovea.h"
echo 'int one(void); int one(void) { return 1; }' > "$scratch/src/base/one.c"
printf '#include "base/two.h"\nint two(void) { return TWO; }\n' > "$scratch/src/base/two.c"
printf 'int two(void);\n#define TWO 2\n' > "$scratch/src/base/two.h"

# compiled [MAKE-ARGUMENTS…]: what a build of the tree compiles.
compiled() {
    "$make" -s -C "$scratch" build/libfovea.a "$@" | sed -n 's|^cc build/obj/||p' | LC_ALL=C sort | tr '\n' ' '
}

expect_equal "every source is found" "$(compiled)" "gen/op_table.o src/base/one.o src/base/two.o "
sleep 1
touch "$scratch/src/base/two.h"
expect_equal "a changed header compiles what includes it" "$(compiled)" "src/base/two.o "
expect_equal "other flags compile everything" "$(compiled CFLAGS=-DX)" "gen/op_table.o src/base/one.o src/base/two.o "
echo 'int three(void); int three(void) { return 3; }' > "$scratch/src/base/three.c"
expect_equal "a new source is found" "$(compiled CFLAGS=-DX)" "src/base/three.o "
rm "$scratch/src/base/three.c"
compiled CFLAGS=-DX > "$scratch/log"
expect_equal "a removed source leaves the library" "$(ar t "$scratch/build/libfovea.a" | tr '\n' ' ')" "one.o two.o op_table.o "

run "$make" help
for target in all test test-san test-all check-layers fuzz bench install clean; do
    expect_match "help names $target" "$output" "^  make $target "
done
