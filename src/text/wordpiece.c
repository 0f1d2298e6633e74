/* WordPiece on one word (Wu et al. 2016, as BERT runs it): the longest token that the rest of the
 * word begins with, again and again; a word that cannot be used up so is one unknown token.
 *
 * Tokens inside a word are spelled with a prefix, "##" as a rule. Both sorts lie in one trie: the node
 * that the prefix leads to is the root of those inside. */
#include <string.h>

#include "text/tokenizer.h"

/* Follows the prefix; without tokens that carry it no word has a second token. */
static void find_inside(fv_wordpiece *wp)
{
    int32_t id;
    wp->inside = 0;
    wp->has_inside = true;
    for (size_t i = 0; i < wp->prefix_len && wp->has_inside; i++)
        wp->has_inside = (wp->inside = fv_trie_step(&wp->trie, wp->inside, wp->prefix[i], &id)) != 0;
}

fv_status fv_wordpiece_init(fv_wordpiece *wp, const fv_token *tokens, int32_t n, fv_err *err)
{
    fv_status status = FV_OK;
    for (int32_t id = 0; id < n && status == FV_OK; id++)
        if (tokens[id].n_bytes && !tokens[id].outside) status = fv_trie_add(&wp->trie, tokens[id].text, tokens[id].n_bytes, id, err);
    if (status == FV_OK) find_inside(wp);
    return status;
}

void fv_wordpiece_release(fv_wordpiece *wp)
{
    fv_trie_release(&wp->trie);
}

/* Whether the word has more characters than BERT looks at. */
static bool too_many(const char *word, size_t n, size_t max_chars)
{
    size_t chars = 0;
    if (n <= max_chars) return false;
    for (size_t i = 0; i < n; i++) chars += (unsigned char)word[i] >> 6 != 2;
    return chars > max_chars;
}

/* The longest token from `node` on; gives its bytes, 0 if there is none. */
static size_t longest(const fv_wordpiece *wp, uint32_t node, const char *p, size_t n, int32_t *id)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t found;
        if (!(node = fv_trie_step(&wp->trie, node, p[i], &found))) break;
        if (found < 0) continue;
        best = i + 1;
        *id = found;
    }
    return best;
}

size_t fv_wordpiece_word(const fv_wordpiece *wp, const char *word, size_t n, int32_t *ids)
{
    size_t n_ids = 0;
    bool known = !too_many(word, n, wp->max_chars);
    for (size_t at = 0, taken; at < n && known; at += taken) {
        taken = at == 0 || wp->has_inside ? longest(wp, at == 0 ? 0 : wp->inside, word + at, n - at, &ids[n_ids++]) : 0;
        known = taken > 0;
    }
    if (known) return n_ids;
    ids[0] = wp->unk;
    return 1;
}
