/* Making a tokenizer, by training or from parts that a file gave, and asking it for its vocabulary.
 *
 * Encoding is left to encode.c, files to tokenizer_json.c. Both ways of making one end in
 * fv_tokenizer_seal, which is where a token's text becomes the bytes that it stands for. */
#include <stdatomic.h>
#include <string.h>

#include "text/parts.h"

#define VOCAB_MAX 4000000

static const char *const specials[FV_N_SPECIALS] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
/* The last is not among a SentencePiece model's own, but in the vocabularies of translators. */
static const char *const sp_specials[FV_N_SP_SPECIALS + 1] = {"<unk>", "<s>", "</s>", "<pad>"};
#define VOCAB_MIN (FV_N_SPECIALS + 256)

/* ---- Names of bytes ----------------------------------------------------------------------- */

/* Bytes that are printable in Latin-1 name themselves; the others take U+0100 on, in order. */
static bool names_itself(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

void fv_byte_names_init(fv_byte_names *names)
{
    int next = 0x100;
    memset(names, 0, sizeof *names);
    memset(names->byte_of, 0xff, sizeof names->byte_of);
    for (int byte = 0; byte < 256; byte++) {
        int point = names_itself(byte) ? byte : next++;
        char *text = names->text[byte];
        names->byte_of[point] = (int16_t)byte;
        if (point < 0x80) {
            text[0] = (char)point;
        } else {
            text[0] = (char)(0xC0 | point >> 6);
            text[1] = (char)(0x80 | (point & 0x3F));
        }
    }
}

/* The byte named at *p, which moves on; -1 if what is there is no such name. */
static int read_name(const fv_byte_names *names, const char **p)
{
    unsigned char a = (unsigned char)**p, b;
    int point = a;
    if (a >= 0x80) {
        b = (unsigned char)(*p)[1];
        if (a >> 5 != 6 || b >> 6 != 2) return -1;
        point = (a & 0x1F) << 6 | (b & 0x3F);
        ++*p;
    }
    ++*p;
    return point < (int)FV_COUNT(names->byte_of) ? names->byte_of[point] : -1;
}

/* The bytes that `text` spells, or `text` itself if it is not in that spelling. */
static fv_status spell_back(fv_arena *arena, const fv_byte_names *names, fv_token *token, fv_err *err)
{
    size_t n = 0;
    char *bytes = fv_arena_alloc_small(arena, strlen(token->text) + 1, err);
    if (!bytes) return FV_E_MEMORY;
    for (const char *p = token->text; *p;) {
        int byte = read_name(names, &p);
        if (byte < 0) return FV_OK;
        bytes[n++] = (char)byte;
    }
    token->bytes = bytes;
    token->n_bytes = (uint32_t)n;
    return FV_OK;
}

/* ---- Putting one together ----------------------------------------------------------------- */

fv_tokenizer *fv_tokenizer_new(fv_err *err)
{
    static atomic_uint_fast64_t serials;
    fv_tokenizer *t = fv_alloc_zero(1, sizeof *t, err);
    if (t) t->serial = atomic_fetch_add(&serials, 1) + 1;
    return t;
}

void fv_tokenizer_close(fv_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    fv_splitter_release(&tokenizer->splitter);
    fv_finder_release(&tokenizer->raw);
    fv_finder_release(&tokenizer->after);
    fv_bpe_release(&tokenizer->bpe);
    fv_wordpiece_release(&tokenizer->wordpiece);
    fv_unigram_release(&tokenizer->unigram);
    fv_sentencepiece_free(tokenizer->sp);
    fv_parts_free(tokenizer->parts);
    fv_map_release(&tokenizer->ids);
    fv_arena_release(&tokenizer->arena);
    fv_free(tokenizer);
}

fv_status fv_tokenizer_reserve(fv_tokenizer *tokenizer, size_t n, size_t n_added, fv_err *err)
{
    tokenizer->tokens = fv_arena_alloc(&tokenizer->arena, n * sizeof *tokenizer->tokens, err);
    tokenizer->added = fv_arena_alloc(&tokenizer->arena, n_added * sizeof *tokenizer->added, err);
    tokenizer->n = (int32_t)n;
    return tokenizer->tokens && tokenizer->added ? FV_OK : FV_E_MEMORY;
}

fv_status fv_tokenizer_name(fv_tokenizer *tokenizer, int32_t id, const char *text, size_t len, fv_err *err)
{
    FV_ASSERT(id >= 0 && id < tokenizer->n);
    fv_token *token = &tokenizer->tokens[id];
    if (!(token->text = fv_arena_strndup(&tokenizer->arena, text, len, err))) return FV_E_MEMORY;
    token->bytes = token->text;
    token->n_bytes = (uint32_t)len;
    return fv_map_set(&tokenizer->ids, text, len, id, err);
}

fv_status fv_tokenizer_add_as(fv_tokenizer *tokenizer, fv_added how, fv_err *err)
{
    fv_status status = FV_OK;
    fv_normalized n = {0};
    fv_token *token = &tokenizer->tokens[how.id];
    how.text = how.sought = token->text;
    how.sought_len = (uint32_t)strlen(token->text);
    if (how.normalized) {
        FV_TRY(fv_normalize_text(&n, tokenizer->normalizer, how.text, how.sought_len, 0, err));
        if (!(how.sought = fv_arena_strndup(&tokenizer->arena, n.data, n.len, err))) { status = FV_E_MEMORY; goto done; }
        how.sought_len = (uint32_t)n.len;
    }
    token->added = true;
    token->special |= how.special;
    tokenizer->added[tokenizer->n_added++] = how;
done:
    fv_normalized_release(&n);
    return status;
}

fv_status fv_tokenizer_add(fv_tokenizer *tokenizer, int32_t id, bool special, bool normalized, fv_err *err)
{
    return fv_tokenizer_add_as(tokenizer, (fv_added){.id = id, .special = special, .normalized = normalized}, err);
}

void fv_frame_plain(fv_tokenizer *tokenizer)
{
    tokenizer->framed = false;
    tokenizer->one = (fv_frame){.steps = {{.kind = FV_FRAME_FIRST}}, .n = 1};
    tokenizer->two = (fv_frame){.steps = {{.kind = FV_FRAME_FIRST}, {.kind = FV_FRAME_SECOND, .type = 1}}, .n = 2};
}

void fv_frame_bert(fv_tokenizer *t, int32_t cls_id, int32_t sep_id)
{
    const fv_frame_step cls = {.kind = FV_FRAME_TOKEN, .id = cls_id}, sep = {.kind = FV_FRAME_TOKEN, .id = sep_id};
    const fv_frame_step first = {.kind = FV_FRAME_FIRST}, second = {.kind = FV_FRAME_SECOND, .type = 1};
    const fv_frame_step last = {.kind = FV_FRAME_TOKEN, .type = 1, .id = sep_id};
    t->framed = true;
    t->one = (fv_frame){.steps = {cls, first, sep}, .n = 3};
    t->two = (fv_frame){.steps = {cls, first, sep, second, last}, .n = 5};
}

void fv_frame_roberta(fv_tokenizer *t, int32_t cls_id, int32_t sep_id)
{
    const fv_frame_step cls = {.kind = FV_FRAME_TOKEN, .id = cls_id}, sep = {.kind = FV_FRAME_TOKEN, .id = sep_id};
    const fv_frame_step first = {.kind = FV_FRAME_FIRST}, second = {.kind = FV_FRAME_SECOND};
    t->framed = true;
    t->one = (fv_frame){.steps = {cls, first, sep}, .n = 3};
    t->two = (fv_frame){.steps = {cls, first, sep, sep, second, sep}, .n = 6};
}

static fv_status find_bytes(fv_tokenizer *t, const fv_byte_names *names, const char *where, fv_err *err)
{
    for (int byte = 0; byte < 256; byte++) {
        int32_t id = fv_map_get(&t->ids, names->text[byte], strlen(names->text[byte]));
        if (id < 0 || t->tokens[id].n_bytes != 1)
            return FV_FAIL(err, FV_E_FORMAT, "%s: model.vocab has no token for byte 0x%02X (\"%s\"); expected a byte-level vocabulary", where, (unsigned)byte, names->text[byte]);
        t->bpe.byte_ids[byte] = id;
    }
    return FV_OK;
}

/* Offsets are counted by the lengths of tokens, so a merge must make what its halves spell. */
static fv_status check_lengths(const fv_tokenizer *t, const char *where, fv_err *err)
{
    for (uint32_t i = 0; i < t->bpe.n; i++) {
        const fv_merge *m = &t->bpe.merges[i];
        uint64_t sum = (uint64_t)t->tokens[m->a].n_bytes + t->tokens[m->b].n_bytes;
        if (sum != t->tokens[m->id].n_bytes)
            return FV_FAIL(err, FV_E_FORMAT, "%s: model.merges[%u] makes a token of %u bytes from %llu bytes; is one of them an added token?", where, i, t->tokens[m->id].n_bytes, (unsigned long long)sum);
    }
    return FV_OK;
}

/* For ignore_merges: how bytes are spelled, and that every token is short enough to be asked for. */
static fv_status seal_whole(fv_tokenizer *t, const fv_byte_names *names, const char *where, fv_err *err)
{
    fv_byte_names *kept = fv_arena_alloc(&t->arena, sizeof *kept, err);
    if (!kept) return FV_E_MEMORY;
    *kept = *names;
    t->bpe.names = kept;
    for (int32_t id = 0; id < t->n; id++)
        if (t->tokens[id].n_bytes > FV_WHOLE_MAX)
            return FV_FAIL(err, FV_E_FORMAT, "%s: model.vocab: token %d has %u bytes; expected at most %d with ignore_merges", where, (int)id, t->tokens[id].n_bytes, FV_WHOLE_MAX);
    return FV_OK;
}

static fv_status seal_bytes(fv_tokenizer *tokenizer, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    fv_byte_names names;
    fv_byte_names_init(&names);
    for (int32_t id = 0; id < tokenizer->n; id++)
        if (!tokenizer->tokens[id].added) FV_TRY(spell_back(&tokenizer->arena, &names, &tokenizer->tokens[id], err));
    FV_TRY(find_bytes(tokenizer, &names, where, err));
    FV_TRY(check_lengths(tokenizer, where, err));
    if (tokenizer->bpe.ignore_merges) FV_TRY(seal_whole(tokenizer, &names, where, err));
done:
    return status;
}

/* Tokens that stand for a byte give it back when they are decoded. */
static fv_status seal_unigram(fv_tokenizer *t, fv_err *err)
{
    fv_status status = fv_unigram_init(&t->unigram, t->tokens, t->n, &t->ids, err);
    for (int byte = 0; byte < 256 && status == FV_OK && t->unigram.has_bytes; byte++) {
        fv_token *token = &t->tokens[t->unigram.byte_ids[byte]];
        char c = (char)byte;
        if (!(token->bytes = fv_arena_strndup(&t->arena, &c, 1, err))) return FV_E_MEMORY;
        token->n_bytes = 1;
    }
    return status;
}

static fv_status seal_kind(fv_tokenizer *t, const char *where, fv_err *err)
{
    if (t->sp) return fv_sentencepiece_seal(t, where, err);
    switch (t->kind) {
    case FV_TOKENIZER_WORDPIECE: return fv_wordpiece_init(&t->wordpiece, t->tokens, t->n, err);
    case FV_TOKENIZER_UNIGRAM: return seal_unigram(t, err);
    case FV_TOKENIZER_WORDLEVEL: return FV_OK;
    default: break;
    }
    if (!t->bpe.from_chars) return seal_bytes(t, where, err);
    fv_parts_seal_bpe(t);
    return FV_OK;
}

fv_status fv_tokenizer_seal(fv_tokenizer *tokenizer, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(seal_kind(tokenizer, where, err));
    FV_TRY(fv_finder_init(&tokenizer->raw, tokenizer->added, tokenizer->n_added, false, err));
    FV_TRY(fv_finder_init(&tokenizer->after, tokenizer->added, tokenizer->n_added, true, err));
done:
    return status;
}

/* ---- Training ----------------------------------------------------------------------------- */

void fv_tokenizer_options_init(fv_tokenizer_options *options)
{
    *options = (fv_tokenizer_options){.size = sizeof *options, .vocab = 8000, .normalize = FV_NORMALIZE_NFC, .min_count = 2};
}

static fv_status check_options(const fv_tokenizer_options *o, fv_err *err)
{
    if (o->size != sizeof *o)
        return FV_FAIL(err, FV_E_ARGUMENT, "tokenizer options of size %zu; expected %zu: call fv_tokenizer_options_init first", o->size, sizeof *o);
    if (o->kind != FV_TOKENIZER_BPE && o->kind != FV_TOKENIZER_WORDPIECE && o->kind != FV_TOKENIZER_UNIGRAM)
        return FV_FAIL(err, FV_E_ARGUMENT, "kind is %d; expected FV_TOKENIZER_BPE, _WORDPIECE or _UNIGRAM", (int)o->kind);
    int least = o->kind == FV_TOKENIZER_BPE ? VOCAB_MIN : FV_N_SPECIALS + 1;
    if (o->vocab < least || o->vocab > VOCAB_MAX)
        return FV_FAIL(err, FV_E_ARGUMENT, "a vocabulary of %d; expected %d (special tokens and %s) to %d", o->vocab, least, o->kind == FV_TOKENIZER_BPE ? "bytes" : "a character", VOCAB_MAX);
    if (o->normalize != FV_NORMALIZE_NONE && o->normalize != FV_NORMALIZE_NFC && o->normalize != FV_NORMALIZE_NFKC)
        return FV_FAIL(err, FV_E_ARGUMENT, "normalize is %d; expected FV_NORMALIZE_NONE, _NFC or _NFKC", (int)o->normalize);
    if (o->min_count < 1) return FV_FAIL(err, FV_E_ARGUMENT, "min_count is %d; expected 1 or more", o->min_count);
    return FV_OK;
}

/* What counting needs beside the trainer. */
typedef struct counting {
    const fv_tokenizer *t;
    fv_trainer trainer;
    fv_normalized normalized;
    fv_meta meta;
    pcre2_match_data *match;
} counting;

static fv_status count_words(counting *c, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_normalized *n = &c->normalized;
    for (size_t at = 0, len; fv_bert_word(n->data, n->len, &at, &len) && status == FV_OK; at += len)
        status = fv_trainer_add(&c->trainer, n->data + at, len, err);
    return status;
}

static fv_status count_meta(counting *c, fv_err *err)
{
    const fv_unigram *u = &c->t->unigram;
    fv_status status = fv_meta_fill(&c->meta, u, c->normalized.data, c->normalized.len, true, err);
    for (size_t at = 0, len; status == FV_OK && at < c->meta.text.len; at += len) {
        len = fv_meta_piece(&c->meta, u, at);
        status = fv_trainer_add(&c->trainer, c->meta.text.data + at, len, err);
    }
    return status;
}

static fv_status count_pieces(counting *c, fv_err *err)
{
    fv_status status = FV_OK;
    fv_pieces pieces;
    const char *piece;
    size_t n;
    int more = 0;
    fv_pieces_start(&pieces, &c->t->splitter, c->match, c->normalized.data, c->normalized.len);
    while ((more = fv_pieces_next(&pieces, &piece, &n, err)) == 1)
        if (!pieces.broken) FV_TRY(fv_trainer_add(&c->trainer, piece, n, err));
    status = (fv_status)more;
done:
    return status;
}

static fv_status count_text(counting *c, const char *text, size_t len, fv_err *err)
{
    if (len > UINT32_MAX) return FV_FAIL(err, FV_E_INPUT, "a text of %zu bytes; at most %u can be learned from at once: cut it", len, UINT32_MAX);
    if (len == 0) return FV_OK;
    fv_status status = fv_normalize_text(&c->normalized, c->t->normalizer, text, len, 0, err);
    if (status != FV_OK) return status;
    switch (c->t->kind) {
    case FV_TOKENIZER_WORDPIECE: return count_words(c, err);
    case FV_TOKENIZER_UNIGRAM: return count_meta(c, err);
    default: return count_pieces(c, err);
    }
}

static fv_status count_texts(counting *c, fv_next_text next, void *user, fv_err *err)
{
    fv_status status = FV_OK;
    const char *text;
    size_t len;
    int more;
    while ((more = next(user, &text, &len, err)) > 0) FV_TRY(count_text(c, text, len, err));
    status = (fv_status)more;
done:
    return status;
}

static bool is_among(const char *const *list, size_t n, const char *text, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == len && memcmp(list[i], text, len) == 0) return true;
    return false;
}

bool fv_is_special(const char *text, size_t len)
{
    return is_among(specials, FV_COUNT(specials), text, len) || is_among(sp_specials, FV_COUNT(sp_specials), text, len);
}

int fv_n_specials(const fv_tokenizer *tokenizer)
{
    return tokenizer->sp ? FV_N_SP_SPECIALS : FV_N_SPECIALS;
}

/* They are not looked for in texts. */
static fv_status begin_sentencepiece(fv_tokenizer *t, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_tokenizer_reserve(t, n, 0, err));
    if (!(t->sp->types = fv_arena_alloc(&t->arena, n, err))) return FV_E_MEMORY;
    memset(t->sp->types, FV_PIECE_NORMAL, n);
    for (int32_t id = 0; id < FV_N_SP_SPECIALS; id++) {
        FV_TRY(fv_tokenizer_name(t, id, sp_specials[id], strlen(sp_specials[id]), err));
        t->sp->types[id] = id == FV_SP_UNK ? FV_PIECE_UNKNOWN : FV_PIECE_CONTROL;
    }
done:
    return status;
}

fv_status fv_tokenizer_begin(fv_tokenizer *t, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    if (t->sp) return begin_sentencepiece(t, n, err);
    FV_TRY(fv_tokenizer_reserve(t, n, FV_N_SPECIALS, err));
    for (int32_t id = 0; id < FV_N_SPECIALS; id++) {
        FV_TRY(fv_tokenizer_name(t, id, specials[id], strlen(specials[id]), err));
        FV_TRY(fv_tokenizer_add(t, id, true, false, err));
    }
done:
    return status;
}

static fv_status name_learned(fv_tokenizer *t, const fv_learned *learned, fv_err *err)
{
    fv_status status = FV_OK;
    fv_byte_names names;
    fv_buf text = {0};
    fv_byte_names_init(&names);
    for (int32_t i = 0; i < 256; i++) FV_TRY(fv_tokenizer_name(t, FV_N_SPECIALS + i, names.text[i], strlen(names.text[i]), err));
    for (uint32_t i = 0; i < learned->n_merges; i++) {
        const fv_merge *m = &learned->merges[i];
        text.len = 0;
        FV_TRY(fv_buf_puts(&text, t->tokens[FV_N_SPECIALS + m->a].text, err));
        FV_TRY(fv_buf_puts(&text, t->tokens[FV_N_SPECIALS + m->b].text, err));
        FV_ASSERT(fv_map_get(&t->ids, text.data, text.len) < 0); /* no piece of our pattern spells a special token */
        FV_TRY(fv_tokenizer_name(t, FV_N_SPECIALS + m->id, text.data, text.len, err));
    }
done:
    fv_buf_release(&text);
    return status;
}

static fv_status take_learned(fv_tokenizer *t, fv_learned *learned, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_tokenizer_begin(t, (size_t)VOCAB_MIN + learned->n_merges, err));
    FV_TRY(name_learned(t, learned, err));
    for (uint32_t i = 0; i < learned->n_merges; i++) {
        fv_merge *m = &learned->merges[i];
        m->a += FV_N_SPECIALS, m->b += FV_N_SPECIALS, m->id += FV_N_SPECIALS;
    }
    fv_merge *merges = learned->merges;
    learned->merges = NULL;
    status = fv_bpe_init(&t->bpe, merges, learned->n_merges, "training", err);
done:
    return status;
}

static fv_status learn_bpe(fv_tokenizer *t, const fv_trainer *trainer, const fv_tokenizer_options *o, fv_err *err)
{
    fv_learned learned = {0};
    fv_status status = fv_trainer_learn(trainer, o->vocab - FV_N_SPECIALS, o->min_count, &learned, err);
    if (status == FV_OK) status = take_learned(t, &learned, err);
    fv_learned_release(&learned);
    return status;
}

static fv_status learn_kind(fv_tokenizer *t, const fv_trainer *trainer, const fv_tokenizer_options *o, fv_err *err)
{
    switch (o->kind) {
    case FV_TOKENIZER_WORDPIECE: return fv_wordpiece_learn(t, trainer, o->vocab, o->min_count, err);
    case FV_TOKENIZER_UNIGRAM: return fv_unigram_learn(t, trainer, o->vocab, o->min_count, err);
    default: return learn_bpe(t, trainer, o, err);
    }
}

/* A SentencePiece model that normalises by a table for the form. */
static fv_status choose_sentencepiece(fv_tokenizer *t, const fv_tokenizer_options *o, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf table = {0};
    t->kind = FV_TOKENIZER_UNIGRAM;
    FV_TRY(fv_sentencepiece_begin(t, err));
    FV_TRY(fv_charsmap_make(&table, o->normalize, o->lowercase, err));
    if (!table.len) goto done;
    FV_TRY(fv_charsmap_init(&t->sp->map, &table, "training", err));
    t->sp->normalizer = "user_defined";
done:
    fv_buf_release(&table);
    return status;
}

/* How texts are normalised and split, before the first is seen. */
static fv_status choose_ways(fv_tokenizer *t, const fv_tokenizer_options *o, fv_err *err)
{
    t->kind = o->kind;
    if (o->kind == FV_TOKENIZER_WORDPIECE) {
        t->normalizer = (fv_normalizer){.bert = true, .clean = true, .han_apart = true, .strip_accents = o->lowercase, .lowercase = o->lowercase};
        return FV_OK;
    }
    t->normalizer = (fv_normalizer){.form = o->normalize, .lowercase = o->lowercase};
    if (o->kind == FV_TOKENIZER_UNIGRAM) return FV_OK;
    return fv_splitter_init(&t->splitter, fv_split_pattern, "training", err);
}

static fv_tokenizer *train(const fv_tokenizer_options *o, bool sentencepiece, fv_next_text next, void *user, fv_err *err)
{
    fv_status status = FV_OK;
    counting c = {0};
    if (check_options(o, err) != FV_OK) return NULL;
    fv_tokenizer *t = fv_tokenizer_new(err);
    if (!t) return NULL;
    c.t = t;
    fv_trainer_init(&c.trainer);
    FV_TRY(sentencepiece ? choose_sentencepiece(t, o, err) : choose_ways(t, o, err));
    if (t->splitter.pattern && !(c.match = fv_splitter_scratch(&t->splitter, err))) { status = FV_E_MEMORY; goto done; }
    FV_TRY(count_texts(&c, next, user, err));
    FV_TRY(learn_kind(t, &c.trainer, o, err));
    if (sentencepiece) fv_frame_plain(t);
    else fv_frame_bert(t, FV_CLS, FV_SEP);
    FV_TRY(fv_tokenizer_seal(t, "training", err));
done:
    fv_trainer_release(&c.trainer);
    fv_normalized_release(&c.normalized);
    fv_meta_release(&c.meta);
    pcre2_match_data_free(c.match);
    if (status == FV_OK) return t;
    fv_tokenizer_close(t);
    return NULL;
}

fv_tokenizer *fv_tokenizer_train(const fv_tokenizer_options *options, fv_next_text next, void *user, fv_err *err)
{
    fv_tokenizer_options defaults;
    fv_tokenizer_options_init(&defaults);
    return train(options ? options : &defaults, false, next, user, err);
}

fv_tokenizer *fv_sentencepiece_train(const fv_tokenizer_options *options, fv_next_text next, void *user, fv_err *err)
{
    FV_ASSERT(options->kind == FV_TOKENIZER_UNIGRAM);
    return train(options, true, next, user, err);
}

/* ---- The vocabulary ----------------------------------------------------------------------- */

int fv_tokenizer_size(const fv_tokenizer *tokenizer) { return tokenizer->n; }

const char *fv_tokenizer_token(const fv_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->n ? tokenizer->tokens[id].text : NULL;
}

int32_t fv_tokenizer_id(const fv_tokenizer *tokenizer, const char *token)
{
    return fv_map_get(&tokenizer->ids, token, strlen(token));
}

bool fv_tokenizer_is_special(const fv_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->n && tokenizer->tokens[id].special;
}
