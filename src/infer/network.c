/* A body with its heads: which parameters there are, what they compute, and what JSON says of them. */
#include "infer/infer.h"

#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {"single", "multi", "regression", "tags", "none", "text", "vector"};

const char *fv_labels_name(fv_labels kind) { return kind_names[kind]; }

const char *fv_labels_does(fv_labels kind)
{
    switch (kind) {
    case FV_LABELS_TEXT: return "it is a translator; use `fovea translate`, with --align to see what it read";
    case FV_LABELS_TAGS: return "it tags words; use `fovea tag`";
    case FV_LABELS_VECTOR: return "it has a body and no head; use `fovea embed`, or start another from it (`fovea train` with --from)";
    case FV_LABELS_NONE: return "it guesses missing words; `fovea train` starts others from it (--from)";
    default: return "it labels texts; use `fovea classify`";
    }
}

/* ---- The head in JSON ---- */

static fv_status put_labels(json_t *tree, const fv_label_set *labels, fv_err *err)
{
    json_t *list = json_array();
    for (int i = 0; i < labels->n; i++) json_array_append_new(list, json_string(labels->names[i]));
    if (json_object_set_new(tree, "labels", list) != 0 || (int)json_array_size(list) != labels->n) return FV_FAIL(err, FV_E_MEMORY, "fovea.json: out of memory");
    return FV_OK;
}

fv_status fv_head_to_json(const fv_head *head, json_t *tree, fv_err *err)
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
    return FV_FAIL(err, FV_E_FORMAT, "%s: labels_kind is %s; expected \"single\", \"multi\", \"regression\", \"tags\", \"none\", \"text\" or \"vector\"", where, fv_show(&shown, text, strlen(text)));
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

/* Names become parts of file names and of tensors' names. */
fv_status fv_head_set_name(fv_head *head, const char *name, const char *where, fv_err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(name);
    fv_shown shown;
    if (len < sizeof head->name && strspn(name, allowed) == len) return memcpy(head->name, name, len + 1), FV_OK;
    return FV_FAIL(err, FV_E_FORMAT, "%s: found the name %s; expected at most %d letters, digits, _ and -", where, fv_show(&shown, name, len), FV_HEAD_NAME - 1);
}

static fv_status parse_name(fv_head *head, const json_t *tree, const char *where, fv_err *err)
{
    const char *name = "";
    fv_status status = fv_json_text(tree, "name", false, &name, where, err);
    return status == FV_OK ? fv_head_set_name(head, name, where, err) : status;
}

void fv_head_count_outputs(fv_head *head)
{
    bool labelled = head->kind == FV_LABELS_SINGLE || head->kind == FV_LABELS_MULTI || head->kind == FV_LABELS_TAGS;
    head->outputs = labelled ? head->labels.n : head->kind == FV_LABELS_REGRESSION;
}

fv_status fv_head_from_json(fv_head *head, const json_t *tree, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    head->temperature = 1;
    FV_TRY(parse_name(head, tree, where, err));
    FV_TRY(parse_kind(&head->kind, tree, where, err));
    FV_TRY(fv_json_real(tree, "temperature", false, &head->temperature, where, err));
    if (!(head->temperature > 0 && head->temperature < 1e6)) return FV_FAIL(err, FV_E_FORMAT, "%s: temperature is %g; expected more than 0", where, head->temperature);
    FV_TRY(parse_labels(&head->labels, tree, where, err));
    fv_head_count_outputs(head);
    if (head->outputs < 1 && head->kind < FV_LABELS_NONE) status = FV_FAIL(err, FV_E_FORMAT, "%s: no labels", where);
done:
    return status;
}

void fv_head_release(fv_head *head)
{
    fv_label_set_release(&head->labels);
    fv_wide_release(&head->wide);
}

/* ---- config.json ---- */

static const char *purpose_of(const fv_network *net)
{
    static const char *const purposes[] = {"ForSequenceClassification", "ForTokenClassification", "ForMaskedLM", "Model", "Model"};
    return net->n_heads == 1 ? purposes[net->heads[0].weights.place] : "Model";
}

const char *fv_task_name(const fv_network *net)
{
    static const char *const names[] = {"classify", "tag", "mlm", "translate", "embed"};
    return net->n_heads == 1 ? names[net->heads[0].weights.place] : "multi";
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

static bool put_labels_of(json_t *tree, const fv_head *head, fv_err *err)
{
    static const char *const problems[] = {"single_label_classification", "multi_label_classification", "regression"};
    fv_label_set one = {0};
    if (head->kind == FV_LABELS_NONE || head->kind == FV_LABELS_VECTOR) return true;
    if (head->kind == FV_LABELS_REGRESSION && fv_label_set_copy(&one, (const char *[]){"value"}, 1, err) != FV_OK) return false;
    bool fine = put_label_maps(tree, head->kind == FV_LABELS_REGRESSION ? &one : &head->labels);
    fv_label_set_release(&one);
    return fine && (head->kind > FV_LABELS_REGRESSION || json_object_set_new(tree, "problem_type", json_string(problems[head->kind])) == 0);
}

json_t *fv_model_config_json(const fv_network *net, fv_err *err)
{
    if (net->translator) return fv_seq2seq_config_to_json(&net->translator->config, err);
    json_t *tree = fv_encoder_config_to_json(&net->encoder.config, purpose_of(net), err);
    if (!tree) return NULL;
    if (net->n_heads > 1 || put_labels_of(tree, &net->heads[0], err)) return tree;
    json_decref(tree);
    FV_FAIL(err, FV_E_MEMORY, "config.json: out of memory");
    return NULL;
}

/* ---- Network ---- */

static fv_head_place place_of(fv_labels kind)
{
    switch (kind) {
    case FV_LABELS_TAGS: return FV_HEAD_TOKEN;
    case FV_LABELS_NONE: return FV_HEAD_WORD;
    case FV_LABELS_VECTOR: return FV_HEAD_VECTOR;
    default: return FV_HEAD_TEXT;
    }
}

fv_status fv_network_init(fv_network *net, const fv_encoder_config *config, fv_err *err)
{
    fv_status status = FV_OK;
    fv_encoder_config with_pooler = *config;
    for (int i = 0; i < net->n_heads; i++) with_pooler.pooler |= place_of(net->heads[i].kind) == FV_HEAD_TEXT;
    FV_TRY(fv_encoder_init(&net->encoder, &with_pooler, err));
    for (int i = 0; i < net->n_heads; i++) {
        fv_head *h = &net->heads[i];
        FV_TRY(fv_head_init(&h->weights, &net->encoder, place_of(h->kind), h->name, h->outputs, err));
    }
done:
    return status;
}

fv_status fv_network_init_translator(fv_network *net, const fv_seq2seq_config *config, fv_err *err)
{
    FV_ASSERT(net->n_heads == 1);
    net->heads[0].weights.place = FV_HEAD_SEQUENCE;
    net->translator = fv_alloc_zero(1, sizeof *net->translator, err);
    return net->translator ? fv_seq2seq_init(net->translator, config, err) : FV_E_MEMORY;
}

fv_params *fv_network_params(fv_network *net) { return net->translator ? &net->translator->params : &net->encoder.params; }

const fv_quantization *fv_network_stored(const fv_network *net) { return net->translator ? &net->translator->config.stored : &net->encoder.config.stored; }

fv_wide_file fv_wide_file_of(const fv_head *head)
{
    fv_wide_file file;
    snprintf(file.name, sizeof file.name, "wide%s%s.safetensors", *head->name ? "." : "", head->name);
    return file;
}

fv_tensor *fv_network_build(const fv_network *net, const fv_head *head, fv_graph *g, const fv_batch *batch, const fv_feature_rows *features)
{
    fv_tensor *logits = fv_head_build(&head->weights, &net->encoder, g, fv_encoder_build(&net->encoder, g, batch), batch);
    return head->has_wide && features ? fv_wide_build(&head->wide, g, logits, features, batch) : logits;
}

void fv_network_release(fv_network *net)
{
    for (int i = 0; i < net->n_heads; i++) fv_head_release(&net->heads[i]);
    fv_free(net->heads);
    fv_encoder_release(&net->encoder);
    if (net->translator) fv_seq2seq_release(net->translator);
    fv_free(net->translator);
    *net = (fv_network){0};
}
