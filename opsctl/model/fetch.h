/* Bytes from an HTTP server, over libcurl: a small answer into memory, or a file that goes on where it was cut off.
 *
 * Follows at most five redirects, never from https to http; a token goes to the first host only (libcurl's rule).
 * Proxies as curl has them (https_proxy and its like). One handle, one thread. */
#ifndef OPS_OPSCTL_MODEL_FETCH_H
#define OPS_OPSCTL_MODEL_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/strbuf.h"

typedef struct ops_fetch ops_fetch;

/* Called now and then while a file comes in; `total` is 0 when the server did not say. */
typedef void (*ops_fetch_seen)(void *u, uint64_t have, uint64_t total);

typedef struct ops_fetch_options {
    const char *token; /* sent as a bearer token; NULL: none */
    const char *ca;    /* file of certificates to trust; NULL: the system's */
    int tries;         /* of one file, for what may pass: cut connections, 429, 5xx; 0: 5 */
    ops_fetch_seen seen;
    void *u;
} ops_fetch_options;

OPS_MUST_USE ops_status ops_fetch_new(const ops_fetch_options *o, ops_fetch **ret, ops_err *reterr);
void ops_fetch_free(ops_fetch *f);
OPS_AUTO_DEFINE(ops_fetch, ops_fetch_free)

/* The body of a 200 into `ret`, whose maximum bounds it (OPS_ETOOBIG). OPS_ENOTFOUND: 404; OPS_EAUTH: 401; OPS_EPERM:
 * 403; OPS_EUNAVAILABLE: no connection, 429, 5xx; OPS_EIO: anything else. Messages name the URL. */
OPS_MUST_USE ops_status ops_fetch_text(ops_fetch *f, const char *url, ops_strbuf *ret, ops_err *reterr);

/* The file at `url` as `path`. What lies at `path` already is taken as its beginning when `path`.etag, written beside it,
 * says that the server still has the same (If-Range, RFC 9110); else it comes anew. At most bytes_max (OPS_ETOOBIG, with
 * the numbers, before anything is written when the server tells the size), and OPS_ENOSPC when the file system has not
 * the room. After a failure `path` holds what came, for another try. */
OPS_MUST_USE ops_status ops_fetch_file(ops_fetch *f, const char *url, const char *path, uint64_t bytes_max,
                                       ops_err *reterr);

#endif
