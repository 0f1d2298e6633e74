/* Matrix products: packing, blocking, the epilogue (Goto & van de Geijn 2008; Van Zee & van de Geijn
 * 2015). The inner loops are the table's; here it is decided what lies where.
 *
 *   k is cut into blocks whose panels of B fit the first cache; n into panels of nr columns, m into
 *   panels of at most mr rows, evenly, since the table has a tile for every number of rows.
 *   A task is a rectangle of C, all of k: sums are made in one order, whatever the threads.
 *   A is packed a slab of rows at a time, small enough to stay in the last cache. B is packed before
 *   the first slab; or, when a task's panels of B are no other task's, by the task as it goes.
 *
 * In fewer bits the same is done with words for floats: a word holds neighbours along k, so that only
 * packing and the tile know of them, and k is counted in words. gemm_int8.c has what int8 adds.
 *
 * The trap: sizes alone decide every cut, never the number of threads. */
#include <string.h>

#include "base/mem.h"
#include "kernels/gemm.h"

#ifdef FV_STRESS
enum { K_BLOCK = 32, TILE_PANELS = 2, TILE_COLUMNS = 32, SLAB_FLOATS = 1 << 10, PACK_FLOATS = 1 << 8, PACK_ROWS = 5, TASK_FLOPS = 1 << 8 };
#else
enum {
    K_BLOCK = 384,          /* k of a block at most: panel of B 48 KB, of A 21 KB */
    TILE_PANELS = 10,       /* panels of A in a task */
    TILE_COLUMNS = 128,     /* columns of B in a task */
    SLAB_FLOATS = 1 << 20,  /* floats of A packed at a time */
    PACK_FLOATS = 1 << 15,  /* floats that a packing task moves */
    PACK_ROWS = 16,         /* rows that it takes at a time where panels lie side by side */
    TASK_FLOPS = 1 << 18,   /* below this a task is not worth handing out: some 2 microseconds */
};
#endif

/* Where everything lies. In scratch: A's slab, B unless it comes packed, a panel for each thread. */
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
    int64_t slab;                   /* panels of A packed at a time, a multiple of tile_m */
    int64_t slab_begin, slab_end;   /* the slab at work, in panels */
    bool b_as_needed;               /* tasks pack B themselves */
    const float *b;                 /* packed B, or NULL */
    float *a, *own;                 /* slab; a panel for each thread */
    fv_quant_row *rows;             /* int8: [m] */
} plan;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* The size of a piece when n is cut into the fewest pieces of at most `most`, evenly. */
static int64_t even(int64_t n, int64_t most) { return n > 0 ? ceil_div(n, ceil_div(n, most)) : 1; }

static int64_t round_up(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

/* Panels of B in a task: few enough for many tasks, enough for each to be worth its start. */
static int64_t choose_tile_n(const plan *p)
{
    int64_t most = max64(1, TILE_COLUMNS / p->nr);
    double flops = 2.0 * (double)(p->tile_m * p->mr) * (double)p->nr * (double)p->k; /* of one panel */
    while (most > 1 && ceil_div(p->m_panels, p->tile_m) * ceil_div(p->n_panels, most) < 16 && flops * (double)(most / 2) > TASK_FLOPS) most /= 2;
    while (flops * (double)most < TASK_FLOPS && most < p->n_panels) most *= 2;
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
    p.tile_m = even(p.m_panels, TILE_PANELS);
    p.tile_n = choose_tile_n(&p);
    p.slab = max64(1, SLAB_FLOATS / (p.mr * max64(p.k, 1)) / p.tile_m) * p.tile_m;
    p.slab = min64(p.slab, round_up(p.m_panels, p.tile_m));
    p.b_as_needed = !g->packed && p.m_panels <= p.tile_m;
    return p;
}

static int64_t slab_floats(const plan *p) { return round_up(p->slab * p->mr * p->k + 16, 16); }
static int64_t b_floats(const plan *p) { return p->g->packed || p->b_as_needed ? 0 : p->n_panels * p->nr * p->k; }
static int64_t own_floats(const plan *p) { return p->b_as_needed ? p->k_block * p->nr : 0; }
static int64_t rows_bytes(const plan *p) { return p->int8 ? p->g->m * (int64_t)sizeof(fv_quant_row) : 0; }

size_t fv_gemm_scratch(const fv_gemm *g, int threads)
{
    plan p = make_plan(g);
    return (size_t)(slab_floats(&p) + b_floats(&p) + threads * own_floats(&p)) * sizeof(float) + (size_t)rows_bytes(&p);
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

static operand operand_a(const plan *p) { return (operand){.x = p->g->a, .ldx = p->g->lda, .n = p->g->m, .width = p->mr, .turned = !p->g->a_t, .rows = p->rows}; }
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

/* Blocks follow each other; in a block, panels. */
static int64_t b_offset(const plan *p, int64_t block, int64_t panel)
{
    return block * p->k_block * p->n_panels * p->nr + panel * block_k(p->k, p->k_block, block) * p->nr;
}

static int64_t a_offset(const plan *p, int64_t block, int64_t panel)
{
    return block * p->k_block * p->slab * p->mr + (panel - p->slab_begin) * block_k(p->k, p->k_block, block) * p->mr;
}

/* A packing task: some panels of one block. */
typedef struct packing {
    const plan *p;
    float *b;               /* where B goes; NULL: A's slab is packed */
    int64_t panels, begin;  /* how many in all, the first one's number */
    int64_t group;          /* panels of a task */
} packing;

static void pack_task(void *arg, int64_t task, int worker)
{
    (void)worker;
    const packing *w = arg;
    const plan *p = w->p;
    int64_t groups = ceil_div(w->panels, w->group), block = task / groups, first = task % groups * w->group;
    int64_t k = block_k(p->k, p->k_block, block), panel = w->begin + first;
    operand o = w->b ? operand_b(p) : operand_a(p);
    float *out = w->b ? w->b + b_offset(p, block, panel) : p->a + a_offset(p, block, panel);
    pack_panels(p, &o, out, k * o.width, block * p->k_block, k, panel, min64(w->group, w->panels - first));
}

static void pack_all(const plan *p, float *b, fv_pool *pool)
{
    packing w = {.p = p, .b = b, .panels = b ? p->n_panels : p->slab_end - p->slab_begin, .begin = b ? 0 : p->slab_begin};
    int64_t width = b ? p->nr : p->mr;
    w.group = max64(1, PACK_FLOATS / (width * p->k_block));
    bool small = w.panels * width * p->k <= 2 * PACK_FLOATS;
    fv_pool_run(small ? NULL : pool, p->k_blocks * ceil_div(w.panels, w.group), pack_task, &w);
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
    pack_all(&p, packed->panels, pool);
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

static bool has_epilogue(const fv_gemm *g) { return !g->add && (g->bias || g->act != FV_ACT_NONE || g->pre || g->residual); }

static void finish_tile(const plan *p, int64_t i, int64_t j, int rows, int cols)
{
    const fv_gemm *g = p->g;
    fv_epilogue e = {
        .bias = g->bias ? g->bias + j : NULL, .act = g->act,
        .pre = g->pre ? g->pre + i * g->ldpre + j : NULL, .ldpre = g->ldpre,
        .residual = g->residual ? g->residual + i * g->ldres + j : NULL, .ldres = g->ldres,
    };
    p->isa->epilogue(g->c + i * g->ldc + j, g->ldc, rows, cols, &e);
}

/* The sums of one tile; in int8 they become floats with the last block. */
static void compute_tile(const plan *p, const float *b, int64_t block, int64_t panel, int64_t q, int rows, int cols)
{
    const fv_gemm *g = p->g;
    int64_t i = q * p->mr, j = panel * p->nr, k = block_k(p->k, p->k_block, block);
    float *c = g->c + i * g->ldc + j;
    const float *a = p->a + a_offset(p, block, q);
    bool add = g->add || block > 0;
    if (p->int8) {
        fv_dequant d = {p->rows + i, g->packed->scales + j, g->packed->sums + j};
        p->int8->tile(c, g->ldc, a, p->mr, b, p->nr, k, rows, cols, add, block + 1 == p->k_blocks ? &d : NULL);
    } else {
        (p->bf16 ? p->bf16->tile : p->isa->tile)(c, g->ldc, a, p->mr, b, p->nr, k, rows, cols, add);
    }
}

/* One panel of B against the task's panels of A. */
static void compute_panel(const plan *p, const float *b, int64_t block, int64_t panel, int64_t first, int64_t last)
{
    const fv_gemm *g = p->g;
    int64_t j = panel * p->nr;
    int cols = (int)min64(p->nr, g->n - j);
    bool finish = block + 1 == p->k_blocks && has_epilogue(g);
    for (int64_t q = first; q < last; q++) {
        int64_t i = q * p->mr;
        int rows = (int)min64(p->mr, g->m - i);
        compute_tile(p, b, block, panel, q, rows, cols);
        if (finish) finish_tile(p, i, j, rows, cols);
    }
}

static void compute_task(void *arg, int64_t task, int worker)
{
    const plan *p = arg;
    int64_t columns = ceil_div(p->n_panels, p->tile_n);
    int64_t first = p->slab_begin + task / columns * p->tile_m, last = min64(first + p->tile_m, p->slab_end);
    int64_t from = task % columns * p->tile_n, to = min64(from + p->tile_n, p->n_panels);
    float *own = p->own + worker * own_floats(p);
    operand b = operand_b(p);
    for (int64_t block = 0; block < p->k_blocks; block++) {
        for (int64_t panel = from; panel < to; panel++) {
            if (p->b_as_needed) pack_panels(p, &b, own, 0, block * p->k_block, block_k(p->k, p->k_block, block), panel, 1);
            compute_panel(p, p->b_as_needed ? own : p->b + b_offset(p, block, panel), block, panel, first, last);
        }
    }
}

/* k = 0: nothing is summed, yet the epilogue holds. */
static void run_empty(const fv_gemm *g)
{
    plan p = make_plan(g);
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
    p.a = scratch;
    float *b = p.a + slab_floats(&p);
    p.own = b + b_floats(&p);
    p.rows = p.int8 ? (fv_quant_row *)p.own : NULL; /* its B is packed: no thread has a panel of its own */
    p.b = g->packed ? g->packed->panels : b;
    if (p.int8) fv_quantize_rows(p.rows, g, p.int8, pool);
    if (b_floats(&p)) pack_all(&p, b, pool);
    for (p.slab_begin = 0; p.slab_begin < p.m_panels; p.slab_begin = p.slab_end) {
        p.slab_end = min64(p.slab_begin + p.slab, p.m_panels);
        pack_all(&p, NULL, pool);
        int64_t tasks = ceil_div(p.slab_end - p.slab_begin, p.tile_m) * ceil_div(p.n_panels, p.tile_n);
        fv_pool_run(tasks > 1 ? pool : NULL, tasks, compute_task, &p);
    }
}
