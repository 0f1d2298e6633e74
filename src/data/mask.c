/* Which tokens of a batch are hidden. What counts as a word, and which tokens are special, is the caller's to say.
 *
 * BERT's own program shuffles a sequence's words and takes the first 15 %. Here each word has a number drawn for it, and is
 * chosen when that is below the share: no memory, and a word's lot does not hang on its neighbours'. The word with the
 * smallest number is chosen in any case, so that no sequence is seen in vain. */
#include "data/mask.h"

#define MASKED 0.8 /* of the chosen */
#define DRAWN 0.1

/* Runs of characters: 40 % are of one, 40 % of two, 20 % of three, near what Chinese words are. */
#define RUNS_OF_ONE 0.4
#define RUNS_OF_TWO 0.4

/* Streams of one sequence: a word's number comes from its first place, a token's fate from its own. */
typedef struct chance {
    fv_rng words, fates, runs;
} chance;

static chance chance_of(const fv_masking *m, uint64_t sequence)
{
    fv_rng all = fv_rng_make(m->seed, "mask"), epoch = fv_rng_fork(&all, (uint64_t)m->epoch), row = fv_rng_fork(&epoch, sequence);
    return (chance){.words = fv_rng_fork(&row, 0), .fates = fv_rng_fork(&row, 1), .runs = fv_rng_fork(&row, 2)};
}

static double number_of(const chance *c, int32_t place)
{
    fv_rng rng = fv_rng_fork(&c->words, (uint64_t)place);
    return fv_rng_uniform(&rng);
}

/* What a chosen token becomes. */
static int32_t fate_of(const fv_masking *m, const chance *c, int32_t place, int32_t id)
{
    fv_rng rng = fv_rng_fork(&c->fates, (uint64_t)place);
    double fate = fv_rng_uniform(&rng);
    if (fate < MASKED) return m->mask_id;
    return fate < MASKED + DRAWN && m->n_ordinary > 0 ? m->ordinary[fv_rng_below(&rng, (uint64_t)m->n_ordinary)] : id;
}

/* Characters of a run that begins at a place. */
static int run_at(const chance *c, int32_t place)
{
    fv_rng rng = fv_rng_fork(&c->runs, (uint64_t)place);
    double x = fv_rng_uniform(&rng);
    return 1 + (x >= RUNS_OF_ONE) + (x >= RUNS_OF_ONE + RUNS_OF_TWO);
}

/* Where what is hidden together with token i ends, if that is where it begins. */
static int32_t unit_end(const fv_masking *m, const chance *c, const uint8_t *kinds, int32_t n, int32_t i)
{
    int more = kinds[i] == FV_TOKEN_CHARACTER && !m->pieces ? run_at(c, i) - 1 : 0;
    bool joins = kinds[i] != FV_TOKEN_FIXED && !m->pieces;
    for (i++; joins && i < n; i++) {
        if (kinds[i] == FV_TOKEN_CONTINUES) continue;
        if (kinds[i] != FV_TOKEN_CHARACTER || more-- == 0) break;
    }
    return i;
}

/* Numbers below the limit are chosen: the share, or what lets the smallest in. */
static double limit_of(const fv_masking *m, const chance *c, const uint8_t *kinds, int32_t n)
{
    double smallest = 1;
    for (int32_t i = 0; i < n && smallest >= m->share; i = unit_end(m, c, kinds, n, i)) {
        if (kinds[i] == FV_TOKEN_FIXED) continue;
        double number = number_of(c, i);
        if (number < smallest) smallest = number;
    }
    return smallest < m->share ? m->share : smallest + 0x1p-53; /* numbers are multiples of 2^-53 */
}

int32_t fv_mask_batch(const fv_masking *m, const fv_batch *batch, int32_t *ids_out, int32_t *places, int32_t *targets)
{
    int32_t chosen = 0;
    for (int32_t b = 0; b < batch->B; b++) {
        chance c = chance_of(m, batch->sequences[b]);
        const uint8_t *kinds = m->kinds + m->rows->offsets[batch->rows[b]];
        int32_t begin = batch->offsets[b], n = batch->offsets[b + 1] - begin;
        double limit = limit_of(m, &c, kinds, n);
        bool hide = false;
        for (int32_t i = 0, end = 0; i < n; i++) {
            int32_t id = batch->ids[begin + i];
            if (i == end) {
                hide = kinds[i] != FV_TOKEN_FIXED && number_of(&c, i) < limit;
                end = unit_end(m, &c, kinds, n, i);
            }
            ids_out[begin + i] = hide ? fate_of(m, &c, i, id) : id;
            if (!hide) continue;
            places[chosen] = begin + i;
            targets[chosen++] = id;
        }
    }
    return chosen;
}
