/* How fast a translator reads a file: for bench/translate-peers, which times another program on the same model and
 * texts in turns.
 *
 *   translate MODEL TEXTS.txt THREADS [OUT.txt]      a text on each line; translations to OUT
 *
 * Int8 products, beam 4, and the words that the model's shortlist suggests. Prints one JSON line: texts a second, how
 * many texts there were. The first texts go before, untimed: they plan the graphs and fill the caches. */
#include <stdlib.h>
#include <string.h>

#include "texts.h"

enum { WARM_UP = 32, BEAM = 4 };

static fv_status write_texts(const fv_translation *out, size_t n, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_buf all = {0};
    for (size_t i = 0; i < n; i++) {
        FV_TRY(fv_buf_add(&all, out[i].text, out[i].len, err));
        FV_TRY(fv_buf_putc(&all, '\n', err));
    }
    FV_TRY(fv_file_write(path, all.data, all.len, err));
done:
    fv_buf_release(&all);
    return status;
}

static fv_status measure(fv_session *s, const texts *t, const char *path, double *seconds, fv_err *err)
{
    fv_status status = FV_OK;
    fv_translate_options o;
    fv_translation *out = fv_alloc_zero(t->n, sizeof *out, err);
    if (!out) return FV_E_MEMORY;
    fv_translate_options_init(&o);
    o.beam = BEAM;
    FV_TRY(fv_translate(s, t->items, t->n < WARM_UP ? t->n : WARM_UP, &o, out, err));
    double start = fv_now();
    FV_TRY(fv_translate(s, t->items, t->n, &o, out, err));
    *seconds = fv_now() - start;
    if (path) FV_TRY(write_texts(out, t->n, path, err));
done:
    fv_free(out);
    return status;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    texts t = {0};
    double seconds = 0;
    if (argc != 4 && argc != 5) return fprintf(stderr, "usage: translate MODEL TEXTS.txt THREADS [OUT.txt]\n"), 2;
    fv_session_options o;
    fv_session_options_init(&o);
    o.products = FV_PRODUCTS_INT8;
    o.shortlist = true;
    fv_model *model = fv_set_threads(atoi(argv[3]), &err) == FV_OK ? fv_model_open(argv[1], &err) : NULL;
    fv_session *s = model ? fv_session_new(model, &o, &err) : NULL;
    bool fine = s && read_texts(&t, argv[2], &err) == FV_OK && measure(s, &t, argc > 4 ? argv[4] : NULL, &seconds, &err) == FV_OK;
    if (fine) printf("{\"texts_per_s\":%.3f,\"texts\":%zu}\n", (double)t.n / seconds, t.n);
    fv_session_free(s);
    fv_model_close(model);
    fv_free(t.items);
    fv_buf_release(&t.file);
    return fine ? 0 : fv_err_print(stderr, &err);
}
