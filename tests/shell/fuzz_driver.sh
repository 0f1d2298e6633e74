# tests/fuzz/driver.c finds what was planted, saves the input that shows it, and runs it again.
. tests/shell/lib/check.sh

corpus=$scratch/corpus
saved=$scratch/saved
mkdir "$corpus"
echo 'abcd' > "$corpus/seed"

# plant NAME STATEMENT: builds a target that runs STATEMENT for inputs that begin with "a{".
plant() {
    cat > "$scratch/$1.c" <<END
#include <stdint.h>
#include <stdlib.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 && data[0] == 'a' && data[1] == '{') { $2; }
    return 0;
}
END
    # shellcheck disable=SC2086 # CC may hold flags
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 "$scratch/$1.c" tests/fuzz/driver.c -o "$scratch/$1"
}

# fuzz NAME SECONDS
fuzz() {
    rm -f "$saved"
    run "$scratch/$1" --seconds "$2" --save "$saved" "$corpus"
}

plant good ''
fuzz good 1
expect_equal "a sound target passes" "$status" 0
expect_match "the runs are counted" "$output" '^note: good: 1 files, then [1-9][0-9]+ runs in 1 s'

for kind in 'crash:*(volatile int *)8 = 1' 'abort:abort()' 'exit:exit(0)'; do
    plant "${kind%%:*}" "${kind#*:}"
    fuzz "${kind%%:*}" 20
    expect_match "${kind%%:*}: it fails" "$status" '^[1-9]'
    expect_equal "${kind%%:*}: the input is saved" "$(head -c 2 "$saved")" 'a{'
    run "$scratch/${kind%%:*}" "$saved"
    expect_match "${kind%%:*}: the saved input shows it again" "$status" '^[1-9]'
done

plant hang 'for (;;) {}'
fuzz hang 20
expect_match "a hang is noticed" "$output" 'ran for 5 seconds'
expect_equal "and its input is saved" "$(head -c 2 "$saved")" 'a{'

run "$scratch/good" --seconds 1 --save "$saved" "$scratch/nowhere"
expect_equal "a folder that is not there fails" "$status" 1
