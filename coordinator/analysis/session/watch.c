/* Phases of a watch, and what becomes of a session that ended. */
#include "coordinator/analysis/session/watch.h"

#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/session/state.h"

enum {
    LOOK_WINDOWS = 6,
    SOON_WINDOWS = 30, /* with many sessions */
    LATE_WINDOWS = 180,
    LEARN_MANY = 200,
    LEARN_FEW = 60,
    PROVE_MANY = 100,
    PROVE_FEW = 30,
    CUT_LEARN_WINDOWS = 90, /* sessions that are windows */
    CUT_PROVE_WINDOWS = 60,
    CUT_MIN = 40,
    LONGER_MAX = 16,
    GAP_WINDOWS = 6,
    UNTOLD_WINDOWS = 60,   /* the longest that an episode waits to be told */
    LASTING_WINDOWS = 180, /* after which what was told is how it is now */
    REMEMBERED = 4096,
    RECENT_MIN = 20
};
static const double odd_max = 1.0 / 20, fresh_max = 1.0 / 4, forget = 1.0 / 180;

ops_status ops_session_watch_new(int64_t window, ops_session_watch **ret, ops_err *reterr)
{
    OPS_AUTO(ops_session_watch_free) ops_session_watch *w = ops_calloc(1, sizeof *w);
    if (w == NULL || !session_learnt_init(&w->learnt))
        return ops_fail(reterr, OPS_ENOMEM, "watching the sessions of a stream");
    w->phase_w = w->mask_w = window;
    w->longer = 1;
    w->dirty = true;
    w->now_w = window;
    session_joined_init(&w->joined);
    ops_strbuf_init(&w->text, 1 << 20);
    *ret = OPS_STEAL(w);
    return OPS_OK;
}

void ops_session_watch_free(ops_session_watch *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->open_n; i++)
        session_open_free(w->open[i]);
    for (size_t i = 0; i < CHUNKS; i++)
        ops_free(w->chunk[i]);
    session_episode_clear(w);
    session_joined_done(&w->joined);
    session_learnt_done(&w->learnt);
    ops_sequence_free(w->model);
    ops_strbuf_done(&w->text);
    ops_vec_done(&w->ids);
    ops_free(w);
}

static bool holds(const open_session *s, uint64_t event)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->ev[i] == event)
            return true;
    return false;
}

void ops_session_watch_add(ops_session_watch *w, const ops_session_line *l)
{
    w->dirty = true;
    w->lines++;
    w->keyed_lines += l->key != 0;
    if (w->phase == OPS_SESSION_LOOKING || (w->keyed && l->key == 0))
        return;
    open_session *s = session_open_of(w, w->keyed ? l->key : (uint64_t)l->window + 1, l);
    if (s == NULL)
        return;
    s->last_w = l->window > s->last_w ? l->window : s->last_w;
    s->lines_n += s->lines_n < UINT32_MAX;
    if (s->n == EVENTS_MAX || (!w->keyed && holds(s, l->event)))
        return;
    session_open_push(w, s, l);
    if (s->n == EVENTS_MAX && w->keyed) {
        s->ended = true;
        s->key = 0; /* its next line begins another */
    }
}

static void begin_phase(ops_session_watch *w, ops_session_phase phase, int64_t window)
{
    w->phase = phase;
    w->phase_w = window;
    w->judged = w->odd = w->recent = w->recent_fresh = 0;
    w->peak = 0;
    session_episode_clear(w);
}

static void learn_anew(ops_session_watch *w, int64_t window)
{
    session_learnt_clear(&w->learnt);
    session_joined_clear(&w->joined);
    ops_sequence_free(w->model);
    w->model = NULL;
    begin_phase(w, OPS_SESSION_LEARNING, window);
}

static double usual_share(const ops_session_watch *w)
{
    const double least = 1.0 / ((double)session_learnt_n(&w->learnt) + 1);
    const double one = least > OPS_SEQUENCE_FALSE_ALARMS ? least : OPS_SEQUENCE_FALSE_ALARMS;
    const double promised = one + (session_joined_judges(&w->joined) ? OPS_SEQUENCE_FALSE_ALARMS : 0);
    return (w->odd + 1) / (w->judged + 1 / promised);
}

bool session_known_kinds(ops_session_watch *w, const open_session *s, const ops_session_view *view,
                         uint8_t at[EVENTS_MAX + 1], bool *ret_fresh)
{
    w->ids.n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const uint64_t kind = view->resolve(view->u, s->ev[i]);
        const size_t place = session_kind(&w->learnt, kind, false);
        const bool known = place != SIZE_MAX, failure = (s->failures >> i & 1) != 0;
        *ret_fresh |= !known && !failure;
        if (known ? !session_kind_used(&w->learnt, place) : !failure)
            continue;
        at[w->ids.n] = (uint8_t)i;
        if (!ops_vec_push(&w->ids, kind))
            return false;
    }
    at[w->ids.n] = (uint8_t)s->n;
    return true;
}

/* Counts an odd session in, with words. False without memory for these. */
static bool note_odd(ops_session_watch *w, const open_session *s, const ops_session_view *view, double score,
                     size_t place)
{
    ops_session_view names = *view;
    ops_strbuf_clear(&w->text);
    if (ops_sequence_explain(w->model, w->ids.v, w->ids.n, session_name_of, &names, &w->text, NULL) != OPS_OK)
        return false;
    if (w->text.n == 0)
        ops_strbuf_str(&w->text, "lines not in their usual number or order");
    w->w_odd++;
    session_episode_odd(w, s, view, score, place, session_words_cut(ops_strbuf_get(&w->text)));
    return true;
}

/* True: the session was taken, to be looked at by the trained model too. */
static bool judge(ops_session_watch *w, open_session *s, const ops_session_view *view)
{
    uint8_t at[EVENTS_MAX + 1];
    bool fresh = false;
    ops_sequence_verdict v;
    if (w->model == NULL && (w->model = session_learnt_fit(&w->learnt)) == NULL)
        return false;
    if (!session_known_kinds(w, s, view, at, &fresh) ||
        ops_sequence_judge(w->model, w->ids.v, w->ids.n, &v, NULL) != OPS_OK)
        return false;
    w->w_judged++;
    w->w_fresh += fresh;
    if (fresh) /* where kinds are new, others may be gone for them: a change */
        return false;
    if (v.anomalous && !note_odd(w, s, view, v.score, at[v.place]))
        return false;
    return session_joined_take(w, s, v.score, v.anomalous, v.new_kinds == 0 && !view->ill);
}

static void learn(ops_session_watch *w, const open_session *s, const ops_session_view *view)
{
    uint64_t kinds[EVENTS_MAX];
    for (uint32_t i = 0; i < s->n; i++)
        kinds[i] = view->resolve(view->u, s->ev[i]);
    learnt *l = &w->learnt;
    l->low = l->high == 0 || s->lines_n < l->low ? s->lines_n : l->low;
    l->high = s->lines_n > l->high ? s->lines_n : l->high;
    (void)session_learn(l, kinds, s->n);
}

/* With a load that was never learnt a window holds other kinds of line, and nothing is known of that. */
static bool another_load(const ops_session_watch *w, const open_session *s)
{
    return !w->keyed && (s->lines_n < w->learnt.low || s->lines_n > w->learnt.high);
}

static void end_sessions(ops_session_watch *w, int64_t window, const ops_session_view *view)
{
    size_t kept = 0;
    w->w_judged = w->w_odd = w->w_fresh = 0;
    for (size_t i = 0; i < w->open_n; i++) {
        open_session *s = w->open[i];
        if (!s->ended && (w->keyed ? s->last_w >= window : s->last_w > window)) {
            w->open[kept++] = s;
            continue;
        }
        const bool looked_at = !s->partial && (w->phase == OPS_SESSION_WATCHING || !view->ill);
        if (looked_at && w->phase == OPS_SESSION_LEARNING)
            learn(w, s, view);
        else if (looked_at && !another_load(w, s) && judge(w, s, view))
            continue;
        session_open_free(s);
    }
    w->open_n = kept;
}

static void end_episode(ops_session_watch *w)
{
    if (!w->ep.told) {
        w->judged += (double)w->ep.judged;
        w->odd += (double)w->ep.odd;
        w->peak = w->ep.odd > w->peak ? (uint32_t)w->ep.odd : w->peak;
    }
    session_episode_clear(w);
}

static void count(ops_session_watch *w, int64_t window, bool ill)
{
    episode *ep = &w->ep;
    if (ep->on && ep->windows == 0)
        ep->start_w = window;
    const bool any = w->w_odd > 0 || w->late_odd > 0;
    w->late_odd = 0;
    if (ep->on) {
        ep->judged += w->w_judged;
        ep->windows += any;
        ep->odd_w = any ? window : ep->odd_w;
    } else if (!ill) {
        w->judged += w->w_judged;
    }
    if (w->judged > REMEMBERED) {
        w->judged /= 2;
        w->odd /= 2;
        w->peak -= w->peak / 8;
    }
    w->recent += w->w_judged - forget * w->recent;
    w->recent_fresh += w->w_fresh - forget * w->recent_fresh;
}

/* The stream is not any more what was learnt. */
static bool outlived(const ops_session_watch *w, int64_t window)
{
    return (w->ep.told && window - w->ep.start_w > LASTING_WINDOWS) ||
           (w->recent >= RECENT_MIN && w->recent_fresh > fresh_max * w->recent) ||
           (w->judged >= PROVE_MANY && w->odd > odd_max * w->judged);
}

static bool enough_learnt(const ops_session_watch *w, int64_t age)
{
    const size_t n = session_learnt_n(&w->learnt);
    if (!w->keyed)
        return n >= LEARN_FEW && age >= CUT_LEARN_WINDOWS * (int64_t)w->longer;
    return (n >= LEARN_MANY && age >= SOON_WINDOWS * (int64_t)w->longer) ||
           (n >= LEARN_FEW && age >= LATE_WINDOWS * (int64_t)w->longer);
}

static bool enough_proved(const ops_session_watch *w, int64_t age)
{
    const double n = w->judged + (double)w->ep.judged;
    if (!w->keyed)
        return n >= CUT_MIN && age >= CUT_PROVE_WINDOWS;
    return (n >= PROVE_MANY && age >= SOON_WINDOWS) || (n >= PROVE_FEW && age >= LATE_WINDOWS);
}

static void prove(ops_session_watch *w, int64_t window)
{
    if (!enough_proved(w, window - w->phase_w))
        return;
    if (w->ep.on)
        end_episode(w);
    if (w->odd > odd_max * w->judged) {
        w->longer = w->longer * 2 < LONGER_MAX ? w->longer * 2 : LONGER_MAX;
        learn_anew(w, window);
        return;
    }
    w->phase = OPS_SESSION_WATCHING;
    w->phase_w = window;
}

static bool watch(ops_session_watch *w, int64_t window, ops_session_odd *ret)
{
    double p;
    const double share = usual_share(w);
    if (outlived(w, window)) {
        learn_anew(w, window);
        return false;
    }
    if (!session_episode_due(w, window, share, &p))
        return false;
    session_episode_tell(w, window, share, p, ret);
    session_joined_told(&w->joined);
    return true;
}

static void look(ops_session_watch *w, int64_t window)
{
    if (window - w->phase_w < LOOK_WINDOWS)
        return;
    w->keyed = w->keyed_lines * 4 >= w->lines;
    w->mask_w = window; /* what is under way began before */
    begin_phase(w, OPS_SESSION_LEARNING, window);
}

bool ops_session_watch_close(ops_session_watch *w, int64_t window, const ops_session_view *view,
                             ops_session_odd *ret)
{
    w->dirty = true;
    if (w->phase == OPS_SESSION_LOOKING) {
        look(w, window);
        return false;
    }
    if (view->folds != w->folds) {
        w->folds = view->folds;
        if (session_learnt_refold(&w->learnt, view)) {
            session_joined_clear(&w->joined);
            ops_sequence_free(w->model);
            w->model = NULL;
        }
    }
    session_joined_close(w, window);
    end_sessions(w, window, view);
    session_open_widen(w, window);
    if (w->phase == OPS_SESSION_LEARNING) {
        if (enough_learnt(w, window - w->phase_w))
            begin_phase(w, OPS_SESSION_PROVING, window);
        return false;
    }
    count(w, window, view->ill);
    if (w->phase == OPS_SESSION_PROVING)
        prove(w, window);
    else if (watch(w, window, ret))
        return true;
    const episode *ep = &w->ep;
    if (ep->on &&
        (window - ep->odd_w >= GAP_WINDOWS || (!ep->told && window - ep->start_w >= UNTOLD_WINDOWS)))
        end_episode(w);
    return false;
}

void ops_session_watch_info(const ops_session_watch *w, ops_session_info *ret)
{
    *ret = (ops_session_info){.phase = w->phase,
                              .keyed = w->keyed,
                              .open = w->open_n,
                              .learnt = session_learnt_n(&w->learnt),
                              .kinds = w->learnt.kinds.n,
                              .share = usual_share(w),
                              .trained = w->joined.model != NULL,
                              .joined = session_joined_judges(&w->joined)};
}
