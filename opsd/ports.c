/* The API's questions, answered from the rooms that know. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "coordinator/shard/catalog.h"
#include "coordinator/shard/router.h"
#include "opsd/daemon.h"
#include "proto/codec/record.h"

enum { NAME_BYTES = 256, FOLLOW_WAIT_MS = 500, TEXT_BYTES_MAX = 1 << 20 };

/* A slice as the C string that a message field wants; cut at max - 1. */
static char *cstr(char *buf, size_t max, ops_slice s)
{
    size_t n = s.n < max ? s.n : max - 1;
    if (n > 0)
        memcpy(buf, s.p, n);
    buf[n] = '\0';
    return buf;
}

static uint32_t partitions_of(const opsd_daemon *d)
{
    return (uint32_t)ops_conf_uint(d->conf, KEY_STORAGE_PARTITIONS);
}

struct hand_on {
    ops_api_finding_fn fn;
    void *fu;
};

static ops_status on_finding(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                             ops_err *reterr)
{
    const struct hand_on *h = u;
    (void)reterr;
    return h->fn(h->fu, tenant, revision, f->body) ? OPS_OK : OPS_ECANCELLED;
}

static ops_status findings_since(void *u, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr)
{
    struct hand_on h = {fn, fu};
    return ops_repo_findings_since(((opsd_daemon *)u)->stores.repo, after, on_finding, &h, reterr);
}

static ops_status finding_get(void *u, ops_slice tenant, ops_slice id, ops_api_finding_fn fn, void *fu,
                              ops_err *reterr)
{
    struct hand_on h = {fn, fu};
    ops_status st = ops_repo_finding_get(((opsd_daemon *)u)->stores.repo, tenant, id, on_finding, &h, reterr);
    return st == OPS_ECANCELLED ? OPS_OK : st;
}

static uint64_t revision(void *u)
{
    return ops_repo_revision(((opsd_daemon *)u)->stores.repo);
}

static ops_status feedback(void *u, const ops_api_feedback *fb, ops_err *reterr)
{
    const ops_finding_feedback out = {.author = fb->author,
                                      .comment = fb->comment,
                                      .verdict = fb->verdict,
                                      .time_ns = ops_clock_wall_ns(ops_clock_system())};
    return ops_finder_feedback(((opsd_daemon *)u)->finder, fb->tenant, fb->id, &out, reterr);
}

static void status(void *u, Ops__V1__Status *ret, char *why, size_t why_max)
{
    opsd_daemon *d = u;
    static char version[] = OPS_VERSION;
    ops_strbuf b;
    ops_strbuf_init(&b, 4096);
    ret->version = version;
    ret->start_time_unix_nano = d->start_ns;
    ret->ready = opsd_daemon_ready(d, &b);
    (void)cstr(why, why_max, ops_strbuf_get(&b));
    ops_strbuf_done(&b);
    ret->records_received = ops_ledger_total(d->ledger, OPS_FATE_RECEIVED);
    ret->records_acked = ops_ledger_total(d->ledger, OPS_FATE_ACKED);
    ret->records_refused = ops_ledger_total(d->ledger, OPS_FATE_REFUSED);
    ret->records_rejected = ops_ledger_total(d->ledger, OPS_FATE_REJECTED);
    ret->records_analysed = ops_ledger_total(d->ledger, OPS_FATE_ANALYSED);
    ret->revision = ops_repo_revision(d->stores.repo);
}

static ops_status partitions(void *u, bool (*fn)(void *fu, const Ops__V1__Partition *m), void *fu,
                             ops_err *reterr)
{
    opsd_daemon *d = u;
    bool more = true;
    for (uint32_t i = 0; more && i < partitions_of(d); i++) {
        Ops__V1__Partition m = OPS__V1__PARTITION__INIT;
        ops_partition_info info;
        ops_status st = ops_owners_partition(d->owners, i, &info, reterr);
        if (st != OPS_OK)
            return st;
        m.number = i;
        m.first_offset = info.first;
        m.next_offset = info.next;
        m.position = info.position;
        m.epoch = info.epoch;
        m.records = info.records;
        m.streams = (uint32_t)info.stats.streams;
        m.templates = (uint32_t)info.stats.templates;
        m.event_time_unix_nano = info.event_ns != INT64_MIN ? info.event_ns : 0;
        m.lag_seconds = (double)info.lag_ns / 1e9;
        more = fn(fu, &m);
    }
    return OPS_OK;
}

static ops_status workers(void *u, bool (*fn)(void *fu, const Ops__V1__Worker *m), void *fu, ops_err *reterr)
{
    return ops_workers_tell(((opsd_daemon *)u)->dispatch, fn, fu, reterr);
}

struct streaming {
    ops_slice tenant;
    uint32_t part;
    bool more;
    bool (*fn)(void *fu, const Ops__V1__Stream *m);
    void *fu;
};

static bool on_stream(void *u, const ops_stream_info *s)
{
    struct streaming *x = u;
    Ops__V1__Stream m = OPS__V1__STREAM__INIT;
    char tenant[NAME_BYTES], service[NAME_BYTES * 2];
    if (!ops_slice_eq(s->tenant, x->tenant))
        return true;
    m.tenant = cstr(tenant, sizeof tenant, s->tenant);
    m.service = cstr(service, sizeof service, s->service);
    m.records = s->records;
    m.errors = s->errors;
    m.late = s->late;
    m.templates = (uint32_t)s->templates;
    m.learning = s->learning;
    m.first_time_unix_nano = s->first_ns;
    m.last_time_unix_nano = s->last_ns;
    m.partition = x->part;
    x->more = x->fn(x->fu, &m);
    return x->more;
}

static ops_status streams(void *u, ops_slice tenant, bool (*fn)(void *fu, const Ops__V1__Stream *m), void *fu,
                          ops_err *reterr)
{
    opsd_daemon *d = u;
    struct streaming x = {.tenant = tenant, .more = true, .fn = fn, .fu = fu};
    (void)reterr;
    for (; x.more && x.part < partitions_of(d); x.part++)
        ops_owners_streams(d->owners, x.part, on_stream, &x);
    return OPS_OK;
}

struct lettering {
    ops_slice tenant;
    bool (*fn)(void *fu, const Ops__V1__DeadLetter *m);
    void *fu;
};

static bool on_letter(void *u, const ops_deadletter *l)
{
    const struct lettering *x = u;
    Ops__V1__DeadLetter m = OPS__V1__DEAD_LETTER__INIT;
    char tenant[NAME_BYTES], door[NAME_BYTES], reason[NAME_BYTES], detail[OPS_DEADLETTER_DETAIL_BYTES + 1];
    if (!ops_slice_eq(l->tenant, x->tenant))
        return true;
    m.number = l->number;
    m.time_unix_nano = l->time_ns;
    m.tenant = cstr(tenant, sizeof tenant, l->tenant);
    m.door = cstr(door, sizeof door, ops_slice_str(l->door));
    m.reason = cstr(reason, sizeof reason, ops_slice_str(l->reason));
    m.detail = cstr(detail, sizeof detail, l->detail);
    m.head.data = (uint8_t *)(uintptr_t)l->head.p;
    m.head.len = l->head.n;
    return x->fn(x->fu, &m);
}

static ops_status deadletters(void *u, ops_slice tenant, uint64_t before,
                              bool (*fn)(void *fu, const Ops__V1__DeadLetter *m), void *fu,
                              uint64_t *ret_dropped, ops_err *reterr)
{
    struct lettering x = {tenant, fn, fu};
    (void)reterr;
    *ret_dropped = ops_deadletters_each(((opsd_daemon *)u)->dead, before, on_letter, &x);
    return OPS_OK;
}

struct recording {
    opsd_daemon *d;
    const ops_api_record_query *q;
    bool (*fn)(void *fu, const Ops__V1__Record *m);
    void *fu;
    uint32_t part;
    uint64_t offset;
    char *pattern; /* the template's text, NULL: any */
    bool ended;
};

/* A template's text against a message: "<*>" stands for anything. Blanks count as one. */
static bool matches(const char *t, const char *s, const char *end)
{
    const char *star_t = NULL, *star_s = NULL;
    while (s < end) {
        if (strncmp(t, "<*>", 3) == 0) {
            star_t = t += 3;
            star_s = s;
        } else if (*t == *s) {
            t++;
            s++;
        } else if (star_t != NULL) {
            t = star_t;
            s = ++star_s;
        } else
            return false;
    }
    while (strncmp(t, "<*>", 3) == 0)
        t += 3;
    return *t == '\0';
}

static bool wanted(const struct recording *x, ops_slice tenant, const ops_record *r)
{
    const ops_api_record_query *q = x->q;
    return ops_slice_eq(tenant, q->tenant) && (q->service.n == 0 || ops_slice_eq(q->service, r->service)) &&
           r->severity >= q->severity_min && (q->since_ns == 0 || r->time_ns >= q->since_ns) &&
           (q->until_ns == 0 || r->time_ns < q->until_ns) &&
           (q->grep.n == 0 || ops_slice_find(r->message, q->grep) >= 0) &&
           (x->pattern == NULL || matches(x->pattern, r->message.p, r->message.p + r->message.n));
}

static ops_status hand_record(struct recording *x, ops_slice tenant, uint32_t index, const ops_record *r)
{
    Ops__V1__Record m = OPS__V1__RECORD__INIT;
    Ops__V1__Attribute attrs[OPS_RECORD_ATTRS_MAX], *list[OPS_RECORD_ATTRS_MAX];
    ops_arena a;
    ops_arena_init(&a, 16 << 20);
    /* ops_arena_dup ends every text with a NUL. */
    m.tenant = (char *)(uintptr_t)ops_arena_dup(&a, tenant).p;
    m.service = (char *)(uintptr_t)ops_arena_dup(&a, r->service).p;
    m.message = (char *)(uintptr_t)ops_arena_dup(&a, r->message).p;
    bool ok = m.tenant != NULL && m.service != NULL && m.message != NULL;
    m.attributes = list;
    for (uint32_t i = 0; ok && i < r->attr_count && i < OPS_RECORD_ATTRS_MAX; i++) {
        ops__v1__attribute__init(&attrs[i]);
        attrs[i].key = (char *)(uintptr_t)ops_arena_dup(&a, r->attrs[i].key).p;
        attrs[i].value = (char *)(uintptr_t)ops_arena_dup(&a, r->attrs[i].val).p;
        list[m.n_attributes++] = &attrs[i];
        ok = attrs[i].key != NULL && attrs[i].value != NULL;
    }
    m.time_unix_nano = r->time_ns;
    m.received_time_unix_nano = r->recv_ns;
    m.severity_number = r->severity;
    m.trace_id.data = (uint8_t *)(uintptr_t)r->trace_id.p;
    m.trace_id.len = r->trace_id.n;
    m.span_id.data = (uint8_t *)(uintptr_t)r->span_id.p;
    m.span_id.len = r->span_id.n;
    m.partition = x->part;
    m.log_offset = x->offset;
    m.log_index = index;
    m.flags = r->flags;
    x->ended = ok && !x->fn(x->fu, &m);
    ops_arena_done(&a);
    return !ok ? OPS_ENOMEM : x->ended ? OPS_ECANCELLED : OPS_OK;
}

static ops_status on_record(void *u, ops_slice tenant, uint32_t index, const ops_record *r)
{
    struct recording *x = u;
    return wanted(x, tenant, r) ? hand_record(x, tenant, index, r) : OPS_OK;
}

static ops_status on_entry(void *u, uint64_t offset, const ops_streamlog_entry *e, ops_err *reterr)
{
    struct recording *x = u;
    x->part = e->part;
    x->offset = offset;
    if (e->payload.n == 0 || e->payload.p[0] != 1)
        return OPS_OK; /* metrics and traces */
    return ops_record_batch_walk(e->payload, on_record, x, reterr);
}

/* The text of the template that the query names, or of what it became. */
static ops_status pattern_of(opsd_daemon *d, const ops_api_record_query *q, char **ret, ops_err *reterr)
{
    OPS_AUTO(ops_catalog_free) ops_catalog *c = NULL;
    size_t i;
    *ret = NULL;
    if (q->any_template)
        return OPS_OK;
    ops_status st = ops_catalog_take(d->owners, q->tenant, OPS_CATALOG_BY_ID, &c, reterr);
    if (st == OPS_OK)
        st = ops_catalog_find(c, q->template_id, &i, reterr);
    if (st != OPS_OK)
        return st;
    ops_slice text = ops_catalog_row_at(c, i)->text;
    *ret = ops_strndup(text.p, text.n);
    return *ret != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "template %016" PRIx64, q->template_id);
}

static ops_status records(void *u, const ops_api_record_query *q,
                          bool (*fn)(void *fu, const Ops__V1__Record *m), void *fu, ops_err *reterr)
{
    opsd_daemon *d = u;
    struct recording x = {.d = d, .q = q, .fn = fn, .fu = fu};
    uint64_t positions[OPS_PARTITIONS_MAX] = {0}, change = 0;
    const ops_streamlog_filter filter = {.since_ns = q->since_ns,
                                         .until_ns = q->until_ns,
                                         .tenant = q->tenant,
                                         .service = q->service,
                                         .severity_min = q->severity_min,
                                         .positions = positions};
    ops_status st = pattern_of(d, q, &x.pattern, reterr);
    while (st == OPS_OK && !x.ended) {
        st = ops_streamlog_query(d->stores.log, &filter, on_entry, &x, reterr);
        if (!q->follow || st != OPS_OK || x.ended)
            break;
        x.ended = !fn(fu, NULL);
        if (!x.ended)
            (void)ops_streamlog_wait_any(d->stores.log, &change, FOLLOW_WAIT_MS);
    }
    ops_free(x.pattern);
    return st;
}

static ops_status check_storage(void *u, Ops__V1__CheckStorageResponse *ret, char *damage, size_t damage_max,
                                ops_err *reterr)
{
    ops_streamlog_report r;
    ops_status st = ops_streamlog_fsck(((opsd_daemon *)u)->stores.log, &r, reterr);
    if (st != OPS_OK)
        return st;
    ret->entries = r.entries;
    ret->records = r.records;
    ret->bytes = r.bytes;
    ret->damaged = r.damaged;
    (void)cstr(damage, damage_max, ops_slice_str(r.first_damage));
    return OPS_OK;
}

static ops_status silence_create(void *u, ops_slice tenant, ops_slice creator,
                                 const Ops__V1__CreateSilenceRequest *q,
                                 bool (*fn)(void *fu, const Ops__V1__Silence *m), void *fu, ops_err *reterr)
{
    return ops_silences_create(((opsd_daemon *)u)->silences, tenant, creator, q, fn, fu, reterr);
}

static ops_status silence_expire(void *u, ops_slice tenant, ops_slice id,
                                 bool (*fn)(void *fu, const Ops__V1__Silence *m), void *fu, ops_err *reterr)
{
    return ops_silences_expire(((opsd_daemon *)u)->silences, tenant, id, fn, fu, reterr);
}

static ops_status silences(void *u, ops_slice tenant, bool expired,
                           bool (*fn)(void *fu, const Ops__V1__Silence *m), void *fu, ops_err *reterr)
{
    return ops_silences_list(((opsd_daemon *)u)->silences, tenant, expired, fn, fu, reterr);
}

static bool silenced_by(void *u, const Ops__V1__Finding *f, ops_strbuf *ret_ids)
{
    return f->state == OPS__V1__FINDING_STATE__FINDING_STATE_OPEN &&
           ops_silences_match(((opsd_daemon *)u)->silences, f, ops_clock_wall_ns(ops_clock_system()),
                              ret_ids);
}

void opsd_api_ports(opsd_daemon *d, ops_api_ports *ret)
{
    *ret = (ops_api_ports){.u = d,
                           .findings_since = findings_since,
                           .finding_get = finding_get,
                           .revision = revision,
                           .feedback = feedback,
                           .status = status,
                           .partitions = partitions,
                           .workers = workers,
                           .streams = streams,
                           .series = opsd_port_series,
                           .rule_groups = opsd_port_rule_groups,
                           .templates = opsd_port_templates,
                           .template_get = opsd_port_template_get,
                           .pin_changes = opsd_port_pin_changes,
                           .deadletters = deadletters,
                           .records = records,
                           .check_storage = check_storage,
                           .silence_create = silence_create,
                           .silence_expire = silence_expire,
                           .silences = silences,
                           .silenced_by = silenced_by};
    opsd_incident_ports(ret);
}
