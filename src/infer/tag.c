/* Tags of words: from rows in which every word has its token to logits, tags and spans. Which token is
 * a word's is words.c's matter, where spans begin and end is data/tags.h's.
 *
 * The trap: a batch's logits are of tokens, all of them, in the batch's order of rows; only those of
 * words' first pieces are kept, and go where the word stands in its text. */
#include <string.h>

#include "data/tags.h"
#include "infer/words.h"

/* ---- Logits ------------------------------------------------------------------------------- */

static void keep_words(const fv_word_rows *words, const fv_batch *batch, const fv_tensor *out, float *logits)
{
    size_t outputs = (size_t)out->cols;
    for (int32_t b = 0; b < batch->B; b++) {
        size_t row = batch->rows[b];
        for (size_t w = words->of_row[row]; w < words->of_row[row + 1]; w++) {
            if (words->first[w] < 0) continue;
            memcpy(logits + w * outputs, out->data + (batch->offsets[b] + words->first[w]) * out->stride, outputs * sizeof *logits);
        }
    }
}

fv_status fv_infer_words(const fv_network *net, const fv_head *head, fv_graph *graph, fv_sampler *sampler, const fv_word_rows *words, float *logits, fv_infer_progress progress, void *user, fv_err *err)
{
    fv_sampler_plan(sampler, -1);
    for (size_t i = 0; i < sampler->n_batches; i++) {
        fv_batch batch;
        fv_sampler_get(sampler, i, &batch);
        fv_graph_reset(graph, false);
        fv_tensor *out = fv_network_build(net, head, graph, &batch, NULL);
        fv_status status = fv_graph_plan(graph, out, err);
        if (status != FV_OK) return status;
        fv_graph_forward(graph, 0);
        keep_words(words, &batch, out, logits);
        if (progress && progress(user, i + 1, sampler->n_batches)) return FV_FAIL(err, FV_E_STOPPED, "stopped after batch %zu of %zu", i + 1, sampler->n_batches);
    }
    return FV_OK;
}

fv_status fv_session_word_logits(fv_session *s, const fv_text *texts, size_t n, fv_word_rows *words, float **logits, fv_infer_progress progress, void *user, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_model *m = s->model;
    fv_sampler sampler = {0};
    if (s->head->weights.place != FV_HEAD_TOKEN) return fv_session_refuse(s, "tags no words", err);
    FV_TRY(fv_word_rows_make(words, m->tokenizer, m->max_len, texts, n, &s->encoding, &s->cut, err));
    *logits = fv_alloc_zero(words->n, (size_t)s->head->outputs * sizeof **logits, err);
    if (!*logits) return FV_E_MEMORY;
    if (words->tokens.n == 0) return FV_OK;
    FV_TRY(fv_sampler_init(&sampler, &words->tokens, s->batch_tokens, 0, err));
    FV_TRY(fv_infer_words(&m->net, s->head, s->graph, &sampler, words, *logits, progress, user, err));
done:
    fv_sampler_release(&sampler);
    return status;
}

/* ---- Tags --------------------------------------------------------------------------------- */

static int32_t largest(const float *x, int n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

void fv_infer_best_tags(const fv_head *head, const fv_word_rows *words, const float *logits, int32_t *best)
{
    int32_t outside = fv_map_get(&head->labels.ids, "O", 1);
    for (size_t w = 0; w < words->n; w++)
        best[w] = words->first[w] < 0 ? (outside < 0 ? 0 : outside) : largest(logits + w * (size_t)head->outputs, head->outputs);
}

/* ---- Answers ------------------------------------------------------------------------------ */

static fv_status make_room(fv_session *s, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    size_t capacity = s->tagged_capacity;
    FV_TRY(fv_grow(&s->tagged_spans, &capacity, n, sizeof *s->tagged_spans, err)); /* no more spans than words */
    FV_TRY(fv_grow(&s->tagged, &s->tagged_capacity, n, sizeof *s->tagged, err));
done:
    return status;
}

static fv_tagged_span make_span(const fv_session *s, size_t first_word, const fv_tag_span *span)
{
    const fv_tagged_word *words = s->tagged + first_word;
    fv_tag_name tag;
    fv_tag_parse(s->head->labels.names[span->tag], &tag);
    fv_tagged_span out = {.begin = words[span->begin].begin, .end = words[span->end - 1].end, .type = tag.type, .score = 1};
    for (size_t w = span->begin; w < span->end; w++) out.score = words[w].score < out.score ? words[w].score : out.score;
    return out;
}

/* Text i's spans, behind the n_spans that are there; gives how many there are then. */
static size_t give_text(const fv_session *s, const fv_word_rows *words, const int32_t *best, size_t i, size_t n_spans, fv_tagged *out)
{
    size_t from = words->of_text[i], n = words->of_text[i + 1] - from;
    fv_span_walk walk = {.names = s->head->labels.names, .tags = best + from, .n = n};
    *out = (fv_tagged){.words = s->tagged + from, .n_words = n, .spans = s->tagged_spans + n_spans};
    if (fv_tags_have_spans(s->head->labels.names, s->head->labels.n))
        for (fv_tag_span span; fv_span_next(&walk, &span);) s->tagged_spans[n_spans + out->n_spans++] = make_span(s, from, &span);
    return n_spans + out->n_spans;
}

static void give_words(const fv_session *s, const fv_word_rows *words, const float *scores, const int32_t *best)
{
    for (size_t w = 0; w < words->n; w++) {
        float score = words->first[w] < 0 ? 0 : scores[w * (size_t)s->head->outputs + (size_t)best[w]];
        s->tagged[w] = (fv_tagged_word){.begin = words->begins[w], .end = words->ends[w], .tag = s->head->labels.names[best[w]], .score = score};
    }
}

fv_status fv_tag(fv_session *s, const fv_text *texts, size_t n, fv_tagged *out, fv_err *err)
{
    fv_status status = FV_OK;
    fv_word_rows words = {0};
    float *scores = NULL;
    size_t n_spans = 0;
    FV_TRY(fv_session_word_logits(s, texts, n, &words, &scores, NULL, NULL, err));
    s->work.len = 0;
    FV_TRY(fv_buf_reserve(&s->work, words.n * sizeof(int32_t), err));
    FV_TRY(make_room(s, words.n, err));
    int32_t *best = (int32_t *)(void *)s->work.data;
    fv_infer_best_tags(s->head, &words, scores, best);
    fv_infer_scores(s->head, scores, words.n);
    give_words(s, &words, scores, best);
    for (size_t i = 0; i < n; i++) n_spans = give_text(s, &words, best, i, n_spans, &out[i]);
done:
    fv_word_rows_release(&words);
    fv_free(scores);
    return status;
}
