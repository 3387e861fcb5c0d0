/* Field by field; an entry is held until its end, as slices of the request. */
#include "coordinator/ingest/journal.h"

#include "base/text/codec.h"
#include "coordinator/ingest/otlp_logs_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum { KEY_BYTES_MAX = 64, LENGTH_BYTES = 8, PRIORITY_MAX = 7, NS_PER_US = 1000 };

typedef struct field {
    ops_slice key, val;
} field;

/* What an entry has shown so far. */
typedef struct entry {
    size_t offset, fields;
    ops_slice message, priority, source_time, time, identifier, unit, comm;
    bool has_message, cut;
    uint32_t n;
    ops_attr attrs[OPS_RECORD_ATTRS_MAX];
} entry;

typedef struct journal {
    otlp_decode *d;
    const uint8_t *base, *p, *end;
    ops_arena keys; /* lower-case names */
    entry e;
} journal;

static ops_status broken(const journal *j, const char *what, ops_err *reterr)
{
    return ops_fail(reterr, OPS_EINVAL, "journal export: %s at byte %zu", what, (size_t)(j->p - j->base));
}

/* Upper-case letters, digits and underscores, not a digit first (systemd.journal-fields(7)). */
static bool is_key(ops_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'A' && s.p[i] <= 'Z') || s.p[i] == '_' || (i > 0 && s.p[i] >= '0' && s.p[i] <= '9')))
            return false;
    return s.n > 0 && s.n <= KEY_BYTES_MAX;
}

static ops_status binary_value(journal *j, const uint8_t *eol, field *ret, ops_err *reterr)
{
    uint64_t n = 0;
    const uint8_t *p = eol + 1;
    if ((size_t)(j->end - p) < LENGTH_BYTES)
        return broken(j, "a binary field is cut short", reterr);
    memcpy(&n, p, LENGTH_BYTES); /* little-endian, as this machine is */
    p += LENGTH_BYTES;
    if (n >= (uint64_t)(j->end - p) || p[n] != '\n')
        return broken(j, "a binary field does not end where it says", reterr);
    ret->key = ops_slice_of(j->p, (size_t)(eol - j->p));
    ret->val = ops_slice_of(p, (size_t)n);
    j->p = p + n + 1;
    return OPS_OK;
}

/* The next field, or an empty key for the end of an entry. */
static ops_status next_field(journal *j, field *ret, ops_err *reterr)
{
    const uint8_t *eol = memchr(j->p, '\n', (size_t)(j->end - j->p));
    *ret = (field){0};
    if (eol == NULL)
        return broken(j, "a field without its newline", reterr);
    if (eol == j->p) {
        j->p++;
        return OPS_OK;
    }
    const ops_slice line = ops_slice_of(j->p, (size_t)(eol - j->p));
    const ptrdiff_t equals = ops_slice_find_char(line, '=');
    const ops_slice key = equals < 0 ? line : ops_slice_sub(line, 0, (size_t)equals);
    if (!is_key(key))
        return broken(j, "no field name", reterr);
    if (equals < 0)
        return binary_value(j, eol, ret, reterr);
    *ret = (field){key, ops_slice_sub(line, (size_t)equals + 1, line.n)};
    j->p = eol + 1;
    return OPS_OK;
}

static ops_slice attribute_name(journal *j, ops_slice key)
{
    static const struct {
        ops_slice key, name;
    } known[] = {{{"_HOSTNAME", 9}, {"host.name", 9}},
                 {{"_SYSTEMD_UNIT", 13}, {"systemd.unit", 12}},
                 {{"_PID", 4}, {"process.pid", 11}},
                 {{"_COMM", 5}, {"process.command", 15}},
                 {{"_EXE", 4}, {"process.executable.path", 23}},
                 {{"__CURSOR", 8}, {"__cursor", 8}}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (ops_slice_eq(key, known[i].key))
            return known[i].name;
    char *name = key.p[0] != '_' ? ops_arena_alloc(&j->keys, key.n) : NULL;
    for (size_t i = 0; name != NULL && i < key.n; i++)
        name[i] = (char)(key.p[i] >= 'A' && key.p[i] <= 'Z' ? key.p[i] + ('a' - 'A') : key.p[i]);
    return ops_slice_of(name, name != NULL ? key.n : 0);
}

static void take_attribute(journal *j, const field *f)
{
    entry *e = &j->e;
    const uint32_t max =
        j->d->limits->attrs_max < OPS_RECORD_ATTRS_MAX ? j->d->limits->attrs_max : OPS_RECORD_ATTRS_MAX;
    if (e->n == max) {
        e->cut = true;
        return;
    }
    const ops_slice name = attribute_name(j, f->key);
    if (name.n > 0)
        e->attrs[e->n++] = (ops_attr){name, f->val};
    else
        e->cut |= f->key.p[0] != '_';
}

static void take(journal *j, const field *f)
{
    entry *e = &j->e;
    const struct {
        ops_slice key;
        ops_slice *to;
        bool attribute;
    } known[] = {{{"MESSAGE", 7}, &e->message, false},
                 {{"PRIORITY", 8}, &e->priority, false},
                 {{"_SOURCE_REALTIME_TIMESTAMP", 26}, &e->source_time, false},
                 {{"__REALTIME_TIMESTAMP", 20}, &e->time, false},
                 {{"SYSLOG_IDENTIFIER", 17}, &e->identifier, false},
                 {{"_SYSTEMD_UNIT", 13}, &e->unit, true},
                 {{"_COMM", 5}, &e->comm, true}};
    e->fields++;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!ops_slice_eq(f->key, known[i].key))
            continue;
        *known[i].to = f->val;
        e->has_message |= i == 0;
        if (!known[i].attribute)
            return;
    }
    take_attribute(j, f);
}

static ops_slice service_of(const entry *e)
{
    if (e->identifier.n > 0)
        return e->identifier;
    if (e->unit.n > 0)
        return ops_slice_ends(e->unit, OPS_SLICE(".service")) ? ops_slice_sub(e->unit, 0, e->unit.n - 8)
                                                              : e->unit;
    return e->comm.n > 0 ? e->comm : OPS_SLICE("unknown_service");
}

/* 0 when absent. */
static bool time_of(ops_slice microseconds, uint64_t *ret)
{
    *ret = 0;
    if (microseconds.n == 0)
        return true;
    if (!ops_slice_to_u64(microseconds, ret) || *ret > (uint64_t)INT64_MAX / NS_PER_US)
        return false;
    *ret *= NS_PER_US;
    return true;
}

static ops_status refuse(journal *j, const char *why)
{
    char detail[160];
    j->d->counters.received++;
    (void)snprintf(detail, sizeof detail, "entry at byte %zu: %s", j->e.offset, why);
    otlp_reject(j->d, j->e.has_message ? OPS_INGEST_REASON_FIELD : OPS_INGEST_REASON_EMPTY, detail);
    return OPS_OK;
}

static ops_status end_entry(journal *j, ops_err *reterr)
{
    const entry *e = &j->e;
    uint64_t priority = PRIORITY_MAX + 1, time_ns = 0;
    if (j->d->counters.received >= j->d->limits->records_max)
        return ops_fail(reterr, OPS_ETOOBIG, "journal export: more than %" PRIu64 " entries in one request",
                        j->d->limits->records_max);
    if (!e->has_message)
        return refuse(j, "no MESSAGE");
    if (e->priority.n > 0 && (!ops_slice_to_u64(e->priority, &priority) || priority > PRIORITY_MAX))
        return refuse(j, "PRIORITY is not 0 to 7");
    if (!time_of(e->source_time.n > 0 ? e->source_time : e->time, &time_ns))
        return refuse(j, "its time is no number of microseconds");
    char place[48];
    (void)snprintf(place, sizeof place, "entry at byte %zu", e->offset);
    j->d->service = service_of(e);
    const ops_walk_log log = {
        .time_ns = time_ns,
        .severity_number = priority <= PRIORITY_MAX ? ops_ingest_severity_syslog((unsigned)priority) : 0,
        .body = e->message,
        .attrs = e->attrs,
        .attr_count = e->n,
        .flaw = e->cut ? OPS_WALK_FLAW_ATTRS : OPS_WALK_FLAW_NONE,
        .offset = e->offset};
    return otlp_emit(j->d, &log, place, reterr);
}

static void begin_entry(journal *j)
{
    ops_arena_clear(&j->keys);
    j->e = (entry){.offset = (size_t)(j->p - j->base)};
}

static ops_status walk(journal *j, ops_err *reterr)
{
    ops_status st = OPS_OK;
    begin_entry(j);
    while (st == OPS_OK && j->p < j->end) {
        field f;
        st = next_field(j, &f, reterr);
        if (st == OPS_OK && f.key.n > 0) {
            take(j, &f);
        } else if (st == OPS_OK) {
            if (j->e.fields > 0)
                st = end_entry(j, reterr);
            begin_entry(j);
        }
    }
    return st == OPS_OK && j->e.fields > 0 ? end_entry(j, reterr) : st;
}

ops_status ops_journal_decode(const uint8_t *p, size_t n, const ops_ingest_limits *limits, int64_t recv_ns,
                              ops_ingest_sink sink, ops_ingest_reject reject, void *u,
                              ops_ingest_counters *counters, ops_err *reterr)
{
    OPS_AUTO(otlp_decode_free) otlp_decode *d = NULL;
    if (n > limits->request_bytes_max)
        return ops_fail(reterr, OPS_ETOOBIG, "request of %zu bytes is above the limit of %zu", n,
                        limits->request_bytes_max);
    ops_status st = otlp_decode_new(limits, recv_ns, sink, reject, u, &d, reterr);
    if (st != OPS_OK)
        return st;
    journal j = {.d = d, .base = p, .p = p, .end = p + n};
    ops_arena_init(&j.keys, OPS_RECORD_ATTRS_MAX * (KEY_BYTES_MAX + 16));
    st = walk(&j, reterr);
    ops_arena_done(&j.keys);
    if (st == OPS_OK)
        otlp_count(d, counters);
    return st;
}
