# The speed part of docs/results.md. Reads goals.tsv, then the newest line of each case:
# bench case cpu isa threads value unit share min max date commit.

/^#/ || $1 == "bench" && $2 == "cases" { next }

FILENAME ~ /goals\.tsv$/ {
    n_goals++
    goal_bench[n_goals] = $1; goal_cases[n_goals] = $2; goal_of[n_goals] = $3; goal_least[n_goals] = $4; goal_says[n_goals] = $5
    next
}

function percent(share) { return share == "-" || share + 0 == 0 ? "–" : sprintf("%.0f %%", 100 * share) }
function day(date) { return substr(date, 1, 10) }

# The goal of a case, or 0.
function goal_of_case(    i) {
    for (i = 1; i <= n_goals; i++)
        if (goal_bench[i] == $1 && ($2 " ") ~ goal_cases[i]) return i
    return 0
}

function judge(g,    reached) {
    met[g] += 0
    seen[g]++
    reached = goal_of[g] == "share" ? $8 : $6
    if (reached == "-") return "not known"
    if (worst[g] == "" || reached < worst[g]) { worst[g] = reached; worst_case[g] = $2 }
    if (reached >= goal_least[g]) { met[g]++; return "yes" }
    return goal_of[g] == "share" ? sprintf("%.0f points short", 100 * (goal_least[g] - reached)) : sprintf("%.2f short", goal_least[g] - reached)
}

function goal_text(g) { return goal_of[g] == "share" ? percent(goal_least[g]) : goal_least[g] " times" }

{
    g = goal_of_case()
    row = sprintf("| %s | %.4g %s | %.4g–%.4g | %s | %s | %s | %s | %s | %s | %s | %s |\n", $2, $6, $7, $9, $10, percent($8), \
        g ? goal_text(g) : "–", g ? judge(g) : "–", $3, $4, $5, day($11), $12)
    if (!($1 in rows)) order[++n_benches] = $1
    rows[$1] = rows[$1] row
}

function print_goals(    g, missing) {
    print "| goal | at least | cases that reach it | the lowest |"
    print "|---|---|---|---|"
    for (g = 1; g <= n_goals; g++) {
        if (!(g in seen)) continue
        printf "| %s | %s | %d of %d | %s: %s |\n", goal_says[g], goal_text(g), met[g], seen[g], worst_case[g], \
            goal_of[g] == "share" ? percent(worst[g]) : worst[g] " times"
    }
    print ""
    for (g = 1; g <= n_goals; g++) if (!(g in seen)) missing = missing "\n- " goal_says[g] " (at least " goal_text(g) ")"
    print (missing == "" ? "Every goal has a figure." : "Not measured:\n" missing) "\n"
}

END {
    print "## Speed\n"
    print "A share is of what the multiply-add units reached in the same run (for the optimiser and the scan, of the memory's bandwidth)."
    print "Figures are medians of several runs, then the lowest and the highest. On a shared machine the shares compare, the figures do not.\n"
    print_goals()
    for (i = 1; i <= n_benches; i++) {
        print "### " order[i] "\n"
        print "| case | figure | lowest–highest | of peak | goal | reached | processor | instruction set | threads | date | commit |"
        print "|---|---|---|---|---|---|---|---|---|---|---|"
        print rows[order[i]]
    }
}
