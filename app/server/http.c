/* HTTP: see http.h. libmicrohttpd calls here, always from its one thread, when a connection comes or goes, when a request's
 * head is there, when a piece of its body is, and when all of it is. The body is kept, bounded, and handed to request.c. While
 * the engine has the job the connection is suspended, so that waiting costs no thread.
 *
 * The trap inside: a connection must be suspended before its job is with the engine, which may be done at once. */
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "server/http.h"
#include "server/lines.h"
#include "server/metrics.h"

enum {
    CONNECTION_BYTES = 16 << 10, /* of a request's head at most, and of what libmicrohttpd keeps for a connection */
    FREE_BODY = 16 << 10,        /* bodies so small are bounded by the number of connections */
    LARGE_BODIES = 32,           /* all larger ones together are bounded by so many of the largest */
    SPARE_FILES = 64,            /* for models, listening and the like */
    SPARE_LINES = 16,            /* accepted while the longest idle ones are on their way out */
};

struct srv_http {
    srv_server *server;
    srv_guard *guard;
    struct MHD_Daemon *daemon;
    int listening;
    srv_lines lines;
    int64_t large_bytes;
    atomic_int n_exchanges;
};

typedef enum stage { READING, REFUSED, COMPUTING } stage;

/* One request on its way in, and its answer on the way out. */
typedef struct exchange {
    srv_request r;
    srv_http *http;
    struct MHD_Connection *connection;
    srv_line *line;
    fv_buf body;
    int64_t large; /* bytes counted in large_bytes */
    stage stage;
} exchange;

/* ---- Replies ---- */

static void add_header(struct MHD_Response *response, const char *name, const char *value) { MHD_add_response_header(response, name, value); }

/* The reply's memory becomes the response's. */
static void free_reply(void *data) { fv_free(data); }

static struct MHD_Response *response_of(srv_request *r)
{
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(r->reply.len, r->reply.data, free_reply);
    if (!response) return NULL;
    r->reply = (fv_buf){0};
    return response;
}

static enum MHD_Result reply(exchange *x)
{
    srv_request *r = &x->r;
    char seconds[16];
    bool last = atomic_load(&r->server->draining);
    if (!r->reply.data && fv_buf_puts(&r->reply, "{}", NULL) != FV_OK) return MHD_NO;
    struct MHD_Response *response = response_of(r);
    if (!response) return MHD_NO;
    add_header(response, "Content-Type", r->type);
    add_header(response, "X-Content-Type-Options", "nosniff");
    add_header(response, "Cache-Control", "no-store");
    if (r->retry_after || r->status == 503) {
        snprintf(seconds, sizeof seconds, "%d", r->retry_after ? r->retry_after : 5);
        add_header(response, "Retry-After", seconds);
    }
    if (r->allow) add_header(response, "Allow", r->allow);
    if (r->status == 401) add_header(response, "WWW-Authenticate", "Bearer");
    if (last) add_header(response, "Connection", "close");
    enum MHD_Result queued = MHD_queue_response(x->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return queued;
}

/* ---- Bodies ---- */

static void drop_body(exchange *x)
{
    fv_buf_release(&x->body);
    x->http->large_bytes -= x->large;
    x->large = 0;
}

/* The rest of the body is read and forgotten: only after it does a client look for an answer. */
static void refuse_body(exchange *x)
{
    drop_body(x);
    x->stage = REFUSED;
}

static bool count_large(exchange *x)
{
    srv_http *h = x->http;
    int64_t most = LARGE_BODIES * h->server->args->max_body, more = x->body.len > FREE_BODY ? (int64_t)x->body.len - x->large : 0;
    if (h->large_bytes + more > most) return false;
    x->large += more;
    h->large_bytes += more;
    return true;
}

static void take_piece(exchange *x, const char *data, size_t n)
{
    const cli_serve_args *args = x->http->server->args;
    fv_err err = {0};
    if (x->stage != READING) return;
    if ((int64_t)(x->body.len + n) > args->max_body) srv_refuse(&x->r, SRV_TOO_LARGE, "the request is longer than %lld bytes; send it in parts", (long long)args->max_body);
    else if (fv_buf_add(&x->body, data, n, &err) != FV_OK || !count_large(x)) {
        x->r.retry_after = 1;
        srv_refuse(&x->r, SRV_BUSY, "too many large requests are coming in; ask again in 1 s");
    } else return;
    refuse_body(x);
}

/* ---- Stages of a request ---- */

/* From the engine's thread. The exchange may be gone as soon as the connection is resumed. */
static void on_done(srv_job *job)
{
    exchange *x = job->user;
    srv_lines_idle(&x->http->lines, x->line);
    MHD_resume_connection(x->connection);
}

static const char *header(const exchange *x, const char *name) { return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name); }

/* Whether so much is announced that it is better not read at all. */
static bool too_much(const exchange *x)
{
    const char *length = header(x, "Content-Length");
    int64_t n = 0;
    return length && (!fv_parse_int64(length, &n) || n > x->http->server->args->max_body);
}

/* The request's head: who asks, for what, and how much is to come. */
static void read_head(exchange *x, const char *method)
{
    const union MHD_ConnectionInfo *from = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const srv_asker asker = {
        .host = header(x, "Host"), .origin = header(x, "Origin"), .authorization = header(x, "Authorization"),
        .from = from ? from->client_addr : NULL,
    };
    bool fine = srv_guard_pass(x->http->guard, &x->r, &asker) && srv_request_known(&x->r, method) && srv_guard_json(&x->r, header(x, "Content-Type"));
    if (fine && too_much(x)) fine = srv_refuse(&x->r, SRV_TOO_LARGE, "the request is longer than %lld bytes; send it in parts", (long long)x->http->server->args->max_body);
    if (!fine) x->stage = REFUSED;
}

static exchange *begin(srv_http *h, struct MHD_Connection *connection, const char *path, const char *method)
{
    const union MHD_ConnectionInfo *line = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    exchange *x = line && line->socket_context ? fv_alloc_zero(1, sizeof *x, NULL) : NULL;
    if (!x) return NULL;
    x->http = h;
    x->connection = connection;
    x->line = line->socket_context;
    srv_request_init(&x->r, h->server, method, path);
    x->r.job.on_done = on_done;
    x->r.job.user = x;
    atomic_fetch_add(&h->n_exchanges, 1);
    srv_lines_idle(&h->lines, x->line);
    read_head(x, method);
    return x;
}

/* All of the body is there. What asks for nothing is answered at once. */
static enum MHD_Result whole(exchange *x)
{
    if (!x->r.route->asks) {
        srv_request_start(&x->r, NULL, 0);
        return reply(x);
    }
    MHD_suspend_connection(x->connection);
    srv_lines_busy(&x->http->lines, x->line, &x->r.job);
    x->stage = COMPUTING;
    fv_buf body = x->body;
    x->body = (fv_buf){0};
    x->http->large_bytes -= x->large;
    x->large = 0;
    if (srv_request_start(&x->r, body.data, body.len) == SRV_REPLY) on_done(&x->r.job);
    fv_buf_release(&body);
    return MHD_YES;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method, const char *version, const char *data, size_t *n, void **state)
{
    exchange *x = *state;
    (void)version;
    if (!x) {
        *state = x = begin(user, connection, url, method);
        if (!x) return MHD_NO;
        return x->stage == REFUSED && too_much(x) ? reply(x) : MHD_YES;
    }
    if (*n) {
        take_piece(x, data, *n);
        *n = 0;
        return MHD_YES;
    }
    if (x->stage == READING) return whole(x);
    if (x->stage == COMPUTING && x->r.status == 0) srv_request_finish(&x->r);
    return reply(x);
}

/* The answer was sent, or nobody takes it any more. */
static void on_completed(void *user, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
    srv_http *h = user;
    exchange *x = *state;
    (void)connection;
    (void)how;
    if (!x) return;
    *state = NULL;
    if (x->r.status) srv_metrics_add(h->server->metrics, x->r.route, x->r.status, fv_now() - x->r.began);
    srv_lines_idle(&h->lines, x->line);
    drop_body(x);
    srv_request_release(&x->r);
    fv_free(x);
    atomic_fetch_sub(&h->n_exchanges, 1);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **line, enum MHD_ConnectionNotificationCode what)
{
    srv_http *h = user;
    const union MHD_ConnectionInfo *fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) *line = srv_lines_came(&h->lines, fd->connect_fd);
    else if (*line) srv_lines_gone(&h->lines, *line);
}

/* ---- Listening ---- */

static int listen_on(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol), yes = 1;
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, 1024) == 0) return fd;
    int kept = errno;
    close(fd);
    errno = kept;
    return -1;
}

static void read_port(int fd, srv_address *address)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &n) == 0)
        getnameinfo((struct sockaddr *)&at, n, NULL, 0, address->port, sizeof address->port, NI_NUMERICSERV);
}

static int open_socket(srv_address *address, fv_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *all = NULL;
    int fd = -1, wrong = getaddrinfo(address->host, address->port, &hints, &all);
    if (wrong) {
        FV_FAIL(err, FV_E_ARGUMENT, "--listen %s:%s: %s", address->host, address->port, gai_strerror(wrong));
        return -1;
    }
    for (const struct addrinfo *at = all; at && fd < 0; at = at->ai_next) fd = listen_on(at);
    if (fd < 0) FV_FAIL(err, FV_E_IO, "--listen %s:%s: %s", address->host, address->port, strerror(errno));
    else read_port(fd, address);
    freeaddrinfo(all);
    return fd;
}

/* Connections need open files, of which the system gives some for the asking. */
static int lines_that_fit(int wanted)
{
    struct rlimit files;
    rlim_t need = (rlim_t)wanted + SPARE_FILES + SPARE_LINES;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return wanted;
    if (files.rlim_cur < need) {
        files.rlim_cur = files.rlim_max == RLIM_INFINITY || files.rlim_max > need ? need : files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur >= need) return wanted;
    return files.rlim_cur > SPARE_FILES + SPARE_LINES + 8 ? (int)(files.rlim_cur - SPARE_FILES - SPARE_LINES) : 8;
}

srv_http *srv_http_new(srv_server *server, srv_guard *guard, srv_address *address, fv_err *err)
{
    int fd = open_socket(address, err), most = lines_that_fit(server->args->connections);
    srv_http *h = fd >= 0 ? fv_alloc_zero(1, sizeof *h, err) : NULL;
    if (!h) {
        if (fd >= 0) close(fd);
        return NULL;
    }
    h->server = server;
    h->guard = guard;
    h->listening = fd;
    srv_lines_init(&h->lines, most, server->args->send_seconds);
    h->daemon = MHD_start_daemon(MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, h,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)(most + SPARE_LINES),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
    if (h->daemon) return h;
    FV_FAIL(err, FV_E_IO, "the HTTP server does not start: %s", strerror(errno));
    srv_http_free(h);
    return NULL;
}

void srv_http_tick(srv_http *h) { srv_lines_tick(&h->lines); }
int srv_http_busy(srv_http *h) { return atomic_load(&h->n_exchanges); }

void srv_http_drain(srv_http *h)
{
    atomic_store(&h->server->draining, true);
    MHD_quiesce_daemon(h->daemon);
}

void srv_http_free(srv_http *h)
{
    if (!h) return;
    if (h->daemon) MHD_stop_daemon(h->daemon);
    close(h->listening);
    srv_lines_release(&h->lines);
    fv_free(h);
}
