/* Commonest values: see topk.h. Columns rather than rows, so that looking for a hash reads one cache line. */
#include "base/sketch/topk.h"

#include "base/mem/alloc.h"
#include "base/text/codec.h"

enum { ENTRY_BYTES = 3 * sizeof(uint64_t) + 1 + OPS_TOPK_VALUE_BYTES_MAX };

typedef struct columns {
    uint64_t *hash, *count, *error;
    uint8_t *len;
    char (*text)[OPS_TOPK_VALUE_BYTES_MAX];
    size_t n; /* entries; 0 without memory */
} columns;

static columns columns_of(void *mem, size_t cap, size_t n)
{
    columns c = {0};
    if (mem == NULL)
        return c;
    c.n = n;
    c.hash = mem;
    c.count = c.hash + cap;
    c.error = c.count + cap;
    c.len = (uint8_t *)(c.error + cap);
    c.text = (void *)(c.len + cap);
    return c;
}

void ops_topk_init(ops_topk *t)
{
    *t = (ops_topk){0};
}

void ops_topk_done(ops_topk *t)
{
    ops_free(t->mem);
    *t = (ops_topk){0};
}

/* Bytes of `s` that fit, cut where a code point ends; bytes that are no UTF-8 are cut anywhere. */
static uint8_t fitting(ops_slice s)
{
    if (s.n <= OPS_TOPK_VALUE_BYTES_MAX)
        return (uint8_t)s.n;
    size_t n = OPS_TOPK_VALUE_BYTES_MAX;
    while (n > OPS_TOPK_VALUE_BYTES_MAX - 4 && ((uint8_t)s.p[n] & 0xC0) == 0x80)
        n--;
    return (uint8_t)n;
}

static void put(const columns *c, size_t i, ops_slice value, uint64_t hash, uint64_t count, uint64_t error)
{
    c->hash[i] = hash;
    c->count[i] = count;
    c->error[i] = error;
    c->len[i] = fitting(value);
    if (c->len[i] > 0)
        memcpy(c->text[i], value.p, c->len[i]);
}

static void copy(const columns *to, size_t i, const columns *from, size_t k)
{
    put(to, i, ops_slice_of(from->text[k], from->len[k]), from->hash[k], from->count[k], from->error[k]);
}

static ops_status grow(ops_topk *t)
{
    uint8_t cap = t->cap == 0 ? 2 : (uint8_t)(2 * t->cap);
    void *mem = ops_malloc((size_t)cap * ENTRY_BYTES);
    if (mem == NULL)
        return OPS_ENOMEM;
    columns to = columns_of(mem, cap, 0), from = columns_of(t->mem, t->cap, t->n);
    for (size_t i = 0; t->mem != NULL && i < from.n; i++)
        copy(&to, i, &from, i);
    ops_free(t->mem);
    t->mem = mem;
    t->cap = cap;
    return OPS_OK;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static size_t least(const columns *c)
{
    size_t at = 0;
    for (size_t i = 1; i < c->n; i++)
        if (c->count[i] < c->count[at])
            at = i;
    return at;
}

ops_status ops_topk_add(ops_topk *t, ops_slice value, uint64_t hash, uint64_t weight)
{
    columns c = columns_of(t->mem, t->cap, t->n);
    for (size_t i = 0; i < c.n; i++) {
        if (c.hash[i] == hash) {
            c.count[i] = plus(c.count[i], weight);
            return OPS_OK;
        }
    }
    if (c.n == OPS_TOPK_ENTRIES_MAX) { /* the least makes room and leaves its count as the error */
        size_t at = least(&c);
        put(&c, at, value, hash, plus(c.count[at], weight), c.count[at]);
        return OPS_OK;
    }
    if ((t->mem == NULL || t->n == t->cap) && grow(t) != OPS_OK)
        return OPS_ENOMEM;
    c = columns_of(t->mem, t->cap, t->n);
    put(&c, t->n++, value, hash, weight, 0);
    return OPS_OK;
}

static ptrdiff_t find(const columns *c, uint64_t hash)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->hash[i] == hash)
            return (ptrdiff_t)i;
    return -1;
}

/* What a value that has no entry may have had at most. */
static uint64_t unseen(const columns *c)
{
    return c->n < OPS_TOPK_ENTRIES_MAX ? 0 : c->count[least(c)];
}

/* Moves the greatest of n entries to the front, OPS_TOPK_ENTRIES_MAX of them; equals by hash, so that the outcome does
 * not depend on which sketch was merged into which. */
static void greatest_first(const columns *c, size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = 1; i < n; i++) {
        size_t x = order[i], k = i;
        for (; k > 0; k--) {
            size_t y = order[k - 1];
            if (c->count[y] > c->count[x] || (c->count[y] == c->count[x] && c->hash[y] <= c->hash[x]))
                break;
            order[k] = y;
        }
        order[k] = x;
    }
}

ops_status ops_topk_merge(ops_topk *t, const ops_topk *from)
{
    if (from->mem == NULL)
        return OPS_OK;
    if (t->mem == NULL && grow(t) != OPS_OK)
        return OPS_ENOMEM;
    _Alignas(8) char room[(size_t)2 * OPS_TOPK_ENTRIES_MAX * ENTRY_BYTES];
    columns all = columns_of(room, (size_t)2 * OPS_TOPK_ENTRIES_MAX, 0);
    columns a = columns_of(t->mem, t->cap, t->n), b = columns_of(from->mem, from->cap, from->n);
    uint64_t more_a = unseen(&a), more_b = unseen(&b);
    size_t n = 0, order[2 * OPS_TOPK_ENTRIES_MAX];
    for (size_t i = 0; i < a.n; i++, n++) {
        ptrdiff_t k = find(&b, a.hash[i]);
        copy(&all, n, &a, i);
        all.count[n] = plus(all.count[n], k >= 0 ? b.count[k] : more_b);
        all.error[n] = plus(all.error[n], k >= 0 ? b.error[k] : more_b);
    }
    for (size_t i = 0; i < b.n; i++) {
        if (find(&a, b.hash[i]) >= 0)
            continue;
        copy(&all, n, &b, i);
        all.count[n] = plus(all.count[n], more_a);
        all.error[n] = plus(all.error[n], more_a);
        n++;
    }
    size_t keep = n < OPS_TOPK_ENTRIES_MAX ? n : OPS_TOPK_ENTRIES_MAX;
    while (t->cap < keep)
        if (grow(t) != OPS_OK)
            return OPS_ENOMEM;
    greatest_first(&all, order, n);
    columns to = columns_of(t->mem, t->cap, t->n);
    for (size_t i = 0; i < keep; i++)
        copy(&to, i, &all, order[i]);
    t->n = (uint8_t)keep;
    return OPS_OK;
}

size_t ops_topk_get(const ops_topk *t, ops_topk_entry ret[OPS_TOPK_ENTRIES_MAX])
{
    columns c = columns_of(t->mem, t->cap, t->n);
    for (size_t i = 0; i < c.n; i++) {
        ops_topk_entry e = {ops_slice_of(c.text[i], c.len[i]), c.count[i], c.error[i]};
        size_t k = i;
        for (; k > 0; k--) {
            const ops_topk_entry *y = &ret[k - 1];
            if (y->count > e.count || (y->count == e.count && ops_slice_cmp(y->value, e.value) <= 0))
                break;
            ret[k] = *y;
        }
        ret[k] = e;
    }
    return c.n;
}

size_t ops_topk_bytes(const ops_topk *t)
{
    return (size_t)t->cap * ENTRY_BYTES;
}

void ops_topk_save(const ops_topk *t, ops_strbuf *out)
{
    columns c = columns_of(t->mem, t->cap, t->n);
    ops_strbuf_char(out, (char)c.n);
    for (size_t i = 0; i < c.n; i++) {
        uint8_t head[8 + 2 * OPS_VARINT_BYTES_MAX + 1];
        ops_put_be64(head, c.hash[i]);
        size_t n = 8;
        n += ops_varint_put(head + n, c.count[i]);
        n += ops_varint_put(head + n, c.error[i]);
        head[n++] = c.len[i];
        ops_strbuf_put(out, head, n);
        ops_strbuf_put(out, c.text[i], c.len[i]);
    }
}

static ops_status load_entry(ops_topk *t, const uint8_t **p, const uint8_t *end)
{
    uint64_t count, error;
    if (end - *p < 8)
        return OPS_ECORRUPT;
    uint64_t hash = ops_get_be64(*p);
    *p += 8;
    if (!ops_varint_get(p, end, &count) || !ops_varint_get(p, end, &error) || error > count || *p == end)
        return OPS_ECORRUPT;
    uint8_t len = *(*p)++;
    if (len > OPS_TOPK_VALUE_BYTES_MAX || end - *p < len)
        return OPS_ECORRUPT;
    columns c = columns_of(t->mem, t->cap, t->n);
    if (find(&c, hash) >= 0)
        return OPS_ECORRUPT;
    if ((t->mem == NULL || t->n == t->cap) && grow(t) != OPS_OK)
        return OPS_ENOMEM;
    c = columns_of(t->mem, t->cap, t->n);
    put(&c, t->n++, ops_slice_of(*p, len), hash, count, error);
    *p += len;
    return OPS_OK;
}

ops_status ops_topk_load(ops_topk *t, ops_slice *rest)
{
    if (rest->n < 1 || (uint8_t)rest->p[0] > OPS_TOPK_ENTRIES_MAX)
        return OPS_ECORRUPT;
    const uint8_t *p = (const uint8_t *)rest->p + 1, *end = (const uint8_t *)rest->p + rest->n;
    ops_topk got = {0};
    ops_status st = OPS_OK;
    for (uint8_t i = 0; i < (uint8_t)rest->p[0] && st == OPS_OK; i++)
        st = load_entry(&got, &p, end);
    if (st != OPS_OK) {
        ops_topk_done(&got);
        return st;
    }
    *t = got;
    *rest = ops_slice_of(p, (size_t)(end - p));
    return OPS_OK;
}
