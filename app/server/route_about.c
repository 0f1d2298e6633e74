/* What the server says of itself: models, health, figures, and its own description. */
#include <string.h>
#include <time.h>

#include "server/metrics.h"
#include "server/openapi.h"

static bool give_tree(srv_request *r, json_t *tree)
{
    fv_err err = {0};
    if (srv_put_tree(&r->reply, tree, &err) != FV_OK) return srv_refuse_field(r, &err);
    r->status = 200;
    r->type = "application/json";
    return true;
}

/* ---- Models ---- */

static json_t *works_json(unsigned works)
{
    json_t *list = json_array();
    for (unsigned work = SRV_EMBED; list && work <= SRV_TRANSLATE; work <<= 1)
        if (works & work) json_array_append_new(list, json_string(srv_work_gives(work)));
    return list;
}

static json_t *head_json(const srv_model *m, const srv_head *head)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:o, s:i}", "id", head->name, "object", "model", "created", (json_int_t)m->opened, "owned_by", "fovea",
                     "gives", works_json(head->works), "max_input_length", m->max_len);
}

/* Heads of all models, one after the other. */
static json_t *heads_json(srv_server *server)
{
    json_t *list = json_array();
    srv_model *m;
    for (size_t i = 0; list && (m = srv_models_hold(&server->models, i)); i++) {
        for (int k = 0; k < m->n_heads; k++) json_array_append_new(list, head_json(m, &m->heads[k]));
        srv_model_drop(m);
    }
    return list;
}

static bool start_models(srv_request *r, const json_t *body)
{
    (void)body;
    return give_tree(r, json_pack("{s:s, s:o}", "object", "list", "data", heads_json(r->server)));
}

/* As text-embeddings-inference has it: what the first model is. */
static json_t *kind_json(const srv_head *head)
{
    if (head->works & SRV_EMBED) return json_pack("{s:{}}", "embedding");
    if (head->works & SRV_TRANSLATE) return json_pack("{s:{}}", "translator");
    json_t *labels = json_object();
    for (int i = 0; labels && i < head->n_labels; i++) {
        char number[16];
        const char *name = fv_session_label(head->session, i);
        snprintf(number, sizeof number, "%d", i);
        json_object_set_new(labels, number, json_string(name ? name : "LABEL_0"));
    }
    return json_pack("{s:{s:o}}", head->works & SRV_RERANK && head->n_labels == 1 ? "reranker" : "classifier", "id2label", labels);
}

static bool start_info(srv_request *r, const json_t *body)
{
    static const char *const products[] = {[FV_PRODUCTS_FLOAT32] = "float32", [FV_PRODUCTS_BF16] = "bfloat16", [FV_PRODUCTS_INT8] = "int8"};
    const cli_serve_args *args = r->server->args;
    srv_model *m = srv_models_hold(&r->server->models, 0);
    (void)body;
    json_t *tree = json_pack("{s:s, s:s, s:s, s:o, s:i, s:i, s:i, s:i, s:s, s:s, s:o}", "model_id", m->name, "model_sha", m->weights_sha256,
        "model_dtype", products[fv_session_products(m->heads[0].session)], "model_type", kind_json(&m->heads[0]), "max_concurrent_requests", args->queue, "max_input_length", m->max_len,
        "max_batch_tokens", args->session.batch_tokens, "max_client_batch_size", args->max_items, "version", fv_version(), "isa", fv_isa(), "models", heads_json(r->server));
    srv_model_drop(m);
    return give_tree(r, tree);
}

/* ---- Health ---- */

static bool start_healthz(srv_request *r, const json_t *body)
{
    (void)body;
    return give_tree(r, json_pack("{s:s}", "status", "ok"));
}

static bool start_readyz(srv_request *r, const json_t *body)
{
    (void)body;
    if (atomic_load(&r->server->draining)) return srv_refuse(r, SRV_STOPPING, "the server is stopping");
    return give_tree(r, json_pack("{s:s}", "status", "ready"));
}

/* ---- Figures, description ---- */

static bool start_metrics(srv_request *r, const json_t *body)
{
    fv_err err = {0};
    (void)body;
    if (srv_metrics_print(r->server, &r->reply, &err) != FV_OK) return srv_refuse_field(r, &err);
    r->status = 200;
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    return true;
}

static bool start_openapi(srv_request *r, const json_t *body)
{
    fv_err err = {0};
    (void)body;
    if (srv_openapi(&r->reply, &err) != FV_OK) return srv_refuse_field(r, &err);
    r->status = 200;
    r->type = "application/json";
    return true;
}

#define STATUS "{\"type\":\"object\",\"required\":[\"status\"],\"properties\":{\"status\":{\"type\":\"string\"}}}"

const srv_route srv_route_models = {
    .method = "GET", .path = "/v1/models", .form = SRV_OPENAI, .tag = "OpenAI", .says = "The models that are served, and what each gives",
    .gives = "{\"type\":\"object\",\"required\":[\"object\",\"data\"],\"properties\":{\"object\":{\"enum\":[\"list\"]},"
             "\"data\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Model\"}}}}",
    .start = start_models,
};

const srv_route srv_route_info = {
    .method = "GET", .path = "/info", .form = SRV_TEI, .tag = "text-embeddings-inference", .says = "The first model and the limits",
    .gives = "{\"type\":\"object\",\"required\":[\"model_id\",\"model_type\",\"max_input_length\",\"max_client_batch_size\",\"version\",\"models\"],\"properties\":{"
             "\"model_id\":{\"type\":\"string\"},\"model_sha\":{\"type\":\"string\"},\"model_dtype\":{\"enum\":[\"float32\",\"bfloat16\",\"int8\"]},"
             "\"model_type\":{\"type\":\"object\"},\"max_concurrent_requests\":{\"type\":\"integer\"},\"max_input_length\":{\"type\":\"integer\"},"
             "\"max_batch_tokens\":{\"type\":\"integer\"},\"max_client_batch_size\":{\"type\":\"integer\"},\"version\":{\"type\":\"string\"},"
             "\"isa\":{\"type\":\"string\"},\"models\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Model\"}}}}",
    .start = start_info,
};

const srv_route srv_route_health = {
    .method = "GET", .path = "/health", .form = SRV_TEI, .open = true, .tag = "text-embeddings-inference", .says = "The same as /healthz",
    .gives = STATUS, .start = start_healthz,
};

const srv_route srv_route_healthz = {
    .method = "GET", .path = "/healthz", .form = SRV_PLAIN, .open = true, .tag = "operation", .says = "That the server lives",
    .gives = STATUS, .start = start_healthz,
};

const srv_route srv_route_readyz = {
    .method = "GET", .path = "/readyz", .form = SRV_PLAIN, .open = true, .tag = "operation", .says = "Whether it takes requests: not any more while it stops",
    .gives = STATUS, .start = start_readyz,
};

const srv_route srv_route_metrics = {
    .method = "GET", .path = "/metrics", .form = SRV_PLAIN, .tag = "operation", .says = "Figures, as Prometheus reads them", .start = start_metrics,
};

const srv_route srv_route_openapi = {
    .method = "GET", .path = "/openapi.json", .form = SRV_PLAIN, .tag = "operation", .says = "This description",
    .gives = "{\"type\":\"object\",\"required\":[\"openapi\",\"paths\"],\"properties\":{\"openapi\":{\"type\":\"string\"},\"paths\":{\"type\":\"object\"},"
             "\"info\":{\"type\":\"object\"},\"servers\":{\"type\":\"array\"},\"security\":{\"type\":\"array\"},\"components\":{\"type\":\"object\"}}}",
    .start = start_openapi,
};
