/* Another program's encoder–decoder as one of ours: what CTranslate2's variables say, in our config.json's terms and
 * under our weights' names. Nothing is guessed: a variable whose meaning is not known is refused by name, so that
 * what is converted computes what it did. */
#ifndef FV_MODELS_SEQ2SEQ_IMPORT_H
#define FV_MODELS_SEQ2SEQ_IMPORT_H

#include "formats/ctranslate2.h"
#include "models/seq2seq.h"

/* The result. Data of the tensors lies in the import or in the open model, which must outlive it. */
typedef struct fv_seq2seq_import {
    fv_seq2seq_config config;
    fv_st_tensor *tensors;
    size_t n, capacity;
    fv_map source, target; /* tokens by id; the target's stays empty where one vocabulary serves both */
    fv_arena arena;
} fv_seq2seq_import;

/* Weights of 8 and 16 bits and short floats become float32. Positions that the tool computes become a table of
 * them. Start from {0}; release after success and failure alike. */
fv_status fv_seq2seq_import_ctranslate2(fv_seq2seq_import *import, fv_ctranslate2 *from, fv_err *err);
void fv_seq2seq_import_release(fv_seq2seq_import *import);

#endif
