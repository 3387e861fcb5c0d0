/* One status type for the whole tree, with the error that goes with it.
 * Functions return an ops_status; outputs named `ret` are set only on OPS_OK; `reterr` (may be NULL) only on failure. */
#ifndef OPS_BASE_STATUS_H
#define OPS_BASE_STATUS_H

#include <stdbool.h>

#define OPS_MUST_USE __attribute__((warn_unused_result))

typedef enum ops_status {
#define OPS_CODE(name, text, retriable, grpc, exit_code) OPS_##name,
#include "base/status/codes.def"
#undef OPS_CODE
    OPS_STATUS_COUNT
} ops_status;

/* What went wrong, for people: names the thing and the place. Caller's storage; no ownership inside. */
typedef struct ops_err {
    ops_status code;
    char msg[512]; /* NUL-terminated, cut at the end when longer */
} ops_err;

/* Fills *reterr (may be NULL) and returns `code`, so that a failure is one statement. @thread any */
ops_status ops_fail(ops_err *reterr, ops_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__
/* Told to the static analyser alone: a failure is never OPS_OK. */
static inline ops_status ops_not_ok(ops_status code)
{
    if (code == OPS_OK)
        __builtin_unreachable();
    return code;
}
#define ops_fail(reterr, code, ...) ops_not_ok(((ops_fail)(reterr, code, __VA_ARGS__), (code)))
#endif

/* Puts "context: " before the message of *reterr (may be NULL). */
void ops_err_prefix(ops_err *reterr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

const char *ops_status_name(ops_status st); /* "ENOTFOUND" */
const char *ops_status_text(ops_status st); /* "not found" */
bool ops_status_retriable(ops_status st);   /* the same call may succeed later, unchanged */
int ops_status_grpc_code(ops_status st);    /* canonical gRPC code */
ops_status ops_status_from_grpc(int code);  /* nearest status; OPS_EINTERNAL for an unknown code */
int ops_status_exit_code(ops_status st);    /* exit code of opsctl */

#endif
