/* Training through the public calls, and the vocabulary that comes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/made.h"

static void the_vocabulary_is_specials_bytes_merges(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFC, false);
    static const char *const first[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (int32_t i = 0; i < 5; i++) {
        assert_string_equal(fv_tokenizer_token(t, i), first[i]);
        assert_int_equal(fv_tokenizer_id(t, first[i]), i);
    }
    assert_string_equal(fv_tokenizer_token(t, 5 + 'a'), "a");
    assert_string_equal(fv_tokenizer_token(t, 5 + ' '), "\u0120"); /* as GPT-2 spells them */
    assert_string_equal(fv_tokenizer_token(t, 5 + 0), "\u0100");
    assert_string_equal(fv_tokenizer_token(t, 5 + 0xAD), "\u0143");
    assert_string_equal(fv_tokenizer_token(t, 5 + 0xFF), "\u00ff");
    for (int32_t i = 0; i < fv_tokenizer_size(t); i++) assert_int_equal(fv_tokenizer_id(t, fv_tokenizer_token(t, i)), i);
    assert_true(fv_tokenizer_id(t, "\u0120cat") >= 261);
    assert_int_equal(fv_tokenizer_id(t, "no such"), -1);
    assert_null(fv_tokenizer_token(t, -1));
    assert_null(fv_tokenizer_token(t, fv_tokenizer_size(t)));
    fv_tokenizer_close(t);
    fv_tokenizer_close(NULL);
}

static void names_of_bytes_lead_back(void **state)
{
    (void)state;
    fv_byte_names names;
    fv_byte_names_init(&names);
    for (int byte = 0; byte < 256; byte++) {
        const char *name = names.text[byte];
        assert_int_equal(fv_utf8_len(name, name + strlen(name)), strlen(name));
        for (int other = 0; other < byte; other++) assert_string_not_equal(name, names.text[other]);
    }
    int known = 0;
    for (size_t c = 0; c < FV_COUNT(names.byte_of); c++) known += names.byte_of[c] >= 0;
    assert_int_equal(known, 256);
}

static void too_little_text_makes_a_smaller_vocabulary(void **state)
{
    (void)state;
    static const char *const texts[] = {"ab ab", "\xff\xff\xff\xff", ""};
    made_list list = {texts, FV_COUNT(texts), 0};
    fv_tokenizer *t = fv_tokenizer_train(NULL, made_next, &list, NULL);
    assert_int_equal(fv_tokenizer_size(t), 262); /* " ab" is no pair of 2; broken bytes teach nothing */
    assert_string_equal(fv_tokenizer_token(t, 261), "ab");
    fv_tokenizer_close(t);
    list = (made_list){texts, 0, 0};
    t = fv_tokenizer_train(NULL, made_next, &list, NULL);
    assert_int_equal(fv_tokenizer_size(t), 261);
    fv_tokenizer_close(t);
}

static void assert_bad_options(fv_tokenizer_options o, const char *message)
{
    fv_err err = {0};
    made_list list = {made_texts, made_n_texts, 0};
    assert_null(fv_tokenizer_train(&o, made_next, &list, &err));
    assert_int_equal(err.status, FV_E_ARGUMENT);
    if (!strstr(err.text, message)) fail_msg("%s", err.text);
    assert_int_equal(list.at, 0);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    fv_tokenizer_options good, o = {0};
    fv_tokenizer_options_init(&good);
    assert_bad_options(o, "call fv_tokenizer_options_init first");
    o = good, o.vocab = 260;
    assert_bad_options(o, "a vocabulary of 260; expected 261 (special tokens and bytes) to 4000000");
    o = good, o.vocab = 4000001;
    assert_bad_options(o, "a vocabulary of 4000001");
    o = good, o.min_count = 0;
    assert_bad_options(o, "min_count is 0; expected 1 or more");
    o = good, o.normalize = (fv_normalize)9;
    assert_bad_options(o, "normalize is 9; expected FV_NORMALIZE_NONE, _NFC or _NFKC");
}

static int fail_at_third(void *user, const char **text, size_t *len, fv_err *err)
{
    int *calls = user;
    if (++*calls == 3) return fv_err_set(err, FV_E_IO, "the disk is gone");
    *text = "abc";
    *len = 3;
    return 1;
}

static void a_source_that_fails_ends_training(void **state)
{
    (void)state;
    fv_err err = {0};
    int calls = 0;
    int64_t live = fv_alloc_live();
    assert_null(fv_tokenizer_train(NULL, fail_at_third, &calls, &err));
    assert_int_equal(err.status, FV_E_IO);
    assert_string_equal(err.text, "the disk is gone");
    assert_int_equal(fv_alloc_live(), live);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    fv_tokenizer_options o;
    fv_tokenizer_options_init(&o);
    o.vocab = 280;
    o.lowercase = true;
    bool ended = false;
    for (int64_t fail = 0; !ended; fail++) {
        fv_err err = {0};
        made_list list = {made_texts, made_n_texts, 0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        fv_tokenizer *t = fv_tokenizer_train(&o, made_next, &list, &err);
        fv_alloc_fail_after(-1);
        ended = t != NULL;
        if (!ended) assert_int_equal(err.status, FV_E_MEMORY);
        fv_tokenizer_close(t);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vocabulary_is_specials_bytes_merges),
        cmocka_unit_test(names_of_bytes_lead_back),
        cmocka_unit_test(too_little_text_makes_a_smaller_vocabulary),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
        cmocka_unit_test(a_source_that_fails_ends_training),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
