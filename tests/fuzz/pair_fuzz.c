/* A translator's folder with one strange file in it: the first byte says which (vocab.json, target_vocab.json, or both models). It
 * is refused with a message, or texts go to ids of its vocabularies and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "text/pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = ">>a<< the cat \u4f60\u597d </s> sat \xff on  the mat <unk>";
static char folder[64];

static void promise(bool kept)
{
    if (!kept) abort();
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_plain(const char *name, const void *bytes, size_t n)
{
    FILE *file = fopen(path_of(name), "wb"); /* not fv_file_write, which syncs */
    promise(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

static void remove_files(void)
{
    static const char *const names[] = {"source.spm", "target.spm", "vocab.json", "target_vocab.json"};
    for (size_t i = 0; i < FV_COUNT(names); i++) unlink(path_of(names[i]));
}

static void remove_folder(void)
{
    remove_files();
    rmdir(folder);
}

static void make_folder(void)
{
    if (*folder) return;
    snprintf(folder, sizeof folder, "%s/fovea-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir);
    promise(mkdtemp(folder) != NULL);
    atexit(remove_folder);
}

static void use(const fv_pair_tokenizer *t, fv_side side)
{
    fv_err err = {0};
    fv_encoding e = {0};
    uint32_t begins[128], ends[128];
    char *back = NULL;
    size_t len;
    fv_status status = fv_pair_encode(t, side, text, sizeof text - 1, 0, NULL, &e, &err);
    promise(status == err.status && (status == FV_OK || (e.n == 0 && err.text[0])));
    promise(e.n <= FV_COUNT(begins));
    for (size_t i = 0; i < e.n; i++) promise(fv_pair_token(t, side, e.ids[i]) && e.begins[i] <= e.ends[i] && e.ends[i] <= sizeof text - 1);
    promise(fv_pair_decode(t, side, e.ids, e.n, &back, &len, begins, ends, NULL) == FV_OK);
    for (size_t i = 0; i < e.n; i++) promise(begins[i] <= ends[i] && ends[i] <= len);
    free(back);
    fv_encoding_release(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char vocab[] = "{\"</s>\":0,\"<unk>\":1,\"\u2581the\":2,\">>a<<\":3,\"the\":4,\"\u2581\":5,\"cat\":6,\"<pad>\":7}";
    fv_err err = {0};
    if (size < 1) return 0;
    make_folder();
    write_plain("vocab.json", data[0] % 3 == 0 ? (const char *)data + 1 : vocab, data[0] % 3 == 0 ? size - 1 : sizeof vocab - 1);
    if (data[0] % 3 == 1) write_plain("target_vocab.json", data + 1, size - 1);
    if (data[0] % 3 == 2) write_plain("source.spm", data + 1, size - 1);
    if (data[0] % 3 == 2) write_plain("target.spm", data + 1, size - 1);
    fv_pair_tokenizer *t = fv_pair_tokenizer_open(folder, &err);
    promise((t != NULL) == (err.status == FV_OK) && (t != NULL) == (err.text[0] == 0));
    if (t) use(t, FV_SIDE_SOURCE);
    if (t) use(t, FV_SIDE_TARGET);
    fv_pair_tokenizer_close(t);
    remove_files();
    return 0;
}
