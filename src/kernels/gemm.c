/* Matrix products: packing, blocking, the epilogue (Goto & van de Geijn 2008; Van Zee & van de Geijn
 * 2015). The inner loops are the table's; here it is decided what lies where.
 *
 *   m is cut into panels of at most mr rows, evenly, since the table has a tile for every number of
 *   rows; n into panels of nr columns; k, where it is long, into blocks.
 *   A task is a rectangle of C, all of k: sums are made in one order, whatever the threads.
 *   Each thread packs for itself what its tasks need: the rows of A, which it keeps for its next tasks on
 *   the same rows, and, unless B comes packed, one panel of B after the other. That is some work done
 *   twice; but what one core wrote and another reads or writes next costs both far more.
 *
 * In fewer bits the same is done with words for floats: a word holds neighbours along k, so that only
 * packing and the tile know of them, and k is counted in words. gemm_int8.c has what int8 adds.
 *
 * The trap: sizes alone decide every cut, never the number of threads. */
#include <string.h>

#include "base/mem.h"
#include "kernels/gemm.h"
#include "kernels/shares.h"

#ifdef FV_STRESS
enum { K_BLOCK = 32, ROWS_FLOATS = 1 << 9, TALL_ROWS = 30, TALL_FLOATS = 1 << 10, TILE_COLUMNS = 64, PACK_FLOATS = 1 << 8, PACK_ROWS = 5, TASK_FLOPS = 1 << 8, LEAST_FLOPS = 1 << 8, LEAST_ROWS = 2 };
#else
enum {
    K_BLOCK = 768,          /* k of a block at most: sums rarely go to memory and back; a panel of B takes 96 KB of the second cache */
    ROWS_FLOATS = 1 << 17,  /* floats of A at work in a task whose B is packed: half of a second cache of 1 MB */
    TALL_ROWS = 512,        /* rows of a task that packs its B: so many share the packing */
    TALL_FLOATS = 1 << 20,  /* and floats of A in it at most */
    TILE_COLUMNS = 512,     /* columns of B in a task at most */
    PACK_FLOATS = 1 << 15,  /* floats that a packing task moves */
    PACK_ROWS = 16,         /* rows that it takes at a time where panels lie side by side */
    TASK_FLOPS = 1 << 22,   /* in a task: some 40 microseconds, so that threads end together */
    LEAST_FLOPS = 1 << 18,  /* below this a task is not worth handing out: some 2 microseconds */
    LEAST_ROWS = 16,        /* a float comes from memory in the time of so many multiply-adds */
};
#endif

/* How a product is cut. */
typedef struct plan {
    const fv_gemm *g;
    const fv_isa_table *isa;
    const fv_bf16_table *bf16;      /* one of these two, or neither, has the tile */
    const fv_int8_table *int8;
    bool rounds;                    /* bf16 without instructions for it: what is packed is rounded */
    int64_t k, per_word;            /* k in words */
    int64_t nr;
    int64_t mr, m_panels, n_panels; /* mr: rows of this product's panels, at most the table's */
    int64_t k_blocks, k_block;
    int64_t tile_m, tile_n;         /* panels of a task */
    char *rooms;                    /* one for each thread */
} plan;

/* What one thread works in. */
typedef struct room {
    float *a;           /* the rows of A of a task: blocks follow each other; in a block, panels */
    float *b;           /* a panel of B, when it does not come packed */
    fv_quant_row *rows; /* int8: how these rows are quantised */
    int64_t *held;      /* which task's rows these are, counted from the top of C; -1: none yet */
} room;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* The size of a piece when n is cut into the fewest pieces of at most `most`, evenly. */
static int64_t even(int64_t n, int64_t most) { return n > 0 ? ceil_div(n, ceil_div(n, most)) : 1; }

static int64_t round_up(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

/* Panels of A in a task. */
static int64_t choose_tile_m(const plan *p)
{
    int64_t k = max64(p->k, 1), most = ROWS_FLOATS / (p->mr * min64(k, p->k_block));
    if (!p->g->packed) most = min64(TALL_ROWS / p->mr, TALL_FLOATS / (p->mr * k));
    return even(p->m_panels, max64(1, most));
}

/* Panels of B in a task: few enough for many tasks, enough for each to be worth its start. With few rows it is
 * not arithmetic that takes the time but B's way from memory: as long as so many rows would. */
static int64_t choose_tile_n(const plan *p)
{
    int64_t most = max64(1, TILE_COLUMNS / p->nr);
    double flops = 2.0 * (double)max64(p->tile_m * p->mr, LEAST_ROWS) * (double)p->nr * (double)p->k; /* of one panel, in words */
    while (most > 1 && flops * (double)(most / 2) > TASK_FLOPS) most /= 2;
    while (most > 1 && ceil_div(p->m_panels, p->tile_m) * ceil_div(p->n_panels, most) < 16 && flops * (double)(most / 2) > LEAST_FLOPS) most /= 2;
    while (flops * (double)most < LEAST_FLOPS && most < p->n_panels) most *= 2;
    return even(p->n_panels, most);
}

int64_t fv_gemm_k_block(int64_t words) { return round_up(even(words, K_BLOCK), 16); } /* 16: whole vectors when packing turns rows into columns */

/* Whose inner loops the product takes, and the most rows of a panel that they have; C's rows and packed B decide. */
static int64_t choose_loops(plan *p, fv_precision precision)
{
    p->bf16 = precision == FV_PRECISION_BF16 ? fv_isa_bf16(p->isa) : NULL;
    p->int8 = precision == FV_PRECISION_INT8 ? fv_isa_int8(p->isa) : NULL;
    p->rounds = precision == FV_PRECISION_BF16 && !p->bf16;
    p->per_word = p->bf16 ? 2 : p->int8 ? p->int8->per_word : 1;
    p->nr = p->bf16 ? p->bf16->nr : p->int8 ? p->int8->nr : p->isa->nr;
    return p->bf16 ? p->bf16->mr : p->int8 ? p->int8->mr : p->isa->mr;
}

static plan make_plan(const fv_gemm *g)
{
    plan p = {.g = g, .isa = g->packed ? g->packed->isa : fv_isa_current()};
    int64_t most = choose_loops(&p, g->packed ? g->packed->precision : g->precision);
    p.k = ceil_div(g->k, p.per_word);
    p.m_panels = ceil_div(g->m, most);
    p.mr = even(g->m, most);
    p.n_panels = ceil_div(g->n, p.nr);
    p.k_block = fv_gemm_k_block(p.k);
    p.k_blocks = ceil_div(p.k, p.k_block);
    p.tile_m = choose_tile_m(&p);
    p.tile_n = choose_tile_n(&p);
    return p;
}

static int64_t a_bytes(const plan *p) { return round_up((p->tile_m * p->mr * p->k + 16) * (int64_t)sizeof(float), 64); } /* 16: packing stores whole vectors */
static int64_t b_bytes(const plan *p) { return p->g->packed ? 0 : round_up(p->k_block * p->nr * (int64_t)sizeof(float), 64); }
static int64_t rows_bytes(const plan *p) { return p->int8 ? round_up(p->tile_m * p->mr * (int64_t)sizeof(fv_quant_row), 64) : 0; }
static int64_t room_bytes(const plan *p) { return a_bytes(p) + b_bytes(p) + rows_bytes(p) + 64; }

static room room_of(const plan *p, int worker)
{
    char *base = p->rooms + worker * room_bytes(p), *b = base + a_bytes(p), *rows = b + b_bytes(p);
    return (room){.a = (float *)base, .b = (float *)b, .rows = (fv_quant_row *)rows, .held = (int64_t *)(rows + rows_bytes(p))};
}

size_t fv_gemm_scratch(const fv_gemm *g, int threads)
{
    plan p = make_plan(g);
    return (size_t)(threads * room_bytes(&p));
}

/* ---- Packing ------------------------------------------------------------------------------ */

static int64_t block_k(int64_t k, int64_t k_block, int64_t block) { return min64(k_block, k - block * k_block); }

/* An operand as packing sees it: panels of `width` out of n, each of k deep; turned: [n,k] in memory.
 * rows: how the rows of A are quantised in int8. */
typedef struct operand {
    const float *x;
    int64_t ldx, n, width;
    bool turned;
    const fv_quant_row *rows;
} operand;

static operand operand_a(const plan *p) { return (operand){.x = p->g->a, .ldx = p->g->lda, .n = p->g->m, .width = p->mr, .turned = !p->g->a_t}; }
static operand operand_b(const plan *p) { return (operand){.x = p->g->b, .ldx = p->g->ldb, .n = p->g->n, .width = p->nr, .turned = p->g->b_t}; }

/* To the nearest bf16, ties to even; what is no number stays none. */
static void round_all(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1), none = bits | 0x400000;
        bits = ((bits & 0x7fffffff) > 0x7f800000 ? none : rounded) & 0xffff0000;
        memcpy(x + i, &bits, sizeof bits);
    }
}

/* k numbers from row l of a panel, beginning at column j. */
static void pack_piece(const plan *p, const operand *o, float *out, int64_t l, int64_t k, int64_t j)
{
    const float *from = o->turned ? o->x + j * o->ldx + l : o->x + l * o->ldx + j;
    int64_t used = min64(o->width, o->n - j);
    if (o->rows) p->int8->pack_rows(out, o->width, from, o->ldx, o->rows + j, used, k);
    else if (p->bf16) p->bf16->pack(out, o->width, from, o->ldx, o->turned, used, k);
    else p->isa->pack(out, o->width, from, o->ldx, o->turned, used, k);
    if (p->rounds) round_all(out, o->width * k);
}

/* Words [l, l + k) of panels [first, first + count), `distance` apart in out. Where they lie side by side a
 * few rows of all are taken at a time, so that each cache line is fetched once. */
static void pack_panels(const plan *p, const operand *o, float *out, int64_t distance, int64_t l, int64_t k, int64_t first, int64_t count)
{
    int64_t step = o->turned || count == 1 ? k : PACK_ROWS;
    for (int64_t row = 0; row < k; row += step) {
        int64_t begin = (l + row) * p->per_word, end = min64((l + min64(row + step, k)) * p->per_word, p->g->k);
        for (int64_t i = 0; i < count; i++) pack_piece(p, o, out + i * distance + row * o->width, begin, end - begin, (first + i) * o->width);
    }
}

/* Where a panel begins in packed B: blocks follow each other; in a block, panels. */
static int64_t b_offset(const plan *p, int64_t block, int64_t panel)
{
    return block * p->k_block * p->n_panels * p->nr + panel * block_k(p->k, p->k_block, block) * p->nr;
}

/* The same in a room's A, of `panels` panels. */
static int64_t a_offset(const plan *p, int64_t block, int64_t panel, int64_t panels)
{
    return (block * p->k_block * panels + panel * block_k(p->k, p->k_block, block)) * p->mr;
}

/* Panels [first, first + count) of A, into the thread's room. */
static void pack_a(const plan *p, const room *r, int64_t first, int64_t count)
{
    operand o = operand_a(p);
    if (p->int8) {
        int64_t row = first * p->mr;
        fv_quantize_rows(r->rows, p->g, p->int8, row, min64(count * p->mr, p->g->m - row));
        o.rows = r->rows - row;
    }
    for (int64_t block = 0; block < p->k_blocks; block++) {
        int64_t k = block_k(p->k, p->k_block, block);
        pack_panels(p, &o, r->a + a_offset(p, block, 0, count), k * p->mr, block * p->k_block, k, first, count);
    }
}

/* Packing B for many products: a task takes some panels of one block. */
typedef struct packing {
    const plan *p;
    float *b;
    int64_t group; /* panels of a task */
} packing;

static void pack_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const packing *w = arg;
    const plan *p = w->p;
    int64_t groups = ceil_div(p->n_panels, w->group), block = task / groups, first = task % groups * w->group;
    int64_t k = block_k(p->k, p->k_block, block);
    operand o = operand_b(p);
    pack_panels(p, &o, w->b + b_offset(p, block, first), k * p->nr, block * p->k_block, k, first, min64(w->group, p->n_panels - first));
}

static void pack_b(const plan *p, float *b, fv_pool *pool)
{
    packing w = {.p = p, .b = b, .group = max64(1, PACK_FLOATS / (p->nr * p->k_block))};
    bool small = p->n_panels * p->nr * p->k <= 2 * PACK_FLOATS;
    fv_shares_run(small ? NULL : pool, p->k_blocks * ceil_div(p->n_panels, w.group), pack_task, &w);
}

static fv_packed *packed_new(const fv_gemm *g, fv_pool *pool, fv_err *err)
{
    fv_packed *packed = fv_alloc_zero(1, sizeof *packed, err);
    if (!packed) return NULL;
    plan p = make_plan(g);
    *packed = (fv_packed){.isa = p.isa, .precision = g->precision, .k = g->k, .n = g->n, .bytes = (size_t)(p.n_panels * p.nr * p.k) * sizeof(float)};
    packed->panels = fv_alloc(packed->bytes, err);
    if (!packed->panels) {
        fv_packed_free(packed);
        return NULL;
    }
    pack_b(&p, packed->panels, pool);
    return packed;
}

fv_packed *fv_packed_new(const float *b, int64_t ldb, bool b_t, int64_t k, int64_t n, fv_pool *pool, fv_err *err)
{
    fv_gemm g = {.m = 1, .n = n, .k = k, .b = b, .ldb = ldb, .b_t = b_t};
    return packed_new(&g, pool, err);
}

fv_packed *fv_packed_new_bf16(const float *b, int64_t ldb, bool b_t, int64_t k, int64_t n, fv_pool *pool, fv_err *err)
{
    fv_gemm g = {.m = 1, .n = n, .k = k, .b = b, .ldb = ldb, .b_t = b_t, .precision = FV_PRECISION_BF16};
    return packed_new(&g, pool, err);
}

void fv_packed_free(fv_packed *packed)
{
    if (!packed) return;
    fv_free(packed->panels);
    fv_free(packed->scales);
    fv_free(packed->sums);
    fv_free(packed);
}

fv_precision fv_packed_precision(const fv_packed *packed) { return packed->precision; }

size_t fv_packed_bytes(const fv_packed *packed) { return packed->bytes; }

/* ---- Computing ---------------------------------------------------------------------------- */

/* Tiles of int8 add the bias themselves. */
static const float *late_bias(const plan *p) { return p->int8 ? NULL : p->g->bias; }

static bool has_epilogue(const plan *p)
{
    const fv_gemm *g = p->g;
    return !g->add && (late_bias(p) || g->act != FV_ACT_NONE || g->pre || g->residual);
}

static void finish_tile(const plan *p, int64_t i, int64_t j, int rows, int cols)
{
    const fv_gemm *g = p->g;
    fv_epilogue e = {
        .bias = late_bias(p) ? g->bias + j : NULL, .act = g->act,
        .pre = g->pre ? g->pre + i * g->ldpre + j : NULL, .ldpre = g->ldpre,
        .residual = g->residual ? g->residual + i * g->ldres + j : NULL, .ldres = g->ldres,
    };
    p->isa->epilogue(g->c + i * g->ldc + j, g->ldc, rows, cols, &e);
}

/* The rectangle of a task: panels [first, last) of A against [from, to) of B. */
typedef struct rectangle { int64_t first, last, from, to; } rectangle;

static rectangle rectangle_of(const plan *p, int64_t task)
{
    int64_t columns = ceil_div(p->n_panels, p->tile_n), first = task / columns * p->tile_m, from = task % columns * p->tile_n;
    return (rectangle){.first = first, .last = min64(first + p->tile_m, p->m_panels), .from = from, .to = min64(from + p->tile_n, p->n_panels)};
}

/* The panel of packed B that is wanted after this one: in the task, or most likely in the next; NULL: none is left. */
static const float *next_panel(const plan *p, const rectangle *t, int64_t block, int64_t panel)
{
    if (!p->g->packed) return NULL;
    if (++panel == t->to && block + 1 < p->k_blocks) block++, panel = t->from;
    return panel < p->n_panels ? p->g->packed->panels + b_offset(p, block, panel) : NULL;
}

/* What tile q of a panel's `tiles` asks for while it computes: of each row of the next panel its q-th cache line, the last of the tiles
 * the one after it too. Memory then works all the time that a panel takes, and not for the first tile alone, which would wait for it. */
static fv_ahead ahead_of(const plan *p, const float *next, int64_t q, int64_t tiles)
{
    enum { LINE = 16 };
    if (!next || q * LINE >= p->nr) return (fv_ahead){0};
    bool both = q + 1 == tiles && (q + 1) * LINE < p->nr;
    return (fv_ahead){next + q * LINE, next + (q + both) * LINE};
}

/* The sums of one tile, of panels q of A and `panel` of B; in int8 they become floats with the last block. */
static void compute_tile(const plan *p, const room *r, const rectangle *t, const float *b, int64_t block, int64_t panel, int64_t q, int rows, int cols)
{
    const fv_gemm *g = p->g;
    int64_t i = q * p->mr, j = panel * p->nr, k = block_k(p->k, p->k_block, block);
    float *c = g->c + i * g->ldc + j;
    const float *a = r->a + a_offset(p, block, q - t->first, t->last - t->first);
    fv_ahead ahead = ahead_of(p, next_panel(p, t, block, panel), q - t->first, t->last - t->first);
    bool add = g->add || block > 0;
    if (p->int8) {
        fv_dequant d = {r->rows + (q - t->first) * p->mr, g->packed->scales + j, g->packed->sums + j, g->bias ? g->bias + j : NULL};
        p->int8->tile(c, g->ldc, a, p->mr, b, p->nr, ahead, k, rows, cols, add, block + 1 == p->k_blocks ? &d : NULL);
    } else {
        (p->bf16 ? p->bf16->tile : p->isa->tile)(c, g->ldc, a, p->mr, b, p->nr, ahead, k, rows, cols, add);
    }
}

/* Asks for what the epilogue will read: it lies far apart, and a tile takes longer than memory. */
static void expect_residual(const fv_gemm *g, int64_t i, int64_t j, int rows, int cols)
{
    for (int row = 0; row < rows; row++) {
        for (int col = 0; col < cols; col += 16) __builtin_prefetch(g->residual + (i + row) * g->ldres + j + col);
    }
}

/* One panel of B against the task's panels of A. */
static void compute_panel(const plan *p, const room *r, const rectangle *t, const float *b, int64_t block, int64_t panel)
{
    const fv_gemm *g = p->g;
    int64_t j = panel * p->nr;
    int cols = (int)min64(p->nr, g->n - j);
    bool finish = block + 1 == p->k_blocks && has_epilogue(p);
    for (int64_t q = t->first; q < t->last; q++) {
        int64_t i = q * p->mr;
        int rows = (int)min64(p->mr, g->m - i);
        if (finish && g->residual) expect_residual(g, i, j, rows, cols);
        compute_tile(p, r, t, b, block, panel, q, rows, cols);
        if (finish) finish_tile(p, i, j, rows, cols);
    }
}

static void compute_task(void *arg, int64_t task, int worker)
{
    const plan *p = arg;
    rectangle t = rectangle_of(p, task);
    operand b = operand_b(p);
    room r = room_of(p, worker);
    if (*r.held != t.first) {
        pack_a(p, &r, t.first, t.last - t.first);
        *r.held = t.first;
    }
    for (int64_t block = 0; block < p->k_blocks; block++) {
        for (int64_t panel = t.from; panel < t.to; panel++) {
            if (!p->g->packed) pack_panels(p, &b, r.b, 0, block * p->k_block, block_k(p->k, p->k_block, block), panel, 1);
            compute_panel(p, &r, &t, p->g->packed ? p->g->packed->panels + b_offset(p, block, panel) : r.b, block, panel);
        }
    }
}

/* k = 0: nothing is summed, yet the epilogue holds. */
static void run_empty(const fv_gemm *g)
{
    plan p = make_plan(g);
    p.int8 = NULL; /* no tile adds the bias */
    for (int64_t i = 0; i < g->m && !g->add; i++) {
        for (int64_t j = 0; j < g->n; j += p.nr) {
            int cols = (int)min64(p.nr, g->n - j);
            memset(g->c + i * g->ldc + j, 0, (size_t)cols * sizeof(float));
            finish_tile(&p, i, j, 1, cols);
        }
    }
}

void fv_gemm_run(const fv_gemm *g, fv_pool *pool, void *scratch)
{
    if (g->m <= 0 || g->n <= 0) return;
    if (g->k <= 0) {
        run_empty(g);
        return;
    }
    FV_ASSERT(!g->packed || (g->packed->k == g->k && g->packed->n == g->n));
    plan p = make_plan(g);
    FV_ASSERT(!p.int8 || (g->packed && !g->a_t && !g->add));
    p.rooms = scratch;
    for (int i = 0; i < fv_pool_threads(pool); i++) *room_of(&p, i).held = -1;
    fv_shares_run(pool, ceil_div(p.m_panels, p.tile_m) * ceil_div(p.n_panels, p.tile_n), compute_task, &p);
}
