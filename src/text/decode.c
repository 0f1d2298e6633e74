/* The way back, from ids to text: special tokens are left out, the rest is joined as the kind of the
 * tokenizer asks. BPE gives back the text as normalised; WordPiece has lost where spaces were, and
 * guesses as the Hugging Face decoder does. */
#include <stdlib.h>
#include <string.h>

#include "text/parts.h"

static fv_status check_ids(const fv_tokenizer *t, const int32_t *ids, size_t n, fv_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= t->n)
            return FV_FAIL(err, FV_E_INPUT, "id %d, number %zu of %zu, is not in the vocabulary; expected 0 to %d", (int)ids[i], i + 1, n, (int)t->n - 1);
    return FV_OK;
}

/* What stands without a space before it, however it was written. */
static bool sticks_to_left(const char *text)
{
    static const char *const those[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    for (size_t i = 0; i < FV_COUNT(those); i++)
        if (strcmp(text, those[i]) == 0) return true;
    return false;
}

static fv_status add_word(const fv_wordpiece *wp, fv_buf *out, const char *text, bool first, fv_err *err)
{
    bool inside = !first && strncmp(text, wp->prefix, wp->prefix_len) == 0;
    fv_status status = FV_OK;
    if (inside) text += wp->prefix_len;
    else if (!first && !(wp->cleanup && sticks_to_left(text))) status = fv_buf_putc(out, ' ', err);
    return status == FV_OK ? fv_buf_puts(out, text, err) : status;
}

/* FV_META is a space, and nothing in the first token, where it was put in front. */
static fv_status add_piece(const fv_unigram *u, fv_buf *out, const fv_token *token, bool first, fv_err *err)
{
    fv_status status = FV_OK;
    const char *p = token->bytes, *end = p + token->n_bytes;
    while (p < end && status == FV_OK) {
        bool meta = end - p >= FV_META_LEN && memcmp(p, FV_META, FV_META_LEN) == 0;
        if (!meta) status = fv_buf_putc(out, *p, err);
        else if (!first || u->prepend == FV_PREPEND_NEVER) status = fv_buf_putc(out, ' ', err);
        p += meta ? FV_META_LEN : 1;
    }
    return status;
}

static int by_id(const void *key, const void *item)
{
    int32_t id = *(const int32_t *)key, other = ((const fv_added *)item)->id;
    return (id > other) - (id < other);
}

const char *fv_token_as_normalized(const fv_tokenizer *t, int32_t id)
{
    if (!t->tokens[id].added) return NULL;
    const fv_added *found = bsearch(&id, t->added, t->n_added, sizeof *t->added, by_id);
    return found && found->normalized ? found->sought : NULL;
}

static fv_status join(const fv_tokenizer *t, const int32_t *ids, size_t n, fv_buf *out, fv_err *err)
{
    fv_status status = fv_buf_reserve(out, 1, err);
    bool first = true;
    if (t->parts && t->parts->decoders_used) return status == FV_OK ? fv_parts_decode(t, ids, n, out, err) : status;
    if (t->sp) return status == FV_OK ? fv_sentencepiece_decode(t, ids, n, out, err) : status;
    for (size_t i = 0; i < n && status == FV_OK; i++) {
        fv_token token = t->tokens[ids[i]];
        const char *normalized = fv_token_as_normalized(t, ids[i]);
        if (token.special) continue;
        if (normalized) token.text = token.bytes = normalized, token.n_bytes = (uint32_t)strlen(normalized);
        if (t->kind == FV_TOKENIZER_WORDPIECE) status = add_word(&t->wordpiece, out, token.text, first, err);
        else if (t->kind == FV_TOKENIZER_UNIGRAM) status = add_piece(&t->unigram, out, &token, first, err);
        else status = fv_buf_add(out, token.bytes, token.n_bytes, err);
        first = false;
    }
    return status;
}

fv_status fv_tokenizer_decode(const fv_tokenizer *tokenizer, const int32_t *ids, size_t n, char **out, size_t *out_len, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf text = {0};
    FV_TRY(check_ids(tokenizer, ids, n, err));
    FV_TRY(join(tokenizer, ids, n, &text, err));
    char *given = malloc(text.len + 1); /* the caller's to free(), so not from fv_alloc */
    if (!given) { status = FV_FAIL(err, FV_E_MEMORY, "out of memory for %zu bytes of text", text.len); goto done; }
    if (text.len) memcpy(given, text.data, text.len);
    given[text.len] = 0;
    *out = given;
    *out_len = text.len;
done:
    fv_buf_release(&text);
    return status;
}
