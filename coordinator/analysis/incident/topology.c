#include "coordinator/analysis/incident/topology.h"

#include "base/coll/vec.h"
#include "coordinator/analysis/incident/names.h"

struct ops_topology {
    OPS_VEC(char *) names;
    OPS_VEC(ops_topology_call) calls;
};

ops_status ops_topology_new(ops_topology **ret, ops_err *reterr)
{
    ops_topology *t = ops_calloc(1, sizeof *t);
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "topology");
    *ret = t;
    return OPS_OK;
}

void ops_topology_free(ops_topology *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->names.n; i++)
        ops_free(t->names.v[i]);
    ops_vec_done(&t->names);
    ops_vec_done(&t->calls);
    ops_free(t);
}

uint32_t ops_topology_find(const ops_topology *t, ops_slice name)
{
    for (size_t i = 0; i < t->names.n; i++)
        if (ops_slice_eq(ops_slice_str(t->names.v[i]), name))
            return (uint32_t)i;
    return OPS_TOPOLOGY_NONE;
}

ops_status ops_topology_add(ops_topology *t, ops_slice name, bool *ret_new, ops_err *reterr)
{
    const bool known = ops_topology_find(t, name) != OPS_TOPOLOGY_NONE;
    if (!known && (name.n == 0 || name.n > OPS_TOPOLOGY_NAME_MAX || ops_slice_find_char(name, '\0') >= 0))
        return ops_fail(reterr, OPS_EINVAL, "topology: a component's name of %zu bytes", name.n);
    if (!known && t->names.n == OPS_TOPOLOGY_COMPONENTS_MAX)
        return ops_fail(reterr, OPS_EAGAIN, "topology: %zu components are known, no more fit", t->names.n);
    if (!known) {
        char *copy = ops_strndup(name.p, name.n);
        if (copy == NULL || !ops_vec_push(&t->names, copy)) {
            ops_free(copy);
            return ops_fail(reterr, OPS_ENOMEM, "topology");
        }
    }
    if (ret_new != NULL)
        *ret_new = !known;
    return OPS_OK;
}

static ops_topology_call *call_of(const ops_topology *t, uint32_t caller, uint32_t callee)
{
    for (size_t i = 0; i < t->calls.n; i++)
        if (t->calls.v[i].caller == caller && t->calls.v[i].callee == callee)
            return &t->calls.v[i];
    return NULL;
}

static void make_room(ops_topology *t)
{
    size_t least = 0;
    for (size_t i = 1; i < t->calls.n; i++)
        if (t->calls.v[i].sure == t->calls.v[least].sure ? t->calls.v[i].seen < t->calls.v[least].seen
                                                         : t->calls.v[least].sure)
            least = i;
    t->calls.v[least] = t->calls.v[--t->calls.n];
}

ops_status ops_topology_add_call(ops_topology *t, uint32_t caller, uint32_t callee, uint32_t seen,
                                 ops_err *reterr)
{
    if (caller >= t->names.n || callee >= t->names.n || caller == callee)
        return ops_fail(reterr, OPS_EINVAL, "topology: a call from %u to %u of %zu components", caller,
                        callee, t->names.n);
    ops_topology_call *c = call_of(t, caller, callee);
    if (c != NULL) {
        c->seen += c->seen < UINT32_MAX - seen ? seen : 0;
        return OPS_OK;
    }
    if (t->calls.n == OPS_TOPOLOGY_CALLS_MAX)
        make_room(t);
    return ops_vec_push(&t->calls, ((ops_topology_call){.caller = caller, .callee = callee, .seen = seen}))
               ? OPS_OK
               : ops_fail(reterr, OPS_ENOMEM, "topology");
}

ops_status ops_topology_add_sure(ops_topology *t, uint32_t caller, uint32_t callee, bool *ret_new,
                                 ops_err *reterr)
{
    const bool known = ops_topology_calls(t, caller, callee);
    ops_status st = ops_topology_add_call(t, caller, callee, 1, reterr);
    if (st == OPS_OK)
        call_of(t, caller, callee)->sure = true;
    if (st == OPS_OK && ret_new != NULL)
        *ret_new = !known;
    return st;
}

ops_status ops_topology_hear(ops_topology *t, ops_slice component, ops_slice text, bool *ret_new,
                             ops_err *reterr)
{
    const uint32_t caller = ops_topology_find(t, component);
    ops_status st = OPS_OK;
    if (ret_new != NULL)
        *ret_new = false;
    if (caller == OPS_TOPOLOGY_NONE)
        return OPS_OK;
    for (uint32_t i = 0; st == OPS_OK && i < t->names.n; i++) {
        if (i == caller || !ops_name_in(text, ops_slice_str(t->names.v[i])))
            continue;
        if (ret_new != NULL && call_of(t, caller, i) == NULL)
            *ret_new = true;
        st = ops_topology_add_call(t, caller, i, 1, reterr);
    }
    return st;
}

size_t ops_topology_count(const ops_topology *t)
{
    return t->names.n;
}

ops_slice ops_topology_name(const ops_topology *t, uint32_t id)
{
    return ops_slice_str(t->names.v[id]);
}

size_t ops_topology_call_count(const ops_topology *t)
{
    return t->calls.n;
}

const ops_topology_call *ops_topology_call_at(const ops_topology *t, size_t i)
{
    return &t->calls.v[i];
}

bool ops_topology_calls(const ops_topology *t, uint32_t caller, uint32_t callee)
{
    const ops_topology_call *c = call_of(t, caller, callee);
    return c != NULL && c->sure;
}

bool ops_topology_near(const ops_topology *t, uint32_t a, uint32_t b)
{
    return call_of(t, a, b) != NULL || call_of(t, b, a) != NULL;
}
