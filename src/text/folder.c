/* Hub folders without a tokenizer.json: vocab.json with merges.txt (GPT-2, RoBERTa), or a SentencePiece model (XLM-R).
 *
 * What such files leave unsaid is in the code of the library that reads them: which special tokens there are, how a text is
 * framed, which id a piece has. tokenizer_config.json names the class of that code. Here the files are put together to the
 * tokenizer.json that the library would write, and tokenizer_json.c reads that, so that each rule is in one place.
 *
 * The trap: a class that is not known here may number or frame otherwise, and nothing would show it: it is refused by name. */
#include <string.h>

#include "text/parts.h"

#define VOCAB_NAME "vocab.json"
#define MERGES_NAME "merges.txt"
#define CONFIG_NAME "tokenizer_config.json"
#define VOCAB_MAX ((size_t)64 << 20)
#define CONFIG_MAX ((size_t)16 << 20)
#define FAIRSEQ_FIRST 3 /* pieces of a model, and one more id before its pieces: fairseq has <pad> at 1 */

typedef enum style { STYLE_GPT2, STYLE_ROBERTA, STYLE_XLMR } style;

/* A folder in work. */
typedef struct folder {
    const char *path;
    char where[FV_PATH_MAX + 64]; /* of the files that are read, in messages */
    json_t *config, *model;       /* tokenizer_config.json and config.json; NULL where there is none */
    json_t *tree, *added;         /* what is made; `added` is in `tree` */
    style style;
    fv_err *err;
} folder;

/* ---- What there is ------------------------------------------------------------------------ */

static bool has(const char *path, const char *name)
{
    char file[FV_PATH_MAX];
    return fv_path_join(file, path, name, NULL) == FV_OK && fv_file_exists(file);
}

static const char *sentencepiece_in(const char *path)
{
    static const char *const names[] = {"sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model"};
    for (size_t i = 0; i < FV_COUNT(names); i++)
        if (has(path, names[i])) return names[i];
    return NULL;
}

static bool has_merges(const char *path)
{
    return has(path, VOCAB_NAME) && has(path, MERGES_NAME);
}

bool fv_folder_is(const char *path)
{
    return fv_folder_exists(path) && !has(path, FV_TOKENIZER_FILE) && (has_merges(path) || sentencepiece_in(path));
}

static fv_status out_of_memory(const folder *f)
{
    return FV_FAIL(f->err, FV_E_MEMORY, "%s: out of memory while putting the tokenizer together", f->where);
}

/* A file that may be missing. */
static fv_status load(const folder *f, const char *name, json_t **out)
{
    char file[FV_PATH_MAX];
    fv_status status = fv_path_join(file, f->path, name, f->err);
    if (status != FV_OK || !fv_file_exists(file)) return status;
    *out = fv_json_load(file, CONFIG_MAX, f->err);
    return *out ? FV_OK : FV_E_FORMAT;
}

/* tokenizer_config.json, and what old folders keep beside it. */
static fv_status load_config(folder *f)
{
    fv_status status = FV_OK;
    json_t *roles = NULL;
    FV_TRY(load(f, CONFIG_NAME, &f->config));
    FV_TRY(load(f, "special_tokens_map.json", &roles));
    if (roles && !f->config) f->config = json_incref(roles);
    else if (roles && !(json_is_object(roles) && json_is_object(f->config))) status = FV_FAIL(f->err, FV_E_FORMAT, "%s: " CONFIG_NAME " and special_tokens_map.json are no objects", f->where);
    else if (roles && json_object_update_missing(f->config, roles) != 0) status = out_of_memory(f);
done:
    json_decref(roles);
    return status;
}

/* ---- Whose tokenizer it is ---------------------------------------------------------------- */

static const struct { const char *name; style style; } classes[] = {
    {"RobertaTokenizer", STYLE_ROBERTA}, {"RobertaTokenizerFast", STYLE_ROBERTA}, {"LongformerTokenizer", STYLE_ROBERTA}, {"LongformerTokenizerFast", STYLE_ROBERTA},
    {"BartTokenizer", STYLE_ROBERTA}, {"BartTokenizerFast", STYLE_ROBERTA}, {"GPT2Tokenizer", STYLE_GPT2}, {"GPT2TokenizerFast", STYLE_GPT2},
    {"XLMRobertaTokenizer", STYLE_XLMR}, {"XLMRobertaTokenizerFast", STYLE_XLMR},
    {"roberta", STYLE_ROBERTA}, {"roberta-prelayernorm", STYLE_ROBERTA}, {"longformer", STYLE_ROBERTA}, {"bart", STYLE_ROBERTA}, {"gpt2", STYLE_GPT2},
    {"xlm-roberta", STYLE_XLMR}, {"xlm-roberta-xl", STYLE_XLMR},
};

static fv_status find_style(folder *f, const char *key, const char *name)
{
    fv_shown room;
    for (size_t i = 0; i < FV_COUNT(classes); i++)
        if (strcmp(classes[i].name, name) == 0) { f->style = classes[i].style; return FV_OK; }
    return FV_FAIL(f->err, FV_E_FORMAT, "%s: %s is %s, whose way with these files is not known here; expected a RoBERTa, GPT-2 or XLM-R one, or a folder with a tokenizer.json", f->where, key, fv_show(&room, name, strlen(name)));
}

/* The tokenizer's own class says it; else the model's; else what the files look like. */
static fv_status choose_style(folder *f, const json_t *vocab)
{
    const char *class = json_string_value(json_object_get(f->config, "tokenizer_class")), *model = json_string_value(json_object_get(f->model, "model_type"));
    fv_status status = FV_OK;
    f->style = !vocab ? STYLE_XLMR : json_object_get(vocab, "<s>") && json_object_get(vocab, "</s>") ? STYLE_ROBERTA : STYLE_GPT2;
    bool of_files = vocab != NULL;
    if (class && strncmp(class, "PreTrainedTokenizer", 19) != 0) status = find_style(f, CONFIG_NAME ": tokenizer_class", class);
    else if (model) status = find_style(f, "config.json: model_type", model);
    else if (!vocab && !has(f->path, "sentencepiece.bpe.model")) return FV_FAIL(f->err, FV_E_FORMAT, "%s: no tokenizer_config.json and no config.json say whose model it is; name the .model file for its bare pieces", f->where);
    if (status == FV_OK && of_files == (f->style == STYLE_XLMR))
        return FV_FAIL(f->err, FV_E_FORMAT, "%s: the class is that of a model with %s", f->where, of_files ? "a SentencePiece file" : VOCAB_NAME " and " MERGES_NAME);
    return status;
}

/* ---- Special tokens ----------------------------------------------------------------------- */

/* A token of tokenizer_config.json, which is its text or an object with it; NULL where it has none. */
static const char *named(const folder *f, const char *role, const char *preset)
{
    const json_t *value = json_object_get(f->config, role);
    if (json_is_object(value)) value = json_object_get(value, "content");
    return !json_object_get(f->config, role) ? preset : json_string_value(value);
}

static bool is_listed(const folder *f, const char *text)
{
    for (size_t i = 0; i < json_array_size(f->added); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(f->added, i), "content")), text) == 0) return true;
    return false;
}

static fv_status list_one(const folder *f, json_int_t id, const char *text, const json_t *flags, bool special)
{
    json_t *item = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", id, "content", text, "single_word", json_is_true(json_object_get(flags, "single_word")),
                             "lstrip", json_is_true(json_object_get(flags, "lstrip")), "rstrip", json_is_true(json_object_get(flags, "rstrip")),
                             "normalized", json_is_true(json_object_get(flags, "normalized")), "special", special);
    return item && json_array_append_new(f->added, item) == 0 ? FV_OK : out_of_memory(f);
}

/* {"50264": {"content": "<mask>", "lstrip": true, …}, …} */
static fv_status list_decoder(const folder *f)
{
    const char *key;
    json_t *item;
    fv_status status = FV_OK;
    json_object_foreach(json_object_get(f->config, "added_tokens_decoder"), key, item) {
        const char *text = json_string_value(json_object_get(item, "content"));
        char *end;
        long long id = strtoll(key, &end, 10);
        if (!text || *end || end == key) return FV_FAIL(f->err, FV_E_FORMAT, "%s: " CONFIG_NAME ": added_tokens_decoder is not made of ids and tokens", f->where);
        if (!is_listed(f, text)) FV_TRY(list_one(f, id, text, item, json_is_true(json_object_get(item, "special"))));
    }
done:
    return status;
}

/* added_tokens.json: {"<mask>": 50264, …} */
static fv_status list_file(const folder *f)
{
    json_t *file = NULL, *id;
    const char *text;
    fv_status status = load(f, "added_tokens.json", &file);
    if (status != FV_OK || !file) return status;
    json_object_foreach(file, text, id)
        if (!is_listed(f, text)) FV_TRY(list_one(f, json_integer_value(id), text, NULL, false));
done:
    json_decref(file);
    return status;
}

/* The tokens of all roles that the vocabulary has, with the flags that the folder gives them. */
static fv_status list_roles(const folder *f, const json_t *vocab)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
    static const char *const roberta[] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"};
    fv_status status = FV_OK;
    for (size_t i = 0; i < FV_COUNT(roles); i++) {
        const char *text = named(f, roles[i], f->style == STYLE_GPT2 ? (i < 3 ? "<|endoftext|>" : NULL) : roberta[i]);
        const json_t *id = text ? json_object_get(vocab, text) : NULL, *flags = json_object_get(f->config, roles[i]);
        if (json_is_integer(id) && !is_listed(f, text)) FV_TRY(list_one(f, json_integer_value(id), text, flags, true));
    }
done:
    return status;
}

static fv_status list_added(const folder *f, const json_t *vocab)
{
    fv_status status = FV_OK;
    FV_TRY(list_decoder(f));
    FV_TRY(list_file(f));
    FV_TRY(list_roles(f, vocab));
done:
    return status;
}

/* <s> a </s>, in the words of a post-processor. */
static fv_status frame(const folder *f, const json_t *vocab)
{
    const char *cls = named(f, "cls_token", "<s>"), *sep = named(f, "sep_token", "</s>");
    if (f->style == STYLE_GPT2) return FV_OK;
    if (!cls || !sep) return FV_FAIL(f->err, FV_E_FORMAT, "%s: " CONFIG_NAME ": %s is no text; expected a token", f->where, cls ? "sep_token" : "cls_token");
    json_t *value = json_pack("{s:s, s:[s,O?], s:[s,O?]}", "type", "RobertaProcessing", "sep", sep, json_object_get(vocab, sep), "cls", cls, json_object_get(vocab, cls));
    return value && json_object_set_new(f->tree, "post_processor", value) == 0 ? FV_OK : out_of_memory(f);
}

/* ---- vocab.json and merges.txt ------------------------------------------------------------ */

static bool is_utf8(const char *p, size_t len)
{
    for (const char *end = p + len; p < end;) {
        int n = fv_utf8_len(p, end);
        if (!n) return false;
        p += n;
    }
    return true;
}

/* The lines of merges.txt but the one with its version. */
static fv_status read_merges(const folder *f, json_t *list)
{
    char file[FV_PATH_MAX];
    fv_buf text = {0};
    fv_status status = FV_OK;
    FV_TRY(fv_path_join(file, f->path, MERGES_NAME, f->err));
    FV_TRY(fv_file_read(file, VOCAB_MAX, &text, f->err));
    for (size_t at = 0, len; at < text.len; at += len + 1) {
        const char *line = text.data + at, *stop = memchr(line, '\n', text.len - at);
        len = stop ? (size_t)(stop - line) : text.len - at;
        size_t kept = len && line[len - 1] == '\r' ? len - 1 : len;
        if (kept == 0 || (at == 0 && kept > 8 && memcmp(line, "#version", 8) == 0)) continue;
        if (!is_utf8(line, kept)) { status = FV_FAIL(f->err, FV_E_FORMAT, "%s: the line at byte %zu is no UTF-8", file, at); goto done; }
        if (json_array_append_new(list, json_stringn(line, kept)) != 0) { status = out_of_memory(f); goto done; }
    }
done:
    fv_buf_release(&text);
    return status;
}

static fv_status join_bpe(folder *f)
{
    fv_status status = FV_OK;
    char file[FV_PATH_MAX];
    bool prefix = json_is_true(json_object_get(f->config, "add_prefix_space"));
    json_t *vocab = NULL, *merges = json_array();
    if (!merges) return out_of_memory(f);
    FV_TRY(fv_path_join(file, f->path, VOCAB_NAME, f->err));
    if (!(vocab = fv_json_load(file, VOCAB_MAX, f->err))) { status = FV_E_FORMAT; goto done; }
    FV_TRY(choose_style(f, vocab));
    FV_TRY(read_merges(f, merges));
    f->added = json_array();
    f->tree = json_pack("{s:o, s:{s:s, s:b}, s:{s:s}, s:{s:s, s:O, s:O}}", "added_tokens", f->added, "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", prefix,
                        "decoder", "type", "ByteLevel", "model", "type", "BPE", "vocab", vocab, "merges", merges);
    if (!f->tree) { status = out_of_memory(f); goto done; }
    FV_TRY(list_added(f, vocab));
    FV_TRY(frame(f, vocab));
done:
    json_decref(vocab);
    json_decref(merges);
    return status;
}

/* ---- A SentencePiece model as fairseq numbers it ------------------------------------------ */

static fv_status check_pieces(const folder *f, const fv_tokenizer *sp)
{
    static const char *const first[FAIRSEQ_FIRST] = {"<unk>", "<s>", "</s>"};
    if (sp->sp->bpe) return FV_FAIL(f->err, FV_E_FORMAT, "%s: trainer_spec.model_type is BPE; expected UNIGRAM in an XLM-R folder", f->where);
    for (int32_t id = 0; id < FAIRSEQ_FIRST; id++)
        if (id >= sp->n || strcmp(sp->tokens[id].text, first[id]) != 0)
            return FV_FAIL(f->err, FV_E_FORMAT, "%s: piece %d is not \"%s\"; expected <unk>, <s>, </s> in an XLM-R folder", f->where, (int)id, first[id]);
    return FV_OK;
}

static bool add_piece(json_t *list, json_t *ids, const char *text, double score)
{
    json_int_t id = (json_int_t)json_array_size(list);
    return json_array_append_new(list, json_pack("[s,f]", text, score)) == 0 && json_object_set_new(ids, text, json_integer(id)) == 0;
}

/* <s> <pad> </s> <unk>, the model's pieces, <mask>. */
static fv_status list_pieces(const folder *f, const fv_tokenizer *sp, json_t *list, json_t *ids)
{
    static const char *const before[] = {"<s>", "<pad>", "</s>", "<unk>"};
    bool fine = true;
    for (size_t i = 0; i < FV_COUNT(before); i++) fine = fine && add_piece(list, ids, before[i], 0);
    for (int32_t id = FAIRSEQ_FIRST; id < sp->n; id++) fine = fine && add_piece(list, ids, sp->tokens[id].text, sp->unigram.scores[id]);
    if (!json_object_get(ids, "<mask>")) fine = fine && add_piece(list, ids, "<mask>", 0);
    return fine ? FV_OK : out_of_memory(f);
}

static fv_status put_base64(fv_buf *out, const unsigned char *p, size_t n, fv_err *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    fv_status status = fv_buf_reserve(out, n / 3 * 4 + 5, err);
    for (size_t i = 0; i < n && status == FV_OK; i += 3) {
        uint32_t bits = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], i + 1 < n ? digits[bits >> 6 & 63] : '=', i + 2 < n ? digits[bits & 63] : '='};
        status = fv_buf_add(out, four, 4, err);
    }
    return status;
}

static fv_status set_normalizer(const folder *f, const fv_charsmap *map)
{
    fv_buf text = {0};
    if (!map->blob.len) return FV_OK;
    fv_status status = put_base64(&text, (const unsigned char *)map->blob.data, map->blob.len, f->err);
    json_t *value = status == FV_OK ? json_pack("{s:s, s:s#}", "type", "Precompiled", "precompiled_charsmap", text.data, (int)text.len) : NULL;
    if (status == FV_OK && (!value || json_object_set_new(f->tree, "normalizer", value) != 0)) status = out_of_memory(f);
    fv_buf_release(&text);
    return status;
}

static fv_status join_pieces(folder *f, const fv_tokenizer *sp)
{
    fv_status status = FV_OK;
    json_t *list = json_array(), *ids = json_object();
    FV_TRY(choose_style(f, NULL));
    FV_TRY(check_pieces(f, sp));
    FV_TRY(list_pieces(f, sp, list, ids));
    f->added = json_array();
    f->tree = json_pack("{s:o, s:{s:s, s:[{s:s},{s:s}]}, s:{s:s}, s:{s:s, s:i, s:O}}", "added_tokens", f->added, "pre_tokenizer", "type", "Sequence", "pretokenizers",
                        "type", "WhitespaceSplit", "type", "Metaspace", "decoder", "type", "Metaspace", "model", "type", "Unigram", "unk_id", 3, "vocab", list);
    if (!f->tree) { status = out_of_memory(f); goto done; }
    FV_TRY(set_normalizer(f, &sp->sp->map));
    FV_TRY(list_added(f, ids));
    FV_TRY(frame(f, ids));
done:
    json_decref(list);
    json_decref(ids);
    return status;
}

static fv_status join_sentencepiece(folder *f, const char *name)
{
    char file[FV_PATH_MAX];
    fv_status status = fv_path_join(file, f->path, name, f->err);
    fv_tokenizer *sp = status == FV_OK ? fv_sentencepiece_open(file, f->err) : NULL;
    if (!sp) return FV_E_FORMAT;
    status = join_pieces(f, sp);
    fv_tokenizer_close(sp);
    return status;
}

/* ---- The whole ---------------------------------------------------------------------------- */

fv_tokenizer *fv_folder_open(const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_tokenizer *t = NULL;
    folder f = {.path = path, .err = err};
    bool merges = has_merges(path);
    snprintf(f.where, sizeof f.where, "%.*s (%s)", FV_PATH_MAX, path, merges ? VOCAB_NAME ", " MERGES_NAME : sentencepiece_in(path));
    FV_TRY(load_config(&f));
    FV_TRY(load(&f, "config.json", &f.model));
    FV_TRY(merges ? join_bpe(&f) : join_sentencepiece(&f, sentencepiece_in(path)));
    t = fv_json_tokenizer(f.tree, false, f.where, err);
done:
    json_decref(f.tree);
    json_decref(f.config);
    json_decref(f.model);
    return status == FV_OK ? t : NULL;
}
