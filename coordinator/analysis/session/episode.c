/* Odd sessions near each other in time: what is kept of them, and when they are too many to be chance. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/detect/counts.h"
#include "coordinator/analysis/session/state.h"

enum { ODD_MIN = 3, WINDOWS_MIN = 2, RETELL_WINDOWS = 6, BEFORE_PLACE = 3 };
static const int64_t span_ns = 10 * (int64_t)1000000000;
static const double told_p = 1e-6;
/* The usual share is an estimate, and odd sessions of normal traffic come in bunches. */
static const double doubt = 2;
/* An episode begins at an odd session, which is its own choice of a moment. */
static const double begins = 20;

void session_episode_clear(ops_session_watch *w)
{
    ops_free(w->ep.words);
    session_lines_done(w->ep.line, OPS_SESSION_EVIDENCE_MAX);
    w->ep = (episode){0};
}

/* Lines of the session around its odd place; a session that was no witness lends nothing. */
static void keep_lines(episode *ep, const open_session *s, const ops_session_view *view, size_t place)
{
    const size_t from = place > BEFORE_PLACE ? place - BEFORE_PLACE : 0;
    session_lines_done(ep->line, OPS_SESSION_EVIDENCE_MAX);
    ep->line_n = 0;
    for (size_t i = from; i < s->n && ep->line_n < OPS_SESSION_EVIDENCE_MAX; i++)
        if (s->lines[i].text != NULL && session_line_copy(&s->lines[i], &ep->line[ep->line_n]))
            ep->line_event[ep->line_n++] = view->resolve(view->u, s->ev[i]);
    ep->witnessed = ep->line_n > 0;
}

/* False without memory: the words stay as they were. */
static bool put_words(episode *ep, const open_session *s, const ops_session_view *view, double score,
                      size_t place, ops_slice words)
{
    char *copy = ops_strndup(words.n > 0 ? words.p : "", words.n);
    if (copy == NULL)
        return false;
    ops_free(ep->words);
    ep->words = copy;
    ep->words_n = (uint32_t)words.n;
    ep->oddest = score;
    ep->event_n = 0;
    if (place < s->n)
        ep->events[ep->event_n++] = view->resolve(view->u, s->ev[place]);
    if (place > 0)
        ep->events[ep->event_n++] = view->resolve(view->u, s->ev[place - 1]);
    return true;
}

void session_episode_odd(ops_session_watch *w, const open_session *s, const ops_session_view *view,
                         double score, size_t place, ops_slice words)
{
    episode *ep = &w->ep;
    if (!ep->on) {
        session_episode_clear(w); /* a loaded one that is not on may hold an empty text */
        *ep = (episode){.on = true, .start_ns = s->first_ns, .last_ns = s->last_ns};
    }
    ep->start_ns = s->first_ns < ep->start_ns ? s->first_ns : ep->start_ns;
    ep->last_ns = s->last_ns > ep->last_ns ? s->last_ns : ep->last_ns;
    ep->odd++;
    if (s->lines != NULL && !ep->witnessed)
        keep_lines(ep, s, view, place);
    if (ep->words == NULL || (score > ep->oddest && !ep->by_model))
        (void)put_words(ep, s, view, score, place, words);
}

void session_episode_reword(ops_session_watch *w, const open_session *s, const ops_session_view *view,
                            double score, size_t place, ops_slice words)
{
    episode *ep = &w->ep;
    if (ep->on && (!ep->by_model || score > ep->oddest) && put_words(ep, s, view, score, place, words))
        ep->by_model = true;
}

bool session_episode_due(const ops_session_watch *w, int64_t window, double share, double *ret_p)
{
    const episode *ep = &w->ep;
    if (!ep->on || ep->odd < ODD_MIN || ep->windows < WINDOWS_MIN || ep->last_ns - ep->start_ns < span_ns ||
        ep->odd < 2 * (uint64_t)w->peak + ODD_MIN || (ep->told && window - ep->told_w < RETELL_WINDOWS))
        return false;
    const double usual = share * doubt < 0.5 ? share * doubt : 0.5;
    const double p = begins * ops_counts_binomial_upper((double)ep->odd, (double)ep->judged, usual);
    *ret_p = p < OPS_P_FLOOR ? OPS_P_FLOOR : p;
    return p <= told_p;
}

void session_episode_tell(ops_session_watch *w, int64_t window, double share, double p, ops_session_odd *ret)
{
    episode *ep = &w->ep;
    ep->told = true;
    ep->told_w = window;
    *ret = (ops_session_odd){.odd = ep->odd,
                             .judged = ep->judged,
                             .share = share,
                             .p_value = p,
                             .words = ops_slice_of(ep->words, ep->words_n),
                             .start_ns = ep->start_ns,
                             .last_ns = ep->last_ns,
                             .events = {ep->events[0], ep->events[1]},
                             .event_n = ep->event_n,
                             .keyed = w->keyed,
                             .evidence_n = ep->line_n};
    for (size_t i = 0; i < ep->line_n; i++)
        ret->evidence[i] = (ops_session_evidence){.event = ep->line_event[i],
                                                  .log_offset = ep->line[i].log_offset,
                                                  .time_ns = ep->line[i].time_ns,
                                                  .index = ep->line[i].index,
                                                  .text = ops_slice_of(ep->line[i].text, ep->line[i].n)};
}
