/* Texts to ids and back: offsets, frames, special tokens in texts, scratch that is used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/rng.h"
#include "text/made.h"

static void assert_encodes(const fv_tokenizer *t, const char *text, const char *expected)
{
    fv_encoding e = {0};
    made_encode(t, text, &e);
    assert_string_equal(made_spelled(t, &e), expected);
    fv_encoding_release(&e);
}

static void offsets_are_bytes_of_the_input(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFKC, true);
    assert_encodes(t, "", "");
    assert_encodes(t, "the cat", "the[0,3) \u0120cat[3,7) ");
    assert_encodes(t, "THE  Cat", "the[0,3) \u0120[3,4) \u0120cat[4,8) ");
    assert_encodes(t, "\uff34he", "the[0,5) ");                           /* a full-width T is three bytes */
    assert_encodes(t, "cafe\u0301", "c[0,1) af\u00c3\u00a9[1,6) ");    /* the accent belongs to what it made */
    assert_encodes(t, "\u5feb\u9012\u5230\u4e86", "\u00e5\u00bf\u00ab\u00e9\u0122\u0134\u00e5\u012a\u00b0\u00e4\u00ba\u0128[0,12) ");
    assert_encodes(t, "\U0001f600", "\u00f0[0,1) \u0141[1,2) \u013a[2,3) \u0122[3,4) "); /* bytes of one character */
    assert_encodes(t, "\u2460\u337f", "1[0,3) \u00e6[3,6) \u0142[3,6) \u00aa[3,6) \u00e5[3,6) \u00bc[3,6) \u0131[3,6) \u00e4[3,6) \u00bc[3,6) \u013c[3,6) \u00e7[3,6) \u00a4[3,6) \u00be[3,6) ");
    assert_encodes(t, "a\xff", "a[0,1) \u00ff[1,2) ");
    fv_tokenizer_close(t);
}

static void frames_take_one_text_or_two(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFC, false);
    fv_encoding e = {0};
    assert_int_equal(fv_tokenizer_encode(t, "the cat", 7, NULL, 0, true, &e, NULL), FV_OK);
    assert_string_equal(made_spelled(t, &e), "[CLS][0,0) the[0,3) \u0120cat[3,7) [SEP][0,0) ");
    for (size_t i = 0; i < e.n; i++) assert_int_equal(e.types[i], 0);
    assert_int_equal(fv_tokenizer_encode(t, "the cat", 7, "the", 3, true, &e, NULL), FV_OK);
    assert_string_equal(made_spelled(t, &e), "[CLS][0,0) the[0,3) \u0120cat[3,7) [SEP][0,0) the[0,3) [SEP][0,0) ");
    const uint8_t types[] = {0, 0, 0, 0, 1, 1};
    assert_memory_equal(e.types, types, sizeof types);
    assert_int_equal(fv_tokenizer_encode(t, "the", 3, "", 0, true, &e, NULL), FV_OK);
    assert_string_equal(made_spelled(t, &e), "[CLS][0,0) the[0,3) [SEP][0,0) [SEP][0,0) ");
    assert_int_equal(fv_tokenizer_encode(t, "the", 3, "the", 3, false, &e, NULL), FV_OK);
    assert_string_equal(made_spelled(t, &e), "the[0,3) the[0,3) ");
    assert_int_equal(e.types[1], 1);
    assert_int_equal(fv_tokenizer_encode(t, NULL, 0, NULL, 0, false, &e, NULL), FV_OK);
    assert_int_equal(e.n, 0);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void special_tokens_in_a_text_are_found(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFC, true);
    assert_encodes(t, "the[SEP] cat", "the[0,3) [SEP][3,8) \u0120cat[8,12) ");
    assert_encodes(t, "[CLS][MASK]", "[CLS][0,5) [MASK][5,11) ");
    assert_encodes(t, "[sep", "[[0,1) s[1,2) e[2,3) p[3,4) ");
    assert_encodes(t, "e[PAD]\u0301", "e[0,1) [PAD][1,6) \u00cc[6,7) \u0123[7,8) "); /* nothing composes across */
    fv_tokenizer_close(t);
}

static void all_texts_come_back(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NONE, false);
    fv_rng rng = fv_rng_make(3, "texts");
    fv_encoding e = {0};
    for (int round = 0; round < 2000; round++) {
        char text[200], *back;
        size_t n = fv_rng_below(&rng, sizeof text), len, at = 0;
        for (size_t i = 0; i < n; i++) text[i] = (char)(fv_rng_below(&rng, 3) ? "the cat \xe5\xbf\xab\xe9\x80\x92"[fv_rng_below(&rng, 14)] : (int)fv_rng_below(&rng, 256));
        assert_int_equal(fv_tokenizer_encode(t, text, n, NULL, 0, false, &e, NULL), FV_OK);
        for (size_t i = 0; i < e.n; i++) { /* without normalisation tokens tile the text */
            assert_int_equal(e.begins[i], at);
            assert_true(e.ends[i] > at);
            at = e.ends[i];
        }
        assert_int_equal(at, n);
        assert_int_equal(fv_tokenizer_decode(t, e.ids, e.n, &back, &len, NULL), FV_OK);
        assert_int_equal(len, n);
        assert_memory_equal(back, text, n);
        assert_int_equal(back[len], 0);
        free(back);
    }
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void decoding_leaves_special_tokens_out(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFC, false);
    fv_encoding e = {0};
    fv_err err = {0};
    char *back;
    size_t len;
    assert_int_equal(fv_tokenizer_encode(t, "the cat", 7, "\u5feb\u9012", 6, true, &e, NULL), FV_OK);
    assert_int_equal(fv_tokenizer_decode(t, e.ids, e.n, &back, &len, NULL), FV_OK);
    assert_string_equal(back, "the cat\u5feb\u9012");
    assert_int_equal(len, 13);
    free(back);
    assert_int_equal(fv_tokenizer_decode(t, NULL, 0, &back, &len, NULL), FV_OK);
    assert_string_equal(back, "");
    free(back);
    int32_t bad[] = {7, fv_tokenizer_size(t)};
    char expected[128];
    snprintf(expected, sizeof expected, "id %d, number 2 of 2, is not in the vocabulary; expected 0 to %d", (int)bad[1], (int)bad[1] - 1);
    assert_int_equal(fv_tokenizer_decode(t, bad, 2, &back, &len, &err), FV_E_INPUT);
    assert_string_equal(err.text, expected);
    bad[1] = -1;
    assert_int_equal(fv_tokenizer_decode(t, bad, 2, &back, &len, &err), FV_E_INPUT);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void assert_decodes(const char *json, const int32_t *ids, size_t n, const char *expected)
{
    fv_err err = {0};
    char *back = NULL;
    size_t len;
    fv_tokenizer *t = fv_tokenizer_parse(json, strlen(json), "made", &err);
    if (!t || fv_tokenizer_decode(t, ids, n, &back, &len, &err) != FV_OK) fail_msg("%s", err.text);
    assert_string_equal(back, expected);
    free(back);
    fv_tokenizer_close(t);
}

/* Recorded from tokenizers 0.23.3: Tokenizer.from_str(JSON).decode(IDS). The id has been matched after normalisation. */
static void added_tokens_decode_as_they_were_matched(void **state)
{
    (void)state;
#define ADDED(id, text, normalized) "{\"id\":" #id ",\"content\":\"" text "\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":" normalized ",\"special\":false}"
#define WORDS(normalized) \
    "{\"added_tokens\":[" ADDED(3, "FooBar", normalized) "," ADDED(4, "\u00c9l", normalized) "],\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true," \
    "\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}," \
    "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0,\"the\":1,\"cat\":2}}}"
#define PIECES(normalized) \
    "{\"added_tokens\":[" ADDED(3, "FooBar", normalized) "," ADDED(4, "\u2581Zed", normalized) "],\"normalizer\":{\"type\":\"Lowercase\"}," \
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true},\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true}," \
    "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"\u2581the\",-1.0],[\"\u2581\",-2.0]]}}"
    assert_decodes(WORDS("true"), (int32_t[]){1, 3, 4, 2}, 4, "the foobar el cat");
    assert_decodes(WORDS("false"), (int32_t[]){1, 3, 4, 2}, 4, "the FooBar \u00c9l cat");
    assert_decodes(PIECES("true"), (int32_t[]){1, 2, 3, 4}, 4, "the foobar zed");
    assert_decodes(PIECES("false"), (int32_t[]){1, 2, 3, 4}, 4, "the FooBar Zed");
}

/* One fv_encoding goes through tokenizers that are made and closed at the same addresses. */
static void scratch_is_not_mixed_up(void **state)
{
    (void)state;
    fv_encoding e = {0};
    fv_tokenizer *plain = made_tokenizer(FV_NORMALIZE_NONE, false);
    made_encode(plain, "The Cat", &e);
    assert_string_equal(made_spelled(plain, &e), "T[0,1) he[1,3) \u0120[3,4) C[4,5) at[5,7) ");
    for (int round = 0; round < 5; round++) {
        fv_tokenizer_close(plain);
        plain = made_tokenizer(FV_NORMALIZE_NONE, round % 2);
        fv_tokenizer *small;
        fv_tokenizer_options o;
        made_list list = {made_texts, made_n_texts, 0};
        fv_tokenizer_options_init(&o);
        o.vocab = 261;
        small = fv_tokenizer_train(&o, made_next, &list, NULL);
        made_encode(small, "the", &e);
        assert_string_equal(made_spelled(small, &e), "t[0,1) h[1,2) e[2,3) ");
        made_encode(plain, "the", &e);
        assert_string_equal(made_spelled(plain, &e), "the[0,3) ");
        fv_tokenizer_close(small);
    }
    fv_tokenizer_close(plain);
    fv_encoding_release(&e);
    fv_encoding_release(&e); /* {0} again, which is fine */
}

static void the_cache_changes_nothing(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NONE, false);
    fv_rng rng = fv_rng_make(4, "words");
    fv_encoding kept = {0};
    for (int round = 0; round < 3000; round++) {
        char text[40];
        size_t n = 1 + fv_rng_below(&rng, sizeof text - 1);
        for (size_t i = 0; i < n; i++) text[i] = "thecasm"[fv_rng_below(&rng, 7)];
        fv_encoding fresh = {0};
        assert_int_equal(fv_tokenizer_encode(t, text, n, NULL, 0, false, &kept, NULL), FV_OK);
        assert_int_equal(fv_tokenizer_encode(t, text, n, NULL, 0, false, &kept, NULL), FV_OK);
        assert_int_equal(fv_tokenizer_encode(t, text, n, NULL, 0, false, &fresh, NULL), FV_OK);
        assert_int_equal(kept.n, fresh.n);
        assert_memory_equal(kept.ids, fresh.ids, fresh.n * sizeof *fresh.ids);
        fv_encoding_release(&fresh);
    }
    fv_encoding_release(&kept);
    fv_tokenizer_close(t);
}

static void long_words_have_the_same_ids_as_their_parts(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFC, true);
    fv_encoding e = {0};
    enum { TIMES = 2000 };
    char *text = malloc(TIMES * 4 + 1);
    for (int i = 0; i < TIMES; i++) memcpy(text + 4 * i, "theQ", 5);
    made_encode(t, text, &e);
    assert_int_equal(e.n, 2 * TIMES);
    assert_string_equal(fv_tokenizer_token(t, e.ids[0]), "the");
    assert_int_equal(e.ends[e.n - 1], TIMES * 4);
    for (size_t i = 2; i < e.n; i++) assert_int_equal(e.ids[i], e.ids[i - 2]); /* the, q, the, q … */
    free(text);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

typedef struct shared {
    const fv_tokenizer *tokenizer;
    fv_encoding encodings[4]; /* one for each worker */
    size_t n[64];
} shared;

static void encode_task(void *arg, int64_t task, int worker)
{
    shared *s = arg;
    char text[64];
    int len = snprintf(text, sizeof text, "the cat %d sat on caf\u00e9 %d", (int)task % 8, (int)task % 8);
    if (fv_tokenizer_encode(s->tokenizer, text, (size_t)len, NULL, 0, true, &s->encodings[worker], NULL) == FV_OK) s->n[task] = s->encodings[worker].n;
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFKC, true);
    fv_pool *pool = fv_pool_new(4, NULL);
    shared s = {.tokenizer = t};
    for (int round = 0; round < 20; round++) {
        memset(s.n, 0, sizeof s.n);
        fv_pool_run(pool, FV_COUNT(s.n), encode_task, &s);
        for (size_t i = 0; i < FV_COUNT(s.n); i++) assert_true(s.n[i] > 0 && s.n[i] == s.n[i % 8]);
    }
    for (size_t i = 0; i < FV_COUNT(s.encodings); i++) fv_encoding_release(&s.encodings[i]);
    fv_pool_free(pool);
    fv_tokenizer_close(t);
}

static void a_text_beyond_a_gigabyte_is_refused(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFC, false);
    fv_encoding e = {0};
    fv_err err = {0};
    assert_int_equal(fv_tokenizer_encode(t, "", ((size_t)1 << 30) + 1, NULL, 0, true, &e, &err), FV_E_INPUT); /* before it is read */
    assert_string_equal(err.text, "a text of 1073741825 bytes; at most 1073741824 can be encoded: cut it");
    assert_int_equal(fv_tokenizer_encode(t, "", 0, "", SIZE_MAX, true, &e, &err), FV_E_INPUT);
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    fv_tokenizer *t = made_tokenizer(FV_NORMALIZE_NFKC, true);
    const char *text = "THE [SEP] cafe\u0301 \u5feb\u9012 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    bool ended = false;
    for (int64_t fail = 0; !ended; fail++) {
        fv_encoding e = {0};
        fv_err err = {0};
        int64_t live = fv_alloc_live();
        fv_alloc_fail_after(fail);
        fv_status status = fv_tokenizer_encode(t, text, strlen(text), text, strlen(text), true, &e, &err);
        fv_alloc_fail_after(-1);
        ended = status == FV_OK;
        if (!ended) {
            assert_int_equal(status, FV_E_MEMORY);
            assert_int_equal(err.status, FV_E_MEMORY);
            assert_int_equal(e.n, 0);
            /* It can be used again at once. */
            assert_int_equal(fv_tokenizer_encode(t, text, strlen(text), NULL, 0, true, &e, &err), FV_OK);
        }
        fv_encoding_release(&e);
        assert_int_equal(fv_alloc_live(), live);
    }
    fv_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_bytes_of_the_input),
        cmocka_unit_test(frames_take_one_text_or_two),
        cmocka_unit_test(special_tokens_in_a_text_are_found),
        cmocka_unit_test(all_texts_come_back),
        cmocka_unit_test(decoding_leaves_special_tokens_out),
        cmocka_unit_test(added_tokens_decode_as_they_were_matched),
        cmocka_unit_test(scratch_is_not_mixed_up),
        cmocka_unit_test(the_cache_changes_nothing),
        cmocka_unit_test(long_words_have_the_same_ids_as_their_parts),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(a_text_beyond_a_gigabyte_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
