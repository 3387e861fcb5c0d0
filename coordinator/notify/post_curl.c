#include "coordinator/notify/post.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem/alloc.h"

enum { CONNECT_MS = 10000 };

struct ops_notify_curl {
    CURL *c;
    const atomic_bool *stop;
    char error[CURL_ERROR_SIZE];
};

ops_status ops_notify_curl_new(const atomic_bool *stop, ops_notify_curl **ret, ops_err *reterr)
{
    OPS_AUTO(ops_notify_curl_free) ops_notify_curl *c = ops_calloc(1, sizeof *c);
    if (c == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (c->c = curl_easy_init()) == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "libcurl");
    c->stop = stop;
    *ret = OPS_STEAL(c);
    return OPS_OK;
}

void ops_notify_curl_free(ops_notify_curl *c)
{
    if (c == NULL)
        return;
    curl_easy_cleanup(c->c);
    ops_free(c);
}

static int on_progress(void *u, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    const ops_notify_curl *c = u;
    (void)down_all;
    (void)down;
    (void)up_all;
    (void)up;
    return c->stop != NULL && atomic_load(c->stop) ? 1 : 0;
}

/* Keeps the beginning; the rest of an answer is read and dropped, up to the time limit. */
static size_t on_body(char *p, size_t size, size_t n, void *u)
{
    ops_notify_answer *a = u;
    size_t have = strlen(a->words);
    for (size_t i = 0; i < size * n && have + 1 < sizeof a->words; i++)
        a->words[have++] = (p[i] >= ' ' && p[i] < 127) ? p[i] : ' ';
    a->words[have] = '\0';
    return size * n;
}

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more == NULL)
        return false;
    *list = more;
    return true;
}

static bool headers_of(const ops_notify_request *q, struct curl_slist **ret)
{
    char token[OPS_NOTIFY_HEADER_BYTES_MAX];
    /* No "Expect: 100-continue": it costs a second where a server does not know it. */
    bool ok = add_header(ret, "Content-Type: application/json") && add_header(ret, "Expect:");
    if (ok && q->token != NULL && q->token[0] != '\0') {
        int n = snprintf(token, sizeof token, "Authorization: Bearer %s", q->token);
        ok = n > 0 && (size_t)n < sizeof token && add_header(ret, token);
        explicit_bzero(token, sizeof token);
    }
    for (size_t i = 0; ok && i < OPS_NOTIFY_HEADERS_MAX && q->headers[i] != NULL; i++)
        ok = add_header(ret, q->headers[i]);
    return ok;
}

static void set_up(ops_notify_curl *c, const ops_notify_request *q, struct curl_slist *headers,
                   ops_notify_answer *a)
{
    curl_easy_reset(c->c);
    curl_easy_setopt(c->c, CURLOPT_URL, q->url);
    curl_easy_setopt(c->c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c->c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(c->c, CURLOPT_POST, 1L);
    curl_easy_setopt(c->c, CURLOPT_POSTFIELDS, q->body.p != NULL ? q->body.p : "");
    curl_easy_setopt(c->c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
    curl_easy_setopt(c->c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->c, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
    curl_easy_setopt(c->c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c->c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->c, CURLOPT_USERAGENT, "opsd/" OPS_VERSION);
    curl_easy_setopt(c->c, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->c, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(c->c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c->c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c->c, CURLOPT_XFERINFODATA, c);
    if (q->ca_file != NULL && q->ca_file[0] != '\0')
        curl_easy_setopt(c->c, CURLOPT_CAINFO, q->ca_file);
}

/* What libcurl says, unless it may hold the URL. */
static ops_status no_answer(const ops_notify_curl *c, CURLcode code, ops_err *reterr)
{
    const ops_status st = code == CURLE_ABORTED_BY_CALLBACK  ? OPS_ECANCELLED
                          : code == CURLE_OPERATION_TIMEDOUT ? OPS_ETIMEOUT
                          : code == CURLE_OUT_OF_MEMORY      ? OPS_ENOMEM
                                                             : OPS_EUNAVAILABLE;
    const bool tls = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR ||
                     code == CURLE_SSL_CACERT_BADFILE;
    return ops_fail(reterr, st, "%s", tls && c->error[0] != '\0' ? c->error : curl_easy_strerror(code));
}

static ops_status post(void *u, const ops_notify_request *q, ops_notify_answer *ret, ops_err *reterr)
{
    ops_notify_curl *c = u;
    struct curl_slist *headers = NULL;
    ops_notify_answer a = {.retry_ms = -1};
    curl_off_t retry_s = 0;
    if (!headers_of(q, &headers)) {
        curl_slist_free_all(headers);
        return ops_fail(reterr, OPS_ENOMEM, "headers of a request");
    }
    c->error[0] = '\0';
    set_up(c, q, headers, &a);
    CURLcode code = curl_easy_perform(c->c);
    curl_slist_free_all(headers);
    (void)curl_easy_getinfo(c->c, CURLINFO_RESPONSE_CODE, &a.status);
    if (code != CURLE_OK && (code != CURLE_OPERATION_TIMEDOUT || a.status < 200))
        return no_answer(c, code, reterr);
    if (curl_easy_getinfo(c->c, CURLINFO_RETRY_AFTER, &retry_s) == CURLE_OK && retry_s > 0)
        a.retry_ms = retry_s < INT32_MAX ? (int64_t)retry_s * 1000 : INT32_MAX * (int64_t)1000;
    *ret = a;
    return OPS_OK;
}

ops_notify_port ops_notify_curl_port(ops_notify_curl *c)
{
    return (ops_notify_port){.u = c, .post = post};
}
