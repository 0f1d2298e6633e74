/* Batches with all cores. One graph may have them all at its products; or, where there is enough to do, each core has a graph and
 * batches of its own. The second has no threads that wait for each other at every product, and what a core wrote it finds in
 * its own caches. What a row gives does not depend on who shares its batch, so both give the same bits. */
#ifndef FV_INFER_CREW_H
#define FV_INFER_CREW_H

#include "data/data.h"
#include "graph/graph.h"

typedef struct fv_crew fv_crew;

/* One batch on one graph, which is reset and has no threads of its own where several work side by side: what is written must be
 * the batch's alone. */
typedef fv_status (*fv_crew_fn)(void *user, fv_graph *graph, const fv_batch *batch, fv_err *err);

/* Both are borrowed: the graph is for batches that all threads share, and says what products round to. */
fv_crew *fv_crew_new(fv_graph *graph, fv_pool *pool, fv_err *err);
void fv_crew_free(fv_crew *crew);
/* All rows, in batches of at most `batch_tokens` tokens. */
fv_status fv_crew_run(fv_crew *crew, const fv_token_rows *rows, int batch_tokens, fv_crew_fn fn, void *user, fv_err *err);

#endif
