/* Models: see models.h. A model is opened and asked once before it is shown, so that its weights are packed and its
 * first request is as quick as the others; that also finds what opening does not. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "hub/hub.h"
#include "server/models.h"

const char *srv_work_gives(srv_work work)
{
    switch (work) {
    case SRV_EMBED: return "embeddings";
    case SRV_PREDICT: return "labels";
    case SRV_RERANK: return "relevance";
    case SRV_TRANSLATE: return "translations";
    }
    return "";
}

/* ---- One model ---- */

static void model_free(srv_model *m)
{
    if (!m) return;
    for (int i = 0; i < m->n_heads; i++) {
        fv_session_free(m->heads[i].session);
        fv_free(m->heads[i].name);
    }
    fv_encoding_release(&m->encoding);
    fv_model_close(m->model);
    fv_free(m->heads);
    fv_free(m->name);
    fv_free(m->folder);
    fv_free(m->type);
    fv_free(m->weights_sha256);
    fv_free(m);
}

/* A cross-encoder has one number for a pair, or the labels "no" and "yes" in this order. Vectors are given by models that were
 * made for them, or for nothing yet: what a classifier's body says of a text was never meant to be compared. */
static unsigned works_of(fv_labels kind, int n_labels)
{
    switch (kind) {
    case FV_LABELS_SINGLE: return SRV_PREDICT | (n_labels == 2 ? SRV_RERANK : 0);
    case FV_LABELS_MULTI: return SRV_PREDICT | (n_labels == 1 ? SRV_RERANK : 0);
    case FV_LABELS_REGRESSION: return SRV_PREDICT | SRV_RERANK;
    case FV_LABELS_TEXT: return SRV_TRANSLATE;
    case FV_LABELS_NONE:
    case FV_LABELS_VECTOR: return SRV_EMBED;
    default: return 0;
    }
}

static fv_status try_vector(const srv_head *head, const fv_text *text, fv_err *err)
{
    int size = fv_model_embedding_size(fv_session_model(head->session));
    float *vector = fv_alloc_zero((size_t)size, sizeof *vector, err);
    fv_status status = vector ? fv_embed(head->session, text, 1, NULL, vector, err) : FV_E_MEMORY;
    fv_free(vector);
    return status;
}

static fv_status try_head(const srv_head *head, fv_err *err)
{
    const fv_text text = {.text = "Hello", .len = 5};
    fv_status status = FV_OK;
    if (head->works & SRV_EMBED) return try_vector(head, &text, err);
    if (head->works & SRV_TRANSLATE) {
        fv_translation found;
        fv_translate_options o;
        fv_translate_options_init(&o);
        o.beam = 1;
        o.max_len = 4;
        return fv_translate(head->session, &text, 1, &o, &found, err);
    }
    if (head->works & SRV_PREDICT) {
        fv_label best;
        status = fv_classify(head->session, &text, 1, 1, &best, err);
    }
    return status;
}

static fv_status open_head(srv_model *m, int i, const cli_serve_args *args, fv_err *err)
{
    srv_head *head = &m->heads[i];
    fv_session_options o = args->session;
    const char *own = fv_model_head_name(m->model, i);
    fv_buf name = {0};
    fv_status status = FV_OK;
    if (m->n_heads > 1) o.head = own;
    FV_TRY(m->n_heads > 1 ? fv_buf_printf(&name, err, "%s/%s", m->name, own) : fv_buf_puts(&name, m->name, err));
    head->name = fv_strdup(name.data, err);
    head->session = head->name ? fv_session_new(m->model, &o, err) : NULL;
    if (!head->session) FV_TRY(err->status);
    head->kind = fv_session_labels(head->session);
    head->n_labels = fv_session_n_labels(head->session);
    head->works = works_of(head->kind, head->n_labels);
    FV_TRY(try_head(head, err));
done:
    fv_buf_release(&name);
    return status;
}

/* What only the folder's description says. */
static fv_status describe(srv_model *m, const char *folder, fv_err *err)
{
    fv_status status = FV_OK;
    const char *type = "", *sha = "";
    char *text = fv_model_inspect(folder, err);
    json_t *tree = text ? fv_json_parse(text, strlen(text), m->folder, err) : NULL;
    if (!tree) status = err->status;
    const json_t *architecture = json_object_get(tree, "architecture");
    const json_t *file = json_object_get(json_object_get(tree, "files"), "model.safetensors");
    if (status == FV_OK && architecture) status = fv_json_text(architecture, "kind", false, &type, m->folder, err);
    if (status == FV_OK && file) status = fv_json_text(file, "sha256", false, &sha, m->folder, err);
    if (status == FV_OK && (!(m->type = fv_strdup(type, err)) || !(m->weights_sha256 = fv_strdup(sha, err)))) status = err->status;
    json_decref(tree);
    free(text);
    return status;
}

/* `err` is never NULL here. */
static srv_model *model_open(const char *name, const char *folder, const cli_serve_args *args, fv_err *err)
{
    srv_model *m = fv_alloc_zero(1, sizeof *m, err);
    fv_status status = FV_OK;
    char pulled[FV_PATH_MAX];
    if (!m) return NULL;
    atomic_init(&m->holders, 1);
    m->opened = (int64_t)time(NULL);
    m->name = fv_strdup(name, err);
    m->folder = m->name ? fv_strdup(folder, err) : NULL;
    if (!fv_folder_exists(folder) && hub_find(folder, pulled)) folder = pulled; /* asked again at each reload */
    m->model = m->folder ? fv_model_open(folder, err) : NULL;
    if (!m->model) FV_TRY(err->status);
    m->tokenizer = fv_model_tokenizer(m->model);
    m->max_len = fv_model_max_len(m->model);
    int n = fv_model_n_heads(m->model);
    m->heads = fv_alloc_zero((size_t)n, sizeof *m->heads, err);
    if (!m->heads) FV_TRY(err->status);
    m->n_heads = n;
    for (int i = 0; i < n; i++) FV_TRY(open_head(m, i, args, err));
    FV_TRY(describe(m, folder, err));
    return m;
done:
    model_free(m);
    return NULL;
}

void srv_model_drop(srv_model *m)
{
    if (m && atomic_fetch_sub(&m->holders, 1) == 1) model_free(m);
}

/* ---- All ---- */

#define NAME_MAX_BYTES 128

/* "NAME=FOLDER", or a folder whose last part is the name. */
static fv_status split_name(const char *text, char name[NAME_MAX_BYTES], const char **folder, fv_err *err)
{
    const char *equals = strchr(text, '='), *slash = strchr(text, '/');
    bool named = equals && (!slash || equals < slash);
    *folder = named ? equals + 1 : text;
    const char *begin = text;
    size_t len = named ? (size_t)(equals - text) : strlen(text);
    if (!named) {
        while (len > 1 && text[len - 1] == '/') len--;
        for (size_t i = 0; i + 1 < len; i++)
            if (text[i] == '/') begin = text + i + 1;
        len -= (size_t)(begin - text);
    }
    if (len == 0 || len >= NAME_MAX_BYTES) return FV_FAIL(err, FV_E_ARGUMENT, "--model %s: its name has %zu bytes; expected 1 to %d", text, len, NAME_MAX_BYTES - 1);
    memcpy(name, begin, len);
    name[len] = 0;
    return FV_OK;
}

static const char *told(const cli_serve_args *args, size_t i)
{
    return i < args->models.n ? args->models.items[i] : args->more.items[i - args->models.n];
}

fv_status srv_models_open(srv_models *models, const cli_serve_args *args, fv_err *err)
{
    size_t n = args->models.n + args->more.n;
    *models = (srv_models){.args = args};
    pthread_mutex_init(&models->lock, NULL);
    models->all = fv_alloc_zero(n, sizeof(srv_model *), err);
    if (!models->all) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        char name[NAME_MAX_BYTES];
        const char *folder;
        fv_status status = split_name(told(args, i), name, &folder, err);
        if (status) return status;
        for (size_t k = 0; k < i; k++)
            if (strcmp(models->all[k]->name, name) == 0) return FV_FAIL(err, FV_E_ARGUMENT, "two models are called %s; give one a name: --model NAME=%s", name, folder);
        models->all[i] = model_open(name, folder, args, err);
        if (!models->all[i]) return err->status;
        models->n++;
    }
    return FV_OK;
}

void srv_models_reload(srv_models *models)
{
    for (size_t i = 0; i < models->n; i++) {
        fv_err err = {0};
        srv_model *old = models->all[i]; /* changed by this thread alone */
        srv_model *fresh = model_open(old->name, old->folder, models->args, &err);
        if (!fresh) {
            atomic_fetch_add(&models->refused, 1);
            fprintf(stderr, "fovea: %s not loaded again, the old one goes on: %s\n", old->name, err.text);
            continue;
        }
        pthread_mutex_lock(&models->lock);
        models->all[i] = fresh;
        pthread_mutex_unlock(&models->lock);
        srv_model_drop(old);
        atomic_fetch_add(&models->reloads, 1);
        if (!models->args->common.quiet) fprintf(stderr, "fovea: %s loaded again\n", fresh->name);
    }
}

void srv_models_release(srv_models *models)
{
    for (size_t i = 0; i < models->n; i++) srv_model_drop(models->all[i]);
    fv_free(models->all);
    if (models->args) pthread_mutex_destroy(&models->lock);
    *models = (srv_models){0};
}

/* ---- Asking ---- */

static const srv_head *find_head(const srv_model *m, const char *name, srv_work work)
{
    for (int i = 0; i < m->n_heads; i++)
        if (name ? strcmp(m->heads[i].name, name) == 0 : (m->heads[i].works & work) != 0) return &m->heads[i];
    /* The model's own name stands for its first head that does the work. */
    if (name && m->n_heads > 1 && strcmp(m->name, name) == 0) return find_head(m, NULL, work);
    return NULL;
}

srv_choice srv_models_find(srv_models *models, const char *name, srv_work work)
{
    srv_choice found = {0};
    pthread_mutex_lock(&models->lock);
    for (size_t i = 0; i < models->n && !found.head; i++) {
        found.head = find_head(models->all[i], name, work);
        if (found.head) found.model = models->all[i];
    }
    if (found.model) atomic_fetch_add(&found.model->holders, 1);
    pthread_mutex_unlock(&models->lock);
    return found;
}

srv_model *srv_models_hold(srv_models *models, size_t i)
{
    srv_model *m = NULL;
    pthread_mutex_lock(&models->lock);
    if (i < models->n) m = models->all[i];
    if (m) atomic_fetch_add(&m->holders, 1);
    pthread_mutex_unlock(&models->lock);
    return m;
}

fv_status srv_count_tokens(srv_model *m, const fv_text *text, size_t *n, fv_err *err)
{
    if (!m->tokenizer) {
        *n = text->len / 4 + 2; /* a translator's tokenizers are its own: a guess, for sharing out work */
        return FV_OK;
    }
    fv_status status = fv_tokenizer_encode(m->tokenizer, text->text, text->len, text->text2, text->len2, true, &m->encoding, err);
    *n = m->encoding.n;
    return status;
}
