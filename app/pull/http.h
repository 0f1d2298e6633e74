/* HTTP by libcurl: one request after another to one hub. Redirects are followed here and not by libcurl, so that it is plain
 * who gets the token: the hub that it is for, and nobody else. */
#ifndef PULL_HTTP_H
#define PULL_HTTP_H

#include <stdatomic.h>

#include "hub/hub.h"

typedef struct pull_http pull_http;

/* Where a body goes. */
typedef struct pull_sink {
    /* Before the first byte: resumed, or from the start although a Range was asked for. */
    fv_status (*begin)(void *user, bool resumed, fv_err *err);
    fv_status (*take)(void *user, const void *bytes, size_t n, fv_err *err);
    void *user;
} pull_sink;

/* `stop` ends what is under way. Both are borrowed. */
pull_http *pull_http_new(const hub_places *places, const char *token, const atomic_bool *stop, fv_err *err);
/* Asks for ENDPOINT + path, from byte `from` on. *code is the answer's; bodies of 200 and 206 alone go to the sink.
 * Fails when no answer came or the sink failed; *again then says whether asking once more may help. */
fv_status pull_http_get(pull_http *http, const char *path, uint64_t from, const pull_sink *sink, long *code, bool *again, fv_err *err);
void pull_http_free(pull_http *http);

#endif
