/* The wide part: which n-grams count, what they weigh, and their file. */
#include "models/wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

struct fv_wide_count { uint64_t hash; uint32_t texts; };

static int by_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Of none, there may be no array. */
static void sort_hashes(uint64_t *hashes, size_t n)
{
    if (n) qsort(hashes, n, sizeof *hashes, by_hash);
}

static size_t slot_of(uint64_t hash, size_t mask) { return (size_t)(hash ^ hash >> 32) & mask; }

/* ---- Counting ---- */

static void count_one(fv_wide_counts *c, uint64_t hash, uint32_t texts)
{
    size_t i = slot_of(hash, c->n_slots - 1);
    while (c->slots[i].texts && c->slots[i].hash != hash) i = (i + 1) & (c->n_slots - 1);
    c->n += c->slots[i].texts == 0;
    c->slots[i].hash = hash;
    c->slots[i].texts += texts;
}

static fv_status make_room(fv_wide_counts *c, size_t more, fv_err *err)
{
    if ((c->n + more) * 2 <= c->n_slots) return FV_OK;
    fv_wide_counts larger = {.texts = c->texts, .n_slots = c->n_slots ? c->n_slots : 4096};
    while ((c->n + more) * 2 > larger.n_slots) larger.n_slots *= 2;
    larger.slots = fv_alloc_zero(larger.n_slots, sizeof *larger.slots, err);
    if (!larger.slots) return FV_E_MEMORY;
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].texts) count_one(&larger, c->slots[i].hash, c->slots[i].texts);
    fv_free(c->slots);
    *c = larger;
    return FV_OK;
}

fv_status fv_wide_count(fv_wide_counts *c, uint64_t *hashes, size_t n, fv_err *err)
{
    fv_status status = make_room(c, n, err);
    if (status != FV_OK) return status;
    sort_hashes(hashes, n);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || hashes[i] != hashes[i - 1]) count_one(c, hashes[i], 1);
    c->texts++;
    return FV_OK;
}

void fv_wide_counts_release(fv_wide_counts *c)
{
    fv_free(c->slots);
    *c = (fv_wide_counts){0};
}

/* ---- Choosing ---- */

static int by_texts(const void *a, const void *b)
{
    const struct fv_wide_count *x = a, *y = b;
    if (x->texts != y->texts) return x->texts < y->texts ? 1 : -1;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static int by_count_hash(const void *a, const void *b) { return by_hash(&((const struct fv_wide_count *)a)->hash, &((const struct fv_wide_count *)b)->hash); }

static fv_status index_hashes(fv_wide *w, fv_err *err)
{
    size_t n_slots = 16;
    while (n_slots < (size_t)w->n * 2) n_slots *= 2;
    w->slots = fv_alloc_zero(n_slots, sizeof *w->slots, err);
    if (!w->slots) return FV_E_MEMORY;
    w->slot_mask = (uint32_t)n_slots - 1;
    for (int64_t k = 0; k < w->n; k++) {
        size_t i = slot_of(w->hashes[k], w->slot_mask);
        while (w->slots[i]) i = (i + 1) & w->slot_mask;
        w->slots[i] = (uint32_t)k + 1;
    }
    return FV_OK;
}

static fv_status make_room_for_features(fv_wide *w, int64_t n, fv_err *err)
{
    w->n = n;
    w->hashes = fv_alloc_zero((size_t)n + 1, sizeof *w->hashes, err);
    w->idf = fv_alloc_zero((size_t)n + 1, sizeof *w->idf, err);
    return w->hashes && w->idf ? FV_OK : FV_E_MEMORY;
}

fv_status fv_wide_choose(fv_wide *w, const fv_wide_counts *counts, int64_t most, fv_err *err)
{
    fv_status status = FV_OK;
    size_t n = 0;
    struct fv_wide_count *kept = fv_alloc((counts->n + 1) * sizeof *kept, err);
    if (!kept) return FV_E_MEMORY;
    for (size_t i = 0; i < counts->n_slots; i++)
        if (counts->slots[i].texts >= 2) kept[n++] = counts->slots[i];
    qsort(kept, n, sizeof *kept, by_texts);
    if ((int64_t)n > most) n = (size_t)most;
    qsort(kept, n, sizeof *kept, by_count_hash);
    FV_TRY(make_room_for_features(w, (int64_t)n, err));
    for (size_t i = 0; i < n; i++) {
        w->hashes[i] = kept[i].hash;
        w->idf[i] = (float)(log((1.0 + (double)counts->texts) / (1.0 + kept[i].texts)) + 1);
    }
    FV_TRY(index_hashes(w, err));
done:
    fv_free(kept);
    return status;
}

/* ---- Rows ---- */

static int32_t find(const fv_wide *w, uint64_t hash)
{
    for (size_t i = slot_of(hash, w->slot_mask); w->slots[i]; i = (i + 1) & w->slot_mask)
        if (w->hashes[w->slots[i] - 1] == hash) return (int32_t)w->slots[i] - 1;
    return -1;
}

static fv_status put_feature(fv_feature_rows *rows, int64_t *at, int32_t id, double value, fv_err *err)
{
    fv_status status = FV_OK;
    size_t need = (size_t)*at + 1, capacity = rows->capacity;
    if (need > rows->capacity) {
        FV_TRY(fv_grow(&rows->values, &capacity, need, sizeof *rows->values, err));
        FV_TRY(fv_grow(&rows->ids, &rows->capacity, need, sizeof *rows->ids, err));
    }
    rows->ids[*at] = id;
    rows->values[(*at)++] = (float)value;
done:
    return status;
}

/* Features are numbered by ascending hash, so sorted hashes give ascending ids. */
fv_status fv_wide_add_row(const fv_wide *w, fv_feature_rows *rows, uint64_t *hashes, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    double squares[2] = {0, 0}; /* of words, of pieces: there are many more of these, and neither is to drown the other */
    int64_t begin = rows->offsets[rows->n], end = begin;
    sort_hashes(hashes, n);
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && hashes[next] == hashes[i];) next++;
        int32_t id = find(w, hashes[i]);
        if (id < 0) continue;
        double value = (1 + log((double)(next - i))) * (double)w->idf[id];
        squares[hashes[i] & 1] += value * value;
        FV_TRY(put_feature(rows, &end, id, value, err));
    }
    for (int64_t i = begin; i < end; i++) rows->values[i] = (float)((double)rows->values[i] / sqrt(squares[w->hashes[rows->ids[i]] & 1]));
    rows->offsets[++rows->n] = end;
done:
    return status;
}

/* ---- In the model ---- */

fv_tensor *fv_wide_build(const fv_wide *w, fv_graph *g, fv_tensor *logits, const fv_feature_rows *features, const fv_batch *batch)
{
    fv_graph_scope(g, "wide");
    fv_tensor *weight = fv_graph_input(g, "weight", w->weight, w->n, w->outputs, w->outputs);
    return fv_bag(g, weight, logits, features, batch->rows, batch->B);
}

void fv_wide_release(fv_wide *w)
{
    fv_free(w->hashes);
    fv_free(w->idf);
    fv_free(w->slots);
    if (w->owned) fv_free(w->weight);
    *w = (fv_wide){0};
}

/* ---- The file ---- */

fv_status fv_wide_save(const fv_wide *w, const char *path, fv_err *err)
{
    size_t n = (size_t)w->n, outputs = (size_t)w->outputs;
    fv_st_tensor tensors[] = {
        {.name = "hashes", .dtype = FV_U64, .rank = 1, .shape = {w->n}, .data = w->hashes, .bytes = n * sizeof *w->hashes},
        {.name = "idf", .dtype = FV_F32, .rank = 1, .shape = {w->n}, .data = w->idf, .bytes = n * sizeof *w->idf},
        {.name = "weight", .dtype = FV_F32, .rank = 2, .shape = {w->n, w->outputs}, .data = w->weight, .bytes = n * outputs * sizeof(float)},
    };
    return fv_safetensors_write(path, tensors, FV_COUNT(tensors), (const char *[]){"fovea_wide"}, (const char *[]){"2"}, 1, err);
}

static const fv_st_tensor *expect(const fv_safetensors *file, const char *name, fv_dtype dtype, int rank, int64_t n, int64_t outputs, fv_err *err)
{
    const fv_st_tensor *t = fv_safetensors_find(file, name);
    if (t && t->dtype == dtype && t->rank == rank && (n < 0 || t->shape[0] == n) && (rank < 2 || t->shape[1] == outputs)) return t;
    FV_FAIL(err, FV_E_FORMAT, "%s: expected %s to be %s of %d dimensions that fit the other tensors and the labels", file->path, name, fv_dtype_name(dtype), rank);
    return NULL;
}

fv_status fv_wide_load(fv_wide *w, const fv_safetensors *file, int outputs, fv_err *err)
{
    fv_status status = FV_OK;
    const char *version = fv_safetensors_meta(file, "fovea_wide");
    if (!version || strcmp(version, "2") != 0) return FV_FAIL(err, FV_E_FORMAT, "%s: version %s; this program reads version 2", file->path, version ? version : "is missing");
    const fv_st_tensor *hashes = expect(file, "hashes", FV_U64, 1, -1, 0, err);
    const fv_st_tensor *idf = hashes ? expect(file, "idf", FV_F32, 1, hashes->shape[0], 0, err) : NULL;
    const fv_st_tensor *weight = idf ? expect(file, "weight", FV_F32, 2, hashes->shape[0], outputs, err) : NULL;
    if (!weight) return FV_E_FORMAT;
    FV_TRY(make_room_for_features(w, hashes->shape[0], err));
    memcpy(w->hashes, hashes->data, hashes->bytes);
    memcpy(w->idf, idf->data, idf->bytes);
    for (int64_t i = 1; i < w->n; i++)
        if (w->hashes[i] <= w->hashes[i - 1]) return FV_FAIL(err, FV_E_FORMAT, "%s: hashes do not ascend at %lld", file->path, (long long)i);
    FV_TRY(index_hashes(w, err));
    w->weight = (float *)(uintptr_t)weight->data;
    w->outputs = outputs;
done:
    return status;
}
