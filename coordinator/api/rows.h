/* A response of many rows under construction: repeated field 1, some rows passed over, so many taken. Private to the room.
 * Rows are packed as they come, so that nothing borrowed outlives its callback. */
#ifndef OPS_API_ROWS_H
#define OPS_API_ROWS_H

#include "coordinator/api/internal.h"

enum { API_ROWS_USUAL = 100, API_ROWS_MAX = 1000 };

typedef struct api_rows {
    ops_strbuf out, one;
    uint64_t skip, seen;
    size_t size, count;
    bool more, failed;
    uint64_t last; /* a number that the last row had, for tokens */
} api_rows;

void api_rows_init(api_rows *r, uint64_t skip, size_t size);
void api_rows_done(api_rows *r);
/* False when the page is full. */
bool api_rows_add(api_rows *r, const ProtobufCMessage *m);
/* The rest of the response (its other fields) is packed by `tail`; protobuf lets fields come in pieces. */
void api_rows_reply(api_rows *r, ops_rpc_call *c, ops_status st, const ops_err *err,
                    const ProtobufCMessage *tail);

#endif
