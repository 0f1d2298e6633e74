/* What a folder that another program wrote answers: without a fovea.json, the name of its architecture and the labels in its
 * config.json say it, as Transformers reads them. */
#include "infer/infer.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LABELS = 100000 };

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* id2label is {"0": name, …} in any order; without it Transformers counts LABEL_0, LABEL_1. */
static fv_status parse_labels(fv_label_set *labels, const json_t *tree, const char *where, fv_err *err)
{
    const json_t *map = json_object_get(tree, "id2label");
    int64_t n = map ? (int64_t)json_object_size(map) : 2;
    fv_status status = map ? FV_OK : fv_json_int(tree, "num_labels", false, 1, MAX_LABELS, &n, where, err);
    if (status != FV_OK) return status;
    if (n < 1 || n > MAX_LABELS) return FV_FAIL(err, FV_E_FORMAT, "%s: id2label has %lld labels; expected 1 to %d", where, (long long)n, MAX_LABELS);
    char (*counted)[24] = fv_alloc_zero((size_t)n, sizeof *counted, err);
    const char **names = counted ? fv_alloc_zero((size_t)n, sizeof *names, err) : NULL;
    if (!names) { fv_free(counted); return FV_E_MEMORY; }
    for (int i = 0; i < (int)n && status == FV_OK; i++) {
        snprintf(counted[i], sizeof *counted, "%d", i);
        names[i] = map ? json_string_value(json_object_get(map, counted[i])) : counted[i];
        if (!names[i]) status = FV_FAIL(err, FV_E_FORMAT, "%s: id2label has no name for %d; expected names for 0 to %d", where, i, (int)n - 1);
        if (!map) snprintf(counted[i], sizeof *counted, "LABEL_%d", i);
    }
    if (status == FV_OK) status = fv_label_set_copy(labels, names, (int)n, err);
    if (status == FV_OK && labels->n != n) status = FV_FAIL(err, FV_E_FORMAT, "%s: id2label gives two labels one name", where);
    fv_free(names);
    fv_free(counted);
    return status;
}

fv_status fv_head_activate(fv_head *head, const char *activation, const char *where, fv_err *err)
{
    fv_shown shown;
    if (head->kind != FV_LABELS_REGRESSION) return FV_OK; /* of labels, probabilities are given */
    head->squashed = ends_in(activation, ".Sigmoid");
    if (head->squashed || ends_in(activation, ".Identity")) return FV_OK;
    return FV_FAIL(err, FV_E_FORMAT, "%s: the score's activation is %s; supported: torch.nn.modules.activation.Sigmoid, torch.nn.modules.linear.Identity", where, fv_show(&shown, activation, strlen(activation)));
}

/* A single output without a problem_type is a cross-encoder's, whose score is the sigmoid unless it says otherwise:
 * sentence-transformers has had two places for that here, and has a third in a file of its own (sentence.c). */
static fv_status find_activation(fv_head *head, const json_t *tree, const char *where, fv_err *err)
{
    const char *now = json_string_value(json_object_get(json_object_get(tree, "sentence_transformers"), "activation_fn"));
    const char *once = json_string_value(json_object_get(tree, "sbert_ce_default_activation_function"));
    head->squashed = !json_string_value(json_object_get(tree, "problem_type"));
    return now || once ? fv_head_activate(head, now ? now : once, where, err) : FV_OK;
}

static fv_status parse_text_head(fv_head *head, const json_t *tree, const char *where, fv_err *err)
{
    static const char *const problems[] = {"single_label_classification", "multi_label_classification", "regression"};
    fv_status status = FV_OK;
    int problem = -1;
    FV_TRY(fv_json_word(tree, "problem_type", false, problems, 3, &problem, where, err));
    FV_TRY(parse_labels(&head->labels, tree, where, err));
    head->kind = problem == 1 ? FV_LABELS_MULTI : FV_LABELS_SINGLE;
    if (problem == 2 || (problem < 0 && head->labels.n == 1)) {
        if (head->labels.n != 1) return FV_FAIL(err, FV_E_FORMAT, "%s: problem_type is regression with %d labels; expected 1", where, head->labels.n);
        head->kind = FV_LABELS_REGRESSION;
        fv_label_set_release(&head->labels);
        FV_TRY(find_activation(head, tree, where, err));
    }
done:
    return status;
}

fv_status fv_head_from_config(fv_head *head, const json_t *tree, const char *where, fv_err *err)
{
    const char *name = json_string_value(json_array_get(json_object_get(tree, "architectures"), 0));
    fv_status status = FV_OK;
    fv_shown shown;
    *head = (fv_head){.kind = FV_LABELS_VECTOR, .temperature = 1};
    if (!name || ends_in(name, "Model") || ends_in(name, "ForPreTraining")) return FV_OK;
    if (ends_in(name, "ForSequenceClassification")) status = parse_text_head(head, tree, where, err);
    else if (ends_in(name, "ForTokenClassification")) {
        head->kind = FV_LABELS_TAGS;
        status = parse_labels(&head->labels, tree, where, err);
    } else if (ends_in(name, "ForMaskedLM")) {
        head->kind = FV_LABELS_NONE;
        if (json_is_false(json_object_get(tree, "tie_word_embeddings")))
            status = FV_FAIL(err, FV_E_FORMAT, "%s: tie_word_embeddings is false: an output matrix of its own; not supported", where);
    } else status = FV_FAIL(err, FV_E_FORMAT, "%s: architectures is %s; supported: …Model, …ForSequenceClassification, …ForTokenClassification, …ForMaskedLM", where, fv_show(&shown, name, strlen(name)));
    fv_head_count_outputs(head);
    if (status != FV_OK) {
        fv_head_release(head);
        *head = (fv_head){0};
    }
    return status;
}
