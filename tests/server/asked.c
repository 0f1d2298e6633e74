/* Requests without HTTP: see asked.h. */
#include "asked.h"

#include <string.h>

#include "server/metrics.h"

void asked_init(asked *a, const char *const *models)
{
    size_t n = 0;
    *a = (asked){0};
    while (models[n]) n++;
    FV_ASSERT(cli_call_init(&a->call, &cli_serve, NULL) == FV_OK);
    a->args = a->call.args;
    a->args->common.quiet = true;
    a->args->models = (cli_list){models, n};
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->done, NULL);
}

void asked_open(asked *a)
{
    fv_err err = {0};
    a->server.args = a->args;
    fv_status status = srv_models_open(&a->server.models, a->args, &err);
    if (status) fv_err_print(stderr, &err);
    FV_ASSERT(status == FV_OK);
    a->server.metrics = srv_metrics_new(NULL);
    a->server.engine = srv_engine_new(a->args->session.batch_tokens, a->args->queue, 64 << 20, NULL);
    FV_ASSERT(a->server.metrics && a->server.engine);
}

void asked_close(asked *a)
{
    srv_engine_free(a->server.engine);
    srv_metrics_free(a->server.metrics);
    srv_models_release(&a->server.models);
    cli_call_release(&a->call);
    pthread_cond_destroy(&a->done);
    pthread_mutex_destroy(&a->lock);
}

static void on_done(srv_job *job)
{
    asked *a = job->user;
    pthread_mutex_lock(&a->lock);
    a->waiting--;
    pthread_cond_broadcast(&a->done);
    pthread_mutex_unlock(&a->lock);
}

static void count(asked *a, int more)
{
    pthread_mutex_lock(&a->lock);
    a->waiting += more;
    pthread_mutex_unlock(&a->lock);
}

void asked_start(asked *a, srv_request *r, const char *method, const char *path, const char *body)
{
    asked_start_bytes(a, r, method, path, body, body ? strlen(body) : 0);
}

void asked_start_bytes(asked *a, srv_request *r, const char *method, const char *path, const char *body, size_t len)
{
    srv_request_init(r, &a->server, method, path);
    r->job.on_done = on_done;
    r->job.user = a;
    count(a, 1);
    if (!srv_request_known(r, method) || srv_request_start(r, body, len) == SRV_REPLY) count(a, -1);
}

void asked_wait(asked *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->waiting > 0) pthread_cond_wait(&a->done, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

void asked_finish(srv_request *r)
{
    if (r->status == 0) srv_request_finish(r);
}

void asked_ask(asked *a, srv_request *r, const char *method, const char *path, const char *body)
{
    asked_start(a, r, method, path, body);
    asked_wait(a);
    asked_finish(r);
}
