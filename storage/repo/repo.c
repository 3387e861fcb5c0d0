/* Partition state and the outbox. */
#include "storage/repo/repo.h"

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/repo/repo_internal.h"

enum { HEAD_KEY_BYTES = 5, OUTBOX_KEY_BYTES = 14 };

const char *const ops_repo_families[] = {"state", "outbox", "tenant",   "findings",
                                         "meta",  "notify", "incidents"};

static void state_key(uint8_t key[HEAD_KEY_BYTES], uint32_t part, char kind)
{
    ops_put_be32(key, part);
    key[4] = (uint8_t)kind;
}

/* A u64 of the meta family; 0 when absent. */
static ops_status meta_get(ops_repo *r, ops_slice key, uint64_t *ret, ops_err *reterr)
{
    char *val = NULL;
    size_t n = 0;
    ops_status st = ops_kv_get(r->kv, FAMILY_META, key, &val, &n, reterr);
    *ret = st == OPS_OK && n == 8 ? ops_get_be64(val) : 0;
    bool bad = st == OPS_OK && n != 8;
    ops_free(val);
    if (bad)
        return ops_fail(reterr, OPS_ECORRUPT, "repository: meta record '" OPS_SLICE_FMT "' of %zu bytes",
                        OPS_SLICE_ARG(key), n);
    return st == OPS_ENOTFOUND ? OPS_OK : st;
}

static ops_status check_schema(ops_repo *r, ops_err *reterr)
{
    uint64_t schema;
    ops_status st = meta_get(r, OPS_SLICE("schema"), &schema, reterr);
    if (st != OPS_OK || schema == OPS_REPO_SCHEMA)
        return st;
    if (schema != 0)
        return ops_fail(reterr, OPS_ECONFLICT, "repository: schema %llu, this version reads %d",
                        (unsigned long long)schema, OPS_REPO_SCHEMA);
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: opening");
    uint8_t val[8];
    ops_put_be64(val, OPS_REPO_SCHEMA);
    ops_kv_batch_put(b, FAMILY_META, OPS_SLICE("schema"), ops_slice_of(val, sizeof val));
    return ops_kv_write(r->kv, b, true, reterr);
}

static ops_status load_fold(ops_repo *r, uint32_t part, ops_err *reterr)
{
    uint8_t key[HEAD_KEY_BYTES];
    char *val = NULL;
    size_t n = 0;
    state_key(key, part, 'h');
    ops_status st = ops_kv_get(r->kv, FAMILY_STATE, ops_slice_of(key, sizeof key), &val, &n, reterr);
    if (st == OPS_ENOTFOUND)
        return OPS_OK;
    if (st == OPS_OK)
        st = ops_fold_state_get(ops_slice_of(val, n), &r->fold[part], reterr);
    if (st != OPS_OK)
        ops_err_prefix(reterr, "repository: partition %u", part);
    ops_free(val);
    return st;
}

ops_status ops_repo_open(ops_kv *kv, uint32_t partitions, ops_repo **ret, ops_err *reterr)
{
    if (partitions == 0 || partitions > REPO_PARTITIONS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "repository: %u partitions, 1 to %d can be had", partitions,
                        REPO_PARTITIONS_MAX);
    ops_repo *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: opening");
    r->kv = kv;
    r->partitions = partitions;
    (void)pthread_mutex_init(&r->lock, NULL);
    ops_status st = check_schema(r, reterr);
    if (st == OPS_OK)
        st = meta_get(r, OPS_SLICE("revision"), &r->revision, reterr);
    if (st == OPS_OK)
        st = meta_get(r, OPS_SLICE("notice"), &r->notice, reterr);
    if (st == OPS_OK)
        st = meta_get(r, OPS_SLICE("incident_revision"), &r->incident_revision, reterr);
    for (uint32_t part = 0; st == OPS_OK && part < partitions; part++)
        st = load_fold(r, part, reterr);
    if (st == OPS_OK)
        st = ops_repo_sync(r, reterr); /* what was found may have been in the page cache only */
    if (st != OPS_OK) {
        ops_repo_free(r);
        return st;
    }
    *ret = r;
    return OPS_OK;
}

void ops_repo_note_durable(ops_repo *r)
{
    memcpy(r->durable, r->fold, sizeof r->durable);
}

void ops_repo_free(ops_repo *r)
{
    if (r == NULL)
        return;
    (void)pthread_mutex_destroy(&r->lock);
    ops_free(r);
}

static ops_status check_part(const ops_repo *r, uint32_t part, ops_err *reterr)
{
    return part < r->partitions
               ? OPS_OK
               : ops_fail(reterr, OPS_EINVAL, "repository: partition %u of %u", part, r->partitions);
}

static void put_fold(ops_kv_batch *b, uint32_t part, const ops_fold_state *state)
{
    uint8_t key[HEAD_KEY_BYTES], val[OPS_FOLD_STATE_BYTES];
    state_key(key, part, 'h');
    ops_fold_state_put(state, val);
    ops_kv_batch_put(b, FAMILY_STATE, ops_slice_of(key, sizeof key), ops_slice_of(val, sizeof val));
}

ops_status ops_repo_fence(ops_repo *r, uint32_t part, ops_fold_state *ret, ops_err *reterr)
{
    ops_status st = check_part(r, part, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: fencing partition %u", part);
    (void)pthread_mutex_lock(&r->lock);
    ops_fold_state next = r->fold[part];
    (void)ops_fold_fence(&next, next.epoch + 1);
    put_fold(b, part, &next);
    st = ops_kv_write(r->kv, b, true, reterr);
    if (st == OPS_OK) {
        r->fold[part] = next;
        ops_repo_note_durable(r);
        *ret = next;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return st;
}

static ops_status look(ops_repo *r, const ops_fold_state *states, uint32_t part, ops_fold_state *ret,
                       ops_err *reterr)
{
    ops_status st = check_part(r, part, reterr);
    if (st != OPS_OK)
        return st;
    (void)pthread_mutex_lock(&r->lock);
    *ret = states[part];
    (void)pthread_mutex_unlock(&r->lock);
    return OPS_OK;
}

ops_status ops_repo_position(ops_repo *r, uint32_t part, ops_fold_state *ret, ops_err *reterr)
{
    return look(r, r->fold, part, ret, reterr);
}

ops_status ops_repo_durable(ops_repo *r, uint32_t part, ops_fold_state *ret, ops_err *reterr)
{
    return look(r, r->durable, part, ret, reterr);
}

ops_status ops_repo_sync(ops_repo *r, ops_err *reterr)
{
    (void)pthread_mutex_lock(&r->lock);
    ops_status st = ops_kv_sync(r->kv, reterr);
    if (st == OPS_OK)
        ops_repo_note_durable(r);
    (void)pthread_mutex_unlock(&r->lock);
    return st;
}

static void put_writes(ops_kv_batch *b, ops_strbuf *key, const ops_delta *d)
{
    for (size_t i = 0; i < d->write_count; i++) {
        uint8_t head[HEAD_KEY_BYTES];
        state_key(head, d->part, 's');
        ops_strbuf_clear(key);
        ops_strbuf_put(key, head, sizeof head);
        ops_strbuf_slice(key, d->writes[i].key);
        if (d->writes[i].val.n > 0)
            ops_kv_batch_put(b, FAMILY_STATE, ops_strbuf_get(key), d->writes[i].val);
        else
            ops_kv_batch_del(b, FAMILY_STATE, ops_strbuf_get(key));
    }
}

static void outbox_key(uint8_t key[OUTBOX_KEY_BYTES], ops_effect_id id)
{
    ops_put_be32(key, id.part);
    ops_put_be64(key + 4, id.seq);
    ops_put_be16(key + 12, id.ordinal);
}

static void put_effects(ops_kv_batch *b, const ops_delta *d, uint64_t seq)
{
    for (size_t i = 0; i < d->effect_count; i++) {
        uint8_t key[OUTBOX_KEY_BYTES];
        outbox_key(key, (ops_effect_id){d->part, seq, (uint16_t)i});
        ops_kv_batch_put(b, FAMILY_OUTBOX, ops_slice_of(key, sizeof key), d->effects[i]);
    }
}

static ops_status check_delta(const ops_repo *r, const ops_delta *d, ops_err *reterr)
{
    ops_status st = check_part(r, d->part, reterr);
    if (st == OPS_OK && (d->write_count > OPS_DELTA_WRITES_MAX || d->effect_count > OPS_DELTA_EFFECTS_MAX))
        st = ops_fail(reterr, OPS_ETOOBIG, "repository: a DELTA of %zu writes and %zu effects",
                      d->write_count, d->effect_count);
    return st;
}

ops_status ops_repo_commit(ops_repo *r, const ops_delta *d, bool sync, ops_fold_state *ret, ops_err *reterr)
{
    ops_status st = check_delta(r, d, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: partition %u", d->part);
    ops_strbuf key;
    ops_strbuf_init(&key, 1 << 16);
    put_writes(b, &key, d);
    bool built = !key.failed;
    ops_strbuf_done(&key);
    if (!built)
        return ops_fail(reterr, OPS_ENOMEM, "repository: partition %u: a state key", d->part);
    (void)pthread_mutex_lock(&r->lock);
    ops_fold_state next = r->fold[d->part];
    if (ops_fold_delta(&next, d, OPS_FOLD_ALL)) {
        put_effects(b, d, next.seq);
        put_fold(b, d->part, &next);
        st = ops_kv_write(r->kv, b, sync, reterr);
    } else {
        st = ops_fail(reterr, OPS_ECONFLICT,
                      "repository: partition %u: the DELTA from %llu does not count: %s", d->part,
                      (unsigned long long)d->from, ops_fold_why_not(&r->fold[d->part], d));
    }
    if (st == OPS_OK) {
        r->fold[d->part] = next;
        if (sync)
            ops_repo_note_durable(r);
        if (ret != NULL)
            *ret = next;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return st;
}

struct strip {
    size_t head_bytes;
    ops_kv_fn fn;
    void *u;
};

static ops_status strip_head(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    const struct strip *x = u;
    return x->fn(x->u, ops_slice_sub(key, x->head_bytes, key.n), val, reterr);
}

ops_status ops_repo_state_scan(ops_repo *r, uint32_t part, ops_kv_fn fn, void *u, ops_err *reterr)
{
    uint8_t from[HEAD_KEY_BYTES], to[HEAD_KEY_BYTES];
    struct strip x = {HEAD_KEY_BYTES, fn, u};
    ops_status st = check_part(r, part, reterr);
    state_key(from, part, 's');
    state_key(to, part, 's' + 1);
    if (st != OPS_OK)
        return st;
    return ops_kv_scan(r->kv, FAMILY_STATE, ops_slice_of(from, sizeof from), ops_slice_of(to, sizeof to),
                       strip_head, &x, reterr);
}

struct effects {
    ops_repo_effect_fn fn;
    void *u;
};

static ops_status one_effect(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    const struct effects *x = u;
    if (key.n != OUTBOX_KEY_BYTES)
        return ops_fail(reterr, OPS_ECORRUPT, "repository: an outbox key of %zu bytes", key.n);
    ops_effect_id id = {ops_get_be32(key.p), ops_get_be64(key.p + 4), ops_get_be16(key.p + 12)};
    return x->fn(x->u, id, val, reterr);
}

ops_status ops_repo_outbox_scan(ops_repo *r, ops_repo_effect_fn fn, void *u, ops_err *reterr)
{
    struct effects x = {fn, u};
    return ops_kv_scan(r->kv, FAMILY_OUTBOX, OPS_SLICE(""), OPS_SLICE(""), one_effect, &x, reterr);
}
