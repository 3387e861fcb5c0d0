/* SilenceService: Create, List, Expire. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/api/rows.h"

enum { MATCHERS_MAX = 16, REQUEST_ID_MAX = 256 };

static bool reply_one(void *u, const Ops__V1__Silence *m)
{
    api_reply(u, &m->base);
    return false;
}

void api_create_silence(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__CreateSilenceRequest *q =
        ops__v1__create_silence_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    ops_err err = {0};
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "CreateSilenceRequest does not read", NULL);
        return;
    }
    if (q->n_matchers == 0 || q->n_matchers > MATCHERS_MAX)
        api_bad_field(c, "matchers", "1 to 16 are expected");
    else if (strlen(q->request_id) > REQUEST_ID_MAX)
        api_bad_field(c, "request_id", "is longer than 256 bytes");
    else {
        ops_status st = a->ports.silence_create(
            a->ports.u, api_tenant(c), ops_slice_str(ops_rpc_call_identity(c)->name), q, reply_one, c, &err);
        if (st != OPS_OK)
            api_fail_field(c, st, &err);
    }
    ops__v1__create_silence_request__free_unpacked(q, NULL);
}

void api_expire_silence(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ExpireSilenceRequest *q =
        ops__v1__expire_silence_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    ops_err err = {0};
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ExpireSilenceRequest does not read", NULL);
        return;
    }
    ops_status st = OPS_OK;
    if (q->id[0] == '\0')
        api_bad_field(c, "id", "is empty");
    else
        st = a->ports.silence_expire(a->ports.u, api_tenant(c), ops_slice_str(q->id), reply_one, c, &err);
    if (st != OPS_OK)
        api_fail_field(c, st, &err);
    ops__v1__expire_silence_request__free_unpacked(q, NULL);
}

static bool add_row(void *u, const Ops__V1__Silence *m)
{
    return api_rows_add(u, &m->base);
}

void api_list_silences(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListSilencesRequest *q =
        ops__v1__list_silences_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    Ops__V1__ListSilencesResponse tail = OPS__V1__LIST_SILENCES_RESPONSE__INIT;
    ops_err err = {0};
    uint64_t skip = 0;
    size_t size = 0;
    char token[32];
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListSilencesRequest does not read", NULL);
        return;
    }
    if (api_page_size(c, q->page_size, API_ROWS_USUAL, API_ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &skip)) {
        api_rows rows;
        api_rows_init(&rows, skip, size);
        ops_status st = a->ports.silences(a->ports.u, api_tenant(c), q->expired != 0, add_row, &rows, &err);
        if (rows.more) {
            (void)snprintf(token, sizeof token, "%" PRIu64, skip + rows.count);
            tail.next_page_token = token;
        }
        api_rows_reply(&rows, c, st, &err, &tail.base);
        api_rows_done(&rows);
    }
    ops__v1__list_silences_request__free_unpacked(q, NULL);
}

/* Field 20 of ops.v1.Finding, once per id: protobuf reads a message in pieces. */
static void put_silenced_by(ops_strbuf *b, ops_slice ids)
{
    ops_slice id;
    while (ops_slice_split(&ids, ' ', &id)) {
        const uint8_t head[] = {0xA2, 0x01, (uint8_t)(id.n < 0x80 ? id.n : 0x7F)};
        ops_strbuf_put(b, head, sizeof head);
        ops_strbuf_slice(b, ops_slice_sub(id, 0, 0x7F));
    }
}

Ops__V1__Finding *api_finding_silenced(ops_api *a, ops_slice body, uint64_t revision)
{
    Ops__V1__Finding *m = api_finding(body, revision);
    ops_strbuf ids, more;
    ops_strbuf_init(&ids, 1 << 16);
    ops_strbuf_init(&more, API_REPLY_BYTES_MAX);
    if (m != NULL && a->ports.silenced_by != NULL && a->ports.silenced_by(a->ports.u, m, &ids) &&
        !ids.failed) {
        ops_strbuf_slice(&more, body);
        put_silenced_by(&more, ops_strbuf_get(&ids));
        Ops__V1__Finding *fuller = more.failed ? NULL : api_finding(ops_strbuf_get(&more), revision);
        if (fuller != NULL) {
            ops__v1__finding__free_unpacked(m, NULL);
            m = fuller;
        }
    }
    ops_strbuf_done(&ids);
    ops_strbuf_done(&more);
    return m;
}
