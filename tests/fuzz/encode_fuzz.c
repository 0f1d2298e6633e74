/* Any bytes as a text, by tokenizers of our own with each normaliser, by WordPiece and by unigram. The first byte
 * picks one. Without normalisation tokens tile the text and decode to it; with it, offsets never leave the text or go
 * back. The way of a long word gives the ids of the short word's, as far as both can be asked. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_KINDS 10
#define WORDPIECE 6 /* and 7: lower case */
#define UNIGRAM 8   /* the same */
static fv_tokenizer *tokenizers[N_KINDS];

static void promise(bool kept)
{
    if (!kept) abort();
}

static int next_text(void *user, const char **text, size_t *len, fv_err *err)
{
    static const char *const texts[] = {
        "the cat sat on the mat and the dog sat on the cat", "\u5feb\u9012\u5230\u4e86 \u6211\u7684\u5feb\u9012\u5230\u4e86\u5417",
        "caf\u00e9 na\u00efve caf\u00e9 it's they'll don't", "\ud55c\uad6d\uc5b4 \ud55c\uad6d\uc5b4 \u3042\u308a\u304c\u3068\u3046",
    };
    size_t *at = user;
    (void)err;
    if (*at == FV_COUNT(texts)) return 0;
    *text = texts[(*at)++];
    *len = strlen(*text);
    return 1;
}

static const fv_tokenizer *tokenizer_of(int kind)
{
    if (!tokenizers[kind]) {
        fv_tokenizer_options o;
        size_t at = 0;
        fv_tokenizer_options_init(&o);
        o.vocab = 350;
        o.min_count = 1;
        o.kind = kind >= UNIGRAM ? FV_TOKENIZER_UNIGRAM : kind >= WORDPIECE ? FV_TOKENIZER_WORDPIECE : FV_TOKENIZER_BPE;
        o.normalize = (fv_normalize)(kind % 3);
        o.lowercase = kind >= WORDPIECE ? kind % 2 : kind >= 3;
        promise((tokenizers[kind] = fv_tokenizer_train(&o, next_text, &at, NULL)) != NULL);
    }
    return tokenizers[kind];
}

/* `whole`: the tokens leave nothing of the text's end out. */
static void check_offsets(const fv_encoding *e, size_t len, bool exact, bool whole)
{
    uint32_t begin = 0, end = 0;
    for (size_t i = 0; i < e->n; i++) {
        promise(e->begins[i] <= e->ends[i] && e->ends[i] <= len);
        promise(e->begins[i] >= begin && e->ends[i] >= end);
        if (exact) promise(e->begins[i] == end);
        begin = e->begins[i];
        end = e->ends[i];
    }
    if (whole) promise(end == len);
}

static void check_way_back(const fv_tokenizer *t, const fv_encoding *e, const char *text, size_t len)
{
    char *back;
    size_t n;
    promise(fv_tokenizer_decode(t, e->ids, e->n, &back, &n, NULL) == FV_OK);
    if (!memchr(text, '[', len)) promise(n == len && memcmp(back, text, n) == 0); /* no special token was left out */
    free(back);
}

static void check_both_ways(const fv_tokenizer *t, const char *text, size_t len)
{
    int32_t a[FV_BPE_SHORT], b[FV_BPE_SHORT];
    size_t n = len < FV_BPE_SHORT ? len : FV_BPE_SHORT, n_b = 0;
    if (n == 0) return;
    size_t n_a = fv_bpe_short(&t->bpe, text, n, a);
    promise(fv_bpe_long(&t->bpe, text, n, b, &n_b, NULL) == FV_OK);
    promise(n_a == n_b && memcmp(a, b, n_a * sizeof *a) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fv_encoding e; /* used again by every run, with changing tokenizers */
    if (size == 0) return 0;
    int kind = data[0] % N_KINDS;
    const fv_tokenizer *t = tokenizer_of(kind);
    const char *text = (const char *)data + 1;
    promise(fv_tokenizer_encode(t, text, size - 1, NULL, 0, false, &e, NULL) == FV_OK);
    check_offsets(&e, size - 1, kind == 0, kind < WORDPIECE);
    if (kind == 0) check_way_back(t, &e, text, size - 1);
    if (kind < WORDPIECE) check_both_ways(t, text, size - 1);
    return 0;
}
