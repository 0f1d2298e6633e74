/* Who may ask: names of this server (against DNS rebinding), the page that a browser asks for, the token, and how often.
 *
 * On loopback no token is asked for, so any web page could have its reader's browser ask: either under a name that it
 * points to 127.0.0.1, which Host shows, or across origins, which Origin shows. */
#ifndef SRV_GUARD_H
#define SRV_GUARD_H

#include <sys/socket.h>

#include "server/routes.h"

/* An address to listen at, taken apart. */
typedef struct srv_address {
    char host[256], port[16];
    bool loopback;
} srv_address;

/* "127.0.0.1:8080", "[::1]:8080", "localhost:0". */
fv_status srv_address_parse(const char *text, srv_address *out, fv_err *err);

/* What a request says of who sent it; NULL where it says nothing. */
typedef struct srv_asker {
    const char *host, *origin, *authorization;
    const struct sockaddr *from;
} srv_asker;

typedef struct srv_guard srv_guard;

/* FV_E_ARGUMENT when the address needs a token and none is given. */
srv_guard *srv_guard_new(const cli_serve_args *args, const srv_address *address, fv_err *err);
/* Reads the token's file again; the old token holds if that fails. */
fv_status srv_guard_reload(srv_guard *guard, fv_err *err);
/* Whether the request may be read; else it is refused. For the HTTP thread. */
bool srv_guard_pass(srv_guard *guard, srv_request *r, const srv_asker *asker);
/* Whether the body is what the route reads. A page of another place cannot send JSON without asking first. */
bool srv_guard_json(srv_request *r, const char *content_type);
void srv_guard_free(srv_guard *guard);

#endif
