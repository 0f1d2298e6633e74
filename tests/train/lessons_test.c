/* Lessons: shares that sum to 1 and mean the labels, copies made of the rows' own words, teachers that have
 * not seen what they speak of, the same whatever the threads, and nothing left behind without memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "train/lessons.h"

enum { MOST = 240 };

/* Rows whose texts and labels a test writes; nothing of it is on the heap. */
typedef struct rows {
    char text[MOST][96];
    fv_example examples[MOST];
    fv_dataset data;
} rows;

static void add(rows *r, int label, const char *format, ...)
{
    va_list args;
    size_t i = r->data.n++;
    va_start(args, format);
    vsnprintf(r->text[i], sizeof r->text[i], format, args);
    va_end(args);
    r->examples[i] = (fv_example){.text = r->text[i], .text_len = (uint32_t)strlen(r->text[i]), .label = label, .n_labels = 1};
    r->data.rows = r->examples;
}

static const char *const words[3][2] = {{"apple", "plum"}, {"iron", "zinc"}, {"rhine", "nile"}};

/* One word of each tells the label. */
static void fill(rows *r, int n)
{
    memset(r, 0, sizeof *r);
    for (int i = 0; i < n; i++) add(r, i % 3, "the %s of number %d was seen there", words[i % 3][i / 3 % 2], i);
}

static void make(fv_lessons *l, const rows *r, int outputs, int threads)
{
    fv_err err = {0};
    fv_pool *pool = threads > 1 ? fv_pool_new(threads, &err) : NULL;
    if (fv_lessons_make(l, &r->data, outputs, 7, pool, &err) != FV_OK) fail_msg("%s", err.text);
    fv_pool_free(pool);
}

static void shares_are_shares_and_mostly_right(void **state)
{
    (void)state;
    static rows r;
    fv_lessons l;
    size_t right = 0;
    fill(&r, MOST);
    make(&l, &r, 3, 1);
    assert_int_equal(l.n, MOST * (1 + FV_LESSON_COPIES));
    for (size_t i = 0; i < l.n; i++) {
        const float *x = l.shares + 3 * i;
        int label = (int)(i % MOST) % 3;
        assert_float_equal(x[0] + x[1] + x[2], 1, 1e-5);
        right += x[label] > x[(label + 1) % 3] && x[label] > x[(label + 2) % 3];
        if (i < MOST) assert_true(x[label] >= 0.3f - 1e-6f);
    }
    /* A copy may have lost the one word that tells, or have another's. */
    assert_true(right > l.n * 7 / 10);
    fv_lessons_release(&l);
}

static bool is_known_word(const char *word, size_t len)
{
    static const char *const common[] = {"the", "of", "number", "was", "seen", "there", "apple", "plum", "iron", "zinc", "rhine", "nile"};
    for (size_t i = 0; i < FV_COUNT(common); i++)
        if (strlen(common[i]) == len && memcmp(common[i], word, len) == 0) return true;
    return len > 0 && strspn(word, "0123456789") >= len;
}

static void copies_are_made_of_the_words_of_rows(void **state)
{
    (void)state;
    static rows r;
    fv_lessons l;
    size_t changed = 0;
    fill(&r, 120);
    make(&l, &r, 3, 1);
    for (size_t i = 0; i < l.n; i++) {
        const fv_text *t = &l.texts[i];
        if (i < 120) assert_ptr_equal(t->text, r.text[i]);
        else changed += t->len != strlen(r.text[i % 120]) || memcmp(t->text, r.text[i % 120], t->len) != 0;
        for (const char *p = t->text; *p;) {
            size_t len = strcspn(p, " ");
            assert_true(is_known_word(p, len));
            p += len + (p[len] == ' ');
        }
    }
    assert_true(changed > 300);
    fv_lessons_release(&l);
}

/* Every text is there twice, with a label by chance: who had seen the one would know the other. */
static void a_teacher_has_not_seen_what_it_speaks_of(void **state)
{
    (void)state;
    static rows r;
    fv_lessons l;
    fv_rng rng = fv_rng_make(3, "labels");
    double own = 0;
    memset(&r, 0, sizeof r);
    for (int i = 0; i < MOST; i += 2) {
        int label = (int)fv_rng_below(&rng, 2);
        unsigned name = 0x10000 + (unsigned)fv_rng_below(&rng, 0xffff0000);
        add(&r, label, "%x%x%x", name, ~name, name * 77);
        add(&r, label, "%x%x%x", name, ~name, name * 77);
    }
    make(&l, &r, 2, 1);
    for (size_t i = 0; i < MOST; i++) own += (double)l.shares[2 * i + (size_t)r.examples[i].label] / MOST;
    assert_true(own < 0.3 + 0.7 * 0.6); /* 0.65 for one that knows nothing, 1 for one that knows all */
    fv_lessons_release(&l);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    static rows r;
    fv_lessons one, three;
    fill(&r, 100);
    make(&one, &r, 3, 1);
    make(&three, &r, 3, 3);
    assert_int_equal(one.n, three.n);
    assert_memory_equal(one.shares, three.shares, one.n * 3 * sizeof *one.shares);
    for (size_t i = 0; i < one.n; i++) assert_string_equal(one.texts[i].text, three.texts[i].text);
    fv_lessons_release(&one);
    fv_lessons_release(&three);
}

static bool is_utf8(const char *p, const char *end)
{
    int len = 1;
    for (; p < end && len > 0; p += len) len = fv_utf8_len(p, end);
    return len > 0;
}

static void characters_stay_whole(void **state)
{
    (void)state;
    static rows r;
    fv_lessons l;
    memset(&r, 0, sizeof r);
    for (int i = 0; i < 90; i++) add(&r, i % 2, "%s房间%d号 very 🙂 %s", i % 2 ? "很好" : "太差", i, i % 3 ? "ok" : "不错");
    make(&l, &r, 2, 1);
    for (size_t i = 90; i < l.n; i++) assert_true(is_utf8(l.texts[i].text, l.texts[i].text + l.texts[i].len));
    fv_lessons_release(&l);
}

static void a_second_text_has_copies_too(void **state)
{
    (void)state;
    static rows r;
    fv_lessons l;
    size_t changed = 0;
    fill(&r, 60);
    for (size_t i = 0; i < 60; i++) r.examples[i].text2 = r.text[59 - i], r.examples[i].text2_len = (uint32_t)strlen(r.text[59 - i]);
    make(&l, &r, 3, 1);
    for (size_t i = 60; i < l.n; i++) changed += l.texts[i].text2 != r.text[59 - i % 60];
    assert_int_equal(changed, l.n - 60);
    fv_lessons_release(&l);
}

static void sets_without_lessons(void **state)
{
    (void)state;
    static rows r;
    fv_lessons l;
    fill(&r, 49);
    make(&l, &r, 3, 1);
    assert_int_equal(l.n, 0); /* too few rows */
    memset(&r, 0, sizeof r);
    for (int i = 0; i < 100; i++) add(&r, i % 2, "the same");
    make(&l, &r, 2, 1);
    assert_int_equal(l.n, 0); /* all in one fold: nobody is left to teach it */
    fill(&r, 100);
    make(&l, &r, 1 << 20, 1);
    assert_int_equal(l.n, 0); /* too many labels for a table of shares */
    fv_lessons_release(&l);
}

static void empty_texts_are_their_own_copies(void **state)
{
    (void)state;
    static rows r;
    fv_lessons l;
    fill(&r, 100);
    for (size_t i = 0; i < 100; i += 10) r.examples[i].text = "", r.examples[i].text_len = 0;
    make(&l, &r, 3, 1);
    assert_int_equal(l.texts[100].len, 0);
    fv_lessons_release(&l);
}

static void no_memory_leaves_nothing(void **state)
{
    (void)state;
    static rows r;
    fill(&r, 60);
    int64_t alive = fv_alloc_live();
    fv_status status = FV_E_MEMORY;
    int64_t n = 0;
    for (; status != FV_OK; n += n < 100 ? 1 : 29) {
        fv_lessons l;
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_lessons_make(&l, &r.data, 3, 7, NULL, &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) fv_lessons_release(&l);
        else assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), alive);
    }
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_shares_and_mostly_right),
        cmocka_unit_test(copies_are_made_of_the_words_of_rows),
        cmocka_unit_test(a_teacher_has_not_seen_what_it_speaks_of),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(characters_stay_whole),
        cmocka_unit_test(a_second_text_has_copies_too),
        cmocka_unit_test(sets_without_lessons),
        cmocka_unit_test(empty_texts_are_their_own_copies),
        cmocka_unit_test(no_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
