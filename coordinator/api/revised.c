#include "coordinator/api/revised.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "coordinator/api/rows.h"

enum { PAGE_USUAL = 50, PAGE_MAX = 500 };

/* The newest `size` matches below a revision, kept in a ring while the walk goes from old to new. */
typedef struct page {
    ops_api *api;
    const api_revised *kind;
    ops_slice tenant;
    const api_filter *filter;
    uint64_t below;
    size_t size, count; /* count: matches seen */
    ProtobufCMessage **ring;
    bool corrupt;
} page;

static bool take_one(void *u, ops_slice tenant, uint64_t revision, ops_slice body)
{
    page *p = u;
    if (p->below != 0 && revision >= p->below)
        return false;
    if (!ops_slice_eq(tenant, p->tenant))
        return true;
    ProtobufCMessage *m = p->kind->read(p->api, body, revision);
    if (m == NULL) {
        p->corrupt = true;
        return false;
    }
    if (!p->kind->match(p->filter, m)) {
        protobuf_c_message_free_unpacked(m, NULL);
        return true;
    }
    ProtobufCMessage **place = &p->ring[p->count++ % p->size];
    if (*place != NULL)
        protobuf_c_message_free_unpacked(*place, NULL);
    *place = m;
    return true;
}

static void reply_page(ops_api *a, ops_rpc_call *c, const page *p)
{
    Ops__V1__ListFindingsResponse tail = OPS__V1__LIST_FINDINGS_RESPONSE__INIT;
    const size_t n = p->count < p->size ? p->count : p->size;
    const ops_err none = {0};
    api_rows rows;
    char token[32];
    bool more = true;
    api_rows_init(&rows, 0, n);
    for (size_t i = 0; more && i < n; i++) {
        const ProtobufCMessage *m = p->ring[(p->count - 1 - i) % p->size];
        more = api_rows_add(&rows, m);
        rows.last = p->kind->revision_of(m);
    }
    tail.revision = p->kind->newest(a);
    if (p->count > p->size) {
        (void)snprintf(token, sizeof token, "%" PRIu64, rows.last);
        tail.next_page_token = token;
    }
    api_rows_reply(&rows, c, OPS_OK, &none, &tail.base);
    api_rows_done(&rows);
}

void api_revised_list(ops_api *a, const api_revised *k, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListFindingsRequest *q =
        ops__v1__list_findings_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    api_filter filter;
    page p = {.api = a, .kind = k, .tenant = api_tenant(c), .filter = &filter};
    ops_err err = {0};
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "the request does not read", NULL);
        return;
    }
    if (api_filter_parse(q->filter, &k->words, &filter, &err) != OPS_OK)
        api_bad_field(c, "filter", err.msg);
    else if (api_page_size(c, q->page_size, PAGE_USUAL, PAGE_MAX, &p.size) &&
             api_page_token(c, q->page_token, &p.below)) {
        p.ring = ops_calloc(p.size, sizeof(ProtobufCMessage *));
        ops_status st = p.ring != NULL ? k->since(a, 0, take_one, &p, &err)
                                       : ops_fail(&err, OPS_ENOMEM, "a page of %ss", k->noun);
        if (st == OPS_OK && p.corrupt)
            st = ops_fail(&err, OPS_ECORRUPT, "a stored %s does not read", k->noun);
        if (st == OPS_OK)
            reply_page(a, c, &p);
        else
            api_fail(c, st, &err);
        for (size_t i = 0; p.ring != NULL && i < p.size; i++)
            if (p.ring[i] != NULL)
                protobuf_c_message_free_unpacked(p.ring[i], NULL);
        ops_free(p.ring);
    }
    ops__v1__list_findings_request__free_unpacked(q, NULL);
}

struct kept {
    ops_api *api;
    const api_revised *kind;
    ProtobufCMessage *m;
};

static bool keep_one(void *u, ops_slice tenant, uint64_t revision, ops_slice body)
{
    struct kept *k = u;
    (void)tenant;
    k->m = k->kind->read(k->api, body, revision);
    return false;
}

void api_revised_reply(ops_api *a, const api_revised *kind, ops_rpc_call *c, ops_slice id)
{
    struct kept k = {.api = a, .kind = kind};
    ops_err err = {0};
    ops_status st = kind->get(a, api_tenant(c), id, keep_one, &k, &err);
    if (st == OPS_OK && k.m == NULL)
        st = ops_fail(&err, OPS_ECORRUPT, "%s " OPS_SLICE_FMT " does not read", kind->noun,
                      OPS_SLICE_ARG(ops_slice_sub(id, 0, 64)));
    if (st == OPS_OK)
        api_reply(c, k.m);
    else
        api_fail(c, st, &err);
    if (k.m != NULL)
        protobuf_c_message_free_unpacked(k.m, NULL);
}

void api_revised_get(ops_api *a, const api_revised *k, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__GetFindingRequest *q = ops__v1__get_finding_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "the request does not read", NULL);
        return;
    }
    if (q->id[0] == '\0')
        api_bad_field(c, "id", "is empty");
    else
        api_revised_reply(a, k, c, ops_slice_str(q->id));
    ops__v1__get_finding_request__free_unpacked(q, NULL);
}
