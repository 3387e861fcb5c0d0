/* The trained model beside the detectors: when one is asked for, which sessions go to it, and what becomes of its answers.
 *
 * A session is judged by the detectors when it ends, and that verdict stands. Its surprise comes back later, if at all, and
 * can only add: a session that no detector found odd, and that is odder in the norm of both than any of 499 normal ones, counts
 * from then on. So without a worker everything is as without this file. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/session/state.h"

enum {
    AGAIN_WINDOWS = 6,  /* before a training is asked for again */
    LATE_WINDOWS = 6,   /* a session whose surprise did not come by then goes without */
    LOST_WINDOWS = 120, /* a training that was not answered by then never will be */
    LEARN_LEAST = 32,
    SESSION_SEED = 1
};
/* As docs/decisions/0015 has it of the detectors among themselves. */
static const double exponent = 1.5, tail_least = 1, threshold_least = 1e-3;

void session_joined_init(joined *j)
{
    j->asked_w = -AGAIN_WINDOWS - TIME_LONG_AGO;
}

static void drop_waiting(joined *j, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        session_open_free(j->waiting[i]->session);
        ops_free(j->waiting[i]);
    }
    memmove(j->waiting + from, j->waiting + from + n, (j->waiting_n - from - n) * sizeof(waiting *));
    j->waiting_n -= n;
}

void session_joined_clear(joined *j)
{
    drop_waiting(j, 0, j->waiting_n);
    ops_free(j->model);
    j->model = NULL;
    j->hash[0] = '\0';
    j->model_n = j->out_n = 0;
    j->out = 0; /* an answer that is under way finds nobody */
    j->kinds = j->held_n = 0;
    j->held_max = 0;
    j->dirty = true;
}

void session_joined_done(joined *j)
{
    session_joined_clear(j);
    ops_vec_done(&j->ids);
    ops_vec_done(&j->lengths);
}

bool session_joined_judges(const joined *j)
{
    return j->model != NULL && j->held_n == SESSION_HELD;
}

void session_joined_told(joined *j)
{
    if (j->held_n == SESSION_HELD)
        return;
    j->held_n = 0; /* odd sessions were among them */
    j->held_max = 0;
    j->state_dirty = true;
}

static size_t with_lines(const joined *j)
{
    size_t n = 0;
    for (size_t i = 0; i < j->waiting_n; i++)
        n += j->waiting[i]->session->lines != NULL;
    return n;
}

bool session_joined_take(ops_session_watch *w, open_session *take_s, double score, bool odd, bool held)
{
    joined *j = &w->joined;
    if (j->model == NULL || j->waiting_n == WAITING_MAX || take_s->n == 0)
        return false;
    waiting *x = ops_calloc(1, sizeof *x);
    if (x == NULL)
        return false;
    if (take_s->lines != NULL && with_lines(j) >= WITNESSES_ODD) {
        session_lines_done(take_s->lines, EVENTS_MAX);
        ops_free(take_s->lines);
        take_s->lines = NULL;
    }
    *x = (waiting){.session = take_s, .score = score, .odd = odd, .held = held, .judged_w = w->now_w};
    j->waiting[j->waiting_n++] = x;
    return true;
}

void session_joined_close(ops_session_watch *w, int64_t window)
{
    joined *j = &w->joined;
    size_t late = 0;
    w->now_w = window;
    while (late < j->waiting_n && window - j->waiting[late]->judged_w > LATE_WINDOWS)
        late++; /* in the order in which they ended */
    if (late > 0 && j->out_n > 0) {
        j->out_n = 0; /* whatever comes yet comes too late */
        j->out = 0;
    }
    drop_waiting(j, 0, late);
    if (j->out != 0 && j->out_n == 0 && window - j->asked_w > LOST_WINDOWS)
        j->out = 0;
}

/* --- what a worker is wanted for --- */

static bool training_due(const ops_session_watch *w)
{
    const joined *j = &w->joined;
    return j->model == NULL && (w->phase == OPS_SESSION_PROVING || w->phase == OPS_SESSION_WATCHING) &&
           session_learnt_n(&w->learnt) >= LEARN_LEAST && w->now_w - j->asked_w >= AGAIN_WINDOWS;
}

static bool put_learnt(ops_session_watch *w)
{
    joined *j = &w->joined;
    const learnt *l = &w->learnt;
    for (size_t i = 0; i < l->ends.n; i++) {
        const uint32_t from = i == 0 ? 0 : l->ends.v[i - 1], n = l->ends.v[i] - from;
        if (n == 0)
            continue; /* of kinds that found no place only */
        for (uint32_t k = 0; k < n; k++)
            if (!ops_vec_push(&j->ids, (uint32_t)l->pool.v[from + k]))
                return false;
        if (!ops_vec_push(&j->lengths, n))
            return false;
    }
    return j->lengths.n >= LEARN_LEAST;
}

/* The numbers of one that waits; what is unknown, and yet was looked at for it speaks of failure, has none. */
static bool put_waiting(ops_session_watch *w, const waiting *x, const ops_session_view *view)
{
    joined *j = &w->joined;
    uint8_t at[EVENTS_MAX + 1];
    bool fresh = false;
    if (!session_known_kinds(w, x->session, view, at, &fresh) || w->ids.n == 0)
        return false;
    const size_t before = j->ids.n;
    bool ok = true;
    for (size_t i = 0; ok && i < w->ids.n; i++) {
        const size_t place = session_kind(&w->learnt, w->ids.v[i], false);
        ok = ops_vec_push(&j->ids, place < j->kinds ? (uint32_t)place : j->kinds);
    }
    ok = ok && ops_vec_push(&j->lengths, (uint32_t)w->ids.n);
    j->ids.n = ok ? j->ids.n : before;
    return ok;
}

static void hand_out(joined *j, ops_session_work *ret)
{
    j->out = ++j->tickets;
    ret->ticket = j->out;
    ret->ids = j->ids.v;
    ret->id_n = j->ids.n;
    ret->lengths = j->lengths.v;
    ret->n = j->lengths.n;
}

bool ops_session_watch_work(ops_session_watch *w, const ops_session_view *view, ops_session_work *ret)
{
    joined *j = &w->joined;
    if (j->out != 0 || view->folds != w->folds)
        return false;
    j->ids.n = j->lengths.n = 0;
    if (training_due(w)) {
        j->asked_w = w->now_w;
        if (!put_learnt(w))
            return false;
        *ret = (ops_session_work){.train = true, .kinds = (uint32_t)w->learnt.kinds.n, .seed = SESSION_SEED};
        hand_out(j, ret);
        j->out_kinds = ret->kinds;
        return true;
    }
    if (j->model == NULL || j->waiting_n == 0)
        return false;
    for (size_t i = 0; i < j->waiting_n;)
        if (put_waiting(w, j->waiting[i], view))
            i++;
        else
            drop_waiting(j, i, 1); /* nothing in it that the model could look at */
    if (j->waiting_n == 0)
        return false;
    *ret = (ops_session_work){.kinds = j->kinds,
                              .model_hash = ops_slice_str(j->hash),
                              .model = ops_slice_of(j->model, j->model_n),
                              .allowance = j->allowance};
    hand_out(j, ret);
    j->out_n = j->waiting_n;
    return true;
}

/* --- what comes back --- */

static bool sane(double x)
{
    return isfinite(x) && x >= 0 && x < 1e9;
}

static ops_status take_model(ops_session_watch *w, const ops_session_answer *a)
{
    joined *j = &w->joined;
    bool good = a->model.n > 0 && a->model.n <= OPS_SESSION_MODEL_MAX && a->model_hash.n > 0 &&
                a->model_hash.n < OPS_SESSION_HASH_MAX && a->tail_n > 0 && sane(a->allowance);
    for (size_t i = 0; good && i < a->tail_n; i++)
        good = sane(a->tail[i]) && (i == 0 || a->tail[i] <= a->tail[i - 1]);
    for (size_t i = 0; good && i < a->model_hash.n; i++)
        good = strchr("0123456789abcdef", a->model_hash.p[i]) != NULL && a->model_hash.p[i] != '\0';
    if (!good)
        return OPS_EINVAL;
    char *copy = ops_memdup(a->model.p, a->model.n);
    if (copy == NULL)
        return OPS_ENOMEM;
    const uint32_t kinds = j->out_kinds;
    session_joined_clear(j);
    j->model = copy;
    j->model_n = a->model.n;
    (void)snprintf(j->hash, sizeof j->hash, OPS_SLICE_FMT, OPS_SLICE_ARG(a->model_hash));
    j->kinds = kinds;
    j->allowance = a->allowance;
    j->tail = a->tail[0] > tail_least ? a->tail[0] : tail_least;
    return OPS_OK;
}

static bool fits(const joined *j, const ops_session_surprise *s, uint32_t length)
{
    bool good = sane(s->surprise) && s->place <= length && s->seen >= 0 && s->seen <= 1 &&
                s->expected_n <= OPS_SESSION_EXPECTED_MAX;
    for (uint32_t i = 0; good && i < s->expected_n; i++)
        good = s->expected[i] <= j->kinds + 1 && s->expected[i] != j->kinds && s->chance[i] >= 0 &&
               s->chance[i] <= 1;
    return good;
}

/* In units of what one normal session in 500 reaches in either. */
static double norm(const ops_session_watch *w, double score, double surprise)
{
    ops_sequence_info info;
    ops_sequence_get_info(w->model, &info);
    const double threshold = info.threshold > threshold_least ? info.threshold : threshold_least;
    return pow(pow(score / threshold, exponent) + pow(surprise / w->joined.tail, exponent), 1 / exponent);
}

/* One more odd session of a window that is counted already: what was judged then goes with it. */
static void count_late(ops_session_watch *w, const waiting *x)
{
    episode *ep = &w->ep;
    w->late_odd++;
    if (ep->windows > 0 && x->judged_w >= ep->start_w)
        return; /* it is among the episode's */
    ep->judged++;
    w->judged -= w->judged >= 1;
}

static void join(ops_session_watch *w, const waiting *x, const ops_session_surprise *s, double value,
                 const ops_session_view *view)
{
    uint8_t at[EVENTS_MAX + 1];
    bool fresh = false;
    const bool odd = session_joined_judges(&w->joined) && value > w->joined.held_max;
    if ((!odd && !x->odd) || !session_known_kinds(w, x->session, view, at, &fresh) || s->place > w->ids.n)
        return;
    const bool says = session_joined_says(s);
    if ((!says && x->odd) || !session_joined_words(w, s, view))
        return;
    const ops_slice words = session_words_cut(ops_strbuf_get(&w->text));
    if (!x->odd) {
        session_episode_odd(w, x->session, view, x->score, at[s->place], words);
        count_late(w, x);
    }
    if (says)
        session_episode_reword(w, x->session, view, x->score, at[s->place], words);
}

static ops_status take_scores(ops_session_watch *w, const ops_session_answer *a, const ops_session_view *view)
{
    joined *j = &w->joined;
    bool good = a->n == j->out_n && w->model != NULL;
    for (size_t i = 0; good && i < a->n; i++)
        good = fits(j, &a->scores[i], j->lengths.v[i]);
    for (size_t i = 0; good && i < a->n; i++) {
        const waiting *x = j->waiting[i];
        const double value = norm(w, x->score, a->scores[i].surprise);
        join(w, x, &a->scores[i], value, view);
        if (!x->held || j->held_n == SESSION_HELD || (w->ep.on && w->ep.told))
            continue;
        j->held_n++;
        j->held_max = value > j->held_max ? value : j->held_max;
        j->state_dirty = true;
    }
    drop_waiting(j, 0, j->out_n);
    return good ? OPS_OK : OPS_EINVAL;
}

ops_status ops_session_watch_answer(ops_session_watch *w, uint64_t ticket, const ops_session_answer *a,
                                    const ops_session_view *view)
{
    joined *j = &w->joined;
    if (ticket == 0 || ticket != j->out)
        return OPS_ENOTFOUND;
    const bool train = j->out_n == 0;
    ops_status st = OPS_OK;
    j->out = 0;
    w->dirty = true;
    if (a != NULL && view->folds == w->folds)
        st = train ? take_model(w, a) : take_scores(w, a, view);
    else if (a != NULL)
        st = OPS_ENOTFOUND; /* kinds became one since: it is of another stream's shape */
    else
        drop_waiting(j, 0, j->out_n);
    if (st == OPS_ENOTFOUND)
        drop_waiting(j, 0, j->out_n);
    j->out_n = 0;
    return st;
}
