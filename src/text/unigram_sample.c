/* Cuts of a piece by chance (subword regularisation, Kudo 2018): each in proportion to its probability to the power of alpha.
 *
 * Filtering goes backward and sampling forward, the mirror image of the paper's, since the trie finds the tokens that begin at
 * a place and not those that end there: nothing of the lattice need be kept but one number for each place. */
#include <math.h>
#include <string.h>

#include "text/tokenizer.h"

/* A walk over the tokens that begin at a place, the unknown token last if none of them is one character. */
typedef struct walk {
    const fv_unigram *u;
    const char *piece;
    size_t len, at, next;
    size_t char_len;
    uint32_t state;
    bool single, ended;
} walk;

typedef struct step {
    size_t end;
    int32_t id;
    double score;
} step;

static size_t char_len(const char *p, const char *end)
{
    int n = fv_utf8_len(p, end);
    return n ? (size_t)n : 1;
}

static walk start_walk(const fv_unigram *u, const char *piece, size_t len, size_t at)
{
    return (walk){.u = u, .piece = piece, .len = len, .at = at, .next = at, .char_len = char_len(piece + at, piece + len)};
}

static bool next_step(walk *w, step *out)
{
    while (!w->ended && w->next < w->len) {
        int32_t id;
        if (!(w->state = fv_trie_step(&w->u->trie, w->state, w->piece[w->next], &id))) break;
        w->next++;
        if (id < 0) continue;
        w->single |= w->next == w->at + w->char_len;
        *out = (step){w->next, id, w->u->scores[id]};
        return true;
    }
    if (w->ended || w->single) return false;
    w->ended = true;
    *out = (step){w->at + w->char_len, w->u->unk, w->u->unk_score};
    return true;
}

static double log_add(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

/* beta[i]: the log of the summed weights of all ways from i to the end. No way leads inside a character, so what is there matters not. */
static void filter(const fv_unigram *u, const char *piece, size_t len, double alpha, double *beta)
{
    for (size_t i = 0; i < len; i++) beta[i] = -INFINITY;
    beta[len] = 0;
    for (size_t at = len; at-- > 0;) {
        step s;
        for (walk w = start_walk(u, piece, len, at); next_step(&w, &s);) beta[at] = log_add(beta[at], alpha * s.score + beta[s.end]);
    }
}

/* One of the steps from `at`, each as likely as the ways that go on from it. */
static step draw(const fv_unigram *u, const char *piece, size_t len, size_t at, double alpha, const double *beta, double chance)
{
    step s, last = {0};
    for (walk w = start_walk(u, piece, len, at); next_step(&w, &s);) {
        if (isinf(beta[s.end])) continue;
        last = s;
        chance -= exp(alpha * s.score + beta[s.end] - beta[at]);
        if (chance < 0) break;
    }
    return last; /* the very last one when rounding left some chance over */
}

fv_status fv_unigram_sample(const fv_unigram *u, const char *piece, size_t len, double alpha, fv_rng *rng, int32_t *ids, uint32_t *lens, size_t *n, fv_err *err)
{
    double few[FV_BPE_SHORT + 1], *beta = few;
    if (len > FV_BPE_SHORT && !(beta = fv_alloc((len + 1) * sizeof *beta, err))) return FV_E_MEMORY;
    filter(u, piece, len, alpha, beta);
    *n = 0;
    for (size_t at = 0; at < len;) {
        step s = draw(u, piece, len, at, alpha, beta, fv_rng_uniform(rng));
        FV_ASSERT(s.end > at);
        ids[*n] = s.id;
        lens[(*n)++] = (uint32_t)(s.end - at);
        at = s.end;
    }
    if (beta != few) fv_free(beta);
    return fv_unigram_finish(u, piece, len, ids, lens, n, err);
}
