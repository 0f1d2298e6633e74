/* fovea search: the documents that answer each query best, by meaning, by words or by both; the best of them ranked again by a
 * cross-encoder if one is named.
 *
 * Documents are embedded first, all of them; then queries are answered as they come in. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/hits.h"
#include "cli/record.h"
#include "cli/term.h"

#define SHORT_SECONDS 2.0 /* shorter work shows no progress */

struct args {
    cli_common common;
    fv_session_options session; /* of both models */
    const char *model, *docs, *file, *reranker, *doc_text, *doc_id;
    int top, candidates;
    bool words, hybrid;
    cli_rows_options rows;
};

#define AT(field) CLI_FIELD(struct args, field)

static const cli_option operands[] = {
    {"MODEL", NULL, "a model folder that turns texts into vectors; with --words not opened", AT(model), .needed = true},
    {"DOCS", NULL, "the texts to be found", AT(docs), .needed = true},
    {"FILE", NULL, "queries; stdin if it is - or left out", AT(file)},
};

static const cli_option options[] = {
    {"top", "K", "hits of each query at most", AT(top), .low = 1, .high = 1e4},
    {"words", NULL, "find by words alone (BM25)", AT(words)},
    {"hybrid", NULL, "find by meaning and by words at once", AT(hybrid)},
    {"rerank", "MODEL", "a cross-encoder that ranks the best again", AT(reranker)},
    {"candidates", "N", "with --rerank: how many are ranked again", AT(candidates), .low = 1, .high = 1e4},
    CLI_PRECISION(AT(session.products)),
    {"doc-text", "COL", "column of a document's text, which makes any input a table; a,b joins two with a line break", AT(doc_text)},
    {"doc-id", "COL", "column of a document's name; its number if not given", AT(doc_id)},
    {"text", "COL", "column of the query, which makes FILE a table", AT(rows.text)},
    {"lines", NULL, "each line is a text, whatever the files are called", AT(rows.lines)},
    {"skip-bad", NULL, "leave out a bad row, and count it, instead of failing at the first", AT(rows.skip_bad)},
};

static void init(void *user)
{
    struct args *args = user;
    fv_session_options_init(&args->session);
    args->file = "-";
    args->top = 10;
    args->candidates = 50;
}

/* ---- What is searched ---- */

/* A document's number is its place among all rows, bad ones too, so that it can be found in the file. */
struct document {
    const char *text, *name; /* name NULL: its number */
    size_t len;
};

struct searcher {
    const struct args *args;
    fv_find by;
    int dim;
    fv_index *index;
    struct document *docs; /* [n_docs], bad ones without a text */
    size_t n_docs, capacity;
    fv_arena arena;        /* texts and names */
    fv_embed_options as_document, as_query;
    float *vectors;        /* [CLI_CHUNK, dim] */
    fv_model *rerank_model;
    fv_session *reranker;
    fv_hit *hits;          /* [CLI_CHUNK, found] */
    size_t counts[CLI_CHUNK];
    int found;             /* hits asked of the index */
    float chance;          /* a best hit of no higher score means nothing; NaN: not known, by words alone */
    int64_t by_chance;     /* queries with such a one */
    int64_t own_cut;       /* of the texts that chance is learnt from, longer than the model */
    fv_text *pairs;        /* [found] for the cross-encoder */
    float *scores;         /* [found × labels] */
    fv_buf line;
    cli_progress progress;
    double began;
    int64_t queries;
};

/* As sentence-transformers does: a prompt of that name, else the one that the model uses always, if any. */
static void choose_prompts(struct searcher *s, const fv_model *model)
{
    static const char *const names[] = {"document", "passage", "corpus"};
    fv_embed_options_init(&s->as_query);
    s->as_query.unit = FV_UNIT_YES;
    s->as_document = s->as_query;
    if (fv_model_prompt(model, "query", NULL)) s->as_query.prompt_name = "query";
    for (size_t i = 0; i < FV_COUNT(names) && !s->as_document.prompt_name; i++)
        if (fv_model_prompt(model, names[i], NULL)) s->as_document.prompt_name = names[i];
}

/* ---- Documents ---- */

static fv_status keep_document(struct searcher *s, const cli_chunk *chunk, size_t i, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_text *t = &chunk->texts[i];
    struct document d = {.len = t->len};
    FV_TRY(fv_grow(&s->docs, &s->capacity, s->n_docs + 1, sizeof *s->docs, err));
    if (!chunk->bad[i]) {
        d.text = fv_arena_strndup(&s->arena, t->text, t->len, err);
        if (t->text2) d.name = fv_arena_strndup(&s->arena, t->text2, t->len2, err);
        if (!d.text || (t->text2 && !d.name)) FV_TRY(FV_E_MEMORY);
    }
    s->docs[s->n_docs++] = d;
done:
    return status;
}

static void show_progress(struct searcher *s)
{
    cli_piece pieces[2] = {{1, ""}, {2, ""}};
    cli_count count;
    double seconds = fv_now() - s->began;
    if (seconds < SHORT_SECONDS || !cli_progress_due(&s->progress)) return;
    snprintf(pieces[0].text, sizeof pieces[0].text, "%s documents", cli_show_count(&count, (int64_t)s->n_docs));
    snprintf(pieces[1].text, sizeof pieces[1].text, "%s a second", cli_show_count(&count, (int64_t)((double)s->n_docs / seconds)));
    cli_progress_draw(&s->progress, pieces, FV_COUNT(pieces));
}

static fv_status add_chunk(struct searcher *s, fv_session *session, const cli_chunk *chunk, fv_err *err)
{
    fv_status status = FV_OK;
    size_t first = s->n_docs;
    fv_text texts[CLI_CHUNK];
    for (size_t i = 0; i < chunk->n; i++) {
        FV_TRY(keep_document(s, chunk, i, err));
        texts[i] = (fv_text){.text = chunk->texts[i].text, .len = chunk->texts[i].len}; /* without its name */
    }
    if (session) FV_TRY(fv_embed(session, texts, chunk->n, &s->as_document, s->vectors, err));
    for (size_t i = 0; i < chunk->n; i++) {
        fv_index_item item = {.id = (int64_t)(first + i), .vector = session ? s->vectors + i * (size_t)s->dim : NULL};
        if (s->by != FV_FIND_MEANING) item.text = texts[i].text, item.len = texts[i].len;
        if (!chunk->bad[i]) FV_TRY(fv_index_add(s->index, &item, 1, err));
    }
    show_progress(s);
done:
    return status;
}

/* Readers know the columns by the options of other commands. */
static void name_our_options(fv_err *err)
{
    static const char text[] = "name one with --text", id[] = "name one with --text2";
    char *at = strstr(err->text, text);
    if (!at) return;
    bool is_id = strncmp(at, id, sizeof id - 1) == 0;
    snprintf(at, sizeof err->text - (size_t)(at - err->text), "name one with %s", is_id ? "--doc-id" : "--doc-text");
}

static fv_status read_documents(struct searcher *s, fv_session *session, fv_err *err)
{
    fv_status status = FV_OK;
    const struct args *a = s->args;
    cli_rows_options how = {.text = a->doc_text, .text2 = a->doc_id, .lines = a->rows.lines, .skip_bad = a->rows.skip_bad};
    fv_err said;
    cli_rows *rows = cli_rows_open(a->docs, &how, &said);
    if (!rows) {
        name_our_options(&said);
        return FV_FAIL(err, said.status, "%s", said.text);
    }
    for (cli_chunk chunk;;) {
        status = cli_rows_next(rows, &chunk, &said);
        if (status) name_our_options(&said);
        if (status) FV_TRY(FV_FAIL(err, status, "%s", said.text));
        if (chunk.n == 0) break;
        FV_TRY(add_chunk(s, session, &chunk, err));
    }
    cli_progress_clear(&s->progress);
    if (!a->common.quiet) cli_rows_say_skipped(rows);
    if (!fv_index_size(s->index)) FV_TRY(FV_FAIL(err, FV_E_INPUT, "%s has no texts to be found", a->docs));
done:
    cli_progress_clear(&s->progress);
    cli_rows_close(rows);
    return status;
}

/* ---- Chance ---- */

static fv_status learn_chance(struct searcher *s, fv_session *session, fv_err *err)
{
    size_t n;
    const fv_text *texts = fv_unrelated_texts(&n);
    fv_query queries[CLI_CHUNK];
    n = n < CLI_CHUNK ? n : CLI_CHUNK;
    int64_t cut = fv_session_cut(session);
    fv_status status = fv_embed(session, texts, n, &s->as_query, s->vectors, err);
    s->own_cut = fv_session_cut(session) - cut;
    for (size_t i = 0; i < n; i++) queries[i] = (fv_query){.vector = s->vectors + i * (size_t)s->dim, .text = texts[i].text, .len = texts[i].len};
    return status ? status : fv_index_chance(s->index, queries, n, s->by, &s->chance, err);
}

static bool found_by_chance(const struct searcher *s, const fv_hit *hits, size_t n) { return n && hits[0].score <= s->chance; }

/* ---- Ranking again ---- */

/* A cross-encoder gives a pair one number, or the probability that the one answers the other. */
static fv_status open_reranker(struct searcher *s, fv_err *err)
{
    const char *folder = s->args->reranker;
    s->rerank_model = fv_model_open(folder, err);
    if (s->rerank_model) s->reranker = fv_session_new(s->rerank_model, &s->args->session, err);
    if (!s->reranker) return err->status;
    int labels = fv_session_n_labels(s->reranker);
    fv_labels kind = fv_session_labels(s->reranker);
    bool fits = kind == FV_LABELS_REGRESSION || (kind == FV_LABELS_SINGLE && labels == 2) || (kind == FV_LABELS_MULTI && labels == 1);
    if (!fits) return FV_FAIL(err, FV_E_ARGUMENT, "--rerank: %s does not score pairs of texts; expected a cross-encoder, which gives one number or two labels", folder);
    s->pairs = fv_alloc_zero((size_t)s->found, sizeof *s->pairs, err);
    s->scores = s->pairs ? fv_alloc_zero((size_t)(s->found * labels), sizeof *s->scores, err) : NULL;
    return s->scores ? FV_OK : FV_E_MEMORY;
}

static int best_first(const void *a, const void *b)
{
    const fv_hit *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static fv_status rank_again(struct searcher *s, const fv_text *query, fv_hit *hits, size_t n, fv_err *err)
{
    int labels = fv_session_n_labels(s->reranker);
    for (size_t i = 0; i < n; i++) {
        const struct document *d = &s->docs[hits[i].id];
        s->pairs[i] = (fv_text){.text = query->text, .len = query->len, .text2 = d->text, .len2 = d->len};
    }
    fv_status status = fv_classify_scores(s->reranker, s->pairs, n, s->scores, err);
    if (status) return status;
    for (size_t i = 0; i < n; i++) hits[i].score = s->scores[i * (size_t)labels + (size_t)(labels - 1)];
    qsort(hits, n, sizeof *hits, best_first);
    return FV_OK;
}

/* ---- Printing ---- */

static json_t *score_or_null(float x) { return isnan(x) ? json_null() : cli_json_real((double)x); }

static json_t *hit_json(const struct searcher *s, const fv_hit *hit)
{
    const struct document *d = &s->docs[hit->id];
    json_t *id = d->name ? cli_json_text(d->name, strlen(d->name)) : json_integer(hit->id + 1);
    json_t *object = json_pack("{s:o, s:o, s:o}", "id", id, "score", cli_json_real((double)hit->score), "text", cli_json_text(d->text, d->len));
    if (object && s->args->hybrid && (json_object_set_new(object, "meaning", score_or_null(hit->meaning)) || json_object_set_new(object, "words", score_or_null(hit->words)))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static fv_status print_json(const struct searcher *s, const fv_hit *hits, size_t n, bool by_chance, fv_err *err)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n && list; i++) {
        if (json_array_append_new(list, hit_json(s, &hits[i])) == 0) continue;
        json_decref(list);
        list = NULL;
    }
    json_t *line = json_pack("{s:o}", "hits", list);
    if (line && !isnan(s->chance) && json_object_set_new(line, "better_than_chance", json_boolean(n && !by_chance))) {
        json_decref(line);
        line = NULL;
    }
    return cli_json_line(line, err);
}

static const char *name_of(const struct searcher *s, const fv_hit *hit, char room[24])
{
    if (s->docs[hit->id].name) return s->docs[hit->id].name;
    snprintf(room, 24, "%lld", (long long)hit->id + 1);
    return room;
}

/* A tab or a line break in a field would break the line's form. */
static void put_field(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) putchar((unsigned char)text[i] < 0x20 ? ' ' : text[i]);
}

static void print_line(const struct searcher *s, const fv_hit *hit)
{
    char room[24];
    const char *name = name_of(s, hit, room);
    printf("%lld\t", (long long)s->queries);
    put_field(name, strlen(name));
    printf("\t%.6f\t", (double)hit->score);
    put_field(s->docs[hit->id].text, s->docs[hit->id].len);
    putchar('\n');
}

static fv_status print_for_people(struct searcher *s, const fv_text *query, const fv_hit *hits, size_t n, bool by_chance, fv_err *err)
{
    fv_status status = FV_OK;
    s->line.len = 0;
    for (size_t i = 0; i < n; i++) {
        char room[24];
        const struct document *d = &s->docs[hits[i].id];
        cli_hit hit = {.place = (int)i + 1, .score = (double)hits[i].score, .name = name_of(s, &hits[i], room), .query = query->text, .query_len = query->len, .text = d->text, .len = d->len};
        FV_TRY(cli_put_hit(&s->line, &hit, cli_width(stdout), cli_colour(stdout), err));
    }
    if (by_chance) FV_TRY(fv_buf_puts(&s->line, "    The best of these is no better than chance.\n", err));
    FV_TRY(fv_buf_puts(&s->line, n ? "\n" : "nothing found\n\n", err));
    fwrite(s->line.data, 1, s->line.len, stdout); /* failing to write is left to cli_flush */
done:
    return status;
}

static fv_status print_hits(struct searcher *s, const fv_text *query, const fv_hit *hits, size_t n, bool by_chance, fv_err *err)
{
    if (s->args->common.json) return print_json(s, hits, n, by_chance, err);
    if (isatty(STDOUT_FILENO)) return print_for_people(s, query, hits, n, by_chance, err);
    for (size_t i = 0; i < n; i++) print_line(s, &hits[i]);
    return FV_OK;
}

/* ---- The calls of answers.h ---- */

static fv_status begin(void *user, fv_session *session, fv_err *err)
{
    struct searcher *s = user;
    fv_status status = FV_OK;
    fv_index_options o;
    fv_index_options_init(&o);
    if (session) {
        choose_prompts(s, fv_session_model(session));
        FV_TRY(fv_embed(session, NULL, 0, &s->as_query, NULL, err)); /* says no before a file is opened */
        o.dim = s->dim = fv_model_embedding_size(fv_session_model(session));
        s->vectors = fv_alloc_zero(CLI_CHUNK * (size_t)s->dim, sizeof *s->vectors, err);
        if (!s->vectors) FV_TRY(FV_E_MEMORY);
    }
    o.words = s->by != FV_FIND_MEANING;
    if (s->args->reranker) FV_TRY(open_reranker(s, err));
    if (!(s->index = fv_index_new(&o, err))) FV_TRY(err->status);
    s->hits = fv_alloc_zero(CLI_CHUNK * (size_t)s->found, sizeof *s->hits, err);
    if (!s->hits) FV_TRY(FV_E_MEMORY);
    cli_progress_init(&s->progress, s->args->common.quiet);
    s->began = fv_now();
    FV_TRY(read_documents(s, session, err));
    if (session) FV_TRY(learn_chance(s, session, err));
done:
    return status;
}

static fv_status find_chunk(struct searcher *s, fv_session *session, const cli_chunk *chunk, fv_err *err)
{
    fv_query queries[CLI_CHUNK];
    fv_find_options o;
    fv_find_options_init(&o);
    o.by = s->by;
    o.top = s->found;
    fv_status status = session ? fv_embed(session, chunk->texts, chunk->n, &s->as_query, s->vectors, err) : FV_OK;
    for (size_t i = 0; i < chunk->n; i++)
        queries[i] = (fv_query){.vector = session ? s->vectors + i * (size_t)s->dim : NULL, .text = chunk->texts[i].text, .len = chunk->texts[i].len};
    return status ? status : fv_index_search(s->index, queries, chunk->n, &o, s->hits, s->counts, err);
}

static fv_status answer(void *user, fv_session *session, const cli_chunk *chunk, fv_err *err)
{
    struct searcher *s = user;
    fv_status status = FV_OK;
    if (chunk->n) FV_TRY(find_chunk(s, session, chunk, err));
    for (size_t i = 0; i < chunk->n; i++) {
        fv_hit *hits = s->hits + i * (size_t)s->found;
        size_t n = s->counts[i];
        s->queries++;
        if (chunk->bad[i]) {
            if (s->args->common.json) FV_TRY(cli_rows_print_bad(chunk, i, true, err));
            continue;
        }
        bool by_chance = found_by_chance(s, hits, n); /* before another score takes its place */
        s->by_chance += by_chance;
        if (s->reranker && n) FV_TRY(rank_again(s, &chunk->texts[i], hits, n, err));
        FV_TRY(print_hits(s, &chunk->texts[i], hits, n < (size_t)s->args->top ? n : (size_t)s->args->top, by_chance, err));
    }
done:
    return status;
}

/* Where each query's own lines have no place for it. */
static fv_status end(void *user, fv_err *err)
{
    const struct searcher *s = user;
    cli_count count, of;
    (void)err;
    if (s->by_chance && !s->args->common.quiet && !s->args->common.json && !isatty(STDOUT_FILENO))
        fprintf(stderr, "fovea: the best hit is no better than chance for %s of %s queries; --json says for which\n", cli_show_count(&count, s->by_chance), cli_show_count(&of, s->queries));
    return FV_OK;
}

static void release(struct searcher *s)
{
    fv_index_free(s->index);
    fv_session_free(s->reranker);
    fv_model_close(s->rerank_model);
    fv_arena_release(&s->arena);
    fv_buf_release(&s->line);
    fv_free(s->docs);
    fv_free(s->vectors);
    fv_free(s->hits);
    fv_free(s->pairs);
    fv_free(s->scores);
}

static fv_status run(void *user, fv_err *err)
{
    struct args *args = user;
    struct searcher s = {.args = args, .by = args->words ? FV_FIND_WORDS : args->hybrid ? FV_FIND_HYBRID : FV_FIND_MEANING, .found = args->top, .chance = NAN};
    if (args->words && args->hybrid) return FV_FAIL(err, FV_E_ARGUMENT, "--words and --hybrid ask for two ways of finding; expected one of them");
    if (strcmp(args->docs, "-") == 0 && strcmp(args->file, "-") == 0)
        return FV_FAIL(err, FV_E_ARGUMENT, "documents and queries cannot both come from stdin; name a file for one of them");
    if (args->reranker && args->candidates > s.found) s.found = args->candidates;
    cli_answers answers = {
        .model = args->words ? NULL : args->model, .session = &args->session, .file = args->file, .rows = &args->rows, .quiet = args->common.quiet,
        .long_texts = "only their beginnings were looked at for meaning", .begin = begin, .answer = answer, .end = end, .own_cut = &s.own_cut, .user = &s,
    };
    fv_status status = cli_answer_all(&answers, err);
    release(&s);
    return status;
}

static const char *const examples[] = {
    "echo 'my parcel has not come' | fovea search models/minilm faq.tsv --doc-text question --top 3",
    "fovea search models/minilm docs.tsv queries.txt --hybrid --json",
    "echo '退货' | fovea search - notes.txt --words",
    "fovea search models/minilm docs.tsv queries.txt --rerank models/cross-encoder",
    NULL,
};

const cli_command cli_search = {
    .name = "search",
    .says = "finds the texts that answer a query best",
    .text = "Reads DOCS, then prints for each query its best hits, best first. By default texts are found by meaning: MODEL turns documents and "
            "queries into vectors, with its prompts for either if it has some, and the score is their cosine; of all documents exactly the "
            "highest are found. --words looks for the query's words instead (BM25), and needs no model: write - for MODEL. Case, accents "
            "and full-width forms do not matter; Chinese, Japanese, Korean and Thai are compared by pairs of characters, so that words of two characters are found. "
            "--hybrid adds to the cosine a fifth of the share of the query's words, counted by how rare they are, that a document has: the safest choice where "
            "names and numbers matter. "
            "--rerank lets a cross-encoder read the query together with each of the best --candidates documents, and orders them by its score.\n\n"
            "A file named .tsv, .csv or .jsonl (also .gz) is a table with a column `text`. Anything else, stdin included, is plain lines. What is longer "
            "than the model takes is embedded by its beginning, and counted; words are looked for in all of it.\n\n"
            "By meaning something is always found. Where the best hit scores no higher than sentences that have nothing to do with the documents (48 "
            "of them are searched for at first), that is said; not with --words, where any text finds the little ones.\n\n"
            "On a terminal a hit is a line: place, score, name, text, with the query's words in bold. Elsewhere it is\n"
            "  QUERY ID SCORE TEXT                          parted by tabs; QUERY counts from 1\n"
            "and with --json each query has a line\n"
            "  {\"hits\":[{\"id\":…,\"score\":…,\"text\":…},…],\"better_than_chance\":…}\n"
            "the last without --words; --hybrid adds \"meaning\" and \"words\" to each hit",
    .examples = examples,
    .operands = operands, .n_operands = FV_COUNT(operands),
    .options = options, .n_options = FV_COUNT(options),
    .args_size = sizeof(struct args),
    .init = init,
    .run = run,
};
