/* The table and its values: making, setting with precedence, reading, comparing. */
#include "base/conf/internal.h"

#include <string.h>

#include "base/mem/alloc.h"

static bool key_ok(const char *key)
{
    char prev = '.';
    for (const char *p = key; *p != '\0'; p++) {
        bool word = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_';
        if (!word && (*p != '.' || prev == '.'))
            return false;
        prev = *p;
    }
    return prev != '.';
}

ops_status ops_conf_new(const ops_conf_row *rows, size_t count, ops_conf **ret, ops_err *reterr)
{
    OPS_AUTO(ops_conf_free) ops_conf *c = ops_calloc(1, sizeof *c);
    if (c == NULL || (c->values = ops_calloc(count + 1, sizeof *c->values)) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "configuration of %zu keys", count);
    c->rows = rows;
    c->count = count;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].key == NULL || !key_ok(rows[i].key))
            return ops_fail(reterr, OPS_EINVAL, "configuration row %zu: bad key", i);
        if (ops_conf_find(c, ops_slice_str(rows[i].key)) != (ptrdiff_t)i)
            return ops_fail(reterr, OPS_EINVAL, "configuration row %zu: %s is there twice", i, rows[i].key);
        ops_status st =
            ops_conf_put_text(c, i, ops_slice_str(rows[i].fallback), LEVEL_DEFAULT, "default", reterr);
        if (st != OPS_OK)
            return st;
    }
    *ret = OPS_STEAL(c);
    return OPS_OK;
}

void ops_conf_free(ops_conf *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; c->values != NULL && i < c->count; i++)
        ops_conf_value_clear(&c->values[i]);
    ops_free(c->values);
    ops_free(c);
}

ptrdiff_t ops_conf_find(const ops_conf *c, ops_slice key)
{
    for (size_t i = 0; i < c->count; i++)
        if (ops_slice_eq(ops_slice_str(c->rows[i].key), key))
            return (ptrdiff_t)i;
    return -1;
}

ops_status ops_conf_put(ops_conf *c, size_t row, const ops_slice *parts, size_t count, conf_level level,
                        const char *origin, ops_err *reterr)
{
    conf_value v = {.level = level};
    ops_status st = ops_conf_value_parse(&c->rows[row], parts, count, &v, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "%s", origin);
        return st;
    }
    if (level < c->values[row].level) {
        ops_conf_value_clear(&v);
        return OPS_OK;
    }
    if (level != LEVEL_DEFAULT && (v.origin = ops_strdup(origin)) == NULL) {
        ops_conf_value_clear(&v);
        return ops_fail(reterr, OPS_ENOMEM, "%s", origin);
    }
    ops_conf_value_clear(&c->values[row]);
    c->values[row] = v;
    return OPS_OK;
}

ops_status ops_conf_put_text(ops_conf *c, size_t row, ops_slice text, conf_level level, const char *origin,
                             ops_err *reterr)
{
    if (c->rows[row].kind != OPS_CONF_LIST)
        return ops_conf_put(c, row, &text, 1, level, origin, reterr);
    ops_slice parts[OPS_CONF_LIST_MAX], rest = text, part;
    size_t n = 0;
    while (ops_slice_split(&rest, ',', &part)) {
        part = ops_slice_trim(part);
        if (part.n == 0)
            continue;
        if (n == OPS_CONF_LIST_MAX)
            return ops_fail(reterr, OPS_EINVAL, "%s: %s: more than %d items", origin, c->rows[row].key,
                            OPS_CONF_LIST_MAX);
        parts[n++] = part;
    }
    return ops_conf_put(c, row, parts, n, level, origin, reterr);
}

ops_status ops_conf_set(ops_conf *c, const char *key, ops_slice value, ops_err *reterr)
{
    ptrdiff_t row = ops_conf_find(c, ops_slice_str(key));
    if (row < 0)
        return ops_conf_unknown(c, "set", ops_slice_str(key), ops_conf_show_key, reterr);
    return ops_conf_put_text(c, (size_t)row, value, LEVEL_FLAG, key, reterr);
}

const char *ops_conf_str(const ops_conf *c, size_t row)
{
    const char *s = c->values[row].text;
    return s != NULL ? s : "";
}

bool ops_conf_bool(const ops_conf *c, size_t row)
{
    return c->values[row].num != 0;
}

uint64_t ops_conf_uint(const ops_conf *c, size_t row)
{
    return c->values[row].num;
}

const char *const *ops_conf_list(const ops_conf *c, size_t row, size_t *ret_count)
{
    *ret_count = c->values[row].item_count;
    return (const char *const *)c->values[row].items;
}

const char *ops_conf_origin(const ops_conf *c, size_t row)
{
    return c->values[row].origin != NULL ? c->values[row].origin : "default";
}

static bool same(const ops_conf_row *row, const conf_value *a, const conf_value *b)
{
    if (row->kind == OPS_CONF_STR)
        return strcmp(a->text, b->text) == 0;
    if (row->kind != OPS_CONF_LIST)
        return a->num == b->num;
    bool eq = a->item_count == b->item_count;
    for (size_t i = 0; eq && i < a->item_count; i++)
        eq = strcmp(a->items[i], b->items[i]) == 0;
    return eq;
}

void ops_conf_diff(const ops_conf *a, const ops_conf *b, void (*fn)(void *u, size_t row, bool reloadable),
                   void *u)
{
    for (size_t i = 0; i < a->count; i++)
        if (!same(&a->rows[i], &a->values[i], &b->values[i]))
            fn(u, i, (a->rows[i].traits & OPS_CONF_RELOAD) != 0);
}
