/* Counts of requests and how long they took, by route, as Prometheus reads them. For the HTTP thread alone. */
#ifndef SRV_METRICS_H
#define SRV_METRICS_H

#include "server/routes.h"

srv_metrics *srv_metrics_new(fv_err *err);
/* `route` NULL: a path that there is not. */
void srv_metrics_add(srv_metrics *metrics, const srv_route *route, int status, double seconds);
/* The whole page, with what engine and models have to say. */
fv_status srv_metrics_print(srv_server *server, fv_buf *out, fv_err *err);
void srv_metrics_free(srv_metrics *metrics);

#endif
