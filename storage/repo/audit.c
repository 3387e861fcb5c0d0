/* The audit: numbered entries of a topic, newest first, a bounded number of them. */
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/repo/repo_internal.h"

enum { KEY_BYTES_MAX = 2 + OPS_REPO_NAME_BYTES_MAX + 8 };

typedef struct entry_key {
    uint8_t bytes[KEY_BYTES_MAX];
    size_t n;
} entry_key;

/* Numbers stand inverted, so that the newest comes first. */
static entry_key key_of(ops_slice topic, uint64_t number)
{
    entry_key k = {.n = 0};
    k.bytes[k.n++] = 'a';
    memcpy(k.bytes + k.n, topic.p, topic.n);
    k.n += topic.n;
    k.bytes[k.n++] = 0;
    ops_put_be64(k.bytes + k.n, UINT64_MAX - number);
    k.n += 8;
    return k;
}

static ops_slice slice_of(const entry_key *k)
{
    return ops_slice_of(k->bytes, k->n);
}

static ops_status check_topic(ops_slice topic, ops_err *reterr)
{
    bool ok = topic.n > 0 && topic.n <= OPS_REPO_NAME_BYTES_MAX && memchr(topic.p, '\0', topic.n) == NULL;
    return ok ? OPS_OK : ops_fail(reterr, OPS_EINVAL, "repository: audit topic of %zu bytes", topic.n);
}

typedef struct walk {
    ops_repo_audit_fn fn;
    void *u;
    uint64_t newest;
} walk;

static ops_status on_entry(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    const walk *w = u;
    return w->fn(w->u, UINT64_MAX - ops_get_be64(key.p + key.n - 8), val, reterr);
}

static ops_status on_newest(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    walk *w = u;
    (void)val;
    (void)reterr;
    w->newest = UINT64_MAX - ops_get_be64(key.p + key.n - 8);
    return OPS_ECANCELLED;
}

static ops_status scan(ops_repo *r, ops_slice topic, uint64_t before, ops_kv_fn fn, walk *w, ops_err *reterr)
{
    entry_key from = key_of(topic, before > 0 ? before - 1 : UINT64_MAX), to = key_of(topic, 0);
    return ops_kv_scan(r->kv, FAMILY_META, slice_of(&from), slice_of(&to), fn, w, reterr);
}

ops_status ops_repo_put_audit(ops_repo *r, ops_kv_batch *b, ops_slice topic, ops_slice body,
                              uint64_t *ret_number, ops_err *reterr)
{
    walk w = {.newest = 0};
    ops_status st = check_topic(topic, reterr);
    if (st == OPS_OK)
        st = scan(r, topic, 0, on_newest, &w, reterr);
    if (st != OPS_OK)
        return st;
    entry_key k = key_of(topic, w.newest + 1);
    ops_kv_batch_put(b, FAMILY_META, slice_of(&k), body);
    if (w.newest >= OPS_REPO_AUDIT_MAX) {
        k = key_of(topic, w.newest + 1 - OPS_REPO_AUDIT_MAX);
        ops_kv_batch_del(b, FAMILY_META, slice_of(&k));
    }
    *ret_number = w.newest + 1;
    return OPS_OK;
}

ops_status ops_repo_audit_add(ops_repo *r, ops_slice topic, ops_slice body, uint64_t *ret_number,
                              ops_err *reterr)
{
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: audit");
    uint64_t number = 0;
    (void)pthread_mutex_lock(&r->lock);
    ops_status st = ops_repo_put_audit(r, b, topic, body, &number, reterr);
    if (st == OPS_OK)
        st = ops_kv_write(r->kv, b, true, reterr);
    if (st == OPS_OK)
        ops_repo_note_durable(r);
    (void)pthread_mutex_unlock(&r->lock);
    if (st == OPS_OK && ret_number != NULL)
        *ret_number = number;
    return st;
}

ops_status ops_repo_audit_scan(ops_repo *r, ops_slice topic, uint64_t before, ops_repo_audit_fn fn, void *u,
                               ops_err *reterr)
{
    walk w = {.fn = fn, .u = u};
    ops_status st = check_topic(topic, reterr);
    return st == OPS_OK ? scan(r, topic, before, on_entry, &w, reterr) : st;
}
