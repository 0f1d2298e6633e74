/* Ranking by words: BM25 (Robertson & Zaragoza 2009, 3.4), over documents that come and go.
 *
 *     score = sum over the query's words of  ln(1 + (N - n + 1/2) / (n + 1/2)) · f · (k1 + 1) / (f + k1 · (1 - b + b · length / mean length))
 *
 * with N documents, n of which have the word, f times in this one (at most 255 times count). The logarithm's 1 + keeps words
 * that most documents have from counting against a document. A word that the query repeats counts again.
 *
 * Documents are numbered by the caller, from 0, as densely as he can. What a document was does not show once it is gone: the index is
 * the same, to the bit of its scores, as if it had never been there. */
#ifndef FV_TEXT_BM25_H
#define FV_TEXT_BM25_H

#include "base/ids.h"
#include "text/cells.h"
#include "text/terms.h"

enum { FV_BM25_DOCUMENTS = 1 << 24 }; /* numbers are below it */

typedef struct fv_bm25 {
    double k1, b;
    fv_cells cells;              /* postings by word; words by document */
    struct fv_bm25_word *words;  /* [n_words], the free ones among them in a chain */
    size_t n_words, words_capacity;
    uint32_t spare_word;         /* place + 1 */
    fv_ids ids;                  /* of a word's hash */
    struct fv_bm25_document *documents; /* [n_documents] */
    uint32_t *lengths;           /* [n_documents] */
    size_t n_documents, documents_capacity, lengths_capacity;
    uint64_t count, total;       /* documents there are; the sum of their lengths */
} fv_bm25;

void fv_bm25_init(fv_bm25 *index, double k1, double b);
void fv_bm25_release(fv_bm25 *index);
/* The document must not be there. `terms` is room, which then holds the text's words sorted by hash. All or nothing. */
fv_status fv_bm25_add(fv_bm25 *index, uint32_t document, const char *text, size_t len, fv_terms *terms, fv_err *err);
bool fv_bm25_has(const fv_bm25 *index, uint32_t document);
void fv_bm25_remove(fv_bm25 *index, uint32_t document); /* nothing if it is not there */
/* scores[n_documents], 0 where no word is met; terms is room as above. *whole, if not NULL, is the score of a document of mean length that has each
 * of the query's words once, those that no document has, too: what a score may be compared with. */
fv_status fv_bm25_scores(const fv_bm25 *index, float *scores, float *whole, const char *query, size_t len, fv_terms *terms, fv_err *err);
size_t fv_bm25_bytes(const fv_bm25 *index);

#endif
