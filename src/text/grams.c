/* Common n-grams. How a text becomes words, and what the counts mean, are for bleu.c and chrf.c.
 *
 * An n-gram is the (n-1)-gram at the same place and one symbol more, so a pair of two numbers names it
 * exactly, however long it is: the table never compares texts, and no two n-grams share a name by accident.
 *
 * The trap: names are slots of the table, and the table is emptied for each n. So fv_grams_next must read
 * the name of the (n-1)-gram before it writes that of the n-gram over it, and a row's names beyond its last
 * n-gram are stale. */
#include "text/grams.h"

#include <string.h>
#include <utf8proc.h>

#define BROKEN_BYTE 0x110000u        /* the first number that is no code point */
#define SYMBOLS_MAX ((size_t)1 << 29) /* names are of 32 bits, and a table has at least twice as many slots as symbols */

struct fv_gram_slot {
    uint64_t key;        /* 0: free */
    uint32_t most, seen; /* in a learned row; in the row that is walked now */
};

struct fv_gram_word {
    size_t at;
    uint32_t len, hash;
    size_t slot; /* of the word: emptied with it, so that one long text does not slow all after it */
};

/* ---- Characters --------------------------------------------------------------------------- */

uint32_t fv_char_at(const char *p, const char *end, int *len)
{
    utf8proc_int32_t point;
    *len = fv_utf8_len(p, end);
    if (!*len) {
        *len = 1;
        return BROKEN_BYTE + (unsigned char)*p;
    }
    utf8proc_iterate((const utf8proc_uint8_t *)p, *len, &point);
    return (uint32_t)point;
}

bool fv_char_is_blank(uint32_t c)
{
    if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* ---- Words -------------------------------------------------------------------------------- */

static size_t find_word(const fv_grams *g, const char *word, size_t len, uint32_t hash)
{
    size_t mask = g->n_word_slots - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        if (!g->word_slots[at]) return at;
        const struct fv_gram_word *w = &g->words[g->word_slots[at] - 1];
        if (w->hash == hash && w->len == len && memcmp(g->spelled.data + w->at, word, len) == 0) return at;
    }
}

static fv_status double_word_slots(fv_grams *g, fv_err *err)
{
    size_t n = g->n_word_slots ? g->n_word_slots * 2 : 256;
    uint32_t *slots = fv_alloc_zero(n, sizeof *slots, err);
    if (!slots) return FV_E_MEMORY;
    for (size_t i = 0; i < g->n_words; i++) {
        size_t at = g->words[i].hash & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = (uint32_t)i + 1;
        g->words[i].slot = at;
    }
    fv_free(g->word_slots);
    g->word_slots = slots;
    g->n_word_slots = n;
    return FV_OK;
}

static fv_status number_word(fv_grams *g, const char *word, size_t len, uint32_t *number, fv_err *err)
{
    fv_status status = FV_OK;
    uint32_t hash = (uint32_t)(fv_hash64(word, len, 0) >> 32);
    if (2 * (g->n_words + 1) > g->n_word_slots) FV_TRY(double_word_slots(g, err));
    size_t at = find_word(g, word, len, hash);
    if (!g->word_slots[at]) {
        FV_TRY(fv_grow(&g->words, &g->words_capacity, g->n_words + 1, sizeof *g->words, err));
        g->words[g->n_words] = (struct fv_gram_word){.at = g->spelled.len, .len = (uint32_t)len, .hash = hash, .slot = at};
        FV_TRY(fv_buf_add(&g->spelled, word, len, err));
        g->word_slots[at] = (uint32_t)++g->n_words;
    }
    *number = g->word_slots[at] - 1;
done:
    return status;
}

/* ---- Rows --------------------------------------------------------------------------------- */

void fv_grams_clear(fv_grams *g)
{
    for (size_t i = 0; i < g->n_words; i++) g->word_slots[g->words[i].slot] = 0;
    g->n = g->n_rows = g->n_words = g->spelled.len = 0;
    g->order = 0;
}

void fv_grams_release(fv_grams *g)
{
    fv_free(g->symbols);
    fv_free(g->names);
    fv_free(g->starts);
    fv_free(g->slots);
    fv_free(g->words);
    fv_free(g->word_slots);
    fv_buf_release(&g->spelled);
    *g = (fv_grams){0};
}

fv_status fv_grams_begin_row(fv_grams *g, fv_err *err)
{
    fv_status status = fv_grow(&g->starts, &g->starts_capacity, g->n_rows + 2, sizeof *g->starts, err);
    if (status != FV_OK) return status;
    g->starts[g->n_rows++] = g->n;
    g->starts[g->n_rows] = g->n;
    return FV_OK;
}

static fv_status add_symbol(fv_grams *g, uint32_t symbol, fv_err *err)
{
    if (g->n == SYMBOLS_MAX) return FV_FAIL(err, FV_E_INPUT, "a sentence has more than %zu words or characters; cut it", SYMBOLS_MAX);
    fv_status status = fv_grow(&g->symbols, &g->capacity, g->n + 1, sizeof *g->symbols, err);
    if (status != FV_OK) return status;
    g->symbols[g->n++] = symbol;
    g->starts[g->n_rows] = g->n;
    return FV_OK;
}

fv_status fv_grams_add_word(fv_grams *g, const char *word, size_t len, fv_err *err)
{
    uint32_t number = 0;
    if (len > UINT32_MAX) return FV_FAIL(err, FV_E_INPUT, "a word of %zu bytes is too long to be compared", len);
    fv_status status = number_word(g, word, len, &number, err);
    return status == FV_OK ? add_symbol(g, number, err) : status;
}

fv_status fv_grams_add_split(fv_grams *g, const char *text, size_t len, fv_grams_word_fn add, fv_err *err)
{
    fv_status status = FV_OK;
    const char *end = text + len, *word = NULL;
    int n = 0;
    FV_TRY(fv_grams_begin_row(g, err));
    for (const char *p = text; p < end; p += n) {
        bool blank = fv_char_is_blank(fv_char_at(p, end, &n));
        if (!blank && !word) word = p;
        if (!blank || !word) continue;
        FV_TRY(add(g, word, (size_t)(p - word), err));
        word = NULL;
    }
    if (word) FV_TRY(add(g, word, (size_t)(end - word), err));
done:
    return status;
}

fv_status fv_grams_add_words(fv_grams *g, const char *text, size_t len, fv_err *err) { return fv_grams_add_split(g, text, len, fv_grams_add_word, err); }

fv_status fv_grams_add_characters(fv_grams *g, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    int n = 0;
    FV_TRY(fv_grams_begin_row(g, err));
    for (const char *p = text, *end = text + len; p < end; p += n) {
        uint32_t character = fv_char_at(p, end, &n);
        if (!fv_char_is_blank(character)) FV_TRY(add_symbol(g, character, err));
    }
done:
    return status;
}

/* ---- n-grams ------------------------------------------------------------------------------ */

fv_status fv_grams_start(fv_grams *g, fv_err *err)
{
    size_t n_slots = 64;
    while (n_slots < 2 * g->n) n_slots *= 2;
    g->mask = n_slots - 1; /* of what these texts need: emptying a larger table would cost more than filling it */
    fv_status status = fv_grow(&g->slots, &g->slots_capacity, n_slots, sizeof *g->slots, err);
    return status == FV_OK ? fv_grow(&g->names, &g->names_capacity, g->n, sizeof *g->names, err) : status;
}

/* The slot of the n-gram that `symbol` makes of the (n-1)-gram called `before` (0 for n = 1, else its slot + 1). */
static uint32_t name_of(fv_grams *g, uint64_t before, uint32_t symbol)
{
    uint64_t key = (before << 32 | symbol) + 1;
    for (size_t at = fv_hash64(&key, sizeof key, 0) & g->mask;; at = (at + 1) & g->mask) {
        struct fv_gram_slot *slot = &g->slots[at];
        if (!slot->key) slot->key = key;
        if (slot->key == key) return (uint32_t)at;
    }
}

int64_t fv_grams_count(const fv_grams *g, size_t row)
{
    int64_t n = (int64_t)(g->starts[row + 1] - g->starts[row]) - g->order + 1;
    return n > 0 ? n : 0;
}

void fv_grams_next(fv_grams *g)
{
    memset(g->slots, 0, (g->mask + 1) * sizeof *g->slots);
    size_t longer = (size_t)g->order++;
    for (size_t row = 0; row < g->n_rows; row++)
        for (size_t i = g->starts[row], end = i + (size_t)fv_grams_count(g, row); i < end; i++)
            g->names[i] = name_of(g, longer ? (uint64_t)g->names[i] + 1 : 0, g->symbols[i + longer]);
}

static void forget_seen(fv_grams *g, size_t row)
{
    const uint32_t *names = g->names + g->starts[row];
    for (int64_t i = 0; i < fv_grams_count(g, row); i++) g->slots[names[i]].seen = 0;
}

void fv_grams_learn(fv_grams *g, size_t row)
{
    const uint32_t *names = g->names + g->starts[row];
    for (int64_t i = 0; i < fv_grams_count(g, row); i++) {
        struct fv_gram_slot *slot = &g->slots[names[i]];
        if (++slot->seen > slot->most) slot->most = slot->seen;
    }
    forget_seen(g, row);
}

int64_t fv_grams_common(fv_grams *g, size_t row)
{
    const uint32_t *names = g->names + g->starts[row];
    int64_t common = 0;
    for (int64_t i = 0; i < fv_grams_count(g, row); i++) {
        struct fv_gram_slot *slot = &g->slots[names[i]];
        common += ++slot->seen <= slot->most;
    }
    forget_seen(g, row);
    return common;
}
