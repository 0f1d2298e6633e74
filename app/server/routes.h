/* Requests and what answers them, apart from how they travel: http.c moves bytes, this part says what they mean. So tests
 * and a fuzzer reach all of it without a socket.
 *
 *     srv_request r;
 *     srv_request_init(&r, server, "POST", "/embed");
 *     if (srv_request_start(&r, body, len) == SRV_WAIT) … the job is with the engine; when it is done: srv_request_finish(&r);
 *     … r.status, r.type, r.reply …
 *     srv_request_release(&r);
 *
 * A route is one constant of its file, which also holds the description that /openapi.json is made of. */
#ifndef SRV_ROUTES_H
#define SRV_ROUTES_H

#include <jansson.h>

#include "server/engine.h"

/* Whose form an error has. */
typedef enum srv_form { SRV_OPENAI, SRV_TEI, SRV_COHERE, SRV_LIBRE, SRV_PLAIN, SRV_N_FORMS } srv_form;

/* What can be wrong, with the status that says so, to TEI's clients, and the names that OpenAI and TEI have for it. */
#define SRV_FAULTS(X)                                                                                \
    X(SRV_BAD, 400, 422, "invalid_request_error", "Validation")                                      \
    X(SRV_EMPTY, 400, 400, "invalid_request_error", "Empty")                                         \
    X(SRV_TOO_LONG, 400, 413, "invalid_request_error", "Validation")                                 \
    X(SRV_TOO_MANY, 400, 413, "invalid_request_error", "Validation")                                 \
    X(SRV_TOO_LARGE, 413, 413, "invalid_request_error", "Validation")                                \
    X(SRV_NO_MODEL, 404, 404, "model_not_found", "Validation")                                       \
    X(SRV_NO_TOKEN, 401, 401, "invalid_api_key", "Validation")                                       \
    X(SRV_FORBIDDEN, 403, 403, "forbidden", "Validation")                                            \
    X(SRV_NO_ROUTE, 404, 404, "not_found", "Validation")                                             \
    X(SRV_METHOD, 405, 405, "method_not_allowed", "Validation")                                      \
    X(SRV_MEDIA, 415, 415, "invalid_request_error", "Validation")                                    \
    X(SRV_BUSY, 429, 429, "rate_limit_exceeded", "Overloaded")                                       \
    X(SRV_STOPPING, 503, 503, "service_unavailable", "Unhealthy")                                    \
    X(SRV_TIME, 504, 504, "timeout", "Backend")                                                      \
    X(SRV_INTERNAL, 500, 500, "server_error", "Backend")

typedef enum srv_fault {
#define SRV_FAULT_ENUM(name, status, tei_status, openai, tei) name,
    SRV_FAULTS(SRV_FAULT_ENUM)
#undef SRV_FAULT_ENUM
} srv_fault;

typedef struct srv_metrics srv_metrics;

typedef struct srv_server {
    const cli_serve_args *args;
    srv_models models;
    srv_engine *engine;
    srv_metrics *metrics;
    atomic_bool draining;
} srv_server;

struct srv_request;

typedef struct srv_route {
    const char *method, *path, *says, *tag;
    srv_form form;
    bool open;             /* answers without a token */
    const char *asks;      /* JSON Schema of the body; NULL: none */
    const char *gives;     /* of the answer; NULL: text */
    const char *example;   /* a body, for tests and people */
    /* Reads the body (NULL for GET). True: the reply is made, or the job is; false: refused (srv_refuse). */
    bool (*start)(struct srv_request *r, const json_t *body);
    /* Makes the reply of the job's answer. NULL: the route has no job. */
    fv_status (*finish)(struct srv_request *r, fv_err *err);
} srv_route;

typedef enum srv_next { SRV_REPLY, SRV_WAIT } srv_next;

typedef struct srv_request {
    srv_server *server;
    const srv_route *route;  /* NULL: none of this path */
    size_t body_len;
    srv_job job;             /* has texts if there is one */
    bool single, base64, raw, with_texts; /* what was asked, for the reply */
    bool truncate, keep_end; /* texts that are too long; of embeddings: from their beginning */
    const char *prompt_name; /* of embeddings; NULL: the model's own */
    const char *prompt;      /* what stands before each text; the model's, "" for none */
    size_t top;
    int status;              /* of HTTP; 0: no reply yet */
    const char *type;        /* of the content */
    int retry_after;         /* seconds; 0: not said */
    const char *allow;       /* of 405: the method that there is */
    fv_buf reply;
    double began;
} srv_request;

/* Finds the route. The caller sets r->job.on_done and user before the start. */
void srv_request_init(srv_request *r, srv_server *server, const char *method, const char *path);
/* Whether the route exists and takes the method; else the reply says so. */
bool srv_request_known(srv_request *r, const char *method);
srv_next srv_request_start(srv_request *r, const char *body, size_t len);
void srv_request_finish(srv_request *r);
/* The reply becomes an error in the route's form. Always false. */
bool srv_refuse(srv_request *r, srv_fault fault, const char *format, ...) __attribute__((format(printf, 3, 4)));
void srv_request_release(srv_request *r);

/* All routes, ended by NULL. */
extern const srv_route *const srv_routes[];
size_t srv_n_routes(void);

/* ---- For routes ---- */

/* Picks the head that the body's "model" names or the first that does the work, and starts a job for `n` texts. */
bool srv_job_begin(srv_request *r, srv_work work, const json_t *body, size_t n);
/* A copy that lives in the job, the prompt before it. There is room for all that a body can hold, once. */
char *srv_job_keep(srv_request *r, const json_t *text);
/* The next text, or pair if text2 is not NULL, both kept; counts tokens, and refuses or cuts one that is too long. */
bool srv_job_add(srv_request *r, char *text, const char *text2);
/* All of this for the field `key`, a string (which sets r->single) or a list of strings. */
bool srv_job_of_strings(srv_request *r, srv_work work, const json_t *body, const char *key);
/* Whether there are 1 to max_items; whether the i-th is a text: else refused. */
bool srv_count_items(srv_request *r, const char *key, size_t n);
bool srv_is_text(srv_request *r, const char *key, size_t i, const json_t *value);
/* Refuses what fv_json_* found wrong. */
bool srv_refuse_field(srv_request *r, const fv_err *err);
/* Fields of a request, which keep what *out holds if they are not there; wrong ones are refused. */
bool srv_flag(srv_request *r, const json_t *body, const char *key, bool *out);
bool srv_whole(srv_request *r, const json_t *body, const char *key, int64_t low, int64_t high, int64_t *out);
bool srv_text(srv_request *r, const json_t *body, const char *key, const char **out);

/* A float in nine digits, which read back as the same. "null" if it is not finite. */
fv_status srv_put_float(fv_buf *out, float x, fv_err *err);
/* In quotes, escaped. */
fv_status srv_put_text(fv_buf *out, const char *text, size_t len, fv_err *err);
fv_status srv_put_base64(fv_buf *out, const void *bytes, size_t n, fv_err *err);
/* Gives the tree's reference away. NULL: out of memory. */
fv_status srv_put_tree(fv_buf *out, json_t *tree, fv_err *err);

/* Places 0..n-1 with the highest scores first; equal ones in order. */
fv_status srv_sort_scores(const float *scores, size_t n, uint32_t *order, fv_err *err);

#endif
