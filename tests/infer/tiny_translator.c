/* Random weights, but biases that keep the output from being one word for ever: else a test would see nothing of order or length. */
#include "infer/tiny_translator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"

void tiny_translator(fv_seq2seq *m, fv_positions positions, bool pre_norm)
{
    fv_err err = {0};
    fv_seq2seq_config c = {
        .src_vocab = TINY_VOCAB, .tgt_vocab = TINY_VOCAB, .encoder_layers = 2, .decoder_layers = 2, .width = 32, .heads = 4, .ffn = 48, .max_len = 40, .act = FV_ACT_RELU,
        .positions = positions, .pre_norm = pre_norm, .shared = true, .tied = true, .scale_embedding = true, .output_bias = true, .pad = TINY_PAD, .eos = TINY_EOS, .start = TINY_PAD, .norm_eps = 1e-5,
    };
    if (fv_seq2seq_init(m, &c, &err) != FV_OK || fv_params_allocate(&m->params, &err) != FV_OK) fail_msg("%s", err.text);
    fv_params_draw(&m->params, 5);
    for (int i = 0; i < TINY_VOCAB; i++) m->output_bias->data[i] = (float)(i % 7) * 0.2f; /* so that not the last word comes again and again */
}

void tiny_sources(fv_search_source *sources, int32_t (*ids)[TINY_LONGEST], int32_t n)
{
    fv_rng rng = fv_rng_make(3, "sources");
    for (int32_t i = 0; i < n; i++) {
        int32_t length = 1 + (int32_t)fv_rng_below(&rng, TINY_LONGEST);
        for (int32_t j = 0; j < length; j++) ids[i][j] = j == length - 1 ? TINY_EOS : 1 + (int32_t)fv_rng_below(&rng, TINY_PAD - 1);
        sources[i] = (fv_search_source){.ids = ids[i], .n = length, .text = (size_t)i + 1};
    }
}
