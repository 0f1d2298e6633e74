/* A translator's tokenizers made by training, read from a folder, and written as the files of one: what Transformers knows as
 * a MarianTokenizer. */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "text/pair_parts.h"

#define VOCAB_MAX_BYTES ((size_t)256 << 20)

enum { SOURCE_SPM, TARGET_SPM, VOCAB, TARGET_VOCAB, CONFIG, N_FILES };
static const char *const names[N_FILES] = {"source.spm", "target.spm", "vocab.json", "target_vocab.json", "tokenizer_config.json"};

/* ---- Putting one together ----------------------------------------------------------------- */

void fv_pair_tokenizer_close(fv_pair_tokenizer *t)
{
    if (!t) return;
    if (t->spm[1] != t->spm[0]) fv_tokenizer_close(t->spm[1]);
    fv_tokenizer_close(t->spm[0]);
    for (int i = 0; i < 2; i++) fv_map_release(&t->vocabs[i].ids);
    fv_arena_release(&t->arena);
    fv_free(t);
}

static fv_status start_vocab(fv_pair_tokenizer *t, fv_pair_vocab *v, size_t n, fv_err *err)
{
    v->tokens = fv_arena_alloc(&t->arena, n * sizeof *v->tokens, err);
    v->n = (int32_t)n;
    return v->tokens ? FV_OK : FV_E_MEMORY;
}

static fv_status name_token(fv_pair_tokenizer *t, fv_pair_vocab *v, int32_t id, const char *text, fv_err *err)
{
    size_t len = strlen(text);
    if (!(v->tokens[id] = fv_arena_strndup(&t->arena, text, len, err))) return FV_E_MEMORY;
    return fv_map_set(&v->ids, text, len, id, err);
}

static void find_specials(fv_pair_vocab *v)
{
    v->eos = fv_map_get(&v->ids, "</s>", 4);
    v->unk = fv_map_get(&v->ids, "<unk>", 5);
    v->pad = fv_map_get(&v->ids, "<pad>", 5);
}

/* What each piece of a side's model is in its vocabulary. The unknown piece is none: its text is looked up. */
static fv_status match_pieces(fv_pair_tokenizer *t, fv_side side, fv_err *err)
{
    const fv_tokenizer *spm = t->spm[side];
    const fv_pair_vocab *v = fv_pair_vocab_of(t, side);
    if (!spm) return FV_OK;
    if (!(t->ids[side] = fv_arena_alloc(&t->arena, (size_t)spm->n * sizeof *t->ids[side], err))) return FV_E_MEMORY;
    for (int32_t id = 0; id < spm->n; id++) {
        uint8_t type = spm->sp->types[id];
        bool of_texts = type != FV_PIECE_UNKNOWN && type != FV_PIECE_CONTROL;
        t->ids[side][id] = of_texts ? fv_map_get(&v->ids, spm->tokens[id].text, strlen(spm->tokens[id].text)) : -1;
    }
    return FV_OK;
}

static fv_status finish(fv_pair_tokenizer *t, fv_err *err)
{
    for (int i = 0; i <= t->separate; i++) find_specials(&t->vocabs[i]);
    fv_status status = match_pieces(t, FV_SIDE_SOURCE, err);
    return status == FV_OK ? match_pieces(t, FV_SIDE_TARGET, err) : status;
}

/* ---- Training ----------------------------------------------------------------------------- */

/* The texts of both sides, one after the other. */
typedef struct chain {
    fv_next_text next[2];
    void *users[2];
    int at;
} chain;

static int next_of_both(void *user, const char **text, size_t *len, fv_err *err)
{
    chain *c = user;
    while (c->at < 2) {
        int more = c->next[c->at](c->users[c->at], text, len, err);
        if (more != 0) return more;
        c->at++;
    }
    return 0;
}

/* Marian's order: </s>, <unk>, the pieces, <pad>. */
static fv_status name_pieces(fv_pair_tokenizer *t, fv_pair_vocab *v, const fv_tokenizer *spm, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t id = 0;
    FV_TRY(start_vocab(t, v, (size_t)spm->n, err)); /* three specials there, three here */
    FV_TRY(name_token(t, v, id++, "</s>", err));
    FV_TRY(name_token(t, v, id++, "<unk>", err));
    for (int32_t i = FV_N_SP_SPECIALS; i < spm->n; i++) FV_TRY(name_token(t, v, id++, spm->tokens[i].text, err));
    status = name_token(t, v, id, "<pad>", err);
done:
    return status;
}

static fv_status train_shared(fv_pair_tokenizer *t, const fv_tokenizer_options *o, chain *texts, fv_err *err)
{
    t->spm[0] = t->spm[1] = fv_sentencepiece_train(o, next_of_both, texts, err);
    return t->spm[0] ? name_pieces(t, &t->vocabs[0], t->spm[0], err) : FV_E_INPUT;
}

static fv_status train_each(fv_pair_tokenizer *t, const fv_tokenizer_options *o, chain *texts, fv_err *err)
{
    fv_status status = FV_OK;
    t->separate = true;
    for (int i = 0; i < 2 && status == FV_OK; i++) {
        if (!(t->spm[i] = fv_sentencepiece_train(o, texts->next[i], texts->users[i], err))) return FV_E_INPUT;
        status = name_pieces(t, &t->vocabs[i], t->spm[i], err);
    }
    return status;
}

fv_pair_tokenizer *fv_pair_tokenizer_train(const fv_pair_options *options, fv_next_text source, void *source_user, fv_next_text target, void *target_user, fv_err *err)
{
    fv_status status = FV_OK;
    chain texts = {.next = {source, target}, .users = {source_user, target_user}};
    fv_tokenizer_options o;
    fv_tokenizer_options_init(&o);
    o.kind = FV_TOKENIZER_UNIGRAM;
    o.vocab = options->vocab;
    o.normalize = options->normalize;
    o.lowercase = options->lowercase;
    fv_pair_tokenizer *t = fv_alloc_zero(1, sizeof *t, err);
    if (!t) return NULL;
    FV_TRY(options->shared ? train_shared(t, &o, &texts, err) : train_each(t, &o, &texts, err));
    FV_TRY(finish(t, err));
done:
    if (status == FV_OK) return t;
    fv_pair_tokenizer_close(t);
    return NULL;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static fv_status read_tokens(fv_pair_tokenizer *t, fv_pair_vocab *v, json_t *tree, const char *path, fv_err *err)
{
    fv_status status = FV_OK;
    fv_shown room;
    const char *text;
    json_t *value;
    size_t n = json_object_size(tree);
    if (n == 0 || n > INT32_MAX) return FV_FAIL(err, FV_E_FORMAT, "%s: expected a JSON object of tokens with their ids", path);
    FV_TRY(start_vocab(t, v, n, err));
    json_object_foreach(tree, text, value) {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || (size_t)id >= n) return FV_FAIL(err, FV_E_FORMAT, "%s: the id of %s is not one of 0 to %zu; expected each id once", path, fv_show(&room, text, strlen(text)), n - 1);
        if (v->tokens[id]) return FV_FAIL(err, FV_E_FORMAT, "%s: id %lld is that of %s and of another token; expected each id once", path, (long long)id, fv_show(&room, text, strlen(text)));
        FV_TRY(name_token(t, v, (int32_t)id, text, err));
    }
done:
    return status;
}

static fv_status read_vocab(fv_pair_tokenizer *t, fv_pair_vocab *v, const char *path, fv_err *err)
{
    json_t *tree = fv_json_load(path, VOCAB_MAX_BYTES, err);
    if (!tree) return FV_E_FORMAT;
    fv_status status = read_tokens(t, v, tree, path, err);
    json_decref(tree);
    return status;
}

/* Both models or neither. */
static fv_status read_models(fv_pair_tokenizer *t, char paths[N_FILES][FV_PATH_MAX], fv_err *err)
{
    bool source = fv_file_exists(paths[SOURCE_SPM]), target = fv_file_exists(paths[TARGET_SPM]);
    if (source != target) return FV_FAIL(err, FV_E_FORMAT, "%s is missing; expected both %s and %s, or neither", paths[source ? TARGET_SPM : SOURCE_SPM], names[SOURCE_SPM], names[TARGET_SPM]);
    for (int i = 0; i < 2 && source; i++)
        if (!(t->spm[i] = fv_sentencepiece_open(paths[i], err))) return FV_E_FORMAT;
    return FV_OK;
}

static fv_status read_folder(fv_pair_tokenizer *t, const char *folder, fv_err *err)
{
    fv_status status = FV_OK;
    char (*paths)[FV_PATH_MAX] = fv_alloc(N_FILES * sizeof *paths, err);
    if (!paths) return FV_E_MEMORY;
    for (int i = 0; i < N_FILES; i++) FV_TRY(fv_path_join(paths[i], folder, names[i], err));
    FV_TRY(read_models(t, paths, err));
    FV_TRY(read_vocab(t, &t->vocabs[0], paths[VOCAB], err));
    t->separate = fv_file_exists(paths[TARGET_VOCAB]);
    if (t->separate) FV_TRY(read_vocab(t, &t->vocabs[1], paths[TARGET_VOCAB], err));
done:
    fv_free(paths);
    return status;
}

fv_pair_tokenizer *fv_pair_tokenizer_open(const char *folder, fv_err *err)
{
    fv_status status = FV_OK;
    fv_pair_tokenizer *t = fv_alloc_zero(1, sizeof *t, err);
    if (!t) return NULL;
    FV_TRY(read_folder(t, folder, err));
    FV_TRY(finish(t, err));
done:
    if (status == FV_OK) return t;
    fv_pair_tokenizer_close(t);
    return NULL;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static bool has_file(const fv_pair_tokenizer *t, int file)
{
    switch (file) {
    case VOCAB: return true;
    case TARGET_VOCAB: return t->separate;
    default: return t->spm[0] != NULL;
    }
}

/* The i-th of the files that there are, or N_FILES. */
static int file_at(const fv_pair_tokenizer *t, int i)
{
    int file = 0;
    for (; file < N_FILES; file++)
        if (has_file(t, file) && i-- == 0) break;
    return file;
}

const char *fv_pair_tokenizer_file(const fv_pair_tokenizer *t, int i)
{
    int file = file_at(t, i);
    return file < N_FILES ? names[file] : NULL;
}

static json_t *vocab_tree(const fv_pair_vocab *v)
{
    json_t *tree = json_object();
    for (int32_t id = 0; id < v->n; id++) {
        if (json_object_set_new(tree, v->tokens[id], json_integer(id)) != 0) {
            json_decref(tree);
            return NULL;
        }
    }
    return tree;
}

static json_t *config_tree(const fv_pair_tokenizer *t)
{
    return json_pack("{s:s, s:b, s:s, s:s, s:s}", "tokenizer_class", "MarianTokenizer", "separate_vocabs", t->separate,
                     "eos_token", "</s>", "unk_token", "<unk>", "pad_token", "<pad>");
}

fv_status fv_pair_tokenizer_save(const fv_pair_tokenizer *t, int i, const char *path, fv_err *err)
{
    int file = file_at(t, i);
    FV_ASSERT(file < N_FILES);
    if (file <= TARGET_SPM) return fv_sentencepiece_save(t->spm[file], path, err);
    json_t *tree = file == CONFIG ? config_tree(t) : vocab_tree(fv_pair_vocab_of(t, file == VOCAB ? FV_SIDE_SOURCE : FV_SIDE_TARGET));
    if (!tree) return FV_FAIL(err, FV_E_MEMORY, "%s: out of memory while writing the vocabulary", path);
    fv_status status = fv_json_save(tree, path, err);
    json_decref(tree);
    return status;
}
