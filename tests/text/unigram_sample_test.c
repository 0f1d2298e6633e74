/* Cuts by chance: as probable as the model says, raised to alpha; all of the text; the same for the same random numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>

#include <cmocka.h>

#include "text/made.h"

#define VOCAB "[\"<unk>\",0],[\"" FV_META "\",-2],[\"a\",-1],[\"b\",-1.5],[\"ab\",-2],[\"bb\",-2.5],[\"abb\",-3]"
#define DRAWS 20000

static fv_tokenizer *parse(void)
{
    static const char text[] = "{\"model\":{\"type\":\"Unigram\",\"vocab\":[" VOCAB "],\"unk_id\":0},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"never\"},\"decoder\":{\"type\":\"Metaspace\",\"prepend_scheme\":\"never\"}}";
    fv_err err = {0};
    fv_tokenizer *t = fv_tokenizer_parse(text, strlen(text), "u.json", &err);
    if (!t) fail_msg("%s", err.text);
    return t;
}

static void sample(const fv_tokenizer *t, const char *text, double alpha, fv_rng *rng, fv_encoding *e)
{
    fv_err err = {0};
    if (fv_tokenizer_sample(t, text, strlen(text), alpha, rng, e, &err) != FV_OK) fail_msg("%s", err.text);
}

/* The ways to cut "abb", and the log probability of each. */
static const struct { const char *spelled; double score; } ways[] = {
    {"a[0,1) b[1,2) b[2,3) ", -4},
    {"ab[0,2) b[2,3) ", -3.5},
    {"a[0,1) bb[1,3) ", -3.5},
    {"abb[0,3) ", -3},
};

static void assert_shares(double alpha)
{
    size_t counts[FV_COUNT(ways)] = {0};
    double sum = 0;
    fv_tokenizer *t = parse();
    fv_rng rng = fv_rng_make(11, "cuts");
    fv_encoding e = {0};
    for (int i = 0; i < DRAWS; i++) {
        sample(t, "abb", alpha, &rng, &e);
        size_t way = 0;
        while (way < FV_COUNT(ways) && strcmp(made_spelled(t, &e), ways[way].spelled) != 0) way++;
        assert_true(way < FV_COUNT(ways));
        counts[way]++;
    }
    for (size_t i = 0; i < FV_COUNT(ways); i++) sum += exp(alpha * ways[i].score);
    for (size_t i = 0; i < FV_COUNT(ways); i++) {
        double share = exp(alpha * ways[i].score) / sum, sigma = sqrt(share * (1 - share) / DRAWS);
        if (fabs((double)counts[i] / DRAWS - share) > 4 * sigma) fail_msg("alpha %g: %zu of %d are %s, expected %g", alpha, counts[i], DRAWS, ways[i].spelled, share * DRAWS);
    }
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void cuts_are_as_probable_as_the_model_says(void **state)
{
    (void)state;
    assert_shares(0);
    assert_shares(0.2);
    assert_shares(1);
}

static void a_large_alpha_gives_the_best_cut(void **state)
{
    fv_rng rng = fv_rng_make(2, "cuts");
    fv_encoding e = {0};
    (void)state;
    fv_tokenizer *t = parse();
    for (int i = 0; i < 100; i++) {
        sample(t, "abb abb", 1000, &rng, &e);
        assert_string_equal(made_spelled(t, &e), "abb[0,3) \u2581[3,4) abb[4,7) ");
    }
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void the_same_numbers_cut_alike_and_caches_do_not_matter(void **state)
{
    static const char text[] = "abb abbabb b abb abb abb";
    fv_encoding a = {0}, b = {0};
    size_t different = 0, n = 0;
    (void)state;
    fv_tokenizer *t = parse();
    for (uint64_t seed = 0; seed < 20; seed++) {
        fv_rng one = fv_rng_make(seed, "cuts"), two = one;
        made_encode(t, text, &b); /* fills the cache with best cuts */
        sample(t, text, 0.1, &one, &a);
        sample(t, text, 0.1, &two, &b);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.ids, b.ids, a.n * sizeof *a.ids);
        assert_int_equal(one.counter, two.counter);
        different += n && a.n != n;
        n = a.n;
    }
    assert_true(different > 0);
    fv_encoding_release(&a);
    fv_encoding_release(&b);
    fv_tokenizer_close(t);
}

/* Longer than what fits on the stack, with characters that no token covers. */
static void long_and_unknown_texts_are_covered(void **state)
{
    char text[601];
    fv_rng rng = fv_rng_make(5, "cuts");
    fv_encoding e = {0};
    uint32_t at = 0;
    (void)state;
    fv_tokenizer *t = parse();
    for (int i = 0; i < 600; i++) text[i] = "abbabx\xffz"[i % 8];
    text[600] = 0;
    sample(t, text, 0.1, &rng, &e);
    for (size_t i = 0; i < e.n; i++) {
        assert_int_equal(e.begins[i], at);
        at = e.ends[i];
    }
    assert_int_equal(at, 600);
    sample(t, "", 0.1, &rng, &e);
    assert_int_equal(e.n, 0);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void what_makes_no_sense_is_refused(void **state)
{
    fv_err err = {0};
    fv_encoding e = {0};
    fv_rng rng = fv_rng_make(1, "cuts");
    (void)state;
    fv_tokenizer *t = parse();
    assert_int_equal(fv_tokenizer_sample(t, "a", 1, -0.1, &rng, &e, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "alpha is -0.1"));
    assert_int_equal(fv_tokenizer_sample(t, "a", 1, NAN, &rng, &e, &err), FV_E_ARGUMENT);
    fv_tokenizer_close(t);
    t = made_tokenizer(FV_NORMALIZE_NFC, false);
    assert_int_equal(fv_tokenizer_sample(t, "a", 1, 0.1, &rng, &e, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "unigram"));
    fv_tokenizer_close(t);
    fv_encoding_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_are_as_probable_as_the_model_says),
        cmocka_unit_test(a_large_alpha_gives_the_best_cut),
        cmocka_unit_test(the_same_numbers_cut_alike_and_caches_do_not_matter),
        cmocka_unit_test(long_and_unknown_texts_are_covered),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
