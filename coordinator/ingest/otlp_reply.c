/* Response bodies. Hand-encoded: two fields each, and one shape for three signals. */
#include "coordinator/ingest/otlp_reply.h"

#include "base/text/codec.h"

#include <inttypes.h>

enum { TAG_1_VARINT = 0x08, TAG_1_LEN = 0x0a, TAG_2_LEN = 0x12 };

static size_t varint_bytes(uint64_t v)
{
    uint8_t buf[OPS_VARINT_BYTES_MAX];

    return ops_varint_put(buf, v);
}

static void put_varint(ops_strbuf *out, uint8_t tag, uint64_t v)
{
    uint8_t buf[OPS_VARINT_BYTES_MAX];

    ops_strbuf_char(out, (char)tag);
    ops_strbuf_put(out, buf, ops_varint_put(buf, v));
}

static void put_bytes(ops_strbuf *out, uint8_t tag, ops_slice s)
{
    put_varint(out, tag, s.n);
    ops_strbuf_slice(out, s);
}

void ops_otlp_reply(uint64_t rejected, ops_slice message, ops_strbuf *out)
{
    if (rejected == 0 && message.n == 0)
        return;
    const size_t inner = (rejected > 0 ? 1 + varint_bytes(rejected) : 0) +
                         (message.n > 0 ? 1 + varint_bytes(message.n) + message.n : 0);
    put_varint(out, TAG_1_LEN, inner);
    if (rejected > 0)
        put_varint(out, TAG_1_VARINT, rejected);
    if (message.n > 0)
        put_bytes(out, TAG_2_LEN, message);
}

void ops_otlp_reply_json(ops_otlp_signal signal, uint64_t rejected, ops_slice message, ops_strbuf *out)
{
    static const char *const names[] = {
        [OPS_OTLP_LOGS] = "rejectedLogRecords",
        [OPS_OTLP_METRICS] = "rejectedDataPoints",
        [OPS_OTLP_TRACES] = "rejectedSpans",
    };

    if (rejected == 0 && message.n == 0) {
        ops_strbuf_str(out, "{}");
        return;
    }
    ops_strbuf_str(out, "{\"partialSuccess\":{");
    if (rejected > 0)
        ops_strbuf_printf(out, "\"%s\":\"%" PRIu64 "\"", names[signal], rejected);
    if (message.n > 0) {
        ops_strbuf_str(out, rejected > 0 ? ",\"errorMessage\":" : "\"errorMessage\":");
        ops_strbuf_json(out, message);
    }
    ops_strbuf_str(out, "}}");
}

void ops_otlp_reply_status(int code, ops_slice message, ops_strbuf *out)
{
    if (code != 0)
        put_varint(out, TAG_1_VARINT, (uint64_t)code);
    if (message.n > 0)
        put_bytes(out, TAG_2_LEN, message);
}

void ops_otlp_reply_status_json(int code, ops_slice message, ops_strbuf *out)
{
    ops_strbuf_printf(out, "{\"code\":%d,\"message\":", code);
    ops_strbuf_json(out, message);
    ops_strbuf_char(out, '}');
}
