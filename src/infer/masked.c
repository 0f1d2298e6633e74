/* Texts to rows of words that can be hidden, and the loss on those that are.
 *
 * The trap: a token's bytes need not be a character's. Byte-level tokens may begin with the space in front of their word,
 * or be a part of a character, which then goes on with the token before. */
#include "infer/masked.h"

#include <string.h>
#include <utf8proc.h>

#include "ops.h"

/* More pieces than that in a row are no word: scripts that write no spaces, addresses, noise. */
enum { MAX_PIECES = 16 };

/* ---- Words -------------------------------------------------------------------------------- */

static bool is_frame(const fv_encoding *e, size_t i) { return e->begins[i] == e->ends[i]; }

static bool is_within(const char *p) { return ((unsigned char)*p & 0xC0) == 0x80; } /* a character's second byte or a later one */

/* Ideographs and Kana are words by themselves. */
static bool stands_alone(int32_t point)
{
    return (point >= 0x2E80 && point < 0xA4D0) || (point >= 0xF900 && point < 0xFB00) || (point >= 0x20000 && point < 0x40000);
}

/* Whether the character at p is one that words are made of. */
static bool is_of_word(const char *p, const char *end)
{
    int32_t point = -1;
    if (utf8proc_iterate((const utf8proc_uint8_t *)p, end - p, &point) <= 0 || stands_alone(point)) return false;
    utf8proc_category_t category = utf8proc_category(point);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO; /* letters, marks, numbers */
}

/* Whether [p, token_end) is an ideograph or Kana, or the first bytes of one: not several, nor their punctuation. */
static bool is_character(const char *p, const char *token_end, const char *end)
{
    int32_t point = -1;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)p, end - p, &point);
    if (n <= 0 || p + n < token_end || !stands_alone(point)) return false;
    utf8proc_category_t category = utf8proc_category(point);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO; /* letters */
}

/* Whether token i goes on with the word that token i - 1 is of. A tokenizer's file decides the types, so that they need not
 * tell which text a token is of: hence the look at the length. */
static bool goes_on(const fv_encoding *e, size_t i, const char *text, size_t len)
{
    if (i == 0 || is_frame(e, i - 1) || e->types[i - 1] != e->types[i] || e->begins[i] > e->ends[i - 1] || e->begins[i] >= len) return false;
    const char *at = text + e->begins[i], *end = text + len, *last = at;
    if (e->begins[i] < e->ends[i - 1] || is_within(at)) return true;
    do last--;
    while (last > text && is_within(last));
    return is_of_word(at, end) && is_of_word(last, end);
}

static bool starts_character(const fv_encoding *e, size_t i, const char *text, size_t len)
{
    return e->ends[i] <= len && e->begins[i] < e->ends[i] && is_character(text + e->begins[i], text + e->ends[i], text + len);
}

/* ---- Rows --------------------------------------------------------------------------------- */

typedef struct builder {
    fv_token_rows *rows;
    uint8_t *kinds;
    uint8_t *now;                 /* kinds of the encoding in work */
    size_t ids, types, all_kinds, now_room, row_room; /* capacities */
    const fv_tokenizer *tokenizer;
    size_t max_len;
    fv_encoding *encoding;
} builder;

static fv_status find_kinds(builder *b, const fv_text *t, size_t len, size_t len2, fv_err *err)
{
    const fv_encoding *e = b->encoding;
    int pieces = 0;
    fv_status status = fv_grow(&b->now, &b->now_room, e->n + 1, sizeof *b->now, err);
    if (status != FV_OK) return status;
    for (size_t i = 0; i < e->n; i++) {
        bool second = e->types[i] && t->text2;
        bool more = !is_frame(e, i) && ++pieces < MAX_PIECES && goes_on(e, i, second ? t->text2 : t->text, second ? len2 : len);
        if (!more) pieces = 0;
        if (is_frame(e, i) || fv_tokenizer_is_special(b->tokenizer, e->ids[i])) b->now[i] = FV_TOKEN_FIXED;
        else if (more && b->now[i - 1] != FV_TOKEN_FIXED) b->now[i] = FV_TOKEN_CONTINUES;
        else b->now[i] = starts_character(e, i, second ? t->text2 : t->text, second ? len2 : len) ? FV_TOKEN_CHARACTER : FV_TOKEN_WORD;
    }
    return FV_OK;
}

static fv_status append(builder *b, size_t from, size_t to, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_encoding *e = b->encoding;
    fv_token_rows *rows = b->rows;
    size_t at = (size_t)rows->offsets[rows->n], n = to - from;
    FV_TRY(fv_grow(&rows->ids, &b->ids, at + n, sizeof *rows->ids, err));
    FV_TRY(fv_grow(&rows->types, &b->types, at + n, sizeof *rows->types, err));
    FV_TRY(fv_grow(&b->kinds, &b->all_kinds, at + n, sizeof *b->kinds, err));
    memcpy(rows->ids + at, e->ids + from, n * sizeof *rows->ids);
    memcpy(rows->types + at, e->types + from, n);
    memcpy(b->kinds + at, b->now + from, n);
    rows->offsets[rows->n] = (int64_t)(at + n);
done:
    return status;
}

/* A row of tokens [from, to), and the framing ones before `head` and from `tail` on. */
static fv_status add_row(builder *b, size_t head, size_t from, size_t to, size_t tail, fv_err *err)
{
    fv_status status = FV_OK;
    fv_token_rows *rows = b->rows;
    FV_TRY(fv_grow(&rows->offsets, &b->row_room, rows->n + 2, sizeof *rows->offsets, err));
    if (rows->n == 0) rows->offsets[0] = 0;
    rows->n++;
    rows->offsets[rows->n] = rows->offsets[rows->n - 1];
    FV_TRY(append(b, 0, head, err));
    FV_TRY(append(b, from, to, err));
    FV_TRY(append(b, tail, b->encoding->n, err));
    int length = (int)(rows->offsets[rows->n] - rows->offsets[rows->n - 1]);
    if (length > rows->max_len) rows->max_len = length;
done:
    return status;
}

/* The end of a row that begins at `from` and has room for so many tokens: before a word, if one begins there. */
static size_t choose_end(const builder *b, size_t from, size_t room, size_t tail)
{
    if (tail - from <= room) return tail;
    size_t end = from + room;
    while (end > from && b->now[end] == FV_TOKEN_CONTINUES) end--;
    return end > from ? end : from + room;
}

/* All that is encoded, in as many rows as it takes; gives how many. */
static fv_status add_rows(builder *b, size_t *n, fv_err *err)
{
    const fv_encoding *e = b->encoding;
    size_t head = 0, tail = e->n;
    while (head < e->n && is_frame(e, head)) head++;
    while (tail > head && is_frame(e, tail - 1)) tail--;
    size_t frames = head + e->n - tail, room = b->max_len > frames ? b->max_len - frames : 1;
    for (size_t from = head, to; from < tail; from = to, ++*n) {
        to = choose_end(b, from, room, tail);
        fv_status status = add_row(b, head, from, to, tail, err);
        if (status != FV_OK) return status;
    }
    return FV_OK;
}

static size_t length(const char *text, size_t len) { return text && !len ? strlen(text) : len; }

static fv_status encode(builder *b, const fv_text *t, fv_err *err)
{
    size_t len = length(t->text, t->len), len2 = length(t->text2, t->len2);
    fv_status status = fv_tokenizer_encode(b->tokenizer, t->text, len, t->text2, len2, true, b->encoding, err);
    return status == FV_OK ? find_kinds(b, t, len, len2, err) : status;
}

static fv_status add_text(builder *b, const fv_text *t, size_t *n, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(encode(b, t, err));
    if (!t->text2 || b->encoding->n <= b->max_len) return add_rows(b, n, err);
    fv_text halves[] = {{.text = t->text, .len = t->len}, {.text = t->text2, .len = t->len2}};
    for (int i = 0; i < 2; i++) {
        FV_TRY(encode(b, &halves[i], err));
        FV_TRY(add_rows(b, n, err));
    }
done:
    return status;
}

fv_status fv_masked_rows_make(fv_token_rows *rows, uint8_t **kinds, const fv_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, fv_encoding *encoding, int64_t *cut, fv_err *err)
{
    fv_status status = FV_OK;
    builder b = {.rows = rows, .tokenizer = tokenizer, .max_len = (size_t)max_len, .encoding = encoding};
    *rows = (fv_token_rows){0};
    for (size_t i = 0; i < n; i++) {
        size_t parts = 0;
        FV_TRY(add_text(&b, &texts[i], &parts, err));
        *cut += parts > 1;
    }
done:
    fv_free(b.now);
    *kinds = b.kinds;
    if (status == FV_OK) return FV_OK;
    fv_free(b.kinds);
    *kinds = NULL;
    fv_token_rows_release(rows);
    return status;
}

/* ---- Hiding ------------------------------------------------------------------------------- */

static int32_t find_mask(const fv_tokenizer *tokenizer)
{
    int32_t id = fv_tokenizer_id(tokenizer, "[MASK]");
    return id >= 0 ? id : fv_tokenizer_id(tokenizer, "<mask>");
}

fv_status fv_masker_init(fv_masker *m, const fv_tokenizer *tokenizer, uint64_t seed, fv_err *err)
{
    int32_t size = fv_tokenizer_size(tokenizer), mask = find_mask(tokenizer);
    *m = (fv_masker){.masking = {.seed = seed, .share = FV_MASK_SHARE, .mask_id = mask}};
    if (mask < 0) return FV_FAIL(err, FV_E_FORMAT, "the tokenizer has no [MASK] (or <mask>), which hidden words become; train one here, or start from a model that has it");
    m->ordinary = fv_alloc((size_t)size * sizeof *m->ordinary, err);
    if (!m->ordinary) return FV_E_MEMORY;
    for (int32_t id = 0; id < size; id++)
        if (!fv_tokenizer_is_special(tokenizer, id)) m->ordinary[m->masking.n_ordinary++] = id;
    m->masking.ordinary = m->ordinary;
    return FV_OK;
}

fv_status fv_masker_reserve(fv_masker *m, int32_t max_N, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = (size_t)max_N + 1, rooms[2] = {m->room, m->room};
    FV_TRY(fv_grow(&m->ids, &rooms[0], n, sizeof *m->ids, err));
    FV_TRY(fv_grow(&m->places, &rooms[1], n, sizeof *m->places, err));
    FV_TRY(fv_grow(&m->targets, &m->room, n, sizeof *m->targets, err));
done:
    return status;
}

void fv_masker_release(fv_masker *m)
{
    fv_free(m->ordinary);
    fv_free(m->ids);
    fv_free(m->places);
    fv_free(m->targets);
    *m = (fv_masker){0};
}

/* ---- Loss --------------------------------------------------------------------------------- */

/* The mean loss at the chosen places of a batch whose hidden ids are in m->ids. */
static fv_tensor *build_loss(const fv_masker *m, const fv_network *net, const fv_head *head, fv_graph *g, const fv_batch *batch)
{
    fv_batch hidden_batch = *batch;
    hidden_batch.ids = m->ids;
    fv_tensor *hidden = fv_encoder_build(&net->encoder, g, &hidden_batch);
    fv_graph_scope(g, "head");
    fv_tensor *chosen = fv_take_rows(g, hidden, m->places, m->n > 0 ? m->n : 1);
    fv_tensor *x = fv_head_build_words(&head->weights, &net->encoder, g, chosen);
    fv_graph_scope(g, "loss");
    return fv_linear_cross_entropy(g, x, fv_graph_param(g, net->encoder.words), fv_graph_param(g, head->weights.bias), m->targets, 0);
}

fv_tensor *fv_masker_build(fv_masker *m, const fv_network *net, const fv_head *head, fv_graph *g, const fv_batch *batch)
{
    FV_ASSERT((size_t)batch->N < m->room);
    m->n = fv_mask_batch(&m->masking, batch, m->ids, m->places, m->targets);
    if (m->n == 0) m->places[0] = 0, m->targets[0] = -1;
    return build_loss(m, net, head, g, batch);
}

fv_tensor *fv_masker_build_largest(fv_masker *m, const fv_network *net, const fv_head *head, fv_graph *g, const fv_batch *batch)
{
    FV_ASSERT((size_t)batch->N < m->room);
    m->n = batch->N;
    for (int32_t i = 0; i < batch->N; i++) m->ids[i] = m->targets[i] = 0, m->places[i] = i;
    return build_loss(m, net, head, g, batch);
}

/* ---- Scores ------------------------------------------------------------------------------- */

/* The op notes the loss of each place before it takes their mean. */
static void add_losses(const fv_masker *m, const fv_tensor *loss, const fv_batch *batch, double *losses, int32_t *counts)
{
    int32_t b = 0;
    for (int32_t i = 0; i < m->n; i++) {
        while (m->places[i] >= batch->offsets[b + 1]) b++;
        losses[batch->rows[b]] += (double)loss->from->aux[i];
        counts[batch->rows[b]]++;
    }
}

static fv_status score_batch(fv_masker *m, const fv_network *net, const fv_head *head, fv_graph *graph, const fv_batch *batch, double *losses, int32_t *counts, fv_err *err)
{
    fv_graph_reset(graph, false);
    fv_tensor *loss = fv_masker_build(m, net, head, graph, batch);
    fv_graph_keep(graph, loss);
    fv_status status = fv_graph_plan(graph, loss, err);
    if (status != FV_OK) return status;
    fv_graph_forward(graph, 0);
    add_losses(m, loss, batch, losses, counts);
    return FV_OK;
}

fv_status fv_masked_score(fv_masker *m, const fv_network *net, const fv_head *head, fv_graph *graph, fv_sampler *sampler, const uint8_t *kinds, double *losses, int32_t *counts, fv_infer_progress progress, void *user, fv_err *err)
{
    size_t n = sampler->rows->n;
    fv_status status = fv_masker_reserve(m, sampler->max_N, err);
    m->masking.epoch = FV_MASK_FOREVER;
    m->masking.share = FV_MASK_SHARE; /* however it learnt: figures of two runs can then be compared */
    m->masking.pieces = false;
    m->masking.rows = sampler->rows;
    m->masking.kinds = kinds;
    memset(losses, 0, n * sizeof *losses);
    memset(counts, 0, n * sizeof *counts);
    fv_sampler_plan(sampler, -1);
    for (size_t i = 0; i < sampler->n_batches && status == FV_OK; i++) {
        fv_batch batch;
        fv_sampler_get(sampler, i, &batch);
        status = score_batch(m, net, head, graph, &batch, losses, counts, err);
        if (status == FV_OK && progress && progress(user, i + 1, sampler->n_batches)) status = FV_FAIL(err, FV_E_STOPPED, "stopped after batch %zu of %zu", i + 1, sampler->n_batches);
    }
    return status;
}
