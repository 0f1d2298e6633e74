/* Model folders of which one file comes from a stranger: opened or refused, and what opens must answer, explain,
 * judge, describe itself and be trained further, or say why it cannot. The folder is a model trained here, with
 * its wide part. The first byte of an input says which file, whether to train further, which takes most of the
 * time, and how the rest changes the file: in its place, as the header of its weights, as three-byte edits (place,
 * place, change), or behind what is left of it after a cut. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"config.json", "fovea.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "wide.safetensors"};
#define N_FILES FV_COUNT(names)

static char folder[FV_PATH_MAX], rows[FV_PATH_MAX], out[FV_PATH_MAX];
static fv_buf right[N_FILES]; /* the files as they should be */

static const char *path_of(char path[FV_PATH_MAX], const char *in, const char *name)
{
    if (fv_path_join(path, in, name, NULL) != FV_OK) abort();
    return path;
}

static void write_plain(const char *name, const char *bytes, size_t n)
{
    char path[FV_PATH_MAX];
    FILE *file = fopen(path_of(path, folder, name), "wb"); /* not fv_file_write, which syncs */
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) abort();
}

static void remove_files(const char *in)
{
    static const char *const others[] = {"checkpoint.safetensors", "log.jsonl", "previous.log.jsonl", "events.out.tfevents.fovea", ".lock", "rows.tsv"};
    char path[FV_PATH_MAX];
    for (size_t i = 0; i < N_FILES; i++) unlink(path_of(path, in, names[i]));
    for (size_t i = 0; i < FV_COUNT(others); i++) unlink(path_of(path, in, others[i]));
    rmdir(in);
}

static void clean_up(void)
{
    remove_files(out);
    remove_files(folder);
    for (size_t i = 0; i < N_FILES; i++) fv_buf_release(&right[i]);
}

static fv_status train(const char *from, const char *to, fv_err *err)
{
    fv_train_options o;
    fv_train_options_init(&o);
    o.train = o.valid = rows;
    o.out = to;
    o.from = from;
    o.steps = from ? 1 : 2;
    o.checkpoint_seconds = 1e6;
    if (from) return fv_train(&o, err);
    o.layers = 1;
    o.width = o.ffn = 8;
    o.max_len = 8;
    o.vocab = 262;
    return fv_train(&o, err);
}

/* Once: in memory if that can be. */
static void make_folder(void)
{
    static const char text[] = "text\tlabel\nab\tx\nba\ty\nabba\tx\n";
    char path[FV_PATH_MAX];
    if (*folder) return;
    snprintf(folder, sizeof folder, "%s/fovea-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir);
    if (!mkdtemp(folder)) abort();
    path_of(rows, folder, "rows.tsv");
    path_of(out, folder, "out");
    write_plain("rows.tsv", text, sizeof text - 1);
    if (train(NULL, folder, NULL) != FV_OK) abort();
    for (size_t i = 0; i < N_FILES; i++)
        if (fv_file_read(path_of(path, folder, names[i]), 1 << 24, &right[i], NULL) != FV_OK) abort();
    atexit(clean_up);
}

/* ---- Changes ---------------------------------------------------------------------------------- */

static void add(fv_buf *to, const void *bytes, size_t n)
{
    if (fv_buf_add(to, bytes, n, NULL) != FV_OK) abort();
}

static void put_header(fv_buf *to, const fv_buf *file, const uint8_t *header, size_t n)
{
    uint64_t old, length = n;
    memcpy(&old, file->data, 8); /* little-endian, as all machines here are */
    add(to, &length, 8);
    add(to, header, n);
    add(to, file->data + 8 + old, file->len - 8 - old);
}

static void edit(fv_buf *to, const fv_buf *file, const uint8_t *data, size_t size)
{
    add(to, file->data, file->len);
    for (; size >= 3; data += 3, size -= 3) to->data[(size_t)(data[0] << 8 | data[1]) % to->len] ^= (char)data[2];
}

static void cut(fv_buf *to, const fv_buf *file, const uint8_t *data, size_t size)
{
    if (size < 2) return;
    add(to, file->data, (size_t)(data[0] << 8 | data[1]) % file->len);
    add(to, data + 2, size - 2);
}

static void change(fv_buf *to, size_t file, int how, const uint8_t *data, size_t size)
{
    bool weights = strstr(names[file], ".safetensors") != NULL;
    if (how == 1 && weights) put_header(to, &right[file], data, size);
    else if (how == 2) edit(to, &right[file], data, size);
    else if (how == 3) cut(to, &right[file], data, size);
    else add(to, data, size);
}

/* ---- Use -------------------------------------------------------------------------------------- */

/* It succeeds, or says why not. */
static void promise(bool fine, const fv_err *err)
{
    if (!fine && (err->status == FV_OK || !err->text[0])) abort();
}

static void use(fv_model *model)
{
    fv_err err = {0};
    fv_text text = {.text = "abba ab", .text2 = "退货"};
    fv_label best;
    const fv_word *words;
    size_t n;
    fv_session *s = fv_session_new(model, NULL, &err);
    promise(s != NULL, &err);
    if (!s) return;
    promise(fv_classify(s, &text, 1, 1, &best, &err) == FV_OK, &err);
    promise(fv_attention_words(s, &text, &words, &n, &err) == FV_OK, &err);
    fv_report *report = fv_eval(s, rows, NULL, &err);
    promise(report != NULL, &err);
    fv_report_free(report);
    fv_session_free(s);
}

static void use_folder(bool further)
{
    fv_err err = {0};
    fv_model *model = fv_model_open(folder, &err);
    promise(model != NULL, &err);
    if (model) use(model);
    fv_model_close(model);
    char *text = fv_model_inspect(folder, &err);
    promise(text != NULL, &err);
    free(text);
    if (model && further) promise(train(folder, out, &err) == FV_OK, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_buf changed = {0};
    if (size < 1) return 0;
    make_folder();
    size_t file = data[0] % N_FILES;
    change(&changed, file, data[0] / N_FILES % 4, data + 1, size - 1);
    write_plain(names[file], changed.data ? changed.data : "", changed.len);
    use_folder(data[0] / N_FILES / 4 % 2);
    write_plain(names[file], right[file].data, right[file].len);
    fv_buf_release(&changed);
    return 0;
}
