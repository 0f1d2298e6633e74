# The quality part of docs/results.md. Reads the names of the sets, the floors (set nb nb_f1 svm
# svm_f1 majority rows date commit) and the trained models (set recipe seed cpu isa threads
# max_seconds steps seconds accuracy low high f1 low high date commit points low high), and what sharing
# a body does (set with seed, accuracy alone and together on valid, then on test, date commit).
#
# The recipes "attention-full", "-uniform" and "-none" are a table of their own, and so are those that begin with
# "minilm", and others that are not the default.

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

FILENAME ~ /multi\.tsv$/ {
    n_shared++
    worst = n_shared == 1 || $5 - $4 < worst ? $5 - $4 : worst
    shared = shared sprintf("| %s | %s | %s | %s | %s | %+.1f | %s | %s | %+.1f | %s | %s |\n", $1, $2, $3, percent($4), percent($5), 100 * ($5 - $4), percent($6), percent($7), 100 * ($7 - $6), day($8), $9)
    next
}

$2 ~ /^attention-/ { mixing[$1 FS substr($2, 11)] = $10; mixing_of[$1]++; mixing_stamp[$1] = day($16) " | " $17; next }

$2 ~ /^minilm/ {
    tuned[$1] = tuned[$1] sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, with_range($10, $11, $12), with_range($13, $14, $15), \
        with_range_of_points($18, $19, $20), $8 == "-" ? "–" : $8, $9 == "-" ? "–" : sprintf("%.0f", $9), $5, $6, day($16), $17)
    n_tuned++
    next
}

$2 != "default" {
    others[$1] = others[$1] sprintf("| %s | %s | %s | %s | %s | %s | %s | %.0f | %s | %s | %s |\n", $1, $2, $3, with_range($10, $11, $12), with_range($13, $14, $15), \
        with_range_of_points($18, $19, $20), $8, $9, $6, day($16), $17)
    n_others++
    next
}

{
    n_runs++
    models[$1] = models[$1] sprintf("| %s | %s | %s | %s | %s | %s | %s | %.0f of %s | %s | %s | %s | %s | %s |\n", $1, $2, $3, with_range($10, $11, $12), \
        with_range($13, $14, $15), verdict($18, $19, $20), $8, $9, $7, $4, $5, $6, day($16), $17)
}

function with_range_of_points(points, low, high) { return points == "-" || points == "" ? "–" : sprintf("%+.1f [%+.1f, %+.1f]", points, low, high) }

function print_attention(    i, key, full) {
    print "### What attention adds\n"
    print "Accuracy when a token attends to others by what they are, sees all alike (uniform), or itself alone (none): the Transformer alone, mean pooling, 12 epochs, one seed, at a commit where --no-wide still learnt from labels alone"
    print "(`bench/quality --recipe attention-full -- --no-wide --pooling mean --epochs 12 --attention full`).\n"
    print "| set | full | uniform | none | full over uniform | full over none | date | commit |\n|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= n_sets; i++) {
        if (mixing_of[set[i]] < 3) continue
        key = set[i] FS
        full = mixing[key "full"]
        printf "| %s | %s | %s | %s | %+.1f | %+.1f | %s |\n", set[i], percent(full), percent(mixing[key "uniform"]), percent(mixing[key "none"]), \
            100 * (full - mixing[key "uniform"]), 100 * (full - mixing[key "none"]), mixing_stamp[set[i]]
    }
    print ""
}

function print_shared() {
    print "### Several tasks on one body\n"
    print "Accuracy of a task learnt alone, and beside another by `train multi` (`bench/multi`; 8 epochs each). The goal is at most 0.5 points less on valid.\n"
    print "| set | beside | seed | valid alone | valid together | difference | test alone | test together | difference | date | commit |\n|---|---|---|---|---|---|---|---|---|---|---|"
    printf "%s\n", shared
    printf "The worst difference on valid is %+.1f points.\n\n", 100 * worst
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
    print "Percent of the test part, with 95 % bootstrap intervals. Nothing is pre-trained but where it says so.\n"
    print "### Floors\n"
    print "Accuracy / macro-F1 of naive Bayes and a linear SVM on n-grams (`bench/floors`), and how often the commonest label is right.\n"
    print_table("| set | test rows | naive Bayes | SVM | commonest | date | commit |", floor, "the floors")
    print "### Trained models\n"
    print "One recipe for all sets (`bench/quality`). \"Against the floor\": points of accuracy more than the better floor, by a paired bootstrap over the same rows.\n"
    print_table("| set | recipe | seed | accuracy | macro-F1 | against the floor | steps | seconds | processor | instruction set | threads | date | commit |", \
        models, "models")
    if (n_runs) printf "Of %d models %d are better than the floor, %d worse, %d not compared; the others show no difference.\n", n_runs, n_better, n_worse, n_unknown
    if (n_others) {
        print "\n### The Transformer alone\n"
        print "Recipe alone: `--no-wide --batch-tokens 512`; n-grams taught it and do not answer. The goal is within one point of the floor.\n"
        print_table("| set | recipe | seed | accuracy | macro-F1 | points over the floor | steps | seconds | threads | date | commit |", others, "the Transformer alone")
    }
    if (n_tuned) {
        print "\n### Fine-tuned from all-MiniLM-L6-v2\n"
        print "`train classify --from` with its defaults, but products in bf16 (`bench/quality --recipe minilm --int8 --max-seconds 1500 -- --from FOLDER --precision bf16`); int8: the same model with products of 8 bits."
        print "Goals: banking77 92.5, fin_phrasebank 84, sst2_sentences 89, ag_news 92, within 25 minutes on two cores; int8 at most 0.3 points less.\n"
        print_table("| set | recipe | seed | accuracy | macro-F1 | points over the floor | steps | seconds | instruction set | threads | date | commit |", tuned, "fine-tuned models")
    }
    if (length(mixing)) print_attention()
    if (n_shared) print_shared()
}
