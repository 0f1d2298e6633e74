/* POST /v1/embeddings in OpenAI's form, POST /embed in text-embeddings-inference's: a vector for each text.
 *
 * Clients of both take for granted that vectors have length 1, since the services they were written for give no others: so they
 * do here, whatever the model's folder says, unless /embed is told otherwise. Token ids instead of texts are refused: clients
 * that send them made them with another model's tokenizer. */
#include <string.h>
#include <strings.h>

#include "server/routes.h"

/* "dimensions" is for models that were trained to be cut: at most as many as the vector has. */
static bool read_dimensions(srv_request *r, const json_t *body)
{
    int64_t dim = 0;
    if (!srv_whole(r, body, "dimensions", 1, INT32_MAX, &dim)) return false;
    int most = fv_model_embedding_size(r->job.on.model->model);
    if (dim > most) return srv_refuse(r, SRV_BAD, "request: dimensions is %lld; the vectors of model %s have %d numbers", (long long)dim, r->job.on.head->name, most);
    r->job.dim = (int)dim;
    r->job.width = (size_t)(dim ? dim : most);
    return true;
}

/* ---- OpenAI ---- */

/* "user" is the caller's own affair: it is checked, and nothing else. */
static bool start_openai(srv_request *r, const json_t *body)
{
    const char *encoding = "float", *user = NULL;
    if (!srv_text(r, body, "encoding_format", &encoding) || !srv_text(r, body, "user", &user)) return false;
    r->base64 = strcmp(encoding, "base64") == 0;
    if (!r->base64 && strcmp(encoding, "float") != 0) return srv_refuse(r, SRV_BAD, "request: encoding_format is neither \"float\" nor \"base64\"");
    if (!srv_job_of_strings(r, SRV_EMBED, body, "input")) return false;
    r->job.unit = FV_UNIT_YES;
    return read_dimensions(r, body);
}

static fv_status put_vector(srv_request *r, size_t i, fv_err *err)
{
    const float *x = r->job.scores + i * r->job.width;
    fv_status status = fv_buf_putc(&r->reply, '[', err);
    for (size_t k = 0; k < r->job.width && status == FV_OK; k++) {
        if (k) status = fv_buf_putc(&r->reply, ',', err);
        if (status == FV_OK) status = srv_put_float(&r->reply, x[k], err);
    }
    return status ? status : fv_buf_putc(&r->reply, ']', err);
}

/* The bytes of the float32 numbers, low one first: as this machine has them, since it has nothing else (base/dtype.h). */
static fv_status put_bytes(srv_request *r, size_t i, fv_err *err)
{
    fv_status status = fv_buf_putc(&r->reply, '"', err);
    if (status == FV_OK) status = srv_put_base64(&r->reply, r->job.scores + i * r->job.width, r->job.width * sizeof(float), err);
    return status ? status : fv_buf_putc(&r->reply, '"', err);
}

static fv_status finish_openai(srv_request *r, fv_err *err)
{
    fv_buf *out = &r->reply;
    const char *name = r->job.on.head->name;
    fv_status status = FV_OK;
    FV_TRY(fv_buf_puts(out, "{\"object\":\"list\",\"data\":[", err));
    for (size_t i = 0; i < r->job.n; i++) {
        FV_TRY(fv_buf_printf(out, err, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i));
        FV_TRY(r->base64 ? put_bytes(r, i, err) : put_vector(r, i, err));
        FV_TRY(fv_buf_putc(out, '}', err));
    }
    FV_TRY(fv_buf_puts(out, "],\"model\":", err));
    FV_TRY(srv_put_text(out, name, strlen(name), err));
    FV_TRY(fv_buf_printf(out, err, ",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}", r->job.n_tokens, r->job.n_tokens));
done:
    return status;
}

/* ---- Text-embeddings-inference ---- */

static bool read_direction(srv_request *r, const json_t *body)
{
    const char *direction = "right";
    if (!srv_text(r, body, "truncation_direction", &direction)) return false;
    r->keep_end = strcasecmp(direction, "left") == 0; /* "Left" in the API's description, "left" from its own clients */
    return r->keep_end || strcasecmp(direction, "right") == 0 || srv_refuse(r, SRV_BAD, "request: truncation_direction is neither \"left\" nor \"right\"");
}

static bool start_tei(srv_request *r, const json_t *body)
{
    bool unit = true;
    if (!srv_flag(r, body, "normalize", &unit) || !srv_flag(r, body, "truncate", &r->truncate) || !read_direction(r, body)) return false;
    if (!srv_text(r, body, "prompt_name", &r->prompt_name) || !srv_job_of_strings(r, SRV_EMBED, body, "inputs")) return false;
    r->job.unit = unit ? FV_UNIT_YES : FV_UNIT_NO;
    return read_dimensions(r, body);
}

static fv_status finish_tei(srv_request *r, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < r->job.n && status == FV_OK; i++) {
        status = fv_buf_putc(&r->reply, i ? ',' : '[', err);
        if (status == FV_OK) status = put_vector(r, i, err);
    }
    return status ? status : fv_buf_putc(&r->reply, ']', err);
}

#define TEXTS "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}}]}"
#define VECTOR "{\"type\":\"array\",\"items\":{\"type\":\"number\"}}"
#define DIMENSIONS "{\"type\":\"integer\",\"minimum\":1,\"description\":\"the first so many numbers, for models that were trained to be cut\"}"

const srv_route srv_route_embeddings = {
    .method = "POST", .path = "/v1/embeddings", .form = SRV_OPENAI, .tag = "OpenAI", .says = "A vector of length 1 for each text",
    .asks = "{\"type\":\"object\",\"required\":[\"input\"],\"properties\":{"
            "\"input\":" TEXTS ",\"model\":{\"type\":\"string\"},\"encoding_format\":{\"enum\":[\"float\",\"base64\"],\"default\":\"float\"},"
            "\"dimensions\":" DIMENSIONS ",\"user\":{\"type\":\"string\"}}}",
    .gives = "{\"type\":\"object\",\"required\":[\"object\",\"data\",\"model\",\"usage\"],\"properties\":{\"object\":{\"enum\":[\"list\"]},"
             "\"data\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"object\",\"index\",\"embedding\"],\"properties\":{"
             "\"object\":{\"enum\":[\"embedding\"]},\"index\":{\"type\":\"integer\"},\"embedding\":{\"oneOf\":[" VECTOR ",{\"type\":\"string\"}]}}}},"
             "\"model\":{\"type\":\"string\"},\"usage\":{\"type\":\"object\",\"required\":[\"prompt_tokens\",\"total_tokens\"],\"properties\":{"
             "\"prompt_tokens\":{\"type\":\"integer\"},\"total_tokens\":{\"type\":\"integer\"}}}}}",
    .example = "{\"input\":[\"Where is my parcel?\",\"Thank you\"]}",
    .start = start_openai, .finish = finish_openai,
};

const srv_route srv_route_embed = {
    .method = "POST", .path = "/embed", .form = SRV_TEI, .tag = "text-embeddings-inference", .says = "A vector for each text",
    .asks = "{\"type\":\"object\",\"required\":[\"inputs\"],\"properties\":{"
            "\"inputs\":" TEXTS ",\"normalize\":{\"type\":\"boolean\",\"default\":true,\"description\":\"scaled to length 1\"},"
            "\"truncate\":{\"type\":\"boolean\",\"description\":\"cut a text that is too long\"},"
            "\"truncation_direction\":{\"enum\":[\"Left\",\"Right\",\"left\",\"right\"],\"default\":\"Right\",\"description\":\"which end is cut off; left keeps the last words that fit\"},"
            "\"prompt_name\":{\"type\":\"string\",\"description\":\"which of the model's prompts stands before each text\"},"
            "\"dimensions\":" DIMENSIONS ",\"model\":{\"type\":\"string\"}}}",
    .gives = "{\"type\":\"array\",\"items\":" VECTOR "}",
    .example = "{\"inputs\":[\"Where is my parcel?\",\"Thank you\"]}",
    .start = start_tei, .finish = finish_tei,
};
