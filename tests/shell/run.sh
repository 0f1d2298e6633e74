# ./run on a machine where something is missing: a PATH of our own holds fake package managers.
. tests/shell/lib/check.sh

bin=$scratch/bin
mkdir "$bin"
for tool in sh env cat tail tr sleep kill mkdir grep sed dirname; do
    ln -s "$(command -v $tool)" "$bin/$tool"
done

# fake NAME BODY: a command of that name.
fake() {
    printf '#!/bin/sh\n%s\n' "$2" > "$bin/$1"
    chmod +x "$bin/$1"
}

# A copy of the script, so that nothing of this checkout's build is touched.
cp run "$scratch/run"
try() {
    run env PATH="$bin" "$scratch/run" "$@"
}

run ./run help
expect_match "help names the jobs" "$output" '^  install PREFIX'
run ./run frobnicate
expect_equal "an unknown job is wrong usage" "$status" 2

fake id 'echo 1000'
try build
expect_equal "without a package manager it fails" "$status" 1
expect_match "and says what is missing" "$output" '^missing: compiler pkg-config utf8proc pcre2 jansson zlib microhttpd curl$'

fake apt-get 'exit 0'
try test
expect_equal "without root and sudo it fails" "$status" 1
expect_match "and prints the command to run" "$output" \
    '^    apt-get install -y --no-install-recommends gcc libc6-dev make pkg-config libutf8proc-dev libpcre2-dev libjansson-dev zlib1g-dev libmicrohttpd-dev libcurl4-gnutls-dev ca-certificates libcmocka-dev$'

fake sudo 'echo "no" >&2; exit 1'
try build
expect_match "a sudo that refuses is as good as none" "$output" 'run as root:'

# Root: the manager is called, and what it could not bring is named.
fake id 'echo 0'
fake apt-get 'echo "apt-get $*"; case $1 in install) exit 100 ;; esac'
try build
expect_equal "a failing install fails" "$status" 1
expect_match "the log is shown" "$output" '^apt-get install'
fake apt-get 'exit 0'
try build
expect_match "an install that brings nothing is noticed" "$output" '^still missing after installing: compiler pkg-config'
rm "$bin/apt-get"

for manager in dnf pacman apk brew; do
    fake "$manager" "echo \"$manager \$*\"; exit 1"
    try test
    expect_match "$manager is asked for its own names" "$output" "^$manager .*(pkgconf|pkgconf-pkg-config) .*utf8proc.* .*cmocka"
    rm "$bin/$manager"
done
