/* google.rpc.Status with its details, the form of error that travels in the trailing header grpc-status-details-bin.
 * Formats: google/rpc/status.proto and error_details.proto (AIP-193). */
#ifndef OPS_RPC_STATUS_DETAILS_H
#define OPS_RPC_STATUS_DETAILS_H

#include "base/text/strbuf.h"

/* What is empty or 0 is left out. Texts are cut at the sizes given. */
typedef struct ops_rpc_details {
    uint32_t retry_ms;             /* RetryInfo */
    char reason[64], domain[64];   /* ErrorInfo: "INGEST_FULL", "opsd" */
    char field[128], problem[256]; /* one BadRequest.FieldViolation */
} ops_rpc_details;

/* Appends google.rpc.Status; check out->failed. `code` is a gRPC code. */
void ops_rpc_status_put(int code, ops_slice message, const ops_rpc_details *d, ops_strbuf *out);
/* False when the bytes are no google.rpc.Status; unknown details are passed over. */
bool ops_rpc_status_get(ops_slice bytes, ops_rpc_details *ret);

#endif
