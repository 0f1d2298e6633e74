/* A translator against pairs of texts: how likely it finds what a person wrote (loss, perplexity), then how near to it is what it
 * writes itself, by beam search (BLEU, chrF). The second is by far the longer.
 *
 * The trap: a session keeps its translations until its next call, so that each chunk's are copied. */
#include "api/eval.h"

#include <string.h>

#include "infer/pairs.h"
#include "train/translations.h"

enum { CHUNK = 128 /* texts translated between two looks at the clock */ };

typedef struct judging {
    fv_session *session;
    const fv_eval_options *o;
    const fv_text *pairs;        /* [n] */
    size_t n;
    fv_row_losses losses;        /* of the references */
    fv_text_span *written, *references; /* [n] */
    fv_arena arena;              /* what `written` points to */
    fv_infer_progress tell;
    void *user;
} judging;

static fv_status score_references(judging *j, int64_t *cut, fv_err *err)
{
    fv_status status = FV_OK;
    fv_session *s = j->session;
    const fv_seq2seq *m = s->model->net.translator;
    fv_sampler sampler = {0};
    fv_pair_batch batch = {0};
    fv_pair_rows pairs = {.bare_source = m->config.bare_source};
    FV_TRY(fv_pair_rows_make(&pairs, s->model->pair, m->config.max_len, j->pairs, j->n, &(fv_pair_drawing){0}, cut, err));
    FV_TRY(fv_sampler_init(&sampler, &pairs.rows, s->batch_tokens, 0, err));
    FV_TRY(fv_pair_batch_init(&batch, sampler.max_B, sampler.max_N, m->config.start, err));
    FV_TRY(fv_pair_score(m, s->graph, &sampler, &batch, j->losses.sums, j->losses.counts, j->tell, j->user, err));
done:
    fv_pair_batch_release(&batch);
    fv_sampler_release(&sampler);
    fv_pair_rows_release(&pairs);
    return status;
}

/* Texts longer than the model are translated in parts: losing their ends would be held against the model twice. */
static fv_status translate_chunk(judging *j, size_t first, size_t n, fv_err *err)
{
    fv_text texts[CHUNK];
    fv_translation found[CHUNK];
    fv_translate_options o;
    fv_translate_options_init(&o);
    o.long_texts = FV_LONG_SPLIT;
    if (j->o->beam) o.beam = j->o->beam;
    for (size_t i = 0; i < n; i++) texts[i] = (fv_text){.text = j->pairs[first + i].text, .len = j->pairs[first + i].len};
    fv_status status = fv_translate(j->session, texts, n, &o, found, err);
    for (size_t i = 0; i < n && status == FV_OK; i++) {
        fv_text_span *written = &j->written[first + i];
        written->len = found[i].len;
        written->text = fv_arena_strndup(&j->arena, found[i].text, found[i].len, err);
        if (!written->text) status = FV_E_MEMORY;
    }
    return status;
}

static fv_status translate_all(judging *j, fv_err *err)
{
    for (size_t at = 0, n; at < j->n; at += n) {
        n = j->n - at < CHUNK ? j->n - at : CHUNK;
        fv_status status = translate_chunk(j, at, n, err);
        if (status != FV_OK) return status;
        if (j->tell(j->user, at + n, j->n)) return FV_FAIL(err, FV_E_STOPPED, "stopped after %zu of %zu texts", at + n, j->n);
    }
    return FV_OK;
}

static fv_status choose_cut(fv_translations *t, const char *name, fv_err *err)
{
    fv_shown shown;
    int cut = name ? fv_bleu_cut_parse(name) : (int)fv_translations_cut(t->references, t->n);
    if (cut < 0) return FV_FAIL(err, FV_E_ARGUMENT, "BLEU's words: %s; expected 13a, intl, zh, char or none", fv_show(&shown, name, strlen(name)));
    t->cut = (fv_bleu_cut)cut;
    return FV_OK;
}

static void sign(fv_report *report, const fv_translations *t)
{
    fv_signature room;
    snprintf(report->bleu_signature, sizeof report->bleu_signature, "%s", fv_bleu_signature(&room, &(fv_bleu_options){.cut = t->cut}, 1));
    snprintf(report->chrf_signature, sizeof report->chrf_signature, "%s", fv_chrf_signature(&room, &(fv_chrf_options){0}, 1));
}

static fv_status allocate(judging *j, fv_err *err)
{
    fv_status status = fv_row_losses_init(&j->losses, j->n, err);
    if (status != FV_OK) return status;
    j->written = fv_alloc_zero(j->n, sizeof *j->written, err);
    j->references = j->written ? fv_alloc_zero(j->n, sizeof *j->references, err) : NULL;
    return j->references ? FV_OK : FV_E_MEMORY;
}

fv_status fv_eval_translator(fv_report *report, fv_session *s, const fv_dataset *data, const fv_eval_options *o, fv_infer_progress tell, void *user, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    fv_text *pairs = fv_prepare_texts(data, err);
    judging j = {.session = s, .o = o, .pairs = pairs, .n = data->n, .tell = tell, .user = user};
    if (!pairs) return FV_E_MEMORY;
    FV_TRY(allocate(&j, err));
    for (size_t i = 0; i < j.n; i++) j.references[i] = (fv_text_span){pairs[i].text2, pairs[i].len2};
    fv_translations t = {.n = j.n, .texts = j.written, .references = j.references, .losses = &j.losses, .seed = o->seed};
    FV_TRY(choose_cut(&t, o->bleu_words, err));
    FV_TRY(score_references(&j, &report->cut, err));
    FV_TRY(translate_all(&j, err));
    FV_TRY(fv_translations_compute(report, &t, pool, err));
    sign(report, &t);
done:
    fv_arena_release(&j.arena);
    fv_row_losses_release(&j.losses);
    fv_free(j.written);
    fv_free(j.references);
    fv_free(pairs);
    return status;
}
