/* Builds the server's parts up in order, and takes them down in the other: see serve.h.
 *
 * The order at the end matters: the engine ends first, by which all that waits gets an answer; then the HTTP thread, which
 * still asks the engine's books; then the books. */
#include <stdlib.h> /* says whether this is glibc */
#include <time.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/file.h"
#include "server/metrics.h"
#include "server/serve.h"

/* Texts, answers and JSON of all requests under way. */
#define MAX_BYTES ((int64_t)256 << 20)
#define TICK_NS (50 * 1000 * 1000)

static void reload(srv_server *server, srv_guard *guard)
{
    fv_err err = {0};
    srv_models_reload(&server->models);
    if (srv_guard_reload(guard, &err) != FV_OK) fprintf(stderr, "fovea: the old token holds on: %s\n", err.text);
}

/* Requests that came before the end are answered, within the time that any answer may take. */
static void drain(srv_http *http, srv_orders *orders, double seconds)
{
    double end = fv_now() + seconds;
    srv_http_drain(http);
    while (srv_http_busy(http) && fv_now() < end && !atomic_load(&orders->now)) {
        nanosleep(&(struct timespec){.tv_nsec = TICK_NS / 10}, NULL);
        srv_http_tick(http);
    }
}

static void serve(srv_server *server, srv_guard *guard, srv_http *http, srv_orders *orders)
{
    while (!atomic_load(&orders->stop)) {
        nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL); /* a signal cuts it short */
        srv_http_tick(http);
        if (atomic_exchange(&orders->reload, false)) reload(server, guard);
    }
    drain(http, orders, server->args->answer_seconds);
}

/* Large bodies get memory of their own, which goes back to the system with them. By default glibc learns from the first that is freed to
 * keep the next in its heap, and many that grow at once tear that apart: under siege it took 240 MB instead of 90. */
static void keep_large_apart(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}

fv_status srv_serve(const cli_serve_args *args, srv_orders *orders, void (*tell)(void *user, const srv_address *address), void *user, fv_err *err)
{
    srv_server server = {.args = args};
    srv_address address;
    srv_guard *guard = NULL;
    srv_http *http = NULL;
    fv_status status = FV_OK;
    fv_err own = {0};
    keep_large_apart();
    FV_TRY(srv_address_parse(args->listen, &address, &own));
    guard = srv_guard_new(args, &address, &own);
    if (!guard) FV_TRY(own.status);
    FV_TRY(srv_models_open(&server.models, args, &own));
    server.metrics = srv_metrics_new(&own);
    if (!server.metrics) FV_TRY(own.status);
    server.engine = srv_engine_new(args->session.batch_tokens, args->queue, MAX_BYTES, &own);
    if (!server.engine) FV_TRY(own.status);
    http = srv_http_new(&server, guard, &address, &own);
    if (!http) FV_TRY(own.status);
    if (tell) tell(user, &address);
    serve(&server, guard, http, orders);
done:
    srv_engine_stop(server.engine);
    srv_http_free(http);
    srv_engine_free(server.engine);
    srv_metrics_free(server.metrics);
    srv_models_release(&server.models);
    srv_guard_free(guard);
    return status ? FV_FAIL(err, status, "%s", own.text) : FV_OK;
}
