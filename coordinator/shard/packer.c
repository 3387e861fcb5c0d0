/* One packer serves one request at a time and is used again: its buffers stay. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "coordinator/ingest/line.h"
#include "coordinator/shard/packer_internal.h"
#include "coordinator/shard/router.h"

ops_status ops_packer_new(uint32_t partitions, const ops_ingest_limits *limits, int32_t zone_offset_s,
                          ops_packer **ret, ops_err *reterr)
{
    OPS_AUTO(ops_packer_free) ops_packer *p = ops_calloc(1, sizeof *p);
    if (p == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "intake");
    p->partitions = partitions;
    p->limits = *limits;
    p->zone_offset_s = zone_offset_s;
    ops_arena_init(&p->arena, ARENA_BYTES);
    ops_arena_init(&p->line_arena, ARENA_BYTES);
    p->writers = ops_calloc(partitions, sizeof *p->writers);
    p->begun = ops_calloc(partitions, sizeof *p->begun);
    p->sample_writers = ops_calloc(partitions, sizeof *p->sample_writers);
    p->samples_begun = ops_calloc(partitions, sizeof *p->samples_begun);
    p->holdings = ops_calloc(partitions, sizeof *p->holdings);
    if (p->writers == NULL || p->begun == NULL || p->holdings == NULL || p->sample_writers == NULL ||
        p->samples_begun == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "intake of %u partitions", partitions);
    ops_status st = ops_redact_scratch_new(&p->scratch, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(p);
    return st;
}

static void chunks_clear(ops_packer *p)
{
    for (size_t i = 0; i < p->chunks.n; i++)
        ops_free(p->chunks.v[i].owned);
    p->chunks.n = p->marks.n = 0;
    p->entries.n = 0;
}

void ops_packer_free(ops_packer *p)
{
    if (p == NULL)
        return;
    chunks_clear(p);
    for (uint32_t i = 0; p->writers != NULL && i < p->partitions; i++)
        ops_record_writer_free(p->writers[i]);
    for (uint32_t i = 0; p->sample_writers != NULL && i < p->partitions; i++)
        ops_sample_writer_free(p->sample_writers[i]);
    ops_free(p->sample_writers);
    ops_free(p->samples_begun);
    ops_free(p->writers);
    ops_free(p->begun);
    ops_free(p->holdings);
    ops_vec_done(&p->marks);
    ops_vec_done(&p->chunks);
    ops_vec_done(&p->entries);
    ops_free(p->keys);
    ops_redact_scratch_free(p->scratch);
    ops_walk_free(p->walk);
    ops_arena_done(&p->arena);
    ops_arena_done(&p->line_arena);
    ops_free(p);
}

ops_status ops_packer_begin(ops_packer *p, ops_redactor *redactor, ops_slice tenant, int64_t recv_ns,
                            ops_err *reterr)
{
    (void)reterr;
    chunks_clear(p);
    memset(p->begun, 0, p->partitions * sizeof *p->begun);
    memset(p->samples_begun, 0, p->partitions * sizeof *p->samples_begun);
    memset(p->redactions, 0, sizeof p->redactions);
    p->redactor = redactor;
    p->tenant = tenant;
    p->recv_ns = recv_ns;
    p->records = p->oversized = 0;
    p->timeless = false;
    p->service_known = false; /* the redactor may be another one now */
    return OPS_OK;
}

/* At most `max` bytes, and no character in two. */
static ops_slice cut(ops_slice s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && ((uint8_t)s.p[max] & 0xC0) == 0x80)
        max--;
    return ops_slice_of(s.p, max);
}

ops_status ops_packer_place(ops_packer *p, ops_slice service, ops_slice *ret_service, uint32_t *ret_part,
                            ops_err *reterr)
{
    bool fits = service.n <= SERVICE_BYTES_MAX;
    if (p->service_known && fits && ops_slice_eq(service, ops_slice_of(p->service_in, p->service_in_n))) {
        *ret_service = ops_slice_of(p->service_out, p->service_out_n);
        *ret_part = p->service_part;
        return OPS_OK;
    }
    ops_slice name = cut(service, SERVICE_BYTES_MAX), stored = name;
    if (p->redactor != NULL) {
        ops_status st = ops_redact(p->redactor, p->scratch, name, &p->arena, &stored, p->redactions);
        if (st != OPS_OK)
            return ops_fail(reterr, st, "redacting a service name");
    }
    stored = cut(stored, sizeof p->service_out);
    *ret_part = p->service_part = ops_router_partition(p->tenant, stored, p->partitions);
    memcpy(p->service_out, stored.p != NULL ? stored.p : "", stored.n);
    p->service_out_n = stored.n;
    p->service_mark = ops_streamlog_mark(stored);
    *ret_service = ops_slice_of(p->service_out, stored.n);
    p->service_known = fits;
    if (fits) {
        memcpy(p->service_in, service.p != NULL ? service.p : "", service.n);
        p->service_in_n = service.n;
    }
    return OPS_OK;
}

static ops_status redact_record(ops_packer *p, ops_record *r, ops_err *reterr)
{
    uint32_t before = 0, after = 0;
    ops_status st = OPS_OK;
    for (unsigned k = 0; k < OPS_REDACT_KIND_COUNT; k++)
        before += p->redactions[k];
    st = ops_redact(p->redactor, p->scratch, r->message, &p->arena, &r->message, p->redactions);
    uint32_t n = r->attr_count < OPS_RECORD_ATTRS_MAX ? r->attr_count : OPS_RECORD_ATTRS_MAX;
    for (uint32_t i = 0; st == OPS_OK && i < n; i++) {
        p->attrs[i].key = r->attrs[i].key;
        st = ops_redact_pair(p->redactor, p->scratch, r->attrs[i].key, r->attrs[i].val, &p->arena,
                             &p->attrs[i].val, p->redactions);
    }
    if (st != OPS_OK)
        return ops_fail(reterr, st, "redacting a record of %zu bytes", r->message.n);
    r->attrs = p->attrs;
    r->attr_count = n;
    for (unsigned k = 0; k < OPS_REDACT_KIND_COUNT; k++)
        after += p->redactions[k];
    if (after != before)
        r->flags |= OPS_RECORD_REDACTED;
    return OPS_OK;
}

/* What a collector sends that tails files: the line is the body, and nothing else is known of it. */
static void open_raw_line(ops_packer *p, ops_record *r, ops_attr *attrs)
{
    ops_record line;
    const ops_line_ctx ctx = {.limits = &p->limits,
                              .recv_ns = p->recv_ns,
                              .zone_offset_s = p->zone_offset_s,
                              .service = r->service};
    ops_arena_clear(&p->line_arena);
    if (ops_line_parse(&ctx, r->message, &p->line_arena, &line, NULL, NULL) == OPS_LINE_PLAIN)
        return;
    r->message = line.message;
    r->severity = line.severity;
    if ((r->flags & OPS_RECORD_NO_TIME) != 0 && (line.flags & OPS_RECORD_NO_TIME) == 0) {
        r->time_ns = line.time_ns;
        r->flags = (r->flags & ~(uint32_t)OPS_RECORD_NO_TIME) | (line.flags & OPS_RECORD_TIME_CLAMPED);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->attr_count && n < OPS_RECORD_ATTRS_MAX; i++)
        attrs[n++] = r->attrs[i];
    for (uint32_t i = 0; i < line.attr_count && n < OPS_RECORD_ATTRS_MAX; i++)
        attrs[n++] = line.attrs[i];
    r->attrs = attrs;
    r->attr_count = n;
}

static ops_status push_chunk(ops_packer *p, uint32_t part, bool copy, ops_err *reterr)
{
    ops_record_writer *w = p->writers[part];
    chunk c = {.part = part,
               .count = ops_record_writer_count(w),
               .min_ns = ops_record_writer_min_time_ns(w),
               .max_ns = ops_record_writer_max_time_ns(w),
               .bytes = ops_record_writer_bytes(w),
               .severities = p->holdings[part].severities,
               .marks_at = p->marks.n,
               .mark_count = p->holdings[part].mark_count};
    for (size_t i = 0; i < c.mark_count; i++)
        if (!ops_vec_push(&p->marks, p->holdings[part].marks[i]))
            return ops_fail(reterr, OPS_ENOMEM, "intake: %zu services", c.mark_count);
    if (copy) {
        c.owned = ops_memdup(c.bytes.p, c.bytes.n);
        c.bytes.p = c.owned;
    }
    if ((copy && c.owned == NULL) || !ops_vec_push(&p->chunks, c)) {
        ops_free(c.owned);
        return ops_fail(reterr, OPS_ENOMEM, "intake: a batch of %zu bytes", c.bytes.n);
    }
    p->begun[part] = false;
    return OPS_OK;
}

static ops_status writer_ready(ops_packer *p, uint32_t part, ops_err *reterr)
{
    if (p->writers[part] == NULL)
        p->writers[part] = ops_record_writer_new(OPS_RECORD_BATCH_BYTES_MAX);
    if (p->writers[part] == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "intake: partition %u", part);
    if (p->begun[part])
        return OPS_OK;
    ops_status st = ops_record_writer_begin(p->writers[part], p->tenant, p->recv_ns);
    p->begun[part] = st == OPS_OK;
    p->holdings[part].severities = 0;
    p->holdings[part].mark_count = 0;
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "intake: partition %u", part);
}

static void hold(holding *h, uint32_t mark, uint8_t severity)
{
    h->severities |= 1u << (severity <= 24 ? severity : 0);
    /* Requests come grouped by service: the last one is the likely one. */
    for (size_t i = h->mark_count; i > 0; i--)
        if (h->marks[i - 1] == mark)
            return;
    if (h->mark_count <= OPS_STREAMLOG_SERVICES_MAX)
        h->marks[h->mark_count++] = mark;
}

static ops_status store(ops_packer *p, uint32_t part, const ops_record *r, ops_err *reterr)
{
    ops_status st = writer_ready(p, part, reterr);
    if (st != OPS_OK)
        return st;
    st = ops_record_writer_add(p->writers[part], r);
    if (st == OPS_EAGAIN) {
        st = push_chunk(p, part, true, reterr);
        if (st == OPS_OK)
            st = writer_ready(p, part, reterr);
        if (st == OPS_OK)
            st = ops_record_writer_add(p->writers[part], r);
    }
    if (st == OPS_ETOOBIG) {
        p->oversized++;
        return OPS_OK;
    }
    if (st != OPS_OK)
        return ops_fail(reterr, st, "intake: packing a record of %zu bytes", r->message.n);
    p->records++;
    hold(&p->holdings[part], p->service_mark, r->severity);
    if (ops_record_writer_bytes(p->writers[part]).n >= CHUNK_BYTES)
        return push_chunk(p, part, true, reterr);
    return OPS_OK;
}

ops_status ops_packer_add(void *packer, const ops_record *in, ops_err *reterr)
{
    ops_packer *p = packer;
    ops_record r = *in;
    ops_attr attrs[OPS_RECORD_ATTRS_MAX];
    uint32_t part;
    ops_arena_clear(&p->arena);
    if (r.severity == 0)
        open_raw_line(p, &r, attrs);
    if ((r.flags & OPS_RECORD_NO_TIME) != 0)
        p->timeless = true;
    ops_status st = p->redactor != NULL ? redact_record(p, &r, reterr) : OPS_OK;
    if (st == OPS_OK)
        st = ops_packer_place(p, r.service, &r.service, &part, reterr);
    return st == OPS_OK ? store(p, part, &r, reterr) : st;
}

struct masking {
    ops_packer *p;
    ops_status st;
};

/* Secrets inside kept protobuf become asterisks of the same length, so that the message stays whole. The bytes are the
 * packer's own copy, which the walk only reads. */
static void mask(void *u, ops_slice key, ops_slice text)
{
    struct masking *x = u;
    ops_packer *p = x->p;
    const ops_redact_span *spans;
    size_t count;
    char *bytes = (char *)(uintptr_t)text.p;
    if (x->st != OPS_OK || text.n == 0)
        return;
    x->st = ops_redact_find(p->redactor, p->scratch, text, &spans, &count);
    for (size_t i = 0; x->st == OPS_OK && i < count; i++) {
        memset(bytes + spans[i].start, '*', spans[i].end - spans[i].start);
        p->redactions[spans[i].kind]++;
    }
    if (x->st != OPS_OK || count > 0 || key.n == 0)
        return;
    ops_slice out;
    ops_arena_clear(&p->line_arena);
    x->st = ops_redact_pair(p->redactor, p->scratch, key, text, &p->line_arena, &out, p->redactions);
    if (x->st == OPS_OK && out.p != text.p) /* the key says that the whole value is secret */
        memset(bytes, '*', text.n);
}

static ops_status mask_opaque(ops_packer *p, char tag, ops_slice raw, ops_err *reterr)
{
    struct masking x = {.p = p};
    if (p->redactor == NULL)
        return OPS_OK;
    if (p->walk == NULL) {
        ops_walk_limits limits;
        ops_walk_limits_default(&limits);
        ops_status st = ops_walk_new(&limits, &p->walk, reterr);
        if (st != OPS_OK)
            return st;
    }
    ops_status st = ops_walk_texts(p->walk, raw, tag == 'T', mask, &x, reterr);
    if (st == OPS_OK && x.st != OPS_OK)
        st = ops_fail(reterr, x.st, "redacting a resource of %zu bytes", raw.n);
    return st;
}

ops_status ops_packer_add_opaque(ops_packer *p, char tag, ops_slice service, ops_slice raw, uint64_t items,
                                 int64_t min_ns, int64_t max_ns, ops_err *reterr)
{
    ops_slice name;
    uint32_t part;
    ops_arena_clear(&p->arena);
    ops_status st = ops_packer_place(p, service, &name, &part, reterr);
    if (st != OPS_OK)
        return st;
    uint8_t varint[OPS_VARINT_BYTES_MAX];
    ops_strbuf b;
    ops_strbuf_init(&b, OPS_STREAMLOG_ENTRY_BYTES_MAX);
    ops_strbuf_char(&b, tag);
    ops_strbuf_put(&b, varint, ops_varint_put(varint, p->tenant.n));
    ops_strbuf_slice(&b, p->tenant);
    ops_strbuf_put(&b, varint, ops_varint_put(varint, name.n));
    ops_strbuf_slice(&b, name);
    ops_strbuf_slice(&b, raw);
    if (b.failed) {
        ops_strbuf_done(&b);
        return ops_fail(reterr, OPS_ETOOBIG, "one resource of %zu bytes", raw.n);
    }
    st = mask_opaque(p, tag, ops_slice_of(b.p + b.n - raw.n, raw.n), reterr);
    if (st != OPS_OK) {
        ops_strbuf_done(&b);
        return st;
    }
    size_t n = b.n;
    chunk c = {.part = part,
               .count = items > UINT32_MAX ? UINT32_MAX : (uint32_t)items,
               .min_ns = min_ns,
               .max_ns = max_ns,
               .owned = ops_strbuf_take(&b)};
    c.bytes = ops_slice_of(c.owned, n);
    if (!ops_vec_push(&p->chunks, c)) {
        ops_free(c.owned);
        return ops_fail(reterr, OPS_ENOMEM, "intake: a batch of %zu bytes", n);
    }
    return OPS_OK;
}

static bool keys_room(ops_packer *p, size_t n)
{
    if (n <= p->keys_cap)
        return true;
    void *more = ops_realloc(p->keys, n * sizeof *p->keys);
    if (more == NULL)
        return false;
    p->keys = more;
    p->keys_cap = n;
    return true;
}

/* Which entry of which request: the seed, the partition and the ordinal mixed into 16 bytes. */
static void dedupe_key(uint8_t out[OPS_STREAMLOG_DEDUPE_BYTES], const uint8_t *seed, uint32_t part,
                       size_t ordinal)
{
    uint8_t in[OPS_STREAMLOG_DEDUPE_BYTES + 12];
    memcpy(in, seed, OPS_STREAMLOG_DEDUPE_BYTES);
    ops_put_be32(in + OPS_STREAMLOG_DEDUPE_BYTES, part);
    ops_put_be64(in + OPS_STREAMLOG_DEDUPE_BYTES + 4, ordinal);
    ops_put_be64(out, ops_hash64(in, sizeof in, 1));
    ops_put_be64(out + 8, ops_hash64(in, sizeof in, 2));
}

ops_status ops_packer_finish(ops_packer *p, const uint8_t *seed, ops_slice note_key, ops_slice note,
                             const ops_streamlog_entry **ret, size_t *ret_count, ops_err *reterr)
{
    for (uint32_t part = 0; part < p->partitions; part++)
        if (p->begun[part] && ops_record_writer_count(p->writers[part]) > 0) {
            ops_status st = push_chunk(p, part, false, reterr);
            if (st != OPS_OK)
                return st;
        }
    ops_status samples = ops_packer_samples_finish(p, reterr);
    if (samples != OPS_OK)
        return samples;
    bool keyed = seed != NULL && !p->timeless;
    if (keyed && !keys_room(p, p->chunks.n))
        return ops_fail(reterr, OPS_ENOMEM, "intake: %zu batches", p->chunks.n);
    for (size_t i = 0; i < p->chunks.n; i++) {
        const chunk *c = &p->chunks.v[i];
        if (keyed)
            dedupe_key(p->keys[i], seed, c->part, i);
        const ops_streamlog_entry e = {.part = c->part,
                                       .payload = c->bytes,
                                       .record_count = c->count,
                                       .recv_ns = p->recv_ns,
                                       .min_time_ns = c->min_ns,
                                       .max_time_ns = c->max_ns,
                                       .dedupe = keyed ? p->keys[i] : NULL,
                                       .tenant = ops_streamlog_mark(p->tenant),
                                       .severities = c->severities,
                                       .services = c->mark_count > 0 ? p->marks.v + c->marks_at : NULL,
                                       .service_count = c->mark_count};
        if (!ops_vec_push(&p->entries, e))
            return ops_fail(reterr, OPS_ENOMEM, "intake: %zu batches", p->chunks.n);
    }
    if (p->entries.n > 0) {
        p->entries.v[p->entries.n - 1].note_key = note_key;
        p->entries.v[p->entries.n - 1].note = note;
    }
    *ret = p->entries.v;
    *ret_count = p->entries.n;
    return OPS_OK;
}

uint64_t ops_packer_records(const ops_packer *p)
{
    return p->records;
}

uint64_t ops_packer_oversized(const ops_packer *p)
{
    return p->oversized;
}

const uint32_t *ops_packer_redactions(const ops_packer *p)
{
    return p->redactions;
}
