/* /openapi.json: the description of all routes, OpenAPI 3.1, made from the table that answers them. */
#ifndef SRV_OPENAPI_H
#define SRV_OPENAPI_H

#include "server/routes.h"

fv_status srv_openapi(fv_buf *out, fv_err *err);

#endif
