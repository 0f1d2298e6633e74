# The quality part of docs/results.md. Reads the names of the sets, the floors (set nb nb_f1 svm
# svm_f1 majority rows date commit) and the trained models (set recipe seed cpu isa threads
# max_seconds steps seconds accuracy low high f1 low high date commit points low high).

function percent(x) { return x == "-" ? "–" : sprintf("%.1f", 100 * x) }
function with_range(x, low, high) { return x == "-" ? "–" : sprintf("%.1f [%.1f, %.1f]", 100 * x, 100 * low, 100 * high) }
function day(date) { return substr(date, 1, 10) }

FILENAME ~ /sets$/ { set[++n_sets] = $1; next }

FILENAME ~ /floor\.tsv$/ {
    floor[$1] = sprintf("| %s | %s | %s / %s | %s / %s | %s | %s | %s |\n", $1, $7, percent($2), percent($3), percent($4), percent($5), percent($6), day($8), $9)
    next
}

# Low and high are of the difference: an interval that holds 0 shows no difference.
function verdict(points, low, high) {
    if (points == "-" || points == "") { n_unknown++; return "–" }
    if (low > 0) n_better++
    if (high < 0) n_worse++
    return sprintf("%+.1f [%+.1f, %+.1f], %s", points, low, high, low > 0 ? "better" : high < 0 ? "worse" : "no difference shown")
}

{
    n_runs++
    models[$1] = models[$1] sprintf("| %s | %s | %s | %s | %s | %s | %s | %.0f of %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, with_range($10, $11, $12), \
        with_range($13, $14, $15), verdict($18, $19, $20), $8, $9, $7, $4, $5, $6, day($16), $17)
}

# print_table HEADS ROWS WHAT: rows by set in the order of the sets; then the sets without a row.
function print_table(heads, rows, what,    i, n, line, missing, any) {
    for (i = 1; i <= n_sets; i++) {
        if (set[i] in rows) any = any rows[set[i]]
        else missing = missing (missing == "" ? "" : ", ") set[i]
    }
    if (any != "") {
        n = gsub(/\|/, "|", heads) - 1
        line = "|"
        while (n-- > 0) line = line "---|"
        print heads "\n" line "\n" any
    }
    if (missing != "") print "Not measured: " what " of " missing ".\n"
}

END {
    print "## Quality\n"
    print "Percent of the test part, with 95 % bootstrap intervals. Nothing is pre-trained.\n"
    print "### Floors\n"
    print "Accuracy / macro-F1 of naive Bayes and a linear SVM on n-grams (`bench/floors`), and how often the commonest label is right.\n"
    print_table("| set | test rows | naive Bayes | SVM | commonest | date | commit |", floor, "the floors")
    print "### Trained models\n"
    print "One recipe for all sets (`bench/quality`). \"Against the floor\": points of accuracy more than the better floor, by a paired bootstrap over the same rows.\n"
    print_table("| set | recipe | seed | accuracy | macro-F1 | against the floor | steps | seconds | processor | instruction set | threads | date | commit |", \
        models, "models")
    if (n_runs) printf "Of %d models %d are better than the floor, %d worse, %d not compared; the others show no difference.\n", n_runs, n_better, n_worse, n_unknown
}
