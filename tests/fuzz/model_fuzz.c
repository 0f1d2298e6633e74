/* config.json and fovea.json from strangers beside weights that are fine: opened or refused, and what
 * opens must answer. The first byte of an input says which of the two files the rest is. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const parts[] = {"config.json", "fovea.json", "model.safetensors", "tokenizer.json"};
static char source[FV_PATH_MAX], folder[FV_PATH_MAX];

static void path_in(char path[FV_PATH_MAX], const char *dir, int part)
{
    if (fv_path_join(path, dir, parts[part], NULL) != FV_OK) abort();
}

/* The file is the right one again: a link. */
static void put_right(int part)
{
    char from[FV_PATH_MAX], to[FV_PATH_MAX];
    path_in(from, source, part);
    path_in(to, folder, part);
    unlink(to);
    if (symlink(from, to) != 0) abort();
}

static void put_bytes(int part, const uint8_t *data, size_t size)
{
    char to[FV_PATH_MAX];
    path_in(to, folder, part);
    unlink(to);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    close(fd);
}

static void remove_folder(void)
{
    char path[FV_PATH_MAX];
    for (int i = 0; i < 4; i++) {
        path_in(path, folder, i);
        unlink(path);
    }
    rmdir(folder);
}

/* Once: a folder in memory if there is one, of links to the recorded model. */
static void make_folder(void)
{
    if (*folder) return;
    if (!realpath("tests/golden/bert-tiny", source)) abort();
    snprintf(folder, sizeof folder, "%s/fovea-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir);
    if (!mkdtemp(folder)) abort();
    for (int i = 0; i < 4; i++) put_right(i);
    atexit(remove_folder);
}

static void answer(fv_model *model)
{
    fv_err err = {0};
    fv_text text = {.text = "where is my parcel?", .text2 = "退货"};
    fv_label best;
    fv_session *s = fv_session_new(model, NULL, &err);
    if (!s || fv_classify(s, &text, 1, 1, &best, &err) != FV_OK) abort();
    fv_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_err err = {0};
    if (size < 1) return 0;
    make_folder();
    int part = data[0] & 1;
    put_bytes(part, data + 1, size - 1);
    fv_model *model = fv_model_open(folder, &err);
    if (model) answer(model);
    else if (err.status == FV_OK || !err.text[0]) abort();
    fv_model_close(model);
    put_right(part);
    return 0;
}
