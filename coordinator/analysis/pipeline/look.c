/* Templates seen from outside: pins, statistics, lineage, where they occur. */
#include "coordinator/analysis/pipeline/state.h"

static const tenant *tenant_named(const ops_pipeline *p, ops_slice name, uint32_t *ret_index)
{
    uintptr_t at = (uintptr_t)ops_map_get(p->tenant_of, ops_slice_sub(name, 0, NAME_BYTES_MAX));
    if (at == 0)
        return NULL;
    *ret_index = (uint32_t)at - 1;
    return p->tenants.v[at - 1];
}

ops_status ops_pipeline_pins_set(ops_pipeline *p, const ops_pin_set *pins, ops_err *reterr)
{
    p->pins = *pins;
    p->pinned = true;
    for (size_t i = 0; i < p->tenants.n; i++) {
        ops_status st = ops_miner_pins_set(p->tenants.v[i]->miner, pins, reterr);
        p->tenants.v[i]->dirty = true;
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

bool ops_pipeline_next_template_of(const ops_pipeline *p, ops_slice name, size_t *iter,
                                   ops_template_info *ret)
{
    uint32_t index;
    const tenant *t = tenant_named(p, name, &index);
    return t != NULL && ops_miner_next(t->miner, iter, ret);
}

const ops_slots *ops_pipeline_slots(const ops_pipeline *p, ops_slice name, uint64_t id)
{
    uint32_t index;
    const tenant *t = tenant_named(p, name, &index);
    return t != NULL ? ops_miner_slots(t->miner, id) : NULL;
}

void ops_pipeline_slots_due(ops_pipeline *p, size_t bytes)
{
    for (size_t i = 0; i < p->tenants.n; i++) {
        ops_miner_slots_due(p->tenants.v[i]->miner, bytes / p->tenants.n);
        p->tenants.v[i]->dirty = true;
    }
}

bool ops_pipeline_next_fold(const ops_pipeline *p, ops_slice name, size_t *iter, ops_miner_fold_info *ret)
{
    uint32_t index;
    const tenant *t = tenant_named(p, name, &index);
    return t != NULL && ops_miner_next_fold_info(t->miner, iter, ret);
}

void ops_pipeline_template_streams(const ops_pipeline *p, ops_slice name, uint64_t id,
                                   ops_pipeline_on_occurrence fn, void *u)
{
    uint32_t index;
    const tenant *t = tenant_named(p, name, &index);
    for (size_t i = 0; t != NULL && i < p->streams.n; i++) {
        const stream *s = p->streams.v[i];
        uint64_t count = 0, errors = 0, key;
        void *value;
        if (s->tenant != index)
            continue;
        for (size_t iter = 0; ops_map64_next(s->rows, &iter, &key, &value);) {
            const row *r = value;
            if (r->id != id && ops_miner_resolve(t->miner, r->id) != id)
                continue;
            count += r->total;
            errors += r->error ? r->total : 0;
        }
        if (count > 0)
            fn(u, ops_slice_of(s->service, s->service_n), count, errors);
    }
}
