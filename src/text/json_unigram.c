/* What the tokenizer.json of a unigram model says: Metaspace, pieces with their scores.
 * All else is refused by name, for the reasons in tokenizer_json.c. */
#include <math.h>
#include <string.h>

#include "text/tokenizer_json.h"

#define SCORE_MOST 1e6 /* so that no sum over a text overflows */

static fv_status read_prepend(const fv_json_source *s, const char *key, const json_t *value, fv_prepend *out)
{
    const char *text = json_is_string(value) ? json_string_value(value) : value ? "" : "always";
    if (strcmp(text, "always") == 0) *out = FV_PREPEND_ALWAYS;
    else if (strcmp(text, "first") == 0) *out = FV_PREPEND_FIRST;
    else if (strcmp(text, "never") == 0) *out = FV_PREPEND_NEVER;
    else return fv_json_refuse(s, key, value, "\"always\", \"first\" or \"never\"");
    return FV_OK;
}

static fv_status read_replacement(const fv_json_source *s, const char *key, const json_t *value)
{
    if (!value || (json_is_string(value) && strcmp(json_string_value(value), FV_META) == 0)) return FV_OK;
    return fv_json_refuse(s, key, value, "\"" FV_META "\"");
}

/* Old files say add_prefix_space instead of prepend_scheme. */
fv_status fv_json_metaspace(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    fv_unigram *u = &s->t->unigram;
    const json_t *split = json_object_get(value, "split"), *scheme = json_object_get(value, "prepend_scheme");
    if (!fv_json_is_type(value, "Metaspace")) return fv_json_refuse(s, "pre_tokenizer.type", json_object_get(value, "type"), "\"Metaspace\" for a Unigram model");
    FV_TRY(read_replacement(s, "pre_tokenizer.replacement", json_object_get(value, "replacement")));
    FV_TRY(read_prepend(s, "pre_tokenizer.prepend_scheme", scheme, &u->prepend));
    if (!scheme && json_is_false(json_object_get(value, "add_prefix_space"))) u->prepend = FV_PREPEND_NEVER;
    if (split && !json_is_boolean(split)) return fv_json_refuse(s, "pre_tokenizer.split", split, "true or false");
    u->whole = json_is_false(split);
done:
    return status;
}

fv_status fv_json_metaspace_decoder(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    fv_prepend prepend = s->t->unigram.prepend;
    const json_t *scheme = json_object_get(value, "prepend_scheme");
    if (!fv_json_is_type(value, "Metaspace")) return fv_json_refuse(s, "decoder.type", json_object_get(value, "type"), "\"Metaspace\" for a Unigram model");
    FV_TRY(read_replacement(s, "decoder.replacement", json_object_get(value, "replacement")));
    if (scheme) FV_TRY(read_prepend(s, "decoder.prepend_scheme", scheme, &prepend));
    if ((prepend == FV_PREPEND_NEVER) != (s->t->unigram.prepend == FV_PREPEND_NEVER))
        return fv_json_refuse(s, "decoder.prepend_scheme", scheme, "what pre_tokenizer.prepend_scheme is");
done:
    return status;
}

/* An object of ids, as other models have it, so that they are named in one place. */
static fv_status list_pieces(const fv_json_source *s, const json_t *list, json_t *vocab)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *text = json_array_get(item, 0), *score = json_array_get(item, 1);
        if (json_array_size(item) != 2 || !json_is_string(text) || !json_is_number(score))
            return fv_json_refuse_item(s, "model.vocab", i, "", item, "a token and its score");
        if (!(fabs(json_number_value(score)) <= SCORE_MOST)) return fv_json_refuse_item(s, "model.vocab", i, "[1]", score, "a log probability, -1000000 to 1000000");
        if (json_object_get(vocab, json_string_value(text))) return fv_json_refuse_item(s, "model.vocab", i, "[0]", text, "each token once");
        if (json_object_set_new(vocab, json_string_value(text), json_integer((json_int_t)i)) != 0)
            return FV_FAIL(s->err, FV_E_MEMORY, "%s: out of memory for the vocabulary", s->where);
        s->t->unigram.scores[i] = json_number_value(score);
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
    if (!vocab || !u->scores) { status = FV_FAIL(s->err, FV_E_MEMORY, "%s: out of memory for the vocabulary", s->where); goto done; }
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
