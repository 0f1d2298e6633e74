/* CTranslate2's Transformer, translated to ours.
 *
 * What its specification "TransformerSpec" computes (revision 2 to 7, and "TransformerBase" and "TransformerBig" before
 * it had a name for all): embeddings times sqrt(width) plus positions, layers with the norm before or after each half,
 * queries, keys and values stacked in one product. Where a file says nothing, defaults hold that changed with the
 * revisions: heads 8 or 16 by the specification's name, norm before, ReLU, embeddings scaled.
 *
 * The trap: positions that are not in the file are not Vaswani's. The tool counts them from 1, and its lengths run
 * from 1 to 10000 in width/2 - 1 steps (as tensor2tensor's), so they are written out as a table. And models that come
 * from Marian begin a translation with no token at all: it becomes one more, whose embedding is zero, that no
 * translation can hold. */
#include "models/seq2seq_import.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    REVISION_MIN = 2, REVISION_MAX = 7,
    WITH_CONFIG = 6,     /* the binary version that moved the framing of texts to config.json */
    COMPUTED_ROWS = 512, /* positions written out where the tool computes as many as a text needs */
    NAME_BYTES = 192,
    MAX_CONFIG_BYTES = 16 << 20,
};

static const char *const sides[] = {"encoder", "decoder"};

typedef struct job {
    fv_seq2seq_import *to;
    fv_ctranslate2 *from;
    bool *used;        /* [from->n] */
    json_t *settings;  /* config.json, or NULL */
    int zero_rows;     /* 1: the target has a token more than in the file, to start from */
} job;

static const float never = -1e9f; /* a logit's bias */

/* ---- Variables ---- */

typedef struct name { char text[NAME_BYTES]; } name;

static name __attribute__((format(printf, 1, 2))) named(const char *format, ...)
{
    name n;
    va_list args;
    va_start(args, format);
    vsnprintf(n.text, sizeof n.text, format, args);
    va_end(args);
    return n;
}

static void mark(job *j, const char *variable)
{
    const fv_st_tensor *t = fv_ctranslate2_find(j->from, variable);
    if (t) j->used[t - j->from->variables] = true;
}

/* The variable, counted as understood together with its scale. NULL if it is not there. */
static const fv_st_tensor *use(job *j, const char *variable)
{
    mark(j, variable);
    mark(j, named("%s_scale", variable).text);
    return fv_ctranslate2_find(j->from, variable);
}

static bool has(const job *j, const char *variable) { return fv_ctranslate2_find(j->from, variable) != NULL; }

static fv_status need(job *j, const char *variable, int rank, const fv_st_tensor **out, fv_err *err)
{
    *out = use(j, variable);
    if (!*out) return FV_FAIL(err, FV_E_FORMAT, "%s: no variable %s", j->from->path, variable);
    if ((*out)->rank != rank) return FV_FAIL(err, FV_E_FORMAT, "%s: %s has %d dimensions; expected %d", j->from->path, variable, (*out)->rank, rank);
    return FV_OK;
}

static fv_status need_shape(job *j, const char *variable, int64_t rows, int64_t cols, const fv_st_tensor **out, fv_err *err)
{
    fv_status status = need(j, variable, cols ? 2 : 1, out, err);
    if (status != FV_OK) return status;
    const int64_t *shape = (*out)->shape;
    if (shape[0] == rows && (!cols || shape[1] == cols)) return FV_OK;
    name found = named("%lld", (long long)shape[0]), expected = named("%lld", (long long)rows);
    if (cols) found = named("%lld, %lld", (long long)shape[0], (long long)shape[1]), expected = named("%lld, %lld", (long long)rows, (long long)cols);
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s is [%s]; its embeddings and first layer ask for [%s]", j->from->path, variable, found.text, expected.text);
}

/* A side's attribute; old revisions have one for both. */
static fv_status attribute(job *j, const char *side, const char *what, double *out, fv_err *err)
{
    name own = named("%s/%s", side, what);
    const char *found = has(j, own.text) ? own.text : what;
    mark(j, own.text);
    mark(j, what);
    return fv_ctranslate2_number(j->from, found, out, err);
}

/* ---- What it is ---- */

static fv_status check_kind(const job *j, fv_err *err)
{
    static const char *const known[] = {"TransformerSpec", "TransformerBase", "TransformerBig"};
    const fv_ctranslate2 *m = j->from;
    fv_shown shown;
    bool found = false;
    for (size_t i = 0; i < FV_COUNT(known); i++) found |= strcmp(m->specification, known[i]) == 0;
    if (!found)
        return FV_FAIL(err, FV_E_FORMAT, "%s: a model of kind %s; supported: TransformerSpec, an encoder and a decoder that translate", m->path,
                       fv_show(&shown, m->specification, strlen(m->specification)));
    if (m->revision < REVISION_MIN || m->revision > REVISION_MAX)
        return FV_FAIL(err, FV_E_FORMAT, "%s: revision %u of %s; supported: %d to %d", m->path, m->revision, m->specification, REVISION_MIN, REVISION_MAX);
    return FV_OK;
}

static int count_layers(const job *j, const char *side)
{
    int n = 0;
    while (n <= FV_SEQ2SEQ_MAX_LAYERS && has(j, named("%s/layer_%d/self_attention/linear_0/weight", side, n).text)) n++;
    return n;
}

/* The number of one side, and the same of the other. */
static fv_status shared_attribute(job *j, const char *what, double *out, fv_err *err)
{
    fv_status status = FV_OK;
    double other = *out;
    FV_TRY(attribute(j, "encoder", what, out, err));
    FV_TRY(attribute(j, "decoder", what, &other, err));
    if (!(*out == other)) return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %g in the encoder and %g in the decoder; supported: equal ones", j->from->path, what, *out, other);
done:
    return status;
}

static fv_status read_activation(job *j, fv_act *act, fv_err *err)
{
    static const fv_act codes[] = {FV_ACT_RELU, FV_ACT_GELU_TANH, FV_ACT_SILU, FV_ACT_GELU};
    double code = 0;
    fv_status status = shared_attribute(j, "activation", &code, err);
    if (status != FV_OK) return status;
    if (!(code >= 0 && code < (double)FV_COUNT(codes)))
        return FV_FAIL(err, FV_E_FORMAT, "%s: activation %g; supported: 0 (ReLU), 1 (GELU by tanh), 2 (Swish), 3 (GELU)", j->from->path, code);
    *act = codes[(int)code];
    return FV_OK;
}

/* A factor, or as 8 bits whether it is sqrt(width). */
static fv_status read_scale(job *j, const char *side, bool *scaled, fv_err *err)
{
    name own = named("%s/scale_embeddings", side), older = named("%s/embeddings/multiply_by_sqrt_depth", side);
    const char *found = has(j, own.text) ? own.text : older.text;
    const fv_st_tensor *t = use(j, found);
    double factor = 1, root = sqrt(j->to->config.width);
    fv_status status = fv_ctranslate2_number(j->from, found, &factor, err);
    if (status != FV_OK) return status;
    *scaled = true;
    if (!t) return FV_OK;
    if (t->dtype == FV_I8) *scaled = factor != 0;
    else if (factor == 1) *scaled = false;
    else if (!(fabs(factor - root) < 1e-5 * root)) return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %g; supported: 1, and the root of the width, %g", j->from->path, found, factor, root);
    return FV_OK;
}

static fv_status read_choices(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    fv_seq2seq_config *c = &j->to->config;
    double pre_norm = 1, zero_start = 0, heads = strcmp(j->from->specification, "TransformerBig") == 0 ? 16 : 8;
    bool encoder_scaled, decoder_scaled;
    FV_TRY(shared_attribute(j, "pre_norm", &pre_norm, err));
    FV_TRY(shared_attribute(j, "num_heads", &heads, err));
    FV_TRY(attribute(j, "decoder", "start_from_zero_embedding", &zero_start, err));
    FV_TRY(read_activation(j, &c->act, err));
    FV_TRY(read_scale(j, "encoder", &encoder_scaled, err));
    FV_TRY(read_scale(j, "decoder", &decoder_scaled, err));
    if (encoder_scaled != decoder_scaled) return FV_FAIL(err, FV_E_FORMAT, "%s: embeddings are scaled on one side only; supported: on both or none", j->from->path);
    if (!(heads >= 1 && heads <= 1024)) return FV_FAIL(err, FV_E_FORMAT, "%s: num_heads is %g; expected 1 to 1024", j->from->path, heads);
    c->pre_norm = pre_norm != 0;
    c->heads = (int)heads;
    c->scale_embedding = encoder_scaled;
    c->embedding_norm = has(j, "encoder/layernorm_embedding/gamma");
    j->zero_rows = zero_start != 0;
    c->output_bias = j->zero_rows || has(j, "decoder/projection/bias");
    c->norm_eps = 1e-5;
    c->dropout = 0.1; /* for those who train it further */
done:
    return status;
}

/* ---- Sizes ---- */

/* A list of one table is spelled in two ways. */
static name words_of(const job *j, const char *side)
{
    name only = named("%s/embeddings/weight", side);
    return has(j, only.text) ? only : named("%s/embeddings_0/weight", side);
}

static bool same_bytes(const fv_st_tensor *a, const fv_st_tensor *b)
{
    if (!a || !b) return a == b;
    bool alike = a->dtype == b->dtype && a->rank == b->rank && memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
    return alike && (a->data == b->data || memcmp(a->data, b->data, a->bytes) == 0);
}

/* One matrix under two names: an alias, or what versions without aliases wrote twice. */
static bool same_matrix(const job *j, const char *a, const char *b)
{
    return same_bytes(fv_ctranslate2_find(j->from, a), fv_ctranslate2_find(j->from, b)) &&
           same_bytes(fv_ctranslate2_find(j->from, named("%s_scale", a).text), fv_ctranslate2_find(j->from, named("%s_scale", b).text));
}

static fv_status as_int(const job *j, int64_t size, const char *what, int *out, fv_err *err)
{
    if (size > INT32_MAX) return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %lld; expected less", j->from->path, what, (long long)size);
    *out = (int)size;
    return FV_OK;
}

static fv_status read_sizes(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    fv_seq2seq_config *c = &j->to->config;
    const fv_st_tensor *source, *target, *up;
    name source_words = words_of(j, "encoder"), target_words = words_of(j, "decoder");
    FV_TRY(need(j, source_words.text, 2, &source, err));
    FV_TRY(need(j, target_words.text, 2, &target, err));
    FV_TRY(need(j, "encoder/layer_0/ffn/linear_0/weight", 2, &up, err));
    FV_TRY(as_int(j, source->shape[0], source_words.text, &c->src_vocab, err));
    FV_TRY(as_int(j, target->shape[0], target_words.text, &c->tgt_vocab, err));
    FV_TRY(as_int(j, target->shape[1], "the width", &c->width, err));
    FV_TRY(as_int(j, up->shape[0], "the feed-forward width", &c->ffn, err));
    c->shared = same_matrix(j, source_words.text, target_words.text);
    c->tied = same_matrix(j, target_words.text, "decoder/projection/weight");
    c->encoder_layers = count_layers(j, "encoder");
    c->decoder_layers = count_layers(j, "decoder");
done:
    return status;
}

static const char *positions_of(const char *side) { return strcmp(side, "encoder") == 0 ? "encoder/position_encodings/encodings" : "decoder/position_encodings/encodings"; }

/* As many as the shorter table has; both are cut to that. */
static fv_status read_positions(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    fv_seq2seq_config *c = &j->to->config;
    int64_t rows = INT64_MAX;
    for (size_t i = 0; i < FV_COUNT(sides); i++) {
        const fv_st_tensor *t;
        if (!has(j, positions_of(sides[i]))) {
            rows = rows < COMPUTED_ROWS ? rows : COMPUTED_ROWS;
            continue;
        }
        FV_TRY(need(j, positions_of(sides[i]), 2, &t, err));
        rows = rows < t->shape[0] ? rows : t->shape[0];
    }
    c->positions = FV_POSITIONS_LEARNED;
    status = as_int(j, rows, "the number of positions", &c->max_len, err);
done:
    return status;
}

/* ---- How texts are framed ---- */

/* From config.json, or in older versions from the file's own attributes. */
static fv_status setting_text(job *j, const char *key, const char **out, fv_err *err)
{
    if (j->settings) return fv_json_text(j->settings, key, false, out, "config.json", err);
    mark(j, key);
    return fv_ctranslate2_text(j->from, key, out, err);
}

static fv_status setting_flag(job *j, const char *key, const char *older_key, bool *out, fv_err *err)
{
    double value = *out;
    if (j->settings) return fv_json_bool(j->settings, key, false, out, "config.json", err);
    mark(j, older_key);
    fv_status status = fv_ctranslate2_number(j->from, older_key, &value, err);
    *out = value != 0;
    return status;
}

static fv_status load_settings(job *j, fv_err *err)
{
    char path[FV_PATH_MAX];
    if (j->from->version < WITH_CONFIG) return FV_OK;
    fv_status status = fv_path_join(path, j->from->folder, "config.json", err);
    if (status != FV_OK) return status;
    fv_err inner = {0};
    j->settings = fv_json_load(path, MAX_CONFIG_BYTES, &inner);
    if (j->settings) return FV_OK;
    return FV_FAIL(err, inner.status == FV_E_INPUT ? FV_E_FORMAT : inner.status, "%s", inner.text);
}

/* What the decoder begins with; NULL where every text brings its own. */
static fv_status start_token(job *j, const char *bos, const char *eos, const char **out, fv_err *err)
{
    fv_status status = FV_OK;
    bool from_user = false, from_bos = true;
    *out = NULL;
    if (j->settings) return fv_json_text(j->settings, "decoder_start_token", false, out, "config.json", err);
    FV_TRY(setting_flag(j, "", "user_decoder_start_tokens", &from_user, err));
    FV_TRY(setting_flag(j, "", "with_target_bos", &from_bos, err));
    if (!from_user) *out = from_bos ? bos : eos;
done:
    return status;
}

/* The tokens by which our tokenizers know what they stand for. */
static fv_status check_spelling(const job *j, const char *key, const char *found, const char *supported, fv_err *err)
{
    fv_shown shown;
    if (strcmp(found, supported) == 0) return FV_OK;
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s is %s; supported: \"%s\"", j->from->folder, key, fv_show(&shown, found, strlen(found)), supported);
}

static fv_status find_token(const job *j, const char *token, const char *what, int32_t *id, fv_err *err)
{
    const fv_map *tokens = j->to->target.n ? &j->to->target : &j->to->source;
    fv_shown shown;
    *id = fv_map_get(tokens, token, strlen(token));
    if (*id >= 0) return FV_OK;
    return FV_FAIL(err, FV_E_FORMAT, "%s: no token %s in the target's vocabulary, which %s", j->from->folder, fv_show(&shown, token, strlen(token)), what);
}

static fv_status load_vocabulary(const job *j, fv_map *tokens, const char *file, const char *unk, bool *found, fv_err *err)
{
    fv_status status = fv_ctranslate2_vocabulary(tokens, found, j->from->folder, file, err);
    if (status != FV_OK || !*found || fv_map_get(tokens, unk, strlen(unk)) >= 0) return status;
    return fv_map_set(tokens, unk, strlen(unk), (int32_t)tokens->n, err); /* its row is there, but many files leave it out */
}

static fv_status check_vocabulary(const job *j, const fv_map *tokens, int rows, const char *side, fv_err *err)
{
    if (tokens->n <= (size_t)rows) return FV_OK;
    return FV_FAIL(err, FV_E_FORMAT, "%s: %zu tokens for the %s, whose embeddings have %d rows", j->from->folder, tokens->n, side, rows);
}

static fv_status read_vocabularies(job *j, const char *unk, fv_err *err)
{
    fv_status status = FV_OK;
    fv_seq2seq_import *to = j->to;
    bool found;
    FV_TRY(load_vocabulary(j, &to->source, "shared_vocabulary", unk, &found, err));
    if (!found) {
        FV_TRY(load_vocabulary(j, &to->source, "source_vocabulary", unk, &found, err));
        if (found) FV_TRY(load_vocabulary(j, &to->target, "target_vocabulary", unk, &found, err));
        if (!found)
            return FV_FAIL(err, FV_E_FORMAT, "%s: no vocabularies; expected shared_vocabulary.json, or source_vocabulary.json and target_vocabulary.json (or .txt)", j->from->folder);
    }
    FV_TRY(check_vocabulary(j, &to->source, to->config.src_vocab, "source", err));
    status = check_vocabulary(j, to->target.n ? &to->target : &to->source, to->config.tgt_vocab, "target", err);
done:
    return status;
}

/* The token that the file does not have. It gets a name where the vocabulary has one for every other row. */
static fv_status add_start(job *j, fv_err *err)
{
    fv_seq2seq_config *c = &j->to->config;
    fv_map *tokens = j->to->target.n ? &j->to->target : &j->to->source;
    c->start = c->tgt_vocab++;
    if (c->shared) c->src_vocab = c->tgt_vocab;
    if (tokens->n != (size_t)c->start || fv_map_get(tokens, "<pad>", 5) >= 0) return FV_OK;
    return fv_map_set(tokens, "<pad>", 5, c->start, err);
}

static fv_status read_framing(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    fv_seq2seq_import *to = j->to;
    fv_seq2seq_config *c = &to->config;
    const char *unk = "<unk>", *bos = "<s>", *eos = "</s>", *start;
    bool source_bos = false, source_eos = false;
    FV_TRY(setting_text(j, "unk_token", &unk, err));
    FV_TRY(setting_text(j, "bos_token", &bos, err));
    FV_TRY(setting_text(j, "eos_token", &eos, err));
    FV_TRY(setting_flag(j, "add_source_bos", "with_source_bos", &source_bos, err));
    FV_TRY(setting_flag(j, "add_source_eos", "with_source_eos", &source_eos, err));
    FV_TRY(start_token(j, bos, eos, &start, err));
    FV_TRY(check_spelling(j, "unk_token", unk, "<unk>", err));
    FV_TRY(check_spelling(j, "eos_token", eos, "</s>", err));
    if (source_bos) return FV_FAIL(err, FV_E_FORMAT, "%s: source texts begin with %s, which is not supported", j->from->folder, bos);
    if (!start) return FV_FAIL(err, FV_E_FORMAT, "%s: has no token that translations start from (one for each text is not supported)", j->from->folder);
    if (j->settings) FV_TRY(fv_json_real(j->settings, "layer_norm_epsilon", false, &c->norm_eps, "config.json", err));
    FV_TRY(read_vocabularies(j, unk, err));
    FV_TRY(find_token(j, eos, "ends a translation", &c->eos, err));
    if (source_eos && fv_map_get(&to->source, eos, strlen(eos)) < 0)
        return FV_FAIL(err, FV_E_FORMAT, "%s: source texts end in %s, which is not in their vocabulary", j->from->folder, eos);
    FV_TRY(j->zero_rows ? add_start(j, err) : find_token(j, start, "a translation starts from", &c->start, err));
    c->bare_source = !source_eos;
    c->pad = -1;
done:
    return status;
}

static fv_status check_config(const job *j, fv_err *err)
{
    fv_err why = {0};
    if (fv_seq2seq_config_check(&j->to->config, &why) == FV_OK) return FV_OK;
    return FV_FAIL(err, FV_E_FORMAT, "%s: %s", j->from->path, why.text);
}

/* ---- Weights ---- */

static fv_status add(job *j, const char *as, int64_t rows, int64_t cols, const void *data, fv_err *err)
{
    fv_seq2seq_import *to = j->to;
    fv_status status = fv_grow(&to->tensors, &to->capacity, to->n + 1, sizeof *to->tensors, err);
    if (status != FV_OK) return status;
    int64_t width = cols ? cols : 1;
    fv_st_tensor t = {.name = fv_arena_strndup(&to->arena, as, strlen(as), err), .dtype = FV_F32, .rank = cols ? 2 : 1, .shape = {rows, cols}, .data = data};
    if (!t.name) return FV_E_MEMORY;
    t.bytes = (size_t)(rows * width) * sizeof(float);
    to->tensors[to->n++] = t;
    return FV_OK;
}

static fv_status add_made(job *j, const char *as, int64_t rows, int64_t cols, float **data, fv_err *err)
{
    *data = fv_arena_alloc(&j->to->arena, (size_t)(rows * (cols ? cols : 1)) * sizeof **data, err);
    return *data ? add(j, as, rows, cols, *data, err) : FV_E_MEMORY;
}

/* Rows of a variable under our name; cols 0: numbers of a vector. float32 stays where it is. */
static fv_status add_rows(job *j, const char *as, const fv_st_tensor *t, int64_t first, int64_t rows, int64_t cols, fv_err *err)
{
    float *data;
    if (t->dtype == FV_F32) return add(j, as, rows, cols, (const uint8_t *)t->data + first * (cols ? cols : 1) * (int64_t)sizeof(float), err);
    fv_status status = add_made(j, as, rows, cols, &data, err);
    return status == FV_OK ? fv_ctranslate2_floats(j->from, t, first, rows, data, err) : status;
}

/* A bias that the file leaves out is zero. */
static fv_status add_bias(job *j, const char *as, const fv_st_tensor *bias, int64_t first, int64_t rows, fv_err *err)
{
    float *zeros;
    return bias ? add_rows(j, as, bias, first, rows, 0, err) : add_made(j, as, rows, 0, &zeros, err);
}

/* FROM/weight and FROM/bias, cut into the parts that are stacked in them: TO.PART.weight and so on. */
static fv_status add_linear(job *j, const char *from, const char *to, const char *const *parts, int n, int64_t rows, int64_t cols, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_st_tensor *weight, *bias = NULL;
    FV_TRY(need_shape(j, named("%s/weight", from).text, n * rows, cols, &weight, err));
    if (has(j, named("%s/bias", from).text)) FV_TRY(need_shape(j, named("%s/bias", from).text, n * rows, 0, &bias, err));
    for (int i = 0; i < n; i++) {
        FV_TRY(add_rows(j, named("%s.%s.weight", to, parts[i]).text, weight, i * rows, rows, cols, err));
        FV_TRY(add_bias(j, named("%s.%s.bias", to, parts[i]).text, bias, i * rows, rows, err));
    }
done:
    return status;
}

static fv_status add_norm(job *j, const char *from, const char *to, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_st_tensor *gamma, *beta;
    int64_t C = j->to->config.width;
    FV_TRY(need_shape(j, named("%s/gamma", from).text, C, 0, &gamma, err));
    FV_TRY(need_shape(j, named("%s/beta", from).text, C, 0, &beta, err));
    FV_TRY(add_rows(j, named("%s.weight", to).text, gamma, 0, C, 0, err));
    FV_TRY(add_rows(j, named("%s.bias", to).text, beta, 0, C, 0, err));
done:
    return status;
}

static fv_status add_layer(job *j, const char *side, int i, fv_err *err)
{
    fv_status status = FV_OK;
    int64_t C = j->to->config.width, F = j->to->config.ffn;
    name from = named("%s/layer_%d", side, i), to = named("model.%s.layers.%d", side, i);
    name self = named("%s.self_attn", to.text), cross = named("%s.encoder_attn", to.text);
    static const char *const qkv[] = {"q_proj", "k_proj", "v_proj"}, *const out[] = {"out_proj"};
    FV_TRY(add_linear(j, named("%s/self_attention/linear_0", from.text).text, self.text, qkv, 3, C, C, err));
    FV_TRY(add_linear(j, named("%s/self_attention/linear_1", from.text).text, self.text, out, 1, C, C, err));
    FV_TRY(add_norm(j, named("%s/self_attention/layer_norm", from.text).text, named("%s.self_attn_layer_norm", to.text).text, err));
    if (side == sides[1]) {
        FV_TRY(add_linear(j, named("%s/attention/linear_0", from.text).text, cross.text, qkv, 1, C, C, err));
        FV_TRY(add_linear(j, named("%s/attention/linear_1", from.text).text, cross.text, qkv + 1, 2, C, C, err));
        FV_TRY(add_linear(j, named("%s/attention/linear_2", from.text).text, cross.text, out, 1, C, C, err));
        FV_TRY(add_norm(j, named("%s/attention/layer_norm", from.text).text, named("%s.encoder_attn_layer_norm", to.text).text, err));
    }
    FV_TRY(add_linear(j, named("%s/ffn/linear_0", from.text).text, to.text, (const char *[]){"fc1"}, 1, F, C, err));
    FV_TRY(add_linear(j, named("%s/ffn/linear_1", from.text).text, to.text, (const char *[]){"fc2"}, 1, C, F, err));
    FV_TRY(add_norm(j, named("%s/ffn/layer_norm", from.text).text, named("%s.final_layer_norm", to.text).text, err));
done:
    return status;
}

/* In float32 as the tool does it, so that the table is the one that the model was trained with. */
static void compute_positions(float *table, int64_t rows, int64_t cols)
{
    int64_t half = cols / 2;
    float step = logf(10000.0f) / (float)(half - 1);
    for (int64_t i = 0; i < half; i++) {
        float rate = expf(-step * (float)i);
        for (int64_t p = 0; p < rows; p++) {
            float angle = (float)(p + 1) * rate;
            table[p * cols + i] = (float)sin((double)angle);
            table[p * cols + half + i] = (float)cos((double)angle);
        }
    }
}

static fv_status add_positions(job *j, const char *side, fv_err *err)
{
    const fv_seq2seq_config *c = &j->to->config;
    name as = named("model.%s.embed_positions.weight", side);
    const fv_st_tensor *t = use(j, positions_of(side));
    float *table;
    if (t && t->shape[1] != c->width)
        return FV_FAIL(err, FV_E_FORMAT, "%s: %s has %lld columns; expected the width, %d", j->from->path, positions_of(side), (long long)t->shape[1], c->width);
    if (t) return add_rows(j, as.text, t, 0, c->max_len, c->width, err);
    if (c->width % 2) return FV_FAIL(err, FV_E_FORMAT, "%s: computed positions of an odd width, %d, are not supported", j->from->path, c->width);
    fv_status status = add_made(j, as.text, c->max_len, c->width, &table, err);
    if (status == FV_OK) compute_positions(table, c->max_len, c->width);
    return status;
}

static fv_status add_side(job *j, const char *side, int layers, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(add_positions(j, side, err));
    if (j->to->config.embedding_norm) FV_TRY(add_norm(j, named("%s/layernorm_embedding", side).text, named("model.%s.layernorm_embedding", side).text, err));
    for (int i = 0; i < layers; i++) FV_TRY(add_layer(j, side, i, err));
    if (j->to->config.pre_norm) FV_TRY(add_norm(j, named("%s/layer_norm", side).text, named("model.%s.layer_norm", side).text, err));
done:
    return status;
}

/* `more` rows of zeros follow those of the file. */
static fv_status add_table(job *j, const char *from, const char *as, int64_t rows, int more, fv_err *err)
{
    const fv_st_tensor *t;
    float *data;
    int64_t C = j->to->config.width;
    fv_status status = need_shape(j, from, rows, C, &t, err);
    if (status != FV_OK || !more) return status == FV_OK ? add_rows(j, as, t, 0, rows, C, err) : status;
    status = add_made(j, as, rows + more, C, &data, err);
    return status == FV_OK ? fv_ctranslate2_floats(j->from, t, 0, rows, data, err) : status;
}

/* A matrix of one row, as Marian has it. */
static fv_status add_output_bias(job *j, int64_t rows, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_st_tensor *bias;
    float *data;
    FV_TRY(add_made(j, "final_logits_bias", 1, rows + j->zero_rows, &data, err));
    if (j->zero_rows) data[rows] = never;
    if (!has(j, "decoder/projection/bias")) return FV_OK;
    FV_TRY(need_shape(j, "decoder/projection/bias", rows, 0, &bias, err));
    FV_TRY(fv_ctranslate2_floats(j->from, bias, 0, rows, data, err));
done:
    return status;
}

static fv_status add_words(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_seq2seq_config *c = &j->to->config;
    name source = words_of(j, "encoder"), target = words_of(j, "decoder");
    int64_t rows = c->tgt_vocab - j->zero_rows;
    FV_TRY(add_table(j, target.text, c->shared ? "model.shared.weight" : "model.decoder.embed_tokens.weight", rows, j->zero_rows, err));
    if (!c->shared) FV_TRY(add_table(j, source.text, "model.encoder.embed_tokens.weight", c->src_vocab, 0, err));
    if (c->tied) use(j, "decoder/projection/weight");
    else FV_TRY(add_table(j, "decoder/projection/weight", "lm_head.weight", rows, j->zero_rows, err));
    if (c->output_bias) FV_TRY(add_output_bias(j, rows, err));
done:
    return status;
}

/* ---- All of it ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What has no bearing on a translation: where alignments are read, and switches that are off. */
static bool may_be_left(const job *j, const fv_st_tensor *t)
{
    static const char *const ends[] = {"alignment_layer", "alignment_heads", "alibi_use_positive_positions"};
    double value = 1;
    for (size_t i = 0; i < FV_COUNT(ends); i++)
        if (ends_with(t->name, ends[i])) return true;
    return t->rank == 0 && fv_ctranslate2_number(j->from, t->name, &value, NULL) == FV_OK && value == 0;
}

static fv_status check_all_used(const job *j, fv_err *err)
{
    for (size_t i = 0; i < j->from->n; i++) {
        const fv_st_tensor *t = &j->from->variables[i];
        fv_shown shown;
        if (!j->used[i] && !may_be_left(j, t))
            return FV_FAIL(err, FV_E_FORMAT, "%s: the model has %s, which is not supported", j->from->path, fv_show(&shown, t->name, strlen(t->name)));
    }
    return FV_OK;
}

static fv_status run(job *j, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(check_kind(j, err));
    FV_TRY(load_settings(j, err));
    FV_TRY(read_sizes(j, err));
    FV_TRY(read_choices(j, err));
    FV_TRY(read_positions(j, err));
    FV_TRY(read_framing(j, err));
    FV_TRY(check_config(j, err));
    FV_TRY(add_words(j, err));
    FV_TRY(add_side(j, sides[0], j->to->config.encoder_layers, err));
    FV_TRY(add_side(j, sides[1], j->to->config.decoder_layers, err));
    FV_TRY(check_all_used(j, err));
done:
    return status;
}

fv_status fv_seq2seq_import_ctranslate2(fv_seq2seq_import *import, fv_ctranslate2 *from, fv_err *err)
{
    job j = {.to = import, .from = from};
    j.used = fv_alloc_zero(from->n, sizeof *j.used, err);
    if (!j.used) return FV_E_MEMORY;
    fv_status status = run(&j, err);
    json_decref(j.settings);
    fv_free(j.used);
    return status;
}

void fv_seq2seq_import_release(fv_seq2seq_import *import)
{
    fv_free(import->tensors);
    fv_map_release(&import->source);
    fv_map_release(&import->target);
    fv_arena_release(&import->arena);
    *import = (fv_seq2seq_import){0};
}
