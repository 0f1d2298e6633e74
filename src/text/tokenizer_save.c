/* Writing tokenizer.json, as the Hugging Face tokenizers library 0.15 and later reads it. */
#include <string.h>

#include "text/parts.h"

fv_status fv_tokenizer_file(char out[FV_PATH_MAX], const char *path, fv_err *err)
{
    if (fv_folder_exists(path)) return fv_path_join(out, path, FV_TOKENIZER_FILE, err);
    size_t len = strlen(path);
    if (len >= FV_PATH_MAX) return FV_FAIL(err, FV_E_ARGUMENT, "a path of %zu bytes; expected less than %d", len, FV_PATH_MAX);
    memcpy(out, path, len + 1);
    return FV_OK;
}

/* Each gives a tree, or NULL when memory ran out. json_pack takes over what "o" is given. */

static json_t *write_bert_normalizer(const fv_normalizer *n)
{
    return json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", "BertNormalizer", "clean_text", n->clean, "handle_chinese_chars", n->han_apart,
                     "strip_accents", n->strip_accents, "lowercase", n->lowercase);
}

static json_t *write_normalizer(const fv_normalizer *n)
{
    if (n->bert) return write_bert_normalizer(n);
    const char *form = n->form == FV_NORMALIZE_NFC ? "NFC" : "NFKC";
    if (n->form == FV_NORMALIZE_NONE) return n->lowercase ? json_pack("{s:s}", "type", "Lowercase") : json_null();
    if (!n->lowercase) return json_pack("{s:s}", "type", form);
    return json_pack("{s:s, s:[{s:s}, {s:s}]}", "type", "Sequence", "normalizers", "type", form, "type", "Lowercase");
}

static json_t *write_byte_level(bool prefix_space, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix_space, "trim_offsets", 0, "use_regex", regex);
}

static json_t *write_metaspace(const fv_tokenizer *t)
{
    static const char *const names[] = {"always", "first", "never"};
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", FV_META, "prepend_scheme", names[t->unigram.prepend], "split", !t->unigram.whole);
}

static json_t *write_pre_tokenizer(const fv_tokenizer *t)
{
    if (t->kind == FV_TOKENIZER_WORDPIECE) return json_pack("{s:s}", "type", "BertPreTokenizer");
    if (t->kind == FV_TOKENIZER_UNIGRAM) return write_metaspace(t);
    if (t->gpt2 || !t->splitter.pattern) return write_byte_level(t->prefix_space, t->gpt2);
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers",
                     "type", "Split", "pattern", "Regex", t->splitter.pattern, "behavior", "Isolated", "invert", 0,
                     write_byte_level(false, false));
}

static json_t *write_frame(const fv_tokenizer *t, const fv_frame *frame)
{
    json_t *steps = json_array();
    for (int i = 0; i < frame->n; i++) {
        const fv_frame_step *step = &frame->steps[i];
        const char *kind = step->kind == FV_FRAME_TOKEN ? "SpecialToken" : "Sequence";
        const char *id = step->kind == FV_FRAME_TOKEN ? t->tokens[step->id].text : step->kind == FV_FRAME_FIRST ? "A" : "B";
        if (json_array_append_new(steps, json_pack("{s:{s:s, s:i}}", kind, "id", id, "type_id", step->type)) != 0) {
            json_decref(steps);
            return NULL;
        }
    }
    return steps;
}

static bool list_specials(const fv_tokenizer *t, const fv_frame *frame, json_t *specials)
{
    bool good = true;
    for (int i = 0; i < frame->n; i++) {
        if (frame->steps[i].kind != FV_FRAME_TOKEN) continue;
        const char *text = t->tokens[frame->steps[i].id].text;
        good &= json_object_set_new(specials, text, json_pack("{s:s, s:[i], s:[s]}", "id", text, "ids", frame->steps[i].id, "tokens", text)) == 0;
    }
    return good;
}

static json_t *write_post_processor(const fv_tokenizer *t)
{
    if (!t->framed) return json_null();
    json_t *specials = json_object();
    if (!list_specials(t, &t->one, specials) || !list_specials(t, &t->two, specials)) {
        json_decref(specials);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", write_frame(t, &t->one), "pair", write_frame(t, &t->two), "special_tokens", specials);
}

static json_t *write_added(const fv_tokenizer *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->n_added; i++) {
        const fv_added *a = &t->added[i];
        json_t *item = json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", a->id, "content", a->text, "single_word", a->single_word,
                                 "lstrip", a->lstrip, "rstrip", a->rstrip, "normalized", a->normalized, "special", a->special);
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *write_vocab(const fv_tokenizer *t)
{
    json_t *vocab = json_object();
    for (int32_t id = 0; id < t->n; id++) {
        if (t->parts && t->tokens[id].outside) continue;
        if (json_object_set_new(vocab, t->tokens[id].text, json_integer(id)) != 0) {
            json_decref(vocab);
            return NULL;
        }
    }
    return vocab;
}

/* As a pair where a token has a space in it, else "a b", which old versions of the library read too. */
static json_t *write_merge(const char *a, const char *b)
{
    return strchr(a, ' ') || strchr(b, ' ') ? json_pack("[s, s]", a, b) : json_pack("s++", a, " ", b);
}

static json_t *write_merges(const fv_tokenizer *t)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < t->bpe.n; i++) {
        const fv_merge *m = &t->bpe.merges[i];
        if (json_array_append_new(list, write_merge(t->tokens[m->a].text, t->tokens[m->b].text)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *write_wordpiece(const fv_tokenizer *t)
{
    const fv_wordpiece *wp = &t->wordpiece;
    return json_pack("{s:s, s:s, s:s, s:I, s:o}", "type", "WordPiece", "unk_token", t->tokens[wp->unk].text,
                     "continuing_subword_prefix", wp->prefix, "max_input_chars_per_word", (json_int_t)wp->max_chars, "vocab", write_vocab(t));
}

static json_t *write_scores(const fv_tokenizer *t)
{
    json_t *list = json_array();
    const double *scores = t->unigram.written ? t->unigram.written : t->unigram.scores;
    for (int32_t id = 0; id < t->unigram.n_scores; id++) {
        if (json_array_append_new(list, json_pack("[s, f]", t->tokens[id].text, scores[id])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *write_unigram(const fv_tokenizer *t)
{
    const fv_unigram *u = &t->unigram;
    return json_pack("{s:s, s:o, s:o, s:b}", "type", "Unigram", "unk_id", u->unk < 0 ? json_null() : json_integer(u->unk),
                     "vocab", write_scores(t), "byte_fallback", u->byte_fallback);
}

static json_t *write_decoder(const fv_tokenizer *t)
{
    if (t->kind == FV_TOKENIZER_BPE) return write_byte_level(false, false);
    if (t->kind == FV_TOKENIZER_UNIGRAM) return write_metaspace(t);
    return json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", t->wordpiece.prefix, "cleanup", t->wordpiece.cleanup);
}

static json_t *write_model(const fv_tokenizer *t)
{
    if (t->kind == FV_TOKENIZER_WORDPIECE) return write_wordpiece(t);
    if (t->kind == FV_TOKENIZER_UNIGRAM) return write_unigram(t);
    return json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                     "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "ignore_merges", t->bpe.ignore_merges,
                     "vocab", write_vocab(t), "merges", write_merges(t));
}

/* A file of parts as it was read, with its vocabulary and merges again. */
static json_t *write_parts(const fv_tokenizer *t)
{
    json_t *tree = json_deep_copy(t->parts->tree), *model = json_object_get(tree, "model");
    bool fine = tree && json_object_set_new(model, "vocab", t->kind == FV_TOKENIZER_UNIGRAM ? write_scores(t) : write_vocab(t)) == 0;
    if (fine && t->kind == FV_TOKENIZER_BPE) fine = json_object_set_new(model, "merges", write_merges(t)) == 0;
    if (fine) return tree;
    json_decref(tree);
    return NULL;
}

static json_t *write_tree(const fv_tokenizer *t)
{
    if (t->parts) return write_parts(t);
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", write_added(t), "normalizer", write_normalizer(&t->normalizer),
                     "pre_tokenizer", write_pre_tokenizer(t), "post_processor", write_post_processor(t),
                     "decoder", write_decoder(t), "model", write_model(t));
}

fv_status fv_tokenizer_save(const fv_tokenizer *tokenizer, const char *path, fv_err *err)
{
    char file[FV_PATH_MAX];
    if (fv_sentencepiece_is(path)) return fv_sentencepiece_save(tokenizer, path, err);
    if (tokenizer->sp) return FV_FAIL(err, FV_E_ARGUMENT, "%s: a SentencePiece model is written as one; give a path that ends in .model or .spm", path);
    fv_status status = fv_tokenizer_file(file, path, err);
    if (status != FV_OK) return status;
    json_t *tree = write_tree(tokenizer);
    if (!tree) return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory while writing the tokenizer", file);
    status = fv_json_save(tree, file, err);
    json_decref(tree);
    return status;
}
