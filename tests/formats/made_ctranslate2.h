/* model.bin by hand, for tests: what a test wants, however wrong. */
#ifndef FV_TESTS_FORMATS_MADE_CTRANSLATE2_H
#define FV_TESTS_FORMATS_MADE_CTRANSLATE2_H

#include "base/dtype.h"
#include "base/str.h"

void made_u8(fv_buf *to, uint8_t x);
void made_u16(fv_buf *to, uint16_t x);
void made_u32(fv_buf *to, uint32_t x);
void made_string(fv_buf *to, const char *text);
/* Version, specification, revision, number of variables. */
void made_header(fv_buf *to, uint32_t version, const char *specification, uint32_t revision, uint32_t variables);
/* A variable up to its data, as versions 4 to 6 have it if `typed`, else as 2 and 3; rows and cols as the rank asks. */
void made_variable(fv_buf *to, bool typed, const char *name, fv_dtype type, int rank, uint32_t rows, uint32_t cols);

/* A whole translator: 1 + 1 layers of width 8, feed-forward width 4, two heads, vocabularies of 4. */
typedef struct made_translator {
    uint32_t version, revision; /* 0: 6, 7 */
    const char *specification;  /* NULL: TransformerSpec */
    fv_dtype weights;           /* 0: FV_F32 */
    bool tied, shared;          /* aliases, from version 3 on */
    uint32_t positions;         /* rows of a table of positions; 0: none */
    const char *without;        /* a variable that is left out */
    const char *with;           /* a float32 number more */
    float number;
    const char *text_key, *text; /* an attribute that is a text */
    int scale;                  /* 0: nothing said of it, 1: as a flag that is on, 2: as the number 1 */
    int activation;
} made_translator;

void made_translator_file(fv_buf *to, const made_translator *what);

#endif
