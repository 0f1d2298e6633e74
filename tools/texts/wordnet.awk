# WordNet's data files: "pair <TAB> words <TAB> gloss" for each meaning, "en <TAB> sentence" for each example.
/^  / { next }
{
    at = index($0, " | ")
    if (at == 0) next
    gloss = substr($0, at + 3)
    n = hex($4)
    words = ""
    for (i = 0; i < n && i < 3; i++) words = words (words == "" ? "" : ", ") plain($(5 + 2 * i))
    while (match(gloss, /"[^"]*"/)) {
        example = substr(gloss, RSTART + 1, RLENGTH - 2)
        gloss = substr(gloss, 1, RSTART - 1) substr(gloss, RSTART + RLENGTH)
        print "en\t" example
    }
    gsub(/[; ]+$/, "", gloss)
    gsub(/ ;|; ;/, ";", gloss)
    print "pair\t" words "\t" gloss
}
function hex(s) { return index("0123456789abcdef", substr(s, 1, 1)) * 16 - 16 + index("0123456789abcdef", substr(s, 2, 1)) - 1 }
function plain(w) { gsub(/_/, " ", w); sub(/\([a-z]+\)$/, "", w); return w }
