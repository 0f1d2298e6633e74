/* Heads: what turns an encoder's hidden states into answers. A model has one, or several that share a
 * body; each is for one of three places:
 *
 *   a text    logits [B, outputs] from the pooled row            BertForSequenceClassification
 *   a token   logits [N, outputs] from every hidden state        BertForTokenClassification
 *   a word    of the vocabulary that is missing at some places   BertForMaskedLM
 *
 * The last one's logits are never formed in training: its loss is fused with the product that would
 * make them. */
#ifndef FV_MODELS_HEAD_H
#define FV_MODELS_HEAD_H

#include "models/encoder.h"

typedef enum fv_head_place { FV_HEAD_TEXT, FV_HEAD_TOKEN, FV_HEAD_WORD, FV_HEAD_SEQUENCE, FV_HEAD_VECTOR } fv_head_place; /* the last two need none: an encoder–decoder, a body alone */

typedef struct fv_head_weights {
    fv_head_place place;
    fv_linear_weights classifier; /* text, token: [outputs, width] */
    fv_linear_weights transform;  /* word: dense and norm; then the product with the words' own vectors, plus a bias [1, vocab] */
    fv_norm_weights norm;
    fv_param *bias;
} fv_head_weights;

/* Adds the head's parameters to the encoder's: under its family's names ("classifier", "cls.predictions") when it is the only
 * one (`name` ""), as "heads.NAME.…" otherwise. */
fv_status fv_head_init(fv_head_weights *head, fv_encoder *encoder, fv_head_place place, const char *name, int outputs, fv_err *err);
/* Text: logits [B, outputs]. Token: logits [N, outputs]. */
fv_tensor *fv_head_build(const fv_head_weights *head, const fv_encoder *encoder, fv_graph *g, fv_tensor *hidden, const fv_batch *batch);
/* Word: what the words' vectors are multiplied by, [rows, width], for hidden states of places that miss one. */
fv_tensor *fv_head_build_words(const fv_head_weights *head, const fv_encoder *encoder, fv_graph *g, fv_tensor *hidden);

#endif
