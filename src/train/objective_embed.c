/* Texts to vectors (Reimers & Gurevych 2019). A row has one to three texts; in training they stand in one row of tokens, told
 * apart by their types, so that the sampler keeps them together, and a batch is taken apart into as many sequences: those of a
 * row next to each other. Nothing is copied for that but places and bounds. All texts of a batch go through the body as one
 * ragged batch, and all of a batch's rows are in the loss: `batch_tokens` says how many texts a text is told from, while
 * `accumulate` adds no rivals. What the loss is, the columns say. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops.h"
#include "train/bootstrap.h"
#include "train/metrics.h"
#include "train/similarity.h"
#include "train/training.h"

enum { N_DIMS = FV_MAX_DIMS + 1 };

static bool taught(const fv_training *t) { return t->recipe.embed.loss == FV_EMBED_TEACHER; }

/* ---- What rows have ----------------------------------------------------------------------- */

static int parts_of(const fv_dataset *data) { return 1 + !!(data->has & FV_HAS_TEXT2) + !!(data->has & FV_HAS_NEGATIVE); }

typedef struct shown { char text[48]; } shown;

static const char *show_fields(shown *room, unsigned has)
{
    snprintf(room->text, sizeof room->text, "text%s%s%s%s", has & FV_HAS_TEXT2 ? ", text2" : "", has & FV_HAS_NEGATIVE ? ", negative" : "", has & FV_HAS_LABEL ? ", label" : "", has & FV_HAS_GRADE ? ", grade" : "");
    return room->text;
}

/* The loss that rows of these fields have when none is asked for. */
static fv_embed_loss usual_loss(const fv_training *t, unsigned has)
{
    if (t->o->teacher) return FV_EMBED_TEACHER;
    return has & FV_HAS_LABEL ? FV_EMBED_COSENT : FV_EMBED_CONTRAST;
}

static bool fits(fv_embed_loss loss, unsigned has)
{
    switch (loss) {
    case FV_EMBED_CONTRAST: return (has | FV_HAS_NEGATIVE) == (FV_HAS_TEXT2 | FV_HAS_NEGATIVE);
    case FV_EMBED_TRIPLET: return has == (FV_HAS_TEXT2 | FV_HAS_NEGATIVE);
    case FV_EMBED_TEACHER: return (has | FV_HAS_TEXT2) == FV_HAS_TEXT2;
    default: return has == (FV_HAS_TEXT2 | FV_HAS_LABEL);
    }
}

static fv_status settle_loss(fv_training *t, const fv_part *part, fv_err *err)
{
    static const char *const wanted[] = {"text, text2 and perhaps negative", "text, text2, label", "text, text2, label", "text, text2, negative", "text and perhaps text2"};
    fv_embed_recipe *e = &t->recipe.embed;
    unsigned has = part->data.has;
    shown room;
    if (e->loss == FV_EMBED_BY_COLUMNS) e->loss = usual_loss(t, has);
    if (taught(t) != !!t->o->teacher) return FV_FAIL(err, FV_E_ARGUMENT, "loss %s %s a teacher", fv_embed_loss_name(e->loss), taught(t) ? "needs" : "has no use for");
    if (has == 0 && !taught(t)) return FV_FAIL(err, FV_E_INPUT, "%s: rows of a text alone teach nothing without a teacher (--teacher); expected a text2 that belongs to it (--text2 names the column)", part->path);
    if (!fits(e->loss, has)) return FV_FAIL(err, FV_E_INPUT, "%s: rows have %s; loss %s is for %s", part->path, show_fields(&room, has), fv_embed_loss_name(e->loss), wanted[e->loss]);
    return FV_OK;
}

static fv_status expect_fields(const fv_part *part, unsigned has, fv_err *err)
{
    shown found, expected;
    if (!part->path || part->data.has == has) return FV_OK;
    return FV_FAIL(err, FV_E_INPUT, "%s: rows have %s; expected %s, as the training rows", part->path, show_fields(&found, part->data.has), show_fields(&expected, has));
}

/* Rows of which nothing can be learnt: only rivals, or unequal labels, teach. */
static fv_status expect_differences(const fv_training *t, const fv_part *part, fv_err *err)
{
    const fv_dataset *d = &part->data;
    bool labels = d->has & FV_HAS_LABEL;
    if (taught(t) || (d->has & FV_HAS_NEGATIVE)) return FV_OK;
    for (size_t i = 1; i < d->n; i++) {
        const fv_example *a = &d->rows[0], *b = &d->rows[i];
        if (labels ? a->value != b->value : a->text2_len != b->text2_len || memcmp(a->text2, b->text2, a->text2_len) != 0) return FV_OK;
    }
    if (labels && t->recipe.embed.loss == FV_EMBED_COSINE) return FV_OK;
    return FV_FAIL(err, FV_E_INPUT, "%s: all rows have the same %s; nothing is there to be told apart", part->path, labels ? "label" : "text2");
}

static fv_status look(fv_training *t, fv_job *job, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(settle_loss(t, &job->train, err));
    FV_TRY(expect_fields(&job->valid, job->train.data.has, err));
    FV_TRY(expect_fields(&job->test, job->train.data.has, err));
    FV_TRY(expect_differences(t, &job->train, err));
done:
    return status;
}

/* ---- What vectors are --------------------------------------------------------------------- */

static fv_status settle_dims(fv_embed_recipe *e, int width, fv_err *err)
{
    if (e->n_dims > 0 && e->dims[0] > width) return FV_FAIL(err, FV_E_ARGUMENT, "vectors of %d numbers asked; the model's have %d", e->dims[0], width);
    if (e->n_dims > 0 && e->dims[0] == width) return FV_OK;
    memmove(e->dims + 1, e->dims, (size_t)e->n_dims * sizeof *e->dims);
    e->dims[0] = width;
    e->n_dims++;
    return FV_OK;
}

/* Prompts stay in the folder; training reads texts as they are. */
static void adopt_sentence(fv_training *t, const fv_model *from)
{
    fv_embed_recipe *e = &t->recipe.embed;
    const fv_sentence *theirs = &from->sentence;
    if (!t->o->pooling) e->pooling = theirs->pooling;
    e->max_len = t->o->max_len ? t->o->max_len : from->max_len;
    t->sentence.settings = json_incref(theirs->settings);
    t->sentence.prompts = theirs->prompts;
    t->sentence.prompt = theirs->prompt;
}

fv_status fv_embed_adopt(fv_training *t, const fv_model *from, fv_err *err)
{
    fv_status status = FV_OK;
    fv_embed_recipe *e = &t->recipe.embed;
    if (from && from->sentence.n_dense) return FV_FAIL(err, FV_E_ARGUMENT, "%s has a Dense module after its pooling, which is not trained here; start from its Transformer alone", t->o->from);
    if (from) adopt_sentence(t, from);
    t->sentence.pooling = e->pooling;
    t->sentence.normalise = true;
    t->sentence.max_len = e->max_len;
    FV_TRY(settle_dims(e, t->recipe.encoder.width, err));
    if (!t->o->teacher) return FV_OK;
    t->teacher = fv_teacher_open(t->o->teacher, err);
    if (!t->teacher) return err->status;
    memcpy(e->teacher, fv_teacher_hash(t->teacher), sizeof e->teacher);
    FV_TRY(fv_teacher_fit(t->teacher, t->recipe.encoder.width, e->n_dims > 1, t->o->from, err));
done:
    return status;
}

/* ---- Rows --------------------------------------------------------------------------------- */

/* The texts of all rows, a row's next to each other. NULL when out of memory. */
static fv_text *texts_of(const fv_dataset *data, fv_err *err)
{
    fv_text *texts = fv_alloc_zero(data->n * (size_t)parts_of(data), sizeof *texts, err), *at = texts;
    for (size_t i = 0; texts && i < data->n; i++) {
        const fv_example *e = &data->rows[i];
        *at++ = (fv_text){.text = e->text, .len = e->text_len};
        if (e->text2) *at++ = (fv_text){.text = e->text2, .len = e->text2_len};
        if (e->negative) *at++ = (fv_text){.text = e->negative, .len = e->negative_len};
    }
    return texts;
}

/* Rows of `parts` texts out of rows of one, in place: a token's type becomes the number of its text. */
static void join_rows(fv_token_rows *rows, int parts)
{
    size_t n = rows->n / (size_t)parts;
    for (size_t i = 0; i < rows->n; i++) memset(rows->types + rows->offsets[i], (int)(i % (size_t)parts), (size_t)(rows->offsets[i + 1] - rows->offsets[i]));
    for (size_t i = 0; i <= n; i++) rows->offsets[i] = rows->offsets[i * (size_t)parts];
    rows->n = n;
    rows->max_len = 0;
    for (size_t i = 0; i < n; i++)
        if (rows->offsets[i + 1] - rows->offsets[i] > rows->max_len) rows->max_len = (int)(rows->offsets[i + 1] - rows->offsets[i]);
}

static fv_status name_texts(fv_part *part, const fv_text *texts, size_t n, fv_err *err)
{
    fv_map map = {0};
    fv_status status = FV_OK;
    part->names = fv_alloc_zero(n, sizeof *part->names, err);
    if (!part->names) return FV_E_MEMORY;
    for (size_t i = 0; i < n && status == FV_OK; i++) {
        part->names[i] = fv_map_get(&map, texts[i].text, texts[i].len);
        if (part->names[i] >= 0) continue;
        part->names[i] = (int32_t)map.n;
        status = fv_map_set(&map, texts[i].text, texts[i].len, part->names[i], err);
    }
    fv_map_release(&map);
    return status;
}

static fv_status make_room(fv_training *t, fv_job *job, fv_err *err)
{
    fv_text_batch *k = &job->texts;
    const fv_sampler *s = &job->train.sampler;
    size_t N = (size_t)s->max_N, B = (size_t)s->max_B;
    k->parts = parts_of(&job->train.data);
    size_t rows = B * (size_t)k->parts;
    bool fine = (k->positions = fv_alloc_zero(N, sizeof *k->positions, err)) && (k->zeros = fv_alloc_zero(N, sizeof *k->zeros, err)) &&
        (k->offsets = fv_alloc_zero(rows + 1, sizeof *k->offsets, err)) && (k->sequences = fv_alloc_zero(rows, sizeof *k->sequences, err)) &&
        (k->names = fv_alloc_zero(rows, sizeof *k->names, err)) && (k->values = fv_alloc_zero(B, sizeof *k->values, err));
    for (int i = 0; i < t->recipe.embed.n_dims && taught(t) && fine; i++)
        fine = (k->targets[i] = fv_alloc_zero(rows * (size_t)t->recipe.embed.dims[i], sizeof *k->targets[i], err));
    return fine ? FV_OK : FV_E_MEMORY;
}

void fv_text_batch_release(fv_text_batch *k)
{
    fv_free(k->positions);
    fv_free(k->zeros);
    fv_free(k->offsets);
    fv_free(k->sequences);
    fv_free(k->names);
    fv_free(k->values);
    for (int i = 0; i < N_DIMS; i++) fv_free(k->targets[i]);
    *k = (fv_text_batch){0};
}

static fv_status encode_training(fv_training *t, fv_job *job, fv_part *part, fv_encoding *encoding, fv_err *err)
{
    fv_status status = FV_OK;
    int parts = parts_of(&part->data);
    size_t n = part->data.n * (size_t)parts;
    fv_text *texts = texts_of(&part->data, err);
    if (!texts) return FV_E_MEMORY;
    FV_TRY(fv_prepare_rows(&part->rows, t->tokenizer, t->recipe.embed.max_len, texts, n, encoding, &part->cut, err));
    FV_TRY(name_texts(part, texts, n, err));
    join_rows(&part->rows, parts);
    FV_TRY(fv_sampler_init(&part->sampler, &part->rows, t->recipe.batch_tokens, t->recipe.seed, err));
    FV_TRY(make_room(t, job, err));
done:
    fv_free(texts);
    return status;
}

/* Each distinct text is a row of its own: it has one vector, however often it stands in the file. */
static fv_status encode_judged(fv_training *t, fv_part *part, fv_encoding *encoding, fv_err *err)
{
    fv_status status = FV_OK;
    FV_TRY(fv_judgements_make(&part->judged, &part->data, err));
    size_t n = part->judged.n_queries + part->judged.n_documents;
    FV_TRY(fv_prepare_rows(&part->rows, t->tokenizer, t->recipe.embed.max_len, part->judged.texts, n, encoding, &part->cut, err));
    FV_TRY(fv_sampler_init(&part->sampler, &part->rows, t->recipe.batch_tokens, t->recipe.seed, err));
    part->logits = fv_alloc_zero(n * (size_t)t->recipe.encoder.width, sizeof *part->logits, err);
    if (!part->logits) status = FV_E_MEMORY;
done:
    return status;
}

/* ---- The teacher -------------------------------------------------------------------------- */

typedef struct listener {
    fv_training *t;
    double said;
} listener;

static int tell(void *user, size_t read, size_t of)
{
    listener *l = user;
    double now = fv_now();
    if (now - l->said >= 5 || (read == of && l->said > 0 && now - l->said >= 1)) {
        fv_training_say(l->t, "the teacher has read %zu of %zu texts", read, of);
        l->said = now;
    }
    return l->t->stop;
}

/* Its vectors are not kept for a resumed training, which asks again: same bits, and no second copy of them to go stale. */
static fv_status ask_teacher(fv_training *t, fv_part *part, fv_err *err)
{
    fv_status status = FV_OK;
    listener l = {.t = t, .said = fv_now()};
    fv_text *texts = fv_alloc_zero(part->data.n, sizeof *texts, err);
    part->taught = texts ? fv_alloc(part->data.n * (size_t)t->recipe.encoder.width * sizeof *part->taught, err) : NULL;
    for (size_t i = 0; part->taught && i < part->data.n; i++) texts[i] = (fv_text){.text = part->data.rows[i].text, .len = part->data.rows[i].text_len};
    status = part->taught ? fv_teacher_ask(t->teacher, part->taught, texts, part->data.n, tell, &l, t->pool, err) : FV_E_MEMORY;
    fv_free(texts);
    return status;
}

static fv_status encode(fv_training *t, fv_job *job, fv_part *part, bool trains, fv_err *err)
{
    fv_encoding encoding = {0};
    bool last = part == (job->has_test ? &job->test : &job->valid);
    fv_status status = trains ? encode_training(t, job, part, &encoding, err) : encode_judged(t, part, &encoding, err);
    if (status == FV_OK && taught(t)) status = ask_teacher(t, part, err);
    if (taught(t) && last) fv_teacher_rest(t->teacher);
    fv_encoding_release(&encoding);
    return status;
}

/* ---- Loss --------------------------------------------------------------------------------- */

/* Where the texts of a row end: at the end of their types. While planning the types mean nothing: the row is cut evenly. */
static int32_t end_of(const fv_training *t, const fv_batch *batch, int32_t b, int part, int parts)
{
    int32_t begin = batch->offsets[b], end = batch->offsets[b + 1], at = begin;
    if (t->planning) return begin + (int32_t)((int64_t)(end - begin) * (part + 1) / parts);
    while (at < end && batch->types[at] <= part) at++;
    return at;
}

static fv_batch split(const fv_training *t, fv_text_batch *k, const fv_batch *batch)
{
    int32_t n = 0;
    for (int32_t b = 0; b < batch->B; b++)
        for (int p = 0; p < k->parts; p++, n++) {
            k->offsets[n + 1] = end_of(t, batch, b, p, k->parts);
            for (int32_t i = k->offsets[n]; i < k->offsets[n + 1]; i++) k->positions[i] = i - k->offsets[n];
            k->sequences[n] = batch->sequences[b] * (uint64_t)k->parts + (uint64_t)p;
        }
    return (fv_batch){.B = n, .N = batch->N, .ids = batch->ids, .types = k->zeros, .positions = k->positions, .offsets = k->offsets, .sequences = k->sequences, .rows = batch->rows};
}

static void collect_truth(const fv_training *t, const fv_job *job, fv_text_batch *k, const fv_batch *batch)
{
    for (int32_t b = 0; b < batch->B; b++) {
        size_t row = batch->rows[b];
        memcpy(k->names + b * k->parts, job->train.names + row * (size_t)k->parts, (size_t)k->parts * sizeof *k->names);
        k->values[b] = t->planning ? 0 : (float)job->train.data.rows[row].value;
    }
}

/* The first `dim` numbers, of length 1 again; zeros have no direction and stay. */
static void cut_target(float *to, const float *from, int dim)
{
    double sum = 0;
    for (int i = 0; i < dim; i++) sum += (double)from[i] * (double)from[i];
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (int i = 0; i < dim; i++) to[i] = (float)((double)from[i] * scale);
}

/* A row of one text in a table with two columns, which a teacher allows: its second text is drawn nowhere. */
static bool stands_alone(const fv_example *e) { return e->text2 && e->text2_len == 0; }

/* What each text of the batch is drawn to: the teacher's vector of its row's first text, or to zeros, which have no direction. */
static const float *collect_targets(const fv_training *t, const fv_job *job, fv_text_batch *k, const fv_batch *batch, int i)
{
    int dim = t->recipe.embed.dims[i];
    for (int32_t b = 0; b < batch->B; b++) {
        size_t row = batch->rows[b];
        for (int p = 0; p < k->parts; p++) {
            float *target = k->targets[i] + (size_t)(b * k->parts + p) * (size_t)dim;
            if (p > 0 && stands_alone(&job->train.data.rows[row])) memset(target, 0, (size_t)dim * sizeof *target);
            else cut_target(target, job->train.taught + row * (size_t)t->recipe.encoder.width, dim);
        }
    }
    return k->targets[i];
}

/* Of vectors u [parts · B, dim] of length 1. */
static fv_tensor *build_one(const fv_training *t, const fv_job *job, fv_text_batch *k, fv_graph *g, fv_tensor *u, const fv_batch *batch, int i)
{
    const fv_embed_recipe *e = &t->recipe.embed;
    switch (e->loss) {
    case FV_EMBED_COSENT: return fv_order(g, fv_dots(g, u, 2, 1), k->values, (float)e->scale);
    case FV_EMBED_COSINE: return fv_squared_error(g, fv_dots(g, u, 2, 1), k->values);
    case FV_EMBED_TRIPLET: return fv_hinge(g, fv_dots(g, u, 3, 1), fv_dots(g, u, 3, 2), (float)e->margin);
    case FV_EMBED_TEACHER: return fv_direction_error(g, u, collect_targets(t, job, k, batch, i));
    default: return fv_contrast(g, u, k->names, k->parts, (float)e->scale, true);
    }
}

static fv_tensor *build_loss(fv_training *t, fv_job *job, const fv_batch *batch)
{
    const fv_embed_recipe *e = &t->recipe.embed;
    fv_graph *g = job->graph;
    fv_text_batch *k = &job->texts;
    fv_tensor *losses[N_DIMS];
    fv_batch texts = split(t, k, batch);
    collect_truth(t, job, k, batch);
    fv_tensor *x = fv_sentence_build(&t->sentence, g, fv_encoder_build(&t->net.encoder, g, &texts), &texts);
    fv_graph_scope(g, "loss");
    for (int i = 0; i < e->n_dims; i++) {
        fv_tensor *first = e->dims[i] < t->recipe.encoder.width ? fv_view_columns(g, x, 0, e->dims[i]) : x;
        losses[i] = build_one(t, job, k, g, fv_unit_rows(g, first), batch, i);
    }
    return e->n_dims > 1 ? fv_mean_of(g, losses, e->n_dims) : losses[0];
}

/* ---- Figures ------------------------------------------------------------------------------ */

typedef struct nearness {
    const float *cosines;
    size_t n;
} nearness;

static void measure_nearness(const void *rows, fv_rng *chance, void *scratch, double *figures)
{
    (void)scratch;
    const nearness *all = rows;
    double sum = 0;
    for (size_t i = 0; i < all->n; i++) sum += (double)all->cosines[fv_bootstrap_draw(chance, i, all->n)];
    figures[0] = sum / (double)all->n;
}

static float cosine(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

/* How near a row's texts are to what the teacher says of the first: the mean of its texts. */
static void compare_with_teacher(const fv_part *part, int width, float *target, float *cosines)
{
    const fv_judgements *j = &part->judged;
    for (size_t i = 0; i < part->data.n; i++) {
        const float *first = part->logits + (size_t)j->asks[i] * (size_t)width;
        cut_target(target, part->taught + i * (size_t)width, width);
        cosines[i] = cosine(first, target, width);
        if (j->asked[i] >= 0 && !stands_alone(&part->data.rows[i])) cosines[i] = (cosines[i] + cosine(part->logits + (j->n_queries + (size_t)j->asked[i]) * (size_t)width, target, width)) / 2;
    }
}

static fv_status judge_nearness(fv_training *t, fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    static const char *const names[] = {"cosine"};
    int width = t->recipe.encoder.width;
    fv_status status = FV_E_MEMORY;
    float *cosines = fv_alloc(part->data.n * sizeof *cosines, err), *target = cosines ? fv_alloc((size_t)width * sizeof *target, err) : NULL;
    if (target) {
        compare_with_teacher(part, width, target, cosines);
        nearness all = {cosines, part->data.n};
        fv_bootstrap b = {.measure = measure_nearness, .rows = &all, .names = names, .n_figures = 1, .seed = t->recipe.seed, .values_only = !intervals};
        status = fv_bootstrap_run(report, &b, t->pool, err);
    }
    fv_free(cosines);
    fv_free(target);
    return status;
}

static fv_status judge_similarity(fv_training *t, const fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    const fv_judgements *j = &part->judged;
    size_t width = (size_t)t->recipe.encoder.width, n = part->data.n;
    double *truth = fv_alloc(n * sizeof *truth, err);
    float *cosines = truth ? fv_alloc(n * sizeof *cosines, err) : NULL;
    for (size_t i = 0; cosines && i < n; i++) {
        truth[i] = part->data.rows[i].value;
        cosines[i] = cosine(part->logits + (size_t)j->asks[i] * width, part->logits + (j->n_queries + (size_t)j->asked[i]) * width, (int)width);
    }
    fv_similarities s = {.n = n, .truth = truth, .cosines = cosines, .seed = t->recipe.seed, .values_only = !intervals};
    fv_status status = cosines ? fv_similarity_compute(report, &s, t->pool, err) : FV_E_MEMORY;
    fv_free(truth);
    fv_free(cosines);
    return status;
}

static fv_status judge_retrieval(fv_training *t, const fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    fv_rankings r = {.judgements = &part->judged, .vectors = part->logits, .dim = t->recipe.encoder.width, .seed = t->recipe.seed, .values_only = !intervals};
    return fv_retrieval_compute(report, &r, t->pool, err);
}

/* Adds the figures of `more` behind those of the report, and releases it. */
static fv_status append_figures(fv_report *report, fv_report *more, fv_err *err)
{
    size_t n = report->n_metrics + more->n_metrics;
    fv_metric *all = fv_realloc(report->metrics, n * sizeof *all, err);
    if (all) {
        memcpy(all + report->n_metrics, more->metrics, more->n_metrics * sizeof *all);
        report->metrics = all;
        report->n_metrics = n;
    }
    fv_metrics_release(more);
    return all ? FV_OK : FV_E_MEMORY;
}

static fv_status evaluate(fv_training *t, fv_job *job, fv_part *part, bool intervals, fv_report *report, fv_err *err)
{
    (void)job;
    fv_status status = FV_OK;
    fv_report more = {0};
    FV_TRY(fv_infer_vectors(&t->net.encoder, &t->sentence, t->infer_graph, &part->sampler, t->recipe.encoder.width, true, part->logits, err));
    report->rows = (int64_t)part->data.n;
    if (part->data.has & FV_HAS_LABEL) return judge_similarity(t, part, intervals, report, err);
    if (!taught(t)) return judge_retrieval(t, part, intervals, report, err);
    FV_TRY(judge_nearness(t, part, intervals, report, err));
    if (!(part->data.has & FV_HAS_TEXT2)) return FV_OK;
    FV_TRY(judge_retrieval(t, part, intervals, &more, err));
    FV_TRY(append_figures(report, &more, err));
done:
    return status;
}

/* Of equals the earliest is best: the figure itself, as the one that decides between them, decides nothing. */
static fv_judging judging(const fv_job *job)
{
    const char *headline = job->train.data.has & FV_HAS_LABEL ? "spearman" : job->valid.taught ? "cosine" : "mrr";
    return (fv_judging){.headline = headline, .tie_breaker = headline};
}

const fv_objective fv_objective_embed = {
    .task = "embed", .encode = encode, .loss = build_loss, .evaluate = evaluate, .judging = judging, .look = look,
};
