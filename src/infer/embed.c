/* Texts to vectors: prompts before them, batches through the encoder and what sentence.c adds, and the last arithmetic. What is
 * a text's own stays so: its vector does not depend on who shares its batch. */
#include "infer/infer.h"

#include <math.h>
#include <string.h>

void fv_embed_options_init(fv_embed_options *options) { *options = (fv_embed_options){.size = sizeof *options}; }

int fv_model_embedding_size(const fv_model *m) { return m->net.translator ? 0 : fv_sentence_size(&m->sentence, &m->net.encoder.config); }

/* ---- Prompts ---- */

static fv_status no_prompt(const fv_model *m, const char *name, fv_err *err)
{
    fv_buf names = {0};
    fv_shown shown;
    const char *key;
    json_t *value;
    json_object_foreach(m->sentence.prompts, key, value) fv_buf_printf(&names, NULL, "%s%s", names.len ? ", " : "", key);
    fv_status status = FV_FAIL(err, FV_E_ARGUMENT, "%s: no prompt is called %s; it has: %s", m->folder, fv_show(&shown, name, strlen(name)), names.len ? names.data : "none");
    fv_buf_release(&names);
    return status;
}

static fv_status check_prompt(const fv_model *m, const char *prompt, fv_err *err)
{
    if (*prompt && m->sentence.skips_prompt) return FV_FAIL(err, FV_E_FORMAT, "%s: include_prompt is false: pooling leaves the prompt out; not supported", m->folder);
    return FV_OK;
}

const char *fv_model_prompt(const fv_model *m, const char *name, fv_err *err)
{
    if (!name) name = m->sentence.prompt;
    const char *prompt = name ? json_string_value(json_object_get(m->sentence.prompts, name)) : "";
    if (!prompt) return no_prompt(m, name, err), NULL;
    return check_prompt(m, prompt, err) == FV_OK ? prompt : NULL;
}

/* *prompt is "" where none is wanted. */
static fv_status find_prompt(const char **prompt, const fv_model *m, const fv_embed_options *o, fv_err *err)
{
    fv_err own = {0};
    *prompt = o->prompt ? o->prompt : fv_model_prompt(m, o->prompt_name, &own);
    if (!*prompt) return FV_FAIL(err, own.status, "%s", own.text);
    return check_prompt(m, *prompt, err);
}

static size_t length(const fv_text *t) { return t->len ? t->len : t->text ? strlen(t->text) : 0; }

/* Copies of the texts with the prompt before each, as sentence-transformers joins them: no space is added. */
static fv_text *prompted(const fv_text *texts, size_t n, const char *prompt, char **room, fv_err *err)
{
    size_t first = strlen(prompt), total = 0;
    for (size_t i = 0; i < n; i++) total += first + length(&texts[i]) + 1;
    fv_text *list = fv_alloc_zero(n, sizeof *list, err);
    char *at = *room = list ? fv_alloc(total, err) : NULL;
    if (!at) return fv_free(list), NULL;
    for (size_t i = 0; i < n; i++) {
        size_t len = length(&texts[i]);
        list[i] = texts[i];
        list[i].text = at;
        list[i].len = first + len;
        memcpy(at, prompt, first);
        if (len) memcpy(at + first, texts[i].text, len);
        at[first + len] = 0;
        at += first + len + 1;
    }
    return list;
}

/* ---- Vectors ---- */

/* The first `dim` numbers; of unit length if wanted. */
static void finish(float *to, const float *from, int dim, bool unit)
{
    double sum = 0;
    for (int i = 0; i < dim; i++) sum += (double)from[i] * (double)from[i];
    double scale = unit ? 1 / fmax(sqrt(sum), 1e-12) : 1;
    for (int i = 0; i < dim; i++) to[i] = unit ? (float)((double)from[i] * scale) : from[i];
}

static fv_status run_batch(const fv_encoder *encoder, const fv_sentence *sentence, fv_graph *graph, const fv_batch *batch, int dim, bool unit, float *out, fv_err *err)
{
    fv_graph_reset(graph, false);
    fv_tensor *x = fv_sentence_build(sentence, graph, fv_encoder_build(encoder, graph, batch), batch);
    fv_status status = fv_graph_plan(graph, x, err);
    if (status != FV_OK) return status;
    fv_graph_forward(graph, 0);
    for (int32_t b = 0; b < batch->B; b++) finish(out + (size_t)batch->rows[b] * (size_t)dim, x->data + b * x->stride, dim, unit);
    return FV_OK;
}

fv_status fv_infer_vectors(const fv_encoder *encoder, const fv_sentence *sentence, fv_graph *graph, fv_sampler *sampler, int dim, bool unit, float *out, fv_err *err)
{
    fv_status status = FV_OK;
    fv_sampler_plan(sampler, -1);
    for (size_t i = 0; i < sampler->n_batches && status == FV_OK; i++) {
        fv_batch batch;
        fv_sampler_get(sampler, i, &batch);
        status = run_batch(encoder, sentence, graph, &batch, dim, unit, out, err);
    }
    return status;
}

typedef struct making {
    const fv_encoder *encoder;
    const fv_sentence *sentence;
    int dim;
    bool unit;
    float *out;
} making;

static fv_status make_batch(void *user, fv_graph *graph, const fv_batch *batch, fv_err *err)
{
    const making *m = user;
    return run_batch(m->encoder, m->sentence, graph, batch, m->dim, m->unit, m->out, err);
}

fv_status fv_crew_vectors(fv_crew *crew, const fv_encoder *encoder, const fv_sentence *sentence, const fv_token_rows *rows, int batch_tokens, int dim, bool unit, float *out, fv_err *err)
{
    return fv_crew_run(crew, rows, batch_tokens, make_batch, &(making){encoder, sentence, dim, unit, out}, err);
}

static fv_status embed_texts(fv_session *s, const fv_text *texts, size_t n, int dim, bool unit, float *out, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_model *m = s->model;
    fv_token_rows rows = {0};
    FV_TRY(fv_prepare_rows(&rows, m->tokenizer, m->max_len, texts, n, &s->encoding, &s->cut, err));
    FV_TRY(fv_crew_vectors(s->crew, &m->net.encoder, &m->sentence, &rows, s->batch_tokens, dim, unit, out, err));
done:
    fv_token_rows_release(&rows);
    return status;
}

fv_status fv_embed(fv_session *s, const fv_text *texts, size_t n, const fv_embed_options *o, float *out, fv_err *err)
{
    fv_status status = FV_OK;
    fv_embed_options defaults;
    const char *prompt = "";
    char *room = NULL;
    fv_text *list = NULL;
    int size = fv_model_embedding_size(s->model);
    fv_embed_options_init(&defaults);
    if (!o) o = &defaults;
    if (!size) return FV_FAIL(err, FV_E_ARGUMENT, "%s makes no vectors of texts: %s", s->model->folder, fv_labels_does(s->head->kind));
    if (o->dim < 0 || o->dim > size) return FV_FAIL(err, FV_E_ARGUMENT, "vectors of %d numbers asked; %s gives %d", o->dim, s->model->folder, size);
    FV_TRY(find_prompt(&prompt, s->model, o, err));
    if (n == 0) return FV_OK;
    if (*prompt && !(list = prompted(texts, n, prompt, &room, err))) return FV_E_MEMORY;
    bool unit = o->unit == FV_UNIT_YES || (o->unit == FV_UNIT_AS_MODEL && s->model->sentence.normalise);
    status = embed_texts(s, list ? list : texts, n, o->dim ? o->dim : size, unit, out, err);
done:
    fv_free(list);
    fv_free(room);
    return status;
}
