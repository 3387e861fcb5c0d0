/* A receiver that plays a script: its answers are told beforehand, what came is kept. The fake port stands for libcurl and the
 * network together; post_test.c plays the same script behind a real server. */
#ifndef TESTS_NOTIFY_SCRIPT_H
#define TESTS_NOTIFY_SCRIPT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/notify/post.h"

enum { SCRIPT_MAX = 64 };

typedef struct script_answer {
    long status; /* 0: nobody answers */
    long retry_s;
    const char *words;
} script_answer;

typedef struct script {
    script_answer answers[SCRIPT_MAX]; /* the last one is repeated */
    size_t answer_count;
    size_t asked;
    char bodies[SCRIPT_MAX][4096];
    char heads[SCRIPT_MAX][1024]; /* "Name: value\n"... of the ones that matter */
    const atomic_bool *stop;
} script;

static inline const script_answer *script_next(script *s)
{
    const size_t at = s->asked < s->answer_count ? s->asked : s->answer_count - 1;
    return &s->answers[at];
}

static inline void script_keep(script *s, ops_slice body, const char *heads)
{
    const size_t at = s->asked % SCRIPT_MAX;
    (void)snprintf(s->bodies[at], sizeof s->bodies[at], OPS_SLICE_FMT, OPS_SLICE_ARG(body));
    (void)snprintf(s->heads[at], sizeof s->heads[at], "%s", heads);
    s->asked++;
}

static inline ops_status script_post(void *u, const ops_notify_request *q, ops_notify_answer *ret,
                                     ops_err *reterr)
{
    script *s = u;
    char heads[1024] = "";
    if (s->stop != NULL && atomic_load(s->stop))
        return ops_fail(reterr, OPS_ECANCELLED, "asked to stop");
    if (q->token != NULL && q->token[0] != '\0')
        (void)snprintf(heads, sizeof heads, "Authorization: Bearer %s\n", q->token);
    for (size_t i = 0; i < OPS_NOTIFY_HEADERS_MAX && q->headers[i] != NULL; i++) {
        size_t n = strlen(heads);
        (void)snprintf(heads + n, sizeof heads - n, "%s\n", q->headers[i]);
    }
    const script_answer *a = script_next(s);
    script_keep(s, q->body, heads);
    if (a->status == 0)
        return ops_fail(reterr, OPS_EUNAVAILABLE, "nobody answers");
    *ret = (ops_notify_answer){.status = a->status, .retry_ms = a->retry_s > 0 ? a->retry_s * 1000 : -1};
    (void)snprintf(ret->words, sizeof ret->words, "%s", a->words != NULL ? a->words : "");
    return OPS_OK;
}

#endif
