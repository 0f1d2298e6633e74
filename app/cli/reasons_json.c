/* Reasons in JSON: for programs (--json), and for the page's script. */
#include <math.h>
#include <string.h>

#include "cli/reasons.h"
#include "cli/record.h"

/* Sets a key; false when out of memory. Takes the value. */
static bool put(json_t *tree, const char *key, json_t *value) { return json_object_set_new(tree, key, value) == 0; }

static json_t *finished(json_t *tree, bool fine)
{
    if (fine) return tree;
    json_decref(tree);
    return NULL;
}

/* An array of what `one` makes of each; NULL when out of memory. */
static json_t *array_of(const cli_reasons *r, size_t n, json_t *(*one)(const cli_reasons *, size_t i))
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(all, one(r, i))) return finished(all, false);
    return all;
}

static json_t *numbers(const double *values, size_t n)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(all, cli_json_real(values[i]))) return finished(all, false);
    return all;
}

static json_t *stretch(const cli_reasons *r, uint32_t begin, uint32_t end, int part)
{
    return json_pack("{s:o, s:I, s:I, s:i}", "text", cli_json_text(cli_reasons_text(r, part) + begin, end - begin), "begin", (json_int_t)begin, "end", (json_int_t)end, "part", part);
}

/* ---- Methods ---- */

static json_t *word_json(const cli_reasons *r, size_t i)
{
    const fv_explained_word *w = &r->explained->words[i];
    const fv_attribution *shown = cli_reasons_shown(r);
    json_t *tree = stretch(r, w->begin, w->end, w->part);
    return finished(tree, !shown || put(tree, "weight", cli_json_real(shown->weights[i])));
}

static json_t *method_json(const cli_reasons *r, size_t i)
{
    const fv_attribution *a = &r->explained->attributions[i];
    const char *why = cli_reasons_withheld(a->withheld);
    json_t *tree = json_pack("{s:s, s:o, s:o}", "method", fv_method_name(a->method), "comprehensiveness", cli_json_real(a->measured.comprehensiveness),
                             "sufficiency", cli_json_real(a->measured.sufficiency));
    bool fine = tree && (isnan(a->gap) || put(tree, "gap", cli_json_real(a->gap))) && (!a->steps || put(tree, "steps", json_integer(a->steps)));
    return finished(tree, fine && (why ? put(tree, "withheld", json_string(why)) && put(tree, "why", json_string(cli_reasons_why(a->withheld))) : put(tree, "weights", numbers(a->weights, r->explained->n_words))));
}

static json_t *random_json(const fv_explanation *e)
{
    return json_pack("{s:i, s:o, s:o, s:o}", "orders", e->orders, "comprehensiveness", cli_json_real(e->random.comprehensiveness),
                     "sufficiency", cli_json_real(e->random.sufficiency), "error", cli_json_real(e->random_error));
}

static json_t *score_json(const cli_reasons *r)
{
    const fv_explanation *e = r->explained;
    json_t *tree = json_pack("{s:o, s:o, s:o, s:s*}", "answer", cli_json_real(e->answer), "score", cli_json_real(e->score),
                             "baseline_score", cli_json_real(e->baseline_score), "baseline", e->baseline);
    bool fine = tree && (r->kind == FV_LABELS_REGRESSION || put(tree, "label", json_string(cli_reasons_label(r, e->label))));
    if (fine && e->cut) fine = put(tree, "read", json_pack("[I, I]", (json_int_t)e->read[0], (json_int_t)e->read[1]));
    return finished(tree, fine);
}

/* ---- Maps ---- */

static json_t *place_json(const cli_reasons *r, size_t i)
{
    const fv_place *p = &r->explained->places[i];
    return p->word >= 0 ? json_integer(p->word) : cli_json_text(p->frame ? p->frame : "", p->frame ? strlen(p->frame) : 0);
}

static json_t *map_json(const fv_explanation *e, const float *map)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < e->n_places; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < e->n_places; j++)
            if (json_array_append_new(row, cli_json_real((double)map[i * e->n_places + j]))) { json_decref(row); return finished(rows, false); }
        if (json_array_append_new(rows, row)) return finished(rows, false);
    }
    return rows;
}

static json_t *layer_json(const cli_reasons *r, size_t layer)
{
    const fv_explanation *e = r->explained;
    json_t *heads = json_array();
    for (int h = 0; h < e->heads; h++)
        if (json_array_append_new(heads, map_json(e, e->maps + (layer * (size_t)e->heads + (size_t)h) * e->n_places * e->n_places))) return finished(heads, false);
    return heads;
}

static json_t *maps_json(const cli_reasons *r)
{
    return json_pack("{s:o, s:o}", "places", array_of(r, r->explained->n_places, place_json), "layers", array_of(r, (size_t)r->explained->layers, layer_json));
}

/* ---- The wide part ---- */

static json_t *reason_json(const cli_reasons *r, const fv_reason *reason)
{
    json_t *tree = stretch(r, reason->begin, reason->end, reason->part);
    return finished(tree, tree && put(tree, "weight", cli_json_real(reason->weight)));
}

static json_t *wide_word_json(const cli_reasons *r, size_t i) { return reason_json(r, &r->wide->words[i]); }

static json_t *ngram_json(const cli_reasons *r, size_t i)
{
    const fv_reason *g = &r->wide->ngrams[i];
    json_t *one = reason_json(r, g);
    return finished(one, one && put(one, "open_begin", json_boolean(g->open_begin)) && put(one, "open_end", json_boolean(g->open_end)) && put(one, "pair", json_boolean(g->pair)));
}

static json_t *sum_json(double sum, double wide)
{
    return json_pack("{s:o, s:o, s:o}", "sum", cli_json_real(sum), "wide", cli_json_real(wide), "transformer", cli_json_real(sum - wide));
}

static json_t *wide_sums(const cli_reasons *r)
{
    const fv_reasons *w = r->wide;
    json_t *tree = json_pack("{s:o}", "logit", sum_json(w->logit, w->wide));
    bool fine = tree && (r->kind == FV_LABELS_REGRESSION || put(tree, "label", json_string(cli_reasons_label(r, w->label))));
    if (fine && w->rival >= 0)
        fine = put(tree, "rival", json_string(cli_reasons_label(r, w->rival))) && put(tree, "margin", sum_json(w->margin, w->wide_margin));
    return finished(tree, fine);
}

static json_t *wide_json(const cli_reasons *r)
{
    json_t *tree = wide_sums(r);
    return finished(tree, tree && put(tree, "words", array_of(r, r->wide->n_words, wide_word_json)) && put(tree, "ngrams", array_of(r, r->wide->n_ngrams, ngram_json)));
}

json_t *cli_reasons_json(const cli_reasons *r)
{
    const fv_explanation *e = r->explained;
    const fv_attribution *shown = cli_reasons_shown(r);
    json_t *score = cli_json_real((double)r->best.score);
    json_t *tree = r->kind == FV_LABELS_REGRESSION ? json_pack("{s:o}", "value", score) : json_pack("{s:s, s:o}", "label", r->best.name, "score", score);
    bool fine = tree && put(tree, "explained", score_json(r)) && put(tree, "method", shown ? json_string(fv_method_name(shown->method)) : json_null()) &&
                put(tree, "words", array_of(r, e->n_words, word_json)) && put(tree, "methods", array_of(r, (size_t)e->n_attributions, method_json)) &&
                put(tree, "random", random_json(e));
    if (fine && e->maps) fine = put(tree, "attention", maps_json(r));
    if (fine && r->wide) fine = put(tree, "wide", wide_json(r));
    return finished(tree, fine);
}

/* ---- For the page ---- */

/* [before, word, before, word, …, after]: odd ones are words, in order. */
static json_t *part_json(const cli_reasons *r, int part)
{
    const char *text = cli_reasons_text(r, part);
    size_t at = 0, len = part ? r->text.len2 : r->text.len;
    json_t *pieces = json_array();
    bool fine = true;
    for (size_t i = 0; i < r->explained->n_words && fine; i++) {
        const fv_explained_word *w = &r->explained->words[i];
        if (w->part != part) continue;
        fine = json_array_append_new(pieces, cli_json_text(text + at, w->begin - at)) == 0 && json_array_append_new(pieces, cli_json_text(text + w->begin, w->end - w->begin)) == 0;
        at = w->end;
    }
    return finished(pieces, fine && json_array_append_new(pieces, cli_json_text(text + at, len - at)) == 0);
}

/* A map as a letter for each weight: 64 steps of its root, so that small ones can be told apart. */
static json_t *letters(const fv_explanation *e, const float *map)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = e->n_places * e->n_places;
    char *text = fv_alloc(n + 1, NULL);
    if (!text) return NULL;
    for (size_t i = 0; i < n; i++) text[i] = alphabet[(int)(63 * sqrt(fmin(fmax((double)map[i], 0), 1)) + 0.5)];
    json_t *made = json_stringn(text, n);
    fv_free(text);
    return made;
}

/* Beyond this a page would be too large to open. */
enum { MOST_LETTERS = 4000000 };

static json_t *page_maps(const cli_reasons *r)
{
    const fv_explanation *e = r->explained;
    size_t square = e->n_places * e->n_places, n = (size_t)(e->layers * e->heads);
    json_t *maps = json_array();
    for (size_t i = 0; i < n && n * square <= MOST_LETTERS; i++)
        if (json_array_append_new(maps, letters(e, e->maps + i * square))) return finished(maps, false);
    return json_pack("{s:o, s:i, s:i, s:o}", "places", array_of(r, e->n_places, place_json), "layers", e->layers, "heads", e->heads, "maps", maps);
}

static json_t *page_ngrams(const cli_reasons *r)
{
    const fv_reason *chosen[CLI_REASONS_NGRAMS];
    size_t n = cli_reasons_ngrams(r->wide, chosen);
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        fv_buf text = {0};
        fv_status status = cli_reasons_spell(r, chosen[i], &text, NULL);
        json_t *one = status ? NULL : json_pack("[o, o]", cli_json_text(text.data ? text.data : "", text.len), cli_json_real(chosen[i]->weight));
        fv_buf_release(&text);
        if (json_array_append_new(all, one)) return finished(all, false);
    }
    return all;
}

json_t *cli_reasons_page_json(const cli_reasons *r)
{
    const fv_explanation *e = r->explained;
    json_t *tree = json_pack("{s:o, s:b, s:o, s:o, s:o}", "explained", score_json(r), "number", r->kind == FV_LABELS_REGRESSION, "methods", array_of(r, (size_t)e->n_attributions, method_json),
                             "random", random_json(e), "text", part_json(r, 0));
    bool fine = tree && put(tree, "model", cli_json_text(r->model, strlen(r->model))) && (!r->text.text2 || put(tree, "text2", part_json(r, 1)));
    if (fine && e->maps) fine = put(tree, "attention", page_maps(r));
    if (fine && r->wide) fine = put(tree, "wide", json_pack("{s:o, s:o}", "sum", wide_sums(r), "ngrams", page_ngrams(r)));
    return finished(tree, fine);
}
