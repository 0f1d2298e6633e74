/* An index whose items come, change and go at random finds what one finds that was made of the same items anew, to the bit, and what the
 * slow way finds; whatever fails leaves it as it was; many search while one writes; odd input. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "index/index.h"

enum { DIM = 20, ITEMS = 150, TOP = 12 };

static const char *const words[] = {"parcel", "refund", "card", "lost", "late", "包裹", "退货", "客服", "the", "of", "Größe", "order"};

typedef struct item {
    bool there, has_vector, has_text;
    float vector[DIM];
    char text[256];
} item;

/* Ids are spread out, some of them negative. */
static int64_t id_of(int i) { return (int64_t)i * 7919 - 300000; }

static void make_item(item *it, fv_rng *rng)
{
    size_t at = 0;
    *it = (item){.there = true, .has_vector = fv_rng_below(rng, 5) > 0};
    it->has_text = !it->has_vector || fv_rng_below(rng, 5) > 0;
    for (int d = 0; d < DIM; d++) it->vector[d] = (float)fv_rng_normal(rng);
    if (fv_rng_below(rng, 8) == 0)
        for (int d = 0; d < DIM; d++) it->vector[d] = (float)(d % 3); /* some are equal: ids decide */
    for (int n = (int)fv_rng_below(rng, 12); n > 0; n--) at += (size_t)snprintf(it->text + at, sizeof it->text - at, "%s ", words[fv_rng_below(rng, FV_COUNT(words))]);
}

static fv_index_item public_item(int i, const item *it)
{
    return (fv_index_item){.id = id_of(i), .vector = it->has_vector ? it->vector : NULL, .text = it->has_text ? it->text : NULL};
}

static fv_index *new_index(int dim, bool with_words)
{
    fv_index_options o;
    fv_err err;
    fv_index_options_init(&o);
    o.dim = dim;
    o.words = with_words;
    fv_index *index = fv_index_new(&o, &err);
    if (!index) fail_msg("%s", err.text);
    return index;
}

static void put(fv_index *index, int i, const item *it)
{
    fv_index_item p = public_item(i, it);
    fv_err err;
    if (fv_index_add(index, &p, 1, &err) != FV_OK) fail_msg("%s", err.text);
}

/* ---- Searches ---- */

typedef struct found {
    fv_hit hits[3 * TOP];
    size_t counts[3];
} found;

static void find(found *f, fv_index *index, const fv_query *queries, fv_find by)
{
    fv_find_options o;
    fv_err err;
    fv_find_options_init(&o);
    o.by = by;
    o.top = TOP;
    memset(f, 0, sizeof *f);
    if (fv_index_search(index, queries, 3, &o, f->hits, f->counts, &err) != FV_OK) fail_msg("%s", err.text);
}

static bool same_float(float a, float b) { return a == b || (isnan(a) && isnan(b)); }

static bool same_hit(const fv_hit *a, const fv_hit *b)
{
    return a->id == b->id && same_float(a->score, b->score) && same_float(a->meaning, b->meaning) && same_float(a->words, b->words) && a->meaning_rank == b->meaning_rank && a->words_rank == b->words_rank;
}

static void check_same(const found *a, const found *b)
{
    for (int q = 0; q < 3; q++) {
        assert_int_equal(a->counts[q], b->counts[q]);
        for (size_t i = 0; i < a->counts[q]; i++) assert_true(same_hit(&a->hits[q * TOP + (int)i], &b->hits[q * TOP + (int)i]));
    }
}

/* Three queries: the second one's words are known to nobody. */
static void make_queries(fv_query *queries, float vectors[3][DIM], char texts[3][64], fv_rng *rng)
{
    for (int q = 0; q < 3; q++) {
        for (int d = 0; d < DIM; d++) vectors[q][d] = q == 2 ? (float)(d % 3) : (float)fv_rng_normal(rng);
        snprintf(texts[q], 64, q == 1 ? "nobody said this" : "%s, %s?", words[fv_rng_below(rng, FV_COUNT(words))], words[fv_rng_below(rng, FV_COUNT(words))]);
        queries[q] = (fv_query){.vector = vectors[q], .text = texts[q]};
    }
}

/* The index as it is against one that saw these items alone, last first. */
static void check_as_new(fv_index *index, const item *items, fv_rng *rng)
{
    fv_index *fresh = new_index(DIM, true);
    float vectors[3][DIM];
    char texts[3][64];
    fv_query queries[3];
    found a, b;
    for (int i = ITEMS; i-- > 0;)
        if (items[i].there) put(fresh, i, &items[i]);
    assert_int_equal(fv_index_size(fresh), fv_index_size(index));
    make_queries(queries, vectors, texts, rng);
    for (int by = FV_FIND_MEANING; by <= FV_FIND_HYBRID; by++) {
        find(&a, index, queries, (fv_find)by);
        find(&b, fresh, queries, (fv_find)by);
        check_same(&a, &b);
    }
    fv_index_free(fresh);
}

static double product(const float *a, const float *b)
{
    double sum = 0;
    for (int d = 0; d < DIM; d++) sum += (double)a[d] * (double)b[d];
    return sum;
}

/* By meaning: no item that is not among the hits lies nearer than the last of them. */
static void check_exact(fv_index *index, const item *items, fv_rng *rng)
{
    float vectors[3][DIM];
    char texts[3][64];
    fv_query queries[3];
    found f;
    make_queries(queries, vectors, texts, rng);
    find(&f, index, queries, FV_FIND_MEANING);
    for (int q = 0; q < 3; q++) {
        const fv_hit *hits = f.hits + q * TOP;
        bool hit[ITEMS] = {false};
        size_t with_vector = 0;
        for (size_t k = 0; k < f.counts[q]; k++) {
            int i = (int)((hits[k].id + 300000) / 7919);
            assert_true(items[i].there && items[i].has_vector && !hit[i]);
            assert_true(fabs((double)hits[k].score - product(items[i].vector, vectors[q])) < 1e-5);
            assert_true(!k || hits[k - 1].score > hits[k].score || (hits[k - 1].score == hits[k].score && hits[k - 1].id < hits[k].id));
            hit[i] = true;
        }
        for (int i = 0; i < ITEMS; i++) {
            with_vector += items[i].there && items[i].has_vector;
            if (items[i].there && items[i].has_vector && !hit[i]) assert_true(product(items[i].vector, vectors[q]) <= (double)hits[TOP - 1].score + 1e-6);
        }
        assert_int_equal(f.counts[q], with_vector < TOP ? with_vector : TOP);
    }
}

static void comes_changes_goes(void **state)
{
    (void)state;
    static item items[ITEMS];
    fv_rng rng = fv_rng_make(1, "items");
    fv_index *index = new_index(DIM, true);
    memset(items, 0, sizeof items);
    for (int step = 0; step < 6000; step++) {
        int i = (int)fv_rng_below(&rng, ITEMS);
        if (fv_rng_below(&rng, 3) == 0) {
            assert_true(fv_index_remove(index, id_of(i)) == items[i].there);
            items[i].there = false;
        } else {
            make_item(&items[i], &rng); /* new, or instead of what was there */
            put(index, i, &items[i]);
        }
        assert_true(fv_index_has(index, id_of(i)) == items[i].there);
        if (step % 200 == 0) check_as_new(index, items, &rng);
        if (step % 50 == 0) check_exact(index, items, &rng);
    }
    for (int i = 0; i < ITEMS; i++) fv_index_remove(index, id_of(i));
    assert_int_equal(fv_index_size(index), 0);
    memset(items, 0, sizeof items);
    check_as_new(index, items, &rng);
    fv_index_free(index);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    static item items[ITEMS];
    float vectors[3][DIM];
    char texts[3][64];
    fv_query queries[3];
    found one, many;
    fv_rng rng = fv_rng_make(2, "threads");
    fv_index *index = new_index(DIM, true);
    for (int i = 0; i < ITEMS; i++) {
        make_item(&items[i], &rng);
        put(index, i, &items[i]);
    }
    make_queries(queries, vectors, texts, &rng);
    for (int by = FV_FIND_MEANING; by <= FV_FIND_HYBRID; by++) {
        assert_int_equal(fv_set_threads(1, NULL), FV_OK);
        find(&one, index, queries, (fv_find)by);
        assert_int_equal(fv_set_threads(5, NULL), FV_OK);
        find(&many, index, queries, (fv_find)by);
        check_same(&one, &many);
    }
    assert_int_equal(fv_set_threads(2, NULL), FV_OK);
    fv_index_free(index);
}

/* ---- What a hit says ---- */

static void both_ways(void **state)
{
    (void)state;
    const float near[] = {1, 0}, half[] = {0.9f, 0.43589f}, off[] = {0, 1};
    const fv_index_item items[] = {
        {.id = 1, .vector = near, .text = "something else"}, {.id = 2, .vector = half, .text = "my parcel is late"},
        {.id = 3, .text = "a parcel"}, {.id = 4, .vector = off, .text = "tea"},
    };
    fv_index *index = new_index(2, true);
    fv_hit hits[10];
    size_t n;
    fv_find_options o;
    fv_find_options_init(&o);
    o.by = FV_FIND_HYBRID;
    assert_int_equal(fv_index_add(index, items, 4, NULL), FV_OK);
    fv_query query = {.vector = near, .text = "parcel"};
    assert_int_equal(fv_index_search(index, &query, 1, &o, hits, &n, NULL), FV_OK);
    assert_int_equal(n, 4);
    assert_int_equal(hits[0].id, 2); /* good at both */
    assert_true(hits[0].meaning_rank == 2 && hits[0].words_rank == 2 && fabsf(hits[0].meaning - 0.9f) < 1e-6f && hits[0].words > 0);
    assert_int_equal(hits[3].id, 4);
    for (int i = 0; i < 4; i++) {
        if (hits[i].id == 1) assert_true(hits[i].meaning == 1 && hits[i].words == 0 && hits[i].meaning_rank == 1 && hits[i].words_rank == 0);
        if (hits[i].id == 3) assert_true(isnan(hits[i].meaning) && hits[i].words > 0 && hits[i].meaning_rank == 0 && hits[i].words_rank == 1);
    }
    query.text = "known to nobody"; /* then meaning alone decides */
    assert_int_equal(fv_index_search(index, &query, 1, &o, hits, &n, NULL), FV_OK);
    assert_int_equal(n, 3);
    assert_true(hits[0].id == 1 && hits[1].id == 2 && hits[2].id == 4);
    fv_index_free(index);
}

/* A shop's questions in two languages, and what is found by words. */
static void two_languages(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Where is my parcel?", "I want to return the jacket", "The parcel arrived late and damaged", "Can I pay by card?",
        "我的包裹在哪里？", "我想退货", "包裹到了，但是坏了", "可以用银行卡付款吗？", "Café opening hours", "茶叶怎么保存",
    };
    static const struct { const char *query; int64_t ids[3]; } expected[] = {
        {"parcel", {0, 2, -1}}, {"late PARCEL", {2, 0, -1}}, {"包裹", {4, 6, -1}}, {"退货", {5, -1, -1}}, {"银行卡付款", {7, -1, -1}},
        {"茶", {9, -1, -1}}, {"cafe", {8, -1, -1}}, {"ｃａｒｄ", {3, -1, -1}}, {"裹包", {-1, -1, -1}}, {"!?", {-1, -1, -1}}, {"", {-1, -1, -1}},
    };
    fv_index *index = new_index(0, true);
    fv_find_options o;
    fv_find_options_init(&o);
    o.by = FV_FIND_WORDS;
    for (size_t i = 0; i < FV_COUNT(texts); i++) {
        fv_index_item it = {.id = (int64_t)i, .text = texts[i]};
        assert_int_equal(fv_index_add(index, &it, 1, NULL), FV_OK);
    }
    for (size_t q = 0; q < FV_COUNT(expected); q++) {
        fv_query query = {.text = expected[q].query};
        fv_hit hits[10];
        size_t n;
        assert_int_equal(fv_index_search(index, &query, 1, &o, hits, &n, NULL), FV_OK);
        for (size_t i = 0; i < 3; i++) {
            int64_t got = i < n ? hits[i].id : -1;
            if (expected[q].ids[i] != got) fail_msg("\"%s\", place %zu: %ld, expected %ld", expected[q].query, i, (long)got, (long)expected[q].ids[i]);
        }
    }
    fv_index_free(index);
}

/* "20-26 26-28": the places, pairs of characters joined. */
static const char *matched(const char *query, const char *text)
{
    static char out[128];
    fv_extent *list;
    size_t n, at = 0;
    assert_int_equal(fv_matched_words(query, 0, text, 0, &list, &n, NULL), FV_OK);
    out[0] = 0;
    for (size_t i = 0; i < n; i++) at += (size_t)snprintf(out + at, sizeof out - at, "%s%u-%u", i ? " " : "", list[i].begin, list[i].end);
    free(list);
    return out;
}

static void matched_words(void **state)
{
    (void)state;
    assert_string_equal(matched("late parcel", "The PARCEL was late, the parcels were not."), "4-10 15-19");
    assert_string_equal(matched("我的包裹", "你的包裹到了"), "3-12");
    assert_string_equal(matched("包", "我的包裹"), "6-9");
    assert_string_equal(matched("", "text"), "");
    assert_string_equal(matched("text", ""), "");
}

/* ---- What is refused ---- */

static void refused(fv_index *index, fv_index_item it, fv_status status, const char *says)
{
    const float good[DIM] = {1};
    fv_index_item two[2] = {{.id = 99, .vector = good}, it};
    fv_err err;
    size_t size = fv_index_size(index);
    assert_int_equal(fv_index_add(index, two, 2, &err), status);
    if (!strstr(err.text, says)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    assert_int_equal(fv_index_size(index), size); /* the good one neither */
}

static void bad_items(void **state)
{
    (void)state;
    float odd[DIM] = {0};
    fv_index *index = new_index(DIM, true), *no_words = new_index(DIM, false);
    odd[DIM - 1] = NAN;
    refused(index, (fv_index_item){.id = 1, .vector = odd}, FV_E_INPUT, "item 2: its vector has a number that is not finite");
    odd[DIM - 1] = 1e30f;
    refused(index, (fv_index_item){.id = 1, .vector = odd}, FV_E_INPUT, "or is longer than 1e+15");
    refused(index, (fv_index_item){.id = 1}, FV_E_INPUT, "item 2: it has neither a vector nor a text");
    refused(no_words, (fv_index_item){.id = 1, .text = "a"}, FV_E_ARGUMENT, "item 2: it has a text; the index was made without words");
    fv_index_free(index);
    fv_index_free(no_words);
    fv_err err;
    fv_index *no_vectors = new_index(0, true);
    fv_index_item it = {.id = 1, .vector = odd};
    assert_int_equal(fv_index_add(no_vectors, &it, 1, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "the index was made without vectors"));
    fv_index_free(no_vectors);
}

static void bad_options(void **state)
{
    (void)state;
    fv_index_options o;
    fv_err err;
    fv_index_options_init(&o);
    o.words = false;
    assert_null(fv_index_new(&o, &err));
    assert_non_null(strstr(err.text, "finds nothing"));
    o.dim = 65537;
    assert_null(fv_index_new(&o, &err));
    assert_non_null(strstr(err.text, "65537 numbers; expected 0 (none) to 65536"));
    o.dim = 3;
    o.b = NAN;
    assert_null(fv_index_new(&o, &err));
    assert_int_equal(err.status, FV_E_ARGUMENT);
}

static void bad_queries(void **state)
{
    (void)state;
    float odd[DIM] = {0};
    fv_index *index = new_index(DIM, false), *no_vectors = new_index(0, true);
    fv_hit hits[4];
    size_t n;
    fv_err err;
    fv_query query = {.text = "a"};
    fv_find_options o;
    fv_find_options_init(&o);
    o.top = 4;
    assert_int_equal(fv_index_search(index, &query, 1, &o, hits, &n, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "query 1: it has no vector"));
    odd[3] = INFINITY;
    query.vector = odd;
    assert_int_equal(fv_index_search(index, &query, 1, &o, hits, &n, &err), FV_E_INPUT);
    assert_non_null(strstr(err.text, "query 1: its vector has a number that is not finite"));
    assert_int_equal(fv_index_search(no_vectors, &query, 1, &o, hits, &n, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "finds by words alone"));
    o.by = FV_FIND_WORDS;
    assert_int_equal(fv_index_search(index, &query, 1, &o, hits, &n, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "finds by meaning alone"));
    query.text = NULL;
    assert_int_equal(fv_index_search(no_vectors, &query, 1, &o, hits, &n, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "query 1: it has no text"));
    o.top = 0;
    assert_int_equal(fv_index_search(index, &query, 1, &o, hits, &n, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "top is 0"));
    assert_int_equal(fv_index_search(no_vectors, &query, 0, NULL, hits, &n, &err), FV_E_ARGUMENT); /* by meaning, if nothing is said */
    fv_index_free(index);
    fv_index_free(no_vectors);
}

/* Texts that are hardly any: they are taken, found where they can be, and go again. */
static void odd_texts(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    static char text[LONG * 3 + 1];
    fv_index *index = new_index(0, true);
    fv_find_options o;
    fv_find_options_init(&o);
    o.by = FV_FIND_WORDS;
    for (int i = 0; i < LONG; i++) memcpy(text + 3 * i, i % 1000 ? "字" : "词", 3);
    const fv_index_item items[] = {
        {.id = 0, .text = ""}, {.id = 1, .text = "\xff\xfe\x80"}, {.id = 2, .text = text}, {.id = 3, .text = "a\0b", .len = 3}, {.id = 4, .text = "\u200d\u0301 \t"},
    };
    assert_int_equal(fv_index_add(index, items, FV_COUNT(items), NULL), FV_OK);
    const struct { fv_query query; size_t n; int64_t id; } expected[] = {
        {{.text = "词字"}, 1, 2}, {{.text = "b"}, 1, 3}, {{.text = text}, 1, 2}, {{.text = "\xff\xfe\x80"}, 0, 0},
    };
    for (size_t i = 0; i < FV_COUNT(expected); i++) {
        fv_hit hits[10];
        size_t n;
        assert_int_equal(fv_index_search(index, &expected[i].query, 1, &o, hits, &n, NULL), FV_OK);
        assert_int_equal(n, expected[i].n);
        if (n) assert_true(hits[0].id == expected[i].id && isfinite(hits[0].score));
    }
    assert_true(fv_index_bytes(index) > LONG / 1000);
    for (int64_t id = 0; id < 5; id++) assert_true(fv_index_remove(index, id));
    assert_false(fv_index_remove(index, 2));
    fv_index_free(index);
}

/* ---- Memory ---- */

static void failing_allocations(void **state)
{
    (void)state;
    static item items[ITEMS];
    fv_rng rng = fv_rng_make(5, "fail");
    int64_t live = fv_alloc_live();
    fv_index *index = new_index(DIM, true);
    memset(items, 0, sizeof items);
    for (int step = 0; step < 2 * ITEMS; step++) {
        int i = step % ITEMS; /* the second time round, items are replaced */
        item next;
        make_item(&next, &rng);
        snprintf(next.text + strlen(next.text), 24, " only%d", step);
        fv_index_item p = public_item(i, &next);
        fv_status status;
        for (int64_t fail = 0;; fail++) {
            fv_err err;
            fv_alloc_fail_after(fail);
            status = fv_index_add(index, &p, 1, &err);
            fv_alloc_fail_after(-1);
            if (status == FV_OK) break;
            assert_int_equal(err.status, FV_E_MEMORY);
            assert_true(fv_index_has(index, id_of(i)) == items[i].there);
            if (fail % 3 == 0 && step % 40 == 0) check_as_new(index, items, &rng);
        }
        items[i] = next;
        if (step % 40 == 0) check_as_new(index, items, &rng);
    }
    float vectors[3][DIM];
    char texts[3][64];
    fv_query queries[3];
    make_queries(queries, vectors, texts, &rng);
    for (int64_t fail = 0, failures = 1; failures; fail++) {
        fv_hit hits[3 * 200];
        size_t counts[3];
        fv_err err;
        fv_find_options o;
        fv_find_options_init(&o);
        o.by = FV_FIND_HYBRID;
        o.top = 200;
        fv_alloc_fail_after(fail);
        failures = fv_index_search(index, queries, 3, &o, hits, counts, &err) != FV_OK;
        fv_alloc_fail_after(-1);
        if (failures) assert_int_equal(err.status, FV_E_MEMORY);
    }
    fv_index_free(index);
    fv_err err;
    fv_alloc_fail_after(0);
    assert_null(fv_index_new(NULL, &err));
    assert_int_equal(err.status, FV_E_MEMORY);
    assert_int_equal(fv_alloc_live(), live);
}

/* Items that come and go for ever take no more than those that are there. */
static void memory_is_bounded(void **state)
{
    (void)state;
    fv_rng rng = fv_rng_make(6, "bound");
    fv_index *index = new_index(DIM, true);
    size_t bytes = 0;
    for (int step = 0; step < 20000; step++) {
        item it;
        make_item(&it, &rng);
        snprintf(it.text + strlen(it.text), 24, " only%d", step);
        fv_index_remove(index, id_of(step - 200));
        put(index, step, &it);
        if (step == 4000) bytes = fv_index_bytes(index);
    }
    assert_int_equal(fv_index_size(index), 200);
    assert_true(fv_index_bytes(index) <= bytes);
    fv_index_free(index);
}

/* ---- Threads ---- */

typedef struct crowd {
    fv_index *index;
    int failures;
    uint64_t seed;
} crowd;

static void *search_on(void *user)
{
    crowd *c = user;
    fv_rng rng = fv_rng_make(c->seed, "reader");
    float vectors[3][DIM];
    char texts[3][64];
    fv_query queries[3];
    fv_find_options o;
    fv_find_options_init(&o);
    o.top = TOP;
    for (int i = 0; i < 150; i++) {
        fv_hit hits[3 * TOP];
        size_t counts[3];
        make_queries(queries, vectors, texts, &rng);
        o.by = (fv_find)(i % 3);
        if (fv_index_search(c->index, queries, 3, &o, hits, counts, NULL) != FV_OK) c->failures++;
        for (size_t k = 1; k < counts[0]; k++) c->failures += !(hits[k - 1].score >= hits[k].score);
    }
    return NULL;
}

static void many_search_while_one_writes(void **state)
{
    (void)state;
    enum { READERS = 3 };
    static item items[ITEMS];
    fv_rng rng = fv_rng_make(7, "writer");
    fv_index *index = new_index(DIM, true);
    pthread_t readers[READERS];
    crowd crowds[READERS];
    memset(items, 0, sizeof items);
    for (int i = 0; i < READERS; i++) {
        crowds[i] = (crowd){.index = index, .seed = (uint64_t)i};
        assert_int_equal(pthread_create(&readers[i], NULL, search_on, &crowds[i]), 0);
    }
    for (int step = 0; step < 1500; step++) {
        int i = (int)fv_rng_below(&rng, ITEMS);
        if ((items[i].there = fv_rng_below(&rng, 3) > 0)) {
            make_item(&items[i], &rng);
            put(index, i, &items[i]);
        } else fv_index_remove(index, id_of(i));
    }
    for (int i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
        assert_int_equal(crowds[i].failures, 0);
    }
    check_as_new(index, items, &rng);
    fv_index_free(index);
}

/* ---- Chance ---- */

static fv_status chance_of(fv_index *index, const fv_query *queries, size_t n, fv_find by, float *level)
{
    fv_err err = {0};
    fv_status status = fv_index_chance(index, queries, n, by, level, &err);
    assert_int_equal(status, err.status);
    return status;
}

static void chance_is_what_unrelated_queries_find(void **state)
{
    (void)state;
    enum { SIDE = 4, ASKED = 3 };
    fv_index *index = new_index(SIDE, true);
    const float items[2][SIDE] = {{1, 0, 0, 0}, {0, 1, 0, 0}};
    const float asked[ASKED][SIDE] = {{0.1f, 0.3f, 1, 0}, {0.5f, -1, 0, 1}, {0.4f, 0.4f, 0, 0}}; /* best products 0.3, 0.5, 0.4 */
    const double whole_of_one = 0.1, deviation = whole_of_one * sqrt(2.0 / 3);
    float level = 7, both = 7;
    fv_query queries[ASKED];
    for (int i = 0; i < ASKED; i++) queries[i] = (fv_query){.vector = asked[i], .text = "nothing of it"};
    assert_int_equal(chance_of(index, queries, ASKED, FV_FIND_MEANING, &level), FV_OK);
    assert_true(isinf(level) && level < 0); /* an empty index finds nothing, and so nothing by chance */
    for (int i = 0; i < 2; i++) {
        fv_index_item one = {.id = i, .vector = items[i], .text = i ? "nothing else" : "parcel"};
        assert_int_equal(fv_index_add(index, &one, 1, NULL), FV_OK);
    }
    assert_int_equal(chance_of(index, queries, ASKED, FV_FIND_MEANING, &level), FV_OK);
    assert_true(fabs((double)level - (0.4 + 2.5 * deviation)) < 1e-6);
    assert_int_equal(chance_of(index, queries, ASKED, FV_FIND_HYBRID, &both), FV_OK);
    assert_true(isfinite(both) && both != level); /* "nothing" is met, and counts */
    assert_int_equal(chance_of(index, queries, ASKED, FV_FIND_WORDS, &level), FV_E_ARGUMENT);
    assert_int_equal(chance_of(index, queries, 1, FV_FIND_MEANING, &level), FV_E_ARGUMENT);
    queries[1].vector = NULL;
    assert_int_equal(chance_of(index, queries, ASKED, FV_FIND_MEANING, &level), FV_E_ARGUMENT);
    fv_index_free(index);
}

/* They stand for texts of any subject: many, each once, none with a word of its own language in common with most others. */
static void unrelated_texts_are_of_many_subjects(void **state)
{
    (void)state;
    size_t n;
    const fv_text *texts = fv_unrelated_texts(&n);
    assert_true(n >= 40);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(strlen(texts[i].text), texts[i].len);
        for (size_t k = 0; k < i; k++) assert_string_not_equal(texts[i].text, texts[k].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_changes_goes), cmocka_unit_test(threads_change_nothing), cmocka_unit_test(both_ways), cmocka_unit_test(two_languages),
        cmocka_unit_test(matched_words), cmocka_unit_test(bad_items), cmocka_unit_test(bad_options), cmocka_unit_test(bad_queries), cmocka_unit_test(odd_texts),
        cmocka_unit_test(failing_allocations), cmocka_unit_test(memory_is_bounded), cmocka_unit_test(many_search_while_one_writes),
        cmocka_unit_test(chance_is_what_unrelated_queries_find), cmocka_unit_test(unrelated_texts_are_of_many_subjects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
