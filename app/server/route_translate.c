/* POST /translate in LibreTranslate's form.
 *
 * A translator knows one pair of languages, but not which: its name says so, if a person called it "en-de". Then "source" and
 * "target" pick it; a translator of another name answers when it is named, or is the only one. */
#include <ctype.h>
#include <string.h>

#include "server/routes.h"

/* "en", "zh", "pt-BR": what a model's name may be made of. "auto" leaves the choice open. */
static bool is_language(const char *text)
{
    size_t n = 0;
    for (; isalpha((unsigned char)text[n]); n++) continue;
    return (n == 2 || n == 3) && !text[n];
}

/* "en-de". */
static bool names_languages(const char *name)
{
    char first[8];
    size_t n = strcspn(name, "-");
    if (n >= sizeof first || !name[n]) return false;
    memcpy(first, name, n);
    first[n] = 0;
    return is_language(first) && is_language(name + n + 1);
}

/* Puts "SOURCE-TARGET" into `name` when both are languages and a translator is called so. */
static bool pick(srv_request *r, const json_t *body, char name[32], bool *picked)
{
    const char *source = "auto", *target = "";
    if (!srv_text(r, body, "source", &source) || !srv_text(r, body, "target", &target)) return false;
    *picked = is_language(source) && is_language(target);
    if (!*picked) return true;
    snprintf(name, 32, "%s-%s", source, target);
    srv_choice found = srv_models_find(&r->server->models, name, SRV_TRANSLATE), any = {0};
    *picked = found.model != NULL;
    srv_model_drop(found.model);
    if (found.model) return true;
    any = srv_models_find(&r->server->models, NULL, SRV_TRANSLATE);
    bool other = any.head && names_languages(any.head->name);
    srv_model_drop(any.model);
    return !other || srv_refuse(r, SRV_BAD, "no translator from %s to %s is served here; GET /v1/models lists those that are", source, target);
}

static bool start(srv_request *r, const json_t *body)
{
    const char *format = "text";
    int64_t more = 0, beam = 4;
    char name[32];
    bool picked = false;
    if (!srv_text(r, body, "format", &format) || !srv_whole(r, body, "alternatives", 0, 15, &more) || !srv_whole(r, body, "beam", 1, 16, &beam)) return false;
    if (strcmp(format, "text") != 0) return srv_refuse(r, SRV_BAD, "request: format is not \"text\", which is all that is translated here");
    if (!json_object_get(body, "model") && !pick(r, body, name, &picked)) return false;
    json_t *named = picked ? json_pack("{s:s, s:O}", "model", name, "q", json_object_get(body, "q")) : NULL;
    if (picked && !named) return srv_refuse(r, SRV_BUSY, "out of memory; ask again later");
    bool fine = srv_job_of_strings(r, SRV_TRANSLATE, picked ? named : body, "q");
    json_decref(named);
    r->job.nbest = (int)more + 1;
    r->job.beam = (int)(beam > more ? beam : more + 1);
    return fine;
}

static fv_status put_best(srv_request *r, size_t i, fv_err *err)
{
    const srv_translated *best = &r->job.translated[i * (size_t)r->job.nbest];
    return srv_put_text(&r->reply, best->text ? best->text : "", best->len, err);
}

static fv_status put_others(srv_request *r, size_t i, fv_err *err)
{
    const srv_translated *all = &r->job.translated[i * (size_t)r->job.nbest];
    fv_status status = fv_buf_putc(&r->reply, '[', err);
    for (int k = 1; k < r->job.nbest && all[k].text && status == FV_OK; k++) {
        if (k > 1) status = fv_buf_putc(&r->reply, ',', err);
        if (status == FV_OK) status = srv_put_text(&r->reply, all[k].text, all[k].len, err);
    }
    return status ? status : fv_buf_putc(&r->reply, ']', err);
}

/* One for each text, in a list unless a single text was asked about. */
static fv_status put_each(srv_request *r, fv_status (*put)(srv_request *r, size_t i, fv_err *err), fv_err *err)
{
    if (r->single) return put(r, 0, err);
    fv_status status = FV_OK;
    for (size_t i = 0; i < r->job.n && status == FV_OK; i++) {
        status = fv_buf_putc(&r->reply, i ? ',' : '[', err);
        if (status == FV_OK) status = put(r, i, err);
    }
    return status ? status : fv_buf_putc(&r->reply, ']', err);
}

static fv_status finish(srv_request *r, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_buf_puts(&r->reply, "{\"translatedText\":", err));
    FV_TRY(put_each(r, put_best, err));
    if (r->job.nbest > 1) FV_TRY(fv_buf_puts(&r->reply, ",\"alternatives\":", err));
    if (r->job.nbest > 1) FV_TRY(put_each(r, put_others, err));
    FV_TRY(fv_buf_putc(&r->reply, '}', err));
done:
    return status;
}

#define TEXT_OR_LIST "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"string\"}}]}"
#define LIST "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"

const srv_route srv_route_translate = {
    .method = "POST", .path = "/translate", .form = SRV_LIBRE, .tag = "LibreTranslate", .says = "Texts in another language",
    .asks = "{\"type\":\"object\",\"required\":[\"q\"],\"properties\":{\"q\":" TEXT_OR_LIST ","
            "\"source\":{\"type\":\"string\",\"description\":\"with target: picks the translator called SOURCE-TARGET\"},\"target\":{\"type\":\"string\"},"
            "\"format\":{\"enum\":[\"text\"]},\"alternatives\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":15,\"default\":0},"
            "\"beam\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":16,\"default\":4},\"model\":{\"type\":\"string\"},\"api_key\":{\"type\":\"string\"}}}",
    .gives = "{\"type\":\"object\",\"required\":[\"translatedText\"],\"properties\":{\"translatedText\":" TEXT_OR_LIST ","
             "\"alternatives\":{\"oneOf\":[" LIST ",{\"type\":\"array\",\"items\":" LIST "}]}}}",
    .example = "{\"q\":\"A dog runs.\",\"source\":\"en\",\"target\":\"de\",\"alternatives\":1}",
    .start = start, .finish = finish,
};
