/* Notices to the outside, and how far each receiver has come. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/repo/repo_internal.h"

enum { NOTICE_KEY_BYTES = 9, TIME_BYTES = 8 };

static ops_slice notice_key(uint8_t key[NOTICE_KEY_BYTES], uint64_t number)
{
    key[0] = 'n';
    ops_put_be64(key + 1, number);
    return ops_slice_of(key, NOTICE_KEY_BYTES);
}

void ops_repo_put_notices(ops_repo *r, ops_kv_batch *b, const ops_slice *notices, size_t count,
                          int64_t time_ns, ops_strbuf *scratch)
{
    uint8_t key[NOTICE_KEY_BYTES], word[8];
    for (size_t i = 0; i < count; i++) {
        ops_put_be64(word, (uint64_t)time_ns);
        ops_strbuf_clear(scratch);
        ops_strbuf_put(scratch, word, TIME_BYTES);
        ops_strbuf_slice(scratch, notices[i]);
        ops_kv_batch_put(b, FAMILY_NOTIFY, notice_key(key, r->notice + 1 + i), ops_strbuf_get(scratch));
    }
    if (count == 0)
        return;
    ops_put_be64(word, r->notice + count);
    ops_kv_batch_put(b, FAMILY_META, OPS_SLICE("notice"), ops_slice_of(word, sizeof word));
}

struct walk {
    ops_repo_notice_fn fn;
    void *u;
};

static ops_status one_notice(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    const struct walk *w = u;
    if (key.n != NOTICE_KEY_BYTES || val.n < TIME_BYTES)
        return ops_fail(reterr, OPS_ECORRUPT, "repository: a notice of %zu bytes", val.n);
    const ops_repo_notice n = {.number = ops_get_be64(key.p + 1),
                               .time_ns = (int64_t)ops_get_be64(val.p),
                               .body = ops_slice_sub(val, TIME_BYTES, val.n)};
    return w->fn(w->u, &n, reterr);
}

ops_status ops_repo_notices_since(ops_repo *r, uint64_t after, ops_repo_notice_fn fn, void *u,
                                  ops_err *reterr)
{
    uint8_t from[NOTICE_KEY_BYTES];
    struct walk w = {fn, u};
    if (after == UINT64_MAX)
        return OPS_OK;
    return ops_kv_scan(r->kv, FAMILY_NOTIFY, notice_key(from, after + 1), OPS_SLICE("o"), one_notice, &w,
                       reterr);
}

uint64_t ops_repo_notice_last(ops_repo *r)
{
    (void)pthread_mutex_lock(&r->lock);
    uint64_t number = r->notice;
    (void)pthread_mutex_unlock(&r->lock);
    return number;
}

ops_status ops_repo_notices_trim(ops_repo *r, uint64_t number, ops_err *reterr)
{
    uint8_t from[NOTICE_KEY_BYTES], to[NOTICE_KEY_BYTES];
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: notices");
    if (number == UINT64_MAX)
        return ops_fail(reterr, OPS_EINVAL, "repository: no notice has this number");
    ops_kv_batch_del_range(b, FAMILY_NOTIFY, notice_key(from, 0), notice_key(to, number + 1));
    return ops_kv_write(r->kv, b, false, reterr);
}

static ops_status cursor_key(ops_slice receiver, uint8_t key[1 + OPS_REPO_NAME_BYTES_MAX], ops_slice *ret,
                             ops_err *reterr)
{
    if (receiver.n == 0 || receiver.n > OPS_REPO_NAME_BYTES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "repository: a receiver's name of %zu bytes", receiver.n);
    key[0] = 'c';
    memcpy(key + 1, receiver.p, receiver.n);
    *ret = ops_slice_of(key, 1 + receiver.n);
    return OPS_OK;
}

ops_status ops_repo_cursor_get(ops_repo *r, ops_slice receiver, uint64_t *ret, ops_err *reterr)
{
    uint8_t key[1 + OPS_REPO_NAME_BYTES_MAX];
    OPS_AUTO(ops_free_str) char *val = NULL;
    ops_slice k;
    size_t n = 0;
    ops_status st = cursor_key(receiver, key, &k, reterr);
    if (st == OPS_OK)
        st = ops_kv_get(r->kv, FAMILY_NOTIFY, k, &val, &n, reterr);
    if (st != OPS_OK)
        return st;
    if (n != 8)
        return ops_fail(reterr, OPS_ECORRUPT, "repository: a cursor of %zu bytes", n);
    *ret = ops_get_be64(val);
    return OPS_OK;
}

ops_status ops_repo_cursor_put(ops_repo *r, ops_slice receiver, uint64_t number, ops_err *reterr)
{
    uint8_t key[1 + OPS_REPO_NAME_BYTES_MAX], word[8];
    ops_slice k;
    ops_status st = cursor_key(receiver, key, &k, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: a cursor");
    ops_put_be64(word, number);
    ops_kv_batch_put(b, FAMILY_NOTIFY, k, ops_slice_of(word, sizeof word));
    return ops_kv_write(r->kv, b, false, reterr);
}

static bool good_part(ops_slice s)
{
    return s.n > 0 && s.n <= OPS_REPO_NAME_BYTES_MAX && ops_slice_find_char(s, '\0') < 0;
}

ops_status ops_repo_held_put(ops_repo *r, ops_slice receiver, ops_slice tenant, ops_slice id, ops_slice body,
                             ops_err *reterr)
{
    ops_strbuf key;
    if (!good_part(receiver) || !good_part(tenant) || !good_part(id))
        return ops_fail(reterr, OPS_EINVAL, "repository: a change held back for a receiver of %zu bytes",
                        receiver.n);
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    ops_strbuf_init(&key, 4 * OPS_REPO_NAME_BYTES_MAX);
    ops_repo_tenant_key(&key, 'h', receiver, tenant);
    ops_strbuf_char(&key, '\0');
    ops_strbuf_slice(&key, id);
    ops_status st =
        b == NULL || key.failed ? ops_fail(reterr, OPS_ENOMEM, "repository: a change held back") : OPS_OK;
    if (st == OPS_OK && body.n > 0)
        ops_kv_batch_put(b, FAMILY_NOTIFY, ops_strbuf_get(&key), body);
    else if (st == OPS_OK)
        ops_kv_batch_del(b, FAMILY_NOTIFY, ops_strbuf_get(&key));
    if (st == OPS_OK)
        st = ops_kv_write(r->kv, b, false, reterr);
    ops_strbuf_done(&key);
    return st;
}

struct held_walk {
    size_t head_bytes;
    ops_repo_held_fn fn;
    void *u;
};

static ops_status one_held(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    const struct held_walk *w = u;
    const ops_slice rest = ops_slice_sub(key, w->head_bytes, key.n);
    const ptrdiff_t cut = ops_slice_find_char(rest, '\0');
    if (cut < 1)
        return ops_fail(reterr, OPS_ECORRUPT, "repository: a key of %zu bytes of a change held back", key.n);
    return w->fn(w->u, ops_slice_sub(rest, 0, (size_t)cut), ops_slice_sub(rest, (size_t)cut + 1, rest.n), val,
                 reterr);
}

ops_status ops_repo_held_scan(ops_repo *r, ops_slice receiver, ops_repo_held_fn fn, void *u, ops_err *reterr)
{
    ops_strbuf from, to;
    if (!good_part(receiver))
        return ops_fail(reterr, OPS_EINVAL, "repository: a receiver's name of %zu bytes", receiver.n);
    ops_strbuf_init(&from, 2 * OPS_REPO_NAME_BYTES_MAX);
    ops_strbuf_init(&to, 2 * OPS_REPO_NAME_BYTES_MAX);
    ops_repo_tenant_key(&from, 'h', receiver, (ops_slice){0});
    ops_strbuf_slice(&to, ops_strbuf_get(&from));
    ops_repo_after_prefix(&to);
    struct held_walk w = {from.n, fn, u};
    ops_status st = from.failed || to.failed ? ops_fail(reterr, OPS_ENOMEM, "repository: changes held back")
                                             : ops_kv_scan(r->kv, FAMILY_NOTIFY, ops_strbuf_get(&from),
                                                           ops_strbuf_get(&to), one_held, &w, reterr);
    ops_strbuf_done(&from);
    ops_strbuf_done(&to);
    return st;
}
