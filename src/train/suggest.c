/* The shortlist of a trained translator, from the pairs that it was trained on. How it is learned is lexicon.c's.
 *
 * The trap: with sample_pieces the training rows are cut into pieces anew each epoch, and which epoch was the last one
 * depends on when the training was stopped. So the likeliest pieces are taken, which is how texts will be read. */
#include "train/lexicon.h"
#include "train/training.h"

/* Of rows of both sides one side, which has the types `side`. */
static fv_status take_side(fv_token_rows *out, const fv_token_rows *rows, int side, fv_err *err)
{
    out->n = rows->n;
    out->offsets = fv_alloc_zero(rows->n + 1, sizeof *out->offsets, err);
    out->ids = out->offsets ? fv_alloc((size_t)rows->offsets[rows->n] * sizeof *out->ids, err) : NULL;
    if (!out->ids) return FV_E_MEMORY;
    int64_t n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        for (int64_t k = rows->offsets[i]; k < rows->offsets[i + 1]; k++)
            if (rows->types[k] == side) out->ids[n++] = rows->ids[k];
        out->offsets[i + 1] = n;
    }
    return FV_OK;
}

static fv_status make_rows(const fv_training *t, fv_pair_rows *rows, fv_err *err)
{
    int64_t cut = 0;
    const fv_dataset *data = &t->jobs[0].train.data;
    fv_text *texts = fv_prepare_texts(data, err);
    if (!texts) return FV_E_MEMORY;
    fv_status status = fv_pair_rows_make(rows, t->pair, t->recipe.translator.max_len, texts, data->n, &(fv_pair_drawing){0}, &cut, err);
    fv_free(texts);
    return status;
}

static fv_status learn(fv_shortlist *list, const fv_training *t, const fv_token_rows *source, const fv_token_rows *target, fv_err *err)
{
    int32_t eos = fv_pair_eos(t->pair);
    fv_lexicon_options o;
    fv_lexicon_options_init(&o);
    o.source_vocab = t->recipe.translator.src_vocab;
    o.target_vocab = t->recipe.translator.tgt_vocab;
    o.shared = t->recipe.translator.shared;
    o.always = &eos;
    o.n_always = 1;
    return fv_lexicon_learn(list, &o, source, target, t->pool, err);
}

fv_status fv_training_suggest(const fv_training *t, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_pair_rows rows = {0};
    fv_token_rows source = {0}, target = {0};
    fv_shortlist list = {0};
    FV_TRY(make_rows(t, &rows, err));
    FV_TRY(take_side(&source, &rows.rows, FV_SIDE_SOURCE, err));
    FV_TRY(take_side(&target, &rows.rows, FV_SIDE_TARGET, err));
    FV_TRY(learn(&list, t, &source, &target, err));
    FV_TRY(fv_shortlist_save(&list, path, err));
done:
    fv_pair_rows_release(&rows);
    fv_token_rows_release(&source);
    fv_token_rows_release(&target);
    fv_shortlist_release(&list);
    return status;
}
