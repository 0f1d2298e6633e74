/* Keys and values that stay from one step of decoding to the next, as the op attend_step reads and fills them.
 *
 * The op copies the struct when the node is made, and reads what it points to when the graph runs: so a graph that is
 * planned once is run again for each token, with other lengths and places in the same arrays. */
#ifndef FV_GRAPH_STEP_CACHE_H
#define FV_GRAPH_STEP_CACHE_H

#include <stdint.h>

struct fv_step_cache {
    int32_t H, K, D;          /* heads of queries, heads of keys, size of a head; H divisible by K */
    float scale;
    float *k, *v;             /* [n_slots, K·D], rows `ld` floats apart */
    int64_t ld;               /* best no multiple of 1,024: see fv_attention_step */
    int32_t n_slots;
    const int32_t *slots;     /* [R] where each row's new key and value go; not read when no new keys are given. No two rows have one slot */
    const int32_t *places;    /* [R, ldplaces] slots of each row's keys, oldest first, the new one among them; NULL: they follow each other from firsts[r] */
    int64_t ldplaces;
    const int32_t *firsts;    /* [R]; not read when `places` is given */
    const int32_t *lengths;   /* [R] how many keys a row sees */
    int32_t most_keys;        /* the longest that lengths may be: scratch is planned for it */
    const float *bias;        /* NULL, or [H, 2·span+1] by relative place: see fv_attention_step */
    int32_t span;
    float *weights;           /* NULL, or [R, ldweights]: the mean weights over heads go here */
    int64_t ldweights;
};

#endif
