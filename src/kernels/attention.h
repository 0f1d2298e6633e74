/* What attention.c and attention_backward.c share: units of work, bounds, and the layout of one head.
 *
 * Scores are kept transposed, s[key][query], so that a vector holds queries and the softmax needs no
 * sums across lanes. Operands are `straight`, copied as they are, where they serve as rows; `turned`,
 * in panels [D][nr], where they serve as lanes. Turning costs more, so it is kept for queries. */
#ifndef FV_KERNELS_ATTENTION_H
#define FV_KERNELS_ATTENTION_H

#include "kernels/cpu/isa.h"

#ifdef FV_STRESS
enum { FV_KEY_BLOCK = 9 };
#else
enum { FV_KEY_BLOCK = 320 };  /* keys at work at a time, at most: 80 KB each for keys and values of 64 */
#endif
enum { FV_MAX_LANES = 64 };   /* queries of a tile at most, over all tables */
enum { FV_STRIP = FV_KEY_BLOCK + FV_MAX_LANES };

/* Which part of the batch a task is: heads [head, head_end) of a sequence, and a chunk of its queries. */
typedef struct fv_attention_unit {
    int32_t sequence, head, head_end;
    int32_t n, m;                 /* queries and keys of the sequence */
    int32_t query, query_end;     /* the chunk */
    int64_t first_query, first_key; /* of the sequence, as rows of the arrays */
} fv_attention_unit;

/* How a batch is cut: firsts[b] is the first task of sequence b, firsts[B] their number. */
typedef struct fv_attention_cut {
    int64_t *firsts; /* [B+1], in scratch */
    int32_t chunk;   /* queries of a task at most */
    int32_t heads;   /* heads that there are to hand out: query heads forward, key heads backward */
    double work;     /* multiply-adds of one score of one such head */
} fv_attention_cut;

size_t fv_attention_forward_scratch(const fv_attention *a, int threads);
void fv_attention_cut_make(fv_attention_cut *cut, const fv_attention *a);
fv_attention_unit fv_attention_cut_unit(const fv_attention_cut *cut, const fv_attention *a, int64_t task);
size_t fv_attention_cut_bytes(const fv_attention *a);

/* Keys [lo, hi) are what query i of the unit's sequence sees. Both only grow with i. */
typedef struct fv_seen { int32_t lo, hi; } fv_seen;
fv_seen fv_attention_seen(const fv_attention *a, const fv_attention_unit *u, int32_t i);

/* The bounds of a tile's queries, lane by lane; lanes beyond the last query repeat it. */
typedef struct fv_lanes {
    int32_t n, lanes;           /* queries; the same in whole vectors */
    int32_t begin, end;         /* keys that any of them sees */
    int32_t all_begin, all_end; /* keys that all of them see */
    int32_t lo[FV_MAX_LANES], hi[FV_MAX_LANES];
    uint32_t row_keys[FV_MAX_LANES];
} fv_lanes;
void fv_lanes_fill(fv_lanes *l, const fv_attention *a, const fv_attention_unit *u, const fv_isa_table *isa, int32_t head, int32_t query, int32_t n);

/* A block of keys at work: [key, key + n) of the sequence. */
typedef struct fv_key_block { int32_t key, n; } fv_key_block;

/* Which of them the lanes see: `keys` keys from key `begin` of the block; `all`: every lane sees all. */
typedef struct fv_span {
    int32_t begin, keys;
    bool all;
} fv_span;
fv_span fv_span_of(const fv_key_block *k, const fv_lanes *l);

/* A room of scratch is laid out by taking pieces; base NULL measures. */
static inline void *fv_take(char *base, size_t *at, int64_t floats)
{
    void *piece = base ? base + *at : NULL;
    *at += ((size_t)floats * sizeof(float) + 63) / 64 * 64;
    return piece;
}

/* The smallest even pieces, as in gemm.c. */
static inline int32_t fv_even(int32_t n, int32_t most)
{
    int32_t pieces = n > most ? (n + most - 1) / most : 1;
    return (n + pieces - 1) / pieces;
}
static inline int64_t fv_round64(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/* x[rows][D] copied for tile_rows and as the B of tile: pieces of FV_TILE_LD columns, out[piece][most][FV_TILE_LD]. */
void fv_straighten(const fv_isa_table *isa, float *out, int32_t most, const float *x, int64_t ldx, int32_t rows, int32_t D);
static inline int64_t fv_straight_floats(int32_t D, int64_t most) { return fv_round64(D, FV_TILE_LD) * most; }
/* Column d (a multiple of nr) of row r. */
static inline int64_t fv_straight_at(int32_t most, int32_t r, int32_t d) { return ((int64_t)(d / FV_TILE_LD) * most + r) * FV_TILE_LD + d % FV_TILE_LD; }

/* out[keys][lanes] = or += keys of the block that the span holds · queries, which are turned. */
void fv_scores(const fv_isa_table *isa, float *out, int64_t ld, const float *keys, fv_span span, const float *queries, int32_t D, int32_t lanes, bool add);

/* A tile's biases depend on the distance of key and query alone: key r and lane i, both counted in the tile, have number
 * keys - 1 - r + i of a strip, so that a key's are a vector. Number x is that of distance `far` - x. */
typedef struct fv_strip {
    float *at;     /* [keys - 1 + lanes], in scratch: FV_STRIP floats at most */
    int32_t keys, lanes;
    int64_t far;   /* of the last key from the first query */
} fv_strip;
fv_strip fv_strip_of(float *at, const fv_attention_unit *u, int32_t query, int32_t lanes, int32_t first_key, int32_t keys);
/* Scores start as the biases, which the products are then added to. */
void fv_strip_start_scores(const fv_strip *strip, const fv_attention *a, int32_t head, float *scores, int64_t ld);
/* Where among a head's biases, [2·span+1], a distance's is. */
static inline int64_t fv_bias_at(int32_t span, int64_t distance) { return span + (distance > span ? span : distance < -span ? -span : distance); }

/* Bytes below it are dropped: at most 255, so that something is kept. */
static inline uint32_t fv_drop_of(float p)
{
    float rounded = 256.0f * p + 0.5f;
    return rounded < 1 ? 0 : rounded >= 255 ? 255 : (uint32_t)rounded;
}

#endif
