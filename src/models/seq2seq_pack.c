/* Packing of an encoder–decoder's weights for running: every matrix that is multiplied with, the output's table of words
 * included; tables that are only looked up stay as they are. */
#include "models/seq2seq.h"

static fv_status pack_linear(const fv_linear_weights *w, fv_precision precision, fv_pool *pool, fv_err *err)
{
    return w->w ? fv_param_pack(w->w, precision, pool, err) : FV_OK;
}

static fv_status pack_stack(const fv_stack *s, fv_precision precision, fv_pool *pool, const fv_mapping *file, fv_err *err)
{
    fv_status status = FV_OK;
    for (int i = 0; i < s->layers; i++) {
        const fv_block *b = &s->blocks[i];
        const fv_linear_weights *all[] = {&b->qkv, &b->out, &b->cross_q, &b->cross_kv, &b->cross_out, &b->up, &b->down};
        for (size_t k = 0; k < FV_COUNT(all); k++) FV_TRY(pack_linear(all[k], precision, pool, err));
        fv_file_rest(file);
    }
done:
    return status;
}

fv_status fv_seq2seq_pack(fv_seq2seq *m, fv_precision precision, fv_pool *pool, const fv_mapping *file, fv_err *err)
{
    fv_status status = FV_OK;
    if (fv_param_packed(m->output, precision)) return FV_OK;
    FV_TRY(pack_stack(&m->encoder, precision, pool, file, err));
    FV_TRY(pack_stack(&m->decoder, precision, pool, file, err));
    FV_TRY(fv_param_pack(m->output, precision, pool, err));
    fv_file_rest(file);
done:
    return status;
}
