/* ClusterService: templates, one view over all partitions, and what pins did to them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text/codec.h"
#include "coordinator/api/rows.h"

static bool on_template(void *u, const Ops__V1__Template *m)
{
    return api_rows_add(u, &m->base);
}

static bool order_of(ops_rpc_call *c, const char *text, ops_api_template_order *ret)
{
    static const char *const names[] = {"count", "first", "last", "id"};
    *ret = OPS_API_TEMPLATES_BY_COUNT;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (ops_api_template_order)i;
            return true;
        }
    }
    if (text[0] == '\0')
        return true;
    api_bad_field(c, "order_by", "is one of count, first, last, id");
    return false;
}

void api_list_templates(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListTemplatesRequest *q =
        ops__v1__list_templates_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    size_t size;
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListTemplatesRequest does not read", NULL);
        return;
    }
    ops_api_template_query t = {
        .tenant = api_tenant(c), .contains = ops_slice_str(q->contains), .count_min = q->count_min};
    if (api_page_size(c, q->page_size, API_ROWS_USUAL, API_ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &t.skip) && order_of(c, q->order_by, &t.order)) {
        Ops__V1__ListTemplatesResponse tail = OPS__V1__LIST_TEMPLATES_RESPONSE__INIT;
        ops_err err = {0};
        char token[32];
        api_rows r;
        api_rows_init(&r, 0, size);
        ops_status st =
            a->ports.templates(a->ports.u, &t, on_template, &r, &tail.lines, &tail.templates_all, &err);
        (void)snprintf(token, sizeof token, "%" PRIu64, t.skip + r.count);
        if (r.more)
            tail.next_page_token = token;
        api_rows_reply(&r, c, st, &err, &tail.base);
        api_rows_done(&r);
    }
    ops__v1__list_templates_request__free_unpacked(q, NULL);
}

typedef struct answer {
    ops_strbuf out;
    bool packed;
} answer;

static void on_detail(void *u, const Ops__V1__TemplateDetail *m)
{
    answer *x = u;
    x->packed = api_pack(&m->base, &x->out);
}

void api_get_template(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__GetTemplateRequest *q =
        ops__v1__get_template_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    uint8_t id[8];
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "GetTemplateRequest does not read", NULL);
        return;
    }
    if (!ops_hex_get(q->id, strlen(q->id), id, sizeof id)) {
        api_bad_field(c, "id", "is 16 hex digits");
    } else {
        answer x = {.packed = false};
        ops_err err = {0};
        ops_strbuf_init(&x.out, API_REPLY_BYTES_MAX);
        ops_status st =
            a->ports.template_get(a->ports.u, api_tenant(c), ops_get_be64(id), on_detail, &x, &err);
        if (st != OPS_OK)
            api_fail(c, st, &err);
        else if (!x.packed)
            ops_rpc_finish(c, OPS_ETOOBIG, "the answer is too large", NULL);
        else
            ops_rpc_reply(c, ops_strbuf_get(&x.out));
        ops_strbuf_done(&x.out);
    }
    ops__v1__get_template_request__free_unpacked(q, NULL);
}

static bool on_change(void *u, const Ops__V1__PinChange *m)
{
    api_rows *r = u;
    bool taken = api_rows_add(r, &m->base);
    if (taken)
        r->last = m->number;
    return taken;
}

void api_list_pin_changes(ops_api *a, ops_rpc_call *c, ops_slice req)
{
    Ops__V1__ListPinChangesRequest *q =
        ops__v1__list_pin_changes_request__unpack(NULL, req.n, (const uint8_t *)req.p);
    uint64_t before;
    size_t size;
    if (q == NULL) {
        ops_rpc_finish(c, OPS_EINVAL, "ListPinChangesRequest does not read", NULL);
        return;
    }
    if (api_page_size(c, q->page_size, API_ROWS_USUAL, API_ROWS_MAX, &size) &&
        api_page_token(c, q->page_token, &before)) {
        Ops__V1__ListPinChangesResponse tail = OPS__V1__LIST_PIN_CHANGES_RESPONSE__INIT;
        ops_err err = {0};
        char token[32];
        api_rows r;
        api_rows_init(&r, 0, size);
        ops_status st = a->ports.pin_changes(a->ports.u, before, on_change, &r, &err);
        (void)snprintf(token, sizeof token, "%" PRIu64, r.last);
        if (r.more)
            tail.next_page_token = token;
        api_rows_reply(&r, c, st, &err, &tail.base);
        api_rows_done(&r);
    }
    ops__v1__list_pin_changes_request__free_unpacked(q, NULL);
}
