/* What the methods of fv_explain share: the words of the text, how tokens add up to them, and the score that is explained.
 *
 *   units.c      words, whatever the tokenizer makes of them; texts with words left out
 *   rollout.c    attention, by taps: rollout, and maps of every layer and head
 *   gradient.c   gradients at the embeddings, by a tap that writes; the integral
 *   wide.c       what n-grams say
 *   faithful.c   leaving words out: a method of its own, and what measures the others
 *   explain.c    fv_explain: who calls whom
 */
#ifndef FV_EXPLAIN_EXPLAIN_H
#define FV_EXPLAIN_EXPLAIN_H

#include "infer/infer.h"

/* ---- units.c ---- */

/* Words ascend by part and place. {0} is none. */
typedef struct fv_units {
    fv_explained_word *items;
    size_t n, capacity;
} fv_units;

/* The text's lengths must be given. */
fv_status fv_units_find(fv_units *units, const fv_text *text, fv_err *err);
void fv_units_release(fv_units *units);
/* The word that byte `at` of a part lies in, or the nearest one before it; there must be words. */
size_t fv_units_at(const fv_units *units, int part, uint32_t at);
/* Lengths of 0 become what they mean. */
fv_text fv_units_measured(const fv_text *text);
/* A text of which only some words are left, in arena memory: those with `keep` true. A word goes with one of the blanks beside it,
 * and leaves one where letters would grow together. */
fv_status fv_units_without(const fv_units *units, const fv_text *text, const bool *keep, fv_arena *arena, fv_text *out, fv_err *err);

/* Token `token` belongs to a word in this share; shares of a token sum to 1. Frames have a word of -1. In order of tokens. */
typedef struct fv_share {
    int32_t token, word;
    double share;
} fv_share;

typedef struct fv_shares {
    fv_share *items;
    size_t n, capacity;
} fv_shares;

fv_status fv_shares_find(fv_shares *shares, const fv_units *units, const fv_encoding *encoding, fv_err *err);
void fv_shares_release(fv_shares *shares);
/* words[w] += what the tokens have, by their shares. */
void fv_shares_add(const fv_shares *shares, const double *tokens, double *words);

/* ---- score.c ---- */

/* What is explained. */
typedef struct fv_score {
    fv_labels kind;
    int label, outputs;
    double temperature;
    double direction; /* regression: 1, or -1 where the text brought the value down */
} fv_score;

/* Log-odds of the label, or the value. */
double fv_score_of(const fv_score *score, const float *logits);
/* d score / d logit, [outputs]; gives the score back. */
double fv_score_gradient(const fv_score *score, const float *logits, double *gradient);
/* What faithfulness is measured in: the probability; of regression the value times direction. */
double fv_score_chance(const fv_score *score, const float *logits);

/* ---- An explanation in work ---- */

typedef struct fv_explaining {
    fv_session *session;
    fv_text text;         /* the part that is read, lengths given */
    fv_units units;
    fv_shares shares;
    fv_encoding encoding; /* of the text */
    fv_score score;
    int32_t nothing;      /* the token of the baseline */
    fv_arena arena;       /* of texts in work */
} fv_explaining;

/* The encoding of the text, whose types say which text of a pair a token is of; cut, and counted in *cut, if it was longer than the model. */
fv_status fv_explain_encode(fv_explaining *explaining, int64_t *cut, fv_err *err);

/* ---- rollout.c ---- */

/* weights [n words], sum 1. */
fv_status fv_explain_rollout(fv_explaining *x, double *weights, fv_err *err);
/* Fills places, layers, heads and maps, in arena memory. */
fv_status fv_explain_maps(fv_explaining *x, fv_explanation *e, fv_arena *arena, fv_err *err);

/* ---- gradient.c ---- */

/* Score of the text and of the baseline. */
typedef struct fv_ends { double score, baseline; } fv_ends;
fv_status fv_explain_ends(fv_explaining *x, fv_ends *ends, fv_err *err);
/* weights [n words]. *steps: 1 is gradient × input; 0 is set to what was needed. */
fv_status fv_explain_gradient(fv_explaining *x, double *weights, fv_err *err);
fv_status fv_explain_integrated(fv_explaining *x, int *steps, double *weights, fv_err *err);
/* Gauss and Legendre's points in (0, 1) and their weights, which sum to 1. */
void fv_gauss_points(int n, double *at, double *weights);

/* ---- wide.c ---- */

/* Adds what the wide part's n-grams add to each logit, spread over words: to [n words, outputs]. */
fv_status fv_wide_by_words(fv_explaining *x, double *weights, fv_err *err);

/* ---- faithful.c ---- */

fv_status fv_explain_leave_one_out(fv_explaining *x, double *weights, fv_err *err);
/* Each of n orders is a permutation of the words, the weightiest first: orders [n, n words]. */
fv_status fv_explain_measure(fv_explaining *x, const uint32_t *orders, size_t n, fv_faithfulness *out, fv_err *err);
/* Words by weight, the largest first; equal ones as in the text. */
fv_status fv_explain_order(const double *weights, size_t n, uint32_t *order, fv_err *err);

#endif
