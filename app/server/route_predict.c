/* POST /predict: labels of texts or pairs, in text-embeddings-inference's form.
 *
 * The trap inside: "inputs" means something else at each depth. A string is a text; a list of one or two strings is one text
 * or one pair; a list of such lists is several. */
#include <math.h>
#include <string.h>

#include "server/routes.h"

/* One list of one or two strings. */
static bool add_list(srv_request *r, const json_t *list, size_t at)
{
    size_t n = json_array_size(list);
    char *kept[2] = {0};
    if (n < 1 || n > 2) return srv_refuse(r, SRV_BAD, "request: inputs[%zu] has %zu items; expected a text, or a pair of texts", at, n);
    for (size_t i = 0; i < n; i++) {
        if (!srv_is_text(r, "inputs", i, json_array_get(list, i))) return false;
        kept[i] = srv_job_keep(r, json_array_get(list, i));
    }
    return srv_job_add(r, kept[0], kept[1]);
}

static bool add_all(srv_request *r, const json_t *inputs)
{
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        const json_t *one = json_array_get(inputs, i);
        if (!json_is_array(one)) return srv_refuse(r, SRV_BAD, "request: inputs[%zu] is no list, as those before it; several texts are [[\"a\"], [\"b\"]]", i);
        if (!add_list(r, one, i)) return false;
    }
    return true;
}

static bool start(srv_request *r, const json_t *body)
{
    const json_t *inputs = json_object_get(body, "inputs"), *first = json_array_get(inputs, 0);
    bool several = json_is_array(first);
    size_t n = several ? json_array_size(inputs) : 1;
    if (!srv_flag(r, body, "truncate", &r->truncate) || !srv_flag(r, body, "raw_scores", &r->raw)) return false;
    if (!json_is_string(inputs) && !json_is_array(inputs)) return srv_refuse(r, SRV_BAD, "request: inputs is %s; expected a text, or a list", inputs ? "neither" : "missing");
    if (json_is_array(inputs) && !srv_count_items(r, "inputs", json_array_size(inputs))) return false;
    if (!srv_job_begin(r, SRV_PREDICT, body, n)) return false;
    r->single = !several;
    if (several) return add_all(r, inputs);
    return json_is_string(inputs) ? srv_job_add(r, srv_job_keep(r, inputs), NULL) : add_list(r, inputs, 0);
}

/* Raw scores are the logits, up to a constant that the labels share. */
static float raw(fv_labels kind, float p)
{
    if (kind == FV_LABELS_SINGLE) return logf(p);
    return kind == FV_LABELS_MULTI ? logf(p) - log1pf(-p) : p;
}

static fv_status put_label(const srv_request *r, fv_buf *out, int label, float score, fv_err *err)
{
    const char *name = fv_session_label(r->job.on.head->session, label);
    fv_status status = FV_OK;
    FV_TRY(fv_buf_puts(out, "{\"label\":", err));
    FV_TRY(srv_put_text(out, name ? name : "LABEL_0", name ? strlen(name) : 7, err));
    FV_TRY(fv_buf_puts(out, ",\"score\":", err));
    FV_TRY(srv_put_float(out, r->raw ? raw(r->job.on.head->kind, score) : score, err));
    FV_TRY(fv_buf_putc(out, '}', err));
done:
    return status;
}

static fv_status put_labels(const srv_request *r, fv_buf *out, const float *scores, uint32_t *order, fv_err *err)
{
    fv_status status = srv_sort_scores(scores, r->job.width, order, err);
    for (size_t k = 0; k < r->job.width && status == FV_OK; k++) {
        status = fv_buf_putc(out, k ? ',' : '[', err);
        if (status == FV_OK) status = put_label(r, out, (int)order[k], scores[order[k]], err);
    }
    return status ? status : fv_buf_putc(out, ']', err);
}

static fv_status finish(srv_request *r, fv_err *err)
{
    fv_buf *out = &r->reply;
    fv_status status = FV_OK;
    uint32_t *order = fv_alloc_zero(r->job.width, sizeof *order, err);
    if (!order) return FV_E_MEMORY;
    for (size_t i = 0; i < r->job.n; i++) {
        if (!r->single) FV_TRY(fv_buf_putc(out, i ? ',' : '[', err));
        FV_TRY(put_labels(r, out, r->job.scores + i * r->job.width, order, err));
    }
    if (!r->single) FV_TRY(fv_buf_putc(out, ']', err));
done:
    fv_free(order);
    return status;
}

const srv_route srv_route_predict = {
    .method = "POST", .path = "/predict", .form = SRV_TEI, .tag = "text-embeddings-inference", .says = "Labels of texts, or of pairs of texts",
    .asks = "{\"type\":\"object\",\"required\":[\"inputs\"],\"properties\":{"
            "\"inputs\":{\"description\":\"a text; a pair, [a, b]; or several, [[a], [b, c]]\",\"oneOf\":[{\"type\":\"string\"},"
            "{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"string\"}},"
            "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"string\"}}}]},"
            "\"raw_scores\":{\"type\":\"boolean\",\"default\":false,\"description\":\"logits, up to a constant, instead of probabilities\"},"
            "\"truncate\":{\"type\":\"boolean\",\"description\":\"cut a text that is too long\"},"
            "\"model\":{\"type\":\"string\"}}}",
    .gives = "{\"oneOf\":[{\"$ref\":\"#/components/schemas/Labels\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Labels\"}}]}",
    .example = "{\"inputs\":[[\"Where is my parcel?\"],[\"Thank you\"]]}",
    .start = start, .finish = finish,
};
