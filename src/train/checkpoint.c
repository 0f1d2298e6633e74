/* The state of a training in one file, so that one rename moves from a whole state to a whole state:
 * weights, moments and the best weights so far as tensors; recipe, data and position as JSON in the
 * file's metadata. Killed at any moment, the file is the last complete one. */
#include <string.h>

#include "train/training.h"

static const char version_key[] = "fovea_checkpoint", state_key[] = "state", recipe_key[] = "recipe", data_key[] = "data";

bool fv_checkpoint_exists(const char *out)
{
    char path[FV_PATH_MAX];
    return fv_path_join(path, out, FV_CHECKPOINT, NULL) == FV_OK && fv_file_exists(path);
}

/* Takes the tree; the text is the caller's to fv_free. */
static char *dump(json_t *tree, fv_err *err)
{
    fv_buf text = {0};
    if (!tree || fv_json_print(tree, 0, &text, err) != FV_OK) {
        FV_FAIL(err, FV_E_MEMORY, "checkpoint: out of memory");
        fv_buf_release(&text);
    }
    json_decref(tree);
    return text.data;
}

/* Where the rows of each job go on. */
static json_t *dump_positions(const fv_training *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n_jobs; i++)
        if (json_array_append_new(list, json_pack("[I, I]", (json_int_t)t->jobs[i].epoch, (json_int_t)t->jobs[i].batch)) != 0) return json_decref(list), NULL;
    return list;
}

static char *dump_state(const fv_training *t, fv_err *err)
{
    uint64_t log_bytes, event_bytes;
    fv_record_sizes(&t->record, &log_bytes, &event_bytes);
    return dump(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:b, s:I, s:I, s:o}",
        "steps", (json_int_t)t->recipe.steps, "step", (json_int_t)t->step, "epoch", (json_int_t)t->epoch, "batch", (json_int_t)t->batch,
        "tokens", (json_int_t)t->tokens, "epochs_since_best", (json_int_t)t->epochs_since_best, "best_step", (json_int_t)t->best_step, "n_mean", (json_int_t)t->n_mean,
        "best_value", t->best_value, "best_loss", t->best_loss, "seconds", fv_training_seconds(t), "done_early", t->done_early,
        "log_bytes", (json_int_t)log_bytes, "event_bytes", (json_int_t)event_bytes, "jobs", dump_positions(t)), err);
}

static fv_st_tensor vector(const char *name, const float *data, int64_t n)
{
    return (fv_st_tensor){.name = name, .dtype = FV_F32, .rank = 1, .shape = {n}, .data = data, .bytes = (size_t)n * sizeof *data};
}

fv_status fv_checkpoint_save(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    int64_t n = t->params->n_floats;
    char *state = dump_state(t, err), *recipe = dump(fv_recipe_to_json(&t->recipe, err), err);
    if (!state || !recipe) { status = FV_E_MEMORY; goto done; }
    fv_st_tensor tensors[] = {vector("weights", t->params->block, n), vector("moment1", t->moment1, t->n_moments), vector("moment2", t->moment2, t->n_moments), vector("best", t->best, n), vector("mean", t->mean, n)};
    const char *keys[] = {version_key, state_key, recipe_key, data_key}, *values[] = {"1", state, recipe, t->data_hashes};
    FV_TRY(fv_path_join(path, t->o->out, FV_CHECKPOINT, err));
    FV_TRY(fv_safetensors_write(path, tensors, t->mean ? 5 : 4, keys, values, FV_COUNT(keys), err));
    t->saved = fv_now();
done:
    fv_free(state);
    fv_free(recipe);
    return status;
}

/* ---- Back ---- */

static json_t *parse(const fv_safetensors *file, const char *key, fv_err *err)
{
    const char *text = fv_safetensors_meta(file, key);
    if (!text) return FV_FAIL(err, FV_E_FORMAT, "%s: no \"%s\" in its metadata; not a checkpoint", file->path, key), NULL;
    return fv_json_parse(text, strlen(text), file->path, err);
}

/* Names the first thing that differs, so that a person sees which option to put back. */
static fv_status compare(const json_t *then, const json_t *now, const char *path, fv_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)now, key, value) {
        const json_t *old = json_object_get(then, key);
        if (old && json_equal(old, value)) continue;
        fv_buf before = {0}, after = {0};
        if (old) fv_json_print(old, 0, &before, NULL);
        fv_json_print(value, 0, &after, NULL);
        fv_status status = FV_FAIL(err, FV_E_ARGUMENT, "%s: was made with %s = %s, now %s is asked; resume with the options and data it began with, or remove it to begin anew",
                                   path, key, before.data ? before.data : "nothing", after.data ? after.data : "nothing");
        fv_buf_release(&before);
        fv_buf_release(&after);
        return status;
    }
    return FV_OK;
}

static fv_status check_same(const fv_training *t, const fv_safetensors *file, fv_err *err)
{
    fv_status status = FV_OK;
    json_t *recipe = NULL, *data = NULL, *recipe_now = fv_recipe_to_json(&t->recipe, err);
    json_t *data_now = fv_json_parse(t->data_hashes, strlen(t->data_hashes), "data", err);
    char *text = recipe_now ? dump(json_incref(recipe_now), err) : NULL; /* through text, so that numbers are rounded alike */
    json_decref(recipe_now);
    recipe_now = text ? fv_json_parse(text, strlen(text), "recipe", err) : NULL;
    fv_free(text);
    recipe = parse(file, recipe_key, err);
    data = parse(file, data_key, err);
    if (!recipe || !data || !recipe_now || !data_now) { status = FV_E_FORMAT; goto done; }
    FV_TRY(compare(recipe, recipe_now, file->path, err));
    FV_TRY(compare(data, data_now, file->path, err));
done:
    json_decref(recipe);
    json_decref(data);
    json_decref(recipe_now);
    json_decref(data_now);
    return status;
}

static fv_status copy_vector(const fv_safetensors *file, const char *name, float *to, int64_t n, fv_err *err)
{
    const fv_st_tensor *v = fv_safetensors_find(file, name);
    if (!v || v->dtype != FV_F32 || v->rank != 1 || v->shape[0] != n)
        return FV_FAIL(err, FV_E_FORMAT, "%s: expected %s to be F32 [%lld]; remove the file to begin anew", file->path, name, (long long)n);
    memcpy(to, v->data, v->bytes);
    return FV_OK;
}

/* Checkpoints had moments for what is frozen, too: nothing but zeros. */
static fv_status copy_moments(const fv_training *t, const fv_safetensors *file, const char *name, float *to, fv_err *err)
{
    const fv_params *params = t->params;
    const fv_st_tensor *v = fv_safetensors_find(file, name);
    if (!v || v->dtype != FV_F32 || v->rank != 1 || v->shape[0] != params->n_floats) return copy_vector(file, name, to, t->n_moments, err);
    for (size_t i = 0; i < params->n; i++) {
        const fv_param *p = params->items[i];
        if (!p->frozen) memcpy(to + t->moment_at[i], (const float *)v->data + p->offset, (size_t)(p->rows * p->cols) * sizeof *to);
    }
    return FV_OK;
}

static fv_status restore_positions(fv_training *t, const json_t *state, const char *where, fv_err *err)
{
    const json_t *list = json_object_get(state, "jobs");
    if ((int)json_array_size(list) != t->n_jobs) return FV_FAIL(err, FV_E_FORMAT, "%s: jobs is no list of %d places in the data", where, t->n_jobs);
    for (int i = 0; i < t->n_jobs; i++) {
        fv_job *job = &t->jobs[i];
        const json_t *place = json_array_get(list, (size_t)i);
        job->epoch = json_integer_value(json_array_get(place, 0));
        job->batch = json_integer_value(json_array_get(place, 1));
        if (job->epoch < 0 || job->batch < 0) return FV_FAIL(err, FV_E_FORMAT, "%s: job %d goes on at epoch %lld, batch %lld", where, i, (long long)job->epoch, (long long)job->batch);
        fv_status status = fv_job_begin_epoch(t, job, err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

static fv_status restore_state(fv_training *t, const fv_safetensors *file, uint64_t *log_bytes, uint64_t *event_bytes, fv_err *err)
{
    fv_status status = FV_OK;
    const char *where = file->path;
    int64_t log = 0, events = 0, huge = (int64_t)1 << 60;
    json_t *s = parse(file, state_key, err);
    if (!s) return FV_E_FORMAT;
    FV_TRY(fv_json_int(s, "steps", true, 1, huge, &t->recipe.steps, where, err));
    FV_TRY(fv_json_int(s, "step", true, 0, t->recipe.steps, &t->step, where, err));
    FV_TRY(fv_json_int(s, "epoch", true, 0, huge, &t->epoch, where, err));
    FV_TRY(fv_json_int(s, "batch", true, 0, huge, &t->batch, where, err));
    FV_TRY(fv_json_int(s, "tokens", true, 0, huge, &t->tokens, where, err));
    FV_TRY(fv_json_int(s, "epochs_since_best", true, 0, huge, &t->epochs_since_best, where, err));
    FV_TRY(fv_json_int(s, "best_step", true, 0, t->recipe.steps, &t->best_step, where, err));
    FV_TRY(fv_json_int(s, "n_mean", false, 0, huge, &t->n_mean, where, err));
    FV_TRY(fv_json_real(s, "best_value", true, &t->best_value, where, err));
    FV_TRY(fv_json_real(s, "best_loss", true, &t->best_loss, where, err));
    FV_TRY(fv_json_real(s, "seconds", true, &t->seconds, where, err));
    FV_TRY(fv_json_bool(s, "done_early", true, &t->done_early, where, err));
    FV_TRY(fv_json_int(s, "log_bytes", true, 0, huge, &log, where, err));
    FV_TRY(fv_json_int(s, "event_bytes", true, 0, huge, &events, where, err));
    FV_TRY(restore_positions(t, s, where, err));
    *log_bytes = (uint64_t)log;
    *event_bytes = (uint64_t)events;
done:
    json_decref(s);
    return status;
}

static fv_status restore_from(fv_training *t, const fv_safetensors *file, uint64_t *log_bytes, uint64_t *event_bytes, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t n = t->params->n_floats;
    const char *version = fv_safetensors_meta(file, version_key);
    if (!version || strcmp(version, "1") != 0) return FV_FAIL(err, FV_E_FORMAT, "%s: checkpoint version %s; this program reads version 1", file->path, version ? version : "is missing");
    FV_TRY(check_same(t, file, err));
    FV_TRY(copy_vector(file, "weights", t->params->block, n, err));
    FV_TRY(copy_moments(t, file, "moment1", t->moment1, err));
    FV_TRY(copy_moments(t, file, "moment2", t->moment2, err));
    FV_TRY(copy_vector(file, "best", t->best, n, err));
    if (t->mean) FV_TRY(copy_vector(file, "mean", t->mean, n, err));
    FV_TRY(restore_state(t, file, log_bytes, event_bytes, err));
    fv_params_changed(t->params, t->pool);
done:
    return status;
}

fv_status fv_checkpoint_restore(fv_training *t, uint64_t *log_bytes, uint64_t *event_bytes, bool *found, fv_err *err)
{
    fv_status status = FV_OK;
    fv_safetensors file = {0};
    char path[FV_PATH_MAX];
    *found = false;
    if (!fv_checkpoint_exists(t->o->out)) return FV_OK;
    FV_TRY(fv_path_join(path, t->o->out, FV_CHECKPOINT, err));
    FV_TRY(fv_safetensors_open(&file, path, err));
    FV_TRY(restore_from(t, &file, log_bytes, event_bytes, err));
    *found = t->resumed = true;
done:
    fv_safetensors_close(&file);
    return status;
}

fv_status fv_checkpoint_remove(fv_training *t, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, t->o->out, FV_CHECKPOINT, err);
    return status == FV_OK ? fv_file_remove(path, err) : status;
}
