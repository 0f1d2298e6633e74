/* Attention of tokens, gathered by words. A word's attention is the sum over the pieces of the source word and the mean over the
 * pieces of the target word: the mean comes by itself when rows are made to sum to 1, as all pieces of a word weigh alike. */
#include "infer/align.h"

#include <string.h>
#include <utf8proc.h>

/* ---- Words ---- */

typedef struct character { int32_t point; size_t len; } character;

/* A byte that is no UTF-8 is a letter of its own. */
static character character_at(const char *p, const char *end)
{
    int32_t point;
    utf8proc_ssize_t len = utf8proc_iterate((const uint8_t *)p, end - p, &point);
    return len > 0 ? (character){point, (size_t)len} : (character){-1, 1};
}

static bool is_space(int32_t point)
{
    if ((point >= 9 && point <= 13) || point == 0x85) return true;
    utf8proc_category_t kind = point < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(point);
    return kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
}

/* Han with its marks, kana, and the punctuation that is as wide as they. */
static bool stands_alone(int32_t point)
{
    return (point >= 0x3001 && point <= 0x30ff) || (point >= 0x31f0 && point <= 0x31ff) || (point >= 0x3400 && point <= 0x4dbf) || (point >= 0x4e00 && point <= 0x9fff) ||
           (point >= 0xf900 && point <= 0xfaff) || (point >= 0xff01 && point <= 0xff65) || (point >= 0x20000 && point <= 0x323af);
}

/* The words, counted, and stored where there is room. */
static size_t walk(const char *text, size_t len, fv_extent *words)
{
    const char *end = text + len;
    size_t n = 0;
    bool inside = false;
    for (const char *p = text; p < end;) {
        character c = character_at(p, end);
        bool space = is_space(c.point), alone = stands_alone(c.point);
        if (!space && (!inside || alone)) n++;
        if (!space && words) {
            uint32_t at = (uint32_t)(p - text), after = at + (uint32_t)c.len;
            words[n - 1] = (fv_extent){!inside || alone ? at : words[n - 1].begin, after};
        }
        inside = !space && !alone;
        p += c.len;
    }
    return n;
}

fv_status fv_words_find(fv_word_list *list, const char *text, size_t len, fv_arena *arena, fv_err *err)
{
    list->n = walk(text, len, NULL);
    list->words = fv_arena_alloc_small(arena, (list->n + 1) * sizeof *list->words, err);
    if (!list->words) return FV_E_MEMORY;
    walk(text, len, list->words);
    return FV_OK;
}

/* ---- Tokens of words ---- */

typedef struct span { size_t first, last; } span; /* words [first, last) */

/* The words that a token shares bytes with; the white space before it does not count, since words have none. */
static span words_of(const fv_word_list *list, uint32_t begin, uint32_t end)
{
    size_t low = 0, high = list->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->words[middle].end <= begin) low = middle + 1;
        else high = middle;
    }
    span s = {low, low};
    while (s.last < list->n && list->words[s.last].begin < end) s.last++;
    return s;
}

void fv_align_add(float *weights, const fv_word_list *source_words, const fv_word_list *target_words, const fv_token_bytes *source, const fv_token_bytes *target, const float *attention, size_t columns)
{
    for (size_t t = 0; t < target->n; t++) {
        span rows = words_of(target_words, target->begins[t], target->ends[t]);
        for (size_t s = 0; s < source->n && rows.first < rows.last; s++) {
            span cols = words_of(source_words, source->begins[s], source->ends[s]);
            float share = attention[t * columns + s] / (float)(cols.last - cols.first ? cols.last - cols.first : 1);
            for (size_t r = rows.first; r < rows.last; r++)
                for (size_t c = cols.first; c < cols.last; c++) weights[r * source_words->n + c] += share;
        }
    }
}

void fv_align_finish(float *weights, uint32_t *best, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        float *w = weights + r * cols, sum = 0;
        for (size_t c = 0; c < cols; c++) sum += w[c];
        best[r] = 0;
        for (size_t c = 0; c < cols; c++) {
            w[c] = sum > 0 ? w[c] / sum : 1 / (float)cols;
            if (w[c] > w[best[r]]) best[r] = (uint32_t)c;
        }
    }
}
