/* Models of CTranslate2 (https://github.com/OpenNMT/CTranslate2): a folder with
 *
 *   model.bin       variables: weights, and attributes such as the number of heads; binary versions 2 to 6
 *   config.json     which tokens frame a text; from version 6 on, attributes of model.bin before
 *   shared_vocabulary.json, or source_vocabulary.json and target_vocabulary.json; .txt with a token a line before
 *
 * model.bin, numbers little-endian, a string being a u16 length that counts the zero byte at its end:
 *
 *   u32 version · string specification, "TransformerSpec" say · u32 revision of it · u32 number of variables
 *   a variable: string name · u8 rank · u32 sizes[rank] · u8 type · u32 bytes · data
 *               (before version 4 u8 bytes of an item · u32 items instead of type and bytes)
 *   from version 3 on: u32 number of aliases · string alias, string name of a variable
 *
 * Weights of 8 bits have a float32 NAME_scale for each row, those of 16 bits one for all: value = integer / scale. */
#ifndef FV_FORMATS_CTRANSLATE2_H
#define FV_FORMATS_CTRANSLATE2_H

#include "formats/formats.h"

/* An open, mapped, fully checked model.bin: known types, sizes that do not overflow and match their bytes, names
 * that are there once, nothing left over. Anything else is FV_E_FORMAT naming file, variable and what was found. */
typedef struct fv_ctranslate2 {
    fv_mapping map;
    uint32_t version, revision;
    const char *specification; /* "" in no file of these versions */
    fv_st_tensor *variables;   /* sorted by name; an alias is one more that shares the data. Data is not aligned */
    size_t n;
    char *folder, *path;       /* path: of model.bin */
    fv_arena names;
} fv_ctranslate2;

fv_status fv_ctranslate2_open(fv_ctranslate2 *model, const char *folder, fv_err *err);
void fv_ctranslate2_close(fv_ctranslate2 *model);
const fv_st_tensor *fv_ctranslate2_find(const fv_ctranslate2 *model, const char *name); /* NULL if missing */

/* An attribute: a single number. Missing: *out keeps its value. */
fv_status fv_ctranslate2_number(const fv_ctranslate2 *model, const char *name, double *out, fv_err *err);
/* A text, kept as bytes: borrowed into `room`. Missing: *out keeps its value. */
fv_status fv_ctranslate2_text(fv_ctranslate2 *model, const char *name, const char **out, fv_err *err);
/* Rows [first, first + rows) of a matrix, or numbers of a vector, as float32 whatever they are stored as. The range
 * is the caller's business; a scale that is missing, does not fit or is no number is refused. */
fv_status fv_ctranslate2_floats(const fv_ctranslate2 *model, const fv_st_tensor *variable, int64_t first, int64_t rows, float *out, fv_err *err);

/* The tokens of NAME.json or NAME.txt in the folder, by id: UTF-8, each there once. Not found: `tokens` stays empty. */
fv_status fv_ctranslate2_vocabulary(fv_map *tokens, bool *found, const char *folder, const char *name, fv_err *err);

#endif
