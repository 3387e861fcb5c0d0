/* Objects and arrays. Members come in the order of the schema, those that it does not name last. */
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "worker/grammar/schema_internal.h"

typedef struct members {
    OPS_VEC(ops_gb_ref) kids;
    OPS_VEC(uint8_t) must;
    OPS_VEC(ops_slice) names;
    ops_map *by_name;
} members;

static ops_gb_ref key(ops_gs *s, const char *name)
{
    ops_strbuf text;
    ops_strbuf_init(&text, OPS_GRAMMAR_TEXT_MAX);
    ops_strbuf_json(&text, ops_slice_str(name));
    ops_strbuf_char(&text, ':');
    const ops_gb_ref x = text.failed ? ops_gs_out_of_memory(s) : ops_gb_bytes(s->b, ops_strbuf_get(&text));
    ops_strbuf_done(&text);
    return ops_gb_pair(s->b, OPS_GB_KIND_SEQ, x, ops_gb_blank(s->b));
}

static void add(ops_gs *s, members *m, const char *name, ops_gb_ref value, bool must)
{
    const ops_gb_ref x = ops_gb_pair(s->b, OPS_GB_KIND_SEQ, key(s, name), value);
    const ops_slice n = ops_slice_str(name);
    if (!ops_gs_going(s))
        return;
    if (!ops_vec_push(&m->kids, x) || !ops_vec_push(&m->must, (uint8_t)must) || !ops_vec_push(&m->names, n) ||
        ops_map_put(m->by_name, n, NULL, NULL) != OPS_OK)
        (void)ops_gs_out_of_memory(s);
}

static ops_map *names_of(ops_gs *s, const json_t *list)
{
    ops_map *m = ops_map_new();
    if (m == NULL)
        (void)ops_gs_out_of_memory(s);
    if (list != NULL && !json_is_array(list))
        (void)ops_gs_wrong(s, OPS_EINVAL, "required", "a list of names is wanted");
    for (size_t i = 0; i < json_array_size(list) && ops_gs_going(s); i++) {
        const json_t *name = json_array_get(list, i);
        if (!json_is_string(name))
            (void)ops_gs_wrong(s, OPS_EINVAL, "required", "a list of names is wanted");
        else if (ops_map_put(m, ops_slice_str(json_string_value(name)), NULL, NULL) != OPS_OK)
            (void)ops_gs_out_of_memory(s);
    }
    return m;
}

static void named(ops_gs *s, json_t *properties, const ops_map *required, members *m)
{
    const char *name = NULL;
    json_t *value = NULL;
    if (properties != NULL && !json_is_object(properties))
        (void)ops_gs_wrong(s, OPS_EINVAL, "properties", "an object is wanted");
    const size_t outer = ops_gs_go_in(s, "properties");
    json_object_foreach(properties, name, value)
    {
        if (!ops_gs_going(s))
            break;
        const size_t mark = ops_gs_go_in(s, name);
        const ops_gb_ref x = ops_gs_value(s, value);
        add(s, m, name, x, ops_map_has(required, ops_slice_str(name)));
        ops_gs_go_out(s, mark);
    }
    ops_gs_go_out(s, outer);
}

static int by_bytes(const void *a, const void *b)
{
    return ops_gb_by_bytes(a, b);
}

/* What may come beside the named ones; names that are required and not described are of them too. */
static ops_gb_ref further(ops_gs *s, json_t *schema, members *m)
{
    json_t *more = json_object_get(schema, "additionalProperties"),
           *list = json_object_get(schema, "required");
    const bool closed =
        json_is_false(more) || (more == NULL && json_object_get(schema, "properties") != NULL);
    const size_t mark = ops_gs_go_in(s, "additionalProperties");
    const ops_gb_ref value = more == NULL || json_is_true(more) ? ops_gb_call(s->b, OPS_GB_ANY)
                             : json_is_false(more)              ? OPS_GB_NEVER
                                                                : ops_gs_value(s, more);
    ops_gs_go_out(s, mark);
    for (size_t i = 0; i < json_array_size(list) && ops_gs_going(s); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!ops_map_has(m->by_name, ops_slice_str(name)))
            add(s, m, name, value, true);
    }
    if (closed || !ops_gs_going(s))
        return OPS_GB_NEVER;
    if (m->names.n > 0)
        qsort(m->names.v, m->names.n, sizeof *m->names.v, by_bytes);
    const uint32_t rule = ops_gb_rule(s->b);
    ops_gb_make_other_key(s->b, rule, m->names.v, m->names.n);
    const ops_gb_ref all[] = {ops_gb_call(s->b, rule), ops_gb_text(s->b, ":"), ops_gb_blank(s->b), value};
    return ops_gb_list(s->b, OPS_GB_KIND_SEQ, all, 4);
}

ops_gb_ref ops_gs_object(ops_gs *s, json_t *schema)
{
    members m = {.by_name = ops_map_new()};
    OPS_AUTO(ops_map_free) ops_map *required = names_of(s, json_object_get(schema, "required"));
    if (m.by_name == NULL)
        (void)ops_gs_out_of_memory(s);
    ops_gb_ref x = OPS_GB_NEVER;
    if (ops_gs_going(s)) {
        named(s, json_object_get(schema, "properties"), required, &m);
        const ops_gb_ref more = further(s, schema, &m);
        const ops_gb_ref separator =
            ops_gb_pair(s->b, OPS_GB_KIND_SEQ, ops_gb_text(s->b, ","), ops_gb_blank(s->b));
        const ops_gb_ref all[] = {ops_gb_text(s->b, "{"), ops_gb_blank(s->b),
                                  ops_gb_members(s->b, m.kids.v, m.must.v, m.kids.n, more, separator),
                                  ops_gb_blank(s->b), ops_gb_text(s->b, "}")};
        x = ops_gb_list(s->b, OPS_GB_KIND_SEQ, all, 5);
    }
    ops_map_free(m.by_name);
    ops_vec_done(&m.kids);
    ops_vec_done(&m.must);
    ops_vec_done(&m.names);
    return x;
}

/* --- arrays --- */

static uint32_t less(uint32_t n, uint32_t by)
{
    return n == OPS_GB_NO_MAX ? n : n > by ? n - by : 0;
}

static ops_gb_ref after_comma(ops_gs *s, ops_gb_ref x)
{
    const ops_gb_ref all[] = {ops_gb_text(s->b, ","), ops_gb_blank(s->b), x};
    return ops_gb_list(s->b, OPS_GB_KIND_SEQ, all, 3);
}

/* Elements after the first `n` of prefixItems. */
static ops_gb_ref rest(ops_gs *s, json_t *items, uint32_t n, uint32_t min, uint32_t max)
{
    const size_t mark = ops_gs_go_in(s, "items");
    const ops_gb_ref x = items == NULL ? ops_gb_call(s->b, OPS_GB_ANY) : ops_gs_value(s, items);
    ops_gs_go_out(s, mark);
    if (x == OPS_GB_NEVER)
        return min > n ? OPS_GB_NEVER : OPS_GB_EMPTY;
    if (n > 0)
        return ops_gb_repeat(s->b, after_comma(s, x), less(min, n), less(max, n));
    if (max == 0)
        return OPS_GB_EMPTY;
    const ops_gb_ref some = ops_gb_pair(s->b, OPS_GB_KIND_SEQ, x,
                                        ops_gb_repeat(s->b, after_comma(s, x), less(min, 1), less(max, 1)));
    return min > 0 ? some : ops_gb_maybe(s->b, some);
}

static ops_gb_ref elements(ops_gs *s, json_t *schema, uint32_t min, uint32_t max)
{
    json_t *prefix = json_object_get(schema, "prefixItems");
    if (prefix != NULL && !json_is_array(prefix))
        return ops_gs_wrong(s, OPS_EINVAL, "prefixItems", "a list of schemas is wanted");
    if (json_array_size(prefix) > OPS_GS_PREFIX_MAX)
        return ops_gs_wrong(s, OPS_ETOOBIG, "prefixItems", "more than 1024");
    const uint32_t n = (uint32_t)json_array_size(prefix);
    ops_gb_ref x = max > n ? rest(s, json_object_get(schema, "items"), n, min, max) : OPS_GB_EMPTY;
    const size_t outer = ops_gs_go_in(s, "prefixItems");
    for (uint32_t i = n; i-- > 0 && ops_gs_going(s);) {
        if (i >= max)
            continue;
        const size_t mark = ops_gs_go_in_at(s, i);
        const ops_gb_ref one = ops_gs_value(s, json_array_get(prefix, i));
        x = ops_gb_pair(s->b, OPS_GB_KIND_SEQ, i > 0 ? after_comma(s, one) : one, x);
        x = i >= min ? ops_gb_maybe(s->b, x) : x;
        ops_gs_go_out(s, mark);
    }
    ops_gs_go_out(s, outer);
    return x;
}

ops_gb_ref ops_gs_array(ops_gs *s, json_t *schema)
{
    uint32_t min = 0, max = OPS_GB_NO_MAX;
    if (!ops_gs_count(s, schema, "minItems", &min) || !ops_gs_count(s, schema, "maxItems", &max))
        return OPS_GB_NEVER;
    if (max < min)
        return OPS_GB_NEVER;
    max = ops_gs_fewer(min, max);
    const ops_gb_ref all[] = {ops_gb_text(s->b, "["), ops_gb_blank(s->b), elements(s, schema, min, max),
                              ops_gb_blank(s->b), ops_gb_text(s->b, "]")};
    return ops_gb_list(s->b, OPS_GB_KIND_SEQ, all, 5);
}
