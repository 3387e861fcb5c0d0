/* FindingService: List, Get, GiveFeedback. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem/alloc.h"
#include "coordinator/api/filter.h"
#include "coordinator/api/internal.h"

enum { PAGE_USUAL = 50, PAGE_MAX = 500, COMMENT_BYTES_MAX = 4096 };

Ops__V1__Finding *api_finding(ops_slice body, uint64_t revision)
{
    Ops__V1__Finding *m = ops__v1__finding__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (m != NULL)
        m->revision = revision;
    return m;
}

/* The newest `size` matches below a revision, kept in a ring while the walk goes from old to new. */
typedef struct page {
    ops_api *api;
    ops_slice tenant;
    const api_filter *filter;
    uint64_t below;
    size_t size, count; /* count: matches seen */
    Ops__V1__Finding **ring;
    bool corrupt;
} page;

static bool take_one(void *u, ops_slice tenant, uint64_t revision, ops_slice body)
{
    page *p = u;
    if (p->below != 0 && revision >= p->below)
        return false;
    if (!ops_slice_eq(tenant, p->tenant))
        return true;
    Ops__V1__Finding *m = api_finding_silenced(p->api, body, revision);
    if (m == NULL) {
        p->corrupt = true;
        return false;
    }
    if (!api_filter_match(p->filter, m)) {
        ops__v1__finding__free_unpacked(m, NULL);
        return true;
    }
    Ops__V1__Finding **place = &p->ring[p->count++ % p->size];
    if (*place != NULL)
        ops__v1__finding__free_unpacked(*place, NULL);
    *place = m;
    return true;
}

static void reply_page(ops_api *a, ops_rpc_call *c, const page *p)
{
    Ops__V1__ListFindingsResponse out = OPS__V1__LIST_FINDINGS_RESPONSE__INIT;
    size_t n = p->count < p->size ? p->count : p->size;
    Ops__V1__Finding **rows = ops_calloc(n + 1, sizeof(Ops__V1__Finding *));
    char token[32];
    if (rows == NULL) {
        ops_rpc_finish(c, OPS_ENOMEM, "a page of findings", NULL);
        return;
    }
    for (size_t i = 0; i < n; i++)
        rows[i] = p->ring[(p->count - 1 - i) % p->size];
    out.findings = rows;
    out.n_findings = n;
    out.revision = a->ports.revision(a->ports.u);
    if (p->count > p->size) {
        (void)snprintf(token, sizeof token, "%" PRIu64, rows[n - 1]->revision);
        out.next_page_token = token;
    }
    api_reply(c, &out.base);
    ops_free(rows);
}

void api_list_findings(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListFindingsRequest *q =
        ops__v1__list_findings_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    api_filter filter;
    page p = {.api = a, .tenant = api_tenant(c), .filter = &filter};
    ops_err err = {0};
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListFindingsRequest does not read", NULL);
        return;
    }
    if (api_filter_parse(q->filter, &filter, &err) != OPS_OK)
        api_bad_field(c, "filter", err.msg);
    else if (api_page_size(c, q->page_size, PAGE_USUAL, PAGE_MAX, &p.size) &&
             api_page_token(c, q->page_token, &p.below)) {
        p.ring = ops_calloc(p.size, sizeof(Ops__V1__Finding *));
        ops_status st = p.ring != NULL ? a->ports.findings_since(a->ports.u, 0, take_one, &p, &err)
                                       : ops_fail(&err, OPS_ENOMEM, "a page of findings");
        if (st == OPS_OK && p.corrupt)
            st = ops_fail(&err, OPS_ECORRUPT, "a stored finding does not read");
        if (st == OPS_OK)
            reply_page(a, c, &p);
        else
            api_fail(c, st, &err);
        for (size_t i = 0; p.ring != NULL && i < p.size; i++)
            if (p.ring[i] != NULL)
                ops__v1__finding__free_unpacked(p.ring[i], NULL);
        ops_free(p.ring);
    }
    ops__v1__list_findings_request__free_unpacked(q, NULL);
}

struct kept {
    ops_api *api;
    Ops__V1__Finding *m;
};

static bool keep_one(void *u, ops_slice tenant, uint64_t revision, ops_slice body)
{
    struct kept *k = u;
    (void)tenant;
    k->m = api_finding_silenced(k->api, body, revision);
    return false;
}

static void reply_finding(ops_api *a, ops_rpc_call *c, const char *id)
{
    struct kept k = {.api = a};
    ops_err err = {0};
    ops_status st = a->ports.finding_get(a->ports.u, api_tenant(c), ops_slice_str(id), keep_one, &k, &err);
    if (st == OPS_OK && k.m == NULL)
        st = ops_fail(&err, OPS_ECORRUPT, "finding %.64s does not read", id);
    if (st == OPS_OK)
        api_reply(c, &k.m->base);
    else
        api_fail(c, st, &err);
    if (k.m != NULL)
        ops__v1__finding__free_unpacked(k.m, NULL);
}

void api_get_finding(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__GetFindingRequest *q = ops__v1__get_finding_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "GetFindingRequest does not read", NULL);
        return;
    }
    if (q->id[0] == '\0')
        api_bad_field(c, "id", "is empty");
    else
        reply_finding(a, c, q->id);
    ops__v1__get_finding_request__free_unpacked(q, NULL);
}

void api_give_feedback(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__GiveFeedbackRequest *q =
        ops__v1__give_feedback_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "GiveFeedbackRequest does not read", NULL);
        return;
    }
    const ops_api_feedback fb = {.tenant = api_tenant(c),
                                 .id = ops_slice_str(q->id),
                                 .author = ops_slice_str(ops_rpc_call_identity(c)->name),
                                 .comment = ops_slice_str(q->comment),
                                 .verdict = (int)q->verdict};
    ops_err err = {0};
    if (q->id[0] == '\0')
        api_bad_field(c, "id", "is empty");
    else if (q->verdict < OPS__V1__VERDICT__VERDICT_USEFUL || q->verdict > OPS__V1__VERDICT__VERDICT_WRONG)
        api_bad_field(c, "verdict", "useful, not useful or wrong");
    else if (fb.comment.n > COMMENT_BYTES_MAX)
        api_bad_field(c, "comment", "is longer than 4096 bytes");
    else {
        /* The same author saying the same again leaves the same state, so request_id needs no memory. */
        ops_status st = a->ports.feedback(a->ports.u, &fb, &err);
        if (st == OPS_OK)
            reply_finding(a, c, q->id);
        else
            api_fail(c, st, &err);
    }
    ops__v1__give_feedback_request__free_unpacked(q, NULL);
}
