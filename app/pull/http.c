/* Requests: see http.h. The trap inside: what a sink says no to, libcurl calls a write error; the sink's own words are kept. */
#include <curl/curl.h>
#include <string.h>

#include "pull/http.h"

enum { REDIRECTS = 8, URL_MAX = 8192, CONNECT_SECONDS = 20, SILENT_SECONDS = 60 };

struct pull_http {
    CURL *curl;
    const hub_places *places;
    const char *token;
    const atomic_bool *stop;
    const pull_sink *sink;
    bool begun;
    fv_err sink_err;
};

/* ---- What libcurl calls ---- */

static fv_status deliver(pull_http *h, const char *bytes, size_t n)
{
    long code = 0;
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code != 200 && code != 206) return FV_OK; /* an error's page: the code says enough */
    fv_status status = h->begun ? FV_OK : h->sink->begin(h->sink->user, code == 206, &h->sink_err);
    h->begun = true;
    return status == FV_OK ? h->sink->take(h->sink->user, bytes, n, &h->sink_err) : status;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *user)
{
    return deliver(user, bytes, size * n) == FV_OK ? size * n : CURL_WRITEFUNC_ERROR;
}

static int on_tick(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    const pull_http *h = user;
    (void)total, (void)now, (void)up_total, (void)up_now;
    return atomic_load(h->stop);
}

/* ---- One request ---- */

/* Scheme, host and port are the hub's: the address goes on with a path where the hub's own ends. */
static bool is_hub(const pull_http *h, const char *url)
{
    CURLU *a = curl_url(), *b = curl_url();
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    bool same = a && b && !curl_url_set(a, CURLUPART_URL, url, 0) && !curl_url_set(b, CURLUPART_URL, h->places->endpoint, 0);
    for (size_t i = 0; i < FV_COUNT(parts) && same; i++) {
        char *x = NULL, *y = NULL;
        same = !curl_url_get(a, parts[i], &x, CURLU_DEFAULT_PORT) && !curl_url_get(b, parts[i], &y, CURLU_DEFAULT_PORT) && strcasecmp(x, y) == 0;
        curl_free(x);
        curl_free(y);
    }
    curl_url_cleanup(a);
    curl_url_cleanup(b);
    return same;
}

static void set_up(pull_http *h, const char *url, uint64_t from)
{
    CURL *c = h->curl;
    char agent[64], range[32];
    curl_easy_reset(c);
    snprintf(agent, sizeof agent, "fovea/%s", fv_version());
    snprintf(range, sizeof range, "%llu-", (unsigned long long)from);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_USERAGENT, agent);
    if (from) curl_easy_setopt(c, CURLOPT_RANGE, range);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)SILENT_SECONDS);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_tick);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
}

static fv_status explain(pull_http *h, CURLcode code, bool *again, fv_err *err)
{
    *again = false;
    if (atomic_load(h->stop)) return FV_FAIL(err, FV_E_STOPPED, "stopped; the same command goes on where this one ended");
    if (h->sink_err.text[0]) return FV_FAIL(err, h->sink_err.status, "%s", h->sink_err.text);
    bool certificates = code == CURLE_SSL_CACERT_BADFILE || code == CURLE_PEER_FAILED_VERIFICATION;
    if (certificates) return FV_FAIL(err, FV_E_IO, "%s: %s; install ca-certificates", h->places->endpoint, curl_easy_strerror(code));
    *again = code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR;
    return FV_FAIL(err, FV_E_IO, "%s: %s; check the network, and HF_ENDPOINT; with HF_HUB_OFFLINE=1 what was fetched before is used", h->places->endpoint, curl_easy_strerror(code));
}

static fv_status ask(pull_http *h, const char *url, uint64_t from, long *code, bool *again, fv_err *err)
{
    struct curl_slist *headers = NULL;
    char line[HUB_TEXT_MAX + 32];
    set_up(h, url, from);
    h->begun = false;
    h->sink_err = (fv_err){0};
    if (h->token[0] && is_hub(h, url)) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", h->token);
        headers = curl_slist_append(NULL, line);
        if (!headers) return FV_FAIL(err, FV_E_MEMORY, "out of memory");
        curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
    }
    CURLcode done = curl_easy_perform(h->curl);
    curl_slist_free_all(headers);
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, code);
    return done == CURLE_OK ? FV_OK : explain(h, done, again, err);
}

/* An answer without a byte is one too: an empty file. */
static fv_status end(pull_http *h, long code, fv_err *err)
{
    return h->begun || (code != 200 && code != 206) ? FV_OK : h->sink->begin(h->sink->user, code == 206, err);
}

/* Where an answer points to; false if nowhere. Secure stays secure. */
static fv_status follow(pull_http *h, char url[URL_MAX], long code, bool *more, fv_err *err)
{
    char *next = NULL;
    *more = code >= 300 && code < 400 && !curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &next) && next;
    if (!*more) return FV_OK;
    bool was_secure = strncmp(url, "https:", 6) == 0, is_secure = strncasecmp(next, "https:", 6) == 0;
    if (was_secure && !is_secure) return FV_FAIL(err, FV_E_INPUT, "%s: sends on to an address that is not secure; expected https", h->places->endpoint);
    if (snprintf(url, URL_MAX, "%s", next) >= URL_MAX) return FV_FAIL(err, FV_E_INPUT, "%s: sends on to an address that is too long", h->places->endpoint);
    return FV_OK;
}

fv_status pull_http_get(pull_http *h, const char *path, uint64_t from, const pull_sink *sink, long *code, bool *again, fv_err *err)
{
    char url[URL_MAX];
    bool more = true;
    fv_status status = FV_OK;
    h->sink = sink;
    *again = false;
    *code = 0;
    if (snprintf(url, sizeof url, "%s%s", h->places->endpoint, path) >= URL_MAX) return FV_FAIL(err, FV_E_ARGUMENT, "HF_ENDPOINT makes an address that is too long");
    for (int i = 0; i <= REDIRECTS && more; i++) {
        FV_TRY(ask(h, url, from, code, again, err));
        FV_TRY(follow(h, url, *code, &more, err));
    }
    if (more) return FV_FAIL(err, FV_E_INPUT, "%s: sends on and on; expected a file after %d redirects at most", h->places->endpoint, REDIRECTS);
    FV_TRY(end(h, *code, err));
done:
    return status;
}

pull_http *pull_http_new(const hub_places *places, const char *token, const atomic_bool *stop, fv_err *err)
{
    pull_http *h = fv_alloc_zero(1, sizeof *h, err);
    if (!h) return NULL;
    *h = (pull_http){.curl = curl_easy_init(), .places = places, .token = token, .stop = stop};
    if (h->curl) return h;
    FV_FAIL(err, FV_E_MEMORY, "libcurl does not start: out of memory");
    fv_free(h);
    return NULL;
}

void pull_http_free(pull_http *h)
{
    if (!h) return;
    curl_easy_cleanup(h->curl);
    fv_free(h);
}
