/* fovea runs: the training runs below a folder, side by side.
 *
 * A folder that cannot be read, or a record that is damaged, costs one line on stderr and not the
 * table: the others are still worth comparing. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

#define DEEPEST 3 /* folders below DIR */

struct args {
    cli_common common;
    const char *dir;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"DIR", NULL, "a folder with model folders in it, up to three deep", AT(dir), .needed = true},
};

struct one_run {
    char *name; /* path below DIR */
    json_t *record;
    const char *metric; /* the figure it is judged by */
    double judged;      /* its value on the validation rows, else on the test rows; NaN if neither */
};

struct runs {
    struct one_run *items;
    size_t n, capacity;
    bool quiet;
};

/* ---- Finding ---- */

static fv_status add_run(struct runs *runs, const char *folder, const char *name, fv_err *err)
{
    fv_err why = {0};
    json_t *record = cli_record_load(folder, &why);
    if (!record) {
        if (!runs->quiet) fprintf(stderr, "fovea: left out: %s\n", why.text);
        return FV_OK;
    }
    struct one_run r = {.name = fv_strdup(*name ? name : ".", err), .record = record, .metric = cli_record_main_metric(record)};
    /* Choosing by the test figure would spoil it as a judge, so it decides only where there is no other. */
    double valid = cli_record_metric(record, "valid", r.metric);
    r.judged = isnan(valid) ? cli_record_metric(record, "test", r.metric) : valid;
    if (r.name && fv_grow(&runs->items, &runs->capacity, runs->n + 1, sizeof r, err) == FV_OK) {
        runs->items[runs->n++] = r;
        return FV_OK;
    }
    fv_free(r.name);
    json_decref(record);
    return FV_E_MEMORY;
}

static bool is_folder(const char *path)
{
    struct stat info;
    /* lstat: a link to a folder above would lead in circles. */
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static fv_status search(struct runs *runs, const char *folder, const char *name, int depth, fv_err *err);

static fv_status search_below(struct runs *runs, DIR *dir, const char *folder, const char *name, int depth, fv_err *err)
{
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        char path[FV_PATH_MAX], below[FV_PATH_MAX];
        if (entry->d_name[0] == '.') continue;
        fv_status status = fv_path_join(path, folder, entry->d_name, err);
        if (!status && *name) status = fv_path_join(below, name, entry->d_name, err);
        else snprintf(below, sizeof below, "%s", entry->d_name);
        if (status) return status;
        if (is_folder(path)) status = search(runs, path, below, depth + 1, err);
        if (status) return status;
    }
    return FV_OK;
}

static fv_status search(struct runs *runs, const char *folder, const char *name, int depth, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, folder, "fovea.json", err);
    if (status) return status;
    if (fv_file_exists(path)) FV_TRY(add_run(runs, folder, name, err));
    if (depth >= DEEPEST) return FV_OK;
    DIR *dir = opendir(folder);
    if (!dir) {
        if (!runs->quiet) fprintf(stderr, "fovea: left out: %s cannot be read\n", folder);
        return FV_OK;
    }
    status = search_below(runs, dir, folder, name, depth, err);
    closedir(dir);
done:
    return status;
}

/* ---- Showing ---- */

/* Runs with other figures cannot be compared, so figures are groups; best first, unjudged last, then by name. */
static int by_worth(const void *a, const void *b)
{
    const struct one_run *x = a, *y = b;
    int metric = strcmp(x->metric, y->metric);
    if (metric) return metric;
    if (isnan(x->judged) != isnan(y->judged)) return isnan(x->judged) ? 1 : -1;
    if (!isnan(x->judged) && x->judged != y->judged) return (x->judged > y->judged) != cli_smaller_is_better(x->metric) ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* "tiny 2×128", as far as the record says. */
static void show_size(char *out, size_t size, const json_t *record)
{
    double layers = cli_record_number(record, "recipe.layers"), width = cli_record_number(record, "recipe.width");
    const char *preset = cli_record_text(record, "recipe.preset");
    bool known = layers > 0 && width > 0;
    snprintf(out, size, "%s", preset);
    if (known) snprintf(out + strlen(out), size - strlen(out), "%s%.0f×%.0f", *preset ? " " : "", layers, width);
}

static void add_number(cli_table *table, double x)
{
    cli_count count;
    cli_table_add(table, "%s", isnan(x) ? "" : cli_show_count(&count, (int64_t)x));
}

/* "2026-11-23T10:00:00Z" as "2026-11-23 10:00". */
static void add_time(cli_table *table, const char *text)
{
    char shown[17];
    snprintf(shown, sizeof shown, "%s", text);
    if (strlen(shown) > 10 && shown[10] == 'T') shown[10] = ' ';
    cli_table_add(table, "%s", shown);
}

static fv_status print_table(const struct runs *runs, fv_err *err)
{
    static const char *const heads[] = {"~run", "task", "size", ">steps", ">time", "metric", ">valid", ">test", "finished"};
    cli_table table;
    cli_table_init(&table, heads, FV_COUNT(heads));
    for (size_t i = 0; i < runs->n; i++) {
        const struct one_run *r = &runs->items[i];
        char size[64];
        cli_span span;
        cli_figure figure;
        double seconds = cli_record_number(r->record, "seconds");
        show_size(size, sizeof size, r->record);
        cli_table_add(&table, "%s", r->name);
        cli_table_add(&table, "%s", cli_record_text(r->record, "task"));
        cli_table_add(&table, "%s", size);
        add_number(&table, cli_record_number(r->record, "steps"));
        cli_table_add(&table, "%s", isnan(seconds) ? "" : cli_show_span(&span, seconds));
        cli_table_add(&table, "%s", r->metric);
        cli_table_add(&table, "%s", cli_show_figure(&figure, r->metric, cli_record_metric(r->record, "valid", r->metric)));
        cli_table_add(&table, "%s", cli_show_figure(&figure, r->metric, cli_record_metric(r->record, "test", r->metric)));
        add_time(&table, cli_record_text(r->record, "finished"));
    }
    return cli_table_print(&table, err);
}

/* The record under the run's name, without the labels, which may be thousands. */
static fv_status print_json(const struct runs *runs, fv_err *err)
{
    for (size_t i = 0; i < runs->n; i++) {
        const struct one_run *r = &runs->items[i];
        json_object_del(r->record, "labels");
        json_t *line = json_pack("{s:o, s:s, s:O}", "run", cli_json_text(r->name, strlen(r->name)), "metric", r->metric, "record", r->record);
        fv_status status = cli_json_line(line, err);
        if (status) return status;
    }
    return FV_OK;
}

static void release(struct runs *runs)
{
    for (size_t i = 0; i < runs->n; i++) {
        fv_free(runs->items[i].name);
        json_decref(runs->items[i].record);
    }
    fv_free(runs->items);
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    struct runs runs = {.quiet = args->common.quiet};
    fv_status status;
    if (!fv_folder_exists(args->dir)) return FV_FAIL(err, FV_E_INPUT, "%.400s is no folder; expected one with model folders in it", args->dir);
    FV_TRY(search(&runs, args->dir, "", 0, err));
    if (runs.n) qsort(runs.items, runs.n, sizeof *runs.items, by_worth);
    else if (!args->common.quiet) fprintf(stderr, "fovea: no training runs below %s\n", args->dir);
    FV_TRY(args->common.json ? print_json(&runs, err) : print_table(&runs, err));
done:
    release(&runs);
    return status;
}

static const char *const examples[] = {
    "fovea runs models",
    NULL,
};

const cli_command cli_runs = {
    .name = "runs",
    .says = "compares the training runs below a folder",
    .text = "A line for each model folder, the best validation figure first; choosing by the test figure would spoil it as a judge. Runs "
            "with several labels a row are judged by micro-F1, runs that learn a number by r2, those of hidden words by perplexity, all "
            "others by accuracy.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .args_size = sizeof(struct args),
    .run = run,
};
