/* ClusterService: status and lists. Rows are packed as they come, so that nothing borrowed outlives its callback. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/api/internal.h"

enum { ROWS_USUAL = 100, ROWS_MAX = 1000, DAMAGE_BYTES = 256 };

/* A response under construction: repeated field 1, `skip` rows passed over, at most `size` taken. */
typedef struct rows {
    ops_strbuf out, one;
    uint64_t skip, seen;
    size_t size, count;
    bool more, failed;
    uint64_t last; /* a number that the last row had, for tokens */
    const char *contains;
} rows;

static void rows_init(rows *r, uint64_t skip, size_t size)
{
    *r = (rows){.skip = skip, .size = size};
    ops_strbuf_init(&r->out, API_REPLY_BYTES_MAX);
    ops_strbuf_init(&r->one, API_REPLY_BYTES_MAX);
}

static void rows_done(rows *r)
{
    ops_strbuf_done(&r->out);
    ops_strbuf_done(&r->one);
}

static void put_varint(ops_strbuf *b, uint64_t v)
{
    do
        ops_strbuf_char(b, (char)((v & 0x7F) | (v > 0x7F ? 0x80 : 0)));
    while ((v >>= 7) > 0);
}

/* Repeated field 1 of the response. False when the page is full. */
static bool rows_add(rows *r, const ProtobufCMessage *m)
{
    if (r->seen++ < r->skip)
        return true;
    if (r->count == r->size) {
        r->more = true;
        return false;
    }
    ops_strbuf_clear(&r->one);
    if (!api_pack(m, &r->one))
        r->failed = true;
    ops_strbuf_char(&r->out, 1 << 3 | 2);
    put_varint(&r->out, r->one.n);
    ops_strbuf_slice(&r->out, ops_strbuf_get(&r->one));
    r->count++;
    return !r->failed;
}

/* The rest of the response (its other fields) is packed by `tail`; protobuf lets fields come in pieces. */
static void rows_reply(rows *r, ops_rpc_call *c, ops_status st, const ops_err *err,
                       const ProtobufCMessage *tail)
{
    if (st == OPS_OK && (!api_pack(tail, &r->out) || r->failed || r->out.failed))
        ops_rpc_finish(c, OPS_ETOOBIG, "the answer is too large: ask for smaller pages", NULL);
    else if (st == OPS_OK)
        ops_rpc_reply(c, ops_strbuf_get(&r->out));
    else
        api_fail(c, st, err);
}

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
    return rows_add(u, &m->base);
}

void api_list_partitions(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListPartitionsResponse tail = OPS__V1__LIST_PARTITIONS_RESPONSE__INIT;
    ops_err err = {0};
    rows r;
    (void)req;
    rows_init(&r, 0, ROWS_MAX);
    ops_status st = a->ports.partitions(a->ports.u, on_partition, &r, &err);
    rows_reply(&r, c, st, &err, &tail.base);
    rows_done(&r);
}

static bool on_worker(void *u, const Ops__V1__Worker *m)
{
    return rows_add(u, &m->base);
}

void api_list_workers(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListWorkersResponse tail = OPS__V1__LIST_WORKERS_RESPONSE__INIT;
    ops_err err = {0};
    rows r;
    char models[] = "models", statistics[] = "statistics only";
    (void)req;
    rows_init(&r, 0, ROWS_MAX);
    ops_status st = a->ports.workers(a->ports.u, on_worker, &r, &err);
    tail.mode = r.count > 0 ? models : statistics;
    rows_reply(&r, c, st, &err, &tail.base);
    rows_done(&r);
}

static bool on_stream(void *u, const Ops__V1__Stream *m)
{
    return rows_add(u, &m->base);
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
    if (api_page_size(c, q->page_size, ROWS_USUAL, ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &skip)) {
        Ops__V1__ListStreamsResponse tail = OPS__V1__LIST_STREAMS_RESPONSE__INIT;
        ops_err err = {0};
        char token[32];
        rows r;
        rows_init(&r, skip, size);
        ops_status st = a->ports.streams(a->ports.u, api_tenant(c), on_stream, &r, &err);
        (void)snprintf(token, sizeof token, "%" PRIu64, skip + r.count);
        if (r.more)
            tail.next_page_token = token;
        rows_reply(&r, c, st, &err, &tail.base);
        rows_done(&r);
    }
    ops__v1__list_streams_request__free_unpacked(q, NULL);
}

static bool on_template(void *u, const Ops__V1__Template *m)
{
    rows *r = u;
    if (r->contains[0] != '\0' && strstr(m->text, r->contains) == NULL)
        return true;
    return rows_add(r, &m->base);
}

void api_list_templates(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListTemplatesRequest *q =
        ops__v1__list_templates_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    uint64_t skip;
    size_t size;
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListTemplatesRequest does not read", NULL);
        return;
    }
    if (api_page_size(c, q->page_size, ROWS_USUAL, ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &skip)) {
        Ops__V1__ListTemplatesResponse tail = OPS__V1__LIST_TEMPLATES_RESPONSE__INIT;
        ops_err err = {0};
        char token[32];
        rows r;
        rows_init(&r, skip, size);
        r.contains = q->contains;
        ops_status st = a->ports.templates(a->ports.u, api_tenant(c), on_template, &r, &err);
        (void)snprintf(token, sizeof token, "%" PRIu64, skip + r.count);
        if (r.more)
            tail.next_page_token = token;
        rows_reply(&r, c, st, &err, &tail.base);
        rows_done(&r);
    }
    ops__v1__list_templates_request__free_unpacked(q, NULL);
}

static bool on_letter(void *u, const Ops__V1__DeadLetter *m)
{
    rows *r = u;
    bool taken = rows_add(r, &m->base);
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
    if (api_page_size(c, q->page_size, ROWS_USUAL, ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &before)) {
        Ops__V1__ListDeadLettersResponse tail = OPS__V1__LIST_DEAD_LETTERS_RESPONSE__INIT;
        ops_err err = {0};
        char token[32];
        rows r;
        uint64_t dropped = 0;
        rows_init(&r, 0, size);
        ops_status st =
            a->ports.deadletters(a->ports.u, api_tenant(c), before, on_letter, &r, &dropped, &err);
        tail.dropped = dropped;
        (void)snprintf(token, sizeof token, "%" PRIu64, r.last);
        if (r.more)
            tail.next_page_token = token;
        rows_reply(&r, c, st, &err, &tail.base);
        rows_done(&r);
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
