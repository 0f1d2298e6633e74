/* From a body to a job, and from the job to a reply: what all routes share. See routes.h. */
#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "server/metrics.h"

/* ---- Fields ---- */

bool srv_refuse_field(srv_request *r, const fv_err *err)
{
    if (err->status == FV_E_MEMORY) return srv_refuse(r, SRV_BUSY, "out of memory; ask again later");
    return srv_refuse(r, SRV_BAD, "%s", err->text);
}

bool srv_flag(srv_request *r, const json_t *body, const char *key, bool *out)
{
    fv_err err = {0};
    return fv_json_bool(body, key, false, out, "request", &err) == FV_OK || srv_refuse_field(r, &err);
}

bool srv_whole(srv_request *r, const json_t *body, const char *key, int64_t low, int64_t high, int64_t *out)
{
    fv_err err = {0};
    return fv_json_int(body, key, false, low, high, out, "request", &err) == FV_OK || srv_refuse_field(r, &err);
}

bool srv_text(srv_request *r, const json_t *body, const char *key, const char **out)
{
    fv_err err = {0};
    return fv_json_text(body, key, false, out, "request", &err) == FV_OK || srv_refuse_field(r, &err);
}

/* ---- Texts ---- */

bool srv_count_items(srv_request *r, const char *key, size_t n)
{
    size_t most = (size_t)r->server->args->max_items;
    if (n == 0) return srv_refuse(r, SRV_EMPTY, "request: %s is empty; expected 1 to %zu texts", key, most);
    if (n > most) return srv_refuse(r, SRV_TOO_MANY, "request: %s has %zu texts; expected at most %zu: send them in several requests", key, n, most);
    return true;
}

bool srv_is_text(srv_request *r, const char *key, size_t i, const json_t *value)
{
    if (json_is_string(value)) return true;
    if (json_is_integer(value) || json_is_array(value)) return srv_refuse(r, SRV_BAD, "request: %s[%zu] is no text; expected texts, since token ids are of another model's vocabulary", key, i);
    return srv_refuse(r, SRV_BAD, "request: %s[%zu] is no text; expected a string", key, i);
}

/* A string or a list of strings as a job's texts. */
bool srv_job_of_strings(srv_request *r, srv_work work, const json_t *body, const char *key)
{
    const json_t *value = json_object_get(body, key);
    r->single = json_is_string(value);
    if (!r->single && !json_is_array(value)) return srv_refuse(r, SRV_BAD, "request: %s is %s; expected a string or a list of strings", key, value ? "neither" : "missing");
    size_t n = r->single ? 1 : json_array_size(value);
    if (!srv_count_items(r, key, n) || !srv_job_begin(r, work, body, n)) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *text = r->single ? value : json_array_get(value, i);
        if (!srv_is_text(r, key, i, text) || !srv_job_add(r, srv_job_keep(r, text), NULL)) return false;
    }
    return true;
}

/* ---- Jobs ---- */

static bool choose(srv_request *r, srv_work work, const json_t *body)
{
    const char *name = NULL;
    fv_shown shown;
    if (!srv_text(r, body, "model", &name)) return false;
    r->job.on = srv_models_find(&r->server->models, name, work);
    if (!r->job.on.model && name) return srv_refuse(r, SRV_NO_MODEL, "request: model %s is not served here; GET /v1/models lists those that are", fv_show(&shown, name, strlen(name)));
    if (!r->job.on.model) return srv_refuse(r, SRV_NO_MODEL, "no model served here gives %s", srv_work_gives(work));
    if (r->job.on.head->works & work) return true;
    return srv_refuse(r, SRV_NO_MODEL, "model %s gives no %s; GET /v1/models says what each gives", r->job.on.head->name, srv_work_gives(work));
}

bool srv_job_begin(srv_request *r, srv_work work, const json_t *body, size_t n)
{
    srv_job *job = &r->job;
    fv_err err = {0};
    if (!choose(r, work, body)) return false;
    job->work = work;
    job->beam = job->nbest = 1;
    job->width = (size_t)job->on.head->n_labels;
    job->texts = fv_alloc_zero(n, sizeof *job->texts, &err);
    job->tokens = fv_alloc_zero(n, sizeof *job->tokens, &err);
    if (!job->texts || !job->tokens) return srv_refuse_field(r, &err);
    if (work == SRV_EMBED && !(r->prompt = fv_model_prompt(job->on.model->model, r->prompt_name, &err))) return srv_refuse_field(r, &err);
    /* Texts are shorter than they are in JSON, each by its quotes, so none of them moves when the next is added. */
    return fv_buf_reserve(&job->room, r->body_len + 1 + n * strlen(r->prompt), &err) == FV_OK || srv_refuse_field(r, &err);
}

char *srv_job_keep(srv_request *r, const json_t *text)
{
    fv_buf *room = &r->job.room;
    size_t first = strlen(r->prompt), len = json_string_length(text), all = first + len;
    FV_ASSERT(room->len + all + 1 < room->capacity);
    char *kept = room->data + room->len;
    memcpy(kept, r->prompt, first);
    memcpy(kept + first, json_string_value(text), len);
    kept[all] = 0;
    room->len += all + 1;
    return kept;
}

static bool begins_word(const char *text, size_t at) { return at == 0 || isspace((unsigned char)text[at - 1]) || isspace((unsigned char)text[at]); }

/* Where in the text, after its prompt, the tokens begin that are left when `drop` of them are dropped: at a word if one begins
 * there, so that it is not read as another; never within a character. The text's end if nothing is left. */
static size_t after_dropped(const fv_encoding *e, const fv_text *t, size_t first, size_t drop)
{
    size_t any = 0;
    for (size_t i = 0; i < e->n; i++) {
        size_t at = e->begins[i];
        if (at < first || e->begins[i] == e->ends[i]) continue;
        if (drop && drop--) continue;
        if (at == first || ((unsigned char)t->text[at] & 0xC0) == 0x80) continue;
        if (begins_word(t->text, at)) return at;
        if (!any) any = at;
    }
    return any ? any : t->len;
}

/* Leaves the prompt and as much of the text's end as the model reads. What is left may have more tokens than it had in the whole, so it is
 * counted again; after some rounds the other end is cut. */
static bool cut_beginning(srv_request *r, fv_text *t, char *text, size_t n, size_t most)
{
    srv_model *m = r->job.on.model;
    size_t first = strlen(r->prompt);
    fv_err err = {0};
    for (int round = 0; round < 8 && n > most && t->len > first; round++) {
        size_t at = after_dropped(&m->encoding, t, first, n - most);
        memmove(text + first, text + at, t->len - at + 1);
        t->len -= at - first;
        if (srv_count_tokens(m, t, &n, &err) != FV_OK) return srv_refuse_field(r, &err);
    }
    return true;
}

bool srv_job_add(srv_request *r, char *text, const char *text2)
{
    srv_job *job = &r->job;
    fv_text *t = &job->texts[job->n];
    fv_err err = {0};
    size_t n = 0, most = (size_t)job->on.model->max_len;
    *t = (fv_text){.text = text, .text2 = text2, .len = strlen(text), .len2 = text2 ? strlen(text2) : 0};
    if (srv_count_tokens(job->on.model, t, &n, &err) != FV_OK) return srv_refuse_field(r, &err);
    if (most && n > most && job->work != SRV_TRANSLATE) {
        if (!r->truncate) return srv_refuse(r, SRV_TOO_LONG, "text %zu has %zu tokens, the model takes %zu; shorten it, or have it cut (\"truncate\": true)", job->n + 1, n, most);
        if (r->keep_end && !cut_beginning(r, t, text, n, most)) return false;
        n = most;
    }
    job->tokens[job->n++] = (uint32_t)n;
    job->n_tokens += n;
    return true;
}

/* ---- One request ---- */

static bool path_is(const srv_route *route, const char *path) { return strcmp(route->path, path) == 0; }

static bool method_is(const srv_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

void srv_request_init(srv_request *r, srv_server *server, const char *method, const char *path)
{
    *r = (srv_request){.server = server, .truncate = server->args->truncate, .prompt = "", .began = fv_now()};
    for (size_t i = 0; srv_routes[i]; i++)
        if (path_is(srv_routes[i], path) && (!r->route || method_is(srv_routes[i], method))) r->route = srv_routes[i];
}

bool srv_request_known(srv_request *r, const char *method)
{
    if (!r->route) return srv_refuse(r, SRV_NO_ROUTE, "there is nothing at this path; GET /openapi.json says what there is");
    if (method_is(r->route, method)) return true;
    r->allow = r->route->method;
    return srv_refuse(r, SRV_METHOD, "%s takes %s", r->route->path, r->route->method);
}

static int seconds_until_room(srv_request *r)
{
    srv_load load = srv_engine_load(r->server->engine);
    double seconds = load.tokens_per_s > 0 ? (double)load.waiting_tokens / load.tokens_per_s : 1;
    return seconds < 1 ? 1 : seconds > 60 ? 60 : (int)seconds;
}

static srv_next submit(srv_request *r)
{
    fv_err err = {0};
    r->job.deadline = r->began + r->server->args->answer_seconds;
    if (srv_engine_add(r->server->engine, &r->job, &err)) return SRV_WAIT;
    r->retry_after = seconds_until_room(r);
    srv_refuse(r, SRV_BUSY, "too many requests wait; ask again in %d s", r->retry_after);
    return SRV_REPLY;
}

srv_next srv_request_start(srv_request *r, const char *body, size_t len)
{
    fv_err err = {0};
    json_t *tree = NULL;
    r->body_len = len;
    if (r->route->asks) {
        tree = fv_json_parse(body ? body : "", len, "request", &err);
        if (!tree) return srv_refuse_field(r, &err), SRV_REPLY;
        if (!json_is_object(tree)) srv_refuse(r, SRV_BAD, "request: expected a JSON object");
    }
    bool fine = !r->status && r->route->start(r, tree);
    json_decref(tree);
    if (!fine || r->status) return SRV_REPLY;
    return submit(r);
}

void srv_request_finish(srv_request *r)
{
    fv_err err = {0};
    switch (r->job.end) {
    case SRV_LATE: srv_refuse(r, SRV_TIME, "no answer within %g s; ask for less at once, or later", r->server->args->answer_seconds); return;
    case SRV_LEFT: srv_refuse(r, SRV_STOPPING, "the server is stopping"); return;
    case SRV_FAILED:
        if (r->job.err.status == FV_E_INPUT || r->job.err.status == FV_E_ARGUMENT) srv_refuse(r, SRV_BAD, "%s", r->job.err.text);
        else srv_refuse(r, SRV_INTERNAL, "%s", r->job.err.text);
        return;
    case SRV_DONE: break;
    }
    r->status = 200;
    r->type = "application/json";
    if (r->route->finish(r, &err) != FV_OK) srv_refuse(r, SRV_INTERNAL, "%s", err.text);
}

void srv_request_release(srv_request *r)
{
    if (r->job.bytes) srv_engine_forget(r->server->engine, &r->job);
    srv_job_release(&r->job);
    fv_buf_release(&r->reply);
}
