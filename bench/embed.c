/* How fast an encoder makes vectors of texts: for bench/embed-peers, which times other programs on the same model and
 * texts in turns.
 *
 *   embed MODEL TEXTS.txt THREADS PRECISION      a text on each line; float32, bf16 or int8
 *
 * Prints a JSON line for each case: 32x128 and 32x16 (32 texts that have so many tokens), tokens a second; mixed (all texts,
 * as they come), texts a second; one (a sentence of ten tokens), milliseconds, and those that 99 calls in 100 stay under.
 * Tokenizing is in all of them. */
#include <stdlib.h>
#include <string.h>

#include "texts.h"

enum { BATCH = 32, RUNS = 7, CALLS = 400 };
static const char sentence[] = "How do I locate my new card?";

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorted seconds of so many calls, after one that plans. */
static fv_status time_calls(fv_session *s, const fv_text *list, size_t n, double *seconds, int calls, fv_err *err)
{
    fv_status status = FV_OK;
    float *out = fv_alloc(n * (size_t)fv_model_embedding_size(fv_session_model(s)) * sizeof *out, err);
    if (!out) return FV_E_MEMORY;
    FV_TRY(fv_embed(s, list, n, NULL, out, err));
    for (int i = 0; i < calls; i++) {
        double begun = fv_now();
        FV_TRY(fv_embed(s, list, n, NULL, out, err));
        seconds[i] = fv_now() - begun;
    }
    qsort(seconds, (size_t)calls, sizeof *seconds, by_value);
done:
    fv_free(out);
    return status;
}

static fv_status measure_equal(fv_session *s, int tokens, fv_err *err)
{
    static const char *const words[] = {"the", "card", "is", "new", "and", "my", "bank", "has", "sent", "it", "by", "mail", "last", "week", "or", "so"};
    char text[1024] = "";
    fv_text list[BATCH];
    double seconds[RUNS];
    for (int i = 0; i < tokens - 2; i++) { /* the frame has two */
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s ", words[i % (int)FV_COUNT(words)]);
    }
    for (int i = 0; i < BATCH; i++) list[i] = (fv_text){.text = text};
    fv_status status = time_calls(s, list, BATCH, seconds, RUNS, err);
    if (status == FV_OK) printf("{\"case\":\"32x%d\",\"value\":%.3f}\n", tokens, BATCH * tokens / seconds[RUNS / 2]);
    return status;
}

static fv_status measure(fv_session *s, const texts *t, fv_err *err)
{
    fv_status status = FV_OK;
    double seconds[CALLS];
    fv_text one = {.text = sentence};
    FV_TRY(measure_equal(s, 128, err));
    FV_TRY(measure_equal(s, 16, err));
    FV_TRY(time_calls(s, t->items, t->n, seconds, 1, err));
    printf("{\"case\":\"mixed\",\"value\":%.3f}\n", (double)t->n / seconds[0]);
    FV_TRY(time_calls(s, &one, 1, seconds, CALLS, err));
    printf("{\"case\":\"one\",\"value\":%.4f,\"p99\":%.4f}\n", 1e3 * seconds[CALLS / 2], 1e3 * seconds[CALLS * 99 / 100]);
done:
    return status;
}

static bool set_products(fv_session_options *o, const char *name)
{
    static const char *const names[] = {[FV_PRODUCTS_FLOAT32] = "float32", [FV_PRODUCTS_BF16] = "bf16", [FV_PRODUCTS_INT8] = "int8"};
    fv_session_options_init(o);
    for (size_t i = 0; i < FV_COUNT(names); i++) {
        if (strcmp(name, names[i])) continue;
        o->products = (fv_products)i;
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    texts t = {0};
    fv_session_options o;
    if (argc != 5 || !set_products(&o, argv[4])) return fprintf(stderr, "usage: embed MODEL TEXTS.txt THREADS float32|bf16|int8\n"), 2;
    fv_model *model = fv_set_threads(atoi(argv[3]), &err) == FV_OK ? fv_model_open(argv[1], &err) : NULL;
    fv_session *s = model ? fv_session_new(model, &o, &err) : NULL;
    bool fine = s && read_texts(&t, argv[2], &err) == FV_OK && measure(s, &t, &err) == FV_OK;
    fv_session_free(s);
    fv_model_close(model);
    fv_free(t.items);
    fv_buf_release(&t.file);
    return fine ? 0 : fv_err_print(stderr, &err);
}
