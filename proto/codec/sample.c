/* Sample batches: a series is written once with all the samples that came with it. */
#include "proto/codec/sample.h"

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/codec.h"

enum { VERSION = 1, SERVICES_MAX = 4096, SAMPLE_BYTES_MAX = OPS_VARINT_BYTES_MAX + 9 };

struct ops_sample_writer {
    ops_strbuf buf;
    ops_map *services; /* name -> number (1-based) as pointer-sized integer */
    size_t head_bytes, bytes_max;
    uint32_t count;
    int64_t last_time_ns, min_time_ns, max_time_ns;
};

ops_sample_writer *ops_sample_writer_new(size_t bytes_max)
{
    ops_sample_writer *w = ops_calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->bytes_max = bytes_max < OPS_RECORD_BATCH_BYTES_MAX ? bytes_max : OPS_RECORD_BATCH_BYTES_MAX;
    ops_strbuf_init(&w->buf, w->bytes_max);
    return w;
}

void ops_sample_writer_free(ops_sample_writer *w)
{
    if (w == NULL)
        return;
    ops_strbuf_done(&w->buf);
    ops_map_free(w->services);
    ops_free(w);
}

static void put_varint(ops_strbuf *b, uint64_t v)
{
    uint8_t tmp[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(b, tmp, ops_varint_put(tmp, v));
}

static void put_bytes(ops_strbuf *b, ops_slice s)
{
    put_varint(b, s.n);
    ops_strbuf_put(b, s.p != NULL ? s.p : "", s.n);
}

ops_status ops_sample_writer_begin(ops_sample_writer *w, ops_slice tenant, int64_t recv_ns)
{
    uint8_t recv[8];
    ops_map_free(w->services);
    w->services = ops_map_new();
    ops_strbuf_clear(&w->buf);
    w->count = 0;
    w->last_time_ns = recv_ns;
    w->min_time_ns = INT64_MAX;
    w->max_time_ns = INT64_MIN;
    ops_put_be64(recv, (uint64_t)recv_ns);
    ops_strbuf_char(&w->buf, OPS_SAMPLE_BATCH_TAG);
    ops_strbuf_char(&w->buf, VERSION);
    put_bytes(&w->buf, tenant);
    ops_strbuf_put(&w->buf, recv, sizeof recv);
    w->head_bytes = w->buf.n;
    return w->services == NULL || w->buf.failed ? OPS_ENOMEM : OPS_OK;
}

static size_t size_bound(const ops_series_id *id, size_t n)
{
    size_t bytes = 64 + id->service.n + id->name.n + n * SAMPLE_BYTES_MAX;
    for (uint32_t i = 0; i < id->label_count; i++)
        bytes += 2 * OPS_VARINT_BYTES_MAX + id->labels[i].key.n + id->labels[i].val.n;
    return bytes;
}

static void put_service(ops_sample_writer *w, ops_slice service)
{
    uintptr_t known = (uintptr_t)ops_map_get(w->services, service);
    put_varint(&w->buf, known);
    if (known == 0)
        put_bytes(&w->buf, service);
}

/* Names get a number only once their series is in, so that one rolled back leaves no trace. */
static ops_status number_service(ops_sample_writer *w, ops_slice service)
{
    size_t next = ops_map_count(w->services) + 1;
    if (ops_map_has(w->services, service))
        return OPS_OK;
    return ops_map_put(w->services, service, (void *)(uintptr_t)next, NULL);
}

static void put_sample(ops_strbuf *b, const ops_sample *s, int64_t last_ns)
{
    uint8_t bits[8];
    uint64_t v;
    memcpy(&v, &s->value, sizeof v);
    ops_put_be64(bits, v);
    put_varint(b, ops_zigzag((int64_t)((uint64_t)s->time_ns - (uint64_t)last_ns)));
    ops_strbuf_char(b, (char)s->flags);
    ops_strbuf_put(b, bits, sizeof bits);
}

ops_status ops_sample_writer_add(ops_sample_writer *w, const ops_series_id *id, const ops_sample *samples,
                                 size_t n)
{
    if (n == 0 || n > UINT32_MAX / 2 || id->label_count > OPS_SERIES_LABELS_MAX ||
        size_bound(id, n) > w->bytes_max - w->head_bytes)
        return OPS_ETOOBIG;
    if (size_bound(id, n) > w->bytes_max - w->buf.n ||
        (ops_map_count(w->services) >= SERVICES_MAX && !ops_map_has(w->services, id->service)))
        return OPS_EAGAIN;
    const size_t mark = w->buf.n;
    int64_t last_ns = w->last_time_ns;
    ops_strbuf_char(&w->buf, (char)id->kind);
    put_service(w, id->service);
    put_bytes(&w->buf, id->name);
    put_varint(&w->buf, id->label_count);
    for (uint32_t i = 0; i < id->label_count; i++) {
        put_bytes(&w->buf, id->labels[i].key);
        put_bytes(&w->buf, id->labels[i].val);
    }
    put_varint(&w->buf, n);
    for (size_t i = 0; i < n; last_ns = samples[i++].time_ns)
        put_sample(&w->buf, &samples[i], last_ns);
    if (w->buf.failed || number_service(w, id->service) != OPS_OK) {
        w->buf.n = mark;
        w->buf.failed = false;
        return OPS_ENOMEM;
    }
    w->last_time_ns = last_ns;
    w->count += (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        w->min_time_ns = samples[i].time_ns < w->min_time_ns ? samples[i].time_ns : w->min_time_ns;
        w->max_time_ns = samples[i].time_ns > w->max_time_ns ? samples[i].time_ns : w->max_time_ns;
    }
    return OPS_OK;
}

ops_slice ops_sample_writer_bytes(const ops_sample_writer *w)
{
    return ops_strbuf_get(&w->buf);
}

uint32_t ops_sample_writer_count(const ops_sample_writer *w)
{
    return w->count;
}

int64_t ops_sample_writer_min_time_ns(const ops_sample_writer *w)
{
    return w->min_time_ns;
}

int64_t ops_sample_writer_max_time_ns(const ops_sample_writer *w)
{
    return w->max_time_ns;
}

struct reader {
    const uint8_t *begin, *p, *end;
    OPS_VEC(ops_slice) services;
    OPS_VEC(ops_sample) samples;
    ops_attr labels[OPS_SERIES_LABELS_MAX];
    int64_t last_time_ns;
    bool heap_out;
};

static bool get_varint(struct reader *rd, uint64_t max, uint64_t *ret)
{
    return ops_varint_get(&rd->p, rd->end, ret) && *ret <= max;
}

static bool get_bytes(struct reader *rd, ops_slice *ret)
{
    uint64_t n;
    if (!ops_varint_get(&rd->p, rd->end, &n) || n > (uint64_t)(rd->end - rd->p))
        return false;
    *ret = ops_slice_of(rd->p, (size_t)n);
    rd->p += n;
    return true;
}

static bool get_service(struct reader *rd, ops_slice *ret)
{
    uint64_t ref;
    if (!get_varint(rd, rd->services.n, &ref))
        return false;
    if (ref > 0) {
        *ret = rd->services.v[ref - 1];
        return true;
    }
    if (!get_bytes(rd, ret))
        return false;
    rd->heap_out = !ops_vec_push(&rd->services, *ret);
    return !rd->heap_out;
}

static bool get_samples(struct reader *rd)
{
    uint64_t n, delta;
    rd->samples.n = 0;
    if (!ops_varint_get(&rd->p, rd->end, &n) || n == 0)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        ops_sample s;
        if (!ops_varint_get(&rd->p, rd->end, &delta) || rd->end - rd->p < 9)
            return false;
        rd->last_time_ns = (int64_t)((uint64_t)rd->last_time_ns + (uint64_t)ops_unzigzag(delta));
        s.time_ns = rd->last_time_ns;
        s.flags = *rd->p++;
        const uint64_t bits = ops_get_be64(rd->p);
        memcpy(&s.value, &bits, sizeof bits);
        rd->p += sizeof bits;
        if (!ops_vec_push(&rd->samples, s)) {
            rd->heap_out = true;
            return false;
        }
    }
    return true;
}

static bool get_series(struct reader *rd, ops_series_id *id)
{
    uint64_t labels;
    if (rd->p == rd->end)
        return false;
    id->kind = (ops_series_kind)*rd->p++;
    if (id->kind < OPS_SERIES_GAUGE || id->kind >= OPS_SERIES_KIND_COUNT || !get_service(rd, &id->service) ||
        !get_bytes(rd, &id->name) || !get_varint(rd, OPS_SERIES_LABELS_MAX, &labels))
        return false;
    id->label_count = (uint32_t)labels;
    for (uint32_t i = 0; i < id->label_count; i++)
        if (!get_bytes(rd, &rd->labels[i].key) || !get_bytes(rd, &rd->labels[i].val))
            return false;
    return get_samples(rd);
}

static ops_status walk(struct reader *rd, ops_series_fn fn, void *u, ops_err *reterr)
{
    ops_slice tenant;
    if (rd->end - rd->p < 2 || rd->p[0] != OPS_SAMPLE_BATCH_TAG || rd->p[1] != VERSION)
        return ops_fail(reterr, OPS_ECORRUPT, "sample batch: unknown version at byte 0");
    rd->p += 2;
    if (!get_bytes(rd, &tenant) || rd->end - rd->p < 8)
        return ops_fail(reterr, OPS_ECORRUPT, "sample batch: head cut short at byte %td", rd->p - rd->begin);
    rd->last_time_ns = (int64_t)ops_get_be64(rd->p);
    rd->p += 8;
    while (rd->p < rd->end) {
        const uint8_t *at = rd->p;
        ops_series_id id = {.labels = rd->labels};
        if (!get_series(rd, &id))
            return rd->heap_out ? ops_fail(reterr, OPS_ENOMEM, "a sample batch")
                                : ops_fail(reterr, OPS_ECORRUPT,
                                           "sample batch: the series at byte %td is damaged", at - rd->begin);
        ops_status st = fn(u, tenant, &id, rd->samples.v, rd->samples.n, reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

ops_status ops_sample_batch_walk(ops_slice batch, ops_series_fn fn, void *u, ops_err *reterr)
{
    const uint8_t *p = (const uint8_t *)batch.p;
    struct reader rd = {.begin = p, .p = p, .end = p + batch.n};
    if (batch.n == 0)
        return ops_fail(reterr, OPS_ECORRUPT, "sample batch: empty");
    ops_status st = walk(&rd, fn, u, reterr);
    ops_vec_done(&rd.services);
    ops_vec_done(&rd.samples);
    return st;
}

/* Backslash, quote and line feed are escaped, as in the text format. */
static void put_value(ops_strbuf *b, ops_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' || s.p[i] == '"')
            ops_strbuf_char(b, '\\');
        if (s.p[i] == '\n')
            ops_strbuf_str(b, "\\n");
        else
            ops_strbuf_char(b, s.p[i]);
    }
}

void ops_series_text(const ops_series_id *id, ops_strbuf *b)
{
    ops_strbuf_slice(b, id->name);
    for (uint32_t i = 0; i < id->label_count; i++) {
        ops_strbuf_char(b, i == 0 ? '{' : ',');
        ops_strbuf_slice(b, id->labels[i].key);
        ops_strbuf_str(b, "=\"");
        put_value(b, id->labels[i].val);
        ops_strbuf_char(b, '"');
    }
    if (id->label_count > 0)
        ops_strbuf_char(b, '}');
}
