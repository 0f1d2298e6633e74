/* Texts that bench programs answer: a file with one on each line. */
#ifndef BENCH_TEXTS_H
#define BENCH_TEXTS_H

#include <string.h>

#include "base/file.h"
#include "fovea.h"

/* Of the file's bytes; an empty line is an empty text. */
typedef struct texts {
    fv_buf file;
    fv_text *items;
    size_t n, capacity;
} texts;

static fv_status read_texts(texts *t, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_file_read(path, (size_t)1 << 30, &t->file, err));
    for (char *p = t->file.data, *end = p + t->file.len, *stop; p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        *stop = 0; /* so that an empty line has an end too */
        FV_TRY(fv_grow(&t->items, &t->capacity, t->n + 1, sizeof *t->items, err));
        t->items[t->n++] = (fv_text){.text = p, .len = (size_t)(stop - p)};
    }
    if (t->n == 0) status = FV_FAIL(err, FV_E_INPUT, "%s: empty; expected a text on each line", path);
done:
    return status;
}

#endif
