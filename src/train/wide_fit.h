/* The wide part's weights, found before the Transformer learns: a linear model on n-grams is a convex
 * problem, which dual coordinate descent solves to its end in seconds, where Adam, walking it beside
 * everything else, stops some points short of it.
 *
 *   labels    one machine a label against the rest: ½|w|² + C Σ max(0, 1 - y w·x)²
 *   numbers   ridge regression:                     ½|w|² + C Σ (w·x - y)²
 *
 * (Hsieh et al. 2008; Ho & Lin 2012.) C is the one of a few whose answers lose least on held rows. The
 * machines answer in margins, not in probabilities: fv_fusion_fit says how loud they are to speak. */
#ifndef FV_TRAIN_WIDE_FIT_H
#define FV_TRAIN_WIDE_FIT_H

#include "base/pool.h"
#include "data/data.h"

/* Rows to learn from, or to be judged by. Borrowed. */
typedef struct fv_wide_rows {
    const fv_feature_rows *features;
    const fv_dataset *data;
} fv_wide_rows;

/* Chooses C by learning from the rows of all parts and predicting `held`; margins: [held rows, outputs], of the chosen
 * one. features: how many there are. */
fv_status fv_wide_choose_C(double *C, float *margins, const fv_wide_rows *parts, int n_parts, const fv_wide_rows *held, fv_labels kind, int outputs, int64_t features, uint64_t seed, fv_pool *pool, fv_err *err);
/* Weights [features + 1, outputs] from the rows of all parts; the last row is the bias, a feature that every row has. */
fv_status fv_wide_fit(float *weight, double C, const fv_wide_rows *parts, int n_parts, fv_labels kind, int outputs, int64_t features, uint64_t seed, fv_pool *pool, fv_err *err);

/* logits = deep · a + wide · b, with the a and b that lose least on rows that neither learnt from. */
typedef struct fv_fusion { double deep, wide; } fv_fusion;
/* deep, wide: [n, outputs]. Newton's method: the loss is convex in both. Gives the mean loss. */
double fv_fusion_fit(fv_fusion *fusion, const float *deep, const float *wide, const fv_dataset *data, fv_labels kind, int outputs);

#endif
