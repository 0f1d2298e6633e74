/* The server without HTTP inside a test: models, engine, and requests put to them. */
#ifndef TESTS_ASKED_H
#define TESTS_ASKED_H

#include "server/routes.h"

typedef struct asked {
    cli_call call;
    cli_serve_args *args;
    srv_server server;
    int waiting;
    pthread_mutex_t lock;
    pthread_cond_t done;
} asked;

/* Models as --model has them, ended by NULL. Change args between the two. */
void asked_init(asked *a, const char *const *models);
void asked_open(asked *a);
void asked_close(asked *a);

/* A request under way, then answered. */
void asked_start(asked *a, srv_request *r, const char *method, const char *path, const char *body);
void asked_start_bytes(asked *a, srv_request *r, const char *method, const char *path, const char *body, size_t len);
void asked_wait(asked *a); /* for all that were started */
void asked_finish(srv_request *r);
/* All three. Release the request. */
void asked_ask(asked *a, srv_request *r, const char *method, const char *path, const char *body);

#endif
