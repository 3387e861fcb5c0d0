/* Expressions laid out as a nondeterministic automaton, between two given states (after Thompson, 1968). */
#include "base/mem/alloc.h"
#include "worker/grammar/build_internal.h"

uint32_t ops_gb_nfa_state(ops_gb *b)
{
    if (b->nfa.n >= OPS_GB_NFA_MAX)
        ops_gb_full(b, "states of one rule", OPS_GB_NFA_MAX);
    else if (ops_gb_ok(b) && !ops_vec_push(&b->nfa, 0U))
        b->st = OPS_ENOMEM;
    return ops_gb_ok(b) ? (uint32_t)b->nfa.n - 1 : 0;
}

void ops_gb_nfa_put(ops_gb *b, uint32_t from, ops_gb_nfa_edge e)
{
    if (!ops_gb_ok(b))
        return;
    e.next = b->nfa.v[from];
    if (b->nfa_edges.n >= 8 * (size_t)OPS_GB_NFA_MAX)
        ops_gb_full(b, "edges of one rule", 8 * (size_t)OPS_GB_NFA_MAX);
    else if (!ops_vec_push(&b->nfa_edges, e))
        b->st = OPS_ENOMEM;
    else
        b->nfa.v[from] = (uint32_t)b->nfa_edges.n;
}

static void empty(ops_gb *b, uint32_t from, uint32_t to)
{
    ops_gb_nfa_put(b, from, (ops_gb_nfa_edge){.to = to, .rule = OPS_GB_NO_RULE, .empty = true});
}

static void emit_bytes(ops_gb *b, const ops_gb_node *x, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < x->n && ops_gb_ok(b); i++) {
        const uint8_t c = (uint8_t)b->texts.v[x->at + i];
        const uint32_t next = i + 1 == x->n ? to : ops_gb_nfa_state(b);
        ops_gb_nfa_put(b, from, (ops_gb_nfa_edge){.to = next, .rule = OPS_GB_NO_RULE, .lo = c, .hi = c});
        from = next;
    }
}

static void emit_repeat(ops_gb *b, const ops_gb_node *x, uint32_t from,
                        uint32_t to) // NOLINT(misc-no-recursion): by depth of the expression
{
    uint32_t at = ops_gb_nfa_state(b); /* its own: `from` may lie on a loop */
    empty(b, from, at);
    for (uint32_t i = 0; i < x->min && ops_gb_ok(b); i++) {
        const uint32_t next = ops_gb_nfa_state(b);
        ops_gb_emit(b, x->at, at, next);
        at = next;
    }
    if (x->max == OPS_GB_NO_MAX) {
        const uint32_t loop = ops_gb_nfa_state(b);
        empty(b, at, loop);
        ops_gb_emit(b, x->at, loop, loop);
        at = loop;
    } else
        for (uint32_t i = x->min; i < x->max && ops_gb_ok(b); i++) {
            const uint32_t next = ops_gb_nfa_state(b);
            empty(b, at, to);
            ops_gb_emit(b, x->at, at, next);
            at = next;
        }
    empty(b, at, to);
}

/* Two states before each member: nothing has come yet, something has. Only the second needs the separator. */
static void emit_members(ops_gb *b, const ops_gb_node *x, uint32_t from,
                         uint32_t to) // NOLINT(misc-no-recursion)
{
    uint32_t none = ops_gb_nfa_state(b), some = ops_gb_nfa_state(b);
    empty(b, from, none);
    for (uint32_t i = 0; i + 1 < x->n && ops_gb_ok(b); i++) {
        const uint32_t none2 = ops_gb_nfa_state(b), some2 = ops_gb_nfa_state(b), key = ops_gb_nfa_state(b);
        empty(b, none, key);
        ops_gb_emit(b, x->min, some, key);
        ops_gb_emit(b, b->kids.v[x->at + i], key, some2);
        if ((b->flags.v[x->at + i] & 1) == 0) {
            empty(b, none, none2);
            empty(b, some, some2);
        }
        none = none2;
        some = some2;
    }
    const ops_gb_ref more = ops_gb_ok(b) ? b->kids.v[x->at + x->n - 1] : OPS_GB_NEVER;
    const uint32_t key = ops_gb_nfa_state(b);
    ops_gb_emit(b, x->min, some, key);
    empty(b, none, key);
    ops_gb_emit(b, more, key, some);
    empty(b, none, to);
    empty(b, some, to);
}

void ops_gb_emit(ops_gb *b, ops_gb_ref ref, uint32_t from,
                 uint32_t to) // NOLINT(misc-no-recursion): by depth of the expression, which its makers bound
{
    if (!ops_gb_ok(b))
        return;
    const ops_gb_node x = b->nodes.v[ref];
    switch ((ops_gb_kind)x.kind) {
    case OPS_GB_KIND_NEVER:
        return;
    case OPS_GB_KIND_EMPTY:
        empty(b, from, to);
        return;
    case OPS_GB_KIND_BYTES:
        emit_bytes(b, &x, from, to);
        return;
    case OPS_GB_KIND_SET:
        ops_gb_emit_set(b, &x, from, to);
        return;
    case OPS_GB_KIND_SEQ:
        for (uint32_t i = 0; i < x.n && ops_gb_ok(b); i++) {
            const uint32_t next = i + 1 == x.n ? to : ops_gb_nfa_state(b);
            ops_gb_emit(b, b->kids.v[x.at + i], from, next);
            from = next;
        }
        return;
    case OPS_GB_KIND_ALT:
        for (uint32_t i = 0; i < x.n && ops_gb_ok(b); i++)
            ops_gb_emit(b, b->kids.v[x.at + i], from, to);
        return;
    case OPS_GB_KIND_REPEAT:
        emit_repeat(b, &x, from, to);
        return;
    case OPS_GB_KIND_CALL:
        ops_gb_nfa_put(b, from, (ops_gb_nfa_edge){.to = to, .rule = x.at});
        return;
    case OPS_GB_KIND_MEMBERS:
        emit_members(b, &x, from, to);
        return;
    }
}
