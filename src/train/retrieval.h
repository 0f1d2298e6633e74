/* Which texts vectors find for a text, and how right those are.
 *
 *     fv_judgements j = {0};
 *     FV_TRY(fv_judgements_make(&j, &data, err)); // of rows of FV_LABELS_VECTOR
 *     ... a vector of length 1 for each of j.texts ...
 *     fv_rankings r = {.judgements = &j, .vectors = vectors, .dim = dim, .seed = 1};
 *     FV_TRY(fv_retrieval_compute(&report, &r, pool, err));
 *
 * Every distinct text asks, every distinct text2 of the file is a document, and the file's rows say which documents are right
 * for which text, and how right (a grade; 1 without). Documents are ranked by their cosine to the text; wrong ones stand
 * before right ones of equal cosine, so that a model that cannot tell texts apart gains nothing by it. Means over the texts
 * that have a right document:
 *
 *   mrr       one over the rank of the first right document
 *   ndcg10    Σ grade / log2(1 + rank) over the right ones among the first ten, as a share of what the best order gives
 *             (Järvelin & Kekäläinen 2002, gains as in trec_eval)
 *   recall1   is the first one right?
 *   recall10  the share of the right ones that is among the first ten; of ten, where there are more */
#ifndef FV_TRAIN_RETRIEVAL_H
#define FV_TRAIN_RETRIEVAL_H

#include "base/pool.h"
#include "data/data.h"

typedef struct fv_judgement {
    int32_t query, document; /* their places among those that ask, and among documents */
    double grade;            /* above 0: right */
} fv_judgement;

typedef struct fv_judgements {
    fv_text *texts;          /* [n_queries + n_documents] distinct ones, borrowed from the dataset: those that ask come first */
    size_t n_queries, n_documents;
    fv_judgement *items;     /* [n] by query, then document, each pair once with its best grade */
    size_t n;
    int32_t *asks, *asked;   /* [rows of the dataset] the places of its text and its text2; -1: it has none */
} fv_judgements;

/* Rows without text2 give distinct texts alone. What rows have as `negative` are documents too. */
fv_status fv_judgements_make(fv_judgements *judgements, const fv_dataset *data, fv_err *err);
void fv_judgements_release(fv_judgements *judgements);

typedef struct fv_rankings {
    const fv_judgements *judgements;
    const float *vectors; /* [n_queries + n_documents, dim] of length 1 */
    int dim;
    bool own;             /* a text ranks only the documents that stand in rows with it */
    uint64_t seed;
    bool values_only;     /* no intervals */
} fv_rankings;

/* Fills metrics and n_metrics of the report. FV_E_INPUT when no text has a right document. */
fv_status fv_retrieval_compute(fv_report *report, const fv_rankings *rankings, fv_pool *pool, fv_err *err);

#endif
