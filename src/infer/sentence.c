/* Folders of sentence-transformers: read, checked, and added to a graph. The trap: a module that is left out changes every
 * vector and no error would show it, so what is not known here by name, key and value is refused. */
#include "infer/sentence.h"

#include <stdio.h>
#include <string.h>

#include "ops.h"

enum { MAX_BYTES = 4 << 20, MAX_WIDTH = 65536 };

/* By fv_pooling: what newer configurations say, older ones have as "pooling_mode_" and the second. */
static const char *const pooling_names[][2] = {
    {"cls", "cls_token"}, {"mean", "mean_tokens"}, {"max", "max_tokens"}, {"mean_sqrt_len_tokens", "mean_sqrt_len_tokens"}, {"weightedmean", "weightedmean_tokens"}, {"lasttoken", "lasttoken"},
};

const char *fv_pooling_name(fv_pooling pooling) { return pooling_names[pooling][0]; }

/* ---- The list of modules ---- */

/* The last word of "sentence_transformers.models.Pooling"; "" if it is none of that package. */
static const char *module_kind(const json_t *module)
{
    static const char package[] = "sentence_transformers.";
    const char *type = json_string_value(json_object_get(module, "type"));
    return type && strncmp(type, package, sizeof package - 1) == 0 ? strrchr(type, '.') + 1 : "";
}

/* A module's folder is the folder itself or a plain name in it. */
static fv_status module_folder(char out[FV_PATH_MAX], const char *folder, const json_t *module, const char *where, fv_err *err)
{
    const char *path = json_string_value(json_object_get(module, "path"));
    fv_shown shown;
    if (!path || strlen(path) > 255 || path[0] == '.' || strpbrk(path, "/\\:"))
        return FV_FAIL(err, FV_E_FORMAT, "%s: path is %s; expected the name of a folder beside it", where, path ? fv_show(&shown, path, strlen(path)) : "missing");
    if (*path) return fv_path_join(out, folder, path, err);
    snprintf(out, FV_PATH_MAX, "%s", folder);
    return FV_OK;
}

/* *tree NULL when the file is not there. */
static fv_status load(json_t **tree, char path[FV_PATH_MAX], const char *folder, const char *name, fv_err *err)
{
    *tree = NULL;
    fv_status status = fv_path_join(path, folder, name, err);
    if (status != FV_OK || !fv_file_exists(path)) return status;
    fv_err inner = {0}; /* the caller's may be NULL */
    *tree = fv_json_load(path, MAX_BYTES, &inner);
    return *tree ? FV_OK : FV_FAIL(err, inner.status, "%s", inner.text);
}

static fv_status load_modules(json_t **list, char path[FV_PATH_MAX], const char *folder, fv_err *err)
{
    fv_status status = load(list, path, folder, "modules.json", err);
    if (status != FV_OK || !*list) return status;
    size_t n = json_array_size(*list);
    if (n >= 1 && n <= FV_MAX_DENSE + 3 && strcmp(module_kind(json_array_get(*list, 0)), "Transformer") == 0) return FV_OK;
    json_decref(*list);
    *list = NULL;
    return FV_FAIL(err, FV_E_FORMAT, "%s: expected a list of at most %d modules that begins with a Transformer of sentence_transformers", path, FV_MAX_DENSE + 3);
}

fv_status fv_sentence_body(char out[FV_PATH_MAX], const char *folder, fv_err *err)
{
    char path[FV_PATH_MAX];
    json_t *list;
    fv_status status = load_modules(&list, path, folder, err);
    if (status != FV_OK) return status;
    if (!list) snprintf(out, FV_PATH_MAX, "%s", folder);
    else status = module_folder(out, folder, json_array_get(list, 0), path, err);
    json_decref(list);
    return status;
}

/* ---- Transformer ---- */

/* model_max_length is what counts without a max_seq_length; it may be absurdly large, which means nothing is said. */
static fv_status tokenizer_length(fv_sentence *s, const char *body, fv_err *err)
{
    char path[FV_PATH_MAX];
    json_t *tree;
    fv_status status = load(&tree, path, body, "tokenizer_config.json", err);
    const json_t *length = json_object_get(tree, "model_max_length");
    if (json_is_integer(length) && json_integer_value(length) >= 4 && json_integer_value(length) <= 65536) s->max_len = (int)json_integer_value(length);
    json_decref(tree);
    return status;
}

static fv_status read_transformer(fv_sentence *s, const char *body, bool lowers, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *tree = NULL;
    int64_t max_len = 0;
    bool lower = false;
    int task = 0;
    FV_TRY(load(&tree, path, body, "sentence_bert_config.json", err));
    if (tree) {
        FV_TRY(fv_json_int(tree, "max_seq_length", false, 4, 65536, &max_len, path, err));
        FV_TRY(fv_json_bool(tree, "do_lower_case", false, &lower, path, err));
        FV_TRY(fv_json_word(tree, "transformer_task", false, (const char *[]){"feature-extraction", "sequence-classification"}, 2, &task, path, err));
    }
    if (lower && !lowers) { status = FV_FAIL(err, FV_E_FORMAT, "%s: do_lower_case is true, and the tokenizer keeps upper case; not supported", path); goto done; }
    s->max_len = (int)max_len;
    if (!max_len) status = tokenizer_length(s, body, err);
done:
    json_decref(tree);
    return status;
}

/* ---- Pooling ---- */

static fv_status refuse_pooling(const char *path, fv_err *err)
{
    return FV_FAIL(err, FV_E_FORMAT, "%s: expected one pooling mode: cls, mean, max, mean_sqrt_len_tokens, weightedmean or lasttoken", path);
}

static fv_status parse_pooling(fv_sentence *s, const json_t *tree, const char *path, fv_err *err)
{
    const json_t *mode = json_object_get(tree, "pooling_mode");
    const char *word = json_string_value(json_is_array(mode) && json_array_size(mode) == 1 ? json_array_get(mode, 0) : mode);
    int found = 0;
    for (size_t i = 0; i < FV_COUNT(pooling_names); i++) {
        char key[48];
        snprintf(key, sizeof key, "pooling_mode_%s", pooling_names[i][1]);
        bool is = mode ? word && strcmp(word, pooling_names[i][0]) == 0 : json_is_true(json_object_get(tree, key));
        if (is) s->pooling = (fv_pooling)i, found++;
    }
    return found == 1 ? FV_OK : refuse_pooling(path, err);
}

static fv_status read_pooling(fv_sentence *s, const char *folder, int width, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *tree = NULL;
    int64_t size = width;
    bool include = true;
    FV_TRY(load(&tree, path, folder, "config.json", err));
    if (!tree) return FV_FAIL(err, FV_E_FORMAT, "%s: is missing; modules.json lists it as Pooling", path);
    FV_TRY(fv_json_int(tree, "word_embedding_dimension", false, width, width, &size, path, err));
    FV_TRY(fv_json_int(tree, "embedding_dimension", false, width, width, &size, path, err));
    FV_TRY(fv_json_bool(tree, "include_prompt", false, &include, path, err));
    s->skips_prompt = !include;
    status = parse_pooling(s, tree, path, err);
done:
    json_decref(tree);
    return status;
}

/* ---- Dense ---- */

/* Newer modules may read and write something else than a text's vector. */
static fv_status expect_vectors(const json_t *tree, const char *path, fv_err *err)
{
    const char *const names[] = {"sentence_embedding"};
    int from = 0, to = 0;
    fv_status status = fv_json_word(tree, "module_input_name", false, names, 1, &from, path, err);
    return status == FV_OK ? fv_json_word(tree, "module_output_name", false, names, 1, &to, path, err) : status;
}

static fv_status parse_act(fv_act *act, const json_t *tree, const char *path, fv_err *err)
{
    static const struct { const char *name; fv_act act; } acts[] = {
        {"torch.nn.modules.linear.Identity", FV_ACT_NONE}, {"torch.nn.modules.activation.Tanh", FV_ACT_TANH}, {"torch.nn.modules.activation.ReLU", FV_ACT_RELU},
        {"torch.nn.modules.activation.GELU", FV_ACT_GELU}, {"torch.nn.modules.activation.SiLU", FV_ACT_SILU},
    };
    const char *names[FV_COUNT(acts)];
    int place = 1;
    for (size_t i = 0; i < FV_COUNT(acts); i++) names[i] = acts[i].name;
    fv_status status = fv_json_word(tree, "activation_function", false, names, (int)FV_COUNT(acts), &place, path, err);
    *act = acts[place].act;
    return status;
}

static fv_status parse_dense(fv_dense *d, bool *bias, const json_t *tree, const char *path, int width, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t in = width, out = 0;
    bool residual = false;
    FV_TRY(fv_json_int(tree, "in_features", true, width, width, &in, path, err));
    FV_TRY(fv_json_int(tree, "out_features", true, 1, MAX_WIDTH, &out, path, err));
    FV_TRY(fv_json_bool(tree, "bias", false, bias, path, err));
    FV_TRY(fv_json_bool(tree, "use_residual", false, &residual, path, err));
    FV_TRY(expect_vectors(tree, path, err));
    FV_TRY(parse_act(&d->act, tree, path, err));
    if (residual) status = FV_FAIL(err, FV_E_FORMAT, "%s: use_residual is true; not supported", path);
    d->in = (int)in, d->out = (int)out;
done:
    return status;
}

static fv_status map_dense(fv_dense *d, const char *folder, bool bias, fv_err *err)
{
    fv_status status = FV_OK;
    fv_pool *pool = fv_pool_shared(err);
    if (!pool) return FV_E_MEMORY;
    d->w = fv_params_add(&d->params, (const char *[]){"linear.weight"}, 1, 2, d->out, d->in, FV_INIT_NORMAL, 0, err);
    if (d->w && bias) d->b = fv_params_add(&d->params, (const char *[]){"linear.bias"}, 1, 1, 1, d->out, FV_INIT_ZERO, 0, err);
    if (!d->w || (bias && !d->b)) return FV_E_MEMORY;
    FV_TRY(fv_safetensors_open_folder(&d->file, folder, err));
    FV_TRY(fv_weights_map(&d->params, &d->file, err));
    FV_TRY(fv_params_pack(&d->params, FV_PRECISION_F32, pool, err));
done:
    return status;
}

static fv_status read_dense(fv_sentence *s, const char *folder, int width, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *tree = NULL;
    bool bias = true;
    if (s->n_dense == FV_MAX_DENSE) return FV_FAIL(err, FV_E_FORMAT, "%s: more than %d modules are Dense", folder, FV_MAX_DENSE);
    fv_dense *d = &s->dense[s->n_dense];
    FV_TRY(load(&tree, path, folder, "config.json", err));
    if (!tree) return FV_FAIL(err, FV_E_FORMAT, "%s: is missing; modules.json lists it as Dense", path);
    FV_TRY(parse_dense(d, &bias, tree, path, width, err));
    s->n_dense++;
    status = map_dense(d, folder, bias, err);
done:
    json_decref(tree);
    return status;
}

/* ---- Normalize ---- */

/* Of newer folders it says what it scales. */
static fv_status read_normalize(fv_sentence *s, const char *folder, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *tree = NULL;
    FV_TRY(load(&tree, path, folder, "config.json", err));
    if (tree) status = expect_vectors(tree, path, err);
    s->normalise = true;
done:
    json_decref(tree);
    return status;
}

/* ---- All of it ---- */

static fv_status read_module(fv_sentence *s, const char *folder, const json_t *module, int *stage, const char *where, const fv_encoder_config *encoder, fv_err *err)
{
    static const char *const kinds[] = {"Transformer", "Pooling", "Dense", "Normalize"};
    const char *kind = module_kind(module);
    char path[FV_PATH_MAX];
    int place = 0;
    fv_shown shown;
    while (place < 4 && strcmp(kind, kinds[place]) != 0) place++;
    bool follows = place == 2 ? *stage == 1 || *stage == 2 : place == 3 ? *stage == 1 || *stage == 2 : place == 1 && *stage == 0;
    if (place == 4 || !follows) {
        const char *type = json_string_value(json_object_get(module, "type"));
        return FV_FAIL(err, FV_E_FORMAT, "%s: found the module %s; supported: Transformer, Pooling, Dense, Normalize, in this order", where, type ? fv_show(&shown, type, strlen(type)) : "without a type");
    }
    *stage = place;
    fv_status status = module_folder(path, folder, module, where, err);
    if (status != FV_OK) return status;
    if (place == 1) return read_pooling(s, path, encoder->width, err);
    if (place == 2) return read_dense(s, path, fv_sentence_size(s, encoder), err);
    return read_normalize(s, path, err);
}

static fv_status read_settings(fv_sentence *s, const char *folder, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    const char *key;
    json_t *value;
    FV_TRY(load(&s->settings, path, folder, "config_sentence_transformers.json", err));
    if (!s->settings) return FV_OK;
    s->prompts = json_object_get(s->settings, "prompts");
    json_object_foreach(s->prompts, key, value)
    {
        fv_shown shown;
        if (!json_is_string(value)) return FV_FAIL(err, FV_E_FORMAT, "%s: the prompt %s is no text", path, fv_show(&shown, key, strlen(key)));
    }
    FV_TRY(fv_json_text(s->settings, "default_prompt_name", false, &s->prompt, path, err));
    FV_TRY(fv_json_text(s->settings, "activation_fn", false, &s->activation, path, err));
    if (s->prompt && !json_object_get(s->prompts, s->prompt)) status = FV_FAIL(err, FV_E_FORMAT, "%s: default_prompt_name is no name in prompts", path);
done:
    return status;
}

static fv_status read_all(fv_sentence *s, const char *folder, const char *body, const fv_encoder_config *encoder, bool lowers, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *list = NULL;
    int stage = 0;
    s->pooling = encoder->pooling == FV_POOLING_CLS ? FV_POOLING_MEAN : encoder->pooling;
    FV_TRY(load_modules(&list, path, folder, err));
    s->given = list != NULL;
    if (!list) return FV_OK;
    FV_TRY(read_transformer(s, body, lowers, err));
    for (size_t i = 1; i < json_array_size(list); i++) FV_TRY(read_module(s, folder, json_array_get(list, i), &stage, path, encoder, err));
    FV_TRY(read_settings(s, folder, err));
done:
    json_decref(list);
    return status;
}

fv_status fv_sentence_open(fv_sentence *s, const char *folder, const char *body, const fv_encoder_config *encoder, bool lowers, fv_err *err)
{
    *s = (fv_sentence){0};
    fv_status status = read_all(s, folder, body, encoder, lowers, err);
    if (status != FV_OK) fv_sentence_release(s);
    return status;
}

void fv_sentence_release(fv_sentence *s)
{
    for (int i = 0; i < s->n_dense; i++) {
        fv_params_release(&s->dense[i].params);
        fv_safetensors_close(&s->dense[i].file);
    }
    json_decref(s->settings);
    *s = (fv_sentence){0};
}

int fv_sentence_size(const fv_sentence *s, const fv_encoder_config *encoder) { return s->n_dense ? s->dense[s->n_dense - 1].out : encoder->width; }

fv_tensor *fv_sentence_build(const fv_sentence *s, fv_graph *g, fv_tensor *hidden, const fv_batch *batch)
{
    fv_graph_scope(g, "sentence");
    fv_tensor *x = fv_pool_rows(g, hidden, batch->offsets, batch->B, (int)s->pooling);
    for (int i = 0; i < s->n_dense; i++) {
        const fv_dense *d = &s->dense[i];
        x = fv_linear(g, x, fv_graph_param(g, d->w), d->b ? fv_graph_param(g, d->b) : NULL, d->act, NULL);
    }
    return x;
}
