/* Schemas that must hold together (allOf, and what stands beside a union or a $ref) made into one. */
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "worker/grammar/schema_internal.h"

/* Takes `j` (NULL: the heap was out) and gives the schema of that text, so that the same one met again is the same rule. */
static json_t *made(ops_gs *s, json_t *j)
{
    const ops_slice text = j != NULL ? ops_gs_dump(j) : ops_slice_of(NULL, 0);
    json_t *known = text.p != NULL ? ops_map_get(s->made_by_text, text) : NULL;
    if (text.p == NULL)
        (void)ops_gs_out_of_memory(s);
    else if (known == NULL && s->made.n >= OPS_GS_MADE_MAX)
        (void)ops_gs_wrong(s, OPS_ETOOBIG, "allOf", "more than 16384 schemas come of merging");
    else if (known == NULL && !ops_vec_push(&s->made, j))
        (void)ops_gs_out_of_memory(s);
    else if (known == NULL) {
        known = j;
        j = NULL;
        if (ops_map_put(s->made_by_text, text, known, NULL) != OPS_OK) {
            (void)ops_gs_out_of_memory(s);
            known = NULL;
        }
    }
    json_decref(j);
    ops_free((void *)(uintptr_t)text.p);
    return known;
}

/* A new schema without one keyword and without the annotations, not yet among the made ones. */
static json_t *stripped(json_t *schema, const char *without)
{
    json_t *copy = json_object(), *value = NULL;
    const char *key = NULL;
    bool good = copy != NULL;
    json_object_foreach(schema, key, value) if (!ops_gs_is_annotation(key) &&
                                                (without == NULL || strcmp(key, without) != 0)) good =
        good && json_object_set(copy, key, value) == 0;
    if (!good) {
        json_decref(copy);
        return NULL;
    }
    return copy;
}

json_t *ops_gs_without(ops_gs *s, json_t *schema, const char *key)
{
    return made(s, stripped(schema, key));
}

static json_t *pair(json_t *a, json_t *b)
{
    json_t *list = json_array(), *both = json_object();
    if (list == NULL || both == NULL || json_array_append(list, a) != 0 || json_array_append(list, b) != 0 ||
        json_object_set_new(both, "allOf", json_incref(list)) != 0) {
        json_decref(both);
        both = NULL;
    }
    json_decref(list);
    return both;
}

static bool has(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

/* --- one keyword that both have. A new value, or NULL: can not be merged (*ret_never: nothing satisfies both) --- */

static json_t *as_list(json_t *v)
{
    if (json_is_array(v))
        return json_incref(v);
    json_t *list = json_array();
    return list != NULL && json_array_append(list, v) == 0 ? list : NULL;
}

static bool is_type(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)) &&
            strcmp(json_string_value(json_array_get(list, i)), name) == 0)
            return true;
    return false;
}

static json_t *both_types(json_t *a, json_t *b, bool *ret_never)
{
    json_t *x = as_list(a), *y = as_list(b), *out = json_array();
    for (size_t i = 0; i < json_array_size(x); i++) {
        const char *name = json_string_value(json_array_get(x, i));
        if (name == NULL)
            continue;
        const bool number = strcmp(name, "number") == 0;
        if (is_type(y, name) || (strcmp(name, "integer") == 0 && is_type(y, "number")))
            (void)json_array_append_new(out, json_string(name));
        else if (number && is_type(y, "integer"))
            (void)json_array_append_new(out, json_string("integer"));
    }
    *ret_never = out != NULL && json_array_size(out) == 0;
    json_decref(x);
    json_decref(y);
    return out;
}

static json_t *both_lists(json_t *a, json_t *b, bool either, bool *ret_never)
{
    json_t *out = json_array();
    if (!json_is_array(a) || !json_is_array(b)) {
        json_decref(out);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(a); i++)
        if (either || has(b, json_array_get(a, i)))
            (void)json_array_append(out, json_array_get(a, i));
    for (size_t i = 0; either && i < json_array_size(b); i++)
        if (!has(a, json_array_get(b, i)))
            (void)json_array_append(out, json_array_get(b, i));
    *ret_never = !either && json_array_size(out) == 0;
    return out;
}

static json_t *both_keys(const char *key, json_t *a, json_t *b, bool *ret_never)
{
    static const char *const least[] = {"minimum", "exclusiveMinimum", "minItems", "minLength", NULL};
    static const char *const most[] = {"maximum", "exclusiveMaximum", "maxItems", "maxLength", NULL};
    if (json_equal(a, b))
        return json_incref(a);
    for (size_t i = 0; least[i] != NULL; i++)
        if (json_is_number(a) && json_is_number(b) &&
            (strcmp(key, least[i]) == 0 || strcmp(key, most[i]) == 0)) {
            const bool greater = json_number_value(a) > json_number_value(b);
            return json_incref(greater == (strcmp(key, least[i]) == 0) ? a : b);
        }
    if (strcmp(key, "type") == 0)
        return both_types(a, b, ret_never);
    if (strcmp(key, "required") == 0 || strcmp(key, "enum") == 0)
        return both_lists(a, b, key[0] == 'r', ret_never);
    if (strcmp(key, "const") == 0) {
        *ret_never = true;
        return NULL;
    }
    return strcmp(key, "items") == 0 ? pair(a, b) : NULL;
}

/* --- properties: what one does not name falls under what it says of further ones --- */

static json_t *more_of(json_t *schema)
{
    json_t *more = json_object_get(schema, "additionalProperties");
    return more != NULL ? json_incref(more) : json_true();
}

static json_t *one_and_more(json_t *value, json_t *more)
{
    if (json_is_true(more))
        return json_incref(value);
    return json_is_false(more) ? json_false() : pair(value, more);
}

static bool merge_properties(json_t *a, json_t *b, json_t *out)
{
    json_t *x = json_object_get(a, "properties"), *y = json_object_get(b, "properties"), *value = NULL;
    json_t *more_a = more_of(a), *more_b = more_of(b), *all = json_object();
    const char *key = NULL;
    bool good = all != NULL;
    json_object_foreach(x, key, value)
    {
        json_t *other = json_object_get(y, key);
        json_t *both = other != NULL ? pair(value, other) : one_and_more(value, more_b);
        good = good && both != NULL && json_object_set_new(all, key, both) == 0;
    }
    json_object_foreach(y, key, value) if (json_object_get(x, key) == NULL)
    {
        json_t *both = one_and_more(value, more_a);
        good = good && both != NULL && json_object_set_new(all, key, both) == 0;
    }
    json_t *more = json_is_true(more_a) ? json_incref(more_b) : one_and_more(more_a, more_b);
    const bool said = json_object_get(a, "additionalProperties") != NULL ||
                      json_object_get(b, "additionalProperties") != NULL;
    good = good && more != NULL && (!said || json_object_set(out, "additionalProperties", more) == 0) &&
           json_object_set(out, "properties", all) == 0;
    json_decref(more);
    json_decref(more_a);
    json_decref(more_b);
    json_decref(all);
    return good;
}

/* --- two schemas --- */

/* The schema behind a $ref that stands alone, or beside others; borrowed. */
static json_t *unfold(ops_gs *s, json_t *schema) // NOLINT(misc-no-recursion): counted by s->depth
{
    for (int i = 0; schema != NULL && json_is_object(schema); i++) {
        if (i >= OPS_GS_REFS_MAX) {
            (void)ops_gs_wrong(s, OPS_EINVAL, "$ref", "more than 64 lead from one to the next");
            return NULL;
        }
        json_t *ref = json_object_get(schema, "$ref");
        if (json_object_get(schema, "allOf") != NULL)
            schema = ops_gs_all_of(s, schema);
        else if (ref != NULL) {
            static const char *const alone[] = {"$ref", NULL};
            json_t *target = ops_gs_resolve(s, ref);
            json_t *rest = target != NULL && ops_gs_other_than(schema, alone) != NULL
                               ? ops_gs_without(s, schema, "$ref")
                               : NULL;
            schema = rest != NULL ? ops_gs_both(s, rest, target) : target;
        } else
            return schema;
    }
    return schema;
}

static bool is_of_objects(const char *key)
{
    return strcmp(key, "properties") == 0 || strcmp(key, "additionalProperties") == 0;
}

static json_t *merge(ops_gs *s, json_t *a, json_t *b)
{
    json_t *out = stripped(a, NULL), *extra = stripped(b, NULL), *value = NULL;
    const char *key = NULL;
    bool never = false, good = out != NULL && extra != NULL;
    json_object_foreach(extra, key, value)
    {
        json_t *mine = json_object_get(a, key);
        if (!good || is_of_objects(key))
            continue;
        json_t *both = mine != NULL ? both_keys(key, mine, value, &never) : json_incref(value);
        if (both == NULL && !never)
            (void)ops_gs_wrong(s, OPS_EUNIMPL, key, "in two schemas that must hold together it is not built");
        if (never || both == NULL || json_object_set(out, key, both) != 0)
            good = false;
        json_decref(both);
    }
    const bool items = json_object_get(a, "prefixItems") != NULL || json_object_get(b, "prefixItems") != NULL;
    if (good && items && (json_object_get(a, "items") == NULL) != (json_object_get(b, "items") == NULL) &&
        (json_object_get(a, "prefixItems") == NULL) != (json_object_get(b, "prefixItems") == NULL))
        (void)ops_gs_wrong(s, OPS_EUNIMPL, "prefixItems", "beside items of another schema it is not built");
    if (good && (json_object_get(a, "properties") != NULL || json_object_get(b, "properties") != NULL ||
                 json_object_get(a, "additionalProperties") != NULL ||
                 json_object_get(b, "additionalProperties") != NULL))
        good = merge_properties(a, b, out);
    json_decref(extra);
    if (good || (!never && s->st == OPS_OK))
        return made(s, good ? out : (json_decref(out), NULL));
    json_decref(out);
    return never && s->st == OPS_OK ? made(s, json_false()) : NULL;
}

json_t *ops_gs_both(ops_gs *s, json_t *a, json_t *b) // NOLINT(misc-no-recursion): counted by s->depth
{
    if (++s->depth > OPS_GRAMMAR_NESTING_MAX) {
        (void)ops_gs_wrong(s, OPS_ETOOBIG, "schema", "merged deeper than 64");
        return NULL;
    }
    a = unfold(s, a);
    b = unfold(s, b);
    s->depth--;
    if (a == NULL || b == NULL || !ops_gs_going(s))
        return NULL;
    if ((!json_is_object(a) && !json_is_boolean(a)) || (!json_is_object(b) && !json_is_boolean(b))) {
        (void)ops_gs_wrong(s, OPS_EINVAL, "schema", "an object, true or false is wanted");
        return NULL;
    }
    if (json_is_boolean(a) || json_is_boolean(b)) {
        const bool first = json_is_false(a) || json_is_true(b);
        return first ? a : b;
    }
    return merge(s, a, b);
}

json_t *ops_gs_all_of(ops_gs *s, json_t *schema) // NOLINT(misc-no-recursion)
{
    json_t *list = json_object_get(schema, "allOf");
    if (!json_is_array(list) || json_array_size(list) == 0) {
        (void)ops_gs_wrong(s, OPS_EINVAL, "allOf", "a list with schemas is wanted");
        return NULL;
    }
    json_t *all = ops_gs_without(s, schema, "allOf");
    const size_t outer = ops_gs_go_in(s, "allOf");
    for (size_t i = 0; i < json_array_size(list) && all != NULL && ops_gs_going(s); i++) {
        const size_t mark = ops_gs_go_in_at(s, i);
        all = ops_gs_both(s, all, json_array_get(list, i));
        ops_gs_go_out(s, mark);
    }
    ops_gs_go_out(s, outer);
    return all;
}
