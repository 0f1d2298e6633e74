/* The wide part: a linear model on n-grams beside the Transformer (wide and deep, Cheng et al. 2016). What
 * single words say it knows at once and by heart; the Transformer adds what their order says. On small
 * sets neither reaches alone what both do together.
 *
 *   logits = transformer(text) + Σ over n-grams of the text: tf·idf · weight[n-gram]
 *
 * The two learn apart (train/wide_fit.h): under one common loss the n-grams know small sets by heart before
 * the Transformer has learnt anything, and leave it no error.
 *
 * It lies in a file beside the model, for each head that has one: "hashes" U64 [F] ascending, "idf" F32 [F],
 * "weight" F32 [F, L]. A folder without that file is the Transformer alone, unless its fovea.json lists the
 * file. */
#ifndef FV_MODELS_WIDE_H
#define FV_MODELS_WIDE_H

#include "data/data.h"
#include "formats/formats.h"
#include "graph/graph.h"

typedef struct fv_wide {
    int64_t n;            /* features */
    uint64_t *hashes;     /* [n] ascending */
    float *idf;           /* [n] */
    uint32_t *slots;      /* hash table over them: number + 1, 0 is empty */
    uint32_t slot_mask;
    int outputs;
    float *weight;        /* [n, outputs]: owned, or in the mapping of a file */
    bool owned;
} fv_wide;

/* Counting texts, to choose features: in how many texts each n-gram occurs. {0} is empty. */
typedef struct fv_wide_counts {
    struct fv_wide_count *slots; /* open addressing by hash */
    size_t n_slots, n;
    int64_t texts;
} fv_wide_counts;

/* `hashes` of one text: sorted here, repeats count once. */
fv_status fv_wide_count(fv_wide_counts *counts, uint64_t *hashes, size_t n, fv_err *err);
void fv_wide_counts_release(fv_wide_counts *counts);
/* The n-grams of at least two texts, at most `most` of them, the commonest first. */
fv_status fv_wide_choose(fv_wide *wide, const fv_wide_counts *counts, int64_t most, fv_err *err);
/* The features of one text as the next row; values are (1 + ln count) · idf, scaled to length 1 among words
 * and among pieces of words, which have odd hashes. */
fv_status fv_wide_add_row(const fv_wide *wide, fv_feature_rows *rows, uint64_t *hashes, size_t n, fv_err *err);
/* logits + what the n-grams say. */
fv_tensor *fv_wide_build(const fv_wide *wide, fv_graph *g, fv_tensor *logits, const fv_feature_rows *features, const fv_batch *batch);

fv_status fv_wide_save(const fv_wide *wide, const char *path, fv_err *err);
/* From an open file, which must outlive it: the weights stay in its mapping. */
fv_status fv_wide_load(fv_wide *wide, const fv_safetensors *file, int outputs, fv_err *err);
void fv_wide_release(fv_wide *wide);

#endif
