/* What is listed, looked up and watched by revision: findings and incidents. Their services' List, Get and Watch messages have the
 * same fields at the same numbers, so that one reading and one writing serve both (a test holds the descriptors together).
 * Private to coordinator/api. */
#ifndef OPS_API_REVISED_H
#define OPS_API_REVISED_H

#include "coordinator/api/filter.h"
#include "coordinator/api/internal.h"

typedef struct api_revised {
    const char *noun;
    api_filter_words words;
    ops_status (*since)(ops_api *a, uint64_t after, ops_api_finding_fn fn, void *fu, ops_err *reterr);
    ops_status (*get)(ops_api *a, ops_slice tenant, ops_slice id, ops_api_finding_fn fn, void *fu,
                      ops_err *reterr);
    uint64_t (*newest)(ops_api *a);
    /* A stored row with its revision and what silences it now; the caller's to free. NULL: it does not read. */
    ProtobufCMessage *(*read)(ops_api *a, ops_slice body, uint64_t revision);
    bool (*match)(const api_filter *f, const ProtobufCMessage *m);
    uint64_t (*revision_of)(const ProtobufCMessage *m);
} api_revised;

extern const api_revised api_findings, api_incidents;

void api_revised_list(ops_api *a, const api_revised *k, ops_rpc_call *c, ops_slice req);
void api_revised_get(ops_api *a, const api_revised *k, ops_rpc_call *c, ops_slice req);
/* Answers with one row. */
void api_revised_reply(ops_api *a, const api_revised *k, ops_rpc_call *c, ops_slice id);

#endif
