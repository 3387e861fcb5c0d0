#include "coordinator/api/rows.h"

void api_rows_init(api_rows *r, uint64_t skip, size_t size)
{
    *r = (api_rows){.skip = skip, .size = size};
    ops_strbuf_init(&r->out, API_REPLY_BYTES_MAX);
    ops_strbuf_init(&r->one, API_REPLY_BYTES_MAX);
}

void api_rows_done(api_rows *r)
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

bool api_rows_add(api_rows *r, const ProtobufCMessage *m)
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

void api_rows_reply(api_rows *r, ops_rpc_call *c, ops_status st, const ops_err *err,
                    const ProtobufCMessage *tail)
{
    if (st == OPS_OK && (!api_pack(tail, &r->out) || r->failed || r->out.failed))
        ops_rpc_finish(c, OPS_ETOOBIG, "the answer is too large: ask for smaller pages", NULL);
    else if (st == OPS_OK)
        ops_rpc_reply(c, ops_strbuf_get(&r->out));
    else
        api_fail(c, st, err);
}
