/* A model folder: opened, checked as a whole, and ready for sessions. Weights stay in the mapped file;
 * matrices are packed for the instruction set in use, once for all sessions that have products of one precision. */
#include "infer/infer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CONFIG_BYTES = 64 << 20, MAX_HEADS = 256 };

/* ---- Opening ---- */

static json_t *load_part(const char *folder, const char *name, char path[FV_PATH_MAX], fv_err *err)
{
    if (fv_path_join(path, folder, name, err) != FV_OK) return NULL;
    json_t *tree = fv_json_load(path, MAX_CONFIG_BYTES, err);
    if (tree && !json_is_object(tree)) {
        FV_FAIL(err, FV_E_FORMAT, "%s: not a JSON object", path);
        json_decref(tree);
        return NULL;
    }
    return tree;
}

/* What is listed among the files must not go missing unseen. */
static void expect_wide(fv_head *head, const json_t *tree)
{
    head->has_wide = json_object_get(json_object_get(tree, "files"), fv_wide_file_of(head).name) != NULL;
}

static fv_status make_heads(fv_model *m, size_t n, fv_err *err)
{
    m->net.heads = fv_alloc_zero(n, sizeof *m->net.heads, err);
    m->wide_files = fv_alloc_zero(n, sizeof *m->wide_files, err);
    if (!m->net.heads || !m->wide_files) return FV_E_MEMORY;
    m->net.n_heads = (int)n;
    return FV_OK;
}

static fv_status open_heads(fv_model *m, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    int64_t format = 0;
    json_t *tree = load_part(m->folder, "fovea.json", path, err);
    if (!tree) return err->status;
    FV_TRY(fv_json_int(tree, "format", true, 1, 1, &format, path, err));
    const json_t *list = json_object_get(tree, "heads");
    size_t n = list ? json_array_size(list) : 1;
    if (n < 1 || n > MAX_HEADS) { status = FV_FAIL(err, FV_E_FORMAT, "%s: heads is no list of 1 to %d", path, MAX_HEADS); goto done; }
    FV_TRY(make_heads(m, n, err));
    for (size_t i = 0; i < n; i++) {
        FV_TRY(fv_head_from_json(&m->net.heads[i], list ? json_array_get(list, i) : tree, path, err));
        expect_wide(&m->net.heads[i], tree);
    }
done:
    json_decref(tree);
    return status;
}

/* What fovea.json would say; folders of other tools have none. */
static fv_status assume_translator(fv_model *m, fv_err *err)
{
    fv_status status = make_heads(m, 1, err);
    if (status == FV_OK) m->net.heads[0] = (fv_head){.kind = FV_LABELS_TEXT, .temperature = 1};
    return status;
}

static fv_status assume_encoder(fv_model *m, const json_t *tree, const char *path, fv_err *err)
{
    fv_status status = make_heads(m, 1, err);
    return status == FV_OK ? fv_head_from_config(&m->net.heads[0], tree, path, err) : status;
}

/* A bare body's pooler was trained with it: whoever fine-tunes from it begins with that. */
static bool keeps_pooler(const fv_model *m, const fv_encoder_config *config)
{
    const fv_family_info *f = fv_family_of(config->family);
    fv_params names = {.prefix = f->prefix};
    char name[FV_PARAM_NAME];
    snprintf(name, sizeof name, "%s%s.weight", f->prefix, f->pooler);
    return m->net.n_heads == 1 && m->net.heads[0].kind == FV_LABELS_VECTOR && f->pooler_is_body && fv_weights_find(&names, &m->file, name);
}

static fv_status open_translator(fv_model *m, const json_t *tree, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_seq2seq_config config;
    FV_TRY(fv_seq2seq_config_from_json(&config, tree, path, err));
    FV_TRY(assume_translator(m, err));
    FV_TRY(fv_network_init_translator(&m->net, &config, err));
done:
    return status;
}

static fv_status open_encoder(fv_model *m, const json_t *tree, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_encoder_config config;
    char record[FV_PATH_MAX];
    FV_TRY(fv_path_join(record, m->folder, "fovea.json", err));
    FV_TRY(fv_file_exists(record) || fv_folder_exists(record) ? open_heads(m, err) : assume_encoder(m, tree, path, err));
    for (int i = 0; i < m->net.n_heads; i++)
        if (m->net.heads[i].kind == FV_LABELS_TEXT) return FV_FAIL(err, FV_E_FORMAT, "%s: fovea.json says that it translates, config.json is of another architecture", m->folder);
    FV_TRY(fv_encoder_config_from_json(&config, tree, path, err));
    config.pooler = keeps_pooler(m, &config);
    FV_TRY(fv_network_init(&m->net, &config, err));
    m->max_len = config.max_len;
done:
    return status;
}

static fv_status open_network(fv_model *m, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    fv_holds holds;
    if (fv_path_join(path, m->body, "config.json", err) == FV_OK && !fv_file_exists(path))
        return FV_FAIL(err, FV_E_IO, "%s: no config.json in it (%s); expected a model folder with config.json, model.safetensors and tokenizer.json", m->body, fv_folder_holds(&holds, m->body));
    json_t *tree = load_part(m->body, "config.json", path, err);
    if (!tree) return err->status;
    FV_TRY(fv_safetensors_open_folder(&m->file, m->body, err));
    FV_TRY((fv_seq2seq_config_is(tree) ? open_translator : open_encoder)(m, tree, path, err));
    FV_TRY(fv_weights_map(fv_network_params(&m->net), &m->file, err));
done:
    json_decref(tree);
    return status;
}

static fv_status open_wide(fv_model *m, fv_head *head, fv_safetensors *file, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    if (head->weights.place != FV_HEAD_TEXT) return FV_OK;
    FV_TRY(fv_path_join(path, m->folder, fv_wide_file_of(head).name, err));
    if (!head->has_wide && !fv_file_exists(path)) return FV_OK;
    FV_TRY(fv_safetensors_open(file, path, err));
    FV_TRY(fv_wide_load(&head->wide, file, head->outputs, err));
    head->has_wide = true;
done:
    return status;
}

static fv_status open_pair(fv_model *m, fv_err *err)
{
    const fv_seq2seq_config *c = &m->net.translator->config;
    m->pair = fv_pair_tokenizer_open(m->folder, err);
    if (!m->pair) return err ? err->status : FV_E_FORMAT;
    int source = fv_pair_size(m->pair, FV_SIDE_SOURCE), target = fv_pair_size(m->pair, FV_SIDE_TARGET);
    if (source > c->src_vocab || target > c->tgt_vocab)
        return FV_FAIL(err, FV_E_FORMAT, "%s: vocabularies of %d and %d entries, config.json says %d and %d", m->folder, source, target, c->src_vocab, c->tgt_vocab);
    return FV_OK;
}

static fv_status open_tokenizer(fv_model *m, fv_err *err)
{
    if (m->net.translator) return open_pair(m, err);
    m->tokenizer = fv_tokenizer_open(m->body, err);
    if (!m->tokenizer) return err ? err->status : FV_E_FORMAT;
    if (fv_tokenizer_size(m->tokenizer) > m->net.encoder.config.vocab)
        return FV_FAIL(err, FV_E_FORMAT, "%s: tokenizer.json has %d entries, config.json's vocab_size is %d", m->folder, fv_tokenizer_size(m->tokenizer), m->net.encoder.config.vocab);
    return FV_OK;
}

static fv_status open_body(fv_model *m, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_sentence_body(path, m->folder, err);
    if (status != FV_OK) return status;
    m->body = fv_strdup(path, err);
    return m->body ? FV_OK : FV_E_MEMORY;
}

/* Whether capitals come out as small letters do. */
static bool lowers_case(const fv_tokenizer *t)
{
    static const char large[] = "ABC Xyz Éa", small[] = "abc xyz éa";
    fv_encoding a = {0}, b = {0};
    bool same = fv_tokenizer_encode(t, large, sizeof large - 1, NULL, 0, false, &a, NULL) == FV_OK && fv_tokenizer_encode(t, small, sizeof small - 1, NULL, 0, false, &b, NULL) == FV_OK
        && a.n == b.n && memcmp(a.ids, b.ids, a.n * sizeof *a.ids) == 0;
    fv_encoding_release(&a);
    fv_encoding_release(&b);
    return same;
}

static fv_status open_sentence(fv_model *m, fv_err *err)
{
    fv_status status = fv_sentence_open(&m->sentence, m->folder, m->body, &m->net.encoder.config, lowers_case(m->tokenizer), err);
    if (status != FV_OK) return status;
    if (m->sentence.max_len && m->sentence.max_len < m->max_len) m->max_len = m->sentence.max_len;
    return m->sentence.activation ? fv_head_activate(&m->net.heads[0], m->sentence.activation, m->folder, err) : FV_OK;
}

/* Also for callers who gave no fv_err: the parts pass the status up through one. */
static fv_status open_all(fv_model *m, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_kernels_check(err));
    FV_TRY(open_body(m, err));
    FV_TRY(open_network(m, err));
    for (int i = 0; i < m->net.n_heads; i++) FV_TRY(open_wide(m, &m->net.heads[i], &m->wide_files[i], err));
    FV_TRY(open_tokenizer(m, err));
    if (!m->net.translator) FV_TRY(open_sentence(m, err));
done:
    return status;
}

fv_model *fv_model_open(const char *folder, fv_err *err)
{
    fv_err local = {0};
    if (!fv_folder_exists(folder)) return FV_FAIL(err, FV_E_IO, "%s: %s; expected a model folder with config.json, model.safetensors and tokenizer.json", folder, fv_file_exists(folder) ? "is a file" : "no such folder"), NULL;
    fv_model *m = fv_alloc_zero(1, sizeof *m, err);
    if (!m) return NULL;
    m->folder = fv_strdup(folder, &local);
    if (m->folder && open_all(m, &local) == FV_OK) return m;
    fv_model_close(m);
    FV_FAIL(err, local.status, "%s", local.text);
    return NULL;
}

/* ---- Packing ---- */

static pthread_mutex_t packing = PTHREAD_MUTEX_INITIALIZER; /* sessions of one model may be made by several threads */

_Static_assert((int)FV_PRODUCTS_FLOAT32 == (int)FV_PRECISION_F32 && (int)FV_PRODUCTS_BF16 == (int)FV_PRECISION_BF16 && (int)FV_PRODUCTS_INT8 == (int)FV_PRECISION_INT8, "one list");

fv_status fv_model_pack(fv_model *m, fv_products products, fv_precision *precision, fv_err *err)
{
    fv_pool *pool = fv_pool_shared(err);
    if (!pool) return FV_E_MEMORY;
    if (products < FV_PRODUCTS_FLOAT32 || products > FV_PRODUCTS_AS_MODEL) return FV_FAIL(err, FV_E_ARGUMENT, "products %d; expected FV_PRODUCTS_FLOAT32, _BF16, _INT8 or _AS_MODEL", (int)products);
    if (products == FV_PRODUCTS_AS_MODEL) products = fv_network_stored(&m->net)->activations ? FV_PRODUCTS_INT8 : FV_PRODUCTS_FLOAT32;
    *precision = (fv_precision)products;
    pthread_mutex_lock(&packing);
    fv_status status = m->net.translator ? fv_seq2seq_pack(m->net.translator, *precision, pool, &m->file.map, err) : fv_params_pack(&m->net.encoder.params, *precision, pool, err);
    if (status == FV_OK && m->net.translator) *precision = fv_packed_precision(fv_param_packed(m->net.translator->output, *precision)); /* as the first session had it */
    pthread_mutex_unlock(&packing);
    fv_safetensors_rest(&m->file); /* packed matrices are not read again */
    return status;
}

void fv_model_close(fv_model *m)
{
    if (!m) return;
    for (int i = 0; i < m->net.n_heads; i++) fv_safetensors_close(&m->wide_files[i]);
    fv_network_release(&m->net);
    fv_tokenizer_close(m->tokenizer);
    fv_pair_tokenizer_close(m->pair);
    fv_safetensors_close(&m->file);
    fv_sentence_release(&m->sentence);
    fv_free(m->wide_files);
    fv_free(m->body);
    fv_free(m->folder);
    fv_free(m);
}

int fv_model_max_len(const fv_model *m) { return m->max_len; }
int fv_model_n_heads(const fv_model *m) { return m->net.n_heads; }
const char *fv_model_head_name(const fv_model *m, int i) { return i >= 0 && i < m->net.n_heads ? m->net.heads[i].name : NULL; }
const fv_tokenizer *fv_model_tokenizer(const fv_model *m) { return m->tokenizer; }
