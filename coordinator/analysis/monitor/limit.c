/* What a gauge runs into, told by its name: nothing left of what is available, the limit beside what is used, or a whole of
 * which it is a share. The word lists say what such series are called; docs/decisions/0037 says why words. */
#include <string.h>

#include "coordinator/analysis/monitor/state.h"

enum { WORD_MAX = 24, WORDS_MAX = 24 };

/* The name of a series in words: cut at what is no letter or digit, capitals made small. */
typedef struct words {
    size_t n, name_n; /* name_n: bytes of the name, before its labels */
    struct {
        size_t at, n;
        char text[WORD_MAX];
    } word[WORDS_MAX];
} words;

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static void split(ops_slice text, words *ret)
{
    size_t at = 0;
    ret->n = 0;
    while (at < text.n && text.p[at] != '{' && ret->n < WORDS_MAX) {
        size_t n = 0;
        while (at + n < text.n && ((lower(text.p[at + n]) >= 'a' && lower(text.p[at + n]) <= 'z') ||
                                   (text.p[at + n] >= '0' && text.p[at + n] <= '9')))
            n++;
        if (n > 0 && n < WORD_MAX) {
            ret->word[ret->n].at = at;
            ret->word[ret->n].n = n;
            for (size_t i = 0; i < n; i++)
                ret->word[ret->n].text[i] = lower(text.p[at + i]);
            ret->word[ret->n++].text[n] = '\0';
        }
        at += n > 0 ? n : 1;
    }
    const char *brace = memchr(text.p, '{', text.n);
    ret->name_n = brace != NULL ? (size_t)(brace - text.p) : text.n;
}

/* Place of the first word of the name that is in the list, SIZE_MAX: none. */
static size_t find(const words *w, const char *const *list, size_t n)
{
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < n; k++)
            if (strcmp(w->word[i].text, list[k]) == 0)
                return i;
    return SIZE_MAX;
}
#define FIND(w, list) find(w, list, sizeof(list) / sizeof *(list))

static const char *const left_words[] = {"avail",     "available", "free",
                                         "remaining", "headroom",  "memavailable"};
static const char *const not_left_words[] = {"memory", "mem", "swap",
                                             "cpu"}; /* their free part is small by design */
static const char *const share_words[] = {"percent", "percentage",  "pct",
                                          "ratio",   "utilization", "utilisation"};
static const char *const stuff_words[] = {"disk",        "filesystem", "fs",         "volume",  "storage",
                                          "memory",      "mem",        "heap",       "inode",   "inodes",
                                          "quota",       "pool",       "fd",         "fds",     "files",
                                          "connections", "space",      "tablespace", "handles", "slots"};
static const char *const used_words[] = {"used", "usage", "open", "active", "current", "allocated"};
static const char *const most_words[] = {"max", "limit", "maximum", "capacity", "total", "size", "quota"};

bool ops_monitor_may_fill(ops_slice text)
{
    words w;
    split(text, &w);
    if (FIND(&w, left_words) != SIZE_MAX)
        return FIND(&w, share_words) == SIZE_MAX &&
               (FIND(&w, not_left_words) == SIZE_MAX ||
                strcmp(w.word[FIND(&w, left_words)].text, "available") == 0);
    return FIND(&w, used_words) != SIZE_MAX ||
           (FIND(&w, share_words) != SIZE_MAX && FIND(&w, stuff_words) != SIZE_MAX);
}

/* The series beside it with another word in the place of one. */
static const series *beside(ops_monitor *m, const series *s, const words *w, size_t place, const char *word)
{
    const ops_slice text = series_text(s);
    ops_strbuf *b = &m->text;
    ops_strbuf_clear(b);
    ops_strbuf_slice(b, ops_slice_sub(text, 0, w->word[place].at));
    ops_strbuf_str(b, word);
    ops_strbuf_slice(b, ops_slice_sub(text, w->word[place].at + w->word[place].n, text.n));
    return b->failed ? NULL
                     : ops_monitor_series_find(m, series_tenant(s), series_service(s), ops_strbuf_get(b));
}

bool ops_monitor_limit(ops_monitor *m, const series *s, ops_monitor_bound *ret)
{
    words w;
    split(series_text(s), &w);
    if (FIND(&w, left_words) != SIZE_MAX) {
        *ret = (ops_monitor_bound){.limit = 0, .falling = true};
        return s->judged > 0;
    }
    const size_t place = FIND(&w, used_words);
    for (size_t i = 0; place != SIZE_MAX && i < sizeof most_words / sizeof *most_words; i++) {
        const series *most = beside(m, s, &w, place, most_words[i]);
        if (most != NULL && most->kind == OPS_MONITOR_GAUGE && most->has_last && most->last > 0 &&
            most->last > s->judged) {
            *ret = (ops_monitor_bound){.limit = most->last};
            return true;
        }
    }
    const size_t share = FIND(&w, share_words);
    if (share == SIZE_MAX || FIND(&w, stuff_words) == SIZE_MAX || s->judged < 0)
        return false;
    ret->falling = false;
    ret->limit = w.word[share].text[0] == 'p' ? 100 : 1;
    return s->judged < ret->limit;
}
