/* Inside of fv_train: the state of one training and the files that share it.
 *
 *   recipe.c       options, presets and defaults to one settled recipe, and its JSON
 *   jobs.c         what is to be learnt, one job or several: rows and labels, from files
 *   objective_*.c  how one kind of job is learnt: rows to batches, a batch to a loss, a part to figures
 *   prepare.c      tokenizer, weights, room: all else that is there before the first step
 *   loop.c         steps, validation, what is kept
 *   checkpoint.c   the state to one file and back
 *   publish.c      the model folder at the end
 *   suggest.c      a translator's shortlist in it
 *   teacher.c      what another model says of texts (teacher.h); retrieval.c, similarity.c: how good vectors are
 *   train.c        fv_train itself: who calls whom
 */
#ifndef FV_TRAIN_TRAINING_H
#define FV_TRAIN_TRAINING_H

#include "infer/masked.h"
#include "infer/pairs.h"
#include "infer/words.h"
#include "train/lessons.h"
#include "train/record.h"
#include "train/retrieval.h"
#include "train/shards.h"
#include "train/teacher.h"
#include "train/wide_fit.h"

/* What rows teach of vectors. */
typedef enum fv_embed_loss { FV_EMBED_CONTRAST, FV_EMBED_COSENT, FV_EMBED_COSINE, FV_EMBED_TRIPLET, FV_EMBED_TEACHER, FV_EMBED_BY_COLUMNS } fv_embed_loss;

/* FV_TASK_EMBED's part of a recipe. */
typedef struct fv_embed_recipe {
    fv_embed_loss loss;            /* FV_EMBED_BY_COLUMNS until these are known */
    double scale, margin;
    int dims[FV_MAX_DIMS + 1];     /* largest first; the width is the first of them once it is known */
    int n_dims;
    int max_len;                   /* tokens of a text: may be fewer than the encoder's */
    fv_pooling pooling;
    char teacher[65];              /* SHA-256 of its weights; "" without one */
} fv_embed_recipe;

/* What decides the bits of the result, beside the data: options with every default filled in. */
typedef struct fv_recipe {
    fv_encoder_config encoder;
    fv_seq2seq_config translator; /* FV_TASK_TRANSLATE: instead of encoder */
    double sample_pieces;
    int average;
    bool cased, wide, taught; /* taught: by n-grams that do not answer with it */
    fv_task task;
    fv_labels labels;    /* of FV_TASK_CLASSIFY */
    int epochs, patience, batch_tokens, accumulate;
    fv_optimiser optimiser;
    fv_schedule schedule;
    fv_products products;
    double lr; /* 0: of an encoder that is tuned, until its width is known */
    double warmup, weight_decay, beta1, beta2, epsilon, clip, word_dropout, label_smoothing;
    int freeze;          /* the embeddings and so many layers do not learn; -1: all do */
    double layer_decay;  /* a layer's rate, as a share of the next one's */
    double mask_share;
    bool mask_pieces;
    uint64_t seed;
    fv_embed_recipe embed;
    int64_t steps_asked; /* 0: by epochs */
    int64_t steps;       /* 0 until known; not part of the recipe's JSON */
} fv_recipe;

/* Highest rate for an encoder that has learnt before, by its width: 5e-5 for BERT's 768, as Devlin et al. 2019 chose among theirs (A.3), 2e-4 for
 * MiniLM's 384, which docs/decisions.md shows. */
#define FV_TUNING_LR(width) fmin(5e-4, 30.0 / ((double)(width) * (width)))
/* How fast its layers then learn, as a share of the one above each, where a new head stands on top. */
#define FV_TUNING_DECAY 0.9
fv_status fv_recipe_settle(fv_recipe *recipe, const fv_train_options *options, fv_err *err);
json_t *fv_recipe_to_json(const fv_recipe *recipe, fv_err *err);

/* Rows of one file, as text and as tokens, and how batches are cut from them. */
typedef struct fv_part {
    const char *path; /* NULL: none was given */
    fv_dataset data;
    fv_token_rows rows;
    fv_pair_rows pairs; /* of texts and their translations: instead of rows */
    fv_feature_rows features; /* with a wide part */
    fv_word_rows words; /* with tags: instead of rows */
    int32_t *tags;      /* [words.n]: the truth */
    uint8_t *kinds;     /* of tokens, where words are hidden: fv_token_kind */
    fv_judgements judged; /* with vectors, of a part that is validated: its distinct texts, which are its rows */
    int32_t *names;     /* with vectors, of the training part: [n, parts] equal for equal texts */
    float *taught;      /* with a teacher: [n, width] what it says of each row's text */
    fv_sampler sampler;
    float *logits;      /* of the last validation, as the objective lays them out; NULL for training rows */
    int64_t cut;
} fv_part;

/* A batch of rows of several texts each as one of texts: `parts` sequences for each row. */
typedef struct fv_text_batch {
    int parts;
    int32_t *positions, *zeros; /* [max_N] */
    int32_t *offsets;           /* [parts · max_B + 1] */
    uint64_t *sequences;        /* [parts · max_B] */
    int32_t *names;             /* [parts · max_B] */
    float *values;              /* [max_B] labels */
    float *targets[FV_MAX_DIMS + 1]; /* [parts · max_B, dim] of a teacher, for each of the recipe's dims */
} fv_text_batch;

/* One thing to learn: a head with its rows. `train multi` has several, every other task has one. */
typedef struct fv_job {
    const struct fv_objective *objective;
    fv_head *head;            /* of the network */
    fv_columns columns;
    double weight, share;     /* how often its rows are seen, and the part of the shards that makes */
    fv_part train, valid, test;
    bool has_test;
    fv_graph *graph;          /* of a shard: its layout is kept from step to step */
    float *targets;           /* of a batch: [max_B, outputs], multi-label or regression */
    int32_t *labels;          /* of a batch: [max_B, or max_N for tokens] */
    fv_masker masker;         /* without labels */
    fv_pair_batch pairs;      /* of texts and their translations */
    fv_text_batch texts;      /* with vectors */
    int64_t epoch, batch;     /* where its rows go on; part of a checkpoint */
    fv_lessons lessons;       /* of the training rows, if the n-grams teach; else empty */
    float *margins;           /* with a wide part: what it says of the validation rows, [n, outputs] */
    fv_fusion fusion;         /* how loud the two were at the last look */
    bool settled;             /* and that has gone into the weights */
} fv_job;

typedef struct fv_training {
    const fv_train_options *o;
    fv_recipe recipe;
    fv_pool *pool;
    fv_lock lock;
    size_t out_stood;                /* bytes of the path of OUT that named a folder before (fv_folder_make_new) */
    bool lock_is_new;
    bool in_out, begun;              /* OUT and its lock may have been made; it has more of this run than these, and stays */
    fv_tokenizer *tokenizer;
    fv_pair_tokenizer *pair;         /* of a translator, instead of tokenizer */
    fv_network net;
    fv_sentence sentence;            /* FV_TASK_EMBED: what makes hidden states a vector */
    fv_teacher *teacher;             /* or NULL */
    fv_params *params;               /* the network's */
    fv_job *jobs;                    /* [n_jobs], job i learns net.heads[i] */
    int n_jobs;
    fv_arena arena;                  /* names and paths of a table of tasks */
    fv_graph *infer_graph;
    fv_shards shards;
    float *best;                     /* [n_floats] */
    float *moment1, *moment2;        /* [n_moments] each: what is frozen has none */
    int64_t *moment_at, n_moments;   /* [params->n] where a parameter's begin, which is not looked at if it is frozen */
    float *mean;                     /* [n_floats] the sum of the weights at the last epochs' ends; NULL unless recipe.average > 1 */
    void *norm_scratch;
    fv_record record;
    bool planning;                   /* the largest batch is laid out, nothing is computed */

    /* the state that a checkpoint holds, beside weights, moments, best and where each job's rows go on */
    int64_t step, epoch, batch;      /* batch: of the epoch, which is as many as all jobs have together */
    int64_t tokens, epochs_since_best, best_step;
    int64_t n_mean;                  /* weights in `mean` */
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

/* What a validation is judged by: names of figures. */
typedef struct fv_judging {
    const char *headline;    /* what people are told; the largest is best, unless the other decides alone */
    const char *tie_breaker; /* between equals: the smallest is best */
    bool by_tie_breaker;     /* it decides alone */
} fv_judging;

/* Of jobs that learn to tell words: people are told the perplexity, the loss decides. */
fv_judging fv_judged_by_loss(const fv_job *job);

/* How one kind of job is learnt. */
typedef struct fv_objective {
    const char *task;                /* how fovea.json and `fovea train` call it */
    /* Tokenizes a part and cuts batches; makes room for what the other calls need. `trains`: it is the training part. */
    fv_status (*encode)(fv_training *t, fv_job *job, fv_part *part, bool trains, fv_err *err);
    /* Adds the nodes of a batch's loss to job->graph: [1, 1]. While t->planning the batch is the largest that
     * can be formed, of rows and ids that mean nothing: no later one may need more room. */
    fv_tensor *(*loss)(fv_training *t, fv_job *job, const fv_batch *batch);
    /* Scores a part with the present weights. The report's names are the job's; release with fv_metrics_release. */
    fv_status (*evaluate)(fv_training *t, fv_job *job, fv_part *part, bool intervals, fv_report *report, fv_err *err);
    /* Softens or sharpens the scores of the validation part until they mean what they say; NULL: nothing to do. */
    fv_status (*calibrate)(fv_training *t, fv_job *job, fv_err *err);
    /* What remains to be done to the best weights once the validation part is scored; NULL: nothing. */
    void (*settle)(fv_training *t, fv_job *job);
    /* Which epoch is best. */
    fv_judging (*judging)(const fv_job *job);
    /* Looks at the rows of all parts once they are loaded; NULL: all rows are fine. */
    fv_status (*look)(fv_training *t, fv_job *job, fv_err *err);
    bool splits;                     /* a long text takes several rows instead of losing its end */
    /* Makes the training rows of job->epoch anew, within the bounds that the sampler found; NULL: they stay as they are. */
    fv_status (*draw_rows)(fv_training *t, fv_job *job, fv_err *err);
} fv_objective;

extern const fv_objective fv_objective_classify, fv_objective_mlm, fv_objective_tag, fv_objective_translate, fv_objective_embed;
const fv_objective *fv_objective_of(fv_labels kind);

/* Jobs and heads from the options, rows and labels from their files. */
fv_status fv_jobs_load(fv_training *t, fv_err *err);
void fv_job_release(fv_job *job);

const char *fv_embed_loss_name(fv_embed_loss loss); /* "contrast" | "cosent" | "cosine" | "triplet" | "teacher" */
/* What turns a text's hidden states into a vector, from the options and the model to start from (or NULL). Its settings are borrowed. */
fv_status fv_embed_adopt(fv_training *t, const fv_model *from, fv_err *err);
void fv_text_batch_release(fv_text_batch *texts);

/* Rows and batches of job->epoch. */
fv_status fv_job_begin_epoch(fv_training *t, fv_job *job, fv_err *err);

fv_status fv_training_prepare(fv_training *t, fv_err *err);
/* How many steps there will be; not after resuming, which knows. */
fv_status fv_training_settle_steps(fv_training *t, fv_err *err);
fv_status fv_training_run(fv_training *t, fv_err *err);
fv_status fv_training_publish(fv_training *t, fv_err *err);
/* Writes to `path` which target tokens the training pairs suggest for each source token (infer/shortlist.h). */
fv_status fv_training_suggest(const fv_training *t, const char *path, fv_err *err);
void fv_training_release(fv_training *t);

/* One forward and backward of `batch` as shard `shard` of the present step; adds into the shard's
 * gradient. While t->planning it lays out memory and computes nothing. */
fv_status fv_training_shard(fv_training *t, fv_job *job, const fv_batch *batch, int shard, double *loss, fv_err *err);
/* Events for whoever watches. */
void fv_training_say(fv_training *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
double fv_training_seconds(const fv_training *t); /* earlier runs included */
/* A figure of a report by its name; NaN if it is not there. */
double fv_report_value(const fv_report *report, const char *name);

/* OUT/checkpoint.safetensors. Restore: false in *found when there is none. */
#define FV_CHECKPOINT "checkpoint.safetensors"
fv_status fv_checkpoint_save(fv_training *t, fv_err *err);
fv_status fv_checkpoint_restore(fv_training *t, uint64_t *log_bytes, uint64_t *event_bytes, bool *found, fv_err *err);
fv_status fv_checkpoint_remove(fv_training *t, fv_err *err);
bool fv_checkpoint_exists(const char *out);
/* OUT holds a finished model made by just this recipe from just this data. */
fv_status fv_training_is_finished(fv_training *t, bool *finished, fv_err *err);

#endif
