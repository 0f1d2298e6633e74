/* SentencePiece's spaces (Kudo and Richardson 2018): each space is a visible character, so that pieces
 * spell a text without loss, and a text's first word looks like every other. */
#include <string.h>

#include "text/tokenizer.h"

static bool is_meta(const char *p, size_t len)
{
    return len >= FV_META_LEN && memcmp(p, FV_META, FV_META_LEN) == 0;
}

static void put(fv_meta *m, const char *bytes, size_t n, size_t at)
{
    memcpy(m->text.data + m->text.len, bytes, n);
    for (size_t i = 0; i < n; i++) m->at[m->text.len++] = (uint32_t)at;
}

fv_status fv_meta_fill(fv_meta *meta, const fv_unigram *u, const char *text, size_t len, bool first, fv_err *err)
{
    fv_status status = FV_OK;
    size_t most = FV_META_LEN * (len + 1) + 1;
    bool wanted = u->prepend == FV_PREPEND_ALWAYS || (u->prepend == FV_PREPEND_FIRST && first);
    meta->text.len = 0;
    FV_TRY(fv_buf_reserve(&meta->text, most, err));
    FV_TRY(fv_grow(&meta->at, &meta->at_capacity, most, sizeof *meta->at, err));
    if (wanted && len && text[0] != ' ' && !is_meta(text, len)) put(meta, FV_META, FV_META_LEN, 0);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ') put(meta, FV_META, FV_META_LEN, i);
        else put(meta, text + i, 1, i);
    }
    meta->at[meta->text.len] = (uint32_t)len;
done:
    return status;
}

size_t fv_meta_piece(const fv_meta *meta, const fv_unigram *u, size_t from)
{
    const char *p = meta->text.data;
    size_t len = meta->text.len, at = from + 1;
    if (u->whole) return len - from;
    while (at < len && !is_meta(p + at, len - at)) at++;
    return at - from;
}

void fv_meta_release(fv_meta *meta)
{
    fv_buf_release(&meta->text);
    fv_free(meta->at);
    *meta = (fv_meta){0};
}
