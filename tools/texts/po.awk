# Writes the translated messages of gettext .po files as "par <TAB> message <TAB> translation"; fuzzy ones, those with
# plural forms and the header are left out.
function value(s) { sub(/^[^"]*"/, "", s); sub(/"[ \t\r]*$/, "", s); return s }

function flush() {
    if (!fuzzy && !plural && message != "" && translation != "") {
        gsub(/\\[nrt]/, " ", message); gsub(/\\[nrt]/, " ", translation)
        gsub(/\\/, "", message); gsub(/\\/, "", translation)
        print "par\t" message "\t" translation
    }
    message = translation = ""
    plural = fuzzy = 0
    field = ""
}

/^[ \t\r]*$/ || FNR == 1 { flush() }
/^#,.*fuzzy/ { fuzzy = 1 }
/^#/ { next }
/^msgid_plural/ { plural = 1; field = ""; next }
/^msgid / { field = "id"; message = value($0); next }
/^msgstr / { field = "str"; translation = value($0); next }
/^msg/ { field = ""; next }
/^"/ && field == "id" { message = message value($0) }
/^"/ && field == "str" { translation = translation value($0) }
END { flush() }
