/* Two generations of hashes a tenant: those of this hour, and those of the hour before that were not seen since. */
#include "coordinator/shard/cardinality.h"

#include <pthread.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "base/text/hash.h"

static const int64_t generation_ns = 3600 * INT64_C(1000000000);

typedef struct tenant {
    ops_map64 *now, *before; /* no series is in both */
    int64_t since_ns;
} tenant;

struct ops_cardinality {
    size_t series_max;
    pthread_mutex_t lock;
    ops_map *tenants; /* name -> tenant */
};

ops_status ops_cardinality_new(size_t series_max, ops_cardinality **ret, ops_err *reterr)
{
    ops_cardinality *c = ops_calloc(1, sizeof *c);
    if (c == NULL || (c->tenants = ops_map_new()) == NULL) {
        ops_free(c);
        return ops_fail(reterr, OPS_ENOMEM, "series of tenants");
    }
    c->series_max = series_max;
    (void)pthread_mutex_init(&c->lock, NULL);
    *ret = c;
    return OPS_OK;
}

static void tenant_free(tenant *t)
{
    if (t == NULL)
        return;
    ops_map64_free(t->now);
    ops_map64_free(t->before);
    ops_free(t);
}

void ops_cardinality_free(ops_cardinality *c)
{
    size_t iter = 0;
    ops_slice name;
    void *t;
    if (c == NULL)
        return;
    while (ops_map_next(c->tenants, &iter, &name, &t))
        tenant_free(t);
    ops_map_free(c->tenants);
    (void)pthread_mutex_destroy(&c->lock);
    ops_free(c);
}

static tenant *tenant_of(ops_cardinality *c, ops_slice name, int64_t now_ns)
{
    tenant *t = ops_map_get(c->tenants, name);
    if (t != NULL || ops_map_count(c->tenants) >= OPS_CARDINALITY_TENANTS_MAX)
        return t;
    t = ops_calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->since_ns = now_ns;
    t->now = ops_map64_new();
    t->before = ops_map64_new();
    if (t->now == NULL || t->before == NULL || ops_map_put(c->tenants, name, t, NULL) != OPS_OK) {
        tenant_free(t);
        return NULL;
    }
    return t;
}

/* After an hour what was not seen in it is the elder generation, and the elder one is forgotten. */
static void turn(tenant *t, int64_t now_ns)
{
    if (now_ns - t->since_ns < generation_ns)
        return;
    ops_map64 *fresh = ops_map64_new();
    if (fresh == NULL)
        return; /* at the next sample */
    ops_map64_free(t->before);
    t->before = t->now;
    t->now = fresh;
    t->since_ns = now_ns;
}

static uint64_t hash_of(const ops_series_id *id)
{
    uint64_t h = ops_hash64(id->service.p, id->service.n, 5);
    h = ops_hash64(id->name.p, id->name.n, h);
    for (uint32_t i = 0; i < id->label_count; i++) {
        h = ops_hash64(id->labels[i].key.p, id->labels[i].key.n, h);
        h = ops_hash64(id->labels[i].val.p, id->labels[i].val.n, h);
    }
    return h;
}

static bool admit(ops_cardinality *c, ops_slice name, uint64_t hash, int64_t now_ns)
{
    tenant *t = tenant_of(c, name, now_ns);
    if (t == NULL)
        return false;
    turn(t, now_ns);
    if (ops_map64_has(t->now, hash))
        return true;
    const bool known = ops_map64_has(t->before, hash);
    if (!known && ops_map64_count(t->now) + ops_map64_count(t->before) >= c->series_max)
        return false;
    if (ops_map64_put(t->now, hash, NULL, NULL) != OPS_OK)
        return false;
    (void)ops_map64_del(t->before, hash);
    return true;
}

bool ops_cardinality_admit(ops_cardinality *c, ops_slice tenant_name, const ops_series_id *id, int64_t now_ns)
{
    const uint64_t hash = hash_of(id);
    (void)pthread_mutex_lock(&c->lock);
    const bool in = admit(c, tenant_name, hash, now_ns);
    (void)pthread_mutex_unlock(&c->lock);
    return in;
}

size_t ops_cardinality_count(ops_cardinality *c)
{
    size_t iter = 0, n = 0;
    ops_slice name;
    void *v;
    (void)pthread_mutex_lock(&c->lock);
    while (ops_map_next(c->tenants, &iter, &name, &v))
        n += ops_map64_count(((tenant *)v)->now) + ops_map64_count(((tenant *)v)->before);
    (void)pthread_mutex_unlock(&c->lock);
    return n;
}
