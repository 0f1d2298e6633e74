/* What the model of a tokenizer.json says that is a unigram model: pieces with their scores. */
#include <math.h>
#include <string.h>

#include "text/tokenizer_json.h"

#define SCORE_MOST 1e6 /* so that no sum over a text overflows */

/* A score as the Hugging Face library reads it: digits as a whole number, divided by a power of ten. With more digits than
 * a double holds that rounds twice, and may end one step beside the nearest double. Of two cuts whose scores are the same
 * sums in another order, such a step decides. */
static double read_there(double score)
{
    char text[FV_DOUBLE_TEXT];
    uint64_t digits = 0;
    double power = 1;
    bool fraction = false;
    const char *p = fv_double_text(score, text);
    for (p += *p == '-'; *p; p++) {
        if (*p == '.') { fraction = true; continue; }
        if (*p < '0' || *p > '9') return score; /* an exponent: so small that no cut hangs on it */
        digits = 10 * digits + (uint64_t)(*p - '0');
        if (fraction) power *= 10; /* exact up to 1e22, and there are 17 digits at most behind some zeros */
    }
    return copysign((double)digits / power, score);
}

/* An object of ids, as other models have it, so that they are named in one place. */
static fv_status list_pieces(const fv_json_source *s, const json_t *list, json_t *vocab)
{
    fv_unigram *u = &s->t->unigram;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *text = json_array_get(item, 0), *score = json_array_get(item, 1);
        if (json_array_size(item) != 2 || !json_is_string(text) || !json_is_number(score))
            return fv_json_refuse_item(s, "model.vocab", i, "", item, "a token and its score");
        if (!(fabs(json_number_value(score)) <= SCORE_MOST)) return fv_json_refuse_item(s, "model.vocab", i, "[1]", score, "a log probability, -1000000 to 1000000");
        if (json_object_get(vocab, json_string_value(text))) return fv_json_refuse_item(s, "model.vocab", i, "[0]", text, "each token once");
        if (json_object_set_new(vocab, json_string_value(text), json_integer((json_int_t)i)) != 0)
            return FV_FAIL(s->err, FV_E_MEMORY, "%s: out of memory for the vocabulary", s->where);
        u->scores[i] = json_number_value(score);
        if (!u->written) continue;
        u->written[i] = u->scores[i];
        u->scores[i] = read_there(u->scores[i]);
    }
    return FV_OK;
}

static fv_status read_pieces(const fv_json_source *s, const json_t *list, const json_t *added)
{
    fv_status status = FV_OK;
    fv_unigram *u = &s->t->unigram;
    if (json_array_size(list) == 0) return fv_json_refuse(s, "model.vocab", list, "a list of tokens with scores");
    size_t n = json_array_size(list);
    json_t *vocab = json_object();
    u->n_scores = (int32_t)n;
    u->scores = fv_arena_alloc(&s->t->arena, n * sizeof *u->scores, s->err);
    if (s->from_text) u->written = fv_arena_alloc(&s->t->arena, n * sizeof *u->written, s->err);
    if (!vocab || !u->scores || (s->from_text && !u->written)) { status = FV_FAIL(s->err, FV_E_MEMORY, "%s: out of memory for the vocabulary", s->where); goto done; }
    FV_TRY(list_pieces(s, list, vocab));
    FV_TRY(fv_json_read_tokens(s, vocab, added));
done:
    json_decref(vocab);
    return status;
}

fv_status fv_json_unigram(const fv_json_source *s, const json_t *model, const json_t *added)
{
    fv_unigram *u = &s->t->unigram;
    const json_t *unk = json_object_get(model, "unk_id"), *bytes = json_object_get(model, "byte_fallback");
    fv_status status = read_pieces(s, json_object_get(model, "vocab"), added);
    if (status != FV_OK) return status;
    bool none = !unk || json_is_null(unk);
    json_int_t id = none ? -1 : json_is_integer(unk) ? json_integer_value(unk) : -2;
    if (id < -1 || id >= u->n_scores || (!none && id < 0)) return fv_json_refuse(s, "model.unk_id", unk, "null or an id of model.vocab");
    u->unk = (int32_t)id;
    if (!fv_json_read_flag(bytes, &u->byte_fallback)) return fv_json_refuse(s, "model.byte_fallback", bytes, "true or false");
    return FV_OK;
}
