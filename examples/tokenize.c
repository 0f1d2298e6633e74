/* Trains a tokenizer on the texts of a labelled file, then shows how it cuts TEXT: every token's
 * number, which bytes of the text it covers, and those bytes.
 *
 *     cc tokenize.c $(pkg-config --cflags --libs fovea) -o tokenize
 *     ./tokenize train.tsv "Where is my order?"
 *
 * The tokenizer asks for its texts one by one through a callback, so they may come from anywhere and
 * need not fit in memory. */
// run: demo/train.tsv 我的order还没到

#include <fovea.h>
#include <stdlib.h>
#include <string.h>

/* The callback: the next row of the file. `user` is the reader. */
static int next_text(void *user, const char **text, size_t *len, fv_err *err)
{
    fv_row row;
    int more = fv_reader_next(user, &row, err);
    if (more == 1) {
        *text = row.text;
        *len = row.text_len;
    }
    return more;
}

static fv_tokenizer *train(const char *path, fv_err *err)
{
    fv_tokenizer_options options;
    fv_tokenizer_options_init(&options);
    options.vocab = 1000;
    fv_reader *reader = fv_reader_open(path, NULL, err);
    fv_tokenizer *tokenizer = reader ? fv_tokenizer_train(&options, next_text, reader, err) : NULL;
    fv_reader_close(reader);
    return tokenizer;
}

/* Prints the tokens of `text` and what they decode to. A rare character may be several tokens, each
 * with some of its bytes. */
static fv_status show(const fv_tokenizer *tokenizer, const char *text, fv_err *err)
{
    fv_encoding tokens = {0};
    char *back = NULL;
    size_t back_len;
    fv_status status = fv_tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, false, &tokens, err);
    for (size_t i = 0; status == FV_OK && i < tokens.n; i++)
        printf("%5d  %3u-%-3u  %.*s\n", tokens.ids[i], tokens.begins[i], tokens.ends[i], (int)(tokens.ends[i] - tokens.begins[i]), text + tokens.begins[i]);
    if (status == FV_OK) status = fv_tokenizer_decode(tokenizer, tokens.ids, tokens.n, &back, &back_len, err);
    if (status == FV_OK) printf("%zu tokens, decoded: %s\n", tokens.n, back);
    free(back);
    fv_encoding_release(&tokens);
    return status;
}

int main(int argc, char **argv)
{
    fv_err err = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: tokenize FILE TEXT\n");
        return 2;
    }
    fv_tokenizer *tokenizer = train(argv[1], &err);
    if (tokenizer) show(tokenizer, argv[2], &err);
    fv_tokenizer_close(tokenizer);
    return err.status ? fv_err_print(stderr, &err) : 0;
}
