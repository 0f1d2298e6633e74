/* The search by itself, over a made-up model: the next token's logits are drawn from a hash of the source and of all that was
 * written before, which the model looks up by the places that it is given. So wrong bookkeeping gives wrong words. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/str.h"
#include "infer/search.h"

enum { EOS = 0, PAD = 1, START = 1, MOST_VOCAB = 64 };

typedef struct made_up {
    int32_t vocab;
    int32_t *slots;      /* the token in each slot */
    int32_t *memory;     /* the source's tokens in each row */
    fv_search_shape shape;
    float *x;
    float eos_bonus;
    int32_t broken;      /* sources that begin with this give NaN from the third token on; 0: none */
    bool pair;           /* token 2 is likelier first, token 3 better in the end */
    int64_t steps, rows;
} made_up;

static fv_pool *pools[2]; /* one thread, three */

static int set_up(void **state)
{
    (void)state;
    pools[0] = fv_pool_new(1, NULL);
    pools[1] = fv_pool_new(3, NULL);
    return pools[0] && pools[1] ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fv_pool_free(pools[0]);
    fv_pool_free(pools[1]);
    return 0;
}

static fv_status plan(void *user, const fv_search_shape *shape, fv_err *err)
{
    made_up *m = user;
    m->shape = *shape;
    free(m->slots), free(m->memory), free(m->x);
    m->slots = malloc((size_t)shape->slots * sizeof *m->slots);
    m->memory = malloc((size_t)shape->memory_rows * sizeof *m->memory);
    m->x = malloc((size_t)shape->rows * (size_t)m->vocab * sizeof *m->x);
    memset(m->slots, 0x7f, (size_t)shape->slots * sizeof *m->slots);
    (void)err;
    return FV_OK;
}

static fv_status read_sources(void *user, const fv_search_reading *sources, int32_t n, fv_err *err)
{
    made_up *m = user;
    (void)err;
    for (int32_t i = 0; i < n; i++) memcpy(m->memory + sources[i].first, sources[i].source->ids, (size_t)sources[i].source->n * sizeof(int32_t));
    return FV_OK;
}

static uint64_t history(const int32_t *source, int32_t n, const int32_t *written, int32_t t)
{
    return fv_hash64(written, (size_t)t * sizeof *written, fv_hash64(source, (size_t)n * sizeof *source, 7));
}

static double draw(uint64_t key, int32_t i) { return (double)(fv_mix(key, (uint64_t)i) >> 40) / (1 << 24); }

/* The logits after `written`, which has the start token first. */
static void fill(const made_up *m, float *x, const int32_t *source, int32_t n, const int32_t *written, int32_t t)
{
    uint64_t key = history(source, n, written, t);
    for (int32_t i = 0; i < m->vocab; i++) x[i] = (float)(3 * draw(key, i));
    x[EOS] += m->eos_bonus;
    if (m->broken && source[0] == m->broken && t > 2) x[2] = NAN;
    if (m->pair && t == 1) x[2] = 9, x[3] = 8;
    if (m->pair && t > 1) x[EOS] = written[1] == 3 ? 20 : 0;
}

static float attention(const int32_t *source, int32_t n, const int32_t *written, int32_t t, int32_t i) { return (float)draw(history(source, n, written, t) + 1, i) / (float)n; }

static fv_status step(void *user, const fv_step *s, const int32_t *lanes, fv_search_logits *out, fv_err *err)
{
    made_up *m = user;
    int32_t written[512];
    m->steps++;
    m->rows += s->R;
    for (int32_t r = 0; r < s->R; r++) {
        assert_int_equal(s->firsts[r], lanes[r] * m->shape.longest);
        assert_int_equal(s->lengths[r], s->positions[r] + 1);
        assert_int_equal(s->places[r * s->ldplaces + s->positions[r]], s->slots[r]);
        m->slots[s->slots[r]] = s->ids[r];
    }
    for (int32_t r = 0; r < s->R; r++) {
        const int32_t *source = m->memory + s->firsts[r];
        for (int32_t i = 0; i < s->lengths[r]; i++) written[i] = m->slots[s->places[r * s->ldplaces + i]];
        fill(m, m->x + r * m->vocab, source, s->memory_lengths[r], written, s->lengths[r]);
        for (int32_t i = 0; s->weights && i < s->memory_lengths[r]; i++) s->weights[r * s->ldweights + i] = attention(source, s->memory_lengths[r], written, s->lengths[r], i);
    }
    *out = (fv_search_logits){.x = m->x, .ld = m->vocab, .cols = m->vocab};
    (void)err;
    return FV_OK;
}

static fv_search *new_search(made_up *m, fv_pool *pool)
{
    fv_stepper stepper = {.user = m, .vocab = m->vocab, .start = START, .eos = EOS, .pad = PAD, .max_len = 100, .plan = plan, .read = read_sources, .step = step};
    fv_search *s = fv_search_new(&stepper, pool, NULL);
    assert_non_null(s);
    return s;
}

static void release(made_up *m, fv_search *s)
{
    fv_search_free(s);
    free(m->slots), free(m->memory), free(m->x);
    *m = (made_up){0};
}

static void run(fv_search *s, const fv_search_source *sources, size_t n, const fv_search_options *o, fv_hypothesis *out)
{
    fv_err err = {0};
    if (fv_search_run(s, sources, n, o, out, &err) != FV_OK) fail_msg("%s", err.text);
}

static fv_search_options options(int beam, int nbest, int max_len)
{
    return (fv_search_options){.beam = beam, .nbest = nbest, .length_penalty = 1, .max_len = max_len, .batch_tokens = 2048};
}

/* ---- Against other ways to the same ---- */

/* log P of `id` after what was written. */
static double log_probability(const made_up *m, const fv_search_source *source, const int32_t *written, int32_t t, int32_t id)
{
    float x[MOST_VOCAB];
    double sum = 0;
    fill(m, x, source->ids, source->n, written, t);
    for (int32_t i = 0; i < m->vocab; i++) sum += exp((double)x[i]);
    return (double)x[id] - log(sum);
}

static void greedy_takes_the_largest(void **state)
{
    (void)state;
    made_up m = {.vocab = 40, .eos_bonus = 0.1f};
    fv_search *s = new_search(&m, pools[0]);
    int32_t ids[] = {5, 9, 13, EOS}, written[64] = {START};
    for (int32_t n = 1; n <= 4; n++) {
        fv_search_source source = {.ids = ids, .n = n};
        fv_hypothesis out;
        fv_search_options o = options(1, 1, 30);
        run(s, &source, 1, &o, &out);
        double sum = 0;
        int32_t t = 1;
        for (;; t++) {
            float x[MOST_VOCAB];
            int32_t best = EOS;
            fill(&m, x, ids, n, written, t);
            for (int32_t i = 0; i < m.vocab; i++)
                if (i != PAD && x[i] > x[best]) best = i;
            if (t == 31) break;
            sum += log_probability(&m, &source, written, t, best);
            if (best == EOS) break;
            assert_true(t <= out.n);
            assert_int_equal(out.ids[t - 1], best);
            written[t] = best;
        }
        assert_int_equal(out.n, t - 1);
        assert_int_equal(out.cut, t == 31);
        assert_true(fabs(out.score - sum / (out.cut ? t - 1 : t)) < 1e-5);
    }
    release(&m, s);
}

typedef struct found { double score; bool cut; int32_t n, ids[8]; } found;
typedef struct listing { found all[512]; size_t n; } listing;

static void enumerate(const made_up *m, const fv_search_source *source, const fv_search_options *o, listing *list, int32_t *written, int32_t t, double sum)
{
    found *f = &list->all[list->n++];
    int32_t n = t - 1;
    bool cut = n == o->max_len;
    if (!cut) sum += log_probability(m, source, written, t, EOS);
    *f = (found){.score = sum / pow(cut ? n : n + 1, o->length_penalty), .cut = cut, .n = n};
    memcpy(f->ids, written + 1, (size_t)n * sizeof *written);
    if (cut) return;
    sum -= log_probability(m, source, written, t, EOS);
    for (int32_t id = 2; id < m->vocab; id++) {
        written[t] = id;
        enumerate(m, source, o, list, written, t + 1, sum + log_probability(m, source, written, t, id));
    }
}

static int best_first(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->cut != y->cut) return x->cut - y->cut;
    return (x->score < y->score) - (x->score > y->score);
}

static void wide_beam_finds_all(void **state)
{
    (void)state;
    made_up m = {.vocab = 5};
    fv_search *s = new_search(&m, pools[1]);
    int32_t ids[] = {7, 8, EOS}, written[8] = {START};
    fv_search_source source = {.ids = ids, .n = 3};
    const double penalties[] = {0, 0.6, 1, 2};
    fv_hypothesis *out = malloc(200 * sizeof *out);
    listing *list = malloc(sizeof *list);
    for (size_t p = 0; p < FV_COUNT(penalties); p++) {
        fv_search_options o = options(200, 121, 4);
        o.length_penalty = penalties[p];
        list->n = 0;
        enumerate(&m, &source, &o, list, written, 1, 0);
        assert_int_equal(list->n, 121); /* 1 + 3 + 9 + 27 that end, 81 that are cut */
        qsort(list->all, list->n, sizeof *list->all, best_first);
        run(s, &source, 1, &o, out);
        for (size_t i = 0; i < list->n; i++) {
            assert_true(fabs(out[i].score - list->all[i].score) < 1e-5);
            assert_int_equal(out[i].cut, list->all[i].cut);
            assert_int_equal(out[i].n, list->all[i].n);
            assert_memory_equal(out[i].ids, list->all[i].ids, (size_t)out[i].n * sizeof(int32_t));
        }
        o.nbest = 1; /* now what cannot win any more may end the search early, and changes nothing */
        run(s, &source, 1, &o, out);
        assert_true(fabs(out[0].score - list->all[0].score) < 1e-5);
    }
    free(out), free(list);
    release(&m, s);
}

static void beam_sees_further(void **state)
{
    (void)state;
    made_up m = {.vocab = 8, .pair = true};
    fv_search *s = new_search(&m, pools[0]);
    int32_t ids[] = {4, EOS};
    fv_search_source source = {.ids = ids, .n = 2};
    fv_hypothesis out;
    fv_search_options greedy = options(1, 1, 10), beam = options(3, 1, 10);
    run(s, &source, 1, &greedy, &out);
    assert_int_equal(out.ids[0], 2);
    run(s, &source, 1, &beam, &out);
    assert_int_equal(out.n, 1);
    assert_int_equal(out.ids[0], 3);
    assert_false(out.cut);
    release(&m, s);
}

/* ---- Neighbours ---- */

enum { SOURCES = 23, NBEST = 2 };

static void make_sources(fv_search_source *sources, int32_t (*ids)[12])
{
    fv_rng rng = fv_rng_make(3, "sources");
    for (int32_t i = 0; i < SOURCES; i++) {
        int32_t n = 1 + (int32_t)fv_rng_below(&rng, 12);
        for (int32_t j = 0; j < n; j++) ids[i][j] = 2 + (int32_t)fv_rng_below(&rng, 30);
        sources[i] = (fv_search_source){.ids = ids[i], .n = n, .text = (size_t)i + 1};
    }
}

static void assert_same(const fv_hypothesis *a, const fv_hypothesis *b, int32_t source)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(!a->ids, !b->ids);
    assert_memory_equal(&a->score, &b->score, sizeof a->score);
    assert_int_equal(a->cut, b->cut);
    if (!a->ids) return;
    assert_memory_equal(a->ids, b->ids, (size_t)a->n * sizeof *a->ids);
    assert_memory_equal(a->attention, b->attention, (size_t)a->n * (size_t)source * sizeof *a->attention);
}

static void neighbours_and_threads_change_nothing(void **state)
{
    (void)state;
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][12];
    const int beams[] = {1, 4}, batches[] = {0, 1, 3, 8};
    make_sources(sources, ids);
    for (size_t k = 0; k < FV_COUNT(beams); k++) {
        made_up m = {.vocab = 33, .eos_bonus = 1.2f}, alone_m = m;
        fv_search *alone = new_search(&alone_m, pools[0]);
        for (size_t b = 0; b < 2 * FV_COUNT(batches); b++) {
            fv_search *s = new_search(&m, pools[b % 2]);
            fv_hypothesis out[SOURCES * NBEST], one[NBEST];
            int nbest = beams[k] > 1 ? NBEST : 1;
            fv_search_options o = options(beams[k], nbest, 0);
            o.coverage_penalty = 0.2;
            o.attention = true;
            o.batch = batches[b / 2];
            run(s, sources, SOURCES, &o, out);
            for (int32_t i = 0; i < SOURCES; i++) {
                run(alone, &sources[i], 1, &o, one);
                for (int h = 0; h < nbest; h++) assert_same(&out[i * nbest + h], &one[h], sources[i].n);
            }
            if (o.batch == 1) assert_true(m.rows <= m.steps * beams[k]); /* no more than one source in work */
            release(&m, s);
            m = (made_up){.vocab = 33, .eos_bonus = 1.2f};
        }
        release(&alone_m, alone);
    }
}

static void lanes_are_taken_again(void **state)
{
    (void)state;
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][12];
    fv_hypothesis out[SOURCES];
    make_sources(sources, ids);
    for (int32_t i = 0; i < SOURCES; i++) sources[i].n = 1 + i % 2;
    made_up m = {.vocab = 33, .eos_bonus = 1};
    fv_search *s = new_search(&m, pools[0]);
    fv_search_options o = options(1, 1, 40);
    o.batch = 4;
    run(s, sources, SOURCES, &o, out);
    int64_t tokens = 0;
    for (int32_t i = 0; i < SOURCES; i++) tokens += out[i].n + !out[i].cut;
    assert_int_equal(m.rows, tokens);      /* what is done leaves the batch at once */
    assert_true(m.rows > 2 * m.steps);     /* and the batch stays full */
    release(&m, s);
}

/* ---- Options ---- */

static void bounds_hold(void **state)
{
    (void)state;
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][12];
    fv_hypothesis out[SOURCES];
    make_sources(sources, ids);
    made_up m = {.vocab = 33, .eos_bonus = 3};
    fv_search *s = new_search(&m, pools[0]);
    fv_search_options o = options(3, 1, 9);
    o.min_len = 9;
    run(s, sources, SOURCES, &o, out);
    for (int i = 0; i < SOURCES; i++) assert_true(out[i].n == 9 && out[i].cut);
    o.min_len = 6;
    run(s, sources, SOURCES, &o, out);
    for (int i = 0; i < SOURCES; i++) {
        assert_true(out[i].n >= 6 && out[i].n <= 9);
        for (int32_t t = 0; t < out[i].n; t++) assert_true(out[i].ids[t] != EOS && out[i].ids[t] != PAD);
    }
    release(&m, s);
    m = (made_up){.vocab = 33, .eos_bonus = -99}; /* one that never ends */
    s = new_search(&m, pools[0]);
    o = options(2, 1, 0);
    run(s, sources, SOURCES, &o, out);
    for (int i = 0; i < SOURCES; i++) assert_true(out[i].cut && out[i].n == 2 * sources[i].n + 20);
    release(&m, s);
}

static void prefix_is_kept(void **state)
{
    (void)state;
    made_up m = {.vocab = 33, .eos_bonus = 1};
    fv_search *s = new_search(&m, pools[0]);
    int32_t ids[] = {3, 4, EOS}, prefix[] = {20, 7, 7}, written[] = {START, 20, 7, 7};
    fv_search_source source = {.ids = ids, .n = 3, .prefix = prefix, .n_prefix = 3, .text = 1};
    fv_hypothesis out[4];
    fv_search_options o = options(4, 4, 12);
    run(s, &source, 1, &o, out);
    for (int i = 0; i < 4; i++) assert_true(out[i].n >= 3 && memcmp(out[i].ids, prefix, sizeof prefix) == 0);
    o = options(1, 1, 3);
    run(s, &source, 1, &o, out); /* no room for more: its score is that of the prefix */
    double sum = 0;
    for (int32_t t = 1; t <= 3; t++) sum += log_probability(&m, &source, written, t, prefix[t - 1]);
    assert_true(out[0].n == 3 && out[0].cut && fabs(out[0].score - sum / 3) < 1e-5);
    release(&m, s);
}

static void penalties(void **state)
{
    (void)state;
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][12], shorter = 0, changed = 0;
    fv_hypothesis plain[SOURCES], other[SOURCES];
    make_sources(sources, ids);
    made_up m = {.vocab = 12, .eos_bonus = 1}, m2 = m;
    fv_search *s = new_search(&m, pools[0]), *s2 = new_search(&m2, pools[0]);
    fv_search_options o = options(4, 1, 0);
    run(s, sources, SOURCES, &o, plain);
    o.length_penalty = 0;
    run(s2, sources, SOURCES, &o, other);
    for (int i = 0; i < SOURCES; i++) {
        assert_true(other[i].n <= plain[i].n);
        shorter += other[i].n < plain[i].n;
    }
    assert_true(shorter > 0);
    o.length_penalty = 1;
    o.coverage_penalty = 0.3;
    run(s2, sources, SOURCES, &o, other);
    for (int i = 0; i < SOURCES; i++) changed += plain[i].n != other[i].n || memcmp(plain[i].ids, other[i].ids, (size_t)plain[i].n * sizeof(int32_t)) != 0;
    assert_true(changed > 0);
    release(&m, s);
    release(&m2, s2);
}

/* The rows of attention are those that the steps gave along the winner's own path; coverage is made of them. */
static void attention_follows_the_winner(void **state)
{
    (void)state;
    made_up m = {.vocab = 33, .eos_bonus = 1};
    fv_search *s = new_search(&m, pools[0]);
    int32_t ids[] = {3, 4, 9, EOS}, written[64] = {START};
    fv_search_source source = {.ids = ids, .n = 4};
    fv_hypothesis out[3];
    fv_search_options o = options(3, 3, 20);
    o.attention = true;
    o.coverage_penalty = 0.5;
    run(s, &source, 1, &o, out);
    for (int h = 0; h < 3; h++) {
        double covered[3] = {0}, sum = 0, penalty = 0;
        memcpy(written + 1, out[h].ids, (size_t)out[h].n * sizeof(int32_t));
        int32_t tokens = out[h].cut ? out[h].n : out[h].n + 1;
        for (int32_t t = 0; t < tokens; t++) {
            sum += log_probability(&m, &source, written, t + 1, t < out[h].n ? out[h].ids[t] : EOS);
            for (int32_t i = 0; i < 4; i++) {
                float expected = attention(ids, 4, written, t + 1, i);
                if (t < out[h].n) assert_true(out[h].attention[t * 4 + i] == expected);
                if (i < 3) covered[i] += (double)expected;
            }
        }
        for (int i = 0; i < 3; i++) penalty += log(fmin(covered[i], 1));
        assert_true(fabs(out[h].score - (sum / tokens + 0.5 * penalty)) < 1e-5);
    }
    release(&m, s);
}

/* ---- What goes wrong ---- */

static void no_numbers(void **state)
{
    (void)state;
    made_up m = {.vocab = 33, .eos_bonus = -99, .broken = 6};
    fv_search *s = new_search(&m, pools[0]);
    int32_t fine[] = {3, EOS}, broken[] = {6, EOS};
    fv_search_source sources[] = {{.ids = fine, .n = 2, .text = 1}, {.ids = broken, .n = 2, .text = 2}};
    fv_hypothesis out[2];
    fv_err err = {0};
    fv_search_options o = options(2, 1, 10);
    assert_int_equal(fv_search_run(s, sources, 2, &o, out, &err), FV_E_FORMAT);
    assert_string_equal(err.text, "text 2: the model gives no numbers for what follows token 3; are its weights damaged?");
    run(s, sources, 1, &o, out); /* and the next run is none the worse */
    assert_int_equal(out[0].n, 10);
    release(&m, s);
}

static void assert_refused(fv_search *s, const fv_search_source *source, const fv_search_options *o, fv_status status, const char *text)
{
    fv_hypothesis out[8];
    fv_err err = {0};
    assert_int_equal(fv_search_run(s, source, 1, o, out, &err), status);
    assert_string_equal(err.text, text);
}

static void refusals(void **state)
{
    (void)state;
    made_up m = {.vocab = 33};
    fv_search *s = new_search(&m, pools[0]);
    int32_t ids[] = {3, EOS}, prefix[] = {4, 33};
    fv_search_source source = {.ids = ids, .n = 2, .prefix = prefix, .n_prefix = 2, .text = 7};
    fv_search_options o = options(2, 1, 5);
    assert_refused(s, &source, &o, FV_E_INPUT, "text 7: its translation is to begin with token 33, which is the end or not in the vocabulary (0 to 32)");
    prefix[1] = EOS;
    assert_refused(s, &source, &o, FV_E_INPUT, "text 7: its translation is to begin with token 0, which is the end or not in the vocabulary (0 to 32)");
    o.max_len = 1;
    assert_refused(s, &source, &o, FV_E_INPUT, "text 7: its translation is to begin with 2 tokens, but may have 1 at most");
    source.n_prefix = 0;
    o.min_len = 2;
    assert_refused(s, &source, &o, FV_E_ARGUMENT, "translations of 2 to 1 tokens; expected 0 or more, the least first");
    o = options(2, 3, 5);
    assert_refused(s, &source, &o, FV_E_ARGUMENT, "beam 2, nbest 3; expected 1 or more, and nbest at most beam");
    o = options(2, 1, 5);
    o.length_penalty = NAN;
    assert_refused(s, &source, &o, FV_E_ARGUMENT, "length penalty nan, coverage penalty 0; expected 0 to 100");
    release(&m, s);
}

static void steps_allocate_nothing(void **state)
{
    (void)state;
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][12];
    fv_hypothesis out[SOURCES];
    made_up m = {.vocab = 33, .eos_bonus = -99};
    fv_search *s = new_search(&m, pools[1]);
    make_sources(sources, ids);
    int64_t counts[2];
    fv_search_options o = options(3, 1, 90);
    run(s, sources, SOURCES, &o, out);
    for (int i = 0; i < 2; i++) {
        int64_t before = fv_alloc_count();
        o.max_len = i ? 90 : 2;
        run(s, sources, SOURCES, &o, out);
        counts[i] = fv_alloc_count() - before;
    }
    assert_int_equal(counts[0], counts[1]);
    release(&m, s);
}

static void survives_lack_of_memory(void **state)
{
    (void)state;
    fv_search_source sources[SOURCES];
    int32_t ids[SOURCES][12];
    fv_hypothesis out[SOURCES];
    make_sources(sources, ids);
    int64_t live = fv_alloc_live();
    for (int64_t nth = 0; nth < 12; nth++) {
        made_up m = {.vocab = 33, .eos_bonus = 1};
        fv_search *s = new_search(&m, pools[0]);
        fv_search_options o = options(2, 1, 9);
        fv_err err = {0};
        fv_alloc_fail_after(nth);
        fv_status status = fv_search_run(s, sources, SOURCES, &o, out, &err);
        fv_alloc_fail_after(-1);
        assert_true(status == FV_OK || status == FV_E_MEMORY);
        release(&m, s);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_largest),
        cmocka_unit_test(wide_beam_finds_all),
        cmocka_unit_test(beam_sees_further),
        cmocka_unit_test(neighbours_and_threads_change_nothing),
        cmocka_unit_test(lanes_are_taken_again),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(prefix_is_kept),
        cmocka_unit_test(penalties),
        cmocka_unit_test(attention_follows_the_winner),
        cmocka_unit_test(no_numbers),
        cmocka_unit_test(refusals),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
