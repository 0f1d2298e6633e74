/* What the server keeps of the speed that the same model has without one.
 *
 *   serve PROGRAM MODEL TEXTS.txt [CLIENTS [ROUNDS [PATH]]]      build/fovea … 32 3 /embed
 *
 * PATH is /embed, /v1/embeddings (numbers as base64, which OpenAI's own clients ask for) or /predict; if not given, what the model can. Starts `PROGRAM serve`, and in turns computes all texts here in one call and has them answered there, one text a request, by
 * clients that each ask again as soon as they have their answer. Prints one JSON line: texts a second both ways, their ratio (of
 * the medians), and how long answers took. Everything runs on the same cores, the clients too: they are one thread that polls. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "texts.h"

enum { MAX_CLIENTS = 1024, MAX_ROUNDS = 99, REPLY_BYTES = 1 << 16 };

typedef struct bench {
    const char *program, *model, *path;
    int clients, rounds;
    bool vectors;
    texts texts;
    fv_buf *requests; /* [texts.n] */
    double *seconds;  /* [texts.n × rounds] of each answer */
    size_t n_seconds;
    pid_t server;
    int port;
} bench;

typedef struct client {
    int fd;
    size_t got;
    double began;
    char reply[REPLY_BYTES];
} client;

/* ---- Texts and requests ---- */

static fv_status put_quoted(fv_buf *out, const fv_text *t, fv_err *err)
{
    fv_status status = fv_buf_putc(out, '"', err);
    for (size_t i = 0; i < t->len && status == FV_OK; i++) {
        unsigned char c = (unsigned char)t->text[i];
        if (c == '"' || c == '\\') status = fv_buf_printf(out, err, "\\%c", c);
        else if (c < 0x20) status = fv_buf_printf(out, err, "\\u%04x", c);
        else status = fv_buf_putc(out, (char)c, err);
    }
    return status ? status : fv_buf_putc(out, '"', err);
}

static fv_status make_request(const bench *b, const fv_text *t, fv_buf *out, fv_err *err)
{
    fv_buf body = {0};
    fv_status status = FV_OK;
    bool openai = strcmp(b->path, "/v1/embeddings") == 0;
    FV_TRY(fv_buf_puts(&body, openai ? "{\"encoding_format\":\"base64\",\"input\":" : "{\"truncate\":true,\"inputs\":", err));
    FV_TRY(put_quoted(&body, t, err));
    FV_TRY(fv_buf_putc(&body, '}', err));
    FV_TRY(fv_buf_printf(out, err, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", b->path, body.len, body.data));
done:
    fv_buf_release(&body);
    return status;
}

/* An empty line asks nothing. */
static fv_status make_requests(bench *b, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = 0;
    FV_TRY(read_texts(&b->texts, path, err));
    for (size_t i = 0; i < b->texts.n; i++)
        if (b->texts.items[i].len) b->texts.items[n++] = b->texts.items[i];
    b->texts.n = n;
    if (n == 0) FV_TRY(FV_FAIL(err, FV_E_INPUT, "%s: nothing but empty lines; expected a text on each line", path));
    b->requests = fv_alloc_zero(n, sizeof *b->requests, err);
    b->seconds = fv_alloc_zero(n * (size_t)b->rounds, sizeof *b->seconds, err);
    if (!b->requests || !b->seconds) FV_TRY(FV_E_MEMORY);
    for (size_t i = 0; i < n; i++) FV_TRY(make_request(b, &b->texts.items[i], &b->requests[i], err));
done:
    return status;
}

/* ---- The server ---- */

/* Its first line says where it is: "… http://127.0.0.1:PORT". */
static fv_status start_server(bench *b, fv_err *err)
{
    int ends[2];
    char line[512] = "";
    if (pipe(ends) != 0 || (b->server = fork()) < 0) return FV_FAIL(err, FV_E_IO, "no process for the server");
    if (b->server == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        execl(b->program, b->program, "serve", "--model", b->model, "--listen", "127.0.0.1:0", "--truncate", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    for (size_t at = 0; at + 1 < sizeof line && read(ends[0], line + at, 1) == 1 && line[at] != '\n'; at++) continue;
    close(ends[0]);
    const char *port = strrchr(line, ':');
    if (port) b->port = atoi(port + 1);
    return b->port ? FV_OK : FV_FAIL(err, FV_E_IO, "the server did not start: %s", line);
}

static void stop_server(const bench *b)
{
    if (b->server <= 0) return;
    kill(b->server, SIGTERM);
    waitpid(b->server, NULL, 0);
}

/* ---- Clients ---- */

static fv_status connect_client(const bench *b, client *c, fv_err *err)
{
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)b->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (const struct sockaddr *)&at, sizeof at) != 0) return FV_FAIL(err, FV_E_IO, "cannot connect to port %d", b->port);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return FV_OK;
}

static fv_status ask(const bench *b, client *c, size_t i, fv_err *err)
{
    const fv_buf *r = &b->requests[i];
    c->got = 0;
    c->began = fv_now();
    return send(c->fd, r->data, r->len, MSG_NOSIGNAL) == (ssize_t)r->len ? FV_OK : FV_FAIL(err, FV_E_IO, "a request was not taken");
}

/* 1: the answer is whole; 0: more is to come; -1: it is none, or not fine. */
static int take(client *c)
{
    ssize_t n = recv(c->fd, c->reply + c->got, sizeof c->reply - 1 - c->got, 0);
    if (n <= 0) return -1;
    c->got += (size_t)n;
    c->reply[c->got] = 0;
    const char *end = strstr(c->reply, "\r\n\r\n"), *length = strcasestr(c->reply, "\r\nContent-Length:");
    if (!end || !length) return 0;
    if (strncmp(c->reply, "HTTP/1.1 200", 12) != 0) return -1;
    return c->got >= (size_t)(end + 4 - c->reply) + (size_t)atol(length + 17);
}

static fv_status next_or_rest(bench *b, client *c, struct pollfd *p, size_t *next, fv_err *err)
{
    b->seconds[b->n_seconds++] = fv_now() - c->began;
    if (*next < b->texts.n) return ask(b, c, (*next)++, err);
    p->fd = -1;
    return FV_OK;
}

/* All texts once, each by the next client that is free. */
static fv_status serve_round(bench *b, client *clients, double *rate, fv_err *err)
{
    struct pollfd polled[MAX_CLIENTS];
    size_t next = 0, answered = 0;
    double began = fv_now();
    fv_status status = FV_OK;
    for (int i = 0; i < b->clients; i++) {
        polled[i] = (struct pollfd){.fd = next < b->texts.n ? clients[i].fd : -1, .events = POLLIN};
        if (next < b->texts.n) FV_TRY(ask(b, &clients[i], next++, err));
    }
    while (answered < b->texts.n) {
        if (poll(polled, (nfds_t)b->clients, 60000) <= 0) FV_TRY(FV_FAIL(err, FV_E_IO, "no answer for a minute"));
        for (int i = 0; i < b->clients; i++) {
            if (polled[i].fd < 0 || !polled[i].revents) continue;
            int whole = take(&clients[i]);
            if (whole < 0) FV_TRY(FV_FAIL(err, FV_E_IO, "an answer was not 200: %.300s", clients[i].reply));
            if (whole == 0) continue;
            answered++;
            FV_TRY(next_or_rest(b, &clients[i], &polled[i], &next, err));
        }
    }
    *rate = (double)b->texts.n / (fv_now() - began);
done:
    return status;
}

/* ---- Both in turns ---- */

static fv_status offline_round(bench *b, fv_session *s, float *out, double *rate, fv_err *err)
{
    double began = fv_now();
    fv_status status = b->vectors ? fv_embed(s, b->texts.items, b->texts.n, NULL, out, err) : fv_classify_scores(s, b->texts.items, b->texts.n, out, err);
    *rate = (double)b->texts.n / (fv_now() - began);
    return status;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *x, size_t n, double q)
{
    qsort(x, n, sizeof *x, compare);
    return x[(size_t)(q * (double)(n - 1))];
}

static void report(bench *b, double *offline, double *served)
{
    size_t rounds = (size_t)b->rounds;
    double alone = quantile(offline, rounds, 0.5), there = quantile(served, rounds, 0.5);
    printf("{\"bench\":\"serve\",\"case\":\"%s %d clients\",\"texts\":%zu,\"runs\":%d,\"offline\":%.1f,\"value\":%.1f,\"unit\":\"texts/s\",\"share_of_offline\":%.3f,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f}\n", b->path, b->clients, b->texts.n, b->rounds, alone, there, there / alone,
           1e3 * quantile(b->seconds, b->n_seconds, 0.5), 1e3 * quantile(b->seconds, b->n_seconds, 0.99));
}

static fv_status measure(bench *b, fv_session *s, client *clients, float *out, fv_err *err)
{
    double offline[MAX_ROUNDS], served[MAX_ROUNDS], unused;
    fv_status status = FV_OK;
    FV_TRY(offline_round(b, s, out, &unused, err)); /* plans and packs, untimed */
    FV_TRY(serve_round(b, clients, &unused, err));
    b->n_seconds = 0;
    for (int i = 0; i < b->rounds; i++) {
        FV_TRY(offline_round(b, s, out, &offline[i], err));
        FV_TRY(serve_round(b, clients, &served[i], err));
    }
    report(b, offline, served);
done:
    return status;
}

static fv_status run(bench *b, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_model *model = NULL;
    fv_session *s = NULL;
    float *out = NULL;
    client *clients = fv_alloc_zero(MAX_CLIENTS, sizeof *clients, err);
    if (!clients) return FV_E_MEMORY;
    model = fv_model_open(b->model, err);
    s = model ? fv_session_new(model, NULL, err) : NULL;
    if (!s) FV_TRY(err->status);
    bool labels = fv_session_labels(s) != FV_LABELS_VECTOR && fv_session_labels(s) != FV_LABELS_NONE;
    if (!b->path) b->path = labels ? "/predict" : "/embed";
    b->vectors = strcmp(b->path, "/predict") != 0;
    FV_TRY(make_requests(b, path, err));
    out = fv_alloc(b->texts.n * (size_t)(b->vectors ? fv_model_embedding_size(model) : fv_session_n_labels(s)) * sizeof *out, err);
    if (!out) FV_TRY(err->status);
    FV_TRY(start_server(b, err));
    for (int i = 0; i < b->clients; i++) FV_TRY(connect_client(b, &clients[i], err));
    FV_TRY(measure(b, s, clients, out, err));
done:
    for (int i = 0; i < b->clients; i++)
        if (clients[i].fd > 0) close(clients[i].fd);
    stop_server(b);
    fv_free(clients);
    fv_free(out);
    fv_session_free(s);
    fv_model_close(model);
    return status;
}

int main(int argc, char **argv)
{
    bench b = {.clients = 32, .rounds = 3};
    fv_err err = {0};
    if (argc > 4) b.clients = atoi(argv[4]);
    if (argc > 5) b.rounds = atoi(argv[5]);
    if (argc > 6) b.path = argv[6];
    if (argc < 4 || argc > 7 || b.clients < 1 || b.clients > MAX_CLIENTS || b.rounds < 1 || b.rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: serve PROGRAM MODEL TEXTS.txt [CLIENTS [ROUNDS [PATH]]]\n");
        return 2;
    }
    b.program = argv[1];
    b.model = argv[2];
    fv_status status = run(&b, argv[3], &err);
    for (size_t i = 0; b.requests && i < b.texts.n; i++) fv_buf_release(&b.requests[i]);
    fv_free(b.requests);
    fv_free(b.texts.items);
    fv_free(b.seconds);
    fv_buf_release(&b.texts.file);
    return status ? fv_err_print(stderr, &err) : 0;
}
