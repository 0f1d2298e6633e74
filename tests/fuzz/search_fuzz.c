/* Any bytes as documents and a query: parts between zero bytes, the last one the query. Whatever comes in: a document that has a word of the query is
 * found, places of matches ascend within the text, and an index that took the documents in and let them go again is empty. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 16 };

static fv_index *new_index(void)
{
    fv_index *index = fv_index_new(NULL, NULL);
    FV_ASSERT(index);
    return index;
}

static void check_matches(const char *query, const char *text, bool found)
{
    fv_extent *list;
    size_t n, len = strlen(text);
    FV_ASSERT(fv_matched_words(query, 0, text, 0, &list, &n, NULL) == FV_OK);
    FV_ASSERT((n > 0) == found);
    for (size_t i = 0; i < n; i++) FV_ASSERT(list[i].begin < list[i].end && list[i].end <= len && (!i || list[i - 1].end <= list[i].begin));
    free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fv_index *index;
    char *room = fv_strndup((const char *)data, size, NULL), *at = room;
    const char *texts[MOST];
    size_t n = 0, hits_n;
    fv_hit hits[MOST];
    fv_find_options o;
    FV_ASSERT(room);
    if (!index) index = new_index();
    for (; n + 1 < MOST && at + strlen(at) < room + size; at += strlen(at) + 1) texts[n++] = at;
    for (size_t i = 0; i < n; i++) {
        fv_index_item item = {.id = (int64_t)i, .text = texts[i]};
        FV_ASSERT(fv_index_add(index, &item, 1, NULL) == FV_OK);
    }
    fv_query query = {.text = at};
    bool found[MOST] = {false};
    fv_find_options_init(&o);
    o.by = FV_FIND_WORDS;
    o.top = MOST;
    FV_ASSERT(fv_index_search(index, &query, 1, &o, hits, &hits_n, NULL) == FV_OK);
    for (size_t i = 0; i < hits_n; i++) {
        FV_ASSERT(hits[i].id >= 0 && hits[i].id < (int64_t)n && isfinite(hits[i].score) && hits[i].score > 0);
        found[hits[i].id] = true;
    }
    for (size_t i = 0; i < n; i++) check_matches(at, texts[i], found[i]);
    for (size_t i = 0; i < n; i++) FV_ASSERT(fv_index_remove(index, (int64_t)i));
    FV_ASSERT(fv_index_size(index) == 0);
    fv_free(room);
    return 0;
}
