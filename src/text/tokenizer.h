/* Inside of a tokenizer, for this room's files only; everyone else uses fv_tokenizer_* of fovea.h.
 *
 * A tokenizer is four steps: normalise the text (utf8proc), split it into pieces (by a pattern, pcre2,
 * or by BERT's rules), turn each piece into ids (BPE, WordPiece, unigram), and frame the ids with [CLS] and [SEP].
 * It is immutable once made, so threads share it; what a call needs to scribble on lives in the
 * caller's fv_encoding.
 *
 *   normalize.c   NFC, NFKC, lower case, each output byte knowing its input byte
 *   classes.c     what is white space, punctuation, a word's
 *   bert.c        BERT's normaliser and words
 *   split.c       the pattern; added and special tokens found in the text
 *   bpe.c         merging one piece
 *   bpe_train.c   learning merges from texts
 *   trie.c        tokens that begin at a place
 *   wordpiece.c   the longest known token first; wordpiece_train.c learns them
 *   unigram.c     the most probable pieces; metaspace.c their spaces; unigram_train.c learns them; unigram_sample.c draws
 *   sentencepiece.h    SentencePiece models, which are tokenizers too
 *   parts.h       tokenizers of other parts than these, as tokenizer.json lists them
 *   encode.c      the four steps for one text; decode.c back from ids
 *   tokenizer.c   making and closing one; the vocabulary; training's public call
 *   tokenizer_json.c   reading and writing tokenizer.json (Hugging Face tokenizers 0.2x, version "1.0")
 */
#ifndef FV_TEXT_TOKENIZER_H
#define FV_TEXT_TOKENIZER_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/rng.h"
#include "base/str.h"

/* ---- normalize.c -------------------------------------------------------------------------- */

typedef struct fv_normalizer {
    fv_normalize form;
    bool lowercase; /* after the form */
    /* BERT's normaliser (bert.c), which then does all; `form` is none. */
    bool bert;
    bool clean;         /* control characters go, white space becomes a space */
    bool han_apart;     /* a space on both sides of an ideograph */
    bool strip_accents; /* NFD without its marks */
    bool decompose;     /* the form without its composing: NFD, NFKD */
    const struct fv_parts *parts; /* not NULL: its normalisers, one after another (parts_normalize.c), do all */
    const struct fv_sentencepiece *sp; /* not NULL: SentencePiece's normaliser (charsmap.c) does all */
} fv_normalizer;

/* Output bytes from `out` up to the next span's `out` came from input bytes [begin, end). Exact:
 * byte for byte, so that a token inside the span has an offset of its own; otherwise (a composed
 * or expanded character) all of the span's bytes came from all of the input's. */
typedef struct fv_span {
    size_t out;
    uint32_t begin, end; /* end is unused when exact */
    bool exact;
} fv_span;

typedef struct fv_normalized {
    const char *data; /* the normalised text: in `text`, or the input itself when nothing changes */
    size_t len;
    fv_span *spans;   /* [n_spans], ascending, the first at 0 */
    size_t n_spans, spans_capacity;
    fv_buf text;
    int32_t *points;  /* code points of the cluster in work */
    size_t points_capacity;
    fv_span *followed; /* of fv_normalized_follow */
    size_t followed_capacity;
    struct fv_parts_room *room; /* of fv_parts_normalize */
} fv_normalized;

/* Replaces what `to` held. `base` is the offset of `text` in the whole input, for the spans. Bytes
 * that are no UTF-8 stay as they are. */
fv_status fv_normalize_text(fv_normalized *to, fv_normalizer how, const char *text, size_t len, uint32_t base, fv_err *err);
void fv_normalized_release(fv_normalized *n);

/* Input bytes [*from, *to) of the normalised bytes [begin, end). *span is at or before begin's, and is
 * moved there, so that a walk in ascending order takes a few steps a time. */
static inline void fv_span_source(const fv_span **span, const fv_span *last_of_all, size_t begin, size_t end, uint32_t *from, uint32_t *to)
{
    while (*span < last_of_all && (*span)[1].out <= begin) ++*span;
    const fv_span *first = *span, *last = first;
    while (last < last_of_all && last[1].out < end) last++;
    *from = first->exact ? first->begin + (uint32_t)(begin - first->out) : first->begin;
    *to = begin == end ? *from : last->exact ? last->begin + (uint32_t)(end - last->out) : last->end;
}

/* For normalisers: the text that is appended next comes from input bytes [begin, end). */
fv_status fv_normalized_span(fv_normalized *to, uint32_t begin, uint32_t end, bool exact, fv_err *err);
/* Append with a span: the character of the input's `len` bytes at p; n bytes of ASCII (or broken ones). */
fv_status fv_normalized_char(fv_normalized *to, bool lowercase, int32_t point, const char *p, size_t len, uint32_t begin, fv_err *err);
fv_status fv_normalized_ascii(fv_normalized *to, bool lowercase, const char *p, size_t n, uint32_t begin, fv_err *err);
/* Spans of `outer`, which was made from the text of `inner`, now point to where that came from. */
fv_status fv_normalized_follow(fv_normalized *outer, const fv_normalized *inner, fv_err *err);
/* Append without one. */
fv_status fv_normalized_point(fv_normalized *to, bool lowercase, int32_t point, fv_err *err);

/* ---- classes.c ---------------------------------------------------------------------------- */

bool fv_is_white(int32_t point);       /* White_Space */
bool fv_is_punctuation(int32_t point); /* P*, and all of ASCII that is neither letter, digit, space nor control */
bool fv_is_number(int32_t point);      /* N* */
bool fv_is_mark(int32_t point);        /* M* */
bool fv_is_word(int32_t point);        /* what patterns mean by \w: letters, marks, digits, connectors, joiners */
/* The character at p and its length; a broken byte is U+FFFD. `len` is not 0. */
size_t fv_point_at(const char *p, size_t len, int32_t *point);
/* The same of the one that ends at `end`, which is not 0. */
size_t fv_point_before(const char *text, size_t end, int32_t *point);

/* ---- bert.c ------------------------------------------------------------------------------- */

/* fv_normalize_text for how.bert. */
fv_status fv_bert_normalize(fv_normalized *to, fv_normalizer how, const char *text, size_t len, uint32_t base, fv_err *err);
/* The next word or mark of punctuation at or after *at, its length in *n; false at the end. The
 * caller moves *at behind it. */
bool fv_bert_word(const char *text, size_t len, size_t *at, size_t *n);

/* ---- split.c ------------------------------------------------------------------------------ */

/* Pieces: English contractions; runs of Han characters apart from other letters, so that a Chinese
 * sentence next to a Latin name is cut between them; digits in threes at most; the space goes with
 * the word that follows it, as in GPT-2. Written so that pcre2 and Oniguruma read it alike. */
extern const char fv_split_pattern[];
/* GPT-2's own pattern (Radford et al. 2019), which tokenizer.json calls "use_regex". */
extern const char fv_split_gpt2[];

#define FV_SPLIT_LIMITS 5

typedef struct fv_splitter {
    char *pattern; /* NULL: a text is one piece */
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_context *limits[FV_SPLIT_LIMITS]; /* of steps: for short texts, and for longer and longer ones */
    bool jit;
} fv_splitter;

/* `where` names the pattern's source in messages. On failure nothing is held. */
fv_status fv_splitter_init(fv_splitter *splitter, const char *pattern, const char *where, fv_err *err);
void fv_splitter_release(fv_splitter *splitter);

/* The next match in text[from, len), which is valid UTF-8: 1 and its bounds; 0: none; negative: an fv_status. */
int fv_splitter_match(const fv_splitter *splitter, pcre2_match_data *scratch, const char *text, size_t len, size_t from, size_t *begin, size_t *end, fv_err *err);
/* Appends a pattern that was written for Oniguruma as pcre2 means it (parts_pattern.c). */
fv_status fv_pattern_rewrite(const char *pattern, const char *where, fv_buf *out, fv_err *err);

/* A walk over a text's pieces. Every byte of the text is in exactly one piece: what the pattern does
 * not match makes pieces too, and so does each run of bytes that are no UTF-8. */
typedef struct fv_pieces {
    const fv_splitter *splitter;
    pcre2_match_data *match;
    const char *text;
    size_t len;
    size_t at;        /* the next piece begins here */
    size_t run, run_end; /* the valid UTF-8 around `at`: what the pattern sees as its whole subject */
    size_t search;    /* the next match is sought from here */
    size_t match_end; /* > at: a match that follows the gap given last ends here */
    bool broken;      /* the piece given last was no UTF-8 */
} fv_pieces;

/* The scratch that matching needs; free with pcre2_match_data_free. */
pcre2_match_data *fv_splitter_scratch(const fv_splitter *splitter, fv_err *err);
void fv_pieces_start(fv_pieces *pieces, const fv_splitter *splitter, pcre2_match_data *scratch, const char *text, size_t len);
/* 1: a piece; 0: the end; negative: an fv_status. */
int fv_pieces_next(fv_pieces *pieces, const char **piece, size_t *len, fv_err *err);

/* A token that is looked for in the text itself, before the pattern. */
typedef struct fv_added {
    const char *text;   /* as the vocabulary spells it */
    const char *sought; /* normalised if `normalized`, else `text` */
    uint32_t sought_len;
    int32_t id;
    bool special;
    bool normalized; /* looked for after normalisation instead of before */
    bool single_word; /* not next to a character of a word */
    bool lstrip, rstrip; /* takes the white space before or after it too */
} fv_added;

/* Tokens to look for, sorted by bytes of `sought`. */
typedef struct fv_finder {
    const fv_added **sorted;
    size_t n;
    bool begins[256]; /* first bytes of any of them */
} fv_finder;

fv_status fv_finder_init(fv_finder *finder, const fv_added *added, size_t n, bool normalized, fv_err *err);
void fv_finder_release(fv_finder *finder);
/* The leftmost, then longest token in text[from, len), its place in [*begin, *end); NULL if there is none. */
const fv_added *fv_finder_next(const fv_finder *finder, const char *text, size_t len, size_t from, size_t *begin, size_t *end);

/* ---- bpe.c -------------------------------------------------------------------------------- */

typedef struct fv_merge {
    int32_t a, b, id; /* a b -> id; its place in the list is its rank */
} fv_merge;

/* What merging needs, and nothing of how tokens are spelled. */
typedef struct fv_bpe {
    int32_t byte_ids[256];
    fv_merge *merges; /* [n], best first */
    uint32_t n;
    struct fv_bpe_slot *slots; /* (a, b) -> rank and id */
    size_t mask;
    bool ignore_merges;  /* a piece that is a token needs no merging */
    /* Of pieces that are merged from characters (parts_model.c); byte_ids are then of byte fallback, or -1. */
    bool from_chars, byte_fallback, fuse_unk;
    int32_t unk;         /* -1: what is unknown vanishes */
    const char *prefix, *suffix; /* of characters that do not begin a word, of those that end one */
    const struct fv_byte_names *names; /* where ignore_merges asks how a piece is spelled */
} fv_bpe;

/* Takes `merges` over, whether it succeeds or not. A pair listed twice is FV_E_FORMAT. */
fv_status fv_bpe_init(fv_bpe *bpe, fv_merge *merges, uint32_t n, const char *where, fv_err *err);
void fv_bpe_release(fv_bpe *bpe);

/* Pieces up to this many bytes take the simple loop, and need no memory. */
#ifdef FV_STRESS
#define FV_BPE_SHORT 5
#else
#define FV_BPE_SHORT 48
#endif
/* Merges ids[n] where they lie, and lens with them (NULL: not wanted). */
fv_status fv_bpe_merge(const fv_bpe *bpe, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err);
/* Ids of one piece into ids[n] (room for all its bytes); gives how many. n at most FV_BPE_SHORT. */
size_t fv_bpe_short(const fv_bpe *bpe, const char *piece, size_t n, int32_t *ids);
/* The same for any length, O(n log n). */
fv_status fv_bpe_long(const fv_bpe *bpe, const char *piece, size_t n, int32_t *ids, size_t *n_ids, fv_err *err);

/* ---- trie.c ------------------------------------------------------------------------------- */

typedef struct fv_trie {
    struct fv_trie_edge *edges; /* [n_slots], a hash table */
    size_t n_slots;
    uint32_t n_edges;
} fv_trie;

/* `text` is not empty. */
fv_status fv_trie_add(fv_trie *trie, const char *text, size_t len, int32_t id, fv_err *err);
/* The node that `byte` leads to from `node` (0: the root), and the id that ends there or -1; 0: none. */
uint32_t fv_trie_step(const fv_trie *trie, uint32_t node, char byte, int32_t *id);
void fv_trie_release(fv_trie *trie);

/* ---- bpe_train.c -------------------------------------------------------------------------- */

/* Counted pieces. Texts come in by fv_trainer_add; beyond max_pieces or max_bytes the rarest are
 * forgotten, so that memory is bounded whatever comes. */
typedef struct fv_trainer {
    fv_map pieces; /* piece -> index of counts */
    int64_t *counts;
    size_t counts_capacity;
    size_t bytes; /* of all keys */
    size_t max_pieces, max_bytes;
} fv_trainer;

void fv_trainer_init(fv_trainer *trainer);
fv_status fv_trainer_add(fv_trainer *trainer, const char *piece, size_t len, fv_err *err);
void fv_trainer_release(fv_trainer *trainer);

/* A learned vocabulary: ids from 0 are the bytes (or the alphabet), and those behind them what merge 0,
 * 1, … makes. */
typedef struct fv_learned {
    fv_merge *merges;
    uint32_t n_merges;
    size_t merges_capacity;
} fv_learned;

/* Learns until there are `vocab` tokens or no pair occurs `min_count` times. */
fv_status fv_trainer_learn(const fv_trainer *trainer, int vocab, int min_count, fv_learned *out, fv_err *err);
/* The same from an alphabet instead of bytes: `units` holds characters, and those inside a word with
 * `prefix` before them; its values are their ids, 0 up. Pieces with a character that it lacks are
 * passed over. */
fv_status fv_trainer_learn_units(const fv_trainer *trainer, const fv_map *units, const char *prefix, int vocab, int min_count, fv_learned *out, fv_err *err);
void fv_learned_release(fv_learned *learned);
/* The unit of a character of `len` bytes, prefixed unless it is the word's first; in `room`. */
fv_status fv_unit_of(fv_buf *room, const char *p, size_t len, bool first, const char *prefix, fv_err *err);

/* ---- tokenizer.c -------------------------------------------------------------------------- */

typedef struct fv_token {
    const char *text;  /* as the vocabulary spells it: byte-level for merged tokens, else plain */
    const char *bytes; /* what it stands for */
    uint32_t n_bytes;
    bool added;        /* looked for in texts */
    bool special;      /* left out by decode */
    bool outside;      /* not of the model's vocabulary: only found as added */
} fv_token;

/* ---- decode.c ----------------------------------------------------------------------------- */

/* What an added token decodes to if it is looked for after normalisation: as normalised, like the Hugging Face library
 * (tokenizers 0.23). NULL for all others. */
const char *fv_token_as_normalized(const fv_tokenizer *tokenizer, int32_t id);

/* ---- wordpiece.c, wordpiece_train.c ------------------------------------------------------- */

typedef struct fv_wordpiece {
    const char *prefix; /* of tokens inside a word; the tokenizer's arena holds it */
    size_t prefix_len;
    size_t max_chars;   /* longer words are unknown */
    int32_t unk;
    bool cleanup;       /* decoding takes spaces before punctuation away */
    fv_trie trie;
    uint32_t inside;    /* the node of the prefix */
    bool has_inside;
} fv_wordpiece;

/* Prefix, max_chars and unk are set. */
fv_status fv_wordpiece_init(fv_wordpiece *wp, const fv_token *tokens, int32_t n, fv_err *err);
void fv_wordpiece_release(fv_wordpiece *wp);
/* Ids of one word into ids[n]; gives how many, at least 1. A single id covers the whole word. */
size_t fv_wordpiece_word(const fv_wordpiece *wp, const char *word, size_t n, int32_t *ids);

/* Names what is learned from counted words: special tokens, the alphabet, merges. */
fv_status fv_wordpiece_learn(fv_tokenizer *tokenizer, const fv_trainer *trainer, int vocab, int min_count, fv_err *err);

/* ---- unigram.c, metaspace.c, unigram_train.c ---------------------------------------------- */

/* SentencePiece's stand-in for a space, U+2581. */
#define FV_META "\xe2\x96\x81"
#define FV_META_LEN 3

typedef enum fv_prepend { FV_PREPEND_ALWAYS, FV_PREPEND_FIRST, FV_PREPEND_NEVER } fv_prepend;

typedef struct fv_unigram {
    double *scores; /* [n_scores] log probabilities; the tokenizer's arena holds them */
    double *written; /* the same as the file has them, for saving; NULL: they are alike */
    int32_t n_scores;
    int32_t unk;    /* -1: none */
    bool byte_fallback, has_bytes;
    fv_prepend prepend; /* FV_META before a text (always), before the input (first) */
    bool whole;         /* a text is one piece: it is not cut before each FV_META */
    bool single;        /* sums are rounded to float, as SentencePiece's are */
    int32_t byte_ids[256];
    double unk_score;
    fv_trie trie;
} fv_unigram;

/* Scores, unk and byte_fallback are set. */
fv_status fv_unigram_init(fv_unigram *u, const fv_token *tokens, int32_t n, const fv_map *ids, fv_err *err);
void fv_unigram_release(fv_unigram *u);
/* Ids of one piece and the bytes of each, into ids[len] and lens[len]. */
fv_status fv_unigram_piece(const fv_unigram *u, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err);

/* The same by chance (Kudo 2018): cuts in proportion to their probabilities to the power of alpha. */
fv_status fv_unigram_sample(const fv_unigram *u, const char *piece, size_t len, double alpha, fv_rng *rng, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err);
/* What both ways end with: ids and lens [*n], of neighbours that are unknown, become one token, or bytes. */
fv_status fv_unigram_finish(const fv_unigram *u, const char *piece, size_t len, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err);

/* Names what is learned from counted pieces: special tokens, characters and longer ones, with scores. */
fv_status fv_unigram_learn(fv_tokenizer *tokenizer, const fv_trainer *trainer, int vocab, int min_count, fv_err *err);

/* Spaces of a text as FV_META, and one before it where asked. at[i] is the text's byte that byte i
 * came from. */
typedef struct fv_meta {
    fv_buf text;
    uint32_t *at; /* [text.len + 1] */
    size_t at_capacity;
} fv_meta;
/* `first`: the text is where the input begins. */
fv_status fv_meta_fill(fv_meta *meta, const fv_unigram *u, const char *text, size_t len, bool first, fv_err *err);
/* The piece at `from`: up to the next FV_META, or all. */
size_t fv_meta_piece(const fv_meta *meta, const fv_unigram *u, size_t from);
void fv_meta_release(fv_meta *meta);

typedef enum fv_frame_kind { FV_FRAME_FIRST, FV_FRAME_SECOND, FV_FRAME_TOKEN } fv_frame_kind;

/* One step of putting ids together: a text, or a special token. */
typedef struct fv_frame_step {
    fv_frame_kind kind;
    uint8_t type;
    int32_t id; /* FV_FRAME_TOKEN */
} fv_frame_step;

#define FV_FRAME_MAX 32
typedef struct fv_frame {
    fv_frame_step steps[FV_FRAME_MAX];
    int n;
} fv_frame;

struct fv_tokenizer {
    fv_tokenizer_kind kind;
    fv_normalizer normalizer;
    fv_splitter splitter;
    bool gpt2;         /* tokenizer.json said "use_regex": written back so */
    bool prefix_space; /* a text that begins without a space gets one */
    fv_token *tokens;  /* [n] */
    int32_t n;
    fv_map ids;        /* text -> id */
    fv_added *added;   /* [n_added], ascending ids */
    size_t n_added;
    fv_finder raw, after; /* added tokens to find before and after normalisation */
    fv_bpe bpe;             /* each: only of that kind */
    fv_wordpiece wordpiece;
    fv_unigram unigram;
    int32_t unk;                 /* of whole words (WordLevel), or -1 */
    struct fv_parts *parts;      /* NULL where the ways above do; owned */
    struct fv_sentencepiece *sp; /* NULL unless it is a SentencePiece model; owned */
    bool framed;       /* the frames came from a template: written back */
    fv_frame one, two; /* for one text and for a pair */
    uint64_t serial;   /* never used twice in a process: tells caches whose they are */
    fv_arena arena;    /* tokens, their texts, added */
};

/* Making one goes: new, reserve, name each id, add, init its bpe, frame, seal. */
fv_tokenizer *fv_tokenizer_new(fv_err *err);
fv_status fv_tokenizer_reserve(fv_tokenizer *tokenizer, size_t n, size_t n_added, fv_err *err);
fv_status fv_tokenizer_name(fv_tokenizer *tokenizer, int32_t id, const char *text, size_t len, fv_err *err);
/* Makes a named token one that is looked for in texts. */
fv_status fv_tokenizer_add(fv_tokenizer *tokenizer, int32_t id, bool special, bool normalized, fv_err *err);
/* The same with all that fv_added says but its texts. */
fv_status fv_tokenizer_add_as(fv_tokenizer *tokenizer, fv_added how, fv_err *err);
/* The special tokens of what is trained here, in their ids' order; those of a SentencePiece model are fewer. */
#define FV_N_SPECIALS 5
enum { FV_PAD, FV_UNK, FV_CLS, FV_SEP, FV_MASK };
#define FV_N_SP_SPECIALS 3
enum { FV_SP_UNK, FV_SP_BOS, FV_SP_EOS };
bool fv_is_special(const char *text, size_t len);
int fv_n_specials(const fv_tokenizer *tokenizer);
/* Reserves n tokens, and names and adds the special ones among them. */
fv_status fv_tokenizer_begin(fv_tokenizer *tokenizer, size_t n, fv_err *err);
/* Frames without special tokens; types 0 and 1. */
void fv_frame_plain(fv_tokenizer *tokenizer);
/* [CLS] a [SEP], and [CLS] a [SEP] b [SEP] (Devlin et al. 2019). */
void fv_frame_bert(fv_tokenizer *tokenizer, int32_t cls, int32_t sep);
/* <s> a </s>, and <s> a </s></s> b </s>, all of type 0 (Liu et al. 2019). */
void fv_frame_roberta(fv_tokenizer *tokenizer, int32_t cls, int32_t sep);
/* The last step: tokens that are spelled byte by byte get their bytes; checks that all fits. */
fv_status fv_tokenizer_seal(fv_tokenizer *tokenizer, const char *where, fv_err *err);

/* GPT-2's spelling of bytes as printable characters: UTF-8 of byte b, 1 or 2 bytes and a zero. */
typedef struct fv_byte_names {
    char text[256][3];
    int16_t byte_of[0x144]; /* code point -> byte, or -1 */
} fv_byte_names;
void fv_byte_names_init(fv_byte_names *names);
#define FV_WHOLE_MAX 1024 /* bytes of the longest token that ignore_merges can find */

/* ---- encode.c ----------------------------------------------------------------------------- */

/* Subword regularisation (Kudo 2018): as fv_tokenizer_encode of one text without special tokens, but each cut of it is drawn
 * in proportion to its probability to the power of alpha (0.1 or 0.2 in translation; the larger, the nearer to the best
 * cut). Unigram models only. The same place of rng draws the same. */
fv_status fv_tokenizer_sample(const fv_tokenizer *tokenizer, const char *text, size_t len, double alpha, fv_rng *rng, fv_encoding *out, fv_err *err);

/* One more id. */
fv_status fv_encoding_put(fv_encoding *out, int32_t id, uint32_t begin, uint32_t end, fv_err *err);

/* ---- tokenizer_json.c --------------------------------------------------------------------- */

/* The text of a tokenizer.json; `where` names it in messages. */
fv_tokenizer *fv_tokenizer_parse(const char *text, size_t len, const char *where, fv_err *err);

#endif
