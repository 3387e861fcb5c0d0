/* Writing. */
#include "coordinator/openai/answer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_base64(const float *v, size_t n, ops_strbuf *out)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned have = 0; /* bytes in `bits` */
    for (size_t i = 0; i < 4 * n; i++) {
        uint32_t word;
        memcpy(&word, &v[i / 4], sizeof word);
        bits = bits << 8 | (word >> 8 * (i % 4) & 0xff);
        if (++have < 3)
            continue;
        for (int k = 18; k >= 0; k -= 6)
            ops_strbuf_char(out, digit[bits >> k & 63]);
        bits = have = 0;
    }
    if (have == 0)
        return;
    bits <<= have == 1 ? 16 : 8;
    ops_strbuf_char(out, digit[bits >> 18 & 63]);
    ops_strbuf_char(out, digit[bits >> 12 & 63]);
    ops_strbuf_char(out, have == 2 ? digit[bits >> 6 & 63] : '=');
    ops_strbuf_char(out, '=');
}

static void put_vector(const float *v, size_t n, bool base64, ops_strbuf *out)
{
    if (base64) {
        ops_strbuf_char(out, '"');
        put_base64(v, n, out);
        ops_strbuf_char(out, '"');
        return;
    }
    ops_strbuf_char(out, '[');
    for (size_t i = 0; i < n; i++) /* nine digits bring every f32 back */
        ops_strbuf_printf(out, "%s%.9g", i > 0 ? "," : "", isfinite(v[i]) ? (double)v[i] : 0.0);
    ops_strbuf_char(out, ']');
}

void ops_openai_embeddings(const float *v, size_t rows, size_t dim, ops_slice model, uint64_t tokens,
                           bool base64, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < rows; i++) {
        ops_strbuf_printf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i > 0 ? "," : "",
                          i);
        put_vector(v + i * dim, dim, base64, out);
        ops_strbuf_char(out, '}');
    }
    ops_strbuf_str(out, "],\"model\":");
    ops_strbuf_json(out, model);
    ops_strbuf_printf(out, ",\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"total_tokens\":%" PRIu64 "}}", tokens,
                      tokens);
}

void ops_openai_model_one(const ops_openai_model *m, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"id\":");
    ops_strbuf_json(out, m->name);
    ops_strbuf_printf(out, ",\"object\":\"model\",\"created\":%" PRId64 ",\"owned_by\":\"opsd\"}",
                      m->created_s);
}

void ops_openai_model_list(const ops_openai_model *v, size_t n, ops_strbuf *out)
{
    ops_strbuf_str(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            ops_strbuf_char(out, ',');
        ops_openai_model_one(&v[i], out);
    }
    ops_strbuf_str(out, "]}");
}

static void put_or_null(const char *s, ops_strbuf *out)
{
    if (s == NULL || s[0] == '\0')
        ops_strbuf_str(out, "null");
    else
        ops_strbuf_json(out, ops_slice_str(s));
}

void ops_openai_error(ops_status st, const char *message, const char *param, const char *code,
                      ops_strbuf *out)
{
    static const struct {
        ops_status st;
        const char *type, *code;
    } known[] = {{OPS_EAGAIN, "rate_limit_error", "rate_limit_exceeded"},
                 {OPS_EAUTH, "authentication_error", "invalid_api_key"},
                 {OPS_EPERM, "permission_error", NULL},
                 {OPS_EINVAL, "invalid_request_error", NULL},
                 {OPS_ETOOBIG, "invalid_request_error", NULL},
                 {OPS_ENOTFOUND, "invalid_request_error", NULL},
                 {OPS_EUNIMPL, "invalid_request_error", "unsupported_parameter"},
                 {OPS_ECONTEXT, "invalid_request_error", "context_length_exceeded"}};
    const char *type = "server_error";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].st == st) {
            type = known[i].type;
            if (code == NULL || code[0] == '\0')
                code = known[i].code;
        }
    ops_strbuf_str(out, "{\"error\":{\"message\":");
    ops_strbuf_json(out, ops_slice_str(message));
    ops_strbuf_printf(out, ",\"type\":\"%s\",\"param\":", type);
    put_or_null(param, out);
    ops_strbuf_str(out, ",\"code\":");
    put_or_null(code, out);
    ops_strbuf_str(out, "}}");
}
