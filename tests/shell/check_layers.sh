# tools/check-layers: what it refuses, and how it says so.
. tests/shell/lib/check.sh

mkdir -p "$scratch/tools" "$scratch/src/base" "$scratch/src/text" "$scratch/src/kernels/cpu" "$scratch/app/cli"
cp tools/layers.txt "$scratch/tools/"

# try FILE INCLUDE: checks a tree in which only FILE includes something.
try() {
    printf '/* x */\n#include <stdio.h>\n#include "%s"\n' "$2" > "$scratch/$1"
    run tools/check-layers "$scratch"
    rm "$scratch/$1"
}

try src/text/a.c base/err.h
expect_equal "a lower room may be seen" "$status" 0
try src/text/a.c fovea.h
expect_equal "the public header may be seen" "$status" 0
try src/kernels/cpu/a.c kernels/cpu/b.h
expect_equal "the own room may be seen from a folder within" "$status" 0
try src/base/a.c text/tokenizer.h
expect_equal "a higher room may not" "$status" 1
expect_match "file, line and what is allowed are named" "$output" '^src/base/a.c:3: base includes "text/tokenizer.h" of text; base may see: fovea.h base'
try src/kernels/cpu/a.c text/tokenizer.h
expect_equal "arithmetic may not see text" "$status" 1
try app/cli/a.c train/train.h
expect_equal "the program may not see the engine's rooms" "$status" 1
try src/text/a.c tokenizer.h
expect_match "an include without its room is refused" "$output" 'expected "ROOM/FILE.h"'
mkdir "$scratch/src/attic"
try src/attic/a.c base/err.h
expect_match "a room that is not in the table is refused" "$output" '^src/attic/a.c:1: the folder "attic" is not in tools/layers.txt'
