# Paragraphs of reStructuredText: "prose <TAB> text" for each at the margin, and "pair <TAB> heading <TAB> text" for
# the first one under a heading. Lists, tables, examples and directives, which are indented or open with a sign, are
# left out.
function flush() {
    gsub(/ +/, " ", text)
    if (text ~ /^[A-Z"(].*[a-z][.!?)]$/) {
        print "prose\t" text
        if (heading != "") print "pair\t" heading "\t" text
        heading = ""
    }
    text = ""
}
FNR == 1 { flush(); heading = before = "" }
/^(===+|---+|~~~+|\^\^\^+|\*\*\*+|"""+)$/ { text = ""; heading = before; next }
{
    before = plain($0)
    if ($0 ~ /^[A-Za-z`*"(]|^:[a-z:]+:`/ && $0 !~ /::$/) text = text (text == "" ? "" : " ") before
    else flush()
}
# Marks and roles taken away, what they mark kept: :class:`~a.b` says a.b, :ref:`text <place>` says text.
function plain(s) {
    gsub(/:[a-z:+-]+:`[~!]?|``|`_*/, "", s)
    gsub(/ <[^<> ]*>/, "", s)
    gsub(/\*\*?/, "", s)
    return s
}
END { flush() }
