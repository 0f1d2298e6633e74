/* Rows to scores. A session owns a graph whose memory grows to its largest batch; texts are sorted by
 * length into ragged batches, computed, and put back in the order they came. */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

#include "infer/translate.h"

void fv_session_options_init(fv_session_options *options)
{
    *options = (fv_session_options){.size = sizeof *options, .batch_tokens = 2048, .products = FV_PRODUCTS_AS_MODEL};
}

/* There is none of that name, or none was named and there are several. */
static fv_status no_head(const fv_model *m, const char *name, fv_err *err)
{
    fv_buf names = {0};
    fv_shown shown;
    for (int i = 0; i < m->net.n_heads; i++) fv_buf_printf(&names, NULL, "%s%s", i ? ", " : "", m->net.heads[i].name);
    if (name) FV_FAIL(err, FV_E_ARGUMENT, "%s: no head is called %s; it has: %s", m->folder, fv_show(&shown, name, strlen(name)), names.len ? names.data : "one without a name");
    else FV_FAIL(err, FV_E_ARGUMENT, "%s: several heads: %s; say which one (--head)", m->folder, names.data ? names.data : "");
    fv_buf_release(&names);
    return FV_E_ARGUMENT;
}

static fv_status choose_head(fv_session *s, const char *name, fv_err *err)
{
    const fv_model *m = s->model;
    s->none = (fv_head){.kind = FV_LABELS_VECTOR, .temperature = 1, .weights.place = FV_HEAD_VECTOR};
    s->head = name ? NULL : m->net.n_heads == 1 ? &m->net.heads[0] : &s->none;
    for (int i = 0; i < m->net.n_heads && !s->head; i++)
        if (strcmp(name, m->net.heads[i].name) == 0) s->head = &m->net.heads[i];
    return s->head ? FV_OK : no_head(m, name, err);
}

fv_status fv_session_refuse(const fv_session *s, const char *lacks, fv_err *err)
{
    if (s->head == &s->none) return no_head(s->model, NULL, err);
    return FV_FAIL(err, FV_E_ARGUMENT, "%s %s: %s", s->model->folder, lacks, fv_labels_does(s->head->kind));
}

fv_session *fv_session_new(fv_model *model, const fv_session_options *options, fv_err *err)
{
    fv_session_options defaults;
    fv_session_options_init(&defaults);
    if (!options) options = &defaults;
    if (options->batch_tokens < 1) return FV_FAIL(err, FV_E_ARGUMENT, "batch_tokens is %d; expected 1 or more", options->batch_tokens), NULL;
    fv_session *s = fv_alloc_zero(1, sizeof *s, err);
    if (!s) return NULL;
    s->model = model;
    s->batch_tokens = options->batch_tokens;
    fv_pool *pool = choose_head(s, options->head, err) == FV_OK ? fv_pool_shared(err) : NULL;
    if (pool && fv_model_pack(model, options->products, &s->precision, err) == FV_OK) s->graph = fv_graph_new(pool, err);
    if (s->graph) fv_graph_set_precision(s->graph, s->precision);
    s->crew = s->graph ? fv_crew_new(s->graph, pool, err) : NULL;
    if (s->crew && model->net.translator) s->translating = fv_translating_new(model, options, err);
    if (s->crew && (s->translating || !model->net.translator)) return s;
    fv_session_free(s);
    return NULL;
}

void fv_session_free(fv_session *s)
{
    if (!s) return;
    fv_crew_free(s->crew);
    fv_graph_free(s->graph);
    fv_translating_free(s->translating);
    fv_encoding_release(&s->encoding);
    fv_ngrams_release(&s->ngrams);
    fv_buf_release(&s->work);
    fv_free(s->words);
    fv_free(s->tagged);
    fv_free(s->tagged_spans);
    fv_free(s);
}

int fv_session_n_labels(const fv_session *s) { return s->head->outputs; }
fv_labels fv_session_labels(const fv_session *s) { return s->head->kind; }
const char *fv_session_label(const fv_session *s, int i) { return i >= 0 && i < s->head->labels.n ? s->head->labels.names[i] : NULL; }
const fv_model *fv_session_model(const fv_session *s) { return s->model; }
fv_products fv_session_products(const fv_session *s) { return (fv_products)s->precision; }
int64_t fv_session_cut(const fv_session *s) { return s->cut; }

/* ---- Rows ---- */

static fv_status run_batch(const fv_network *net, const fv_head *head, fv_graph *graph, const fv_batch *batch, const fv_feature_rows *features, float *logits, fv_err *err)
{
    fv_graph_reset(graph, false);
    fv_tensor *out = fv_network_build(net, head, graph, batch, features);
    fv_status status = fv_graph_plan(graph, out, err);
    if (status != FV_OK) return status;
    fv_graph_forward(graph, 0);
    for (int32_t b = 0; b < batch->B; b++)
        memcpy(logits + (size_t)batch->rows[b] * (size_t)out->cols, out->data + b * out->stride, (size_t)out->cols * sizeof(float));
    return FV_OK;
}

fv_status fv_infer_rows(const fv_network *net, const fv_head *head, fv_graph *graph, fv_sampler *sampler, const fv_feature_rows *features, float *logits, fv_infer_progress progress, void *user, fv_err *err)
{
    fv_sampler_plan(sampler, -1);
    for (size_t i = 0; i < sampler->n_batches; i++) {
        fv_batch batch;
        fv_sampler_get(sampler, i, &batch);
        fv_status status = run_batch(net, head, graph, &batch, features, logits, err);
        if (status != FV_OK) return status;
        if (progress && progress(user, i + 1, sampler->n_batches)) return FV_FAIL(err, FV_E_STOPPED, "stopped after batch %zu of %zu", i + 1, sampler->n_batches);
    }
    return FV_OK;
}

/* ---- Scores ---- */

static void softmax(float *x, int n, double temperature)
{
    float top = x[0];
    double sum = 0;
    for (int i = 1; i < n; i++) top = x[i] > top ? x[i] : top;
    for (int i = 0; i < n; i++) sum += x[i] = (float)exp((double)(x[i] - top) / temperature);
    for (int i = 0; i < n; i++) x[i] = (float)((double)x[i] / sum);
}

void fv_infer_scores(const fv_head *head, float *logits, size_t n)
{
    int outputs = head->outputs;
    if (head->kind == FV_LABELS_SINGLE || head->kind == FV_LABELS_TAGS)
        for (size_t i = 0; i < n; i++) softmax(logits + i * (size_t)outputs, outputs, head->temperature);
    if (head->kind == FV_LABELS_MULTI || head->squashed)
        for (size_t i = 0; i < n * (size_t)outputs; i++) logits[i] = (float)(1 / (1 + exp(-(double)logits[i] / head->temperature)));
}

static double loss_at(const float *logits, const int32_t *truth, size_t n, int outputs, double temperature)
{
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        const float *x = logits + i * (size_t)outputs;
        double sum = 0, top = (double)x[0];
        if (truth[i] < 0) continue;
        for (int c = 1; c < outputs; c++) top = (double)x[c] > top ? (double)x[c] : top;
        for (int c = 0; c < outputs; c++) sum += exp(((double)x[c] - top) / temperature);
        loss += log(sum) - ((double)x[truth[i]] - top) / temperature;
    }
    return loss;
}

/* Golden-section search over ln T in [ln 0.1, ln 10]: the loss has one minimum there. */
double fv_infer_temperature(const float *logits, const int32_t *truth, size_t n, int outputs)
{
    const double ratio = 0.6180339887498949;
    double low = log(0.1), high = log(10), a = high - ratio * (high - low), b = low + ratio * (high - low);
    size_t known = 0;
    for (size_t i = 0; i < n; i++) known += truth[i] >= 0;
    if (known < 20) return 1;
    double at_a = loss_at(logits, truth, n, outputs, exp(a)), at_b = loss_at(logits, truth, n, outputs, exp(b));
    for (int i = 0; i < 30; i++) {
        if (at_a < at_b) {
            high = b, b = a, at_b = at_a, a = high - ratio * (high - low);
            at_a = loss_at(logits, truth, n, outputs, exp(a));
        } else {
            low = a, a = b, at_a = at_b, b = low + ratio * (high - low);
            at_b = loss_at(logits, truth, n, outputs, exp(b));
        }
    }
    return exp((low + high) / 2);
}

/* ---- Public calls ---- */

fv_status fv_session_logits(fv_session *s, const fv_text *texts, size_t n, float *logits, fv_infer_progress progress, void *user, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_model *m = s->model;
    fv_token_rows rows = {0};
    fv_feature_rows features = {0};
    fv_sampler sampler = {0};
    if (s->head->weights.place != FV_HEAD_TEXT) return fv_session_refuse(s, "gives texts no labels", err);
    if (n == 0) return FV_OK;
    FV_TRY(fv_prepare_rows(&rows, m->tokenizer, m->max_len, texts, n, &s->encoding, &s->cut, err));
    if (s->head->has_wide) FV_TRY(fv_prepare_features(&features, &s->head->wide, texts, n, &s->ngrams, err));
    FV_TRY(fv_sampler_init(&sampler, &rows, s->batch_tokens, 0, err));
    FV_TRY(fv_infer_rows(&m->net, s->head, s->graph, &sampler, &features, logits, progress, user, err));
done:
    fv_sampler_release(&sampler);
    fv_feature_rows_release(&features);
    fv_token_rows_release(&rows);
    return status;
}

fv_status fv_classify_scores(fv_session *s, const fv_text *texts, size_t n, float *out, fv_err *err)
{
    fv_status status = fv_session_logits(s, texts, n, out, NULL, NULL, err);
    if (status == FV_OK) fv_infer_scores(s->head, out, n);
    return status;
}

/* The best `top` of one row by repeated selection: top is small. Equal scores: the first label. */
static void choose_best(const fv_session *s, const float *scores, int top, fv_label *out)
{
    int n = s->head->outputs;
    for (int k = 0; k < top; k++) {
        int best = -1;
        for (int i = 0; i < n; i++) {
            bool taken = k > 0 && (scores[i] > out[k - 1].score || (scores[i] == out[k - 1].score && i <= out[k - 1].index));
            if (!taken && (best < 0 || scores[i] > scores[best])) best = i;
        }
        out[k] = best < 0 ? (fv_label){.index = -1} : (fv_label){.name = fv_session_label(s, best), .index = best, .score = scores[best]};
        if (best < 0) {
            while (++k < top) out[k] = (fv_label){.index = -1};
            return;
        }
    }
}

fv_status fv_classify(fv_session *s, const fv_text *texts, size_t n, int top, fv_label *out, fv_err *err)
{
    fv_status status = FV_OK;
    size_t outputs = (size_t)s->head->outputs;
    if (top < 1 || (s->head->kind == FV_LABELS_REGRESSION && top != 1)) return FV_FAIL(err, FV_E_ARGUMENT, "top is %d; expected 1 or more, and 1 for regression", top);
    s->work.len = 0;
    FV_TRY(fv_buf_reserve(&s->work, n * outputs * sizeof(float), err));
    float *scores = (float *)(void *)s->work.data;
    FV_TRY(fv_classify_scores(s, texts, n, scores, err));
    for (size_t i = 0; i < n; i++) choose_best(s, scores + i * outputs, top, out + i * (size_t)top);
done:
    return status;
}
