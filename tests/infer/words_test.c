/* Which token answers for which word, and how long texts become several rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "data/tags.h"
#include "infer/words.h"
#include "text/made.h"

/* ---- Alignment ---------------------------------------------------------------------------- */

enum { MOST = 16 };

typedef struct bytes { uint32_t begin, end; } bytes;

/* Tokens that came from those bytes of TEXT; `first` and `past` of its words. */
static void expect_aligned(const char *text, const bytes *tokens, size_t n, const int32_t *first, const int32_t *past)
{
    uint32_t begins[MOST], ends[MOST], word_begins[MOST], word_ends[MOST];
    int32_t found_first[MOST], found_past[MOST];
    uint8_t types[MOST] = {0};
    fv_encoding e = {.begins = begins, .ends = ends, .types = types, .n = n};
    fv_word_rows w = {.begins = word_begins, .ends = word_ends, .first = found_first, .past = found_past};
    const char *at = text, *word;
    for (size_t i = 0; i < n; i++) begins[i] = tokens[i].begin, ends[i] = tokens[i].end;
    for (size_t len; fv_word_next(&at, text + strlen(text), &word, &len); w.n++) {
        word_begins[w.n] = (uint32_t)(word - text);
        word_ends[w.n] = (uint32_t)(at - text);
    }
    fv_word_rows_align(&w, 0, text, &e);
    for (size_t i = 0; i < w.n; i++) {
        if (found_first[i] != first[i] || found_past[i] != past[i])
            fail_msg("%s: word %zu has tokens %d to %d instead of %d to %d", text, i, found_first[i], found_past[i], first[i], past[i]);
    }
}

static void pieces_of_words(void **state)
{
    (void)state;
    const bytes framed[] = {{0, 0}, {0, 1}, {2, 4}, {4, 6}, {6, 6}};
    expect_aligned("a bcde", framed, 5, (int32_t[]){1, 2}, (int32_t[]){2, 4});
    const bytes spaced[] = {{0, 2}, {2, 3}, {3, 5}, {5, 6}, {6, 7}};
    expect_aligned(" a  bc ", spaced, 5, (int32_t[]){0, 2}, (int32_t[]){1, 4});
}

/* A token over the border of two words goes with the one that it begins in. */
static void tokens_that_do_not_nest(void **state)
{
    (void)state;
    const bytes across[] = {{0, 3}, {3, 4}};
    expect_aligned("a bc", across, 2, (int32_t[]){0, 1}, (int32_t[]){1, 2});
    const bytes whole[] = {{0, 4}};
    expect_aligned("a bc", whole, 1, (int32_t[]){0, -1}, (int32_t[]){1, -1});
    const bytes second[] = {{1, 4}};
    expect_aligned("a bc", second, 1, (int32_t[]){-1, 0}, (int32_t[]){-1, 1});
    const bytes middle_missing[] = {{0, 1}, {4, 5}};
    expect_aligned("a b c", middle_missing, 2, (int32_t[]){0, -1, 1}, (int32_t[]){1, -1, 2});
}

/* ---- Rows --------------------------------------------------------------------------------- */

static fv_tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    (void)state;
    tokenizer = made_tokenizer(FV_NORMALIZE_NFC, false);
    return tokenizer ? 0 : -1;
}

static int close_tokenizer(void **state)
{
    (void)state;
    fv_tokenizer_close(tokenizer);
    return 0;
}

static fv_word_rows make(const fv_text *texts, size_t n, int max_len, int64_t *cut)
{
    fv_word_rows rows;
    fv_encoding e = {0};
    fv_err err = {0};
    *cut = 0;
    if (fv_word_rows_make(&rows, tokenizer, max_len, texts, n, &e, cut, &err) != FV_OK) fail_msg("%s", err.text);
    fv_encoding_release(&e);
    return rows;
}

static void short_texts(void **state)
{
    (void)state;
    const fv_text texts[] = {{.text = "we found  silver"}, {.text = " \t"}, {.text = ""}, {.text = "again !", .len = 5}};
    int64_t cut;
    fv_word_rows rows = make(texts, 4, 64, &cut);
    assert_int_equal(cut, 0);
    assert_int_equal(rows.tokens.n, 2);
    assert_int_equal(rows.n, 4);
    const size_t of_text[] = {0, 3, 3, 3, 4};
    for (int i = 0; i < 5; i++) assert_int_equal(rows.of_text[i], of_text[i]);
    const size_t of_row[] = {0, 3, 4};
    for (int i = 0; i < 3; i++) assert_int_equal(rows.of_row[i], of_row[i]);
    assert_int_equal(rows.begins[2], 10);
    assert_int_equal(rows.ends[2], 16);
    fv_encoding e = {0};
    assert_int_equal(fv_tokenizer_encode(tokenizer, "we found silver", 15, NULL, 0, true, &e, NULL), FV_OK); /* one space */
    assert_int_equal(rows.tokens.offsets[1], e.n);
    assert_memory_equal(rows.tokens.ids, e.ids, e.n * sizeof *e.ids);
    assert_int_equal(rows.tokens.max_len, e.n);
    fv_encoding_release(&e);
    fv_word_rows_release(&rows);
}

/* A space that is a token of its own belongs to no word, so it is left out between rows. */
static bool is_space_token(const fv_encoding *e, size_t i, const fv_text *text)
{
    return e->ends[i] == e->begins[i] + 1 && text->text[e->begins[i]] == ' ';
}

/* Rows of at most max_len tokens hold every word once, whole, in order, framed as a text is. */
static void check_rows(const fv_word_rows *rows, const fv_encoding *whole, const fv_text *text, int max_len)
{
    size_t token = 1, word = 0; /* of the whole text: its frames are one token at either end */
    for (size_t r = 0; r < rows->tokens.n; r++) {
        const int32_t *ids = rows->tokens.ids + rows->tokens.offsets[r];
        size_t n = (size_t)(rows->tokens.offsets[r + 1] - rows->tokens.offsets[r]);
        assert_true(n <= (size_t)max_len && n > 2);
        assert_int_equal(ids[0], whole->ids[0]);
        assert_int_equal(ids[n - 1], whole->ids[whole->n - 1]);
        assert_int_equal(rows->of_row[r], word);
        if (r > 0 && is_space_token(whole, token, text)) token++;
        for (; word < rows->of_row[r + 1]; word++) {
            size_t at = token + (size_t)rows->first[word] - 1;
            assert_true(whole->begins[at] <= rows->begins[word] && rows->begins[word] < whole->ends[at]);
            assert_true(text->text[whole->begins[at]] == ' ' || whole->begins[at] == rows->begins[word]);
        }
        assert_memory_equal(ids + 1, whole->ids + token, (n - 2) * sizeof *ids);
        token += n - 2;
    }
    assert_int_equal(token, whole->n - 1);
    assert_int_equal(word, rows->n);
}

static void long_texts(void **state)
{
    (void)state;
    const fv_text text = {.text = "we found silver near home and nobody saw 长江 again , so the river went on"};
    fv_encoding whole = {0};
    assert_int_equal(fv_tokenizer_encode(tokenizer, text.text, strlen(text.text), NULL, 0, true, &whole, NULL), FV_OK);
    for (int max_len = 16; max_len < (int)whole.n + 3; max_len++) {
        int64_t cut;
        fv_word_rows rows = make(&text, 1, max_len, &cut);
        assert_int_equal(cut, (int)whole.n > max_len);
        assert_true((rows.tokens.n > 1) == (cut > 0));
        check_rows(&rows, &whole, &text, max_len);
        fv_word_rows_release(&rows);
    }
    fv_encoding_release(&whole);
}

/* A word of more pieces than a row has room for loses its end; its neighbours lose nothing. */
static void a_word_that_is_too_long(void **state)
{
    (void)state;
    const fv_text text = {.text = "a qzxqzxqzxqzxqzxqzxqzx b"};
    int64_t cut;
    fv_word_rows rows = make(&text, 1, 6, &cut);
    assert_int_equal(cut, 1);
    assert_int_equal(rows.tokens.n, 3);
    assert_int_equal(rows.n, 3);
    for (size_t r = 0; r < 3; r++) {
        assert_int_equal(rows.of_row[r], r);
        assert_int_equal(rows.first[r], 1);
    }
    assert_int_equal(rows.tokens.offsets[2] - rows.tokens.offsets[1], 6);
    fv_word_rows_release(&rows);
}

static void pairs_are_refused(void **state)
{
    (void)state;
    const fv_text pair = {.text = "a", .text2 = "b"};
    fv_word_rows rows;
    fv_encoding e = {0};
    fv_err err = {0};
    int64_t cut = 0;
    assert_int_equal(fv_word_rows_make(&rows, tokenizer, 16, &pair, 1, &e, &cut, &err), FV_E_ARGUMENT);
    assert_string_equal(err.text, "a pair of texts; expected one text whose words are tagged");
    fv_encoding_release(&e);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    const fv_text texts[] = {{.text = "we found silver"}, {.text = "nobody saw 长江 again , so the river went on"}};
    fv_status status = FV_E_MEMORY;
    int64_t live = fv_alloc_live();
    for (int64_t n = 0; status != FV_OK; n++) {
        fv_word_rows rows = {0};
        fv_encoding e = {0};
        fv_err err = {0};
        int64_t cut = 0;
        fv_alloc_fail_after(n);
        status = fv_word_rows_make(&rows, tokenizer, 12, texts, 2, &e, &cut, &err);
        fv_alloc_fail_after(-1);
        if (status != FV_OK) assert_int_equal(status, FV_E_MEMORY);
        fv_word_rows_release(&rows);
        fv_encoding_release(&e);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_words),
        cmocka_unit_test(tokens_that_do_not_nest),
        cmocka_unit_test(short_texts),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(a_word_that_is_too_long),
        cmocka_unit_test(pairs_are_refused),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
