/* Searching with all cores. One search may have them all at its products; or, where there is enough to do, each core has a
 * search of its own over a part of the sources. The second has no threads that wait for each other at every product, and packs
 * each row once instead of once a thread. A translation depends on its source alone, so both give the same bits. */
#ifndef FV_INFER_TEAM_H
#define FV_INFER_TEAM_H

#include "infer/search.h"
#include "infer/shortlist.h"

typedef struct fv_team fv_team;

/* All are borrowed; the model is packed. list: what may be said, or NULL. */
fv_team *fv_team_new(const fv_seq2seq *model, const fv_shortlist *list, fv_pool *pool, fv_err *err);
void fv_team_free(fv_team *team);
/* As fv_search_run. */
fv_status fv_team_run(fv_team *team, const fv_search_source *sources, size_t n, const fv_search_options *options, fv_hypothesis *out, fv_err *err);

#endif
