/* Reasons on a terminal: the text with its words shaded, the weightiest as bars, and how far each method is to be believed.
 *
 * Shading is a background colour, and elsewhere a block after the word, ▁ to █, with its sign. It is
 * relative to the strongest word, since weights shrink as texts grow. */
#include <math.h>
#include <string.h>

#include "cli/reasons.h"
#include "cli/term.h"

enum { TOP_WORDS = 8, BAR = 20 };

/* ---- Shading ---- */

/* A word to be shaded: 0 not at all, 1 fully; below 0, the other colour or sign. */
struct shaded {
    uint32_t begin, end;
    int part;
    double share;
};

/* How words are marked. */
struct palette {
    int shades[2][6]; /* of the terminal's 256 colours, faint to strong, for and against; 0: none */
    const char *signs[2];
};

static const struct palette looked = {.shades = {{0, 230, 229, 222, 215, 208}}, .signs = {""}};
static const struct palette pulled = {.shades = {{0, 194, 157, 120, 114, 77}, {0, 225, 224, 217, 210, 203}}, .signs = {"+", "-"}};

/* Bytes outside words, or of a word, made harmless for a terminal. */
static fv_status put_bytes(fv_buf *out, const char *text, size_t len, fv_err *err) { return cli_add_cut(out, text, len, 0, err); }

static fv_status put_word(fv_buf *out, const char *text, size_t len, double share, const struct palette *p, bool colour, fv_err *err)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    bool against = share < 0;
    fv_status status;
    int shade = colour ? p->shades[against][(int)(fabs(share) * 5.99)] : 0;
    if (shade) FV_TRY(fv_buf_printf(out, err, "\033[30;48;5;%dm", shade));
    FV_TRY(put_bytes(out, text, len, err));
    if (shade) FV_TRY(fv_buf_puts(out, "\033[0m", err));
    if (!colour && share != 0) FV_TRY(fv_buf_printf(out, err, "%s%s", p->signs[against], blocks[(int)(fabs(share) * 7.99)]));
done:
    return status;
}

/* One of the two texts, its words shaded, as one line. */
static fv_status put_part(fv_buf *out, const cli_reasons *r, int part, const struct shaded *words, size_t n, const struct palette *p, fv_err *err)
{
    const char *text = cli_reasons_text(r, part);
    size_t at = 0, len = part ? r->text.len2 : r->text.len;
    bool colour = cli_colour(stdout);
    fv_status status = FV_OK;
    for (size_t i = 0; i < n; i++) {
        const struct shaded *w = &words[i];
        if (w->part != part || w->begin < at || w->end > len) continue;
        FV_TRY(put_bytes(out, text + at, w->begin - at, err));
        FV_TRY(put_word(out, text + w->begin, w->end - w->begin, w->share, p, colour, err));
        at = w->end;
    }
    FV_TRY(put_bytes(out, text + at, len - at, err));
    FV_TRY(fv_buf_putc(out, '\n', err));
done:
    return status;
}

/* Relative to `full`; too faint to be seen is not shaded. */
static fv_status print_shaded(const cli_reasons *r, struct shaded *words, size_t n, double full, const struct palette *p, fv_err *err)
{
    fv_buf out = {0};
    fv_status status;
    for (size_t i = 0; i < n; i++) {
        double share = full > 0 ? words[i].share / full : 0;
        words[i].share = fabs(share) < 0.05 && p != &looked ? 0 : fmax(-1, fmin(1, share));
    }
    FV_TRY(put_part(&out, r, 0, words, n, p, err));
    if (r->text.text2) FV_TRY(put_part(&out, r, 1, words, n, p, err));
    fwrite(out.data, 1, out.len, stdout);
done:
    fv_buf_release(&out);
    return status;
}

static double heaviest(const struct shaded *words, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(words[i].share));
    return most;
}

/* ---- The method that is shown ---- */

static bool is_looked(const fv_attribution *a) { return a->method == FV_METHOD_ATTENTION; }

/* Of attention at least twice an even share is full, so that words read alike do not all shine. */
static fv_status print_words(const cli_reasons *r, const fv_attribution *a, fv_err *err)
{
    const fv_explanation *e = r->explained;
    struct shaded *words = fv_alloc_zero(e->n_words + 1, sizeof *words, err);
    if (!words) return FV_E_MEMORY;
    for (size_t i = 0; i < e->n_words; i++) {
        const fv_explained_word *w = &e->words[i];
        words[i] = (struct shaded){.begin = w->begin, .end = w->end, .part = w->part, .share = a->weights[i]};
    }
    double full = heaviest(words, e->n_words);
    if (is_looked(a)) full = fmax(full, 2 / (double)e->n_words);
    fv_status status = print_shaded(r, words, e->n_words, full, is_looked(a) ? &looked : &pulled, err);
    fv_free(words);
    return status;
}

/* The weightiest words not yet taken, one by one: TOP_WORDS is small. */
static size_t next_word(const fv_explanation *e, const double *weights, const bool *taken)
{
    size_t best = e->n_words;
    for (size_t i = 0; i < e->n_words; i++)
        if (!taken[i] && (best == e->n_words || fabs(weights[i]) > fabs(weights[best]))) best = i;
    return best;
}

static fv_status print_bars(const cli_reasons *r, const fv_attribution *a, fv_err *err)
{
    static const char *const heads[] = {"~word", ">weight", ""};
    const fv_explanation *e = r->explained;
    bool *taken = fv_alloc_zero(e->n_words + 1, sizeof *taken, err);
    cli_table table;
    if (!taken) return FV_E_MEMORY;
    cli_table_init(&table, heads, FV_COUNT(heads));
    double full = 0;
    for (int k = 0; k < TOP_WORDS; k++) {
        char bar[4 * BAR];
        size_t i = next_word(e, a->weights, taken);
        if (i == e->n_words || a->weights[i] == 0) break;
        if (k == 0) full = fabs(a->weights[i]);
        const fv_explained_word *w = &e->words[i];
        cli_bar(bar, sizeof bar, fabs(a->weights[i]) / full, BAR);
        cli_table_add(&table, "%.*s", (int)(w->end - w->begin), cli_reasons_text(r, w->part) + w->begin);
        cli_table_add(&table, is_looked(a) ? "%.3f" : "%+.3f", a->weights[i]);
        cli_table_add(&table, "%s%s", a->weights[i] < 0 ? "-" : "", bar);
        taken[i] = true;
    }
    fv_free(taken);
    return cli_table_print(&table, err);
}

static fv_status print_shown(const cli_reasons *r, const fv_attribution *a, fv_err *err)
{
    fv_status status;
    printf("Why %s (%s: %s):\n", cli_reasons_label(r, r->explained->label), fv_method_name(a->method), cli_reasons_measures(a->method));
    FV_TRY(print_words(r, a, err));
    putchar('\n');
    FV_TRY(print_bars(r, a, err));
done:
    return status;
}

/* ---- What methods are worth ---- */

static void add_figures(cli_table *table, const char *name, const fv_faithfulness *f)
{
    cli_table_add(table, "%s", name);
    cli_table_add(table, "%+.3f", f->comprehensiveness);
    cli_table_add(table, "%+.3f", f->sufficiency);
}

static fv_status print_figures(const cli_reasons *r, fv_err *err)
{
    static const char *const heads[] = {"method", ">without", ">alone", "~"};
    const fv_explanation *e = r->explained;
    cli_table table;
    if (!e->orders) return FV_OK;
    printf("\nWhat %s loses without the first words, and with them alone:\n", r->kind == FV_LABELS_REGRESSION ? "the value" : "the probability");
    cli_table_init(&table, heads, FV_COUNT(heads));
    for (int i = 0; i < e->n_attributions; i++) {
        const fv_attribution *a = &e->attributions[i];
        add_figures(&table, fv_method_name(a->method), &a->measured);
        if (a->withheld != FV_WITHHELD_NOT) cli_table_add(&table, "%s", cli_reasons_withheld(a->withheld));
        else if (a->method == FV_METHOD_INTEGRATED) cli_table_add(&table, "gap %+.3f of %+.3f", a->gap, e->score - e->baseline_score);
        else cli_table_add(&table, "%s", "");
    }
    add_figures(&table, "random order", &e->random);
    cli_table_add(&table, "the mean of %d", e->orders);
    return cli_table_print(&table, err);
}

static fv_status print_methods(const cli_reasons *r, fv_err *err)
{
    const fv_attribution *shown = cli_reasons_shown(r);
    const fv_explanation *e = r->explained;
    fv_status status = FV_OK;
    putchar('\n');
    if (shown) FV_TRY(print_shown(r, shown, err));
    else if (!e->orders) printf("No reasons: fewer than two words have no order.\n");
    else printf("No reasons: all that was asked is withheld here, for what stands beside it.\n");
    FV_TRY(print_figures(r, err));
    if (e->cut) printf("\nThe text is longer than the model: explained is what it says of the part that it reads.\n");
done:
    return status;
}

/* ---- The wide part ---- */

static fv_status print_ngrams(const cli_reasons *r, fv_err *err)
{
    static const char *const heads[] = {">weight", "~n-gram"};
    const fv_reason *chosen[CLI_REASONS_NGRAMS];
    size_t n = cli_reasons_ngrams(r->wide, chosen);
    fv_buf text = {0};
    fv_status status = FV_OK;
    cli_table table;
    if (n == 0) return FV_OK;
    putchar('\n');
    cli_table_init(&table, heads, FV_COUNT(heads));
    for (size_t i = 0; i < n; i++) {
        text.len = 0;
        if (!status) status = cli_reasons_spell(r, chosen[i], &text, err);
        cli_table_add(&table, "%+.3f", chosen[i]->weight);
        cli_table_add(&table, "%s", text.data ? text.data : "");
    }
    fv_buf_release(&text);
    fv_status printed = cli_table_print(&table, err);
    return status ? status : printed;
}

static fv_status print_wide_words(const cli_reasons *r, fv_err *err)
{
    const fv_reasons *wide = r->wide;
    struct shaded *words = fv_alloc_zero(wide->n_words + 1, sizeof *words, err);
    if (!words) return FV_E_MEMORY;
    for (size_t i = 0; i < wide->n_words; i++) {
        const fv_reason *w = &wide->words[i];
        words[i] = (struct shaded){.begin = w->begin, .end = w->end, .part = w->part, .share = w->weight};
    }
    fv_status status = print_shaded(r, words, wide->n_words, heaviest(words, wide->n_words), &pulled, err);
    fv_free(words);
    return status;
}

static fv_status print_wide(const cli_reasons *r, fv_err *err)
{
    fv_status status;
    fv_buf sum = {0};
    printf("\nWhat its n-grams say for the label, and against it:\n");
    FV_TRY(print_wide_words(r, err));
    FV_TRY(print_ngrams(r, err));
    FV_TRY(cli_reasons_sum(r, &sum, err));
    printf("\n%s\n", sum.data);
done:
    fv_buf_release(&sum);
    return status;
}

fv_status cli_reasons_print(const cli_reasons *r, fv_err *err)
{
    fv_status status;
    if (r->kind == FV_LABELS_REGRESSION) printf("%.7g\n", (double)r->best.score);
    else printf("%s\t%.4f\n", r->best.name, (double)r->best.score);
    FV_TRY(print_methods(r, err));
    if (r->wide) FV_TRY(print_wide(r, err));
    FV_TRY(cli_flush(err));
done:
    return status;
}
