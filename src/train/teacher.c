/* What a teacher says, in the pupil's numbers. The trap: a turn that came out otherwise in a second training would undo the
 * first one, so it is kept beside the pupil and taken from there. */
#include "train/teacher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/formats.h"
#include "infer/infer.h"
#include "kernels/kernels.h"

enum { CHUNK = 1024 /* texts between two looks at the clock */ };

static const char turn_name[] = "turn", teacher_key[] = "teacher";

struct fv_teacher {
    fv_model *model;
    fv_session *session;
    char hash[65];
    int size, width;
    bool turns;
    float *turn; /* [kept, size]; NULL until it is known, or where there is none */
    int kept;    /* numbers of the pupil that the teacher fills */
};

/* ---- Opening ------------------------------------------------------------------------------ */

/* Of the weights' file, or of the index over several. */
static fv_status hash_weights(fv_teacher *t, fv_err *err)
{
    char path[FV_PATH_MAX];
    fv_status status = fv_path_join(path, t->model->body, "model.safetensors", err);
    if (status == FV_OK && !fv_file_exists(path)) status = fv_path_join(path, t->model->body, "model.safetensors.index.json", err);
    return status == FV_OK ? fv_sha256_file(path, t->hash, err) : status;
}

static fv_status open_model(fv_teacher *t, const char *folder, fv_err *err)
{
    fv_session_options o;
    fv_err local = {0};
    fv_session_options_init(&o);
    t->model = fv_model_open(folder, &local);
    if (!t->model) return FV_FAIL(err, local.status, "%s", local.text);
    t->size = fv_model_embedding_size(t->model);
    if (!t->size) return FV_FAIL(err, FV_E_ARGUMENT, "%s makes no vectors of texts: a teacher has to", folder);
    o.head = fv_model_head_name(t->model, 0);
    t->session = fv_session_new(t->model, &o, &local);
    if (!t->session) return FV_FAIL(err, local.status, "%s", local.text);
    return hash_weights(t, err);
}

fv_teacher *fv_teacher_open(const char *folder, fv_err *err)
{
    fv_teacher *t = fv_alloc_zero(1, sizeof *t, err);
    if (!t || open_model(t, folder, err) == FV_OK) return t;
    fv_teacher_close(t);
    return NULL;
}

void fv_teacher_rest(fv_teacher *t)
{
    fv_session_free(t->session);
    fv_model_close(t->model);
    t->session = NULL;
    t->model = NULL;
}

void fv_teacher_close(fv_teacher *t)
{
    if (!t) return;
    fv_teacher_rest(t);
    fv_free(t->turn);
    fv_free(t);
}

const char *fv_teacher_hash(const fv_teacher *t) { return t->hash; }
bool fv_teacher_turned(const fv_teacher *t) { return t->turn != NULL; }

/* ---- Axes --------------------------------------------------------------------------------- */

/* Sum of the squares beside the diagonal. */
static double off_diagonal(const double *a, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) sum += a[(size_t)i * (size_t)n + (size_t)j] * a[(size_t)i * (size_t)n + (size_t)j];
    return sum;
}

static void turn_rows(double *p, double *q, int n, int step, double c, double s)
{
    for (int i = 0; i < n; i++, p += step, q += step) {
        double x = *p, y = *q;
        *p = c * x - s * y;
        *q = s * x + c * y;
    }
}

/* The rotation that brings a[p][q] to zero. */
static void rotate(double *axes, double *a, int n, int p, int q)
{
    double *row_p = a + (size_t)p * (size_t)n, *row_q = a + (size_t)q * (size_t)n;
    double theta = (row_q[q] - row_p[p]) / (2 * row_p[q]), t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(1 + theta * theta));
    double c = 1 / sqrt(1 + t * t), s = t * c;
    turn_rows(row_p, row_q, n, 1, c, s);
    turn_rows(a + p, a + q, n, n, c, s);
    turn_rows(axes + (size_t)p * (size_t)n, axes + (size_t)q * (size_t)n, n, 1, c, s);
}

typedef struct axis { double value; int place; } axis;

static int longest_first(const void *x, const void *y)
{
    const axis *a = x, *b = y;
    return a->value != b->value ? (a->value < b->value ? 1 : -1) : (a->place > b->place) - (a->place < b->place);
}

static fv_status sort_axes(double *axes, double *a, int n, fv_err *err)
{
    axis *order = fv_alloc_zero((size_t)n, sizeof *order, err);
    if (!order) return FV_E_MEMORY;
    for (int i = 0; i < n; i++) order[i] = (axis){a[(size_t)i * (size_t)n + (size_t)i], i};
    qsort(order, (size_t)n, sizeof *order, longest_first);
    for (int i = 0; i < n; i++) memcpy(a + (size_t)i * (size_t)n, axes + (size_t)order[i].place * (size_t)n, (size_t)n * sizeof *a);
    memcpy(axes, a, (size_t)n * (size_t)n * sizeof *a);
    fv_free(order);
    return FV_OK;
}

fv_status fv_axes_of(double *axes, double *a, int n, fv_err *err)
{
    enum { MOST_SWEEPS = 30 };
    double trace = 0;
    memset(axes, 0, (size_t)n * (size_t)n * sizeof *axes);
    for (int i = 0; i < n; i++) {
        axes[(size_t)i * (size_t)n + (size_t)i] = 1;
        trace += fabs(a[(size_t)i * (size_t)n + (size_t)i]);
    }
    double small = 1e-10 * trace / n; /* what is left beside the diagonal only moves length between axes that are next to it */
    for (int sweep = 0; sweep < MOST_SWEEPS && off_diagonal(a, n) > small * small * n; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++)
                if (fabs(a[(size_t)p * (size_t)n + (size_t)q]) > small) rotate(axes, a, n, p, q);
    return sort_axes(axes, a, n, err);
}

/* ---- The turn ----------------------------------------------------------------------------- */

/* moments [size, size] = Σ v vᵀ */
static fv_status find_moments(float *moments, const float *vectors, size_t n, int size, fv_pool *pool, fv_err *err)
{
    fv_gemm g = {.m = size, .n = size, .k = (int64_t)n, .a = vectors, .lda = size, .a_t = true, .b = vectors, .ldb = size, .c = moments, .ldc = size};
    void *scratch = fv_alloc(fv_gemm_scratch(&g, pool ? fv_pool_threads(pool) : 1), err);
    if (!scratch) return FV_E_MEMORY;
    fv_gemm_run(&g, pool, scratch);
    fv_free(scratch);
    return FV_OK;
}

static fv_status find_turn(fv_teacher *t, const float *vectors, size_t n, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_E_MEMORY;
    size_t size = (size_t)t->size;
    float *moments = fv_alloc(size * size * sizeof *moments, err);
    double *a = moments ? fv_alloc(size * size * sizeof *a, err) : NULL, *axes = a ? fv_alloc(size * size * sizeof *axes, err) : NULL;
    t->turn = axes ? fv_alloc((size_t)t->kept * size * sizeof *t->turn, err) : NULL;
    if (!t->turn) goto done;
    FV_TRY(find_moments(moments, vectors, n, t->size, pool, err));
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j < size; j++) a[i * size + j] = ((double)moments[i * size + j] + (double)moments[j * size + i]) / 2;
    FV_TRY(fv_axes_of(axes, a, t->size, err));
    for (size_t i = 0; i < (size_t)t->kept * size; i++) t->turn[i] = (float)axes[i];
done:
    fv_free(moments);
    fv_free(a);
    fv_free(axes);
    return status;
}

/* One of another teacher, or of another width, is of no use. */
static fv_status load_turn(fv_teacher *t, const char *path, fv_err *err)
{
    fv_safetensors file = {0};
    fv_status status = fv_safetensors_open(&file, path, err);
    if (status != FV_OK) return status;
    const char *of = fv_safetensors_meta(&file, teacher_key);
    const fv_st_tensor *turn = fv_safetensors_find(&file, turn_name);
    if (of && strcmp(of, t->hash) == 0 && turn && turn->dtype == FV_F32 && turn->rank == 2 && turn->shape[0] == t->kept && turn->shape[1] == t->size) {
        t->turn = fv_alloc(turn->bytes, err);
        if (t->turn) memcpy(t->turn, turn->data, turn->bytes);
        else status = FV_E_MEMORY;
    }
    fv_safetensors_close(&file);
    return status;
}

fv_status fv_teacher_fit(fv_teacher *t, int width, bool turns, const char *from, fv_err *err)
{
    fv_status status = FV_OK;
    char path[FV_PATH_MAX];
    t->width = width;
    t->kept = width < t->size ? width : t->size;
    t->turns = turns || width < t->size;
    if (!from) return FV_OK;
    FV_TRY(fv_path_join(path, from, FV_TURN_FILE, err));
    if (fv_file_exists(path)) FV_TRY(load_turn(t, path, err));
done:
    return status;
}

fv_status fv_teacher_save_turn(const fv_teacher *t, const char *path, fv_err *err)
{
    fv_st_tensor tensor = {.name = turn_name, .dtype = FV_F32, .rank = 2, .shape = {t->kept, t->size}, .data = t->turn, .bytes = (size_t)t->kept * (size_t)t->size * sizeof(float)};
    return fv_safetensors_write(path, &tensor, 1, (const char *[]){teacher_key}, (const char *[]){t->hash}, 1, err);
}

/* ---- Asking ------------------------------------------------------------------------------- */

static fv_status read_all(fv_teacher *t, float *out, const fv_text *texts, size_t n, fv_teacher_progress progress, void *user, fv_err *err)
{
    fv_embed_options o;
    fv_embed_options_init(&o);
    o.unit = FV_UNIT_YES;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK;
        fv_status status = fv_embed(t->session, texts + at, count, &o, out + at * (size_t)t->size, err);
        if (status != FV_OK) return status;
        if (progress && progress(user, at + count, n)) return FV_FAIL(err, FV_E_STOPPED, "stopped while the teacher read, after %zu of %zu texts", at + count, n);
    }
    return FV_OK;
}

/* Into the pupil's numbers; those beyond the teacher's stay zero. */
static fv_status turn_all(const fv_teacher *t, float *to, const float *from, size_t n, fv_pool *pool, fv_err *err)
{
    memset(to, 0, n * (size_t)t->width * sizeof *to);
    if (!t->turn) {
        for (size_t i = 0; i < n; i++) memcpy(to + i * (size_t)t->width, from + i * (size_t)t->size, (size_t)t->kept * sizeof *to);
        return FV_OK;
    }
    fv_gemm g = {.m = (int64_t)n, .n = t->kept, .k = t->size, .a = from, .lda = t->size, .b = t->turn, .ldb = t->size, .b_t = true, .c = to, .ldc = t->width};
    void *scratch = fv_alloc(fv_gemm_scratch(&g, pool ? fv_pool_threads(pool) : 1), err);
    if (!scratch) return FV_E_MEMORY;
    fv_gemm_run(&g, pool, scratch);
    fv_free(scratch);
    return FV_OK;
}

fv_status fv_teacher_ask(fv_teacher *t, float *vectors, const fv_text *texts, size_t n, fv_teacher_progress progress, void *user, fv_pool *pool, fv_err *err)
{
    fv_status status = FV_OK;
    float *own = fv_alloc(n * (size_t)t->size * sizeof *own, err);
    if (!own) return FV_E_MEMORY;
    FV_TRY(read_all(t, own, texts, n, progress, user, err));
    if (t->turns && !t->turn) FV_TRY(find_turn(t, own, n, pool, err));
    FV_TRY(turn_all(t, vectors, own, n, pool, err));
done:
    fv_free(own);
    return status;
}
