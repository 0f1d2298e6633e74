/* Figures of translations. Translating is others'. Each sentence is first boiled down to its counts, so that a
 * resample is nothing but sums. */
#include "train/translations.h"

#include <math.h>

#include "base/mem.h"
#include "train/bootstrap.h"

typedef struct sentence {
    fv_bleu_stats bleu, bleu_lc;
    fv_chrf_stats chrf;
} sentence;

typedef struct judged {
    const fv_translations *t;
    sentence *sentences; /* [n] */
    fv_overlap *rooms;   /* [threads] */
    fv_status *failed;   /* [threads] */
} judged;

static const char *const names[] = {"bleu", "bleu_lc", "chrf", "loss", "perplexity"};

/* ---- Sentences ---------------------------------------------------------------------------- */

enum { CHUNK = 32 /* sentences of one task: enough to be worth handing out */ };

static fv_status judge_one(const fv_translations *t, size_t i, sentence *s, fv_overlap *room)
{
    fv_status status = FV_OK;
    const fv_text_span *text = &t->texts[i], *reference = &t->references[i];
    FV_TRY(fv_bleu_count(&s->bleu, room, &(fv_bleu_options){.cut = t->cut}, text->text, text->len, reference, 1, NULL));
    FV_TRY(fv_bleu_count(&s->bleu_lc, room, &(fv_bleu_options){.cut = t->cut, .lower = true}, text->text, text->len, reference, 1, NULL));
    FV_TRY(fv_chrf_count(&s->chrf, room, &(fv_chrf_options){0}, text->text, text->len, reference, 1, NULL));
done:
    return status;
}

static void judge_chunk(void *arg, int64_t task, int worker)
{
    judged *all = arg;
    size_t begin = (size_t)task * CHUNK, end = begin + CHUNK < all->t->n ? begin + CHUNK : all->t->n;
    for (size_t i = begin; i < end; i++) {
        fv_status status = judge_one(all->t, i, &all->sentences[i], &all->rooms[worker]);
        if (status != FV_OK) all->failed[worker] = status;
    }
}

static fv_status judge(judged *all, fv_pool *pool, fv_err *err)
{
    size_t threads = pool ? (size_t)fv_pool_threads(pool) : 1;
    all->sentences = fv_alloc_zero(all->t->n, sizeof *all->sentences, err);
    all->rooms = all->sentences ? fv_alloc_zero(threads, sizeof *all->rooms, err) : NULL;
    all->failed = all->rooms ? fv_alloc_zero(threads, sizeof *all->failed, err) : NULL;
    if (!all->failed) return FV_E_MEMORY;
    fv_pool_run(pool, (int64_t)((all->t->n + CHUNK - 1) / CHUNK), judge_chunk, all);
    for (size_t i = 0; i < threads; i++) {
        fv_overlap_release(&all->rooms[i]);
        if (all->failed[i] == FV_E_MEMORY) return FV_FAIL(err, FV_E_MEMORY, "out of memory for comparing translations");
        if (all->failed[i] != FV_OK) return FV_FAIL(err, all->failed[i], "a translation or its reference is too long to be compared; cut the longest lines");
    }
    return FV_OK;
}

/* ---- Figures ------------------------------------------------------------------------------ */

static void measure(const void *rows, fv_rng *chance, void *scratch, double *figures)
{
    (void)scratch;
    const judged *all = rows;
    sentence sum = {0};
    fv_rng again = chance ? *chance : (fv_rng){0}; /* the same sentences for the losses */
    for (size_t i = 0; i < all->t->n; i++) {
        const sentence *s = &all->sentences[fv_bootstrap_draw(chance, i, all->t->n)];
        fv_bleu_add(&sum.bleu, &s->bleu);
        fv_bleu_add(&sum.bleu_lc, &s->bleu_lc);
        fv_chrf_add(&sum.chrf, &s->chrf);
    }
    figures[0] = fv_bleu_value(&sum.bleu, false);
    figures[1] = fv_bleu_value(&sum.bleu_lc, false);
    figures[2] = fv_chrf_value(&sum.chrf);
    if (all->t->losses) fv_perplexity_measure(all->t->losses, chance ? &again : NULL, NULL, figures + 3);
}

fv_status fv_translations_compute(fv_report *report, const fv_translations *t, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    judged all = {.t = t};
    fv_bootstrap b = {
        .measure = measure, .rows = &all, .names = names, .n_figures = FV_COUNT(names) - (t->losses ? 0 : 2),
        .seed = t->seed, .values_only = t->values_only,
    };
    if (t->n == 0) return FV_FAIL(err, FV_E_INPUT, "no translations to judge; expected at least one");
    FV_TRY(judge(&all, pool, err));
    FV_TRY(fv_bootstrap_run(report, &b, pool, err));
    report->rows = (int64_t)t->n;
done:
    fv_free(all.sentences);
    fv_free(all.rooms);
    fv_free(all.failed);
    return status;
}

static bool is_han(uint32_t c) { return (c >= 0x3400 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x323af); }

fv_bleu_cut fv_translations_cut(const fv_text_span *references, size_t n)
{
    size_t han = 0, all = 0;
    int bytes = 0;
    for (size_t i = 0; i < n; i++)
        for (const char *p = references[i].text, *end = p + references[i].len; p < end; p += bytes) {
            uint32_t c = fv_char_at(p, end, &bytes);
            all += !fv_char_is_blank(c);
            han += is_han(c);
        }
    return 3 * han > all ? FV_BLEU_ZH : FV_BLEU_13A;
}
