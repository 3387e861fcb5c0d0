/* What the keywords of one type say: strings, numbers, constants; objects and arrays are rules of their own (schema_nest.c). */
#include <math.h>
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "worker/grammar/schema_internal.h"

enum {
    NULLS = 1,
    BOOLEANS = 2,
    INTEGERS = 4,
    NUMBERS = 8,
    STRINGS = 16,
    OBJECTS = 32,
    ARRAYS = 64,
    ALL_TYPES = 127
};

static const struct {
    const char *name;
    unsigned bit;
} types[] = {{"null", NULLS},     {"boolean", BOOLEANS}, {"integer", INTEGERS}, {"number", NUMBERS},
             {"string", STRINGS}, {"object", OBJECTS},   {"array", ARRAYS}};

static unsigned type_of(const json_t *name)
{
    for (size_t i = 0; json_is_string(name) && i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, json_string_value(name)) == 0)
            return types[i].bit;
    return 0;
}

/* Keywords speak of one type each. Where no type is said, those of the keywords that are there are meant. */
static const struct {
    const char *key;
    unsigned bits;
} speaks[] = {{"properties", OBJECTS}, {"required", OBJECTS},         {"additionalProperties", OBJECTS},
              {"items", ARRAYS},       {"prefixItems", ARRAYS},       {"minItems", ARRAYS},
              {"maxItems", ARRAYS},    {"pattern", STRINGS},          {"format", STRINGS},
              {"minLength", STRINGS},  {"maxLength", STRINGS},        {"minimum", NUMBERS},
              {"maximum", NUMBERS},    {"exclusiveMinimum", NUMBERS}, {"exclusiveMaximum", NUMBERS}};

static unsigned spoken_of(const json_t *schema)
{
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof speaks / sizeof *speaks; i++)
        if (json_object_get(schema, speaks[i].key) != NULL)
            bits |= speaks[i].bits;
    return bits;
}

/* 0: not one that there is. */
static unsigned types_of(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    if (type == NULL)
        return spoken_of(schema) != 0 ? spoken_of(schema) : ALL_TYPES;
    if (!json_is_array(type))
        return type_of(type);
    unsigned bits = 0;
    for (size_t i = 0; i < json_array_size(type); i++) {
        const unsigned one = type_of(json_array_get(type, i));
        if (one == 0)
            return 0;
        bits |= one;
    }
    return bits;
}

bool ops_gs_takes(const json_t *schema, const json_t *value)
{
    const unsigned bits = json_object_get(schema, "type") != NULL ? types_of(schema) : ALL_TYPES;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return (bits & OBJECTS) != 0;
    case JSON_ARRAY:
        return (bits & ARRAYS) != 0;
    case JSON_STRING:
        return (bits & STRINGS) != 0;
    case JSON_INTEGER:
        return (bits & (INTEGERS | NUMBERS)) != 0;
    case JSON_REAL:
        return (bits & NUMBERS) != 0;
    case JSON_TRUE:
    case JSON_FALSE:
        return (bits & BOOLEANS) != 0;
    case JSON_NULL:
        return (bits & NULLS) != 0;
    }
    return false;
}

/* --- constants --- */

typedef OPS_VEC(ops_slice) texts;

ops_slice ops_gs_dump(const json_t *value)
{
    const size_t flags = JSON_ENCODE_ANY | JSON_COMPACT, n = json_dumpb(value, NULL, 0, flags);
    char *text = n > 0 ? ops_malloc(n) : NULL;
    if (text != NULL && json_dumpb(value, text, n, flags) != n) {
        ops_free(text);
        text = NULL;
    }
    return ops_slice_of(text, text != NULL ? n : 0);
}

static void keep_text(ops_gs *s, const json_t *schema, const json_t *value, texts *to)
{
    if (!ops_gs_takes(schema, value))
        return;
    const ops_slice text = ops_gs_dump(value);
    if (text.p == NULL || !ops_vec_push(to, text)) {
        ops_free((void *)(uintptr_t)text.p);
        (void)ops_gs_out_of_memory(s);
    }
}

static ops_gb_ref choice(ops_gs *s, texts *t)
{
    enum { FEW = 4 };
    if (t->n == 0 || !ops_gs_going(s))
        return OPS_GB_NEVER;
    if (t->n <= FEW) {
        ops_gb_ref kids[FEW];
        for (size_t i = 0; i < t->n; i++)
            kids[i] = ops_gb_bytes(s->b, t->v[i]);
        return ops_gb_list(s->b, OPS_GB_KIND_ALT, kids, t->n);
    }
    qsort(t->v, t->n, sizeof *t->v, ops_gb_by_bytes);
    const uint32_t rule = ops_gb_rule(s->b);
    ops_gb_make_texts(s->b, rule, t->v, t->n);
    return ops_gb_call(s->b, rule);
}

ops_gb_ref ops_gs_literals(ops_gs *s, json_t *schema)
{
    static const char *const beside[] = {"enum", "const", "type", NULL};
    const char *other = ops_gs_other_than(schema, beside);
    json_t *list = json_object_get(schema, "enum"), *only = json_object_get(schema, "const");
    if (other != NULL)
        return ops_gs_wrong(s, OPS_EUNIMPL, other, "beside enum or const it is not built");
    if (list != NULL && !json_is_array(list))
        return ops_gs_wrong(s, OPS_EINVAL, "enum", "a list is wanted");
    if (json_object_get(schema, "type") != NULL && types_of(schema) == 0)
        return ops_gs_wrong(s, OPS_EINVAL, "type", "no such type");
    texts t = {0};
    for (size_t i = 0; list != NULL && i < json_array_size(list) && ops_gs_going(s); i++)
        if (only == NULL || json_equal(only, json_array_get(list, i)))
            keep_text(s, schema, json_array_get(list, i), &t);
    if (list == NULL)
        keep_text(s, schema, only, &t);
    const ops_gb_ref x = choice(s, &t);
    for (size_t i = 0; i < t.n; i++)
        ops_free((void *)(uintptr_t)t.v[i].p);
    ops_vec_done(&t);
    return x;
}

/* --- numbers --- */

bool ops_gs_count(ops_gs *s, const json_t *schema, const char *key, uint32_t *ret)
{
    const json_t *v = json_object_get(schema, key);
    if (v == NULL)
        return true;
    if (!json_is_integer(v) || json_integer_value(v) < 0) {
        (void)ops_gs_wrong(s, OPS_EINVAL, key, "a whole number from 0 on is wanted");
        return false;
    }
    if (json_integer_value(v) > OPS_GRAMMAR_REPEAT_MAX && strncmp(key, "min", 3) == 0) {
        (void)ops_gs_wrong(s, OPS_ETOOBIG, key, "more than 65536");
        return false;
    }
    *ret = json_integer_value(v) > OPS_GRAMMAR_REPEAT_MAX ? (uint32_t)OPS_GRAMMAR_REPEAT_MAX
                                                          : (uint32_t)json_integer_value(v);
    return true;
}

/* A bound; a fraction is rounded into the range for integers and refused for numbers. */
static bool bound(ops_gs *s, const json_t *schema, const char *key, bool whole, bool up, int64_t *ret,
                  bool *ret_has)
{
    const json_t *v = json_object_get(schema, key);
    const bool exclusive = key[0] == 'e';
    if (v == NULL)
        return true;
    if (!json_is_number(v) || fabs(json_number_value(v)) > 9e18) {
        (void)ops_gs_wrong(s, OPS_EINVAL, key, "a number of at most 9e18 is wanted");
        return false;
    }
    int64_t n = json_integer_value(v);
    bool round = false;
    if (json_is_real(v)) {
        const double d = json_real_value(v), r = up ? ceil(d) : floor(d);
        round = r != d;
        n = (int64_t)r;
    }
    if (!whole && (round || exclusive)) {
        (void)ops_gs_wrong(s, OPS_EUNIMPL, key, "of type number only whole, inclusive bounds are built");
        return false;
    }
    n += exclusive && !round ? (up ? 1 : -1) : 0;
    *ret = !*ret_has || (up ? n > *ret : n < *ret) ? n : *ret;
    *ret_has = true;
    return true;
}

static ops_gb_ref number(ops_gs *s, const json_t *schema, bool whole)
{
    int64_t lo = 0, hi = 0;
    bool has_lo = false, has_hi = false;
    if (!bound(s, schema, "minimum", whole, true, &lo, &has_lo) ||
        !bound(s, schema, "exclusiveMinimum", whole, true, &lo, &has_lo) ||
        !bound(s, schema, "maximum", whole, false, &hi, &has_hi) ||
        !bound(s, schema, "exclusiveMaximum", whole, false, &hi, &has_hi))
        return OPS_GB_NEVER;
    if (!has_lo && !has_hi)
        return whole ? ops_gb_integer(s->b) : ops_gb_number(s->b);
    if (!whole)
        return ops_gb_number_between(s->b, has_lo, lo, has_hi, hi);
    const int64_t most = 999999999999999999;
    return ops_gb_integer_between(s->b,
                                  has_lo       ? lo
                                  : hi < -most ? INT64_MIN
                                               : -most,
                                  has_hi      ? hi
                                  : lo > most ? INT64_MAX
                                              : most);
}

/* --- strings --- */

#define H "[0-9a-f]{1,4}"
static const struct {
    const char *name, *pattern;
} formats[] = {
#define DATE                                                                                                 \
    "[1-9]\\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|"  \
    "2[0-8]))"
#define TIME  "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define OCTET "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
    {"date-time", "^" DATE "T" TIME "$"}, /* RFC 3339, section 5.6, without February 29 and second 60 */
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}, /* RFC 4122, lower case */
    {"ipv4", "^(" OCTET "\\.){3}" OCTET "$"},
    {"ipv6", /* RFC 4291, section 2.2, forms 1 and 2 */
     "^((" H ":){7}" H "|(" H ":){1,7}:|(" H ":){6}:" H "|(" H ":){5}(:" H "){1,2}|(" H ":){4}(:" H
     "){1,3}|(" H ":){3}(:" H "){1,4}|(" H ":){2}(:" H "){1,5}|" H ":(:" H "){1,6}|:(:" H "){1,7}|::)$"},
};

static ops_gb_ref pattern(ops_gs *s, const char *keyword, ops_slice text)
{
    ops_gb_ref x = OPS_GB_NEVER;
    ops_err err;
    const ops_status st = ops_gb_pattern(s->b, text, &x, &err);
    if (st != OPS_OK)
        return ops_gs_wrong(s, st, keyword, err.msg);
    const ops_gb_ref all[] = {ops_gb_text(s->b, "\""), x, ops_gb_text(s->b, "\"")};
    const uint32_t rule = ops_gb_rule(s->b);
    ops_gb_make(s->b, rule, ops_gb_list(s->b, OPS_GB_KIND_SEQ, all, 3));
    return ops_gb_call(s->b, rule);
}

static ops_gb_ref counted_string(ops_gs *s, uint32_t min, uint32_t max)
{
    const uint64_t key = (uint64_t)min << 32 | max;
    const uintptr_t known = (uintptr_t)ops_map64_get(s->strings, key);
    if (known != 0)
        return ops_gb_call(s->b, (uint32_t)known - 1);
    if (max < min)
        return OPS_GB_NEVER;
    const uint32_t rule = ops_gb_rule(s->b);
    ops_gb_make_string(s->b, rule, min, max);
    if (ops_gs_going(s) && ops_map64_put(s->strings, key, (void *)(uintptr_t)(rule + 1), NULL) != OPS_OK)
        (void)ops_gs_out_of_memory(s);
    return ops_gb_call(s->b, rule);
}

static ops_gb_ref string(ops_gs *s, const json_t *schema)
{
    uint32_t min = 0, max = OPS_GB_NO_MAX;
    const json_t *p = json_object_get(schema, "pattern"), *f = json_object_get(schema, "format");
    if (!ops_gs_count(s, schema, "minLength", &min) || !ops_gs_count(s, schema, "maxLength", &max))
        return OPS_GB_NEVER;
    if ((p != NULL) + (f != NULL) + (min > 0 || max != OPS_GB_NO_MAX) > 1)
        return ops_gs_wrong(s, OPS_EUNIMPL, p != NULL ? "pattern" : "format",
                            "two of pattern, format and a length together are not built");
    if ((p != NULL && !json_is_string(p)) || (f != NULL && !json_is_string(f)))
        return ops_gs_wrong(s, OPS_EINVAL, p != NULL ? "pattern" : "format", "a string is wanted");
    if (p != NULL)
        return pattern(s, "pattern", ops_slice_of(json_string_value(p), json_string_length(p)));
    for (size_t i = 0; f != NULL && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, json_string_value(f)) == 0)
            return pattern(s, "format", ops_slice_str(formats[i].pattern));
    if (f != NULL)
        return ops_gs_wrong(s, OPS_EUNIMPL, json_string_value(f), "this format is not built");
    max = ops_gs_fewer(min, max);
    return min == 0 && max == OPS_GB_NO_MAX ? ops_gb_call(s->b, OPS_GB_STRING) : counted_string(s, min, max);
}

/* --- all types --- */

static ops_gb_ref one_type(ops_gs *s, json_t *schema, unsigned bit)
{
    const bool said = (spoken_of(schema) & bit) != 0;
    switch (bit) {
    case NULLS:
        return ops_gb_text(s->b, "null");
    case BOOLEANS:
        return ops_gb_pair(s->b, OPS_GB_KIND_ALT, ops_gb_text(s->b, "true"), ops_gb_text(s->b, "false"));
    case INTEGERS:
        return number(s, schema, true);
    case NUMBERS:
        return number(s, schema, false);
    case STRINGS:
        return string(s, schema);
    case OBJECTS:
        return ops_gb_call(s->b, said ? ops_gs_rule(s, schema, OPS_GS_OBJECT) : (uint32_t)OPS_GB_OBJECT);
    default:
        return ops_gb_call(s->b, said ? ops_gs_rule(s, schema, OPS_GS_ARRAY) : (uint32_t)OPS_GB_ARRAY);
    }
}

ops_gb_ref ops_gs_types(ops_gs *s, json_t *schema)
{
    const unsigned bits = types_of(schema);
    if (bits == 0)
        return ops_gs_wrong(s, OPS_EINVAL, "type", "no such type");
    if (bits == ALL_TYPES && spoken_of(schema) == 0)
        return ops_gb_call(s->b, OPS_GB_ANY);
    ops_gb_ref kids[8];
    size_t n = 0;
    for (unsigned bit = NULLS; bit <= ARRAYS; bit <<= 1)
        if ((bits & bit) != 0 && !(bit == INTEGERS && (bits & NUMBERS) != 0))
            kids[n++] = one_type(s, schema, bit);
    return ops_gb_list(s->b, OPS_GB_KIND_ALT, kids, n);
}
