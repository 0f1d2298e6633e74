/* POST /rerank in text-embeddings-inference's form, POST /v1/rerank and /v2/rerank in Cohere's and Jina's: texts by how well they answer
 * a query, by a cross-encoder.
 *
 * Its score is a logit (one number) or two labels of which the second says yes. Both APIs want a share between 0 and 1. */
#include <math.h>
#include <string.h>

#include "server/routes.h"

/* A document is a text, or an object with one. */
static const json_t *text_of(const json_t *document) { return json_is_object(document) ? json_object_get(document, "text") : document; }

static bool add_pairs(srv_request *r, const json_t *body, const char *key, const char *query_key)
{
    const json_t *list = json_object_get(body, key), *query = json_object_get(body, query_key);
    size_t n = json_array_size(list);
    if (!json_is_string(query)) return srv_refuse(r, SRV_BAD, "request: %s is %s; expected a string", query_key, query ? "no text" : "missing");
    if (!json_is_array(list)) return srv_refuse(r, SRV_BAD, "request: %s is %s; expected a list of strings", key, list ? "no list" : "missing");
    if (!srv_count_items(r, key, n) || !srv_job_begin(r, SRV_RERANK, body, n)) return false;
    char *asked = srv_job_keep(r, query);
    for (size_t i = 0; i < n; i++) {
        const json_t *text = text_of(json_array_get(list, i));
        if (!srv_is_text(r, key, i, text) || !srv_job_add(r, asked, srv_job_keep(r, text))) return false;
    }
    r->top = n;
    return true;
}

static bool start_tei(srv_request *r, const json_t *body)
{
    return srv_flag(r, body, "truncate", &r->truncate) && srv_flag(r, body, "raw_scores", &r->raw) && srv_flag(r, body, "return_text", &r->with_texts)
        && add_pairs(r, body, "texts", "query");
}

/* These APIs cut long documents without being asked. */
static bool start_cohere(srv_request *r, const json_t *body)
{
    int64_t top = INT32_MAX;
    r->truncate = true;
    if (!srv_flag(r, body, "return_documents", &r->with_texts) || !srv_whole(r, body, "top_n", 1, INT32_MAX, &top)) return false;
    if (!add_pairs(r, body, "documents", "query")) return false;
    if ((size_t)top < r->top) r->top = (size_t)top;
    return true;
}

/* ---- Scores ---- */

static float logit_of(const srv_job *job, size_t i)
{
    const float *s = job->scores + i * job->width;
    switch (job->on.head->kind) {
    case FV_LABELS_SINGLE: return logf(s[1]) - logf(s[0]);
    case FV_LABELS_MULTI: return logf(s[0]) - log1pf(-s[0]);
    default: return s[0];
    }
}

/* Probabilities as the model gave them, not by way of their logits. */
static float share_of(const srv_job *job, size_t i)
{
    const float *s = job->scores + i * job->width;
    switch (job->on.head->kind) {
    case FV_LABELS_SINGLE: return s[1];
    case FV_LABELS_MULTI: return s[0];
    default: return 1 / (1 + expf(-s[0]));
    }
}

/* The best r->top documents, each written by `put`. */
static fv_status put_best(srv_request *r, fv_status (*put)(srv_request *r, size_t i, float score, fv_err *err), fv_err *err)
{
    const srv_job *job = &r->job;
    fv_status status = FV_OK;
    float *scores = fv_alloc_zero(job->n, sizeof *scores, err);
    uint32_t *order = fv_alloc_zero(job->n, sizeof *order, err);
    if (!scores || !order) FV_TRY(FV_E_MEMORY);
    for (size_t i = 0; i < job->n; i++) scores[i] = r->raw ? logit_of(job, i) : share_of(job, i);
    FV_TRY(srv_sort_scores(scores, job->n, order, err));
    for (size_t k = 0; k < r->top; k++) {
        FV_TRY(fv_buf_putc(&r->reply, k ? ',' : '[', err));
        FV_TRY(put(r, order[k], scores[order[k]], err));
    }
    FV_TRY(fv_buf_putc(&r->reply, ']', err));
done:
    fv_free(scores);
    fv_free(order);
    return status;
}

static fv_status put_score(srv_request *r, const char *key, size_t i, float score, fv_err *err)
{
    fv_status status = fv_buf_printf(&r->reply, err, "{\"index\":%zu,\"%s\":", i, key);
    return status ? status : srv_put_float(&r->reply, score, err);
}

static fv_status put_tei(srv_request *r, size_t i, float score, fv_err *err)
{
    const fv_text *t = &r->job.texts[i];
    fv_status status = put_score(r, "score", i, score, err);
    if (status == FV_OK && r->with_texts) status = fv_buf_puts(&r->reply, ",\"text\":", err);
    if (status == FV_OK && r->with_texts) status = srv_put_text(&r->reply, t->text2, t->len2, err);
    return status ? status : fv_buf_putc(&r->reply, '}', err);
}

static fv_status put_cohere(srv_request *r, size_t i, float score, fv_err *err)
{
    const fv_text *t = &r->job.texts[i];
    fv_status status = put_score(r, "relevance_score", i, score, err);
    if (status == FV_OK && r->with_texts) status = fv_buf_puts(&r->reply, ",\"document\":{\"text\":", err);
    if (status == FV_OK && r->with_texts) status = srv_put_text(&r->reply, t->text2, t->len2, err);
    return status ? status : fv_buf_puts(&r->reply, r->with_texts ? "}}" : "}", err);
}

static fv_status finish_tei(srv_request *r, fv_err *err) { return put_best(r, put_tei, err); }

static fv_status finish_cohere(srv_request *r, fv_err *err)
{
    fv_buf *out = &r->reply;
    const char *name = r->job.on.head->name;
    fv_status status = FV_OK;
    FV_TRY(fv_buf_puts(out, "{\"model\":", err));
    FV_TRY(srv_put_text(out, name, strlen(name), err));
    FV_TRY(fv_buf_puts(out, ",\"results\":", err));
    FV_TRY(put_best(r, put_cohere, err));
    FV_TRY(fv_buf_printf(out, err, ",\"usage\":{\"total_tokens\":%zu}}", r->job.n_tokens));
done:
    return status;
}

const srv_route srv_route_rerank_tei = {
    .method = "POST", .path = "/rerank", .form = SRV_TEI, .tag = "text-embeddings-inference", .says = "Texts by how well they answer a query",
    .asks = "{\"type\":\"object\",\"required\":[\"query\",\"texts\"],\"properties\":{"
            "\"query\":{\"type\":\"string\"},\"texts\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}},"
            "\"raw_scores\":{\"type\":\"boolean\",\"default\":false,\"description\":\"logits instead of shares between 0 and 1\"},"
            "\"return_text\":{\"type\":\"boolean\",\"default\":false},"
            "\"truncate\":{\"type\":\"boolean\",\"description\":\"cut a text that is too long\"},\"model\":{\"type\":\"string\"}}}",
    .gives = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"index\",\"score\"],\"properties\":{"
             "\"index\":{\"type\":\"integer\"},\"score\":{\"type\":\"number\"},\"text\":{\"type\":\"string\"}}}}",
    .example = "{\"query\":\"Where is my parcel?\",\"texts\":[\"It is on its way.\",\"Thank you.\"],\"return_text\":true}",
    .start = start_tei, .finish = finish_tei,
};

#define COHERE_ASKS \
    "{\"type\":\"object\",\"required\":[\"query\",\"documents\"],\"properties\":{" \
    "\"model\":{\"type\":\"string\"},\"query\":{\"type\":\"string\"}," \
    "\"documents\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"oneOf\":[{\"type\":\"string\"}," \
    "{\"type\":\"object\",\"required\":[\"text\"],\"properties\":{\"text\":{\"type\":\"string\"}}}]}}," \
    "\"top_n\":{\"type\":\"integer\",\"minimum\":1},\"return_documents\":{\"type\":\"boolean\",\"default\":false}}}"
#define COHERE_GIVES \
    "{\"type\":\"object\",\"required\":[\"model\",\"results\",\"usage\"],\"properties\":{\"model\":{\"type\":\"string\"}," \
    "\"results\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"index\",\"relevance_score\"],\"properties\":{" \
    "\"index\":{\"type\":\"integer\"},\"relevance_score\":{\"type\":\"number\"}," \
    "\"document\":{\"type\":\"object\",\"required\":[\"text\"],\"properties\":{\"text\":{\"type\":\"string\"}}}}}}," \
    "\"usage\":{\"type\":\"object\",\"required\":[\"total_tokens\"],\"properties\":{\"total_tokens\":{\"type\":\"integer\"}}}}}"
#define COHERE_EXAMPLE "{\"query\":\"Where is my parcel?\",\"documents\":[\"It is on its way.\",{\"text\":\"Thank you.\"}],\"top_n\":1,\"return_documents\":true}"

const srv_route srv_route_rerank_cohere = {
    .method = "POST", .path = "/v1/rerank", .form = SRV_COHERE, .tag = "Cohere, Jina", .says = "Documents by how well they answer a query",
    .asks = COHERE_ASKS, .gives = COHERE_GIVES, .example = COHERE_EXAMPLE, .start = start_cohere, .finish = finish_cohere,
};

const srv_route srv_route_rerank_cohere_2 = {
    .method = "POST", .path = "/v2/rerank", .form = SRV_COHERE, .tag = "Cohere, Jina", .says = "The same as /v1/rerank, where Cohere's newer clients ask",
    .asks = COHERE_ASKS, .gives = COHERE_GIVES, .example = COHERE_EXAMPLE, .start = start_cohere, .finish = finish_cohere,
};
