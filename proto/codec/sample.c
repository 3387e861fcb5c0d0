/* Sample batches: a series is written once with all the samples that came with it. */
#include "proto/codec/sample.h"

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "proto/codec/batch_internal.h"

enum { VERSION = 1, SAMPLE_BYTES_MAX = OPS_VARINT_BYTES_MAX + 9 };

static const char lead[] = {OPS_SAMPLE_BATCH_TAG, VERSION};

struct ops_sample_writer {
    batch_writer b;
};

ops_sample_writer *ops_sample_writer_new(size_t bytes_max)
{
    ops_sample_writer *w = ops_calloc(1, sizeof *w);
    if (w != NULL)
        batch_init(&w->b, bytes_max);
    return w;
}

void ops_sample_writer_free(ops_sample_writer *w)
{
    if (w == NULL)
        return;
    batch_done(&w->b);
    ops_free(w);
}

ops_status ops_sample_writer_begin(ops_sample_writer *w, ops_slice tenant, int64_t recv_ns)
{
    return batch_begin(&w->b, ops_slice_of(lead, sizeof lead), tenant, recv_ns);
}

static size_t size_bound(const ops_series_id *id, size_t n)
{
    size_t bytes = 64 + id->service.n + id->name.n + n * SAMPLE_BYTES_MAX;
    for (uint32_t i = 0; i < id->label_count; i++)
        bytes += 2 * OPS_VARINT_BYTES_MAX + id->labels[i].key.n + id->labels[i].val.n;
    return bytes;
}

static void put_sample(batch_writer *b, const ops_sample *s, int64_t last_ns)
{
    uint8_t bits[8];
    uint64_t v;
    memcpy(&v, &s->value, sizeof v);
    ops_put_be64(bits, v);
    batch_put_varint(b, ops_zigzag((int64_t)((uint64_t)s->time_ns - (uint64_t)last_ns)));
    ops_strbuf_char(&b->buf, (char)s->flags);
    ops_strbuf_put(&b->buf, bits, sizeof bits);
}

ops_status ops_sample_writer_add(ops_sample_writer *w, const ops_series_id *id, const ops_sample *samples,
                                 size_t n)
{
    batch_writer *b = &w->b;
    if (n == 0 || n > UINT32_MAX / 2 || id->label_count > OPS_SERIES_LABELS_MAX)
        return OPS_ETOOBIG;
    ops_status st = batch_room(b, size_bound(id, n), id->service);
    if (st != OPS_OK)
        return st;
    const size_t mark = b->buf.n;
    int64_t last_ns = b->last_time_ns;
    ops_strbuf_char(&b->buf, (char)id->kind);
    batch_put_service(b, id->service);
    batch_put_bytes(b, id->name);
    batch_put_attrs(b, id->labels, id->label_count);
    batch_put_varint(b, n);
    for (size_t i = 0; i < n; last_ns = samples[i++].time_ns)
        put_sample(b, &samples[i], last_ns);
    st = batch_keep(b, mark, id->service);
    if (st != OPS_OK)
        return st;
    b->last_time_ns = last_ns;
    b->count += (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        batch_saw(b, samples[i].time_ns);
    return OPS_OK;
}

ops_slice ops_sample_writer_bytes(const ops_sample_writer *w)
{
    return ops_strbuf_get(&w->b.buf);
}

uint32_t ops_sample_writer_count(const ops_sample_writer *w)
{
    return w->b.count;
}

int64_t ops_sample_writer_min_time_ns(const ops_sample_writer *w)
{
    return w->b.min_time_ns;
}

int64_t ops_sample_writer_max_time_ns(const ops_sample_writer *w)
{
    return w->b.max_time_ns;
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
