/* JSON as it is written: numbers, texts, base64, and errors in the forms of the APIs that clients know.
 *
 * Vectors are most of what a server writes, so their numbers do not go through printf: nine digits, which always read back as
 * the same float, come of one multiplication. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "server/routes.h"

/* ---- Numbers ---- */

/* Between 1e-6 and 1, where most numbers of a vector lie: "0.", zeros, digits without the zeros at their end. False if
 * rounding makes it 1, which is no such number any more. */
static bool write_small(char *to, double size, char **end)
{
    static const double least[] = {0.1, 0.01, 0.001, 1e-4, 1e-5, 0}, shift[] = {1e9, 1e10, 1e11, 1e12, 1e13, 1e14};
    int zeros = 0, n = 9;
    while (size < least[zeros]) zeros++;
    uint32_t digits = (uint32_t)(size * shift[zeros] + 0.5);
    if (digits > 999999999) return false;
    while (n > 1 && digits % 10 == 0) digits /= 10, n--;
    memcpy(to, "0.00000", 7);
    to += 2 + zeros;
    for (int i = n; i-- > 0; digits /= 10) to[i] = (char)('0' + digits % 10);
    *end = to + n;
    return true;
}

fv_status srv_put_float(fv_buf *out, float x, fv_err *err)
{
    char text[32], *end;
    double size = fabs((double)x);
    text[0] = '-';
    if (!isfinite(x)) return fv_buf_puts(out, "null", err);
    if (size < 1e-6 || size >= 1 || !write_small(text + 1, size, &end)) return fv_buf_printf(out, err, "%.9g", (double)x);
    const char *begin = x < 0 ? text : text + 1;
    return fv_buf_add(out, begin, (size_t)(end - begin), err);
}

/* ---- Texts ---- */

fv_status srv_put_text(fv_buf *out, const char *text, size_t len, fv_err *err)
{
    fv_status status = fv_buf_putc(out, '"', err);
    size_t from = 0;
    for (size_t i = 0; i <= len && status == FV_OK; i++) {
        unsigned char c = i < len ? (unsigned char)text[i] : '"';
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        status = fv_buf_add(out, text + from, i - from, err);
        from = i + 1;
        if (status || i == len) break;
        if (c >= 0x20) status = fv_buf_printf(out, err, "\\%c", c);
        else status = fv_buf_printf(out, err, "\\u%04x", c);
    }
    return status ? status : fv_buf_putc(out, '"', err);
}

fv_status srv_put_base64(fv_buf *out, const void *bytes, size_t n, fv_err *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = bytes;
    fv_status status = fv_buf_reserve(out, (n + 2) / 3 * 4 + 1, err);
    for (size_t i = 0; i < n && status == FV_OK; i += 3) {
        uint32_t three = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        const char four[4] = {digits[three >> 18], digits[three >> 12 & 63], i + 1 < n ? digits[three >> 6 & 63] : '=', i + 2 < n ? digits[three & 63] : '='};
        status = fv_buf_add(out, four, 4, err);
    }
    return status;
}

fv_status srv_put_tree(fv_buf *out, json_t *tree, fv_err *err)
{
    if (!tree) return FV_FAIL(err, FV_E_MEMORY, "out of memory for an answer");
    fv_status status = fv_json_print(tree, 0, out, err);
    json_decref(tree);
    return status;
}

/* ---- Order ---- */

struct place { float score; uint32_t at; };

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

fv_status srv_sort_scores(const float *scores, size_t n, uint32_t *order, fv_err *err)
{
    struct place *places = fv_alloc_zero(n, sizeof *places, err);
    if (!places) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) places[i] = (struct place){isnan(scores[i]) ? -INFINITY : scores[i], (uint32_t)i};
    qsort(places, n, sizeof *places, compare_places);
    for (size_t i = 0; i < n; i++) order[i] = places[i].at;
    fv_free(places);
    return FV_OK;
}

/* ---- Errors ---- */

static const struct fault {
    int status, tei_status;
    const char *openai, *tei;
} faults[] = {
#define SRV_FAULT_ROW(name, status, tei_status, openai, tei) [name] = {status, tei_status, openai, tei},
    SRV_FAULTS(SRV_FAULT_ROW)
#undef SRV_FAULT_ROW
};

static void write_error(srv_request *r, srv_form form, const struct fault *fault, const char *text)
{
    static const char *const before[SRV_N_FORMS] = {
        [SRV_OPENAI] = "{\"error\":{\"message\":", [SRV_TEI] = "{\"error\":", [SRV_COHERE] = "{\"message\":", [SRV_LIBRE] = "{\"error\":", [SRV_PLAIN] = "{\"error\":",
    };
    fv_buf *out = &r->reply;
    out->len = 0;
    /* An error that does not fit into memory is told by its status alone. */
    fv_buf_puts(out, before[form], NULL);
    srv_put_text(out, text, strlen(text), NULL);
    if (form == SRV_OPENAI) fv_buf_printf(out, NULL, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}", fault->status >= 500 ? "server_error" : "invalid_request_error", fault->openai);
    if (form == SRV_TEI) fv_buf_printf(out, NULL, ",\"error_type\":\"%s\"", fault->tei);
    fv_buf_putc(out, '}', NULL);
}

bool srv_refuse(srv_request *r, srv_fault fault, const char *format, ...)
{
    char text[1024];
    fv_err cut = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    FV_FAIL(&cut, FV_E_INPUT, "%s", text); /* at a character's boundary */
    srv_form form = r->route ? r->route->form : SRV_PLAIN;
    r->status = form == SRV_TEI ? faults[fault].tei_status : faults[fault].status;
    r->type = "application/json";
    write_error(r, form, &faults[fault], cut.text);
    return false;
}
