/* A server on a thread of the test, and raw sockets. See running.h. */
#include "running.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const one_model[] = {"shop=tests/golden/bert-tiny"};

void running_init(running *r)
{
    *r = (running){0};
    FV_ASSERT(cli_call_init(&r->call, &cli_serve, NULL) == FV_OK);
    r->args = r->call.args;
    r->args->common.quiet = true;
    r->args->listen = "127.0.0.1:0";
    r->args->models = (cli_list){one_model, 1};
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->told, NULL);
}

static void signal_state(running *r, bool *what)
{
    pthread_mutex_lock(&r->lock);
    *what = true;
    pthread_cond_broadcast(&r->told);
    pthread_mutex_unlock(&r->lock);
}

static void tell(void *user, const srv_address *address)
{
    running *r = user;
    r->address = *address;
    signal_state(r, &r->up);
}

static void *run(void *user)
{
    running *r = user;
    r->status = srv_serve(r->args, &r->orders, tell, r, &r->err);
    signal_state(r, &r->over);
    return NULL;
}

bool running_start(running *r)
{
    FV_ASSERT(pthread_create(&r->thread, NULL, run, r) == 0);
    pthread_mutex_lock(&r->lock);
    while (!r->up && !r->over) pthread_cond_wait(&r->told, &r->lock);
    bool up = r->up;
    pthread_mutex_unlock(&r->lock);
    return up;
}

fv_status running_stop(running *r)
{
    atomic_store(&r->orders.stop, true);
    pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->told);
    pthread_mutex_destroy(&r->lock);
    cli_call_release(&r->call);
    return r->status;
}

/* ---- The client ---- */

int client_connect(const running *r)
{
    int64_t port = 0;
    FV_ASSERT(fv_parse_int64(r->address.port, &port));
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = 60}; /* sanitizers take their time */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    FV_ASSERT(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0) return fd;
    close(fd);
    return -1;
}

void client_send(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0) return;
        bytes += sent;
        n -= (size_t)sent;
    }
}

void client_puts(int fd, const char *text) { client_send(fd, text, strlen(text)); }

/* Bytes of the answer that are still to come, once its head is there; -1 before. */
static long missing(const fv_buf *all)
{
    const char *end = all->data ? strstr(all->data, "\r\n\r\n") : NULL;
    const char *length = end ? strcasestr(all->data, "\r\nContent-Length:") : NULL;
    if (!end) return -1;
    if (!length || length > end) return 0;
    return atol(length + 17) - (long)(all->data + all->len - (end + 4));
}

answer client_read(int fd)
{
    answer a = {0};
    char piece[4096];
    while (missing(&a.all) != 0) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n <= 0) break;
        FV_ASSERT(fv_buf_add(&a.all, piece, (size_t)n, NULL) == FV_OK);
    }
    const char *end = a.all.data ? strstr(a.all.data, "\r\n\r\n") : NULL;
    if (a.all.len > 12) a.status = atoi(a.all.data + 9);
    a.body = end ? end + 4 : "";
    return a;
}

void answer_release(answer *a) { fv_buf_release(&a->all); }

void client_ask(int fd, const char *method, const char *path, const char *headers, const char *body)
{
    fv_buf text = {0};
    fv_buf_printf(&text, NULL, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, path, headers);
    if (body) fv_buf_printf(&text, NULL, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    fv_buf_printf(&text, NULL, "\r\n%s", body ? body : "");
    client_send(fd, text.data, text.len);
    fv_buf_release(&text);
}

static answer ask_once(const running *r, const char *method, const char *path, const char *body)
{
    int fd = client_connect(r);
    if (fd < 0) return (answer){.body = ""};
    client_ask(fd, method, path, "", body);
    answer a = client_read(fd);
    close(fd);
    return a;
}

answer client_get(const running *r, const char *path) { return ask_once(r, "GET", path, NULL); }
answer client_post(const running *r, const char *path, const char *body) { return ask_once(r, "POST", path, body); }
