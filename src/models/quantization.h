/* quantization_config of config.json: weights that are stored as integers. Transformers reads several conventions; this is
 * compressed-tensors' "int-quantized": beside X.weight, I8 [out, in], lies X.weight_scale, [out, 1], and the weights are their
 * product. It also says whether activations are rounded to 8 bits, row by row, while the model runs.
 *
 *   quantization.c    config.json
 *   weights.c         the tensors */
#ifndef FV_MODELS_QUANTIZATION_H
#define FV_MODELS_QUANTIZATION_H

#include "base/json.h"

typedef struct fv_quantization {
    bool weights;     /* matrices may be I8 in the file */
    bool activations; /* and what they are multiplied with is rounded too: products are int8 unless a session says otherwise */
} fv_quantization;

/* {0} without the key. What is asked for and not supported is FV_E_FORMAT with file and key. */
fv_status fv_quantization_from_json(fv_quantization *q, const json_t *config, const char *where, fv_err *err);
/* What a model with both has under that key, for layers whose names hold "layer.N" or "layers.N". NULL when out of memory. */
json_t *fv_quantization_to_json(void);

#endif
