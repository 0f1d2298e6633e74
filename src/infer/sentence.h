/* Sentence encoders: what turns a text's hidden states into one vector, as the folders of sentence-transformers say it
 * (Reimers & Gurevych 2019). Their modules are a chain, of which this is the part that is supported:
 *
 *   modules.json                         Transformer, Pooling, any Dense, Normalize
 *   PATH/sentence_bert_config.json       of the Transformer: max_seq_length, do_lower_case
 *   PATH/config.json                     of Pooling and Dense; model.safetensors beside the latter
 *   config_sentence_transformers.json    prompts by name, and the one to use; a cross-encoder's activation
 *
 * A folder without modules.json gives the mean of its hidden states, as sentence-transformers would. */
#ifndef FV_INFER_SENTENCE_H
#define FV_INFER_SENTENCE_H

#include "models/encoder.h"

enum { FV_MAX_DENSE = 4 };

/* y = act(x wᵀ + b), with weights in a file of its own. */
typedef struct fv_dense {
    int in, out;
    fv_act act;
    fv_params params;
    fv_param *w, *b;      /* b: NULL without */
    fv_safetensors file;
} fv_dense;

typedef struct fv_sentence {
    bool given;           /* there is a modules.json */
    fv_pooling pooling;
    bool skips_prompt;    /* a prompt's tokens are not pooled: such a prompt is refused */
    bool normalise;
    int max_len;          /* tokens of a text at most; 0: as many as the encoder takes */
    fv_dense dense[FV_MAX_DENSE];
    int n_dense;
    json_t *prompts;      /* name to text, or NULL */
    const char *prompt;   /* the name of the one that is used unless asked for another; NULL: none */
    const char *activation; /* of a cross-encoder's score: the name of a class of PyTorch; NULL: not said here */
    json_t *settings;     /* what these point into */
} fv_sentence;

/* The folder of the Transformer's own files, which older folders have below: FOLDER, or a folder in it. */
fv_status fv_sentence_body(char out[FV_PATH_MAX], const char *folder, fv_err *err);
/* `body` is what fv_sentence_body gave, and `lowers` whether the tokenizer does away with upper case itself. */
fv_status fv_sentence_open(fv_sentence *sentence, const char *folder, const char *body, const fv_encoder_config *encoder, bool lowers, fv_err *err);
void fv_sentence_release(fv_sentence *sentence);
/* Numbers of a vector. */
int fv_sentence_size(const fv_sentence *sentence, const fv_encoder_config *encoder);
/* Hidden states [N, width] to vectors [B, size], not yet of unit length. */
fv_tensor *fv_sentence_build(const fv_sentence *sentence, fv_graph *g, fv_tensor *hidden, const fv_batch *batch);
/* What makes a folder with a Transformer's files one of sentence-transformers: file i of it, NULL past the last, and what stands
 * in it (a new reference; NULL with err set when out of memory). sentence_save.c. */
const char *fv_sentence_file(int i);
json_t *fv_sentence_file_json(int i, const fv_sentence *sentence, int width, fv_err *err);
const char *fv_pooling_name(fv_pooling pooling); /* "cls" | "mean" | "max" | … */

#endif
