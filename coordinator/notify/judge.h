/* What an answer means for delivery, and how long to wait: pure, no clock. */
#ifndef OPS_NOTIFY_JUDGE_H
#define OPS_NOTIFY_JUDGE_H

#include "coordinator/notify/post.h"

typedef enum ops_notify_verdict {
    OPS_NOTIFY_DELIVERED,
    OPS_NOTIFY_AGAIN,   /* may pass: no answer, 408, 425, 429, 5xx */
    OPS_NOTIFY_REJECTED /* will not pass however often it is sent: 3xx, other 4xx */
} ops_notify_verdict;

/* `st`: what the port returned. */
ops_notify_verdict ops_notify_judge(ops_status st, const ops_notify_answer *a);

enum {
    OPS_NOTIFY_WAIT_FIRST_MS = 1000,
    OPS_NOTIFY_WAIT_MAX_MS = 5 * 60 * 1000,
    OPS_NOTIFY_RETRY_AFTER_MAX_MS = 60 * 60 * 1000,
    OPS_NOTIFY_CIRCUIT_AFTER = 5 /* failures in a row */
};

/* After `failures` (1 and more) in a row: doubles from the first wait to the greatest, and `random` moves it anywhere in
 * its upper half, so that receivers of many daemons do not come back as one. What the answer asked for (retry_ms, -1: nothing)
 * is a minimum, up to an hour. */
int64_t ops_notify_wait_ms(unsigned failures, uint64_t random, int64_t retry_ms);

#endif
