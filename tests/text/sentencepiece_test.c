/* SentencePiece models: what the sentencepiece library gives for the same files and texts (tests/golden/pieces/record.py says
 * how that was recorded), what is written, and files that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "formats/scratch.h"
#include "text/made.h"
#include "text/sentencepiece.h"

#define GOLDEN "tests/golden/pieces/"
#define SHARED "../shared/models/"

/* ---- Files made here ---------------------------------------------------------------------- */

static void put(fv_buf *to, const void *bytes, size_t n)
{
    assert_int_equal(fv_buf_add(to, bytes, n, NULL), FV_OK);
}

static void put_number(fv_buf *to, unsigned field, unsigned value)
{
    unsigned char bytes[4] = {(unsigned char)(field << 3 | 0x80), (unsigned char)(field >> 4), (unsigned char)value};
    put(to, bytes, 3);
}

static void put_bytes(fv_buf *to, unsigned field, const void *bytes, size_t n)
{
    unsigned char head[3] = {(unsigned char)(field << 3 | 2), (unsigned char)(n & 0x7f) | 0x80, (unsigned char)(n >> 7)};
    put(to, head, 3);
    put(to, bytes, n);
}

static void put_piece(fv_buf *to, const char *text, float score, fv_piece_type type)
{
    fv_buf piece = {0};
    char tag = 2 << 3 | 5;
    put_bytes(&piece, 1, text, strlen(text));
    put(&piece, &tag, 1);
    put(&piece, &score, sizeof score);
    put_number(&piece, 3, type);
    put_bytes(to, 1, piece.data, piece.len);
    fv_buf_release(&piece);
}

/* A number of trainer_spec (2) or normalizer_spec (3). */
static void put_setting(fv_buf *to, unsigned part, unsigned field, unsigned value)
{
    fv_buf spec = {0};
    put_number(&spec, field, value);
    put_bytes(to, part, spec.data, spec.len);
    fv_buf_release(&spec);
}

static void put_pieces(fv_buf *to)
{
    put_piece(to, "<unk>", 0, FV_PIECE_UNKNOWN);
    put_piece(to, "<s>", 0, FV_PIECE_CONTROL);
    put_piece(to, FV_META, -2, FV_PIECE_NORMAL);
    put_piece(to, "a", -3, FV_PIECE_NORMAL);
    put_piece(to, "b", -3, FV_PIECE_NORMAL);
    put_piece(to, "ab", -4, FV_PIECE_NORMAL);
    put_piece(to, FV_META "a", -4.5f, FV_PIECE_NORMAL);
    put_piece(to, "<x-y>", 0, FV_PIECE_USER);
}

static fv_tokenizer *parsed(fv_buf *file)
{
    fv_err err = {0};
    fv_tokenizer *t = fv_sentencepiece_parse(file->data, file->len, "m.spm", &err);
    if (!t) fail_msg("%s", err.text);
    fv_buf_release(file);
    return t;
}

static void assert_spelled(const fv_tokenizer *t, const char *text, const char *expected)
{
    fv_encoding e = {0};
    made_encode(t, text, &e);
    assert_string_equal(made_spelled(t, &e), expected);
    fv_encoding_release(&e);
}

static void assert_decoded(const fv_tokenizer *t, const int32_t *ids, size_t n, const char *expected)
{
    char *text;
    size_t len;
    assert_int_equal(fv_tokenizer_decode(t, ids, n, &text, &len, NULL), FV_OK);
    assert_string_equal(text, expected);
    assert_int_equal(len, strlen(expected));
    free(text);
}

/* ---- Against the library ------------------------------------------------------------------ */

static int64_t number(const json_t *list, size_t i)
{
    return json_integer_value(json_array_get(list, i));
}

/* Ours are finer: a byte of an unknown character has its own place, and theirs that of the character. */
static bool begins_alike(const fv_tokenizer *t, const fv_encoding *e, size_t i, const json_t *theirs)
{
    return t->sp->types[e->ids[i]] == FV_PIECE_BYTE || e->begins[i] == number(json_array_get(theirs, i), 0);
}

static void assert_line(const fv_tokenizer *t, const json_t *line, fv_encoding *e)
{
    const json_t *ids = json_object_get(line, "ids"), *offsets = json_object_get(line, "offsets");
    const char *text = json_string_value(json_object_get(line, "text"));
    made_encode(t, text, e);
    if (e->n != json_array_size(ids)) fail_msg("%zu ids instead of %zu for: %s", e->n, json_array_size(ids), text);
    for (size_t i = 0; i < e->n; i++) {
        if (e->ids[i] != number(ids, i)) fail_msg("id %zu is %d, expected %lld, for: %s", i, (int)e->ids[i], (long long)number(ids, i), text);
        if (!begins_alike(t, e, i, offsets)) fail_msg("token %zu begins at %u, for: %s", i, e->begins[i], text);
        assert_true(e->begins[i] <= e->ends[i] && e->ends[i] <= strlen(text));
    }
    assert_decoded(t, e->ids, e->n, json_string_value(json_object_get(line, "decoded")));
}

static void assert_golden(const char *model, const char *lines)
{
    fv_err err = {0};
    fv_buf file = {0};
    fv_encoding e = {0};
    fv_tokenizer *t = fv_tokenizer_open(model, &err);
    if (!t) fail_msg("%s (tests run in the repository's root)", err.text);
    assert_int_equal(fv_file_read(lines, 1 << 20, &file, &err), FV_OK);
    size_t n = 0;
    for (char *line = file.data, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
        json_t *tree = fv_json_parse(line, (size_t)(end - line), lines, &err);
        if (!tree) fail_msg("%s", err.text);
        assert_line(t, tree, &e);
        json_decref(tree);
    }
    assert_int_equal(n, 22);
    fv_encoding_release(&e);
    fv_buf_release(&file);
    fv_tokenizer_close(t);
}

static void our_model_gives_the_recorded_ids(void **state)
{
    (void)state;
    assert_golden(GOLDEN "ours.spm", GOLDEN "ours.jsonl");
}

static void merges_and_bytes_give_the_recorded_ids(void **state)
{
    (void)state;
    assert_golden(GOLDEN "bytes.model", GOLDEN "bytes.jsonl");
}

static void a_table_and_a_users_symbols_give_the_recorded_ids(void **state)
{
    (void)state;
    assert_golden(GOLDEN "map.model", GOLDEN "map.jsonl");
}

/* Sums of ids that the library gave for large models and one text; the models are not in the repository. */
static void large_models_give_the_recorded_ids(void **state)
{
    static const struct { const char *model; size_t n; int64_t sum; } models[] = {
        {SHARED "sentencepiece_test/test_model.model", 18, 26274},
        {SHARED "sentencepiece_test/test_ja_model.model", 32, 848182},
        {SHARED "llama2_tokenizer/tokenizer.model", 32, 6656577},
        {SHARED "xlnet_zh_spiece/spiece.model", 30, 950442},
        {SHARED "finbert2_zh_unigram/unigram_all.model", 20, 1307393},
    };
    static const char text[] = "It\xe2\x80\x99s 5 o\xe2\x80\x99" "clock \xef\xbc\x8d \xe4\xbb\x8a\xe5\xa4\xa9\xe7\x9a\x84\xe8\x82\xa1\xe5\xb8\x82\xe4\xb8\x8a\xe6\xb6\xa8 \xef\xac\x81ne \xf0\x9f\x99\x82 ......";
    fv_encoding e = {0};
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < FV_COUNT(models); i++) {
        if (!fv_file_exists(models[i].model)) continue;
        fv_tokenizer *t = fv_tokenizer_open(models[i].model, NULL);
        assert_non_null(t);
        made_encode(t, text, &e);
        int64_t sum = 0;
        for (size_t k = 0; k < e.n; k++) sum += e.ids[k] * (int64_t)(k + 1);
        assert_int_equal(e.n, models[i].n);
        assert_int_equal(sum, models[i].sum);
        fv_tokenizer_close(t);
        found++;
    }
    fv_encoding_release(&e);
    if (!found) {
        print_message("no models in " SHARED ": nothing to compare with\n");
        skip();
    }
}

/* ---- What settings do --------------------------------------------------------------------- */

static void spaces_are_trimmed_and_made_visible(void **state)
{
    fv_buf file = {0};
    (void)state;
    put_pieces(&file);
    fv_tokenizer *t = parsed(&file);
    assert_spelled(t, "ab a", FV_META "[0,0) ab[0,2) " FV_META "a[2,4) ");
    assert_spelled(t, "  a  b ", FV_META "a[2,3) " FV_META "[3,4) b[5,6) ");
    assert_spelled(t, "   ", "");
    assert_spelled(t, "", "");
    assert_spelled(t, "<s>", FV_META "[0,0) <unk>[0,3) "); /* typed, it is text */
    assert_spelled(t, "a<x-y>b", FV_META "a[0,1) <x-y>[1,6) b[6,7) ");
    assert_spelled(t, "b\xff", FV_META "[0,0) b[0,1) <unk>[1,2) ");
    assert_true(fv_tokenizer_is_special(t, 1));
    assert_false(fv_tokenizer_is_special(t, 0));
    fv_tokenizer_close(t);
}

static void spaces_are_kept_where_the_file_says_so(void **state)
{
    fv_buf file = {0};
    (void)state;
    put_pieces(&file);
    put_setting(&file, 3, 3, 0);
    put_setting(&file, 3, 4, 0);
    fv_tokenizer *t = parsed(&file);
    assert_spelled(t, " b  a", FV_META "[0,1) b[1,2) " FV_META "[2,3) " FV_META "a[3,5) ");
    assert_decoded(t, (int32_t[]){2, 4, 2, 6}, 4, " b  a");
    fv_tokenizer_close(t);
}

static void pieces_come_back_as_text(void **state)
{
    fv_buf file = {0};
    (void)state;
    put_pieces(&file);
    fv_tokenizer *t = parsed(&file);
    assert_decoded(t, (int32_t[]){1, 6, 4, 2, 5}, 5, "ab ab");
    assert_decoded(t, (int32_t[]){6, 0}, 2, "a \u2047 ");
    assert_decoded(t, NULL, 0, "");
    fv_tokenizer_close(t);
}

static void merges_go_by_score_and_then_from_the_left(void **state)
{
    fv_buf file = {0};
    (void)state;
    put_pieces(&file);
    put_piece(&file, "ba", -1, FV_PIECE_NORMAL);
    put_piece(&file, "aa", -0.5f, FV_PIECE_NORMAL);
    put_setting(&file, 2, 3, 2);
    put_setting(&file, 3, 3, 0);
    fv_tokenizer *t = parsed(&file);
    assert_spelled(t, "aba", "a[0,1) ba[1,3) ");
    assert_spelled(t, "aaa", "aa[0,2) a[2,3) ");
    assert_spelled(t, "ab<x-y>ab", "ab[0,2) <x-y>[2,7) ab[7,9) ");
    assert_spelled(t, "", "");
    fv_err err = {0};
    fv_rng rng = fv_rng_make(1, "cuts");
    fv_encoding e = {0};
    assert_int_equal(fv_tokenizer_sample(t, "a", 1, 0.1, &rng, &e, &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "unigram"));
    fv_encoding_release(&e);
    fv_tokenizer_close(t);
}

/* ---- Refusals ----------------------------------------------------------------------------- */

static void assert_refused(fv_buf *file, const char *why)
{
    fv_err err = {0};
    assert_null(fv_sentencepiece_parse(file->data ? file->data : "", file->len, "m.spm", &err));
    assert_int_equal(err.status, FV_E_FORMAT);
    assert_ptr_equal(strstr(err.text, "m.spm: "), err.text);
    if (!strstr(err.text, why)) fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    fv_buf_release(file);
}

static void what_cannot_be_done_is_refused_by_name(void **state)
{
    fv_buf file = {0};
    (void)state;
    assert_refused(&file, "0 pieces");
    put_piece(&file, "a", 0, FV_PIECE_NORMAL);
    assert_refused(&file, "UNKNOWN");
    put_pieces(&file), put_piece(&file, "<unk2>", 0, FV_PIECE_UNKNOWN);
    assert_refused(&file, "pieces 0 and 8");
    put_pieces(&file), put_piece(&file, "ab", 0, FV_PIECE_NORMAL);
    assert_refused(&file, "piece 8, \"ab\", is there twice");
    put_pieces(&file), put_piece(&file, "", 0, FV_PIECE_NORMAL);
    assert_refused(&file, "piece 8 is empty");
    put_pieces(&file), put_piece(&file, "\xff", 0, FV_PIECE_NORMAL);
    assert_refused(&file, "UTF-8");
    put_pieces(&file), put_piece(&file, "c", (float)(0.0 / 0.0), FV_PIECE_NORMAL);
    assert_refused(&file, "score");
    put_pieces(&file), put_piece(&file, "c", 0, (fv_piece_type)7);
    assert_refused(&file, "type 7");
    put_pieces(&file), put_setting(&file, 2, 3, 3);
    assert_refused(&file, "WORD");
    put_pieces(&file), put_setting(&file, 2, 3, 4);
    assert_refused(&file, "CHAR");
    put_pieces(&file), put_setting(&file, 2, 24, 1);
    assert_refused(&file, "treat_whitespace_as_suffix");
    put_pieces(&file), put_setting(&file, 2, 35, 1);
    assert_refused(&file, "\"<0x00>\"");
    put_pieces(&file), put_piece(&file, "<0x00>", 0, FV_PIECE_BYTE);
    assert_refused(&file, "byte_fallback is not set");
    put_pieces(&file), put_piece(&file, "c", 0, FV_PIECE_UNUSED), put_setting(&file, 2, 3, 2);
    assert_refused(&file, "UNUSED");
}

static void hostile_lengths_are_refused(void **state)
{
    static const struct { const char *bytes; size_t n; const char *why; } cases[] = {
        {"\x0a\xff\xff\xff\xff\x0f", 6, "4294967295 bytes, but 0 are left"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "are left"},
        {"\x0a\x03\x0a\x05x", 5, "field 1 has 5 bytes, but 1 are left"},
        {"\x0a\x02\x15\x00", 4, "goes past the end"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, "a number that does not end"},
        {"\x0b", 1, "a field of an unknown kind"},
        {"\x0a\x02\x08\x01", 4, "a piece's text is stored as kind 0"},
    };
    (void)state;
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        fv_buf file = {0};
        put(&file, cases[i].bytes, cases[i].n);
        assert_refused(&file, cases[i].why);
    }
}

/* Each would make a short text take very long. */
static void strings_without_bound_are_refused(void **state)
{
    char text[1026] = {0};
    fv_buf file = {0}, spec = {0};
    (void)state;
    memset(text, 'c', 1024);
    put_pieces(&file), put_piece(&file, text, 0, FV_PIECE_NORMAL);
    fv_tokenizer_close(parsed(&file));
    text[1024] = 'c';
    put_pieces(&file), put_piece(&file, text, 0, FV_PIECE_NORMAL);
    assert_refused(&file, "piece 8 has 1025 bytes; expected at most 1024");
    put_bytes(&spec, 1, text, 1025);
    put_pieces(&file), put_bytes(&file, 3, spec.data, spec.len);
    fv_buf_release(&spec);
    assert_refused(&file, "normalizer_spec.name has 1025 bytes");
}

static void broken_tables_are_refused(void **state)
{
    static const struct { const char *bytes; size_t n; const char *why; } cases[] = {
        {"\1\0\0", 3, "a precompiled_charsmap of 3 bytes"},
        {"\xff\xff\xff\x7f....", 8, "2147483647 bytes"},
        {"\4\0\0\0....", 8, "4 bytes"},
        {"\4\0\0\0....x", 9, "zero byte"},
    };
    (void)state;
    for (size_t i = 0; i < FV_COUNT(cases); i++) {
        fv_buf file = {0}, spec = {0};
        put_pieces(&file);
        put_bytes(&spec, 2, cases[i].bytes, cases[i].n);
        put_bytes(&file, 3, spec.data, spec.len);
        fv_buf_release(&spec);
        assert_refused(&file, cases[i].why);
    }
}

/* ---- Writing ------------------------------------------------------------------------------ */

static void assert_same_pieces(const fv_tokenizer *a, const fv_tokenizer *b)
{
    assert_int_equal(a->n, b->n);
    for (int32_t id = 0; id < a->n; id++) {
        assert_string_equal(a->tokens[id].text, b->tokens[id].text);
        assert_true((float)a->unigram.scores[id] == (float)b->unigram.scores[id]);
        assert_int_equal(a->sp->types[id], b->sp->types[id]);
    }
    assert_int_equal(a->sp->bpe, b->sp->bpe);
    assert_int_equal(a->sp->trim, b->sp->trim);
    assert_string_equal(a->sp->normalizer, b->sp->normalizer);
    assert_string_equal(a->sp->unk_surface, b->sp->unk_surface);
    assert_int_equal(a->sp->map.blob.len, b->sp->map.blob.len);
}

static void what_is_saved_comes_back(void **state)
{
    static const char *const files[] = {GOLDEN "ours.spm", GOLDEN "bytes.model", GOLDEN "map.model"};
    (void)state;
    for (size_t i = 0; i < FV_COUNT(files); i++) {
        fv_tokenizer *t = fv_tokenizer_open(files[i], NULL);
        assert_int_equal(fv_tokenizer_save(t, scratch_path("again.spm"), NULL), FV_OK);
        fv_tokenizer *again = fv_tokenizer_open(scratch_path("again.spm"), NULL);
        assert_non_null(again);
        assert_same_pieces(t, again);
        fv_tokenizer_close(t);
        fv_tokenizer_close(again);
    }
}

static fv_tokenizer *trained(fv_tokenizer_kind kind, fv_normalize form)
{
    made_list list = {made_texts, made_n_texts, 0};
    fv_tokenizer_options o;
    fv_tokenizer_options_init(&o);
    o.kind = kind;
    o.vocab = 300;
    o.normalize = form;
    o.lowercase = true;
    return fv_tokenizer_train(&o, made_next, &list, NULL);
}

static void a_trained_tokenizer_becomes_a_model_with_the_same_ids(void **state)
{
    static const char *const texts[] = {"The CAT sat", "a hat and a dog  \u00c9", "\u6211\u7684\u5feb\u9012 cats", ""};
    fv_encoding a = {0}, b = {0};
    (void)state;
    fv_tokenizer *t = trained(FV_TOKENIZER_UNIGRAM, FV_NORMALIZE_NONE);
    assert_int_equal(fv_tokenizer_save(t, scratch_path("made.spm"), NULL), FV_OK);
    fv_tokenizer *model = fv_tokenizer_open(scratch_path("made.spm"), NULL);
    assert_non_null(model);
    for (size_t i = 0; i < FV_COUNT(texts); i++) {
        made_encode(t, texts[i], &a);
        made_encode(model, texts[i], &b);
        assert_int_equal(a.n, b.n);
        for (size_t k = 0; k < a.n; k++) assert_int_equal(a.ids[k], b.ids[k]);
    }
    assert_int_equal(model->sp->types[FV_UNK], FV_PIECE_UNKNOWN);
    assert_int_equal(model->sp->types[FV_CLS], FV_PIECE_CONTROL);
    fv_encoding_release(&a);
    fv_encoding_release(&b);
    fv_tokenizer_close(t);
    fv_tokenizer_close(model);
}

static void what_no_table_can_do_is_not_written(void **state)
{
    fv_err err = {0};
    (void)state;
    fv_tokenizer *t = trained(FV_TOKENIZER_UNIGRAM, FV_NORMALIZE_NFKC);
    assert_int_equal(fv_tokenizer_save(t, scratch_path("no.spm"), &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "NFKC"));
    assert_false(fv_file_exists(scratch_path("no.spm")));
    fv_tokenizer_close(t);
    t = trained(FV_TOKENIZER_BPE, FV_NORMALIZE_NONE);
    assert_int_equal(fv_tokenizer_save(t, scratch_path("no.model"), &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, "unigram"));
    fv_tokenizer_close(t);
    t = fv_tokenizer_open(GOLDEN "ours.spm", NULL);
    assert_int_equal(fv_tokenizer_save(t, scratch_path("no.json"), &err), FV_E_ARGUMENT);
    assert_non_null(strstr(err.text, ".spm"));
    fv_tokenizer_close(t);
}

/* What is read has at most 1,024 bytes a piece, so no more is written. */
static void pieces_without_bound_are_not_written(void **state)
{
    char piece[1026] = {0}, json[4096];
    (void)state;
    for (size_t n = 1024; n <= 1025; n++) {
        fv_err err = {0};
        memset(piece, 'c', n);
        snprintf(json, sizeof json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"\u2581\",-1],[\"%s\",-2]]},"
                 "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"always\",\"split\":true}}", piece);
        fv_tokenizer *t = fv_tokenizer_parse(json, strlen(json), "made", &err);
        if (!t) fail_msg("%s", err.text);
        fv_status status = fv_tokenizer_save(t, scratch_path("long.spm"), &err);
        assert_int_equal(status, n == 1024 ? FV_OK : FV_E_ARGUMENT);
        if (status == FV_OK) fv_tokenizer_close(fv_tokenizer_open(scratch_path("long.spm"), NULL)), fv_file_remove(scratch_path("long.spm"), NULL);
        else assert_non_null(strstr(err.text, "token 2 has 1025 bytes; a SentencePiece model that is read here has at most 1024"));
        fv_tokenizer_close(t);
    }
    assert_false(fv_file_exists(scratch_path("long.spm")));
}

/* Failing any allocation gives an error, and nothing is lost. */
static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    int64_t live = fv_alloc_live();
    for (int64_t fail = 0;; fail++) {
        fv_err err = {0};
        fv_encoding e = {0};
        fv_alloc_fail_after(fail);
        fv_tokenizer *t = fv_tokenizer_open(GOLDEN "bytes.model", &err);
        fv_status status = t ? fv_tokenizer_encode(t, "ab \xe4\xbd\xa0 cd", 9, NULL, 0, false, &e, &err) : err.status;
        if (status == FV_OK) status = fv_tokenizer_save(t, scratch_path("failing.spm"), &err);
        fv_alloc_fail_after(-1);
        fv_encoding_release(&e);
        fv_tokenizer_close(t);
        assert_int_equal(fv_alloc_live(), live);
        if (status == FV_OK) break;
        assert_int_equal(err.status, FV_E_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_model_gives_the_recorded_ids),
        cmocka_unit_test(merges_and_bytes_give_the_recorded_ids),
        cmocka_unit_test(a_table_and_a_users_symbols_give_the_recorded_ids),
        cmocka_unit_test(large_models_give_the_recorded_ids),
        cmocka_unit_test(spaces_are_trimmed_and_made_visible),
        cmocka_unit_test(spaces_are_kept_where_the_file_says_so),
        cmocka_unit_test(pieces_come_back_as_text),
        cmocka_unit_test(merges_go_by_score_and_then_from_the_left),
        cmocka_unit_test(what_cannot_be_done_is_refused_by_name),
        cmocka_unit_test(hostile_lengths_are_refused),
        cmocka_unit_test(strings_without_bound_are_refused),
        cmocka_unit_test(broken_tables_are_refused),
        cmocka_unit_test(what_is_saved_comes_back),
        cmocka_unit_test(a_trained_tokenizer_becomes_a_model_with_the_same_ids),
        cmocka_unit_test(what_no_table_can_do_is_not_written),
        cmocka_unit_test(pieces_without_bound_are_not_written),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
