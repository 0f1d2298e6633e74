/* fv_model_inspect: all that a model folder says of itself, as one JSON object. */
#include <string.h>
#include <sys/stat.h>

#include "infer/infer.h"
#include "text/tokenizer.h"

/* The trap: jansson's calls take a NULL in peace, so a list that lacks its last item looks like a whole one. Every
 * list asks whether all of it went in, and is NULL if not, which json_pack then passes up. */
static json_t *whole(json_t *tree, bool fine)
{
    if (fine) return tree;
    json_decref(tree);
    return NULL;
}

static json_t *shape_json(const fv_st_tensor *t)
{
    json_t *shape = json_array();
    bool fine = shape;
    for (int d = 0; d < t->rank && fine; d++) fine = json_array_append_new(shape, json_integer((json_int_t)t->shape[d])) == 0;
    return whole(shape, fine);
}

static json_t *tensors_json(const fv_safetensors *file)
{
    json_t *list = json_array();
    bool fine = list;
    for (size_t i = 0; i < file->n && fine; i++) {
        const fv_st_tensor *t = &file->tensors[i];
        fine = json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", t->name, "dtype", fv_dtype_name(t->dtype), "shape", shape_json(t))) == 0;
    }
    return whole(list, fine);
}

static bool add_file(json_t *tree, const char *folder, const char *name, fv_err *err)
{
    char path[FV_PATH_MAX], hex[65];
    struct stat info;
    if (fv_path_join(path, folder, name, err) != FV_OK || fv_sha256_file(path, hex, err) != FV_OK) return false;
    if (stat(path, &info) != 0) return FV_FAIL(err, FV_E_IO, "%s: cannot be read", path), false;
    if (json_object_set_new(tree, name, json_pack("{s:I, s:s}", "bytes", (json_int_t)info.st_size, "sha256", hex)) == 0) return true;
    FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", folder);
    return false;
}

static json_t *files_json(const char *folder, const fv_model *m, fv_err *err)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json", "fovea.json"};
    json_t *tree = json_object();
    bool fine = tree != NULL;
    if (!fine) FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", folder);
    for (size_t i = 0; i < FV_COUNT(names) && fine; i++) fine = add_file(tree, folder, names[i], err);
    for (int i = 0; i < m->net.n_heads && fine; i++)
        if (m->net.heads[i].has_wide) fine = add_file(tree, folder, fv_wide_file_of(&m->net.heads[i]).name, err);
    return whole(tree, fine);
}

static json_t *architecture_json(const fv_model *m)
{
    const fv_encoder_config *c = &m->net.encoder.config;
    static const char *const poolings[] = {"cls", "mean", "max"}, *const mixings[] = {"full", "uniform", "none"};
    json_int_t parameters = 0, features = 0;
    for (int i = 0; i < m->net.n_heads; i++) features += (json_int_t)m->net.heads[i].wide.n;
    for (size_t i = 0; i < m->net.encoder.params.n; i++) parameters += (json_int_t)(m->net.encoder.params.items[i]->rows * m->net.encoder.params.items[i]->cols);
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}",
        "kind", "encoder", "layers", c->layers, "width", c->width, "heads", c->heads, "ffn", c->ffn, "max_len", c->max_len, "vocab", c->vocab,
        "activation", c->act == FV_ACT_RELU ? "relu" : "gelu", "norm", c->pre_norm ? "pre" : "post", "attention", c->article_attention ? "article" : "vaswani", "mixing", mixings[c->mixing],
        "positions", c->sinusoidal ? "sinusoidal" : "learned", "pooling", poolings[c->pooling], "parameters", parameters,
        "wide_features", features);
}

static json_t *labels_json(const fv_head *head)
{
    json_t *list = json_array();
    bool fine = list;
    for (int i = 0; i < head->labels.n && fine; i++) fine = json_array_append_new(list, json_string(head->labels.names[i])) == 0;
    return whole(list, fine);
}

static const char *tokenizer_kind(const fv_tokenizer *t)
{
    static const char *const names[] = {[FV_TOKENIZER_BPE] = "byte-level BPE", [FV_TOKENIZER_WORDPIECE] = "WordPiece", [FV_TOKENIZER_UNIGRAM] = "unigram"};
    return names[t->kind];
}

/* An only head's kind and labels stand in the tree itself, those of several in a list. */
static bool put_heads(json_t *tree, const fv_model *m)
{
    const fv_head *only = &m->net.heads[0];
    if (!*only->name) return json_object_set_new(tree, "labels_kind", json_string(fv_labels_name(only->kind))) == 0 && json_object_set_new(tree, "labels", labels_json(only)) == 0;
    json_t *list = json_array();
    bool fine = json_object_set_new(tree, "heads", list) == 0;
    for (int i = 0; i < m->net.n_heads && fine; i++) {
        const fv_head *head = &m->net.heads[i];
        fine = json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", head->name, "labels_kind", fv_labels_name(head->kind), "labels", labels_json(head))) == 0;
    }
    return fine;
}

static json_t *load_record(const char *folder, fv_err *err)
{
    char path[FV_PATH_MAX];
    if (fv_path_join(path, folder, "fovea.json", err) != FV_OK) return NULL;
    json_t *tree = fv_json_load(path, 64 << 20, err);
    if (tree) json_object_del(tree, "labels"); /* given once, beside the architecture */
    size_t i;
    json_t *head;
    json_array_foreach(json_object_get(tree, "heads"), i, head) json_object_del(head, "labels");
    return tree;
}

static json_t *describe(const char *folder, const fv_model *m, fv_err *err)
{
    json_t *files = files_json(folder, m, err), *record = files ? load_record(folder, err) : NULL;
    if (!files || !record) return json_decref(files), NULL;
    json_t *tree = json_pack("{s:s, s:o, s:{s:s, s:i}, s:o, s:o, s:o}", "folder", folder, "architecture", architecture_json(m), "tokenizer", "kind", tokenizer_kind(m->tokenizer), "entries", fv_tokenizer_size(m->tokenizer),
        "training", record, "files", files, "tensors", tensors_json(&m->file));
    if (tree && put_heads(tree, m)) return tree;
    json_decref(tree);
    FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", folder);
    return NULL;
}

char *fv_model_inspect(const char *folder, fv_err *err)
{
    fv_model *m = fv_model_open(folder, err);
    if (!m) return NULL;
    json_t *tree = describe(folder, m, err);
    fv_buf text = {0};
    char *copy = NULL;
    if (tree && fv_json_print(tree, 2, &text, err) == FV_OK) {
        copy = strdup(text.data); /* the caller's free() */
        if (!copy) FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", folder);
    }
    fv_buf_release(&text);
    json_decref(tree);
    fv_model_close(m);
    return copy;
}
