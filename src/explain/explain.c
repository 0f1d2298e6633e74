/* fv_explain: asks each method for weights of words, measures the order that they give against random orders, and withholds
 * what is no better, and what misses most of the score. The methods are the other files'; what is here is who calls whom, and the arithmetic of the judgement. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "explain/explain.h"

typedef struct explanation {
    fv_explanation shown; /* first: what the caller holds */
    fv_arena arena;       /* all that it points to */
} explanation;

static const char *const names[FV_N_METHODS] = {"attention", "gradient", "integrated", "leave-one-out"};

const char *fv_method_name(fv_method method) { return (int)method >= 0 && method < FV_N_METHODS ? names[method] : ""; }

void fv_explain_options_init(fv_explain_options *options)
{
    *options = (fv_explain_options){.size = sizeof *options, .label = -1, .methods = (1u << FV_N_METHODS) - 1, .orders = 20, .seed = 1};
}

static fv_status check(const fv_session *s, const fv_explain_options *o, fv_err *err)
{
    if (s->head->weights.place != FV_HEAD_TEXT) return fv_session_refuse(s, "gives texts no labels", err);
    if (o->label >= s->head->outputs) return FV_FAIL(err, FV_E_ARGUMENT, "label %d; the model has %d", o->label, s->head->outputs);
    if (o->methods == 0 || o->methods >> FV_N_METHODS) return FV_FAIL(err, FV_E_ARGUMENT, "methods are 0x%x; expected bits of 0x%x", o->methods, (1u << FV_N_METHODS) - 1);
    if (o->steps < 0 || o->steps > 256) return FV_FAIL(err, FV_E_ARGUMENT, "steps are %d; expected 0 to 256", o->steps);
    if (o->orders < 0 || o->orders > 10000) return FV_FAIL(err, FV_E_ARGUMENT, "orders are %d; expected 0 to 10000", o->orders);
    return FV_OK;
}

/* ---- The text ---- */

/* RoBERTa's tokenizer gives both texts of a pair one type. Its model does not read types, so they may tell the texts apart here. */
fv_status fv_explain_encode(fv_explaining *x, int64_t *cut, fv_err *err)
{
    const fv_model *m = x->session->model;
    fv_status status = fv_prepare_one(&x->encoding, m->tokenizer, m->max_len, &x->text, cut, err);
    if (status == FV_OK && m->net.encoder.config.family != FV_FAMILY_BERT) fv_prepare_halves(&x->encoding);
    return status;
}

/* How far whole words of a part are read. */
static uint32_t read_of(const fv_explaining *x, int part)
{
    uint32_t tokens = 0, words = 0;
    for (size_t i = 0; i < x->encoding.n; i++)
        if ((x->encoding.types[i] != 0) == part && x->encoding.ends[i] > tokens) tokens = x->encoding.ends[i];
    for (size_t i = 0; i < x->units.n; i++)
        if (x->units.items[i].part == part && x->units.items[i].end <= tokens) words = x->units.items[i].end;
    return words ? words : tokens;
}

/* Finds tokens and words. Of a text that is longer than the model, what lies behind the last word that is read whole is taken off. */
static fv_status read_text(fv_explaining *x, const fv_text *text, fv_explanation *e, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t cut = 0;
    x->text = fv_units_measured(text);
    FV_TRY(fv_explain_encode(x, &cut, err));
    FV_TRY(fv_units_find(&x->units, &x->text, err));
    if (cut) {
        e->cut = true;
        x->session->cut++;
        x->text.len = read_of(x, 0);
        if (x->text.text2) x->text.len2 = read_of(x, 1);
        FV_TRY(fv_units_find(&x->units, &x->text, err));
    }
    if (!x->text.len) x->text.text = ""; /* a length of 0 means "up to the zero byte" */
    if (x->text.text2 && !x->text.len2) x->text.text2 = "";
    if (cut) FV_TRY(fv_explain_encode(x, &cut, err));
    FV_TRY(fv_shares_find(&x->shares, &x->units, &x->encoding, err));
    e->read[0] = (uint32_t)x->text.len, e->read[1] = (uint32_t)x->text.len2;
done:
    return status;
}

/* What stands for a word that is not there: what models are taught to read as one. */
static int32_t find_nothing(const fv_tokenizer *tokenizer)
{
    static const char *const tokens[] = {"[MASK]", "<mask>", "[UNK]", "<unk>", "[PAD]", "<pad>"};
    for (size_t i = 0; i < FV_COUNT(tokens); i++) {
        int32_t id = fv_tokenizer_id(tokenizer, tokens[i]);
        if (id >= 0) return id;
    }
    return 0;
}

static int best_of(const float *logits, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

/* Which label is explained, and what it has. */
static fv_status choose(fv_explaining *x, int label, fv_explanation *e, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_head *head = x->session->head;
    float *logits = fv_alloc((size_t)head->outputs * sizeof *logits, err);
    if (!logits) return FV_E_MEMORY;
    FV_TRY(fv_session_logits(x->session, &x->text, 1, logits, NULL, NULL, err));
    x->score = (fv_score){.kind = head->kind, .outputs = head->outputs, .temperature = head->temperature, .direction = 1, .label = label < 0 ? best_of(logits, head->outputs) : label};
    e->label = x->score.label;
    e->answer = fv_score_chance(&x->score, logits);
    e->score = fv_score_of(&x->score, logits);
    fv_ends ends;
    FV_TRY(fv_explain_ends(x, &ends, err));
    e->baseline_score = ends.baseline;
    if (e->score < e->baseline_score) x->score.direction = -1;
done:
    fv_free(logits);
    return status;
}

/* ---- Methods ---- */

static double sum_of(const double *weights, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += weights[i];
    return sum;
}

static fv_status attribute(fv_explaining *x, const fv_explanation *e, int steps, fv_attribution *a, double *weights, fv_err *err)
{
    fv_status status = FV_OK;
    a->gap = NAN;
    switch (a->method) {
    case FV_METHOD_ATTENTION: return fv_explain_rollout(x, weights, err);
    case FV_METHOD_LEAVE_ONE_OUT: return fv_explain_leave_one_out(x, weights, err);
    case FV_METHOD_GRADIENT: FV_TRY(fv_explain_gradient(x, weights, err)); break;
    default:
        a->steps = steps;
        FV_TRY(fv_explain_integrated(x, &a->steps, weights, err));
    }
    a->gap = e->score - e->baseline_score - sum_of(weights, x->units.n);
done:
    return status;
}

static fv_status attribute_all(fv_explaining *x, const fv_explain_options *o, explanation *made, fv_err *err)
{
    fv_status status = FV_OK;
    fv_explanation *e = &made->shown;
    for (int m = 0; m < FV_N_METHODS; m++) {
        if (!(o->methods >> m & 1)) continue;
        double *weights = fv_arena_alloc(&made->arena, (x->units.n + 1) * sizeof *weights, err);
        if (!weights) return FV_E_MEMORY;
        fv_attribution *a = &e->attributions[e->n_attributions++];
        *a = (fv_attribution){.method = (fv_method)m, .weights = weights, .measured = {NAN, NAN}};
        FV_TRY(attribute(x, e, o->steps, a, weights, err));
    }
done:
    return status;
}

/* ---- Judgement ---- */

static double net(const fv_faithfulness *f) { return f->comprehensiveness - f->sufficiency; }

/* Of regression the heaviest words are those that brought the value to where it is. */
static fv_status order_of(const fv_explaining *x, const fv_attribution *a, double *room, uint32_t *order, fv_err *err)
{
    double sign = a->method == FV_METHOD_ATTENTION || x->score.kind != FV_LABELS_REGRESSION ? 1 : x->score.direction;
    for (size_t i = 0; i < x->units.n; i++) room[i] = sign * a->weights[i];
    return fv_explain_order(room, x->units.n, order, err);
}

/* Probabilities are float32: orders that are all alike, as of one word said again and again, differ by so little at most. */
#define ROUNDING 1e-6

/* The least gap of a gradient that named a wrong word was 0.96 of the difference, the widest with n-grams, where it is right, 0.82 (docs/explain.md). */
#define MOST 0.9

static fv_withheld withheld(const fv_explanation *e, const fv_attribution *a)
{
    if (!(net(&a->measured) > net(&e->random) + 2 * e->random_error + ROUNDING)) return FV_WITHHELD_RANDOM;
    return fabs(a->gap) > MOST * fabs(e->score - e->baseline_score) ? FV_WITHHELD_GAP : FV_WITHHELD_NOT; /* a gap of NaN is none */
}

static void judge(fv_explanation *e, const fv_faithfulness *measured, int orders)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < orders; i++) {
        e->random.comprehensiveness += measured[i].comprehensiveness / orders;
        e->random.sufficiency += measured[i].sufficiency / orders;
        sum += net(&measured[i]) / orders;
    }
    for (int i = 0; i < orders; i++) squares += (net(&measured[i]) - sum) * (net(&measured[i]) - sum);
    e->random_error = orders > 1 ? sqrt(squares / (orders - 1) / orders) : 0;
    for (int i = 0; i < e->n_attributions; i++) {
        fv_attribution *a = &e->attributions[i];
        a->measured = measured[orders + i];
        a->withheld = withheld(e, a);
        if (a->withheld != FV_WITHHELD_NOT) a->weights = NULL;
    }
}

/* The random orders, then the methods'. */
static fv_status measure(fv_explaining *x, const fv_explain_options *o, fv_explanation *e, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = x->units.n, all = (size_t)o->orders + (size_t)e->n_attributions;
    uint32_t *orders = fv_alloc_zero(all * n + 1, sizeof *orders, err);
    double *room = fv_alloc_zero(n + 1, sizeof *room, err);
    fv_faithfulness *measured = fv_alloc_zero(all + 1, sizeof *measured, err);
    if (!orders || !room || !measured) { status = FV_E_MEMORY; goto done; }
    fv_rng seed = fv_rng_make(o->seed, "explain orders");
    for (int i = 0; i < o->orders; i++) {
        fv_rng rng = fv_rng_fork(&seed, (uint64_t)i);
        for (size_t w = 0; w < n; w++) orders[(size_t)i * n + w] = (uint32_t)w;
        fv_rng_shuffle(&rng, orders + (size_t)i * n, n);
    }
    for (int i = 0; i < e->n_attributions; i++) FV_TRY(order_of(x, &e->attributions[i], room, orders + (size_t)(o->orders + i) * n, err));
    FV_TRY(fv_explain_measure(x, orders, all, measured, err));
    judge(e, measured, o->orders);
done:
    fv_free(orders);
    fv_free(room);
    fv_free(measured);
    return status;
}

static int better(const void *a, const void *b)
{
    const fv_attribution *x = a, *y = b;
    if ((x->withheld != FV_WITHHELD_NOT) != (y->withheld != FV_WITHHELD_NOT)) return x->withheld != FV_WITHHELD_NOT ? 1 : -1;
    double dx = net(&x->measured), dy = net(&y->measured);
    if (dx != dy && !isnan(dx) && !isnan(dy)) return dx > dy ? -1 : 1;
    return (int)y->method - (int)x->method; /* of equal ones the dearest, which asks the model most */
}

static fv_status judge_all(fv_explaining *x, const fv_explain_options *o, fv_explanation *e, fv_err *err)
{
    fv_status status = FV_OK;
    e->random = (fv_faithfulness){NAN, NAN};
    e->random_error = NAN;
    if (o->orders && x->units.n > 1) {
        e->orders = o->orders;
        e->random = (fv_faithfulness){0};
        FV_TRY(measure(x, o, e, err));
    } else if (o->orders)
        for (int i = 0; i < e->n_attributions; i++) e->attributions[i].withheld = FV_WITHHELD_SHORT, e->attributions[i].weights = NULL;
    qsort(e->attributions, (size_t)e->n_attributions, sizeof *e->attributions, better);
done:
    return status;
}

/* ---- The call ---- */

static fv_status give_words(const fv_explaining *x, explanation *made, fv_err *err)
{
    fv_explained_word *words = fv_arena_alloc(&made->arena, (x->units.n + 1) * sizeof *words, err);
    if (!words) return FV_E_MEMORY;
    if (x->units.n) memcpy(words, x->units.items, x->units.n * sizeof *words);
    made->shown.words = words;
    made->shown.n_words = x->units.n;
    return FV_OK;
}

static void release(fv_explaining *x)
{
    fv_encoding_release(&x->encoding);
    fv_units_release(&x->units);
    fv_shares_release(&x->shares);
    fv_arena_release(&x->arena);
}

fv_explanation *fv_explain(fv_session *s, const fv_text *text, const fv_explain_options *options, fv_err *err)
{
    fv_status status = FV_OK;
    fv_explain_options defaults;
    fv_explain_options_init(&defaults);
    const fv_explain_options *o = options ? options : &defaults;
    fv_explaining x = {.session = s, .nothing = -1};
    if (check(s, o, err) != FV_OK) return NULL;
    explanation *made = fv_alloc_zero(1, sizeof *made, err);
    if (!made) return NULL;
    x.nothing = find_nothing(s->model->tokenizer);
    made->shown.baseline = fv_tokenizer_token(s->model->tokenizer, x.nothing);
    FV_TRY(read_text(&x, text, &made->shown, err));
    FV_TRY(choose(&x, o->label, &made->shown, err));
    FV_TRY(attribute_all(&x, o, made, err));
    FV_TRY(judge_all(&x, o, &made->shown, err));
    FV_TRY(give_words(&x, made, err));
    if (o->maps) FV_TRY(fv_explain_maps(&x, &made->shown, &made->arena, err));
done:
    release(&x);
    if (status == FV_OK) return &made->shown;
    fv_explanation_free(&made->shown);
    return NULL;
}

void fv_explanation_free(fv_explanation *e)
{
    if (!e) return;
    explanation *made = (explanation *)(void *)e;
    fv_arena_release(&made->arena);
    fv_free(made);
}
