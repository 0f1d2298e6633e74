/* A whole server inside a test, and a client that can be as rude as it likes. */
#ifndef TESTS_RUNNING_H
#define TESTS_RUNNING_H

#include "server/serve.h"

typedef struct running {
    cli_call call;
    cli_serve_args *args;
    srv_orders orders;
    srv_address address;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool up, over;
    fv_status status;
    fv_err err;
} running;

/* Defaults, one model: tests/golden/bert-tiny as "shop", a free port. Change args, then start. */
void running_init(running *r);
/* Returns when it listens, or did not come up. */
bool running_start(running *r);
/* As SIGTERM, and waits for the end. */
fv_status running_stop(running *r);

/* What came back. Strings end in zero bytes. */
typedef struct answer {
    int status;   /* 0: the connection ended without one */
    fv_buf all;   /* head and body */
    const char *body;
} answer;

int client_connect(const running *r);
void client_send(int fd, const char *bytes, size_t n); /* as far as the server takes it */
void client_puts(int fd, const char *text);
/* Reads one answer, by its Content-Length. */
answer client_read(int fd);
void answer_release(answer *a);
/* Head and body in one, on a connection that stays open. */
void client_ask(int fd, const char *method, const char *path, const char *headers, const char *body);
/* Connects, asks, reads, closes. */
answer client_get(const running *r, const char *path);
answer client_post(const running *r, const char *path, const char *body);

#endif
