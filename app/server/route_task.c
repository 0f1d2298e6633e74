/* POST /: what clients of Hugging Face's inference service send, which know a model's address and no path. As
 * text-embeddings-inference does, it is answered by what is asked and what is served: a query ranks texts, other inputs become
 * vectors if a model gives these, else labels. From there on the request is one of that route. */
#include "server/routes.h"

extern const srv_route srv_route_embed, srv_route_predict, srv_route_rerank_tei;

static bool gives_vectors(srv_request *r, const char *model)
{
    srv_choice found = srv_models_find(&r->server->models, model, SRV_EMBED);
    bool gives = found.head && (found.head->works & SRV_EMBED);
    srv_model_drop(found.model);
    return gives;
}

static bool start(srv_request *r, const json_t *body)
{
    const char *model = NULL;
    if (!srv_text(r, body, "model", &model)) return false;
    r->route = json_object_get(body, "query") ? &srv_route_rerank_tei : gives_vectors(r, model) ? &srv_route_embed : &srv_route_predict;
    return r->route->start(r, body);
}

const srv_route srv_route_task = {
    .method = "POST", .path = "/", .form = SRV_TEI, .tag = "text-embeddings-inference", .says = "The same as /rerank, /embed or /predict, by what is asked and served",
    .asks = "{\"type\":\"object\",\"properties\":{\"inputs\":{\"description\":\"as /embed or /predict takes them\"},\"query\":{\"type\":\"string\",\"description\":\"with it, as /rerank\"},"
            "\"texts\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"truncate\":{\"type\":\"boolean\"},\"model\":{\"type\":\"string\"}}}",
    .gives = "{\"type\":\"array\",\"description\":\"as the route answers\"}",
    .example = "{\"inputs\":\"Where is my parcel?\"}",
    .start = start,
};
