/* How good and how fast searching is, for bench/search.
 *
 *   search quality NAME MODEL DOCS.tsv QUERIES.tsv ANSWERS.tsv    columns id, text · id, text · query, doc, gain
 *   search speed TEXTS.txt ROWS                                   a text on each line; vectors of 384 numbers to scan
 *
 * Prints JSON lines. Quality: nDCG@10 where gains differ, else the mean reciprocal rank of the first answer, in percent, with bootstrap
 * intervals, by words, by meaning and by both. Speed: time is the processor's, of one thread, which a busy machine stretches least; the scan is
 * held against plain reading of the same bytes in the same breath. */
#include <math.h>
#include <time.h>

#include "base/file.h"
#include "score.h"

enum { TOP = 1000, DIM = 384, RUNS = 9 };

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(fv_status status, const fv_err *err)
{
    if (status != FV_OK) die("search: %s", err->text);
}

/* ---- Tables ---- */

typedef struct table {
    fv_arena arena;
    const char **first, **second; /* [n] */
    double *gains;                /* [n], or NULL */
    size_t n, capacity;
} table;

/* Two columns; a third, a number, comes with the label. */
static table read_table(const char *path, const char *first, const char *second, const char *gain)
{
    table t = {.n = 0};
    fv_columns columns;
    fv_row row;
    fv_err err;
    int got;
    fv_columns_init(&columns);
    columns.text = first;
    columns.text2 = second;
    columns.label = gain;
    fv_reader *reader = fv_reader_open(path, &columns, &err);
    if (!reader) die("search: %s", err.text);
    for (size_t a = 0, b = 0, c = 0; (got = fv_reader_next(reader, &row, &err)) > 0; t.n++) {
        check(fv_grow(&t.first, &a, t.n + 1, sizeof *t.first, &err), &err);
        check(fv_grow(&t.second, &b, t.n + 1, sizeof *t.second, &err), &err);
        check(fv_grow(&t.gains, &c, t.n + 1, sizeof *t.gains, &err), &err);
        t.first[t.n] = must(fv_arena_strndup(&t.arena, row.text, row.text_len, NULL));
        t.second[t.n] = must(fv_arena_strndup(&t.arena, row.text2, row.text2_len, NULL));
        t.gains[t.n] = row.label ? atof(row.label) : 0;
    }
    if (got < 0) die("search: %s", err.text);
    fv_reader_close(reader);
    return t;
}

/* ---- Quality ---- */

typedef struct judged {
    const table *docs, *queries, *answers;
    bool graded;
    const fv_hit *hits;   /* [queries, TOP] */
    const size_t *counts;
    double *values;       /* [queries] */
} judged;

static double gain_of(const judged *j, size_t query, const char *doc)
{
    for (size_t i = 0; i < j->answers->n; i++)
        if (strcmp(j->answers->first[i], j->queries->first[query]) == 0 && strcmp(j->answers->second[i], doc) == 0) return j->answers->gains[i];
    return 0;
}

static int falling(const void *a, const void *b) { return by_double(b, a); }

/* Of the ten best there could be. */
static double best_dcg(const judged *j, size_t query)
{
    double gains[4096], sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < j->answers->n && n < FV_COUNT(gains); i++)
        if (strcmp(j->answers->first[i], j->queries->first[query]) == 0) gains[n++] = j->answers->gains[i];
    qsort(gains, n, sizeof *gains, falling);
    for (size_t i = 0; i < n && i < 10; i++) sum += gains[i] / log2((double)i + 2);
    return sum;
}

static double value_of(const judged *j, size_t query)
{
    double dcg = 0, best = j->graded ? best_dcg(j, query) : 1;
    for (size_t i = 0; i < j->counts[query] && (!j->graded || i < 10); i++) {
        double gain = gain_of(j, query, j->docs->first[j->hits[query * TOP + i].id]);
        if (gain > 0 && !j->graded) return 1 / (double)(i + 1);
        dcg += gain / log2((double)i + 2);
    }
    return best > 0 ? dcg / best : 0;
}

static double mean_of(const void *user, const uint32_t *pick, size_t n)
{
    const judged *j = user;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += j->values[pick[i]];
    return 100 * sum / (double)n;
}

static float *embed_all(fv_session *session, const table *t)
{
    fv_err err;
    fv_embed_options o;
    fv_embed_options_init(&o);
    o.unit = FV_UNIT_YES;
    int dim = fv_model_embedding_size(fv_session_model(session));
    float *vectors = must(fv_alloc(t->n * (size_t)dim * sizeof(float), NULL));
    fv_text *texts = must(fv_alloc_zero(t->n, sizeof *texts, NULL));
    for (size_t i = 0; i < t->n; i++) texts[i].text = t->second[i];
    check(fv_embed(session, texts, t->n, &o, vectors, &err), &err);
    fv_free(texts);
    return vectors;
}

static void report(judged *j, const char *name, const char *way)
{
    for (size_t q = 0; q < j->queries->n; q++) j->values[q] = value_of(j, q);
    figure f = bootstrap(mean_of, j, j->queries->n, 1);
    printf("{\"bench\":\"search\",\"case\":\"%s, by %s\",\"isa\":\"%s\",\"threads\":0,\"value\":%.2f,\"unit\":\"%s\",\"median_of\":1,\"min\":%.2f,\"max\":%.2f}\n", name, way, fv_isa(), f.value, j->graded ? "nDCG@10 %" : "MRR %", f.low, f.high);
    fflush(stdout);
}

static int quality(char **argv)
{
    static const char *const ways[] = {"meaning", "words", "both"};
    fv_err err;
    table docs = read_table(argv[1], "id", "text", NULL), queries = read_table(argv[2], "id", "text", NULL), answers = read_table(argv[3], "query", "doc", "gain");
    fv_model *model = fv_model_open(argv[0], &err);
    fv_session *session = model ? fv_session_new(model, NULL, &err) : NULL;
    if (!session) die("search: %s", err.text);
    fv_index_options o;
    fv_index_options_init(&o);
    o.dim = fv_model_embedding_size(model);
    fv_index *index = fv_index_new(&o, &err);
    if (!index) die("search: %s", err.text);
    float *documents = embed_all(session, &docs), *asked = embed_all(session, &queries);
    fv_query *list = must(fv_alloc_zero(queries.n, sizeof *list, NULL));
    judged j = {.docs = &docs, .queries = &queries, .answers = &answers, .values = must(fv_alloc_zero(queries.n, sizeof(double), NULL))};
    fv_hit *hits = must(fv_alloc(queries.n * TOP * sizeof *hits, NULL));
    size_t *counts = must(fv_alloc_zero(queries.n, sizeof *counts, NULL));
    for (size_t i = 0; i < answers.n; i++) j.graded |= answers.gains[i] > 0 && answers.gains[i] != 1;
    for (size_t i = 0; i < queries.n; i++) list[i] = (fv_query){.vector = asked + i * (size_t)o.dim, .text = queries.second[i]};
    for (size_t i = 0; i < docs.n; i++) {
        fv_index_item item = {.id = (int64_t)i, .vector = documents + i * (size_t)o.dim, .text = docs.second[i]};
        check(fv_index_add(index, &item, 1, &err), &err);
    }
    for (int by = FV_FIND_MEANING; by <= FV_FIND_HYBRID; by++) {
        fv_find_options find;
        fv_find_options_init(&find);
        find.by = (fv_find)by;
        find.top = TOP;
        check(fv_index_search(index, list, queries.n, &find, hits, counts, &err), &err);
        j.hits = hits;
        j.counts = counts;
        report(&j, argv[-1], ways[by]);
    }
    return 0; /* the system takes back what is left */
}

/* ---- Speed ---- */

static void line(const char *what, double value, const char *unit, double share, double low, double high)
{
    printf("{\"bench\":\"search\",\"case\":\"%s\",\"isa\":\"%s\",\"threads\":1,\"value\":%.4g,\"unit\":\"%s\",\"share_of_peak\":%.3f,\"median_of\":%d,\"min\":%.4g,\"max\":%.4g}\n", what, fv_isa(), value, unit, share, RUNS, low, high);
    fflush(stdout);
}

/* Reads memory as plainly as can be. */
static double read_seconds(const uint64_t *words, size_t n)
{
    double start = processor_seconds();
    uint64_t sums[4] = {0};
    for (size_t i = 0; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++) sums[k] += words[i + k];
    __asm__ volatile("" : : "r"(sums[0] + sums[1] + sums[2] + sums[3]));
    return processor_seconds() - start;
}

static void scan_speed(size_t rows)
{
    static const size_t at_once[] = {1, 16};
    fv_err err;
    fv_rng rng = fv_rng_make(1, "rows");
    fv_index_options o;
    fv_find_options find;
    fv_index_options_init(&o);
    fv_find_options_init(&find);
    o.dim = DIM;
    o.words = false;
    fv_index *index = fv_index_new(&o, &err);
    if (!index) die("search: %s", err.text);
    float *x = must(fv_alloc(16 * DIM * sizeof *x, NULL));
    for (size_t i = 0; i < rows + 1; i++) {
        double sum = 0;
        for (int d = 0; d < DIM; d++) { /* about normal: the sum of four uniform numbers */
            uint64_t w = fv_rng_next(&rng);
            x[d] = (float)(w & 0xffff) + (float)(w >> 16 & 0xffff) + (float)(w >> 32 & 0xffff) + (float)(w >> 48) - 131070;
            sum += (double)x[d] * (double)x[d];
        }
        for (int d = 0; d < DIM; d++) x[d] = (float)(x[d] / sqrt(sum));
        fv_index_item item = {.id = (int64_t)i, .vector = x};
        if (i < rows) check(fv_index_add(index, &item, 1, &err), &err);
    }
    for (int q = 1; q < 16; q++)
        for (int d = 0; d < DIM; d++) x[q * DIM + d] = x[(d * 7 + q * 13) % DIM]; /* other queries of the same length */
    size_t bytes = rows * DIM;
    uint64_t *plain = must(fv_alloc_zero(bytes / 8, 8, NULL));
    for (size_t c = 0; c < FV_COUNT(at_once); c++) {
        fv_query queries[16];
        fv_hit hits[160];
        size_t counts[16];
        double times[RUNS], reading = INFINITY;
        char what[96];
        for (size_t q = 0; q < 16; q++) queries[q] = (fv_query){.vector = x + q * DIM};
        for (int r = 0; r < RUNS; r++) {
            double start = processor_seconds();
            check(fv_index_search(index, queries, at_once[c], &find, hits, counts, &err), &err);
            times[r] = processor_seconds() - start;
            double read = read_seconds(plain, bytes / 8);
            if (read < reading) reading = read;
        }
        qsort(times, RUNS, sizeof *times, by_double);
        snprintf(what, sizeof what, "scan of %zu vectors of %d, %zu at once, each", rows, DIM, at_once[c]);
        double each = 1e3 / (double)at_once[c];
        line(what, each * times[RUNS / 2], "ms", c ? 0 : reading / times[0], each * times[0], each * times[RUNS - 1]);
    }
    fv_free(plain);
    fv_free(x);
    fv_index_free(index);
}

/* Every hundredth entry, or what is left of it, is a query. */
static void words_speed(const char *path)
{
    fv_err err;
    fv_buf file = {0};
    fv_index_options o;
    fv_find_options find;
    fv_index_options_init(&o);
    fv_find_options_init(&find);
    find.by = FV_FIND_WORDS;
    fv_index *index = fv_index_new(&o, &err);
    if (!index) die("search: %s", err.text);
    check(fv_file_read(path, (size_t)1 << 30, &file, &err), &err);
    size_t n = 0, asked = 0;
    char **texts = NULL;
    for (size_t capacity = 0, at = 0; at < file.len; n++) {
        char *end = memchr(file.data + at, '\n', file.len - at);
        if (!end) break;
        *end = 0;
        check(fv_grow(&texts, &capacity, n + 1, sizeof *texts, &err), &err);
        texts[n] = file.data + at;
        at = (size_t)(end - file.data) + 1;
    }
    double start = processor_seconds();
    for (size_t i = 0; i < n; i++) {
        fv_index_item item = {.id = (int64_t)i, .text = texts[i]};
        check(fv_index_add(index, &item, 1, &err), &err);
    }
    char what[96];
    snprintf(what, sizeof what, "%zu short entries, taking one in", n);
    double each = 1e6 * (processor_seconds() - start) / (double)n, megabytes = 1e-6 * (double)fv_index_bytes(index);
    line(what, each, "µs", 0, each, each);
    snprintf(what, sizeof what, "%zu short entries, memory for their words", n);
    line(what, megabytes, "MB", 0, megabytes, megabytes);
    double *times = must(fv_alloc(n * sizeof *times, NULL));
    for (size_t i = 0; i < n; i += 100) {
        fv_query query = {.text = texts[i]};
        fv_hit hits[10];
        size_t count;
        start = processor_seconds();
        check(fv_index_search(index, &query, 1, &find, hits, &count, &err), &err);
        times[asked++] = 1e3 * (processor_seconds() - start);
    }
    qsort(times, asked, sizeof *times, by_double);
    snprintf(what, sizeof what, "%zu short entries, a query by words (highest: p99)", n);
    line(what, times[asked / 2], "ms", 0, times[0], times[asked * 99 / 100]);
}

int main(int argc, char **argv)
{
    fv_err err;
    check(fv_set_threads(argc > 1 && strcmp(argv[1], "speed") == 0 ? 1 : 0, &err), &err);
    if (argc == 7 && strcmp(argv[1], "quality") == 0) return quality(argv + 3);
    if (argc != 4 || strcmp(argv[1], "speed") != 0) return fprintf(stderr, "usage: search quality NAME MODEL DOCS.tsv QUERIES.tsv ANSWERS.tsv | speed TEXTS.txt ROWS\n"), 2;
    words_speed(argv[2]);
    scan_speed((size_t)atol(argv[3]));
    return 0;
}
