/* Where text meets tensors to get answers: an open model, rows of token ids from texts, scores from
 * rows. The public fv_model_open, fv_session_*, fv_classify* are here; training validates through
 * fv_infer_rows, so that what is measured is what is served.
 *
 *   model.c     the folder: config.json, model.safetensors, tokenizer.json, fovea.json
 *   prepare.c   texts to rows, cut to the model's length, and to features
 *   session.c   rows to scores
 */
#ifndef FV_INFER_INFER_H
#define FV_INFER_INFER_H

#include "data/data.h"
#include "models/encoder.h"
#include "models/wide.h"
#include "text/ngrams.h"

/* What fovea.json says that others' files do not. */
typedef struct fv_model_head {
    fv_labels kind;
    fv_label_set labels;   /* empty for regression */
    double temperature;    /* logits are divided by it: fitted on the validation part (Guo et al. 2017) */
} fv_model_head;

/* What makes logits: the Transformer, and the wide part if there is one. */
typedef struct fv_network {
    fv_encoder encoder;
    fv_wide wide;
    bool has_wide;
} fv_network;

struct fv_model {
    char *folder;
    fv_network net;
    fv_model_head head;
    fv_tokenizer *tokenizer;
    fv_safetensors file, wide_file;
};

struct fv_session {
    fv_model *model;
    int batch_tokens;
    fv_graph *graph;
    fv_encoding encoding;
    fv_ngrams ngrams;
    fv_buf work;           /* scores of one call */
    struct fv_word *words; /* fv_attention_words' answer */
    size_t words_capacity;
    int64_t cut;
};

/* Texts to rows of at most max_len ids, specials included; longer ones lose their ends, the longer of
 * a pair first, and are counted in *cut. */
fv_status fv_prepare_rows(fv_token_rows *rows, const fv_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, fv_encoding *encoding, int64_t *cut, fv_err *err);
/* One text or pair, encoded and cut; counted in *cut if it was longer. */
fv_status fv_prepare_one(fv_encoding *encoding, const fv_tokenizer *tokenizer, int max_len, const fv_text *text, int64_t *cut, fv_err *err);
/* The rows of a dataset as texts, borrowed from it; fv_free the array. NULL when out of memory. */
fv_text *fv_prepare_texts(const fv_dataset *data, fv_err *err);
/* One encoding cut in place. True if it was longer. */
bool fv_prepare_cut(fv_encoding *encoding, int max_len);

/* Sparse features of texts for the wide part. */
fv_status fv_prepare_features(fv_feature_rows *rows, const fv_wide *wide, const fv_text *texts, size_t n, fv_ngrams *ngrams, fv_err *err);
/* n-grams of one text or pair. */
fv_status fv_prepare_ngrams(fv_ngrams *ngrams, const fv_text *text, fv_err *err);

/* Logits of a batch; features is not read without a wide part. */
fv_tensor *fv_network_build(const fv_network *net, fv_graph *g, const fv_batch *batch, const fv_feature_rows *features);
void fv_network_release(fv_network *net);

/* Told after each batch; nonzero stops with FV_E_STOPPED. */
typedef int (*fv_infer_progress)(void *user, size_t batches, size_t of);

/* Logits [n, outputs] of all rows that the sampler has, in row order. Plans a graph without training.
 * progress may be NULL. */
fv_status fv_infer_rows(const fv_network *net, fv_graph *graph, fv_sampler *sampler, const fv_feature_rows *features, float *logits, fv_infer_progress progress, void *user, fv_err *err);
/* Logits [n, outputs] of texts. */
fv_status fv_session_logits(fv_session *session, const fv_text *texts, size_t n, float *logits, fv_infer_progress progress, void *user, fv_err *err);
/* In place: softmax, sigmoid, or nothing, by kind. */
void fv_infer_scores(const fv_model_head *head, float *logits, size_t n, int outputs);
/* The temperature that makes the loss of `logits` smallest (single: truth [n] labels). 1 if there is nothing to learn from. */
double fv_infer_temperature(const float *logits, const int32_t *truth, size_t n, int outputs);

/* config.json with the labels in it, and fovea.json's part about the head. New references. */
json_t *fv_model_config_json(const fv_encoder_config *config, const fv_model_head *head, fv_err *err);
fv_status fv_model_head_to_json(const fv_model_head *head, json_t *tree, fv_err *err);
fv_status fv_model_head_from_json(fv_model_head *head, const json_t *tree, const char *where, fv_err *err);
const char *fv_labels_name(fv_labels kind); /* "single" | "multi" | "regression" */

#endif
