/* What the model of a tokenizer.json says that is BPE: merges, and how characters and bytes stand in for each other.
 *
 * With a token for each byte (GPT-2's way) and nothing that asks for more, bpe.c merges bytes; else parts_model.c merges
 * from characters. The trap: merges are found by what they spell, and must spell what they make. */
#include <string.h>

#include "text/tokenizer_json.h"

#define AFFIX_MAX 64

/* ---- Merges ------------------------------------------------------------------------------- */

/* The halves of a merge, written "a b" or ["a", "b"]; false if it is neither. */
static bool read_halves(const json_t *merge, const char *half[2], size_t len[2])
{
    const json_t *pair[2] = {json_array_get(merge, 0), json_array_get(merge, 1)};
    if (json_is_string(merge)) {
        const char *space = strchr(json_string_value(merge), ' ');
        if (!space) return false;
        half[0] = json_string_value(merge);
        len[0] = (size_t)(space - half[0]);
        half[1] = space + 1;
    } else {
        if (json_array_size(merge) != 2 || !json_is_string(pair[0]) || !json_is_string(pair[1])) return false;
        half[0] = json_string_value(pair[0]);
        len[0] = json_string_length(pair[0]);
        half[1] = json_string_value(pair[1]);
    }
    len[1] = strlen(half[1]);
    return !memchr(half[0], ' ', len[0]) && !memchr(half[1], ' ', len[1]);
}

static fv_status read_merge(const fv_json_source *s, const json_t *value, size_t i, fv_buf *joined, fv_merge *out)
{
    fv_status status = FV_OK;
    const char *half[2];
    size_t len[2];
    if (!read_halves(value, half, len)) return fv_json_refuse_item(s, "model.merges", i, "", value, "two tokens, \"a b\" or [\"a\", \"b\"]");
    size_t prefix = strlen(s->t->bpe.prefix);
    if (len[1] < prefix) return fv_json_refuse_item(s, "model.merges", i, "", value, "a second token with model.continuing_subword_prefix");
    joined->len = 0;
    FV_TRY(fv_buf_add(joined, half[0], len[0], s->err));
    FV_TRY(fv_buf_add(joined, half[1] + prefix, len[1] - prefix, s->err));
    *out = (fv_merge){
        .a = fv_map_get(&s->t->ids, half[0], len[0]),
        .b = fv_map_get(&s->t->ids, half[1], len[1]),
        .id = fv_map_get(&s->t->ids, joined->data, joined->len),
    };
    if (out->a < 0 || out->b < 0) return fv_json_refuse_item(s, "model.merges", i, "", value, "tokens of model.vocab");
    if (out->id < 0) return fv_json_refuse_item(s, "model.merges", i, "", value, "two tokens that joined are in model.vocab");
done:
    return status;
}

static fv_status read_merges(const fv_json_source *s, const json_t *list)
{
    fv_status status = FV_OK;
    fv_buf joined = {0};
    if (!json_is_array(list)) return fv_json_refuse(s, "model.merges", list, "a list");
    size_t n = json_array_size(list);
    fv_merge *merges = fv_alloc(n * sizeof *merges, s->err);
    if (!merges) return FV_E_MEMORY;
    for (size_t i = 0; i < n; i++) FV_TRY(read_merge(s, json_array_get(list, i), i, &joined, &merges[i]));
    status = fv_bpe_init(&s->t->bpe, merges, (uint32_t)n, s->where, s->err);
    merges = NULL;
done:
    fv_free(merges);
    fv_buf_release(&joined);
    return status;
}

/* ---- The model ---------------------------------------------------------------------------- */

static fv_status read_affix(const fv_json_source *s, const json_t *model, const char *name, const char **out)
{
    char key[64];
    const json_t *value = json_object_get(model, name);
    bool none = !value || json_is_null(value);
    snprintf(key, sizeof key, "model.%s", name);
    if (!none && (!json_is_string(value) || json_string_length(value) > AFFIX_MAX)) return fv_json_refuse(s, key, value, "null or text of at most 64 bytes");
    *out = none ? "" : fv_arena_strndup(&s->t->arena, json_string_value(value), json_string_length(value), s->err);
    return *out ? FV_OK : FV_E_MEMORY;
}

static fv_status read_unknown(const fv_json_source *s, const json_t *name)
{
    s->t->bpe.unk = -1;
    if (!name || json_is_null(name)) return FV_OK;
    if (!json_is_string(name)) return fv_json_refuse(s, "model.unk_token", name, "null or a token");
    s->t->bpe.unk = fv_map_get(&s->t->ids, json_string_value(name), json_string_length(name));
    return FV_OK;
}

static fv_status read_flags(const fv_json_source *s, const json_t *model)
{
    fv_bpe *b = &s->t->bpe;
    const struct { const char *key; bool *flag; } flags[] = {{"model.fuse_unk", &b->fuse_unk}, {"model.byte_fallback", &b->byte_fallback}, {"model.ignore_merges", &b->ignore_merges}};
    for (size_t i = 0; i < FV_COUNT(flags); i++) {
        const json_t *value = json_object_get(model, flags[i].key + strlen("model."));
        if (value && !json_is_null(value) && !fv_json_read_flag(value, flags[i].flag)) return fv_json_refuse(s, flags[i].key, value, "true or false");
    }
    return FV_OK;
}

static bool has_all_bytes(const fv_tokenizer *t)
{
    fv_byte_names names;
    fv_byte_names_init(&names);
    for (int byte = 0; byte < 256; byte++)
        if (fv_map_get(&t->ids, names.text[byte], strlen(names.text[byte])) < 0) return false;
    return true;
}

/* unk_token may be set: with a token for every byte it is never used. */
fv_status fv_json_bpe(const fv_json_source *s, const json_t *model, const json_t *added)
{
    fv_status status;
    fv_bpe settings, *b = &s->t->bpe;
    if (!fv_json_is_off(json_object_get(model, "dropout"))) return fv_json_refuse(s, "model.dropout", json_object_get(model, "dropout"), "null or 0: not supported here");
    FV_TRY(read_flags(s, model));
    FV_TRY(read_affix(s, model, "continuing_subword_prefix", &b->prefix));
    FV_TRY(read_affix(s, model, "end_of_word_suffix", &b->suffix));
    FV_TRY(fv_json_read_tokens(s, json_object_get(model, "vocab"), added));
    FV_TRY(read_unknown(s, json_object_get(model, "unk_token")));
    b->from_chars = *b->prefix || *b->suffix || b->byte_fallback || !has_all_bytes(s->t);
    settings = *b;
    FV_TRY(read_merges(s, json_object_get(model, "merges")));
    settings.merges = b->merges, settings.n = b->n, settings.slots = b->slots, settings.mask = b->mask;
    *b = settings;
done:
    return status;
}
