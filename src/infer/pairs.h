/* Texts and their translations as rows of ids, and how likely a translator finds the one given the other: what training
 * validates by and `eval` reports. Translating is search.h's. */
#ifndef FV_INFER_PAIRS_H
#define FV_INFER_PAIRS_H

#include "infer/infer.h"

/* A row for each pair: source, then target, told apart by types 0 and 1, both ending in </s>. Either is cut to max_len
 * tokens, </s> included, which *cut counts. alpha > 0: pieces are drawn (Kudo 2018) as (seed, epoch, row) say. */
typedef struct fv_pair_drawing {
    double alpha;
    uint64_t seed;
    int64_t epoch;
    int longest; /* 0: no bound. A longer row takes its likeliest pieces instead */
} fv_pair_drawing;

/* Refills *rows, whose room it reuses; it may be {0}. */
typedef struct fv_pair_rows {
    fv_token_rows rows;
    size_t ids_room, types_room;
    bool bare_source; /* as the model's configuration has it: sources without </s>, unless nothing else is in them */
    fv_encoding source, target;
} fv_pair_rows;

fv_status fv_pair_rows_make(fv_pair_rows *rows, const fv_pair_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, const fv_pair_drawing *drawing, int64_t *cut, fv_err *err);
void fv_pair_rows_release(fv_pair_rows *rows);

/* losses[i]: minus the log-probability of row i's target; counts[i]: its tokens. Both [n]. */
fv_status fv_pair_score(const fv_seq2seq *model, fv_graph *graph, fv_sampler *sampler, fv_pair_batch *pairs, double *losses, int32_t *counts, fv_infer_progress progress, void *user, fv_err *err);

#endif
