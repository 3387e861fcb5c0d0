/* ClusterService: status and lists. Rows are packed as they come, so that nothing borrowed outlives its callback. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/internal.h"
#include "coordinator/api/rows.h"

enum { DAMAGE_BYTES = 256 };

void api_get_status(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__Status m = OPS__V1__STATUS__INIT;
    char why[512] = "";
    (void)req;
    a->ports.status(a->ports.u, &m, why, sizeof why);
    m.why_not_ready = why;
    api_reply(c, &m.base);
}

static bool on_partition(void *u, const Ops__V1__Partition *m)
{
    return api_rows_add(u, &m->base);
}

void api_list_partitions(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListPartitionsResponse tail = OPS__V1__LIST_PARTITIONS_RESPONSE__INIT;
    ops_err err = {0};
    api_rows r;
    (void)req;
    api_rows_init(&r, 0, API_ROWS_MAX);
    ops_status st = a->ports.partitions(a->ports.u, on_partition, &r, &err);
    api_rows_reply(&r, c, st, &err, &tail.base);
    api_rows_done(&r);
}

typedef struct workers {
    api_rows rows;
    bool models; /* some worker has any */
} workers;

static bool on_worker(void *u, const Ops__V1__Worker *m)
{
    workers *w = u;
    w->models |= m->n_models > 0;
    return api_rows_add(&w->rows, &m->base);
}

void api_list_workers(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListWorkersResponse tail = OPS__V1__LIST_WORKERS_RESPONSE__INIT;
    ops_err err = {0};
    workers w = {.models = false};
    char models[] = "models", statistics[] = "statistics only";
    (void)req;
    api_rows_init(&w.rows, 0, API_ROWS_MAX);
    ops_status st = a->ports.workers(a->ports.u, on_worker, &w, &err);
    tail.mode = w.models ? models : statistics;
    api_rows_reply(&w.rows, c, st, &err, &tail.base);
    api_rows_done(&w.rows);
}

static bool on_stream(void *u, const Ops__V1__Stream *m)
{
    return api_rows_add(u, &m->base);
}

void api_list_streams(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListStreamsRequest *q =
        ops__v1__list_streams_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    uint64_t skip;
    size_t size;
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListStreamsRequest does not read", NULL);
        return;
    }
    if (api_page_size(c, q->page_size, API_ROWS_USUAL, API_ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &skip)) {
        Ops__V1__ListStreamsResponse tail = OPS__V1__LIST_STREAMS_RESPONSE__INIT;
        ops_err err = {0};
        char token[32];
        api_rows r;
        api_rows_init(&r, skip, size);
        ops_status st = a->ports.streams(a->ports.u, api_tenant(c), on_stream, &r, &err);
        (void)snprintf(token, sizeof token, "%" PRIu64, skip + r.count);
        if (r.more)
            tail.next_page_token = token;
        api_rows_reply(&r, c, st, &err, &tail.base);
        api_rows_done(&r);
    }
    ops__v1__list_streams_request__free_unpacked(q, NULL);
}

static bool on_series(void *u, const Ops__V1__Series *m)
{
    return api_rows_add(u, &m->base);
}

void api_list_series(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListSeriesRequest *q = ops__v1__list_series_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    uint64_t skip;
    size_t size;
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListSeriesRequest does not read", NULL);
        return;
    }
    if (api_page_size(c, q->page_size, API_ROWS_USUAL, API_ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &skip)) {
        Ops__V1__ListSeriesResponse tail = OPS__V1__LIST_SERIES_RESPONSE__INIT;
        const ops_api_series_query query = {.tenant = api_tenant(c),
                                            .service = ops_slice_str(q->service),
                                            .contains = ops_slice_str(q->contains),
                                            .buckets = q->buckets};
        ops_err err = {0};
        char token[32];
        api_rows r;
        api_rows_init(&r, skip, size);
        ops_status st = a->ports.series(a->ports.u, &query, on_series, &r, &err);
        (void)snprintf(token, sizeof token, "%" PRIu64, skip + r.count);
        if (r.more)
            tail.next_page_token = token;
        api_rows_reply(&r, c, st, &err, &tail.base);
        api_rows_done(&r);
    }
    ops__v1__list_series_request__free_unpacked(q, NULL);
}

static bool on_rule_group(void *u, const Ops__V1__RuleGroup *m)
{
    return api_rows_add(u, &m->base);
}

void api_list_rule_groups(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListRuleGroupsRequest *q =
        ops__v1__list_rule_groups_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    uint64_t skip;
    size_t size;
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListRuleGroupsRequest does not read", NULL);
        return;
    }
    if (api_page_size(c, q->page_size, API_ROWS_USUAL, API_ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &skip)) {
        Ops__V1__ListRuleGroupsResponse tail = OPS__V1__LIST_RULE_GROUPS_RESPONSE__INIT;
        ops_err err = {0};
        char token[32];
        api_rows r;
        api_rows_init(&r, skip, size);
        ops_status st = a->ports.rule_groups(a->ports.u, api_tenant(c), on_rule_group, &r, &err);
        (void)snprintf(token, sizeof token, "%" PRIu64, skip + r.count);
        if (r.more)
            tail.next_page_token = token;
        api_rows_reply(&r, c, st, &err, &tail.base);
        api_rows_done(&r);
    }
    ops__v1__list_rule_groups_request__free_unpacked(q, NULL);
}

static bool on_letter(void *u, const Ops__V1__DeadLetter *m)
{
    api_rows *r = u;
    bool taken = api_rows_add(r, &m->base);
    if (taken)
        r->last = m->number;
    return taken;
}

void api_list_deadletters(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListDeadLettersRequest *q =
        ops__v1__list_dead_letters_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    uint64_t before;
    size_t size;
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListDeadLettersRequest does not read", NULL);
        return;
    }
    if (api_page_size(c, q->page_size, API_ROWS_USUAL, API_ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &before)) {
        Ops__V1__ListDeadLettersResponse tail = OPS__V1__LIST_DEAD_LETTERS_RESPONSE__INIT;
        ops_err err = {0};
        char token[32];
        api_rows r;
        uint64_t dropped = 0;
        api_rows_init(&r, 0, size);
        ops_status st =
            a->ports.deadletters(a->ports.u, api_tenant(c), before, on_letter, &r, &dropped, &err);
        tail.dropped = dropped;
        (void)snprintf(token, sizeof token, "%" PRIu64, r.last);
        if (r.more)
            tail.next_page_token = token;
        api_rows_reply(&r, c, st, &err, &tail.base);
        api_rows_done(&r);
    }
    ops__v1__list_dead_letters_request__free_unpacked(q, NULL);
}

void api_check_storage(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__CheckStorageResponse m = OPS__V1__CHECK_STORAGE_RESPONSE__INIT;
    char damage[DAMAGE_BYTES] = "";
    ops_err err = {0};
    (void)req;
    ops_status st = a->ports.check_storage(a->ports.u, &m, damage, sizeof damage, &err);
    m.first_damage = damage;
    if (st == OPS_OK)
        api_reply(c, &m.base);
    else
        api_fail(c, st, &err);
}
