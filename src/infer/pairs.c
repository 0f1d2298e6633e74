/* Pairs of texts to rows of ids, and rows to losses. */
#include "infer/pairs.h"

#include <string.h>

#include "graph/op.h"

/* ---- Rows ---- */

/* One side, cut to max_len tokens with its </s>. */
static fv_status encode(fv_encoding *e, const fv_pair_tokenizer *tokenizer, fv_side side, const char *text, size_t len, int max_len, double alpha, fv_rng *rng, bool *cut, fv_err *err)
{
    fv_status status = fv_pair_encode(tokenizer, side, text, len, alpha, rng, e, err);
    if (status != FV_OK || e->n <= (size_t)max_len) return status;
    e->ids[max_len - 1] = e->ids[e->n - 1];
    e->n = (size_t)max_len;
    *cut = true;
    return FV_OK;
}

static fv_status encode_pair(fv_pair_rows *r, const fv_pair_tokenizer *tokenizer, int max_len, const fv_text *t, double alpha, fv_rng *rng, bool *cut, fv_err *err)
{
    fv_status status = encode(&r->source, tokenizer, FV_SIDE_SOURCE, t->text, t->len, max_len, alpha, rng, cut, err);
    if (status == FV_OK && r->bare_source && r->source.n > 1) r->source.n--;
    return status == FV_OK ? encode(&r->target, tokenizer, FV_SIDE_TARGET, t->text2, t->len2, max_len, alpha, rng, cut, err) : status;
}

static void append(fv_token_rows *rows, size_t at, const fv_encoding *e, int type)
{
    memcpy(rows->ids + at, e->ids, e->n * sizeof *e->ids);
    memset(rows->types + at, type, e->n);
}

static fv_status add_row(fv_pair_rows *r, size_t row, fv_err *err)
{
    fv_status status = FV_OK;
    fv_token_rows *rows = &r->rows;
    size_t at = (size_t)rows->offsets[row], n = r->source.n + r->target.n;
    FV_TRY(fv_grow(&rows->ids, &r->ids_room, at + n, sizeof *rows->ids, err));
    FV_TRY(fv_grow(&rows->types, &r->types_room, at + n, sizeof *rows->types, err));
    append(rows, at, &r->source, 0);
    append(rows, at + r->source.n, &r->target, 1);
    rows->offsets[row + 1] = (int64_t)(at + n);
    if ((int)n > rows->max_len) rows->max_len = (int)n;
done:
    return status;
}

static fv_status make_row(fv_pair_rows *r, const fv_pair_tokenizer *tokenizer, int max_len, const fv_text *text, size_t row, const fv_pair_drawing *d, bool *cut, fv_err *err)
{
    fv_status status = FV_OK;
    fv_rng seeded = fv_rng_make(fv_mix(d->seed, (uint64_t)d->epoch), "pieces"), rng = fv_rng_fork(&seeded, row);
    FV_TRY(encode_pair(r, tokenizer, max_len, text, d->alpha, &rng, cut, err));
    if (d->alpha > 0 && (*cut || (d->longest && r->source.n + r->target.n > (size_t)d->longest))) {
        *cut = false;
        FV_TRY(encode_pair(r, tokenizer, max_len, text, 0, NULL, cut, err));
    }
    FV_TRY(add_row(r, row, err));
done:
    return status;
}

fv_status fv_pair_rows_make(fv_pair_rows *r, const fv_pair_tokenizer *tokenizer, int max_len, const fv_text *texts, size_t n, const fv_pair_drawing *drawing, int64_t *cut, fv_err *err)
{
    fv_status status = FV_OK;
    if (!r->rows.offsets) {
        r->rows.offsets = fv_alloc_zero(n + 1, sizeof *r->rows.offsets, err);
        if (!r->rows.offsets) return FV_E_MEMORY;
        r->rows.n = n;
    }
    FV_ASSERT(r->rows.n == n);
    r->rows.max_len = 0;
    for (size_t i = 0; i < n; i++) {
        bool over = false;
        FV_TRY(make_row(r, tokenizer, max_len, &texts[i], i, drawing, &over, err));
        *cut += over;
    }
done:
    return status;
}

void fv_pair_rows_release(fv_pair_rows *r)
{
    fv_token_rows_release(&r->rows);
    fv_encoding_release(&r->source);
    fv_encoding_release(&r->target);
    *r = (fv_pair_rows){0};
}

/* ---- Scores ---- */

/* The loss notes what each token lost; a tap keeps that readable. */
static fv_status score_batch(const fv_seq2seq *model, fv_graph *g, const fv_pair_batch *p, double *losses, int32_t *counts, fv_err *err)
{
    fv_graph_reset(g, false);
    fv_tensor *hidden = fv_seq2seq_decode(model, g, fv_seq2seq_encode(model, g, &p->source), &p->source, &p->target);
    fv_tensor *loss = fv_seq2seq_loss(model, g, hidden, p->targets, 0);
    fv_graph_keep(g, loss);
    fv_status status = fv_graph_plan(g, loss, err);
    if (status != FV_OK) return status;
    fv_graph_forward(g, 0);
    const float *each = loss->from->aux;
    for (int32_t b = 0; b < p->target.B; b++) {
        double sum = 0;
        for (int32_t i = p->target.offsets[b]; i < p->target.offsets[b + 1]; i++) sum += (double)each[i];
        losses[p->target.rows[b]] = sum;
        counts[p->target.rows[b]] = p->target.offsets[b + 1] - p->target.offsets[b];
    }
    return FV_OK;
}

fv_status fv_pair_score(const fv_seq2seq *model, fv_graph *graph, fv_sampler *sampler, fv_pair_batch *pairs, double *losses, int32_t *counts, fv_infer_progress progress, void *user, fv_err *err)
{
    fv_sampler_plan(sampler, -1);
    for (size_t i = 0; i < sampler->n_batches; i++) {
        fv_batch batch;
        fv_sampler_get(sampler, i, &batch);
        fv_pair_batch_split(pairs, &batch);
        fv_status status = score_batch(model, graph, pairs, losses, counts, err);
        if (status != FV_OK) return status;
        if (progress && progress(user, i + 1, sampler->n_batches)) return FV_FAIL(err, FV_E_STOPPED, "stopped after batch %zu of %zu", i + 1, sampler->n_batches);
    }
    return FV_OK;
}
