/* BLEU and chrF (bleu.c, bleu_words.c, chrf.c, grams.c): against sacreBLEU's counts of each sentence and figures
 * of the whole, which tests/golden/overlap/record.py wrote, by hand, and on what no reference program reads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "text/overlap.h"

#define GOLDEN "tests/golden/overlap/figures.jsonl"
enum { MOST_REFERENCES = 4 };

static fv_text_span span(const char *text) { return (fv_text_span){text, strlen(text)}; }

static fv_bleu_stats bleu(const char *text, const char *reference, fv_bleu_options how)
{
    fv_overlap room = {0};
    fv_bleu_stats stats;
    fv_text_span r = span(reference);
    fv_err err = {0};
    if (fv_bleu_count(&stats, &room, &how, text, strlen(text), &r, 1, &err) != FV_OK) fail_msg("%s", err.text);
    fv_overlap_release(&room);
    return stats;
}

static fv_chrf_stats chrf(const char *text, const char *reference, fv_chrf_options how)
{
    fv_overlap room = {0};
    fv_chrf_stats stats;
    fv_text_span r = span(reference);
    fv_err err = {0};
    if (fv_chrf_count(&stats, &room, &how, text, strlen(text), &r, 1, &err) != FV_OK) fail_msg("%s", err.text);
    fv_overlap_release(&room);
    return stats;
}

/* ---- Against sacreBLEU -------------------------------------------------------------------- */

typedef struct sentence {
    const char *text;
    size_t len, n;
    fv_text_span references[MOST_REFERENCES];
} sentence;

static sentence read_sentence(const json_t *row)
{
    const json_t *text = json_object_get(row, "text"), *references = json_object_get(row, "references");
    sentence s = {.text = json_string_value(text), .len = json_string_length(text), .n = json_array_size(references)};
    assert_true(s.text && s.n > 0 && s.n <= MOST_REFERENCES);
    for (size_t i = 0; i < s.n; i++) {
        const json_t *r = json_array_get(references, i);
        s.references[i] = (fv_text_span){json_string_value(r), json_string_length(r)};
    }
    return s;
}

static void assert_count(int64_t found, const json_t *counts, size_t i, const char *what, const sentence *s)
{
    int64_t expected = json_integer_value(json_array_get(counts, i));
    if (found != expected) fail_msg("%s, count %zu is %lld, expected %lld, for: %s", what, i, (long long)found, (long long)expected, s->text);
}

static void assert_figure(double found, const json_t *expected, const char *what)
{
    if (!(fabs(found - json_number_value(expected)) <= 1e-9)) fail_msg("%s is %.12g, expected %.12g", what, found, json_number_value(expected));
}

/* Theirs and ours but for the version. */
static void assert_signature(const char *found, const json_t *expected)
{
    const char *theirs = json_string_value(expected), *version = strstr(theirs, "version:");
    assert_non_null(version);
    size_t n = (size_t)(version - theirs);
    if (strncmp(found, theirs, n) != 0) fail_msg("%s; expected as %s", found, theirs);
    assert_string_equal(found + n, "version:fovea-" FV_VERSION);
}

/* One way to count, over the sentences of a set. */
typedef struct way {
    char key[32];
    fv_bleu_options bleu;
    fv_chrf_options chrf;
    fv_bleu_stats bleu_sum;
    fv_chrf_stats chrf_sum;
} way;

static void assert_bleu_row(way *w, fv_overlap *room, const json_t *row)
{
    sentence s = read_sentence(row);
    const json_t *counts = json_object_get(json_object_get(row, "bleu"), w->key);
    fv_bleu_stats stats;
    fv_err err = {0};
    assert_int_equal(json_array_size(counts), 10);
    if (fv_bleu_count(&stats, room, &w->bleu, s.text, s.len, s.references, s.n, &err) != FV_OK) fail_msg("%s", err.text);
    assert_count(stats.length, counts, 0, w->key, &s);
    assert_count(stats.reference_length, counts, 1, w->key, &s);
    for (size_t n = 0; n < FV_BLEU_ORDER; n++) {
        assert_count(stats.correct[n], counts, 2 + n, w->key, &s);
        assert_count(stats.total[n], counts, 2 + FV_BLEU_ORDER + n, w->key, &s);
    }
    assert_figure(fv_bleu_value(&stats, true), json_object_get(json_object_get(row, "sentence"), w->key), w->key);
    fv_bleu_add(&w->bleu_sum, &stats);
}

static void assert_chrf_row(way *w, fv_overlap *room, const json_t *row)
{
    sentence s = read_sentence(row);
    const json_t *counts = json_object_get(json_object_get(row, "chrf"), w->key);
    fv_chrf_stats stats;
    fv_err err = {0};
    assert_int_equal(json_array_size(counts), 3 * (w->chrf.words ? FV_CHRF_ORDER : FV_CHRF_CHARACTERS));
    if (fv_chrf_count(&stats, room, &w->chrf, s.text, s.len, s.references, s.n, &err) != FV_OK) fail_msg("%s", err.text);
    for (size_t i = 0; 3 * i < json_array_size(counts); i++) {
        assert_count(stats.text[i], counts, 3 * i, w->key, &s);
        assert_count(stats.reference[i], counts, 3 * i + 1, w->key, &s);
        assert_count(stats.common[i], counts, 3 * i + 2, w->key, &s);
    }
    fv_chrf_add(&w->chrf_sum, &stats);
}

/* A set's last line has the figures of the whole. */
static void assert_total(const way *w, const json_t *row, const char *metric, size_t n_references)
{
    const json_t *expected = json_object_get(json_object_get(row, metric), w->key);
    fv_signature room;
    bool is_bleu = strcmp(metric, "bleu") == 0;
    assert_int_equal(json_array_size(expected), 2);
    assert_figure(is_bleu ? fv_bleu_value(&w->bleu_sum, false) : fv_chrf_value(&w->chrf_sum), json_array_get(expected, 0), w->key);
    assert_signature(is_bleu ? fv_bleu_signature(&room, &w->bleu, n_references) : fv_chrf_signature(&room, &w->chrf, n_references), json_array_get(expected, 1));
}

/* Both sets by one way. */
static void assert_way(const way *how, const char *metric, void (*assert_row)(way *w, fv_overlap *room, const json_t *row))
{
    fv_buf file = {0};
    fv_err err = {0};
    fv_overlap room = {0};
    way w = *how;
    size_t sets = 0, rows = 0, n_references = 0;
    if (fv_file_read(GOLDEN, 1 << 20, &file, &err) != FV_OK) fail_msg("%s (tests run in the repository's root)", err.text);
    for (char *line = file.data, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *row = fv_json_parse(line, (size_t)(end - line), GOLDEN, &err);
        if (!row) fail_msg("%s", err.text);
        if (json_object_get(row, "text")) {
            assert_row(&w, &room, row);
            n_references = json_array_size(json_object_get(row, "references"));
            rows++;
        } else {
            assert_total(&w, row, metric, n_references);
            w = *how;
            sets++;
        }
        json_decref(row);
    }
    assert_true(sets == 2 && rows >= 40);
    fv_overlap_release(&room);
    fv_buf_release(&file);
}

static void bleu_as_sacrebleu_has_it(void **state)
{
    (void)state;
    for (int cut = FV_BLEU_13A; cut <= FV_BLEU_NONE; cut++)
        for (int lower = 0; lower < 2; lower++) {
            way w = {.bleu = {.cut = (fv_bleu_cut)cut, .lower = lower}};
            snprintf(w.key, sizeof w.key, "%s %s", fv_bleu_cut_name((fv_bleu_cut)cut), lower ? "lc" : "mixed");
            assert_way(&w, "bleu", assert_bleu_row);
        }
}

static void chrf_as_sacrebleu_has_it(void **state)
{
    (void)state;
    for (int words = 0; words < 2; words++)
        for (int lower = 0; lower < 2; lower++) {
            way w = {.chrf = {.words = words, .lower = lower}};
            snprintf(w.key, sizeof w.key, "%d %s", words ? FV_CHRF_WORDS : 0, lower ? "lc" : "mixed");
            assert_way(&w, "chrf", assert_chrf_row);
        }
}

/* ---- By hand ------------------------------------------------------------------------------ */

static void clipped_as_in_the_paper(void **state)
{
    (void)state;
    fv_bleu_stats s = bleu("the the the the the the the", "the cat is on the mat", (fv_bleu_options){0});
    assert_int_equal(s.correct[0], 2);
    assert_int_equal(s.total[0], 7);
    assert_int_equal(s.correct[1], 0);
    assert_int_equal(s.reference_length, 6);
}

static void ends_of_the_scale(void **state)
{
    (void)state;
    fv_bleu_stats same = bleu("A small boat sails far away.", "A small boat sails far away.", (fv_bleu_options){0});
    assert_true(fabs(fv_bleu_value(&same, false) - 100) < 1e-9);
    fv_bleu_stats none = bleu("un deux", "three four five", (fv_bleu_options){0}), empty = {0};
    assert_true(fv_bleu_value(&none, true) == 0 && fv_bleu_value(&empty, false) == 0 && fv_bleu_value(&empty, true) == 0);
    fv_bleu_stats three = bleu("only three words", "only three words", (fv_bleu_options){0});
    assert_true(fv_bleu_value(&three, false) == 0 && fabs(fv_bleu_value(&three, true) - 100) < 1e-9);
    fv_chrf_stats alike = chrf("ab", "a b", (fv_chrf_options){0}), apart = chrf("ab", "cd", (fv_chrf_options){0}), nothing = chrf("", "", (fv_chrf_options){0});
    assert_true(fv_chrf_value(&alike) == 100 && fv_chrf_value(&apart) == 0 && fv_chrf_value(&nothing) == 0);
}

static void brevity(void **state)
{
    (void)state;
    /* all n-grams right, 4 words of 8: exp(1 - 8 / 4) */
    fv_bleu_stats s = bleu("a b c d", "a b c d e f g h", (fv_bleu_options){0});
    assert_true(fabs(fv_bleu_value(&s, false) - 100 * exp(-1)) < 1e-9);
}

static void names_of_cuts(void **state)
{
    (void)state;
    for (int i = FV_BLEU_13A; i <= FV_BLEU_NONE; i++) assert_int_equal(fv_bleu_cut_parse(fv_bleu_cut_name((fv_bleu_cut)i)), i);
    assert_int_equal(fv_bleu_cut_parse("13b"), -1);
}

/* ---- Odd input ---------------------------------------------------------------------------- */

/* sacreBLEU reads no such bytes. Each is a character, and equal to itself only. */
static void bytes_that_are_no_text(void **state)
{
    (void)state;
    fv_chrf_stats s = chrf("a\xff\xc3z\xe4\xbd", "a\xff\xc3z\xe4\xbe", (fv_chrf_options){.lower = true, .words = true});
    assert_int_equal(s.text[0], 6);
    assert_int_equal(s.common[0], 5);
    for (int cut = FV_BLEU_13A; cut <= FV_BLEU_NONE; cut++) {
        fv_bleu_stats b = bleu("\xff. \xc3,\xe4\xbd \xf0\x9f \x80", "\xff. \xc3,\xe4\xbd \xf0\x9f \x80", (fv_bleu_options){.cut = (fv_bleu_cut)cut, .lower = true});
        assert_true(b.length > 3 && b.correct[0] == b.total[0]);
    }
}

static void zero_bytes_are_characters(void **state)
{
    (void)state;
    fv_overlap room = {0};
    fv_chrf_stats s;
    fv_text_span r = {"a\0b", 3};
    assert_int_equal(fv_chrf_count(&s, &room, &(fv_chrf_options){0}, "a\0c", 3, &r, 1, NULL), FV_OK);
    assert_int_equal(s.text[0], 3);
    assert_int_equal(s.common[0], 2);
    fv_overlap_release(&room);
}

/* A long text takes no longer a byte than a short one, and the next short one no longer for having come after it. */
static void long_texts(void **state)
{
    (void)state;
    enum { LEN = 400000, SHORT = 20000 };
    fv_overlap room = {0};
    fv_buf text = {0};
    fv_bleu_stats stats;
    fv_chrf_stats chars;
    for (int i = 0; i < LEN / 8; i++) assert_int_equal(fv_buf_printf(&text, NULL, "w%d. \xce\xa3%c", i % 5000, i % 3 ? ':' : ' '), FV_OK);
    fv_text_span all = {text.data, text.len}, few = {"one word", 8};
    assert_int_equal(fv_bleu_count(&stats, &room, &(fv_bleu_options){.lower = true}, text.data, text.len, &all, 1, NULL), FV_OK);
    assert_true(fabs(fv_bleu_value(&stats, false) - 100) < 1e-9);
    assert_int_equal(fv_chrf_count(&chars, &room, &(fv_chrf_options){.words = true}, text.data, text.len, &all, 1, NULL), FV_OK);
    assert_true(fabs(fv_chrf_value(&chars) - 100) < 1e-9);
    double start = fv_now();
    for (int i = 0; i < SHORT; i++) assert_int_equal(fv_bleu_count(&stats, &room, &(fv_bleu_options){0}, few.text, few.len, &few, 1, NULL), FV_OK);
    assert_true(fv_now() - start < 2);
    fv_overlap_release(&room);
    fv_buf_release(&text);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    fv_text_span r[] = {span("Ein Hund, der bellt."), span("Hunde bellen &amp; 狗叫")};
    int64_t live = fv_alloc_live();
    fv_status status = FV_E_MEMORY;
    for (int64_t n = 0; status != FV_OK; n++) {
        fv_overlap room = {0};
        fv_bleu_stats b;
        fv_chrf_stats c;
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_bleu_count(&b, &room, &(fv_bleu_options){.cut = FV_BLEU_ZH, .lower = true}, "Der Hund bellt.", 15, r, 2, &err);
        if (status == FV_OK) status = fv_chrf_count(&c, &room, &(fv_chrf_options){.lower = true, .words = true}, "Der Hund bellt.", 15, r, 2, &err);
        fv_alloc_fail_after(-1);
        assert_true(status == FV_OK || err.status == FV_E_MEMORY);
        fv_overlap_release(&room);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bleu_as_sacrebleu_has_it),
        cmocka_unit_test(chrf_as_sacrebleu_has_it),
        cmocka_unit_test(clipped_as_in_the_paper),
        cmocka_unit_test(ends_of_the_scale),
        cmocka_unit_test(brevity),
        cmocka_unit_test(names_of_cuts),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(zero_bytes_are_characters),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
