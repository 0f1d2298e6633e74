/* BM25 against its formula in float64, over documents that come and go at random; against an index that never saw what went; and
 * lists of words in cells against plain ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "text/bm25.h"

/* ---- Cells ---- */

enum { LISTS = 400 };

typedef struct list { uint32_t place, n, room; } list;

static void check_lists(const fv_cells *cells, const list *lists)
{
    for (uint32_t i = 0; i < LISTS; i++)
        for (uint32_t k = 0; k < lists[i].n; k++) assert_int_equal(cells->words[lists[i].place + k], i << 16 | (k & 0xffff));
}

static void lists_do_not_touch(void **state)
{
    (void)state;
    fv_cells cells = {0};
    static list lists[LISTS];
    fv_rng rng = fv_rng_make(1, "cells");
    size_t live = 0, most = 0;
    for (int step = 0; step < 30000; step++) {
        list *l = &lists[fv_rng_below(&rng, LISTS)];
        if (l->n) {
            fv_cells_free(&cells, l->place, l->room);
            live -= l->room;
            l->n = 0;
        } else {
            l->n = 1 + (uint32_t)fv_rng_below(&rng, 1u << fv_rng_below(&rng, 11));
            l->room = fv_cells_room(l->n);
            assert_true(l->room >= l->n && l->room <= l->n + l->n / 4 + 1);
            assert_int_equal(fv_cells_new(&cells, l->n, &l->place, NULL), FV_OK);
            for (uint32_t k = 0; k < l->n; k++) cells.words[l->place + k] = (uint32_t)(l - lists) << 16 | (k & 0xffff);
            live += l->room;
            if (live > most) most = live;
        }
        if (step % 500 == 0) check_lists(&cells, lists);
    }
    assert_true(cells.n < 2 * most); /* what is freed is used again */
    fv_cells_release(&cells);
}

/* ---- Truth ---- */

enum { DOCUMENTS = 120, VOCABULARY = 40, MOST_WORDS = 30 };

/* Words are numbers, written as letters: some of them Chinese. */
static const char *const spelled[] = {"alpha", "Beta", "gamma", "茶", "delta", "ée"};

typedef struct document {
    bool there;
    int counts[VOCABULARY], n;
    char text[MOST_WORDS * 24];
} document;

static void make_document(document *d, fv_rng *rng)
{
    size_t at = 0;
    *d = (document){.there = true, .n = (int)fv_rng_below(rng, MOST_WORDS)};
    if (fv_rng_below(rng, 10) == 0) d->n = 0;
    for (int i = 0; i < d->n; i++) {
        int w = (int)(fv_rng_below(rng, VOCABULARY) * fv_rng_below(rng, VOCABULARY) / VOCABULARY); /* some are frequent */
        d->counts[w]++;
        at += (size_t)snprintf(d->text + at, sizeof d->text - at, " %s%d", w % 6 == 3 ? "tea" : spelled[w % 6], w);
    }
}

static const char *word(int w)
{
    static char text[32];
    snprintf(text, sizeof text, "%s%d", w % 6 == 3 ? "tea" : spelled[w % 6], w);
    return text;
}

static double truth(const document *all, const document *d, const int *query, int n, double k1, double b)
{
    double score = 0, total = 0, count = 0;
    for (int i = 0; i < DOCUMENTS; i++) {
        count += all[i].there;
        total += all[i].there ? all[i].n : 0;
    }
    for (int q = 0; q < n; q++) {
        double having = 0, f = d->counts[query[q]];
        for (int i = 0; i < DOCUMENTS; i++) having += all[i].there && all[i].counts[query[q]];
        if (f) score += log(1 + (count - having + 0.5) / (having + 0.5)) * f * (k1 + 1) / (f + k1 * (1 - b + b * d->n / (total / count)));
    }
    return score;
}

static fv_terms terms;

static void query_text(char *out, size_t size, const int *query, int n)
{
    size_t at = 0;
    for (int q = 0; q < n; q++) at += (size_t)snprintf(out + at, size - at, "%s, ", word(query[q]));
}

static void check_scores(const fv_bm25 *index, const document *all, fv_rng *rng)
{
    int query[5];
    char text[256];
    float scores[DOCUMENTS];
    for (int q = 0; q < 5; q++) query[q] = (int)fv_rng_below(rng, VOCABULARY);
    query[4] = query[0]; /* a repeated word counts again */
    query_text(text, sizeof text, query, 5);
    assert_int_equal(fv_bm25_scores(index, scores, NULL, text, strlen(text), &terms, NULL), FV_OK);
    for (uint32_t i = 0; i < index->n_documents; i++) {
        double expected = all[i].there ? truth(all, &all[i], query, 5, index->k1, index->b) : 0;
        if (!(fabs(scores[i] - expected) <= 1e-5 * expected + 1e-7)) fail_msg("document %u, \"%s\": %.9g, expected %.9g", i, text, (double)scores[i], expected);
    }
}

/* The same documents in an index that knows no others. */
static void check_as_new(const fv_bm25 *index, const document *all)
{
    fv_bm25 fresh;
    float scores[DOCUMENTS], expected[DOCUMENTS];
    fv_bm25_init(&fresh, index->k1, index->b);
    for (uint32_t i = DOCUMENTS; i-- > 0;)
        if (all[i].there) assert_int_equal(fv_bm25_add(&fresh, i, all[i].text, strlen(all[i].text), &terms, NULL), FV_OK);
    assert_int_equal(fresh.ids.n, index->ids.n);
    for (int w = 0; w < VOCABULARY; w++) {
        memset(scores, 0, sizeof scores);
        memset(expected, 0, sizeof expected);
        assert_int_equal(fv_bm25_scores(index, scores, NULL, word(w), strlen(word(w)), &terms, NULL), FV_OK);
        assert_int_equal(fv_bm25_scores(&fresh, expected, NULL, word(w), strlen(word(w)), &terms, NULL), FV_OK);
        assert_memory_equal(scores, expected, sizeof scores);
    }
    fv_bm25_release(&fresh);
}

static void as_the_formula(void **state)
{
    (void)state;
    static document all[DOCUMENTS];
    const double k1s[] = {1.2, 0, 2}, bs[] = {0.75, 0.4, 1};
    for (int round = 0; round < 3; round++) {
        fv_bm25 index;
        fv_rng rng = fv_rng_make((uint64_t)round, "bm25");
        fv_bm25_init(&index, k1s[round], bs[round]);
        memset(all, 0, sizeof all);
        for (int step = 0; step < 3000; step++) {
            uint32_t i = (uint32_t)fv_rng_below(&rng, DOCUMENTS);
            fv_bm25_remove(&index, i);
            all[i].there = false;
            assert_false(fv_bm25_has(&index, i));
            if (fv_rng_below(&rng, 3)) {
                make_document(&all[i], &rng);
                assert_int_equal(fv_bm25_add(&index, i, all[i].text, strlen(all[i].text), &terms, NULL), FV_OK);
                assert_true(fv_bm25_has(&index, i));
            }
            if (step % 50 == 0) check_scores(&index, all, &rng);
            if (step % 500 == 0) check_as_new(&index, all);
        }
        for (uint32_t i = 0; i < DOCUMENTS; i++) fv_bm25_remove(&index, i);
        assert_int_equal(index.ids.n, 0);
        assert_int_equal(index.count, 0);
        assert_int_equal(index.total, 0);
        fv_bm25_release(&index);
    }
}

/* A document of mean length that has each word once scores what is said to be the whole. */
static void the_whole(void **state)
{
    (void)state;
    static const char *const texts[] = {"one two three", "four five one", "six seven eight"};
    fv_bm25 index;
    float scores[3], whole;
    fv_bm25_init(&index, 1.2, 0.75);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(fv_bm25_add(&index, i, texts[i], strlen(texts[i]), &terms, NULL), FV_OK);
    assert_int_equal(fv_bm25_scores(&index, scores, &whole, "two one", 7, &terms, NULL), FV_OK);
    assert_true(fabsf(scores[0] - whole) < 1e-6f * whole && scores[1] > 0 && scores[1] < whole);
    assert_int_equal(fv_bm25_scores(&index, scores, &whole, "two nine", 8, &terms, NULL), FV_OK);
    assert_true(scores[0] > 0 && fabs(whole - scores[0] - log(1 + 3.5 / 0.5)) < 1e-6);
    assert_int_equal(fv_bm25_scores(&index, scores, &whole, "", 0, &terms, NULL), FV_OK);
    assert_true(whole == 0);
    fv_bm25_release(&index);
}

/* Two characters that stand together, and a single one. */
static void chinese(void **state)
{
    (void)state;
    static const char *const texts[] = {"我的包裹还没到", "包子和茶", "裹着包", "我要退货"};
    fv_bm25 index;
    float scores[4];
    fv_bm25_init(&index, 1.2, 0.75);
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(fv_bm25_add(&index, i, texts[i], strlen(texts[i]), &terms, NULL), FV_OK);
    assert_int_equal(fv_bm25_scores(&index, scores, NULL, "包裹", 6, &terms, NULL), FV_OK);
    assert_true(scores[0] > 0 && scores[1] == 0 && scores[2] == 0 && scores[3] == 0);
    assert_int_equal(fv_bm25_scores(&index, scores, NULL, "包", 3, &terms, NULL), FV_OK);
    assert_true(scores[0] > 0 && scores[1] > 0 && scores[2] > 0 && scores[3] == 0);
    fv_bm25_release(&index);
}

/* Documents that come and go for ever take no more memory than those that are there. */
static void memory_is_bounded(void **state)
{
    (void)state;
    static document d;
    fv_bm25 index;
    fv_rng rng = fv_rng_make(3, "bound");
    size_t bytes = 0;
    fv_bm25_init(&index, 1.2, 0.75);
    for (uint32_t step = 0; step < 40000; step++) {
        uint32_t i = step % 500;
        make_document(&d, &rng);
        char text[sizeof d.text + 32];
        snprintf(text, sizeof text, "%s once%u only%u", d.text, step, step); /* words that nobody else has */
        fv_bm25_remove(&index, i);
        assert_int_equal(fv_bm25_add(&index, i, text, strlen(text), &terms, NULL), FV_OK);
        if (step == 5000) bytes = fv_bm25_bytes(&index);
    }
    assert_true(fv_bm25_bytes(&index) <= bytes);
    fv_bm25_release(&index);
}

/* Whatever allocation fails: the index is as it was, and takes the document afterwards. */
static void all_or_nothing(void **state)
{
    (void)state;
    static document all[DOCUMENTS];
    fv_rng rng = fv_rng_make(9, "fail");
    fv_terms_release(&terms);
    int64_t live = fv_alloc_live(), failed = 0;
    fv_bm25 index;
    fv_bm25_init(&index, 1.2, 0.75);
    memset(all, 0, sizeof all);
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        make_document(&all[i], &rng);
        snprintf(all[i].text + strlen(all[i].text), 24, " one%u two%u", i, i);
        for (int64_t fail = 0;; fail++, failed++) {
            fv_err err;
            size_t words = index.ids.n;
            fv_terms_release(&terms);
            fv_alloc_fail_after(fail);
            fv_status status = fv_bm25_add(&index, i, all[i].text, strlen(all[i].text), &terms, &err);
            fv_alloc_fail_after(-1);
            if (status == FV_OK) break;
            assert_int_equal(err.status, FV_E_MEMORY);
            assert_false(fv_bm25_has(&index, i));
            assert_int_equal(index.ids.n, words);
            assert_int_equal(index.count, i);
        }
    }
    assert_true(failed > DOCUMENTS);
    check_as_new(&index, all);
    fv_bm25_release(&index);
    fv_terms_release(&terms);
    assert_int_equal(fv_alloc_live(), live);
}

static void too_many(void **state)
{
    (void)state;
    fv_bm25 index;
    fv_err err;
    fv_bm25_init(&index, 1.2, 0.75);
    assert_int_equal(fv_bm25_add(&index, FV_BM25_DOCUMENTS, "a", 1, &terms, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "more than 16777216 texts"));
    assert_int_equal(index.ids.n, 0);
    fv_bm25_release(&index);
}

static int teardown(void **state)
{
    (void)state;
    fv_terms_release(&terms);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_do_not_touch), cmocka_unit_test(as_the_formula), cmocka_unit_test(the_whole), cmocka_unit_test(chinese),
        cmocka_unit_test(memory_is_bounded), cmocka_unit_test(all_or_nothing), cmocka_unit_test(too_many),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
