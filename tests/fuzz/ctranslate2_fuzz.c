/* A model.bin from strangers: opened, every number that was promised is read as float32, and taken for a translator. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models/seq2seq_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile float sink;

static char folder[64];

static void remove_folder(void)
{
    static const char *const files[] = {"model.bin", "config.json", "shared_vocabulary.txt"};
    char path[FV_PATH_MAX];
    for (size_t i = 0; i < FV_COUNT(files); i++)
        if (fv_path_join(path, folder, files[i], NULL) == FV_OK) unlink(path);
    rmdir(folder);
}

static void put(const char *name, const void *bytes, size_t n)
{
    char path[FV_PATH_MAX];
    if (fv_path_join(path, folder, name, NULL) != FV_OK) abort();
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) abort();
}

/* Once: a folder in memory where there is one, with a vocabulary and settings that fit what the seeds are. */
static void make_folder(void)
{
    static const char config[] = "{\"add_source_eos\": true, \"decoder_start_token\": \"</s>\"}", tokens[] = "</s>\na\nb\n";
    if (*folder) return;
    snprintf(folder, sizeof folder, "%s/fovea-fuzz-%ld", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir, (long)getpid());
    if (mkdir(folder, 0700) != 0) abort();
    atexit(remove_folder);
    put("config.json", config, sizeof config - 1);
    put("shared_vocabulary.txt", tokens, sizeof tokens - 1);
}

static void read_all(fv_ctranslate2 *m)
{
    for (size_t i = 0; i < m->n; i++) {
        const fv_st_tensor *t = &m->variables[i];
        double number = 0;
        const char *text = "";
        if (fv_ctranslate2_find(m, t->name) != t) abort();
        (void)fv_ctranslate2_text(m, t->name, &text, NULL);
        if (fv_ctranslate2_number(m, t->name, &number, NULL) == FV_OK) sink += (float)number;
        float *floats = t->rank ? fv_alloc_zero(t->bytes + 1, sizeof *floats, NULL) : NULL;
        if (floats && fv_ctranslate2_floats(m, t, 0, t->shape[0], floats, NULL) == FV_OK) sink += floats[0];
        fv_free(floats);
    }
}

static void import(fv_ctranslate2 *m)
{
    fv_err err = {0};
    fv_seq2seq_import made = {0};
    if (fv_seq2seq_import_ctranslate2(&made, m, &err) != FV_OK && !err.text[0]) abort();
    for (size_t i = 0; i < made.n; i++) {
        const uint8_t *bytes = made.tensors[i].data;
        for (size_t at = 0; at < made.tensors[i].bytes; at++) sink += bytes[at];
    }
    fv_seq2seq_import_release(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_ctranslate2 m;
    fv_err err = {0};
    make_folder();
    put("model.bin", data, size);
    fv_status status = fv_ctranslate2_open(&m, folder, &err);
    if (status != FV_OK) {
        if (err.status != status || !err.text[0]) abort();
        return 0;
    }
    read_all(&m);
    import(&m);
    fv_ctranslate2_close(&m);
    return 0;
}
