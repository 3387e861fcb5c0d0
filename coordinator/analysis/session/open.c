/* Open sessions: which keys are followed, and their lines. */
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "coordinator/analysis/session/state.h"

/* Sessions that were under way when a key came to be followed are over after so many windows. */
enum { MIDDLE_WINDOWS = 2, WIDEN_WINDOWS = 6 };

void session_lines_done(kept_line *lines, size_t n)
{
    for (size_t i = 0; lines != NULL && i < n; i++) {
        ops_free(lines[i].text);
        lines[i] = (kept_line){0};
    }
}

bool session_line_copy(const kept_line *from, kept_line *to)
{
    char *text = from->text != NULL ? ops_strndup(from->text, from->n) : NULL;
    if (from->text != NULL && text == NULL)
        return false;
    *to = *from;
    to->text = text;
    return true;
}

void session_open_free(open_session *s)
{
    if (s == NULL)
        return;
    session_lines_done(s->lines, EVENTS_MAX);
    ops_free(s->lines);
    ops_free(s);
}

static bool followed(uint64_t key, uint64_t mask)
{
    return (ops_hash_mix(key) & mask) == 0;
}

/* Half of the keys less, and their sessions with them. */
static void narrow(ops_session_watch *w)
{
    size_t kept = 0;
    if (w->mask >= SPARSE_MASK_MAX)
        return;
    w->mask = w->mask * 2 + 1;
    for (size_t i = 0; i < w->open_n; i++)
        if (followed(w->open[i]->key, w->mask))
            w->open[kept++] = w->open[i];
        else
            session_open_free(w->open[i]);
    w->open_n = kept;
}

void session_open_widen(ops_session_watch *w, int64_t window)
{
    if (w->mask == 0 || w->open_n >= OPEN_MAX / 4 || window - w->mask_w < WIDEN_WINDOWS)
        return;
    w->wider = w->mask;
    w->mask >>= 1;
    w->mask_w = window;
}

static size_t witnesses(const ops_session_watch *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->open_n; i++)
        n += w->open[i]->lines != NULL;
    return n;
}

static open_session *begin(ops_session_watch *w, uint64_t key, const ops_session_line *l)
{
    open_session *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->key = key;
    s->first_ns = l->time_ns;
    s->partial = l->window - w->mask_w <= MIDDLE_WINDOWS && (w->wider == 0 || !followed(key, w->wider));
    size_t room = w->ep.on ? WITNESSES_ODD : WITNESSES;
    if (w->phase == OPS_SESSION_WATCHING && witnesses(w) < room)
        s->lines = ops_calloc(EVENTS_MAX, sizeof *s->lines); /* without memory it is no witness */
    w->open[w->open_n++] = s;
    return s;
}

open_session *session_open_of(ops_session_watch *w, uint64_t key, const ops_session_line *l)
{
    for (size_t i = 0; i < w->open_n; i++)
        if (w->open[i]->key == key)
            return w->open[i];
    if (!followed(key, w->mask))
        return NULL;
    if (w->open_n == OPEN_MAX)
        narrow(w);
    return w->open_n < OPEN_MAX && followed(key, w->mask) ? begin(w, key, l) : NULL;
}

void session_open_push(ops_session_watch *w, open_session *s, const ops_session_line *l)
{
    (void)w;
    const uint32_t at = s->n++;
    s->ev[at] = l->event;
    s->failures |= (uint64_t)l->failure << at;
    s->last_ns = l->time_ns > s->last_ns ? l->time_ns : s->last_ns;
    if (s->lines == NULL)
        return;
    const size_t n = l->text.n < LINE_MAX ? l->text.n : LINE_MAX;
    s->lines[at] = (kept_line){.time_ns = l->time_ns,
                               .log_offset = l->log_offset,
                               .index = l->index,
                               .n = (uint32_t)n,
                               .text = ops_strndup(n > 0 ? l->text.p : "", n)};
}
