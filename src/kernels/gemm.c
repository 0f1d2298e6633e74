/* Matrix products: packing, blocking, the epilogue (Goto & van de Geijn 2008; Van Zee & van de Geijn
 * 2015). The inner loops are the table's; here it is decided what lies where.
 *
 *   k is cut into blocks whose panels of B fit the first cache; n into panels of nr columns, m into
 *   panels of at most mr rows, evenly, since the table has a tile for every number of rows.
 *   A task is a rectangle of C, all of k: sums are made in one order, whatever the threads.
 *   A is packed a slab of rows at a time, small enough to stay in the last cache. B is packed before
 *   the first slab; or, when a task's panels of B are no other task's, by the task as it goes.
 *
 * The trap: sizes alone decide every cut, never the number of threads. */
#include <string.h>

#include "base/mem.h"
#include "kernels/cpu/isa.h"

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

struct fv_packed {
    const fv_isa_table *isa; /* whose panels these are */
    int64_t k, n;
    size_t bytes;
    float *panels;
};

/* Where everything lies. In scratch: A's slab, B unless it comes packed, a panel for each thread. */
typedef struct plan {
    const fv_gemm *g;
    const fv_isa_table *isa;
    int64_t mr, m_panels, n_panels; /* mr: rows of this product's panels, at most the table's */
    int64_t k_blocks, k_block;
    int64_t tile_m, tile_n;         /* panels of a task */
    int64_t slab;                   /* panels of A packed at a time, a multiple of tile_m */
    int64_t slab_begin, slab_end;   /* the slab at work, in panels */
    bool b_as_needed;               /* tasks pack B themselves */
    const float *b;                 /* packed B, or NULL */
    float *a, *own;                 /* slab; a panel for each thread */
} plan;

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

/* The size of a piece when n is cut into the fewest pieces of at most `most`, evenly. */
static int64_t even(int64_t n, int64_t most) { return n > 0 ? ceil_div(n, ceil_div(n, most)) : 1; }

static int64_t round_up(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

/* Panels of B in a task: few enough for many tasks, enough for each to be worth its start. */
static int64_t choose_tile_n(const plan *p, const fv_gemm *g)
{
    int64_t most = max64(1, TILE_COLUMNS / p->isa->nr);
    double flops = 2.0 * (double)(p->tile_m * p->mr) * (double)p->isa->nr * (double)g->k; /* of one panel */
    while (most > 1 && ceil_div(p->m_panels, p->tile_m) * ceil_div(p->n_panels, most) < 16 && flops * (double)(most / 2) > TASK_FLOPS) most /= 2;
    while (flops * (double)most < TASK_FLOPS && most < p->n_panels) most *= 2;
    return even(p->n_panels, most);
}

static plan make_plan(const fv_gemm *g)
{
    plan p = {.g = g, .isa = g->packed ? g->packed->isa : fv_isa_current()};
    p.m_panels = ceil_div(g->m, p.isa->mr);
    p.mr = even(g->m, p.isa->mr);
    p.n_panels = ceil_div(g->n, p.isa->nr);
    p.k_block = round_up(even(g->k, K_BLOCK), 16); /* 16: whole vectors when packing turns rows into columns */
    p.k_blocks = ceil_div(g->k, p.k_block);
    p.tile_m = even(p.m_panels, TILE_PANELS);
    p.tile_n = choose_tile_n(&p, g);
    p.slab = max64(1, SLAB_FLOATS / (p.mr * max64(g->k, 1)) / p.tile_m) * p.tile_m;
    p.slab = min64(p.slab, round_up(p.m_panels, p.tile_m));
    p.b_as_needed = !g->packed && p.m_panels <= p.tile_m;
    return p;
}

static int64_t slab_floats(const plan *p) { return round_up(p->slab * p->mr * p->g->k + 16, 16); }
static int64_t b_floats(const plan *p) { return p->g->packed || p->b_as_needed ? 0 : p->n_panels * p->isa->nr * p->g->k; }
static int64_t own_floats(const plan *p) { return p->b_as_needed ? p->k_block * p->isa->nr : 0; }

size_t fv_gemm_scratch(const fv_gemm *g, int threads)
{
    plan p = make_plan(g);
    return (size_t)(slab_floats(&p) + b_floats(&p) + threads * own_floats(&p)) * sizeof(float);
}

/* ---- Packing ------------------------------------------------------------------------------ */

static int64_t block_k(int64_t k, int64_t k_block, int64_t block) { return min64(k_block, k - block * k_block); }

/* An operand as packing sees it: panels of `width` out of n, each of k deep; turned: [n,k] in memory. */
typedef struct operand {
    const float *x;
    int64_t ldx, n, width;
    bool turned;
} operand;

static operand operand_a(const plan *p) { return (operand){.x = p->g->a, .ldx = p->g->lda, .n = p->g->m, .width = p->mr, .turned = !p->g->a_t}; }
static operand operand_b(const plan *p) { return (operand){.x = p->g->b, .ldx = p->g->ldb, .n = p->g->n, .width = p->isa->nr, .turned = p->g->b_t}; }

/* Rows [l, l + k) of panels [first, first + count), `distance` apart in out. Where they lie side by side a
 * few rows of all are taken at a time, so that each cache line is fetched once. */
static void pack_panels(const plan *p, const operand *o, float *out, int64_t distance, int64_t l, int64_t k, int64_t first, int64_t count)
{
    int64_t step = o->turned || count == 1 ? k : PACK_ROWS;
    for (int64_t row = 0; row < k; row += step) {
        for (int64_t i = 0; i < count; i++) {
            int64_t j = (first + i) * o->width;
            const float *from = o->turned ? o->x + j * o->ldx + l + row : o->x + (l + row) * o->ldx + j;
            p->isa->pack(out + i * distance + row * o->width, o->width, from, o->ldx, o->turned, min64(o->width, o->n - j), min64(step, k - row));
        }
    }
}

/* Blocks follow each other; in a block, panels. */
static int64_t b_offset(const plan *p, int64_t block, int64_t panel)
{
    return block * p->k_block * p->n_panels * p->isa->nr + panel * block_k(p->g->k, p->k_block, block) * p->isa->nr;
}

static int64_t a_offset(const plan *p, int64_t block, int64_t panel)
{
    return block * p->k_block * p->slab * p->mr + (panel - p->slab_begin) * block_k(p->g->k, p->k_block, block) * p->mr;
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
    int64_t k = block_k(p->g->k, p->k_block, block), panel = w->begin + first;
    operand o = w->b ? operand_b(p) : operand_a(p);
    float *out = w->b ? w->b + b_offset(p, block, panel) : p->a + a_offset(p, block, panel);
    pack_panels(p, &o, out, k * o.width, block * p->k_block, k, panel, min64(w->group, w->panels - first));
}

static void pack_all(const plan *p, float *b, fv_pool *pool)
{
    packing w = {.p = p, .b = b, .panels = b ? p->n_panels : p->slab_end - p->slab_begin, .begin = b ? 0 : p->slab_begin};
    int64_t width = b ? p->isa->nr : p->mr;
    w.group = max64(1, PACK_FLOATS / (width * p->k_block));
    bool small = w.panels * width * p->g->k <= 2 * PACK_FLOATS;
    fv_pool_run(small ? NULL : pool, p->k_blocks * ceil_div(w.panels, w.group), pack_task, &w);
}

fv_packed *fv_packed_new(const float *b, int64_t ldb, bool b_t, int64_t k, int64_t n, fv_pool *pool, fv_err *err)
{
    fv_packed *packed = fv_alloc_zero(1, sizeof *packed, err);
    if (!packed) return NULL;
    fv_gemm g = {.m = 1, .n = n, .k = k, .b = b, .ldb = ldb, .b_t = b_t};
    plan p = make_plan(&g);
    *packed = (fv_packed){.isa = p.isa, .k = k, .n = n, .bytes = (size_t)(p.n_panels * p.isa->nr * k) * sizeof(float)};
    packed->panels = fv_alloc(packed->bytes, err);
    if (!packed->panels) {
        fv_packed_free(packed);
        return NULL;
    }
    pack_all(&p, packed->panels, pool);
    return packed;
}

void fv_packed_free(fv_packed *packed)
{
    if (packed) fv_free(packed->panels);
    fv_free(packed);
}

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

/* One panel of B against the task's panels of A. */
static void compute_panel(const plan *p, const float *b, int64_t block, int64_t panel, int64_t first, int64_t last)
{
    const fv_gemm *g = p->g;
    int64_t j = panel * p->isa->nr, k = block_k(g->k, p->k_block, block);
    int cols = (int)min64(p->isa->nr, g->n - j);
    bool finish = block + 1 == p->k_blocks && has_epilogue(g);
    for (int64_t q = first; q < last; q++) {
        int64_t i = q * p->mr;
        int rows = (int)min64(p->mr, g->m - i);
        p->isa->tile(g->c + i * g->ldc + j, g->ldc, p->a + a_offset(p, block, q), p->mr, b, p->isa->nr, k, rows, cols, g->add || block > 0);
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
            if (p->b_as_needed) pack_panels(p, &b, own, 0, block * p->k_block, block_k(p->g->k, p->k_block, block), panel, 1);
            compute_panel(p, p->b_as_needed ? own : p->b + b_offset(p, block, panel), block, panel, first, last);
        }
    }
}

/* k = 0: nothing is summed, yet the epilogue holds. */
static void run_empty(const fv_gemm *g)
{
    plan p = make_plan(g);
    for (int64_t i = 0; i < g->m && !g->add; i++) {
        for (int64_t j = 0; j < g->n; j += p.isa->nr) {
            int cols = (int)min64(p.isa->nr, g->n - j);
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
    p.a = scratch;
    float *b = p.a + slab_floats(&p);
    p.own = b + b_floats(&p);
    p.b = g->packed ? g->packed->panels : b;
    if (b_floats(&p)) pack_all(&p, b, pool);
    for (p.slab_begin = 0; p.slab_begin < p.m_panels; p.slab_begin = p.slab_end) {
        p.slab_end = min64(p.slab_begin + p.slab, p.m_panels);
        pack_all(&p, NULL, pool);
        int64_t tasks = ceil_div(p.slab_end - p.slab_begin, p.tile_m) * ceil_div(p.n_panels, p.tile_n);
        fv_pool_run(tasks > 1 ? pool : NULL, tasks, compute_task, &p);
    }
}
