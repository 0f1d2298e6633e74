/* Scores over a shortlist. What a source may become is shortlist.c's to say.
 *
 * Candidates of all sources in work are joined and their columns packed, which costs about as much as one product with
 * them; it is done again only when a source comes. One that goes leaves its columns behind until then.
 *
 * The trap: room is for all of the vocabulary, which most texts never need. Memory that is not touched is not there, so
 * nothing here may clear what it takes. */
#include "infer/choice.h"

#include <string.h>

typedef struct lane {
    int32_t n;
    bool joined;     /* its candidates are among the packed ones */
    int32_t *ids;    /* [n] ascending */
    int32_t *places; /* [n] each one's column of the product; once joined */
} lane;

struct fv_choice {
    const fv_seq2seq *model;
    const fv_shortlist *list;
    fv_pool *pool;
    int32_t n_lanes;
    lane *lanes;
    int32_t *room;                /* of the lanes' ids and places */
    uint64_t *marks;
    int32_t *joined, *place_of;   /* [n_joined] ids, ascending; [tgt_vocab] where each stands */
    int32_t n_joined;
    fv_packed *columns;           /* those of the output matrix */
    float *bias;                  /* the same of its bias; NULL without one */
    float *products, *scores;     /* [rows, tgt_vocab] room */
    int32_t *counts;              /* [rows] */
    const int32_t **ids;          /* [rows] */
    char *scratch;
    size_t scratch_bytes;
};

/* ---- Room --------------------------------------------------------------------------------- */

static void release_room(fv_choice *c)
{
    fv_free(c->lanes);
    fv_free(c->room);
    fv_free(c->products);
    fv_free(c->scores);
    fv_free(c->counts);
    fv_free(c->ids);
    c->lanes = NULL, c->room = c->counts = NULL, c->products = c->scores = NULL, c->ids = NULL;
    c->n_lanes = 0;
}

void fv_choice_free(fv_choice *c)
{
    if (!c) return;
    release_room(c);
    fv_packed_free(c->columns);
    fv_free(c->marks);
    fv_free(c->joined);
    fv_free(c->place_of);
    fv_free(c->bias);
    fv_free(c->scratch);
    fv_free(c);
}

static bool make_tables(fv_choice *c, fv_err *err)
{
    size_t V = (size_t)c->list->target_vocab;
    if (!(c->marks = fv_alloc(fv_shortlist_marks(c->list) * sizeof *c->marks, err))) return false;
    if (!(c->joined = fv_alloc(V * sizeof *c->joined, err))) return false;
    if (!(c->place_of = fv_alloc(V * sizeof *c->place_of, err))) return false;
    if (c->model->output_bias && !(c->bias = fv_alloc(V * sizeof *c->bias, err))) return false;
    return (c->columns = fv_packed_columns_new(fv_param_packed(c->model->output, FV_PRECISION_F32), (int64_t)V, err)) != NULL;
}

fv_choice *fv_choice_new(const fv_seq2seq *model, const fv_shortlist *list, fv_pool *pool, fv_err *err)
{
    FV_ASSERT(fv_param_packed(model->output, FV_PRECISION_F32) && list->target_vocab == model->config.tgt_vocab && list->source_vocab == model->config.src_vocab);
    fv_choice *c = fv_alloc_zero(1, sizeof *c, err);
    if (!c) return NULL;
    c->model = model, c->list = list, c->pool = pool;
    if (make_tables(c, err)) return c;
    fv_choice_free(c);
    return NULL;
}

fv_status fv_choice_plan(fv_choice *c, const fv_search_shape *shape, fv_err *err)
{
    size_t V = (size_t)c->list->target_vocab, lanes = (size_t)shape->lanes, rows = (size_t)shape->rows;
    release_room(c);
    c->lanes = fv_alloc_zero(lanes, sizeof *c->lanes, err);
    c->room = c->lanes ? fv_alloc(2 * lanes * V * sizeof *c->room, err) : NULL;
    c->products = c->room ? fv_alloc(rows * V * sizeof *c->products, err) : NULL;
    c->scores = c->products ? fv_alloc(rows * V * sizeof *c->scores, err) : NULL;
    c->counts = c->scores ? fv_alloc(rows * sizeof *c->counts, err) : NULL;
    c->ids = c->counts ? fv_alloc(rows * sizeof *c->ids, err) : NULL;
    if (!c->ids) return FV_E_MEMORY;
    c->n_lanes = shape->lanes;
    for (size_t i = 0; i < lanes; i++) {
        c->lanes[i].ids = c->room + 2 * i * V;
        c->lanes[i].places = c->lanes[i].ids + V;
    }
    return FV_OK;
}

/* ---- Candidates --------------------------------------------------------------------------- */

/* Puts an id in its place, unless it is there. */
static void add(lane *l, int32_t id)
{
    int32_t at = l->n;
    while (at > 0 && l->ids[at - 1] > id) at--;
    if (at > 0 && l->ids[at - 1] == id) return;
    memmove(l->ids + at + 1, l->ids + at, (size_t)(l->n - at) * sizeof *l->ids);
    l->ids[at] = id;
    l->n++;
}

void fv_choice_read(fv_choice *c, const fv_search_reading *reading)
{
    const fv_search_source *s = reading->source;
    lane *l = &c->lanes[reading->lane];
    l->joined = false;
    l->n = (int32_t)fv_shortlist_pick(c->list, c->marks, s->ids, (size_t)s->n, l->ids);
    for (int32_t i = 0; i < s->n_prefix; i++) add(l, s->prefix[i]); /* what must come may be no candidate */
}

static bool all_joined(const fv_choice *c, const int32_t *lanes, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++)
        if (!c->lanes[lanes[r]].joined) return false;
    return true;
}

static void mark_lanes(fv_choice *c, const int32_t *lanes, int64_t rows)
{
    memset(c->marks, 0, fv_shortlist_marks(c->list) * sizeof *c->marks);
    for (int32_t i = 0; i < c->n_lanes; i++) c->lanes[i].joined = false;
    for (int64_t r = 0; r < rows; r++) {
        lane *l = &c->lanes[lanes[r]];
        for (int32_t i = 0; i < l->n && !l->joined; i++) c->marks[l->ids[i] >> 6] |= (uint64_t)1 << (l->ids[i] & 63);
        l->joined = true;
    }
}

static void collect(fv_choice *c)
{
    c->n_joined = 0;
    for (size_t i = 0; i < fv_shortlist_marks(c->list); i++)
        for (uint64_t left = c->marks[i]; left; left &= left - 1) {
            int32_t id = (int32_t)(i * 64) + __builtin_ctzll(left);
            c->place_of[id] = c->n_joined;
            if (c->bias) c->bias[c->n_joined] = c->model->output_bias->data[id];
            c->joined[c->n_joined++] = id;
        }
}

/* The columns of all sources that have a row. */
static void join(fv_choice *c, const int32_t *lanes, int64_t rows)
{
    mark_lanes(c, lanes, rows);
    collect(c);
    for (int32_t i = 0; i < c->n_lanes; i++) {
        lane *l = &c->lanes[i];
        for (int32_t k = 0; k < l->n && l->joined; k++) l->places[k] = c->place_of[l->ids[k]];
    }
    fv_packed_take_columns(c->columns, fv_param_packed(c->model->output, FV_PRECISION_F32), c->joined, c->n_joined, c->pool);
}

/* ---- Scores ------------------------------------------------------------------------------- */

static fv_status multiply(fv_choice *c, const fv_tensor *hidden, fv_err *err)
{
    fv_gemm g = {
        .m = hidden->rows, .n = c->n_joined, .k = hidden->cols, .a = hidden->data, .lda = hidden->stride, .packed = c->columns,
        .c = c->products, .ldc = c->n_joined, .bias = c->bias,
    };
    fv_status status = fv_grow(&c->scratch, &c->scratch_bytes, fv_gemm_scratch(&g, fv_pool_threads(c->pool)), 1, err);
    if (status == FV_OK) fv_gemm_run(&g, c->pool, c->scratch);
    return status;
}

/* Of the row's products those that are its source's. */
static void take_own(fv_choice *c, int64_t row, const lane *l)
{
    const float *from = c->products + row * c->n_joined;
    float *to = c->scores + row * c->n_joined;
    for (int32_t i = 0; i < l->n; i++) to[i] = from[l->places[i]];
    c->counts[row] = l->n;
    c->ids[row] = l->ids;
}

fv_status fv_choice_score(fv_choice *c, const fv_tensor *hidden, const int32_t *lanes, fv_search_logits *out, fv_err *err)
{
    if (!all_joined(c, lanes, hidden->rows)) join(c, lanes, hidden->rows);
    fv_status status = multiply(c, hidden, err);
    if (status != FV_OK) return status;
    for (int64_t r = 0; r < hidden->rows; r++) take_own(c, r, &c->lanes[lanes[r]]);
    *out = (fv_search_logits){.x = c->scores, .ld = c->n_joined, .cols = c->n_joined, .counts = c->counts, .ids = c->ids};
    return FV_OK;
}
