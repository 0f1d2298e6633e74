/* HTTP by libmicrohttpd: connections, bodies and replies on one thread, which computes nothing. */
#ifndef SRV_HTTP_H
#define SRV_HTTP_H

#include "server/guard.h"

typedef struct srv_http srv_http;

/* Listens; the port that it got (0 takes a free one) goes into address->port. */
srv_http *srv_http_new(srv_server *server, srv_guard *guard, srv_address *address, fv_err *err);
/* Several times a second: ends what takes too long. */
void srv_http_tick(srv_http *http);
/* No new connections from now on; those that are there get their answers, and are closed after them. */
void srv_http_drain(srv_http *http);
/* Requests under way. */
int srv_http_busy(srv_http *http);
/* After srv_engine_stop. NULL is fine. */
void srv_http_free(srv_http *http);

#endif
