/* The port to HTTP: one request with a body, one answer. Fakes stand in for it in tests; one suite
 * (tests/unit/coordinator/notify/post_suite.h) holds both to this page. */
#ifndef OPS_NOTIFY_POST_H
#define OPS_NOTIFY_POST_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum { OPS_NOTIFY_HEADERS_MAX = 8, OPS_NOTIFY_HEADER_BYTES_MAX = 4200, OPS_NOTIFY_WORDS_MAX = 200 };

/* Borrowed for the call. Content-Type is application/json. */
typedef struct ops_notify_request {
    const char *url, *token, *ca_file;           /* the latter two: NULL or "" without */
    const char *headers[OPS_NOTIFY_HEADERS_MAX]; /* "Name: value", NULL after the last */
    ops_slice body;
    unsigned timeout_ms; /* of the whole exchange */
} ops_notify_request;

typedef struct ops_notify_answer {
    long status;                      /* of HTTP; a 3xx is an answer like others, it is not followed */
    int64_t retry_ms;                 /* Retry-After, in seconds or as a date; -1: none */
    char words[OPS_NOTIFY_WORDS_MAX]; /* the beginning of the answer's body, printable ASCII */
} ops_notify_answer;

typedef struct ops_notify_port {
    void *u;
    /* OPS_OK: an answer came, whatever it says. OPS_ETIMEOUT, OPS_ECANCELLED (asked to stop), OPS_EUNAVAILABLE: none came, the
     * message names why and never the URL, which may be a secret. @thread one at a time */
    ops_status (*post)(void *u, const ops_notify_request *q, ops_notify_answer *ret, ops_err *reterr);
} ops_notify_port;

/* libcurl: http and https alone, no redirects, proxies as curl has them (http_proxy and its like). While *stop is true
 * a call ends. @thread one at a time each */
typedef struct ops_notify_curl ops_notify_curl;
OPS_MUST_USE ops_status ops_notify_curl_new(const atomic_bool *stop, ops_notify_curl **ret, ops_err *reterr);
void ops_notify_curl_free(ops_notify_curl *c);
OPS_AUTO_DEFINE(ops_notify_curl, ops_notify_curl_free)
ops_notify_port ops_notify_curl_port(ops_notify_curl *c);

#endif
