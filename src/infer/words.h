/* Texts to rows of token ids where every word wants an answer. A word's answer is read at its first
 * piece, and its tag is learnt there; other pieces and the framing tokens have none (Devlin et al. 2019, 5.3).
 *
 * The tokenizer sees the words with one space between them, however they stand in the text: a second
 * space or a line break says nothing about a word, and training files have none.
 *
 * A text that is longer than the model takes is read in several rows, cut between words: no word is
 * left without an answer. A word too long for a row of its own loses its end.
 *
 *     fv_word_rows words = {0};
 *     FV_TRY(fv_word_rows_make(&words, tokenizer, max_len, texts, n, &encoding, &cut, err));
 *     for (size_t w = words.of_text[i]; w < words.of_text[i + 1]; w++) ... the words of text i ...
 *     for (size_t w = words.of_row[r]; w < words.of_row[r + 1]; w++) ... those in row r, at token words.first[w] of it ...
 */
#ifndef FV_INFER_WORDS_H
#define FV_INFER_WORDS_H

#include "infer/infer.h"

typedef struct fv_word_rows {
    fv_token_rows tokens;
    size_t *of_row;          /* [tokens.n + 1] */
    size_t *of_text;         /* [n_texts + 1] */
    size_t n_texts, n;       /* texts, words */
    uint32_t *begins, *ends; /* [n] bytes of the text */
    int32_t *first;          /* [n] place of the first piece in its row; -1: made of nothing that the tokenizer sees */

    /* while a text is in work */
    int32_t *past;           /* [n] place behind the last piece */
    fv_buf joined;           /* its words, a space between them */
    size_t capacity, rows_capacity, ids_capacity;
} fv_word_rows;

/* Texts, no pairs. A text without words makes no row, so there may be fewer rows than texts, or none.
 * Texts that are longer than max_len are counted in *cut. `words` must be {0} or released. */
fv_status fv_word_rows_make(fv_word_rows *words, const fv_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, fv_encoding *encoding, int64_t *cut, fv_err *err);
void fv_word_rows_release(fv_word_rows *words);

/* Logits [words->n, outputs] of all words, for a sampler of words->tokens; words without pieces keep what
 * was there. progress may be NULL. */
fv_status fv_infer_words(const fv_network *net, const fv_head *head, fv_graph *graph, fv_sampler *sampler, const fv_word_rows *words, float *logits, fv_infer_progress progress, void *user, fv_err *err);
/* best [n]: the tag with the largest logit; without pieces O, or the first tag of a set that has none. */
void fv_infer_best_tags(const fv_head *head, const fv_word_rows *words, const float *logits, int32_t *best);
/* Words of texts, and their logits: release and fv_free them, whatever comes back. Both must be {0} and NULL. */
fv_status fv_session_word_logits(fv_session *session, const fv_text *texts, size_t n, fv_word_rows *words, float **logits, fv_infer_progress progress, void *user, fv_err *err);

/* Finds the pieces of words [from, n), which lie in `text` at begins and ends, in its encoding: sets first
 * and past, as places in the encoding. A piece belongs to the word that its first byte which is no white space lies in. */
void fv_word_rows_align(fv_word_rows *words, size_t from, const char *text, const fv_encoding *encoding);

#endif
