/* Reasons as one page of HTML that needs nothing else: app/page/reasons.html, packed in at build time, with three places that are
 * filled in here. Without a script it is read as it stands: the answer, the shaded text, the figures. The script makes it anew from
 * the same figures, in English or Chinese, and adds what can be clicked.
 *
 * The trap: the text is a stranger's. In markup < > & " ' are spelled out; in the script's JSON < is, so that "</script>" ends nothing. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/reasons.h"

static const char template[] =
#include "page/reasons.h"
    ;

/* ---- Escaping ---- */

static const char *entity(char c)
{
    switch (c) {
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '&': return "&amp;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

/* Control characters and broken UTF-8 become "�"; line breaks stay. */
static fv_status put_escaped(fv_buf *out, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    const char *end = text + len;
    while (text < end) {
        const char *spelled = entity(*text);
        int n = fv_utf8_len(text, end);
        bool harmless = n > 0 && ((unsigned char)*text >= 0x20 || *text == '\n' || *text == '\t') && *text != 0x7f;
        if (spelled) FV_TRY(fv_buf_puts(out, spelled, err));
        else if (harmless) FV_TRY(fv_buf_add(out, text, (size_t)n, err));
        else FV_TRY(fv_buf_puts(out, "\xef\xbf\xbd", err));
        text += n ? n : 1;
    }
done:
    return status;
}

static fv_status put_name(fv_buf *out, const char *name, fv_err *err) { return put_escaped(out, name, strlen(name), err); }

static fv_status put_data(fv_buf *out, const cli_reasons *r, fv_err *err)
{
    fv_status status;
    fv_buf json = {0};
    json_t *tree = cli_reasons_page_json(r);
    if (!tree) return FV_FAIL(err, FV_E_MEMORY, "out of memory for a page");
    FV_TRY(fv_json_print(tree, 0, &json, err));
    for (const char *at = json.data, *next; at; at = next) {
        next = strchr(at, '<');
        FV_TRY(fv_buf_add(out, at, next ? (size_t)(next - at) : strlen(at), err));
        if (next) { FV_TRY(fv_buf_puts(out, "\\u003c", err)); next++; }
    }
done:
    json_decref(tree);
    fv_buf_release(&json);
    return status;
}

/* ---- What is read without a script ---- */

static fv_status put_answer(fv_buf *out, const cli_reasons *r, fv_err *err)
{
    const fv_explanation *e = r->explained;
    fv_status status;
    if (r->kind == FV_LABELS_REGRESSION) return fv_buf_printf(out, err, "The value is %.4g.", e->answer);
    FV_TRY(put_name(out, cli_reasons_label(r, e->label), err));
    FV_TRY(e->answer > 0.9995 ? fv_buf_puts(out, ", with over 99.9 %.", err) : fv_buf_printf(out, err, ", with %.1f %%.", 100 * e->answer));
done:
    return status;
}

/* share: -1 to 1. The script's classes: for 1 to 5, against 1 to 5. */
static fv_status put_word(fv_buf *out, const char *text, size_t len, double share, fv_err *err)
{
    fv_status status;
    int shade = (int)(fabs(share) * 5.99);
    if (!shade) return put_escaped(out, text, len, err);
    FV_TRY(fv_buf_printf(out, err, "<span class=\"%s%d\">", share < 0 ? "against" : "for", shade));
    FV_TRY(put_escaped(out, text, len, err));
    FV_TRY(fv_buf_puts(out, "</span>", err));
done:
    return status;
}

static fv_status put_part(fv_buf *out, const cli_reasons *r, int part, fv_err *err)
{
    const fv_explanation *e = r->explained;
    const fv_attribution *shown = cli_reasons_shown(r);
    const char *text = cli_reasons_text(r, part);
    size_t at = 0, len = part ? r->text.len2 : r->text.len;
    double full = 0;
    fv_status status;
    for (size_t i = 0; shown && i < e->n_words; i++) full = fmax(full, fabs(shown->weights[i]));
    FV_TRY(fv_buf_puts(out, "<p class=\"text\">", err));
    for (size_t i = 0; i < e->n_words; i++) {
        const fv_explained_word *w = &e->words[i];
        if (w->part != part) continue;
        FV_TRY(put_escaped(out, text + at, w->begin - at, err));
        FV_TRY(put_word(out, text + w->begin, w->end - w->begin, full > 0 ? shown->weights[i] / full : 0, err));
        at = w->end;
    }
    FV_TRY(put_escaped(out, text + at, len - at, err));
    FV_TRY(fv_buf_puts(out, "</p>\n", err));
done:
    return status;
}

static fv_status put_figures(fv_buf *out, const cli_reasons *r, fv_err *err)
{
    const fv_explanation *e = r->explained;
    fv_status status;
    FV_TRY(fv_buf_puts(out, "<table><tr><th>method</th><th>lost without the first words</th><th>lost with them alone</th><th></th></tr>\n", err));
    for (int i = 0; i < e->n_attributions; i++) {
        const fv_attribution *a = &e->attributions[i];
        const char *why = cli_reasons_withheld(a->withheld);
        FV_TRY(fv_buf_printf(out, err, "<tr><td>%s</td><td>%+.3f</td><td>%+.3f</td><td>%s</td></tr>\n", fv_method_name(a->method), a->measured.comprehensiveness, a->measured.sufficiency, why ? why : ""));
    }
    FV_TRY(fv_buf_printf(out, err, "<tr><td>random order</td><td>%+.3f</td><td>%+.3f</td><td></td></tr></table>\n", e->random.comprehensiveness, e->random.sufficiency));
done:
    return status;
}

static fv_status put_body(fv_buf *out, const cli_reasons *r, fv_err *err)
{
    fv_status status;
    FV_TRY(fv_buf_puts(out, "<h1>", err));
    FV_TRY(put_answer(out, r, err));
    FV_TRY(fv_buf_puts(out, "</h1>\n", err));
    FV_TRY(put_part(out, r, 0, err));
    if (r->text.text2) FV_TRY(put_part(out, r, 1, err));
    if (r->explained->orders) FV_TRY(put_figures(out, r, err));
done:
    return status;
}

/* ---- The page ---- */

static fv_status put_title(fv_buf *out, const cli_reasons *r, fv_err *err) { return put_name(out, cli_reasons_label(r, r->explained->label), err); }

static const struct { const char *mark; fv_status (*put)(fv_buf *, const cli_reasons *, fv_err *); } places[] = {
    {"@TITLE@", put_title}, {"@BODY@", put_body}, {"@DATA@", put_data},
};

static fv_status fill(fv_buf *out, const cli_reasons *r, fv_err *err)
{
    fv_status status = FV_OK;
    const char *at = template;
    for (size_t i = 0; i < FV_COUNT(places); i++) {
        const char *mark = strstr(at, places[i].mark);
        FV_ASSERT(mark);
        FV_TRY(fv_buf_add(out, at, (size_t)(mark - at), err));
        FV_TRY(places[i].put(out, r, err));
        at = mark + strlen(places[i].mark);
    }
    FV_TRY(fv_buf_puts(out, at, err));
done:
    return status;
}

fv_status cli_reasons_page(const cli_reasons *r, const char *path, fv_err *err)
{
    fv_buf page = {0};
    fv_status status = fill(&page, r, err);
    if (status == FV_OK) status = fv_file_write(path, page.data, page.len, err);
    fv_buf_release(&page);
    return status;
}
