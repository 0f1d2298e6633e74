/* Any bytes as the body of a request. The first byte picks the route, the rest is the body. Whatever comes in: there is an answer,
 * it is JSON, it is 200 or a refusal, and nothing stays behind. Texts are computed by models that are small enough to be asked
 * thousands of times. */
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "server/asked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static asked server;

/* Run from the repository's root, or from a folder beside it. */
static void open_once(void)
{
    static const char *const models[] = {"shop=tests/golden/bert-tiny", "en-de=tests/golden/marian-tiny", "words=tests/golden/encoders/sentence", NULL};
    if (server.server.engine) return;
    asked_init(&server, models);
    server.args->max_items = 8;
    asked_open(&server);
}

static const srv_route *route_of(uint8_t byte)
{
    size_t n = 0;
    for (size_t i = 0; srv_routes[i]; i++) n += srv_routes[i]->asks != NULL;
    size_t left = byte % n;
    for (size_t i = 0;; i++)
        if (srv_routes[i]->asks && left-- == 0) return srv_routes[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    srv_request r;
    if (size < 1 || size > 4096) return 0;
    open_once();
    char *body = fv_strndup((const char *)data + 1, size - 1, NULL);
    asked_start_bytes(&server, &r, "POST", route_of(data[0])->path, body, size - 1);
    asked_wait(&server);
    asked_finish(&r);
    FV_ASSERT(r.status == 200 || (r.status >= 400 && r.status < 500));
    json_t *answer = fv_json_parse(r.reply.data, r.reply.len, "answer", NULL);
    FV_ASSERT(answer);
    json_decref(answer);
    srv_request_release(&r);
    fv_free(body);
    FV_ASSERT(srv_engine_load(server.server.engine).bytes == 0);
    return 0;
}
