/* An alignment drawn. See picture.h.
 *
 *                 A dog runs
 *     Ein         ▓
 *     Hund          ███
 *     läuft         ░░░ ████
 *
 * A cell is as wide as its source word, so that the heads need no turning. */
#include "cli/picture.h"
#include "cli/term.h"

#define WORD_COLUMNS 16 /* longer words are cut in the picture */
#define INDENT 2

static size_t columns_of(const char *text, fv_extent word)
{
    size_t width = cli_text_width(text + word.begin, word.end - word.begin);
    return width > WORD_COLUMNS ? WORD_COLUMNS : width;
}

static fv_status put_times(fv_buf *out, const char *piece, size_t n, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t i = 0; i < n && status == FV_OK; i++) status = fv_buf_puts(out, piece, err);
    return status;
}

/* A word, cut if it is long and filled up with blanks to `columns`. */
static fv_status put_word(fv_buf *out, const char *text, fv_extent word, size_t columns, fv_err *err)
{
    size_t used = columns_of(text, word);
    fv_status status = cli_add_cut(out, text + word.begin, word.end - word.begin, WORD_COLUMNS, err);
    return status || used >= columns ? status : put_times(out, " ", columns - used, err);
}

static const char *shade(float weight) { return weight < 0.08f ? " " : weight < 0.3f ? "░" : weight < 0.55f ? "▒" : weight < 0.8f ? "▓" : "█"; }

/* Blanks at the end of a line are of no use to anybody. */
static fv_status end_line(fv_buf *out, fv_err *err)
{
    while (out->len && out->data[out->len - 1] == ' ') out->len--;
    return fv_buf_putc(out, '\n', err);
}

static fv_status put_row(fv_buf *out, const char *source, const fv_translation *t, size_t row, size_t margin, fv_err *err)
{
    fv_status status;
    FV_TRY(put_times(out, " ", INDENT, err));
    FV_TRY(put_word(out, t->text, t->target_words[row], margin, err));
    for (size_t s = 0; s < t->n_source_words; s++) {
        FV_TRY(fv_buf_putc(out, ' ', err));
        FV_TRY(put_times(out, shade(t->attention[row * t->n_source_words + s]), columns_of(source, t->source_words[s]), err));
    }
    FV_TRY(end_line(out, err));
done:
    return status;
}

static fv_status put_matrix(fv_buf *out, const char *source, const fv_translation *t, size_t margin, fv_err *err)
{
    fv_status status;
    FV_TRY(put_times(out, " ", INDENT + margin, err));
    for (size_t s = 0; s < t->n_source_words; s++) {
        FV_TRY(fv_buf_putc(out, ' ', err));
        FV_TRY(put_word(out, source, t->source_words[s], 0, err));
    }
    FV_TRY(end_line(out, err));
    for (size_t row = 0; row < t->n_target_words; row++) FV_TRY(put_row(out, source, t, row, margin, err));
done:
    return status;
}

static fv_status put_links(fv_buf *out, const char *source, const fv_translation *t, size_t margin, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t row = 0; row < t->n_target_words; row++) {
        size_t best = t->alignment[row];
        FV_TRY(put_times(out, " ", INDENT, err));
        FV_TRY(put_word(out, t->text, t->target_words[row], margin, err));
        FV_TRY(fv_buf_puts(out, " ← ", err));
        FV_TRY(put_word(out, source, t->source_words[best], 0, err));
        FV_TRY(fv_buf_printf(out, err, " (%.2f)\n", (double)t->attention[row * t->n_source_words + best]));
    }
done:
    return status;
}

fv_status cli_add_picture(fv_buf *out, const char *source, const fv_translation *t, size_t width, fv_err *err)
{
    size_t margin = 0, total = INDENT;
    for (size_t i = 0; i < t->n_target_words; i++) {
        size_t columns = columns_of(t->text, t->target_words[i]);
        margin = columns > margin ? columns : margin;
    }
    for (size_t s = 0; s < t->n_source_words; s++) total += 1 + columns_of(source, t->source_words[s]);
    if (t->n_source_words == 0) return FV_OK;
    return (total + margin <= width ? put_matrix : put_links)(out, source, t, margin, err);
}

fv_status cli_print_picture(const char *source, const fv_translation *t, fv_err *err)
{
    fv_buf out = {0};
    int width = cli_width(stdout);
    fv_status status = cli_add_picture(&out, source, t, width ? (size_t)width : CLI_PICTURE_WIDTH, err);
    if (status == FV_OK) status = fv_buf_putc(&out, '\n', err);
    if (status == FV_OK) fwrite(out.data, 1, out.len, stdout);
    fv_buf_release(&out);
    return status;
}
