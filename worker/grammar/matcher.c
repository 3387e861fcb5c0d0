#include "worker/grammar/matcher.h"

#include "base/mem/alloc.h"
#include "worker/grammar/matcher_internal.h"

void ops_matcher_free(ops_matcher *m)
{
    if (m == NULL)
        return;
    ops_vec_done(&m->frames);
    ops_vec_done(&m->ways);
    ops_vec_done(&m->steps);
    ops_vec_done(&m->pending);
    ops_free(m);
}

static bool start(ops_matcher *m)
{
    ops_gm_set set;
    ops_gm_shrink(m, 0, m->frames.n > 0 ? 1 : 0);
    m->steps.n = 0;
    m->finished = m->full = m->out_of_memory = false;
    if (m->frames.n == 0 && !ops_vec_push(&m->frames, (ops_gm_frame){0}))
        return false;
    ops_gm_enter(m, m->g->starts.v[m->g->root], 0, &set);
    const ops_gm_step first = {(uint32_t)m->ways.n, (uint32_t)m->frames.n, set.complete};
    return ops_vec_push(&m->steps, first) && !m->out_of_memory;
}

ops_status ops_matcher_new(const ops_grammar *g, ops_matcher **ret, ops_err *reterr)
{
    OPS_AUTO(ops_matcher_free) ops_matcher *m = ops_calloc(1, sizeof *m);
    if (m != NULL)
        m->g = g;
    if (m == NULL || !start(m))
        return ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory for a matcher");
    *ret = OPS_STEAL(m);
    return OPS_OK;
}

void ops_matcher_restart(ops_matcher *m)
{
    (void)start(m); /* takes no more memory than it did the first time, which is still there */
}

/* Copies a vector's elements into an empty one. */
#define COPY(to, from)                                                                                       \
    __extension__({                                                                                          \
        (to)->v = (from)->n > 0 ? ops_memdup((from)->v, (from)->n * sizeof *(from)->v) : NULL;               \
        (to)->n = (to)->cap = (to)->v != NULL ? (from)->n : 0;                                               \
        (to)->n == (from)->n;                                                                                \
    })

ops_status ops_matcher_fork(const ops_matcher *m, ops_matcher **ret, ops_err *reterr)
{
    OPS_AUTO(ops_matcher_free) ops_matcher *f = ops_calloc(1, sizeof *f);
    if (f == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory for a matcher");
    f->g = m->g;
    f->finished = m->finished;
    memcpy(f->bucket, m->bucket, sizeof f->bucket);
    if (!COPY(&f->frames, &m->frames) || !COPY(&f->ways, &m->ways) || !COPY(&f->steps, &m->steps))
        return ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory for a matcher");
    *ret = OPS_STEAL(f);
    return OPS_OK;
}

bool ops_matcher_complete(const ops_matcher *m)
{
    return m->steps.v[m->steps.n - 1].complete;
}

bool ops_matcher_finished(const ops_matcher *m)
{
    return m->finished;
}

/* Frames that no way stands on any more go; those that stay keep their order, so a parent stays below its children. */
static void collect(ops_matcher *m)
{
    const size_t n = m->frames.n;
    m->pending.n = 0; /* lent: by old number, is it used, then its new number */
    for (size_t i = 0; i <= n; i++)
        if (!ops_vec_push(&m->pending, ((ops_gm_way){i == 0, 0})))
            return;
    ops_gm_way *use = m->pending.v;
    for (size_t i = 0; i < m->ways.n; i++)
        use[m->ways.v[i].frame].state = 1;
    for (size_t i = n; i-- > 1;)
        if (use[i].state != 0)
            use[m->frames.v[i].parent].state = 1;
    uint32_t left = 0;
    memset(m->bucket, 0, sizeof m->bucket);
    for (size_t i = 0; i < n; i++) {
        use[i].frame = left;
        if (use[i].state == 0)
            continue;
        ops_gm_frame f = m->frames.v[i];
        f.parent = use[f.parent].frame;
        m->frames.v[left] = f;
        if (left > 0)
            ops_gm_file(m, left);
        left++;
    }
    use[n].frame = left;
    m->frames.n = left;
    for (size_t i = 0; i < m->ways.n; i++)
        m->ways.v[i].frame = use[m->ways.v[i].frame].frame;
    for (size_t i = 0; i < m->steps.n; i++)
        m->steps.v[i].frames_end = use[m->steps.v[i].frames_end].frame;
    m->pending.n = 0;
}

/* Steps that can no longer be taken back go, many at a time, and then what they alone needed. */
static void forget(ops_matcher *m)
{
    if (m->steps.n < 4 * OPS_MATCHER_ROLLBACK_MAX)
        return;
    const size_t gone = m->steps.n - OPS_MATCHER_ROLLBACK_MAX - 1;
    const uint32_t ways = m->steps.v[gone - 1].ways_end;
    m->steps.n -= gone;
    m->ways.n -= ways;
    memmove(m->steps.v, m->steps.v + gone, m->steps.n * sizeof *m->steps.v);
    memmove(m->ways.v, m->ways.v + ways, m->ways.n * sizeof *m->ways.v);
    for (size_t i = 0; i < m->steps.n; i++)
        m->steps.v[i].ways_end -= ways;
    if (m->frames.n > OPS_GM_FRAMES_MANY)
        collect(m);
}

static ops_status push_step(ops_matcher *m, bool complete)
{
    const ops_gm_step now = {(uint32_t)m->ways.n, (uint32_t)m->frames.n, complete};
    return ops_vec_push(&m->steps, now) ? OPS_OK : OPS_ENOMEM;
}

static bool is_end(const ops_grammar_vocab *v, int32_t id)
{
    for (size_t i = 0; i < v->n_ends; i++)
        if (v->ends[i] == id)
            return true;
    return false;
}

/* The ways after one of the last step, over the token's bytes, without what lies between. */
static void follow(ops_matcher *m, ops_gm_way way, ops_slice bytes, ops_gm_set *ret)
{
    const uint32_t to = (uint32_t)m->ways.n;
    if (!ops_vec_push(&m->ways, way)) {
        m->out_of_memory = true;
        *ret = (ops_gm_set){to, to, false};
        return;
    }
    ops_gm_set set = {to, to + 1, false};
    size_t i = 0;
    for (; i < bytes.n && set.from < set.to; i++)
        ops_gm_step_byte(m, set, (uint8_t)bytes.p[i], &set);
    if (i < bytes.n)
        set.complete = false; /* it was, but more followed */
    const uint32_t n = set.to - set.from;
    memmove(m->ways.v + to, m->ways.v + set.from, n * sizeof *m->ways.v);
    m->ways.n = to + n;
    *ret = (ops_gm_set){to, to + n, set.complete};
}

/* Joins the ways of `more`, which lie at the end, to those before, each once and no more than are followed. */
static void join(ops_matcher *m, uint32_t from, ops_gm_set more)
{
    m->ways.n = more.from;
    for (uint32_t i = more.from; i < more.to; i++) {
        const ops_gm_way w = m->ways.v[i];
        bool known = m->ways.n - from >= OPS_MATCHER_WAYS_MAX;
        for (size_t k = from; k < m->ways.n && !known; k++)
            known = m->ways.v[k].state == w.state && m->ways.v[k].frame == w.frame;
        if (!known)
            m->ways.v[m->ways.n++] = w;
    }
}

static ops_status accept_bytes(ops_matcher *m, ops_slice bytes, ops_err *reterr)
{
    const ops_gm_set now = ops_gm_now(m);
    const size_t ways = m->ways.n, frames = m->frames.n;
    bool complete = false;
    m->out_of_memory = m->full = false;
    for (uint32_t i = now.from; i < now.to && !m->out_of_memory; i++) {
        ops_gm_set set;
        follow(m, m->ways.v[i], bytes, &set);
        complete = complete || set.complete;
        join(m, (uint32_t)ways, set);
    }
    ops_status st = OPS_OK;
    if (m->out_of_memory)
        st = ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory for a token");
    else if (m->ways.n == ways && !complete && m->full)
        st = ops_fail(reterr, OPS_ETOOBIG, "grammar: more than %d ways of reading a text, or %d frames",
                      OPS_MATCHER_WAYS_MAX, OPS_MATCHER_FRAMES_MAX);
    else if (m->ways.n == ways && !complete)
        st = ops_fail(reterr, OPS_EINVAL, "grammar: this token may not come here");
    else if (push_step(m, complete) != OPS_OK)
        st = ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory for a token");
    if (st != OPS_OK)
        ops_gm_shrink(m, ways, frames);
    return st;
}

ops_status ops_matcher_accept(ops_matcher *m, int32_t id, ops_err *reterr)
{
    const ops_grammar_vocab *v = m->g->v;
    if (m->finished || id < 0 || (size_t)id >= v->n)
        return ops_fail(reterr, OPS_EINVAL, "grammar: token %d %s", (int)id,
                        m->finished ? "after the end of the text" : "is not in the vocabulary");
    forget(m);
    if (is_end(v, id)) {
        if (!ops_matcher_complete(m))
            return ops_fail(reterr, OPS_EINVAL, "grammar: the text can not end here");
        if (push_step(m, true) != OPS_OK)
            return ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory for a token");
        m->finished = true;
        return OPS_OK;
    }
    const ops_slice bytes = ops_slice_of(v->text + v->at[id], v->at[id + 1] - v->at[id]);
    if (bytes.n == 0)
        return ops_fail(reterr, OPS_EINVAL, "grammar: token %d has no text", (int)id);
    return accept_bytes(m, bytes, reterr);
}

ops_status ops_matcher_rollback(ops_matcher *m, size_t n, ops_err *reterr)
{
    if (n >= m->steps.n || n > OPS_MATCHER_ROLLBACK_MAX)
        return ops_fail(reterr, OPS_ERANGE, "grammar: %zu tokens to take back, %zu are kept", n,
                        m->steps.n - 1 < OPS_MATCHER_ROLLBACK_MAX ? m->steps.n - 1
                                                                  : (size_t)OPS_MATCHER_ROLLBACK_MAX);
    if (n == 0)
        return OPS_OK;
    m->steps.n -= n;
    m->finished = false;
    ops_gm_shrink(m, m->steps.v[m->steps.n - 1].ways_end, m->steps.v[m->steps.n - 1].frames_end);
    return OPS_OK;
}

/* The only byte that any of the ways can read; -1: there are more. */
static int only_byte(const ops_matcher *m, ops_gm_set s)
{
    int byte = -1;
    for (uint32_t i = s.from; i < s.to; i++) {
        const ops_gr_state *st = &m->g->states.v[m->ways.v[i].state];
        const ops_gr_edge *e = &m->g->edges.v[st->edge_at];
        if (st->edges != 1 || e->lo != e->hi || (byte >= 0 && byte != e->lo))
            return -1;
        byte = e->lo;
    }
    return byte;
}

size_t ops_matcher_forced(ops_matcher *m, char *to, size_t max)
{
    const size_t ways = m->ways.n, frames = m->frames.n;
    ops_gm_set set = ops_gm_now(m);
    size_t n = 0;
    m->out_of_memory = m->full = false;
    while (n < max && !set.complete && !m->finished) {
        const int byte = only_byte(m, set);
        if (byte < 0)
            break;
        ops_gm_step_byte(m, set, (uint8_t)byte, &set);
        if (m->out_of_memory || m->full || (set.from == set.to && !set.complete))
            break;
        to[n++] = (char)byte;
    }
    ops_gm_shrink(m, ways, frames);
    return n;
}
