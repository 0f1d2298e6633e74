/* The model folder at the end: the best weights, and beside them all that it takes to load them here
 * and elsewhere, and how they came to be. Each file is replaced whole; fovea.json comes last. */
#include <string.h>
#include <time.h>

#include "train/evaluate.h"
#include "train/training.h"

static const char record_name[] = "fovea.json";

static fv_status out_path(const fv_training *t, char path[FV_PATH_MAX], const char *name, fv_err *err) { return fv_path_join(path, t->o->out, name, err); }

static void use_best(fv_training *t)
{
    if (t->best_step > 0) memcpy(t->encoder.params.block, t->best, (size_t)t->encoder.params.n_floats * sizeof(float));
    fv_params_changed(&t->encoder.params);
}

/* Scores of the validation part are softened or sharpened until they mean what they say. */
static fv_status calibrate(fv_training *t, fv_err *err)
{
    const fv_dataset *data = &t->valid.data;
    if (t->recipe.kind != FV_LABELS_SINGLE) return FV_OK;
    int32_t *truth = fv_alloc(data->n * sizeof *truth, err);
    if (!truth) return FV_E_MEMORY;
    for (size_t i = 0; i < data->n; i++) truth[i] = data->rows[i].label;
    t->head.temperature = fv_infer_temperature(t->valid.logits, truth, data->n, t->recipe.encoder.outputs);
    fv_free(truth);
    return FV_OK;
}

static json_t *metrics_json(const fv_report *report)
{
    json_t *tree = json_object();
    for (size_t i = 0; i < report->n_metrics; i++) {
        const fv_metric *m = &report->metrics[i];
        json_object_set_new(tree, m->name, json_pack("{s:f, s:f, s:f}", "value", m->value, "low", m->low, "high", m->high));
    }
    return tree;
}

static void tell_test(fv_training *t, const fv_report *report)
{
    for (size_t i = 0; i < report->n_metrics; i++) {
        const fv_metric *m = &report->metrics[i];
        fv_training_say(t, "test %s %.4f (95 %% interval %.4f to %.4f, %lld rows)", m->name, m->value, m->low, m->high, (long long)report->rows);
    }
}

static fv_status score(fv_training *t, fv_part *part, json_t *tree, const char *key, bool tell, fv_err *err)
{
    fv_report report = {0};
    fv_status status = fv_training_evaluate(t, part, true, &report, err);
    if (status == FV_OK && json_object_set_new(tree, key, metrics_json(&report)) != 0) status = FV_FAIL(err, FV_E_MEMORY, "out of memory");
    if (status == FV_OK && tell) tell_test(t, &report);
    fv_metrics_release(&report);
    return status;
}

static json_t *data_json(const char *path, const fv_part *part)
{
    return json_pack("{s:s?, s:s, s:I, s:I, s:I}", "path", path, "sha256", part->data.hash, "rows", (json_int_t)part->data.n,
        "skipped", (json_int_t)part->data.skipped, "cut", (json_int_t)part->cut);
}

static json_t *all_data_json(const fv_training *t)
{
    json_t *tree = json_pack("{s:o, s:o}", "train", data_json(t->o->train, &t->train), "valid", data_json(t->o->valid, &t->valid));
    if (tree && t->has_test) json_object_set_new(tree, "test", data_json(t->o->test, &t->test));
    return tree;
}

static fv_status write_tokenizer(const fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *config = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s}", "tokenizer_class", "PreTrainedTokenizerFast", "model_max_length", t->recipe.encoder.max_len,
        "pad_token", "[PAD]", "unk_token", "[UNK]", "cls_token", "[CLS]", "sep_token", "[SEP]", "mask_token", "[MASK]");
    FV_TRY(out_path(t, path, "tokenizer.json", err));
    FV_TRY(fv_tokenizer_save(t->tokenizer, path, err));
    FV_TRY(out_path(t, path, "tokenizer_config.json", err));
    FV_TRY(fv_json_save(config, path, err));
done:
    json_decref(config);
    return status;
}

static fv_status write_model(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *config = fv_model_config_json(&t->recipe.encoder, &t->head, err);
    if (!config) return FV_E_MEMORY;
    FV_TRY(write_tokenizer(t, err));
    FV_TRY(out_path(t, path, "config.json", err));
    FV_TRY(fv_json_save(config, path, err));
    FV_TRY(out_path(t, path, "model.safetensors", err));
    FV_TRY(fv_weights_save(&t->encoder.params, path, (const char *[]){"format"}, (const char *[]){"pt"}, 1, err));
done:
    json_decref(config);
    return status;
}

static fv_status add_hashes(const fv_training *t, json_t *tree, fv_err *err)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};
    fv_status status = FV_OK;
    json_t *files = json_object();
    for (size_t i = 0; i < FV_COUNT(names); i++) {
        char path[FV_PATH_MAX], hex[65];
        FV_TRY(out_path(t, path, names[i], err));
        FV_TRY(fv_sha256_file(path, hex, err));
        json_object_set_new(files, names[i], json_string(hex));
    }
done:
    json_object_set_new(tree, "files", files);
    return status;
}

static fv_status add_circumstances(const fv_training *t, json_t *tree, fv_err *err)
{
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    json_t *recipe = fv_recipe_to_json(&t->recipe, err), *more = json_pack("{s:I, s:I, s:I, s:I, s:f, s:s, s:s, s:s, s:i}",
        "seed", (json_int_t)t->recipe.seed, "steps", (json_int_t)t->recipe.steps, "best_step", (json_int_t)t->best_step, "tokens", (json_int_t)t->tokens,
        "seconds", fv_training_seconds(t), "finished", when, "fovea", FV_VERSION, "isa", fv_isa(), "threads", fv_pool_threads(t->pool));
    bool fine = recipe && more && json_object_update(tree, more) == 0 && json_object_set(tree, "recipe", recipe) == 0;
    json_decref(recipe);
    json_decref(more);
    if (fine && t->o->from) fine = json_object_set_new(tree, "from", json_string(t->o->from)) == 0;
    if (fine) fine = json_object_set_new(tree, "data", all_data_json(t)) == 0;
    return fine ? FV_OK : FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
}

fv_status fv_training_publish(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *tree = json_pack("{s:i, s:s}", "format", 1, "task", "classify");
    if (!tree) return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
    use_best(t);
    FV_TRY(score(t, &t->valid, tree, "valid", false, err));
    FV_TRY(calibrate(t, err));
    FV_TRY(score(t, &t->valid, tree, "valid", false, err));
    if (t->has_test) FV_TRY(score(t, &t->test, tree, "test", true, err));
    FV_TRY(fv_model_head_to_json(&t->head, tree, err));
    FV_TRY(write_model(t, err));
    FV_TRY(add_hashes(t, tree, err));
    FV_TRY(add_circumstances(t, tree, err));
    FV_TRY(out_path(t, path, record_name, err));
    FV_TRY(fv_json_save(tree, path, err));
    FV_TRY(fv_checkpoint_remove(t, err));
done:
    json_decref(tree);
    return status;
}

/* ---- Was it published before? ---- */

fv_status fv_training_is_finished(fv_training *t, bool *finished, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *tree = NULL, *recipe = NULL;
    *finished = false;
    FV_TRY(out_path(t, path, record_name, err));
    if (!fv_file_exists(path)) return FV_OK;
    tree = fv_json_load(path, 64 << 20, err);
    recipe = fv_recipe_to_json(&t->recipe, err);
    if (!tree || !recipe) { status = FV_E_FORMAT; goto done; }
    json_t *hash = json_string(t->train.data.hash);
    *finished = json_equal(json_object_get(tree, "recipe"), recipe) && json_equal(json_object_get(json_object_get(json_object_get(tree, "data"), "train"), "sha256"), hash);
    json_decref(hash);
done:
    json_decref(tree);
    json_decref(recipe);
    return status;
}
