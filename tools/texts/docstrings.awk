# What Python files say between triple quotation marks, for plain.awk: paragraphs with empty lines between them.
# Headings, parameters ("x : float"), fields (":param x:"), examples and formulas become empty lines.
FNR == 1 { inside = 0 }
{
    line = $0
    while (match(line, /"""|\047\047\047/)) {
        if (inside) put(substr(line, 1, RSTART - 1))
        print ""
        inside = !inside
        line = substr(line, RSTART + 3)
    }
    if (inside) put(line)
}
function put(s) {
    sub(/^[ \t]+/, "", s)
    sub(/^[-*] /, "", s)
    gsub(/:[a-z:]+:`~?|``|`_?/, "", s)
    gsub(/ ?\[[0-9]+\]_/, "", s)
    print (s ~ /^(>>>|\.\.|:|@|---|===|\+|\||#)|^[A-Za-z_0-9, *]+ : |::$|=|\\/ ? "" : s)
}
