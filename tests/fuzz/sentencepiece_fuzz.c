/* SentencePiece models from strangers: refused with a message, or read and then used, by best cuts and by chance, saved and read
 * again with the same ids. Whatever scores, types and tables they have, ids stay in the vocabulary and offsets in the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/sentencepiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "Where's my  order 2023? cafe\u0301 \u4f60\u597d\uff21 \xff\xe4\xbd  <s><sep>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \n\n!";

static void promise(bool kept)
{
    if (!kept) abort();
}

static void check_tokens(const fv_tokenizer *t, const fv_encoding *e)
{
    uint32_t begin = 0;
    for (size_t i = 0; i < e->n; i++) {
        promise(fv_tokenizer_token(t, e->ids[i]) != NULL);
        promise(e->begins[i] <= e->ends[i] && e->ends[i] <= sizeof text - 1);
        promise(e->begins[i] >= begin);
        begin = e->begins[i];
    }
}

static void use(const fv_tokenizer *t, fv_encoding *e)
{
    char *back = NULL;
    size_t len;
    fv_rng rng = fv_rng_make(1, "fuzz");
    fv_err err = {0};
    if (t->kind == FV_TOKENIZER_UNIGRAM) {
        promise(fv_tokenizer_sample(t, text, sizeof text - 1, 0.1, &rng, e, &err) == FV_OK);
        check_tokens(t, e);
    }
    promise(fv_tokenizer_encode(t, text, sizeof text - 1, NULL, 0, false, e, &err) == FV_OK);
    check_tokens(t, e);
    promise(fv_tokenizer_decode(t, e->ids, e->n, &back, &len, &err) == FV_OK);
    free(back);
}

/* In memory if that can be: a disk would be synced each time. */
static const char *saved_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "%s/fovea-fuzz-%ld.spm", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : P_tmpdir, (long)getpid());
    return path;
}

static void check_saved(const fv_tokenizer *t, const fv_encoding *e)
{
    fv_err err = {0};
    fv_encoding again = {0};
    promise(fv_tokenizer_save(t, saved_path(), &err) == FV_OK);
    fv_tokenizer *read = fv_tokenizer_open(saved_path(), &err);
    promise(read != NULL);
    unlink(saved_path());
    promise(fv_tokenizer_encode(read, text, sizeof text - 1, NULL, 0, false, &again, &err) == FV_OK);
    promise(again.n == e->n && (e->n == 0 || memcmp(again.ids, e->ids, e->n * sizeof *e->ids) == 0));
    fv_encoding_release(&again);
    fv_tokenizer_close(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_err err = {0};
    fv_encoding e = {0};
    fv_tokenizer *t = fv_sentencepiece_parse((const char *)data, size, "input", &err);
    promise((t != NULL) == (err.status == FV_OK) && (t != NULL) == (err.text[0] == 0));
    if (t) {
        use(t, &e);
        check_saved(t, &e);
    }
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
    return 0;
}
