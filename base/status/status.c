/* The status table and error formatting. */
#include "base/status/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *text;
    bool retriable;
    int grpc, exit_code;
} codes[OPS_STATUS_COUNT] = {
#define OPS_CODE(name, text, retriable, grpc, exit_code) {#name, text, retriable, grpc, exit_code},
#include "base/status/codes.def"
#undef OPS_CODE
};

static unsigned index_of(ops_status st)
{
    return (unsigned)st < OPS_STATUS_COUNT ? (unsigned)st : OPS_EINTERNAL;
}

ops_status(ops_fail)(ops_err *reterr, ops_status code, const char *fmt, ...)
{
    if (reterr != NULL) {
        va_list ap;
        va_start(ap, fmt);
        reterr->code = code;
        (void)vsnprintf(reterr->msg, sizeof reterr->msg, fmt, ap);
        va_end(ap);
    }
    return code;
}

void ops_err_prefix(ops_err *reterr, const char *fmt, ...)
{
    if (reterr == NULL)
        return;
    char head[sizeof reterr->msg];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(head, sizeof head, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t len = (size_t)n < sizeof head ? (size_t)n : sizeof head - 1;
    static const char sep[] = ": ";
    size_t room = sizeof reterr->msg - 1, old = strnlen(reterr->msg, room);
    size_t at = len + sizeof sep - 1 < room ? len + sizeof sep - 1 : room;
    size_t keep = old < room - at ? old : room - at;
    memmove(reterr->msg + at, reterr->msg, keep);
    reterr->msg[at + keep] = '\0';
    memcpy(reterr->msg, head, len);
    memcpy(reterr->msg + len, sep, at - len);
}

const char *ops_status_name(ops_status st)
{
    return codes[index_of(st)].name;
}

const char *ops_status_text(ops_status st)
{
    return codes[index_of(st)].text;
}

bool ops_status_retriable(ops_status st)
{
    return codes[index_of(st)].retriable;
}

int ops_status_grpc_code(ops_status st)
{
    return codes[index_of(st)].grpc;
}

ops_status ops_status_from_grpc(int code)
{
    /* Several statuses share a gRPC code; the first in the list is the general one. */
    if (code == 14)
        return OPS_EUNAVAILABLE;
    for (int i = 0; i < OPS_STATUS_COUNT; i++)
        if (codes[i].grpc == code)
            return (ops_status)i;
    return OPS_EINTERNAL;
}

int ops_status_exit_code(ops_status st)
{
    return codes[index_of(st)].exit_code;
}
