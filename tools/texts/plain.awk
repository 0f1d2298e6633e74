# Paragraphs of wrapped plain text: "prose <TAB> text" for each. Chapter headings and lists are left out: a paragraph
# is wanted to have a small letter, an end of sentence, and not too many line breaks for its length.
function flush() {
    gsub(/[\t\r ]+/, " ", text)
    sub(/ $/, "", text)
    if (text ~ /[a-z][.!?]["')]*$/ && length(text) > 30 * (lines - 1)) print "prose\t" text
    text = ""
    lines = 0
}
/^[ \t\r]*$/ { flush(); next }
{ text = text (text == "" ? "" : " ") $0; lines++ }
END { flush() }
