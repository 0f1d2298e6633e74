/* A model folder: opened, checked as a whole, and ready for sessions. Weights stay in the mapped file;
 * matrices are packed once for the instruction set in use. */
#include "infer/infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CONFIG_BYTES = 64 << 20 };

static const char *const kind_names[] = {"single", "multi", "regression"};

const char *fv_labels_name(fv_labels kind) { return kind_names[kind]; }

/* ---- The head in JSON ---- */

static fv_status put_labels(json_t *tree, const fv_label_set *labels, fv_err *err)
{
    json_t *list = json_array();
    for (int i = 0; i < labels->n; i++) json_array_append_new(list, json_string(labels->names[i]));
    if (json_object_set_new(tree, "labels", list) != 0 || (int)json_array_size(list) != labels->n) return FV_FAIL(err, FV_E_MEMORY, "fovea.json: out of memory");
    return FV_OK;
}

fv_status fv_model_head_to_json(const fv_model_head *head, json_t *tree, fv_err *err)
{
    if (json_object_set_new(tree, "labels_kind", json_string(kind_names[head->kind])) != 0 ||
        json_object_set_new(tree, "temperature", json_real(head->temperature)) != 0) return FV_FAIL(err, FV_E_MEMORY, "fovea.json: out of memory");
    return put_labels(tree, &head->labels, err);
}

static fv_status parse_kind(fv_labels *kind, const json_t *tree, const char *where, fv_err *err)
{
    const char *text = NULL;
    fv_status status = fv_json_text(tree, "labels_kind", true, &text, where, err);
    if (status != FV_OK) return status;
    for (int i = 0; i < (int)FV_COUNT(kind_names); i++)
        if (strcmp(text, kind_names[i]) == 0) return *kind = (fv_labels)i, FV_OK;
    fv_shown shown;
    return FV_FAIL(err, FV_E_FORMAT, "%s: labels_kind is %s; expected \"single\", \"multi\" or \"regression\"", where, fv_show(&shown, text, strlen(text)));
}

static fv_status parse_labels(fv_label_set *labels, const json_t *tree, const char *where, fv_err *err)
{
    const json_t *list = json_object_get(tree, "labels");
    if (!json_is_array(list) || json_array_size(list) > 1000000) return FV_FAIL(err, FV_E_FORMAT, "%s: labels is not a list of at most 1000000 names", where);
    int n = (int)json_array_size(list);
    const char **names = fv_alloc_zero((size_t)n + 1, sizeof *names, err);
    if (!names) return FV_E_MEMORY;
    fv_status status = FV_OK;
    for (int i = 0; i < n && status == FV_OK; i++) {
        names[i] = json_string_value(json_array_get(list, (size_t)i));
        if (!names[i]) status = FV_FAIL(err, FV_E_FORMAT, "%s: label %d is not a string", where, i);
    }
    if (status == FV_OK) status = fv_label_set_copy(labels, names, n, err);
    if (status == FV_OK && labels->n != n) status = FV_FAIL(err, FV_E_FORMAT, "%s: two labels have one name", where);
    fv_free(names);
    return status;
}

fv_status fv_model_head_from_json(fv_model_head *head, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t format = 0;
    head->temperature = 1;
    FV_TRY(fv_json_int(tree, "format", true, 1, 1, &format, where, err));
    FV_TRY(parse_kind(&head->kind, tree, where, err));
    FV_TRY(fv_json_real(tree, "temperature", false, &head->temperature, where, err));
    if (!(head->temperature > 0 && head->temperature < 1e6)) return FV_FAIL(err, FV_E_FORMAT, "%s: temperature is %g; expected more than 0", where, head->temperature);
    FV_TRY(parse_labels(&head->labels, tree, where, err));
done:
    return status;
}

/* False when out of memory, as the setters of jansson are for a NULL object or value. */
static bool put_label_maps(json_t *tree, const fv_label_set *labels)
{
    json_t *by_id = json_object(), *by_label = json_object();
    bool fine = json_object_set_new(tree, "id2label", by_id) == 0;
    if (json_object_set_new(tree, "label2id", by_label) != 0) fine = false;
    for (int i = 0; i < labels->n && fine; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        fine = json_object_set_new(by_id, id, json_string(labels->names[i])) == 0 && json_object_set_new(by_label, labels->names[i], json_integer(i)) == 0;
    }
    return fine;
}

json_t *fv_model_config_json(const fv_encoder_config *config, const fv_model_head *head, fv_err *err)
{
    static const char *const problems[] = {"single_label_classification", "multi_label_classification", "regression"};
    json_t *tree = fv_encoder_config_to_json(config, err);
    if (!tree) return NULL;
    fv_label_set one = {0};
    if (head->kind == FV_LABELS_REGRESSION && fv_label_set_copy(&one, (const char *[]){"value"}, 1, err) != FV_OK) return json_decref(tree), NULL;
    bool fine = put_label_maps(tree, head->kind == FV_LABELS_REGRESSION ? &one : &head->labels);
    fv_label_set_release(&one);
    if (fine && json_object_set_new(tree, "problem_type", json_string(problems[head->kind])) == 0) return tree;
    json_decref(tree);
    FV_FAIL(err, FV_E_MEMORY, "config.json: out of memory");
    return NULL;
}

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

static fv_status open_head(fv_model *m, fv_err *err)
{
    char path[FV_PATH_MAX];
    json_t *tree = load_part(m->folder, "fovea.json", path, err);
    if (!tree) return err ? err->status : FV_E_FORMAT;
    fv_status status = fv_model_head_from_json(&m->head, tree, path, err);
    if (status == FV_OK && m->head.kind != FV_LABELS_REGRESSION && m->head.labels.n < 1) status = FV_FAIL(err, FV_E_FORMAT, "%s: no labels", path);
    m->net.has_wide = json_object_get(json_object_get(tree, "files"), FV_WIDE_FILE) != NULL; /* what is listed must not go missing unseen */
    json_decref(tree);
    return status;
}

static fv_status open_encoder(fv_model *m, fv_err *err)
{
    fv_status status = FV_OK;
    fv_encoder_config config;
    char path[FV_PATH_MAX];
    json_t *tree = load_part(m->folder, "config.json", path, err);
    if (!tree) return err ? err->status : FV_E_FORMAT;
    FV_TRY(fv_encoder_config_from_json(&config, tree, path, err));
    config.outputs = m->head.kind == FV_LABELS_REGRESSION ? 1 : m->head.labels.n;
    FV_TRY(fv_encoder_init(&m->net.encoder, &config, err));
    FV_TRY(fv_path_join(path, m->folder, "model.safetensors", err));
    FV_TRY(fv_safetensors_open(&m->file, path, err));
    FV_TRY(fv_weights_map(&m->net.encoder.params, &m->file, err));
done:
    json_decref(tree);
    return status;
}

static fv_status open_wide(fv_model *m, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    FV_TRY(fv_path_join(path, m->folder, FV_WIDE_FILE, err));
    if (!m->net.has_wide && !fv_file_exists(path)) return FV_OK;
    FV_TRY(fv_safetensors_open(&m->wide_file, path, err));
    FV_TRY(fv_wide_load(&m->net.wide, &m->wide_file, m->net.encoder.config.outputs, err));
    FV_TRY(fv_wide_add_param(&m->net.wide, &m->net.encoder.params, m->net.encoder.config.outputs, err));
    fv_wide_map(&m->net.wide, &m->wide_file);
    m->net.has_wide = true;
done:
    return status;
}

static fv_status open_tokenizer(fv_model *m, fv_err *err)
{
    m->tokenizer = fv_tokenizer_open(m->folder, err);
    if (!m->tokenizer) return err ? err->status : FV_E_FORMAT;
    if (fv_tokenizer_size(m->tokenizer) > m->net.encoder.config.vocab)
        return FV_FAIL(err, FV_E_FORMAT, "%s: tokenizer.json has %d entries, config.json's vocab_size is %d", m->folder, fv_tokenizer_size(m->tokenizer), m->net.encoder.config.vocab);
    return FV_OK;
}

/* Also for callers who gave no fv_err: the parts pass the status up through one. */
static fv_status open_all(fv_model *m, fv_err *err)
{
    fv_status status = FV_OK;
    fv_pool *pool = fv_pool_shared(err);
    if (!pool) return FV_E_MEMORY;
    FV_TRY(fv_kernels_check(err));
    FV_TRY(open_head(m, err));
    FV_TRY(open_encoder(m, err));
    FV_TRY(open_wide(m, err));
    FV_TRY(open_tokenizer(m, err));
    FV_TRY(fv_params_pack(&m->net.encoder.params, pool, err));
done:
    return status;
}

void fv_network_release(fv_network *net)
{
    fv_encoder_release(&net->encoder);
    fv_wide_release(&net->wide);
}

fv_model *fv_model_open(const char *folder, fv_err *err)
{
    fv_err local = {0};
    if (!fv_folder_exists(folder)) return FV_FAIL(err, FV_E_IO, "%s: no such folder; expected a model folder with config.json, model.safetensors, tokenizer.json and fovea.json", folder), NULL;
    fv_model *m = fv_alloc_zero(1, sizeof *m, err);
    if (!m) return NULL;
    m->folder = fv_strdup(folder, &local);
    if (m->folder && open_all(m, &local) == FV_OK) return m;
    fv_model_close(m);
    FV_FAIL(err, local.status, "%s", local.text);
    return NULL;
}

void fv_model_close(fv_model *m)
{
    if (!m) return;
    fv_network_release(&m->net);
    fv_label_set_release(&m->head.labels);
    fv_tokenizer_close(m->tokenizer);
    fv_safetensors_close(&m->file);
    fv_safetensors_close(&m->wide_file);
    fv_free(m->folder);
    fv_free(m);
}

int fv_model_n_labels(const fv_model *m) { return m->net.encoder.config.outputs; }
fv_labels fv_model_labels(const fv_model *m) { return m->head.kind; }
const fv_tokenizer *fv_model_tokenizer(const fv_model *m) { return m->tokenizer; }

const char *fv_model_label(const fv_model *m, int i)
{
    return i >= 0 && i < m->head.labels.n ? m->head.labels.names[i] : NULL;
}
