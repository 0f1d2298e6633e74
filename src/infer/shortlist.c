/* The shortlist: its file, and the union of rows. Learning it is train/lexicon.c's.
 *
 * The union is a bitmap of the target vocabulary: marking needs no look at what is marked already, and reading it
 * from the front gives the ids sorted, as the decoder wants them, so that rows are read in their order in memory.
 *
 * The trap: a mapped tensor may lie at any address and the file may change under us, so numbers are copied first
 * and checked after. */
#include "infer/shortlist.h"

#include <string.h>

#include "formats/formats.h"

static const char version_key[] = "fovea_shortlist", version[] = "1", vocab_key[] = "target_vocab";

/* ---- Checking ----------------------------------------------------------------------------- */

static fv_status check_ids(const fv_shortlist *list, const int32_t *ids, int64_t n, const char *what, const char *where, fv_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= list->target_vocab)
            return FV_FAIL(err, FV_E_FORMAT, "%s: %s has the token %d; expected 0 to %d", where, what, (int)ids[i], (int)list->target_vocab - 1);
        if (i > 0 && ids[i] <= ids[i - 1])
            return FV_FAIL(err, FV_E_FORMAT, "%s: %s has the token %d after %d; expected ascending ones", where, what, (int)ids[i], (int)ids[i - 1]);
    }
    return FV_OK;
}

static fv_status check_rows(const fv_shortlist *list, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    char what[48];
    for (int32_t i = 0; i < list->source_vocab && status == FV_OK; i++) {
        snprintf(what, sizeof what, "the row of source token %d", (int)i);
        status = check_ids(list, list->targets + list->offsets[i], (int64_t)list->offsets[i + 1] - list->offsets[i], what, where, err);
    }
    return status;
}

size_t fv_shortlist_marks(const fv_shortlist *list) { return ((size_t)list->target_vocab + 63) / 64; }

static void mark(uint64_t *marks, int32_t id) { marks[id >> 6] |= (uint64_t)1 << (id & 63); }

fv_status fv_shortlist_seal(fv_shortlist *list, const char *where, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(check_ids(list, list->always, list->n_always, "\"always\"", where, err));
    FV_TRY(check_rows(list, where, err));
    if (!(list->always_bits = fv_alloc_zero(fv_shortlist_marks(list), sizeof *list->always_bits, err))) return FV_E_MEMORY;
    for (int32_t i = 0; i < list->n_always; i++) mark(list->always_bits, list->always[i]);
done:
    return status;
}

void fv_shortlist_release(fv_shortlist *list)
{
    fv_free(list->always);
    fv_free(list->offsets);
    fv_free(list->targets);
    fv_free(list->always_bits);
    *list = (fv_shortlist){0};
}

/* ---- The file ----------------------------------------------------------------------------- */

static fv_status check_version(const fv_safetensors *file, int32_t target_vocab, fv_err *err)
{
    const char *found = fv_safetensors_meta(file, version_key), *vocab = fv_safetensors_meta(file, vocab_key);
    int64_t number = 0;
    fv_shown shown;
    if (!found) return FV_FAIL(err, FV_E_FORMAT, "%s: no shortlist; expected \"%s\" in its metadata", file->path, version_key);
    if (strcmp(found, version) != 0)
        return FV_FAIL(err, FV_E_FORMAT, "%s: a shortlist of version %s; expected %s: learn it again", file->path, fv_show(&shown, found, strlen(found)), version);
    if (!vocab || !fv_parse_int64(vocab, &number) || number != target_vocab)
        return FV_FAIL(err, FV_E_FORMAT, "%s: for %s target tokens, but the model has %d: learn it again", file->path, vocab ? fv_show(&shown, vocab, strlen(vocab)) : "no", (int)target_vocab);
    return FV_OK;
}

/* A copy of an I32 row of numbers; *n is at most INT32_MAX. */
static fv_status copy_numbers(const fv_safetensors *file, const char *name, int32_t **out, int32_t *n, fv_err *err)
{
    const fv_st_tensor *t = fv_safetensors_find(file, name);
    if (!t || t->dtype != FV_I32 || t->rank != 1 || t->shape[0] > INT32_MAX)
        return FV_FAIL(err, FV_E_FORMAT, "%s: tensor \"%s\" is missing or no row of I32 numbers", file->path, name);
    if (!(*out = fv_alloc(t->bytes, err))) return FV_E_MEMORY;
    if (t->bytes) memcpy(*out, t->data, t->bytes);
    *n = (int32_t)t->shape[0];
    return FV_OK;
}

static fv_status check_offsets(const fv_shortlist *list, int32_t n_offsets, int32_t n_targets, const char *path, fv_err *err)
{
    if (n_offsets - 1 != list->source_vocab)
        return FV_FAIL(err, FV_E_FORMAT, "%s: for %d source tokens, but the model has %d: learn it again", path, (int)n_offsets - 1, (int)list->source_vocab);
    if (list->offsets[0] != 0 || list->offsets[list->source_vocab] != n_targets)
        return FV_FAIL(err, FV_E_FORMAT, "%s: \"offsets\" goes from %d to %d; expected 0 to %d, the length of \"targets\"", path, (int)list->offsets[0], (int)list->offsets[list->source_vocab], (int)n_targets);
    for (int32_t i = 0; i < list->source_vocab; i++)
        if (list->offsets[i + 1] < list->offsets[i])
            return FV_FAIL(err, FV_E_FORMAT, "%s: \"offsets\" falls from %d to %d at %d; expected numbers that rise", path, (int)list->offsets[i], (int)list->offsets[i + 1], (int)i);
    return FV_OK;
}

static fv_status read_list(fv_shortlist *list, const fv_safetensors *file, fv_err *err)
{
    fv_status status = FV_OK;
    int32_t n_offsets = 0, n_targets = 0;
    FV_TRY(check_version(file, list->target_vocab, err));
    FV_TRY(copy_numbers(file, "always", &list->always, &list->n_always, err));
    FV_TRY(copy_numbers(file, "offsets", &list->offsets, &n_offsets, err));
    FV_TRY(copy_numbers(file, "targets", &list->targets, &n_targets, err));
    FV_TRY(check_offsets(list, n_offsets, n_targets, file->path, err));
    FV_TRY(fv_shortlist_seal(list, file->path, err));
done:
    return status;
}

fv_status fv_shortlist_open(fv_shortlist *list, const char *path, int32_t source_vocab, int32_t target_vocab, fv_err *err)
{
    fv_safetensors file;
    *list = (fv_shortlist){0};
    FV_ASSERT(source_vocab > 0 && target_vocab > 0);
    fv_status status = fv_safetensors_open(&file, path, err);
    if (status != FV_OK) return status;
    list->source_vocab = source_vocab;
    list->target_vocab = target_vocab;
    status = read_list(list, &file, err);
    fv_safetensors_close(&file);
    if (status != FV_OK) fv_shortlist_release(list);
    return status;
}

static fv_st_tensor numbers(const char *name, const int32_t *data, int64_t n)
{
    return (fv_st_tensor){.name = name, .dtype = FV_I32, .rank = 1, .shape = {n}, .data = data, .bytes = (size_t)n * sizeof *data};
}

fv_status fv_shortlist_save(const fv_shortlist *list, const char *path, fv_err *err)
{
    char vocab[16];
    snprintf(vocab, sizeof vocab, "%d", (int)list->target_vocab);
    const char *keys[] = {version_key, vocab_key}, *values[] = {version, vocab};
    const fv_st_tensor tensors[] = {
        numbers("always", list->always, list->n_always), numbers("offsets", list->offsets, (int64_t)list->source_vocab + 1),
        numbers("targets", list->targets, list->offsets[list->source_vocab]),
    };
    return fv_safetensors_write(path, tensors, FV_COUNT(tensors), keys, values, FV_COUNT(keys), err);
}

/* ---- The union ---------------------------------------------------------------------------- */

size_t fv_shortlist_pick(const fv_shortlist *list, uint64_t *marks, const int32_t *ids, size_t n, int32_t *out)
{
    size_t n_marks = fv_shortlist_marks(list), n_out = 0;
    memcpy(marks, list->always_bits, n_marks * sizeof *marks);
    for (size_t i = 0; i < n; i++) {
        FV_ASSERT(ids[i] >= 0 && ids[i] < list->source_vocab);
        for (int32_t k = list->offsets[ids[i]]; k < list->offsets[ids[i] + 1]; k++) mark(marks, list->targets[k]);
    }
    for (size_t i = 0; i < n_marks; i++)
        for (uint64_t left = marks[i]; left; left &= left - 1) out[n_out++] = (int32_t)(i * 64) + __builtin_ctzll(left);
    return n_out;
}
