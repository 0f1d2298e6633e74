/* Which target tokens a source text may become. A decoder that knows it multiplies with some hundreds of rows of
 * its output matrix instead of with all, for each token that it writes.
 *
 *     fv_shortlist list;
 *     FV_TRY(fv_shortlist_open(&list, path, source_vocab, target_vocab, err));
 *     uint64_t *marks = ...            fv_shortlist_marks(&list) of them
 *     int32_t *candidates = ...        target_vocab of them
 *     size_t n = fv_shortlist_pick(&list, marks, ids, n_ids, candidates);    once for each batch, no allocation
 *     fv_shortlist_release(&list);
 *
 * What train/lexicon.h learns. On disk: shortlist.safetensors with the I32 tensors "always" [f], "offsets" [V + 1]
 * and "targets" [n] as below; metadata "fovea_shortlist" is the version, "1", and "target_vocab" a number. */
#ifndef FV_INFER_SHORTLIST_H
#define FV_INFER_SHORTLIST_H

#include "base/mem.h"

#define FV_SHORTLIST_FILE "shortlist.safetensors"

/* Always valid once made: offsets rise from 0, and all ids are below target_vocab, ascending and without repeats
 * in `always` and in each row. */
typedef struct fv_shortlist {
    int32_t source_vocab, target_vocab;
    int32_t *always; /* [n_always] candidates whatever the source: special tokens, the commonest ones */
    int32_t n_always;
    int32_t *offsets; /* [source_vocab + 1]: source token i may become targets[offsets[i] .. offsets[i + 1]) */
    int32_t *targets;
    uint64_t *always_bits; /* [fv_shortlist_marks] the same as `always` */
} fv_shortlist;

/* FV_E_FORMAT when the file is damaged, of another version, or for other vocabularies. *list is {0} on failure. */
fv_status fv_shortlist_open(fv_shortlist *list, const char *path, int32_t source_vocab, int32_t target_vocab, fv_err *err);
/* All or nothing. */
fv_status fv_shortlist_save(const fv_shortlist *list, const char *path, fv_err *err);
void fv_shortlist_release(fv_shortlist *list);

/* For makers: checks what the comment above promises and fills always_bits. `where` names the source in messages. */
fv_status fv_shortlist_seal(fv_shortlist *list, const char *where, fv_err *err);

/* Words of scratch that fv_shortlist_pick needs; what is in them does not matter. */
size_t fv_shortlist_marks(const fv_shortlist *list);
/* The union of `always` and of the candidates of all ids (each in [0, source_vocab)), ascending, into out, which has
 * room for target_vocab. Gives how many. */
size_t fv_shortlist_pick(const fv_shortlist *list, uint64_t *marks, const int32_t *ids, size_t n, int32_t *out);

#endif
