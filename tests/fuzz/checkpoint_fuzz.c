/* Checkpoints whose words come from strangers, beside vectors that are fine: resumed or refused. The
 * first byte of an input says which text of the file's metadata the rest is. What resumes is stopped at
 * its first event, since a checkpoint may well say that there are a million steps left; one that says
 * that all is done is published. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {"fovea_checkpoint", "state", "recipe", "data"};
static const char *const vectors[] = {"weights", "moment1", "moment2", "best"};
static char folder[FV_PATH_MAX], rows[FV_PATH_MAX], checkpoint[FV_PATH_MAX];
static char *right[4];                 /* the metadata as it should be */
static fv_safetensors made;            /* the checkpoint as it should be, mapped from a name that is gone */
static fv_train_options options;

static int stop(void *user, const fv_event *event)
{
    (void)user, (void)event;
    return 1;
}

static int stop_after_a_step(void *user, const fv_event *event)
{
    (void)user;
    return event->kind == FV_EVENT_STEP;
}

static void remove_folder(void)
{
    static const char *const names[] = {
        "rows.tsv", "checkpoint.safetensors", "log.jsonl", "events.out.tfevents.fovea", ".lock",
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "fovea.json",
    };
    char path[FV_PATH_MAX];
    for (size_t i = 0; i < FV_COUNT(names); i++)
        if (fv_path_join(path, folder, names[i], NULL) == FV_OK) unlink(path);
    rmdir(folder);
}

static void fill_options(void)
{
    fv_train_options_init(&options);
    options.train = options.valid = rows;
    options.out = folder;
    options.layers = 1;
    options.width = options.ffn = 8;
    options.max_len = 8;
    options.vocab = 262;
    options.steps = 3;
    options.wide = false;
    options.on_event = stop_after_a_step;
}

/* Once: a training stopped after a step, in memory if that can be. */
static void make_checkpoint(void)
{
    static const char text[] = "text\tlabel\nab\tx\nba\ty\nabba\tx\n";
    if (*folder) return;
    snprintf(folder, sizeof folder, "%s/fovea-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir);
    if (!mkdtemp(folder)) abort();
    atexit(remove_folder);
    if (fv_path_join(rows, folder, "rows.tsv", NULL) != FV_OK || fv_path_join(checkpoint, folder, "checkpoint.safetensors", NULL) != FV_OK) abort();
    if (fv_file_write(rows, text, sizeof text - 1, NULL) != FV_OK) abort();
    fill_options();
    if (fv_train(&options, NULL) != FV_E_STOPPED || fv_safetensors_open(&made, checkpoint, NULL) != FV_OK) abort();
    for (size_t i = 0; i < FV_COUNT(keys); i++) right[i] = (char *)(uintptr_t)fv_safetensors_meta(&made, keys[i]);
    options.resume = true;
    options.on_event = stop;
}

static void write_checkpoint(const char *const values[4])
{
    fv_st_tensor tensors[FV_COUNT(vectors)];
    for (size_t i = 0; i < FV_COUNT(vectors); i++) tensors[i] = *fv_safetensors_find(&made, vectors[i]);
    if (fv_safetensors_write(checkpoint, tensors, FV_COUNT(tensors), keys, values, FV_COUNT(keys), NULL) != FV_OK) abort();
}

/* Plain characters: others are for the fuzzer of JSON. */
static bool is_text(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] == 0 || data[i] >= 0x80) return false;
    return size > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_err err = {0};
    if (!is_text(data, size)) return 0;
    make_checkpoint();
    const char *values[4];
    memcpy(values, right, sizeof values);
    char *text = strndup((const char *)data + 1, size - 1);
    if (!text) abort();
    values[data[0] & 3] = text;
    write_checkpoint(values);
    if (fv_train(&options, &err) != FV_OK && !err.text[0]) abort();
    free(text);
    return 0;
}
