/* Learning a WordPiece vocabulary: merges by count, as in BPE, but of characters and inside of words
 * that BERT's rules have cut; this is what the Hugging Face trainer does too. (The likelihood that
 * Schuster and Nakajima 2012 describe was never published as code.)
 *
 * The merges are forgotten afterwards: encoding takes the longest token. The alphabet comes first, and
 * of it what is most frequent, so that a small vocabulary does not drown in rare ideographs. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

#define PREFIX "##"
#define MAX_CHARS 100 /* BERT's */

typedef struct unit {
    const char *text;
    uint32_t len;
    int64_t count;
} unit;

/* Units counted: a map to their places in the list. */
typedef struct alphabet {
    fv_map seen;
    unit *units;
    size_t capacity;
} alphabet;

static fv_status count_unit(alphabet *a, const fv_buf *text, int64_t count, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t i = fv_map_get(&a->seen, text->data, text->len);
    if (i < 0) {
        i = (int32_t)a->seen.n;
        FV_TRY(fv_grow(&a->units, &a->capacity, (size_t)i + 1, sizeof *a->units, err));
        FV_TRY(fv_map_set(&a->seen, text->data, text->len, i, err));
        a->units[i] = (unit){.text = a->seen.entries[i].key, .len = (uint32_t)text->len};
    }
    a->units[i].count += count;
done:
    return status;
}

static fv_status count_units(alphabet *a, const fv_trainer *trainer, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf room = {0};
    for (size_t i = 0; i < trainer->pieces.n; i++) {
        const struct fv_map_entry *piece = &trainer->pieces.entries[i];
        const char *end = piece->key + piece->len;
        for (const char *p = piece->key; p < end;) {
            size_t len = (size_t)fv_utf8_len(p, end);
            if (!len) break; /* broken: the word teaches nothing from here on */
            FV_TRY(fv_unit_of(&room, p, len, p == piece->key, PREFIX, err));
            FV_TRY(count_unit(a, &room, trainer->counts[piece->value], err));
            p += len;
        }
    }
done:
    fv_buf_release(&room);
    return status;
}

static int by_count(const void *x, const void *y)
{
    const unit *a = x, *b = y;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* The units to keep, most frequent first; their ids are 0 up. */
static fv_status choose_units(fv_map *kept, alphabet *a, size_t most, int64_t min_count, fv_err *err)
{
    fv_status status = FV_OK;
    if (a->seen.n) qsort(a->units, a->seen.n, sizeof *a->units, by_count);
    for (size_t i = 0; i < a->seen.n && i < most && a->units[i].count >= min_count && status == FV_OK; i++)
        status = fv_map_set(kept, a->units[i].text, a->units[i].len, (int32_t)i, err);
    return status;
}

/* A merge's text: both halves, the second without its prefix. */
static fv_status name_merge(fv_tokenizer *t, const fv_merge *m, fv_buf *room, fv_err *err)
{
    const fv_token *a = &t->tokens[FV_N_SPECIALS + m->a], *b = &t->tokens[FV_N_SPECIALS + m->b];
    fv_status status = FV_OK;
    room->len = 0;
    FV_TRY(fv_buf_puts(room, a->text, err));
    FV_TRY(fv_buf_puts(room, b->text + strlen(PREFIX), err));
    FV_TRY(fv_tokenizer_name(t, FV_N_SPECIALS + m->id, room->data, room->len, err));
done:
    return status;
}

static fv_status name_all(fv_tokenizer *t, const fv_map *units, const fv_learned *learned, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf room = {0};
    FV_TRY(fv_tokenizer_begin(t, FV_N_SPECIALS + units->n + learned->n_merges, err));
    for (size_t i = 0; i < units->n; i++) FV_TRY(fv_tokenizer_name(t, FV_N_SPECIALS + units->entries[i].value, units->entries[i].key, units->entries[i].len, err));
    for (uint32_t i = 0; i < learned->n_merges; i++) FV_TRY(name_merge(t, &learned->merges[i], &room, err));
done:
    fv_buf_release(&room);
    return status;
}

fv_status fv_wordpiece_learn(fv_tokenizer *tokenizer, const fv_trainer *trainer, int vocab, int min_count, fv_err *err)
{
    fv_status status = FV_OK;
    alphabet a = {0};
    fv_map units = {0};
    fv_learned learned = {0};
    int room = vocab - FV_N_SPECIALS;
    FV_TRY(count_units(&a, trainer, err));
    FV_TRY(choose_units(&units, &a, (size_t)room, min_count, err));
    FV_TRY(fv_trainer_learn_units(trainer, &units, PREFIX, room, min_count, &learned, err));
    FV_TRY(name_all(tokenizer, &units, &learned, err));
    tokenizer->wordpiece = (fv_wordpiece){.prefix = PREFIX, .prefix_len = strlen(PREFIX), .max_chars = MAX_CHARS, .unk = FV_UNK, .cleanup = true};
done:
    fv_learned_release(&learned);
    fv_map_release(&units);
    fv_map_release(&a.seen);
    fv_free(a.units);
    return status;
}
