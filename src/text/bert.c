/* BERT's own way with texts (Devlin et al. 2019): what it cleans away, which characters it sets apart,
 * and its words, split at white space and around punctuation.
 *
 * Ids equal those of the Hugging Face tokenizers library, but for some 570 characters that became
 * marks, punctuation or assigned at all after the Unicode version that it has built in. NFD is done
 * character by character: marks that it would put in another order are taken away anyhow, but for a
 * few in musical notation. */
#include <utf8proc.h>

#include "text/tokenizer.h"

#define REPLACEMENT 0xFFFD
#define POINTS_OF_ONE 8 /* longest canonical decomposition of one code point is 4 */

/* ---- Classes of characters ---------------------------------------------------------------- */

static bool is_control(int32_t point)
{
    if (point == '\t' || point == '\n' || point == '\r') return false;
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_CC: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_CO: return true;
    default: return point == 0 || point == REPLACEMENT;
    }
}

/* The blocks of ideographs that BERT lists. */
static bool is_han(int32_t point)
{
    static const int32_t blocks[][2] = {
        {0x4E00, 0x9FFF}, {0x3400, 0x4DBF}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
        {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF}, {0x2F800, 0x2FA1F},
    };
    if (point < 0x3400) return false;
    for (size_t i = 0; i < FV_COUNT(blocks); i++)
        if (point >= blocks[i][0] && point <= blocks[i][1]) return true;
    return false;
}

/* ---- Normalising -------------------------------------------------------------------------- */

/* One character of the input. */
typedef struct character {
    const char *p;
    size_t len;
    uint32_t begin;
    int32_t point;
} character;

static fv_status put_space(fv_normalized *to, const character *c, fv_err *err)
{
    fv_status status = fv_normalized_span(to, c->begin, c->begin + (uint32_t)c->len, false, err);
    return status == FV_OK ? fv_buf_putc(&to->text, ' ', err) : status;
}

static fv_status put_without_marks(fv_normalized *to, bool lowercase, const character *c, fv_err *err)
{
    int32_t parts[POINTS_OF_ONE];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(c->point, parts, POINTS_OF_ONE, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
    FV_ASSERT(n >= 0 && n <= POINTS_OF_ONE);
    if (n == 1 && parts[0] == c->point && utf8proc_category(c->point) != UTF8PROC_CATEGORY_MN)
        return fv_normalized_char(to, lowercase, c->point, c->p, c->len, c->begin, err);
    fv_status status = fv_normalized_span(to, c->begin, c->begin + (uint32_t)c->len, false, err);
    for (utf8proc_ssize_t i = 0; i < n && status == FV_OK; i++)
        if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN) status = fv_normalized_point(to, lowercase, parts[i], err);
    return status;
}

static fv_status put_character(fv_normalized *to, fv_normalizer how, const character *c, fv_err *err)
{
    fv_status status = FV_OK;
    if (how.clean && is_control(c->point)) return FV_OK;
    if (how.clean && fv_is_white(c->point)) return put_space(to, c, err);
    bool apart = how.han_apart && is_han(c->point);
    if (apart) FV_TRY(put_space(to, c, err));
    if (how.strip_accents) FV_TRY(put_without_marks(to, how.lowercase, c, err));
    else FV_TRY(fv_normalized_char(to, how.lowercase, c->point, c->p, c->len, c->begin, err));
    if (apart) FV_TRY(put_space(to, c, err));
done:
    return status;
}

/* ASCII from p on that stays as long as it is: all but the controls that cleaning takes away. */
static size_t ascii_run(const char *p, size_t len)
{
    size_t n = 0;
    while (n < len && ((p[n] >= ' ' && p[n] < 0x7F) || p[n] == '\t' || p[n] == '\n' || p[n] == '\r')) n++;
    return n;
}

static fv_status put_ascii(fv_normalized *to, fv_normalizer how, const char *p, size_t n, uint32_t begin, fv_err *err)
{
    size_t from = to->text.len;
    fv_status status = fv_normalized_ascii(to, how.lowercase, p, n, begin, err);
    if (status == FV_OK && how.clean)
        for (char *c = to->text.data + from; c < to->text.data + from + n; c++)
            if (*c < ' ') *c = ' ';
    return status;
}

/* Broken bytes are what a reader would have made U+FFFD of: cleaned away, else left as they are. */
static fv_status put_other(fv_normalized *to, fv_normalizer how, const char *p, size_t len, uint32_t begin, size_t *taken, fv_err *err)
{
    character c = {.p = p, .begin = begin};
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)len, &c.point);
    c.len = *taken = n > 0 ? (size_t)n : 1;
    if (n > 0) return put_character(to, how, &c, err);
    return how.clean ? FV_OK : fv_normalized_ascii(to, false, p, 1, begin, err);
}

fv_status fv_bert_normalize(fv_normalized *to, fv_normalizer how, const char *text, size_t len, uint32_t base, fv_err *err)
{
    fv_status status = FV_OK;
    to->n_spans = to->text.len = 0;
    if (len == 0) FV_TRY(fv_normalized_span(to, base, base, true, err));
    for (size_t at = 0, taken; at < len; at += taken) {
        taken = ascii_run(text + at, len - at);
        if (taken) FV_TRY(put_ascii(to, how, text + at, taken, base + (uint32_t)at, err));
        else FV_TRY(put_other(to, how, text + at, len - at, base + (uint32_t)at, &taken, err));
    }
    if (!to->n_spans) FV_TRY(fv_normalized_span(to, base, base, true, err)); /* all was cleaned away */
    FV_TRY(fv_buf_reserve(&to->text, 1, err));
    to->data = to->text.data;
    to->len = to->text.len;
done:
    return status;
}

/* ---- Words -------------------------------------------------------------------------------- */

typedef enum sort { LETTER, SPACE, PUNCTUATION } sort;

static sort sort_at(const char *p, size_t len, size_t *taken)
{
    int32_t point = (unsigned char)*p;
    *taken = 1;
    if (point >= 0x80) {
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)len, &point);
        if (n <= 0) return LETTER; /* broken: part of a word that will be unknown */
        *taken = (size_t)n;
    }
    return fv_is_white(point) ? SPACE : fv_is_punctuation(point) ? PUNCTUATION : LETTER;
}

bool fv_bert_word(const char *text, size_t len, size_t *at, size_t *n)
{
    size_t taken = 0;
    sort s = SPACE;
    while (*at < len && (s = sort_at(text + *at, len - *at, &taken)) == SPACE) *at += taken;
    if (*at >= len) return false;
    *n = taken;
    while (s == LETTER && *at + *n < len && sort_at(text + *at + *n, len - *at - *n, &taken) == LETTER) *n += taken;
    return true;
}
