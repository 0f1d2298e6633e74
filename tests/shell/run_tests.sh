# tools/run-tests: that what fails, crashes, hangs or says nothing is counted as a failure.
. tests/shell/lib/check.sh

plan=$scratch/plan

# try KIND SECONDS COMMAND: the counts "passed failed skipped" of one case.
try() {
    echo "$1|$2|case|$3" > "$plan"
    run tools/run-tests --case "$plan" 1
    counts=$(cat "$plan.1.count")
}

cat > "$scratch/cmocka" <<'END'
[==========] Running 5 test(s).
[  PASSED  ] 3 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] later
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] wrong
END
try cmocka 9 "cat $scratch/cmocka; exit 1"
expect_equal "cmocka's summary is read" "$counts" "3 1 1"
try cmocka 9 'echo "[  PASSED  ] 3 test(s)."'
expect_equal "all passed" "$counts" "3 0 0"
try cmocka 9 'echo "[  PASSED  ] 3 test(s)."; exit 1'
expect_equal "a bad exit after a good summary fails" "$counts" "3 1 0"
try cmocka 9 'echo "[       OK ] a"; kill -SEGV $$'
expect_equal "a crash before the summary fails" "$counts" "0 1 0"
expect_match "the signal is named" "$output" 'ended by signal 11'
try cmocka 9 'true'
expect_equal "no summary fails" "$counts" "0 1 0"
if command -v timeout > /dev/null; then
    try once 1 'sleep 20'
    expect_equal "a hang fails" "$counts" "0 1 0"
    expect_match "and is said to be one" "$output" 'stopped after 1 s'
else
    echo "skip a hang fails: no timeout command here"
fi
try lines 9 'echo "ok a"; echo "not ok b: why"; echo "skip c: why"; echo "okay, no result"'
expect_equal "lines are counted" "$counts" "1 1 1"
expect_match "what a failing case printed is shown" "$output" 'not ok b: why'
try lines 9 'echo "ok a"; exit 3'
expect_equal "a script that breaks off fails" "$counts" "1 1 0"
try once 9 'true'
expect_equal "an exit status of 0 passes" "$counts" "1 0 0"
expect_match "what passes takes one line" "$(printf '%s\n' "$output" | wc -l)" '^ *1$'
