/* Names, origins, tokens, rates: see guard.h.
 *
 * A token is kept and compared as its SHA-256, all digits of it whatever they are: the time that takes says nothing about the
 * token. Rates are kept for as many addresses as the table holds; of those that share a place the longest silent makes room. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "server/guard.h"

enum { TOKEN_LEAST = 16, TOKEN_BYTES = 4096, N_SETS = 1024, WAYS = 4 };

/* One address: how many requests it may send now. */
struct bucket {
    uint64_t who;
    double left, at;
};

struct srv_guard {
    const cli_serve_args *args;
    srv_address address;
    pthread_mutex_t lock; /* of the token */
    bool has_token;
    char token[65];
    struct bucket buckets[N_SETS][WAYS];
};

/* ---- Addresses ---- */

static bool is_loopback(const char *host)
{
    struct in6_addr six;
    struct in_addr four;
    if (strcasecmp(host, "localhost") == 0) return true;
    if (inet_pton(AF_INET, host, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* "host:port", "[v6]:port", either without the port. False if it is neither. */
static bool split_host(const char *text, char *host, size_t size, const char **port)
{
    bool six = text[0] == '[';
    const char *end = six ? strchr(text, ']') : text + strcspn(text, ":");
    const char *begin = text + six;
    if (!end || end == begin || (size_t)(end - begin) >= size) return false;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = 0;
    end += six;
    if (*end && *end != ':') return false;
    *port = *end ? end + 1 : "";
    return true;
}

fv_status srv_address_parse(const char *text, srv_address *out, fv_err *err)
{
    const char *port;
    fv_shown shown;
    int64_t number = 0;
    bool fine = split_host(text, out->host, sizeof out->host, &port) && fv_parse_int64(port, &number) && number >= 0 && number < 65536;
    if (!fine) return FV_FAIL(err, FV_E_ARGUMENT, "--listen is %s; expected ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080", fv_show(&shown, text, strlen(text)));
    snprintf(out->port, sizeof out->port, "%d", (int)number);
    out->loopback = is_loopback(out->host);
    return FV_OK;
}

/* ---- Tokens ---- */

static void digest(const char *text, size_t len, char hex[65])
{
    fv_sha256 s;
    fv_sha256_init(&s);
    fv_sha256_add(&s, text, len);
    fv_sha256_end(&s, hex);
}

fv_status srv_guard_reload(srv_guard *g, fv_err *err)
{
    const char *path = g->args->token_file;
    fv_buf text = {0};
    char hex[65];
    fv_status status = FV_OK;
    if (!path) return FV_OK;
    FV_TRY(fv_file_read(path, TOKEN_BYTES, &text, err));
    while (text.len && strchr(" \t\r\n", text.data[text.len - 1])) text.len--;
    if (text.len < TOKEN_LEAST) FV_TRY(FV_FAIL(err, FV_E_INPUT, "%s: a token of %zu characters; expected %d or more: head -c 24 /dev/urandom | base64", path, text.len, TOKEN_LEAST));
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~') FV_TRY(FV_FAIL(err, FV_E_INPUT, "%s: character %zu is none that a header may hold; expected one line of letters, digits and marks", path, i + 1));
    digest(text.data, text.len, hex);
    pthread_mutex_lock(&g->lock);
    memcpy(g->token, hex, sizeof hex);
    g->has_token = true;
    pthread_mutex_unlock(&g->lock);
done:
    fv_buf_release(&text);
    return status;
}

static bool token_fits(srv_guard *g, const char *authorization)
{
    char hex[65];
    unsigned differ = 0;
    bool bearer = authorization && strncasecmp(authorization, "Bearer ", 7) == 0;
    const char *token = bearer ? authorization + 7 : "";
    digest(token, strlen(token), hex);
    pthread_mutex_lock(&g->lock);
    bool needed = g->has_token;
    for (int i = 0; i < 64; i++) differ |= (unsigned)(hex[i] ^ g->token[i]);
    pthread_mutex_unlock(&g->lock);
    return !needed || (bearer && differ == 0);
}

/* ---- Names ---- */

static bool is_listed(const char *names, const char *host)
{
    size_t want = strlen(host);
    for (const char *p = names; p && *p; p += strspn(p, ",")) {
        size_t len = strcspn(p, ",");
        if (len == want && strncasecmp(p, host, len) == 0) return true;
        p += len;
    }
    return false;
}

/* Elsewhere than on loopback the token keeps pages out, since none knows it; so any name will do unless some are given. */
static bool host_fits(const srv_guard *g, const char *text)
{
    char host[256];
    const char *port;
    if (!text || (!g->address.loopback && !g->args->host)) return true;
    if (!split_host(text, host, sizeof host, &port)) return false;
    return is_loopback(host) || strcasecmp(host, g->address.host) == 0 || is_listed(g->args->host, host);
}

/* The server's own page, or one of a name that the server has. */
static bool origin_fits(const srv_guard *g, const srv_asker *asker)
{
    char host[256];
    const char *port, *name = asker->origin ? strstr(asker->origin, "://") : NULL;
    if (!asker->origin) return true;
    if (!name) return false; /* "null": a page from nowhere */
    if (asker->host && strcasecmp(name + 3, asker->host) == 0) return true;
    return split_host(name + 3, host, sizeof host, &port) && is_listed(g->args->host, host);
}

/* ---- Rates ---- */

/* An IPv6 network of 64 bits is one client: it may use all of its addresses. */
static uint64_t who_is(const struct sockaddr *from)
{
    if (!from) return 0;
    if (from->sa_family == AF_INET6) return fv_hash64(&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 8, 6);
    if (from->sa_family == AF_INET) return fv_hash64(&((const struct sockaddr_in *)(const void *)from)->sin_addr, 4, 4);
    return 0;
}

static struct bucket *find_bucket(srv_guard *g, uint64_t who, double now, double most)
{
    struct bucket *set = g->buckets[who % N_SETS], *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].at > 0 && set[i].who == who) return &set[i];
        if (set[i].at < oldest->at) oldest = &set[i];
    }
    *oldest = (struct bucket){.who = who, .left = most, .at = now};
    return oldest;
}

/* Seconds to wait; 0: none. A second's worth may come at once. */
static double wait_seconds(srv_guard *g, const struct sockaddr *from)
{
    double rate = g->args->rate, most = rate < 1 ? 1 : rate, now = fv_now();
    if (rate <= 0) return 0;
    struct bucket *b = find_bucket(g, who_is(from), now, most);
    b->left += (now - b->at) * rate;
    b->left = b->left > most ? most : b->left;
    b->at = now;
    if (b->left < 1) return (1 - b->left) / rate;
    b->left -= 1;
    return 0;
}

/* ---- All of it ---- */

static bool is_json(const char *type) { return type && strncasecmp(type, "application/json", 16) == 0 && strchr("; \t", type[16]); }

bool srv_guard_pass(srv_guard *g, srv_request *r, const srv_asker *asker)
{
    fv_shown shown;
    if (!host_fits(g, asker->host)) return srv_refuse(r, SRV_FORBIDDEN, "this server is not called %s; --host NAME gives it further names", fv_show(&shown, asker->host, strlen(asker->host)));
    if (!origin_fits(g, asker)) return srv_refuse(r, SRV_FORBIDDEN, "pages of %s may not ask; --host NAME lets those of that name", fv_show(&shown, asker->origin, strlen(asker->origin)));
    double seconds = wait_seconds(g, asker->from);
    if (seconds > 0) {
        r->retry_after = seconds > 3600 ? 3600 : (int)seconds + 1;
        return srv_refuse(r, SRV_BUSY, "more than %g requests a second from your address; ask again in %d s", g->args->rate, r->retry_after);
    }
    if ((!r->route || !r->route->open) && !token_fits(g, asker->authorization))
        return srv_refuse(r, SRV_NO_TOKEN, "expected the header Authorization: Bearer TOKEN, with this server's token");
    return true;
}

bool srv_guard_json(srv_request *r, const char *type)
{
    if (!r->route->asks || is_json(type)) return true;
    return srv_refuse(r, SRV_MEDIA, "expected the header Content-Type: application/json (curl: -H 'Content-Type: application/json')");
}

srv_guard *srv_guard_new(const cli_serve_args *args, const srv_address *address, fv_err *err)
{
    if (!address->loopback && !args->token_file) {
        FV_FAIL(err, FV_E_ARGUMENT, "--listen %s can be reached from other machines; that needs --token-file FILE: head -c 24 /dev/urandom | base64 > FILE", args->listen);
        return NULL;
    }
    srv_guard *g = fv_alloc_zero(1, sizeof *g, err);
    if (!g) return NULL;
    g->args = args;
    g->address = *address;
    pthread_mutex_init(&g->lock, NULL);
    if (srv_guard_reload(g, err) == FV_OK) return g;
    srv_guard_free(g);
    return NULL;
}

void srv_guard_free(srv_guard *g)
{
    if (!g) return;
    pthread_mutex_destroy(&g->lock);
    fv_free(g);
}
