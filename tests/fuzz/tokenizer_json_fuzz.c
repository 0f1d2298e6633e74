/* tokenizer.json from strangers: refused with a message, or read and then used: whatever ranks,
 * patterns and templates it has, ids stay in the vocabulary and offsets in the text. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept) abort();
}

static void check_tokens(const fv_tokenizer *t, const fv_encoding *e, size_t len, size_t len2)
{
    size_t longest = len > len2 ? len : len2;
    for (size_t i = 0; i < e->n; i++) {
        promise(fv_tokenizer_token(t, e->ids[i]) != NULL);
        promise(e->begins[i] <= e->ends[i] && e->ends[i] <= longest);
        promise(e->types[i] <= 1);
    }
}

static void use(const fv_tokenizer *t)
{
    static const char text[] = "The cat's 12345 [SEP] <s> cafe\u0301 \u4f60\u597d\uff21 \xff\xe4\xbd  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n!";
    static const char text2[] = "ab abc <s>";
    fv_encoding e = {0};
    fv_err err = {0};
    char *back = NULL;
    size_t len;
    fv_status status = fv_tokenizer_encode(t, text, sizeof text - 1, text2, sizeof text2 - 1, true, &e, &err);
    promise(status == err.status && (status == FV_OK || (e.n == 0 && err.text[0])));
    check_tokens(t, &e, sizeof text - 1, sizeof text2 - 1);
    err = (fv_err){0};
    status = fv_tokenizer_decode(t, e.ids, e.n, &back, &len, &err); /* a decoder can be told to blow a text up */
    promise(status == err.status && (status == FV_OK) == (back != NULL));
    free(back);
    fv_encoding_release(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fv_err err = {0};
    fv_tokenizer *t = fv_tokenizer_parse((const char *)data, size, "input", &err);
    promise((t != NULL) == (err.status == FV_OK) && (t != NULL) == (err.text[0] == 0));
    if (t) use(t);
    fv_tokenizer_close(t);
    return 0;
}
