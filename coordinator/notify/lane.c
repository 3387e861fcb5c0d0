#include "coordinator/notify/lane.h"

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/notify/lane_internal.h"

enum { LOOK_MAX = 256, ROUNDS_MAX = 64, NS_PER_MS = 1000000, IDLE_MS = 1000, STORE_WAIT_MS = 5000 };

const ops_metric_desc ops_notify_rows[OPS_NOTIFY_ROWS] = {
    [OPS_NOTIFY_ROW_NOTICES] = {"opsd_notify_notices_total",
                                "State changes of findings by receiver and fate.", OPS_METRIC_COUNTER,
                                .labels = {"receiver", "fate"}, .series_max = 256},
    [OPS_NOTIFY_ROW_REQUESTS] = {"opsd_notify_requests_total", "Requests to receivers by outcome.",
                                 OPS_METRIC_COUNTER, .labels = {"receiver", "outcome"}, .series_max = 256},
    [OPS_NOTIFY_ROW_RESENT] = {"opsd_notify_resent_total", "Alerts sent to an Alertmanager again.",
                               OPS_METRIC_COUNTER, .labels = {"receiver"}},
    [OPS_NOTIFY_ROW_WAITING] = {"opsd_notify_waiting", "State changes that a receiver has not had yet.",
                                OPS_METRIC_GAUGE, .labels = {"receiver"}},
    [OPS_NOTIFY_ROW_CIRCUIT] = {"opsd_notify_circuit_open",
                                "1 while a receiver failed often in a row and is only probed.",
                                OPS_METRIC_GAUGE, .labels = {"receiver"}},
};

ops_status ops_notify_lane_new(const ops_notify_lane_conf *conf, ops_notify_lane **ret, ops_err *reterr)
{
    OPS_AUTO(ops_notify_lane_free) ops_notify_lane *l = ops_calloc(1, sizeof *l);
    if (l == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "receiver %s", conf->receiver->name);
    l->conf = *conf;
    const ops_slice name = ops_slice_str(conf->receiver->name);
    uint64_t cursor = 0;
    ops_status st = ops_repo_cursor_get(conf->repo, name, &cursor, reterr);
    if (st == OPS_ENOTFOUND) {
        cursor = ops_repo_notice_last(conf->repo);
        st = ops_repo_cursor_put(conf->repo, name, cursor, reterr);
    }
    atomic_init(&l->cursor, cursor);
    if (st == OPS_OK)
        st = conf->receiver->kind == OPS_NOTIFY_ALERTMANAGER ? ops_notify_open_load(l, reterr)
                                                             : ops_notify_held_load(l, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(l);
    return st;
}

void ops_notify_lane_free(ops_notify_lane *l)
{
    if (l == NULL)
        return;
    ops_notify_open_free(l);
    ops_notify_held_free(l);
    ops_free(l);
}

uint64_t ops_notify_lane_cursor(const ops_notify_lane *l)
{
    return atomic_load(&l->cursor);
}

/* A stretch of the outbox: what of it is to be sent, and how far it reaches. */
typedef struct stretch {
    ops_notify_lane *l;
    size_t batch_max, looked;
    uint64_t upto;
    bool more;
    size_t count;
    Ops__V1__Finding *kept[OPS_NOTIFY_BATCH_MAX];
    ops_notify_item items[2 * OPS_NOTIFY_BATCH_MAX]; /* a changed severity is an end and a beginning */
    size_t item_count;
    uint64_t expired, silenced, passed, damaged, overflowed;
} stretch;

static void put_items(stretch *s, const ops_repo_notice *n, Ops__V1__Finding *m)
{
    ops_notify_lane *l = s->l;
    const Ops__V1__Finding *old = NULL;
    for (size_t i = s->count; old == NULL && l->open != NULL && i-- > 0;)
        if (strcmp(s->kept[i]->id, m->id) == 0 && strcmp(s->kept[i]->tenant, m->tenant) == 0)
            old = s->kept[i];
    if (old == NULL)
        old = ops_notify_open_get(l, m);
    if (old != NULL && old->severity != m->severity && !ops_notify_ended(old))
        s->items[s->item_count++] =
            (ops_notify_item){.f = old, .number = n->number, .time_ns = n->time_ns, .end_ns = n->time_ns};
    s->items[s->item_count++] =
        (ops_notify_item){.f = m,
                          .number = n->number,
                          .time_ns = n->time_ns,
                          .end_ns = ops_notify_ended(m) ? n->time_ns : ops_notify_ends(l)};
    s->kept[s->count++] = m;
}

static ops_status look_at(void *u, const ops_repo_notice *n, ops_err *reterr)
{
    stretch *s = u;
    ops_notify_lane *l = s->l;
    const int64_t now_ns = ops_clock_wall_ns(l->conf.clock);
    ops_status st = OPS_OK;
    if (s->count == s->batch_max || s->looked == LOOK_MAX) {
        s->more = true;
        return OPS_ECANCELLED;
    }
    s->overflowed += n->number - s->upto - 1; /* numbers are dense: what is not there was let go */
    s->upto = n->number;
    s->looked++;
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, n->body.n, (const uint8_t *)n->body.p);
    uint64_t *why = NULL;
    if (m == NULL)
        why = &s->damaged;
    else if (!ops_notify_lane_wants(l, m) || (l->open != NULL && ops_notify_is_echo(m)) ||
             (l->open == NULL && l->conf.rules_grouped &&
              m->kind == OPS__V1__FINDING_KIND__FINDING_KIND_RULE))
        why = &s->passed;
    else if (now_ns - n->time_ns > l->conf.age_max_ms * NS_PER_MS)
        why = &s->expired;
    else if (l->conf.silenced != NULL && l->conf.silenced(l->conf.u, m, now_ns))
        why = &s->silenced;
    if (m != NULL && why == &s->silenced)
        st = ops_notify_held_keep(l, m, n, reterr);
    else if (m != NULL)
        st = ops_notify_held_drop(l, m, reterr);
    if (st != OPS_OK) {
        ops__v1__finding__free_unpacked(m, NULL);
        return st;
    }
    if (why == NULL) {
        put_items(s, n, m);
        return OPS_OK;
    }
    ++*why;
    /* Whatever comes of the word of it, what fires is to be sent again (or not any more). */
    if (m != NULL && why == &s->passed)
        m->state = OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
    if (m != NULL)
        ops_notify_open_told(l, m);
    return OPS_OK;
}

static void count_fates(stretch *s)
{
    const struct {
        const char *fate;
        uint64_t n;
        bool lost;
    } rows[] = {{"expired", s->expired, true},
                {"overflowed", s->overflowed, true},
                {"damaged", s->damaged, true},
                {"silenced", s->silenced, false},
                {"not_for_it", s->passed, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].n == 0)
            continue;
        ops_notify_lane_count(s->l, OPS_NOTIFY_ROW_NOTICES, rows[i].fate, rows[i].n);
        if (rows[i].lost)
            OPS_LOG(OPS_LOG_ERROR, "notify_lost", OPS_KV_STR("receiver", s->l->conf.receiver->name),
                    OPS_KV_STR("fate", rows[i].fate), OPS_KV_U64("notices", rows[i].n));
    }
}

/* The cursor in memory moves only with the one in the store. */
static bool advance(ops_notify_lane *l, uint64_t upto)
{
    ops_err err = {0};
    if (ops_repo_cursor_put(l->conf.repo, ops_slice_str(l->conf.receiver->name), upto, &err) != OPS_OK) {
        OPS_LOG(OPS_LOG_ERROR, "notify_cursor_not_written", OPS_KV_STR("receiver", l->conf.receiver->name),
                OPS_KV_STR("why", err.msg));
        return false;
    }
    atomic_store(&l->cursor, upto);
    return true;
}

static void stretch_clear(stretch *s)
{
    for (size_t i = 0; i < s->count; i++)
        ops__v1__finding__free_unpacked(s->kept[i], NULL);
    s->count = s->item_count = 0;
}

/* Sends what the stretch holds; true when the cursor may move past it. */
static bool deliver(ops_notify_lane *l, stretch *s)
{
    if (s->count == 0)
        return true;
    ops_notify_verdict v = ops_notify_lane_send(l, s->items, s->item_count);
    if (v == OPS_NOTIFY_AGAIN)
        return false;
    if (v == OPS_NOTIFY_REJECTED && s->count > 1) {
        l->one_by_one = true; /* one bad alert must not take the others with it */
        l->one_until = s->upto;
        return false;
    }
    ops_notify_lane_count(l, OPS_NOTIFY_ROW_NOTICES, v == OPS_NOTIFY_DELIVERED ? "delivered" : "rejected",
                          s->count);
    for (size_t i = 0; i < s->count; i++)
        ops_notify_open_told(l, s->kept[i]);
    s->count = 0;
    return true;
}

static size_t batch_max(const ops_notify_lane *l)
{
    return l->open == NULL || l->one_by_one || l->failures >= OPS_NOTIFY_CIRCUIT_AFTER ? 1
                                                                                       : OPS_NOTIFY_BATCH_MAX;
}

/* One stretch; *ret_more: go on at once. False: the store failed. */
static bool one_stretch(ops_notify_lane *l, bool *ret_more)
{
    stretch s = {.l = l, .batch_max = batch_max(l), .upto = ops_notify_lane_cursor(l)};
    const uint64_t from = s.upto;
    const bool was_single = l->one_by_one;
    ops_err err = {0};
    ops_status st = ops_repo_notices_since(l->conf.repo, from, look_at, &s, &err);
    if (st != OPS_OK)
        OPS_LOG(OPS_LOG_ERROR, "notices_not_read", OPS_KV_STR("receiver", l->conf.receiver->name),
                OPS_KV_STR("why", err.msg));
    bool moved = st == OPS_OK && deliver(l, &s);
    const bool single_begins = !was_single && l->one_by_one;
    if (moved && s.upto > from) {
        moved = advance(l, s.upto);
        count_fates(&s);
        if (l->one_by_one && s.upto >= l->one_until)
            l->one_by_one = false;
    }
    stretch_clear(&s);
    *ret_more = single_begins || (moved && s.more);
    return st == OPS_OK;
}

int64_t ops_notify_lane_turn(ops_notify_lane *l)
{
    bool more = true;
    for (int i = 0; more && i < ROUNDS_MAX; i++) {
        const int64_t now = ops_clock_mono_ns(l->conf.clock);
        if (now < l->retry_mono_ns)
            return (l->retry_mono_ns - now) / NS_PER_MS + 1;
        if (!one_stretch(l, &more))
            return STORE_WAIT_MS;
    }
    if (more)
        return 0;
    if (ops_clock_mono_ns(l->conf.clock) >= l->retry_mono_ns)
        (void)ops_notify_open_resend(l);
    if (ops_clock_mono_ns(l->conf.clock) >= l->retry_mono_ns)
        ops_notify_held_tell(l);
    const int64_t now = ops_clock_mono_ns(l->conf.clock);
    int64_t due = l->retry_mono_ns > now ? l->retry_mono_ns : l->open != NULL ? l->resend_mono_ns : 0;
    return due > now ? (due - now) / NS_PER_MS + 1 : IDLE_MS;
}
