/* The whole server, from its arguments to its end. main.c runs it; tests run it inside themselves. */
#ifndef SRV_SERVE_H
#define SRV_SERVE_H

#include "server/http.h"

/* What a test or a signal asks of a running server. */
typedef struct srv_orders {
    atomic_bool reload, stop; /* stop: finish what was asked, then end */
    atomic_bool now;          /* with stop: do not wait */
} srv_orders;

/* Opens models, listens, tells (NULL: nobody) the address, and serves until orders->stop. */
fv_status srv_serve(const cli_serve_args *args, srv_orders *orders, void (*tell)(void *user, const srv_address *address), void *user, fv_err *err);

#endif
