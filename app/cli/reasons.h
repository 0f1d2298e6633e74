/* Reasons for an answer, shown three ways: in JSON, as text, as a page of HTML. The command asks the library; these files show.
 *
 *   reasons.c       what all of them say alike: names, sentences, n-grams in words
 *   reasons_json.c  --json
 *   reasons_text.c  the terminal, in colour and without
 *   reasons_page.c  --html: app/page/reasons.html with what was found in it
 */
#ifndef CLI_REASONS_H
#define CLI_REASONS_H

#include <jansson.h>

#include "base/str.h"

/* One explained text. What it points to outlives the showing. */
typedef struct cli_reasons {
    const char *model;         /* the folder, as it was given */
    const fv_session *session;
    fv_labels kind;
    fv_text text;              /* lengths given */
    fv_label best;             /* of the whole text */
    const fv_explanation *explained;
    const fv_reasons *wide;    /* NULL: the model has no wide part */
} cli_reasons;

const char *cli_reasons_text(const cli_reasons *r, int part);
/* A label's name; "the value" of regression. */
const char *cli_reasons_label(const cli_reasons *r, int label);
/* The method whose weights are shown first, or NULL when all are withheld. */
const fv_attribution *cli_reasons_shown(const cli_reasons *r);
const char *cli_reasons_measures(fv_method method);        /* "what the score loses without the word" */
const char *cli_reasons_withheld(fv_withheld why);         /* a sentence, or NULL when it is not */
const char *cli_reasons_why(fv_withheld why);              /* the same as a word for programs: "random" | "short" | "gap", or NULL */

/* The heaviest n-grams, fewer than TOP if there are fewer: of pieces that overlap and pull the same way the heaviest stands for the others. */
#define CLI_REASONS_NGRAMS 10
size_t cli_reasons_ngrams(const fv_reasons *wide, const fv_reason *chosen[CLI_REASONS_NGRAMS]);
/* As dictionaries spell them: "re-", "-ed", "-in-"; a pair without what stands between its words. */
fv_status cli_reasons_spell(const cli_reasons *r, const fv_reason *ngram, fv_buf *out, fv_err *err);
/* What the wide part and the Transformer added up, in one sentence. */
fv_status cli_reasons_sum(const cli_reasons *r, fv_buf *out, fv_err *err);

/* NULL when out of memory. */
json_t *cli_reasons_json(const cli_reasons *r);
/* For the page: words as parts of the text, maps as letters. */
json_t *cli_reasons_page_json(const cli_reasons *r);
fv_status cli_reasons_print(const cli_reasons *r, fv_err *err);
/* Writes PATH, all or nothing. */
fv_status cli_reasons_page(const cli_reasons *r, const char *path, fv_err *err);

#endif
