/* Labelled rows in memory, label sets, splits and ragged batches.
 *
 *   lines.c      lines of a file, a gzip or stdin, in constant memory
 *   table.c, jsonl.c, fasttext.c, conll.c, prose.c   rows of each kind of file
 *   files.c      the files of texts below a folder
 *   reader.c     fv_reader_* of fovea.h: which kind, which columns, what is said of bad rows
 *   tags.c       words that have a tag each, and the spans that tags spell
 *   dataset.c    all rows of a file, labels turned into numbers
 *   sampler.c    which rows make which batch of which epoch
 *   pairs.c      a batch of pairs as two batches
 */
#ifndef FV_DATA_DATA_H
#define FV_DATA_DATA_H

#include "base/file.h"
#include "base/rng.h"
#include "base/str.h"

/* Label names in order of their first appearance in training, sorted by bytes once complete. */
typedef struct fv_label_set {
    fv_map ids;      /* name -> index */
    const char **names;
    int n;
} fv_label_set;

fv_status fv_label_set_copy(fv_label_set *to, const char *const *names, int n, fv_err *err);
void fv_label_set_release(fv_label_set *set);

typedef struct fv_example {
    const char *text, *text2; /* text2 NULL for single texts; FV_LABELS_TEXT: the label; in the dataset's arena */
    uint32_t text_len, text2_len;
    int32_t label;            /* FV_LABELS_SINGLE: index, or -1 if unknown or not read */
    const int32_t *labels;    /* FV_LABELS_MULTI: sorted indices; FV_LABELS_TAGS: one for each word, -1 if unknown */
    int32_t n_labels;         /* of these two; for the others 1, or 0 if the row has no label */
    double value;             /* FV_LABELS_REGRESSION; FV_LABELS_VECTOR: the grade, else the label; NaN if the row has none */
    int64_t line;
    const char *negative;     /* FV_LABELS_VECTOR: or NULL */
    uint32_t negative_len;
} fv_example;

/* What the rows of FV_LABELS_VECTOR have beside their text, all the same. */
enum { FV_HAS_TEXT2 = 1, FV_HAS_NEGATIVE = 2, FV_HAS_LABEL = 4, FV_HAS_GRADE = 8 };

typedef struct fv_dataset {
    fv_example *rows;
    size_t n, capacity;
    int64_t skipped, unknown; /* bad rows left out; labels that the set does not have */
    char skipped_first[256];  /* the first bad row's message */
    int64_t files, skipped_files; /* of a folder: read; left out as bad */
    char skipped_files_first[256];
    char unknown_first[256];  /* "valid.tsv:17: label "x" never occurs in training" */
    char hash[65];            /* SHA-256 of the rows as read (text, text2, label, each with its length) */
    unsigned has;             /* FV_LABELS_VECTOR: FV_HAS_… */
    fv_arena arena;
} fv_dataset;

/* Reads PATH into *set, whatever was in it, and leaves it {0} on failure. Without labels (FV_LABELS_NONE) PATH may be a folder,
 * whose files of texts make one set (files.h; .txt and .md are plain text, parted by blank lines). With `grow` new labels join
 * the label set; otherwise an unknown one makes the row's label -1 (for several labels: it is left
 * out) and is counted in `unknown`. Errors name file, line and field: no rows at all, an empty label,
 * a regression value that is no finite number, not as many tags as words. An empty text is fine, but
 * for pairs and for vectors; with grades it means that text2 is a document that nobody asks for. */
fv_status fv_dataset_load(fv_dataset *set, const char *path, const fv_columns *columns, fv_labels kind, fv_label_set *labels, bool grow, fv_err *err);
/* Sorts the label set by bytes and renumbers the rows: the model's label order no longer depends on row order. */
fv_status fv_dataset_sort_labels(fv_dataset *set, fv_labels kind, fv_label_set *labels, fv_err *err);
/* Moves a share of rows (chosen by hash of the text and the seed, so duplicates stay together; at
 * least one row, never all) into `held`, which stands on its own; both keep their rows' order and the
 * hash of the whole file. FV_E_INPUT if there is but one row or one text. */
fv_status fv_dataset_split(fv_dataset *set, double share, uint64_t seed, fv_dataset *held, fv_err *err);
void fv_dataset_release(fv_dataset *set);
/* For FV_LABELS_VECTOR: what is not named is looked for as text2, negative, label and grade, and need not be there. */
void fv_dataset_vector_columns(fv_columns *columns);

/* Token ids of many texts, back to back. Row i has ids[offsets[i] .. offsets[i+1]). */
typedef struct fv_token_rows {
    int32_t *ids;
    uint8_t *types;
    int64_t *offsets; /* [n + 1] */
    size_t n;
    int max_len;      /* longest row */
} fv_token_rows;

void fv_token_rows_release(fv_token_rows *rows);

/* Sparse features of many texts: row i has ids[offsets[i] .. offsets[i+1]), ascending, and their values. */
typedef struct fv_feature_rows {
    int32_t *ids;
    float *values;
    int64_t *offsets; /* [n + 1] */
    size_t n, capacity;
} fv_feature_rows;

/* Room for the offsets of `most` rows; n counts those that were added. */
fv_status fv_feature_rows_init(fv_feature_rows *rows, size_t most, fv_err *err);
void fv_feature_rows_release(fv_feature_rows *rows);

/* A ragged batch: B sequences, N tokens, no padding. Pointers live until the next batch is made. */
typedef struct fv_batch {
    int32_t B, N;
    const int32_t *ids;       /* [N] */
    const int32_t *types;     /* [N] 0 or 1 */
    const int32_t *positions; /* [N] place within its sequence */
    const int32_t *offsets;   /* [B + 1] into N */
    const uint64_t *sequences;/* [B] what names the sequence to chance: its row number */
    const uint32_t *rows;     /* [B] row numbers in the dataset */
} fv_batch;

/* Cuts an epoch into batches: rows are shuffled by (seed, epoch), cut into windows, each window
 * sorted by length, batches filled up to `batch_tokens` (a longer row makes a batch of its own), and
 * the batches shuffled. A pure function of its inputs: any epoch can be planned again. */
/* Where a batch is put together: as much as a sampler's largest batch needs. */
typedef struct fv_batch_room {
    int32_t *ids, *types, *positions, *offsets;
    uint64_t *sequences;
} fv_batch_room;

typedef struct fv_sampler {
    const fv_token_rows *rows;
    int batch_tokens;
    uint64_t seed;
    uint32_t *order;     /* [n] row numbers, batch after batch */
    uint32_t *starts;    /* [n_batches + 1] into order */
    size_t n_batches;
    int64_t epoch;       /* of the present plan; -1: in order of length, unshuffled, for evaluation */
    int32_t max_B, max_N;/* largest batch that any epoch can form; of rows that change later, too */
    fv_batch_room room;  /* of the batch handed out by fv_sampler_get */
    void *work;
} fv_sampler;

/* Borrows `rows`. Plans epoch 0. */
fv_status fv_sampler_init(fv_sampler *sampler, const fv_token_rows *rows, int batch_tokens, uint64_t seed, fv_err *err);
void fv_sampler_plan(fv_sampler *sampler, int64_t epoch); /* no allocation */
void fv_sampler_get(fv_sampler *sampler, size_t i, fv_batch *batch);
/* The same in a room of the caller's: several threads may read, each with its own. */
void fv_sampler_read(const fv_sampler *sampler, size_t i, fv_batch_room *room, fv_batch *batch);
fv_status fv_batch_room_init(fv_batch_room *room, const fv_sampler *sampler, fv_err *err);
void fv_batch_room_release(fv_batch_room *room);
void fv_sampler_release(fv_sampler *sampler);

/* A batch of pairs, taken apart: a row is a source text and then its target text, which types 0 and 1 tell apart. What the
 * decoder reads is the target moved on by one place: `start` first, and the last token (</s>) only to be foretold. */
typedef struct fv_pair_batch {
    fv_batch source, target;  /* sequence b of both is row b of the batch */
    int32_t *targets;         /* [target.N] what follows each of target.ids */
    int32_t start, max_B, max_N;
    int32_t *ids, *positions; /* [max_N] of the source, then of the target */
    int32_t *zeros;           /* types */
    int32_t *offsets;         /* [2, max_B + 1] */
} fv_pair_batch;

fv_status fv_pair_batch_init(fv_pair_batch *pairs, int32_t max_B, int32_t max_N, int32_t start, fv_err *err);
/* Valid until the next call; borrows the batch's sequences and rows. */
void fv_pair_batch_split(fv_pair_batch *pairs, const fv_batch *batch);
void fv_pair_batch_release(fv_pair_batch *pairs);

#endif
