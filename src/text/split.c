/* Cutting a text into pieces by a pattern, and finding added tokens in it.
 *
 * Merges never cross a piece, so the pattern decides what can become one token. Which tokens the
 * pieces become is left to bpe.c.
 *
 * Traps. Other readers of our files run the pattern in Oniguruma, so it says nothing that the two
 * read differently: no \s (pcre2 counts U+180E as a space), no \p{Han} (pcre2 means script
 * extensions by it), no case folding. And patterns come from files, so matching is bounded in steps,
 * depth and memory: a hostile pattern gives an error. */
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

/* Whitespace (White_Space in the Unicode database), and Han: 々, 〇, the ideographs and their extensions. */
#define SPACE "\\x09-\\x0D\\x{85}\\p{Z}"
#define HAN "\\x{3005}\\x{3007}\\x{3400}-\\x{4DBF}\\x{4E00}-\\x{9FFF}\\x{F900}-\\x{FAFF}\\x{20000}-\\x{323AF}"

const char fv_split_pattern[] =
    "['\\x{2019}](?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])(?![\\p{L}\\p{M}])" /* contractions */
    "|[" HAN "][" HAN "\\p{M}]*"                                              /* Han */
    "| ?[^\\P{L}" HAN "][^\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}" HAN "]*"            /* other letters, with their marks */
    "|\\p{N}{1,3}"
    "| ?[^\\p{L}\\p{N}" SPACE "]+"                                            /* punctuation, symbols, the rest */
    "|[" SPACE "]{1,64}(?= [^" SPACE "])"                                     /* leaves a space to the word after it */
    "|[" SPACE "]{1,64}";

const char fv_split_gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+";

#define PATTERN_MAX 8192
/* Steps for one start of a match: ours needs a handful, GPT-2's spaces one each, others' letters with marks a few each. So
 * longer texts may take more, and a short one cannot take long wherever in it a pattern begins to try all ways. */
#define MATCH_STEPS_LEAST 16000
#define MATCH_STEPS_MAX 4096000
#define MATCH_STEPS_OF_BYTE 8
#define MATCH_DEPTH_MAX 100000
#define MATCH_HEAP_KIB (64 * 1024)

/* ---- The pattern -------------------------------------------------------------------------- */

static void *pcre_alloc(size_t bytes, void *user)
{
    (void)user;
    return fv_alloc(bytes, NULL);
}

static void pcre_free(void *block, void *user)
{
    (void)user;
    fv_free(block);
}

static fv_status out_of_memory(fv_err *err)
{
    return FV_FAIL(err, FV_E_MEMORY, "out of memory for the pre-tokenizer's pattern");
}

/* Each four times the last. */
static uint32_t steps_of(int limit) { return (uint32_t)MATCH_STEPS_LEAST << 2 * limit; }

static fv_status make_limits(fv_splitter *s, fv_err *err)
{
    FV_ASSERT(steps_of(FV_SPLIT_LIMITS - 1) == MATCH_STEPS_MAX);
    for (int i = 0; i < FV_SPLIT_LIMITS; i++) {
        if (!(s->limits[i] = pcre2_match_context_create(s->memory))) return out_of_memory(err);
        pcre2_set_match_limit(s->limits[i], steps_of(i));
        pcre2_set_depth_limit(s->limits[i], MATCH_DEPTH_MAX);
        pcre2_set_heap_limit(s->limits[i], MATCH_HEAP_KIB);
    }
    return FV_OK;
}

static pcre2_match_context *limits_for(const fv_splitter *s, size_t len)
{
    int i = 0;
    while (i + 1 < FV_SPLIT_LIMITS && steps_of(i) / MATCH_STEPS_OF_BYTE < len) i++;
    return s->limits[i];
}

static fv_status compile(fv_splitter *s, const char *where, fv_err *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    fv_buf pattern = {0};
    fv_status status = fv_pattern_rewrite(s->pattern, where, &pattern, err);
    pcre2_compile_context *context = status == FV_OK ? pcre2_compile_context_create(s->memory) : NULL;
    if (!context) {
        fv_buf_release(&pattern);
        return status == FV_OK ? out_of_memory(err) : status;
    }
    pcre2_set_max_pattern_length(context, PATTERN_MAX);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    /* \C would cut characters in two. ^ and $ are of lines, as in Ruby. */
    s->code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    pcre2_compile_context_free(context);
    fv_buf_release(&pattern);
    if (s->code) return FV_OK;
    if (code == PCRE2_ERROR_HEAP_FAILED) return out_of_memory(err);
    PCRE2_UCHAR why[128];
    pcre2_get_error_message(code, why, sizeof why);
    return FV_FAIL(err, FV_E_FORMAT, "%s: the pre_tokenizer's pattern is not understood: %s, at byte %zu", where, (const char *)why, at);
}

fv_status fv_splitter_init(fv_splitter *splitter, const char *pattern, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    fv_splitter s = {0};
    *splitter = s;
    if (!pattern) return FV_OK;
    if (!(s.pattern = fv_strdup(pattern, err))) { status = FV_E_MEMORY; goto done; }
    if (!(s.memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL))) { status = out_of_memory(err); goto done; }
    FV_TRY(compile(&s, where, err));
    FV_TRY(make_limits(&s, err));
    s.jit = pcre2_jit_compile(s.code, PCRE2_JIT_COMPLETE) == 0; /* refused where memory may not be executable: slower, nothing else */
    *splitter = s;
    s = (fv_splitter){0};
done:
    fv_splitter_release(&s);
    return status;
}

void fv_splitter_release(fv_splitter *splitter)
{
    for (int i = 0; i < FV_SPLIT_LIMITS; i++) pcre2_match_context_free(splitter->limits[i]);
    pcre2_code_free(splitter->code);
    pcre2_general_context_free(splitter->memory);
    fv_free(splitter->pattern);
    *splitter = (fv_splitter){0};
}

pcre2_match_data *fv_splitter_scratch(const fv_splitter *splitter, fv_err *err)
{
    pcre2_match_data *match = pcre2_match_data_create(1, splitter->memory);
    if (!match) out_of_memory(err);
    return match;
}

/* ---- Pieces ------------------------------------------------------------------------------- */

void fv_pieces_start(fv_pieces *pieces, const fv_splitter *splitter, pcre2_match_data *scratch, const char *text, size_t len)
{
    *pieces = (fv_pieces){.splitter = splitter, .match = scratch, .text = text, .len = len};
}

/* Where the UTF-8 that is valid from `at` on ends. */
static size_t valid_end(const char *text, size_t at, size_t len)
{
    const char *p = text + at, *end = text + len;
    while (p < end) {
        int n = (unsigned char)*p < 0x80 ? 1 : fv_utf8_len(p, end);
        if (!n) break;
        p += n;
    }
    return (size_t)(p - text);
}

static size_t broken_end(const char *text, size_t at, size_t len)
{
    while (at < len && fv_utf8_len(text + at, text + len) == 0) at++;
    return at;
}

static int give(fv_pieces *p, size_t end, const char **piece, size_t *len)
{
    *piece = p->text + p->at;
    *len = end - p->at;
    p->at = end;
    return 1;
}

static int run_pattern(const fv_splitter *s, pcre2_match_data *match, const char *text, size_t len, size_t from)
{
    int found = PCRE2_ERROR_JIT_STACKLIMIT;
    pcre2_match_context *limits = limits_for(s, len - from);
    if (s->jit) found = pcre2_jit_match(s->code, (PCRE2_SPTR)text, len, from, 0, match, limits);
    /* The interpreter keeps its stack on the heap, so it can do what the compiled code's stack cannot. */
    if (found == PCRE2_ERROR_JIT_STACKLIMIT)
        found = pcre2_match(s->code, (PCRE2_SPTR)text, len, from, PCRE2_NO_JIT | PCRE2_NO_UTF_CHECK, match, limits);
    return found;
}

int fv_splitter_match(const fv_splitter *s, pcre2_match_data *match, const char *text, size_t len, size_t from, size_t *begin, size_t *end, fv_err *err)
{
    int found = run_pattern(s, match, text, len, from);
    if (found == PCRE2_ERROR_NOMATCH) return 0;
    if (found == PCRE2_ERROR_NOMEMORY) return out_of_memory(err);
    if (found < 0) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(found, why, sizeof why);
        return FV_FAIL(err, FV_E_FORMAT, "the tokenizer's pre_tokenizer pattern is too costly for this text: %s", (const char *)why);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(match);
    *begin = bounds[0];
    *end = bounds[1];
    /* \K in a pattern can move the beginning anywhere. */
    if (*begin < from || *end < *begin)
        return FV_FAIL(err, FV_E_FORMAT, "the tokenizer's pre_tokenizer pattern matches backwards");
    return 1;
}

/* The next match at or after p->search: 1 and its bounds, 0 when the run has none, or a status. */
static int next_match(const fv_pieces *p, size_t *begin, size_t *end, fv_err *err)
{
    int found = fv_splitter_match(p->splitter, p->match, p->text + p->run, p->run_end - p->run, p->search - p->run, begin, end, err);
    *begin += p->run;
    *end += p->run;
    return found;
}

/* Ends the piece at the next match: of the match itself if it begins here, else before it. An empty
 * match cuts where it is, unless a match has just ended there (as Oniguruma's callers do). */
static int next_piece(fv_pieces *p, const char **piece, size_t *len, fv_err *err)
{
    while (p->search < p->run_end) {
        size_t begin = 0, end = 0;
        int found = next_match(p, &begin, &end, err);
        if (found < 0) return found;
        if (!found) break;
        if (begin == p->run_end) break; /* an empty match at the very end cuts nothing */
        bool empty = begin == end;
        p->search = empty ? begin + (size_t)fv_utf8_len(p->text + begin, p->text + p->run_end) : end;
        if (begin > p->at) {
            if (!empty) p->match_end = end;
            return give(p, begin, piece, len);
        }
        if (!empty) return give(p, end, piece, len);
    }
    return give(p, p->run_end, piece, len);
}

int fv_pieces_next(fv_pieces *p, const char **piece, size_t *len, fv_err *err)
{
    p->broken = false;
    if (p->match_end > p->at) return give(p, p->match_end, piece, len);
    if (p->at == p->len) return 0;
    if (p->at == p->run_end) {
        p->run = p->search = p->at;
        p->run_end = valid_end(p->text, p->at, p->len);
        if (p->run_end == p->at) {
            p->broken = true;
            p->run_end = broken_end(p->text, p->at, p->len);
            return give(p, p->run_end, piece, len);
        }
    }
    if (!p->splitter->pattern) return give(p, p->run_end, piece, len);
    return next_piece(p, piece, len, err);
}

/* ---- Added tokens ------------------------------------------------------------------------- */

static int by_sought(const void *a, const void *b)
{
    const fv_added *x = *(const fv_added *const *)a, *y = *(const fv_added *const *)b;
    uint32_t n = x->sought_len < y->sought_len ? x->sought_len : y->sought_len;
    int order = memcmp(x->sought, y->sought, n);
    if (order) return order;
    return x->sought_len != y->sought_len ? (x->sought_len < y->sought_len ? -1 : 1) : (x->id > y->id) - (x->id < y->id);
}

fv_status fv_finder_init(fv_finder *finder, const fv_added *added, size_t n, bool normalized, fv_err *err)
{
    *finder = (fv_finder){0};
    if (!(finder->sorted = fv_alloc(n * sizeof *finder->sorted, err))) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) {
        if (added[i].normalized != normalized || added[i].sought_len == 0) continue;
        finder->sorted[finder->n++] = &added[i];
        finder->begins[(unsigned char)added[i].sought[0]] = true;
    }
    qsort(finder->sorted, finder->n, sizeof *finder->sorted, by_sought);
    return FV_OK;
}

void fv_finder_release(fv_finder *finder)
{
    fv_free(finder->sorted);
    *finder = (fv_finder){0};
}

/* First index in [low, high) whose byte at `depth` is at least `byte`. All of them are longer than depth. */
static size_t lower_bound(const fv_finder *f, size_t low, size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)f->sorted[middle]->sought[depth] < byte) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The longest token that begins at p: a walk down the sorted list as if it were a trie. */
static const fv_added *longest_at(const fv_finder *f, const char *p, size_t len)
{
    const fv_added *best = NULL;
    size_t low = 0, high = f->n;
    for (size_t depth = 0; low < high; depth++) {
        if (f->sorted[low]->sought_len == depth) best = f->sorted[low]; /* shorter ones sort first */
        while (low < high && f->sorted[low]->sought_len == depth) low++;
        if (depth == len) break;
        int byte = (unsigned char)p[depth];
        size_t begin = lower_bound(f, low, high, depth, byte);
        high = lower_bound(f, begin, high, depth, byte + 1);
        low = begin;
    }
    return best;
}

static bool stands_alone(const char *text, size_t len, size_t begin, size_t end)
{
    int32_t point;
    if (begin > 0 && (fv_point_before(text, begin, &point), fv_is_word(point))) return false;
    return end == len || (fv_point_at(text + end, len - end, &point), !fv_is_word(point));
}

/* Widens a token over the white space that it takes with it, but not beyond `from`. */
static void take_spaces(const fv_added *added, const char *text, size_t len, size_t from, size_t *begin, size_t *end)
{
    int32_t point;
    size_t n;
    while (added->lstrip && *begin > from && (n = fv_point_before(text, *begin, &point)) <= *begin - from && fv_is_white(point)) *begin -= n;
    while (added->rstrip && *end < len && (n = fv_point_at(text + *end, len - *end, &point)) && fv_is_white(point)) *end += n;
}

const fv_added *fv_finder_next(const fv_finder *finder, const char *text, size_t len, size_t from, size_t *begin, size_t *end)
{
    if (!finder->n) return NULL;
    for (size_t i = from; i < len; i++) {
        if (!finder->begins[(unsigned char)text[i]]) continue;
        const fv_added *found = longest_at(finder, text + i, len - i);
        if (!found) continue;
        *begin = i;
        *end = i + found->sought_len;
        if (!found->single_word || stands_alone(text, len, *begin, *end)) return take_spaces(found, text, len, from, begin, end), found;
        i = *end - 1;
    }
    return NULL;
}
