/* Any bytes as the texts that a tokenizer of each kind is learned from: learned or refused with a message, and
 * what is learned encodes these texts, is written, and reads back as the same tokenizer. The first byte of an
 * input picks kind, normaliser and case; texts end at line breaks. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void promise(bool kept)
{
    if (!kept) abort();
}

static void remove_file(void) { unlink(path); }

typedef struct lines { const char *p, *end; } lines;

static int next_line(void *user, const char **text, size_t *len, fv_err *err)
{
    lines *l = user;
    (void)err;
    if (l->p >= l->end) return 0;
    const char *stop = memchr(l->p, '\n', (size_t)(l->end - l->p));
    if (!stop) stop = l->end;
    *text = l->p;
    *len = (size_t)(stop - l->p);
    l->p = stop + 1;
    return 1;
}

static void check_same(const fv_tokenizer *a, const fv_tokenizer *b, const char *text, size_t len)
{
    fv_encoding ea = {0}, eb = {0};
    promise(fv_tokenizer_size(a) == fv_tokenizer_size(b));
    promise(fv_tokenizer_encode(a, text, len, NULL, 0, true, &ea, NULL) == FV_OK);
    promise(fv_tokenizer_encode(b, text, len, NULL, 0, true, &eb, NULL) == FV_OK);
    promise(ea.n == eb.n && memcmp(ea.ids, eb.ids, ea.n * sizeof *ea.ids) == 0);
    for (size_t i = 0; i < ea.n; i++) promise(ea.begins[i] <= ea.ends[i] && ea.ends[i] <= len);
    fv_encoding_release(&ea);
    fv_encoding_release(&eb);
}

static void save_and_open(const fv_tokenizer *t, const char *text, size_t len)
{
    fv_err err = {0};
    if (!*path) {
        snprintf(path, sizeof path, "%s/fovea-learn-%d.json", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir, (int)getpid());
        atexit(remove_file);
    }
    promise(fv_tokenizer_save(t, path, &err) == FV_OK);
    fv_tokenizer *back = fv_tokenizer_open(path, &err);
    promise(back != NULL);
    check_same(t, back, text, len);
    fv_tokenizer_close(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_tokenizer_options o;
    fv_err err = {0};
    if (size < 1) return 0;
    const char *text = (const char *)data + 1;
    lines from = {text, text + size - 1};
    fv_tokenizer_options_init(&o);
    o.kind = (fv_tokenizer_kind)(data[0] % 3);
    o.normalize = (fv_normalize)(data[0] / 3 % 3);
    o.lowercase = data[0] / 9 % 2;
    o.min_count = 1 + data[0] / 18 % 2;
    o.vocab = 300;
    fv_tokenizer *t = fv_tokenizer_train(&o, next_line, &from, &err);
    promise((t != NULL) == (err.status == FV_OK) && (t != NULL) == (err.text[0] == 0));
    if (t) save_and_open(t, text, size - 1);
    fv_tokenizer_close(t);
    return 0;
}
