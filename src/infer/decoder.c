/* An encoder–decoder behind the search's stepper. Which slots and rows hold what, the search says; here they are filled.
 *
 * The trap: a planned graph holds on to addresses, of the cache and of the search's arrays. It is thrown away whenever either
 * could have moved. */
#include "infer/decoder.h"

#include <string.h>

#include "infer/choice.h"

struct fv_decoder {
    const fv_seq2seq *model;
    fv_graph *reading, *stepping;
    fv_decoder_cache cache;
    fv_arena batch;                 /* room for sources, of the planned shape */
    int32_t *ids, *positions, *offsets;
    uint64_t *sequences;
    fv_step planned;                /* what `stepping` was planned for; R = 0: nothing */
    fv_tensor *end;                 /* the planned graph's: logits, or hidden states where a shortlist makes the scores */
    fv_choice *choice;              /* NULL: without a shortlist */
};

fv_decoder *fv_decoder_new(const fv_seq2seq *model, fv_pool *pool, fv_err *err)
{
    fv_decoder *d = fv_alloc_zero(1, sizeof *d, err);
    if (!d) return NULL;
    d->model = model;
    d->reading = fv_graph_new(pool, err);
    d->stepping = d->reading ? fv_graph_new(pool, err) : NULL;
    if (d->stepping) return d;
    fv_decoder_free(d);
    return NULL;
}

void fv_decoder_free(fv_decoder *d)
{
    if (!d) return;
    fv_graph_free(d->reading);
    fv_graph_free(d->stepping);
    fv_choice_free(d->choice);
    fv_decoder_cache_release(&d->cache);
    fv_arena_release(&d->batch);
    fv_free(d);
}

fv_status fv_decoder_restrict(fv_decoder *d, const fv_shortlist *list, fv_pool *pool, fv_err *err)
{
    FV_ASSERT(!d->choice);
    d->choice = fv_choice_new(d->model, list, pool, err);
    return d->choice ? FV_OK : FV_E_MEMORY;
}

/* ---- Room ---- */

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static fv_status grow_cache(fv_decoder *d, const fv_search_shape *shape, fv_err *err)
{
    if (shape->slots <= d->cache.slots && shape->memory_rows <= d->cache.memory_rows) return FV_OK;
    int64_t slots = larger(shape->slots, d->cache.slots), rows = larger(shape->memory_rows, d->cache.memory_rows);
    fv_decoder_cache_release(&d->cache);
    return fv_decoder_cache_init(&d->cache, d->model, slots, rows, err);
}

static fv_status plan(void *user, const fv_search_shape *shape, fv_err *err)
{
    fv_decoder *d = user;
    size_t tokens = (size_t)shape->memory_rows, lanes = (size_t)shape->lanes;
    d->planned.R = 0;
    fv_arena_reset(&d->batch);
    d->ids = fv_arena_alloc(&d->batch, tokens * sizeof *d->ids, err);
    d->positions = d->ids ? fv_arena_alloc(&d->batch, tokens * sizeof *d->positions, err) : NULL;
    d->offsets = d->positions ? fv_arena_alloc(&d->batch, (lanes + 1) * sizeof *d->offsets, err) : NULL;
    d->sequences = d->offsets ? fv_arena_alloc(&d->batch, lanes * sizeof *d->sequences, err) : NULL;
    if (!d->sequences) return FV_E_MEMORY;
    fv_status status = d->choice ? fv_choice_plan(d->choice, shape, err) : FV_OK;
    return status == FV_OK ? grow_cache(d, shape, err) : status;
}

/* ---- Reading ---- */

static fv_batch join(fv_decoder *d, const fv_search_reading *sources, int32_t n)
{
    int32_t N = 0;
    for (int32_t b = 0; b < n; b++) {
        d->offsets[b] = N;
        d->sequences[b] = (uint64_t)b;
        for (int32_t i = 0; i < sources[b].source->n; i++, N++) {
            d->ids[N] = sources[b].source->ids[i];
            d->positions[N] = i;
        }
    }
    d->offsets[n] = N;
    return (fv_batch){.B = n, .N = N, .ids = d->ids, .positions = d->positions, .offsets = d->offsets, .sequences = d->sequences};
}

static void keep_rows(fv_decoder *d, int layer, const fv_tensor *kv, const fv_search_reading *sources, int32_t n)
{
    for (int32_t b = 0; b < n; b++)
        fv_decoder_cache_put(&d->cache, layer, sources[b].first, kv, d->offsets[b], sources[b].source->n);
}

static fv_status read_sources(void *user, const fv_search_reading *sources, int32_t n, fv_err *err)
{
    fv_decoder *d = user;
    fv_tensor *kv[FV_SEQ2SEQ_MAX_LAYERS] = {0};
    int layers = d->model->config.decoder_layers;
    fv_batch batch = join(d, sources, n);
    fv_graph_reset(d->reading, false);
    fv_tensor *memory = fv_seq2seq_encode(d->model, d->reading, &batch);
    for (int i = 0; i < layers; i++) {
        kv[i] = fv_seq2seq_cross_kv(d->model, d->reading, memory, i);
        fv_graph_keep(d->reading, kv[i]);
    }
    fv_status status = fv_graph_plan(d->reading, kv[layers - 1], err);
    if (status != FV_OK) return status;
    fv_graph_forward(d->reading, 0);
    for (int i = 0; i < layers; i++) keep_rows(d, i, kv[i], sources, n);
    for (int32_t b = 0; d->choice && b < n; b++) fv_choice_read(d->choice, &sources[b]);
    return FV_OK;
}

/* ---- Stepping ---- */

/* Within a plan of the search only the number of rows ever changes. */
static fv_status plan_step(fv_decoder *d, const fv_step *step, fv_err *err)
{
    if (d->planned.R == step->R) return FV_OK;
    d->planned = *step;
    fv_graph_reset(d->stepping, false);
    d->end = fv_seq2seq_step(d->model, d->stepping, &d->cache, &d->planned);
    if (!d->choice) d->end = fv_seq2seq_logits(d->model, d->stepping, d->end);
    fv_status status = fv_graph_plan(d->stepping, d->end, err);
    if (status != FV_OK) d->planned.R = 0;
    return status;
}

static fv_status take_step(void *user, const fv_step *step, const int32_t *lanes, fv_search_logits *out, fv_err *err)
{
    fv_decoder *d = user;
    fv_status status = plan_step(d, step, err);
    if (status != FV_OK) return status;
    fv_graph_forward(d->stepping, 0);
    if (d->choice) return fv_choice_score(d->choice, d->end, lanes, out, err);
    *out = (fv_search_logits){.x = d->end->data, .ld = d->end->stride, .cols = d->end->cols};
    return FV_OK;
}

fv_stepper fv_decoder_stepper(fv_decoder *d)
{
    const fv_seq2seq_config *c = &d->model->config;
    int layer = c->decoder_layers > 1 ? c->decoder_layers - 2 : 0; /* the last but one aligns best (Garg et al. 2019, 4.1) */
    return (fv_stepper){
        .user = d, .vocab = c->tgt_vocab, .start = c->start, .eos = c->eos, .pad = c->pad == c->eos ? -1 : c->pad, .max_len = c->max_len,
        .weights_layer = layer, .plan = plan, .read = read_sources, .step = take_step,
    };
}
