# Paragraphs of HTML pages: "prose <TAB> text" for each <p>, and "pair <TAB> heading <TAB> text" for the first one
# under a heading. Records are cut at "<", so that each opens with a tag; tags inside of a paragraph vanish here.
BEGIN { RS = "<" }
function flush() {
    sub(/^ *[0-9.]+ /, "", heading)
    if (text ~ /[a-z]/) {
        print "prose\t" text
        if (heading != "") print "pair\t" heading "\t" text
        heading = ""
    }
    text = ""
    part = ""
}
{
    at = index($0, ">")
    tag = tolower(substr($0, 1, at - 1))
    gsub(/[\t\r\n].*| .*/, "", tag)
    rest = substr($0, at + 1)
    gsub(/[\t\r\n ]+/, " ", rest)
    if (tag ~ /^h[1-6]$/) { flush(); heading = ""; part = "heading" }
    else if (tag ~ /^\/h[1-6]$/) part = ""
    else if (tag == "p") { flush(); part = "text" }
    else if (tag ~ /^\/?(p|div|section|[uod]l|li|dt|dd|pre|table|tr|td|th|blockquote|script|style|nav|body)$/) flush()
    if (part == "heading") heading = heading rest
    else if (part == "text") text = text rest
}
END { flush() }
