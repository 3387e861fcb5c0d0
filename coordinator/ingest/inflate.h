/* coordinator/ingest/inflate.h: bounded decompression of request bodies (gzip, zstd, snappy blocks).
 * The output never exceeds out_bytes_max, nor, once above 1 MiB, 100 times the input: a bomb stops early. A zstd
 * frame that declares more than the cap is refused before anything is allocated. Several members or frames in a row
 * are one body; bytes after the last, and a body that ends early, are errors that name the input offset. A snappy block
 * says its size first: more than the cap, or than such a block can make of its bytes, is refused before allocating. */
#ifndef OPS_COORDINATOR_INGEST_INFLATE_H
#define OPS_COORDINATOR_INGEST_INFLATE_H

#include "base/status/status.h"
#include "base/text/slice.h"

#include <stddef.h>

typedef enum ops_inflate_coding {
    OPS_INFLATE_IDENTITY,
    OPS_INFLATE_GZIP,
    OPS_INFLATE_ZSTD,
    OPS_INFLATE_SNAPPY /* one block, not the framed stream format */
} ops_inflate_coding;

enum { OPS_INFLATE_RATIO_MAX = 100, OPS_INFLATE_RATIO_FREE_BYTES = 1 << 20 };

/* Content-Encoding or grpc-encoding value to a coding; OPS_EUNIMPL names what is not supported. Empty is identity. */
OPS_MUST_USE ops_status ops_inflate_coding_of(ops_slice name, ops_inflate_coding *ret, ops_err *reterr);

/* Decompresses `in` into a new buffer *ret of *ret_n bytes (ops_free). Identity copies. OPS_ETOOBIG above a cap,
 * OPS_EINVAL on corrupt or cut input, OPS_ENOMEM. *ret is never NULL on success. @thread any */
OPS_MUST_USE ops_status ops_inflate(ops_inflate_coding coding, const void *in, size_t n, size_t out_bytes_max,
                                    char **ret, size_t *ret_n, ops_err *reterr);

#endif
