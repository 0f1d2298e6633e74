/* A model that makes vectors against rows of texts: each distinct text is read once, then cosines are all that counts. The
 * model's own prompt, if it names one, stands before every text. */
#include "api/eval.h"

#include "train/retrieval.h"
#include "train/similarity.h"

enum { CHUNK = 1024 /* texts between two looks at the clock */ };

static fv_status read_texts(fv_session *s, float *vectors, const fv_text *texts, size_t n, int dim, fv_infer_progress tell, void *user, fv_err *err)
{
    fv_embed_options o;
    fv_embed_options_init(&o);
    o.unit = FV_UNIT_YES;
    o.dim = dim;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK;
        fv_status status = fv_embed(s, texts + at, count, &o, vectors + at * (size_t)dim, err);
        if (status != FV_OK) return status;
        if (tell(user, at + count, n)) return FV_FAIL(err, FV_E_STOPPED, "stopped after %zu of %zu texts", at + count, n);
    }
    return FV_OK;
}

static fv_status judge_labels(fv_report *report, const fv_dataset *data, const fv_judgements *j, const float *vectors, size_t dim, uint64_t seed, fv_pool *pool, fv_err *err)
{
    double *truth = fv_alloc(data->n * sizeof *truth, err);
    float *cosines = truth ? fv_alloc(data->n * sizeof *cosines, err) : NULL;
    for (size_t i = 0; cosines && i < data->n; i++) {
        const float *a = vectors + (size_t)j->asks[i] * dim, *b = vectors + (j->n_queries + (size_t)j->asked[i]) * dim;
        double sum = 0;
        for (size_t c = 0; c < dim; c++) sum += (double)a[c] * (double)b[c];
        truth[i] = data->rows[i].value;
        cosines[i] = (float)sum;
    }
    fv_similarities s = {.n = data->n, .truth = truth, .cosines = cosines, .seed = seed};
    fv_status status = cosines ? fv_similarity_compute(report, &s, pool, err) : FV_E_MEMORY;
    fv_free(truth);
    fv_free(cosines);
    return status;
}

fv_status fv_eval_vectors(fv_report *report, fv_session *s, const fv_dataset *data, const char *path, const fv_eval_options *o, fv_infer_progress tell, void *user, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    fv_judgements j = {0};
    float *vectors = NULL;
    int64_t cut = s->cut;
    int size = fv_model_embedding_size(s->model), dim = o->dim ? o->dim : size;
    if (dim < 1 || dim > size) return FV_FAIL(err, FV_E_ARGUMENT, "vectors of %d numbers asked; %s gives %d", dim, s->model->folder, size);
    if (!(data->has & FV_HAS_TEXT2)) return FV_FAIL(err, FV_E_INPUT, "%s: rows have a text alone; expected a text2 that is to be found, or how alike the two are (--text2 names the column)", path);
    FV_TRY(fv_judgements_make(&j, data, err));
    vectors = fv_alloc((j.n_queries + j.n_documents) * (size_t)dim * sizeof *vectors, err);
    if (!vectors) { status = FV_E_MEMORY; goto done; }
    FV_TRY(read_texts(s, vectors, j.texts, j.n_queries + j.n_documents, dim, tell, user, err));
    fv_rankings r = {.judgements = &j, .vectors = vectors, .dim = dim, .own = o->own, .seed = o->seed};
    if (data->has & FV_HAS_LABEL) FV_TRY(judge_labels(report, data, &j, vectors, (size_t)dim, o->seed, pool, err));
    else FV_TRY(fv_retrieval_compute(report, &r, pool, err));
    report->cut = s->cut - cut;
done:
    fv_judgements_release(&j);
    fv_free(vectors);
    return status;
}
