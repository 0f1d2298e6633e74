/* The shortlist: unions against a slow one, the file there and back, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "formats/formats.h"
#include "formats/scratch.h"
#include "infer/shortlist.h"

enum { SOURCE = 5, TARGET = 130 };

/* Rows: nothing; one; the vocabulary's ends and the edges of a 64-bit word; some; nothing. */
static int32_t always[] = {0, 2, 64}, offsets[] = {0, 0, 1, 6, 9, 9}, targets[] = {7, /**/ 0, 63, 64, 65, 129, /**/ 2, 7, 128};

static fv_shortlist small(void)
{
    return (fv_shortlist){.source_vocab = SOURCE, .target_vocab = TARGET, .always = always, .n_always = 3, .offsets = offsets, .targets = targets};
}

static const char *save(const fv_shortlist *list)
{
    const char *path = scratch_path(FV_SHORTLIST_FILE);
    fv_err err = {0};
    if (fv_shortlist_save(list, path, &err) != FV_OK) fail_msg("%s", err.text);
    return path;
}

static fv_shortlist open_small(void)
{
    fv_shortlist list, s = small();
    fv_err err = {0};
    if (fv_shortlist_open(&list, save(&s), SOURCE, TARGET, &err) != FV_OK) fail_msg("%s", err.text);
    return list;
}

static void assert_picked(const fv_shortlist *list, const int32_t *ids, size_t n, const int32_t *expected, size_t n_expected)
{
    uint64_t marks[(TARGET + 63) / 64];
    int32_t out[TARGET];
    memset(marks, 0xff, sizeof marks); /* whatever was in it */
    assert_int_equal(fv_shortlist_marks(list), FV_COUNT(marks));
    assert_int_equal(fv_shortlist_pick(list, marks, ids, n, out), n_expected);
    assert_memory_equal(out, expected, n_expected * sizeof *out);
}

static void unions(void **state)
{
    (void)state;
    fv_shortlist list = open_small();
    const int32_t none[] = {0, 4}, two[] = {3, 1}, repeats[] = {2, 3, 2, 2, 1};
    const int32_t of_two[] = {0, 2, 7, 64, 128}, of_all[] = {0, 2, 7, 63, 64, 65, 128, 129};
    assert_picked(&list, NULL, 0, always, 3);
    assert_picked(&list, none, 2, always, 3);
    assert_picked(&list, two, 2, of_two, FV_COUNT(of_two));
    assert_picked(&list, repeats, 5, of_all, FV_COUNT(of_all));
    fv_shortlist_release(&list);
}

static void no_allocation_while_picking(void **state)
{
    (void)state;
    fv_shortlist list = open_small();
    uint64_t marks[3];
    int32_t out[TARGET], ids[] = {1, 2, 3};
    int64_t before = fv_alloc_count();
    fv_shortlist_pick(&list, marks, ids, 3, out);
    assert_int_equal(fv_alloc_count(), before);
    fv_shortlist_release(&list);
}

static void there_and_back(void **state)
{
    (void)state;
    fv_shortlist list = open_small();
    assert_int_equal(list.n_always, 3);
    assert_memory_equal(list.always, always, sizeof always);
    assert_memory_equal(list.offsets, offsets, sizeof offsets);
    assert_memory_equal(list.targets, targets, sizeof targets);
    fv_shortlist_release(&list);
    assert_null(list.targets);
}

static void assert_refused(const char *path, int32_t source, int32_t target, const char *says)
{
    fv_shortlist list;
    fv_err err = {0};
    int64_t live = fv_alloc_live();
    fv_status status = fv_shortlist_open(&list, path, source, target, &err);
    if (status != FV_E_FORMAT || !strstr(err.text, says)) fail_msg("status %d, \"%s\"; expected \"%s\"", (int)status, err.text, says);
    assert_null(list.offsets);
    assert_int_equal(fv_alloc_live(), live);
}

static void other_vocabularies(void **state)
{
    (void)state;
    fv_shortlist s = small();
    const char *path = save(&s);
    assert_refused(path, SOURCE + 1, TARGET, "for 5 source tokens, but the model has 6: learn it again");
    assert_refused(path, SOURCE, TARGET - 1, "for \"130\" target tokens, but the model has 129: learn it again");
}

static void numbers_that_lie(void **state)
{
    (void)state;
    fv_shortlist s = small();
    int32_t bad_offsets[] = {0, 0, 1, 10, 9, 9}, first[] = {1, 1, 1, 6, 9, 9}, far[] = {7, 0, 63, 64, 65, 130, 2, 7, 128}, negative[] = {-1, 0, 63, 64, 65, 129, 2, 7, 128};
    int32_t falling[] = {7, 0, 64, 63, 65, 129, 2, 7, 128}, twice[] = {0, 2, 2};
    s.offsets = bad_offsets;
    assert_refused(save(&s), SOURCE, TARGET, "\"offsets\" falls from 10 to 9 at 3");
    s.offsets = first;
    assert_refused(save(&s), SOURCE, TARGET, "\"offsets\" goes from 1 to 9; expected 0 to 9");
    s = small();
    s.targets = far;
    assert_refused(save(&s), SOURCE, TARGET, "the row of source token 2 has the token 130; expected 0 to 129");
    s.targets = negative;
    assert_refused(save(&s), SOURCE, TARGET, "the row of source token 1 has the token -1");
    s.targets = falling;
    assert_refused(save(&s), SOURCE, TARGET, "the row of source token 2 has the token 63 after 64; expected ascending ones");
    s = small();
    s.always = twice;
    assert_refused(save(&s), SOURCE, TARGET, "\"always\" has the token 2 after 2");
}

/* Files with the tensors of a small list, one of them changed, and other metadata. */
static const char *write_odd(const char *version, const char *vocab, fv_dtype dtype, int64_t n_targets, int rank)
{
    const char *path = scratch_path("odd.safetensors"), *keys[] = {"fovea_shortlist", "target_vocab"}, *values[] = {version, vocab};
    const fv_st_tensor tensors[] = {
        {.name = "always", .dtype = FV_I32, .rank = 1, .shape = {3}, .data = always, .bytes = sizeof always},
        {.name = "offsets", .dtype = FV_I32, .rank = 1, .shape = {SOURCE + 1}, .data = offsets, .bytes = sizeof offsets},
        {.name = "targets", .dtype = dtype, .rank = rank, .shape = {n_targets, 1}, .data = targets, .bytes = (size_t)n_targets * 4},
    };
    fv_err err = {0};
    if (fv_safetensors_write(path, tensors, 3, keys, values, version ? 2 : 0, &err) != FV_OK) fail_msg("%s", err.text);
    return path;
}

static void other_files(void **state)
{
    (void)state;
    assert_refused(write_odd(NULL, NULL, FV_I32, 9, 1), SOURCE, TARGET, "no shortlist; expected \"fovea_shortlist\" in its metadata");
    assert_refused(write_odd("2", "130", FV_I32, 9, 1), SOURCE, TARGET, "a shortlist of version \"2\"; expected 1: learn it again");
    assert_refused(write_odd("1", "many", FV_I32, 9, 1), SOURCE, TARGET, "for \"many\" target tokens");
    assert_refused(write_odd("1", "130", FV_F32, 9, 1), SOURCE, TARGET, "\"targets\" is missing or no row of I32 numbers");
    assert_refused(write_odd("1", "130", FV_I32, 9, 2), SOURCE, TARGET, "\"targets\" is missing or no row of I32 numbers");
    assert_refused(write_odd("1", "130", FV_I32, 8, 1), SOURCE, TARGET, "\"offsets\" goes from 0 to 9; expected 0 to 8");
}

static void bytes_that_are_missing(void **state)
{
    (void)state;
    fv_shortlist s = small(), list;
    fv_buf file = {0};
    const char *cut = scratch_path("cut.safetensors");
    assert_int_equal(fv_file_read(save(&s), 1 << 20, &file, NULL), FV_OK);
    for (size_t n = 0; n < file.len; n++) {
        fv_err err = {0};
        assert_int_equal(fv_file_write(cut, file.data, n, &err), FV_OK);
        assert_int_equal(fv_shortlist_open(&list, cut, SOURCE, TARGET, &err), FV_E_FORMAT);
        assert_true(err.text[0]);
    }
    fv_buf_release(&file);
    assert_int_equal(fv_shortlist_open(&list, scratch_path("none"), SOURCE, TARGET, NULL), FV_E_IO);
}

static void memory_that_runs_out(void **state)
{
    (void)state;
    fv_shortlist s = small(), list;
    const char *path = save(&s);
    int64_t live = fv_alloc_live();
    fv_status status = FV_E_MEMORY;
    for (int64_t n = 0; status != FV_OK; n++) {
        fv_err err = {0};
        fv_alloc_fail_after(n);
        status = fv_shortlist_open(&list, path, SOURCE, TARGET, &err);
        fv_alloc_fail_after(-1);
        if (status == FV_OK) fv_shortlist_release(&list);
        else assert_int_equal(err.status, FV_E_MEMORY);
        assert_int_equal(fv_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unions),
        cmocka_unit_test(no_allocation_while_picking),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(other_vocabularies),
        cmocka_unit_test(numbers_that_lie),
        cmocka_unit_test(other_files),
        cmocka_unit_test(bytes_that_are_missing),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
