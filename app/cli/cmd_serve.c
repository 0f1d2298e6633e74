/* fovea serve: models behind HTTP.
 *
 * Starts the program fovea-serve in its own place and hands it all words on. That is a program of its own because it
 * needs libmicrohttpd, which brings GnuTLS and its family along: loading them would more than double the time that every other
 * command takes to start (docs/decisions.md has the figures). */
#include "cli/serve.h"

#define AT(field) CLI_FIELD(cli_serve_args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "further models, as --model takes them", AT(more)},
};

static const cli_option options[] = {
    {"model", "MODEL", "a model folder, or NAME=FOLDER; the name is the folder's last part if not given; may be repeated", AT(models), .needed = true},
    {"listen", "ADDRESS:PORT", "where to listen; port 0 takes a free one; [::1]:8080 is IPv6", AT(listen)},
    {"token-file", "FILE", "who asks has to send what it holds: Authorization: Bearer TOKEN; needed when not on loopback", AT(token_file)},
    {"host", "NAMES", "further names that browsers may call this server by, parted by commas", AT(host)},
    CLI_PRECISION(AT(session.products)),
    {"truncate", NULL, "cut texts that are too long for the model, unless the request says otherwise", AT(truncate)},
    {.help = "Limits"},
    {"batch-tokens", "N", "tokens computed at once at most, unless one text has more", AT(session.batch_tokens), .low = 1, .high = 1048576},
    {"queue", "N", "requests that wait at most; further ones are told when to come again", AT(queue), .low = 1, .high = 1000000},
    {"max-items", "N", "texts of a request at most", AT(max_items), .low = 1, .high = 1000000},
    {"max-body", "BYTES", "length of a request at most", AT(max_body), .low = 1024, .high = 1073741824},
    {"connections", "N", "connections at most; a new one then takes the place of the one that has been idle for longest", AT(connections), .low = 8, .high = 1000000},
    {"rate", "X", "requests a second from one address at most; no bound if not given", AT(rate), .low = 0, .high = 1e6},
    {"send-seconds", "X", "a client has so long to send a request, and again to read its answer", AT(send_seconds), .low = 0.1, .high = 86400},
    {"answer-seconds", "X", "a request that has no answer by then gets none, and an error", AT(answer_seconds), .low = 0.1, .high = 86400},
};

static void init(void *user)
{
    cli_serve_args *args = user;
    fv_session_options_init(&args->session);
    args->listen = "127.0.0.1:8080";
    args->queue = 512;
    args->max_items = 2048;
    args->max_body = 2 << 20;
    args->connections = 1024;
    args->send_seconds = 20;
    args->answer_seconds = 120;
}

static fv_status run(void *user, fv_err *err)
{
    const cli_serve_args *args = user;
    return cli_become("-serve", &args->common, err);
}

static const char *const examples[] = {
    "fovea serve --model models/banking",
    "fovea serve --model intents=models/banking --model en-de=models/en-de --listen 127.0.0.1:9000",
    "fovea serve --model models/banking --listen 0.0.0.0:8080 --token-file token.txt",
    NULL,
};

const cli_command cli_serve = {
    .name = "serve",
    .says = "answers programs over HTTP, in forms that their clients know already",
    .text = "Which models do what follows from their folders:\n"
            "  POST /rerank, /v1/rerank   texts by relevance (TEI; Cohere, Jina)\n"
            "  POST /predict              labels (TEI)\n"
            "  POST /translate            translations (LibreTranslate)\n"
            "  GET /v1/models /info /metrics /healthz /readyz /openapi.json\n\n"
            "A request may name a model: \"model\":\"NAME\", or NAME/HEAD where it has several heads. If none is named, the first model that "
            "can do it answers. /openapi.json describes all of it.\n\n"
            "Requests that arrive together are computed together, and give the same bits as alone. When too many wait, the answer is 429 "
            "with Retry-After. Unless told otherwise the server listens on loopback only; elsewhere it asks for a token. Requests that a "
            "web page of another place sends are refused.\n\n"
            "SIGHUP reads models and token again: the old ones serve until the new ones stand, and what does not load is refused. SIGTERM "
            "and Ctrl-C finish what was asked and end; a second one ends at once.",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(cli_serve_args),
    .init = init,
    .run = run,
};
