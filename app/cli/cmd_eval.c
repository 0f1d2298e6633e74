/* fovea eval: the figures of a model on labelled rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

#define SHOWN_LABELS 20

struct args {
    cli_common common;
    fv_session_options session;
    const char *model, *file;
    bool all;
    const char *src, *tgt;
    fv_eval_options o;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
    {"FILE", NULL, "labelled rows (or texts): .tsv, .csv, .jsonl, .conll, fastText lines, each also as .gz; - is stdin; for mlm texts, or a folder of them", AT(file), .needed = true},
};

static const cli_option options[] = {
    {"head", "NAME", "which head answers, of a model with several", AT(session.head)},
    CLI_PRECISION(AT(session.products)),
    {"text", "COL", "column of the text; a,b joins two with a line break", AT(o.columns.text)},
    {"text2", "COL", "column of the second text of a pair", AT(o.columns.text2)},
    {"label", "COL", "column of the label", AT(o.columns.label)},
    {"grade", "COL", "vectors: column of how right text2 is for text, 0: wrong; grade if not given", AT(o.columns.grade)},
    {"dims", "N", "vectors: the first N numbers alone", AT(o.dim), .low = 1, .high = 65536},
    {"own", NULL, "vectors: a text ranks only the text2s that stand in rows with it, not those of the whole file", AT(o.own)},
    {"src", "COL", "translate: column of the text; src if not given", AT(src)},
    {"tgt", "COL", "translate: column of a person's translation; tgt if not given", AT(tgt)},
    {"beam", "N", "translate: hypotheses kept while searching", AT(o.beam), .low = 1, .high = 1000},
    {"tokenize", "13a|intl|zh|char|none", "translate: what BLEU counts as a word, as in sacreBLEU; zh for Chinese and else 13a if not given", AT(o.bleu_words)},
    {"skip-bad", NULL, "leave out bad rows, and count them, instead of failing at the first", AT(o.columns.skip_bad)},
    {"all", NULL, "show every label, not only the 20 worst", AT(all)},
};

static void init(void *user)
{
    struct args *args = user;
    fv_session_options_init(&args->session);
    fv_eval_options_init(&args->o);
}

static int on_event(void *user, const fv_event *e)
{
    cli_progress *progress = user;
    cli_piece pieces[3] = {{1, ""}, {3, ""}, {2, ""}};
    double share = e->steps > 0 ? (double)e->step / (double)e->steps : 0;
    if (e->text && e->text[0]) cli_progress_say(progress, "%s", e->text);
    if (e->kind != FV_EVENT_STEP || !cli_progress_due(progress)) return 0;
    snprintf(pieces[0].text, sizeof pieces[0].text, "reading %.0f %%", 100 * share);
    if (progress->live) cli_bar(pieces[1].text, sizeof pieces[1].text, share, 20);
    cli_progress_draw(progress, pieces, FV_COUNT(pieces));
    return 0;
}

/* ---- JSON ---- */

static json_t *metrics_json(const fv_report *r)
{
    json_t *all = json_object();
    for (size_t i = 0; i < r->n_metrics; i++) {
        const fv_metric *m = &r->metrics[i];
        json_t *one = json_pack("{s:o, s:o, s:o}", "value", cli_json_real(m->value), "low", cli_json_real(m->low), "high", cli_json_real(m->high));
        if (json_object_set_new(all, m->name, one) == 0) continue;
        json_decref(all);
        return NULL;
    }
    return all;
}

/* Appends to an array that becomes NULL when memory is out. */
static void append(json_t **array, json_t *item)
{
    if (*array && json_array_append_new(*array, item) == 0) return;
    json_decref(*array);
    *array = NULL;
}

static json_t *labels_json(const fv_report *r)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->n_labels; i++) {
        const fv_label_score *s = &r->labels[i];
        append(&all, json_pack("{s:s, s:o, s:o, s:o, s:I, s:I}", "label", s->name, "precision", cli_json_real(s->precision), "recall",
                               cli_json_real(s->recall), "f1", cli_json_real(s->f1), "count", (json_int_t)s->count, "predicted", (json_int_t)s->predicted));
    }
    return all;
}

static json_t *confusions_json(const fv_report *r)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->n_confusions; i++) {
        const fv_confusion *c = &r->confusions[i];
        append(&all, json_pack("{s:s, s:s, s:I}", "label", c->truth, "predicted", c->predicted, "count", (json_int_t)c->count));
    }
    return all;
}

static json_t *report_json(const fv_report *r)
{
    json_t *tree = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "rows", (json_int_t)r->rows, "cut", (json_int_t)r->cut, "unknown_labels",
                     (json_int_t)r->unknown_labels, "skipped", (json_int_t)r->skipped, "metrics", metrics_json(r), "labels", labels_json(r),
                     "confusions", confusions_json(r));
    if (!tree || !*r->bleu_signature || json_object_set_new(tree, "signatures", json_pack("{s:s, s:s}", "bleu", r->bleu_signature, "chrf", r->chrf_signature)) == 0) return tree;
    json_decref(tree);
    return NULL;
}

/* ---- Tables ---- */

static fv_status print_metrics(const fv_report *r, fv_err *err)
{
    static const char *const heads[] = {"metric", ">value", "95 % interval"};
    cli_table table;
    cli_table_init(&table, heads, FV_COUNT(heads));
    for (size_t i = 0; i < r->n_metrics; i++) {
        const fv_metric *m = &r->metrics[i];
        cli_figure figure, interval;
        cli_table_add(&table, "%s", m->name);
        cli_table_add(&table, "%s", cli_show_figure(&figure, m->name, m->value));
        cli_table_add(&table, "%s", cli_show_interval(&interval, m->name, m->low, m->high));
    }
    return cli_table_print(&table, err);
}

static int by_f1(const void *a, const void *b)
{
    const fv_label_score *x = *(const fv_label_score *const *)a, *y = *(const fv_label_score *const *)b;
    double fx = isnan(x->f1) ? 2 : x->f1, fy = isnan(y->f1) ? 2 : y->f1; /* what was never asked for comes last */
    if (fx != fy) return fx < fy ? -1 : 1;
    return x->count != y->count ? (x->count > y->count ? -1 : 1) : (x > y) - (x < y);
}

static fv_status print_labels(const fv_report *r, bool all, fv_err *err)
{
    static const char *const heads[] = {"~label", ">precision", ">recall", ">F1", ">rows", ">predicted"};
    if (!r->n_labels) return FV_OK;
    const fv_label_score **sorted = fv_alloc(r->n_labels * sizeof *sorted, err);
    if (!sorted) return FV_E_MEMORY;
    size_t n = all || r->n_labels < SHOWN_LABELS ? r->n_labels : SHOWN_LABELS;
    cli_table table;
    for (size_t i = 0; i < r->n_labels; i++) sorted[i] = &r->labels[i];
    qsort(sorted, r->n_labels, sizeof *sorted, by_f1);
    cli_table_init(&table, heads, FV_COUNT(heads));
    for (size_t i = 0; i < n; i++) {
        cli_figure room;
        cli_table_add(&table, "%s", sorted[i]->name);
        cli_table_add(&table, "%s", cli_show_figure(&room, "accuracy", sorted[i]->precision));
        cli_table_add(&table, "%s", cli_show_figure(&room, "accuracy", sorted[i]->recall));
        cli_table_add(&table, "%s", cli_show_figure(&room, "accuracy", sorted[i]->f1));
        cli_table_add(&table, "%lld", (long long)sorted[i]->count);
        cli_table_add(&table, "%lld", (long long)sorted[i]->predicted);
    }
    fv_free(sorted);
    if (n < r->n_labels) printf("\nThe %zu labels with the lowest F1, of %zu (--all shows every one)\n", n, r->n_labels);
    else printf("\nLabels, lowest F1 first\n");
    return cli_table_print(&table, err);
}

static fv_status print_confusions(const fv_report *r, fv_err *err)
{
    static const char *const heads[] = {">rows", "~label", "~predicted instead"};
    cli_table table;
    if (!r->n_confusions) return FV_OK;
    cli_table_init(&table, heads, FV_COUNT(heads));
    for (size_t i = 0; i < r->n_confusions; i++) {
        cli_table_add(&table, "%lld", (long long)r->confusions[i].count);
        cli_table_add(&table, "%s", r->confusions[i].truth);
        cli_table_add(&table, "%s", r->confusions[i].predicted);
    }
    printf("\nMost frequent confusions\n");
    return cli_table_print(&table, err);
}

static fv_status print_report(const fv_report *r, bool all, fv_err *err)
{
    cli_count count;
    fv_status status;
    printf("%s rows", cli_show_count(&count, r->rows));
    if (r->cut) printf(", %s longer than the model and cut", cli_show_count(&count, r->cut));
    if (r->unknown_labels) printf(", %s with a label that the model does not know", cli_show_count(&count, r->unknown_labels));
    if (r->skipped) printf(", %s bad ones left out", cli_show_count(&count, r->skipped));
    printf("\n\n");
    FV_TRY(print_metrics(r, err));
    if (*r->bleu_signature) printf("\nbleu  %s\nchrf  %s\n", r->bleu_signature, r->chrf_signature);
    FV_TRY(print_labels(r, all, err));
    FV_TRY(print_confusions(r, err));
done:
    return status;
}

static void name_pair_columns(struct args *args)
{
    args->o.columns.text = args->src ? args->src : "src";
    args->o.columns.label = args->tgt ? args->tgt : "tgt";
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    cli_progress progress;
    fv_report *report = NULL;
    fv_session *session = NULL;
    fv_status status = FV_OK;
    fv_model *model = fv_model_open(args->model, err);
    if (model) session = fv_session_new(model, &args->session, err);
    if (session && fv_session_labels(session) == FV_LABELS_TEXT) name_pair_columns(args);
    if (session) {
        cli_progress_init(&progress, args->common.quiet);
        args->o.on_event = on_event;
        args->o.on_event_user = &progress;
        if (args->common.seed >= 0) args->o.seed = (uint64_t)args->common.seed;
        report = fv_eval(session, args->file, &args->o, err);
        cli_progress_clear(&progress);
    }
    if (!report) status = err->status;
    else if (args->common.json) status = cli_json_line(report_json(report), err);
    else status = print_report(report, args->all, err);
    fv_report_free(report);
    fv_session_free(session);
    fv_model_close(model);
    return status;
}

static const char *const examples[] = {
    "fovea eval models/shop test.tsv",
    "fovea eval models/shop test.tsv --json",
    "fovea eval models/en-de test.tsv --src en --tgt de",
    "fovea eval models/faq test.tsv --text question --text2 answer",
    NULL,
};

const cli_command cli_eval = {
    .name = "eval",
    .says = "scores a model on labelled rows, or on plain texts",
    .text = "Accuracy, macro- and micro-F1, calibration error and loss (for numbers r2, mse and pearson), each with an interval that 95 % of "
            "1,000 bootstrap samples of the rows fall into; then precision, recall and F1 of the labels, worst first, and the largest "
            "confusions.\n\n"
            "Of a model that tells hidden words (train mlm) loss and perplexity: 15 % of the words of a file of texts are hidden, the same "
            "ones each time. Of a model that tags words (train tag) the accuracy of words, and precision, recall and F1 of the spans that "
            "tags spell, which labels then lists by type.\n\n"
            "Of a translator loss and perplexity of the translations in the file, and BLEU (bleu_lc: in lower case) and chrF of its own, "
            "which are sacreBLEU's figures for the same texts; below them their signatures.\n\n"
            "Of a model that makes vectors (train embed, or a folder of sentence-transformers), by the file's columns:\n"
            "  text, text2         all text2s of the file are ranked for each text; those\n"
            "                      of its rows are right: mrr, ndcg10, recall1, recall10\n"
            "  text, text2, grade  the same, but 0 is wrong, and larger counts more for\n"
            "                      ndcg10; an empty text only adds its text2\n"
            "  text, text2, label  how cosines agree with labels: spearman, pearson, and\n"
            "                      auc where labels are 0 and 1",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
