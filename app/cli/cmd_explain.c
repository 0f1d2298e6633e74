/* fovea explain: why this label, by every method that the model allows. Each method asks the library once
 * and shows what it got in JSON and as text; the table of them is at the foot.
 *
 * Shading is a background colour on a terminal, and elsewhere a block after the word, ▁ to █. It is
 * relative to the strongest word, since weights shrink as texts grow. */
#include <math.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/record.h"
#include "cli/term.h"

#define TOP_NGRAMS 10 /* of hundreds that a text has, many of them pieces of one another */

struct args {
    cli_common common;
    fv_session_options session;
    const char *model, *input, *input2, *label;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder", AT(model), .needed = true},
};

static const cli_option options[] = {
    {"head", "NAME", "which head answers, of a model with several", AT(session.head)},
    {"input", "TEXT", "the text", AT(input), .needed = true},
    {"input2", "TEXT", "the second text of a pair", AT(input2)},
    {"label", "LABEL", "what n-grams say for and against; the best label if not given", AT(label)},
};

/* One explained text. */
struct answer {
    const fv_session *session;
    fv_text text;
    fv_label best;
    fv_labels kind;
    int label;            /* --label; -1: the best */
    const fv_word *words; /* attention's; the session's */
    size_t n;
    fv_reasons *reasons;  /* the wide part's */
};

static const char *text_of(const struct answer *a, int part) { return part ? a->text.text2 : a->text.text; }

/* ---- Shading ---- */

/* A word to be shaded: 0 not at all, 1 fully; below 0, the other colour or sign. */
struct shaded {
    uint32_t begin, end;
    int part;
    double share;
};

/* How a method marks words. */
struct palette {
    int shades[2][6]; /* of the terminal's 256 colours, faint to strong, for and against; 0: none */
    const char *signs[2];
};

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
static fv_status put_part(fv_buf *out, const struct answer *a, int part, const struct shaded *words, size_t n, const struct palette *p, fv_err *err)
{
    const char *text = text_of(a, part);
    size_t at = 0, len = part ? a->text.len2 : a->text.len;
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

static fv_status print_shaded(const struct answer *a, const struct shaded *words, size_t n, const struct palette *p, fv_err *err)
{
    fv_buf out = {0};
    fv_status status;
    FV_TRY(put_part(&out, a, 0, words, n, p, err));
    if (a->text.text2) FV_TRY(put_part(&out, a, 1, words, n, p, err));
    fwrite(out.data, 1, out.len, stdout);
done:
    fv_buf_release(&out);
    return status;
}

/* ---- Attention ---- */

static bool always(const fv_session *session) { return session != NULL; }

static fv_status ask_attention(struct answer *a, fv_session *session, fv_err *err) { return fv_attention_words(session, &a->text, &a->words, &a->n, err); }

/* An array of what `one` makes of each; NULL when out of memory. */
static json_t *array_json(const struct answer *a, size_t n, const void *items, json_t *(*one)(const struct answer *, const void *items, size_t i))
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(all, one(a, items, i))) {
            json_decref(all);
            return NULL;
        }
    return all;
}

static json_t *stretch_json(const struct answer *a, uint32_t begin, uint32_t end, int part, double weight)
{
    return json_pack("{s:o, s:I, s:I, s:i, s:o}", "text", cli_json_text(text_of(a, part) + begin, end - begin), "begin", (json_int_t)begin,
                     "end", (json_int_t)end, "part", part, "weight", cli_json_real(weight));
}

static json_t *word_json(const struct answer *a, const void *items, size_t i)
{
    const fv_word *w = (const fv_word *)items + i;
    return stretch_json(a, w->begin, w->end, w->part, (double)w->weight);
}

static json_t *attention_json(const struct answer *a) { return array_json(a, a->n, a->words, word_json); }

/* The weight that gets full shade: the strongest, but at least twice an even share, so that words read
 * alike do not all shine. */
static double full_weight(const struct answer *a)
{
    double most = a->n ? 2 / (double)a->n : 1;
    for (size_t i = 0; i < a->n; i++) most = fmax(most, (double)a->words[i].weight);
    return most;
}

static fv_status print_attention(const struct answer *a, fv_err *err)
{
    static const struct palette palette = {.shades = {{0, 230, 229, 222, 215, 208}}, .signs = {""}};
    struct shaded *words = fv_alloc_zero(a->n + 1, sizeof *words, err);
    if (!words) return FV_E_MEMORY;
    double full = full_weight(a);
    for (size_t i = 0; i < a->n; i++) {
        const fv_word *w = &a->words[i];
        words[i] = (struct shaded){.begin = w->begin, .end = w->end, .part = w->part, .share = (double)w->weight / full};
    }
    fv_status status = print_shaded(a, words, a->n, &palette, err);
    fv_free(words);
    return status;
}

/* ---- The wide part ---- */

static fv_status ask_wide(struct answer *a, fv_session *session, fv_err *err)
{
    a->reasons = fv_explain_wide(session, &a->text, a->label, err);
    return a->reasons ? FV_OK : err->status;
}

static const char *name_of(const struct answer *a, int label) { return a->kind == FV_LABELS_REGRESSION ? "the value" : fv_session_label(a->session, label); }

static json_t *reason_json(const struct answer *a, const void *items, size_t i)
{
    const fv_reason *r = (const fv_reason *)items + i;
    return stretch_json(a, r->begin, r->end, r->part, r->weight);
}

static json_t *ngram_json(const struct answer *a, const void *items, size_t i)
{
    const fv_reason *r = (const fv_reason *)items + i;
    json_t *one = reason_json(a, items, i);
    if (json_object_set_new(one, "open_begin", json_boolean(r->open_begin)) == 0 && json_object_set_new(one, "open_end", json_boolean(r->open_end)) == 0 &&
        json_object_set_new(one, "pair", json_boolean(r->pair)) == 0) return one;
    json_decref(one);
    return NULL;
}

static json_t *sum_json(double sum, double wide)
{
    return json_pack("{s:o, s:o, s:o}", "sum", cli_json_real(sum), "wide", cli_json_real(wide), "transformer", cli_json_real(sum - wide));
}

static json_t *wide_json(const struct answer *a)
{
    const fv_reasons *r = a->reasons;
    json_t *tree = json_pack("{s:o, s:o, s:o}", "logit", sum_json(r->logit, r->wide), "words", array_json(a, r->n_words, r->words, reason_json),
                             "ngrams", array_json(a, r->n_ngrams, r->ngrams, ngram_json));
    bool fine = tree && (a->kind == FV_LABELS_REGRESSION || json_object_set_new(tree, "label", json_string(name_of(a, r->label))) == 0);
    if (fine && r->rival >= 0)
        fine = json_object_set_new(tree, "rival", json_string(name_of(a, r->rival))) == 0 && json_object_set_new(tree, "margin", sum_json(r->margin, r->wide_margin)) == 0;
    if (fine) return tree;
    json_decref(tree);
    return NULL;
}

/* Words of the wide part, shaded relative to the heaviest; too faint to be shaded is not shaded. */
static fv_status print_wide_words(const struct answer *a, fv_err *err)
{
    static const struct palette palette = {.shades = {{0, 194, 157, 120, 114, 77}, {0, 225, 224, 217, 210, 203}}, .signs = {"+", "-"}};
    const fv_reasons *r = a->reasons;
    struct shaded *words = fv_alloc_zero(r->n_words + 1, sizeof *words, err);
    if (!words) return FV_E_MEMORY;
    double full = 0;
    for (size_t i = 0; i < r->n_words; i++) full = fmax(full, fabs(r->words[i].weight));
    for (size_t i = 0; i < r->n_words; i++) {
        const fv_reason *w = &r->words[i];
        double share = full > 0 ? w->weight / full : 0;
        words[i] = (struct shaded){.begin = w->begin, .end = w->end, .part = w->part, .share = fabs(share) < 0.05 ? 0 : share};
    }
    fv_status status = print_shaded(a, words, r->n_words, &palette, err);
    fv_free(words);
    return status;
}

/* Two pieces that share bytes and pull the same way. */
static bool alike(const fv_reason *x, const fv_reason *y)
{
    bool pieces = (x->open_begin || x->open_end) && (y->open_begin || y->open_end);
    return pieces && x->part == y->part && x->begin < y->end && y->begin < x->end && (x->weight < 0) == (y->weight < 0);
}

/* A word's pieces say much the same: of those that overlap and pull the same way the heaviest stands for
 * the others. */
static size_t choose_ngrams(const fv_reasons *r, const fv_reason *chosen[TOP_NGRAMS])
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_ngrams && n < TOP_NGRAMS; i++) {
        const fv_reason *g = &r->ngrams[i];
        bool said = false;
        for (size_t k = 0; k < n; k++) said |= alike(g, chosen[k]);
        if (!said) chosen[n++] = g;
    }
    return n;
}

/* A pair is spelled without what stands between its words. */
static void add_pair(cli_table *table, const struct answer *a, const fv_reason *g)
{
    const char *text = text_of(a, g->part);
    const fv_reason *first = g, *last = g;
    for (size_t i = 0; i < a->reasons->n_words; i++) {
        const fv_reason *w = &a->reasons->words[i];
        if (w->part == g->part && w->begin == g->begin) first = w;
        if (w->part == g->part && w->end == g->end) last = w;
    }
    cli_table_add(table, "%.*s %.*s", (int)(first->end - first->begin), text + first->begin, (int)(last->end - last->begin), text + last->begin);
}

/* A piece of words is spelled as dictionaries do: "re-", "-ed", "-in-". */
static fv_status print_ngrams(const struct answer *a, fv_err *err)
{
    static const char *const heads[] = {">weight", "~n-gram"};
    const fv_reason *chosen[TOP_NGRAMS];
    size_t n = choose_ngrams(a->reasons, chosen);
    cli_table table;
    if (n == 0) return FV_OK;
    putchar('\n');
    cli_table_init(&table, heads, FV_COUNT(heads));
    for (size_t i = 0; i < n; i++) {
        const fv_reason *g = chosen[i];
        cli_table_add(&table, "%+.3f", g->weight);
        if (g->pair) add_pair(&table, a, g);
        else cli_table_add(&table, "%s%.*s%s", g->open_begin ? "-" : "", (int)(g->end - g->begin), text_of(a, g->part) + g->begin, g->open_end ? "-" : "");
    }
    return cli_table_print(&table, err);
}

/* What was added up, in one sentence. */
static void print_sum(const struct answer *a)
{
    const fv_reasons *r = a->reasons;
    bool rivals = r->rival >= 0;
    double sum = rivals ? r->margin : r->logit, wide = rivals ? r->wide_margin : r->wide;
    putchar('\n');
    if (rivals) printf("%s is %s %s by %.3f", name_of(a, r->label), sum < 0 ? "behind" : "ahead of", name_of(a, r->rival), fabs(sum));
    else if (a->kind == FV_LABELS_REGRESSION) printf("The value is %+.3f", sum);
    else printf("%s has %+.3f and holds above 0", name_of(a, r->label), sum);
    printf(": n-grams %+.3f, Transformer %+.3f.\n", wide, sum - wide);
}

static fv_status print_wide(const struct answer *a, fv_err *err)
{
    fv_status status;
    FV_TRY(print_wide_words(a, err));
    FV_TRY(print_ngrams(a, err));
    print_sum(a);
done:
    return status;
}

/* ---- Methods ---- */

static const struct method {
    const char *key, *heading; /* in JSON; above the text if there are others */
    bool (*fits)(const fv_session *session);
    fv_status (*ask)(struct answer *a, fv_session *session, fv_err *err);
    json_t *(*json)(const struct answer *a);
    fv_status (*print)(const struct answer *a, fv_err *err);
} methods[] = {
    {"words", "Where it looked (attention):", always, ask_attention, attention_json, print_attention},
    {"wide", "What its n-grams say for the label, and against it:", fv_session_has_wide, ask_wide, wide_json, print_wide},
};

static json_t *answer_json(const struct answer *a)
{
    json_t *score = cli_json_real((double)a->best.score);
    json_t *tree = a->kind == FV_LABELS_REGRESSION ? json_pack("{s:o}", "value", score) : json_pack("{s:s, s:o}", "label", a->best.name, "score", score);
    for (size_t i = 0; i < FV_COUNT(methods) && tree; i++)
        if (methods[i].fits(a->session) && json_object_set_new(tree, methods[i].key, methods[i].json(a))) {
            json_decref(tree);
            return NULL;
        }
    return tree;
}

static fv_status print_answer(const struct answer *a, fv_err *err)
{
    size_t fitting = 0;
    if (a->kind == FV_LABELS_REGRESSION) printf("%.7g\n", (double)a->best.score);
    else printf("%s\t%.4f\n", a->best.name, (double)a->best.score);
    for (size_t i = 0; i < FV_COUNT(methods); i++) fitting += methods[i].fits(a->session);
    for (size_t i = 0; i < FV_COUNT(methods); i++) {
        if (!methods[i].fits(a->session)) continue;
        putchar('\n');
        if (fitting > 1) puts(methods[i].heading);
        fv_status status = methods[i].print(a, err);
        if (status) return status;
    }
    return cli_flush(err);
}

static fv_status find_label(struct answer *a, const char *name, fv_err *err)
{
    fv_shown shown;
    a->label = -1;
    if (!name) return FV_OK;
    if (a->kind == FV_LABELS_REGRESSION) return FV_FAIL(err, FV_E_ARGUMENT, "--label: the model learned a number, and has no labels");
    if (!fv_session_has_wide(a->session)) return FV_FAIL(err, FV_E_ARGUMENT, "--label: the model has no wide part, and attention is the same for every label; leave it out");
    for (int i = 0; i < fv_session_n_labels(a->session); i++)
        if (strcmp(fv_session_label(a->session, i), name) == 0) return a->label = i, FV_OK;
    return FV_FAIL(err, FV_E_ARGUMENT, "--label: the model has no label %s; `fovea inspect` lists them", fv_show(&shown, name, strlen(name)));
}

static fv_status explain(const struct args *args, fv_session *session, fv_err *err)
{
    struct answer a = {.session = session, .kind = fv_session_labels(session), .text = {.text = args->input, .text2 = args->input2, .len = strlen(args->input)}};
    fv_status status;
    if (args->input2) a.text.len2 = strlen(args->input2);
    FV_TRY(fv_classify(session, &a.text, 1, 1, &a.best, err));
    FV_TRY(find_label(&a, args->label, err));
    for (size_t i = 0; i < FV_COUNT(methods); i++)
        if (methods[i].fits(session)) FV_TRY(methods[i].ask(&a, session, err));
    FV_TRY(args->common.json ? cli_json_line(answer_json(&a), err) : print_answer(&a, err));
    if (!args->common.json && !args->common.quiet)
        fprintf(stderr, "\nAttention is where the model looked, which is no proof of why it decided.\n");
done:
    fv_reasons_free(a.reasons);
    return status;
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    fv_session *session = NULL;
    fv_model *model = fv_model_open(args->model, err);
    if (model) session = fv_session_new(model, &args->session, err);
    fv_status status = session ? explain(args, session, err) : err->status;
    fv_session_free(session);
    fv_model_close(model);
    return status;
}

static void init(void *user)
{
    struct args *args = user;
    fv_session_options_init(&args->session);
}

static const char *const examples[] = {
    "fovea explain models/shop --input 'My parcel has not come'",
    "fovea explain models/shop --input 'My parcel has not come' --label refund",
    "fovea explain models/shop --input 'My parcel has not come' --json",
    NULL,
};

const cli_command cli_explain = {
    .name = "explain",
    .says = "shows which words of a text made the answer",
    .text = "Prints the best label, then the text with each word shaded: a background colour on a terminal, a block from ▁ to █ elsewhere, "
            "relative to the strongest word.\n\n"
            "First by the attention that reached the answer (attention rollout): it shows where the model looked, which is no proof of why "
            "it decided.\n\n"
            "Then, if the model has a wide part (it has when it was trained from nothing without --no-wide), by what the word's n-grams add "
            "to the label or take from it: this is a sum, and the whole of what that part does. The heaviest n-grams follow (words, pairs of "
            "words, pieces such as \"re-\" and \"-ed\"; of pieces that overlap, the heaviest), and how much of the lead over the runner-up is theirs, and how much the Transformer's.\n\n"
            "With --json all of it is on one line:\n"
            "  {\"label\":…,\"score\":…,\"words\":[…],\"wide\":{…}}\n"
            "wide holds label, rival, logit and margin (each {\"sum\":…,\"wide\":…,\"transformer\":…}), words and all ngrams; a stretch of text is\n"
            "  {\"text\":…,\"begin\":…,\"end\":…,\"part\":…,\"weight\":…}",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
