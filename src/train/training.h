/* Inside of fv_train: the state of one training and the files that share it.
 *
 *   recipe.c       options, presets and defaults to one settled recipe, and its JSON
 *   prepare.c      data, labels, tokenizer, weights: all that is there before the first step
 *   loop.c         steps, validation, what is kept
 *   checkpoint.c   the state to one file and back
 *   publish.c      the model folder at the end
 *   train.c        fv_train itself: who calls whom
 */
#ifndef FV_TRAIN_TRAINING_H
#define FV_TRAIN_TRAINING_H

#include "infer/infer.h"
#include "train/record.h"
#include "train/shards.h"

/* What decides the bits of the result, beside the data: options with every default filled in. */
typedef struct fv_recipe {
    fv_encoder_config encoder; /* outputs is set once the labels are known */
    bool cased, wide;
    fv_labels kind;
    int epochs, patience, batch_tokens, accumulate;
    fv_optimiser optimiser;
    fv_schedule schedule;
    double lr, warmup, weight_decay, beta1, beta2, epsilon, clip, label_smoothing;
    uint64_t seed;
    int64_t steps_asked; /* 0: by epochs */
    int64_t steps;       /* 0 until known; not part of the recipe's JSON */
} fv_recipe;

fv_status fv_recipe_settle(fv_recipe *recipe, const fv_train_options *options, fv_err *err);
json_t *fv_recipe_to_json(const fv_recipe *recipe, fv_err *err);

/* Rows of one file, as text and as tokens, and how batches are cut from them. */
typedef struct fv_part {
    fv_dataset data;
    fv_token_rows rows;
    fv_feature_rows features; /* with a wide part */
    fv_sampler sampler;
    float *logits;      /* [n, outputs]: of the last validation; not for training rows */
    int64_t cut;
} fv_part;

typedef struct fv_training {
    const fv_train_options *o;
    fv_recipe recipe;
    fv_pool *pool;
    fv_lock lock;
    fv_model_head head;
    fv_tokenizer *tokenizer;
    fv_network net;
    fv_part train, valid, test;
    bool has_test;
    fv_graph *graph, *infer_graph;
    fv_shards shards;
    float *moment1, *moment2, *best; /* [n_floats] each */
    float *targets;                  /* of a batch: multi-label or regression */
    int32_t *labels;                 /* of a batch: single label */
    void *norm_scratch;
    fv_record record;

    /* the state that a checkpoint holds, beside weights, moments and best */
    int64_t step, epoch, batch;      /* batch: the next one of the epoch */
    int64_t tokens, epochs_since_best, best_step;
    double best_value, best_loss;    /* of the best validation; equal values are decided by loss */
    double seconds;                  /* of earlier runs */
    bool done_early;
    double valid_seconds;
    bool resumed;
    char *data_hashes;               /* JSON text: what the recipe was applied to */

    double started, saved;           /* fv_now() */
    double loss, grad_norm, lr;      /* of the last step */
    int stop;                        /* the callback asked for it */
} fv_training;

fv_status fv_training_prepare(fv_training *t, fv_err *err);
fv_status fv_training_run(fv_training *t, fv_err *err);
fv_status fv_training_publish(fv_training *t, fv_err *err);
void fv_training_release(fv_training *t);

/* One forward and backward of `batch` as shard `shard` of the present step; adds into the shard's
 * gradient. A plan-only call lays out memory and computes nothing. */
fv_status fv_training_shard(fv_training *t, const fv_batch *batch, int shard, bool plan_only, double *loss, fv_err *err);
/* Scores `part` with the present weights. The report's names are the trainer's; release with fv_metrics_release. */
fv_status fv_training_evaluate(fv_training *t, fv_part *part, bool intervals, fv_report *report, fv_err *err);
/* Events for whoever watches. */
void fv_training_say(fv_training *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
double fv_training_seconds(const fv_training *t); /* earlier runs included */

/* OUT/checkpoint.safetensors. Restore: false in *found when there is none. */
#define FV_CHECKPOINT "checkpoint.safetensors"
fv_status fv_checkpoint_save(fv_training *t, fv_err *err);
fv_status fv_checkpoint_restore(fv_training *t, uint64_t *log_bytes, uint64_t *event_bytes, bool *found, fv_err *err);
fv_status fv_checkpoint_remove(fv_training *t, fv_err *err);
bool fv_checkpoint_exists(const char *out);
/* OUT holds a finished model made by just this recipe from just this data. */
fv_status fv_training_is_finished(fv_training *t, bool *finished, fv_err *err);

#endif
