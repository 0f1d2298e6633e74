/* Where text meets tensors to get answers: an open model, rows of token ids from texts, scores from
 * rows. The public fv_model_open, fv_session_*, fv_classify* are here; training validates through
 * fv_infer_rows, so that what is measured is what is served.
 *
 *   model.c     the folder: config.json, model.safetensors, tokenizer.json, fovea.json
 *   network.c   a body with its heads: weights, graph, labels in JSON
 *   prepare.c   texts to rows, cut to the model's length, and to features
 *   session.c   rows to scores
 *   crew.c      batches on all cores (crew.h)
 *   foreign.c   what a folder answers that another program wrote
 *   sentence.c  folders of sentence-transformers (sentence.h), sentence_save.c writes them; embed.c: texts to vectors through them
 *   translate.c texts to texts: parts, search (search.h), words and their attention (align.h); decoder.c is the model behind the search
 *   words.c     texts to rows in which every word has its token (words.h); tag.c: those to tags
 */
#ifndef FV_INFER_INFER_H
#define FV_INFER_INFER_H

#include "data/data.h"
#include "infer/crew.h"
#include "infer/sentence.h"
#include "models/head.h"
#include "models/seq2seq.h"
#include "models/wide.h"
#include "text/ngrams.h"
#include "text/pair.h"

enum { FV_HEAD_NAME = 41 };

/* One question that a model answers. What fovea.json says of it, and its weights. */
typedef struct fv_head {
    char name[FV_HEAD_NAME]; /* "" when it is the model's only one; else letters, digits, _ and - */
    fv_labels kind;
    fv_label_set labels;   /* empty for regression and without labels */
    double temperature;    /* logits are divided by it: fitted on the validation part (Guo et al. 2017) */
    int outputs;           /* columns of its logits: labels, or 1 for a number; 0 without labels */
    fv_head_weights weights;
    fv_wide wide;
    bool has_wide;
    bool squashed;         /* a number through the sigmoid: a cross-encoder's score */
} fv_head;

/* What makes logits: the Transformer, and on it the heads. All parameters are the encoder's. Or a translator, whose only
 * head says no more than that it is one (FV_LABELS_TEXT). */
typedef struct fv_network {
    fv_encoder encoder;
    fv_seq2seq *translator; /* owned; NULL: encoder and heads */
    fv_head *heads;         /* [n_heads] */
    int n_heads;
} fv_network;

struct fv_model {
    char *folder;
    char *body;                             /* where its Transformer's files are: the folder, or one in it */
    fv_network net;
    fv_sentence sentence;                   /* unused by a translator */
    int max_len;                            /* tokens of a text; longer ones are cut */
    fv_tokenizer *tokenizer;                /* NULL in a translator, which has a pair */
    fv_pair_tokenizer *pair;
    fv_safetensors file, *wide_files; /* [n_heads]; closed ones where a head has no wide part */
};

struct fv_session {
    fv_model *model;
    fv_head *head;         /* the one that answers */
    fv_head none;          /* which it is where none was named of several: of FV_LABELS_VECTOR, as a body's without any */
    int batch_tokens;
    fv_precision precision; /* of products */
    fv_graph *graph;
    fv_crew *crew;         /* on it */
    fv_encoding encoding;
    fv_ngrams ngrams;
    fv_buf work;           /* scores of one call */
    struct fv_word *words; /* fv_attention_words' answer */
    size_t words_capacity;
    fv_tagged_word *tagged; /* fv_tag's answer: [tagged_capacity] both */
    fv_tagged_span *tagged_spans;
    size_t tagged_capacity;
    int64_t cut;
    struct fv_translating *translating; /* translate.h; NULL unless the model is a translator */
};

/* Packs the weights for products, once for all sessions. What the session's precision is, or negative. */
fv_status fv_model_pack(fv_model *model, fv_products products, fv_precision *precision, fv_err *err);

/* Texts to rows of at most max_len ids, specials included; longer ones lose their ends, the longer of
 * a pair first, and are counted in *cut. */
fv_status fv_prepare_rows(fv_token_rows *rows, const fv_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, fv_encoding *encoding, int64_t *cut, fv_err *err);
/* One text or pair, encoded and cut; counted in *cut if it was longer. */
fv_status fv_prepare_one(fv_encoding *encoding, const fv_tokenizer *tokenizer, int max_len, const fv_text *text, int64_t *cut, fv_err *err);
/* The rows of a dataset as texts, borrowed from it; fv_free the array. NULL when out of memory. */
fv_text *fv_prepare_texts(const fv_dataset *data, fv_err *err);
/* Types that say which text a token is of, whatever the tokenizer's file made of them; for models that do not read types. */
void fv_prepare_halves(fv_encoding *encoding);
/* One encoding cut in place. True if it was longer. */
bool fv_prepare_cut(fv_encoding *encoding, int max_len);

/* The n-grams of these texts that a wide part is to know, `most` of them. */
fv_status fv_prepare_wide(fv_wide *wide, const fv_text *texts, size_t n, int64_t most, fv_ngrams *ngrams, fv_err *err);
/* Sparse features of texts for the wide part. */
fv_status fv_prepare_features(fv_feature_rows *rows, const fv_wide *wide, const fv_text *texts, size_t n, fv_ngrams *ngrams, fv_err *err);
/* n-grams of one text or pair. */
fv_status fv_prepare_ngrams(fv_ngrams *ngrams, const fv_text *text, fv_err *err);

/* ---- Network ---- */

/* Heads whose kind, labels and outputs are set; adds all parameters. */
fv_status fv_network_init(fv_network *net, const fv_encoder_config *config, fv_err *err);
fv_status fv_network_init_translator(fv_network *net, const fv_seq2seq_config *config, fv_err *err);
fv_params *fv_network_params(fv_network *net);
const fv_quantization *fv_network_stored(const fv_network *net); /* how the file has the weights */
void fv_network_release(fv_network *net);
/* A head's logits of a batch. features NULL: what the Transformer alone says; not read without a wide part. */
fv_tensor *fv_network_build(const fv_network *net, const fv_head *head, fv_graph *g, const fv_batch *batch, const fv_feature_rows *features);
/* The file of a head's wide part: "wide.safetensors" or "wide.NAME.safetensors". */
typedef struct fv_wide_file { char name[64]; } fv_wide_file;
fv_wide_file fv_wide_file_of(const fv_head *head);

/* Told after each batch; nonzero stops with FV_E_STOPPED. */
typedef int (*fv_infer_progress)(void *user, size_t batches, size_t of);

/* Logits [n, outputs] of all rows that the sampler has, in row order. Plans a graph without training.
 * progress may be NULL. */
fv_status fv_infer_rows(const fv_network *net, const fv_head *head, fv_graph *graph, fv_sampler *sampler, const fv_feature_rows *features, float *logits, fv_infer_progress progress, void *user, fv_err *err);
/* The first `dim` numbers of the vectors of all rows that the sampler has, [n, dim] in row order; of length 1 if `unit`. */
fv_status fv_infer_vectors(const fv_encoder *encoder, const fv_sentence *sentence, fv_graph *graph, fv_sampler *sampler, int dim, bool unit, float *out, fv_err *err);
/* The same of rows, by all cores. */
fv_status fv_crew_vectors(fv_crew *crew, const fv_encoder *encoder, const fv_sentence *sentence, const fv_token_rows *rows, int batch_tokens, int dim, bool unit, float *out, fv_err *err);
/* FV_E_ARGUMENT, for a call that the session's head has no answer to: "FOLDER `lacks`: what it is for", or which heads there are. */
fv_status fv_session_refuse(const fv_session *session, const char *lacks, fv_err *err);
/* Logits [n, outputs] of texts. */
fv_status fv_session_logits(fv_session *session, const fv_text *texts, size_t n, float *logits, fv_infer_progress progress, void *user, fv_err *err);
/* In place: softmax, sigmoid, or nothing, by kind. */
void fv_infer_scores(const fv_head *head, float *logits, size_t n);
/* The temperature that makes the loss of `logits` smallest (single: truth [n] labels). 1 if there is nothing to learn from. */
double fv_infer_temperature(const float *logits, const int32_t *truth, size_t n, int outputs);

/* config.json with the labels in it (a single head's), and fovea.json's part about a head. New references. */
json_t *fv_model_config_json(const fv_network *net, fv_err *err);
fv_status fv_head_to_json(const fv_head *head, json_t *tree, fv_err *err);
fv_status fv_head_from_json(fv_head *head, const json_t *tree, const char *where, fv_err *err);
/* The same from another program's config.json; a head of nothing on failure. */
fv_status fv_head_from_config(fv_head *head, const json_t *tree, const char *where, fv_err *err);
/* What a cross-encoder's score goes through: the name of a class of PyTorch. */
fv_status fv_head_activate(fv_head *head, const char *activation, const char *where, fv_err *err);
fv_status fv_head_set_name(fv_head *head, const char *name, const char *where, fv_err *err);
void fv_head_count_outputs(fv_head *head); /* from its kind and labels */
void fv_head_release(fv_head *head);
const char *fv_labels_does(fv_labels kind); /* what such a model is for, and the command: "it tags words; use `fovea tag`" */
const char *fv_labels_name(fv_labels kind); /* "single" | "multi" | "regression" | "tags" | "none" | "text" | "vector" */
const char *fv_task_name(const fv_network *net); /* "classify" | "tag" | "mlm" | "multi" | "translate" | "embed": how fovea.json and `fovea train` call it */

#endif
