/* Texts in, translations out: what stands between fovea.h and the search. Texts become ids, too long ones parts; the search works
 * on all parts at once; ids become texts again, parts are joined, and attention is told by words.
 *
 * The trap: bytes. A part's tokens keep the bytes of the whole text, since it is encoded once and cut between tokens; a part's
 * translation begins somewhere in the whole translation, and its words' bytes are shifted by that. */
#include "infer/translate.h"

#include <stdlib.h>
#include <string.h>

#include "infer/align.h"
#include "infer/infer.h"
#include "infer/team.h"
#include "text/pair.h"

/* A text or a piece of one, as the search takes it. */
typedef struct part {
    size_t text;
    const uint32_t *begins, *ends; /* [source.n] bytes of the text; begin = end: of nothing in it */
} part;

struct fv_translating {
    fv_team *team;
    fv_shortlist list;             /* {0} unless it was asked for */
    fv_arena work, results;
    fv_encoding encoding;
    part *parts;                   /* of all texts, in their order */
    fv_search_source *sources;     /* the same, for the search */
    size_t n_parts, parts_capacity, sources_capacity;
};

static fv_status open_shortlist(fv_translating *t, const fv_model *model, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_seq2seq_config *c = &model->net.translator->config;
    char path[FV_PATH_MAX];
    FV_TRY(fv_path_join(path, model->folder, FV_SHORTLIST_FILE, err));
    if (!fv_file_exists(path)) return FV_FAIL(err, FV_E_ARGUMENT, "%s: not there, so words cannot be chosen by it; fovea train translate writes one beside the model", path);
    FV_TRY(fv_shortlist_open(&t->list, path, c->src_vocab, c->tgt_vocab, err));
done:
    return status;
}

fv_translating *fv_translating_new(const fv_model *model, const fv_session_options *options, fv_err *err)
{
    fv_pool *pool = fv_pool_shared(err);
    fv_translating *t = pool ? fv_alloc_zero(1, sizeof *t, err) : NULL;
    if (!t) return NULL;
    bool ready = !options->shortlist || open_shortlist(t, model, err) == FV_OK;
    if (ready) t->team = fv_team_new(model->net.translator, options->shortlist ? &t->list : NULL, pool, err);
    if (t->team) return t;
    fv_translating_free(t);
    return NULL;
}

void fv_translating_free(fv_translating *t)
{
    if (!t) return;
    fv_team_free(t->team);
    fv_shortlist_release(&t->list);
    fv_encoding_release(&t->encoding);
    fv_arena_release(&t->work);
    fv_arena_release(&t->results);
    fv_free(t->parts);
    fv_free(t->sources);
    fv_free(t);
}

void fv_translate_options_init(fv_translate_options *options)
{
    *options = (fv_translate_options){.size = sizeof *options, .beam = 4, .nbest = 1, .length_penalty = 1};
}

/* ---- Where a long text may be cut ---- */

typedef enum cut { CUT_ANYWHERE, CUT_WORD, CUT_SENTENCE } cut;

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool ends_with(const char *text, size_t len, const char *mark)
{
    size_t n = strlen(mark);
    return len >= n && memcmp(text + len - n, mark, n) == 0;
}

/* What the text before byte `at` ends in: letters, white space, or the end of a sentence. Wide marks need no space behind them. */
static cut cut_before(const char *text, size_t at)
{
    static const char *const narrow[] = {".", "!", "?", "…"}, *const wide[] = {"。", "！", "？"};
    size_t end = at;
    while (end > 0 && is_space(text[end - 1])) end--;
    for (size_t i = 0; i < FV_COUNT(wide); i++)
        if (ends_with(text, end, wide[i])) return CUT_SENTENCE;
    for (size_t i = 0; i < FV_COUNT(narrow) && end < at; i++)
        if (ends_with(text, end, narrow[i])) return CUT_SENTENCE;
    return end < at ? CUT_WORD : CUT_ANYWHERE;
}

/* A piece may bring the white space before its word along. */
static cut cut_at_token(const char *text, const fv_encoding *e, size_t i)
{
    size_t at = e->begins[i];
    while (at < e->ends[i] && is_space(text[at])) at++;
    return cut_before(text, at);
}

/* The end of the part that begins at token `from`, of at most `room` tokens: the last best place. */
static size_t find_end(const char *text, const fv_encoding *e, size_t from, size_t n, size_t room)
{
    if (n - from <= room) return n;
    size_t best = from + room;
    cut quality = CUT_ANYWHERE;
    for (size_t i = from + room; i > from && quality < CUT_SENTENCE; i--) {
        cut c = cut_at_token(text, e, i);
        if (c > quality) quality = c, best = i;
    }
    return best;
}

/* ---- Texts to parts ---- */

static size_t length_of(const char *text, size_t len) { return !text ? 0 : len ? len : strlen(text); }

/* ">>fra<<" before a text tells a multilingual model the language: each part needs it. */
static bool is_language(const fv_pair_tokenizer *pair, int32_t id)
{
    const char *token = fv_pair_token(pair, FV_SIDE_SOURCE, id);
    size_t n = token ? strlen(token) : 0;
    return n > 4 && memcmp(token, ">>", 2) == 0 && memcmp(token + n - 2, "<<", 2) == 0;
}

/* The </s> that the encoding ends with, if it does; -1: a vocabulary without it. */
static int32_t end_of(const fv_pair_tokenizer *pair, fv_side side, const fv_encoding *e)
{
    const char *last = e->n > 0 ? fv_pair_token(pair, side, e->ids[e->n - 1]) : NULL;
    return last && e->begins[e->n - 1] == e->ends[e->n - 1] && strcmp(last, "</s>") == 0 ? e->ids[e->n - 1] : -1;
}

/* Tokens [from, to) of the encoding, with a token before and one behind where they are wanted (-1: not). */
static fv_status add_part(fv_translating *t, size_t text, size_t from, size_t to, int32_t before, int32_t behind, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = to - from + (before >= 0) + (behind >= 0), at = 0;
    FV_TRY(fv_grow(&t->parts, &t->parts_capacity, t->n_parts + 1, sizeof *t->parts, err));
    FV_TRY(fv_grow(&t->sources, &t->sources_capacity, t->n_parts + 1, sizeof *t->sources, err));
    int32_t *ids = fv_arena_alloc(&t->work, n * sizeof *ids, err); /* zeroed: what comes from nothing has bytes [0, 0) */
    uint32_t *bytes = ids ? fv_arena_alloc(&t->work, 2 * n * sizeof *bytes, err) : NULL;
    if (!bytes) return FV_E_MEMORY;
    if (before >= 0) ids[at++] = before;
    memcpy(ids + at, t->encoding.ids + from, (to - from) * sizeof *ids);
    memcpy(bytes + at, t->encoding.begins + from, (to - from) * sizeof *bytes);
    memcpy(bytes + n + at, t->encoding.ends + from, (to - from) * sizeof *bytes);
    if (behind >= 0) ids[n - 1] = behind;
    t->parts[t->n_parts] = (part){.text = text, .begins = bytes, .ends = bytes + n};
    t->sources[t->n_parts++] = (fv_search_source){.ids = ids, .n = (int32_t)n, .text = text + 1};
done:
    return status;
}

static fv_status add_prefix(fv_session *s, size_t first, const fv_text *text, fv_err *err)
{
    fv_translating *t = s->translating;
    fv_status status = fv_pair_encode(s->model->pair, FV_SIDE_TARGET, text->text2, length_of(text->text2, text->len2), 0, NULL, &t->encoding, err);
    if (status != FV_OK || t->n_parts == first) return status;
    size_t n = t->encoding.n - (end_of(s->model->pair, FV_SIDE_TARGET, &t->encoding) >= 0);
    int32_t *ids = fv_arena_alloc_small(&t->work, (n + 1) * sizeof *ids, err);
    if (!ids) return FV_E_MEMORY;
    memcpy(ids, t->encoding.ids, n * sizeof *ids);
    t->sources[first].prefix = ids;
    t->sources[first].n_prefix = (int32_t)n;
    return FV_OK;
}

/* No parts: there is nothing in the text. */
static fv_status add_text(fv_session *s, const fv_text *text, size_t i, fv_long what, fv_err *err)
{
    fv_status status = FV_OK;
    fv_translating *t = s->translating;
    const fv_seq2seq_config *c = &s->model->net.translator->config;
    const char *p = text->text ? text->text : "";
    FV_TRY(fv_pair_encode(s->model->pair, FV_SIDE_SOURCE, p, length_of(p, text->len), 0, NULL, &t->encoding, err));
    int32_t end_id = end_of(s->model->pair, FV_SIDE_SOURCE, &t->encoding), behind = c->bare_source ? -1 : end_id; /* is put on again part by part */
    size_t n = t->encoding.n - (end_id >= 0), first = t->n_parts;
    int32_t language = n > 0 && is_language(s->model->pair, t->encoding.ids[0]) ? t->encoding.ids[0] : -1;
    size_t from = language >= 0, room = (size_t)c->max_len - (behind >= 0) - (language >= 0);
    if (n - from > room && what == FV_LONG_REFUSE)
        return FV_FAIL(err, FV_E_INPUT, "text %zu: %zu tokens; the model takes %zu: shorten it, or have it split at sentences (--long split)", i + 1, n, room + from);
    for (size_t end; from < n; from = end) {
        end = find_end(p, &t->encoding, from, n, room);
        FV_TRY(add_part(t, i, from, end, language, behind, err));
    }
    if (text->text2) FV_TRY(add_prefix(s, first, text, err));
done:
    return status;
}

/* ---- Hypotheses to texts ---- */

/* What one translation is made of: a hypothesis of each of its parts. */
typedef struct joining {
    fv_session *session;
    const fv_text *text;
    const part *parts;
    const fv_search_source *sources;
    const fv_hypothesis *found;     /* [n, nbest] */
    size_t n, nbest, which;
    fv_buf joined;
    fv_token_bytes *tokens;         /* [n] of each part's translation, as bytes of the joined one; in the arena */
} joining;

/* A part with fewer hypotheses than others gives its last one. */
static const fv_hypothesis *hypothesis_of(const joining *j, size_t k)
{
    const fv_hypothesis *h = j->found + k * j->nbest;
    size_t which = j->which;
    while (which > 0 && !h[which].ids) which--;
    return h + which;
}

static fv_status join_part(joining *j, size_t k, fv_err *err)
{
    fv_status status = FV_OK;
    fv_translating *t = j->session->translating;
    const fv_hypothesis *h = hypothesis_of(j, k);
    size_t n = (size_t)h->n, len = 0;
    char *text = NULL;
    uint32_t *bytes = fv_arena_alloc_small(&t->work, (2 * n + 1) * sizeof *bytes, err);
    if (!bytes) return FV_E_MEMORY;
    FV_TRY(fv_pair_decode(j->session->model->pair, FV_SIDE_TARGET, h->ids, n, &text, &len, bytes, bytes + n, err));
    if (k > 0) FV_TRY(fv_buf_putc(&j->joined, ' ', err));
    for (size_t i = 0; i < 2 * n; i++) bytes[i] += (uint32_t)j->joined.len;
    j->tokens[k] = (fv_token_bytes){.begins = bytes, .ends = bytes + n, .n = n};
    FV_TRY(fv_buf_add(&j->joined, text, len, err));
done:
    free(text);
    return status;
}

static fv_status align(const joining *j, fv_translation *out, fv_err *err)
{
    fv_status status = FV_OK;
    fv_arena *arena = &j->session->translating->results;
    fv_word_list source, target;
    FV_TRY(fv_words_find(&source, j->text->text, length_of(j->text->text, j->text->len), arena, err));
    FV_TRY(fv_words_find(&target, out->text, out->len, arena, err));
    float *weights = fv_arena_alloc(arena, (source.n * target.n + 1) * sizeof *weights, err);
    uint32_t *best = weights ? fv_arena_alloc(arena, (target.n + 1) * sizeof *best, err) : NULL;
    if (!best) return FV_E_MEMORY;
    for (size_t k = 0; k < j->n; k++) {
        fv_token_bytes tokens = {.begins = j->parts[k].begins, .ends = j->parts[k].ends, .n = (size_t)j->sources[k].n};
        fv_align_add(weights, &source, &target, &tokens, &j->tokens[k], hypothesis_of(j, k)->attention, tokens.n);
    }
    if (source.n > 0) fv_align_finish(weights, best, target.n, source.n);
    out->source_words = source.words, out->n_source_words = source.n;
    out->target_words = target.words, out->n_target_words = target.n;
    out->attention = weights, out->alignment = best;
done:
    return status;
}

/* Scores are means over tokens, and so is that of the whole. */
static void sum_up(const joining *j, fv_translation *out)
{
    double sum = 0, tokens = 0;
    for (size_t k = 0; k < j->n; k++) {
        const fv_hypothesis *h = hypothesis_of(j, k);
        double n = h->n + !h->cut;
        sum += n * h->score;
        tokens += n;
        out->cut |= h->cut;
    }
    out->score = tokens > 0 ? sum / tokens : 0;
}

static fv_status write_translation(joining *j, bool wants_words, fv_translation *out, fv_err *err)
{
    fv_status status = FV_OK;
    fv_translating *t = j->session->translating;
    j->joined.len = 0;
    j->tokens = fv_arena_alloc_small(&t->work, (j->n + 1) * sizeof *j->tokens, err);
    if (!j->tokens) return FV_E_MEMORY;
    for (size_t k = 0; k < j->n; k++) FV_TRY(join_part(j, k, err));
    sum_up(j, out);
    out->len = j->joined.len;
    out->text = fv_arena_strndup(&t->results, j->joined.data ? j->joined.data : "", j->joined.len, err);
    if (!out->text) return FV_E_MEMORY;
    if (wants_words) FV_TRY(align(j, out, err));
done:
    return status;
}

/* As many translations as the part with the most of them has. */
static size_t count_translations(const joining *j)
{
    size_t most = 1;
    for (size_t k = 0; k < j->n; k++)
        while (most < j->nbest && j->found[k * j->nbest + most].ids) most++;
    return most;
}

static fv_status write_all(fv_session *s, const fv_text *texts, size_t n, const fv_translate_options *o, const fv_hypothesis *found, fv_translation *out, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_translating *t = s->translating;
    joining j = {.session = s, .nbest = (size_t)o->nbest};
    for (size_t i = 0, first = 0; i < n; i++, first += j.n) {
        j.text = &texts[i], j.parts = t->parts + first, j.sources = t->sources + first, j.found = found + first * j.nbest;
        for (j.n = 0; first + j.n < t->n_parts && t->parts[first + j.n].text == i;) j.n++;
        size_t most = count_translations(&j);
        for (j.which = 0; j.which < most; j.which++) FV_TRY(write_translation(&j, o->align, &out[i * j.nbest + j.which], err));
    }
done:
    fv_buf_release(&j.joined);
    return status;
}

/* ---- Entry ---- */

static fv_status search(fv_session *s, const fv_translate_options *o, fv_hypothesis *found, fv_err *err)
{
    fv_search_options options = {
        .beam = o->beam, .nbest = o->nbest, .length_penalty = o->length_penalty, .coverage_penalty = o->coverage_penalty,
        .max_len = o->max_len, .min_len = o->min_len, .batch_tokens = s->batch_tokens, .attention = o->align,
    };
    return fv_team_run(s->translating->team, s->translating->sources, s->translating->n_parts, &options, found, err);
}

fv_status fv_translate(fv_session *s, const fv_text *texts, size_t n, const fv_translate_options *options, fv_translation *out, fv_err *err)
{
    fv_status status = FV_OK;
    fv_translating *t = s->translating;
    fv_hypothesis *found = NULL;
    fv_translate_options defaults;
    fv_translate_options_init(&defaults);
    if (!options) options = &defaults;
    if (!t) return fv_session_refuse(s, "does not translate", err);
    if (options->nbest < 1 || options->nbest > options->beam) return FV_FAIL(err, FV_E_ARGUMENT, "nbest %d, beam %d; expected 1 or more, and nbest at most beam", options->nbest, options->beam);
    fv_arena_reset(&t->work);
    fv_arena_reset(&t->results);
    t->n_parts = 0;
    for (size_t i = 0; i < n; i++) FV_TRY(add_text(s, &texts[i], i, options->long_texts, err));
    found = fv_alloc_zero(t->n_parts * (size_t)options->nbest + 1, sizeof *found, err);
    if (!found) return FV_E_MEMORY;
    FV_TRY(search(s, options, found, err));
    memset(out, 0, n * (size_t)options->nbest * sizeof *out);
    FV_TRY(write_all(s, texts, n, options, found, out, err));
done:
    fv_free(found);
    return status;
}
