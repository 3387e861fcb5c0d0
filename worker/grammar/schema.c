/* JSON Schema to a grammar: keywords, references, unions. Draft 2020-12, https://json-schema.org/draft/2020-12 */
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "worker/grammar/schema_internal.h"

bool ops_gs_going(const ops_gs *s)
{
    return s->st == OPS_OK && ops_gb_ok(s->b);
}

ops_gb_ref ops_gs_wrong(ops_gs *s, ops_status st, const char *keyword, const char *what)
{
    if (s->st == OPS_OK)
        s->st = ops_fail(s->err, st, "schema at '#" OPS_SLICE_FMT "': %.64s: %s",
                         OPS_SLICE_ARG(ops_strbuf_get(&s->at)), keyword, what);
    return OPS_GB_NEVER;
}

ops_gb_ref ops_gs_out_of_memory(ops_gs *s)
{
    if (s->b->st == OPS_OK)
        s->b->st = OPS_ENOMEM;
    return OPS_GB_NEVER;
}

size_t ops_gs_go_in(ops_gs *s, const char *key)
{
    const size_t mark = s->at.n;
    ops_strbuf_char(&s->at, '/');
    for (; *key != '\0'; key++)
        if (*key == '~' || *key == '/')
            ops_strbuf_str(&s->at, *key == '~' ? "~0" : "~1");
        else
            ops_strbuf_char(&s->at, *key);
    if (s->at.failed)
        (void)ops_gs_wrong(s, OPS_ETOOBIG, "pointer", "longer than 4096 bytes");
    return mark;
}
size_t ops_gs_go_in_at(ops_gs *s, size_t index)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%zu", index);
    return ops_gs_go_in(s, text);
}
void ops_gs_go_out(ops_gs *s, size_t mark)
{
    s->at.n = mark < s->at.n ? mark : s->at.n;
}

/* --- keywords --- */

static const char *const annotations[] = {"title",   "description", "default",    "examples", "$comment",
                                          "$schema", "$id",         "deprecated", "readOnly", "writeOnly",
                                          "$defs",   "definitions", NULL};
static const char *const known[] = {"type",
                                    "properties",
                                    "required",
                                    "additionalProperties",
                                    "items",
                                    "prefixItems",
                                    "minItems",
                                    "maxItems",
                                    "enum",
                                    "const",
                                    "pattern",
                                    "format",
                                    "minLength",
                                    "maxLength",
                                    "minimum",
                                    "exclusiveMinimum",
                                    "exclusiveMaximum",
                                    "maximum",
                                    "anyOf",
                                    "oneOf",
                                    "allOf",
                                    "$ref",
                                    NULL};

static bool is_one_of(const char *key, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strcmp(*names, key) == 0)
            return true;
    return false;
}
bool ops_gs_is_annotation(const char *key)
{
    return is_one_of(key, annotations);
}

const char *ops_gs_other_than(const json_t *schema, const char *const *names)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_t *open = json_copy((json_t *)(uintptr_t)schema); /* the iterators of jansson want no const */
    const char *found = NULL;
    json_object_foreach(open, key, value) if (found == NULL && !is_one_of(key, annotations) &&
                                              !is_one_of(key, names)) for (size_t i = 0; known[i] != NULL;
                                                                           i++) if (strcmp(known[i], key) ==
                                                                                    0) found = known[i];
    json_decref(open);
    return found;
}

static void check_keywords(ops_gs *s, json_t *schema)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(schema, key, value) if (!is_one_of(key, known) && !is_one_of(key, annotations))(void)
        ops_gs_wrong(s, OPS_EUNIMPL, key, "this keyword is not built");
}

/* --- references --- */

static bool unescape(const char *p, size_t n, char *to, size_t max)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '%' && i + 2 < n) {
            char hex[3] = {p[i + 1], p[i + 2], 0}, *end = NULL;
            c = (char)strtoul(hex, &end, 16);
            i += 2;
            if (*end != '\0' || c == '\0')
                return false;
        }
        if (c == '~' && i + 1 < n && (p[i + 1] == '0' || p[i + 1] == '1'))
            c = p[++i] == '0' ? '~' : '/';
        if (m + 1 >= max)
            return false;
        to[m++] = c;
    }
    to[m] = '\0';
    return true;
}

json_t *ops_gs_resolve(ops_gs *s, const json_t *ref)
{
    const char *p = json_string_value(ref);
    char part[512];
    json_t *at = s->root;
    if (p == NULL || p[0] != '#' || (p[1] != '\0' && p[1] != '/')) {
        (void)ops_gs_wrong(s, p == NULL ? OPS_EINVAL : OPS_EUNIMPL, "$ref", "only '#' and '#/...' are built");
        return NULL;
    }
    for (p++; *p == '/' && at != NULL;) {
        const char *end = strchrnul(p + 1, '/');
        if (!unescape(p + 1, (size_t)(end - p - 1), part, sizeof part))
            at = NULL;
        else if (json_is_array(at)) {
            uint64_t i = 0;
            at = ops_slice_to_u64(ops_slice_str(part), &i) ? json_array_get(at, i) : NULL;
        } else
            at = json_object_get(at, part);
        p = end;
    }
    if (at == NULL)
        (void)ops_gs_wrong(s, OPS_EINVAL, "$ref", "it names nothing");
    return at;
}

uint32_t ops_gs_rule(ops_gs *s, json_t *schema, ops_gs_what what)
{
    const uint64_t key = (uint64_t)(uintptr_t)schema + (uint64_t)what; /* addresses are multiples of 8 */
    const uintptr_t known_rule = (uintptr_t)ops_map64_get(s->rules, key);
    if (known_rule != 0)
        return (uint32_t)known_rule - 1;
    const uint32_t rule = ops_gb_rule(s->b);
    const ops_slice here = ops_strbuf_get(&s->at);
    const ops_gs_job job = {rule, what, schema,
                            ops_slice_of(ops_strndup(here.p != NULL ? here.p : "", here.n), here.n)};
    if (!ops_gs_going(s) || job.at.p == NULL || !ops_vec_push(&s->jobs, job)) {
        ops_free((void *)(uintptr_t)job.at.p);
        if (ops_gs_going(s))
            (void)ops_gs_out_of_memory(s);
    } else if (ops_map64_put(s->rules, key, (void *)(uintptr_t)(rule + 1), NULL) != OPS_OK)
        (void)ops_gs_out_of_memory(s);
    return rule;
}

/* --- one schema --- */

static ops_gb_ref reference(ops_gs *s, json_t *schema) // NOLINT(misc-no-recursion): OPS_GRAMMAR_NESTING_MAX
{
    static const char *const alone[] = {"$ref", NULL};
    json_t *target = ops_gs_resolve(s, json_object_get(schema, "$ref"));
    if (target == NULL)
        return OPS_GB_NEVER;
    if (ops_gs_other_than(schema, alone) == NULL) {
        const ops_strbuf here = s->at; /* errors inside are told where they are */
        const char *p = json_string_value(json_object_get(schema, "$ref"));
        ops_strbuf_init(&s->at, OPS_GS_POINTER_MAX);
        ops_strbuf_str(&s->at, p + 1);
        if (s->at.p == NULL && p[1] != '\0')
            (void)ops_gs_out_of_memory(s);
        const uint32_t rule = ops_gs_rule(s, target, OPS_GS_VALUE);
        ops_strbuf_done(&s->at);
        s->at = here;
        return ops_gb_call(s->b, rule);
    }
    json_t *rest = ops_gs_without(s, schema, "$ref");
    json_t *both = rest != NULL ? ops_gs_both(s, rest, target) : NULL;
    return both != NULL ? ops_gs_value(s, both) : OPS_GB_NEVER;
}

/* Each alternative together with what stands beside the union. */
static ops_gb_ref one_of(ops_gs *s, json_t *schema, const char *keyword) // NOLINT(misc-no-recursion)
{
    const char *const alone[] = {keyword, NULL};
    json_t *list = json_object_get(schema, keyword);
    if (!json_is_array(list) || json_array_size(list) == 0)
        return ops_gs_wrong(s, OPS_EINVAL, keyword, "a list with schemas is wanted");
    json_t *rest = NULL;
    if (ops_gs_other_than(schema, alone) != NULL && (rest = ops_gs_without(s, schema, keyword)) == NULL)
        return OPS_GB_NEVER;
    OPS_VEC(ops_gb_ref) kids = {0};
    const size_t outer = ops_gs_go_in(s, keyword);
    for (size_t i = 0; i < json_array_size(list) && ops_gs_going(s); i++) {
        const size_t mark = ops_gs_go_in_at(s, i);
        json_t *kid = json_array_get(list, i);
        if (rest != NULL)
            kid = ops_gs_both(s, rest, kid);
        const ops_gb_ref x = kid != NULL ? ops_gs_value(s, kid) : OPS_GB_NEVER;
        if (ops_gs_going(s) && !ops_vec_push(&kids, x))
            (void)ops_gs_out_of_memory(s);
        ops_gs_go_out(s, mark);
    }
    ops_gs_go_out(s, outer);
    const ops_gb_ref all = ops_gb_list(s->b, OPS_GB_KIND_ALT, kids.v, kids.n);
    ops_vec_done(&kids);
    return all;
}

static ops_gb_ref object_schema(ops_gs *s, json_t *schema) // NOLINT(misc-no-recursion)
{
    check_keywords(s, schema);
    if (!ops_gs_going(s))
        return OPS_GB_NEVER;
    if (json_object_get(schema, "allOf") != NULL) {
        json_t *all = ops_gs_all_of(s, schema);
        return all != NULL ? ops_gs_value(s, all) : OPS_GB_NEVER;
    }
    if (json_object_get(schema, "$ref") != NULL)
        return reference(s, schema);
    if (json_object_get(schema, "anyOf") != NULL)
        return one_of(s, schema, "anyOf");
    if (json_object_get(schema, "oneOf") != NULL)
        return one_of(s, schema, "oneOf");
    if (json_object_get(schema, "enum") != NULL || json_object_get(schema, "const") != NULL)
        return ops_gs_literals(s, schema);
    return ops_gs_types(s, schema);
}

ops_gb_ref ops_gs_value(ops_gs *s, json_t *schema) // NOLINT(misc-no-recursion)
{
    if (!ops_gs_going(s))
        return OPS_GB_NEVER;
    if (json_is_boolean(schema))
        return json_is_true(schema) ? ops_gb_call(s->b, OPS_GB_ANY) : OPS_GB_NEVER;
    if (!json_is_object(schema))
        return ops_gs_wrong(s, OPS_EINVAL, "schema", "an object, true or false is wanted");
    if (++s->depth > OPS_GRAMMAR_NESTING_MAX)
        return ops_gs_wrong(s, OPS_ETOOBIG, "schema", "unions nested deeper than 64");
    const ops_gb_ref x = object_schema(s, schema);
    s->depth--;
    return x;
}

static void run_jobs(ops_gs *s)
{
    for (size_t i = 0; i < s->jobs.n && ops_gs_going(s); i++) {
        const ops_gs_job j = s->jobs.v[i];
        ops_strbuf_clear(&s->at);
        ops_strbuf_slice(&s->at, j.at);
        s->depth = 0;
        const ops_gb_ref x = j.what == OPS_GS_OBJECT  ? ops_gs_object(s, j.schema)
                             : j.what == OPS_GS_ARRAY ? ops_gs_array(s, j.schema)
                                                      : ops_gs_value(s, j.schema);
        if (ops_gs_going(s))
            ops_gb_make(s->b, j.rule, x);
    }
}

static ops_status finish(ops_gs *s, uint32_t root, ops_grammar **ret)
{
    for (size_t i = 0; i < s->b->g->starts.n && ops_gs_going(s); i++) /* rules of no schema have no name */
        if (i >= OPS_GB_COMMON && !ops_vec_push(&s->names, OPS_SLICE("#")))
            (void)ops_gs_out_of_memory(s);
    for (size_t i = 0; i < s->jobs.n && ops_gs_going(s); i++)
        if (s->jobs.v[i].at.n > 0)
            s->names.v[s->jobs.v[i].rule - OPS_GB_COMMON] = s->jobs.v[i].at;
    s->b->names = s->names.v;
    s->b->n_names = s->names.n;
    const ops_status st = s->st != OPS_OK ? s->st : ops_gb_finish(s->b, root, ret, s->err);
    if (st != OPS_OK && s->st == OPS_OK)
        ops_err_prefix(s->err, "schema");
    return st;
}

static void gs_done(ops_gs *s)
{
    for (size_t i = 0; i < s->jobs.n; i++)
        ops_free((void *)(uintptr_t)s->jobs.v[i].at.p);
    for (size_t i = 0; i < s->made.n; i++)
        json_decref(s->made.v[i]);
    ops_vec_done(&s->jobs);
    ops_vec_done(&s->made);
    ops_vec_done(&s->names);
    ops_map64_free(s->rules);
    ops_map64_free(s->strings);
    ops_map_free(s->made_by_text);
    ops_strbuf_done(&s->at);
    json_decref(s->root);
}

/* Reads the schema; *ret_root is its rule, made with all that it needs. */
static ops_status compile(ops_gs *s, ops_slice json, uint32_t *ret_root)
{
    json_error_t bad;
    ops_strbuf_init(&s->at, OPS_GS_POINTER_MAX);
    const bool room =
        ops_strbuf_room(&s->at, OPS_GS_POINTER_MAX) != NULL; /* now, so that later only length can fail */
    s->rules = ops_map64_new();
    s->strings = ops_map64_new();
    s->made_by_text = ops_map_new();
    if (!room || s->rules == NULL || s->strings == NULL || s->made_by_text == NULL)
        return ops_fail(s->err, OPS_ENOMEM, "schema: out of memory");
    s->root =
        json_loadb(json.p != NULL ? json.p : "", json.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &bad);
    if (s->root == NULL)
        return ops_fail(s->err, OPS_EINVAL, "schema: no JSON at line %d column %d: %s", bad.line, bad.column,
                        bad.text);
    *ret_root = ops_gs_rule(s, s->root, OPS_GS_VALUE);
    run_jobs(s);
    return OPS_OK;
}

ops_status ops_grammar_from_schema(const ops_grammar_vocab *v, ops_slice json, unsigned flags,
                                   ops_grammar **ret, ops_err *reterr)
{
    if (json.n > OPS_GRAMMAR_TEXT_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "schema of %zu bytes, more than %d", json.n,
                        OPS_GRAMMAR_TEXT_MAX);
    ops_gb b;
    ops_gs s = {.b = &b, .err = reterr};
    uint32_t root = 0;
    ops_status st = ops_gb_init(&b, v, flags, reterr);
    if (st == OPS_OK)
        st = compile(&s, json, &root);
    if (st == OPS_OK)
        st = finish(&s, root, ret);
    gs_done(&s);
    ops_gb_done(&b);
    return st;
}

ops_status ops_gb_schema(ops_gb *b, ops_slice json, uint32_t rule, ops_err *reterr)
{
    ops_gs s = {.b = b, .err = reterr};
    uint32_t root = 0;
    ops_status st = compile(&s, json, &root);
    if (st == OPS_OK && ops_gs_going(&s))
        ops_gb_make(b, rule, ops_gb_call(b, root));
    if (st == OPS_OK)
        st = s.st != OPS_OK ? s.st : ops_gb_told(b, reterr);
    gs_done(&s);
    return st;
}
