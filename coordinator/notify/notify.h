/* Incidents and findings out to people and machines: one lane and one thread a receiver, over the outbox of the repository.
 *
 * Delivered at least once, across restarts: a notice stays in the outbox until every receiver is done with it. A receiver that
 * does not answer waits for itself alone. More than queue_max notices: the oldest go, whoever has not had them counts and logs
 * them as overflowed; the daemon itself is never held up. */
#ifndef OPS_NOTIFY_NOTIFY_H
#define OPS_NOTIFY_NOTIFY_H

#include "coordinator/notify/lane.h"

typedef struct ops_notify ops_notify;

typedef struct ops_notify_conf {
    ops_repo *repo;                       /* borrowed */
    ops_clock *clock;                     /* NULL: the system's */
    const ops_notify_receiver *receivers; /* copied */
    size_t receiver_count;                /* 0: nothing runs */
    const char *link;                     /* copied; what comes before "/incidents/ID" and "/findings/ID" */
    int64_t resend_ms;                    /* default 60 s */
    int64_t age_max_ms;                   /* default 24 h */
    unsigned timeout_ms;                  /* of a request, default 10 s */
    size_t queue_max;                     /* default 10,000 */
    const ops_notify_port *ports;         /* one a receiver; NULL: libcurl */
    /* As ops_notify_lane_conf has them. */
    bool rules_grouped;
    ops_status (*firing)(void *u, ops_notify_firing_fn fn, void *fu, ops_err *reterr);
    bool (*silenced)(void *u, const Ops__V1__Finding *f, int64_t now_ns);
    void *u;
} ops_notify_conf;

/* Puts receivers that are new at the end of the outbox. */
OPS_MUST_USE ops_status ops_notify_new(const ops_notify_conf *conf, ops_notify **ret, ops_err *reterr);
OPS_MUST_USE ops_status ops_notify_start(ops_notify *n, ops_err *reterr);
/* Breaks requests off; what they carried is sent again after the next start. Idempotent. */
void ops_notify_stop(ops_notify *n);
void ops_notify_free(ops_notify *n);
OPS_AUTO_DEFINE(ops_notify, ops_notify_free)
/* There are new notices. Never blocks. @thread any */
void ops_notify_wake(ops_notify *n);
/* Lets go of what nobody waits for, and of what is too much. @thread any; the lanes' threads call it */
OPS_MUST_USE ops_status ops_notify_trim(ops_notify *n, ops_err *reterr);
/* Prometheus text. @thread any */
void ops_notify_text(ops_notify *n, ops_strbuf *out);

#endif
