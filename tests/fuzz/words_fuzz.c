/* Any bytes as a text whose words are looked for among its tokens. The first byte picks the tokenizer, the
 * second how many tokens a row takes. Whatever comes in: words tile what is no white space, rows keep their
 * length, every row has its words in order, and each word with a piece has it within its row. */
#include <string.h>

#include "data/tags.h"
#include "infer/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_KINDS = 4, LEAST = 4 /* tokens of a row: two frame it */ };
static fv_tokenizer *tokenizers[N_KINDS];

static int next_text(void *user, const char **text, size_t *len, fv_err *err)
{
    static const char *const texts[] = {
        "the cat sat on the mat and the dog sat on the cat", "快递到了 我的快递到了吗", "café naïve café it's they'll don't", "한국어 한국어 ありがとう",
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
        o.kind = kind == 3 ? FV_TOKENIZER_UNIGRAM : kind == 2 ? FV_TOKENIZER_WORDPIECE : FV_TOKENIZER_BPE;
        o.normalize = kind == 1 ? FV_NORMALIZE_NFKC : FV_NORMALIZE_NONE;
        o.lowercase = kind == 1 || kind == 2;
        tokenizers[kind] = fv_tokenizer_train(&o, next_text, &at, NULL);
        FV_ASSERT(tokenizers[kind]);
    }
    return tokenizers[kind];
}

/* The words found are those of the text. */
static void check_words(const fv_word_rows *w, const char *text, size_t len)
{
    const char *at = text, *word;
    size_t n = 0, bytes;
    for (; fv_word_next(&at, text + len, &word, &bytes); n++) FV_ASSERT(n < w->n && w->begins[n] == (size_t)(word - text) && w->ends[n] == w->begins[n] + bytes);
    FV_ASSERT(n == w->n && w->of_text[1] == n);
}

static void check_rows(const fv_word_rows *w, int max_len)
{
    size_t with_piece = 0, in_rows = 0;
    for (size_t i = 0; i < w->n; i++) with_piece += w->first[i] >= 0;
    for (size_t r = 0; r < w->tokens.n; r++) {
        int64_t n = w->tokens.offsets[r + 1] - w->tokens.offsets[r], last = -1;
        FV_ASSERT(n > 0 && n <= max_len && n <= w->tokens.max_len);
        FV_ASSERT(w->of_row[r] <= w->of_row[r + 1] && w->of_row[r + 1] <= w->n);
        for (size_t i = w->of_row[r]; i < w->of_row[r + 1]; i++) {
            if (w->first[i] < 0) continue;
            FV_ASSERT(w->first[i] > last && w->first[i] < n);
            last = w->first[i];
            in_rows++;
        }
    }
    FV_ASSERT(in_rows == with_piece);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fv_encoding e; /* used again by every run, with changing tokenizers */
    fv_word_rows words = {0};
    int64_t cut = 0;
    if (size < 3) return 0; /* a length of 0 would mean "up to the zero byte" */
    const fv_tokenizer *tokenizer = tokenizer_of(data[0] % N_KINDS);
    int max_len = LEAST + data[1] % 60;
    const fv_text text = {.text = (const char *)data + 2, .len = size - 2};
    FV_ASSERT(fv_word_rows_make(&words, tokenizer, max_len, &text, 1, &e, &cut, NULL) == FV_OK);
    check_words(&words, text.text, text.len);
    check_rows(&words, max_len);
    fv_word_rows_release(&words);
    return 0;
}
