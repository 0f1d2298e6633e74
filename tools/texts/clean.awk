# The common end of all sources. Reads, for one source after the other,
#
#     en    TAB text               a line of English          zh    TAB text    of Chinese
#     prose TAB text               a paragraph, cut into sentences and groups of sentences
#     par   TAB english TAB chinese                           pair  TAB query TAB passage
#     source TAB name              what follows is of this source
#
# and writes en.txt, zh.txt, parallel.tsv, pairs.tsv and counts.tsv into the folder OUT. Both sides of a couple also
# stand among the lines of their language. A line is dropped when it is not of its language, is markup, code or a
# template, was there before (letters alone are compared), or shares eight words or ten Chinese characters in a row
# with a text that models are judged on: those come first, as "judge TAB text". Bytes, not characters: LC_ALL=C.
BEGIN {
    cjk = "[\344-\351][\200-\277][\200-\277]"
    split("1 2 1 4 1 3", sizes, " ")
}

# Text as a person would type it: no tags, entities, Markdown, curly quotes or double blanks.
function tidy(s) {
    if (s ~ /[<&]/) {
        gsub(/<\/?[A-Za-z!][^<>]*>/, " ", s)
        gsub(/&lt;/, "<", s); gsub(/&gt;/, ">", s); gsub(/&quot;|&ldquo;|&rdquo;/, "\"", s)
        gsub(/&#0?39;|&apos;|&rsquo;|&lsquo;|&#8217;|&#8216;/, "'", s)
        gsub(/&nbsp;|&#160;/, " ", s); gsub(/&mdash;|&#8212;/, " - ", s); gsub(/&amp;/, "\\&", s)
    }
    if (s ~ /[*`_\[]/) {
        gsub(/!\[[^\]]*\]\([^)]*\)/, "", s)
        while (match(s, /\[[^\]\[]*\]\([^)]*\)/)) {
            link = substr(s, RSTART + 1, RLENGTH - 1)
            s = substr(s, 1, RSTART - 1) substr(link, 1, index(link, "](") - 1) substr(s, RSTART + RLENGTH)
        }
        gsub(/\*\*|__|`/, "", s)
    }
    gsub(/\342\200[\230\231]/, "'", s)
    gsub(/\342\200[\234\235]/, "\"", s)
    gsub(/\302\240|\343\200\200|\342\200[\213\257]/, " ", s)
    gsub(/~+/, "", s); gsub(/\.\.\.+/, "...", s); gsub(/---+/, "--", s); gsub(/!!+/, "!", s); gsub(/\?\?+/, "?", s)
    gsub(/[\t\r\n ]+/, " ", s)
    sub(/^[-*#>|: ]+/, "", s)
    sub(/ +$/, "", s)
    return s
}

# Code, addresses, templates, tables: nothing that a person would say.
function noise(s) {
    return s ~ /[{}\\^~|<>\001-\037]|%[sdif(]|\$[A-Za-z(]|https?:|www\.|[A-Za-z]_[A-Za-z]|::|->|=>|==|____|\/[a-z]+\/|[a-z]\.[a-z]+\(|\(\)/
}

function is_english(s, least,    n, other, t, words) {
    n = length(s)
    if (n < 3 || n > 700 || noise(s)) return 0
    t = s
    other = gsub(/[\200-\377]/, "", t)
    if (other > n / 16) return 0
    if (gsub(/[A-Za-z]/, "", t) < (n - other) * 0.66) return 0
    if (s !~ /[a-z][a-z]|[A-Z][A-Z]/) return 0
    t = s
    words = gsub(/[A-Za-z]+/, "", t)
    if (words < least || words > 110) return 0
    if (words == 1 && s ~ /[a-z][A-Z]/) return 0
    return 1
}

function is_chinese(s,    t, n, han) {
    if (length(s) < 6 || length(s) > 640 || noise(s)) return 0
    t = s
    han = gsub(/[\344-\351][\200-\277][\200-\277]/, "", t)
    gsub(/[\343\357][\200-\277][\200-\277]|\342\200[\200-\277]|\302\267/, "", t)
    n = length(t)
    if (han < 2 || han < n * 0.8 || han > 200) return 0
    return s !~ /\343\201[\200-\277]|\343\202[\200-\277]|\343\203[\200-\272]|[\352-\355][\200-\277]/ && s !~ traditional
}

# What is compared: small letters and Chinese characters, nothing else.
function key_of(s) {
    s = tolower(s)
    gsub(/[\001-\140\173-\177]|[\342\343\357][\200-\277][\200-\277]/, "", s)
    return s
}

# Calls of judged(): mode 1 remembers the windows of a text, mode 0 says if one is known.
function judged(s, mode,    n, i, t, word, from, w) {
    t = s
    gsub(/[^\344-\351\200-\277]/, "", t)
    gsub(/[\342\343\357][\200-\277][\200-\277]/, "", t)
    n = length(t)
    for (i = 1; i + 29 <= n; i += 3) {
        w = substr(t, i, 30)
        if (mode) window[w]
        else if (w in window) return 1
    }
    if (s !~ /[A-Za-z] *[^A-Za-z]/) return 0
    s = tolower(s)
    gsub(/[^a-z0-9]+/, " ", s)
    sub(/^ /, "", s); sub(/ $/, "", s)
    n = split(s, word, " ")
    if (n < 8) return 0
    from[1] = 1
    for (i = 1; i <= n; i++) from[i + 1] = from[i] + length(word[i]) + 1
    for (i = 1; i + 8 <= n + 1; i++) {
        w = substr(s, from[i], from[i + 8] - from[i] - 1)
        if (mode) window[w]
        else if (w in window) return 1
    }
    return 0
}

function refused(s,    k) {
    k = key_of(s)
    return k == "" || (k in judge) || judged(s, 0)
}

function english(s,    k) {
    k = key_of(s)
    if (k in seen) return
    seen[k]
    if (refused(s)) { dropped++; return }
    print s > out "/en.txt"
    count["en"]++
}

function chinese(s,    k) {
    k = key_of(s)
    if (k in seen) return
    seen[k]
    if (refused(s)) { dropped++; return }
    print s > out "/zh.txt"
    count["zh"]++
}

function either(s) {
    if (is_english(s, 2)) english(s)
    else if (is_chinese(s)) chinese(s)
}

# The digits of a text, in order of size: a translation that is of another state of the text mostly differs there.
function digits(s,    d, i, t) {
    gsub(/[^0-9]/, "", s)
    for (i = 0; i < 10; i++) { t = s; d = d gsub(i, "", t) "," }
    return d
}

function couple(a, b,    t, han, k) {
    if (!is_english(a, 1) || !is_chinese(b)) { either(a); either(b); return }
    t = b
    han = gsub(/[\344-\351][\200-\277][\200-\277]/, "", t)
    if (han >= 6 && (length(a) > 8 * han || length(a) < 1.2 * han)) { either(a); either(b); return }
    if (han < 6 && length(a) > 60) { either(a); either(b); return }
    if (!loose && digits(a) != digits(b)) { either(a); either(b); return }
    k = key_of(a) key_of(b)
    if (k in seen || refused(a) || refused(b)) return
    seen[k]
    if (++translations[key_of(a)] <= 3 && ++sources_of[key_of(b)] <= 3) {
        print a "\t" b > out "/parallel.tsv"
        count["parallel"]++
    }
    if (is_english(a, 2)) english(a)
    chinese(b)
}

# Sentence by sentence, grouped by the sizes in turn, never past 90 words or 180 Chinese characters.
function prose(s,    n, i, one, group, left) {
    gsub(/[.!?]["')]* +[A-Z"'(]/, "&\001", s)
    n = split(s, one, "\001")
    for (i = 1; i < n; i++) {
        one[i + 1] = substr(one[i], length(one[i])) one[i + 1]
        one[i] = substr(one[i], 1, length(one[i]) - 1)
        if (one[i] ~ /(Mr|Mrs|Dr|St|No|Vol|vs|[A-Z])\. *$/) { one[i + 1] = one[i] one[i + 1]; one[i] = "" }
    }
    if (n == 1 && s ~ cjk) {
        gsub(/\343\200\202|\357\274\201|\357\274\237|[!?]/, "&\001", s)
        n = split(s, one, "\001")
    }
    group = ""
    left = sizes[turn++ % 6 + 1]
    for (i = 1; i <= n; i++) {
        if (one[i] == "") continue
        if (group != "" && (left <= 0 || length(group) + length(one[i]) > 560)) {
            either(tidy(group))
            group = ""
            left = sizes[turn++ % 6 + 1]
        }
        group = group one[i]
        left--
    }
    either(tidy(group))
}

# At most ninety words of a passage: cut at the end of a sentence.
function cut(s,    t) {
    if (length(s) <= 560) return s
    t = substr(s, 1, 560)
    if (match(t, /.*[.!?;] /)) return substr(t, 1, RLENGTH - 1)
    if (match(t, /.*\343\200\202/)) return substr(t, 1, RLENGTH)
    return ""
}

function pair(a, b,    k) {
    b = cut(b)
    if (!is_english(a, 1) && !is_chinese(a) || !is_english(b, 2) && !is_chinese(b)) return
    k = key_of(a) key_of(b)
    if (k in seen || refused(a) || refused(b)) return
    seen[k]
    print a "\t" b > out "/pairs.tsv"
    count["pairs"]++
    if (length(a) > 24) either(a)
    either(b)
}

function report() {
    if (name != "") print name, count["en"] + 0, count["zh"] + 0, count["parallel"] + 0, count["pairs"] + 0, dropped + 0 > out "/counts.tsv"
    count["en"] = count["zh"] = count["parallel"] = count["pairs"] = dropped = 0
}

BEGIN { FS = OFS = "\t" }
$1 == "judge" { judge[key_of($2)]; judged($2, 1); next }
$1 == "source" { report(); name = $2; loose = ($3 == "loose"); next }
$1 == "traditional" { traditional = $2; next }
$1 == "prose" { prose($2); next }
$1 == "en" { s = tidy($2); if (is_english(s, 2)) english(s); next }
$1 == "zh" { s = tidy($2); if (is_chinese(s)) chinese(s); next }
$1 == "par" { couple(tidy($2), tidy($3)); next }
$1 == "pair" { pair(tidy($2), tidy($3)); next }
END { report() }
