# Writes what the models.py files of the Tencent Cloud SDKs say of their classes and fields as "place <TAB> text".
FNR == 1 { n = split(FILENAME, part, "/"); service = part[n - 2]; class = "" }
/^class / { class = $2; sub(/\(.*/, "", class); opened = 1; inside = 0; next }
/^ *def __init__/ { inside = 1; next }
/^ *def / { inside = 0 }
opened && /^ *r?"""/ {
    opened = 0
    text = $0
    sub(/^ *r?"""/, "", text)
    if (text != "") print service "." class "\t" text
}
inside && /^ *:param _[A-Za-z0-9]+: / {
    text = $0
    sub(/^ *:param _/, "", text)
    at = index(text, ": ")
    print service "." class "." substr(text, 1, at - 1) "\t" substr(text, at + 2)
}
