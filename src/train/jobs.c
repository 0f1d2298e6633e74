/* What is to be learnt: one job from the options, or several from a list of tasks; their rows and their
 * labels. What a row becomes is the objective's business. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/training.h"

enum { MAX_JOBS = 64, MAX_LIST_BYTES = 1 << 20 };

const fv_objective *fv_objective_of(fv_labels kind)
{
    if (kind == FV_LABELS_TEXT) return &fv_objective_translate;
    if (kind == FV_LABELS_VECTOR) return &fv_objective_embed;
    return kind == FV_LABELS_NONE ? &fv_objective_mlm : kind == FV_LABELS_TAGS ? &fv_objective_tag : &fv_objective_classify;
}

/* ---- Rows and labels ---- */

/* A model below the folder of texts would be read as a text by the next run: its log, its vocabulary. */
static fv_status check_out(const fv_training *t, const char *texts, fv_err *err)
{
    if (!fv_folder_exists(texts)) return FV_OK;
    char from[PATH_MAX], to[PATH_MAX];
    if (!realpath(texts, from) || !realpath(t->o->out, to)) return FV_OK;
    size_t n = strlen(from);
    bool within = strncmp(from, to, n) == 0 && (to[n] == '/' || to[n] == '\0' || n == 1);
    return within ? FV_FAIL(err, FV_E_ARGUMENT, "%s lies in %s, whose texts are learnt from; write the model to another place", t->o->out, texts) : FV_OK;
}

static fv_status load(fv_training *t, fv_job *job, fv_part *part, bool grow, fv_err *err)
{
    const char *path = part->path;
    fv_status status = job->head->kind == FV_LABELS_NONE ? check_out(t, path, err) : FV_OK;
    if (status == FV_OK) status = fv_dataset_load(&part->data, path, &job->columns, job->head->kind, &job->head->labels, grow, err);
    if (status != FV_OK) return status;
    if (part->data.skipped) fv_training_say(t, "%s: %lld bad rows left out; the first: %s", path, (long long)part->data.skipped, part->data.skipped_first);
    if (part->data.files) fv_training_say(t, "%s: %zu texts of %lld files", path, part->data.n, (long long)part->data.files);
    if (part->data.skipped_files) fv_training_say(t, "%s: %lld bad files left out; the first: %s", path, (long long)part->data.skipped_files, part->data.skipped_files_first);
    if (part->data.unknown) fv_training_say(t, "%s: %lld rows have labels that training never saw, and count as wrong; the first: %s", path, (long long)part->data.unknown, part->data.unknown_first);
    return FV_OK;
}

static fv_status check_labels(const fv_job *job, fv_err *err)
{
    const fv_label_set *labels = &job->head->labels;
    fv_shown shown;
    if (job->head->kind == FV_LABELS_SINGLE && labels->n < 2)
        return FV_FAIL(err, FV_E_INPUT, "%s: all %zu rows have the label %s; a classifier needs at least two", job->train.path, job->train.data.n, fv_show(&shown, labels->names[0], strlen(labels->names[0])));
    if (job->head->kind == FV_LABELS_TAGS && labels->n < 1) return FV_FAIL(err, FV_E_INPUT, "%s: no words in any text; expected words and their tags", job->train.path);
    if (job->head->kind == FV_LABELS_TAGS && labels->n < 2)
        return FV_FAIL(err, FV_E_INPUT, "%s: all words have the tag %s; expected at least two tags", job->train.path, fv_show(&shown, labels->names[0], strlen(labels->names[0])));
    if (job->head->kind == FV_LABELS_MULTI && labels->n < 1) return FV_FAIL(err, FV_E_INPUT, "%s: no row has a label", job->train.path);
    return FV_OK;
}

static fv_status hold_back(fv_training *t, fv_job *job, fv_err *err)
{
    if (job->train.data.n < 10) return FV_FAIL(err, FV_E_INPUT, "%s: %zu rows are too few to hold a tenth back; give validation data (--valid)", job->train.path, job->train.data.n);
    fv_status status = fv_dataset_split(&job->train.data, 0.1, t->recipe.seed, &job->valid.data, err);
    if (status == FV_OK) fv_training_say(t, "%s%sno validation file: %zu of %zu rows are held back from training", job->head->name, *job->head->name ? ": " : "", job->valid.data.n, job->valid.data.n + job->train.data.n);
    return status;
}

static fv_status load_job(fv_training *t, fv_job *job, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(load(t, job, &job->train, true, err));
    FV_TRY(check_labels(job, err));
    FV_TRY(fv_dataset_sort_labels(&job->train.data, job->head->kind, &job->head->labels, err));
    if (job->valid.path) FV_TRY(load(t, job, &job->valid, false, err));
    else FV_TRY(hold_back(t, job, err));
    if (job->test.path) FV_TRY(load(t, job, &job->test, false, err));
    job->has_test = job->test.path != NULL;
    if (job->objective->look) FV_TRY(job->objective->look(t, job, err));
    job->head->temperature = 1;
    fv_head_count_outputs(job->head);
done:
    return status;
}

/* ---- A list of tasks ---- */

/* A string of the entry, kept in the arena; *out keeps its value when there is none. */
static fv_status get_text(fv_training *t, const json_t *entry, const char *key, const char **out, const char *where, fv_err *err)
{
    const char *text = NULL;
    fv_status status = fv_json_text(entry, key, false, &text, where, err);
    if (status != FV_OK || !text) return status;
    *out = fv_arena_strndup(&t->arena, text, strlen(text), err);
    return *out ? FV_OK : FV_E_MEMORY;
}

/* A path of the entry, from the folder that the list lies in. */
static fv_status get_path(fv_training *t, const json_t *entry, const char *key, const char **out, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    const char *name = NULL, *slash = strrchr(t->o->train, '/');
    char folder[FV_PATH_MAX], path[FV_PATH_MAX];
    FV_TRY(get_text(t, entry, key, &name, where, err));
    if (!name || *name == '/' || !slash) return *out = name, FV_OK;
    size_t len = (size_t)(slash - t->o->train);
    if (len >= sizeof folder) return FV_FAIL(err, FV_E_ARGUMENT, "%s: the path is too long", t->o->train);
    memcpy(folder, t->o->train, len);
    folder[len] = 0;
    FV_TRY(fv_path_join(path, len ? folder : "/", name, err));
    *out = fv_arena_strndup(&t->arena, path, strlen(path), err);
    if (!*out) status = FV_E_MEMORY;
done:
    return status;
}

/* Which of `words` the entry's value is; *out keeps its value when there is none. */
static fv_status get_choice(const json_t *entry, const char *key, const char *const *words, int n, int *out, const char *where, fv_err *err)
{
    const char *text = NULL;
    fv_shown shown;
    fv_status status = fv_json_text(entry, key, false, &text, where, err);
    if (status != FV_OK || !text) return status;
    for (int i = 0; i < n; i++)
        if (strcmp(text, words[i]) == 0) return *out = i, FV_OK;
    return FV_FAIL(err, FV_E_INPUT, "%s: %s is %s; expected %s%s%s%s%s", where, key, fv_show(&shown, text, strlen(text)), words[0], n > 2 ? ", " : " or ", words[1], n > 2 ? " or " : "", n > 2 ? words[2] : "");
}

static fv_status check_keys(const json_t *entry, const char *where, fv_err *err)
{
    static const char *const known[] = {"name", "task", "train", "valid", "test", "text", "text2", "label", "labels", "weight"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)entry, key, value) {
        size_t i = 0;
        while (i < FV_COUNT(known) && strcmp(key, known[i]) != 0) i++;
        fv_shown shown;
        if (i == FV_COUNT(known)) return FV_FAIL(err, FV_E_INPUT, "%s: %s is not known; expected name, task, train, valid, test, text, text2, label, labels or weight", where, fv_show(&shown, key, strlen(key)));
    }
    return FV_OK;
}

static fv_status check_name(const fv_training *t, const fv_job *job, const char *where, fv_err *err)
{
    if (!*job->head->name) return FV_FAIL(err, FV_E_INPUT, "%s: no name", where);
    for (const fv_job *other = t->jobs; other < job; other++)
        if (strcmp(other->head->name, job->head->name) == 0) return FV_FAIL(err, FV_E_INPUT, "%s: a task before it is called %s too", where, job->head->name);
    return FV_OK;
}

static fv_status parse_entry(fv_training *t, fv_job *job, const json_t *entry, const char *where, fv_err *err)
{
    static const char *const tasks[] = {"classify", "tag"}, *const kinds[] = {"single", "multi", "regression"};
    fv_status status = FV_OK;
    const char *name = "";
    int task = 0, kind = 0;
    FV_TRY(check_keys(entry, where, err));
    FV_TRY(fv_json_text(entry, "name", true, &name, where, err));
    FV_TRY(fv_head_set_name(job->head, name, where, err));
    FV_TRY(check_name(t, job, where, err));
    FV_TRY(get_choice(entry, "task", tasks, 2, &task, where, err));
    FV_TRY(get_choice(entry, "labels", kinds, 3, &kind, where, err));
    FV_TRY(fv_json_real(entry, "weight", false, &job->weight, where, err));
    FV_TRY(get_path(t, entry, "train", &job->train.path, where, err));
    FV_TRY(get_path(t, entry, "valid", &job->valid.path, where, err));
    FV_TRY(get_path(t, entry, "test", &job->test.path, where, err));
    FV_TRY(get_text(t, entry, "text", &job->columns.text, where, err));
    FV_TRY(get_text(t, entry, "text2", &job->columns.text2, where, err));
    FV_TRY(get_text(t, entry, "label", &job->columns.label, where, err));
    if (!job->train.path) return FV_FAIL(err, FV_E_INPUT, "%s: no file to learn from (train)", where);
    if (!(job->weight > 0 && job->weight <= 1e6)) return FV_FAIL(err, FV_E_INPUT, "%s: weight is %g; expected more than 0", where, job->weight);
    job->head->kind = task == 1 ? FV_LABELS_TAGS : (fv_labels)kind;
done:
    return status;
}

static fv_status make_room(fv_training *t, size_t n, fv_err *err)
{
    t->jobs = fv_alloc_zero(n, sizeof *t->jobs, err);
    t->net.heads = fv_alloc_zero(n, sizeof *t->net.heads, err);
    if (!t->jobs || !t->net.heads) return FV_E_MEMORY;
    t->n_jobs = t->net.n_heads = (int)n;
    for (size_t i = 0; i < n; i++) t->jobs[i] = (fv_job){.head = &t->net.heads[i], .columns = t->o->columns, .weight = 1, .share = 1};
    return FV_OK;
}

static fv_status parse_list(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    const char *path = t->o->train;
    json_t *list = fv_json_load(path, MAX_LIST_BYTES, err);
    if (!list) return err->status;
    size_t n = json_array_size(list);
    if (n < 2 || n > MAX_JOBS) { status = FV_FAIL(err, FV_E_INPUT, "%s: not a list of 2 to %d tasks", path, MAX_JOBS); goto done; }
    FV_TRY(make_room(t, n, err));
    for (size_t i = 0; i < n; i++) {
        char where[FV_PATH_MAX];
        snprintf(where, sizeof where, "%.3000s: task %zu", path, i + 1);
        FV_TRY(parse_entry(t, &t->jobs[i], json_array_get(list, i), where, err));
    }
done:
    json_decref(list);
    return status;
}

/* ---- All of it ---- */

static fv_status from_options(fv_training *t, fv_err *err)
{
    fv_status status = make_room(t, 1, err);
    if (status != FV_OK) return status;
    fv_job *job = &t->jobs[0];
    static const fv_labels kinds[] = {[FV_TASK_TAG] = FV_LABELS_TAGS, [FV_TASK_MLM] = FV_LABELS_NONE, [FV_TASK_TRANSLATE] = FV_LABELS_TEXT, [FV_TASK_EMBED] = FV_LABELS_VECTOR};
    job->head->kind = t->recipe.task == FV_TASK_CLASSIFY ? t->recipe.labels : kinds[t->recipe.task];
    if (job->head->kind == FV_LABELS_NONE) job->columns.label = NULL;
    if (job->head->kind == FV_LABELS_VECTOR) fv_dataset_vector_columns(&job->columns);
    job->columns.text2_may_be_empty = t->o->teacher != NULL; /* a teacher says something of each text */
    job->train.path = t->o->train;
    job->valid.path = t->o->valid;
    job->test.path = t->o->test;
    return FV_OK;
}

fv_status fv_jobs_load(fv_training *t, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(t->recipe.task == FV_TASK_MULTI ? parse_list(t, err) : from_options(t, err));
    for (int i = 0; i < t->n_jobs; i++) {
        t->jobs[i].objective = fv_objective_of(t->jobs[i].head->kind);
        FV_TRY(load_job(t, &t->jobs[i], err));
    }
done:
    return status;
}

static void release_part(fv_part *part)
{
    fv_sampler_release(&part->sampler);
    fv_token_rows_release(&part->rows);
    fv_pair_rows_release(&part->pairs);
    fv_word_rows_release(&part->words);
    fv_free(part->tags);
    fv_feature_rows_release(&part->features);
    fv_dataset_release(&part->data);
    fv_free(part->kinds);
    fv_free(part->logits);
    fv_judgements_release(&part->judged);
    fv_free(part->names);
    fv_free(part->taught);
}

void fv_job_release(fv_job *job)
{
    release_part(&job->train);
    release_part(&job->valid);
    release_part(&job->test);
    fv_graph_free(job->graph);
    fv_free(job->targets);
    fv_free(job->labels);
    fv_free(job->margins);
    fv_lessons_release(&job->lessons);
    fv_masker_release(&job->masker);
    fv_pair_batch_release(&job->pairs);
    fv_text_batch_release(&job->texts);
}
