/* Tokenizers and encodings made for the tests of this room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "text/made.h"

const char *const made_texts[] = {
    "the cat sat on the mat, the cat sat on the hat",
    "the dog and the cat and the hat don't care, they don't",
    "我的快递到哪里了,我的快递没有更新",
    "快递到了,我的快递到了 the cat",
    "caf\xc3\xa9 caf\xc3\xa9 caf\xc3\xa9 na\xc3\xafve na\xc3\xafve",
};
const size_t made_n_texts = FV_COUNT(made_texts);

int made_next(void *user, const char **text, size_t *len, fv_err *err)
{
    made_list *list = user;
    (void)err;
    if (list->at == list->n) return 0;
    *text = list->texts[list->at++];
    *len = strlen(*text);
    return 1;
}

fv_tokenizer *made_tokenizer(fv_normalize form, bool lowercase)
{
    fv_err err = {0};
    fv_tokenizer_options o;
    made_list list = {made_texts, made_n_texts, 0};
    fv_tokenizer_options_init(&o);
    o.vocab = 400;
    o.normalize = form;
    o.lowercase = lowercase;
    fv_tokenizer *t = fv_tokenizer_train(&o, made_next, &list, &err);
    if (!t) fail_msg("training failed: %s", err.text);
    return t;
}

void made_encode(const fv_tokenizer *tokenizer, const char *text, fv_encoding *out)
{
    fv_err err = {0};
    if (fv_tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, false, out, &err) != FV_OK) fail_msg("%s", err.text);
}

const char *made_spelled(const fv_tokenizer *tokenizer, const fv_encoding *encoding)
{
    static char spelled[4096];
    int at = 0;
    spelled[0] = 0;
    for (size_t i = 0; i < encoding->n && at < (int)sizeof spelled - 64; i++)
        at += snprintf(spelled + at, sizeof spelled - (size_t)at, "%s[%u,%u) ", fv_tokenizer_token(tokenizer, encoding->ids[i]), encoding->begins[i], encoding->ends[i]);
    return spelled;
}
