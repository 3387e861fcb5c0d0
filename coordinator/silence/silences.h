/* Silences and maintenance windows: who is not to be told of what, and until when. Silences come from people and are kept in the
 * repository; windows come from the configuration and come back every week. A finding is silenced while one of its tenant, or a
 * window, matches it. @thread any */
#ifndef OPS_SILENCE_SILENCES_H
#define OPS_SILENCE_SILENCES_H

#include "base/time/clock.h"
#include "coordinator/silence/window.h"
#include "proto/ops/v1/silence.pb-c.h"
#include "storage/repo/repo.h"

typedef struct ops_silences ops_silences;

enum {
    OPS_SILENCES_TENANT_MAX = 500, /* pending and active ones */
    OPS_SILENCES_ALL_MAX = 10000,  /* of all tenants, ended ones too */
    OPS_SILENCE_COMMENT_MAX = 1024,
    OPS_SILENCE_KEEP_S = 7 * 86400,
    OPS_SILENCE_LONGEST_S = 366 * 86400
};

/* Takes the windows over, `windows` itself stays the caller's; clock NULL: the system's. A stored silence that does not read is OPS_ECORRUPT. */
OPS_MUST_USE ops_status ops_silences_new(ops_repo *repo, ops_clock *clock, ops_window *windows,
                                         size_t window_count, ops_silences **ret, ops_err *reterr);
void ops_silences_free(ops_silences *s);
OPS_AUTO_DEFINE(ops_silences, ops_silences_free)

/* Borrowed until the callback returns; `state` is filled in. False ends a walk. */
typedef bool (*ops_silence_fn)(void *u, const Ops__V1__Silence *m);

/* OPS_EINVAL: reterr begins with the name of the field at fault and a colon; OPS_EAGAIN: at a bound. Durable when it returns. The
 * same request_id of one tenant again: what it made the first time. */
OPS_MUST_USE ops_status ops_silences_create(ops_silences *s, ops_slice tenant, ops_slice creator,
                                            const Ops__V1__CreateSilenceRequest *q, ops_silence_fn fn,
                                            void *u, ops_err *reterr);
/* OPS_ENOTFOUND; OPS_EINVAL for a window. */
OPS_MUST_USE ops_status ops_silences_expire(ops_silences *s, ops_slice tenant, ops_slice id,
                                            ops_silence_fn fn, void *u, ops_err *reterr);
/* The tenant's, and windows that may concern it; newest end first. */
OPS_MUST_USE ops_status ops_silences_list(ops_silences *s, ops_slice tenant, bool expired, ops_silence_fn fn,
                                          void *u, ops_err *reterr);
/* Ids of what silences the finding at that time, separated by blanks, appended to `ret_ids` (may be NULL). True: there is one. */
bool ops_silences_match(ops_silences *s, const Ops__V1__Finding *f, int64_t now_ns, ops_strbuf *ret_ids);

#endif
