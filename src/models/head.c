/* Weights and graph of the heads. */
#include "models/head.h"

#include <stdio.h>

typedef struct name { char text[FV_PARAM_NAME]; } name;

/* The names that its family's files have where a head is the only one; else its own. */
static name name_of(const char *head, const char *part)
{
    name full;
    if (*head) snprintf(full.text, sizeof full.text, "heads.%s.%s", head, part);
    else snprintf(full.text, sizeof full.text, "%s", part);
    return full;
}

static fv_status init_words(fv_head_weights *h, fv_encoder *e, const char *head, fv_err *err)
{
    fv_status status = FV_OK;
    const fv_encoder_config *c = &e->config;
    const fv_family_info *f = fv_family_of(c->family);
    name dense = name_of(head, f->word_dense), norm = name_of(head, f->word_norm), bias = name_of(head, f->word_bias);
    FV_TRY(fv_linear_init(&h->transform, &e->params, (const char *[]){dense.text}, 1, c->width, c->width, (float)c->init_deviation, err));
    FV_TRY(fv_norm_init(&h->norm, &e->params, norm.text, c->width, err));
    h->bias = fv_params_add(&e->params, (const char *[]){bias.text}, 1, 1, 1, c->vocab, FV_INIT_ZERO, 0, err);
    if (!h->bias) status = FV_E_MEMORY;
    e->words->multiplied = true;
done:
    return status;
}

fv_status fv_head_init(fv_head_weights *h, fv_encoder *e, fv_head_place place, const char *head, int outputs, fv_err *err)
{
    *h = (fv_head_weights){.place = place};
    if (place == FV_HEAD_WORD) return init_words(h, e, head, err);
    if (place == FV_HEAD_VECTOR) return FV_OK;
    if (outputs < 1 || outputs > 1000000) return FV_FAIL(err, FV_E_ARGUMENT, "%d outputs; expected 1 to 1000000", outputs);
    FV_ASSERT(place == FV_HEAD_TOKEN || e->config.pooler);
    name classifier = name_of(head, place == FV_HEAD_TEXT ? fv_family_of(e->config.family)->classifier : "classifier");
    return fv_linear_init(&h->classifier, &e->params, (const char *[]){classifier.text}, 1, outputs, e->config.width, (float)e->config.init_deviation, err);
}

fv_tensor *fv_head_build(const fv_head_weights *h, const fv_encoder *e, fv_graph *g, fv_tensor *hidden, const fv_batch *batch)
{
    FV_ASSERT(h->place == FV_HEAD_TEXT || h->place == FV_HEAD_TOKEN);
    fv_tensor *x = h->place == FV_HEAD_TEXT ? fv_encoder_pool(e, g, hidden, batch) : NULL;
    fv_graph_scope(g, "head");
    if (h->place == FV_HEAD_TOKEN) x = fv_drop_build(g, hidden, NULL, (float)e->config.dropout, batch);
    return fv_linear_build(g, x, &h->classifier, FV_ACT_NONE, NULL);
}

fv_tensor *fv_head_build_words(const fv_head_weights *h, const fv_encoder *e, fv_graph *g, fv_tensor *hidden)
{
    FV_ASSERT(h->place == FV_HEAD_WORD);
    fv_graph_scope(g, "head");
    fv_act act = fv_family_of(e->config.family)->word_gelu ? FV_ACT_GELU : e->config.act;
    fv_tensor *x = fv_linear_build(g, hidden, &h->transform, act, NULL);
    return fv_norm_build(g, x, &h->norm, (float)e->config.norm_eps);
}
