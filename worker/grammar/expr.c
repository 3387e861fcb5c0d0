/* Expressions: small immutable nodes that share what they are made of. */
#include "base/mem/alloc.h"
#include "worker/grammar/build_internal.h"

bool ops_gb_ok(const ops_gb *b)
{
    return b->st == OPS_OK;
}

void ops_gb_full(ops_gb *b, const char *what, size_t limit)
{
    if (b->st != OPS_OK)
        return;
    b->st = OPS_ETOOBIG;
    b->full = what;
    b->limit = limit;
}

ops_status ops_gb_told(const ops_gb *b, ops_err *reterr)
{
    if (b->st == OPS_ETOOBIG)
        return ops_fail(reterr, b->st, "the grammar needs more than %zu %s", b->limit, b->full);
    return b->st == OPS_OK ? OPS_OK : ops_fail(reterr, b->st, "grammar: out of memory");
}

static ops_gb_ref put(ops_gb *b, ops_gb_node n)
{
    if (!ops_gb_ok(b))
        return OPS_GB_NEVER;
    if (b->nodes.n >= OPS_GB_NODES_MAX)
        ops_gb_full(b, "expressions", OPS_GB_NODES_MAX);
    else if (!ops_vec_push(&b->nodes, n))
        b->st = OPS_ENOMEM;
    return ops_gb_ok(b) ? (ops_gb_ref)(b->nodes.n - 1) : OPS_GB_NEVER;
}

ops_gb_ref ops_gb_bytes(ops_gb *b, ops_slice s)
{
    if (s.n == 0)
        return OPS_GB_EMPTY;
    const uint32_t at = (uint32_t)b->texts.n;
    for (size_t i = 0; i < s.n && ops_gb_ok(b); i++)
        if (!ops_vec_push(&b->texts, s.p[i]))
            b->st = OPS_ENOMEM;
    return put(b, (ops_gb_node){.kind = OPS_GB_KIND_BYTES, .at = at, .n = (uint32_t)s.n});
}

ops_gb_ref ops_gb_text(ops_gb *b, const char *s)
{
    return ops_gb_bytes(b, ops_slice_str(s));
}

ops_gb_ref ops_gb_set(ops_gb *b, const ops_gb_range *r, size_t n, bool json)
{
    const uint32_t at = (uint32_t)b->ranges.n;
    for (size_t i = 0; i < n && ops_gb_ok(b); i++)
        if (!ops_vec_push(&b->ranges, r[i]))
            b->st = OPS_ENOMEM;
    return n == 0 ? OPS_GB_NEVER
                  : put(b, (ops_gb_node){.kind = OPS_GB_KIND_SET, .json = json, .at = at, .n = (uint32_t)n});
}

static uint32_t put_kids(ops_gb *b, const ops_gb_ref *kids, const uint8_t *flags, size_t n)
{
    const uint32_t at = (uint32_t)b->kids.n;
    for (size_t i = 0; i < n && ops_gb_ok(b); i++) {
        if (!ops_vec_push(&b->kids, kids[i])) {
            b->st = OPS_ENOMEM;
            break;
        }
        if (!ops_vec_push(&b->flags, flags != NULL ? flags[i] : 0)) {
            b->kids.n--;
            b->st = OPS_ENOMEM;
        }
    }
    return at;
}

ops_gb_ref ops_gb_list(ops_gb *b, ops_gb_kind kind, const ops_gb_ref *kids, size_t n)
{
    if (n == 0)
        return kind == OPS_GB_KIND_SEQ ? OPS_GB_EMPTY : OPS_GB_NEVER;
    if (n == 1)
        return kids[0];
    const uint32_t at = put_kids(b, kids, NULL, n);
    return put(b, (ops_gb_node){.kind = (uint8_t)kind, .at = at, .n = (uint32_t)n});
}

ops_gb_ref ops_gb_pair(ops_gb *b, ops_gb_kind kind, ops_gb_ref x, ops_gb_ref y)
{
    const ops_gb_ref two[] = {x, y};
    return ops_gb_list(b, kind, two, 2);
}

ops_gb_ref ops_gb_repeat(ops_gb *b, ops_gb_ref x, uint32_t min, uint32_t max)
{
    if (max == 0)
        return OPS_GB_EMPTY;
    return min == 1 && max == 1
               ? x
               : put(b, (ops_gb_node){.kind = OPS_GB_KIND_REPEAT, .at = x, .min = min, .max = max});
}

ops_gb_ref ops_gb_maybe(ops_gb *b, ops_gb_ref x)
{
    return ops_gb_repeat(b, x, 0, 1);
}

ops_gb_ref ops_gb_call(ops_gb *b, uint32_t rule)
{
    return put(b, (ops_gb_node){.kind = OPS_GB_KIND_CALL, .at = rule});
}

ops_gb_ref ops_gb_members(ops_gb *b, const ops_gb_ref *kids, const uint8_t *must, size_t n, ops_gb_ref more,
                          ops_gb_ref separator)
{
    const uint32_t at = put_kids(b, kids, must, n);
    (void)put_kids(b, &more, NULL, 1);
    return put(b,
               (ops_gb_node){.kind = OPS_GB_KIND_MEMBERS, .at = at, .n = (uint32_t)n + 1, .min = separator});
}

/* --- the builder itself --- */

static uint64_t next_serial(void)
{
    static uint64_t last = 16; /* numbers below are of the common states */
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

ops_status ops_gb_init(ops_gb *b, const ops_grammar_vocab *v, unsigned flags, ops_err *reterr)
{
    *b = (ops_gb){.spaced = (flags & OPS_GRAMMAR_SPACED) != 0};
    b->g = ops_calloc(1, sizeof *b->g);
    if (b->g == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "grammar: out of memory");
    b->g->v = v;
    b->g->kind = b->spaced ? 1 : 0;
    b->g->serial = next_serial();
    (void)put(b, (ops_gb_node){.kind = OPS_GB_KIND_NEVER});
    (void)put(b, (ops_gb_node){.kind = OPS_GB_KIND_EMPTY});
    ops_gb_make_common(b);
    b->g->common = (uint32_t)b->g->states.n;
    return ops_gb_told(b, reterr);
}

void ops_gb_done(ops_gb *b)
{
    ops_grammar_free(b->g);
    ops_vec_done(&b->nodes);
    ops_vec_done(&b->kids);
    ops_vec_done(&b->flags);
    ops_vec_done(&b->ranges);
    ops_vec_done(&b->texts);
    ops_vec_done(&b->nfa);
    ops_vec_done(&b->nfa_edges);
}

ops_slice ops_gb_name(const ops_gb *b, uint32_t rule)
{
    const bool known = b->names != NULL && rule >= OPS_GB_COMMON && rule - OPS_GB_COMMON < b->n_names;
    return known ? b->names[rule - OPS_GB_COMMON] : OPS_SLICE("any JSON");
}

ops_status ops_gb_finish(ops_gb *b, uint32_t root, ops_grammar **ret, ops_err *reterr)
{
    ops_status st = ops_gb_told(b, reterr);
    if (st != OPS_OK)
        return st;
    b->g->root = root;
    st = ops_gb_check_left(b, reterr);
    if (st == OPS_OK)
        st = ops_gb_trim(b, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(b->g);
    return st;
}
