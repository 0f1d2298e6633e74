/* The list of routes, and the description made of it: see openapi.h. Schemas are kept as text beside the code that reads what
 * they describe, so they are joined as text here; a test reads the whole and holds answers to it. */
#include <string.h>

#include "server/openapi.h"

extern const srv_route srv_route_embeddings, srv_route_embed, srv_route_task, srv_route_rerank_tei, srv_route_rerank_cohere, srv_route_rerank_cohere_2, srv_route_predict, srv_route_translate, srv_route_models,
    srv_route_info, srv_route_health, srv_route_healthz, srv_route_readyz, srv_route_metrics, srv_route_openapi;

const srv_route *const srv_routes[] = {
    &srv_route_rerank_tei, &srv_route_rerank_cohere, &srv_route_predict, &srv_route_translate, &srv_route_embed, &srv_route_embeddings, &srv_route_task,
    &srv_route_rerank_cohere_2, &srv_route_models, &srv_route_info, &srv_route_health, &srv_route_healthz, &srv_route_readyz, &srv_route_metrics, &srv_route_openapi, NULL,
};

size_t srv_n_routes(void) { return FV_COUNT(srv_routes) - 1; }

static const char head[] =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Fovea\",\"version\":\"" FV_VERSION "\",\"license\":{\"name\":\"Apache 2.0\",\"identifier\":\"Apache-2.0\"},"
    "\"description\":\"Transformers on this machine, in the forms that clients of OpenAI, text-embeddings-inference, Cohere, Jina and LibreTranslate speak.\"},"
    "\"servers\":[{\"url\":\"/\"}],\"security\":[{\"token\":[]},{}],\"paths\":{";

static const char components[] =
    "},\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}},\"schemas\":{"
    "\"Labels\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"label\",\"score\"],\"properties\":{\"label\":{\"type\":\"string\"},\"score\":{\"type\":\"number\"}}}},"
    "\"Model\":{\"type\":\"object\",\"required\":[\"id\",\"object\",\"created\",\"owned_by\",\"gives\"],\"properties\":{\"id\":{\"type\":\"string\"},"
    "\"object\":{\"enum\":[\"model\"]},\"created\":{\"type\":\"integer\"},\"owned_by\":{\"type\":\"string\"},"
    "\"gives\":{\"type\":\"array\",\"items\":{\"enum\":[\"embeddings\",\"labels\",\"relevance\",\"translations\"]}},\"max_input_length\":{\"type\":\"integer\"}}},"
    "\"OpenAIError\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\",\"required\":[\"message\",\"type\",\"code\"],\"properties\":{"
    "\"message\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"},\"param\":{\"type\":[\"string\",\"null\"]},\"code\":{\"type\":\"string\"}}}}},"
    "\"TEIError\":{\"type\":\"object\",\"required\":[\"error\",\"error_type\"],\"properties\":{\"error\":{\"type\":\"string\"},\"error_type\":{\"type\":\"string\"}}},"
    "\"CohereError\":{\"type\":\"object\",\"required\":[\"message\"],\"properties\":{\"message\":{\"type\":\"string\"}}},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"string\"}}}}}}";

static const char *const errors[SRV_N_FORMS] = {
    [SRV_OPENAI] = "OpenAIError", [SRV_TEI] = "TEIError", [SRV_COHERE] = "CohereError", [SRV_LIBRE] = "Error", [SRV_PLAIN] = "Error",
};

/* "POST" as "post"; "/v1/rerank" as "post_v1_rerank", which is unique. */
static void lower(char *to, size_t size, const char *text)
{
    size_t i = 0;
    for (; text[i] && i + 1 < size; i++) to[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i] == '/' || text[i] == '.' ? '_' : text[i];
    to[i] = 0;
}

static fv_status put_route(fv_buf *out, const srv_route *route, fv_err *err)
{
    char method[8], path[64];
    fv_status status = FV_OK;
    lower(method, sizeof method, route->method);
    lower(path, sizeof path, route->path);
    FV_TRY(fv_buf_printf(out, err, "\"%s\":{\"%s\":{\"operationId\":\"%s%s\",\"tags\":[\"%s\"],\"summary\":\"%s\",", route->path, method, method, path, route->tag, route->says));
    if (route->open) FV_TRY(fv_buf_puts(out, "\"security\":[],", err));
    if (route->asks) FV_TRY(fv_buf_printf(out, err, "\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":%s,\"example\":%s}}},", route->asks, route->example));
    FV_TRY(fv_buf_puts(out, "\"responses\":{\"200\":{\"description\":\"the answer\",\"content\":", err));
    if (route->gives) FV_TRY(fv_buf_printf(out, err, "{\"application/json\":{\"schema\":%s}}}", route->gives));
    else FV_TRY(fv_buf_puts(out, "{\"text/plain\":{\"schema\":{\"type\":\"string\"}}}}", err));
    FV_TRY(fv_buf_printf(out, err, ",\"default\":{\"description\":\"what is wrong; 429 and 503 say in Retry-After when to come again\",\"content\":{\"application/json\":{\"schema\":"
                                   "{\"$ref\":\"#/components/schemas/%s\"}}}}}}}", errors[route->form]));
done:
    return status;
}

fv_status srv_openapi(fv_buf *out, fv_err *err)
{
    fv_status status = fv_buf_puts(out, head, err);
    for (size_t i = 0; srv_routes[i] && status == FV_OK; i++) {
        if (i) status = fv_buf_putc(out, ',', err);
        if (status == FV_OK) status = put_route(out, srv_routes[i], err);
    }
    return status ? status : fv_buf_puts(out, components, err);
}
