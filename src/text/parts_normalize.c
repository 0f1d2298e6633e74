/* Normalisers that tokenizer.json can list, and running a list of them. Each makes a text from the one before it and says
 * where every byte came from; fv_normalized_follow joins that to the input.
 *
 * Unicode's forms, lower case and BERT's way are left to normalize.c and bert.c. All follow the Hugging Face library, whose
 * texts are the definition: hence Precompiled is not charsmap.c's normaliser, but the library's, which looks at clusters of
 * characters and takes the shortest entry of the table instead of the longest.
 *
 * The trap: rules that insert can blow a text up; fv_parts_most bounds what comes out. */
#include <string.h>
#include <utf8proc.h>

#include "text/parts.h"

#define CLUSTER_MAX 6 /* longer clusters are looked up character by character */
#define CHARSMAP_MAX ((size_t)16 << 20)
#define REPLACEMENT "\xef\xbf\xbd"

typedef struct fv_parts_room {
    size_t most; /* bytes that the text may become */
    fv_normalized other;
    pcre2_match_data *match;
} fv_parts_room;

/* ---- Output ------------------------------------------------------------------------------- */

static fv_status keep(fv_normalized *to, const char *text, size_t begin, size_t end, fv_err *err)
{
    return begin == end ? FV_OK : fv_normalized_ascii(to, false, text + begin, end - begin, (uint32_t)begin, err);
}

/* `n` bytes in the place of [begin, end). */
static fv_status put(fv_normalized *to, const char *bytes, size_t n, size_t begin, size_t end, fv_err *err)
{
    fv_status status;
    if (n == 0) return FV_OK;
    if (to->text.len + n > to->room->most) return FV_FAIL(err, FV_E_INPUT, "the tokenizer's normalizer makes more than %zu bytes of this text", to->room->most);
    status = fv_normalized_span(to, (uint32_t)begin, (uint32_t)end, false, err);
    return status == FV_OK ? fv_buf_add(&to->text, bytes, n, err) : status;
}

static fv_status finish(fv_normalized *to, fv_err *err)
{
    fv_status status = to->n_spans ? FV_OK : fv_normalized_span(to, 0, 0, true, err);
    if (status == FV_OK) status = fv_buf_reserve(&to->text, 1, err);
    to->data = to->text.data;
    to->len = to->text.len;
    return status;
}

/* ---- The kinds ---------------------------------------------------------------------------- */

static fv_status run_form(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err)
{
    return fv_normalize_text(to, part->how, text, len, 0, err);
}

static fv_status read_form(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    (void)s, (void)key, (void)value;
    const char *type = part->kind->type;
    if (strcmp(type, "Lowercase") == 0) part->how.lowercase = true;
    else part->how = (fv_normalizer){.form = strstr(type, "KC") || strstr(type, "KD") ? FV_NORMALIZE_NFKC : FV_NORMALIZE_NFC, .decompose = type[strlen(type) - 1] == 'D'};
    return FV_OK;
}

static fv_status read_bert(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = FV_OK;
    fv_normalizer *n = &part->how;
    n->bert = true;
    FV_TRY(fv_part_flag(s, key, value, "clean_text", true, &n->clean));
    FV_TRY(fv_part_flag(s, key, value, "handle_chinese_chars", true, &n->han_apart));
    FV_TRY(fv_part_flag(s, key, value, "lowercase", true, &n->lowercase));
    n->strip_accents = n->lowercase; /* null: as lowercase says */
    if (!json_is_null(json_object_get(value, "strip_accents"))) FV_TRY(fv_part_flag(s, key, value, "strip_accents", n->lowercase, &n->strip_accents));
done:
    return status;
}

static fv_status read_strip(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = fv_part_flag(s, key, value, "strip_left", true, &part->left);
    return status == FV_OK ? fv_part_flag(s, key, value, "strip_right", true, &part->right) : status;
}

static fv_status run_strip(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err)
{
    size_t begin = 0, n;
    int32_t point;
    while (part->left && begin < len && (n = fv_point_at(text + begin, len - begin, &point)) && fv_is_white(point)) begin += n;
    while (part->right && len > begin && (n = fv_point_before(text, len, &point)) && fv_is_white(point)) len -= n;
    return keep(to, text, begin, len, err);
}

static fv_status run_strip_accents(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    size_t kept = 0;
    (void)part;
    for (size_t at = 0, n; at < len && status == FV_OK; at += n) {
        int32_t point;
        n = fv_point_at(text + at, len - at, &point);
        if (point < 0x300 || !fv_is_mark(point)) continue;
        status = keep(to, text, kept, at, err);
        kept = at + n;
    }
    return status == FV_OK ? keep(to, text, kept, len, err) : status;
}

static fv_status read_replace(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = fv_part_text(s, key, value, "content", NULL, &part->content);
    return status == FV_OK ? fv_pattern_read(s, key, json_object_get(value, "pattern"), &part->pattern) : status;
}

static fv_status ready_match(fv_normalized *to, const fv_pattern *pattern, fv_err *err)
{
    if (!pattern->regex.pattern || to->room->match) return FV_OK;
    to->room->match = fv_splitter_scratch(&pattern->regex, err);
    return to->room->match ? FV_OK : FV_E_MEMORY;
}

static fv_status run_replace(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err)
{
    size_t begin, end, kept = 0;
    int more = 0;
    fv_status status = ready_match(to, &part->pattern, err);
    if (status != FV_OK) return status;
    fv_matches m = {.pattern = &part->pattern, .match = to->room->match, .text = text, .len = len};
    while ((more = fv_matches_next(&m, &begin, &end, err)) == 1) {
        FV_TRY(keep(to, text, kept, begin, err));
        FV_TRY(put(to, part->content, strlen(part->content), begin, end, err));
        kept = end;
    }
    status = more < 0 ? (fv_status)more : keep(to, text, kept, len, err);
done:
    return status;
}

static fv_status read_prepend(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    return fv_part_text(s, key, value, "prepend", NULL, &part->content);
}

static fv_status run_prepend(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err)
{
    fv_status status = len ? put(to, part->content, strlen(part->content), 0, 0, err) : FV_OK;
    return status == FV_OK ? keep(to, text, 0, len, err) : status;
}

/* What sentencepiece's nmt rules take away, and what they make a space. */
static bool nmt_drops(int32_t c)
{
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}

static bool nmt_spaces(int32_t c)
{
    return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
}

static fv_status run_nmt(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    size_t kept = 0;
    (void)part;
    for (size_t at = 0, n; at < len && status == FV_OK; at += n) {
        int32_t point;
        n = fv_point_at(text + at, len - at, &point);
        bool spaces = nmt_spaces(point);
        if (!spaces && !nmt_drops(point)) continue;
        status = keep(to, text, kept, at, err);
        if (status == FV_OK && spaces) status = put(to, " ", 1, at, at + n, err);
        kept = at + n;
    }
    return status == FV_OK ? keep(to, text, kept, len, err) : status;
}

static fv_status run_bytes(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    fv_byte_names names;
    (void)part;
    fv_byte_names_init(&names);
    for (size_t i = 0; i < len && status == FV_OK; i++) {
        const char *name = names.text[(unsigned char)text[i]];
        status = put(to, name, strlen(name), i, i + 1, err);
    }
    return status;
}

/* ---- Precompiled -------------------------------------------------------------------------- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* False where the text is no base64. */
static fv_status decode_base64(const char *text, fv_buf *out, bool *fine, fv_err *err)
{
    fv_status status = fv_buf_reserve(out, strlen(text) + 1, err);
    uint32_t bits = 0;
    int n = 0;
    for (; *text && *text != '=' && status == FV_OK; text++) {
        int value = base64_value(*text);
        if (value < 0) break;
        bits = bits << 6 | (uint32_t)value;
        if (++n % 4 != 1) status = fv_buf_putc(out, (char)(bits >> (6 - 2 * ((n - 1) % 4))), err);
    }
    while (*text == '=') text++;
    *fine = *text == 0;
    return status;
}

static fv_status read_precompiled(const fv_json_source *s, const char *key, const json_t *value, fv_part *part)
{
    fv_status status = FV_OK;
    fv_buf blob = {0};
    bool fine = false;
    const json_t *text = json_object_get(value, "precompiled_charsmap");
    if (json_is_null(text)) return FV_OK;
    if (!json_is_string(text) || json_string_length(text) > CHARSMAP_MAX) return fv_part_refuse(s, key, "precompiled_charsmap", text, "a table in base64");
    FV_TRY(decode_base64(json_string_value(text), &blob, &fine, s->err));
    if (!fine) status = fv_part_refuse(s, key, "precompiled_charsmap", text, "base64");
    else if (blob.len) status = fv_charsmap_init(&part->map, &blob, s->where, s->err);
done:
    fv_buf_release(&blob);
    return status;
}

/* The cluster of characters (Unicode's extended grapheme cluster) that begins at `at`. */
static size_t cluster_at(const char *text, size_t len, size_t at)
{
    utf8proc_int32_t state = 0;
    int32_t point, next;
    size_t n = fv_point_at(text + at, len - at, &point);
    while (at + n < len) {
        if (point < 0x80 && point != '\r' && (unsigned char)text[at + n] < 0x80) break;
        size_t more = fv_point_at(text + at + n, len - at - n, &next);
        if (utf8proc_grapheme_break_stateful(point, next, &state)) break;
        point = next;
        n += more;
    }
    return n;
}

static fv_status map_chars(const fv_part *part, fv_normalized *to, const char *text, size_t begin, size_t end, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t at = begin, n; at < end && status == FV_OK; at += n) {
        int32_t point;
        const char *made = NULL;
        n = fv_point_at(text + at, end - at, &point);
        if (fv_charsmap_find_first(&part->map, text + at, n, &made)) status = put(to, made, strlen(made), at, at + n, err);
        else status = keep(to, text, at, at + n, err);
    }
    return status;
}

static fv_status run_precompiled(const fv_part *part, fv_normalized *to, const char *text, size_t len, fv_err *err)
{
    fv_status status = FV_OK;
    for (size_t at = 0, n; at < len && status == FV_OK; at += n) {
        const char *made = NULL;
        n = cluster_at(text, len, at);
        if (n < CLUSTER_MAX && fv_charsmap_find_first(&part->map, text + at, n, &made)) status = put(to, made, strlen(made), at, at + n, err);
        else status = map_chars(part, to, text, at, at + n, err);
    }
    return status;
}

/* ---- A list ------------------------------------------------------------------------------- */

static size_t valid_bytes(const char *p, const char *end)
{
    const char *start = p;
    for (int n; p < end; p += n)
        if (!(n = (unsigned char)*p < 0x80 ? 1 : fv_utf8_len(p, end))) break;
    return (size_t)(p - start);
}

/* Bytes of the broken sequence at p that a decoder replaces by one U+FFFD: the longest beginning of a valid one. */
static size_t broken_bytes(const char *p, const char *end)
{
    static const char tails[][3] = {"\x80\x80\x80", "\xbf\xbf\xbf"};
    for (size_t n = 3; n > 1; n--) {
        if ((size_t)(end - p) < n) continue;
        for (size_t k = 0; k < FV_COUNT(tails); k++) {
            char whole[6];
            memcpy(whole, p, n);
            memcpy(whole + n, tails[k], 3);
            if ((size_t)fv_utf8_len(whole, whole + n + 3) > n) return n;
        }
    }
    return 1;
}

/* The input as valid UTF-8, which as a rule it is. */
static fv_status make_valid(fv_normalized *to, const char *text, size_t len, uint32_t base, fv_err *err)
{
    fv_status status = FV_OK;
    const char *end = text + len;
    size_t at = valid_bytes(text, end);
    to->n_spans = to->text.len = 0;
    to->data = text;
    to->len = len;
    if (at == len) return fv_normalized_span(to, base, base, true, err);
    for (size_t n, kept = 0; status == FV_OK; kept = at += n, at += valid_bytes(text + at, end)) {
        if (at > kept) FV_TRY(fv_normalized_ascii(to, false, text + kept, at - kept, base + (uint32_t)kept, err));
        if (at == len) break;
        n = broken_bytes(text + at, end);
        FV_TRY(put(to, REPLACEMENT, strlen(REPLACEMENT), base + at, base + at + n, err));
    }
    status = finish(to, err);
done:
    return status;
}

/* The room stays with `a`. */
static void exchange(fv_normalized *a, fv_normalized *b)
{
    struct fv_parts_room *room = a->room;
    fv_normalized old = *a;
    *a = *b;
    *b = old;
    a->room = room;
    b->room = NULL;
}

static fv_status run_part(const fv_part *part, fv_normalized *to, fv_err *err)
{
    fv_status status = FV_OK;
    fv_parts_room *room = to->room;
    fv_normalized *next = &room->other;
    next->n_spans = next->text.len = 0;
    next->room = room;
    FV_TRY(part->kind->normalize(part, next, to->data, to->len, err));
    FV_TRY(finish(next, err));
    FV_TRY(fv_normalized_follow(next, to, err));
    exchange(to, next);
done:
    room->other.room = NULL;
    return status;
}

fv_status fv_parts_normalize(fv_normalized *to, const fv_parts *parts, const char *text, size_t len, uint32_t base, fv_err *err)
{
    if (!to->room && !(to->room = fv_alloc_zero(1, sizeof *to->room, err))) return FV_E_MEMORY;
    to->room->most = fv_parts_most(len);
    fv_status status = make_valid(to, text, len, base, err);
    for (size_t i = 0; i < parts->normalizers.n && status == FV_OK; i++) status = run_part(&parts->normalizers.items[i], to, err);
    return status;
}

void fv_parts_room_free(fv_parts_room *room)
{
    if (!room) return;
    fv_normalized_release(&room->other);
    pcre2_match_data_free(room->match);
    fv_free(room);
}

const fv_part_kind fv_normalize_kinds[] = {
    {.type = "BertNormalizer", .read = read_bert, .normalize = run_form},
    {.type = "NFC", .read = read_form, .normalize = run_form},
    {.type = "NFD", .read = read_form, .normalize = run_form},
    {.type = "NFKC", .read = read_form, .normalize = run_form},
    {.type = "NFKD", .read = read_form, .normalize = run_form},
    {.type = "Lowercase", .read = read_form, .normalize = run_form},
    {.type = "Strip", .read = read_strip, .normalize = run_strip},
    {.type = "StripAccents", .normalize = run_strip_accents},
    {.type = "Replace", .read = read_replace, .normalize = run_replace},
    {.type = "Prepend", .read = read_prepend, .normalize = run_prepend},
    {.type = "Nmt", .normalize = run_nmt},
    {.type = "ByteLevel", .normalize = run_bytes},
    {.type = "Precompiled", .read = read_precompiled, .normalize = run_precompiled},
    {0},
};
