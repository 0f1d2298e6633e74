/* Decoding: token ids of sources in, token ids of translations out, by greedy or beam search (Sutskever et al. 2014, 3.2).
 *
 * The search knows hypotheses and nothing of models: what it asks for it asks through an fv_stepper, behind which stands
 * a decoder (decoder.h), or in tests a table of numbers. A translation depends on its own source alone, bit for bit: not on
 * what else is in work, nor on the number of threads. */
#ifndef FV_INFER_SEARCH_H
#define FV_INFER_SEARCH_H

#include "base/mem.h"
#include "base/pool.h"
#include "models/seq2seq.h"

typedef struct fv_search_source {
    const int32_t *ids;    /* [n] n >= 1 */
    int32_t n;
    const int32_t *prefix; /* [n_prefix] what the translation begins with */
    int32_t n_prefix;
    size_t text;           /* what messages call it: "text 3" */
} fv_search_source;

/* A source that takes up work: its keys and values go to rows [first, first + source->n) of the cross cache, and rows of
 * steps name it by `lane` from then on. */
typedef struct fv_search_reading {
    int32_t lane, first;
    const fv_search_source *source;
} fv_search_reading;

/* The most that is asked for at once, told before anything else. */
typedef struct fv_search_shape {
    int32_t lanes, rows;   /* sources in work; hypotheses */
    int64_t slots, memory_rows;
    int32_t longest;       /* tokens of a source */
} fv_search_shape;

/* Row r holds columns [0, counts[r]) (all of them where counts is NULL), column i being token ids[r][i] (i where ids is NULL). */
typedef struct fv_search_logits {
    const float *x;
    int64_t ld, cols;
    const int32_t *counts;
    const int32_t *const *ids;
} fv_search_logits;

typedef struct fv_stepper {
    void *user;
    int32_t vocab, start, eos, pad; /* pad: never chosen; -1: there is none */
    int32_t max_len;                /* tokens of a target, </s> included */
    int weights_layer;              /* whose cross-attention is asked for */
    fv_status (*plan)(void *user, const fv_search_shape *shape, fv_err *err);
    fv_status (*read)(void *user, const fv_search_reading *sources, int32_t n, fv_err *err);
    /* lanes [step->R]: whose hypothesis a row is. The logits live until the next call. */
    fv_status (*step)(void *user, const fv_step *step, const int32_t *lanes, fv_search_logits *out, fv_err *err);
} fv_stepper;

typedef struct fv_search_options {
    int beam, nbest;         /* nbest at most beam */
    double length_penalty;   /* 0 or more */
    double coverage_penalty; /* 0 or more */
    int max_len, min_len;    /* tokens, </s> not counted; max_len 0: twice the source's and 20 */
    int batch;               /* sources in work at once at most; 0: as many as make good use of the cores */
    int rows;                /* hypotheses of a step at most, unless one source has more; 0: 128, enough for products to be worth their packing */
    int batch_tokens;        /* tokens of sources in work at once at most, unless one has more */
    bool attention;          /* is wanted in the answers */
} fv_search_options;

typedef struct fv_hypothesis {
    const int32_t *ids;      /* [n] </s> left out; NULL: there is no such hypothesis */
    int32_t n;
    double score;
    bool cut;                /* stopped at max_len, without </s> */
    const float *attention;  /* [n, source's n], or NULL when it is not asked for */
} fv_hypothesis;

typedef struct fv_search fv_search;

fv_search *fv_search_new(const fv_stepper *stepper, fv_pool *pool, fv_err *err); /* both are borrowed by copy */
void fv_search_free(fv_search *search);
/* out [n, nbest], of each source the best first. Those that ended stand before those that were cut: a loop is likely in the
 * eyes of a model, and would win. What they point to lives until the next run. FV_E_INPUT names a source whose
 * prefix does not fit; FV_E_FORMAT one for which the model gives no numbers. */
fv_status fv_search_run(fv_search *search, const fv_search_source *sources, size_t n, const fv_search_options *options, fv_hypothesis *out, fv_err *err);

#endif
