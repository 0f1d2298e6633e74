# Read by the bench scripts (". bench/lib.sh", from the repository's root): where things are, what
# machine and commit this is, the sets.
# shellcheck shell=sh disable=SC2034 # what is set here is used there

results=build/bench
mkdir -p "$results/pred" "$results/models"

die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit "${2:-1}"
}

# need_value OPTION COUNT: an option's value has to follow.
need_value() {
    [ "$2" -ge 2 ] || die "$1 needs a value; --help says which" 2
}

need_number() { # OPTION VALUE
    case $2 in
    '' | *[!0-9]*) die "$1: found \"$2\", expected a whole number" 2 ;;
    esac
}

# The comment at a script's head is its help.
show_head() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit 0
}

find_program() { # PROGRAM
    program=$1
    [ -x "$program" ] || die "$program: no such program; build it with ./run build"
}

# build_tool NAME: build/bench/NAME, from bench/NAME.c.
build_tool() {
    "${MAKE:-make}" -s "$results/$1" >&2 || die "$results/$1 could not be built"
}

# ---- Machine and commit ----------------------------------------------------------------------

cpu_model() {
    model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2> /dev/null | head -n 1)
    [ -n "$model" ] || model=$(sysctl -n machdep.cpu.brand_string 2> /dev/null) || model=$(uname -m)
    printf '%s\n' "$model" | tr -d '"\\\t'
}

# Ends in "+" when the sources are not those of the commit.
commit() {
    id=$(git rev-parse --short=10 HEAD 2> /dev/null) || { echo unknown; return; }
    [ -z "$(git status --porcelain -- src include app bench Makefile 2> /dev/null)" ] || id=$id+
    echo "$id"
}

now() {
    date -u +%Y-%m-%dT%H:%M:%SZ
}

# stamp_lines: puts date, commit and processor at the head of each JSON object that comes in.
stamp_lines() {
    stamp="\"date\":\"$(now)\",\"commit\":\"$(commit)\",\"cpu\":\"$(cpu_model)\"" awk '{ print "{" ENVIRON["stamp"] "," substr($0, 2) }'
}

# fields PATH…: of each JSON line that comes in, tabs between them, "-" for what is not there.
fields() {
    awk -f bench/json.awk -v paths="$*"
}

# ratio_line CASE: of ratios to a peer, one a line, the JSON line of bench "peers".
# shellcheck disable=SC2154 # isa and threads are the caller's
ratio_line() {
    LC_ALL=C sort -n | awk -v name="$1" -v isa="$isa" -v threads="$threads" '
        { ratio[NR] = $1 }
        END {
            if (!NR) exit
            median = NR % 2 ? ratio[(NR + 1) / 2] : (ratio[NR / 2] + ratio[NR / 2 + 1]) / 2
            printf "{\"bench\":\"peers\",\"case\":\"%s\",\"isa\":\"%s\",\"threads\":%d,\"value\":%.3f,\"unit\":\"times\",\"median_of\":%d,\"min\":%.3f,\"max\":%.3f}\n", \
                name, isa, threads, median, NR, ratio[1], ratio[NR]
        }'
}

# ---- Sets ------------------------------------------------------------------------------------

find_data() { # FOLDER or nothing
    data=${1:-${FOVEA_DATA:-../shared/data}}
    [ -d "$data" ] || die "$data: no such folder; name the data folder with --data or FOVEA_DATA"
}

set_lines() {
    grep -v '^#' bench/sets.tsv | sed 1d
}

# set_names [NAME…]: those asked for, or all.
set_names() {
    if [ $# -eq 0 ]; then set_lines | cut -f 1; else printf '%s\n' "$@"; fi
}

# load_set NAME: sets train, valid ("" if there is none), test, text, label and script.
load_set() {
    line=$(set_lines | awk -F '\t' -v name="$1" '$1 == name')
    [ -n "$line" ] || die "$1: no such set; bench/sets.tsv has $(set_lines | cut -f 1 | tr '\n' ' ')" 2
    tab=$(printf '\t')
    IFS=$tab read -r _ train valid test text label script << END
$line
END
    train=$data/$train test=$data/$test
    if [ "$valid" = - ]; then valid=; else valid=$data/$valid; fi
    for file in "$train" "$test" ${valid:+"$valid"}; do
        [ -r "$file" ] || die "$file: cannot be read; it is a file of the set $1"
    done
}
