/* The fold. */
#include "storage/repo/delta.h"

#include "base/text/codec.h"
#include "base/text/hash.h"

static uint64_t hash_slice(uint64_t h, ops_slice s)
{
    return ops_hash64(s.p, s.n, ops_hash_mix(h ^ s.n));
}

uint64_t ops_delta_hash(const ops_delta *d)
{
    const uint64_t head[] = {d->part, d->epoch, d->from, d->to, d->write_count, d->effect_count};
    uint64_t h = ops_hash64(head, sizeof head, d->prev_hash);
    for (size_t i = 0; i < d->write_count; i++)
        h = hash_slice(hash_slice(h, d->writes[i].key), d->writes[i].val);
    for (size_t i = 0; i < d->effect_count; i++)
        h = hash_slice(h, d->effects[i]);
    return h != 0 ? h : 1;
}

static unsigned broken(const ops_fold_state *state, const ops_delta *d)
{
    unsigned bad = 0;
    bad |= d->epoch != state->epoch ? OPS_FOLD_EPOCH : 0u;
    bad |= d->from != state->pos || d->to < d->from ? OPS_FOLD_POSITION : 0u;
    bad |= d->prev_hash != state->hash ? OPS_FOLD_CHAIN : 0u;
    return bad;
}

bool ops_fold_delta(ops_fold_state *state, const ops_delta *d, unsigned rules)
{
    if ((broken(state, d) & rules) != 0)
        return false;
    state->pos = d->to;
    state->hash = ops_delta_hash(d);
    state->seq++;
    return true;
}

bool ops_fold_fence(ops_fold_state *state, uint64_t epoch)
{
    if (epoch <= state->epoch)
        return false;
    state->epoch = epoch;
    return true;
}

const char *ops_fold_why_not(const ops_fold_state *state, const ops_delta *d)
{
    unsigned bad = broken(state, d);
    if ((bad & OPS_FOLD_EPOCH) != 0)
        return "its epoch is not the newest: another owner took over";
    if ((bad & OPS_FOLD_POSITION) != 0)
        return "it does not start where the partition stands";
    if ((bad & OPS_FOLD_CHAIN) != 0)
        return "it was built on another history";
    return NULL;
}

void ops_fold_state_put(const ops_fold_state *state, uint8_t out[OPS_FOLD_STATE_BYTES])
{
    ops_put_be64(out, state->epoch);
    ops_put_be64(out + 8, state->pos);
    ops_put_be64(out + 16, state->hash);
    ops_put_be64(out + 24, state->seq);
    ops_put_be32(out + 32, ops_crc32c(out, 32, 0));
}

ops_status ops_fold_state_get(ops_slice bytes, ops_fold_state *ret, ops_err *reterr)
{
    if (bytes.n != OPS_FOLD_STATE_BYTES || ops_get_be32(bytes.p + 32) != ops_crc32c(bytes.p, 32, 0))
        return ops_fail(reterr, OPS_ECORRUPT, "position record of %zu bytes is damaged", bytes.n);
    *ret = (ops_fold_state){ops_get_be64(bytes.p), ops_get_be64(bytes.p + 8), ops_get_be64(bytes.p + 16),
                            ops_get_be64(bytes.p + 24)};
    return OPS_OK;
}
