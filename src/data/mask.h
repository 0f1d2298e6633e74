/* Masking for pre-training (Devlin et al. 2019, 3.1): some tokens are hidden, and are to be told from the rest.
 *
 *     fv_masking m = {.seed = 1, .epoch = epoch, .share = 0.15, .mask_id = 4, .ordinary = ids, .n_ordinary = n,
 *                     .rows = &rows, .words = words};
 *     int32_t hidden = fv_mask_batch(&m, &batch, ids_out, places, targets);
 *
 * Of the chosen, 80 % become [MASK], 10 % another token drawn at random, 10 % stay as they are. What is chosen and what it
 * becomes depend on seed, epoch, the row's number and the place in it alone: other batching, threads or a resume change
 * nothing. Where at least one token may be chosen, at least one is.
 *
 * Chinese and Japanese put no spaces between words, and half of a word tells the other: so runs of one to three characters are
 * hidden together, cut anew in each epoch (the n-grams of MacBERT, Cui et al. 2020, with no need of a word list). */
#ifndef FV_DATA_MASK_H
#define FV_DATA_MASK_H

#include "data/data.h"

#define FV_MASK_FOREVER (-1) /* an epoch of its own: for validation, whose masks never change */

/* What each token of all rows is, a byte each, in the order of their ids. */
typedef enum fv_token_kind {
    FV_TOKEN_FIXED,     /* special: never chosen */
    FV_TOKEN_WORD,      /* a word's first piece */
    FV_TOKEN_CONTINUES, /* a further piece of the word before it: chosen together, or not at all */
    FV_TOKEN_CHARACTER, /* of a script that puts no spaces between words, and of a word of one or a few such */
} fv_token_kind;

typedef struct fv_masking {
    uint64_t seed;
    int64_t epoch;             /* or FV_MASK_FOREVER */
    double share;              /* of words that are chosen, and so of tokens */
    int32_t mask_id;
    const int32_t *ordinary;   /* [n_ordinary] tokens to draw from: no special ones */
    int32_t n_ordinary;        /* 0: what would be drawn stays */
    const fv_token_rows *rows; /* that batches are made of */
    const uint8_t *kinds;      /* of their tokens: fv_token_kind */
    bool pieces;               /* every token for itself, whatever word it is of */
} fv_masking;

/* ids_out [N]: the batch's ids with some hidden. places and targets, room for N each: the tokens that were chosen, as places
 * in the batch, ascending, and what stood there. Gives back how many. Does not allocate. */
int32_t fv_mask_batch(const fv_masking *masking, const fv_batch *batch, int32_t *ids_out, int32_t *places, int32_t *targets);

#endif
