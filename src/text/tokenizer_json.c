/* tokenizer.json, as the Hugging Face tokenizers library 0.15 and later reads and writes it.
 *
 * Read is what this room can do exactly as that library does: byte-level BPE with the normalisers,
 * patterns and templates of tokenizer.h, and what json_words.c and json_unigram.c add. All else is
 * refused by name rather than half understood: a tokenizer that gives other ids than its model was
 * trained with is worse than none. Truncation and padding are not a tokenizer's business here, so what
 * the file says of them is passed over.
 *
 * The trap: files come from strangers. Ids index arrays, merges are found by what they spell, and
 * every one of them is checked before use. */
#include <string.h>

#include "base/file.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_json.h"

#define FILE_MAX ((size_t)64 << 20)
#define ADDED_MAX 512 /* bytes of an added token: looking for one at every place of a text costs its length */

/* ---- Reading: normalizer ------------------------------------------------------------------ */

#define NORMALIZERS "NFC or NFKC, then Lowercase, each at most once"

static fv_status read_normalizer_step(const fv_json_source *s, const json_t *step)
{
    fv_normalizer *n = &s->t->normalizer;
    bool form_may_come = n->form == FV_NORMALIZE_NONE && !n->lowercase;
    if (fv_json_is_type(step, "NFC") && form_may_come) n->form = FV_NORMALIZE_NFC;
    else if (fv_json_is_type(step, "NFKC") && form_may_come) n->form = FV_NORMALIZE_NFKC;
    else if (fv_json_is_type(step, "Lowercase") && !n->lowercase) n->lowercase = true;
    else return fv_json_refuse(s, "normalizer.type", json_object_get(step, "type"), NORMALIZERS);
    return FV_OK;
}

static fv_status read_normalizer(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    if (!value || json_is_null(value)) return FV_OK;
    if (!fv_json_is_type(value, "Sequence")) return read_normalizer_step(s, value);
    const json_t *steps = json_object_get(value, "normalizers");
    if (!json_is_array(steps)) return fv_json_refuse(s, "normalizer.normalizers", steps, "a list");
    for (size_t i = 0; i < json_array_size(steps) && status == FV_OK; i++) status = read_normalizer_step(s, json_array_get(steps, i));
    return status;
}

/* ---- Reading: pre_tokenizer --------------------------------------------------------------- */

#define PRE_TOKENIZERS "ByteLevel, or a Sequence of one Split and a ByteLevel"

static fv_status read_split(const fv_json_source *s, const json_t *split, const char **pattern)
{
    const json_t *p = json_object_get(split, "pattern"), *behavior = json_object_get(split, "behavior");
    const json_t *invert = json_object_get(split, "invert"), *regex = json_object_get(p, "Regex");
    if (!json_is_string(regex)) return fv_json_refuse(s, "pre_tokenizer.pattern.Regex", regex, "a pattern");
    if (!json_is_string(behavior) || strcmp(json_string_value(behavior), "Isolated") != 0)
        return fv_json_refuse(s, "pre_tokenizer.behavior", behavior, "\"Isolated\"");
    if (!fv_json_is_false(invert)) return fv_json_refuse(s, "pre_tokenizer.invert", invert, "false");
    *pattern = json_string_value(regex);
    return FV_OK;
}

static fv_status read_byte_level(const fv_json_source *s, const json_t *value, bool after_split, const char **pattern)
{
    const json_t *space = json_object_get(value, "add_prefix_space"), *use = json_object_get(value, "use_regex");
    bool prefix = true, regex = true; /* the library's defaults */
    if (space && !fv_json_read_flag(space, &prefix)) return fv_json_refuse(s, "pre_tokenizer.add_prefix_space", space, "true or false");
    if (use && !fv_json_read_flag(use, &regex)) return fv_json_refuse(s, "pre_tokenizer.use_regex", use, "true or false");
    if (after_split && prefix) return fv_json_refuse(s, "pre_tokenizer.add_prefix_space", space, "false after a Split");
    if (after_split && regex) return fv_json_refuse(s, "pre_tokenizer.use_regex", use, "false after a Split");
    s->t->prefix_space = prefix;
    s->t->gpt2 = regex;
    if (regex) *pattern = fv_split_gpt2;
    return FV_OK;
}

static fv_status read_pre_tokenizer(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    const char *pattern = NULL;
    const json_t *steps = json_object_get(value, "pretokenizers");
    const json_t *split = json_array_get(steps, 0), *bytes = json_array_get(steps, 1);
    if (fv_json_is_type(value, "ByteLevel")) {
        FV_TRY(read_byte_level(s, value, false, &pattern));
    } else if (fv_json_is_type(value, "Sequence") && json_array_size(steps) == 2 && fv_json_is_type(split, "Split") && fv_json_is_type(bytes, "ByteLevel")) {
        FV_TRY(read_split(s, split, &pattern));
        FV_TRY(read_byte_level(s, bytes, true, &pattern));
    } else {
        return fv_json_refuse(s, "pre_tokenizer.type", json_object_get(value, "type"), PRE_TOKENIZERS);
    }
    status = fv_splitter_init(&s->t->splitter, pattern, s->where, s->err);
done:
    return status;
}

/* ---- Reading: vocabulary and added tokens -------------------------------------------------- */

static fv_status name_once(const fv_json_source *s, const char *list, const char *text, const json_t *id)
{
    fv_shown room;
    json_int_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (!*text) return FV_FAIL(s->err, FV_E_FORMAT, "%s: %s has an empty token; expected text", s->where, list);
    if (i < 0 || i >= s->t->n) {
        fv_shown found;
        return FV_FAIL(s->err, FV_E_FORMAT, "%s: %s: the id of %s is %s; expected 0 to %d, as there are %d tokens", s->where, list, fv_show(&room, text, strlen(text)), fv_json_describe(id, &found), (int)s->t->n - 1, (int)s->t->n);
    }
    if (s->t->tokens[i].text)
        return FV_FAIL(s->err, FV_E_FORMAT, "%s: %s: %s has the id %lld, which another token has; expected ids without repeats", s->where, list, fv_show(&room, text, strlen(text)), (long long)i);
    return fv_tokenizer_name(s->t, (int32_t)i, text, strlen(text), s->err);
}

static size_t count_unlisted(const json_t *vocab, const json_t *added)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(added); i++) {
        const char *content = json_string_value(json_object_get(json_array_get(added, i), "content"));
        n += content && !json_object_get(vocab, content);
    }
    return n;
}

/* What the library can ask of an added token beyond being found. */
static fv_status refuse_unsupported(const fv_json_source *s, const json_t *item, size_t i)
{
    static const char *const keys[] = {".single_word", ".lstrip", ".rstrip"};
    for (size_t k = 0; k < FV_COUNT(keys); k++) {
        const json_t *flag = json_object_get(item, keys[k] + 1);
        if (!fv_json_is_false(flag)) return fv_json_refuse_item(s, "added_tokens", i, keys[k], flag, "false: not supported here");
    }
    return FV_OK;
}

/* The id of an added token, which is named here unless model.vocab did. */
static fv_status name_added(const fv_json_source *s, const json_t *item, size_t i, int32_t *out)
{
    const json_t *content = json_object_get(item, "content"), *id = json_object_get(item, "id");
    if (!json_is_string(content)) return fv_json_refuse_item(s, "added_tokens", i, ".content", content, "text");
    const char *text = json_string_value(content);
    if (strlen(text) > ADDED_MAX)
        return FV_FAIL(s->err, FV_E_FORMAT, "%s: added_tokens[%zu].content has %zu bytes; expected at most %d", s->where, i, strlen(text), ADDED_MAX);
    *out = fv_map_get(&s->t->ids, text, strlen(text));
    if (*out < 0) {
        fv_status status = name_once(s, "added_tokens", text, id);
        *out = (int32_t)json_integer_value(id);
        return status;
    }
    if (!json_is_integer(id) || json_integer_value(id) != *out) return fv_json_refuse_item(s, "added_tokens", i, ".id", id, "the id that model.vocab gives it");
    if (s->t->tokens[*out].added) return fv_json_refuse_item(s, "added_tokens", i, ".content", content, "each token once");
    return FV_OK;
}

static fv_status read_added(const fv_json_source *s, const json_t *item, size_t i)
{
    fv_status status = FV_OK;
    const json_t *special_flag = json_object_get(item, "special"), *normalized_flag = json_object_get(item, "normalized");
    bool special = false, normalized = false;
    int32_t id = -1;
    FV_TRY(refuse_unsupported(s, item, i));
    if (!fv_json_read_flag(special_flag, &special)) return fv_json_refuse_item(s, "added_tokens", i, ".special", special_flag, "true or false");
    if (!fv_json_read_flag(normalized_flag, &normalized)) return fv_json_refuse_item(s, "added_tokens", i, ".normalized", normalized_flag, "true or false");
    FV_TRY(name_added(s, item, i, &id));
    FV_TRY(fv_tokenizer_add(s->t, id, special, normalized, s->err));
done:
    return status;
}

static fv_status check_all_named(const fv_json_source *s)
{
    for (int32_t id = 0; id < s->t->n; id++)
        if (!s->t->tokens[id].text)
            return FV_FAIL(s->err, FV_E_FORMAT, "%s: model.vocab has no token with id %d; expected ids 0 to %d without a gap", s->where, (int)id, (int)s->t->n - 1);
    return FV_OK;
}

fv_status fv_json_read_tokens(const fv_json_source *s, json_t *vocab, const json_t *added)
{
    fv_status status = FV_OK;
    const char *text;
    json_t *id;
    if (!json_is_object(vocab)) return fv_json_refuse(s, "model.vocab", vocab, "an object of tokens and ids");
    if (added && !json_is_array(added)) return fv_json_refuse(s, "added_tokens", added, "a list");
    FV_TRY(fv_tokenizer_reserve(s->t, json_object_size(vocab) + count_unlisted(vocab, added), json_array_size(added), s->err));
    json_object_foreach(vocab, text, id) FV_TRY(name_once(s, "model.vocab", text, id));
    for (size_t i = 0; i < json_array_size(added); i++) FV_TRY(read_added(s, json_array_get(added, i), i));
    FV_TRY(check_all_named(s));
done:
    return status;
}

/* ---- Reading: merges ---------------------------------------------------------------------- */

/* The halves of a merge, written "a b" or ["a", "b"]; false if it is neither. */
static bool read_halves(const json_t *merge, const char *half[2], size_t len[2])
{
    const json_t *pair[2] = {json_array_get(merge, 0), json_array_get(merge, 1)};
    if (json_is_string(merge)) {
        const char *space = strchr(json_string_value(merge), ' ');
        if (!space) return false;
        half[0] = json_string_value(merge);
        len[0] = (size_t)(space - half[0]);
        half[1] = space + 1;
    } else {
        if (json_array_size(merge) != 2 || !json_is_string(pair[0]) || !json_is_string(pair[1])) return false;
        half[0] = json_string_value(pair[0]);
        len[0] = json_string_length(pair[0]);
        half[1] = json_string_value(pair[1]);
    }
    len[1] = strlen(half[1]);
    return !memchr(half[0], ' ', len[0]) && !memchr(half[1], ' ', len[1]);
}

static fv_status read_merge(const fv_json_source *s, const json_t *value, size_t i, fv_buf *joined, fv_merge *out)
{
    fv_status status = FV_OK;
    const char *half[2];
    size_t len[2];
    if (!read_halves(value, half, len)) return fv_json_refuse_item(s, "model.merges", i, "", value, "two tokens, \"a b\" or [\"a\", \"b\"]");
    joined->len = 0;
    for (int k = 0; k < 2; k++) FV_TRY(fv_buf_add(joined, half[k], len[k], s->err));
    *out = (fv_merge){
        .a = fv_map_get(&s->t->ids, half[0], len[0]),
        .b = fv_map_get(&s->t->ids, half[1], len[1]),
        .id = fv_map_get(&s->t->ids, joined->data, joined->len),
    };
    if (out->a < 0 || out->b < 0) return fv_json_refuse_item(s, "model.merges", i, "", value, "tokens of model.vocab");
    if (out->id < 0) return fv_json_refuse_item(s, "model.merges", i, "", value, "two tokens that joined are in model.vocab");
done:
    return status;
}

static fv_status read_merges(const fv_json_source *s, const json_t *list)
{
    fv_status status = FV_OK;
    fv_buf joined = {0};
    if (!json_is_array(list)) return fv_json_refuse(s, "model.merges", list, "a list");
    size_t n = json_array_size(list);
    fv_merge *merges = fv_alloc(n * sizeof *merges, s->err);
    if (!merges) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) FV_TRY(read_merge(s, json_array_get(list, i), i, &joined, &merges[i]));
    status = fv_bpe_init(&s->t->bpe, merges, (uint32_t)n, s->where, s->err);
    merges = NULL;
done:
    fv_free(merges);
    fv_buf_release(&joined);
    return status;
}

/* ---- Reading: model ----------------------------------------------------------------------- */

/* unk_token may be set: with a token for every byte it is never used. */
static fv_status read_bpe(const fv_json_source *s, const json_t *model, const json_t *added)
{
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"};
    fv_status status;
    if (!json_is_object(model)) return fv_json_refuse(s, "model", model, "an object");
    for (size_t i = 0; i < FV_COUNT(off); i++) {
        char key[64];
        snprintf(key, sizeof key, "model.%s", off[i]);
        if (!fv_json_is_off(json_object_get(model, off[i]))) return fv_json_refuse(s, key, json_object_get(model, off[i]), "null, false or \"\": not supported here");
    }
    FV_TRY(fv_json_read_tokens(s, json_object_get(model, "vocab"), added));
    FV_TRY(read_merges(s, json_object_get(model, "merges")));
done:
    return status;
}

/* ---- Reading: post_processor -------------------------------------------------------------- */

#define POST_PROCESSORS "TemplateProcessing, BertProcessing, ByteLevel or null"

static fv_status add_step(const fv_json_source *s, const char *key, fv_frame *frame, fv_frame_step step)
{
    if (frame->n == FV_FRAME_MAX)
        return FV_FAIL(s->err, FV_E_FORMAT, "%s: post_processor.%s has more than %d steps; expected a few", s->where, key, FV_FRAME_MAX);
    frame->steps[frame->n++] = step;
    return FV_OK;
}

static fv_status read_type_id(const fv_json_source *s, const json_t *body, uint8_t *out)
{
    const json_t *value = json_object_get(body, "type_id");
    json_int_t type = json_is_integer(value) ? json_integer_value(value) : value ? -1 : 0;
    *out = (uint8_t)type;
    return type == 0 || type == 1 ? FV_OK : fv_json_refuse(s, "post_processor type_id", value, "0 or 1");
}

/* A special token of the template stands for one or more ids. */
static fv_status add_special(const fv_json_source *s, const char *key, const json_t *specials, const json_t *name, uint8_t type, fv_frame *frame)
{
    fv_status status = FV_OK;
    const char *text = json_string_value(name);
    const json_t *ids = text ? json_object_get(json_object_get(specials, text), "ids") : NULL;
    if (json_array_size(ids) == 0) return fv_json_refuse(s, "post_processor SpecialToken.id", name, "a name in post_processor.special_tokens, with its ids");
    for (size_t i = 0; i < json_array_size(ids) && status == FV_OK; i++) {
        const json_t *id = json_array_get(ids, i);
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= s->t->n) return fv_json_refuse(s, "post_processor.special_tokens ids", id, "ids of the vocabulary");
        status = add_step(s, key, frame, (fv_frame_step){.kind = FV_FRAME_TOKEN, .type = type, .id = (int32_t)value});
    }
    return status;
}

static fv_status read_step(const fv_json_source *s, const char *key, const json_t *step, const json_t *specials, fv_frame *frame)
{
    const json_t *text = json_object_get(step, "Sequence"), *special = json_object_get(step, "SpecialToken");
    const json_t *id = json_object_get(text ? text : special, "id");
    uint8_t type;
    fv_status status = read_type_id(s, text ? text : special, &type);
    if (status != FV_OK) return status;
    if (special) return add_special(s, key, specials, id, type, frame);
    const char *name = json_is_string(id) ? json_string_value(id) : "";
    if (strcmp(name, "A") == 0) return add_step(s, key, frame, (fv_frame_step){.kind = FV_FRAME_FIRST, .type = type});
    if (strcmp(name, "B") == 0) return add_step(s, key, frame, (fv_frame_step){.kind = FV_FRAME_SECOND, .type = type});
    return fv_json_refuse(s, "post_processor Sequence.id", id, "\"A\" or \"B\"");
}

static int count_kind(const fv_frame *frame, fv_frame_kind kind)
{
    int n = 0;
    for (int i = 0; i < frame->n; i++) n += frame->steps[i].kind == kind;
    return n;
}

static fv_status read_frame(const fv_json_source *s, const json_t *template, const char *key, int n_second, fv_frame *frame)
{
    fv_status status = FV_OK;
    const json_t *steps = json_object_get(template, key);
    frame->n = 0;
    if (!json_is_array(steps)) return FV_FAIL(s->err, FV_E_FORMAT, "%s: post_processor.%s is not a list; expected the steps of the template", s->where, key);
    for (size_t i = 0; i < json_array_size(steps); i++)
        FV_TRY(read_step(s, key, json_array_get(steps, i), json_object_get(template, "special_tokens"), frame));
    if (count_kind(frame, FV_FRAME_FIRST) != 1 || count_kind(frame, FV_FRAME_SECOND) != n_second)
        status = FV_FAIL(s->err, FV_E_FORMAT, "%s: post_processor.%s names A %d times and B %d times; expected 1 and %d", s->where, key, count_kind(frame, FV_FRAME_FIRST), count_kind(frame, FV_FRAME_SECOND), n_second);
done:
    return status;
}

static fv_status read_template(const fv_json_source *s, const json_t *value)
{
    fv_status status = FV_OK;
    s->t->framed = true;
    FV_TRY(read_frame(s, value, "single", 0, &s->t->one));
    FV_TRY(read_frame(s, value, "pair", 1, &s->t->two));
done:
    return status;
}

/* The library's ByteLevel post-processor trims spaces off offsets and changes no id. Ours stay untrimmed. */
static fv_status read_post_processor(const fv_json_source *s, const json_t *value)
{
    fv_frame_plain(s->t);
    if (!value || json_is_null(value) || fv_json_is_type(value, "ByteLevel")) return FV_OK;
    if (fv_json_is_type(value, "BertProcessing")) return fv_json_bert_frame(s, value);
    if (fv_json_is_type(value, "TemplateProcessing")) return read_template(s, value);
    return fv_json_refuse(s, "post_processor.type", json_object_get(value, "type"), POST_PROCESSORS);
}

/* ---- Reading: the whole ------------------------------------------------------------------- */

static fv_status read_kind(const fv_json_source *s, const json_t *model)
{
    const json_t *type = json_object_get(model, "type");
    if (!type || fv_json_is_type(model, "BPE")) s->t->kind = FV_TOKENIZER_BPE; /* old files do not say it */
    else if (fv_json_is_type(model, "WordPiece")) s->t->kind = FV_TOKENIZER_WORDPIECE;
    else if (fv_json_is_type(model, "Unigram")) s->t->kind = FV_TOKENIZER_UNIGRAM;
    else return fv_json_refuse(s, "model.type", type, "\"BPE\", \"WordPiece\" or \"Unigram\"");
    return FV_OK;
}

/* The normaliser comes before the model: added tokens are normalised with it. */
static fv_status read_byte_level_parts(const fv_json_source *s, const json_t *tree, const json_t *model)
{
    fv_status status = FV_OK;
    const json_t *decoder = json_object_get(tree, "decoder");
    if (!fv_json_is_type(decoder, "ByteLevel")) return fv_json_refuse(s, "decoder.type", json_object_get(decoder, "type"), "\"ByteLevel\"");
    FV_TRY(read_normalizer(s, json_object_get(tree, "normalizer")));
    FV_TRY(read_pre_tokenizer(s, json_object_get(tree, "pre_tokenizer")));
    FV_TRY(read_bpe(s, model, json_object_get(tree, "added_tokens")));
done:
    return status;
}

static fv_status read_wordpiece_parts(const fv_json_source *s, const json_t *tree, const json_t *model)
{
    fv_status status = FV_OK;
    FV_TRY(fv_json_bert_normalizer(s, json_object_get(tree, "normalizer")));
    FV_TRY(fv_json_bert_pre_tokenizer(s, json_object_get(tree, "pre_tokenizer")));
    FV_TRY(fv_json_wordpiece(s, model, json_object_get(tree, "added_tokens")));
    FV_TRY(fv_json_wordpiece_decoder(s, json_object_get(tree, "decoder")));
done:
    return status;
}

static fv_status read_unigram_parts(const fv_json_source *s, const json_t *tree, const json_t *model)
{
    fv_status status = FV_OK;
    FV_TRY(read_normalizer(s, json_object_get(tree, "normalizer")));
    FV_TRY(fv_json_metaspace(s, json_object_get(tree, "pre_tokenizer")));
    FV_TRY(fv_json_unigram(s, model, json_object_get(tree, "added_tokens")));
    FV_TRY(fv_json_metaspace_decoder(s, json_object_get(tree, "decoder")));
done:
    return status;
}

static fv_status read_parts(const fv_json_source *s, const json_t *tree, const json_t *model)
{
    switch (s->t->kind) {
    case FV_TOKENIZER_WORDPIECE: return read_wordpiece_parts(s, tree, model);
    case FV_TOKENIZER_UNIGRAM: return read_unigram_parts(s, tree, model);
    default: return read_byte_level_parts(s, tree, model);
    }
}

static fv_status read_tree(const fv_json_source *s, const json_t *tree)
{
    fv_status status = FV_OK;
    const json_t *version = json_object_get(tree, "version"), *model = json_object_get(tree, "model");
    if (!json_is_object(tree)) return fv_json_refuse(s, "the file", tree, "an object with \"model\"");
    if (version && !(json_is_string(version) && strcmp(json_string_value(version), "1.0") == 0)) return fv_json_refuse(s, "version", version, "\"1.0\"");
    FV_TRY(read_kind(s, model));
    FV_TRY(read_parts(s, tree, model));
    FV_TRY(read_post_processor(s, json_object_get(tree, "post_processor")));
    FV_TRY(fv_tokenizer_seal(s->t, s->where, s->err));
done:
    return status;
}

static fv_tokenizer *from_tree(json_t *tree, const char *where, fv_err *err)
{
    if (!tree) return NULL;
    fv_json_source s = {.where = where, .t = fv_tokenizer_new(err), .err = err};
    if (s.t && read_tree(&s, tree) != FV_OK) {
        fv_tokenizer_close(s.t);
        s.t = NULL;
    }
    json_decref(tree);
    return s.t;
}

fv_tokenizer *fv_tokenizer_parse(const char *text, size_t len, const char *where, fv_err *err)
{
    return from_tree(fv_json_parse(text, len, where, err), where, err);
}

/* A translator's folder has a tokenizer for each side. */
static bool is_translator(const char *path)
{
    char file[FV_PATH_MAX];
    return fv_path_join(file, path, "source.spm", NULL) == FV_OK && fv_file_exists(file);
}

fv_tokenizer *fv_tokenizer_open(const char *path, fv_err *err)
{
    char file[FV_PATH_MAX];
    if (fv_sentencepiece_is(path)) return fv_sentencepiece_open(path, err);
    if (fv_vocab_is(path)) return fv_vocab_open(path, err);
    if (fv_tokenizer_file(file, path, err) != FV_OK) return NULL;
    if (is_translator(path) && !fv_file_exists(file)) return FV_FAIL(err, FV_E_ARGUMENT, "%s is a translator, which has two tokenizers; name one: source.spm or target.spm in it", path), NULL;
    return from_tree(fv_json_load(file, FILE_MAX, err), file, err);
}

