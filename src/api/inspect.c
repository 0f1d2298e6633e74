/* fv_model_inspect: all that a model folder says of itself, as one JSON object. */
#include <string.h>
#include <sys/stat.h>

#include "infer/infer.h"
#include "infer/shortlist.h"
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

/* Folders of other programs have no fovea.json. */
static bool has_file(const char *folder, const char *name)
{
    char path[FV_PATH_MAX];
    return fv_path_join(path, folder, name, NULL) == FV_OK && fv_file_exists(path);
}

/* Weights in several files; a name of theirs has no folder in it. */
static bool add_shards(json_t *tree, const char *folder, const fv_model *m, fv_err *err)
{
    bool fine = true;
    for (size_t i = 0; i < m->file.n_shards && fine; i++) {
        const char *name = strrchr(m->file.shards[i].path, '/');
        fine = !name || !has_file(folder, name + 1) || add_file(tree, folder, name + 1, err);
    }
    return fine;
}

static json_t *files_json(const char *folder, const fv_model *m, fv_err *err)
{
    static const char *const names[] = {"config.json", "model.safetensors", "model.safetensors.index.json", "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "modules.json", FV_SHORTLIST_FILE, "fovea.json"};
    json_t *tree = json_object();
    const char *name;
    bool fine = tree != NULL;
    if (!fine) FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", folder);
    for (size_t i = 0; i < FV_COUNT(names) && fine; i++) fine = !has_file(folder, names[i]) || add_file(tree, folder, names[i], err);
    if (fine) fine = add_shards(tree, folder, m, err);
    for (int i = 0; m->pair && fine && (name = fv_pair_tokenizer_file(m->pair, i)); i++) fine = !has_file(folder, name) || add_file(tree, folder, name, err);
    for (int i = 0; i < m->net.n_heads && fine; i++)
        if (m->net.heads[i].has_wide) fine = add_file(tree, folder, fv_wide_file_of(&m->net.heads[i]).name, err);
    return whole(tree, fine);
}

static const char *act_name(fv_act act)
{
    static const char *const names[] = {[FV_ACT_NONE] = "none", [FV_ACT_RELU] = "relu", [FV_ACT_GELU] = "gelu", [FV_ACT_TANH] = "tanh", [FV_ACT_SILU] = "swish", [FV_ACT_GELU_TANH] = "gelu_new"};
    return names[act];
}

static json_int_t count_parameters(const fv_params *params)
{
    json_int_t n = 0;
    for (size_t i = 0; i < params->n; i++) n += (json_int_t)(params->items[i]->rows * params->items[i]->cols);
    return n;
}

static json_t *translator_json(const fv_seq2seq *t)
{
    const fv_seq2seq_config *c = &t->config;
    static const char *const positions[] = {"sinusoidal", "learned", "rotary", "relative"};
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:b, s:b, s:I}",
        "kind", "encoder-decoder", "layers", c->encoder_layers, "decoder_layers", c->decoder_layers, "width", c->width, "heads", c->heads, "ffn", c->ffn,
        "max_len", c->max_len, "vocab", c->src_vocab, "target_vocab", c->tgt_vocab, "activation", act_name(c->act), "norm", c->pre_norm ? "pre" : "post",
        "positions", positions[c->positions], "shared_embeddings", c->shared, "tied_output", c->tied, "parameters", count_parameters(&t->params));
}

static json_t *encoder_json(const fv_model *m)
{
    const fv_encoder_config *c = &m->net.encoder.config;
    static const char *const poolings[] = {"cls", "mean", "max"}, *const mixings[] = {"full", "uniform", "none"};
    json_int_t features = 0;
    for (int i = 0; i < m->net.n_heads; i++) features += (json_int_t)m->net.heads[i].wide.n;
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}",
        "kind", "encoder", "family", fv_family_of(c->family)->model_type, "layers", c->layers, "width", c->width, "heads", c->heads, "ffn", c->ffn, "max_len", c->max_len, "vocab", c->vocab,
        "activation", act_name(c->act), "norm", c->pre_norm ? "pre" : "post", "attention", c->article_attention ? "article" : "vaswani", "mixing", mixings[c->mixing],
        "positions", c->sinusoidal ? "sinusoidal" : "learned", "pooling", poolings[c->pooling], "parameters", count_parameters(&m->net.encoder.params),
        "wide_features", features);
}

/* What matrices of layers are stored as, and products rounded to; unless they are floats. */
static json_t *architecture_json(const fv_model *m)
{
    const fv_quantization *q = fv_network_stored(&m->net);
    json_t *tree = m->net.translator ? translator_json(m->net.translator) : encoder_json(m);
    if (!tree || !q->weights) return tree;
    return whole(tree, json_object_set_new(tree, "weights", json_string("int8")) == 0 && json_object_set_new(tree, "products", json_string(q->activations ? "int8" : "float32")) == 0);
}

static json_t *prompts_json(const fv_sentence *s)
{
    json_t *list = json_array();
    const char *name;
    json_t *text;
    bool fine = list;
    json_object_foreach(s->prompts, name, text) fine = fine && json_array_append_new(list, json_string(name)) == 0;
    return whole(list, fine);
}

/* How vectors of texts are made; NULL for a translator, which makes none. */
static json_t *embedding_json(const fv_model *m)
{
    const fv_sentence *s = &m->sentence;
    if (m->net.translator) return NULL;
    return json_pack("{s:i, s:s, s:i, s:b, s:i, s:o}", "numbers", fv_model_embedding_size(m), "pooling", fv_pooling_name(s->pooling), "dense_layers", s->n_dense,
        "unit_length", s->normalise, "max_len", m->max_len, "prompts", prompts_json(s));
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
    static const char *const names[] = {[FV_TOKENIZER_BPE] = "byte-level BPE", [FV_TOKENIZER_WORDPIECE] = "WordPiece", [FV_TOKENIZER_UNIGRAM] = "unigram", [FV_TOKENIZER_WORDLEVEL] = "whole words"};
    return names[t->kind];
}

static json_t *tokenizer_json(const fv_model *m)
{
    if (!m->pair) return json_pack("{s:s, s:i}", "kind", tokenizer_kind(m->tokenizer), "entries", fv_tokenizer_size(m->tokenizer));
    bool pieces = has_file(m->folder, "source.spm");
    return json_pack("{s:s, s:i, s:i}", "kind", pieces ? "SentencePiece" : "words between spaces", "entries", fv_pair_size(m->pair, FV_SIDE_SOURCE),
        "target_entries", fv_pair_size(m->pair, FV_SIDE_TARGET));
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
    if (!has_file(folder, "fovea.json")) return json_null();
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
    json_t *tree = json_pack("{s:s, s:o, s:o, s:o*, s:o, s:o, s:o}", "folder", folder, "architecture", architecture_json(m), "tokenizer", tokenizer_json(m),
        "embedding", embedding_json(m), "training", record, "files", files, "tensors", tensors_json(&m->file));
    if (tree && put_heads(tree, m) && (m->net.translator || json_object_get(tree, "embedding"))) return tree;
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
