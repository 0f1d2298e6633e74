/* Where things lie, by the environment, and which names are plain enough to become paths and addresses. See hub.h.
 *
 * The rules are those of huggingface_hub, so that programs find each other's files; where a newer and an older variable
 * mean the same, the newer one wins. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hub/hub.h"

static const char *said(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

/* A path from the environment; "~/" stands for the home folder. */
static fv_status place(char out[FV_PATH_MAX], const char *path, fv_err *err)
{
    const char *home = said("HOME");
    if (path[0] == '~' && path[1] == '/' && home) return fv_path_join(out, home, path + 2, err);
    return fv_path_join(out, "", path, err);
}

static fv_status find_home(char out[FV_PATH_MAX], fv_err *err)
{
    char cache[FV_PATH_MAX];
    const char *home = said("HOME");
    if (said("HF_HOME")) return place(out, said("HF_HOME"), err);
    if (said("XDG_CACHE_HOME")) return fv_path_join(out, said("XDG_CACHE_HOME"), "huggingface", err);
    if (!home) return FV_FAIL(err, FV_E_INPUT, "the cache of models has no place: neither HF_HOME nor HOME is set; set HF_HOME");
    fv_status status = fv_path_join(cache, home, ".cache/huggingface", err);
    return status == FV_OK ? place(out, cache, err) : status;
}

static bool is_true(const char *value)
{
    static const char *const words[] = {"1", "on", "yes", "true"};
    for (size_t i = 0; value && i < FV_COUNT(words); i++)
        if (strcasecmp(value, words[i]) == 0) return true;
    return false;
}

static fv_status find_endpoint(hub_places *p, fv_err *err)
{
    const char *given = said("HF_ENDPOINT") ? said("HF_ENDPOINT") : "https://huggingface.co";
    size_t len = strlen(given);
    while (len > 0 && given[len - 1] == '/') len--;
    bool http = strncmp(given, "http://", 7) == 0 || strncmp(given, "https://", 8) == 0;
    fv_shown shown;
    if (!http || len >= sizeof p->endpoint) return FV_FAIL(err, FV_E_ARGUMENT, "HF_ENDPOINT is %s; expected an address that begins with https:// or http://", fv_show(&shown, given, strlen(given)));
    snprintf(p->endpoint, sizeof p->endpoint, "%.*s", (int)len, given);
    return FV_OK;
}

fv_status hub_places_find(hub_places *p, fv_err *err)
{
    char home[FV_PATH_MAX];
    const char *cache = said("HF_HUB_CACHE") ? said("HF_HUB_CACHE") : said("HUGGINGFACE_HUB_CACHE");
    fv_status status = FV_OK;
    *p = (hub_places){.offline = is_true(said("HF_HUB_OFFLINE") ? said("HF_HUB_OFFLINE") : said("TRANSFORMERS_OFFLINE"))};
    FV_TRY(find_home(home, err));
    FV_TRY(cache ? place(p->cache, cache, err) : fv_path_join(p->cache, home, "hub", err));
    FV_TRY(said("HF_TOKEN_PATH") ? place(p->token_file, said("HF_TOKEN_PATH"), err) : fv_path_join(p->token_file, home, "token", err));
    FV_TRY(find_endpoint(p, err));
done:
    return status;
}

/* A token goes into a header: a line break in it would begin another one. */
static fv_status take_token(const char *text, const char *where, char token[HUB_TEXT_MAX], fv_err *err)
{
    size_t begin = strspn(text, " \t\r\n"), len = strcspn(text + begin, " \t\r\n");
    if (text[begin + len + strspn(text + begin + len, " \t\r\n")]) return FV_FAIL(err, FV_E_INPUT, "%s holds more than one word; expected a token alone", where);
    if (len >= HUB_TEXT_MAX) return FV_FAIL(err, FV_E_INPUT, "%s holds a word of %zu bytes; expected a token, less than %d", where, len, HUB_TEXT_MAX);
    snprintf(token, HUB_TEXT_MAX, "%.*s", (int)len, text + begin);
    return FV_OK;
}

fv_status hub_token_read(const hub_places *p, char token[HUB_TEXT_MAX], fv_err *err)
{
    const char *given = said("HF_TOKEN") ? said("HF_TOKEN") : said("HUGGING_FACE_HUB_TOKEN");
    fv_buf text = {0};
    token[0] = 0;
    if (given) return take_token(given, "HF_TOKEN", token, err);
    if (!fv_file_exists(p->token_file)) return FV_OK;
    fv_status status = fv_file_read(p->token_file, 4096, &text, err);
    if (status == FV_OK && text.len) status = take_token(text.data, p->token_file, token, err);
    fv_buf_release(&text);
    return status;
}

/* ---- Names ---- */

static bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/* One part of a name: letters, digits, "-", "_", "."; no "." in front, no ".." or "--", which has its own meaning in the cache. */
static bool part_fits(const char *part, size_t len)
{
    if (len == 0 || len > 96 || part[0] == '.' || part[0] == '-') return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_alnum(part[i]) && !strchr("-_.", part[i])) return false;
        if (i > 0 && part[i] == part[i - 1] && strchr("-.", part[i])) return false;
    }
    return true;
}

bool hub_name_fits(const char *name)
{
    size_t first = strcspn(name, "/");
    if (!part_fits(name, first)) return false;
    return !name[first] || part_fits(name + first + 1, strlen(name + first + 1));
}

bool hub_path_fits(const char *path)
{
    size_t len = strlen(path);
    if (len == 0 || len >= HUB_TEXT_MAX) return false;
    for (const char *p = path;; p++) {
        size_t part = strcspn(p, "/");
        if (part == 0 || p[0] == '.') return false; /* "..", "." and hidden files alike */
        for (size_t i = 0; i < part; i++)
            if ((unsigned char)p[i] < ' ' || p[i] == 127 || p[i] == '\\') return false;
        p += part;
        if (!*p) return true;
    }
}

bool hub_revision_fits(const char *revision)
{
    if (!hub_path_fits(revision)) return false;
    for (const char *p = revision; *p; p++)
        if (!is_alnum(*p) && !strchr("-_./+", *p)) return false;
    return true;
}

bool hub_commit_fits(const char *commit)
{
    return strlen(commit) == 40 && strspn(commit, "0123456789abcdef") == 40;
}
