/* Text to typed values, and the words for what is wrong with it. */
#include "base/conf/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/mem/alloc.h"

typedef struct unit {
    const char *name;
    double factor;
} unit;

static const unit byte_units[] = {{"", 1},         {"B", 1},        {"KiB", 1024}, {"MiB", 1048576},
                                  {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"kB", 1e3},   {"KB", 1e3},
                                  {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},  {NULL, 0}};
static const unit time_units[] = {{"ms", 1},     {"s", 1e3},     {"m", 60e3},     {"min", 60e3},
                                  {"h", 3600e3}, {"d", 86400e3}, {"w", 604800e3}, {NULL, 0}};

void ops_conf_value_clear(conf_value *v)
{
    for (size_t i = 0; v->items != NULL && i < v->item_count; i++)
        ops_free(v->items[i]);
    ops_free(v->items);
    ops_free(v->origin);
    ops_free(v->text);
    *v = (conf_value){0};
}

static bool parse_bool(ops_slice s, uint64_t *ret)
{
    static const char *const words[2][3] = {{"false", "no", "off"}, {"true", "yes", "on"}};
    for (unsigned v = 0; v < 2; v++)
        for (unsigned i = 0; i < 3; i++)
            if (ops_slice_eq_nocase(s, ops_slice_str(words[v][i]))) {
                *ret = v;
                return true;
            }
    return false;
}

static bool parse_uint(ops_slice s, uint64_t *ret)
{
    char digits[32];
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_' && i > 0)
            continue;
        if (n == sizeof digits)
            return false;
        digits[n++] = s.p[i];
    }
    return ops_slice_to_u64(ops_slice_of(digits, n), ret);
}

static bool parse_with_unit(ops_slice s, const unit *units, uint64_t *ret)
{
    size_t n = 0;
    while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '.'))
        n++;
    double v;
    if (n == 0 || !ops_slice_to_f64(ops_slice_sub(s, 0, n), &v))
        return false;
    ops_slice name = ops_slice_trim(ops_slice_sub(s, n, s.n - n));
    for (; units->name != NULL; units++)
        if (ops_slice_eq(name, ops_slice_str(units->name))) {
            v = round(v * units->factor);
            if (!(v >= 0 && v < 0x1p63))
                return false;
            *ret = (uint64_t)v;
            return true;
        }
    return n == s.n && v == 0 && (*ret = 0, true); /* a duration of plain 0 */
}

static bool parse_choice(const char *choices, ops_slice s, uint64_t *ret)
{
    ops_slice rest = ops_slice_str(choices), part;
    for (uint64_t i = 0; ops_slice_split(&rest, '|', &part); i++)
        if (ops_slice_eq(part, s)) {
            *ret = i;
            return true;
        }
    return false;
}

static const char *expected(const ops_conf_row *row)
{
    switch (row->kind) {
    case OPS_CONF_BOOL:
        return "true or false";
    case OPS_CONF_UINT:
        return "a whole number";
    case OPS_CONF_BYTES:
        return "a size such as 512, 64KiB or 1.5GiB";
    case OPS_CONF_DURATION:
        return "a duration such as 250ms, 30s, 15m or 7d";
    case OPS_CONF_CHOICE:
        return row->choices;
    case OPS_CONF_STR:
    case OPS_CONF_LIST:
        break;
    }
    return "text";
}

static void show_number(const ops_conf_row *row, uint64_t v, char out[48])
{
    const char *name = row->kind == OPS_CONF_BYTES ? " bytes" : row->kind == OPS_CONF_DURATION ? " ms" : "";
    snprintf(out, 48, "%" PRIu64 "%s", v, name);
}

static ops_status check_range(const ops_conf_row *row, ops_slice s, uint64_t v, ops_err *reterr)
{
    if (v >= row->min && (row->max == 0 || v <= row->max))
        return OPS_OK;
    char least[48], most[48];
    show_number(row, row->min, least);
    show_number(row, row->max, most);
    if (row->max == 0)
        return ops_fail(reterr, OPS_EINVAL, "%s: " OPS_SLICE_FMT " is below %s", row->key, OPS_SLICE_ARG(s),
                        least);
    return ops_fail(reterr, OPS_EINVAL, "%s: " OPS_SLICE_FMT " is not between %s and %s", row->key,
                    OPS_SLICE_ARG(s), least, most);
}

static ops_status parse_list(const ops_conf_row *row, const ops_slice *parts, size_t count, conf_value *ret,
                             ops_err *reterr)
{
    ret->items = ops_calloc(count + 1, sizeof *ret->items);
    for (size_t i = 0; ret->items != NULL && i < count; i++) {
        ret->items[i] = ops_strndup(parts[i].p, parts[i].n);
        if (ret->items[i] == NULL)
            break;
        ret->item_count++;
    }
    if (ret->items == NULL || ret->item_count < count) {
        ops_conf_value_clear(ret);
        return ops_fail(reterr, OPS_ENOMEM, "%s", row->key);
    }
    return OPS_OK;
}

ops_status ops_conf_value_parse(const ops_conf_row *row, const ops_slice *parts, size_t count,
                                conf_value *ret, ops_err *reterr)
{
    for (size_t i = 0; i < count; i++)
        if (parts[i].n > 0 && memchr(parts[i].p, '\0', parts[i].n) != NULL)
            return ops_fail(reterr, OPS_EINVAL, "%s: a NUL byte in the value", row->key);
    if (row->kind == OPS_CONF_LIST)
        return parse_list(row, parts, count, ret, reterr);
    if (count != 1)
        return ops_fail(reterr, OPS_EINVAL, "%s: one value expected, not a list", row->key);
    ops_slice s = ops_slice_trim(parts[0]);
    bool ok = true;
    switch (row->kind) {
    case OPS_CONF_BOOL:
        ok = parse_bool(s, &ret->num);
        break;
    case OPS_CONF_UINT:
        ok = parse_uint(s, &ret->num);
        break;
    case OPS_CONF_BYTES:
        ok = parse_with_unit(s, byte_units, &ret->num);
        break;
    case OPS_CONF_DURATION:
        ok = parse_with_unit(s, time_units, &ret->num);
        break;
    case OPS_CONF_CHOICE:
        ok = parse_choice(row->choices, s, &ret->num);
        break;
    case OPS_CONF_STR:
    case OPS_CONF_LIST:
        break;
    }
    if (!ok) {
        if ((row->traits & OPS_CONF_SECRET) != 0)
            return ops_fail(reterr, OPS_EINVAL, "%s: expected %s", row->key, expected(row));
        return ops_fail(reterr, OPS_EINVAL, "%s: \"" OPS_SLICE_FMT "\" is not %s%s", row->key,
                        OPS_SLICE_ARG(s), row->kind == OPS_CONF_CHOICE ? "one of " : "", expected(row));
    }
    if (row->kind == OPS_CONF_UINT || row->kind == OPS_CONF_BYTES || row->kind == OPS_CONF_DURATION) {
        ops_status st = check_range(row, s, ret->num, reterr);
        if (st != OPS_OK)
            return st;
    }
    ret->text = ops_strndup(s.p != NULL ? s.p : "", s.n);
    return ret->text != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "%s", row->key);
}
