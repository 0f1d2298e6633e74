/* Encoder folders as hubs publish them, of which one file comes from a stranger: opened or refused, and what opens must make
 * vectors and answer a pair, or say why it cannot. The first byte of an input says which file of which recorded folder
 * (tests/golden/encoders) the rest replaces: configurations of every family, the index over shards, a chain of modules, integers and their scales. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct { const char *source, *file; } cases[] = {
    {"sentence", "modules.json"}, {"sentence", "1_Pooling/config.json"}, {"sentence", "2_Dense/config.json"}, {"sentence", "2_Dense/model.safetensors"}, {"sentence", "config_sentence_transformers.json"},
    {"sentence", "sentence_bert_config.json"}, {"sentence", "tokenizer_config.json"}, {"cross", "config.json"}, {"bert-sharded", "model.safetensors.index.json"}, {"roberta", "config.json"},
    {"xlm-roberta", "config.json"}, {"distilbert", "config.json"}, {"mpnet", "config.json"}, {"bert-tags", "config.json"}, {"int8", "config.json"}, {"int8", "model.safetensors"},
};

/* What a folder may have; folders first. Those without a tokenizer get the one of "sentence". */
static const char *const folders[] = {"1_Pooling", "2_Dense", "3_Normalize"};
static const char *const files[] = {
    "config.json", "model.safetensors", "model.safetensors.index.json", "model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors", "model-00003-of-00004.safetensors",
    "model-00004-of-00004.safetensors", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer_config.json", "tokenizer.json",
    "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "3_Normalize/config.json",
};

static char root[FV_PATH_MAX / 4], golden[FV_PATH_MAX / 4];

typedef struct place { char path[FV_PATH_MAX]; } place;

static place place_of(const char *in, const char *source, const char *name)
{
    place p;
    if (snprintf(p.path, sizeof p.path, "%s/%s/%s", in, source, name) >= (int)sizeof p.path) abort();
    return p;
}

/* The file is the recorded one again: a link. */
static void put_right(const char *source, const char *name)
{
    place from = place_of(golden, source, name), to = place_of(root, source, name);
    if (!fv_file_exists(from.path) && strcmp(name, "tokenizer.json") == 0) from = place_of(golden, "sentence", name);
    unlink(to.path);
    if (fv_file_exists(from.path) && symlink(from.path, to.path) != 0) abort();
}

static void put_bytes(const char *source, const char *name, const uint8_t *data, size_t size)
{
    place to = place_of(root, source, name);
    unlink(to.path);
    int fd = open(to.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    close(fd);
}

static void make_folder(const char *source)
{
    place top = place_of(root, source, "");
    if (mkdir(top.path, 0700) != 0) return; /* another case's already */
    for (size_t i = 0; i < FV_COUNT(folders) && strcmp(source, "sentence") == 0; i++)
        if (mkdir(place_of(root, source, folders[i]).path, 0700) != 0) abort();
    for (size_t i = 0; i < FV_COUNT(files); i++)
        if (!strchr(files[i], '/') || strcmp(source, "sentence") == 0) put_right(source, files[i]);
}

static void clean_up(void)
{
    for (size_t c = 0; c < FV_COUNT(cases); c++) {
        for (size_t i = 0; i < FV_COUNT(files); i++) unlink(place_of(root, cases[c].source, files[i]).path);
        for (size_t i = 0; i < FV_COUNT(folders); i++) rmdir(place_of(root, cases[c].source, folders[i]).path);
        rmdir(place_of(root, cases[c].source, "").path);
    }
    rmdir(root);
}

/* Once: in memory if that can be. */
static void make_folders(void)
{
    char path[FV_PATH_MAX];
    if (*root) return;
    if (!realpath("tests/golden/encoders", path) || strlen(path) >= sizeof golden) abort();
    memcpy(golden, path, strlen(path) + 1);
    snprintf(root, sizeof root, "%s/fovea-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir);
    if (!mkdtemp(root)) abort();
    atexit(clean_up);
    for (size_t c = 0; c < FV_COUNT(cases); c++) make_folder(cases[c].source);
}

/* It succeeds, or says why not. */
static void promise(bool fine, const fv_err *err)
{
    if (!fine && (err->status == FV_OK || !err->text[0])) abort();
}

static void use(fv_model *model)
{
    fv_err err = {0};
    fv_text text = {.text = "a cat, a dog"}, pair = {.text = "a cat", .text2 = "the dog sat"};
    fv_label best;
    fv_session *s = fv_session_new(model, NULL, &err);
    float *x = calloc((size_t)fv_model_embedding_size(model) + 1, sizeof *x);
    promise(s != NULL, &err);
    if (!x) abort();
    if (s) promise(fv_embed(s, &text, 1, NULL, x, &err) == FV_OK, &err);
    if (s) promise(fv_classify(s, &pair, 1, 1, &best, &err) == FV_OK, &err);
    fv_session_free(s);
    free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_err err = {0};
    if (size < 1) return 0;
    make_folders();
    const char *source = cases[data[0] % FV_COUNT(cases)].source, *file = cases[data[0] % FV_COUNT(cases)].file;
    put_bytes(source, file, data + 1, size - 1);
    fv_model *model = fv_model_open(place_of(root, source, "").path, &err);
    promise(model != NULL, &err);
    if (model) use(model);
    fv_model_close(model);
    char *told = fv_model_inspect(place_of(root, source, "").path, &err);
    promise(told != NULL, &err);
    free(told);
    put_right(source, file);
    return 0;
}
