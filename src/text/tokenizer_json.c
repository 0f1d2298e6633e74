/* tokenizer.json, as the Hugging Face tokenizers library 0.15 and later reads and writes it.
 *
 * Read is what this room can do exactly as that library does: all its normalisers, pre-tokenizers, models, decoders and
 * framings (parts.h, json_*.c). What it has not heard of is refused by name rather than half understood: a tokenizer that
 * gives other ids than its model was trained with is worse than none. Truncation and padding are not a tokenizer's business
 * here, so what the file says of them is passed over.
 *
 * The trap: files come from strangers. Ids index arrays, merges are found by what they spell, and
 * every one of them is checked before use. */
#include <string.h>

#include "base/file.h"
#include "text/parts.h"

#define FILE_MAX ((size_t)64 << 20)
#define ADDED_MAX 512 /* bytes of an added token: looking for one at every place of a text costs its length */

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
        if (status == FV_OK) s->t->tokens[*out].outside = true;
        return status;
    }
    if (!json_is_integer(id) || json_integer_value(id) != *out) return fv_json_refuse_item(s, "added_tokens", i, ".id", id, "the id that model.vocab gives it");
    if (s->t->tokens[*out].added) return fv_json_refuse_item(s, "added_tokens", i, ".content", content, "each token once");
    return FV_OK;
}

static fv_status read_added(const fv_json_source *s, const json_t *item, size_t i)
{
    fv_added how = {0};
    const struct { const char *key; bool *flag; } flags[] = {
        {".special", &how.special}, {".normalized", &how.normalized}, {".single_word", &how.single_word}, {".lstrip", &how.lstrip}, {".rstrip", &how.rstrip},
    };
    for (size_t k = 0; k < FV_COUNT(flags); k++) {
        const json_t *flag = json_object_get(item, flags[k].key + 1);
        if (!fv_json_read_flag(flag, flags[k].flag)) return fv_json_refuse_item(s, "added_tokens", i, flags[k].key, flag, "true or false");
    }
    fv_status status = name_added(s, item, i, &how.id);
    return status == FV_OK ? fv_tokenizer_add_as(s->t, how, s->err) : status;
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

/* ---- Reading: the ways of parts ------------------------------------------------------------ */

/* Parts that amount to what normalize.c or bert.c does alone: then that does it, unless splits by parts want valid UTF-8. */
static void shorten_normalizers(fv_tokenizer *t, const fv_part_list *list)
{
    const fv_part *first = list->items, *second = list->items + 1;
    bool simple = list->n < 3;
    for (size_t i = 0; i < list->n; i++) simple &= fv_part_is(&list->items[i], "Lowercase") || (i == 0 && (list->items[i].how.form || list->items[i].how.bert));
    if (!simple || (list->n == 2 && (first->how.bert || first->how.lowercase))) {
        t->normalizer = (fv_normalizer){.parts = t->parts};
        return;
    }
    if (list->n) t->normalizer = first->how;
    if (list->n == 2) t->normalizer.lowercase = second->how.lowercase;
}

/* Patterns move from a part to the tokenizer. */
static void take_splitter(fv_tokenizer *t, fv_part *part)
{
    t->splitter = part->pattern.regex;
    part->pattern.regex = (fv_splitter){0};
}

static bool byte_level_is_plain(fv_part_list *list)
{
    const fv_part *split = list->items, *bytes = list->items + 1;
    if (list->n == 1) return fv_part_is(split, "ByteLevel");
    return list->n == 2 && fv_part_is(split, "Split") && split->pattern.regex.pattern && split->behaviour == FV_ISOLATED && !split->invert && fv_part_is(bytes, "ByteLevel") &&
           !bytes->prefix_space && !bytes->regex;
}

static void take_byte_level(fv_tokenizer *t, fv_part_list *list)
{
    const fv_part *bytes = &list->items[list->n - 1];
    t->prefix_space = bytes->prefix_space;
    t->gpt2 = bytes->regex;
    take_splitter(t, &list->items[0]);
}

static bool metaspace_is_plain(const fv_part_list *list)
{
    return list->n == 1 && fv_part_is(list->items, "Metaspace") && strcmp(list->items[0].content, FV_META) == 0;
}

/* Pre-tokenizers that a model's own way does at full speed. */
static void shorten_splits(fv_tokenizer *t, fv_part_list *list)
{
    bool plain = false;
    if (t->kind == FV_TOKENIZER_WORDPIECE) plain = list->n == 1 && fv_part_is(list->items, "BertPreTokenizer");
    else if (t->kind == FV_TOKENIZER_UNIGRAM) plain = metaspace_is_plain(list);
    else if (t->kind == FV_TOKENIZER_BPE) plain = !t->bpe.from_chars && byte_level_is_plain(list);
    if (!plain) {
        t->parts->splits_used = true;
        t->bpe.from_chars = t->kind == FV_TOKENIZER_BPE;
        return;
    }
    if (t->kind == FV_TOKENIZER_BPE) take_byte_level(t, list);
    if (t->kind == FV_TOKENIZER_UNIGRAM) t->unigram.prepend = list->items[0].prepend, t->unigram.whole = !list->items[0].split;
    fv_part_list_release(list);
}

static void shorten_decoders(fv_tokenizer *t, fv_part_list *list)
{
    const fv_part *part = list->items;
    bool plain = list->n == 1 && !t->parts->splits_used;
    if (t->kind == FV_TOKENIZER_WORDPIECE) plain = plain && fv_part_is(part, "WordPiece") && strcmp(part->content, t->wordpiece.prefix) == 0;
    else if (t->kind == FV_TOKENIZER_UNIGRAM) plain = plain && metaspace_is_plain(list) && (part->prepend == FV_PREPEND_NEVER) == (t->unigram.prepend == FV_PREPEND_NEVER);
    else plain = plain && fv_part_is(part, "ByteLevel");
    t->parts->decoders_used = !plain;
    if (!plain) return;
    t->wordpiece.cleanup = t->kind == FV_TOKENIZER_WORDPIECE && part->cleanup;
    fv_part_list_release(list);
}

/* The tree without what the vocabulary can say again. */
static void keep_tree(const fv_json_source *s, json_t *tree)
{
    json_t *model = json_object_get(tree, "model");
    json_object_del(model, "vocab");
    json_object_del(model, "merges");
    s->t->parts->tree = json_incref(tree);
}

static void drop_parts(fv_tokenizer *t)
{
    fv_parts *parts = t->parts;
    if (t->normalizer.parts || parts->splits_used || parts->decoders_used) return;
    fv_parts_free(parts);
    t->parts = NULL;
}

/* ---- Reading: the whole ------------------------------------------------------------------- */

static fv_status read_kind(const fv_json_source *s, const json_t *model)
{
    const json_t *type = json_object_get(model, "type");
    if (!type || fv_json_is_type(model, "BPE")) s->t->kind = FV_TOKENIZER_BPE; /* old files do not say it */
    else if (fv_json_is_type(model, "WordPiece")) s->t->kind = FV_TOKENIZER_WORDPIECE;
    else if (fv_json_is_type(model, "Unigram")) s->t->kind = FV_TOKENIZER_UNIGRAM;
    else if (fv_json_is_type(model, "WordLevel")) s->t->kind = FV_TOKENIZER_WORDLEVEL;
    else return fv_json_refuse(s, "model.type", type, "\"BPE\", \"WordPiece\", \"Unigram\" or \"WordLevel\"");
    return FV_OK;
}

static fv_status read_model(const fv_json_source *s, const json_t *model, const json_t *added)
{
    switch (s->t->kind) {
    case FV_TOKENIZER_WORDPIECE: return fv_json_wordpiece(s, model, added);
    case FV_TOKENIZER_UNIGRAM: return fv_json_unigram(s, model, added);
    case FV_TOKENIZER_WORDLEVEL: return fv_json_wordlevel(s, model, added);
    default: return fv_json_bpe(s, model, added);
    }
}

/* The normaliser comes before the model: added tokens are normalised with it. */
static fv_status read_tree(const fv_json_source *s, json_t *tree)
{
    fv_status status = FV_OK;
    fv_tokenizer *t = s->t;
    const json_t *version = json_object_get(tree, "version"), *model = json_object_get(tree, "model");
    if (!json_is_object(tree)) return fv_json_refuse(s, "the file", tree, "an object with \"model\"");
    if (version && !(json_is_string(version) && strcmp(json_string_value(version), "1.0") == 0)) return fv_json_refuse(s, "version", version, "\"1.0\"");
    if (!json_is_object(model)) return fv_json_refuse(s, "model", model, "an object");
    if (!(t->parts = fv_alloc_zero(1, sizeof *t->parts, s->err))) return FV_E_MEMORY;
    FV_TRY(read_kind(s, model));
    FV_TRY(fv_read_normalizers(s, json_object_get(tree, "normalizer"), &t->parts->normalizers));
    shorten_normalizers(t, &t->parts->normalizers);
    FV_TRY(fv_read_splits(s, json_object_get(tree, "pre_tokenizer"), &t->parts->splits));
    FV_TRY(read_model(s, model, json_object_get(tree, "added_tokens")));
    shorten_splits(t, &t->parts->splits);
    FV_TRY(fv_read_decoders(s, json_object_get(tree, "decoder"), &t->parts->decoders));
    shorten_decoders(t, &t->parts->decoders);
    if (t->parts->splits_used) t->normalizer = (fv_normalizer){.parts = t->parts};
    FV_TRY(fv_json_post_processor(s, json_object_get(tree, "post_processor")));
    drop_parts(t);
    if (t->parts) keep_tree(s, tree);
    FV_TRY(fv_tokenizer_seal(t, s->where, s->err));
done:
    return status;
}

fv_tokenizer *fv_json_tokenizer(json_t *tree, bool from_text, const char *where, fv_err *err)
{
    fv_json_source s = {.where = where, .t = fv_tokenizer_new(err), .err = err, .from_text = from_text};
    if (s.t && read_tree(&s, tree) != FV_OK) {
        fv_tokenizer_close(s.t);
        s.t = NULL;
    }
    return s.t;
}

/* Takes the tree over, which is NULL if reading it failed. */
static fv_tokenizer *from_tree(json_t *tree, const char *where, fv_err *err)
{
    fv_tokenizer *t = tree ? fv_json_tokenizer(tree, true, where, err) : NULL;
    json_decref(tree);
    return t;
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
    if (fv_folder_is(path)) return fv_folder_open(path, err);
    if (fv_tokenizer_file(file, path, err) != FV_OK) return NULL;
    if (is_translator(path) && !fv_file_exists(file)) return FV_FAIL(err, FV_E_ARGUMENT, "%s is a translator, which has two tokenizers; name one: source.spm or target.spm in it", path), NULL;
    fv_holds holds;
    if (fv_folder_exists(path) && !fv_file_exists(file))
        return FV_FAIL(err, FV_E_IO, "%s: no tokenizer in it (%s); expected tokenizer.json, vocab.txt, vocab.json with merges.txt, or a SentencePiece model", path, fv_folder_holds(&holds, path)), NULL;
    return from_tree(fv_json_load(file, FILE_MAX, err), file, err);
}

