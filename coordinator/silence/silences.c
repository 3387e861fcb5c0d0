#include "coordinator/silence/silences.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/coll/vec.h"
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "base/text/utf8.h"

#define NS 1000000000ll
enum { BODY_MAX = 64 << 10, ID_MAX = 32 };

typedef struct entry {
    Ops__V1__Silence *m;
    ops_matchers *matchers;
} entry;

struct ops_silences {
    ops_repo *repo;
    ops_clock *clock;
    pthread_mutex_t lock; /* what follows, and the matchers' working memory */
    OPS_VEC(entry) v;
    ops_window windows[OPS_WINDOWS_MAX];
    size_t window_count;
};

static void entry_done(entry *e)
{
    if (e->m != NULL)
        ops__v1__silence__free_unpacked(e->m, NULL);
    ops_matchers_free(e->matchers);
}

static ops_status entry_of(ops_slice body, entry *ret, ops_err *reterr)
{
    ops_slice texts[OPS_MATCHERS_MAX];
    entry e = {.m = ops__v1__silence__unpack(NULL, body.n, (const uint8_t *)body.p)};
    if (e.m == NULL || e.m->n_matchers > OPS_MATCHERS_MAX) {
        entry_done(&e);
        return ops_fail(reterr, OPS_ECORRUPT, "a stored silence of %zu bytes does not read", body.n);
    }
    for (size_t i = 0; i < e.m->n_matchers; i++)
        texts[i] = ops_slice_str(e.m->matchers[i]);
    ops_status st = ops_matchers_new(texts, e.m->n_matchers, &e.matchers, reterr);
    if (st == OPS_OK)
        *ret = e;
    else
        entry_done(&e);
    return st;
}

static ops_status load_one(void *u, ops_slice tenant, ops_slice id, ops_slice body, ops_err *reterr)
{
    ops_silences *s = u;
    entry e;
    (void)tenant;
    ops_status st = entry_of(body, &e, reterr);
    if (st == OPS_OK && !ops_vec_push(&s->v, e)) {
        entry_done(&e);
        st = ops_fail(reterr, OPS_ENOMEM, "silences");
    }
    if (st != OPS_OK)
        ops_err_prefix(reterr, "silence " OPS_SLICE_FMT, OPS_SLICE_ARG(id));
    return st;
}

ops_status ops_silences_new(ops_repo *repo, ops_clock *clock, ops_window *windows, size_t window_count,
                            ops_silences **ret, ops_err *reterr)
{
    if (window_count > OPS_WINDOWS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu windows, at most %d", window_count, OPS_WINDOWS_MAX);
    ops_silences *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "silences");
    s->repo = repo;
    s->clock = clock != NULL ? clock : ops_clock_system();
    (void)pthread_mutex_init(&s->lock, NULL);
    ops_status st = ops_repo_silences_scan(repo, load_one, s, reterr);
    if (st != OPS_OK) {
        ops_silences_free(s);
        return st;
    }
    for (size_t i = 0; i < window_count; i++) {
        s->windows[i] = windows[i];
        windows[i] = (ops_window){.days = 0};
    }
    s->window_count = window_count;
    *ret = s;
    return OPS_OK;
}

void ops_silences_free(ops_silences *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->v.n; i++)
        entry_done(&s->v.v[i]);
    ops_vec_done(&s->v);
    for (size_t i = 0; i < s->window_count; i++)
        ops_window_done(&s->windows[i]);
    (void)pthread_mutex_destroy(&s->lock);
    ops_free(s);
}

static Ops__V1__SilenceState state_of(int64_t start_ns, int64_t end_ns, int64_t now_ns)
{
    if (now_ns >= end_ns)
        return OPS__V1__SILENCE_STATE__SILENCE_STATE_EXPIRED;
    return now_ns < start_ns ? OPS__V1__SILENCE_STATE__SILENCE_STATE_PENDING
                             : OPS__V1__SILENCE_STATE__SILENCE_STATE_ACTIVE;
}

static bool of_tenant(const entry *e, ops_slice tenant)
{
    return ops_slice_eq(ops_slice_str(e->m->tenant), tenant);
}

static entry *find(ops_silences *s, ops_slice tenant, ops_slice id)
{
    for (size_t i = 0; i < s->v.n; i++)
        if (of_tenant(&s->v.v[i], tenant) && ops_slice_eq(ops_slice_str(s->v.v[i].m->id), id))
            return &s->v.v[i];
    return NULL;
}

static ops_status check(const Ops__V1__CreateSilenceRequest *q, int64_t start_ns, int64_t now_ns,
                        ops_err *reterr)
{
    const size_t comment = strlen(q->comment);
    if (start_ns < 0 || q->end_time_unix_nano <= start_ns)
        return ops_fail(reterr, OPS_EINVAL, "end_time_unix_nano: must be after the start");
    if (q->end_time_unix_nano <= now_ns)
        return ops_fail(reterr, OPS_EINVAL, "end_time_unix_nano: is over already");
    if (q->end_time_unix_nano - now_ns > OPS_SILENCE_LONGEST_S * NS)
        return ops_fail(reterr, OPS_EINVAL, "end_time_unix_nano: is more than a year away");
    if (comment == 0 || comment > OPS_SILENCE_COMMENT_MAX || !ops_utf8_valid(ops_slice_str(q->comment)))
        return ops_fail(reterr, OPS_EINVAL, "comment: 1 to %d bytes of UTF-8 are expected",
                        OPS_SILENCE_COMMENT_MAX);
    return OPS_OK;
}

/* What ended long ago makes room; in the store too. */
static void purge(ops_silences *s, int64_t now_ns)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->v.n; i++) {
        entry *e = &s->v.v[i];
        ops_err err = {0};
        if (now_ns - e->m->end_time_unix_nano > OPS_SILENCE_KEEP_S * NS) {
            if (ops_repo_silence_put(s->repo, ops_slice_str(e->m->tenant), ops_slice_str(e->m->id),
                                     (ops_slice){0}, &err) == OPS_OK) {
                entry_done(e);
                continue;
            }
            OPS_LOG(OPS_LOG_WARN, "silence_not_removed", OPS_KV_STR("why", err.msg));
        }
        s->v.v[kept++] = *e;
    }
    s->v.n = kept;
}

static ops_status room(ops_silences *s, ops_slice tenant, int64_t now_ns, ops_err *reterr)
{
    size_t live = 0;
    purge(s, now_ns);
    for (size_t i = 0; i < s->v.n; i++)
        live += of_tenant(&s->v.v[i], tenant) && s->v.v[i].m->end_time_unix_nano > now_ns;
    if (live >= OPS_SILENCES_TENANT_MAX)
        return ops_fail(reterr, OPS_EAGAIN, "%zu silences hold or wait; expire some first", live);
    if (s->v.n >= OPS_SILENCES_ALL_MAX)
        return ops_fail(reterr, OPS_EAGAIN, "%zu silences are kept, no more fit", s->v.n);
    return OPS_OK;
}

static ops_status write_entry(ops_silences *s, const Ops__V1__Silence *m, entry *ret, ops_err *reterr)
{
    const size_t n = ops__v1__silence__get_packed_size(m);
    ops_strbuf b;
    ops_strbuf_init(&b, BODY_MAX);
    char *to = ops_strbuf_room(&b, n);
    if (to == NULL)
        return ops_fail(reterr, n > BODY_MAX ? OPS_EINVAL : OPS_ENOMEM, "matchers: a silence of %zu bytes",
                        n);
    b.n = ops__v1__silence__pack(m, (uint8_t *)to);
    ops_status st = entry_of(ops_strbuf_get(&b), ret, reterr);
    if (st == OPS_EINVAL)
        ops_err_prefix(reterr, "matchers");
    if (st == OPS_OK) {
        st = ops_repo_silence_put(s->repo, ops_slice_str(m->tenant), ops_slice_str(m->id), ops_strbuf_get(&b),
                                  reterr);
        if (st != OPS_OK)
            entry_done(ret);
    }
    ops_strbuf_done(&b);
    return st;
}

/* From the request's own id when it has one, so that the same again is found. */
static void make_id(ops_silences *s, ops_slice tenant, const Ops__V1__CreateSilenceRequest *q, int64_t now_ns,
                    char ret[ID_MAX])
{
    const ops_slice request = ops_slice_str(q->request_id);
    uint64_t h = ops_hash64(tenant.p, tenant.n, 0x73696c656e6365);
    h = request.n > 0 ? ops_hash64(request.p, request.n, h) : ops_hash64(&now_ns, sizeof now_ns, h);
    for (;; h = ops_hash_mix(h + 1)) {
        (void)snprintf(ret, ID_MAX, "s-%016" PRIx64, h);
        if (request.n > 0 || find(s, tenant, ops_slice_str(ret)) == NULL)
            return;
    }
}

static void tell(const ops_silences *s, Ops__V1__Silence *m, ops_silence_fn fn, void *u)
{
    m->state = state_of(m->start_time_unix_nano, m->end_time_unix_nano, ops_clock_wall_ns(s->clock));
    (void)fn(u, m);
}

static ops_status create(ops_silences *s, ops_slice tenant, const char *creator,
                         const Ops__V1__CreateSilenceRequest *q, entry **ret, ops_err *reterr)
{
    char id[ID_MAX];
    const int64_t now_ns = ops_clock_wall_ns(s->clock);
    make_id(s, tenant, q, now_ns, id);
    if ((*ret = find(s, tenant, ops_slice_str(id))) != NULL)
        return OPS_OK;
    Ops__V1__Silence m = OPS__V1__SILENCE__INIT;
    OPS_AUTO(ops_free_str) char *name = ops_strndup(tenant.p, tenant.n);
    entry e;
    m.start_time_unix_nano = q->start_time_unix_nano != 0 ? q->start_time_unix_nano : now_ns;
    ops_status st = check(q, m.start_time_unix_nano, now_ns, reterr);
    if (st == OPS_OK)
        st = room(s, tenant, now_ns, reterr);
    if (st == OPS_OK && name == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "a silence");
    if (st != OPS_OK)
        return st;
    if (q->n_matchers > OPS_MATCHERS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "matchers: %zu, at most %d", q->n_matchers, OPS_MATCHERS_MAX);
    m.id = id;
    m.tenant = name;
    m.matchers = q->matchers;
    m.n_matchers = q->n_matchers;
    m.end_time_unix_nano = q->end_time_unix_nano;
    m.creator = (char *)(uintptr_t)creator;
    m.comment = q->comment;
    m.create_time_unix_nano = now_ns;
    st = write_entry(s, &m, &e, reterr);
    if (st == OPS_OK && !ops_vec_push(&s->v, e)) {
        entry_done(
            &e); /* stored already: it holds from the next start on, and the caller hears of the failure */
        st = ops_fail(reterr, OPS_ENOMEM, "a silence");
    }
    if (st == OPS_OK)
        *ret = &s->v.v[s->v.n - 1];
    return st;
}

ops_status ops_silences_create(ops_silences *s, ops_slice tenant, ops_slice creator,
                               const Ops__V1__CreateSilenceRequest *q, ops_silence_fn fn, void *u,
                               ops_err *reterr)
{
    entry *e = NULL;
    OPS_AUTO(ops_free_str) char *who = ops_strndup(creator.p, creator.n);
    if (who == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a silence");
    (void)pthread_mutex_lock(&s->lock);
    ops_status st = create(s, tenant, who, q, &e, reterr);
    if (st == OPS_OK)
        tell(s, e->m, fn, u);
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

static ops_status expire(ops_silences *s, entry *e, ops_err *reterr)
{
    const int64_t now_ns = ops_clock_wall_ns(s->clock);
    entry fresh;
    if (e->m->end_time_unix_nano <= now_ns)
        return OPS_OK;
    Ops__V1__Silence m = *e->m;
    m.end_time_unix_nano = now_ns;
    if (m.start_time_unix_nano > now_ns)
        m.start_time_unix_nano = now_ns;
    ops_status st = write_entry(s, &m, &fresh, reterr);
    if (st == OPS_OK) {
        entry_done(e);
        *e = fresh;
    }
    return st;
}

ops_status ops_silences_expire(ops_silences *s, ops_slice tenant, ops_slice id, ops_silence_fn fn, void *u,
                               ops_err *reterr)
{
    if (ops_slice_starts(id, OPS_SLICE("w-")))
        return ops_fail(reterr, OPS_EINVAL,
                        "id: '" OPS_SLICE_FMT "' is a window of the configuration (notify.windows)",
                        OPS_SLICE_ARG(ops_slice_sub(id, 0, 100)));
    (void)pthread_mutex_lock(&s->lock);
    entry *e = find(s, tenant, id);
    ops_status st = e != NULL ? expire(s, e, reterr)
                              : ops_fail(reterr, OPS_ENOTFOUND, "no silence '" OPS_SLICE_FMT "'",
                                         OPS_SLICE_ARG(ops_slice_sub(id, 0, 100)));
    if (st == OPS_OK)
        tell(s, e->m, fn, u);
    (void)pthread_mutex_unlock(&s->lock);
    return st;
}

static bool tell_window(const ops_silences *s, ops_window *w, ops_slice tenant, ops_silence_fn fn, void *u)
{
    Ops__V1__Silence m = OPS__V1__SILENCE__INIT;
    char id[OPS_WINDOW_NAME_MAX + 4];
    const int64_t now_ns = ops_clock_wall_ns(s->clock);
    int64_t from = 0, to = 0;
    (void)tenant;
    ops_window_next(w, now_ns / NS, &from, &to);
    (void)snprintf(id, sizeof id, "w-%s", w->name);
    m.id = id;
    m.matchers = w->texts;
    m.n_matchers = w->text_count;
    m.schedule = w->line;
    m.start_time_unix_nano = from < INT64_MAX / NS ? from * NS : 0;
    m.end_time_unix_nano = to < INT64_MAX / NS ? to * NS : 0;
    m.state = state_of(m.start_time_unix_nano, m.end_time_unix_nano, now_ns);
    return fn(u, &m);
}

static int by_end(const void *a, const void *b)
{
    const Ops__V1__Silence *x = ((const entry *)a)->m, *y = ((const entry *)b)->m;
    if (x->end_time_unix_nano != y->end_time_unix_nano)
        return x->end_time_unix_nano < y->end_time_unix_nano ? 1 : -1;
    return strcmp(x->id, y->id);
}

ops_status ops_silences_list(ops_silences *s, ops_slice tenant, bool expired, ops_silence_fn fn, void *u,
                             ops_err *reterr)
{
    bool more = true;
    (void)reterr;
    (void)pthread_mutex_lock(&s->lock);
    const int64_t now_ns = ops_clock_wall_ns(s->clock);
    for (size_t i = 0; more && i < s->window_count; i++)
        if (ops_matchers_may_concern(s->windows[i].matchers, tenant))
            more = tell_window(s, &s->windows[i], tenant, fn, u);
    if (s->v.n > 1)
        qsort(s->v.v, s->v.n, sizeof *s->v.v, by_end);
    for (size_t i = 0; more && i < s->v.n; i++) {
        Ops__V1__Silence *m = s->v.v[i].m;
        if (!of_tenant(&s->v.v[i], tenant) || (!expired && m->end_time_unix_nano <= now_ns))
            continue;
        m->state = state_of(m->start_time_unix_nano, m->end_time_unix_nano, now_ns);
        more = fn(u, m);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return OPS_OK;
}

static void put_id(ops_strbuf *ids, const char *prefix, const char *id)
{
    if (ids == NULL)
        return;
    if (ids->n > 0)
        ops_strbuf_char(ids, ' ');
    ops_strbuf_str(ids, prefix);
    ops_strbuf_str(ids, id);
}

static bool window_holds(const ops_window *w, const Ops__V1__Finding *f, int64_t now_ns)
{
    int64_t from = 0, to = 0;
    if (!ops_matchers_match(w->matchers, f))
        return false;
    ops_window_next(w, now_ns / NS, &from, &to);
    return now_ns / NS >= from && now_ns / NS < to;
}

bool ops_silences_match(ops_silences *s, const Ops__V1__Finding *f, int64_t now_ns, ops_strbuf *ret_ids)
{
    bool any = false;
    const ops_slice tenant = ops_slice_str(f->tenant);
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->v.n && (!any || ret_ids != NULL); i++) {
        const entry *e = &s->v.v[i];
        if (now_ns < e->m->start_time_unix_nano || now_ns >= e->m->end_time_unix_nano ||
            !of_tenant(e, tenant) || !ops_matchers_match(e->matchers, f))
            continue;
        any = true;
        put_id(ret_ids, "", e->m->id);
    }
    for (size_t i = 0; i < s->window_count && (!any || ret_ids != NULL); i++)
        if (window_holds(&s->windows[i], f, now_ns)) {
            any = true;
            put_id(ret_ids, "w-", s->windows[i].name);
        }
    (void)pthread_mutex_unlock(&s->lock);
    return any;
}
