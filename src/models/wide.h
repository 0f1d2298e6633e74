/* The wide part: a linear model on n-grams, trained jointly with the Transformer (wide and deep, Cheng
 * et al. 2016). What single words say it learns at once and by heart; the Transformer is left with what
 * their order says. On small sets neither reaches alone what both do together.
 *
 *   logits = transformer(text) + Σ over n-grams of the text: tf·idf · weight[n-gram]
 *
 * In training each of the two has a loss of its own (fv_wide_build_alone): under one common loss the
 * n-grams know small sets by heart before the Transformer has learnt anything, and leave it no error.
 *
 * It lies in a file beside the model, for each head that has one: "hashes" U64 [F] ascending, "idf" F32 [F], "weight"
 * F32 [F, L]. A folder without that file is the Transformer alone, unless its
 * fovea.json lists the file. */
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
    fv_param *weight;     /* [n, outputs], owned by the model's parameters */
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
/* The features of one text as the next row; values are (1 + ln count) · idf, less for odd hashes, which
 * are pieces of words, and scaled to length 1. */
fv_status fv_wide_add_row(const fv_wide *wide, fv_feature_rows *rows, uint64_t *hashes, size_t n, fv_err *err);
/* Adds its weights to the model's parameters under `name`: zero at the start, at a rate of their own. */
fv_status fv_wide_add_param(fv_wide *wide, fv_params *params, const char *name, int outputs, fv_err *err);
/* logits + what the n-grams say. */
fv_tensor *fv_wide_build(const fv_wide *wide, fv_graph *g, fv_tensor *logits, const fv_feature_rows *features, const fv_batch *batch);
/* What the n-grams say, softened: logits to learn the wide part by, apart from the Transformer. Added to
 * that one's, the n-grams then speak the louder, which small sets like. */
fv_tensor *fv_wide_build_alone(const fv_wide *wide, fv_graph *g, const fv_feature_rows *features, const fv_batch *batch);

fv_status fv_wide_save(const fv_wide *wide, const char *path, fv_err *err);
/* Features from an open file; the weights stay in its mapping (fv_wide_map, after fv_wide_add_param). */
fv_status fv_wide_load(fv_wide *wide, const fv_safetensors *file, int outputs, fv_err *err);
void fv_wide_map(fv_wide *wide, const fv_safetensors *file);
void fv_wide_release(fv_wide *wide);

#endif
