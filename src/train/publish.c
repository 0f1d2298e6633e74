/* The model folder at the end: the best weights, and beside them all that it takes to load them here
 * and elsewhere, and how they came to be.
 *
 * The trap: a model that lay there before must stay whole when the disk fills, and its files make
 * sense only together. So all new files are written and synced in OUT/.new first, and then renamed
 * one after the other, which needs no room. A crash between two renames is mended by --resume:
 * where a model lies, a checkpoint of the last step is there until all is done. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "infer/shortlist.h"
#include "train/evaluate.h"
#include "train/training.h"

static const char record_name[] = "fovea.json", staging_name[] = ".new";
static const char *const file_names[] = {"tokenizer.json", "tokenizer_config.json", "config.json", "model.safetensors", FV_SHORTLIST_FILE, FV_TURN_FILE};

/* Number i of a model's files: the above, those of sentence-transformers, the heads' wide parts, a pair's tokenizers, and last the
 * record that lists them. */
typedef struct file_name { char text[64]; } file_name;

static int n_pair_files(const fv_training *t)
{
    int n = 0;
    while (t->pair && fv_pair_tokenizer_file(t->pair, n)) n++;
    return n;
}

static int n_sentence_files(void)
{
    int n = 0;
    while (fv_sentence_file(n)) n++;
    return n;
}

/* What every model has, or may have. */
static int n_usual_files(void) { return (int)FV_COUNT(file_names) + n_sentence_files(); }

static int n_files(const fv_training *t) { return n_usual_files() + t->net.n_heads + n_pair_files(t) + 1; }

/* NULL: it is none of sentence-transformers'. */
static const char *sentence_file(int i)
{
    int file = i - (int)FV_COUNT(file_names);
    return file >= 0 && file < n_sentence_files() ? fv_sentence_file(file) : NULL;
}

static const fv_head *head_of_file(const fv_training *t, int i)
{
    int head = i - n_usual_files();
    return head >= 0 && head < t->net.n_heads ? &t->net.heads[head] : NULL;
}

/* NULL: it is none of a pair's. */
static const char *pair_file(const fv_training *t, int i)
{
    int file = i - n_usual_files() - t->net.n_heads;
    return t->pair && file >= 0 ? fv_pair_tokenizer_file(t->pair, file) : NULL;
}

static file_name name_of_file(const fv_training *t, int i)
{
    const fv_head *head = head_of_file(t, i);
    const char *of_pair = pair_file(t, i), *of_sentence = sentence_file(i);
    file_name name;
    snprintf(name.text, sizeof name.text, "%s", head ? fv_wide_file_of(head).name : of_pair ? of_pair : of_sentence ? of_sentence : i < (int)FV_COUNT(file_names) ? file_names[i] : record_name);
    return name;
}

/* A file that this model lacks, and an older one may have had. */
static bool lacks(const fv_training *t, int i)
{
    const fv_head *head = head_of_file(t, i);
    if (strcmp(name_of_file(t, i).text, FV_SHORTLIST_FILE) == 0) return !t->pair;
    if (strcmp(name_of_file(t, i).text, FV_TURN_FILE) == 0) return !t->teacher || !fv_teacher_turned(t->teacher);
    if (sentence_file(i)) return t->recipe.task != FV_TASK_EMBED;
    return head ? !head->has_wide : t->pair && strncmp(name_of_file(t, i).text, "tokenizer", 9) == 0 && !pair_file(t, i);
}

static fv_status out_path(const fv_training *t, char path[FV_PATH_MAX], const char *name, fv_err *err) { return fv_path_join(path, t->o->out, name, err); }

/* Where a file waits until all are whole: files of folders in the folder lie flat. */
static fv_status new_path(const fv_training *t, char path[FV_PATH_MAX], const char *name, fv_err *err)
{
    char folder[FV_PATH_MAX];
    file_name flat;
    snprintf(flat.text, sizeof flat.text, "%s", name);
    for (char *slash = flat.text; (slash = strchr(slash, '/'));) *slash = '.';
    fv_status status = out_path(t, folder, staging_name, err);
    return status == FV_OK ? fv_path_join(path, folder, flat.text, err) : status;
}

static void use_best(fv_training *t)
{
    if (t->best_step > 0) memcpy(t->params->block, t->best, (size_t)t->params->n_floats * sizeof(float));
    fv_params_changed(t->params, t->pool);
}

/* NULL when out of memory. */
static json_t *metrics_json(const fv_report *report)
{
    json_t *tree = json_object();
    bool fine = tree;
    for (size_t i = 0; i < report->n_metrics && fine; i++) {
        const fv_metric *m = &report->metrics[i];
        fine = json_object_set_new(tree, m->name, json_pack("{s:f, s:f, s:f}", "value", m->value, "low", m->low, "high", m->high)) == 0;
    }
    if (fine) return tree;
    json_decref(tree);
    return NULL;
}

static fv_status score(fv_training *t, fv_job *job, fv_part *part, json_t *tree, const char *key, fv_err *err)
{
    fv_report report = {0};
    fv_status status = job->objective->evaluate(t, job, part, true, &report, err);
    if (status == FV_OK && json_object_set_new(tree, key, metrics_json(&report)) != 0) status = FV_FAIL(err, FV_E_MEMORY, "out of memory");
    fv_metrics_release(&report);
    return status;
}

static json_t *data_json(const fv_part *part)
{
    json_t *tree = json_pack("{s:s?, s:s, s:I, s:I, s:I}", "path", part->path, "sha256", part->data.hash, "rows", (json_int_t)part->data.n,
        "skipped", (json_int_t)part->data.skipped, "cut", (json_int_t)part->cut);
    if (!tree || part->data.files == 0) return tree;
    json_object_set_new(tree, "files", json_integer((json_int_t)part->data.files));
    json_object_set_new(tree, "skipped_files", json_integer((json_int_t)part->data.skipped_files));
    return tree;
}

/* NULL when out of memory. */
static json_t *all_data_json(const fv_job *job)
{
    json_t *tree = json_object();
    if (json_object_set_new(tree, "train", data_json(&job->train)) == 0 &&
        json_object_set_new(tree, "valid", data_json(&job->valid)) == 0 &&
        (!job->has_test || json_object_set_new(tree, "test", data_json(&job->test)) == 0)) return tree;
    json_decref(tree);
    return NULL;
}

/* What a head answers, how well, and what it was taught with. */
static fv_status describe_job(fv_training *t, fv_job *job, json_t *tree, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(score(t, job, &job->valid, tree, "valid", err));
    if (job->objective->calibrate) {
        FV_TRY(job->objective->calibrate(t, job, err));
        FV_TRY(score(t, job, &job->valid, tree, "valid", err));
    }
    if (job->objective->settle) job->objective->settle(t, job);
    if (job->has_test) FV_TRY(score(t, job, &job->test, tree, "test", err));
    FV_TRY(fv_head_to_json(job->head, tree, err));
    if (json_object_set_new(tree, "data", all_data_json(job)) != 0) status = FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
done:
    return status;
}

/* What several jobs are judged by: the mean of their headlines. */
static bool put_mean(const fv_training *t, json_t *tree, const char *part)
{
    double sum = 0;
    for (int i = 0; i < t->n_jobs; i++) {
        const fv_job *job = &t->jobs[i];
        const json_t *figures = json_object_get(json_array_get(json_object_get(tree, "heads"), (size_t)i), part);
        const json_t *value = json_object_get(json_object_get(figures, job->objective->judging(job).headline), "value");
        if (!value) return true; /* not every job has this part */
        sum += json_number_value(value);
    }
    return json_object_set_new(tree, part, json_pack("{s:f}", "mean", sum / t->n_jobs)) == 0;
}

/* One head's lines stand in the record itself, those of several in a list. */
static fv_status describe_jobs(fv_training *t, json_t *tree, fv_err *err)
{
    fv_status status = FV_OK;
    if (t->recipe.task != FV_TASK_MULTI) return describe_job(t, &t->jobs[0], tree, err);
    json_t *list = json_array();
    if (json_object_set_new(tree, "heads", list) != 0) return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
    for (int i = 0; i < t->n_jobs && status == FV_OK; i++) {
        fv_job *job = &t->jobs[i];
        json_t *one = json_pack("{s:s, s:s, s:f}", "name", job->head->name, "task", job->objective->task, "weight", job->weight);
        if (json_array_append_new(list, one) != 0) return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
        status = describe_job(t, job, one, err);
    }
    if (status == FV_OK && !(put_mean(t, tree, "valid") && put_mean(t, tree, "test"))) status = FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
    return status;
}

static fv_status write_tokenizer(const fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *config = json_pack("{s:s, s:i, s:[s, s, s], s:s, s:s, s:s, s:s, s:s}", "tokenizer_class", "PreTrainedTokenizerFast", "model_max_length", t->recipe.task == FV_TASK_EMBED ? t->recipe.embed.max_len : t->recipe.encoder.max_len,
        "model_input_names", "input_ids", "token_type_ids", "attention_mask", /* without them pairs lose their types elsewhere */
        "pad_token", "[PAD]", "unk_token", "[UNK]", "cls_token", "[CLS]", "sep_token", "[SEP]", "mask_token", "[MASK]");
    if (!config) return FV_FAIL(err, FV_E_MEMORY, "tokenizer_config.json: out of memory");
    FV_TRY(new_path(t, path, "tokenizer.json", err));
    FV_TRY(fv_tokenizer_save(t->tokenizer, path, err));
    FV_TRY(new_path(t, path, "tokenizer_config.json", err));
    FV_TRY(fv_json_save(config, path, err));
done:
    json_decref(config);
    return status;
}

/* All that Marian's folders have. */
static fv_status write_pair(const fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    for (int i = 0; i < n_pair_files(t) && status == FV_OK; i++) {
        FV_TRY(new_path(t, path, fv_pair_tokenizer_file(t->pair, i), err));
        status = fv_pair_tokenizer_save(t->pair, i, path, err);
    }
done:
    return status;
}

/* What makes the folder one of sentence-transformers, and the teacher's axes. */
static fv_status write_sentence(const fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    for (int i = 0; fv_sentence_file(i) && status == FV_OK; i++) {
        json_t *tree = fv_sentence_file_json(i, &t->sentence, t->recipe.encoder.width, err);
        status = tree ? new_path(t, path, fv_sentence_file(i), err) : FV_E_MEMORY;
        if (status == FV_OK) status = fv_json_save(tree, path, err);
        json_decref(tree);
    }
    if (status != FV_OK || !t->teacher || !fv_teacher_turned(t->teacher)) return status;
    FV_TRY(new_path(t, path, FV_TURN_FILE, err));
    FV_TRY(fv_teacher_save_turn(t->teacher, path, err));
done:
    return status;
}

static fv_status write_model(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *config = fv_model_config_json(&t->net, err);
    if (!config) return FV_E_MEMORY;
    FV_TRY((t->pair ? write_pair : write_tokenizer)(t, err));
    FV_TRY(new_path(t, path, "config.json", err));
    FV_TRY(fv_json_save(config, path, err));
    if (t->recipe.task == FV_TASK_EMBED) FV_TRY(write_sentence(t, err));
    FV_TRY(new_path(t, path, FV_SHORTLIST_FILE, err));
    if (t->pair) FV_TRY(fv_training_suggest(t, path, err));
    for (int i = 0; i < t->net.n_heads; i++) {
        const fv_head *head = &t->net.heads[i];
        FV_TRY(new_path(t, path, fv_wide_file_of(head).name, err));
        if (head->has_wide) FV_TRY(fv_wide_save(&head->wide, path, err));
    }
    FV_TRY(new_path(t, path, "model.safetensors", err));
    FV_TRY(fv_weights_save(t->params, path, (const char *[]){"format"}, (const char *[]){"pt"}, 1, err));
done:
    json_decref(config);
    return status;
}

static fv_status add_hashes(const fv_training *t, json_t *tree, fv_err *err)
{
    json_t *files = json_object();
    bool fine = json_object_set_new(tree, "files", files) == 0;
    for (int i = 0; fine && i < n_files(t) - 1; i++) {
        char path[FV_PATH_MAX], hex[65];
        file_name name = name_of_file(t, i);
        if (lacks(t, i)) continue;
        fv_status status = new_path(t, path, name.text, err);
        if (status == FV_OK) status = fv_sha256_file(path, hex, err);
        if (status != FV_OK) return status;
        fine = json_object_set_new(files, name.text, json_string(hex)) == 0;
    }
    return fine ? FV_OK : FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
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
    return fine ? FV_OK : FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
}

/* ---- Taking the old one's place ---- */

static fv_status begin_staging(fv_training *t, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = out_path(t, path, staging_name, err);
    return status == FV_OK ? fv_folder_make(path, err) : status;
}

/* Whatever is left of it: nothing, after a success. */
static void end_staging(const fv_training *t)
{
    char path[FV_PATH_MAX];
    for (int i = 0; i < n_files(t); i++)
        if (new_path(t, path, name_of_file(t, i).text, NULL) == FV_OK) fv_file_remove(path, NULL);
    if (out_path(t, path, staging_name, NULL) == FV_OK) rmdir(path);
}

/* The folder in the folder that a file of that name lies in: made, or, if nothing is left in it, removed. */
static fv_status inner_folder(const fv_training *t, const char *name, bool make, fv_err *err)
{
    char path[FV_PATH_MAX];
    file_name folder;
    const char *slash = strchr(name, '/');
    if (!slash) return FV_OK;
    snprintf(folder.text, sizeof folder.text, "%.*s", (int)(slash - name), name);
    fv_status status = out_path(t, path, folder.text, err);
    if (status == FV_OK && make) return fv_folder_make(path, err);
    if (status == FV_OK) rmdir(path); /* fails where other things lie in it, which stay */
    return status;
}

static fv_status move_in(const fv_training *t, int i, fv_err *err)
{
    char from[FV_PATH_MAX], to[FV_PATH_MAX];
    file_name name = name_of_file(t, i);
    fv_status status = new_path(t, from, name.text, err);
    if (status == FV_OK) status = out_path(t, to, name.text, err);
    if (status == FV_OK && lacks(t, i)) {
        status = fv_file_remove(to, err);
        return status == FV_OK ? inner_folder(t, name.text, false, err) : status;
    }
    if (status == FV_OK) status = inner_folder(t, name.text, true, err);
    if (status != FV_OK || rename(from, to) == 0) return status;
    return FV_FAIL(err, FV_E_IO, "%s: cannot be replaced by %s: %s; --resume tries again", to, from, strerror(errno));
}

static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

static fv_status replace_model(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    FV_TRY(out_path(t, path, record_name, err));
    if (fv_file_exists(path)) FV_TRY(fv_checkpoint_save(t, err));
    for (int i = 0; i < n_files(t); i++) FV_TRY(move_in(t, i, err));
    sync_folder(t->o->out);
    FV_TRY(fv_checkpoint_remove(t, err));
done:
    return status;
}

/* ---- All of it ---- */

static fv_status write_record(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    json_t *tree = json_pack("{s:i, s:s}", "format", 1, "task", fv_task_name(&t->net));
    if (!tree) return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory", record_name);
    FV_TRY(describe_jobs(t, tree, err));
    FV_TRY(write_model(t, err));
    FV_TRY(add_hashes(t, tree, err));
    FV_TRY(add_circumstances(t, tree, err));
    FV_TRY(new_path(t, path, record_name, err));
    FV_TRY(fv_json_save(tree, path, err));
done:
    json_decref(tree);
    return status;
}

fv_status fv_training_publish(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    use_best(t);
    FV_TRY(begin_staging(t, err));
    FV_TRY(write_record(t, err));
    FV_TRY(replace_model(t, err));
done:
    end_staging(t);
    return status;
}

/* ---- Was it published before? ---- */

static bool same_rows(const json_t *data, const char *key, const fv_part *part)
{
    const char *hash = json_string_value(json_object_get(json_object_get(data, key), "sha256"));
    return hash && strcmp(hash, part->data.hash) == 0;
}

static bool same_data(const fv_job *job, const json_t *data)
{
    bool tested = json_object_get(data, "test") != NULL;
    return same_rows(data, "train", &job->train) && same_rows(data, "valid", &job->valid) && tested == job->has_test && (!tested || same_rows(data, "test", &job->test));
}

static bool same_job(const fv_training *t, int i, const json_t *record)
{
    const fv_job *job = &t->jobs[i];
    if (t->recipe.task != FV_TASK_MULTI) return same_data(job, json_object_get(record, "data"));
    const json_t *entry = json_array_get(json_object_get(record, "heads"), (size_t)i);
    const char *name = json_string_value(json_object_get(entry, "name"));
    return name && strcmp(name, job->head->name) == 0 && json_number_value(json_object_get(entry, "weight")) == job->weight && same_data(job, json_object_get(entry, "data"));
}

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
    *finished = json_equal(json_object_get(tree, "recipe"), recipe);
    for (int i = 0; i < t->n_jobs; i++) *finished = *finished && same_job(t, i, tree);
done:
    json_decref(tree);
    json_decref(recipe);
    return status;
}
