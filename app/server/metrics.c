/* /metrics: counters and a histogram for each route. See metrics.h. */
#include "server/metrics.h"

static const int statuses[] = {200, 400, 401, 403, 404, 405, 413, 415, 422, 429, 500, 503, 504};
static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

enum { N_STATUSES = FV_COUNT(statuses), N_BOUNDS = FV_COUNT(bounds) };

struct counts {
    int64_t by_status[N_STATUSES];
    int64_t within[N_BOUNDS + 1]; /* the last: above all bounds */
    double seconds;
};

struct srv_metrics {
    size_t n;
    struct counts routes[]; /* [n + 1], the last for paths that there are not */
};

srv_metrics *srv_metrics_new(fv_err *err)
{
    size_t n = srv_n_routes();
    srv_metrics *m = fv_alloc_zero(1, sizeof *m + (n + 1) * sizeof m->routes[0], err);
    if (m) m->n = n;
    return m;
}

void srv_metrics_free(srv_metrics *m) { fv_free(m); }

static size_t place_of(const srv_metrics *m, const srv_route *route)
{
    for (size_t i = 0; i < m->n; i++)
        if (srv_routes[i] == route) return i;
    return m->n;
}

void srv_metrics_add(srv_metrics *m, const srv_route *route, int status, double seconds)
{
    struct counts *c = &m->routes[place_of(m, route)];
    size_t i = 0;
    for (size_t k = 0; k < N_STATUSES; k++) c->by_status[k] += statuses[k] == status;
    while (i < N_BOUNDS && seconds > bounds[i]) i++;
    c->within[i]++;
    c->seconds += seconds;
}

static const char *name_of(const srv_metrics *m, size_t i) { return i < m->n ? srv_routes[i]->path : "other"; }

static fv_status print_requests(const srv_metrics *m, fv_buf *out, fv_err *err)
{
    fv_status status = fv_buf_puts(out, "# HELP fovea_requests_total Requests answered.\n# TYPE fovea_requests_total counter\n", err);
    for (size_t i = 0; i <= m->n; i++)
        for (size_t k = 0; k < N_STATUSES && status == FV_OK; k++)
            if (m->routes[i].by_status[k])
                status = fv_buf_printf(out, err, "fovea_requests_total{path=\"%s\",status=\"%d\"} %lld\n", name_of(m, i), statuses[k], (long long)m->routes[i].by_status[k]);
    return status;
}

static fv_status print_histogram(const struct counts *c, const char *path, fv_buf *out, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t sum = 0;
    for (size_t i = 0; i < N_BOUNDS; i++) {
        sum += c->within[i];
        FV_TRY(fv_buf_printf(out, err, "fovea_request_seconds_bucket{path=\"%s\",le=\"%g\"} %lld\n", path, bounds[i], (long long)sum));
    }
    sum += c->within[N_BOUNDS];
    FV_TRY(fv_buf_printf(out, err, "fovea_request_seconds_bucket{path=\"%s\",le=\"+Inf\"} %lld\n", path, (long long)sum));
    FV_TRY(fv_buf_printf(out, err, "fovea_request_seconds_sum{path=\"%s\"} %.6f\nfovea_request_seconds_count{path=\"%s\"} %lld\n", path, c->seconds, path, (long long)sum));
done:
    return status;
}

static fv_status print_times(const srv_metrics *m, fv_buf *out, fv_err *err)
{
    fv_status status = fv_buf_puts(out, "# HELP fovea_request_seconds From a request's head to its answer.\n# TYPE fovea_request_seconds histogram\n", err);
    for (size_t i = 0; i <= m->n && status == FV_OK; i++) {
        bool any = false;
        for (size_t k = 0; k <= N_BOUNDS; k++) any |= m->routes[i].within[k] > 0;
        if (any) status = print_histogram(&m->routes[i], name_of(m, i), out, err);
    }
    return status;
}

static fv_status print_one(fv_buf *out, const char *name, const char *kind, const char *says, double value, fv_err *err)
{
    char number[FV_DOUBLE_TEXT];
    return fv_buf_printf(out, err, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, says, name, kind, name, fv_double_text(value, number));
}

static fv_status print_engine(srv_server *s, fv_buf *out, fv_err *err)
{
    srv_load load = srv_engine_load(s->engine);
    const struct { const char *name, *kind, *says; double value; } all[] = {
        {"fovea_queue_requests", "gauge", "Requests that wait.", load.waiting},
        {"fovea_queue_tokens", "gauge", "Tokens of their texts.", (double)load.waiting_tokens},
        {"fovea_queue_bytes", "gauge", "Memory of requests and answers under way.", (double)load.bytes},
        {"fovea_batches_total", "counter", "Batches computed.", (double)load.batches},
        {"fovea_texts_total", "counter", "Texts computed.", (double)load.texts},
        {"fovea_tokens_total", "counter", "Tokens computed.", (double)load.tokens},
        {"fovea_models", "gauge", "Models served.", (double)s->models.n},
        {"fovea_reloads_total", "counter", "Models loaded again.", atomic_load(&s->models.reloads)},
        {"fovea_reloads_refused_total", "counter", "Models that could not be loaded again.", atomic_load(&s->models.refused)},
    };
    fv_status status = FV_OK;
    for (size_t i = 0; i < FV_COUNT(all) && status == FV_OK; i++) status = print_one(out, all[i].name, all[i].kind, all[i].says, all[i].value, err);
    return status;
}

fv_status srv_metrics_print(srv_server *s, fv_buf *out, fv_err *err)
{
    fv_status status = print_requests(s->metrics, out, err);
    if (status == FV_OK) status = print_times(s->metrics, out, err);
    return status ? status : print_engine(s, out, err);
}
