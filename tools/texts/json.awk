# Writes every string of JSON files as "place <TAB> string", place being the keys on the way, joined by FS_ (octal 037).
# Bytes, not characters: run with LC_ALL=C. The whole file is one record, cut at its quotation marks: pieces at odd
# numbers lie outside of strings. Options: -v keys="a b" keeps strings whose last key is one of them.
BEGIN {
    RS = "\001"
    for (i = 0; i < 256; i++) hex[sprintf("%02x", i)] = hex[sprintf("%02X", i)] = i
    n_keys = split(keys, wanted, " ")
    for (i = 1; i <= n_keys; i++) keep[wanted[i]] = 1
}

# A code point as UTF-8; halves of surrogate pairs (emoji) are left out.
function utf8(high, low,    code) {
    code = high * 256 + low
    if (code < 128) return sprintf("%c", code < 32 && code != 4 ? 32 : code)
    if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
    if (code >= 55296 && code < 57344) return ""
    return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
}

function unescaped(s,    out, at, c) {
    if (index(s, "\\") == 0) return s
    out = ""
    while ((at = index(s, "\\")) > 0) {
        out = out substr(s, 1, at - 1)
        c = substr(s, at + 1, 1)
        if (c == "u") {
            out = out utf8(hex[substr(s, at + 2, 2)], hex[substr(s, at + 4, 2)])
            s = substr(s, at + 6)
            continue
        }
        out = out (c == "n" || c == "t" || c == "r" || c == "b" || c == "f" ? " " : c)
        s = substr(s, at + 2)
    }
    return out s
}

# Follows brackets in what stands between two strings, keeping the depth and forgetting keys of closed objects.
function walk(between,    i, c, n) {
    n = length(between)
    for (i = 1; i <= n; i++) {
        c = substr(between, i, 1)
        if (c == "{" || c == "[") { depth++; key[depth] = "" }
        else if (c == "}" || c == "]") depth--
    }
}

function place(    i, p) {
    p = key[1]
    for (i = 2; i <= depth; i++) p = p "\037" key[i]
    return p
}

function ends_in_odd_backslashes(s,    n) {
    n = length(s)
    if (substr(s, n, 1) != "\\") return 0
    match(s, /\\+$/)
    return RLENGTH % 2
}

{
    n = split($0, piece, "\"")
    depth = 0
    for (i = 1; i < n; i += 2) {
        walk(piece[i])
        s = piece[i + 1]
        while (ends_in_odd_backslashes(s) && i + 2 <= n) { i++; s = s "\"" piece[i + 1] }
        if (piece[i + 2] ~ /^[ \t\r\n]*:/) { key[depth] = unescaped(s); continue }
        if (n_keys > 0 && !(key[depth] in keep)) continue
        s = unescaped(s)
        gsub(/[\t\r\n ]+/, " ", s)
        print (name_files ? FILENAME "\037" : "") place() "\t" s
    }
}
