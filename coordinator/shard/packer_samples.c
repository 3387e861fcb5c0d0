/* Samples of one request into log entries. */
#include "base/mem/alloc.h"
#include "coordinator/shard/packer_internal.h"

static ops_status push(ops_packer *p, uint32_t part, ops_err *reterr)
{
    const ops_sample_writer *w = p->sample_writers[part];
    const ops_slice bytes = ops_sample_writer_bytes(w);
    chunk c = {.part = part,
               .count = ops_sample_writer_count(w),
               .min_ns = ops_sample_writer_min_time_ns(w),
               .max_ns = ops_sample_writer_max_time_ns(w),
               .owned = ops_memdup(bytes.p, bytes.n)};
    c.bytes = ops_slice_of(c.owned, bytes.n);
    if (c.owned == NULL || !ops_vec_push(&p->chunks, c)) {
        ops_free(c.owned);
        return ops_fail(reterr, OPS_ENOMEM, "intake: a batch of %zu bytes", bytes.n);
    }
    p->samples_begun[part] = false;
    return OPS_OK;
}

static ops_status ready(ops_packer *p, uint32_t part, ops_err *reterr)
{
    if (p->sample_writers[part] == NULL)
        p->sample_writers[part] = ops_sample_writer_new(OPS_RECORD_BATCH_BYTES_MAX);
    if (p->sample_writers[part] == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "intake: partition %u", part);
    if (p->samples_begun[part])
        return OPS_OK;
    ops_status st = ops_sample_writer_begin(p->sample_writers[part], p->tenant, p->recv_ns);
    p->samples_begun[part] = st == OPS_OK;
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "intake: partition %u", part);
}

static ops_status redact(ops_packer *p, ops_series_id *id, ops_err *reterr)
{
    ops_status st = ops_redact(p->redactor, p->scratch, id->name, &p->arena, &id->name, p->redactions);
    for (uint32_t i = 0; st == OPS_OK && i < id->label_count; i++) {
        p->attrs[i].key = id->labels[i].key;
        st = ops_redact_pair(p->redactor, p->scratch, id->labels[i].key, id->labels[i].val, &p->arena,
                             &p->attrs[i].val, p->redactions);
    }
    id->labels = p->attrs;
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "redacting a series of %u labels", id->label_count);
}

static ops_status store(ops_packer *p, uint32_t part, const ops_series_id *id, const ops_sample *samples,
                        size_t n, ops_err *reterr)
{
    ops_status st = ready(p, part, reterr);
    if (st != OPS_OK)
        return st;
    st = ops_sample_writer_add(p->sample_writers[part], id, samples, n);
    if (st == OPS_EAGAIN) {
        st = push(p, part, reterr);
        if (st == OPS_OK)
            st = ready(p, part, reterr);
        if (st == OPS_OK)
            st = ops_sample_writer_add(p->sample_writers[part], id, samples, n);
    }
    if (st == OPS_OK && ops_sample_writer_bytes(p->sample_writers[part]).n >= CHUNK_BYTES)
        st = push(p, part, reterr);
    return st;
}

ops_status ops_packer_add_samples(void *packer, const ops_series_id *in, const ops_sample *samples, size_t n,
                                  ops_sample_reason *ret_reason, ops_err *reterr)
{
    ops_packer *p = packer;
    ops_series_id id = *in;
    uint32_t part;
    ops_arena_clear(&p->arena);
    for (size_t i = 0; i < n; i++)
        p->timeless |= (samples[i].flags & OPS_SAMPLE_NO_TIME) != 0;
    ops_status st = p->redactor != NULL ? redact(p, &id, reterr) : OPS_OK;
    if (st == OPS_OK)
        st = ops_packer_place(p, id.service, &id.service, &part, reterr);
    if (st != OPS_OK)
        return st;
    /* A service's series can be many and one's samples too: neither may make an entry that is too large to be analysed at
     * one go. */
    enum { SAMPLES_MAX = 4096 };
    for (size_t from = 0; st == OPS_OK && from < n; from += SAMPLES_MAX)
        st = store(p, part, &id, samples + from, n - from < SAMPLES_MAX ? n - from : SAMPLES_MAX, reterr);
    if (st != OPS_ETOOBIG)
        return st;
    *ret_reason = OPS_SAMPLE_SIZE;
    return OPS_OK;
}

ops_status ops_packer_samples_finish(ops_packer *p, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (uint32_t part = 0; st == OPS_OK && part < p->partitions; part++)
        if (p->samples_begun[part] && ops_sample_writer_count(p->sample_writers[part]) > 0)
            st = push(p, part, reterr);
    return st;
}
