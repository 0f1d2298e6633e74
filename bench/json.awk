# A JSON reader for the bench scripts: json_read(TEXT, out) fills out["a.b.0.c"] with each value under
# its path. An object or array is there too, as it was written, so that it can be put into another line.
# Strings lose their escapes, except \uXXXX (the program writes UTF-8). Reads what `fovea --json` and
# bench programs write; it does not check it.
#
# With -v paths="a b.c" it is a program: for each line of input the values of these paths, tabs between
# them, "-" for one that is not there.

function json_string(    from) {
    from = ++json_at
    while (substr(json_text, json_at, 1) != "\"" && json_at <= length(json_text))
        json_at += substr(json_text, json_at, 1) == "\\" ? 2 : 1
    return substr(json_text, from, json_at++ - from)
}

function json_plain(string) {
    if (index(string, "\\") == 0) return string
    gsub(/\\\\/, "\001", string)
    gsub(/\\n/, "\n", string)
    gsub(/\\t/, "\t", string)
    gsub(/\\"/, "\"", string)
    gsub(/\\\//, "/", string)
    gsub(/\001/, "\\", string)
    return string
}

function json_blanks() {
    while (substr(json_text, json_at, 1) ~ /[ \t\r\n]/) json_at++
}

# The members of an object or the items of an array, from after its bracket to after the closing one.
function json_members(path, out, named,    n, key) {
    for (n = 0; json_at <= length(json_text); n++) {
        json_blanks()
        if (substr(json_text, json_at, 1) ~ /[]}]/) break
        key = n
        if (named) {
            key = json_plain(json_string())
            json_blanks()
            json_at++ # the colon
        }
        json_value(path == "" ? key : path "." key, out)
        json_blanks()
        if (substr(json_text, json_at, 1) == ",") json_at++
    }
    json_at++
}

function json_value(path, out,    from, first) {
    json_blanks()
    from = json_at
    first = substr(json_text, json_at, 1)
    if (first == "\"") {
        out[path] = json_plain(json_string())
        return
    }
    if (first == "{" || first == "[") {
        json_at++
        json_members(path, out, first == "{")
    } else
        while (substr(json_text, json_at, 1) ~ /[-+.0-9A-Za-z]/) json_at++
    if (json_at == from) json_at++ # not JSON: moves on, so that it ends
    out[path] = substr(json_text, from, json_at - from)
}

function json_read(text, out) {
    split("", out)
    json_text = text
    json_at = 1
    json_value("", out)
}

paths != "" {
    n_paths = split(paths, wanted, " ")
    json_read($0, found)
    line = ""
    for (i = 1; i <= n_paths; i++)
        line = line (i > 1 ? "\t" : "") (wanted[i] in found && found[wanted[i]] != "null" ? found[wanted[i]] : "-")
    print line
}
